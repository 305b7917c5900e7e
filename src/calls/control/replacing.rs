//! Calls that come in to take the place of another (INVITE with Replaces, RFC 3891), or to pick one
//! up that is put aside.

use std::net::IpAddr;
use std::sync::Arc;

use adapters::agent::Direction;
use media::codec::AudioFormat;
use media::time::MonoTime;

use super::Control;
use super::far::codecs_for;
use super::incoming::{called, media_peer};
use super::referred::srtp_policy;
use super::sip::log_refused;
use crate::calls::far::{Dial, Far, FarLeg, Purpose, Referral};
use crate::calls::live::LiveCall;
use crate::calls::parked::picked_up;
use crate::calls::queue::Leaving;
use crate::calls::takeover::Takeover;
use crate::calls::transfer::{Kind, Stay};
use crate::directory::{Caller, Trunk};
use crate::quota::Permit;
use crate::sip::core::endpoint::{DialogId, Flow};
use crate::sip::core::message::Message;
use crate::sip::core::offer_answer::{self, LocalMedia, Negotiated, SrtpPolicy};
use crate::sip::core::sdp::Sdp;
use crate::workers::command::{CallKey, RtpSockets};
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
            if let Some(unlogged) = self.refusals.lines.of(status).line(now()) {
                tracing::info!(status, %peer, unlogged, "replacement of a call refused");
            }
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
        let Some(call) = self.calls.get(&key).filter(|call| call.ended.is_none()) else {
            return Err(gone);
        };
        let Some(End { trunk: own, codecs, is_far }) = End::of(call, old) else { return Err(gone) };
        // Only those who talk with us have the tags by which a call is named; a trunk moves its own
        // calls alone, for its peers are strangers.
        let allowed = match &caller {
            Caller::Trunk(trunk) => trunk.refer && own.is_some_and(|own| own.id == trunk.id),
            // Softphones are of the file, as is its organisation.
            Caller::User(user) => user.refer && call.agent.organisation == snapshot.organisation,
            Caller::Local => true,
        };
        if !allowed {
            return Err(Refusal(403, "Forbidden"));
        }
        let pending = call.call.answered_at().is_none();
        let busy = is_far && (pending || call.transfer.is_some());
        if call.takeover.is_some() || busy || (pending && call.direction == Direction::Inbound) {
            return Err(Refusal(486, "Busy Here"));
        }
        let taken = self.take_leg_in(dialog, flow, srtp_policy(&caller), codecs, offer)?;
        let answer_by = now() + self.config.limits.ring;
        if is_far {
            self.replace_far(key, &caller, request, taken);
            return Ok(());
        }
        let (takeover, negotiated) = taken.takeover(answer_by);
        self.await_takeover(key, takeover);
        if let Some(negotiated) = negotiated {
            self.hand_over(key, &negotiated);
        }
        Ok(())
    }

    /// Answers a leg that has come in by itself.
    fn take_leg_in(
        &mut self,
        dialog: DialogId,
        flow: Flow,
        policy: Option<SrtpPolicy>,
        codecs: Vec<AudioFormat>,
        offer: Option<&Sdp>,
    ) -> Result<Taken, Refusal> {
        let srtp = self
            .local_srtp(policy, flow.transport.is_secure())
            .map_err(|_| Refusal(488, "Not Acceptable Here"))?;
        let (media, sockets) = self
            .local_media(Some(codecs), media_peer(offer, flow), srtp)
            .map_err(|_| Refusal(503, "Service Unavailable"))?;
        let (sdp, settled) = match offer {
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
        Ok(Taken { dialog, media, sdp, sockets, signalling: flow.peer.ip(), settled })
    }

    /// A telephone of ours calls to pick a call up that is put aside. False if it calls for nothing
    /// of the kind.
    pub(super) fn picks_up(
        &mut self,
        dialog: DialogId,
        request: &Message,
        flow: Flow,
        proven: Option<&str>,
        offer: Option<&Sdp>,
    ) -> bool {
        let Some(called) = called(request) else { return false };
        let snapshot = self.directory.load();
        // Softphones are of the file, as is its organisation.
        let parked = picked_up(&called).and_then(|slot| self.in_slot(snapshot.organisation, slot));
        let Some(key) = parked else { return false };
        let caller = self.caller(&snapshot, None, flow, request, proven);
        let Some(caller @ (Caller::User(_) | Caller::Local)) = caller else { return false };
        if let Err(Refusal(status, reason)) =
            self.pick_up(key, dialog, (&caller, request), flow, offer)
        {
            tracing::info!(status, peer = %flow.peer.ip(), "a call is not picked up");
            log_refused(self.endpoint.reject(now(), dialog, status, reason, &[]).err());
        }
        true
    }

    /// Puts a telephone that called for it at the agent's end of a call that is put aside.
    fn pick_up(
        &mut self,
        key: CallKey,
        dialog: DialogId,
        (caller, request): (&Caller<'_>, &Message),
        flow: Flow,
        offer: Option<&Sdp>,
    ) -> Result<(), Refusal> {
        let room = Refusal(503, "Service Unavailable");
        if self.draining {
            return Err(room);
        }
        if self.may_transfer(key, Kind::Bridge, Stay::No).is_err() {
            return Err(Refusal(486, "Busy Here"));
        }
        let gone = Refusal(481, "Call/Transaction Does Not Exist");
        let Some(call) = self.calls.get(&key) else { return Err(gone) };
        let codecs = codecs_for(call, &self.config.sip.codecs);
        let bounds = self.leg_bounds(call.agent.organisation, None, None);
        let permit = self.take_leg(bounds).map_err(|_| room)?;
        let taken = self.take_leg_in(dialog, flow, srtp_policy(caller), codecs, offer)?;
        self.bring_in(key, caller, request, taken, (Purpose::Transfer, Some(permit)));
        self.is_back(key);
        // One that kept its agent may wait in a queue, or be a member's.
        self.leaves_queue(key, Leaving::Elsewhere);
        self.take_agents_place(key);
        Ok(())
    }

    /// Puts a telephone that called for it in the place of the one at the agent's end.
    fn replace_far(&mut self, key: CallKey, by: &Caller<'_>, request: &Message, taken: Taken) {
        let before = self.calls.get_mut(&key).and_then(|call| call.far.take());
        let (mut purpose, mut permit) = (Purpose::Transfer, None);
        if let Some(mut far) = before {
            // Who calls in costs nothing: what is paid for ends with the leg before.
            self.settle_leg(key, &mut far);
            // It counts as the one before did.
            (purpose, permit) = (far.purpose, far.permit.take());
            if let Some(call) = self.calls.get_mut(&key) {
                call.far = Some(far);
            }
        }
        self.bring_in(key, by, request, taken, (purpose, permit));
        self.seat_coming(key, purpose);
    }

    /// Lets a telephone that has called come to the agent's end of a call.
    fn bring_in(
        &mut self,
        key: CallKey,
        by: &Caller<'_>,
        request: &Message,
        taken: Taken,
        (purpose, permit): (Purpose, Option<Permit>),
    ) {
        let outward = self.outward_of_referred(by);
        let trunk = match by {
            Caller::Trunk(trunk) => Some(Arc::clone(trunk)),
            Caller::User(_) | Caller::Local => None,
        };
        let from = || request.from().map(|from| from.uri.as_str().to_owned()).unwrap_or_default();
        let to = match by {
            Caller::User(user) => user.name.clone(),
            Caller::Trunk(_) | Caller::Local => from(),
        };
        let referral = Referral { headers: Vec::new(), outward, srtp: srtp_policy(by) };
        let referral = Some(Box::new(referral));
        let dial = Dial { to, trunk: None, from: None, early_media: false, referral };
        let attempt = self.next_attempt;
        self.next_attempt += 1;
        let dialog = taken.dialog;
        let Some(call) = self.calls.get_mut(&key) else { return };
        tracing::info!(parent: &call.span, "another telephone is at the agent's end");
        let leg = Some(taken.leg());
        let far = Far { trunk, leg, permit, ..Far::new(attempt, purpose, dial) };
        call.coming = Some(Box::new(far));
        self.by_dialog.insert(dialog, key);
    }
}

/// The end of a call that a dialog is.
struct End<'c> {
    /// The trunk that it came or went by.
    trunk: Option<&'c Arc<Trunk>>,
    codecs: Vec<AudioFormat>,
    /// It is that of the agent.
    is_far: bool,
}

impl<'c> End<'c> {
    fn of(call: &'c LiveCall, dialog: DialogId) -> Option<Self> {
        if call.dialog == Some(dialog) {
            let (trunk, codecs) = (call.trunk.as_ref(), call.media.codecs.clone());
            return Some(Self { trunk, codecs, is_far: false });
        }
        let far = call.far.as_ref()?;
        let leg = far.leg.as_ref().filter(|leg| leg.up && leg.dialog == dialog)?;
        let (trunk, codecs) = (far.trunk.as_ref(), leg.media.codecs.clone());
        Some(Self { trunk, codecs, is_far: true })
    }
}

/// A leg that has come in by itself.
struct Taken {
    dialog: DialogId,
    media: LocalMedia,
    sdp: Vec<u8>,
    sockets: RtpSockets,
    signalling: IpAddr,
    /// None if the offer is ours, and its answer comes with the ACK.
    settled: Option<Negotiated>,
}

impl Taken {
    /// In the place of a call's peer, and what was settled.
    fn takeover(self, answer_by: MonoTime) -> (Takeover, Option<Negotiated>) {
        let Self { dialog, media, sdp, sockets, signalling, settled } = self;
        let takeover = Takeover {
            dialog,
            media,
            sdp,
            sockets,
            signalling,
            answer_by,
            referrer: None,
            place: None,
            stream: None,
        };
        (takeover, settled)
    }

    fn leg(self) -> FarLeg {
        let Self { dialog, media, sdp, sockets, signalling, settled } = self;
        let delayed_offer = settled.is_none();
        let leg = FarLeg::new(dialog, media, sdp, sockets, signalling);
        FarLeg { up: true, settled, delayed_offer, ..leg }
    }
}
