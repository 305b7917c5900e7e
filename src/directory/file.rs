//! What the configuration file names.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::agent::Agent;
use super::ids::{Named, file_id};
use super::snapshot::{Fallback, Snapshot, Treatment};
use super::trunk::Trunk;
use crate::config::{self, AgentConfig, Config, RouteConfig, TrunkConfig};
use crate::quota::{Limits, Ways};
use crate::routing::{Builder, Route, Scope};

/// What the file says, as objects of an organisation.
pub(super) struct FileObjects {
    pub(super) agents: Vec<Arc<Agent>>,
    pub(super) trunks: Vec<Arc<Trunk>>,
    pub(super) routes: Vec<Route<Arc<Treatment>>>,
}

/// The ids that the store has given to what the file names.
pub(super) type FileIds = HashMap<(Named, String), Uuid>;

/// The id of what the file calls `name`: that of the store, if it has one.
fn id_of(ids: &FileIds, named: Named, name: &str) -> Uuid {
    ids.get(&(named, name.to_owned())).copied().unwrap_or_else(|| file_id(named, name))
}

/// The objects of the file.
pub(super) fn objects(config: &Config, organisation: Uuid, ids: &FileIds) -> FileObjects {
    let agents: Vec<_> =
        config.all_agents().map(|agent| Arc::new(of_agent(agent, organisation, ids))).collect();
    let trunks = config.trunks.iter().map(|trunk| Arc::new(of_trunk(trunk, organisation, ids)));
    let named = |name: &str| agents.iter().find(|agent| agent.name == name);
    let routes = config.routes.iter().filter_map(|route| {
        // The configuration sees to it that names lead somewhere.
        let agent = Arc::clone(named(&route.agent)?);
        let fallback = match &route.fallback {
            config::Fallback::Hangup => Fallback::Hangup,
            config::Fallback::Message(path) => Fallback::Message(path.clone()),
            config::Fallback::Agent(name) => Fallback::Agent(Arc::clone(named(name)?)),
        };
        Some(of_route(route, organisation, agent, fallback, ids))
    });
    let routes = routes.collect();
    FileObjects { trunks: trunks.collect(), routes, agents }
}

impl Snapshot {
    /// What the file alone says.
    pub fn of_file(config: &Config, organisation: Uuid) -> Self {
        let FileObjects { agents, trunks, routes } = objects(config, organisation, &FileIds::new());
        let mut table = Builder::default();
        routes.into_iter().for_each(|route| table.route(route));
        Self::new(organisation, agents, trunks, config.users.clone(), table.build())
    }
}

fn of_agent(config: &AgentConfig, organisation: Uuid, ids: &FileIds) -> Agent {
    let calls = Ways { both: config.max_calls, ..Ways::default() };
    let limits = Limits { calls, ..Limits::default() };
    let id = id_of(ids, Named::Agent, &config.name);
    Agent { id, organisation, is_of_file: true, limits, config: config.clone() }
}

fn of_trunk(config: &TrunkConfig, organisation: Uuid, ids: &FileIds) -> Trunk {
    let (id, label) = (id_of(ids, Named::Trunk, &config.name), config.name.clone());
    let limits = trunk_limits(config);
    let config = config.clone();
    Trunk { id, line: id, organisation, label, limits, config, is_of_file: true, owned_by: None }
}

/// The limits that a trunk itself names: of calls that are placed through it.
pub(super) fn trunk_limits(config: &TrunkConfig) -> Limits {
    let outbound = |outbound| Ways { outbound, ..Ways::default() };
    Limits {
        calls: outbound(config.outbound.max_calls),
        per_second: outbound(config.outbound.calls_per_second),
    }
}

fn of_route(
    route: &RouteConfig,
    organisation: Uuid,
    agent: Arc<Agent>,
    fallback: Fallback,
    ids: &FileIds,
) -> Route<Arc<Treatment>> {
    let trunk = route.trunk.as_deref();
    let name = format!("{}\n{}\n{}", route.to, trunk.unwrap_or_default(), route.agent);
    Route {
        id: file_id(Named::Route, &name),
        organisation,
        scope: match trunk {
            Some(trunk) => Scope::Line(id_of(ids, Named::Trunk, trunk)),
            None => Scope::Organisation,
        },
        to: route.to.clone(),
        priority: route.priority,
        weight: route.weight,
        conditions: route.conditions.clone(),
        treatment: Arc::new(Treatment {
            agent,
            fallback,
            agent_answers: route.agent_answers,
            early_media: route.early_media,
            max_duration: route.max_duration,
            ambient: route.ambient.clone(),
            keep: route.keep.clone(),
        }),
    }
}
