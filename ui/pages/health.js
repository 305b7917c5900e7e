// How the server does: load, time, refusals, who reaches it.

import * as api from "../lib/api.js";
import { now as serverNow } from "../lib/clock.js";
import { every, h, mount, say } from "../lib/dom.js";
import { bytes, count, figure, span, when } from "../lib/format.js";
import {
  histogram,
  labelled,
  lastBound,
  parse,
  quantile,
  quantileText,
  since,
  sum,
} from "../lib/metrics.js";
import { cause } from "../lib/words.js";
import { badge, card, empty, facts, heading, notice, tile } from "../parts/basic.js";
import { bars, charts } from "../parts/chart.js";
import { PATH } from "../parts/connection_form.js";
import { spending } from "../parts/spending.js";

const LOOK_MS = 2_000;
/** How far back the curves of this page go, and how much of it is shown from the beginning. */
const HISTORY_MS = 600_000;
const HISTORY_MIN_MS = 60_000;
/** A frame is late when it leaves a frame's length after it was due. */
const FRAME_S = 0.02;
/** Where what is beyond the last bound of a histogram is drawn, as a factor of that bound. */
const BEYOND = 1.01;

const LATENESS = "talkpath_frame_lateness_seconds";
const ENDED = "talkpath_calls_ended_total";

const seconds = (s) => (s < 1e-3 ? `${Math.round(s * 1e6)} µs` : span(s * 1_000));

export async function page({ title, signal }) {
  title("Server");
  const [names, money] = await Promise.all([
    trunkNames(signal),
    api.get("organization/spending", { signal }).catch(() => null),
  ]);
  const ready = h("div", { role: "status" });
  const tiles = {
    calls: tile("Calls now"),
    rate: tile("New calls a second"),
    cpu: tile("Processor"),
    late: tile("Lateness", { hint: "99 of 100 frames leave within this of their time" }),
    added: tile("Time added", { hint: "99 of 100 frames stay here no longer" }),
    memory: tile("Memory"),
    commit: tile("Database commit", { hint: "19 of 20 take no longer" }),
    http: tile("HTTP answers a second"),
  };
  const history = [];
  const curves = h("div");
  const workers = h("tbody");
  const spread = h("div.bars-row");
  const refused = h("div");
  const reach = h("div");
  const about = h("div");
  const upFor = h("span");
  let first = null;
  let before = null;
  const look = async () => {
    const now = performance.now();
    const [text, load] = await Promise.all([
      api.text("/metrics", { signal }),
      api.get("server", { signal }),
    ]);
    const samples = parse(text);
    const state = { now, samples, workers: load.workers };
    if (!before || began(before) !== began(state)) anew(state, load);
    draw(state, before ?? state);
    remember(state, before);
    before = state;
    looked = Date.now();
    const answer = await fetch("/readyz", { signal }).catch(() => null);
    tell(answer?.ok ? (load.takes_calls ? "" : "full") : answer ? "unready" : "gone");
  };
  /** Another process counts from nothing: what the one before has counted says nothing of it. */
  const anew = (state, server) => {
    // What was asked of the one before, its version for one, may have changed.
    if (before) api.forget();
    first = state;
    before = null;
    history.length = 0;
    mount(curves, h("p.muted", "The curves begin in a moment."));
    mount(about, facts(...identity(server), ["Up for", began(state) && upFor]));
  };
  let looked = 0;
  let told = "";
  /** Says how the server stands, when that changes. */
  const tell = (word) => {
    shown.classList.toggle("is-stale", word === "gone");
    if (word === told) return;
    told = word;
    mount(ready, STANDING[word]?.(when(looked)));
  };
  const turn = async () => {
    try {
      await look();
    } catch (error) {
      // Without any figures there is no page; with some they are told to be old.
      if (!before || error.name === "AbortError" || error.status === 401) throw error;
      tell("gone");
    }
  };
  /** What the curves show of this moment. */
  const remember = (state, last) => {
    if (!last) return;
    const lately = since(histogram(state.samples, LATENESS), histogram(last.samples, LATENESS));
    const late = quantile(lately, 0.99);
    const [at, took_s] = [Date.now(), (state.now - last.now) / 1_000];
    const refused = (of) => sum(of.samples, ENDED, { cause: "congestion" }) ?? 0;
    history.push({
      at,
      calls: sum(state.samples, "talkpath_calls_active") ?? 0,
      busy: Math.max(0, ...state.workers.map(({ busy_pct: busy }) => busy)),
      // What is beyond the last bound is drawn above it, by how much nobody knows.
      late_ms: late === null ? null : Math.min(late, lastBound(lately) * BEYOND) * 1_000,
      late_most_ms: lastBound(lately) * 1_000,
      refused: (Math.max(0, refused(state) - refused(last)) * 60) / took_s,
    });
    while (history[0].at < at - HISTORY_MS) history.shift();
    // What is pointed at or read stays as it is.
    if (history.length > 1 && !curves.matches(":hover, :focus-within"))
      mount(curves, overTime(history));
  };
  const rate = (state, last, name, wanted) => {
    const took = (state.now - last.now) / 1_000;
    return took > 0
      ? Math.max(
          0,
          (sum(state.samples, name, wanted) ?? 0) - (sum(last.samples, name, wanted) ?? 0),
        ) / took
      : null;
  };
  const spreadOf = (state, name) =>
    since(histogram(state.samples, name), state === first ? null : histogram(first.samples, name));
  const p99 = (state, name) => {
    const seen = spreadOf(state, name);
    const all = histogram(state.samples, name);
    return quantileText(quantile(seen, 0.99) === null ? all : seen, 0.99, seconds);
  };
  function draw(state, last) {
    const { samples } = state;
    say(tiles.calls.value, count(sum(samples, "talkpath_calls_active") ?? 0));
    say(tiles.rate.value, figure(rate(state, last, "talkpath_calls_started_total"), 1));
    const cpu = rate(state, last, "process_cpu_seconds_total");
    say(tiles.cpu.value, cpu === null ? "–" : `${Math.round(cpu * 100)} %`);
    say(tiles.cpu.note, "of one core");
    say(tiles.late.value, p99(state, LATENESS));
    say(tiles.added.value, p99(state, "talkpath_frame_added_seconds"));
    say(upFor, up(state));
    say(tiles.memory.value, bytes(sum(samples, "process_resident_memory_bytes")));
    say(
      tiles.memory.note,
      `${count(sum(samples, "process_open_fds"))} of ${count(sum(samples, "process_max_fds"))} descriptors`,
    );
    say(
      tiles.commit.value,
      quantileText(histogram(samples, "talkpath_log_commit_seconds"), 0.95, seconds),
    );
    say(tiles.http.value, figure(rate(state, last, "talkpath_http_responses_total"), 0));
    mount(
      workers,
      labelled(samples, "talkpath_worker_calls", "worker").map((worker) =>
        row(state, last, worker),
      ),
    );
    mount(
      spread,
      bars("When frames leave", histogram(samples, LATENESS), {
        format: seconds,
        hint: "after they were due",
        good: FRAME_S,
      }),
      bars("Time added to frames", histogram(samples, "talkpath_frame_added_seconds"), {
        format: seconds,
        hint: "from arrival to departure",
        good: FRAME_S,
      }),
    );
    mount(refused, ends(samples));
    mount(reach, peers(samples, names));
  }
  const row = (state, last, worker) => {
    const own = { worker };
    const per = (name, wanted = {}) =>
      count(Math.round(rate(state, last, name, { ...own, ...wanted }) ?? 0));
    const late = histogram(state.samples, LATENESS, own);
    const total = (name) => count(sum(state.samples, name, own) ?? 0);
    const busy = state.workers[Number(worker)]?.busy_pct;
    return h(
      "tr",
      h("td", { "data-label": "Worker" }, h("strong", worker)),
      h("td.num", { "data-label": "Calls" }, total("talkpath_worker_calls")),
      h("td.num", { "data-label": "Busy" }, busy === undefined ? "–" : `${busy} %`),
      h("td.num", { "data-label": "In a second" }, per("talkpath_packets_in_total")),
      h("td.num", { "data-label": "Out a second" }, per("talkpath_packets_out_total")),
      h("td.num", { "data-label": "Wake-ups a second" }, per("talkpath_worker_wakeups_total")),
      h("td.num", { "data-label": "Lateness p50" }, quantileText(late, 0.5, seconds)),
      h("td.num", { "data-label": "p99" }, quantileText(late, 0.99, seconds)),
      h("td.num", { "data-label": "Late frames" }, total("talkpath_frames_late_total")),
      h("td.num", { "data-label": "Underruns" }, total("talkpath_underruns_total")),
      h("td.num", { "data-label": "Lost packets" }, total("talkpath_rtp_lost_total")),
    );
  };
  const shown = h(
    "div",
    h(
      "div.tiles",
      Object.values(tiles).map((one) => one.element),
    ),
    card(
      "The last minutes",
      { about: "As seen from this page, since it was opened; ten minutes at most." },
      curves,
    ),
    card(
      "Media workers",
      { about: "One thread each; a call stays with one from its beginning to its end." },
      h(
        "div.table-frame",
        { tabindex: "0", role: "region", "aria-label": "Media workers" },
        h(
          "table",
          h(
            "thead",
            h(
              "tr",
              [
                "Worker",
                "Calls",
                "Busy",
                "In/s",
                "Out/s",
                "Wake-ups/s",
                "Lateness p50",
                "p99",
                "Late frames",
                "Underruns",
                "Lost",
              ].map((name, i) => h("th", { scope: "col", class: i ? "num" : "" }, name)),
            ),
          ),
          workers,
        ),
      ),
    ),
    card(
      "Time",
      { about: "What callers hear: frames that leave on time, and how long they stay here." },
      spread,
    ),
    h(
      "div.two",
      card("How calls end", { about: "Since the server started; hang-ups left out." }, refused),
      card("Who reaches it", { about: "Trunks, registrations, connections." }, reach),
    ),
    card("This server", {}, about),
  );
  await every(LOOK_MS, signal, turn);
  return [heading("Server", "How this node does, every two seconds."), ready, spending(money), shown];
}

/** What is said of a server that does not take calls, by how it stands. */
const STANDING = {
  full: () =>
    notice(
      "warn",
      "No new calls are taken for the moment",
      "The server has as many as it can serve in time. It takes calls again by itself once there is room.",
    ),
  unready: () =>
    notice(
      "bad",
      "No calls are taken",
      "The server drains, is overloaded, or its database does not answer.",
    ),
  gone: (time) =>
    notice(
      "bad",
      "The server cannot be reached",
      `It may be restarting, or the connection is gone. These figures are of ${time}; it is asked again every two seconds.`,
    ),
};

/** Curves of what the server did, over the time of day. */
function overTime(history) {
  const points = (pick) => history.map((one) => [one.at, pick(one)]);
  const { at: to, late_most_ms: most } = history.at(-1);
  return charts(
    [
      { title: "Calls", points: points((one) => one.calls), high: 4, format: (v) => count(v) },
      {
        title: "Load",
        hint: "of the busiest worker",
        points: points((one) => one.busy),
        high: 100,
        format: (v) => `${Math.round(v)} %`,
        tone: (v) => (v > 80 ? "bad" : v > 60 ? "warn" : ""),
      },
      {
        title: "Lateness",
        hint: "99 of 100 frames leave within this of their time",
        points: points((one) => one.late_ms),
        high: 5,
        format: (v) => (v > most ? `over ${seconds(most / 1_000)}` : seconds(v / 1_000)),
        tone: (v) => (v > FRAME_S * 1_000 ? "warn" : ""),
      },
      {
        title: "Refused",
        hint: "calls a minute, for want of room",
        points: points((one) => one.refused),
        high: 1,
        format: (v) => v.toFixed(0),
        tone: (v) => (v > 0 ? "warn" : ""),
      },
    ],
    {
      from: Math.min(history[0].at, to - HISTORY_MIN_MS),
      to,
      byClock: true,
      label: "The last minutes",
    },
  );
}

/** When the process began, in seconds since 1970; null where it does not tell. */
const began = ({ samples }) => sum(samples, "process_start_time_seconds");

const up = (state) => span(Math.max(0, serverNow() - began(state) * 1_000));

/** What stays the same of a server for as long as it runs. */
const identity = (server) => [
  ["Version", server.version],
  ["Node", h("code", server.node)],
  ["Address for carriers and agents", h("code", server.base_url)],
  ["SIP", server.sip.map(({ transport, address }) => `${transport} ${address}`).join(", ")],
  ["RTP ports", `${server.rtp.ports.first}-${server.rtp.ports.last}`],
];

function ends(samples) {
  const totals = labelled(samples, ENDED, "cause")
    .map((word) => [word, sum(samples, ENDED, { cause: word })])
    .filter(([word, n]) => n > 0 && word !== "normal")
    .sort((a, b) => b[1] - a[1]);
  if (!totals.length)
    return empty("check", "Nothing out of the ordinary", "No call was refused or cut short.");
  return h(
    "ul.lines",
    totals.map(([word, n]) =>
      h(
        "li.line-item",
        h("span", cause(word)),
        badge(count(n), word === "internal" ? "bad" : "quiet"),
      ),
    ),
  );
}

/** Connections whose trunks are looked up: the page shows names, not a list of everything. */
const NAMED_MAX = 50;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Names of the organisation's trunks, by their ids. */
async function trunkNames(signal) {
  const { configurations } = await api
    .get(PATH, { signal })
    .catch(() => ({ configurations: [] }));
  const found = await Promise.all(
    configurations.slice(0, NAMED_MAX).map(async ({ id, name }) => {
      const { trunks } = await api
        .get(`${PATH}/${id}/trunks`, { signal })
        .catch(() => ({ trunks: [] }));
      return [[id, name], ...trunks.map((one) => [one.id, `${name}, ${one.name}`])];
    }),
  );
  return new Map(found.flat());
}

function peers(samples, names) {
  // Those of the configuration file are called by their names; other organisations' are not shown.
  const own = (metric) =>
    (samples.get(metric) ?? [])
      .filter(({ labels }) => names.has(labels.trunk) || !UUID.test(labels.trunk))
      .map(({ labels, value }) => [names.get(labels.trunk) ?? labels.trunk, value]);
  const trunks = own("talkpath_sip_trunk_up").map(([name, value]) => [
    name,
    badge(value ? "up" : "down", value ? "good" : "bad"),
  ]);
  const registered = own("talkpath_sip_registered").map(([name, value]) => [
    `Registered: ${name}`,
    badge(value ? "yes" : "no", value ? "good" : "bad"),
  ]);
  const figures = [
    ["Phones registered here", "talkpath_sip_bindings"],
    ["SIP connections", "talkpath_sip_connections"],
    ["Agents connected", "talkpath_agent_connections"],
    ["HTTP connections", "talkpath_http_connections"],
  ];
  return facts(
    ...trunks,
    ...registered,
    ...figures.map(([name, metric]) => [name, count(sum(samples, metric) ?? 0)]),
  );
}
