//! Foreign telephones in wide-band codecs: what they say above 4 kHz, where no G.711 reaches, is
//! heard by the agent, and the other way round.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::time::Duration;

use audio_codec::g722::{Bitrate, G722Decoder, G722Encoder};
use audio_codec::{Decoder as _, Encoder as _};

use support::agent::{Agent, Agents};
use support::baresip::{self, Baresip, Setup};
use support::ear::{self, Ear};
use support::server::Server;
use support::sipp::{self, Run};
use support::{until, wav};

/// The telephone's tone, and the agent's.
const PHONE_HZ: f64 = 5_200.0;
const AGENT_HZ: f64 = 6_100.0;
/// What the agent speaks.
const RATE_HZ: u32 = 16_000;
const L16_PT: u8 = 96;
/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// A server that speaks `codec`, and an agent that speaks linear audio at 16 kHz.
fn server(agents: &Agents, codec: &str) -> Server {
    Server::start(&format!(
        "[sip]\ncodecs = [\"{codec}\"]\n\
         [[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{}\"\n\
         format = {{ codec = \"l16le\", rate_hz = {RATE_HZ} }}\n",
        agents.url()
    ))
}

/// The agent says its tone and hears the phone's.
#[track_caller]
fn converse(agent: &mut Agent) {
    let said: Vec<u8> =
        wav::sine_at(AGENT_HZ, RATE_HZ, 3.0).iter().flat_map(|s| s.to_le_bytes()).collect();
    said.chunks(32_000).for_each(|second| agent.play(L16_PT, second));
    until(SOON, "the agent hears the phone", || {
        agent.look();
        let bytes = agent.frames.iter().flat_map(|frame| frame.payload.chunks_exact(2));
        let heard: Vec<i16> = bytes.map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        wav::has_tone(&heard, RATE_HZ, PHONE_HZ).then_some(())
    });
    let frames = &agent.frames;
    assert!(frames.iter().all(|frame| frame.payload.len() == 640), "frames of 20 ms");
    agent.say(&serde_json::json!({ "event": "mark", "name": "end" }));
    assert_eq!(agent.event("mark")["samples"], 48_000);
}

/// baresip calls and is called in `codec`, whose module is `module`.
#[track_caller]
fn both_ways(server_codec: &str, codecs: &str, module: &str, rate_hz: u32) {
    let Some(()) = baresip::installed() else { return };
    for dials in [true, false] {
        let agents = Agents::listen();
        let server = server(&agents, server_codec);
        let to = server.uri("bot");
        let setup = Setup {
            codecs,
            dial: dials.then_some(to.as_str()),
            modules: &[module],
            wide: Some((rate_hz, PHONE_HZ)),
            ..Setup::default()
        };
        let phone = Baresip::start_with(&server, &setup);
        if !dials {
            server.place(&format!("sip:alice@127.0.0.1:{}", phone.port), "bot");
        }
        let mut agent = agents.accept();
        // A phone may answer before the agent is there.
        if agent.start["state"] != "answered" {
            agent.event("answered");
        }
        converse(&mut agent);
        let (rate_hz, heard) = phone.end_wide();
        assert!(wav::has_tone(&heard, rate_hz, AGENT_HZ), "the phone does not hear the agent");
        agent.event("stop");
        server.wait_idle();
        server.stop();
    }
}

/// baresip in G.722.
#[test]
fn baresip_in_g722() {
    both_ways("G722", "G722/16000/1", "g722", 16_000);
}

/// SIPp plays a capture of G.722 that is not ours, and what comes back to it is G.722 for a decoder
/// that is not ours either.
#[test]
fn sipp_in_g722() {
    let Some(()) = sipp::installed_with_audio() else { return };
    let folder = support::server::folder();
    let capture = folder.join("wide.pcap");
    let mut encoder = G722Encoder::with_options(Bitrate::Mode1_64000, false, false);
    ear::write_capture(&capture, 9, &encoder.encode(&wav::sine_at(PHONE_HZ, RATE_HZ, 4.0)));
    let agents = Agents::listen();
    let server = server(&agents, "G722");
    let media_port = server.ports.run(4);
    let ear = Ear::overhear(media_port);
    let play = sipp::play(&capture);
    let fields =
        [("FORMATS", "9"), ("MAPS", "a=rtpmap:9 G722/8000"), ("PLAY", &*play), ("HOLD_MS", "6000")];
    let run = Run { fields: &fields, media_port: Some(media_port), user: "bot", ..Run::default() };
    let sipp = run.call(&server);
    let mut agent = agents.accept();
    agent.event("answered");
    converse(&mut agent);
    sipp.succeed();
    let heard = ear.packets();
    ear::assert_continuous(&heard, &[9]);
    let bytes: Vec<u8> = heard.iter().flat_map(|packet| packet.payload.clone()).collect();
    let mut decoder = G722Decoder::with_options(Bitrate::Mode1_64000, false, false);
    assert!(wav::has_tone(&decoder.decode(&bytes), RATE_HZ, AGENT_HZ), "SIPp does not hear it");
    agent.event("stop");
    server.wait_idle();
    server.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

/// baresip in Opus.
#[test]
#[cfg(feature = "opus")]
fn baresip_in_opus() {
    both_ways("opus", "opus/48000/2", "opus", 48_000);
}
