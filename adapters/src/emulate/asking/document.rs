//! What the server's documents say, carried out element by element.

use std::time::Duration;

use super::{Carrier, ELEMENTS_MAX, Line, State};
use crate::emulate::xml::{self, Element};
use crate::emulate::{Clock, Output, Told};

impl Carrier {
    /// Takes a document in the place of whatever was still to be done.
    pub(super) fn obey(&mut self, clock: Clock, id: &str, body: &[u8]) {
        let document = str::from_utf8(body).ok().and_then(xml::read);
        let Some(root) = document.filter(|root| root.name == "Response") else {
            self.complain(id, "8011: the document is no <Response>");
            return self.end(clock, id, "completed", (8011, "Invalid Answer XML", "Error"));
        };
        self.leave(id);
        let Some(call) = self.live(id) else { return };
        (call.document, call.redirected) = (root.children.into(), false);
        self.go_on(clock, id);
    }

    /// What a call did until now is over: it is sent elsewhere.
    pub(super) fn leave(&mut self, id: &str) {
        let Some(call) = self.live(id) else { return };
        call.document.clear();
        if let Some(line) = call.line.take() {
            self.outputs.push_back(Output::Close { socket: line.socket, code: 1000 });
        }
    }

    /// Carries out elements until one has to be waited for.
    pub(super) fn go_on(&mut self, clock: Clock, id: &str) {
        for _ in 0..ELEMENTS_MAX {
            let Some(call) = self.live(id) else { return };
            let Some(element) = call.document.pop_front() else {
                let why = (4010, "End Of XML Instructions", self.variant.name);
                return self.end(clock, id, "completed", why);
            };
            if self.element(clock, id, &element) {
                return;
            }
        }
        self.complain(id, "a document without end");
    }

    /// An inbound call is answered by whatever plays or connects.
    fn take(&mut self, clock: Clock, id: &str) {
        let Some(call) = self.live(id).filter(|call| call.state == State::Ringing) else { return };
        (call.state, call.answered) = (State::Answered, Some(clock.now));
        self.told(Told::Answered { call: id.to_owned() });
    }

    /// Carries out one element; true if it has to be waited for.
    fn element(&mut self, clock: Clock, id: &str, element: &Element) -> bool {
        if let Some(unknown) = self.unknown_attribute(element) {
            let what = format!("8011: {unknown} is no attribute of <{}>", element.name);
            self.complain(id, &what);
            self.end(clock, id, "completed", (8011, "Invalid Answer XML", "Error"));
            return true;
        }
        let text = element.text.trim().to_owned();
        let attribute = |name: &str| element.attribute(name).map(str::to_owned);
        match &*element.name {
            "Stream" => {
                self.take(clock, id);
                self.stream(id, element, text);
                true
            }
            "Redirect" => {
                self.ask(clock, id, &text, "Redirect");
                true
            }
            "Hangup" => {
                let unanswered = self.live(id).is_some_and(|call| call.state == State::Ringing);
                match attribute("reason").as_deref() {
                    Some("busy") if unanswered => {
                        self.end(clock, id, "busy", (3010, "Busy Line", "Answer XML"));
                    }
                    Some("rejected") if unanswered => {
                        self.end(clock, id, "busy", (3020, "Rejected", "Answer XML"));
                    }
                    _ => self.end(clock, id, "completed", (4000, "Normal Hangup", "Answer XML")),
                }
                true
            }
            "Speak" => {
                self.take(clock, id);
                self.told(Told::Said { call: id.to_owned(), text });
                false
            }
            "Dial" => {
                self.take(clock, id);
                self.dial(clock, id, element);
                true
            }
            "Conference" => {
                self.take(clock, id);
                let allowed = attribute("stayAlone").as_deref() == Some("true");
                if self.variant.puts_out && !allowed {
                    self.complain(id, "alone in a conference");
                    let why = (4000, "Normal Hangup", self.variant.name);
                    self.end(clock, id, "completed", why);
                    return true;
                }
                self.told(Told::HandedOver { call: id.to_owned(), to: text });
                true
            }
            other => {
                let what = format!("8011: <{other}> is no element");
                self.complain(id, &what);
                self.end(clock, id, "completed", (8011, "Invalid Answer XML", "Error"));
                true
            }
        }
    }

    fn stream(&mut self, id: &str, element: &Element, url: String) {
        let attribute = |name: &str| element.attribute(name);
        let fits = attribute("bidirectional") == Some("true")
            && attribute("contentType") == Some("audio/x-mulaw;rate=8000");
        if !fits {
            self.complain(id, "a stream that the emulator does not speak");
        }
        self.sockets += 1;
        let (socket, stream) = (self.sockets, self.uuid());
        self.serial += 1;
        let request = (self.variant.upgrade)(&self.token, self.serial, &url);
        let events = attribute("statusCallbackUrl").map(str::to_owned);
        let line = Line::new(&self.variant.dialect, socket, (stream, url, events));
        if let Some(call) = self.live(id) {
            call.line = Some(line);
        }
        self.outputs.push_back(Output::Open { socket, request });
    }

    fn dial(&mut self, clock: Clock, id: &str, element: &Element) {
        let destination = element.child("Number").or_else(|| element.child("User"));
        let to = destination.map(|to| to.text.trim().to_owned()).unwrap_or_default();
        let attribute = |name: &str| element.attribute(name).map(str::to_owned).unwrap_or_default();
        let from = attribute("callerId");
        let answers = self.quirks.answer_after_ms;
        let leg = self.begin(false, &from, &to, "", "");
        if let Some(call) = self.live(&leg) {
            let by = (id.to_owned(), attribute("action"), attribute("callbackUrl"));
            call.dialled_by = Some(by);
            let ring_s = attribute("timeout").parse().unwrap_or(120);
            call.gives_up = Some(clock.now + Duration::from_secs(ring_s));
            call.answers = answers.map(|ms| clock.now + Duration::from_millis(ms.into()));
        }
        self.told(Told::Rings { call: leg, from, to });
    }

    fn unknown_attribute<'e>(&self, element: &'e Element) -> Option<&'e str> {
        let mut documented = self.variant.attributes.iter();
        let (_, known) = documented.find(|(name, _)| *name == element.name)?;
        let mut names = element.attributes.iter().map(|(name, _)| name.as_str());
        names.find(|name| !known.contains(name))
    }
}
