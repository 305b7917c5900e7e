use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// What a message means, with the bytes of audio that came out of it.
fn decode(stream: &mut dyn Stream, message: &[u8]) -> (Result<String, WireError>, Vec<u8>) {
    let (mut message, mut room) = (message.to_vec(), [0; 70_000]);
    let mut slot = FrameSlot::new(&mut room);
    let event = stream.decode(MonoTime::ZERO, MessageKind::Binary, &mut message, &mut slot);
    (event.map(|event| format!("{event:?}")), slot.filled().to_vec())
}

fn begun() -> Box<dyn Stream> {
    let mut stream = open(Options { digits: true, rate_hz: None });
    let (event, _) = decode(&mut *stream, &first_message([7; 16]));
    assert!(event.unwrap().starts_with("Started"));
    stream
}

/// Messages that were captured from an Asterisk: each means what it should.
#[test]
fn captured_messages() {
    let vectors = vectors();
    let messages = vectors["messages"].as_array().unwrap();
    assert!(messages.len() >= 8);
    for vector in messages {
        let (message, expect) = (bytes(vector["hex"].as_str().unwrap()), &vector["expect"]);
        assert_eq!(measure(&message), Some(message.len()), "{vector}");
        let mut stream = match expect["kind"].as_str().unwrap() {
            "uuid" => open(Options { digits: true, rate_hz: None }),
            _ => begun(),
        };
        let (event, mut audio) = decode(&mut *stream, &message);
        if event.as_ref().is_ok_and(|event| event.starts_with("Started"))
            && expect["kind"] == "audio"
        {
            // The rate is told first; what came with it comes with the next.
            audio = decode(&mut *stream, &message).1;
            audio.truncate(audio.len() / 2);
        }
        match expect["kind"].as_str().unwrap() {
            "uuid" => {
                let text = expect["uuid"].as_str().unwrap().replace('-', "");
                assert_eq!(uuid(&message).unwrap().to_vec(), bytes(&text));
                assert!(event.unwrap().starts_with("Started"));
            }
            "dtmf" => assert!(
                event.unwrap().contains(&format!("'{}'", expect["digit"].as_str().unwrap()))
            ),
            "audio" => {
                let samples = expect["samples"].as_array().unwrap().iter();
                let samples = samples.map(|sample| sample.as_i64().unwrap() as i16);
                assert_eq!(audio, samples.flat_map(i16::to_le_bytes).collect::<Vec<_>>());
            }
            "hangup" => {
                assert_eq!(event.unwrap(), "Stopped(Some(Normal))");
                assert_eq!(message, HANGUP);
            }
            "error" if expect["code"] == 1 => assert_eq!(event.unwrap(), "Stopped(Some(Normal))"),
            "error" => assert!(event.is_err()),
            "ignored" => assert_eq!(event.unwrap(), "Nothing"),
            other => panic!("{other}"),
        }
    }
    for (kind, rate_hz) in vectors["kinds"].as_object().unwrap() {
        let kind = usize::from_str_radix(&kind[2..], 16).unwrap();
        assert_eq!(u64::from(RATES_HZ[kind - 0x10]), rate_hz.as_u64().unwrap());
    }
}

/// Each rate is told before its first audio, none of which is lost; what we send is of a rate that
/// we have and that is no higher.
#[test]
fn rates() {
    for (at, (rate_hz, sent_hz)) in (0..).zip([
        (8_000, 8_000),
        (12_000, 8_000),
        (16_000, 16_000),
        (24_000, 24_000),
        (32_000, 24_000),
        (44_100, 24_000),
        (48_000, 48_000),
        (96_000, 48_000),
        (192_000, 48_000),
    ]) {
        let mut stream = begun();
        let first = [0x10 + at, 0, 4, 1, 2, 3, 4];
        let second = [0x10 + at, 0, 2, 5, 6];
        if at > 0 {
            let (event, audio) = decode(&mut *stream, &first);
            let event = event.unwrap();
            let formats = format!(
                "from_carrier: {:?}, to_carrier: {:?}",
                AudioFormat::l16le(rate_hz),
                AudioFormat::l16le(sent_hz)
            );
            assert!(event.contains(&formats) && audio.is_empty(), "{event}");
        } else {
            assert_eq!(decode(&mut *stream, &first).1, [1, 2, 3, 4]);
        }
        let expected: &[u8] = if at > 0 { &[1, 2, 3, 4, 5, 6] } else { &[5, 6] };
        assert_eq!(decode(&mut *stream, &second).1, expected);
        assert_eq!(decode(&mut *stream, &second).1, [5, 6]);
        let mut out = Vec::new();
        stream.encode(&[9; 6], &mut out);
        let kind = RATES_HZ.iter().position(|rate| *rate == sent_hz).unwrap() as u8;
        assert_eq!(out, [0x10 + kind, 0, 6, 9, 9, 9, 9, 9, 9]);
    }
}

/// What would end the call at the far end is not said, but for the end itself.
#[test]
fn what_is_said() {
    let (mut stream, mut out) = (begun(), Vec::new());
    stream.encode(&[], &mut out);
    stream.encode(&vec![0; 70_000], &mut out);
    for command in [StreamCommand::Clear, StreamCommand::Mark("m"), StreamCommand::Dtmf('1')] {
        assert_eq!(stream.command(command, &mut out), None);
    }
    assert_eq!(stream.answer(&mut out), None);
    assert!(out.is_empty());
    assert_eq!(stream.command(StreamCommand::Hangup, &mut out), Some(MessageKind::Binary));
    assert_eq!(out, HANGUP);
    assert!(stream.manners().steady && !stream.manners().pings);
}

/// What is out of order, short, odd or no key is an error; where digits come another way they are
/// not told.
#[test]
fn mistakes() {
    let mut fresh = open(Options { digits: true, rate_hz: None });
    assert!(decode(&mut *fresh, &[0x10, 0, 2, 0, 0]).0.is_err(), "audio before the UUID");
    let mut stream = begun();
    for wrong in [
        &first_message([7; 16])[..],
        &[0x10, 0, 0],
        &[0x10, 0, 3, 1, 2, 3],
        &[0x03, 0, 0],
        &[0x03, 0, 1, b'x'],
        &[0x03, 0, 2, b'1', b'2'],
        &[0x10, 0, 2, 0],
        &[0x10, 0, 2, 0, 0, 0],
        &[0x10],
        &[],
    ] {
        assert!(decode(&mut *stream, wrong).0.is_err(), "{wrong:?}");
    }
    assert_eq!(decode(&mut *stream, &[0xff, 0, 1, 2]).0.unwrap(), "Stopped(Some(Failed))");
    assert!(decode(&mut *stream, &[0x03, 0, 1, b'a']).0.unwrap().contains("'A'"));
    let mut quiet = open(Options { digits: false, rate_hz: None });
    decode(&mut *quiet, &first_message([7; 16])).0.unwrap();
    assert_eq!(decode(&mut *quiet, &[0x03, 0, 1, b'5']).0.unwrap(), "Nothing");
    assert_eq!(uuid(&first_message([3; 16])), Some([3; 16]));
    for end in 0..FIRST_BYTES {
        assert_eq!(uuid(&first_message([3; 16])[..end]), None);
    }
}

proptest! {
    /// What is encoded decodes to the same, and any bytes mean something or nothing.
    #[test]
    fn there_and_back(
        audio in prop::collection::vec(any::<u8>(), 1..2_000),
        noise in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let audio = &audio[..audio.len() / 2 * 2];
        let mut out = Vec::new();
        let mut stream = begun();
        stream.encode(audio, &mut out);
        if !audio.is_empty() {
            prop_assert_eq!(measure(&out), Some(out.len()));
            prop_assert_eq!(decode(&mut *stream, &out).1, audio);
        }
        let _ = decode(&mut *stream, &noise);
    }
}
