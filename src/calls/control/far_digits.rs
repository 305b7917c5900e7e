//! Keys that are pressed at one side of a call that joins two, where the other is told by
//! signalling.

use super::Control;
use super::digits::DTMF_RELAY;
use super::sip::info_digit;
use crate::calls::digits::{DigitsBy, DtmfMode};
use crate::calls::far::{Far, FarLeg, Seat};
use crate::sip::core::endpoint::DialogId;
use crate::sip::core::message::Message;
use crate::workers::command::{CallKey, Command};
use crate::workers::poller::now;

/// Pause behind a key that is passed on, in milliseconds. Whoever pressed it has made his own.
const PASSED_GAP_MS: u32 = 0;

impl Control {
    /// How keys get to the leg at a call's far end, which takes telephone `events` or not. One that
    /// does not say that it takes no INFO is told by that.
    pub(super) fn far_digits_by(&self, far: &Far, leg: &FarLeg, events: bool) -> DigitsBy {
        let mode = far.trunk.as_ref().map_or(DtmfMode::Auto, |trunk| trunk.dtmf);
        let info = !leg.info_digits.is_refused() && !self.endpoint.refuses_info(leg.dialog);
        DigitsBy::choose(mode, events, info)
    }

    /// A key was pressed at the leg, and told by SIP INFO.
    pub(super) fn far_info(&mut self, key: CallKey, seat: Seat, request: &Message) {
        let Some(call) = self.calls.get(&key) else { return };
        let worker = call.worker;
        let Some((digit, duration_ms)) = info_digit(request) else { return };
        match seat {
            Seat::Coming => self.digit_aside(key, digit),
            // It is a person among others.
            Seat::Third => {}
            Seat::There => {
                self.command(worker, Command::AgentDigit { call: key, digit, duration_ms });
            }
        }
    }

    /// Tells one side of a call that joins two of a key at the other, by SIP INFO: one after the
    /// other, as they are answered.
    pub(super) fn digit_across(
        &mut self,
        key: CallKey,
        to_agent: bool,
        digit: char,
        duration_ms: u32,
    ) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        if !to_agent && call.carrier.is_some() {
            let pressed = self.press_at_carrier(key, digit.encode_utf8(&mut [0; 4]));
            if let (Err(error), Some(call)) = (pressed, self.calls.get(&key)) {
                tracing::info!(parent: &call.span, %error, "a key could not be passed on");
            }
            return;
        }
        let leg = call.far.as_mut().and_then(|far| far.leg.as_mut());
        let (dialog, digits) = match leg {
            Some(leg) if to_agent => (Some(leg.dialog), &mut leg.info_digits),
            _ if to_agent => return,
            _ => (call.dialog, &mut call.info_digits),
        };
        let takes = |dialog: &DialogId| !self.endpoint.refuses_info(*dialog);
        if dialog.filter(takes).is_none() || digits.is_refused() {
            return;
        }
        if !digits.queue(digit.encode_utf8(&mut [0; 4]), duration_ms, PASSED_GAP_MS) {
            tracing::info!(parent: &call.span, "too many digits wait");
        }
        if to_agent { self.next_far_digit(key, Seat::There) } else { self.next_digit(key) }
    }

    /// Tells the leg of the key whose time has come.
    pub(super) fn next_far_digit(&mut self, key: CallKey, seat: Seat) {
        let at = now();
        let call = self.calls.get_mut(&key).filter(|call| call.ended.is_none());
        let Some(call) = call else { return };
        let span = call.span.clone();
        let leg = call.far_at_mut(seat).as_mut().and_then(|far| far.leg.as_mut());
        let Some(leg) = leg.filter(|leg| leg.up) else { return };
        if let Some(digit) = leg.info_digits.next(at) {
            let body = digit.body();
            let sent = self.endpoint.info(at, leg.dialog, DTMF_RELAY, body.as_bytes());
            if let Err(error) = sent {
                leg.info_digits.refuse();
                tracing::info!(parent: &span, %error, "a key could not be passed on");
            }
        }
        self.reschedule(key);
    }

    /// The leg has answered an INFO. If it takes none after all, its keys go out as its media take
    /// them, unless its trunk says otherwise.
    pub(super) fn far_info_answered(&mut self, key: CallKey, seat: Seat, status: u16) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (span, worker) = (call.span.clone(), call.worker);
        let leg = call.far_at_mut(seat).as_mut().and_then(|far| far.leg.as_mut());
        let Some(leg) = leg else { return };
        if status < 300 {
            leg.info_digits.answered();
            return self.next_far_digit(key, seat);
        }
        let left = leg.info_digits.refuse();
        tracing::info!(parent: &span, status, "the leg refuses keys by INFO");
        self.settle_far(key, seat);
        let far = self.far_of(key, seat);
        let by = far.and_then(|far| Some(self.far_digits_by(far, far.leg.as_ref()?, false)));
        if by != Some(DigitsBy::Tones) {
            return;
        }
        for digit in left {
            let (digit, duration_ms) = (digit.digit, digit.duration_ms);
            self.command(worker, Command::Digit { call: key, digit, duration_ms });
        }
    }
}
