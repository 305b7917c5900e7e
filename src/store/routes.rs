//! Routes: which agent takes a call.

use serde_json::Value as Json;

use super::agents::AGENT;
use super::configurations::CONFIGURATION;
use super::id::{AgentId, ConfigurationId, NumberId, OrganisationId, RouteId, Timestamp, TrunkId};
use super::numbers::NUMBER;
use super::object::{Kind, Origin, Stamp, kind};
use super::row::Row;
use super::sql::Query;
use super::trunks::TRUNK;
use super::{Actor, Audit, Store, StoreError, Tx};

pub(super) const ROUTE: Kind = kind!("routes", "route", 5_000);

/// What of a route can be set.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteFields {
    /// For people.
    pub name: Option<String>,
    /// Lower ones are tried first.
    pub priority: i64,
    /// Called numbers and users, as `to` of `[[routes]]`.
    pub pattern: String,
    /// Only calls of this configuration.
    pub configuration: Option<ConfigurationId>,
    /// Only calls through this trunk.
    pub trunk: Option<TrunkId>,
    /// Only calls to this number.
    pub number: Option<NumberId>,
    /// The agent that takes the calls.
    pub agent: Option<AgentId>,
    /// When it applies besides: an object.
    pub conditions: Json,
    /// The other keys of `[[routes]]`: an object.
    pub settings: Json,
    /// False for one that is passed over.
    pub enabled: bool,
}

/// A route.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Names it.
    pub id: RouteId,
    /// What is set.
    pub fields: RouteFields,
    /// What every object has.
    pub stamp: Stamp,
}

const SELECT: &str = "SELECT id, organisation_id, name, priority, pattern, configuration_id, \
                      trunk_id, number_id, agent_id, conditions, settings, enabled, origin, \
                      created_at, updated_at FROM routes WHERE deleted_at IS NULL";
const ORDER: &str = " ORDER BY priority, id";

fn read(row: &Row) -> Result<Route, StoreError> {
    Ok(Route {
        id: row.get("id")?,
        fields: RouteFields {
            name: row.get("name")?,
            priority: row.get("priority")?,
            pattern: row.get("pattern")?,
            configuration: row.get("configuration_id")?,
            trunk: row.get("trunk_id")?,
            number: row.get("number_id")?,
            agent: row.get("agent_id")?,
            conditions: row.json("conditions")?,
            settings: row.json("settings")?,
            enabled: row.get("enabled")?,
        },
        stamp: Stamp::read(row)?,
    })
}

impl Store {
    /// Makes a route.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuch`] if the organisation does not have what it refers to.
    pub async fn create_route(
        &self,
        organisation: OrganisationId,
        fields: &RouteFields,
        actor: &Actor,
    ) -> Result<RouteId, StoreError> {
        let mut tx = self.begin_change().await?;
        tx.room(&ROUTE, organisation).await?;
        let id = RouteId::new();
        insert(&mut tx, organisation, id, fields, Origin::Api).await?;
        tx.audit(&Audit::new(organisation, actor, "create", ROUTE.name, id)).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// One route of an organisation.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if it has none of this id.
    pub async fn route(
        &self,
        organisation: OrganisationId,
        id: RouteId,
    ) -> Result<Route, StoreError> {
        let query = Query::new(SELECT).push(" AND organisation_id = ").push_bind(organisation);
        read(&self.fetch_one(query.push(" AND id = ").push_bind(id)).await?)
    }

    /// The routes of an organisation in the order they are tried.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn routes(&self, organisation: OrganisationId) -> Result<Vec<Route>, StoreError> {
        let query = Query::new(SELECT).push(" AND organisation_id = ").push_bind(organisation);
        self.fetch_all(query.push(ORDER)).await?.iter().map(read).collect()
    }

    /// All routes of all organisations.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn all_routes(&self) -> Result<Vec<Route>, StoreError> {
        self.fetch_all(Query::new(SELECT).push(ORDER)).await?.iter().map(read).collect()
    }

    /// Changes a route.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::ReadOnly`], or [`StoreError::NoSuch`] if the
    /// organisation does not have what it refers to.
    pub async fn update_route(
        &self,
        organisation: OrganisationId,
        id: RouteId,
        fields: &RouteFields,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_change().await?;
        tx.writable(&ROUTE, organisation, id, Origin::Api).await?;
        check(&mut tx, organisation, fields).await?;
        write(&mut tx, id, fields).await?;
        tx.audit(&Audit::new(organisation, actor, "update", ROUTE.name, id)).await?;
        tx.commit().await
    }

    /// Deletes a route.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] or [`StoreError::ReadOnly`].
    pub async fn delete_route(
        &self,
        organisation: OrganisationId,
        id: RouteId,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_change().await?;
        tx.writable(&ROUTE, organisation, id, Origin::Api).await?;
        tx.execute(Query::new(ROUTE.delete).bind(id).bind(Timestamp::now())).await?;
        tx.audit(&Audit::new(organisation, actor, "delete", ROUTE.name, id)).await?;
        tx.commit().await
    }
}

pub(super) async fn insert(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: RouteId,
    fields: &RouteFields,
    origin: Origin,
) -> Result<(), StoreError> {
    check(tx, organisation, fields).await?;
    let now = Timestamp::now();
    let query = Query::new(
        "INSERT INTO routes (name, priority, pattern, configuration_id, trunk_id, number_id, \
         agent_id, conditions, settings, enabled, id, organisation_id, origin, created_at, \
         updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    );
    let query = bind(query, fields).bind(id).bind(organisation).bind(origin.as_str());
    tx.execute(query.bind(now).bind(now)).await.map(drop)
}

pub(super) async fn write(
    tx: &mut Tx,
    id: RouteId,
    fields: &RouteFields,
) -> Result<(), StoreError> {
    let query = Query::new(
        "UPDATE routes SET name = $1, priority = $2, pattern = $3, configuration_id = $4, \
         trunk_id = $5, number_id = $6, agent_id = $7, conditions = $8, settings = $9, \
         enabled = $10, updated_at = $11 WHERE id = $12",
    );
    tx.execute(bind(query, fields).bind(Timestamp::now()).bind(id)).await.map(drop)
}

async fn check(
    tx: &mut Tx,
    organisation: OrganisationId,
    fields: &RouteFields,
) -> Result<(), StoreError> {
    tx.owned(&CONFIGURATION, organisation, fields.configuration).await?;
    tx.owned(&TRUNK, organisation, fields.trunk).await?;
    tx.owned(&NUMBER, organisation, fields.number).await?;
    tx.owned(&AGENT, organisation, fields.agent).await
}

/// Binds what can be set, in the order of the columns above.
fn bind(query: Query, fields: &RouteFields) -> Query {
    let query = query.bind(fields.name.clone()).bind(fields.priority).bind(&fields.pattern);
    let query = query.bind(fields.configuration).bind(fields.trunk).bind(fields.number);
    let query = query.bind(fields.agent).bind(fields.conditions.to_string());
    query.bind(fields.settings.to_string()).bind(fields.enabled)
}
