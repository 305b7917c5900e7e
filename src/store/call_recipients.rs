//! Whom orders call, and how they stand.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::call_orders::{self, OrderState};
use super::id::{CallOrderId, OrganisationId, RecipientId, Timestamp};
use super::row::Row;
use super::sql::Query;
use super::{Store, StoreError, Tx};
use crate::orders::Outcome;

/// How a recipient stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecipientState {
    /// It is to be called, or called again.
    Waiting,
    /// It is being called, or talks.
    Calling,
    /// It was reached.
    Reached,
    /// It was not, and is not called again.
    Failed,
    /// Its time was over.
    Expired,
    /// It was given up.
    Cancelled,
}

impl RecipientState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Waiting, Self::Calling, Self::Reached, Self::Failed, Self::Expired, Self::Cancelled];

    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Calling => "calling",
            Self::Reached => "reached",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state that this word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// A recipient to be added.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRecipient {
    /// Whom to call.
    pub to: String,
    /// Where it lives, if the hours of the order are to hold there.
    pub time_zone: Option<String>,
    /// Variables for the agent.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
}

/// Without anything: it is somebody's number.
impl fmt::Debug for NewRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewRecipient").finish_non_exhaustive()
    }
}

/// A recipient.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Names it.
    pub id: RecipientId,
    /// Whom to call.
    pub to: String,
    /// Where it lives.
    pub time_zone: Option<String>,
    /// Variables for the agent.
    pub variables: BTreeMap<String, String>,
    /// How it stands.
    pub state: RecipientState,
    /// What the last try came to.
    pub outcome: Option<Outcome>,
    /// Why it was not called, if it was not.
    pub reason: Option<String>,
    /// Calls so far.
    pub tries: i64,
    /// When it is called next, if it waits.
    pub due_at: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

/// Without its number and variables.
impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipient")
            .field("id", &self.id)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

const SELECT: &str = "SELECT id, to_number, time_zone, variables, state, outcome, reason, tries, \
                      due_at, ended_at FROM call_recipients WHERE order_id = $1";

fn read(row: &Row) -> Result<Recipient, StoreError> {
    let outcome: Option<String> = row.get("outcome")?;
    let outcome = outcome
        .map(|word| Outcome::from_word(&word))
        .map(|found| found.ok_or(StoreError::Corrupt { what: "outcome" }));
    Ok(Recipient {
        id: row.get("id")?,
        to: row.get("to_number")?,
        time_zone: row.get("time_zone")?,
        variables: row.json("variables")?,
        state: row.parse("state", RecipientState::from_word)?,
        outcome: outcome.transpose()?,
        reason: row.get("reason")?,
        tries: row.get("tries")?,
        due_at: row.get("due_at")?,
        ended_at: row.get("ended_at")?,
    })
}

/// Adds recipients to an order.
///
/// # Errors
///
/// If the database cannot be reached.
pub(super) async fn insert(
    tx: &mut Tx,
    (organisation, order): (OrganisationId, CallOrderId),
    recipients: &[NewRecipient],
    due: Timestamp,
) -> Result<(), StoreError> {
    let now = Timestamp::now();
    for one in recipients {
        let query = Query::new(
            "INSERT INTO call_recipients (id, order_id, organisation_id, to_number, time_zone, \
             variables, state, tries, due_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, 'waiting', 0, $7, $8)",
        );
        let variables = serde_json::to_string(&one.variables);
        let variables = variables.map_err(|_| StoreError::Corrupt { what: "variables" })?;
        let query = query.bind(RecipientId::new()).bind(order).bind(organisation).bind(&one.to);
        let query = query.bind(one.time_zone.clone()).bind(variables).bind(due);
        tx.execute(query.bind(now)).await?;
    }
    Ok(())
}

/// Ends those of an order that wait.
///
/// # Errors
///
/// If the database cannot be reached.
pub(super) async fn end_waiting(
    tx: &mut Tx,
    order: CallOrderId,
    state: &'static str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let query = Query::new(
        "UPDATE call_recipients SET state = $1, ended_at = $2, updated_at = $2 \
         WHERE order_id = $3 AND state = 'waiting'",
    );
    tx.execute(query.bind(state).bind(now).bind(order)).await.map(drop)
}

impl Store {
    /// Up to `limit` recipients of an order behind `after`, in the order in which they were added.
    /// Whose the order is was asked before.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn recipients(
        &self,
        order: CallOrderId,
        state: Option<RecipientState>,
        after: Option<RecipientId>,
        limit: u32,
    ) -> Result<Vec<Recipient>, StoreError> {
        let mut query = Query::new(SELECT).bind(order);
        if let Some(state) = state {
            query = query.push(" AND state = ").push_bind(state.as_str());
        }
        self.fetch_all(query.page(after, limit)).await?.iter().map(read).collect()
    }

    /// Up to `limit` recipients of an order that are to be called now.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn due_recipients(
        &self,
        order: CallOrderId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Recipient>, StoreError> {
        let query = Query::new(SELECT).bind(order).push(" AND state = 'waiting' AND due_at <= ");
        let query = query.push_bind(now).push(" ORDER BY due_at, id LIMIT ").push_bind(limit);
        self.fetch_all(query).await?.iter().map(read).collect()
    }

    /// A recipient that waits is called later.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn defer_recipient(&self, id: RecipientId, due: Timestamp) -> Result<(), StoreError> {
        let query = "UPDATE call_recipients SET due_at = $1 WHERE id = $2 AND state = 'waiting'";
        self.execute(Query::new(query).bind(due).bind(id)).await.map(drop)
    }

    /// A recipient that waits is never called.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn expire_recipient(
        &self,
        order: CallOrderId,
        id: RecipientId,
        reason: &str,
    ) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let mut tx = self.begin().await?;
        let order = call_orders::lock(&mut tx, order, now).await?;
        let query = Query::new(
            "UPDATE call_recipients SET state = 'expired', reason = $1, ended_at = $2, \
             updated_at = $2 WHERE id = $3 AND state = 'waiting'",
        );
        tx.execute(query.bind(reason).bind(now).bind(id)).await?;
        call_orders::settle(&mut tx, &order, now).await?;
        tx.commit().await
    }

    /// Writes down that a recipient is called by the call of this id, before it is. False if it is
    /// not to be called any more, or another has taken it: then it must not be.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached: then it must not be called either.
    pub async fn begin_try(
        &self,
        order: CallOrderId,
        recipient: RecipientId,
        call: Uuid,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let order = call_orders::lock(&mut tx, order, now).await?;
        if order.state != OrderState::Active || order.expires_at.is_some_and(|end| end <= now) {
            return Ok(false);
        }
        let query = Query::new(
            "UPDATE call_recipients SET state = 'calling', tries = tries + 1, updated_at = $1 \
             WHERE id = $2 AND state = 'waiting' AND due_at <= $1 RETURNING tries",
        );
        let Some(row) = tx.fetch_optional(query.bind(now).bind(recipient)).await? else {
            return Ok(false);
        };
        let number: i64 = row.get("tries")?;
        let query = Query::new(
            "INSERT INTO call_tries (call_id, order_id, recipient_id, organisation_id, number, \
             placed_at) VALUES ($1, $2, $3, $4, $5, $6)",
        );
        let query = query.bind(call).bind(order.id).bind(recipient).bind(order.organisation);
        tx.execute(query.bind(number).bind(now)).await?;
        let query = Query::new("UPDATE call_orders SET served_at = $1 WHERE id = $2");
        tx.execute(query.bind(now).bind(order.id)).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// A call that was written down was surely not placed: its recipient waits again until `due`,
    /// as if it had never been taken.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn take_back(&self, call: Uuid, due: Timestamp) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let mut tx = self.begin().await?;
        let query = "SELECT order_id FROM call_tries WHERE call_id = $1 AND ended_at IS NULL";
        let Some(row) = tx.fetch_optional(Query::new(query).bind(call)).await? else {
            return Ok(());
        };
        let order = call_orders::lock(&mut tx, row.get("order_id")?, now).await?;
        let query = Query::new(
            "DELETE FROM call_tries WHERE call_id = $1 AND ended_at IS NULL RETURNING recipient_id",
        );
        let Some(row) = tx.fetch_optional(query.bind(call)).await? else { return Ok(()) };
        let recipient: RecipientId = row.get("recipient_id")?;
        let cancelled = order.state == OrderState::Cancelled;
        let state = if cancelled { RecipientState::Cancelled } else { RecipientState::Waiting };
        let query = Query::new(
            "UPDATE call_recipients SET state = $1, tries = tries - 1, due_at = $2, \
             ended_at = $3, updated_at = $4 WHERE id = $5",
        );
        let query = query.bind(state.as_str()).bind(due).bind(cancelled.then_some(now));
        tx.execute(query.bind(now).bind(recipient)).await?;
        call_orders::settle(&mut tx, &order, now).await?;
        tx.commit().await
    }
}
