//! Softphones whose media are encrypted call and are called; both sides are known by their tones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::fs;
use std::time::Duration;

use support::baresip::{self, Baresip, Setup};
use support::server::Server;
use support::{until, wav};

/// The tone of the server's side.
const SERVER_HZ: f64 = 1000.0;
/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(15);
/// How long a call lasts before it is judged, by the agent's own account.
const TALK_MS: u64 = 2_500;
/// How much of that must be heard, in seconds: each side takes a moment to begin.
const HEARD_S: f64 = 1.5;

/// A server that takes and places calls with SRTP alone.
fn server() -> Server {
    let dir = support::server::folder();
    fs::create_dir(dir.join("kept")).unwrap();
    let config = r#"
        [sip]
        srtp = "required"

        [[agents]]
        name = "tone"
        kind = "builtin"
        builtin = "tone"
        frequency_hz = 1000

        [[agents]]
        name = "record"
        kind = "builtin"
        builtin = "record"
        folder = "{dir}/kept"
    "#;
    Server::start_in(dir, config)
}

/// A phone that encrypts or does not talk.
fn phone(server: &Server, dial: Option<&str>) -> Baresip {
    let account = ";mediaenc=srtp-mand";
    Baresip::start_with(
        server,
        &Setup { codecs: "PCMU", dial, account, modules: &["srtp"], ..Setup::default() },
    )
}

/// Waits until the one call has lasted this long.
#[track_caller]
fn talk(server: &Server, lasts_ms: u64) {
    until(SOON, "the call lasts", || {
        let calls = server.calls();
        let lasted = calls.first().and_then(|call| call["duration_ms"].as_u64());
        lasted.is_some_and(|lasted| lasted >= lasts_ms).then_some(())
    });
}

/// The one recording, once it is complete.
#[track_caller]
fn kept(server: &Server) -> Vec<i16> {
    let file = fs::read_dir(server.dir.join("kept")).unwrap().next().unwrap().unwrap().path();
    until(SOON, "the recording is complete", || {
        let samples = wav::read(&file);
        (!samples.is_empty()).then_some(samples)
    })
}

/// Fails if anything that came was not authentic, but for one packet that baresip sends before it
/// has put our key to work.
#[track_caller]
fn assert_authentic(server: &Server) {
    assert!(server.metric("reason=\"unauthentic\"") < 2.0);
    assert_eq!(server.metric("reason=\"replayed\""), 0.0);
}

/// baresip calls and hears the agent's tone and nothing of its own.
#[test]
fn caller_hears_the_agent() {
    let Some(()) = baresip::installed() else { return };
    let server = server();
    let phone = phone(&server, Some(&server.uri("tone")));
    talk(&server, TALK_MS);
    assert_authentic(&server);
    wav::assert_heard(&phone.end(), SERVER_HZ, baresip::HZ, HEARD_S);
    server.wait_idle();
    server.stop();
}

/// baresip is called, answers our offer of SRTP and hears the agent's tone.
#[test]
fn called_hears_the_agent() {
    let Some(()) = baresip::installed() else { return };
    let server = server();
    let phone = phone(&server, None);
    let call = server.place(&format!("sip:alice@127.0.0.1:{}", phone.port), "tone");
    talk(&server, TALK_MS);
    server.hang_up(call["id"].as_str().unwrap());
    server.wait_idle();
    assert_authentic(&server);
    wav::assert_heard(&phone.end(), SERVER_HZ, baresip::HZ, HEARD_S);
    server.stop();
}

/// baresip calls, holds, resumes and hangs up; the agent has heard its tone, after the hold too.
#[test]
fn agent_hears_the_caller_over_a_hold() {
    let Some(()) = baresip::installed() else { return };
    let server = server();
    let phone = phone(&server, Some(&server.uri("record")));
    talk(&server, 1_000);
    let invites = || server.metric("talkpath_sip_requests_in_total{method=\"invite\"}");
    phone.command("hold");
    until(SOON, "the hold", || (invites() >= 2.0).then_some(()));
    phone.command("resume");
    until(SOON, "the resumption", || (invites() >= 3.0).then_some(()));
    let resumed = server.calls()[0]["duration_ms"].as_u64().unwrap();
    talk(&server, resumed + TALK_MS);
    assert_authentic(&server);
    phone.end();
    server.wait_idle();
    let kept = kept(&server);
    let after_hold = kept.len().saturating_sub(2 * 8000);
    wav::assert_heard(&kept[after_hold..], baresip::HZ, SERVER_HZ, HEARD_S);
    server.stop();
}

/// A phone without encryption is refused by a server that requires it.
#[test]
fn a_plain_caller_is_refused() {
    let Some(()) = baresip::installed() else { return };
    let server = server();
    let phone = Baresip::start(&server, "PCMU", Some(&server.uri("tone")));
    until(SOON, "the refusal", || phone.log().contains("488").then_some(()));
    assert!(server.calls().is_empty());
    server.stop();
}
