// What the server knows of who spoke: what the agent said, what of it was heard, what was cut off.

import { h } from "../lib/dom.js";
import { fine, length, plural, span } from "../lib/format.js";
import { badge, card, details } from "./basic.js";

const middle = (list) => list.slice().sort((a, b) => a - b)[Math.floor(list.length / 2)];

/** How something that was said ended, in words and with a tone. */
function ending({ outcome, played_ms: played, dropped_ms: dropped }) {
  if (outcome === "played") return null;
  if (outcome === "ended")
    return dropped ? [`the call ended: ${span(dropped)} not heard`, "quiet"] : null;
  return played
    ? [`cut off: ${span(dropped)} not heard`, "warn"]
    : [`dropped unheard: ${span(dropped)}`, "warn"];
}

/** The card of a call's utterances; nothing where the server knows of none. */
export function ledger({ call, spoken }) {
  if (!spoken.length) return null;
  const agent = spoken.filter(({ who }) => who === "agent");
  const cut = agent.filter(({ outcome }) => outcome === "cleared");
  const waits = agent.map(({ waited_ms: ms }) => ms).filter((ms) => ms !== null);
  const start = Date.parse(call.answered_at ?? call.initiated_at);
  const total = (list, pick) => list.reduce((all, one) => all + pick(one), 0);
  const one = (name, value, note) =>
    h(
      "div.tile",
      h("span.tile-name", name),
      h("span.tile-value", value),
      h("span.tile-note", note),
    );
  const row = (entry) => {
    const end = ending(entry);
    return h(
      "li",
      { class: entry.who },
      h(
        "span.mono.muted",
        { title: fine(entry.at) },
        length(Math.max(0, Date.parse(entry.at) - start)),
      ),
      h("strong", entry.who === "caller" ? "Caller" : "Agent"),
      h("span", span(entry.played_ms)),
      entry.waited_ms !== null && h("span.muted", `after ${span(entry.waited_ms)}`),
      entry.utterance && h("code.clip", entry.utterance),
      end && badge(...end),
    );
  };
  return card(
    "Utterances",
    { about: "What the agent said, as it left for the caller, and what of it was dropped." },
    h(
      "div.tiles",
      one("Agent speaks", span(total(agent, (x) => x.played_ms)), `in ${plural(agent.length, "stretch", "stretches")}`),
      one(
        "Cut off",
        String(cut.length),
        cut.length
          ? `${span(total(cut, (x) => x.dropped_ms))} of what was said were not heard`
          : "all that was said was heard",
      ),
      waits.length > 0 &&
        one(
          "The caller waits",
          span(middle(waits)),
          `middle of ${waits.length}; longest ${span(Math.max(...waits))}`,
        ),
    ),
    details(`One by one (${spoken.length})`, h("ol.turns", spoken.map(row))),
  );
}
