//! A server that does what it must and no more, against an adapter's emulator: whole calls of
//! carriers that ask by webhooks, transfers among them, without sockets and in no time.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use media::time::MonoTime;

use super::bench::{Setup, heard};
use crate::address::Address;
use crate::agent::MessageKind;
use crate::config::RawConfig;
use crate::emulate::{Clock, Command, Emulator, Output, SocketInput, Told};
use crate::event::{CallFact, CarrierCallId, HangupCause, Meaning, TransferState};
use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::hook::{Certainty, HookRequest, HookUrls, Take};
use crate::op::{OpResult, Originate, Refusal, Step, Transfer, TransferKind};
use crate::spec::ProviderSpec;
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};

/// The server's hooks, of its call.
pub(crate) fn hooks(setup: &Setup) -> HookUrls {
    setup.hooks().of_call("call-1")
}

/// Where the audio of its call goes.
fn stream_url(spec: &ProviderSpec) -> String {
    format!("wss://t.example/api/v1/telephony/ws/{}/c1/token", spec.name)
}

/// µ-law of so many frames of 20 ms.
pub(crate) fn tone(frames: usize) -> Vec<u8> {
    (0..frames * 160).map(|index| (index * 7 % 251) as u8).collect()
}

/// The server.
pub(crate) struct World {
    setup: &'static Setup,
    pub(crate) carrier: Box<dyn Emulator>,
    pub(crate) config: RawConfig,
    pub(crate) now: MonoTime,
    /// What becomes of an offered call, if it is not taken.
    pub(crate) refuses: Option<Refusal>,
    /// False once nobody wants the call any more.
    pub(crate) wanted: bool,
    pub(crate) socket: Option<(u32, Box<dyn Stream>)>,
    pub(crate) facts: Vec<CallFact>,
    pub(crate) told: Vec<Told>,
    /// What the server hears, and what comes back of marks and keys.
    pub(crate) heard: Vec<u8>,
    pub(crate) marks: Vec<String>,
    pub(crate) keys: String,
    /// Media sockets that were opened.
    pub(crate) sockets: u32,
}

impl World {
    /// The usual configuration; the number leads here.
    pub(crate) fn new(setup: &'static Setup, quirks: &[&str]) -> Self {
        let voice = hooks(setup).url("voice");
        Self::with(setup, quirks, &[], Some(voice))
    }

    /// One of a configuration with these `fields` besides.
    pub(crate) fn with(
        setup: &'static Setup,
        quirks: &[&str],
        fields: &[(&str, &str)],
        voice_url: Option<String>,
    ) -> Self {
        let (config, carrier) = setup.open(quirks, fields, voice_url);
        Self {
            setup,
            carrier,
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

    pub(crate) fn clock(&self) -> Clock {
        let ms = self.now.as_nanos() / 1_000_000;
        Clock { now: self.now, unix_ms: 1_767_693_600_000 + ms }
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.carrier.command(self.clock(), command);
        self.settle();
    }

    /// Does what the carrier wants until it wants nothing.
    pub(crate) fn settle(&mut self) {
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

    pub(crate) fn wait(&mut self, time: Duration) {
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
        let spec = self.setup.spec;
        let hook = spec.hook(name).unwrap_or_else(|| panic!("{}", request.url));
        let seen = HookRequest {
            method: &request.method,
            url: &request.url,
            headers: &request.headers,
            body: &request.body,
            unix_s: 0,
            from: None,
        };
        let inbound = spec.inbound.unwrap();
        assert!((inbound.recognise)(&seen));
        assert_eq!((hook.verify)(&seen, &self.config), Ok(()), "{name}");
        let handled = (hook.handle)(&seen, &self.config).unwrap_or_else(|e| panic!("{name}: {e}"));
        let take = Take { stream_url: stream_url(spec), hooks: hooks(self.setup) };
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
            from: None,
        };
        let spec = self.setup.spec;
        assert_eq!(request.url, stream_url(spec));
        if let Some(verify) = spec.verify_socket {
            assert_eq!(verify(&seen, &self.config), Ok(Certainty::Proven));
        }
        let start = StreamStart { config: self.config.clone(), call: None };
        self.socket = Some((socket, (spec.stream.unwrap())(&start)));
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

    pub(crate) fn say(&mut self, write: impl FnOnce(&mut dyn Stream, &mut Vec<u8>)) {
        let (socket, stream) = self.socket.as_mut().unwrap();
        let (socket, mut out) = (*socket, Vec::new());
        write(stream.as_mut(), &mut out);
        let input = SocketInput::Message(MessageKind::Text, &out);
        self.carrier.socket(self.clock(), socket, input);
        self.settle();
    }

    pub(crate) fn speak(&mut self, audio: &[u8]) {
        for frame in audio.chunks(160) {
            self.say(|stream, out| {
                stream.encode(frame, out);
            });
        }
    }

    pub(crate) fn mark(&mut self, name: &str) {
        self.say(|stream, out| {
            stream.command(StreamCommand::Mark(name), out);
        });
    }

    pub(crate) fn run<T>(&mut self, op: OpResult<T>) -> Result<T, CarrierError> {
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

    pub(crate) fn inbound(&mut self) -> String {
        let Setup { number, person, .. } = self.setup;
        self.command(Command::Call { from: (*person).to_owned(), to: (*number).to_owned() });
        self.id()
    }

    pub(crate) fn originate(&mut self) -> Result<CarrierCallId, CarrierError> {
        let call = Originate {
            to: Address::parse(self.setup.person, None).unwrap(),
            from: Address::parse(self.setup.number, None).ok(),
            stream_url: stream_url(self.setup.spec),
            hooks: hooks(self.setup),
            ring_timeout_s: 20,
            max_duration_s: 600,
            detect_machine: true,
            extra: Vec::new(),
        };
        let op = (self.setup.spec.calls.originate.unwrap())(&self.config, &call);
        self.run(op).map(|placed| placed.call)
    }

    pub(crate) fn has(&self, state: TransferState) -> bool {
        let is =
            |fact: &CallFact| matches!(fact, CallFact::Transfer { state: it, .. } if *it == state);
        self.facts.iter().any(is)
    }

    pub(crate) fn transfer(&mut self, kind: TransferKind, call: &str) -> Transfer {
        let transfer = Transfer {
            id: "t-1".to_owned(),
            kind,
            call: CarrierCallId(call.to_owned()),
            to: Address::parse("+15558889999", None).unwrap(),
            from: Address::parse(self.setup.number, None).ok(),
            hooks: hooks(self.setup),
            ring_timeout_s: 20,
        };
        let op = (self.setup.spec.calls.transfer.unwrap())(&self.config, &transfer);
        self.run(op).unwrap();
        transfer
    }

    /// The call that was last offered or rings.
    pub(crate) fn id(&self) -> String {
        let of = |told: &Told| match told {
            Told::Offered { call } | Told::Rings { call, .. } => Some(call.clone()),
            _ => None,
        };
        self.told.iter().rev().find_map(of).unwrap()
    }

    pub(crate) fn person_heard(&self) -> Vec<u8> {
        heard(&self.told)
    }

    pub(crate) fn assert_no_complaint(&self) {
        let complaint = self.told.iter().find(|told| matches!(told, Told::Complaint { .. }));
        assert_eq!(complaint, None);
    }

    /// Why it ended, each time that was told.
    pub(crate) fn causes(&self) -> Vec<HangupCause> {
        let ends = self.facts.iter().filter_map(|fact| match fact {
            CallFact::Ended(ended) => Some(ended.cause),
            _ => None,
        });
        ends.collect()
    }

    /// Why it ended, as it was told first.
    pub(crate) fn cause(&self) -> Option<HangupCause> {
        self.causes().first().copied()
    }
}
