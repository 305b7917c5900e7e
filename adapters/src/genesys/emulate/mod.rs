//! Genesys Cloud in miniature: a flow with an Audio Connector that hands each call over. Written
//! from Genesys' documents; nothing is shared with the adapter's own reading and writing.
//!
//! There is no API. As Genesys does when an integration is activated, the connection is tried once,
//! before the first call.

mod session;
mod sign;

use std::collections::{BTreeMap, VecDeque};

use ::media::codec::AudioFormat;
use ::media::time::MonoTime;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use self::session::{Does, Parties, Session};
use self::sign::Signer;
use crate::config::RawConfig;
use crate::emulate::{
    Clock, Command, Emulator, EmulatorSpec, EmulatorStart, Output, Quirks, SocketInput, Told,
};
use crate::exchange::{HttpRequest, HttpResponse};

/// The emulator.
pub(super) static SPEC: EmulatorSpec = EmulatorSpec {
    config: |_| {
        json!({
            "organization_id": "d7934305-0972-4844-938e-9060eef73d05",
            "api_key": "emulated-api-key-0123456789",
            "client_secret": "ZW11bGF0ZWQgY2xpZW50IHNlY3JldCBvZiAzMiBieXRlcw==",
        })
    },
    audio: AudioFormat::PCMU,
    open: |start| Box::new(Genesys::new(start)),
};

struct Genesys {
    config: RawConfig,
    /// Where the Audio Connector leads.
    url: Option<String>,
    quirks: Quirks,
    sessions: BTreeMap<u32, Session>,
    outputs: VecDeque<Output>,
    /// The connection was tried.
    tried: bool,
    ids: u64,
    numbered: u32,
}

impl Genesys {
    fn new(start: EmulatorStart) -> Self {
        let EmulatorStart { config, voice_url, seed, quirks, .. } = start;
        // A WebSocket, whichever way the address is written.
        let url = voice_url.map(|url| match url.strip_prefix("http") {
            Some(rest) => format!("ws{rest}"),
            None => url,
        });
        Self {
            config,
            url,
            quirks,
            sessions: BTreeMap::new(),
            outputs: VecDeque::new(),
            tried: false,
            ids: seed,
            numbered: 0,
        }
    }

    /// A UUID that no other has.
    fn uuid(&mut self) -> String {
        self.ids = self.ids.wrapping_add(1);
        let mixed = self.ids.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (high, low) = (mixed >> 32, mixed & 0xffff_ffff);
        format!("{high:08x}-{:04x}-4000-8000-0000{low:08x}", self.ids & 0xffff)
    }

    /// Opens a socket for a session; its id.
    fn open(&mut self, clock: Clock, conversation: Option<String>, from: &str, to: &str) -> String {
        let (id, correlation, participant) = (self.uuid(), self.uuid(), self.uuid());
        let nonce = self.uuid();
        let text = |name| self.config.text(name);
        let organisation = text("organization_id").unwrap_or_default().to_owned();
        let signer = Signer {
            organisation: &organisation,
            session: &id,
            correlation: &correlation,
            key: text("api_key").unwrap_or_default(),
            secret: text("client_secret"),
            nonce: &nonce,
            unix_s: clock.unix_ms / 1000,
        };
        let request = signer.request(self.url.as_deref().unwrap_or_default());
        self.numbered += 1;
        let socket = self.numbered;
        let (from, to) = (from.to_owned(), to.to_owned());
        let parties = Parties { organisation, conversation, participant, from, to };
        self.sessions.insert(socket, Session::new(clock.now, id.clone(), parties));
        self.outputs.push_back(Output::Open { socket, request });
        id
    }

    fn named(&mut self, call: &str) -> Option<u32> {
        self.sessions.iter().find(|(_, session)| session.id == call).map(|(socket, _)| *socket)
    }

    fn told(&mut self, told: Told) {
        self.outputs.push_back(Output::Told(told));
    }

    /// A session is over.
    fn over(&mut self, socket: u32, why: String) {
        if let Some(session) = self.sessions.remove(&socket)
            && session.is_call()
        {
            self.told(Told::Ended { call: session.id, why });
        }
    }

    fn all(&mut self, socket: u32, all: impl IntoIterator<Item = Does>) {
        for does in all {
            self.one(socket, does);
        }
    }

    fn one(&mut self, socket: u32, does: Does) {
        let Some(session) = self.sessions.get(&socket) else { return };
        let (call, is_call) = (session.id.clone(), session.is_call());
        match Session::sent(does) {
            Ok((kind, bytes)) => self.outputs.push_back(Output::Message { socket, kind, bytes }),
            Err(Does::Opened) => {
                self.told(Told::Answered { call: call.clone() });
                self.told(Told::Streaming { call });
            }
            Err(Does::Heard(audio)) => self.told(Told::Heard { call, audio }),
            Err(Does::Close(why)) => {
                self.outputs.push_back(Output::Close { socket, code: 1000 });
                self.over(socket, why);
            }
            Err(Does::Cut) => {
                self.outputs.push_back(Output::Cut { socket });
                self.over(socket, "lost".to_owned());
            }
            Err(Does::Complaint(what)) => {
                self.told(Told::Complaint { call: is_call.then_some(call), what });
            }
            Err(Does::Text(_) | Does::Audio(_)) => {}
        }
    }
}

impl Emulator for Genesys {
    fn rest(&mut self, _: Clock, _: &HttpRequest) -> Option<HttpResponse> {
        let (status, headers) = (StatusCode::NOT_FOUND, HeaderMap::new());
        Some(HttpResponse { status, headers, body: Bytes::new() })
    }

    fn answered(&mut self, _: Clock, _: u32, _: Option<HttpResponse>) {}

    fn socket(&mut self, clock: Clock, socket: u32, input: SocketInput<'_>) {
        let now = clock.now;
        let Some(session) = self.sessions.get_mut(&socket) else { return };
        match input {
            SocketInput::Opened => {
                let does = session.connected(now);
                self.one(socket, does);
            }
            SocketInput::Message(kind, bytes) => {
                let does = match kind {
                    crate::agent::MessageKind::Text => session.text(now, bytes, &self.quirks),
                    crate::agent::MessageKind::Binary => session.binary(now, bytes),
                };
                self.all(socket, does);
            }
            SocketInput::Refused(status) => {
                let why = status.map_or_else(|| "unreachable".to_owned(), |it| it.to_string());
                if !session.is_call() {
                    let what = format!("the connection could not be tried: {why}");
                    self.told(Told::Complaint { call: None, what });
                }
                self.over(socket, why);
            }
            SocketInput::Closed(_) => {
                let call = session.is_call().then(|| session.id.clone());
                let what = "the server closed the connection".to_owned();
                self.told(Told::Complaint { call, what });
                self.over(socket, "closed by the server".to_owned());
            }
        }
    }

    fn command(&mut self, clock: Clock, command: Command) {
        match command {
            Command::Call { from, to } => {
                if !std::mem::replace(&mut self.tried, true) {
                    self.open(clock, None, "", "");
                }
                let conversation = self.uuid();
                let call = self.open(clock, Some(conversation), &from, &to);
                self.told(Told::Offered { call });
            }
            Command::Hangup(call) => {
                let Some(socket) = self.named(&call) else { return };
                let session = self.sessions.get_mut(&socket);
                let does = session.and_then(|it| it.close(clock.now, "end", "end".to_owned()));
                self.all(socket, does);
            }
            Command::Speak { call, audio } => {
                let Some(socket) = self.named(&call) else { return };
                if let Some(session) = self.sessions.get_mut(&socket) {
                    session.speak(&audio);
                }
            }
            Command::Press { call, digit } => {
                let Some(socket) = self.named(&call) else { return };
                let does = self.sessions.get_mut(&socket).and_then(|it| it.press(digit));
                self.all(socket, does);
            }
            Command::Drop(call) => {
                let Some(socket) = self.named(&call) else { return };
                self.one(socket, Does::Cut);
            }
            // Nobody is called.
            Command::Answer(_) | Command::Busy(_) | Command::Decline(_) => {}
        }
    }

    fn timeout(&mut self, clock: Clock) {
        let due = |(_, session): &(&u32, &mut Session)| {
            session.deadline().is_some_and(|at| at <= clock.now)
        };
        let mut all = Vec::new();
        for (socket, session) in self.sessions.iter_mut().filter(due) {
            let does = session.timeout(clock.now, &self.quirks);
            all.extend(does.into_iter().map(|does| (*socket, does)));
        }
        for (socket, does) in all {
            self.one(socket, does);
        }
    }

    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn deadline(&self) -> Option<MonoTime> {
        self.sessions.values().filter_map(Session::deadline).min()
    }
}
