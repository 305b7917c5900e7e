//! Lines whose calls are placed from one of several numbers.

use uuid::Uuid;

use super::snapshot::{CallerId, Snapshot};
use super::trunk::Trunk;
use crate::calls::caller_ids::{Policy, Rotation};

/// A line whose numbers have so many calls a day and no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CappedLine {
    /// Whose it is.
    pub organisation: Uuid,
    /// The configuration; or a trunk that belongs to none.
    pub line: Uuid,
    /// The name of that trunk, by which the log knows its calls.
    pub trunk: Option<String>,
}

/// How the number of a call is picked, and the numbers that there are, the default first.
pub type Choice<'s> = (Rotation, Vec<&'s str>);

impl Snapshot {
    /// What the number of a call by a configuration is picked from; none if it has nothing to pick.
    /// Never a number that is not active, of a configuration that is parked, or pinned to a trunk
    /// that is not in service.
    pub fn caller_ids_of(&self, configuration: Uuid) -> Option<Choice<'_>> {
        let account = self.accounts.get(&configuration).filter(|it| it.rotation.is_set())?;
        let is_up =
            |id: Uuid| self.trunk_by_id(id).is_some_and(|trunk| !trunk.outbound.targets.is_empty());
        let numbers = account.caller_ids.iter().filter(|it| it.trunk.is_none_or(is_up));
        Some((account.rotation, numbers.map(text).collect()))
    }

    /// What the number of a call through a trunk is picked from; none if it has nothing to pick.
    /// Never a number that is pinned to another trunk.
    pub fn caller_ids_through<'s>(&'s self, trunk: &'s Trunk) -> Option<Choice<'s>> {
        let account = self.accounts.get(&trunk.line).filter(|it| it.rotation.is_set());
        if let Some(account) = account {
            let own = |it: &&CallerId| it.trunk.is_none_or(|id| id == trunk.id);
            let numbers = account.caller_ids.iter().filter(own);
            return Some((account.rotation, numbers.map(text).collect()));
        }
        let rotation = trunk.outbound.rotation;
        let numbers = || trunk.outbound.caller_ids.iter().map(String::as_str).collect();
        rotation.is_set().then(|| (rotation, numbers()))
    }

    /// Whether an organisation has a line that calls people from the number that they know.
    pub fn remembers_callees(&self, organisation: Uuid) -> bool {
        let mut accounts = self.accounts.values();
        let mut trunks = self.trunks.iter().filter(|trunk| trunk.organisation == organisation);
        accounts.any(|it| it.organisation == organisation && it.rotation.policy == Policy::Sticky)
            || trunks.any(|trunk| trunk.outbound.rotation.policy == Policy::Sticky)
    }

    /// The lines whose numbers have so many calls a day.
    pub fn capped_lines(&self) -> Vec<CappedLine> {
        let accounts = self.accounts.values().filter(|it| it.rotation.daily_cap.is_some());
        let accounts = accounts.map(|it| CappedLine {
            organisation: it.organisation,
            line: it.id,
            trunk: None,
        });
        let trunks = self.trunks.iter();
        let trunks = trunks.filter(|trunk| trunk.outbound.rotation.daily_cap.is_some());
        let trunks = trunks.map(|trunk| CappedLine {
            organisation: trunk.organisation,
            line: trunk.line,
            trunk: Some(trunk.name.clone()),
        });
        accounts.chain(trunks).collect()
    }
}

fn text(caller_id: &CallerId) -> &str {
    &caller_id.number
}
