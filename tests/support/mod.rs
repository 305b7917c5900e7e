//! What the tests against real peers share: the server under test, and the peers.
//!
//! Every test has its own server, data directory and block of ports, so that tests run side by
//! side. Nothing waits for a fixed time: [`until`] polls for a fact and fails at a deadline.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "each test uses a part of what tests share"
)]

pub mod acme;
pub mod agent;
pub mod api_carrier;
pub mod ari_pbx;
pub mod ari_stage;
pub mod asterisk;
pub mod baresip;
pub mod callee;
pub mod caller;
pub mod dns;
pub mod ear;
#[cfg(feature = "emulate")]
pub mod emulated;
pub mod files;
pub mod gateway;
pub mod joined;
pub mod kamailio;
pub mod line;
pub mod lines;
pub mod linked;
pub mod linphone;
pub mod lossy;
pub mod pbx;
pub mod peers;
pub mod phone;
pub mod pjsua;
pub mod ports;
pub mod scenario;
pub mod server;
pub mod sipp;
pub mod srtp;
pub mod store;
pub mod talk;
pub mod tls;
pub mod tshark;
pub mod vicidial;
pub mod wav;
pub mod web;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often [`until`] looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The pause between two questions of [`until_told`] in the end, and the part of the time that it
/// has waited that it pauses before.
const ASK_EVERY: Duration = Duration::from_millis(500);
const ASK_PART: u32 = 32;

/// Looks until `look` finds something; fails after `within`, saying what was waited for.
#[track_caller]
pub fn until<T>(within: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited {within:?} in vain for: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The same for what a server is asked for over HTTP, at first as often and then ever more seldom:
/// servers that many tests wait for would do little else than answer them.
#[track_caller]
pub fn until_told<T>(within: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        let waited = began.elapsed();
        assert!(waited < within, "waited {within:?} in vain for: {what}");
        std::thread::sleep((waited / ASK_PART).clamp(LOOK_EVERY, ASK_EVERY));
    }
}

/// The path of a program that a test needs. Without it the test is skipped, which is said; with
/// `TALKPATH_REQUIRE_PEERS=1` it fails.
#[track_caller]
pub fn peer(program: &str, package: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|folder| folder.join(program));
    let found = found.into_iter().find(|path| path.is_file());
    if found.is_none() {
        skip(&format!("{program} is not installed (Debian package {package})"));
    }
    found
}

/// Says why a test is skipped; fails where peers are required.
#[track_caller]
pub fn skip(why: &str) {
    let required = std::env::var_os("TALKPATH_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(!required, "TALKPATH_REQUIRE_PEERS=1, but {why}");
    eprintln!("skipped: {why}");
}
