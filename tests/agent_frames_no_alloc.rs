//! An agent's WebSocket in full flow does not touch the heap: frames read, the dialect's messages
//! decoded, answered, framed and masked.
#![allow(unsafe_code, clippy::unwrap_used, clippy::panic, missing_docs, reason = "test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use adapters::agent::{
    AgentEvent, AgentFrame, AgentInput, CallState, Dialect, Direction, Framing, MessageKind,
    Outbox, StreamFormat, StreamInfo,
};
use media::codec::AudioFormat;
use talkpath::bridge::framing::{
    Class, ControlFrame, Input, MAX_HEADER_BYTES, Message, Opcode, OutQueue, Reader, Role,
    append_frame, seal,
};
use talkpath::bridge::mask::MaskKeys;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from `System` with this layout.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

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
    let start: serde_json::Value = serde_json::from_slice(&start.0).unwrap();
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
        let before = ALLOCATIONS.get();
        run(500);
        assert_eq!(ALLOCATIONS.get() - before, 0, "{role:?}");
        drop(std::hint::black_box(vec![0u8; 10]));
        assert_eq!(ALLOCATIONS.get() - before, 1);
        assert_eq!(echoed, 1503);
        assert_eq!((reader.buffered_bytes(), queue.len()), (0, 0));
    }
}
