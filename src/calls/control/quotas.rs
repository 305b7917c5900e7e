//! What calls count for, and where they may go.

use adapters::agent::Direction;
use uuid::Uuid;

use super::Control;
use crate::directory::{Agent, Snapshot, Trunk};
use crate::quota::destination::{Destinations, Undialled};
use crate::quota::{Bound, Kind, Limits, Permit, Refusal, Way, Ways};
use crate::routing::Called;
use crate::workers::command::CallKey;
use crate::workers::poller::now;

impl Control {
    /// The bounds of the server itself.
    fn server(&self) -> Bound {
        let limits = &self.config.limits;
        let bounds = Limits::calls(limits.max_calls, limits.inbound_reserve_percent);
        Bound::new(Kind::Server, Uuid::nil(), bounds.at_rate(limits.calls_per_second))
    }

    /// Whether the server has room for another call: nothing is taken.
    pub(super) fn check_server(&self, way: Way) -> Result<(), Refusal> {
        self.check_load(way)?;
        self.quota.check(now(), way, &[self.server()])
    }

    /// Takes the places of a call within these bounds and on the server: all of them at once, so
    /// that whoever is beyond a limit of its own uses up nothing of the server's rate.
    pub(super) fn take_places(&mut self, way: Way, bounds: &[Bound]) -> Result<Permit, Refusal> {
        self.check_load(way)?;
        let bounds: Vec<_> = bounds.iter().copied().chain([self.server()]).collect();
        self.quota.take(now(), way, &bounds)
    }

    /// Takes the place of a call that we place on the trunk that it goes through, and on the number
    /// of the trunk that it is placed from.
    pub(super) fn take_line(
        &mut self,
        snapshot: &Snapshot,
        trunk: &Trunk,
        from: Option<&str>,
    ) -> Result<Permit, Refusal> {
        self.quota.take(now(), Way::Out, &line_bounds(snapshot, trunk, from))
    }

    /// Whether a trunk has room for a call that we place through it: nothing is taken.
    pub(super) fn check_line(
        &self,
        snapshot: &Snapshot,
        trunk: &Trunk,
        from: Option<&str>,
    ) -> Result<(), Refusal> {
        self.quota.check(now(), Way::Out, &line_bounds(snapshot, trunk, from))
    }

    /// What a leg beside those of a call counts for: it costs its organisation what a call costs,
    /// on the trunk that it is placed through and the number that it is placed from.
    pub(super) fn leg_bounds(
        &self,
        organisation: Uuid,
        trunk: Option<&Trunk>,
        from: Option<&str>,
    ) -> Vec<Bound> {
        let snapshot = self.directory.load();
        let number = trunk.and_then(|trunk| number_of(&snapshot, trunk, from));
        snapshot.bounds(organisation, trunk, number)
    }

    /// Takes the places of another leg of a call within these bounds, and its share of the server's
    /// rate. The call itself has its place on the server.
    pub(super) fn take_leg(&mut self, mut bounds: Vec<Bound>) -> Result<Permit, Refusal> {
        let mut server = self.server();
        server.limits.calls = Ways::default();
        bounds.push(server);
        let mut permit = self.quota.take(now(), Way::Out, &bounds)?;
        Ok(permit.all_but(Kind::Server))
    }

    /// Takes the places of the leg that is a call's agent. It is no leg more than the call has, so
    /// it takes nothing of the server's rate.
    pub(super) fn take_agents_leg(&mut self, bounds: &[Bound]) -> Result<Permit, Refusal> {
        self.quota.take(now(), Way::Out, bounds)
    }

    /// Takes a call's place at an agent.
    pub(super) fn take_agent(&mut self, agent: &Agent, way: Way) -> Result<Permit, Refusal> {
        let bound = Bound::new(Kind::Agent, agent.id, agent.limits);
        self.quota.take(now(), way, &[bound])
    }

    /// Lets a call hold its place at an agent.
    pub(super) fn hold_slot(&mut self, key: CallKey, agent: Uuid, slot: Permit) {
        if let Some(call) = self.calls.get_mut(&key) {
            call.slot = Some((agent, slot));
        }
    }

    /// Whether `to` may be called, through this trunk or none.
    pub(super) fn judge(&self, to: &str, trunk: Option<&Trunk>) -> Result<(), Undialled> {
        let own = trunk.and_then(|trunk| trunk.destinations.as_ref());
        let allowed = own.unwrap_or(&self.config.limits.destinations).clone();
        let country = trunk.and_then(|trunk| trunk.country.as_deref());
        Destinations { allowed }.judge(to, country)
    }
}

/// The number of a trunk that calls are placed from.
fn number_of(snapshot: &Snapshot, trunk: &Trunk, from: Option<&str>) -> Option<Uuid> {
    let from = from.map(|from| Called::new(from, None, trunk.country.as_deref()));
    let number = from.and_then(|from| snapshot.table.number(trunk.line, &from));
    number.map(|number| number.id)
}

/// What a call counts for because of the trunk that it goes through, and of the number of the trunk
/// that it is placed from.
fn line_bounds(snapshot: &Snapshot, trunk: &Trunk, from: Option<&str>) -> Vec<Bound> {
    let from = from.or_else(|| snapshot.caller_id(trunk));
    snapshot.line_bounds(trunk, number_of(snapshot, trunk, from))
}

/// Which way a call goes.
pub(super) const fn way(direction: Direction) -> Way {
    match direction {
        Direction::Inbound => Way::In,
        Direction::Outbound => Way::Out,
    }
}
