//! The media dialect: audio as binary messages, everything else as JSON whose numbers follow each
//! other strictly, in both directions. What Genesys says is answered at once, and a mistake ends
//! the session.

use media::time::MonoTime;
use serde::Deserialize;

use super::message::{Channels, Envelope, Open, Sound, VERSION, With, is_uuid, read, samples};
use crate::agent::MessageKind;
use crate::event::HangupCause;
use crate::json::{append_string, lend};
use crate::stream::{FrameSlot, Manners, Stream, StreamCommand, StreamEvent, StreamStart};
use crate::wire::WireError;

/// The session of who never named one.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// How much audio a message of ours has at least, in milliseconds: five messages a second are
/// borne.
const MESSAGE_MS: u32 = 200;

/// What a flow is told whose call nobody takes.
const NOT_TAKEN: &str = "the call is not taken";

/// Begins a stream.
pub(super) fn open(start: &StreamStart) -> Box<dyn Stream> {
    let id = start.call.as_ref().map(|call| call.0.clone()).filter(|id| is_uuid(id));
    Box::new(Genesys {
        id,
        told: 0,
        heard: 0,
        stage: Stage::Waiting,
        sound: Sound::DEFAULT,
        at: 0,
        reply: None,
    })
}

struct Genesys {
    /// The session, once it is known.
    id: Option<String>,
    /// The number of our last message, and of the last one of Genesys'.
    told: u64,
    heard: u64,
    stage: Stage,
    sound: Sound,
    /// Samples so far, those that were left out among them.
    at: u64,
    /// What is to be said to the message before.
    reply: Option<Reply>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was said yet.
    Waiting,
    /// Audio flows.
    Open,
    /// We have said that we are done, and Genesys is to close.
    Leaving,
    /// Genesys has closed; what is left is the connection.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    Opened,
    Pong,
    Updated,
    Closed,
    /// The session cannot go on, and why.
    Fault(&'static str),
}

/// Kinds of messages that mean something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Open,
    Close,
    Ping,
    Update,
    Dtmf,
    Gap,
    /// Pauses and errors of Genesys', how far it has played, and what later versions may say.
    Other,
}

#[derive(Deserialize)]
struct Close {
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Dtmf {
    digit: char,
}

/// Audio that is left out.
#[derive(Deserialize)]
struct Gap {
    discarded: String,
}

impl Stream for Genesys {
    fn decode<'m>(
        &mut self,
        _: MonoTime,
        kind: MessageKind,
        message: &'m mut [u8],
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'m>, WireError> {
        if kind == MessageKind::Binary {
            return self.audio(message, slot);
        }
        let read = self.text(message);
        if let Err(error) = &read {
            self.fault(error);
        }
        read
    }

    #[inline]
    fn encode(&mut self, audio: &[u8], out: &mut Vec<u8>) -> MessageKind {
        if self.stage == Stage::Open {
            out.extend_from_slice(audio);
        }
        MessageKind::Binary
    }

    fn manners(&self) -> Manners {
        let least_bytes = self.sound.audio.bytes(MESSAGE_MS);
        Manners { offers: true, closed_by_peer: true, least_bytes, ..Manners::WEBSOCKET }
    }

    fn reply(&mut self, out: &mut Vec<u8>) -> Option<MessageKind> {
        match self.reply.take()? {
            Reply::Opened => {
                let media = self.sound.written();
                self.say("opened", &format!(r#"{{"startPaused":false,"media":[{media}]}}"#), out);
            }
            Reply::Pong => self.say("pong", "{}", out),
            Reply::Updated => self.say("updated", "{}", out),
            Reply::Closed => self.say("closed", "{}", out),
            Reply::Fault(why) => self.leave("error", Some(why), out),
        }
        Some(MessageKind::Text)
    }

    fn command(&mut self, command: StreamCommand<'_>, out: &mut Vec<u8>) -> Option<MessageKind> {
        match (command, self.stage) {
            (StreamCommand::Clear, Stage::Open) => {
                self.told += 1;
                self.say("event", r#"{"entities":[{"type":"barge_in","data":{}}]}"#, out);
            }
            // That it is over is what will be replied.
            (StreamCommand::Hangup, _) if matches!(self.reply, Some(Reply::Fault(_))) => {
                return None;
            }
            (StreamCommand::Hangup, Stage::Open) if self.reply == Some(Reply::Opened) => {
                // In the place of the word that takes it, and by its number.
                self.reply = None;
                self.leave("error", Some(NOT_TAKEN), out);
            }
            (StreamCommand::Hangup, Stage::Waiting) => {
                self.told += 1;
                self.leave("error", Some(NOT_TAKEN), out);
            }
            (StreamCommand::Hangup, Stage::Open) => {
                self.told += 1;
                self.leave("completed", None, out);
            }
            // There is no word for a mark or a key.
            _ => return None,
        }
        Some(MessageKind::Text)
    }
}

impl Genesys {
    fn audio<'m>(
        &mut self,
        message: &[u8],
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'m>, WireError> {
        match self.stage {
            Stage::Open => {}
            Stage::Waiting => {
                let error = WireError::BadFrame("audio before the session was opened");
                self.fault(&error);
                return Err(error);
            }
            // It was on its way.
            Stage::Leaving | Stage::Over => return Ok(StreamEvent::Nothing),
        }
        let Sound { audio, channels } = self.sound;
        let sample = audio.codec.sample_bytes();
        if message.is_empty() || !message.len().is_multiple_of(sample * channels.count()) {
            return Err(WireError::BadFrame("not whole samples of every channel"));
        }
        match channels {
            Channels::External | Channels::Internal => slot.fill(message)?,
            Channels::Both => first_channel(message, sample, slot)?,
        }
        let ts = self.at;
        self.at += u64::from(audio.payload_ticks(slot.filled()));
        Ok(StreamEvent::Audio { ts: Some(ts), seq: None })
    }

    fn text<'m>(&mut self, message: &'m mut [u8]) -> Result<StreamEvent<'m>, WireError> {
        let kind = self.next(&*message)?;
        match (kind, self.stage) {
            (_, Stage::Over) => Ok(StreamEvent::Nothing),
            (Kind::Open, Stage::Waiting) => self.begin(message),
            (Kind::Close, _) => {
                let With { parameters: Close { reason } } = read(message)?;
                self.stage = Stage::Over;
                self.answer_by(Reply::Closed);
                let failed = reason.as_deref() == Some("error");
                let cause = if failed { HangupCause::Failed } else { HangupCause::Normal };
                Ok(StreamEvent::Stopped(Some(cause)))
            }
            (Kind::Open, _) | (_, Stage::Waiting) => Err(wrong("type", "out of its place")),
            (Kind::Ping | Kind::Update, _) => {
                let is_ping = kind == Kind::Ping;
                self.answer_by(if is_ping { Reply::Pong } else { Reply::Updated });
                Ok(StreamEvent::Nothing)
            }
            (Kind::Dtmf, Stage::Open) => {
                let With { parameters: Dtmf { digit } } = read(message)?;
                let digit = digit.to_ascii_uppercase();
                let is_key = matches!(digit, '0'..='9' | 'A'..='D' | '*' | '#');
                let problem = || wrong("digit", "no key of a telephone");
                is_key.then_some(StreamEvent::Dtmf { digit, duration_ms: None }).ok_or_else(problem)
            }
            (Kind::Gap, Stage::Open) => {
                let With { parameters: Gap { discarded } } = read(message)?;
                let left_out = samples(&discarded, self.sound.audio.clock_hz());
                let left_out = left_out.ok_or_else(|| wrong("discarded", "no duration"))?;
                self.at = self.at.saturating_add(left_out);
                Ok(StreamEvent::Nothing)
            }
            (Kind::Dtmf | Kind::Gap | Kind::Other, _) => Ok(StreamEvent::Nothing),
        }
    }

    /// What kind of message it is, if it is the next one.
    fn next(&mut self, message: &[u8]) -> Result<Kind, WireError> {
        let envelope: Envelope<'_> = read(message)?;
        if envelope.version != VERSION {
            return Err(wrong("version", "not 2"));
        }
        if !is_uuid(&envelope.id) {
            return Err(wrong("id", "no UUID"));
        }
        let id = self.id.get_or_insert_with(|| envelope.id.to_ascii_lowercase());
        if !id.eq_ignore_ascii_case(&envelope.id) {
            return Err(wrong("id", "of another session"));
        }
        if Some(envelope.seq) != self.heard.checked_add(1) {
            return Err(wrong("seq", "not the number behind the last one"));
        }
        self.heard = envelope.seq;
        if envelope.serverseq > self.told {
            return Err(wrong("serverseq", "a number that was never sent"));
        }
        Ok(match &*envelope.kind {
            "open" => Kind::Open,
            "close" => Kind::Close,
            "ping" => Kind::Ping,
            "update" => Kind::Update,
            "dtmf" => Kind::Dtmf,
            "discarded" | "resumed" => Kind::Gap,
            _ => Kind::Other,
        })
    }

    fn begin<'m>(&mut self, message: &'m mut [u8]) -> Result<StreamEvent<'m>, WireError> {
        let With { parameters: Open { media, .. } } = read(message)?;
        let unknown = || WireError::UnknownCodec("none of those that are offered".to_owned());
        let sound = Sound::choose(&media).ok_or_else(unknown)?;
        (self.sound, self.stage) = (sound, Stage::Open);
        self.answer_by(Reply::Opened);
        let id = self.id.as_deref().unwrap_or(NOBODY);
        let call = lend(message, [id]).map(|[id]| id);
        let (from_carrier, to_carrier) = (sound.audio, sound.audio);
        Ok(StreamEvent::Started { stream: None, call, from_carrier, to_carrier })
    }

    /// What is said to a message has its number at once.
    fn answer_by(&mut self, reply: Reply) {
        self.told += 1;
        self.reply = Some(reply);
    }

    /// The session cannot go on; that is said once.
    fn fault(&mut self, error: &WireError) {
        if matches!(self.stage, Stage::Waiting | Stage::Open) {
            self.answer_by(Reply::Fault(match error {
                WireError::BadJson(_) => "the message is not well-formed",
                WireError::BadField { field: "seq" | "serverseq", .. } => {
                    "the numbers of messages do not follow each other"
                }
                WireError::BadField { .. } => "the message has a wrong field",
                WireError::BadFrame(why) => why,
                WireError::UnknownCodec(_) => "no audio is offered that is spoken here",
            }));
        }
    }

    /// Asks Genesys to close.
    fn leave(&mut self, reason: &str, info: Option<&str>, out: &mut Vec<u8>) {
        let mut parameters = format!(r#"{{"reason":"{reason}""#).into_bytes();
        if let Some(info) = info {
            parameters.extend_from_slice(br#","info":"#);
            append_string(&mut parameters, info);
        }
        parameters.push(b'}');
        self.stage = Stage::Leaving;
        self.say("disconnect", &String::from_utf8_lossy(&parameters), out);
    }

    /// Appends a message by the newest number of ours.
    fn say(&self, kind: &str, parameters: &str, out: &mut Vec<u8>) {
        let (id, seq, heard) = (self.id.as_deref().unwrap_or(NOBODY), self.told, self.heard);
        let message = format!(
            r#"{{"version":"{VERSION}","id":"{id}","type":"{kind}","seq":{seq},"clientseq":{heard},"parameters":{parameters}}}"#
        );
        out.extend_from_slice(message.as_bytes());
    }
}

/// Puts the first of two channels into the slot.
fn first_channel(message: &[u8], sample: usize, slot: &mut FrameSlot<'_>) -> Result<(), WireError> {
    let length = message.len() / 2;
    slot.set_len(length)?;
    let pairs = message.chunks_exact(2 * sample);
    for (to, from) in slot.room().chunks_exact_mut(sample).zip(pairs) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from;
        }
    }
    Ok(())
}

fn wrong(field: &'static str, problem: &str) -> WireError {
    WireError::BadField { field, problem: problem.to_owned() }
}
