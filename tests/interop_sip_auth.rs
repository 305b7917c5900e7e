//! Digest authentication and registration with programs that we did not write (RFC 7616,
//! RFC 8760, RFC 3261 10 and 22).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use support::ear::{self, Ear};
use support::server::Server;
use support::sipp::{self, Run};
use support::wav;

/// The tone of the agent, and one that nobody makes.
const TONE_HZ: f64 = 1000.0;
const OTHER_HZ: f64 = 697.0;

/// A tone for everybody who proves to be alice, or calls as the trunk.
const USERS: &str = r#"
    [[agents]]
    name = "tone"
    kind = "builtin"
    builtin = "tone"
    frequency_hz = 1000

    [[users]]
    name = "alice"
    password = "wonderland"

    [[trunks]]
    name = "roaming"
    auth = "digest"
    username = "roamer"
    password = "roamers-secret"
"#;

/// SIPp calls as `user` and hears the tone.
#[track_caller]
fn called_with(server: &Server, user: &str, password: &str) {
    let port = server.ports.pair();
    let ear = Ear::listen(port);
    let fields = [("USER", user), ("PASSWORD", password), ("HOLD_MS", "1500")];
    let run = Run {
        scenario: "auth_call.xml",
        fields: &fields,
        ear: Some(port),
        user: "tone",
        ..Run::default()
    };
    run.call(server).succeed();
    let heard = ear.packets();
    ear::assert_continuous(&heard, &[8]);
    wav::assert_heard(&ear::samples(&heard), TONE_HZ, OTHER_HZ, 1.0);
    server.wait_idle();
}

/// A user and a trunk prove who they are with MD5 and are heard; whoever does not know the password
/// is challenged again, and nothing is left of it.
#[test]
fn callers_prove_who_they_are() {
    let Some(()) = sipp::installed() else { return };
    // This SIPp knows MD5 alone and reads one challenge.
    let server = Server::start(&format!("[sip]\ndigest = [\"MD5\"]\n{USERS}"));
    called_with(&server, "alice", "wonderland");
    called_with(&server, "roamer", "roamers-secret");
    for (user, password) in [("alice", "looking-glass"), ("nobody", "wonderland")] {
        let fields = [("USER", user), ("PASSWORD", password)];
        Run { scenario: "auth_wrong.xml", fields: &fields, ..Run::default() }
            .call(&server)
            .succeed();
    }
    assert!(server.calls().is_empty());
    for (outcome, count) in [("proven", 2.0), ("challenged", 6.0), ("failed", 2.0)] {
        let line = format!("talkpath_sip_auth_total{{outcome=\"{outcome}\"}}");
        assert!((server.metric(&line) - count).abs() < 0.1, "{outcome}: {}", server.metric(&line));
    }
    let log = server.log();
    assert!(!log.contains("wonderland") && !log.contains("looking-glass"), "{log}");
    server.stop();
}
