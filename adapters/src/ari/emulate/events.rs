//! Events, and who is told them.

use serde_json::{Value, json};

use super::Pbx;
use super::channel::{Kind, cause_text};
use super::sockets::Use;
use crate::agent::MessageKind;
use crate::emulate::{Clock, Output, Told};

/// A moment as it writes it: `2026-11-22T06:24:48.082+0000`.
pub(super) fn iso(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    // Days since the first of March of a year 0, whose leap days are the last of their years.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + carry;
    let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
    let (second, ms) = (ms / 1_000 % 60, ms % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}+0000")
}

/// Events that tell how a call goes: what may be lost, or come in another order.
const OF_STATE: [&str; 2] = ["ChannelStateChange", "Dial"];

impl Pbx {
    /// Tells an application something.
    pub(super) fn tell(&mut self, clock: Clock, app: &str, kind: &str, mut event: Value) {
        let unwanted = self.apps.get(app).is_none_or(|all| all.iter().any(|it| it == kind));
        if unwanted {
            return;
        }
        event["type"] = json!(kind);
        event["timestamp"] = json!(iso(clock.unix_ms));
        event["asterisk_id"] = json!("00:00:5e:00:53:01");
        event["application"] = json!(app);
        let app = app.to_owned();
        if !OF_STATE.contains(&kind) {
            self.say(&app, &event);
        } else if self.quirks.hooks_swapped {
            if let Some((other, earlier)) = self.held_event.take() {
                self.say(&app, &event);
                self.say(&other, &earlier);
            } else {
                self.held_event = Some((app, event));
            }
        } else if !self.quirks.hooks_lost {
            self.say(&app, &event);
        }
    }

    fn say(&mut self, app: &str, event: &Value) {
        let has = |used: &Use| matches!(used, Use::Events(apps) if apps.iter().any(|it| it == app));
        let Some(socket) = self.sockets.iter().find(|(_, used)| has(used)).map(|it| *it.0) else {
            return;
        };
        let bytes = event.to_string().into_bytes();
        let message = Output::Message { socket, kind: MessageKind::Text, bytes };
        if self.quirks.hooks_twice {
            self.outputs.push_back(message.clone());
        }
        self.outputs.push_back(message);
    }

    /// Tells what happened to a channel.
    pub(super) fn about(&mut self, clock: Clock, id: &str, kind: &str, mut event: Value) {
        let Some(channel) = self.channels.get(id) else { return };
        let app = channel.app.clone();
        // Of `Dial` the channel is the one that is called.
        let place = if kind == "Dial" { "peer" } else { "channel" };
        event[place] = channel.to_json();
        self.tell(clock, &app, kind, event);
    }

    /// A channel is another state now.
    pub(super) fn change(&mut self, clock: Clock, id: &str, state: &'static str) {
        let Some(channel) = self.channels.get_mut(id) else { return };
        if std::mem::replace(&mut channel.state, state) != state {
            self.about(clock, id, "ChannelStateChange", json!({}));
        }
    }

    /// How a call goes, in the word of `Dial`.
    pub(super) fn dial(&mut self, clock: Clock, id: &str, status: &str) {
        let to = self.channels.get(id).map(|channel| channel.exten.clone()).unwrap_or_default();
        let told = json!({
            "dialstatus": status, "dialstring": to, "forward": "",
        });
        self.about(clock, id, "Dial", told);
    }

    /// A channel enters its application.
    pub(super) fn enter(&mut self, clock: Clock, id: &str) {
        let Some(channel) = self.channels.get_mut(id) else { return };
        channel.entered = true;
        let args = channel.args.clone();
        self.about(clock, id, "StasisStart", json!({"args": args}));
    }

    /// A channel is in a bridge from now on.
    pub(super) fn join(&mut self, clock: Clock, bridge: &str, id: &str) {
        let Some(there) = self.bridges.get_mut(bridge) else { return };
        if !there.members.insert(id.to_owned()) {
            return;
        }
        let told = json!({"bridge": there.to_json(bridge)});
        self.about(clock, id, "ChannelEnteredBridge", told);
    }

    /// A channel leaves the bridge that it is in.
    pub(super) fn part(&mut self, clock: Clock, id: &str) {
        let left = self
            .bridges
            .iter_mut()
            .find_map(|(name, bridge)| bridge.members.remove(id).then(|| bridge.to_json(name)));
        if let Some(bridge) = left {
            self.about(clock, id, "ChannelLeftBridge", json!({ "bridge": bridge }));
        }
    }

    /// A channel is at its end.
    pub(super) fn end(&mut self, clock: Clock, id: &str, cause: u16, tech_cause: Option<u16>) {
        let Some(channel) = self.channels.get(id) else { return };
        let (entered, subscribed) = (channel.entered, channel.subscribed);
        self.part(clock, id);
        if entered {
            self.about(clock, id, "StasisEnd", json!({}));
        }
        // Of who came by the dialplan it is told only to who has asked for it.
        if subscribed {
            let mut told = json!({"cause": cause, "cause_txt": cause_text(cause)});
            if let Some(tech_cause) = tech_cause {
                told["tech_cause"] = json!(tech_cause);
            }
            self.about(clock, id, "ChannelDestroyed", told);
        }
        self.waiting.retain(|(waiting, _)| waiting != id);
        let Some(channel) = self.channels.remove(id) else { return };
        match channel.kind {
            Kind::Media(leg) => self.hang_up_media(&leg),
            Kind::Person(_) => {
                let (call, why) = (id.to_owned(), cause_text(cause).to_owned());
                self.told(Told::Ended { call, why });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::iso;

    /// Moments are written as calendars have them.
    #[test]
    fn moments_are_written() {
        for (unix_ms, expected) in [
            (0, "1970-01-01T00:00:00.000+0000"),
            (1_795_328_688_082, "2026-11-22T06:24:48.082+0000"),
            (951_782_400_999, "2000-02-29T00:00:00.999+0000"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000+0000"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000+0000"),
        ] {
            assert_eq!(iso(unix_ms), expected);
        }
    }
}
