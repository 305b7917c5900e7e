//! Persons who call, and are called.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::json;

use super::channel::{BUSY, Channel, Kind, NO_ANSWER, NORMAL, REJECTED};
use super::media::{Way, bare};
use super::{APP_WAIT_MS, Pbx};
use crate::agent::MessageKind;
use crate::emulate::{Clock, Command, Output, Told};

/// The kind of an AudioSocket message that tells of a key.
const KIND_DIGIT: u8 = 0x03;
/// How long a key is pressed, in milliseconds.
const DIGIT_MS: u32 = 100;

/// Who is called is dialled without the sign of a plan of numbers.
fn dialled(number: &str) -> &str {
    number.trim_start_matches('+')
}

impl Pbx {
    pub(super) fn person(&mut self, clock: Clock, command: Command) {
        match command {
            Command::Call { from, to } => self.calls(clock, &from, &to),
            Command::Answer(call) => self.answers(clock, &call),
            Command::Busy(call) => self.turns_down(clock, &call, BUSY, 486),
            Command::Decline(call) => self.turns_down(clock, &call, REJECTED, 603),
            Command::Hangup(call) => self.hangs_up(clock, &call),
            Command::Speak { call, audio } => {
                let channel = self.channels.get_mut(&call);
                if let Some(Kind::Person(says)) = channel.map(|channel| &mut channel.kind) {
                    says.extend(audio);
                }
            }
            Command::Press { call, digit } => self.presses(clock, &call, digit),
            Command::Drop(call) => {
                let media = self.media_of(&call);
                media.iter().for_each(|id| self.cut(clock, id));
            }
        }
    }

    /// A person calls an extension whose dialplan hands the call to the application.
    fn calls(&mut self, clock: Clock, from: &str, to: &str) {
        let id = self.next_id(clock);
        let name = format!("PJSIP/phone-{:08x}", self.ids);
        let kind = Kind::Person(VecDeque::new());
        let mut channel = Channel::new(id.clone(), name, kind, clock.unix_ms);
        (channel.inbound, channel.subscribed, channel.state) = (true, false, "Ring");
        (channel.exten, channel.caller) = (dialled(to).to_owned(), from.to_owned());
        channel.args = vec![to.to_owned()];
        self.channels.insert(id.clone(), channel);
        self.told(Told::Offered { call: id.clone() });
        let until = clock.now + Duration::from_millis(APP_WAIT_MS);
        self.waiting.push((id, until));
        self.listened_to(clock);
    }

    /// Callers who waited for it enter the application that somebody listens for.
    pub(super) fn listened_to(&mut self, clock: Clock) {
        let Some(app) = self.apps.keys().next().cloned() else { return };
        for (id, _) in std::mem::take(&mut self.waiting) {
            let Some(channel) = self.channels.get_mut(&id) else { continue };
            channel.app.clone_from(&app);
            self.enter(clock, &id);
        }
    }

    /// Nobody listens: the dialplan goes on, and has nothing for the caller.
    pub(super) fn fails(&mut self, id: &str) {
        if self.channels.remove(id).is_some() {
            let why = "no application: STASISSTATUS=FAILED".to_owned();
            self.told(Told::Ended { call: id.to_owned(), why });
        }
    }

    /// Somebody is called: their telephone rings.
    pub(super) fn rings(&mut self, clock: Clock, id: &str) {
        let after = self.quirks.answer_after_ms;
        let Some(channel) = self.channels.get_mut(id) else { return };
        channel.answers_at = after.map(|ms| clock.now + Duration::from_millis(ms.into()));
        let (from, to) = (channel.caller.clone(), channel.exten.clone());
        self.dial(clock, id, "");
        self.dial(clock, id, "RINGING");
        self.change(clock, id, "Ringing");
        self.told(Told::Rings { call: id.to_owned(), from, to });
    }

    /// The person whose telephone rings answers.
    pub(super) fn answers(&mut self, clock: Clock, id: &str) {
        let Some(channel) = self.channels.get_mut(id) else { return };
        if channel.inbound || channel.state == "Up" {
            return;
        }
        (channel.answers_at, channel.ends_at) = (None, None);
        self.dial(clock, id, "ANSWER");
        self.is_up(clock, id);
        self.enter(clock, id);
    }

    /// A call is answered, by the person or by the server.
    pub(super) fn is_up(&mut self, clock: Clock, id: &str) {
        if self.channels.get(id).is_none_or(|channel| channel.state == "Up") {
            return;
        }
        self.change(clock, id, "Up");
        self.told(Told::Answered { call: id.to_owned() });
        self.flows(clock);
    }

    /// The person whose telephone rings does not want to talk.
    fn turns_down(&mut self, clock: Clock, id: &str, cause: u16, status: u16) {
        let rings = |channel: &Channel| !channel.inbound && channel.state != "Up";
        if self.channels.get(id).is_some_and(rings) {
            let word = if cause == BUSY { "BUSY" } else { "NOANSWER" };
            self.dial(clock, id, word);
            self.end(clock, id, cause, Some(status));
        }
    }

    fn hangs_up(&mut self, clock: Clock, id: &str) {
        let Some(channel) = self.channels.get(id) else { return };
        if !channel.inbound && channel.state != "Up" {
            return self.turns_down(clock, id, NO_ANSWER, 480);
        }
        let answered = channel.state == "Up";
        self.about(clock, id, "ChannelHangupRequest", json!({"cause": NORMAL}));
        let status = (!answered).then_some(487);
        self.end(clock, id, if answered { NORMAL } else { 127 }, status);
    }

    fn presses(&mut self, clock: Clock, id: &str, digit: char) {
        let told = json!({"digit": digit.to_string(), "duration_ms": DIGIT_MS});
        self.about(clock, id, "ChannelDtmfReceived", told);
        // The same in the media, for those who have no events.
        for media in self.media_of(id) {
            let Some(leg) = self.leg(&media) else { continue };
            let (socket, is_bare) = (leg.socket, matches!(leg.way, Way::Bare { .. }));
            if let (true, Some(socket)) = (is_bare, socket) {
                let mut key = [0; 4];
                let bytes = bare(KIND_DIGIT, digit.encode_utf8(&mut key).as_bytes());
                let kind = MessageKind::Binary;
                self.outputs.push_back(Output::Message { socket, kind, bytes });
            } else {
                let told = json!({"digit": digit.to_string(), "channel_id": media});
                self.control(&media, "DTMF_END", told);
            }
        }
    }

    /// Media channels that a person hears.
    fn media_of(&self, id: &str) -> Vec<String> {
        let bridge = self.bridges.values().find(|bridge| bridge.members.contains(id));
        let members = bridge.into_iter().flat_map(|bridge| &bridge.members);
        let is_media = |id: &&String| self.channels.get(*id).is_some_and(|it| !it.is_person());
        members.filter(is_media).cloned().collect()
    }
}
