//! Transfers of calls, as the facts of their calls tell of them.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::id::{NodeId, OrganisationId, Timestamp};
use super::row::Row;
use super::sql::Query;
use super::{Store, StoreError, Tx};
use crate::calls::cause::Cause;
use crate::calls::log::{CallFact, Source, What};
use crate::calls::transfer::{Kind, State};

/// A transfer.
#[derive(Clone, PartialEq, Eq)]
pub struct TransferRecord {
    /// Names it.
    pub id: Uuid,
    /// How it is carried out.
    pub kind: Kind,
    /// How far it is.
    pub state: State,
    /// Whom to, as it was named.
    pub destination: String,
    /// The call that is joined.
    pub other_call: Option<Uuid>,
    /// Options by name.
    pub options: BTreeMap<String, String>,
    /// Why it failed or was given up.
    pub cause: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it moved on last.
    pub updated_at: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

/// Without the destination: it is somebody's number.
impl std::fmt::Debug for TransferRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransferRecord")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("state", &self.state)
            .field("cause", &self.cause)
            .finish_non_exhaustive()
    }
}

fn read(row: &Row) -> Result<TransferRecord, StoreError> {
    Ok(TransferRecord {
        id: row.get("id")?,
        kind: row.parse("kind", Kind::from_word)?,
        state: row.parse("state", State::from_word)?,
        destination: row.get("destination")?,
        other_call: row.get("other_call_id")?,
        options: row.json("options")?,
        cause: row.get("cause")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        ended_at: row.get("ended_at")?,
    })
}

const INSERT: &str = "INSERT INTO transfers (id, organisation_id, call_id, node_id, kind, state, \
    destination, other_call_id, options, version, created_at, updated_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $10) ON CONFLICT (id) DO NOTHING";

/// Keeps up with a fact that is new: a transfer begins or moves on, and with its call ends whatever
/// of it is under way.
///
/// # Errors
///
/// If the database cannot be reached.
pub async fn follow(
    tx: &mut Tx,
    organisation: OrganisationId,
    node: NodeId,
    fact: &CallFact,
) -> Result<(), StoreError> {
    let at = Timestamp(fact.at_us);
    match &fact.what {
        What::Transfer { id: Some(id), asked: Some(asked), state, .. } => {
            let options = serde_json::to_string(&asked.options);
            let options = options.map_err(|_| StoreError::Corrupt { what: "options" })?;
            let query = Query::new(INSERT).bind(*id).bind(organisation).bind(fact.call);
            let query = query.bind(node).bind(&asked.kind).bind(state).bind(&asked.destination);
            let query = query.bind(asked.other_call).bind(options).bind(at);
            tx.execute(query).await?;
        }
        What::Transfer { id: Some(id), state, cause, .. } => {
            let over = State::from_word(state).is_some_and(State::is_over);
            let query = Query::new(
                "UPDATE transfers SET state = $1, cause = $2, updated_at = $3, ended_at = $4, \
                 version = version + 1 WHERE id = $5 AND ended_at IS NULL",
            );
            let query = query.bind(state).bind(cause.clone()).bind(at);
            tx.execute(query.bind(over.then_some(at)).bind(*id)).await?;
        }
        // What carriers tell may come before the last words of the node.
        What::Ended(ended) if fact.source != Source::Carrier => {
            let lost = ended.cause == Cause::NodeLost;
            let state = if lost { State::Failed } else { State::Cancelled };
            let cause = if lost { ended.cause.as_str() } else { "call_over" };
            let query = Query::new(
                "UPDATE transfers SET state = $1, cause = $2, updated_at = $3, ended_at = $3, \
                 version = version + 1 WHERE call_id = $4 AND ended_at IS NULL",
            );
            let query = query.bind(state.as_str()).bind(cause).bind(at);
            tx.execute(query.bind(fact.call)).await?;
        }
        _ => {}
    }
    Ok(())
}

impl Store {
    /// Up to `limit` transfers of a call after the one of the id `after`, in their order.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn transfers(
        &self,
        organisation: OrganisationId,
        call: Uuid,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<TransferRecord>, StoreError> {
        let query = Query::new(
            "SELECT id, kind, state, destination, other_call_id, options, cause, created_at, \
             updated_at, ended_at FROM transfers \
             WHERE organisation_id = $1 AND call_id = $2 AND id > $3 ORDER BY id LIMIT $4",
        );
        let query = query.bind(organisation).bind(call).bind(after.unwrap_or(Uuid::nil()));
        self.fetch_all(query.bind(limit)).await?.iter().map(read).collect()
    }
}
