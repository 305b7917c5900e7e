// A long list of which only what is seen is drawn: rows of one height, used again as one scrolls.
// The keyboard stops once in it, and goes from row to row by arrows.

import { h, perFrame } from "../lib/dom.js";

/** Rows drawn beyond what is seen, so that scrolling shows no gaps. */
const MARGIN = 6;
/** How tall a list is taken for before it is shown, in pixels. */
const TALL_PX = 600;
/** For how long a pointer that rests in the list counts as pointing at it, in milliseconds. */
const POINTED_MS = 10_000;

/**
 * A list below its `head`, a row of names. `make()` makes a row `{element, link, show(item)}`, of
 * which `link` takes the keyboard; `height()` is that of a row in pixels. Items have an `id`.
 */
export function virtualList(label, { head, make, height }) {
  const room = h("div.vlist-room", { role: "presentation" });
  const list = h("div.vlist", { role: "rowgroup" }, room);
  const element = h(
    "div",
    { role: "table", "aria-label": label },
    h("div", { role: "rowgroup" }, head),
    list,
  );
  const rows = [];
  let items = [];
  let one = height();
  let seen = Math.ceil(TALL_PX / one);
  let first = 0;
  /** The item that the keyboard is at, or was last. */
  let active = null;
  let pointed = -Infinity;

  const focused = () => rows.find(({ link }) => link === document.activeElement);
  const draw = () => {
    first = Math.max(0, Math.floor(list.scrollTop / one) - MARGIN);
    const last = Math.min(items.length, first + seen + 2 * MARGIN);
    const wanted = Math.max(0, last - first);
    while (rows.length < wanted) {
      const row = make();
      row.element.setAttribute("role", "row");
      rows.push(row);
      room.append(row.element);
    }
    const held = focused();
    const kept = held?.item.id;
    const at = active === null ? -1 : items.findIndex(({ id }) => id === active);
    const top = Math.min(items.length - 1, Math.ceil(list.scrollTop / one));
    const stop = at >= first && at < last ? at : top;
    rows.forEach((row, i) => {
      row.element.hidden = i >= wanted;
      if (i < wanted) place(row, first + i, stop);
    });
    // A row that is used again takes the keyboard along to where its item is now.
    if (held && held.item.id !== kept)
      rows.find((row) => !row.element.hidden && row.item.id === kept)?.link.focus({
        preventScroll: true,
      });
  };
  const place = (row, at, stop) => {
    row.item = items[at];
    const index = at === stop ? 0 : -1;
    if (row.link.tabIndex !== index) row.link.tabIndex = index;
    if (row.top !== at * one) {
      row.top = at * one;
      row.element.style.transform = `translateY(${row.top}px)`;
      // The head is the first.
      row.element.setAttribute("aria-rowindex", at + 2);
    }
    row.show(row.item);
  };
  const soon = perFrame(draw);

  /** Brings the keyboard to an item, wherever it is. */
  const go = (at) => {
    active = items[at].id;
    const [above, below] = [at * one, (at + 1) * one - list.clientHeight];
    if (list.scrollTop > above) list.scrollTop = above;
    else if (list.scrollTop < below) list.scrollTop = below;
    draw();
    rows[at - first]?.link.focus({ preventScroll: true });
  };
  list.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(list.clientHeight / one) - 1);
    const by = { ArrowUp: -1, ArrowDown: 1, PageUp: -page, PageDown: page }[event.key];
    const end = { Home: 0, End: items.length - 1 }[event.key];
    const isOurs = by !== undefined || end !== undefined;
    if (!isOurs || !items.length || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const at = end ?? items.findIndex(({ id }) => id === active) + by;
    go(Math.max(0, Math.min(items.length - 1, at)));
  });
  list.addEventListener("focusin", () => {
    active = focused()?.item.id ?? active;
  });
  list.addEventListener("pointermove", () => {
    pointed = performance.now();
  });
  list.addEventListener("pointerleave", () => {
    pointed = -Infinity;
  });
  list.addEventListener("scroll", soon, { passive: true });

  let tall = -1;
  const size = () => {
    if (tall === items.length * one) return;
    tall = items.length * one;
    room.style.height = `${tall}px`;
    list.style.height = `${tall}px`;
  };
  new ResizeObserver(() => {
    one = height();
    size();
    seen = Math.ceil((list.clientHeight || TALL_PX) / one);
    soon();
  }).observe(list);
  return {
    element,
    draw: soon,
    /** True while somebody is at it: what they are about to open must not move away. */
    isHeld: () => list.contains(document.activeElement) || performance.now() - pointed < POINTED_MS,
    set(next) {
      if (next.length !== items.length) element.setAttribute("aria-rowcount", next.length + 1);
      items = next;
      size();
      soon();
    },
  };
}
