//! Whole calls between the adapter and the carrier in miniature, without sockets and in no time.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::super::SPEC;
use crate::agent::MessageKind;
use crate::emulate::bench::Setup;
use crate::emulate::world::{World, tone};
use crate::emulate::{Command, SocketInput, Told};
use crate::event::{CallFact, HangupCause, TransferState};
use crate::exchange::CarrierError;
use crate::op::{Refusal, TransferKind};
use crate::stream::StreamCommand;

static SETUP: Setup = Setup { spec: &SPEC, number: "+15551234567", person: "+15557654321" };

/// A person calls: every byte arrives both ways, keys too; marks come back when they are reached,
/// and with a clear, which also silences; hanging up ends it.
#[test]
fn a_person_calls() {
    let mut world = World::new(&SETUP, &[]);
    let call = world.inbound();
    assert!(world.told.contains(&Told::Streaming { call: call.clone() }), "{:?}", world.told);
    let spoken = tone(10);
    world.command(Command::Speak { call: call.clone(), audio: spoken.clone() });
    world.speak(&tone(5));
    world.mark("one");
    world.wait(Duration::from_millis(90));
    assert!(world.marks.is_empty(), "it is still being played");
    world.wait(Duration::from_millis(210));
    assert_eq!(world.marks, ["one"]);
    assert_eq!(world.person_heard(), tone(5));
    assert!(world.heard.windows(spoken.len()).any(|part| part == spoken));
    world.mark("empty");
    assert_eq!(world.marks, ["one", "empty"], "at once when nothing is queued");
    world.speak(&tone(50));
    world.mark("never reached");
    world.wait(Duration::from_millis(100));
    world.say(|stream, out| {
        stream.command(StreamCommand::Clear, out);
    });
    world.wait(Duration::from_millis(500));
    assert_eq!(world.marks.last().unwrap(), "never reached");
    assert!(world.person_heard().len() <= (5 + 6) * 160);
    world.command(Command::Press { call: call.clone(), digit: '#' });
    assert_eq!(world.keys, "#");
    world.command(Command::Hangup(call));
    assert_eq!(world.cause(), Some(HangupCause::Normal));
    assert!(world.socket.is_none());
    world.assert_no_complaint();
}

/// A refused call is never answered; a text is said only if there is one.
#[test]
fn calls_are_refused() {
    for refusal in Refusal::ALL {
        let mut world = World::new(&SETUP, &[]);
        world.refuses = Some(refusal);
        let call = world.inbound();
        let why = if refusal == Refusal::Busy || refusal == Refusal::Unavailable {
            "busy"
        } else {
            "no-answer"
        };
        assert!(world.told.contains(&Told::Ended { call: call.clone(), why: why.into() }));
        assert!(!world.told.contains(&Told::Answered { call }));
        world.assert_no_complaint();
    }
}

/// The server calls: it rings, is answered, the machine is told, audio flows, and it is hung up by
/// the API, once and again.
#[test]
fn the_server_calls() {
    let mut world = World::new(&SETUP, &["machine=machine_start"]);
    let call = world.originate().unwrap();
    assert_eq!(world.id(), call.0);
    world.command(Command::Answer(call.0.clone()));
    assert_eq!(world.sockets, 1);
    let hangup = SPEC.calls.hangup.unwrap();
    for _ in 0..2 {
        let op = hangup(&world.config, &call);
        assert_eq!(world.run(op), Ok(()));
    }
    let words: Vec<_> =
        world.facts.iter().map(|fact| serde_json::to_value(fact).unwrap()).collect();
    let words: Vec<_> = words.iter().map(|fact| fact["event"].as_str().unwrap()).collect();
    let order = ["initiated", "ringing", "answered", "answered_by", "stream_started"];
    assert_eq!(words[..5], order, "{words:?}");
    assert_eq!(world.cause(), Some(HangupCause::Normal));
    let op = (SPEC.calls.status.unwrap())(&world.config, &call);
    assert!(matches!(world.run(op).unwrap().last().unwrap().what, CallFact::Ended(_)));
    world.assert_no_complaint();
}

/// Who does not answer, is busy, or declines.
#[test]
fn nobody_answers() {
    for (command, cause) in [
        (None, HangupCause::NoAnswer),
        (Some(Command::Busy as fn(String) -> Command), HangupCause::Busy),
        (Some(Command::Decline), HangupCause::Rejected),
    ] {
        let mut world = World::new(&SETUP, &[]);
        let call = world.originate().unwrap();
        match command {
            Some(command) => world.command(command(call.0)),
            None => world.wait(Duration::from_secs(21)),
        }
        assert_eq!((world.cause(), world.sockets), (Some(cause), 0));
    }
    let mut world = World::new(&SETUP, &[]);
    let call = world.originate().unwrap();
    let op = (SPEC.calls.hangup.unwrap())(&world.config, &call);
    assert_eq!(world.run(op), Ok(()));
    assert_eq!(world.cause(), Some(HangupCause::Cancelled));
}

/// Handed over: nobody answers, and the caller is back with the agent over a new stream; somebody
/// answers, and the agent is out of it.
#[test]
fn a_call_is_handed_over() {
    for answers in [false, true] {
        let mut world = World::new(&SETUP, &[]);
        let call = world.inbound();
        world.transfer(TransferKind::Blind, &call);
        let leg = world.id();
        assert!(leg != call && world.socket.is_none());
        if answers {
            world.command(Command::Answer(leg.clone()));
            world.command(Command::Hangup(leg));
        } else {
            world.wait(Duration::from_secs(21));
        }
        let last = if answers { TransferState::Done } else { TransferState::Failed };
        assert!(world.has(last), "{:?}", world.facts);
        assert_eq!(world.has(TransferState::Answered), answers);
        assert_eq!(world.sockets, if answers { 1 } else { 2 });
        assert_eq!(world.cause().is_some(), answers, "{:?}", world.facts);
        world.assert_no_complaint();
    }
}

/// Attended: the destination answers while the caller still talks to the agent; then the two meet.
#[test]
fn a_call_is_handed_over_attended() {
    let mut world = World::new(&SETUP, &[]);
    let call = world.inbound();
    let transfer = world.transfer(TransferKind::Attended, &call);
    assert!(world.socket.is_some());
    let leg = world.id();
    world.command(Command::Answer(leg.clone()));
    assert!(world.has(TransferState::Answered), "{:?}", world.facts);
    let op = (SPEC.calls.join.unwrap())(&world.config, &transfer);
    world.run(op).unwrap();
    let rooms: Vec<_> = world
        .told
        .iter()
        .filter_map(|told| match told {
            Told::HandedOver { call, to } => Some((call.clone(), to.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(rooms.len(), 2, "{rooms:?}");
    assert_eq!(rooms[0].1, rooms[1].1);
    assert!(world.socket.is_none());
    world.command(Command::Hangup(leg));
    assert_eq!(world.cause(), Some(HangupCause::Normal));
    world.assert_no_complaint();
}

/// A stream that is cut off is opened again while the call is wanted, and ends the call otherwise;
/// so does a server that closes it.
#[test]
fn streams_are_lost() {
    for wanted in [true, false] {
        let mut world = World::new(&SETUP, &["cut=500"]);
        world.inbound();
        world.wanted = wanted;
        world.wait(Duration::from_millis(600));
        assert_eq!(world.sockets, if wanted { 2 } else { 1 });
        assert_eq!(world.cause().is_some(), !wanted, "{:?}", world.facts);
        let lost = CallFact::StreamFailed { code: Some("31924".to_owned()) };
        assert!(world.facts.contains(&lost));
    }
    let mut world = World::new(&SETUP, &[]);
    world.inbound();
    world.wanted = false;
    let (socket, _) = world.socket.take().unwrap();
    world.carrier.socket(world.clock(), socket, SocketInput::Closed(Some(1000)));
    world.settle();
    assert_eq!(world.cause(), Some(HangupCause::Normal));
}

/// Quirks of the stream and of webhooks: bursts, odd frames, late and lost marks, A-law, doubled
/// and lost webhooks.
#[test]
fn quirks() {
    for quirk in ["burst=5", "frame=80", "frame=400", "hooks-twice", "hooks-swapped"] {
        let mut world = World::new(&SETUP, &[quirk]);
        let call = world.inbound();
        world.command(Command::Speak { call: call.clone(), audio: tone(10) });
        world.wait(Duration::from_secs(1));
        assert!(world.heard.windows(1600).any(|part| part == tone(10)), "{quirk}");
        world.command(Command::Hangup(call));
        assert_eq!(world.cause(), Some(HangupCause::Normal), "{quirk}");
        world.assert_no_complaint();
    }
    for (quirk, first, later) in [("mark-delay=300", 0, 1), ("marks-lost", 0, 0)] {
        let mut world = World::new(&SETUP, &[quirk]);
        world.inbound();
        world.mark("m");
        world.wait(Duration::from_millis(200));
        assert_eq!(world.marks.len(), first, "{quirk}");
        world.wait(Duration::from_millis(200));
        assert_eq!(world.marks.len(), later, "{quirk}");
    }
    let mut world = World::new(&SETUP, &["hooks-lost"]);
    let call = world.inbound();
    world.command(Command::Hangup(call));
    assert_eq!(world.cause(), None, "only the socket tells");
    assert!(world.socket.is_none());
}

/// Faults of the API are told apart; what the server says wrong is complained about.
#[test]
fn faults_and_complaints() {
    for (fault, error) in [
        ("fail=originate:503", CarrierError::Unavailable),
        ("fail=originate:429", CarrierError::TooMany { retry_after_s: None }),
        ("fail=originate:silent", CarrierError::Unavailable),
        ("fail=originate:lost", CarrierError::Unavailable),
        ("fail=originate:malformed", CarrierError::Answer("not JSON")),
    ] {
        let mut world = World::new(&SETUP, &[fault]);
        assert_eq!(world.originate(), Err(error), "{fault}");
        // What was carried out all the same is told by its webhooks.
        let rings = world.told.iter().any(|told| matches!(told, Told::Rings { .. }));
        assert_eq!(rings, fault.ends_with("silent"));
        assert_eq!(world.facts.contains(&CallFact::Ringing), rings);
        assert!(world.originate().is_ok(), "once");
    }
    let mut world = World::new(&SETUP, &[]);
    world.config =
        SPEC.read(&json!({"account_sid": super::ACCOUNT, "auth_token": "wrong"}), None).unwrap();
    assert!(world.originate().is_err());
    for said in ["x", "{}", r#"{"event":"media","streamSid":"MZ0","media":{"payload":""}}"#] {
        let mut world = World::new(&SETUP, &[]);
        world.inbound();
        let socket = world.socket.as_ref().unwrap().0;
        let text = Bytes::from_static(said.as_bytes());
        let input = SocketInput::Message(MessageKind::Text, &text);
        world.carrier.socket(world.clock(), socket, input);
        world.settle();
        assert!(world.told.iter().any(|told| matches!(told, Told::Complaint { .. })), "{said}");
    }
}
