//! The control of calls.

use media::time::MonoTime;
use serde_json::{Value, json};

use super::super::SPEC;
use super::{CALL, STREAM, answer, config, hooks, linear};
use crate::address::Address;
use crate::agent::Direction;
use crate::config::RawConfig;
use crate::event::{CallEvent, CallFact, CarrierCallId};
use crate::exchange::HttpRequest;
use crate::flow::{FlowCommand, FlowInput, FlowOutput, FlowStart};
use crate::op::Refusal;
use crate::secret::Pii;

fn flow(config: RawConfig) -> Box<dyn crate::flow::CallFlow> {
    (SPEC.flow.unwrap())(start_of(config))
}

fn start_of(config: RawConfig) -> FlowStart {
    FlowStart {
        config,
        direction: Direction::Inbound,
        call: Some(CarrierCallId(CALL.to_owned())),
        to: Address::parse("+14155550199", None).unwrap(),
        from: None,
        stream_url: STREAM.to_owned(),
        hooks: hooks(),
    }
}

/// A call that we placed is ended by the id that its own events have, whatever the request for it
/// was answered with; an offered one keeps its id.
#[test]
fn placed_calls_take_the_id_of_their_events() {
    for direction in [Direction::Outbound, Direction::Inbound] {
        let mut flow = (SPEC.flow.unwrap())(FlowStart { direction, ..start_of(config()) });
        let event = CallEvent {
            call: CarrierCallId("v3:live".to_owned()),
            id: None,
            at_unix_ms: None,
            what: CallFact::Answered,
        };
        flow.handle(MonoTime::ZERO, FlowInput::Event(&event));
        flow.handle(MonoTime::ZERO, FlowInput::Command(FlowCommand::Hangup));
        let (_, hangup) = next(flow.as_mut());
        assert_eq!(hangup.url.contains("v3:live"), direction == Direction::Outbound);
    }
}

fn next(flow: &mut dyn crate::flow::CallFlow) -> (u32, HttpRequest) {
    match flow.poll() {
        Some(FlowOutput::Send { request, what }) => (request, what),
        other => panic!("{other:?}"),
    }
}

fn ok(request: u32) -> FlowInput<'static> {
    FlowInput::Answer { request, result: Ok(answer(200, &json!({"data": {"result": "ok"}}))) }
}

/// Linear audio needs the rate, which the answer does not take: the stream is opened apart once the
/// call is answered, or after a while without that event.
#[test]
fn linear_streams_are_opened_apart() {
    for event_comes in [true, false] {
        let (mut flow, now) = (flow(linear()), MonoTime::ZERO);
        flow.handle(now, FlowInput::Command(FlowCommand::Answer));
        let (request, answer) = next(flow.as_mut());
        assert!(answer.url.starts_with("https://telnyx.example.test/v2/calls/v3:"));
        assert!(!String::from_utf8_lossy(&answer.body).contains("stream"));
        flow.handle(now, ok(request));
        assert_eq!(flow.poll(), None);
        let later = flow.deadline().unwrap();
        if event_comes {
            let event = CallEvent {
                call: CarrierCallId(CALL.to_owned()),
                id: None,
                at_unix_ms: None,
                what: CallFact::Answered,
            };
            flow.handle(now, FlowInput::Event(&event));
        } else {
            flow.handle(later, FlowInput::Timeout);
        }
        let (request, open) = next(flow.as_mut());
        assert!(open.url.ends_with("/actions/streaming_start"));
        let body: Value = serde_json::from_slice(&open.body).unwrap();
        assert_eq!(body["stream_bidirectional_sampling_rate"], 16_000);
        assert_eq!(body["stream_url"], STREAM);
        flow.handle(now, ok(request));
        assert_eq!(flow.deadline(), None);
    }
}

/// A refusal is told in the carrier's word before the answer; a lost stream is opened again where
/// it is wanted; keys and transfers are commands with ids of their own.
#[test]
fn commands_of_a_call() {
    for (refusal, word) in [
        (Refusal::NotFound, "NOT_FOUND"),
        (Refusal::Busy, "USER_BUSY"),
        (Refusal::Rejected, "CALL_REJECTED"),
        (Refusal::Unavailable, "TEMPORARILY_UNAVAILABLE"),
    ] {
        let mut flow = flow(config());
        flow.handle(MonoTime::ZERO, FlowInput::Command(FlowCommand::Refuse(refusal)));
        let (_, reject) = next(flow.as_mut());
        assert!(reject.url.ends_with("/actions/reject"));
        assert!(String::from_utf8_lossy(&reject.body).contains(word));
    }
    let (mut flow, now) = (flow(config()), MonoTime::ZERO);
    flow.handle(now, FlowInput::Command(FlowCommand::Answer));
    let (request, _) = next(flow.as_mut());
    flow.handle(now, ok(request));
    let again = "wss://media.example.test/t/43".to_owned();
    flow.handle(now, FlowInput::Command(FlowCommand::Restream(again)));
    let (request, open) = next(flow.as_mut());
    assert!(String::from_utf8_lossy(&open.body).contains("/t/43"));
    flow.handle(now, ok(request));
    let mut bodies = Vec::new();
    for _ in 0..2 {
        flow.handle(now, FlowInput::Command(FlowCommand::Dtmf(Pii::new("1"))));
        let (request, digits) = next(flow.as_mut());
        bodies.push(digits.body);
        flow.handle(now, ok(request));
    }
    assert_ne!(bodies[0], bodies[1], "the second 1 is another command");
    assert_eq!(flow.deadline(), None);
}
