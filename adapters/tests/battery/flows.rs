//! Flows: whatever the carrier does or fails to do, a call comes to an end.

use std::time::Duration;

use adapters::address::Address;
use adapters::agent::Direction;
use adapters::event::{CallEvent, CallFact, CarrierCallId, Ended, HangupCause};
use adapters::exchange::{CarrierError, HttpResponse};
use adapters::flow::{
    CallFlow, FlowCommand, FlowInput, FlowMessage, FlowOutput, FlowStart, Routed,
};
use adapters::hook::HookUrls;
use adapters::op::{Refusal, TransferKind};
use adapters::pairs::pairs;
use adapters::secret::Pii;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use media::time::MonoTime;

use crate::support::entry::{Entry, entries};

const STREAM_URL: &str = "wss://t.example/api/v1/telephony/ws/p/c1/token-of-one-use";
/// Most inputs until a flow must be over.
const INPUTS_MAX: usize = 200;

fn open(entry: &Entry, direction: Direction) -> Option<Box<dyn CallFlow>> {
    Some((entry.spec.flow?)(FlowStart {
        config: entry.config(),
        direction,
        call: Some(CarrierCallId("c1".to_owned())),
        to: Address::parse("+4930123456", None).unwrap(),
        from: Address::parse("+15551234567", None).ok(),
        stream_url: STREAM_URL.to_owned(),
        hooks: HookUrls::new("https://t.example", entry.spec.name, "tok").of_call("call-1"),
    }))
}

fn answer(status: u16) -> Result<HttpResponse, CarrierError> {
    let (status, headers) = (StatusCode::from_u16(status).unwrap(), HeaderMap::new());
    Ok(HttpResponse { status, headers, body: Bytes::from_static(b"{}") })
}

/// Hands in `command` and then answers every request as `result` says, or lets it time out; yields
/// the outputs, the last of which must be the end.
fn play(
    flow: &mut dyn CallFlow,
    command: FlowCommand,
    result: &Result<HttpResponse, CarrierError>,
) -> Vec<FlowOutput> {
    let mut now = MonoTime::ZERO;
    let mut outputs = Vec::new();
    flow.handle(now, FlowInput::Command(command));
    for _ in 0..INPUTS_MAX {
        let mut pending = Vec::new();
        while let Some(output) = flow.poll() {
            if let FlowOutput::Send { request, .. } = output {
                pending.push(request);
            }
            outputs.push(output);
        }
        if outputs.last() == Some(&FlowOutput::Done) {
            assert_eq!(flow.deadline(), None, "a flow that is over waits for nothing");
            return outputs;
        }
        for request in pending.drain(..) {
            flow.handle(now, FlowInput::Answer { request, result: result.clone() });
        }
        match flow.deadline() {
            Some(deadline) => {
                now = deadline;
                flow.handle(now, FlowInput::Timeout);
            }
            None => flow.handle(now, FlowInput::Command(FlowCommand::Hangup)),
        }
    }
    panic!("no end: {outputs:?}");
}

/// Whether the carrier says yes, no, gone or nothing at all: a call that was answered or refused
/// ends, with exactly one end told, which is the last fact.
#[test]
fn every_flow_ends() {
    let results = [answer(200), answer(404), answer(500), Err(CarrierError::Unavailable)];
    for entry in entries() {
        for direction in [Direction::Inbound, Direction::Outbound] {
            for result in &results {
                for command in [FlowCommand::Answer, FlowCommand::Hangup] {
                    let Some(mut flow) = open(&entry, direction) else { continue };
                    let outputs = play(flow.as_mut(), command, result);
                    let facts = outputs.iter().filter_map(|output| match output {
                        FlowOutput::Event(event) => Some(&event.what),
                        _ => None,
                    });
                    let ends: Vec<_> =
                        facts.map(|fact| matches!(fact, CallFact::Ended(_))).collect();
                    assert_eq!(ends.iter().filter(|end| **end).count(), 1, "{outputs:?}");
                    assert_eq!(ends.last(), Some(&true), "{outputs:?}");
                    let secrets = entry.secrets();
                    let shown = format!("{outputs:?}");
                    assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{shown}");
                }
            }
        }
    }
}

/// Answering asks for the audio at the address it was given; the end that an event tells ends the
/// flow; another call's does not.
#[test]
fn answering_opens_the_stream() {
    for entry in entries() {
        let Some(mut flow) = open(&entry, Direction::Inbound) else { continue };
        let now = MonoTime::ZERO;
        let mut said = String::new();
        flow.handle(now, FlowInput::Command(FlowCommand::Answer));
        for _ in 0..INPUTS_MAX {
            let Some(output) = flow.poll() else { break };
            if let FlowOutput::Send { request, what } = output {
                assert!(flow.deadline().is_some_and(|at| at > now), "every request has its limit");
                said += &String::from_utf8_lossy(&what.body);
                said +=
                    &pairs(&what.url).map(|(name, value)| name + "=" + &value).collect::<String>();
                let result = answer(200);
                flow.handle(now + Duration::from_millis(5), FlowInput::Answer { request, result });
            }
        }
        assert!(said.contains(STREAM_URL), "{}: {said}", entry.spec.name);
        let ended = |call: &str| CallEvent {
            call: CarrierCallId(call.to_owned()),
            id: None,
            at_unix_ms: None,
            what: CallFact::Ended(Ended {
                cause: HangupCause::Busy,
                sip_status: None,
                duration_ms: None,
                raw: None,
            }),
        };
        flow.handle(now, FlowInput::Event(&ended("another call")));
        assert_eq!(flow.poll(), None);
        flow.handle(now, FlowInput::Event(&ended("c1")));
        assert!(matches!(flow.poll(), Some(FlowOutput::Event(event)) if event == ended("c1")));
        // What was made at the carrier is let go first.
        let left = play(flow.as_mut(), FlowCommand::Hangup, &answer(200));
        assert!(left.iter().all(|output| !matches!(output, FlowOutput::Event(_))), "{left:?}");
    }
}

/// Inputs that nobody asked for, in any order, are taken without panic and without output that
/// never ends.
#[test]
fn stray_inputs_are_taken() {
    for entry in entries() {
        let Some(mut flow) = open(&entry, Direction::Inbound) else { continue };
        let to = Address::parse("1000", None).unwrap();
        let mut outputs = 0;
        for round in 0..4_u32 {
            for input in [
                FlowInput::Timeout,
                FlowInput::Answer { request: round, result: answer(200) },
                FlowInput::Message(FlowMessage(b"\xff{")),
                FlowInput::Message(FlowMessage(b"{\"state\":\"ended\"}")),
                FlowInput::Reconnected,
                FlowInput::Command(FlowCommand::Transfer {
                    kind: TransferKind::Blind,
                    to: to.clone(),
                    from: None,
                    ring_timeout_s: 20,
                }),
                FlowInput::Command(FlowCommand::Keep("t-1".to_owned())),
                FlowInput::Command(FlowCommand::Dtmf(Pii::new("12#"))),
                FlowInput::Command(FlowCommand::Restream("wss://t.example/again".to_owned())),
                FlowInput::Command(FlowCommand::Refuse(Refusal::Busy)),
                FlowInput::Command(FlowCommand::Hangup),
                FlowInput::Command(FlowCommand::Answer),
            ] {
                assert!(!format!("{input:?}").contains("ended"), "messages are not shown");
                flow.handle(MonoTime::from_nanos(u64::from(round)), input);
                while flow.poll().is_some() {
                    outputs += 1;
                    assert!(outputs < INPUTS_MAX);
                }
            }
        }
    }
}

/// The events socket is opened with credentials that do not show; each message goes to the call its
/// fixture names; what is none, or is cut off, is an error or nobody's.
#[test]
fn socket_messages_find_their_call() {
    for entry in entries() {
        let fixtures = entry.socket_messages();
        assert_eq!(fixtures.is_empty(), entry.spec.events.is_none(), "{}", entry.spec.name);
        let Some(events) = entry.spec.events else { continue };
        let request = (events.connect)(&entry.config()).unwrap();
        assert!(request.url.starts_with("ws://") || request.url.starts_with("wss://"));
        assert!(entry.secrets().iter().all(|secret| !format!("{request:?}").contains(secret)));
        for (name, fixture) in fixtures {
            assert!(!fixture.origin.is_empty(), "{name}");
            let message = fixture.message.to_string().into_bytes();
            let routed = (events.route)(&message).unwrap();
            assert_eq!(serde_json::to_value(&routed).unwrap(), fixture.routed, "{name}");
            for len in 0..message.len() {
                assert!((events.route)(&message[..len]).is_err(), "{name} {len}");
            }
        }
        for garbage in [&b"{}"[..], b"[]", b"null", b"{\"a\":{}}"] {
            let routed = (events.route)(garbage);
            assert!(routed.is_err() || routed == Ok(Routed::Nothing), "{routed:?}");
        }
    }
}

/// The address that the carrier names for our audio arrives.
#[test]
fn the_address_of_media_arrives() {
    let entry = entries().pop().unwrap();
    let mut flow = open(&entry, Direction::Inbound).unwrap();
    let now = MonoTime::ZERO;
    flow.handle(now, FlowInput::Command(FlowCommand::Answer));
    let mut media = None;
    while let Some(output) = flow.poll() {
        match output {
            FlowOutput::Send { request, .. } => {
                let body = Bytes::from_static(br#"{"rtp":"192.0.2.7:4000"}"#);
                let result = answer(200).map(|answer| HttpResponse { body, ..answer });
                flow.handle(now, FlowInput::Answer { request, result });
            }
            FlowOutput::Media(address) => media = Some(address),
            _ => {}
        }
    }
    assert_eq!(media, "192.0.2.7:4000".parse().ok());
}
