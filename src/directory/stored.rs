//! What the store holds that calls are routed by.

use std::collections::HashMap;
use std::sync::Arc;

use adapters::config::RawConfig;
use adapters::dialect::DIALECTS;
use adapters::table;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::agent::Agent;
use super::carriers::Carriers;
use super::file::{FileIds, FileObjects, objects};
use super::ids::Named;
use super::profile::{self, Unsupported};
use super::snapshot::{Account, CallerId, Fallback, Snapshot, Treatment};
use super::trunk::{Owned, Trunk};
use crate::carrier;
use crate::config::{self, Config};
use crate::quota::rates::Rates;
use crate::quota::{Bound, Kind, Limits, Ways};
use crate::routing::{Builder, Number, Pattern, Route, Scope};
use crate::store::agents::Agent as AgentRow;
use crate::store::configurations::Configuration;
use crate::store::numbers::Number as NumberRow;
use crate::store::object::{CallLimits, Origin};
use crate::store::organisations::Organisation;
use crate::store::rates::RateRow;
use crate::store::routes::Route as RouteRow;
use crate::store::trunks::Trunk as TrunkRow;
use crate::store::{Store, StoreError};

/// Everything of the store that calls are routed by.
#[derive(Debug, Default)]
pub struct Stored {
    /// Whose it all is.
    pub organisations: Vec<Organisation>,
    /// Carriers' credentials, SIP peers among them.
    pub configurations: Vec<Configuration>,
    /// Trunks.
    pub trunks: Vec<TrunkRow>,
    /// Agents.
    pub agents: Vec<AgentRow>,
    /// Numbers.
    pub numbers: Vec<NumberRow>,
    /// Routes.
    pub routes: Vec<RouteRow>,
    /// What calls cost.
    pub rates: Vec<RateRow>,
}

impl Stored {
    /// Reads it all.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached or a row is not understood.
    pub async fn read(store: &Store) -> Result<Self, StoreError> {
        Ok(Self {
            organisations: store.organisations().await?,
            configurations: store.all_configurations().await?,
            trunks: store.all_trunks().await?,
            agents: store.all_agents().await?,
            numbers: store.all_numbers().await?,
            routes: store.all_routes().await?,
            rates: store.rates(store.default_organisation(), None, u32::MAX).await?,
        })
    }
}

/// A stored object that is not used, and why. Whoever stores refuses what cannot be used; this is
/// for what an earlier version took.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// The object.
    pub id: Uuid,
    /// What it is.
    pub what: &'static str,
    /// Why it is not used. No secret is told.
    pub why: String,
}

/// Puts a snapshot together.
struct Assembly<'s> {
    stored: &'s Stored,
    config: &'s Config,
    agents: HashMap<Uuid, Arc<Agent>>,
    faults: Vec<Fault>,
}

impl Snapshot {
    /// What the file and the store say, and what of the store is not used.
    pub fn of(config: &Config, organisation: Uuid, stored: &Stored) -> (Self, Vec<Fault>) {
        let ids = file_ids(stored);
        let FileObjects { mut agents, mut trunks, routes } = objects(config, organisation, &ids);
        let mut assembly = Assembly { stored, config, agents: HashMap::new(), faults: Vec::new() };
        agents.extend(assembly.agents());
        assembly.agents = agents.iter().map(|agent| (agent.id, Arc::clone(agent))).collect();
        trunks.extend(assembly.trunks());
        let mut table = Builder::default();
        routes.into_iter().for_each(|route| table.route(route));
        assembly.routes(&mut table);
        assembly.numbers(&mut table);
        let limits = assembly.limits();
        let accounts = assembly.accounts(&mut table);
        let carriers = Carriers::new(active(stored).filter_map(of_carrier).collect());
        let parked = stored.configurations.iter().filter(|row| row.inactive.is_some());
        let carriers = carriers.and_parked(parked.filter_map(of_carrier).collect());
        let faults = assembly.faults;
        let snapshot = Self::new(organisation, agents, trunks, config.users.clone(), table.build());
        let suspended = stored.organisations.iter().filter(|one| one.is_suspended());
        let suspended = suspended.map(|one| one.id.0).collect();
        let longest = stored.organisations.iter();
        let longest = longest.filter_map(|one| Some((one.id.0, one.max_duration()?))).collect();
        let snapshot = snapshot.with(limits, accounts).without(suspended).lasting(longest);
        let caps = stored.organisations.iter().filter_map(|one| Some((one.id.0, one.cap()?)));
        let snapshot = snapshot.priced(rates(stored), caps.collect());
        (snapshot.with_carriers(carriers), faults)
    }
}

/// What calls cost.
fn rates(stored: &Stored) -> Rates {
    let rates = stored.rates.iter();
    Rates::new(rates.map(|row| (row.fields.prefix.clone(), row.fields.rate)))
}

/// The ids that the store has given to what the file names.
fn file_ids(stored: &Stored) -> FileIds {
    let of_file = |origin| origin == Origin::File;
    let agents = stored.agents.iter().filter(|row| of_file(row.stamp.origin));
    let agents = agents.map(|row| ((Named::Agent, row.fields.name.clone()), row.id.0));
    let trunks = stored.trunks.iter().filter(|row| of_file(row.stamp.origin));
    let trunks = trunks.map(|row| ((Named::Trunk, row.fields.name.clone()), row.id.0));
    agents.chain(trunks).collect()
}

/// Bounds as they are stored; what is negative is none.
fn bounds(limits: &CallLimits) -> Limits {
    let both = |most: Option<i64>| Ways {
        both: most.and_then(|most| u32::try_from(most).ok()),
        ..Ways::default()
    };
    Limits { calls: both(limits.max_calls), per_second: both(limits.calls_per_second) }
}

/// The narrower of two bounds.
fn narrower(one: Limits, other: Limits) -> Limits {
    let least = |one: Option<u32>, other: Option<u32>| match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    let ways = |one: Ways, other: Ways| Ways {
        both: least(one.both, other.both),
        inbound: least(one.inbound, other.inbound),
        outbound: least(one.outbound, other.outbound),
    };
    Limits {
        calls: ways(one.calls, other.calls),
        per_second: ways(one.per_second, other.per_second),
    }
}

fn entry(settings: &Json) -> Map<String, Json> {
    settings.as_object().cloned().unwrap_or_default()
}

fn problems(problems: &[config::Problem]) -> String {
    let told = problems.iter().map(|problem| format!("{}: {}", problem.key, problem.message));
    told.collect::<Vec<_>>().join("; ")
}

impl Assembly<'_> {
    fn fault(&mut self, id: Uuid, what: &'static str, why: String) {
        self.faults.push(Fault { id, what, why });
    }

    fn agents(&mut self) -> Vec<Arc<Agent>> {
        let dialects: Vec<_> = DIALECTS.iter().map(|dialect| dialect.name).collect();
        let mut agents = Vec::new();
        for row in self.stored.agents.iter().filter(|row| row.stamp.origin == Origin::Api) {
            let mut entry = entry(&row.fields.settings);
            entry.insert("name".into(), row.fields.name.clone().into());
            entry.insert("kind".into(), row.fields.kind.clone().into());
            if let Some(secret) = &row.fields.secret {
                entry.insert("secret".into(), secret.expose().into());
            }
            match config::agent_from_json(&entry, &dialects) {
                Ok(config) => agents.push(Arc::new(Agent {
                    id: row.id.0,
                    organisation: row.stamp.organisation.0,
                    is_of_file: false,
                    limits: bounds(&row.fields.limits),
                    config,
                })),
                Err(wrong) => self.fault(row.id.0, "agent", problems(&wrong)),
            }
        }
        agents
    }

    /// The stored trunks, and the configurations that are SIP peers.
    fn trunks(&mut self) -> Vec<Arc<Trunk>> {
        let mut trunks = Vec::new();
        let in_use = |row: &&TrunkRow| row.stamp.origin == Origin::Api && row.fields.enabled;
        let configurations: HashMap<_, _> = active(self.stored).map(|row| (row.id, row)).collect();
        for row in self.stored.trunks.iter().filter(in_use) {
            let fields = &row.fields;
            if let Some(configuration) = fields.configuration {
                // A configuration that is parked takes its trunks along.
                let found = configurations.get(&configuration).map(|of| within(of, row));
                match found.transpose() {
                    Ok(trunk) => trunks.extend(trunk.flatten().map(Arc::new)),
                    Err(why) => self.fault(row.id.0, "trunk", why),
                }
                continue;
            }
            let mut entry = entry(fields.settings.expose());
            entry.insert("name".into(), fields.name.clone().into());
            if let Some(password) = &fields.password {
                entry.insert("password".into(), password.expose().into());
            }
            match config::trunk_from_json(&entry) {
                Ok(config) => trunks.push(Arc::new(Trunk {
                    id: row.id.0,
                    line: row.id.0,
                    organisation: row.stamp.organisation.0,
                    label: row.id.0.to_string(),
                    limits: narrower(super::file::trunk_limits(&config), bounds(&fields.limits)),
                    config,
                    is_of_file: false,
                    owned_by: None,
                })),
                Err(wrong) => self.fault(row.id.0, "trunk", problems(&wrong)),
            }
        }
        for row in active(self.stored) {
            match of_configuration(row) {
                Ok(trunk) => trunks.extend(trunk.map(Arc::new)),
                Err(why) => self.fault(row.id.0, "configuration", why),
            }
        }
        trunks
    }

    fn numbers(&mut self, table: &mut Builder<Arc<Treatment>>) {
        for row in &self.stored.numbers {
            let own = row.fields.agent.map(|agent| self.agents.get(&agent.0));
            let treatment = match own {
                Some(Some(agent)) => Some(Arc::new(self.plain(agent))),
                Some(None) => {
                    self.fault(row.id.0, "number", "its agent is not used".into());
                    None
                }
                None => None,
            };
            table.number(Number {
                id: row.id.0,
                organisation: row.stamp.organisation.0,
                line: row.configuration.0,
                trunk: row.fields.trunk.map(|trunk| trunk.0),
                address: row.address.normalised.clone(),
                active: row.fields.is_active,
                treatment,
            });
        }
    }

    /// How an agent's calls are treated if nothing else is said.
    fn plain(&self, agent: &Arc<Agent>) -> Treatment {
        Treatment {
            fallback: Fallback::Hangup,
            agent_answers: agent.answers,
            early_media: false,
            max_duration: self.config.limits.max_duration,
            ambient: agent.ambient.clone(),
            keep: agent.keep.clone(),
            agent: Arc::clone(agent),
        }
    }

    fn routes(&mut self, table: &mut Builder<Arc<Treatment>>) {
        for row in &self.stored.routes {
            if row.stamp.origin == Origin::File || !row.fields.enabled {
                continue;
            }
            match self.route(row) {
                Ok(route) => table.route(route),
                Err(why) => self.fault(row.id.0, "route", why),
            }
        }
    }

    fn route(&self, row: &RouteRow) -> Result<Route<Arc<Treatment>>, String> {
        let fields = &row.fields;
        let organisation = row.stamp.organisation.0;
        let agent = fields.agent.and_then(|agent| self.agents.get(&agent.0));
        let agent = agent.ok_or("its agent is not used")?;
        let mut entry = entry(&fields.settings);
        entry.extend(self::entry(&fields.conditions));
        let written = config::route_from_json(&entry).map_err(|wrong| problems(&wrong))?;
        let named = |name: &String| {
            let mut own = self.agents.values().filter(|it| it.organisation == organisation);
            own.find(|agent| agent.name == *name).cloned().ok_or("its second agent is not used")
        };
        let plain = self.plain(agent);
        let treatment = Treatment {
            fallback: match &written.fallback_agent {
                Some(name) => Fallback::Agent(named(name)?),
                None => Fallback::Hangup,
            },
            agent_answers: written.agent_answers.unwrap_or(plain.agent_answers),
            early_media: written.early_media.unwrap_or(plain.early_media),
            max_duration: written
                .max_duration
                .unwrap_or(plain.max_duration)
                .min(plain.max_duration),
            ambient: plain.ambient,
            keep: written.keep.or(&plain.keep),
            agent: plain.agent,
        };
        let line = fields.trunk.map(|it| it.0).or(fields.configuration.map(|it| it.0));
        Ok(Route {
            id: row.id.0,
            organisation,
            scope: match (fields.number, line) {
                (Some(number), _) => Scope::Number(number.0),
                (None, Some(line)) => Scope::Line(line),
                (None, None) => Scope::Organisation,
            },
            to: Pattern::parse(&fields.pattern)?,
            priority: u16::try_from(fields.priority.max(0)).unwrap_or(u16::MAX),
            weight: written.weight,
            conditions: written.conditions,
            treatment: Arc::new(treatment),
        })
    }

    /// The limits of organisations, configurations and numbers.
    fn limits(&self) -> Vec<Bound> {
        let organisations = self.stored.organisations.iter().map(|row| {
            let limits =
                CallLimits { max_calls: row.max_calls, calls_per_second: row.calls_per_second };
            (Kind::Organisation, row.id.0, limits)
        });
        let numbers = self.stored.numbers.iter();
        let numbers = numbers.map(|row| (Kind::Number, row.id.0, row.fields.limits));
        let configurations = self.stored.configurations.iter();
        let configurations =
            configurations.map(|row| (Kind::Configuration, row.id.0, row.fields.limits));
        let all = organisations.chain(configurations).chain(numbers);
        let all = all.filter(|(.., limits)| *limits != CallLimits::default());
        all.map(|(kind, id, limits)| Bound::new(kind, id, bounds(&limits))).collect()
    }

    /// What calls are placed by: the configurations, with the numbers that they call from.
    /// Carriers' accounts are entered into the table.
    fn accounts(&self, table: &mut Builder<Arc<Treatment>>) -> Vec<Account> {
        let mut caller_ids: HashMap<_, Vec<_>> = HashMap::new();
        for number in self.stored.numbers.iter().filter(|number| number.fields.is_active) {
            let caller_id = CallerId {
                number: number.address.normalised.clone(),
                is_default: number.fields.is_default_caller_id,
                trunk: number.fields.trunk.map(|trunk| trunk.0),
            };
            caller_ids.entry(number.configuration).or_default().push(caller_id);
        }
        caller_ids.values_mut().for_each(|own| own.sort_by_key(|it| !it.is_default));
        let account = |row: &Configuration| {
            let spec = table::find(&row.fields.provider)?;
            let own = spec.account_field.and_then(|field| row.fields.config.text(field));
            if let Some(account) = own {
                let organisation = row.stamp.organisation.0;
                table.account(&row.fields.provider, account, organisation, row.id.0);
            }
            Some(Account {
                id: row.id.0,
                organisation: row.stamp.organisation.0,
                is_default: row.fields.is_default_outbound,
                caller_ids: caller_ids.get(&row.id).cloned().unwrap_or_default(),
                rotation: row.fields.rotation(),
            })
        };
        active(self.stored).filter_map(account).collect()
    }
}

/// The configurations that are not parked.
fn active(stored: &Stored) -> impl Iterator<Item = &Configuration> {
    stored.configurations.iter().filter(|row| row.inactive.is_none())
}

/// The account at a carrier that a configuration describes; none if its calls are not controlled
/// over HTTP.
fn of_carrier(row: &Configuration) -> Option<carrier::Account> {
    carrier::Account::of(row, bounds(&row.fields.limits))
}

/// The trunk that a configuration describes; none if it is no SIP peer.
fn of_configuration(row: &Configuration) -> Result<Option<Trunk>, String> {
    let Some(read) = table::find(&row.fields.provider).and_then(|spec| spec.sip) else {
        return Ok(None);
    };
    let config: &RawConfig = &row.fields.config;
    let profile = read(config).map_err(|error| error.to_string())?;
    if profile.is_idle() {
        return Ok(None);
    }
    let told = |error: Unsupported| error.to_string();
    let (config, limits) = profile::trunk(&row.fields.name, &profile).map_err(told)?;
    Ok(Some(Trunk {
        id: row.id.0,
        line: row.id.0,
        organisation: row.stamp.organisation.0,
        label: row.id.0.to_string(),
        limits: narrower(limits, bounds(&row.fields.limits)),
        config,
        is_of_file: false,
        owned_by: Owned::of(&row.fields.provider, &row.fields.config),
    }))
}

/// The SIP peer that a trunk within a configuration is; none if its carrier's calls are controlled
/// over HTTP.
fn within(configuration: &Configuration, row: &TrunkRow) -> Result<Option<Trunk>, String> {
    let spec = table::find(&configuration.fields.provider);
    let Some(read) = spec.and_then(|spec| spec.sip) else { return Ok(None) };
    let fields = &row.fields;
    let settings = RawConfig::from_stored(fields.settings.expose().clone()).unwrap_or_default();
    let profile = read(&settings).map_err(|error| error.to_string())?;
    let told = |error: Unsupported| error.to_string();
    let (config, limits) = profile::trunk(&fields.name, &profile).map_err(told)?;
    Ok(Some(Trunk {
        id: row.id.0,
        line: configuration.id.0,
        organisation: row.stamp.organisation.0,
        label: row.id.0.to_string(),
        limits: narrower(limits, bounds(&fields.limits)),
        config,
        is_of_file: false,
        owned_by: Owned::of(&configuration.fields.provider, &settings),
    }))
}
