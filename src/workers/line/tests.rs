use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use adapters::agent::MessageKind;
use adapters::stream::{FrameSlot, Manners, StreamEvent};
use adapters::wire::WireError;
use socket2::{Domain, Socket, Type};
use tokio::sync::mpsc;

use super::*;
use crate::agent::socket::{AgentSocket, Role};
use crate::telemetry::WorkerMetrics;
use crate::workers::Care;

/// Audio as it is, in messages of so many bytes at least.
struct Bare {
    least_bytes: usize,
}

impl Stream for Bare {
    fn decode<'m>(
        &mut self,
        _now: MonoTime,
        _kind: MessageKind,
        _message: &'m mut [u8],
        _slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'m>, WireError> {
        Ok(StreamEvent::Nothing)
    }

    fn encode(&mut self, audio: &[u8], out: &mut Vec<u8>) -> MessageKind {
        out.extend_from_slice(audio);
        MessageKind::Binary
    }

    fn manners(&self) -> Manners {
        Manners { least_bytes: self.least_bytes, ..Manners::WEBSOCKET }
    }

    fn command(&mut self, command: StreamCommand<'_>, out: &mut Vec<u8>) -> Option<MessageKind> {
        match command {
            StreamCommand::Mark(name) => out.extend_from_slice(name.as_bytes()),
            StreamCommand::Clear => out.extend_from_slice(b"clear"),
            StreamCommand::Dtmf(_) | StreamCommand::Hangup => return None,
        }
        Some(MessageKind::Text)
    }
}

/// A connection whose far end takes little, if that is `stuck`.
fn connected(stuck: bool) -> (AgentSocket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    if stuck {
        far.set_recv_buffer_size(4_096).unwrap();
    }
    far.connect(&listener.local_addr().unwrap().into()).unwrap();
    let (stream, _) = listener.accept().unwrap();
    (AgentSocket { stream, tls: None, unread: Vec::new(), role: Role::Server }, far.into())
}

/// As much audio waits for a carrier that takes nothing as its format makes of the time for that:
/// the format of the stream, not the one that was thought of before it started.
#[test]
fn as_much_waits_as_the_format_makes() {
    for (audio, ptime_ms) in [
        (AudioFormat::PCMU, 20),
        (AudioFormat::l16le(16_000), 20),
        (AudioFormat::l16le(48_000), 20),
    ] {
        let (events, _told) = mpsc::channel(16);
        let mut ctx = Context::new(Arc::new(WorkerMetrics::default()), events, Care::default());
        let ctx = ctx.as_mut().unwrap();
        let plan = LinePlan {
            format: StreamFormat { audio: AudioFormat::PCMU, ptime_ms },
            buffer_ms: 80,
            digits: DigitsBy::Nothing,
            dtmf_inband: false,
        };
        let mut line = LineLeg::new(plan);
        let (socket, far) = connected(true);
        let link = LineLink { socket, stream: Box::new(Bare { least_bytes: 0 }), call: None };
        line.connect(ctx, link, 1).unwrap();
        line.start(audio, audio);
        let frame_bytes = audio.bytes(ptime_ms);
        for _ in 0..20_000 {
            line.send_audio(ctx, frame_bytes, ctx.now);
        }
        let waiting = line.link.as_ref().map(|link| link.connection.waiting_bytes()).unwrap();
        let least = audio.bytes(80 + BACKLOG_MS);
        assert!(waiting >= least, "{audio:?}: {waiting} of {least} bytes");
        let most = backlog_bytes(StreamFormat { audio, ptime_ms }, 80 + BACKLOG_MS);
        // A message that has begun stays besides.
        assert!(waiting <= most + frame_bytes, "{audio:?}: {waiting} of {most} bytes");
        drop(far);
    }
}

const CHUNKS: AudioFormat = AudioFormat::l16le(8_000);
/// Bytes of 20 ms.
const FRAME: usize = 320;
const CHUNK: usize = 3_200;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A line to a carrier that wants messages of ten frames.
struct Chunked {
    ctx: Context,
    line: LineLeg,
    far: TcpStream,
    began: MonoTime,
}

impl Chunked {
    fn new() -> Self {
        let (events, _told) = mpsc::channel(16);
        let metrics = Arc::new(WorkerMetrics::default());
        let mut ctx = Context::new(metrics, events, Care::default()).unwrap();
        let format = StreamFormat { audio: CHUNKS, ptime_ms: 20 };
        let (digits, dtmf_inband) = (DigitsBy::Nothing, false);
        let mut line = LineLeg::new(LinePlan { format, buffer_ms: 200, digits, dtmf_inband });
        let (socket, far) = connected(false);
        far.set_nonblocking(true).unwrap();
        let stream = Box::new(Bare { least_bytes: CHUNK });
        line.connect(&ctx, LineLink { socket, stream, call: None }, 1).unwrap();
        line.start(CHUNKS, CHUNKS);
        let began = ctx.now + ms(1_000);
        ctx.now = began;
        Self { ctx, line, far, began }
    }

    fn at(&mut self, after: u64) {
        self.ctx.now = self.began + ms(after);
        self.line.send_due(&mut self.ctx);
    }

    /// A frame of this byte leaves.
    fn frame(&mut self, byte: u8) {
        self.ctx.packet[..FRAME].fill(byte);
        let heard_at = self.line.ahead.give(self.ctx.now, ms(20), true);
        self.line.send_audio(&mut self.ctx, FRAME, heard_at);
    }

    /// The messages that came (RFC 6455 5.2), which fit into the socket's buffer.
    fn came(&mut self) -> Vec<Vec<u8>> {
        let mut bytes = vec![0; 64 * 1024];
        let Ok(count) = self.far.read(&mut bytes) else { return Vec::new() };
        let (mut rest, mut came) = (&bytes[..count], Vec::new());
        while let [_, length, behind @ ..] = rest {
            let (length, behind) = match *length {
                126 => (usize::from(behind[0]) << 8 | usize::from(behind[1]), &behind[2..]),
                length => (usize::from(length), behind),
            };
            came.push(behind[..length].to_vec());
            rest = &behind[length..];
        }
        came
    }
}

/// Frames leave ten at a time and in their order, those that are ready ahead of time at once; of
/// what is said as it is heard a message leaves with its last frame, and none later than was
/// thought.
#[test]
fn frames_leave_together() {
    let mut rig = Chunked::new();
    for byte in 1..=25 {
        assert!(byte % 10 == 1 || rig.line.room_at(false) == MonoTime::ZERO);
        rig.frame(byte);
    }
    let whole = |first: u8| (first..first + 10).flat_map(|byte| [byte; FRAME]).collect::<Vec<_>>();
    assert_eq!(rig.came(), [whole(1), whole(11)]);
    let mut rig = Chunked::new();
    assert_eq!(rig.line.lead(), ms(180));
    for round in 0..20 {
        for frame in 0..10 {
            rig.at(round * 200 + frame * 20);
            assert!(rig.line.room_at(true) <= rig.ctx.now, "{round} {frame}");
            rig.frame(frame as u8 + 1);
            let came = rig.came();
            assert_eq!(came.len(), usize::from(frame == 9), "{round} {frame}");
        }
        // It is heard from now on.
        assert_eq!(rig.line.ahead.empty_at(), rig.ctx.now + ms(200));
    }
}

/// What nothing follows leaves with silence behind it before the carrier has nothing left, but not
/// while more may come, and is not heard before it has left.
#[test]
fn what_is_left_is_filled() {
    for ready in [0, 10] {
        let mut rig = Chunked::new();
        for byte in 1..=ready {
            rig.frame(byte);
        }
        assert_eq!(rig.came().len(), usize::from(ready > 0));
        for byte in 1..=3 {
            rig.frame(byte);
        }
        // At once it would be heard after 200 ms.
        let due = if ready > 0 { 160 } else { 120 };
        assert_eq!(rig.line.deadline(), rig.began + ms(due));
        rig.at(due - 1);
        assert!(rig.came().is_empty() && !rig.line.is_heard(rig.began + ms(60_000)));
        rig.at(due);
        let mut filled: Vec<u8> = (1..=3).flat_map(|byte| [byte; FRAME]).collect();
        filled.resize(CHUNK, 0);
        assert_eq!(rig.came(), [filled]);
        let ends = if ready > 0 { 400 } else { due + 200 };
        assert_eq!(rig.line.ahead.empty_at(), rig.began + ms(ends));
        assert!(rig.line.is_heard(rig.began + ms(ends)) && rig.line.chunk.is_empty());
    }
}

/// A mark is asked for behind the audio that it follows, and one for all that wait; who says no
/// more has nothing that waits.
#[test]
fn marks_follow_their_audio() {
    let mut rig = Chunked::new();
    rig.frame(1);
    assert_eq!(rig.line.mark(&mut rig.ctx, None), None);
    rig.frame(2);
    assert_eq!(rig.line.mark(&mut rig.ctx, None), None);
    assert!(rig.came().is_empty());
    rig.at(120);
    let came = rig.came();
    assert_eq!((came.len(), came[0].len(), &*came[1]), (2, CHUNK, &b"tp-1"[..]));
    rig.frame(3);
    rig.line.farewell(&mut rig.ctx);
    let came = rig.came();
    assert_eq!((came.len(), came[0].len(), &*came[1]), (2, CHUNK, &b"tp-2"[..]));
    assert!(rig.line.chunk.is_empty());
}

/// A clear drops what waits too, and tells all of it as unheard, however long it has waited.
#[test]
fn a_clear_drops_what_waits() {
    let mut rig = Chunked::new();
    (1..=13).for_each(|byte| rig.frame(byte));
    rig.at(50);
    assert_eq!(rig.line.clear(&mut rig.ctx), Some(ms(210)));
    let came = rig.came();
    assert_eq!((came.len(), &*came[1]), (2, &b"clear"[..]));
    rig.at(1_000);
    (1..=3).for_each(|byte| rig.frame(byte));
    rig.ctx.now += ms(100);
    assert_eq!(rig.line.clear(&mut rig.ctx), Some(ms(60)));
    rig.at(5_000);
    assert_eq!(rig.came(), [b"clear"]);
    // Nor is anything left of a socket that is gone.
    rig.frame(1);
    rig.line.disconnect(&mut rig.ctx, None);
    assert!(rig.line.chunk.is_empty());
}
