//! What events tell of a call.

use media::time::MonoTime;

use super::super::calls;
use super::super::causes::Ending;
use super::super::events::{By, Channel, What, read};
use super::super::names::{self, Role};
use super::super::records::recorded;
use super::things::Thing;
use super::{EVENT_PATIENCE, Flow, JOINS_MAX, MEDIA_MAX, PARTED_PATIENCE, SETUP_PATIENCE};
use crate::agent::Direction;
use crate::event::{CallFact, HangupCause};
use crate::secret::Pii;

impl Flow {
    /// An event about something of the call's.
    pub(super) fn message(&mut self, now: MonoTime, message: &[u8]) {
        let Ok(event) = read(message) else { return };
        if let What::Recorded(recording) = &event.what {
            if let Some((_, fact)) = recorded(&event.app, recording) {
                self.tell(event.at_unix_ms, fact);
            }
            return;
        }
        if event.what == What::BridgeGone {
            if event.bridge.is_some_and(|bridge| bridge.id == self.bridge.name) {
                self.bridge.gone();
                self.joined = false;
                self.fail(now);
            }
            return;
        }
        let Some(channel) = event.channel else { return };
        let at = event.at_unix_ms;
        if let Some(replaced) = &event.replaces
            && self.stands_in(now, replaced, &channel)
        {
            return;
        }
        if channel.id == self.call.0 {
            return self.of_peer(now, at, &channel, &event.what);
        }
        let is_stand_in =
            self.target.as_ref().is_some_and(|it| it.stands_in && it.thing.name == channel.id);
        if is_stand_in {
            return self.of_stand_in(now, &event.what);
        }
        match names::read(&event.app, &channel.id) {
            Some((Role::Media, _)) if channel.id == self.media.name => {
                self.of_media(now, &event.what);
            }
            Some((role @ (Role::Target | Role::BlindTarget), _)) => {
                self.of_target(now, role, &channel, &event.what);
            }
            _ => {}
        }
    }

    fn of_peer(&mut self, now: MonoTime, at: Option<u64>, channel: &Channel, what: &What) {
        match what {
            What::Entered(_) => {
                self.peer.entered = true;
                self.peer_state(now, at, &channel.state);
            }
            What::State => self.peer_state(now, at, &channel.state),
            What::Dial(status) => {
                self.peer.dialled.clone_from(status);
                if status == "PROGRESS" {
                    self.tell(at, CallFact::EarlyMedia);
                }
            }
            What::HangupRequested { by, .. } => {
                self.peer.ended_by.get_or_insert(*by);
            }
            What::Digit(digit) => {
                self.tell(at, CallFact::Dtmf { digit: Pii::new(digit.to_string()) });
            }
            What::Parted => self.has_parted(now),
            What::TransferAsked => self.decline_transfer(now, &channel.id),
            What::Left if !self.ending => {
                // Its end is about to be told, unless the dialplan goes on with it.
                self.peer.entered = false;
                self.due = Some(now + EVENT_PATIENCE);
            }
            What::Destroyed { cause, tech_cause } => {
                let ending = Ending {
                    answered: self.peer.answered,
                    inbound: self.direction == Direction::Inbound,
                    by: if self.ending { Some(By::Us) } else { self.peer.ended_by },
                    cause: *cause,
                    tech_cause: *tech_cause,
                    dialled: &self.peer.dialled,
                };
                let mut ended = ending.ended();
                if self.failed {
                    ended.cause = HangupCause::Failed;
                }
                self.peer.thing.gone();
                self.tell_end_as(at, ended);
            }
            _ => {}
        }
    }

    /// What the state of the peer's channel says.
    pub(super) fn peer_state(&mut self, now: MonoTime, at: Option<u64>, state: &str) {
        let Some(fact) = calls::fact_of(state).filter(|_| !self.told_end) else { return };
        if fact == CallFact::Answered {
            if std::mem::replace(&mut self.peer.answered, true) {
                return;
            }
            if !self.joined && !self.ending {
                self.due = Some(now + SETUP_PATIENCE);
            }
        }
        self.tell(at, fact);
    }

    fn of_media(&mut self, now: MonoTime, what: &What) {
        match what {
            What::Entered(_) => self.media_entered = true,
            What::Parted => self.has_parted(now),
            What::Destroyed { .. } => self.media_lost(now),
            _ => {}
        }
    }

    /// Somebody has left the bridge, as everybody does at the end. If it was not that, they are put
    /// together again.
    pub(super) fn has_parted(&mut self, now: MonoTime) {
        if self.joining && !self.ending && !self.handed_over {
            (self.parted, self.due) = (true, Some(now + PARTED_PATIENCE));
        }
    }

    /// Peer and audio cannot be put together, or the peer not be answered: whoever is gone cannot.
    /// If that is not told soon, it is tried again.
    pub(super) fn refused(&mut self, now: MonoTime) {
        self.refusals += 1;
        match self.refusals < JOINS_MAX {
            true => self.has_parted(now),
            false => self.fail(now),
        }
    }

    /// The peer is still there, perhaps: its audio is sent another way, some times.
    pub(super) fn media_lost(&mut self, now: MonoTime) {
        self.media.gone();
        (self.media_entered, self.joining, self.joined) = (false, false, false);
        if self.ending || self.handed_over {
            return;
        }
        if std::mem::take(&mut self.streaming) {
            self.tell(None, CallFact::StreamStopped);
        }
        if self.media_count < MEDIA_MAX {
            self.media = Thing::default();
        } else {
            self.fail(now);
        }
    }
}
