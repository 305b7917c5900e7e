//! How long the calls of an organisation have talked, and what they cost.

use std::time::Duration;

use super::calls::rate_of;
use super::id::{NodeId, OrganisationId, Timestamp};
use super::sql::Query;
use super::{Store, StoreError};
use crate::quota::amount::{Amount, Currency};
use crate::quota::budget::Spent;
use crate::quota::credit::Expense;
use crate::quota::rates::Rate;

/// What calls of other servers may cost is counted until so much later, as they go on until it is
/// asked for again.
const AHEAD: Duration = Duration::from_secs(10);

/// What a call talks counts up to a month, in milliseconds: carriers tell how long their calls
/// were, and sums of whatever they say could be more than a column holds.
const CALL_MS_MAX: i64 = 31 * 24 * 3_600 * 1_000;

impl Store {
    /// How long the calls of an organisation have talked since these beginnings of a day and of a
    /// month, and how many talk at `now`. A call counts where it began.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn spent(
        &self,
        organisation: OrganisationId,
        (day, month): (Timestamp, Timestamp),
        now: Timestamp,
    ) -> Result<Spent, StoreError> {
        let over = "SELECT CAST(COALESCE(SUM(CASE WHEN duration_ms > $3 THEN $3 \
                    ELSE duration_ms END), 0) AS BIGINT) AS talked FROM calls \
                    WHERE organisation_id = $1 AND created_at >= $2 AND ended_at IS NOT NULL";
        let talked = async |since: Timestamp| {
            let query = Query::new(over).bind(organisation).bind(since).bind(CALL_MS_MAX);
            self.fetch_one(query).await?.get::<i64>("talked")
        };
        let (day_ms, month_ms) = (talked(day).await?, talked(month).await?);
        let query = Query::new(
            "SELECT created_at, answered_at FROM calls WHERE organisation_id = $1 \
             AND ended_at IS NULL AND answered_at IS NOT NULL AND created_at >= $2",
        );
        let rows = self.fetch_all(query.bind(organisation).bind(month)).await?;
        let (mut living_day, mut living_month) = (Duration::ZERO, Duration::ZERO);
        for row in &rows {
            let began: Timestamp = row.get("created_at")?;
            let answered: Timestamp = row.get("answered_at")?;
            let talked = micros(now.0.saturating_sub(answered.0));
            living_month += talked;
            // One that goes on over midnight is of the day before, as it is once it is over.
            if began >= day {
                living_day += talked;
            }
        }
        Ok(Spent {
            a_day: micros(day_ms.saturating_mul(1_000)) + living_day,
            a_month: micros(month_ms.saturating_mul(1_000)) + living_month,
            talking: u32::try_from(rows.len()).unwrap_or(u32::MAX),
        })
    }
}

impl Store {
    /// What the calls of an organisation that are over have cost in a currency since these
    /// beginnings of a day and of a month: what their carriers say, or else what they cost by the
    /// table of rates; and what those may cost that live at other servers than `node`. A call
    /// counts where it began, and what is told in another currency not at all.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn expense(
        &self,
        (organisation, currency): (OrganisationId, Currency),
        (day, month): (Timestamp, Timestamp),
        now: Timestamp,
        node: NodeId,
    ) -> Result<Expense, StoreError> {
        // Units and what is beside them are added up apart: together they could be more than a
        // column holds, and nothing of any organisation would be known any more.
        let over = "SELECT CAST(COALESCE(SUM(cost / 1000000), 0) AS BIGINT) AS units, \
                    CAST(COALESCE(SUM(cost % 1000000), 0) AS BIGINT) AS micros FROM (SELECT CASE \
                    WHEN currency = $3 AND cost_micros IS NOT NULL THEN cost_micros \
                    WHEN estimate_currency = $3 THEN estimate_micros ELSE 0 END AS cost \
                    FROM calls WHERE organisation_id = $1 AND created_at >= $2 \
                    AND ended_at IS NOT NULL) AS costs";
        let cost = async |since: Timestamp| {
            let query = Query::new(over).bind(organisation).bind(since).bind(currency.as_str());
            let row = self.fetch_one(query).await?;
            let (units, micros) = (row.get::<i64>("units")?, row.get::<i64>("micros")?);
            Ok::<_, StoreError>(
                Amount::of_stored(units.saturating_mul(1_000_000)).plus(Amount::of_stored(micros)),
            )
        };
        let (a_day, a_month) = (cost(day).await?, cost(month).await?);
        let query = Query::new(
            "SELECT answered_at, summary FROM calls WHERE organisation_id = $1 \
             AND ended_at IS NULL AND created_at >= $2 AND (node_id IS NULL OR node_id <> $3)",
        );
        let rows = self.fetch_all(query.bind(organisation).bind(month).bind(node)).await?;
        let mut elsewhere = Amount::ZERO;
        for row in &rows {
            let rate = rate_of(row)?.filter(|rate: &Rate| rate.currency == currency);
            let answered: Option<Timestamp> = row.get("answered_at")?;
            let talked = answered.map(|at| micros(now.after(AHEAD).0.saturating_sub(at.0)));
            let cost = rate.map(|rate| rate.charge(talked.unwrap_or_default()));
            elsewhere = elsewhere.plus(cost.unwrap_or_default());
        }
        Ok(Expense { a_day, a_month, elsewhere })
    }
}

fn micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
