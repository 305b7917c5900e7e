//! An agent that sends every frame back at once, and looks at what it gets.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use super::server::Handler;
use crate::load::stamps::Stamps;
use crate::pattern::{self, Content};
use crate::rtp::{self, Faults, Judge, PCMU};
use crate::sys::clock;
use crate::ws::frame;

/// Bytes of 20 ms of PCMU.
const FRAME_BYTES: usize = 160;

/// What each frame of a greeting sounds like: a crack that is none of silence.
const GREETING: [u8; FRAME_BYTES] = {
    let mut frame = [0xFF; FRAME_BYTES];
    frame[0] = 0x20;
    frame
};

/// What an echo agent saw.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Seen {
    /// Binary messages.
    pub(crate) frames: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Text messages.
    pub(crate) texts: u64,
    /// Messages with `"event":"error"` among them.
    pub(crate) errors: u64,
    /// Frames whose audio was neither a caller's packet, bit-exact, nor silence. Only counted
    /// where the generator runs in the same process.
    pub(crate) altered: u64,
    /// Faults of the RTP headers.
    pub(crate) headers: Faults,
}

/// The agent.
pub(crate) struct Echo {
    judges: Vec<Judge>,
    /// Those of streams on sockets of many calls.
    streams: HashMap<u32, Judge>,
    stamps: Option<Arc<Stamps>>,
    raw: bool,
    /// Send text messages back as well.
    pub(crate) texts: bool,
    /// Print text messages.
    pub(crate) verbose: bool,
    /// Says so many frames of 20 ms as soon as a call is told of, and never anything else.
    pub(crate) greeting: usize,
    seen: Seen,
}

impl Echo {
    /// An agent that notes stamps for a generator in this process, or asks for raw framing.
    pub(crate) fn new(stamps: Option<Arc<Stamps>>, raw: bool) -> Self {
        Self {
            judges: Vec::new(),
            streams: HashMap::new(),
            stamps,
            raw,
            texts: false,
            verbose: false,
            greeting: 0,
            seen: Seen::default(),
        }
    }

    /// What it saw, header faults of all connections together.
    pub(crate) fn seen(&self) -> Seen {
        let mut seen = self.seen.clone();
        for judge in self.judges.iter().chain(self.streams.values()) {
            seen.headers.add(&judge.faults);
        }
        seen
    }

    /// What it says of itself on a stream, a message a frame.
    fn greet(&self, ssrc: u32, out: &mut Vec<u8>) {
        let mut packet = vec![0; rtp::HEADER_BYTES];
        packet.extend(GREETING);
        for index in 0..self.greeting {
            let timestamp = (index * FRAME_BYTES) as u32;
            let head = rtp::header(PCMU, index == 0, index as u16, timestamp, ssrc);
            if let Some((header, _)) = packet.split_first_chunk_mut() {
                *header = head;
            }
            frame::write(out, frame::BINARY, &packet, None);
        }
    }

    fn look(&mut self, id: Of, payload: &[u8], stamp_ns: u64) {
        let judge = match id {
            Of::Connection(id) => {
                if self.judges.len() <= id {
                    self.judges.resize(id + 1, Judge::default());
                }
                let Some(judge) = self.judges.get_mut(id) else { return };
                judge
            }
            Of::Stream(stream) => self.streams.entry(stream).or_default(),
        };
        let audio = if self.raw {
            payload
        } else if let Some(packet) = rtp::parse(payload) {
            judge.see(&packet);
            if packet.payload_type != PCMU {
                // What the server made of the caller's audio; the caller judges what comes back.
                return;
            }
            packet.payload
        } else {
            judge.faults.not_rtp += 1;
            return;
        };
        let Some(stamps) = &self.stamps else { return };
        match pattern::read(audio) {
            Content::Exact { call, index } => {
                stamps.note(call, index, stamp_ns, clock::real_ns());
            }
            Content::Fill => {}
            Content::Altered => self.seen.altered += 1,
        }
    }
}

/// Whose a frame is.
#[derive(Clone, Copy)]
enum Of {
    /// The call of this connection.
    Connection(usize),
    /// The call of this stream on a connection of many.
    Stream(u32),
}

/// Whether a message is of a socket of many calls: its first byte is that of a length, which is
/// short, and not the first of an RTP header (RFC 3550 5.1).
fn is_mux(payload: &[u8]) -> bool {
    payload.first().is_some_and(|first| first & 0xC0 != 0x80)
}

impl Handler for Echo {
    fn text(&mut self, id: usize, text: &str, out: &mut Vec<u8>) {
        self.seen.texts += 1;
        if self.texts {
            return frame::write(out, frame::TEXT, text.as_bytes(), None);
        }
        if self.verbose {
            println!("{id}: {text}");
        }
        let Ok(message) = serde_json::from_str::<serde_json::Value>(text) else {
            self.seen.errors += 1;
            return;
        };
        match message.get("event").and_then(|event| event.as_str()) {
            Some("start") => {
                let stream = message.get("stream").and_then(serde_json::Value::as_u64);
                let stream = stream.and_then(|stream| u32::try_from(stream).ok());
                if let Some(judge) = stream.and_then(|stream| self.streams.get_mut(&stream)) {
                    *judge = judge.fresh();
                }
                if let Some(judge) = self.judges.get_mut(id) {
                    // A slot that an earlier call had: its stream is over, its faults stay.
                    *judge = judge.fresh();
                }
                if self.raw {
                    let stream = message.get("stream").cloned().unwrap_or_default();
                    let configure = serde_json::json!({
                        "event": "configure", "stream": stream, "framing": "raw"
                    });
                    frame::write(out, frame::TEXT, configure.to_string().as_bytes(), None);
                }
                self.greet(stream.unwrap_or_default(), out);
            }
            Some("error") => self.seen.errors += 1,
            _ => {}
        }
    }

    fn binary(&mut self, id: usize, payload: &[u8], stamp_ns: u64, out: &mut Vec<u8>) {
        self.seen.bytes += payload.len() as u64;
        if !self.raw && is_mux(payload) {
            let mut rest = payload;
            while let Some((length, behind)) = rest.split_first_chunk::<2>() {
                let length = usize::from(u16::from_be_bytes(*length)).min(behind.len());
                let (one, behind) = behind.split_at(length);
                rest = behind;
                self.seen.frames += 1;
                let stream = one.get(8..12).and_then(<[u8]>::first_chunk).copied();
                let stream = u32::from_be_bytes(stream.unwrap_or_default());
                self.look(Of::Stream(stream), one, stamp_ns);
            }
        } else {
            self.seen.frames += 1;
            self.look(Of::Connection(id), payload, stamp_ns);
        }
        if self.greeting == 0 {
            frame::write(out, frame::BINARY, payload, None);
        }
    }

    fn closed(&mut self, id: usize) {
        if let Some(judge) = self.judges.get_mut(id) {
            *judge = judge.fresh();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of a socket of many calls is taken apart, each frame judged as one of its stream,
    /// and sent back as it came; a frame of one call is one frame.
    #[test]
    fn takes_mux_apart() {
        let packet = |stream: u8, seq: u8| {
            let mut frame = vec![0x80, 0, 0, seq, 0, 0, 0, seq.wrapping_mul(160)];
            frame.extend([0, 0, 0, stream]);
            frame.extend([0xFF; 160]);
            frame
        };
        let mut echo = Echo::new(None, false);
        for seq in 0..2 {
            let mut message = Vec::new();
            for stream in [5, 6] {
                message.extend([0, 172]);
                message.extend(packet(stream, seq));
            }
            let mut out = Vec::new();
            echo.binary(0, &message, 0, &mut out);
            let mut expected = Vec::new();
            frame::write(&mut expected, frame::BINARY, &message, None);
            assert_eq!(out, expected);
        }
        echo.binary(1, &packet(9, 1), 0, &mut Vec::new());
        let seen = echo.seen();
        assert_eq!((seen.frames, seen.headers.total(), echo.streams.len()), (5, 0, 2));
    }

    /// One that greets does so when it is told of a call, in frames with headers that are right,
    /// and says nothing else.
    #[test]
    fn greets_and_is_silent() {
        let mut echo = Echo { greeting: 3, ..Echo::new(None, false) };
        let mut out = Vec::new();
        echo.text(0, r#"{"event":"start","stream":7}"#, &mut out);
        let mut reader = frame::Reader::default();
        reader.push(&out);
        let mut judge = Judge::default();
        let mut heard = 0;
        while let Ok(Some(frame)) = reader.next() {
            let packet = rtp::parse(reader.payload(&frame)).expect("RTP");
            assert_eq!((packet.payload, packet.ssrc), (GREETING.as_slice(), 7));
            judge.see(&packet);
            heard += 1;
        }
        assert_eq!((heard, judge.faults.total()), (3, 0));
        out.clear();
        echo.binary(0, &[0x80; 172], 0, &mut out);
        assert!(out.is_empty());
    }
}
