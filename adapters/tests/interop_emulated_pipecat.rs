//! Pipecat, a server written for the carriers themselves, is what our emulators call and talk to:
//! they are judged too. Real sockets, pipecat's own transport, its serializers of the carriers, its
//! way to find out which carrier it is, and its requests to the carrier's API.
#![cfg(feature = "emulate")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

#[path = "support/judge.rs"]
mod judge;

use std::f64::consts::TAU;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use adapters::agent::MessageKind;
use adapters::config::RawConfig;
use adapters::emulate::{Clock, Command as Person, Emulator, Output, SocketInput, Told};
use adapters::exchange::{HttpRequest, HttpResponse};
use adapters::table::find;
use http::{HeaderMap, StatusCode, header};
use judge::{Heard, NOW_S, Running, emulated};
use media::codec::g711::Law;
use media::time::MonoTime;
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Error, Message, WebSocket};

const NUMBER: &str = "+12025550100";
const PERSON: &str = "+12025550143";
/// What the person says, and what pipecat says.
const PERSON_HZ: f64 = 1_000.0;
const PIPECAT_HZ: f64 = 440.0;
const AMPLITUDE: f64 = 10_000.0;
/// What pipecat's imports may take on a busy machine, and anything else.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a read waits for the socket.
const READ: Duration = Duration::from_millis(2);

/// Time passes here as it does for pipecat.
#[expect(clippy::disallowed_methods, reason = "the peer has a clock of its own")]
fn now() -> Instant {
    Instant::now()
}

/// An emulator whose media socket is pipecat's.
struct World {
    name: &'static str,
    carrier: Box<dyn Emulator>,
    config: RawConfig,
    pipecat: Running,
    port: u64,
    began: Instant,
    socket: Option<(u32, WebSocket<TcpStream>)>,
    told: Vec<Told>,
    /// What pipecat told.
    events: Vec<Value>,
    /// How often it had the carrier drop what waits.
    clears: usize,
    call: String,
}

impl World {
    /// `None` if there is no pipecat.
    fn new(name: &'static str, user: &str, secret: &str) -> Option<Self> {
        let (carrier, config) = emulated(find(name).unwrap(), NUMBER);
        let account = json!({"user": config.text(user).unwrap(),
            "secret": config.text(secret).unwrap()});
        let modules = ["pipecat", "fastapi", "uvicorn"];
        let pipecat = Running::new("pipecat_server.py", &modules, &[&account.to_string()])?;
        let (began, socket, told) = (now(), None, Vec::new());
        let (events, clears, call, port) = (Vec::new(), 0, String::new(), 0);
        let mut world = Self {
            name,
            carrier,
            config,
            pipecat,
            port,
            began,
            socket,
            told,
            events,
            clears,
            call,
        };
        world.until("pipecat listens", |world| world.port != 0);
        Some(world)
    }

    fn clock(&self) -> Clock {
        let nanos = u64::try_from(self.began.elapsed().as_nanos()).unwrap();
        let now = MonoTime::from_nanos(nanos);
        Clock { now, unix_ms: NOW_S * 1000 + nanos / 1_000_000 }
    }

    /// Does what there is to do until `done`.
    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = now() + PATIENCE;
        while !done(self) {
            let Self { name, events, .. } = &*self;
            assert!(now() < deadline, "{name}: {what}: {events:?} {:?}", self.complaints());
            self.work();
        }
    }

    fn pass(&mut self, time: Duration) {
        let deadline = now() + time;
        while now() < deadline {
            self.work();
        }
    }

    fn work(&mut self) {
        self.settle();
        if self.carrier.deadline().is_some_and(|at| at <= self.clock().now) {
            self.carrier.timeout(self.clock());
            self.settle();
        }
        self.read();
        // The socket's read waits already, if there is one.
        let wait = if self.socket.is_some() { Duration::ZERO } else { READ };
        match self.pipecat.hear(wait) {
            Heard::Nothing => {}
            Heard::Line(line) => self.heard(line),
            Heard::End => panic!("{}: pipecat has gone", self.name),
        }
    }

    fn heard(&mut self, line: Value) {
        if let Some(port) = line["port"].as_u64() {
            self.port = port;
        } else if let Some(asked) = line.get("http") {
            let mut answer = judge::answer(asked, self.clock(), self.carrier.as_mut());
            answer["do"] = json!("answer");
            self.pipecat.say(&answer);
        } else {
            self.events.push(line);
        }
    }

    fn settle(&mut self) {
        while let Some(output) = self.carrier.poll() {
            match output {
                Output::Hook { hook, .. } => {
                    let document = match self.name {
                        "exotel" => r#"{"url":"wss://t.example/s"}"#,
                        "twilio" => {
                            "<Response><Connect><Stream url=\"wss://t.example/s\"/></Connect>\
                             </Response>"
                        }
                        _ => {
                            "<Response><Stream bidirectional=\"true\" keepCallAlive=\"true\" \
                             contentType=\"audio/x-mulaw;rate=8000\">wss://t.example/s</Stream>\
                             </Response>"
                        }
                    };
                    let mut headers = HeaderMap::new();
                    headers.insert(header::CONTENT_TYPE, "application/xml".parse().unwrap());
                    let (status, body) = (StatusCode::OK, document.into());
                    let answer = HttpResponse { status, headers, body };
                    self.carrier.answered(self.clock(), hook, Some(answer));
                }
                Output::Open { socket, request } => self.open(socket, &request),
                Output::Message { socket, kind, bytes } => {
                    assert_eq!(kind, MessageKind::Text);
                    let Some((open, stream)) = &mut self.socket else { continue };
                    if *open == socket {
                        // A peer that is closing takes nothing any more.
                        let _ = stream.send(Message::text(String::from_utf8(bytes).unwrap()));
                    }
                }
                Output::Close { socket, .. } | Output::Cut { socket } => {
                    if let Some((_, mut stream)) = self.socket.take_if(|open| open.0 == socket) {
                        let _ = (stream.close(None), stream.flush());
                    }
                }
                Output::Told(told) => self.told.push(told),
            }
        }
    }

    fn open(&mut self, socket: u32, wanted: &HttpRequest) {
        let stream = TcpStream::connect(("127.0.0.1", u16::try_from(self.port).unwrap())).unwrap();
        let mut request = format!("ws://127.0.0.1:{}/", self.port).into_client_request().unwrap();
        request.headers_mut().extend(wanted.headers.clone());
        let (stream, _) = tungstenite::client(request, stream).unwrap();
        stream.get_ref().set_read_timeout(Some(READ)).unwrap();
        self.socket = Some((socket, stream));
        self.carrier.socket(self.clock(), socket, SocketInput::Opened);
    }

    fn read(&mut self) {
        let clock = self.clock();
        let Some((socket, stream)) = &mut self.socket else { return };
        let socket = *socket;
        let input = match stream.read() {
            Ok(Message::Text(text)) => {
                // One carrier says `clearAudio`.
                self.clears += usize::from(text.as_str().contains("\"clear"));
                let input = SocketInput::Message(MessageKind::Text, text.as_bytes());
                return self.carrier.socket(clock, socket, input);
            }
            Ok(Message::Close(frame)) => {
                SocketInput::Closed(Some(frame.map_or(1005, |frame| frame.code.into())))
            }
            Ok(_) => return,
            Err(Error::Io(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
            {
                return;
            }
            Err(_) => SocketInput::Closed(None),
        };
        self.socket = None;
        self.carrier.socket(clock, socket, input);
    }

    fn person(&mut self, command: Person) {
        self.carrier.command(self.clock(), command);
        self.settle();
    }

    /// A person calls; the audio goes to pipecat, which knows who it is.
    fn ring(&mut self) {
        let (before, told) = (self.events.len(), self.told.len());
        self.person(Person::Call { from: PERSON.to_owned(), to: NUMBER.to_owned() });
        let offered = self.told.iter().skip(told).find_map(|told| match told {
            Told::Offered { call } => Some(call.clone()),
            _ => None,
        });
        self.call = offered.unwrap();
        if self.name == "telnyx" {
            let url = format!("https://c.example/v2/calls/{}/actions/answer", self.call);
            let mode = "stream_bidirectional_mode";
            let body = json!({"stream_url": "wss://t.example/s", (mode): "rtp"});
            let key = format!("Bearer {}", self.config.text("api_key").unwrap());
            let request = HttpRequest::post(url, "application/json", body.to_string())
                .credentials(header::AUTHORIZATION, &key)
                .unwrap();
            let answer = self.carrier.rest(self.clock(), &request).unwrap();
            assert!(answer.status.is_success(), "{answer:?}");
        }
        self.until("pipecat takes the call", |world| world.events.len() > before);
        let up = &self.events[before];
        assert_eq!((&up["event"], &up["carrier"]), (&json!("up"), &json!(self.name)));
        assert_eq!(up["call"], self.call);
    }

    /// What the person has heard, decoded.
    fn ear(&self) -> Vec<i16> {
        let heard = self.told.iter().filter_map(|told| match told {
            Told::Heard { call, audio } if *call == self.call => Some(audio),
            _ => None,
        });
        let heard: Vec<u8> = heard.flatten().copied().collect();
        if self.is_linear() {
            let pairs = heard.as_chunks::<2>().0.iter();
            return pairs.map(|pair| i16::from_le_bytes(*pair)).collect();
        }
        heard.iter().map(|code| Law::Mu.sample(*code)).collect()
    }

    /// True if the carrier's audio is linear, and not µ-law.
    fn is_linear(&self) -> bool {
        self.name == "exotel"
    }

    /// Samples in a message of pipecat's, as the server asks for them.
    fn chunk(&self) -> usize {
        if self.name == "exotel" { 1_600 } else { 320 }
    }

    fn is_over(&self) -> bool {
        let over = |told: &Told| matches!(told, Told::Ended { call, .. } if *call == self.call);
        self.told.iter().any(over)
    }

    fn complaints(&self) -> Vec<&Told> {
        self.told.iter().filter(|told| matches!(told, Told::Complaint { .. })).collect()
    }
}

fn tone(hz: f64, seconds: f64) -> Vec<i16> {
    let sample = |at: usize| ((at as f64 * TAU * hz / 8_000.0).sin() * AMPLITUDE).round() as i16;
    (0..(seconds * 8_000.0) as usize).map(sample).collect()
}

/// Amplitude of `hz` in `samples` at 8 kHz (Goertzel 1958).
fn amplitude(samples: &[i16], hz: f64) -> f64 {
    let factor = 2.0 * (TAU * hz / 8_000.0).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in samples {
        let next = factor.mul_add(last, f64::from(*sample) - before);
        (before, last) = (last, next);
    }
    let power = last.mul_add(last, before * before) - factor * last * before;
    2.0 * power.max(0.0).sqrt() / samples.len() as f64
}

/// Asserts that half a second of `samples` without a break is `own`, and nothing of it is `other`.
fn assert_tone(samples: &[i16], own: f64, other: f64) {
    let parts: Vec<_> = samples.chunks_exact(800).collect();
    let is_own = |part: &&[i16]| {
        amplitude(part, own) > AMPLITUDE * 0.9 && amplitude(part, other) < AMPLITUDE / 50.0
    };
    let longest = parts.split(|part| !is_own(part)).map(<[_]>::len).max().unwrap_or(0);
    assert!(longest >= 5, "{longest} of {} tenths of a second are {own} Hz", parts.len());
    let strays = parts.iter().filter(|part| amplitude(part, other) > AMPLITUDE / 10.0);
    assert_eq!(strays.count(), 0, "{other} Hz is heard");
}

fn talk(name: &'static str, user: &str, secret: &str) {
    let Some(mut world) = World::new(name, user, secret) else { return };
    world.ring();
    let call = world.call.clone();

    let speech = tone(PERSON_HZ, 1.5);
    let speech = match world.is_linear() {
        true => speech.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
        false => speech.iter().map(|sample| Law::Mu.code(*sample)).collect(),
    };
    world.person(Person::Speak { call: call.clone(), audio: speech });
    world.pass(Duration::from_millis(1_800));
    let events = world.events.len();
    world.pipecat.say(&json!({"do": "heard"}));
    world.until("pipecat says what it heard", |world| world.events.len() > events);
    let heard: Vec<i16> = serde_json::from_value(world.events[events]["heard"].clone()).unwrap();
    assert_tone(&heard, PERSON_HZ, PIPECAT_HZ);

    world.pipecat.say(&json!({"do": "say", "hz": PIPECAT_HZ, "ms": 1000}));
    world.until("the person hears pipecat", |world| world.ear().len() > 7_000);
    assert_tone(&world.ear(), PIPECAT_HZ, PERSON_HZ);

    world.pass(Duration::from_millis(400));
    let before = world.ear().len();
    world.pipecat.say(&json!({"do": "say", "hz": PIPECAT_HZ, "ms": 10_000}));
    world.until("the person hears more", |world| world.ear().len() > before + 4_000);
    let clears = world.clears;
    world.pipecat.say(&json!({"do": "interrupt"}));
    world.until("pipecat clears", |world| world.clears > clears);
    let stopped = world.ear().len();
    assert!(stopped - before < 40_000, "{name}: an interruption drops what waits");
    world.pass(Duration::from_millis(1_000));
    // What pipecat was about to write when it was interrupted it writes behind its clear.
    let stale = world.ear().len() - stopped;
    assert!(stale <= world.chunk(), "{name}: what was interrupted goes on: {stale}");

    let events = world.events.len();
    world.person(Person::Press { call, digit: '7' });
    world.until("a key arrives", |world| world.events.len() > events);
    assert_eq!(world.events[events], json!({"event": "digit", "digit": "7"}));

    // Pipecat ends the call by the carrier's API, or where there is none by closing the socket.
    world.pipecat.say(&json!({"do": "end"}));
    world.until("the call ends", World::is_over);
    world.pass(Duration::from_millis(300));

    // Another call, which the person ends.
    world.ring();
    let events = world.events.len();
    let call = world.call.clone();
    world.person(Person::Hangup(call));
    world.until("pipecat learns of it", |world| {
        world.events.iter().skip(events).any(|event| event["event"] == "over")
    });
    assert_eq!(world.complaints(), [] as [&Told; 0], "{name}");
}

/// Tones both ways, an interruption, a key, the end by the API and by the person: pipecat takes our
/// Twilio for Twilio.
#[test]
fn twilio_and_pipecat() {
    talk("twilio", "account_sid", "auth_token");
}

/// The same with our Exotel.
#[test]
fn exotel_and_pipecat() {
    talk("exotel", "account_sid", "api_token");
}

/// The same with our Plivo.
#[test]
fn plivo_and_pipecat() {
    talk("plivo", "auth_id", "auth_token");
}

/// The same with our Telnyx.
#[test]
fn telnyx_and_pipecat() {
    talk("telnyx", "connection_id", "api_key");
}
