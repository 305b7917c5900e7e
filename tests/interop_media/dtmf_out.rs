//! Digits that are sent to foreign peers: as SIP INFO that SIPp takes or refuses, as events, and as
//! tones that another program's receiver hears.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use support::ear::{self, Ear, Rtp};
use support::server::Server;
use support::sipp::{self, Run, Sipp};
use support::{peer, until, wav};

const SOON: Duration = Duration::from_secs(20);
/// µ-law with telephone events, and without.
const WITH_EVENTS: (&str, &str) =
    ("0 101", "a=rtpmap:0 PCMU/8000\n      a=rtpmap:101 telephone-event/8000");
/// The methods of a telephone without INFO.
const NO_INFO: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS";
const WITH_INFO: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO";
/// Digits, how long they are and how far apart.
const DIGITS: &str = "159D*0#";
const DIGIT_MS: u64 = 80;
const GAP_MS: u64 = 70;

/// A step of SIPp: takes the INFO of a digit and answers `status`.
fn takes(digit: char, status: &str) -> String {
    let pattern = match digit {
        '*' => "[*]".to_owned(),
        digit => digit.to_string(),
    };
    format!(
        r#"<recv request="INFO"><action>
             <ereg regexp="application/dtmf-relay" search_in="hdr" header="Content-Type:"
               check_it="true" assign_to="kind"/>
             <ereg regexp="^Signal={pattern}.{{1,2}}Duration={DIGIT_MS}" search_in="body"
               check_it="true" assign_to="body"/>
           </action></recv>
           <Reference variables="kind,body"/>
           <send><![CDATA[

             SIP/2.0 {status}
             [last_Via:]
             [last_From:]
             [last_To:]
             [last_Call-ID:]
             [last_CSeq:]
             Content-Length: 0

           ]]></send>"#
    )
}

/// A call to SIPp through a trunk whose `dtmf` is `mode`, and what came of it.
struct Called {
    server: Server,
    sipp: Sipp,
    ear: Ear,
    call: String,
}

impl Called {
    #[track_caller]
    fn up(mode: &str, allow: &str, codec: (&str, &str), steps: &str) -> Self {
        let ports = support::ports::Ports::claim();
        let port = ports.pair();
        let config = format!(
            r#"
            [[agents]]
            name = "quiet"
            kind = "builtin"
            builtin = "silence"

            [[trunks]]
            name = "gate"
            peers = "192.0.2.1"
            targets = ["sip:127.0.0.1:{port}"]
            {mode}
            "#
        );
        let server = Server::start_on(ports, support::server::folder(), &config);
        let ear_port = server.ports.pair();
        let ear = Ear::listen(ear_port);
        let fields = [("ALLOW", allow), ("FORMATS", codec.0), ("MAPS", codec.1), ("DIGITS", steps)];
        let run = Run {
            scenario: "called_digits.xml",
            fields: &fields,
            ear: Some(ear_port),
            port: Some(port),
            ..Run::default()
        };
        let sipp = run.wait_for_call(&server);
        let wanted = json!({"to": "+4930", "agent": "quiet", "trunk": "gate"});
        let (status, body) = server.http("POST", "/api/v1/calls", Some(&wanted));
        assert_eq!(status, 201, "{body}");
        until(SOON, "sound", || (ear.packets().len() > 5).then_some(()));
        let call: serde_json::Value = serde_json::from_str(&body).unwrap();
        let call = call["id"].as_str().unwrap().to_owned();
        Self { server, sipp, ear, call }
    }

    #[track_caller]
    fn press(&self, digits: &str) -> (u16, String) {
        let wanted = json!({"digits": digits, "duration_ms": DIGIT_MS, "gap_ms": GAP_MS});
        self.server.http("POST", &format!("/api/v1/calls/{}/dtmf", self.call), Some(&wanted))
    }

    /// Waits until so much more audio has come, then hangs up; all packets.
    #[track_caller]
    fn end_after(self, milliseconds: u64) -> Vec<Rtp> {
        let wanted = self.ear.packets().len() + usize::try_from(milliseconds / 20).unwrap();
        until(SOON, "more sound", || (self.ear.packets().len() >= wanted).then_some(()));
        self.end()
    }

    #[track_caller]
    fn end(self) -> Vec<Rtp> {
        self.server.hang_up(&self.call);
        self.sipp.succeed();
        self.server.wait_idle();
        self.server.stop();
        self.ear.packets()
    }
}

/// What another program's receiver hears in the audio.
#[track_caller]
fn multimon(packets: &[Rtp]) -> String {
    let folder = support::server::folder();
    let (narrow, wide) = (folder.join("heard.wav"), folder.join("heard.raw"));
    wav::write(&narrow, &ear::samples(packets));
    let converted = Command::new("sox")
        .args([narrow.to_str().unwrap(), "-t", "raw", "-esigned-integer", "-b16", "-r22050"])
        .arg(&wide)
        .status();
    assert!(converted.unwrap().success());
    let heard = Command::new("multimon-ng")
        .args(["-q", "-a", "DTMF", "-t", "raw"])
        .arg(&wide)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    let said = String::from_utf8(heard.stdout).unwrap();
    said.lines().filter_map(|line| line.strip_prefix("DTMF: ")).map(str::trim).collect()
}

/// Digits go by INFO to a peer that allows it and settled no events: one after the other, each
/// with its length, none before the one before it is over.
#[test]
fn info_to_a_peer_that_allows_it() {
    let Some(()) = sipp::installed() else { return };
    let steps: String = DIGITS.chars().map(|digit| takes(digit, "200 OK")).collect();
    let called = Called::up("", WITH_INFO, sipp::PCMU, &steps);
    let pressed = std::time::Instant::now();
    assert_eq!(called.press(DIGITS).0, 204);
    called.sipp.until_message("Signal=#");
    let least = (DIGITS.len() as u64 - 1) * (DIGIT_MS + GAP_MS);
    assert!(pressed.elapsed() >= Duration::from_millis(least), "{:?}", pressed.elapsed());
    let packets = called.end_after(100);
    ear::assert_continuous(&packets, &[0]);
}

/// A peer that allows INFO and refuses it gets the same digits as tones, and all later ones.
#[test]
fn a_refused_info_becomes_a_tone() {
    let Some(()) = sipp::installed() else { return };
    let Some(_) = peer("multimon-ng", "multimon-ng").and(peer("sox", "sox")) else { return };
    let steps = takes('1', "415 Unsupported Media Type");
    let called = Called::up("", WITH_INFO, sipp::PCMU, &steps);
    assert_eq!(called.press("12").0, 204);
    called.sipp.until_message("415 Unsupported");
    assert_eq!(called.press("3").0, 204);
    assert_eq!(multimon(&called.end_after(1_500)), "123");
}

/// Tones go to a peer that takes digits no other way, and to one whose trunk wants them though it
/// settled events; another program's receiver hears each once. The agent's stream goes on.
#[test]
fn tones_are_heard_by_another_program() {
    let Some(()) = sipp::installed() else { return };
    let Some(_) = peer("multimon-ng", "multimon-ng").and(peer("sox", "sox")) else { return };
    let inband = "dtmf = \"inband\"";
    for (mode, codec) in [("", sipp::PCMU), ("", sipp::PCMA), (inband, WITH_EVENTS)] {
        let called = Called::up(mode, NO_INFO, codec, "");
        assert_eq!(called.press(DIGITS).0, 204);
        let packets = called.end_after(DIGITS.len() as u64 * (DIGIT_MS + GAP_MS) + 400);
        ear::assert_continuous(&packets, &[if codec.0 == "8" { 8 } else { 0 }]);
        assert_eq!(multimon(&packets), DIGITS, "{mode} {codec:?}");
    }
}

/// Events are what goes out if they were settled, and nothing does where a trunk wants events alone
/// and its peer takes none.
#[test]
fn events_where_they_are_settled() {
    let Some(()) = sipp::installed() else { return };
    for mode in ["", "dtmf = \"rfc4733\""] {
        let called = Called::up(mode, WITH_INFO, WITH_EVENTS, "");
        assert_eq!(called.press("15").0, 204);
        let packets = called.end_after(600);
        let events: Vec<u8> =
            packets.iter().filter(|packet| packet.pt == 101).map(|p| p.payload[0]).collect();
        assert!(events.contains(&1) && events.contains(&5), "{events:?}");
    }
    let called = Called::up("dtmf = \"rfc4733\"", WITH_INFO, sipp::PCMU, "");
    let (status, body) = called.press("15");
    assert_eq!(status, 409, "{body}");
    assert!(body.contains("telephone events"), "{body}");
    called.end();
}
