//! The control of a call: answer it, where needed open its stream apart, end it. The carrier does
//! nothing by itself, and a call whose stream is lost stays up in silence.

use std::collections::VecDeque;
use std::time::Duration;

use media::time::MonoTime;

use super::calls;
use super::errors::success;
use crate::agent::Direction;
use crate::event::{CallEvent, CallFact, CarrierCallId, Ended, HangupCause};
use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::flow::{CallFlow, FlowCommand, FlowInput, FlowOutput, FlowStart};
use crate::op::Transfer;

/// Longest wait for the answer to a request.
const REQUEST_PATIENCE: Duration = Duration::from_secs(10);
/// Longest wait for the event that follows an accepted command; then things go on without it.
const EVENT_PATIENCE: Duration = Duration::from_secs(5);
/// Most requests whose answers are outstanding.
const PENDING_MAX: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The carrier holds the call until it is answered or refused.
    Offered,
    /// The answer is on its way.
    Answering,
    /// The carrier took the answer; the stream is opened once the call is answered.
    Waiting,
    /// The stream is being opened.
    Opening,
    /// Nothing is waited for: the call is up, or rings at the called party.
    Up,
    /// It is being ended.
    Ending,
    /// It is over.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Answer,
    Open,
    End,
    Other,
}

struct Flow {
    start: FlowStart,
    call: CarrierCallId,
    state: State,
    /// Why it ends, if no event tells.
    cause: HangupCause,
    /// Where the stream is to be opened.
    stream_url: String,
    requests: u32,
    pending: Vec<(u32, Kind)>,
    outputs: VecDeque<FlowOutput>,
    deadline: Option<MonoTime>,
}

pub(super) fn open(start: FlowStart) -> Box<dyn CallFlow> {
    let call = start.call.clone().unwrap_or_else(|| CarrierCallId(String::new()));
    let state = match start.direction {
        Direction::Inbound => State::Offered,
        Direction::Outbound => State::Up,
    };
    let stream_url = start.stream_url.clone();
    Box::new(Flow {
        start,
        call,
        state,
        cause: HangupCause::Failed,
        stream_url,
        requests: 0,
        pending: Vec::new(),
        outputs: VecDeque::new(),
        deadline: None,
    })
}

impl Flow {
    /// Sends what `make` makes of a number that no other request of the call has. A request that
    /// cannot be made ends the flow: the configuration is unusable.
    fn send(
        &mut self,
        now: MonoTime,
        kind: Kind,
        make: impl FnOnce(&Self, &str) -> Result<HttpRequest, CarrierError>,
    ) {
        self.requests += 1;
        let Ok(what) = make(self, &self.requests.to_string()) else {
            return self.end(HangupCause::Failed);
        };
        if self.pending.len() >= PENDING_MAX {
            self.pending.remove(0);
        }
        self.pending.push((self.requests, kind));
        self.outputs.push_back(FlowOutput::Send { request: self.requests, what });
        if kind != Kind::Other {
            self.deadline = Some(now + REQUEST_PATIENCE);
        }
    }

    fn open_stream(&mut self, now: MonoTime) {
        self.state = State::Opening;
        self.send(now, Kind::Open, |flow, id| {
            let body = calls::stream(&flow.start.config, &flow.stream_url, true);
            calls::command(&flow.start.config, &flow.call, "streaming_start", Some(id), body)
        });
    }

    fn hang_up(&mut self, now: MonoTime, cause: HangupCause) {
        if !matches!(self.state, State::Ending | State::Over) {
            (self.state, self.cause) = (State::Ending, cause);
            self.send(now, Kind::End, |flow, _| {
                calls::hangup_request(&flow.start.config, &flow.call)
            });
        }
    }

    fn tell_end(&mut self, event: CallEvent) {
        if self.state != State::Over {
            self.state = State::Over;
            self.deadline = None;
            self.outputs.push_back(FlowOutput::Event(event));
            self.outputs.push_back(FlowOutput::Done);
        }
    }

    fn end(&mut self, cause: HangupCause) {
        let ended = Ended { cause, sip_status: None, duration_ms: None, raw: None };
        let (call, id, at_unix_ms) = (self.call.clone(), None, None);
        self.tell_end(CallEvent { call, id, at_unix_ms, what: CallFact::Ended(ended) });
    }

    fn command(&mut self, now: MonoTime, command: FlowCommand) {
        if matches!(self.state, State::Ending | State::Over) {
            return;
        }
        match command {
            FlowCommand::Answer if self.state == State::Offered => {
                self.state = State::Answering;
                self.send(now, Kind::Answer, |flow, id| {
                    let Self { start, call, stream_url, .. } = flow;
                    let events = start.hooks.url("events");
                    calls::answer_request(&start.config, call, &events, stream_url, id)
                });
            }
            FlowCommand::Refuse(refusal) if self.state == State::Offered => {
                (self.state, self.cause) = (State::Ending, refusal.cause());
                self.send(now, Kind::End, |flow, _| {
                    calls::refuse_request(&flow.start.config, &flow.call, refusal)
                });
            }
            FlowCommand::Hangup | FlowCommand::Refuse(_) => {
                self.hang_up(now, HangupCause::Normal);
            }
            FlowCommand::Transfer { kind, to, from, ring_timeout_s } if self.state == State::Up => {
                let (call, hooks) = (self.call.clone(), self.start.hooks.clone());
                // Unique within the call, whose addresses the hooks are.
                let id = (self.requests + 1).to_string();
                let transfer = Transfer { id, kind, call, to, from, hooks, ring_timeout_s };
                self.send(now, Kind::Other, |flow, id| {
                    calls::transfer_request(&flow.start.config, &transfer, Some(id))
                });
            }
            FlowCommand::Dtmf(digits) if self.state == State::Up => {
                self.send(now, Kind::Other, |flow, id| {
                    let Self { start, call, .. } = flow;
                    calls::dtmf_request(&start.config, call, digits.expose(), Some(id))
                });
            }
            FlowCommand::Restream(url) => {
                self.stream_url = url;
                if self.state == State::Up {
                    self.open_stream(now);
                }
            }
            // Whoever was called for a transfer is let go by a request.
            FlowCommand::Keep(_) => {}
            FlowCommand::Answer | FlowCommand::Transfer { .. } | FlowCommand::Dtmf(_) => {}
        }
    }

    fn answered(&mut self, now: MonoTime, kind: Kind, result: Result<HttpResponse, CarrierError>) {
        let result = result.and_then(|answer| success(&answer));
        let gone = matches!(result, Err(CarrierError::CallOver | CarrierError::NotFound));
        match kind {
            Kind::Answer | Kind::Open if gone => self.end(HangupCause::Cancelled),
            Kind::Answer if self.state == State::Answering => match result {
                Ok(()) if calls::streams_apart(&self.start.config) => {
                    self.state = State::Waiting;
                    self.deadline = Some(now + EVENT_PATIENCE);
                }
                Ok(()) => (self.state, self.deadline) = (State::Up, None),
                Err(_) => self.hang_up(now, HangupCause::Failed),
            },
            Kind::Open if self.state == State::Opening => match result {
                Ok(()) => (self.state, self.deadline) = (State::Up, None),
                Err(_) => self.hang_up(now, HangupCause::Failed),
            },
            // The event that tells the end, and why, is about to come.
            Kind::End if result.is_ok() => self.deadline = Some(now + EVENT_PATIENCE),
            Kind::End => self.end(self.cause),
            Kind::Answer | Kind::Open | Kind::Other => {}
        }
    }

    fn event(&mut self, now: MonoTime, event: &CallEvent) {
        if event.call != self.call {
            // On its way out a call may get another id than the request for it was answered with.
            let begins = matches!(event.what, CallFact::Initiated | CallFact::Answered);
            if self.start.direction == Direction::Inbound || !begins {
                return;
            }
            self.call = event.call.clone();
        }
        match event.what {
            CallFact::Ended(_) => self.tell_end(event.clone()),
            CallFact::Answered if self.state == State::Waiting => self.open_stream(now),
            _ => {}
        }
    }
}

impl CallFlow for Flow {
    fn handle(&mut self, now: MonoTime, input: FlowInput<'_>) {
        match input {
            FlowInput::Command(command) => self.command(now, command),
            FlowInput::Event(event) => self.event(now, event),
            FlowInput::Answer { request, result } => {
                let place = self.pending.iter().position(|(pending, _)| *pending == request);
                if let Some(place) = place
                    && self.state != State::Over
                {
                    let (_, kind) = self.pending.swap_remove(place);
                    self.answered(now, kind, result);
                }
            }
            FlowInput::Timeout if self.deadline.is_some_and(|deadline| deadline <= now) => {
                self.deadline = None;
                match self.state {
                    // The event may be late; the stream can be opened all the same.
                    State::Waiting => self.open_stream(now),
                    State::Ending => self.end(self.cause),
                    _ => self.hang_up(now, HangupCause::Failed),
                }
            }
            FlowInput::Message(_) | FlowInput::Reconnected | FlowInput::Timeout => {}
        }
    }

    fn poll(&mut self) -> Option<FlowOutput> {
        self.outputs.pop_front()
    }

    fn deadline(&self) -> Option<MonoTime> {
        self.deadline
    }
}
