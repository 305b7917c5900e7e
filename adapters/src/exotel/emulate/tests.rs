//! The carrier in miniature against the adapter.

use serde_json::Value;

use super::super::SPEC;
use crate::emulate::bench::{Bench, Setup};
use crate::emulate::{Command, SocketInput, Told};
use crate::event::{CallFact, HangupCause};
use crate::exchange::CarrierError;
use crate::op::Refusal;
use crate::stream::StreamCommand;

static SETUP: Setup = Setup { spec: &SPEC, number: "+918047491899", person: "+919876543210" };

/// Audio of so many milliseconds, in which no sample is silence.
fn noise(ms: usize) -> Vec<u8> {
    (0..ms * 16).map(|at| (at % 251) as u8 + 1).collect()
}

/// A person calls: the applet asks, the audio flows both ways in the carrier's messages, keys and
/// marks come, and the end of the call is told by the stream.
#[test]
fn a_call_comes_in() {
    let (mut bench, call) = Bench::inbound(&SETUP, &[]);
    assert!(bench.told.contains(&Told::Streaming { call: call.clone() }));
    assert!(bench.events[0].contains(&call), "{:?}", bench.events);
    let said = noise(300);
    bench.person(Command::Speak { call: call.clone(), audio: said.clone() });
    bench.pass(300);
    assert_eq!(bench.audio, said);
    let answered = noise(200);
    bench.send(|stream, out| {
        stream.encode(&answered, out);
    });
    bench.send(|stream, out| {
        stream.command(StreamCommand::Mark("m"), out);
    });
    bench.person(Command::Press { call: call.clone(), digit: '5' });
    bench.pass(300);
    assert_eq!(bench.heard(), answered);
    let expected = ["Dtmf { digit: '5', duration_ms: Some(100) }", "Mark(\"m\")"];
    assert_eq!(bench.events[1..], expected);
    bench.person(Command::Hangup(call.clone()));
    assert_eq!(bench.events.last().unwrap(), "Stopped(Some(Normal))");
    assert!(bench.stream.is_none() && bench.complaints().is_empty());
    assert!(bench.told.contains(&Told::Ended { call, why: "completed".into() }));
}

/// Whatever the server may refuse a call for, the flow goes on and the call ends.
#[test]
fn calls_are_refused() {
    for refusal in Refusal::ALL {
        let mut bench = Bench::new(&SETUP, &[]);
        bench.refusal = Some(refusal);
        let call = bench.ring_in();
        assert!(bench.told.contains(&Told::Ended { call, why: "completed".into() }));
        assert!(bench.stream.is_none());
    }
}

/// A person is called: it rings, is answered, hangs up, and each is told; a socket that we close
/// ends the call.
#[test]
fn a_person_is_called() {
    for ours in [false, true] {
        let mut bench = Bench::new(&SETUP, &[]);
        let call = bench.dial().unwrap();
        bench.person(Command::Answer(call.clone()));
        assert!(bench.stream.is_some());
        bench.pass(2_000);
        if ours {
            let socket = bench.socket;
            bench.carrier.socket(bench.clock(), socket, SocketInput::Closed(Some(1000)));
            bench.settle();
        } else {
            bench.person(Command::Hangup(call));
        }
        let told: Vec<_> = bench.facts.iter().map(|fact| &fact.what).collect();
        let [CallFact::Ringing, CallFact::Answered, CallFact::Ended(ended)] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!((ended.cause, ended.duration_ms), (HangupCause::Normal, Some(2_000)));
        assert!(bench.complaints().is_empty());
    }
}

/// Calls that nobody takes end for their reasons.
#[test]
fn a_person_is_not_reached() {
    let acts: [(fn(String) -> Command, HangupCause); 3] = [
        (Command::Busy, HangupCause::Busy),
        (Command::Decline, HangupCause::Busy),
        (Command::Hangup, HangupCause::NoAnswer),
    ];
    for (act, cause) in acts {
        let mut bench = Bench::new(&SETUP, &[]);
        let call = bench.dial().unwrap();
        bench.person(act(call));
        assert_eq!(bench.ended(), [cause]);
    }
    let mut bench = Bench::new(&SETUP, &[]);
    bench.dial().unwrap();
    bench.pass(21_000);
    assert_eq!(bench.ended(), [HangupCause::NoAnswer]);
}

/// The carrier is as strict as it says: short, odd and long messages are complained about, as are
/// such that name no stream; a clear empties its queue, and marks come back.
#[test]
fn messages_have_lengths() {
    for (bytes, fits) in
        [(3_200, true), (3_520, true), (99_840, true), (3_180, false), (3_300, false)]
    {
        let (mut bench, _) = Bench::inbound(&SETUP, &[]);
        let audio = vec![1; bytes];
        bench.send(|stream, out| {
            stream.encode(&audio, out);
        });
        assert_eq!(bench.complaints().is_empty(), fits, "{bytes}");
    }
    let (mut bench, call) = Bench::inbound(&SETUP, &[]);
    bench.send(|_, out| out.extend_from_slice(br#"{"event":"clear","streamSid":"x"}"#));
    assert_eq!(bench.complaints().len(), 1);
    let long = noise(1_000);
    bench.send(|stream, out| {
        stream.encode(&long, out);
    });
    bench.send(|stream, out| {
        stream.command(StreamCommand::Mark("m"), out);
    });
    bench.pass(100);
    bench.send(|stream, out| {
        stream.command(StreamCommand::Clear, out);
    });
    bench.pass(100);
    assert_eq!(bench.heard(), long[..1_600]);
    assert_eq!(bench.events.last().unwrap(), "Mark(\"m\")");
    bench.person(Command::Drop(call.clone()));
    assert!(bench.told.contains(&Told::Ended { call, why: "completed".into() }));
}

/// The API refuses what its documents do not have, and fails as it is told to.
#[test]
fn the_api_is_strict() {
    let mut bench = Bench::new(&SETUP, &["fail=originate:503", "fail=originate:malformed"]);
    assert_eq!(bench.dial(), Err(CarrierError::Unavailable));
    assert!(matches!(bench.dial(), Err(CarrierError::Answer(_))));
    assert!(bench.dial().is_ok());
    let mut other = Bench::new(&SETUP, &[]);
    let mut config = other.config.expose().clone();
    config.insert("api_token".into(), Value::from("another"));
    other.config = crate::config::RawConfig::from_stored(config.into()).unwrap();
    assert_eq!(other.dial(), Err(CarrierError::Credentials));
}

/// Webhooks that come twice, swapped or never say nothing else.
#[test]
fn webhooks_have_bad_days() {
    for (quirk, ends) in [("hooks-twice", 2), ("hooks-swapped", 1), ("hooks-lost", 0)] {
        let mut bench = Bench::new(&SETUP, &[quirk]);
        let call = bench.dial().unwrap();
        bench.person(Command::Answer(call.clone()));
        bench.pass(500);
        bench.person(Command::Hangup(call));
        bench.pass(500);
        assert_eq!(bench.ended().len(), ends, "{quirk}");
    }
}
