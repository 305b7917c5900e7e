// What the API's words mean to people.

/** Why a call ended. */
const CAUSES = {
  normal: "Hung up",
  cancelled: "Given up before the answer",
  busy: "Busy",
  no_answer: "No answer",
  rejected: "Refused",
  not_found: "Nobody has this number",
  agent_unreachable: "The agent could not be reached",
  agent_lost: "The agent was lost",
  max_duration: "Reached its longest duration",
  budget_spent: "The minutes are spent",
  peer_absent: "The page never connected",
  media_timeout: "No audio came for too long",
  network_failure: "The connection failed",
  session_expired: "The session expired",
  congestion: "No room for the call",
  draining: "The server was shutting down",
  internal: "A fault of the server",
  transferred: "Transferred",
  node_lost: "The server was cut off",
};

/** What to do about it, where there is something. */
const CAUSE_ADVICE = {
  not_found:
    "Add the number to a connection and choose an agent for it, or make a route that covers it.",
  agent_unreachable: "Test the agent: it must accept a WebSocket at its URL within its time limit.",
  agent_lost:
    "Look into the agent's log at this time. Its grace period and the route's fallback decide what callers hear.",
  peer_absent:
    "The page that began the call has fifteen seconds to open its socket. Look into its console, and whether a proxy on the way lets WebSockets through.",
  media_timeout:
    "Audio stopped arriving. See the explanation of the silence, and check firewalls for the RTP ports.",
  network_failure:
    "The far end stopped answering. Check its address, the firewall, and whether it is up.",
  congestion:
    "A limit of calls was reached: of the server, the organisation, the connection, the number or the agent.",
  rejected: "The far end refused, or the destination is not allowed to be called.",
  max_duration:
    "Raise the longest duration of the route or of the request if calls should last longer.",
  budget_spent:
    "The organisation has talked what it may. Whoever runs the server raises its minutes a day or a month; both begin anew by UTC.",
  session_expired:
    "The far end did not renew the session. Check whether it is up, and whether a firewall on the way closes quiet connections.",
  draining: "Calls end when the server is stopped. Several servers behind one address take turns.",
  node_lost: "The server ended in mid-call. Its log, and that of its machine, say why.",
  internal: "The server's log says more, at this time.",
};

export const cause = (word) => (word ? (CAUSES[word] ?? word.replaceAll("_", " ")) : "");
export const causeAdvice = (word) => CAUSE_ADVICE[word] ?? "";

const ENDED_BY = {
  caller: "by the caller",
  agent: "by the agent",
  network: "by the network",
  carrier: "by the carrier",
  server: "by this server",
};
export const endedBy = (word) => ENDED_BY[word] ?? "";

/** The states of a call, each with a tone. */
const STATUS = {
  initiated: ["Starting", "wait"],
  queued: ["Queued", "wait"],
  ringing: ["Ringing", "wait"],
  "in-progress": ["Talking", "live"],
  ending: ["Ending", "wait"],
  completed: ["Completed", "good"],
  busy: ["Busy", "warn"],
  "no-answer": ["No answer", "warn"],
  failed: ["Failed", "bad"],
  canceled: ["Given up", "quiet"],
};
export const status = (word) => STATUS[word]?.[0] ?? word;
export const tone = (word) => STATUS[word]?.[1] ?? "quiet";

/** That of a call: one that talked and did not end as people end calls is no good one. */
export const callTone = ({ status: word, cause: why }) =>
  word === "completed" && why && !["normal", "transferred"].includes(why) ? "warn" : tone(word);

/**
 * Why a direction carries no sound: a headline, what it means, what to do. `in` comes from the
 * peer, `out` goes to it.
 */
const SILENCE = {
  nothing_arrived: [
    "Nothing arrived from the caller",
    "Not one audio packet has come since the answer.",
    "Open the RTP ports of this server in every firewall on the way, and check that the public address it tells is right.",
  ],
  private_address: [
    "The caller's audio cannot find its way here",
    "The far end described a private address that its signalling did not come from: it sits behind NAT.",
    "Give the phone STUN or its public address, put a session border controller in between, or let it send first.",
  ],
  stopped_arriving: [
    "The caller's audio stopped arriving",
    "Packets came, and then no more, without a goodbye.",
    "Look at the network between, or at a far end that died.",
  ],
  foreign_source: [
    "Audio comes from a stranger and is refused",
    "Packets come from an address that has no part in this call.",
    "Let the far end send from the address that it describes. If you do not know the address, somebody is trying to speak into the call.",
  ],
  payload_type: [
    "The caller sends a codec that was not agreed",
    "Packets come, with a payload type that was never settled.",
    "Fix the list of codecs at the far end so that it keeps what was agreed.",
  ],
  not_rtp: [
    "What arrives is not audio",
    "Datagrams come that are no RTP: ICE or DTLS that was not agreed, or something else that uses the port.",
    "Switch off ICE and DTLS for this peer, or connect it in a way that settles them.",
  ],
  srtp_authentication: [
    "The encrypted audio does not fit its keys",
    "Packets come, and none of them is authentic.",
    "Let both sides settle encryption anew; use the same setting for SRTP at both ends.",
  ],
  law_mixup: [
    "The audio is rasping: A-law and µ-law are mixed up",
    "One law is sent where the other was agreed.",
    "Set the gateway to the law that is agreed in the session description.",
  ],
  digital_silence: [
    "The caller's side is muted",
    "Packets come, and every sample in them is the same.",
    "The mute button, a dead microphone, or a machine that waits.",
  ],
  agent_silent: [
    "The agent has said nothing",
    "It is connected and has sent no sound since the answer.",
    "See whether its model and speech service come up, and let it greet earlier.",
  ],
  agent_lost: [
    "There is no agent",
    "Its socket closed, is being dialled again, or was never reached.",
    "Test the agent and read its log. Its grace period and the route's fallback decide what callers hear meanwhile.",
  ],
  underrun: [
    "The agent ran out of audio in mid-sentence",
    "Speech arrives more slowly than it is spoken.",
    "Use a faster speech service, send audio ahead, and end each utterance with a mark.",
  ],
  muted: [
    "The agent muted itself",
    "It asked not to be heard.",
    "It unmutes itself, or unmute it here.",
  ],
  hold: [
    "The call is on hold",
    "The session was two-way and is not now.",
    "The other side resumes it.",
  ],
  one_way: [
    "The call is one-way by agreement",
    "The session was described as one-way from its beginning.",
    "Look for sendonly, recvonly or inactive in the far end's offer if that is not meant.",
  ],
};

/** The explanation of a silence. */
export function silence(reason, direction) {
  const [title, meaning, advice] = SILENCE[reason] ?? [
    "A direction carries no sound",
    reason.replaceAll("_", " "),
    "",
  ];
  const heard = direction === "out" ? "The caller hears nothing." : "The agent hears nothing.";
  return { title, meaning, advice, heard };
}

/** What an event says, in a sentence. */
export function event({ type, data = {} }) {
  const say = EVENTS[type.replace(/^call\./, "")];
  return say ? say(data) : type;
}

const EVENTS = {
  initiated: (d) =>
    `${d.direction === "outbound" ? "Call placed" : "Call came in"} for agent ${d.agent}`,
  queued: () => "Waits for its turn",
  ringing: () => "Rings",
  early_media: () => "Audio before the answer",
  answered: () => "Answered",
  answered_by: (d) => `Answered by ${String(d.who).replaceAll("_", " ")}`,
  agent_connected: (d) => `Agent ${d.agent} ${d.resumed ? "is back" : "connected"}`,
  agent_lost: (d) => `Agent ${d.agent} was lost`,
  hold: (d) => (d.on ? "On hold" : "Back from hold"),
  transfer: (d) =>
    `Transfer ${d.state}${d.asked ? ` (${d.asked.kind} to ${d.asked.destination})` : ""}${d.cause ? `: ${d.cause.replaceAll("_", " ")}` : ""}`,
  expiring: (d) => `Ends in ${Math.round(d.left_ms / 1_000)} s, as it reaches a limit`,
  queue: (d) =>
    ({
      joined: `Waits in ${d.queue}, place ${d.position}`,
      answered: `${d.member ?? "A member"} of ${d.queue} takes it after ${Math.round(d.waited_ms / 1_000)} s`,
      full: `No place in ${d.queue}`,
      overflowed: `Waited too long in ${d.queue}`,
      abandoned: `Hung up while waiting in ${d.queue}`,
      left: `Waits in ${d.queue} no longer`,
    })[d.state] ?? `Queue ${d.queue}: ${d.state}`,
  parked: (d) => `Put aside in slot ${d.slot}${d.keep_agent ? ", its agent stays" : ""}`,
  unparked: (d) => `Taken up from slot ${d.slot} after ${Math.round(d.waited_ms / 1_000)} s`,
  park_timed_out: (d) => `Nobody took it up from slot ${d.slot}`,
  play: (d) => `Sound ${d.state}`,
  replaced: () => "Somebody else took the caller's place",
  web_phone: () => "The caller talks from a web page",
  placed_elsewhere: (d) => `Tried at another server after ${d.sip_status}`,
  line_changed: (d) => `Goes on by ${d.trunk ?? "another way"}`,
  caller_id_picked: (d) => `Placed from ${d.number} (${String(d.policy).replaceAll("_", " ")})`,
  at_carrier: () => "The carrier has it",
  external_pbx: (d) =>
    `PBX in front: ${{ hangup: "hang-up", transfer: "hand-over", update: "update" }[d.action] ?? d.action} ${d.state}${d.reason ? `: ${d.reason}` : ""}`,
  recording: (d) =>
    `Recording: ${{ recording: "on", at_carrier: "kept by the carrier" }[d.state] ?? d.state}${d.at_server?.duration_ms ? `, ${Math.round(d.at_server.duration_ms / 1_000)} s` : ""}`,
  voicemail: (d) => `Message left with ${d.agent}: ${Math.round(d.duration_ms / 1_000)} s`,
  silence: (d) =>
    d.silent
      ? `${silence(d.reason, d.direction).title}`
      : `Sound is back (${d.direction === "in" ? "from the caller" : "to the caller"})`,
  rated: (d) => `Costs ${d.per_minute} ${d.currency} a minute`,
  leg_charged: (d) => `A further leg cost ${d.amount} ${d.currency}`,
  priced: (d) => `The carrier takes ${d.amount} ${d.currency}`,
  quality: () => "Summary of the audio",
  ended: (d) => `Ended: ${cause(d.cause)}${d.by ? `, ${endedBy(d.by)}` : ""}`,
};

/** What a kind of agent is. */
export const AGENT_KINDS = [
  ["websocket", "WebSocket", "Your program, dialled for each call: audio frames both ways."],
  ["builtin", "Built in", "Part of this server: voicemail; for tests echo, a tone, or silence."],
  ["rtp", "RTP", "A program that speaks plain RTP at a fixed address."],
  ["sip", "SIP phone", "A telephone or another server, called over SIP."],
];
export const agentKind = (kind) => AGENT_KINDS.find(([word]) => word === kind)?.[1] ?? kind;

/** What the mean opinion score says, in a word. */
export function mos(value) {
  if (value === null || value === undefined) return "";
  if (value >= 4) return "very good";
  if (value >= 3.6) return "good";
  if (value >= 3.1) return "fair";
  return "poor";
}
export const mosTone = (value) => (value >= 3.6 ? "good" : value >= 3.1 ? "warn" : "bad");

/** The states of a transfer, each with a tone. */
const TRANSFERS = {
  requested: "wait",
  dialling: "wait",
  ringing: "wait",
  answered: "wait",
  accepted: "wait",
  bridged: "good",
  left: "good",
  failed: "bad",
  cancelled: "quiet",
};
export const transferTone = (word) => TRANSFERS[word] ?? "quiet";
export const TRANSFER_KINDS = [
  ["blind", "Blind", "The caller is sent there at once, and this call is over."],
  ["attended", "Attended", "The caller joins another call that lives here."],
  ["bridge", "Bridge", "This server calls them and stays in between: recording and figures go on."],
  ["warm", "Warm", "The same, but they hear first that a call comes, and may refuse it."],
  ["agent", "To an agent", "Another agent takes the call over."],
];

/** The steps of a frame's way through the server. */
const STAGES = {
  kernel_receive: ["Noticed", "from its arrival until a worker turns to it"],
  decode: ["Read", "taken from the system, its protection off, its place known"],
  ring: ["Put in order", "waits for those before it"],
  agent_out: ["To the agent", "converted and handed over"],
  agent_in: ["From the agent", "until it waits for its turn"],
  queue: ["Waiting", "until its turn to the caller comes"],
  pacer: ["Late", "after it was due to the caller"],
  kernel_send: ["Sent", "coded, protected and handed to the system"],
};
export const stage = (word) => STAGES[word] ?? [word.replaceAll("_", " "), ""];

/** What keys may do. */
export const SCOPES = [
  ["read", "Read", "See calls, agents and connections."],
  ["calls", "Calls", "See, place and steer calls; listen in."],
  ["admin", "Admin", "Everything of the organisation."],
];
