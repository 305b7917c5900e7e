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

/// Who cannot be taken at all is told so, if there is a text: answered without a stream, spoken to,
/// hung up on when the text is over, or after a while without that word; whatever fails on the way
/// ends the call. Other refusals answer nothing.
#[test]
fn refusals_in_words() {
    let with_text = || {
        let mut values = config().expose().clone();
        values.insert("unavailable_text".to_owned(), json!("Sorry."));
        values.insert("unavailable_voice".to_owned(), json!("Telnyx.KokoroTTS.af"));
        flow(RawConfig::from_stored(Value::Object(values)).unwrap())
    };
    let event =
        |what| CallEvent { call: CarrierCallId(CALL.to_owned()), id: None, at_unix_ms: None, what };
    let refused = |request| FlowInput::Answer {
        request,
        result: Err(crate::exchange::CarrierError::Unavailable),
    };
    let now = MonoTime::ZERO;
    for told in [true, false] {
        let mut flow = with_text();
        flow.handle(now, FlowInput::Command(FlowCommand::Refuse(Refusal::Unavailable)));
        let (request, answer) = next(flow.as_mut());
        assert!(answer.url.ends_with("/actions/answer") && answer.repeatable);
        assert!(!String::from_utf8_lossy(&answer.body).contains("stream"));
        flow.handle(now, ok(request));
        assert_eq!(flow.poll(), None, "it is not answered yet");
        let later = flow.deadline().unwrap();
        match told {
            true => flow.handle(now, FlowInput::Event(&event(CallFact::Answered))),
            false => flow.handle(later, FlowInput::Timeout),
        }
        let (request, speak) = next(flow.as_mut());
        assert!(speak.url.ends_with("/actions/speak"));
        let body: Value = serde_json::from_slice(&speak.body).unwrap();
        assert_eq!((&body["payload"], &body["payload_type"]), (&json!("Sorry."), &json!("text")));
        assert_eq!(body["voice"], "Telnyx.KokoroTTS.af");
        flow.handle(later, ok(request));
        assert_eq!(flow.poll(), None, "it is being spoken");
        let later = flow.deadline().unwrap();
        match told {
            true => flow.handle(now, FlowInput::Event(&event(CallFact::Spoken))),
            false => flow.handle(later, FlowInput::Timeout),
        }
        let (request, hangup) = next(flow.as_mut());
        assert!(hangup.url.ends_with("/actions/hangup"));
        flow.handle(later, ok(request));
        flow.handle(flow.deadline().unwrap(), FlowInput::Timeout);
        assert!(matches!(flow.poll(), Some(FlowOutput::Event(_))));
        assert_eq!((flow.poll(), flow.deadline()), (Some(FlowOutput::Done), None));
    }
    let mut flow = with_text();
    flow.handle(now, FlowInput::Command(FlowCommand::Refuse(Refusal::Unavailable)));
    let (request, _) = next(flow.as_mut());
    flow.handle(now, refused(request));
    assert!(next(flow.as_mut()).1.url.ends_with("/actions/reject"));
    let mut flow = with_text();
    flow.handle(now, FlowInput::Command(FlowCommand::Refuse(Refusal::Unavailable)));
    let (request, _) = next(flow.as_mut());
    flow.handle(now, ok(request));
    flow.handle(now, FlowInput::Event(&event(CallFact::Answered)));
    let (request, _) = next(flow.as_mut());
    flow.handle(now, refused(request));
    assert!(next(flow.as_mut()).1.url.ends_with("/actions/hangup"));
    for refusal in [Refusal::Busy, Refusal::NotFound, Refusal::Rejected] {
        let mut flow = with_text();
        flow.handle(now, FlowInput::Command(FlowCommand::Refuse(refusal)));
        assert!(next(flow.as_mut()).1.url.ends_with("/actions/reject"), "{refusal:?}");
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
