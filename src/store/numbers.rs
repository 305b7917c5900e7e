//! Numbers: addresses that calls come to and are placed from.
//!
//! Provider, account and normalised address are the routing key: what a carrier tells of a call
//! leads to one number, whoever's it is, so the database itself lets no two have the same. Who else
//! holds a key is not told.

use serde_json::Value as Json;

use super::agents::AGENT;
use super::configurations::CONFIGURATION;
use super::id::{AgentId, ConfigurationId, NumberId, OrganisationId, Timestamp, TrunkId};
use super::object::{CallLimits, Kind, Origin, Stamp, kind};
use super::row::Row;
use super::sql::Query;
use super::trunks::TRUNK;
use super::{Actor, Audit, Store, StoreError, Tx};

pub(super) const NUMBER: Kind = kind!("numbers", "number", 100_000);

/// What kind of address a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressType {
    /// Of the telephone network, as E.164.
    Pstn,
    /// A SIP URI.
    SipUri,
    /// What a PBX calls a line of its own.
    SipExtension,
}

impl AddressType {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pstn => "pstn",
            Self::SipUri => "sip_uri",
            Self::SipExtension => "sip_extension",
        }
    }

    /// The type with this word.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [Self::Pstn, Self::SipUri, Self::SipExtension];
        all.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// The address of a number; never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// As it was typed.
    pub typed: String,
    /// As calls are compared with it.
    pub normalised: String,
    /// What kind it is.
    pub kind: AddressType,
}

/// What of a number can be set.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberFields {
    /// The trunk that its calls are placed through, one of its configuration.
    pub trunk: Option<TrunkId>,
    /// The agent that takes its calls.
    pub agent: Option<AgentId>,
    /// Its country, as two letters (ISO 3166-1).
    pub country: Option<String>,
    /// For people.
    pub label: Option<String>,
    /// False for one that takes and places no calls. It keeps its routing key.
    pub is_active: bool,
    /// True for the one that its configuration places calls from if none is named.
    pub is_default_caller_id: bool,
    /// What the user keeps with it: an object.
    pub metadata: Json,
    /// Limits of its calls.
    pub limits: CallLimits,
}

/// A number.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// Names it.
    pub id: NumberId,
    /// The configuration that it belongs to.
    pub configuration: ConfigurationId,
    /// The provider of that.
    pub provider: String,
    /// Its address.
    pub address: Address,
    /// What is set.
    pub fields: NumberFields,
    /// The name of the agent that takes its calls.
    pub agent_name: Option<String>,
    /// What every object has.
    pub stamp: Stamp,
}

const SELECT: &str = "SELECT id, organisation_id, configuration_id, trunk_id, agent_id, provider, \
                      address, address_normalised, address_type, country, label, is_active, \
                      is_default_caller_id, metadata, max_calls, calls_per_second, origin, \
                      created_at, updated_at, (SELECT name FROM agents \
                      WHERE agents.id = numbers.agent_id) AS agent_name \
                      FROM numbers WHERE deleted_at IS NULL";

fn read(row: &Row) -> Result<Number, StoreError> {
    Ok(Number {
        id: row.get("id")?,
        configuration: row.get("configuration_id")?,
        provider: row.get("provider")?,
        address: Address {
            typed: row.get("address")?,
            normalised: row.get("address_normalised")?,
            kind: row.parse("address_type", AddressType::parse)?,
        },
        fields: NumberFields {
            trunk: row.get("trunk_id")?,
            agent: row.get("agent_id")?,
            country: row.get("country")?,
            label: row.get("label")?,
            is_active: row.get("is_active")?,
            is_default_caller_id: row.get("is_default_caller_id")?,
            metadata: row.json("metadata")?,
            limits: CallLimits::read(row)?,
        },
        agent_name: row.get("agent_name")?,
        stamp: Stamp::read(row)?,
    })
}

/// Which numbers of an organisation are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NumberFilter {
    /// Those of this configuration.
    pub configuration: Option<ConfigurationId>,
    /// Those made after this one.
    pub after: Option<NumberId>,
}

/// What is counted of a configuration's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NumberCounts {
    /// Active ones.
    pub active: i64,
    /// Active ones that have an agent.
    pub routed: i64,
    /// Active ones that are pinned to no trunk.
    pub unpinned: i64,
}

impl Store {
    /// Makes a number; one that is the default caller id takes that from another.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if the organisation has no such configuration,
    /// [`StoreError::NoSuch`] if it has no such agent or trunk, [`StoreError::Conflict`] if the
    /// configuration has the address already (`address`), or if another configuration, of whomever,
    /// has the same account and address (`routing key`).
    pub async fn create_number(
        &self,
        organisation: OrganisationId,
        configuration: ConfigurationId,
        address: &Address,
        fields: &NumberFields,
        actor: &Actor,
    ) -> Result<NumberId, StoreError> {
        let (id, now) = (NumberId::new(), Timestamp::now());
        let mut tx = self.begin_change().await?;
        tx.room(&NUMBER, organisation).await?;
        let found = "SELECT provider, account_sha256, origin FROM configurations WHERE id = $1 \
                     AND organisation_id = $2 AND deleted_at IS NULL";
        let found = Query::new(found).bind(configuration).bind(organisation);
        let found = tx.fetch_one(found).await?;
        let (provider, account): (String, Option<Vec<u8>>) =
            (found.get("provider")?, found.get("account_sha256")?);
        check(&mut tx, organisation, configuration, fields).await?;
        let query = Query::new(
            "INSERT INTO numbers (id, organisation_id, configuration_id, provider, \
             account_sha256, address, address_normalised, address_type, trunk_id, agent_id, \
             country, label, is_active, is_default_caller_id, metadata, max_calls, \
             calls_per_second, origin, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, \
             $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
        );
        let query = query.bind(id).bind(organisation).bind(configuration).bind(provider);
        let query = query.bind(account).bind(&address.typed).bind(&address.normalised);
        let query = bind(query.bind(address.kind.as_str()), fields);
        tx.execute(query.bind(Origin::Api.as_str()).bind(now).bind(now)).await?;
        tx.audit(&Audit::new(organisation, actor, "create", NUMBER.name, id)).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// One number of an organisation.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if it has none of this id.
    pub async fn number(
        &self,
        organisation: OrganisationId,
        id: NumberId,
    ) -> Result<Number, StoreError> {
        let query = Query::new(SELECT).push(" AND organisation_id = ").push_bind(organisation);
        read(&self.fetch_one(query.push(" AND id = ").push_bind(id)).await?)
    }

    /// Up to `limit` numbers of an organisation in the order they were made.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn numbers(
        &self,
        organisation: OrganisationId,
        filter: &NumberFilter,
        limit: u32,
    ) -> Result<Vec<Number>, StoreError> {
        let mut query = Query::new(SELECT).push(" AND organisation_id = ").push_bind(organisation);
        if let Some(configuration) = filter.configuration {
            query = query.push(" AND configuration_id = ").push_bind(configuration);
        }
        let rows = self.fetch_all(query.page(filter.after, limit)).await?;
        rows.iter().map(read).collect()
    }

    /// All numbers of all organisations.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn all_numbers(&self) -> Result<Vec<Number>, StoreError> {
        let rows = self.fetch_all(Query::new(SELECT).push(" ORDER BY id")).await?;
        rows.iter().map(read).collect()
    }

    /// Counts the numbers of each configuration of an organisation that has any.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn number_counts(
        &self,
        organisation: OrganisationId,
    ) -> Result<Vec<(ConfigurationId, NumberCounts)>, StoreError> {
        let query = Query::new(
            "SELECT configuration_id, COUNT(*) AS active, COUNT(agent_id) AS routed, \
             COUNT(trunk_id) AS pinned FROM numbers WHERE organisation_id = $1 AND is_active \
             AND deleted_at IS NULL GROUP BY configuration_id",
        );
        let rows = self.fetch_all(query.bind(organisation)).await?;
        let counts = rows.iter().map(|row| {
            let (active, pinned): (i64, i64) = (row.get("active")?, row.get("pinned")?);
            let (routed, unpinned) = (row.get("routed")?, active - pinned);
            Ok((row.get("configuration_id")?, NumberCounts { active, routed, unpinned }))
        });
        counts.collect()
    }

    /// Changes a number; its address and configuration stay what they are.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::ReadOnly`], or [`StoreError::NoSuch`] if the
    /// organisation has no such agent or trunk.
    pub async fn update_number(
        &self,
        organisation: OrganisationId,
        id: NumberId,
        fields: &NumberFields,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_change().await?;
        tx.writable(&NUMBER, organisation, id, Origin::Api).await?;
        let found = Query::new("SELECT configuration_id FROM numbers WHERE id = $1").bind(id);
        let configuration = tx.fetch_one(found).await?.get("configuration_id")?;
        check(&mut tx, organisation, configuration, fields).await?;
        let query = Query::new(
            "UPDATE numbers SET trunk_id = $1, agent_id = $2, country = $3, label = $4, \
             is_active = $5, is_default_caller_id = $6, metadata = $7, max_calls = $8, \
             calls_per_second = $9, updated_at = $10 WHERE id = $11",
        );
        tx.execute(bind(query, fields).bind(Timestamp::now()).bind(id)).await?;
        tx.audit(&Audit::new(organisation, actor, "update", NUMBER.name, id)).await?;
        tx.commit().await
    }

    /// Deletes a number.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::ReadOnly`], or [`StoreError::InUse`] if a route
    /// names it.
    pub async fn delete_number(
        &self,
        organisation: OrganisationId,
        id: NumberId,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_change().await?;
        deletable(&mut tx, organisation, id).await?;
        tx.execute(Query::new(NUMBER.delete).bind(id).bind(Timestamp::now())).await?;
        tx.audit(&Audit::new(organisation, actor, "delete", NUMBER.name, id)).await?;
        tx.commit().await
    }

    /// Finds out whether a number could be deleted, before its carrier is told.
    ///
    /// # Errors
    ///
    /// What [`Self::delete_number`] would refuse.
    pub async fn try_delete_number(
        &self,
        organisation: OrganisationId,
        id: NumberId,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        deletable(&mut tx, organisation, id).await?;
        tx.rollback().await
    }
}

/// Refuses to delete a number that is not there, is the file's, or is named by a route.
async fn deletable(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: NumberId,
) -> Result<(), StoreError> {
    tx.writable(&NUMBER, organisation, id, Origin::Api).await?;
    let used = "SELECT id FROM routes WHERE number_id = $1 AND deleted_at IS NULL LIMIT 1";
    tx.unused(Query::new(used).bind(id), "routes name the number").await
}

/// Checks what a number refers to, and makes room if it becomes the default.
async fn check(
    tx: &mut Tx,
    organisation: OrganisationId,
    configuration: ConfigurationId,
    fields: &NumberFields,
) -> Result<(), StoreError> {
    tx.owned(&CONFIGURATION, organisation, Some(configuration)).await?;
    tx.owned(&AGENT, organisation, fields.agent).await?;
    tx.owned(&TRUNK, organisation, fields.trunk).await?;
    if let Some(trunk) = fields.trunk {
        let query = Query::new("SELECT id FROM trunks WHERE id = $1 AND configuration_id = $2");
        let own = tx.fetch_optional(query.bind(trunk).bind(configuration)).await?;
        own.ok_or(StoreError::NoSuch { what: TRUNK.name })?;
    }
    if fields.is_default_caller_id {
        let query = Query::new(
            "UPDATE numbers SET is_default_caller_id = FALSE WHERE configuration_id = $1 \
             AND is_default_caller_id",
        );
        tx.execute(query.bind(configuration)).await?;
    }
    Ok(())
}

/// Binds what can be set, in the order of the columns above.
fn bind(query: Query, fields: &NumberFields) -> Query {
    let query = query.bind(fields.trunk).bind(fields.agent).bind(fields.country.clone());
    let query = query.bind(fields.label.clone()).bind(fields.is_active);
    let query = query.bind(fields.is_default_caller_id).bind(fields.metadata.to_string());
    query.bind(fields.limits.max_calls).bind(fields.limits.calls_per_second)
}
