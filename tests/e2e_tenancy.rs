//! Organisations on one server: how far what they make reaches, who makes them, who is let in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::net::UdpSocket;
use std::time::Duration;

use serde_json::{Value, json};
use support::server::Server;

const CONFIGS: &str = "/api/v1/organizations/telephony-configs";

/// One request that must be answered with `status`.
#[track_caller]
fn expect(server: &Server, status: u16, method: &str, path: &str, body: Option<&Value>) -> Value {
    let (found, text) = server.http(method, path, body);
    assert_eq!(found, status, "{method} {path}: {text}");
    if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
}

fn websocket(name: &str, url: &str) -> Value {
    json!({"name": name, "kind": "websocket", "url": url, "connect_timeout_ms": 2_000})
}

/// On a server that others reach, nothing that the API makes leads to this machine: what is
/// written is refused, what a name leads to is not connected to, and no packet goes there. What
/// the file says does.
#[test]
fn what_organisations_make_stays_outside() {
    let trap = UdpSocket::bind("127.0.0.1:0").unwrap();
    trap.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let port = trap.local_addr().unwrap().port();
    let declared = UdpSocket::bind("127.0.0.1:0").unwrap();
    let theirs = declared.local_addr().unwrap();
    let server = Server::start(&format!(
        "public_url = \"https://voice.example.com\"\n[[agents]]\nname = \"echo\"\n\
         kind = \"builtin\"\nbuiltin = \"echo\"\n[[trunks]]\nname = \"pbx\"\npeers = \"192.0.2.1\"\n\
         targets = \"sip:{theirs}\"\n"
    ));
    for (agent, field) in [
        (websocket("a", "ws://127.0.0.1:1/"), "url"),
        (websocket("a", "ws://[::ffff:169.254.169.254]/"), "url"),
        (websocket("a", "wss://localhost./"), "url"),
        (json!({"name": "a", "kind": "rtp", "url": format!("rtp://127.0.0.1:{port}")}), "url"),
        (json!({"name": "a", "kind": "sip", "uri": format!("sip:x@127.0.0.1:{port}")}), "uri"),
    ] {
        let refused = expect(&server, 422, "POST", "/api/v1/agents", Some(&agent));
        assert_eq!(refused["errors"][0]["field"], field, "{refused}");
        assert!(refused.to_string().contains("outward.allow"), "{refused}");
    }
    let target = json!({"host": "127.0.0.1", "port": port});
    let peer = json!({
        "name": "p",
        "config": {
            "provider": "sip_trunk",
            "inbound": {"enabled": true, "networks": ["192.0.2.0/24"]},
            "outbound": {"enabled": true, "targets": [target]},
        },
    });
    let refused = expect(&server, 422, "POST", CONFIGS, Some(&peer));
    assert_eq!(refused["errors"][0]["field"], "config.outbound.targets", "{refused}");

    // A name is only found out when it is used.
    let call = json!({"to": format!("sip:x@127.0.0.1:{port}"), "agent": "echo"});
    let refused = expect(&server, 400, "POST", "/api/v1/calls", Some(&call));
    assert!(refused["detail"].as_str().unwrap().contains("outward.allow"), "{refused}");
    assert!(trap.recv_from(&mut [0; 2_048]).is_err(), "a packet went to this machine");

    // The trunk of the file leads where its operator says.
    let call = json!({"to": "+4930123456", "trunk": "pbx", "agent": "echo"});
    expect(&server, 201, "POST", "/api/v1/calls", Some(&call));
    let mut packet = [0; 4_096];
    let (length, _) = declared.recv_from(&mut packet).unwrap();
    assert!(packet[..length].starts_with(b"INVITE sip:+4930123456@"));
    server.stop();
}

/// What the operator allows is reached again, by network or by name.
#[test]
fn what_the_operator_allows_is_reached() {
    let server = Server::start(
        "public_url = \"https://voice.example.com\"\n[outward]\nallow = [\"127.0.0.0/8\"]\n",
    );
    expect(&server, 201, "POST", "/api/v1/agents", Some(&websocket("a", "ws://127.0.0.1:1/")));
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let call = json!({"to": format!("sip:x@{}", peer.local_addr().unwrap()), "agent": "echo"});
    expect(&server, 201, "POST", "/api/v1/calls", Some(&call));
    assert!(peer.recv_from(&mut [0; 2_048]).is_ok());
    server.stop();
}
