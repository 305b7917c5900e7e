// Server-sent events of the organisation, connected again by itself.

/** Calls `on(event)` for each event that `types` names, until the signal. */
export function listen({ types = "call.*", call, signal, on, onState = () => {} }) {
  if (signal.aborted) return;
  const query = new URLSearchParams({ types });
  if (call) query.set("call_id", call);
  let source = null;
  let retry = 0;
  let last = "";
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
      if (source.readyState !== EventSource.CLOSED || signal.aborted) return;
      retry = Math.min(retry + 1, 6);
      setTimeout(() => !signal.aborted && open(), 500 * 2 ** retry);
    };
    for (const type of TYPES) source.addEventListener(type, take);
  };
  const take = ({ data, lastEventId }) => {
    last = lastEventId;
    on(JSON.parse(data));
  };
  open();
  signal.addEventListener("abort", () => source.close(), { once: true });
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
  "play",
  "replaced",
  "web_phone",
  "placed_elsewhere",
  "line_changed",
  "at_carrier",
  "external_pbx",
  "recording",
  "voicemail",
  "silence",
  "priced",
  "quality",
  "ended",
].map((word) => `call.${word}`);
