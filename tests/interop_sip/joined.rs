//! Calls that are joined with a real softphone: what each hears of the other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::Duration;

use support::baresip::{self, Baresip, Setup};
use support::phone::Phone;
use support::server::Server;
use support::{until, wav};

/// The tone of the caller.
const CALLER_HZ: f64 = 440.0;
/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(15);

/// The caller speaks µ-law and the softphone, where it has registered, A-law: each hears the tone
/// of the other and nothing of its own; with plain media on both sides, and with SRTP on the
/// softphone's alone. A hold of the softphone is told to the caller, and both hear each other after
/// it.
#[test]
fn a_registered_softphone_is_joined() {
    let Some(()) = baresip::installed() else { return };
    for (srtp, account, modules) in
        [("off", "", &[][..]), ("required", ";mediaenc=srtp-mand", &["srtp"][..])]
    {
        let server = Server::start(&format!(
            r#"
            [sip]
            digest = ["MD5"]

            [[agents]]
            name = "desk"
            kind = "sip"
            uri = "bob"

            [[users]]
            name = "bob"
            password = "wonderland"
            srtp = "{srtp}"

            [[users]]
            name = "+15550001234"
            peers = "127.0.0.1"
            "#
        ));
        let setup = Setup { codecs: "PCMA", account, modules, ..Setup::default() };
        let who = ("bob", "wonderland");
        let bob = Baresip::register_with(&server, server.sip, who, "udp", &setup);
        until(SOON, "the telephone is registered", || {
            (server.metric("talkpath_sip_bindings") > 0.5).then_some(())
        });
        let mut caller = Phone::up(&server, "desk");
        caller.speak(&wav::to_ulaw(&wav::sine(CALLER_HZ, 2.5)));
        bob.command("hold");
        caller
            .until("the hold", |caller| caller.changes.pop()?.contains("a=sendonly").then_some(()));
        bob.command("resume");
        caller.until("the resumption", |caller| {
            caller.changes.pop()?.contains("a=sendrecv").then_some(())
        });
        let before = caller.audio().len();
        caller.speak(&wav::to_ulaw(&wav::sine(CALLER_HZ, 2.5)));
        let heard: Vec<i16> =
            caller.audio()[before..].iter().map(|code| wav::ulaw(*code)).collect();
        wav::assert_heard(&heard, baresip::HZ, CALLER_HZ, 1.5);
        assert_eq!(server.metric("reason=\"replayed\""), 0.0);
        // It begins a new file after the hold.
        wav::assert_heard(&bob.end(), CALLER_HZ, baresip::HZ, 1.5);
        caller.wait_bye();
        server.wait_idle();
        server.stop();
    }
}
