// What a call's events add up to: its silences in words, and its lanes on a time line.

import { now } from "../lib/clock.js";
import { span } from "../lib/format.js";
import { silence } from "../lib/words.js";
import { h } from "../lib/dom.js";
import { icon } from "../lib/icons.js";

const at = (event) => Date.parse(event.at);
const of = (events, word) => events.filter(({ type }) => type === `call.${word}`);

/** Stretches without sound: `{direction, reason, from, to, ...words}`; `end` closes those that last. */
export function silences(events, end) {
  const open = {};
  const found = [];
  for (const event of of(events, "silence")) {
    const { direction, reason, silent, since_ms: since } = event.data;
    const last = open[direction];
    if (last) last.to = at(event);
    open[direction] = null;
    if (!silent) continue;
    const one = {
      direction,
      reason,
      from: at(event) - (since ?? 0),
      to: end,
      ...silence(reason, direction),
    };
    open[direction] = one;
    found.push(one);
  }
  return found;
}

/** Each silence explained: what it is, and what to do; those of one reason together. */
export function verdicts({ call, events }) {
  const end = call.ended_at ? Date.parse(call.ended_at) : now();
  const groups = new Map();
  for (const one of silences(events, end)) {
    const key = `${one.direction} ${one.reason}`;
    const group = groups.get(key) ?? { ...one, total: 0, times: 0, lasts: false };
    group.total += one.to - one.from;
    group.times += 1;
    group.lasts = one.to === end;
    groups.set(key, group);
  }
  const answered = call.answered_at ? Math.max(1, end - Date.parse(call.answered_at)) : 1;
  return [...groups.values()]
    .sort((a, b) => b.total - a.total)
    .map((one) => {
      const quiet = ["muted", "hold", "one_way"].includes(one.reason);
      const how = `${span(one.total)}${one.times > 1 ? ` in ${one.times} stretches` : ""}, ${Math.min(100, Math.round((one.total / answered) * 100))} % of the call${one.lasts ? (call.ended_at ? ", to its end" : ", and goes on") : ""}.`;
      return h(
        "section.verdict",
        {
          class: quiet ? "info" : "bad",
          "aria-label": "Silence explained",
          "data-reason": one.reason,
          "data-direction": one.direction,
        },
        icon("silence", 22),
        h(
          "div",
          h("h2", one.title),
          h("p", h("strong", one.heard), ` ${one.meaning} ${how}`),
          one.advice && h("p.advice", h("strong", "What to do: "), one.advice),
        ),
      );
    });
}

/** What the figures of a call say, each with what to do: `[id, tone, title, meaning, advice]`. */
function findings({ quality: q }) {
  if (!q) return [];
  const part = (q.loss * 100).toFixed(1);
  return [
    q.loss >= 0.01 && [
      "loss",
      q.loss >= 0.05 ? "bad" : "warn",
      `${part} % of the caller's audio was lost`,
      `${q.lost} of ${q.lost + q.packets_in} packets never came: ${q.loss >= 0.05 ? "words are missing" : "syllables are swallowed"}.`,
      "Look at the network between the far end and this server: wireless links, overloaded uplinks, missing priority for voice. Other calls at the same time tell whether it is this caller's.",
    ],
    q.jitter_ms >= 30 && [
      "jitter",
      "warn",
      `Packets came unevenly, by ${q.jitter_ms.toFixed(0)} ms`,
      "Late packets are as good as lost where audio is played.",
      "Look for queues on the way: an uplink that is full, or a far end that is overloaded.",
    ],
    q.round_trip_ms >= 300 && [
      "delay",
      "warn",
      `It takes ${q.round_trip_ms.toFixed(0)} ms to the far end and back`,
      "People begin to talk over each other.",
      "Use a server, a trunk or a carrier's region that is nearer to the callers.",
    ],
    q.underruns > 0 && [
      "underruns",
      "warn",
      `The agent ran dry ${q.underruns} ${q.underruns === 1 ? "time" : "times"} in mid-sentence`,
      "Its audio came more slowly than it is spoken: callers hear gaps.",
      "Send audio ahead of time, use a faster speech service, and end each utterance with a mark.",
    ],
    q.agent_skipped > 0 && [
      "skipped",
      "warn",
      `The agent was too slow for ${q.agent_skipped} frames`,
      "What it did not read in time was left out: it misses words.",
      "Read the socket all the time, and do the slow work elsewhere.",
    ],
    q.first_audio_ms >= 2_500 && [
      "first",
      "warn",
      `The first word came after ${(q.first_audio_ms / 1_000).toFixed(1)} s`,
      "Callers say hello twice, or hang up.",
      "Prepare the greeting while it rings: the agent is connected before the answer.",
    ],
  ].filter(Boolean);
}

/** What the figures of a call say, as notices. */
export const advices = (call) =>
  findings(call).map(([id, tone, title, meaning, advice]) =>
    h(
      "section.verdict",
      { class: tone, "aria-label": "Audio explained", "data-finding": id },
      icon("health", 22),
      h("div", h("h2", title), h("p", meaning), h("p.advice", h("strong", "What to do: "), advice)),
    ),
  );

/**
 * Lanes of the time line, and its ends; `speech` is what a recording tells of who spoke, `told`
 * what the server knows of it without one.
 */
export function lanes(call, events, speech, told = []) {
  if (!events.length) return null;
  const from = events.reduce(
    (least, event) => Math.min(least, at(event)),
    call.initiated_at ? Date.parse(call.initiated_at) : Infinity,
  );
  const end = call.ended_at ? Date.parse(call.ended_at) : now();
  const to = Math.max(end, from + 1);
  const silent = silences(events, to);
  const quiet = (direction) =>
    silent
      .filter((one) => one.direction === direction)
      .map((one) => ({ from: one.from, to: one.to, label: one.title, tone: "bad" }));
  const all = [
    { name: "Call", blocks: states(call, events, from, to), points: [] },
    { name: "Agent", blocks: agents(events, to) },
    speech && {
      name: "Caller speaks",
      blocks: spoken(speech, "caller"),
      points: speech.turns
        .filter((turn) => turn.who === "caller" && turn.interrupts)
        .map((turn) => ({
          at: speech.from + turn.from,
          label: "The caller interrupts the agent",
          tone: "warn",
        })),
    },
    !speech && { name: "Caller speaks", blocks: heard(told, "caller") },
    {
      name: "Agent speaks",
      blocks: speech ? spoken(speech, "agent") : heard(told, "agent"),
      points: told
        .filter((one) => one.dropped_ms > 0)
        .map((one) => ({
          at: Date.parse(one.at) + one.played_ms,
          label: `Cut off: ${span(one.dropped_ms)} were not heard`,
          tone: "warn",
        })),
    },
    { name: "Silent: caller", blocks: quiet("in") },
    { name: "Silent: agent", blocks: quiet("out") },
    { name: "Other events", points: extras(events) },
  ];
  return {
    from,
    to,
    lanes: all.filter((lane) => lane && (lane.blocks?.length || lane.points?.length)),
  };
}

function states(call, events, from, to) {
  const ring = of(events, "ringing")[0];
  const answer = of(events, "answered")[0];
  const blocks = [];
  const begin = ring ? at(ring) : from;
  if (ring && at(ring) > from) blocks.push({ from, to: at(ring), label: "Begins", tone: "quiet" });
  blocks.push({ from: begin, to: answer ? at(answer) : to, label: "Rings", tone: "wait" });
  if (!answer) return blocks;
  let since = at(answer);
  let held = false;
  for (const event of of(events, "hold")) {
    if (event.data.on === held) continue;
    blocks.push({
      from: since,
      to: at(event),
      label: held ? "On hold" : "Talks",
      tone: held ? "quiet" : "live",
    });
    since = at(event);
    held = event.data.on;
  }
  blocks.push({
    from: since,
    to,
    label: held ? "On hold" : "Talks",
    tone: held ? "quiet" : "live",
  });
  return blocks;
}

function agents(events, to) {
  const blocks = [];
  for (const event of events) {
    const word = event.type.slice(5);
    const last = blocks.at(-1);
    if (word === "agent_connected" || word === "agent_lost") {
      if (last && last.to === to) last.to = at(event);
    }
    if (word === "agent_connected")
      blocks.push({
        from: at(event),
        to,
        label: `Agent ${event.data.agent}`,
        text: event.data.agent,
        tone: "good",
      });
    if (word === "agent_lost")
      blocks.push({
        from: at(event),
        to,
        label: `Without agent ${event.data.agent}`,
        text: "lost",
        tone: "bad",
      });
  }
  return blocks;
}

const spoken = (speech, who) =>
  speech.turns
    .filter((turn) => turn.who === who)
    .map((turn) => ({
      from: speech.from + turn.from,
      to: speech.from + turn.to,
      label: who === "caller" ? "The caller speaks" : "The agent speaks",
      text: "",
      tone: who === "caller" ? "mine" : "theirs",
    }));

/** The same from what the server itself knows of who spoke. */
const heard = (told, who) =>
  told
    .filter((one) => one.who === who && one.played_ms > 0)
    .map((one) => ({
      from: Date.parse(one.at),
      to: Date.parse(one.at) + one.played_ms,
      label: one.utterance
        ? `The agent speaks: ${one.utterance}`
        : `The ${who === "caller" ? "caller" : "agent"} speaks`,
      text: "",
      tone: who === "caller" ? "mine" : "theirs",
    }));

const EXTRAS = {
  transfer: "Transfer",
  play: "Sound",
  recording: "Recording",
  line_changed: "Another way",
  caller_id_picked: "Calling number",
  placed_elsewhere: "Another server",
  replaced: "Replaced",
  answered_by: "Answered by",
};

const extras = (events) =>
  events
    .filter(({ type }) => EXTRAS[type.slice(5)])
    .map((event) => ({
      at: at(event),
      label: `${EXTRAS[event.type.slice(5)]} ${event.data.state ?? event.data.who ?? ""}`,
      tone: event.data.state === "failed" ? "bad" : "",
    }));
