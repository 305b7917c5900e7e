// Placing a call over a connection.

import * as api from "../lib/api.js";
import { go } from "../lib/router.js";
import { PATH } from "./connection_form.js";
import { formDialog } from "./dialog.js";
import * as kinds from "./fields.js";
import { metadataForm, submit } from "./form.js";

export async function placeCall() {
  const [agents, { configurations }] = await Promise.all([api.all("agents"), api.get(PATH)]);
  const usable = configurations.filter((one) => !one.inactive);
  const preferred =
    usable.find((one) => one.is_default_outbound) ??
    usable.find((one) => one.is_ready_for_outbound);
  const blocked =
    preferred && !preferred.is_ready_for_outbound && preferred.outbound_blocked_reason;
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
      {
        field: kinds.select(
          {
            name: "telephony_configuration_id",
            label: "By connection",
            options: usable.map(({ id, name }) => ({ value: id, label: name })),
            description: usable.length
              ? "SIP URIs need none."
              : "There is no connection yet: only SIP URIs can be called.",
          },
          preferred?.id,
          { none: "None" },
        ),
      },
      {
        field: kinds.line({
          name: "from",
          label: "From",
          description: "The default number of the connection if empty.",
          inputmode: "tel",
        }),
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
  form.submit = () => submit(form, (values) => api.post("calls", values));
  const call = await formDialog("Place a call", form, {
    action: "Call",
    about: blocked ? `${preferred.name}: ${blocked}` : undefined,
  });
  if (call) go(`calls/${call.id}`);
}
