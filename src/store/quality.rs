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

/// Appends a sample; a second one of the same moment is none.
///
/// # Errors
///
/// If the database cannot be reached.
pub async fn append(
    tx: &mut Tx,
    organisation: OrganisationId,
    call: Uuid,
    sample: &QualitySample,
) -> Result<(), StoreError> {
    let data = serde_json::to_string(sample);
    let data = data.map_err(|_| StoreError::Corrupt { what: "data" })?;
    let query = Query::new(
        "INSERT INTO quality_samples (call_id, leg, at, organisation_id, data) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    );
    let query = query.bind(call).bind(PEER).bind(Timestamp(sample.at_us)).bind(organisation);
    tx.execute(query.bind(data)).await?;
    Ok(())
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
