//! Forgets what is old, a little at a time, so that nobody who writes waits long for it.

use uuid::Uuid;

use super::deliveries::DeliveryState;
use super::id::Timestamp;
use super::sql::Query;
use super::{Store, StoreError};

/// Rows that are looked at or removed by one transaction.
pub const BATCH: u32 = 200;

/// What is kept for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kept {
    /// Calls that are over, with everything that is known of them.
    Calls,
    /// The facts of calls that are over.
    CallEvents,
    /// How the media of calls fared.
    Quality,
    /// SIP messages of calls that were captured.
    Messages,
    /// Messages that callers have left.
    Voicemails,
    /// Webhooks that were delivered.
    Deliveries,
    /// Webhooks that were given up.
    DeadDeliveries,
    /// Who changed what.
    Audit,
}

impl Kept {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Calls,
        Self::CallEvents,
        Self::Quality,
        Self::Messages,
        Self::Voicemails,
        Self::Deliveries,
        Self::DeadDeliveries,
        Self::Audit,
    ];

    /// The label that metrics count it by.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::CallEvents => "call_events",
            Self::Quality => "quality",
            Self::Messages => "messages",
            Self::Voicemails => "voicemails",
            Self::Deliveries => "deliveries",
            Self::DeadDeliveries => "dead_deliveries",
            Self::Audit => "audit",
        }
    }
}

/// What one batch has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Rows that are gone.
    pub removed: u64,
    /// Where the next goes on; none if nothing old is left.
    pub next: Option<i64>,
}

/// The least id (RFC 9562 5.7) of anything that was made at `at`.
pub(super) fn least_id(at: Timestamp) -> Uuid {
    let ms = u64::try_from(at.0.max(0) / 1_000).unwrap_or(0);
    Uuid::from_u128(u128::from(ms) << 80)
}

impl Store {
    /// Removes up to [`BATCH`] rows that are older than `before`, the oldest first, beginning at
    /// `from` (zero at first).
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn forget_batch(
        &self,
        what: Kept,
        before: Timestamp,
        from: i64,
    ) -> Result<Batch, StoreError> {
        let id = least_id(before);
        let removed = match what {
            Kept::CallEvents => return self.forget_events(before, from).await,
            Kept::Calls => self.forget_calls(id).await?,
            // Ids of calls grow with time, and no call lasts as long as the shortest period.
            Kept::Quality => {
                let query = Query::new(
                    "DELETE FROM quality_samples WHERE (call_id, leg, at) IN \
                     (SELECT call_id, leg, at FROM quality_samples WHERE call_id < $1 \
                     ORDER BY call_id, leg, at LIMIT $2)",
                );
                self.execute(query.bind(id).bind(BATCH)).await?
            }
            Kept::Messages => {
                let query = Query::new(
                    "DELETE FROM messages WHERE (call_id, sequence) IN \
                     (SELECT call_id, sequence FROM messages WHERE call_id < $1 \
                     ORDER BY call_id, sequence LIMIT $2)",
                );
                self.execute(query.bind(id).bind(BATCH)).await?
            }
            Kept::Voicemails => {
                let query = Query::new(
                    "DELETE FROM voicemails WHERE id IN (SELECT id FROM voicemails WHERE id < $1 \
                     ORDER BY id LIMIT $2)",
                );
                self.execute(query.bind(id).bind(BATCH)).await?
            }
            Kept::Deliveries | Kept::DeadDeliveries => {
                let state = match what {
                    Kept::DeadDeliveries => DeliveryState::Dead,
                    _ => DeliveryState::Delivered,
                };
                let query = Query::new(
                    "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries \
                     WHERE id < $1 AND ended_at IS NOT NULL AND ended_at < $2 AND state = $3 \
                     ORDER BY id LIMIT $4)",
                );
                let query = query.bind(id).bind(before).bind(state.as_str());
                self.execute(query.bind(BATCH)).await?
            }
            Kept::Audit => {
                let query = Query::new(
                    "DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log WHERE id < $1 \
                     ORDER BY id LIMIT $2)",
                );
                self.execute(query.bind(id).bind(BATCH)).await?
            }
        };
        let next = (removed >= u64::from(BATCH)).then_some(0);
        Ok(Batch { removed, next })
    }

    /// The facts of calls that are over since `before`, in their order: the first of a call,
    /// without which its record is never written again, goes first.
    async fn forget_events(&self, before: Timestamp, from: i64) -> Result<Batch, StoreError> {
        let query = Query::new(
            "SELECT id, recorded_at FROM call_events WHERE id > $1 ORDER BY id LIMIT $2",
        );
        let rows = self.fetch_all(query.bind(from).bind(BATCH)).await?;
        let mut last = None;
        for row in &rows {
            if row.get::<Timestamp>("recorded_at")? >= before {
                break;
            }
            last = Some(row.get::<i64>("id")?);
        }
        let Some(last) = last else { return Ok(Batch { removed: 0, next: None }) };
        let query = Query::new(
            "DELETE FROM call_events WHERE id > $1 AND id <= $2 AND NOT EXISTS \
             (SELECT 1 FROM calls WHERE calls.id = call_events.call_id \
             AND (ended_at IS NULL OR ended_at >= $3))",
        );
        let removed = self.execute(query.bind(from).bind(last).bind(before)).await?;
        let next = (rows.len() >= BATCH as usize).then_some(last);
        Ok(Batch { removed, next })
    }

    /// Calls with what is known of them: all or nothing of one.
    async fn forget_calls(&self, before: Uuid) -> Result<u64, StoreError> {
        let query = Query::new(
            "SELECT id FROM calls WHERE id < $1 AND ended_at IS NOT NULL ORDER BY id LIMIT $2",
        );
        let rows = self.fetch_all(query.bind(before).bind(BATCH)).await?;
        let calls: Vec<Uuid> = rows.iter().map(|row| row.get("id")).collect::<Result<_, _>>()?;
        if calls.is_empty() {
            return Ok(0);
        }
        let mut tx = self.begin().await?;
        for statement in [
            "DELETE FROM call_events WHERE call_id IN (",
            "DELETE FROM quality_samples WHERE call_id IN (",
            "DELETE FROM messages WHERE call_id IN (",
            "DELETE FROM transfers WHERE call_id IN (",
            "DELETE FROM recordings WHERE call_id IN (",
            "DELETE FROM calls WHERE id IN (",
        ] {
            let mut query = Query::new(statement);
            for (index, call) in calls.iter().enumerate() {
                query = if index == 0 { query } else { query.push(", ") };
                query = query.push_bind(*call);
            }
            tx.execute(query.push(")")).await?;
        }
        tx.commit().await?;
        Ok(calls.len() as u64)
    }

    /// Removes up to [`BATCH`] answers and sessions whose time is over. True if there may be more.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn forget_expired(&self) -> Result<bool, StoreError> {
        let now = Timestamp::now();
        let sessions = Query::new(
            "DELETE FROM sessions WHERE sha256 IN (SELECT sha256 FROM sessions \
             WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
        );
        let ended = self.execute(sessions.bind(now).bind(BATCH)).await?;
        let forgotten = self.forget_answers(BATCH).await?;
        Ok(ended.max(forgotten) >= u64::from(BATCH))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was made at a time or later has no smaller id.
    #[test]
    fn ids_grow_with_time() {
        let at = Timestamp::now();
        let later = Uuid::now_v7();
        assert!(least_id(at) <= later);
        assert!(least_id(Timestamp(at.0 + 60_000_000)) > later);
        assert_eq!(least_id(Timestamp(-5)), Uuid::nil());
    }
}
