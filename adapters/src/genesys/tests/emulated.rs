use std::time::Duration;

use http::Method;
use media::time::MonoTime;

use super::super::{SPEC, emulate, hooks, stream, verify};
use crate::agent::MessageKind;
use crate::config::RawConfig;
use crate::emulate::{Clock, Command, Emulator, EmulatorStart, Output, Quirks, SocketInput, Told};
use crate::event::Meaning;
use crate::exchange::HttpRequest;
use crate::hook::HookRequest;
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};

const URL: &str = "https://t.example:8443/pbx/api/v1/telephony/genesys/audio/tok";
const UNIX_S: u64 = 1_767_225_600;

/// A server that does what it should, at the other end of every socket.
struct Bench {
    config: RawConfig,
    carrier: Box<dyn Emulator>,
    now: MonoTime,
    sockets: Vec<(u32, HttpRequest, Option<Box<dyn Stream>>)>,
    told: Vec<Told>,
    events: Vec<String>,
    /// Bytes of the carrier's audio.
    heard: Vec<u8>,
    /// Calls that are not taken.
    refuses: bool,
}

impl Bench {
    fn new() -> Self {
        let config = SPEC.read(&(emulate::SPEC.config)(""), None).unwrap();
        let carrier = (emulate::SPEC.open)(EmulatorStart {
            config: config.clone(),
            numbers: vec!["+15551234567".to_owned()],
            voice_url: Some(URL.to_owned()),
            seed: 7,
            quirks: Quirks::default(),
        });
        Self {
            config,
            carrier,
            now: MonoTime::ZERO,
            sockets: Vec::new(),
            told: Vec::new(),
            events: Vec::new(),
            heard: Vec::new(),
            refuses: false,
        }
    }

    fn clock(&self) -> Clock {
        let passed = u64::try_from(self.now.since(MonoTime::ZERO).as_millis()).unwrap();
        Clock { now: self.now, unix_ms: UNIX_S * 1_000 + passed }
    }

    fn does(&mut self, command: Command) {
        let clock = self.clock();
        self.carrier.command(clock, command);
        self.settle();
    }

    /// Lets time pass.
    fn passes(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.carrier.deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            let clock = self.clock();
            self.carrier.timeout(clock);
            self.settle();
        }
        self.now = until;
    }

    fn settle(&mut self) {
        while let Some(output) = self.carrier.poll() {
            match output {
                Output::Open { socket, request } => {
                    let unix_s = self.clock().unix_ms / 1_000;
                    let asked = ask(&request, b"", unix_s);
                    assert_eq!(verify::verify(&asked, &self.config), Ok(()));
                    self.sockets.push((socket, request, None));
                    let clock = self.clock();
                    self.carrier.socket(clock, socket, SocketInput::Opened);
                }
                Output::Message { socket, kind, bytes } => self.message(socket, kind, bytes),
                Output::Close { .. } | Output::Cut { .. } => {}
                Output::Told(told) => self.told.push(told),
                Output::Hook { .. } => panic!("there are no webhooks"),
            }
        }
    }

    fn message(&mut self, socket: u32, kind: MessageKind, mut bytes: Vec<u8>) {
        let (config, refuses) = (self.config.clone(), self.refuses);
        let (_, request, stream) =
            self.sockets.iter_mut().find(|(number, ..)| *number == socket).unwrap();
        let mut out = Vec::new();
        let first = stream.is_none();
        let stream = stream.get_or_insert_with(|| {
            let handled = (hooks::HOOKS[0].handle)(&ask(request, &bytes, UNIX_S), &config).unwrap();
            let call = match handled.meaning {
                Meaning::Offered(offered) => {
                    assert_eq!(offered.to.expose(), "+15551234567");
                    Some(offered.call)
                }
                meaning => {
                    assert_eq!(meaning, Meaning::Events(Vec::new()));
                    None
                }
            };
            stream::open(&StreamStart { config, call })
        });
        let mut room = [0; 4_096];
        let mut slot = FrameSlot::new(&mut room);
        let event = stream.decode(MonoTime::ZERO, kind, &mut bytes, &mut slot).unwrap();
        if !matches!(event, StreamEvent::Nothing | StreamEvent::Audio { .. }) {
            self.events.push(format!("{event:?}"));
        }
        self.heard.extend_from_slice(slot.filled());
        if first && refuses {
            stream.command(StreamCommand::Hangup, &mut out);
        } else {
            stream.reply(&mut out);
        }
        self.send(socket, MessageKind::Text, &out);
    }

    fn send(&mut self, socket: u32, kind: MessageKind, bytes: &[u8]) {
        if !bytes.is_empty() {
            let clock = self.clock();
            self.carrier.socket(clock, socket, SocketInput::Message(kind, bytes));
        }
    }

    fn newest(&mut self) -> (u32, &mut Box<dyn Stream>) {
        let (socket, _, stream) = self.sockets.last_mut().unwrap();
        (*socket, stream.as_mut().unwrap())
    }

    fn command(&mut self, command: StreamCommand<'_>) {
        let mut out = Vec::new();
        let (socket, stream) = self.newest();
        assert_eq!(stream.command(command, &mut out), Some(MessageKind::Text));
        self.send(socket, MessageKind::Text, &out);
        self.settle();
    }

    fn plays(&mut self, audio: &[u8]) {
        let mut out = Vec::new();
        let (socket, stream) = self.newest();
        stream.encode(audio, &mut out);
        self.send(socket, MessageKind::Binary, &out);
    }

    fn call(&mut self) -> String {
        let (from, to) = ("+15557654321".to_owned(), "+15551234567".to_owned());
        self.does(Command::Call { from, to });
        let offered = self.told.iter().rev().find_map(|told| match told {
            Told::Offered { call } => Some(call.clone()),
            _ => None,
        });
        offered.unwrap()
    }

    fn ended(&self) -> Option<&str> {
        self.told.iter().find_map(|told| match told {
            Told::Ended { why, .. } => Some(why.as_str()),
            _ => None,
        })
    }

    #[track_caller]
    fn assert_content(&self) {
        let complaints = self.told.iter().filter(|told| matches!(told, Told::Complaint { .. }));
        assert_eq!(complaints.count(), 0, "{:?}", self.told);
    }
}

fn ask<'r>(request: &'r HttpRequest, body: &'r [u8], unix_s: u64) -> HookRequest<'r> {
    let (url, headers) = (&*request.url, &request.headers);
    HookRequest { method: &Method::GET, url, headers, body, unix_s, from: None }
}

/// The connection is tried, then a call: what is signed is believed, both hear each other, keys
/// come, pings are answered for minutes, the person hangs up; nothing is complained about.
#[test]
fn a_person_calls() {
    let mut bench = Bench::new();
    let call = bench.call();
    assert!(bench.told.contains(&Told::Streaming { call: call.clone() }), "{:?}", bench.told);
    let said: Vec<u8> = (0..1_600_u32).map(|at| (at * 7 % 251) as u8).collect();
    bench.does(Command::Speak { call: call.clone(), audio: said.clone() });
    bench.does(Command::Press { call: call.clone(), digit: '#' });
    let answer: Vec<u8> = (0..1_600_u32).map(|at| (at * 5 % 241) as u8).collect();
    bench.plays(&answer);
    bench.passes(Duration::from_secs(120));
    assert!(bench.heard.starts_with(&said));
    let heard: Vec<u8> = bench
        .told
        .iter()
        .filter_map(|told| match told {
            Told::Heard { audio, .. } => Some(audio.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(heard, answer);
    bench.does(Command::Hangup(call));
    assert_eq!(bench.ended(), Some("end"));
    assert!(bench.events.iter().any(|event| event == "Dtmf { digit: '#', duration_ms: None }"));
    assert_eq!(bench.events.last().map(String::as_str), Some("Stopped(Some(Normal))"));
    bench.assert_content();
    assert_eq!((bench.carrier.deadline(), bench.sockets.len()), (None, 2));
}

/// We hang up: Genesys closes, and is answered. A barge-in drops what waits there.
#[test]
fn the_server_hangs_up() {
    let mut bench = Bench::new();
    bench.call();
    bench.plays(&[1; 16_000]);
    bench.passes(Duration::from_millis(100));
    bench.command(StreamCommand::Clear);
    let before = bench.told.len();
    bench.passes(Duration::from_secs(1));
    let after = bench.told.iter().skip(before);
    assert_eq!(after.filter(|told| matches!(told, Told::Heard { .. })).count(), 0);
    bench.command(StreamCommand::Hangup);
    assert_eq!(bench.ended(), Some("completed"));
    assert_eq!(bench.events.last().map(String::as_str), Some("Stopped(Some(Normal))"));
    bench.assert_content();
}

/// A call that is not taken ends before it is opened, in order.
#[test]
fn a_call_is_refused() {
    let mut bench = Bench::new();
    bench.call();
    bench.refuses = true;
    bench.call();
    assert_eq!(bench.ended(), Some("error the call is not taken"));
    bench.assert_content();
}

/// More than five messages of audio a second, beyond a burst, are complained about: so much this
/// emulator knows that a server has to mind.
#[test]
fn floods_are_noticed() {
    let mut bench = Bench::new();
    bench.call();
    for _ in 0..25 {
        bench.plays(&[1; 160]);
    }
    bench.assert_content();
    bench.plays(&[1; 160]);
    bench.settle();
    let complained =
        |told: &Told| matches!(told, Told::Complaint { what, .. } if what.starts_with("429"));
    assert!(bench.told.iter().any(complained));
}
