//! Many calls of an agent on one socket, `talkpath.v1.mux`, end to end (`docs/protocol.md`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use support::linked::{Linked, Links};
use support::phone::{Phone, header};
use support::server::Server;
use support::{until, wav};

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(15);
/// Key of the agent's tokens.
const SECRET: &str = "a secret of this test alone";

/// A server whose every call goes to one agent with a link; `more` is added to the agent's entry.
fn start(links: &Links, more: &str) -> Server {
    let url = links.url();
    Server::start(&format!(
        "[limits]\ncalls_per_second = 1000\n[[agents]]\nname = \"bot\"\nkind = \"websocket\"\n\
         url = \"{url}\"\nmux = true\n{more}\n"
    ))
}

/// Whom phone `number` calls.
fn to(number: usize) -> String {
    format!("+1555000{number:04}")
}

/// So many answered calls, with their streams.
fn connected(server: &Server, links: &Links, count: usize) -> (Vec<Phone>, Linked, Vec<u64>) {
    let mut phones = vec![Phone::call(server, &to(0))];
    let linked = links.accept(false);
    phones.extend((1..count).map(|number| Phone::call(server, &to(number))));
    phones.iter_mut().for_each(Phone::wait_answer);
    let streams: Vec<u64> = (0..count).map(|number| linked.stream_to(&to(number))).collect();
    for stream in &streams {
        linked.event(*stream, "answered");
    }
    (phones, linked, streams)
}

/// Ends all calls from the phones' side.
fn finish(server: Server, mut phones: Vec<Phone>) {
    phones.iter_mut().for_each(Phone::hang_up);
    server.wait_idle();
    until(SOON, "no stream is left", || {
        (server.metric("talkpath_agent_link_streams") == 0.0).then_some(())
    });
    server.stop();
}

/// Fifty calls talk on one socket at the same time, each in a tone of its own, which the agent
/// says back: each phone hears its own tone and none of the others; several frames share a
/// message. The handshake names the node and not a call.
#[test]
fn fifty_calls_on_one_link() {
    const CALLS: usize = 50;
    let links = Links::listen();
    let server = start(&links, &format!("secret = \"{SECRET}\""));
    let mut phones = vec![Phone::call(&server, &to(0))];
    let linked = links.accept(true);
    verify_handshake(&linked);
    phones.extend((1..CALLS).map(|number| Phone::call(&server, &to(number))));
    phones.iter_mut().for_each(Phone::wait_answer);
    let hz = |number: usize| 300.0 + 60.0 * number as f64;
    let tones: Vec<Vec<u8>> =
        (0..CALLS).map(|number| wav::to_ulaw(&wav::sine(hz(number), 2.0))).collect();
    let begin = Instant::now();
    for packet in 0..100 {
        let due = begin + Duration::from_millis(20) * packet as u32;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        for (phone, tone) in phones.iter_mut().zip(&tones) {
            phone.send(&tone[packet * 160..packet * 160 + 160], packet == 0);
        }
    }
    for (number, phone) in phones.iter().enumerate() {
        let frames = phone.wait_audio("a second of tone", |audio| {
            let frames = frames_of_tone(audio);
            (frames.len() >= 50).then_some(frames)
        });
        for frame in frames {
            let loudness = |other: &usize| wav::amplitude(&frame, hz(*other)) as u32;
            let loudest = (0..CALLS).max_by_key(loudness);
            assert_eq!(loudest, Some(number), "phone {number} hears another");
        }
        phone.assert_one_stream();
    }
    assert_eq!(server.metric("talkpath_agent_links"), 1.0);
    assert_eq!(server.metric("talkpath_agent_link_streams"), CALLS as f64);
    assert!(!links.is_dialled(), "one link is enough");
    let messages = linked.messages();
    let frames: usize = messages.iter().sum();
    assert!(frames >= CALLS * 95, "{frames} frames");
    assert!(frames > messages.len() * 2, "{frames} frames in {} messages", messages.len());
    finish(server, phones);
}

/// Frames of 20 ms that are tone throughout. On a machine that is busy otherwise some of what the
/// agent says comes late and finds silence in its place: how much does not matter here, but
/// whatever is heard must be the right one's.
fn frames_of_tone(audio: &[u8]) -> Vec<Vec<i16>> {
    const SILENT: usize = 8;
    let is_silent = |code: &u8| code & 0x7f == 0x7f;
    let first = audio.iter().position(|code| !is_silent(code)).unwrap_or(audio.len());
    audio[first..]
        .chunks_exact(160)
        .filter(|frame| !frame.windows(SILENT).any(|codes| codes.iter().all(is_silent)))
        .map(|frame| frame.iter().map(|code| wav::ulaw(*code)).collect())
        .collect()
}

fn verify_handshake(linked: &Linked) {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
    let headers = linked.request.as_ref().unwrap().headers();
    assert_eq!(headers["sec-websocket-protocol"], "talkpath.v1.mux");
    let token = headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    let mut rules = Validation::new(Algorithm::HS256);
    rules.set_audience(&["bot"]);
    let key = DecodingKey::from_secret(SECRET.as_bytes());
    let claims = decode::<Value>(token, &key, &rules).unwrap().claims;
    let node: uuid::Uuid = claims["sub"].as_str().unwrap().parse().unwrap();
    assert!(!node.is_nil());
}

/// One of five calls is interrupted: its marks are cleared and its account says what was heard; the
/// others play to their ends, and their accounts are whole.
#[test]
fn clear_one_among_many() {
    let links = Links::listen();
    let server = start(&links, "");
    let (phones, linked, streams) = connected(&server, &links, 5);
    let audio: Vec<Vec<u8>> = (0..5_u8).map(|number| vec![0x20 + number; 24_000]).collect();
    for stream in &streams {
        linked.say(*stream, json!({ "event": "utterance", "id": "long" }));
    }
    let pieces: Vec<(u64, &[u8])> =
        streams.iter().zip(&audio).map(|(stream, audio)| (*stream, audio.as_slice())).collect();
    linked.play(&pieces);
    for stream in &streams {
        linked.say(*stream, json!({ "event": "mark", "name": "end" }));
    }
    phones[2].wait_audio("a second of it", |heard| {
        (heard.iter().filter(|code| **code == 0x22).count() > 8_000).then_some(())
    });
    linked.say(streams[2], json!({ "event": "clear" }));
    let cleared = linked.event(streams[2], "cleared");
    let mark = linked.event(streams[2], "mark");
    assert_eq!((&mark["status"], &mark["samples"]), (&json!("cleared"), &cleared["samples"]));
    let samples = cleared["samples"].as_u64().unwrap();
    assert!((8_000..23_000).contains(&samples), "{cleared}");
    assert_eq!(cleared["utterances"][0]["complete"], false);
    for (number, stream) in streams.iter().enumerate().filter(|(number, _)| *number != 2) {
        let mark = linked.event(*stream, "mark");
        assert_eq!((&mark["status"], &mark["samples"]), (&json!("played"), &json!(24_000)));
        let code = 0x20 + number as u8;
        phones[number].wait_audio("all of it", |heard| {
            (heard.iter().filter(|heard| **heard == code).count() == 24_000).then_some(())
        });
    }
    // The mark may be told before the last packet has arrived.
    let heard = until(SOON, "what was played", || {
        let heard = phones[2].audio().iter().filter(|code| **code == 0x22).count() as u64;
        (heard >= samples).then_some(heard)
    });
    assert_eq!(heard, samples);
    finish(server, phones);
}

/// A link that breaks under twenty calls is dialled again, once: every call goes on with a stream
/// that begins with `resumed`, hears its agent again and is heard.
#[test]
fn broken_link_is_dialled_again() {
    const CALLS: usize = 20;
    let links = Links::listen();
    let server = start(&links, "");
    let (mut phones, linked, streams) = connected(&server, &links, CALLS);
    let calls: Vec<Value> =
        streams.iter().map(|it| linked.with(*it, |it| it.start["call_id"].clone())).collect();
    linked.break_off();
    let linked = links.accept(false);
    let mut again = Vec::new();
    for (number, call) in calls.iter().enumerate() {
        let stream = linked.stream_to(&to(number));
        let start = linked.with(stream, |it| it.start.clone());
        assert_eq!((&start["call_id"], &start["resumed"]), (call, &json!(true)), "{start}");
        assert_eq!(start["state"], "answered");
        again.push(stream);
    }
    assert_eq!(linked.started(), CALLS);
    for (number, stream) in again.iter().enumerate() {
        linked.play(&[(*stream, &[0x20 + number as u8; 1_600])]);
        phones[number].speak(&[0x40 + number as u8; 480]);
    }
    for (number, stream) in again.iter().enumerate() {
        phones[number].wait_audio("the agent again", |heard| {
            let own = [0x20 + number as u8; 1_600];
            heard.windows(own.len()).any(|window| window == own).then_some(())
        });
        linked.wait_frames(*stream, 3);
        linked.with(*stream, |it| {
            let code = 0x40 + number as u8;
            assert!(it.frames.iter().all(|frame| frame.payload.iter().all(|it| *it == code)));
        });
        phones[number].assert_one_stream();
    }
    assert!(!links.is_dialled(), "one link is enough");
    finish(server, phones);
}

/// Calls whose link does not come back within their grace end, with a reason.
#[test]
fn calls_end_when_the_link_does_not_come_back() {
    let links = Links::listen();
    let server = start(&links, "grace_ms = 500");
    let (mut phones, linked, _) = connected(&server, &links, 3);
    drop(links);
    linked.break_off();
    for phone in &mut phones {
        let bye = phone.wait_bye();
        assert!(header(&bye, "Reason").contains("agent_lost"), "{bye}");
    }
    server.wait_idle();
    server.stop();
}

/// An agent that attaches with a link gets the calls that wait for it and those that come; a newer
/// link takes the place of the older, and the calls go on there.
#[test]
fn agent_attaches_with_a_link() {
    let server = Server::start(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nattach = true\nmux = true\n\
         [[agents]]\nname = \"other\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n\
         [[routes]]\nto = \"*\"\nagent = \"bot\"\n",
    );
    let refused = |agent: &str| Linked::attach(server.http, agent, &server.key).err();
    assert_eq!((refused("nobody"), refused("other")), (Some(404), Some(409)));
    assert_eq!(Linked::attach(server.http, "bot", "tp_wrong").err(), Some(401));
    let mut first = Phone::call(&server, &to(0));
    first.wait_status(180);
    let old = Linked::attach(server.http, "bot", &server.key).unwrap();
    first.wait_answer();
    let mut second = Phone::call(&server, &to(1));
    second.wait_answer();
    for (number, phone) in [&mut first, &mut second].into_iter().enumerate() {
        let stream = old.stream_to(&to(number));
        phone.speak(&[0x30; 800]);
        old.wait_frames(stream, 5);
        old.play(&[(stream, &[0x21; 1_600])]);
        phone.wait_audio("the agent", |heard| {
            heard.windows(1_600).any(|window| window == [0x21; 1_600]).then_some(())
        });
    }
    let new = Linked::attach(server.http, "bot", &server.key).unwrap();
    assert_eq!(old.wait_close(), 4409);
    for (number, phone) in [&mut first, &mut second].into_iter().enumerate() {
        let stream = new.stream_to(&to(number));
        assert_eq!(new.with(stream, |it| it.start["resumed"].clone()), true);
        phone.speak(&[0x30; 800]);
        new.wait_frames(stream, 5);
    }
    finish(server, vec![first, second]);
}

/// A stream ends alone, by the server as by the agent, and what is nonsense on it is its own
/// matter; what is nonsense on the link closes that, and the calls go on with another.
#[test]
fn streams_end_alone() {
    let links = Links::listen();
    let server = start(&links, "");
    let (mut phones, linked, streams) = connected(&server, &links, 4);
    let raw = json!({ "event": "configure", "framing": "raw" });
    linked.say(streams[0], raw);
    assert_eq!(linked.event(streams[0], "error")["code"], "bad_field");
    let close = linked.event(streams[0], "close");
    assert_eq!((&close["code"], &close["reason"]), (&json!(4400), &json!("configure refused")));
    // It begins again: its number is the same, its state is told.
    until(SOON, "the stream begins again", || {
        linked.with(streams[0], |it| (it.start["resumed"] == true).then_some(()))
    });
    linked.play(&[(streams[1], &[0x22; 1_600]), (99, &[0; 160])]);
    linked.say(streams[1], json!({ "event": "close", "code": 1000 }));
    phones[1].wait_bye();
    phones[1].wait_audio("what is played before the call ends", |heard| {
        (heard.iter().filter(|code| **code == 0x22).count() == 1_600).then_some(())
    });
    // A frame of another format is refused on its stream alone.
    let mut frame = vec![0, 13, 0x80, 8, 0, 0, 0, 0, 0, 0];
    frame.extend((streams[2] as u32).to_be_bytes());
    frame.push(0x55);
    linked.binary(frame);
    assert_eq!(linked.event(streams[2], "error")["code"], "bad_frame");
    linked.text(&json!({ "event": "clear" }).to_string());
    until(SOON, "a message without a stream is told", || {
        linked.told().iter().any(|event| event["code"] == "bad_field").then_some(())
    });
    for number in [0, 2, 3] {
        let before = linked.with(streams[number], |it| it.frames.len());
        phones[number].speak(&[0x30; 800]);
        linked.wait_frames(streams[number], before + 5);
    }
    linked.binary(vec![0, 200, 0x80]);
    assert_eq!(linked.wait_close(), 1008);
    let linked = links.accept(false);
    for number in [0, 2, 3] {
        let stream = linked.stream_to(&to(number));
        assert_eq!(linked.with(stream, |it| it.start["resumed"].clone()), true);
    }
    phones.remove(1);
    finish(server, phones);
}

/// Formats, digits and the end of a call work on a stream as on a socket of its own.
#[test]
fn a_stream_is_a_stream() {
    let links = Links::listen();
    let server = start(&links, "");
    let (mut phones, linked, streams) = connected(&server, &links, 2);
    let linear = json!({ "codec": "l16le", "rate_hz": 16_000 });
    linked.say(streams[0], json!({ "event": "configure", "in": linear }));
    let configured = linked.event(streams[0], "configured");
    assert_eq!(configured["in"]["pt"], 96);
    for (number, bytes) in [(0, 640), (1, 160)] {
        phones[number].speak(&[0x30; 1_600]);
        linked.wait_frames(streams[number], 10);
        linked.with(streams[number], |it| {
            assert!(it.frames.iter().all(|frame| frame.payload.len() == bytes));
            for pair in it.frames.windows(2) {
                assert_eq!(pair[1].seq, pair[0].seq.wrapping_add(1));
            }
        });
    }
    phones[1].press(5);
    assert_eq!(linked.event(streams[1], "dtmf")["digit"], "5");
    assert!(linked.with(streams[0], |it| it.events.iter().all(|it| it["event"] != "dtmf")));
    phones[0].hang_up();
    let stop = linked.event(streams[0], "stop");
    assert_eq!((&stop["cause"], &stop["by"]), (&json!("normal"), &json!("caller")));
    assert_eq!(linked.with(streams[0], |it| it.events.last().cloned()), Some(stop));
    linked.say(streams[1], json!({ "event": "hangup" }));
    phones[1].wait_bye();
    assert_eq!(linked.event(streams[1], "stop")["by"], "agent");
    finish(server, Vec::new());
}

/// A link that its agent closes with 1000 is a hang-up of every call on it.
#[test]
fn closing_the_link_hangs_up() {
    let links = Links::listen();
    let server = start(&links, "");
    let (mut phones, linked, streams) = connected(&server, &links, 2);
    linked.play(&[(streams[0], &[0x21; 1_600]), (streams[1], &[0x21; 1_600])]);
    linked.close(1000);
    for phone in &mut phones {
        phone.wait_bye();
        phone.wait_audio("what was to be played", |heard| {
            (heard.iter().filter(|code| **code == 0x21).count() == 1_600).then_some(())
        });
    }
    finish(server, Vec::new());
}
