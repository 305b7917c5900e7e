// What can be done to a call that lives.

import * as api from "../lib/api.js";
import { listenIn } from "../lib/audio.js";
import { h, perFrame, say } from "../lib/dom.js";
import { button, card } from "./basic.js";
import { confirm } from "./dialog.js";
import { meter } from "./meter.js";
import { complain, toast } from "./toast.js";
import { transfer } from "./transfer_form.js";

const KEYS = "123456789*0#";

/** `held` says that the call is on hold already, `recording` how its recording stands. */
export function controls(call, signal, { held = false, recording = "" } = {}) {
  const path = `calls/${call.id}`;
  const toggle = (on, off, name, what, before = false) => {
    let is = before;
    const element = button(is ? off : on, {
      icon: name,
      work: async () => {
        await api.post(`${path}/${what}`, { on: !is });
        is = !is;
        turn(element, is, is ? off : on);
      },
    });
    turn(element, is, is ? off : on);
    return element;
  };
  const keys = h(
    "div.keypad.inline",
    { hidden: true },
    [...KEYS].map((digit) =>
      button(digit, { work: () => api.post(`${path}/dtmf`, { digits: digit }) }),
    ),
  );
  const pad = button("Keys", {
    icon: "keypad",
    onclick: () => {
      keys.hidden = !keys.hidden;
      pad.setAttribute("aria-expanded", String(!keys.hidden));
    },
  });
  const ear = listening(call, signal);
  const end = button("Hang up", {
    icon: "hangup",
    kind: "danger",
    work: async () => {
      await confirm("Hang up?", {
        text: "The call ends for both sides.",
        action: "Hang up",
        work: () => api.post(`${path}/hangup`),
      });
    },
  });
  return card(
    "Steer this call",
    { kind: "controls", actions: end },
    h(
      "div.actions",
      ear.button,
      toggle("Mute the agent", "Unmute", "mute", "mute"),
      toggle("Hold", "Resume", "hold", "hold", held),
      pad,
      button("Transfer", { icon: "transfer", work: () => transfer(call) }),
      button("Put aside", {
        kind: "quiet",
        title: "The agent is let go, and the caller waits for somebody to take the call up",
        work: async () => {
          const { slot } = await api.post(`${path}/park`, {});
          toast(`It waits in slot ${slot}; see Queues.`);
        },
      }),
      record(path, recording),
      button("Drop what is queued", {
        kind: "quiet",
        title: "What the agent has queued is not heard",
        work: async () => {
          await api.post(`${path}/clear`);
          toast("What was queued is dropped.");
        },
      }),
    ),
    keys,
    ear.element,
  );
}

/** Shows whether what a button does is done, by a word for what it does next. */
function turn(element, is, label) {
  element.querySelector("span").textContent = label;
  element.classList.toggle("is-on", is);
}

/** What comes next of a recording that stands so: the button's word, the order, what is told. */
const RECORDS = {
  recording: ["Pause recording", "pause", "The recording pauses: nothing is kept."],
  paused: ["Resume recording", "resume", "The recording goes on."],
};
const RECORD = ["Record", "start", "The call is recorded."];

function record(path, before) {
  let state = before;
  const next = () => RECORDS[state] ?? RECORD;
  const element = button(next()[0], {
    icon: "record",
    work: async () => {
      const [, order, done] = next();
      ({ state } = await api.post(`${path}/record`, { state: order }));
      toast(done);
      turn(element, state === "recording", next()[0]);
    },
  });
  turn(element, state === "recording", next()[0]);
  return element;
}

/** Hearing the call, with a meter for each side. */
function listening(call, signal) {
  let stop = null;
  const state = h("span.muted", { role: "status" });
  const [peer, agent] = [meter("Caller", { kind: "mine" }), meter("Agent", { kind: "theirs" })];
  const element = h(
    "div.listening",
    { hidden: true },
    h("span", "Caller"),
    peer.element,
    h("span", "Agent"),
    agent.element,
    state,
  );
  let levels = [0, 0];
  const draw = perFrame(() => {
    peer.set(levels[0]);
    agent.set(levels[1]);
  });
  const end = () => {
    stop = null;
    element.hidden = true;
    turn(toggle, false, "Listen in");
  };
  const toggle = button("Listen in", {
    icon: "ear",
    title: "Hear both sides; it is written in the audit log",
    work: async () => {
      if (stop) {
        stop();
        return;
      }
      element.hidden = false;
      say(state, "connecting");
      stop = await listenIn(call.id, {
        levels: (...both) => {
          levels = both;
          draw();
        },
        state: (word, detail) => {
          if (word === "listening") say(state, "120 ms behind");
          if (word === "failed") complain(detail);
          if (word === "over") end();
        },
      });
      turn(toggle, true, "Stop listening");
    },
  });
  signal.addEventListener("abort", () => stop?.(), { once: true });
  return { button: toggle, element };
}
