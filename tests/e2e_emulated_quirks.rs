//! Carriers that have a bad day: webhooks twice, out of order or never; odd frames; marks that are
//! lost; media sockets that break; an API that refuses, fails, says nonsense or nothing. The call
//! ends in the right state with the right cause all the same, and nothing is left of it.
#![cfg(feature = "emulate")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::time::Duration;

use adapters::emulate::Command;
use serde_json::json;
use support::emulated::{
    Emulated, NUMBER, PERSON, agent_hears, at_once, called, dialled, each, noise, only_record,
    record, says, set_up, start, talk,
};
use support::ports::Ports;
use support::server::{Server, folder};
use support::{until, until_told, wav};

/// Webhooks about the state of a call that come twice, in the wrong order or never change nothing
/// of calls in or out.
#[test]
fn webhooks_are_repeated_swapped_or_lost() {
    for quirk in ["hooks-twice", "hooks-swapped", "hooks-lost"] {
        each(|carrier| {
            let (server, agents, mut emulated) = start(carrier, &[quirk]);
            let (call, mut agent) = called(&agents, &mut emulated);
            talk(&mut emulated, &call, &mut agent, 21);
            emulated.does(Command::Hangup(call.clone()));
            emulated.ends(&call);
            let stop = agent.event("stop");
            assert_eq!((&stop["cause"], &stop["by"]), (&json!("normal"), &json!("caller")));
            record(&server, agent.start["call_id"].as_str().unwrap());
            let id = emulated.place(&server, "bot", 30);
            let mut agent = agents.accept();
            let call = emulated.rings();
            emulated.does(Command::Answer(call.clone()));
            emulated.streams(&call);
            talk(&mut emulated, &call, &mut agent, 22);
            agent.order("hangup");
            assert_eq!(emulated.ends(&call), carrier.over);
            let record = record(&server, &id);
            assert_eq!(
                (&record["status"], &record["cause"]),
                (&json!("completed"), &json!("normal")),
                "{quirk}"
            );
            emulated.assert_content();
            server.stop();
        });
    }
}

/// Frames that come in bursts, or are longer or shorter than usual, are heard whole.
#[test]
fn frames_come_oddly() {
    each(|carrier| {
        for quirk in ["burst=5".to_owned(), format!("frame={}", carrier.odd_bytes)] {
            let (server, agents, mut emulated) = start(carrier, &[&quirk]);
            let (call, mut agent) = called(&agents, &mut emulated);
            let said = noise(emulated.format.bytes(1000), 31);
            emulated.speaks(&call, &said);
            agent_hears(&mut agent, &said);
            emulated.does(Command::Hangup(call.clone()));
            emulated.ends(&call);
            only_record(&server);
            server.stop();
        }
    });
}

/// A stream that turns out to be A-law is heard as what was said; where no other law than µ-law is
/// known, the call ends as one that the network failed.
#[test]
fn audio_is_a_law() {
    each(|carrier| {
        if !matches!(carrier.name, "cloudonix" | "telnyx" | "twilio") {
            return;
        }
        let (server, agents, mut emulated) = start(carrier, &["alaw"]);
        let (call, mut agent) = dialled(&agents, &mut emulated);
        if carrier.name != "telnyx" {
            emulated.ends(&call);
            assert_eq!(only_record(&server)["cause"], json!("network_failure"));
            return server.stop();
        }
        agent.event("answered");
        // Who speaks before there is a stream is not heard.
        emulated.streams(&call);
        emulated.speaks(&call, &wav::to_ulaw(&wav::sine(440.0, 1.5)));
        until(Duration::from_secs(10), "the tone", || {
            agent.look();
            let codes = agent.frames.iter().flat_map(|it| it.payload.iter());
            let samples: Vec<i16> = codes.map(|code| wav::ulaw(*code)).collect();
            wav::has_tone(&samples, 8_000, 440.0).then_some(())
        });
        emulated.does(Command::Hangup(call.clone()));
        emulated.ends(&call);
        only_record(&server);
        server.stop();
    });
}

/// Marks that come late are told when they come, those that never come by estimate.
#[test]
fn marks_are_late_or_lost() {
    each(|carrier| {
        for (quirk, basis) in [("mark-delay=300", "carrier"), ("marks-lost", "estimate")] {
            let (server, agents, mut emulated) = start(carrier, &[quirk]);
            let (call, mut agent) = called(&agents, &mut emulated);
            let said = noise(emulated.format.bytes(400), 41);
            says(&mut agent, &said);
            agent.say(&json!({"event": "mark", "name": "end"}));
            let mark = agent.event("mark");
            assert_eq!((&mark["status"], &mark["basis"]), (&json!("played"), &json!(basis)));
            emulated.hears(&call, &said);
            agent.order("hangup");
            assert_eq!(emulated.ends(&call), carrier.over);
            only_record(&server);
            server.stop();
        }
    });
}

/// A media socket that breaks is opened again by the carrier, and the talk goes on; where it is
/// not, the call is over, as the carrier says that it ended.
#[test]
fn a_socket_breaks() {
    each(|carrier| {
        let (server, agents, mut emulated) = start(carrier, &[]);
        let (call, mut agent) = called(&agents, &mut emulated);
        talk(&mut emulated, &call, &mut agent, 51);
        emulated.does(Command::Drop(call.clone()));
        if !carrier.hangs_up() {
            emulated.ends(&call);
            agent.event("stop");
            let record = only_record(&server);
            assert_eq!(
                (&record["status"], &record["cause"]),
                (&json!("completed"), &json!("normal")),
                "{record}"
            );
            return server.stop();
        }
        emulated.streams(&call);
        talk(&mut emulated, &call, &mut agent, 52);
        emulated.does(Command::Hangup(call.clone()));
        assert_eq!(emulated.ends(&call), carrier.over);
        let record = only_record(&server);
        assert_eq!(
            (&record["status"], &record["cause"]),
            (&json!("completed"), &json!("normal")),
            "{record}"
        );
        server.stop();
    });
}

/// Media sockets that are cut off again and again, at whichever message: the call can be hung up,
/// and nothing is left of it.
#[test]
fn sockets_break_again_and_again() {
    each(|carrier| {
        for cut in ["cut=1", "cut=45", "cut=250"] {
            let (server, agents, mut emulated) = start(carrier, &[cut]);
            let (call, mut agent) = dialled(&agents, &mut emulated);
            if carrier.hangs_up() {
                agent.event("answered");
                for _ in 0..3 {
                    emulated.streams(&call);
                }
                emulated.does(Command::Hangup(call.clone()));
            }
            emulated.ends(&call);
            agent.event("stop");
            let record = only_record(&server);
            // A socket that does not come again may be gone before its stream began.
            let ended = !carrier.hangs_up() || record["status"] == json!("completed");
            assert!(ended, "{record}");
            server.stop();
        }
    });
}

/// A server with the agent `echo` alone, and a carrier with one fault.
fn faulty(name: &str, fault: &str) -> (Server, Emulated) {
    set_up("", "echo", name, &[fault])
}

/// A carrier that refuses to place a call, for good: the call fails, nobody's telephone rings, and
/// it is tried once.
#[test]
fn a_call_is_refused() {
    each(|carrier| {
        for status in ["400", "401", "403", "404"] {
            let (server, mut emulated) = faulty(carrier.name, &format!("fail=originate:{status}"));
            let id = emulated.place(&server, "echo", 30);
            let record = record(&server, &id);
            assert_eq!(record["status"], json!("failed"), "{status}: {record}");
            let cause = record["cause"].as_str().unwrap();
            assert!(["network_failure", "not_found"].contains(&cause), "{status}: {cause}");
            emulated.look();
            let asked = emulated
                .asked
                .iter()
                .filter(|(_, answer)| answer.is_some_and(|answer| answer.to_string() == status));
            assert_eq!(asked.count(), 1, "{:?}", emulated.asked);
            server.stop();
        }
    });
}

/// A carrier that is asked too often is asked again, and the call is placed.
#[test]
fn a_call_is_placed_a_little_later() {
    each(|carrier| {
        let (server, mut emulated) = faulty(carrier.name, "fail=originate:429");
        let id = emulated.place(&server, "echo", 30);
        let call = emulated.rings();
        emulated.does(Command::Busy(call.clone()));
        emulated.ends(&call);
        assert_eq!(record(&server, &id)["status"], json!("busy"));
        server.stop();
    });
}

/// A carrier that fails, answers nonsense or nothing may have placed the call: it is not placed
/// again, is waited for, and fails if it does not show itself.
#[test]
fn a_call_is_in_doubt() {
    at_once(&["503", "malformed", "lost"], |carrier, fault| {
        // One of them places the call all the same: see below.
        if (carrier.name, fault) == ("vonage", "malformed") {
            return;
        }
        let (server, mut emulated) = faulty(carrier.name, &format!("fail=originate:{fault}"));
        let id = emulated.place(&server, "echo", 90);
        until_told(Duration::from_secs(60), "the call to be given up", || {
            server.calls().is_empty().then_some(())
        });
        let record = record(&server, &id);
        assert_eq!(
            (&record["status"], &record["cause"], &record["ended_by"]),
            (&json!("failed"), &json!("network_failure"), &json!("carrier")),
            "{} {fault}",
            carrier.name
        );
        emulated.look();
        let placed = emulated.asked.iter().filter(|(line, _)| line.starts_with("POST"));
        let placed = placed.filter(|(line, _)| {
            let line = line.trim_end_matches('/').trim_end_matches(".json");
            let line = line.to_ascii_lowercase();
            let document = line.contains("/calls/") && line.ends_with("/application");
            document || ["/call", "alls", "/connect"].iter().any(|end| line.ends_with(end))
        });
        assert_eq!(placed.count(), 1, "{:?}", emulated.asked);
        server.stop();
    });
}

/// A call whose request was carried out, though nobody heard so, is taken when it shows itself.
#[test]
fn a_call_shows_itself() {
    at_once(&["not heard"], |carrier, _| {
        let fault = if carrier.name == "vonage" { "malformed" } else { "silent" };
        let (server, mut emulated) = faulty(carrier.name, &format!("fail=originate:{fault}"));
        let id = emulated.place(&server, "echo", 30);
        let call = emulated.rings();
        emulated.does(Command::Answer(call.clone()));
        emulated.streams(&call);
        until(Duration::from_secs(20), "the answer", || {
            server.calls().iter().any(|call| call["state"] == "answered").then_some(())
        });
        let said = noise(emulated.format.bytes(500), 61);
        emulated.speaks(&call, &said);
        emulated.hears(&call, &said);
        emulated.does(Command::Hangup(call.clone()));
        assert_eq!(emulated.ends(&call), carrier.over);
        let record = record(&server, &id);
        assert_eq!(
            (&record["status"], &record["cause"]),
            (&json!("completed"), &json!("normal")),
            "{record}"
        );
        server.stop();
    });
}

/// A hang-up that the carrier fails at, or does not hear, is asked for again: the call is over
/// there too.
#[test]
fn a_hang_up_fails() {
    at_once(&["503", "429", "lost"], |carrier, fault| {
        let quirks = [&*format!("fail=hangup:{fault}")];
        let (server, agents, mut emulated) = start(carrier, &quirks);
        let (call, mut agent) = called(&agents, &mut emulated);
        // Without its socket the call would end by itself at some carriers.
        agent.order("hangup");
        let why = emulated.ends(&call);
        assert_eq!(why, carrier.over, "{fault}");
        only_record(&server);
        server.stop();
    });
}

/// Accounts that cannot be set up, numbers that cannot be bound or listed, credentials that cannot
/// be tried: it is told, and works the next time.
#[test]
fn an_account_cannot_be_set_up() {
    each(|carrier| {
        let server = Server::start_on(Ports::claim_part(), folder(), "");
        let faults = ["bind:503", "bind:401", "numbers:malformed", "test:401", "provision:403"];
        let faults: Vec<_> = faults.iter().map(|fault| format!("fail={fault}")).collect();
        let faults: Vec<_> = faults.iter().map(String::as_str).collect();
        let mut emulated = Emulated::unbound(&server, carrier.name, "echo", &faults);
        let path = format!("/api/v1/organizations/telephony-configs/{}", emulated.id);
        let (status, body) = server.http("POST", &format!("{path}/test"), None);
        assert_eq!(status, 200, "{body}");
        let mut refused = 0;
        // Which of the faults a request meets depends on what the carrier calls it.
        for _ in 0..8 {
            let provisioned = emulated.provision(&server);
            // Where nothing is set up by requests the number leads here from the beginning.
            let number = format!("{path}/phone-numbers/{}", emulated.number);
            let by_hand = emulated.spec.calls.provision.is_none();
            let unbound = by_hand.then(|| server.http("POST", &format!("{number}/unbind"), None));
            let bound = emulated.point(&server);
            let listed = server.http("GET", &format!("{path}/carrier-numbers"), None);
            for (status, body) in [provisioned, bound, listed].into_iter().chain(unbound) {
                assert!(matches!(status, 200 | 204 | 501 | 502 | 409), "{status} {body}");
                refused += usize::from(status >= 502);
            }
        }
        assert!(refused > 0, "no fault was met");
        emulated.bind(&server);
        let (status, listed) = server.http("GET", &format!("{path}/carrier-numbers"), None);
        assert_eq!(status, 200, "{listed}");
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        let number = &listed["numbers"][0];
        assert_eq!(
            (&number["address"], &number["binding"]),
            (&json!(NUMBER), &json!("here")),
            "{listed}"
        );
        // What was made over HTTP is in use a moment later.
        let call = until(Duration::from_secs(20), "a call that is taken", || {
            let call = emulated.call();
            until(Duration::from_secs(20), "what becomes of it", || {
                (!server.calls().is_empty() || emulated.is_over(&call)).then_some(())
            });
            (!emulated.is_over(&call)).then_some(call)
        });
        emulated.streams(&call);
        emulated.does(Command::Hangup(call.clone()));
        emulated.ends(&call);
        assert_eq!(only_record(&server)["from"], json!(PERSON));
        server.stop();
    });
}
