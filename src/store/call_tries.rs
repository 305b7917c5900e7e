//! Calls that were placed for orders, and what they came to.

use serde_json::json;
use uuid::Uuid;

use super::call_orders::{self, CallOrder, OrderState};
use super::call_recipients::RecipientState;
use super::calls::CallRecord;
use super::id::{CallOrderId, OrganisationId, RecipientId, Timestamp};
use super::row::Row;
use super::sql::Query;
use super::{Store, StoreError, Tx};
use crate::orders::policy::Tally;
use crate::orders::{CALL_ENDED, CALL_PLACED, Next, Outcome, open_at, tell};

/// A call of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Try {
    /// The call.
    pub call: Uuid,
    /// Whom it called.
    pub recipient: RecipientId,
    /// Which of the recipient's calls it is, from one on.
    pub number: i64,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// What it came to, if it is over.
    pub outcome: Option<Outcome>,
    /// Why it ended.
    pub cause: Option<String>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

fn outcome(row: &Row) -> Result<Option<Outcome>, StoreError> {
    let word: Option<String> = row.get("outcome")?;
    let Some(word) = word else { return Ok(None) };
    Outcome::from_word(&word).map(Some).ok_or(StoreError::Corrupt { what: "outcome" })
}

fn read(row: &Row) -> Result<Try, StoreError> {
    Ok(Try {
        call: row.get("call_id")?,
        recipient: row.get("recipient_id")?,
        number: row.get("number")?,
        placed_at: row.get("placed_at")?,
        outcome: outcome(row)?,
        cause: row.get("cause")?,
        ended_at: row.get("ended_at")?,
    })
}

/// A try that is not over.
struct Open {
    order: CallOrderId,
    recipient: RecipientId,
    number: i64,
}

async fn open(tx: &mut Tx, call: Uuid) -> Result<Option<Open>, StoreError> {
    let query = Query::new(
        "SELECT order_id, recipient_id, number FROM call_tries WHERE call_id = $1 \
         AND ended_at IS NULL",
    );
    let row = tx.fetch_optional(query.bind(call)).await?;
    let open = |row: Row| {
        Ok(Open {
            order: row.get("order_id")?,
            recipient: row.get("recipient_id")?,
            number: row.get("number")?,
        })
    };
    row.map(open).transpose()
}

/// A call has begun: if it is of an order, that is told.
///
/// # Errors
///
/// If the database cannot be reached.
pub async fn begun(
    tx: &mut Tx,
    organisation: OrganisationId,
    call: Uuid,
    at: Timestamp,
) -> Result<(), StoreError> {
    let Some(it) = open(tx, call).await? else { return Ok(()) };
    let data = json!({
        "order_id": it.order, "recipient_id": it.recipient, "call_id": call, "number": it.number,
    });
    tell(tx, organisation, (CALL_PLACED, call), at, data).await
}

/// A call is over: if it is of an order, its recipient is called again or not.
///
/// # Errors
///
/// If the database cannot be reached.
pub async fn ended(tx: &mut Tx, call: &CallRecord) -> Result<(), StoreError> {
    let what = Came {
        to: Outcome::of(&call.summary),
        cause: call.summary.cause.map(|cause| cause.as_str()),
        reason: call.summary.reason.as_deref(),
    };
    end(tx, call.id, what, Timestamp::now()).await
}

/// What a try came to.
#[derive(Clone, Copy)]
struct Came<'a> {
    to: Outcome,
    cause: Option<&'a str>,
    reason: Option<&'a str>,
}

/// What becomes of a recipient.
struct Then {
    state: RecipientState,
    due: Option<Timestamp>,
}

async fn end(tx: &mut Tx, call: Uuid, came: Came<'_>, now: Timestamp) -> Result<(), StoreError> {
    let Some(Open { order, .. }) = open(tx, call).await? else { return Ok(()) };
    let order = call_orders::lock(tx, order, now).await?;
    // Another may have been quicker.
    let Some(it) = open(tx, call).await? else { return Ok(()) };
    let query = Query::new(
        "UPDATE call_tries SET outcome = $1, cause = $2, ended_at = $3 WHERE call_id = $4",
    );
    tx.execute(query.bind(came.to.as_str()).bind(came.cause).bind(now).bind(call)).await?;
    let then = follow(tx, &order, it.recipient, came.to, now).await?;
    let query = Query::new(
        "UPDATE call_recipients SET state = $1, outcome = $2, reason = $3, \
         due_at = COALESCE($4, due_at), ended_at = $5, updated_at = $6 WHERE id = $7",
    );
    let query = query.bind(then.state.as_str()).bind(came.to.as_str()).bind(came.reason);
    let query = query.bind(then.due).bind(then.due.is_none().then_some(now)).bind(now);
    tx.execute(query.bind(it.recipient)).await?;
    let data = json!({
        "order_id": order.id, "recipient_id": it.recipient, "call_id": call, "number": it.number,
        "outcome": came.to, "cause": came.cause, "reason": came.reason,
        "state": then.state, "again_at": then.due,
    });
    tell(tx, order.organisation, (CALL_ENDED, call), now, data).await?;
    call_orders::settle(tx, &order, now).await
}

/// What follows for a recipient whose last try came to `outcome`.
async fn follow(
    tx: &mut Tx,
    order: &CallOrder,
    recipient: RecipientId,
    outcome: Outcome,
    now: Timestamp,
) -> Result<Then, StoreError> {
    let over = |state| Then { state, due: None };
    if outcome == Outcome::Reached {
        return Ok(over(RecipientState::Reached));
    }
    if order.state == OrderState::Cancelled {
        return Ok(over(RecipientState::Cancelled));
    }
    let tally = tally(tx, recipient).await?;
    let Next::Again(pause) = order.rules.retry.after(outcome, &tally) else {
        return Ok(over(RecipientState::Failed));
    };
    let query = Query::new("SELECT time_zone FROM call_recipients WHERE id = $1");
    let zone: Option<String> = tx.fetch_one(query.bind(recipient)).await?.get("time_zone")?;
    let due = open_at(order.rules.hours.as_ref(), zone.as_deref(), now.after(pause));
    let due = due.filter(|due| order.expires_at.is_none_or(|end| *due < end));
    Ok(match due {
        Some(due) => Then { state: RecipientState::Waiting, due: Some(due) },
        None => over(RecipientState::Failed),
    })
}

async fn tally(tx: &mut Tx, recipient: RecipientId) -> Result<Tally, StoreError> {
    let query = Query::new(
        "SELECT outcome, COUNT(*) AS held FROM call_tries WHERE recipient_id = $1 \
         AND outcome IS NOT NULL GROUP BY outcome",
    );
    let mut tally = Tally::new();
    for row in tx.fetch_all(query.bind(recipient)).await? {
        let held: i64 = row.get("held")?;
        if let Some(outcome) = outcome(&row)? {
            tally.insert(outcome, u32::try_from(held).unwrap_or(u32::MAX));
        }
    }
    Ok(tally)
}

impl Store {
    /// A call that was written down came to this before anything was dialled.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn refuse_try(
        &self,
        call: Uuid,
        to: Outcome,
        reason: &str,
    ) -> Result<(), StoreError> {
        self.end_try(call, Came { to, cause: None, reason: Some(reason) }).await
    }

    /// Nobody knows what became of a call that was written down.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn lose_try(&self, call: Uuid) -> Result<(), StoreError> {
        let reason = Some("a server ended before it could say whether it was placed");
        self.end_try(call, Came { to: Outcome::Uncertain, cause: None, reason }).await
    }

    async fn end_try(&self, call: Uuid, came: Came<'_>) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        end(&mut tx, call, came, Timestamp::now()).await?;
        tx.commit().await
    }

    /// Calls that were written down before `before`, are not over, and of which the log of calls
    /// knows nothing.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn lost_tries(&self, before: Timestamp, limit: u32) -> Result<Vec<Uuid>, StoreError> {
        let query = Query::new(
            "SELECT call_id FROM call_tries WHERE ended_at IS NULL AND placed_at < $1 \
             AND NOT EXISTS (SELECT 1 FROM calls WHERE id = call_tries.call_id) \
             ORDER BY placed_at, call_id LIMIT $2",
        );
        let rows = self.fetch_all(query.bind(before).bind(limit)).await?;
        rows.iter().map(|row| row.get("call_id")).collect()
    }

    /// How many calls of an order are under way, and how many were placed since `since`.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn order_load(
        &self,
        order: CallOrderId,
        since: Timestamp,
    ) -> Result<(u32, u32), StoreError> {
        let query = Query::new(
            "SELECT COUNT(*) AS held FROM call_recipients WHERE order_id = $1 \
             AND state = 'calling'",
        );
        let living: i64 = self.fetch_one(query.bind(order)).await?.get("held")?;
        let query = Query::new(
            "SELECT COUNT(*) AS held FROM call_tries WHERE order_id = $1 AND placed_at > $2",
        );
        let placed: i64 = self.fetch_one(query.bind(order).bind(since)).await?.get("held")?;
        let count = |held| u32::try_from(held).unwrap_or(u32::MAX);
        Ok((count(living), count(placed)))
    }

    /// Up to `limit` calls of an order behind `after`, in the order of their ids, which is that of
    /// time. Whose the order is was asked before.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn tries(
        &self,
        order: CallOrderId,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Try>, StoreError> {
        let query = Query::new(
            "SELECT call_id, recipient_id, number, placed_at, outcome, cause, ended_at \
             FROM call_tries WHERE order_id = $1 AND call_id > $2 ORDER BY call_id LIMIT $3",
        );
        let query = query.bind(order).bind(after.unwrap_or(Uuid::nil())).bind(limit);
        self.fetch_all(query).await?.iter().map(read).collect()
    }
}
