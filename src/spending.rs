//! Looks after what organisations may spend: minutes of a day and of a month.
//!
//! The log of calls says what was spent, whatever server had the calls; so nothing is forgotten
//! when one ends. It is asked again and again, and the call control is told who has spent all, and
//! whose calls have to end soon.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::calls::request::{Handle, Request};
use crate::quota::budget::Standing;
use crate::store::{Store, StoreError, Timestamp};

/// How often is asked what was spent.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often while no organisation has a budget, unless one gets it.
const UNSET_LOOK_EVERY: Duration = Duration::from_secs(60);
/// The database does nothing else for this share of the time at most: one of so many.
const SHARE: u32 = 20;
/// A call that has to end is told so long before, however little is left.
const LEFT_MIN: Duration = Duration::from_secs(15);

/// Tells the call control how budgets stand, for as long as the server runs.
pub async fn watch(store: Store, calls: Handle) {
    let mut changes = store.changes();
    loop {
        changes.mark_unchanged();
        let began = Instant::now();
        let mut is_set = true;
        match look(&store, Timestamp::now()).await {
            Ok(Some((spent, short))) => calls.send(Request::Spent { spent, short }).await,
            Ok(None) => {
                is_set = false;
                calls.send(Request::Spent { spent: Gone::new(), short: Short::new() }).await;
            }
            Err(error) => tracing::warn!(%error, "what was spent is not known"),
        }
        tokio::time::sleep(LOOK_EVERY.max(began.elapsed() * SHARE)).await;
        if !is_set {
            // An error is of a store that is being closed.
            let _ = tokio::time::timeout(UNSET_LOOK_EVERY, changes.changed()).await;
        }
    }
}

/// Organisations that have spent all, and how many minutes that is.
type Gone = HashMap<Uuid, u32>;
/// Organisations whose calls have to end, and when.
type Short = Vec<(Uuid, Duration)>;

/// How budgets stand; nothing if there are none.
async fn look(store: &Store, now: Timestamp) -> Result<Option<(Gone, Short)>, StoreError> {
    let (mut gone, mut short, mut is_set) = (Gone::new(), Short::new(), false);
    for organisation in store.organisations().await? {
        let budget = organisation.budget();
        if !budget.is_set() {
            continue;
        }
        is_set = true;
        let spent = store.spent(organisation.id, beginnings(now), now).await?;
        match budget.standing(&spent) {
            Standing::Enough => {}
            Standing::Short(left) => short.push((organisation.id.0, left.max(LEFT_MIN))),
            Standing::Gone(minutes) => {
                gone.insert(organisation.id.0, minutes);
                short.push((organisation.id.0, LEFT_MIN));
            }
        }
    }
    Ok(is_set.then_some((gone, short)))
}

/// When the day and the month of this time began, in UTC.
fn beginnings(now: Timestamp) -> (Timestamp, Timestamp) {
    let at = jiff::Timestamp::from_microsecond(now.0).unwrap_or_default();
    let day = at.to_zoned(TimeZone::UTC).date();
    let begin = |date: jiff::civil::Date| {
        let begin = date.to_zoned(TimeZone::UTC).map(|begin| begin.timestamp().as_microsecond());
        Timestamp(begin.unwrap_or(now.0))
    };
    (begin(day), begin(day.first_of_month()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Days and months begin at midnight, in UTC.
    #[test]
    fn days_begin_at_midnight() {
        let at = |text| Timestamp::parse(text).unwrap();
        let (day, month) = beginnings(at("2026-11-22T08:15:30.250Z"));
        assert_eq!((day, month), (at("2026-11-22T00:00:00Z"), at("2026-11-01T00:00:00Z")));
        assert_eq!(beginnings(month), (month, month));
    }
}
