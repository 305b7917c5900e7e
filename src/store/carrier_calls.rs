//! Calls as carriers have them.

use uuid::Uuid;

use super::id::{ConfigurationId, NodeId, OrganisationId, Timestamp};
use super::row::Row;
use super::sql::Query;
use super::{Store, StoreError};

/// A call that a carrier has, or had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarrierCall {
    /// Our id of it.
    pub id: Uuid,
    /// Whose it is.
    pub organisation: OrganisationId,
    /// The configuration that it came or went by.
    pub configuration: ConfigurationId,
    /// The carrier's id of it.
    pub call: String,
}

fn read(row: &Row) -> Result<CarrierCall, StoreError> {
    Ok(CarrierCall {
        id: row.get("id")?,
        organisation: row.get("organisation_id")?,
        configuration: row.get("configuration_id")?,
        call: row.get("carrier_call_id")?,
    })
}

const SELECT: &str = "SELECT id, organisation_id, configuration_id, carrier_call_id FROM calls \
                      WHERE carrier_call_id IS NOT NULL AND configuration_id IS NOT NULL";

impl Store {
    /// Our id of a carrier's call, if the log knows it.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn call_at_carrier(
        &self,
        configuration: ConfigurationId,
        call: &str,
    ) -> Result<Option<Uuid>, StoreError> {
        let query = Query::new(
            "SELECT id FROM calls WHERE configuration_id = $1 AND carrier_call_id = $2 LIMIT 1",
        );
        let row = self.fetch_optional(query.bind(configuration).bind(call)).await?;
        row.map(|row| row.get("id")).transpose()
    }

    /// Our ids of the calls of a configuration that are not over, whichever node has them.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn calls_left_by(
        &self,
        configuration: ConfigurationId,
    ) -> Result<Vec<Uuid>, StoreError> {
        let query =
            Query::new("SELECT id FROM calls WHERE configuration_id = $1 AND ended_at IS NULL");
        let rows = self.fetch_all(query.bind(configuration)).await?;
        rows.iter().map(|row| row.get("id")).collect()
    }

    /// How a carrier has a call of ours, if one does.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn carrier_call(&self, call: Uuid) -> Result<Option<CarrierCall>, StoreError> {
        let query = Query::new(SELECT).push(" AND id = ").push_bind(call);
        self.fetch_optional(query).await?.as_ref().map(read).transpose()
    }

    /// Up to `limit` answered calls of a node that carriers had, that ended after `after` and no
    /// later than `until`, and whose price is not known.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn unpriced_calls(
        &self,
        node: NodeId,
        (after, until): (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Vec<CarrierCall>, StoreError> {
        let query = Query::new(SELECT).push(" AND currency IS NULL AND answered_at IS NOT NULL");
        let query = query.push(" AND ended_at > ").push_bind(after);
        let query = query.push(" AND ended_at <= ").push_bind(until);
        let query = query.push(" AND node_id = ").push_bind(node);
        let query = query.push(" ORDER BY ended_at LIMIT ").push_bind(limit);
        self.fetch_all(query).await?.iter().map(read).collect()
    }
}
