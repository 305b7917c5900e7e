// Small pieces that many pages are made of.

import { h } from "../lib/dom.js";
import { icon } from "../lib/icons.js";
import { callTone, status as statusText } from "../lib/words.js";
import { complain, toast } from "./toast.js";

/** A button; `work` keeps it busy until it is done, and what goes wrong is told. */
export function button(
  label,
  { icon: name, kind = "", onclick, work, title, disabled, type } = {},
) {
  const element = h(
    "button",
    {
      class: kind,
      type: type ?? "button",
      title,
      disabled: Boolean(disabled),
    },
    name && icon(name),
    label && h("span", label),
  );
  if (!label && title) element.setAttribute("aria-label", title);
  element.addEventListener("click", async (event) => {
    if (onclick) onclick(event);
    if (work) await busy(element, () => work(event)).catch(complain);
  });
  return element;
}

/** Shows that an element works for as long as `work` does. */
export async function busy(element, work) {
  if (element.getAttribute("aria-busy") === "true") return undefined;
  const held = document.activeElement === element;
  element.setAttribute("aria-busy", "true");
  element.disabled = true;
  try {
    return await work();
  } finally {
    element.removeAttribute("aria-busy");
    element.disabled = false;
    // What is disabled loses the keyboard; it gets it back unless somebody else has it now.
    if (held && document.activeElement === document.body) element.focus({ preventScroll: true });
  }
}

/** A link that looks like a button. */
export const linkButton = (label, href, { icon: name, kind = "" } = {}) =>
  h("a.button", { class: kind, href }, name && icon(name), h("span", label));

export const badge = (text, kind = "quiet") => h("span.badge", { class: kind }, text);

/** The state of a call. */
export const status = (call) => badge(statusText(call.status), callTone(call));

/** A heading with what can be done beside it. */
export const heading = (title, about, ...actions) =>
  h(
    "header.page-head",
    h("div", h("h1", { tabindex: "-1" }, title), about && h("p.muted", about)),
    actions.flat().some(Boolean) && h("div.actions", actions),
  );

/** A way back. */
export const backTo = (href, label) => h("a.back", { href }, icon("back", 16), h("span", label));

export const card = (title, { about, actions, id, kind = "" } = {}, ...content) =>
  h(
    "section.card",
    { class: kind, "aria-label": title || undefined, ...(id && { id }) },
    title &&
      h(
        "div.card-head",
        h("div", h("h2", title), about && h("p.muted", about)),
        actions && h("div.actions", actions),
      ),
    content,
  );

/** What a place says while there is nothing in it. */
export const empty = (name, title, text, ...actions) =>
  h(
    "div.empty",
    h("div.empty-icon", icon(name, 28)),
    h("h2", title),
    h("p.muted", text),
    actions.length > 0 && h("div.actions", actions),
  );

/** The same within a card, in two lines. */
export const nothing = (title, text, ...actions) =>
  h(
    "div.nothing",
    h("p", h("strong", title), " ", h("span.muted", text)),
    actions.some(Boolean) && h("div.actions", actions),
  );

export const loading = (label = "Loading") =>
  h(
    "div.loading",
    { role: "status" },
    h("span.spinner", { "aria-hidden": "true" }),
    h("span", label),
  );

/** The same of work whose length is known: `to(part, text)` says how much is done, 0 to 1. */
export function progress(label) {
  const bar = h("progress", { max: 1, value: 0, "aria-label": label });
  const text = h("span.muted.mono");
  const element = h("div.loading", h("span", label), bar, text);
  return {
    element,
    to(part, said) {
      bar.value = part;
      text.textContent = said;
    },
  };
}

/** What went wrong, and the way to try again. */
export const failed = (error, again) =>
  h(
    "div.notice.bad",
    { role: "alert" },
    icon("alert"),
    h("div", h("strong", error.title ?? "Something went wrong"), h("p", error.message)),
    again && button("Try again", { icon: "refresh", onclick: again }),
  );

export const notice = (kind, title, text, ...actions) =>
  h(
    "div.notice",
    { class: kind },
    icon(kind === "good" ? "check" : kind === "info" ? "info" : "alert"),
    h("div", title && h("strong", title), text && h("p", text)),
    actions.length > 0 && h("div.actions", actions),
  );

/** Puts text on the clipboard, also where the page is not secure. */
async function toClipboard(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = h("textarea.offscreen", { value: text, "aria-hidden": "true" });
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("The browser does not let this page copy; select the text instead.");
  return undefined;
}

export function copyButton(text, label = "Copy") {
  const element = button("", {
    icon: "copy",
    kind: "quiet icon-only",
    title: label,
    work: async () => {
      await toClipboard(typeof text === "function" ? text() : text);
      toast("Copied.");
    },
  });
  return element;
}

/** Text that is copied elsewhere. */
export const copyable = (text, label) =>
  h("div.copyable", h("code", { tabindex: "0" }, text), copyButton(text, label));

export const snippet = (title, text) =>
  h(
    "figure.snippet",
    h("figcaption", h("span", title), copyButton(text, `Copy ${title}`)),
    h("pre", { tabindex: "0" }, h("code", text)),
  );

/** Names and values. */
export const facts = (...pairs) =>
  h(
    "dl.facts",
    pairs.flat().length > 0 &&
      pairs
        .filter((pair) => pair && ![null, undefined, false, ""].includes(pair[1]))
        .map(([name, value]) => h("div", h("dt", name), h("dd", value))),
  );

/** A figure with its name. */
export function tile(name, { hint } = {}) {
  const value = h("span.tile-value", "–");
  const note = h("span.tile-note", hint ?? "");
  const element = h("div.tile", h("span.tile-name", name), value, note);
  return { element, value, note };
}

/** Choices of which one holds; arrow keys move between them, as between radio buttons. */
export function segments(label, options, chosen, onchoose) {
  const name = `seg-${label.replace(/\W+/g, "-").toLowerCase()}-${Math.random().toString(36).slice(2, 7)}`;
  return h(
    "fieldset.segments",
    h("legend.offscreen", label),
    options.map(([value, text]) =>
      h(
        "label",
        h("input", {
          type: "radio",
          name,
          value,
          checked: value === chosen,
          onchange: () => onchoose(value),
        }),
        h("span", text),
      ),
    ),
  );
}

/** A part that opens. */
export const details = (summary, ...content) =>
  h(
    "details.more",
    h("summary", icon("next", 16), h("span", summary)),
    h("div.more-body", content),
  );
