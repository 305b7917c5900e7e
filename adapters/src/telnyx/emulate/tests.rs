//! The emulator against the adapter: what one says the other understands, although they share no
//! code.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use media::time::MonoTime;
use serde_json::{Value, json};

use super::EMULATOR;
use crate::address::Address;
use crate::agent::{Direction, MessageKind};
use crate::config::RawConfig;
use crate::emulate::{Clock, Command, Emulator, EmulatorStart, Output, Quirks, SocketInput, Told};
use crate::event::{CallEvent, CallFact, CarrierCallId, HangupCause, Meaning, TransferState};
use crate::exchange::{CarrierError, HttpResponse};
use crate::flow::{CallFlow, FlowCommand, FlowInput, FlowOutput, FlowStart};
use crate::hook::{HookRequest, HookUrls};
use crate::op::{Op, OpResult, Originate, Step, Transfer, TransferKind};
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};

use super::super::SPEC;

const STREAM: &str = "wss://t.example/s";

/// A server that does what it should, as far as the adapter says.
struct Bench {
    carrier: Box<dyn Emulator>,
    config: RawConfig,
    now: MonoTime,
    flow: Option<Box<dyn CallFlow>>,
    stream: Option<Box<dyn Stream>>,
    socket: u32,
    facts: Vec<CallEvent>,
    offered: Option<CarrierCallId>,
    told: Vec<Told>,
    events: Vec<String>,
    audio: Vec<u8>,
}

impl Bench {
    fn new(quirks: &[&str]) -> Self {
        let config = SPEC.read(&(EMULATOR.config)("http://127.0.0.1:1"), None).unwrap();
        let mut set = Quirks::default();
        for quirk in quirks {
            set.set(quirk).unwrap();
        }
        let carrier = (EMULATOR.open)(EmulatorStart {
            config: config.clone(),
            numbers: vec!["+14155550199".to_owned()],
            voice_url: Some("https://t.example/api/v1/telephony/telnyx/events/tok".to_owned()),
            seed: 7,
            quirks: set,
        });
        Self {
            carrier,
            config,
            now: MonoTime::ZERO,
            flow: None,
            stream: None,
            socket: 0,
            facts: Vec::new(),
            offered: None,
            told: Vec::new(),
            events: Vec::new(),
            audio: Vec::new(),
        }
    }

    fn clock(&self) -> Clock {
        Clock { now: self.now, unix_ms: 1_767_225_600_000 + self.now.as_nanos() / 1_000_000 }
    }

    fn settle(&mut self) {
        while let Some(output) = self.carrier.poll() {
            match output {
                Output::Hook { hook, request } => {
                    let (method, clock) = (Method::POST, self.clock());
                    let request = HookRequest {
                        method: &method,
                        url: &request.url,
                        headers: &request.headers,
                        body: &request.body,
                        unix_s: clock.unix_ms / 1000,
                    };
                    let hook_of = SPEC.hooks[0];
                    assert_eq!((hook_of.verify)(&request, &self.config), Ok(()));
                    let handled = (hook_of.handle)(&request, &self.config).unwrap();
                    let (status, headers) = (handled.reply.status, http::HeaderMap::new());
                    let answer = HttpResponse { status, headers, body: Bytes::new() };
                    self.carrier.answered(clock, hook, Some(answer));
                    self.mean(handled.meaning);
                }
                Output::Open { socket, request } => {
                    assert_eq!(request.url, STREAM);
                    self.socket = socket;
                    let start = StreamStart { config: self.config.clone(), call: None };
                    self.stream = Some((SPEC.stream.unwrap())(&start));
                    let clock = self.clock();
                    self.carrier.socket(clock, socket, SocketInput::Opened);
                }
                Output::Message { socket, kind, mut bytes } if socket == self.socket => {
                    let Some(stream) = &mut self.stream else { continue };
                    let mut room = [0; 4096];
                    let mut slot = FrameSlot::new(&mut room);
                    let event = stream.decode(self.now, kind, &mut bytes, &mut slot).unwrap();
                    match event {
                        StreamEvent::Audio { .. } => self.audio.extend_from_slice(slot.filled()),
                        StreamEvent::Nothing => {}
                        other => self.events.push(format!("{other:?}")),
                    }
                }
                Output::Message { .. } => {}
                Output::Close { .. } | Output::Cut { .. } => self.stream = None,
                Output::Told(told) => self.told.push(told),
            }
        }
    }

    fn mean(&mut self, meaning: Meaning) {
        match meaning {
            Meaning::Offered(call) => self.offered = Some(call.call),
            Meaning::Events(events) => {
                for event in events {
                    if let Some(flow) = &mut self.flow {
                        flow.handle(self.now, FlowInput::Event(&event));
                    }
                    self.facts.push(event);
                }
            }
            Meaning::Asked { .. } => panic!("this carrier asks nothing"),
        }
        self.pump();
    }

    /// Does what the flow wants.
    fn pump(&mut self) {
        while let Some(output) = self.flow.as_mut().and_then(|flow| flow.poll()) {
            if let FlowOutput::Send { request, what } = output {
                let answer = self.carrier.rest(self.clock(), &what);
                let result = answer.ok_or(CarrierError::Unavailable);
                let flow = self.flow.as_mut().unwrap();
                flow.handle(self.now, FlowInput::Answer { request, result });
            }
        }
    }

    fn wish(&mut self, command: FlowCommand) {
        self.flow.as_mut().unwrap().handle(self.now, FlowInput::Command(command));
        self.pump();
        self.settle();
    }

    fn person(&mut self, command: Command) {
        self.carrier.command(self.clock(), command);
        self.settle();
    }

    fn pass(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while let Some(at) = self.carrier.deadline().filter(|at| *at <= until) {
            self.now = at.max(self.now);
            self.carrier.timeout(self.clock());
            self.settle();
        }
        self.now = until;
    }

    fn begin(&mut self, direction: Direction, call: &CarrierCallId) {
        self.flow = Some((SPEC.flow.unwrap())(FlowStart {
            config: self.config.clone(),
            direction,
            call: Some(call.clone()),
            to: Address::parse("+14155550199", None).unwrap(),
            from: None,
            stream_url: STREAM.to_owned(),
            hooks: HookUrls::new("https://t.example", "telnyx", "tok").of_call("c1"),
        }));
    }

    fn run<T>(&mut self, op: OpResult<T>) -> Result<T, CarrierError> {
        let mut op: Box<dyn Op<T>> = op?;
        let mut last = None;
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

    fn inbound(quirks: &[&str]) -> (Self, String) {
        let mut bench = Self::new(quirks);
        let (from, to) = ("+442079460000".to_owned(), "+14155550199".to_owned());
        bench.person(Command::Call { from, to });
        let call = bench.offered.clone().unwrap();
        bench.begin(Direction::Inbound, &call);
        (bench, call.0)
    }

    fn dial(&mut self) -> Result<String, CarrierError> {
        let originate = Originate {
            to: Address::parse("+14155550100", None).unwrap(),
            from: Address::parse("+14155550199", None).ok(),
            stream_url: STREAM.to_owned(),
            hooks: HookUrls::new("https://t.example", "telnyx", "tok").of_call("c1"),
            ring_timeout_s: 20,
            max_duration_s: 600,
            detect_machine: true,
            extra: Vec::new(),
        };
        let config = self.config.clone();
        let placed = self.run(SPEC.calls.originate.unwrap()(&config, &originate))?;
        self.begin(Direction::Outbound, &placed.call);
        Ok(placed.call.0)
    }

    fn say(&mut self, command: StreamCommand<'_>) {
        let mut out = Vec::new();
        self.stream.as_mut().unwrap().command(command, &mut out).unwrap();
        let (clock, socket) = (self.clock(), self.socket);
        self.carrier.socket(clock, socket, SocketInput::Message(MessageKind::Text, &out));
        self.settle();
    }

    fn play(&mut self, audio: &[u8]) {
        let mut out = Vec::new();
        self.stream.as_mut().unwrap().encode(audio, &mut out);
        let (clock, socket) = (self.clock(), self.socket);
        self.carrier.socket(clock, socket, SocketInput::Message(MessageKind::Text, &out));
        self.settle();
    }

    fn heard(&self) -> Vec<u8> {
        let heard = self.told.iter().filter_map(|told| match told {
            Told::Heard { audio, .. } => Some(audio.clone()),
            _ => None,
        });
        heard.flatten().collect()
    }

    fn ended(&self) -> Vec<HangupCause> {
        let ends = self.facts.iter().filter_map(|fact| match &fact.what {
            CallFact::Ended(ended) => Some(ended.cause),
            _ => None,
        });
        ends.collect()
    }

    fn complaints(&self) -> Vec<&Told> {
        self.told.iter().filter(|told| matches!(told, Told::Complaint { .. })).collect()
    }
}

/// An inbound call: offered, answered, audio unchanged both ways, marks when they are reached, a
/// clear that brings the rest back, keys, the end.
#[test]
fn an_inbound_call() {
    let (mut bench, call) = Bench::inbound(&[]);
    bench.wish(FlowCommand::Answer);
    assert!(bench.events[0].starts_with("Started"), "{:?}", bench.events);
    let speech: Vec<u8> = (0..1600_u32).map(|i| (i % 251) as u8).collect();
    bench.person(Command::Speak { call: call.clone(), audio: speech.clone() });
    bench.pass(200);
    assert!(bench.audio.starts_with(&speech));
    let words: Vec<u8> = (0..320_u32).map(|i| (i % 239) as u8).collect();
    bench.play(&words);
    bench.say(StreamCommand::Mark("m1"));
    bench.pass(100);
    assert_eq!(bench.heard(), words);
    assert_eq!(bench.events.last().map(String::as_str), Some("Mark(\"m1\")"));
    bench.play(&[1; 8000]);
    bench.say(StreamCommand::Mark("m2"));
    bench.pass(60);
    let before = bench.heard().len();
    bench.say(StreamCommand::Clear);
    assert_eq!(bench.events.last().map(String::as_str), Some("Mark(\"m2\")"));
    bench.pass(200);
    assert_eq!(bench.heard().len(), before, "nothing stale is played");
    bench.person(Command::Press { call: call.clone(), digit: '5' });
    assert!(bench.events.last().unwrap().contains("'5'"));
    bench.wish(FlowCommand::Dtmf(crate::secret::Pii::new("12#")));
    assert!(
        bench.told.iter().any(|told| matches!(told, Told::Keys { digits, .. } if digits == "12#"))
    );
    bench.person(Command::Hangup(call));
    assert_eq!(bench.ended(), [HangupCause::Unknown], "whether it was answered other facts say");
    assert!(bench.facts.iter().any(|fact| fact.what == CallFact::Answered));
    assert!(bench.events.iter().any(|event| event.starts_with("Stopped")));
    assert_eq!(bench.complaints(), Vec::<&Told>::new());
}

/// Outbound calls end by every cause with the right one; a machine is told.
#[test]
fn outbound_calls() {
    let mut bench = Bench::new(&["answer=300", "machine=machine"]);
    let call = bench.dial().unwrap();
    bench.pass(400);
    assert!(bench.events[0].starts_with("Started"));
    let who = |fact: &CallEvent| matches!(fact.what, CallFact::AnsweredBy { .. });
    assert!(bench.facts.iter().any(who));
    bench.wish(FlowCommand::Hangup);
    assert_eq!(bench.ended(), [HangupCause::Normal]);
    assert!(bench.told.iter().any(|told| matches!(told, Told::Ended { .. })) && !call.is_empty());
    for (command, cause) in [
        (Command::Busy as fn(String) -> Command, HangupCause::Busy),
        (Command::Decline, HangupCause::Rejected),
    ] {
        let mut bench = Bench::new(&[]);
        let call = bench.dial().unwrap();
        bench.person(command(call));
        assert_eq!(bench.ended(), [cause]);
    }
    let mut bench = Bench::new(&[]);
    bench.dial().unwrap();
    bench.pass(21_000);
    assert_eq!(bench.ended(), [HangupCause::NoAnswer]);
}

/// A refused call ends with the word that it was refused with.
#[test]
fn refused_calls() {
    let (mut bench, _) = Bench::inbound(&[]);
    bench.wish(FlowCommand::Refuse(crate::op::Refusal::Busy));
    assert_eq!(bench.ended(), [HangupCause::Busy]);
    assert!(bench.stream.is_none());
}

/// A transfer is told step by step of the caller's leg, and its failure leaves the caller there.
#[test]
fn transfers() {
    for (answers, expected) in [
        (true, vec![TransferState::Trying, TransferState::Answered, TransferState::Done]),
        (false, vec![TransferState::Trying, TransferState::Failed]),
    ] {
        let (mut bench, call) = Bench::inbound(&[]);
        bench.wish(FlowCommand::Answer);
        bench.wish(FlowCommand::Transfer {
            kind: TransferKind::Blind,
            to: Address::parse("+14155550177", None).unwrap(),
            from: None,
            ring_timeout_s: 20,
        });
        let rings = bench.told.iter().find_map(|told| match told {
            Told::Rings { call, .. } => Some(call.clone()),
            _ => None,
        });
        let leg = rings.unwrap();
        bench.person(if answers { Command::Answer(leg) } else { Command::Busy(leg) });
        let states: Vec<_> = bench
            .facts
            .iter()
            .filter_map(|fact| match fact.what {
                CallFact::Transfer { state, .. } if fact.call.0 == call => Some(state),
                _ => None,
            })
            .collect();
        assert_eq!(states, expected);
        assert_eq!(bench.ended(), [], "the caller is still there");
    }
}

/// An attended transfer joins the two legs once the destination answered.
#[test]
fn attended_transfers() {
    let (mut bench, call) = Bench::inbound(&["answer=100"]);
    bench.wish(FlowCommand::Answer);
    let transfer = Transfer {
        id: "t-1".to_owned(),
        kind: TransferKind::Attended,
        call: CarrierCallId(call.clone()),
        to: Address::parse("+14155550177", None).unwrap(),
        from: Address::parse("+14155550199", None).ok(),
        hooks: HookUrls::new("https://t.example", "telnyx", "tok").of_call("c1"),
        ring_timeout_s: 20,
    };
    let config = bench.config.clone();
    bench.run(SPEC.calls.transfer.unwrap()(&config, &transfer)).unwrap();
    bench.pass(200);
    bench.run(SPEC.calls.join.unwrap()(&config, &transfer)).unwrap();
    let over = |told: &Told| matches!(told, Told::HandedOver { call: of, .. } if *of == call);
    assert!(bench.told.iter().any(over), "{:?}", bench.told);
}

/// A socket that is lost is told, and the stream is opened again where the server wants it.
#[test]
fn lost_sockets_are_opened_again() {
    let (mut bench, call) = Bench::inbound(&[]);
    bench.wish(FlowCommand::Answer);
    bench.person(Command::Drop(call));
    let failed = |fact: &CallEvent| matches!(fact.what, CallFact::StreamFailed { .. });
    assert!(bench.facts.iter().any(failed));
    bench.wish(FlowCommand::Restream(STREAM.to_owned()));
    assert!(bench.stream.is_some());
    assert_eq!(bench.events.iter().filter(|event| event.starts_with("Started")).count(), 2);
}

/// Each fault of the API is met by an error of its kind, and ends what it has to end.
#[test]
fn faults_of_the_api() {
    for (fault, word) in [
        ("fail=originate:503", "unavailable"),
        ("fail=originate:401", "credentials"),
        ("fail=originate:429", "too_many"),
        ("fail=originate:403", "not_permitted"),
        ("fail=originate:malformed", "answer"),
        ("fail=originate:lost", "unavailable"),
    ] {
        let mut bench = Bench::new(&[fault]);
        assert_eq!(bench.dial().unwrap_err().as_str(), word, "{fault}");
    }
    for fault in ["fail=answer:503", "fail=answer:lost", "fail=answer:malformed"] {
        let (mut bench, _) = Bench::inbound(&[fault]);
        bench.wish(FlowCommand::Answer);
        bench.wish(FlowCommand::Hangup);
        assert_eq!(bench.ended().len(), 1, "{fault}");
    }
}

/// Webhooks twice, swapped and unanswered change nothing but their number; A-law, bursts and odd
/// frames are understood.
#[test]
fn quirks() {
    let (mut bench, call) =
        Bench::inbound(&["hooks-twice", "hooks-swapped", "alaw", "burst=3", "frame=80"]);
    bench.wish(FlowCommand::Answer);
    bench.pass(300);
    assert!(
        bench.events[0].contains("from_carrier: AudioFormat { codec: Pcma"),
        "{:?}",
        bench.events
    );
    assert!(bench.audio.len() >= 1600 && bench.audio.iter().all(|byte| *byte == 0xd5));
    bench.person(Command::Hangup(call));
    bench.pass(1000);
    assert!(!bench.ended().is_empty());
    let mut bench = Bench::new(&[]);
    let (from, to) = ("+442079460000".to_owned(), "+14155550199".to_owned());
    let clock = bench.clock();
    bench.carrier.command(clock, Command::Call { from, to });
    let Some(Output::Hook { hook, .. }) = bench.carrier.poll() else { panic!("no webhook") };
    bench.carrier.answered(clock, hook, None);
    while bench.carrier.poll().is_some() {}
    bench.pass(1100);
    assert!(bench.offered.is_some(), "it was sent again");
}

/// What a real carrier would complain about is told: audio too short, nonsense, a wrong key.
#[test]
fn complaints() {
    let (mut bench, _) = Bench::inbound(&[]);
    bench.wish(FlowCommand::Answer);
    bench.play(&[0; 80]);
    let (clock, socket) = (bench.clock(), bench.socket);
    bench.carrier.socket(clock, socket, SocketInput::Message(MessageKind::Binary, b"x"));
    bench.settle();
    assert_eq!(bench.complaints().len(), 2);
    let mut stored = bench.config.expose().clone();
    stored.insert("api_key".to_owned(), json!("KEY_OTHER"));
    let other = RawConfig::from_stored(Value::Object(stored)).unwrap();
    let refused = bench.run(SPEC.calls.test.unwrap()(&other));
    assert_eq!(refused, Err(CarrierError::Credentials));
}
