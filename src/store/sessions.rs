//! Sessions of people who signed in with a key: hashed, as keys are.

use super::id::{OrganisationId, Timestamp};
use super::keys::{self, KeyHash};
use super::sql::Query;
use super::{Actor, Audit, Store, StoreError};
use crate::keys::KeyInfo;

/// Sessions of one key at once; the oldest end first.
const SESSIONS_MAX: u32 = 100;

/// A session that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The key that it stands for.
    pub key: KeyInfo,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

impl Store {
    /// Begins a session of a key, which holds until `expires_at` or until the key holds no longer.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn begin_session(
        &self,
        key: &KeyInfo,
        sha256: &KeyHash,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let keep = SESSIONS_MAX.saturating_sub(1);
        let oldest = Query::new(
            "DELETE FROM sessions WHERE key_id = $1 AND sha256 NOT IN (SELECT sha256 \
             FROM sessions WHERE key_id = $1 ORDER BY created_at DESC, sha256 LIMIT $2)",
        );
        tx.execute(oldest.bind(&key.id).bind(keep)).await?;
        let insert = Query::new(
            "INSERT INTO sessions (sha256, key_id, organisation_id, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5)",
        );
        let insert = insert.bind(sha256.as_slice()).bind(&key.id).bind(key.organisation);
        tx.execute(insert.bind(Timestamp::now()).bind(expires_at)).await?;
        let actor = Actor::Key(key.id.clone());
        tx.audit(&Audit::new(key.organisation, &actor, "sign_in", "api_key", &key.id)).await?;
        tx.commit().await
    }

    /// The session with this hash, if it and its key hold.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn session(&self, sha256: &KeyHash) -> Result<Option<Session>, StoreError> {
        let query = Query::new(
            "SELECT k.id AS id, k.organisation_id AS organisation_id, k.name AS name, \
             k.scope AS scope, k.created_at AS created_at, s.expires_at AS expires_at \
             FROM sessions s JOIN api_keys k ON k.id = s.key_id \
             WHERE s.sha256 = $1 AND s.expires_at > $2 AND k.revoked_at IS NULL",
        );
        let query = query.bind(sha256.as_slice()).bind(Timestamp::now());
        let Some(row) = self.fetch_optional(query).await? else { return Ok(None) };
        Ok(Some(Session { key: keys::read(&row)?, expires_at: row.get("expires_at")? }))
    }

    /// Ends a session; nothing happens if there is none.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn end_session(&self, sha256: &KeyHash) -> Result<(), StoreError> {
        let query = Query::new("DELETE FROM sessions WHERE sha256 = $1");
        self.execute(query.bind(sha256.as_slice())).await.map(drop)
    }

    /// Whether a key of an organisation holds.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn key_holds(
        &self,
        organisation: OrganisationId,
        id: &str,
    ) -> Result<bool, StoreError> {
        let query = Query::new(
            "SELECT 1 AS one FROM api_keys WHERE id = $1 AND organisation_id = $2 \
             AND revoked_at IS NULL",
        );
        Ok(self.fetch_optional(query.bind(id).bind(organisation)).await?.is_some())
    }
}
