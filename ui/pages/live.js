// Calls as they happen.

import * as api from "../lib/api.js";
import { every, h, mount, say, perFrame } from "../lib/dom.js";
import { listen } from "../lib/events.js";
import { address, count, figure, length, percent } from "../lib/format.js";
import { icon } from "../lib/icons.js";
import { histogram, parse, quantile, sum } from "../lib/metrics.js";
import { mosTone, silence, status as statusText, tone } from "../lib/words.js";
import { button, empty, heading, tile } from "../parts/basic.js";
import { sparkline } from "../parts/chart.js";
import { meter } from "../parts/meter.js";
import { openPhone } from "../parts/phone.js";
import { placeCall } from "../parts/place_call.js";
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
  const list = async () => {
    // A call that begins meanwhile is told of by the stream alone.
    const asked = Date.now() - 2_000;
    const living = await api.all("calls?living=true", { signal, max: LISTED_MAX });
    const ids = new Set(living.map(({ id }) => id));
    // Of more calls than are listed nobody knows which are over.
    const isWhole = living.length < LISTED_MAX;
    for (const { id, began_unix_ms: began } of calls.values()) {
      if (isWhole && !ids.has(id) && began < asked) calls.delete(id);
    }
    for (const call of living) calls.set(call.id, { ...calls.get(call.id), ...known(call) });
  };
  await list();
  const link = h("span.link-state", { role: "status" });
  const search = h("input", {
    type: "search",
    placeholder: "Number, agent or connection",
    "aria-label": "Find among the living calls",
  });
  const none = h("div");
  const elsewhere = h("p.muted.live-elsewhere", { role: "status", hidden: true });
  let node = null;
  const head = h(
    "div.live-head",
    { "aria-hidden": "true" },
    [
      ["Call"],
      ["State"],
      ["Agent"],
      ["Length"],
      ["Levels", "The caller above, the agent below"],
      ["Jitter"],
      ["Loss"],
      ["MOS"],
      ["Delay", "To the far end and back"],
      ["Added", "What this server adds, both ways: as half of the frames take it"],
    ].map(([name, title]) => h("span", { title }, name)),
  );
  const narrow = matchMedia(NARROW);
  const rows = virtualList("Living calls", { make: row, height: () => (narrow.matches ? 92 : 52) });
  const tiles = {
    now: tile("Calls now"),
    rate: tile("Answered a minute"),
    silent: tile("Silent now"),
    mos: tile("MOS, mean"),
    late: tile("Lateness, p99", { hint: "of frames that an agent sends ahead" }),
    added: tile("Time added, p99", { hint: "to frames, in this server" }),
  };
  const line = sparkline("Calls over the last minutes", { width: 110, height: 30, room: 120 });
  tiles.now.element.append(line.element);
  const answered = [];

  const draw = perFrame(() => {
    const text = search.value.trim().toLowerCase();
    const all = [...calls.values()];
    const shown = text
      ? all.filter((call) =>
          `${call.from} ${call.to} ${call.agent} ${call.trunk}`.toLowerCase().includes(text),
        )
      : all;
    shown.sort(
      (a, b) =>
        Number(Boolean(b.silent)) - Number(Boolean(a.silent)) || b.began_unix_ms - a.began_unix_ms,
    );
    rows.set(shown);
    mount(
      none,
      all.length === 0
        ? empty(
            "live",
            "No call at the moment",
            "Calls appear here the moment they begin. Make one from this browser to see how it looks.",
            api.may("calls") &&
              button("Test call", { icon: "phone", kind: "primary", onclick: () => openPhone() }),
          )
        : shown.length === 0 && empty("search", "No living call fits", "Look for something else."),
    );
    rows.element.hidden = shown.length === 0;
    head.hidden = rows.element.hidden;
    say(tiles.now.value, count(all.length));
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

  listen({
    signal,
    onState: (open) => {
      link.className = `link-state ${open ? "good" : "bad"}`;
      say(link, open ? "live" : "connecting again");
    },
    on: (event) => {
      take(calls, event);
      if (event.type === "call.answered") answered.push(Date.now());
      draw();
    },
  });
  search.addEventListener("input", draw);
  narrow.addEventListener("change", draw, { signal });

  const figures = every(FIGURES_MS, signal, async () => {
    const { items, node: here } = await api.get("live", { signal });
    node = here;
    for (const { id, ...media } of items) {
      const call = calls.get(id);
      if (!call) continue;
      call.media = media;
      const [direction, reason] = media.silence_out
        ? ["out", media.silence_out]
        : ["in", media.silence_in];
      call.silent = reason ? { direction, reason } : null;
    }
    line.push(calls.size);
    const minute = Date.now() - 60_000;
    while (answered[0] < minute) answered.shift();
    say(tiles.rate.value, count(answered.length));
    draw();
  });
  every(SERVER_MS, signal, async () => {
    const samples = parse(await api.text("/metrics", { signal }));
    const p99 = (name) => {
      const s = quantile(histogram(samples, name), 0.99);
      return s === null
        ? "–"
        : s < 1e-3
          ? `${Math.round(s * 1e6)} µs`
          : `${(s * 1_000).toFixed(0)} ms`;
    };
    say(tiles.late.value, p99("talkpath_frame_lateness_seconds"));
    say(tiles.added.value, p99("talkpath_frame_added_seconds"));
    const refused = sum(samples, "talkpath_calls_ended_total", { cause: "congestion" }) ?? 0;
    say(tiles.now.note, refused ? `${count(refused)} refused for want of room` : "");
  }).catch(() => {});
  const later = setTimeout(() => every(LIST_MS, signal, list).catch(() => {}), LIST_MS);
  signal.addEventListener("abort", () => clearTimeout(later), { once: true });
  await figures.catch(() => {});
  draw();
  return [
    heading(
      ["Live", " ", link],
      "Calls as they happen. Silent ones come first.",
      api.may("calls") && button("Place a call", { icon: "outbound", work: placeCall }),
    ),
    h(
      "div.tiles",
      Object.values(tiles).map((one) => one.element),
    ),
    h("div.live", h("div.live-tools", search, elsewhere), head, rows.element, none),
  ];
}

/** True for a call that another server has. */
const isAway = (call, node) => Boolean(call.node) && call.node !== node;

/** A call as this page keeps it. */
const known = (call) => ({
  ...call,
  answered_ms: call.answered_at ? Date.parse(call.answered_at) : null,
});

/** What an event changes. */
function take(calls, { type, call_id: id, at, data }) {
  const word = type.slice(5);
  if (word === "initiated") {
    calls.set(id, {
      id,
      status: "initiated",
      began_unix_ms: Date.parse(at),
      answered_ms: null,
      silent: null,
      ...data,
    });
    return;
  }
  const call = calls.get(id);
  if (!call) return;
  if (word === "ended") calls.delete(id);
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
  const element = h(
    "a.live-row",
    h(
      "span.live-call",
      way,
      h("span.live-names", h("span.parties", from, h("span.muted", "→"), to), why),
    ),
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
    show(call) {
      if (shown !== call.id) {
        shown = call.id;
        element.href = `#/calls/${call.id}`;
        say(from, address(call.from));
        say(to, address(call.to));
        way.className = `direction ${call.direction}`;
        way.replaceChildren(
          icon(call.direction === "inbound" ? "inbound" : "outbound", 15),
          h("span.offscreen", call.direction === "inbound" ? "in" : "out"),
        );
      }
      say(state, statusText(call.status));
      state.className = `badge ${tone(call.status)}`;
      say(agent, call.agent ?? "");
      say(time, call.answered_ms ? length(Date.now() - call.answered_ms) : "");
      say(why, call.silent ? silence(call.silent.reason, call.silent.direction).title : "");
      element.classList.toggle("is-silent", Boolean(call.silent));
      const { media } = call;
      mine.set(loud(media?.level_in_dbov));
      theirs.set(loud(media?.level_out_dbov));
      say(jitter, figure(media?.jitter_ms, 1));
      say(loss, percent(media?.loss));
      say(mos, figure(score(media), 2));
      mos.className = `badge ${score(media) ? mosTone(score(media)) : ""}`;
      say(added, micros(spent(call.stages)));
      say(delay, media?.round_trip_ms ? `${Math.round(media.round_trip_ms)} ms` : "–");
    },
  };
}
