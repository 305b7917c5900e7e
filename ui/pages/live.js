// Calls as they happen.

import * as api from "../lib/api.js";
import { now } from "../lib/clock.js";
import { every, h, mount, say, perFrame } from "../lib/dom.js";
import { listen } from "../lib/events.js";
import { address, count, figure, length, percent } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { histogram, parse, quantileText, sum } from "../lib/metrics.js";
import { mosTone, silence, status as statusText, tone } from "../lib/words.js";
import { button, empty, heading, tile } from "../parts/basic.js";
import { sparkline } from "../parts/chart.js";
import { meter } from "../parts/meter.js";
import { openPhone, placeCall } from "../parts/phone.js";
import { micros } from "../parts/stages.js";
import { virtualList } from "../parts/vlist.js";

const FIGURES_MS = 1_000;
const SERVER_MS = 3_000;
/** How often the list is read anew, for what a stream has missed. */
const LIST_MS = 20_000;
/** Most calls that are listed. */
const LISTED_MAX = 2_000;
/** Below this a call is two lines. */
const NARROW = "(max-width: 760px)";

export async function page({ title, signal }) {
  title("Live");
  const calls = new Map();
  const link = h("span.link-state", { role: "status" });
  const search = h("input", {
    type: "search",
    placeholder: "Number, agent or connection",
    "aria-label": "Find among the living calls",
  });
  const none = h("div");
  // Beside the search, where it moves nothing when it comes.
  const note = h("p.muted.live-held");
  const elsewhere = h("p.muted.live-note", { role: "status", hidden: true });
  const narrow = matchMedia(NARROW);
  const rows = virtualList("Living calls", {
    head: head(),
    make: row,
    height: () => (narrow.matches ? 92 : 52),
  });
  const tiles = figures();
  const line = sparkline("Calls over the last minutes", { width: 110, height: 30, room: 120 });
  tiles.now.element.append(line.element);
  tiles.silent.element.setAttribute("role", "status");
  const answered = [];
  /** Calls that the stream has told the end of since the list was asked for. */
  const ended = new Set();
  let node = null;
  let isWhole = true;
  let isStale = true;
  let shown = [];
  let searched = "";
  let said = null;

  /** Puts the calls in order; one that somebody is about to open does not move away meanwhile. */
  const arrange = () => {
    const text = search.value.trim().toLowerCase();
    const fits = (call) =>
      !text ||
      `${call.from} ${call.to} ${call.agent} ${call.trunk}`.toLowerCase().includes(text);
    const isHeld = shown.length > 0 && text === searched && rows.isHeld();
    say(note, isHeld ? "The order stands still while you are in the list." : "");
    if (!isStale && text === searched) return;
    const all = [...calls.values()].filter(fits);
    if (isHeld) {
      const there = new Set(shown);
      shown = shown.concat(all.filter((call) => !there.has(call)));
    } else {
      shown = all.sort(
        (a, b) =>
          Number(Boolean(b.silent)) - Number(Boolean(a.silent)) ||
          b.began_unix_ms - a.began_unix_ms,
      );
    }
    isStale = isHeld;
    searched = text;
  };
  /** What the place of the list says while there is nothing in it; drawn when that changes. */
  const sayNone = () => {
    const what = shown.length ? "" : calls.size ? "unfit" : "none";
    if (what === said) return;
    said = what;
    mount(none, { none: nobody, unfit }[what]?.());
    rows.element.hidden = what !== "";
  };
  const draw = perFrame(() => {
    arrange();
    rows.set(shown);
    sayNone();
    const all = [...calls.values()];
    say(tiles.now.value, `${count(all.length)}${isWhole ? "" : " and more"}`);
    const away = node ? all.filter((call) => isAway(call, node)).length : 0;
    elsewhere.hidden = away === 0;
    say(
      elsewhere,
      away > 0
        ? `${count(away)} of these calls ${away === 1 ? "is" : "are"} at another server: level and quality are measured there, and shown by its own pages. This is ${node}.`
        : "",
    );
    const silent = all.filter((call) => call.silent).length;
    say(tiles.silent.value, count(silent));
    tiles.silent.element.classList.toggle("bad", silent > 0);
    const scores = all.map((call) => score(call.media)).filter((mos) => mos > 0);
    say(
      tiles.mos.value,
      scores.length ? figure(scores.reduce((a, b) => a + b, 0) / scores.length, 2) : "–",
    );
  });

  const list = async () => {
    // A call that begins or ends meanwhile is told of by the stream alone.
    const asked = now() - 2_000;
    ended.clear();
    const living = await api.all("calls?living=true", { signal, max: LISTED_MAX });
    const ids = new Set(living.map(({ id }) => id));
    // Of more calls than are listed nobody knows which are over.
    isWhole = living.length < LISTED_MAX;
    for (const call of calls.values()) {
      if (isWhole && !ids.has(call.id) && call.began_unix_ms < asked) over(calls, call);
    }
    for (const call of living.filter(({ id }) => !ended.has(id))) {
      const before = calls.get(call.id);
      if (before) renew(before, known(call));
      else calls.set(call.id, known(call));
    }
    isStale = true;
  };
  const measure = ({ items, node: here }) => {
    node = here;
    for (const media of items) {
      const call = calls.get(media.id);
      if (!call) continue;
      call.media = media;
      const [direction, reason] = media.silence_out
        ? ["out", media.silence_out]
        : ["in", media.silence_in];
      isStale ||= Boolean(call.silent) !== Boolean(reason);
      call.silent = reason ? { direction, reason } : null;
    }
    line.push(calls.size);
    const minute = Date.now() - 60_000;
    while (answered[0] < minute) answered.shift();
    say(tiles.rate.value, count(answered.length));
    draw();
  };
  const look = () => api.get("live", { signal });
  // Both at once: neither needs the other's answer.
  const [, first] = await Promise.all([list(), look().catch(() => null)]);
  if (first) measure(first);

  listen({
    signal,
    onState: (open) => {
      link.className = `link-state ${open ? "good" : "bad"}`;
      say(link, open ? "live" : "connecting again");
      rows.element.classList.toggle("is-stale", !open);
    },
    onAgain: () =>
      list().then(draw, () => {
        // The list is read again in a while.
      }),
    on: (event) => {
      isStale = take(calls, event) || isStale;
      if (event.type === "call.ended") ended.add(event.call_id);
      if (event.type === "call.answered") answered.push(Date.now());
      draw();
    },
  });
  search.addEventListener("input", draw);
  narrow.addEventListener("change", draw, { signal });
  later(FIGURES_MS, signal, async () => measure(await look()));
  later(LIST_MS, signal, list);
  every(SERVER_MS, signal, async () =>
    load(tiles, parse(await api.text("/metrics", { signal }))),
  ).catch(() => {});
  draw();
  return [
    heading(
      ["Live", " ", link],
      "Calls as they happen. Silent ones come first; open one to listen in, steer it or hang up.",
      api.may("calls") && button("Place a call", { icon: "outbound", work: placeCall }),
    ),
    h(
      "div.tiles.live-tiles",
      Object.values(tiles).map((one) => one.element),
    ),
    h("div.live", h("div.live-tools", search, note, elsewhere), rows.element, none),
  ];
}

/** Does the same every so often, from the first turn on. */
function later(ms, signal, work) {
  const timer = setTimeout(() => every(ms, signal, work).catch(() => {}), ms);
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
}

/** The names of the columns. */
const head = () =>
  h(
    "div.live-head",
    { role: "row", "aria-rowindex": 1 },
    [
      ["Call", "Who calls whom, and by which connection"],
      ["State"],
      ["Agent"],
      ["Length", "Since the answer"],
      ["Levels", "How loud they are: the caller above, the agent below"],
      ["Jitter", "How unevenly packets come, in milliseconds"],
      ["Loss", "Packets of the caller that never came"],
      ["MOS", "How good the caller sounds: 1 is bad, 4.4 as good as a telephone can be"],
      ["Delay", "To the far end and back"],
      ["Added", "What this server adds, both ways: as half of the frames take it"],
    ].map(([name, title]) => h("span", { role: "columnheader", title }, name)),
  );

const figures = () => ({
  now: tile("Calls now"),
  rate: tile("Answered", { hint: "in the last minute" }),
  silent: tile("Silent now", { hint: "nothing is heard one way" }),
  mos: tile("MOS, mean", { hint: "1 is bad, 4.4 best" }),
  late: tile("Lateness", { hint: "of 99 % of frames, at most" }),
  added: tile("Time added", { hint: "to 99 % of frames, at most" }),
  load: tile("Load", { hint: h("a", { href: "#/health" }, "of the busiest worker") }),
});

const nobody = () =>
  empty(
    "live",
    "No call at the moment",
    "Calls appear here the moment they begin. Make one from this browser to see how it looks.",
    api.may("calls") &&
      button("Test call", { icon: "phone", kind: "primary", onclick: () => openPhone() }),
  );

const unfit = () => empty("search", "No living call fits", "Look for something else.");

/** What the server's figures say of its load. */
function load(tiles, samples) {
  const p99 = (name) => quantileText(histogram(samples, name), 0.99, (s) => micros(s * 1e6));
  say(tiles.late.value, p99("talkpath_frame_lateness_seconds"));
  say(tiles.added.value, p99("talkpath_frame_added_seconds"));
  const busy = (samples.get("talkpath_worker_busy_ratio") ?? []).map(({ value }) => value);
  say(tiles.load.value, busy.length ? `${Math.round(Math.max(...busy) * 100)} %` : "–");
  const refuses = (samples.get("talkpath_worker_overloaded") ?? []).every(({ value }) => value > 0);
  tiles.load.element.classList.toggle("bad", busy.length > 0 && refuses);
  const refused = sum(samples, "talkpath_calls_ended_total", { cause: "congestion" }) ?? 0;
  say(tiles.now.note, refused ? `${count(refused)} refused for want of room` : "");
}

/** True for a call that another server has. */
const isAway = (call, node) => Boolean(call.node) && call.node !== node;

/** A call as this page keeps it. */
const known = (call) => ({
  ...call,
  answered_ms: call.answered_at ? Date.parse(call.answered_at) : null,
});

/** Takes over what a list says of a call; the stream may have told of its answer already. */
function renew(call, listed) {
  const { status, answered_ms: answered } = call;
  Object.assign(call, listed);
  if (answered && !call.answered_ms) Object.assign(call, { status, answered_ms: answered });
}

/** A call that lives no more: it is marked where it is still seen. */
function over(calls, call) {
  call.isOver = true;
  calls.delete(call.id);
}

/** What an event changes; true if calls may stand elsewhere for it. */
function take(calls, { type, call_id: id, at, data }) {
  const word = type.slice(5);
  if (word === "initiated") {
    if (calls.has(id)) return false;
    calls.set(id, {
      id,
      status: "initiated",
      began_unix_ms: Date.parse(at),
      answered_ms: null,
      silent: null,
      ...data,
    });
    return true;
  }
  const call = calls.get(id);
  if (!call) return false;
  if (word === "ended") over(calls, call);
  if (word === "ringing" || word === "queued") call.status = word;
  if (word === "answered") {
    call.status = "in-progress";
    call.answered_ms ??= Date.parse(at);
  }
  if (word === "agent_connected") call.agent = data.agent;
  if (word === "silence") {
    call.silences = { ...call.silences, [data.direction]: data.silent ? data.reason : null };
    const [direction, reason] = Object.entries(call.silences).find(([, why]) => why) ?? [];
    call.silent = reason ? { direction, reason } : null;
  }
  return word === "ended" || word === "silence";
}

/** The score of what is heard; none where nothing has come that could be judged. */
const score = (media) =>
  ["nothing_arrived", "private_address"].includes(media?.silence_in) ? null : (media?.mos ?? null);

/** What the steps of a frame add up to, in microseconds; null before one was timed. */
function spent(stages) {
  const timed = (stages ?? []).filter(({ p50_us: us }) => us !== null);
  return timed.length ? timed.reduce((all, { p50_us: us }) => all + us, 0) : null;
}

/** A level on a scale of 60 dB, 0 to 1. */
const loud = (dbov) => (dbov === null || dbov === undefined ? 0 : Math.max(0, 1 + dbov / 60));

/** Sets the classes of an element where they differ. */
const put = (element, names) => {
  if (element.className !== names) element.className = names;
};

/** A row that shows one call after the other. */
function row() {
  const way = h("span.direction");
  const from = h("strong.clip");
  const to = h("span.clip");
  const state = h("span.badge");
  const agent = h("span.clip");
  const time = h("span.mono.num");
  const [mine, theirs] = [meter("Caller", { kind: "mine" }), meter("Agent", { kind: "theirs" })];
  const [jitter, loss, mos, delay] = [h("span.num"), h("span.num"), h("span.badge"), h("span.num")];
  const added = h("span.num");
  const why = h("span.live-why");
  const via = h("span.muted");
  // The link covers the whole row.
  const link = h("a.live-link", h("span.parties", from, h("span.muted", "→"), to));
  const element = h(
    "div.live-row",
    h("span.live-call", way, h("span.live-names", link, h("span.live-line", why, via))),
    h("span", state),
    h("span.clip", agent),
    time,
    h("span.live-levels", mine.element, theirs.element),
    jitter,
    loss,
    h("span.num", mos),
    delay,
    added,
  );
  [...element.children].forEach((cell) => cell.setAttribute("role", "cell"));
  let shown = null;
  return {
    element,
    link,
    show(call) {
      if (shown !== call.id) {
        shown = call.id;
        link.href = `#/calls/${call.id}`;
        say(from, address(call.from));
        say(to, address(call.to));
        way.className = `direction ${call.direction}`;
        way.replaceChildren(
          icon(call.direction === "inbound" ? "inbound" : "outbound", 15),
          h("span.offscreen", call.direction === "inbound" ? "in" : "out"),
        );
      }
      say(state, call.isOver ? "Over" : statusText(call.status));
      put(state, `badge ${call.isOver ? "quiet" : tone(call.status)}`);
      element.classList.toggle("is-over", Boolean(call.isOver));
      say(agent, call.agent ?? "");
      if (!call.isOver) say(time, call.answered_ms ? length(now() - call.answered_ms) : "");
      say(why, call.silent ? silence(call.silent.reason, call.silent.direction).title : "");
      say(via, call.trunk ? `by ${call.trunk}` : "");
      element.classList.toggle("is-silent", Boolean(call.silent));
      const { media } = call;
      mine.set(loud(media?.level_in_dbov));
      theirs.set(loud(media?.level_out_dbov));
      say(jitter, figure(media?.jitter_ms, 1));
      say(loss, percent(media?.loss));
      say(mos, figure(score(media), 2));
      put(mos, `badge ${score(media) ? mosTone(score(media)) : ""}`);
      say(added, micros(spent(call.stages)));
      say(delay, media?.round_trip_ms ? `${Math.round(media.round_trip_ms)} ms` : "–");
    },
  };
}
