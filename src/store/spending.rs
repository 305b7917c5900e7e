//! How long the calls of an organisation have talked.

use std::time::Duration;

use super::id::{OrganisationId, Timestamp};
use super::sql::Query;
use super::{Store, StoreError};
use crate::quota::budget::Spent;

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
        let over = "SELECT CAST(COALESCE(SUM(duration_ms), 0) AS BIGINT) AS talked FROM calls \
                    WHERE organisation_id = $1 AND created_at >= $2 AND ended_at IS NOT NULL";
        let talked = async |since: Timestamp| {
            let row = self.fetch_one(Query::new(over).bind(organisation).bind(since)).await?;
            row.get::<i64>("talked")
        };
        let (day_ms, month_ms) = (talked(day).await?, talked(month).await?);
        let query = Query::new(
            "SELECT answered_at FROM calls WHERE organisation_id = $1 AND ended_at IS NULL \
             AND answered_at IS NOT NULL AND created_at >= $2",
        );
        let rows = self.fetch_all(query.bind(organisation).bind(month)).await?;
        let mut living = Duration::ZERO;
        for row in &rows {
            let answered: Timestamp = row.get("answered_at")?;
            living += micros(now.0.saturating_sub(answered.0));
        }
        Ok(Spent {
            a_day: micros(day_ms.saturating_mul(1_000)) + living,
            a_month: micros(month_ms.saturating_mul(1_000)) + living,
            talking: u32::try_from(rows.len()).unwrap_or(u32::MAX),
        })
    }
}

fn micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
