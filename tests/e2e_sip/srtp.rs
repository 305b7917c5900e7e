//! Calls with SRTP keyed by SDP, and who is believed to be the peer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use media::rtcp::{Compound, RtcpPacket, XrBlock};
use media::srtp::Suite;
use support::caller::Caller;
use support::phone::packet;
use support::server::Server;
use support::srtp::{Srtp, key, line};
use support::until;

/// How long anything may take on a busy machine.
const SOON: Duration = Duration::from_secs(15);
/// A packet's worth of time.
const PTIME: Duration = Duration::from_millis(20);

const ECHO: &str = "[[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n";

/// Says the packets `range` to the echo and hears each of them back.
#[track_caller]
fn converse(caller: &Caller, srtp: &mut Srtp, range: std::ops::Range<u32>) {
    for n in range {
        let (seq, ts) = (65_500_u16.wrapping_add(n as u16), n * 160);
        let payload = [n as u8; 160];
        let sent = srtp.protect(&packet(0, seq, ts, &payload));
        assert_ne!(sent[12..172], payload);
        caller.rtp.send_to(&sent, caller.media()).unwrap();
        let end = Instant::now() + SOON;
        loop {
            assert!(Instant::now() < end, "packet {n} does not come back");
            let Some(heard) = caller.hear() else { continue };
            let heard = srtp.open(heard).expect("the server's packets are authentic");
            assert_eq!((heard[1] & 0x7f, heard.len()), (0, 172));
            if heard[12..] == payload {
                break;
            }
        }
    }
}

/// Every suite, over the rollover of the sequence number; forged packets and plain ones from
/// anywhere change nothing and are counted.
#[test]
fn every_suite_carries_a_call() {
    let server = Server::start(ECHO);
    let third = UdpSocket::bind("127.0.0.2:0").unwrap();
    for (tag, suite) in (1..).zip(Suite::ALL) {
        let ours = key(suite, 0x5a);
        let mut caller = Caller::new(&server, "echo");
        assert_eq!(caller.invite("RTP/SAVP", &line(tag, &ours)), 200);
        assert!(caller.attribute(&format!("crypto:{tag} {} inline:", suite.name())).is_some());
        let mut srtp = Srtp::new(&ours, &caller);
        for forger in [&third, &caller.rtp] {
            let forged = [packet(0, 65_000, 0, &[7; 160]), vec![9; 16]].concat();
            forger.send_to(&forged, caller.media()).unwrap();
            forger.send_to(&packet(0, 65_001, 0, &[8; 160]), caller.media()).unwrap();
        }
        converse(&caller, &mut srtp, 0..60);
        caller.hang_up();
        server.wait_idle();
    }
    // Six suites, two forgers, two packets each.
    until(SOON, "forgeries are counted", || {
        (server.metric("reason=\"unauthentic\"") >= 24.0).then_some(())
    });
    server.stop();
}

/// What is refused and what is accepted, by configuration.
#[test]
fn policy_decides() {
    let crypto = line(1, &key(Suite::AesCm128Sha1Tag80, 1));
    for (policy, profile, lines, status, secure) in [
        ("off", "RTP/SAVP", &*crypto, 488, false),
        ("off", "RTP/AVP", &*crypto, 200, false),
        ("optional", "RTP/AVP", "", 200, false),
        ("optional", "RTP/AVP", &*crypto, 200, true),
        ("optional", "RTP/SAVP", &*crypto, 200, true),
        ("required", "RTP/AVP", "", 488, false),
        ("required", "RTP/SAVP", "", 488, false),
        ("required", "RTP/SAVPF", &*crypto, 200, true),
    ] {
        let server = Server::start(&format!("[sip]\nsrtp = \"{policy}\"\n{ECHO}"));
        let mut caller = Caller::new(&server, "echo");
        assert_eq!(caller.invite(profile, lines), status, "{policy} {profile}");
        assert_eq!(caller.attribute("crypto:").is_some(), secure, "{policy} {profile}");
        assert!(!server.log().contains("inline:"), "no key is logged");
        if status == 200 {
            caller.hang_up();
        }
        server.stop();
    }
}

/// Keys change in mid-call with a re-INVITE, in both directions; a re-INVITE with the same key
/// changes none, and rollover counters go on.
#[test]
fn keys_change_in_mid_call() {
    let server = Server::start(ECHO);
    let mut caller = Caller::new(&server, "echo");
    let (first, second) = (key(Suite::AesGcm128, 1), key(Suite::AesGcm128, 2));
    assert_eq!(caller.invite("RTP/SAVP", &line(1, &first)), 200);
    let mut srtp = Srtp::new(&first, &caller);
    converse(&caller, &mut srtp, 0..50);

    let before = caller.attribute("crypto:").unwrap().to_owned();
    assert_eq!(caller.invite("RTP/SAVP", &line(1, &first)), 200);
    assert_eq!(caller.attribute("crypto:").unwrap(), before);
    converse(&caller, &mut srtp, 50..70);

    assert_eq!(caller.invite("RTP/SAVP", &line(1, &second)), 200);
    assert_ne!(caller.attribute("crypto:").unwrap(), before);
    let mut srtp = Srtp::new(&second, &caller);
    converse(&caller, &mut srtp, 70..90);
    caller.hang_up();
    server.wait_idle();
    server.stop();
}

/// With `a=rtcp-mux` reports come to the RTP port, encrypted as the rest, and name the stream.
#[test]
fn reports_share_the_port() {
    let server = Server::start(ECHO);
    for secure in [false, true] {
        let mut caller = Caller::new(&server, "echo");
        let ours = key(Suite::AesCm128Sha1Tag32, 1);
        let (profile, crypto) =
            if secure { ("RTP/SAVP", line(1, &ours)) } else { ("RTP/AVP", String::new()) };
        assert_eq!(caller.invite(profile, &format!("{crypto}a=rtcp-mux\r\n")), 200);
        assert!(caller.attribute("rtcp-mux").is_some());
        let mut srtp = secure.then(|| Srtp::new(&ours, &caller));
        let plain = packet(0, 1, 0, &[1; 160]);
        let sent = srtp.as_mut().map_or_else(|| plain.clone(), |srtp| srtp.protect(&plain));
        caller.rtp.send_to(&sent, caller.media()).unwrap();
        let mut report = until(SOON, "a report", || {
            caller.hear().filter(|heard| (192..=223).contains(&heard[1]))
        });
        if let Some(srtp) = &mut srtp {
            let length = srtp.inn.unprotect_rtcp(&mut report).unwrap();
            report.truncate(length);
        }
        let ssrc = &plain[8..12];
        assert!(report.windows(4).any(|word| word == ssrc), "the report is of our stream");
        caller.hang_up();
        server.wait_idle();
    }
    server.stop();
}

/// Who asks for VoIP metrics is told how it sounds, and the last report says goodbye.
#[test]
fn reports_tell_quality_and_goodbye() {
    let server = Server::start(ECHO);
    let mut caller = Caller::new(&server, "echo");
    assert_eq!(caller.invite("RTP/AVP", "a=rtcp-mux\r\na=rtcp-xr:voip-metrics\r\n"), 200);
    assert_eq!(caller.attribute("rtcp-xr"), Some(":voip-metrics"));
    caller.rtp.send_to(&packet(0, 1, 0, &[1; 160]), caller.media()).unwrap();
    let report = |what: &str, wanted: &dyn Fn(&RtcpPacket<'_>) -> bool| {
        until(SOON, what, || {
            let heard = caller.hear().filter(|heard| (192..=223).contains(&heard[1]))?;
            Compound::parse(&heard).unwrap().packets().any(|packet| wanted(&packet)).then_some(())
        });
    };
    report("metrics", &|packet| match packet {
        RtcpPacket::ExtendedReport(report) => report.blocks().any(|block| match block {
            XrBlock::Voip(voip) => (voip.ssrc, voip.loss_rate, voip.gmin) == (0x5eed_0001, 0, 16),
            _ => false,
        }),
        _ => false,
    });
    server.hang_up(server.calls()[0]["id"].as_str().unwrap());
    report("goodbye", &|packet| matches!(packet, RtcpPacket::Bye(_)));
    server.wait_idle();
    server.stop();
}

/// A third party that sends first and floods is not believed; the peer is, and is followed when
/// its port changes in mid-call.
#[test]
fn the_peer_is_followed_and_nobody_else() {
    let server = Server::start(ECHO);
    let mut caller = Caller::new(&server, "echo");
    assert_eq!(caller.invite("RTP/AVP", ""), 200);
    let third = UdpSocket::bind("127.0.0.2:0").unwrap();
    third.set_nonblocking(true).unwrap();
    let moved = UdpSocket::bind("127.0.0.1:0").unwrap();
    moved.set_read_timeout(Some(PTIME)).unwrap();
    let mut buffer = [0; 2048];
    let mut sent = 0_u16;
    let mut say = |socket: &UdpSocket, caller: &Caller, buffer: &mut [u8]| {
        until(SOON, "the echo", || {
            for _ in 0..20 {
                let guess = packet(0, sent.wrapping_add(1), 0, &[6; 160]);
                third.send_to(&guess, caller.media()).unwrap();
            }
            sent += 1;
            let packet = packet(0, sent, u32::from(sent) * 160, &[5; 160]);
            socket.send_to(&packet, caller.media()).unwrap();
            let (length, _) = socket.recv_from(buffer).ok()?;
            (buffer[12..length] == [5; 160]).then_some(())
        });
    };
    for _ in 0..30 {
        say(&caller.rtp, &caller, &mut buffer);
    }
    // The old port falls silent; the new one is followed as soon as that is certain.
    for _ in 0..30 {
        say(&moved, &caller, &mut buffer);
    }
    assert!(third.recv(&mut buffer).is_err(), "nothing went to the third party");
    assert!(server.metric("reason=\"foreign\"") > 0.0);
    caller.hang_up();
    server.wait_idle();
    server.stop();
}
