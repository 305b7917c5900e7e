//! CXML, carried out verb by verb.

use http::StatusCode;
use serde_json::json;

use super::Cloudonix;
use super::line::Line;
use super::session::Doing;
use crate::emulate::xml::{self, Element};
use crate::emulate::{Clock, Output, Told};
use crate::exchange::{HttpRequest, HttpResponse};

/// Longest document, in bytes.
const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

impl Cloudonix {
    /// The answer to a question what a session does.
    pub(super) fn document(&mut self, clock: Clock, token: &str, answer: Option<HttpResponse>) {
        let status = answer.as_ref().map(|answer| answer.status);
        let document = answer.filter(|answer| answer.status == StatusCode::OK).and_then(|answer| {
            let kind = answer.headers.get("content-type")?.to_str().ok()?;
            let text = str::from_utf8(&answer.body).ok().filter(|t| t.len() < DOCUMENT_BYTES_MAX);
            text.filter(|_| kind.contains("xml")).and_then(read)
        });
        let Some(document) = document else {
            if self.live(token).is_some() {
                self.complain(Some(token), format!("no document, but {status:?}"));
                self.end(clock, token, "error");
            }
            return;
        };
        if let Some(session) = self.live(token) {
            session.verbs = document.children.into();
            session.doing = Doing::Next;
        }
        self.run(clock, token);
    }

    /// Carries out what a session still has to do, until something takes time.
    pub(super) fn run(&mut self, clock: Clock, token: &str) {
        loop {
            let Some(session) = self.live(token) else { return };
            if !matches!(session.doing, Doing::Next) {
                return;
            }
            let rings = session.rings();
            let Some(verb) = session.verbs.pop_front() else {
                return self.end(clock, token, "cancel");
            };
            if verb.name == "Reject" && rings {
                let status = match verb.attribute("reason") {
                    None | Some("rejected" | "busy") => "busy",
                    Some("congestion") => "congestion",
                    Some("failed") => "cancel",
                    Some(_) => "error",
                };
                return self.end(clock, token, status);
            }
            if rings {
                self.answer(clock, token);
            }
            self.verb(clock, token, &verb);
        }
    }

    fn verb(&mut self, clock: Clock, token: &str, verb: &Element) {
        let call = token.to_owned();
        match verb.name.as_str() {
            "Say" | "Play" => self.told(Told::Said { call, text: verb.text.clone() }),
            "Pause" => {}
            "Hangup" => self.end(clock, token, "cancel"),
            "Redirect" => self.ask(token, &verb.text, &[]),
            "Connect" => self.connect(clock, token, verb),
            "Dial" => self.dial(clock, token, verb),
            other => {
                self.complain(Some(token), format!("no verb {other}, or not now"));
                self.end(clock, token, "error");
            }
        }
    }

    fn connect(&mut self, clock: Clock, token: &str, verb: &Element) {
        const KNOWN: &[&str] = &["url", "name", "track", "statusCallback", "statusCallbackMethod"];
        let stream = verb.child("Stream");
        let attribute = |name| stream.and_then(|stream| stream.attribute(name));
        let url = attribute("url").unwrap_or_default().to_owned();
        let known = |name: &str| KNOWN.contains(&name);
        let odd = stream.is_some_and(|s| s.attributes.iter().any(|(name, _)| !known(name)));
        if odd || !verb.attributes.is_empty() {
            self.complain(Some(token), "an attribute that is not documented");
        }
        if url.contains('?') {
            self.complain(Some(token), "a query in the address of a stream");
        }
        if !url.starts_with("wss://") && !url.starts_with("ws://") {
            self.complain(Some(token), "no address of a WebSocket");
            return self.end(clock, token, "error");
        }
        let callback = attribute("statusCallback").map(str::to_owned);
        let stream = format!("cxstream-{:04}", self.next());
        let socket = self.number();
        self.lines.insert(socket, Line::new(socket, token, stream, callback));
        if let Some(session) = self.live(token) {
            session.doing = Doing::Streaming(socket);
        }
        self.outputs.push_back(Output::Open { socket, request: HttpRequest::get(url) });
    }

    fn dial(&mut self, clock: Clock, token: &str, verb: &Element) {
        if let Some(conference) = verb.child("Conference") {
            return self.meet(token, conference);
        }
        let Some(noun) = verb.child("Number").or_else(|| verb.child("Sip")) else {
            self.complain(Some(token), "Dial without anybody to dial");
            return self.end(clock, token, "error");
        };
        let Some(session) = self.live(token) else { return };
        let from = verb.attribute("callerId").map_or_else(|| session.from.clone(), str::to_owned);
        let to = noun.text.clone();
        let leg = self.begin(clock, "outbound", (&from, &to), Some(token.to_owned()));
        if let Some(session) = self.live(token) {
            let action = verb.attribute("action").map(str::to_owned);
            session.doing = Doing::Dialling(leg.clone(), action);
        }
        self.told(Told::HandedOver { call: token.to_owned(), to });
        let seconds = verb.attribute("timeout").and_then(|text| text.parse().ok()).unwrap_or(60);
        self.ring(clock, &leg, seconds);
    }

    fn meet(&mut self, token: &str, conference: &Element) {
        let room = conference.text.clone();
        let ends = conference.attribute("endConferenceOnExit") == Some("true");
        if let Some(session) = self.live(token) {
            session.doing = Doing::Meeting(room.clone(), ends);
        }
        self.told(Told::HandedOver { call: token.to_owned(), to: room });
        let wants = conference.attribute("statusCallbackEvent").unwrap_or_default();
        if let Some(url) = conference.attribute("statusCallback").filter(|_| wants.contains("join"))
        {
            let body = json!({"StatusCallbackEvent": "participant-join", "Session": token,
                "Domain": self.domain});
            self.tell(url, &body, true);
        }
    }

    /// A conference is over for all who are in it: each does what is next.
    pub(super) fn end_meeting(&mut self, clock: Clock, room: &str) {
        let there = self
            .sessions
            .values()
            .filter(|session| matches!(&session.doing, Doing::Meeting(other, _) if other == room));
        for token in there.map(|session| session.token.clone()).collect::<Vec<_>>() {
            if let Some(session) = self.live(&token) {
                session.doing = Doing::Next;
            }
            self.run(clock, &token);
        }
    }

    /// A session that another dialled is over: the other asks what it does now, or goes on.
    pub(super) fn leg_ended(
        &mut self,
        clock: Clock,
        parent: &str,
        leg: &str,
        status: &'static str,
    ) {
        let Some(session) = self.live(parent) else { return };
        let Doing::Dialling(_, action) = std::mem::replace(&mut session.doing, Doing::Next) else {
            return;
        };
        // Documents have words of their own.
        let word = match status {
            "answer" => "completed",
            "noanswer" => "no-answer",
            "cancel" => "canceled",
            "busy" => "busy",
            _ => "failed",
        };
        match action {
            Some(action) => {
                self.ask(parent, &action, &[("DialCallStatus", word), ("DialCallSid", leg)]);
            }
            None => self.run(clock, parent),
        }
    }

    /// A session gets another document in the middle of what it does.
    pub(super) fn switch(&mut self, clock: Clock, token: &str, document: Element) {
        let Some(session) = self.live(token) else { return };
        session.verbs = document.children.into();
        match std::mem::replace(&mut session.doing, Doing::Next) {
            Doing::Streaming(socket) => self.stop_stream(socket),
            Doing::Dialling(leg, _) => self.end(clock, &leg, "cancel"),
            Doing::Meeting(room, true) => self.end_meeting(clock, &room),
            Doing::Next | Doing::Asking | Doing::Meeting(..) => {}
        }
        self.run(clock, token);
    }
}

/// A document of this carrier's.
pub(super) fn read(text: &str) -> Option<Element> {
    xml::read(text).filter(|root| root.name == "Response")
}
