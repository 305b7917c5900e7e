//! People who listen in on a call.

use tokio::sync::oneshot;
use uuid::Uuid;

use super::Control;
use crate::calls::live::DEFAULT_FORMAT;
use crate::calls::request::{Listening, RequestError};
use crate::recording;
use crate::workers::command::Command;
use crate::workers::poller::now;

/// People who may listen to one call at once.
const LISTENERS_PER_CALL_MAX: usize = 4;

impl Control {
    /// Somebody wants to listen in.
    pub(super) fn listen_for(
        &mut self,
        call: Uuid,
        listener: Uuid,
        reply: oneshot::Sender<Result<Listening, RequestError>>,
    ) {
        // Whoever asked says, too, that nobody listens any more: also if the answer never arrives.
        drop(reply.send(self.listen(call, listener)));
    }

    /// Somebody listens in from now on.
    fn listen(&mut self, id: Uuid, listener: Uuid) -> Result<Listening, RequestError> {
        let key = *self.by_id.get(&id).ok_or(RequestError::NoSuchCall)?;
        let call = self.calls.get_mut(&key).filter(|call| call.ended.is_none());
        let call = call.ok_or(RequestError::State("the call is over"))?;
        if call.listeners.len() >= LISTENERS_PER_CALL_MAX {
            return Err(RequestError::State("as many listen to the call as may"));
        }
        let peer = call.format.unwrap_or(DEFAULT_FORMAT).audio;
        let rate_hz = recording::rate_hz(peer);
        let (mut head, frames) = recording::head(rate_hz, peer);
        let (began, worker) = (now(), call.worker);
        head.begin(began);
        call.listeners.push(listener);
        tracing::info!(parent: &call.span, %listener, "somebody listens in");
        let head = Some(Box::new(head));
        self.command(worker, Command::Listen { call: key, listener, head });
        Ok(Listening { frames, rate_hz, began })
    }

    /// Somebody listens no longer.
    pub(super) fn unlisten(&mut self, id: Uuid, listener: Uuid) {
        let Some(&key) = self.by_id.get(&id) else { return };
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(at) = call.listeners.iter().position(|other| *other == listener) else { return };
        call.listeners.remove(at);
        tracing::info!(parent: &call.span, %listener, "somebody listens no longer");
        let worker = call.worker;
        self.command(worker, Command::Listen { call: key, listener, head: None });
    }
}
