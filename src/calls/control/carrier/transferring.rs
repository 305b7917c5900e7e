//! Calls that their carrier hands over: it connects the caller with the destination, or calls the
//! destination apart and joins the two.
//!
//! What the carrier takes away from us is not over: while it does, the end of the stream ends
//! nothing, and an agent that leaves keeps nobody from being connected.

use std::sync::Arc;
use std::time::Duration;

use adapters::address::{Address, AddressKind};
use adapters::agent::Direction;
use adapters::event::{CarrierCallId, HangupCause, TransferOf, TransferState};
use adapters::exchange::CarrierError;
use adapters::op::{Op, Transfer, TransferKind};
use uuid::Uuid;

use super::Control;
use super::elsewhere::Left;
use super::returning::transfer_id;
use crate::calls::call::Input as CallInput;
use crate::calls::carrier::{CarrierLeg, cause_of, transfer_cause};
use crate::calls::cause::Cause;
use crate::calls::live::LiveCall;
use crate::calls::request::{HandedOver, HandingStep, Request};
use crate::calls::transfer::{Aim, BRIDGE_LIMIT, Destination, Input, TransferError};
use crate::carrier::{Failure, Patience};
use crate::quota::{Kind, Permit};
use crate::workers::command::CallKey;
use crate::workers::poller::now;

/// Why a transfer failed, where the carrier says that it did and no more.
const UNREACHED: &str = "unreached";

/// The request that begins a transfer; it yields the leg that is called apart, if one is.
pub(in crate::calls::control) type BeginOp = Box<dyn Op<Option<CarrierCallId>>>;

/// How a carrier is asked to hand a call over.
pub(in crate::calls::control) struct ByCarrier {
    /// What the transfer is called.
    pub(in crate::calls::control) id: Uuid,
    /// What is wanted of it.
    pub(in crate::calls::control) wanted: Transfer,
    /// How long it lets the destination ring.
    pub(in crate::calls::control) rings: Duration,
    /// The request.
    pub(in crate::calls::control) op: BeginOp,
    /// The places of the leg that the carrier calls.
    pub(in crate::calls::control) place: Permit,
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
        let number = from.as_ref().map_or_else(|| own_number(call), |from| from.expose());
        let (account, number) = (Arc::clone(&leg.account), number.to_owned());
        let organisation = call.agent.organisation;
        let call = leg.id.clone().ok_or(TransferError::NotAnswered)?;
        let ring_timeout_s = u32::try_from(rings.as_secs()).unwrap_or(u32::MAX);
        let id = Uuid::now_v7();
        let named = id.to_string();
        let wanted = Transfer { id: named, kind, call, to, from, hooks, ring_timeout_s };
        let op = begin(&leg.account.config, &wanted).map_err(|error| match error {
            CarrierError::Destination(_) => TransferError::Destination,
            CarrierError::CallerId(_) => TransferError::From,
            _ => TransferError::Way,
        })?;
        if self.draining {
            return Err(TransferError::Full);
        }
        self.check_credit(organisation, &aim.destination)?;
        let place = self.take_carriers_leg(&account, &number)?;
        Ok(Some(ByCarrier { id, wanted, rings, op, place }))
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
            Destination::Group(_) | Destination::Warm { .. } | Destination::Agent { .. } => {
                Ok(None)
            }
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
        let account = Arc::clone(&leg.account);
        let (exchanges, handle) = (self.exchanges_of(key), self.handle.clone());
        self.io.spawn(async move {
            let result = exchanges.run(&account, "transfer", op, Patience::SHORT).await;
            let step = HandingStep::Begin(result);
            let handed = HandedOver { call: key, transfer, account, step };
            handle.send(Request::HandedOver(Box::new(handed))).await;
        });
    }

    /// Asks the carrier to join the caller with whoever answered.
    pub(in crate::calls::control) fn join_at_carrier(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (Some(leg), Some(underway)) = (call.carrier.as_ref(), call.transfer.as_mut()) else {
            return;
        };
        let (Some(at_carrier), Some(join)) =
            (&mut underway.with.at_carrier, leg.account.spec.calls.join)
        else {
            return;
        };
        at_carrier.joins = true;
        let (transfer, account) = (underway.id, Arc::clone(&leg.account));
        let (wanted, handle) = (at_carrier.wanted.clone(), self.handle.clone());
        let exchanges = self.exchanges_of(key);
        self.io.spawn(async move {
            let result = match join(&account.config, &wanted) {
                Ok(op) => exchanges.run(&account, "join", op, Patience::SHORT).await,
                Err(error) => Err(error.into()),
            };
            let step = HandingStep::Join(result);
            let handed = HandedOver { call: key, transfer, account, step };
            handle.send(Request::HandedOver(Box::new(handed))).await;
        });
    }

    /// The carrier was asked to hand a call over.
    pub(in crate::calls::control) fn handed_over(&mut self, handed: HandedOver) {
        let key = handed.call;
        let underway = self.calls.get_mut(&key).and_then(|call| call.transfer.as_mut());
        let Some(underway) = underway.filter(|underway| underway.id == handed.transfer) else {
            return match handed.step {
                HandingStep::Back(result) => self.taken_back(key, result),
                HandingStep::Begin(_) | HandingStep::Join(_) => self.handed_late(handed),
            };
        };
        match handed.step {
            HandingStep::Begin(Ok(leg)) => {
                if let (Some(at_carrier), Some(leg)) = (&mut underway.with.at_carrier, leg) {
                    at_carrier.leg = Some(leg);
                }
                self.transfer_input(key, Input::Dialling);
            }
            HandingStep::Join(Ok(())) => self.transfer_input(key, Input::Connected),
            HandingStep::Begin(Err(failure)) => self.not_handed_over(key, &failure, false),
            HandingStep::Join(Err(failure)) => self.not_handed_over(key, &failure, true),
            HandingStep::Back(_) => {}
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
        if !failure.perhaps_done
            && let Some(at_carrier) =
                call.transfer.as_mut().and_then(|it| it.with.at_carrier.as_mut())
        {
            // The caller stays where it is.
            at_carrier.joins = false;
        }
        let is_over = failure.error == CarrierError::CallOver;
        leg.is_over |= is_over;
        self.transfer_input(key, Input::Refused(transfer_cause(&failure.error)));
        if is_over {
            self.tell(key, CallInput::PeerEnded(Cause::Normal));
        }
    }

    /// Caller and destination talk: ending that is none of our business, but both count until it
    /// is over.
    pub(in crate::calls::control) fn leave_to_carrier(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let mut places = call.permit.all_but(Kind::Server);
        let of_leg = call.transfer.as_mut().and_then(|underway| underway.with.place.take());
        for more in [call.line.take(), of_leg].into_iter().flatten() {
            places.join(more);
        }
        let transfer = call.transfer.as_ref().map(|underway| underway.id);
        let longest = call.call.plan().max_duration;
        if let Some(leg) = call.carrier.as_mut() {
            leg.is_over = true;
            let (at, account, id) = (now(), Arc::clone(&leg.account), leg.id.clone());
            let left = Left { account, call: id, transfer, places, until: at + longest };
            self.past.elsewhere.insert(at, call.id, left);
        }
        self.past.left.insert(call.id);
        self.tell_later(key, CallInput::PeerEnded(Cause::Transferred));
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
    pub(super) fn carrier_hands_over(
        &mut self,
        key: CallKey,
        state: TransferState,
        of: &TransferOf,
    ) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let told = transfer_id(of);
        let underway = call.transfer.as_mut().filter(|it| it.transfer.is_by_carrier());
        let underway = underway.filter(|it| told.is_none_or(|told| told == it.id));
        if let Some(underway) = underway {
            // The answer to the request that began it may be late, or lost.
            if let (Some(at_carrier), Some(leg)) = (&mut underway.with.at_carrier, &of.leg) {
                at_carrier.leg.get_or_insert_with(|| leg.clone());
            }
            return self.transfer_input(
                key,
                match state {
                    TransferState::Trying => Input::Dialling,
                    TransferState::Answered => Input::Answered,
                    TransferState::Done => Input::Connected,
                    TransferState::Failed => Input::Refused(unreached(of.cause)),
                },
            );
        }
        // What is told late of a transfer that is over changes nothing, but where the caller is.
        match told {
            _ if state != TransferState::Done => {}
            Some(told) if self.past.given_up.contains(&told) => self.went_astray(key, told),
            _ => self.leave_to_carrier(key),
        }
    }

    /// The carrier asks where the audio of a call goes that it was to hand over: that has failed,
    /// and its socket may be slower to tell that the stream was taken away.
    pub(super) fn caller_came_back(&mut self, key: CallKey) {
        self.transfer_input(key, Input::Refused(UNREACHED));
        let leg = self.calls.get_mut(&key).and_then(|call| call.carrier.as_mut());
        if let Some(leg) = leg.filter(|leg| leg.is_streaming) {
            leg.is_streaming = false;
            self.await_return(key);
        }
    }

    /// Whether the end of the stream that was told just now is that of one which the carrier has
    /// taken away, and so ends nothing.
    pub(super) fn is_stale_stop(&self, key: CallKey) -> bool {
        let leg = self.calls.get(&key).and_then(|call| call.carrier.as_ref());
        leg.is_some_and(|leg| leg.expects_stop)
    }
}

/// The word for why nobody was reached. That a leg ended which had answered says nothing.
fn unreached(cause: Option<HangupCause>) -> &'static str {
    match cause {
        None | Some(HangupCause::Normal | HangupCause::Unknown) => UNREACHED,
        Some(cause) => cause_of(cause).as_str(),
    }
}

/// The number of ours on a call.
fn own_number(call: &LiveCall) -> &str {
    match call.direction {
        Direction::Inbound => &call.to,
        Direction::Outbound => &call.from,
    }
}
