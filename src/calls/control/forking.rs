//! The branches of a call that we place: all telephones of a user ring at the same time, and the
//! first that answers has the call (RFC 3261 16.6, 16.7).

use std::net::SocketAddr;

use super::Control;
use super::place::field;
use super::placing::{Hop, Placing};
use crate::calls::log::What;
use crate::calls::reason::PeerReason;
use crate::calls::request::RequestError;
use crate::sip::core::endpoint::DialogId;
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;
use crate::sip::core::offer_answer::Negotiated;
use crate::sip::core::targets::{Failure, retry_after};
use crate::workers::command::CallKey;
use crate::workers::poller::now;

/// What telephones are told that need not ring any more (RFC 3326 2).
pub(super) const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";
/// The same, where somebody has declined for all of them.
const DECLINED: &str = "SIP;cause=603;text=\"Decline\"";

/// An INVITE that has no final response.
pub(super) struct Branch {
    pub(super) dialog: DialogId,
    pub(super) hop: Hop,
    /// What was settled on it before its answer.
    pub(super) settled: Option<Negotiated>,
}

impl Control {
    /// Sends the INVITEs of the next round that there is a way for; after `failure`, if there was
    /// one before. Gives back the first branch and its peer.
    pub(super) fn invite_next(
        &mut self,
        placing: &mut Placing,
        failure: Option<Failure>,
    ) -> Result<(DialogId, SocketAddr), RequestError> {
        let mut failure = failure;
        let mut refused = "no server can be reached".to_owned();
        loop {
            let next = match failure {
                Some(failure) => placing.attempts.after(failure),
                None => placing.attempts.take_next(),
            };
            let Some(round) = next else { return Err(field("to", refused)) };
            let before = placing.branches.len();
            for hop in round {
                match self.invite_by_any(placing, hop) {
                    Ok((dialog, hop)) => {
                        placing.branches.push(Branch { dialog, hop, settled: None });
                    }
                    Err(error) => refused = error,
                }
            }
            if let Some(first) = placing.branches.get(before) {
                return Ok((first.dialog, first.hop.peer()));
            }
            failure = Some(Failure::Unreachable);
        }
    }

    /// Lets what happens on the branches of a call reach it.
    pub(super) fn watch_branches(&mut self, key: CallKey, placing: &Placing) {
        let dialogs = placing.branches.iter().map(|branch| (branch.dialog, key));
        self.by_dialog.extend(dialogs);
    }

    /// A call that we place has reached somebody.
    pub(super) fn provisional(&mut self, dialog: DialogId, status: u16) {
        let Some(key) = self.by_dialog.get(&dialog).copied() else { return };
        if let Some(placing) = self.calls.get_mut(&key).and_then(|call| call.placing.as_mut()) {
            placing.provisional(status);
        }
    }

    /// A branch is heard before the answer: its peer is where media come from.
    pub(super) fn hear_branch(&mut self, key: CallKey, dialog: DialogId) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let placing = call.placing.as_ref();
        if let Some(branch) = placing.and_then(|placing| placing.branch(dialog)) {
            call.signalling = branch.hop.peer().ip();
        }
    }

    /// A call that we place was answered by this branch: its server is good, and no other is
    /// needed.
    pub(super) fn placed(&mut self, key: CallKey, dialog: DialogId) {
        self.hear_branch(key, dialog);
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.dialog = Some(dialog);
        let placing = call.placing.take();
        self.capture_goes_on(key);
        let Some(placing) = placing else { return };
        self.reached(&placing, dialog);
        self.cancel_branches(&placing, Some(dialog), ELSEWHERE);
    }

    /// A branch of what was placed has been answered: its server is good.
    pub(super) fn reached(&mut self, placing: &Placing, dialog: DialogId) {
        if let Some(to) = placing.branch(dialog).and_then(|branch| branch.hop.target()) {
            self.avoided.answered(to);
        }
    }

    /// Goes on after the failure of a branch, which leads elsewhere if it is `redirected`; why
    /// nobody can be reached, if it does not.
    pub(super) fn go_on_elsewhere(
        &mut self,
        placing: &mut Placing,
        dialog: DialogId,
        status: u16,
        response: Option<&Message>,
        redirected: bool,
    ) -> Result<(), PeerReason> {
        let failure = self.failed_at(placing, dialog, status, response);
        let reason = PeerReason::of_failure(status, response);
        let (reason, failure) = placing.best(status, reason, failure);
        if status >= 600 {
            self.cancel_branches(placing, None, DECLINED);
            placing.branches.clear();
        }
        let waits = !placing.branches.is_empty();
        if redirected || !waits {
            let next = self.invite_next(placing, Some(failure));
            if next.is_err() && !waits {
                return Err(reason);
            }
        }
        Ok(())
    }

    /// Ends a branch; how it failed is noted of its server.
    fn failed_at(
        &mut self,
        placing: &mut Placing,
        dialog: DialogId,
        status: u16,
        response: Option<&Message>,
    ) -> Failure {
        let failure = failure(status, response);
        let hop = placing.end_branch(dialog);
        if let Some(to) = hop.as_ref().and_then(Hop::target) {
            self.avoided.failed(now(), to, failure);
        }
        failure
    }

    /// Gives up all branches of a call but its own dialog, which its state machine ends: nobody
    /// else need answer.
    pub(super) fn give_up_branches(&mut self, key: CallKey, reason: &str) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let own = call.dialog;
        if let Some(placing) = call.placing.take() {
            self.cancel_branches(&placing, own, reason);
        }
    }

    pub(super) fn cancel_branches(
        &mut self,
        placing: &Placing,
        but: Option<DialogId>,
        reason: &str,
    ) {
        let others = placing.branches.iter().filter(|branch| Some(branch.dialog) != but);
        for branch in others {
            self.by_dialog.remove(&branch.dialog);
            let headers = [(HeaderName::Reason.as_str(), reason)];
            // Its answer may have come already, and is to be looked at next.
            super::sip::log_refused(self.endpoint.bye(now(), branch.dialog, &headers).err());
        }
    }

    /// A call that we place failed at one place: it goes on elsewhere, or is over.
    pub(super) fn branch_failed(
        &mut self,
        dialog: DialogId,
        status: u16,
        response: Option<&Message>,
    ) {
        let redirected = self.redirected(dialog, status, response);
        if let Some(reason) = self.place_elsewhere(dialog, status, response, redirected) {
            self.log_refused_credentials(dialog, status);
            let cause = reason.cause();
            self.note_reason(dialog, Some(reason));
            self.peer_ended(dialog, cause);
        }
    }

    /// Goes on after the failure of a branch; why the call failed, if it does not.
    fn place_elsewhere(
        &mut self,
        dialog: DialogId,
        status: u16,
        response: Option<&Message>,
        redirected: bool,
    ) -> Option<PeerReason> {
        let reason = || Some(PeerReason::of_failure(status, response));
        let Some(key) = self.by_dialog.get(&dialog).copied() else { return reason() };
        let placing = self.calls.get_mut(&key).and_then(|call| call.placing.take());
        let Some(mut placing) = placing else { return reason() };
        let gone = self.go_on_elsewhere(&mut placing, dialog, status, response, redirected);
        if let Err(reason) = gone {
            return self.leave_trunk(key, &mut placing, (dialog, status, response), reason);
        }
        self.by_dialog.remove(&dialog);
        self.watch_branches(key, &placing);
        if let (Some(call), Some(first)) = (self.calls.get_mut(&key), placing.branches.first()) {
            let (others, peer) = (placing.branches.len(), first.hop.peer());
            tracing::info!(parent: &call.span, status, others, %peer, "the call is placed elsewhere");
            call.dialog = Some(first.dialog);
            call.signalling = peer.ip();
            call.placing = Some(placing);
        }
        self.capture_goes_on(key);
        self.log_fact(key, What::PlacedElsewhere { sip_status: status });
        None
    }
}

/// How an INVITE failed that got this response, or none.
pub(super) fn failure(status: u16, response: Option<&Message>) -> Failure {
    let Some(response) = response else { return Failure::Unreachable };
    let header = response.header(HeaderName::RetryAfter);
    Failure::Status { status, retry_after: header.and_then(retry_after) }
}

/// How much a failure says about why nobody took the call; less is more (RFC 3261 16.7 6).
pub(super) const fn rank(status: u16) -> u8 {
    match status {
        600.. => 0,
        408 | 487 => 3,
        480 => 2,
        400..500 => 1,
        300..400 => 4,
        _ => 5,
    }
}
