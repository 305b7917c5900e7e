//! Configurations of carriers that calls could not be placed by a moment ago. Calls that may go by
//! others go by these first, so that not each of them waits for a carrier that is out of order;
//! after a while the next call tries again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use media::time::MonoTime;
use uuid::Uuid;

use crate::carrier::Account;

/// For how long a configuration stands back after its first failure; doubles with each that
/// follows.
const BACK_MIN: Duration = Duration::from_secs(15);
/// The longest time for which it does.
const BACK_MAX: Duration = Duration::from_secs(300);

/// The configurations that stand back.
#[derive(Debug, Default)]
pub(in crate::calls::control) struct Shunned(HashMap<Uuid, Back>);

/// Until when one does.
#[derive(Clone, Copy, Debug)]
struct Back {
    until: MonoTime,
    /// How long the next time lasts.
    next: Duration,
}

impl Shunned {
    /// A call could not be placed by a configuration.
    pub(super) fn failed(&mut self, now: MonoTime, id: Uuid) {
        // Who has worked, or was not asked, for long enough begins anew: the table stays small.
        self.0.retain(|_, back| back.until + BACK_MAX > now);
        let back = self.0.entry(id).or_insert(Back { until: now, next: BACK_MIN });
        // Calls that failed together are one failure.
        if back.until <= now {
            back.until = now + back.next;
            back.next = (back.next * 2).min(BACK_MAX);
        }
    }

    /// A call was placed by it.
    pub(super) fn worked(&mut self, id: Uuid) {
        self.0.remove(&id);
    }

    fn stands_back(&self, now: MonoTime, id: Uuid) -> bool {
        self.0.get(&id).is_some_and(|back| back.until > now)
    }

    /// Puts those that stand back behind the others; all else stays in its order.
    pub(super) fn order(
        &self,
        now: MonoTime,
        accounts: Vec<Arc<Account>>,
    ) -> VecDeque<Arc<Account>> {
        let back = |account: &Arc<Account>| self.stands_back(now, account.id);
        let (last, mut first): (Vec<_>, VecDeque<_>) = {
            let (last, first): (Vec<_>, Vec<_>) = accounts.into_iter().partition(back);
            (last, first.into())
        };
        first.extend(last);
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> MonoTime {
        MonoTime::from_nanos(seconds * 1_000_000_000)
    }

    /// One that fails stands back, longer each time, up to a limit; many failures at once are one;
    /// a call that works ends it, and so does time.
    #[test]
    fn who_fails_stands_back() {
        let (mut shunned, id) = (Shunned::default(), Uuid::from_u128(1));
        let mut now = 10;
        for seconds in [15, 30, 60, 120, 240, 300, 300] {
            (0..50).for_each(|_| shunned.failed(at(now), id));
            assert!(shunned.stands_back(at(now + seconds - 1), id), "{seconds}");
            assert!(!shunned.stands_back(at(now + seconds), id), "{seconds}");
            assert!(!shunned.stands_back(at(now), Uuid::nil()));
            now += seconds;
        }
        shunned.worked(id);
        shunned.failed(at(now), id);
        assert!(!shunned.stands_back(at(now + 15), id), "from the beginning");
        shunned.failed(at(now + 1_000), Uuid::from_u128(2));
        assert_eq!(shunned.0.len(), 1, "who failed long ago is forgotten");
    }
}
