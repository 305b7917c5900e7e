//! A call that no server of its trunk puts through goes on through the next trunk: it has the same
//! id, agent and media, and another INVITE.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Control;
use super::calling::{Calling, number_from};
use super::choosing::through;
use super::forking::failure;
use super::place::{Errand, Mission, field, one_by_one};
use super::placing::Hop;
use super::presenting::{added, presented};
use crate::calls::call::Input;
use crate::calls::log::What;
use crate::calls::reason::PeerReason;
use crate::calls::request::{PlaceCall, RequestError};
use crate::directory::Trunk;
use crate::quota::Permit;
use crate::sip::core::endpoint::DialogId;
use crate::sip::core::message::Message;
use crate::sip::core::offer_answer;
use crate::sip::endpoint::resolver::ResolveError;
use crate::workers::command::CallKey;

/// What is left to be tried of a call.
#[derive(Debug)]
pub struct Spare {
    /// What is wanted.
    call: PlaceCall,
    /// The number that was picked for it.
    calling: Option<Calling>,
    /// Trunks, in the order to try them.
    trunks: VecDeque<Arc<Trunk>>,
    /// Why the last one did not put it through.
    reason: PeerReason,
}

/// A trunk, and the call's place on it.
type Line = (Option<Arc<Trunk>>, Permit);

impl Spare {
    /// What is left of a call; none if that is nothing.
    pub(super) fn new(
        call: &PlaceCall,
        calling: Option<Calling>,
        trunks: VecDeque<Arc<Trunk>>,
    ) -> Option<Box<Self>> {
        if trunks.is_empty() {
            return None;
        }
        Some(Box::new(Self { call: call.clone(), calling, trunks, reason: PeerReason::default() }))
    }
}

impl Control {
    /// No server of a call's trunk has taken it: it goes on through the next trunk if the servers
    /// are to blame and nobody has been reached. Why it is over, if it does not.
    pub(super) fn leave_trunk(
        &mut self,
        key: CallKey,
        placing: &mut super::Placing,
        (dialog, status, response): (DialogId, u16, Option<&Message>),
        reason: PeerReason,
    ) -> Option<PeerReason> {
        let spare = placing.spare.take().filter(|_| !placing.attempts.is_settled());
        let blamed = failure(status, response).is_of_servers();
        let Some(mut spare) = spare.filter(|_| blamed) else { return Some(reason) };
        let call = self.calls.get_mut(&key).filter(|call| call.ended.is_none());
        let Some(call) = call.filter(|call| call.format.is_none()) else { return Some(reason) };
        tracing::info!(parent: &call.span, status, "the call leaves its trunk");
        call.dialog = None;
        self.by_dialog.remove(&dialog);
        spare.reason = reason;
        self.log_fact(key, What::PlacedElsewhere { sip_status: status });
        self.next_line(key, spare);
        None
    }

    /// Takes a call that goes on through the next trunk that has room for it, or ends it.
    fn next_line(&mut self, key: CallKey, mut spare: Box<Spare>) {
        while let Some(trunk) = spare.trunks.pop_front() {
            let Ok(ways) = through(&trunk, &spare.call.to) else { continue };
            if self.hold_again(key, &spare.call.to, &trunk).is_err() {
                continue;
            }
            let line = self.take_number(&trunk, &spare.call, &mut spare.calling);
            let Ok(line) = line else { continue };
            let mission = Mission::Again { key, line, spare };
            let errand = Errand { mission, trunk: Some(trunk), ways };
            return match self.located(&errand.ways) {
                Some(found) => self.set_out(errand, found),
                None => self.locate(errand),
            };
        }
        let Some(call) = self.calls.get_mut(&key) else { return };
        let cause = spare.reason.cause();
        call.peer_reason = spare.reason;
        // What tells of the failure is under way.
        self.tell_later(key, Input::PeerEnded(cause));
    }

    /// The servers of the next trunk are known: the INVITE goes to the first of them that can be
    /// reached, else through the trunk after it.
    pub(super) fn set_out_again(
        &mut self,
        key: CallKey,
        spare: Box<Spare>,
        line: Line,
        found: Result<Vec<Hop>, ResolveError>,
    ) {
        // Given up meanwhile, or taken over by somebody else.
        let Some(call) = self.calls.get(&key) else { return };
        if call.ended.is_some() || call.dialog.is_some() || call.taken_over {
            return;
        }
        let found = found.map_err(|error| field("to", error.to_string()));
        let (trunk, permit) = line;
        let placed = found.and_then(|hops| self.place_again(key, &spare, trunk, hops));
        let call = self.calls.get_mut(&key);
        match (placed, call) {
            (Ok(placing), Some(call)) => {
                call.line = Some(permit);
                call.placing = Some(placing);
            }
            (Err(error), Some(call)) => {
                tracing::info!(parent: &call.span, %error, "the next trunk is of no use");
                drop(permit);
                self.next_line(key, spare);
            }
            (_, None) => {}
        }
    }

    /// Sends the INVITE of a call through another trunk, which has codecs, keys and a form of
    /// numbers of its own.
    fn place_again(
        &mut self,
        key: CallKey,
        spare: &Spare,
        trunk: Option<Arc<Trunk>>,
        hops: Vec<Hop>,
    ) -> Result<Box<super::Placing>, RequestError> {
        if self.draining {
            return Err(RequestError::Draining);
        }
        let (wanted, through) = (&spare.call, trunk.as_deref());
        let from = number_from(wanted.from.as_deref(), spare.calling.as_ref());
        let user = self.calling_user(from, through);
        let secure = hops.iter().all(Hop::is_secure);
        let call = self.calls.get(&key).ok_or(RequestError::NoSuchCall)?;
        let mut media = call.media.clone();
        let organisation = call.agent.organisation;
        let outward = self.outward_of_leg(organisation, through);
        let rounds = self.reached_rounds(&outward, organisation, one_by_one(hops))?;
        let mut placing = self.placing(organisation, outward, trunk.clone(), rounds);
        placing.present(presented(wanted, user.clone(), through)?, added(wanted, through)?);
        let first = placing.first().map(|first| first.ip().to_canonical());
        // Its sockets are open already, for peers of one family.
        if first.is_none_or(|first| first.is_ipv4() != media.address.is_ipv4()) {
            return Err(field("to", "no server is found that can send to us".to_owned()));
        }
        let codecs = trunk.as_ref().and_then(|trunk| trunk.codecs.clone());
        media.codecs = codecs.unwrap_or_else(|| self.config.sip.codecs.clone());
        let srtp = self.local_srtp(through.and_then(|trunk| trunk.srtp), secure);
        media.srtp = srtp.map_err(|error| field("to", error.to_string()))?;
        let sdp = offer_answer::build_offer(&media);
        placing.sdp.clone_from(&sdp);
        placing.spare = Spare::new(wanted, spare.calling.clone(), spare.trunks.clone());
        let (dialog, peer) = self.invite_next(&mut placing, None)?;
        self.watch_branches(key, &placing);
        let call = self.calls.get_mut(&key).ok_or(RequestError::NoSuchCall)?;
        let name = through.map(|trunk| trunk.name.as_str());
        tracing::info!(parent: &call.span, trunk = name, %peer, "the call goes through another trunk");
        (call.media, call.sdp, call.from, call.trunk) = (media, sdp, user, trunk);
        (call.dialog, call.signalling) = (Some(dialog), peer.ip());
        self.capture_goes_on(key);
        self.log_line(key);
        self.log_calling(key, spare.calling.as_ref());
        Ok(Box::new(placing))
    }
}
