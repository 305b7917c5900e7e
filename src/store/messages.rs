//! Messages of captured calls that are over.

use serde_json::Value;
use uuid::Uuid;

use super::id::{OrganisationId, Timestamp};
use super::sql::Query;
use super::{Row, Store, StoreError};
use crate::capture::Shown;

impl Store {
    /// Keeps the messages of a call; those that are kept already stay as they are. False if the
    /// call is not known.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn keep_messages(&self, call: Uuid, messages: &[Shown]) -> Result<bool, StoreError> {
        let query = Query::new("SELECT organisation_id FROM calls WHERE id = $1");
        let Some(row) = self.fetch_optional(query.bind(call)).await? else { return Ok(false) };
        let organisation: OrganisationId = row.get("organisation_id")?;
        let mut tx = self.begin().await?;
        for message in messages {
            let data = serde_json::to_vec(message);
            let data = data.map_err(|_| StoreError::Corrupt { what: "data" })?;
            let at_us = i64::try_from(message.at_unix_ms.saturating_mul(1_000));
            let peer = if message.is_sent() { &message.to } else { &message.from };
            let query = Query::new(
                "INSERT INTO messages (call_id, sequence, organisation_id, at, kind, is_sent, \
                 peer, data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
            );
            let query = query.bind(call).bind(message.sequence).bind(organisation);
            let query = query.bind(Timestamp(at_us.unwrap_or(i64::MAX))).bind(message.protocol());
            let query = query.bind(message.is_sent()).bind(peer.as_str()).bind(data);
            tx.execute(query).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Up to `limit` messages of a call behind that of the number `after`, as the API shows them.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn messages(
        &self,
        organisation: OrganisationId,
        call: Uuid,
        after: u32,
        limit: u32,
    ) -> Result<Vec<Value>, StoreError> {
        let query = Query::new(
            "SELECT data FROM messages WHERE call_id = $1 AND organisation_id = $2 \
             AND sequence > $3 ORDER BY sequence LIMIT $4",
        );
        let query = query.bind(call).bind(organisation).bind(after).bind(limit);
        let rows = self.fetch_all(query).await?;
        let read = |row: &Row| {
            let data: Vec<u8> = row.get("data")?;
            serde_json::from_slice(&data).map_err(|_| StoreError::Corrupt { what: "data" })
        };
        rows.iter().map(read).collect()
    }
}
