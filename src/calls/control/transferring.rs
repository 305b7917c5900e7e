//! Transfers: how they begin, and what follows from what happens to them.

use std::sync::Arc;

use adapters::agent::EndedBy;
use media::wav::Clip;
use uuid::Uuid;

use super::Control;
use super::carrier::ByCarrier;
use crate::calls::call::Input as CallInput;
use crate::calls::cause::Cause;
use crate::calls::far::{Dial, Seat};
use crate::calls::live::LiveCall;
use crate::calls::log::{Asked, What};
use crate::calls::transfer::{
    Accept, CANCEL, CARRIER_NEWS_LIMIT, Destination, Effect, Input, Kind, LEAVE, Plan, State, Stay,
    Transfer, TransferError, Whisper, Wish,
};
use crate::calls::underway::{AtCarrier, Next, Underway, With};
use crate::config::AgentKind;
use crate::quota::Permit;
use crate::sip::core::endpoint::DialogId;
use crate::workers::command::{CallKey, Command};
use crate::workers::poller::now;

impl Control {
    /// Begins a transfer, or gives the one up that is under way; the id of what has begun.
    pub(super) fn asked_to_transfer(
        &mut self,
        key: CallKey,
        (kind, destination): (&str, &str),
        options: Vec<(String, String)>,
        headers: Vec<(String, String)>,
        message: Option<Arc<Clip>>,
    ) -> Result<Option<Uuid>, TransferError> {
        if kind == CANCEL {
            return self.cancel_transfer(key).map(|()| None);
        }
        if kind == LEAVE {
            return self.leave_conversation(key).map(|()| None);
        }
        let wish = Wish::read(kind, destination, options, headers)?;
        self.transfer(key, wish, message).map(Some)
    }

    /// The agent asks for a transfer; what is wrong with it is told as its failure.
    pub(super) fn agent_transfers(
        &mut self,
        key: CallKey,
        to: (&str, &str),
        options: Vec<(String, String)>,
        headers: Vec<(String, String)>,
    ) {
        let begun = self.asked_to_transfer(key, to, options, headers, None);
        if let Err(error) = begun {
            self.tell_transfer(key, None, State::Failed, Some(error.as_str()));
        }
    }

    fn transfer(
        &mut self,
        key: CallKey,
        wish: Wish,
        message: Option<Arc<Clip>>,
    ) -> Result<Uuid, TransferError> {
        let Wish { to, limit, stay, headers, aim } = wish;
        let call = self.may_transfer(key, to.kind(), stay)?;
        let kind = to.kind();
        let (accept, holds, whisper) = match &to {
            Destination::Warm { accept, holds, whisper, .. } => {
                // Who is on hold already stays so, whatever comes of it.
                (*accept, *holds && !call.hold.is_on(), whisper.clone())
            }
            _ => (Accept::default(), false, Whisper::Tone),
        };
        let by_carrier = match stay.makes_three() {
            // Whom a carrier joins talk there, without us.
            true => None,
            false => self.by_carrier(key, (&to, &aim), limit, &headers)?,
        };
        let limit = by_carrier.as_ref().map_or(limit, |it| it.rings + CARRIER_NEWS_LIMIT);
        let plan = Plan { kind, limit, accept, holds, by_carrier: by_carrier.is_some(), stay };
        let begin = match (by_carrier, to) {
            (Some(by_carrier), _) => Begin::ByCarrier(by_carrier),
            (None, to) => self.begin_here(key, to, (&whisper, stay), &headers)?,
        };
        let asked = Asked {
            kind: kind.as_str().to_owned(),
            destination: aim.destination,
            other_call: aim.other_call,
            options: aim.options.into_iter().collect(),
        };
        let listens = stay == Stay::Listen;
        let with = With { whisper, message, listens, ..With::default() };
        let id = match begin {
            Begin::Asked => self.begin_transfer(key, plan, asked, with),
            Begin::Agent(next) => {
                let with = With { next: Some(*next), ..with };
                let id = self.begin_transfer(key, plan, asked, with);
                self.reach_next(key);
                id
            }
            Begin::Leg(dial, place) => {
                let with = With { place: Some(place), ..with };
                let id = self.begin_transfer(key, plan, asked, with);
                self.dial_with_message(key, dial);
                id
            }
            Begin::ByCarrier(ByCarrier { id, wanted, op, place, .. }) => {
                let at_carrier =
                    Box::new(AtCarrier { wanted, leg: None, joins: false, held_back: None });
                let (at_carrier, place) = (Some(at_carrier), Some(place));
                let with = With { at_carrier, place, ..with };
                self.begin_named(key, id, plan, asked, with);
                self.ask_to_hand_over(key, id, op);
                id
            }
        };
        self.reschedule(key);
        Ok(id)
    }

    /// The call, if it can be transferred so now.
    pub(super) fn may_transfer(
        &self,
        key: CallKey,
        kind: Kind,
        stay: Stay,
    ) -> Result<&LiveCall, TransferError> {
        let call = self.calls.get(&key).filter(|call| is_talking(call));
        let call = call.ok_or(TransferError::NotAnswered)?;
        if call.transfer.is_some() || call.takeover.is_some() {
            return Err(TransferError::Busy);
        }
        if call.third.is_some() {
            return Err(TransferError::Three);
        }
        // What lets a call wait that is put aside talks with nobody, and is not to stay.
        let waits_alone = call.parked.as_ref().is_some_and(|parked| !parked.keeps_agent);
        if stay.makes_three() && waits_alone {
            return Err(TransferError::Stay);
        }
        // An agent joins a telephone that has the call: two agents would talk with each other.
        if stay.makes_three() && kind == Kind::Agent && !has_telephone(call) {
            return Err(TransferError::Stay);
        }
        Ok(call)
    }

    /// A transfer begins: it is told, with what was asked for.
    pub(super) fn begin_transfer(
        &mut self,
        key: CallKey,
        plan: Plan,
        asked: Asked,
        with: With,
    ) -> Uuid {
        let id = Uuid::now_v7();
        self.begin_named(key, id, plan, asked, with);
        id
    }

    /// The same of one that has a name already.
    fn begin_named(&mut self, key: CallKey, id: Uuid, plan: Plan, asked: Asked, with: With) {
        let mut effects = Vec::new();
        let transfer = Transfer::start(now(), plan, &mut effects);
        if let Some(call) = self.calls.get_mut(&key) {
            call.transfer = Some(Box::new(Underway { id, transfer, awaits: None, with }));
        }
        // The first of them is told with what was asked for.
        effects.retain(|effect| *effect != Effect::Tell(State::Requested, None));
        self.log_transfer(key, Some(id), State::Requested, None, Some(Box::new(asked)));
        self.transfer_effects(key, effects, Cause::Normal);
    }

    /// Begins what is needed for a transfer that is not the carrier's.
    fn begin_here(
        &mut self,
        key: CallKey,
        to: Destination,
        (whisper, stay): (&Whisper, Stay),
        headers: &[(String, String)],
    ) -> Result<Begin, TransferError> {
        Ok(match to {
            Destination::Uri(_) | Destination::User(_) | Destination::Call(_) => {
                self.refer(key, &to, headers)?;
                Begin::Asked
            }
            Destination::Group(_) if !headers.is_empty() => return Err(TransferError::NoHeaders),
            Destination::Group(name) => {
                self.hand_to_group(key, &name)?;
                Begin::Asked
            }
            Destination::Bridge(leg) | Destination::Warm { leg, .. } => {
                self.check_whisper(key, whisper)?;
                let (dial, place) = self.leg_for(key, leg)?;
                Begin::Leg(dial, place)
            }
            Destination::Agent { name, variables } => {
                let next = self.next_agent(key, &name, variables)?;
                // A telephone that joins another is called by number or address.
                if stay.makes_three() && matches!(next.agent.kind, AgentKind::Sip(_)) {
                    return Err(TransferError::Stay);
                }
                Begin::Agent(Box::new(next))
            }
        })
    }

    /// Gives up a transfer that is under way, unless it is the peer that carries it out.
    fn cancel_transfer(&mut self, key: CallKey) -> Result<(), TransferError> {
        if self.part(key, Cause::Normal, "unwanted") {
            return Ok(());
        }
        let transfer = self.calls.get(&key).and_then(|call| call.transfer.as_ref());
        let too_late = |underway: &Underway| {
            let transfer = &underway.transfer;
            transfer.kind().is_asked() || transfer.takes_caller()
        };
        if transfer.is_none_or(|underway| too_late(underway)) {
            return Err(TransferError::NothingToCancel);
        }
        self.transfer_input(key, Input::Cancel);
        Ok(())
    }

    /// The peer said something about its transfer.
    pub(super) fn transfer_news(&mut self, dialog: DialogId, input: Input) {
        if let Some(key) = self.by_dialog.get(&dialog).copied() {
            self.transfer_input(key, input);
        }
    }

    /// Tells a call's transfer a fact and does what follows.
    pub(super) fn transfer_input(&mut self, key: CallKey, input: Input) {
        let why = match input {
            Input::Timeout => Cause::NoAnswer,
            _ => Cause::Normal,
        };
        self.transfer_told(key, input, why);
    }

    /// The call is over: nobody who is called for it rings on.
    pub(super) fn transfer_over(&mut self, key: CallKey, cause: Cause) {
        let by_peer = cause == Cause::Transferred;
        self.transfer_told(key, Input::CallOver { by_peer }, cause);
    }

    fn transfer_told(&mut self, key: CallKey, input: Input, why: Cause) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(underway) = call.transfer.as_mut() else { return };
        let mut effects = Vec::new();
        underway.transfer.handle(now(), input, &mut effects);
        self.transfer_effects(key, effects, why);
    }

    fn transfer_effects(&mut self, key: CallKey, effects: Vec<Effect>, why: Cause) {
        for effect in effects {
            let Some(call) = self.calls.get_mut(&key) else { return };
            let Some(underway) = call.transfer.as_ref() else { return };
            let (id, kind) = (underway.id, underway.transfer.kind());
            let by_carrier = underway.transfer.is_by_carrier();
            let three = underway.transfer.makes_three();
            match effect {
                Effect::Tell(state, cause) => {
                    self.tell_far_referrer(key, state, cause);
                    self.tell_transfer(key, Some(id), state, cause);
                    self.queue_moves(key, state, three);
                    self.parking_moves(key, state, three);
                }
                Effect::Hold => drop(self.hold(key, true)),
                Effect::Resume => drop(self.hold(key, false)),
                Effect::Whisper => self.whisper(key),
                Effect::Join if by_carrier => self.join_at_carrier(key),
                Effect::Join if kind == Kind::Agent => self.hand_to_next(key),
                Effect::Join if three => self.join_conversation(key),
                Effect::Join => self.take_agents_place(key),
                Effect::Drop if by_carrier => self.drop_at_carrier(key),
                Effect::Drop => self.drop_far(key, Seat::Coming, why),
                Effect::Release if by_carrier => self.leave_to_carrier(key),
                Effect::Return => self.caller_returns(key),
                Effect::Release => {
                    self.tell_later(key, CallInput::End(Cause::Transferred, EndedBy::Agent));
                }
                Effect::HangUp => self.tell_later(key, CallInput::AgentHangup),
                Effect::Forget => {
                    let held_back = underway.with.at_carrier.as_ref().and_then(|it| it.held_back);
                    let is_wanted = underway.transfer.state() != State::Bridged;
                    call.transfer = None;
                    if let Some(input) = held_back.filter(|_| is_wanted) {
                        self.later.push_back((key, input));
                    }
                    if let Some(dialog) = call.dialog.filter(|_| kind.is_asked()) {
                        self.endpoint.forget_refer(dialog);
                    }
                }
            }
        }
        self.reschedule(key);
    }

    /// Tells the agent and the log how far a transfer is.
    pub(super) fn tell_transfer(
        &mut self,
        key: CallKey,
        id: Option<Uuid>,
        state: State,
        cause: Option<&'static str>,
    ) {
        self.log_transfer(key, id, state, cause, None);
    }

    fn log_transfer(
        &mut self,
        key: CallKey,
        id: Option<Uuid>,
        state: State,
        cause: Option<&'static str>,
        asked: Option<Box<Asked>>,
    ) {
        let Some(call) = self.calls.get(&key) else { return };
        let state = state.as_str();
        tracing::info!(parent: &call.span, state, cause, "transfer");
        self.command(call.worker, Command::Transfer { call: key, state, cause });
        let (state, cause) = (state.to_owned(), cause.map(str::to_owned));
        self.log_fact(key, What::Transfer { id, state, cause, asked });
    }
}

/// What a transfer begins with.
enum Begin {
    /// The peer has been asked.
    Asked,
    /// A leg is to be called, whose places these are.
    Leg(Dial, Permit),
    /// An agent is to be reached.
    Agent(Box<Next>),
    /// The carrier is to be asked.
    ByCarrier(ByCarrier),
}

/// Whether a telephone that has answered is at the agent's end.
fn has_telephone(call: &LiveCall) -> bool {
    let leg = call.far.as_ref().and_then(|far| far.leg.as_ref());
    leg.is_some_and(|leg| leg.up && leg.sockets.is_none())
}

/// Whether a call is answered and not over.
pub(super) fn is_talking(call: &LiveCall) -> bool {
    call.ended.is_none() && call.call.answered_at().is_some() && !call.is_leaving()
}
