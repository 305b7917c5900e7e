//! What outlives the server: the answers to requests that may come again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::net::UdpSocket;
use std::time::Duration;

use serde_json::{Value, json};
use support::ports::Ports;
use support::server::Server;
use support::store::on_both;
use support::until_told;

const CONFIG: &str = "[[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n";

/// Kills a server, and starts another on what it has left.
fn killed_and_back(mut server: Server, environment: &[(&str, &str)]) -> Server {
    let (dir, key) = (server.dir.clone(), server.key.clone());
    server.kill();
    server.leave_files();
    drop(server);
    let mut server = Server::start_with(Ports::claim(), dir, CONFIG, environment);
    assert_eq!(server.key, "", "a second first key");
    server.key = key;
    server
}

/// Whoever asks again after the server was killed gets the first answer, a key that is shown once
/// among them, and nothing is done twice; another request with such a key is refused as before.
#[test]
fn answers_outlive_the_server() {
    on_both(CONFIG, outlive);
}

fn outlive(server: Server, environment: &[(&str, &str)]) {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let call = json!({"to": format!("sip:x@{}", peer.local_addr().unwrap()), "agent": "echo"});
    let key = json!({"name": "ci", "scope": "read"});
    let post = |server: &Server, again: &str, path: &str, body: &Value| {
        server.http_with(&[("Idempotency-Key", again)], "POST", path, Some(body))
    };
    let both = |server: &Server| {
        [post(server, "a", "/api/v1/calls", &call), post(server, "b", "/api/v1/keys", &key)]
    };
    let first = both(&server);
    assert!(first.iter().all(|(status, _)| *status == 201), "{first:?}");
    let mut server = killed_and_back(server, environment);
    assert_eq!(both(&server), first);
    let other = json!({"name": "other", "scope": "read"});
    let (status, refused) = post(&server, "b", "/api/v1/keys", &other);
    assert!(status == 422 && refused.contains("/problems/key-reused"), "{status} {refused}");

    let get = |server: &Server, path: &str| {
        let (status, text) = server.http("GET", path, None);
        assert_eq!(status, 200, "{text}");
        serde_json::from_str::<Value>(&text).unwrap()["items"].as_array().unwrap().clone()
    };
    assert_eq!(get(&server, "/api/v1/keys").len(), 2);
    let calls = until_told(Duration::from_secs(30), "the call is closed", || {
        let calls = get(&server, "/api/v1/calls");
        calls.iter().all(|call| call["state"] == "ended").then_some(calls)
    });
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert!(first[0].1.contains(calls[0]["id"].as_str().unwrap()));
    assert_eq!(calls[0]["cause"], "node_lost");
    let made: Value = serde_json::from_str(&first[1].1).unwrap();
    made["key"].as_str().unwrap().clone_into(&mut server.key);
    assert_eq!(server.http("GET", "/api/v1/calls", None).0, 200, "the key that was shown twice");
    server.stop();
}
