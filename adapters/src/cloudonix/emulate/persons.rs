//! What persons do, and how sessions begin and end.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::json;

use super::session::{Doing, Session};
use super::{Cloudonix, SESSIONS_MAX, UUID};
use crate::emulate::{Clock, Command, Output, Told};

impl Cloudonix {
    /// A session begins.
    pub(super) fn begin(
        &mut self,
        clock: Clock,
        direction: &'static str,
        (from, to): (&str, &str),
        parent: Option<String>,
    ) -> String {
        if self.sessions.len() >= SESSIONS_MAX {
            self.sessions.retain(|_, session| !session.is_over());
        }
        let token = self.session_token();
        let session = Session {
            token: token.clone(),
            id: 22_000_000 + self.next(),
            direction,
            parent,
            from: from.to_owned(),
            to: to.to_owned(),
            status: "new",
            callback: None,
            verbs: VecDeque::new(),
            doing: Doing::Next,
            rings_until: None,
            answers_at: None,
            detection: None,
            recording: None,
            began_ms: clock.unix_ms,
            answered_ms: None,
            ended_ms: None,
        };
        self.sessions.insert(token.clone(), session);
        token
    }

    /// A telephone rings. That is told in a burst.
    pub(super) fn ring(&mut self, clock: Clock, token: &str, seconds: u64) {
        let answers = self.quirks.answer_after_ms;
        for status in ["new", "processing", "processing", "ringing", "ringing"] {
            self.changed(clock, token, status);
        }
        let Some(session) = self.live(token) else { return };
        session.rings_until = Some(clock.now + Duration::from_secs(seconds));
        session.answers_at = answers.map(|ms| clock.now + Duration::from_millis(ms.into()));
        let (call, from, to) = (token.to_owned(), session.from.clone(), session.to.clone());
        self.told(Told::Rings { call, from, to });
    }

    /// A telephone is answered, or a call by the server's document.
    pub(super) fn answer(&mut self, clock: Clock, token: &str) {
        let Some(session) = self.live(token).filter(|session| session.rings()) else { return };
        session.answered_ms = Some(clock.unix_ms);
        (session.rings_until, session.answers_at) = (None, None);
        let detection = session.detection.take();
        self.changed(clock, token, "connected");
        self.changed(clock, token, "connected");
        self.told(Told::Answered { call: token.to_owned() });
        if let Some(url) = detection {
            let who = self.quirks.machine.clone().unwrap_or_else(|| "human".to_owned());
            self.tell(&url, &json!({"Session": token, "AnsweredBy": who}), true);
        }
    }

    /// A person picks up.
    pub(super) fn pick_up(&mut self, clock: Clock, token: &str) {
        let Some(session) = self.live(token) else { return };
        if !session.rings() || session.direction == "inbound" {
            return;
        }
        let dialled = session.parent.is_some();
        self.answer(clock, token);
        // One that was dialled talks with the session that did.
        if !dialled {
            self.run(clock, token);
        }
    }

    /// A session comes to its end; `status` is the carrier's word for how.
    pub(super) fn end(&mut self, clock: Clock, token: &str, status: &'static str) {
        let Some(session) = self.live(token) else { return };
        // What was answered ends in one way, unless something failed.
        let failed = matches!(status, "error" | "congestion");
        let status = if session.rings() || failed { status } else { "answer" };
        session.ended_ms = Some(clock.unix_ms);
        session.verbs.clear();
        let (parent, recording) = (session.parent.take(), session.recording.take());
        match std::mem::replace(&mut session.doing, Doing::Next) {
            Doing::Streaming(socket) => self.stop_stream(socket),
            Doing::Dialling(leg, _) => self.end(clock, &leg, "cancel"),
            Doing::Meeting(room, true) => self.end_meeting(clock, &room),
            Doing::Next | Doing::Asking | Doing::Meeting(..) => {}
        }
        self.changed(clock, token, status);
        if let Some(url) = recording {
            let body = json!({"Session": token, "RecordingStatus": "completed",
                "RecordingSid": format!("rec-{token}"), "RecordingDuration": 1,
                "RecordingUrl": "https://recordings.example.test/a.wav"});
            self.tell(&url, &body, true);
        }
        self.record(token);
        self.told(Told::Ended { call: token.to_owned(), why: status.to_owned() });
        if let Some(parent) = parent {
            self.leg_ended(clock, &parent, token, status);
        }
    }

    /// Sends the record of a session, which carries no credential.
    fn record(&mut self, token: &str) {
        let url = self.profile.get("cdr-endpoint").and_then(serde_json::Value::as_str);
        let url = url.unwrap_or_default().to_owned();
        let record = self.sessions.get(token).map(|session| session.record(&self.domain, UUID));
        if let Some(record) = record {
            self.tell(&url, &record, false);
        }
        self.let_go();
    }

    /// The carrier ends a stream, in order.
    pub(super) fn stop_stream(&mut self, socket: u32) {
        let Some(mut line) = self.lines.remove(&socket) else { return };
        line.stop(&mut self.outputs);
        self.stream_event(&line, "stream-stopped");
        self.outputs.push_back(Output::Close { socket, code: 1000 });
    }

    fn offer(&mut self, clock: Clock, from: &str, to: &str) {
        let dnid = self.dnids.iter().find(|dnid| dnid.source == to);
        let application = dnid.and_then(|dnid| {
            self.applications.iter().find(|application| application.id == dnid.application)
        });
        let url = application.map(|application| application.url.clone());
        let token = self.begin(clock, "inbound", (from, to), None);
        self.changed(clock, &token, "new");
        match url.filter(|url| !url.is_empty()) {
            Some(url) => {
                self.told(Told::Offered { call: token.clone() });
                self.ask(&token, &url, &[]);
            }
            None => self.end(clock, &token, "error"),
        }
    }

    pub(super) fn person(&mut self, clock: Clock, command: Command) {
        match command {
            Command::Call { from, to } => self.offer(clock, &from, &to),
            Command::Answer(call) => self.pick_up(clock, &call),
            Command::Busy(call) => self.decline(clock, &call, "busy"),
            // Whoever declines is busy: there is no other word for it.
            Command::Decline(call) => self.decline(clock, &call, "busy"),
            Command::Hangup(call) => self.end(clock, &call, "cancel"),
            Command::Speak { call, audio } => {
                if let Some(line) = self.line_of(&call) {
                    line.speak(&audio);
                }
            }
            Command::Press { call, digit } => {
                let mut outputs = std::mem::take(&mut self.outputs);
                if let Some(line) = self.line_of(&call) {
                    line.press(digit, &mut outputs);
                }
                self.outputs = outputs;
            }
            Command::Drop(call) => {
                if let Some(socket) = self.line_of(&call).map(|line| line.socket) {
                    self.outputs.push_back(Output::Cut { socket });
                    self.stream_ended(clock, socket, "stream-error");
                }
            }
        }
    }

    fn decline(&mut self, clock: Clock, token: &str, status: &'static str) {
        let rings = |session: &&mut Session| session.rings() && session.direction != "inbound";
        if self.live(token).filter(rings).is_some() {
            self.end(clock, token, status);
        }
    }
}
