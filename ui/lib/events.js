// Server-sent events of the organisation, connected again by itself.

/**
 * For how long a page that nobody sees keeps its stream, in milliseconds: browsers have few
 * connections to one server, and the server has few streams.
 */
const HIDDEN_MS = 10_000;

/**
 * Calls `on(event)` for each event that `types` names, until the signal. A page that is seen, for
 * the first time or again after a while, hears what happens from then on, and of that by
 * `onAgain()`.
 */
export function listen({
  types = "call.*",
  call,
  signal,
  on,
  onState = () => {},
  onAgain = () => {},
}) {
  if (signal.aborted) return;
  const query = new URLSearchParams({ types });
  if (call) query.set("call_id", call);
  let source = null;
  let retry = 0;
  let last = "";
  let unseen = 0;
  const take = ({ data, lastEventId }) => {
    last = lastEventId;
    on(JSON.parse(data));
  };
  const close = () => {
    source?.close();
    source = null;
  };
  const open = () => {
    const from = last ? `&after=${last}` : "";
    source = new EventSource(`/api/v1/events?${query}${from}`);
    source.onopen = () => {
      retry = 0;
      onState(true);
    };
    source.onerror = () => {
      onState(false);
      // The browser tries again by itself unless it was refused.
      if (source?.readyState !== EventSource.CLOSED || signal.aborted) return;
      source = null;
      retry = Math.min(retry + 1, 6);
      setTimeout(() => !signal.aborted && !source && !document.hidden && open(), 500 * 2 ** retry);
    };
    for (const type of TYPES) source.addEventListener(type, take);
  };
  const look = () => {
    clearTimeout(unseen);
    if (document.hidden) {
      unseen = setTimeout(close, HIDDEN_MS);
    } else if (!source) {
      last = "";
      open();
      onAgain();
    }
  };
  // One that was opened behind another begins when it is seen.
  if (!document.hidden) open();
  document.addEventListener("visibilitychange", look, { signal });
  signal.addEventListener("abort", close, { once: true });
}

// An event stream names its types, and listeners are for names.
const TYPES = [
  "initiated",
  "queued",
  "ringing",
  "early_media",
  "answered",
  "answered_by",
  "agent_connected",
  "agent_lost",
  "hold",
  "transfer",
  "expiring",
  "queue",
  "parked",
  "unparked",
  "park_timed_out",
  "play",
  "replaced",
  "web_phone",
  "placed_elsewhere",
  "line_changed",
  "caller_id_picked",
  "at_carrier",
  "external_pbx",
  "recording",
  "voicemail",
  "silence",
  "rated",
  "leg_charged",
  "priced",
  "quality",
  "ended",
].map((word) => `call.${word}`);
