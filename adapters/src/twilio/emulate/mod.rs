//! Twilio in miniature. Written from Twilio's documents; nothing is shared with the adapter's own
//! reading and writing.

mod call;
mod documents;
mod media;
mod persons;
mod rest;
mod sign;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ::media::codec::AudioFormat;
use ::media::time::MonoTime;
use serde_json::json;

use self::call::{Call, Doing, stream_fields};
use self::media::{Does, Media};
use crate::agent::MessageKind;
use crate::config::RawConfig;
use crate::emulate::{
    Clock, Command, Emulator, EmulatorSpec, EmulatorStart, Output, Quirks, SocketInput, Told,
};
use crate::exchange::{HttpRequest, HttpResponse};

/// The emulator.
pub(super) static EMULATOR: EmulatorSpec = EmulatorSpec {
    config: |api_base| {
        json!({
            "account_sid": "ACe0000000000000000000000000000e0a",
            "auth_token": "emulatedemulatedemulatedemulated",
            "api_base": api_base,
        })
    },
    audio: AudioFormat::PCMU,
    open: |start| Box::new(Twilio::new(start)),
};

/// What the answer to a webhook is for.
#[derive(Debug)]
enum Asked {
    /// Nothing.
    Told,
    /// The document that tells what a call does; where it was asked, and whether there is a second
    /// place.
    Document { call: String, url: String },
}

/// A number of the account.
#[derive(Debug, Default)]
struct Number {
    sid: String,
    /// What was set, by the API's names.
    fields: BTreeMap<String, String>,
}

struct Twilio {
    config: RawConfig,
    account: String,
    numbers: BTreeMap<String, Number>,
    applications: BTreeMap<String, BTreeMap<String, String>>,
    quirks: Quirks,
    calls: BTreeMap<String, Call>,
    sockets: BTreeMap<u32, Media>,
    asked: BTreeMap<u32, Asked>,
    outputs: VecDeque<Output>,
    held: Option<(u32, HttpRequest)>,
    ids: u64,
    numbered: u32,
}

impl Twilio {
    fn new(start: EmulatorStart) -> Self {
        let EmulatorStart { config, numbers, voice_url, seed, quirks } = start;
        let account = config.text("account_sid").unwrap_or_default().to_owned();
        let mut twilio = Self {
            config,
            account,
            numbers: BTreeMap::new(),
            applications: BTreeMap::new(),
            quirks,
            calls: BTreeMap::new(),
            sockets: BTreeMap::new(),
            asked: BTreeMap::new(),
            outputs: VecDeque::new(),
            held: None,
            ids: seed,
            numbered: 0,
        };
        for number in numbers {
            let mut fields = BTreeMap::new();
            if let Some(url) = &voice_url {
                fields.insert("VoiceUrl".to_owned(), url.clone());
                // The hook of states lies beside it, as the server lays them out.
                fields.insert("StatusCallback".to_owned(), url.replacen("/voice/", "/status/", 1));
            }
            let sid = twilio.sid("PN");
            twilio.numbers.insert(number, Number { sid, fields });
        }
        twilio
    }

    /// An id that no other has.
    fn sid(&mut self, prefix: &str) -> String {
        self.ids = self.ids.wrapping_add(1);
        let mixed = self.ids.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{prefix}{mixed:016x}{:016x}", self.ids)
    }

    const fn number(&mut self) -> u32 {
        self.numbered += 1;
        self.numbered
    }

    fn token(&self) -> String {
        self.config.text("auth_token").unwrap_or_default().to_owned()
    }

    fn told(&mut self, told: Told) {
        self.outputs.push_back(Output::Told(told));
    }

    fn complain(&mut self, call: Option<&str>, what: impl Into<String>) {
        self.told(Told::Complaint { call: call.map(str::to_owned), what: what.into() });
    }

    /// Sends a signed webhook.
    fn hook(&mut self, url: &str, fields: &[(String, String)], asked: Asked) {
        let idempotency = self.sid("");
        let request = sign::webhook(&self.token(), url, fields, &idempotency);
        let hook = self.number();
        let told = matches!(asked, Asked::Told);
        self.asked.insert(hook, asked);
        if !told {
            self.outputs.push_back(Output::Hook { hook, request });
            return;
        }
        if self.quirks.hooks_lost {
            return;
        }
        if self.quirks.hooks_twice {
            self.outputs.push_back(Output::Hook { hook, request: request.clone() });
        }
        if !self.quirks.hooks_swapped {
            self.outputs.push_back(Output::Hook { hook, request });
            return;
        }
        match self.held.take() {
            None => self.held = Some((hook, request)),
            Some((earlier, held)) => {
                self.outputs.push_back(Output::Hook { hook, request });
                self.outputs.push_back(Output::Hook { hook: earlier, request: held });
            }
        }
    }

    /// Tells a change of a call's state to whoever wants to know it.
    fn changed(&mut self, clock: Clock, sid: &str, event: &str) {
        let Some(call) = self.calls.get_mut(sid) else { return };
        let Some((url, events)) = call.callback.clone() else { return };
        if events.iter().any(|wanted| wanted == event) {
            let fields = call.change(&self.account, clock.unix_ms);
            self.hook(&url, &fields, Asked::Told);
        }
    }

    /// Asks what a call does next.
    fn ask(&mut self, sid: &str, url: &str, more: &[(&str, &str)]) {
        let Some(call) = self.calls.get_mut(sid) else { return };
        call.doing = Doing::Asking;
        let mut fields = call.fields(&self.account);
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        fields.extend(more.iter().map(owned));
        let asked = Asked::Document { call: sid.to_owned(), url: url.to_owned() };
        self.hook(url, &fields, asked);
    }

    /// Tells what became of a media stream.
    fn stream_event(&mut self, clock: Clock, socket: u32, event: &str, error: Option<&str>) {
        let Some(media) = self.sockets.get(&socket) else { return };
        let Some(url) = media.callback.clone() else { return };
        let stream = (media.sid.as_str(), media.name.as_str());
        let mut fields = stream_fields(&self.account, &media.call, stream, event, clock.unix_ms);
        if let Some(error) = error {
            fields.push(("StreamError".to_owned(), error.to_owned()));
        }
        self.hook(&url, &fields, Asked::Told);
    }

    /// A telephone is answered, or a call by the server's document.
    fn answer(&mut self, clock: Clock, sid: &str) {
        let Some(call) = self.calls.get_mut(sid) else { return };
        if call.status == "in-progress" || call.is_over() {
            return;
        }
        "in-progress".clone_into(&mut call.status);
        call.answered_ms = Some(clock.unix_ms);
        (call.rings_until, call.answers_at) = (None, None);
        let detection = call.detection.clone();
        let machine = self.quirks.machine.clone().unwrap_or_else(|| "human".to_owned());
        if detection.as_deref() == Some("") {
            call.answered_by = Some(machine.clone());
        }
        self.changed(clock, sid, "answered");
        self.told(Told::Answered { call: sid.to_owned() });
        if let Some(url) = detection.filter(|url| !url.is_empty()) {
            let fields = [
                ("AccountSid", self.account.clone()),
                ("CallSid", sid.to_owned()),
                ("AnsweredBy", machine),
                ("MachineDetectionDuration", "3890".to_owned()),
            ];
            let fields = fields.map(|(name, value)| (name.to_owned(), value));
            self.hook(&url, &fields, Asked::Told);
        }
    }

    /// A call comes to its end; `status` is the carrier's word for how.
    fn end(&mut self, clock: Clock, sid: &str, status: &str, sip: Option<u16>) {
        let Some(call) = self.calls.get_mut(sid) else { return };
        if call.is_over() {
            return;
        }
        status.clone_into(&mut call.status);
        call.ended_ms = Some(clock.unix_ms);
        call.sip = sip;
        (call.rings_until, call.answers_at) = (None, None);
        call.verbs.clear();
        let parent = call.parent.clone();
        let recording = call.recording.take();
        let doing = std::mem::replace(&mut call.doing, Doing::Next);
        match doing {
            Doing::Streaming(socket, _) => self.stop_stream(clock, socket),
            Doing::Dialling(leg, _) => self.end(clock, &leg, "completed", None),
            Doing::Meeting(name, true) => self.end_meeting(clock, &name),
            Doing::Next | Doing::Asking | Doing::Meeting(..) => {}
        }
        self.changed(clock, sid, "completed");
        if let Some((url, recording)) = recording {
            self.recorded(clock, sid, &url, &recording);
        }
        if let Some((hook, request)) = self.held.take() {
            self.outputs.push_back(Output::Hook { hook, request });
        }
        self.told(Told::Ended { call: sid.to_owned(), why: status.to_owned() });
        if let Some(parent) = parent {
            self.leg_ended(clock, &parent, sid, status);
        }
    }

    fn end_meeting(&mut self, clock: Clock, name: &str) {
        let there = |call: &&Call| matches!(&call.doing, Doing::Meeting(other, _) if other == name);
        let others: Vec<_> =
            self.calls.values().filter(there).map(|call| call.sid.clone()).collect();
        for other in others {
            self.end(clock, &other, "completed", None);
        }
    }

    fn recorded(&mut self, clock: Clock, sid: &str, url: &str, recording: &str) {
        let Some(call) = self.calls.get(sid) else { return };
        let since = call.answered_ms.unwrap_or(clock.unix_ms);
        let seconds = clock.unix_ms.saturating_sub(since).div_ceil(1000).to_string();
        let place = format!("https://api.twilio.com/2010-04-01/Accounts/{}", self.account);
        let fields = [
            ("AccountSid", self.account.clone()),
            ("CallSid", sid.to_owned()),
            ("RecordingSid", recording.to_owned()),
            ("RecordingUrl", format!("{place}/Recordings/{recording}")),
            ("RecordingStatus", "completed".to_owned()),
            ("RecordingDuration", seconds),
            ("RecordingChannels", "2".to_owned()),
        ];
        self.hook(url, &fields.map(|(name, value)| (name.to_owned(), value)), Asked::Told);
    }

    /// The carrier ends a stream, in order.
    fn stop_stream(&mut self, clock: Clock, socket: u32) {
        self.stream_event(clock, socket, "stream-stopped", None);
        let Some(mut media) = self.sockets.remove(&socket) else { return };
        if media.is_up() {
            let bytes = media.stop().into_bytes();
            self.outputs.push_back(Output::Message { socket, kind: MessageKind::Text, bytes });
        }
        self.outputs.push_back(Output::Close { socket, code: 1000 });
    }

    /// A stream is over, by the server or by accident: the call goes on.
    fn stream_ended(&mut self, clock: Clock, socket: u32, error: Option<&str>) {
        let event = if error.is_some() { "stream-error" } else { "stream-stopped" };
        self.stream_event(clock, socket, event, error);
        let Some(media) = self.sockets.remove(&socket) else { return };
        let Some(call) = self.calls.get_mut(&media.call) else { return };
        let doing = std::mem::replace(&mut call.doing, Doing::Next);
        match doing {
            Doing::Streaming(_, Some(action)) => self.ask(&media.call, &action, &[]),
            _ => self.run(clock, &media.call),
        }
    }

    fn perform(&mut self, socket: u32, does: Vec<Does>, clock: Clock) {
        for does in does {
            let Some(media) = self.sockets.get(&socket) else { return };
            let call = media.call.clone();
            match does {
                Does::Text(text) => {
                    let bytes = text.into_bytes();
                    let kind = MessageKind::Text;
                    self.outputs.push_back(Output::Message { socket, kind, bytes });
                }
                Does::Heard(audio) => self.told(Told::Heard { call, audio }),
                Does::Complaint(what) => self.complain(Some(&call), what),
                Does::Cut => {
                    self.outputs.push_back(Output::Cut { socket });
                    self.stream_ended(clock, socket, Some("31924"));
                }
            }
        }
    }
}

impl Emulator for Twilio {
    fn rest(&mut self, clock: Clock, request: &HttpRequest) -> Option<HttpResponse> {
        self.api(clock, request)
    }

    fn answered(&mut self, clock: Clock, hook: u32, answer: Option<HttpResponse>) {
        match self.asked.remove(&hook) {
            Some(Asked::Document { call, url }) => self.document(clock, &call, &url, answer),
            Some(Asked::Told) if answer.as_ref().is_none_or(|a| !a.status.is_success()) => {
                let status = answer.map_or(0, |answer| answer.status.as_u16());
                self.complain(None, format!("11200: a callback was answered with {status}"));
            }
            Some(Asked::Told) | None => {}
        }
    }

    fn socket(&mut self, clock: Clock, socket: u32, input: SocketInput<'_>) {
        let Some(media) = self.sockets.get_mut(&socket) else { return };
        let call = media.call.clone();
        match input {
            SocketInput::Opened => {
                let does = media.open(clock.now, &self.quirks);
                self.stream_event(clock, socket, "stream-started", None);
                self.told(Told::Streaming { call });
                self.perform(socket, does, clock);
            }
            SocketInput::Refused(status) => {
                self.complain(Some(&call), format!("31920: the handshake was not 101: {status:?}"));
                self.stream_ended(clock, socket, Some("31920"));
            }
            SocketInput::Message(MessageKind::Binary, _) => {
                self.complain(Some(&call), "31950: a binary message");
            }
            SocketInput::Message(MessageKind::Text, text) => {
                let does = media.take(clock.now, text, &self.quirks);
                self.perform(socket, does, clock);
            }
            SocketInput::Closed(code) => {
                let lost = code.is_none().then_some("31924");
                self.stream_ended(clock, socket, lost);
            }
        }
    }

    fn command(&mut self, clock: Clock, command: Command) {
        self.person(clock, command);
    }

    fn timeout(&mut self, clock: Clock) {
        let due = |at: Option<MonoTime>| at.is_some_and(|at| at <= clock.now);
        let calls: Vec<_> = self
            .calls
            .values()
            .filter(|call| due(call.rings_until) || due(call.answers_at))
            .map(|call| (call.sid.clone(), due(call.answers_at)))
            .collect();
        for (sid, answers) in calls {
            if answers {
                self.pick_up(clock, &sid);
            } else {
                self.end(clock, &sid, "no-answer", Some(487));
            }
        }
        let sockets: Vec<_> = self
            .sockets
            .iter()
            .filter(|(_, media)| due(media.deadline()))
            .map(|(socket, _)| *socket)
            .collect();
        for socket in sockets {
            let Some(media) = self.sockets.get_mut(&socket) else { continue };
            let does = media.tick(clock.now, &self.quirks);
            self.perform(socket, does, clock);
        }
    }

    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn deadline(&self) -> Option<MonoTime> {
        let calls = self.calls.values().flat_map(|call| [call.rings_until, call.answers_at]);
        let media = self.sockets.values().map(Media::deadline);
        calls.chain(media).flatten().min()
    }
}

/// Seconds that a telephone rings if nothing else is said.
const RING: Duration = Duration::from_secs(60);
