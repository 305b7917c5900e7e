//! The agent stream end to end: a phone, the real server, and an agent on a WebSocket
//! (`docs/protocol.md`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::collections::HashSet;
use std::f64::consts::TAU;

use serde_json::{Value, json};

use support::agent::{Agent, Agents};
use support::phone::{DTMF_PT, Phone, header};
use support::server::Server;
use support::wav;

/// Key of the agent's tokens.
const SECRET: &str = "a secret of this test alone";
/// A code of µ-law silence.
const SILENCE: u8 = 0xff;
/// Payload type of linear audio.
const L16: u8 = 96;

/// A server whose every call goes to one agent; `more` is added to the agent's entry.
fn start(more: &str) -> (Server, Agents) {
    let agents = Agents::listen();
    let url = agents.url();
    let server = Server::start(&format!(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{url}\"\n{more}\n"
    ));
    (server, agents)
}

/// An answered call with its agent, which has heard of the answer.
fn connected(server: &Server, agents: &Agents) -> (Phone, Agent) {
    let mut phone = Phone::call(server, "+15550005678");
    let mut agent = agents.accept();
    phone.wait_answer();
    agent.event("answered");
    (phone, agent)
}

/// Ends the call from the phone's side: `stop` is the last event, then the socket closes with
/// 1000.
fn finish(server: Server, mut phone: Phone, mut agent: Agent) {
    phone.hang_up();
    let stop = agent.event("stop");
    assert_eq!((&stop["cause"], &stop["by"]), (&json!("normal"), &json!("caller")), "{stop}");
    assert_eq!(agent.wait_close(), 1000);
    assert_eq!(agent.said.last(), Some(&stop), "stop is the last event");
    server.wait_idle();
    server.stop();
}

/// Codes of µ-law that look random, and in which silence does not occur.
fn noise(count: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state % 254) as u8
    };
    (0..count).map(|_| next() & 0x7e).collect()
}

/// Where `needle` begins in `hay`.
fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

/// Linear samples of a sine, little-endian.
fn linear(hz: f64, rate_hz: u32, seconds: f64) -> Vec<u8> {
    let count = (seconds * f64::from(rate_hz)) as usize;
    let sample = |at: usize| (at as f64 * TAU * hz / f64::from(rate_hz)).sin() * 10_000.0;
    (0..count).flat_map(|at| (sample(at) as i16).to_le_bytes()).collect()
}

/// Fails unless `samples` at `rate_hz` are a sine of `hz` with amplitude 10,000 and nothing else.
#[track_caller]
fn assert_tone(samples: &[i16], rate_hz: u32, hz: f64) {
    // The analysis thinks in 8,000 Hz.
    let amplitude = wav::amplitude(samples, hz * 8_000.0 / f64::from(rate_hz));
    let power = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
    let rms = (power / samples.len() as f64).sqrt();
    assert!((8_500.0..11_500.0).contains(&amplitude), "{hz} Hz has amplitude {amplitude}");
    let rest = (rms.powi(2) - amplitude.powi(2) / 2.0).max(0.0).sqrt();
    assert!(rest < rms / 10.0, "besides {hz} Hz: {rest} of {rms}");
}

/// The agent is dialled before the answer, with a token that its secret verifies, and `start`
/// says all about the call, a trunk's header included; `answered` follows, `stop` and close 1000
/// end it.
#[test]
fn start_tells_about_the_call() {
    let agents = Agents::listen();
    let url = format!("{}?account=7&token=x", agents.url());
    let server = Server::start(&format!(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{url}\"\nsecret = \"{SECRET}\"\n\
         [[trunks]]\nname = \"office\"\npeers = [\"127.0.0.1/32\"]\nheaders = [\"X-Account\"]\n"
    ));
    let header = "X-Account: 9\r\nX-Other: 8\r\n";
    let mut phone = Phone::call_at(server.sip, "+15550005678", header);
    let mut agent = agents.accept();
    let start = agent.start.clone();
    let id = start["call_id"].as_str().unwrap().to_owned();
    let format = json!({ "codec": "PCMU", "rate_hz": 8000, "ptime_ms": 20, "pt": 0 });
    let expected = json!({
        "event": "start", "stream": start["stream"], "version": 1, "call_id": id,
        "direction": "inbound", "from": "+15550001234", "to": "+15550005678",
        "provider": "sip_trunk", "trunk": "office", "state": "ringing",
        "in": format, "out": format, "framing": "rtp", "variables": { "caller_name": "Phone" },
        "headers": { "X-Account": "9" }, "resumed": false, "features": start["features"],
    });
    assert_eq!(start, expected);
    let features: HashSet<&str> =
        start["features"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let expected =
        ["dtmf", "hold", "mute", "transfer", "quality", "record", "silence", "speech", "underrun"];
    assert_eq!(features, HashSet::from(expected));
    verify_token(&agent, &id);
    let asked = agent.request.as_ref().unwrap().uri();
    assert_eq!(asked.path_and_query().unwrap(), "/agent?account=7&token=x");
    phone.wait_answer();
    assert_eq!(agent.next(), json!({ "event": "answered", "stream": start["stream"] }));
    let calls = server.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0]["id"], id.as_str());
    finish(server, phone, agent);
}

/// The handshake's token is signed with the secret, for this agent and this call, for a minute.
fn verify_token(agent: &Agent, call: &str) {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
    let headers = agent.request.as_ref().unwrap().headers();
    assert_eq!(headers["sec-websocket-protocol"], "talkpath.v1");
    let bearer = headers["authorization"].to_str().unwrap();
    let token = bearer.strip_prefix("Bearer ").unwrap();
    let mut rules = Validation::new(Algorithm::HS256);
    rules.set_audience(&["bot"]);
    rules.set_issuer(&["talkpath"]);
    let read =
        |secret: &str| decode::<Value>(token, &DecodingKey::from_secret(secret.as_bytes()), &rules);
    let claims = read(SECRET).unwrap().claims;
    assert_eq!(claims["sub"], call);
    let (issued, ends) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
    assert_eq!(ends - issued, 60);
    assert!(!claims["jti"].as_str().unwrap().is_empty());
    assert!(read("another secret, as long").is_err());
}

/// Audio in the caller's codec passes bit for bit in both directions: what is lost shows as a gap
/// in sequence and time stamp, what the agent sends in pieces of any size leaves as one stream.
#[test]
fn pcmu_passes_bit_exact() {
    let (server, agents) = start("");
    let (mut phone, mut agent) = connected(&server, &agents);
    let said = noise(8_000, 0x1234);
    let (before, after) = said.split_at(4_000);
    phone.speak(before);
    phone.skip(160);
    phone.speak(after);
    agent.wait_frames(50);
    let heard: Vec<u8> = agent.frames.iter().flat_map(|frame| frame.payload.clone()).collect();
    assert!(heard == said, "the agent hears something else");
    let marked = agent.frames.iter().enumerate().filter(|(_, frame)| frame.marker);
    assert_eq!(marked.map(|(index, _)| index).collect::<Vec<_>>(), [0, 25]);
    for (index, pair) in agent.frames.windows(2).enumerate() {
        let lost = u16::from(index == 24);
        assert_eq!(pair[1].seq.wrapping_sub(pair[0].seq), 1 + lost, "frame {index}");
        assert_eq!(pair[1].ts.wrapping_sub(pair[0].ts), 160 * (1 + u32::from(lost)));
        assert_eq!((pair[1].pt, u64::from(pair[1].ssrc)), (0, agent.stream()));
    }
    let answer = noise(8_000, 0x4321);
    let mut rest = answer.as_slice();
    for size in [1, 159, 160, 1_000, 3, 2_677, 4_000] {
        let (piece, after) = rest.split_at(size);
        agent.play(0, piece);
        rest = after;
    }
    assert!(rest.is_empty());
    phone.wait_audio("the agent's audio", |heard| find(heard, &answer));
    phone.assert_one_stream();
    finish(server, phone, agent);
}

/// A tone passes in both directions between the caller's PCMU and linear audio of the agent.
#[track_caller]
fn linear_passes(server: Server, mut phone: Phone, mut agent: Agent, in_hz: u32, out_hz: u32) {
    let said = wav::to_ulaw(&wav::sine(1_000.0, 1.0));
    phone.speak(&said);
    agent.wait_frames(50);
    let bytes = in_hz as usize / 50 * 2;
    for frame in &agent.frames {
        assert_eq!((frame.pt, frame.payload.len()), (L16, bytes));
    }
    for pair in agent.frames.windows(2) {
        assert_eq!(pair[1].ts.wrapping_sub(pair[0].ts), in_hz / 50);
    }
    let samples: Vec<i16> = agent
        .frames
        .iter()
        .flat_map(|frame| frame.payload.chunks_exact(2))
        .map(|sample| i16::from_le_bytes([sample[0], sample[1]]))
        .collect();
    // The first frames hold the filter's start.
    assert_tone(&samples[bytes..], in_hz, 1_000.0);

    agent.play(L16, &linear(440.0, out_hz, 1.0));
    agent.say(&json!({ "event": "mark", "name": "end" }));
    let mark = agent.event("mark");
    assert_eq!((&mark["samples"], &mark["played_ms"]), (&json!(out_hz), &json!(1000)), "{mark}");
    let heard = phone.wait_audio("silence behind the tone", |heard| {
        let first = heard.iter().position(|code| *code != SILENCE)?;
        (heard.len() >= first + 8_160).then(|| heard[first..first + 8_000].to_vec())
    });
    let samples: Vec<i16> = heard.iter().map(|code| wav::ulaw(*code)).collect();
    assert_tone(&samples[400..7_600], 8_000, 440.0);
    phone.assert_one_stream();
    finish(server, phone, agent);
}

/// The format of the agent's entry holds without a `configure`: 16 kHz linear in both directions.
#[test]
fn format_of_the_configuration_is_linear_16_khz() {
    let (server, agents) = start("format = { codec = \"l16le\", rate_hz = 16000 }");
    let (phone, agent) = connected(&server, &agents);
    let format = json!({ "codec": "l16le", "rate_hz": 16000, "ptime_ms": 20, "pt": 96 });
    assert_eq!((&agent.start["in"], &agent.start["out"]), (&format, &format));
    linear_passes(server, phone, agent, 16_000, 16_000);
}

/// The same at 24 kHz.
#[test]
fn format_of_the_configuration_is_linear_24_khz() {
    let (server, agents) = start("format = { codec = \"l16le\", rate_hz = 24000 }");
    let (phone, agent) = connected(&server, &agents);
    linear_passes(server, phone, agent, 24_000, 24_000);
}

/// `configure` sets both directions, each at a rate of its own, and is answered by what holds.
#[test]
fn configure_sets_a_rate_for_each_direction() {
    let (server, agents) = start("");
    let (phone, mut agent) = connected(&server, &agents);
    agent.say(&json!({
        "event": "configure",
        "in": { "codec": "l16le", "rate_hz": 16000 },
        "out": { "codec": "l16le", "rate_hz": 24000 },
        "wants": ["quality", "telepathy"],
    }));
    let format = |rate| json!({ "codec": "l16le", "rate_hz": rate, "ptime_ms": 20, "pt": 96 });
    let expected = json!({
        "event": "configured", "stream": agent.stream(), "in": format(16000), "out": format(24000),
        "framing": "rtp", "wants": ["quality"],
    });
    assert_eq!(agent.event("configured"), expected);
    linear_passes(server, phone, agent, 16_000, 24_000);
}

/// Marks come back in their order with the exact count of samples before them, and what the phone
/// hears is all of it.
#[test]
fn marks_are_played_in_order() {
    let (server, agents) = start("");
    let (phone, mut agent) = connected(&server, &agents);
    let audio = noise(4_800, 7);
    agent.say(&json!({ "event": "utterance", "id": "a" }));
    agent.play(0, &audio[..3_200]);
    agent.say(&json!({ "event": "mark", "name": "one" }));
    agent.play(0, &audio[3_200..]);
    agent.say(&json!({ "event": "mark", "name": "two" }));
    for (name, samples) in [("one", 3_200), ("two", 4_800)] {
        let expected = json!({
            "event": "mark", "stream": agent.stream(), "name": name, "status": "played",
            "samples": samples, "played_ms": samples / 8, "basis": "wire",
        });
        assert_eq!(agent.next(), expected);
    }
    phone.wait_audio("all of it", |heard| find(heard, &audio));
    finish(server, phone, agent);
}

/// `clear` ends the waiting mark, and its account of what was played equals what the phone heard,
/// to the sample.
#[test]
fn clear_accounts_for_what_was_heard() {
    let (server, agents) = start("");
    let (phone, mut agent) = connected(&server, &agents);
    let audio = noise(24_000, 99);
    agent.say(&json!({ "event": "utterance", "id": "greeting" }));
    agent.play(0, &audio);
    agent.say(&json!({ "event": "mark", "name": "end" }));
    phone.wait_audio("a part of it", |heard| find(heard, &audio[..4_000]));
    agent.order("clear");
    let mark = agent.next();
    let cleared = agent.next();
    assert_eq!((&mark["event"], &mark["name"]), (&json!("mark"), &json!("end")), "{mark}");
    assert_eq!(mark["status"], "cleared");
    let samples = cleared["samples"].as_u64().unwrap();
    assert_eq!(mark["samples"], samples);
    let expected = json!({
        "event": "cleared", "stream": agent.stream(), "dropped_ms": 3_000 - samples / 8,
        "samples": samples, "basis": "wire",
        "utterances": [{ "id": "greeting", "samples": samples, "complete": false }],
    });
    assert_eq!(cleared, expected);
    // Silence behind it: nothing of it is under way any more.
    let heard = phone.wait_audio("silence behind it", |heard| {
        let begin = find(heard, &audio[..160])?;
        let length = heard[begin..].iter().position(|code| *code == SILENCE)?;
        Some(heard[begin..begin + length].to_vec())
    });
    assert_eq!(heard.len() as u64, samples, "the account and the wire");
    assert!(audio.starts_with(&heard));
    finish(server, phone, agent);
}

/// An underrun that is under way ends with `clear`: it is told before the account, and what is
/// silent from there on is none.
#[test]
fn clear_ends_an_underrun() {
    let (server, agents) = start("");
    let (phone, mut agent) = connected(&server, &agents);
    agent.say(&json!({ "event": "configure", "wants": ["underrun"] }));
    agent.event("configured");
    let (first, second) = (noise(480, 31), noise(480, 32));
    agent.say(&json!({ "event": "utterance", "id": "cut" }));
    agent.play(0, &first);
    phone.wait_audio("silence in mid-utterance", |heard| {
        let behind = find(heard, &first)? + first.len();
        (heard.len() >= behind + 480).then_some(())
    });
    agent.order("clear");
    let (underrun, cleared) = (agent.next(), agent.next());
    assert_eq!((&underrun["event"], &cleared["event"]), (&json!("underrun"), &json!("cleared")));
    agent.play(0, &second);
    agent.say(&json!({ "event": "mark", "name": "end" }));
    agent.event("mark");
    let told = agent.said.iter().filter(|event| event["event"] == "underrun").count();
    assert_eq!(told, 1, "{:?}", agent.said);
    finish(server, phone, agent);
}

/// Audio beyond the limit is refused and told, what was queued before is played.
#[test]
fn queue_full_refuses_the_newest() {
    let (server, agents) = start("[media]\nmax_queue_ms = 1000");
    let (phone, mut agent) = connected(&server, &agents);
    // Far more than is played while it is sent, however slowly that goes.
    let audio = noise(64_000, 5);
    for frame in audio.chunks(160) {
        agent.play(0, frame);
    }
    let error = agent.event("error");
    assert_eq!((&error["code"], &error["fatal"]), (&json!("queue_full"), &json!(false)), "{error}");
    phone.wait_audio("a second of it", |heard| find(heard, &audio[..7_840]));
    finish(server, phone, agent);
}

/// Keys are told to the agent, by RTP (RFC 4733) and by INFO, each once; the agent's digits reach
/// the phone as events with three ends each.
#[test]
fn digits_pass_both_ways() {
    let (server, agents) = start("");
    let (mut phone, mut agent) = connected(&server, &agents);
    phone.speak(&noise(1_600, 3));
    phone.press(5);
    phone.press(11);
    for digit in ["5", "#"] {
        let expected = json!({
            "event": "dtmf", "stream": agent.stream(), "digit": digit, "duration_ms": 100,
            "source": "rtp",
        });
        assert_eq!(agent.event("dtmf"), expected);
    }
    phone.info('7', 160);
    let info = agent.event("dtmf");
    assert_eq!((&info["digit"], &info["duration_ms"]), (&json!("7"), &json!(160)), "{info}");
    assert_eq!(info["source"], "info");
    agent.say(&json!({ "event": "dtmf", "digits": "1*D", "duration_ms": 120, "gap_ms": 80 }));
    let events = support::until(std::time::Duration::from_secs(10), "three digits", || {
        let events: Vec<_> = phone.packets().into_iter().filter(|rtp| rtp.pt == DTMF_PT).collect();
        let ends = events.iter().filter(|rtp| rtp.payload[1] & 0x80 != 0).count();
        (ends == 9).then_some(events)
    });
    let ends = events.iter().filter(|rtp| rtp.payload[1] & 0x80 != 0);
    let ends: Vec<(u8, u16)> = ends
        .map(|rtp| (rtp.payload[0], u16::from_be_bytes([rtp.payload[2], rtp.payload[3]])))
        .collect();
    let three = |event| [(event, 960); 3];
    assert_eq!(ends, [three(1), three(10), three(15)].concat());
    finish(server, phone, agent);
}

/// `hangup` waits until everything queued was played; `now` does not wait.
#[test]
fn hangup_waits_for_playout_unless_told_otherwise() {
    let (server, agents) = start("");
    let (mut phone, mut agent) = connected(&server, &agents);
    let audio = noise(4_870, 17);
    agent.play(0, &audio);
    agent.order("hangup");
    let bye = phone.wait_bye();
    // The BYE may be read before the last packets, which came before it.
    phone.wait_audio("all that was played", |heard| find(heard, &audio));
    assert!(header(&bye, "Reason").contains("16"), "{bye}");
    let stop = agent.event("stop");
    assert_eq!((&stop["cause"], &stop["by"]), (&json!("normal"), &json!("agent")), "{stop}");
    assert_eq!(agent.wait_close(), 1000);

    let (mut phone, mut agent) = connected(&server, &agents);
    let audio = noise(80_000, 19);
    for part in audio.chunks(40_000) {
        agent.play(0, part);
    }
    agent.say(&json!({ "event": "hangup", "after": "now" }));
    phone.wait_bye();
    assert!(find(&phone.audio(), &audio[..40_000]).is_none(), "it waited");
    agent.event("stop");
    assert_eq!(agent.wait_close(), 1000);
    server.wait_idle();
    server.stop();
}

/// With `answers` the agent decides: the call rings until `answer`, and a greeting sent before it
/// is in the very first packet after the 200.
#[test]
fn greeting_is_in_the_first_packet() {
    let (server, agents) = start("answers = true");
    let mut phone = Phone::call(&server, "+15550005678");
    let mut agent = agents.accept();
    let features = agent.start["features"].as_array().unwrap();
    assert!(features.contains(&json!("answer")));
    let greeting = noise(3_200, 23);
    agent.play(0, &greeting);
    phone.wait_status(180);
    agent.order("answer");
    phone.wait_answer();
    agent.event("answered");
    phone.wait_audio("the greeting", |heard| find(heard, &greeting));
    let first = &phone.packets()[0];
    assert!(first.marker);
    assert_eq!(first.payload, greeting[..160]);
    finish(server, phone, agent);
}

/// A server that answers by itself waits a moment for the greeting that a quick agent sends at
/// `start`: it is in the first packet after the 200. A busy machine may not let the agent be
/// quick, so it has several calls to show it; in none may the greeting begin within a packet.
#[test]
fn greeting_sent_at_start_is_in_the_first_packet() {
    let (server, agents) = start("");
    let first = (0..10).any(|_| {
        let mut phone = Phone::call(&server, "+15550005678");
        let mut agent = agents.accept();
        let greeting = noise(1_600, 29);
        agent.play(0, &greeting);
        phone.wait_answer();
        let at = phone.wait_audio("the greeting", |heard| find(heard, &greeting));
        assert_eq!(at % 160, 0, "samples before the greeting");
        let packet = &phone.packets()[at / 160];
        assert!(packet.marker && packet.payload == greeting[..160]);
        phone.hang_up();
        agent.event("stop");
        at == 0
    });
    assert!(first, "the greeting is late in ten calls");
    server.wait_idle();
    server.stop();
}

/// `reject` refuses the call with the status of its cause.
#[test]
fn reject_refuses_the_call() {
    let (server, agents) = start("answers = true");
    for (cause, status) in [("busy", 486), ("not_found", 404), ("rejected", 603)] {
        let mut phone = Phone::call(&server, "+15550005678");
        let mut agent = agents.accept();
        agent.say(&json!({ "event": "reject", "cause": cause }));
        phone.wait_refusal(status);
        let stop = agent.event("stop");
        assert_eq!((&stop["cause"], &stop["by"]), (&json!(cause), &json!("agent")), "{stop}");
        assert_eq!(agent.wait_close(), 1000);
    }
    server.wait_idle();
    server.stop();
}

/// What an agent gets wrong is told with a code, and closes the socket as the protocol says;
/// without grace the call ends.
#[test]
fn mistakes_close_the_socket() {
    let (server, agents) = start("grace_ms = 0");
    let unknown = json!({ "event": "configure", "in": { "codec": "opus" } }).to_string();
    let rate = json!({ "event": "configure", "out": { "codec": "l16le", "rate_hz": 44100 } });
    let long = format!("{{\"event\":\"mark\",\"name\":\"{}\"}}", "x".repeat(65_536));
    let cases = [
        (unknown, "unknown_codec", 4400),
        (rate.to_string(), "unknown_codec", 4400),
        ("no JSON".to_owned(), "bad_json", 1007),
        ("[]".to_owned(), "bad_json", 1007),
        (long, "too_big", 1009),
    ];
    for (text, code, close) in cases {
        let (mut phone, mut agent) = connected(&server, &agents);
        agent.text(&text);
        let error = agent.event("error");
        assert_eq!((&error["code"], &error["fatal"]), (&json!(code), &json!(true)), "{error}");
        assert_eq!(agent.wait_close(), close, "{code}");
        phone.wait_bye();
    }
    // Audio that is too long is a mistake as well.
    let (mut phone, mut agent) = connected(&server, &agents);
    agent.play(0, &[SILENCE; 65_537]);
    assert_eq!(agent.event("error")["code"], "too_big");
    assert_eq!(agent.wait_close(), 1009);
    phone.wait_bye();
    server.wait_idle();
    server.stop();
}

/// Small mistakes are told and forgiven: a frame of another stream or type, a field that is
/// missing.
#[test]
fn small_mistakes_are_forgiven() {
    let (server, agents) = start("");
    let (phone, mut agent) = connected(&server, &agents);
    agent.play(8, &[SILENCE; 160]);
    assert_eq!(agent.event("error")["code"], "bad_frame");
    agent.order("mark");
    assert_eq!(agent.event("error")["code"], "bad_field");
    agent.say(&json!({ "event": "transfer", "kind": "hot", "destination": "sip:a@b" }));
    assert_eq!(agent.event("error")["code"], "bad_field");
    agent.order("answer");
    assert_eq!(agent.event("error")["code"], "not_allowed");
    agent.order("something of tomorrow");
    agent.say(&json!({ "event": "mark", "name": "still here" }));
    assert_eq!(agent.next()["name"], "still here");
    finish(server, phone, agent);
}
