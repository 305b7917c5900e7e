// Handing a living call over: to whom depends on how.

import * as api from "../lib/api.js";
import { address } from "../lib/format.js";
import { TRANSFER_KINDS } from "../lib/words.js";
import { formDialog } from "./dialog.js";
import * as kinds from "./fields.js";
import { metadataForm, submit } from "./form.js";
import { toast } from "./toast.js";

/** Most living calls that one can be joined with. */
const OTHERS_MAX = 200;

/** Only for transfers of these kinds. */
const of = (...words) => ({ visible_when: { field: "kind", equals: words } });

/** Asks how and to whom, and hands the call over. */
export async function transfer(call) {
  const [agents, living] = await Promise.all([
    api.all("agents"),
    api.all("calls?living=true", { max: OTHERS_MAX }),
  ]);
  const others = living.filter(
    (one) => one.id !== call.id && one.state === "answered" && one.node === call.node,
  );
  const isCut = living.length >= OTHERS_MAX;
  const form = metadataForm({ fields: fields(agents, others, call, isCut) });
  form.submit = () =>
    submit(form, (values) => api.post(`calls/${call.id}/transfer`, values));
  if (await formDialog("Transfer the caller", form, { action: "Transfer" }))
    toast("It is under way; below it is told what comes of it.");
}

function fields(agents, others, call, isCut) {
  const fresh = agents.filter(({ name }) => name !== call.agent);
  return [
    {
      field: kinds.cards(
        {
          name: "kind",
          label: "How",
          options: TRANSFER_KINDS.map(([value, label, description]) => ({
            value,
            label,
            description,
          })),
        },
        "blind",
      ),
    },
    {
      field: kinds.line({
        name: "destination",
        label: "To",
        required: true,
        placeholder: "+4930123456 or sip:desk@example.com",
        ...of("blind", "bridge", "warm"),
      }),
    },
    {
      field: kinds.select({
        name: "destination",
        label: "New agent",
        required: true,
        options: fresh.map(({ name }) => ({ value: name, label: name })),
        description: fresh.length ? "" : "There is no other agent.",
        ...of("agent"),
      }),
    },
    {
      field: kinds.select({
        name: "options.call_id",
        label: "Other call",
        required: true,
        options: others.map((one) => ({
          value: one.id,
          label: `${address(one.from)} → ${address(one.to)}`,
        })),
        description: [
          others.length
            ? "The caller takes this server's place in it."
            : "No other call is answered at this server.",
          isCut && `Of the calls that live the latest ${OTHERS_MAX} were looked at.`,
        ]
          .filter(Boolean)
          .join(" "),
        ...of("attended"),
      }),
    },
    {
      field: kinds.line({
        name: "options.accept_digit",
        label: "Key that takes the call",
        chars_max: 1,
        placeholder: "1",
        description: "Who answers presses it; without one, answering is enough.",
        ...of("warm"),
      }),
    },
    {
      field: kinds.number({
        name: "options.timeout_s",
        label: "Give up after",
        min: 1,
        max: 600,
        unit: "s",
        ...of("bridge", "warm", "agent"),
      }),
    },
  ];
}
