//! `talkpath bench` of a trunk as others have theirs: it wants a password, and speaks TLS.
#![cfg(feature = "bench")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::process::{Command, Output};

use serde_json::Value;
use support::ports::Ports;
use support::server::Server;
use support::talk::secured;

const PASSWORD: &str = "wonderland";
const WRONG: &str = "looking-glass";

/// Late packets are no matter here.
const LENIENT: [&str; 6] = ["--late-ms", "5000", "--own-late-ms", "5000", "--loss-pct", "50"];
const LATENCY: [&str; 5] = ["latency", "--calls", "2", "--secs", "2"];
const DENSITY: [&str; 7] = ["density", "--secs", "1", "--from", "2", "--most", "3"];

/// Who calls, and has this password in the environment.
fn bench(password: Option<&str>, arguments: &[&[&str]]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_talkpath"));
    command.arg("bench").args(arguments.concat()).env_remove("TALKPATH_SIP_PASSWORD");
    if let Some(password) = password {
        command.env("TALKPATH_SIP_PASSWORD", password);
    }
    command.output().unwrap()
}

/// What a user with the right password finds, once each call was challenged.
#[track_caller]
fn found(arguments: &[&[&str]]) -> Value {
    let user: &[&str] = &["--user", "meter", "--json"];
    let output = bench(Some(PASSWORD), &[arguments, &[user]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What is said when nothing can be measured.
#[track_caller]
fn fault(password: Option<&str>, arguments: &[&[&str]]) -> String {
    let output = bench(password, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    assert!(!said.contains(PASSWORD) && !said.contains(WRONG), "{said}");
    said
}

/// All calls of a step came up after a challenge each, and ended as they should.
#[track_caller]
fn assert_challenged(setup: &Value, calls: u64) {
    assert_eq!(setup["answered"], calls, "{setup}");
    assert_eq!(setup["messages"]["challenged"], calls, "{setup}");
    assert_eq!((&setup["messages"]["strange"], &setup["bye_unanswered"]), (&0.into(), &0.into()));
}

/// A server that takes calls from those alone who know a password, over UDP, TCP and TLS.
struct Trunk {
    server: Server,
    ca: String,
    tls: String,
}

impl Trunk {
    fn start(digest: &str) -> Self {
        let ports = Ports::claim();
        let port = ports.pair();
        let (folder, ca, tls) = secured(port);
        let config = format!(
            "[sip]\ndigest = [{digest}]\n{tls}[[users]]\nname = \"meter\"\n\
             password = \"{PASSWORD}\"\n"
        );
        let server = Server::start_on(ports, folder, &config);
        let ca = ca.to_str().unwrap().to_owned();
        Self { server, ca, tls: format!("sips:echo@127.0.0.1:{port}") }
    }
}

/// With the right password latency and density are measured, by the first algorithm that the trunk
/// offers, over a datagram socket and over connections, of which that by TLS must be proven.
#[test]
fn the_right_password() {
    for digest in ["\"MD5\"", "\"SHA-256\", \"MD5\""] {
        let trunk = Trunk::start(digest);
        let udp = trunk.server.uri("echo");
        let tcp = format!("{udp};transport=tcp");
        let secure = [trunk.tls.as_str(), "--ca", trunk.ca.as_str()];
        for way in [&[udp.as_str()][..], &[tcp.as_str()], &secure] {
            let latency = found(&[&LATENCY, way]);
            assert_eq!(latency["up"], 2, "{latency}");
            assert_challenged(&latency["setup"], 2);
            trunk.server.wait_idle();
            let density = found(&[&DENSITY, way, &LENIENT]);
            assert_eq!((&density["held"], &density["gave"]), (&3.into(), &Value::Null));
            for (step, calls) in [(0, 2), (1, 3)] {
                assert_challenged(&density["steps"][step]["report"]["setup"], calls);
            }
            trunk.server.wait_idle();
        }
        let unproven = fault(Some(PASSWORD), &[&LATENCY, &[secure[0], "--user", "meter"]]);
        assert!(unproven.contains("TLS"), "{unproven}");
        let proven = trunk.server.metric("talkpath_sip_auth_total{outcome=\"proven\"}");
        assert!(proven > 20.5, "seven calls each way: {proven}");
        trunk.server.stop();
    }
}

/// Without a password, or with a wrong one, the first call says so, and no more are tried.
#[test]
fn the_wrong_password() {
    let trunk = Trunk::start("\"MD5\"");
    let udp = trunk.server.uri("echo");
    let user = ["--user", "meter"];
    for what in [&LATENCY[..], &DENSITY] {
        let nobody = fault(None, &[what, &[udp.as_str()]]);
        assert!(nobody.contains("asks for a password: give --user NAME"), "{nobody}");
        let silent = fault(None, &[what, &[udp.as_str()], &user]);
        assert!(silent.contains("environment: TALKPATH_SIP_PASSWORD"), "{silent}");
        let wrong = fault(Some(WRONG), &[what, &[udp.as_str()], &user]);
        assert!(wrong.contains("the trunk refuses these credentials"), "{wrong}");
    }
    // One each, or two where the second call was under way already.
    let failed = trunk.server.metric("talkpath_sip_auth_total{outcome=\"failed\"}");
    assert!((2.0..=4.0).contains(&failed), "{failed}");
    let no_sip = fault(Some(PASSWORD), &[&LATENCY, &["ws://127.0.0.1:1/"], &user]);
    assert!(no_sip.contains("--user and --ca go with a SIP target"), "{no_sip}");
    let log = trunk.server.log();
    assert!(!log.contains(PASSWORD) && !log.contains(WRONG), "{log}");
    trunk.server.wait_idle();
    trunk.server.stop();
}
