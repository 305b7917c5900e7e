//! Facts about calls: appended, never changed.

use serde_json::Value;
use uuid::Uuid;

use super::id::{OrganisationId, Timestamp};
use super::row::Row;
use super::sql::Query;
use super::{Store, StoreError, Tx};
use crate::calls::log::{CallFact, Source};

/// A fact as it is told to those who listen.
#[derive(Clone, Debug, PartialEq)]
pub struct CallEvent {
    /// Its place among all facts of the store: later ones have larger numbers.
    pub id: i64,
    /// The call.
    pub call: Uuid,
    /// Who says so.
    pub source: Source,
    /// The word for what happened.
    pub kind: String,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub data: Value,
}

const SELECT: &str = "SELECT id, call_id, source, source_id, kind, at, data FROM call_events";

fn read(row: &Row) -> Result<CallEvent, StoreError> {
    Ok(CallEvent {
        id: row.get("id")?,
        call: row.get("call_id")?,
        source: row.parse("source", Source::from_word)?,
        kind: row.get("kind")?,
        at: row.get("at")?,
        data: row.json("data")?,
    })
}

fn read_fact(row: &Row) -> Result<CallFact, StoreError> {
    let at: Timestamp = row.get("at")?;
    Ok(CallFact {
        call: row.get("call_id")?,
        source: row.parse("source", Source::from_word)?,
        id: row.get("source_id")?,
        at_us: at.0,
        what: row.json("data")?,
    })
}

/// Lets one node at a time append: numbers are handed out before they are committed, and whoever
/// reads from a number on must not find a smaller one later.
///
/// # Errors
///
/// If the database cannot be reached.
pub async fn in_turn(tx: &mut Tx, is_shared: bool) -> Result<(), StoreError> {
    /// Any number, as long as nothing else takes it.
    const LOCK: i64 = 0x0074_616c_6b70_6174;
    if is_shared {
        let query = Query::new("SELECT 1 AS one FROM pg_advisory_xact_lock($1)").bind(LOCK);
        tx.fetch_optional(query).await?;
    }
    Ok(())
}

/// Appends a fact. Returns what is told of it, or `None` if it is known already.
///
/// # Errors
///
/// If the database cannot be reached.
pub async fn append(
    tx: &mut Tx,
    organisation: OrganisationId,
    fact: &CallFact,
) -> Result<Option<CallEvent>, StoreError> {
    let data = serde_json::to_value(&fact.what);
    let data = data.map_err(|_| StoreError::Corrupt { what: "data" })?;
    let (kind, at) = (fact.what.word(), Timestamp(fact.at_us));
    let query = Query::new(
        "INSERT INTO call_events (organisation_id, call_id, source, source_id, kind, at, \
         recorded_at, data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (call_id, source, source_id) DO NOTHING RETURNING id",
    );
    let query = query.bind(organisation).bind(fact.call).bind(fact.source.as_str());
    let query = query.bind(&fact.id).bind(kind).bind(at).bind(Timestamp::now());
    let Some(row) = tx.fetch_optional(query.bind(data.to_string())).await? else {
        return Ok(None);
    };
    Ok(Some(CallEvent {
        id: row.get("id")?,
        call: fact.call,
        source: fact.source,
        kind: kind.to_owned(),
        at,
        data,
    }))
}

/// All facts of a call, and whose it is; nothing if there is no such call.
///
/// # Errors
///
/// If the database cannot be reached.
pub async fn facts(
    tx: &mut Tx,
    call: Uuid,
) -> Result<Option<(OrganisationId, Vec<CallFact>)>, StoreError> {
    let query = Query::new("SELECT organisation_id FROM calls WHERE id = $1").bind(call);
    let Some(row) = tx.fetch_optional(query).await? else { return Ok(None) };
    let query = Query::new(SELECT).push(" WHERE call_id = ").push_bind(call);
    let rows = tx.fetch_all(query.push(" ORDER BY id")).await?;
    let facts = rows.iter().map(read_fact).collect::<Result<_, _>>()?;
    Ok(Some((row.get("organisation_id")?, facts)))
}

impl Store {
    /// Up to `limit` facts of a call after the one numbered `after`, in the order in which they
    /// came.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn call_events(
        &self,
        organisation: OrganisationId,
        call: Uuid,
        after: i64,
        limit: u32,
    ) -> Result<Vec<CallEvent>, StoreError> {
        let query = Query::new(SELECT).push(" WHERE call_id = ").push_bind(call);
        let query = query.push(" AND organisation_id = ").push_bind(organisation);
        let query = query.push(" AND id > ").push_bind(after).push(" ORDER BY id LIMIT ");
        self.fetch_all(query.push_bind(limit)).await?.iter().map(read).collect()
    }

    /// Up to `limit` facts of an organisation after the one numbered `after`.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn events(
        &self,
        organisation: OrganisationId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<CallEvent>, StoreError> {
        let query = Query::new(SELECT).push(" WHERE organisation_id = ").push_bind(organisation);
        let query = query.push(" AND id > ").push_bind(after).push(" ORDER BY id LIMIT ");
        self.fetch_all(query.push_bind(limit)).await?.iter().map(read).collect()
    }

    /// The number of the last fact of an organisation; zero before the first.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn last_event(&self, organisation: OrganisationId) -> Result<i64, StoreError> {
        let query = Query::new(
            "SELECT id FROM call_events WHERE organisation_id = $1 ORDER BY id DESC LIMIT 1",
        );
        let row = self.fetch_optional(query.bind(organisation)).await?;
        row.map_or(Ok(0), |row| row.get("id"))
    }
}
