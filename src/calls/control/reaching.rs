//! How far what organisations have made leads: servers of trunks, telephones, agents, media.

use std::net::IpAddr;

use uuid::Uuid;

use super::Control;
use super::place::field;
use super::placing::Hop;
use crate::calls::far::{Purpose, Seat};
use crate::calls::live::LiveCall;
use crate::calls::request::RequestError;
use crate::directory::{Agent, Snapshot, Trunk};
use crate::outward::{Outward, OutwardError};
use crate::sip::core::locate::Target;
use crate::workers::command::CallKey;

impl Snapshot {
    /// Whether `address` is in a network of peers that the file itself names.
    fn names(&self, address: IpAddr) -> bool {
        let users = self.users.iter().flat_map(|user| &user.peers);
        let trunks = self.trunks.iter().filter(|trunk| trunk.is_of_file);
        let mut networks = users.chain(trunks.flat_map(|trunk| &trunk.config.peers));
        networks.any(|network| network.contains(address))
    }
}

impl Control {
    /// How far something reaches that the file or an organisation has made.
    fn outward(&self, organisation: Uuid, is_of_file: bool) -> Outward {
        if is_of_file { Outward::Anywhere } else { self.policy.of(organisation) }
    }

    /// How far an agent reaches.
    pub(super) fn outward_of_agent(&self, agent: &Agent) -> Outward {
        self.outward(agent.organisation, agent.is_of_file)
    }

    /// How far a leg of an organisation reaches, through a trunk or straight.
    pub(super) fn outward_of_leg(&self, organisation: Uuid, trunk: Option<&Trunk>) -> Outward {
        self.outward(organisation, trunk.is_some_and(|trunk| trunk.is_of_file))
    }

    /// How far media of a call's peer reach.
    pub(super) fn outward_of_peer(&self, call: &LiveCall) -> Outward {
        self.outward_of_leg(call.agent.organisation, call.trunk.as_deref())
    }

    /// How far a leg at a call's far end reaches: one that an agent of the file is, anywhere.
    pub(super) fn outward_of_far(&self, key: CallKey, seat: Seat) -> Option<Outward> {
        let call = self.calls.get(&key)?;
        let far = call.far_at(seat).as_ref()?;
        if let Some(referral) = &far.dial.referral {
            return Some(referral.outward.clone());
        }
        let next = call.transfer.as_ref().and_then(|underway| underway.with.next.as_ref());
        if let (Seat::Coming, None, Some(next)) = (seat, &far.trunk, next) {
            return Some(self.outward_of_agent(&next.agent));
        }
        let agent = call.current_agent();
        Some(match &far.trunk {
            None if far.purpose == Purpose::Agent => self.outward_of_agent(&agent),
            trunk => self.outward_of_leg(call.agent.organisation, trunk.as_deref()),
        })
    }

    /// Whether a server is reached. The first organisation also reaches the peers that
    /// the file names.
    pub(super) fn reaches(&self, outward: &Outward, organisation: Uuid, to: &Target) -> bool {
        let snapshot = self.directory.load();
        let address = to.peer.ip();
        outward.admits(&to.name, address)
            || (organisation == snapshot.organisation && snapshot.names(address))
    }

    /// Those of the hops that are reached. Telephones that have registered are.
    pub(super) fn reached_rounds(
        &self,
        outward: &Outward,
        organisation: Uuid,
        mut rounds: Vec<Vec<Hop>>,
    ) -> Result<Vec<Vec<Hop>>, RequestError> {
        let any = !rounds.is_empty();
        let reached =
            |hop: &Hop| hop.target().is_none_or(|to| self.reaches(outward, organisation, to));
        rounds.iter_mut().for_each(|round| round.retain(reached));
        rounds.retain(|round| !round.is_empty());
        match any && rounds.is_empty() {
            true => Err(field("to", OutwardError::Private.to_string())),
            false => Ok(rounds),
        }
    }
}
