// Forms that are told their fields: sections, conditions, nested names, what is wrong beside each.

import { h, mount } from "../lib/dom.js";
import * as kinds from "./fields.js";
import { details, failed } from "./basic.js";

/** The value at a dotted name. */
export const at = (object, name) => name.split(".").reduce((inner, part) => inner?.[part], object);

/** Puts a value at a dotted name. */
export function put(object, name, value) {
  const parts = name.split(".");
  const last = parts.pop();
  const inner = parts.reduce((outer, part) => (outer[part] ??= {}), object);
  inner[last] = value;
}

/** The field of a spec as the metadata describes it, with what is stored. */
export function fieldOf(spec, stored, isNew) {
  const value = stored ?? (isNew || spec.type === "boolean" ? spec.default : undefined);
  if (spec.readonly) return kinds.shown(spec, stored);
  if (spec.sensitive) return kinds.secret(spec, stored, { lines: spec.type === "textarea" });
  switch (spec.type) {
    case "password":
      return kinds.secret(spec, stored);
    case "textarea":
      return kinds.area(spec, value);
    case "number":
      return kinds.number(spec, value);
    case "boolean":
      return kinds.flag(spec, value);
    case "select":
      return kinds.select(spec, value, spec.required ? {} : { none: "Not set" });
    case "choices":
      return kinds.choices(spec, value);
    case "list":
    case "phone-list":
      return kinds.list(spec, value);
    case "map":
      return kinds.map(spec, value);
    case "rows":
      return rows(spec, value);
    default:
      return kinds.line(spec, value);
  }
}

/** Entries with fields of their own. */
function rows(spec, initial) {
  const entries = [];
  const box = h("div.entries");
  const remove = (entry) => {
    entries.splice(entries.indexOf(entry), 1);
    entry.element.remove();
    number();
    more.focus();
  };
  const number = () =>
    entries.forEach((entry, i) => {
      entry.title.textContent = `${spec.label} ${i + 1}`;
    });
  const add = (value, isNew) => {
    const fields = spec.fields.map((field) => fieldOf(field, at(value ?? {}, field.name), isNew));
    const title = h("strong");
    const entry = {
      fields,
      title,
      element: h(
        "div.entry",
        h(
          "div.entry-head",
          title,
          h("button.quiet.small", { type: "button", onclick: () => remove(entry) }, "Remove"),
        ),
        h(
          "div.fields",
          fields.map((field) => field.element),
        ),
      ),
    };
    entries.push(entry);
    box.append(entry.element);
    number();
    return fields[0];
  };
  (initial ?? (spec.required ? [{}] : [])).forEach((value) => add(value, !initial));
  const more = h(
    "button.quiet.small",
    { type: "button", onclick: () => add({}, true).focus() },
    `Add ${spec.label.toLowerCase()}`,
  );
  const field = kinds.framed(spec, box, {
    group: true,
    extra: more,
    value: () => {
      const all = entries.map((entry) => collect(entry.fields));
      return all.length ? all : undefined;
    },
    fault: () => {
      const wrong = entries
        .flatMap((entry) =>
          entry.fields.map((inner) => {
            const text = inner.fault();
            inner.error(text);
            return text;
          }),
        )
        .find(Boolean);
      return wrong
        ? "See the entries."
        : spec.required && !entries.length
          ? "At least one is needed."
          : null;
    },
  });
  field.inner = (path) => {
    const [, index, name] = /^\[?(\d+)\]?\.(.+)$/.exec(path) ?? [];
    return entries[index]?.fields.find((inner) => inner.spec.name === name);
  };
  return field;
}

function collect(fields) {
  const values = {};
  for (const field of fields) {
    const value = field.value();
    if (value !== undefined) put(values, field.spec.name, value);
  }
  return values;
}

/**
 * A form. `sections` are `{name, title, help}`, `fields` as the metadata has them (or ready ones
 * under `field`), `stored` what there is; `prefix` is what the API's errors call it by.
 */
export function metadataForm({ sections = [], fields, stored, prefix = "" }) {
  const isNew = !stored;
  const all = fields.map((spec) => spec.field ?? fieldOf(spec, at(stored ?? {}, spec.name), isNew));
  const summary = h("div.form-faults");
  const groups = sections.length ? sections : [{ name: undefined }];
  const known = new Set(sections.map((section) => section.name));
  const inSection = (section, field) =>
    field.spec.section === section.name ||
    (!known.has(field.spec.section) && section === groups[0]);
  const element = h(
    "div.form",
    summary,
    groups.map((section) => {
      const own = all.filter((field) => inSection(section, field));
      if (!own.length) return null;
      const [plain, advanced] = [
        own.filter((f) => !f.spec.advanced),
        own.filter((f) => f.spec.advanced),
      ];
      const more =
        advanced.length > 0 &&
        details(
          "More settings",
          h(
            "div.fields",
            advanced.map((field) => field.element),
          ),
        );
      return h(
        "section.form-section",
        section.title &&
          h(
            "div.form-section-head",
            h("h3", section.title),
            section.help && h("p.muted", section.help),
          ),
        h(
          "div.form-section-body",
          h(
            "div.fields",
            plain.map((field) => field.element),
          ),
          more,
        ),
      );
    }),
  );

  /** What is asked for only while another field has a value, or one of some. */
  const visible = (field) => {
    const condition = field.spec.visible_when;
    if (!condition) return true;
    const other = all.find((one) => one.spec.name === condition.field);
    const fits = (one) => [condition.equals].flat().includes(one.value());
    return !other || (visible(other) && fits(other));
  };
  const follow = () => {
    for (const field of all) field.element.hidden = !visible(field);
    for (const section of element.querySelectorAll(".form-section")) {
      section.hidden = !section.querySelector("[data-field]:not([hidden])");
    }
  };
  element.addEventListener("change", follow);
  follow();

  const form = {
    element,
    fields: all,
    field: (name) => all.find((field) => field.spec.name === name),
    values: () => collect(all.filter(visible)),
    focus: () => all.find((field) => visible(field) && !field.spec.readonly)?.focus(),
    clear() {
      mount(summary);
      all.forEach((field) => field.error(null));
    },
    /** True if nothing is seen to be wrong; else it is shown. */
    check() {
      form.clear();
      const wrong = all.filter(visible).filter((field) => {
        const text = field.fault();
        if (text) field.error(text);
        return text;
      });
      reveal(wrong[0]);
      return wrong.length === 0;
    },
    /** Shows what the API says is wrong, beside the fields that it names. */
    show(error) {
      form.clear();
      const left = [];
      let first = null;
      for (const { field: path, problem } of error.errors ?? []) {
        const name = prefix && path.startsWith(`${prefix}.`) ? path.slice(prefix.length + 1) : path;
        const found = find(name);
        if (found) {
          found.error(problem);
          first ??= found;
        } else {
          left.push(`${path}: ${problem}`);
        }
      }
      if (left.length || !(error.errors ?? []).length) {
        const text = left.length ? left.join("; ") : error.message;
        mount(summary, failed({ title: error.title ?? "That did not work", message: text }));
        if (!first) summary.scrollIntoView({ block: "center" });
      }
      reveal(first);
      return true;
    },
  };
  const find = (name) => {
    const called = all.filter((field) => field.spec.name === name);
    const exact = called.find(visible) ?? called[0];
    if (exact) return exact;
    const outer = all.find(
      (field) =>
        name.startsWith(field.spec.name) && /^[.[]/.test(name.slice(field.spec.name.length)),
    );
    return outer?.inner?.(name.slice(outer.spec.name.length).replace(/^\./, "")) ?? outer;
  };
  const reveal = (field) => {
    if (!field) return;
    const closed = field.element.closest("details");
    if (closed) closed.open = true;
    field.element.scrollIntoView({ block: "center" });
    field.focus();
  };
  return form;
}

/** Thrown by a form that has shown what is wrong. */
export class Wrong extends Error {
  name = "Wrong";
}

/** Lets a form be sent: checked, saved, and what is refused shown. */
export async function submit(form, save) {
  if (!form.check()) throw new Wrong("Some fields need another look.");
  return save(form.values());
}
