//! The media WebSocket of an Asterisk (`chan_websocket`): audio as binary messages, everything else
//! as text, either plain or JSON, whichever the far end speaks.
//!
//! It plays one frame every 20 ms from a queue and never catches up, so that what it is given too
//! early stays as delay. A text of more than 128 bytes is dropped there without a word.

mod plain;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use media::codec::AudioFormat;
use media::time::MonoTime;
use serde::Deserialize;

use crate::agent::MessageKind;
use crate::json::lend;
use crate::stash::Stash;
use crate::stream::{FrameSlot, Manners, Stream, StreamCommand, StreamEvent};
use crate::wire::WireError;

/// The subprotocol that it asks for.
pub const SUBPROTOCOL: &str = "media";
/// How long each frame that we send is, in milliseconds: it cuts off what is no whole frame.
pub const PTIME_MS: u32 = 20;
/// Audio that its queue is kept filled with, in milliseconds.
pub const BUFFER_MS: u32 = 60;
/// The longest text that it takes, in bytes.
const TEXT_BYTES_MAX: usize = 128;

/// How a stream is to be spoken.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Digits are told; if not, they come another way.
    pub digits: bool,
    /// The format that is meant where the far end names none, as its first versions do.
    pub format: Option<AudioFormat>,
}

/// Begins the stream of a call.
pub fn open(options: Options) -> Box<dyn Stream> {
    Box::new(MediaSocket {
        options,
        started: false,
        json: false,
        marks: false,
        stash: Stash::default(),
    })
}

/// The format that a channel calls so; `None` if it is none that is spoken here.
pub fn format(name: &str) -> Option<AudioFormat> {
    match name {
        "ulaw" => Some(AudioFormat::PCMU),
        "alaw" => Some(AudioFormat::PCMA),
        "g722" => Some(AudioFormat::G722),
        "slin" => Some(AudioFormat::l16le(8_000)),
        "slin16" => Some(AudioFormat::l16le(16_000)),
        "slin24" => Some(AudioFormat::l16le(24_000)),
        "slin48" => Some(AudioFormat::l16le(48_000)),
        _ => None,
    }
}

struct MediaSocket {
    options: Options,
    started: bool,
    /// It speaks JSON.
    json: bool,
    /// It knows marks.
    marks: bool,
    /// Audio that came before the start.
    stash: Stash,
}

/// What a text says, in either form.
#[derive(Debug, Default, Deserialize)]
struct Said<'m> {
    #[serde(borrow)]
    event: Cow<'m, str>,
    #[serde(borrow)]
    connection_id: Option<Cow<'m, str>>,
    #[serde(borrow)]
    channel_id: Option<Cow<'m, str>>,
    #[serde(borrow)]
    format: Option<Cow<'m, str>>,
    optimal_frame_size: Option<usize>,
    #[serde(borrow)]
    digit: Option<Cow<'m, str>>,
    #[serde(borrow)]
    correlation_id: Option<Cow<'m, str>>,
    queue_length: Option<u32>,
}

/// What is to be lent of a text.
enum Meaning {
    Nothing,
    Started { id: String, format: AudioFormat },
    Digit(char),
    Mark(String),
    Flow(bool),
    Queued(u32),
}

impl MediaSocket {
    fn text<'m>(&mut self, message: &'m mut [u8]) -> Result<StreamEvent<'m>, WireError> {
        let json = message.first() == Some(&b'{');
        let said = match json {
            true => serde_json::from_slice(message)
                .map_err(|error| WireError::BadJson(error.to_string()))?,
            false => plain::read(message)?,
        };
        let meaning = self.meaning(&said, json)?;
        let lent = |message: &'m mut [u8], text: &str| lend(message, [text]).map(|[text]| text);
        Ok(match meaning {
            Meaning::Nothing => StreamEvent::Nothing,
            Meaning::Digit(digit) => StreamEvent::Dtmf { digit, duration_ms: None },
            Meaning::Flow(wanted) => StreamEvent::Flow(wanted),
            Meaning::Queued(ms) => StreamEvent::Queued(ms),
            Meaning::Mark(name) => {
                lent(message, &name).map_or(StreamEvent::Nothing, StreamEvent::Mark)
            }
            Meaning::Started { id, format } => StreamEvent::Started {
                stream: lent(message, &id).filter(|id| !id.is_empty()),
                call: None,
                from_carrier: format,
                to_carrier: format,
            },
        })
    }

    fn meaning(&mut self, said: &Said<'_>, json: bool) -> Result<Meaning, WireError> {
        Ok(match said.event.as_ref() {
            "MEDIA_START" => {
                let format = self.format_of(said)?;
                self.json = json;
                // Both are younger than the first versions, and of one age with marks.
                self.marks = json || said.channel_id.is_some();
                self.started = true;
                let id = said.channel_id.as_ref().or(said.connection_id.as_ref());
                Meaning::Started { id: id.map(|id| id.to_string()).unwrap_or_default(), format }
            }
            "DTMF_END" => {
                let mut keys = said.digit.as_deref().unwrap_or_default().chars();
                match (keys.next().map(|key| key.to_ascii_uppercase()), keys.next()) {
                    (Some(digit @ ('0'..='9' | 'A'..='D' | '*' | '#')), None) => {
                        if self.options.digits { Meaning::Digit(digit) } else { Meaning::Nothing }
                    }
                    _ => return Err(wrong("digit", "no key of a telephone")),
                }
            }
            "MEDIA_XOFF" => Meaning::Flow(false),
            "MEDIA_XON" => Meaning::Flow(true),
            "MEDIA_MARK_PROCESSED" => match said.correlation_id.as_deref() {
                None | Some("") => Meaning::Nothing,
                Some(name) => Meaning::Mark(name.to_owned()),
            },
            // Its frames are as long as ours.
            "STATUS" => match said.queue_length {
                Some(frames) => Meaning::Queued(frames.saturating_mul(PTIME_MS)),
                None => Meaning::Nothing,
            },
            // Buffering completed, queue drained and errors: nothing that we asked for.
            _ => Meaning::Nothing,
        })
    }

    /// The format that a start tells, or else means.
    fn format_of(&self, said: &Said<'_>) -> Result<AudioFormat, WireError> {
        if let Some(name) = said.format.as_deref() {
            return format(name).ok_or_else(|| {
                WireError::UnknownCodec(name.chars().take(TEXT_BYTES_MAX).collect())
            });
        }
        let size = said.optimal_frame_size.unwrap_or(0);
        let fits = |format: &AudioFormat| format.bytes(PTIME_MS) == size;
        let known = ["ulaw", "slin", "slin16", "slin24", "slin48"].into_iter().filter_map(format);
        let format = self.options.format.filter(fits).or_else(|| known.into_iter().find(fits));
        format.ok_or_else(|| wrong("optimal_frame_size", "that of no format"))
    }

    /// Appends a command; `None` if it would not be taken.
    fn tell(&self, name: &str, id: Option<&str>, out: &mut Vec<u8>) -> Option<MessageKind> {
        let start = out.len();
        let id = id.filter(|id| !id.is_empty());
        if self.json {
            out.extend_from_slice(br#"{"command":""#);
            out.extend_from_slice(name.as_bytes());
            out.push(b'"');
            if let Some(id) = id {
                out.extend_from_slice(br#","correlation_id":"#);
                crate::json::append_string(out, id);
            }
            out.push(b'}');
        } else {
            out.extend_from_slice(name.as_bytes());
            if let Some(id) = id {
                out.push(b' ');
                out.extend_from_slice(id.as_bytes());
            }
        }
        if out.len() - start > TEXT_BYTES_MAX || id.is_some_and(|id| id.contains(char::is_control))
        {
            out.truncate(start);
            return None;
        }
        Some(MessageKind::Text)
    }
}

impl Stream for MediaSocket {
    fn decode<'m>(
        &mut self,
        _: MonoTime,
        kind: MessageKind,
        message: &'m mut [u8],
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'m>, WireError> {
        match kind {
            MessageKind::Text => self.text(message),
            // Whether it is whole is known by who knows the format.
            MessageKind::Binary if self.started => {
                self.stash.fill(message, slot)?;
                Ok(StreamEvent::Audio { ts: None, seq: None })
            }
            MessageKind::Binary => {
                self.stash.keep(message);
                Ok(StreamEvent::Nothing)
            }
        }
    }

    #[inline]
    fn encode(&mut self, audio: &[u8], out: &mut Vec<u8>) -> MessageKind {
        out.extend_from_slice(audio);
        MessageKind::Binary
    }

    fn manners(&self) -> Manners {
        // Some versions hang up when they are pinged.
        Manners { pings: false, ..Manners::WEBSOCKET }
    }

    fn answer(&mut self, out: &mut Vec<u8>) -> Option<MessageKind> {
        self.tell("ANSWER", None, out)
    }

    fn ask_queue(&mut self, out: &mut Vec<u8>) -> Option<MessageKind> {
        self.tell("GET_STATUS", None, out)
    }

    fn command(&mut self, command: StreamCommand<'_>, out: &mut Vec<u8>) -> Option<MessageKind> {
        match command {
            StreamCommand::Clear => self.tell("FLUSH_MEDIA", None, out),
            StreamCommand::Mark(name) if self.marks => self.tell("MARK_MEDIA", Some(name), out),
            StreamCommand::Hangup => self.tell("HANGUP", None, out),
            StreamCommand::Mark(_) | StreamCommand::Dtmf(_) => None,
        }
    }
}

fn wrong(field: &'static str, problem: &str) -> WireError {
    WireError::BadField { field, problem: problem.to_owned() }
}
