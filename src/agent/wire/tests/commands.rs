//! What agents say, as it is read.

use adapters::agent::{Configure, FormatWish, RecordOrder};

use super::*;

/// Every message an agent can send, with all its fields and with none of those it may leave out.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn agent_messages() -> Vec<(&'static str, AgentCommand)> {
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
