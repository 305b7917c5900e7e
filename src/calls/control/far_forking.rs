//! What becomes of the branches of a leg that is called: all telephones of a user ring at the same
//! time, and the first that answers is the leg.

use adapters::agent::EndedBy;

use super::Control;
use super::forking::ELSEWHERE;
use super::sip::log_refused;
use crate::calls::call::Input;
use crate::calls::cause::Cause;
use crate::calls::far::{Purpose, Seat};
use crate::calls::reason::PeerReason;
use crate::calls::transfer;
use crate::sip::core::endpoint::{DialogId, End};
use crate::sip::core::message::Message;
use crate::sip::core::offer_answer;
use crate::sip::core::sdp::Sdp;
use crate::workers::command::{CallKey, Command};
use crate::workers::poller::now;

impl Control {
    /// A branch rings, and may be heard.
    pub(super) fn far_ringing(
        &mut self,
        key: CallKey,
        seat: Seat,
        dialog: DialogId,
        status: u16,
        sdp: Option<&Sdp>,
    ) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let span = call.span.clone();
        let Some(far) = call.far_at_mut(seat) else { return };
        let Some(leg) = far.leg.as_mut() else { return };
        let (Some(placing), false) = (leg.placing.as_mut(), leg.up) else { return };
        placing.provisional(status);
        if let (Some(sdp), Some(branch)) = (sdp, placing.branch_mut(dialog)) {
            // Each branch may be heard; the latest is.
            match offer_answer::accept_answer(&leg.media, sdp) {
                Ok(settled) => {
                    (leg.dialog, leg.signalling) = (dialog, branch.hop.peer().ip());
                    leg.settled = branch.settled.insert(settled).clone().into();
                }
                Err(error) => {
                    tracing::info!(parent: &span, %error, "early media cannot be used");
                }
            }
        }
        let heard = sdp.is_some() && leg.settled.is_some() && far.dial.early_media;
        let first = !std::mem::replace(&mut far.told_ringing, true);
        match seat {
            Seat::There if heard => {
                self.match_peer(key);
                self.settle_far(key, seat);
                self.tell(key, Input::AgentEarly);
            }
            Seat::There => self.tell(key, Input::AgentRinging),
            Seat::Coming if first => self.transfer_input(key, transfer::Input::Ringing),
            // Who has joined has answered.
            Seat::Coming | Seat::Third => {}
        }
    }

    /// A branch has answered: it is the leg, and nobody else need answer.
    pub(super) fn far_answered(
        &mut self,
        key: CallKey,
        seat: Seat,
        dialog: DialogId,
        answer: Option<&Sdp>,
    ) {
        let Some(far) = self.far_of_mut(key, seat) else { return };
        let Some(leg) = far.leg.as_mut() else { return };
        (leg.up, leg.dialog) = (true, dialog);
        let mut placed = leg.placing.take();
        let branch = placed.as_mut().and_then(|placing| placing.branch_mut(dialog));
        if let Some(branch) = branch {
            leg.signalling = branch.hop.peer().ip();
            // Early media may have settled all.
            leg.settled = branch.settled.take();
        }
        match answer.map(|answer| offer_answer::accept_answer(&leg.media, answer)) {
            Some(Ok(settled)) => leg.settled = Some(settled),
            Some(Err(_)) => leg.settled = None,
            None => {}
        }
        let usable = leg.settled.is_some();
        if let Some(placing) = placed {
            self.reached(&placing, dialog);
            self.cancel_branches(&placing, Some(dialog), ELSEWHERE);
        }
        if !usable {
            self.drop_far(key, seat, Cause::NetworkFailure);
            return self.refuse_far(key, seat, Cause::NetworkFailure);
        }
        self.begin_charging_leg(key, seat);
        match seat {
            Seat::There => {
                self.match_peer(key);
                self.settle_far(key, seat);
                self.log_agent(key);
                self.tell(key, Input::AgentReady);
            }
            Seat::Coming => self.transfer_input(key, transfer::Input::Answered),
            Seat::Third => {}
        }
        self.credit_due(key);
        self.reschedule(key);
    }

    /// A branch has failed: the others go on, or the next ones are tried, or there is no leg.
    pub(super) fn far_failed(
        &mut self,
        key: CallKey,
        seat: Seat,
        dialog: DialogId,
        status: u16,
        response: Option<&Message>,
    ) {
        let redirected = self.far_redirected(key, seat, dialog, status, response);
        let leg = self.far_of_mut(key, seat).and_then(|far| far.leg.as_mut());
        let Some(leg) = leg else { return };
        let placing = leg.placing.take();
        self.by_dialog.remove(&dialog);
        let reason = match placing {
            None => PeerReason::of_failure(status, response),
            Some(mut placing) => {
                match self.go_on_elsewhere(&mut placing, dialog, status, response, redirected) {
                    Err(reason) => reason,
                    Ok(()) => {
                        self.watch_branches(key, &placing);
                        let Some(call) = self.calls.get_mut(&key) else { return };
                        let span = call.span.clone();
                        let far = call.far_at_mut(seat).as_mut();
                        let Some(leg) = far.and_then(|far| far.leg.as_mut()) else { return };
                        if let Some(first) = placing.branches.first()
                            && placing.branch(leg.dialog).is_none()
                        {
                            let peer = first.hop.peer();
                            tracing::info!(parent: &span, status, %peer, "the leg goes on");
                            (leg.dialog, leg.signalling) = (first.dialog, peer.ip());
                            leg.settled = first.settled.clone();
                        }
                        leg.placing = Some(placing);
                        return;
                    }
                }
            }
        };
        let Some(call) = self.calls.get_mut(&key) else { return };
        let cause = reason.cause();
        tracing::info!(parent: &call.span, status, cause = cause.as_str(), "the leg is refused");
        *call.far_at_mut(seat) = None;
        if seat == Seat::There {
            call.far_reason = reason;
        }
        self.refuse_far(key, seat, cause);
    }

    /// The leg has hung up, or is lost.
    pub(super) fn far_ended(&mut self, key: CallKey, seat: Seat, dialog: DialogId, end: &End) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let leg = call.far_at(seat).as_ref().and_then(|far| far.leg.as_ref());
        let placing = leg.and_then(|leg| leg.placing.as_ref());
        if placing.is_some_and(|placing| placing.branches.len() > 1) {
            // One of several that ring.
            return self.far_failed(key, seat, dialog, 408, None);
        }
        let Some(mut far) = call.far_at_mut(seat).take() else { return };
        self.settle_leg(key, &mut far);
        let Some(call) = self.calls.get_mut(&key) else { return };
        self.by_dialog.remove(&dialog);
        if seat == Seat::Coming {
            let worker = call.worker;
            if far.aside {
                self.command(worker, Command::DropAside { call: key });
            }
            return self.transfer_input(key, transfer::Input::Refused("hung_up"));
        }
        if seat == Seat::Third {
            return self.third_left(key, "hung_up");
        }
        if call.third.is_some() {
            // Two are left.
            return drop(self.leave_conversation(key));
        }
        if matches!(end, End::Bye { .. }) && self.is_left(key) {
            return;
        }
        let Some(call) = self.calls.get_mut(&key) else { return };
        let input = match (end, far.purpose) {
            (End::Bye { reason }, _) => {
                call.far_reason = reason.as_deref().map(PeerReason::parse).unwrap_or_default();
                Input::AgentHangup
            }
            (End::Local, _) => Input::AgentHangup,
            (_, Purpose::Agent) => Input::AgentLost,
            (_, Purpose::Transfer) => Input::End(Cause::NetworkFailure, EndedBy::Network),
        };
        // While a carrier takes the caller away, that counts once the caller is back.
        if let Some(input) = self.unless_taken(key, input) {
            self.tell(key, input);
        }
        self.reschedule(key);
    }

    /// Hangs up on the leg in this place, if there is one, and on all that may become it.
    pub(super) fn drop_far(&mut self, key: CallKey, seat: Seat, cause: Cause) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (worker, Some(mut far)) = (call.worker, call.far_at_mut(seat).take()) else { return };
        self.settle_leg(key, &mut far);
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (aside, Some(leg)) = (far.aside, far.leg) else { return };
        // Who hears that the call was completed elsewhere shows no missed call.
        let why = call.peer_reason.header().unwrap_or_else(|| cause.reason_header());
        if let Some(placing) = &leg.placing {
            self.cancel_branches(placing, Some(leg.dialog), &why);
        }
        self.by_dialog.remove(&leg.dialog);
        let said = self.endpoint.bye(now(), leg.dialog, &[("Reason", why.as_str())]);
        log_refused(said.err());
        if aside {
            self.command(worker, Command::DropAside { call: key });
        }
        self.reschedule(key);
    }
}
