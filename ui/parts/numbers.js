// The numbers of a connection.

import * as api from "../lib/api.js";
import { h, mount } from "../lib/dom.js";
import { plural } from "../lib/format.js";
import { again } from "../lib/router.js";
import { badge, button, card, empty, failed, loading, progress } from "./basic.js";
import { numberForm, PATH, pointHere } from "./connection_form.js";
import { confirm, dialog, formDialog } from "./dialog.js";
import { paged } from "./table.js";
import { complain, toast } from "./toast.js";

const TYPES = { pstn: "number", sip_uri: "SIP URI", sip_extension: "extension" };

export async function numbers(context, signal) {
  const { one, agents, can } = context;
  const path = `${PATH}/${one.id}/phone-numbers`;
  const may = api.may("admin");
  const add = () =>
    may && button("Add number", { icon: "plus", kind: "primary", work: () => addNumber(context) });
  const take = () =>
    may &&
    can("numbers") &&
    button("Import from the carrier", { icon: "download", work: () => importNumbers(context) });
  const list = await paged(
    "Numbers",
    path,
    [
      {
        label: "Number",
        cell: (number) => [
          h("strong.mono", number.address_normalized),
          " ",
          number.is_default_caller_id && badge("default caller", "good"),
        ],
      },
      {
        label: "Label",
        cell: (number) => [
          number.label ?? "",
          number.address_type !== "pstn" && badge(TYPES[number.address_type]),
        ],
      },
      { label: "Agent", cell: (number) => agentPicker(path, number, agents, may) },
      one.trunks.length > 0 && {
        label: "Trunk",
        cell: (number) =>
          one.trunks.find(({ id }) => id === number.telephony_trunk_id)?.name ??
          badge("unassigned", one.trunks.length > 1 ? "warn" : "quiet"),
      },
      {
        label: "Status",
        cell: (number) => (number.is_active ? badge("active", "good") : badge("off")),
      },
      {
        label: "Actions",
        hidden: true,
        kind: "end",
        cell: (number) => may && actions(context, path, number),
      },
    ].filter(Boolean),
    {
      signal,
      none: () =>
        empty(
          "calls",
          "No numbers yet",
          can("numbers")
            ? "Add a number of your account by hand, or import those that the carrier lists."
            : "Add the numbers that calls come to, and that they are placed from.",
          add(),
          take(),
        ),
    },
  );
  return card(
    "Numbers",
    {
      id: "numbers",
      about: "Each may have an agent of its own.",
      actions: list.items.length > 0 && [take(), add()],
    },
    list.element,
  );
}

/** Says what was done, and what its carrier did not do about it. */
function saved(number, text) {
  const told = number.provider_sync;
  if (told && !told.ok) toast(`${text} The carrier was not told: ${told.message}.`, "bad");
  else toast(text);
}

function agentPicker(path, number, agents, may) {
  const name = agents.find(({ id }) => id === number.inbound_agent_id)?.name;
  if (!may || number.origin === "file") return name ?? h("span.muted", "by route");
  const select = h(
    "select.small",
    {
      "aria-label": `Agent of ${number.address_normalized}`,
      onchange: async () => {
        try {
          const changed = await api.put(`${path}/${number.id}`, {
            inbound_agent_id: select.value || null,
          });
          saved(
            changed,
            select.value
              ? `Calls to ${number.address_normalized} go to ${select.selectedOptions[0].text}.`
              : "Routes decide now.",
          );
        } catch (error) {
          complain(error);
          again();
        }
      },
    },
    h("option", { value: "" }, "By route"),
    agents.map((agent) =>
      h("option", { value: agent.id, selected: agent.id === number.inbound_agent_id }, agent.name),
    ),
  );
  return select;
}

function actions(context, path, number) {
  if (number.origin === "file") return badge("from file");
  const { one, agents, can } = context;
  const done = (text) => {
    toast(text);
    again();
  };
  return h(
    "div.actions",
    can("bind") &&
      button("Point here", {
        kind: "small quiet",
        title: "Point the number at this server, at its carrier",
        work: async () => {
          await api.post(`${path}/${number.id}/bind`);
          toast("The carrier sends its calls here now.");
        },
      }),
    !number.is_default_caller_id &&
      number.is_active &&
      button("", {
        icon: "star",
        kind: "quiet icon-only",
        title: `Place calls from ${number.address_normalized}`,
        work: async () => {
          await api.post(`${path}/${number.id}/set-default-caller`);
          done("Calls are placed from it now.");
        },
      }),
    button("", {
      icon: "edit",
      kind: "quiet icon-only",
      title: `Edit ${number.address_normalized}`,
      work: async () => {
        const form = numberForm(one, agents, number);
        const changed = await formDialog(`Edit ${number.address_normalized}`, form);
        if (!changed) return;
        saved(changed, "Saved.");
        again();
      },
    }),
    button("", {
      icon: "trash",
      kind: "quiet icon-only",
      title: `Remove ${number.address_normalized}`,
      work: async () => {
        const gone = await confirm(`Remove ${number.address_normalized}?`, {
          consequences: [
            "Calls to it are no longer answered here.",
            number.is_default_caller_id && "Calls that name no number have none to come from.",
            can("bind") && "If the carrier still points it here, point it elsewhere there.",
          ].filter(Boolean),
          action: "Remove number",
          work: () => api.remove(`${path}/${number.id}`),
        });
        if (gone) done("The number is gone.");
      },
    }),
  );
}

async function addNumber({ one, agents, can }) {
  const form = numberForm(one, agents, null, { canBind: can("bind") });
  const made = await formDialog("Add a number", form, { action: "Add number" });
  if (!made) return;
  if (made.warning) toast(`The number is there. ${made.warning}`, "bad");
  else saved(made, "The number is there.");
  again();
}

const BINDINGS = {
  here: ["comes here", "good"],
  elsewhere: ["goes elsewhere", "warn"],
  nowhere: ["goes nowhere", "quiet"],
  unknown: ["", "quiet"],
};

/** Has the carrier send the calls of numbers here, one after the other; what it says against it. */
async function pointAll(path, numbers, place) {
  const bar = progress("Telling the carrier");
  mount(place, bar.element);
  const warnings = [];
  for (const [i, number] of numbers.entries()) {
    bar.to(i / numbers.length, `${i} of ${numbers.length}`);
    warnings.push(await pointHere(path, number));
  }
  return warnings.filter(Boolean);
}

/** Numbers of the account at the carrier, to be taken over. */
async function importNumbers({ one, can }) {
  const path = `${PATH}/${one.id}`;
  const here = h("input", { type: "checkbox", id: "import-here" });
  const done = await dialog("Import numbers", (close) => {
    const body = h("div.dialog-body", loading("Asking the carrier"));
    const take = button("Import", {
      kind: "primary",
      disabled: true,
      work: async () => {
        const addresses = Array.from(
          body.querySelectorAll(".pick-list input:checked"),
          (input) => input.value,
        );
        const made = await api.post(`${path}/phone-numbers/import`, { addresses });
        const warnings = here.checked
          ? await pointAll(`${path}/phone-numbers`, made.imported, body)
          : [];
        close({ ...made, warnings });
      },
    });
    const load = async () => {
      try {
        const { numbers: listed } = await api.get(`${path}/carrier-numbers`);
        const fresh = listed.filter((number) => !number.number_id);
        take.disabled = !fresh.length;
        mount(
          body,
          listed.length
            ? h(
                "ul.pick-list",
                listed.map((number) =>
                  h(
                    "li",
                    h(
                      "label",
                      h("input", {
                        type: "checkbox",
                        value: number.address,
                        checked: !number.number_id,
                        disabled: Boolean(number.number_id),
                      }),
                      h(
                        "span",
                        h("strong.mono", number.address),
                        number.label && h("span.muted", number.label),
                      ),
                      badge(
                        ...(number.number_id
                          ? ["is here already", "quiet"]
                          : BINDINGS[number.binding]),
                      ),
                    ),
                  ),
                ),
              )
            : empty(
                "calls",
                "The account has no numbers",
                "Buy one at the carrier, then come back.",
              ),
          fresh.length > 0 &&
            can("bind") &&
            h(
              "label.pick-more",
              here,
              h("span", "Let the carrier send their calls here, wherever they go now"),
            ),
        );
      } catch (error) {
        mount(body, failed(error, load));
      }
    };
    load();
    return [body, h("footer.actions", button("Cancel", { onclick: () => close() }), take)];
  });
  if (!done) return;
  toast(
    `${plural(done.imported.length, "number")} imported${done.skipped.length ? `, ${done.skipped.length} left out` : ""}.`,
  );
  if (done.warnings.length) toast(done.warnings.join(" "), "bad");
  again();
}
