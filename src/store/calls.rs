//! Calls, as their facts add up to them.

use adapters::agent::{Direction, EndedBy};
use adapters::event::{AnsweredBy, Price};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::id::{ConfigurationId, NodeId, OrganisationId, Timestamp};
use super::row::Row;
use super::sql::Query;
use super::{Store, StoreError, Tx};
use crate::calls::cause::Cause;
use crate::calls::log::{
    AtCarrier, Estimate, QualitySummary, State, Summary, direction_from_word, direction_word,
};
use crate::quota::amount::{Amount, Currency, UNITS_MAX};
use crate::quota::rates::Rate;

/// A call, living or over.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRecord {
    /// Names it.
    pub id: Uuid,
    /// Whose it is.
    pub organisation: OrganisationId,
    /// The node that holds it, or held it.
    pub node: Option<NodeId>,
    /// Facts of it were lost.
    pub is_incomplete: bool,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// What its facts add up to; its beginning is known.
    pub summary: Summary,
}

/// Which calls are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// In one of these states; in any if there is none.
    pub states: Vec<State>,
    /// Those that are over, or those that are not.
    pub is_over: Option<bool>,
    /// Who called whom.
    pub direction: Option<Direction>,
    /// The calling address.
    pub from: Option<String>,
    /// The called address.
    pub to: Option<String>,
    /// Name of the agent.
    pub agent: Option<String>,
    /// Name of the trunk.
    pub trunk: Option<String>,
    /// The configuration.
    pub configuration: Option<ConfigurationId>,
    /// Began at this time or later.
    pub from_time: Option<Timestamp>,
    /// Began before this time.
    pub until_time: Option<Timestamp>,
    /// Only what comes after this call, as lists are ordered.
    pub after: Option<Uuid>,
}

/// What of a call is in no column of its own.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Extra {
    /// As the carrier wrote it; the column is rounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_by: Option<AnsweredBy>,
    /// What it costs by the table of rates.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<Rate>,
}

/// What a living call costs, by what is stored with it in `summary`.
pub(super) fn rate_of(row: &Row) -> Result<Option<Rate>, StoreError> {
    let extra = word(row, "summary", |text| serde_json::from_str::<Extra>(text).ok())?;
    Ok(extra.and_then(|extra| extra.rate))
}

/// Millionths of a decimal number; `None` if it is none, or too large.
fn micros(amount: &str) -> Option<i64> {
    const PLACES: usize = 6;
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let kept: String = fraction.chars().chain(std::iter::repeat('0')).take(PLACES).collect();
    let whole = whole.parse().ok().filter(|units: &u64| *units <= UNITS_MAX)?;
    i64::try_from(whole * 1_000_000 + kept.parse::<u64>().ok()?).ok()
}

const SELECT: &str = "SELECT id, organisation_id, node_id, direction, state, from_number, \
                      to_number, agent, trunk, configuration_id, provider, carrier_call_id, \
                      cause, ended_by, sip_code, q850, reason, created_at, queued_at, ringing_at, answered_at, ended_at, \
                      updated_at, duration_ms, billed_s, currency, estimate_micros, \
                      estimate_currency, quality, summary, \
                      is_incomplete FROM calls";

fn unsigned<T: TryFrom<i64>>(row: &Row, name: &'static str) -> Result<Option<T>, StoreError> {
    let value: Option<i64> = row.get(name)?;
    let value = value.map(T::try_from).transpose();
    value.map_err(|_| StoreError::Corrupt { what: name })
}

fn word<T>(
    row: &Row,
    name: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    let text: Option<String> = row.get(name)?;
    let Some(text) = text else { return Ok(None) };
    parse(&text).map(Some).ok_or(StoreError::Corrupt { what: name })
}

fn read(row: &Row) -> Result<CallRecord, StoreError> {
    use crate::calls::log::{Began, Stamps};
    let organisation: OrganisationId = row.get("organisation_id")?;
    let at = |name| row.get::<Option<Timestamp>>(name).map(|at| at.map(|at| at.0));
    let configuration: Option<ConfigurationId> = row.get("configuration_id")?;
    let agent: Option<String> = row.get("agent")?;
    let extra = word(row, "summary", |text| serde_json::from_str::<Extra>(text).ok())?;
    let extra = extra.unwrap_or_default();
    let currency: Option<String> = row.get("currency")?;
    let cost = extra.amount.zip(currency);
    let provider: Option<String> = row.get("provider")?;
    let carrier_call: Option<String> = row.get("carrier_call_id")?;
    let carrier = provider.zip(carrier_call);
    let summary = Summary {
        began: Some(Began {
            organisation: organisation.0,
            direction: row.parse("direction", direction_from_word)?,
            from: row.get("from_number")?,
            to: row.get("to_number")?,
            trunk: row.get("trunk")?,
            agent: agent.clone().unwrap_or_default(),
            configuration: configuration.map(|id| id.0),
        }),
        agent,
        state: row.parse("state", State::from_word)?,
        stamps: Stamps {
            initiated_us: at("created_at")?,
            queued_us: at("queued_at")?,
            ringing_us: at("ringing_at")?,
            answered_us: at("answered_at")?,
            ended_us: at("ended_at")?,
        },
        cause: word(row, "cause", Cause::from_word)?,
        ended_by: word(row, "ended_by", EndedBy::from_word)?,
        sip_status: unsigned(row, "sip_code")?,
        q850: unsigned(row, "q850")?,
        reason: row.get("reason")?,
        duration_ms: unsigned(row, "duration_ms")?,
        billed_s: unsigned(row, "billed_s")?,
        cost: cost.map(|(amount, currency)| Price { amount, currency }),
        estimate: estimate(row)?,
        rate: extra.rate,
        answered_by: extra.answered_by,
        quality: word(row, "quality", |text| serde_json::from_str::<QualitySummary>(text).ok())?,
        carrier: carrier.map(|(provider, call)| AtCarrier { provider, call }),
    };
    Ok(CallRecord {
        id: row.get("id")?,
        organisation,
        node: row.get("node_id")?,
        is_incomplete: row.get("is_incomplete")?,
        updated_at: row.get("updated_at")?,
        summary,
    })
}

/// What a call costs by the table of rates.
fn estimate(row: &Row) -> Result<Option<Estimate>, StoreError> {
    let amount: Option<i64> = row.get("estimate_micros")?;
    let currency = word(row, "estimate_currency", |text| Currency::parse(text).ok())?;
    let estimate = amount.map(Amount::of_stored).zip(currency);
    Ok(estimate.map(|(amount, currency)| Estimate { amount, currency }))
}

/// Text of a value as JSON; nothing if there is none.
fn json<T: Serialize>(value: Option<&T>) -> Option<String> {
    value.and_then(|value| serde_json::to_string(value).ok())
}

const WRITE: &str = "INSERT INTO calls (id, organisation_id, node_id, direction, state, \
    from_number, to_number, agent, trunk, configuration_id, cause, ended_by, sip_code, q850, \
    reason, created_at, queued_at, ringing_at, answered_at, ended_at, updated_at, duration_ms, \
    billed_s, cost_micros, currency, quality, summary, provider, carrier_call_id, \
    is_incomplete, estimate_micros, estimate_currency) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
    $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32) \
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, agent = excluded.agent, \
    from_number = excluded.from_number, \
    trunk = excluded.trunk, configuration_id = excluded.configuration_id, \
    cause = excluded.cause, ended_by = excluded.ended_by, sip_code = excluded.sip_code, \
    q850 = excluded.q850, reason = excluded.reason, created_at = excluded.created_at, \
    queued_at = excluded.queued_at, ringing_at = excluded.ringing_at, \
    answered_at = excluded.answered_at, ended_at = excluded.ended_at, \
    updated_at = excluded.updated_at, duration_ms = excluded.duration_ms, \
    billed_s = excluded.billed_s, cost_micros = excluded.cost_micros, \
    estimate_micros = excluded.estimate_micros, \
    estimate_currency = excluded.estimate_currency, \
    currency = excluded.currency, quality = excluded.quality, summary = excluded.summary, \
    provider = excluded.provider, carrier_call_id = excluded.carrier_call_id, \
    is_incomplete = calls.is_incomplete OR excluded.is_incomplete";

/// Writes a call as it is now known. One that was once incomplete stays so.
///
/// # Errors
///
/// [`StoreError::Corrupt`] if nothing is known of its beginning, or if the database cannot be
/// reached.
pub async fn write(tx: &mut Tx, call: &CallRecord) -> Result<(), StoreError> {
    let summary = &call.summary;
    let began = summary.began.as_ref().ok_or(StoreError::Corrupt { what: "call" })?;
    let stamps = &summary.stamps;
    let signed = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok());
    let extra = Extra {
        amount: summary.cost.as_ref().map(|cost| cost.amount.clone()),
        answered_by: summary.answered_by,
        rate: summary.rate,
    };
    let query = Query::new(WRITE).bind(call.id).bind(call.organisation).bind(call.node);
    let query = query.bind(direction_word(began.direction)).bind(summary.state.as_str());
    let query = query.bind(&began.from).bind(&began.to).bind(summary.agent.clone());
    let query = query.bind(began.trunk.clone()).bind(began.configuration);
    let query = query.bind(summary.cause.map(Cause::as_str));
    let query = query.bind(summary.ended_by.map(EndedBy::as_str));
    let query = query.bind(summary.sip_status.map(i64::from)).bind(summary.q850.map(i64::from));
    let query = query.bind(summary.reason.clone());
    let query = query.bind(stamps.initiated_us.unwrap_or_default()).bind(stamps.queued_us);
    let query = query.bind(stamps.ringing_us).bind(stamps.answered_us).bind(stamps.ended_us);
    let query = query.bind(call.updated_at).bind(signed(summary.duration_ms));
    let query = query.bind(signed(summary.billed_s));
    let query = query.bind(summary.cost.as_ref().and_then(|cost| micros(&cost.amount)));
    let query = query.bind(summary.cost.as_ref().map(|cost| cost.currency.clone()));
    let query = query.bind(json(summary.quality.as_ref())).bind(json(Some(&extra)));
    let carrier = summary.carrier.as_ref();
    let query = query.bind(carrier.map(|carrier| carrier.provider.clone()));
    let query = query.bind(carrier.map(|carrier| carrier.call.clone()));
    let query = query.bind(call.is_incomplete);
    let query = query.bind(summary.estimate.map(|it| it.amount.stored()));
    let currency = summary.estimate.map(|it| it.currency.to_string());
    tx.execute(query.bind(currency)).await?;
    Ok(())
}

impl Store {
    /// One call of an organisation.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if it has none of this id.
    pub async fn call(
        &self,
        organisation: OrganisationId,
        id: Uuid,
    ) -> Result<CallRecord, StoreError> {
        let query = Query::new(SELECT).push(" WHERE organisation_id = ").push_bind(organisation);
        read(&self.fetch_one(query.push(" AND id = ").push_bind(id)).await?)
    }

    /// Up to `limit` calls of an organisation, the latest first.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn calls(
        &self,
        organisation: OrganisationId,
        filter: &CallFilter,
        limit: u32,
    ) -> Result<Vec<CallRecord>, StoreError> {
        let mut filter = filter.clone();
        let mut query =
            Query::new(SELECT).push(" WHERE organisation_id = ").push_bind(organisation);
        if let Some(after) = filter.after {
            let found = self.call(organisation, after).await;
            let at = match found {
                Ok(found) => found.summary.stamps.initiated_us.unwrap_or_default(),
                // Nothing comes after what is not there.
                Err(StoreError::NotFound) => return Ok(Vec::new()),
                Err(error) => return Err(error),
            };
            query = query.push(" AND (created_at, id) < (").push_bind(at);
            query = query.push(", ").push_bind(after).push(")");
            // A later bound is true of all that follows, and would only make SQLite begin to read
            // there: the deeper the page, the longer it would take.
            filter.until_time = filter.until_time.filter(|until| until.0 <= at);
        }
        query = narrowed(query, &filter);
        let query = query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(limit);
        self.fetch_all(query).await?.iter().map(read).collect()
    }

    /// How many calls of an organisation are not over.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn living_calls(&self, organisation: OrganisationId) -> Result<i64, StoreError> {
        let query = Query::new(
            "SELECT COUNT(*) AS living FROM calls WHERE organisation_id = $1 AND ended_at IS NULL",
        );
        self.fetch_one(query.bind(organisation)).await?.get("living")
    }

    /// Up to `limit` calls that are not over and whose node does not live.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn abandoned_calls(&self, limit: u32) -> Result<Vec<Uuid>, StoreError> {
        let query = Query::new(
            "SELECT id FROM calls WHERE ended_at IS NULL AND node_id NOT IN \
             (SELECT id FROM nodes WHERE stopped_at IS NULL) ORDER BY id LIMIT $1",
        );
        let rows = self.fetch_all(query.bind(limit)).await?;
        rows.iter().map(|row| row.get("id")).collect()
    }

    /// How many calls of a node that began before `before` are not over.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn count_open_calls(
        &self,
        node: NodeId,
        before: Timestamp,
    ) -> Result<u64, StoreError> {
        let query = Query::new(
            "SELECT count(*) AS found FROM calls WHERE ended_at IS NULL AND node_id = $1 \
             AND created_at < $2",
        );
        let row = self.fetch_one(query.bind(node).bind(before)).await?;
        Ok(row.get::<i64>("found")?.unsigned_abs())
    }

    /// Up to `limit` calls of a node that began before `before` and are not over, those behind
    /// `after` in the order of their ids; of all nodes if none is named.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn open_calls(
        &self,
        node: Option<NodeId>,
        before: Timestamp,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Uuid>, StoreError> {
        let query = Query::new("SELECT id FROM calls WHERE ended_at IS NULL AND created_at < ");
        let mut query = query.push_bind(before);
        if let Some(node) = node {
            query = query.push(" AND node_id = ").push_bind(node);
        }
        if let Some(after) = after {
            query = query.push(" AND id > ").push_bind(after);
        }
        let rows = self.fetch_all(query.push(" ORDER BY id LIMIT ").push_bind(limit)).await?;
        rows.iter().map(|row| row.get("id")).collect()
    }
}

fn narrowed(mut query: Query, filter: &CallFilter) -> Query {
    for (index, state) in filter.states.iter().enumerate() {
        query = query.push(if index == 0 { " AND state IN (" } else { ", " });
        query = query.push_bind(state.as_str());
    }
    if !filter.states.is_empty() {
        query = query.push(")");
    }
    match filter.is_over {
        Some(true) => query = query.push(" AND ended_at IS NOT NULL"),
        Some(false) => query = query.push(" AND ended_at IS NULL"),
        None => {}
    }
    if let Some(direction) = filter.direction {
        query = query.push(" AND direction = ").push_bind(direction_word(direction));
    }
    for (text, value) in [
        (" AND from_number = ", &filter.from),
        (" AND to_number = ", &filter.to),
        (" AND agent = ", &filter.agent),
        (" AND trunk = ", &filter.trunk),
    ] {
        if let Some(value) = value {
            query = query.push(text).push_bind(value);
        }
    }
    if let Some(configuration) = filter.configuration {
        query = query.push(" AND configuration_id = ").push_bind(configuration);
    }
    if let Some(from) = filter.from_time {
        query = query.push(" AND created_at >= ").push_bind(from);
    }
    if let Some(until) = filter.until_time {
        query = query.push(" AND created_at < ").push_bind(until);
    }
    query
}

#[cfg(test)]
mod tests {
    use super::micros;

    /// Amounts are decimal numbers without sign; more places than six are cut.
    #[test]
    fn amounts_in_millionths() {
        for (amount, expected) in [
            ("0.0125", Some(12_500)),
            ("12", Some(12_000_000)),
            ("0.00000049", Some(0)),
            ("1.2345678", Some(1_234_567)),
            ("-1", None),
            ("1,5", None),
            ("", None),
            (".5", None),
            ("1000000000.5", Some(1_000_000_000_500_000)),
            ("1000000001", None),
            ("99999999999999", None),
        ] {
            assert_eq!(micros(amount), expected, "{amount}");
        }
    }
}
