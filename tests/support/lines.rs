//! Many calls of a carrier at once, each on a media socket of its own, set up as the carrier does:
//! a signed webhook, the document that answers it, the socket that it names.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use super::api_carrier::{
    ACCOUNT, Api, NUMBER, SOON, TOKEN, about, attribute, call_id, hook_at, signature,
};
use super::until;

const CONFIGS: &str = "/api/v1/organizations/telephony-configs";

/// A server that knows a configuration of the carrier.
#[derive(Debug)]
pub struct Offers {
    http: SocketAddr,
}

/// One call.
#[derive(Debug)]
pub struct Line {
    socket: WebSocket<TcpStream>,
    stream: String,
    code: u8,
    chunk: u32,
    /// Bytes of its own audio that came back.
    pub own: Arc<AtomicU64>,
    /// Bytes of others' audio: codes below a limit that are not its own.
    pub foreign: Arc<AtomicU64>,
}

impl Offers {
    /// Makes a configuration whose number leads to `agent`; the carrier's API is `api`.
    pub fn set_up(http: SocketAddr, key: &str, agent: &str, api: &Api) -> Self {
        let ask = |method: &str, path: &str, body: &Value| -> Value {
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let mut stream = TcpStream::connect(http).unwrap();
            stream.set_read_timeout(Some(SOON)).unwrap();
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                 Authorization: Bearer {key}\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 20"), "{method} {path}: {answer}");
            serde_json::from_str(body).unwrap()
        };
        let agents = ask("GET", "/api/v1/agents", &Value::Null);
        let all = agents["items"].as_array().unwrap();
        let agent = all.iter().find(|one| one["name"] == agent).unwrap()["id"].clone();
        let config = json!({
            "name": "lines",
            "config": {
                "provider": "twilio", "account_sid": ACCOUNT, "auth_token": TOKEN,
                "api_base": format!("http://{}", api.at),
            },
        });
        let made = ask("POST", CONFIGS, &config);
        let path = format!("{CONFIGS}/{}/phone-numbers", made["id"].as_str().unwrap());
        ask("POST", &path, &json!({"address": NUMBER, "inbound_agent_id": agent}));
        Self { http }
    }

    /// Offers a call whose caller says nothing but `code`; others say codes below `codes`.
    pub fn call(&self, code: u8, codes: u8) -> Line {
        let url = format!("http://{}/api/v1/telephony/inbound/run", self.http);
        let call = call_id(code.into());
        let offer = about(&call, "ringing", "inbound");
        // What is made over HTTP is in use a moment later, the number after the configuration.
        let document = until(SOON, "the configuration in use", || {
            let (status, document) = hook_at(self.http, &url, &offer, false);
            (status == 200 && document.contains("<Stream")).then_some(document)
        });
        let url = attribute(&document, "Stream", "url");
        let stream = TcpStream::connect(self.http).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut request = url.as_str().into_client_request().unwrap();
        let signed = signature(&url, &[]).parse().unwrap();
        request.headers_mut().insert("x-twilio-signature", signed);
        let (mut socket, _) = tokio_tungstenite::tungstenite::client(request, stream).unwrap();
        let stream = format!("MZ{}", &call[2..]);
        let start = json!({
            "event": "start", "sequenceNumber": "1", "streamSid": stream,
            "start": {
                "accountSid": ACCOUNT, "streamSid": stream, "callSid": call,
                "tracks": ["inbound"], "customParameters": {},
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            },
        });
        socket.send(Message::text(start.to_string())).unwrap();
        let hears =
            WebSocket::from_raw_socket(socket.get_ref().try_clone().unwrap(), Role::Client, None);
        let (own, foreign) = (Arc::default(), Arc::default());
        let counts = (Arc::clone(&own), Arc::clone(&foreign));
        std::thread::spawn(move || listen(hears, (code, codes), &counts.0, &counts.1));
        Line { socket, stream, code, chunk: 0, own, foreign }
    }
}

/// Counts what comes until the socket ends.
fn listen(
    mut socket: WebSocket<TcpStream>,
    (code, codes): (u8, u8),
    own: &AtomicU64,
    foreign: &AtomicU64,
) {
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else { continue };
        let message: Value = serde_json::from_str(&text).unwrap();
        if message["event"] != "media" {
            continue;
        }
        let audio = STANDARD.decode(message["media"]["payload"].as_str().unwrap()).unwrap();
        let ours = audio.iter().filter(|heard| **heard == code).count();
        let others = audio.iter().filter(|heard| **heard < codes).count() - ours;
        own.fetch_add(ours as u64, Relaxed);
        foreign.fetch_add(others as u64, Relaxed);
    }
}

impl Line {
    /// Says 20 ms of audio.
    pub fn speak(&mut self) {
        self.chunk += 1;
        let payload = STANDARD.encode([self.code; 160]);
        let message = json!({
            "event": "media", "sequenceNumber": (self.chunk + 1).to_string(),
            "streamSid": self.stream,
            "media": {
                "track": "inbound", "chunk": self.chunk.to_string(),
                "timestamp": (self.chunk * 20).to_string(), "payload": payload,
            },
        });
        self.socket.send(Message::text(message.to_string())).unwrap();
    }
}
