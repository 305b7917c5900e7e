//! Reading frames: vectors, every fault, every cut, memory.

use adapters::agent::MessageKind;
use proptest::prelude::*;

use super::super::{
    ControlFrame, FrameError, Input, MESSAGE_LIMIT_BYTES, Message, Opcode, Reader, Role,
    append_frame, is_close_code, ws_frames,
};
use super::KEEP_BYTES;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const TEXT: MessageKind = MessageKind::Text;
const BINARY: MessageKind = MessageKind::Binary;

/// What was read, in words that can be kept.
fn name(message: &Message<'_>) -> String {
    match message {
        Message::Data(TEXT, bytes) => format!("text {}", String::from_utf8_lossy(bytes)),
        Message::Data(BINARY, bytes) => format!("binary {bytes:?}"),
        Message::Ping(bytes) => format!("ping {bytes:?}"),
        Message::Pong(bytes) => format!("pong {bytes:?}"),
        Message::Close { code, reason } => format!("close {code:?} {reason}"),
    }
}

/// Reads `pieces` one after the other; the error, if any, comes last.
fn read(reader: &mut Reader, pieces: &[&[u8]]) -> (Vec<String>, Option<FrameError>) {
    let mut seen = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut input = Input::new(&mut piece);
        loop {
            match reader.next(&mut input) {
                Ok(Some(message)) => seen.push(name(&message)),
                Ok(None) => break,
                Err(error) => return (seen, Some(error)),
            }
        }
    }
    (seen, None)
}

/// A frame with any first byte.
fn frame(first: u8, payload: &[u8], role: Role) -> Vec<u8> {
    let mut out = Vec::new();
    append_frame(&mut out, Opcode::Text, payload, (role == Role::Server).then_some(KEY));
    out[0] = first;
    out
}

/// The examples of RFC 6455 5.7.
#[test]
fn rfc_examples() {
    let hello = ["text Hello".to_owned()];
    let mut client = Reader::new(Role::Client);
    let unmasked = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    assert_eq!(read(&mut client, &[&unmasked]).0, hello);
    let fragments = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
    assert_eq!(read(&mut client, &[&fragments]).0, hello);
    let ping = [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    assert_eq!(read(&mut client, &[&ping]).0, ["ping [72, 101, 108, 108, 111]"]);
    let mut server = Reader::new(Role::Server);
    let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(read(&mut server, &[&masked]).0, hello);
    let pong = [0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(read(&mut server, &[&pong]).0, ["pong [72, 101, 108, 108, 111]"]);
    for (len, form) in
        [(256, &[0x82, 0x7e, 0x01, 0x00][..]), (65536, &[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0])]
    {
        let mut bytes = form.to_vec();
        bytes.resize(form.len() + len, 7);
        let mut input = Input::new(&mut bytes);
        let message = client.next(&mut input).unwrap().unwrap();
        assert_eq!(message, Message::Data(BINARY, &mut vec![7; len]));
    }
}

/// A stream with everything in it: fragments with control frames between, empty messages, each
/// length form, and a close.
fn everything(role: Role) -> (Vec<u8>, Vec<String>) {
    let mask = (role == Role::Server).then_some(KEY);
    let mut stream = frame(0x81, b"hi", role);
    stream.extend(frame(0x01, "grü".as_bytes(), role));
    stream.extend(ControlFrame::ping(b"a", mask).as_bytes());
    // A character cut in two by the fragments.
    stream.extend(frame(0x00, &"ß".as_bytes()[..1], role));
    stream.extend(frame(0x00, b"", role));
    stream.extend(ControlFrame::pong(b"", mask).as_bytes());
    stream.extend(frame(0x80, &"ß".as_bytes()[1..], role));
    stream.extend(frame(0x82, b"", role));
    stream.extend(frame(0x82, &[5; 130], role));
    stream.extend(frame(0x02, &[1], role));
    stream.extend(frame(0x80, b"", role));
    stream.extend(ControlFrame::close(4400, "no", mask).as_bytes());
    let seen = [
        "text hi".to_owned(),
        "ping [97]".to_owned(),
        "pong []".to_owned(),
        "text grüß".to_owned(),
        "binary []".to_owned(),
        format!("binary {:?}", [5; 130]),
        "binary [1]".to_owned(),
        "close Some(4400) no".to_owned(),
    ];
    (stream, seen.to_vec())
}

/// Wherever a stream is cut, once or twice, the same is read of it.
#[test]
fn every_split() {
    for role in [Role::Server, Role::Client] {
        let (stream, wanted) = everything(role);
        for first in 0..=stream.len() {
            let (a, rest) = stream.split_at(first);
            assert_eq!(read(&mut Reader::new(role), &[a, rest]), (wanted.clone(), None));
            for second in (0..=rest.len()).step_by(3) {
                let (b, c) = rest.split_at(second);
                let got = read(&mut Reader::new(role), &[a, b, c]);
                assert_eq!(got, (wanted.clone(), None), "{first} {second}");
            }
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(read(&mut Reader::new(role), &bytes), (wanted, None));
    }
}

/// Every fault is found, named, wherever the stream is cut, closed with its code, and final.
#[test]
fn every_fault() {
    use FrameError as E;
    let server = Role::Server;
    let too_big = E::TooBig { limit_bytes: 1000 };
    let long = |first: u8, form: &[u8]| [&[first][..], form].concat();
    let joined = |frames: &[Vec<u8>]| frames.concat();
    let cases: Vec<(Vec<u8>, E, u16)> = vec![
        (frame(0xc1, b"x", server), E::ReservedBits, 1002),
        (frame(0xa1, b"x", server), E::ReservedBits, 1002),
        (frame(0x91, b"x", server), E::ReservedBits, 1002),
        (frame(0x83, b"x", server), E::ReservedOpcode(3), 1002),
        (frame(0x87, b"x", server), E::ReservedOpcode(7), 1002),
        (frame(0x8b, b"x", server), E::ReservedOpcode(11), 1002),
        (frame(0x8f, b"x", server), E::ReservedOpcode(15), 1002),
        (frame(0x81, b"x", Role::Client), E::NotMasked, 1002),
        (frame(0x89, &[0; 126], server), E::ControlTooLong, 1002),
        (frame(0x88, &[0; 126], server), E::ControlTooLong, 1002),
        (frame(0x8a, &[0; 70_000], server), E::ControlTooLong, 1002),
        (frame(0x09, b"x", server), E::ControlFragmented, 1002),
        (frame(0x08, b"", server), E::ControlFragmented, 1002),
        (long(0x81, &[0xfe, 0, 125]), E::LengthForm, 1002),
        (long(0x81, &[0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff]), E::LengthForm, 1002),
        (long(0x81, &[0xff, 0x80, 0, 0, 0, 0, 1, 0, 0]), E::LengthForm, 1002),
        (long(0x81, &[0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), too_big, 1009),
        (frame(0x80, b"x", server), E::NothingToContinue, 1002),
        (frame(0x00, b"x", server), E::NothingToContinue, 1002),
        (joined(&[frame(0x01, b"x", server), frame(0x81, b"x", server)]), E::Interrupted, 1002),
        (joined(&[frame(0x02, b"x", server), frame(0x01, b"x", server)]), E::Interrupted, 1002),
        (frame(0x88, &[3], server), E::CloseForm, 1002),
        (frame(0x88, &[0x03, 0xed], server), E::CloseCode(1005), 1002),
        (frame(0x88, b"\x03\xe8\xff", server), E::CloseReasonNotUtf8, 1007),
        (frame(0x81, &[0xc3], server), E::TextNotUtf8, 1007),
        (joined(&[frame(0x01, &[0xc3], server), frame(0x80, b"x", server)]), E::TextNotUtf8, 1007),
        (frame(0x82, &[0; 1001], server), too_big, 1009),
        (joined(&[frame(0x02, &[0; 600], server), frame(0x80, &[0; 401], server)]), too_big, 1009),
    ];
    for (bytes, error, code) in cases {
        assert_eq!(error.close_code(), code);
        for cut in (0..=bytes.len()).step_by(1 + bytes.len() / 300) {
            let mut reader = Reader::with_limit(server, 1000);
            let (a, b) = bytes.split_at(cut);
            let got = read(&mut reader, &[a, b]);
            assert_eq!(got, (Vec::new(), Some(error)), "{:?} cut at {cut}", &bytes[..2]);
            let more = read(&mut reader, &[&frame(0x81, b"more", server)]);
            assert_eq!(more, (Vec::new(), None), "nothing is read after {error}");
        }
    }
    let masked = frame(0x81, b"x", server);
    let got = read(&mut Reader::new(Role::Client), &[&masked]);
    assert_eq!(got, (Vec::new(), Some(E::Masked)));
}

/// Close codes: those that RFC 6455 7.4 and the registry allow on the wire, no others.
#[test]
fn close_codes() {
    for code in 0..=u16::MAX {
        let allowed = match code {
            1000..=1003 | 1007..=1011 => true, // RFC 6455 7.4.1
            1012..=1014 => true,               // registered later
            3000..=4999 => true,               // libraries, applications
            _ => false,
        };
        assert_eq!(is_close_code(code), allowed, "{code}");
        let bytes = frame(0x88, &code.to_be_bytes(), Role::Client);
        let got = read(&mut Reader::new(Role::Client), &[&bytes]);
        if allowed {
            assert_eq!(got, (vec![format!("close Some({code}) ")], None));
        } else {
            assert_eq!(got, (Vec::new(), Some(FrameError::CloseCode(code))));
        }
    }
    let got = read(&mut Reader::new(Role::Client), &[&[0x88, 0]]);
    assert_eq!(got, (vec!["close None ".to_owned()], None));
}

/// What a peer says about a frame is refused before its payload arrives.
#[test]
fn faults_show_before_the_payload() {
    let header = [0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 1];
    let got = read(&mut Reader::new(Role::Server), &[&header]);
    assert_eq!(got.1, Some(FrameError::TooBig { limit_bytes: MESSAGE_LIMIT_BYTES }));
    let got = read(&mut Reader::new(Role::Server), &[&[0x83, 0x81]]);
    assert_eq!(got.1, Some(FrameError::ReservedOpcode(3)));
}

/// Fragments of text are refused at the first byte that no continuation could mend.
#[test]
fn text_is_checked_as_it_comes() {
    let mut reader = Reader::new(Role::Client);
    let cut = [frame(0x01, b"a\xe2\x82", Role::Client), frame(0x00, b"\xac", Role::Client)];
    assert_eq!(read(&mut reader, &[&cut.concat()]), (Vec::new(), None));
    let bad = frame(0x00, b"b\xff", Role::Client);
    assert_eq!(read(&mut reader, &[&bad]), (Vec::new(), Some(FrameError::TextNotUtf8)));
    let mut reader = Reader::new(Role::Client);
    let unfinished = [cut[0].clone(), frame(0x80, b"", Role::Client)].concat();
    assert_eq!(read(&mut reader, &[&unfinished]).1, Some(FrameError::TextNotUtf8));
}

/// A message of exactly the limit passes, whole or in fragments.
#[test]
fn the_limit_itself_passes() {
    let mut reader = Reader::with_limit(Role::Client, 1000);
    let whole = frame(0x82, &[1; 1000], Role::Client);
    let parts = [frame(0x02, &[1; 400], Role::Client), frame(0x80, &[1; 600], Role::Client)];
    for bytes in [whole, parts.concat()] {
        let (seen, error) = read(&mut reader, &[&bytes]);
        assert_eq!((seen.len(), error), (1, None));
    }
}

/// Whole frames are delivered where they lie, and the reader owns no memory for them; the audio may
/// be written to.
#[test]
fn whole_frames_stay_where_they_are() {
    let mut reader = Reader::new(Role::Server);
    let mut bytes =
        [frame(0x81, b"first", Role::Server), frame(0x82, &[9; 500], Role::Server)].concat();
    let range = bytes.as_ptr_range();
    let mut input = Input::new(&mut bytes);
    let mut count = 0;
    while let Some(message) = reader.next(&mut input).unwrap() {
        let Message::Data(_, payload) = message else { panic!() };
        assert!(range.contains(&payload.as_ptr()));
        payload.fill(0);
        count += 1;
    }
    assert_eq!((count, reader.buffered_bytes()), (2, 0));
}

/// Memory follows what has arrived, not what a header claims, and a long message's is given back.
#[test]
fn memory_follows_what_arrives() {
    let mut reader = Reader::new(Role::Server);
    let long = frame(0x82, &vec![1; 60_000], Role::Server);
    let (seen, _) = read(&mut reader, &[&long[..100]]);
    assert!(seen.is_empty() && reader.buffered_bytes() < 512, "{}", reader.buffered_bytes());
    let (seen, _) = read(&mut reader, &[&long[100..]]);
    assert_eq!((seen.len(), reader.buffered_bytes()), (1, 0));
    let parts = [frame(0x02, &vec![1; 30_000], Role::Server), frame(0x80, &[2], Role::Server)];
    assert_eq!(read(&mut reader, &[&parts.concat()]).0.len(), 1);
    assert_eq!(reader.buffered_bytes(), 0);
    // A short one's may stay, for the next cut.
    let short = frame(0x82, &[1; 200], Role::Server);
    assert_eq!(read(&mut reader, &[&short[..50], &short[50..]]).0.len(), 1);
    assert!(reader.buffered_bytes() <= KEEP_BYTES);
    // A broken connection keeps none.
    read(&mut reader, &[&short[..50]]);
    assert!(reader.buffered_bytes() > 0);
    read(&mut reader, &[&[1; 300]]);
    read(&mut reader, &[&[0xff; 2]]);
    assert_eq!(reader.buffered_bytes(), 0);
}

/// Frames of any kind, mostly legal, in streams that may be damaged.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x81u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a, 0x88]),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..6),
        "\\PC{0,40}".prop_map(String::into_bytes),
        (100usize..700).prop_map(|len| vec![b'x'; len]),
        (1000u16..1020).prop_map(|code| code.to_be_bytes().to_vec()),
    ];
    let frames = proptest::collection::vec((first, payload), 0..8);
    (any::<u8>(), frames).prop_map(|(head, frames)| {
        let role = if head & 1 == 0 { Role::Server } else { Role::Client };
        let mut stream = vec![head];
        for (first, payload) in frames {
            stream.extend(frame(first, &payload, role));
        }
        stream
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// The fuzzers' body, over streams that mean something and over bytes that do not.
    #[test]
    fn cuts_change_nothing(
        mut stream in stream(),
        at in any::<usize>(),
        byte in any::<u8>(),
        noise in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        ws_frames(&stream);
        let at = at % stream.len();
        stream[at] = byte;
        ws_frames(&stream);
        ws_frames(&noise);
    }
}
