//! The far end of a call transfers it by itself (REFER): Asterisk calls the destination by a
//! channel
//! of its own, and puts that into our bridge in the place of whoever asked for it. The call goes on
//! with whom is there then.

use media::time::MonoTime;

use super::super::calls::channel_path;
use super::super::events::{Channel, What};
use super::super::request::post;
use super::things::Thing;
use super::{Flow, Kind};
use crate::event::CarrierCallId;
use crate::exchange::HttpRequest;
use crate::flow::FlowOutput;

/// What the far end is told whose transfer is left to us, which nobody here carries out.
const DECLINED: (&str, &str) = ("states", "channel_declined");

impl Flow {
    /// A channel is in the place of another. False if that is none of ours.
    pub(super) fn stands_in(&mut self, now: MonoTime, replaced: &str, channel: &Channel) -> bool {
        let of_target = self.target.as_ref().is_some_and(|it| it.thing.name == replaced);
        let of_peer = self.call.0 == replaced;
        if !of_peer && !of_target {
            return false;
        }
        if self.ending || self.done {
            // Whoever it would talk with is on the way out.
            self.let_stray(now, &channel.id);
            return true;
        }
        self.subscribe_to(now, &channel.id);
        let thing = Thing::there(channel.id.clone());
        if of_target {
            if let Some(target) = &mut self.target {
                (target.thing, target.stands_in) = (thing, true);
            }
            self.let_stray(now, replaced);
            return true;
        }
        self.call = CarrierCallId(channel.id.clone());
        self.peer.thing = thing;
        // It stays in the application, with nobody, until its telephone thinks of hanging up.
        self.let_stray(now, replaced);
        // It is in the bridge, whatever was told of the one before.
        (self.peer.entered, self.peer.stands_in, self.peer.ended_by) = (true, true, None);
        (self.parted, self.due) = (false, None);
        self.outputs.push_back(FlowOutput::Replaced(self.call.clone()));
        true
    }

    /// Something happened to a channel that is in the place of who has taken the call over. Nobody
    /// tells of it but the bridge, for its name is none of ours.
    pub(super) fn of_stand_in(&mut self, now: MonoTime, what: &What) {
        match what {
            What::Parted => self.end_with(now, "normal"),
            What::Destroyed { .. } => self.target_gone(now, None),
            _ => {}
        }
    }

    /// Asks to be told of a channel that came by the dialplan, to its end.
    pub(super) fn subscribe_to(&mut self, now: MonoTime, channel: &str) {
        let Some(names) = &self.names else { return };
        let path = format!("applications/{}/subscription", names.app());
        let source = format!("channel:{channel}");
        let request = post(&self.config, &path, &[("eventSource", &source)]);
        // To be told twice to tell changes nothing.
        self.send(now, Kind::Subscribe, request.map(HttpRequest::repeatable));
    }

    /// The far end wants to be transferred, and Asterisk was told to leave that to us: without an
    /// answer its telephone waits for ever.
    pub(super) fn decline_transfer(&mut self, now: MonoTime, channel: &str) {
        let path = format!("{}/transfer_progress", channel_path(channel));
        let request = post(&self.config, &path, &[DECLINED]);
        self.send(now, Kind::Other, request);
    }
}
