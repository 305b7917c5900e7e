// A word about what was done, for a moment.

import { h } from "../lib/dom.js";
import { icon } from "../lib/icons.js";

const SHOWN_MS = 6_000;

/** Where it is seen and heard: what lies below an open dialog is neither. */
const place = () =>
  [...document.querySelectorAll("dialog[open] > .toasts")].at(-1) ??
  document.getElementById("toasts");

/** A place within a dialog. */
export const toastRoom = () => h("div.toasts", { role: "status", "aria-live": "polite" });

/** Keeps what a dialog that is closed still says. */
export const keepToasts = (room) => place().append(...room.children);

export function toast(text, tone = "good") {
  const close = () => element.remove();
  const element = h(
    "div.toast",
    { class: tone },
    icon(tone === "good" ? "check" : "alert"),
    h("span", text),
    h(
      "button.quiet.icon-only",
      { type: "button", "aria-label": "Dismiss", onclick: close },
      icon("close", 16),
    ),
  );
  const room = place();
  // What went well before is old news; what went wrong stays until it is read.
  room.querySelectorAll(".toast.good").forEach((before) => before.remove());
  room.append(element);
  if (tone === "good") setTimeout(close, SHOWN_MS);
  return close;
}

/** What went wrong, from an error. */
export const complain = (error) => toast(error.message || String(error), "bad");
