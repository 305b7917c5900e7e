// Times, lengths and figures as people read them.

import { now } from "./clock.js";

const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const whole = new Intl.NumberFormat();

export const DASH = "–";

/** 3:07, 1:02:03. */
export function length(ms) {
  if (ms === null || ms === undefined) return DASH;
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  const [h, m, s] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** 840 ms, 3.2 s, 4 min. */
export function span(ms) {
  if (ms === null || ms === undefined) return DASH;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  return `${(ms / 3_600_000).toFixed(1)} h`;
}

export const count = (n) => (n === null || n === undefined ? DASH : whole.format(n));

/** With so many places behind the point, or a dash. */
export function figure(value, places = 1, unit = "") {
  if (value === null || value === undefined || Number.isNaN(value)) return DASH;
  return `${value.toFixed(places)}${unit && ` ${unit}`}`;
}

export const percent = (part, places = 1) =>
  part === null || part === undefined ? DASH : `${(part * 100).toFixed(places)} %`;

export function bytes(n) {
  if (n === null || n === undefined) return DASH;
  const units = ["B", "kB", "MB", "GB"];
  let at = 0;
  let left = n;
  while (left >= 1_000 && at < 3) {
    left /= 1_000;
    at += 1;
  }
  return `${left.toFixed(at && left < 100 ? 1 : 0)} ${units[at]}`;
}

/** 14:03:22 today, 3 Mar 14:03:22 before. */
export function when(time) {
  if (!time) return DASH;
  const date = new Date(time);
  const today = new Date().toDateString() === date.toDateString();
  return today ? clock.format(date) : `${day.format(date)} ${clock.format(date)}`;
}

export const exactly = (time) => (time ? full.format(new Date(time)) : DASH);

/** The time of day with milliseconds. */
export function fine(time) {
  const date = new Date(time);
  return `${clock.format(date)}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** 5 s ago, 3 h ago. */
export function ago(time) {
  const ms = Math.max(0, now() - new Date(time).getTime());
  if (ms < 5_000) return "just now";
  if (ms < 60_000) return `${Math.floor(ms / 1_000)} s ago`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ago`;
  if (ms < 86_400_000) return `${Math.floor(ms / 3_600_000)} h ago`;
  return `${Math.floor(ms / 86_400_000)} d ago`;
}

/** `sip:bob@host` without what everybody's has. */
export function address(text) {
  if (!text) return "unknown";
  return text.replace(/^sips?:/i, "").replace(/;.*$/, "");
}

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
