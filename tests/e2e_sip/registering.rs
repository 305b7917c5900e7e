//! Registrations both ways: ours with a provider that is known by its name alone, and those of
//! telephones with us over connections that only they can open.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use rustls::version::TLS13;
use support::dns::{Dns, Record};
use support::line::{Line, client, connect, header, offer};
use support::ports::Ports;
use support::server::{self, Server};
use support::tls::Authority;
use support::until;
use talkpath::sip::core::auth::{Account, DigestClient};
use talkpath::sip::core::message::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message as Frame};

const SOON: Duration = Duration::from_secs(15);
const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A response to `request` with more header lines.
fn response(request: &str, line: &str, more: &str, body: &str) -> String {
    let copied: String = ["Via", "From", "Call-ID", "CSeq"]
        .iter()
        .map(|name| format!("{name}: {}\r\n", header(request, name)))
        .collect();
    let (to, length) = (header(request, "To"), body.len());
    let tag = if to.contains(";tag=") { "" } else { ";tag=far" };
    format!(
        "SIP/2.0 {line}\r\n{copied}To: {to}{tag}\r\n{more}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// We register over TLS with a provider that DNS leads to: past a server that is not there to the
/// next, which proves the name of the provider; its call comes over the connection that we opened.
#[test]
fn a_registrar_by_its_name_over_tls() {
    let (folder, ports, authority) = (server::folder(), Ports::claim(), Authority::new());
    authority.write(&folder);
    let tls = authority.server("provider.test");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let nobody = ports.pair();
    let dns = Dns::start(vec![
        ("_sips._tcp.provider.test", Record::Srv(20, 1, port, "b.provider.test")),
        ("_sips._tcp.provider.test", Record::Srv(10, 1, nobody, "a.provider.test")),
        ("a.provider.test", Record::A(LOCALHOST)),
        ("b.provider.test", Record::A(LOCALHOST)),
    ]);
    let config = format!(
        "[sip]\ndns_servers = [\"{}\"]\n[[trunks]]\nname = \"provider\"\nusername = \"line\"\n\
         password = \"line-secret\"\nregister = true\ntls_ca = \"authority.pem\"\n\
         registrar = \"sip:provider.test;transport=tls\"\n[[routes]]\nto = \"*\"\n\
         agent = \"echo\"\n[[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n",
        dns.address
    );
    let server = Server::start_on(ports, folder, &config);
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut link = Line::new(tls.accept(stream), "TLS", "sip:unused");
    let register = link.hear();
    assert!(register.starts_with("REGISTER sip:provider.test;transport=tls "), "{register}");
    assert_eq!(header(&register, "To"), "<sip:line@provider.test>");
    let contact = header(&register, "Contact").to_owned();
    assert!(contact.contains(";transport=tls>"), "{contact}");
    link.say(&response(&register, "200 OK", &format!("Contact: {contact}\r\n"), ""));
    until(SOON, "the registration", || {
        (server.metric("talkpath_sip_registered{trunk=\"provider\"}") > 0.5).then_some(())
    });

    // Only who was told our contact knows it.
    let uri = contact.split(['<', '>']).nth(1).unwrap();
    let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut line = Line::new(link.stream, "TLS", uri);
    let answer = line.call(&offer(rtp.local_addr().unwrap()));
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    assert_eq!(server.calls()[0]["trunk"], "provider");
    assert!(line.hang_up().starts_with("SIP/2.0 200"));
    server.wait_idle();

    // The connection is lost: we are back at once, over another one.
    drop(line);
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut link = Line::new(tls.accept(stream), "TLS", "sip:unused");
    assert!(link.hear().starts_with("REGISTER "));
    drop(link);
    server.stop();
}

/// A provider whose certificate proves another name is not registered with.
#[test]
fn a_registrar_with_another_name() {
    let (folder, ports, authority) = (server::folder(), Ports::claim(), Authority::new());
    authority.write(&folder);
    let tls = authority.server("other.test");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let dns = Dns::start(vec![("provider.test", Record::A(LOCALHOST))]);
    let config = format!(
        "[sip]\ndns_servers = [\"{}\"]\n[[trunks]]\nname = \"provider\"\nusername = \"line\"\n\
         password = \"line-secret\"\nregister = true\ntls_ca = \"authority.pem\"\n\
         registrar = \"sip:provider.test:{port};transport=tls\"\n",
        dns.address
    );
    let server = Server::start_on(ports, folder, &config);
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    assert!(!matches!(tls.accept(stream).read(&mut [0; 64]), Ok(1..)), "it said something");
    until(SOON, "the failure", || {
        let failures = "talkpath_sip_registration_failures_total{trunk=\"provider\"}";
        (server.metric(failures) > 0.5).then_some(())
    });
    assert!(server.metric("talkpath_sip_registered{trunk=\"provider\"}") < 0.5);
    assert!(!server.log().contains("line-secret"));
    server.stop();
}

/// A telephone in a browser: SIP over a WebSocket, whose other end cannot be connected to.
struct WebPhone<S: Read + Write> {
    socket: tungstenite::WebSocket<S>,
    via: &'static str,
    digest: DigestClient,
}

impl<S: Read + Write> WebPhone<S> {
    #[track_caller]
    fn open(stream: S, via: &'static str) -> Self {
        let mut request = "ws://localhost/".into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "sip".parse().unwrap());
        request.headers_mut().insert("Origin", "https://phone.example.com".parse().unwrap());
        let (socket, _) = tungstenite::client(request, stream).map_err(|e| e.to_string()).unwrap();
        let account = Account::new("alice", "wonderland", None);
        Self { socket, via, digest: DigestClient::new(Arc::new(account)) }
    }

    fn say(&mut self, text: String) {
        self.socket.send(Frame::text(text)).unwrap();
    }

    #[track_caller]
    fn hear(&mut self) -> String {
        loop {
            if let Frame::Text(text) = self.socket.read().unwrap()
                && text.len() > 4
            {
                return text.to_string();
            }
        }
    }

    /// Registers for so long; the last answer.
    #[track_caller]
    fn register(&mut self, cseq: u32, expires: u32) -> String {
        let mut answer = String::new();
        for cseq in cseq..cseq + 2 {
            let credentials = self.digest.headers("REGISTER", "sip:talkpath", b"");
            let credentials: String =
                credentials.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let via = self.via;
            self.say(format!(
                "REGISTER sip:talkpath SIP/2.0\r\n\
                 Via: SIP/2.0/{via} df7jal23ls0d.invalid;branch=z9hG4bKr{cseq}\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:alice@talkpath>;tag=w\r\nTo: <sip:alice@talkpath>\
                 \r\nCall-ID: web-register\r\nCSeq: {cseq} REGISTER\r\n\
                 Supported: path, outbound\r\n\
                 Contact: <sip:alice@df7jal23ls0d.invalid;transport=ws>;reg-id=1;\
                 +sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000a95a0e128>\"\
                 ;expires={expires}\r\n{credentials}Content-Length: 0\r\n\r\n"
            ));
            answer = self.hear();
            if answer.starts_with("SIP/2.0 200") {
                break;
            }
            let challenge = Message::parse(answer.clone().into_bytes().into()).unwrap();
            self.digest.challenged(&challenge, cseq.into()).unwrap();
        }
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        answer
    }
}

/// Telephones in browsers register over WebSockets, bare and over TLS, are called over the flow
/// that they have opened, answer and are hung up on; when they leave, or their connection does,
/// nobody is there to be called.
#[test]
fn telephones_register_over_websockets() {
    let ports = Ports::claim();
    let (ws, wss) = (ports.pair(), ports.pair());
    let (folder, authority) = (server::folder(), Authority::new());
    let ca = authority.write(&folder);
    authority.write_identity(&folder, "server", "localhost");
    let config = format!(
        "[sip]\nws_listen = \"127.0.0.1:{ws}\"\nwss_listen = \"127.0.0.1:{wss}\"\n\
         ws_origins = [\"https://phone.example.com\"]\n\
         tls_certificate = \"server.pem\"\ntls_key = \"server.key\"\n\
         [[users]]\nname = \"alice\"\npassword = \"wonderland\"\nsrtp = \"off\"\n\
         [[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n"
    );
    let server = Server::start_on(ports, folder, &config);
    let plain = TcpStream::connect(("127.0.0.1", ws)).unwrap();
    plain.set_read_timeout(Some(SOON)).unwrap();
    called_over(&server, WebPhone::open(plain, "WS"));
    let secure = connect(([127, 0, 0, 1], wss).into(), "localhost", &client(&ca, None, &[&TLS13]));
    called_over(&server, WebPhone::open(secure.unwrap(), "WSS"));
    server.stop();
}

fn called_over<S: Read + Write>(server: &Server, mut phone: WebPhone<S>) {
    let bindings = |count: f64| {
        until(SOON, "registrations", || {
            ((server.metric("talkpath_sip_bindings") - count).abs() < 0.5).then_some(())
        });
    };
    let answer = phone.register(1, 600);
    // RFC 5626 6: who asks for it is told that its flow is used.
    assert_eq!(header(&answer, "Require"), "outbound", "{answer}");
    assert!(header(&answer, "Contact").contains("reg-id=1"), "{answer}");
    bindings(1.0);
    let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let call = server.place("alice", "echo");
    let invite = phone.hear();
    assert!(invite.starts_with("INVITE sip:alice@df7jal23ls0d.invalid;transport=ws "), "{invite}");
    let contact = "Contact: <sip:alice@df7jal23ls0d.invalid;transport=ws>\r\n\
                   Content-Type: application/sdp\r\n";
    let sdp = offer(rtp.local_addr().unwrap());
    phone.say(response(&invite, "200 OK", contact, &sdp));
    assert!(phone.hear().starts_with("ACK "));
    until(SOON, "the call is up", || {
        server.calls().iter().any(|call| call["state"] == "answered").then_some(())
    });
    server.hang_up(call["id"].as_str().unwrap());
    let bye = phone.hear();
    assert!(bye.starts_with("BYE sip:alice@df7jal23ls0d.invalid;transport=ws "), "{bye}");
    phone.say(response(&bye, "200 OK", "", ""));
    server.wait_idle();

    phone.register(10, 0);
    bindings(0.0);
    phone.register(20, 600);
    bindings(1.0);
    drop(phone);
    bindings(0.0);
    let wanted = serde_json::json!({ "to": "alice", "agent": "echo" });
    let (status, body) = server.http("POST", "/api/v1/calls", Some(&wanted));
    assert_eq!(status, 400, "{body}");
}
