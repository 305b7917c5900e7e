//! A telephone on a web page: the media dialect that a browser speaks on a socket of ours, so that
//! a person can talk with an agent without any carrier.
//!
//! Audio is binary, plain samples as typed arrays of a browser hold them; everything else is JSON.
//! `docs/web-phone.md` describes it for those who write pages.

use std::borrow::Cow;

use media::codec::AudioFormat;
use media::time::MonoTime;
use serde::Deserialize;

use crate::agent::{MessageKind, StreamFormat};
use crate::event::HangupCause;
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent};
use crate::wire::WireError;

/// Rates at which a page may record and play.
pub const RATES_HZ: [u32; 4] = [8_000, 16_000, 24_000, 48_000];
/// The rate of a page that names none.
pub const RATE_HZ: u32 = 16_000;
/// Audio that a page keeps before it plays, in milliseconds.
pub const BUFFER_MS: u32 = 80;
/// The longest message of audio, in milliseconds.
pub const FRAME_MAX_MS: u32 = 100;

/// The audio of a page that records and plays at `rate_hz`; `None` if it is none of [`RATES_HZ`].
pub fn format(rate_hz: u32) -> Option<StreamFormat> {
    // What leaves fits the packet buffer of a worker.
    let ptime_ms = if rate_hz > 24_000 { 10 } else { 20 };
    let audio = AudioFormat::l16le(rate_hz);
    RATES_HZ.contains(&rate_hz).then_some(StreamFormat { audio, ptime_ms })
}

/// Begins the stream of a page that speaks `audio`.
pub fn open(audio: AudioFormat) -> Box<dyn Stream> {
    Box::new(Phone { audio, started: false })
}

struct Phone {
    audio: AudioFormat,
    started: bool,
}

/// A text of the page.
#[derive(Deserialize)]
struct Said<'m> {
    #[serde(borrow)]
    event: Cow<'m, str>,
    digit: Option<char>,
    duration_ms: Option<u32>,
    name: Option<String>,
}

impl Stream for Phone {
    fn decode<'m>(
        &mut self,
        _: MonoTime,
        kind: MessageKind,
        message: &'m mut [u8],
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'m>, WireError> {
        if kind == MessageKind::Text {
            return self.text(message);
        }
        if !self.started {
            return Err(WireError::BadFrame("audio before the start"));
        }
        if !self.audio.is_whole(message) {
            return Err(WireError::BadFrame("not whole samples of 16 bits"));
        }
        if message.len() > self.audio.bytes(FRAME_MAX_MS) {
            return Err(WireError::BadFrame("longer than a frame may be"));
        }
        slot.fill(message)?;
        Ok(StreamEvent::Audio { ts: None, seq: None })
    }

    fn encode(&mut self, audio: &[u8], out: &mut Vec<u8>) -> MessageKind {
        out.extend_from_slice(audio);
        MessageKind::Binary
    }

    fn command(&mut self, command: StreamCommand<'_>, out: &mut Vec<u8>) -> Option<MessageKind> {
        let text = match command {
            StreamCommand::Clear => r#"{"event":"clear"}"#.to_owned(),
            StreamCommand::Mark(name) => {
                serde_json::json!({"event": "mark", "name": name}).to_string()
            }
            StreamCommand::Dtmf(digit) => {
                serde_json::json!({"event": "dtmf", "digit": digit}).to_string()
            }
            // The end of a call is the end of its socket.
            StreamCommand::Hangup => return None,
        };
        out.extend_from_slice(text.as_bytes());
        Some(MessageKind::Text)
    }
}

impl Phone {
    fn text<'m>(&mut self, message: &'m mut [u8]) -> Result<StreamEvent<'m>, WireError> {
        let said: Said<'_> = serde_json::from_slice(message)
            .map_err(|error| WireError::BadJson(error.to_string()))?;
        let wrong = |field, problem: &str| WireError::BadField { field, problem: problem.into() };
        match said.event.as_ref() {
            "start" => {
                self.started = true;
                let (from_carrier, to_carrier) = (self.audio, self.audio);
                Ok(StreamEvent::Started { stream: None, call: None, from_carrier, to_carrier })
            }
            "dtmf" => {
                let is_key = |digit: &char| matches!(digit, '0'..='9' | 'A'..='D' | '*' | '#');
                let digit = said.digit.filter(is_key);
                let digit = digit.ok_or_else(|| wrong("digit", "no key of a telephone"))?;
                Ok(StreamEvent::Dtmf { digit, duration_ms: said.duration_ms })
            }
            "mark" => {
                let name = said.name.ok_or_else(|| wrong("name", "missing"))?;
                // Without its escapes a name is never longer than the message it stood in.
                let Some(place) = message.get_mut(..name.len()) else {
                    return Ok(StreamEvent::Nothing);
                };
                place.copy_from_slice(name.as_bytes());
                Ok(StreamEvent::Mark(std::str::from_utf8(place).unwrap_or_default()))
            }
            "hangup" => Ok(StreamEvent::Stopped(Some(HangupCause::Normal))),
            _ => Ok(StreamEvent::Nothing),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a message means, with the bytes of audio that came out of it.
    fn decode(
        phone: &mut dyn Stream,
        kind: MessageKind,
        message: &[u8],
    ) -> (Result<String, WireError>, Vec<u8>) {
        let (mut message, mut room) = (message.to_vec(), [0; 16_384]);
        let mut slot = FrameSlot::new(&mut room);
        let event = phone.decode(MonoTime::ZERO, kind, &mut message, &mut slot);
        let event = event.map(|event| format!("{event:?}"));
        (event, slot.filled().to_vec())
    }

    fn text(phone: &mut dyn Stream, message: &str) -> Result<String, WireError> {
        decode(phone, MessageKind::Text, message.as_bytes()).0
    }

    fn phone(rate_hz: u32) -> Box<dyn Stream> {
        open(format(rate_hz).unwrap().audio)
    }

    /// Every message of a page, and what is ignored.
    #[test]
    fn what_pages_say() {
        let mut phone = phone(16_000);
        for (message, meaning) in [
            (r#"{"event":"start"}"#, "Started"),
            (r##"{"event":"dtmf","digit":"#","duration_ms":120}"##, "duration_ms: Some(120)"),
            (r#"{"event":"dtmf","digit":"5"}"#, "digit: '5', duration_ms: None"),
            (r#"{"event":"mark","name":"tp-7"}"#, "Mark(\"tp-7\")"),
            (r#"{"event":"mark","name":"a\n"}"#, "Mark(\"a\\n\")"),
            (r#"{"event":"hangup"}"#, "Stopped(Some(Normal))"),
            (r#"{"event":"something else","x":[1]}"#, "Nothing"),
        ] {
            let found = text(&mut *phone, message).unwrap();
            assert!(found.contains(meaning), "{message}: {found}");
        }
        for wrong in ["", "[]", "{}", r#"{"event":7}"#, r#"{"event":"mark"}"#] {
            assert!(text(&mut *phone, wrong).is_err(), "{wrong}");
        }
        for wrong in ["x", "55", "", "a"] {
            let message = format!(r#"{{"event":"dtmf","digit":"{wrong}"}}"#);
            assert!(text(&mut *phone, &message).is_err(), "{message}");
        }
        let start = r#"{"event":"start"}"#;
        for end in 0..start.len() {
            assert!(text(&mut *phone, &start[..end]).is_err(), "{end}");
        }
    }

    /// Audio is taken as it is, in whole samples, once the stream has started, up to a length; and
    /// given as it is.
    #[test]
    fn audio_is_plain_samples() {
        for rate_hz in RATES_HZ {
            let mut phone = phone(rate_hz);
            let frame: Vec<u8> = (0..rate_hz / 1_000 * 2 * 20).map(|n| n as u8).collect();
            assert!(decode(&mut *phone, MessageKind::Binary, &frame).0.is_err(), "too early");
            text(&mut *phone, r#"{"event":"start"}"#).unwrap();
            let (event, audio) = decode(&mut *phone, MessageKind::Binary, &frame);
            assert!(event.unwrap().starts_with("Audio") && audio == frame);
            assert!(decode(&mut *phone, MessageKind::Binary, &frame[1..]).0.is_err());
            assert!(decode(&mut *phone, MessageKind::Binary, b"").0.is_err());
            let long = frame.repeat(5);
            assert!(decode(&mut *phone, MessageKind::Binary, &long).0.is_ok());
            let long = [long, vec![0; 2]].concat();
            assert!(decode(&mut *phone, MessageKind::Binary, &long).0.is_err());
            let mut out = b"before".to_vec();
            assert_eq!(phone.encode(&frame, &mut out), MessageKind::Binary);
            assert_eq!(out[6..], frame);
            let StreamFormat { audio, ptime_ms } = format(rate_hz).unwrap();
            assert!(audio.bytes(ptime_ms) <= 1_000, "fits a packet");
        }
        assert!(format(44_100).is_none() && format(0).is_none());
    }

    /// What is said to a page is JSON that names its event.
    #[test]
    fn what_pages_hear() {
        let mut phone = phone(8_000);
        for (command, expected) in [
            (StreamCommand::Clear, Some(serde_json::json!({"event": "clear"}))),
            (StreamCommand::Mark("tp-\"1"), {
                Some(serde_json::json!({"event": "mark", "name": "tp-\"1"}))
            }),
            (StreamCommand::Dtmf('#'), Some(serde_json::json!({"event": "dtmf", "digit": "#"}))),
            (StreamCommand::Hangup, None),
        ] {
            let mut out = Vec::new();
            let kind = phone.command(command, &mut out);
            assert_eq!(kind.is_some(), expected.is_some());
            let told = kind.map(|_| serde_json::from_slice::<serde_json::Value>(&out).unwrap());
            assert_eq!(told, expected);
        }
    }

    proptest! {
        /// Whatever comes is survived, and no audio comes out of text.
        #[test]
        fn anything_is_survived(
            messages in prop::collection::vec(
                (any::<bool>(), prop::collection::vec(any::<u8>(), 0..64)),
                0..8,
            ),
        ) {
            let mut phone = phone(8_000);
            for (is_text, message) in messages {
                let kind = if is_text { MessageKind::Text } else { MessageKind::Binary };
                let (_, audio) = decode(&mut *phone, kind, &message);
                prop_assert!(audio.is_empty() || !is_text && audio == message);
            }
        }
    }
}
