//! A stream on a carrier's media socket: audio in messages, of which we are the client.

use crate::line::talk::{self, Talk};
use crate::rtp::{PCMU, Packet};
use crate::ws::frame::{self, FrameError, Reader};

/// Mask of the messages; any will do.
const MASK: [u8; 4] = [0x4B, 0x90, 0xE7, 0x26];

/// The carrier's end of the socket.
pub(crate) struct LineEnd {
    reader: Reader,
    talk: Talk,
    /// Frames that came: they bear no numbers, a socket keeps their order.
    frames: u32,
    text: Vec<u8>,
    audio: Vec<u8>,
}

impl LineEnd {
    /// A socket whose stream has begun; `rest` is what came behind the handshake.
    pub(crate) fn new(talk: Talk, rest: &[u8]) -> Self {
        let mut reader = Reader::default();
        reader.push(rest);
        Self { reader, talk, frames: 0, text: Vec::new(), audio: Vec::new() }
    }

    /// Appends the next frame of audio to `out`.
    pub(crate) fn media(&mut self, audio: &[u8], out: &mut Vec<u8>) {
        self.talk.media(audio, &mut self.text);
        frame::write(out, frame::TEXT, &self.text, Some(MASK));
    }

    /// Appends the last message to `out`.
    pub(crate) fn stop(&mut self, out: &mut Vec<u8>) {
        frame::write(out, frame::TEXT, self.talk.stop().as_bytes(), Some(MASK));
    }

    /// Takes what arrived, calls `heard` with each frame of audio, and appends what has to be
    /// answered to `out`.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        mut heard: impl FnMut(&Packet<'_>),
    ) -> Result<(), FrameError> {
        self.reader.push(bytes);
        while let Some(frame) = self.reader.next()? {
            let payload = self.reader.payload(&frame);
            match frame.opcode {
                frame::TEXT if talk::heard(payload, &mut self.audio) => {
                    let sequence = self.frames as u16;
                    let timestamp = self.frames.wrapping_mul(160);
                    self.frames = self.frames.wrapping_add(1);
                    let (marker, payload_type, ssrc) = (false, PCMU, 1);
                    let payload = self.audio.as_slice();
                    heard(&Packet { marker, payload_type, sequence, timestamp, ssrc, payload });
                }
                frame::PING => frame::write(out, frame::PONG, payload, Some(MASK)),
                frame::CLOSE => frame::write(out, frame::CLOSE, payload, Some(MASK)),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Audio is heard in order and numbered, whatever stands between, and pings are answered.
    #[test]
    fn hears_audio_and_answers_pings() {
        let mut line = LineEnd::new(Talk::new("AC1", "CA1"), b"");
        let mut other = Talk::new("AC1", "CA1");
        let (mut bytes, mut text) = (Vec::new(), Vec::new());
        for byte in [1u8, 2] {
            other.media(&[byte; 160], &mut text);
            frame::write(&mut bytes, frame::TEXT, &text, None);
            frame::write(&mut bytes, frame::PING, b"p", None);
            frame::write(&mut bytes, frame::TEXT, br#"{"event":"mark"}"#, None);
        }
        let (mut out, mut seen) = (Vec::new(), Vec::new());
        for part in bytes.chunks(7) {
            let took = line.receive(part, &mut out, |packet| {
                seen.push((packet.sequence, packet.timestamp, packet.payload.to_vec()));
            });
            assert_eq!(took, Ok(()));
        }
        assert_eq!(seen, [(0, 0, vec![1; 160]), (1, 160, vec![2; 160])]);
        let mut reader = Reader::default();
        reader.push(&out);
        while let Ok(Some(frame)) = reader.next() {
            assert_eq!((frame.opcode, reader.payload(&frame)), (frame::PONG, &b"p"[..]));
        }
    }
}
