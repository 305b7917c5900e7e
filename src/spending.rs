//! Looks after what organisations may spend: minutes and money of a day and of a month.
//!
//! The log of calls says what was spent, whatever server had the calls; so nothing is forgotten
//! when one ends. It is asked again and again, and the call control is told who has spent all,
//! whose calls have to end soon, and how much money is left.

use std::time::{Duration, Instant};

use jiff::tz::TimeZone;

use crate::calls::log::LogHandle;
use crate::calls::request::{Handle, Request};
use crate::quota::budget::{Budgets, Standing};
use crate::quota::credit::{Cap, Expense};
use crate::quota::{Gone, Limit};
use crate::store::organisations::Organisation;
use crate::store::{NodeId, Store, StoreError, Timestamp};

/// How often is asked what was spent.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often while no organisation has a budget, unless one gets it.
const UNSET_LOOK_EVERY: Duration = Duration::from_secs(60);
/// The database does nothing else for this share of the time at most: one of so many.
const SHARE: u32 = 20;
/// A call that has to end is told so long before, however little is left.
const LEFT_MIN: Duration = Duration::from_secs(15);

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Spending {
    /// Organisations, and the log of calls.
    pub store: Store,
    /// Which node this is.
    pub node: NodeId,
    /// What calls tell.
    pub log: LogHandle,
    /// The call control.
    pub calls: Handle,
}

impl Spending {
    /// Tells the call control how budgets stand, for as long as the server runs.
    pub async fn watch(self) {
        let mut changes = self.store.changes();
        loop {
            changes.mark_unchanged();
            let began = Instant::now();
            let looked = self.look(Timestamp::now()).await;
            let is_set = !matches!(looked, Ok(None));
            match looked {
                Ok(budgets) => {
                    let budgets = Box::new(budgets.unwrap_or_default());
                    self.calls.send(Request::Budgets(budgets)).await;
                }
                Err(error) => tracing::warn!(%error, "what was spent is not known"),
            }
            tokio::time::sleep(began.elapsed() * SHARE).await;
            let pause = if is_set { LOOK_EVERY } else { UNSET_LOOK_EVERY };
            // An error is of a store that is being closed.
            let _ = tokio::time::timeout(pause, changes.changed()).await;
        }
    }

    /// How budgets stand; nothing if there are none.
    async fn look(&self, now: Timestamp) -> Result<Option<Budgets>, StoreError> {
        let organisations = self.store.organisations().await?;
        let is_set = |one: &Organisation| one.budget().is_set() || cap(one).is_some();
        let with: Vec<Organisation> = organisations.into_iter().filter(is_set).collect();
        if with.is_empty() {
            return Ok(None);
        }
        let mut budgets = Budgets { mark: self.mark(&with).await, ..Budgets::default() };
        for organisation in with {
            self.talked(&organisation, now, &mut budgets).await?;
            if let Some(cap) = cap(&organisation) {
                let expense = expense(&self.store, self.node, &organisation, &cap, now).await?;
                budgets.owe(organisation.id.0, cap.balance(&expense));
            }
        }
        Ok(Some(budgets))
    }

    /// A mark, such that what was settled before it is in the log; none is needed where nobody may
    /// spend so much money.
    async fn mark(&self, organisations: &[Organisation]) -> u64 {
        if organisations.iter().all(|one| cap(one).is_none()) {
            return 0;
        }
        let mark = self.calls.ask(|reply| Request::Mark { reply }).await;
        // What is not written yet is still known by the control, so that the mark does not count.
        if self.log.flush().await { mark.unwrap_or_default() } else { 0 }
    }

    /// Minutes.
    async fn talked(
        &self,
        organisation: &Organisation,
        now: Timestamp,
        budgets: &mut Budgets,
    ) -> Result<(), StoreError> {
        let (id, budget) = (organisation.id, organisation.budget());
        if !budget.is_set() {
            return Ok(());
        }
        let spent = self.store.spent(id, beginnings(now), now).await?;
        match budget.standing(&spent) {
            Standing::Enough => {}
            Standing::Short(left) => budgets.short.push((id.0, left.max(LEFT_MIN))),
            Standing::Gone(minutes) => {
                let gone = Gone { limit: Limit::Minutes, bound: minutes };
                budgets.gone.insert(id.0, gone);
                budgets.short.push((id.0, LEFT_MIN));
            }
        }
        Ok(())
    }
}

/// How much money an organisation may spend, if that is limited.
fn cap(organisation: &Organisation) -> Option<Cap> {
    organisation.cap().filter(Cap::is_set)
}

/// What the calls of an organisation have cost in this day and month, in the currency of its cap.
///
/// # Errors
///
/// If the database cannot be reached.
pub async fn expense(
    store: &Store,
    node: NodeId,
    organisation: &Organisation,
    cap: &Cap,
    now: Timestamp,
) -> Result<Expense, StoreError> {
    store.expense((organisation.id, cap.currency), beginnings(now), now, node).await
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
