//! The carrier in miniature, from its documents: flows that come to a Voicebot applet, a REST API,
//! status callbacks, a media socket that complains of short messages. It shares no code with the
//! adapter.

mod line;
mod rest;
mod webhooks;

use std::collections::VecDeque;
use std::time::Duration;

use media::codec::AudioFormat;
use media::time::MonoTime;
use serde_json::{Value, json};

use crate::emulate::reports::Reports;
use crate::emulate::{
    Clock, Command, Emulator, EmulatorSpec, EmulatorStart, Output, Quirks, SocketInput, Told,
};
use crate::exchange::{HttpRequest, HttpResponse};
use line::Line;

/// What the table names.
pub(super) static EMULATOR: EmulatorSpec = EmulatorSpec {
    config: |api_base| {
        json!({
            "account_sid": "emulated1",
            "api_key": "emulated-api-key",
            "api_token": "emulated-api-token",
            "api_base": api_base,
            "flow_id": FLOW,
            "socket_user": "carrier",
            "socket_password": "emulated.socket-password",
        })
    },
    audio: AudioFormat::l16le(8_000),
    open: |start| Box::new(Carrier::new(start)),
};

/// The only flow of the account.
const FLOW: &str = "424242";
/// Most calls that are remembered.
const CALLS_MAX: usize = 10_000;
/// How often a media socket is tried before the flow goes on without it.
const HANDSHAKES_MAX: u32 = 2;
/// Longest session of a media socket.
const SESSION_MAX: Duration = Duration::from_secs(3_600);

/// How a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ringing,
    Answered,
    Over,
}

/// A call.
struct Call {
    id: String,
    incoming: bool,
    from: String,
    to: String,
    state: State,
    /// Where it is told how the call fares, and of what.
    status_url: Option<String>,
    events: Vec<String>,
    custom: Option<String>,
    records: bool,
    /// Where the audio goes once it is answered.
    stream_url: Option<String>,
    gives_up: Option<MonoTime>,
    answers: Option<MonoTime>,
    answered: Option<MonoTime>,
    /// How it ended, and how many seconds after the answer.
    ended: Option<(&'static str, u64)>,
    handshakes: u32,
    line: Option<Line>,
}

/// A number, and the address that it leads to.
struct Number {
    sid: String,
    number: String,
    voice_url: String,
}

struct Carrier {
    account: String,
    key: String,
    token: String,
    /// The address in the applet of the flow, as it was typed.
    applet_url: String,
    numbers: Vec<Number>,
    quirks: Quirks,
    calls: Vec<Call>,
    outputs: VecDeque<Output>,
    /// Questions of the applet, and the calls that they are about.
    asking: Vec<(u32, String)>,
    reports: Reports,
    sockets: u32,
    serial: u64,
    seed: u64,
}

impl Carrier {
    fn new(start: EmulatorStart) -> Self {
        let text = |name: &str| start.config.text(name).unwrap_or_default().to_owned();
        let secret = |name: &str| {
            start.config.secret(name).map(|it| it.expose().to_owned()).unwrap_or_default()
        };
        let account = text("account_sid");
        // Whoever makes the flow types name and password into the address.
        let pair = format!("{}:{}@", text("socket_user"), secret("socket_password"));
        let url = start.voice_url.unwrap_or_default();
        let leads = if url.is_empty() { String::new() } else { flow_url(&account) };
        let number = |(at, number): (usize, String)| Number {
            sid: format!("{:032x}", at + 1),
            number,
            voice_url: leads.clone(),
        };
        let numbers = start.numbers.into_iter().enumerate().map(number).collect();
        Self {
            key: secret("api_key"),
            token: secret("api_token"),
            account,
            applet_url: url.replacen("://", &format!("://{pair}"), 1),
            numbers,
            quirks: start.quirks,
            calls: Vec::new(),
            outputs: VecDeque::new(),
            asking: Vec::new(),
            reports: Reports::default(),
            sockets: 0,
            serial: 0,
            seed: start.seed,
        }
    }

    fn sid(&mut self) -> String {
        self.serial += 1;
        format!("{:016x}{:016x}", self.seed, self.serial)
    }

    fn live(&mut self, id: &str) -> Option<&mut Call> {
        self.calls.iter_mut().find(|call| call.id == id && call.state != State::Over)
    }

    fn told(&mut self, told: Told) {
        self.outputs.push_back(Output::Told(told));
    }

    fn complain(&mut self, call: &str, what: &str) {
        let call = Some(call.to_owned());
        self.told(Told::Complaint { call, what: what.to_owned() });
    }

    fn begin(&mut self, incoming: bool, from: &str, to: &str) -> String {
        if self.calls.len() >= CALLS_MAX {
            self.calls.retain(|call| call.state != State::Over);
        }
        let id = self.sid();
        self.calls.push(Call {
            id: id.clone(),
            incoming,
            from: from.to_owned(),
            to: to.to_owned(),
            state: State::Ringing,
            status_url: None,
            events: Vec::new(),
            custom: None,
            records: false,
            stream_url: None,
            gives_up: None,
            answers: None,
            answered: None,
            ended: None,
            handshakes: 0,
            line: None,
        });
        id
    }

    /// Tells what happened to a call that was placed, if that was asked for.
    fn tell(&mut self, clock: Clock, id: &str, event: &str, status: &str) {
        let Some(call) = self.calls.iter().find(|call| call.id == id) else { return };
        let wanted = call.events.iter().any(|wanted| wanted == event);
        let Some(url) = call.status_url.as_deref().filter(|_| wanted) else { return };
        let request = webhooks::status(call, url, event, status);
        self.reports.report(clock, &self.quirks, request, &mut self.outputs);
    }

    /// Somebody answered the telephone of a call that was placed.
    fn answer(&mut self, clock: Clock, id: &str) {
        let Some(call) = self.live(id).filter(|call| call.state == State::Ringing) else { return };
        (call.state, call.answered) = (State::Answered, Some(clock.now));
        (call.gives_up, call.answers) = (None, None);
        self.told(Told::Answered { call: id.to_owned() });
        self.tell(clock, id, "answered", "in-progress");
        self.open(id);
    }

    /// Opens the media socket of a call.
    fn open(&mut self, id: &str) {
        self.sockets += 1;
        let (socket, stream) = (self.sockets, self.sid());
        let Some(call) = self.live(id) else { return };
        let Some(url) = call.stream_url.clone() else { return };
        call.handshakes += 1;
        call.line = Some(Line::new(socket, stream, &url));
        self.outputs.push_back(Output::Open { socket, request: webhooks::upgrade(&url) });
    }

    fn end(&mut self, clock: Clock, id: &str, status: &'static str) {
        let Some(call) = self.live(id) else { return };
        call.state = State::Over;
        let lasted = call.answered.map_or(0, |at| clock.now.since(at).as_secs());
        call.ended = Some((status, lasted));
        if let Some(mut line) = call.line.take() {
            let account = self.account.clone();
            line.stop(id, &account, "callended", &mut self.outputs);
            self.outputs.push_back(Output::Close { socket: line.socket, code: 1000 });
        }
        self.tell(clock, id, "terminal", status);
        self.told(Told::Ended { call: id.to_owned(), why: status.to_owned() });
    }

    fn of_socket(&self, socket: u32) -> Option<String> {
        let has = |call: &&Call| call.line.as_ref().is_some_and(|line| line.socket == socket);
        self.calls.iter().find(has).map(|call| call.id.clone())
    }

    /// The media socket is gone: the flow goes on behind the applet, where it ends.
    fn goes_on(&mut self, clock: Clock, id: &str) {
        if let Some(call) = self.live(id) {
            call.line = None;
        }
        self.end(clock, id, "completed");
    }
}

/// The address by which a number leads to the flow.
fn flow_url(account: &str) -> String {
    format!("http://my.exotel.com/{account}/exoml/start_voice/{FLOW}")
}

impl Emulator for Carrier {
    fn rest(&mut self, clock: Clock, request: &HttpRequest) -> Option<HttpResponse> {
        rest::handle(self, clock, request)
    }

    fn answered(&mut self, clock: Clock, hook: u32, answer: Option<HttpResponse>) {
        let Some(at) = self.asking.iter().position(|(asked, _)| *asked == hook) else { return };
        let (_, id) = self.asking.swap_remove(at);
        let answer = answer.filter(|answer| answer.status.is_success());
        let body = answer.and_then(|answer| serde_json::from_slice::<Value>(&answer.body).ok());
        let url = body.and_then(|body| body["url"].as_str().map(str::to_owned));
        let Some(call) = self.live(&id) else { return };
        match url.filter(|url| url.starts_with("wss://") || url.starts_with("ws://")) {
            Some(url) => {
                call.stream_url = Some(url);
                self.told(Told::Answered { call: id.clone() });
                self.open(&id);
            }
            // Nowhere to go: the flow goes on.
            None => self.goes_on(clock, &id),
        }
    }

    fn socket(&mut self, clock: Clock, socket: u32, input: SocketInput<'_>) {
        let Some(id) = self.of_socket(socket) else { return };
        match input {
            SocketInput::Opened => {
                let account = self.account.clone();
                let Some(call) = self.calls.iter_mut().find(|call| call.id == id) else { return };
                let (from, to) = (call.from.clone(), call.to.clone());
                let Some(line) = &mut call.line else { return };
                line.opened(clock.now, [&id, &account, &from, &to], &mut self.outputs);
                self.told(Told::Streaming { call: id });
            }
            SocketInput::Refused(_) => {
                let tried = self.live(&id).map_or(0, |call| call.handshakes);
                if tried < HANDSHAKES_MAX {
                    self.open(&id);
                } else {
                    self.goes_on(clock, &id);
                }
            }
            SocketInput::Closed(_) => self.goes_on(clock, &id),
            SocketInput::Message(kind, bytes) => {
                let Some(line) = line(&mut self.calls, &id) else { return };
                if let Err(what) = line.message(kind, bytes) {
                    self.complain(&id, what);
                }
            }
        }
    }

    fn command(&mut self, clock: Clock, command: Command) {
        match command {
            Command::Call { from, to } => {
                let leads = flow_url(&self.account);
                let known = |it: &Number| it.number == to && it.voice_url == leads;
                let known = self.numbers.iter().any(known) && !self.applet_url.is_empty();
                let id = self.begin(true, &from, &to);
                self.told(Told::Offered { call: id.clone() });
                if !known {
                    return self.end(clock, &id, "failed");
                }
                // The flow has answered it.
                let applet = self.applet_url.clone();
                let Some(call) = self.live(&id) else { return };
                (call.state, call.answered) = (State::Answered, Some(clock.now));
                let request = webhooks::question(call, &applet);
                let hook = self.reports.send(request, &mut self.outputs);
                self.asking.push((hook, id));
            }
            Command::Answer(call) => self.answer(clock, &call),
            // Who declines is told as busy.
            Command::Busy(call) | Command::Decline(call) => self.end(clock, &call, "busy"),
            Command::Hangup(id) => {
                let Some(call) = self.live(&id) else { return };
                match call.state {
                    State::Answered => self.end(clock, &id, "completed"),
                    State::Ringing | State::Over => self.end(clock, &id, "no-answer"),
                }
            }
            Command::Speak { call, audio } => {
                if let Some(line) = line(&mut self.calls, &call) {
                    line.speak(&audio);
                }
            }
            Command::Press { call, digit } => {
                if let Some(line) = line(&mut self.calls, &call) {
                    line.press(digit, &mut self.outputs);
                }
            }
            Command::Drop(id) => {
                if let Some(line) = line(&mut self.calls, &id) {
                    self.outputs.push_back(Output::Cut { socket: line.socket });
                    self.goes_on(clock, &id);
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
                self.end(clock, &id, "no-answer");
            }
            let Some(line) = line(&mut self.calls, &id) else { continue };
            if line.tick(clock.now, &id, &self.quirks, &mut self.outputs) {
                self.goes_on(clock, &id);
            }
        }
        self.reports.timeout(clock.now, &mut self.outputs);
    }

    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn deadline(&self) -> Option<MonoTime> {
        let live = self.calls.iter().filter(|call| call.state != State::Over);
        let of_calls = live.flat_map(|call| {
            let line = call.line.as_ref().and_then(Line::deadline);
            [call.answers, call.gives_up, line]
        });
        of_calls.chain([self.reports.deadline()]).flatten().min()
    }
}

/// The media socket of a call.
fn line<'c>(calls: &'c mut [Call], id: &str) -> Option<&'c mut Line> {
    calls.iter_mut().find(|call| call.id == id).and_then(|call| call.line.as_mut())
}

#[cfg(test)]
mod tests;
