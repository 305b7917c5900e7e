//! A call of a foreign softphone over a bad network, from its beginning to its end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use support::baresip::{self, Baresip};
use support::ear::{self, Rtp};
use support::lossy::{Fate, Lossy, Weather};
use support::server::Server;
use support::{until, wav};

/// The tone of the server's side.
const SERVER_HZ: f64 = 1000.0;
/// Packets that each side is to say: ten seconds.
const PACKETS: usize = 500;
const FRAME: Duration = Duration::from_millis(20);
const SOON: Duration = Duration::from_secs(30);

/// Three packets in a hundred are lost, one comes twice, four are overtaken and all jitter, both
/// ways. Both sides hear each other's tone all the same; the agent gets each packet that came once
/// and in order, with gaps where it was lost; and what the server counts as lost is what was.
#[test]
fn a_call_over_a_bad_network() {
    let Some(()) = baresip::installed() else { return };
    let agent = UdpSocket::bind("127.0.0.1:0").unwrap();
    agent.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
    let server = Server::start(&format!(
        "[[agents]]\nname = \"rtp\"\nkind = \"rtp\"\nurl = \"rtp://{}\"\n\
         format = {{ codec = \"PCMU\" }}\n",
        agent.local_addr().unwrap()
    ));
    let network = Lossy::start(
        server.sip,
        Weather {
            seed: 20_261_128,
            loss: 0.03,
            twice: 0.01,
            jitter: Duration::from_millis(8),
            late: 0.04,
            detour: Duration::from_millis(24),
        },
    );
    let phone = Baresip::start(&server, "PCMA", Some(&format!("sip:rtp@{}", network.sip)));
    let heard = converse(&agent);
    // Before the phone hangs up: what it says afterwards is nobody's.
    let heard_by_phone = phone.end();
    server.wait_idle();

    let [up, down] = &network.fates;
    for (way, fate) in [("up", up), ("down", down)] {
        let [came, lost, doubled, overtaken] =
            [&fate.came, &fate.lost, &fate.doubled, &fate.overtaken].map(Fate::read);
        assert!(came >= PACKETS as u64 * 9 / 10, "{way}: {fate:?}");
        assert!(lost * 100 >= came && doubled > 0 && overtaken * 100 >= came, "{way}: {fate:?}");
    }
    // In order, each once; what is missing is missing in time too.
    let mut missing = 0;
    for pair in heard.windows(2) {
        assert_eq!(pair[1].seq, pair[0].seq.wrapping_add(1));
        let frames = pair[1].ts.wrapping_sub(pair[0].ts) / 160;
        assert!((1..50).contains(&frames), "media time leaps by {frames} packets");
        missing += u64::from(frames - 1);
    }
    let (lost, counted) = (Fate::read(&up.lost), server.metric("talkpath_rtp_lost_total") as u64);
    // One that was lost first or last is missed by nobody, and one that a busy machine delayed for
    // longer than it is waited for is not lost.
    assert!(counted.abs_diff(lost) <= 2 + lost / 10, "{lost} were lost, {counted} counted");
    assert!(missing + 3 >= lost.saturating_sub(3), "{lost} were lost, {missing} left out");
    assert!(missing <= lost + Fate::read(&up.overtaken), "{lost} were lost, {missing} left out");
    for (samples, own, other) in
        [(ear::samples(&heard), baresip::HZ, SERVER_HZ), (heard_by_phone, SERVER_HZ, baresip::HZ)]
    {
        let heard = wav::listen(&samples, own, other);
        assert!(heard.own >= 60 && heard.own * 4 >= heard.stretches * 3, "{own} Hz: {heard:?}");
        assert!(heard.other * 10 <= heard.stretches, "{other} Hz: {heard:?}");
    }
    drop(network);
    server.stop();
}

/// An agent on `socket`: from the first packet that it hears on, it says one of the server's tone
/// every 20 ms, until it has heard and said enough.
#[track_caller]
fn converse(socket: &UdpSocket) -> Vec<Rtp> {
    let tone = wav::to_ulaw(&wav::sine(SERVER_HZ, 1.0));
    let mut frames = tone.chunks_exact(160).cycle();
    let (mut heard, mut said): (Vec<Rtp>, usize) = (Vec::new(), 0);
    let (mut caller, mut buffer, mut due) = (None, [0; 2048], Instant::now());
    until(SOON, "the conversation", || {
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            heard.push(Rtp::parse(Instant::now(), &buffer[..length]));
            caller = Some(from);
        }
        if let Some(caller) = caller.filter(|_| Instant::now() >= due) {
            let packet =
                support::phone::packet(0, said as u16, said as u32 * 160, frames.next().unwrap());
            socket.send_to(&packet, caller).unwrap();
            said += 1;
            due = (due + FRAME).max(Instant::now());
        }
        (heard.len() >= PACKETS && said >= PACKETS).then_some(())
    });
    heard
}
