//! Calls that are handed over: to somebody who is told before what it is about, to another agent;
//! and sounds that the API lets a caller hear.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use support::agent::{Agent, Agents};
use support::callee::Callee;
use support::files;
use support::joined::{at_desk, begin, by_bot, sound, talk, wait_message};
use support::phone::Phone;
use support::server::Server;
use support::{until, wav};

const SOON: Duration = Duration::from_secs(15);
/// The tone of the agent, and that of what the API plays.
const AGENT_HZ: f64 = 1000.0;
const PLAY_HZ: f64 = 1336.0;

/// The caller hears what the agent says, byte for byte.
#[track_caller]
fn hears(caller: &Phone, agent: &mut Agent, n: u8) {
    let mine = sound(n);
    until(SOON, "the agent", || {
        agent.play(0, &mine);
        caller.audio().windows(160).any(|window| window == mine).then_some(())
    });
}

#[track_caller]
fn items(server: &Server, path: &str) -> Vec<Value> {
    let (status, body) = server.http("GET", path, None);
    assert_eq!(status, 200, "{body}");
    let page: Value = serde_json::from_str(&body).unwrap();
    page["items"].as_array().unwrap().clone()
}

/// What became of the last transfer of a call.
#[track_caller]
fn transfer(server: &Server, call: &str) -> Value {
    items(server, &format!("/api/v1/calls/{call}/transfers")).pop().expect("a transfer")
}

/// Asks for a warm transfer to `callee`, who answers and is told something.
#[track_caller]
fn answered_warm(caller: &mut Phone, agent: &mut Agent, callee: &mut Callee, options: &Value) {
    agent.say(&json!({
        "event": "transfer", "kind": "warm", "destination": callee.uri(), "options": options,
    }));
    callee.wait_call();
    caller.until("its hold", |caller| caller.changes.pop()?.contains("a=sendonly").then_some(()));
    callee.ring();
    callee.answer();
    // Over and over: more than twice the tones and the pauses within them.
    wait_message(callee);
}

/// Who answers is told what it is about while the caller is on hold, presses the key, and talks
/// with the caller, on one stream from the message on; the agent is told each step and released.
#[test]
fn a_warm_transfer_is_accepted() {
    let (agents, mut callee) = (Agents::listen(), Callee::ulaw());
    let server = by_bot(&agents, "", "");
    let (mut caller, mut agent, id) = begin(&server, &agents);
    let options = json!({ "accept_digit": "1", "decline_digit": "2" });
    answered_warm(&mut caller, &mut agent, &mut callee, &options);
    callee.press('7');
    assert_eq!(transfer(&server, &id)["state"], "answered");
    callee.press('1');
    let (told, cause) = agent.transfer_states("bridged");
    let expected = ["requested", "dialling", "ringing", "answered", "accepted", "bridged"];
    assert_eq!((told, cause), (expected.map(str::to_owned).to_vec(), Value::Null));
    assert_eq!(agent.event("stop")["cause"], "transferred");
    assert_eq!(agent.wait_close(), 1000);
    caller.until("its return", |caller| caller.changes.pop()?.contains("a=sendrecv").then_some(()));
    talk(&mut caller, &mut callee, 1);
    let kept = transfer(&server, &id);
    assert_eq!((&kept["kind"], &kept["state"]), (&json!("warm"), &json!("bridged")), "{kept}");
    assert_eq!(kept["destination"], callee.uri());
    assert_eq!(kept["options"]["accept_digit"], "1");
    let events = items(&server, &format!("/api/v1/calls/{id}/events"));
    let moved: Vec<_> = events.iter().filter(|event| event["type"] == "call.transfer").collect();
    assert_eq!(moved.len(), expected.len());
    assert!(moved.iter().all(|event| event["data"]["id"] == kept["id"]), "{moved:?}");
    callee.hang_up("");
    caller.wait_bye();
    server.finish();
}

/// Declined, hung up, too late: the agent is told why and has its caller back.
#[test]
fn a_warm_transfer_that_nobody_takes() {
    let (agents, mut callee) = (Agents::listen(), Callee::ulaw());
    let server = by_bot(&agents, "", "");
    let (mut caller, mut agent, id) = begin(&server, &agents);
    for (n, expected) in ["declined", "hung_up", "not_accepted"].into_iter().enumerate() {
        let options = json!({
            "accept_digit": "1", "decline_digit": "2",
            "accept_timeout_s": if expected == "not_accepted" { "2" } else { "60" },
        });
        answered_warm(&mut caller, &mut agent, &mut callee, &options);
        match expected {
            "declined" => callee.press('2'),
            "hung_up" => callee.hang_up(""),
            _ => {}
        }
        if expected != "hung_up" {
            callee.wait_request("BYE");
        }
        let (_, cause) = agent.transfer_states("failed");
        assert_eq!(cause, expected);
        let back = |caller: &mut Phone| caller.changes.pop()?.contains("a=sendrecv").then_some(());
        caller.until("its return", back);
        hears(&caller, &mut agent, n as u8);
        let kept = transfer(&server, &id);
        assert_eq!((&kept["state"], &kept["cause"]), (&json!("failed"), &json!(expected)));
    }
    caller.hang_up();
    server.finish();
}

/// Without a key whoever answers has the call once it has been told. A caller that leaves while
/// somebody is told has that end, and the log says so; so does an agent that wants it no more.
#[test]
fn a_warm_transfer_without_a_key_and_given_up() {
    let (agents, mut callee) = (Agents::listen(), Callee::ulaw());
    let server = by_bot(&agents, "", "");
    let (mut caller, mut agent, _) = begin(&server, &agents);
    answered_warm(&mut caller, &mut agent, &mut callee, &json!({}));
    let (told, _) = agent.transfer_states("bridged");
    assert!(!told.contains(&"accepted".to_owned()), "{told:?}");
    talk(&mut caller, &mut callee, 2);
    caller.hang_up();
    callee.wait_request("BYE");
    server.wait_idle();

    let (mut caller, mut agent, id) = begin(&server, &agents);
    let keys = json!({ "accept_digit": "1" });
    answered_warm(&mut caller, &mut agent, &mut callee, &keys);
    agent.say(&json!({ "event": "transfer", "kind": "cancel" }));
    callee.wait_request("BYE");
    assert_eq!(agent.transfer_states("cancelled").1, "unwanted");
    let back = |caller: &mut Phone| caller.changes.pop()?.contains("a=sendrecv").then_some(());
    caller.until("its return", back);
    answered_warm(&mut caller, &mut agent, &mut callee, &keys);
    caller.hang_up();
    callee.wait_request("BYE");
    agent.event("stop");
    server.wait_idle();
    let all = items(&server, &format!("/api/v1/calls/{id}/transfers"));
    let causes: Vec<_> = all.iter().map(|one| (&one["state"], &one["cause"])).collect();
    let cancelled = json!("cancelled");
    let expected = [(&cancelled, &json!("unwanted")), (&cancelled, &json!("call_over"))];
    assert_eq!(causes, expected);
    assert!(all.iter().all(|one| one["ended_at"].is_string()));
    server.stop();
}

/// Another agent takes over: it is dialled while the old one talks, is told who had the call, and
/// is heard on the same stream; the old one is released. One that cannot be reached changes
/// nothing.
#[test]
fn another_agent_takes_over() {
    let (agents, others) = (Agents::listen(), Agents::listen());
    let url = others.url();
    let gone = Agents::listen().url();
    let more = format!(
        "[[agents]]\nname = \"sales\"\nkind = \"websocket\"\nurl = \"{url}\"\n\
         [[agents]]\nname = \"gone\"\nkind = \"websocket\"\nurl = \"{gone}\"\n\
         [[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n"
    );
    let server = by_bot(&agents, &more, "");
    let (mut caller, mut agent, id) = begin(&server, &agents);
    hears(&caller, &mut agent, 10);
    agent.say(&json!({ "event": "transfer", "kind": "agent", "destination": "gone" }));
    let (_, cause) = agent.transfer_states("failed");
    assert_eq!(cause, "agent_unreachable");
    agent.say(&json!({ "event": "transfer", "kind": "agent", "destination": "nobody" }));
    assert_eq!(agent.transfer_states("failed").1, "bad_agent");
    hears(&caller, &mut agent, 11);
    agent.say(&json!({
        "event": "transfer", "kind": "agent", "destination": "sales",
        "options": { "variable.ticket": "4711" },
    }));
    let mut next = others.accept();
    let (told, _) = agent.transfer_states("bridged");
    assert_eq!(told, ["requested", "dialling", "answered", "bridged"]);
    assert_eq!(agent.event("stop")["cause"], "transferred");
    assert_eq!(agent.wait_close(), 1000);
    assert_eq!(next.start["call_id"], id.as_str());
    assert_eq!((&next.start["state"], &next.start["resumed"]), (&json!("answered"), &json!(false)));
    let variables = &next.start["variables"];
    assert_eq!(
        (&variables["transferred_by"], &variables["ticket"]),
        (&json!("bot"), &json!("4711"))
    );
    hears(&caller, &mut next, 12);
    caller.assert_one_stream();
    caller.send(&sound(13), true);
    next.wait_frames(1);
    assert_eq!(server.calls()[0]["agent"], "sales");
    // The new agent is redialled when it is lost, like any other.
    drop(next);
    let mut again = others.accept();
    assert_eq!(again.start["resumed"], true);
    hears(&caller, &mut again, 14);
    // And the API hands the call on to one of this process.
    let path = format!("/api/v1/calls/{id}/transfer");
    let wanted = json!({ "kind": "agent", "destination": "echo" });
    assert_eq!(server.http("POST", &path, Some(&wanted)).0, 202);
    assert_eq!(again.event("stop")["cause"], "transferred");
    let mine = sound(15);
    until(SOON, "the echo", || {
        caller.send(&mine, false);
        caller.packets().iter().any(|packet| packet.payload == mine).then_some(())
    });
    caller.hang_up();
    server.finish();
}

/// Hands a WAV file in; status and answer.
#[track_caller]
fn play(server: &Server, call: &str, kind: &str, file: &[u8]) -> (u16, Value) {
    let path = format!("/api/v1/calls/{call}/play");
    post(server, &path, &format!("Bearer {}", server.key), kind, file)
}

#[track_caller]
fn post(server: &Server, path: &str, who: &str, kind: &str, body: &[u8]) -> (u16, Value) {
    let mut stream = TcpStream::connect(server.http).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let (host, length) = (server.http, body.len());
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {who}\r\n\
         Connection: close\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

/// Whether a stretch of µ-law is about this tone.
fn is_tone(codes: &[u8], hz: f64) -> bool {
    let samples: Vec<i16> = codes.iter().map(|code| wav::ulaw(*code)).collect();
    wav::amplitude(&samples, hz) > 7_000.0
}

/// A sound is heard behind what the agent had said and before what it says afterwards, whole, and
/// the log tells when; what is cleared is told to be; what is no WAV file is refused.
#[test]
fn a_sound_is_played_in_its_turn() {
    let agents = Agents::listen();
    let server = by_bot(&agents, "", "");
    let (mut caller, mut agent, id) = begin(&server, &agents);
    let said = |seconds: f64| wav::to_ulaw(&wav::sine(AGENT_HZ, seconds));
    agent.play(0, &said(1.0));
    agent.say(&json!({ "event": "mark", "name": "said" }));
    let sound = files::tone(&server, PLAY_HZ, 1.0);
    // What the agent sent before has been read when this is answered.
    agent.order("answer");
    assert_eq!(agent.event("error")["code"], "not_allowed");
    let (status, queued) = play(&server, &id, "audio/wav", &sound);
    assert_eq!((status, &queued["state"]), (202, &json!("queued")), "{queued}");
    assert_eq!(queued["length_ms"], 1000);
    // It has got there when this is answered.
    agent.say(&json!({ "event": "transfer", "kind": "cancel" }));
    assert_eq!(agent.transfer_states("failed").1, "bad_state");
    agent.play(0, &said(0.5));
    agent.say(&json!({ "event": "mark", "name": "end" }));
    assert_eq!(agent.event("mark")["name"], "said");
    assert_eq!(agent.event("mark")["samples"], 12_000, "the agent's own samples alone");
    let heard = caller.audio();
    let tones: Vec<char> = heard
        .chunks_exact(800)
        .map(|chunk| match (is_tone(chunk, AGENT_HZ), is_tone(chunk, PLAY_HZ)) {
            (true, false) => 'a',
            (false, true) => 'p',
            _ => '.',
        })
        .collect();
    let mut order: Vec<char> = tones.iter().copied().filter(|tone| *tone != '.').collect();
    let played = order.iter().filter(|tone| **tone == 'p').count();
    assert!((8..=10).contains(&played), "{tones:?}");
    order.dedup();
    assert_eq!(order, ['a', 'p', 'a'], "{tones:?}");
    caller.assert_one_stream();

    let (_, long) = play(&server, &id, "audio/x-wav", &files::tone(&server, PLAY_HZ, 30.0));
    until(SOON, "it begins", || {
        let heard = caller.audio();
        is_tone(heard.rchunks_exact(800).next()?, PLAY_HZ).then_some(())
    });
    assert_eq!(server.http("POST", &format!("/api/v1/calls/{id}/clear"), None).0, 204);
    hears(&caller, &mut agent, 20);
    let told: Vec<(Value, Value)> = items(&server, &format!("/api/v1/calls/{id}/events?limit=200"))
        .into_iter()
        .filter(|event| event["type"] == "call.play")
        .map(|event| (event["data"]["id"].clone(), event["data"]["state"].clone()))
        .collect();
    let of = |queued: &Value, state: &str| (queued["id"].clone(), json!(state));
    let expected = [
        of(&queued, "queued"),
        of(&queued, "started"),
        of(&queued, "played"),
        of(&long, "queued"),
        of(&long, "started"),
        of(&long, "cleared"),
    ];
    assert_eq!(told, expected);
    assert_eq!(play(&server, &id, "audio/wav", b"ID3").0, 400);
    assert_eq!(play(&server, &id, "audio/mpeg", &sound).0, 400);
    let nobody = "0199e3a2-5d1c-7a44-9c6f-2f8b64d1e0aa";
    assert_eq!(play(&server, nobody, "audio/wav", &sound).0, 404);
    caller.hang_up();
    server.wait_idle();
    assert_eq!(play(&server, &id, "audio/wav", &sound).0, 404);
    server.stop();
}

/// Two telephones that are joined hear a sound in the place of the other, and each other again
/// afterwards; a hold by the API is told to both, and each hears a sound meanwhile.
#[test]
fn joined_telephones() {
    let mut callee = Callee::ulaw();
    let server = at_desk(&callee, "");
    let mut caller = Phone::call(&server, "desk");
    callee.wait_call();
    callee.answer();
    caller.wait_answer();
    talk(&mut caller, &mut callee, 30);
    let id = server.calls()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(play(&server, &id, "audio/wav", &files::tone(&server, PLAY_HZ, 0.5)).0, 202);
    caller.wait_audio("the sound", |heard| {
        heard.rchunks_exact(800).take(8).any(|chunk| is_tone(chunk, PLAY_HZ)).then_some(())
    });
    talk(&mut caller, &mut callee, 31);
    let hold = |on: bool| {
        let path = format!("/api/v1/calls/{id}/hold");
        assert_eq!(server.http("POST", &path, Some(&json!({ "on": on }))).0, 204);
    };
    hold(true);
    let held = callee.wait_request("INVITE");
    assert!(held.contains("a=sendonly"), "{held}");
    caller.until("its hold", |caller| caller.changes.pop()?.contains("a=sendonly").then_some(()));
    let mut heard = 0;
    until(SOON, "a sound of ours", || {
        heard += usize::from(callee.hear().is_some());
        (heard > 30).then_some(())
    });
    hold(false);
    let back = callee.wait_request("INVITE");
    assert!(back.contains("a=sendrecv"), "{back}");
    caller.until("its return", |caller| caller.changes.pop()?.contains("a=sendrecv").then_some(()));
    talk(&mut caller, &mut callee, 32);
    caller.hang_up();
    callee.wait_request("BYE");
    server.finish();
}

/// An agent that was written for another carrier ends its call in that carrier's form, whatever
/// carried the call; with a wrong key or of a call that is not there it does not.
#[test]
fn a_call_is_ended_in_the_form_of_a_dialect() {
    use base64::Engine as _;
    let agents = Agents::listen();
    let server = by_bot(&agents, "", "");
    let (mut caller, mut agent, id) = begin(&server, &agents);
    let digits = id.replace('-', "");
    let basic = |key: &str| {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("AC{digits}:{key}"));
        format!("Basic {pair}")
    };
    let path = |call: &str| format!("/2010-04-01/Accounts/AC{digits}/Calls/{call}.json");
    let form = "application/x-www-form-urlencoded";
    let (own, body) = (path(&format!("CA{digits}")), b"Status=completed");
    assert_eq!(post(&server, &own, &basic("tp_wrong"), form, body).0, 401);
    let none = path("CA00000000000000000000000000000000");
    assert_eq!(post(&server, &none, &basic(&server.key), form, body).0, 404);
    assert_eq!(post(&server, &own, &basic(&server.key), form, b"Status=busy").0, 400);
    let (status, answer) = post(&server, &own, &basic(&server.key), form, body);
    assert_eq!((status, &answer["status"]), (200, &json!("completed")), "{answer}");
    caller.wait_bye();
    assert_eq!(agent.event("stop")["by"], "agent");
    server.finish();
}

/// A file that is named by a URL is fetched and heard; a redirection is not followed, and what
/// there is besides a WAV file is told.
#[test]
fn a_sound_is_fetched() {
    let agents = Agents::listen();
    let server = by_bot(&agents, "", "");
    let (mut caller, _agent, id) = begin(&server, &agents);
    let port = files::serve(vec![
        files::answer("200 OK", &files::tone(&server, PLAY_HZ, 1.0)),
        files::answer("302 Found\r\nLocation: http://127.0.0.1:1/", b""),
        files::answer("200 OK", b"no sound"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n".to_vec(),
    ]);
    let path = format!("/api/v1/calls/{id}/play");
    let fetch = |url: &str| server.http("POST", &path, Some(&json!({ "url": url })));
    let url = format!("http://127.0.0.1:{port}/a.wav?key=1");
    let (status, body) = fetch(&url);
    assert_eq!(status, 202, "{body}");
    caller.wait_audio("the sound", |heard| {
        heard.rchunks_exact(800).take(5).any(|chunk| is_tone(chunk, PLAY_HZ)).then_some(())
    });
    for (url, why) in [
        (url.as_str(), "302"),
        (url.as_str(), "no WAV file"),
        (url.as_str(), "more than"),
        ("http://127.0.0.1:1/", "cannot connect"),
        ("file:///etc/passwd", "https URL"),
        ("https://user:word@example.com/", "https URL"),
    ] {
        let (status, body) = fetch(url);
        assert_eq!(status, 400, "{url}: {body}");
        assert!(body.contains(why), "{url}: {body}");
    }
    caller.hang_up();
    server.finish();
}
