use adapters::agent::{
    AgentCommand, Basis, CallState, Configure, Direction, DtmfSource, EndedBy, FormatWish,
    MarkStatus, RecordOrder, UtteranceReport,
};
use std::time::Duration;

use media::silence::{Notice, Reason, Way};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const STREAM: u32 = 7;

fn info() -> StreamInfo {
    let format = StreamFormat { audio: AudioFormat::PCMU, ptime_ms: 20 };
    StreamInfo {
        call_id: "0192".to_owned(),
        stream: STREAM,
        direction: Direction::Inbound,
        from: "+15550001234".to_owned(),
        to: "sip:echo@example.org".to_owned(),
        provider: "sip_trunk".to_owned(),
        trunk: Some("office".to_owned()),
        state: CallState::Ringing,
        to_agent: format,
        from_agent: format,
        framing: Framing::Rtp,
        variables: vec![("customer".to_owned(), "a \"b\"".to_owned())],
        headers: vec![("X-Id".to_owned(), "5".to_owned())],
        resumed: false,
        features: vec!["dtmf", "mute"],
    }
}

#[derive(Default)]
struct Sent(Vec<(MessageKind, Vec<u8>)>);

impl Outbox for Sent {
    fn message(&mut self, kind: MessageKind, bytes: &[u8]) {
        self.0.push((kind, bytes.to_vec()));
    }
}

fn written(event: &AgentEvent<'_>) -> String {
    let mut sent = Sent::default();
    NativeDialect::new(&info()).event(event, &mut sent);
    let [(MessageKind::Text, text)] = &sent.0[..] else { panic!("one text message") };
    String::from_utf8(text.clone()).unwrap()
}

fn read(text: &str) -> Result<Option<AgentCommand>, WireError> {
    read::command(text.as_bytes(), STREAM)
}

fn utterances() -> [UtteranceReport; 1] {
    [UtteranceReport { id: "u1".to_owned(), samples: 160, complete: true }]
}

/// Every event a server can send, as it is written.
#[expect(clippy::too_many_lines, reason = "a table")]
fn server_events<'a>(
    info: &'a StreamInfo,
    utterances: &'a [UtteranceReport],
) -> Vec<(AgentEvent<'a>, &'static str)> {
    vec![
        (
            AgentEvent::Start(info),
            r#"{"event":"start","stream":7,"version":1,"call_id":"0192","direction":"inbound","from":"+15550001234","to":"sip:echo@example.org","provider":"sip_trunk","trunk":"office","state":"ringing","in":{"codec":"PCMU","rate_hz":8000,"ptime_ms":20,"pt":0},"out":{"codec":"PCMU","rate_hz":8000,"ptime_ms":20,"pt":0},"framing":"rtp","variables":{"customer":"a \"b\""},"headers":{"X-Id":"5"},"resumed":false,"features":["dtmf","mute"]}"#,
        ),
        (
            AgentEvent::Configured { info, wants: &["quality"] },
            r#"{"event":"configured","stream":7,"in":{"codec":"PCMU","rate_hz":8000,"ptime_ms":20,"pt":0},"out":{"codec":"PCMU","rate_hz":8000,"ptime_ms":20,"pt":0},"framing":"rtp","wants":["quality"]}"#,
        ),
        (AgentEvent::State(CallState::Ringing), r#"{"event":"ringing","stream":7}"#),
        (AgentEvent::State(CallState::Early), r#"{"event":"early","stream":7}"#),
        (AgentEvent::State(CallState::Answered), r#"{"event":"answered","stream":7}"#),
        (
            AgentEvent::Mark {
                name: "m\n1",
                status: MarkStatus::Played,
                samples: u64::MAX,
                played_ms: 60,
                basis: Basis::Wire,
            },
            r#"{"event":"mark","stream":7,"name":"m\n1","status":"played","samples":18446744073709551615,"played_ms":60,"basis":"wire"}"#,
        ),
        (
            AgentEvent::Mark {
                name: "m",
                status: MarkStatus::Cleared,
                samples: 0,
                played_ms: 0,
                basis: Basis::Carrier,
            },
            r#"{"event":"mark","stream":7,"name":"m","status":"cleared","samples":0,"played_ms":0,"basis":"carrier"}"#,
        ),
        (
            AgentEvent::Cleared {
                dropped_ms: 480,
                samples: 160,
                basis: Basis::Estimate,
                utterances,
            },
            r#"{"event":"cleared","stream":7,"dropped_ms":480,"samples":160,"basis":"estimate","utterances":[{"id":"u1","samples":160,"complete":true}]}"#,
        ),
        (
            AgentEvent::Dtmf { digit: '#', duration_ms: 100, source: DtmfSource::Rtp },
            r##"{"event":"dtmf","stream":7,"digit":"#","duration_ms":100,"source":"rtp"}"##,
        ),
        (
            AgentEvent::Transfer { state: "failed", cause: Some("busy") },
            r#"{"event":"transfer","stream":7,"state":"failed","cause":"busy"}"#,
        ),
        (
            AgentEvent::Transfer { state: "done", cause: None },
            r#"{"event":"transfer","stream":7,"state":"done","cause":null}"#,
        ),
        (
            AgentEvent::Speech { started: true, at_ms: 1200 },
            r#"{"event":"speech","stream":7,"state":"started","at_ms":1200}"#,
        ),
        (
            AgentEvent::Speech { started: false, at_ms: 2000 },
            r#"{"event":"speech","stream":7,"state":"stopped","at_ms":2000}"#,
        ),
        (
            AgentEvent::Record { state: "paused" },
            r#"{"event":"record","stream":7,"state":"paused"}"#,
        ),
        (
            AgentEvent::Expiring { left_ms: 30_000 },
            r#"{"event":"expiring","stream":7,"left_ms":30000}"#,
        ),
        (AgentEvent::Underrun { ms: 40 }, r#"{"event":"underrun","stream":7,"ms":40}"#),
        (
            AgentEvent::Silence(Notice {
                way: Way::In,
                reason: Reason::PayloadType,
                silent: true,
                lasted: Duration::from_millis(1_500),
            }),
            concat!(
                r#"{"event":"silence","stream":7,"state":"started","direction":"in","#,
                r#""reason":"payload_type","since_ms":1500}"#
            ),
        ),
        (
            AgentEvent::Quality {
                loss: 0.01,
                jitter_ms: 1.5,
                buffer_ms: 80,
                mos: 4.4,
                round_trip_ms: None,
            },
            r#"{"event":"quality","stream":7,"loss":0.01,"jitter_ms":1.5,"buffer_ms":80,"mos":4.4,"round_trip_ms":null}"#,
        ),
        (
            AgentEvent::Error { code: "bad_json", message: "no", fatal: true },
            r#"{"event":"error","stream":7,"code":"bad_json","message":"no","fatal":true}"#,
        ),
        (
            AgentEvent::Stop { cause: "normal", by: EndedBy::Caller, duration_ms: 61_000 },
            r#"{"event":"stop","stream":7,"cause":"normal","by":"caller","duration_ms":61000}"#,
        ),
    ]
}

/// What is written is so byte for byte: names, order and numbers.
#[test]
fn events_are_written_as_they_always_were() {
    for (event, expected) in server_events(&info(), &utterances()) {
        assert_eq!(written(&event), expected);
    }
}

/// The reference for readers tells the truth: every example of what the server sends has just the
/// fields that are sent, every example of what an agent sends is understood, and no event, close
/// code or codec is missing.
#[test]
fn the_reference_tells_the_truth() {
    let reference = include_str!("../../../docs/protocol.md");
    let (info, utterances) = (info(), utterances());
    let events = server_events(&info, &utterances);
    let fields = |text: &str| {
        let object: serde_json::Map<String, Value> = serde_json::from_str(text).unwrap();
        let event = object["event"].as_str().unwrap().to_owned();
        (event, object.keys().cloned().collect::<Vec<_>>())
    };
    let (of_server, of_agent) = reference.split_once("## What the agent sends").unwrap();
    let examples = |part: &'static str| part.lines().filter(|line| line.starts_with("{\""));
    let mut shown: Vec<String> = Vec::new();
    for example in examples(of_server) {
        let (event, keys) = fields(example);
        let same = events.iter().find(|(_, text)| fields(text).0 == event);
        assert_eq!(fields(same.unwrap().1).1, keys, "{example}");
        shown.push(event);
    }
    for (_, text) in &events {
        let (event, _) = fields(text);
        let told = shown.contains(&event) || of_server.contains(&format!("`{event}`"));
        assert!(told, "{event} is not told");
    }
    let mut shown: Vec<String> = Vec::new();
    for example in examples(of_agent) {
        assert!(matches!(read(example), Ok(Some(_))), "{example}");
        shown.push(fields(example).0);
    }
    for (text, _) in agent_messages() {
        let (event, _) = fields(text);
        assert!(shown.contains(&event) || of_agent.contains(&format!("`{event}`")), "{event}");
    }
    for code in CloseCode::ALL {
        assert!(reference.contains(&format!("\n| {} |", code.code())), "{code:?}");
    }
    for entry in codecs::CODECS {
        assert!(reference.contains(&format!("\n| `{}` |", entry.name)), "{}", entry.name);
    }
}

/// The words for all the other states, sources and parties.
#[test]
fn words_are_those_of_the_reference() {
    for (source, word) in [
        (DtmfSource::Rtp, "rtp"),
        (DtmfSource::Info, "info"),
        (DtmfSource::Inband, "inband"),
        (DtmfSource::Carrier, "carrier"),
    ] {
        let text = written(&AgentEvent::Dtmf { digit: '1', duration_ms: 1, source });
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["source"], word);
    }
    for (by, word) in [
        (EndedBy::Caller, "caller"),
        (EndedBy::Agent, "agent"),
        (EndedBy::Network, "network"),
        (EndedBy::Carrier, "carrier"),
        (EndedBy::Server, "server"),
    ] {
        let text = written(&AgentEvent::Stop { cause: "x", by, duration_ms: 1 });
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["by"], word);
    }
    let outbound = StreamInfo {
        direction: Direction::Outbound,
        state: CallState::Answered,
        framing: Framing::Raw,
        from_agent: StreamFormat { audio: AudioFormat::l16le(24_000), ptime_ms: 20 },
        trunk: None,
        resumed: true,
        stream: 9,
        ..info()
    };
    let start: Value = serde_json::from_str(&written(&AgentEvent::Start(&outbound))).unwrap();
    assert_eq!(start["direction"], "outbound");
    assert_eq!(start["state"], "answered");
    assert_eq!(start["framing"], "raw");
    let out = json!({"codec": "l16le", "rate_hz": 24000, "ptime_ms": 20, "pt": 96});
    assert_eq!(start["out"], out);
    assert_eq!((&start["trunk"], &start["resumed"]), (&Value::Null, &Value::Bool(true)));
    assert_eq!(start["stream"], 9);
}

#[expect(clippy::too_many_lines, reason = "a table")]
/// Every message an agent can send, with all its fields and with none of those it may leave out.
fn agent_messages() -> Vec<(&'static str, AgentCommand)> {
    let wish = |codec: &str, rate_hz, ptime_ms| {
        Some(FormatWish { codec: codec.to_owned(), rate_hz, ptime_ms })
    };
    vec![
        (
            r#"{"event":"configure","stream":7,"in":{"codec":"l16le","rate_hz":16000,"ptime_ms":20},"out":{"codec":"PCMA"},"framing":"raw","wants":["speech","quality","underrun"]}"#,
            AgentCommand::Configure(Configure {
                to_agent: wish("l16le", Some(16_000), Some(20)),
                from_agent: wish("PCMA", None, None),
                framing: Some(Framing::Raw),
                wants: ["speech", "quality", "underrun"].map(str::to_owned).to_vec(),
            }),
        ),
        (
            r#"{"event":"configure","stream":7,"framing":"rtp"}"#,
            AgentCommand::Configure(Configure {
                framing: Some(Framing::Rtp),
                ..Configure::default()
            }),
        ),
        (r#"{"event":"configure"}"#, AgentCommand::Configure(Configure::default())),
        (r#"{"event":"answer","stream":7}"#, AgentCommand::Answer { headers: vec![] }),
        (
            r#"{"event":"answer","headers":{"X-A":"b","X-N":7}}"#,
            AgentCommand::Answer {
                headers: vec![
                    ("X-A".to_owned(), "b".to_owned()),
                    ("X-N".to_owned(), "7".to_owned()),
                ],
            },
        ),
        (
            r#"{"event":"reject","stream":7,"cause":"busy"}"#,
            AgentCommand::Reject { cause: Some("busy".to_owned()) },
        ),
        (r#"{"event":"reject","stream":7}"#, AgentCommand::Reject { cause: None }),
        (r#"{"event":"clear","stream":7}"#, AgentCommand::Clear),
        (
            r#"{"event":"utterance","stream":7,"id":"u1"}"#,
            AgentCommand::Utterance { id: "u1".to_owned() },
        ),
        (
            r#"{"event":"mark","stream":7,"name":"a\u00e4\n"}"#,
            AgentCommand::Mark { name: "aä\n".to_owned() },
        ),
        (
            r#"{"event":"dtmf","stream":7,"digits":"12#","duration_ms":80,"gap_ms":50.0}"#,
            AgentCommand::Dtmf {
                digits: "12#".to_owned(),
                duration_ms: Some(80),
                gap_ms: Some(50),
            },
        ),
        (
            r#"{"event":"dtmf","stream":7,"digits":"1","gap_ms":null}"#,
            AgentCommand::Dtmf { digits: "1".to_owned(), duration_ms: None, gap_ms: None },
        ),
        (
            r#"{"event":"transfer","stream":7,"kind":"blind","destination":"sip:a@example.org","options":{"timeout_s":30,"note":"x"},"headers":{"X-A":"b"}}"#,
            AgentCommand::Transfer {
                kind: "blind".to_owned(),
                destination: "sip:a@example.org".to_owned(),
                options: vec![
                    ("timeout_s".to_owned(), "30".to_owned()),
                    ("note".to_owned(), "x".to_owned()),
                ],
                headers: vec![("X-A".to_owned(), "b".to_owned())],
            },
        ),
        (
            r#"{"event":"transfer","stream":7,"kind":"blind","destination":"+15550001234"}"#,
            AgentCommand::Transfer {
                kind: "blind".to_owned(),
                destination: "+15550001234".to_owned(),
                options: Vec::new(),
                headers: Vec::new(),
            },
        ),
        (
            r#"{"event":"hangup","stream":7,"after":"now","cause":"done"}"#,
            AgentCommand::Hangup { now: true, cause: Some("done".to_owned()) },
        ),
        (
            r#"{"event":"hangup","stream":7,"after":"playout"}"#,
            AgentCommand::Hangup { now: false, cause: None },
        ),
        (r#"{"event":"hangup","stream":7}"#, AgentCommand::Hangup { now: false, cause: None }),
        (r#"{"event":"mute","stream":7}"#, AgentCommand::Mute),
        (r#"{"event":"unmute","stream":7}"#, AgentCommand::Unmute),
        (r#"{"event":"hold","stream":7}"#, AgentCommand::Hold),
        (r#"{"event":"resume","stream":7}"#, AgentCommand::Resume),
        (r#"{"event":"record","stream":7}"#, AgentCommand::Record(RecordOrder::Start)),
        (
            r#"{"event":"record","stream":7,"state":"pause"}"#,
            AgentCommand::Record(RecordOrder::Pause),
        ),
        (
            r#"{"event":"update","stream":7,"fields":{"rank":3,"status":"SALE"}}"#,
            AgentCommand::Update {
                fields: vec![
                    ("rank".to_owned(), "3".to_owned()),
                    ("status".to_owned(), "SALE".to_owned()),
                ],
            },
        ),
    ]
}

/// Every message means what the reference says, in any order of its fields, with fields and white
/// space of a newer agent between them, and with or without the stream.
#[test]
fn commands_are_read_as_the_reference_shows_them() {
    for (text, expected) in agent_messages() {
        assert_eq!(read(text), Ok(Some(expected.clone())), "{text}");
        let spaced = text.replacen('{', " \t\r\n{ \"x-new\" : [{\"event\":1}, null] , ", 1) + " \n";
        assert_eq!(read(&spaced), Ok(Some(expected.clone())), "{spaced}");
        // Only the order within `options` carries over; a sorted tree would change it.
        if !text.contains("options") {
            let sorted = serde_json::from_str::<Value>(text).unwrap().to_string();
            assert_eq!(read(&sorted), Ok(Some(expected)), "{sorted}");
        }
    }
}

/// No message means anything when it is cut short at any length.
#[test]
fn a_message_cut_short_is_bad_json() {
    for (text, _) in agent_messages() {
        for length in 0..text.len() {
            let cut = read::command(&text.as_bytes()[..length], STREAM);
            assert!(matches!(cut, Err(WireError::BadJson(_))), "{length} of {text}: {cut:?}");
        }
    }
}

/// Events that this version does not know, also the server's own, mean nothing and harm nothing.
#[test]
fn unknown_events_are_ignored() {
    for event in ["start", "stop", "Configure", "", "x"] {
        let text = format!(r#"{{"event":"{event}","stream":7,"name":5}}"#);
        assert_eq!(read(&text), Ok(None));
    }
}

/// Text that is no JSON object has its own error, because it closes the socket.
#[test]
fn what_is_not_an_object_is_bad_json() {
    for text in
        ["", " ", "null", "[]", "5", "\"clear\"", "{", "{\"event\":\"clear\"}}", "{}{}", "['a']"]
    {
        assert!(matches!(read(text), Err(WireError::BadJson(_))), "{text}");
    }
    let latin = read::command(b"{\"event\":\"mark\",\"name\":\"\xe4\"}", STREAM);
    assert!(matches!(latin, Err(WireError::BadJson(_))));
    let deep = format!("{{\"event\":{}", "[".repeat(60_000));
    assert!(matches!(read(&deep), Err(WireError::BadJson(_))));
}

/// Each wrong field is named.
#[test]
fn wrong_fields_are_named() {
    let cases = [
        (r#"{}"#, "event"),
        (r#"{"event":null}"#, "event"),
        (r#"{"event":1}"#, "event"),
        (r#"{"event":"clear","stream":8}"#, "stream"),
        (r#"{"event":"clear","stream":"7"}"#, "stream"),
        (r#"{"event":"clear","stream":-7}"#, "stream"),
        (r#"{"event":"clear","event":"clear"}"#, "message"),
        (r#"{"event":"mark"}"#, "name"),
        (r#"{"event":"mark","name":1}"#, "name"),
        (r#"{"event":"utterance","id":{}}"#, "id"),
        (r#"{"event":"reject","cause":true}"#, "cause"),
        (r#"{"event":"hangup","cause":[]}"#, "cause"),
        (r#"{"event":"hangup","after":"later"}"#, "after"),
        (r#"{"event":"hangup","after":1}"#, "after"),
        (r#"{"event":"dtmf"}"#, "digits"),
        (r#"{"event":"dtmf","digits":1}"#, "digits"),
        (r#"{"event":"dtmf","digits":"1","duration_ms":"9"}"#, "duration_ms"),
        (r#"{"event":"dtmf","digits":"1","duration_ms":0.5}"#, "duration_ms"),
        (r#"{"event":"dtmf","digits":"1","duration_ms":-1}"#, "duration_ms"),
        (r#"{"event":"dtmf","digits":"1","gap_ms":4294967296}"#, "gap_ms"),
        (r#"{"event":"dtmf","digits":"1","gap_ms":1e300}"#, "gap_ms"),
        (r#"{"event":"transfer","destination":"x"}"#, "kind"),
        (r#"{"event":"transfer","kind":"blind"}"#, "destination"),
        (r#"{"event":"transfer","kind":"blind","destination":"x","options":[]}"#, "options"),
        (r#"{"event":"transfer","kind":"blind","destination":"x","options":{"a":{}}}"#, "options"),
        (r#"{"event":"configure","framing":"tcp"}"#, "configure.framing"),
        (r#"{"event":"configure","framing":1}"#, "configure.framing"),
        (r#"{"event":"configure","wants":"speech"}"#, "configure.wants"),
        (r#"{"event":"configure","wants":[1]}"#, "configure.wants"),
        (r#"{"event":"configure","in":[]}"#, "configure.in"),
        (r#"{"event":"configure","out":"PCMU"}"#, "configure.out"),
        (r#"{"event":"configure","in":{}}"#, "configure.in.codec"),
        (r#"{"event":"configure","in":{"codec":0}}"#, "configure.in.codec"),
        (r#"{"event":"configure","out":{"codec":"x","rate_hz":"8000"}}"#, "configure.out.rate_hz"),
        (r#"{"event":"configure","out":{"codec":"x","ptime_ms":0}}"#, "configure.out.ptime_ms"),
        (r#"{"event":"configure","in":{"codec":"x","ptime_ms":121}}"#, "configure.in.ptime_ms"),
    ];
    for (text, expected) in cases {
        match read(text) {
            Err(WireError::BadField { field, .. }) => assert_eq!(field, expected, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

/// The table of codecs decides which formats exist.
#[test]
fn codecs_come_from_their_table() {
    assert_eq!(codecs::find("PCMU", None), Ok(AudioFormat::PCMU));
    assert_eq!(codecs::find("pcma", Some(8000)), Ok(AudioFormat::PCMA));
    for rate_hz in [8000, 16_000, 24_000, 48_000] {
        assert_eq!(codecs::find("l16le", Some(rate_hz)), Ok(AudioFormat::l16le(rate_hz)));
    }
    for (name, rate_hz) in [
        ("G722", Some(8000)),
        ("opus", Some(48_000)),
        ("l16le", None),
        ("l16le", Some(11_025)),
        ("PCMU", Some(16_000)),
    ] {
        assert!(matches!(codecs::find(name, rate_hz), Err(WireError::UnknownCodec(_))), "{name}");
    }
    let Err(WireError::UnknownCodec(shown)) = codecs::find(&"ä".repeat(60_000), None) else {
        panic!("refused")
    };
    assert!(shown.len() < 100, "an error does not repeat what was sent at length");
    assert_eq!(codecs::find("g722", None), Ok(AudioFormat::G722));
    assert_eq!(codecs::payload_type(AudioFormat::l16le(48_000)), 96);
}

/// An agent without a wish gets the caller's own codec, linear samples in the order agents speak.
#[test]
fn formats_follow_the_caller_or_the_wish() {
    let dialect = NativeDialect::new(&info());
    let caller = StreamFormat { audio: AudioFormat::PCMA, ptime_ms: 30 };
    assert_eq!(dialect.formats(None, caller), (caller, caller));
    let wide = StreamFormat { audio: AudioFormat::l16be(16_000), ptime_ms: 20 };
    let expected = StreamFormat { audio: AudioFormat::l16le(16_000), ptime_ms: 20 };
    assert_eq!(dialect.formats(None, wide), (expected, expected));
    let wished = StreamFormat { audio: AudioFormat::l16le(24_000), ptime_ms: 20 };
    let expected = StreamFormat { ptime_ms: 30, ..wished };
    assert_eq!(dialect.formats(Some(wished), caller), (expected, expected));
}

fn audio_of(dialect: &mut NativeDialect, message: &[u8]) -> Result<Vec<u8>, WireError> {
    match dialect.read(MessageKind::Binary, &mut message.to_vec())? {
        AgentInput::Audio(audio) => Ok(audio.to_vec()),
        other => panic!("{other:?}"),
    }
}

/// A frame towards the agent has the header of RFC 3550 in network order.
#[test]
fn frames_are_written_as_rtp() {
    let mut out = Vec::new();
    let frame = AgentFrame { seq: 0x0102, ts: 0x0304_0506, marker: true, payload: &[9, 8] };
    let kind =
        NativeDialect::new(&StreamInfo { stream: 0xa1b2_c3d4, ..info() }).audio(&frame, &mut out);
    assert_eq!(kind, MessageKind::Binary);
    assert_eq!(out, [0x80, 0x80, 1, 2, 3, 4, 5, 6, 0xa1, 0xb2, 0xc3, 0xd4, 9, 8]);
}

/// What is not a frame of this stream is refused with the reason; marker, sequence and timestamp do
/// not matter, and any number of whole samples does, none and 64 KiB included.
#[test]
fn frames_are_read_tolerantly_but_not_blindly() {
    let mut dialect = NativeDialect::new(&info());
    let good = [0x80, 0x80, 0xff, 0xff, 1, 2, 3, 4, 0, 0, 0, 7, 5, 6];
    assert_eq!(audio_of(&mut dialect, &good), Ok(vec![5, 6]));
    assert_eq!(audio_of(&mut dialect, &good[..12]), Ok(vec![]));
    for length in 0..12 {
        let cut = audio_of(&mut dialect, &good[..length]);
        assert!(matches!(cut, Err(WireError::BadFrame(_))), "{length}");
    }
    for (position, byte) in [(0, 0x40), (0, 0x90), (0, 0xa0), (0, 0x81), (1, 8), (11, 8), (8, 1)] {
        let mut wrong = good;
        wrong[position] = byte;
        let read = audio_of(&mut dialect, &wrong);
        assert!(matches!(read, Err(WireError::BadFrame(_))), "{position} {byte}");
    }
    let mut longest = [&good[..12], &vec![1; MESSAGE_MAX_BYTES]].concat();
    assert_eq!(audio_of(&mut dialect, &longest).map(|audio| audio.len()), Ok(MESSAGE_MAX_BYTES));
    longest.push(1);
    assert!(audio_of(&mut dialect, &longest).is_err());
}

/// From `configured` on, and not before, both directions go by the new formats and framing.
#[test]
fn configured_changes_both_directions() {
    let mut dialect = NativeDialect::new(&info());
    let wide = StreamFormat { audio: AudioFormat::l16le(16_000), ptime_ms: 20 };
    let configured =
        StreamInfo { to_agent: wide, from_agent: wide, framing: Framing::Raw, ..info() };
    let rtp = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 5];
    assert_eq!(audio_of(&mut dialect, &rtp), Ok(vec![5]));
    let mut sent = Sent::default();
    dialect.event(&AgentEvent::Configured { info: &configured, wants: &[] }, &mut sent);
    assert_eq!(audio_of(&mut dialect, &[1, 2]), Ok(vec![1, 2]));
    assert_eq!(audio_of(&mut dialect, &[1, 2, 3]), Err(WireError::BadFrame("not whole samples")));
    let mut out = Vec::new();
    let frame = AgentFrame { seq: 1, ts: 2, marker: false, payload: &[3, 4] };
    dialect.audio(&frame, &mut out);
    assert_eq!(out, [3, 4]);
    let framed = StreamInfo { framing: Framing::Rtp, ..configured };
    dialect.event(&AgentEvent::Configured { info: &framed, wants: &[] }, &mut sent);
    out.clear();
    dialect.audio(&frame, &mut out);
    assert_eq!(out[1], 96);
}

/// 64 KiB of audio fit whatever stands in front of them; text never may be longer than that.
#[test]
fn messages_have_a_longest_length() {
    let limit = MESSAGE_MAX_BYTES;
    assert!(!too_big(MessageKind::Text, Framing::Rtp, limit));
    assert!(too_big(MessageKind::Text, Framing::Rtp, limit + 1));
    assert!(!too_big(MessageKind::Binary, Framing::Raw, limit));
    assert!(too_big(MessageKind::Binary, Framing::Raw, limit + 1));
    assert!(!too_big(MessageKind::Binary, Framing::Rtp, limit + 12));
    assert!(too_big(MessageKind::Binary, Framing::Rtp, limit + 13));
}

/// The close codes of the contract, each with its number and a reason that fits a close frame.
#[test]
fn close_codes_have_their_numbers() {
    let numbers = CloseCode::ALL.map(CloseCode::code);
    assert_eq!(numbers, [1000, 1001, 1007, 1008, 1009, 4400, 4401, 4404, 4408, 4409]);
    for code in CloseCode::ALL {
        assert!((1..=123).contains(&code.reason().len()));
    }
}

proptest! {
    /// What one side writes as a frame the other side of the same stream reads, whatever the audio.
    #[test]
    fn frames_survive_the_way(
        seq: u16,
        ts: u32,
        marker: bool,
        stream: u32,
        raw: bool,
        payload in prop::collection::vec(any::<u8>(), 0..500),
    ) {
        let framing = if raw { Framing::Raw } else { Framing::Rtp };
        let mut dialect = NativeDialect::new(&StreamInfo { stream, framing, ..info() });
        let mut out = Vec::new();
        dialect.audio(&AgentFrame { seq, ts, marker, payload: &payload }, &mut out);
        prop_assert_eq!(audio_of(&mut dialect, &out), Ok(payload));
    }

    /// Any name survives the escapes of JSON in both directions.
    #[test]
    fn names_survive_the_way(name in "\\PC{0,40}|[\\x00-\\x7f]{0,40}") {
        let text = json!({"event": "mark", "stream": STREAM, "name": name}).to_string();
        prop_assert_eq!(read(&text), Ok(Some(AgentCommand::Mark { name: name.clone() })));
        let told = written(&AgentEvent::Mark {
            name: &name,
            status: MarkStatus::Played,
            samples: 1,
            played_ms: 1,
            basis: Basis::Wire,
        });
        prop_assert_eq!(read(&told), Ok(Some(AgentCommand::Mark { name })));
    }

    /// A message with one byte changed is read or refused, never a panic; so is any text.
    #[test]
    fn damaged_messages_are_survived(
        which: prop::sample::Index,
        at: prop::sample::Index,
        byte: u8,
    ) {
        let messages = agent_messages();
        let mut text = messages[which.index(messages.len())].0.as_bytes().to_vec();
        let at = at.index(text.len());
        text[at] = byte;
        crate::agent::fuzz::agent_text(&text);
    }

    /// Any bytes are survived as text and as audio.
    #[test]
    fn any_bytes_are_survived(data in prop::collection::vec(any::<u8>(), 0..200)) {
        crate::agent::fuzz::agent_text(&data);
        crate::agent::fuzz::agent_binary(&data);
    }
}
