// What was typed and not saved: nobody loses it by a slip.

/** Marks a form of a page as changed from the first change on. */
export function guard(form) {
  form.addEventListener("input", () => form.classList.add("is-changed"));
  return form;
}

const changed = () => document.querySelector("main form.is-changed");

/**
 * Lets `ask()` decide, from now on, whether somebody leaves such a form by a link. One that gives the
 * form up (`.form-foot`) needs no question, and what is saved leaves without a link.
 */
export function watch(ask) {
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[href^='#/']");
    // A link that opens another tab leaves nothing.
    const isElsewhere = event.ctrlKey || event.metaKey || event.shiftKey;
    if (!link || isElsewhere || link.closest(".form-foot, dialog") || !changed()) return;
    event.preventDefault();
    if (await ask()) location.hash = link.getAttribute("href");
  });
  addEventListener("beforeunload", (event) => changed() && event.preventDefault());
}
