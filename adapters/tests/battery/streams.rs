//! Streams: audio goes through unchanged, and nothing a carrier sends makes one fail.

use adapters::agent::MessageKind;
use adapters::config::RawConfig;
use adapters::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};
use media::codec::AudioFormat;
use media::time::MonoTime;

use crate::support::entry::{Entry, FormatCase, StreamFixture, StreamMessage, entries};

/// Room of a slot, in bytes.
const ROOM_BYTES: usize = 4096;

fn open(entry: &Entry) -> Box<dyn Stream> {
    (entry.spec.stream.unwrap())(&StreamStart { config: entry.config(), call: None })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn raw(message: &StreamMessage) -> (MessageKind, Vec<u8>) {
    match (&message.text, &message.hex) {
        (Some(text), None) => (MessageKind::Text, text.clone().into_bytes()),
        (None, Some(hex)) => (MessageKind::Binary, bytes_of(hex)),
        _ => panic!("a message is text or hex"),
    }
}

fn replay(entry: &Entry, fixture: &StreamFixture, until: usize) -> Box<dyn Stream> {
    let mut stream = open(entry);
    for message in &fixture.messages[..until] {
        let (kind, mut bytes) = raw(message);
        let mut room = [0; ROOM_BYTES];
        stream.decode(MonoTime::ZERO, kind, &mut bytes, &mut FrameSlot::new(&mut room)).unwrap();
    }
    stream
}

fn each(run: impl Fn(&Entry, &str, &StreamFixture)) {
    for entry in entries() {
        let fixtures = entry.streams();
        assert_eq!(fixtures.is_empty(), entry.spec.stream.is_none(), "{}", entry.spec.name);
        for (name, fixture) in fixtures {
            run(&entry, &name, &fixture);
        }
    }
}

/// Each message of a call means what its fixture says, audio in the slot included, and the formats
/// are among those the spec names.
#[test]
fn messages_mean_what_they_say() {
    each(|entry, name, fixture| {
        assert!(!fixture.origin.is_empty());
        let mut stream = open(entry);
        let mut started = false;
        for (index, message) in fixture.messages.iter().enumerate() {
            let (kind, mut bytes) = raw(message);
            let mut room = [0; ROOM_BYTES];
            let mut slot = FrameSlot::new(&mut room);
            let event = stream.decode(MonoTime::ZERO, kind, &mut bytes, &mut slot).unwrap();
            assert_eq!(format!("{event:?}"), message.event, "{name} {index}");
            if let StreamEvent::Started { from_carrier, to_carrier, .. } = event {
                started = true;
                for format in [from_carrier, to_carrier] {
                    let mut formats = entry.spec.media.iter().flat_map(|plan| plan.formats);
                    assert!(formats.any(|known| known.audio == format), "{name} {format:?}");
                }
            }
            assert_eq!(hex(slot.filled()), message.audio, "{name} {index}");
        }
        assert!(started, "{name}: the stream never started");
    });
}

/// The formats that a message begins a stream with, and the stream.
fn begin(entry: &Entry, name: &str, case: &FormatCase) -> (Box<dyn Stream>, [AudioFormat; 2]) {
    let mut config = entry.config().expose().clone();
    config.extend(case.with.clone());
    let config = RawConfig::from_stored(config.into()).unwrap();
    let mut stream = (entry.spec.stream.unwrap())(&StreamStart { config, call: None });
    let mut text = case.text.clone().into_bytes();
    let mut room = [0; ROOM_BYTES];
    let mut slot = FrameSlot::new(&mut room);
    let event = stream.decode(MonoTime::ZERO, MessageKind::Text, &mut text, &mut slot).unwrap();
    assert_eq!(format!("{event:?}"), case.event, "{name}");
    let StreamEvent::Started { from_carrier, to_carrier, .. } = event else {
        panic!("{name}: the stream does not start");
    };
    (stream, [from_carrier, to_carrier])
}

/// Each format that the spec names is one that a stream can begin in, and a frame of it goes
/// through unchanged.
#[test]
fn every_format_is_spoken() {
    for entry in entries().iter().filter(|entry| entry.spec.stream.is_some()) {
        let mut spoken = Vec::new();
        for (name, fixture) in entry.formats() {
            assert!(!fixture.origin.is_empty(), "{name}");
            for case in &fixture.cases {
                let (mut stream, formats) = begin(entry, &name, case);
                spoken.extend(formats);
                let frame = entry.spec.media[0].formats[0].ptime_ms;
                let audio: Vec<u8> =
                    (0..formats[1].bytes(frame)).map(|at| (at * 31 % 253) as u8).collect();
                let back = through(stream.as_mut(), &audio, &fixture.echo);
                assert!(formats[0] != formats[1] || back == audio, "{name}: {formats:?}");
            }
        }
        let stories = entry.streams();
        let told = stories.iter().flat_map(|(_, story)| &story.messages).map(|m| &m.event);
        let told: String = told.map(String::as_str).collect();
        for format in entry.spec.media.iter().flat_map(|plan| plan.formats) {
            let known = spoken.contains(&format.audio)
                || told.contains(&format!("carrier: {:?}", format.audio));
            assert!(known, "{}: no stream begins in {:?}", entry.spec.name, format.audio);
        }
    }
}

/// Encodes audio and decodes it as if the carrier had sent it back.
fn through(stream: &mut dyn Stream, audio: &[u8], echo: &[(String, String)]) -> Vec<u8> {
    let mut out = Vec::new();
    let kind = stream.encode(audio, &mut out);
    if kind == MessageKind::Text {
        let mut text = String::from_utf8(out).unwrap();
        for (ours, theirs) in echo {
            text = text.replace(ours, theirs);
        }
        out = text.into_bytes();
    }
    let mut room = [0; ROOM_BYTES];
    let mut slot = FrameSlot::new(&mut room);
    let event = stream.decode(MonoTime::ZERO, kind, &mut out, &mut slot).unwrap();
    assert!(matches!(event, StreamEvent::Audio { .. }), "{}: {event:?}", audio.len());
    slot.filled().to_vec()
}

/// What we encode a carrier would send back as the same audio, at every length of whole samples.
#[test]
fn audio_goes_through_unchanged() {
    each(|entry, name, fixture| {
        let start = fixture.messages.iter().position(|m| m.event.starts_with("Started")).unwrap();
        let mut stream = replay(entry, fixture, start + 1);
        let format = entry.spec.media[0].formats[0];
        let frame = format.audio.bytes(format.ptime_ms);
        for len in
            (format.audio.codec.sample_bytes()..=frame).step_by(format.audio.codec.sample_bytes())
        {
            let audio: Vec<u8> = (0..len).map(|i| (i * 31 + len) as u8).collect();
            let back = through(stream.as_mut(), &audio, &fixture.echo);
            assert_eq!(back, audio, "{name} {len}");
        }
    });
}

/// A text that is cut off anywhere is an error; a binary message cut off anywhere is an error or
/// shorter audio; a slot without room is an error; nothing panics.
#[test]
fn truncation_is_an_error() {
    each(|entry, name, fixture| {
        for (index, message) in fixture.messages.iter().enumerate() {
            let (kind, bytes) = raw(message);
            for len in 0..bytes.len() {
                let mut stream = replay(entry, fixture, index);
                let mut cut = bytes[..len].to_vec();
                let mut room = [0; ROOM_BYTES];
                let mut slot = FrameSlot::new(&mut room);
                let result = stream.decode(MonoTime::ZERO, kind, &mut cut, &mut slot);
                assert!(result.is_err() || kind == MessageKind::Binary, "{name} {index} {len}");
            }
            if !message.audio.is_empty() {
                let mut stream = replay(entry, fixture, index);
                let mut small = vec![0; message.audio.len() / 2 - 1];
                let mut slot = FrameSlot::new(&mut small);
                let mut whole = bytes.clone();
                let result = stream.decode(MonoTime::ZERO, kind, &mut whole, &mut slot);
                assert!(result.is_err(), "{name} {index}: no room");
            }
        }
        for garbage in [&b""[..], b"\xff\xfe", b"null", b"[]", b"{}", b"{\"type\":7}"] {
            let mut stream = open(entry);
            let mut room = [0; ROOM_BYTES];
            let mut slot = FrameSlot::new(&mut room);
            let mut garbage = garbage.to_vec();
            let result = stream.decode(MonoTime::ZERO, MessageKind::Text, &mut garbage, &mut slot);
            assert!(!matches!(result, Ok(StreamEvent::Audio { .. })), "{name}");
        }
    });
}

/// A command is appended whole or not at all; text is JSON even if a name tries to break out.
#[test]
fn commands_are_whole() {
    each(|entry, name, fixture| {
        let start = fixture.messages.iter().position(|m| m.event.starts_with("Started")).unwrap();
        let mut stream = replay(entry, fixture, start + 1);
        let mark = "m\"}\n{\"x\":\"\\";
        for command in [
            StreamCommand::Clear,
            StreamCommand::Mark(mark),
            StreamCommand::Dtmf('#'),
            StreamCommand::Hangup,
        ] {
            let mut out = b"before".to_vec();
            let kind = stream.command(command, &mut out);
            let said = out.strip_prefix(b"before").unwrap();
            assert_eq!(kind.is_some(), !said.is_empty(), "{name} {command:?}");
            if kind == Some(MessageKind::Text) && said.starts_with(b"{") {
                serde_json::from_slice::<serde_json::Value>(said).unwrap();
            }
        }
    });
}
