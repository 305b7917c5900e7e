//! An Asterisk in miniature, as far as its REST interface goes: channels and bridges, a socket of
//! events, external media by each of its ways. Written from what Asterisk documents and what a real
//! one (22.10) does; nothing is shared with the adapter's own reading and writing.

mod audio;
mod channel;
mod events;
mod external;
mod media;
mod persons;
mod rest;
mod sockets;
mod wires;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use ::media::codec::AudioFormat;
use ::media::time::MonoTime;
use serde_json::{Value, json};

use self::channel::{Bridge, Channel};
use self::sockets::Use;
use crate::config::RawConfig;
use crate::emulate::{
    Clock, Command, Emulator, EmulatorSpec, EmulatorStart, Output, Quirks, SocketInput, Told,
    WireOutput, Wires,
};
use crate::exchange::{HttpRequest, HttpResponse};

/// What persons speak and hear.
const SPOKEN: AudioFormat = AudioFormat::PCMU;
/// How long a frame is, in milliseconds.
const FRAME_MS: u32 = 20;
/// How long a caller waits for somebody to take the application, in milliseconds: a server that has
/// just been told of it has yet to come.
const APP_WAIT_MS: u64 = 10_000;

/// What the table names.
pub(super) static EMULATOR: EmulatorSpec = EmulatorSpec {
    config: |api_base| {
        json!({
            "ari_url": api_base,
            "username": "talkpath",
            "password": "emulated-password",
            "endpoint": "PJSIP/{number}@trunk",
            "ws_client": "talkpath",
        })
    },
    audio: SPOKEN,
    open: |start| Box::new(Pbx::new(start)),
};

struct Pbx {
    config: RawConfig,
    /// Where the API is, and its port of UDP.
    at: Option<SocketAddr>,
    /// The address of the server, for what the files of this PBX name.
    server: Option<String>,
    quirks: Quirks,
    /// Applications that somebody listens for, and the events of each that are not wanted.
    apps: BTreeMap<String, Vec<String>>,
    channels: BTreeMap<String, Channel>,
    bridges: BTreeMap<String, Bridge>,
    sockets: BTreeMap<u32, Use>,
    /// Callers for whom there is no application yet, and until when they wait.
    waiting: Vec<(String, MonoTime)>,
    /// When the next frame is due, while somebody hears somebody.
    tick: Option<MonoTime>,
    /// An event that the next one overtakes.
    held_event: Option<(String, Value)>,
    outputs: VecDeque<Output>,
    wires: VecDeque<WireOutput>,
    ids: u64,
    numbered: u32,
}

/// Host and port of an address of HTTP, if they are literal.
fn socket_of(url: &str) -> Option<SocketAddr> {
    let rest = url.split("://").nth(1)?;
    rest.split('/').next()?.parse().ok()
}

impl Pbx {
    fn new(start: EmulatorStart) -> Self {
        let EmulatorStart { config, voice_url, seed, quirks, .. } = start;
        let at = config.text("ari_url").and_then(socket_of);
        Self {
            config,
            at,
            server: voice_url,
            quirks,
            apps: BTreeMap::new(),
            channels: BTreeMap::new(),
            bridges: BTreeMap::new(),
            sockets: BTreeMap::new(),
            waiting: Vec::new(),
            tick: None,
            held_event: None,
            outputs: VecDeque::new(),
            wires: VecDeque::new(),
            ids: seed,
            numbered: 0,
        }
    }

    /// The id of a channel that nobody named.
    fn next_id(&mut self, clock: Clock) -> String {
        self.ids += 1;
        format!("pbx-{}.{}", clock.unix_ms / 1000, self.ids)
    }

    /// A UUID that no other has.
    fn uuid(&mut self) -> String {
        self.ids += 1;
        let mixed = self.ids.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (high, low) = (mixed >> 32, mixed & 0xffff_ffff);
        format!("{high:08x}-{:04x}-4000-8000-0000{low:08x}", self.ids & 0xffff)
    }

    const fn number(&mut self) -> u32 {
        self.numbered += 1;
        self.numbered
    }

    fn told(&mut self, told: Told) {
        self.outputs.push_back(Output::Told(told));
    }

    fn complain(&mut self, call: Option<&str>, what: impl Into<String>) {
        self.told(Told::Complaint { call: call.map(str::to_owned), what: what.into() });
    }

    /// Whoever was called answers, or has waited in vain; connections that did not come; cuts.
    fn channels_due(&mut self, clock: Clock) {
        let due = |at: Option<MonoTime>| at.is_some_and(|at| at <= clock.now);
        let all: Vec<String> = self.channels.keys().cloned().collect();
        for id in all {
            let Some(channel) = self.channels.get_mut(&id) else { continue };
            if due(channel.answers_at) {
                channel.answers_at = None;
                self.answers(clock, &id);
            } else if due(channel.ends_at) {
                channel.ends_at = None;
                // Nobody wanted that: there is no request, and no word of how it was dialled.
                self.end(clock, &id, channel::NO_ANSWER, Some(480));
            } else if due(channel.cut_at) {
                channel.cut_at = None;
                self.cut(clock, &id);
            }
        }
        let late = self.waiting.extract_if(.., |(_, until)| *until <= clock.now);
        for (id, _) in late.collect::<Vec<_>>() {
            self.fails(&id);
        }
    }
}

impl Emulator for Pbx {
    fn rest(&mut self, clock: Clock, request: &HttpRequest) -> Option<HttpResponse> {
        self.request(clock, request)
    }

    fn answered(&mut self, _: Clock, _: u32, _: Option<HttpResponse>) {}

    fn socket(&mut self, clock: Clock, socket: u32, input: SocketInput<'_>) {
        self.socket_input(clock, socket, input);
    }

    fn command(&mut self, clock: Clock, command: Command) {
        self.person(clock, command);
    }

    fn timeout(&mut self, clock: Clock) {
        self.channels_due(clock);
        if self.tick.is_some_and(|at| at <= clock.now) {
            let next = self.tick.unwrap_or(clock.now) + Duration::from_millis(FRAME_MS.into());
            // What was missed is not made up for.
            self.tick = Some(next.max(clock.now));
            self.frame(clock);
        }
    }

    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn deadline(&self) -> Option<MonoTime> {
        let channels = self.channels.values();
        let channels = channels.flat_map(|it| [it.answers_at, it.ends_at, it.cut_at]).flatten();
        let waiting = self.waiting.iter().map(|(_, until)| *until);
        channels.chain(waiting).chain(self.tick).min()
    }

    fn wires(&mut self) -> Option<&mut dyn Wires> {
        Some(self)
    }
}

#[cfg(test)]
mod tests;
