//! Provisional responses that must arrive, sent by the callee (RFC 3262 3).

use std::collections::VecDeque;

use bytes::Bytes;
use media::time::MonoTime;

use super::Endpoint;
use super::body::sdp_of;
use super::call::State;
use super::event::{CommandError, DialogId, End, Event};
use super::extensions::{RELIABLE, lists};
use super::flow::Flow;
use super::receive::NO_DIALOG;
use super::table::Handle;
use super::transactions::Reply;
use super::uas::body_refusal;
use super::within::OK;
use crate::sip::core::headers::{HeaderName, RAck};
use crate::sip::core::message::Message;
use crate::sip::core::method::Method;
use crate::sip::core::transaction::Clock;
use crate::sip::core::validate::Refusal;

/// Reliable responses that wait for the one before to be acknowledged.
const QUEUE_MAX: usize = 4;
/// First numbers are below this (RFC 3262 3).
const FIRST_RSEQ_BOUND: u64 = (1 << 31) - 1;

/// How a call treats reliable provisional responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reliability {
    /// They are neither sent nor asked for.
    Off,
    /// They are sent if the caller demands it, or supports it and a description is sent; as a
    /// caller we support them.
    #[default]
    Supported,
    /// They are sent if the caller supports it; as a caller we demand it.
    Required,
}

/// A reliable response.
struct Numbered {
    rseq: u32,
    status: u16,
    bytes: Bytes,
    /// It has a description.
    described: bool,
}

/// The reliable responses to one INVITE.
pub(super) struct Reliable {
    /// Number of the INVITE.
    cseq: u32,
    next: u32,
    /// Status of the latest.
    status: u16,
    reply: Reply,
    /// The one that waits for its PRACK, and when it is sent again or given up.
    pending: Option<Numbered>,
    clock: Clock,
    queue: VecDeque<Numbered>,
    /// One with a description has been sent or is about to be.
    described: bool,
    /// The 2xx that waits for the PRACK of a description.
    held: Option<Bytes>,
}

impl Reliable {
    pub(super) fn deadline(&self) -> MonoTime {
        self.clock.deadline()
    }

    /// Whether a 2xx has to wait (RFC 3262 3).
    fn holds(&self) -> bool {
        self.pending.iter().chain(&self.queue).any(|numbered| numbered.described)
    }
}

impl Endpoint {
    /// Says how a call that came in treats reliable provisional responses.
    ///
    /// # Errors
    /// [`CommandError::NoSuchCall`].
    pub fn set_reliability(
        &mut self,
        dialog: DialogId,
        reliability: Reliability,
    ) -> Result<(), CommandError> {
        let call = self.calls.get_mut(dialog.0).ok_or(CommandError::NoSuchCall)?;
        call.reliability = reliability;
        Ok(())
    }

    /// Whether the next provisional response to this INVITE is to be reliable.
    pub(super) fn is_reliable(&self, handle: Handle, server: Handle, described: bool) -> bool {
        let Some(call) = self.calls.get(handle) else { return false };
        let Some(txn) = self.servers.get(server) else { return false };
        let Some(request) = &txn.request else { return false };
        if !self.tags.contains(&RELIABLE) {
            return false;
        }
        let supported = lists(request, HeaderName::Supported, RELIABLE);
        let required = lists(request, HeaderName::Require, RELIABLE);
        match call.reliability {
            Reliability::Off => false,
            Reliability::Supported => required || (supported && described),
            Reliability::Required => required || supported,
        }
    }

    /// Sends a provisional response reliably, or after those that wait.
    pub(super) fn provide(
        &mut self,
        now: MonoTime,
        handle: Handle,
        server: Handle,
        status: u16,
        write: impl FnOnce(&Self, &str) -> Result<Bytes, CommandError>,
        described: bool,
    ) -> Result<(), CommandError> {
        let first = 1 + u32::try_from(self.ids.below(FIRST_RSEQ_BOUND - 1)).unwrap_or(0);
        let txn = self.servers.get(server).ok_or(CommandError::State)?;
        let (reply, request) = (txn.reply, txn.request.as_ref());
        let cseq = request.and_then(|r| r.cseq().ok()).map_or(0, |cseq| cseq.number);
        let call = self.calls.get(handle).ok_or(CommandError::NoSuchCall)?;
        let state = call.reliable.as_ref();
        if state.is_some_and(|state| state.queue.len() >= QUEUE_MAX) {
            return Err(CommandError::Busy);
        }
        let rseq = state.map_or(first, |state| state.next);
        let bytes = write(self, &rseq.to_string())?;
        let call = self.calls.get_mut(handle).ok_or(CommandError::NoSuchCall)?;
        let state = call.reliable.get_or_insert_with(|| {
            Box::new(Reliable {
                cseq,
                next: rseq,
                status,
                reply,
                pending: None,
                clock: Clock::IDLE,
                queue: VecDeque::new(),
                described: false,
                held: None,
            })
        });
        state.next = rseq.wrapping_add(1).max(1);
        state.status = status;
        state.described |= described;
        state.queue.push_back(Numbered { rseq, status, bytes, described });
        self.provide_next(now, handle);
        Ok(())
    }

    /// Says again that the call is under way: a new response, for a copy would be dropped.
    pub(super) fn repeat_reliably(&mut self, now: MonoTime, handle: Handle) {
        let state = self.calls.get(handle).and_then(|call| call.reliable.as_ref());
        let Some(status) = state.map(|state| state.status) else { return };
        // If one waits already, that is enough.
        let dialog = DialogId(handle);
        let _ = self.provisional(now, dialog, status, reason_of(status), None, &[]);
    }

    /// Sends what waits, one at a time (RFC 3262 3).
    fn provide_next(&mut self, now: MonoTime, handle: Handle) {
        let timers = self.config.timers;
        let Some(call) = self.calls.get_mut(handle) else { return };
        let server = call.server;
        let Some(state) = call.reliable.as_mut().filter(|state| state.pending.is_none()) else {
            return;
        };
        let (Some(server), Some(numbered)) = (server, state.queue.pop_front()) else { return };
        state.clock = Clock { expire_at: now + timers.limit(), ..Clock::IDLE };
        // Also over a reliable transport: there may be others on the path.
        state.clock.resend_after(now, timers.t1, false);
        let (status, bytes) = (numbered.status, numbered.bytes.clone());
        state.pending = Some(numbered);
        self.respond(now, server, status, bytes);
        self.arm_call(handle);
    }

    /// A reliable response is sent again, or given up: then the call is refused.
    pub(super) fn reliable_due(&mut self, now: MonoTime, handle: Handle) {
        let Some(call) = self.calls.get_mut(handle).filter(|c| c.state == State::Incoming) else {
            return;
        };
        let server = call.server;
        let Some(state) = call.reliable.as_mut() else { return };
        let Some(pending) = &state.pending else { return };
        if now >= state.clock.expire_at {
            if let Some(server) = server {
                self.respond_with(now, server, 500, "PRACK Missing", |_, response, _| response);
            }
            self.tell_end(handle, |dialog| Event::Ended { dialog, cause: End::PrackTimeout });
            return self.remove_call(now, handle);
        }
        if now >= state.clock.resend_at {
            let (reply, bytes) = (state.reply, pending.bytes.clone());
            state.clock.resend_again(now, state.clock.interval * 2);
            self.counters.retransmitted += 1;
            self.send_reply(reply, bytes);
        }
    }

    /// Whether the callee's description has gone out in a reliable response already.
    pub(super) fn is_described(&self, handle: Handle) -> bool {
        let state = self.calls.get(handle).and_then(|call| call.reliable.as_ref());
        state.is_some_and(|state| state.described)
    }

    /// Whether a 2xx waits already.
    pub(super) fn is_held(&self, handle: Handle) -> bool {
        let state = self.calls.get(handle).and_then(|call| call.reliable.as_ref());
        state.is_some_and(|state| state.held.is_some())
    }

    /// Keeps a 2xx until the description that went before it is acknowledged. Gives it back if
    /// there is nothing to wait for.
    pub(super) fn hold(&mut self, handle: Handle, bytes: Bytes) -> Option<Bytes> {
        let state = self.calls.get_mut(handle).and_then(|call| call.reliable.as_mut());
        match state.filter(|state| state.holds()) {
            Some(state) => {
                state.held = Some(bytes);
                None
            }
            None => Some(bytes),
        }
    }

    /// Sends what has waited for a PRACK.
    pub(super) fn release(&mut self, now: MonoTime, handle: Handle) {
        self.provide_next(now, handle);
        let Some(call) = self.calls.get_mut(handle) else { return };
        let (server, asked, state) = (call.server, call.asked, call.reliable.as_mut());
        let Some(state) = state.filter(|state| !state.holds()) else { return };
        // A 2xx waits for what a PRACK has offered, too.
        if asked.is_some() {
            return;
        }
        if let (Some(server), Some(bytes)) = (server, state.held.take()) {
            self.send_answer(now, handle, server, bytes);
        }
    }

    /// PRACK within a call (RFC 3262 3).
    pub(super) fn handle_prack(
        &mut self,
        now: MonoTime,
        flow: Flow,
        handle: Handle,
        prack: &Message,
    ) {
        let rack = prack.header(HeaderName::RAck).and_then(|text| RAck::parse(text).ok());
        let Some(call) = self.calls.get_mut(handle) else { return };
        let (tag, offered) = (call.tag, call.offered);
        let matches = |state: &&mut Box<Reliable>| {
            rack.as_ref().is_some_and(|rack| {
                rack.cseq.method == Method::Invite
                    && rack.cseq.number == state.cseq
                    && state.pending.as_ref().is_some_and(|p| p.rseq == rack.rseq)
            })
        };
        let Some(state) = call.reliable.as_mut().filter(matches) else {
            return self.respond_once(now, flow, prack, tag, &NO_DIALOG);
        };
        let described = state.pending.as_ref().is_some_and(|pending| pending.described);
        let sdp = match sdp_of(prack) {
            Ok(sdp) => sdp,
            Err(error) => return self.respond_once(now, flow, prack, tag, &body_refusal(error)),
        };
        if described && !offered && sdp.is_none() {
            let missing = Refusal::new(400, "Missing Answer");
            return self.respond_once(now, flow, prack, tag, &missing);
        }
        state.pending = None;
        state.clock = Clock::IDLE;
        call.settled |= described;
        match sdp {
            // What the offer of an INVITE and its answer have settled is changed.
            Some(offer) if offered || !described => match self.early_collision(handle, prack) {
                None => self.begin_early_change(now, flow, handle, prack, offer),
                Some(refusal) => self.respond_once(now, flow, prack, tag, &refusal),
            },
            answer => {
                self.respond_once(now, flow, prack, tag, &OK);
                self.events.push_back(Event::Pracked { dialog: DialogId(handle), answer });
            }
        }
        self.release(now, handle);
    }
}

/// The reason phrase of a provisional response (RFC 3261 21.1).
const fn reason_of(status: u16) -> &'static str {
    match status {
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        _ => "Session Progress",
    }
}
