//! Calls over every transport: TLS with certificates on one side and on both, WebSockets, IPv6.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::io::Read;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use serde_json::Value;
use support::line::{Line, client, connect, header, offer};
use support::ports::Ports;
use support::server::{self, Server};
use support::tls::Authority;
use support::until;

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&TLS12, &TLS13];

/// A server with TLS and what reaches it.
struct Secure {
    server: Server,
    authority: Authority,
    /// The authority's file.
    ca: std::path::PathBuf,
    address: SocketAddr,
}

impl Secure {
    /// A server whose certificate is for `localhost`, with more keys of `[sip]` and more sections.
    fn start(sip: &str, sections: &str) -> Self {
        let (folder, ports, authority) = (server::folder(), Ports::claim(), Authority::new());
        let ca = authority.write(&folder);
        authority.write_identity(&folder, "server", "localhost");
        let address = SocketAddr::from(([127, 0, 0, 1], ports.pair()));
        let config = format!(
            "[sip]\ntls_listen = \"{address}\"\ntls_certificate = \"server.pem\"\n\
             tls_key = \"server.key\"\n{sip}\n{sections}"
        );
        let server = Server::start_on(ports, folder, &config);
        Self { server, authority, ca, address }
    }

    fn folder(&self) -> &Path {
        &self.server.dir
    }
}

/// Calls with `talkpath call`; its account, whether the call was answered or not.
fn call(uri: &str, args: &[&str]) -> (bool, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_talkpath"));
    let output =
        command.args(["call", uri, "--seconds", "2", "--json"]).args(args).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    (output.status.success(), serde_json::from_str(&text).unwrap_or_default())
}

/// A client of another make calls over TLS 1.2 and 1.3; `sips:` is answered by `sips:`, and BYE
/// takes the same connection.
#[test]
fn calls_over_both_versions_of_tls() {
    let secure = Secure::start("", "");
    let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for version in BOTH {
        let config = client(&secure.ca, None, &[version]);
        let stream = connect(secure.address, "localhost", &config).unwrap();
        let uri = format!("sips:echo@localhost:{}", secure.address.port());
        let mut line = Line::new(stream, "TLS", &uri);
        let answer = line.call(&offer(rtp.local_addr().unwrap()));
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        let contact = format!("<sips:talkpath@{}>", secure.address);
        assert_eq!(header(&answer, "Contact"), contact);
        assert!(header(&answer, "Via").contains("received=127.0.0.1"), "{answer}");
        assert!(line.hang_up().starts_with("SIP/2.0 200"));
    }
    secure.server.wait_idle();
    secure.server.stop();
}

/// `talkpath call` reaches the server over TLS, hears itself, and refuses a server whose authority
/// it does not trust or whose name is another.
#[test]
fn our_own_client_calls_over_tls() {
    let secure = Secure::start("", "");
    let port = secure.address.port();
    let ca = secure.ca.to_str().unwrap();
    for uri in
        [format!("sips:echo@localhost:{port}"), format!("sip:echo@localhost:{port};transport=tls")]
    {
        let (answered, account) = call(&uri, &["--ca", ca]);
        assert!(answered && account["chirps_found"].as_u64() > Some(0), "{uri}: {account}");
    }
    let stranger = secure.folder().join("stranger");
    std::fs::create_dir(&stranger).unwrap();
    let stranger = Authority::new().write(&stranger);
    let uri = format!("sips:echo@localhost:{port}");
    assert!(!call(&uri, &["--ca", stranger.to_str().unwrap()]).0);
    let by_address = format!("sips:echo@127.0.0.1:{port}");
    assert!(!call(&by_address, &["--ca", ca]).0);
    secure.server.stop();
}

/// A trunk proves by its certificate who it is: without one there is no connection, with another's
/// the call is refused, and the address alone proves nothing.
#[test]
fn client_certificates_prove_who_calls() {
    let trunk = "[[trunks]]\nname = \"carrier\"\ntls_names = [\"sip.carrier.example\"]\n";
    let secure = Secure::start("tls_client_ca = \"authority.pem\"", trunk);
    let folder = secure.folder();
    let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let offer = offer(rtp.local_addr().unwrap());
    let uri = format!("sips:echo@localhost:{}", secure.address.port());
    for (name, status) in [("sip.carrier.example", "200"), ("other.example", "403")] {
        let (certificate, key) = secure.authority.write_identity(folder, "client", name);
        let config = client(&secure.ca, Some((&certificate, &key)), BOTH);
        let stream = connect(secure.address, "localhost", &config).unwrap();
        let mut line = Line::new(stream, "TLS", &uri);
        let answer = line.call(&offer);
        assert!(answer.starts_with(&format!("SIP/2.0 {status}")), "{name}: {answer}");
        if status == "200" {
            assert!(line.hang_up().starts_with("SIP/2.0 200"));
        }
    }
    let plain = TcpStream::connect(secure.server.sip).unwrap();
    let mut line = Line::new(plain, "TCP", "sip:echo@localhost");
    assert!(line.call(&offer).starts_with("SIP/2.0 403"));

    // With TLS 1.3 a client learns of its refusal with the first read.
    let (certificate, key) =
        Authority::new().write_identity(folder, "stranger", "sip.carrier.example");
    for identity in [None, Some((certificate.as_path(), key.as_path()))] {
        let refused = connect(secure.address, "localhost", &client(&secure.ca, identity, BOTH))
            .and_then(|mut stream| stream.read(&mut [0; 1]));
        assert!(!matches!(refused, Ok(1..)), "let in: {refused:?}");
    }
    secure.server.stop();
}

/// New certificates are taken on SIGHUP without a restart; files that cannot be used change
/// nothing; open connections go on.
#[test]
fn certificates_are_read_again() {
    let secure = Secure::start("", "");
    let config = client(&secure.ca, None, BOTH);
    let shown = || {
        let stream = connect(secure.address, "localhost", &config).unwrap();
        stream.conn.peer_certificates().unwrap()[0].to_vec()
    };
    let hang_up = || {
        let pid = secure.server.pid().try_into().unwrap();
        // SAFETY: kill(2) touches no memory; the server is a child that was not waited for.
        unsafe { libc::kill(pid, libc::SIGHUP) };
    };
    let first = shown();
    let uri = format!("sips:echo@localhost:{}", secure.address.port());
    let mut line = Line::new(connect(secure.address, "localhost", &config).unwrap(), "TLS", &uri);

    std::fs::write(secure.folder().join("server.key"), "nonsense").unwrap();
    hang_up();
    until(Duration::from_secs(10), "the refusal in the log", || {
        secure.server.log().contains("TLS files cannot be used").then_some(())
    });
    assert_eq!(shown(), first);

    secure.authority.write_identity(secure.folder(), "server", "localhost");
    hang_up();
    let second = until(Duration::from_secs(10), "another certificate", || {
        Some(shown()).filter(|certificate| *certificate != first)
    });
    assert_ne!(first, second);

    let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert!(line.call(&offer(rtp.local_addr().unwrap())).starts_with("SIP/2.0 200"));
    assert!(line.hang_up().starts_with("SIP/2.0 200"));
    secure.server.stop();
}

/// Whoever connects and says nothing is shown out before long, and holds up nobody meanwhile.
#[test]
fn silent_handshakes_end() {
    let secure = Secure::start("", "");
    let mut silent = TcpStream::connect(secure.address).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let config = client(&secure.ca, None, BOTH);
    assert!(connect(secure.address, "localhost", &config).is_ok());
    assert_eq!(silent.read(&mut [0; 1]).unwrap_or(0), 0, "the server says something");
    secure.server.stop();
}

/// One server on both families: calls over IPv6 by UDP and TCP with media over IPv6, and over IPv4.
#[test]
fn calls_over_both_families() {
    if UdpSocket::bind("[::1]:0").is_err() {
        return support::skip("this machine has no IPv6");
    }
    let ports = Ports::claim();
    let port = ports.pair();
    let listen = format!("127.0.0.1:{port},[::1]:{port}");
    let trunk = "[[trunks]]\nname = \"us\"\npeers = [\"127.0.0.1\", \"::1\"]\n";
    let environment = [("TALKPATH_SIP_LISTEN", listen.as_str())];
    let server = Server::start_with(ports, server::folder(), trunk, &environment);
    for uri in [
        format!("sip:echo@[::1]:{port}"),
        format!("sip:echo@[::1]:{port};transport=tcp"),
        format!("sip:echo@127.0.0.1:{port}"),
    ] {
        let (answered, account) = call(&uri, &[]);
        assert!(answered, "{uri}: {account}");
        assert!(account["chirps_found"].as_u64() > Some(0), "{uri}: {account}");
    }
    let stream = TcpStream::connect(("::1", port)).unwrap();
    let rtp = UdpSocket::bind("[::1]:0").unwrap();
    let mut line = Line::new(stream, "TCP", &format!("sip:echo@[::1]:{port}"));
    let answer = line.call(&offer(rtp.local_addr().unwrap()));
    assert!(answer.contains("c=IN IP6 ::1"), "{answer}");
    assert!(header(&answer, "Via").contains("received=::1"), "{answer}");
    assert!(header(&answer, "Contact").starts_with(&format!("<sip:talkpath@[::1]:{port}")));
    assert!(line.hang_up().starts_with("SIP/2.0 200"));
    server.stop();
}

/// A WebSocket client of another make: its messages are SIP messages.
fn over_websocket<S: Read + std::io::Write>(stream: S, via: &'static str, uri: &str) {
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    use tokio_tungstenite::tungstenite::{self, Message};
    let mut request = "ws://localhost/".into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "sip".parse().unwrap());
    request.headers_mut().insert("Origin", "https://phone.example.com".parse().unwrap());
    let (mut socket, answer) = tungstenite::client(request, stream).unwrap();
    assert_eq!(answer.headers()["Sec-WebSocket-Protocol"], "sip");

    let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut line = Line::new(std::io::empty(), via, uri);
    socket.send(Message::text(line.request("INVITE", &offer(rtp.local_addr().unwrap())))).unwrap();
    let hear = |socket: &mut tungstenite::WebSocket<S>| loop {
        if let Message::Text(text) = socket.read().unwrap()
            && !text.starts_with("SIP/2.0 1")
        {
            return text.to_string();
        }
    };
    let answer = hear(&mut socket);
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    assert!(header(&answer, "Contact").contains(";transport=ws>"), "{answer}");
    line.answered(&answer);
    socket.send(Message::text(line.request("ACK", ""))).unwrap();
    // Keep-alives of both kinds are answered.
    socket.send(Message::text("\r\n\r\n")).unwrap();
    assert_eq!(hear(&mut socket), "\r\n");
    socket.send(Message::text(line.next("BYE"))).unwrap();
    assert!(hear(&mut socket).starts_with("SIP/2.0 200"));
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
}

/// Calls over WebSockets, bare and over TLS; pages that are not allowed are refused.
#[test]
fn calls_over_websockets() {
    let ports = Ports::claim();
    let (ws, wss) = (ports.pair(), ports.pair());
    let (folder, authority) = (server::folder(), Authority::new());
    let ca = authority.write(&folder);
    authority.write_identity(&folder, "server", "localhost");
    let config = format!(
        "[sip]\nws_listen = \"127.0.0.1:{ws}\"\nwss_listen = \"127.0.0.1:{wss}\"\n\
         ws_origins = [\"https://phone.example.com\"]\n\
         tls_certificate = \"server.pem\"\ntls_key = \"server.key\"\n"
    );
    let server = Server::start_on(ports, folder, &config);
    let plain = TcpStream::connect(("127.0.0.1", ws)).unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    over_websocket(plain, "WS", "sip:echo@localhost");
    let secure = connect(([127, 0, 0, 1], wss).into(), "localhost", &client(&ca, None, BOTH));
    over_websocket(secure.unwrap(), "WSS", "sips:echo@localhost");

    let mut refused = TcpStream::connect(("127.0.0.1", ws)).unwrap();
    let request = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   Sec-WebSocket-Protocol: sip\r\nOrigin: https://evil.example.com\r\n\r\n";
    std::io::Write::write_all(&mut refused, request.as_bytes()).unwrap();
    let mut answer = String::new();
    refused.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    server.wait_idle();
    server.stop();
}
