//! What becomes of a call whose agent breaks, closes, or comes by itself (`docs/protocol.md`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::Duration;

use serde_json::json;

use support::agent::{Agent, Agents};
use support::phone::{Phone, header};
use support::server::{self, Server};
use support::{until, wav};

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(10);

/// The entry of an agent that is dialled.
fn entry(name: &str, agents: &Agents, more: &str) -> String {
    let url = agents.url();
    format!("[[agents]]\nname = \"{name}\"\nkind = \"websocket\"\nurl = \"{url}\"\n{more}\n")
}

/// An answered call with its agent.
fn connected(server: &Server, agents: &Agents) -> (Phone, Agent) {
    let mut phone = Phone::call(server, "bot");
    let mut agent = agents.accept();
    phone.wait_answer();
    agent.event("answered");
    (phone, agent)
}

/// An agent that dies in mid-call is dialled again: the new socket begins with `resumed`, in the
/// state that the call has, for the same call; meanwhile the caller hears noise, and then the
/// agent again, whose account begins at zero.
#[test]
fn lost_agent_is_dialled_again() {
    let agents = Agents::listen();
    let server = Server::start(&entry("bot", &agents, ""));
    let (mut phone, agent) = connected(&server, &agents);
    let call = agent.start["call_id"].clone();
    assert_eq!(agent.start["resumed"], false);
    // Without a close frame: the connection just ends.
    drop(agent);
    let heard = phone.audio().len();
    phone.wait_audio("comfort noise", |audio| {
        let codes = audio.get(heard..)?;
        codes.iter().any(|code| code & 0x7f != 0x7f).then_some(())
    });
    let mut agent = agents.accept();
    let start = &agent.start;
    assert_eq!((&start["call_id"], &start["resumed"]), (&call, &json!(true)), "{start}");
    assert_eq!(start["state"], "answered");
    let audio = [0x20_u8; 1_600];
    agent.play(0, &audio);
    agent.say(&json!({ "event": "mark", "name": "again" }));
    assert_eq!(agent.event("mark")["samples"], 1_600);
    phone.wait_audio("the agent again", |heard| {
        heard.windows(audio.len()).any(|window| window == audio).then_some(())
    });
    phone.speak(&[0x30; 800]);
    agent.wait_frames(5);
    phone.assert_one_stream();
    phone.hang_up();
    assert_eq!(agent.event("stop")["by"], "caller");
    server.wait_idle();
    server.stop();
}

/// An agent that does not come back within its grace ends the call, with a reason.
#[test]
fn call_ends_when_the_grace_is_over() {
    let agents = Agents::listen();
    let server = Server::start(&entry("bot", &agents, "grace_ms = 500"));
    let (mut phone, agent) = connected(&server, &agents);
    drop(agents);
    drop(agent);
    let bye = phone.wait_bye();
    assert!(header(&bye, "Reason").contains("agent_lost"), "{bye}");
    server.wait_idle();
    server.stop();
}

/// A route's message is played to its end when the agent does not come back; then the call ends.
#[test]
fn message_is_played_when_the_grace_is_over() {
    let agents = Agents::listen();
    let folder = server::folder();
    wav::write(&folder.join("sorry.wav"), &wav::sine(1_000.0, 1.0));
    let config = entry("bot", &agents, "grace_ms = 300")
        + "[[routes]]\nto = \"*\"\nagent = \"bot\"\nfallback_message = \"{dir}/sorry.wav\"\n";
    let server = Server::start_in(folder, &config);
    let (mut phone, agent) = connected(&server, &agents);
    drop(agents);
    drop(agent);
    phone.wait_bye();
    phone.wait_audio("a second of the message", |audio| {
        let samples: Vec<i16> = audio.iter().map(|code| wav::ulaw(*code)).collect();
        (9..=10).contains(&wav::listen(&samples, 1_000.0, 697.0).own).then_some(())
    });
    server.wait_idle();
    server.stop();
}

/// A route's second agent takes over when the first does not come back; for it the call is new.
#[test]
fn second_agent_takes_over_when_the_grace_is_over() {
    let (agents, others) = (Agents::listen(), Agents::listen());
    let config = entry("bot", &agents, "grace_ms = 300")
        + &entry("other", &others, "")
        + "[[routes]]\nto = \"*\"\nagent = \"bot\"\nfallback_agent = \"other\"\n";
    let server = Server::start(&config);
    let (mut phone, agent) = connected(&server, &agents);
    let call = agent.start["call_id"].clone();
    drop(agents);
    drop(agent);
    let mut other = others.accept();
    let start = &other.start;
    assert_eq!((&start["call_id"], &start["resumed"]), (&call, &json!(false)), "{start}");
    assert_eq!(start["state"], "answered");
    phone.speak(&[0x30; 800]);
    other.wait_frames(5);
    phone.hang_up();
    other.event("stop");
    assert_eq!(other.wait_close(), 1000);
    server.wait_idle();
    server.stop();
}

/// An agent that closes with 1000 hangs up, after all that it said has been played.
#[test]
fn close_1000_hangs_up_after_playout() {
    let agents = Agents::listen();
    let server = Server::start(&entry("bot", &agents, ""));
    let (mut phone, mut agent) = connected(&server, &agents);
    let audio = [0x21_u8; 4_800];
    agent.play(0, &audio);
    agent.close();
    assert_eq!(agent.wait_close(), 1000);
    phone.wait_bye();
    phone.wait_audio("all that was played", |heard| {
        heard.windows(audio.len()).any(|window| window == audio).then_some(())
    });
    assert!(agents.try_accept().is_none(), "nobody is missed");
    server.wait_idle();
    server.stop();
}

/// An agent that cannot be reached at all: the call is refused with 480 and a reason.
#[test]
fn unreachable_agent_refuses_the_call() {
    let agents = Agents::listen();
    let config = entry("bot", &agents, "connect_timeout_ms = 300");
    drop(agents);
    let server = Server::start(&config);
    let mut phone = Phone::call(&server, "bot");
    let refusal = phone.wait_refusal(480);
    assert!(header(&refusal, "Reason").contains("agent_unreachable"), "{refusal}");
    server.wait_idle();
    server.stop();
}

/// An agent attaches to the call that waits for it: only with a valid key (401), to a call that
/// is there (404), once (409); the audio flows as with one that was dialled.
#[test]
fn agent_attaches() {
    let server = Server::start(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nattach = true\n\
         connect_timeout_ms = 20000\n",
    );
    let mut phone = Phone::call(&server, "bot");
    phone.wait_status(180);
    let id = until(SOON, "the call", || {
        Some(server.calls().first()?["id"].as_str().unwrap().to_owned())
    });
    let key = server.key.clone();
    let attach = |id: &str, key: &str| Agent::attach(server.http, id, key);
    assert_eq!(attach(&id, "tp_wrong").err(), Some(401));
    assert_eq!(attach("0192f0c1-7b7e-7c3a-9a51-2f8e6f1d4c11", &key).err(), Some(404));
    assert_eq!(attach("nonsense", &key).err(), Some(404));
    let mut agent = attach(&id, &key).unwrap();
    assert_eq!(agent.start["call_id"], id.as_str());
    phone.wait_answer();
    agent.event("answered");
    assert_eq!(attach(&id, &key).err(), Some(409));
    let audio = [0x22_u8; 1_600];
    agent.play(0, &audio);
    phone.wait_audio("the agent", |heard| {
        heard.windows(audio.len()).any(|window| window == audio).then_some(())
    });
    phone.speak(&[0x30; 800]);
    agent.wait_frames(5);
    assert!(agent.frames.iter().all(|frame| frame.payload == [0x30; 160]));
    phone.hang_up();
    assert_eq!(agent.event("stop")["cause"], "normal");
    assert_eq!(agent.wait_close(), 1000);
    server.wait_idle();
    server.stop();
}
