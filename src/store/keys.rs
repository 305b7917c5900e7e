//! API keys as they are stored: hashed.

use super::id::{OrganisationId, Timestamp};
use super::row::Row;
use super::sql::Query;
use super::{Actor, Audit, Store, StoreError};
use crate::keys::{KeyInfo, Scope};

/// SHA-256 of a key.
pub type KeyHash = [u8; 32];

const SELECT: &str = "SELECT id, organisation_id, name, scope, created_at FROM api_keys \
                      WHERE revoked_at IS NULL";

pub(super) fn read(row: &Row) -> Result<KeyInfo, StoreError> {
    let created_at: Timestamp = row.get("created_at")?;
    Ok(KeyInfo {
        id: row.get("id")?,
        organisation: row.get("organisation_id")?,
        name: row.get("name")?,
        scope: row.parse("scope", Scope::parse)?,
        created_unix_s: created_at.unix_s(),
    })
}

fn insert(key: &KeyInfo, hash: &KeyHash, at: Timestamp) -> Query {
    let query = Query::new(
        "INSERT INTO api_keys (id, organisation_id, name, scope, sha256, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    );
    let query = query.bind(&key.id).bind(key.organisation).bind(&key.name);
    query.bind(key.scope.as_str()).bind(hash.as_slice()).bind(at)
}

impl Store {
    /// Adds a key, unless its organisation has `max` already. False if it has.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn create_key(
        &self,
        key: &KeyInfo,
        hash: &KeyHash,
        max: u32,
        actor: &Actor,
    ) -> Result<bool, StoreError> {
        // Every node is to know that there is one more.
        let mut tx = self.begin_change().await?;
        let count = Query::new(
            "SELECT COUNT(*) AS held FROM api_keys WHERE organisation_id = $1 \
             AND revoked_at IS NULL",
        );
        let held: i64 = tx.fetch_one(count.bind(key.organisation)).await?.get("held")?;
        if held >= i64::from(max) {
            return Ok(false);
        }
        tx.execute(insert(key, hash, Timestamp::now())).await?;
        let audit = Audit::new(key.organisation, actor, "create", "api_key", &key.id);
        let details = serde_json::json!({ "name": key.name, "scope": key.scope });
        tx.audit(&audit.with(details)).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Adds `key` if there is no key at all, not even a revoked one. False if there is.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn create_first_key(
        &self,
        key: &KeyInfo,
        hash: &KeyHash,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        // Nodes that start together must not make two: the second waits for the row.
        tx.fetch_one(Query::new(
            "UPDATE revisions SET revision = revision WHERE name = 'directory' RETURNING revision",
        ))
        .await?;
        if tx.fetch_optional(Query::new("SELECT id FROM api_keys LIMIT 1")).await?.is_some() {
            return Ok(false);
        }
        tx.execute(insert(key, hash, Timestamp::now())).await?;
        let audit = Audit::new(key.organisation, &Actor::Server, "create", "api_key", &key.id);
        tx.audit(&audit).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Adds keys that were kept elsewhere before, but for those that are here already.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached, or an id is taken by another key.
    pub async fn import_keys(&self, keys: &[(KeyInfo, KeyHash)]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for (key, hash) in keys {
            let at = Timestamp::from_unix_s(key.created_unix_s);
            let query = insert(key, hash, at).push(" ON CONFLICT (sha256) DO NOTHING");
            if tx.execute(query).await? == 1 {
                let audit =
                    Audit::new(key.organisation, &Actor::File, "import", "api_key", &key.id);
                tx.audit(&audit).await?;
            }
        }
        tx.commit().await
    }

    /// The keys of an organisation that hold, oldest first.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn keys(&self, organisation: OrganisationId) -> Result<Vec<KeyInfo>, StoreError> {
        let query = Query::new(SELECT).push(" AND organisation_id = ").push_bind(organisation);
        let rows = self.fetch_all(query.push(" ORDER BY created_at, id")).await?;
        rows.iter().map(read).collect()
    }

    /// The key with this hash, if it holds.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn key_by_hash(&self, hash: &KeyHash) -> Result<Option<KeyInfo>, StoreError> {
        let query = Query::new(SELECT).push(" AND sha256 = ").push_bind(hash.as_slice());
        self.fetch_optional(query).await?.as_ref().map(read).transpose()
    }

    /// Hashes of the keys and sessions that hold at a time, up to `limit` of each: the newest.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn hashes_that_hold(
        &self,
        at: Timestamp,
        limit: u32,
    ) -> Result<Vec<KeyHash>, StoreError> {
        let keys = Query::new(
            "SELECT sha256 FROM api_keys WHERE revoked_at IS NULL \
             ORDER BY created_at DESC, id LIMIT $1",
        );
        let mut rows = self.fetch_all(keys.bind(limit)).await?;
        let sessions = Query::new(
            "SELECT sha256 FROM sessions WHERE expires_at > $1 \
             ORDER BY created_at DESC, sha256 LIMIT $2",
        );
        rows.extend(self.fetch_all(sessions.bind(at).bind(limit)).await?);
        let read = |row: &Row| {
            let hash: Vec<u8> = row.get("sha256")?;
            KeyHash::try_from(hash).map_err(|_| StoreError::Corrupt { what: "sha256" })
        };
        rows.iter().map(read).collect()
    }

    /// Makes the key with this id invalid.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if the organisation has no such key that holds.
    pub async fn revoke_key(
        &self,
        organisation: OrganisationId,
        id: &str,
        actor: &Actor,
    ) -> Result<KeyInfo, StoreError> {
        let mut tx = self.begin().await?;
        let query = Query::new(
            "UPDATE api_keys SET revoked_at = $1 WHERE id = $2 AND organisation_id = $3 \
             AND revoked_at IS NULL RETURNING id, organisation_id, name, scope, created_at",
        );
        let query = query.bind(Timestamp::now()).bind(id).bind(organisation);
        let key = read(&tx.fetch_one(query).await?)?;
        tx.audit(&Audit::new(organisation, actor, "revoke", "api_key", id)).await?;
        tx.commit().await?;
        Ok(key)
    }
}
