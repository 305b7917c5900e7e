//! Calls that come in to take the place of another (INVITE with Replaces, RFC 3891).

use adapters::agent::Direction;

use super::Control;
use super::incoming::media_peer;
use super::referred::srtp_policy;
use super::sip::log_refused;
use crate::calls::live::LiveCall;
use crate::calls::takeover::Takeover;
use crate::directory::Caller;
use crate::sip::core::endpoint::{DialogId, Flow};
use crate::sip::core::message::Message;
use crate::sip::core::offer_answer;
use crate::sip::core::sdp::Sdp;
use crate::workers::poller::now;

/// Why a call may not replace another.
struct Refusal(u16, &'static str);

impl Control {
    /// A call came in that is to replace the dialog `old` of one of ours.
    pub(super) fn replacing(
        &mut self,
        dialog: DialogId,
        old: DialogId,
        request: &Message,
        flow: Flow,
        proven: Option<&str>,
        offer: Option<&Sdp>,
    ) {
        let replaced = self.try_replace(dialog, old, request, flow, proven, offer);
        if let Err(Refusal(status, reason)) = replaced {
            let peer = flow.peer.ip();
            tracing::info!(status, %peer, "replacement of a call refused");
            log_refused(self.endpoint.reject(now(), dialog, status, reason, &[]).err());
        }
    }

    fn try_replace(
        &mut self,
        dialog: DialogId,
        old: DialogId,
        request: &Message,
        flow: Flow,
        proven: Option<&str>,
        offer: Option<&Sdp>,
    ) -> Result<(), Refusal> {
        let gone = Refusal(481, "Call/Transaction Does Not Exist");
        let snapshot = self.directory.load();
        let registered = self.registered_trunk(request);
        let caller = self
            .caller(&snapshot, registered.as_ref(), flow, request, proven)
            .ok_or(Refusal(403, "Forbidden"))?;
        let Some(key) = self.by_dialog.get(&old).copied() else { return Err(gone) };
        let lives = |call: &LiveCall| call.ended.is_none() && call.dialog == Some(old);
        let Some(call) = self.calls.get(&key).filter(|call| lives(call)) else {
            return Err(gone);
        };
        // Only those who talk with us have the tags by which a call is named; a trunk moves its own
        // calls alone, for its peers are strangers.
        let allowed = match &caller {
            Caller::Trunk(trunk) => {
                trunk.refer && call.trunk.as_ref().is_some_and(|own| own.id == trunk.id)
            }
            // Softphones are of the file, as is its organisation.
            Caller::User(user) => user.refer && call.agent.organisation == snapshot.organisation,
            Caller::Local => true,
        };
        if !allowed {
            return Err(Refusal(403, "Forbidden"));
        }
        let pending = call.call.answered_at().is_none();
        if call.takeover.is_some() || (pending && call.direction == Direction::Inbound) {
            return Err(Refusal(486, "Busy Here"));
        }
        let codecs = call.media.codecs.clone();
        let srtp = self
            .local_srtp(srtp_policy(&caller), flow.transport.is_secure())
            .map_err(|_| Refusal(488, "Not Acceptable Here"))?;
        let (media, sockets) = self
            .local_media(Some(codecs), media_peer(offer, flow), srtp)
            .map_err(|_| Refusal(503, "Service Unavailable"))?;
        let signalling = flow.peer.ip();
        let (sdp, negotiated) = match offer {
            None => (offer_answer::build_offer(&media), None),
            Some(offer) => {
                let answer = offer_answer::answer(offer, &media)
                    .map_err(|_| Refusal(488, "Not Acceptable Here"))?;
                (answer.sdp, Some(answer.selected))
            }
        };
        if let Err(error) = self.endpoint.answer(now(), dialog, Some(&sdp), &[]) {
            log_refused(Some(error));
            return Err(Refusal(500, "Server Internal Error"));
        }
        let answer_by = now() + self.config.limits.ring;
        let takeover =
            Takeover { dialog, media, sdp, sockets, signalling, answer_by, referrer: None };
        self.await_takeover(key, takeover);
        if let Some(negotiated) = negotiated {
            self.hand_over(key, &negotiated);
        }
        Ok(())
    }
}
