// One call: what happened, how it sounded, and why nothing was heard if that is so.

import * as api from "../lib/api.js";
import { now } from "../lib/clock.js";
import { every, h, mount, oneByOne, perFrame, say } from "../lib/dom.js";
import { listen } from "../lib/events.js";
import { address, count, exactly, figure, length, percent, span, when } from "../lib/format.js";
import { cause, causeAdvice, endedBy, mos, mosTone } from "../lib/words.js";
import { backTo, card, facts, heading, notice, status } from "../parts/basic.js";
import { charts } from "../parts/chart.js";
import { controls } from "../parts/call_controls.js";
import { eventList, exportButtons, keepOpen, messages, transfers } from "../parts/call_log.js";
import { recording } from "../parts/call_recording.js";
import { ledger } from "../parts/call_speech.js";
import { advices, lanes, silences, verdicts } from "../parts/call_story.js";
import { stages } from "../parts/stages.js";
import { later } from "../parts/table.js";
import { timeline } from "../parts/timeline.js";

const AGAIN_MS = 5_000;

export async function page({ title, params, signal }) {
  const { id } = params;
  const lists = () =>
    ["events", "quality", "speech"].map((name) => api.growing(`calls/${id}/${name}`, { signal }));
  let read = lists();
  const load = async () => {
    const [call, events, quality, spoken] = await Promise.all([
      api.get(`calls/${id}`, { signal }),
      ...read.map((more) => more()),
    ]);
    return { call, events, quality, spoken };
  };
  let data = await load();
  title(`${address(data.call.from)} → ${address(data.call.to)}`);
  const [head, story, media] = [h("div"), h("div"), h("div")];
  const lost = h("div", { role: "status" });
  // A silence that begins is told to whoever hears the page; what is drawn changes all the time.
  const aloud = h("p.offscreen", { role: "status" });
  const isOver = () => data.call.state === "ended";
  const sound = h("div");
  const said = h("div");
  const log = h("div");
  let speech = null;

  const drawn = {};
  // What is read or pointed at stays as it is unless there is something new.
  const changed = (part, ...of) => {
    const text = JSON.stringify(of);
    if (drawn[part] === text) return false;
    drawn[part] = text;
    return true;
  };
  const draw = () => {
    const { call, events, quality, spoken } = data;
    const { duration_ms: _, ...lasting } = call;
    if (changed("head", lasting)) mount(head, top(data), summary(call));
    drawStory();
    const isRead = !isOver() && media.matches(":hover, :focus-within");
    if (!isRead && changed("media", call.quality, call.ended_at, quality, events.length, call.stages))
      mount(media, figures(data), graphs(data), steps(call));
    if (changed("spoken", spoken, call.ended_at)) mount(said, ledger(data));
    if (changed("log", events.length)) mount(log, keepOpen(log, eventList(events)));
  };
  const drawStory = () => {
    mount(story, verdicts(data), advices(data.call), timelineCard(data, speech));
    const all = isOver() ? [] : silences(data.events, Infinity);
    const open = all.filter(({ to }) => to === Infinity);
    say(aloud, open.map(({ title: what, heard }) => `${what}. ${heard}`).join(" "));
  };
  draw();
  const here = data.call.state === "ended" ? null : await api.once("server").catch(() => null);
  const isAway = Boolean(here && data.call.node && data.call.node !== here.node);
  const steer = isAway
    ? notice(
        "info",
        "This call is at another server",
        `Server ${data.call.node} has it: it is steered and listened to from that one's pages.`,
      )
    : api.may("calls") && data.call.state !== "ended"
      ? controls(data.call, signal, {
            held: isHeld(data.events),
            recording: recordingOf(data.events),
          })
      : null;
  const drawSound = () =>
    mount(
      sound,
      recording(data.call, data.events, signal, (found) => {
        speech = found;
        drawStory();
      }),
    );
  drawSound();

  if (!isOver()) {
    // An answer that was overtaken would take back what a later one has shown.
    const refresh = oneByOne(async () => {
      const wasOver = isOver();
      const before = told(data.events, "transfer");
      let found = await load();
      // What was written late stands before what was read already, perhaps.
      if (found.call.state === "ended") {
        read = lists();
        found = await load();
      }
      data = found;
      draw();
      if (told(data.events, "transfer") !== before) transferPlace.again({ quiet: true });
      if (isOver() && !wasOver) {
        steer?.remove();
        mount(lost);
        drawSound();
        ladderPlace.again();
        transferPlace.again();
      }
    });
    const soon = perFrame(() => refresh().catch(() => {}));
    let isHeard = true;
    const heard = (is) => {
      if (is === isHeard) return;
      isHeard = is;
      mount(lost, !is && !isOver() && outOfTouch());
      if (is) soon();
    };
    listen({ signal, call: id, on: soon, onState: heard, onAgain: soon });
    every(AGAIN_MS, signal, async () => !isOver() && refresh()).catch(() => {});
    every(1_000, signal, () => {
      const clock = head.querySelector("[data-clock]");
      if (clock && data.call.answered_at && !isOver())
        say(clock, length(now() - Date.parse(data.call.answered_at)));
    });
  }
  const ladderPlace = later(
    () => messages(data.call, () => data.events, signal),
    "Loading the messages",
  );
  const transferPlace = later(() => transfers(data.call, signal), "Loading");
  return [
    backTo("#/calls", "Calls"),
    head,
    lost,
    steer,
    aloud,
    story,
    sound,
    said,
    media,
    card("Messages", { about: "What was said over the wire, in order." }, ladderPlace),
    transferPlace,
    card(
      "Events",
      {
        about: "All that was told of this call, as programs are told of it.",
        actions: exportButtons(() => data),
      },
      log,
    ),
  ];
}

const outOfTouch = () =>
  notice(
    "warn",
    "The connection to the server is gone",
    `What you see is of ${when(Date.now())}. This page tries again by itself.`,
  );

/** How often something was told of. */
const told = (events, word) => events.filter(({ type }) => type === `call.${word}`).length;

const isHeld = (events) =>
  events.filter(({ type }) => type === "call.hold").at(-1)?.data.on === true;

/** How this server's recording of a call stands; empty where there is none. */
const recordingOf = (events) =>
  events
    .filter(({ type, data }) => type === "call.recording" && data.state !== "at_carrier")
    .at(-1)?.data.state ?? "";

function top({ call }) {
  return heading(
    [
      h("span.clip", address(call.from)),
      h("span.muted", " → "),
      h("span.clip", address(call.to)),
      " ",
      status(call),
    ],
    [
      call.direction === "inbound" ? "Came in" : "Went out",
      call.trunk && ` by ${call.trunk}`,
      `, agent ${call.agent || "none"}`,
    ],
  );
}

function summary(call) {
  const ended =
    call.cause && `${cause(call.cause)}${call.ended_by ? `, ${endedBy(call.ended_by)}` : ""}`;
  const advice = causeAdvice(call.cause);
  const clock = h("span", { "data-clock": true }, length(call.duration_ms));
  const says = [
    call.sip_status && `SIP ${call.sip_status}`,
    call.q850 && `Q.850 ${call.q850}`,
    call.reason,
  ]
    .filter(Boolean)
    .join(" · ");
  const rang =
    call.answered_at && call.initiated_at
      ? Date.parse(call.answered_at) - Date.parse(call.initiated_at)
      : 0;
  return [
    advice && notice(call.status === "completed" ? "warn" : "bad", ended, advice),
    call.is_incomplete &&
      notice("warn", "Some facts are missing", "The database was away while this call went on."),
    card(
      null,
      { kind: "summary" },
      facts(
        ["Length", clock],
        ["Began", exactly(call.initiated_at ?? call.began_unix_ms)],
        ["Rang for", rang > 0 && span(rang)],
        ["Ended", ended],
        ["Signalled", says || null],
        ["Answered by", call.answered_by?.replaceAll("_", " ")],
        ["Billed", call.billed_s !== null && call.ended_at && `${count(call.billed_s)} s`],
        ["Cost", call.cost && `${call.cost.amount} ${call.cost.currency}`],
        [
          "Cost, estimated",
          call.cost_estimate &&
            !call.cost &&
            `${call.cost_estimate.amount} ${call.cost_estimate.currency}`,
        ],
        ["Carrier's id", call.carrier_call_id && h("code.clip", call.carrier_call_id)],
        ["Id", h("code.clip", call.id)],
      ),
    ),
  ];
}

function timelineCard({ call, events, spoken }, speech) {
  const drawn = lanes(call, events, speech, spoken);
  if (!drawn) return null;
  return card(
    "Time line",
    { about: "Time since the first message." },
    timeline(drawn.lanes, { from: drawn.from, to: drawn.to, label: "What happened when" }),
  );
}

function figures({ call }) {
  const q = call.quality;
  if (!q) return null;
  const one = (name, value, note, kind = "") =>
    h(
      "div.tile",
      { class: kind },
      h("span.tile-name", name),
      h("span.tile-value", value),
      h("span.tile-note", note ?? ""),
    );
  return h(
    "div.tiles",
    one(
      "MOS",
      figure(q.mos, 2),
      q.mos ? `the caller sounds ${mos(q.mos)}; 4.4 is best` : "how the caller sounds",
      q.mos && mosTone(q.mos) !== "good" ? mosTone(q.mos) : "",
    ),
    one(
      "Loss",
      percent(q.loss),
      `${count(q.lost)} of ${count(q.packets_in + q.lost)} packets`,
      q.loss > 0.05 ? "bad" : q.loss > 0.01 ? "warn" : "",
    ),
    one("Jitter", figure(q.jitter_ms, 1, "ms"), "how unevenly packets came"),
    one(
      "Round trip",
      figure(q.round_trip_ms, 0, "ms"),
      q.round_trip_ms === null ? "the far end does not report" : "to the far end",
    ),
    one(
      "First word",
      q.first_audio_ms === null ? "–" : span(q.first_audio_ms),
      "of the agent, after the answer",
      q.first_audio_ms > 2_000 ? "warn" : "",
    ),
    one(
      "Underruns",
      count(q.underruns),
      "times the agent ran dry in mid-sentence",
      q.underruns ? "warn" : "",
    ),
    one(
      "Silence",
      span(q.silence_in_ms + q.silence_out_ms),
      `${span(q.silence_in_ms)} from, ${span(q.silence_out_ms)} to the caller`,
      q.silence_in_ms + q.silence_out_ms > 3_000 ? "warn" : "",
    ),
  );
}

/** How long frames took here. */
function steps({ stages: list }) {
  const shown = stages(list);
  return (
    shown &&
    card("Time in this server", { about: "What it adds to the call, step by step." }, shown)
  );
}

/** A point whose value may not have been kept. */
const known = ([at, value]) => [at, Number.isFinite(value) ? value : null];

function graphs({ call, events, quality }) {
  const points = (pick) =>
    quality.map((sample, i) => [Date.parse(sample.at), pick(sample, quality[i - 1]) ?? null]);
  const from = Date.parse(call.answered_at ?? call.initiated_at);
  const to = call.ended_at ? Date.parse(call.ended_at) : now();
  if (quality.length < 2) {
    return call.answered_at
      ? card(
          "Audio quality over time",
          {},
          h(
            "p.muted",
            call.state === "ended"
              ? "This call was too short for a curve: how the audio fares is written down every ten seconds."
              : "How the audio fares is written down every ten seconds: the curve begins soon.",
          ),
        )
      : null;
  }
  const ms = (v) => `${v.toFixed(1)} ms`;
  return card(
    "Audio quality over time",
    { about: "As it came from the far end. Stretches of silence are shaded." },
    charts(
      [
        {
          title: "MOS",
          hint: "1 to 4.4, higher is better",
          points: points((x) => x.mos),
          low: 1,
          high: 4.5,
          format: (v) => v.toFixed(2),
          tone: mosTone,
        },
        {
          title: "Loss",
          points: points((x) => x.loss * 100),
          high: 1,
          format: (v) => `${v.toFixed(2)} %`,
          tone: (v) => (v > 5 ? "bad" : v > 1 ? "warn" : "good"),
        },
        { title: "Jitter", points: points((x) => x.jitter_ms), high: 5, format: ms },
        { title: "Round trip", points: points((x) => x.round_trip_ms), high: 20, format: ms },
        {
          title: "Queued for the caller",
          hint: "audio of the agent that waits",
          points: points((x) => x.buffer_ms),
          high: 100,
          format: ms,
        },
        {
          title: "Underruns",
          hint: "times the agent ran dry since the value before",
          points: points((x, before) => x.underruns - (before?.underruns ?? 0)).map(known),
          high: 2,
          format: (v) => String(v),
          tone: (v) => (v > 0 ? "warn" : "good"),
        },
      ],
      {
        from,
        note: "Time since the answer. Point at a curve, or go along it with the arrow keys.",
        to: Math.max(to, from + 1_000),
        label: "Audio quality over the call",
        marks: silences(events, to).map((one) => ({
          from: one.from,
          to: one.to,
          tone: "warn",
          label: one.title,
        })),
      },
    ),
  );
}
