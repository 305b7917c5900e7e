//! Calls of softphones that an agent hands to another softphone: blind, attended, and warm to a
//! registered user, each party known by its tone; and that the other hands on. A caller that leaves
//! has the other stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::Duration;

use serde_json::{Value, json};

use support::agent::{Agent, Agents};
use support::baresip::{self, Baresip, Setup};
use support::server::{self, Server};
use support::{talk, until, wav};

const SOON: Duration = Duration::from_secs(20);
/// The tones of the other softphones, and of what is whispered.
const B_HZ: f64 = 1336.0;
const C_HZ: f64 = 2000.0;
const WHISPER_HZ: f64 = 1800.0;

/// The server, with a user `bob` and a message of the agent's.
#[track_caller]
fn start() -> (Server, Agents) {
    let (agents, dir) = (Agents::listen(), server::folder());
    wav::write(&dir.join("brief.wav"), &wav::sine(WHISPER_HZ, 1.0));
    let config = format!(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{}\"\n\
         format = {{ codec = \"PCMU\" }}\nsounds = \"{{dir}}\"\n\
         [[users]]\nname = \"bob\"\npassword = \"wonderland\"\npeers = [\"127.0.0.1\"]\n\
         [[trunks]]\nname = \"phones\"\npeers = [\"127.0.0.1\"]\n",
        agents.url()
    );
    (Server::start_in(dir, &config), agents)
}

/// A softphone that says the other tone and answers every call.
#[track_caller]
fn other(server: &Server) -> Baresip {
    let wide = Some((wav::RATE_HZ, B_HZ));
    Baresip::start_with(server, &Setup { codecs: "PCMU", wide, ..Setup::default() })
}

/// A softphone that calls the agent, and talks with it.
#[track_caller]
fn caller(server: &Server, agents: &Agents) -> (Baresip, Agent) {
    let phone = Baresip::start(server, "PCMU", Some(&server.uri("bot")));
    let mut agent = talk::answered(agents);
    talk::talk(&mut agent, baresip::HZ);
    (phone, agent)
}

/// Waits until the agent is told `last`; its cause.
#[track_caller]
fn told(agent: &mut Agent, last: &str) -> Value {
    loop {
        let event = agent.event("transfer");
        if event["state"] == last {
            return event["cause"].clone();
        }
        assert_ne!(event["state"], "failed", "{event}");
    }
}

/// How much of a tone is somewhere in what was heard, in stretches of 100 ms.
fn heard(calls: &[Vec<i16>], hz: f64) -> usize {
    calls.iter().map(|samples| wav::listen(samples, hz, 3_000.0).own).sum()
}

/// The caller is asked to call the other, does so, and they hear each other: the server is out of
/// it.
#[test]
fn blind() {
    let Some(()) = baresip::installed() else { return };
    let (server, agents) = start();
    let b = other(&server);
    let (a, mut agent) = caller(&server, &agents);
    let to = format!("sip:alice@127.0.0.1:{}", b.port);
    agent.say(&json!({ "event": "transfer", "kind": "blind", "destination": to }));
    told(&mut agent, "bridged");
    assert_eq!(agent.event("stop")["cause"], "transferred");
    server.wait_idle();
    // It records for as long as it hears.
    until(SOON, "the other hears the caller", || b.has_heard(2).then_some(()));
    let (a, b) = (a.end_all(), b.end_all());
    assert!(heard(&a, B_HZ) >= 10, "the caller hears the other");
    assert!(heard(&b, baresip::HZ) >= 10, "the other hears the caller");
    assert_eq!(heard(&b, talk::AGENT_HZ), 0, "but never the agent");
    server.stop();
}

/// A registered user answers, is told what it is about and presses the key; meanwhile the caller
/// talks on with the agent (on hold, this phone keeps nothing of what it hears). Then both hear
/// each other, and neither hears what was for the other alone.
#[test]
fn warm() {
    let Some(()) = baresip::installed() else { return };
    let (server, agents) = start();
    let setup = Setup { codecs: "PCMU", wide: Some((wav::RATE_HZ, B_HZ)), ..Setup::default() };
    let b = Baresip::register_with(&server, server.sip, ("bob", "wonderland"), "udp", &setup);
    until(SOON, "bob is there", || (server.metric("talkpath_sip_bindings") > 0.0).then_some(()));
    let (a, mut agent) = caller(&server, &agents);
    agent.say(&json!({
        "event": "transfer", "kind": "warm", "destination": "bob",
        "options": {
            "whisper": "brief", "accept_digit": "1", "accept_timeout_s": 60, "hold": "false",
        },
    }));
    told(&mut agent, "answered");
    talk::talk(&mut agent, baresip::HZ);
    until(SOON, "bob is told", || b.has_heard(2).then_some(()));
    b.command_with("sndcode", "1");
    told(&mut agent, "accepted");
    told(&mut agent, "bridged");
    assert_eq!(agent.event("stop")["cause"], "transferred");
    let so_far = b.heard_bytes();
    until(SOON, "they talk", || (b.heard_bytes() > so_far + 48_000).then_some(()));
    assert_eq!(server.calls().len(), 1);
    let (a, b) = (a.end_all(), b.end_all());
    server.wait_idle();
    assert!(heard(&a, B_HZ) >= 10, "the caller hears bob");
    assert_eq!(heard(&a, WHISPER_HZ), 0, "the message is for bob alone");
    assert!(heard(&b, WHISPER_HZ) >= 5, "bob is told");
    assert!(heard(&b, baresip::HZ) >= 10, "bob hears the caller");
    assert_eq!(heard(&b, talk::AGENT_HZ), 0, "the agent is for the caller alone");
    server.stop();
}

/// The caller hangs up while the other is told what it is about: the other is let go.
#[test]
fn the_caller_leaves() {
    let Some(()) = baresip::installed() else { return };
    let (server, agents) = start();
    let b = other(&server);
    let (a, mut agent) = caller(&server, &agents);
    agent.say(&json!({
        "event": "transfer", "kind": "warm", "options": { "accept_digit": "1" },
        "destination": format!("sip:alice@127.0.0.1:{}", b.port),
    }));
    told(&mut agent, "answered");
    let id = agent.start["call_id"].as_str().unwrap().to_owned();
    a.command("hangup");
    until(SOON, "the other is let go", || b.log().contains("session closed").then_some(()));
    agent.event("stop");
    server.wait_idle();
    let (_, body) = server.http("GET", &format!("/api/v1/calls/{id}/transfers"), None);
    let page: Value = serde_json::from_str(&body).unwrap();
    let last = page["items"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["state"], &last["cause"]), (&json!("cancelled"), &json!("call_over")));
    let _ = (a.end_all(), b.end_all());
    server.stop();
}

/// The softphone that the agent called hands its caller to a third by its own REFER, and is let go;
/// the caller and the third hear each other.
#[test]
fn the_other_hands_on() {
    let Some(()) = baresip::installed() else { return };
    let (server, agents) = start();
    let b = other(&server);
    let wide = Some((wav::RATE_HZ, C_HZ));
    let c = Baresip::start_with(&server, &Setup { codecs: "PCMU", wide, ..Setup::default() });
    let (a, mut agent) = caller(&server, &agents);
    let id = agent.start["call_id"].as_str().unwrap().to_owned();
    let to = |phone: &Baresip| format!("sip:alice@127.0.0.1:{}", phone.port);
    agent.say(&json!({ "event": "transfer", "kind": "bridge", "destination": to(&b) }));
    told(&mut agent, "bridged");
    until(SOON, "b hears the caller", || b.has_heard(2).then_some(()));
    b.command_with("transfer", &to(&c));
    // It hangs up as soon as it is told that it is done.
    until(SOON, "b is let go", || b.log().contains("terminated").then_some(()));
    until(SOON, "c hears the caller", || c.has_heard(2).then_some(()));
    let (_, body) = server.http("GET", &format!("/api/v1/calls/{id}/transfers"), None);
    let page: Value = serde_json::from_str(&body).unwrap();
    let items = page["items"].as_array().unwrap();
    assert!(items.len() == 2 && items.iter().all(|one| one["state"] == "bridged"), "{page}");
    assert_eq!(server.calls().len(), 1, "it is the same call");
    let (a, b, c) = (a.end_all(), b.end_all(), c.end_all());
    server.wait_idle();
    assert!(heard(&a, B_HZ) >= 10 && heard(&a, C_HZ) >= 10, "the caller hears both in turn");
    assert!(heard(&b, baresip::HZ) >= 10, "b hears the caller");
    assert!(heard(&c, baresip::HZ) >= 10, "c hears the caller");
    assert_eq!((heard(&b, C_HZ), heard(&c, B_HZ)), (0, 0), "they never hear each other");
    server.stop();
}

/// Both softphones talk with an agent each; one agent joins its caller with the other's. The phone
/// knows no Replaces, so it rings the other anew, and the second agent lets go of its call.
#[test]
fn attended() {
    let Some(()) = baresip::installed() else { return };
    let (server, agents) = start();
    let wide = Some((wav::RATE_HZ, B_HZ));
    let dial = server.uri("bot");
    let setup = Setup { codecs: "PCMU", wide, dial: Some(&dial), ..Setup::default() };
    let b = Baresip::start_with(&server, &setup);
    let mut second = talk::answered(&agents);
    talk::talk(&mut second, B_HZ);
    let (a, mut agent) = caller(&server, &agents);
    let options = json!({ "call_id": second.start["call_id"] });
    agent.say(&json!({ "event": "transfer", "kind": "attended", "options": options }));
    told(&mut agent, "bridged");
    assert_eq!(agent.event("stop")["cause"], "transferred");
    second.say(&json!({ "event": "hangup", "after": "now" }));
    second.event("stop");
    server.wait_idle();
    let so_far = b.heard_bytes();
    until(SOON, "they talk", || (b.heard_bytes() > so_far + 48_000).then_some(()));
    let (a, b) = (a.end_all(), b.end_all());
    assert!(heard(&a, B_HZ) >= 10, "the caller hears the other");
    assert!(heard(&b, baresip::HZ) >= 10, "the other hears the caller");
    server.stop();
}
