//! Digest authentication and registration with programs that we did not write (RFC 7616,
//! RFC 8760, RFC 3261 10 and 22).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::time::Duration;

use support::baresip::{self, Baresip};
use support::ear::{self, Ear};
use support::server::Server;
use support::sipp::{self, Run};
use support::{until, wav};

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(20);
/// The tone of the agent, and one that nobody makes.
const TONE_HZ: f64 = 1000.0;
const OTHER_HZ: f64 = 697.0;

/// A tone for everybody who proves to be alice, or calls as the trunk. SIPp 3.6 reads one challenge
/// alone, and baresip 1.0 gives up over one that is not MD5.
const USERS: &str = r#"
    [sip]
    digest = ["MD5"]

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
    let server = Server::start(USERS);
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

/// baresip registers with its password, over UDP and over TCP, and is called by its name: over TCP
/// by the connection that it has opened, as it listens on none. It hears the agent; when it ends it
/// says so, and then nobody is there to be called.
#[test]
fn telephone_registers_and_is_called() {
    let Some(()) = baresip::installed() else { return };
    for transport in ["udp", "tcp"] {
        let server = Server::start(USERS);
        let phone = Baresip::register(&server, "alice", "wonderland", transport);
        until(SOON, "the telephone is registered", || {
            (server.metric("talkpath_sip_bindings") > 0.5).then_some(())
        });
        let to = if transport == "udp" { "alice".to_owned() } else { server.uri("alice") };
        let call = server.place(&to, "tone");
        until(SOON, "the call lasts", || {
            let calls = server.calls();
            let lasted = calls.first().and_then(|call| call["duration_ms"].as_u64());
            lasted.is_some_and(|lasted| lasted >= 2_500).then_some(())
        });
        server.hang_up(call["id"].as_str().unwrap());
        server.wait_idle();
        wav::assert_heard(&phone.end(), TONE_HZ, baresip::HZ, 1.5);
        until(SOON, "the telephone has left", || {
            (server.metric("talkpath_sip_bindings") < 0.5).then_some(())
        });
        let wanted = serde_json::json!({ "to": to, "agent": "tone" });
        let (status, body) = server.http("POST", "/api/v1/calls", Some(&wanted));
        assert_eq!(status, 400, "{body}");
        server.stop();
    }
}

/// A telephone with the wrong password does not get in, and its password is not in the log.
#[test]
fn telephone_with_the_wrong_password() {
    let Some(()) = baresip::installed() else { return };
    let server = Server::start(USERS);
    let phone = Baresip::register(&server, "alice", "looking-glass", "udp");
    until(SOON, "the telephone was refused", || {
        (server.metric("outcome=\"failed\"") > 0.5).then_some(())
    });
    assert!(server.metric("talkpath_sip_bindings") < 0.5);
    assert!(!server.log().contains("looking-glass"));
    drop(phone);
    server.stop();
}
