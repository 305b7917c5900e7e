// The messages of a call as a ladder: who sent what to whom, and when.

import { h } from "../lib/dom.js";
import { fine } from "../lib/format.js";
import { copyButton } from "./basic.js";

const US = "Talkpath";

/** One step: `{at, from, to, title, note, text, tone}`; `from` or `to` is null where it is us. */
export function ladder(steps) {
  const others = [...new Set(steps.map(({ from, to }) => from ?? to))];
  const lanes = [US, ...others];
  const place = (name) => ((lanes.indexOf(name ?? US) + 0.5) / lanes.length) * 100;
  const start = steps[0]?.at ?? 0;
  const head = h(
    "div.ladder-head",
    { "aria-hidden": "true" },
    h("span.ladder-time"),
    h(
      "div.ladder-room",
      lanes.map((name) => {
        const element = h("span.ladder-name", name);
        element.style.left = `${place(name)}%`;
        return element;
      }),
    ),
  );
  const rows = steps.map((step) => {
    const [a, b] = [place(step.from), place(step.to)];
    const arrow = h(
      "span.arrow",
      { class: `${b > a ? "right" : "left"} ${step.tone ?? ""}` },
      h("span.arrow-text", step.title),
    );
    arrow.style.left = `${Math.min(a, b)}%`;
    arrow.style.width = `${Math.abs(b - a)}%`;
    const lines = lanes.map((name) => {
      const line = h("span.ladder-line", { "aria-hidden": "true" });
      line.style.left = `${place(name)}%`;
      return line;
    });
    const said = `${step.from ?? US} to ${step.to ?? US}: ${step.title}`;
    const summary = h(
      "summary",
      { "aria-label": said },
      h("span.ladder-time", { title: fine(step.at) }, `+${((step.at - start) / 1_000).toFixed(3)}`),
      h("div.ladder-room", lines, arrow),
    );
    return h(
      "li",
      h(
        "details",
        { "data-title": step.title },
        summary,
        h(
          "div.ladder-text",
          step.note && h("p.muted", step.note),
          h(
            "div.pre-frame",
            copyButton(step.text, "Copy the message"),
            h("pre", { tabindex: "0" }, step.text),
          ),
        ),
      ),
    );
  });
  return h("div.ladder", head, h("ol", rows));
}

/** The tone of a SIP message by its first line. */
export function sipTone(summary) {
  const status = /^SIP\/2\.0 (\d)/.exec(summary)?.[1];
  if (!status) return "request";
  return { 1: "wait", 2: "good", 3: "warn" }[status] ?? "bad";
}
