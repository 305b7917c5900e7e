//! Calls that wait for the next of several agents, end to end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::Duration;

use serde_json::{Value, json};

use support::agent::{Agent, Agents};
use support::callee::Callee;
use support::joined::{hears_tone, talk, talk_with_agent};
use support::phone::{Phone, header};
use support::server::{self, Server};
use support::{until_told, wav};

const SOON: Duration = Duration::from_secs(15);
/// What is heard by callers who wait, and what the agent of the night says.
const MUSIC_HZ: f64 = 500.0;
const NIGHT_HZ: f64 = 1_200.0;

/// A server whose queue `support` takes every call; `keys` are keys of the queue, `members` its
/// members.
#[track_caller]
fn server(agents: &Agents, keys: &str, members: &str) -> Server {
    let dir = server::folder();
    wav::write(&dir.join("music.wav"), &wav::sine(MUSIC_HZ, 1.0));
    Server::start_in(
        dir,
        &format!(
            "[[agents]]\nname = \"anna\"\nkind = \"websocket\"\nurl = \"{}\"\n\
             [[agents]]\nname = \"night\"\nkind = \"builtin\"\nbuiltin = \"tone\"\n\
             frequency_hz = {NIGHT_HZ}\n[[queues]]\nname = \"support\"\n\
             hold_music = \"{{dir}}/music.wav\"\n{keys}\n{members}\n\
             [[routes]]\nto = \"*\"\nagent = \"queue:support\"\n",
            agents.url()
        ),
    )
}

const ANNA: &str = "[[queues.members]]\nagent = \"anna\"";

#[track_caller]
fn read(server: &Server, path: &str) -> Value {
    let (status, body) = server.http("GET", path, None);
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[track_caller]
fn queue(server: &Server) -> Value {
    read(server, "/api/v1/queues/support")
}

/// Waits until so many calls wait.
#[track_caller]
fn wait_waiting(server: &Server, count: usize) -> Value {
    until_told(SOON, "calls wait", || {
        let queue = queue(server);
        (queue["waiting"] == count).then_some(queue)
    })
}

/// What the log says of a call's part in the queue.
#[track_caller]
fn told(server: &Server, call: &str) -> Vec<Value> {
    let events = read(server, &format!("/api/v1/calls/{call}/events?limit=200"));
    let events = events["items"].as_array().unwrap().clone();
    let queue = events.into_iter().filter(|event| event["type"] == "call.queue");
    queue.map(|event| event["data"].clone()).collect()
}

fn call_of(agent: &Agent) -> String {
    agent.start["call_id"].as_str().unwrap().to_owned()
}

/// Of two callers the second hears music until the first has ended, and talks with the same member
/// then; the queue, its figures and the log of the calls tell so.
#[test]
fn the_next_caller_is_served_when_the_first_has_ended() {
    let agents = Agents::listen();
    let server = server(&agents, "", ANNA);
    let mut first = Phone::up(&server, "100");
    let mut anna = agents.accept();
    assert_eq!(anna.start["variables"]["queue"], "support", "{}", anna.start);
    talk_with_agent(&mut first, &mut anna, 1);
    let mut second = Phone::up(&server, "100");
    hears_tone(&second, MUSIC_HZ);
    assert!(agents.try_accept().is_none(), "the member has one call at once");
    let waits = wait_waiting(&server, 1);
    assert_eq!((&waits["served"], &waits["members"][0]["calls"]), (&json!(1), &json!(1)));
    assert_eq!(waits["calls"][0]["position"], 1, "{waits}");
    assert!(waits["longest_wait_ms"].as_u64().unwrap() >= 900, "{waits}");
    assert!((server.metric("talkpath_queue_waiting{queue=\"support\"}") - 1.0).abs() < 0.1);
    assert!(server.metric("talkpath_queue_longest_wait_seconds") > 0.9);
    assert_eq!(read(&server, "/api/v1/queues")["items"].as_array().unwrap().len(), 1);
    first.hang_up();
    anna.event("stop");
    let mut again = agents.accept();
    assert_eq!(call_of(&again), waits["calls"][0]["id"].as_str().unwrap());
    let waited_ms: u64 =
        again.start["variables"]["queue_waited_ms"].as_str().unwrap().parse().unwrap();
    assert!(waited_ms >= 900, "{waited_ms}");
    talk_with_agent(&mut second, &mut again, 2);
    let call = call_of(&again);
    second.hang_up();
    again.event("stop");
    server.wait_idle();
    let told = told(&server, &call);
    let states: Vec<_> = told.iter().map(|data| data["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["joined", "answered"], "{told:?}");
    assert_eq!((&told[0]["position"], &told[1]["member"]), (&json!(1), &json!("anna")));
    assert!(told[1]["waited_ms"].as_u64().unwrap() >= 900, "{told:?}");
    let over = queue(&server);
    assert_eq!((&over["served"], &over["abandoned"]), (&json!(2), &json!(0)), "{over}");
    assert_eq!((&over["waiting"], &over["members"][0]["calls"]), (&json!(0), &json!(0)));
    assert_eq!(server.http("GET", "/api/v1/queues/sales", None).0, 404);
    server.stop();
}

/// A caller who leaves while it waits frees its place: those behind it move up, and the next of
/// them is served.
#[test]
fn a_caller_who_leaves_frees_its_place() {
    let agents = Agents::listen();
    let server = server(&agents, "max_waiting = 3", ANNA);
    let mut first = Phone::up(&server, "100");
    let mut anna = agents.accept();
    let mut second = Phone::up(&server, "100");
    let leaver = wait_waiting(&server, 1)["calls"][0]["id"].as_str().unwrap().to_owned();
    let mut third = Phone::up(&server, "100");
    let waits = wait_waiting(&server, 2);
    let stayer = waits["calls"][1]["id"].as_str().unwrap().to_owned();
    second.hang_up();
    let waits = wait_waiting(&server, 1);
    assert_eq!((&waits["calls"][0]["id"], &waits["abandoned"]), (&json!(stayer), &json!(1)));
    first.hang_up();
    anna.event("stop");
    let mut again = agents.accept();
    assert_eq!(call_of(&again), stayer);
    talk_with_agent(&mut third, &mut again, 3);
    third.hang_up();
    again.event("stop");
    server.wait_idle();
    let told = told(&server, &leaver);
    assert_eq!(told.last().unwrap()["state"], "abandoned", "{told:?}");
    server.stop();
}

/// A telephone that does not answer in time is passed over for a while, and the next member gets
/// the call; one that answers talks with the caller.
#[test]
fn a_member_that_does_not_answer_is_passed_over() {
    let (agents, mut desk) = (Agents::listen(), Callee::ulaw());
    let members =
        format!("[[queues.members]]\ndestination = \"{}\"\nmax_calls = 2\n{ANNA}", desk.uri());
    let keys = "strategy = \"in_order\"\nring_timeout_s = 1\nrest_s = 3600";
    let server = server(&agents, keys, &members);
    let mut caller = Phone::up(&server, "100");
    desk.wait_call();
    desk.ring();
    hears_tone(&caller, MUSIC_HZ);
    desk.wait_cancel();
    let mut anna = agents.accept();
    talk_with_agent(&mut caller, &mut anna, 4);
    let queue = queue(&server);
    assert!(queue["members"][0]["rests_ms"].as_u64().unwrap() > 3_500_000, "{queue}");
    assert_eq!((&queue["members"][0]["calls"], &queue["served"]), (&json!(0), &json!(1)));
    caller.hang_up();
    anna.event("stop");
    server.wait_idle();
    server.stop();
}

/// A telephone that a queue calls by itself talks with the caller, and is free again when it has
/// hung up.
#[test]
fn a_telephone_is_a_member() {
    let (agents, mut desk) = (Agents::listen(), Callee::ulaw());
    let members = format!("[[queues.members]]\ndestination = \"{}\"", desk.uri());
    let server = server(&agents, "", &members);
    for n in 5..7 {
        let mut caller = Phone::up(&server, "100");
        desk.wait_call();
        desk.answer();
        talk(&mut caller, &mut desk, n);
        assert_eq!(queue(&server)["members"][0]["calls"], 1);
        desk.hang_up("");
        caller.wait_bye();
        server.wait_idle();
        assert_eq!(queue(&server)["members"][0]["calls"], 0);
    }
    server.stop();
}

/// Beyond its places a queue refuses callers as busy, before they are answered; a transfer there is
/// refused, too.
#[test]
fn a_full_queue_is_busy() {
    let agents = Agents::listen();
    let server = server(&agents, "max_waiting = 1", ANNA);
    let mut first = Phone::up(&server, "100");
    let mut anna = agents.accept();
    let mut second = Phone::up(&server, "100");
    wait_waiting(&server, 1);
    let refusal = Phone::call(&server, "100").wait_refusal(486);
    assert!(header(&refusal, "Reason").contains("busy"), "{refusal}");
    anna.say(&json!({"event": "transfer", "kind": "agent", "destination": "queue:support"}));
    let failed = anna.event("transfer");
    assert_eq!((&failed["state"], &failed["cause"]), (&json!("failed"), &json!("agent_full")));
    talk_with_agent(&mut first, &mut anna, 8);
    second.hang_up();
    // Now there is a place: whoever hands its call to the queue gets it next.
    wait_waiting(&server, 0);
    anna.say(&json!({"event": "transfer", "kind": "agent", "destination": "queue:support"}));
    assert_eq!(anna.event("stop")["cause"], "transferred");
    let mut again = agents.accept();
    talk_with_agent(&mut first, &mut again, 9);
    first.hang_up();
    again.event("stop");
    server.wait_idle();
    server.stop();
}

/// Who has waited as long as it may goes to whoever takes the overflow; without anybody the call
/// ends as busy.
#[test]
fn who_has_waited_too_long_goes_elsewhere() {
    for overflow in ["overflow_agent = \"night\"", ""] {
        let agents = Agents::listen();
        let server = server(&agents, &format!("max_wait_s = 1\n{overflow}"), ANNA);
        let mut first = Phone::up(&server, "100");
        let mut anna = agents.accept();
        let mut second = Phone::up(&server, "100");
        if overflow.is_empty() {
            let bye = second.wait_bye();
            assert!(header(&bye, "Reason").contains("busy"), "{bye}");
        } else {
            hears_tone(&second, NIGHT_HZ);
            second.hang_up();
        }
        let queue = queue(&server);
        assert_eq!((&queue["overflowed"], &queue["waiting"]), (&json!(1), &json!(0)), "{queue}");
        talk_with_agent(&mut first, &mut anna, 10);
        first.hang_up();
        anna.event("stop");
        server.wait_idle();
        server.stop();
    }
}

/// A caller for whom a telephone is being called when its time is over waits on, and talks with
/// whoever answers there: it has not overflowed.
#[test]
fn who_is_called_for_when_the_time_is_over_waits_on() {
    let (agents, mut desk) = (Agents::listen(), Callee::ulaw());
    let server = server(&agents, "max_wait_s = 2", ANNA);
    let mut first = Phone::up(&server, "100");
    let mut anna = agents.accept();
    let mut second = Phone::up(&server, "100");
    let waits = wait_waiting(&server, 1);
    let call = waits["calls"][0]["id"].as_str().unwrap();
    let wanted = json!({"kind": "bridge", "destination": desk.uri()});
    let path = format!("/api/v1/calls/{call}/transfer");
    let (status, body) = server.http("POST", &path, Some(&wanted));
    assert_eq!(status, 202, "{body}");
    desk.wait_call();
    desk.ring();
    until_told(SOON, "a caller that has waited longer than it may", || {
        let longest_ms = queue(&server)["longest_wait_ms"].as_u64().unwrap();
        (longest_ms > 3_500).then_some(())
    });
    desk.answer();
    talk(&mut second, &mut desk, 5);
    let queue = queue(&server);
    assert_eq!((&queue["overflowed"], &queue["waiting"]), (&json!(0), &json!(0)), "{queue}");
    desk.hang_up("");
    second.wait_bye();
    let told = told(&server, call);
    let states: Vec<_> = told.iter().map(|data| data["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["joined", "left"], "{told:?}");
    talk_with_agent(&mut first, &mut anna, 10);
    first.hang_up();
    anna.event("stop");
    server.wait_idle();
    server.stop();
}

/// A caller who waits may be put aside with what it hears, and picked up by a telephone: it has
/// left the queue then, and no member that is free takes it away from there.
#[test]
fn who_is_picked_up_waits_no_longer() {
    let agents = Agents::listen();
    let server = server(&agents, "", ANNA);
    let mut first = Phone::up(&server, "100");
    let mut anna = agents.accept();
    let mut second = Phone::up(&server, "100");
    let waits = wait_waiting(&server, 1);
    let call = waits["calls"][0]["id"].as_str().unwrap();
    let path = format!("/api/v1/calls/{call}/park");
    let (status, body) = server.http("POST", &path, Some(&json!({"keep_agent": true})));
    assert_eq!(status, 200, "{body}");
    let held = |phone: &mut Phone| phone.changes.pop()?.contains("a=sendonly").then_some(());
    second.until("it is on hold", held);
    let mut desk = Phone::up(&server, "park-701");
    wait_waiting(&server, 0);
    first.hang_up();
    anna.event("stop");
    until_told(SOON, "the member is free", || {
        (queue(&server)["members"][0]["calls"] == 0).then_some(())
    });
    assert!(agents.try_accept().is_none(), "a member is rung for it");
    let told = told(&server, call);
    let states: Vec<_> = told.iter().map(|data| data["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["joined", "left"], "{told:?}");
    desk.hang_up();
    second.wait_bye();
    server.wait_idle();
    server.stop();
}
