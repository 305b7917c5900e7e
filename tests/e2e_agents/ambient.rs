//! What callers hear under their agents: a bed that goes on, and makes way for speech.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::Duration;

use serde_json::json;

use support::agent::Agents;
use support::phone::{self, DTMF_PT, Phone};
use support::server::{self, Server};
use support::{until, wav};

/// The bed's tone, and its amplitude in the file.
const BED_HZ: f64 = 500.0;
const BED: f64 = 2_000.0;
/// Samples of 100 ms.
const STRETCH: usize = 800;

/// A file of half a second, which ends in mid-period.
fn bed(dir: &std::path::Path) {
    let sample = |sample: &i16| (f64::from(*sample) * BED / 10_000.0) as i16;
    let samples: Vec<i16> = wav::sine(BED_HZ, 0.503).iter().map(sample).collect();
    wav::write(&dir.join("room.wav"), &samples);
}

fn linear(codes: &[u8]) -> Vec<i16> {
    codes.iter().map(|code| wav::ulaw(*code)).collect()
}

/// The bed's amplitude in each 100 ms of what was heard.
fn levels(phone: &Phone) -> Vec<f64> {
    let samples = linear(&phone.audio());
    samples.chunks_exact(STRETCH).map(|part| wav::amplitude(part, BED_HZ)).collect()
}

fn near(level: f64, wanted: f64) -> bool {
    (level - wanted).abs() < wanted / 5.0 + 30.0
}

/// The bed is heard while nobody speaks, at its level; makes way while the agent speaks; and comes
/// back. The agent's sound, its marks and its account are what they are without a bed. Its loop
/// goes round ten times without a click.
#[test]
fn a_bed_makes_way_for_speech() {
    let agents = Agents::listen();
    let dir = server::folder();
    bed(&dir);
    let server = Server::start_in(
        dir,
        &format!(
            "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{}\"\n\
             ambient = \"{{dir}}/room.wav\"\nambient_gain_db = -6\nambient_duck_db = 12\n",
            agents.url()
        ),
    );
    let mut phone = Phone::call_in(server.sip, "bot", "", phone::PCMU);
    let mut agent = agents.accept();
    phone.wait_answer();
    agent.event("answered");
    let full = BED / 2.0;
    phone.wait_audio("the bed alone", |_| {
        let levels = levels(&phone);
        (levels.iter().filter(|level| near(**level, full)).count() >= 50).then_some(())
    });
    // Ten turns of a quiet sine: a click would be as high as the sine.
    let alone = linear(&phone.audio());
    let steepest = alone[STRETCH..].windows(2).map(|w| w[0].abs_diff(w[1])).max().unwrap();
    assert!(steepest < 600, "a step of {steepest}");

    let before = levels(&phone).len();
    agent.play(0, &wav::to_ulaw(&wav::sine(1_000.0, 2.0)));
    agent.say(&json!({ "event": "mark", "name": "end" }));
    let mark = agent.event("mark");
    assert_eq!((&mark["status"], &mark["samples"]), (&json!("played"), &json!(16_000)), "{mark}");
    phone.wait_audio("the bed back", |_| {
        let levels = levels(&phone);
        let low = levels[before..].iter().filter(|level| near(**level, full / 4.0)).count();
        let last = levels.len().checked_sub(3)?;
        (low >= 15 && levels[last..].iter().all(|level| near(*level, full))).then_some(())
    });
    let samples = linear(&phone.audio());
    let speech = samples.chunks_exact(STRETCH).map(|part| wav::amplitude(part, 1_000.0));
    assert!(speech.filter(|level| (9_000.0..11_000.0).contains(level)).count() >= 18);
    assert!(agent.said.iter().all(|event| event["event"] != "underrun"));
    phone.assert_one_stream();

    // Muted is the agent, not the room.
    let from = phone.audio().len();
    agent.order("mute");
    agent.play(0, &wav::to_ulaw(&wav::sine(1_000.0, 1.0)));
    agent.say(&json!({ "event": "mark", "name": "muted" }));
    agent.event("mark");
    let heard = linear(&phone.audio());
    let muted: Vec<&[i16]> = heard[from..].chunks_exact(STRETCH).collect();
    assert!(muted.iter().all(|part| wav::amplitude(part, 1_000.0) < 500.0));
    // A machine that is busy may lose some of it.
    let room = muted.iter().filter(|part| near(wav::amplitude(part, BED_HZ), full)).count();
    assert!(room * 3 >= muted.len() * 2, "{room} of {}", muted.len());
    phone.hang_up();
    agent.event("stop");
    server.wait_idle();
    server.stop();
}

/// A route says what is heard under its agent in place of what the agent says; a caller of G.722
/// hears it under frames that would pass untouched without it, and through a change of codec.
#[test]
fn a_route_has_its_own_bed() {
    let agents = Agents::listen();
    let dir = server::folder();
    bed(&dir);
    let server = Server::start_in(
        dir,
        &format!(
            "[sip]\ncodecs = [\"G722\", \"PCMU\"]\n\
             [[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{}\"\n\
             [[routes]]\nto = \"*\"\nagent = \"bot\"\nambient = \"{{dir}}/room.wav\"\n",
            agents.url()
        ),
    );
    let mut phone = Phone::call_in(server.sip, "anybody", "", phone::G722);
    let mut agent = agents.accept();
    phone.wait_answer();
    agent.event("answered");
    let mut decoder = media::codec::g722::Decoder::default();
    let mut decoded = |phone: &Phone| {
        decoder.reset();
        let bytes = phone.audio();
        let mut samples = vec![0; 2 * bytes.len()];
        decoder.decode(&bytes, &mut samples);
        samples
    };
    let both = |samples: &[i16], speech_hz: f64| {
        let last = &samples[samples.len().saturating_sub(3_200)..];
        // The analysis thinks in 8,000 Hz.
        (wav::amplitude(last, BED_HZ / 2.0), wav::amplitude(last, speech_hz / 2.0))
    };
    phone.wait_audio("the bed", |_| near(both(&decoded(&phone), 1.0).0, BED).then_some(()));
    agent.play(9, &{
        let sine = wav::sine(700.0, 6.0);
        let wide: Vec<i16> = sine.iter().flat_map(|sample| [*sample, *sample]).collect();
        let mut bytes = vec![0; wide.len() / 2];
        media::codec::g722::Encoder::new().encode(&wide, &mut bytes);
        bytes
    });
    phone.wait_audio("the bed under speech", |_| {
        let (bed, speech) = both(&decoded(&phone), 700.0);
        (near(bed, BED * 0.355) && speech > 7_000.0).then_some(())
    });
    phone.change_codec(phone::PCMU);
    phone.wait_audio("both in µ-law", |bytes| {
        let samples = linear(bytes);
        let last = samples.get(samples.len().checked_sub(2 * STRETCH)?..)?;
        let bed = wav::amplitude(last, BED_HZ);
        (near(bed, BED * 0.355) && wav::amplitude(last, 700.0) > 7_000.0).then_some(())
    });
    phone.hang_up();
    agent.event("stop");
    server.wait_idle();
    server.stop();
}

/// A file that cannot be loaded costs nobody a call: it goes on without a bed.
#[test]
fn a_bad_file_is_no_reason_to_fail() {
    let dir = server::folder();
    bed(&dir);
    let file = dir.join("room.wav");
    let server = Server::start_in(
        dir,
        "[[agents]]\nname = \"tone\"\nkind = \"builtin\"\nbuiltin = \"tone\"\n\
         frequency_hz = 1000\nambient = \"{dir}/room.wav\"\n",
    );
    // At the start it could be read.
    std::fs::write(file, b"no sound").unwrap();
    let mut phone = Phone::up(&server, "tone");
    phone.wait_audio("the tone", |bytes| {
        (wav::amplitude(&linear(bytes), 1_000.0) > 9_000.0).then_some(())
    });
    until(Duration::from_secs(10), "the server says why there is no bed", || {
        server.log().contains("no ambient sound").then_some(())
    });
    phone.hang_up();
    server.wait_idle();
    server.stop();
}

/// Digits reach the peer of an echo, which has no clock of its own, and its echo goes on behind
/// them in one stream.
#[test]
fn digits_through_an_echo() {
    let server = Server::start("");
    let mut phone = Phone::up(&server, "echo");
    let said = wav::to_ulaw(&wav::sine(1_000.0, 0.5));
    phone.speak(&said);
    let id = server.calls()[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/calls/{id}/dtmf");
    let (status, body) = server.http("POST", &path, Some(&json!({ "digits": "5#" })));
    assert_eq!(status, 204, "{body}");
    phone.wait_audio("both digits", |_| {
        let packets = phone.packets();
        let ends =
            packets.iter().filter(|packet| packet.pt == DTMF_PT && packet.payload[1] & 0x80 != 0);
        let keys: std::collections::BTreeSet<u8> = ends.map(|packet| packet.payload[0]).collect();
        (keys == [5, 11].into()).then_some(())
    });
    std::thread::sleep(Duration::from_millis(300));
    phone.speak(&said);
    phone.wait_audio("the echo goes on", |bytes| (bytes.len() >= 2 * said.len()).then_some(()));
    let packets = phone.packets();
    for pair in packets.windows(2) {
        assert_eq!((pair[1].ssrc, pair[1].seq), (pair[0].ssrc, pair[0].seq.wrapping_add(1)));
        let step = pair[1].ts.wrapping_sub(pair[0].ts);
        assert!(step < 80_000, "time goes on: {step}");
    }
    phone.hang_up();
    server.wait_idle();
    server.stop();
}
