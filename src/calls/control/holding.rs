//! Puts peers on hold and takes them back.

use super::Control;
use super::sip::log_refused;
use crate::calls::hold::Told;
use crate::calls::log::What;
use crate::calls::request::RequestError;
use crate::calls::sounds::Sounds;
use crate::config::Config;
use crate::sip::core::endpoint::{CommandError, DialogId};
use crate::sip::core::offer_answer;
use crate::sip::core::sdp::{Direction, Sdp};
use crate::workers::builtin::{Builtin, Source};
use crate::workers::command::{CallKey, Command};
use crate::workers::poller::now;

/// The music of all agents, in every format that calls may have.
pub(super) fn sounds(config: &Config) -> Sounds {
    let trunks = config.trunks.iter().filter_map(|trunk| trunk.codecs.as_ref());
    let codecs = std::iter::once(&config.sip.codecs).chain(trunks).flatten();
    let formats: Vec<_> = codecs.map(|codec| codec.waiting()).collect();
    let mut sounds = Sounds::default();
    let music = config.all_agents().filter_map(|agent| agent.hold_music.as_ref());
    for music in music.chain(&config.park.hold_music) {
        sounds.load_music(music, &formats);
    }
    sounds
}

impl Control {
    /// Puts a call's peer on hold, or takes it back.
    pub(super) fn hold(&mut self, key: CallKey, on: bool) -> Result<(), RequestError> {
        let call = self
            .calls
            .get_mut(&key)
            .filter(|call| call.ended.is_none() && call.call.answered_at().is_some());
        let call = call.ok_or(RequestError::State("the call is not answered"))?;
        if !on && call.parked.as_ref().is_some_and(|parked| parked.keeps_agent) {
            self.is_back(key);
        }
        let Some(call) = self.calls.get_mut(&key) else { return Ok(()) };
        if call.hold.want(on) {
            tracing::info!(parent: &call.span, on, "hold");
            self.log_fact(key, What::Hold { on });
            self.hold_sound(key);
            self.tell_hold(key);
            self.mirror_hold(key);
        }
        Ok(())
    }

    /// Lets the peer hear what it hears on hold, coded as it is now, or the agent again.
    pub(super) fn hold_sound(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(&key) else { return };
        let worker = call.worker;
        let format = call.sounds_in();
        // A far end that put it on hold and is heard plays what it likes.
        let far_is_heard = call.far.as_ref().is_some_and(|far| {
            far.holds_peer && far.leg.as_ref().is_some_and(|leg| leg.flows.receives)
        });
        let sound = match call.hold.is_on() && !far_is_heard {
            false => None,
            true => {
                let sound = match &call.current_agent().hold_music {
                    Some(file) => self.sounds.music(file, format),
                    None => self.sounds.noise(format),
                };
                Some(Builtin::speaker(Source::Loop(sound), false))
            }
        };
        self.command(worker, Command::Hold { call: key, sound });
    }

    /// Tells the peer what it has not been told yet.
    pub(super) fn tell_hold(&mut self, key: CallKey) {
        let at = now();
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (Some(on), Some(dialog)) = (call.hold.to_tell(at), call.dialog) else {
            return self.reschedule(key);
        };
        let before = (call.media.clone(), call.sdp.clone());
        call.media.direction = if on { Direction::SendOnly } else { Direction::SendRecv };
        let streams = Sdp::parse(&call.sdp).ok();
        let offered = call.describe(|media| {
            let sdp = match &streams {
                // Streams stay in their places, refused ones too (RFC 3264 8).
                Some(streams) => offer_answer::build_reoffer(media, streams),
                None => offer_answer::build_offer(media),
            };
            Ok::<_, offer_answer::NegotiationError>((sdp, ()))
        });
        let sent = match offered {
            Ok(()) => self.endpoint.reinvite(at, dialog, Some(&call.sdp)),
            Err(_) => Err(CommandError::State),
        };
        let told = told(sent);
        if told != Told::Sent {
            (call.media, call.sdp) = before;
        }
        call.hold.telling(at, on, told);
        self.reschedule(key);
    }

    /// The peer answered a change of ours. False if that was no hold.
    pub(super) fn hold_answered(&mut self, dialog: DialogId, answer: Option<&Sdp>) -> bool {
        let Some(key) = self.by_dialog.get(&dialog).copied() else { return false };
        let Some(call) = self.calls.get_mut(&key) else { return false };
        if !call.hold.answered() {
            return false;
        }
        let offer = Sdp::parse(&call.sdp).ok();
        let settled = offer
            .zip(answer)
            .map(|(offer, answer)| offer_answer::accept_answer_to(&offer, &call.media, answer));
        match settled {
            Some(Ok(negotiated)) => self.settle(key, &negotiated),
            Some(Err(error)) => {
                tracing::warn!(parent: &call.span, %error, "the answer to a hold is of no use");
            }
            None => {}
        }
        self.tell_hold(key);
        true
    }

    /// The peer refused a change of ours: what was settled before holds.
    pub(super) fn change_refused(&mut self, dialog: DialogId, status: u16) {
        let Some(key) = self.by_dialog.get(&dialog).copied() else { return };
        let Some(call) = self.calls.get_mut(&key) else { return };
        if call.hold.answered() {
            tracing::info!(parent: &call.span, status, "the peer takes no hold");
            call.media.direction = Direction::SendRecv;
            self.tell_hold(key);
        }
    }
}

/// What became of a change that a peer is told by re-INVITE.
pub(super) fn told(sent: Result<(), CommandError>) -> Told {
    match sent {
        Ok(()) => Told::Sent,
        Err(CommandError::Busy | CommandError::LimitReached) => Told::Busy,
        Err(error) => {
            log_refused(Some(error));
            Told::Never
        }
    }
}
