// Dialogs: modal, closed by Escape, focus goes back where it came from.

import { h, uid } from "../lib/dom.js";
import { button } from "./basic.js";
import { complain, keepToasts, toastRoom } from "./toast.js";

/** Opens a dialog; `build(close)` makes its content. Resolves with what it was closed with. */
export function dialog(title, build, { kind = "" } = {}) {
  return new Promise((resolve) => {
    const id = uid("d");
    let result;
    const close = (value) => {
      result = value;
      element.close();
    };
    const element = h("dialog", { class: kind, "aria-labelledby": id });
    element.append(
      h(
        "header",
        h("h2", { id }, title),
        button("", {
          icon: "close",
          kind: "quiet icon-only",
          title: "Close",
          onclick: () => close(),
        }),
      ),
    );
    const room = toastRoom();
    element.append(...[build(close, element)].flat(), room);
    element.addEventListener("close", () => {
      element.remove();
      keepToasts(room);
      resolve(result);
    });
    // Only what begins and ends beside it; what was typed is not lost by a click.
    let isBeside = false;
    element.addEventListener("pointerdown", ({ target }) => {
      isBeside = target === element && !element.querySelector("form");
    });
    element.addEventListener("click", ({ target }) => {
      // What leads elsewhere leaves the dialog behind.
      if ((isBeside && target === element) || target.closest("a[href^='#']")) close();
    });
    document.body.append(element);
    element.showModal();
  });
}

/** Asks before something is done that cannot be taken back; `work` is done while it is open. */
export function confirm(title, { text, consequences = [], action, kind = "danger", work }) {
  return dialog(
    title,
    (close, element) => {
      const done = button(action, {
        kind,
        work: async () => {
          try {
            await work?.();
            close(true);
          } catch (error) {
            complain(error);
            element.close();
          }
        },
      });
      const cancel = button("Cancel", { onclick: () => close(false) });
      cancel.autofocus = true;
      return [
        h(
          "div.dialog-body",
          text && h("p", text),
          consequences.length > 0 &&
            h(
              "ul.consequences",
              consequences.map((one) => h("li", one)),
            ),
        ),
        h("footer.actions", cancel, done),
      ];
    },
    { kind: "small" },
  );
}

/** A form in a dialog: `form` has `element`, `focus()` and `submit()`, which throws what is wrong. */
export function formDialog(title, form, { action = "Save", about, kind = "" } = {}) {
  return dialog(
    title,
    (close) => {
      const id = uid("f");
      const save = button(action, { kind: "primary", type: "submit" });
      save.setAttribute("form", id);
      const element = h(
        "form",
        {
          id,
          noValidate: true,
          onsubmit: async (event) => {
            event.preventDefault();
            save.setAttribute("aria-busy", "true");
            save.disabled = true;
            try {
              close((await form.submit()) ?? true);
            } catch (error) {
              if (error.name !== "Wrong") form.show?.(error) ?? complain(error);
            } finally {
              save.removeAttribute("aria-busy");
              save.disabled = false;
            }
          },
        },
        about && h("p.muted", about),
        form.element,
      );
      queueMicrotask(() => form.focus?.());
      return [
        h("div.dialog-body", element),
        h("footer.actions", button("Cancel", { onclick: () => close() }), save),
      ];
    },
    { kind },
  );
}
