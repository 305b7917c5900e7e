//! Limits of calls: how long a caller may be silent, how many calls an agent takes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::{Duration, Instant};

use serde_json::json;

use support::agent::Agents;
use support::phone::{Phone, header};
use support::server::Server;
use support::until;

/// A caller that sends nothing is hung up on when its time is over, and not before; one that sends
/// is not.
#[test]
fn silent_caller_is_hung_up_on() {
    let server = Server::start(
        "[limits]\nmedia_timeout_s = 1\n[[agents]]\nname = \"quiet\"\nkind = \"builtin\"\n\
         builtin = \"silence\"\n",
    );
    let mut talks = Phone::up(&server, "quiet");
    let mut silent = Phone::up(&server, "quiet");
    let answered = Instant::now();
    // It talks for longer than anybody may be silent, and until the other is hung up on, however
    // long that takes.
    let bye = std::thread::scope(|scope| {
        let hears = scope.spawn(|| silent.wait_bye());
        talks.speak(&[0x30; 160 * 60]);
        while !hears.is_finished() {
            talks.speak(&[0x30; 160]);
        }
        hears.join().unwrap()
    });
    assert!(header(&bye, "Reason").contains("media_timeout"), "{bye}");
    assert!(!talks.is_over(), "it has talked all the time");
    talks.speak(&[0x30; 160 * 10]);
    let bye = talks.wait_bye();
    assert!(header(&bye, "Reason").contains("media_timeout"), "{bye}");
    assert!(answered.elapsed() >= Duration::from_millis(2_300), "{:?}", answered.elapsed());
    server.wait_idle();
    server.stop();
}

/// Without a limit a caller may be silent for as long as it likes.
#[test]
fn silence_without_limit() {
    let server = Server::start(
        "[limits]\nmedia_timeout_s = 0\n[[agents]]\nname = \"quiet\"\nkind = \"builtin\"\n\
         builtin = \"silence\"\n",
    );
    let mut phone = Phone::up(&server, "quiet");
    // The media are looked after every five seconds.
    until(Duration::from_secs(15), "six seconds of packets", || {
        (phone.packets().len() > 300).then_some(())
    });
    assert!(!phone.is_over());
    phone.hang_up();
    server.wait_idle();
    server.stop();
}

/// An agent has as many calls as it takes: the next caller is asked to come again (503), over the
/// API too, and the place of a call that has ended is free again.
#[test]
fn full_agent_refuses() {
    let agents = Agents::listen();
    let url = agents.url();
    let server = Server::start(&format!(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{url}\"\nmax_calls = 1\n"
    ));
    for _ in 0..3 {
        let mut first = Phone::call(&server, "bot");
        let mut agent = agents.accept();
        first.wait_answer();
        let mut second = Phone::call(&server, "bot");
        let refusal = second.wait_refusal(503);
        assert_eq!(header(&refusal, "Retry-After"), "5");
        let wanted = json!({ "to": "sip:nobody@127.0.0.1:9", "agent": "bot" });
        let (status, body) = server.http("POST", "/api/v1/calls", Some(&wanted));
        assert_eq!(status, 503, "{body}");
        first.hang_up();
        agent.event("stop");
        server.wait_idle();
    }
    server.stop();
}

/// A route's second agent takes the calls for which the first has no place, at once.
#[test]
fn full_agent_leaves_the_call_to_the_fallback() {
    let (agents, others) = (Agents::listen(), Agents::listen());
    let server = Server::start(&format!(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{}\"\nmax_calls = 1\n\
         connect_timeout_ms = 60000\n[[agents]]\nname = \"other\"\nkind = \"websocket\"\n\
         url = \"{}\"\n[[routes]]\nto = \"*\"\nagent = \"bot\"\nfallback_agent = \"other\"\n",
        agents.url(),
        others.url()
    ));
    let mut first = Phone::call(&server, "1");
    let mut agent = agents.accept();
    first.wait_answer();
    let mut second = Phone::call(&server, "2");
    let mut other = others.accept();
    second.wait_answer();
    assert_eq!(other.start["resumed"], false);
    first.hang_up();
    agent.event("stop");
    let mut third = Phone::call(&server, "3");
    let mut again = agents.accept();
    third.wait_answer();
    for (phone, agent) in [(&mut second, &mut other), (&mut third, &mut again)] {
        phone.hang_up();
        agent.event("stop");
    }
    server.wait_idle();
    server.stop();
}
