// Where calls wait: who is next in the queues, who takes them, and calls that are put aside.

import * as api from "../lib/api.js";
import { every, h, mount, say } from "../lib/dom.js";
import { address, count, length, plural } from "../lib/format.js";
import { badge, button, card, empty, facts, heading, nothing } from "../parts/basic.js";
import { formDialog } from "../parts/dialog.js";
import * as kinds from "../parts/fields.js";
import { metadataForm, submit } from "../parts/form.js";
import { table } from "../parts/table.js";
import { toast } from "../parts/toast.js";

const LOOK_MS = 2_000;

export async function page({ title, signal }) {
  title("Queues");
  const content = h("div");
  const note = h("p.muted", { role: "status", hidden: true });
  let before = "";
  const look = async () => {
    const [queues, parked] = await Promise.all([
      api.get("queues", { signal }),
      api.get("parked", { signal }),
    ]);
    const state = JSON.stringify([queues, parked]);
    // What is about to be copied stays.
    const isHeld = isSelected(content);
    note.hidden = !isHeld;
    say(note, isHeld ? "The page stands still while something is selected in it." : "");
    if (state === before || isHeld) return;
    before = state;
    keep(content, () =>
      mount(content, aside(parked.items, look), ...queues.items.map(queue), none(queues, parked)),
    );
  };
  await look();
  // A button that works is not replaced by one that could be pressed again.
  every(LOOK_MS, signal, async () => content.querySelector("[aria-busy=true]") ?? look());
  return [
    heading("Queues", "Who waits for whom at this server, and calls that are put aside."),
    note,
    content,
  ];
}

function isSelected(content) {
  const selection = getSelection();
  return !selection.isCollapsed && content.contains(selection.anchorNode);
}

/** Which control it is, in words that hold when it is drawn anew: its row's, and its own. */
const nameOf = (element) =>
  [
    element.closest("section")?.getAttribute("aria-label"),
    element.closest("[data-key]")?.dataset.key,
    element.getAttribute("aria-label") ?? element.textContent,
  ].join("\n");

/** Draws anew; whoever has the keyboard at a control keeps it there, if it still is. */
function keep(content, draw) {
  const held = content.contains(document.activeElement) ? document.activeElement : null;
  const name = held && nameOf(held);
  draw();
  if (!held) return;
  const same = [...content.querySelectorAll(held.localName)].find((one) => nameOf(one) === name);
  same?.focus({ preventScroll: true });
}

const none = (queues, parked) =>
  queues.items.length === 0 &&
  parked.items.length === 0 &&
  empty(
    "hold",
    "Nobody waits",
    "Queues are named in the configuration file ([[queues]]). A call is put aside from its own page.",
  );

const waited = (ms) => h("span.mono", length(ms));
const caller = (id, from) => h("a", { href: `#/calls/${id}` }, address(from));

function queue(one) {
  const members = table(
    `Members of ${one.name}`,
    [
      { label: "Member", kind: "grow", cell: (member) => h("strong", member.agent) },
      { label: "Calls", cell: (member) => `${count(member.calls)} of ${count(member.max_calls)}` },
      { label: "State", cell: member },
    ],
    one.members,
    { key: (of) => of.agent },
  );
  const waiting = table(
    `Who waits in ${one.name}`,
    [
      { label: "Place", cell: (call) => count(call.position) },
      { label: "Caller", kind: "grow", cell: (call) => caller(call.id, call.from) },
      { label: "Waited", cell: (call) => waited(call.waited_ms) },
      {
        label: "State",
        cell: (call) => (call.offered_to ? badge(`rings ${call.offered_to}`, "wait") : "waits"),
      },
    ],
    one.calls,
  );
  return card(
    one.name,
    {
      about:
        one.strategy === "in_order"
          ? "The first member that is free gets the next call."
          : "The member with the fewest calls, idle for longest, gets the next call.",
    },
    facts(
      ["Waiting", `${count(one.waiting)} of ${count(one.max_waiting)}`],
      ["Longest wait", one.waiting > 0 && length(one.longest_wait_ms)],
      ["Served", count(one.served)],
      ["Hung up while waiting", count(one.abandoned)],
      ["Did not wait, or too long", count(one.overflowed)],
    ),
    one.calls.length > 0 ? waiting.element : nothing("Nobody waits.", "Whoever comes is next."),
    members.element,
  );
}

function member({ calls, max_calls: most, rests_ms: rests }) {
  if (rests > 0) return badge(`did not answer; again in ${length(rests)}`, "warn");
  return calls < most ? badge("free", "good") : badge("busy", "quiet");
}

function aside(parked, look) {
  if (parked.length === 0) return false;
  const back = (call) =>
    api.may("calls") &&
    h(
      "div.actions",
      button("Back", {
        title: `Back to ${call.agent}`,
        work: async () => {
          await api.post(`calls/${call.call_id}/unpark`, {});
          await look();
        },
      }),
      button("Hand over", { icon: "transfer", work: () => handOver(call) }),
    );
  const list = table(
    "Calls that are put aside",
    [
      { label: "Slot", cell: (call) => h("strong.mono", call.slot) },
      { label: "Caller", kind: "grow", cell: (call) => caller(call.call_id, call.from) },
      { label: "Agent", cell: (call) => `${call.agent}${call.keep_agent ? " (is there)" : ""}` },
      { label: "Waited", cell: (call) => waited(call.waited_ms) },
      { label: "Goes back in", cell: (call) => waited(call.left_ms) },
      { label: "What to do", hidden: true, cell: back },
    ],
    parked,
    { key: (call) => call.call_id },
  );
  const about = `${plural(parked.length, "call")}. A telephone that dials park-SLOT picks one up.`;
  return card("Put aside", { about }, list.element);
}

async function handOver(call) {
  const form = metadataForm({
    fields: [
      {
        field: kinds.line({
          name: "destination",
          label: "To",
          required: true,
          placeholder: "+4930123456, sip:desk@example.com, or a user's name",
        }),
      },
    ],
  });
  form.submit = () => submit(form, (values) => api.post(`calls/${call.call_id}/unpark`, values));
  if (await formDialog("Hand the caller over", form, { action: "Call" }))
    toast("It is called; the caller waits until somebody answers.");
}
