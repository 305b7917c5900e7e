//! A carrier's media dialect on a WebSocket, or another stream of messages: one message at a time,
//! in place, without allocation on the path of a frame.

use media::codec::AudioFormat;
use media::time::MonoTime;

use crate::agent::MessageKind;
use crate::config::RawConfig;
use crate::event::{CarrierCallId, HangupCause};
use crate::wire::WireError;

/// What a stream begins with.
#[derive(Clone, Debug)]
pub struct StreamStart {
    /// The configuration.
    pub config: RawConfig,
    /// The carrier's id of the call the stream must be for, if it is known.
    pub call: Option<CarrierCallId>,
}

/// Room for the audio of one message: a slot of a ring, filled in place.
#[derive(Debug)]
pub struct FrameSlot<'a> {
    room: &'a mut [u8],
    len: usize,
}

impl<'a> FrameSlot<'a> {
    /// Room for `room.len()` bytes.
    pub const fn new(room: &'a mut [u8]) -> Self {
        Self { room, len: 0 }
    }

    /// Where audio may be written; [`set_len`](Self::set_len) tells how much was.
    pub const fn room(&mut self) -> &mut [u8] {
        self.room
    }

    /// Says that the first `len` bytes of the room are the frame.
    ///
    /// # Errors
    ///
    /// [`WireError::BadFrame`] if there is less room than that.
    pub fn set_len(&mut self, len: usize) -> Result<(), WireError> {
        if len > self.room.len() {
            return Err(WireError::BadFrame("longer than a frame may be"));
        }
        self.len = len;
        Ok(())
    }

    /// Makes `audio` the frame.
    ///
    /// # Errors
    ///
    /// [`WireError::BadFrame`] if there is not enough room.
    pub fn fill(&mut self, audio: &[u8]) -> Result<(), WireError> {
        self.set_len(audio.len())?;
        if let Some(room) = self.room.get_mut(..audio.len()) {
            room.copy_from_slice(audio);
        }
        Ok(())
    }

    /// The frame, as far as it was filled.
    pub fn filled(&self) -> &[u8] {
        self.room.get(..self.len).unwrap_or_default()
    }
}

/// What a message of a carrier means. What it lends lies in the message.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamEvent<'m> {
    /// Nothing to act on.
    Nothing,
    /// The stream is ready: from now on audio flows, in these formats.
    Started {
        /// The carrier's id of the stream, if it has one.
        stream: Option<&'m str>,
        /// The carrier's id of the call, if the stream tells: must be that of the call.
        call: Option<&'m str>,
        /// Format of the carrier's audio.
        from_carrier: AudioFormat,
        /// Format of the audio the carrier wants.
        to_carrier: AudioFormat,
    },
    /// The slot holds audio.
    Audio {
        /// Media time of its first sample in the clock of the format, counted from the start of the
        /// stream, if the carrier tells.
        ts: Option<u64>,
        /// Number of the frame, counted from 0, if the carrier tells: gaps are losses.
        seq: Option<u64>,
    },
    /// A digit was pressed: `0-9`, `A-D`, `*`, `#`.
    Dtmf {
        /// The digit.
        digit: char,
        /// Length in milliseconds, if the carrier tells.
        duration_ms: Option<u32>,
    },
    /// All audio before the mark of that name has been played, or was dropped by a clear.
    Mark(&'m str),
    /// The carrier's own queue was emptied.
    Cleared,
    /// The carrier wants no audio for a while (`false`), or again (`true`).
    Flow(bool),
    /// The carrier's queue holds audio that lasts so long, in milliseconds.
    Queued(u32),
    /// The stream is over; the call may go on.
    Stopped(Option<HangupCause>),
}

/// What is to be said to a carrier besides audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamCommand<'a> {
    /// Drop what is queued at the carrier.
    Clear,
    /// Tell when all audio before this has been played.
    Mark(&'a str),
    /// Send this digit to the far end.
    Dtmf(char),
    /// End the call.
    Hangup,
}

/// What a stream asks of the connection that it is spoken on.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// There is no WebSocket: messages follow each other on the bare connection, and this tells how
    /// long the first one is; `None` if the bytes do not tell yet.
    pub measure: Option<fn(&[u8]) -> Option<usize>>,
    /// Frames have to come without a pause, silence where there is nothing to be heard.
    pub steady: bool,
    /// The far end bears to be pinged.
    pub pings: bool,
    /// Nothing tells of a call before its socket: that is opened where calls are offered, and its
    /// first message is the body of the request that offers the call
    /// ([`Inbound::hook`](crate::hook::Inbound::hook)).
    pub offers: bool,
    /// The far end closes the connection, once both sides have said that they are done.
    pub closed_by_peer: bool,
    /// The shortest message of audio that the far end plays well, in bytes of its format: frames
    /// are collected until there are so many, and what is left when nothing follows is filled up
    /// with silence. 0 if each frame may come by itself, as it has to where they are `steady`.
    pub least_bytes: usize,
}

impl Manners {
    /// Those of a WebSocket.
    pub const WEBSOCKET: Self = Self {
        measure: None,
        steady: false,
        pings: true,
        offers: false,
        closed_by_peer: false,
        least_bytes: 0,
    };
}

/// One carrier's stream of one call.
///
/// Pure: no I/O, no clock. Neither function allocates for audio once its buffers have grown.
pub trait Stream: Send {
    /// Reads one message, which it may change, and puts its audio into `slot`.
    ///
    /// # Errors
    ///
    /// A [`WireError`] that names what is wrong with the message.
    fn decode<'m>(
        &mut self,
        now: MonoTime,
        kind: MessageKind,
        message: &'m mut [u8],
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'m>, WireError>;

    /// Appends the message that carries `audio` to `out` and tells its kind. Whole frames in the
    /// format the carrier wants, once the stream has started.
    fn encode(&mut self, audio: &[u8], out: &mut Vec<u8>) -> MessageKind;

    /// True if the carrier drops what is sent behind a clear, too, until it has said
    /// [`StreamEvent::Cleared`]: audio has to wait for that.
    fn clears_late(&self) -> bool {
        false
    }

    /// What it asks of its connection.
    fn manners(&self) -> Manners {
        Manners::WEBSOCKET
    }

    /// Appends the message that answers the one that was decoded last, and tells its kind; `None`
    /// if nothing is said to that. What answers an error is the last word of the stream.
    fn reply(&mut self, _out: &mut Vec<u8>) -> Option<MessageKind> {
        None
    }

    /// Appends the message that answers the call to `out` and tells its kind; `None` if the far end
    /// is not waiting for that word.
    fn answer(&mut self, _out: &mut Vec<u8>) -> Option<MessageKind> {
        None
    }

    /// Appends the message that asks how much the carrier's queue holds, which
    /// [`StreamEvent::Queued`] answers; `None` if the dialect has no word for it.
    fn ask_queue(&mut self, _out: &mut Vec<u8>) -> Option<MessageKind> {
        None
    }

    /// Appends the message that says `command` to `out` and tells its kind; `None` if the dialect
    /// has no word for it, and nothing is appended.
    fn command(&mut self, command: StreamCommand<'_>, out: &mut Vec<u8>) -> Option<MessageKind>;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slot holds what fits and nothing else.
    #[test]
    fn slots_are_bounded() {
        let mut room = [0; 4];
        let mut slot = FrameSlot::new(&mut room);
        assert_eq!(slot.filled(), b"");
        slot.fill(b"abc").unwrap();
        assert_eq!(slot.filled(), b"abc");
        assert!(slot.fill(b"abcde").is_err() && slot.set_len(5).is_err());
        assert_eq!(slot.filled(), b"abc");
        slot.room()[0] = b'x';
        slot.set_len(1).unwrap();
        assert_eq!(slot.filled(), b"x");
    }
}
