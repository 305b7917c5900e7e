//! Minutes that an organisation may talk in a day and in a month, and how budgets stand.

use std::collections::HashMap;
use std::time::Duration;

use uuid::Uuid;

use super::credit::Balance;
use super::{Gone, Limit};

/// Most minutes of a budget.
pub const MINUTES_MAX: i64 = 1_000_000_000;

/// What an organisation may spend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Minutes of a day, in UTC.
    pub a_day: Option<u32>,
    /// Minutes of a month, in UTC.
    pub a_month: Option<u32>,
}

/// What it has spent so far, calls that live among it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Since the day began.
    pub a_day: Duration,
    /// Since the month began.
    pub a_month: Duration,
    /// Calls that talk.
    pub talking: u32,
}

/// How a budget stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is enough.
    Enough,
    /// It is used up so soon if all who talk go on.
    Short(Duration),
    /// It is used up: so many minutes.
    Gone(u32),
}

/// How the budgets of organisations stand, minutes and money.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    /// Those that have spent all of one.
    pub gone: HashMap<Uuid, Gone>,
    /// Those whose calls have to end, and when.
    pub short: Vec<(Uuid, Duration)>,
    /// What those have left that may spend so much money.
    pub balances: HashMap<Uuid, Balance>,
    /// What calls cost that were settled before this mark is in the balances.
    pub mark: u64,
}

impl Budgets {
    /// An organisation has so much money left.
    pub fn owe(&mut self, organisation: Uuid, balance: Balance) {
        self.balances.insert(organisation, balance);
        if balance.left.micros() == 0 {
            let gone = Gone { limit: Limit::Money, bound: balance.cap.hundredths() };
            self.gone.entry(organisation).or_insert(gone);
        }
    }
}

/// Calls are told of their end so long before.
pub const WARNING: Duration = Duration::from_secs(60);

impl Budget {
    /// Whether there is any.
    pub const fn is_set(&self) -> bool {
        self.a_day.is_some() || self.a_month.is_some()
    }

    /// How it stands.
    pub fn standing(&self, spent: &Spent) -> Standing {
        let left = |minutes: Option<u32>, spent: Duration| {
            let all = Duration::from_secs(u64::from(minutes?) * 60);
            Some((all.saturating_sub(spent), minutes?))
        };
        let both = [left(self.a_day, spent.a_day), left(self.a_month, spent.a_month)];
        let Some((left, minutes)) = both.into_iter().flatten().min() else {
            return Standing::Enough;
        };
        if left.is_zero() {
            return Standing::Gone(minutes);
        }
        let each = left / spent.talking.max(1);
        if spent.talking > 0 && each <= WARNING { Standing::Short(each) } else { Standing::Enough }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(minutes * 60)
    }

    /// The narrower of day and month decides; the more talk, the sooner it is used up; and who has
    /// no budget has enough.
    #[test]
    fn budgets_stand() {
        let budget = Budget { a_day: Some(10), a_month: Some(100) };
        let spent =
            |day, month, talking| Spent { a_day: minutes(day), a_month: minutes(month), talking };
        for (spent, expected) in [
            (spent(0, 0, 0), Standing::Enough),
            (spent(9, 9, 0), Standing::Enough),
            (spent(9, 9, 1), Standing::Short(minutes(1))),
            (spent(8, 8, 4), Standing::Short(minutes(1) / 2)),
            (spent(8, 8, 1), Standing::Enough),
            (spent(10, 10, 3), Standing::Gone(10)),
            (spent(11, 11, 0), Standing::Gone(10)),
            (spent(0, 100, 0), Standing::Gone(100)),
            (spent(5, 98, 2), Standing::Short(minutes(1))),
        ] {
            assert_eq!(budget.standing(&spent), expected, "{spent:?}");
        }
        let none = Budget::default();
        assert!(!none.is_set() && none.standing(&spent(9, 9, 9)) == Standing::Enough);
        assert_eq!(Budget { a_day: Some(0), ..none }.standing(&spent(0, 0, 0)), Standing::Gone(0));
    }
}
