// What happened when, as lanes over one time.

import { h } from "../lib/dom.js";
import { span } from "../lib/format.js";

/**
 * Lanes `{name, blocks: [{from, to, label, tone}], points: [{at, label, tone}]}` between two times.
 */
export function timeline(lanes, { from, to, label = "Timeline", onseek }) {
  const length = Math.max(1, to - from);
  const place = (time) => `${Math.max(0, Math.min(100, ((time - from) / length) * 100))}%`;
  const steps = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600].map((n) => n * 1_000);
  const step = steps.find((one) => length / one <= 7) ?? 7_200_000;
  const scale = h(
    "div.lane.scale",
    { "aria-hidden": "true" },
    h("span.lane-name"),
    h(
      "div.lane-room",
      Array.from({ length: Math.floor(length / step) + 1 }, (_, i) => {
        const text =
          i * step < 60_000
            ? `${(i * step) / 1_000} s`
            : `${Math.floor((i * step) / 60_000)}:${String(Math.round((i * step) / 1_000) % 60).padStart(2, "0")}`;
        const mark = h("span.tick", text);
        mark.style.left = place(from + i * step);
        return mark;
      }),
    ),
  );
  return h(
    "div.timeline",
    { role: "group", "aria-label": label },
    lanes.map(({ name, blocks = [], points = [] }) => {
      const room = h("div.lane-room", { role: "list", "aria-label": name });
      for (const block of blocks) {
        const end = block.to ?? to;
        const text = `${block.label}, ${span(end - block.from)}`;
        const element = h(
          "span.block",
          { role: "listitem", class: block.tone ?? "", title: text },
          h("span.block-text", { "aria-hidden": "true" }, block.text ?? block.label),
          h("span.offscreen", text),
        );
        element.style.left = place(block.from);
        element.style.width = `max(2px, calc(${place(end)} - ${place(block.from)}))`;
        room.append(element);
      }
      for (const point of points) {
        const element = h(
          "span.point",
          { role: "listitem", class: point.tone ?? "", title: point.label },
          h("span.offscreen", point.label),
        );
        // Whole also where it lies at an end.
        element.style.left = `clamp(5px, ${place(point.at)}, 100% - 5px)`;
        room.append(element);
      }
      if (onseek) {
        room.addEventListener("click", (event) => {
          const box = room.getBoundingClientRect();
          onseek(from + ((event.clientX - box.left) / box.width) * length);
        });
      }
      return h("div.lane", h("span.lane-name", name), room);
    }),
    scale,
  );
}
