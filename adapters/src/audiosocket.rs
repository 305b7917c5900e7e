//! AudioSocket: the protocol by which an Asterisk brings the audio of one call over a bare TCP
//! connection that it opens to us.
//!
//! Each message is a kind (one byte), a length (two bytes, most significant first) and as many
//! bytes. The first message says a UUID, which is all that tells what the call is. Samples are
//! linear, 16 bits, least significant byte first; the kind tells their rate.
//!
//! The far end plays what comes when it comes, without a queue, and may never notice a peer that
//! says nothing: frames have to come at their time and without a pause. Anything else than audio
//! and the end of the call makes it hang up.

mod numbers;
#[cfg(test)]
mod tests;

use media::codec::AudioFormat;
use media::time::MonoTime;

pub use numbers::{Numbers, UUID_NUMBER_DIGITS_MAX};

use crate::agent::MessageKind;
use crate::event::HangupCause;
use crate::stash::Stash;
use crate::stream::{FrameSlot, Manners, Stream, StreamCommand, StreamEvent};
use crate::wire::WireError;

/// Bytes in front of the payload of a message.
pub const HEADER_BYTES: usize = 3;
/// Length of the message that a connection begins with.
pub const FIRST_BYTES: usize = HEADER_BYTES + 16;
/// The message that ends the call.
pub const HANGUP: [u8; HEADER_BYTES] = [kind::HANGUP, 0, 0];
/// How long each frame that we send is, in milliseconds.
pub const PTIME_MS: u32 = 20;

/// Kinds of messages.
mod kind {
    pub(super) const HANGUP: u8 = 0x00;
    pub(super) const UUID: u8 = 0x01;
    pub(super) const DIGIT: u8 = 0x03;
    /// Audio of the first of [`RATES_HZ`](super::RATES_HZ); those of the others follow.
    pub(super) const AUDIO: u8 = 0x10;
    pub(super) const ERROR: u8 = 0xff;
}

/// The error that says no more than that the caller hung up.
const ERROR_HANGUP: u8 = 0x01;

/// Rates of audio, by their kinds.
const RATES_HZ: [u32; 9] = [8_000, 12_000, 16_000, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000];

/// How a stream is to be spoken.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Digits are told; if not, they come another way.
    pub digits: bool,
    /// Rate of the far end's audio, in Hz, where that is known before it comes; else 8,000 is
    /// spoken until then.
    pub rate_hz: Option<u32>,
}

/// Begins the stream of a call.
pub fn open(options: Options) -> Box<dyn Stream> {
    let known = options.rate_hz.filter(|rate_hz| RATES_HZ.contains(rate_hz));
    Box::new(AudioSocket {
        options,
        begun: false,
        rate_hz: known.unwrap_or(RATES_HZ[0]),
        sent: 0,
        stash: Stash::default(),
    })
}

/// How long the message is that `bytes` begin with; `None` if they do not tell yet.
pub fn measure(bytes: &[u8]) -> Option<usize> {
    let header: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
    Some(HEADER_BYTES + usize::from(u16::from_be_bytes([header[1], header[2]])))
}

/// The UUID in the message that a connection begins with; `None` if that says none.
pub fn uuid(message: &[u8]) -> Option<[u8; 16]> {
    let (header, payload) = message.split_first_chunk::<HEADER_BYTES>()?;
    let payload = payload.try_into().ok()?;
    (*header == [kind::UUID, 0, 16]).then_some(payload)
}

/// The message that a connection begins with.
pub fn first_message(uuid: [u8; 16]) -> [u8; FIRST_BYTES] {
    let mut message = [0; FIRST_BYTES];
    message[0] = kind::UUID;
    message[2] = 16;
    message[HEADER_BYTES..].copy_from_slice(&uuid);
    message
}

struct AudioSocket {
    options: Options,
    /// The UUID has come.
    begun: bool,
    /// Rate of the far end's audio.
    rate_hz: u32,
    /// The kind of our audio, as an index into [`RATES_HZ`].
    sent: u8,
    /// Audio at a new rate that came before that was told.
    stash: Stash,
}

/// The best of our own rates that is no higher than `rate_hz`, as an index into [`RATES_HZ`]: the
/// far end converts what is lower than its own.
fn sent_for(rate_hz: u32) -> u8 {
    match rate_hz {
        48_000.. => 6,
        24_000.. => 3,
        16_000.. => 2,
        _ => 0,
    }
}

impl AudioSocket {
    fn audio<'m>(
        &mut self,
        rate_hz: u32,
        payload: &[u8],
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'m>, WireError> {
        let format = AudioFormat::l16le(rate_hz);
        if !self.begun {
            return Err(WireError::BadFrame("audio before the UUID"));
        }
        if !format.is_whole(payload) {
            return Err(WireError::BadFrame("not whole samples of 16 bits"));
        }
        if rate_hz == self.rate_hz {
            self.stash.fill(payload, slot)?;
            return Ok(StreamEvent::Audio { ts: None, seq: None });
        }
        self.rate_hz = rate_hz;
        self.stash.clear();
        self.stash.keep(payload);
        Ok(self.started())
    }

    fn started<'m>(&mut self) -> StreamEvent<'m> {
        self.sent = sent_for(self.rate_hz);
        let sent_hz = RATES_HZ.get(usize::from(self.sent)).copied().unwrap_or(RATES_HZ[0]);
        StreamEvent::Started {
            stream: None,
            call: None,
            from_carrier: AudioFormat::l16le(self.rate_hz),
            to_carrier: AudioFormat::l16le(sent_hz),
        }
    }

    fn digit<'m>(&self, payload: &[u8]) -> Result<StreamEvent<'m>, WireError> {
        let digit = match payload {
            [digit] => char::from(*digit).to_ascii_uppercase(),
            _ => '\0',
        };
        match digit {
            '0'..='9' | 'A'..='D' | '*' | '#' if self.options.digits => {
                Ok(StreamEvent::Dtmf { digit, duration_ms: None })
            }
            '0'..='9' | 'A'..='D' | '*' | '#' => Ok(StreamEvent::Nothing),
            _ => Err(WireError::BadFrame("no key of a telephone")),
        }
    }
}

impl Stream for AudioSocket {
    fn decode<'m>(
        &mut self,
        _: MonoTime,
        _: MessageKind,
        message: &'m mut [u8],
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'m>, WireError> {
        let whole = measure(message) == Some(message.len());
        let Some((kind, payload)) = message.split_first().filter(|_| whole) else {
            return Err(WireError::BadFrame("not as long as it says"));
        };
        let payload = payload.get(HEADER_BYTES - 1..).unwrap_or_default();
        let rate_hz = kind.checked_sub(kind::AUDIO).and_then(|at| RATES_HZ.get(usize::from(at)));
        match (*kind, rate_hz) {
            (_, Some(rate_hz)) => self.audio(*rate_hz, payload, slot),
            (kind::UUID, _) if self.begun || payload.len() != 16 => {
                Err(WireError::BadFrame("no UUID is expected, or none of 16 bytes"))
            }
            (kind::UUID, _) => {
                self.begun = true;
                Ok(self.started())
            }
            (kind::DIGIT, _) => self.digit(payload),
            (kind::HANGUP, _) => Ok(StreamEvent::Stopped(Some(HangupCause::Normal))),
            (kind::ERROR, _) if payload.first() == Some(&ERROR_HANGUP) => {
                Ok(StreamEvent::Stopped(Some(HangupCause::Normal)))
            }
            (kind::ERROR, _) => Ok(StreamEvent::Stopped(Some(HangupCause::Failed))),
            _ => Ok(StreamEvent::Nothing),
        }
    }

    #[inline]
    fn encode(&mut self, audio: &[u8], out: &mut Vec<u8>) -> MessageKind {
        // An empty message would end the call.
        if let Ok(length) = u16::try_from(audio.len())
            && length > 0
        {
            let [high, low] = length.to_be_bytes();
            out.extend_from_slice(&[kind::AUDIO + self.sent, high, low]);
            out.extend_from_slice(audio);
        }
        MessageKind::Binary
    }

    fn manners(&self) -> Manners {
        Manners { measure: Some(measure), steady: true, pings: false, ..Manners::WEBSOCKET }
    }

    fn command(&mut self, command: StreamCommand<'_>, out: &mut Vec<u8>) -> Option<MessageKind> {
        match command {
            StreamCommand::Hangup => out.extend_from_slice(&HANGUP),
            // There is no queue to be emptied or marked, and a digit would end the call.
            StreamCommand::Clear | StreamCommand::Mark(_) | StreamCommand::Dtmf(_) => return None,
        }
        Some(MessageKind::Binary)
    }
}
