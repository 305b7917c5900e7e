//! What persons do: they call, pick up, speak, hang up.

use std::collections::VecDeque;
use std::time::Duration;

use super::call::{Call, Doing};
use super::{RING, Twilio};
use crate::agent::MessageKind;
use crate::emulate::{Clock, Command, Output, Told};

impl Twilio {
    /// A call begins.
    pub(super) fn begin(
        &mut self,
        clock: Clock,
        direction: &'static str,
        from: &str,
        to: &str,
        parent: Option<String>,
    ) -> String {
        let sid = self.sid("CA");
        let call = Call {
            sid: sid.clone(),
            direction,
            parent,
            from: from.to_owned(),
            to: to.to_owned(),
            status: "queued".to_owned(),
            callback: None,
            fallback: None,
            verbs: VecDeque::new(),
            doing: Doing::Next,
            rings_until: None,
            answers_at: None,
            told: 0,
            detection: None,
            answered_by: None,
            began_ms: clock.unix_ms,
            answered_ms: None,
            ended_ms: None,
            sip: None,
            recording: None,
        };
        self.calls.insert(sid.clone(), call);
        sid
    }

    /// A telephone rings.
    pub(super) fn ring(&mut self, clock: Clock, sid: &str, longest: Option<Duration>) {
        let answers = self.quirks.answer_after_ms;
        let Some(call) = self.calls.get_mut(sid) else { return };
        "initiated".clone_into(&mut call.status);
        call.rings_until = Some(clock.now + longest.unwrap_or(RING));
        call.answers_at = answers.map(|ms| clock.now + Duration::from_millis(ms.into()));
        let (from, to) = (call.from.clone(), call.to.clone());
        self.changed(clock, sid, "initiated");
        if let Some(call) = self.calls.get_mut(sid) {
            "ringing".clone_into(&mut call.status);
        }
        self.changed(clock, sid, "ringing");
        self.told(Told::Rings { call: sid.to_owned(), from, to });
    }

    /// A person picks up.
    pub(super) fn pick_up(&mut self, clock: Clock, sid: &str) {
        let Some(call) = self.calls.get(sid) else { return };
        if call.status != "ringing" || call.direction == "inbound" {
            return;
        }
        let parent = call.parent.clone();
        self.answer(clock, sid);
        match parent {
            // It talks with the call that dialled it.
            Some(_) => {}
            None => self.run(clock, sid),
        }
    }

    fn offer(&mut self, clock: Clock, from: &str, to: &str) {
        let number = self.numbers.get(to);
        let field = |name: &str| {
            let number = number?;
            let application = number.fields.get("VoiceApplicationSid");
            let application = application.and_then(|sid| self.applications.get(sid));
            let fields = application.unwrap_or(&number.fields);
            fields.get(name).filter(|value| !value.is_empty()).cloned()
        };
        let (voice, fallback) = (field("VoiceUrl"), field("VoiceFallbackUrl"));
        let callback = field("StatusCallback");
        let sid = self.begin(clock, "inbound", from, to, None);
        let Some(call) = self.calls.get_mut(&sid) else { return };
        "ringing".clone_into(&mut call.status);
        call.fallback = fallback;
        call.callback = callback.map(|url| (url, vec!["completed".to_owned()]));
        match voice {
            Some(url) => {
                self.told(Told::Offered { call: sid.clone() });
                self.ask(&sid, &url, &[]);
            }
            None => self.end(clock, &sid, "failed", Some(404)),
        }
    }

    pub(super) fn person(&mut self, clock: Clock, command: Command) {
        match command {
            Command::Call { from, to } => self.offer(clock, &from, &to),
            Command::Answer(call) => self.pick_up(clock, &call),
            Command::Busy(call) => self.decline(clock, &call, "busy", 486),
            Command::Decline(call) => self.decline(clock, &call, "busy", 603),
            Command::Hangup(call) => {
                let up = self.calls.get(&call).is_some_and(|call| call.answered_ms.is_some());
                let status = if up { "completed" } else { "no-answer" };
                self.end(clock, &call, status, None);
            }
            Command::Speak { call, audio } => {
                if let Some(socket) = self.stream_of(&call)
                    && let Some(media) = self.sockets.get_mut(&socket)
                {
                    media.speak(&audio);
                }
            }
            Command::Press { call, digit } => {
                if let Some(socket) = self.stream_of(&call)
                    && let Some(media) = self.sockets.get_mut(&socket).filter(|m| m.is_up())
                {
                    let bytes = media.press(digit).into_bytes();
                    let kind = MessageKind::Text;
                    self.outputs.push_back(Output::Message { socket, kind, bytes });
                }
            }
            Command::Drop(call) => {
                if let Some(socket) = self.stream_of(&call) {
                    self.outputs.push_back(Output::Cut { socket });
                    self.stream_ended(clock, socket, Some("31924"));
                }
            }
        }
    }

    fn decline(&mut self, clock: Clock, sid: &str, status: &str, sip: u16) {
        let ringing = |call: &Call| call.status == "ringing" && call.direction != "inbound";
        if self.calls.get(sid).is_some_and(ringing) {
            self.end(clock, sid, status, Some(sip));
        }
    }

    fn stream_of(&self, sid: &str) -> Option<u32> {
        match self.calls.get(sid)?.doing {
            Doing::Streaming(socket, _) => Some(socket),
            _ => None,
        }
    }
}
