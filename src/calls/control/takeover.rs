//! Lets another leg take the place of a call's peer: the agent stays, in the same call and stream.

use adapters::agent::StreamFormat;

use super::Control;
use super::begin::flows_of;
use super::sip::{leg_format, log_refused};
use crate::calls::call::Input;
use crate::calls::cause::Cause;
use crate::calls::digits::InfoDigits;
use crate::calls::log::What;
use crate::calls::takeover::Takeover;
use crate::sip::core::endpoint::{DialogId, Event};
use crate::sip::core::offer_answer::{self, Negotiated};
use crate::sip::core::sdp::Sdp;
use crate::workers::command::{CallKey, Command};
use crate::workers::poller::now;

impl Control {
    /// Takes what happens on a leg that is to take over; gives everything else back.
    pub(super) fn takeover_event(&mut self, event: Event) -> Option<Event> {
        let dialog = match &event {
            Event::Ringing { dialog, .. }
            | Event::Answered { dialog, .. }
            | Event::Failed { dialog, .. }
            | Event::Acked { dialog, .. }
            | Event::Cancelled { dialog, .. }
            | Event::Ended { dialog, .. } => *dialog,
            _ => return Some(event),
        };
        let Some(key) = self.taking_over(dialog) else { return Some(event) };
        match event {
            Event::Ringing { status, .. } => {
                self.tell_referrer(key, status, "Ringing", false);
            }
            Event::Answered { sdp, .. } | Event::Acked { answer: sdp, .. } => {
                self.take_over(key, sdp.as_ref());
            }
            Event::Failed { status, reason, .. } => self.takeover_failed(key, status, &reason),
            _ => self.takeover_failed(key, 487, "Request Terminated"),
        }
        None
    }

    /// The call that this dialog is about to take over.
    fn taking_over(&self, dialog: DialogId) -> Option<CallKey> {
        let key = self.by_dialog.get(&dialog)?;
        let takeover = self.calls.get(key)?.takeover.as_ref()?;
        (takeover.dialog == dialog).then_some(*key)
    }

    /// Begins to wait for a leg.
    pub(super) fn await_takeover(&mut self, key: CallKey, takeover: Takeover) {
        self.by_dialog.insert(takeover.dialog, key);
        if let Some(call) = self.calls.get_mut(&key) {
            call.takeover = Some(takeover);
        }
        self.reschedule(key);
    }

    /// Tells whoever asked for the leg how far it is.
    fn tell_referrer(&mut self, key: CallKey, status: u16, reason: &str, last: bool) {
        let takeover = self.calls.get(&key).and_then(|call| call.takeover.as_ref());
        if let Some(referrer) = takeover.and_then(|takeover| takeover.referrer) {
            log_refused(self.endpoint.notify(now(), referrer, status, reason, last).err());
        }
    }

    /// The leg is answered: media go there if its answer can be used.
    fn take_over(&mut self, key: CallKey, answer: Option<&Sdp>) {
        let takeover = self.calls.get(&key).and_then(|call| call.takeover.as_ref());
        let Some(takeover) = takeover else { return };
        let accepted = answer.map(|answer| offer_answer::accept_answer(&takeover.media, answer));
        match accepted {
            Some(Ok(negotiated)) => self.hand_over(key, &negotiated),
            _ => {
                let dialog = takeover.dialog;
                self.takeover_failed(key, 488, "Not Acceptable Here");
                log_refused(self.endpoint.bye(now(), dialog, &[]).err());
            }
        }
    }

    /// Puts the leg that waits in the place of the call's peer, which is hung up.
    pub(super) fn hand_over(&mut self, key: CallKey, negotiated: &Negotiated) {
        self.tell_referrer(key, 200, "OK", true);
        self.give_up_branches(key, &Cause::Transferred.reason_header());
        let Some(call) = self.calls.get(&key) else { return };
        let outward = self.outward_of_peer(call);
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(takeover) = call.takeover.take() else { return };
        let Takeover { dialog, media, sdp, sockets, signalling, referrer, place, .. } = takeover;
        let mut format = leg_format(negotiated, signalling, &outward);
        (call.media, call.signalling, call.delayed_offer) = (media, signalling, false);
        call.sdp = sdp;
        call.taken_over = true;
        call.hold.another_peer();
        call.format =
            Some(StreamFormat { audio: format.media.audio, ptime_ms: format.media.ptime_ms });
        call.flows = flows_of(&format);
        call.srtp.clone_from(&format.srtp);
        call.media.srtp.offers = format.srtp.is_some();
        let before = call.dialog.replace(dialog);
        let worker = call.worker;
        tracing::info!(parent: &call.span, "another peer takes over");
        let events = format.media.dtmf_pt.is_some();
        format.digits = self.digits_by(None, Some(dialog), events);
        if let Some(call) = self.calls.get_mut(&key) {
            (call.digits, call.info_digits) = (Some(format.digits), InfoDigits::default());
        }
        self.command(worker, Command::Replace { call: key, sockets, format });
        self.capture_goes_on(key);
        self.log_fact(key, What::Replaced);
        self.hold_sound(key);
        self.recode(key);
        if let Some(before) = before {
            self.by_dialog.remove(&before);
            let why = Cause::Transferred.reason_header();
            let said = self.endpoint.bye(now(), before, &[("Reason", why.as_str())]);
            log_refused(said.err());
        }
        self.tell_hold(key);
        self.mirror_hold(key);
        if referrer.is_none() {
            self.end_charging(key);
        }
        self.begin_charging_peer(key, place);
        self.tell(key, Input::PeerAnswered);
    }

    /// The leg failed: everything stays as it was, unless the peer has left in the meantime.
    fn takeover_failed(&mut self, key: CallKey, status: u16, reason: &str) {
        self.tell_referrer(key, status, reason, true);
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(takeover) = call.takeover.take() else { return };
        self.by_dialog.remove(&takeover.dialog);
        tracing::info!(parent: &call.span, status, "no other peer takes over");
        let alone = call.dialog.is_none();
        self.reschedule(key);
        if alone {
            self.tell(key, Input::PeerEnded(Cause::from_sip(status)));
        }
    }

    /// Gives up the leg that waits, if there is one: the call ends, or it took too long.
    pub(super) fn abandon_takeover(&mut self, key: CallKey, status: u16, reason: &str) {
        let takeover = self.calls.get(&key).and_then(|call| call.takeover.as_ref());
        let Some(dialog) = takeover.map(|takeover| takeover.dialog) else { return };
        self.takeover_failed(key, status, reason);
        log_refused(self.endpoint.bye(now(), dialog, &[]).err());
    }

    /// Looks whether the leg that waits has taken too long.
    pub(super) fn takeover_due(&mut self, key: CallKey) {
        let takeover = self.calls.get(&key).and_then(|call| call.takeover.as_ref());
        if takeover.is_some_and(|takeover| takeover.answer_by <= now()) {
            self.abandon_takeover(key, 408, "Request Timeout");
        }
    }

    /// The peer has hung up. True if the call goes on all the same, because another leg is about to
    /// take over: many say BYE as soon as their REFER was taken.
    pub(super) fn survives_peer(&mut self, key: CallKey) -> bool {
        let Some(call) = self.calls.get_mut(&key) else { return false };
        let Some(takeover) = call.takeover.as_mut() else { return false };
        takeover.referrer = None;
        true
    }
}
