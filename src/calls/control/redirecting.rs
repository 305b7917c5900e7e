//! Calls that we place and that are sent elsewhere (3xx).

use uuid::Uuid;

use super::Control;
use super::crediting::is_within;
use super::referred::may_refer;
use crate::calls::far::Seat;
use crate::directory::{Caller, Snapshot, Trunk};
use crate::outward::Outward;
use crate::quota::Permit;
use crate::quota::credit::Hold;
use crate::quota::rates::Rate;
use crate::sip::core::endpoint::DialogId;
use crate::sip::core::locate::Target;
use crate::sip::core::message::Message;
use crate::sip::core::uri::Uri;
use crate::workers::command::CallKey;

impl Control {
    /// Puts the addresses that a redirection names in front of those that are tried next. It leads
    /// no further than a transfer by the same peer would, and to nobody whom the call could not
    /// have been placed to: whoever is called could otherwise have us call anybody. True if it
    /// leads anywhere.
    pub(super) fn redirected(
        &mut self,
        dialog: DialogId,
        status: u16,
        response: Option<&Message>,
    ) -> bool {
        let response = response.filter(|_| (300..400).contains(&status));
        let key = self.by_dialog.get(&dialog).copied();
        let (Some(response), Some(key)) = (response, key) else { return false };
        let snapshot = self.directory.load();
        let Some(call) = self.calls.get(&key).filter(|call| call.ended.is_none()) else {
            return false;
        };
        let placing = call.placing.as_ref();
        let Some(branch) = placing.and_then(|placing| placing.branch(dialog)) else { return false };
        let (from, secret) = (branch.hop.peer().ip(), branch.hop.is_secure());
        let (user, rate) = (user_of(&branch.hop.way.uri), call.permit.credit().map(Hold::rate));
        let (own, called) = (call.trunk.clone(), call.to.clone());
        let party = self.party(&snapshot, own.as_ref(), call, None);
        let outward = placing.map(|placing| placing.outward.clone()).unwrap_or_default();
        let by = Redirected { party, from, secret, outward, user, rate };
        let targets = self.followed(&snapshot, key, response, &called, by);
        let somewhere = !targets.is_empty();
        if let Some(placing) = self.calls.get_mut(&key).and_then(|call| call.placing.as_mut()) {
            placing.redirect(dialog, targets, response);
        }
        somewhere
    }

    /// The same of a branch of the leg at a call's far end.
    pub(super) fn far_redirected(
        &mut self,
        key: CallKey,
        seat: Seat,
        dialog: DialogId,
        status: u16,
        response: Option<&Message>,
    ) -> bool {
        let response = response.filter(|_| (300..400).contains(&status));
        let Some(response) = response else { return false };
        let snapshot = self.directory.load();
        let far = self.far_of(key, seat);
        let found = far.and_then(|far| Some((far, far.leg.as_ref()?.placing.as_ref()?)));
        let Some((far, placing)) = found else { return false };
        let Some(branch) = placing.branch(dialog) else { return false };
        let trunk = far.trunk.clone();
        let name = self.our_user(&far.dial.to).map(|user| user.name.clone());
        let known = snapshot.users.iter().find(|known| Some(&known.name) == name.as_ref());
        let party = trunk.as_ref().map(Caller::Trunk).or(known.map(Caller::User));
        let (from, secret) = (branch.hop.peer().ip(), branch.hop.is_secure());
        let rate = far.permit.as_ref().and_then(Permit::credit).map(Hold::rate);
        let user = user_of(&branch.hop.way.uri);
        let (called, outward) = (far.dial.to.clone(), placing.outward.clone());
        let by = Redirected { party, from, secret, outward, user, rate };
        let targets = self.followed(&snapshot, key, response, &called, by);
        let somewhere = !targets.is_empty();
        let far = self.far_of_mut(key, seat);
        if let Some(placing) = far.and_then(|far| far.leg.as_mut()?.placing.as_mut()) {
            placing.redirect(dialog, targets, response);
        }
        somewhere
    }

    /// Where a redirection leads, as far as it is followed.
    fn followed(
        &mut self,
        snapshot: &Snapshot,
        key: CallKey,
        response: &Message,
        called: &str,
        by: Redirected<'_>,
    ) -> Vec<(String, Target)> {
        let Redirected { party, from, secret, outward, user, rate } = by;
        // Whoever names no trunk may have called the server of one all the same.
        let at = || snapshot.trunks.iter().find(|trunk| trunk.is_at(from)).map(Caller::Trunk);
        let party = party.or_else(at);
        let through = match &party {
            Some(Caller::Trunk(trunk)) => Some(&***trunk),
            _ => None,
        };
        let Some(call) = self.calls.get_mut(&key) else { return Vec::new() };
        let contacts = call.redirects.take(called, response);
        let (span, organisation) = (call.span.clone(), call.agent.organisation);
        let mut targets = Vec::new();
        for uri in contacts {
            let address = Uri::parse(&uri).ok().and_then(|uri| uri.host?.address());
            let allowed = address.is_some_and(|address| match &party {
                Some(party) => may_refer(snapshot, party, from, address),
                None => address == from,
            });
            // The same at another server is what was to be called.
            let may = user_of(&uri) == user
                || self.may_go_on(snapshot, organisation, (uri.as_str(), through), rate);
            let allowed = allowed && may;
            // The offer has the keys of the audio in it: what began in secret stays so.
            let target = if allowed { self.literal(&uri) } else { None };
            let target = target.filter(|to| self.reaches(&outward, organisation, to));
            match target.filter(|target| !secret || target.transport.is_secure()) {
                Some(target) => targets.push((uri, target)),
                None => tracing::info!(parent: &span, "redirection to elsewhere not followed"),
            }
        }
        targets
    }

    /// Whether a call may go on to `uri`, through this trunk or none: calls there are allowed, and
    /// cost no more than it holds money for.
    fn may_go_on(
        &self,
        snapshot: &Snapshot,
        organisation: Uuid,
        (uri, through): (&str, Option<&Trunk>),
        rate: Option<Rate>,
    ) -> bool {
        let country = through.and_then(|trunk| trunk.country.as_deref());
        self.judge(uri, through).is_ok()
            && rate.is_none_or(|rate| is_within(snapshot, organisation, (uri, country), &rate))
    }
}

/// The user of a URI, in the form in which two can be compared.
fn user_of(uri: &str) -> Option<String> {
    Uri::parse(uri).ok()?.user_decoded().map(String::from)
}

/// Who redirects.
struct Redirected<'c> {
    party: Option<Caller<'c>>,
    from: std::net::IpAddr,
    /// Nobody could read what was said to it.
    secret: bool,
    /// How far the call reaches.
    outward: Outward,
    /// Whom it was asked for.
    user: Option<String>,
    /// What the call costs that is asked for, if it has a price.
    rate: Option<Rate>,
}
