//! A stream on a carrier's media socket: audio in messages, of which we are the client.

use crate::line::talk::{self, Dialect, Talk};
use crate::rtp::{PCMU, Packet};
use crate::ws::frame::{self, FrameError, Reader};

/// Mask of the messages; any will do.
const MASK: [u8; 4] = [0x4B, 0x90, 0xE7, 0x26];

/// Kinds of an AudioSocket's messages: the end, and linear audio at 8 kHz.
const KIND_END: u8 = 0x00;
const KIND_AUDIO: u8 = 0x10;
/// Bytes before the payload of such a message: its kind, and its length.
const KIND_BYTES: usize = 3;

/// Ticks of the clock that lateness is told by, in a frame of 20 ms.
const FRAME_TICKS: u32 = 160;

/// The carrier's end of the socket.
pub(crate) struct LineEnd {
    reader: Reader,
    /// Bytes of an AudioSocket whose message has not come whole.
    unread: Vec<u8>,
    talk: Talk,
    /// Frames that wait for others to make a message.
    gathered: Vec<u8>,
    /// Frames that came: they bear no numbers, a socket keeps their order.
    frames: u32,
    text: Vec<u8>,
    audio: Vec<u8>,
    /// Audio that came, as far as it makes no frame yet.
    kept: Vec<u8>,
    /// It is heard frame by frame, not message by message.
    cuts: bool,
}

impl LineEnd {
    /// A socket whose stream has begun; `rest` is what came behind the handshake.
    pub(crate) fn new(talk: Talk, rest: &[u8]) -> Self {
        let mut reader = Reader::default();
        reader.push(rest);
        let (unread, gathered) = (Vec::new(), Vec::new());
        let (text, audio, kept) = (Vec::new(), Vec::new(), Vec::new());
        Self { reader, unread, talk, gathered, frames: 0, text, audio, kept, cuts: true }
    }

    /// The same, for whoever wants to hear what stood in a message as it stood there.
    pub(crate) fn uncut(mut self) -> Self {
        self.cuts = false;
        self
    }

    /// How it is spoken.
    pub(crate) const fn dialect(&self) -> Dialect {
        self.talk.dialect()
    }

    /// Appends the next frame of audio to `out`, or the message that it completes.
    pub(crate) fn media(&mut self, audio: &[u8], out: &mut Vec<u8>) {
        match self.dialect() {
            Dialect::AudioSocket => message(out, KIND_AUDIO, audio),
            Dialect::Wide | Dialect::Media | Dialect::Session => {
                frame::write(out, frame::BINARY, audio, Some(MASK));
            }
            Dialect::Long => {
                self.gathered.extend_from_slice(audio);
                if self.gathered.len() >= self.dialect().together() * self.dialect().frame_bytes() {
                    self.flush(out);
                }
            }
            _ => {
                self.talk.media(audio, &mut self.text);
                frame::write(out, frame::TEXT, &self.text, Some(MASK));
            }
        }
    }

    /// Appends what waits for other frames to `out`: nothing follows it.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) {
        if !self.gathered.is_empty() {
            self.talk.media(&self.gathered, &mut self.text);
            frame::write(out, frame::TEXT, &self.text, Some(MASK));
            self.gathered.clear();
        }
    }

    /// Appends what somebody else has to say to `out`.
    pub(crate) fn say(&self, opcode: u8, bytes: &[u8], out: &mut Vec<u8>) {
        frame::write(out, opcode, bytes, Some(MASK));
    }

    /// Appends the last message to `out`.
    pub(crate) fn stop(&mut self, out: &mut Vec<u8>) {
        match self.dialect() {
            Dialect::AudioSocket => message(out, KIND_END, &[]),
            Dialect::Streams => {
                frame::write(out, frame::TEXT, self.talk.stop().as_bytes(), Some(MASK));
            }
            _ => frame::write(out, frame::CLOSE, &frame::NORMAL.to_be_bytes(), Some(MASK)),
        }
    }

    /// Takes what arrived, calls `heard` with each frame of audio, and appends what has to be
    /// answered to `out`. Texts of a session are the talk's listener's to answer.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        mut heard: impl FnMut(&Packet<'_>),
    ) -> Result<(), FrameError> {
        if self.dialect() == Dialect::AudioSocket {
            self.unread.extend_from_slice(bytes);
            while let Some((kind, length)) = whole(&self.unread) {
                if kind == KIND_AUDIO {
                    let payload = self.unread.get(KIND_BYTES..length).unwrap_or_default();
                    self.kept.extend_from_slice(payload);
                }
                self.unread.drain(..length);
                self.cut(&mut heard);
            }
            return Ok(());
        }
        self.reader.push(bytes);
        let (binary, session) = (self.dialect().is_binary(), self.dialect().is_session());
        while let Some(frame) = self.reader.next()? {
            let payload = self.reader.payload(&frame);
            match frame.opcode {
                frame::TEXT if !binary && talk::heard(payload, &mut self.audio) => {
                    self.kept.extend_from_slice(&self.audio);
                }
                frame::TEXT if session => self.talk.tell(payload),
                frame::BINARY if binary => self.kept.extend_from_slice(payload),
                frame::PING => frame::write(out, frame::PONG, payload, Some(MASK)),
                frame::CLOSE => frame::write(out, frame::CLOSE, payload, Some(MASK)),
                _ => {}
            }
            self.cut(&mut heard);
        }
        Ok(())
    }

    /// Cuts what came into frames: some servers put several into one message. Where that is the
    /// way of the carrier, a message is in time if its last frame is, and none before it is early.
    fn cut(&mut self, heard: &mut impl FnMut(&Packet<'_>)) {
        let frame = self.dialect().frame_bytes();
        let length = if self.cuts { frame } else { self.kept.len().max(1) };
        let marker = self.dialect().together() > 1;
        let last = self.frames.wrapping_add((self.kept.len() / length) as u32).wrapping_sub(1);
        let mut done = 0;
        while let Some(payload) = self.kept.get(done..done + length) {
            let sequence = self.frames as u16;
            // The marker says that time does not go on by the frame.
            let at = if marker { last } else { self.frames };
            let timestamp = at.wrapping_mul(FRAME_TICKS);
            self.frames = self.frames.wrapping_add(1);
            let (payload_type, ssrc) = (PCMU, 1);
            heard(&Packet { marker, payload_type, sequence, timestamp, ssrc, payload });
            done += length;
        }
        self.kept.drain(..done);
    }
}

/// Appends an AudioSocket's message to `out`.
pub(crate) fn message(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    out.push(kind);
    out.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    out.extend_from_slice(payload);
}

/// The kind and the length, with its head, of a message that has come whole.
fn whole(bytes: &[u8]) -> Option<(u8, usize)> {
    let [kind, high, low] = *bytes.first_chunk()?;
    let length = KIND_BYTES + usize::from(u16::from_be_bytes([high, low]));
    (bytes.len() >= length).then_some((kind, length))
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

    /// Frames that came together, or in halves, are heard apart, in every dialect.
    #[test]
    fn cuts_what_came_into_frames() {
        for dialect in [
            Dialect::Streams,
            Dialect::Snake,
            Dialect::Long,
            Dialect::PlayAudio,
            Dialect::Wide,
            Dialect::Media,
            Dialect::Session,
            Dialect::AudioSocket,
        ] {
            let length = dialect.frame_bytes();
            let three: Vec<u8> = [1u8, 2, 3].iter().flat_map(|byte| vec![*byte; length]).collect();
            let mut far = LineEnd::new(Talk::plain(dialect, "AC1", "CA1"), b"");
            let mut bytes = Vec::new();
            for part in [&three[..length + 5], &three[length + 5..]] {
                far.media(part, &mut bytes);
            }
            far.flush(&mut bytes);
            let mut line = LineEnd::new(Talk::plain(dialect, "AC1", "CA1"), b"");
            let (mut out, mut seen) = (Vec::new(), Vec::new());
            for part in bytes.chunks(11) {
                line.receive(part, &mut out, |packet| seen.push(packet.payload.to_vec())).unwrap();
            }
            assert_eq!(seen, [1u8, 2, 3].map(|byte| vec![byte; length]), "{dialect:?}");
            assert!(out.is_empty());
        }
    }

    /// In a session every text is the listener's, in order and whole; audio leaves frame by frame,
    /// and what comes together is as late as its last frame.
    #[test]
    #[cfg(feature = "carriers")]
    fn sessions_are_listened_to() {
        let (tell, told) = std::sync::mpsc::channel();
        let listener = move |text: &[u8]| tell.send(text.to_vec()).unwrap();
        let talk = Talk::plain(Dialect::Session, "", "").heard_by(Box::new(listener));
        let mut bytes = Vec::new();
        frame::write(&mut bytes, frame::TEXT, br#"{"type":"event"}"#, None);
        frame::write(&mut bytes, frame::BINARY, &[9; 1_600], None);
        frame::write(&mut bytes, frame::TEXT, br#"{"type":"closed"}"#, None);
        let mut line = LineEnd::new(talk, b"");
        let (mut out, mut seen) = (Vec::new(), Vec::new());
        for part in bytes.chunks(7) {
            let heard = |packet: &Packet<'_>| seen.push((packet.sequence, packet.timestamp));
            line.receive(part, &mut out, heard).unwrap();
        }
        assert_eq!(seen, (0..10u16).map(|at| (at, 9 * FRAME_TICKS)).collect::<Vec<_>>());
        let told: Vec<_> = told.try_iter().collect();
        assert_eq!(told, [&br#"{"type":"event"}"#[..], br#"{"type":"closed"}"#]);
        assert!(out.is_empty());
        line.media(&[7; 160], &mut out);
        let mut reader = Reader::default();
        reader.push(&out);
        let frame = reader.next().unwrap().unwrap();
        assert_eq!((frame.opcode, reader.payload(&frame)), (frame::BINARY, &[7; 160][..]));
    }

    /// Of a carrier with long messages frames leave together, and a message that comes is as late
    /// as its last frame.
    #[test]
    fn long_messages() {
        let mut far = LineEnd::new(Talk::plain(Dialect::Long, "AC1", "CA1"), b"");
        let mut line = LineEnd::new(Talk::plain(Dialect::Long, "AC1", "CA1"), b"");
        let (mut sent, mut out, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        for frame in 1..=10u8 {
            sent.clear();
            far.media(&[frame; 320], &mut sent);
            assert_eq!(sent.is_empty(), frame % 5 != 0, "{frame}");
            line.receive(&sent, &mut out, |packet| {
                seen.push((packet.sequence, packet.timestamp, packet.payload[0]));
            })
            .unwrap();
        }
        let expected = |at: u16| (at, if at < 5 { 4 * 160 } else { 9 * 160 }, at as u8 + 1);
        assert_eq!(seen, (0..10).map(expected).collect::<Vec<_>>());
        far.media(&[11; 320], &mut sent);
        sent.clear();
        far.flush(&mut sent);
        assert!(!sent.is_empty(), "the rest leaves");
        sent.clear();
        far.flush(&mut sent);
        assert!(sent.is_empty(), "once");
    }
}
