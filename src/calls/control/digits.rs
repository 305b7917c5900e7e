//! Digits that agents and the API send to peers.

use super::Control;
use crate::calls::digits::{DigitsBy, DtmfMode};
use crate::calls::request::RequestError;
use crate::directory::Trunk;
use crate::sip::core::endpoint::DialogId;
use crate::workers::command::{CallKey, Command, LegFormat, Steer};
use crate::workers::poller::now;

/// The body of an INFO with a digit.
pub(super) const DTMF_RELAY: &str = "application/dtmf-relay";

impl Control {
    /// How digits get to the peer of `dialog`, of a call by `trunk`, that takes telephone events or
    /// not.
    pub(super) fn digits_by(
        &self,
        trunk: Option<&Trunk>,
        dialog: Option<DialogId>,
        events: bool,
    ) -> DigitsBy {
        let mode = trunk.map_or(DtmfMode::Auto, |trunk| trunk.dtmf);
        let info = dialog.is_some_and(|dialog| self.endpoint.allows_info(dialog));
        DigitsBy::choose(mode, events, info)
    }

    /// Settles how digits get to the peer of a new call, once its format is.
    pub(super) fn settle_digits(
        &self,
        trunk: Option<&Trunk>,
        dialog: DialogId,
        format: Option<&mut LegFormat>,
    ) -> Option<DigitsBy> {
        let format = format?;
        format.digits = self.digits_by(trunk, Some(dialog), format.media.dtmf_pt.is_some());
        Some(format.digits)
    }

    /// Sends digits to the peer of a call, whichever way it takes them; they have been checked.
    pub(super) fn send_digits(
        &mut self,
        key: CallKey,
        digits: String,
        duration_ms: u32,
        gap_ms: u32,
    ) -> Result<(), RequestError> {
        let call = self.calls.get_mut(&key).ok_or(RequestError::NoSuchCall)?;
        if call.call.answered_at().is_none() {
            return Err(RequestError::State("the call is not answered"));
        }
        match call.digits {
            None | Some(DigitsBy::Nothing) => {
                Err(RequestError::State("the peer takes no telephone events"))
            }
            Some(DigitsBy::Events | DigitsBy::Tones) => {
                let steer = Steer::Dtmf { digits, duration_ms, gap_ms };
                let worker = call.worker;
                self.command(worker, Command::Steer { call: key, steer });
                Ok(())
            }
            Some(DigitsBy::Info) if call.carrier.is_some() => self.press_at_carrier(key, &digits),
            // Without a dialog they would wait for ever, and be due all the while.
            Some(DigitsBy::Info) if call.dialog.is_none() => {
                Err(RequestError::State("this call takes no digits"))
            }
            Some(DigitsBy::Info) => {
                if !call.info_digits.queue(&digits, duration_ms, gap_ms) {
                    return Err(RequestError::State("too many digits wait"));
                }
                self.next_digit(key);
                Ok(())
            }
        }
    }

    /// The same for an agent, which is told if it cannot be.
    pub(super) fn agent_digits(
        &mut self,
        key: CallKey,
        digits: String,
        duration_ms: u32,
        gap_ms: u32,
    ) {
        let sent = self.send_digits(key, digits, duration_ms, gap_ms);
        if let (Err(RequestError::State(why)), Some(call)) = (sent, self.calls.get(&key)) {
            self.command(call.worker, Command::Refused { call: key, why });
        }
    }

    /// Sends the digit whose time has come.
    pub(super) fn next_digit(&mut self, key: CallKey) {
        let at = now();
        let Some(call) = self.calls.get_mut(&key).filter(|call| call.ended.is_none()) else {
            return;
        };
        let Some(dialog) = call.dialog else { return };
        if let Some(digit) = call.info_digits.next(at) {
            let sent = self.endpoint.info(at, dialog, DTMF_RELAY, digit.body().as_bytes());
            if let Err(error) = sent {
                tracing::info!(parent: &call.span, %error, "digits could not be sent");
                call.info_digits.refuse();
                let worker = call.worker;
                self.command(worker, Command::Refused { call: key, why: "INFO cannot be sent" });
            }
        }
        self.reschedule(key);
    }

    /// The peer has answered an INFO. Digits of a peer that takes none by INFO after all go out as
    /// its media take them, unless its trunk says otherwise.
    pub(super) fn info_answered(&mut self, dialog: DialogId, status: u16) {
        let Some(key) = self.by_dialog.get(&dialog).copied() else { return };
        let Some(call) = self.calls.get_mut(&key) else { return };
        if status < 300 {
            call.info_digits.answered();
            return self.next_digit(key);
        }
        let left = call.info_digits.refuse();
        tracing::info!(parent: &call.span, status, "the peer refuses digits by INFO");
        let Some(call) = self.calls.get(&key) else { return };
        let worker = call.worker;
        let wanted = self.digits_by(call.digits_way().0, None, false);
        if wanted != DigitsBy::Tones {
            let why = "the peer refuses digits by INFO";
            return self.command(worker, Command::Refused { call: key, why });
        }
        if let Some(call) = self.calls.get_mut(&key) {
            call.digits = Some(wanted);
        }
        self.command(worker, Command::DigitsBy { call: key, by: wanted });
        for digit in left {
            let (digits, duration_ms) = (digit.digit.to_string(), digit.duration_ms);
            let steer = Steer::Dtmf { digits, duration_ms, gap_ms: digit.gap_ms };
            self.command(worker, Command::Steer { call: key, steer });
        }
    }
}
