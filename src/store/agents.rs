//! Agents: the programs that talk on calls.

use std::fmt;

use serde_json::Value as Json;

use super::id::{AgentId, OrganisationId, Timestamp};
use super::object::{CallLimits, Kind, Origin, Stamp, kind};
use super::row::Row;
use super::sql::Query;
use super::{Actor, Audit, Store, StoreError, Tx};
use crate::config::Secret;

pub(super) const AGENT: Kind = kind!("agents", "agent", 1_000);

/// What of an agent can be set.
#[derive(Clone, PartialEq)]
pub struct AgentFields {
    /// Unique in its organisation.
    pub name: String,
    /// `builtin`, `rtp`, `sip` or `websocket`.
    pub kind: String,
    /// The keys of `[[agents]]` but for those that stand here by themselves: an object. Sealed, as
    /// its URL may hold a token.
    pub settings: Json,
    /// Key of the tokens that tell it who dials.
    pub secret: Option<Secret>,
    /// Limits of its calls.
    pub limits: CallLimits,
}

/// Shows nothing of the settings, as the URL in them may hold a token.
impl fmt::Debug for AgentFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("AgentFields");
        fields.field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// An agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// Names it.
    pub id: AgentId,
    /// What is set.
    pub fields: AgentFields,
    /// What every object has.
    pub stamp: Stamp,
}

const SELECT: &str = "SELECT id, organisation_id, name, kind, settings, secret, max_calls, \
                      calls_per_second, origin, created_at, updated_at FROM agents \
                      WHERE deleted_at IS NULL";

fn read(store: &Store, row: &Row) -> Result<Agent, StoreError> {
    let settings = store.unseal_json(&AGENT, row, "settings")?;
    Ok(Agent {
        id: row.get("id")?,
        fields: AgentFields {
            name: row.get("name")?,
            kind: row.get("kind")?,
            settings: settings.ok_or(StoreError::Corrupt { what: "settings" })?,
            secret: store.unseal_text(&AGENT, row, "secret")?,
            limits: CallLimits::read(row)?,
        },
        stamp: Stamp::read(row)?,
    })
}

impl Store {
    /// Makes an agent.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if another of the organisation has the name.
    pub async fn create_agent(
        &self,
        organisation: OrganisationId,
        fields: &AgentFields,
        actor: &Actor,
    ) -> Result<AgentId, StoreError> {
        let mut tx = self.begin_change().await?;
        tx.room(&AGENT, organisation).await?;
        let id = AgentId::new();
        self.insert_agent(&mut tx, organisation, id, fields, Origin::Api).await?;
        tx.audit(&Audit::new(organisation, actor, "create", AGENT.name, id)).await?;
        tx.commit().await?;
        Ok(id)
    }

    pub(super) async fn insert_agent(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        id: AgentId,
        fields: &AgentFields,
        origin: Origin,
    ) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let secret = self.seal_text(&AGENT, id.0, "secret", fields.secret.as_ref())?;
        let query = Query::new(
            "INSERT INTO agents (id, organisation_id, name, kind, settings, secret, max_calls, \
             calls_per_second, origin, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        );
        let query = query.bind(id).bind(organisation).bind(&fields.name).bind(&fields.kind);
        let query =
            query.bind(self.seal_json(&AGENT, id.0, "settings", &fields.settings)?).bind(secret);
        let query = query.bind(fields.limits.max_calls).bind(fields.limits.calls_per_second);
        tx.execute(query.bind(origin.as_str()).bind(now).bind(now)).await.map(drop)
    }

    /// One agent of an organisation.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if it has none of this id.
    pub async fn agent(
        &self,
        organisation: OrganisationId,
        id: AgentId,
    ) -> Result<Agent, StoreError> {
        let query = Query::new(SELECT).push(" AND organisation_id = ").push_bind(organisation);
        read(self, &self.fetch_one(query.push(" AND id = ").push_bind(id)).await?)
    }

    /// The agent of an organisation that is called `name`.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn agent_by_name(
        &self,
        organisation: OrganisationId,
        name: &str,
    ) -> Result<Option<Agent>, StoreError> {
        let query = Query::new(SELECT).push(" AND organisation_id = ").push_bind(organisation);
        let row = self.fetch_optional(query.push(" AND name = ").push_bind(name)).await?;
        row.map(|row| read(self, &row)).transpose()
    }

    /// Up to `limit` agents of an organisation in the order they were made, those after `after` if
    /// given.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn agents(
        &self,
        organisation: OrganisationId,
        after: Option<AgentId>,
        limit: u32,
    ) -> Result<Vec<Agent>, StoreError> {
        let query = Query::new(SELECT).push(" AND organisation_id = ").push_bind(organisation);
        let rows = self.fetch_all(query.page(after, limit)).await?;
        rows.iter().map(|row| read(self, row)).collect()
    }

    /// All agents of all organisations.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn all_agents(&self) -> Result<Vec<Agent>, StoreError> {
        let rows = self.fetch_all(Query::new(SELECT).push(" ORDER BY id")).await?;
        rows.iter().map(|row| read(self, row)).collect()
    }

    /// Changes an agent.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::ReadOnly`] if it comes from the file, or
    /// [`StoreError::Conflict`] if another has the name.
    pub async fn update_agent(
        &self,
        organisation: OrganisationId,
        id: AgentId,
        fields: &AgentFields,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_change().await?;
        tx.writable(&AGENT, organisation, id, Origin::Api).await?;
        self.write_agent(&mut tx, id, fields).await?;
        tx.audit(&Audit::new(organisation, actor, "update", AGENT.name, id)).await?;
        tx.commit().await
    }

    pub(super) async fn write_agent(
        &self,
        tx: &mut Tx,
        id: AgentId,
        fields: &AgentFields,
    ) -> Result<(), StoreError> {
        let secret = self.seal_text(&AGENT, id.0, "secret", fields.secret.as_ref())?;
        let query = Query::new(
            "UPDATE agents SET name = $1, kind = $2, settings = $3, secret = $4, max_calls = $5, \
             calls_per_second = $6, updated_at = $7 WHERE id = $8",
        );
        let query = query.bind(&fields.name).bind(&fields.kind);
        let query = query.bind(self.seal_json(&AGENT, id.0, "settings", &fields.settings)?);
        let query = query.bind(secret).bind(fields.limits.max_calls);
        let query = query.bind(fields.limits.calls_per_second).bind(Timestamp::now());
        tx.execute(query.bind(id)).await?;
        Ok(())
    }

    /// Deletes an agent.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::ReadOnly`] if it comes from the file, or
    /// [`StoreError::InUse`] if calls are routed to it.
    pub async fn delete_agent(
        &self,
        organisation: OrganisationId,
        id: AgentId,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_change().await?;
        tx.writable(&AGENT, organisation, id, Origin::Api).await?;
        let used = "SELECT id FROM routes WHERE agent_id = $1 AND deleted_at IS NULL LIMIT 1";
        tx.unused(Query::new(used).bind(id), "routes lead to the agent").await?;
        let used = "SELECT id FROM numbers WHERE agent_id = $1 AND deleted_at IS NULL LIMIT 1";
        tx.unused(Query::new(used).bind(id), "numbers lead to the agent").await?;
        tx.execute(Query::new(AGENT.delete).bind(id).bind(Timestamp::now())).await?;
        tx.audit(&Audit::new(organisation, actor, "delete", AGENT.name, id)).await?;
        tx.commit().await
    }
}
