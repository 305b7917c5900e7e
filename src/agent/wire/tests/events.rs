//! What the server says, as it is written.

use std::time::Duration;

use adapters::agent::{DtmfSource, EndedBy, UtteranceReport};
use media::silence::{Notice, Reason, Way};

use super::*;

pub(super) fn utterances() -> [UtteranceReport; 1] {
    [UtteranceReport { id: "u1".to_owned(), samples: 160, complete: true }]
}

/// Every event a server can send, as it is written.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn server_events<'a>(
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
