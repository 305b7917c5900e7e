//! Calls the leg of a telephone at the agent's end of a call, or one that is to come there, and
//! takes what happens on it.

use std::sync::Arc;

use media::codec::AudioFormat;

use super::Control;
use super::choosing::ways;
use super::place::{Errand, Mission, field};
use super::placing::{Hop, Way};
use super::presenting::presented_as;
use crate::calls::call::Input;
use crate::calls::cause::Cause;
use crate::calls::far::{Dial, Far, FarLeg, Purpose, Seat};
use crate::calls::live::LiveCall;
use crate::calls::request::RequestError;
use crate::calls::transfer;
use crate::config::SipAgent;
use crate::directory::Trunk;
use crate::quota::Permit;
use crate::sip::core::endpoint::{DialogId, Event};
use crate::sip::core::offer_answer;
use crate::sip::endpoint::resolver::ResolveError;
use crate::workers::command::CallKey;

/// The trunk of a leg, and where its INVITE may go.
type Located = (Option<Arc<Trunk>>, Vec<Arc<Way>>);

impl Control {
    /// Calls the telephone that is a call's agent.
    pub(super) fn connect_sip(&mut self, key: CallKey, agent: &SipAgent) {
        let dial = Dial {
            to: agent.uri.clone(),
            trunk: agent.trunk.clone(),
            from: agent.from.clone(),
            early_media: agent.early_media,
            referral: None,
        };
        self.dial_far(key, Seat::There, dial, None);
    }

    /// Calls somebody for a call; what is in the way is told as if the called party refused. How
    /// long that may take, is looked after by the call, or by the transfer that wants it. Places
    /// are those that were taken `before`, or are taken here.
    pub(super) fn dial_far(
        &mut self,
        key: CallKey,
        seat: Seat,
        dial: Dial,
        before: Option<Permit>,
    ) {
        // Whoever was called to be there before.
        self.drop_far(key, seat, Cause::AgentLost);
        if seat == Seat::There && self.far_of(key, Seat::Coming).is_some() {
            // Called for an agent that was lost meanwhile: who steps in is not to be taken away.
            let refused = transfer::Input::Refused(Cause::AgentLost.as_str());
            self.transfer_input(key, refused);
        }
        let attempt = self.next_attempt;
        self.next_attempt += 1;
        let Some(call) = self.calls.get_mut(&key) else { return };
        let purpose = match seat {
            Seat::There => Purpose::Agent,
            Seat::Coming | Seat::Third => Purpose::Transfer,
        };
        *call.far_at_mut(seat) = Some(Box::new(Far::new(attempt, purpose, dial.clone())));
        // Softphones are of the file, as is its organisation.
        let own = call.agent.organisation == self.directory.load().organisation;
        self.reschedule(key);
        if dial.trunk.is_none()
            && own
            && let Some(rounds) = self.phone_rounds(&dial.to)
        {
            return match self.place_far(key, seat, None, before) {
                Ok(()) => self.set_out_far(key, attempt, Ok(rounds)),
                Err(error) => self.far_unreachable(key, seat, &error),
            };
        }
        match self.admit_far(key, seat, &dial, before) {
            Ok((trunk, ways)) => {
                let errand = Errand { trunk, ways, mission: Mission::Far { key, attempt } };
                match self.located(&errand.ways) {
                    Some(found) => self.set_out(errand, found),
                    None => self.locate(errand),
                }
            }
            Err(error) => self.far_unreachable(key, seat, &error),
        }
    }

    /// The leg in this place.
    pub(super) fn far_of(&self, key: CallKey, seat: Seat) -> Option<&Far> {
        self.calls.get(&key)?.far_at(seat).as_deref()
    }

    /// The same, to be changed.
    pub(super) fn far_of_mut(&mut self, key: CallKey, seat: Seat) -> Option<&mut Far> {
        self.calls.get_mut(&key)?.far_at_mut(seat).as_deref_mut()
    }

    /// Where a leg may be called, and its place there.
    fn admit_far(
        &mut self,
        key: CallKey,
        seat: Seat,
        dial: &Dial,
        before: Option<Permit>,
    ) -> Result<Located, RequestError> {
        let snapshot = self.directory.load();
        let call = self.calls.get(&key).ok_or(RequestError::NoSuchCall)?;
        let organisation = call.agent.organisation;
        let (trunk, ways) = ways(&snapshot, organisation, &dial.to, dial.trunk.as_deref())?;
        if dial.referral.is_none() {
            self.judge(&dial.to, trunk.as_deref())?;
        }
        let credit = match trunk.as_deref() {
            Some(trunk) => {
                self.hold_first(&snapshot, organisation, &dial.to, trunk.country.as_deref())?
            }
            None => None,
        };
        self.place_far(key, seat, trunk.as_deref(), before)?;
        if let Some(far) = self.far_of_mut(key, seat) {
            far.trunk.clone_from(&trunk);
            // What was asked for by a peer holds its money already.
            if let (Some(permit), Some(credit)) = (&mut far.permit, credit) {
                permit.prepay(Some(credit));
            }
        }
        Ok((trunk, ways))
    }

    /// Lets a leg hold its places, which were taken `before` or are taken now.
    fn place_far(
        &mut self,
        key: CallKey,
        seat: Seat,
        trunk: Option<&Trunk>,
        before: Option<Permit>,
    ) -> Result<(), RequestError> {
        let permit = match before {
            Some(permit) => permit,
            None => {
                let call = self.calls.get(&key).ok_or(RequestError::NoSuchCall)?;
                let far = call.far_at(seat).as_ref().ok_or(RequestError::NoSuchCall)?;
                let from = far.dial.from.as_deref().unwrap_or(&call.from);
                let bounds = self.leg_bounds(call.agent.organisation, trunk, Some(from));
                match seat {
                    Seat::There => self.take_agents_leg(&bounds)?,
                    Seat::Coming | Seat::Third => self.take_leg(bounds)?,
                }
            }
        };
        if let Some(far) = self.far_of_mut(key, seat) {
            far.permit = Some(permit);
        }
        Ok(())
    }

    /// The servers or telephones of a leg are known: its INVITE goes to those of the first round.
    pub(super) fn set_out_far(
        &mut self,
        key: CallKey,
        attempt: u64,
        found: Result<Vec<Vec<Hop>>, ResolveError>,
    ) {
        let call = self.calls.get(&key).filter(|call| call.ended.is_none());
        let wanted = |seat: &Seat| {
            let far = call.and_then(|call| call.far_at(*seat).as_ref());
            far.is_some_and(|far| far.attempt == attempt)
        };
        let Some(seat) = Seat::ALL.into_iter().find(wanted) else { return };
        let rounds = found.map_err(|error| field("to", error.to_string()));
        match rounds.and_then(|rounds| self.call_far(key, seat, rounds)) {
            Ok(leg) => {
                if let Some(placing) = &leg.placing {
                    self.watch_branches(key, placing);
                }
                let Some(call) = self.calls.get_mut(&key) else { return };
                tracing::info!(parent: &call.span, "another leg is called");
                if let Some(far) = call.far_at_mut(seat) {
                    far.leg = Some(leg);
                }
                if seat == Seat::Coming {
                    self.transfer_input(key, transfer::Input::Dialling);
                }
            }
            Err(error) => self.far_unreachable(key, seat, &error),
        }
    }

    fn call_far(
        &mut self,
        key: CallKey,
        seat: Seat,
        mut rounds: Vec<Vec<Hop>>,
    ) -> Result<FarLeg, RequestError> {
        // What would come back to us would come back for ever.
        let locals = self.sockets.locals();
        let own = |hop: &Hop| {
            let peer = hop.target().map(|target| target.peer);
            locals.iter().any(|(_, local)| Some(*local) == peer)
        };
        rounds.iter_mut().for_each(|round| round.retain(|hop| !own(hop)));
        rounds.retain(|round| !round.is_empty());
        let outward = self.outward_of_far(key, seat).ok_or(RequestError::NoSuchCall)?;
        let call = self.calls.get(&key).ok_or(RequestError::NoSuchCall)?;
        let far = call.far_at(seat).as_ref().ok_or(RequestError::NoSuchCall)?;
        // A call that comes back to us by way of others is one that others refuse, in the end.
        let max_forwards = call.max_forwards.map(|hops| hops.saturating_sub(1));
        if max_forwards == Some(0) {
            return Err(field("to", "the call has taken too many hops".to_owned()));
        }
        let user = far.dial.from.clone().unwrap_or_else(|| call.from.clone());
        let trunk = far.trunk.clone();
        let policy = match (&far.dial.referral, &trunk) {
            (Some(referral), _) => referral.srtp,
            (None, Some(trunk)) => trunk.srtp,
            (None, None) => self.our_user(&far.dial.to).and_then(|user| user.srtp),
        };
        let allowed = trunk.as_ref().and_then(|trunk| trunk.codecs.as_ref());
        let codecs = codecs_for(call, allowed.unwrap_or(&self.config.sip.codecs));
        let ptime_ms = call.format.map(|format| format.ptime_ms);
        let noise = call.flows.noise;
        let added = far.dial.referral.as_ref().map(|referral| referral.headers.clone());
        let secure = rounds.iter().flatten().all(Hop::is_secure);
        let organisation = call.agent.organisation;
        let rounds = self.reached_rounds(&outward, organisation, rounds)?;
        let mut placing = self.placing(organisation, outward, trunk.clone(), rounds);
        placing.max_forwards = max_forwards;
        let presented = presented_as(user_part(&user), trunk.as_deref());
        placing.present(presented, added.unwrap_or_default());
        let none = || field("to", "no server or telephone is found".to_owned());
        let first = placing.first().ok_or_else(none)?;
        let srtp =
            self.local_srtp(policy, secure).map_err(|error| field("to", error.to_string()))?;
        let (mut media, sockets) =
            self.local_media(Some(codecs), first.ip(), srtp).map_err(|error| {
                tracing::error!(%error, "no RTP port is free");
                RequestError::Full
            })?;
        media.ptime_ms = ptime_ms.unwrap_or(media.ptime_ms);
        media.comfort_noise = noise;
        let sdp = offer_answer::build_offer(&media);
        placing.sdp.clone_from(&sdp);
        let (dialog, peer) = self.invite_next(&mut placing, None)?;
        let leg = FarLeg::new(dialog, media, sdp, sockets, peer.ip());
        Ok(FarLeg { placing: Some(Box::new(placing)), ..leg })
    }

    /// Takes what happens on a leg at a call's far end, or on one that is to come there; gives
    /// everything else back.
    pub(super) fn far_event(&mut self, event: Event) -> Option<Event> {
        let dialog = match &event {
            Event::Ringing { dialog, .. }
            | Event::Answered { dialog, .. }
            | Event::Failed { dialog, .. }
            | Event::Ended { dialog, .. }
            | Event::Acked { dialog, .. }
            | Event::Reinvite { dialog, .. }
            | Event::ReinviteAnswered { dialog, .. }
            | Event::ReinviteFailed { dialog, .. }
            | Event::Refer { dialog, .. }
            | Event::InfoAnswered { dialog, .. }
            | Event::Info { dialog, .. } => *dialog,
            _ => return Some(event),
        };
        let Some((key, seat)) = self.with_far(dialog) else { return Some(event) };
        match event {
            Event::Ringing { status, sdp, .. } => {
                self.far_ringing(key, seat, dialog, status, sdp.as_ref());
            }
            Event::Answered { sdp, .. } => self.far_answered(key, seat, dialog, sdp.as_ref()),
            Event::Failed { status, response, .. } => {
                self.far_failed(key, seat, dialog, status, response.as_ref());
            }
            Event::Ended { cause, .. } => self.far_ended(key, seat, dialog, &cause),
            Event::Acked { answer, .. } => self.far_acked(key, seat, answer.as_ref()),
            Event::Reinvite { offer, .. } => self.far_reinvited(key, seat, offer.as_ref()),
            Event::ReinviteAnswered { sdp, .. } => {
                self.far_change_answered(key, seat, sdp.as_ref());
            }
            Event::ReinviteFailed { status, .. } => self.far_change_refused(key, seat, status),
            Event::Refer { request, .. } => self.far_referred(key, seat, dialog, &request),
            Event::Info { request, .. } => self.far_info(key, seat, &request),
            Event::InfoAnswered { status, .. } => self.far_info_answered(key, seat, status),
            _ => {}
        }
        None
    }

    /// The call that has a leg with this dialog, or a branch that is one, and where the leg stands.
    fn with_far(&self, dialog: DialogId) -> Option<(CallKey, Seat)> {
        let key = self.by_dialog.get(&dialog)?;
        let call = self.calls.get(key)?;
        let is_leg = |seat: &Seat| {
            let leg = call.far_at(*seat).as_ref().and_then(|far| far.leg.as_ref());
            leg.is_some_and(|leg| {
                let placing = leg.placing.as_ref();
                let branch = placing.is_some_and(|placing| placing.branch(dialog).is_some());
                leg.dialog == dialog || branch
            })
        };
        Seat::ALL.into_iter().find(is_leg).map(|seat| (*key, seat))
    }

    /// The leg could not even be called.
    fn far_unreachable(&mut self, key: CallKey, seat: Seat, error: &RequestError) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        tracing::warn!(parent: &call.span, %error, "no leg can be called");
        *call.far_at_mut(seat) = None;
        let cause = match error {
            RequestError::Full | RequestError::Limit(_) => Cause::Congestion,
            _ => Cause::AgentUnreachable,
        };
        self.refuse_far(key, seat, cause);
    }

    /// Tells whoever wanted the leg that there is none.
    pub(super) fn refuse_far(&mut self, key: CallKey, seat: Seat, cause: Cause) {
        match seat {
            Seat::There => self.tell_later(key, Input::AgentRefused(cause)),
            Seat::Coming => {
                self.transfer_input(key, transfer::Input::Refused(cause.as_str()));
            }
            Seat::Third => self.third_left(key, cause.as_str()),
        }
        self.reschedule(key);
    }

    /// Looks whether a leg has to be told something again.
    pub(super) fn far_due(&mut self, key: CallKey) {
        for seat in Seat::ALL {
            if self.far_of(key, seat).is_some() {
                self.tell_far_hold(key, seat);
                self.next_far_digit(key, seat);
            }
        }
    }
}

/// The codecs that a leg is offered: those of the caller first, in its order, so that nothing has
/// to be transcoded.
pub(super) fn codecs_for(call: &LiveCall, allowed: &[AudioFormat]) -> Vec<AudioFormat> {
    let offered = call.offer.as_ref().map(|offer| offer_answer::offered_codecs(offer, &call.media));
    let now = call.format.map(|format| format.audio);
    let mut codecs: Vec<AudioFormat> = Vec::with_capacity(allowed.len());
    let preferred = now.into_iter().chain(offered.unwrap_or_default());
    for codec in preferred.chain(allowed.iter().copied()) {
        if allowed.contains(&codec) && !codecs.contains(&codec) {
            codecs.push(codec);
        }
    }
    codecs
}

/// A name as the user part of a URI (RFC 3261 25.1).
fn user_part(name: &str) -> String {
    use std::fmt::Write as _;
    if name.is_empty() {
        return "anonymous".to_owned();
    }
    let mut user = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,".contains(&byte) {
            user.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(user, "%{byte:02X}");
        }
    }
    user
}

#[cfg(test)]
mod tests {
    use super::user_part;

    /// Numbers stay as they are; nothing in a name can end the user part.
    #[test]
    fn names_become_users() {
        for (name, user) in [
            ("+4930123", "+4930123"),
            ("alice", "alice"),
            ("", "anonymous"),
            ("*21#", "*21%23"),
            ("a@b>c d", "a%40b%3Ec%20d"),
            ("\u{e9}", "%C3%A9"),
        ] {
            assert_eq!(user_part(name), user);
        }
    }
}
