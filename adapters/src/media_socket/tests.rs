use proptest::prelude::*;
use serde_json::Value;

use super::*;

const START: &str = "MEDIA_START connection_id:media_out channel:WebSocket/x/0x7f channel_id:em \
                     format:slin16 optimal_frame_size:640 ptime:20";

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn fresh() -> Box<dyn Stream> {
    open(Options { digits: true, format: None })
}

/// What a message means, with the bytes of audio that came out of it.
fn decode(
    stream: &mut dyn Stream,
    kind: MessageKind,
    message: &[u8],
) -> (Result<String, WireError>, Vec<u8>) {
    let (mut message, mut room) = (message.to_vec(), [0; 40_000]);
    let mut slot = FrameSlot::new(&mut room);
    let event = stream.decode(MonoTime::ZERO, kind, &mut message, &mut slot);
    (event.map(|event| format!("{event:?}")), slot.filled().to_vec())
}

fn text(stream: &mut dyn Stream, message: &str) -> Result<String, WireError> {
    decode(stream, MessageKind::Text, message.as_bytes()).0
}

fn started(json: bool) -> Box<dyn Stream> {
    let mut stream = fresh();
    let start = match json {
        false => START.to_owned(),
        true => r#"{"event":"MEDIA_START","channel_id":"em","format":"slin16"}"#.to_owned(),
    };
    text(&mut *stream, &start).unwrap();
    stream
}

/// What is expected of a captured text, by the words of the vectors.
fn meant(expect: &Value) -> String {
    let word = |name: &str| expect[name].as_str().unwrap_or_default().to_owned();
    match word("kind").as_str() {
        "media_start" if expect["passthrough"] == true => "UnknownCodec".to_owned(),
        "media_start" => {
            let audio = match expect["format"].as_str() {
                Some(name) => format(name).unwrap(),
                None => AudioFormat::PCMU,
            };
            format!("from_carrier: {audio:?}, to_carrier: {audio:?}")
        }
        "flow" => format!("Flow({})", expect["send"]),
        "mark" if expect["id"].is_null() => "Nothing".to_owned(),
        "mark" => format!("Mark({:?})", word("id")),
        "dtmf" => format!("Dtmf {{ digit: '{}'", word("digit")),
        "ignored" if expect["count_as"] == "malformed" => "BadJson".to_owned(),
        "queue_status" => "Queued(".to_owned(),
        "bulk_done" | "drained" | "error" | "ignored" => "Nothing".to_owned(),
        other => panic!("{other}"),
    }
}

/// Every text that was captured from an Asterisk, in both forms.
#[test]
fn captured_texts() {
    let (vectors, mut read) = (vectors(), 0);
    for vector in vectors["events_in"].as_array().unwrap() {
        for form in ["plain_text", "json_text"] {
            let Some(message) = vector[form].as_str() else { continue };
            let expect = &vector["expect"];
            let expect = if expect.get(form).is_some() { &expect[form] } else { expect };
            let found = text(&mut *fresh(), message);
            let found = found.unwrap_or_else(|error| format!("{error:?}"));
            assert!(found.contains(&meant(expect)), "{message}: {found}");
            read += 1;
        }
    }
    assert!(read > 20, "{read}");
    for (name, bytes) in vectors["frame_bytes"].as_object().unwrap() {
        let bytes = bytes.as_u64().unwrap() as usize;
        match format(name) {
            Some(format) => assert_eq!(format.bytes(PTIME_MS), bytes, "{name}"),
            None => assert_eq!(name, "opus"),
        }
    }
}

/// Every command that we have a use for is said as it was seen to work.
#[test]
fn commands_as_seen() {
    let vectors = vectors();
    let command = |id: &str, form: &str| {
        let all = vectors["commands_out"].as_array().unwrap();
        let found = all.iter().find(|vector| vector["id"] == id).unwrap();
        found[form].as_str().unwrap().to_owned()
    };
    for (json, form) in [(false, "plain_text"), (true, "json_text")] {
        let mut stream = started(json);
        for (id, said) in [
            ("flush", StreamCommand::Clear),
            ("mark", StreamCommand::Mark("m1")),
            ("hangup", StreamCommand::Hangup),
        ] {
            let mut out = Vec::new();
            assert_eq!(stream.command(said, &mut out), Some(MessageKind::Text));
            assert_eq!(String::from_utf8(out).unwrap(), command(id, form));
        }
        let mut out = Vec::new();
        assert_eq!(stream.answer(&mut out), Some(MessageKind::Text));
        assert_eq!(String::from_utf8(out).unwrap(), command("answer", form));
        assert_eq!(stream.command(StreamCommand::Dtmf('1'), &mut Vec::new()), None);
    }
}

/// What would be dropped there is not sent, and versions that know no marks are asked for none.
#[test]
fn commands_that_would_be_lost() {
    for json in [false, true] {
        let (mut stream, mut out) = (started(json), Vec::new());
        for name in ["z".repeat(128), "a\nb".to_owned()] {
            let said = stream.command(StreamCommand::Mark(&name), &mut out);
            assert!(said.is_none() && out.is_empty(), "{name}");
        }
    }
    let mut old = fresh();
    text(&mut *old, "MEDIA_START connection_id:x channel:y optimal_frame_size:640").unwrap();
    let mut out = Vec::new();
    assert_eq!(old.command(StreamCommand::Mark("m"), &mut out), None);
    assert_eq!(old.command(StreamCommand::Clear, &mut out), Some(MessageKind::Text));
}

/// A start without a format means the one that we asked for, if its frames are so long.
#[test]
fn formats_that_are_not_named() {
    for (size, asked, meant) in [
        (160, None, AudioFormat::PCMU),
        (160, Some(AudioFormat::PCMA), AudioFormat::PCMA),
        (160, Some(AudioFormat::l16le(8_000)), AudioFormat::PCMU),
        (320, None, AudioFormat::l16le(8_000)),
        (1_920, None, AudioFormat::l16le(48_000)),
    ] {
        let mut stream = open(Options { digits: true, format: asked });
        let start = format!("MEDIA_START connection_id:x optimal_frame_size:{size}");
        let found = text(&mut *stream, &start).unwrap();
        assert!(found.contains(&format!("to_carrier: {meant:?}")), "{found}");
    }
    for size in ["0", "161", "x"] {
        let start = format!("MEDIA_START connection_id:x optimal_frame_size:{size}");
        assert!(text(&mut *fresh(), &start).is_err(), "{size}");
    }
}

/// Audio is taken and given as it is; what comes before the start waits for what comes behind it.
#[test]
fn audio_passes() {
    let mut stream = fresh();
    let (event, audio) = decode(&mut *stream, MessageKind::Binary, &[1, 2]);
    assert!(event.unwrap() == "Nothing" && audio.is_empty());
    text(&mut *stream, START).unwrap();
    let (event, audio) = decode(&mut *stream, MessageKind::Binary, &[3, 4]);
    assert!(event.unwrap().starts_with("Audio") && audio == [1, 2, 3, 4]);
    assert_eq!(decode(&mut *stream, MessageKind::Binary, &[5, 6]).1, [5, 6]);
    let mut out = Vec::new();
    assert_eq!(stream.encode(&[7, 8], &mut out), MessageKind::Binary);
    assert_eq!(out, [7, 8]);
    assert!(!stream.manners().pings && stream.manners().measure.is_none());
}

/// Digits are told once: not where they come another way, nor what is no key.
#[test]
fn digits() {
    let mut quiet = open(Options { digits: false, format: None });
    assert_eq!(text(&mut *quiet, "DTMF_END digit:9 channel_id:x").unwrap(), "Nothing");
    for wrong in ["DTMF_END", "DTMF_END digit:", "DTMF_END digit:12", "DTMF_END digit:x"] {
        assert!(text(&mut *fresh(), wrong).is_err(), "{wrong}");
    }
    assert!(text(&mut *fresh(), "DTMF_END digit:#").unwrap().contains("'#'"));
}

/// What names nothing is an error, and no cut of a text is misread.
#[test]
fn mistakes() {
    for wrong in ["", " ", "media_start", "{", "{}", "[]", "\u{fc}", r#"{"event":7}"#] {
        assert!(text(&mut *fresh(), wrong).is_err(), "{wrong}");
    }
    for end in 0..START.len() {
        if let Ok(event) = text(&mut *fresh(), &START[..end]) {
            assert!(event == "Nothing" || event.starts_with("Started"), "{event}");
        }
    }
}

proptest! {
    /// Any text means something or nothing, and says no more audio than there is.
    #[test]
    fn any_text(message in prop::collection::vec(any::<u8>(), 0..200), binary: bool) {
        let mut stream = started(binary);
        let kind = if binary { MessageKind::Binary } else { MessageKind::Text };
        let (_, audio) = decode(&mut *stream, kind, &message);
        prop_assert!(audio.len() <= message.len());
    }
}

/// How much waits there is asked for in the form that the far end speaks, and told in milliseconds.
#[test]
fn the_queue_is_asked_for() {
    for (start, asks, says) in [
        (
            r#"{"event":"MEDIA_START","connection_id":"m","channel_id":"c","format":"ulaw"}"#,
            r#"{"command":"GET_STATUS"}"#,
            r#"{"event":"STATUS","channel_id":"c","queue_length":101,"queue_full":false}"#,
        ),
        (
            "MEDIA_START connection_id:m channel_id:c format:ulaw optimal_frame_size:160",
            "GET_STATUS",
            "STATUS channel_id:c queue_length:101 xon_level:800",
        ),
    ] {
        let mut stream = fresh();
        text(&mut *stream, start).unwrap();
        let mut out = Vec::new();
        assert_eq!(stream.ask_queue(&mut out), Some(MessageKind::Text));
        assert_eq!(out, asks.as_bytes());
        assert_eq!(text(&mut *stream, says).unwrap(), "Queued(2020)");
        assert_eq!(text(&mut *stream, "STATUS channel_id:c").unwrap(), "Nothing");
    }
}
