// What was typed and not saved: nobody loses it by a slip.

import { whenLeaving } from "./router.js";

/** Marks a form of a page as changed from the first change on. */
export function guard(form) {
  form.addEventListener("input", () => form.classList.add("is-changed"));
  return form;
}

const changed = () => document.querySelector("main form.is-changed");

/**
 * Lets `ask()` decide, from now on, whether somebody leaves such a form by a link, or by Back and
 * Forward. A link that gives the form up (`.form-foot`) needs no question, and what is saved leaves
 * without one.
 */
export function watch(ask) {
  let isAsked = false;
  const leaves = async () => {
    if (isAsked) return false;
    isAsked = true;
    try {
      if (!(await ask())) return false;
      // Nobody is asked about the same form again.
      changed()?.classList.remove("is-changed");
      return true;
    } finally {
      isAsked = false;
    }
  };
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[href^='#/']");
    // A link that opens another tab leaves nothing.
    const isElsewhere = event.ctrlKey || event.metaKey || event.shiftKey;
    if (!link || isElsewhere || link.closest(".form-foot, dialog") || !changed()) return;
    event.preventDefault();
    if (await leaves()) location.hash = link.getAttribute("href");
  });
  whenLeaving(() => !changed() || leaves());
  addEventListener("beforeunload", (event) => changed() && event.preventDefault());
}
