//! An agent's WebSocket in full flow does not touch the heap: frames read, the dialect's messages
//! decoded, answered, framed and masked; nor do carriers' media messages.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "test")]

#[path = "../media/tests/support/counting.rs"]
mod counting;

use std::path::Path;

use adapters::agent::{
    AgentEvent, AgentFrame, AgentInput, CallState, Dialect, Direction, Framing, MessageKind,
    Outbox, StreamFormat, StreamInfo,
};
use adapters::config::RawConfig;
use adapters::spec::ProviderSpec;
use adapters::stream::{FrameSlot, Stream, StreamEvent, StreamStart};
use adapters::table::PROVIDERS;
use counting::allocations;
use media::codec::AudioFormat;
use media::time::MonoTime;
use serde_json::Value;
use talkpath::bridge::framing::{
    Class, ControlFrame, Input, MAX_HEADER_BYTES, Message, Opcode, OutQueue, Reader, Role,
    append_frame, seal,
};
use talkpath::bridge::mask::MaskKeys;

struct Last(Vec<u8>);

impl Outbox for Last {
    fn message(&mut self, _kind: MessageKind, bytes: &[u8]) {
        self.0 = bytes.to_vec();
    }
}

/// The open stream of an answered call, and its id.
fn open() -> (Box<dyn Dialect>, String) {
    let format = StreamFormat { audio: AudioFormat::PCMU, ptime_ms: 20 };
    let info = StreamInfo {
        call_id: "019337a1-5c3e-7d4b-9f00-0123456789ab".to_owned(),
        stream: 1,
        direction: Direction::Inbound,
        from: "+15557654321".to_owned(),
        to: "+15551234567".to_owned(),
        provider: "sip_trunk".to_owned(),
        trunk: None,
        state: CallState::Answered,
        to_agent: format,
        from_agent: format,
        framing: Framing::Raw,
        variables: Vec::new(),
        headers: Vec::new(),
        resumed: false,
        features: Vec::new(),
    };
    let mut dialect = (adapters::dialect::find("twilio").unwrap().open)(&info);
    let mut start = Last(Vec::new());
    dialect.event(&AgentEvent::Start(&info), &mut start);
    let start: Value = serde_json::from_slice(&start.0).unwrap();
    (dialect, start["streamSid"].as_str().unwrap().to_owned())
}

/// Thousands of media messages echoed by the dialect, with pings between, on both sides of a
/// connection, allocate nothing once the buffers have grown; the counter is shown to count.
#[test]
fn an_echo_allocates_nothing() {
    let (mut dialect, sid) = open();
    let payload = "f39/".repeat(53) + "fw==";
    let message = format!(
        r#"{{"event": "media", "streamSid": "{sid}", "media": {{"payload": "{payload}"}}}}"#
    );
    for role in [Role::Server, Role::Client] {
        let peers_mask = (role == Role::Server).then_some([9, 7, 5, 3]);
        let mut received = Vec::new();
        for _ in 0..3 {
            append_frame(&mut received, Opcode::Text, message.as_bytes(), peers_mask);
            received.extend_from_slice(ControlFrame::ping(b"there?", peers_mask).as_bytes());
        }
        let mut scratch = received.clone();
        let mut out = Vec::with_capacity(1024);
        let mut keys = MaskKeys::new([1; 32]);
        let mut reader = Reader::new(role);
        let mut queue = OutQueue::new(4096, 8192);
        let mut echoed = 0;
        let mut run = |rounds: u16| {
            for seq in 0..rounds {
                scratch.copy_from_slice(&received);
                let mut input = Input::new(&mut scratch);
                while let Some(message) = reader.next(&mut input).unwrap() {
                    let mask = (role == Role::Client).then(|| keys.next_key());
                    let (kind, bytes) = match message {
                        Message::Data(kind, bytes) => (kind, bytes),
                        Message::Ping(payload) => {
                            std::hint::black_box(ControlFrame::pong(payload, mask));
                            continue;
                        }
                        other => panic!("{other:?}"),
                    };
                    let AgentInput::Audio(payload) = dialect.read(kind, bytes).unwrap() else {
                        panic!("not audio");
                    };
                    assert_eq!(payload.len(), 160);
                    let ts = u32::from(seq) * 160;
                    out.clear();
                    out.resize(MAX_HEADER_BYTES, 0);
                    dialect.audio(&AgentFrame { seq, ts, marker: false, payload }, &mut out);
                    let frame = seal(&mut out, Opcode::Text, mask);
                    assert!(queue.keep(Class::Media, frame, frame.len()).is_ok());
                    echoed += 1;
                }
            }
        };
        run(1);
        let before = allocations();
        run(500);
        assert_eq!(allocations() - before, 0, "{role:?}");
        drop(std::hint::black_box(vec![0u8; 10]));
        assert_eq!(allocations() - before, 1);
        assert_eq!(echoed, 1503);
        assert_eq!((reader.buffered_bytes(), queue.len()), (0, 0));
    }
}

/// A provider's stream behind the messages of its fixture up to the first with audio; that message
/// and its audio. Nothing for a provider that has no stream.
fn flowing(spec: &ProviderSpec) -> Option<(Box<dyn Stream>, MessageKind, Vec<u8>, Vec<u8>)> {
    let mut stream = (spec.stream?)(&StreamStart { config: RawConfig::default(), call: None });
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("adapters/src").join(spec.name);
    let fixture = std::fs::read(folder.join("fixtures/stream_call.json")).unwrap();
    let fixture: Value = serde_json::from_slice(&fixture).unwrap();
    let byte = |hex: &[u8]| u8::from_str_radix(str::from_utf8(hex).unwrap(), 16).unwrap();
    for message in fixture["messages"].as_array().unwrap() {
        let (kind, bytes) = match (message["text"].as_str(), message["hex"].as_str()) {
            (Some(text), _) => (MessageKind::Text, text.as_bytes().to_vec()),
            (_, hex) => (MessageKind::Binary, hex?.as_bytes().chunks(2).map(byte).collect()),
        };
        let (mut work, mut room) = (bytes.clone(), [0; 4096]);
        let mut slot = FrameSlot::new(&mut room);
        let event = stream.decode(MonoTime::ZERO, kind, &mut work, &mut slot).unwrap();
        if matches!(event, StreamEvent::Audio { .. }) {
            let audio = slot.filled().to_vec();
            return Some((stream, kind, bytes, audio));
        }
    }
    panic!("{}: no audio in the fixture", spec.name);
}

/// Thousands of media messages of every carrier, read and written, allocate nothing once the
/// buffer has grown.
#[test]
fn carriers_frames_allocate_nothing() {
    let mut seen = 0;
    for spec in PROVIDERS {
        let Some((mut stream, kind, message, audio)) = flowing(spec) else { continue };
        let (mut work, mut room, mut out) = (message.clone(), [0; 4096], Vec::new());
        let mut run = |frames: u16| {
            for _ in 0..frames {
                work.copy_from_slice(&message);
                let mut slot = FrameSlot::new(&mut room);
                let event = stream.decode(MonoTime::ZERO, kind, &mut work, &mut slot).unwrap();
                assert!(matches!(event, StreamEvent::Audio { .. }), "{}", spec.name);
                assert_eq!(slot.filled(), audio, "{}", spec.name);
                out.clear();
                assert_eq!(stream.encode(slot.filled(), &mut out), kind, "{}", spec.name);
                assert!(out.len() >= audio.len(), "{}", spec.name);
            }
        };
        run(1);
        let before = allocations();
        run(2_000);
        assert_eq!(allocations() - before, 0, "{}", spec.name);
        seen += 1;
    }
    assert!(seen >= 5, "{seen}");
}
