//! TwiML, carried out verb by verb.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value};

use super::call::{Call, Doing};
use super::media::Media;
use super::{Twilio, sign};
use crate::emulate::xml::{self, Element};
use crate::emulate::{Clock, Output, Told};
use crate::exchange::HttpResponse;

/// Longest document, in bytes.
const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

impl Twilio {
    /// The answer to a question what a call does.
    pub(super) fn document(
        &mut self,
        clock: Clock,
        sid: &str,
        url: &str,
        answer: Option<HttpResponse>,
    ) {
        if self.calls.get(sid).is_none_or(Call::is_over) {
            return;
        }
        let status = answer.as_ref().map(|answer| answer.status);
        let read = answer.filter(|answer| answer.status == StatusCode::OK).map(|answer| {
            let kind = answer.headers.get("content-type").and_then(|kind| kind.to_str().ok());
            let is_xml = kind.is_some_and(|kind| kind.contains("xml"));
            let text = str::from_utf8(&answer.body).ok().filter(|t| t.len() < DOCUMENT_BYTES_MAX);
            let document = text.and_then(xml::read).filter(|root| root.name == "Response");
            if is_xml { document.ok_or("12100") } else { Err("12300") }
        });
        let error = match read {
            Some(Ok(document)) => {
                if let Some(call) = self.calls.get_mut(sid) {
                    call.verbs = document.children.into();
                    call.doing = Doing::Next;
                }
                return self.run(clock, sid);
            }
            Some(Err(error)) => error,
            None => "11200",
        };
        self.complain(Some(sid), format!("{error}: no document, but {status:?}"));
        let fallback = self.calls.get_mut(sid).and_then(|call| call.fallback.take());
        match fallback {
            Some(fallback) => {
                self.ask(sid, &fallback, &[("ErrorCode", error), ("ErrorUrl", url)]);
            }
            None => self.end(clock, sid, "failed", None),
        }
    }

    /// Carries out what a call still has to do, until something takes time.
    pub(super) fn run(&mut self, clock: Clock, sid: &str) {
        loop {
            let Some(call) = self.calls.get_mut(sid).filter(|call| !call.is_over()) else { return };
            if !matches!(call.doing, Doing::Next) {
                return;
            }
            let Some(verb) = call.verbs.pop_front() else {
                return self.end(clock, sid, "completed", None);
            };
            let unanswered = call.status == "ringing";
            if verb.name == "Reject" && unanswered {
                let busy = verb.attribute("reason") == Some("busy");
                let (status, sip) = if busy { ("busy", 486) } else { ("no-answer", 603) };
                return self.end(clock, sid, status, Some(sip));
            }
            if unanswered {
                self.answer(clock, sid);
            }
            self.verb(clock, sid, &verb);
        }
    }

    fn verb(&mut self, clock: Clock, sid: &str, verb: &Element) {
        let call = sid.to_owned();
        match verb.name.as_str() {
            "Say" => self.told(Told::Said { call, text: verb.text.clone() }),
            "Play" => match verb.attribute("digits") {
                Some(digits) => self.told(Told::Keys { call, digits: digits.to_owned() }),
                None => self.told(Told::Said { call, text: verb.text.clone() }),
            },
            "Pause" => {}
            "Hangup" => self.end(clock, sid, "completed", None),
            "Reject" => self.complain(Some(sid), "12200: Reject after the answer"),
            "Connect" => self.connect(sid, verb),
            "Dial" => self.dial(clock, sid, verb),
            "Refer" => {
                let to = verb.child("Sip").map(|to| to.text.clone()).unwrap_or_default();
                self.told(Told::HandedOver { call, to });
                if let Some(action) = verb.attribute("action") {
                    let outcome = [
                        ("ReferCallStatus", "completed"),
                        ("ReferSipResponseCode", "202"),
                        ("NotifySipResponseCode", "200"),
                    ];
                    self.ask(sid, action, &outcome);
                }
            }
            other => self.complain(Some(sid), format!("12200: no verb {other}")),
        }
    }

    fn connect(&mut self, sid: &str, verb: &Element) {
        let Some(stream) = verb.child("Stream") else {
            return self.complain(Some(sid), "12200: Connect without Stream");
        };
        const KNOWN: &[&str] = &["url", "name", "track", "statusCallback", "statusCallbackMethod"];
        for (name, _) in &stream.attributes {
            if !KNOWN.contains(&name.as_str()) {
                self.complain(Some(sid), format!("12200: Stream has no attribute {name}"));
            }
        }
        let url = stream.attribute("url").unwrap_or_default();
        let here = ["ws://127.0.0.1", "ws://localhost", "ws://[::1]"];
        if !url.starts_with("wss://") && !here.iter().any(|here| url.starts_with(here)) {
            return self.complain(Some(sid), "31922: the scheme is not wss");
        }
        // Whatever stands behind a question mark is lost.
        let url = url.split('?').next().unwrap_or_default();
        let mut parameters = Map::new();
        for child in stream.children.iter().filter(|child| child.name == "Parameter") {
            let value = child.attribute("value").unwrap_or_default();
            let name = child.attribute("name").unwrap_or_default();
            parameters.insert(name.to_owned(), Value::from(value));
        }
        let request = sign::upgrade(&self.token(), url);
        let socket = self.number();
        let media = Media::new(
            sid.to_owned(),
            self.sid("MZ"),
            self.account.clone(),
            stream.attribute("name").unwrap_or_default().to_owned(),
            stream.attribute("statusCallback").map(str::to_owned),
            Value::Object(parameters),
        );
        self.sockets.insert(socket, media);
        if let Some(call) = self.calls.get_mut(sid) {
            call.doing = Doing::Streaming(socket, verb.attribute("action").map(str::to_owned));
        }
        self.outputs.push_back(Output::Open { socket, request });
    }

    fn dial(&mut self, clock: Clock, sid: &str, verb: &Element) {
        if let Some(conference) = verb.child("Conference") {
            let name = conference.text.clone();
            let ends = conference.attribute("endConferenceOnExit") == Some("true");
            if let Some(call) = self.calls.get_mut(sid) {
                call.doing = Doing::Meeting(name.clone(), ends);
            }
            return self.told(Told::HandedOver { call: sid.to_owned(), to: name });
        }
        let nouns = ["Number", "Sip", "Client"];
        let noun = nouns.iter().find_map(|name| verb.child(name));
        let Some(noun) = noun else {
            return self.complain(Some(sid), "12200: Dial without anybody to dial");
        };
        let Some(call) = self.calls.get(sid) else { return };
        let from = verb.attribute("callerId").map_or_else(|| call.from.clone(), str::to_owned);
        let to = noun.text.clone();
        let leg = self.begin(clock, "outbound-dial", &from, &to, Some(sid.to_owned()));
        if let Some(call) = self.calls.get_mut(&leg) {
            let events = noun.attribute("statusCallbackEvent").unwrap_or("completed");
            let events = events.split(' ').map(str::to_owned).collect();
            call.callback = noun.attribute("statusCallback").map(|url| (url.to_owned(), events));
        }
        if let Some(call) = self.calls.get_mut(sid) {
            let action = verb.attribute("action").map(str::to_owned);
            call.doing = Doing::Dialling(leg.clone(), action);
        }
        self.told(Told::HandedOver { call: sid.to_owned(), to });
        let seconds = verb.attribute("timeout").and_then(|text| text.parse().ok()).unwrap_or(30);
        self.ring(clock, &leg, Some(Duration::from_secs(seconds)));
    }

    /// A leg that a call dialled is over: the call asks what it does now.
    pub(super) fn leg_ended(&mut self, clock: Clock, parent: &str, leg: &str, status: &str) {
        let seconds = self.calls.get(leg).map_or(0, Call::seconds).to_string();
        let Some(call) = self.calls.get_mut(parent).filter(|call| !call.is_over()) else { return };
        let Doing::Dialling(_, action) = std::mem::replace(&mut call.doing, Doing::Next) else {
            return;
        };
        match action {
            Some(action) => {
                let outcome = [
                    ("DialCallStatus", status),
                    ("DialCallSid", leg),
                    ("DialCallDuration", &seconds),
                ];
                self.ask(parent, &action, &outcome);
            }
            None => self.run(clock, parent),
        }
    }

    /// A call gets another document in the middle of what it does.
    pub(super) fn redirect(&mut self, clock: Clock, sid: &str, document: Element) {
        let Some(call) = self.calls.get_mut(sid) else { return };
        call.verbs = document.children.into();
        match std::mem::replace(&mut call.doing, Doing::Next) {
            Doing::Streaming(socket, _) => self.stop_stream(clock, socket),
            Doing::Dialling(leg, _) => self.end(clock, &leg, "completed", None),
            Doing::Next | Doing::Asking | Doing::Meeting(..) => {}
        }
        self.run(clock, sid);
    }
}
