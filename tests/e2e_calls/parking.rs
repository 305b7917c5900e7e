//! Calls that are put aside and taken up again, end to end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::Duration;

use serde_json::{Value, json};

use support::agent::Agents;
use support::callee::Callee;
use support::joined::{begin, hears_tone, sound, talk, talk_with_agent};
use support::phone::Phone;
use support::server::{self, Server};
use support::{until, until_told, wav};

const SOON: Duration = Duration::from_secs(15);
/// What is heard by callers who wait, and what the agent of the night says.
const MUSIC_HZ: f64 = 500.0;
const NIGHT_HZ: f64 = 1_200.0;

/// A server whose agent `bot` takes every call, and `night` those that it loses.
#[track_caller]
fn server(agents: &Agents) -> Server {
    let dir = server::folder();
    wav::write(&dir.join("music.wav"), &wav::sine(MUSIC_HZ, 1.0));
    Server::start_in(
        dir,
        &format!(
            "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{}\"\n\
             hold_music = \"{{dir}}/music.wav\"\n[[agents]]\nname = \"night\"\n\
             kind = \"builtin\"\nbuiltin = \"tone\"\nfrequency_hz = {NIGHT_HZ}\n\
             [[routes]]\nto = \"*\"\nagent = \"bot\"\nfallback_agent = \"night\"\n",
            agents.url()
        ),
    )
}

/// The caller is told that its session has this direction.
#[track_caller]
fn changed(caller: &mut Phone, direction: &str) {
    let line = format!("a={direction}");
    caller.until(&line, |caller| caller.changes.pop()?.contains(&line).then_some(()));
}

#[track_caller]
fn post(server: &Server, call: &str, what: &str, body: &Value) -> (u16, Value) {
    let (status, body) = server.http("POST", &format!("/api/v1/calls/{call}/{what}"), Some(body));
    (status, serde_json::from_str(&body).unwrap())
}

#[track_caller]
fn items(server: &Server, path: &str) -> Vec<Value> {
    let (status, body) = server.http("GET", path, None);
    assert_eq!(status, 200, "{body}");
    let list: Value = serde_json::from_str(&body).unwrap();
    list["items"].as_array().unwrap().clone()
}

/// What the log says of a call that has to do with its being put aside.
#[track_caller]
fn told(server: &Server, call: &str) -> Vec<(String, Value)> {
    let events = items(server, &format!("/api/v1/calls/{call}/events?limit=200"));
    let words = ["call.parked", "call.unparked", "call.park_timed_out"];
    let wanted = |event: &Value| {
        let kind = event["type"].as_str().unwrap().to_owned();
        words.contains(&kind.as_str()).then(|| (kind, event["data"].clone()))
    };
    events.iter().filter_map(wanted).collect()
}

/// A call that is put aside loses its agent and hears music; it is listed with its slot, and goes
/// back to its agent, or to a telephone, as it is told to.
#[test]
fn a_call_is_put_aside_and_taken_up_again() {
    let (agents, mut desk) = (Agents::listen(), Callee::ulaw());
    let server = server(&agents);
    let (mut caller, mut agent, id) = begin(&server, &agents);
    talk_with_agent(&mut caller, &mut agent, 1);
    let (status, parked) = post(&server, &id, "park", &json!({}));
    assert_eq!((status, &parked["slot"]), (200, &json!("701")), "{parked}");
    assert_eq!((&parked["call_id"], &parked["agent"]), (&json!(id), &json!("bot")), "{parked}");
    assert_eq!(agent.event("stop")["cause"], "transferred");
    hears_tone(&caller, MUSIC_HZ);
    let listed = items(&server, "/api/v1/parked");
    assert_eq!((listed.len(), &listed[0]["slot"]), (1, &json!("701")), "{listed:?}");
    assert_eq!(post(&server, &id, "park", &json!({})).0, 409);
    // Nobody is there who could stay.
    let options = json!({"stay": "talk"});
    let join = json!({"kind": "bridge", "destination": desk.uri(), "options": options});
    let (status, refused) = post(&server, &id, "transfer", &join);
    assert_eq!(status, 400, "{refused}");
    assert!(refused.to_string().contains("nobody is there to stay"), "{refused}");
    let (status, begun) = post(&server, &id, "unpark", &json!({}));
    assert_eq!((status, &begun["state"]), (202, &json!("requested")), "{begun}");
    let mut again = agents.accept();
    assert_eq!(again.start["call_id"], json!(id));
    assert_eq!(again.start["variables"]["parked_slot"], "701", "{}", again.start);
    talk_with_agent(&mut caller, &mut again, 2);
    assert!(items(&server, "/api/v1/parked").is_empty());
    assert_eq!(post(&server, &id, "unpark", &json!({})).0, 409);

    let (status, parked) = post(&server, &id, "park", &json!({"slot": "desk-1"}));
    assert_eq!((status, &parked["slot"]), (200, &json!("desk-1")), "{parked}");
    again.event("stop");
    let (status, _) = post(&server, &id, "unpark", &json!({"destination": desk.uri()}));
    assert_eq!(status, 202);
    desk.wait_call();
    hears_tone(&caller, MUSIC_HZ);
    desk.answer();
    talk(&mut caller, &mut desk, 3);
    desk.hang_up("");
    caller.wait_bye();
    server.wait_idle();
    let told = told(&server, &id);
    let words: Vec<&str> = told.iter().map(|(word, _)| word.as_str()).collect();
    let both = ["call.parked", "call.unparked"];
    assert_eq!(words, [both, both].concat(), "{told:?}");
    assert_eq!(told[3].1["slot"], "desk-1", "{told:?}");
    assert!(told[1].1["waited_ms"].as_u64().unwrap() >= 900, "{told:?}");
    server.stop();
}

/// A call may keep its agent: it is on hold then, and its agent has it back at once. No two calls
/// are in one slot, and what is no slot is refused.
#[test]
fn a_call_that_keeps_its_agent() {
    let agents = Agents::listen();
    let server = server(&agents);
    let (mut caller, mut agent, id) = begin(&server, &agents);
    let (mut other, mut others, second) = begin(&server, &agents);
    let wish = json!({"slot": "a", "keep_agent": true});
    let (status, parked) = post(&server, &id, "park", &wish);
    assert_eq!((status, &parked["keep_agent"]), (200, &json!(true)), "{parked}");
    changed(&mut caller, "sendonly");
    hears_tone(&caller, MUSIC_HZ);
    assert_eq!(post(&server, &second, "park", &json!({"slot": "a"})).0, 409);
    for wrong in [json!({"slot": "a b"}), json!({"timeout_s": 0}), json!({"slot": 7})] {
        assert_eq!(post(&server, &second, "park", &wrong).0, 400, "{wrong}");
    }
    let both = json!({"agent": "night", "call_id": second});
    assert_eq!(post(&server, &id, "unpark", &both).0, 400);
    let (status, back) = post(&server, &id, "unpark", &json!({}));
    assert_eq!((status, &back), (202, &json!({"state": "bridged"})));
    changed(&mut caller, "sendrecv");
    talk_with_agent(&mut caller, &mut agent, 4);
    // The agent may take it back by itself.
    assert_eq!(post(&server, &id, "park", &wish).0, 200);
    changed(&mut caller, "sendonly");
    agent.order("resume");
    changed(&mut caller, "sendrecv");
    until_told(SOON, "nobody is aside", || {
        items(&server, "/api/v1/parked").is_empty().then_some(())
    });
    talk_with_agent(&mut caller, &mut agent, 5);
    for (phone, agent) in [(&mut caller, &mut agent), (&mut other, &mut others)] {
        phone.hang_up();
        agent.event("stop");
    }
    server.wait_idle();
    server.stop();
}

/// A call that nobody takes up goes back to its agent, and to the route's fallback if that is not
/// there any more.
#[test]
fn a_call_that_nobody_takes_up() {
    let agents = Agents::listen();
    let server = server(&agents);
    let (mut caller, mut agent, id) = begin(&server, &agents);
    assert_eq!(post(&server, &id, "park", &json!({"timeout_s": 1})).0, 200);
    agent.event("stop");
    let mut again = agents.accept();
    talk_with_agent(&mut caller, &mut again, 6);
    assert_eq!(post(&server, &id, "park", &json!({"timeout_s": 1})).0, 200);
    again.event("stop");
    drop(agents);
    hears_tone(&caller, NIGHT_HZ);
    assert!(items(&server, "/api/v1/parked").is_empty());
    caller.hang_up();
    server.wait_idle();
    let told = told(&server, &id);
    let words: Vec<&str> = told.iter().map(|(word, _)| word.as_str()).collect();
    let both = ["call.parked", "call.park_timed_out"];
    assert_eq!(words, [both, both].concat(), "{told:?}");
    server.stop();
}

/// A call whose time is over while its caller hands its end on is left alone until that is done,
/// and goes back to its agent then.
#[test]
fn a_caller_hands_its_end_on_meanwhile() {
    let (agents, mut next) = (Agents::listen(), Callee::ulaw());
    let server = server(&agents);
    let (mut caller, mut agent, id) = begin(&server, &agents);
    assert_eq!(post(&server, &id, "park", &json!({"timeout_s": 1})).0, 200);
    agent.event("stop");
    caller.refer(&next.uri());
    next.wait_call();
    next.ring();
    until_told(SOON, "its time is over", || {
        (items(&server, "/api/v1/parked").first()?["left_ms"] == 0).then_some(())
    });
    hears_tone(&caller, MUSIC_HZ);
    next.answer();
    caller.wait_bye();
    let mut again = agents.accept();
    assert_eq!(again.start["variables"]["parked_slot"], "701", "{}", again.start);
    next.hang_up("");
    again.event("stop");
    server.wait_idle();
    let told = told(&server, &id);
    let words: Vec<&str> = told.iter().map(|(word, _)| word.as_str()).collect();
    assert_eq!(words, ["call.parked", "call.park_timed_out"], "{told:?}");
    server.stop();
}

/// Whoever dials a slot talks with the call that is there; a slot in which there is none is like
/// any other number.
#[test]
fn a_telephone_picks_a_call_up() {
    let agents = Agents::listen();
    let server = server(&agents);
    let (mut caller, mut agent, id) = begin(&server, &agents);
    assert_eq!(post(&server, &id, "park", &json!({})).0, 200);
    agent.event("stop");
    hears_tone(&caller, MUSIC_HZ);
    let mut desk = Phone::up(&server, "park-701");
    let (mine, yours) = (sound(7), sound(0x87));
    until(SOON, "both ways", || {
        caller.send(&mine, false);
        desk.send(&yours, false);
        let heard = desk.packets().iter().any(|packet| packet.payload == mine);
        (heard && caller.packets().iter().any(|packet| packet.payload == yours)).then_some(())
    });
    assert_eq!(server.calls().len(), 1, "the telephone is a leg of the call");
    assert!(items(&server, "/api/v1/parked").is_empty());
    let mut nobody = Phone::call(&server, "park-701");
    let mut other = agents.accept();
    nobody.wait_answer();
    nobody.hang_up();
    other.event("stop");
    desk.hang_up();
    caller.wait_bye();
    server.wait_idle();
    let told = told(&server, &id);
    assert_eq!(told.last().unwrap().0, "call.unparked", "{told:?}");
    server.stop();
}
