//! The end of a call: all that is ours goes, and the end is told once.

use media::time::MonoTime;

use super::super::calls::{bridge_path, channel, channel_path, hangup_request};
use super::super::errors::object;
use super::super::events::Bridge;
use super::super::names::Role;
use super::super::request::{delete, get};
use super::{EVENT_PATIENCE, Flow, Kind};
use crate::agent::Direction;
use crate::event::{CallFact, Ended, HangupCause};
use crate::exchange::{CarrierError, HttpResponse};
use crate::flow::FlowOutput;

impl Flow {
    /// Everything is to go; the peer is told so by the status that goes with `reason`.
    pub(super) fn end_with(&mut self, _now: MonoTime, reason: &'static str) {
        if !self.ending {
            (self.ending, self.reason, self.due) = (true, reason, None);
        }
    }

    /// Something that a call cannot be without is not to be had.
    pub(super) fn fail(&mut self, now: MonoTime) {
        if !self.ending {
            self.failed = true;
            self.end_with(now, "congestion");
        }
    }

    /// Lets go of what is not needed any more; once nothing is left the flow is over.
    pub(super) fn let_go(&mut self, now: MonoTime) {
        if self.media.goes() {
            let request = hangup_request(&self.config, &self.media.name, "normal");
            self.send(now, Kind::Delete(Role::Media), request);
        }
        if !self.ending {
            return;
        }
        if self.peer.thing.goes() {
            let request = hangup_request(&self.config, &self.call.0, self.reason);
            self.send(now, Kind::Delete(Role::Peer), request);
        }
        if self.target.as_mut().is_some_and(|target| target.thing.goes()) {
            let name = self.target.as_ref().map(|target| target.thing.name.clone());
            let request = hangup_request(&self.config, &name.unwrap_or_default(), "normal");
            self.send(now, Kind::Delete(Role::Target), request);
        }
        if self.bridge.goes() {
            let request = delete(&self.config, &bridge_path(&self.bridge.name), &[]);
            self.send(now, Kind::Delete(Role::Bridge), request);
        }
        let nothing = self.peer.thing.is_nothing()
            && self.media.is_nothing()
            && self.bridge.is_nothing()
            && self.target.as_ref().is_none_or(|target| target.thing.is_nothing());
        if nothing && !self.done {
            self.tell_end(None);
            self.done = true;
            self.pending.clear();
            self.outputs.push_back(FlowOutput::Done);
        }
    }

    /// Something was asked to go. The end of the peer is told by an event, with its cause; whatever
    /// cannot be deleted now is found by whoever tidies up.
    pub(super) fn deleted(&mut self, now: MonoTime, role: Role, error: Option<&CarrierError>) {
        match role {
            Role::Peer if error.is_none() => self.due = Some(now + EVENT_PATIENCE),
            Role::Peer => self.peer.thing.gone(),
            Role::Media => self.media.gone(),
            Role::Bridge => self.bridge.gone(),
            Role::Target | Role::BlindTarget => {
                if let Some(target) = &mut self.target {
                    target.thing.gone();
                }
            }
        }
    }

    /// The end that was to be told was not.
    pub(super) const fn give_up(&mut self) {
        self.peer.thing.gone();
    }

    /// Tells the end, whose cause nobody has told.
    pub(super) fn tell_end(&mut self, raw: Option<&str>) {
        let cause = match (self.failed, self.peer.answered, self.direction) {
            (true, ..) => HangupCause::Failed,
            (false, true, _) => HangupCause::Normal,
            (false, false, _) => HangupCause::Cancelled,
        };
        let raw = raw.map(str::to_owned);
        self.tell_end_as(None, Ended { cause, sip_status: None, duration_ms: None, raw });
    }

    pub(super) fn tell_end_as(&mut self, at_unix_ms: Option<u64>, ended: Ended) {
        self.ending = true;
        if std::mem::replace(&mut self.told_end, true) {
            return;
        }
        self.tell(at_unix_ms, CallFact::Ended(ended));
    }

    /// Asks how a channel of the call stands, or its bridge.
    pub(super) fn look(&mut self, now: MonoTime, role: Role) {
        let path = match role {
            Role::Media if self.media.is_there() => channel_path(&self.media.name),
            Role::Bridge if self.bridge.is_there() => bridge_path(&self.bridge.name),
            Role::Target | Role::BlindTarget => match &self.target {
                Some(target) => channel_path(&target.thing.name),
                None => return,
            },
            Role::Peer if !self.peer.thing.is_gone() => channel_path(&self.call.0),
            _ => return,
        };
        let request = get(&self.config, &path);
        self.send(now, Kind::Look(role), request);
    }

    /// How it stands; that it cannot be told changes nothing.
    pub(super) fn looked(
        &mut self,
        now: MonoTime,
        role: Role,
        result: Result<HttpResponse, CarrierError>,
    ) {
        if role == Role::Bridge {
            return self.looked_at_bridge(now, result);
        }
        let found = result.and_then(|answer| channel(&answer));
        match (role, found) {
            (Role::Peer, Err(CarrierError::NotFound)) => {
                // Whatever was told of its end was not heard.
                self.peer.thing.gone();
                let gave_up = self.direction == Direction::Inbound && !self.peer.answered;
                let cause = if gave_up { HangupCause::Cancelled } else { HangupCause::Failed };
                let raw = Some("not there any more".to_owned());
                let ended = Ended { cause, sip_status: None, duration_ms: None, raw };
                self.tell_end_as(None, ended);
            }
            (Role::Peer, Ok(channel)) => {
                let app = self.names.as_ref().map(|names| names.app()).unwrap_or_default();
                let entered = channel.is_in(app);
                if self.direction == Direction::Inbound && !entered && !self.peer.stands_in {
                    // The dialplan goes on with it: it is none of ours any more.
                    self.peer.thing.gone();
                    return self.tell_end(Some("left the application"));
                }
                self.peer.entered |= entered;
                self.peer_state(now, None, &channel.state);
            }
            (Role::Media, Err(CarrierError::NotFound)) => self.media_lost(now),
            (Role::Media, Ok(channel)) => self.media_entered |= channel.state == "Up",
            (Role::Target | Role::BlindTarget, Err(CarrierError::NotFound)) => {
                self.target_gone(now, None);
            }
            _ => {}
        }
    }

    /// Without the bridge nobody is heard; who was taken out of it is put into it again.
    fn looked_at_bridge(&mut self, now: MonoTime, result: Result<HttpResponse, CarrierError>) {
        match result.and_then(|answer| object(&answer)) {
            Err(CarrierError::NotFound) => {
                self.bridge.gone();
                self.joined = false;
                self.fail(now);
            }
            Ok(found) => {
                let Ok(bridge) = serde_json::from_value::<Bridge>(found) else { return };
                let has = |name: &String| bridge.channels.contains(name);
                if self.joined && !(has(&self.call.0) && has(&self.media.name)) {
                    self.has_parted(now);
                }
            }
            Err(_) => {}
        }
    }
}
