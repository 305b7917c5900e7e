//! Judges: carriers' own libraries and other people's programs in Python, asked in lines of JSON.
//!
//! A test takes this file in with `#[path = "support/judge.rs"] mod judge;`. The scripts are those
//! of `tests/judges`; `tests/interop/requirements.txt` names what they need.
#![allow(dead_code, unreachable_pub, reason = "shared by several test binaries")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use adapters::config::RawConfig;
use adapters::emulate::{Clock, Emulator, EmulatorStart, Output, Quirks};
use adapters::exchange::HttpRequest;
use adapters::op::{OpResult, Step};
use adapters::spec::ProviderSpec;
use http::{HeaderName, HeaderValue};
use media::time::MonoTime;
use serde_json::{Value, json};

/// The environment variable that turns a missing judge from a reason to skip into a failure.
const REQUIRE: &str = "TALKPATH_REQUIRE_PEERS";
/// The time of the tests, in seconds since 1970.
pub const NOW_S: u64 = 1_767_225_600;
/// The same by both clocks.
pub const CLOCK: Clock = Clock { now: MonoTime::ZERO, unix_ms: NOW_S * 1000 };

/// Begins the script of that name. `None`, with the reason printed, if there is no Python that has
/// all the modules.
///
/// # Panics
///
/// If there is none and `TALKPATH_REQUIRE_PEERS=1`.
fn begin(script: &str, modules: &[&str], arguments: &[&str]) -> Option<Child> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var_os("TALKPATH_TEST_PYTHON")
        .map_or_else(|| root.join("../target/peers/bin/python"), PathBuf::from);
    let find = modules.iter().map(|module| format!("find_spec({module:?})"));
    let find = find.collect::<Vec<_>>().join(" and ");
    let has = format!("from importlib.util import find_spec\nraise SystemExit(not ({find}))");
    let found = Command::new(&python).args(["-c", &has]).status();
    if !found.is_ok_and(|status| status.success()) {
        let why = "no Python with tests/interop/requirements.txt; ./test makes target/peers";
        let required = std::env::var_os(REQUIRE).is_some_and(|value| value == "1");
        assert!(!required, "{REQUIRE}=1, but {why}");
        eprintln!("skipped: {why}");
        return None;
    }
    let mut command = Command::new(python);
    command.arg(root.join("tests/judges").join(script)).args(arguments);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    Some(child.unwrap())
}

/// A judge who answers what is asked. Ends with the test.
pub struct Judge {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Judge {
    /// Runs the script of that name; `None` if that cannot be.
    pub fn new(script: &str, modules: &[&str]) -> Option<Self> {
        let mut child = begin(script, modules, &[])?;
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Some(Self { child, input, output: BufReader::new(output) })
    }

    pub fn say(&mut self, line: &Value) {
        writeln!(self.input, "{line}").unwrap();
        self.input.flush().unwrap();
    }

    pub fn hear(&mut self) -> Value {
        let mut line = String::new();
        assert!(self.output.read_line(&mut line).unwrap() > 0, "the judge has gone");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    pub fn ask(&mut self, line: &Value) -> Value {
        self.say(line);
        self.hear()
    }

    /// Asks, and lets the carrier in miniature answer what the judge's client asks of it; yields
    /// the verdict.
    pub fn ask_with(&mut self, line: &Value, carrier: &mut dyn Emulator) -> Value {
        self.say(line);
        loop {
            let said = self.hear();
            match said.get("http") {
                Some(asked) => {
                    let seconds = asked["now"].as_u64().unwrap_or(NOW_S);
                    let clock = Clock { unix_ms: seconds * 1000, ..CLOCK };
                    self.say(&answer(asked, clock, carrier));
                }
                None => return said,
            }
        }
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A judge who speaks when there is something to say. Ends with the test.
pub struct Running {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

/// What a running judge said.
pub enum Heard {
    Line(Value),
    Nothing,
    /// It has gone.
    End,
}

impl Running {
    /// Runs the script of that name; `None` if that cannot be.
    pub fn new(script: &str, modules: &[&str], arguments: &[&str]) -> Option<Self> {
        let mut child = begin(script, modules, arguments)?;
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (to, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if to.send(line).is_err() {
                    break;
                }
            }
        });
        Some(Self { child, input, lines })
    }

    pub fn say(&mut self, line: &Value) {
        writeln!(self.input, "{line}").unwrap();
        self.input.flush().unwrap();
    }

    /// What was said, waiting so long for it.
    pub fn hear(&mut self, wait: Duration) -> Heard {
        match self.lines.recv_timeout(wait) {
            Ok(line) => {
                let read = serde_json::from_str(&line);
                Heard::Line(read.unwrap_or_else(|error| panic!("{error}: {line}")))
            }
            Err(RecvTimeoutError::Timeout) => Heard::Nothing,
            Err(RecvTimeoutError::Disconnected) => Heard::End,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The carrier's answer to a request of a library's client.
pub fn answer(asked: &Value, clock: Clock, carrier: &mut dyn Emulator) -> Value {
    let text = |name: &str| asked[name].as_str().unwrap().to_owned();
    let mut request = HttpRequest::get(text("url"));
    request.method = text("method").parse().unwrap();
    request.body = text("body").into();
    for (name, value) in asked["headers"].as_object().unwrap() {
        let name: HeaderName = name.parse().unwrap();
        let value = HeaderValue::from_str(value.as_str().unwrap()).unwrap();
        request.headers.insert(name, value);
    }
    let answer = carrier.rest(clock, &request).unwrap();
    let body = String::from_utf8(answer.body.to_vec()).unwrap();
    json!({"status": answer.status.as_u16(), "body": body})
}

/// The carrier in miniature, with one number, and the configuration of its account.
pub fn emulated(spec: &ProviderSpec, number: &str) -> (Box<dyn Emulator>, RawConfig) {
    let emulator = spec.emulator.unwrap();
    let config = spec.read(&(emulator.config)("http://127.0.0.1:1"), None).unwrap();
    let start = EmulatorStart {
        config: config.clone(),
        numbers: vec![number.to_owned()],
        voice_url: Some("https://t.example/hook".to_owned()),
        seed: 1,
        quirks: Quirks::default(),
    };
    ((emulator.open)(start), config)
}

/// The first request of an operation.
pub fn first<T>(op: OpResult<T>) -> HttpRequest {
    match op.unwrap().next(None) {
        Step::Send(request) => request,
        Step::Done(_) | Step::Fail(_) => panic!("nothing is sent"),
    }
}

/// The webhooks that the carrier wants to send, and nothing else of what it wants.
pub fn webhooks(carrier: &mut dyn Emulator) -> Vec<HttpRequest> {
    let mut found = Vec::new();
    while let Some(output) = carrier.poll() {
        if let Output::Hook { request, .. } = output {
            found.push(request);
        }
    }
    found
}
