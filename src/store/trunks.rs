//! Trunks: SIP peers, of a configuration or by themselves.
//!
//! What a trunk of a configuration says is as secret as the configuration: all of its settings are
//! sealed. One by itself has no secret but its password.

use serde_json::Value as Json;

use super::configurations::CONFIGURATION;
use super::id::{ConfigurationId, OrganisationId, Timestamp, TrunkId};
use super::object::{CallLimits, Kind, Origin, Stamp, kind};
use super::row::Row;
use super::sql::Query;
use super::{Actor, Audit, Store, StoreError, Tx};
use crate::config::{Secret, SecretSettings};

pub(super) const TRUNK: Kind = kind!("trunks", "trunk", 1_000);

/// What of a trunk can be set.
#[derive(Clone, Debug, PartialEq)]
pub struct TrunkFields {
    /// The configuration that it belongs to, never changed; none for one by itself.
    pub configuration: Option<ConfigurationId>,
    /// Unique in its configuration, or among those by themselves.
    pub name: String,
    /// False to place and take no calls through it.
    pub enabled: bool,
    /// An object: the keys of `[[trunks]]` but for the password; of one of a configuration what the
    /// provider's trunks have, secrets in clear.
    pub settings: SecretSettings,
    /// Password of the digest authentication, of one by itself.
    pub password: Option<Secret>,
    /// What the carrier calls it.
    pub external_id: Option<String>,
    /// Limits of its calls.
    pub limits: CallLimits,
}

/// A trunk.
#[derive(Clone, Debug, PartialEq)]
pub struct Trunk {
    /// Names it.
    pub id: TrunkId,
    /// What is set.
    pub fields: TrunkFields,
    /// What every object has.
    pub stamp: Stamp,
}

const SELECT: &str = "SELECT id, organisation_id, configuration_id, name, enabled, settings, \
                      credentials, external_id, max_calls, calls_per_second, origin, created_at, \
                      updated_at FROM trunks WHERE deleted_at IS NULL";

fn read(store: &Store, row: &Row) -> Result<Trunk, StoreError> {
    let configuration: Option<ConfigurationId> = row.get("configuration_id")?;
    let (settings, password): (Json, _) = match configuration {
        // An earlier version kept them in clear, and had no use for them.
        Some(_) => match store.unseal_json(&TRUNK, row, "credentials")? {
            Some(settings) => (settings, None),
            None => (row.json("settings")?, None),
        },
        None => (row.json("settings")?, store.unseal_text(&TRUNK, row, "credentials")?),
    };
    Ok(Trunk {
        id: row.get("id")?,
        fields: TrunkFields {
            configuration,
            name: row.get("name")?,
            enabled: row.get("enabled")?,
            settings: SecretSettings::new(settings),
            password,
            external_id: row.get("external_id")?,
            limits: CallLimits::read(row)?,
        },
        stamp: Stamp::read(row)?,
    })
}

impl Store {
    /// What of a trunk is kept in clear, and what is sealed.
    fn apart(
        &self,
        id: TrunkId,
        fields: &TrunkFields,
    ) -> Result<(String, Option<Vec<u8>>), StoreError> {
        Ok(match fields.configuration {
            Some(_) => (
                "{}".to_owned(),
                self.seal_json(&TRUNK, id.0, "credentials", fields.settings.expose())?,
            ),
            None => {
                let password = fields.password.as_ref();
                let password = self.seal_text(&TRUNK, id.0, "credentials", password)?;
                (fields.settings.expose().to_string(), password)
            }
        })
    }

    /// Makes a trunk.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuch`] if the organisation has no such configuration,
    /// [`StoreError::Conflict`] if another has the name.
    pub async fn create_trunk(
        &self,
        organisation: OrganisationId,
        fields: &TrunkFields,
        actor: &Actor,
    ) -> Result<TrunkId, StoreError> {
        let mut tx = self.begin_change().await?;
        let id = self.create_trunk_in(&mut tx, organisation, fields).await?;
        tx.audit(&Audit::new(organisation, actor, "create", TRUNK.name, id)).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Finds out whether such a trunk could be made, before a carrier is asked for it.
    ///
    /// # Errors
    ///
    /// What [`Self::create_trunk`] would refuse.
    pub async fn try_create_trunk(
        &self,
        organisation: OrganisationId,
        fields: &TrunkFields,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        self.create_trunk_in(&mut tx, organisation, fields).await?;
        tx.rollback().await
    }

    async fn create_trunk_in(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        fields: &TrunkFields,
    ) -> Result<TrunkId, StoreError> {
        tx.room(&TRUNK, organisation).await?;
        tx.owned(&CONFIGURATION, organisation, fields.configuration).await?;
        let id = TrunkId::new();
        self.insert_trunk(tx, organisation, id, fields, Origin::Api).await?;
        Ok(id)
    }

    pub(super) async fn insert_trunk(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        id: TrunkId,
        fields: &TrunkFields,
        origin: Origin,
    ) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let (settings, sealed) = self.apart(id, fields)?;
        let query = Query::new(
            "INSERT INTO trunks (id, organisation_id, configuration_id, name, enabled, settings, \
             credentials, external_id, max_calls, calls_per_second, origin, created_at, \
             updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        );
        let query = query.bind(id).bind(organisation).bind(fields.configuration);
        let query = query.bind(&fields.name).bind(fields.enabled);
        let query = query.bind(settings).bind(sealed);
        let query = query.bind(fields.external_id.clone()).bind(fields.limits.max_calls);
        let query = query.bind(fields.limits.calls_per_second).bind(origin.as_str());
        tx.execute(query.bind(now).bind(now)).await.map(drop)
    }

    /// One trunk of an organisation.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if it has none of this id.
    pub async fn trunk(
        &self,
        organisation: OrganisationId,
        id: TrunkId,
    ) -> Result<Trunk, StoreError> {
        let query = Query::new(SELECT).push(" AND organisation_id = ").push_bind(organisation);
        read(self, &self.fetch_one(query.push(" AND id = ").push_bind(id)).await?)
    }

    /// The trunks of an organisation in the order they were made, those of one configuration if it
    /// is named.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn trunks(
        &self,
        organisation: OrganisationId,
        configuration: Option<ConfigurationId>,
    ) -> Result<Vec<Trunk>, StoreError> {
        let mut query = Query::new(SELECT).push(" AND organisation_id = ").push_bind(organisation);
        if let Some(configuration) = configuration {
            query = query.push(" AND configuration_id = ").push_bind(configuration);
        }
        let rows = self.fetch_all(query.push(" ORDER BY id")).await?;
        rows.iter().map(|row| read(self, row)).collect()
    }

    /// The active numbers that are pinned to each trunk of an organisation that has any.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn pinned_numbers(
        &self,
        organisation: OrganisationId,
    ) -> Result<Vec<(TrunkId, i64)>, StoreError> {
        let query = Query::new(
            "SELECT trunk_id, COUNT(*) AS pinned FROM numbers WHERE organisation_id = $1 \
             AND trunk_id IS NOT NULL AND is_active AND deleted_at IS NULL GROUP BY trunk_id",
        );
        let rows = self.fetch_all(query.bind(organisation)).await?;
        rows.iter().map(|row| Ok((row.get("trunk_id")?, row.get("pinned")?))).collect()
    }

    /// How many trunks in service each configuration of an organisation has, if it has any.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn trunk_counts(
        &self,
        organisation: OrganisationId,
    ) -> Result<Vec<(ConfigurationId, i64)>, StoreError> {
        let query = Query::new(
            "SELECT configuration_id, COUNT(*) AS enabled FROM trunks WHERE organisation_id = $1 \
             AND configuration_id IS NOT NULL AND enabled AND deleted_at IS NULL \
             GROUP BY configuration_id",
        );
        let rows = self.fetch_all(query.bind(organisation)).await?;
        rows.iter().map(|row| Ok((row.get("configuration_id")?, row.get("enabled")?))).collect()
    }

    /// All trunks of all organisations.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn all_trunks(&self) -> Result<Vec<Trunk>, StoreError> {
        let rows = self.fetch_all(Query::new(SELECT).push(" ORDER BY id")).await?;
        rows.iter().map(|row| read(self, row)).collect()
    }

    /// Changes a trunk; its configuration stays what it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::ReadOnly`], or [`StoreError::Conflict`] if another
    /// has the name.
    pub async fn update_trunk(
        &self,
        organisation: OrganisationId,
        id: TrunkId,
        fields: &TrunkFields,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_change().await?;
        self.update_trunk_in(&mut tx, organisation, id, fields).await?;
        tx.audit(&Audit::new(organisation, actor, "update", TRUNK.name, id)).await?;
        tx.commit().await
    }

    /// Finds out whether a trunk could be changed so, before its carrier is asked to.
    ///
    /// # Errors
    ///
    /// What [`Self::update_trunk`] would refuse.
    pub async fn try_update_trunk(
        &self,
        organisation: OrganisationId,
        id: TrunkId,
        fields: &TrunkFields,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        self.update_trunk_in(&mut tx, organisation, id, fields).await?;
        tx.rollback().await
    }

    async fn update_trunk_in(
        &self,
        tx: &mut Tx,
        organisation: OrganisationId,
        id: TrunkId,
        fields: &TrunkFields,
    ) -> Result<(), StoreError> {
        tx.writable(&TRUNK, organisation, id, Origin::Api).await?;
        self.write_trunk(tx, id, fields).await
    }

    pub(super) async fn write_trunk(
        &self,
        tx: &mut Tx,
        id: TrunkId,
        fields: &TrunkFields,
    ) -> Result<(), StoreError> {
        let (settings, sealed) = self.apart(id, fields)?;
        let query = Query::new(
            "UPDATE trunks SET name = $1, enabled = $2, settings = $3, credentials = $4, \
             external_id = $5, max_calls = $6, calls_per_second = $7, updated_at = $8 \
             WHERE id = $9",
        );
        let query = query.bind(&fields.name).bind(fields.enabled);
        let query = query.bind(settings).bind(sealed);
        let query = query.bind(fields.external_id.clone()).bind(fields.limits.max_calls);
        let query = query.bind(fields.limits.calls_per_second).bind(Timestamp::now());
        tx.execute(query.bind(id)).await?;
        Ok(())
    }

    /// Deletes a trunk.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::ReadOnly`], or [`StoreError::InUse`] if numbers are
    /// pinned to it or routes name it.
    pub async fn delete_trunk(
        &self,
        organisation: OrganisationId,
        id: TrunkId,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_change().await?;
        delete_trunk_in(&mut tx, organisation, id).await?;
        tx.audit(&Audit::new(organisation, actor, "delete", TRUNK.name, id)).await?;
        tx.commit().await
    }

    /// Finds out whether a trunk could be deleted, before its carrier is asked to.
    ///
    /// # Errors
    ///
    /// What [`Self::delete_trunk`] would refuse.
    pub async fn try_delete_trunk(
        &self,
        organisation: OrganisationId,
        id: TrunkId,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        delete_trunk_in(&mut tx, organisation, id).await?;
        tx.rollback().await
    }
}

async fn delete_trunk_in(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: TrunkId,
) -> Result<(), StoreError> {
    tx.writable(&TRUNK, organisation, id, Origin::Api).await?;
    let used = "SELECT id FROM numbers WHERE trunk_id = $1 AND deleted_at IS NULL LIMIT 1";
    tx.unused(Query::new(used).bind(id), "numbers are pinned to the trunk").await?;
    let used = "SELECT id FROM routes WHERE trunk_id = $1 AND deleted_at IS NULL LIMIT 1";
    tx.unused(Query::new(used).bind(id), "routes name the trunk").await?;
    tx.execute(Query::new(TRUNK.delete).bind(id).bind(Timestamp::now())).await.map(drop)
}
