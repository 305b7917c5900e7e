// The figures of the server: OpenMetrics text, as Prometheus reads it.

import { DASH } from "./format.js";

/** Samples by name, each `{labels, value}`. */
export function parse(text) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    if (!line || line[0] === "#") continue;
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!match) continue;
    const [, name, labels, value] = match;
    if (!samples.has(name)) samples.set(name, []);
    samples.get(name).push({ labels: read(labels), value: number(value) });
  }
  return samples;
}

function read(text) {
  const labels = {};
  for (const [, name, value] of (text ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
    labels[name] = value.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
  }
  return labels;
}

const number = (text) => (text === "+Inf" ? Infinity : Number(text));

/** The sum of a metric's samples that have these labels. */
export function sum(samples, name, wanted = {}) {
  const fits = ({ labels }) => Object.entries(wanted).every(([k, v]) => labels[k] === v);
  const found = (samples.get(name) ?? []).filter(fits);
  return found.length ? found.reduce((total, { value }) => total + value, 0) : null;
}

/** The values of a label. */
export const labelled = (samples, name, label) =>
  [...new Set((samples.get(name) ?? []).map(({ labels }) => labels[label]))].filter(Boolean);

/** Buckets of a histogram, not cumulative: `[[bound in seconds, count]]`. */
export function histogram(samples, name, wanted = {}) {
  const totals = new Map();
  for (const { labels, value } of samples.get(`${name}_bucket`) ?? []) {
    if (!Object.entries(wanted).every(([k, v]) => labels[k] === v)) continue;
    const bound = number(labels.le);
    totals.set(bound, (totals.get(bound) ?? 0) + value);
  }
  let before = 0;
  return [...totals]
    .sort(([a], [b]) => a - b)
    .map(([bound, upTo]) => {
      const own = upTo - before;
      before = upTo;
      return [bound, own];
    });
}

/** What was counted since `earlier`. */
export const since = (later, earlier) =>
  later.map(([bound, n], i) => [bound, Math.max(0, n - (earlier?.[i]?.[1] ?? 0))]);

/** The bound of the bucket that holds a quantile; null if nothing was counted. */
export function quantile(buckets, q) {
  const total = buckets.reduce((all, [, n]) => all + n, 0);
  if (!total) return null;
  let seen = 0;
  for (const [bound, n] of buckets) {
    seen += n;
    if (n && seen >= total * q) return bound;
  }
  return null;
}

/** The greatest bound that a histogram has: of what is beyond, only that is known. */
export const lastBound = (buckets) =>
  Math.max(0, ...buckets.map(([bound]) => bound).filter(Number.isFinite));

/** A quantile as `format` writes it, as "over" the last bound where it is beyond. */
export function quantileText(buckets, q, format) {
  const bound = quantile(buckets, q);
  if (bound === null) return DASH;
  return Number.isFinite(bound) ? format(bound) : `over ${format(lastBound(buckets))}`;
}
