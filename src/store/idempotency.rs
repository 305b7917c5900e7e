//! Requests that may come again, and what was answered: sealed, as an answer may hold a key.

use std::fmt;
use std::time::Duration;

use super::id::{OrganisationId, Timestamp};
use super::sql::Query;
use super::{Store, StoreError};
use crate::seal::Place;

/// How long an answer is kept.
pub const ANSWER_KEPT: Duration = Duration::from_secs(24 * 3_600);
/// How long a request may be under way; a later one with its key is carried out, as whoever carried
/// out the first is gone.
pub const UNDER_WAY_MAX: Duration = Duration::from_secs(60);

/// SHA-256 of all that makes a request the same.
pub type RequestHash = [u8; 32];

/// What a request with an idempotency key meets.
#[derive(Clone, PartialEq, Eq)]
pub enum Earlier {
    /// Nothing: it is to be carried out, and under way from now on.
    Nothing {
        /// When a request with its key came first: whoever carried that out may have been cut off.
        first_at: Timestamp,
    },
    /// The same request, which is under way.
    UnderWay,
    /// The same request, and its answer.
    Answer {
        /// Status of the answer.
        status: u16,
        /// The rest of it.
        rest: Vec<u8>,
    },
    /// Another request.
    Another,
}

/// Shows no answer, as it may hold a key.
impl fmt::Debug for Earlier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing { first_at } => {
                f.debug_struct("Nothing").field("first_at", first_at).finish()
            }
            Self::UnderWay => f.write_str("UnderWay"),
            Self::Answer { status, .. } => {
                f.debug_struct("Answer").field("status", status).finish_non_exhaustive()
            }
            Self::Another => f.write_str("Another"),
        }
    }
}

/// Where an answer lies.
fn row(organisation: OrganisationId, key: &str) -> Vec<u8> {
    [organisation.0.as_bytes(), key.as_bytes()].concat()
}

impl Store {
    /// Begins a request, unless one with its key came before.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn begin_request(
        &self,
        organisation: OrganisationId,
        key: &str,
        hash: &RequestHash,
    ) -> Result<Earlier, StoreError> {
        let now = Timestamp::now();
        let mut tx = self.begin().await?;
        let forget = Query::new(
            "DELETE FROM idempotency_keys WHERE organisation_id = $1 AND idempotency_key = $2 \
             AND expires_at <= $3 AND (answer IS NOT NULL OR created_at <= $4)",
        );
        let forget = forget.bind(organisation).bind(key).bind(now);
        tx.execute(forget.bind(now.before(ANSWER_KEPT))).await?;
        let insert = Query::new(
            "INSERT INTO idempotency_keys (organisation_id, idempotency_key, request_sha256, \
             created_at, expires_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (organisation_id, idempotency_key) DO NOTHING",
        );
        let insert = insert.bind(organisation).bind(key).bind(hash.as_slice());
        if tx.execute(insert.bind(now).bind(now.after(UNDER_WAY_MAX))).await? == 1 {
            tx.commit().await?;
            return Ok(Earlier::Nothing { first_at: now });
        }
        let select = Query::new(
            "SELECT request_sha256, status, answer, created_at, expires_at FROM idempotency_keys \
             WHERE organisation_id = $1 AND idempotency_key = $2",
        );
        let found = tx.fetch_one(select.bind(organisation).bind(key)).await?;
        if found.get::<Vec<u8>>("request_sha256")? != hash {
            return Ok(Earlier::Another);
        }
        let status: Option<i64> = found.get("status")?;
        let sealed: Option<Vec<u8>> = found.get("answer")?;
        let (Some(status), Some(sealed)) = (status, sealed) else {
            let expires_at: Timestamp = found.get("expires_at")?;
            if expires_at > now {
                return Ok(Earlier::UnderWay);
            }
            // Whoever carried it out is gone. The time that was read counts: of several who ask at
            // the same moment another may have been faster.
            let again = Query::new(
                "UPDATE idempotency_keys SET expires_at = $1 WHERE organisation_id = $2 \
                 AND idempotency_key = $3 AND expires_at = $4 AND answer IS NULL",
            );
            let again = again.bind(now.after(UNDER_WAY_MAX)).bind(organisation).bind(key);
            if tx.execute(again.bind(expires_at)).await? == 0 {
                return Ok(Earlier::UnderWay);
            }
            tx.commit().await?;
            return Ok(Earlier::Nothing { first_at: found.get("created_at")? });
        };
        let row = row(organisation, key);
        let place = Place { table: "idempotency_keys", row: &row, field: "answer" };
        let rest = self.unseal(&place, &sealed)?;
        let status = u16::try_from(status).map_err(|_| StoreError::Corrupt { what: "status" })?;
        Ok(Earlier::Answer { status, rest })
    }

    /// Keeps the answer to a request that was begun.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn finish_request(
        &self,
        organisation: OrganisationId,
        key: &str,
        status: u16,
        rest: &[u8],
    ) -> Result<(), StoreError> {
        let row = row(organisation, key);
        let place = Place { table: "idempotency_keys", row: &row, field: "answer" };
        let sealed = self.seal(&place, rest)?;
        let update = Query::new(
            "UPDATE idempotency_keys SET status = $1, answer = $2, expires_at = $3 \
             WHERE organisation_id = $4 AND idempotency_key = $5",
        );
        let update = update.bind(i64::from(status)).bind(sealed);
        let update = update.bind(Timestamp::now().after(ANSWER_KEPT));
        self.execute(update.bind(organisation).bind(key)).await?;
        Ok(())
    }

    /// Forgets a request that was begun and did nothing.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn abandon_request(
        &self,
        organisation: OrganisationId,
        key: &str,
    ) -> Result<(), StoreError> {
        let query = Query::new(
            "DELETE FROM idempotency_keys WHERE organisation_id = $1 AND idempotency_key = $2",
        );
        self.execute(query.bind(organisation).bind(key)).await?;
        Ok(())
    }

    /// Forgets up to `limit` answers whose time is over. A request that was cut off is remembered
    /// as long as an answer, so that it is carried out as the same.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn forget_answers(&self, limit: u32) -> Result<u64, StoreError> {
        let query = Query::new(
            "DELETE FROM idempotency_keys WHERE (organisation_id, idempotency_key) IN \
             (SELECT organisation_id, idempotency_key FROM idempotency_keys \
             WHERE expires_at <= $1 AND (answer IS NOT NULL OR created_at <= $2) \
             ORDER BY expires_at LIMIT $3)",
        );
        let now = Timestamp::now();
        self.execute(query.bind(now).bind(now.before(ANSWER_KEPT)).bind(limit)).await
    }
}
