// How long the steps of frames took, on their way through this server.

import { h } from "../lib/dom.js";
import { count, span } from "../lib/format.js";
import { stage } from "../lib/words.js";

/** Microseconds as people read them; null is beyond all bounds. */
export const micros = (us) =>
  us === null || us === undefined
    ? "–"
    : us < 1_000
      ? `${Math.round(us)} µs`
      : us < 10_000
        ? `${(us / 1_000).toFixed(1)} ms`
        : span(us / 1_000);

/** A table of steps; nothing where none was timed. */
export function stages(list) {
  const timed = (list ?? []).filter(({ count: n }) => n > 0);
  if (!timed.length) return null;
  const head = ["Step", "Half took at most", "99 % took at most", "Frames timed"];
  return h(
    "div.table-frame",
    { tabindex: "0", role: "region", "aria-label": "Steps of frames" },
    h(
      "table",
      h(
        "thead",
        h(
          "tr",
          head.map((name, i) => h("th", { scope: "col", class: i ? "num" : "" }, name)),
        ),
      ),
      h(
        "tbody",
        timed.map((one) => {
          const [name, meaning] = stage(one.stage);
          return h(
            "tr",
            h("td", { "data-label": head[0] }, h("strong", name), " ", h("span.muted", meaning)),
            h("td.num", { "data-label": head[1] }, micros(one.p50_us)),
            h("td.num", { "data-label": head[2] }, micros(one.p99_us)),
            h("td.num", { "data-label": head[3] }, count(one.count)),
          );
        }),
      ),
    ),
  );
}
