//! The API over TLS: reached by who knows the authority, certificates renewed while it runs, agents
//! that attach over it, proxies believed only if they are trusted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use support::phone::Phone;
use support::server::{self, Server};
use support::tls::Authority;
use support::until;

type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A connection over TLS to `to`, if its certificate is one of `authority` for `localhost`.
fn connect(to: SocketAddr, authority: &Path) -> std::io::Result<Secure> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let tcp = TcpStream::connect(to)?;
    tcp.set_read_timeout(Some(Duration::from_secs(10)))?;
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, tcp);
    stream.conn.complete_io(&mut stream.sock)?;
    Ok(stream)
}

/// Sends a request and reads the answer to its end.
fn ask(stream: &mut (impl Read + Write), head: &str, body: &str) -> String {
    let length = body.len();
    let request = format!(
        "{head}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

fn start(authority: &Authority, config: &str) -> Server {
    let dir = server::folder();
    authority.write_identity(&dir, "own", "localhost");
    let config = config.replace(
        "[http]",
        "[http]\ntls_listen = \"127.0.0.1:0\"\ntls_certificate = \"own.pem\"\n\
         tls_key = \"own.key\"\n",
    );
    Server::start_in(dir, &config)
}

/// Who trusts the authority gets answers, who does not gets none; a certificate put in the place of
/// the old one is used without a restart, and a broken one is not.
#[test]
fn certificates_are_renewed() {
    let (old, new) = (Authority::new(), Authority::new());
    let server = start(&old, "[http]\n");
    let https = server.https.expect("HTTPS is announced");
    let trusts_old = old.write(&server.dir);
    let mut stream = connect(https, &trusts_old).unwrap();
    let answer = ask(&mut stream, "GET /healthz HTTP/1.1", "");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

    let folder = server::folder();
    let trusts_new = new.write(&folder);
    assert!(connect(https, &trusts_new).is_err(), "a stranger's certificate was accepted");
    new.write_identity(&server.dir, "own", "localhost");
    server.hangup();
    until(Duration::from_secs(10), "the new certificate", || connect(https, &trusts_new).ok());
    std::fs::write(server.dir.join("own.pem"), "nonsense").unwrap();
    server.hangup();
    until(Duration::from_secs(10), "the broken file is noticed", || {
        server.log().contains("own.pem").then_some(())
    });
    assert!(connect(https, &trusts_new).is_ok(), "the certificate was lost");
    let _ = std::fs::remove_dir_all(folder);
    server.stop();
}

/// An agent attaches over WSS: what it says reaches the caller, what the caller says reaches it.
#[test]
fn an_agent_attaches_over_tls() {
    let authority = Authority::new();
    let server = start(
        &authority,
        "[http]\n[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nattach = true\n",
    );
    let trusted = authority.write(&server.dir);
    let mut phone = Phone::call(&server, "bot");
    let call = until(Duration::from_secs(10), "the call", || server.calls().pop());
    let id = call["id"].as_str().unwrap();
    let mut stream = connect(server.https.unwrap(), &trusted).unwrap();
    let key = &server.key;
    let request = format!(
        "GET /api/v1/calls/{id}/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: talkpath.v1\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer {key}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    // More than one record of sound, as a client writes it: masked, with a mask of zeros.
    let start = text_of(&mut stream, "start");
    assert_eq!(start["call_id"], id);
    phone.wait_answer();
    let audio: Vec<u8> = (0..24_000_u32).map(|index| (index * 7 % 126) as u8).collect();
    for chunk in audio.chunks(8_000) {
        let mut frame = vec![0x82, 0x80 | 126];
        let length = u16::try_from(chunk.len() + 12).unwrap();
        frame.extend(length.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend([0x80, 0, 0, 1, 0, 0, 0, 0]);
        frame.extend(u32::try_from(start["stream"].as_u64().unwrap()).unwrap().to_be_bytes());
        frame.extend(chunk);
        stream.write_all(&frame).unwrap();
    }
    phone.speak(&[0x30; 1_600]);
    phone.wait_audio("three seconds of the agent", |heard| {
        heard.windows(audio.len()).any(|window| window == audio).then_some(())
    });
    phone.hang_up();
    assert_eq!(text_of(&mut stream, "stop")["cause"], "normal");
    let _ = stream.sock.shutdown(Shutdown::Both);
    server.wait_idle();
    server.stop();
}

/// The next text message of this event; frames of sound before it are passed over.
fn text_of(stream: &mut Secure, event: &str) -> Value {
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head).unwrap();
        let mut length = u64::from(head[1]);
        if length == 126 {
            let mut bytes = [0; 2];
            stream.read_exact(&mut bytes).unwrap();
            length = u16::from_be_bytes(bytes).into();
        }
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).unwrap();
        if head[0] == 0x81 {
            let message: Value = serde_json::from_slice(&payload).unwrap();
            if message["event"] == event {
                return message;
            }
        }
    }
}

/// Requests without a key have few tries, each address its own: a proxy that is trusted names the
/// address, and nobody else does. A key that holds is let in all the same, as its address may be
/// that of many: though it was not shown since the server started, and though it was made
/// meanwhile; one that holds no longer is not.
#[test]
fn tries_are_limited_by_address() {
    let limits = "[http]\naddress_requests_per_second = 3\n";
    let server = Server::start(&format!("{limits}trusted_proxies = [\"127.0.0.0/8\"]\n"));
    let ask_for = |client: &str| {
        let mut stream = TcpStream::connect(server.http).unwrap();
        let head = format!("GET /api/v1/calls HTTP/1.1\r\nX-Forwarded-For: {client}");
        let answer = ask(&mut stream, &head, "");
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    let attack: Vec<String> = (0..12).map(|_| ask_for("192.0.2.1")).collect();
    assert_eq!(attack[..3], ["401", "401", "401"]);
    assert!(attack.contains(&"429".to_owned()), "{attack:?}");
    assert_eq!(ask_for("192.0.2.2"), "401");
    assert!(server.calls().is_empty());
    server.stop();

    let mut server = Server::start(limits);
    let mut answers = Vec::new();
    for client in 0..12 {
        let mut stream = TcpStream::connect(server.http).unwrap();
        let head = format!("GET /api/v1/calls HTTP/1.1\r\nX-Forwarded-For: 192.0.2.{client}");
        let answer = ask(&mut stream, &head, "");
        if answer.contains(" 429 ") {
            assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
        }
        answers.push(answer.contains(" 429 "));
    }
    assert!(answers.contains(&true), "a stranger's word was taken for addresses");
    assert!(server.calls().is_empty(), "not shown before");
    let address = server.http;
    let flood = || {
        until(Duration::from_secs(10), "strangers are held back", || {
            let mut stream = TcpStream::connect(address).unwrap();
            let head = "GET /api/v1/calls HTTP/1.1\r\nAuthorization: Bearer tp_unknown";
            ask(&mut stream, head, "").contains(" 429 ").then_some(())
        });
    };
    flood();
    let wanted = json!({ "name": "made meanwhile", "scope": "read" });
    let (status, made) = server.http("POST", "/api/v1/keys", Some(&wanted));
    assert_eq!(status, 201, "{made}");
    let made: Value = serde_json::from_str(&made).unwrap();
    let first = std::mem::replace(&mut server.key, made["key"].as_str().unwrap().to_owned());
    until(Duration::from_secs(10), "the key is known", || {
        flood();
        (server.http("GET", "/api/v1/calls", None).0 == 200).then_some(())
    });
    let second = std::mem::replace(&mut server.key, first);
    let path = format!("/api/v1/keys/{}", made["id"].as_str().unwrap());
    assert_eq!(server.http("DELETE", &path, None).0, 204);
    server.key = second;
    flood();
    // It is looked up once, and is as good as any other that does not hold from then on.
    let statuses: Vec<u16> = (0..6).map(|_| server.http("GET", "/api/v1/calls", None).0).collect();
    assert!(!statuses.contains(&200), "{statuses:?}");
    server.stop();
}

/// A key has so many requests a second; the rest is refused and told when to come again.
#[test]
fn keys_are_limited() {
    let server = Server::start("[http]\nkey_requests_per_second = 5\n");
    let statuses: Vec<u16> = (0..30).map(|_| server.http("GET", "/api/v1/calls", None).0).collect();
    assert_eq!(statuses[..5], [200; 5]);
    assert!(statuses.contains(&429), "{statuses:?}");
    until(Duration::from_secs(5), "requests are let in again", || {
        (server.http("GET", "/api/v1/calls", None).0 == 200).then_some(())
    });
    server.stop();
}

/// Bodies that are too long, methods and paths that are unknown, and heads without end are refused
/// by problem documents or by the connection's end; answers name their request.
#[test]
fn what_is_wrong_is_refused() {
    let server = Server::start("");
    let problem = |method: &str, path: &str, body: Option<&Value>| {
        let (status, text) = server.http(method, path, body);
        let problem: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(problem["status"], status, "{text}");
        (status, problem["type"].as_str().unwrap().to_owned())
    };
    let long = json!({ "to": "x".repeat(70_000), "agent": "echo" });
    for (method, path, body, status, kind) in [
        ("POST", "/api/v1/calls", Some(&long), 413, "too-large"),
        ("POST", "/api/v1/calls", None, 400, "bad-request"),
        ("PATCH", "/api/v1/calls", None, 405, "method-not-allowed"),
        ("GET", "/api/v1/nothing", None, 404, "not-found"),
        ("GET", "/api/v1/calls/%ff", None, 404, "not-found"),
        ("GET", "/api/v1/calls/x/stream", None, 404, "not-found"),
    ] {
        assert_eq!(problem(method, path, body), (status, format!("/problems/{kind}")), "{path}");
    }
    let mut stream = TcpStream::connect(server.http).unwrap();
    let answer = ask(&mut stream, "GET /healthz HTTP/1.1\r\nX-Request-Id: forged", "");
    assert!(answer.contains("\r\nx-request-id: ") && !answer.contains("forged"), "{answer}");
    let mut stream = TcpStream::connect(server.http).unwrap();
    let head = format!("GET /healthz HTTP/1.1\r\nX-Long: {}", "x".repeat(100_000));
    let _ = stream.write_all(format!("{head}\r\n\r\n").as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains(" 200 "));
    server.stop();
}

/// Who does not finish what it has begun is given up, while others are served: a head that does not
/// end by the end of the connection, a body by a problem document.
#[test]
fn slow_clients_are_given_up() {
    let server = Server::start("");
    let open = |text: &str| {
        let mut stream = TcpStream::connect(server.http).unwrap();
        // Longer than any of it may take, on any machine.
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let mut head = open("GET /healthz HTTP/1.1\r\nHost: h\r\nX-Slow: ");
    let mut body = open(&format!(
        "POST /api/v1/agents HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 100\r\n\r\n{{",
        server.key
    ));
    assert_eq!(server.http("GET", "/healthz", None).0, 200);
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut piece = [0; 4_096];
        let length = body.read(&mut piece).unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..length]);
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 408 ") && answer.contains("/problems/too-slow"),
        "{answer}"
    );
    let mut rest = Vec::new();
    head.read_to_end(&mut rest).unwrap();
    assert!(!String::from_utf8_lossy(&rest).contains(" 200 "));
    server.stop();
}

/// The document has every endpoint, and every endpoint asks for the key that the document says.
#[test]
fn the_document_and_the_routes_agree() {
    let server = Server::start("[http]\naddress_requests_per_second = 1000\n");
    let (status, text) = server.http("GET", "/api/v1/openapi.json", None);
    assert_eq!(status, 200, "{text}");
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut seen = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let path = path.replace(['{', '}'], "");
            let head = format!("{} {path} HTTP/1.1", method.to_uppercase());
            let mut stream = TcpStream::connect(server.http).unwrap();
            let answer = ask(&mut stream, &head, "");
            let status = answer.split(' ').nth(1).unwrap();
            let open = operation["security"].as_array().unwrap().is_empty();
            // What is open to all may want more than a bare address.
            assert_eq!(status == "401", !open, "{method} {path}: {answer}");
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen}");
    server.stop();
}
