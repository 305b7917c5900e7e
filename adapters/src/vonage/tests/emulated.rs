//! Calls between the adapter and Vonage in miniature, which was written apart from it: everything
//! that crosses is signed, verified, asked and answered as between servers.

use std::time::Duration;

use media::time::MonoTime;
use serde_json::json;

use super::super::{SPEC, calls, numbers, transfer};
use crate::address::Address;
use crate::agent::MessageKind;
use crate::config::RawConfig;
use crate::emulate::{
    Clock, Command, Emulator, EmulatorStart, Fault, Output, Quirks, SocketInput, Told,
};
use crate::event::{AnsweredBy, CallFact, CarrierCallId, HangupCause, Meaning, TransferState};
use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::hook::{HookReply, HookRequest, HookUrls, Take};
use crate::op::{
    Bind, Moment, OpResult, Originate, Refusal, SendDigits, Step, Transfer, TransferKind,
};
use crate::secret::Pii;
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};

const NUMBER: &str = "+14155550199";
const PERSON: &str = "+442079460000";

/// The emulator, the adapter, and what has happened.
struct World {
    config: RawConfig,
    vonage: Box<dyn Emulator>,
    clock: Clock,
    facts: Vec<CallFact>,
    told: Vec<Told>,
    stream: Option<(u32, Box<dyn Stream>)>,
    heard: Vec<u8>,
    events: Vec<String>,
    wanted: bool,
    streams: u32,
}

impl World {
    fn new(quirks: Quirks) -> Self {
        let emulator = SPEC.emulator.unwrap();
        let config = SPEC.read(&(emulator.config)("http://127.0.0.1:9/vonage"), None).unwrap();
        let start = EmulatorStart {
            config: config.clone(),
            numbers: vec![NUMBER.to_owned()],
            voice_url: None,
            seed: 7,
            quirks,
        };
        let clock = Clock { now: MonoTime::ZERO, unix_ms: 1_767_225_600_000 };
        let mut world = Self {
            config,
            vonage: (emulator.open)(start),
            clock,
            facts: Vec::new(),
            told: Vec::new(),
            stream: None,
            heard: Vec::new(),
            events: Vec::new(),
            wanted: true,
            streams: 0,
        };
        let bind = Bind { address: number(NUMBER), hooks: Some(hooks()) };
        assert_eq!(world.perform(numbers::bind(&world.config, &bind)), Ok(()));
        world
    }

    /// Sends what an operation says.
    fn perform<T>(&mut self, op: OpResult<T>) -> Result<T, CarrierError> {
        let mut op = op?;
        let mut answer = None;
        loop {
            match op.next(answer.take()) {
                Step::Send(mut request) => {
                    let moment = Moment { unix_s: self.clock.unix_ms / 1000, random: [5; 16] };
                    calls::authorize(&self.config, &moment, &mut request)?;
                    match self.vonage.rest(self.clock, &request) {
                        Some(got) => answer = Some(got),
                        None => break Err(CarrierError::Unavailable),
                    }
                    self.settle();
                }
                Step::Done(done) => break Ok(done),
                Step::Fail(error) => break Err(error),
            }
        }
    }

    fn command(&mut self, command: Command) {
        self.vonage.command(self.clock, command);
        self.settle();
    }

    /// Lets time pass, at each deadline.
    fn pass(&mut self, ms: u64) {
        let end = self.clock.now + Duration::from_millis(ms);
        while let Some(at) = self.vonage.deadline().filter(|at| *at <= end) {
            self.advance(at);
            self.vonage.timeout(self.clock);
            self.settle();
        }
        self.advance(end);
    }

    fn advance(&mut self, to: MonoTime) {
        let passed = to.since(self.clock.now);
        self.clock.now = to.max(self.clock.now);
        self.clock.unix_ms += u64::try_from(passed.as_millis()).unwrap();
    }

    /// Does what comes out until nothing does.
    fn settle(&mut self) {
        while let Some(output) = self.vonage.poll() {
            match output {
                Output::Hook { hook, request } => {
                    let reply = self.hook(&request);
                    let answer = HttpResponse {
                        status: reply.status,
                        headers: http::HeaderMap::new(),
                        body: reply.body,
                    };
                    self.vonage.answered(self.clock, hook, Some(answer));
                }
                Output::Open { socket, request } => self.open(socket, &request),
                Output::Message { socket, kind, bytes } => self.message(socket, kind, bytes),
                Output::Close { .. } | Output::Cut { .. } => self.stream = None,
                Output::Told(told) => {
                    if let Told::Heard { audio, .. } = &told {
                        self.heard.extend(audio);
                    }
                    self.told.push(told);
                }
            }
        }
    }

    fn request<'r>(&self, request: &'r HttpRequest) -> HookRequest<'r> {
        HookRequest {
            method: &request.method,
            url: &request.url,
            headers: &request.headers,
            body: &request.body,
            unix_s: self.clock.unix_ms / 1000,
        }
    }

    fn hook(&mut self, sent: &HttpRequest) -> HookReply {
        let request = self.request(sent);
        let rest = sent.url.split_once("/telephony/vonage/").unwrap().1;
        let hook = SPEC.hook(rest.split('/').next().unwrap()).unwrap();
        assert_eq!((hook.verify)(&request, &self.config), Ok(()), "{rest}");
        let handled = (hook.handle)(&request, &self.config).unwrap();
        let inbound = SPEC.inbound.unwrap();
        let (events, unwanted) = match handled.meaning {
            Meaning::Events(events) => {
                self.facts.extend(events.into_iter().map(|event| event.what));
                return handled.reply;
            }
            Meaning::Offered(_) => (Vec::new(), (inbound.refuse)(&self.config, Refusal::Busy)),
            Meaning::Asked { events, .. } => (events, handled.reply),
        };
        self.facts.extend(events.into_iter().map(|event| event.what));
        if !self.wanted {
            return unwanted;
        }
        let take = self.take();
        (inbound.answer)(&self.config, &take).unwrap()
    }

    fn take(&mut self) -> Take {
        self.streams += 1;
        let stream_url = format!("wss://t.example/ws/{}", self.streams);
        Take { stream_url, hooks: hooks().of_call("c-1") }
    }

    fn open(&mut self, socket: u32, request: &HttpRequest) {
        let proven = SPEC.verify_socket.unwrap()(&self.request(request), &self.config);
        assert_eq!(proven, Ok(()));
        assert!(request.url.starts_with("wss://t.example/ws/"), "{}", request.url);
        let start = StreamStart { config: self.config.clone(), call: None };
        self.stream = Some((socket, SPEC.stream.unwrap()(&start)));
        self.vonage.socket(self.clock, socket, SocketInput::Opened);
    }

    fn message(&mut self, socket: u32, kind: MessageKind, mut bytes: Vec<u8>) {
        let Some((open, stream)) = &mut self.stream else { return };
        assert_eq!(*open, socket);
        let mut room = [0; 2000];
        let mut slot = FrameSlot::new(&mut room);
        let event = stream.decode(self.clock.now, kind, &mut bytes, &mut slot).unwrap();
        match event {
            StreamEvent::Audio { .. } if slot.filled().iter().any(|byte| *byte != 0) => {
                self.events.push(format!("audio {}", slot.filled().len()));
            }
            StreamEvent::Audio { .. } => {}
            StreamEvent::Started { .. } => self.events.push("started".to_owned()),
            other => self.events.push(format!("{other:?}")),
        }
    }

    fn say(&mut self, command: StreamCommand<'_>) {
        let (socket, stream) = self.stream.as_mut().unwrap();
        let mut out = Vec::new();
        let kind = stream.command(command, &mut out).unwrap();
        let socket = *socket;
        self.vonage.socket(self.clock, socket, SocketInput::Message(kind, &out));
        self.settle();
    }

    fn play(&mut self, audio: &[u8]) {
        let (socket, stream) = self.stream.as_mut().unwrap();
        let mut out = Vec::new();
        let kind = stream.encode(audio, &mut out);
        let socket = *socket;
        self.vonage.socket(self.clock, socket, SocketInput::Message(kind, &out));
        self.settle();
    }

    /// The call that somebody placed.
    fn call(&self) -> String {
        let mut calls = self.told.iter().filter_map(|told| match told {
            Told::Offered { call } | Told::Rings { call, .. } => Some(call.clone()),
            _ => None,
        });
        calls.next().unwrap()
    }

    /// The last telephone that rang.
    fn rang(&self) -> String {
        let mut calls = self.told.iter().rev().filter_map(|told| match told {
            Told::Rings { call, .. } => Some(call.clone()),
            _ => None,
        });
        calls.next().unwrap()
    }

    fn offer(&mut self) -> String {
        self.command(Command::Call { from: PERSON.to_owned(), to: NUMBER.to_owned() });
        self.call()
    }

    fn place(&mut self, detect_machine: bool) -> Result<String, CarrierError> {
        let call = Originate {
            to: number(PERSON),
            from: Some(number(NUMBER)),
            stream_url: "wss://t.example/ws/placed".to_owned(),
            hooks: hooks().of_call("c-1"),
            ring_timeout_s: 30,
            max_duration_s: 600,
            detect_machine,
            extra: Vec::new(),
        };
        let op = calls::originate(&self.config, &call);
        self.perform(op).map(|placed| placed.call.0)
    }

    fn cause(&self) -> Option<HangupCause> {
        self.facts.iter().find_map(|fact| match fact {
            CallFact::Ended(ended) => Some(ended.cause),
            _ => None,
        })
    }

    fn complaints(&self) -> Vec<&Told> {
        self.told.iter().filter(|told| matches!(told, Told::Complaint { .. })).collect()
    }
}

fn number(text: &str) -> Address {
    Address::parse(text, None).unwrap()
}

fn hooks() -> HookUrls {
    HookUrls::new("https://t.example", "vonage", "tok")
}

fn handing_over(call: &str, kind: TransferKind) -> Transfer {
    Transfer {
        id: "t-1".to_owned(),
        kind,
        call: CarrierCallId(call.to_owned()),
        to: number("+14155550123"),
        from: Some(number(NUMBER)),
        hooks: hooks().of_call("c-1"),
        ring_timeout_s: 20,
    }
}

/// A call comes in: audio and keys both ways, a mark when it was played, a barge-in, and the end by
/// the server.
#[test]
fn a_call_comes_in() {
    let mut world = World::new(Quirks::default());
    let call = world.offer();
    assert_eq!(world.events, ["started"]);
    assert!(world.facts.contains(&CallFact::Answered));
    let audio: Vec<u8> = (1..=1280_u32).map(|at| (at % 250 + 1) as u8).collect();
    world.command(Command::Speak { call: call.clone(), audio: audio.clone() });
    world.command(Command::Press { call: call.clone(), digit: '5' });
    world.pass(100);
    let expected = ["Dtmf { digit: '5', duration_ms: Some(260) }", "audio 640", "audio 640"];
    assert_eq!(world.events.split_off(1), expected);
    for frame in audio.chunks(640) {
        world.play(frame);
    }
    world.say(StreamCommand::Mark("utt-\"7\""));
    world.pass(100);
    assert_eq!(world.heard, audio);
    assert_eq!(world.events.split_off(1), ["Mark(\"utt-\\\"7\\\"\")"]);
    for _ in 0..50 {
        world.play(&[1; 640]);
    }
    world.say(StreamCommand::Mark("late"));
    world.say(StreamCommand::Clear);
    world.pass(2000);
    assert_eq!(world.events.split_off(1), ["Cleared"]);
    assert_eq!(world.heard.len(), audio.len(), "what was cleared is never heard");
    let keys = SendDigits { call: CarrierCallId(call.clone()), digits: Pii::new("12#") };
    let op = calls::dtmf(&world.config, &keys);
    assert_eq!(world.perform(op), Ok(()));
    assert!(world.told.contains(&Told::Keys { call: call.clone(), digits: "12#".to_owned() }));
    let op = calls::hangup(&world.config, &CarrierCallId(call.clone()));
    assert_eq!(world.perform(op), Ok(()));
    assert_eq!(world.cause(), Some(HangupCause::Normal));
    assert!(world.stream.is_none() && world.facts.contains(&CallFact::StreamStopped));
    assert!(world.facts.iter().any(|fact| matches!(fact, CallFact::Priced(_))));
    let op = calls::hangup(&world.config, &CarrierCallId(call));
    assert_eq!(world.perform(op), Ok(()), "what is gone needs no ending");
    assert_eq!(world.complaints(), Vec::<&Told>::new());
}

/// A frame of another length costs the socket; Vonage asks what is next, and the call goes on over
/// a new one. When it is not wanted any more it ends.
#[test]
fn a_lost_socket_is_had_again() {
    let mut world = World::new(Quirks::default());
    let call = world.offer();
    world.play(&[1; 320]);
    assert_eq!(world.complaints().len(), 1);
    assert_eq!(world.streams, 2);
    world.play(&[1; 640]);
    world.pass(40);
    assert_eq!(world.heard.len(), 640);
    world.wanted = false;
    world.command(Command::Drop(call.clone()));
    assert!(world.stream.is_none());
    assert!(matches!(world.told.last(), Some(Told::Ended { call: over, .. }) if *over == call));
    assert_eq!(world.cause(), Some(HangupCause::Normal));
}

/// A call that is refused ends before anybody hears anything.
#[test]
fn a_call_is_refused() {
    let mut world = World::new(Quirks::default());
    world.wanted = false;
    let call = world.offer();
    assert!(!world.told.contains(&Told::Answered { call }));
    assert!(matches!(world.told.last(), Some(Told::Ended { .. })));
    assert_eq!((world.complaints(), world.stream.is_some()), (Vec::new(), false));
}

/// A called person answers, is busy, declines, or lets it ring.
#[test]
fn calls_go_out() {
    let mut world = World::new(Quirks { machine: Some("human".to_owned()), ..Quirks::default() });
    let call = world.place(true).unwrap();
    assert!(world.facts.contains(&CallFact::Ringing) && world.stream.is_none());
    world.command(Command::Answer(call.clone()));
    assert_eq!(world.events, ["started"]);
    assert!(world.facts.contains(&CallFact::AnsweredBy { who: AnsweredBy::Human }));
    world.pass(61_000);
    world.command(Command::Hangup(call.clone()));
    assert_eq!(world.cause(), Some(HangupCause::Normal));
    let op = calls::cost(&world.config, &CarrierCallId(call));
    assert_eq!(world.perform(op).unwrap().unwrap().amount, "0.01291100");

    let mut world = World::new(Quirks::default());
    let call = world.place(false).unwrap();
    world.command(Command::Busy(call));
    assert_eq!(world.cause(), Some(HangupCause::Busy));
    let mut world = World::new(Quirks::default());
    let call = world.place(false).unwrap();
    world.command(Command::Decline(call));
    assert_eq!(world.cause(), Some(HangupCause::Rejected));
    let mut world = World::new(Quirks::default());
    let call = world.place(false).unwrap();
    world.pass(31_000);
    assert_eq!(world.cause(), Some(HangupCause::NoAnswer));
    let op = calls::status(&world.config, &CarrierCallId(call));
    let facts = world.perform(op).unwrap();
    assert!(matches!(facts[0].what, CallFact::Ended(_)));
    let mut world = World::new(Quirks::default());
    let call = world.place(false).unwrap();
    let op = calls::hangup(&world.config, &CarrierCallId(call));
    assert_eq!(world.perform(op), Ok(()));
    assert_eq!(world.cause(), Some(HangupCause::Cancelled));
}

/// A caller is handed over and talks to somebody else; comes back to the agent if nobody answers.
#[test]
fn callers_are_handed_over() {
    let transfers = |world: &World| -> Vec<TransferState> {
        let states = world.facts.iter().filter_map(|fact| match fact {
            CallFact::Transfer { state, .. } => Some(*state),
            _ => None,
        });
        states.collect()
    };
    let mut world = World::new(Quirks::default());
    let call = world.offer();
    let op = transfer::begin(&world.config, &handing_over(&call, TransferKind::Blind));
    assert_eq!(world.perform(op), Ok(None));
    assert!(world.stream.is_none());
    let leg = world.rang();
    world.command(Command::Answer(leg.clone()));
    use TransferState::{Answered, Done, Failed, Trying};
    assert_eq!(transfers(&world), [Trying, Trying, Answered, Done]);
    world.command(Command::Hangup(leg));
    assert_eq!(world.cause(), Some(HangupCause::Normal));

    let mut world = World::new(Quirks::default());
    let call = world.offer();
    let op = transfer::begin(&world.config, &handing_over(&call, TransferKind::Blind));
    assert_eq!(world.perform(op), Ok(None));
    world.pass(21_000);
    assert_eq!(transfers(&world), [Trying, Trying, Failed]);
    assert!(world.stream.is_some() && world.cause().is_none(), "back with the agent");

    let mut world = World::new(Quirks::default());
    let call = world.offer();
    let op = transfer::begin(&world.config, &handing_over(&call, TransferKind::Attended));
    assert!(matches!(world.perform(op), Ok(Some(_))));
    assert!(world.stream.is_some(), "the caller stays meanwhile");
    let leg = world.rang();
    world.command(Command::Answer(leg.clone()));
    assert_eq!(transfers(&world), [Trying, Trying, Answered]);
    let op = transfer::join(&world.config, &handing_over(&call, TransferKind::Attended));
    assert_eq!(world.perform(op), Ok(()));
    assert!(world.stream.is_none());
    world.command(Command::Hangup(call));
    assert!(world.told.contains(&Told::Ended { call: leg, why: "completed".to_owned() }));
}

/// Whatever an API answers, an operation ends, with an error of the right kind.
#[test]
fn faults_are_told_apart() {
    for (fault, expected) in [
        (Fault::Status(401), "credentials"),
        (Fault::Status(402), "not_permitted"),
        (Fault::Status(404), "not_found"),
        (Fault::Status(429), "too_many"),
        (Fault::Status(503), "unavailable"),
        (Fault::Malformed, "answer"),
        (Fault::Lost, "unavailable"),
        (Fault::Silent, "unavailable"),
    ] {
        let faults = vec![("originate".to_owned(), fault.clone())];
        let mut world = World::new(Quirks { faults, ..Quirks::default() });
        let error = world.place(false).unwrap_err();
        assert_eq!(error.as_str(), expected, "{fault:?}");
        assert!(world.place(false).is_ok(), "a fault happens once");
    }
    let mut world = World::new(Quirks::default());
    let wrong = SPEC
        .read(
            &json!({
                "application_id": "99999999-2222-4333-8444-555555555555",
                "api_key": "0a1b2c3d",
                "private_key": super::vectors()["keys"]["rsa_private_pkcs8_pem"],
                "api_base": "http://127.0.0.1:9/vonage",
            }),
            None,
        )
        .unwrap();
    world.config = wrong;
    assert_eq!(world.place(false), Err(CarrierError::Credentials), "another application's token");
}

/// Webhooks that come twice or swapped tell the same facts; lost marks and late ones do no harm;
/// bursts are as good as steady frames.
#[test]
fn quirks_do_no_harm() {
    let quirks = Quirks {
        hooks_twice: true,
        hooks_swapped: true,
        marks_lost: true,
        burst_frames: 5,
        ..Quirks::default()
    };
    let mut world = World::new(quirks);
    let call = world.offer();
    world.command(Command::Speak { call: call.clone(), audio: vec![9; 3200] });
    world.say(StreamCommand::Mark("m"));
    world.pass(120);
    let audio = world.events.iter().filter(|event| event.starts_with("audio")).count();
    assert_eq!((audio, world.events.len()), (5, 6));
    world.command(Command::Hangup(call));
    assert_eq!(world.cause(), Some(HangupCause::Normal));
    let late = Quirks { mark_delay_ms: 500, cut_after_ms: Some(2000), ..Quirks::default() };
    let mut world = World::new(late);
    world.offer();
    world.say(StreamCommand::Mark("m"));
    world.pass(400);
    assert_eq!(world.events, ["started"]);
    world.pass(200);
    assert_eq!(world.events, ["started", "Mark(\"m\")"]);
    world.pass(2000);
    assert_eq!(world.streams, 2, "cut off, and open again");
}
