//! Pipecat's serializers for carriers talk to our emulators of these carriers: the emulators are
//! judged by a program that was written for the carriers themselves.
#![cfg(feature = "emulate")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use adapters::agent::MessageKind;
use adapters::emulate::{
    Clock, Command as Person, Emulator, EmulatorStart, Output, Quirks, SocketInput, Told,
};
use adapters::exchange::{HttpRequest, HttpResponse};
use adapters::table::find;
use http::{HeaderMap, StatusCode};
use media::codec::g711::Law;
use media::time::MonoTime;
use serde_json::{Value, json};

/// A Python that has pipecat; `None`, with the reason printed, if there is none.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("TALKPATH_TEST_PYTHON").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/peers/bin/python"),
        PathBuf::from,
    );
    if python.is_file() {
        return Some(python);
    }
    let required = std::env::var_os("TALKPATH_REQUIRE_PEERS").is_some_and(|value| value == "1");
    let why = "no Python with tests/interop/requirements.txt; ./test makes target/peers";
    assert!(!required, "TALKPATH_REQUIRE_PEERS=1, but {why}");
    eprintln!("skipped: {why}");
    None
}

struct Pipecat {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Pipecat {
    fn new() -> Option<Self> {
        let script =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/judges/judge_pipecat.py");
        let mut child = Command::new(python()?)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Some(Self { child, input, output: BufReader::new(output) })
    }

    fn ask(&mut self, line: &Value) -> Value {
        writeln!(self.input, "{line}").unwrap();
        self.input.flush().unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

impl Drop for Pipecat {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A call at an emulator whose media socket is pipecat's.
struct Call {
    carrier: Box<dyn Emulator>,
    pipecat: Pipecat,
    name: &'static str,
    now: MonoTime,
    socket: u32,
    id: String,
    /// What pipecat heard, as 16-bit samples.
    audio: Vec<i16>,
    digits: String,
    told: Vec<Told>,
}

impl Call {
    fn begin(name: &'static str, pipecat: Pipecat) -> Self {
        let spec = find(name).unwrap();
        let emulator = spec.emulator.unwrap();
        let config = spec.read(&(emulator.config)("http://127.0.0.1:1"), None).unwrap();
        let carrier = (emulator.open)(EmulatorStart {
            config: config.clone(),
            numbers: vec!["+12025550100".to_owned()],
            voice_url: Some("https://t.example/hook".to_owned()),
            seed: 1,
            quirks: Quirks::default(),
        });
        let (now, id) = (MonoTime::ZERO, String::new());
        let (audio, digits, told) = (Vec::new(), String::new(), Vec::new());
        let mut call = Self { carrier, pipecat, name, now, socket: 0, id, audio, digits, told };
        let (from, to) = ("+12025550143".to_owned(), "+12025550100".to_owned());
        call.person(Person::Call { from, to });
        if name == "telnyx" {
            let url = format!("https://c.example/v2/calls/{}/actions/answer", call.id);
            let body =
                json!({"stream_url": "wss://t.example/s", "stream_bidirectional_mode": "rtp"});
            let key = format!("Bearer {}", config.text("api_key").unwrap());
            let request = HttpRequest::post(url, "application/json", body.to_string())
                .credentials(http::header::AUTHORIZATION, &key)
                .unwrap();
            let answer = call.carrier.rest(call.clock(), &request).unwrap();
            assert!(answer.status.is_success());
            call.settle();
        }
        assert_ne!(call.socket, 0, "the media socket is open");
        call
    }

    fn clock(&self) -> Clock {
        Clock { now: self.now, unix_ms: 1_772_600_767_000 + self.now.as_nanos() / 1_000_000 }
    }

    fn settle(&mut self) {
        while let Some(output) = self.carrier.poll() {
            match output {
                Output::Hook { hook, .. } => {
                    let document = "<Response><Stream bidirectional=\"true\" \
                        keepCallAlive=\"true\" contentType=\"audio/x-mulaw;rate=8000\">\
                        wss://t.example/s</Stream></Response>";
                    let (status, headers) = (StatusCode::OK, HeaderMap::new());
                    let answer = HttpResponse { status, headers, body: document.into() };
                    self.carrier.answered(self.clock(), hook, Some(answer));
                }
                Output::Open { socket, .. } => {
                    self.socket = socket;
                    self.carrier.socket(self.clock(), socket, SocketInput::Opened);
                }
                Output::Message { bytes, .. } => self.message(&bytes),
                Output::Told(Told::Offered { call }) => self.id = call,
                Output::Told(told) => self.told.push(told),
                Output::Close { .. } | Output::Cut { .. } => {}
            }
        }
    }

    fn message(&mut self, bytes: &[u8]) {
        let text = str::from_utf8(bytes).unwrap();
        let value: Value = serde_json::from_str(text).unwrap();
        if value["event"] == "start" {
            let stream = if self.name == "telnyx" {
                &value["stream_id"]
            } else {
                &value["start"]["streamId"]
            };
            self.pipecat.ask(&json!({"do": "open", "carrier": self.name, "stream": stream}));
        }
        if !matches!(value["event"].as_str(), Some("media" | "dtmf")) {
            return;
        }
        let told = self.pipecat.ask(&json!({"do": "in", "text": text}));
        if let Some(hex) = told["audio"].as_str() {
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            let samples =
                (0..hex.len() / 4).map(|i| i16::from_le_bytes([byte(4 * i), byte(4 * i + 2)]));
            self.audio.extend(samples);
        }
        self.digits.push_str(told["digit"].as_str().unwrap_or_default());
    }

    fn person(&mut self, command: Person) {
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

    fn say(&mut self, line: &Value) {
        let told = self.pipecat.ask(line);
        let text = told["text"].as_str().unwrap().as_bytes();
        let input = SocketInput::Message(MessageKind::Text, text);
        self.carrier.socket(self.clock(), self.socket, input);
        self.settle();
    }

    fn heard(&self) -> Vec<u8> {
        let heard = self.told.iter().filter_map(|told| match told {
            Told::Heard { audio, .. } => Some(audio.clone()),
            _ => None,
        });
        heard.flatten().collect()
    }
}

fn talk(name: &'static str) {
    let Some(pipecat) = Pipecat::new() else { return };
    let mut call = Call::begin(name, pipecat);
    let speech: Vec<u8> = (0..800_u32).map(|i| (i * 7 % 256) as u8).collect();
    let id = call.id.clone();
    call.person(Person::Speak { call: id.clone(), audio: speech.clone() });
    call.pass(120);
    let expected: Vec<i16> = speech.iter().map(|code| Law::Mu.sample(*code)).collect();
    assert!(call.audio.starts_with(&expected), "{name}: pipecat hears the person");

    let words: Vec<i16> = (0..480_i16).map(|i| i * 60 - 14_000).collect();
    let hex: String =
        words.iter().flat_map(|s| s.to_le_bytes()).map(|b| format!("{b:02x}")).collect();
    call.say(&json!({"do": "out", "audio": hex}));
    call.pass(100);
    let heard = call.heard();
    assert_eq!(heard.len(), words.len(), "{name}");
    for (code, sample) in heard.iter().zip(&words) {
        let got = i32::from(Law::Mu.sample(*code));
        let off = (got - i32::from(*sample)).abs();
        assert!(off <= i32::from(sample.unsigned_abs()) / 16 + 16, "{name}: {sample} {got}");
    }
    let long: String = (0..8000).map(|_| "0010").collect();
    call.say(&json!({"do": "out", "audio": long}));
    call.pass(40);
    let before = call.heard().len();
    call.say(&json!({"do": "clear"}));
    call.pass(200);
    assert_eq!(call.heard().len(), before, "{name}: an interruption drops what waits");
    call.person(Person::Press { call: id, digit: '7' });
    assert_eq!(call.digits, "7", "{name}");
    let complaints = call.told.iter().filter(|told| matches!(told, Told::Complaint { .. }));
    assert_eq!(complaints.count(), 0, "{name}: {:?}", call.told);
}

/// Sound both ways, an interruption, a key: pipecat's Telnyx serializer and our Telnyx understand
/// each other.
#[test]
fn telnyx_and_pipecat() {
    talk("telnyx");
}

/// The same with its Plivo serializer and our Plivo.
#[test]
fn plivo_and_pipecat() {
    talk("plivo");
}
