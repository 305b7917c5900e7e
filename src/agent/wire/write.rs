//! What an agent is told, as text.

use adapters::agent::{
    AgentEvent, Basis, CallState, Direction, DtmfSource, Framing, MarkStatus, StreamFormat,
    StreamInfo, UtteranceReport,
};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{VERSION, codecs};

/// Appends the message that tells `event` on `stream`.
pub(super) fn event(event: &AgentEvent<'_>, stream: u32, out: &mut Vec<u8>) {
    let start = out.len();
    // Writing to memory does not fail, and no map here has a key that is not a string.
    if serde_json::to_writer(&mut *out, &Message { event, stream }).is_err() {
        out.truncate(start);
    }
}

struct Message<'a> {
    event: &'a AgentEvent<'a>,
    stream: u32,
}

impl Serialize for Message<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stream = match self.event {
            AgentEvent::Start(info) => info.stream,
            _ => self.stream,
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("event", name(self.event))?;
        map.serialize_entry("stream", &stream)?;
        fields(self.event, &mut map)?;
        map.end()
    }
}

const fn name(event: &AgentEvent<'_>) -> &'static str {
    match event {
        AgentEvent::Start(_) => "start",
        AgentEvent::Configured { .. } => "configured",
        AgentEvent::State(state) => call_state(*state),
        AgentEvent::Mark { .. } => "mark",
        AgentEvent::Cleared { .. } => "cleared",
        AgentEvent::Dtmf { .. } => "dtmf",
        AgentEvent::Transfer { .. } => "transfer",
        AgentEvent::Record { .. } => "record",
        AgentEvent::Speech { .. } => "speech",
        AgentEvent::Underrun { .. } => "underrun",
        AgentEvent::Expiring { .. } => "expiring",
        AgentEvent::Silence(_) => "silence",
        AgentEvent::Quality { .. } => "quality",
        AgentEvent::Error { .. } => "error",
        AgentEvent::Stop { .. } => "stop",
    }
}

fn fields<M: SerializeMap>(event: &AgentEvent<'_>, map: &mut M) -> Result<(), M::Error> {
    match event {
        AgentEvent::Start(info) => start(info, map),
        AgentEvent::Configured { info, wants } => {
            formats(info, map)?;
            map.serialize_entry("wants", wants)
        }
        AgentEvent::State(_) => Ok(()),
        AgentEvent::Mark { name, status, samples, played_ms, basis: why } => {
            map.serialize_entry("name", name)?;
            map.serialize_entry("status", mark_status(*status))?;
            map.serialize_entry("samples", samples)?;
            map.serialize_entry("played_ms", played_ms)?;
            map.serialize_entry("basis", basis(*why))
        }
        AgentEvent::Cleared { dropped_ms, samples, basis: why, utterances } => {
            map.serialize_entry("dropped_ms", dropped_ms)?;
            map.serialize_entry("samples", samples)?;
            map.serialize_entry("basis", basis(*why))?;
            map.serialize_entry("utterances", &Utterances(utterances))
        }
        AgentEvent::Dtmf { digit, duration_ms, source } => {
            map.serialize_entry("digit", digit)?;
            map.serialize_entry("duration_ms", duration_ms)?;
            map.serialize_entry("source", dtmf_source(*source))
        }
        AgentEvent::Transfer { state, cause } => {
            map.serialize_entry("state", state)?;
            map.serialize_entry("cause", cause)
        }
        AgentEvent::Record { state } => map.serialize_entry("state", state),
        AgentEvent::Speech { started, at_ms } => {
            map.serialize_entry("state", if *started { "started" } else { "stopped" })?;
            map.serialize_entry("at_ms", at_ms)
        }
        AgentEvent::Underrun { ms } => map.serialize_entry("ms", ms),
        AgentEvent::Expiring { left_ms } => map.serialize_entry("left_ms", left_ms),
        AgentEvent::Silence(notice) => {
            map.serialize_entry("state", if notice.silent { "started" } else { "stopped" })?;
            map.serialize_entry("direction", notice.way.as_str())?;
            map.serialize_entry("reason", notice.reason.as_str())?;
            map.serialize_entry("since_ms", &notice.lasted.as_millis())
        }
        AgentEvent::Quality { loss, jitter_ms, buffer_ms, mos, round_trip_ms } => {
            map.serialize_entry("loss", loss)?;
            map.serialize_entry("jitter_ms", jitter_ms)?;
            map.serialize_entry("buffer_ms", buffer_ms)?;
            map.serialize_entry("mos", mos)?;
            map.serialize_entry("round_trip_ms", round_trip_ms)
        }
        AgentEvent::Error { code, message, fatal } => {
            map.serialize_entry("code", code)?;
            map.serialize_entry("message", message)?;
            map.serialize_entry("fatal", fatal)
        }
        AgentEvent::Stop { cause, by, duration_ms } => {
            map.serialize_entry("cause", cause)?;
            map.serialize_entry("by", by.as_str())?;
            map.serialize_entry("duration_ms", duration_ms)
        }
    }
}

fn start<M: SerializeMap>(info: &StreamInfo, map: &mut M) -> Result<(), M::Error> {
    map.serialize_entry("version", &VERSION)?;
    map.serialize_entry("call_id", &info.call_id)?;
    map.serialize_entry("direction", direction(info.direction))?;
    map.serialize_entry("from", &info.from)?;
    map.serialize_entry("to", &info.to)?;
    map.serialize_entry("provider", &info.provider)?;
    map.serialize_entry("trunk", &info.trunk)?;
    map.serialize_entry("state", call_state(info.state))?;
    formats(info, map)?;
    map.serialize_entry("variables", &Pairs(&info.variables))?;
    map.serialize_entry("headers", &Pairs(&info.headers))?;
    map.serialize_entry("resumed", &info.resumed)?;
    map.serialize_entry("features", &info.features)
}

fn formats<M: SerializeMap>(info: &StreamInfo, map: &mut M) -> Result<(), M::Error> {
    map.serialize_entry("in", &Format::of(info.to_agent))?;
    map.serialize_entry("out", &Format::of(info.from_agent))?;
    map.serialize_entry("framing", framing(info.framing))
}

#[derive(Serialize)]
struct Format {
    codec: &'static str,
    rate_hz: u32,
    ptime_ms: u32,
    pt: u8,
}

impl Format {
    fn of(format: StreamFormat) -> Self {
        let StreamFormat { audio, ptime_ms } = format;
        // Formats are chosen from the table, so the other name never leaves.
        let codec = codecs::entry(audio).map_or("unknown", |entry| entry.name);
        Self { codec, rate_hz: audio.rate_hz, ptime_ms, pt: codecs::payload_type(audio) }
    }
}

/// A list of pairs as an object.
struct Pairs<'a>(&'a [(String, String)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

struct Utterances<'a>(&'a [UtteranceReport]);

impl Serialize for Utterances<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct One<'a> {
            id: &'a str,
            samples: u64,
            complete: bool,
        }
        serializer.collect_seq(self.0.iter().map(|one| One {
            id: &one.id,
            samples: one.samples,
            complete: one.complete,
        }))
    }
}

const fn call_state(state: CallState) -> &'static str {
    match state {
        CallState::Ringing => "ringing",
        CallState::Early => "early",
        CallState::Answered => "answered",
    }
}

const fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}

const fn framing(framing: Framing) -> &'static str {
    match framing {
        Framing::Rtp => "rtp",
        Framing::Raw => "raw",
    }
}

const fn mark_status(status: MarkStatus) -> &'static str {
    match status {
        MarkStatus::Played => "played",
        MarkStatus::Cleared => "cleared",
    }
}

const fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::Wire => "wire",
        Basis::Carrier => "carrier",
        Basis::Estimate => "estimate",
    }
}

const fn dtmf_source(source: DtmfSource) -> &'static str {
    match source {
        DtmfSource::Rtp => "rtp",
        DtmfSource::Info => "info",
        DtmfSource::Inband => "inband",
        DtmfSource::Carrier => "carrier",
    }
}
