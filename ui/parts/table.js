// Tables: rows by columns, pages by cursor; on small screens each row is a card.

import * as api from "../lib/api.js";
import { h, mount } from "../lib/dom.js";
import { button, failed, loading } from "./basic.js";

/**
 * A table. `columns` are `{label, cell(item), kind}`; `href(item)` is where a row leads, from its
 * first cell.
 */
export function table(label, columns, items, { href, key = (item) => item.id } = {}) {
  const body = h("tbody");
  const rows = new Map();
  const row = (item) => {
    const cells = columns.map((column, i) => {
      const content = column.cell(item);
      const inner = i === 0 && href ? h("a.row-link", { href: href(item) }, content) : content;
      return h("td", { class: column.kind, "data-label": column.label || undefined }, inner);
    });
    const element = h("tr", { class: href ? "leads" : "", "data-key": key(item) }, cells);
    if (href) {
      element.addEventListener("click", (event) => {
        if (!event.target.closest("a, button, input, select, label")) location.hash = href(item);
      });
    }
    rows.set(key(item), element);
    return element;
  };
  const add = (more) => body.append(...more.map(row));
  add(items);
  const head = h(
    "thead",
    h(
      "tr",
      columns.map(({ label: text, kind, hidden }) =>
        h("th", { scope: "col", class: kind }, hidden ? h("span.offscreen", text) : text),
      ),
    ),
  );
  const element = h(
    "div.table-frame",
    { tabindex: "0", role: "region", "aria-label": label },
    h("table", head, body),
  );
  return {
    element,
    add,
    rows,
    size: () => body.children.length,
    replace(item) {
      const before = rows.get(key(item));
      const after = row(item);
      if (before) before.replaceWith(after);
      else body.prepend(after);
    },
    drop(id) {
      rows.get(id)?.remove();
      rows.delete(id);
    },
  };
}

/** A table that reads its list from the API page by page; `none()` is shown of an empty one. */
export async function paged(label, path, columns, { none, signal, ...options }) {
  const page = await api.get(path, { signal });
  if (!page.items.length) return { element: none(), items: [] };
  const shown = table(label, columns, page.items, options);
  const items = [...page.items];
  const foot = h("div.table-foot");
  const next = (cursor) =>
    mount(
      foot,
      cursor &&
        button("Show more", {
          icon: "down",
          work: async () => {
            const joined = path.includes("?") ? "&" : "?";
            const more = await api.get(`${path}${joined}cursor=${encodeURIComponent(cursor)}`, {
              signal,
            });
            items.push(...more.items);
            shown.add(more.items);
            next(more.next_cursor);
          },
        }),
    );
  next(page.next_cursor);
  return { element: h("div", shown.element, foot), items, table: shown };
}

/**
 * A place that is filled when its content is there; what goes wrong is told, with a way out. Its
 * `again` fills it anew, `quiet` if what is there stays until then.
 */
export function later(load, label) {
  const place = h("div.later");
  let last = 0;
  const run = async ({ quiet = false } = {}) => {
    last += 1;
    const own = last;
    if (!quiet) mount(place, loading(label));
    try {
      const content = await load();
      // Of two that are on their way, the one that was asked for last is shown.
      if (own === last) mount(place, content);
    } catch (error) {
      if (own === last && error.name !== "AbortError") mount(place, failed(error, () => run()));
    }
  };
  place.again = run;
  run();
  return place;
}
