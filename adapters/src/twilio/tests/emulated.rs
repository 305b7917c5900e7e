//! Whole calls between the adapter and the carrier in miniature, without sockets and in no time.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use media::time::MonoTime;
use serde_json::json;

use super::super::SPEC;
use crate::address::Address;
use crate::agent::MessageKind;
use crate::config::RawConfig;
use crate::emulate::{Clock, Command, Emulator, EmulatorStart, Output, Quirks, SocketInput, Told};
use crate::event::{CallFact, CarrierCallId, HangupCause, Meaning, TransferState};
use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::hook::{HookRequest, HookUrls, Take};
use crate::op::{OpResult, Originate, Refusal, Step, Transfer, TransferKind};
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};

const NUMBER: &str = "+15551234567";
const PERSON: &str = "+15557654321";
const STREAM_URL: &str = "wss://t.example/api/v1/telephony/ws/twilio/c1/token";

/// A server that does what it must and no more.
struct World {
    carrier: Box<dyn Emulator>,
    config: RawConfig,
    now: MonoTime,
    refuses: Option<Refusal>,
    wanted: bool,
    socket: Option<(u32, Box<dyn Stream>)>,
    facts: Vec<CallFact>,
    told: Vec<Told>,
    /// What the server hears, and what comes back of marks and keys.
    heard: Vec<u8>,
    marks: Vec<String>,
    keys: String,
    sockets: u32,
}

impl World {
    fn new(quirks: &[&str]) -> Self {
        let spec = SPEC.emulator.unwrap();
        let config = SPEC.read(&(spec.config)("http://127.0.0.1:9"), None).unwrap();
        let mut set = Quirks::default();
        quirks.iter().for_each(|quirk| set.set(quirk).unwrap());
        let start = EmulatorStart {
            config: config.clone(),
            numbers: vec![NUMBER.to_owned()],
            voice_url: Some(hooks().url("voice")),
            seed: 7,
            quirks: set,
        };
        Self {
            carrier: (spec.open)(start),
            config,
            now: MonoTime::ZERO,
            refuses: None,
            wanted: true,
            socket: None,
            facts: Vec::new(),
            told: Vec::new(),
            heard: Vec::new(),
            marks: Vec::new(),
            keys: String::new(),
            sockets: 0,
        }
    }

    fn clock(&self) -> Clock {
        let ms = self.now.as_nanos() / 1_000_000;
        Clock { now: self.now, unix_ms: 1_767_693_600_000 + ms }
    }

    fn command(&mut self, command: Command) {
        self.carrier.command(self.clock(), command);
        self.settle();
    }

    /// Does what the carrier wants until it wants nothing.
    fn settle(&mut self) {
        while let Some(output) = self.carrier.poll() {
            match output {
                Output::Hook { hook, request } => {
                    let answer = self.hook(&request);
                    self.carrier.answered(self.clock(), hook, answer);
                }
                Output::Open { socket, request } => self.open(socket, &request),
                Output::Message { socket, kind, bytes } => self.message(socket, kind, bytes),
                Output::Close { .. } | Output::Cut { .. } => self.socket = None,
                Output::Told(told) => self.told.push(told),
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(next) = self.carrier.deadline().filter(|next| *next <= until) {
            self.now = next;
            self.carrier.timeout(self.clock());
            self.settle();
        }
        self.now = until;
    }

    /// A webhook is verified, understood, answered.
    fn hook(&mut self, request: &HttpRequest) -> Option<HttpResponse> {
        let name = request.url.split('/').nth(7).unwrap();
        let hook = SPEC.hook(name).unwrap_or_else(|| panic!("{}", request.url));
        let seen = HookRequest {
            method: &request.method,
            url: &request.url,
            headers: &request.headers,
            body: &request.body,
            unix_s: 0,
        };
        let inbound = SPEC.inbound.unwrap();
        assert!((inbound.recognise)(&seen));
        assert_eq!((hook.verify)(&seen, &self.config), Ok(()), "{name}");
        let handled = (hook.handle)(&seen, &self.config).unwrap_or_else(|e| panic!("{name}: {e}"));
        let take = Take { stream_url: STREAM_URL.to_owned(), hooks: hooks() };
        let reply = match handled.meaning {
            Meaning::Offered(_) => match self.refuses {
                Some(refusal) => (inbound.refuse)(&self.config, refusal),
                None => (inbound.answer)(&self.config, &take).unwrap(),
            },
            Meaning::Asked { events, .. } => {
                self.facts.extend(events.into_iter().map(|event| event.what));
                if self.wanted {
                    (inbound.answer)(&self.config, &take).unwrap()
                } else {
                    handled.reply
                }
            }
            Meaning::Events(events) => {
                self.facts.extend(events.into_iter().map(|event| event.what));
                handled.reply
            }
        };
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(reply.content_type));
        Some(HttpResponse { status: reply.status, headers, body: reply.body })
    }

    fn open(&mut self, socket: u32, request: &HttpRequest) {
        let seen = HookRequest {
            method: &request.method,
            url: &request.url,
            headers: &request.headers,
            body: b"",
            unix_s: 0,
        };
        assert_eq!(request.url, STREAM_URL);
        assert_eq!((SPEC.verify_socket.unwrap())(&seen, &self.config), Ok(()));
        let start = StreamStart { config: self.config.clone(), call: None };
        self.socket = Some((socket, (SPEC.stream.unwrap())(&start)));
        self.sockets += 1;
        self.carrier.socket(self.clock(), socket, SocketInput::Opened);
    }

    fn message(&mut self, socket: u32, kind: MessageKind, mut bytes: Vec<u8>) {
        let Some((ours, stream)) = &mut self.socket else { return };
        assert_eq!(*ours, socket);
        let mut room = [0; 4096];
        let mut slot = FrameSlot::new(&mut room);
        match stream.decode(self.now, kind, &mut bytes, &mut slot).unwrap() {
            StreamEvent::Audio { .. } => {
                let audio = slot.filled().to_vec();
                self.heard.extend(audio);
            }
            StreamEvent::Mark(name) => self.marks.push(name.to_owned()),
            StreamEvent::Dtmf { digit, .. } => self.keys.push(digit),
            _ => {}
        }
    }

    fn say(&mut self, write: impl FnOnce(&mut dyn Stream, &mut Vec<u8>)) {
        let (socket, stream) = self.socket.as_mut().unwrap();
        let (socket, mut out) = (*socket, Vec::new());
        write(stream.as_mut(), &mut out);
        let input = SocketInput::Message(MessageKind::Text, &out);
        self.carrier.socket(self.clock(), socket, input);
        self.settle();
    }

    fn speak(&mut self, audio: &[u8]) {
        for frame in audio.chunks(160) {
            self.say(|stream, out| {
                stream.encode(frame, out);
            });
        }
    }

    fn mark(&mut self, name: &str) {
        self.say(|stream, out| {
            stream.command(StreamCommand::Mark(name), out);
        });
    }

    fn run<T>(&mut self, op: OpResult<T>) -> Result<T, CarrierError> {
        let (mut op, mut last) = (op?, None);
        loop {
            match op.next(last.take()) {
                Step::Send(request) => {
                    last = self.carrier.rest(self.clock(), &request);
                    self.settle();
                }
                Step::Done(done) => return Ok(done),
                Step::Fail(error) => return Err(error),
            }
        }
    }

    fn inbound(&mut self) -> String {
        self.command(Command::Call { from: PERSON.to_owned(), to: NUMBER.to_owned() });
        self.id()
    }

    fn originate(&mut self) -> Result<CarrierCallId, CarrierError> {
        let call = Originate {
            to: Address::parse(PERSON, None).unwrap(),
            from: Address::parse(NUMBER, None).ok(),
            stream_url: STREAM_URL.to_owned(),
            hooks: hooks(),
            ring_timeout_s: 20,
            max_duration_s: 600,
            detect_machine: true,
            extra: Vec::new(),
        };
        let op = (SPEC.calls.originate.unwrap())(&self.config, &call);
        self.run(op).map(|placed| placed.call)
    }

    fn has(&self, state: TransferState) -> bool {
        let is =
            |fact: &CallFact| matches!(fact, CallFact::Transfer { state: it, .. } if *it == state);
        self.facts.iter().any(is)
    }

    fn transfer(&mut self, kind: TransferKind, call: &str) -> Transfer {
        let transfer = Transfer {
            id: "t-1".to_owned(),
            kind,
            call: CarrierCallId(call.to_owned()),
            to: Address::parse("+15558889999", None).unwrap(),
            from: Address::parse(NUMBER, None).ok(),
            hooks: hooks(),
            ring_timeout_s: 20,
        };
        let op = (SPEC.calls.transfer.unwrap())(&self.config, &transfer);
        self.run(op).unwrap();
        transfer
    }

    /// The call that was last offered or rings.
    fn id(&self) -> String {
        let of = |told: &Told| match told {
            Told::Offered { call } | Told::Rings { call, .. } => Some(call.clone()),
            _ => None,
        };
        self.told.iter().rev().find_map(of).unwrap()
    }

    fn person_heard(&self) -> Vec<u8> {
        let heard = self.told.iter().filter_map(|told| match told {
            Told::Heard { audio, .. } => Some(audio.clone()),
            _ => None,
        });
        heard.flatten().collect()
    }

    fn assert_no_complaint(&self) {
        let complaint = self.told.iter().find(|told| matches!(told, Told::Complaint { .. }));
        assert_eq!(complaint, None);
    }

    fn cause(&self) -> Option<HangupCause> {
        self.facts.iter().find_map(|fact| match fact {
            CallFact::Ended(ended) => Some(ended.cause),
            _ => None,
        })
    }
}

fn hooks() -> HookUrls {
    HookUrls::new("https://t.example", "twilio", "tok").of_call("call-1")
}

fn tone(frames: usize) -> Vec<u8> {
    (0..frames * 160).map(|index| (index * 7 % 251) as u8).collect()
}

/// A person calls: every byte arrives both ways, keys too; marks come back when they are reached,
/// and with a clear, which also silences; hanging up ends it.
#[test]
fn a_person_calls() {
    let mut world = World::new(&[]);
    let call = world.inbound();
    assert!(world.told.contains(&Told::Streaming { call: call.clone() }), "{:?}", world.told);
    let spoken = tone(10);
    world.command(Command::Speak { call: call.clone(), audio: spoken.clone() });
    world.speak(&tone(5));
    world.mark("one");
    world.wait(Duration::from_millis(90));
    assert!(world.marks.is_empty(), "it is still being played");
    world.wait(Duration::from_millis(210));
    assert_eq!(world.marks, ["one"]);
    assert_eq!(world.person_heard(), tone(5));
    assert!(world.heard.windows(spoken.len()).any(|part| part == spoken));
    world.mark("empty");
    assert_eq!(world.marks, ["one", "empty"], "at once when nothing is queued");
    world.speak(&tone(50));
    world.mark("never reached");
    world.wait(Duration::from_millis(100));
    world.say(|stream, out| {
        stream.command(StreamCommand::Clear, out);
    });
    world.wait(Duration::from_millis(500));
    assert_eq!(world.marks.last().unwrap(), "never reached");
    assert!(world.person_heard().len() <= (5 + 6) * 160);
    world.command(Command::Press { call: call.clone(), digit: '#' });
    assert_eq!(world.keys, "#");
    world.command(Command::Hangup(call));
    assert_eq!(world.cause(), Some(HangupCause::Normal));
    assert!(world.socket.is_none());
    world.assert_no_complaint();
}

/// A refused call is never answered; a text is said only if there is one.
#[test]
fn calls_are_refused() {
    for refusal in Refusal::ALL {
        let mut world = World::new(&[]);
        world.refuses = Some(refusal);
        let call = world.inbound();
        let why = if refusal == Refusal::Busy || refusal == Refusal::Unavailable {
            "busy"
        } else {
            "no-answer"
        };
        assert!(world.told.contains(&Told::Ended { call: call.clone(), why: why.into() }));
        assert!(!world.told.contains(&Told::Answered { call }));
        world.assert_no_complaint();
    }
}

/// The server calls: it rings, is answered, the machine is told, audio flows, and it is hung up by
/// the API, once and again.
#[test]
fn the_server_calls() {
    let mut world = World::new(&["machine=machine_start"]);
    let call = world.originate().unwrap();
    assert_eq!(world.id(), call.0);
    world.command(Command::Answer(call.0.clone()));
    assert_eq!(world.sockets, 1);
    let hangup = SPEC.calls.hangup.unwrap();
    for _ in 0..2 {
        let op = hangup(&world.config, &call);
        assert_eq!(world.run(op), Ok(()));
    }
    let words: Vec<_> =
        world.facts.iter().map(|fact| serde_json::to_value(fact).unwrap()).collect();
    let words: Vec<_> = words.iter().map(|fact| fact["event"].as_str().unwrap()).collect();
    let order = ["initiated", "ringing", "answered", "answered_by", "stream_started"];
    assert_eq!(words[..5], order, "{words:?}");
    assert_eq!(world.cause(), Some(HangupCause::Normal));
    let op = (SPEC.calls.status.unwrap())(&world.config, &call);
    assert!(matches!(world.run(op).unwrap().last().unwrap().what, CallFact::Ended(_)));
    world.assert_no_complaint();
}

/// Who does not answer, is busy, or declines.
#[test]
fn nobody_answers() {
    for (command, cause) in [
        (None, HangupCause::NoAnswer),
        (Some(Command::Busy as fn(String) -> Command), HangupCause::Busy),
        (Some(Command::Decline), HangupCause::Rejected),
    ] {
        let mut world = World::new(&[]);
        let call = world.originate().unwrap();
        match command {
            Some(command) => world.command(command(call.0)),
            None => world.wait(Duration::from_secs(21)),
        }
        assert_eq!((world.cause(), world.sockets), (Some(cause), 0));
    }
    let mut world = World::new(&[]);
    let call = world.originate().unwrap();
    let op = (SPEC.calls.hangup.unwrap())(&world.config, &call);
    assert_eq!(world.run(op), Ok(()));
    assert_eq!(world.cause(), Some(HangupCause::Cancelled));
}

/// Handed over: nobody answers, and the caller is back with the agent over a new stream; somebody
/// answers, and the agent is out of it.
#[test]
fn a_call_is_handed_over() {
    for answers in [false, true] {
        let mut world = World::new(&[]);
        let call = world.inbound();
        world.transfer(TransferKind::Blind, &call);
        let leg = world.id();
        assert!(leg != call && world.socket.is_none());
        if answers {
            world.command(Command::Answer(leg.clone()));
            world.command(Command::Hangup(leg));
        } else {
            world.wait(Duration::from_secs(21));
        }
        let last = if answers { TransferState::Done } else { TransferState::Failed };
        assert!(world.has(last), "{:?}", world.facts);
        assert_eq!(world.has(TransferState::Answered), answers);
        assert_eq!(world.sockets, if answers { 1 } else { 2 });
        assert_eq!(world.cause().is_some(), answers, "{:?}", world.facts);
        world.assert_no_complaint();
    }
}

/// Attended: the destination answers while the caller still talks to the agent; then the two meet.
#[test]
fn a_call_is_handed_over_attended() {
    let mut world = World::new(&[]);
    let call = world.inbound();
    let transfer = world.transfer(TransferKind::Attended, &call);
    assert!(world.socket.is_some());
    let leg = world.id();
    world.command(Command::Answer(leg.clone()));
    assert!(world.has(TransferState::Answered), "{:?}", world.facts);
    let op = (SPEC.calls.join.unwrap())(&world.config, &transfer);
    world.run(op).unwrap();
    let rooms: Vec<_> = world
        .told
        .iter()
        .filter_map(|told| match told {
            Told::HandedOver { call, to } => Some((call.clone(), to.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(rooms.len(), 2, "{rooms:?}");
    assert_eq!(rooms[0].1, rooms[1].1);
    assert!(world.socket.is_none());
    world.command(Command::Hangup(leg));
    assert_eq!(world.cause(), Some(HangupCause::Normal));
    world.assert_no_complaint();
}

/// A stream that is cut off is opened again while the call is wanted, and ends the call otherwise;
/// so does a server that closes it.
#[test]
fn streams_are_lost() {
    for wanted in [true, false] {
        let mut world = World::new(&["cut=500"]);
        world.inbound();
        world.wanted = wanted;
        world.wait(Duration::from_millis(600));
        assert_eq!(world.sockets, if wanted { 2 } else { 1 });
        assert_eq!(world.cause().is_some(), !wanted, "{:?}", world.facts);
        let lost = CallFact::StreamFailed { code: Some("31924".to_owned()) };
        assert!(world.facts.contains(&lost));
    }
    let mut world = World::new(&[]);
    world.inbound();
    world.wanted = false;
    let (socket, _) = world.socket.take().unwrap();
    world.carrier.socket(world.clock(), socket, SocketInput::Closed(Some(1000)));
    world.settle();
    assert_eq!(world.cause(), Some(HangupCause::Normal));
}

/// Quirks of the stream and of webhooks: bursts, odd frames, late and lost marks, A-law, doubled
/// and lost webhooks.
#[test]
fn quirks() {
    for quirk in ["burst=5", "frame=80", "frame=400", "hooks-twice", "hooks-swapped"] {
        let mut world = World::new(&[quirk]);
        let call = world.inbound();
        world.command(Command::Speak { call: call.clone(), audio: tone(10) });
        world.wait(Duration::from_secs(1));
        assert!(world.heard.windows(1600).any(|part| part == tone(10)), "{quirk}");
        world.command(Command::Hangup(call));
        assert_eq!(world.cause(), Some(HangupCause::Normal), "{quirk}");
        world.assert_no_complaint();
    }
    for (quirk, first, later) in [("mark-delay=300", 0, 1), ("marks-lost", 0, 0)] {
        let mut world = World::new(&[quirk]);
        world.inbound();
        world.mark("m");
        world.wait(Duration::from_millis(200));
        assert_eq!(world.marks.len(), first, "{quirk}");
        world.wait(Duration::from_millis(200));
        assert_eq!(world.marks.len(), later, "{quirk}");
    }
    let mut world = World::new(&["hooks-lost"]);
    let call = world.inbound();
    world.command(Command::Hangup(call));
    assert_eq!(world.cause(), None, "only the socket tells");
    assert!(world.socket.is_none());
}

/// Faults of the API are told apart; what the server says wrong is complained about.
#[test]
fn faults_and_complaints() {
    for (fault, error) in [
        ("fail=originate:503", CarrierError::Unavailable),
        ("fail=originate:429", CarrierError::TooMany { retry_after_s: None }),
        ("fail=originate:silent", CarrierError::Unavailable),
        ("fail=originate:lost", CarrierError::Unavailable),
        ("fail=originate:malformed", CarrierError::Answer("not JSON")),
    ] {
        let mut world = World::new(&[fault]);
        assert_eq!(world.originate(), Err(error), "{fault}");
        // What was carried out all the same is told by its webhooks.
        let rings = world.told.iter().any(|told| matches!(told, Told::Rings { .. }));
        assert_eq!(rings, fault.ends_with("silent"));
        assert_eq!(world.facts.contains(&CallFact::Ringing), rings);
        assert!(world.originate().is_ok(), "once");
    }
    let mut world = World::new(&[]);
    world.config =
        SPEC.read(&json!({"account_sid": super::ACCOUNT, "auth_token": "wrong"}), None).unwrap();
    assert!(world.originate().is_err());
    for said in ["x", "{}", r#"{"event":"media","streamSid":"MZ0","media":{"payload":""}}"#] {
        let mut world = World::new(&[]);
        world.inbound();
        let socket = world.socket.as_ref().unwrap().0;
        let text = Bytes::from_static(said.as_bytes());
        let input = SocketInput::Message(MessageKind::Text, &text);
        world.carrier.socket(world.clock(), socket, input);
        world.settle();
        assert!(world.told.iter().any(|told| matches!(told, Told::Complaint { .. })), "{said}");
    }
}
