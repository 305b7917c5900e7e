//! Every carrier against its emulator on real sockets: calls both ways, every byte heard, keys,
//! marks, barge-in, who hangs up; each call ends in the right state with the right cause, at the
//! carrier too, and nothing is left of it.
#![cfg(feature = "emulate")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::time::{Duration, Instant};

use adapters::emulate::Command;
use media::codec::AudioFormat;
use media::convert::Converter;
use serde_json::{Value, json};
use support::agent::Agents;
use support::api_carrier::expect;
use support::callee::Callee;
use support::emulated::{
    CARRIERS, Carrier, Emulated, Keys, NUMBER, PERSON, called, dialled, each, find, noise,
    only_record, record, says, set_up, start, talk,
};
use support::server::Server;
use support::{until, wav};

/// A person calls: the agent is told who, both hear every byte of each other, keys reach the
/// agent, marks come back, the person hangs up; and there is room for the next call.
#[test]
fn a_person_calls() {
    each(|carrier| {
        let (server, agents, mut emulated) = start(carrier, &[]);
        for round in 0..2 {
            let (call, mut agent) = called(&agents, &mut emulated);
            let start = agent.start.clone();
            assert_eq!(
                (&start["direction"], &start["provider"], &start["from"], &start["to"]),
                (&json!("inbound"), &json!(carrier.name), &json!(PERSON), &json!(NUMBER))
            );
            talk(&mut emulated, &call, &mut agent, 7 + round);
            for digit in ['5', '#'] {
                emulated.does(Command::Press { call: call.clone(), digit });
                let told = agent.event("dtmf");
                assert_eq!((&told["digit"], &told["source"]), (&json!(digit), &json!("carrier")));
            }
            let name = format!("mark {round}");
            says(&mut agent, &noise(emulated.format.bytes(200), 99));
            agent.say(&json!({"event": "mark", "name": name}));
            let mark = agent.event("mark");
            assert_eq!(
                (&mark["name"], &mark["status"], &mark["basis"]),
                (&json!(name), &json!("played"), &json!("carrier"))
            );
            emulated.does(Command::Hangup(call.clone()));
            let why = emulated.ends(&call);
            assert_eq!(why, carrier.over);
            let stop = agent.event("stop");
            assert_eq!((&stop["cause"], &stop["by"]), (&json!("normal"), &json!("caller")));
            let record = record(&server, start["call_id"].as_str().unwrap());
            assert_eq!(
                (&record["status"], &record["cause"], &record["configuration_id"]),
                (&json!("completed"), &json!("normal"), &json!(emulated.id))
            );
        }
        emulated.assert_content();
        server.stop();
    });
}

/// The server calls a person: it rings, is answered, both hear each other, the agent hangs up, and
/// the call is over at the carrier.
#[test]
fn a_person_is_called() {
    each(|carrier| {
        let (server, agents, mut emulated) = start(carrier, &[]);
        let id = emulated.place(&server, "bot", 30);
        let mut agent = agents.accept();
        let call = emulated.rings();
        emulated.does(Command::Answer(call.clone()));
        emulated.streams(&call);
        agent.event("answered");
        assert_eq!((&agent.start["from"], &agent.start["to"]), (&json!(NUMBER), &json!(PERSON)));
        talk(&mut emulated, &call, &mut agent, 3);
        let last = noise(emulated.format.bytes(300), 5);
        says(&mut agent, &last);
        agent.order("hangup");
        let why = emulated.ends(&call);
        assert_eq!(why, carrier.over);
        emulated.hears(&call, &last);
        let record = record(&server, &id);
        assert_eq!(
            (&record["status"], &record["cause"], &record["ended_by"]),
            (&json!("completed"), &json!("normal"), &json!("agent"))
        );
        emulated.assert_content();
        server.stop();
    });
}

/// Keys that the agent presses reach the person, in whichever way the carrier has.
#[test]
fn an_agent_presses_keys() {
    each(|carrier| {
        if carrier.keys == Keys::Requests {
            return;
        }
        let (server, agents, mut emulated) = start(carrier, &[]);
        let (call, mut agent) = called(&agents, &mut emulated);
        agent.say(&json!({"event": "dtmf", "digits": "1", "duration_ms": 200}));
        match carrier.keys {
            Keys::Stream => emulated.hears_keys("1"),
            Keys::Tones | Keys::Requests => {
                let format = emulated.format;
                until(Duration::from_secs(10), "the tones of the key", || {
                    let heard = emulated.heard(&call);
                    let samples = narrow(format, heard);
                    // Piece by piece: what is heard before and after does not count.
                    let key = samples.chunks_exact(800).any(|piece| {
                        let strong = |hz| wav::amplitude(piece, hz) > 500.0;
                        strong(697.0) && strong(1209.0) && !strong(770.0) && !strong(1336.0)
                    });
                    key.then_some(())
                });
            }
        }
        emulated.does(Command::Hangup(call.clone()));
        emulated.ends(&call);
        server.wait_idle();
        emulated.assert_content();
        server.stop();
    });
}

/// What the agent takes back is not heard any more: neither what waited here nor what waited at the
/// carrier. What follows is heard at once, and marks of what was dropped say so.
#[test]
fn an_agent_is_interrupted() {
    each(|carrier| {
        let (server, agents, mut emulated) = start(carrier, &[]);
        let (call, mut agent) = called(&agents, &mut emulated);
        let long = noise(emulated.format.bytes(5_000), 11);
        says(&mut agent, &long);
        agent.say(&json!({"event": "mark", "name": "end"}));
        until(Duration::from_secs(10), "its beginning", || {
            (emulated.heard(&call).len() > emulated.format.bytes(500)).then_some(())
        });
        agent.order("clear");
        let mark = agent.event("mark");
        assert_eq!((&mark["name"], &mark["status"]), (&json!("end"), &json!("cleared")));
        let cleared = agent.event("cleared");
        let next = noise(emulated.format.bytes(200), 13);
        says(&mut agent, &next);
        emulated.hears(&call, &next);
        let heard = emulated.heard(&call).to_vec();
        let at = find(&heard, &next).unwrap();
        // The server knows what had been played; the carrier had a little more, and dropped that.
        let sample_bytes = emulated.format.bytes(1_000) / emulated.format.rate_hz as usize;
        let played = cleared["samples"].as_u64().unwrap() as usize * sample_bytes;
        let buffered = emulated.format.bytes(emulated.spec.media[0].buffer_ms + 20);
        assert!(at <= played + buffered, "{at} bytes were heard, {played} played at the clear");
        assert!(heard.len() < long.len(), "all of it was heard");
        emulated.does(Command::Hangup(call.clone()));
        emulated.ends(&call);
        server.wait_idle();
        emulated.assert_content();
        server.stop();
    });
}

/// Calls that nobody takes: busy, declined, not answered, given up by us. Each has its state and
/// cause, and is over at the carrier.
#[test]
fn a_person_is_not_reached() {
    each(|carrier| {
        let (server, _agents, mut emulated) = start(carrier, &[]);
        let acts: [(fn(String) -> Command, &str); 2] =
            [(Command::Busy, "busy"), (Command::Decline, carrier.declined)];
        for (act, cause) in acts {
            let id = emulated.place(&server, "echo", 30);
            let call = emulated.rings();
            emulated.does(act(call.clone()));
            emulated.ends(&call);
            let record = record(&server, &id);
            assert_eq!(
                (&record["status"], &record["cause"]),
                (&json!("busy"), &json!(cause)),
                "{record}"
            );
        }
        let id = emulated.place(&server, "echo", 5);
        let call = emulated.rings();
        emulated.ends(&call);
        let unanswered = record(&server, &id);
        assert_eq!(
            (&unanswered["status"], &unanswered["cause"]),
            (&json!("no-answer"), &json!("no_answer"))
        );
        let id = emulated.place(&server, "echo", 30);
        let call = emulated.rings();
        server.hang_up(&id);
        if !carrier.hangs_up() {
            // It rings on, and whoever answers is let go.
            emulated.does(Command::Answer(call.clone()));
        }
        emulated.ends(&call);
        let given_up = record(&server, &id);
        assert_eq!(given_up["status"], json!("canceled"), "{given_up}");
        emulated.assert_content();
        server.stop();
    });
}

/// A call that is not taken is refused at the carrier: the agent is busy, or nobody has the number.
#[test]
fn a_person_is_refused() {
    each(|carrier| {
        let (server, agents, mut emulated) = start(carrier, &[]);
        let (first, _agent) = called(&agents, &mut emulated);
        let second = emulated.call();
        emulated.ends(&second);
        assert_eq!(server.calls().len(), 1);
        emulated.does(Command::Hangup(first.clone()));
        emulated.ends(&first);
        server.wait_idle();
        only_record(&server);
        emulated.assert_content();
        server.stop();
    });
}

/// A person who gives up before the agent is there ends the call, and the agent's.
#[test]
fn a_person_gives_up() {
    each(|carrier| {
        let (server, agents, mut emulated) = start(carrier, &[]);
        let (call, mut agent) = dialled(&agents, &mut emulated);
        emulated.does(Command::Hangup(call.clone()));
        emulated.ends(&call);
        let stop = agent.event("stop");
        assert_eq!(stop["by"], json!("caller"), "{stop}");
        only_record(&server);
        server.stop();
    });
}

/// The operator hangs up, over the API.
#[test]
fn the_api_hangs_up() {
    each(|carrier| {
        let (server, agents, mut emulated) = start(carrier, &[]);
        let (call, agent) = called(&agents, &mut emulated);
        server.hang_up(agent.start["call_id"].as_str().unwrap());
        let why = emulated.ends(&call);
        assert_eq!(why, carrier.over);
        only_record(&server);
        emulated.assert_content();
        server.stop();
    });
}

/// Whether a machine answered is detected where that is wanted, and told.
#[test]
fn a_machine_answers() {
    each(|carrier| {
        if carrier.machine.is_empty() {
            return;
        }
        let quirk = format!("machine={}", carrier.machine);
        let (server, agents, mut emulated) = start(carrier, &[&quirk, "answer=100"]);
        let id = emulated.place_as(&server, &json!({"agent": "bot", "amd": true}));
        let mut agent = agents.accept();
        let call = emulated.rings();
        emulated.streams(&call);
        agent.order("hangup");
        emulated.ends(&call);
        let told = record(&server, &id);
        assert_eq!(told["answered_by"], json!("machine_start"), "{told}");
        emulated.assert_content();
        server.stop();
    });
}

/// What a captured call and its carrier asked each other is among the call's messages, both ways,
/// with what was answered, and no secret of the configuration is in it; nor are tokens that open
/// hooks or media sockets.
#[test]
fn what_is_asked_is_captured() {
    each(|carrier| {
        let (server, agents, mut emulated) = start_captured(carrier);
        let (call, agent) = called(&agents, &mut emulated);
        let id = agent.start["call_id"].as_str().unwrap().to_owned();
        server.hang_up(&id);
        emulated.ends(&call);
        record(&server, &id);
        let inbound = messages(&server, &id, carrier.hangs_up());
        assert_ladder(&emulated, &inbound, ("in", carrier.hangs_up()));
        let id = emulated.place(&server, "bot", 30);
        let _agent = agents.accept();
        let call = emulated.rings();
        emulated.does(Command::Answer(call.clone()));
        emulated.streams(&call);
        emulated.does(Command::Hangup(call.clone()));
        emulated.ends(&call);
        record(&server, &id);
        let outbound = messages(&server, &id, true);
        assert_ladder(&emulated, &outbound, ("out", true));
        server.stop();
    });
}

/// A server whose agent's calls are captured, and a carrier.
fn start_captured(carrier: &Carrier) -> (Server, Agents, Emulated) {
    let agents = Agents::listen();
    let url = agents.url();
    let config = format!(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{url}\"\ncapture = true\n"
    );
    let (server, emulated) = set_up(&config, "bot", carrier.name, &[]);
    (server, agents, emulated)
}

/// The messages of a call that is over, once all that was asked has been answered; `asks` if
/// something is asked of the carrier.
#[track_caller]
fn messages(server: &Server, id: &str, asks: bool) -> Vec<Value> {
    let path = format!("/api/v1/calls/{id}/messages?limit=200");
    until(Duration::from_secs(10), "all answers", || {
        let page = expect(server, 200, "GET", &path, None);
        let messages = page["items"].as_array().unwrap().clone();
        let requests = || messages.iter().filter(|it| it.get("status").is_none());
        // What we asked last is there once it was answered, which the call's end need not wait for.
        let ours = !asks || requests().any(|it| it["direction"] == "out");
        (ours && requests().count() * 2 == messages.len()).then_some(messages)
    })
}

/// The first message went this way; webhooks and requests are there, each with its answer.
#[track_caller]
fn assert_ladder(emulated: &Emulated, messages: &[Value], (first, asks): (&str, bool)) {
    let name = emulated.spec.name;
    let mut ladder = messages.to_vec();
    ladder.sort_by_key(|it| (it["at_unix_ms"].as_u64(), it["direction"] != first));
    assert_eq!(ladder[0]["direction"], first, "{name}: {ladder:#?}");
    let count = |direction: &str, answer: bool| {
        let fits =
            |it: &&Value| it["direction"] == direction && it.get("status").is_some() == answer;
        messages.iter().filter(fits).count()
    };
    assert!(count("in", false) > 0, "{name}: a webhook");
    assert_eq!(count("in", false), count("out", true), "{name}: each was answered");
    assert!(!asks || count("out", false) > 0, "{name}: a request");
    assert_eq!(count("out", false), count("in", true), "{name}: each was answered");
    for message in messages {
        assert_eq!(message["protocol"], "http", "{message}");
        assert!(message["path"].as_str().unwrap().starts_with('/'), "{message}");
    }
    let all = serde_json::to_string(messages).unwrap();
    for secret in emulated.spec.secrets(&emulated.config) {
        assert!(!all.contains(secret), "{name}: a secret is shown");
    }
    // Between provider and the end of the address stand the tokens.
    for part in all.split(&format!("/telephony/{name}/")).skip(1) {
        let token = part.split('/').nth(1).unwrap_or_default();
        assert!(token.starts_with("xxxx"), "{name}: {token}");
    }
    for part in all.split("/telephony/ws/").skip(1) {
        let token = part.split('/').nth(2).unwrap_or_default();
        assert!(token.starts_with("xxxx"), "{name}: {token}");
    }
}

/// A telephone joins a carrier's caller and the agent: each of the three hears the two others and
/// not itself, whatever the carrier's audio is.
#[test]
fn a_telephone_joins() {
    const TONES: [f64; 3] = [600.0, 1000.0, 1500.0];
    for carrier in CARRIERS.iter().filter(|it| matches!(it.name, "exotel" | "twilio" | "vonage")) {
        let (server, agents, mut emulated) = start(carrier, &[]);
        let (call, mut agent) = called(&agents, &mut emulated);
        let mut callee = Callee::ulaw();
        agent.say(&json!({
            "event": "transfer", "kind": "bridge", "destination": callee.uri(),
            "options": { "stay": "talk" },
        }));
        callee.wait_call();
        callee.answer();
        while agent.event("transfer")["state"] != "bridged" {}
        let before = (emulated.heard(&call).len(), agent.frames.len());
        emulated.speaks(&call, &tone(emulated.format, TONES[0]));
        says(&mut agent, &tone(emulated.format, TONES[1]));
        let mut heard = Vec::new();
        let began = Instant::now();
        for (n, packet) in (0_u32..).zip(tone(AudioFormat::PCMU, TONES[2]).chunks(160)) {
            let due = began + Duration::from_millis(20) * n;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            callee.say(packet);
            agent.look();
            if n > 10 {
                heard.extend(callee.hear().map(|packet| packet.payload).unwrap_or_default());
            }
        }
        let person = emulated.heard(&call)[before.0..].to_vec();
        let frames: Vec<u8> =
            agent.frames[before.1..].iter().flat_map(|it| it.payload.clone()).collect();
        for (own, format, heard) in [
            (0, emulated.format, person),
            (1, emulated.format, frames),
            (2, AudioFormat::PCMU, heard),
        ] {
            let samples = narrow(format, &heard);
            let (mut both, mut self_heard) = (0, 0);
            for stretch in samples.chunks_exact(800) {
                let is = |at: usize| wav::amplitude(stretch, TONES[at]);
                both += usize::from((0..3).filter(|at| *at != own).all(|at| is(at) > 4_000.0));
                self_heard += usize::from(is(own) > 1_500.0);
            }
            assert!(both >= 10, "{}: {own} hears both in {both} stretches", carrier.name);
            assert_eq!(self_heard, 0, "{}: {own} hears itself", carrier.name);
        }
        // The person leaves, and so the call is over for all.
        emulated.does(Command::Hangup(call.clone()));
        callee.wait_request("BYE");
        emulated.ends(&call);
        server.wait_idle();
        emulated.assert_content();
        server.stop();
    }
}

/// Three seconds of a tone.
fn tone(format: AudioFormat, hz: f64) -> Vec<u8> {
    let samples = wav::sine_at(hz, format.rate_hz, 3.0);
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    convert(AudioFormat::l16le(format.rate_hz), format, &bytes)
}

/// Samples at 8 kHz.
fn narrow(format: AudioFormat, audio: &[u8]) -> Vec<i16> {
    let bytes = convert(format, AudioFormat::l16le(wav::RATE_HZ), audio);
    bytes.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect()
}

fn convert(from: AudioFormat, to: AudioFormat, audio: &[u8]) -> Vec<u8> {
    let mut converter = Converter::new(from, to);
    let mut out = vec![0; converter.max_output(audio.len())];
    let length = converter.convert(audio, &mut out);
    out.truncate(length);
    out
}
