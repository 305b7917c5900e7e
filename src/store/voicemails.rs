//! Messages that callers have left, as the facts of their calls tell of them.

use uuid::Uuid;

use super::audit::{Actor, Audit};
use super::id::{NodeId, OrganisationId, Timestamp, VoicemailId};
use super::row::Row;
use super::sql::Query;
use super::{Store, StoreError, Tx};
use crate::calls::log::{Began, CallFact, What};

/// A message.
#[derive(Clone, PartialEq, Eq)]
pub struct Voicemail {
    /// Names it.
    pub id: VoicemailId,
    /// The call on which it was left.
    pub call: Uuid,
    /// The node that took it, on whose disk its sound is.
    pub node: NodeId,
    /// Name of the agent that took it.
    pub agent: String,
    /// The calling address.
    pub from: String,
    /// The called address.
    pub to: String,
    /// When the caller could begin to speak.
    pub began_at: Timestamp,
    /// How long it is, in milliseconds.
    pub duration_ms: u64,
    /// When somebody said that it was heard; nobody has if absent.
    pub heard_at: Option<Timestamp>,
}

/// Without the addresses: they are people's numbers.
impl std::fmt::Debug for Voicemail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Voicemail")
            .field("id", &self.id)
            .field("call", &self.call)
            .field("duration_ms", &self.duration_ms)
            .field("heard_at", &self.heard_at)
            .finish_non_exhaustive()
    }
}

const SELECT: &str = "SELECT id, call_id, node_id, agent, from_number, to_number, began_at, \
    duration_ms, heard_at FROM voicemails WHERE organisation_id = $1";

fn read(row: &Row) -> Result<Voicemail, StoreError> {
    let duration_ms = u64::try_from(row.get::<i64>("duration_ms")?);
    Ok(Voicemail {
        id: row.get("id")?,
        call: row.get("call_id")?,
        node: row.get("node_id")?,
        agent: row.get("agent")?,
        from: row.get("from_number")?,
        to: row.get("to_number")?,
        began_at: row.get("began_at")?,
        duration_ms: duration_ms.map_err(|_| StoreError::Corrupt { what: "duration_ms" })?,
        heard_at: row.get("heard_at")?,
    })
}

const INSERT: &str = "INSERT INTO voicemails (id, organisation_id, call_id, node_id, agent, \
    from_number, to_number, began_at, duration_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
    ON CONFLICT (id) DO NOTHING";

/// Keeps up with a fact that is new: a message was left on a call that began so, as far as that is
/// still known.
///
/// # Errors
///
/// If the database cannot be reached.
pub async fn follow(
    tx: &mut Tx,
    organisation: OrganisationId,
    node: NodeId,
    fact: &CallFact,
    began: Option<&Began>,
) -> Result<(), StoreError> {
    let What::Voicemail { id, agent, duration_ms } = &fact.what else { return Ok(()) };
    let (from, to) = began.map_or(("", ""), |began| (began.from.as_str(), began.to.as_str()));
    let length_ms = i64::try_from(*duration_ms).unwrap_or(i64::MAX);
    let began_at = Timestamp(fact.at_us.saturating_sub(length_ms.saturating_mul(1_000)));
    let query = Query::new(INSERT).bind(*id).bind(organisation).bind(fact.call).bind(node);
    let query = query.bind(agent).bind(from).bind(to).bind(began_at).bind(length_ms);
    tx.execute(query).await.map(drop)
}

impl Store {
    /// Up to `limit` messages of an organisation, the latest first, all before `before` if given;
    /// with `heard` those alone that somebody has heard, or that nobody has.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn voicemails(
        &self,
        organisation: OrganisationId,
        heard: Option<bool>,
        before: Option<VoicemailId>,
        limit: u32,
    ) -> Result<Vec<Voicemail>, StoreError> {
        let query = Query::new(SELECT).bind(organisation);
        let query = match heard {
            Some(true) => query.push(" AND heard_at IS NOT NULL"),
            Some(false) => query.push(" AND heard_at IS NULL"),
            None => query,
        };
        self.fetch_all(query.page_back(before, limit)).await?.iter().map(read).collect()
    }

    /// A message of an organisation.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if it has none of this id.
    pub async fn voicemail(
        &self,
        organisation: OrganisationId,
        id: VoicemailId,
    ) -> Result<Voicemail, StoreError> {
        let query = Query::new(SELECT).bind(organisation).push(" AND id = ").push_bind(id);
        read(&self.fetch_one(query).await?)
    }

    /// Notes that somebody has heard a message, or that it is to be heard again. One that was heard
    /// before keeps its time.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if the organisation has none of this id.
    pub async fn set_voicemail_heard(
        &self,
        organisation: OrganisationId,
        id: VoicemailId,
        heard: bool,
    ) -> Result<(), StoreError> {
        let query = match heard {
            true => Query::new(
                "UPDATE voicemails SET heard_at = COALESCE(heard_at, $3) \
                 WHERE organisation_id = $1 AND id = $2",
            ),
            false => Query::new(
                "UPDATE voicemails SET heard_at = NULL WHERE organisation_id = $1 AND id = $2",
            ),
        };
        let query = query.bind(organisation).bind(id);
        let query = if heard { query.bind(Timestamp::now()) } else { query };
        match self.execute(query).await? {
            0 => Err(StoreError::NotFound),
            _ => Ok(()),
        }
    }

    /// Removes a message; its sound is left to whoever keeps it.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if the organisation has none of this id.
    pub async fn delete_voicemail(
        &self,
        organisation: OrganisationId,
        id: VoicemailId,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let query = Query::new("DELETE FROM voicemails WHERE organisation_id = $1 AND id = $2");
        let mut tx = self.begin().await?;
        if tx.execute(query.bind(organisation).bind(id)).await? == 0 {
            return Err(StoreError::NotFound);
        }
        tx.audit(&Audit::new(organisation, actor, "delete", "voicemail", id)).await?;
        tx.commit().await
    }
}
