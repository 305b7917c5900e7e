// What is written down of a call: messages, transfers, events, and files of all that.

import * as api from "../lib/api.js";
import { h, mount } from "../lib/dom.js";
import { exactly, fine } from "../lib/format.js";
import { event as eventText, transferTone } from "../lib/words.js";
import { badge, button, card, empty, nothing } from "./basic.js";
import { ladder, sipTone } from "./ladder.js";
import { table } from "./table.js";
import { toast } from "./toast.js";

/** The captured messages of a call, all of them; none where it was not captured. */
async function captured(call, signal) {
  if (!api.may("calls")) return [];
  return api.all(`calls/${call.id}/messages`, { signal }).catch((error) => {
    if (error.status === 404) return [];
    throw error;
  });
}

/** The SIP messages of a call, and what its carrier told by webhook, as a ladder. */
export async function messages(call, events, signal) {
  const found = await captured(call, signal);
  const steps = found.map((message) => ({
    at: message.at_unix_ms,
    from: message.direction === "in" ? message.from : null,
    to: message.direction === "in" ? null : message.to,
    title: short(message.summary),
    text: message.text,
    tone: sipTone(message.summary),
    note: `${message.transport}, ${message.from} to ${message.to}`,
  }));
  const carrier = call.provider ?? "Carrier";
  const told = events()
    .filter(({ source }) => source === "carrier")
    .map((event) => ({
      at: Date.parse(event.at),
      from: carrier,
      to: null,
      title: eventText(event),
      text: JSON.stringify(event, null, 2),
      tone: "hook",
      note: "Told by the carrier's webhook",
    }));
  const all = [...steps, ...told].sort((a, b) => a.at - b.at);
  if (all.length) return ladder(all);
  const capture =
    api.may("calls") &&
    call.state !== "ended" &&
    button("Capture from now on", {
      icon: "record",
      work: async () => {
        await api.post(`calls/${call.id}/capture`);
        toast("Messages and packets are captured.");
      },
    });
  return nothing(
    "No messages were captured.",
    "For the next call, switch on “Capture messages and packets” at its route or “Capture the packets of its calls” at its agent.",
    capture,
  );
}

/** The first line of a SIP message without what every line has. */
const short = (line) => line.replace(/ ?SIP\/2\.0 ?/, "").replace(/^([A-Z]+) \S+$/, "$1");

/** A call's transfers; one that is under way can be given up. */
export async function transfers(call, signal) {
  const items = await api.all(`calls/${call.id}/transfers`, { signal });
  if (!items.length) return null;
  const canCancel = api.may("calls") && call.state !== "ended";
  return card(
    "Transfers",
    {},
    table(
      "Transfers",
      [
        { label: "Kind", cell: (one) => h("strong", one.kind) },
        {
          label: "To",
          kind: "grow",
          cell: (one) =>
            h(
              "span.mono",
              one.destination ||
                (one.other_call_id &&
                  h("a", { href: `#/calls/${one.other_call_id}` }, "another call")),
            ),
        },
        { label: "State", cell: (one) => badge(one.state, transferTone(one.state)) },
        { label: "Why", cell: (one) => one.cause?.replaceAll("_", " ") ?? "" },
        {
          label: "Asked",
          cell: (one) => h("span", { title: exactly(one.requested_at) }, fine(one.requested_at)),
        },
        { label: "Ended", cell: (one) => (one.ended_at ? fine(one.ended_at) : "goes on") },
        canCancel && {
          label: "Actions",
          hidden: true,
          kind: "end",
          cell: (one) =>
            !one.ended_at &&
            button("Give up", {
              kind: "small quiet",
              title: "Hangs up on whoever is being called",
              work: async () => {
                await api.post(`calls/${call.id}/transfer`, { kind: "cancel" });
                toast("The transfer is given up.");
              },
            }),
        },
      ].filter(Boolean),
      items,
    ).element,
  );
}

/** All events, each with what it carries. */
export function eventList(events) {
  if (!events.length) return empty("log", "Nothing was told yet", "");
  return h(
    "ol.events",
    events.map((event) =>
      h(
        "li",
        h(
          "details",
          { "data-id": event.id },
          h(
            "summary",
            h("span.mono.muted", { title: exactly(event.at) }, fine(event.at)),
            h("span", eventText(event)),
            event.source !== "node" && badge(event.source),
            h("code.muted", event.type),
          ),
          h("pre", { tabindex: "0" }, JSON.stringify(event.data, null, 2)),
        ),
      ),
    ),
  );
}

/** What replaces a list of events has open what is open in it. */
export function keepOpen(before, after) {
  for (const { dataset } of before.querySelectorAll("details[open]")) {
    const same = after.querySelector(`details[data-id="${CSS.escape(dataset.id)}"]`);
    if (same) same.open = true;
  }
  return after;
}

function save(name, type, content) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = h("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export function exportButtons(data) {
  const { call } = data();
  const json = button("JSON", {
    icon: "download",
    kind: "small",
    title: "All that is known of the call",
    work: async () => {
      // A part that cannot be read is told of: a file without it would pass for all there is.
      const [found, transferred] = await Promise.all([
        captured(call),
        api.all(`calls/${call.id}/transfers`),
      ]);
      save(
        `${call.id}.json`,
        "application/json",
        JSON.stringify({ ...data(), messages: found, transfers: transferred }, null, 2),
      );
    },
  });
  const pcap =
    api.may("calls") &&
    button("pcap", {
      icon: "download",
      kind: "small",
      title: "Packets, for Wireshark",
      work: async () => {
        try {
          save(
            `${call.id}.pcap`,
            "application/vnd.tcpdump.pcap",
            await api.bytes(`calls/${call.id}/capture`),
          );
        } catch (error) {
          toast(
            error.status === 404
              ? "The packets of this call were not captured, or gave way to those of later calls."
              : error.message,
            "bad",
          );
        }
      },
    });
  const place = h("div.actions");
  return mount(place, json, pcap);
}
