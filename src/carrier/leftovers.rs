//! Calls that nobody holds any more: their server was killed. At some carriers they go on in
//! silence, and are paid for.

use adapters::event::{CallFact, CarrierCallId};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Exchanges, Patience};
use crate::calls::log::{LogHandle, from_carrier};
use crate::directory::Directory;
use crate::store::carrier_calls::CarrierCall;
use crate::store::{Store, Timestamp};

/// Ends what was left behind.
#[derive(Clone, Debug)]
pub struct Leftovers {
    /// Tells what carriers call a call.
    pub store: Store,
    /// The configurations that calls went by.
    pub directory: Directory,
    /// Asks carriers.
    pub exchanges: Exchanges,
    /// Is told what they know of the end.
    pub log: LogHandle,
}

impl Leftovers {
    /// Asks the carriers of calls that were lost how they stand, and ends them there unless they
    /// are over.
    pub async fn follow(self, mut lost: mpsc::Receiver<Uuid>) {
        while let Some(call) = lost.recv().await {
            match self.store.carrier_call(call).await {
                Ok(Some(call)) => {
                    // One after the other would let the last wait for the slowest.
                    tokio::spawn(self.clone().end(call));
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%call, %error, "is it left at a carrier?"),
            }
        }
    }

    async fn end(self, call: CarrierCall) {
        let account = self.directory.load().carriers().of_call(call.configuration.0).cloned();
        let Some(account) = account else { return };
        let (calls, id) = (&account.spec.calls, CarrierCallId(call.call));
        if let Some(Ok(op)) = calls.status.map(|status| status(&account.config, &id))
            && let Ok(events) = self.exchanges.run(&account, "status", op, Patience::SHORT).await
        {
            for event in events.iter().filter(|event| event.call == id) {
                if let Some(fact) = from_carrier(call.id, event, Timestamp::now().0) {
                    self.log.tell(fact);
                }
                if matches!(event.what, CallFact::Ended(_)) {
                    return;
                }
            }
        }
        let Some(Ok(op)) = calls.hangup.map(|hangup| hangup(&account.config, &id)) else { return };
        let ended = self.exchanges.run(&account, "hangup", op, Patience::LONG).await;
        match ended {
            Ok(()) => tracing::info!(call = %call.id, "ended at its carrier, where it was left"),
            Err(failure) => tracing::warn!(call = %call.id, %failure, "left at its carrier"),
        }
    }
}
