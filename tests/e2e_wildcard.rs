//! A server that listens for media at every address of its machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::time::Duration;

use support::phone::Phone;
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
