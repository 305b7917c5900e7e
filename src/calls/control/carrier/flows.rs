//! Drives the control of calls that takes a conversation with the carrier.

use std::sync::Arc;
use std::time::Instant;

use adapters::address::Address;
use adapters::agent::Direction;
use adapters::event::InboundCall;
use adapters::exchange::{CarrierError, HttpRequest, HttpResponse};
use adapters::flow::{FlowCommand, FlowInput, FlowOutput, FlowStart};
use adapters::op::Refusal;
use media::time::MonoTime;
use uuid::Uuid;

use super::Control;
use crate::calls::carrier::CarrierLeg;
use crate::calls::request::Request;
use crate::carrier::{Account, Patience};
use crate::workers::command::CallKey;
use crate::workers::poller::now;

impl Control {
    /// Begins the flow of a call, if its carrier's calls have one.
    pub(super) fn open_flow(
        &self,
        leg: &mut CarrierLeg,
        call: Uuid,
        direction: Direction,
        to: &Address,
        from: Option<&Address>,
    ) -> bool {
        let Some(open) = leg.account.spec.flow else { return false };
        leg.flow = Some(open(FlowStart {
            config: leg.account.config.clone(),
            direction,
            call: leg.id.clone(),
            to: to.clone(),
            from: from.cloned(),
            stream_url: leg.stream_url.clone(),
            hooks: leg.account.hooks(&self.base_url).of_call(&call.to_string()),
        }));
        true
    }

    /// Refuses an offered call that nothing was begun for, where the answer to the offer says
    /// nothing to the carrier. What comes of it is not waited for.
    pub(super) fn refuse_by_flow(
        &mut self,
        account: &Arc<Account>,
        offered: &InboundCall,
        refusal: Refusal,
    ) {
        let Some(open) = account.spec.flow else { return };
        // It is offered again while it is being refused.
        if self.hearing.lingers(account.id, &offered.call) {
            return;
        }
        let mut flow = open(FlowStart {
            config: account.config.of_call(offered),
            direction: Direction::Inbound,
            call: Some(offered.call.clone()),
            to: offered.to.clone(),
            from: offered.from.clone(),
            stream_url: String::new(),
            hooks: account.hooks(&self.base_url),
        });
        flow.handle(now(), FlowInput::Command(FlowCommand::Refuse(refusal)));
        if account.spec.events.is_none() {
            // It may take more than one request, and what hooks tell.
            let (key, leg) = (self.next_key(), Some(offered.call.clone()));
            self.hearing.linger((key, None), leg, Arc::clone(account), flow);
            return self.lingers_on(key);
        }
        while let Some(output) = flow.poll() {
            let FlowOutput::Send { what, .. } = output else { continue };
            let (exchanges, account) = (self.exchanges.clone(), Arc::clone(account));
            self.io.spawn(async move {
                let (patience, began) = (Patience::SHORT, Instant::now());
                let until = began + patience.within;
                let done = exchanges.exchange(&account, "refuse", what, patience, until).await;
                if let Err(failure) = done {
                    let configuration = account.id;
                    tracing::warn!(%configuration, %failure, "an offered call was not refused");
                }
            });
        }
    }

    /// Tells a call's flow something, if it has one, and does what it wants.
    pub(super) fn flow_input(&mut self, key: CallKey, input: FlowInput<'_>) {
        let leg = self.calls.get_mut(&key).and_then(|call| call.carrier.as_mut());
        let Some(flow) = leg.and_then(|leg| leg.flow.as_mut()) else {
            return self.lingering_input(key, input);
        };
        flow.handle(now(), input);
        self.flow_outputs(key);
    }

    pub(super) fn flow_due(&mut self, key: CallKey, at: MonoTime) {
        let leg = self.calls.get(&key).and_then(|call| call.carrier.as_ref());
        let due = leg.and_then(|leg| leg.flow.as_ref()?.deadline());
        let due = due.or_else(|| self.hearing.deadline(key));
        if due.is_some_and(|due| due <= at) {
            self.flow_input(key, FlowInput::Timeout);
        }
    }

    /// A request of a flow was answered, or finally was not.
    pub(in crate::calls::control) fn flow_answered(
        &mut self,
        key: CallKey,
        request: u32,
        result: Result<HttpResponse, CarrierError>,
    ) {
        self.flow_input(key, FlowInput::Answer { request, result });
    }

    fn flow_outputs(&mut self, key: CallKey) {
        loop {
            let leg = self.calls.get_mut(&key).and_then(|call| call.carrier.as_mut());
            let Some(leg) = leg else { return };
            let Some(output) = leg.flow.as_mut().and_then(|flow| flow.poll()) else { break };
            match output {
                FlowOutput::Send { request, what } => self.send_for_flow(key, request, what),
                FlowOutput::Event(event) => self.carrier_fact(key, &event),
                FlowOutput::Done => {
                    if let Some(leg) = self.calls.get_mut(&key).and_then(|c| c.carrier.as_mut()) {
                        leg.flow = None;
                    }
                }
                FlowOutput::Replaced(id) => self.peer_replaced(key, &id),
                FlowOutput::Media(address) => self.send_media_to(key, address),
                FlowOutput::Connect(request) => self.connect_line(key, &request),
                // Requests and events are all that the carriers of the table need.
                FlowOutput::Message(_) => {
                    tracing::error!("a flow wants what its carrier's calls have no way for");
                }
            }
        }
        self.reschedule(key);
    }

    fn send_for_flow(&self, key: CallKey, request: u32, what: HttpRequest) {
        let leg = self.calls.get(&key).and_then(|call| call.carrier.as_ref());
        let Some(account) = leg.map(|leg| Arc::clone(&leg.account)) else { return };
        self.ask_for_flow(key, account, request, what);
    }

    /// Sends a request of a call's flow.
    pub(super) fn ask_for_flow(
        &self,
        key: CallKey,
        account: Arc<Account>,
        request: u32,
        what: HttpRequest,
    ) {
        let (exchanges, handle) = (self.exchanges_of(key), self.handle.clone());
        self.io.spawn(async move {
            let patience = Patience::SHORT;
            let until = Instant::now() + patience.within;
            let answered = exchanges.exchange(&account, "flow", what, patience, until).await;
            let result = answered.map_err(|failure| failure.error);
            handle.send(Request::FlowAnswered { call: key, request, result }).await;
        });
    }
}
