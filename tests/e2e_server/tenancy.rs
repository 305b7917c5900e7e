//! Organisations on one server: how far what they make reaches, who makes them, who is let in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::server::{Server, expect};
use support::until;

const CONFIGS: &str = "/api/v1/organizations/telephony-configs";

/// Ends a server whose calls still ring: nobody is there to answer them, so they are not waited
/// for.
#[track_caller]
fn end(server: Server) {
    assert!(!server.log().contains("panicked"), "{}", server.log());
    drop(server);
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
    end(server);
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
    end(server);
}

/// Carries a request out by the cookie of a session instead of a key: status, headers, body.
#[track_caller]
fn by_cookie(
    server: &Server,
    method: &str,
    path: &str,
    cookie: &str,
    more: &[(&str, &str)],
) -> (u16, String, Value) {
    let mut stream = TcpStream::connect(server.http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let more: String = more.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nCookie: other=1; {cookie}\r\n\
         Connection: close\r\nContent-Length: 0\r\n{more}\r\n",
        server.http
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), serde_json::from_str(body).unwrap_or(Value::Null))
}

/// The value of the cookie that an answer sets.
fn cookie_of(head: &str) -> String {
    let line = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    line.split(';').next().unwrap().to_owned()
}

/// One organisation is made with its first key; it sees itself alone, has its own limits, and has
/// no new calls while it is suspended. Only the server's own key sees to that.
#[test]
fn organisations_are_made_and_suspended() {
    let mut server = Server::start("[outward]\nallow = [\"127.0.0.0/8\"]\n");
    let wanted = json!({"name": "acme", "max_calls": 5});
    let made = expect(&server, 201, "POST", "/api/v1/organizations", Some(&wanted));
    let path = format!("/api/v1/organizations/{}", made["id"].as_str().unwrap());
    assert_eq!((&made["suspended"], &made["max_calls"]), (&json!(false), &json!(5)));
    expect(&server, 409, "POST", "/api/v1/organizations", Some(&wanted));
    let listed = expect(&server, 200, "GET", "/api/v1/organizations", None);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains("tp_"));

    let operator = server.key.clone();
    let tenant = made["first_key"]["key"].as_str().unwrap().to_owned();
    server.key.clone_from(&tenant);
    for (method, path) in [
        ("GET", "/api/v1/organizations"),
        ("GET", path.as_str()),
        ("PUT", path.as_str()),
        ("POST", "/api/v1/organizations"),
    ] {
        expect(&server, 403, method, path, Some(&json!({})));
    }
    let own = expect(&server, 200, "GET", "/api/v1/organization", None);
    assert_eq!((&own["name"], &own["living_calls"]), (&json!("acme"), &json!(0)));
    expect(&server, 403, "POST", "/api/v1/keys", Some(&json!({"name": "s", "scope": "server"})));
    let echo = json!({"name": "bot", "kind": "builtin", "builtin": "echo"});
    expect(&server, 201, "POST", "/api/v1/agents", Some(&echo));
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let call = json!({"to": format!("sip:x@{}", peer.local_addr().unwrap()), "agent": "bot"});
    let placed = until(Duration::from_secs(10), "the agent is known", || {
        let (status, body) = server.http("POST", "/api/v1/calls", Some(&call));
        (status == 201).then_some(body)
    });
    let placed: Value = serde_json::from_str(&placed).unwrap();
    let own = expect(&server, 200, "GET", "/api/v1/organization", None);
    assert_eq!(own["living_calls"], json!(1));

    server.key.clone_from(&operator);
    let suspended = expect(&server, 200, "PUT", &path, Some(&json!({"suspended": true})));
    assert_eq!((&suspended["suspended"], &suspended["max_calls"]), (&json!(true), &json!(5)));
    server.key.clone_from(&tenant);
    until(Duration::from_secs(10), "it has no new calls", || {
        let (status, body) = server.http("POST", "/api/v1/calls", Some(&call));
        (status == 403 && body.contains("/problems/suspended")).then_some(())
    });
    // What lives goes on, and what there is can be seen.
    let id = placed["id"].as_str().unwrap();
    expect(&server, 200, "GET", &format!("/api/v1/calls/{id}"), None);
    server.key.clone_from(&operator);
    let renamed = json!({"suspended": false, "name": "acme 2", "max_calls": null});
    let renamed = expect(&server, 200, "PUT", &path, Some(&renamed));
    assert_eq!((&renamed["name"], &renamed["max_calls"]), (&json!("acme 2"), &Value::Null));
    let first = listed["items"][0]["id"].as_str().unwrap();
    let first = format!("/api/v1/organizations/{first}");
    expect(&server, 409, "PUT", &first, Some(&json!({"suspended": true})));
    let keys = format!("{path}/keys");
    let key = expect(&server, 201, "POST", &keys, Some(&json!({"name": "n", "scope": "read"})));
    expect(&server, 422, "POST", &keys, Some(&json!({"name": "n", "scope": "server"})));
    server.key = key["key"].as_str().unwrap().to_owned();
    let own = expect(&server, 200, "GET", "/api/v1/organization", None);
    assert_eq!(own["name"], json!("acme 2"));
    end(server);
}

/// A browser signs in with a key and has a cookie from then on: reading needs no more, changing
/// needs the token of the session, and both end with the session or with the key.
#[test]
fn sessions_of_browsers() {
    let mut server = Server::start("");
    let made = json!({"name": "person", "scope": "admin"});
    let made = expect(&server, 201, "POST", "/api/v1/keys", Some(&made));
    let operator = server.key.clone();
    let key = made["key"].as_str().unwrap().to_owned();
    let sign_in = |server: &Server, key: &str, kind: &str| {
        let body = json!({ "key": key }).to_string();
        let mut stream = TcpStream::connect(server.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let request = format!(
            "POST /api/v1/session HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: \
             {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), serde_json::from_str::<Value>(body).unwrap())
    };
    let (head, body) = sign_in(&server, "tp_wrong", "application/json");
    assert!(head.starts_with("HTTP/1.1 401") && !head.contains("set-cookie"), "{head}");
    assert!(!body.to_string().contains("tp_wrong"), "{body}");
    let (head, _) = sign_in(&server, &key, "text/plain");
    assert!(head.starts_with("HTTP/1.1 400"), "a form of another site: {head}");
    let (head, body) = sign_in(&server, &key, "application/json");
    assert!(head.starts_with("HTTP/1.1 201"), "{head}");
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(head.contains(part), "{head}");
    }
    assert!(!head.contains("Secure") && !head.contains(&key) && !body.to_string().contains(&key));
    assert_eq!(body["key"]["scope"], "admin");
    let (cookie, token) = (cookie_of(&head), body["csrf_token"].as_str().unwrap().to_owned());

    let (status, _, shown) = by_cookie(&server, "GET", "/api/v1/session", &cookie, &[]);
    assert_eq!((status, &shown["csrf_token"]), (200, &json!(token)));
    assert_eq!(by_cookie(&server, "GET", "/api/v1/agents", &cookie, &[]).0, 200);
    let path = "/api/v1/webhooks/00000000-0000-0000-0000-000000000000";
    let (status, _, problem) = by_cookie(&server, "DELETE", path, &cookie, &[]);
    assert_eq!((status, &problem["type"]), (403, &json!("/problems/csrf")));
    let wrong = [("X-CSRF-Token", "AAAA")];
    assert_eq!(by_cookie(&server, "DELETE", path, &cookie, &wrong).0, 403);
    let right = [("X-CSRF-Token", token.as_str())];
    assert_eq!(by_cookie(&server, "DELETE", path, &cookie, &right).0, 404);
    // A key that is shown counts for more than a cookie, and needs no token.
    let bearer = format!("Bearer {operator}");
    let shown = [("Authorization", bearer.as_str())];
    assert_eq!(by_cookie(&server, "DELETE", path, &cookie, &shown).0, 404);

    assert_eq!(by_cookie(&server, "DELETE", "/api/v1/session", &cookie, &[]).0, 403);
    let (status, head, _) = by_cookie(&server, "DELETE", "/api/v1/session", &cookie, &right);
    assert!(status == 204 && head.contains("Max-Age=0"), "{head}");
    assert_eq!(by_cookie(&server, "GET", "/api/v1/agents", &cookie, &[]).0, 401);

    let (head, _) = sign_in(&server, &key, "application/json");
    let cookie = cookie_of(&head);
    assert_eq!(by_cookie(&server, "GET", "/api/v1/agents", &cookie, &[]).0, 200);
    server.key = operator;
    let revoke = format!("/api/v1/keys/{}", made["id"].as_str().unwrap());
    expect(&server, 204, "DELETE", &revoke, None);
    assert_eq!(by_cookie(&server, "GET", "/api/v1/agents", &cookie, &[]).0, 401);
    end(server);
}

/// A stream of events ends when the key that listens is revoked, while others go on.
#[test]
fn streams_end_with_their_keys() {
    let server = Server::start("");
    let made = json!({"name": "listener", "scope": "read"});
    let made = expect(&server, 201, "POST", "/api/v1/keys", Some(&made));
    let listen = |key: &str| {
        let mut stream = TcpStream::connect(server.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let request = format!(
            "GET /api/v1/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = [0; 15];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        stream
    };
    let mut theirs = listen(made["key"].as_str().unwrap());
    let mut ours = listen(&server.key);
    let revoke = format!("/api/v1/keys/{}", made["id"].as_str().unwrap());
    expect(&server, 204, "DELETE", &revoke, None);
    let mut rest = Vec::new();
    theirs.read_to_end(&mut rest).unwrap();
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "the end of a body: {rest}");
    ours.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut rest = Vec::new();
    let error = ours.read_to_end(&mut rest).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "ours ended too");
    end(server);
}

/// The calls of the list that are over.
#[track_caller]
fn over(server: &Server) -> Vec<Value> {
    let page = expect(server, 200, "GET", "/api/v1/calls?living=false&limit=200", None);
    page["items"].as_array().unwrap().clone()
}

/// Calls that are refused leave a record that says why: one to nobody, and one for which there is
/// no room; a flood of them leaves few.
#[test]
fn refused_calls_are_written_down() {
    let server = Server::start(
        "[[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\nmax_calls = 1\n\
         [[routes]]\nto = \"100\"\nagent = \"echo\"\n",
    );
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let local = socket.local_addr().unwrap();
    let invite = |number: u32| {
        format!(
            "INVITE sip:nobody@{} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{number}\r\n\
             From: <sip:alice@{local}>;tag={number}\r\nTo: <sip:nobody@{}>\r\n\
             Call-ID: {number}@x\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n\
             Contact: <sip:alice@{local}>\r\nContent-Length: 0\r\n\r\n",
            server.sip, server.sip
        )
    };
    let refuse = |number: u32| {
        socket.send_to(invite(number).as_bytes(), server.sip).unwrap();
        let mut packet = [0; 4_096];
        loop {
            let (length, _) = socket.recv_from(&mut packet).unwrap();
            let text = String::from_utf8_lossy(&packet[..length]).into_owned();
            let ours = text.contains(&format!("Call-ID: {number}@x"));
            if ours && !text.starts_with("SIP/2.0 1") {
                return text;
            }
        }
    };
    assert!(refuse(1).starts_with("SIP/2.0 404 "));
    let refused = until(Duration::from_secs(10), "a record", || over(&server).pop());
    for (field, value) in [
        ("direction", json!("inbound")),
        ("status", json!("failed")),
        ("cause", json!("not_found")),
        ("sip_status", json!(404)),
        ("from", json!("alice")),
        ("to", json!("nobody")),
    ] {
        assert_eq!(refused[field], value, "{refused}");
    }

    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let call = json!({"to": format!("sip:x@{}", peer.local_addr().unwrap()), "agent": "echo"});
    expect(&server, 201, "POST", "/api/v1/calls", Some(&call));
    expect(&server, 503, "POST", "/api/v1/calls", Some(&call));
    let refused = over(&server).into_iter().find(|call| call["direction"] == "outbound");
    let refused = refused.expect("what was answered is written");
    assert_eq!((&refused["cause"], &refused["agent"]), (&json!("congestion"), &json!("echo")));

    let began = Instant::now();
    for number in 2..102 {
        refuse(number);
    }
    let (records, took_s) = (over(&server).len(), began.elapsed().as_secs() as usize);
    assert!(records > 3 && records <= 2 + 5 * (took_s + 2), "{records} in {took_s} s");
    end(server);
}
