//! The carrier in miniature, from its documents: a REST API, webhooks with a key instead of a
//! signature, CXML, a media socket, records of calls. It shares no code with the adapter.

mod document;
mod line;
mod persons;
mod rest;
mod session;

use std::collections::{BTreeMap, VecDeque};

use http::{HeaderName, HeaderValue};
use media::codec::AudioFormat;
use media::time::MonoTime;
use serde_json::{Map, Value, json};

use self::line::Line;
use self::session::{Doing, Session};
use crate::emulate::{
    Clock, Command, Emulator, EmulatorSpec, EmulatorStart, Output, Quirks, SocketInput, Told,
};
use crate::exchange::{HttpRequest, HttpResponse};

/// What the table names.
pub(super) static EMULATOR: EmulatorSpec = EmulatorSpec {
    config: |api_base| {
        json!({
            "domain": "emulated.cloudonix.net",
            "api_token": "XIemulatedemulatedemulatedemulated",
            "request_key": "emulated-key-of-webhooks-0123456789",
            // Its numbers belong to an application from the beginning, as they do at the carrier.
            "application_name": APPLICATION,
            "marks": "carrier",
            "api_base": api_base,
        })
    },
    audio: AudioFormat::PCMU,
    open: |start| Box::new(Cloudonix::new(start)),
};

/// Most sessions that are remembered.
const SESSIONS_MAX: usize = 10_000;
const UUID: &str = "11111111-2222-4333-8444-555555555555";
/// The application that the domain has.
const APPLICATION: &str = "voice-agent";

/// An application: its numbers' calls are asked for at its address.
struct Application {
    id: u64,
    name: String,
    url: String,
}

/// A number, and the application that it leads to.
struct Dnid {
    id: u64,
    source: String,
    application: u64,
}

struct Cloudonix {
    domain: String,
    token: String,
    key: String,
    profile: Map<String, Value>,
    applications: Vec<Application>,
    dnids: Vec<Dnid>,
    /// What trunks there are, as the API has them.
    trunks: Vec<Value>,
    quirks: Quirks,
    sessions: BTreeMap<String, Session>,
    lines: BTreeMap<u32, Line>,
    /// Sessions by the webhook that wants a document for them.
    asking: BTreeMap<u32, String>,
    outputs: VecDeque<Output>,
    held: Option<(u32, HttpRequest)>,
    serial: u64,
    seed: u64,
    numbered: u32,
}

impl Cloudonix {
    fn new(start: EmulatorStart) -> Self {
        let EmulatorStart { config, numbers, voice_url, seed, quirks } = start;
        let text = |name: &str| config.text(name).unwrap_or_default().to_owned();
        let url = voice_url.unwrap_or_default();
        let mut profile = Map::new();
        profile.insert("call-timeout".to_owned(), json!(60));
        profile.insert("authorization-api-key".to_owned(), text("request_key").into());
        if url.contains("/voice/") {
            // The hook of records lies beside it, as the server lays them out.
            profile.insert("cdr-endpoint".to_owned(), url.replacen("/voice/", "/cdr/", 1).into());
        }
        let dnids = numbers.into_iter().zip(90..);
        Self {
            domain: text("domain"),
            token: text("api_token"),
            key: text("request_key"),
            profile,
            applications: vec![Application { id: 4500, name: APPLICATION.to_owned(), url }],
            dnids: dnids.map(|(source, id)| Dnid { id, source, application: 4500 }).collect(),
            trunks: Vec::new(),
            quirks,
            sessions: BTreeMap::new(),
            lines: BTreeMap::new(),
            asking: BTreeMap::new(),
            outputs: VecDeque::new(),
            held: None,
            serial: 0,
            seed,
            numbered: 0,
        }
    }

    const fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    const fn number(&mut self) -> u32 {
        self.numbered += 1;
        self.numbered
    }

    /// 32 hexadecimal digits that no other session has.
    fn session_token(&mut self) -> String {
        let serial = self.next();
        let mixed = serial.wrapping_add(self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{mixed:016x}{serial:016x}")
    }

    fn live(&mut self, token: &str) -> Option<&mut Session> {
        self.sessions.get_mut(token).filter(|session| !session.is_over())
    }

    fn told(&mut self, told: Told) {
        self.outputs.push_back(Output::Told(told));
    }

    fn complain(&mut self, call: Option<&str>, what: impl Into<String>) {
        self.told(Told::Complaint { call: call.map(str::to_owned), what: what.into() });
    }

    /// A webhook with the key of the domain's profile, if it bears one.
    fn webhook(&self, url: &str, body: &Value, bears_key: bool) -> HttpRequest {
        let kind = "application/json";
        let mut request = HttpRequest::post(url.to_owned(), kind, body.to_string());
        let mut put = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                request.headers.insert(HeaderName::from_static(name), value);
            }
        };
        put("user-agent", "Cloudonix APP.Core/5.3.673");
        let key = self.profile.get("authorization-api-key").and_then(Value::as_str);
        if bears_key {
            put("authorization", &format!("Bearer {}", key.unwrap_or(&self.key)));
        }
        request
    }

    /// Sends a webhook that tells something; of its answer the status counts.
    fn tell(&mut self, url: &str, body: &Value, bears_key: bool) {
        if self.quirks.hooks_lost || url.is_empty() {
            return;
        }
        let request = self.webhook(url, body, bears_key);
        let hook = self.number();
        if self.quirks.hooks_twice {
            self.outputs.push_back(Output::Hook { hook, request: request.clone() });
        }
        if self.quirks.hooks_swapped {
            match self.held.take() {
                None => {
                    self.held = Some((hook, request));
                    return;
                }
                Some((earlier, held)) => {
                    self.outputs.push_back(Output::Hook { hook, request });
                    self.outputs.push_back(Output::Hook { hook: earlier, request: held });
                    return;
                }
            }
        }
        self.outputs.push_back(Output::Hook { hook, request });
    }

    fn let_go(&mut self) {
        if let Some((hook, request)) = self.held.take() {
            self.outputs.push_back(Output::Hook { hook, request });
        }
    }

    /// Tells that a session changed: to its own address and to that of the domain.
    fn changed(&mut self, clock: Clock, token: &str, status: &'static str) {
        let serial = self.next();
        let domain = self.domain.clone();
        let Some(session) = self.sessions.get_mut(token) else { return };
        session.status = status;
        let update = session.update(&domain, serial, clock.unix_ms);
        let own = session.callback.clone();
        let all = self.profile.get("session-update-endpoint").and_then(Value::as_str);
        let all = all.map(str::to_owned);
        for url in own.into_iter().chain(all) {
            self.tell(&url, &update, true);
        }
    }

    /// Asks what a session does next.
    fn ask(&mut self, token: &str, url: &str, more: &[(&str, &str)]) {
        let stage = format!("{:016x}", self.next());
        let Some(session) = self.sessions.get_mut(token) else { return };
        session.doing = Doing::Asking;
        let application = "22222222-3333-4444-8555-666666666666";
        let mut body = session.question(&self.domain, application, url);
        let (from, to) = (session.from.clone(), session.to.clone());
        for (name, value) in more {
            body[*name] = (*value).into();
        }
        let mut request = self.webhook(url, &body, true);
        for (name, value) in [
            ("x-cx-apikey", "XI0000000000000000000000000000000A"),
            ("x-cx-domain", self.domain.as_str()),
            ("x-cx-session", token),
            ("x-cx-from", from.as_str()),
            ("x-cx-to", to.as_str()),
            ("x-cx-source", "TRUNK"),
            ("x-cx-stageid", stage.as_str()),
        ] {
            if let Ok(value) = HeaderValue::from_str(value) {
                request.headers.insert(HeaderName::from_static(name), value);
            }
        }
        let hook = self.number();
        self.asking.insert(hook, token.to_owned());
        self.outputs.push_back(Output::Hook { hook, request });
    }

    /// Tells what became of a media stream. What is told is not documented: the dialect's words.
    fn stream_event(&mut self, line: &Line, event: &str) {
        let Some(url) = &line.callback else { return };
        let body = json!({"Session": line.session, "StreamSid": line.stream(),
            "StreamEvent": event, "Domain": self.domain});
        self.tell(url, &body, true);
    }

    /// The media socket of a session is gone: its next verb is carried out.
    fn stream_ended(&mut self, clock: Clock, socket: u32, event: &str) {
        let Some(line) = self.lines.remove(&socket) else { return };
        self.stream_event(&line, event);
        if let Some(session) = self.live(&line.session) {
            session.doing = Doing::Next;
        }
        self.run(clock, &line.session);
    }

    fn line_of(&mut self, token: &str) -> Option<&mut Line> {
        match self.sessions.get(token)?.doing {
            Doing::Streaming(socket) => self.lines.get_mut(&socket),
            _ => None,
        }
    }
}

impl Emulator for Cloudonix {
    fn rest(&mut self, clock: Clock, request: &HttpRequest) -> Option<HttpResponse> {
        rest::handle(self, clock, request)
    }

    fn answered(&mut self, clock: Clock, hook: u32, answer: Option<HttpResponse>) {
        let status = answer.as_ref().map_or(0, |answer| answer.status.as_u16());
        match self.asking.remove(&hook) {
            Some(token) => self.document(clock, &token, answer),
            None if !(200..300).contains(&status) => {
                self.complain(None, format!("a webhook was answered with {status}"));
            }
            None => {}
        }
    }

    fn socket(&mut self, clock: Clock, socket: u32, input: SocketInput<'_>) {
        let Some(line) = self.lines.get_mut(&socket) else { return };
        let call = line.session.clone();
        match input {
            SocketInput::Opened => {
                let Some(session) = self.sessions.get(&call) else { return };
                let about = (
                    self.domain.as_str(),
                    session.from.as_str(),
                    session.to.as_str(),
                    session.direction,
                );
                line.open(clock.now, about, self.quirks.alaw, &mut self.outputs);
                let told = (line.stream().to_owned(), line.callback.clone());
                let told = Line::new(socket, &call, told.0, told.1);
                self.stream_event(&told, "stream-started");
                self.told(Told::Streaming { call });
            }
            SocketInput::Refused(status) => {
                // An application error: nothing of the document is carried out any more.
                self.complain(Some(&call), format!("the socket did not open: {status:?}"));
                self.lines.remove(&socket);
                self.end(clock, &call, "error");
            }
            SocketInput::Closed(Some(_)) => self.stream_ended(clock, socket, "stream-stopped"),
            SocketInput::Closed(None) => self.stream_ended(clock, socket, "stream-error"),
            SocketInput::Message(kind, bytes) => {
                if let Err(what) = line.message(clock.now, kind, bytes, &self.quirks) {
                    self.complain(Some(&call), what);
                }
            }
        }
    }

    fn command(&mut self, clock: Clock, command: Command) {
        self.person(clock, command);
    }

    fn timeout(&mut self, clock: Clock) {
        let due = |at: Option<MonoTime>| at.is_some_and(|at| at <= clock.now);
        let waiting = self.sessions.values().filter(|session| session.rings());
        let ringing: Vec<_> = waiting
            .filter(|session| due(session.answers_at) || due(session.rings_until))
            .map(|session| (session.token.clone(), due(session.answers_at)))
            .collect();
        for (token, answers) in ringing {
            if answers {
                self.pick_up(clock, &token);
            } else {
                self.end(clock, &token, "noanswer");
            }
        }
        let lines = self.lines.iter().filter(|(_, line)| due(line.deadline()));
        for socket in lines.map(|(socket, _)| *socket).collect::<Vec<_>>() {
            let Some(line) = self.lines.get_mut(&socket) else { continue };
            if line.tick(clock.now, &self.quirks, &mut self.outputs) {
                self.stream_ended(clock, socket, "stream-error");
            }
        }
    }

    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn deadline(&self) -> Option<MonoTime> {
        let waiting = self.sessions.values().filter(|session| session.rings());
        let ringing = waiting.flat_map(|session| [session.rings_until, session.answers_at]);
        ringing.chain(self.lines.values().map(Line::deadline)).flatten().min()
    }
}
