//! Webhooks on their way, and what became of them.

use std::time::Duration;

use super::id::{DeliveryId, NodeId, OrganisationId, SubscriptionId, Timestamp};
use super::row::Row;
use super::sql::Query;
use super::{Store, StoreError, Tx};

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is tried until it is taken.
    Pending,
    /// It was taken.
    Delivered,
    /// It was given up.
    Dead,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Dead];

    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }

    /// The state that this word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// A delivery that is to be written.
#[derive(Clone, Copy, Debug)]
pub struct New<'a> {
    /// Whose it is.
    pub organisation: OrganisationId,
    /// To whom it goes.
    pub subscription: SubscriptionId,
    /// The event; one is delivered to a subscription once.
    pub event_id: &'a str,
    /// Its type.
    pub kind: &'a str,
    /// The body.
    pub payload: &'a str,
}

/// A delivery as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Names it.
    pub id: DeliveryId,
    /// To whom it goes.
    pub subscription: SubscriptionId,
    /// The event.
    pub event_id: String,
    /// Its type.
    pub kind: String,
    /// How it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: i64,
    /// Status of the last answer.
    pub status: Option<i64>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// When the event was.
    pub created_at: Timestamp,
    /// When it is tried next, if it is.
    pub due_at: Timestamp,
    /// When it was taken or given up.
    pub ended_at: Option<Timestamp>,
}

/// A delivery that this node is to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Names it.
    pub id: DeliveryId,
    /// The event.
    pub event_id: String,
    /// Its type.
    pub kind: String,
    /// The body.
    pub payload: String,
    /// How often it was tried before.
    pub attempts: u32,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken with this status.
    Delivered(u16),
    /// It failed and is tried again.
    Again {
        /// When.
        at: Timestamp,
        /// The status, if there was an answer.
        status: Option<u16>,
        /// Why.
        error: String,
    },
    /// It failed and is given up.
    Dead {
        /// The status, if there was an answer.
        status: Option<u16>,
        /// Why.
        error: String,
    },
}

const SELECT: &str = "SELECT id, subscription_id, event_id, kind, state, attempts, status_code, \
                      error, created_at, due_at, ended_at FROM deliveries";

fn read(row: &Row) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        id: row.get("id")?,
        subscription: row.get("subscription_id")?,
        event_id: row.get("event_id")?,
        kind: row.get("kind")?,
        state: row.parse("state", DeliveryState::from_word)?,
        attempts: row.get("attempts")?,
        status: row.get("status_code")?,
        error: row.get("error")?,
        created_at: row.get("created_at")?,
        due_at: row.get("due_at")?,
        ended_at: row.get("ended_at")?,
    })
}

/// Writes a delivery that is due at once; nothing if there is one of this event already.
///
/// # Errors
///
/// If the database cannot be reached.
pub async fn append(tx: &mut Tx, new: &New<'_>) -> Result<(), StoreError> {
    let now = Timestamp::now();
    let query = Query::new(
        "INSERT INTO deliveries (id, organisation_id, subscription_id, event_id, kind, payload, \
         state, attempts, created_at, due_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9) \
         ON CONFLICT (subscription_id, event_id) DO NOTHING",
    );
    let query = query.bind(DeliveryId::new()).bind(new.organisation).bind(new.subscription);
    let query = query.bind(new.event_id).bind(new.kind).bind(new.payload);
    tx.execute(query.bind(DeliveryState::Pending.as_str()).bind(now).bind(now)).await?;
    Ok(())
}

impl Store {
    /// Writes a delivery that follows from no fact.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn append_delivery(&self, new: &New<'_>) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        append(&mut tx, new).await?;
        tx.commit().await
    }

    /// The subscriptions for which something is due, each with whose it is; and when the next is
    /// due after that.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn due_subscriptions(
        &self,
        now: Timestamp,
    ) -> Result<(Vec<(SubscriptionId, OrganisationId)>, Option<Timestamp>), StoreError> {
        // One look for each subscription, however much waits for a receiver that is down.
        let query = Query::new(
            "SELECT id, organisation_id FROM subscriptions \
             WHERE (enabled OR deleted_at IS NOT NULL) \
             AND EXISTS (SELECT 1 FROM deliveries \
             WHERE subscription_id = subscriptions.id AND ended_at IS NULL AND due_at <= $1 \
             AND (claimed_until IS NULL OR claimed_until < $1))",
        );
        let rows = self.fetch_all(query.bind(now)).await?;
        let whose = |row: &Row| Ok((row.get("id")?, row.get("organisation_id")?));
        let due = rows.iter().map(whose).collect::<Result<_, StoreError>>()?;
        let query = Query::new(
            "SELECT due_at FROM deliveries WHERE ended_at IS NULL AND due_at > $1 \
             ORDER BY due_at LIMIT 1",
        );
        let next = self.fetch_optional(query.bind(now)).await?;
        Ok((due, next.map(|row| row.get("due_at")).transpose()?))
    }

    /// Takes up to `limit` deliveries to a subscription that are due, for `node` alone until
    /// `claim` is over.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn claim_deliveries(
        &self,
        subscription: SubscriptionId,
        node: NodeId,
        claim: Duration,
        limit: u32,
    ) -> Result<Vec<Claimed>, StoreError> {
        let now = Timestamp::now();
        // The outer condition counts: another node may have been faster.
        let query = Query::new(
            "UPDATE deliveries SET claimed_by = $1, claimed_until = $2 WHERE id IN \
             (SELECT id FROM deliveries WHERE subscription_id = $3 AND ended_at IS NULL \
             AND due_at <= $4 AND (claimed_until IS NULL OR claimed_until < $4) \
             ORDER BY due_at, id LIMIT $5) AND ended_at IS NULL \
             AND (claimed_until IS NULL OR claimed_until < $4) \
             RETURNING id, event_id, kind, payload, attempts",
        );
        let query = query.bind(node).bind(now.after(claim)).bind(subscription).bind(now);
        let mut tx = self.begin().await?;
        let rows = tx.fetch_all(query.bind(limit)).await?;
        tx.commit().await?;
        let claimed = |row: &Row| {
            let attempts: i64 = row.get("attempts")?;
            Ok(Claimed {
                id: row.get("id")?,
                event_id: row.get("event_id")?,
                kind: row.get("kind")?,
                payload: row.get("payload")?,
                attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
            })
        };
        rows.iter().map(claimed).collect()
    }

    /// Lets go of what a node of this id took before it ended.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn release_deliveries(&self, node: NodeId) -> Result<u64, StoreError> {
        let query = Query::new(
            "UPDATE deliveries SET claimed_by = NULL, claimed_until = NULL \
             WHERE claimed_by = $1 AND ended_at IS NULL",
        );
        self.execute(query.bind(node)).await
    }

    /// Notes what became of an attempt.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached: then it is tried again once the claim is over.
    pub async fn end_attempt(&self, id: DeliveryId, outcome: &Outcome) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let (state, due, ended, status, error) = match outcome {
            Outcome::Delivered(status) => {
                (DeliveryState::Delivered, now, Some(now), Some(*status), None)
            }
            Outcome::Again { at, status, error } => {
                (DeliveryState::Pending, *at, None, *status, Some(error))
            }
            Outcome::Dead { status, error } => {
                (DeliveryState::Dead, now, Some(now), *status, Some(error))
            }
        };
        let query = Query::new(
            "UPDATE deliveries SET state = $1, due_at = $2, ended_at = $3, status_code = $4, \
             error = $5, attempts = attempts + 1, claimed_by = NULL, claimed_until = NULL \
             WHERE id = $6",
        );
        let query = query.bind(state.as_str()).bind(due).bind(ended);
        let query = query.bind(status.map(i64::from)).bind(error.cloned()).bind(id);
        self.execute(query).await.map(drop)
    }

    /// Up to `limit` deliveries to a subscription, the latest first, in `state` if one is given.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn deliveries(
        &self,
        organisation: OrganisationId,
        subscription: SubscriptionId,
        state: Option<DeliveryState>,
        before: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let query = Query::new(SELECT).push(" WHERE organisation_id = ").push_bind(organisation);
        let mut query = query.push(" AND subscription_id = ").push_bind(subscription);
        if let Some(state) = state {
            query = query.push(" AND state = ").push_bind(state.as_str());
        }
        self.fetch_all(query.page_back(before, limit)).await?.iter().map(read).collect()
    }

    /// Delivers again, with the same event id: one delivery, or all that were given up.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if a single one is meant and the subscription has none of this id.
    pub async fn replay_deliveries(
        &self,
        organisation: OrganisationId,
        subscription: SubscriptionId,
        one: Option<DeliveryId>,
    ) -> Result<u64, StoreError> {
        let query = Query::new(
            "UPDATE deliveries SET state = 'pending', attempts = 0, due_at = $1, \
             ended_at = NULL WHERE organisation_id = $2 AND subscription_id = $3 \
             AND ended_at IS NOT NULL",
        );
        let query = query.bind(Timestamp::now()).bind(organisation).bind(subscription);
        let query = match one {
            Some(id) => query.push(" AND id = ").push_bind(id),
            None => query.push(" AND state = 'dead'"),
        };
        let replayed = self.execute(query).await?;
        if one.is_some() && replayed == 0 {
            return Err(StoreError::NotFound);
        }
        Ok(replayed)
    }
}
