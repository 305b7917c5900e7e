// Placing a call over a connection.

import * as api from "../lib/api.js";
import { h, mount, uid } from "../lib/dom.js";
import { go } from "../lib/router.js";
import { empty, linkButton } from "./basic.js";
import { PATH } from "./connection_form.js";
import { dialog, formDialog } from "./dialog.js";
import * as kinds from "./fields.js";
import { metadataForm, submit } from "./form.js";

const TITLE = "Place a call";
const ABOUT =
  "The server calls somebody and connects the agent with them. To talk to the agent yourself, make a test call.";

export async function placeCall() {
  const [agents, { configurations }] = await Promise.all([api.all("agents"), api.get(PATH)]);
  if (!agents.length) return withoutAgents();
  const usable = configurations.filter((one) => !one.inactive);
  const preferred =
    usable.find((one) => one.is_default_outbound) ??
    usable.find((one) => one.is_ready_for_outbound);
  const numbers = h("datalist", { id: uid("n") });
  const by = kinds.select(
    {
      name: "telephony_configuration_id",
      label: "By connection",
      options: usable.map(({ id, name }) => ({ value: id, label: name })),
      description: "SIP addresses need none.",
    },
    preferred?.id,
    { none: "None" },
  );
  const form = metadataForm({
    fields: [
      {
        field: kinds.line({
          name: "to",
          label: "Call",
          required: true,
          placeholder: "+4930123456 or sip:bob@example.com",
          inputmode: "tel",
        }),
      },
      {
        field: kinds.select({
          name: "agent",
          label: "Agent",
          required: true,
          options: agents.map(({ name }) => ({ value: name, label: name })),
        }),
      },
      { field: by },
      {
        field: kinds.line(
          {
            name: "from",
            label: "From",
            description: "One of the connection's numbers; its default one if empty.",
            inputmode: "tel",
          },
          "",
          { list: numbers.id },
        ),
      },
      {
        field: kinds.number({
          name: "ring_timeout_s",
          label: "Ring for",
          min: 1,
          max: 600,
          unit: "s",
        }),
      },
    ],
  });
  const from = form.element.querySelector("[data-field=from] input");
  const offer = () => offered(by.value(), numbers, from);
  form.element.append(numbers);
  form.element.addEventListener("change", ({ target }) => by.element.contains(target) && offer());
  offer();
  form.submit = () => submit(form, (values) => api.post("calls", values));
  const call = await formDialog(TITLE, form, {
    action: "Call",
    about: [ABOUT, hint(usable, preferred)],
  });
  if (call) go(`calls/${call.id}`);
  return undefined;
}

/** Offers the numbers of a connection to be called from. */
async function offered(id, list, input) {
  mount(list);
  input.placeholder = "";
  if (!id) return;
  const numbers = await api.all(`${PATH}/${id}/phone-numbers`).catch(() => []);
  const active = numbers.filter((one) => one.is_active);
  mount(
    list,
    active.map((one) => h("option", { value: one.address_normalized }, one.label ?? "")),
  );
  input.placeholder = active.find((one) => one.is_default_caller_id)?.address_normalized ?? "";
}

/** Why a call cannot be placed as things are, and where that is changed. */
function hint(usable, preferred) {
  if (!usable.length)
    return [
      " There is no connection to the telephone network yet, so only SIP addresses can be called: ",
      h("a", { href: "#/connections/new" }, "connect a carrier or a trunk"),
      " for numbers.",
    ];
  if (!preferred || preferred.is_ready_for_outbound) return null;
  return [
    ` ${preferred.name}: ${preferred.outbound_blocked_reason} `,
    h("a", { href: `#/connections/${preferred.id}` }, "Do it"),
  ];
}

const withoutAgents = () =>
  dialog(TITLE, () =>
    h(
      "div.dialog-body",
      empty(
        "agent",
        "Nobody talks yet",
        "A call needs an agent: your program, or one that is built in.",
        linkButton("Add an agent", "#/agents/new", { icon: "plus", kind: "primary" }),
      ),
    ),
  );
