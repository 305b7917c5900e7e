//! `talkpath emulate`: a call through the server without an account anywhere, with every carrier.
#![cfg(feature = "emulate")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::process::{Command, Output};

use serde_json::{Value, json};
use support::emulated::each;
use support::ports::Ports;
use support::server::{Server, folder};

const CONFIGS: &str = "/api/v1/organizations/telephony-configs";

fn emulate(server: &Server, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_talkpath"))
        .args(["emulate", "--server", &format!("http://{}", server.http)])
        .args(arguments)
        .env("TALKPATH_API_KEY", &server.key)
        .output()
        .unwrap()
}

/// A call in either direction is answered, the test signal comes back through the echo, and the
/// server is left as it was.
#[test]
fn a_call_with_each_carrier() {
    let server = Server::start("");
    let (inbound, outbound): (&[&str], &[&str]) = (&[], &["--outbound", "--quirk", "answer=200"]);
    each(|carrier| {
        for way in [inbound, outbound] {
            let arguments = [&[carrier.name, "--seconds", "3", "--json"][..], way].concat();
            let output = emulate(&server, &arguments);
            let told = String::from_utf8(output.stdout).unwrap();
            let errors = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success(), "{arguments:?}: {told} {errors}");
            let figures: Value = serde_json::from_str(&told).unwrap();
            assert_eq!(figures["answered"], true, "{figures}");
            assert!(figures["chirps_found"].as_u64().unwrap() >= 2, "{figures}");
            let trip = figures["round_trip_ms"].as_f64().unwrap();
            assert!((1.0..1_000.0).contains(&trip), "{figures}");
            let (_, configs) = server.http("GET", CONFIGS, None);
            let configs: Value = serde_json::from_str(&configs).unwrap();
            let mut left = configs["configurations"].as_array().unwrap().iter();
            assert!(left.all(|it| it["provider"] != carrier.name), "{configs}");
        }
    });
    server.wait_idle();
    server.stop();
}

/// A call in either direction with an Asterisk, by each way that its audio may travel, at 8 and at
/// 16 kHz, without one being there.
#[test]
fn a_call_with_an_asterisk() {
    let ports = Ports::claim();
    let door = format!("127.0.0.1:{}", ports.pair());
    let config = format!("[audiosocket]\nlisten = \"{door}\"\n");
    let server = Server::start_on(ports, folder(), &config);
    for (media, format) in [
        ("rtp", "ulaw"),
        ("rtp", "g722"),
        ("websocket_server", "slin16"),
        ("websocket_client", "ulaw"),
        ("audiosocket", "slin"),
        ("audiosocket", "slin16"),
    ] {
        let (media, format) = (format!("media={media}"), format!("format={format}"));
        let fields = ["ari", "--seconds", "2", "--json", "--field", &media, "--field", &format];
        for way in [&[][..], &["--outbound", "--quirk", "answer=200"]] {
            let output = emulate(&server, &[&fields[..], way].concat());
            let told = String::from_utf8(output.stdout).unwrap();
            let errors = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success(), "{media} {format} {way:?}: {told} {errors}");
            let figures: Value = serde_json::from_str(&told).unwrap();
            assert!(figures["chirps_found"].as_u64().unwrap() >= 1, "{media} {format}: {figures}");
        }
    }
    server.wait_idle();
    server.stop();
}

/// What is told to people names what happened, keeps tokens back, and writes what was heard.
#[test]
fn what_people_are_told() {
    let server = Server::start("");
    let file = server.dir.join("heard.wav");
    let file = file.to_str().unwrap();
    let output = emulate(
        &server,
        &["twilio", "--seconds", "2", "--verbose", "--record", file, "--press", "1#"],
    );
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
    for wanted in [
        "Twilio in miniature",
        "/IncomingPhoneNumbers/",
        "carrier  POST /…/telephony/twilio/voice/…  200",
        "answered",
        "audio flows",
        "over: completed",
        "round trip",
    ] {
        assert!(told.contains(wanted), "{wanted:?} is not in:\n{told}");
    }
    let (_, samples) = support::wav::read_at(file.as_ref());
    assert!(samples.len() > 8_000, "{} samples", samples.len());
    server.stop();
}

/// What goes wrong is said, and the command fails: an unknown carrier, a key that is none, an agent
/// that is none, a quirk that makes no sense, a carrier that refuses. What an earlier run left is
/// no hindrance.
#[test]
fn what_goes_wrong_is_said() {
    let server = Server::start("");
    for (arguments, wanted) in [
        (&["nobody"][..], "there are: "),
        (&["twilio", "--key", "tp_none"], "--key wants one of scope admin"),
        (&["twilio", "--agent", "nobody"], "no agent called \"nobody\""),
        (&["twilio", "--quirk", "rain"], "--quirk rain: no such quirk"),
        (&["twilio", "--quirk", "fail=bind:401"], "/bind"),
    ] {
        let output = emulate(&server, arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(errors.contains(wanted), "{arguments:?}: {errors}");
    }
    let left = json!({"name": "emulated twilio", "config": {
        "provider": "twilio", "account_sid": format!("AC{}", "a".repeat(32)),
        "auth_token": "b".repeat(32),
    }});
    assert_eq!(server.http("POST", CONFIGS, Some(&left)).0, 201);
    assert!(emulate(&server, &["twilio", "--seconds", "1"]).status.success());
    let nowhere = Command::new(env!("CARGO_BIN_EXE_talkpath"))
        .args(["emulate", "twilio", "--server", "http://127.0.0.1:1", "--key", "tp_x"])
        .output()
        .unwrap();
    assert!(String::from_utf8(nowhere.stderr).unwrap().contains("is a server running there?"));
    let (_, configs) = server.http("GET", CONFIGS, None);
    let configs: Value = serde_json::from_str(&configs).unwrap();
    assert_eq!(configs["configurations"].as_array().unwrap().len(), 0, "{configs}");
    server.stop();
}
