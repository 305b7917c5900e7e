//! Recordings of calls, as the facts of their calls tell of them.

use std::path::PathBuf;

use uuid::Uuid;

use super::audit::{Actor, Audit};
use super::id::{NodeId, OrganisationId, RecordingId, Timestamp};
use super::retention::least_id;
use super::row::Row;
use super::sql::Query;
use super::{Store, StoreError, Tx};
use crate::calls::cause::Cause;
use crate::calls::log::{CallFact, Recorded, What};
use crate::recording::State;

/// A recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingRecord {
    /// Names it.
    pub id: RecordingId,
    /// The call.
    pub call: Uuid,
    /// The node that made it, on whose disk it is.
    pub node: Option<NodeId>,
    /// The file, as that node names it.
    pub path: PathBuf,
    /// How it stands.
    pub state: State,
    /// Channels of the file.
    pub channels: u64,
    /// Samples a second, of each channel.
    pub rate_hz: u64,
    /// Bytes of the file, if they are known.
    pub size_bytes: Option<u64>,
    /// How long it is, in milliseconds, if that is known.
    pub duration_ms: Option<u64>,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When its file was complete, or could not be written any more.
    pub ended_at: Option<Timestamp>,
}

/// Which recordings are wanted; all, if nothing is said.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordingFilter {
    /// Those of this call.
    pub call: Option<Uuid>,
    /// Those that stand so.
    pub state: Option<State>,
}

const SELECT: &str = "SELECT id, call_id, node_id, path, state, channels, rate_hz, size_bytes, \
    duration_ms, created_at, updated_at, ended_at FROM recordings";

fn count(row: &Row, name: &'static str) -> Result<u64, StoreError> {
    u64::try_from(row.get::<i64>(name)?).map_err(|_| StoreError::Corrupt { what: name })
}

fn known_count(row: &Row, name: &'static str) -> Result<Option<u64>, StoreError> {
    let value = row.get::<Option<i64>>(name)?.map(u64::try_from).transpose();
    value.map_err(|_| StoreError::Corrupt { what: name })
}

fn read(row: &Row) -> Result<RecordingRecord, StoreError> {
    Ok(RecordingRecord {
        id: row.get("id")?,
        call: row.get("call_id")?,
        node: row.get("node_id")?,
        path: row.get::<String>("path")?.into(),
        state: row.parse("state", State::from_word)?,
        channels: count(row, "channels")?,
        rate_hz: count(row, "rate_hz")?,
        size_bytes: known_count(row, "size_bytes")?,
        duration_ms: known_count(row, "duration_ms")?,
        created_at: row.get("created_at")?,
        ended_at: row.get("ended_at")?,
    })
}

/// A number as the database keeps it.
fn kept(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// How far a state is: none that is less far undoes it.
const fn rank(state: State) -> u8 {
    match state {
        State::Recording | State::Paused => 0,
        State::Stopped => 1,
        State::Complete => 2,
        State::Failed => 3,
    }
}

/// What facts tell of a recording. Joining them is what a set does: order and repetition make no
/// difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    state: State,
    created_at: Timestamp,
    /// When the state was that.
    updated_at: Timestamp,
    ended_at: Option<Timestamp>,
    size_bytes: Option<i64>,
    duration_ms: Option<i64>,
}

impl Told {
    /// By one fact.
    fn of(state: State, at: Timestamp, recorded: &Recorded) -> Self {
        Self {
            state,
            created_at: at,
            updated_at: at,
            ended_at: state.is_over().then_some(at),
            size_bytes: recorded.size_bytes.map(kept),
            duration_ms: recorded.duration_ms.map(kept),
        }
    }

    /// By all facts before.
    fn before(row: &Row) -> Result<Self, StoreError> {
        let created_at = row.get("created_at")?;
        Ok(Self {
            state: row.parse("state", State::from_word)?,
            created_at,
            updated_at: row.get::<Option<Timestamp>>("updated_at")?.unwrap_or(created_at),
            ended_at: row.get("ended_at")?,
            size_bytes: row.get("size_bytes")?,
            duration_ms: row.get("duration_ms")?,
        })
    }

    /// By both.
    fn and(self, other: Self) -> Self {
        let place = |told: &Self| (rank(told.state), told.updated_at, told.state.as_str());
        let newest = if place(&other) > place(&self) { other } else { self };
        Self {
            state: newest.state,
            created_at: self.created_at.min(other.created_at),
            updated_at: newest.updated_at,
            ended_at: self.ended_at.max(other.ended_at),
            size_bytes: self.size_bytes.max(other.size_bytes),
            duration_ms: self.duration_ms.max(other.duration_ms),
        }
    }

    /// The same of a call that nobody held any more at `at`: the file has what there is.
    fn lost(self, at: Timestamp) -> Self {
        let lost = Self {
            state: State::Complete,
            created_at: self.created_at,
            updated_at: at,
            ended_at: Some(at),
            size_bytes: None,
            duration_ms: None,
        };
        self.and(lost)
    }
}

const INSERT: &str = "INSERT INTO recordings (id, organisation_id, call_id, node_id, path, \
    channels, rate_hz, state, created_at, updated_at, ended_at, size_bytes, duration_ms) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";

const UPDATE: &str = "UPDATE recordings SET state = $1, created_at = $2, updated_at = $3, \
    ended_at = $4, size_bytes = $5, duration_ms = $6 WHERE id = $7";

/// Binds what is told, in the order of both statements.
fn with(query: Query, told: &Told) -> Query {
    let query = query.bind(told.state.as_str()).bind(told.created_at).bind(told.updated_at);
    query.bind(told.ended_at).bind(told.size_bytes).bind(told.duration_ms)
}

async fn update(tx: &mut Tx, id: RecordingId, told: &Told) -> Result<(), StoreError> {
    tx.execute(with(Query::new(UPDATE), told).bind(id)).await.map(drop)
}

/// Keeps up with a fact that is new: a recording begins or moves on. With a call that was lost, at
/// `lost` if it was, ends its recording.
///
/// # Errors
///
/// If the database cannot be reached.
pub async fn follow(
    tx: &mut Tx,
    organisation: OrganisationId,
    node: NodeId,
    fact: &CallFact,
    lost: Option<Timestamp>,
) -> Result<(), StoreError> {
    let at = Timestamp(fact.at_us);
    match &fact.what {
        What::Recording { state, at_server: Some(recorded), .. } => {
            let Some(state) = State::from_word(state) else { return Ok(()) };
            let told = Told::of(state, at, recorded);
            let told = lost.map_or(told, |lost| told.lost(lost));
            let id = RecordingId(recorded.id);
            let query = Query::new(SELECT).push(" WHERE id = ").push_bind(id);
            if let Some(row) = tx.fetch_optional(query).await? {
                return update(tx, id, &Told::before(&row)?.and(told)).await;
            }
            let query = Query::new(INSERT).bind(id).bind(organisation).bind(fact.call).bind(node);
            let query = query.bind(recorded.path.to_string_lossy().into_owned());
            let query = query.bind(u32::from(recorded.channels)).bind(recorded.rate_hz);
            tx.execute(with(query, &told)).await.map(drop)
        }
        What::Ended(ended) if ended.cause == Cause::NodeLost => {
            let query = Query::new(SELECT).push(" WHERE call_id = ").push_bind(fact.call);
            for row in tx.fetch_all(query).await? {
                update(tx, row.get("id")?, &Told::before(&row)?.lost(at)).await?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

impl Store {
    /// Of a store that nodes share, the recordings of `node` alone; else all, by whatever name.
    fn made_by(&self, query: Query, node: NodeId) -> Query {
        match self.is_shared() {
            true => query.push(" AND node_id = ").push_bind(node),
            false => query,
        }
    }

    /// Up to `limit` recordings of an organisation that were not deleted, the latest first, all
    /// before `before` if given.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn recordings(
        &self,
        organisation: OrganisationId,
        filter: RecordingFilter,
        before: Option<RecordingId>,
        limit: u32,
    ) -> Result<Vec<RecordingRecord>, StoreError> {
        let query = Query::new(SELECT).push(" WHERE organisation_id = ").push_bind(organisation);
        let mut query = query.push(" AND deleted_at IS NULL");
        if let Some(call) = filter.call {
            query = query.push(" AND call_id = ").push_bind(call);
        }
        if let Some(state) = filter.state {
            query = query.push(" AND state = ").push_bind(state.as_str());
        }
        self.fetch_all(query.page_back(before, limit)).await?.iter().map(read).collect()
    }

    /// The recording of a call, unless there is none or it was deleted.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn recording_of(
        &self,
        organisation: OrganisationId,
        call: Uuid,
    ) -> Result<Option<RecordingRecord>, StoreError> {
        let filter = RecordingFilter { call: Some(call), state: None };
        Ok(self.recordings(organisation, filter, None, 1).await?.pop())
    }

    /// Notes that somebody has deleted the recording of a call; its file is left to whoever keeps
    /// it. Nothing but the note is written of one that was made before recordings were kept here.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn delete_recording(
        &self,
        organisation: OrganisationId,
        call: Uuid,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let query = Query::new(
            "UPDATE recordings SET deleted_at = $1 \
             WHERE organisation_id = $2 AND call_id = $3 AND deleted_at IS NULL",
        );
        let query = query.bind(Timestamp::now()).bind(organisation).bind(call);
        let mut tx = self.begin().await?;
        tx.execute(query).await?;
        tx.audit(&Audit::new(organisation, actor, "delete", "recording", call)).await?;
        tx.commit().await
    }

    /// Closes the recordings of `node` that nobody makes any more: a server that starts has none.
    /// They ended with their calls, as far as that is known. How many there were.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn close_recordings(&self, node: NodeId) -> Result<u64, StoreError> {
        let query = Query::new(
            "UPDATE recordings SET state = $1, updated_at = $2, ended_at = COALESCE((SELECT \
             calls.ended_at FROM calls WHERE calls.id = recordings.call_id), $2) \
             WHERE ended_at IS NULL",
        );
        let query = query.bind(State::Complete.as_str()).bind(Timestamp::now());
        self.execute(self.made_by(query, node)).await
    }

    /// Up to `limit` recordings of `node` that ended before `before`, or are over and of calls that
    /// began before `of_calls` if given, and are not noted as deleted; in the order of their ids,
    /// all after `after` if given.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn old_recordings(
        &self,
        node: NodeId,
        (before, of_calls): (Timestamp, Option<Timestamp>),
        after: Option<RecordingId>,
        limit: u32,
    ) -> Result<Vec<RecordingRecord>, StoreError> {
        let query = Query::new(SELECT).push(" WHERE deleted_at IS NULL AND ended_at IS NOT NULL");
        let query = query.push(" AND (ended_at < ").push_bind(before);
        let query = match of_calls {
            Some(began) => query.push(" OR call_id < ").push_bind(least_id(began)),
            None => query,
        };
        let query = self.made_by(query.push(")"), node);
        self.fetch_all(query.page(after, limit)).await?.iter().map(read).collect()
    }

    /// Notes that files of recordings are gone.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn recordings_gone(
        &self,
        ids: &[RecordingId],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut query = Query::new("UPDATE recordings SET deleted_at = $1 WHERE id IN (").bind(now);
        for (index, id) in ids.iter().enumerate() {
            query = if index == 0 { query } else { query.push(", ") };
            query = query.push_bind(*id);
        }
        self.execute(query.push(") AND deleted_at IS NULL")).await.map(drop)
    }
}
