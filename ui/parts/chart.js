// Charts over time, one below the other on one axis, with one reading line for all.

import { h, s, mount, say } from "../lib/dom.js";
import { DASH, when } from "../lib/format.js";

const HEIGHT = 88;
const LEFT = 44;
const RIGHT = 10;
const TOP = 8;
const BOTTOM = 8;

/** Round figures between which values fall. */
function ticks(low, high) {
  const span = high - low || 1;
  const raw = span / 2;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= raw);
  const first = Math.ceil(low / step) * step;
  const all = [];
  for (let at = first; at <= high + step / 1e6; at += step) all.push(Number(at.toPrecision(6)));
  return all;
}

/** Whole steps of time for the axis: whole by the clock, or since the beginning. */
function times(from, to, room, byClock) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400].map(
    (n) => n * 1_000,
  );
  const wanted = Math.max(2, Math.floor(room / 90));
  const step = steps.find((one) => (to - from) / one <= wanted) ?? 28_800_000;
  const all = [];
  const begin = byClock ? Math.ceil(from / step) * step - from : 0;
  for (let at = begin; from + at <= to; at += step) all.push(at);
  return all;
}

const offset = (ms) => {
  const s0 = Math.round(ms / 1_000);
  const [m, r] = [Math.floor(s0 / 60), s0 % 60];
  return m ? `${m}:${String(r).padStart(2, "0")}` : `${r} s`;
};

/**
 * Charts. Each of `series` is `{title, hint, points: [[time, value]], format(value), low, high,
 * tone(value)}`; `marks` are stretches of time `{from, to, tone, label}`. The axis tells the time
 * since `from`, or that of the day if it goes `byClock`; `note` says which.
 */
export function charts(series, { from, to, marks = [], label = "Charts", byClock, note }) {
  const all = series.filter(({ points }) => points.some(([, value]) => value !== null));
  const element = h("div.charts", { role: "group", "aria-label": label });
  const axis = h("div.chart-axis", { "aria-hidden": "true" });
  const time = (at) => (byClock ? when(at) : `${offset(at - from)}, ${when(at)}`);
  const drawn = all.map((one) => chart(one, { from, to, marks, time }));
  element.append(...drawn.map((one) => one.element), axis, note ? h("p.chart-note", note) : "");
  const read = (time) => drawn.forEach((one) => one.read(time));
  const timeAt = (event) => {
    const box = drawn[0].plot.getBoundingClientRect();
    const room = box.width - LEFT - RIGHT;
    return from + Math.max(0, Math.min(1, (event.clientX - box.left - LEFT) / room)) * (to - from);
  };
  element.addEventListener("pointermove", (event) => drawn.length && read(timeAt(event)));
  element.addEventListener("pointerleave", () => read(null));
  const resize = new ResizeObserver(() => {
    const width = Math.max(200, element.clientWidth);
    drawn.forEach((one) => one.draw(width));
    mount(
      axis,
      times(from, to, width - LEFT - RIGHT, byClock).map((at) => {
        const mark = h("span", byClock ? when(from + at) : offset(at));
        mark.style.left = `${LEFT + (at / (to - from || 1)) * (width - LEFT - RIGHT)}px`;
        return mark;
      }),
    );
  });
  resize.observe(element);
  return element;
}

function chart({ title, hint, points, format, low = 0, high, tone }, { from, to, marks, time }) {
  const known = points.filter(([, value]) => value !== null && value !== undefined);
  const values = known.map(([, value]) => value);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const bottom = Math.min(low, least);
  const top = Math.max(high ?? 0, most * 1.1, bottom + 1e-3);
  const last = values.at(-1);
  const value = h("span.chart-value", { class: tone?.(last) ?? "" }, format(last));
  const at = h("span.chart-at");
  const plot = s("svg", {
    height: HEIGHT,
    role: "img",
    tabindex: "0",
    "aria-label": `${title}: ${format(least)} to ${format(most)}, last ${format(last)}`,
  });
  const line = s("line.chart-line", { y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
  const dot = s("circle.chart-dot", { r: 3.5, visibility: "hidden" });
  const reading = h("span.chart-reading", value, at);
  const element = h(
    "figure.chart",
    h("figcaption", h("strong", title), hint && h("span.muted", hint), reading),
    plot,
  );
  // Whoever goes through it by keyboard hears what a pointer reads without a word.
  plot.addEventListener("focus", () => reading.setAttribute("aria-live", "polite"));
  plot.addEventListener("blur", () => reading.removeAttribute("aria-live"));
  let width = 0;
  const x = (time) => LEFT + ((time - from) / (to - from || 1)) * (width - LEFT - RIGHT);
  const y = (v) => TOP + (1 - (v - bottom) / (top - bottom)) * (HEIGHT - TOP - BOTTOM);
  let focused = -1;
  plot.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!by || !known.length) return;
    event.preventDefault();
    focused = Math.max(0, Math.min(known.length - 1, focused + by));
    read(known[focused][0]);
  });
  function read(moment) {
    const far = (point) => Math.abs(point[0] - moment);
    const near =
      moment === null
        ? null
        : known.reduce((best, point) => (!best || far(point) < far(best) ? point : best), null);
    for (const part of [line, dot]) part.setAttribute("visibility", near ? "visible" : "hidden");
    say(value, near ? format(near[1]) : format(last));
    say(at, near ? `at ${time(near[0])}` : "");
    value.className = `chart-value ${tone?.(near ? near[1] : last) ?? ""}`;
    if (!near) return;
    for (const name of ["x1", "x2"]) line.setAttribute(name, x(near[0]));
    dot.setAttribute("cx", x(near[0]));
    dot.setAttribute("cy", y(near[1]));
  }
  return {
    element,
    plot,
    read,
    draw(room) {
      width = room;
      plot.setAttribute("width", width);
      plot.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
      const path = known
        .map(([t, v], i) => `${i ? "L" : "M"}${x(t).toFixed(1)} ${y(v).toFixed(1)}`)
        .join("");
      const first = known.length ? x(known[0][0]).toFixed(1) : 0;
      const end = known.length ? x(known.at(-1)[0]).toFixed(1) : 0;
      mount(
        plot,
        marks.map((mark) =>
          s(
            "rect.chart-mark",
            {
              class: mark.tone ?? "",
              x: x(Math.max(from, mark.from)),
              y: TOP,
              width: Math.max(2, x(Math.min(to, mark.to)) - x(Math.max(from, mark.from))),
              height: HEIGHT - TOP - BOTTOM,
            },
            s("title", mark.label),
          ),
        ),
        ticks(bottom, top).map((tick) => [
          s("line.chart-grid", { x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick) }),
          s("text.chart-tick", { x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, String(tick)),
        ]),
        known.length > 1 &&
          s("path.chart-area", { d: `${path}L${end} ${y(bottom)}L${first} ${y(bottom)}Z` }),
        s("path.chart-path", { d: path }),
        known.length === 1 && s("circle.chart-only", { cx: first, cy: y(known[0][1]), r: 3.5 }),
        line,
        dot,
      );
    },
  };
}

/** A line without axes, such as that of a figure over the last minutes. */
export function sparkline(label, { width = 120, height = 32, room = 60 } = {}) {
  const values = [];
  const path = s("path.chart-path");
  const area = s("path.chart-area");
  const element = s(
    "svg.sparkline",
    {
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      role: "img",
      "aria-label": label,
      preserveAspectRatio: "none",
    },
    area,
    path,
  );
  return {
    element,
    push(value) {
      values.push(value);
      if (values.length > room) values.shift();
      const top = Math.max(1, ...values) * 1.1;
      const step = width / (room - 1);
      const points = values.map((v, i) => [
        (room - values.length + i) * step,
        height - 2 - (v / top) * (height - 4),
      ]);
      const d = points
        .map(([px, py], i) => `${i ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`)
        .join("");
      path.setAttribute("d", d);
      area.setAttribute("d", `${d}L${width} ${height}L${points[0][0].toFixed(1)} ${height}Z`);
    },
  };
}

/** Bars of a histogram: `buckets` are `[bound in seconds, count]`. */
export function bars(title, buckets, { format, hint, good = Infinity }) {
  const total = buckets.reduce((all, [, n]) => all + n, 0);
  const most = Math.max(1, ...buckets.map(([, n]) => n));
  const used = buckets.filter(
    ([, n], i) =>
      n || (buckets.slice(i).some(([, m]) => m) && buckets.slice(0, i).some(([, m]) => m)),
  );
  return h(
    "figure.bars",
    h("figcaption", h("strong", title), hint && h("span.muted", hint)),
    total === 0
      ? h("p.muted", "Nothing has been counted yet.")
      : h(
          "ul",
          used.map(([bound, n]) => {
            const bar = h("span.bar", { class: bound > good ? "warn" : "" });
            bar.style.width = `${(n / most) * 100}%`;
            return h(
              "li",
              h("span.bar-name", Number.isFinite(bound) ? `≤ ${format(bound)}` : "more"),
              h("span.bar-room", bar),
              h(
                "span.bar-count",
                n ? `${((n / total) * 100).toFixed(n / total < 0.001 ? 3 : 1)} %` : DASH,
              ),
            );
          }),
        ),
  );
}
