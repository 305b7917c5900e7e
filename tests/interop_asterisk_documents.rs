//! The lines of the page about Asterisk lead from nothing to a talking agent.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::path::Path;
use std::process::Command;

use support::asterisk::{Asterisk, Settings};
use support::peer;
use support::ports::Ports;
use support::server::folder;

/// The shell lines of a document under a heading.
fn lines(document: &str, heading: &str) -> String {
    let (_, section) = document.split_once(heading).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let mut blocks = section.split("```");
    let mut found = String::new();
    while let (Some(_), Some(block)) = (blocks.next(), blocks.next()) {
        found.push_str(block.strip_prefix("sh\n").unwrap());
    }
    found
}

/// Typed one after the other into a shell on a machine with an Asterisk: calls by AudioSocket and
/// by the media WebSocket are answered.
#[test]
fn the_lines_of_the_page_work() {
    let Some(asterisk) = Asterisk::start(&Settings::default()) else { return };
    let Some(_) = peer("curl", "curl") else { return };
    let (ports, dir) = (Ports::claim(), folder());
    let (http, sip, door) = (ports.pair(), ports.pair(), ports.pair());
    let script = lines(include_str!("../docs/asterisk.md"), "## From nothing to a talking agent\n");
    assert!(script.matches("channel originate").count() == 2, "{script}");
    let script = script
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{http}"))
        .replace("127.0.0.1:9092", &format!("127.0.0.1:{door}"))
        .replace("/etc/asterisk", asterisk.etc().to_str().unwrap());
    // The server ends with the shell that it was started from.
    let script = format!("trap 'kill $(jobs -p)' EXIT\n{script}");
    let program = Path::new(env!("CARGO_BIN_EXE_talkpath")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{}:{path}", asterisk.shim().display(), program.display());
    let output = Command::new("timeout")
        .args(["120", "bash", "-euo", "pipefail", "-c", &script])
        .current_dir(&dir)
        .env("PATH", path)
        .env("TALKPATH_DATA_DIR", dir.join("data"))
        .env("TALKPATH_HTTP_LISTEN", format!("127.0.0.1:{http}"))
        .env("TALKPATH_SIP_LISTEN", format!("127.0.0.1:{sip}"))
        .env("TALKPATH_RTP_PORTS", ports.rtp())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let log = std::fs::read_to_string(dir.join("talkpath.log")).unwrap_or_default();
    assert!(output.status.success(), "{said}\n{errors}\n{log}");
    for part in ["\"to\":\"100\"", "\"to\":\"200\""] {
        assert!(said.contains(part), "{part}: {said}\n{log}");
    }
    asterisk.wait_idle();
    std::fs::remove_dir_all(dir).unwrap();
}
