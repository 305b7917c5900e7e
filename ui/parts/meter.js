// A level meter: how loud a side is.

import { h } from "../lib/dom.js";

export function meter(label, { kind = "" } = {}) {
  const bar = h("span.meter-bar");
  const element = h(
    "span.meter",
    {
      role: "meter",
      "aria-label": label,
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "aria-valuenow": 0,
      class: kind,
      title: label,
    },
    bar,
  );
  let shown = -1;
  return {
    element,
    set(level) {
      const percent = Math.round(level * 50) * 2;
      if (percent === shown) return;
      shown = percent;
      bar.style.transform = `scaleX(${percent / 100})`;
      element.setAttribute("aria-valuenow", percent);
    },
  };
}
