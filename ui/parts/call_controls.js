// What can be done to a call that lives.

import * as api from "../lib/api.js";
import { listenIn } from "../lib/audio.js";
import { h, perFrame, say } from "../lib/dom.js";
import { TRANSFER_KINDS } from "../lib/words.js";
import { button, card } from "./basic.js";
import { confirm, formDialog } from "./dialog.js";
import * as kinds from "./fields.js";
import { metadataForm, submit } from "./form.js";
import { meter } from "./meter.js";
import { complain, toast } from "./toast.js";

const KEYS = "123456789*0#";

/** `held` says that the call is on hold already. */
export function controls(call, signal, { held = false } = {}) {
  const path = `calls/${call.id}`;
  const toggle = (on, off, name, what, before = false) => {
    let is = before;
    const element = button(is ? off : on, {
      icon: name,
      work: async () => {
        await api.post(`${path}/${what}`, { on: !is });
        is = !is;
        element.querySelector("span").textContent = is ? off : on;
        element.setAttribute("aria-pressed", String(is));
      },
    });
    element.setAttribute("aria-pressed", String(is));
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
      button("Transfer", { icon: "transfer", work: () => transfer(path) }),
      button("Put aside", {
        kind: "quiet",
        title: "The agent is let go, and the caller waits for somebody to take the call up",
        work: async () => {
          const { slot } = await api.post(`${path}/park`, {});
          toast(`It waits in slot ${slot}; see Queues.`);
        },
      }),
      button("Record", {
        icon: "record",
        work: async () => {
          const { state } = await api.post(`${path}/record`, { state: "start" });
          toast(`Recording: ${state}.`);
        },
      }),
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
    toggle.querySelector("span").textContent = "Listen in";
    toggle.setAttribute("aria-pressed", "false");
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
      toggle.querySelector("span").textContent = "Stop listening";
      toggle.setAttribute("aria-pressed", "true");
    },
  });
  signal.addEventListener("abort", () => stop?.(), { once: true });
  return { button: toggle, element };
}

async function transfer(path) {
  const form = metadataForm({
    fields: [
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
          placeholder: "+4930123456, sip:desk@example.com, or an agent's name",
        }),
      },
    ],
  });
  form.submit = () => submit(form, (values) => api.post(`${path}/transfer`, values));
  if (await formDialog("Transfer the caller", form, { action: "Transfer" }))
    toast("It is under way; the time line shows what comes of it.");
}
