// The test phone: a panel that stays while one goes from page to page.

import * as api from "../lib/api.js";
import { Phone, microphoneFault } from "../lib/audio.js";
import { h, mount, perFrame, say } from "../lib/dom.js";
import { length } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { button, empty, failed, linkButton, loading, notice } from "./basic.js";
import { meter } from "./meter.js";

const KEYS = "123456789*0#";
let panel = null;

/** Opens the phone; `agent` is called at once if `starts`. `onover` hears of its end. */
export function openPhone({ agent, starts = false, onover } = {}) {
  if (panel?.isTalking) {
    panel.element.querySelector("button")?.focus();
    return;
  }
  panel?.close();
  panel = new Panel(onover);
  document.body.append(panel.element);
  panel.title.focus({ preventScroll: true });
  if (starts) panel.call({ agent });
  else panel.choose(agent);
}

export function hangUpPhone() {
  panel?.close();
}

const nobody = () =>
  empty(
    "agent",
    "Nobody talks yet",
    "Add an agent first: your program, or one that is built in.",
    linkButton("Add an agent", "#/agents/new", { icon: "plus" }),
  );

class Panel {
  isTalking = false;
  #phone = null;
  #timer = 0;

  constructor(onover) {
    this.onover = onover;
    // Whoever closes it goes on where they were.
    this.opener = document.activeElement;
    this.body = h("div.phone-body");
    this.title = h("h2", { tabindex: "-1" }, "Test call");
    this.element = h(
      "section.phone",
      { "aria-label": "Test phone" },
      h(
        "header",
        this.title,
        button("", {
          icon: "close",
          kind: "quiet icon-only",
          title: "Close the phone",
          onclick: () => this.close(),
        }),
      ),
      this.body,
    );
    this.element.addEventListener("keydown", (event) => {
      // A call is not ended by accident.
      if (event.key === "Escape" && !this.isTalking) this.close();
    });
  }

  close() {
    clearInterval(this.#timer);
    this.#phone?.hangUp();
    const held = this.element.contains(document.activeElement);
    this.element.remove();
    if (held && this.opener?.isConnected) this.opener.focus({ preventScroll: true });
    if (panel === this) panel = null;
  }

  /** Whom to call: an agent, or a number as if it had been dialled. */
  async choose(preferred) {
    mount(this.body, loading("Looking for agents"));
    try {
      const agents = await api.all("agents");
      if (!agents.length) {
        mount(this.body, nobody());
        return;
      }
      const select = h(
        "select",
        { id: "phone-agent" },
        agents.map(({ name }) => h("option", { value: name, selected: name === preferred }, name)),
      );
      const number = h("input", {
        id: "phone-to",
        type: "text",
        inputmode: "tel",
        placeholder: "or dial one of your numbers",
        autocomplete: "off",
      });
      const call = button("Call", { icon: "phone", kind: "primary wide", type: "submit" });
      mount(
        this.body,
        h(
          "form",
          {
            onsubmit: (event) => {
              event.preventDefault();
              const to = number.value.trim();
              this.call(to ? { to } : { agent: select.value });
            },
          },
          h("label", { for: "phone-agent" }, "Agent"),
          select,
          h("label", { for: "phone-to" }, "Number"),
          number,
          h("p.help", "The call is made by this browser: your microphone, no carrier, no cost."),
          call,
        ),
      );
      call.focus();
    } catch (error) {
      mount(
        this.body,
        failed(error, () => this.choose(preferred)),
      );
    }
  }

  async call(request, microphone = true) {
    this.isTalking = true;
    this.title.textContent = request.agent ?? request.to;
    const state = h(
      "p.phone-state",
      { role: "status" },
      microphone ? "Allow the microphone to begin" : "Connecting",
    );
    const time = h("span.phone-time", "0:00");
    const mine = meter("You", { kind: "mine" });
    const theirs = meter("Agent", { kind: "theirs" });
    let levels = [0, 0];
    const draw = perFrame(() => {
      mine.set(levels[0]);
      theirs.set(levels[1]);
    });
    const phone = new Phone({
      state: (word, code) => this.#changed(word, code, { state, request, microphone }),
      levels: (...both) => {
        levels = both;
        draw();
      },
      digit: (digit) => say(state, `The agent pressed ${digit}`),
    });
    this.#phone = phone;
    let muted = false;
    const mute = button("", {
      icon: "mute",
      kind: "round",
      title: "Mute",
      onclick: () => {
        muted = !muted;
        phone.mute(muted);
        mute.setAttribute("aria-pressed", String(muted));
      },
    });
    const keys = h(
      "div.keypad",
      { hidden: true },
      [...KEYS].map((digit) =>
        h("button", { type: "button", onclick: () => phone.dtmf(digit) }, digit),
      ),
    );
    const pad = button("", {
      icon: "keypad",
      kind: "round",
      title: "Keys",
      onclick: () => {
        keys.hidden = !keys.hidden;
        pad.setAttribute("aria-expanded", String(!keys.hidden));
      },
    });
    const end = button("", {
      icon: "hangup",
      kind: "round hang",
      title: "Hang up",
      onclick: () => phone.hangUp(),
    });
    mount(
      this.body,
      state,
      time,
      h("div.phone-levels", h("span", "You"), mine.element, h("span", "Agent"), theirs.element),
      keys,
      h("div.phone-buttons", mute, end, pad),
    );
    this.#timer = setInterval(() => {
      if (phone.began) say(time, length(performance.now() - phone.began));
    }, 500);
    try {
      await phone.start(request, { microphone });
    } catch (error) {
      // Whoever has hung up is told nothing more.
      if (!this.isTalking) return;
      this.#stopped();
      phone.hangUp();
      this.#refused(error, request, microphone);
    }
  }

  #changed(word, code, { state, request, microphone }) {
    if (word === "talking") {
      say(state, "Talking");
      this.element.classList.add("is-talking");
    }
    if (word !== "over" || !this.isTalking) return;
    this.#stopped();
    const call = this.#phone?.call;
    mount(
      this.body,
      h(
        "p.phone-state",
        { role: "status" },
        code === 1000 || code === 1005 ? "The call is over" : "The connection was lost",
      ),
      call &&
        h(
          "a.button.wide",
          { href: `#/calls/${call.id}` },
          icon("log"),
          h("span", "See what happened"),
        ),
      // Whoever has none is not asked for it again.
      button("Call again", {
        icon: "phone",
        kind: "wide",
        onclick: () => this.call(request, microphone),
      }),
    );
    this.onover?.(call);
  }

  #stopped() {
    this.isTalking = false;
    clearInterval(this.#timer);
    this.element.classList.remove("is-talking");
  }

  #refused(error, request, microphone) {
    if (error instanceof api.Problem || !microphone) {
      mount(
        this.body,
        failed(error, () => this.call(request, microphone)),
        button("Choose another", { kind: "wide", onclick: () => this.choose() }),
      );
      return;
    }
    mount(
      this.body,
      notice("warn", "No microphone", microphoneFault(error)),
      h(
        "p.help",
        "Without one the page sends a short tone every two seconds, which an echo gives back.",
      ),
      button("Call without a microphone", {
        icon: "phone",
        kind: "primary wide",
        onclick: () => this.call(request, false),
      }),
      button("Try the microphone again", {
        icon: "mic",
        kind: "wide",
        onclick: () => this.call(request),
      }),
    );
  }
}
