//! All telephones of a user ring at the same time, and the first that answers has the call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::Duration;

use serde_json::Value;

use support::gateway::{Gateway, Manner};
use support::line::header;
use support::phone::Phone;
use support::server::Server;
use support::until;

const SOON: Duration = Duration::from_secs(15);
const PASSWORD: &str = "wonderland";

/// A server with a user, alice.
fn server() -> Server {
    Server::start(&format!("[[users]]\nname = \"alice\"\npassword = \"{PASSWORD}\"\n"))
}

/// A telephone of alice.
#[track_caller]
fn phone(server: &Server, manner: Manner, params: &str) -> Gateway {
    let phone = Gateway::start(manner);
    phone.register(server.sip, "alice", PASSWORD, params);
    phone
}

/// Waits until the call is answered.
#[track_caller]
fn wait_answered(server: &Server, call: &Value) {
    until(SOON, "the call is answered", || {
        let calls = server.calls();
        let call = calls.iter().find(|found| found["id"] == call["id"])?;
        (call["state"] == "answered").then_some(())
    });
}

/// Three telephones ring at once; one answers, and the two others are told that somebody did. The
/// one that has the call is hung up on, the others are not.
#[test]
fn the_first_that_answers_has_the_call() {
    let server = server();
    let rings = [phone(&server, Manner::Rings, ""), phone(&server, Manner::Rings, "")];
    // Registered first, so that it is not the one that is asked first.
    let answers = phone(&server, Manner::Rings, ";q=1");
    let call = server.place("alice", "echo");
    for phone in rings.iter().chain([&answers]) {
        until(SOON, "an INVITE", || (!phone.heard("INVITE ").is_empty()).then_some(()));
    }
    assert_eq!(server.calls()[0]["state"], "ringing");
    answers.answer_invite();
    wait_answered(&server, &call);
    for phone in &rings {
        let cancel = until(SOON, "a CANCEL", || phone.heard("CANCEL ").first().cloned());
        assert_eq!(header(&cancel, "Reason"), "SIP;cause=200;text=\"Call completed elsewhere\"");
        until(SOON, "an ACK", || (!phone.heard("ACK ").is_empty()).then_some(()));
    }
    assert!(answers.heard("CANCEL ").is_empty());
    server.hang_up(call["id"].as_str().unwrap());
    until(SOON, "a BYE", || (!answers.heard("BYE ").is_empty()).then_some(()));
    assert!(rings.iter().all(|phone| phone.heard("BYE ").is_empty()));
    server.wait_idle();
    server.stop();
}

/// Telephones of lower preference ring when all of the higher one have refused; what is told at the
/// end is what says most: somebody is busy.
#[test]
fn preferences_and_refusals() {
    let server = server();
    let first = [
        phone(&server, Manner::RingsThenRefuses("480 Temporarily Unavailable"), ""),
        phone(&server, Manner::RingsThenRefuses("486 Busy Here"), ""),
    ];
    let second = phone(&server, Manner::Answers, ";q=0.5");
    let third = phone(&server, Manner::Answers, ";q=0.2");
    let call = server.place("alice", "echo");
    wait_answered(&server, &call);
    // A busy machine may see copies of an INVITE, but no second one.
    for phone in &first {
        let invites = phone.heard("INVITE ");
        assert!(invites.iter().all(|invite| header(invite, "Via") == header(&invites[0], "Via")));
    }
    assert!(!second.heard("INVITE ").is_empty());
    assert!(third.heard("INVITE ").is_empty());
    server.hang_up(call["id"].as_str().unwrap());
    server.wait_idle();
    second.set(Manner::RingsThenRefuses("503 Service Unavailable"));
    third.set(Manner::RingsThenRefuses("500 Server Internal Error"));
    server.place("alice", "echo");
    server.wait_idle();
    let log = server.log();
    assert!(log.contains("cause=\"busy\"") && log.contains("sip=486"), "{log}");
    server.stop();
}

/// Who declines does so for all telephones (RFC 3261 21.6), and a call that is given up rings
/// nowhere any more.
#[test]
fn declined_for_all_and_given_up() {
    let server = server();
    let rings = phone(&server, Manner::Rings, "");
    let declines = phone(&server, Manner::Rings, "");
    let later = phone(&server, Manner::Answers, ";q=0.1");
    server.place("alice", "echo");
    for phone in [&rings, &declines] {
        until(SOON, "an INVITE", || (!phone.heard("INVITE ").is_empty()).then_some(()));
    }
    declines.refuse_invite("603 Decline");
    until(SOON, "a CANCEL", || (!rings.heard("CANCEL ").is_empty()).then_some(()));
    server.wait_idle();
    assert!(later.heard("INVITE ").is_empty());
    assert!(server.log().contains("cause=\"rejected\""), "{}", server.log());

    declines.set(Manner::Rings);
    let call = server.place("alice", "echo");
    for phone in [&rings, &declines] {
        until(SOON, "another INVITE", || (phone.heard("INVITE ").len() >= 2).then_some(()));
    }
    server.hang_up(call["id"].as_str().unwrap());
    until(SOON, "CANCELs", || (rings.heard("CANCEL ").len() >= 2).then_some(()));
    until(SOON, "CANCELs", || (!declines.heard("CANCEL ").is_empty()).then_some(()));
    server.wait_idle();
    server.stop();
}

/// How many calls have reached a telephone; copies of an INVITE are of one.
fn rung(phone: &Gateway) -> usize {
    let invites = phone.heard("INVITE ");
    let mut calls: Vec<_> = invites.iter().map(|invite| header(invite, "Call-ID")).collect();
    calls.sort_unstable();
    calls.dedup();
    calls.len()
}

/// A server whose agent is the user alice.
fn desk() -> Server {
    Server::start(&format!(
        "[[agents]]\nname = \"desk\"\nkind = \"sip\"\nuri = \"alice\"\n\
         [[users]]\nname = \"alice\"\npassword = \"{PASSWORD}\"\n\
         [[users]]\nname = \"+15550001234\"\npeers = \"127.0.0.1\"\n"
    ))
}

/// The telephones of a user that is the agent of a call ring at the same time too: the first that
/// answers is joined with the caller, and the others stop ringing.
#[test]
fn an_agents_telephones_ring_at_once() {
    let server = desk();
    let rings = [phone(&server, Manner::Rings, ""), phone(&server, Manner::Rings, "")];
    let answers = phone(&server, Manner::Rings, "");
    let later = phone(&server, Manner::Answers, ";q=0.1");
    let mut caller = Phone::call(&server, "desk");
    caller.wait_status(180);
    for phone in rings.iter().chain([&answers]) {
        until(SOON, "an INVITE", || (!phone.heard("INVITE ").is_empty()).then_some(()));
    }
    answers.answer_invite();
    caller.wait_answer();
    for phone in &rings {
        let cancel = until(SOON, "a CANCEL", || phone.heard("CANCEL ").first().cloned());
        assert_eq!(header(&cancel, "Reason"), "SIP;cause=200;text=\"Call completed elsewhere\"");
        until(SOON, "an ACK", || (!phone.heard("ACK ").is_empty()).then_some(()));
    }
    caller.hang_up();
    until(SOON, "a BYE", || (!answers.heard("BYE ").is_empty()).then_some(()));
    assert!(answers.heard("CANCEL ").is_empty() && later.heard("INVITE ").is_empty());
    assert!(rings.iter().all(|phone| phone.heard("BYE ").is_empty()));
    server.wait_idle();
    server.stop();
}

/// One that refuses leaves the others ringing; when all have, those of lower preference ring; and
/// what says most of all refusals is what the caller hears. One who declines does so for all.
#[test]
fn an_agents_telephones_refuse() {
    let server = desk();
    let busy = phone(&server, Manner::RingsThenRefuses("486 Busy Here"), "");
    let away = phone(&server, Manner::RingsThenRefuses("480 Temporarily Unavailable"), "");
    let later = phone(&server, Manner::RingsThenRefuses("500 Server Internal Error"), ";q=0.1");
    let mut caller = Phone::call(&server, "desk");
    caller.wait_refusal(486);
    for phone in [&busy, &away, &later] {
        assert!(!phone.heard("INVITE ").is_empty());
    }
    server.wait_idle();

    away.set(Manner::Rings);
    let mut caller = Phone::call(&server, "desk");
    until(SOON, "a second call", || (rung(&away) == 2).then_some(()));
    until(SOON, "a second call", || (rung(&busy) == 2).then_some(()));
    away.answer_invite();
    caller.wait_answer();
    caller.hang_up();
    until(SOON, "a BYE", || (!away.heard("BYE ").is_empty()).then_some(()));
    server.wait_idle();

    busy.set(Manner::Rings);
    let before = rung(&later);
    let mut caller = Phone::call(&server, "desk");
    until(SOON, "a third call", || (rung(&busy) == 3).then_some(()));
    until(SOON, "a third call", || (rung(&away) == 3).then_some(()));
    away.refuse_invite("603 Decline");
    until(SOON, "a CANCEL", || (!busy.heard("CANCEL ").is_empty()).then_some(()));
    caller.wait_refusal(603);
    assert_eq!(rung(&later), before);
    server.wait_idle();
    server.stop();
}

/// A caller that gives up has all of them stop ringing.
#[test]
fn an_agents_telephones_are_given_up() {
    let server = desk();
    let phones = [phone(&server, Manner::Rings, ""), phone(&server, Manner::Rings, "")];
    let mut caller = Phone::call(&server, "desk");
    for phone in &phones {
        until(SOON, "an INVITE", || (!phone.heard("INVITE ").is_empty()).then_some(()));
    }
    caller.wait_status(180);
    caller.cancel("");
    for phone in &phones {
        until(SOON, "a CANCEL", || (!phone.heard("CANCEL ").is_empty()).then_some(()));
    }
    server.wait_idle();
    server.stop();
}
