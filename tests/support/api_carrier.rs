//! A carrier whose calls are controlled over HTTP: its API, its signed webhooks, its media socket.
//! Written from what the carrier documents, not from the adapter.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

use super::server::{self, Server};
use super::until;

/// The account, its token, and a number of it.
pub const ACCOUNT: &str = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";
pub const NUMBER: &str = "+15551234567";
pub const OTHER: &str = "+15557654321";
const CONFIGS: &str = "/api/v1/organizations/telephony-configs";
/// How long something may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

/// A request to the carrier's API.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub body: String,
}

impl Asked {
    /// A field of its form.
    pub fn field(&self, name: &str) -> Option<String> {
        let pairs = self.body.split('&').filter_map(|pair| pair.split_once('='));
        let mut found = pairs.filter(|(key, _)| *key == name).map(|(_, value)| unescape(value));
        found.next()
    }
}

/// The carrier's API. Answers are taken from `plan`; when that is empty everything is done.
#[derive(Clone)]
pub struct Api {
    pub at: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    plan: Arc<Mutex<VecDeque<Option<(u16, Value)>>>>,
    /// Answers are held back.
    held: Arc<(Mutex<bool>, Condvar)>,
}

impl Api {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = Self {
            at: listener.local_addr().unwrap(),
            asked: Arc::default(),
            plan: Arc::default(),
            held: Arc::default(),
        };
        let served = api.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let api = served.clone();
                std::thread::spawn(move || api.serve(stream));
            }
        });
        api
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream;
        while let Some(asked) = read_request(&mut reader) {
            let call = json!({"sid": call_id(9), "status": "queued"});
            let planned = self.plan.lock().unwrap().pop_front();
            self.asked.lock().unwrap().push(asked);
            let held = self.held.0.lock().unwrap();
            drop(self.held.1.wait_while(held, |held| *held).unwrap());
            // Nothing planned: it is done. `None`: the connection breaks.
            let Some((status, body)) = planned.unwrap_or(Some((201, call))) else { return };
            let body = body.to_string();
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: \
                 {}\r\n\r\n{body}",
                body.len()
            );
            if writer.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    /// What the next request is answered; `None` breaks its connection.
    pub fn will(&self, answer: Option<(u16, Value)>) {
        self.plan.lock().unwrap().push_back(answer);
    }

    /// Holds answers back until they are let go: what is asked is heard, and nobody is told.
    pub fn hold(&self, hold: bool) {
        *self.held.0.lock().unwrap() = hold;
        self.held.1.notify_all();
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits for a request that fits.
    #[track_caller]
    pub fn hears(&self, what: &str, fits: impl Fn(&Asked) -> bool) -> Asked {
        until(SOON, what, || self.asked().into_iter().find(&fits))
    }

    /// Waits until a call is asked to end.
    #[track_caller]
    pub fn hears_hangup(&self, call: &str) {
        let path = format!("/Calls/{call}.json");
        self.hears("a hang-up", |asked| {
            asked.path.ends_with(&path) && asked.body.contains("Status=completed")
        });
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|length| *length > 0)?;
        let header = header.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, path, body: String::from_utf8(body).ok()? })
}

/// The carrier's id of its nth call.
pub fn call_id(number: u32) -> String {
    format!("CA{number:032x}")
}

/// Makes a configuration with a number that goes to the agent `echo`, and yields the beginning of
/// its hooks' addresses.
#[track_caller]
pub fn configure(server: &Server, api: &Api, name: &str, number: &str) -> String {
    let config = json!({
        "name": name,
        "config": {
            "provider": "twilio", "account_sid": ACCOUNT, "auth_token": TOKEN,
            "api_base": format!("http://{}", api.at),
        },
    });
    let made = expect(server, 201, "POST", CONFIGS, Some(config));
    let id = made["id"].as_str().unwrap();
    let agents = expect(server, 200, "GET", "/api/v1/agents", None);
    let echo = agents["items"].as_array().unwrap().iter().find(|it| it["name"] == "echo").unwrap();
    let wanted = json!({"address": number, "inbound_agent_id": echo["id"]});
    let path = format!("{CONFIGS}/{id}/phone-numbers");
    expect(server, 201, "POST", &path, Some(wanted));
    id.to_owned()
}

/// The address of a configuration's hook.
#[track_caller]
pub fn hook_url(server: &Server, api: &Api, id: &str, name: &str) -> String {
    // The token is told to the carrier alone: binding a number shows it.
    let path = format!("/api/v1/organizations/telephony-configs/{id}");
    let numbers = expect(server, 200, "GET", &format!("{path}/phone-numbers"), None);
    let number = numbers["items"][0]["id"].as_str().unwrap();
    api.will(Some((
        200,
        json!({"incoming_phone_numbers": [
            {"sid": "PN00000000000000000000000000000001", "phone_number": NUMBER}
        ], "next_page_uri": null}),
    )));
    api.will(Some((200, json!({"sid": "PN00000000000000000000000000000001"}))));
    expect(server, 204, "POST", &format!("{path}/phone-numbers/{number}/bind"), None);
    let bound = api.hears("a binding", |asked| asked.field("VoiceUrl").is_some());
    let url = bound.field("VoiceUrl").unwrap().replace("/voice/", &format!("/{name}/"));
    // What is made over HTTP is in use a moment later.
    until(SOON, "the configuration in use", || {
        (hook(server, &url, &[], true).0 == 403).then_some(())
    });
    url
}

/// The one call that there is, once it is over.
#[track_caller]
pub fn ended(server: &Server) -> Value {
    until(SOON, "the end of the call", || {
        let calls = expect(server, 200, "GET", "/api/v1/calls", None);
        let call = calls["items"].as_array().unwrap().first()?.clone();
        (call["state"] == "ended").then_some(call)
    })
}

#[track_caller]
pub fn expect(
    server: &Server,
    status: u16,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Value {
    server::expect(server, status, method, path, body.as_ref())
}

/// The signature of a webhook: the address, then each field with its value, sorted.
pub fn signature(url: &str, fields: &[(&str, &str)]) -> String {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let signed: String = sorted.iter().map(|(name, value)| format!("{name}{value}")).collect();
    let mut mac = Hmac::<Sha1>::new_from_slice(TOKEN.as_bytes()).unwrap();
    mac.update(format!("{url}{signed}").as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// A webhook: status and document of the answer.
#[track_caller]
pub fn hook(server: &Server, url: &str, fields: &[(&str, &str)], forged: bool) -> (u16, String) {
    hook_at(server.http, url, fields, forged)
}

/// The same of the server at this address.
#[track_caller]
pub fn hook_at(
    http: SocketAddr,
    url: &str,
    fields: &[(&str, &str)],
    forged: bool,
) -> (u16, String) {
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value)));
    let body = pairs.collect::<Vec<_>>().join("&");
    // What stands behind it is for the carrier alone.
    let url = url.split('#').next().unwrap();
    let mut signed = signature(url, fields);
    if forged {
        signed.replace_range(0..1, if signed.starts_with('A') { "B" } else { "A" });
    }
    let path = url.strip_prefix(&format!("http://{http}")).unwrap();
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Twilio-Signature: {signed}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The fields of a webhook about a call.
pub fn about<'f>(call: &'f str, status: &'f str, direction: &'f str) -> Vec<(&'f str, &'f str)> {
    let (from, to) = if direction == "inbound" { (OTHER, NUMBER) } else { (NUMBER, OTHER) };
    vec![
        ("AccountSid", ACCOUNT),
        ("ApiVersion", "2010-04-01"),
        ("CallSid", call),
        ("CallStatus", status),
        ("Direction", direction),
        ("From", from),
        ("To", to),
    ]
}

fn escape(text: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escaped).collect()
}

fn unescape(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut plain = Vec::new();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'+' => b' ',
            b'%' => {
                let hex: String = bytes.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&hex, 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(plain).unwrap()
}

/// An attribute of an element in a document of the carrier.
#[track_caller]
pub fn attribute(document: &str, element: &str, name: &str) -> String {
    let rest = document.split_once(&format!("<{element} ")).unwrap_or_else(|| {
        panic!("no {element} in {document}");
    });
    let rest = rest.1.split_once(&format!("{name}=\"")).unwrap().1;
    rest.split_once('"').unwrap().0.replace("&amp;", "&")
}

/// The carrier's end of a media socket.
pub struct Media {
    socket: WebSocket<TcpStream>,
    id: String,
    chunk: u32,
    /// Bytes of audio that came.
    pub heard: Vec<u8>,
    pub closed: bool,
    /// The code that the server closed with.
    pub code: Option<u16>,
}

impl Media {
    /// Opens the socket and begins the stream of a call; `None` if the server does not let it in.
    pub fn open(url: &str, call: &str) -> Option<Self> {
        let id = format!("MZ{}", &call[2..]);
        let mut media = Self::connect(url, &id)?;
        media.say(&json!({"event": "connected", "protocol": "Call", "version": "1.0.0"}));
        let format = json!({"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1});
        media.say(&json!({
            "event": "start", "sequenceNumber": "1", "streamSid": media.id,
            "start": {
                "accountSid": ACCOUNT, "streamSid": media.id, "callSid": call,
                "tracks": ["inbound"], "mediaFormat": format, "customParameters": {},
            },
        }));
        Some(media)
    }

    /// Opens the socket, whose stream has yet to begin; `None` if the server does not let it in.
    pub fn connect(url: &str, id: &str) -> Option<Self> {
        let rest = url.strip_prefix("ws://").unwrap();
        let stream = TcpStream::connect(rest.split('/').next().unwrap()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut request = url.into_client_request().unwrap();
        let signed = signature(url, &[]).parse().unwrap();
        request.headers_mut().insert("x-twilio-signature", signed);
        let (socket, _) = tokio_tungstenite::tungstenite::client(request, stream).ok()?;
        socket.get_ref().set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let (id, heard) = (id.to_owned(), Vec::new());
        Some(Self { socket, id, chunk: 0, heard, closed: false, code: None })
    }

    pub fn say(&mut self, message: &Value) {
        let _ = self.socket.send(Message::text(message.to_string()));
    }

    /// Says 20 ms of audio.
    pub fn speak(&mut self, byte: u8) {
        self.chunk += 1;
        let (chunk, at) = (self.chunk.to_string(), (self.chunk * 20).to_string());
        let payload = STANDARD.encode([byte; 160]);
        self.say(&json!({
            "event": "media", "sequenceNumber": (self.chunk + 1).to_string(),
            "streamSid": self.id,
            "media": {"track": "inbound", "chunk": chunk, "timestamp": at, "payload": payload},
        }));
    }

    /// Reads what is there.
    pub fn look(&mut self) {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    if message["event"] == "media" {
                        let payload = message["media"]["payload"].as_str().unwrap();
                        self.heard.extend(STANDARD.decode(payload).unwrap());
                    }
                }
                Ok(Message::Close(frame)) => {
                    self.closed = true;
                    self.code = frame.map(|frame| frame.code.into());
                }
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.closed = true;
                    return;
                }
            }
        }
    }

    /// Speaks until it hears itself.
    #[track_caller]
    pub fn hears_echo(&mut self, byte: u8) {
        until(SOON, "an echo", || {
            self.speak(byte);
            std::thread::sleep(Duration::from_millis(20));
            self.look();
            self.heard.contains(&byte).then_some(())
        });
    }

    /// Says that the stream is over.
    pub fn stop(&mut self, call: &str) {
        let stop = json!({"accountSid": ACCOUNT, "callSid": call});
        let number = (self.chunk + 2).to_string();
        self.say(&json!({
            "event": "stop", "sequenceNumber": number, "streamSid": self.id, "stop": stop,
        }));
    }

    /// Closes the socket in order.
    pub fn close(&mut self) {
        let _ = self.socket.close(None);
        let _ = self.socket.flush();
    }

    #[track_caller]
    pub fn is_closed(&mut self) {
        until(SOON, "the end of the socket", || {
            self.look();
            self.closed.then_some(())
        });
    }
}
