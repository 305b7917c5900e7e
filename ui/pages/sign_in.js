// Signing in by an API key, which the page does not keep.

import * as api from "../lib/api.js";
import { h, mount } from "../lib/dom.js";
import { icon } from "../lib/icons.js";
import { button, busy } from "../parts/basic.js";
import { mark } from "../parts/shell.js";

export function signIn(onDone, why) {
  const wrong = h("div", { role: "alert" });
  const input = h("input.mono", {
    type: "password",
    id: "key",
    name: "key",
    placeholder: "tp_…",
    autocomplete: "current-password",
    autocapitalize: "off",
    spellcheck: "false",
    "aria-describedby": "key-help",
  });
  const send = button("Sign in", { kind: "primary wide", type: "submit" });
  const refuse = (title, text) =>
    mount(wrong, h("div.notice.bad", icon("alert"), h("div", h("strong", title), h("p", text))));
  const form = h(
    "form",
    {
      onsubmit: async (event) => {
        event.preventDefault();
        const key = input.value.trim();
        if (!key) {
          refuse("A key is needed", "Paste the key that the server printed at its first start.");
          input.focus();
          return;
        }
        try {
          await busy(send, () => api.signIn(key));
          onDone();
        } catch (error) {
          if (error.status === 401)
            refuse(
              "This key does not hold",
              "It was revoked, or a character is missing. Keys begin with tp_.",
            );
          else refuse(error.title ?? "That did not work", error.message);
          input.focus();
          input.select();
        }
      },
    },
    h("label", { for: "key" }, "API key"),
    input,
    h(
      "p.help",
      { id: "key-help" },
      "The server prints the first key once, at its first start. Others are made with ",
      h("code", "talkpath key create"),
      ".",
    ),
    wrong,
    send,
  );
  setTimeout(() => input.focus());
  return h(
    "main.sign-in",
    { id: "main" },
    h(
      "div.sign-in-card",
      h("div.sign-in-brand", mark(), h("h1", "Talkpath")),
      h("p.muted", "Phone calls for voice agents, in real time."),
      why && h("div.notice.info", icon("info"), h("div", h("p", why))),
      form,
      h(
        "p.fine",
        icon("lock", 14),
        h(
          "span",
          "The key itself is not kept: your browser gets a cookie for twelve hours that scripts cannot read.",
        ),
      ),
    ),
  );
}
