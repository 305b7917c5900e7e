//! Calls that their carrier hands over: it connects the caller with the destination, or calls the
//! destination apart and joins the two.
//!
//! What the carrier takes away from us is not over: while it does, the end of the stream ends
//! nothing, and an agent that leaves keeps nobody from being connected.

use std::sync::Arc;
use std::time::Duration;

use adapters::address::{Address, AddressKind};
use adapters::agent::Direction;
use adapters::event::{CarrierCallId, TransferState};
use adapters::exchange::CarrierError;
use adapters::op::{Op, Transfer, TransferKind};
use uuid::Uuid;

use super::{Control, SOCKET_MS};
use crate::calls::call::Input as CallInput;
use crate::calls::carrier::{CarrierLeg, transfer_cause};
use crate::calls::cause::Cause;
use crate::calls::live::LiveCall;
use crate::calls::request::{HandedOver, HandingStep, Request};
use crate::calls::transfer::{Aim, BRIDGE_LIMIT, Destination, Input, TransferError};
use crate::carrier::{Failure, Patience};
use crate::quota::Way;
use crate::workers::command::CallKey;
use crate::workers::poller::now;

/// How long the failure of a transfer that was given up may take to be told, in milliseconds.
const STALE_MS: u64 = 5_000;
/// Why a transfer failed, where the carrier says that it did and no more.
const UNREACHED: &str = "unreached";

/// The request that begins a transfer; it yields the leg that is called apart, if one is.
pub(in crate::calls::control) type BeginOp = Box<dyn Op<Option<CarrierCallId>>>;

/// How a carrier is asked to hand a call over.
pub(in crate::calls::control) struct ByCarrier {
    /// What is wanted of it.
    pub(in crate::calls::control) wanted: Transfer,
    /// How long it lets the destination ring.
    pub(in crate::calls::control) rings: Duration,
    /// The request.
    pub(in crate::calls::control) op: BeginOp,
}

impl Control {
    /// How the carrier of a call is asked to hand it over; none if it is not the carrier that does.
    pub(in crate::calls::control) fn by_carrier(
        &mut self,
        key: CallKey,
        (to, aim): (&Destination, &Aim),
        limit: Duration,
        headers: &[(String, String)],
    ) -> Result<Option<ByCarrier>, TransferError> {
        let call = self.calls.get(&key).ok_or(TransferError::NotAnswered)?;
        let Some(leg) = call.carrier.as_ref() else { return Ok(None) };
        let Some(kind) = self.way(call, leg, to, aim)? else { return Ok(None) };
        if !headers.is_empty() {
            return Err(TransferError::NoHeaders);
        }
        self.judge(&aim.destination, None)?;
        let begin = leg.account.spec.calls.transfer.ok_or(TransferError::Way)?;
        let to = Address::parse(&aim.destination, None).map_err(|_| TransferError::Destination)?;
        let from = match (aim.option("from"), kind) {
            (Some(from), _) => Some(Address::parse(from, None).map_err(|_| TransferError::From)?),
            // What the carrier calls by itself comes from our own number.
            (None, TransferKind::Attended) => Address::parse(own_number(call), None).ok(),
            (None, TransferKind::Blind | TransferKind::Refer) => None,
        };
        let rings = match aim.option("timeout_s") {
            Some(_) => limit,
            None => limit.min(BRIDGE_LIMIT),
        };
        let hooks = leg.account.hooks(&self.base_url).of_call(&call.id.to_string());
        let call = leg.id.clone().ok_or(TransferError::NotAnswered)?;
        let ring_timeout_s = u32::try_from(rings.as_secs()).unwrap_or(u32::MAX);
        let wanted = Transfer { kind, call, to, from, hooks, ring_timeout_s };
        let op = begin(&leg.account.config, &wanted).map_err(|error| match error {
            CarrierError::Destination(_) => TransferError::Destination,
            CarrierError::CallerId(_) => TransferError::From,
            _ => TransferError::Way,
        })?;
        if self.draining || self.take_rate(Way::Out).is_err() {
            return Err(TransferError::Full);
        }
        Ok(Some(ByCarrier { wanted, rings, op }))
    }

    /// The way of a carrier that hands a call there; none if that is not the carrier's.
    fn way(
        &self,
        call: &LiveCall,
        leg: &CarrierLeg,
        to: &Destination,
        aim: &Aim,
    ) -> Result<Option<TransferKind>, TransferError> {
        match to {
            Destination::Uri(_) | Destination::User(_) => match aim.option("way") {
                None | Some("dial") => Ok(Some(TransferKind::Blind)),
                Some("refer") => Ok(Some(TransferKind::Refer)),
                Some(_) => Err(TransferError::Way),
            },
            // Its peer is at the carrier, and no request joins two calls.
            Destination::Call(_) => Err(TransferError::Way),
            Destination::Bridge(wish) => {
                let calls = &leg.account.spec.calls;
                let number = Address::parse(&wish.to, None);
                let number = number.is_ok_and(|number| number.kind() == AddressKind::Pstn);
                let ours = self.directory.load().organisation == call.agent.organisation
                    && self.our_user(&wish.to).is_some();
                let able = calls.transfer.is_some() && calls.join.is_some();
                let carriers = able && number && !ours && wish.trunk.is_none();
                Ok(carriers.then_some(TransferKind::Attended))
            }
            Destination::Warm { .. } | Destination::Agent { .. } => Ok(None),
        }
    }

    /// Asks the carrier to begin.
    pub(in crate::calls::control) fn ask_to_hand_over(
        &self,
        key: CallKey,
        transfer: Uuid,
        op: BeginOp,
    ) {
        let Some(call) = self.calls.get(&key) else { return };
        let Some(leg) = call.carrier.as_ref() else { return };
        let (id, account) = (call.id, Arc::clone(&leg.account));
        let (exchanges, handle) = (self.exchanges_of(key), self.handle.clone());
        self.io.spawn(async move {
            let result = exchanges.run(&account, "transfer", op, Patience::SHORT).await;
            let step = HandingStep::Begin(result);
            let handed = HandedOver { call: key, id, transfer, account, step };
            handle.send(Request::HandedOver(Box::new(handed))).await;
        });
    }

    /// Asks the carrier to join the caller with whoever answered.
    pub(in crate::calls::control) fn join_at_carrier(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(&key) else { return };
        let (Some(leg), Some(underway)) = (call.carrier.as_ref(), call.transfer.as_ref()) else {
            return;
        };
        let (Some(at_carrier), Some(join)) =
            (&underway.with.at_carrier, leg.account.spec.calls.join)
        else {
            return;
        };
        let (id, transfer, account) = (call.id, underway.id, Arc::clone(&leg.account));
        let (wanted, handle) = (at_carrier.wanted.clone(), self.handle.clone());
        let exchanges = self.exchanges_of(key);
        self.io.spawn(async move {
            let result = match join(&account.config, &wanted) {
                Ok(op) => exchanges.run(&account, "join", op, Patience::SHORT).await,
                Err(error) => Err(error.into()),
            };
            let step = HandingStep::Join(result);
            let handed = HandedOver { call: key, id, transfer, account, step };
            handle.send(Request::HandedOver(Box::new(handed))).await;
        });
    }

    /// The carrier was asked to hand a call over.
    pub(in crate::calls::control) fn handed_over(&mut self, handed: HandedOver) {
        let HandedOver { call: key, id, transfer, account, step } = handed;
        let call = self.calls.get_mut(&key);
        let underway = call.and_then(|call| call.transfer.as_mut());
        let underway = underway.filter(|underway| underway.id == transfer);
        let Some(underway) = underway else {
            // Nobody wants it any more, unless it went faster than its answer.
            let left = self.left_to_carrier.contains(&id);
            if let HandingStep::Begin(Ok(Some(leg))) = step
                && !left
            {
                self.hang_up_at(&account, leg);
            }
            return;
        };
        match step {
            HandingStep::Begin(Ok(leg)) => {
                if let Some(at_carrier) = &mut underway.with.at_carrier {
                    at_carrier.leg = leg;
                }
                self.transfer_input(key, Input::Dialling);
            }
            HandingStep::Join(Ok(())) => self.transfer_input(key, Input::Connected),
            HandingStep::Begin(Err(failure)) => self.not_handed_over(key, &failure, false),
            HandingStep::Join(Err(failure)) => self.not_handed_over(key, &failure, true),
        }
    }

    fn not_handed_over(&mut self, key: CallKey, failure: &Failure, is_join: bool) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        tracing::warn!(parent: &call.span, %failure, "the carrier does not hand the call over");
        let Some(leg) = call.carrier.as_mut() else { return };
        let gone = !leg.is_streaming;
        match (failure.perhaps_done, is_join) {
            // Its words tell, or time does.
            (true, false) => return,
            // The stream ended, so it did what it was asked for.
            (true, true) if gone => return self.transfer_input(key, Input::Connected),
            _ => {}
        }
        let is_over = failure.error == CarrierError::CallOver;
        leg.is_over |= is_over;
        self.transfer_input(key, Input::Refused(transfer_cause(&failure.error)));
        if is_over {
            self.tell(key, CallInput::PeerEnded(Cause::Normal));
        }
    }

    /// A transfer is given up: whoever the carrier has called apart is let go.
    pub(in crate::calls::control) fn drop_at_carrier(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let at_carrier = call.transfer.as_mut().and_then(|it| it.with.at_carrier.as_mut());
        let called = at_carrier.and_then(|at_carrier| at_carrier.leg.take());
        let (Some(leg), Some(called)) = (call.carrier.as_mut(), called) else { return };
        leg.stale_by = now() + Duration::from_millis(STALE_MS);
        let account = Arc::clone(&leg.account);
        self.hang_up_at(&account, called);
    }

    /// Caller and destination talk: ending that is none of our business.
    pub(in crate::calls::control) fn leave_to_carrier(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        if let Some(leg) = call.carrier.as_mut() {
            leg.is_over = true;
        }
        self.left_to_carrier.insert(call.id);
        self.tell_later(key, CallInput::PeerEnded(Cause::Transferred));
    }

    /// The caller is about to come back: its audio comes by a socket that has yet to be opened.
    pub(in crate::calls::control) fn caller_returns(&mut self, key: CallKey) {
        let within = Duration::from_millis(SOCKET_MS);
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (Some(leg), Some(line)) = (call.carrier.as_mut(), call.carried.as_mut()) else {
            return;
        };
        if let Some(token) = Self::media_token(leg.account.spec.name, within) {
            leg.stream_url = token.url(&self.public_url, call.id);
            line.token = token;
        }
        self.await_socket(key);
    }

    /// Whether the carrier takes the caller of a call away from us now.
    pub(in crate::calls::control) fn is_taken(&self, key: CallKey) -> bool {
        let transfer = self.calls.get(&key).and_then(|call| call.transfer.as_ref());
        transfer.is_some_and(|underway| underway.transfer.takes_caller())
    }

    /// The stream of a call is gone whose caller the carrier takes away.
    pub(super) fn caller_left(&mut self, key: CallKey) {
        self.transfer_input(key, Input::TakenAway);
        self.await_news(key);
    }

    /// What an agent did, unless its caller is away: then it counts when the caller comes back.
    pub(in crate::calls::control) fn unless_taken(
        &mut self,
        key: CallKey,
        input: CallInput,
    ) -> Option<CallInput> {
        let held_back = match input {
            CallInput::AgentHangup | CallInput::AgentLost => Some(input),
            CallInput::End(Cause::MediaTimeout, _) => None,
            _ => return Some(input),
        };
        if !self.is_taken(key) {
            return Some(input);
        }
        let call = self.calls.get_mut(&key)?;
        let at_carrier = call.transfer.as_mut()?.with.at_carrier.as_mut()?;
        at_carrier.held_back = at_carrier.held_back.or(held_back);
        None
    }

    /// The carrier tells how a transfer goes.
    pub(super) fn carrier_hands_over(&mut self, key: CallKey, state: TransferState) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let underway = call.transfer.as_ref().filter(|it| it.transfer.is_by_carrier());
        let is_underway = underway.is_some();
        let Some(leg) = call.carrier.as_mut() else { return };
        let input = match state {
            TransferState::Trying => Input::Dialling,
            TransferState::Answered => Input::Answered,
            TransferState::Done => Input::Connected,
            // That of one that was given up a moment ago.
            TransferState::Failed if now() < leg.stale_by => return,
            TransferState::Failed => Input::Refused(UNREACHED),
        };
        if is_underway {
            return self.transfer_input(key, input);
        }
        // What is told late of a transfer that is over changes nothing, but where the caller is.
        if state == TransferState::Done {
            self.leave_to_carrier(key);
        }
    }

    /// The carrier asks where the audio of a call goes that it was to hand over: that has failed,
    /// and its socket may be slower to tell that the stream was taken away.
    pub(super) fn caller_came_back(&mut self, key: CallKey) {
        self.transfer_input(key, Input::Refused(UNREACHED));
        let leg = self.calls.get_mut(&key).and_then(|call| call.carrier.as_mut());
        if let Some(leg) = leg.filter(|leg| leg.is_streaming) {
            (leg.is_streaming, leg.expects_stop) = (false, true);
            self.caller_returns(key);
        }
    }

    /// Whether the end of the stream that was told just now is that of one which the carrier has
    /// taken away, and so ends nothing.
    pub(super) fn is_stale_stop(&mut self, key: CallKey) -> bool {
        let leg = self.calls.get_mut(&key).and_then(|call| call.carrier.as_mut());
        leg.is_some_and(|leg| std::mem::take(&mut leg.expects_stop))
    }
}

/// The number of ours on a call.
fn own_number(call: &LiveCall) -> &str {
    match call.direction {
        Direction::Inbound => &call.to,
        Direction::Outbound => &call.from,
    }
}
