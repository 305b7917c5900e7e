//! The carrier in miniature, from its documents: Call Control over HTTP, webhooks signed with a key
//! of its own, media over a WebSocket. It shares no code with the adapter.

mod line;
mod rest;
mod webhooks;

use std::collections::VecDeque;
use std::time::Duration;

use media::codec::AudioFormat;
use media::time::MonoTime;
use serde_json::{Value, json};

use crate::emulate::{
    Clock, Command, Emulator, EmulatorSpec, EmulatorStart, Output, Quirks, SocketInput, Told,
};
use crate::exchange::{HttpRequest, HttpResponse};
use line::Line;
use webhooks::Webhooks;

/// What the table names.
pub(super) static EMULATOR: EmulatorSpec = EmulatorSpec {
    config: |api_base| {
        json!({
            "api_key": "KEY_EMULATED",
            "connection_id": "1494404757140276705",
            "webhook_public_key": webhooks::public_key(),
            "api_base": api_base,
        })
    },
    audio: AudioFormat::PCMU,
    open: |start| Box::new(Telnyx::new(start)),
};

/// Most calls that are remembered.
const CALLS_MAX: usize = 10_000;
/// How long any text takes.
const SPEAKING: Duration = Duration::from_millis(600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It rings, or waits to be answered by a request.
    Waiting,
    Answered,
    Over,
}

/// What a request said of the stream.
#[derive(Clone, Debug)]
struct Wish {
    url: String,
    track: String,
    plays: bool,
}

/// A leg.
#[derive(Debug)]
struct Call {
    id: String,
    leg: String,
    session: String,
    incoming: bool,
    from: String,
    to: String,
    state: State,
    began_unix_ms: u64,
    webhook_url: Option<String>,
    client_state: Option<String>,
    wish: Option<Wish>,
    detects: bool,
    /// Ids of commands that were carried out.
    commands: Vec<String>,
    /// Gives up, or answers by itself.
    gives_up: Option<MonoTime>,
    answers: Option<MonoTime>,
    line: Option<Line>,
    /// The leg that waits to be connected with this one once it is answered.
    linked: Option<String>,
    recording: bool,
    /// When a text has been spoken.
    spoken: Option<MonoTime>,
}

/// The application.
struct Application {
    name: String,
    webhook_url: Option<String>,
    costs: bool,
}

struct Telnyx {
    key: String,
    connection: String,
    application: Application,
    numbers: Vec<(String, bool)>,
    quirks: Quirks,
    webhooks: Webhooks,
    calls: Vec<Call>,
    outputs: VecDeque<Output>,
    /// Counts whatever has to be unique.
    serial: u64,
    seed: u64,
    sockets: u32,
}

impl Telnyx {
    fn new(start: EmulatorStart) -> Self {
        let text = |name: &str| start.config.text(name).unwrap_or_default().to_owned();
        Self {
            key: text("api_key"),
            connection: text("connection_id"),
            application: Application {
                name: "emulated".to_owned(),
                webhook_url: start.voice_url,
                costs: false,
            },
            numbers: start.numbers.into_iter().map(|number| (number, true)).collect(),
            webhooks: Webhooks::new(&start.quirks),
            quirks: start.quirks,
            calls: Vec::new(),
            outputs: VecDeque::new(),
            serial: 0,
            seed: start.seed,
            sockets: 0,
        }
    }

    /// Text in the form of a UUID that no other has.
    fn uuid(&mut self) -> String {
        self.serial += 1;
        let (a, b) = (self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), self.serial);
        let (high, low) = ((a >> 32) as u32, a as u32);
        format!("{high:08x}-{:04x}-4{:03x}-8000-{b:012x}", low >> 16, low & 0xfff)
    }

    fn index(&self, id: &str) -> Option<usize> {
        self.calls.iter().position(|call| call.id == id)
    }

    fn live(&mut self, id: &str) -> Option<&mut Call> {
        self.calls.iter_mut().find(|call| call.id == id && call.state != State::Over)
    }

    fn begin(&mut self, clock: Clock, incoming: bool, from: &str, to: &str) -> String {
        let (leg, session) = (self.uuid(), self.uuid());
        let id = format!("v3:{}", leg.replace('-', ""));
        if self.calls.len() >= CALLS_MAX {
            self.calls.retain(|call| call.state != State::Over);
        }
        self.calls.push(Call {
            id: id.clone(),
            leg,
            session,
            incoming,
            from: from.to_owned(),
            to: to.to_owned(),
            state: State::Waiting,
            began_unix_ms: clock.unix_ms,
            webhook_url: None,
            client_state: None,
            wish: None,
            detects: false,
            commands: Vec::new(),
            gives_up: None,
            answers: None,
            line: None,
            linked: None,
            recording: false,
            spoken: None,
        });
        id
    }

    fn told(&mut self, told: Told) {
        self.outputs.push_back(Output::Told(told));
    }

    fn complain(&mut self, call: Option<&str>, what: &str) {
        let call = call.map(str::to_owned);
        self.told(Told::Complaint { call, what: what.to_owned() });
    }

    /// Sends a webhook about a call, with more in its payload.
    fn tell(&mut self, clock: Clock, id: &str, kind: &str, more: &Value) {
        let event = self.uuid();
        let Some(call) = self.calls.iter().find(|call| call.id == id) else { return };
        let url = call.webhook_url.clone().or_else(|| self.application.webhook_url.clone());
        let Some(url) = url else { return };
        let mut payload = json!({
            "call_control_id": call.id,
            "call_leg_id": call.leg,
            "call_session_id": call.session,
            "connection_id": self.connection,
            "client_state": call.client_state,
            "from": call.from,
            "to": call.to,
            "start_time": webhooks::time(call.began_unix_ms),
        });
        if let (Some(payload), Some(more)) = (payload.as_object_mut(), more.as_object()) {
            payload.extend(more.clone());
        }
        self.webhooks.send(clock, &url, kind, &event, &payload, &mut self.outputs);
    }

    /// Somebody answered, or a request did.
    fn answer(&mut self, clock: Clock, id: &str) {
        let machine = self.quirks.machine.clone();
        let Some(call) = self.live(id).filter(|call| call.state == State::Waiting) else { return };
        (call.state, call.gives_up, call.answers) = (State::Answered, None, None);
        let (detects, linked) = (call.detects, call.linked.take());
        self.told(Told::Answered { call: id.to_owned() });
        self.tell(clock, id, "call.answered", &json!({"state": "answered"}));
        if detects {
            let result = machine.unwrap_or_else(|| "human_residence".to_owned());
            let kind = "call.machine.premium.detection.ended";
            self.tell(clock, id, kind, &json!({"result": result}));
        }
        self.open(id);
        if let Some(other) = linked {
            self.connect(clock, id, &other);
        }
    }

    /// A text is spoken, for a while.
    fn speak(&mut self, clock: Clock, id: &str) {
        if let Some(call) = self.live(id) {
            call.spoken = Some(clock.now + SPEAKING);
            self.tell(clock, id, "call.speak.started", &json!({}));
        }
    }

    /// Connects two legs that are answered.
    fn connect(&mut self, clock: Clock, id: &str, other: &str) {
        for leg in [id, other] {
            self.tell(clock, leg, "call.bridged", &json!({}));
        }
        let to = self.index(id).and_then(|at| self.calls.get(at)).map(|call| call.to.clone());
        let (call, to) = (other.to_owned(), to.unwrap_or_default());
        self.told(Told::HandedOver { call, to });
    }

    /// Opens the stream that a request wished for; one that is there is closed.
    fn open(&mut self, id: &str) {
        self.sockets += 1;
        let (socket, stream) = (self.sockets, self.uuid());
        let Some(call) = self.live(id).filter(|call| call.state == State::Answered) else { return };
        let Some(wish) = call.wish.clone() else { return };
        let old = call.line.replace(Line::new(socket, stream, &wish));
        if let Some(old) = old {
            self.outputs.push_back(Output::Close { socket: old.socket, code: 1000 });
        }
        let request = HttpRequest::get(wish.url);
        self.outputs.push_back(Output::Open { socket, request });
    }

    fn end(&mut self, clock: Clock, id: &str, cause: &str, source: &str, sip: &str) {
        let Some(call) = self.live(id) else { return };
        let answered = call.state == State::Answered;
        call.state = State::Over;
        let (line, recording) = (call.line.take(), std::mem::take(&mut call.recording));
        if let Some(mut line) = line {
            line.stop(id, &mut self.outputs);
        }
        if recording {
            self.recorded(clock, id);
        }
        let hangup = json!({"state": "hangup", "hangup_cause": cause, "hangup_source": source,
            "sip_hangup_cause": sip});
        self.tell(clock, id, "call.hangup", &hangup);
        if self.application.costs && answered {
            let part = json!({"call_part": "call-control", "cost": "0.0070", "currency": "USD",
                "rate": "0.0070", "billed_duration_secs": 60});
            let cost = json!({"total_cost": "0.0070", "billed_duration_secs": 60,
                "status": "success", "cost_parts": [part]});
            self.tell(clock, id, "call.cost", &cost);
        }
        self.told(Told::Ended { call: id.to_owned(), why: cause.to_owned() });
    }

    fn recorded(&mut self, clock: Clock, id: &str) {
        let recording = self.uuid();
        let time = webhooks::time(clock.unix_ms);
        let more = json!({"recording_id": recording, "channels": "dual",
            "recording_started_at": time, "recording_ended_at": time,
            "recording_urls": {"wav": "https://recordings.example.test/a.wav"}});
        self.tell(clock, id, "call.recording.saved", &more);
    }

    /// The call whose media socket that is.
    fn of_socket(&self, socket: u32) -> Option<String> {
        let has = |call: &&Call| call.line.as_ref().is_some_and(|line| line.socket == socket);
        self.calls.iter().find(has).map(|call| call.id.clone())
    }

    fn lost(&mut self, clock: Clock, id: &str, kind: &str, reason: &str) {
        let Some(line) = self.live(id).and_then(|call| call.line.take()) else { return };
        let more = json!({"failure_reason": reason, "stream_id": line.stream,
            "stream_params": {"stream_url": line.url, "track": line.track},
            "stream_type": "websocket"});
        self.tell(clock, id, kind, &more);
    }
}

impl Emulator for Telnyx {
    fn rest(&mut self, clock: Clock, request: &HttpRequest) -> Option<HttpResponse> {
        rest::handle(self, clock, request)
    }

    fn answered(&mut self, clock: Clock, hook: u32, answer: Option<HttpResponse>) {
        let taken = answer.is_some_and(|answer| answer.status.is_success());
        if !self.webhooks.answered(clock, hook, taken) {
            self.complain(None, "a webhook was not answered with success, again and again");
        }
    }

    fn socket(&mut self, clock: Clock, socket: u32, input: SocketInput<'_>) {
        let Some(id) = self.of_socket(socket) else { return };
        match input {
            SocketInput::Opened => {
                let Some(call) = self.live(&id) else { return };
                let start = json!({"user_id": "u", "call_control_id": call.id,
                    "call_session_id": call.session, "from": call.from, "to": call.to,
                    "tags": [], "client_state": call.client_state});
                let url = call.wish.as_ref().map(|wish| wish.url.clone());
                if let Some(line) = line(&mut self.calls, &id) {
                    line.opened(clock.now, start, &self.quirks, &mut self.outputs);
                }
                self.tell(clock, &id, "streaming.started", &json!({"stream_url": url}));
                self.told(Told::Streaming { call: id });
            }
            SocketInput::Refused(_) => {
                self.lost(clock, &id, "streaming.failed", "connection_failed")
            }
            SocketInput::Closed(Some(_)) => self.lost(clock, &id, "streaming.stopped", "stopped"),
            SocketInput::Closed(None) => self.lost(clock, &id, "streaming.failed", "disconnected"),
            SocketInput::Message(kind, bytes) => {
                let Some(line) = line(&mut self.calls, &id) else { return };
                if let Err(what) = line.message(clock.now, kind, bytes, &mut self.outputs) {
                    self.complain(Some(&id), what);
                }
            }
        }
    }

    fn command(&mut self, clock: Clock, command: Command) {
        match command {
            Command::Call { from, to } => {
                let id = self.begin(clock, true, &from, &to);
                let more = json!({"direction": "incoming", "state": "parked",
                    "caller_id_name": from, "calling_party_type": "pstn",
                    "connection_codecs": "PCMU,PCMA,G722", "offered_codecs": "PCMU,PCMA",
                    "tags": [], "custom_headers": [], "sip_headers": []});
                self.tell(clock, &id, "call.initiated", &more);
                self.told(Told::Offered { call: id });
            }
            Command::Answer(call) => self.answer(clock, &call),
            Command::Busy(call) => self.end(clock, &call, "user_busy", "callee", "486"),
            Command::Decline(call) => self.end(clock, &call, "call_rejected", "callee", "603"),
            Command::Hangup(id) => {
                let Some(call) = self.live(&id) else { return };
                let source = if call.incoming { "caller" } else { "callee" };
                match (call.state, call.incoming) {
                    (State::Answered, true) => {
                        self.end(clock, &id, "normal_clearing", source, "unspecified");
                    }
                    (State::Answered, false) => {
                        self.end(clock, &id, "normal_clearing", source, "200");
                    }
                    _ => self.end(clock, &id, "originator_cancel", source, "487"),
                }
            }
            Command::Speak { call, audio } => {
                if let Some(line) = self.live(&call).and_then(|call| call.line.as_mut()) {
                    line.speak(&audio);
                }
            }
            Command::Press { call, digit } => {
                let digits = digit.to_string();
                self.tell(clock, &call, "call.dtmf.received", &json!({"digit": digits}));
                if let Some(line) = line(&mut self.calls, &call) {
                    line.press(&digits, &webhooks::time(clock.unix_ms), &mut self.outputs);
                }
            }
            Command::Drop(id) => {
                let socket = self.live(&id).and_then(|call| call.line.as_ref()).map(|l| l.socket);
                if let Some(socket) = socket {
                    self.outputs.push_back(Output::Cut { socket });
                    self.lost(clock, &id, "streaming.failed", "disconnected");
                }
            }
        }
    }

    fn timeout(&mut self, clock: Clock) {
        let ids: Vec<_> = self.calls.iter().map(|call| call.id.clone()).collect();
        let due = |at: Option<MonoTime>| at.is_some_and(|at| at <= clock.now);
        for id in ids {
            let Some(call) = self.live(&id) else { continue };
            if due(call.answers) {
                self.answer(clock, &id);
            } else if due(call.gives_up) {
                self.end(clock, &id, "timeout", "unknown", "487");
            }
            if let Some(call) = self.live(&id).filter(|call| due(call.spoken)) {
                call.spoken = None;
                self.tell(clock, &id, "call.speak.ended", &json!({"status": "completed"}));
            }
            let Some(call) = self.calls.iter_mut().find(|call| call.id == id) else { continue };
            let Some(line) = &mut call.line else { continue };
            let cut = line.tick(clock.now, &id, &self.quirks, &mut self.outputs);
            if cut {
                self.lost(clock, &id, "streaming.failed", "disconnected");
            }
        }
        self.webhooks.timeout(clock, &mut self.outputs);
    }

    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn deadline(&self) -> Option<MonoTime> {
        let live = self.calls.iter().filter(|call| call.state != State::Over);
        let of_calls = live.flat_map(|call| {
            let line = call.line.as_ref().and_then(Line::deadline);
            [call.answers, call.gives_up, call.spoken, line]
        });
        of_calls.chain([self.webhooks.deadline()]).flatten().min()
    }
}

/// The media socket of a call.
fn line<'c>(calls: &'c mut [Call], id: &str) -> Option<&'c mut Line> {
    calls.iter_mut().find(|call| call.id == id).and_then(|call| call.line.as_mut())
}

/// Seconds as a span.
fn seconds(value: &Value, default: u64) -> Duration {
    Duration::from_secs(value.as_u64().unwrap_or(default))
}

#[cfg(test)]
mod tests;
