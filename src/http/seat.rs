//! A listener's seat at a call.

use uuid::Uuid;

use super::streams::Place;
use crate::calls::request::{Handle, Listening, Request, RequestError};

/// A listener's seat at a call, until it is dropped. It is there before it is asked for: whoever
/// goes away at any moment, be it between the answer and its arrival, keeps none.
#[derive(Debug)]
pub(super) struct Seat {
    calls: Handle,
    call: Uuid,
    listener: Uuid,
    _room: Place,
}

impl Seat {
    /// Asks for a seat. `None` if the control has ended.
    pub(super) async fn take(
        calls: &Handle,
        call: Uuid,
        room: Place,
    ) -> Option<Result<(Self, Listening), RequestError>> {
        let listener = Uuid::now_v7();
        let seat = Self { calls: calls.clone(), call, listener, _room: room };
        let listening = calls.ask(|reply| Request::Listen { call, listener, reply }).await?;
        Some(listening.map(|listening| (seat, listening)))
    }

    /// The call.
    pub(super) const fn call(&self) -> Uuid {
        self.call
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let (calls, call, listener) = (self.calls.clone(), self.call, self.listener);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                calls.send(Request::Unlisten { call, listener }).await;
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use media::ring::frame_ring;
    use media::time::MonoTime;

    use super::super::streams::Streams;
    use super::*;
    use crate::store::OrganisationId;

    /// A request that is dropped behind its answer, before that has arrived, gives its seat back.
    #[tokio::test]
    async fn a_dropped_request_keeps_no_seat() {
        let (calls, mut requests) = Handle::pair(4);
        let (call, rooms) = (Uuid::now_v7(), Streams::default());
        let room = rooms.take(OrganisationId(Uuid::now_v7())).unwrap();
        {
            let mut taking = pin!(Seat::take(&calls, call, room));
            let waits = poll_fn(|cx| Poll::Ready(taking.as_mut().poll(cx).is_pending())).await;
            assert!(waits);
            let Some(Request::Listen { call: of, reply, .. }) = requests.recv().await else {
                panic!("nobody asks for a seat")
            };
            assert_eq!(of, call);
            let (_, frames) = frame_ring(1, 1);
            let began = MonoTime::ZERO;
            let listening = Listening { frames, rate_hz: 8_000, began };
            assert!(reply.send(Ok(listening)).is_ok(), "the request still waits");
        }
        let Some(Request::Unlisten { call: of, .. }) = requests.recv().await else {
            panic!("the seat is kept")
        };
        assert_eq!(of, call);
    }
}
