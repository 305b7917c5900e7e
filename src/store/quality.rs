//! How the media of calls fared over time, and what was said. What was said lies where samples lie,
//! as on a leg of its own: it is forgotten with them, and asked for apart.

use serde_json::Value;
use uuid::Uuid;

use super::id::{OrganisationId, Timestamp};
use super::sql::Query;
use super::{Store, StoreError, Tx};
use crate::calls::log::{Sample, Speaker};

/// The leg of the peer.
const PEER: &str = "peer";

/// Where it stands what somebody said.
const fn said_by(who: Speaker) -> &'static str {
    match who {
        Speaker::Agent => "said by agent",
        Speaker::Caller => "said by caller",
    }
}

/// How the media of a call fared at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSample {
    /// When.
    pub at: Timestamp,
    /// On which leg.
    pub leg: String,
    /// How.
    pub data: Value,
}

/// Samples of one statement, which costs a wake-up of two threads; a rest goes one by one, so that
/// there are two statements to prepare.
const TOGETHER: usize = 16;

/// Appends samples; a second one of the same call and moment is none.
///
/// # Errors
///
/// If the database cannot be reached.
pub async fn append(
    tx: &mut Tx,
    samples: &[(OrganisationId, Uuid, &Sample)],
) -> Result<(), StoreError> {
    let (together, rest) = samples.as_chunks::<TOGETHER>();
    for samples in together {
        tx.execute(insert(samples)?).await?;
    }
    for sample in rest {
        tx.execute(insert(std::slice::from_ref(sample))?).await?;
    }
    Ok(())
}

fn insert(samples: &[(OrganisationId, Uuid, &Sample)]) -> Result<Query, StoreError> {
    let mut query =
        Query::new("INSERT INTO quality_samples (call_id, leg, at, organisation_id, data) VALUES ");
    for (index, (organisation, call, sample)) in samples.iter().enumerate() {
        let (leg, data) = match sample {
            Sample::Quality(sample) => (PEER, serde_json::to_string(sample)),
            Sample::Spoken(spoken) => (said_by(spoken.who), serde_json::to_string(spoken)),
        };
        let data = data.map_err(|_| StoreError::Corrupt { what: "data" })?;
        query = query.push(if index == 0 { "(" } else { ", (" }).push_bind(*call);
        query = query.push(", ").push_bind(leg);
        query = query.push(", ").push_bind(Timestamp(sample.at_us()));
        query = query.push(", ").push_bind(*organisation).push(", ").push_bind(data).push(")");
    }
    Ok(query.push(" ON CONFLICT DO NOTHING"))
}

/// When the last sample of a call was taken.
///
/// # Errors
///
/// If the database cannot be reached.
pub async fn last(tx: &mut Tx, call: Uuid) -> Result<Option<Timestamp>, StoreError> {
    let query =
        Query::new("SELECT at FROM quality_samples WHERE call_id = $1 ORDER BY at DESC LIMIT 1");
    tx.fetch_optional(query.bind(call)).await?.map(|row| row.get("at")).transpose()
}

impl Store {
    /// Up to `limit` samples of a call after `after`, in their order.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn quality(
        &self,
        organisation: OrganisationId,
        call: Uuid,
        after: Timestamp,
        limit: u32,
    ) -> Result<Vec<StoredSample>, StoreError> {
        let query = Query::new(
            "SELECT at, leg, data FROM quality_samples WHERE call_id = $1 \
             AND organisation_id = $2 AND at > $3 AND leg = $4 ORDER BY at LIMIT $5",
        );
        let query = query.bind(call).bind(organisation).bind(after).bind(PEER).bind(limit);
        let rows = self.fetch_all(query).await?;
        let sample = |row: &super::Row| {
            let (at, leg) = (row.get("at")?, row.get("leg")?);
            Ok(StoredSample { at, leg, data: row.json("data")? })
        };
        rows.iter().map(sample).collect()
    }

    /// Up to `limit` things that were said on a call after `after`, in their order: when, and what
    /// is known of it.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn spoken(
        &self,
        organisation: OrganisationId,
        call: Uuid,
        after: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Timestamp, Value)>, StoreError> {
        let query = Query::new(
            "SELECT at, data FROM quality_samples WHERE call_id = $1 AND organisation_id = $2 \
             AND at > $3 AND leg IN ($4, $5) ORDER BY at, leg LIMIT $6",
        );
        let [agent, caller] = Speaker::ALL.map(said_by);
        let query = query.bind(call).bind(organisation).bind(after).bind(agent).bind(caller);
        let rows = self.fetch_all(query.bind(limit)).await?;
        rows.iter().map(|row| Ok((row.get("at")?, row.json("data")?))).collect()
    }
}
