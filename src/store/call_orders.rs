//! Orders of calls, and how far they are.

use serde::Serialize;

use super::call_recipients::{self, NewRecipient};
use super::id::{CallOrderId, OrganisationId, Timestamp};
use super::row::Row;
use super::sql::Query;
use super::{Actor, Audit, Store, StoreError, Tx};
use crate::orders::{ORDER_ENDED, Rules, Template, tell};

/// Orders of an organisation that are not over.
pub const OPEN_MAX: u32 = 1_000;
/// Recipients of an order.
pub const RECIPIENTS_MAX: u32 = 10_000;

/// How an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// Its calls are placed when they are due.
    Active,
    /// No further call is placed for now.
    Paused,
    /// It was given up.
    Cancelled,
    /// Nobody is left to be called.
    Done,
}

impl OrderState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Active, Self::Paused, Self::Cancelled, Self::Done];

    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
        }
    }

    /// The state that this word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallOrder {
    /// Names it.
    pub id: CallOrderId,
    /// Whose it is.
    pub organisation: OrganisationId,
    /// For people.
    pub name: Option<String>,
    /// How it stands.
    pub state: OrderState,
    /// How its calls are placed.
    pub template: Template,
    /// When.
    pub rules: Rules,
    /// Not before this.
    pub begins_at: Timestamp,
    /// Not from this on.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

/// An order to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewOrder<'a> {
    /// Its id.
    pub id: CallOrderId,
    /// For people.
    pub name: Option<&'a str>,
    /// It waits to be resumed.
    pub paused: bool,
    /// How its calls are placed.
    pub template: &'a Template,
    /// When.
    pub rules: &'a Rules,
    /// Not before this.
    pub begins_at: Timestamp,
    /// Not from this on.
    pub expires_at: Option<Timestamp>,
    /// Whom it calls, to begin with.
    pub recipients: &'a [NewRecipient],
}

/// How many recipients of an order stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// They are to be called, or called again.
    pub waiting: u64,
    /// They are being called, or talk.
    pub calling: u64,
    /// They were reached.
    pub reached: u64,
    /// They were not, and are not called again.
    pub failed: u64,
    /// Their time was over.
    pub expired: u64,
    /// They were given up.
    pub cancelled: u64,
}

const SELECT: &str = "SELECT id, organisation_id, name, state, call, rules, begins_at, \
                      expires_at, created_at, ended_at FROM call_orders";

pub(super) fn read(row: &Row) -> Result<CallOrder, StoreError> {
    Ok(CallOrder {
        id: row.get("id")?,
        organisation: row.get("organisation_id")?,
        name: row.get("name")?,
        state: row.parse("state", OrderState::from_word)?,
        template: row.json("call")?,
        rules: row.json("rules")?,
        begins_at: row.get("begins_at")?,
        expires_at: row.get("expires_at")?,
        created_at: row.get("created_at")?,
        ended_at: row.get("ended_at")?,
    })
}

fn json<T: Serialize>(value: &T, what: &'static str) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Corrupt { what })
}

/// Locks an order until the transaction ends, and reads it.
///
/// # Errors
///
/// [`StoreError::NotFound`] if there is none of this id.
pub(super) async fn lock(
    tx: &mut Tx,
    id: CallOrderId,
    now: Timestamp,
) -> Result<CallOrder, StoreError> {
    let query = Query::new("UPDATE call_orders SET updated_at = $1 WHERE id = $2");
    if tx.execute(query.bind(now).bind(id)).await? == 0 {
        return Err(StoreError::NotFound);
    }
    read(&tx.fetch_one(Query::new(SELECT).push(" WHERE id = ").push_bind(id)).await?)
}

/// Ends an order that is locked, once nobody of it waits or is being called.
///
/// # Errors
///
/// If the database cannot be reached.
pub(super) async fn settle(
    tx: &mut Tx,
    order: &CallOrder,
    now: Timestamp,
) -> Result<(), StoreError> {
    let query = Query::new(
        "SELECT id FROM call_recipients WHERE order_id = $1 AND state IN ('waiting', 'calling') \
         LIMIT 1",
    );
    if order.ended_at.is_some() || tx.fetch_optional(query.bind(order.id)).await?.is_some() {
        return Ok(());
    }
    let state = match order.state {
        OrderState::Cancelled => OrderState::Cancelled,
        _ => OrderState::Done,
    };
    let query = Query::new("UPDATE call_orders SET state = $1, ended_at = $2 WHERE id = $3");
    tx.execute(query.bind(state.as_str()).bind(now).bind(order.id)).await?;
    let rows = tx.fetch_all(counted(order.id)).await?;
    let data = serde_json::json!({
        "order_id": order.id, "name": order.name, "state": state,
        "recipients": progress(&rows)?,
    });
    tell(tx, order.organisation, (ORDER_ENDED, order.id.0), now, data).await
}

fn counted(id: CallOrderId) -> Query {
    let query = "SELECT state, COUNT(*) AS held FROM call_recipients WHERE order_id = $1 \
                 GROUP BY state";
    Query::new(query).bind(id)
}

fn progress(rows: &[Row]) -> Result<Progress, StoreError> {
    let mut all = Progress::default();
    for row in rows {
        let (state, held): (String, i64) = (row.get("state")?, row.get("held")?);
        let count = match state.as_str() {
            "waiting" => &mut all.waiting,
            "calling" => &mut all.calling,
            "reached" => &mut all.reached,
            "failed" => &mut all.failed,
            "expired" => &mut all.expired,
            "cancelled" => &mut all.cancelled,
            _ => return Err(StoreError::Corrupt { what: "state" }),
        };
        *count = u64::try_from(held).unwrap_or(0);
    }
    Ok(all)
}

impl Store {
    /// Makes an order.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] if the organisation has as many as it may.
    pub async fn create_call_order(
        &self,
        organisation: OrganisationId,
        new: &NewOrder<'_>,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let mut tx = self.begin().await?;
        let query = Query::new(
            "SELECT COUNT(*) AS held FROM call_orders WHERE organisation_id = $1 \
             AND ended_at IS NULL",
        );
        let held: i64 = tx.fetch_one(query.bind(organisation)).await?.get("held")?;
        if held >= i64::from(OPEN_MAX) {
            return Err(StoreError::Full { what: "order", max: OPEN_MAX });
        }
        let query = Query::new(
            "INSERT INTO call_orders (id, organisation_id, name, state, call, rules, begins_at, \
             expires_at, served_at, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $9)",
        );
        let state = if new.paused { OrderState::Paused } else { OrderState::Active };
        let query = query.bind(new.id).bind(organisation).bind(new.name).bind(state.as_str());
        let query = query.bind(json(new.template, "call")?).bind(json(new.rules, "rules")?);
        tx.execute(query.bind(new.begins_at).bind(new.expires_at).bind(now)).await?;
        let whose = (organisation, new.id);
        call_recipients::insert(&mut tx, whose, new.recipients, new.begins_at).await?;
        tx.audit(&Audit::new(organisation, actor, "create", "call_order", new.id)).await?;
        tx.commit().await
    }

    /// One order of an organisation.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if it has none of this id.
    pub async fn call_order(
        &self,
        organisation: OrganisationId,
        id: CallOrderId,
    ) -> Result<CallOrder, StoreError> {
        let query = Query::new(SELECT).push(" WHERE id = ").push_bind(id);
        let query = query.push(" AND organisation_id = ").push_bind(organisation);
        read(&self.fetch_one(query).await?)
    }

    /// Up to `limit` orders of an organisation, the latest first, from behind `after`.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn call_orders(
        &self,
        organisation: OrganisationId,
        is_over: Option<bool>,
        after: Option<CallOrderId>,
        limit: u32,
    ) -> Result<Vec<CallOrder>, StoreError> {
        let query = Query::new(SELECT).push(" WHERE organisation_id = ").push_bind(organisation);
        let query = match is_over {
            None => query,
            Some(true) => query.push(" AND ended_at IS NOT NULL"),
            Some(false) => query.push(" AND ended_at IS NULL"),
        };
        self.fetch_all(query.page_back(after, limit)).await?.iter().map(read).collect()
    }

    /// How many recipients of an order stand how.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn order_progress(&self, id: CallOrderId) -> Result<Progress, StoreError> {
        progress(&self.fetch_all(counted(id)).await?)
    }

    /// Adds recipients to an order.
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`] if it is over, [`StoreError::Full`] if it has as many as it may.
    pub async fn add_recipients(
        &self,
        organisation: OrganisationId,
        id: CallOrderId,
        recipients: &[NewRecipient],
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let mut tx = self.begin().await?;
        let order = open(&mut tx, organisation, id, now).await?;
        let query = Query::new("SELECT COUNT(*) AS held FROM call_recipients WHERE order_id = $1");
        let held: i64 = tx.fetch_one(query.bind(id)).await?.get("held")?;
        let more = i64::try_from(recipients.len()).unwrap_or(i64::MAX);
        if held.saturating_add(more) > i64::from(RECIPIENTS_MAX) {
            return Err(StoreError::Full { what: "recipient", max: RECIPIENTS_MAX });
        }
        let due = order.begins_at.max(now);
        call_recipients::insert(&mut tx, (organisation, id), recipients, due).await?;
        let audit = Audit::new(organisation, actor, "extend", "call_order", id);
        tx.audit(&audit.with(serde_json::json!({ "recipients": recipients.len() }))).await?;
        tx.commit().await
    }

    /// Lets an order wait, or go on.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if there is none of this id, [`StoreError::InUse`] if it is over.
    pub async fn pause_order(
        &self,
        organisation: OrganisationId,
        id: CallOrderId,
        paused: bool,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let mut tx = self.begin().await?;
        let order = open(&mut tx, organisation, id, now).await?;
        let (state, word) = match paused {
            true => (OrderState::Paused, "pause"),
            false => (OrderState::Active, "resume"),
        };
        if order.state == state {
            return Ok(());
        }
        let query = Query::new("UPDATE call_orders SET state = $1 WHERE id = $2");
        tx.execute(query.bind(state.as_str()).bind(id)).await?;
        if !paused {
            settle(&mut tx, &order, now).await?;
        }
        tx.audit(&Audit::new(organisation, actor, word, "call_order", id)).await?;
        tx.commit().await
    }

    /// Gives an order up: nobody else is called. The calls that are under way, which go on. One
    /// that is over stays as it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if there is none of this id.
    pub async fn cancel_order(
        &self,
        organisation: OrganisationId,
        id: CallOrderId,
        actor: &Actor,
    ) -> Result<Vec<uuid::Uuid>, StoreError> {
        let now = Timestamp::now();
        let mut tx = self.begin().await?;
        let mut order = lock(&mut tx, id, now).await?;
        if order.organisation != organisation {
            return Err(StoreError::NotFound);
        }
        if order.ended_at.is_some() {
            return Ok(Vec::new());
        }
        order.state = OrderState::Cancelled;
        let query = Query::new("UPDATE call_orders SET state = $1 WHERE id = $2");
        tx.execute(query.bind(order.state.as_str()).bind(id)).await?;
        call_recipients::end_waiting(&mut tx, id, "cancelled", now).await?;
        let query =
            Query::new("SELECT call_id FROM call_tries WHERE order_id = $1 AND ended_at IS NULL");
        let living = tx.fetch_all(query.bind(id)).await?;
        let living = living.iter().map(|row| row.get("call_id")).collect::<Result<_, _>>()?;
        settle(&mut tx, &order, now).await?;
        tx.audit(&Audit::new(organisation, actor, "cancel", "call_order", id)).await?;
        tx.commit().await?;
        Ok(living)
    }

    /// The orders of which somebody is to be called now; the one that was served longest ago comes
    /// first.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn due_orders(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<CallOrder>, StoreError> {
        let query = Query::new(SELECT).push(
            " WHERE ended_at IS NULL AND state = 'active' AND EXISTS (SELECT 1 FROM \
             call_recipients WHERE order_id = call_orders.id AND state = 'waiting' AND due_at <= ",
        );
        let query = query.push_bind(now).push(") AND (expires_at IS NULL OR expires_at > ");
        let query = query.push_bind(now).push(") ORDER BY served_at, id LIMIT ").push_bind(limit);
        self.fetch_all(query).await?.iter().map(read).collect()
    }

    /// Whether there is an order that is not over.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn has_open_orders(&self) -> Result<bool, StoreError> {
        let query = "SELECT id FROM call_orders WHERE ended_at IS NULL LIMIT 1";
        Ok(!self.fetch_all(Query::new(query)).await?.is_empty())
    }

    /// Ends what waits in orders whose time is over. How many orders there were.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn expire_orders(&self, now: Timestamp, limit: u32) -> Result<usize, StoreError> {
        let query = Query::new(
            "SELECT id FROM call_orders WHERE ended_at IS NULL AND expires_at <= $1 AND EXISTS \
             (SELECT 1 FROM call_recipients WHERE order_id = call_orders.id \
             AND state = 'waiting') ORDER BY id LIMIT $2",
        );
        let rows = self.fetch_all(query.bind(now).bind(limit)).await?;
        for row in &rows {
            let mut tx = self.begin().await?;
            let order = lock(&mut tx, row.get("id")?, now).await?;
            call_recipients::end_waiting(&mut tx, order.id, "expired", now).await?;
            settle(&mut tx, &order, now).await?;
            tx.commit().await?;
        }
        Ok(rows.len())
    }

    /// Forgets up to `limit` orders that were over before `before`, with everything of them.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn forget_orders(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let query =
            Query::new("SELECT id FROM call_orders WHERE ended_at < $1 ORDER BY ended_at LIMIT $2");
        let mut forgotten = 0;
        for row in self.fetch_all(query.bind(before).bind(limit)).await? {
            let id: CallOrderId = row.get("id")?;
            let mut tx = self.begin().await?;
            for statement in [
                "DELETE FROM call_tries WHERE order_id = $1",
                "DELETE FROM call_recipients WHERE order_id = $1",
                "DELETE FROM call_orders WHERE id = $1",
            ] {
                tx.execute(Query::new(statement).bind(id)).await?;
            }
            tx.commit().await?;
            forgotten += 1;
        }
        Ok(forgotten)
    }
}

/// An order of an organisation that is not over, locked.
async fn open(
    tx: &mut Tx,
    organisation: OrganisationId,
    id: CallOrderId,
    now: Timestamp,
) -> Result<CallOrder, StoreError> {
    let order = lock(tx, id, now).await?;
    if order.organisation != organisation {
        return Err(StoreError::NotFound);
    }
    if order.ended_at.is_some() || order.state == OrderState::Cancelled {
        return Err(StoreError::InUse { what: "the order is over" });
    }
    Ok(order)
}
