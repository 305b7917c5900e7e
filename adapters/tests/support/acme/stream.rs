//! A media dialect of JSON messages with audio in base64.

use crate::agent::MessageKind;
use crate::event::HangupCause;
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};
use crate::wire::WireError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use media::codec::AudioFormat;
use media::time::MonoTime;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Message<'m> {
    Hello {
        stream: &'m str,
        call: &'m str,
        codec: &'m str,
    },
    Audio {
        data: &'m str,
        seq: Option<u64>,
        ts: Option<u64>,
    },
    Digit {
        digit: char,
        ms: Option<u32>,
    },
    Mark {
        name: &'m str,
    },
    Cleared,
    Hold {
        on: bool,
    },
    Bye {
        sip: Option<u16>,
    },
    #[serde(other)]
    Other,
}

struct Acme {
    started: bool,
}

pub(super) fn open(_: &StreamStart) -> Box<dyn Stream> {
    Box::new(Acme { started: false })
}

impl Stream for Acme {
    fn decode<'m>(
        &mut self,
        _: MonoTime,
        kind: MessageKind,
        message: &'m mut [u8],
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'m>, WireError> {
        if kind == MessageKind::Binary {
            return Err(WireError::BadFrame("only text is spoken"));
        }
        let message: Message<'m> =
            serde_json::from_slice(message).map_err(|e| WireError::BadJson(e.to_string()))?;
        Ok(match message {
            Message::Hello { stream, call, codec } => {
                if codec != "PCMU" {
                    return Err(WireError::UnknownCodec(codec.to_owned()));
                }
                self.started = true;
                let (from_carrier, to_carrier) = (AudioFormat::PCMU, AudioFormat::PCMU);
                StreamEvent::Started {
                    stream: Some(stream),
                    call: Some(call),
                    from_carrier,
                    to_carrier,
                }
            }
            Message::Audio { .. } if !self.started => {
                return Err(WireError::BadFrame("audio before hello"));
            }
            Message::Audio { data, seq, ts } => {
                let audio = STANDARD.decode_slice(data, slot.room());
                slot.set_len(audio.map_err(|_| WireError::BadFrame("not base64, or too long"))?)?;
                StreamEvent::Audio { ts, seq }
            }
            Message::Digit { digit, ms } => StreamEvent::Dtmf { digit, duration_ms: ms },
            Message::Mark { name } => StreamEvent::Mark(name),
            Message::Cleared => StreamEvent::Cleared,
            Message::Hold { on } => StreamEvent::Flow(!on),
            Message::Bye { sip } => StreamEvent::Stopped(sip.map(HangupCause::from_sip)),
            Message::Other => StreamEvent::Nothing,
        })
    }

    fn encode(&mut self, audio: &[u8], out: &mut Vec<u8>) -> MessageKind {
        out.extend_from_slice(br#"{"type":"play","data":""#);
        out.extend_from_slice(STANDARD.encode(audio).as_bytes());
        out.extend_from_slice(br#""}"#);
        MessageKind::Text
    }

    fn command(&mut self, command: StreamCommand<'_>, out: &mut Vec<u8>) -> Option<MessageKind> {
        let message = match command {
            StreamCommand::Clear => serde_json::json!({"type": "clear"}),
            StreamCommand::Mark(name) => serde_json::json!({"type": "mark", "name": name}),
            StreamCommand::Dtmf(digit) => serde_json::json!({"type": "digit", "digit": digit}),
            StreamCommand::Hangup => return None,
        };
        out.extend_from_slice(message.to_string().as_bytes());
        Some(MessageKind::Text)
    }
}
