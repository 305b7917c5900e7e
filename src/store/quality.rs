//! How the media of calls fared over time.

use serde_json::Value;
use uuid::Uuid;

use super::id::{OrganisationId, Timestamp};
use super::sql::Query;
use super::{Store, StoreError, Tx};
use crate::calls::log::QualitySample;

/// The leg of the peer.
const PEER: &str = "peer";

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
    samples: &[(OrganisationId, Uuid, QualitySample)],
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

fn insert(samples: &[(OrganisationId, Uuid, QualitySample)]) -> Result<Query, StoreError> {
    let mut query =
        Query::new("INSERT INTO quality_samples (call_id, leg, at, organisation_id, data) VALUES ");
    for (index, (organisation, call, sample)) in samples.iter().enumerate() {
        let data = serde_json::to_string(sample);
        let data = data.map_err(|_| StoreError::Corrupt { what: "data" })?;
        query = query.push(if index == 0 { "(" } else { ", (" }).push_bind(*call);
        query = query.push(", ").push_bind(PEER);
        query = query.push(", ").push_bind(Timestamp(sample.at_us));
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
            "SELECT at, leg, data FROM quality_samples \
             WHERE call_id = $1 AND organisation_id = $2 AND at > $3 ORDER BY at, leg LIMIT $4",
        );
        let query = query.bind(call).bind(organisation).bind(after).bind(limit);
        let rows = self.fetch_all(query).await?;
        let sample = |row: &super::Row| {
            let (at, leg) = (row.get("at")?, row.get("leg")?);
            Ok(StoredSample { at, leg, data: row.json("data")? })
        };
        rows.iter().map(sample).collect()
    }
}
