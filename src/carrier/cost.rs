//! Asks what calls cost: carriers know that late.
//!
//! Which calls are to be asked for follows from the log alone, so that a server that was started
//! anew goes on where the one before was.

use std::sync::Arc;
use std::time::Duration;

use adapters::event::{CallEvent, CallFact, CarrierCallId};
use tokio::task::JoinSet;

use super::{Account, Exchanges, Patience};
use crate::calls::log::{LogHandle, from_carrier};
use crate::directory::Directory;
use crate::store::carrier_calls::CarrierCall;
use crate::store::{NodeId, Store, StoreError, Timestamp};

/// When a carrier is asked, in seconds after the end of the call; it rates calls in its own time.
const ASK_AFTER_S: [u64; 5] = [30, 120, 600, 3_600, 21_600];
/// How often it is looked whether somebody is to be asked, in milliseconds.
const LOOK_EVERY_MS: u64 = 60_000;
/// Calls that are asked for at one look and of one age.
const CALLS_MAX: u32 = 2_000;
/// Requests that are under way at once.
const ASKED_MAX: usize = 8;

/// Asks for prices.
#[derive(Clone, Debug)]
pub struct Pricing {
    /// Where calls without a price are found.
    pub store: Store,
    /// The node whose calls they are.
    pub node: NodeId,
    /// The configurations that calls went by.
    pub directory: Directory,
    /// Asks carriers.
    pub exchanges: Exchanges,
    /// Is told of prices.
    pub log: LogHandle,
}

impl Pricing {
    /// Asks the carriers of calls that are over for their prices until they tell, for some hours.
    ///
    /// A price that comes by a hook meanwhile is the same fact.
    pub async fn follow(self) {
        let mut looked = None;
        loop {
            let now = Timestamp::now();
            match self.due(looked, now).await {
                Ok(calls) => {
                    looked = Some(now);
                    self.ask(calls).await;
                }
                Err(error) => tracing::warn!(%error, "calls without a price cannot be looked for"),
            }
            tokio::time::sleep(Duration::from_millis(LOOK_EVERY_MS)).await;
        }
    }

    /// The calls whose carriers are to be asked now.
    async fn due(
        &self,
        looked: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Vec<CarrierCall>, StoreError> {
        let mut due = Vec::new();
        for ended in ages(looked, now) {
            due.extend(self.store.unpriced_calls(self.node, ended, CALLS_MAX).await?);
        }
        Ok(due)
    }

    async fn ask(&self, calls: Vec<CarrierCall>) {
        let mut asked = JoinSet::new();
        for call in calls {
            let account = self.directory.load().carriers().of_call(call.configuration.0).cloned();
            let Some(account) = account else { continue };
            if asked.len() >= ASKED_MAX {
                asked.join_next().await;
            }
            asked.spawn(ask(self.exchanges.clone(), self.log.clone(), account, call));
        }
        while asked.join_next().await.is_some() {}
    }
}

/// Between which times calls ended whose carriers are to be asked now, after the look before. A
/// server that begins asks for all whose time may have come while there was none.
fn ages(looked: Option<Timestamp>, now: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    let ago = |from: Timestamp, seconds| from.before(Duration::from_secs(seconds));
    let Some(looked) = looked else {
        let first = ASK_AFTER_S.first().copied().unwrap_or_default();
        let last = ASK_AFTER_S.last().copied().unwrap_or_default();
        return vec![(ago(now, last), ago(now, first))];
    };
    ASK_AFTER_S.iter().map(|seconds| (ago(looked, *seconds), ago(now, *seconds))).collect()
}

/// Asks the carrier of one call.
async fn ask(exchanges: Exchanges, log: LogHandle, account: Arc<Account>, call: CarrierCall) {
    let Some(cost) = account.spec.calls.cost else { return };
    let carrier_id = CarrierCallId(call.call);
    let Ok(op) = cost(&account.config, &carrier_id) else { return };
    match exchanges.run(&account, "cost", op, Patience::SHORT).await {
        Ok(Some(price)) => {
            let what = CallFact::Priced(price);
            let event = CallEvent { call: carrier_id, id: None, at_unix_ms: None, what };
            if let Some(fact) = from_carrier(call.id, &event, Timestamp::now().0) {
                log.tell(fact);
            }
        }
        Ok(None) => {}
        Err(failure) => tracing::info!(call = %call.id, %failure, "the price is not known"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    /// Looked at again and again, each call comes at each of its times once and at no other; a
    /// server that begins asks for all that may have been missed.
    #[test]
    fn each_call_has_its_times() {
        let ended = at(100_000);
        let (mut looked, mut asked) = (Some(at(99_990)), Vec::new());
        for now in (99_997..125_000).step_by(7) {
            let now = at(now);
            let times = ages(looked, now);
            let due = times.iter().filter(|(after, until)| ended > *after && ended <= *until);
            asked.extend(due.map(|_| (now.0 - ended.0) / 1_000_000));
            looked = Some(now);
        }
        assert_eq!(asked.len(), ASK_AFTER_S.len());
        for (asked, due) in asked.iter().zip(ASK_AFTER_S) {
            let due = i64::try_from(due).unwrap();
            assert!((due..due + 7).contains(asked), "{asked} after {due}");
        }
        assert_eq!(ages(None, at(100_000)), [(at(78_400), at(99_970))]);
    }
}
