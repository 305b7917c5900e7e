//! What the documents tell people to type does what they say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::process::Command;

use support::callee::Callee;
use support::server::Server;
use support::{peer, skip};

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

/// The lines of the page about web pages begin a call, and show it.
#[test]
fn the_lines_of_the_web_phone_work() {
    let (Some(_), Some(_)) = (peer("curl", "curl"), peer("jq", "jq")) else {
        return skip("the lines of the page need curl and jq");
    };
    let server = Server::start("");
    let script = include_str!("../../docs/web-phone.md").split("```js").next().unwrap();
    let script = lines(script, "## The web phone\n");
    let script = script.replace("127.0.0.1:8080", &server.http.to_string());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .env("TALKPATH_KEY", &server.key)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    for part in ["/api/v1/telephony/ws/phone/", "\"rate_hz\": 16000", "\"from\":\"Anna\""] {
        assert!(said.contains(part), "{part}: {said}");
    }
    drop(server);
}

/// The lines of the API's page make a configuration, a number, an agent and a call, and show its
/// events, on a server that was told nothing.
#[test]
fn the_lines_of_the_api_page_work() {
    let (Some(_), Some(_)) = (peer("curl", "curl"), peer("jq", "jq")) else {
        return skip("the lines of the page need curl and jq");
    };
    let (server, mut callee) = (Server::start(""), Callee::ulaw());
    let script = lines(include_str!("../../docs/api.md"), "## From nothing to a call\n");
    assert!(script.matches("curl ").count() >= 9, "{script}");
    let script = script
        .replace("127.0.0.1:8080", &server.http.to_string())
        .replace("127.0.0.1:5070", &callee.address().to_string());
    let phone = std::thread::spawn(move || {
        callee.wait_call();
        callee.answer();
        callee.wait_request("BYE");
    });
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .env("TALKPATH_KEY", &server.key)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    for part in [
        "\"address_normalized\":\"+4930123456\"",
        "event: call.initiated",
        "event: call.answered",
        "\"status\":\"in-progress\"",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    phone.join().unwrap();
    server.wait_idle();
    server.stop();
}
