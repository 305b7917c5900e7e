//! Plays the persons of a carrier, and tells what happens.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use adapters::emulate::{Command, Told};
use adapters::exchange::HttpRequest;
use media::codec::AudioFormat;
use media::time::MonoTime;
use tokio::signal::unix::{SignalKind, signal};

use super::person::Person;
use super::{EmulateError, figures};
use crate::cli::EmulateArgs;
use crate::commands::chirp;
use crate::emulate::{Event, Running};
use crate::workers::audio;
use crate::workers::poller::now;

/// When a person hangs up if neither its file nor the command line says so.
const SECONDS_DEFAULT: u32 = 5;
/// How long it stays after its file, for what is still on its way.
const TAIL: Duration = Duration::from_millis(500);
/// How long a call may take to begin.
const BEGIN_WAIT: Duration = Duration::from_secs(15);
/// Pause between two keys.
const KEY_EVERY: Duration = Duration::from_millis(500);
/// How long webhooks of a call that is over may still take.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The person.
    In,
    /// The server, as it was asked to.
    Out,
    /// The server, whenever it likes.
    Wait,
}

/// The persons of a carrier.
pub(super) struct Drive<'a> {
    args: &'a EmulateArgs,
    way: Way,
    format: AudioFormat,
    sound: Arc<[u8]>,
    /// Samples of the test signal, if that is what is said.
    chirps: Option<usize>,
    lasts: Duration,
    began: MonoTime,
    persons: BTreeMap<String, Person>,
    /// The call whose figures were told last.
    last: Option<Person>,
    good: bool,
}

impl<'a> Drive<'a> {
    /// Prepares what is said in `format`.
    pub(super) fn new(
        args: &'a EmulateArgs,
        format: AudioFormat,
        way: Way,
    ) -> Result<Self, EmulateError> {
        let (sound, chirps, own) = match &args.play {
            Some(path) => {
                let sound = audio::load(path, format)?;
                let ms = sound.len() as u64 * 1000 / format.bytes(1000).max(1) as u64;
                (sound, None, Duration::from_millis(ms) + TAIL)
            }
            None => {
                let seconds = args.seconds.unwrap_or(SECONDS_DEFAULT);
                let samples = chirp::sound(u64::from(seconds) + 1);
                let length = samples.len();
                let sound = audio::encode(&samples, chirp::RATE_HZ, format).into();
                (sound, Some(length), Duration::from_secs(SECONDS_DEFAULT.into()))
            }
        };
        let lasts = args.seconds.map_or(own, |seconds| Duration::from_secs(seconds.into()));
        let (began, persons) = (now(), BTreeMap::new());
        Ok(Self { args, way, format, sound, chirps, lasts, began, persons, last: None, good: true })
    }

    /// Tells people something, with the time.
    pub(super) fn say(&self, what: &str) {
        if !self.args.json {
            println!("{:>9.3} s  {what}", now().since(self.began).as_secs_f64());
        }
    }

    /// Shows a request, if that is wanted.
    pub(super) fn note(&self, event: &Event) {
        let (who, request, status) = match event {
            Event::Asked { request, status } => ("server ", request, status),
            Event::Hooked { request, status } => ("carrier", request, status),
            Event::Told(_) => return,
        };
        if self.args.verbose {
            let status = status.map_or_else(|| "no answer".to_owned(), |it| it.as_str().to_owned());
            self.say(&format!("{who}  {} {}  {status}", request.method, shown(request)));
        }
    }

    /// Lets the persons telephone until their call is over, or until they are interrupted. True if
    /// all went well.
    pub(super) async fn run(&mut self, running: &mut Running) -> std::io::Result<bool> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        if self.way == Way::In {
            let (from, to) = (self.args.person.clone(), self.args.number.clone());
            self.command(running, Command::Call { from, to }).await;
        }
        if self.way == Way::Wait {
            self.say("waits for calls; Ctrl-C ends it");
        }
        let mut give_up = (self.way != Way::Wait).then(|| now() + BEGIN_WAIT);
        loop {
            let due = self.deadline().into_iter().chain(give_up).min();
            let wait = due.map_or(BEGIN_WAIT, |due| due.since(now()));
            tokio::select! {
                event = running.events.recv() => {
                    let Some(event) = event else { break };
                    self.note(&event);
                    if let Event::Told(told) = event {
                        self.told(running, told).await;
                    }
                }
                _ = interrupt.recv() => {
                    self.hang_up_all(running).await;
                    break;
                }
                () = tokio::time::sleep(wait) => {}
            }
            self.due(running).await;
            if !self.persons.is_empty() {
                give_up = None;
            }
            if self.last.is_some() && self.way != Way::Wait {
                break;
            }
            if give_up.is_some_and(|at| at <= now()) {
                self.say("no call began");
                self.good = false;
                break;
            }
        }
        self.listen_on(running).await;
        Ok(self.good)
    }

    /// What is still told when all is over.
    async fn listen_on(&mut self, running: &mut Running) {
        let until = tokio::time::Instant::now() + LAST_WORDS;
        while let Ok(Some(event)) = tokio::time::timeout_at(until, running.events.recv()).await {
            self.note(&event);
            if let Event::Told(told) = event {
                self.told(running, told).await;
            }
        }
    }

    async fn command(&self, running: &Running, command: Command) {
        // The carrier runs for as long as it is listened to.
        let _ = running.commands.send(command).await;
    }

    async fn told(&mut self, running: &Running, told: Told) {
        let at = now();
        match told {
            Told::Offered { call } => {
                self.say(&format!("call {call} is offered to the server"));
                self.persons.insert(call, Person::new(at, self.format));
            }
            Told::Rings { call, from, to } => {
                self.say(&format!("call {call} from {from} rings at {to}"));
                self.persons.insert(call, Person::new(at, self.format));
            }
            Told::Answered { call } => {
                self.say("answered");
                self.with(&call, |person| person.answered = Some(at));
            }
            Told::Streaming { call } => {
                self.say("audio flows");
                self.stream(running, call).await;
            }
            Told::Heard { call, audio } => self.with(&call, |person| person.hear(at, &audio)),
            Told::Keys { call, digits } => {
                self.say(&format!("keys are heard: {digits}"));
                self.with(&call, |person| person.keys.push_str(&digits));
            }
            Told::Said { text, .. } => self.say(&format!("the carrier says: {text}")),
            Told::HandedOver { to, .. } => self.say(&format!("the call is handed over to {to}")),
            Told::Complaint { call, what } => {
                self.say(&format!("the carrier complains: {what}"));
                self.good = false;
                if let Some(call) = call {
                    self.with(&call, |person| person.complaints.push(what));
                }
            }
            Told::Ended { call, why } => {
                self.say(&format!("over: {why}"));
                if let Some(mut person) = self.persons.remove(&call) {
                    person.ended = Some((at, why));
                    self.tell_figures(&call, &person);
                    self.last = Some(person);
                }
            }
        }
    }

    fn with(&mut self, call: &str, does: impl FnOnce(&mut Person)) {
        if let Some(person) = self.persons.get_mut(call) {
            does(person);
        }
    }

    /// The audio of a call is up: the person speaks. After a loss it speaks on as it will.
    async fn stream(&mut self, running: &Running, call: String) {
        let at = now();
        let Some(person) = self.persons.get_mut(&call) else { return };
        if person.streaming.is_some() {
            return;
        }
        person.streaming = Some(at);
        person.hangs_up = Some(at + self.lasts);
        let keys = self.args.press.clone();
        person.presses = (!keys.is_empty()).then(|| (at + KEY_EVERY, keys));
        let audio = self.sound.to_vec();
        self.command(running, Command::Speak { call, audio }).await;
    }

    fn deadline(&self) -> Option<MonoTime> {
        let due = |person: &Person| [person.hangs_up, person.presses.as_ref().map(|it| it.0)];
        self.persons.values().flat_map(due).flatten().min()
    }

    /// Does what persons do by the clock.
    async fn due(&mut self, running: &Running) {
        let at = now();
        let mut commands = Vec::new();
        for (call, person) in &mut self.persons {
            if person.hangs_up.is_some_and(|due| due <= at) {
                person.hangs_up = None;
                commands.push(Command::Hangup(call.clone()));
            }
            let Some((due, keys)) = person.presses.take_if(|(due, _)| *due <= at) else { continue };
            let mut rest = keys.chars();
            if let Some(digit) = rest.next() {
                commands.push(Command::Press { call: call.clone(), digit });
            }
            let rest = rest.as_str().to_owned();
            person.presses = (!rest.is_empty()).then(|| (due + KEY_EVERY, rest));
        }
        for command in commands {
            self.command(running, command).await;
        }
    }

    async fn hang_up_all(&self, running: &Running) {
        for call in self.persons.keys() {
            self.command(running, Command::Hangup(call.clone())).await;
        }
    }

    fn tell_figures(&mut self, call: &str, person: &Person) {
        let figures = figures::of(call, person, self.chirps);
        self.good &= figures.is_good();
        if self.args.json {
            println!("{}", figures.to_json());
        } else {
            print!("\n{}\n", figures.to_text());
        }
    }

    /// Writes what is to be kept.
    pub(super) fn finish(self) -> Result<(), EmulateError> {
        match (&self.args.record, &self.last) {
            (Some(path), Some(person)) => write(path, person.heard()),
            _ => Ok(()),
        }
    }
}

fn write(path: &Path, samples: &[i16]) -> Result<(), EmulateError> {
    let failed = |source| EmulateError::Record { path: path.display().to_string(), source };
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: chirp::RATE_HZ,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(path, spec).map_err(failed)?;
    for sample in samples {
        file.write_sample(*sample).map_err(failed)?;
    }
    file.finalize().map_err(failed)
}

/// The path of a request as it may be shown: what stands behind the name of a hook is a secret.
fn shown(request: &HttpRequest) -> String {
    let url = request.url.split('?').next().unwrap_or_default();
    let path = url
        .split_once("://")
        .map_or(url, |(_, rest)| rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"));
    let hook = path.split_once("/telephony/");
    let segments = hook.map(|(_, rest)| rest.split('/').take(2).collect::<Vec<_>>().join("/"));
    match segments {
        Some(segments) => format!("/…/telephony/{segments}/…"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens in addresses are not shown.
    #[test]
    fn requests_are_shown_without_tokens() {
        for (url, expected) in [
            ("/v1/calls?a=b", "/v1/calls"),
            (
                "http://127.0.0.1:1/api/v1/telephony/acme/voice/token/call",
                "/…/telephony/acme/voice/…",
            ),
            ("https://a.example", "/"),
        ] {
            assert_eq!(shown(&HttpRequest::get(url.to_owned())), expected);
        }
    }
}
