//! The emulator against the adapter: what one says the other understands, although they share no
//! code.

use super::super::SPEC;
use crate::emulate::asking::cases;
use crate::emulate::bench::Setup;
use crate::emulate::{Command, Told};
use crate::event::{CallFact, CarrierCallId, HangupCause};
use crate::op::SendDigits;
use crate::secret::Pii;
use crate::stream::StreamCommand;

static SETUP: Setup = Setup { spec: &SPEC, number: "+12025550100", person: "+12025550143" };

/// An inbound call: offered, taken, audio unchanged both ways, checkpoints when they are reached, a
/// clear that drops them with the rest, keys both ways, the end with its price.
#[test]
fn an_inbound_call() {
    let (mut bench, call) = cases::inbound_call(&SETUP);
    bench.send(|stream, out| {
        stream.command(StreamCommand::Dtmf('#'), out);
    });
    let digits = SendDigits { call: CarrierCallId(call.clone()), digits: Pii::new("12") };
    let config = bench.config.clone();
    bench.run(SPEC.calls.dtmf.unwrap()(&config, &digits)).unwrap();
    let keys = bench.told.iter().filter(|told| matches!(told, Told::Keys { .. }));
    assert_eq!(keys.count(), 2);
    bench.person(Command::Hangup(call));
    // The application has no other address for the end.
    assert_eq!(bench.ended(), [HangupCause::Normal]);
    assert!(bench.facts.iter().any(|fact| matches!(fact.what, CallFact::Priced(_))));
    assert_eq!(bench.complaints(), Vec::<&Told>::new());
}

/// Outbound calls end by every cause with the right one, by either side; a machine is told.
#[test]
fn outbound_calls() {
    cases::outbound_calls(&SETUP);
}

/// A refused call is not answered, and ends with what it was refused for.
#[test]
fn refused_calls() {
    cases::refused_calls(&SETUP);
}

/// A blind transfer is told step by step; its failure brings the caller back to the agent.
#[test]
fn blind_transfers() {
    cases::blind_transfers(&SETUP);
}

/// An attended transfer puts both into one room once the destination answered.
#[test]
fn attended_transfers() {
    cases::attended_transfers(&SETUP);
}

/// A socket that is lost is told, and the carrier asks again.
#[test]
fn lost_sockets_are_asked_for_again() {
    cases::lost_sockets_are_asked_for_again(&SETUP);
}

/// Numbers are listed, an application is made, a number is given to it and taken away.
#[test]
fn numbers_are_bound() {
    cases::numbers_are_bound(&SETUP);
}

/// Each fault of the API is met by an error of its kind; a server that cannot be reached or speaks
/// nonsense ends the call; webhooks twice and swapped, bursts and odd frames are understood.
#[test]
fn faults_and_quirks() {
    cases::faults_and_quirks(&SETUP);
}
