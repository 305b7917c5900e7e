//! Puts peers on hold and takes them back.

use super::Control;
use super::sip::log_refused;
use crate::calls::hold::Told;
use crate::calls::request::RequestError;
use crate::sip::core::endpoint::{CommandError, DialogId};
use crate::sip::core::offer_answer;
use crate::sip::core::sdp::{Direction, Sdp};
use crate::workers::builtin::{Builtin, Source};
use crate::workers::command::{CallKey, Command};
use crate::workers::poller::now;

impl Control {
    /// Puts a call's peer on hold, or takes it back.
    pub(super) fn hold(&mut self, key: CallKey, on: bool) -> Result<(), RequestError> {
        let answered = |call: &&mut crate::calls::live::LiveCall| {
            call.ended.is_none() && call.call.answered_at().is_some()
        };
        let call = self.calls.get_mut(&key).filter(answered);
        let call = call.ok_or(RequestError::State("the call is not answered"))?;
        if call.hold.want(on) {
            tracing::info!(parent: &call.span, on, "hold");
            self.hold_sound(key);
            self.tell_hold(key);
        }
        Ok(())
    }

    /// Lets the peer hear what it hears on hold, coded as it is now, or the agent again.
    pub(super) fn hold_sound(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(&key) else { return };
        let worker = call.worker;
        let format = call.sounds_in();
        let sound = match call.hold.is_on() {
            false => None,
            true => {
                let music = call.current_agent().hold_music.clone();
                let music = music.map(|file| self.sounds.file(&file, format));
                let sound = match music {
                    Some(Ok(sound)) => sound,
                    Some(Err(error)) => {
                        tracing::error!(parent: &call.span, %error, "no music on hold");
                        self.sounds.noise(format)
                    }
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
        let mut offer = call.media.clone();
        offer.direction = if on { Direction::SendOnly } else { Direction::SendRecv };
        offer.session_version += 1;
        let sdp = match &call.described {
            Some(described) => offer_answer::build_reoffer(&offer, described),
            None => offer_answer::build_offer(&offer),
        };
        let told = match self.endpoint.reinvite(at, dialog, Some(&sdp)) {
            Ok(()) => {
                call.media = offer;
                Told::Sent
            }
            Err(CommandError::Busy | CommandError::LimitReached) => Told::Busy,
            Err(error) => {
                log_refused(Some(error));
                Told::Never
            }
        };
        call.hold.telling(at, on, told);
        self.reschedule(key);
    }

    /// The peer answered a change of ours.
    pub(super) fn change_answered(&mut self, dialog: DialogId, answer: Option<&Sdp>) {
        let Some(key) = self.by_dialog.get(&dialog).copied() else { return };
        let Some(call) = self.calls.get_mut(&key) else { return };
        if !call.hold.answered() {
            return;
        }
        match answer.map(|answer| offer_answer::accept_answer(&call.media, answer)) {
            Some(Ok(negotiated)) => {
                call.described = super::sip::described(answer);
                self.settle(key, &negotiated);
            }
            Some(Err(error)) => {
                tracing::warn!(parent: &call.span, %error, "the answer to a hold is of no use");
            }
            None => {}
        }
        self.tell_hold(key);
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
