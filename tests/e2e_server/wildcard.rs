//! A server that listens for media at every address of its machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::net::SocketAddr;
use std::time::Duration;

use support::caller::Caller;
use support::phone::{self, Phone};
use support::server::Server;
use support::until;

/// A caller that is silent for a while is heard again, and so are the others meanwhile: the worker
/// that has them all goes on.
#[test]
fn callers_pause_and_go_on() {
    let server = Server::start(
        "[rtp]\naddress = \"0.0.0.0\"\npublic_address = \"127.0.0.1\"\n[media]\nworkers = 1\n",
    );
    let mut talks = Phone::up(&server, "echo");
    let mut pauses = Phone::up(&server, "echo");
    pauses.speak(&[0x21; 1_600]);
    let echoed = |phone: &Phone, code: u8, packets: usize| {
        until(Duration::from_secs(10), "the echo", || {
            let heard = phone.audio();
            let own = heard.iter().filter(|heard| **heard == code).count();
            (own >= packets * 160).then_some(())
        });
    };
    echoed(&pauses, 0x21, 10);
    // Longer than the time after which a source may be given up.
    talks.speak(&[0x31; 160 * 60]);
    echoed(&talks, 0x31, 60);
    pauses.speak(&[0x41; 1_600]);
    echoed(&pauses, 0x41, 10);
    pauses.assert_one_stream();
    talks.hang_up();
    pauses.hang_up();
    server.wait_idle();
    server.stop();
}

/// A caller that reaches the server at one of its addresses hears from that one, reports included,
/// whichever the kernel prefers: nobody else would be believed, nor let through by a NAT.
#[test]
fn answers_from_where_it_is_reached() {
    let server = Server::start("[rtp]\naddress = \"0.0.0.0\"\npublic_address = \"127.0.0.1\"\n");
    for reached in ["127.0.0.1", "127.0.0.2"] {
        let mut caller = Caller::new(&server, "echo");
        assert_eq!(caller.invite("RTP/AVP", "a=rtcp-mux\r\n"), 200);
        let there = SocketAddr::new(reached.parse().unwrap(), caller.media().port());
        let (mut seq, mut reports, mut echoes) = (0_u16, 0, 0);
        until(Duration::from_secs(30), "echo and reports", || {
            seq += 1;
            let packet = phone::packet(0, seq, u32::from(seq) * 160, &[0x25; 160]);
            caller.rtp.send_to(&packet, there).unwrap();
            let mut buffer = [0; 2_048];
            while let Ok((_, from)) = caller.rtp.recv_from(&mut buffer) {
                // Before the first packet nobody knows where the caller sends to.
                assert!(from == there || echoes == 0, "from {from}, not from {there}");
                let is_report = (200..=207).contains(&buffer[1]);
                if is_report { reports += 1 } else { echoes += usize::from(from == there) }
            }
            (reports > 0 && echoes > 100).then_some(())
        });
        caller.hang_up();
        server.wait_idle();
    }
    server.stop();
}
