use adapters::agent::MessageKind;
use adapters::wire::WireError;
use media::time::MonoTime;
use proptest::prelude::*;

use super::*;
use crate::agent::session::link::{Delivery, LinkSession};
use crate::agent::wire::CloseCode;
use crate::bridge::framing::{Class, Input, Message, Reader, Role};
use crate::bridge::mask::MaskKeys;

/// A frame of `stream` with `length` bytes of audio.
fn frame(stream: u32, length: usize) -> Vec<u8> {
    let mut frame = vec![0x80, 0, 0, 1, 0, 0, 0, 2];
    frame.extend(stream.to_be_bytes());
    frame.extend((0..length).map(|at| (at + stream as usize) as u8));
    frame
}

fn message(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut message = Vec::new();
    frames.iter().for_each(|frame| assert!(append(&mut message, frame)));
    message
}

/// The example of the documentation, byte for byte.
#[test]
fn bytes_of_a_message() {
    let mut both = message(&[frame(7, 2), vec![], frame(0x0102_0304, 1)]);
    let bytes = [
        0, 14, 0x80, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 7, 7, 8, // two bytes of stream 7
        0, 0, // nothing
        0, 13, 0x80, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4, 4, // one of another
    ];
    assert_eq!(both, bytes);
    let frames: Vec<_> =
        Frames::new(&mut both).unwrap().map(|(stream, frame)| (stream, frame.to_vec())).collect();
    assert_eq!(frames, [(7, frame(7, 2)), (0x0102_0304, frame(0x0102_0304, 1))]);
    assert!(!append(&mut both, &[0; 65_536]));
    assert_eq!(both.len(), bytes.len());
    assert!(append(&mut both, &[0; 65_535]));
}

/// A message that is cut anywhere but between two frames yields nothing at all, and one with a
/// frame shorter than a header neither.
#[test]
fn every_truncation() {
    let whole = message(&[frame(7, 2), frame(8, 0), frame(9, 30)]);
    let ends = [0, 16, 30, whole.len()];
    for length in 0..=whole.len() {
        let mut cut = whole[..length].to_vec();
        let mut link = LinkSession::new(MonoTime::ZERO);
        for stream in 7..10 {
            assert_eq!(link.open(stream, ()), None);
        }
        let mut delivered = 0;
        let received =
            link.receive(MonoTime::ZERO, MessageKind::Binary, &mut cut, |(), _, _| delivered += 1);
        match ends.iter().position(|end| *end == length) {
            Some(frames) => assert_eq!((received, delivered), (Ok(frames), frames), "{length}"),
            None => {
                assert_eq!(Frames::new(&mut cut).err(), Some(FramesError::Cut), "{length}");
                let fault = received.unwrap_err();
                assert_eq!((fault.code, fault.close), ("bad_frame", Some(CloseCode::Nonsense)));
                assert_eq!(delivered, 0);
            }
        }
    }
    for length in 1..12 {
        let mut short = message(&[frame(7, 2), vec![0x80; length]]);
        assert_eq!(Frames::new(&mut short).err(), Some(FramesError::NoHeader));
    }
}

/// Whose a text is, whether it closes its stream, and what is none.
#[test]
fn envelopes() {
    let of = |text: &str| envelope(text.as_bytes());
    let open = |stream| Ok(Envelope { stream, close: None });
    assert_eq!(of(r#"{"event":"clear","stream":7}"#), open(7));
    assert_eq!(of(r#"{"stream":4294967295,"event":"x","code":4,"a":[{}]}"#), open(u32::MAX));
    let closes = |code| Ok(Envelope { stream: 7, close: Some(code) });
    assert_eq!(of(r#"{"event":"close","stream":7,"code":1000}"#), closes(Some(1000)));
    assert_eq!(of(r#"{"event":"close","stream":7}"#), closes(None));
    assert_eq!(of(r#"{"event":"close","stream":7,"code":70000}"#), closes(None));
    for text in [r#"{"event":"clear"}"#, r#"{"stream":"7"}"#, r#"{"stream":4294967296}"#] {
        assert!(matches!(of(text), Err(WireError::BadField { field: "stream", .. })), "{text}");
    }
    for text in ["", "7", "[]", "{", "{\"stream\":7", "\u{feff}{\"stream\":7}"] {
        assert!(matches!(of(text), Err(WireError::BadJson(_))), "{text}");
    }
    assert!(matches!(envelope(b"{\"stream\":7,\"a\":\"\xff\"}"), Err(WireError::BadJson(_))));
}

/// What is nobody's is ignored, what closes a stream is its last, nonsense is told and in the end
/// closes the link.
#[test]
fn streams_of_a_link() {
    let now = MonoTime::from_nanos(1);
    let mut link = LinkSession::new(now);
    assert_eq!((link.open(7, 'a'), link.open(8, 'b'), link.len()), (None, None, 2));
    let mut said = Vec::new();
    let mut say = |link: &mut LinkSession<char>, text: &str| {
        let mut text = text.as_bytes().to_vec();
        link.receive(now, MessageKind::Text, &mut text, |place, stream, what| {
            let closed = match what {
                Delivery::Close(code) => Some(code),
                Delivery::Text(_) | Delivery::Frame(_) => None,
            };
            said.push((place, stream, closed));
        })
    };
    for text in [
        r#"{"event":"clear","stream":9}"#,
        r#"{"event":"clear","stream":7}"#,
        r#"{"event":"close","stream":7,"code":1000}"#,
        r#"{"event":"clear","stream":7}"#,
        r#"{"event":"close","stream":7,"code":1000}"#,
        r#"{"event":"clear","stream":8}"#,
    ] {
        assert_eq!(say(&mut link, text), Ok(0), "{text}");
    }
    for _ in 0..15 {
        let fault = say(&mut link, r#"{"event":"clear"}"#).unwrap_err();
        assert_eq!((fault.code, fault.close), ("bad_field", None));
    }
    let fault = say(&mut link, r#"{"event":"clear"}"#).unwrap_err();
    assert_eq!(fault.close, Some(CloseCode::Nonsense));
    let fault = say(&mut link, "nonsense").unwrap_err();
    assert_eq!((fault.code, fault.close), ("bad_json", Some(CloseCode::NotJson)));
    assert_eq!(said, [('a', 7, None), ('a', 7, Some(Some(1000))), ('b', 8, None)]);
    assert_eq!((link.end(7), link.end(8), link.is_empty()), (None, Some('b'), true));
}

#[derive(Clone, Debug)]
enum Say {
    Frame(u32, usize),
    Text(usize),
}

fn says() -> impl Strategy<Value = Vec<Say>> {
    let lengths = prop_oneof![0..200_usize, 1_900..2_000_usize, 60_000..65_521_usize];
    let say = prop_oneof![
        8 => (0..4_u32, lengths).prop_map(|(stream, length)| Say::Frame(stream, length)),
        1 => (0..300_usize).prop_map(Say::Text),
    ];
    proptest::collection::vec(say, 0..40)
}

proptest! {
    /// Whatever streams say, in whatever order, masked or not: a reader of frames finds it in the
    /// same order, in messages of at most 64 KiB, with a new message only where it must be, and the
    /// segments are the messages.
    #[test]
    fn batches_are_what_was_said(says in says(), masked in any::<bool>()) {
        let mut masks = MaskKeys::new([7; 32]);
        let mut batch = Batch::new(masked);
        for _ in 0..2 {
            let mut expected = Vec::new();
            for say in &says {
                match say {
                    Say::Frame(stream, length) => {
                        let frame = frame(*stream, *length);
                        batch.frame(&mut masks, &frame);
                        expected.push(frame);
                    }
                    Say::Text(length) => {
                        let text = "x".repeat(*length);
                        batch.text(&mut masks, text.as_bytes());
                        expected.push(text.into_bytes());
                    }
                }
            }
            let (bytes, segments) = batch.finish(&mut masks);
            let mut bytes = bytes.to_vec();
            prop_assert_eq!(segments.iter().map(|it| it.len).sum::<usize>(), bytes.len());
            let segments = segments.to_vec();
            let role = if masked { Role::Server } else { Role::Client };
            let mut reader = Reader::with_limit(role, MESSAGE_MAX_BYTES);
            let (mut found, mut classes, mut messages) = (Vec::new(), Vec::new(), 0);
            let mut input = Input::new(&mut bytes);
            while let Some(message) = reader.next(&mut input).unwrap() {
                match message {
                    Message::Data(MessageKind::Text, text) => {
                        classes.push(Class::Control);
                        found.push(text.to_vec());
                    }
                    Message::Data(MessageKind::Binary, frames) => {
                        prop_assert!(frames.len() < 65_536);
                        classes.push(Class::Media);
                        messages += 1;
                        found.extend(Frames::new(frames).unwrap().map(|(_, frame)| frame.to_vec()));
                    }
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(segments.iter().map(|it| it.class).collect::<Vec<_>>(), classes);
            let frames = says.iter().filter(|say| matches!(say, Say::Frame(..))).count() as u64;
            prop_assert_eq!(batch.clear(), (messages, frames));
            prop_assert!(batch.is_empty());
        }
    }

    /// Of any operations and messages, a link delivers exactly what is of a stream that is open.
    #[test]
    fn a_link_delivers_to_open_streams(
        steps in proptest::collection::vec((0..4_u8, 0..5_u32, 0..5_u32), 0..60),
    ) {
        let now = MonoTime::ZERO;
        let mut link = LinkSession::new(now);
        let mut open = std::collections::BTreeMap::new();
        for (number, (what, one, two)) in steps.into_iter().enumerate() {
            match what {
                0 => prop_assert_eq!(link.open(one, number), open.insert(one, number)),
                1 => prop_assert_eq!(link.end(one), open.remove(&one)),
                2 => {
                    let mut both = message(&[frame(one, 3), frame(two, 4)]);
                    let mut got = Vec::new();
                    let received = link.receive(now, MessageKind::Binary, &mut both, |at, of, _| {
                        got.push((of, at));
                    });
                    prop_assert_eq!(received, Ok(2));
                    let expected: Vec<_> = [one, two]
                        .into_iter()
                        .filter_map(|of| open.get(&of).map(|at| (of, *at)))
                        .collect();
                    prop_assert_eq!(got, expected);
                }
                _ => {
                    let mut text = format!("{{\"event\":\"close\",\"stream\":{one}}}").into_bytes();
                    let mut got = None;
                    let received = link.receive(now, MessageKind::Text, &mut text, |at, _, what| {
                        assert_eq!(what, Delivery::Close(None));
                        got = Some(at);
                    });
                    prop_assert_eq!(received, Ok(0));
                    prop_assert_eq!(got, open.remove(&one));
                }
            }
            prop_assert_eq!(link.len(), open.len());
        }
    }

    /// The body of the fuzz target bears anything.
    #[test]
    fn anything_at_all(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        crate::agent::fuzz::agent_link(&data);
    }
}
