//! Asks what calls cost: carriers know that late.

use std::time::Duration;

use adapters::event::{CallEvent, CallFact, CarrierCallId};
use uuid::Uuid;

use super::{Account, Exchanges, Patience};
use crate::calls::log::{LogHandle, from_carrier};

/// When the carrier is asked, in seconds after the one before; it rates calls in its own time.
const ASK_AFTER_S: [u64; 5] = [30, 90, 480, 3_000, 18_000];

/// Asks the carrier of `call` for its price until there is one, and tells the log of it.
///
/// A price that comes by a hook meanwhile is the same fact.
pub async fn follow(
    exchanges: Exchanges,
    account: std::sync::Arc<Account>,
    call: (Uuid, CarrierCallId),
    log: LogHandle,
) {
    let Some(cost) = account.spec.calls.cost else { return };
    let (id, carrier_id) = call;
    for wait_s in ASK_AFTER_S {
        tokio::time::sleep(Duration::from_secs(wait_s)).await;
        let Ok(op) = cost(&account.config, &carrier_id) else { return };
        match exchanges.run(&account, "cost", op, Patience::SHORT).await {
            Ok(Some(price)) => {
                let what = CallFact::Priced(price);
                let event = CallEvent { call: carrier_id, id: None, at_unix_ms: None, what };
                if let Some(fact) = from_carrier(id, &event, crate::store::Timestamp::now().0) {
                    log.tell(fact);
                }
                return;
            }
            Ok(None) => {}
            Err(failure) if failure.error.is_retryable() => {}
            Err(failure) => {
                return tracing::info!(call = %id, %failure, "the price is not known");
            }
        }
    }
}
