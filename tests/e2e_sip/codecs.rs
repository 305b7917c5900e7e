//! Calls in every codec, end to end: the phone's G.722 is an implementation that is not ours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::f64::consts::TAU;

use audio_codec::g722::{Bitrate, G722Decoder, G722Encoder};
use audio_codec::{Decoder as _, Encoder as _};
use serde_json::{Value, json};

use support::agent::Agent;
use support::joined::{self, part};
use support::phone::{self, Codec, Phone};
use support::server::Server;
use support::wav;

/// Payload types of the agent stream.
const G722_PT: u8 = 9;
const L16_PT: u8 = 96;

/// A sine with amplitude 10,000.
fn sine(hz: f64, rate_hz: u32, seconds: f64) -> Vec<i16> {
    let count = (seconds * f64::from(rate_hz)) as usize;
    let sample = |at: usize| (at as f64 * TAU * hz / f64::from(rate_hz)).sin() * 10_000.0;
    (0..count).map(|at| sample(at) as i16).collect()
}

fn to_g722(samples: &[i16]) -> Vec<u8> {
    G722Encoder::with_options(Bitrate::Mode1_64000, false, false).encode(samples)
}

fn from_g722(bytes: &[u8]) -> Vec<i16> {
    G722Decoder::with_options(Bitrate::Mode1_64000, false, false).decode(bytes)
}

fn le(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

fn from_le(bytes: &[u8]) -> Vec<i16> {
    bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// Half a second of `samples` in which a sine of `hz` with about the amplitude of all tones here
/// stands alone, if there is one; where it begins.
fn find_tone(samples: &[i16], rate_hz: u32, hz: f64) -> Option<usize> {
    let length = rate_hz as usize / 2;
    let pure = |start: usize| {
        let part = &samples[start..start + length];
        // The analysis thinks in 8,000 Hz.
        let amplitude = wav::amplitude(part, hz * 8_000.0 / f64::from(rate_hz));
        let power = part.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
        let rms = (power / length as f64).sqrt();
        let rest = (rms.powi(2) - amplitude.powi(2) / 2.0).max(0.0).sqrt();
        (8_000.0..11_500.0).contains(&amplitude) && rest < rms / 3.0
    };
    (0..samples.len().saturating_sub(length)).step_by(length / 10).find(|start| pure(*start))
}

/// What the phone has heard, decoded as `codec`.
fn heard(codec: Codec, bytes: &[u8]) -> (Vec<i16>, u32) {
    match codec.pt {
        9 => (from_g722(bytes), 16_000),
        8 => (bytes.iter().map(|code| wav::alaw(*code)).collect(), 8_000),
        _ => (bytes.iter().map(|code| wav::ulaw(*code)).collect(), 8_000),
    }
}

/// Waits until the phone hears half a second of `hz`.
#[track_caller]
fn wait_tone(phone: &Phone, codec: Codec, hz: f64) {
    phone.wait_audio(&format!("{hz} Hz"), |bytes| {
        let (samples, rate_hz) = heard(codec, bytes);
        find_tone(&samples, rate_hz, hz)
    });
}

/// A call of a phone that speaks `codec`, with an agent whose entry has `more`.
#[track_caller]
fn connected(codec: Codec, more: &str) -> (Server, Phone, Agent) {
    joined::connected(&["G722", "PCMU", "PCMA"], codec, (more, ""))
}

fn payloads(agent: &Agent) -> Vec<u8> {
    agent.frames.iter().flat_map(|frame| frame.payload.iter().copied()).collect()
}

/// A phone that speaks G.722 and an agent that takes linear audio at 16 kHz hear each other above
/// 4 kHz, where no G.711 reaches; the account of what was played is exact in the agent's samples.
#[test]
fn wide_band_both_ways() {
    let format = "format = { codec = \"l16le\", rate_hz = 16000 }";
    let (server, mut phone, mut agent) = connected(phone::G722, format);
    assert!(phone.answer.contains("a=rtpmap:9 G722/8000\r\n"), "{}", phone.answer);
    assert!(phone.answer.contains("telephone-event/8000"), "{}", phone.answer);
    phone.speak(&to_g722(&sine(6_000.0, 16_000, 1.2)));
    agent.wait_frames(55);
    assert!(agent.frames.iter().all(|frame| (frame.pt, frame.payload.len()) == (L16_PT, 640)));
    for pair in agent.frames.windows(2) {
        assert_eq!(pair[1].ts.wrapping_sub(pair[0].ts), 320);
    }
    let samples = from_le(&payloads(&agent));
    assert!(find_tone(&samples, 16_000, 6_000.0).is_some(), "6 kHz do not reach the agent");

    agent.play(L16_PT, &le(&sine(5_500.0, 16_000, 1.0)));
    agent.say(&json!({ "event": "mark", "name": "half" }));
    let mark = agent.event("mark");
    assert_eq!((&mark["status"], &mark["samples"]), (&json!("played"), &json!(16_000)), "{mark}");
    wait_tone(&phone, phone::G722, 5_500.0);
    phone.assert_one_stream();
    part(server, phone, agent);
}

/// If both sides speak G.722, every byte passes untouched; the clock stays at 8,000.
#[test]
fn g722_passes_untouched() {
    let (server, mut phone, mut agent) = connected(phone::G722, "");
    let format = json!({ "codec": "G722", "rate_hz": 16000, "ptime_ms": 20, "pt": 9 });
    assert_eq!((&agent.start["in"], &agent.start["out"]), (&format, &format));
    let said: Vec<u8> =
        (0..8_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    phone.speak(&said);
    agent.wait_frames(50);
    assert!(payloads(&agent) == said, "the agent hears something else");
    for pair in agent.frames.windows(2) {
        assert_eq!((pair[1].pt, pair[1].ts.wrapping_sub(pair[0].ts)), (G722_PT, 160));
    }
    agent.play(G722_PT, &said);
    agent.say(&json!({ "event": "mark", "name": "all" }));
    assert_eq!(agent.event("mark")["samples"], 16_000);
    phone.wait_audio("the agent's bytes", |heard| {
        heard.windows(said.len()).any(|window| window == said).then_some(())
    });
    phone.assert_one_stream();
    part(server, phone, agent);
}

/// An agent that speaks `agent_codec` and a phone that speaks `codec` hear each other at 1 kHz.
#[track_caller]
fn narrow_band_both_ways(codec: Codec, agent_codec: &str) {
    let format = format!("format = {{ codec = \"{agent_codec}\" }}");
    let (server, mut phone, mut agent) = connected(codec, &format);
    let code = |agent: &str, hz: f64| match agent {
        "G722" => to_g722(&sine(hz, 16_000, 1.2)),
        _ => wav::to_ulaw(&sine(hz, 8_000, 1.2)),
    };
    phone.speak(&code(if codec.pt == 9 { "G722" } else { "PCMU" }, 1_000.0));
    agent.wait_frames(55);
    let spoken = if agent_codec == "G722" { phone::G722 } else { phone::PCMU };
    let (samples, rate_hz) = heard(spoken, &payloads(&agent));
    assert!(find_tone(&samples, rate_hz, 1_000.0).is_some(), "1 kHz does not reach the agent");
    agent.play(spoken.pt, &code(agent_codec, 700.0));
    wait_tone(&phone, codec, 700.0);
    phone.assert_one_stream();
    part(server, phone, agent);
}

/// An agent may ask for µ-law though the phone speaks G.722.
#[test]
fn agent_speaks_ulaw_and_the_phone_g722() {
    narrow_band_both_ways(phone::G722, "PCMU");
}

/// An agent may ask for G.722 though the phone speaks µ-law.
#[test]
fn agent_speaks_g722_and_the_phone_ulaw() {
    narrow_band_both_ways(phone::PCMU, "G722");
}

/// What is cleared in mid-word is accounted for in the agent's samples, and what follows is heard
/// without a click: the loudest change between two samples stays that of the tones.
#[test]
fn clear_leaves_no_click_in_g722() {
    let format = "format = { codec = \"l16le\", rate_hz = 16000 }";
    let (server, phone, mut agent) = connected(phone::G722, format);
    for second in le(&sine(700.0, 16_000, 10.0)).chunks(32_000) {
        agent.play(L16_PT, second);
    }
    wait_tone(&phone, phone::G722, 700.0);
    agent.order("clear");
    let cleared = agent.event("cleared");
    let (samples, dropped_ms) =
        (cleared["samples"].as_u64().unwrap(), cleared["dropped_ms"].as_u64().unwrap());
    assert_eq!(samples / 16 + dropped_ms, 10_000, "{cleared}");
    agent.play(L16_PT, &le(&sine(500.0, 16_000, 1.0)));
    wait_tone(&phone, phone::G722, 500.0);
    let samples = from_g722(&phone.audio());
    // The other implementation starts from a state that nobody is in; it is there after 20 ms. A
    // sine of 700 Hz changes by 2,700 at most, and an end in mid-word by its amplitude.
    let steps = samples[320..].windows(2).map(|pair| pair[0].abs_diff(pair[1]));
    assert!(steps.max().unwrap() < 12_000);
    part(server, phone, agent);
}

/// Agents of the server itself in every codec, and on through changes of codec in mid-call: the
/// tone goes on, in what the phone speaks now.
#[test]
fn built_in_tone_follows_every_change_of_codec() {
    let server = Server::start(
        "[sip]\ncodecs = [\"G722\", \"PCMU\", \"PCMA\"]\n\
         [[agents]]\nname = \"tone\"\nkind = \"builtin\"\nbuiltin = \"tone\"\n\
         frequency_hz = 1000\n",
    );
    let mut phone = Phone::call_in(server.sip, "tone", "", phone::PCMU);
    phone.wait_answer();
    let tone = |phone: &Phone, codec: Codec| {
        phone.wait_audio("1,000 Hz", |bytes| {
            let (samples, rate_hz) = heard(codec, bytes);
            let length = rate_hz as usize / 2;
            let last = samples.len().checked_sub(length)?;
            // Tones of the server have an amplitude of 11,600.
            let amplitude =
                wav::amplitude(&samples[last..], 1_000.0 * 8_000.0 / f64::from(rate_hz));
            (10_500.0..12_500.0).contains(&amplitude).then_some(())
        });
    };
    tone(&phone, phone::PCMU);
    for codec in [phone::G722, phone::PCMA, phone::G722, phone::PCMU] {
        let answer = phone.change_codec(codec);
        assert!(answer.contains(codec.map), "{answer}");
        tone(&phone, codec);
    }
    phone.hang_up();
    server.wait_idle();
    server.stop();
}

/// The echo sends G.722 back byte for byte.
#[test]
fn built_in_echo_in_g722() {
    let server = Server::start(
        "[sip]\ncodecs = [\"G722\"]\n\
         [[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n",
    );
    let mut phone = Phone::call_in(server.sip, "echo", "", phone::G722);
    phone.wait_answer();
    let said = to_g722(&sine(6_000.0, 16_000, 0.5));
    phone.speak(&said);
    phone.wait_audio("the echo", |heard| (heard == said).then_some(()));
    phone.assert_one_stream();
    phone.hang_up();
    server.wait_idle();
    server.stop();
}

/// Noise while an agent is sought is noise, and quiet, after a change of codec too.
#[test]
fn comfort_noise_follows_a_change_of_codec() {
    let (server, mut phone, agent) = connected(phone::PCMU, "grace_ms = 60000");
    drop(agent);
    for codec in [phone::PCMU, phone::PCMA, phone::G722] {
        if codec.pt != 0 {
            phone.change_codec(codec);
        }
        phone.wait_audio("noise", |bytes| {
            let (samples, rate_hz) = heard(codec, bytes);
            let last = samples.len().checked_sub(rate_hz as usize / 2)?;
            let loudest = samples[last..].iter().map(|sample| sample.unsigned_abs()).max()?;
            let noise = samples[last..].iter().filter(|sample| **sample != 0).count();
            (loudest < 300 && noise > 500).then_some(())
        });
    }
    phone.hang_up();
    server.wait_idle();
    server.stop();
}

/// Digits in telephone-event at the clock of G.722, which is 8,000.
#[test]
fn digits_beside_g722() {
    let (server, mut phone, mut agent) = connected(phone::G722, "");
    phone.press(5);
    let digit = agent.event("dtmf");
    let expected = (&Value::from("5"), &Value::from(100), &Value::from("rtp"));
    assert_eq!((&digit["digit"], &digit["duration_ms"], &digit["source"]), expected, "{digit}");
    part(server, phone, agent);
}

/// An offer that nothing can be made of is refused with the reason (RFC 3261 20.43): another family
/// of addresses, another profile, other codecs, other media.
#[test]
fn refused_offers_tell_why() {
    let server = Server::start("");
    for (connection, media, warning) in [
        ("IN IP6 2001:db8::1", "m=audio PORT RTP/AVP 0", "301 "),
        ("IN IP4 127.0.0.1", "m=audio PORT RTP/SAVP 0", "399 "),
        ("IN IP4 127.0.0.1", "m=audio PORT RTP/AVP 18", "305 "),
        ("IN IP4 127.0.0.1", "m=video PORT RTP/AVP 31", "304 "),
    ] {
        let sdp = |port: u16| {
            let media = media.replace("PORT", &port.to_string());
            format!("v=0\r\no=- 1 1 {connection}\r\ns=-\r\nc={connection}\r\nt=0 0\r\n{media}\r\n")
        };
        let mut phone = Phone::call_sdp(server.sip, "echo", "", sdp);
        let refusal = phone.wait_refusal(488);
        assert!(phone::header(&refusal, "Warning").starts_with(warning), "{refusal}");
    }
    assert!(server.log().contains("media address of another family"));
    server.stop();
}
