//! Whole calls between the adapter and the carrier in miniature, without sockets and in no time.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::super::SPEC;
use crate::address::Address;
use crate::agent::MessageKind;
use crate::emulate::bench::Setup;
use crate::emulate::world::{World, hooks, tone};
use crate::emulate::{Command, SocketInput, Told};
use crate::event::{AnsweredBy, CallFact, HangupCause, TransferState};
use crate::exchange::CarrierError;
use crate::op::{Bind, Refusal, TransferKind};
use crate::stream::StreamCommand;

static SETUP: Setup = Setup { spec: &SPEC, number: "+15551234567", person: "+15557654321" };
/// The carrier tells when marks are reached.
const MARKS: &[(&str, &str)] = &[("marks", "carrier")];

fn domain(quirks: &[&str]) -> World {
    World::with(&SETUP, quirks, MARKS, Some(hooks(&SETUP).url("voice")))
}

/// Why the call ended; whatever tells it says the same.
fn cause(world: &World) -> Option<HangupCause> {
    let causes = world.causes();
    assert!(causes.windows(2).all(|two| two[0] == two[1]), "{causes:?}");
    causes.first().copied()
}

/// A person calls: every byte arrives both ways, keys too; marks come back when they are reached,
/// and with a clear, which also silences; hanging up ends it, by the record at the latest.
#[test]
fn a_person_calls() {
    let mut world = domain(&[]);
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
    assert_eq!(cause(&world), Some(HangupCause::Normal));
    assert!(world.socket.is_none());
    world.assert_no_complaint();
}

/// A refused call is never answered, and the carrier's word is not the same for each; a text is
/// said only if there is one, and then it is answered.
#[test]
fn calls_are_refused() {
    for (refusal, why) in [
        (Refusal::Busy, "busy"),
        (Refusal::Unavailable, "congestion"),
        (Refusal::NotFound, "cancel"),
        (Refusal::Rejected, "busy"),
    ] {
        let mut world = domain(&[]);
        world.refuses = Some(refusal);
        let call = world.inbound();
        assert!(world.told.contains(&Told::Ended { call: call.clone(), why: why.into() }));
        assert!(!world.told.contains(&Told::Answered { call }));
        world.assert_no_complaint();
    }
    let mut world = domain(&[]);
    let mut given = (SPEC.emulator.unwrap().config)("http://127.0.0.1:9");
    given["unavailable_text"] = json!("Not now");
    world.config = SPEC.read(&given, None).unwrap();
    world.refuses = Some(Refusal::Unavailable);
    let call = world.inbound();
    let said = Told::Said { call: call.clone(), text: "Not now".to_owned() };
    assert!(world.told.contains(&said) && world.told.contains(&Told::Answered { call }));
    world.assert_no_complaint();
}

/// A call is placed: it rings, is answered, speaks at once, is judged to be a machine's, and ends
/// by our hand; one that nobody takes ends as it should.
#[test]
fn calls_are_placed() {
    let mut world = domain(&["machine=machine_start"]);
    let id = world.originate().unwrap();
    assert!(world.facts.contains(&CallFact::Ringing) && world.socket.is_none());
    world.command(Command::Answer(id.0.clone()));
    assert!(world.facts.contains(&CallFact::Answered) && world.socket.is_some());
    let machine = CallFact::AnsweredBy { who: AnsweredBy::MachineStart };
    assert!(world.facts.contains(&machine), "{:?}", world.facts);
    let status = (SPEC.calls.status.unwrap())(&world.config, &id);
    assert!(matches!(world.run(status).unwrap()[0].what, CallFact::Answered));
    for _ in 0..2 {
        let hangup = (SPEC.calls.hangup.unwrap())(&world.config, &id);
        world.run(hangup).unwrap();
    }
    assert_eq!(cause(&world), Some(HangupCause::Normal));
    world.assert_no_complaint();
    type Person = fn(String) -> Command;
    let ends: [(Option<Person>, _); 3] = [
        (Some(Command::Busy), HangupCause::Busy),
        (Some(Command::Decline), HangupCause::Busy),
        (None, HangupCause::NoAnswer),
    ];
    for (person, why) in ends {
        let mut world = domain(&[]);
        let id = world.originate().unwrap();
        match person {
            Some(does) => world.command(does(id.0)),
            None => world.wait(Duration::from_secs(21)),
        }
        assert_eq!((cause(&world), world.sockets), (Some(why), 0));
    }
}

/// Blind: whoever answers talks with the caller, and it is done; if nobody does, the caller comes
/// back over a new stream.
#[test]
fn a_call_is_handed_over_blind() {
    for answers in [true, false] {
        let mut world = domain(&[]);
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
        assert!(world.has(if answers { TransferState::Done } else { TransferState::Failed }));
        assert_eq!(world.sockets, if answers { 1 } else { 2 });
        assert_eq!(world.socket.is_some(), !answers);
        world.assert_no_complaint();
    }
}

/// Attended: the destination answers while the caller still talks to the agent; then the two meet.
/// A destination that is busy leaves the caller where it is.
#[test]
fn a_call_is_handed_over_attended() {
    let mut world = domain(&[]);
    let call = world.inbound();
    let transfer = world.transfer(TransferKind::Attended, &call);
    assert!(world.socket.is_some() && world.has(TransferState::Trying));
    assert!(!world.has(TransferState::Answered));
    let leg = world.id();
    world.command(Command::Answer(leg.clone()));
    assert!(world.has(TransferState::Answered) && !world.has(TransferState::Done));
    let op = (SPEC.calls.join.unwrap())(&world.config, &transfer);
    world.run(op).unwrap();
    assert!(world.has(TransferState::Done) && world.socket.is_none());
    let rooms = world.told.iter().filter_map(|told| match told {
        Told::HandedOver { to, .. } => Some(to.clone()),
        _ => None,
    });
    let rooms: Vec<_> = rooms.collect();
    assert!(rooms.len() == 2 && rooms[0] == rooms[1], "{rooms:?}");
    world.command(Command::Hangup(leg));
    assert!(world.told.contains(&Told::Ended { call, why: "answer".into() }), "{:?}", world.told);
    world.assert_no_complaint();

    let mut world = domain(&[]);
    let call = world.inbound();
    world.transfer(TransferKind::Attended, &call);
    world.command(Command::Busy(world.id()));
    assert!(world.has(TransferState::Failed) && world.socket.is_some());
}

/// A stream that is lost is opened again while the call is wanted; one that the server closes
/// because it is not, ends the call.
#[test]
fn streams_are_lost() {
    let mut world = domain(&["cut=500"]);
    world.inbound();
    world.wait(Duration::from_millis(600));
    assert_eq!((cause(&world), world.sockets), (None, 2));
    assert!(world.facts.iter().any(|fact| matches!(fact, CallFact::StreamFailed { .. })));
    world.speak(&tone(5));
    world.wait(Duration::from_millis(200));
    assert_eq!(world.person_heard(), tone(5));
    let mut world = domain(&[]);
    world.inbound();
    world.wanted = false;
    let (socket, _) = world.socket.take().unwrap();
    world.carrier.socket(world.clock(), socket, SocketInput::Closed(Some(1000)));
    world.settle();
    assert_eq!((cause(&world), world.sockets), (Some(HangupCause::Normal), 1));
}

/// Quirks of the stream and of webhooks: bursts, odd frames, late and lost marks, A-law, doubled,
/// reordered and lost webhooks.
#[test]
fn quirks() {
    for quirk in ["burst=5", "frame=80", "frame=400", "hooks-twice", "hooks-swapped"] {
        let mut world = domain(&[quirk]);
        let call = world.inbound();
        world.command(Command::Speak { call: call.clone(), audio: tone(10) });
        world.wait(Duration::from_secs(1));
        assert!(world.heard.windows(1600).any(|part| part == tone(10)), "{quirk}");
        world.command(Command::Hangup(call));
        assert_eq!(cause(&world), Some(HangupCause::Normal), "{quirk}");
        world.assert_no_complaint();
    }
    for (quirk, first, later) in [("mark-delay=300", 0, 1), ("marks-lost", 0, 0)] {
        let mut world = domain(&[quirk]);
        world.inbound();
        world.mark("m");
        world.wait(Duration::from_millis(200));
        assert_eq!(world.marks.len(), first, "{quirk}");
        world.wait(Duration::from_millis(200));
        assert_eq!(world.marks.len(), later, "{quirk}");
    }
    let mut world = domain(&["hooks-lost"]);
    let call = world.inbound();
    world.command(Command::Hangup(call));
    assert!(cause(&world).is_none() && world.socket.is_none(), "only the socket tells");
}

/// Faults of the API are told apart; what the server says wrong is complained about.
#[test]
fn faults_and_complaints() {
    for (fault, error) in [
        ("fail=originate:503", CarrierError::Unavailable),
        ("fail=originate:429", CarrierError::TooMany { retry_after_s: None }),
        ("fail=originate:403", CarrierError::Credentials),
        ("fail=originate:silent", CarrierError::Unavailable),
        ("fail=originate:lost", CarrierError::Unavailable),
        ("fail=originate:malformed", CarrierError::Answer("no token of the session")),
    ] {
        let mut world = domain(&[fault]);
        assert_eq!(world.originate(), Err(error), "{fault}");
        // What was carried out all the same is told by its webhooks.
        assert_eq!(world.facts.contains(&CallFact::Ringing), fault.ends_with("silent"));
        assert!(world.originate().is_ok(), "once");
    }
    for said in ["x", "{}", r#"{"event":"media","streamSid":"x","media":{"payload":"/w=="}}"#] {
        let mut world = domain(&[]);
        world.inbound();
        let socket = world.socket.as_ref().unwrap().0;
        let text = Bytes::from_static(said.as_bytes());
        let input = SocketInput::Message(MessageKind::Text, &text);
        world.carrier.socket(world.clock(), socket, input);
        world.settle();
        assert!(world.told.iter().any(|told| matches!(told, Told::Complaint { .. })), "{said}");
    }
}

/// A domain that knows nothing of us is set up, its number bound, and calls arrive.
#[test]
fn a_new_domain_is_set_up() {
    let mut world = World::with(&SETUP, &[], MARKS, None);
    let mut given = (SPEC.emulator.unwrap().config)("http://127.0.0.1:9");
    given["application_name"] = json!("agents");
    given["session_updates"] = json!(true);
    world.config = SPEC.read(&given, None).unwrap();
    let test = (SPEC.calls.test.unwrap())(&world.config);
    world.run(test).unwrap();
    let number = Address::parse("+15550002222", None).unwrap();
    let bind = Bind { address: number, hooks: Some(hooks(&SETUP)) };
    let early = (SPEC.calls.bind.unwrap())(&world.config, &bind);
    assert!(matches!(world.run(early), Err(CarrierError::Config(_))));
    for _ in 0..2 {
        let provision = (SPEC.calls.provision.unwrap())(&world.config, &hooks(&SETUP));
        let managed = world.run(provision).unwrap();
        let mut config = world.config.clone();
        SPEC.set_managed(&mut config, &managed).unwrap();
        let before = std::mem::replace(&mut world.config, config);
        let id = before.text("application_id").map(str::to_owned);
        assert!(id.is_none_or(|id| Some(&*id) == world.config.text("application_id")));
    }
    let bound = (SPEC.calls.bind.unwrap())(&world.config, &bind);
    world.run(bound).unwrap();
    let list = (SPEC.calls.numbers.unwrap())(&world.config);
    let list = world.run(list).unwrap();
    let ours = list.iter().find(|number| number.address == bind.address).unwrap();
    assert!(
        ours.bound_to.as_deref().unwrap().ends_with(world.config.text("application_id").unwrap())
    );
    world.command(Command::Call { from: "1004".to_owned(), to: "+15550002222".to_owned() });
    assert!(world.socket.is_some());
    world.command(Command::Hangup(world.id()));
    assert_eq!(cause(&world), Some(HangupCause::Normal));
    world.assert_no_complaint();
}
