//! Calls in which three talk: who joins hears the two others and is heard by both, nobody hears
//! itself, and whoever leaves leaves the others talking. Each is known by its tone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::agent::{Agent, Agents};
use support::callee::Callee;
use support::ear::{self, Rtp};
use support::joined::{begin, by_bot};
use support::phone::Phone;
use support::server::Server;
use support::{until, wav};

const SOON: Duration = Duration::from_secs(15);
/// The tones of the caller, of whoever is called, and of the agent.
const CALLER_HZ: f64 = 600.0;
const CALLEE_HZ: f64 = 1500.0;
const AGENT_HZ: f64 = 1000.0;
/// How long is talked, and how much of it must be heard, in seconds: a jitter buffer takes a moment
/// to begin, and a busy machine disturbs a stretch here and there.
const TALK_S: f64 = 4.0;
const HEARD_S: f64 = 2.0;
/// Packets from the beginning in which what was before may be heard: it was under way, waited in a
/// jitter buffer, or was concealed behind its end.
const SETTLE_PACKETS: u32 = 10;
/// Calls of the agent are recorded.
const TAPED: &str = "record = { folder = \"{dir}/tapes\" }";

/// The states that the agent is told, up to and with `last`.
#[track_caller]
fn states(agent: &mut Agent, last: &str) -> Vec<String> {
    let mut states = Vec::new();
    loop {
        let event = agent.event("transfer");
        states.push(event["state"].as_str().unwrap().to_owned());
        if event["state"] == last {
            return states;
        }
        assert_ne!(event["state"], "failed", "{event}");
    }
}

#[track_caller]
fn order(server: &Server, call: &str, body: &Value) -> (u16, Value) {
    let (status, body) = server.http("POST", &format!("/api/v1/calls/{call}/transfer"), Some(body));
    (status, serde_json::from_str(&body).unwrap())
}

/// What each of three has heard.
#[derive(Default)]
struct Heard {
    caller: Vec<i16>,
    callee: Vec<i16>,
    agent: Vec<i16>,
}

/// All who are there say their tones for a while; what they hear meanwhile, once nothing of before
/// is heard any more.
#[track_caller]
fn talk(caller: &mut Phone, callee: &mut Callee, mut agent: Option<&mut Agent>) -> Heard {
    let tone = |hz| wav::to_ulaw(&wav::sine(hz, 0.1)).repeat((TALK_S * 10.0) as usize);
    if let Some(agent) = &mut agent {
        agent.play(0, &tone(AGENT_HZ));
    }
    let (mine, yours) = (tone(CALLER_HZ), tone(CALLEE_HZ));
    let (began, mut heard): (_, Vec<Rtp>) = (Instant::now(), Vec::new());
    let mut before = (0, 0);
    for (n, (mine, yours)) in (0_u32..).zip(mine.chunks(160).zip(yours.chunks(160))) {
        let due = began + Duration::from_millis(20) * n;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        caller.send(mine, false);
        callee.say(yours);
        if let Some(agent) = &mut agent {
            agent.look();
        }
        if n == SETTLE_PACKETS {
            before = (caller.packets().len(), agent.as_ref().map_or(0, |it| it.frames.len()));
            while callee.try_hear().is_some() {}
        }
        if n > SETTLE_PACKETS {
            heard.extend(callee.try_hear());
        }
    }
    while let Some(packet) = callee.try_hear() {
        heard.push(packet);
    }
    let mut all = Heard { callee: ear::samples(&heard), ..Heard::default() };
    all.caller = ear::samples(&caller.packets()[before.0..]);
    if let Some(agent) = agent {
        // It is refused, and comes behind all that was heard before.
        agent.order("answer");
        assert_eq!(agent.event("error")["code"], "not_allowed");
        all.agent = ear::samples(&agent.frames[before.1..]);
    }
    all
}

/// Fails unless all of `tones` are heard together for long enough, and none of `others` ever.
#[track_caller]
fn assert_hears(who: &str, samples: &[i16], tones: &[f64], others: &[f64]) {
    let (together, others) = wav::stretches(samples, tones, others);
    assert!(together as f64 >= HEARD_S * 10.0, "{who} hears all of {tones:?} in {together}");
    assert_eq!(others, 0, "{who} hears what it should not");
}

/// Each of three hears the two others, and not itself.
#[track_caller]
fn assert_three(heard: &Heard) {
    assert_hears("the caller", &heard.caller, &[CALLEE_HZ, AGENT_HZ], &[CALLER_HZ]);
    assert_hears("the callee", &heard.callee, &[CALLER_HZ, AGENT_HZ], &[CALLEE_HZ]);
    assert_hears("the agent", &heard.agent, &[CALLER_HZ, CALLEE_HZ], &[AGENT_HZ]);
}

/// The agent's stream is one: numbers one by one, time that never jumps back.
#[track_caller]
fn assert_one_stream(agent: &Agent) {
    for pair in agent.frames.windows(2) {
        let [one, two] = pair else { unreachable!() };
        assert_eq!(two.ssrc, one.ssrc);
        assert_eq!(two.seq, one.seq.wrapping_add(1), "numbers jump");
        let step = two.ts.wrapping_sub(one.ts);
        assert!((1..8_000 * 10).contains(&step), "time jumps by {step}");
    }
}

/// Both channels of the only recording.
#[track_caller]
fn recording(server: &Server) -> (Vec<i16>, Vec<i16>) {
    let file = |folder: &Path| Some(std::fs::read_dir(folder).ok()?.next()?.unwrap().path());
    let path = file(&server.dir.join("tapes")).unwrap();
    server.wait_recorded(&path);
    let mut reader = hound::WavReader::open(path).unwrap();
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    samples.chunks_exact(2).map(|pair| (pair[0], pair[1])).unzip()
}

/// Somebody joins caller and agent, leaves, joins again, and has the caller when the agent hangs
/// up. All is in the recording.
#[test]
fn somebody_joins() {
    let (agents, mut callee) = (Agents::listen(), Callee::ulaw());
    let server = by_bot(&agents, "", TAPED);
    let (mut caller, mut agent, id) = begin(&server, &agents);
    let join = json!({
        "event": "transfer", "kind": "bridge", "destination": callee.uri(),
        "options": { "stay": "talk" },
    });
    agent.say(&join);
    callee.wait_call();
    callee.ring();
    callee.answer();
    let told = states(&mut agent, "bridged");
    assert_eq!(told, ["requested", "dialling", "ringing", "answered", "bridged"]);
    assert_three(&talk(&mut caller, &mut callee, Some(&mut agent)));
    agent.say(&join);
    assert_eq!(agent.event("transfer")["cause"], "bad_state", "there are three already");

    callee.hang_up("");
    let left = agent.event("transfer");
    assert_eq!((&left["state"], &left["cause"]), (&json!("left"), &json!("hung_up")), "{left}");
    let heard = talk_two(&mut caller, &mut agent);
    assert_hears("the caller", &heard.caller, &[AGENT_HZ], &[CALLEE_HZ, CALLER_HZ]);
    assert_hears("the agent", &heard.agent, &[CALLER_HZ], &[CALLEE_HZ, AGENT_HZ]);

    agent.say(&join);
    callee.wait_call();
    callee.answer();
    states(&mut agent, "bridged");
    assert_three(&talk(&mut caller, &mut callee, Some(&mut agent)));
    assert_one_stream(&agent);
    caller.assert_one_stream();
    agent.say(&json!({ "event": "hangup", "after": "now" }));
    assert_eq!(agent.event("stop")["cause"], "transferred");
    let heard = talk(&mut caller, &mut callee, None);
    assert_hears("the caller", &heard.caller, &[CALLEE_HZ], &[CALLER_HZ, AGENT_HZ]);
    assert_hears("the callee", &heard.callee, &[CALLER_HZ], &[CALLEE_HZ, AGENT_HZ]);
    caller.hang_up();
    callee.wait_request("BYE");
    server.wait_idle();

    let (left, right) = recording(&server);
    let seconds = |found: (usize, usize)| found.0 as f64 / 10.0;
    assert!(seconds(wav::stretches(&left, &[CALLER_HZ], &[])) >= 4.0 * HEARD_S);
    assert_eq!(wav::stretches(&left, &[CALLER_HZ], &[AGENT_HZ, CALLEE_HZ]).1, 0);
    assert!(seconds(wav::stretches(&right, &[CALLEE_HZ, AGENT_HZ], &[])) >= 2.0 * HEARD_S);
    assert_eq!(wav::stretches(&right, &[AGENT_HZ], &[CALLER_HZ]).1, 0);
    let path = format!("/api/v1/calls/{id}/events?limit=200");
    let (_, body) = server.http("GET", &path, None);
    let page: Value = serde_json::from_str(&body).unwrap();
    let moved = page["items"].as_array().unwrap().iter();
    let moved: Vec<_> = moved.filter(|it| it["type"] == "call.transfer").collect();
    let gone = moved.iter().find(|it| it["data"]["state"] == "left").expect("left is told");
    assert_eq!(gone["data"]["id"], moved[0]["data"]["id"], "of the transfer that joined them");
    let (_, body) = server.http("GET", &format!("/api/v1/calls/{id}/transfers"), None);
    let page: Value = serde_json::from_str(&body).unwrap();
    let kept = page["items"].as_array().unwrap();
    assert!(kept.len() == 2 && kept.iter().all(|it| it["state"] == "bridged"), "{page}");
    assert_eq!(kept[0]["options"]["stay"], "talk");
    server.stop();
}

/// The same of caller and agent alone.
#[track_caller]
fn talk_two(caller: &mut Phone, agent: &mut Agent) -> Heard {
    let tone = |hz| wav::to_ulaw(&wav::sine(hz, 0.1)).repeat((TALK_S * 10.0) as usize);
    agent.play(0, &tone(AGENT_HZ));
    let (began, mut before) = (Instant::now(), (0, 0));
    for (n, mine) in (0_u32..).zip(tone(CALLER_HZ).chunks(160)) {
        let due = began + Duration::from_millis(20) * n;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        caller.send(mine, false);
        agent.look();
        if n == SETTLE_PACKETS {
            before = (caller.packets().len(), agent.frames.len());
        }
    }
    agent.order("answer");
    assert_eq!(agent.event("error")["code"], "not_allowed");
    let agent = ear::samples(&agent.frames[before.1..]);
    let caller = ear::samples(&caller.packets()[before.0..]);
    Heard { caller, agent, ..Heard::default() }
}

/// Who answered is told what it is about, takes the call by a key, and joins; the agent listens,
/// and talks again when it is told to, or when the other is let go.
#[test]
fn an_agent_listens() {
    let (agents, mut callee) = (Agents::listen(), Callee::ulaw());
    let server = by_bot(&agents, "", TAPED);
    let (mut caller, mut agent, id) = begin(&server, &agents);
    agent.say(&json!({
        "event": "transfer", "kind": "warm", "destination": callee.uri(),
        "options": { "stay": "listen", "accept_digit": "1" },
    }));
    callee.wait_call();
    callee.answer();
    until(SOON, "the message", || callee.hear());
    let body = "Signal=1\r\nDuration=160\r\n";
    callee.request("INFO", "Content-Type: application/dtmf-relay\r\n", body);
    assert!(states(&mut agent, "bridged").contains(&"accepted".to_owned()));
    caller.until("its return", |caller| caller.changes.pop()?.contains("a=sendrecv").then_some(()));
    let heard = talk(&mut caller, &mut callee, Some(&mut agent));
    assert_hears("the caller", &heard.caller, &[CALLEE_HZ], &[CALLER_HZ, AGENT_HZ]);
    assert_hears("the callee", &heard.callee, &[CALLER_HZ], &[CALLEE_HZ, AGENT_HZ]);
    assert_hears("the agent", &heard.agent, &[CALLER_HZ, CALLEE_HZ], &[AGENT_HZ]);
    agent.order("unmute");
    assert_three(&talk(&mut caller, &mut callee, Some(&mut agent)));
    agent.order("mute");

    let (status, answer) = order(&server, &id, &json!({ "kind": "cancel" }));
    assert_eq!((status, &answer["state"]), (202, &json!("cancelled")), "{answer}");
    callee.wait_request("BYE");
    assert_eq!(agent.event("transfer")["cause"], "unwanted");
    let heard = talk_two(&mut caller, &mut agent);
    assert_hears("the caller", &heard.caller, &[AGENT_HZ], &[CALLEE_HZ]);
    let (status, answer) = order(&server, &id, &json!({ "kind": "leave" }));
    assert_eq!(status, 409, "nobody would be left: {answer}");
    caller.hang_up();
    server.wait_idle();
    server.stop();
}

/// An agent tells somebody what it is about while the caller is on hold, takes the caller back into
/// the conversation, and leaves them alone.
#[test]
fn a_consultation() {
    let (agents, mut callee) = (Agents::listen(), Callee::ulaw());
    let server = by_bot(&agents, "", TAPED);
    let (mut caller, mut agent, id) = begin(&server, &agents);
    agent.order("hold");
    caller.until("its hold", |caller| caller.changes.pop()?.contains("a=sendonly").then_some(()));
    agent.say(&json!({
        "event": "transfer", "kind": "bridge", "destination": callee.uri(),
        "options": { "stay": "talk" },
    }));
    callee.wait_call();
    callee.answer();
    states(&mut agent, "bridged");
    let heard = talk(&mut caller, &mut callee, Some(&mut agent));
    assert_hears("the callee", &heard.callee, &[AGENT_HZ], &[CALLER_HZ, CALLEE_HZ]);
    assert_hears("the agent", &heard.agent, &[CALLEE_HZ], &[CALLER_HZ, AGENT_HZ]);
    let others = &[AGENT_HZ, CALLEE_HZ];
    assert_eq!(wav::stretches(&heard.caller, &[], others).1, 0, "the caller is on hold");
    agent.order("resume");
    caller.until("its return", |caller| caller.changes.pop()?.contains("a=sendrecv").then_some(()));
    assert_three(&talk(&mut caller, &mut callee, Some(&mut agent)));
    let (status, answer) = order(&server, &id, &json!({ "kind": "leave" }));
    assert_eq!((status, &answer["state"]), (202, &json!("bridged")), "{answer}");
    assert_eq!(agent.event("stop")["cause"], "transferred");
    let heard = talk(&mut caller, &mut callee, None);
    assert_hears("the caller", &heard.caller, &[CALLEE_HZ], &[AGENT_HZ]);
    // Who has the call now may leave as anybody does.
    callee.hang_up("");
    caller.wait_bye();
    server.wait_idle();
    server.stop();
}

/// A call that was handed to a telephone: an agent joins both. When the telephone is gone the agent
/// has its caller alone; when the caller leaves, the call is over for all.
#[test]
fn an_agent_joins_a_bridge() {
    let (agents, others, mut callee) = (Agents::listen(), Agents::listen(), Callee::ulaw());
    let url = others.url();
    let more = format!("[[agents]]\nname = \"aide\"\nkind = \"websocket\"\nurl = \"{url}\"\n");
    let server = by_bot(&agents, &more, TAPED);
    let (mut caller, mut agent, id) = begin(&server, &agents);
    let join = json!({ "kind": "agent", "destination": "aide", "options": { "stay": "talk" } });
    let (status, answer) = order(&server, &id, &join);
    assert_eq!(status, 400, "two agents do not talk with each other: {answer}");
    let bridge = json!({ "event": "transfer", "kind": "bridge", "destination": callee.uri() });
    agent.say(&bridge);
    callee.wait_call();
    callee.answer();
    states(&mut agent, "bridged");
    agent.event("stop");
    assert_eq!(order(&server, &id, &join).0, 202);
    let mut aide = others.accept();
    assert_eq!(aide.start["state"], "answered");
    assert_three(&talk(&mut caller, &mut callee, Some(&mut aide)));
    // An agent that is lost is redialled, and the others talk on meanwhile.
    drop(aide);
    let mut aide = others.accept();
    assert_eq!(aide.start["resumed"], true);
    assert_three(&talk(&mut caller, &mut callee, Some(&mut aide)));
    callee.hang_up("");
    assert_eq!(aide.event("transfer")["state"], "left");
    let heard = talk_two(&mut caller, &mut aide);
    assert_hears("the caller", &heard.caller, &[AGENT_HZ], &[CALLEE_HZ]);
    aide.say(&json!({
        "event": "transfer", "kind": "bridge", "destination": callee.uri(),
        "options": { "stay": "talk" },
    }));
    callee.wait_call();
    callee.answer();
    states(&mut aide, "bridged");
    caller.hang_up();
    callee.wait_request("BYE");
    assert_eq!(aide.event("stop")["by"], "caller");
    server.wait_idle();
    server.stop();
}

/// Three telephones say their tones for a while, that of the agent at the desk; what they hear
/// meanwhile.
#[track_caller]
fn talk_three(caller: &mut Phone, desk: &mut Callee, callee: &mut Callee) -> Heard {
    let tone = |hz| wav::to_ulaw(&wav::sine(hz, 0.1)).repeat((TALK_S * 10.0) as usize);
    let (mine, yours) = (tone(CALLER_HZ), tone(CALLEE_HZ));
    let theirs = match desk.pt {
        8 => wav::to_alaw(&wav::sine(AGENT_HZ, 0.1)).repeat((TALK_S * 10.0) as usize),
        _ => tone(AGENT_HZ),
    };
    let before = caller.packets().len();
    let (mut at_desk, mut at_callee) = (Vec::new(), Vec::new());
    let began = Instant::now();
    for (n, at) in (0_u32..).zip((0..mine.len()).step_by(160)) {
        let due = began + Duration::from_millis(20) * n;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        caller.send(&mine[at..at + 160], false);
        desk.say(&theirs[at..at + 160]);
        callee.say(&yours[at..at + 160]);
        if n > 10 {
            at_desk.extend(desk.try_hear());
            at_callee.extend(callee.try_hear());
        }
    }
    at_desk.extend(std::iter::from_fn(|| desk.try_hear()));
    at_callee.extend(std::iter::from_fn(|| callee.try_hear()));
    Heard {
        caller: ear::samples(&caller.packets()[before..]),
        callee: ear::samples(&at_callee),
        agent: ear::samples(&at_desk),
    }
}

/// A caller that talks with the telephone at a desk, and the id of the call.
#[track_caller]
fn at_desk() -> (Server, Phone, Callee, String) {
    let mut desk = Callee::ulaw();
    let uri = desk.uri();
    let server =
        Server::start(&format!("[[agents]]\nname = \"desk\"\nkind = \"sip\"\nuri = \"{uri}\"\n"));
    let mut caller = Phone::call(&server, "desk");
    desk.wait_call();
    desk.answer();
    caller.wait_answer();
    let id = server.calls()[0]["id"].as_str().unwrap().to_owned();
    (server, caller, desk, id)
}

/// The API has another called to whom both are to talk: it has been reached.
#[track_caller]
fn called_too(server: &Server, id: &str) -> Callee {
    let mut callee = Callee::ulaw();
    let options = json!({ "stay": "talk" });
    let join = json!({ "kind": "bridge", "destination": callee.uri(), "options": options });
    assert_eq!(order(server, id, &join).0, 202);
    callee.wait_call();
    callee
}

/// Three telephones: a third joins two by the API, and the others talk on when the one at the
/// agent's end hangs up.
#[test]
fn three_telephones() {
    let (server, mut caller, mut desk, id) = at_desk();
    let mut callee = called_too(&server, &id);
    callee.answer();
    assert_three(&talk_three(&mut caller, &mut desk, &mut callee));
    desk.hang_up("");
    let heard = talk(&mut caller, &mut callee, None);
    assert_hears("the caller", &heard.caller, &[CALLEE_HZ], &[AGENT_HZ]);
    assert_hears("the callee", &heard.callee, &[CALLER_HZ], &[AGENT_HZ]);
    caller.hang_up();
    callee.wait_request("BYE");
    server.wait_idle();
    server.stop();
}

/// The telephone at the agent's end goes over to another codec while three talk: it hears the two
/// others in that, and they hear it.
#[test]
fn one_of_three_changes_its_codec() {
    let (server, mut caller, mut desk, id) = at_desk();
    let mut callee = called_too(&server, &id);
    callee.answer();
    assert_three(&talk_three(&mut caller, &mut desk, &mut callee));
    (desk.formats, desk.pt) = ("8 101".to_owned(), 8);
    desk.reinvite("sendrecv");
    assert_three(&talk_three(&mut caller, &mut desk, &mut callee));
    caller.hang_up();
    desk.wait_request("BYE");
    callee.wait_request("BYE");
    server.wait_idle();
    server.stop();
}

/// The telephone that was to stay hangs up before the other answers: caller and callee are two, and
/// when the callee hangs up nobody is left for the caller.
#[test]
fn whoever_was_to_stay_has_left() {
    let (server, mut caller, mut desk, id) = at_desk();
    let mut callee = called_too(&server, &id);
    desk.hang_up("");
    callee.answer();
    let heard = talk(&mut caller, &mut callee, None);
    assert_hears("the caller", &heard.caller, &[CALLEE_HZ], &[CALLER_HZ]);
    assert_hears("the callee", &heard.callee, &[CALLER_HZ], &[CALLEE_HZ]);
    callee.hang_up("");
    caller.wait_bye();
    server.wait_idle();
    server.stop();
}

/// Who waits for a caller on hold waits no longer once somebody has joined: the two talk, and the
/// caller with them when it is back.
#[test]
fn nobody_waits_among_three() {
    let (server, mut caller, mut desk, id) = at_desk();
    let hold = format!("/api/v1/calls/{id}/hold");
    assert_eq!(server.http("POST", &hold, Some(&json!({ "on": true }))).0, 204);
    caller.until("its hold", |caller| caller.changes.pop()?.contains("a=sendonly").then_some(()));
    assert!(desk.wait_request("INVITE").contains("a=sendonly"), "it waits for the caller");
    let mut callee = called_too(&server, &id);
    callee.answer();
    let back = desk.wait_request("INVITE");
    assert!(back.contains("a=sendrecv"), "{back}");
    assert_eq!(server.http("POST", &hold, Some(&json!({ "on": false }))).0, 204);
    caller.until("its return", |caller| caller.changes.pop()?.contains("a=sendrecv").then_some(()));
    assert_three(&talk_three(&mut caller, &mut desk, &mut callee));
    caller.hang_up();
    desk.wait_request("BYE");
    callee.wait_request("BYE");
    server.wait_idle();
    server.stop();
}
