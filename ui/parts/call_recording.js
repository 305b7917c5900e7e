// The recording of a call: waves, who spoke when, turn by turn.

import * as api from "../lib/api.js";
import { h, mount } from "../lib/dom.js";
import { bytes, length, span } from "../lib/format.js";
import { decode, speech, turns } from "../lib/wav.js";
import { badge, button, card, details, empty, failed, nothing, progress } from "./basic.js";
import { confirm } from "./dialog.js";
import { toast } from "./toast.js";
import { waveform } from "./waveform.js";

/** Recordings up to this length are opened by themselves; longer ones when asked. */
const OPENS_MAX_MS = 600_000;
/** How often it is looked for one that is not complete yet. */
const AGAIN_MS = 1_000;
const TRIES_MAX = 30;

/** When the clock of the file begins: at the answer, or when the recording was started after it. */
function beginning(call, events) {
  const first = events.find(
    ({ type, data }) => type === "call.recording" && data.state === "recording",
  );
  return Math.max(Date.parse(call.answered_at), first ? Date.parse(first.at) : 0);
}

/** The card of a recording; `tell` hears who spoke when. */
export function recording(call, events, signal, tell) {
  const told = events.filter(({ type }) => type === "call.recording").map(({ data }) => data);
  const states = told.map(({ state }) => state);
  const body = h("div.recorded");
  // What the file has, once that was told.
  const made = told.map(({ at_server }) => at_server).findLast((one) => one?.size_bytes);
  const about = [
    made?.channels === 1
      ? "The caller alone."
      : "The caller on the left channel, what it hears on the right.",
    made && `${length(made.duration_ms)}, ${bytes(made.size_bytes)}.`,
  ]
    .filter(Boolean)
    .join(" ");
  if (!states.length || states.every((state) => state === "at_carrier" || state === "failed")) {
    return call.answered_at && call.state === "ended"
      ? card(
          "Recording",
          {},
          nothing(
            "This call was not recorded.",
            "With a recording this page shows both voices, who spoke when, how long the caller waited for each answer, and interruptions. For the next call, switch on “Record” at its route or “Record its calls” at its agent.",
          ),
        )
      : null;
  }
  if (call.state !== "ended")
    return card("Recording", { about: "It is being made: it can be heard once the call is over." });
  let release = () => {};
  const erase =
    api.may("calls") &&
    button("", {
      icon: "trash",
      kind: "small danger quiet icon-only",
      title: "Delete the recording",
      work: async () => {
        const gone = await confirm("Delete this recording?", {
          consequences: ["Its sound is gone for good. The call stays in the list of calls."],
          action: "Delete it",
          work: () => api.remove(`calls/${call.id}/recording`),
        });
        if (!gone) return;
        body.querySelector("audio")?.pause();
        release();
        erase.remove();
        mount(body, empty("record", "The recording was deleted", "Its sound is gone."));
        toast("Deleted.");
      },
    });
  const open = async (tries = TRIES_MAX) => {
    const bar = progress("Loading the recording");
    mount(body, bar.element);
    try {
      const buffer = await api.bytes(`calls/${call.id}/recording`, {
        signal,
        onProgress: (got, all) => bar.to(got / all, `${bytes(got)} of ${bytes(all)}`),
      });
      const sound = decode(buffer);
      const [peer, agent] = sound.channels.map((samples) => speech(samples, sound.rate));
      const spoken = turns(peer, agent ?? []);
      const player = waveform(buffer, sound, `${call.id}.wav`);
      release = player.release;
      signal.addEventListener("abort", () => release(), { once: true });
      mount(body, player.element, ledger(spoken, player));
      tell({ from: beginning(call, events), turns: spoken });
    } catch (error) {
      if (error.name === "AbortError") return;
      // It is written to its end a moment after the call.
      if (error.status === 409 && tries > 0) {
        setTimeout(() => signal.aborted || open(tries - 1), AGAIN_MS);
        return;
      }
      if (error.status === 404 && erase) erase.remove();
      mount(
        body,
        error.status === 404
          ? empty(
              "record",
              "The file is not here any more",
              "It was removed, or lies on another server.",
            )
          : failed(error, () => open()),
      );
    }
  };
  if (call.duration_ms <= OPENS_MAX_MS) open();
  else
    mount(
      body,
      button(`Load ${length(call.duration_ms)} of sound`, { icon: "download", work: () => open() }),
    );
  return card("Recording", { about, actions: erase }, body);
}

const middle = (list) =>
  list.length ? list.slice().sort((a, b) => a - b)[Math.floor(list.length / 2)] : null;

/** Who said something when, and how long the other waited. */
function ledger(spoken, player) {
  if (!spoken.length)
    return empty("silence", "Nobody says anything", "There is no speech in this recording.");
  const answers = spoken
    .filter((turn) => turn.who === "agent" && turn.after !== null)
    .map((turn) => turn.after);
  const barged = spoken.filter((turn) => turn.who === "caller" && turn.interrupts);
  const heard = barged.filter((turn) => turn.yielded).length;
  const one = (name, value, note) =>
    h(
      "div.tile",
      h("span.tile-name", name),
      h("span.tile-value", value),
      h("span.tile-note", note),
    );
  return [
    h(
      "div.tiles",
      one(
        "The agent answers after",
        answers.length ? span(middle(answers)) : "–",
        answers.length
          ? `middle of ${answers.length}; longest ${span(Math.max(...answers))}`
          : total(spoken, "agent")
            ? "it never spoke right after the caller"
            : "it never answered",
      ),
      one(
        "Interruptions",
        String(barged.length),
        barged.length
          ? `the agent fell silent in ${heard} of them`
          : "the caller never spoke over the agent",
      ),
      one("Caller speaks", span(total(spoken, "caller")), ""),
      one("Agent speaks", span(total(spoken, "agent")), ""),
    ),
    details(
      `Turn by turn (${spoken.length})`,
      h(
        "ol.turns",
        spoken.map((turn) =>
          h(
            "li",
            { class: turn.who },
            button(length(turn.from), {
              kind: "small quiet mono",
              title: `Play from ${length(turn.from)}`,
              onclick: () => player.seek(turn.from / 1_000),
            }),
            h("strong", turn.who === "caller" ? "Caller" : "Agent"),
            h("span", span(turn.to - turn.from)),
            turn.after !== null && h("span.muted", `after ${span(turn.after)}`),
            turn.interrupts &&
              badge(
                turn.who === "caller"
                  ? turn.yielded
                    ? `interrupts; agent stops after ${span(turn.yields)}`
                    : "interrupts; agent talks on"
                  : "speaks over the caller",
                turn.yielded ? "wait" : "warn",
              ),
          ),
        ),
      ),
    ),
  ];
}

const total = (spoken, who) =>
  spoken.filter((turn) => turn.who === who).reduce((all, turn) => all + turn.to - turn.from, 0);
