//! Calls that a PBX brings by their media connections: AudioSocket and the media WebSocket, spoken
//! by a peer that was written from their descriptions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use support::agent::{Agent, Agents};
use support::callee::Callee;
use support::pbx::{Bare, Came, Media, Said, bytes, samples};
use support::ports::Ports;
use support::server::{Server, folder};
use support::{until, wav};

/// The tones of the caller and of the agent, in hertz.
const CALLER_HZ: f64 = 700.0;
const AGENT_HZ: f64 = 1100.0;
/// Payload type of linear audio.
const L16_PT: u8 = 96;
/// A UUID that says `49301234` calls `800`, and one that says nothing.
const NUMBERS: &str = "ffffffff-4930-1234-ffff-fffffffff800";
const NOTHING: &str = "40325ec2-5efd-4bd3-805f-53576e581d13";
/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(15);

/// A server with an agent that speaks linear audio at `rate_hz`, and where it takes AudioSocket.
#[track_caller]
fn server(rate_hz: u32, more: &str) -> (Server, Agents, SocketAddr) {
    let (agents, ports) = (Agents::listen(), Ports::claim());
    let door: SocketAddr = ([127, 0, 0, 1], ports.pair()).into();
    let config = format!(
        "[audiosocket]\nlisten = \"{door}\"\nto = \"nobody\"\n[[agents]]\nname = \"bot\"\n\
         kind = \"websocket\"\nurl = \"{}\"\ngrace_ms = 0\n\
         format = {{ codec = \"l16le\", rate_hz = {rate_hz} }}\n{more}",
        agents.url()
    );
    (Server::start_on(ports, folder(), &config), agents, door)
}

/// The agent of the next call, once that is answered.
#[track_caller]
fn answered(agents: &Agents) -> Agent {
    let mut agent = agents.accept();
    if agent.start["state"] != "answered" {
        agent.event("answered");
    }
    agent
}

/// Lets the agent say its tone.
#[track_caller]
fn speak(agent: &mut Agent, rate_hz: u32, seconds: f64) {
    let said = bytes(&wav::sine_at(AGENT_HZ, rate_hz, seconds));
    said.chunks(32_000).for_each(|part| agent.play(L16_PT, part));
}

/// Waits until the agent has heard the caller's tone.
#[track_caller]
fn hears(agent: &mut Agent, rate_hz: u32) {
    until(SOON, "the agent hears the caller", || {
        agent.look();
        let heard: Vec<u8> = agent.frames.iter().flat_map(|frame| frame.payload.clone()).collect();
        wav::has_tone(&samples(&heard), rate_hz, CALLER_HZ).then_some(())
    });
}

/// How the last call is in the log, once it is over.
#[track_caller]
fn record(server: &Server, agent: &Agent) -> Value {
    let path = format!("/api/v1/calls/{}", agent.start["call_id"].as_str().unwrap());
    until(SOON, "the end of the call", || {
        let (status, text) = server.http("GET", &path, None);
        assert_eq!(status, 200, "{text}");
        let view: Value = serde_json::from_str(&text).unwrap();
        (view["state"] == "ended").then_some(view)
    })
}

/// AudioSocket at every rate that is spoken: silence comes at once and without a pause, at 20 ms;
/// each side hears the other's tone; keys are told; the caller hangs up by closing.
#[test]
fn audiosocket_at_all_rates() {
    for (kind, sent_kind, rate_hz) in [
        (0x10_u8, 0x10_u8, 8_000),
        (0x12, 0x12, 16_000),
        (0x13, 0x13, 24_000),
        (0x16, 0x16, 48_000),
    ] {
        let (server, agents, door) = server(rate_hz, "");
        let mut caller = Bare::connect(door, NUMBERS);
        let mut agent = agents.accept();
        for (field, value) in [
            ("provider", json!("audiosocket")),
            ("direction", json!("inbound")),
            ("from", json!("49301234")),
            ("to", json!("800")),
        ] {
            assert_eq!(agent.start[field], value, "{}", agent.start);
        }
        agent.event("answered");
        let silence = |came: &[Came]| (came.len() >= 5).then_some(());
        caller.wait("silence that was not asked for", silence);
        assert!(caller.heard(0x10).iter().all(|sample| *sample == 0));
        let said = bytes(&wav::sine_at(CALLER_HZ, rate_hz, 1.5));
        let frame = rate_hz as usize / 25;
        said.chunks(frame).for_each(|frame| caller.say(kind, frame));
        hears(&mut agent, rate_hz);
        speak(&mut agent, rate_hz, 1.5);
        caller.wait("the agent's tone", |came| {
            let audio = came.iter().filter(|came| came.kind == sent_kind);
            let heard: Vec<i16> = audio.flat_map(|came| samples(&came.payload)).collect();
            wav::has_tone(&heard, rate_hz, AGENT_HZ).then_some(())
        });
        let lengths = caller.came.iter().filter(|came| came.kind == sent_kind);
        assert!(lengths.clone().all(|came| came.payload.len() == frame), "frames of 20 ms");
        "15#".bytes().for_each(|key| caller.say(0x03, &[key]));
        for key in ["1", "5", "#"] {
            let dtmf = agent.event("dtmf");
            assert_eq!((&dtmf["digit"], &dtmf["source"]), (&json!(key), &json!("carrier")));
        }
        caller.close();
        let stop = agent.event("stop");
        assert_eq!((&stop["cause"], &stop["by"]), (&json!("normal"), &json!("caller")), "{stop}");
        assert_eq!(record(&server, &agent)["status"], "completed");
        server.wait_idle();
        server.stop();
    }
}

/// Frames leave at deadlines that do not drift: over two seconds as many as there are, whether
/// somebody speaks or not, and none in a burst.
#[test]
fn audiosocket_keeps_time() {
    let (server, agents, door) = server(8_000, "");
    let mut caller = Bare::connect(door, NUMBERS);
    let mut agent = answered(&agents);
    let first = caller.wait("a frame", |came| came.first().cloned()).at;
    speak(&mut agent, 8_000, 0.5);
    caller.wait("frames", |came| (came.len() > 100).then_some(()));
    let took = caller.came[100].at - first;
    let drift = took.as_secs_f64() - 2.0;
    // Reading wakes up late on a busy machine; what was held up is made up for, up to 100 ms.
    assert!((-0.12..0.5).contains(&drift), "100 frames took {took:?}");
    agent.order("hangup");
    caller.wait_hung_up();
    assert_eq!(agent.event("stop")["by"], "agent");
    server.wait_idle();
    server.stop();
}

/// Three who say nothing are no reason to send nothing: the frames of an AudioSocket have no pause.
#[test]
fn audiosocket_keeps_time_among_three() {
    let (server, agents, door) = server(8_000, "");
    let mut callee = Callee::ulaw();
    let mut caller = Bare::connect(door, NUMBERS);
    let mut agent = answered(&agents);
    agent.say(&json!({
        "event": "transfer", "kind": "bridge", "destination": callee.uri(),
        "options": { "stay": "talk" },
    }));
    callee.wait_call();
    callee.answer();
    while agent.event("transfer")["state"] != "bridged" {}
    caller.look();
    let before = caller.came.len();
    let first = caller.wait("a frame", |came| came.get(before).cloned()).at;
    caller.wait("frames", |came| (came.len() > before + 100).then_some(()));
    let took = caller.came[before + 100].at - first;
    assert!((-0.12..0.5).contains(&(took.as_secs_f64() - 2.0)), "100 frames took {took:?}");
    caller.close();
    callee.wait_request("BYE");
    server.wait_idle();
    server.stop();
}

/// A UUID that says no number means whom the configuration names; without that it is refused, as is
/// a call that no route takes, and what is no AudioSocket.
#[test]
fn whom_a_uuid_means() {
    let (server, agents, door) = server(8_000, "[[routes]]\nto = \"nobody\"\nagent = \"bot\"\n");
    let mut caller = Bare::connect(door, NOTHING);
    let mut agent = answered(&agents);
    assert_eq!((&agent.start["to"], &agent.start["from"]), (&json!("nobody"), &json!("anonymous")));
    caller.say(0x00, &[]);
    assert_eq!(agent.event("stop")["by"], "caller");
    let mut unrouted = Bare::connect(door, NUMBERS);
    unrouted.wait_hung_up();
    let mut wrong = Bare::silent(door);
    wrong.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    until(SOON, "what is no AudioSocket is closed", || {
        wrong.look();
        wrong.closed.then_some(())
    });
    assert!(wrong.came.is_empty());
    server.wait_idle();
    server.stop();
}

/// Who calls from an address that no trunk has is refused; by its trunk a call is known.
#[test]
fn who_may_bring_calls() {
    let trunk = "[[trunks]]\nname = \"pbx\"\npeers = [\"192.0.2.1\"]\n";
    let (stranger, _, door) = server(8_000, trunk);
    Bare::connect(door, NUMBERS).wait_hung_up();
    for path in ["/api/v1/media?to=800", "/api/v1/media"] {
        let refused = Media::open(stranger.http, path, &[]).err();
        // Nor is he told what is wrong with what he says.
        assert_eq!(refused, Some(403), "{path}");
    }
    assert!(stranger.calls().is_empty());
    stranger.stop();
    let trunk = "[[trunks]]\nname = \"pbx\"\npeers = [\"127.0.0.1\"]\n[[routes]]\nto = \"8*\"\n\
                 trunk = \"pbx\"\nagent = \"bot\"\n";
    let (server, agents, door) = server(8_000, trunk);
    let mut caller = Bare::connect(door, NUMBERS);
    let mut agent = answered(&agents);
    assert_eq!(agent.start["trunk"], "pbx");
    caller.close();
    agent.event("stop");
    assert_eq!(Media::open(server.http, "/api/v1/media", &[]).err(), Some(400));
    server.wait_idle();
    server.stop();
}

const START: &str = "MEDIA_START connection_id:out channel:WebSocket/out/0x1 channel_id:c1 \
                     format:slin optimal_frame_size:320 ptime:20";

/// A media WebSocket in each of its forms: the tone passes both ways, marks come back, a clear
/// flushes on the wire, keys are told, and the agent hangs up.
#[test]
fn media_sockets() {
    for json in [false, true] {
        let (server, agents, _) = server(8_000, "");
        let path = "/api/v1/media?to=800&from=+4930123&color=red";
        let mut caller = Media::open(server.http, path, &[]).unwrap();
        assert_eq!(caller.subprotocol.as_deref(), Some("media"));
        let mut agent = agents.accept();
        for (field, value) in [
            ("provider", json!("media_socket")),
            ("from", json!("+4930123")),
            ("to", json!("800")),
            ("variables", json!({"color": "red"})),
        ] {
            assert_eq!(agent.start[field], value, "{}", agent.start);
        }
        agent.event("answered");
        let form = |plain: &str, json_text: &str| {
            if json { json_text.to_owned() } else { plain.to_owned() }
        };
        caller.text(&form(
            START,
            r#"{"event":"MEDIA_START","channel_id":"c1","format":"slin","optimal_frame_size":320}"#,
        ));
        assert_eq!(caller.next_text(), form("ANSWER", r#"{"command":"ANSWER"}"#));
        let said = bytes(&wav::sine_at(CALLER_HZ, 8_000, 1.0));
        said.chunks(320).for_each(|frame| caller.audio(frame));
        hears(&mut agent, 8_000);
        speak(&mut agent, 8_000, 0.5);
        agent.say(&json!({"event": "mark", "name": "m"}));
        let asked = caller.next_text();
        let mark = asked.trim_start_matches("MARK_MEDIA ").to_owned();
        let mark = match serde_json::from_str::<Value>(&asked) {
            Ok(asked) => asked["correlation_id"].as_str().unwrap().to_owned(),
            Err(_) => mark,
        };
        assert_eq!(samples(&caller.heard()), wav::sine_at(AGENT_HZ, 8_000, 0.5), "bit by bit");
        let back = form(
            &format!("MEDIA_MARK_PROCESSED {mark}"),
            &json!({"event": "MEDIA_MARK_PROCESSED", "correlation_id": mark}).to_string(),
        );
        caller.text(&back);
        let told = agent.event("mark");
        assert_eq!((&told["name"], &told["basis"]), (&json!("m"), &json!("carrier")), "{told}");
        barge_in(&mut caller, &mut agent, &form("FLUSH_MEDIA", r#"{"command":"FLUSH_MEDIA"}"#));
        caller.text(&form("DTMF_END digit:7 channel_id:c1", r#"{"event":"DTMF_END","digit":"7"}"#));
        assert_eq!(agent.event("dtmf")["digit"], "7");
        agent.order("hangup");
        let hangup = form("HANGUP", r#"{"command":"HANGUP"}"#);
        caller.wait("the end", |said| {
            let at = said.iter().position(|said| *said == Said::Text(hangup.clone()))?;
            (said.get(at + 1) == Some(&Said::Close(1000))).then_some(())
        });
        assert!(!caller.said.contains(&Said::Ping), "some versions hang up when pinged");
        server.wait_idle();
        server.stop();
    }
}

/// While the agent speaks no more is ahead than the far end's queue may hold; a clear flushes it,
/// and nothing of what was dropped follows.
#[track_caller]
fn barge_in(caller: &mut Media, agent: &mut Agent, flush: &str) {
    let before = caller.said.len();
    speak(agent, 8_000, 4.0);
    caller.wait("some of it", |said| (said.len() >= before + 30).then_some(()));
    let (first, last) = (caller.at[before], *caller.at.last().unwrap());
    let ahead_ms = (caller.said.len() - before) as f64 * 20.0 - (last - first).as_secs_f64() * 1e3;
    assert!(ahead_ms < 130.0, "{ahead_ms} ms are ahead");
    agent.order("clear");
    assert_eq!(caller.next_text(), flush);
    let cleared = agent.event("cleared");
    let at = caller.said.iter().position(|said| *said == Said::Text(flush.to_owned())).unwrap();
    let sent = caller.said[before..at].len() as u64 * 160;
    let heard = cleared["samples"].as_u64().unwrap() - 4_000;
    assert!(heard <= sent && sent - heard <= 480 + 160, "{heard} of {sent} samples were heard");
    speak(agent, 8_000, 0.02);
    caller.wait("what is said next", |said| (said.len() > at + 1).then_some(()));
    let Said::Audio(next) = &caller.said[at + 1] else { panic!("{:?}", caller.said[at + 1]) };
    assert_eq!(samples(next), wav::sine_at(AGENT_HZ, 8_000, 0.02), "nothing of before follows");
}

/// A far end that wants no audio gets none until it wants some; one that breaks off is a failure of
/// the network, one that closes in order a caller that hung up.
#[test]
fn flow_and_ends() {
    let (server, agents, _) = server(8_000, "");
    let open = || {
        let mut caller = Media::open(server.http, "/api/v1/media?to=1", &[]).unwrap();
        caller.text(START);
        let agent = answered(&agents);
        assert_eq!(caller.next_text(), "ANSWER");
        (caller, agent)
    };
    let (mut caller, mut agent) = open();
    caller.text("MEDIA_XOFF");
    caller.text("DTMF_END digit:1");
    agent.event("dtmf");
    speak(&mut agent, 8_000, 0.2);
    agent.order("answer");
    agent.event("error");
    caller.look();
    assert!(caller.heard().is_empty(), "it wants none");
    caller.text("MEDIA_XON");
    caller.wait("audio again", |said| {
        let audio = said.iter().filter(|said| matches!(said, Said::Audio(_)));
        (audio.count() >= 10).then_some(())
    });
    caller.cut();
    assert_eq!(agent.event("stop")["cause"], "network_failure");
    let (mut caller, mut agent) = open();
    caller.text("not a word of it");
    agent.order("hangup");
    assert_eq!(caller.next_text(), "HANGUP");
    assert_eq!(agent.event("stop")["by"], "agent");
    server.wait_idle();
    server.stop();
}

/// Pages of browsers bring no calls, nor do proxies that nobody trusts, nor guesses; a password
/// does, from anywhere.
#[test]
fn who_may_open_media_sockets() {
    let trunk = "[[trunks]]\nname = \"pbx\"\nauth = \"digest\"\nusername = \"pbx\"\n\
                 password = \"a long password\"\n";
    let (server, agents, _) = server(8_000, trunk);
    let path = "/api/v1/media?to=800";
    let basic = |text: &str| {
        use base64::Engine;
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
    };
    let (good, wrong) = (basic("pbx:a long password"), basic("pbx:another password"));
    for headers in [
        vec![],
        vec![("authorization", wrong.as_str())],
        vec![("authorization", good.as_str()), ("origin", "https://page.example")],
        vec![("x-forwarded-for", "127.0.0.1")],
    ] {
        let refused = Media::open(server.http, path, &headers).err();
        assert_eq!(refused, Some(403), "{headers:?}");
    }
    let mut caller = Media::open(server.http, path, &[("authorization", &good)]).unwrap();
    caller.text(START);
    let mut agent = answered(&agents);
    assert_eq!(agent.start["trunk"], "pbx");
    agent.order("hangup");
    agent.event("stop");
    // Who guesses often has to wait, whatever comes next.
    for _ in 0..6 {
        assert!(Media::open(server.http, path, &[("authorization", &wrong)]).is_err());
    }
    assert!(Media::open(server.http, path, &[("authorization", &good)]).is_err());
    server.wait_idle();
    server.stop();
}

/// A carrier that can do no more than add parameters to an address brings call and token by them:
/// once, and no other.
#[test]
fn tokens_in_the_query() {
    let (server, agents, _) = server(8_000, "");
    let wanted = json!({"agent": "bot", "from": "Anna", "rate_hz": 8_000});
    let (status, body) = server.http("POST", "/api/v1/phone", Some(&wanted));
    assert_eq!(status, 201, "{body}");
    let line: Value = serde_json::from_str(&body).unwrap();
    let path = line["path"].as_str().unwrap();
    let (place, token) = path.rsplit_once('/').unwrap();
    let (place, call) = place.rsplit_once('/').unwrap();
    for (call, token) in [(call, "wrong"), ("6f0b4b0e-2f5e-4b0e-9a51-2f8e6f1d4c11", token)] {
        let refused = Media::open(server.http, &format!("{place}?call={call}&token={token}"), &[]);
        assert_eq!(refused.err(), Some(404));
    }
    assert_eq!(Media::open(server.http, &format!("{place}?call={call}"), &[]).err(), Some(400));
    let good = format!("{place}?call={call}&token={token}");
    let mut page = Media::open(server.http, &good, &[]).unwrap();
    assert_eq!(page.subprotocol.as_deref(), Some("media"));
    assert_eq!(Media::open(server.http, &good, &[]).err(), Some(404), "it is spent");
    page.text(r#"{"event":"start"}"#);
    let mut agent = answered(&agents);
    assert_eq!(agent.start["provider"], "phone");
    page.text(r#"{"event":"hangup"}"#);
    assert_eq!(agent.event("stop")["by"], "caller");
    server.wait_idle();
    server.stop();
}
