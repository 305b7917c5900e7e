// A long list of which only what is seen is drawn: rows of one height, used again as one scrolls.

import { h, perFrame } from "../lib/dom.js";

/** Rows drawn beyond what is seen, so that scrolling shows no gaps. */
const MARGIN = 6;

/**
 * A list. `make()` makes a row `{element, show(item)}`; `height()` is that of a row in pixels.
 */
export function virtualList(label, { make, height }) {
  const room = h("div.vlist-room", { role: "rowgroup" });
  const element = h("div.vlist", { tabindex: "0", role: "table", "aria-label": label }, room);
  const rows = [];
  let items = [];
  let one = height();
  const draw = () => {
    const seen = Math.ceil((element.clientHeight || 600) / one);
    const first = Math.max(0, Math.floor(element.scrollTop / one) - MARGIN);
    const last = Math.min(items.length, first + seen + 2 * MARGIN);
    const wanted = last - first;
    while (rows.length < wanted) {
      const row = make();
      row.element.setAttribute("role", "row");
      rows.push(row);
      room.append(row.element);
    }
    rows.forEach((row, i) => {
      row.element.hidden = i >= wanted;
      if (i >= wanted) return;
      const at = first + i;
      const top = `translateY(${at * one}px)`;
      if (row.top !== top) {
        row.top = top;
        row.element.style.transform = top;
      }
      row.element.setAttribute("aria-rowindex", at + 1);
      row.show(items[at]);
    });
  };
  const soon = perFrame(draw);
  const size = () => {
    room.style.height = `${items.length * one}px`;
    element.style.height = `${items.length * one}px`;
  };
  element.addEventListener("scroll", soon, { passive: true });
  new ResizeObserver(() => {
    one = height();
    size();
    soon();
  }).observe(element);
  return {
    element,
    draw: soon,
    set(next) {
      items = next;
      size();
      element.setAttribute("aria-rowcount", items.length);
      soon();
    },
  };
}
