//! A server that does what it should, as far as an adapter says, against the adapter's emulator:
//! for tests of carriers whose calls are controlled by documents.

use std::time::Duration;

use http::Method;
use media::time::MonoTime;

use crate::address::Address;
use crate::agent::MessageKind;
use crate::config::RawConfig;
use crate::emulate::{Clock, Command, Emulator, EmulatorStart, Output, Quirks, SocketInput, Told};
use crate::event::{CallEvent, CallFact, HangupCause, Meaning, TransferState};
use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::hook::{Certainty, HookReply, HookRequest, HookUrls, Take};
use crate::op::{Op, OpResult, Originate, Refusal, Step};
use crate::spec::ProviderSpec;
use crate::stream::{FrameSlot, Stream, StreamEvent, StreamStart};

/// Where the audio goes: with something to be escaped.
pub(crate) const STREAM: &str = "wss://t.example/s?a=1&b=2";

/// Whose emulator it is.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) spec: &'static ProviderSpec,
    /// A number of the account, and one of somebody else.
    pub(crate) number: &'static str,
    pub(crate) person: &'static str,
}

impl Setup {
    pub(crate) fn hooks(&self) -> HookUrls {
        HookUrls::new("https://t.example", self.spec.name, "tok")
    }

    /// The carrier with these quirks, whose number leads to `voice_url`, and the configuration of
    /// its account, with these `fields` besides.
    pub(crate) fn open(
        &self,
        quirks: &[&str],
        fields: &[(&str, &str)],
        voice_url: Option<String>,
    ) -> (RawConfig, Box<dyn Emulator>) {
        let emulator = self.spec.emulator.unwrap();
        let mut given = (emulator.config)("http://127.0.0.1:9");
        fields.iter().for_each(|(name, value)| given[*name] = (*value).into());
        let config = self.spec.read(&given, None).unwrap();
        let mut set = Quirks::default();
        quirks.iter().for_each(|quirk| set.set(quirk).unwrap());
        let carrier = (emulator.open)(EmulatorStart {
            config: config.clone(),
            numbers: vec![self.number.to_owned()],
            voice_url,
            seed: 7,
            quirks: set,
        });
        (config, carrier)
    }
}

/// What the person at the far end heard, of what the carrier told.
pub(crate) fn heard(told: &[Told]) -> Vec<u8> {
    let heard = told.iter().filter_map(|told| match told {
        Told::Heard { audio, .. } => Some(audio.clone()),
        _ => None,
    });
    heard.flatten().collect()
}

/// The server.
pub(crate) struct Bench {
    setup: &'static Setup,
    pub(crate) carrier: Box<dyn Emulator>,
    pub(crate) config: RawConfig,
    pub(crate) now: MonoTime,
    /// What becomes of an offered call.
    pub(crate) refusal: Option<Refusal>,
    pub(crate) stream: Option<Box<dyn Stream>>,
    pub(crate) socket: u32,
    pub(crate) facts: Vec<CallEvent>,
    pub(crate) told: Vec<Told>,
    pub(crate) events: Vec<String>,
    pub(crate) audio: Vec<u8>,
}

impl Bench {
    pub(crate) fn new(setup: &'static Setup, quirks: &[&str]) -> Self {
        let voice_url = setup.spec.inbound.map(|inbound| setup.hooks().url(inbound.hook));
        let (config, carrier) = setup.open(quirks, &[], voice_url);
        Self {
            setup,
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

    pub(crate) fn clock(&self) -> Clock {
        Clock { now: self.now, unix_ms: 1_772_600_767_000 + self.now.as_nanos() / 1_000_000 }
    }

    pub(crate) fn hook(&mut self, request: &HttpRequest) -> HookReply {
        let name = request.url.split('/').nth(7).unwrap().to_owned();
        let spec = self.setup.spec;
        let hook = spec.hook(&name).unwrap();
        let request = HookRequest {
            method: &request.method,
            url: &request.url,
            headers: &request.headers,
            body: &request.body,
            unix_s: self.clock().unix_ms / 1000,
            from: None,
        };
        assert_eq!((hook.verify)(&request, &self.config), Ok(()), "{}", request.url);
        let handled = (hook.handle)(&request, &self.config).unwrap();
        let inbound = spec.inbound.unwrap();
        let take = Take { stream_url: STREAM.to_owned(), hooks: self.setup.hooks().of_call("c1") };
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
        let Some(verify) = self.setup.spec.verify_socket else { return };
        let upgrade = HookRequest {
            method: &Method::GET,
            url: &request.url,
            headers: &request.headers,
            body: b"",
            unix_s: self.clock().unix_ms / 1000,
            from: None,
        };
        assert_eq!(verify(&upgrade, &self.config), Ok(Certainty::Proven));
        let none = http::HeaderMap::new();
        let unsigned = HookRequest { headers: &none, ..upgrade };
        assert!(verify(&unsigned, &self.config).is_err());
    }

    pub(crate) fn settle(&mut self) {
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
                    self.stream = Some((self.setup.spec.stream.unwrap())(&start));
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

    pub(crate) fn person(&mut self, command: Command) {
        self.carrier.command(self.clock(), command);
        self.settle();
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while let Some(at) = self.carrier.deadline().filter(|at| *at <= until) {
            self.now = at.max(self.now);
            self.carrier.timeout(self.clock());
            self.settle();
        }
        self.now = until;
    }

    pub(crate) fn run<T>(&mut self, op: OpResult<T>) -> Result<T, CarrierError> {
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

    pub(crate) fn ring_in(&mut self) -> String {
        let (from, to) = (self.setup.person.to_owned(), self.setup.number.to_owned());
        self.person(Command::Call { from, to });
        let offered = self.told.iter().find_map(|told| match told {
            Told::Offered { call } => Some(call.clone()),
            _ => None,
        });
        offered.unwrap()
    }

    pub(crate) fn inbound(setup: &'static Setup, quirks: &[&str]) -> (Self, String) {
        let mut bench = Self::new(setup, quirks);
        let call = bench.ring_in();
        (bench, call)
    }

    pub(crate) fn dial(&mut self) -> Result<String, CarrierError> {
        let originate = Originate {
            to: Address::parse(self.setup.person, None).unwrap(),
            from: Address::parse(self.setup.number, None).ok(),
            stream_url: STREAM.to_owned(),
            hooks: self.setup.hooks().of_call("c1"),
            ring_timeout_s: 20,
            max_duration_s: 600,
            detect_machine: true,
            extra: Vec::new(),
        };
        let config = self.config.clone();
        let placed = self.run(self.setup.spec.calls.originate.unwrap()(&config, &originate))?;
        Ok(placed.call.0)
    }

    pub(crate) fn send(&mut self, make: impl FnOnce(&mut dyn Stream, &mut Vec<u8>)) {
        let mut out = Vec::new();
        make(self.stream.as_mut().unwrap().as_mut(), &mut out);
        let (clock, socket) = (self.clock(), self.socket);
        self.carrier.socket(clock, socket, SocketInput::Message(MessageKind::Text, &out));
        self.settle();
    }

    pub(crate) fn heard(&self) -> Vec<u8> {
        heard(&self.told)
    }

    pub(crate) fn ended(&self) -> Vec<HangupCause> {
        let ends = self.facts.iter().filter_map(|fact| match &fact.what {
            CallFact::Ended(ended) => Some(ended.cause),
            _ => None,
        });
        ends.collect()
    }

    pub(crate) fn transfers(&self) -> Vec<TransferState> {
        let states = self.facts.iter().filter_map(|fact| match fact.what {
            CallFact::Transfer { state, .. } => Some(state),
            _ => None,
        });
        states.collect()
    }

    pub(crate) fn complaints(&self) -> Vec<&Told> {
        self.told.iter().filter(|told| matches!(told, Told::Complaint { .. })).collect()
    }
}
