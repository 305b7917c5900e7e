//! The emulator against the adapter: what one says the other understands, although they share no
//! code.

use std::time::Duration;

use http::Method;
use media::time::MonoTime;

use super::super::SPEC;
use super::EMULATOR;
use crate::address::Address;
use crate::agent::MessageKind;
use crate::config::RawConfig;
use crate::emulate::{Clock, Command, Emulator, EmulatorStart, Output, Quirks, SocketInput, Told};
use crate::event::{CallEvent, CallFact, CarrierCallId, HangupCause, Meaning, TransferState};
use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::hook::{HookReply, HookRequest, HookUrls, Take};
use crate::op::{Bind, Op, OpResult, Originate, Refusal, SendDigits, Step, Transfer, TransferKind};
use crate::secret::Pii;
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};

const STREAM: &str = "wss://t.example/s?a=1&b=2";

fn hooks() -> HookUrls {
    HookUrls::new("https://t.example", "plivo", "tok")
}

/// A server that does what it should, as far as the adapter says.
struct Bench {
    carrier: Box<dyn Emulator>,
    config: RawConfig,
    now: MonoTime,
    /// What becomes of an offered call.
    refusal: Option<Refusal>,
    stream: Option<Box<dyn Stream>>,
    socket: u32,
    facts: Vec<CallEvent>,
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
            numbers: vec!["+12025550100".to_owned()],
            voice_url: Some(hooks().url("answer")),
            seed: 7,
            quirks: set,
        });
        Self {
            carrier,
            config,
            now: MonoTime::ZERO,
            refusal: None,
            stream: None,
            socket: 0,
            facts: Vec::new(),
            told: Vec::new(),
            events: Vec::new(),
            audio: Vec::new(),
        }
    }

    fn clock(&self) -> Clock {
        Clock { now: self.now, unix_ms: 1_772_600_767_000 + self.now.as_nanos() / 1_000_000 }
    }

    fn hook(&mut self, request: &HttpRequest) -> HookReply {
        let name = request.url.split('/').nth(7).unwrap().to_owned();
        let hook = SPEC.hook(&name).unwrap();
        let request = HookRequest {
            method: &Method::POST,
            url: &request.url,
            headers: &request.headers,
            body: &request.body,
            unix_s: self.clock().unix_ms / 1000,
        };
        assert_eq!((hook.verify)(&request, &self.config), Ok(()), "{}", request.url);
        let handled = (hook.handle)(&request, &self.config).unwrap();
        let inbound = SPEC.inbound.unwrap();
        let take = Take { stream_url: STREAM.to_owned(), hooks: hooks().of_call("c1") };
        match handled.meaning {
            Meaning::Offered(_) => match self.refusal {
                Some(refusal) => (inbound.refuse)(&self.config, refusal),
                None => (inbound.answer)(&self.config, &take).unwrap(),
            },
            Meaning::Asked { events, .. } => {
                self.facts.extend(events);
                (inbound.answer)(&self.config, &take).unwrap()
            }
            Meaning::Events(events) => {
                self.facts.extend(events);
                handled.reply
            }
        }
    }

    /// A media socket is opened with the signature that the configuration demands.
    fn opens(&self, request: &HttpRequest) {
        let upgrade = HookRequest {
            method: &Method::GET,
            url: &request.url,
            headers: &request.headers,
            body: b"",
            unix_s: self.clock().unix_ms / 1000,
        };
        assert_eq!((SPEC.verify_socket.unwrap())(&upgrade, &self.config), Ok(()));
        let none = http::HeaderMap::new();
        let unsigned = HookRequest { headers: &none, ..upgrade };
        assert!((SPEC.verify_socket.unwrap())(&unsigned, &self.config).is_err());
    }

    fn settle(&mut self) {
        while let Some(output) = self.carrier.poll() {
            match output {
                Output::Hook { hook, request } => {
                    let HookReply { status, body, .. } = self.hook(&request);
                    let headers = http::HeaderMap::new();
                    let answer = HttpResponse { status, headers, body };
                    self.carrier.answered(self.clock(), hook, Some(answer));
                }
                Output::Open { socket, request } => {
                    assert_eq!(request.url, STREAM);
                    self.opens(&request);
                    self.socket = socket;
                    let start = StreamStart { config: self.config.clone(), call: None };
                    self.stream = Some((SPEC.stream.unwrap())(&start));
                    self.carrier.socket(self.clock(), socket, SocketInput::Opened);
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
                Output::Close { socket, .. } | Output::Cut { socket } if socket == self.socket => {
                    self.stream = None;
                }
                Output::Close { .. } | Output::Cut { .. } => {}
                Output::Told(told) => self.told.push(told),
            }
        }
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

    fn ring_in(&mut self) -> String {
        let (from, to) = ("+12025550143".to_owned(), "+12025550100".to_owned());
        self.person(Command::Call { from, to });
        let offered = self.told.iter().find_map(|told| match told {
            Told::Offered { call } => Some(call.clone()),
            _ => None,
        });
        offered.unwrap()
    }

    fn inbound(quirks: &[&str]) -> (Self, String) {
        let mut bench = Self::new(quirks);
        let call = bench.ring_in();
        (bench, call)
    }

    fn dial(&mut self) -> Result<String, CarrierError> {
        let originate = Originate {
            to: Address::parse("+12025550143", None).unwrap(),
            from: Address::parse("+12025550100", None).ok(),
            stream_url: STREAM.to_owned(),
            hooks: hooks().of_call("c1"),
            ring_timeout_s: 20,
            max_duration_s: 600,
            detect_machine: true,
        };
        let config = self.config.clone();
        let placed = self.run(SPEC.calls.originate.unwrap()(&config, &originate))?;
        Ok(placed.call.0)
    }

    fn send(&mut self, make: impl FnOnce(&mut dyn Stream, &mut Vec<u8>)) {
        let mut out = Vec::new();
        make(self.stream.as_mut().unwrap().as_mut(), &mut out);
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

    fn transfers(&self) -> Vec<TransferState> {
        let states = self.facts.iter().filter_map(|fact| match fact.what {
            CallFact::Transfer { state } => Some(state),
            _ => None,
        });
        states.collect()
    }

    fn complaints(&self) -> Vec<&Told> {
        self.told.iter().filter(|told| matches!(told, Told::Complaint { .. })).collect()
    }
}

/// An inbound call: offered, taken, audio unchanged both ways, checkpoints when they are reached, a
/// clear that drops them with the rest, keys both ways, the end with its price.
#[test]
fn an_inbound_call() {
    let (mut bench, call) = Bench::inbound(&[]);
    assert!(bench.events[0].starts_with("Started"), "{:?}", bench.told);
    let speech: Vec<u8> = (0..1600_u32).map(|i| (i % 251) as u8).collect();
    bench.person(Command::Speak { call: call.clone(), audio: speech.clone() });
    bench.pass(200);
    assert!(bench.audio.starts_with(&speech));
    let words: Vec<u8> = (0..320_u32).map(|i| (i % 239) as u8).collect();
    bench.send(|stream, out| {
        stream.encode(&words, out);
    });
    bench.send(|stream, out| {
        stream.command(StreamCommand::Mark("m1"), out);
    });
    bench.pass(100);
    assert_eq!(bench.heard(), words);
    assert_eq!(bench.events.last().map(String::as_str), Some("Mark(\"m1\")"));
    bench.send(|stream, out| {
        stream.encode(&[1; 8000], out);
    });
    bench.send(|stream, out| {
        stream.command(StreamCommand::Mark("m2"), out);
    });
    bench.pass(60);
    let before = bench.heard().len();
    bench.send(|stream, out| {
        stream.command(StreamCommand::Clear, out);
    });
    assert_eq!(bench.events.last().map(String::as_str), Some("Cleared"));
    bench.pass(200);
    assert_eq!(bench.heard().len(), before, "nothing stale is played");
    assert!(!bench.events.iter().any(|event| event.contains("m2")));
    bench.person(Command::Press { call: call.clone(), digit: '5' });
    assert!(bench.events.last().unwrap().contains("'5'"));
    bench.send(|stream, out| {
        stream.command(StreamCommand::Dtmf('#'), out);
    });
    let digits = SendDigits { call: CarrierCallId(call.clone()), digits: Pii::new("12") };
    let config = bench.config.clone();
    bench.run(SPEC.calls.dtmf.unwrap()(&config, &digits)).unwrap();
    let keys = bench.told.iter().filter(|told| matches!(told, Told::Keys { .. }));
    assert_eq!(keys.count(), 2);
    bench.person(Command::Hangup(call));
    // The application has no other address for the end.
    assert_eq!(bench.ended(), [HangupCause::Normal]);
    assert!(bench.facts.iter().any(|fact| matches!(fact.what, CallFact::Priced(_))));
    assert_eq!(bench.complaints(), Vec::<&Told>::new());
}

/// Outbound calls end by every cause with the right one, by either side; a machine is told.
#[test]
fn outbound_calls() {
    let mut bench = Bench::new(&["answer=300", "machine=machine"]);
    let call = bench.dial().unwrap();
    bench.pass(400);
    assert!(bench.events[0].starts_with("Started"), "{:?}", bench.told);
    let who = |fact: &CallEvent| matches!(fact.what, CallFact::AnsweredBy { .. });
    assert!(bench.facts.iter().any(who));
    let config = bench.config.clone();
    bench.run(SPEC.calls.hangup.unwrap()(&config, &CarrierCallId(call.clone()))).unwrap();
    assert_eq!(bench.ended(), [HangupCause::Normal]);
    bench.run(SPEC.calls.hangup.unwrap()(&config, &CarrierCallId(call))).unwrap();
    assert_eq!(bench.ended().len(), 1, "what is over needs no ending");
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

/// A refused call is not answered, and ends with what it was refused for.
#[test]
fn refused_calls() {
    for (refusal, why) in [(Refusal::Busy, "Busy Line"), (Refusal::Rejected, "Rejected")] {
        let mut bench = Bench::new(&[]);
        bench.refusal = Some(refusal);
        bench.ring_in();
        assert!(
            bench.told.iter().any(|told| matches!(told, Told::Ended { why: w, .. } if w == why))
        );
        assert!(!bench.told.iter().any(|told| matches!(told, Told::Answered { .. })));
    }
}

fn transfer(kind: TransferKind, call: &str) -> Transfer {
    Transfer {
        kind,
        call: CarrierCallId(call.to_owned()),
        to: Address::parse("+12025550177", None).unwrap(),
        from: Address::parse("+12025550100", None).ok(),
        hooks: hooks().of_call("c1"),
        ring_timeout_s: 20,
    }
}

/// A blind transfer is told step by step; its failure brings the caller back to the agent.
#[test]
fn blind_transfers() {
    for answers in [true, false] {
        let (mut bench, call) = Bench::inbound(&[]);
        let config = bench.config.clone();
        let blind = transfer(TransferKind::Blind, &call);
        bench.run(SPEC.calls.transfer.unwrap()(&config, &blind)).unwrap();
        assert!(bench.stream.is_none(), "the document's stream is over");
        let rings = bench.told.iter().find_map(|told| match told {
            Told::Rings { call, to, .. } => Some((call.clone(), to.clone())),
            _ => None,
        });
        let (leg, to) = rings.unwrap();
        assert_eq!(to, "12025550177");
        if answers {
            bench.person(Command::Answer(leg));
            let states = [TransferState::Trying, TransferState::Answered, TransferState::Done];
            assert_eq!(bench.transfers(), states);
        } else {
            bench.person(Command::Busy(leg));
            assert_eq!(bench.transfers(), [TransferState::Trying, TransferState::Failed]);
            assert!(bench.stream.is_some(), "the caller is back");
        }
        assert_eq!(bench.ended(), []);
    }
}

/// An attended transfer puts both into one room once the destination answered.
#[test]
fn attended_transfers() {
    let (mut bench, call) = Bench::inbound(&["answer=100"]);
    let config = bench.config.clone();
    let attended = transfer(TransferKind::Attended, &call);
    bench.run(SPEC.calls.transfer.unwrap()(&config, &attended)).unwrap();
    bench.pass(200);
    assert!(bench.stream.is_some(), "the caller stays with the agent");
    bench.run(SPEC.calls.join.unwrap()(&config, &attended)).unwrap();
    let states = [TransferState::Trying, TransferState::Answered, TransferState::Done];
    assert_eq!(bench.transfers(), states);
    let rooms: Vec<_> = bench
        .told
        .iter()
        .filter_map(|told| match told {
            Told::HandedOver { to, .. } => Some(to.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(rooms.len(), 2);
    assert_eq!(rooms[0], rooms[1]);
}

/// A socket that is lost is told, and the carrier asks again.
#[test]
fn lost_sockets_are_asked_for_again() {
    let (mut bench, call) = Bench::inbound(&[]);
    bench.person(Command::Drop(call));
    let failed = |fact: &CallEvent| matches!(fact.what, CallFact::StreamFailed { .. });
    assert!(bench.facts.iter().any(failed));
    assert_eq!(bench.events.iter().filter(|event| event.starts_with("Started")).count(), 2);
}

/// Numbers are listed, an application is made, a number is given to it and taken away.
#[test]
fn numbers_are_bound() {
    let mut bench = Bench::new(&[]);
    let mut config = bench.config.clone();
    let made = bench.run(SPEC.calls.provision.unwrap()(&config, &hooks())).unwrap();
    SPEC.set_managed(&mut config, &made).unwrap();
    let address = Address::parse("+12025550100", None).unwrap();
    for (bound, wanted) in [(Some(hooks()), true), (None, false)] {
        let bind = Bind { address: address.clone(), hooks: bound };
        bench.run(SPEC.calls.bind.unwrap()(&config, &bind)).unwrap();
        let numbers = bench.run(SPEC.calls.numbers.unwrap()(&config)).unwrap();
        let ours = numbers[0].bound_to.as_deref() == config.text("application_id");
        assert_eq!((numbers.len(), ours), (1, wanted));
    }
    assert_eq!(bench.run(SPEC.calls.test.unwrap()(&config)), Ok(()));
}

/// Each fault of the API is met by an error of its kind; a server that cannot be reached or speaks
/// nonsense ends the call; webhooks twice and swapped, bursts and odd frames are understood.
#[test]
fn faults_and_quirks() {
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
    let (mut bench, call) =
        Bench::inbound(&["hooks-twice", "hooks-swapped", "burst=3", "frame=80", "marks-lost"]);
    bench.pass(300);
    assert!(bench.audio.len() >= 1600 && bench.audio.iter().all(|byte| *byte == 0xff));
    bench.person(Command::Hangup(call));
    bench.pass(1000);
    assert!(!bench.ended().is_empty());
    for answer in [None, Some("hello"), Some("<Response><Say>x</Say></Response>")] {
        let mut bench = Bench::new(&[]);
        let (from, to) = ("+12025550143".to_owned(), "+12025550100".to_owned());
        bench.carrier.command(bench.clock(), Command::Call { from, to });
        let Some(Output::Hook { hook, .. }) = bench.carrier.poll() else { panic!("no webhook") };
        let answer = answer.map(|text| HttpResponse {
            status: http::StatusCode::OK,
            headers: http::HeaderMap::new(),
            body: text.into(),
        });
        bench.carrier.answered(bench.clock(), hook, answer);
        bench.settle();
        assert_eq!(bench.ended(), [HangupCause::Failed]);
    }
}
