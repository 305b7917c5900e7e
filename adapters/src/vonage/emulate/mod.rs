//! Vonage in miniature. Written from Vonage's documents; nothing is shared with the adapter's own
//! reading and writing.

mod call;
mod documents;
mod media;
mod rest;
mod sign;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ::media::codec::AudioFormat;
use ::media::time::MonoTime;
use http::{HeaderValue, header};
use serde_json::{Value, json};

use self::call::{Call, Doing, Kind, State};
use self::media::{Does, Media};
use crate::agent::MessageKind;
use crate::config::RawConfig;
use crate::emulate::{
    Clock, Command, Emulator, EmulatorSpec, EmulatorStart, Output, Quirks, SocketInput, Told,
};
use crate::exchange::{HttpRequest, HttpResponse};

/// Seconds that a telephone rings if nothing else is said.
const RING_S: u64 = 60;
/// Tries of a webhook that asks for a document: twice, and twice at the fallback address.
const TRIES: u32 = 4;

/// The emulator.
pub(super) static SPEC: EmulatorSpec = EmulatorSpec {
    config: |api_base| {
        json!({
            "application_id": "11111111-2222-4333-8444-555555555555",
            "private_key": include_str!("key.pem"),
            "api_key": "0a1b2c3d",
            "api_secret": "emulated-api-secret",
            "signature_secret": "emulated-signature-secret-0123456789",
            "api_base": api_base,
        })
    },
    // Of a socket at 16 kHz, which is the default; at another rate it is that of the socket.
    audio: AudioFormat::l16le(16_000),
    open: |start| Box::new(Vonage::new(start)),
};

/// What the answer to a webhook is for.
#[derive(Debug)]
enum Asked {
    /// An event: the answer says nothing.
    Event,
    /// The document of an offered call; how many times it was asked for.
    Answer { call: String, tries: u32 },
    /// What the call does next; nothing means its next action.
    Next { call: String },
}

struct Vonage {
    config: RawConfig,
    numbers: Vec<String>,
    application: Value,
    linked: BTreeMap<String, bool>,
    quirks: Quirks,
    calls: BTreeMap<String, Call>,
    sockets: BTreeMap<u32, Media>,
    asked: BTreeMap<u32, Asked>,
    outputs: VecDeque<Output>,
    held_event: Option<(u32, HttpRequest)>,
    ids: u64,
    numbered: u32,
}

impl Vonage {
    fn new(start: EmulatorStart) -> Self {
        let EmulatorStart { config, numbers, voice_url, seed, quirks } = start;
        let mut webhooks = json!({});
        if let Some(url) = voice_url {
            // The other hook lies beside it, as the server lays them out.
            let events = url.replacen("/answer/", "/events/", 1);
            webhooks["answer_url"] = json!({"address": url, "http_method": "POST"});
            webhooks["event_url"] = json!({"address": events, "http_method": "POST"});
        }
        let application = json!({
            "id": config.text("application_id"),
            "name": "emulated",
            "keys": {"public_key": "-----BEGIN PUBLIC KEY-----\n"},
            "privacy": {"improve_ai": false},
            "capabilities": {"voice": {"webhooks": webhooks, "signed_callbacks": true}},
        });
        let plain = |number: &String| number.trim_start_matches('+').to_owned();
        let numbers: Vec<_> = numbers.iter().map(plain).collect();
        let linked = numbers.iter().map(|number| (number.clone(), true)).collect();
        Self {
            config,
            numbers,
            application,
            linked,
            quirks,
            calls: BTreeMap::new(),
            sockets: BTreeMap::new(),
            asked: BTreeMap::new(),
            outputs: VecDeque::new(),
            held_event: None,
            ids: seed,
            numbered: 0,
        }
    }

    /// A UUID that no other has.
    fn uuid(&mut self) -> String {
        self.ids = self.ids.wrapping_add(1);
        let mixed = self.ids.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (high, low) = (mixed >> 32, mixed & 0xffff_ffff);
        format!(
            "{high:08x}-{:04x}-4000-8000-{:04x}{low:08x}",
            self.ids >> 16 & 0xffff,
            self.ids & 0xffff
        )
    }

    const fn number(&mut self) -> u32 {
        self.numbered += 1;
        self.numbered
    }

    /// The address of one of the application's webhooks.
    fn webhook(&self, name: &str) -> Option<String> {
        let webhook = &self.application["capabilities"]["voice"]["webhooks"][name];
        webhook["address"].as_str().map(str::to_owned)
    }

    /// Sends a signed webhook.
    fn hook(&mut self, clock: Clock, url: &str, body: &Value, asked: Asked) {
        let body = body.to_string();
        let jti = self.uuid();
        let bearer = sign::bearer(&self.config, clock.unix_ms / 1000, &jti, Some(body.as_bytes()));
        let mut request = HttpRequest::post(url.to_owned(), "application/json", body);
        if let Ok(value) = HeaderValue::from_str(&bearer) {
            request.headers.insert(header::AUTHORIZATION, value);
        }
        let hook = self.number();
        let is_event = matches!(asked, Asked::Event);
        self.asked.insert(hook, asked);
        let quirks = &self.quirks;
        if !is_event {
            self.outputs.push_back(Output::Hook { hook, request });
            return;
        }
        if quirks.hooks_lost {
            return;
        }
        if quirks.hooks_twice {
            self.outputs.push_back(Output::Hook { hook, request: request.clone() });
        }
        if !quirks.hooks_swapped {
            self.outputs.push_back(Output::Hook { hook, request });
            return;
        }
        match self.held_event.take() {
            None => self.held_event = Some((hook, request)),
            Some((earlier, held)) => {
                self.outputs.push_back(Output::Hook { hook, request });
                self.outputs.push_back(Output::Hook { hook: earlier, request: held });
            }
        }
    }

    /// Tells an event of a call.
    fn event(&mut self, clock: Clock, uuid: &str, status: &str, more: &Value) {
        let Some(call) = self.calls.get_mut(uuid) else { return };
        call.status = status.to_owned();
        let mut event = call.event(status, clock.unix_ms);
        for (name, value) in more.as_object().into_iter().flatten() {
            event[name] = value.clone();
        }
        let url = call.event_url.clone().or_else(|| self.webhook("event_url"));
        if let Some(url) = url {
            self.hook(clock, &url, &event, Asked::Event);
        }
    }

    fn told(&mut self, told: Told) {
        self.outputs.push_back(Output::Told(told));
    }

    fn complain(&mut self, call: Option<&str>, what: impl Into<String>) {
        self.told(Told::Complaint { call: call.map(str::to_owned), what: what.into() });
    }

    /// A call of a person, or to one, begins.
    fn begin(
        &mut self,
        clock: Clock,
        kind: Kind,
        from: &str,
        to: &str,
        event_url: Option<String>,
    ) -> String {
        let uuid = self.uuid();
        let conversation = format!("CON-{}", self.uuid());
        let ringing = kind != Kind::Inbound;
        let answers = self.quirks.answer_after_ms.filter(|_| ringing);
        let call = Call {
            uuid: uuid.clone(),
            conversation,
            kind,
            state: State::Ringing,
            from: from.to_owned(),
            to: to.to_owned(),
            event_url,
            actions: VecDeque::new(),
            doing: Doing::Next,
            rings_until: ringing.then(|| clock.now + Duration::from_secs(RING_S)),
            answers_at: answers.map(|ms| clock.now + Duration::from_millis(ms.into())),
            detects: false,
            answered_ms: None,
            ended_ms: None,
            status: "started".to_owned(),
            recording_url: None,
        };
        self.calls.insert(uuid.clone(), call);
        uuid
    }

    /// A telephone rings.
    fn ring(&mut self, clock: Clock, uuid: &str) {
        let Some(call) = self.calls.get(uuid) else { return };
        let (from, to) = (call.from.clone(), call.to.clone());
        self.event(clock, uuid, "started", &Value::Null);
        self.event(clock, uuid, "ringing", &Value::Null);
        self.told(Told::Rings { call: uuid.to_owned(), from, to });
    }

    /// A call is answered, by the person or by the server.
    fn answered_call(&mut self, clock: Clock, uuid: &str) {
        let Some(call) = self.calls.get_mut(uuid) else { return };
        if call.state != State::Ringing {
            return;
        }
        call.state = State::Answered;
        call.answered_ms = Some(clock.unix_ms);
        (call.rings_until, call.answers_at) = (None, None);
        let detects = call.detects;
        self.event(clock, uuid, "answered", &json!({"rate": "0.01270000", "start_time": null}));
        self.told(Told::Answered { call: uuid.to_owned() });
        if let (true, Some(machine)) = (detects, self.quirks.machine.clone()) {
            self.detected(clock, uuid, &machine);
        }
    }

    /// Who answered: `human`, `machine`, or `machine:beep_start`.
    fn detected(&mut self, clock: Clock, uuid: &str, machine: &str) {
        let (status, sub_state) = machine.split_once(':').unwrap_or((machine, ""));
        let Some(call) = self.calls.get(uuid) else { return };
        let mut event = call.event(status, clock.unix_ms);
        // This one event calls the call by another name.
        let id = event.as_object_mut().and_then(|event| event.remove("uuid"));
        event["call_uuid"] = id.unwrap_or_default();
        if !sub_state.is_empty() {
            event["sub_state"] = json!(sub_state);
        }
        if let Some(url) = call.event_url.clone().or_else(|| self.webhook("event_url")) {
            self.hook(clock, &url, &event, Asked::Event);
        }
    }

    /// A call comes to its end. `status` is what it is before `completed`, if it is anything else.
    fn end(&mut self, clock: Clock, uuid: &str, status: &str, more: &Value) {
        let Some(call) = self.calls.get_mut(uuid) else { return };
        if call.state == State::Over {
            return;
        }
        call.state = State::Over;
        call.ended_ms = Some(clock.unix_ms);
        (call.rings_until, call.answers_at) = (None, None);
        call.actions.clear();
        let doing = std::mem::replace(&mut call.doing, Doing::Next);
        let (duration, price) = (call.duration_s().to_string(), call.price());
        let recording = call.recording_url.take();
        let kind = call.kind.clone();
        match doing {
            Doing::Streaming(socket) => self.close_stream(clock, socket),
            Doing::Connected(leg) => self.end(clock, &leg, "completed", &Value::Null),
            Doing::Meeting { name, ends: true } => self.end_meeting(clock, &name),
            Doing::Next | Doing::Asking | Doing::Meeting { .. } => {}
        }
        let mut last = more.clone();
        // A leg that came to nothing asks what its call does now.
        if status != "completed" && !matches!(kind, Kind::Connected { .. }) {
            self.event(clock, uuid, status, more);
        }
        if !last.is_object() {
            last = json!({});
        }
        last["duration"] = json!(duration);
        last["price"] = json!(price);
        last["rate"] = json!("0.01270000");
        // After a refusal nothing follows.
        if status != "rejected" {
            self.event(clock, uuid, "completed", &last);
        }
        if let Some(url) = recording {
            self.recorded(clock, uuid, &url);
        }
        if let Some((hook, request)) = self.held_event.take() {
            self.outputs.push_back(Output::Hook { hook, request });
        }
        self.told(Told::Ended { call: uuid.to_owned(), why: status.to_owned() });
        if let Kind::Connected { of } = kind {
            self.leg_ended(clock, &of, uuid, status);
        }
    }

    fn end_meeting(&mut self, clock: Clock, name: &str) {
        let there =
            |call: &&Call| matches!(&call.doing, Doing::Meeting { name: n, .. } if n == name);
        let others: Vec<_> =
            self.calls.values().filter(there).map(|call| call.uuid.clone()).collect();
        for other in others {
            self.end(clock, &other, "completed", &Value::Null);
        }
    }

    fn recorded(&mut self, clock: Clock, uuid: &str, url: &str) {
        let Some(call) = self.calls.get(uuid) else { return };
        let (start, end) = (call.answered_ms.unwrap_or(clock.unix_ms), clock.unix_ms);
        let conversation = call.conversation.clone();
        let id = self.uuid();
        let body = json!({
            "start_time": call::iso(start),
            "end_time": call::iso(end),
            "size": 12_222,
            "recording_url": format!("https://api.nexmo.com/v1/files/{id}"),
            "recording_uuid": id,
            "conversation_uuid": conversation,
            "timestamp": call::iso(end),
        });
        self.hook(clock, url, &body, Asked::Event);
    }

    /// Does what a socket wants.
    fn does(&mut self, clock: Clock, socket: u32, does: Vec<Does>) {
        for does in does {
            let call = self.sockets.get(&socket).map(|media| media.call.clone());
            let call = call.unwrap_or_default();
            match does {
                Does::Text(text) => self.outputs.push_back(Output::Message {
                    socket,
                    kind: MessageKind::Text,
                    bytes: text.into_bytes(),
                }),
                Does::Audio(bytes) => {
                    let kind = MessageKind::Binary;
                    self.outputs.push_back(Output::Message { socket, kind, bytes });
                }
                Does::Heard(audio) => self.told(Told::Heard { call, audio }),
                Does::Complaint(what) => self.complain(Some(&call), what),
                Does::Cut(why) => {
                    if let Some(what) = why {
                        self.complain(Some(&call), what);
                    }
                    self.outputs.push_back(Output::Cut { socket });
                    self.lost_stream(clock, socket);
                    return;
                }
            }
        }
    }

    fn stream_of(&mut self, call: &str) -> Option<(u32, &mut Media)> {
        let Doing::Streaming(socket) = self.calls.get(call)?.doing else { return None };
        self.sockets.get_mut(&socket).map(|media| (socket, media))
    }
}

impl Emulator for Vonage {
    fn rest(&mut self, clock: Clock, request: &HttpRequest) -> Option<HttpResponse> {
        self.answer_request(clock, request)
    }

    fn answered(&mut self, clock: Clock, hook: u32, answer: Option<HttpResponse>) {
        match self.asked.remove(&hook) {
            Some(Asked::Answer { call, tries }) => self.document(clock, &call, tries, answer),
            Some(Asked::Next { call }) => self.next_document(clock, &call, answer),
            Some(Asked::Event) | None => {}
        }
    }

    fn socket(&mut self, clock: Clock, socket: u32, input: SocketInput<'_>) {
        match input {
            SocketInput::Opened => self.stream_opened(clock, socket),
            SocketInput::Refused(_) => self.stream_refused(clock, socket),
            SocketInput::Closed(_) => self.lost_stream(clock, socket),
            SocketInput::Message(kind, bytes) => {
                let Some(media) = self.sockets.get_mut(&socket) else { return };
                let does = match kind {
                    MessageKind::Binary => media.binary(bytes),
                    MessageKind::Text => media.text(bytes),
                };
                self.does(clock, socket, does);
            }
        }
    }

    fn command(&mut self, clock: Clock, command: Command) {
        match command {
            Command::Call { from, to } => self.offer(clock, &from, &to),
            Command::Answer(call) => self.picked_up(clock, &call),
            Command::Busy(call) => self.end(clock, &call, "busy", &json!({"sip_code": 486})),
            Command::Decline(call) => {
                let why = json!({"detail": "declined", "sip_code": 603});
                self.end(clock, &call, "rejected", &why);
            }
            Command::Hangup(call) => {
                let ringing = self.calls.get(&call).is_some_and(|c| c.state == State::Ringing);
                let status = if ringing { "cancelled" } else { "completed" };
                self.end(clock, &call, status, &json!({"disconnected_by": "user"}));
            }
            Command::Speak { call, audio } => {
                if let Some((_, media)) = self.stream_of(&call) {
                    media.speak(&audio);
                }
            }
            Command::Press { call, digit } => {
                let pressed = self.stream_of(&call).map(|(at, media)| (at, media.press(digit)));
                if let Some((socket, does)) = pressed {
                    self.does(clock, socket, vec![does]);
                }
            }
            Command::Drop(call) => {
                let socket = self.stream_of(&call).map(|(socket, _)| socket);
                if let Some(socket) = socket {
                    self.does(clock, socket, vec![Does::Cut(None)]);
                }
            }
        }
    }

    fn timeout(&mut self, clock: Clock) {
        let due = |at: Option<MonoTime>| at.is_some_and(|at| at <= clock.now);
        let calls = || self.calls.values();
        let answering: Vec<_> =
            calls().filter(|call| due(call.answers_at)).map(|call| call.uuid.clone()).collect();
        let unanswered: Vec<_> =
            calls().filter(|call| due(call.rings_until)).map(|call| call.uuid.clone()).collect();
        for call in answering {
            self.picked_up(clock, &call);
        }
        for call in unanswered {
            self.end(clock, &call, "timeout", &Value::Null);
        }
        let sockets: Vec<_> = self
            .sockets
            .iter()
            .filter(|(_, media)| due(media.deadline()))
            .map(|(at, _)| *at)
            .collect();
        for socket in sockets {
            let Some(media) = self.sockets.get_mut(&socket) else { continue };
            let does = media.timeout(clock.now, &self.quirks);
            self.does(clock, socket, does);
        }
    }

    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn deadline(&self) -> Option<MonoTime> {
        let calls = self.calls.values().flat_map(|call| [call.rings_until, call.answers_at]);
        calls.chain(self.sockets.values().map(Media::deadline)).flatten().min()
    }
}
