//! Carriers that ask at an address what becomes of a call, and speak `playAudio` on the media
//! socket: calls, webhooks, XML documents. What their APIs are like, and how they sign, is their
//! own.
//!
//! Two carriers have this in common, as one has copied the other. It shares no code with their
//! adapters.

#[cfg(test)]
pub(crate) mod cases;
mod document;
mod line;

use std::collections::VecDeque;

use media::time::MonoTime;

use crate::emulate::reports::Reports;
use crate::emulate::xml::Element;
use crate::emulate::{Clock, Command, Emulator, EmulatorStart, Output, Quirks, SocketInput, Told};
use crate::exchange::{HttpRequest, HttpResponse};
pub(crate) use line::Dialect;
use line::{Asked, Line};

/// In what the carriers that are played so differ.
pub(crate) struct Variant {
    /// Who ends calls that the carrier ends of itself.
    pub(crate) name: &'static str,
    /// The API.
    pub(crate) rest: fn(&mut Carrier, Clock, &HttpRequest) -> Option<HttpResponse>,
    /// A signed webhook: by the account's token, with a number of one use, to an address.
    pub(crate) post: fn(&str, u64, &str, &[(String, String)]) -> HttpRequest,
    /// The request that opens a media socket at an address.
    pub(crate) upgrade: fn(&str, u64, &str) -> HttpRequest,
    /// The called number of an offered call as webhooks write it.
    pub(crate) called: fn(&str) -> String,
    /// What every webhook says besides.
    pub(crate) constants: &'static [(&'static str, &'static str)],
    /// What the end of a call is said with: its status, and whether it was answered.
    pub(crate) ended: fn(&str, bool) -> Vec<(&'static str, String)>,
    /// Attributes that are documented, by element; any other ends the call. Elements that are not
    /// named may have any.
    pub(crate) attributes: &'static [(&'static str, &'static [&'static str])],
    /// True if whoever is alone in a conference is put out, unless the document allows it.
    pub(crate) puts_out: bool,
    /// The media socket.
    pub(crate) dialect: Dialect,
}

/// Most calls that are remembered.
const CALLS_MAX: usize = 10_000;
/// Most elements that one call carries out without waiting.
const ELEMENTS_MAX: usize = 20;

/// How a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Ringing,
    Answered,
    Over,
}

/// A call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) incoming: bool,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) state: State,
    pub(crate) answer_url: String,
    pub(crate) hangup_url: String,
    pub(crate) machine_url: Option<String>,
    pub(crate) answered: Option<MonoTime>,
    pub(crate) gives_up: Option<MonoTime>,
    pub(crate) answers: Option<MonoTime>,
    /// What is still to be carried out.
    document: VecDeque<Element>,
    /// It waits for another document.
    redirected: bool,
    line: Option<Line>,
    /// The call that dialled this one, and where it is told what became of that.
    dialled_by: Option<(String, String, String)>,
    pub(crate) recording: Option<String>,
}

/// An application: where calls are asked for, and where their end is told.
pub(crate) struct Application {
    pub(crate) id: String,
    pub(crate) answer_url: String,
    pub(crate) hangup_url: String,
}

/// A carrier of this kind.
pub(crate) struct Carrier {
    variant: &'static Variant,
    pub(crate) account: String,
    pub(crate) token: String,
    pub(crate) applications: Vec<Application>,
    pub(crate) numbers: Vec<(String, String)>,
    pub(crate) quirks: Quirks,
    pub(crate) calls: Vec<Call>,
    outputs: VecDeque<Output>,
    /// The webhook that wants a document, and the call that it is for.
    asking: Vec<(u32, String)>,
    reports: Reports,
    sockets: u32,
    serial: u64,
    seed: u64,
}

impl Carrier {
    /// Begins with one application, which all numbers lead to.
    pub(crate) fn new(start: EmulatorStart, variant: &'static Variant) -> Self {
        let text = |name: &str| start.config.text(name).unwrap_or_default().to_owned();
        let url = start.voice_url.unwrap_or_default();
        let first = Application { id: "1".to_owned(), answer_url: url.clone(), hangup_url: url };
        let digits = |number: String| number.trim_start_matches('+').to_owned();
        Self {
            variant,
            account: text("auth_id"),
            token: text("auth_token"),
            applications: vec![first],
            numbers: start.numbers.into_iter().map(|n| (digits(n), "1".to_owned())).collect(),
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

    fn uuid(&mut self) -> String {
        self.serial += 1;
        format!("{:08x}-0000-4000-8000-{:012x}", self.seed as u32, self.serial)
    }

    pub(crate) fn live(&mut self, id: &str) -> Option<&mut Call> {
        self.calls.iter_mut().find(|call| call.id == id && call.state != State::Over)
    }

    pub(crate) fn told(&mut self, told: Told) {
        self.outputs.push_back(Output::Told(told));
    }

    fn complain(&mut self, call: &str, what: &str) {
        let call = Some(call.to_owned());
        self.told(Told::Complaint { call, what: what.to_owned() });
    }

    pub(crate) fn begin(
        &mut self,
        incoming: bool,
        from: &str,
        to: &str,
        answer: &str,
        hangup: &str,
    ) -> String {
        if self.calls.len() >= CALLS_MAX {
            self.calls.retain(|call| call.state != State::Over);
        }
        let id = self.uuid();
        self.calls.push(Call {
            id: id.clone(),
            incoming,
            from: from.to_owned(),
            to: to.to_owned(),
            state: State::Ringing,
            answer_url: answer.to_owned(),
            hangup_url: hangup.to_owned(),
            machine_url: None,
            answered: None,
            gives_up: None,
            answers: None,
            document: VecDeque::new(),
            redirected: false,
            line: None,
            dialled_by: None,
            recording: None,
        });
        id
    }

    /// Sends a webhook about a call; `asks` if its answer is a document.
    pub(crate) fn tell(
        &mut self,
        clock: Clock,
        id: &str,
        url: &str,
        more: &[(&str, &str)],
        asks: bool,
    ) {
        let Some(call) = self.calls.iter().find(|call| call.id == id) else { return };
        if url.is_empty() {
            return;
        }
        let status = match call.state {
            State::Ringing => "ringing",
            State::Answered | State::Over => "in-progress",
        };
        let direction = if call.incoming { "inbound" } else { "outbound" };
        let called = if call.incoming { (self.variant.called)(&call.to) } else { call.to.clone() };
        let mut fields: Vec<(String, String)> = [
            ("CallUUID", &*call.id),
            ("From", &*call.from),
            ("To", &*called),
            ("Direction", direction),
            ("CallStatus", status),
            ("ParentAuthID", &*self.account),
            ("RequestUUID", &*call.id),
        ]
        .iter()
        .chain(self.variant.constants)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
        for (name, value) in more {
            fields.retain(|(known, _)| known != name);
            fields.push(((*name).to_owned(), (*value).to_owned()));
        }
        self.serial += 1;
        let request = (self.variant.post)(&self.token, self.serial, url, &fields);
        if asks {
            let hook = self.reports.send(request, &mut self.outputs);
            self.asking.push((hook, id.to_owned()));
        } else {
            self.reports.report(clock, &self.quirks, request, &mut self.outputs);
        }
    }

    /// Asks what becomes of a call.
    pub(crate) fn ask(&mut self, clock: Clock, id: &str, url: &str, event: &str) {
        self.tell(clock, id, url, &[("Event", event)], true);
    }

    /// Asks what becomes of a call instead: whatever its document says is over, so that the end of
    /// its media socket leads nowhere.
    pub(crate) fn redirect(&mut self, clock: Clock, id: &str, url: &str) {
        self.leave(id);
        if let Some(call) = self.live(id) {
            call.redirected = true;
        }
        self.ask(clock, id, url, "Redirect");
    }

    /// Somebody answered the telephone.
    fn answer(&mut self, clock: Clock, id: &str) {
        let machine = self.quirks.machine.clone();
        let Some(call) = self.live(id).filter(|call| call.state == State::Ringing) else { return };
        (call.state, call.gives_up, call.answers) = (State::Answered, None, None);
        call.answered = Some(clock.now);
        let (url, machine_url) = (call.answer_url.clone(), call.machine_url.take());
        let dialled_by = call.dialled_by.clone();
        let to = call.to.clone();
        self.told(Told::Answered { call: id.to_owned() });
        if let Some((other, _, events)) = dialled_by {
            for action in ["answer", "connected"] {
                let event = format!("Dial{action}");
                let more = [("Event", &*event), ("DialAction", action)];
                self.tell(clock, &other, &events, &more, false);
            }
            self.told(Told::HandedOver { call: other, to });
            return;
        }
        self.ask(clock, id, &url, "StartApp");
        if let (Some(url), Some(_)) = (machine_url, machine) {
            let more =
                [("Event", "MachineDetection"), ("Machine", "true"), ("IfMachine", "continue")];
            self.tell(clock, id, &url, &more, false);
        }
    }

    pub(crate) fn end(&mut self, clock: Clock, id: &str, status: &str, why: (u32, &str, &str)) {
        let Some(call) = self.live(id) else { return };
        call.state = State::Over;
        let answered = call.answered;
        let (line, url) = (call.line.take(), call.hangup_url.clone());
        let (dialled_by, recording) = (call.dialled_by.take(), call.recording.take());
        if let Some(line) = line {
            self.outputs.push_back(Output::Close { socket: line.socket, code: 1000 });
        }
        let (code, name, source) = why;
        let seconds = answered.map_or(0, |at| clock.now.since(at).as_secs()).to_string();
        let code = code.to_string();
        if let Some(url) = recording {
            self.recorded(clock, id, &url);
        }
        let ended = (self.variant.ended)(status, answered.is_some());
        let mut more = vec![
            ("Event", "Hangup"),
            ("HangupCauseCode", &*code),
            ("HangupCauseName", name),
            ("HangupSource", source),
            ("Duration", &*seconds),
        ];
        more.extend(ended.iter().map(|(name, value)| (*name, value.as_str())));
        self.tell(clock, id, &url, &more, false);
        self.told(Told::Ended { call: id.to_owned(), why: name.to_owned() });
        if let Some((other, action, _)) = dialled_by {
            self.tell(clock, &other, &action, &[("Event", "Dial"), ("DialStatus", status)], true);
        }
    }

    pub(crate) fn recorded(&mut self, clock: Clock, id: &str, url: &str) {
        let recording = self.uuid();
        let more = [
            ("RecordingID", &*recording),
            ("RecordUrl", "https://recordings.example.test/a.wav"),
            ("RecordingDuration", "1"),
            ("RecordingDurationMs", "1000"),
        ];
        self.tell(clock, id, url, &more, false);
    }

    fn of_socket(&self, socket: u32) -> Option<String> {
        let has = |call: &&Call| call.line.as_ref().is_some_and(|line| line.socket == socket);
        self.calls.iter().find(has).map(|call| call.id.clone())
    }

    fn stream_event(&mut self, clock: Clock, id: &str, line: &Line, event: &str) {
        let error = "connection disconnected with the remote service";
        let mut more =
            vec![("Event", event), ("StreamID", &*line.stream), ("ServiceURL", &*line.url)];
        if event == "DroppedStream" {
            more.push(("Error", error));
        }
        if let Some(url) = line.events.clone() {
            self.tell(clock, id, &url, &more, false);
        }
    }

    /// The media socket is gone: the next element is carried out.
    fn lost(&mut self, clock: Clock, id: &str, event: &str) {
        let Some(line) = self.live(id).and_then(|call| call.line.take()) else { return };
        self.stream_event(clock, id, &line, event);
        if self.live(id).is_some_and(|call| !call.redirected) {
            self.go_on(clock, id);
        }
    }
}

/// The media socket of a call.
fn line<'c>(calls: &'c mut [Call], id: &str) -> Option<&'c mut Line> {
    calls.iter_mut().find(|call| call.id == id).and_then(|call| call.line.as_mut())
}

impl Emulator for Carrier {
    fn rest(&mut self, clock: Clock, request: &HttpRequest) -> Option<HttpResponse> {
        (self.variant.rest)(self, clock, request)
    }

    fn answered(&mut self, clock: Clock, hook: u32, answer: Option<HttpResponse>) {
        let Some(at) = self.asking.iter().position(|(asked, _)| *asked == hook) else { return };
        let (_, call) = self.asking.swap_remove(at);
        match answer.filter(|answer| answer.status.is_success()) {
            Some(answer) => self.obey(clock, &call, &answer.body),
            None => {
                let why = (7011, "Error Reaching Answer URL", "Error");
                self.end(clock, &call, "failed", why);
            }
        }
    }

    fn socket(&mut self, clock: Clock, socket: u32, input: SocketInput<'_>) {
        let Some(id) = self.of_socket(socket) else { return };
        match input {
            SocketInput::Opened => {
                let Some(line) = line(&mut self.calls, &id) else { return };
                line.opened(clock.now, clock.unix_ms, &id, &mut self.outputs);
                let stream = (line.stream.clone(), line.url.clone(), line.events.clone());
                let told = Line::new(&self.variant.dialect, socket, stream);
                self.stream_event(clock, &id, &told, "StartStream");
                self.told(Told::Streaming { call: id });
            }
            SocketInput::Refused(_) | SocketInput::Closed(None) => {
                self.lost(clock, &id, "DroppedStream");
            }
            SocketInput::Closed(Some(_)) => self.lost(clock, &id, "StopStream"),
            SocketInput::Message(kind, bytes) => {
                let Some(line) = line(&mut self.calls, &id) else { return };
                match line.message(kind, bytes, &mut self.outputs) {
                    Ok(Asked::Nothing) => {}
                    Ok(Asked::Keys(digits)) => self.told(Told::Keys { call: id, digits }),
                    Err(what) => self.complain(&id, what),
                }
            }
        }
    }

    fn command(&mut self, clock: Clock, command: Command) {
        match command {
            Command::Call { from, to } => {
                let digits = |number: &str| number.trim_start_matches('+').to_owned();
                let (from, to) = (digits(&from), digits(&to));
                let application = self.numbers.iter().find(|(number, _)| *number == to);
                let application = application.and_then(|(_, id)| {
                    self.applications.iter().find(|application| application.id == *id)
                });
                let Some(Application { answer_url, hangup_url, .. }) = application else { return };
                let (answer, hangup) = (answer_url.clone(), hangup_url.clone());
                let id = self.begin(true, &from, &to, &answer, &hangup);
                self.ask(clock, &id, &answer, "StartApp");
                self.told(Told::Offered { call: id });
            }
            Command::Answer(call) => self.answer(clock, &call),
            Command::Busy(call) => {
                self.end(clock, &call, "busy", (3010, "Busy Line", "Carrier"));
            }
            Command::Decline(call) => {
                self.end(clock, &call, "busy", (3020, "Rejected", "Callee"));
            }
            Command::Hangup(id) => {
                let Some(call) = self.live(&id) else { return };
                let source = if call.incoming { "Caller" } else { "Callee" };
                match call.state {
                    State::Answered => {
                        self.end(clock, &id, "completed", (4000, "Normal Hangup", source));
                    }
                    _ => self.end(clock, &id, "cancel", (1000, "Canceled", source)),
                }
            }
            Command::Speak { call, audio } => {
                if let Some(line) = line(&mut self.calls, &call) {
                    line.speak(&audio);
                }
            }
            Command::Press { call, digit } => {
                if let Some(line) = line(&mut self.calls, &call) {
                    line.press(digit, clock.unix_ms, &mut self.outputs);
                }
            }
            Command::Drop(id) => {
                if let Some(line) = line(&mut self.calls, &id) {
                    self.outputs.push_back(Output::Cut { socket: line.socket });
                    self.lost(clock, &id, "DroppedStream");
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
                self.end(clock, &id, "timeout", (6010, "Ring Timeout Reached", self.variant.name));
            }
            let Some(line) = line(&mut self.calls, &id) else { continue };
            if line.tick(clock.now, &id, &self.quirks, &mut self.outputs) {
                self.lost(clock, &id, "DroppedStream");
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
