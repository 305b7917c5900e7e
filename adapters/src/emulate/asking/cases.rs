//! What each carrier of this kind is put through with its adapter: what one says the other
//! understands, although they share no code.

use crate::address::Address;
use crate::emulate::bench::{Bench, Setup};
use crate::emulate::{Command, Output, Told};
use crate::event::{CallEvent, CallFact, CarrierCallId, HangupCause, TransferState};
use crate::exchange::HttpResponse;
use crate::op::{Bind, Refusal, Transfer, TransferKind};
use crate::stream::StreamCommand;

/// Whom calls are handed over to.
const OTHER: &str = "+12025550177";

/// An inbound call: offered, taken, audio unchanged both ways, checkpoints when they are reached, a
/// clear that drops them with the rest, a key. It goes on.
pub(crate) fn inbound_call(setup: &'static Setup) -> (Bench, String) {
    let (mut bench, call) = Bench::inbound(setup, &[]);
    assert!(bench.events[0].starts_with("Started"), "{:?}", bench.told);
    let speech: Vec<u8> = (0..1600_u32).map(|i| (i % 251) as u8).collect();
    bench.person(Command::Speak { call: call.clone(), audio: speech.clone() });
    bench.pass(200);
    assert!(bench.audio.starts_with(&speech));
    let words: Vec<u8> = (0..320_u32).map(|i| (i % 239) as u8).collect();
    bench.send(|stream, out| {
        stream.encode(&words, out);
    });
    bench.send(|stream, out| {
        stream.command(StreamCommand::Mark("m1"), out);
    });
    bench.pass(100);
    assert_eq!(bench.heard(), words);
    assert_eq!(bench.events.last().map(String::as_str), Some("Mark(\"m1\")"));
    bench.send(|stream, out| {
        stream.encode(&[1; 8000], out);
    });
    bench.send(|stream, out| {
        stream.command(StreamCommand::Mark("m2"), out);
    });
    bench.pass(60);
    let before = bench.heard().len();
    bench.send(|stream, out| {
        stream.command(StreamCommand::Clear, out);
    });
    assert_eq!(bench.events.last().map(String::as_str), Some("Cleared"));
    bench.pass(200);
    assert_eq!(bench.heard().len(), before, "nothing stale is played");
    assert!(!bench.events.iter().any(|event| event.contains("m2")));
    bench.person(Command::Press { call: call.clone(), digit: '5' });
    assert!(bench.events.last().unwrap().contains("'5'"));
    (bench, call)
}

/// Outbound calls end by every cause with the right one, by either side; a machine is told.
pub(crate) fn outbound_calls(setup: &'static Setup) {
    let mut bench = Bench::new(setup, &["answer=300", "machine=machine"]);
    let call = bench.dial().unwrap();
    bench.pass(400);
    assert!(bench.events[0].starts_with("Started"), "{:?}", bench.told);
    let who = |fact: &CallEvent| matches!(fact.what, CallFact::AnsweredBy { .. });
    assert!(bench.facts.iter().any(who));
    let config = bench.config.clone();
    bench.run(setup.spec.calls.hangup.unwrap()(&config, &CarrierCallId(call.clone()))).unwrap();
    assert_eq!(bench.ended(), [HangupCause::Normal]);
    bench.run(setup.spec.calls.hangup.unwrap()(&config, &CarrierCallId(call))).unwrap();
    assert_eq!(bench.ended().len(), 1, "what is over needs no ending");
    for (command, cause) in [
        (Command::Busy as fn(String) -> Command, HangupCause::Busy),
        (Command::Decline, HangupCause::Rejected),
    ] {
        let mut bench = Bench::new(setup, &[]);
        let call = bench.dial().unwrap();
        bench.person(command(call));
        assert_eq!(bench.ended(), [cause]);
    }
    let mut bench = Bench::new(setup, &[]);
    bench.dial().unwrap();
    bench.pass(21_000);
    assert_eq!(bench.ended(), [HangupCause::NoAnswer]);
}

/// A refused call is not answered, and ends with what it was refused for.
pub(crate) fn refused_calls(setup: &'static Setup) {
    for (refusal, why) in [(Refusal::Busy, "Busy Line"), (Refusal::Rejected, "Rejected")] {
        let mut bench = Bench::new(setup, &[]);
        bench.refusal = Some(refusal);
        bench.ring_in();
        assert!(
            bench.told.iter().any(|told| matches!(told, Told::Ended { why: w, .. } if w == why))
        );
        assert!(!bench.told.iter().any(|told| matches!(told, Told::Answered { .. })));
    }
}

/// Hands a call over to [`OTHER`].
fn transfer(setup: &Setup, kind: TransferKind, call: &str) -> Transfer {
    Transfer {
        id: "t-1".to_owned(),
        kind,
        call: CarrierCallId(call.to_owned()),
        to: Address::parse(OTHER, None).unwrap(),
        from: Address::parse(setup.number, None).ok(),
        hooks: setup.hooks().of_call("c1"),
        ring_timeout_s: 20,
    }
}

/// A blind transfer is told step by step; its failure brings the caller back to the agent.
pub(crate) fn blind_transfers(setup: &'static Setup) {
    for answers in [true, false] {
        let (mut bench, call) = Bench::inbound(setup, &[]);
        let config = bench.config.clone();
        let blind = transfer(setup, TransferKind::Blind, &call);
        bench.run(setup.spec.calls.transfer.unwrap()(&config, &blind)).unwrap();
        assert!(bench.stream.is_none(), "the document's stream is over");
        let rings = bench.told.iter().find_map(|told| match told {
            Told::Rings { call, to, .. } => Some((call.clone(), to.clone())),
            _ => None,
        });
        let (leg, to) = rings.unwrap();
        assert_eq!(to, OTHER.trim_start_matches('+'));
        if answers {
            bench.person(Command::Answer(leg));
            let states = [TransferState::Trying, TransferState::Answered, TransferState::Done];
            assert_eq!(bench.transfers(), states);
        } else {
            bench.person(Command::Busy(leg));
            assert_eq!(bench.transfers(), [TransferState::Trying, TransferState::Failed]);
            assert!(bench.stream.is_some(), "the caller is back");
        }
        assert_eq!(bench.ended(), []);
    }
}

/// An attended transfer puts both into one room once the destination answered.
pub(crate) fn attended_transfers(setup: &'static Setup) {
    let (mut bench, call) = Bench::inbound(setup, &["answer=100"]);
    let config = bench.config.clone();
    let attended = transfer(setup, TransferKind::Attended, &call);
    bench.run(setup.spec.calls.transfer.unwrap()(&config, &attended)).unwrap();
    bench.pass(200);
    assert!(bench.stream.is_some(), "the caller stays with the agent");
    bench.run(setup.spec.calls.join.unwrap()(&config, &attended)).unwrap();
    let states = [TransferState::Trying, TransferState::Answered, TransferState::Done];
    assert_eq!(bench.transfers(), states);
    let rooms: Vec<_> = bench
        .told
        .iter()
        .filter_map(|told| match told {
            Told::HandedOver { to, .. } => Some(to.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(rooms.len(), 2);
    assert_eq!(rooms[0], rooms[1]);
}

/// A socket that is lost is told, and the carrier asks again.
pub(crate) fn lost_sockets_are_asked_for_again(setup: &'static Setup) {
    let (mut bench, call) = Bench::inbound(setup, &[]);
    bench.person(Command::Drop(call));
    let failed = |fact: &CallEvent| matches!(fact.what, CallFact::StreamFailed { .. });
    assert!(bench.facts.iter().any(failed));
    assert_eq!(bench.events.iter().filter(|event| event.starts_with("Started")).count(), 2);
}

/// Numbers are listed, an application is made, a number is given to it and taken away.
pub(crate) fn numbers_are_bound(setup: &'static Setup) {
    let mut bench = Bench::new(setup, &[]);
    let mut config = bench.config.clone();
    let made = bench.run(setup.spec.calls.provision.unwrap()(&config, &setup.hooks())).unwrap();
    setup.spec.set_managed(&mut config, &made).unwrap();
    let address = Address::parse(setup.number, None).unwrap();
    for (bound, wanted) in [(Some(setup.hooks()), true), (None, false)] {
        let bind = Bind { address: address.clone(), hooks: bound };
        bench.run(setup.spec.calls.bind.unwrap()(&config, &bind)).unwrap();
        let numbers = bench.run(setup.spec.calls.numbers.unwrap()(&config)).unwrap();
        assert_eq!((numbers.len(), numbers[0].ours), (1, wanted));
    }
    assert_eq!(bench.run(setup.spec.calls.test.unwrap()(&config)), Ok(()));
}

/// Each fault of the API is met by an error of its kind; a server that cannot be reached or speaks
/// nonsense ends the call; webhooks twice and swapped, bursts and odd frames are understood.
pub(crate) fn faults_and_quirks(setup: &'static Setup) {
    for (fault, word) in [
        ("fail=originate:503", "unavailable"),
        ("fail=originate:401", "credentials"),
        ("fail=originate:429", "too_many"),
        ("fail=originate:403", "not_permitted"),
        ("fail=originate:malformed", "answer"),
        ("fail=originate:lost", "unavailable"),
    ] {
        let mut bench = Bench::new(setup, &[fault]);
        assert_eq!(bench.dial().unwrap_err().as_str(), word, "{fault}");
    }
    let (mut bench, call) = Bench::inbound(
        setup,
        &["hooks-twice", "hooks-swapped", "burst=3", "frame=80", "marks-lost"],
    );
    bench.pass(300);
    assert!(bench.audio.len() >= 1600 && bench.audio.iter().all(|byte| *byte == 0xff));
    bench.person(Command::Hangup(call));
    bench.pass(1000);
    assert!(!bench.ended().is_empty());
    for answer in [None, Some("hello"), Some("<Response><Say>x</Say></Response>")] {
        let mut bench = Bench::new(setup, &[]);
        let (from, to) = (setup.person.to_owned(), setup.number.to_owned());
        bench.carrier.command(bench.clock(), Command::Call { from, to });
        let Some(Output::Hook { hook, .. }) = bench.carrier.poll() else { panic!("no webhook") };
        let answer = answer.map(|text| HttpResponse {
            status: http::StatusCode::OK,
            headers: http::HeaderMap::new(),
            body: text.into(),
        });
        bench.carrier.answered(bench.clock(), hook, answer);
        bench.settle();
        assert_eq!(bench.ended(), [HangupCause::Failed]);
    }
}
