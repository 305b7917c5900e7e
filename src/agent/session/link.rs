//! The rules of a socket that many streams share: whose is what comes, is anybody there, and how
//! much nonsense is borne.
//!
//! [`LinkSession`] knows no socket. What an agent says is handed to its stream; what is nobody's is
//! ignored, as a stream may have ended while it was under way. A stream that goes wrong is ended by
//! its own session and harms no other; what cannot be told to be of any stream is the link's fault.

use std::collections::HashMap;

use adapters::agent::MessageKind;
use adapters::wire::WireError;
use media::time::MonoTime;

use super::error_code;
use super::faults::Faults;
use super::keepalive::{Beat, KeepAlive};
use crate::agent::wire::CloseCode;
use crate::agent::wire::mux::{Frames, envelope};

/// Streams that a link has room for from the start.
const STREAMS_WARM: usize = 256;

/// What an agent said on one stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Delivery<'m> {
    /// A text message.
    Text(&'m mut [u8]),
    /// A frame, with its header.
    Frame(&'m mut [u8]),
    /// It closed the stream, with this code if it gave one.
    Close(Option<u16>),
}

/// What was wrong with what an agent sent on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFault {
    /// A word of [`error_code`] or of [`WireError::code`].
    pub code: &'static str,
    /// For a person.
    pub message: String,
    /// The link is closed for it.
    pub close: Option<CloseCode>,
}

/// A socket that many streams share. `T` tells where the rest of a stream is.
#[derive(Debug)]
pub struct LinkSession<T> {
    streams: HashMap<u32, T>,
    keepalive: KeepAlive,
    faults: Faults,
}

impl<T: Copy> LinkSession<T> {
    /// A link whose handshake is done.
    pub fn new(now: MonoTime) -> Self {
        Self {
            streams: HashMap::with_capacity(STREAMS_WARM),
            keepalive: KeepAlive::new(now),
            faults: Faults::new(now),
        }
    }

    /// Opens a stream. What came of one of the same number before is no longer of interest.
    pub fn open(&mut self, stream: u32, place: T) -> Option<T> {
        self.streams.insert(stream, place)
    }

    /// A stream has ended.
    pub fn end(&mut self, stream: u32) -> Option<T> {
        self.streams.remove(&stream)
    }

    /// Where a stream is.
    pub fn place(&mut self, stream: u32) -> Option<&mut T> {
        self.streams.get_mut(&stream)
    }

    /// Streams that are open.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// True if no stream is open.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Hands what is in a message to `deliver`, each with its stream, and tells how many frames
    /// there were. Streams that the agent closes are forgotten.
    ///
    /// # Errors
    ///
    /// A [`LinkFault`] if it is of no stream; nothing of it was delivered then.
    #[inline]
    pub fn receive(
        &mut self,
        now: MonoTime,
        kind: MessageKind,
        message: &mut [u8],
        mut deliver: impl FnMut(T, u32, Delivery<'_>),
    ) -> Result<usize, LinkFault> {
        match kind {
            MessageKind::Binary => {
                let frames = match Frames::new(message) {
                    Ok(frames) => frames,
                    Err(error) => {
                        return Err(LinkFault {
                            code: WireError::BadFrame("").code(),
                            message: format!("a binary message {error}"),
                            close: Some(CloseCode::Nonsense),
                        });
                    }
                };
                let mut count = 0;
                for (stream, frame) in frames {
                    count += 1;
                    if let Some(place) = self.streams.get(&stream) {
                        deliver(*place, stream, Delivery::Frame(frame));
                    }
                }
                Ok(count)
            }
            MessageKind::Text => {
                let said = envelope(message).map_err(|error| self.fault(now, &error))?;
                if let Some(code) = said.close {
                    if let Some(place) = self.streams.remove(&said.stream) {
                        deliver(place, said.stream, Delivery::Close(code));
                    }
                } else if let Some(place) = self.streams.get(&said.stream) {
                    deliver(*place, said.stream, Delivery::Text(message));
                }
                Ok(0)
            }
        }
    }

    /// A message was longer than a link takes.
    pub fn too_big(&self) -> LinkFault {
        LinkFault {
            code: error_code::TOO_BIG,
            message: "a message over 128 KiB".to_owned(),
            close: Some(CloseCode::TooBig),
        }
    }

    /// A WebSocket pong came; how long it took if it answers our last ping.
    pub fn pong(&mut self, now: MonoTime, payload: &[u8]) -> Option<std::time::Duration> {
        self.keepalive.pong(now, payload);
        self.keepalive.round_trip()
    }

    /// When [`Self::beat`] wants to be called next.
    pub fn deadline(&self) -> MonoTime {
        self.keepalive.deadline()
    }

    /// What the clock asks for.
    pub fn beat(&mut self, now: MonoTime) -> Beat {
        self.keepalive.beat(now)
    }

    fn fault(&mut self, now: MonoTime, error: &WireError) -> LinkFault {
        let close = match error {
            WireError::BadJson(_) => Some(CloseCode::NotJson),
            _ => self.faults.add(now).then_some(CloseCode::Nonsense),
        };
        LinkFault { code: error.code(), message: error.to_string(), close }
    }
}
