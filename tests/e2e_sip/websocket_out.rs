//! Calls placed over WebSockets that we open (RFC 7118), bare and over TLS, to a server with a
//! WebSocket implementation that is not ours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocket;
use tokio_tungstenite::tungstenite::{Message, accept_hdr};

use support::gateway::{Manner, responses};
use support::line::header;
use support::server::{self, Server};
use support::tls::{Authority, Link, Tls};
use support::until;

const SOON: Duration = Duration::from_secs(15);

/// A gateway that is called over a WebSocket, and what came.
struct Gateway {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    /// The paths and hosts that were asked for.
    asked: Arc<Mutex<Vec<String>>>,
    thread: JoinHandle<()>,
}

impl Gateway {
    /// Takes `connections`, one after the other, each until it is closed or `limit` messages came
    /// on it.
    fn start(tls: Option<Tls>, connections: usize, limit: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, asked): (Arc<Mutex<Vec<String>>>, Arc<Mutex<Vec<String>>>) = Default::default();
        let (hears, asks) = (Arc::clone(&heard), Arc::clone(&asked));
        let thread = std::thread::spawn(move || {
            for _ in 0..connections {
                let (stream, _) = listener.accept().unwrap();
                stream.set_read_timeout(Some(SOON)).unwrap();
                let link = match &tls {
                    Some(tls) => tls.accept(stream),
                    None => Link::Plain(stream),
                };
                if let Some(socket) = shake(link, &asks) {
                    serve(socket, address, &hears, limit);
                }
            }
        });
        Self { address, heard, asked, thread }
    }

    fn heard(&self, method: &str) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|message| message.starts_with(method)).cloned().collect()
    }
}

/// The handshake: nobody but a client of SIP gets in.
#[expect(clippy::result_large_err, reason = "the library's signature")]
fn shake(link: Link, asked: &Mutex<Vec<String>>) -> Option<WebSocket<Link>> {
    let check = |request: &Request, mut answer: Response| {
        let value = |name: &str| request.headers().get(name).unwrap().to_str().unwrap().to_owned();
        asked.lock().unwrap().push(format!("{} {}", request.uri().path(), value("host")));
        assert_eq!(value("sec-websocket-protocol"), "sip");
        answer.headers_mut().insert("sec-websocket-protocol", "sip".parse().unwrap());
        Ok::<_, ErrorResponse>(answer)
    };
    accept_hdr(link, check).ok()
}

/// Answers requests; the library refuses what a client did not mask.
fn serve(
    mut socket: WebSocket<Link>,
    address: SocketAddr,
    heard: &Mutex<Vec<String>>,
    limit: usize,
) {
    let mut count = 0;
    while count < limit {
        let Ok(message) = socket.read() else { return };
        let Message::Text(text) = message else { continue };
        for response in responses(&text, Manner::Answers, address) {
            let contact = format!("<sip:gateway@{address}>");
            let response = response.replace(&contact, "<sip:gateway@gw.invalid;transport=ws>");
            socket.send(Message::text(response)).unwrap();
        }
        heard.lock().unwrap().push(text.to_string());
        count += 1;
    }
}

/// Places a call through the trunk, waits until it is confirmed, and hangs up.
#[track_caller]
fn call(server: &Server, gateway: &Gateway) {
    let before = gateway.heard("ACK ").len();
    let wanted = json!({ "to": "+4930", "trunk": "carrier", "agent": "echo" });
    let (status, body) = server.http("POST", "/api/v1/calls", Some(&wanted));
    assert_eq!(status, 201, "{body}");
    let call: serde_json::Value = serde_json::from_str(&body).unwrap();
    until(SOON, "an ACK", || (gateway.heard("ACK ").len() > before).then_some(()));
    server.hang_up(call["id"].as_str().unwrap());
    until(SOON, "a BYE", || (gateway.heard("BYE ").len() > before).then_some(()));
    server.wait_idle();
}

/// A target is called over a WebSocket at the trunk's path: INVITE, ACK and BYE on one connection,
/// and the next call too. A connection that is gone is opened anew.
#[test]
fn a_target_is_called_over_a_websocket() {
    let gateway = Gateway::start(None, 2, 6);
    let address = gateway.address;
    let server = Server::start(&format!(
        "[[trunks]]\nname = \"carrier\"\ntargets = [\"sip:{address};transport=ws\"]\n\
         ws_path = \"/sip/ws\"\n"
    ));
    for _ in 0..3 {
        call(&server, &gateway);
    }
    assert_eq!(*gateway.asked.lock().unwrap(), vec![format!("/sip/ws {address}"); 2]);
    let invite = &gateway.heard("INVITE ")[0];
    let target = format!("INVITE sip:+4930@{address};transport=ws SIP/2.0");
    assert!(invite.starts_with(&target), "{invite}");
    assert!(header(invite, "Via").starts_with("SIP/2.0/WS "), "{invite}");
    assert!(header(invite, "Contact").contains(";transport=ws"), "{invite}");
    server.stop();
    drop(gateway);
}

/// Over TLS the server has to prove its name; whoever cannot is sent nothing.
#[test]
fn a_target_is_called_over_a_secure_websocket() {
    for (name, reached) in [("127.0.0.1", true), ("other.test", false)] {
        let (folder, authority) = (server::folder(), Authority::new());
        authority.write(&folder);
        let gateway = Gateway::start(Some(authority.server(name)), 1, 3);
        let address = gateway.address;
        let config = format!(
            "[[trunks]]\nname = \"carrier\"\ntargets = [\"sips:{address};transport=ws\"]\n\
             srtp = \"off\"\ntls_ca = \"authority.pem\"\n"
        );
        let server = Server::start_in(folder, &config);
        if reached {
            call(&server, &gateway);
            let invite = &gateway.heard("INVITE ")[0];
            assert!(header(invite, "Via").starts_with("SIP/2.0/WSS "), "{invite}");
            assert_eq!(*gateway.asked.lock().unwrap(), [format!("/ {address}")]);
        } else {
            let wanted = json!({ "to": "+4930", "trunk": "carrier", "agent": "echo" });
            assert_eq!(server.http("POST", "/api/v1/calls", Some(&wanted)).0, 201);
            server.wait_idle();
            assert!(gateway.asked.lock().unwrap().is_empty());
        }
        server.stop();
        gateway.thread.join().unwrap();
    }
}
