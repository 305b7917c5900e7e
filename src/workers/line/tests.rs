use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use adapters::agent::MessageKind;
use adapters::stream::{FrameSlot, StreamEvent};
use adapters::wire::WireError;
use socket2::{Domain, Socket, Type};
use tokio::sync::mpsc;

use super::*;
use crate::agent::socket::{AgentSocket, Role};
use crate::telemetry::WorkerMetrics;
use crate::workers::Care;

/// Audio as it is.
struct Bare;

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

    fn command(&mut self, _: StreamCommand<'_>, _: &mut Vec<u8>) -> Option<MessageKind> {
        None
    }
}

/// A connection whose far end takes little, and nothing is read there.
fn stuck() -> (AgentSocket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    far.set_recv_buffer_size(4_096).unwrap();
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
        let (socket, far) = stuck();
        let link = LineLink { socket, stream: Box::new(Bare), call: None };
        line.connect(ctx, link, 1).unwrap();
        line.start(audio, audio);
        let frame_bytes = audio.bytes(ptime_ms);
        for _ in 0..20_000 {
            line.send_audio(ctx, frame_bytes);
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
