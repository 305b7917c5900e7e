//! Everything that calls are routed by, at one moment.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::agent::Agent;
use super::carriers::Carriers;
use super::trunk::Trunk;
use crate::calls::caller_ids::Rotation;
use crate::carrier;
use crate::config::{Ambient, Keep, UserConfig};
use crate::quota::credit::Cap;
use crate::quota::rates::Rates;
use crate::quota::{Bound, Kind, Limits, Subject};
use crate::routing::{Called, Decision, Inquiry, Table, Unrouted};

/// How a call is treated.
#[derive(Clone, Debug, PartialEq)]
pub struct Treatment {
    /// Who talks.
    pub agent: Arc<Agent>,
    /// What the caller gets when the agent cannot be reached or is lost.
    pub fallback: Fallback,
    /// True if the agent decides when the call is answered.
    pub agent_answers: bool,
    /// True if an agent that decides so is heard before the answer.
    pub early_media: bool,
    /// Longest call.
    pub max_duration: Duration,
    /// What the caller hears under the agent.
    pub ambient: Option<Ambient>,
    /// What of it is kept.
    pub keep: Keep,
}

/// What the caller gets when the agent cannot be reached, or is lost and does not come back.
#[derive(Clone, Debug, PartialEq)]
pub enum Fallback {
    /// The call ends: 480 before the answer, BYE after it.
    Hangup,
    /// Another agent takes over; its own failure ends the call.
    Agent(Arc<Agent>),
    /// A WAV file is played, then the call ends.
    Message(PathBuf),
}

/// Everything that calls are routed by. It never changes; what changes makes another one.
#[derive(Debug)]
pub struct Snapshot {
    /// The organisation of what the file names, and of who names none.
    pub organisation: Uuid,
    /// Trunks.
    pub trunks: Vec<Arc<Trunk>>,
    /// Softphones.
    pub users: Vec<UserConfig>,
    /// Numbers and routes.
    pub table: Table<Arc<Treatment>>,
    agents: HashMap<Uuid, HashMap<String, Arc<Agent>>>,
    /// Limits of organisations, configurations and numbers.
    limits: HashMap<Subject, Limits>,
    pub(super) accounts: HashMap<Uuid, Account>,
    /// Organisations that have no new calls.
    suspended: HashSet<Uuid>,
    /// Longest calls of organisations that have a limit of their own.
    longest: HashMap<Uuid, Duration>,
    /// What calls cost.
    rates: Rates,
    /// What those of organisations may cost that have them priced.
    caps: HashMap<Uuid, Cap>,
    carriers: Carriers,
}

/// What a stored configuration says of calls that are placed by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The configuration.
    pub id: Uuid,
    /// Whose it is.
    pub organisation: Uuid,
    /// It is the one that calls of its organisation are placed by if they name none.
    pub is_default: bool,
    /// Its numbers, the default first.
    pub caller_ids: Vec<CallerId>,
    /// How one of them is picked for a call that names none.
    pub rotation: Rotation,
}

/// A number that calls may be placed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerId {
    /// The number in its one written form.
    pub number: String,
    /// It is the one that is called from if a call names none.
    pub is_default: bool,
    /// The trunk of its configuration that its calls go through, if it is pinned to one.
    pub trunk: Option<Uuid>,
}

impl Snapshot {
    pub(super) fn new(
        organisation: Uuid,
        agents: Vec<Arc<Agent>>,
        trunks: Vec<Arc<Trunk>>,
        users: Vec<UserConfig>,
        table: Table<Arc<Treatment>>,
    ) -> Self {
        let mut named: HashMap<Uuid, HashMap<String, Arc<Agent>>> = HashMap::new();
        for agent in agents {
            named.entry(agent.organisation).or_default().insert(agent.name.clone(), agent);
        }
        let (limits, accounts, suspended) = (HashMap::new(), HashMap::new(), HashSet::new());
        let carriers = Carriers::default();
        Self {
            organisation,
            trunks,
            users,
            table,
            agents: named,
            limits,
            accounts,
            suspended,
            longest: HashMap::new(),
            rates: Rates::default(),
            caps: HashMap::new(),
            carriers,
        }
    }

    /// Also with these configurations of carriers.
    pub(super) fn with_carriers(mut self, carriers: Carriers) -> Self {
        self.carriers = carriers;
        self
    }

    /// The configurations of carriers whose calls are controlled over HTTP.
    pub const fn carriers(&self) -> &Carriers {
        &self.carriers
    }

    /// Also with these limits and configurations.
    pub(super) fn with(mut self, limits: Vec<Bound>, accounts: Vec<Account>) -> Self {
        self.limits = limits.into_iter().map(|bound| (bound.subject, bound.limits)).collect();
        self.accounts = accounts.into_iter().map(|account| (account.id, account)).collect();
        self
    }

    /// Without new calls of these organisations.
    pub(super) fn without(mut self, suspended: HashSet<Uuid>) -> Self {
        self.suspended = suspended;
        self
    }

    /// With no longer calls of these organisations than these.
    pub(super) fn lasting(mut self, longest: HashMap<Uuid, Duration>) -> Self {
        self.longest = longest;
        self
    }

    /// With calls that cost this, and that may cost organisations so much.
    pub(super) fn priced(mut self, rates: Rates, caps: HashMap<Uuid, Cap>) -> Self {
        (self.rates, self.caps) = (rates, caps);
        self
    }

    /// What calls cost.
    pub const fn rates(&self) -> &Rates {
        &self.rates
    }

    /// What the calls of an organisation may cost; none if they are not priced.
    pub fn cap(&self, organisation: Uuid) -> Option<&Cap> {
        self.caps.get(&organisation)
    }

    /// The longest call of an organisation, if it has a limit of its own.
    pub fn longest(&self, organisation: Uuid) -> Option<Duration> {
        self.longest.get(&organisation).copied()
    }

    /// Whether an organisation has no new calls.
    pub fn is_suspended(&self, organisation: Uuid) -> bool {
        self.suspended.contains(&organisation)
    }

    /// The trunks that a call of an organisation to a number is placed through if it names none, in
    /// the order to try them: those of its default configuration, then those of the others. Trunks
    /// of the file have to be named. `from` tells the number that is called from by a
    /// configuration, if that is another than its default.
    pub fn outbound(
        &self,
        organisation: Uuid,
        from: impl Fn(Uuid) -> Option<String>,
    ) -> Vec<Arc<Trunk>> {
        let own = self.accounts.values().filter(|account| account.organisation == organisation);
        let mut own: Vec<&Account> = own.collect();
        own.sort_by_key(|account| (!account.is_default, account.id));
        let trunks = |account: &Account| self.trunks_of(account.id, from(account.id).as_deref());
        own.into_iter().flat_map(trunks).collect()
    }

    /// The trunks that a call by a configuration is placed through, in the order to try them: the
    /// one that the number it is placed from is pinned to, and no other; else what the
    /// configuration itself describes, then the trunks within it.
    pub fn trunks_of(&self, configuration: Uuid, from: Option<&str>) -> Vec<Arc<Trunk>> {
        let within = self.trunks.iter().filter(|trunk| trunk.line == configuration);
        let mut trunks: Vec<_> =
            within.filter(|trunk| !trunk.outbound.targets.is_empty()).cloned().collect();
        let country = trunks.iter().find_map(|trunk| trunk.country.as_deref());
        let from = from.or_else(|| self.own_number(configuration));
        let number = from.and_then(|from| {
            self.table.number(configuration, &Called::new(from, Some(from), country))
        });
        if let Some(pinned) = number.and_then(|number| number.trunk) {
            trunks.retain(|trunk| trunk.id == pinned);
        }
        trunks.sort_by_key(|trunk| (trunk.is_within(), trunk.id));
        trunks
    }

    /// The number that a call by a carrier's configuration is placed from if it names none: the
    /// default number, else any.
    pub fn own_number(&self, configuration: Uuid) -> Option<&str> {
        let numbers = &self.accounts.get(&configuration)?.caller_ids;
        let default = numbers.iter().find(|it| it.is_default);
        default.or_else(|| numbers.first()).map(|it| it.number.as_str())
    }

    /// The number that a call through a trunk is placed from if it names none: the default number
    /// of its configuration, the one that the trunk names, one that is pinned to it, any of the
    /// configuration's; never one that is pinned to another trunk.
    pub fn caller_id<'s>(&'s self, trunk: &'s Trunk) -> Option<&'s str> {
        let account = self.accounts.get(&trunk.line);
        let numbers = account.map(|account| account.caller_ids.as_slice()).unwrap_or_default();
        let usable = numbers.iter().filter(|it| it.trunk.is_none_or(|id| id == trunk.id));
        let usable: Vec<&CallerId> = usable.collect();
        let text = |it: &&'s CallerId| it.number.as_str();
        let own = trunk.outbound.caller_id.as_deref();
        let pinned = usable.iter().find(|it| it.trunk.is_some()).map(text);
        let default = usable.iter().find(|it| it.is_default).map(text);
        default.or(own).or(pinned).or_else(|| usable.first().map(text))
    }

    /// The configuration with this id, unless it is parked.
    pub fn account(&self, id: Uuid) -> Option<&Account> {
        self.accounts.get(&id)
    }

    /// The agent of an organisation that is called `name`.
    pub fn agent(&self, organisation: Uuid, name: &str) -> Option<&Arc<Agent>> {
        self.agents.get(&organisation)?.get(name)
    }

    /// The agent of an organisation that is called `name`, or has it as its id.
    pub fn agent_or_id(&self, organisation: Uuid, name: &str) -> Option<&Arc<Agent>> {
        let agents = self.agents.get(&organisation)?;
        let by_id = || {
            let id = Uuid::try_parse(name).ok()?;
            agents.values().find(|agent| agent.id == id)
        };
        agents.get(name).or_else(by_id)
    }

    /// The trunk of an organisation that is called `name`, or has it as its id. Trunks within
    /// configurations may have the same name: then neither is meant.
    pub fn trunk(&self, organisation: Uuid, name: &str) -> Option<&Arc<Trunk>> {
        let own = || self.trunks.iter().filter(|trunk| trunk.organisation == organisation);
        let named = |trunk: &&Arc<Trunk>| trunk.name == name;
        if let Some(trunk) = own().filter(named).find(|trunk| !trunk.is_within()) {
            return Some(trunk);
        }
        if let Ok(id) = Uuid::try_parse(name) {
            return own().find(|trunk| trunk.id == id);
        }
        let mut within = own().filter(named);
        within.next().filter(|_| within.next().is_none())
    }

    /// The trunk with this id.
    pub fn trunk_by_id(&self, id: Uuid) -> Option<&Arc<Trunk>> {
        self.trunks.iter().find(|trunk| trunk.id == id)
    }

    /// What a call of an organisation counts for, by a trunk and a number, if there are.
    pub fn bounds(
        &self,
        organisation: Uuid,
        trunk: Option<&Trunk>,
        number: Option<Uuid>,
    ) -> Vec<Bound> {
        let line = trunk.map(|trunk| self.line_bounds(trunk, number)).unwrap_or_default();
        std::iter::once(self.bound(Kind::Organisation, organisation)).chain(line).collect()
    }

    /// What a call counts for because of its trunk, and of a number of that.
    pub fn line_bounds(&self, trunk: &Trunk, number: Option<Uuid>) -> Vec<Bound> {
        let own = Bound::new(Kind::Trunk, trunk.id, trunk.limits);
        let all = self.accounts.contains_key(&trunk.line);
        let all = all.then(|| self.bound(Kind::Configuration, trunk.line));
        let number = number.map(|number| self.bound(Kind::Number, number));
        std::iter::once(own).chain(all).chain(number).collect()
    }

    /// What has no limit is counted all the same: it may get one while the call lives.
    fn bound(&self, kind: Kind, id: Uuid) -> Bound {
        let limits = self.limits.get(&Subject { kind, id }).copied();
        Bound::new(kind, id, limits.unwrap_or_default())
    }

    /// What a call counts for because of a carrier's configuration, and of a number of that.
    pub fn carrier_bounds(&self, id: Uuid, limits: Limits, number: Option<Uuid>) -> Vec<Bound> {
        let line = Bound::new(Kind::Trunk, id, limits);
        let number = number.map(|number| self.bound(Kind::Number, number));
        std::iter::once(line).chain(number).collect()
    }

    /// Who takes a call of `caller` to the number `called` that a carrier's configuration offers.
    ///
    /// # Errors
    ///
    /// Why nobody does.
    pub fn route_offered(
        &self,
        account: &carrier::Account,
        called: &str,
        caller: &str,
        chance: Chance,
    ) -> Result<Decision<'_, Arc<Treatment>>, Unrouted> {
        self.table.decide(&Inquiry {
            organisation: account.organisation,
            line: Some(account.id),
            trunk: None,
            called: Called::new(called, Some(called), None),
            caller,
            at: chance.at,
            lot: chance.lot,
        })
    }

    /// Who takes a call of `caller` to `called`, a user or number, that came by a trunk or none.
    ///
    /// # Errors
    ///
    /// Why nobody does.
    pub fn route(
        &self,
        trunk: Option<&Trunk>,
        called: &str,
        uri: Option<&str>,
        caller: &str,
        chance: Chance,
    ) -> Result<Decision<'_, Arc<Treatment>>, Unrouted> {
        let country = trunk.and_then(|trunk| trunk.country.as_deref());
        let organisation = trunk.map_or(self.organisation, |trunk| trunk.organisation);
        if self.is_suspended(organisation) {
            return Err(Unrouted::Suspended);
        }
        self.table.decide(&Inquiry {
            organisation,
            line: trunk.map(|trunk| trunk.line),
            trunk: trunk.filter(|trunk| trunk.is_within()).map(|trunk| trunk.id),
            called: Called::new(called, uri, country),
            caller,
            at: chance.at,
            lot: chance.lot,
        })
    }
}

/// What a decision depends on besides the call: the time, and a lot.
#[derive(Clone, Copy, Debug)]
pub struct Chance {
    /// When it is.
    pub at: jiff::Timestamp,
    /// Decides where calls are shared by lot.
    pub lot: u64,
}
