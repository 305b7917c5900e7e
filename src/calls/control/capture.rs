//! Captures of calls.

use std::net::SocketAddr;

use super::Control;
use crate::calls::request::RequestError;
use crate::capture::{self, Dialog, Message};
use crate::carrier::Exchanges;
use crate::sip::core::endpoint::Flow;
use crate::workers::command::{CallKey, Command};
use crate::workers::poller::now;

impl Control {
    /// Takes a SIP message, if any call is or may be captured.
    pub(super) fn capture_message(&self, incoming: bool, flow: &Flow, bytes: &[u8]) {
        let Ok(mut captures) = self.captures.lock() else { return };
        if captures.is_armed() {
            captures.message(Message {
                at: now(),
                incoming,
                transport: flow.transport.as_str(),
                local: flow.local,
                peer: flow.peer,
                bytes: bytes.to_vec(),
            });
        }
    }

    /// The call begins: captures it if its route or agent want that, or else its trunk.
    pub(super) fn capture_from_start(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(&key) else { return };
        let by_trunk = call.trunk.as_ref().is_some_and(|trunk| trunk.capture);
        if call.keep.capture.unwrap_or(by_trunk) {
            // Without room the call goes on without.
            let _ = self.start_capture(key);
        }
    }

    /// Begins the capture of a call, unless it has begun.
    pub(super) fn start_capture(&mut self, key: CallKey) -> Result<(), RequestError> {
        let call = self.calls.get(&key).filter(|call| call.ended.is_none());
        let call = call.ok_or(RequestError::NoSuchCall)?;
        if call.captured {
            return Ok(());
        }
        if call.carrier.is_some() {
            return self.capture_at_carrier(key);
        }
        let named = call.dialog.and_then(|dialog| self.endpoint.opening_of(dialog));
        let none = RequestError::State("the call has no SIP or RTP with its peer");
        let (tag, invite) = named.ok_or(none)?;
        let invite = invite.map(|(invite, peer)| (invite.bytes().as_ref(), peer));
        let dialog = Dialog { tag: &tag, invite };
        let rtp = SocketAddr::new(call.media.address, call.media.port);
        let rtcp = SocketAddr::new(call.media.address, call.media.port.saturating_add(1));
        let (head, ring) = capture::head();
        let ids = (call.id, call.agent.organisation);
        let Ok(mut captures) = self.captures.lock() else { return Err(RequestError::Full) };
        if let Err(error) = captures.begin(now(), ids, dialog, ring, (rtp, rtcp)) {
            tracing::warn!(parent: &call.span, %error, "the call is not captured");
            return Err(RequestError::Full);
        }
        drop(captures);
        tracing::info!(parent: &call.span, "capture");
        let worker = call.worker;
        if let Some(call) = self.calls.get_mut(&key) {
            call.captured = true;
        }
        self.command(worker, Command::Capture { call: key, head: Box::new(head) });
        Ok(())
    }

    /// The peer of a call is in another dialog now, or sought in one: its messages belong to the
    /// call.
    pub(super) fn capture_goes_on(&self, key: CallKey) {
        let Some(call) = self.calls.get(&key).filter(|call| call.captured) else { return };
        let named = call.dialog.and_then(|dialog| self.endpoint.opening_of(dialog));
        if let (Some((tag, _)), Ok(mut captures)) = (named, self.captures.lock()) {
            captures.goes_on(call.id, &tag);
        }
    }

    /// Begins the capture of a call that a carrier controls over HTTP.
    fn capture_at_carrier(&mut self, key: CallKey) -> Result<(), RequestError> {
        let Some(call) = self.calls.get_mut(&key) else { return Err(RequestError::NoSuchCall) };
        let Ok(mut captures) = self.captures.lock() else { return Err(RequestError::Full) };
        let ids = (call.id, call.agent.organisation);
        if let Err(error) = captures.begin_at_carrier(now(), ids) {
            tracing::warn!(parent: &call.span, %error, "the call is not captured");
            return Err(RequestError::Full);
        }
        drop(captures);
        tracing::info!(parent: &call.span, "capture");
        call.captured = true;
        self.capture_known(key);
        Ok(())
    }

    /// The carrier has told what it calls a call: its requests may name it so.
    pub(super) fn capture_known(&self, key: CallKey) {
        let Some(call) = self.calls.get(&key).filter(|call| call.captured) else { return };
        let Some(leg) = call.carrier.as_ref() else { return };
        if let (Some(id), Ok(mut captures)) = (&leg.id, self.captures.lock()) {
            captures.known_as(call.id, leg.account.id, &id.0);
        }
    }

    /// Asks carriers on a call's behalf: what is asked is among its messages if it is captured.
    pub(super) fn exchanges_of(&self, key: CallKey) -> Exchanges {
        match self.calls.get(&key).filter(|call| call.captured) {
            Some(call) => self.exchanges.of_call(call.id, &self.captures),
            None => self.exchanges.clone(),
        }
    }

    /// The call is over; its capture is kept until others need the room.
    pub(super) fn end_capture(&self, call: uuid::Uuid) {
        if let Ok(mut captures) = self.captures.lock() {
            captures.end(call, now());
        }
    }
}
