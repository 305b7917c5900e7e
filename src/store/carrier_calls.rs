//! Calls as carriers have them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use adapters::agent::Direction;
use serde::Deserialize;
use uuid::{Builder, Uuid};

use super::id::{ConfigurationId, NodeId, OrganisationId, Timestamp};
use super::row::Row;
use super::sql::Query;
use super::{Store, StoreError};
use crate::calls::cause::Cause;
use crate::calls::log::{Source, direction_from_word};

/// Calls handed over that are looked for: the control keeps no more.
const HANDED_OVER_MAX: u32 = 16_384;

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

/// A call that its carrier has connected with somebody else.
#[derive(Clone, PartialEq, Eq)]
pub struct HandedOver {
    /// Our id of it.
    pub id: Uuid,
    /// The configuration that it came or went by.
    pub configuration: ConfigurationId,
    /// The carrier's id of it.
    pub call: String,
    /// Who called whom.
    pub direction: Direction,
    /// Our number on it.
    pub number: String,
    /// When it was over for us.
    pub ended_at: Timestamp,
    /// The transfer that has connected it.
    pub transfer: Option<Uuid>,
    /// The number that the other was called from, if it was named.
    pub leg_from: Option<String>,
    /// How long after its end for us it may go on, if that was written down.
    pub held: Option<Duration>,
}

/// Without the numbers: they are somebody's.
impl fmt::Debug for HandedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandedOver")
            .field("id", &self.id)
            .field("configuration", &self.configuration)
            .field("transfer", &self.transfer)
            .finish_non_exhaustive()
    }
}

/// What is read of the fact that a call is over.
#[derive(Deserialize)]
struct EndedFact {
    held_ms: Option<u64>,
}

fn read_handed_over(row: &Row) -> Result<HandedOver, StoreError> {
    let direction = row.parse("direction", direction_from_word)?;
    let number = match direction {
        Direction::Inbound => "to_number",
        Direction::Outbound => "from_number",
    };
    let ended: Option<String> = row.get("ended")?;
    let ended = ended.and_then(|text| serde_json::from_str::<EndedFact>(&text).ok());
    let options: Option<String> = row.get("options")?;
    let options = options.and_then(|text| serde_json::from_str::<BTreeMap<_, _>>(&text).ok());
    Ok(HandedOver {
        id: row.get("id")?,
        configuration: row.get("configuration_id")?,
        call: row.get("carrier_call_id")?,
        direction,
        number: row.get(number)?,
        ended_at: row.get("ended_at")?,
        transfer: row.get("transfer_id")?,
        leg_from: options.and_then(|mut options: BTreeMap<String, String>| options.remove("from")),
        held: ended.and_then(|ended| ended.held_ms).map(Duration::from_millis),
    })
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

    /// The calls of a node, or of all, that carriers have connected with somebody else and whose
    /// end they have not told. It must have come `longest` after that at the latest: of older ones
    /// nothing is said.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn handed_over(
        &self,
        node: Option<NodeId>,
        now: Timestamp,
        longest: Duration,
    ) -> Result<Vec<HandedOver>, StoreError> {
        let after = now.before(longest);
        // Ids grow with the time: a call that ended since then began no longer before.
        let first_ms = after.before(longest).unix_s().saturating_mul(1_000);
        let first = Builder::from_unix_timestamp_millis(first_ms, &[0; 10]).into_uuid();
        let query = Query::new(
            "SELECT c.id AS id, c.configuration_id AS configuration_id, \
             c.carrier_call_id AS carrier_call_id, c.direction AS direction, \
             c.from_number AS from_number, c.to_number AS to_number, c.ended_at AS ended_at, \
             t.id AS transfer_id, t.options AS options, (SELECT n.data FROM call_events n \
             WHERE n.call_id = c.id AND n.source = $6 AND n.kind = $5 ORDER BY n.id LIMIT 1) \
             AS ended FROM calls c LEFT JOIN transfers t \
             ON t.id = (SELECT l.id FROM transfers l WHERE l.call_id = c.id \
             ORDER BY l.id DESC LIMIT 1) WHERE c.id >= $1 AND c.ended_at > $2 \
             AND c.cause = $3 AND c.carrier_call_id IS NOT NULL \
             AND c.configuration_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM call_events e \
             WHERE e.call_id = c.id AND e.source = $4 AND e.kind = $5)",
        );
        let query = query.bind(first).bind(after);
        let query = query.bind(Cause::Transferred.as_str()).bind(Source::Carrier.as_str());
        let mut query = query.bind("ended").bind(Source::Node.as_str());
        if let Some(node) = node {
            query = query.push(" AND c.node_id = ").push_bind(node);
        }
        let query = query.push(" ORDER BY c.ended_at DESC LIMIT ").push_bind(HANDED_OVER_MAX);
        self.fetch_all(query).await?.iter().map(read_handed_over).collect()
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
