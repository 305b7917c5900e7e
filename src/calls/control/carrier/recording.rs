//! Recordings that carriers make.

use std::sync::Arc;

use adapters::op::Record;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Control;
use crate::calls::control::transferring::is_talking;
use crate::calls::request::RequestError;
use crate::carrier::Patience;

impl Control {
    /// Lets the carrier of a call record it, or stop. That the recording is there is told by the
    /// carrier later.
    pub(in crate::calls::control) fn record_at_carrier(
        &self,
        call: Uuid,
        on: bool,
        reply: oneshot::Sender<Result<(), RequestError>>,
    ) {
        // Whoever asked may have gone, here and below.
        let (account, record) = match self.carrier_records(call, on) {
            Ok(found) => found,
            Err(error) => return drop(reply.send(Err(error))),
        };
        let key = self.by_id.get(&call).copied();
        let exchanges = key.map_or_else(|| self.exchanges.clone(), |key| self.exchanges_of(key));
        self.io.spawn(async move {
            let result =
                match account.spec.calls.record.map(|begin| begin(&account.config, &record)) {
                    Some(Ok(op)) => exchanges.run(&account, "record", op, Patience::SHORT).await,
                    Some(Err(error)) => Err(error.into()),
                    None => return,
                };
            let result = result.map_err(|failure| {
                tracing::warn!(%call, %failure, "the carrier does not record");
                RequestError::State("the carrier refused it")
            });
            let _ = reply.send(result);
        });
    }

    fn carrier_records(
        &self,
        call: Uuid,
        on: bool,
    ) -> Result<(Arc<crate::carrier::Account>, Record), RequestError> {
        let call = self.by_id.get(&call).and_then(|key| self.calls.get(key));
        let call = call.ok_or(RequestError::NoSuchCall)?;
        if !is_talking(call) {
            return Err(RequestError::State("the call is not answered"));
        }
        let leg = call.carrier.as_ref().filter(|leg| leg.account.spec.calls.record.is_some());
        let leg = leg.ok_or(RequestError::State("the call has no carrier that records"))?;
        let id = leg.id.clone();
        let id = id.ok_or(RequestError::State("the carrier has not told its id of the call"))?;
        let hooks = leg.account.hooks(&self.base_url).of_call(&call.id.to_string());
        Ok((Arc::clone(&leg.account), Record { call: id, on, hooks }))
    }
}
