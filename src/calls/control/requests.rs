//! What the rest of the server asks for.

use adapters::agent::EndedBy;
use uuid::Uuid;

use super::Control;
use crate::agent::socket::AgentSocket;
use crate::calls::call::Input;
use crate::calls::caller_ids::Called;
use crate::calls::cause::Cause;
use crate::calls::request::{Request, RequestError};
use crate::calls::view::CallView;
use crate::config::AgentKind;
use crate::workers::command::{AgentLine, CallKey};
use crate::workers::gauges::Reading;
use crate::workers::poller::now;

impl Control {
    /// Carries out a request.
    pub(super) fn request(&mut self, request: Request) {
        match request {
            // Whoever asked may have gone.
            Request::List { reply } => drop(reply.send(self.views())),
            Request::Count { reply } => drop(reply.send(self.by_id.len())),
            Request::Living { calls, reply } => drop(reply.send(self.living_of(calls))),
            Request::Show { calls, reply } => drop(reply.send(self.shown(&calls))),
            Request::Place { call, reply } => self.place(call, reply),
            Request::WebCall { call, reply } => drop(reply.send(self.web_call(call))),
            Request::PbxCall { call, reply } => self.pbx_comes(*call, reply),
            Request::Located { errand, found } => self.set_out(errand, found),
            Request::Watch { trunk, found } => self.probe_trunk(trunk, found),
            Request::Registrar { contact, found } => self.registrar_located(&contact, found),
            Request::Gauges { organisation, reply } => drop(reply.send(self.gauges(organisation))),
            Request::Trunks { trunks, reply } => drop(reply.send(self.trunks_standing(&trunks))),
            Request::Loaded(loaded) => self.loaded(loaded),
            Request::HangUp { call, reply } => drop(reply.send(self.hang_up_as_asked(&call))),
            Request::Order { call, order, reply } => drop(reply.send(self.order(&call, order))),
            Request::Play { call, clip, reply } => self.play_clip(call, clip, reply),
            Request::Park { call, wish, reply } => drop(reply.send(self.park(call, wish))),
            Request::Parked { of, reply } => drop(reply.send(self.parked_of(of))),
            Request::Queues { of, reply } => drop(reply.send(self.queues_of(of))),
            Request::Coded(coded) => self.play_coded(*coded),
            Request::Message { call, transfer, message } => {
                self.message_came(call, transfer, message);
            }
            Request::MayAttach { call, reply } => drop(reply.send(self.may_attach(call))),
            Request::Attach { call, socket } => self.attach_agent(call, socket),
            Request::LineComes { call, provider, token, reply } => {
                let _ = reply.send(self.line_comes(call, &provider, token.expose()));
            }
            Request::LineOpen { call, socket } => self.line_open(call, socket),
            Request::Dialled { call, attempt, result } => self.own_dialled(call, attempt, result),
            Request::LinkDialled { agent, attempt, result } => {
                self.link_dialled(agent, attempt, result);
            }
            Request::MayLink { of, agent, reply } => drop(reply.send(self.may_link(of, &agent))),
            Request::Link { of, agent, socket } => self.link_attached(of, &agent, socket),
            Request::Hook { hook, reply } => self.hook(*hook, reply),
            Request::Tidings(tidings) => self.tidings(*tidings),
            Request::Originated { call, attempt, account, result } => {
                self.originated(call, attempt, &account, result);
            }
            Request::FlowAnswered { call, request, result } => {
                self.flow_answered(call, request, result);
            }
            Request::Pressed { call, result } => self.keys_pressed(call, result),
            Request::Standing { call, result } => self.stands(call, result),
            Request::StandsElsewhere { call, result } => self.stands_elsewhere(call, result),
            Request::HandedOver(handed) => self.handed_over(*handed),
            Request::Obeyed(obeyed) => self.obeyed(*obeyed),
            Request::Record { call, order, reply } => {
                let _ = reply.send(self.living(call).and_then(|key| self.record(key, order)));
            }
            Request::Listen { call, listener, reply } => self.listen_for(call, listener, reply),
            Request::Unlisten { call, listener } => self.unlisten(call, listener),
            Request::RecordAtCarrier { call, on, reply } => self.record_at_carrier(call, on, reply),
            Request::Capture { call, reply } => {
                let _ = reply.send(self.living(call).and_then(|key| self.start_capture(key)));
            }
            Request::Recorder(event) => self.recorder_event(event),
            Request::Budgets(budgets) => self.budgets(*budgets),
            Request::Mark { reply } => drop(reply.send(self.credits.mark())),
            Request::Held { organisation, reply } => {
                let _ = reply.send(self.credits.held(organisation));
            }
            Request::Called(Called { day, line, counts }) => {
                self.learn_calling(day, line, &counts);
            }
            Request::Drain => self.drain(),
            Request::Stop => self.end_all(),
        }
    }

    /// No new calls are taken, and those that live may end.
    fn drain(&mut self) {
        self.draining = true;
        self.leave_registrars();
        self.endpoint.refuse_calls(Some(DRAIN_RETRY_AFTER_S));
    }

    /// Which of these calls live.
    fn living_of(&self, mut calls: Vec<Uuid>) -> Vec<Uuid> {
        calls.retain(|id| self.by_id.contains_key(id));
        calls
    }

    /// Those of these calls that live.
    fn shown(&self, calls: &[Uuid]) -> Vec<CallView> {
        let at = now();
        let living = calls.iter().filter_map(|id| self.calls.get(self.by_id.get(id)?));
        living.map(|call| call.view(at)).collect()
    }

    /// How the media of an organisation's calls fare.
    fn gauges(&self, organisation: Uuid) -> Vec<(Uuid, Reading)> {
        let living = self.calls.values().filter(|call| call.ended.is_none());
        let ours = living.filter(|call| call.agent.organisation == organisation);
        ours.map(|call| (call.id, call.gauges.read())).collect()
    }

    /// All calls, in their order.
    fn views(&self) -> Vec<CallView> {
        let at = now();
        let mut calls: Vec<_> = self.calls.values().map(|call| call.view(at)).collect();
        calls.sort_by_key(|call| call.id);
        calls
    }

    fn hang_up_as_asked(&mut self, call: &str) -> Result<(), RequestError> {
        let key = self.find(call).ok_or(RequestError::NoSuchCall)?;
        self.tell(key, Input::End(Cause::Normal, EndedBy::Agent));
        Ok(())
    }

    /// An agent has attached to a call that it may attach to, unless that has changed.
    fn attach_agent(&mut self, call: Uuid, socket: AgentSocket) {
        if self.may_attach(call).is_ok()
            && let Some(key) = self.by_id.get(&call).copied()
        {
            self.metrics.agents.attached.inc();
            match self.awaits_next(key) {
                Some(_) => drop(self.next_dialled(key, None, Ok(AgentLine::Own(socket)))),
                None => self.attach_line(key, AgentLine::Own(socket)),
            }
        }
    }

    /// The living call with our id.
    pub(super) fn living(&self, id: Uuid) -> Result<CallKey, RequestError> {
        self.by_id.get(&id).copied().ok_or(RequestError::NoSuchCall)
    }

    /// The living call of this id: ours, or one that a dialect derives from ours.
    pub(super) fn find(&self, id: &str) -> Option<CallKey> {
        if let Ok(id) = id.parse::<Uuid>() {
            return self.by_id.get(&id).copied();
        }
        None
    }

    /// Whether an agent may attach to a call: the call waits for one, and its agent has no URL.
    fn may_attach(&self, id: Uuid) -> Result<Option<&'static str>, RequestError> {
        let key = self.by_id.get(&id).ok_or(RequestError::NoSuchCall)?;
        let call = self.calls.get(key).ok_or(RequestError::NoSuchCall)?;
        if let Some(spec) = self.awaits_next(*key) {
            return Ok(spec.subprotocol);
        }
        let agent = call.current_agent();
        let attaches = matches!(
            &agent.kind,
            AgentKind::WebSocket(agent) if agent.url.is_none() && !agent.mux
        );
        let spec = call.awaits.filter(|_| attaches).ok_or(RequestError::NotWaiting)?;
        Ok(spec.subprotocol)
    }

    /// Ends every call: the server goes down.
    pub(super) fn end_all(&mut self) {
        self.draining = true;
        self.leave_registrars();
        let keys: Vec<CallKey> = self.calls.keys().copied().collect();
        for key in keys {
            self.tell(key, Input::End(Cause::Draining, EndedBy::Server));
        }
    }

    /// Tells a call a fact after what is under way has been done.
    pub(super) fn tell_later(&mut self, key: CallKey, input: Input) {
        self.later.push_back((key, input));
    }
}

/// Seconds that callers of a draining server are told to wait.
const DRAIN_RETRY_AFTER_S: u32 = 30;
