//! What load does to calls: the time lines of their frames, and who is refused when there are too
//! many.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use support::agent::Agents;
use support::api_carrier::{Api, NUMBER, about, call_id, configure, hook, hook_url};
use support::phone::{Phone, header};
use support::server::Server;
use support::until;

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// More calls than those with which a thread refuses none.
const MANY: usize = 34;

/// The server stands for so long, again and again, and runs for so long in between.
const STANDS: Duration = Duration::from_millis(30);
const RUNS: Duration = Duration::from_millis(70);

#[track_caller]
fn get(server: &Server, path: &str) -> Value {
    let (status, body) = server.http("GET", path, None);
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// The words for the steps that something tells of; each has bounds in their order.
#[track_caller]
fn steps(told: &Value) -> Vec<String> {
    let steps = told["stages"].as_array().unwrap();
    for step in steps {
        assert!(step["count"].as_u64().unwrap() > 0, "{step}");
        let (p50, p99) = (step["p50_us"].as_f64(), step["p99_us"].as_f64());
        assert!(p50.unwrap() <= p99.unwrap_or(f64::MAX), "{step}");
    }
    steps.iter().map(|step| step["stage"].as_str().unwrap().to_owned()).collect()
}

/// The steps of a call's frames are told while it lives and when it is over, and are those of its
/// way: to an agent and back, or back at once. The server's own and those of carriers add up.
#[test]
fn frames_have_a_time_line() {
    let agents = Agents::listen();
    let server = Server::start(&format!(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{}\"\n\
         [[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n",
        agents.url()
    ));
    let mut caller = Phone::call(&server, "bot");
    let mut agent = agents.accept();
    caller.wait_answer();
    let mut echoed = Phone::up(&server, "echo");
    let wanted =
        ["kernel_receive", "decode", "agent_out", "agent_in", "queue", "pacer", "kernel_send"];
    let echo = ["kernel_receive", "decode", "kernel_send"];
    let id = until(SOON, "the steps of both ways", || {
        caller.speak(&[0x30; 160 * 5]);
        echoed.speak(&[0x31; 160 * 5]);
        agent.play(0, &[0x32; 160 * 5]);
        // As a bot does: message by message.
        let calls = server.calls();
        let found = |agent: &str| calls.iter().find(|call| call["agent"] == agent).cloned();
        let (call, other) = (found("bot")?, found("echo")?);
        (steps(&call) == wanted && steps(&other) == echo).then(|| call["id"].clone())
    });
    let path = format!("/api/v1/calls/{}", id.as_str().unwrap());
    assert_eq!(steps(&get(&server, &path)), wanted);
    caller.hang_up();
    agent.event("stop");
    let over = until(SOON, "the call is over", || {
        Some(get(&server, &path)).filter(|call| call["state"] == "ended")
    });
    assert_eq!(steps(&over), wanted);
    assert!(over["quality"].get("stages").is_none(), "{over}");
    let node = get(&server, "/api/v1/server");
    let workers = node["workers"].as_array().unwrap();
    assert!(workers.iter().any(|worker| steps(worker).len() >= 3), "{node}");
    assert!(server.metric("talkpath_frame_stage_seconds_count{") > 20.0);
    assert!(server.metric("talkpath_carrier_stage_seconds_count{provider=\"none\"") > 20.0);
    echoed.hang_up();
    server.wait_idle();
    server.stop();
}

/// What an agent says waits for its turn as long as what it has said before lasts: an agent in real
/// time for the next packet, one that speaks four seconds ahead for longer than any bound.
#[test]
fn waits_for_a_turn_are_told() {
    let agents = Agents::listen();
    let server = Server::start(&format!(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{}\"\n",
        agents.url()
    ));
    for (ahead_ms, longest_us) in [(0, Some(200_000.0)), (4_000, None)] {
        let mut caller = Phone::call(&server, "bot");
        let mut agent = agents.accept();
        caller.wait_answer();
        let began = Instant::now();
        agent.play(0, &[0x32; 8].repeat(ahead_ms));
        let half = until(SOON, "some waits", || {
            // As much in a packet's time as a packet takes.
            let heard = caller.packets().len();
            until(SOON, "a packet", || (caller.packets().len() > heard).then_some(()));
            agent.play(0, &[0x33; 160]);
            let stages = server.calls()[0]["stages"].clone();
            let queue = stages.as_array()?.iter().find(|step| step["stage"] == "queue")?.clone();
            (queue["count"].as_u64()? > 4).then(|| queue["p50_us"].as_f64())
        });
        // Of a machine that took that long nothing is known: the four seconds may be over.
        if began.elapsed() < Duration::from_secs(3) {
            assert!(half <= longest_us && half.is_some() == longest_us.is_some(), "{half:?}");
        }
        caller.hang_up();
        agent.event("stop");
        server.wait_idle();
    }
    server.stop();
}

/// While frames are late nobody new is taken: callers by SIP are asked to come again, a carrier is
/// told that we are busy, the API and the probe for readiness answer 503, and all of it is told.
/// Calls that live go on. Once all is well, calls are taken again.
#[test]
fn nobody_is_taken_while_frames_are_late() {
    let server = Server::start(
        "[media]\nworkers = 1\n[limits]\nmax_lateness_ms = 10\n[[agents]]\nname = \"quiet\"\n\
         kind = \"builtin\"\nbuiltin = \"silence\"\n[[agents]]\nname = \"echo\"\n\
         kind = \"builtin\"\nbuiltin = \"echo\"\n",
    );
    let api = Api::start();
    let id = configure(&server, &api, "main", NUMBER);
    let voice = hook_url(&server, &api, &id, "voice");
    let mut phones: Vec<Phone> = Vec::new();
    until(SOON, "many calls", || {
        let mut phone = Phone::call(&server, "quiet");
        phone.wait_answer();
        phones.push(phone);
        (phones.len() >= MANY).then_some(())
    });
    let (over, stall) = (&AtomicBool::new(false), server.staller());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while !over.load(SeqCst) {
                stall(STANDS);
                std::thread::sleep(RUNS);
            }
        });
        until(SOON, "a thread that takes no calls", || {
            (get(&server, "/api/v1/server")["takes_calls"] == false).then_some(())
        });
        let heard = phones[0].packets().len();
        let mut late = Phone::call(&server, "quiet");
        let refusal = late.wait_refusal(503);
        assert_eq!(header(&refusal, "Retry-After"), "5");
        let offered = hook(&server, &voice, &about(&call_id(1), "ringing", "inbound"), false);
        assert!(offered.1.contains("<Reject reason=\"busy\""), "{offered:?}");
        let wanted = json!({ "to": "sip:nobody@127.0.0.1:9", "agent": "quiet" });
        let (status, body) = server.http("POST", "/api/v1/calls", Some(&wanted));
        assert!(status == 503 && body.contains("of the server is reached"), "{body}");
        assert_eq!(server.http("GET", "/readyz", None).0, 503);
        assert!(server.metric("talkpath_worker_overloaded{") > 0.0);
        assert!(server.metric("talkpath_calls_shed_total{direction=\"inbound\"}") >= 1.0);
        assert!(server.metric("talkpath_calls_shed_total{direction=\"outbound\"}") >= 1.0);
        until(SOON, "calls that go on", || (phones[0].packets().len() > heard + 25).then_some(()));
        over.store(true, SeqCst);
    });
    assert!(server.log().contains("no calls are taken"), "{}", server.log());
    until(SOON, "calls are taken again", || {
        (server.http("GET", "/readyz", None).0 == 200).then_some(())
    });
    for phone in &mut phones {
        phone.hang_up();
    }
    server.wait_idle();
    until(SOON, "a thread at rest", || {
        let node = get(&server, "/api/v1/server");
        (node["takes_calls"] == true && node["workers"][0]["busy_pct"] == 0).then_some(())
    });
    server.stop();
}
