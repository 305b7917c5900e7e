//! A call's capture, as tshark reads it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use support::phone::{DTMF_PT, Phone};
use support::server::Server;
use support::{peer, until, wav};

const CONFIG: &str = "[[agents]]\nname = \"tone\"\nkind = \"builtin\"\nbuiltin = \"tone\"\n";

/// What tshark says of a file.
fn tshark(file: &Path, args: &[&str]) -> String {
    let output = Command::new("tshark").arg("-r").arg(file).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The ladder is complete from the INVITE to the answer of the BYE, both RTP streams are there
/// without loss or error, the telephone event is understood, and credentials are blanked.
#[test]
fn tshark_reads_the_capture_of_a_call() {
    if peer("tshark", "tshark").is_none() {
        return;
    }
    let route = "[[routes]]\nto = \"*\"\nagent = \"tone\"\ncapture = true\n";
    let server = Server::start(&format!("{CONFIG}{route}"));
    let header = "Authorization: Digest username=\"bob\", response=\"5ec4e7\"\r\n";
    let mut phone = Phone::call_at(server.sip, "+15550005678", header);
    phone.wait_answer();
    let id = server.calls()[0]["id"].as_str().unwrap().to_owned();
    phone.speak(&wav::to_ulaw(&wav::sine(700.0, 1.0)));
    phone.press(5);
    // What waits in a socket as the call ends is in no capture: 50 packets of audio, 7 of the key.
    until(Duration::from_secs(10), "all packets", || {
        (server.metric("talkpath_packets_in_total{") >= 57.0).then_some(())
    });
    phone.hang_up();
    server.wait_idle();
    let (status, body) = server.http_bytes("GET", &format!("/api/v1/calls/{id}/capture"));
    assert_eq!(status, 200);
    let file = server.dir.join("call.pcap");
    std::fs::write(&file, &body).unwrap();

    let sip = ["-Y", "sip", "-T", "fields", "-e", "sip.Method", "-e", "sip.Status-Code"];
    let ladder = tshark(&file, &sip);
    let ladder: Vec<&str> = ladder.lines().map(str::trim).collect();
    let steps = ["INVITE", "200", "ACK", "BYE", "200"];
    let told: Vec<&&str> =
        ladder.iter().filter(|step| **step != "100" && **step != "180").collect();
    assert!(told.iter().map(|step| **step).eq(steps), "{ladder:?}");

    let streams = tshark(&file, &["-q", "-z", "rtp,streams"]);
    let streams: Vec<&str> = streams.lines().filter(|line| line.contains("0x")).collect();
    assert_eq!(streams.len(), 2, "{streams:?}");
    assert!(streams.iter().all(|line| line.contains("g711U") && line.contains("0 (0.0%)")));
    let bad = tshark(&file, &["-Y", "_ws.malformed || ip.checksum.status == \"Bad\""]);
    assert_eq!(bad, "");
    let events = tshark(&file, &["-Y", "rtpevent", "-T", "fields", "-e", "rtpevent.event_id"]);
    assert_eq!(events.lines().filter(|event| *event == "5").count(), 7, "{DTMF_PT}: {events}");

    let (status, body) = server.http("GET", &format!("/api/v1/calls/{id}/messages"), None);
    assert_eq!(status, 200);
    assert!(!body.contains("5ec4e7") && !body.contains("bob"), "{body}");
    let messages: Value = serde_json::from_str(&body).unwrap();
    let messages = messages["items"].as_array().unwrap();
    assert_eq!(messages.len(), ladder.len());
    assert_eq!(
        (&messages[0]["direction"], &messages[1]["direction"]),
        (&"in".into(), &"out".into())
    );
    assert!(messages[0]["summary"].as_str().unwrap().starts_with("INVITE sip:+15550005678@"));
    server.stop();
}

/// A capture that the API begins in mid-call has what comes after; a call without has none.
#[test]
fn the_api_begins_a_capture() {
    let server = Server::start(CONFIG);
    let mut phone = Phone::up(&server, "+15550005678");
    let id = server.calls()[0]["id"].as_str().unwrap().to_owned();
    let address = format!("/api/v1/calls/{id}/capture");
    assert_eq!(server.http("GET", &address, None).0, 404);
    assert_eq!(server.http("POST", &address, None).0, 204);
    phone.speak(&wav::to_ulaw(&wav::sine(700.0, 0.4)));
    let size = || server.http_bytes("GET", &address).1.len();
    // The header, and a few packets of 200 bytes and more.
    until(Duration::from_secs(5), "packets", || (size() > 24 + 20 * 216).then_some(()));
    phone.hang_up();
    let messages = format!("/api/v1/calls/{id}/messages");
    let body = until(Duration::from_secs(5), "the BYE", || {
        let (status, body) = server.http("GET", &messages, None);
        (status == 200 && body.contains("BYE sip:")).then_some(body)
    });
    assert!(!body.contains("INVITE sip:"), "{body}");
    server.wait_idle();
    server.stop();
}
