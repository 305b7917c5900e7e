//! What the configuration file declares, as rows: so that it is listed with the rest and can be
//! referred to. It is changed in the file alone.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::agents::{AGENT, Agent, AgentFields};
use super::id::{AgentId, OrganisationId, RateId, RouteId, Timestamp, TrunkId};
use super::object::{CallLimits, Kind, Origin};
use super::rates::{RATE, RateFields, RateRow};
use super::routes::{ROUTE, Route, RouteFields};
use super::sql::Query;
use super::trunks::{TRUNK, Trunk, TrunkFields};
use super::{Actor, Audit, Store, StoreError, Tx, rates, routes};
use crate::config::{AgentKind, Config, RateConfig, SecretSettings};
use crate::directory::{Named, file_id};

/// What was done about the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Rows that were written or marked deleted.
    pub changed: usize,
    /// Names in the file that something made over HTTP has already; the file's own are not listed.
    pub taken: Vec<String>,
}

/// What the file declares, by identifier.
struct Objects {
    agents: BTreeMap<Uuid, AgentFields>,
    trunks: BTreeMap<Uuid, TrunkFields>,
    routes: BTreeMap<Uuid, RouteFields>,
    rates: BTreeMap<Uuid, RateFields>,
}

impl Store {
    /// Makes the rows of origin `file` be what the configuration says. Those gone from it are
    /// marked deleted.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn import(&self, config: &Config) -> Result<Imported, StoreError> {
        let home = self.default_organisation();
        let mut objects = Objects::new(config);
        let mut imported = Imported::default();
        let mut agents = BTreeMap::new();
        for Agent { id, fields, stamp } in self.agents(home, None, u32::MAX).await? {
            match stamp.origin {
                Origin::File => drop(agents.insert(id.0, fields)),
                Origin::Api => {
                    take(&mut objects.agents, &mut imported, &fields.name, |it| &it.name);
                }
            }
        }
        let mut trunks = BTreeMap::new();
        for Trunk { id, fields, stamp } in self.trunks(home, None).await? {
            match stamp.origin {
                Origin::File => drop(trunks.insert(id.0, fields)),
                Origin::Api if fields.configuration.is_none() => {
                    take(&mut objects.trunks, &mut imported, &fields.name, |it| &it.name);
                }
                Origin::Api => {}
            }
        }
        // What is not listed cannot be referred to.
        objects.routes.retain(|_, route| {
            route.agent.is_none_or(|agent| objects.agents.contains_key(&agent.0))
                && route.trunk.is_none_or(|trunk| objects.trunks.contains_key(&trunk.0))
        });
        let mut routes = BTreeMap::new();
        for Route { id, fields, stamp } in self.routes(home).await? {
            if stamp.origin == Origin::File {
                routes.insert(id.0, fields);
            }
        }
        let rates = self.rates_beside(home, &mut objects, &mut imported).await?;
        if objects.are((&agents, &trunks), (&routes, &rates)) {
            return Ok(imported);
        }
        let mut tx = self.begin_change().await?;
        for (id, fields) in changed(&agents, &objects.agents) {
            if !revive(&mut tx, &AGENT, *id).await? {
                self.insert_agent(&mut tx, home, AgentId(*id), fields, Origin::File).await?;
            }
            self.write_agent(&mut tx, AgentId(*id), fields).await?;
            imported.changed += self.note(&mut tx, &AGENT, "import", *id).await?;
        }
        for (id, fields) in changed(&trunks, &objects.trunks) {
            if !revive(&mut tx, &TRUNK, *id).await? {
                self.insert_trunk(&mut tx, home, TrunkId(*id), fields, Origin::File).await?;
            }
            self.write_trunk(&mut tx, TrunkId(*id), fields).await?;
            imported.changed += self.note(&mut tx, &TRUNK, "import", *id).await?;
        }
        for (id, fields) in changed(&routes, &objects.routes) {
            if revive(&mut tx, &ROUTE, *id).await? {
                routes::write(&mut tx, RouteId(*id), fields).await?;
            } else {
                routes::insert(&mut tx, home, RouteId(*id), fields, Origin::File).await?;
            }
            imported.changed += self.note(&mut tx, &ROUTE, "import", *id).await?;
        }
        imported.changed += self.write_rates(&mut tx, &rates, &objects.rates).await?;
        let gone = lost(&AGENT, &agents, &objects.agents);
        let gone = gone.chain(lost(&TRUNK, &trunks, &objects.trunks));
        let gone = gone.chain(lost(&RATE, &rates, &objects.rates));
        let gone: Vec<_> = gone.chain(lost(&ROUTE, &routes, &objects.routes)).collect();
        imported.changed += self.delete_gone(&mut tx, gone).await?;
        tx.commit().await?;
        Ok(imported)
    }

    /// Deletes what the file declares no more, and says how much that was.
    async fn delete_gone(
        &self,
        tx: &mut Tx,
        gone: Vec<(&'static Kind, Uuid)>,
    ) -> Result<usize, StoreError> {
        let mut deleted = 0;
        for (kind, id) in gone {
            tx.execute(Query::new(kind.delete).bind(id).bind(Timestamp::now())).await?;
            deleted += self.note(tx, kind, "delete", id).await?;
        }
        Ok(deleted)
    }

    /// The rates of the file that there are; what the API has made is taken out of what the file
    /// declares.
    async fn rates_beside(
        &self,
        home: OrganisationId,
        objects: &mut Objects,
        imported: &mut Imported,
    ) -> Result<BTreeMap<Uuid, RateFields>, StoreError> {
        let mut rates = BTreeMap::new();
        for RateRow { id, fields, stamp } in self.rates(home, None, u32::MAX).await? {
            match stamp.origin {
                Origin::File => drop(rates.insert(id.0, fields)),
                Origin::Api => {
                    let key = |fields: &RateFields| (fields.rate.currency, fields.prefix.clone());
                    let before = objects.rates.len();
                    objects.rates.retain(|_, declared| key(declared) != key(&fields));
                    if objects.rates.len() < before {
                        imported.taken.push(format!("{} +{}", fields.rate.currency, fields.prefix));
                    }
                }
            }
        }
        Ok(rates)
    }

    /// Writes the rates that are declared and are not yet so; how many.
    async fn write_rates(
        &self,
        tx: &mut Tx,
        before: &BTreeMap<Uuid, RateFields>,
        declared: &BTreeMap<Uuid, RateFields>,
    ) -> Result<usize, StoreError> {
        let mut written = 0;
        for (id, fields) in changed(before, declared) {
            if revive(tx, &RATE, *id).await? {
                rates::write(tx, RateId(*id), fields).await?;
            } else {
                let home = self.default_organisation();
                rates::insert(tx, home, RateId(*id), fields, Origin::File).await?;
            }
            written += self.note(tx, &RATE, "import", *id).await?;
        }
        Ok(written)
    }

    async fn note(
        &self,
        tx: &mut Tx,
        kind: &Kind,
        action: &'static str,
        id: Uuid,
    ) -> Result<usize, StoreError> {
        let home = self.default_organisation();
        tx.audit(&Audit::new(home, &Actor::File, action, kind.name, id)).await?;
        Ok(1)
    }
}

/// Drops what has this name from what the file declares, and notes it.
fn take<F>(
    declared: &mut BTreeMap<Uuid, F>,
    imported: &mut Imported,
    taken: &str,
    name: impl Fn(&F) -> &str,
) {
    let before = declared.len();
    declared.retain(|_, fields| name(fields) != taken);
    if declared.len() < before {
        imported.taken.push(taken.to_owned());
    }
}

/// What is declared and is not yet so.
fn changed<'d, F: PartialEq>(
    before: &'d BTreeMap<Uuid, F>,
    declared: &'d BTreeMap<Uuid, F>,
) -> impl Iterator<Item = (&'d Uuid, &'d F)> {
    declared.iter().filter(|(id, fields)| before.get(*id) != Some(*fields))
}

/// What is there and is no longer declared.
fn lost<'d, F>(
    kind: &'static Kind,
    before: &'d BTreeMap<Uuid, F>,
    declared: &'d BTreeMap<Uuid, F>,
) -> impl Iterator<Item = (&'static Kind, Uuid)> + 'd {
    before.keys().filter(|id| !declared.contains_key(*id)).map(move |id| (kind, *id))
}

/// True if there is such a row, which is then no longer deleted.
async fn revive(tx: &mut Tx, kind: &Kind, id: Uuid) -> Result<bool, StoreError> {
    Ok(tx.execute(Query::new(kind.revive).bind(id)).await? > 0)
}

impl Objects {
    /// Whether these are what is declared.
    fn are(
        &self,
        (agents, trunks): (&BTreeMap<Uuid, AgentFields>, &BTreeMap<Uuid, TrunkFields>),
        (routes, rates): (&BTreeMap<Uuid, RouteFields>, &BTreeMap<Uuid, RateFields>),
    ) -> bool {
        (agents, trunks) == (&self.agents, &self.trunks)
            && (routes, rates) == (&self.routes, &self.rates)
    }

    fn new(config: &Config) -> Self {
        let declared = &config.declared;
        let agents = config.all_agents().map(|agent| {
            // The agent of a server that is told nothing stands nowhere.
            let mut settings = entry(&declared.agents, &agent.name);
            let (kind, secret) = match &agent.kind {
                AgentKind::Builtin(_) => ("builtin", None),
                AgentKind::WebSocket(socket) => ("websocket", socket.secret.clone()),
                AgentKind::Rtp(_) => ("rtp", None),
                AgentKind::Sip(_) => ("sip", None),
            };
            for key in ["name", "kind", "max_calls"] {
                settings.remove(key);
            }
            let limits =
                CallLimits { max_calls: agent.max_calls.map(i64::from), calls_per_second: None };
            let (name, kind) = (agent.name.clone(), kind.to_owned());
            let fields = AgentFields { name, kind, settings: settings.into(), secret, limits };
            (file_id(Named::Agent, &agent.name), fields)
        });
        let trunks = config.trunks.iter().map(|trunk| {
            let mut settings = entry(&declared.trunks, &trunk.name);
            for key in ["name", "max_calls", "calls_per_second"] {
                settings.remove(key);
            }
            let fields = TrunkFields {
                configuration: None,
                name: trunk.name.clone(),
                enabled: true,
                settings: SecretSettings::new(settings.into()),
                password: trunk.password.clone(),
                external_id: None,
                limits: CallLimits {
                    max_calls: trunk.outbound.max_calls.map(i64::from),
                    calls_per_second: trunk.outbound.calls_per_second.map(i64::from),
                },
            };
            (file_id(Named::Trunk, &trunk.name), fields)
        });
        let routes = declared.routes.iter().zip(0_i64..).map(|(route, priority)| {
            let mut settings = route.clone();
            let mut text = |key| match settings.remove(key) {
                Some(Json::String(text)) => text,
                _ => String::new(),
            };
            let (pattern, agent, trunk) = (text("to"), text("agent"), text("trunk"));
            let id = file_id(Named::Route, &format!("{pattern}\n{trunk}\n{agent}"));
            let trunk = (!trunk.is_empty()).then(|| TrunkId(file_id(Named::Trunk, &trunk)));
            let fields = RouteFields {
                name: None,
                priority,
                pattern,
                configuration: None,
                trunk,
                number: None,
                agent: Some(AgentId(file_id(Named::Agent, &agent))),
                conditions: json!({}),
                settings: settings.into(),
                enabled: true,
            };
            (id, fields)
        });
        let rates = config.rates.iter().map(|RateConfig { prefix, rate }| {
            let id = file_id(Named::Rate, &format!("{} +{prefix}", rate.currency));
            (id, RateFields { prefix: prefix.clone(), rate: *rate })
        });
        Self {
            agents: agents.collect(),
            trunks: trunks.collect(),
            routes: routes.collect(),
            rates: rates.collect(),
        }
    }
}

/// The entry of a list with this name.
fn entry(list: &[Map<String, Json>], name: &str) -> Map<String, Json> {
    let found = list.iter().find(|entry| entry.get("name").and_then(Json::as_str) == Some(name));
    found.cloned().unwrap_or_default()
}
