//! Twilio Media Streams, spoken to agents as if we were Twilio, whatever carrier the call came by.
//!
//! What an agent gets: `connected`, `start`, `media`, `dtmf`, `mark`, `stop`, with the fields, in
//! the order and of the types (numbers as strings) that Twilio sends, always `audio/x-mulaw` at
//! 8 kHz. What it may send: `media`, `mark`, `clear`; other events are ignored. The ids (`AC…`,
//! `CA…`, `MZ…`) are made of ours. As with Twilio, whose streams begin with a call that is up,
//! `start` waits until the call is answered, and so does audio.

mod ids;
mod read;
mod rest;
mod tell;
mod timeline;

use media::codec::AudioFormat;

use crate::agent::{
    AgentEvent, AgentFrame, AgentInput, CallState, Dialect, DialectSpec, MessageKind, Outbox,
    StreamFormat, StreamInfo,
};
use crate::json::base64;
use crate::wire::WireError;
use ids::Ids;
use tell::Detail;
use timeline::Timeline;

pub(super) use rest::REST;

/// The dialect's entry in the table.
pub(super) const SPEC: DialectSpec =
    DialectSpec { name: "twilio", subprotocol: None, open: |info| Box::new(Stream::open(info)) };

/// Sent first, before anything about the call.
const CONNECTED: &[u8] = br#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#;

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    ids: Ids,
    state: State,
    /// Number of the last message; `connected` has none.
    sequence: u64,
    timeline: Timeline,
    /// What stands between sequence number and chunk of a media message.
    media_middle: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// The call is not answered: `start` is yet to be said, with these parameters.
    Waiting(Vec<(String, String)>),
    Started,
    Stopped,
}

impl Stream {
    pub(super) fn open(info: &StreamInfo) -> Self {
        let ids = Ids::of(&info.call_id, info.stream);
        let media_middle =
            format!(r#"","streamSid":"{}","media":{{"track":"inbound","chunk":""#, ids.stream);
        Self {
            ids,
            state: State::Waiting(tell::parameters(info)),
            sequence: 0,
            timeline: Timeline::default(),
            media_middle: media_middle.into_bytes(),
        }
    }

    const fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn answered(&mut self, out: &mut dyn Outbox) {
        if matches!(self.state, State::Waiting(_))
            && let State::Waiting(parameters) = std::mem::replace(&mut self.state, State::Started)
        {
            self.say(Detail::Start(&parameters), out);
        }
    }

    /// A message of the form `{"event":…,"sequenceNumber":…,"streamSid":…,…}`, if the stream has
    /// started.
    fn say(&mut self, detail: Detail<'_>, out: &mut dyn Outbox) {
        if self.state == State::Started {
            let sequence = self.next_sequence();
            let message = tell::message(sequence, &self.ids, detail);
            out.message(MessageKind::Text, &message);
        }
    }
}

impl Dialect for Stream {
    fn formats(
        &self,
        _wished: Option<StreamFormat>,
        caller: StreamFormat,
    ) -> (StreamFormat, StreamFormat) {
        // Nothing else can be said. Frames keep the caller's length: readers take any.
        let only = StreamFormat { audio: AudioFormat::PCMU, ptime_ms: caller.ptime_ms };
        (only, only)
    }

    fn event(&mut self, event: &AgentEvent<'_>, out: &mut dyn Outbox) {
        match event {
            AgentEvent::Start(info) => {
                out.message(MessageKind::Text, CONNECTED);
                if info.state == CallState::Answered {
                    self.answered(out);
                }
            }
            AgentEvent::State(CallState::Answered) => self.answered(out),
            // Played and cleared marks come back alike.
            AgentEvent::Mark { name, .. } => self.say(Detail::Mark(name), out),
            AgentEvent::Dtmf { digit, .. } => self.say(Detail::Dtmf(*digit), out),
            AgentEvent::Stop { .. } => {
                self.say(Detail::Stop, out);
                self.state = State::Stopped;
            }
            AgentEvent::State(_)
            | AgentEvent::Configured { .. }
            | AgentEvent::Cleared { .. }
            | AgentEvent::Transfer { .. }
            | AgentEvent::Speech { .. }
            | AgentEvent::Underrun { .. }
            | AgentEvent::Expiring { .. }
            | AgentEvent::Record { .. }
            | AgentEvent::Silence(_)
            | AgentEvent::Quality { .. }
            | AgentEvent::Error { .. } => {}
        }
    }

    /// Appends to `out`; appends nothing while there is no stream to send it on.
    fn audio(&mut self, frame: &AgentFrame<'_>, out: &mut Vec<u8>) -> MessageKind {
        if self.state == State::Started {
            let sequence = self.next_sequence();
            let place = self.timeline.place(frame);
            out.extend_from_slice(br#"{"event":"media","sequenceNumber":""#);
            push_decimal(out, sequence);
            out.extend_from_slice(&self.media_middle);
            push_decimal(out, place.chunk);
            out.extend_from_slice(br#"","timestamp":""#);
            push_decimal(out, place.timestamp_ms);
            out.extend_from_slice(br#"","payload":""#);
            base64::append(out, frame.payload);
            out.extend_from_slice(br#""}}"#);
        }
        MessageKind::Text
    }

    fn read<'m>(
        &mut self,
        kind: MessageKind,
        message: &'m mut [u8],
    ) -> Result<AgentInput<'m>, WireError> {
        match kind {
            MessageKind::Text => read::text(&self.ids.stream, message),
            MessageKind::Binary => Err(WireError::BadFrame("this dialect has no binary messages")),
        }
    }
}

/// Appends `number` in decimal.
fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    // A u64 has at most 20 digits.
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or(&[]));
}

/// See [`dialect_text`](super::dialect_text).
pub(super) fn fuzz(data: &[u8]) {
    const STREAM: &str = "MZcccccccccccccccccccccccccccccccc";
    let (mut quick, mut full) = (data.to_vec(), data.to_vec());
    let quick = read::text(STREAM, &mut quick);
    assert_eq!(quick, read::parsed(STREAM, &mut full));
    if let Ok(AgentInput::Audio(audio)) = quick {
        assert!(!audio.is_empty() && audio.len() < data.len());
        // What we would send for it is read back as it is.
        let mut text = Vec::new();
        base64::append(&mut text, audio);
        let again = format!(
            r#"{{"streamSid":"{STREAM}","event":"media","media":{{"payload":"{}"}}}}"#,
            String::from_utf8_lossy(&text)
        );
        assert_eq!(read::text(STREAM, &mut again.into_bytes()), Ok(AgentInput::Audio(audio)));
    }
}

#[cfg(test)]
mod tests;
