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

    /// Takes a call's place on the server.
    pub(super) fn take_server(&mut self, way: Way) -> Result<Permit, Refusal> {
        let bound = self.server();
        self.quota.take(now(), way, &[bound])
    }

    /// Takes a new leg's share of the server's rate; it belongs to a call that counts already.
    pub(super) fn take_rate(&mut self, way: Way) -> Result<(), Refusal> {
        let mut bound = self.server();
        bound.limits.calls = Ways::default();
        self.quota.take(now(), way, &[bound]).map(drop)
    }

    /// Takes the places of a call that comes in beside that on the server.
    pub(super) fn take_places(&mut self, bounds: &[Bound]) -> Result<Permit, Refusal> {
        self.quota.take(now(), Way::In, bounds)
    }

    /// Takes the places of a call that we place, that on the server among them.
    pub(super) fn take_outbound(&mut self, bounds: &[Bound]) -> Result<Permit, Refusal> {
        let bounds: Vec<_> = std::iter::once(self.server()).chain(bounds.iter().copied()).collect();
        self.quota.take(now(), Way::Out, &bounds)
    }

    /// Takes the place of a call that we place on the trunk that it goes through, and on the number
    /// of the trunk that it is placed from.
    pub(super) fn take_line(
        &mut self,
        snapshot: &Snapshot,
        trunk: &Trunk,
        from: Option<&str>,
    ) -> Result<Permit, Refusal> {
        let from = from.or_else(|| snapshot.caller_id(trunk));
        let from = from.map(|from| Called::new(from, None, trunk.country.as_deref()));
        let number = from.and_then(|from| snapshot.table.number(trunk.line, &from));
        let bounds = snapshot.line_bounds(trunk, number.map(|number| number.id));
        self.quota.take(now(), Way::Out, &bounds)
    }

    /// Takes the place of another leg of a call on the trunk that it is placed through.
    pub(super) fn take_leg(&mut self, trunk: Option<&Trunk>) -> Result<Permit, Refusal> {
        let snapshot = self.directory.load();
        let bounds = trunk.map(|trunk| snapshot.line_bounds(trunk, None)).unwrap_or_default();
        self.quota.take(now(), Way::Out, &bounds)
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

/// Which way a call goes.
pub(super) const fn way(direction: Direction) -> Way {
    match direction {
        Direction::Inbound => Way::In,
        Direction::Outbound => Way::Out,
    }
}
