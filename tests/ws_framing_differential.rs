//! Our WebSocket frames against two independent implementations: what we write they read, what
//! they write we read, and of damaged streams nobody reads more than the strictest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use std::io::{Cursor, Read, Write};

use adapters::agent::MessageKind;
use futures_util::{SinkExt, StreamExt};
use proptest::prelude::*;
use talkpath::bridge::framing::{
    ControlFrame, FrameError, Input, MAX_HEADER_BYTES, Message, Opcode, Reader, Role, append_frame,
    seal, write_header_before,
};
use talkpath::bridge::mask::{MaskKeys, mask_in_place};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame, FrameHeader};
use tokio_tungstenite::tungstenite::{self, WebSocket};
use tokio_websockets::{ClientBuilder, Config, ServerBuilder};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

/// What one reader made of a stream: its messages, and whether it refused the rest.
#[derive(Debug, PartialEq)]
struct Outcome<E> {
    seen: Vec<Seen>,
    refused: Option<E>,
}

const fn other(role: Role) -> Role {
    match role {
        Role::Server => Role::Client,
        Role::Client => Role::Server,
    }
}

// ---- Readers

/// We read, in pieces of the given lengths.
fn we_read(role: Role, stream: &[u8], pieces: impl Iterator<Item = usize>) -> Outcome<FrameError> {
    let mut reader = Reader::with_limit(role, 1 << 20);
    let mut seen = Vec::new();
    let mut rest = stream.to_vec();
    let mut rest = rest.as_mut_slice();
    for len in pieces {
        let (piece, after) = rest.split_at_mut(len.min(rest.len()));
        let mut input = Input::new(piece);
        loop {
            match reader.next(&mut input) {
                Ok(Some(message)) => seen.push(match message {
                    Message::Data(MessageKind::Text, bytes) => {
                        Seen::Text(String::from_utf8(bytes.to_vec()).unwrap())
                    }
                    Message::Data(MessageKind::Binary, bytes) => Seen::Binary(bytes.to_vec()),
                    Message::Ping(bytes) => Seen::Ping(bytes.to_vec()),
                    Message::Pong(bytes) => Seen::Pong(bytes.to_vec()),
                    Message::Close { code, reason } => Seen::Close(code, reason.to_owned()),
                }),
                Ok(None) => break,
                Err(error) => return Outcome { seen, refused: Some(error) },
            }
        }
        if after.is_empty() {
            break;
        }
        rest = after;
    }
    Outcome { seen, refused: None }
}

/// Bytes to read, and a place for those written.
struct Memory {
    input: Cursor<Vec<u8>>,
    output: Vec<u8>,
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        Read::read(&mut self.input, buffer)
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Write::write(&mut self.output, bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn tungstenite_on(role: Role, input: Vec<u8>) -> WebSocket<Memory> {
    let memory = Memory { input: Cursor::new(input), output: Vec::new() };
    let role = match role {
        Role::Server => tungstenite::protocol::Role::Server,
        Role::Client => tungstenite::protocol::Role::Client,
    };
    WebSocket::from_raw_socket(memory, role, None)
}

fn tungstenite_reads(role: Role, stream: &[u8]) -> Outcome<String> {
    use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
    use tungstenite::{Error, Message};
    let mut socket = tungstenite_on(role, stream.to_vec());
    let mut seen = Vec::new();
    let refused = loop {
        match socket.read() {
            Ok(Message::Text(text)) => seen.push(Seen::Text(text.to_string())),
            Ok(Message::Binary(bytes)) => seen.push(Seen::Binary(bytes.to_vec())),
            Ok(Message::Ping(bytes)) => seen.push(Seen::Ping(bytes.to_vec())),
            Ok(Message::Pong(bytes)) => seen.push(Seen::Pong(bytes.to_vec())),
            Ok(Message::Close(frame)) => seen.push(match frame {
                None => Seen::Close(None, String::new()),
                Some(frame) => Seen::Close(Some(frame.code.into()), frame.reason.to_string()),
            }),
            Ok(Message::Frame(_)) => panic!("frames are not read"),
            // The end of the input.
            Err(Error::ConnectionClosed | Error::Protocol(ResetWithoutClosingHandshake)) => {
                break None;
            }
            Err(error) => break Some(error.to_string()),
        }
    };
    Outcome { seen, refused }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

fn tokio_websockets_reads(role: Role, stream: &[u8]) -> Outcome<String> {
    runtime().block_on(async {
        let (mut far, near) = tokio::io::duplex(4 << 20);
        far.write_all(stream).await.unwrap();
        far.shutdown().await.unwrap();
        let mut socket = match role {
            Role::Server => ServerBuilder::new().serve(near),
            Role::Client => ClientBuilder::new().take_over(near),
        };
        let mut seen = Vec::new();
        let mut refused = None;
        while let Some(message) = socket.next().await {
            match message {
                Err(tokio_websockets::Error::Io(_)) => break,
                Err(error) => {
                    refused = Some(error.to_string());
                    break;
                }
                Ok(message) => seen.push(from_tokio_websockets(&message)),
            }
        }
        Outcome { seen, refused }
    })
}

fn from_tokio_websockets(message: &tokio_websockets::Message) -> Seen {
    let bytes = message.as_payload().to_vec();
    if let Some((code, reason)) = message.as_close() {
        // This library makes a code where there was none.
        Seen::Close((!bytes.is_empty()).then_some(u16::from(code)), reason.to_owned())
    } else if let Some(text) = message.as_text() {
        Seen::Text(text.to_owned())
    } else if message.is_binary() {
        Seen::Binary(bytes)
    } else if message.is_ping() {
        Seen::Ping(bytes)
    } else {
        Seen::Pong(bytes)
    }
}

// ---- Writers

/// We write as `role`, each frame by another of our ways.
fn we_write(role: Role, messages: &[Seen]) -> Vec<u8> {
    let mut keys = MaskKeys::new([3; 32]);
    let mut out = Vec::new();
    for (i, message) in messages.iter().enumerate() {
        let mask = (role == Role::Client).then(|| keys.next_key());
        let (opcode, payload) = match message {
            Seen::Text(text) => (Opcode::Text, text.as_bytes()),
            Seen::Binary(bytes) => (Opcode::Binary, &bytes[..]),
            Seen::Ping(bytes) => {
                out.extend(ControlFrame::ping(bytes, mask).as_bytes());
                continue;
            }
            Seen::Pong(bytes) => {
                out.extend(ControlFrame::pong(bytes, mask).as_bytes());
                continue;
            }
            Seen::Close(code, reason) => {
                let code = code.unwrap_or(1005);
                out.extend(ControlFrame::close(code, reason, mask).as_bytes());
                continue;
            }
        };
        let mut buffer = [&[0; MAX_HEADER_BYTES], payload].concat();
        match i % 3 {
            0 => append_frame(&mut out, opcode, payload, mask),
            1 => out.extend(seal(&mut buffer, opcode, mask)),
            _ => {
                let (headroom, payload) = buffer.split_first_chunk_mut().unwrap();
                let header_len = write_header_before(headroom, payload.len(), opcode, mask);
                // In two pieces, as a sender of scattered buffers does.
                let cut = payload.len() / 3;
                mask_in_place(&mut payload[..cut], mask.unwrap_or_default(), 0);
                mask_in_place(&mut payload[cut..], mask.unwrap_or_default(), cut);
                out.extend(&buffer[MAX_HEADER_BYTES - header_len..]);
            }
        }
    }
    out
}

fn tungstenite_writes(role: Role, messages: &[Seen]) -> Vec<u8> {
    use tungstenite::Message;
    let mut socket = tungstenite_on(role, Vec::new());
    for message in messages {
        let sent = socket.send(match message.clone() {
            Seen::Text(text) => Message::text(text),
            Seen::Binary(bytes) => Message::binary(bytes),
            Seen::Ping(bytes) => Message::Ping(bytes.into()),
            Seen::Pong(bytes) => Message::Pong(bytes.into()),
            Seen::Close(code, reason) => Message::Close(
                code.map(|code| CloseFrame { code: code.into(), reason: reason.into() }),
            ),
        });
        sent.unwrap();
    }
    socket.get_ref().output.clone()
}

/// Messages in fragments of at most `fragment_bytes`.
fn tokio_websockets_writes(role: Role, messages: &[Seen], fragment_bytes: usize) -> Vec<u8> {
    use tokio_websockets::{CloseCode, Message};
    runtime().block_on(async {
        let (mut far, near) = tokio::io::duplex(4 << 20);
        let config = Config::default().frame_size(fragment_bytes);
        let mut socket = match role {
            Role::Server => ServerBuilder::new().config(config).serve(near),
            Role::Client => ClientBuilder::new().config(config).take_over(near),
        };
        for message in messages {
            let message = match message.clone() {
                Seen::Text(text) => Message::text(text),
                Seen::Binary(bytes) => Message::binary(bytes),
                Seen::Ping(bytes) => Message::ping(bytes),
                Seen::Pong(bytes) => Message::pong(bytes),
                Seen::Close(code, reason) => {
                    let code = code.map(|code| CloseCode::try_from(code).unwrap());
                    Message::close(code, &reason)
                }
            };
            socket.send(message).await.unwrap();
        }
        drop(socket);
        let mut out = Vec::new();
        far.read_to_end(&mut out).await.unwrap();
        out
    })
}

/// One frame as a peer of `role` sends it, by the pen of an independent writer.
fn raw_frame(role: Role, fin: bool, opcode: OpCode, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mask = (role == Role::Client).then_some(key);
    let header = FrameHeader { is_final: fin, opcode, mask, ..FrameHeader::default() };
    let mut out = Vec::new();
    // Masks the payload as well.
    Frame::from_payload(header, payload.to_vec().into()).format(&mut out).unwrap();
    out
}

// ---- What is written and read

fn payload() -> impl Strategy<Value = Vec<u8>> {
    // Around each change of the length's form, and around each step of masking.
    let len = prop_oneof![
        6 => 0usize..70,
        2 => 120usize..135,
        2 => 150usize..700,
        1 => 65_530usize..65_545,
    ];
    (len, any::<u8>()).prop_map(|(len, seed)| {
        (0..len).map(|i| seed.wrapping_mul(31).wrapping_add(i as u8)).collect()
    })
}

fn control() -> impl Strategy<Value = Seen> {
    let payload = proptest::collection::vec(any::<u8>(), 0..=125);
    prop_oneof![payload.clone().prop_map(Seen::Ping), payload.prop_map(Seen::Pong)]
}

fn message() -> impl Strategy<Value = Seen> {
    prop_oneof![
        3 => "\\PC{0,200}".prop_map(Seen::Text),
        3 => payload().prop_map(Seen::Binary),
        1 => control(),
    ]
}

fn close() -> impl Strategy<Value = Seen> {
    let codes = vec![1000u16, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 3000, 4400, 4999];
    prop_oneof![
        Just(Seen::Close(None, String::new())),
        (prop::sample::select(codes), "\\PC{0,30}")
            .prop_map(|(code, reason)| Seen::Close(Some(code), reason)),
    ]
}

fn conversation() -> impl Strategy<Value = Vec<Seen>> {
    (proptest::collection::vec(message(), 0..8), close()).prop_map(|(mut messages, close)| {
        messages.push(close);
        messages
    })
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Server), Just(Role::Client)]
}

/// Lengths of pieces, repeated for ever.
fn pieces() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(prop_oneof![1usize..8, 1usize..3000], 1..6)
}

/// The frames of a conversation whose data messages come in fragments with control frames between.
fn fragmented() -> impl Strategy<Value = (Role, Vec<u8>, Vec<Seen>)> {
    let data = prop_oneof![
        "\\PC{0,60}".prop_map(Seen::Text),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(Seen::Binary),
    ];
    let cuts = proptest::collection::vec((0usize..300, proptest::option::of(control())), 0..5);
    let messages = proptest::collection::vec((data, cuts), 1..4);
    (role(), messages, any::<[u8; 4]>()).prop_map(|(role, messages, key)| {
        let (mut stream, mut seen) = (Vec::new(), Vec::new());
        for (message, cuts) in messages {
            let (kind, bytes) = match &message {
                Seen::Text(text) => (Data::Text, text.as_bytes()),
                Seen::Binary(bytes) => (Data::Binary, &bytes[..]),
                _ => unreachable!(),
            };
            let (mut rest, mut opcode) = (bytes, OpCode::Data(kind));
            for (at, between) in cuts {
                let (fragment, after) = rest.split_at(at.min(rest.len()));
                stream.extend(raw_frame(role, false, opcode, fragment, key));
                (rest, opcode) = (after, OpCode::Data(Data::Continue));
                if let Some(control) = between {
                    let (opcode, payload) = match &control {
                        Seen::Ping(bytes) => (Control::Ping, bytes),
                        Seen::Pong(bytes) => (Control::Pong, bytes),
                        _ => unreachable!(),
                    };
                    stream.extend(raw_frame(role, true, OpCode::Control(opcode), payload, key));
                    seen.push(control);
                }
            }
            stream.extend(raw_frame(role, true, opcode, rest, key));
            seen.push(message);
        }
        (other(role), stream, seen)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Both libraries read what we write, as client and as server.
    #[test]
    fn they_read_what_we_write(role in role(), messages in conversation()) {
        let stream = we_write(role, &messages);
        let theirs = tungstenite_reads(other(role), &stream);
        prop_assert_eq!(theirs, Outcome { seen: messages.clone(), refused: None });
        let theirs = tokio_websockets_reads(other(role), &stream);
        prop_assert_eq!(theirs, Outcome { seen: messages, refused: None });
    }

    /// We read what both libraries write, masked and not, whole and in fragments, cut anyhow.
    #[test]
    fn we_read_what_they_write(
        role in role(),
        messages in conversation(),
        fragment_bytes in 4usize..2000,
        pieces in pieces(),
    ) {
        let wanted = Outcome { seen: messages.clone(), refused: None };
        for stream in [
            tungstenite_writes(role, &messages),
            tokio_websockets_writes(role, &messages, fragment_bytes),
        ] {
            let ours = we_read(other(role), &stream, pieces.iter().copied().cycle());
            prop_assert_eq!(&ours, &wanted);
        }
    }

    /// All three make the same of fragments of any size, empty ones too, with control frames
    /// between them; and we of the stream cut at every byte.
    #[test]
    fn fragments((role, stream, seen) in fragmented(), pieces in pieces()) {
        let ours = we_read(role, &stream, pieces.iter().copied().cycle());
        prop_assert_eq!(&ours, &Outcome { seen: seen.clone(), refused: None });
        for cut in 0..=stream.len() {
            let ours = we_read(role, &stream, [cut, usize::MAX].into_iter());
            prop_assert_eq!(&ours.seen, &seen, "cut at {}", cut);
        }
        prop_assert_eq!(&tungstenite_reads(role, &stream).seen, &seen);
        prop_assert_eq!(&tokio_websockets_reads(role, &stream).seen, &seen);
    }
}

/// A stream of a conversation with one byte changed, which ends in a close unless that was hit.
fn damaged() -> impl Strategy<Value = (Role, Vec<u8>)> {
    let small = prop_oneof![
        "\\PC{0,10}".prop_map(Seen::Text),
        proptest::collection::vec(any::<u8>(), 0..10).prop_map(Seen::Binary),
        proptest::collection::vec(any::<u8>(), 0..4).prop_map(Seen::Ping),
    ];
    let messages = proptest::collection::vec(small, 0..4);
    let change = (any::<prop::sample::Index>(), any::<u8>());
    (role(), messages, close(), change).prop_map(|(role, mut messages, close, (at, byte))| {
        messages.push(close);
        let mut stream = we_write(role, &messages);
        let at = at.index(stream.len());
        stream[at] = byte;
        (other(role), stream)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Of a damaged stream the libraries read what we read; where we refuse, the stricter of them
    /// refuses too, and where we do not, nor does it.
    #[test]
    fn nobody_reads_more_of_a_damaged_stream((role, stream) in damaged()) {
        let ours = we_read(role, &stream, std::iter::repeat(usize::MAX));
        let strict = tokio_websockets_reads(role, &stream);
        let lenient = tungstenite_reads(role, &stream);
        let closed = matches!(ours.seen.last(), Some(Seen::Close(..)));
        match ours.refused {
            Some(_) => {
                prop_assert!(strict.refused.is_some(), "{:?} {:?}", ours, strict);
                prop_assert_eq!(&ours.seen, &strict.seen);
                prop_assert!(lenient.seen.starts_with(&ours.seen), "{:?} {:?}", ours, lenient);
            }
            None => {
                prop_assert!(!closed || strict.refused.is_none(), "{:?} {:?}", ours, strict);
                prop_assert_eq!(&ours.seen, &strict.seen);
                // This one knows fewer close codes than the registry.
                let data = &ours.seen[..ours.seen.len() - usize::from(closed)];
                prop_assert!(lenient.seen.starts_with(data), "{:?} {:?}", ours, lenient);
            }
        }
    }
}

/// All faults that have a name of their own here are faults to the libraries as well, except those
/// where RFC 6455 is stricter than they are.
#[test]
fn faults_are_shared() {
    let client = |first: u8, payload: &[u8]| {
        let mut out = Vec::new();
        append_frame(&mut out, Opcode::Text, payload, Some([1, 2, 3, 4]));
        out[0] = first;
        out
    };
    let mut unmasked = Vec::new();
    append_frame(&mut unmasked, Opcode::Text, b"x", None);
    let cases = [
        (unmasked, FrameError::NotMasked),
        (client(0xc1, b"x"), FrameError::ReservedBits),
        (client(0x83, b"x"), FrameError::ReservedOpcode(3)),
        (client(0x8b, b"x"), FrameError::ReservedOpcode(11)),
        (client(0x89, &[0; 126]), FrameError::ControlTooLong),
        (client(0x09, b"x"), FrameError::ControlFragmented),
        (client(0x80, b"x"), FrameError::NothingToContinue),
        ([client(0x01, b"x"), client(0x81, b"x")].concat(), FrameError::Interrupted),
        (client(0x88, &[3]), FrameError::CloseForm),
        (client(0x88, &[3, 0xed]), FrameError::CloseCode(1005)),
        (client(0x88, b"\x03\xe8\xff"), FrameError::CloseReasonNotUtf8),
        (client(0x81, b"\xff"), FrameError::TextNotUtf8),
    ];
    for (stream, error) in cases {
        let ours = we_read(Role::Server, &stream, std::iter::repeat(1));
        assert_eq!(ours, Outcome { seen: Vec::new(), refused: Some(error) });
        let theirs = tokio_websockets_reads(Role::Server, &stream);
        assert!(theirs.refused.is_some(), "{error}: {theirs:?}");
        let theirs = tungstenite_reads(Role::Server, &stream);
        // This one answers a code that may not be on the wire by another.
        let lenient = matches!(error, FrameError::CloseCode(_));
        assert!(theirs.refused.is_some() || lenient, "{error}: {theirs:?}");
    }
}
