//! Media before the answer, and changes of the session in mid-call.

use super::sip::log_refused;
use super::{Control, security};
use crate::calls::call::Input;
use crate::sip::core::endpoint::{DialogId, Reliability};
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;
use crate::sip::core::offer_answer;
use crate::sip::core::sdp::Sdp;
use crate::workers::command::CallKey;
use crate::workers::poller::now;

/// The option tag of reliable provisional responses (RFC 3262).
pub(super) const RELIABLE: &str = "100rel";

/// What an INVITE is refused with that does not treat provisional responses as its trunk does:
/// status, reason phrase, and the header that says what is wrong (RFC 3261 21.4.15, 21.4.16).
pub(super) fn reliability_refusal(
    request: &Message,
    reliability: Reliability,
) -> Option<(u16, &'static str, &'static str)> {
    let lists = |name| request.values(name).any(|tag| tag.eq_ignore_ascii_case(RELIABLE));
    let required = lists(HeaderName::Require);
    match reliability {
        Reliability::Off if required => Some((420, "Bad Extension", "Unsupported")),
        Reliability::Required if !required && !lists(HeaderName::Supported) => {
            Some((421, "Extension Required", "Require"))
        }
        _ => None,
    }
}

impl Control {
    /// Lets the caller hear the agent before the answer. A caller that waits for our offer gets it
    /// with the answer: what it said of its media is not known yet.
    pub(super) fn progress(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(&key) else { return };
        if let (Some(dialog), Some(_)) = (call.dialog, call.format) {
            let (sdp, reason) = (Some(call.sdp.as_slice()), "Session Progress");
            log_refused(self.endpoint.provisional(now(), dialog, 183, reason, sdp, &[]).err());
        }
    }

    /// A call that we placed rings, or is heard before its answer: then the media follow. Branches
    /// of a fork may each be heard; the latest is.
    pub(super) fn ringing(&mut self, dialog: DialogId, answer: Option<&Sdp>) {
        let Some(key) = self.by_dialog.get(&dialog).copied() else { return };
        let Some(call) = self.calls.get(&key) else { return };
        let settled = answer.map(|answer| offer_answer::accept_answer(&call.media, answer));
        match settled {
            Some(Ok(negotiated)) => {
                self.hear_branch(key, dialog);
                self.settle(key, &negotiated);
                self.tell(key, Input::PeerEarly);
            }
            Some(Err(error)) => {
                tracing::info!(parent: &call.span, %error, "early media cannot be used");
                self.tell(key, Input::PeerRinging);
            }
            None => self.tell(key, Input::PeerRinging),
        }
    }

    /// The peer answered a change or a refresh of ours: if its description is another, media
    /// follow.
    pub(super) fn change_answered(&mut self, dialog: DialogId, answer: Option<&Sdp>) {
        let Some(key) = self.by_dialog.get(&dialog).copied() else { return };
        let Some(call) = self.calls.get(&key) else { return };
        let (Some(answer), Ok(offer)) = (answer, Sdp::parse(&call.sdp)) else { return };
        match offer_answer::accept_answer_to(&offer, &call.media, answer) {
            Ok(negotiated) => self.settle(key, &negotiated),
            Err(error) => {
                tracing::info!(parent: &call.span, %error, "answer of a change cannot be used");
            }
        }
    }

    /// The peer wants the session otherwise: hold, resume, another address or codec. A description
    /// of ours that does not change keeps its version (RFC 3264 8).
    pub(super) fn reinvited(&mut self, dialog: DialogId, offer: Option<&Sdp>) {
        let Some(key) = self.by_dialog.get(&dialog).copied() else { return };
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(offer) = offer else {
            // Streams stay in their places, refused ones too.
            let before = Sdp::parse(&call.sdp).ok();
            let sdp = call.describe(|media| {
                let sdp = match &before {
                    Some(before) => offer_answer::build_reoffer(media, before),
                    None => offer_answer::build_offer(media),
                };
                Ok::<_, offer_answer::NegotiationError>((sdp, ()))
            });
            call.delayed_offer = true;
            let accepted = sdp.map(|_| self.endpoint.accept_reinvite(now(), dialog, &call.sdp));
            return log_refused(accepted.ok().and_then(Result::err));
        };
        let answer = offer_answer::answer(offer, &call.media);
        let keys = answer.as_ref().ok().and_then(|answer| answer.selected.srtp.as_ref());
        if security::is_rekeyed(call.srtp.as_deref(), keys) {
            security::renew(&mut call.media);
        }
        let answered = call.describe(|media| {
            offer_answer::answer(offer, media).map(|answer| (answer.sdp, answer.selected))
        });
        match answered {
            Ok(selected) => {
                let accepted = self.endpoint.accept_reinvite(now(), dialog, &call.sdp);
                log_refused(accepted.err());
                self.settle(key, &selected);
            }
            Err(error) => {
                tracing::info!(parent: &call.span, %error, "change of the session refused");
                let why = [("Warning", error.warning())];
                let reason = "Not Acceptable Here";
                let refused = self.endpoint.reject_reinvite(now(), dialog, 488, reason, &why);
                log_refused(refused.err());
            }
        }
    }
}
