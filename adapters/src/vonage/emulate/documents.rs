//! Call control documents as Vonage runs them, and what legs do to a call.

use http::{HeaderValue, header};
use serde_json::{Value, json};

use super::call::{Doing, Kind, State, iso};
use super::media::{Media, Opening};
use super::{Asked, TRIES, Vonage, sign};
use crate::emulate::{Clock, Output, Told};
use crate::exchange::{HttpRequest, HttpResponse};

/// Most bytes of the headers of a socket.
const HEADERS_BYTES_MAX: usize = 512;

impl Vonage {
    /// A person calls a number of the account.
    pub(super) fn offer(&mut self, clock: Clock, from: &str, to: &str) {
        let plain = |number: &str| number.trim_start_matches('+').to_owned();
        let (from, to) = (plain(from), plain(to));
        let linked = self.linked.get(&to).copied().unwrap_or(false);
        let uuid = self.begin(clock, Kind::Inbound, &from, &to, None);
        if !linked || self.webhook("answer_url").is_none() {
            self.complain(Some(&uuid), "the number is linked to no application");
            self.end(clock, &uuid, "failed", &Value::Null);
            return;
        }
        self.told(Told::Offered { call: uuid.clone() });
        self.event(clock, &uuid, "started", &Value::Null);
        self.event(clock, &uuid, "ringing", &Value::Null);
        self.ask_for_document(clock, &uuid, 1);
    }

    fn ask_for_document(&mut self, clock: Clock, uuid: &str, tries: u32) {
        let Some(call) = self.calls.get_mut(uuid) else { return };
        call.doing = Doing::Asking;
        // As in webhooks, a UUID without hyphens.
        let mut body = json!({
            "from": call.from,
            "to": call.to,
            "uuid": call.uuid.replace('-', ""),
            "conversation_uuid": call.conversation,
            "endpoint_type": "phone",
        });
        if self.config.text("api_base").is_none() {
            body["region_url"] = json!("https://api-us-3.vonage.com");
        }
        let fallback = tries * 2 > TRIES;
        let name = if fallback { "fallback_answer_url" } else { "answer_url" };
        if fallback {
            body["reason"] = json!("Connection closed.");
            let url = self.webhook("answer_url");
            body["original_request"] = json!({"url": url, "type": "event"});
        }
        match self.webhook(name) {
            Some(url) => {
                let asked = Asked::Answer { call: uuid.to_owned(), tries };
                self.hook(clock, &url, &body, asked);
            }
            None => self.end(clock, uuid, "failed", &Value::Null),
        }
    }

    /// The answer to an offered call.
    pub(super) fn document(
        &mut self,
        clock: Clock,
        uuid: &str,
        tries: u32,
        answer: Option<HttpResponse>,
    ) {
        if self.calls.get(uuid).is_none_or(|call| call.state == State::Over) {
            return;
        }
        match answer {
            Some(answer) if answer.status.is_success() => self.run(clock, uuid, &answer.body),
            Some(answer) if !matches!(answer.status.as_u16(), 429 | 503 | 504) => {
                self.complain(Some(uuid), format!("answer_url answered {}", answer.status));
                self.end(clock, uuid, "failed", &Value::Null);
            }
            _ if tries < TRIES => self.ask_for_document(clock, uuid, tries + 1),
            _ => self.end(clock, uuid, "failed", &Value::Null),
        }
    }

    /// The answer to a webhook that may change what the call does next.
    pub(super) fn next_document(&mut self, clock: Clock, uuid: &str, answer: Option<HttpResponse>) {
        let Some(call) = self.calls.get_mut(uuid) else { return };
        if call.state == State::Over || call.doing != Doing::Asking {
            return;
        }
        call.doing = Doing::Next;
        let body = answer.filter(|answer| answer.status == http::StatusCode::OK);
        match body.filter(|answer| answer.body.starts_with(b"[")) {
            Some(answer) => self.run(clock, uuid, &answer.body),
            None => self.proceed(clock, uuid),
        }
    }

    /// Begins a document.
    pub(super) fn run(&mut self, clock: Clock, uuid: &str, document: &[u8]) {
        let Ok(Value::Array(actions)) = serde_json::from_slice(document) else {
            self.complain(Some(uuid), "Syntax error in NCCO. Not a list of actions.");
            self.end(clock, uuid, "failed", &Value::Null);
            return;
        };
        for action in &actions {
            if let Err(what) = examine(action) {
                self.complain(Some(uuid), format!("Syntax error in NCCO. {what}"));
                self.end(clock, uuid, "failed", &Value::Null);
                return;
            }
        }
        let Some(call) = self.calls.get_mut(uuid) else { return };
        call.actions = actions.into();
        call.doing = Doing::Next;
        self.proceed(clock, uuid);
    }

    /// Does the next action; without one the call is over.
    pub(super) fn proceed(&mut self, clock: Clock, uuid: &str) {
        loop {
            let Some(call) = self.calls.get_mut(uuid) else { return };
            if call.doing != Doing::Next || call.state == State::Over {
                return;
            }
            let Some(action) = call.actions.pop_front() else {
                self.end(clock, uuid, "completed", &json!({"disconnected_by": "platform"}));
                return;
            };
            match action["action"].as_str().unwrap_or_default() {
                "talk" => {
                    let text = action["text"].as_str().unwrap_or_default().to_owned();
                    self.answered_call(clock, uuid);
                    self.told(Told::Said { call: uuid.to_owned(), text });
                }
                "record" => call.recording_url = first(&action["eventUrl"]),
                "conversation" => {
                    let name = action["name"].as_str().unwrap_or_default().to_owned();
                    let ends = action["endOnExit"] == true;
                    call.doing = Doing::Meeting { name: name.clone(), ends };
                    self.answered_call(clock, uuid);
                    self.told(Told::HandedOver { call: uuid.to_owned(), to: name });
                }
                "connect" => self.connect(clock, uuid, &action),
                _ => {}
            }
        }
    }

    fn connect(&mut self, clock: Clock, uuid: &str, action: &Value) {
        let endpoint = &action["endpoint"][0];
        let event_url = first(&action["eventUrl"]);
        let synchronous = action["eventType"] == "synchronous";
        if endpoint["type"] == "websocket" {
            self.open_stream(clock, uuid, endpoint, event_url, synchronous);
            return;
        }
        let to = ["number", "uri", "extension"].iter().find_map(|name| endpoint[name].as_str());
        let to = to.unwrap_or_default().to_owned();
        let from = action["from"].as_str().unwrap_or("unknown").to_owned();
        let of = uuid.to_owned();
        let leg = self.begin(clock, Kind::Connected { of }, &from, &to, event_url);
        let ring_s = action["timeout"].as_u64().unwrap_or(super::RING_S);
        if let Some(leg) = self.calls.get_mut(&leg) {
            leg.rings_until = Some(clock.now + std::time::Duration::from_secs(ring_s));
        }
        if let Some(call) = self.calls.get_mut(uuid) {
            call.doing = Doing::Connected(leg.clone());
        }
        self.told(Told::HandedOver { call: uuid.to_owned(), to });
        self.ring(clock, &leg);
    }

    fn open_stream(
        &mut self,
        clock: Clock,
        uuid: &str,
        endpoint: &Value,
        event_url: Option<String>,
        synchronous: bool,
    ) {
        let uri = endpoint["uri"].as_str().unwrap_or_default().to_owned();
        let rate = endpoint["content-type"].as_str().and_then(|kind| kind.split_once("rate="));
        let rate_hz = rate.and_then(|(_, rate)| rate.parse().ok()).unwrap_or(16_000);
        let leg = self.uuid();
        let socket = self.number();
        let mut request = HttpRequest::get(uri.clone());
        let authorization = &endpoint["authorization"];
        let value = match authorization["type"].as_str() {
            Some("vonage") => {
                let jti = self.uuid();
                Some(sign::bearer(&self.config, clock.unix_ms / 1000, &jti, None))
            }
            Some("custom") => authorization["value"].as_str().map(str::to_owned),
            _ => None,
        };
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            request.headers.insert(header::AUTHORIZATION, value);
        }
        let call = uuid.to_owned();
        let headers = endpoint["headers"].clone();
        let opening = Opening { call, leg, uri, event_url, synchronous, headers, rate_hz };
        self.sockets.insert(socket, Media::new(opening));
        if let Some(call) = self.calls.get_mut(uuid) {
            call.doing = Doing::Streaming(socket);
        }
        self.outputs.push_back(Output::Open { socket, request });
    }

    /// An event of a media leg; true if the answer says what is next.
    fn stream_event(&mut self, clock: Clock, media: &Media, status: &str) -> bool {
        let Some(call) = self.calls.get(&media.call) else { return false };
        let body = json!({
            "from": call.from,
            "to": media.uri,
            "uuid": media.leg,
            "conversation_uuid": call.conversation,
            "status": status,
            "direction": "outbound",
            "headers": media.headers,
            "timestamp": iso(clock.unix_ms),
        });
        let Some(url) = media.event_url.clone().or_else(|| self.webhook("event_url")) else {
            return false;
        };
        let asks = media.synchronous
            && matches!(status, "disconnected" | "failed" | "unanswered")
            && call.state != State::Over;
        let call = media.call.clone();
        let asked = if asks { Asked::Next { call } } else { Asked::Event };
        self.hook(clock, &url, &body, asked);
        asks
    }

    pub(super) fn stream_opened(&mut self, clock: Clock, socket: u32) {
        let Some(mut media) = self.sockets.remove(&socket) else { return };
        let does = media.opened(clock.now, &self.quirks);
        self.stream_event(clock, &media, "answered");
        let call = media.call.clone();
        self.sockets.insert(socket, media);
        self.answered_call(clock, &call);
        self.told(Told::Streaming { call });
        self.does(clock, socket, vec![does]);
    }

    pub(super) fn stream_refused(&mut self, clock: Clock, socket: u32) {
        self.stream_gone(clock, socket, "failed");
    }

    /// A socket was closed by the server, or lost.
    pub(super) fn lost_stream(&mut self, clock: Clock, socket: u32) {
        self.stream_gone(clock, socket, "disconnected");
    }

    fn stream_gone(&mut self, clock: Clock, socket: u32, status: &str) {
        let Some(media) = self.sockets.remove(&socket) else { return };
        let asks = self.stream_event(clock, &media, status);
        let Some(call) = self.calls.get_mut(&media.call) else { return };
        if call.doing == Doing::Streaming(socket) {
            call.doing = if asks { Doing::Asking } else { Doing::Next };
            self.proceed(clock, &media.call);
        }
    }

    /// Closes a socket because the call goes elsewhere or is over.
    pub(super) fn close_stream(&mut self, clock: Clock, socket: u32) {
        let Some(media) = self.sockets.remove(&socket) else { return };
        if media.open {
            self.outputs.push_back(Output::Close { socket, code: 1000 });
        }
        self.stream_event(clock, &media, "completed");
    }

    /// A person picks up.
    pub(super) fn picked_up(&mut self, clock: Clock, uuid: &str) {
        let ringing = self.calls.get(uuid);
        if ringing.is_none_or(|call| call.state != State::Ringing || call.kind == Kind::Inbound) {
            return;
        }
        self.answered_call(clock, uuid);
        self.proceed_if_placed(clock, uuid);
    }

    fn proceed_if_placed(&mut self, clock: Clock, uuid: &str) {
        if self.calls.get(uuid).is_some_and(|call| call.kind == Kind::Outbound) {
            self.proceed(clock, uuid);
        }
    }

    /// The leg that a call was connected to came to nothing, or is over.
    pub(super) fn leg_ended(&mut self, clock: Clock, of: &str, leg: &str, status: &str) {
        let Some(call) = self.calls.get_mut(of) else { return };
        if call.doing != Doing::Connected(leg.to_owned()) || call.state == State::Over {
            return;
        }
        call.doing = Doing::Next;
        // One that came to nothing tells so by asking: see `end`.
        if status != "completed" && self.ask_after(clock, of, leg, status) {
            return;
        }
        self.proceed(clock, of);
    }

    /// Asks what the call does now that a leg of it came to nothing.
    fn ask_after(&mut self, clock: Clock, of: &str, leg: &str, status: &str) -> bool {
        let Some(ended) = self.calls.get(leg) else { return false };
        let Some(url) = ended.event_url.clone() else { return false };
        let body = ended.event(status, clock.unix_ms);
        if let Some(call) = self.calls.get_mut(of) {
            call.doing = Doing::Asking;
        }
        self.hook(clock, &url, &body, Asked::Next { call: of.to_owned() });
        true
    }
}

/// The first of a list of addresses, which a single address is not.
fn first(urls: &Value) -> Option<String> {
    urls.as_array()?.first()?.as_str().map(str::to_owned)
}

/// What is wrong with an action.
fn examine(action: &Value) -> Result<(), String> {
    let is_list = |name: &str| action[name].is_null() || first(&action[name]).is_some();
    match action["action"].as_str() {
        Some("connect") => {
            let endpoints = action["endpoint"].as_array().map_or(0, Vec::len);
            if endpoints != 1 {
                return Err("connect takes one endpoint.".to_owned());
            }
            examine_endpoint(&action["endpoint"][0])?;
        }
        Some("talk") if !action["text"].is_string() => return Err("talk without text.".to_owned()),
        Some("conversation") if !action["name"].is_string() => {
            return Err("conversation without name.".to_owned());
        }
        Some("talk" | "conversation" | "record" | "stream" | "input" | "notify" | "wait") => {}
        _ => return Err("Invalid value type or action.".to_owned()),
    }
    if is_list("eventUrl") && is_list("streamUrl") {
        Ok(())
    } else {
        Err("addresses are lists.".to_owned())
    }
}

fn examine_endpoint(endpoint: &Value) -> Result<(), String> {
    match endpoint["type"].as_str() {
        Some("websocket") => {
            let rates = ["8000", "16000", "24000"].map(|rate| format!("audio/l16;rate={rate}"));
            let kind = endpoint["content-type"].as_str().unwrap_or_default();
            if !rates.iter().any(|rate| rate == kind) {
                return Err(format!("content-type {kind}"));
            }
            let uri = endpoint["uri"].as_str().unwrap_or_default();
            if !uri.starts_with("ws://") && !uri.starts_with("wss://") {
                return Err("uri of a websocket".to_owned());
            }
            if endpoint["headers"].to_string().len() > HEADERS_BYTES_MAX {
                return Err("headers too long".to_owned());
            }
            Ok(())
        }
        Some("phone") if endpoint["number"].as_str().is_some_and(is_number) => Ok(()),
        Some("sip") if endpoint["uri"].as_str().is_some_and(|uri| uri.starts_with("sip")) => Ok(()),
        Some("vbc") if endpoint["extension"].is_string() => Ok(()),
        _ => Err("endpoint".to_owned()),
    }
}

/// True for a telephone number as Vonage wants it: digits alone.
pub(super) fn is_number(text: &str) -> bool {
    (7..=15).contains(&text.len())
        && !text.starts_with('0')
        && text.bytes().all(|byte| byte.is_ascii_digit())
}
