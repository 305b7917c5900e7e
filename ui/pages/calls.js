// All calls, those that live and those that are over.

import * as api from "../lib/api.js";
import { h } from "../lib/dom.js";
import { address, exactly, figure, length, percent, span, when } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { go } from "../lib/router.js";
import { cause, mosTone, silence } from "../lib/words.js";
import { badge, button, details, empty, heading, status } from "../parts/basic.js";
import { openPhone, placeCall } from "../parts/phone.js";
import { paged } from "../parts/table.js";

const FILTERS = [
  "status",
  "living",
  "direction",
  "from",
  "to",
  "agent",
  "began_from",
  "began_until",
];
/** What is chosen of states for calls that are not over, whatever they are about to do. */
const LIVING = "living";
const STATES = [
  ["", "Any state"],
  [LIVING, "Living"],
  ["completed", "Completed"],
  ["busy,no-answer", "Not answered"],
  ["failed", "Failed"],
  ["canceled", "Given up"],
];

export async function page({ title, query, signal }) {
  title("Calls");
  const chosen = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
  const wanted = new URLSearchParams(Object.entries(chosen).filter(([, value]) => value));
  const agents = await api.all("agents", { signal });
  const isFiltered = wanted.size > 0;
  const list = await paged("Calls", `calls${isFiltered ? `?${wanted}` : ""}`, COLUMNS, {
    signal,
    href: (call) => `#/calls/${call.id}`,
    none: () =>
      isFiltered
        ? empty(
            "search",
            "No call fits",
            "Take a filter away, or look at another time.",
            h("a.button", { href: "#/calls" }, "All calls"),
          )
        : empty(
            "calls",
            "No calls yet",
            "Make the first one from this browser: no telephone and no carrier is needed.",
            api.may("calls") &&
              button("Test call", { icon: "phone", kind: "primary", onclick: () => openPhone() }),
          ),
  });
  return [
    heading(
      "Calls",
      "What was said is not kept unless a call is recorded; what happened always is.",
      api.may("calls") && button("Place a call", { icon: "outbound", work: placeCall }),
    ),
    matchMedia("(max-width: 760px)").matches
      ? details(isFiltered ? "Filter (on)" : "Filter", filters(chosen, agents))
      : filters(chosen, agents),
    list.element,
  ];
}

function filters(chosen, agents) {
  const field = (label, control) => h("label", h("span", label), control);
  const options = (list, value) =>
    list.map(([word, text]) => h("option", { value: word, selected: word === value }, text));
  const local = (time) =>
    time
      ? new Date(new Date(time).getTime() - new Date().getTimezoneOffset() * 60_000)
          .toISOString()
          .slice(0, 16)
      : "";
  const form = h(
    "form.filters",
    {
      "aria-label": "Filter",
      onsubmit: (event) => {
        event.preventDefault();
        const data = new FormData(form);
        const wanted = new URLSearchParams();
        if (data.get("status") === LIVING) {
          data.delete("status");
          data.set("living", "true");
        }
        for (const name of FILTERS) {
          const value = String(data.get(name) ?? "").trim();
          if (value)
            wanted.set(name, name.startsWith("began_") ? new Date(value).toISOString() : value);
        }
        go(`calls${wanted.size ? `?${wanted}` : ""}`);
      },
    },
    field(
      "State",
      h("select", { name: "status" }, options(STATES, chosen.living ? LIVING : chosen.status)),
    ),
    field(
      "Direction",
      h(
        "select",
        { name: "direction" },
        options(
          [
            ["", "Both"],
            ["inbound", "In"],
            ["outbound", "Out"],
          ],
          chosen.direction,
        ),
      ),
    ),
    field(
      "Agent",
      h(
        "select",
        { name: "agent" },
        options([["", "Any agent"], ...agents.map(({ name }) => [name, name])], chosen.agent),
      ),
    ),
    field(
      "From",
      h("input", {
        name: "from",
        value: chosen.from,
        placeholder: "whole address",
        autocomplete: "off",
      }),
    ),
    field(
      "To",
      h("input", {
        name: "to",
        value: chosen.to,
        placeholder: "whole address",
        autocomplete: "off",
      }),
    ),
    field(
      "Began after",
      h("input", { name: "began_from", type: "datetime-local", value: local(chosen.began_from) }),
    ),
    field(
      "Began before",
      h("input", { name: "began_until", type: "datetime-local", value: local(chosen.began_until) }),
    ),
    h(
      "div.actions",
      button("Filter", { icon: "search", type: "submit" }),
      Object.values(chosen).some(Boolean) && h("a.button.quiet", { href: "#/calls" }, "Clear"),
    ),
  );
  form.addEventListener(
    "change",
    (event) => event.target.matches("select") && form.requestSubmit(),
  );
  return form;
}

export const direction = (call) =>
  h(
    "span.direction",
    { class: call.direction },
    icon(call.direction === "inbound" ? "inbound" : "outbound", 15),
    h("span.offscreen", call.direction === "inbound" ? "in" : "out"),
  );

/** Silences that are meant. */
const MEANT = new Set(["muted", "hold", "one_way"]);
/** Shorter silences are not listed, in milliseconds. */
const QUIET_MIN_MS = 2_000;

/** What of a call was silent, so that it is found again; its page says why. */
function quiet({ quality: q }) {
  const found = [
    ["in", q?.silence_in, q?.silence_in_ms],
    ["out", q?.silence_out, q?.silence_out_ms],
  ].filter(([, reason, ms]) => reason && ms >= QUIET_MIN_MS && !MEANT.has(reason));
  const [direction, reason, ms] = found.sort((a, b) => b[2] - a[2])[0] ?? [];
  if (!reason) return null;
  const { title } = silence(reason, direction);
  return h("span.after", { title }, badge(`silent ${span(ms)}`, "bad"), h("span.offscreen", title));
}

const COLUMNS = [
  {
    label: "Call",
    cell: (call) =>
      h(
        "span.parties",
        direction(call),
        h("strong.clip", address(call.from)),
        h("span.muted", "→"),
        h("span.clip", address(call.to)),
      ),
  },
  { label: "State", cell: (call) => status(call) },
  {
    label: "Why it ended",
    kind: "grow",
    cell: (call) => [
      call.cause && call.cause !== "normal"
        ? cause(call.cause)
        : h("span.muted", call.cause ? cause(call.cause) : ""),
      quiet(call),
    ],
  },
  { label: "Agent", cell: (call) => call.agent },
  { label: "Length", kind: "num", cell: (call) => length(call.duration_ms) },
  { label: "Loss", kind: "num", cell: (call) => (call.quality ? percent(call.quality.loss) : "") },
  {
    label: "MOS",
    kind: "num",
    cell: (call) =>
      call.quality?.mos ? badge(figure(call.quality.mos, 2), mosTone(call.quality.mos)) : "",
  },
  {
    label: "Began",
    kind: "num",
    cell: (call) =>
      h(
        "span",
        { title: exactly(call.initiated_at ?? call.began_unix_ms) },
        when(call.initiated_at ?? call.began_unix_ms),
      ),
  },
];
