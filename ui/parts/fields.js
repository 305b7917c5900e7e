// Fields of forms, one for each kind of value. A field has `element`, `value()`, `fault()` for what
// can be seen to be wrong here, `error(text)` and `focus()`.

import { h, mount, uid } from "../lib/dom.js";
import { icon } from "../lib/icons.js";
import { button, copyButton } from "./basic.js";

/** The frame of a field: label, help, control, what is wrong. */
export function framed(spec, control, { group = false, value, fault, focus, extra } = {}) {
  const id = uid("c");
  const help = spec.description ? h("p.help", { id: `${id}h` }, spec.description) : null;
  const wrong = h("p.wrong", { id: `${id}e`, hidden: true });
  const described = [help && `${id}h`, `${id}e`].filter(Boolean).join(" ");
  const input = control.matches?.("input, select, textarea") ? control : null;
  const target = input ?? (group ? null : control.querySelector("input, select, textarea"));
  target?.setAttribute("id", id);
  (target ?? control).setAttribute("aria-describedby", described);
  if (spec.required && target) target.setAttribute("aria-required", "true");
  const marks = [
    !spec.required &&
      spec.optional !== false &&
      spec.default === undefined &&
      h("span.optional", "optional"),
    spec.in_use === false && h("span.optional", "kept, not used yet"),
  ];
  const label = group
    ? h("legend", spec.label, " ", marks)
    : h("label", { for: id }, spec.label, " ", marks);
  const element = h(
    group ? "fieldset.field" : "div.field",
    { "data-field": spec.name, class: spec.kind ?? "" },
    label,
    control,
    extra,
    help,
    wrong,
  );
  return {
    spec,
    element,
    value,
    fault: fault ?? (() => null),
    focus:
      focus ??
      (() => (target ?? element.querySelector("input, select, textarea, button"))?.focus()),
    error(text) {
      wrong.hidden = !text;
      mount(wrong, text && [icon("alert", 14), h("span", text)]);
      element.classList.toggle("is-wrong", Boolean(text));
      if (target) {
        if (text) target.setAttribute("aria-invalid", "true");
        else target.removeAttribute("aria-invalid");
      }
    },
  };
}

const blank = (text) => (text.trim() === "" ? undefined : text);

/** A line of text. */
export function line(spec, initial, { type = "text", list, mono } = {}) {
  const input = h("input", {
    type,
    value: initial ?? "",
    placeholder: spec.placeholder,
    maxlength: spec.chars_max,
    autocomplete: spec.autocomplete ?? "off",
    autocapitalize: "off",
    spellcheck: "false",
    list,
    inputmode: spec.inputmode,
    class: mono || HARD.has(spec.format) ? "mono" : "",
  });
  return framed(spec, input, {
    value: () => (type === "password" ? input.value || undefined : blank(input.value)?.trim()),
    fault: () => (spec.required && !blank(input.value) ? "This is needed." : null),
  });
}
const HARD = new Set(["pem", "network", "host", "hostname", "sip-uri", "uri", "host-port"]);

/** Several lines. */
export function area(spec, initial) {
  const input = h("textarea", {
    value: initial ?? "",
    placeholder: spec.placeholder,
    rows: 5,
    maxlength: spec.chars_max,
    spellcheck: "false",
    class: "mono",
  });
  return framed(spec, input, {
    value: () => blank(input.value),
    fault: () => (spec.required && !blank(input.value) ? "This is needed." : null),
  });
}

/** A secret: what is stored stays until it is replaced. */
export function secret(spec, mask, { lines = false } = {}) {
  const input = lines
    ? h("textarea", { rows: 5, spellcheck: "false", class: "mono", placeholder: spec.placeholder })
    : h("input", {
        type: "password",
        placeholder: spec.placeholder,
        autocomplete: "new-password",
        maxlength: spec.chars_max,
        spellcheck: "false",
      });
  const isStored = mask !== undefined && mask !== null && mask !== "";
  let replaces = !isStored;
  const told = typeof mask === "string" ? mask.slice(-12) : "stored";
  const kept = h("div.kept", h("code", { "aria-label": "stored secret, masked" }, told));
  const control = h("div.secret");
  const field = framed(spec, control, {
    value: () => (replaces ? blank(input.value) : mask),
    fault: () => (replaces && spec.required && !blank(input.value) ? "This is needed." : null),
  });
  const show = () => {
    kept.hidden = replaces;
    peep.hidden = lines || !replaces;
    input.hidden = !replaces;
    mount(
      control,
      kept,
      h("div.with-button", { hidden: !replaces }, input, peep),
      isStored && replaces && back,
    );
  };
  const peep = button("", {
    icon: "lock",
    kind: "quiet icon-only",
    title: "Show what is typed",
    onclick: () => {
      input.type = input.type === "password" ? "text" : "password";
    },
  });
  const back = button("Keep the stored one", {
    kind: "quiet small",
    onclick: () => {
      replaces = false;
      input.value = "";
      show();
    },
  });
  kept.append(
    button("Replace", {
      kind: "small",
      onclick: () => {
        replaces = true;
        show();
        input.focus();
      },
    }),
  );
  const id = field.element.querySelector("label")?.getAttribute("for");
  if (id) input.id = id;
  // What is said of the field is said of what is typed into.
  input.setAttribute("aria-describedby", control.getAttribute("aria-describedby"));
  if (spec.required) input.setAttribute("aria-required", "true");
  show();
  return field;
}

/** A whole number. */
export function number(spec, initial) {
  const input = h("input", {
    type: "number",
    value: initial ?? "",
    min: spec.min,
    max: spec.max,
    step: spec.step ?? 1,
    placeholder: spec.placeholder,
    inputmode: "numeric",
  });
  const control = spec.unit ? h("div.with-unit", input, h("span", spec.unit)) : input;
  return framed(spec, control, {
    value: () => (input.value === "" ? undefined : Number(input.value)),
    fault: () => {
      if (input.value === "" && !input.validity?.badInput)
        return spec.required ? "This is needed." : null;
      const n = Number(input.value);
      const fits =
        Number.isInteger(n) && n >= (spec.min ?? -Infinity) && n <= (spec.max ?? Infinity);
      return fits ? null : `A whole number from ${spec.min} to ${spec.max}.`;
    },
  });
}

/** Yes or no. */
export function flag(spec, initial) {
  const id = uid("c");
  const input = h("input", {
    type: "checkbox",
    id,
    checked: Boolean(initial),
    role: "switch",
    "aria-describedby": [spec.description && `${id}h`, `${id}e`].filter(Boolean).join(" "),
  });
  const wrong = h("p.wrong", { id: `${id}e`, hidden: true });
  const element = h(
    "div.field.flag",
    { "data-field": spec.name },
    h(
      "div.switch",
      input,
      h(
        "label",
        { for: id },
        spec.label,
        spec.in_use === false && h("span.optional", "kept, not used yet"),
      ),
    ),
    spec.description && h("p.help", { id: `${id}h` }, spec.description),
    wrong,
  );
  return {
    spec,
    element,
    value: () => input.checked,
    fault: () => null,
    focus: () => input.focus(),
    error(text) {
      wrong.hidden = !text;
      wrong.textContent = text ?? "";
    },
  };
}

/** One of several: `options` are `{value, label}`. */
export function select(spec, initial, { none } = {}) {
  const options = spec.options ?? [];
  const input = h(
    "select",
    none !== undefined && h("option", { value: "" }, none),
    options.map(({ value, label }) => h("option", { value, selected: value === initial }, label)),
  );
  if (initial !== undefined && initial !== null) input.value = initial;
  return framed(spec, input, {
    value: () => input.value || undefined,
    fault: () => (spec.required && !input.value ? "Choose one." : null),
  });
}

/** One of a few that are explained: `options` are `{value, label, description}`. */
export function cards(spec, initial, onchoose = () => {}) {
  const name = uid("r");
  const control = h(
    "div.choice-cards",
    (spec.options ?? []).map(({ value, label, description }) =>
      h(
        "label.choice",
        h("input", {
          type: "radio",
          name,
          value,
          checked: value === initial,
          onchange: () => onchoose(value),
        }),
        h("span.choice-text", h("strong", label), description && h("span.muted", description)),
      ),
    ),
  );
  return framed({ ...spec, optional: false }, control, {
    group: true,
    value: () => control.querySelector("input:checked")?.value,
    fault: () => (control.querySelector("input:checked") ? null : "Choose one."),
  });
}

/** Some of several, the best first. */
export function choices(spec, initial) {
  const known = spec.options ?? [];
  const chosen = [...(initial ?? [])];
  const order = [...chosen, ...known.map(({ value }) => value).filter((v) => !chosen.includes(v))];
  const on = new Set(chosen);
  const list = h("ol.choices");
  const draw = (focusAt, part) => {
    mount(
      list,
      order.map((value, at) => {
        const id = uid("c");
        const label = known.find((one) => one.value === value)?.label ?? value;
        const move = (by) => () => {
          order.splice(at + by, 0, ...order.splice(at, 1));
          draw(at + by, by < 0 ? ".up" : ".down");
        };
        return h(
          "li",
          h("input", {
            type: "checkbox",
            id,
            checked: on.has(value),
            onchange: (event) => {
              on[event.target.checked ? "add" : "delete"](value);
            },
          }),
          h("label", { for: id }, label),
          button("", {
            icon: "up",
            kind: "quiet icon-only up",
            title: `Prefer ${label}`,
            onclick: move(-1),
            disabled: at === 0,
          }),
          button("", {
            icon: "down",
            kind: "quiet icon-only down",
            title: `Put ${label} behind`,
            onclick: move(1),
            disabled: at === order.length - 1,
          }),
        );
      }),
    );
    if (part) list.children[focusAt]?.querySelector(`${part}:not(:disabled), input`)?.focus();
  };
  draw();
  return framed(spec, list, {
    group: true,
    value: () => (on.size ? order.filter((value) => on.has(value)) : undefined),
    fault: () => (on.size || !spec.required ? null : "Choose at least one."),
  });
}

/** Several lines of text, each by itself. */
export function list(spec, initial) {
  const rows = h("div.rows");
  const add = (text = "") => {
    const input = h("input", {
      type: "text",
      value: text,
      placeholder: spec.placeholder,
      "aria-label": spec.label,
      autocomplete: "off",
      autocapitalize: "off",
      spellcheck: "false",
      class: "mono",
      inputmode: spec.format === "e164" ? "tel" : undefined,
    });
    const row = h(
      "div.row",
      input,
      button("", {
        icon: "close",
        kind: "quiet icon-only",
        title: "Remove",
        onclick: () => {
          row.remove();
          if (!rows.children.length) add();
          more.focus();
        },
      }),
    );
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !input.value) return;
      event.preventDefault();
      add().focus();
    });
    rows.append(row);
    return input;
  };
  (initial?.length ? initial : [""]).forEach((text) => add(text));
  const values = () =>
    Array.from(rows.querySelectorAll("input"), (input) => input.value.trim()).filter(Boolean);
  const more = button("Add", { icon: "plus", kind: "quiet small", onclick: () => add().focus() });
  return framed(spec, rows, {
    group: true,
    extra: more,
    value: () => (values().length ? values() : undefined),
    fault: () => (spec.required && !values().length ? "At least one is needed." : null),
  });
}

/** Texts by name. */
export function map(spec, initial) {
  const rows = h("div.rows");
  const add = (key = "", value = "") => {
    const name = h("input.mono", {
      type: "text",
      value: key,
      "aria-label": "Name",
      placeholder: "Name",
      autocomplete: "off",
    });
    const text = h("input.mono", {
      type: "text",
      value,
      "aria-label": "Value",
      placeholder: "Value",
      autocomplete: "off",
    });
    const row = h(
      "div.row.pair",
      name,
      text,
      button("", {
        icon: "close",
        kind: "quiet icon-only",
        title: "Remove",
        onclick: () => {
          row.remove();
          more.focus();
        },
      }),
    );
    rows.append(row);
    return name;
  };
  Object.entries(initial ?? {}).forEach(([key, value]) => add(key, String(value)));
  const more = button("Add", { icon: "plus", kind: "quiet small", onclick: () => add().focus() });
  const values = () =>
    Object.fromEntries(
      Array.from(rows.children, (row) =>
        Array.from(row.querySelectorAll("input"), (input) => input.value.trim()),
      ).filter(([k]) => k),
    );
  return framed(spec, rows, {
    group: true,
    extra: more,
    value: () => (Object.keys(values()).length ? values() : undefined),
    fault: () =>
      spec.required && !Object.keys(values()).length ? "At least one is needed." : null,
  });
}

/** What the server sets and people copy. */
export function shown(spec, value) {
  const text = value === undefined || value === null || value === "" ? "" : String(value);
  return framed(
    { ...spec, optional: false },
    h(
      "div.copyable",
      text
        ? [h("code", { tabindex: "0" }, text), copyButton(text)]
        : h("span.muted", "Set by this server once the connection is set up."),
    ),
    { group: true, value: () => undefined },
  );
}
