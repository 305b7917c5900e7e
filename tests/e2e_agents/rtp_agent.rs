//! Agents that speak RTP at a fixed address, end to end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::f64::consts::TAU;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use support::ear::Rtp;
use support::phone::{Phone, packet};
use support::server::Server;
use support::{until, wav};

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(10);

/// An agent's socket, and a server whose every call goes to it.
fn start(format: &str) -> (Server, UdpSocket) {
    let agent = UdpSocket::bind("127.0.0.1:0").unwrap();
    agent.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let url = agent.local_addr().unwrap();
    let server = Server::start(&format!(
        "[[agents]]\nname = \"bot\"\nkind = \"rtp\"\nurl = \"rtp://{url}\"\n{format}\n"
    ));
    (server, agent)
}

/// What the agent hears until it has `count` packets, and where they come from.
#[track_caller]
fn hear(agent: &UdpSocket, count: usize) -> (Vec<Rtp>, SocketAddr) {
    let (mut heard, mut from) = (Vec::new(), None);
    let mut buffer = [0; 4096];
    until(SOON, "packets to the agent", || {
        if let Ok((length, peer)) = agent.recv_from(&mut buffer) {
            heard.push(Rtp::parse(Instant::now(), &buffer[..length]));
            from = Some(peer);
        }
        (heard.len() == count).then_some(())
    });
    for pair in heard.windows(2) {
        assert_eq!(pair[1].seq, pair[0].seq.wrapping_add(1));
        assert_eq!(pair[1].ssrc, pair[0].ssrc);
    }
    (heard, from.unwrap())
}

/// Says `audio` again and again, a packet of `bytes` and `ticks` of the RTP clock every 20 ms,
/// until the phone has heard a second of `hz`; fails if it hears another tone.
///
/// Packets that a busy machine delays are not made up for: an agent speaks in real time.
#[track_caller]
fn speak(
    agent: &UdpSocket,
    to: SocketAddr,
    phone: &Phone,
    pt: u8,
    audio: &[u8],
    ticks: u32,
    hz: f64,
) {
    let bytes = audio.len() / 50;
    let end = Instant::now() + SOON;
    for (index, payload) in (0_u32..).zip(audio.chunks(bytes).cycle()) {
        // Sequence numbers wrap around soon.
        let seq = 65_500_u16.wrapping_add(u16::try_from(index).unwrap());
        agent.send_to(&packet(pt, seq, index * ticks, payload), to).unwrap();
        let samples: Vec<i16> = phone.audio().iter().map(|code| wav::ulaw(*code)).collect();
        let heard = wav::listen(&samples, hz, 697.0);
        assert_eq!(heard.other, 0, "another tone: {heard:?}");
        if heard.own >= 10 {
            break;
        }
        assert!(Instant::now() < end, "{hz} Hz is missing: {heard:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    phone.assert_one_stream();
}

/// PCMU passes untouched to the agent, and the agent's audio is what the phone hears.
#[test]
fn pcmu_flows_both_ways() {
    let (server, agent) = start("");
    let mut phone = Phone::up(&server, "bot");
    let said: Vec<u8> =
        (0..8_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    phone.speak(&said);
    let (heard, server_at) = hear(&agent, 50);
    assert!(heard.iter().all(|packet| packet.pt == 0));
    let audio: Vec<u8> = heard.iter().flat_map(|packet| packet.payload.clone()).collect();
    assert!(audio == said, "the agent hears something else");
    let tone = wav::to_ulaw(&wav::sine(440.0, 1.0));
    speak(&agent, server_at, &phone, 0, &tone, 160, 440.0);
    phone.hang_up();
    server.wait_idle();
    server.stop();
}

/// Linear audio at 16 kHz in network order (RFC 3551 4.5.11) flows both ways: a tone each.
#[test]
fn linear_16_khz_flows_both_ways() {
    let format = "payload_type = 97\nformat = { codec = \"L16\", rate_hz = 16000 }";
    let (server, agent) = start(format);
    let mut phone = Phone::up(&server, "bot");
    phone.speak(&wav::to_ulaw(&wav::sine(1_000.0, 1.0)));
    let (heard, server_at) = hear(&agent, 50);
    assert!(heard.iter().all(|packet| (packet.pt, packet.payload.len()) == (97, 640)));
    for pair in heard.windows(2) {
        assert_eq!(pair[1].ts.wrapping_sub(pair[0].ts), 320);
    }
    let samples: Vec<i16> = heard
        .iter()
        .flat_map(|packet| packet.payload.chunks_exact(2))
        .map(|sample| i16::from_be_bytes([sample[0], sample[1]]))
        .skip(320)
        .collect();
    // The analysis thinks in 8,000 Hz.
    let amplitude = wav::amplitude(&samples, 500.0);
    assert!((8_500.0..11_500.0).contains(&amplitude), "1,000 Hz has amplitude {amplitude}");
    let tone = |at: u32| (f64::from(at) * TAU * 440.0 / 16_000.0).sin() * 10_000.0;
    let audio: Vec<u8> = (0..16_000).flat_map(|at| (tone(at) as i16).to_be_bytes()).collect();
    speak(&agent, server_at, &phone, 97, &audio, 320, 440.0);
    phone.hang_up();
    server.wait_idle();
    server.stop();
}
