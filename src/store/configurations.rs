//! Configurations: sets of credentials of providers.
//!
//! Everything that a provider's fields hold is sealed as a whole, so that no list of what is secret
//! has to be kept in step here. The token is the unguessable part of the URLs that a carrier calls:
//! sealed, as it is shown again, and found by its hash.

use adapters::config::RawConfig;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::id::{ConfigurationId, OrganisationId, Timestamp};
use super::object::{CallLimits, Kind, Origin, Stamp, kind};
use super::row::Row;
use super::sql::Query;
use super::{Actor, Audit, Store, StoreError, Tx};
use crate::calls::caller_ids::Rotation;
use crate::config::Secret;
use crate::orders::Template;
use crate::seal::SealError;

pub(super) const CONFIGURATION: Kind = kind!("configurations", "configuration", 500);

/// Random bytes of a token.
const TOKEN_BYTES: usize = 24;
/// Longest token that is looked up.
const TOKEN_BYTES_MAX: usize = 64;

/// What of a configuration can be set.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigurationFields {
    /// Unique in its organisation.
    pub name: String,
    /// Name of the provider; never changed.
    pub provider: String,
    /// What the provider's fields hold.
    pub config: RawConfig,
    /// The account that webhooks name, if the provider has such a field and it is set.
    pub account: Option<String>,
    /// What is set besides: an object.
    pub settings: Json,
    /// True for the one that calls are placed with if none is named.
    pub is_default_outbound: bool,
    /// Limits of its calls.
    pub limits: CallLimits,
}

/// The setting that says how the number is picked that a call is placed from.
const CALLER_ID: &str = "caller_id";

impl ConfigurationFields {
    /// How the number is picked that a call is placed from which names none.
    pub fn rotation(&self) -> Rotation {
        let setting = self.settings.get(CALLER_ID).cloned();
        setting.and_then(|it| serde_json::from_value(it).ok()).unwrap_or_default()
    }

    /// Picks it so from now on.
    pub fn set_rotation(&mut self, rotation: Rotation) {
        if let Some(settings) = self.settings.as_object_mut() {
            settings.insert(CALLER_ID.to_owned(), serde_json::json!(rotation));
        }
    }
}

/// A configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// Names it.
    pub id: ConfigurationId,
    /// What is set; `account` is in `config` and not repeated.
    pub fields: ConfigurationFields,
    /// The unguessable part of its webhooks' URLs.
    pub token: Secret,
    /// Since when it is parked, and why.
    pub inactive: Option<(Timestamp, String)>,
    /// What every object has.
    pub stamp: Stamp,
}

const SELECT: &str = "SELECT id, organisation_id, name, provider, settings, credentials, token, \
                      is_default_outbound, inactive_since, inactive_reason, max_calls, \
                      calls_per_second, origin, created_at, updated_at FROM configurations \
                      WHERE deleted_at IS NULL";

fn read(store: &Store, row: &Row) -> Result<Configuration, StoreError> {
    let corrupt = |what| StoreError::Corrupt { what };
    let config = store.unseal_json(&CONFIGURATION, row, "credentials")?;
    let config = config.and_then(RawConfig::from_stored).ok_or_else(|| corrupt("credentials"))?;
    let token = store.unseal_text(&CONFIGURATION, row, "token")?;
    let since: Option<Timestamp> = row.get("inactive_since")?;
    let reason: Option<String> = row.get("inactive_reason")?;
    Ok(Configuration {
        id: row.get("id")?,
        fields: ConfigurationFields {
            name: row.get("name")?,
            provider: row.get("provider")?,
            config,
            account: None,
            settings: row.json("settings")?,
            is_default_outbound: row.get("is_default_outbound")?,
            limits: CallLimits::read(row)?,
        },
        token: token.ok_or_else(|| corrupt("token"))?,
        inactive: since.map(|since| (since, reason.unwrap_or_default())),
        stamp: Stamp::read(row)?,
    })
}

/// What is kept of an account: accounts may be secret.
pub(super) fn account_hash(provider: &str, account: Option<&String>) -> Option<Vec<u8>> {
    let account = account.filter(|account| !account.is_empty())?;
    let mut hash = Sha256::new();
    hash.update(provider.as_bytes());
    hash.update([0]);
    hash.update(account.as_bytes());
    Some(hash.finalize().to_vec())
}

fn token_hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

impl Store {
    /// Makes a configuration; one that is the default takes that from another.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if another of the organisation has the name.
    pub async fn create_configuration(
        &self,
        organisation: OrganisationId,
        fields: &ConfigurationFields,
        actor: &Actor,
    ) -> Result<ConfigurationId, StoreError> {
        let (id, now) = (ConfigurationId::new(), Timestamp::now());
        let mut random = [0; TOKEN_BYTES];
        getrandom::fill(&mut random).map_err(|_| SealError::Random)?;
        let token = Secret::new(URL_SAFE_NO_PAD.encode(random));
        let mut tx = self.begin_change().await?;
        tx.room(&CONFIGURATION, organisation).await?;
        if fields.is_default_outbound {
            no_default(&mut tx, organisation).await?;
        }
        let query = Query::new(
            "INSERT INTO configurations (id, organisation_id, name, provider, account_sha256, \
             settings, credentials, token, token_sha256, is_default_outbound, max_calls, \
             calls_per_second, origin, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        );
        let query = query.bind(id).bind(organisation).bind(&fields.name).bind(&fields.provider);
        let query = query.bind(account_hash(&fields.provider, fields.account.as_ref()));
        let query = query.bind(fields.settings.to_string()).bind(self.seal_config(id, fields)?);
        let query = query.bind(self.seal_text(&CONFIGURATION, id.0, "token", Some(&token))?);
        let query = query.bind(token_hash(token.expose())).bind(fields.is_default_outbound);
        let query = query.bind(fields.limits.max_calls).bind(fields.limits.calls_per_second);
        tx.execute(query.bind(Origin::Api.as_str()).bind(now).bind(now)).await?;
        let audit = Audit::new(organisation, actor, "create", CONFIGURATION.name, id);
        let details = serde_json::json!({ "name": fields.name, "provider": fields.provider });
        tx.audit(&audit.with(details)).await?;
        tx.commit().await?;
        Ok(id)
    }

    fn seal_config(
        &self,
        id: ConfigurationId,
        fields: &ConfigurationFields,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let text = serde_json::to_string(fields.config.expose());
        let text = text.map_err(|_| StoreError::Corrupt { what: "credentials" })?;
        self.seal_text(&CONFIGURATION, id.0, "credentials", Some(&Secret::new(text)))
    }

    /// One configuration of an organisation.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if it has none of this id.
    pub async fn configuration(
        &self,
        organisation: OrganisationId,
        id: ConfigurationId,
    ) -> Result<Configuration, StoreError> {
        let query = Query::new(SELECT).push(" AND organisation_id = ").push_bind(organisation);
        read(self, &self.fetch_one(query.push(" AND id = ").push_bind(id)).await?)
    }

    /// The configuration whose webhooks' URLs hold `token`, whoever's it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if there is none.
    pub async fn configuration_by_token(&self, token: &str) -> Result<Configuration, StoreError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(StoreError::NotFound);
        }
        let query = Query::new(SELECT).push(" AND token_sha256 = ").push_bind(token_hash(token));
        read(self, &self.fetch_one(query).await?)
    }

    /// The configurations of an organisation in the order they were made.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn configurations(
        &self,
        organisation: OrganisationId,
    ) -> Result<Vec<Configuration>, StoreError> {
        let query = Query::new(SELECT).push(" AND organisation_id = ").push_bind(organisation);
        let rows = self.fetch_all(query.push(" ORDER BY id")).await?;
        rows.iter().map(|row| read(self, row)).collect()
    }

    /// All configurations of all organisations.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn all_configurations(&self) -> Result<Vec<Configuration>, StoreError> {
        let rows = self.fetch_all(Query::new(SELECT).push(" ORDER BY id")).await?;
        rows.iter().map(|row| read(self, row)).collect()
    }

    /// Changes a configuration; its provider stays what it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::ReadOnly`], [`StoreError::Conflict`] if another has
    /// the name, or if another organisation or configuration routes one of its numbers under the
    /// new account: `routing key`.
    pub async fn update_configuration(
        &self,
        organisation: OrganisationId,
        id: ConfigurationId,
        fields: &ConfigurationFields,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_change().await?;
        tx.writable(&CONFIGURATION, organisation, id, Origin::Api).await?;
        if fields.is_default_outbound {
            no_default(&mut tx, organisation).await?;
        }
        let account = account_hash(&fields.provider, fields.account.as_ref());
        let query = Query::new(
            "UPDATE configurations SET name = $1, account_sha256 = $2, settings = $3, \
             credentials = $4, is_default_outbound = $5, max_calls = $6, calls_per_second = $7, \
             updated_at = $8 WHERE id = $9 AND provider = $10",
        );
        let query = query.bind(&fields.name).bind(account.clone());
        let query = query.bind(fields.settings.to_string()).bind(self.seal_config(id, fields)?);
        let query = query.bind(fields.is_default_outbound).bind(fields.limits.max_calls);
        let query = query.bind(fields.limits.calls_per_second).bind(Timestamp::now()).bind(id);
        if tx.execute(query.bind(&fields.provider)).await? == 0 {
            return Err(StoreError::InUse { what: "the provider of a configuration stays" });
        }
        let numbers = "UPDATE numbers SET account_sha256 = $1 WHERE configuration_id = $2 AND \
                       deleted_at IS NULL";
        tx.execute(Query::new(numbers).bind(account).bind(id)).await?;
        tx.audit(&Audit::new(organisation, actor, "update", CONFIGURATION.name, id)).await?;
        tx.commit().await
    }

    /// Parks a configuration: no calls by it, until it is set active again. The reason is shown.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if there is none of this id.
    pub async fn set_inactive(
        &self,
        organisation: OrganisationId,
        id: ConfigurationId,
        reason: Option<&str>,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let (mut tx, now) = (self.begin_change().await?, Timestamp::now());
        tx.fetch_one(Query::new(CONFIGURATION.find).bind(id).bind(organisation)).await?;
        let query = Query::new(
            "UPDATE configurations SET inactive_since = $1, inactive_reason = $2, \
             updated_at = $3 WHERE id = $4",
        );
        let query = query.bind(reason.map(|_| now)).bind(reason).bind(now).bind(id);
        tx.execute(query).await?;
        let action = if reason.is_some() { "park" } else { "reactivate" };
        let audit = Audit::new(organisation, actor, action, CONFIGURATION.name, id);
        tx.audit(&audit.with(serde_json::json!({ "reason": reason }))).await?;
        tx.commit().await
    }

    /// Makes a configuration the one that calls are placed with if none is named.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if there is none of this id.
    pub async fn set_default_outbound(
        &self,
        organisation: OrganisationId,
        id: ConfigurationId,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_change().await?;
        tx.fetch_one(Query::new(CONFIGURATION.find).bind(id).bind(organisation)).await?;
        no_default(&mut tx, organisation).await?;
        let query = Query::new(
            "UPDATE configurations SET is_default_outbound = TRUE, updated_at = $1 WHERE id = $2",
        );
        tx.execute(query.bind(Timestamp::now()).bind(id)).await?;
        tx.audit(&Audit::new(organisation, actor, "default", CONFIGURATION.name, id)).await?;
        tx.commit().await
    }

    /// Deletes a configuration with its numbers and trunks.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::ReadOnly`], or [`StoreError::InUse`] if a route
    /// names it or something of it, or an order of calls that is not over names it.
    pub async fn delete_configuration(
        &self,
        organisation: OrganisationId,
        id: ConfigurationId,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let (mut tx, now) = (self.begin_change().await?, Timestamp::now());
        tx.writable(&CONFIGURATION, organisation, id, Origin::Api).await?;
        let used = "SELECT id FROM routes WHERE deleted_at IS NULL AND (configuration_id = $1 \
                    OR number_id IN (SELECT id FROM numbers WHERE configuration_id = $1 \
                    AND deleted_at IS NULL) \
                    OR trunk_id IN (SELECT id FROM trunks WHERE configuration_id = $1 \
                    AND deleted_at IS NULL)) LIMIT 1";
        tx.unused(Query::new(used).bind(id), "routes name the configuration").await?;
        if ordered_by(&mut tx, organisation, id).await? {
            let what = "orders of calls that are not over name the configuration";
            return Err(StoreError::InUse { what });
        }
        for delete in [
            "UPDATE numbers SET deleted_at = $2, updated_at = $2 WHERE configuration_id = $1 \
             AND deleted_at IS NULL",
            "UPDATE trunks SET deleted_at = $2, updated_at = $2 WHERE configuration_id = $1 \
             AND deleted_at IS NULL",
            CONFIGURATION.delete,
        ] {
            tx.execute(Query::new(delete).bind(id).bind(now)).await?;
        }
        tx.audit(&Audit::new(organisation, actor, "delete", CONFIGURATION.name, id)).await?;
        tx.commit().await
    }
}

/// Whether an order of calls that is not over places them by a configuration.
async fn ordered_by(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: ConfigurationId,
) -> Result<bool, StoreError> {
    // The two databases look into JSON by different words; orders that are not over are few.
    let open = "SELECT call FROM call_orders WHERE organisation_id = $1 AND ended_at IS NULL";
    for row in tx.fetch_all(Query::new(open).bind(organisation)).await? {
        let template: Template = row.json("call")?;
        if template.telephony_configuration_id == Some(id.0) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes the default from whichever configuration has it.
async fn no_default(tx: &mut Tx, organisation: OrganisationId) -> Result<(), StoreError> {
    let query = Query::new(
        "UPDATE configurations SET is_default_outbound = FALSE WHERE organisation_id = $1 \
         AND is_default_outbound",
    );
    tx.execute(query.bind(organisation)).await.map(drop)
}
