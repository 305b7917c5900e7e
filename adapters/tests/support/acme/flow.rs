//! Control by conversation: answer, then start the stream, then wait for the end. Every wait ends.

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::{CallEvent, CallFact, CarrierCallId, Ended, HangupCause};
use crate::exchange::{CarrierError, HttpExchange, HttpRequest, HttpResponse, escape};
use crate::flow::{
    CallFlow, EventsSocket, FlowCommand, FlowInput, FlowOutput, FlowStart, MediaChoice, Probed,
    Routed,
};
use crate::hook::HookError;
use crate::op::{Op, Step};
use crate::spec::{MediaTransport, WireFormat};
use http::header;
use media::codec::AudioFormat;
use media::time::MonoTime;
use serde_json::{Value, json};

use super::hooks;

/// Longest wait for the carrier.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) const EVENTS: EventsSocket = EventsSocket {
    connect: |config| {
        let key = config.secret("api_key").ok_or(CarrierError::Config("no API key"))?;
        HttpRequest::get("wss://eu.acme.example/v1/events".to_owned())
            .credentials(header::AUTHORIZATION, &format!("Bearer {}", key.expose()))
    },
    reverse: None,
    route: |message| {
        let value: Value = serde_json::from_slice(message).map_err(|_| HookError::Body("JSON"))?;
        match (value["offer"].as_object(), value["call"].as_str()) {
            (Some(_), _) => hooks::offered(&value["offer"]).map(Routed::Offered),
            (None, Some(call)) => Ok(Routed::Of(CarrierCallId(call.to_owned()))),
            (None, None) => Ok(Routed::Nothing),
        }
    },
    probe: |_| {
        let get = HttpRequest::get("https://eu.acme.example/v1/about".to_owned());
        Ok(Box::new(HttpExchange::new(get, |_| Ok(Probed::default()))))
    },
    opened: |_| {
        let get = HttpRequest::get("https://eu.acme.example/v1/events/filter".to_owned());
        Ok(Box::new(HttpExchange::new(get, |_| Ok(()))))
    },
    complete: |_, call| Ok(Box::new(Known(Some(call.clone())))),
    tidy: |_, _| Ok(Box::new(Known(Some(Vec::new())))),
    media: |_| MediaChoice {
        transport: MediaTransport::WebSocket,
        format: WireFormat { audio: AudioFormat::PCMU, ptime_ms: 20 },
        buffer_ms: 80,
    },
    pieces: |_, _| Vec::new(),
};

/// What is known without being asked for.
struct Known<T>(Option<T>);

impl<T: Send> Op<T> for Known<T> {
    fn next(&mut self, _: Option<HttpResponse>) -> Step<T> {
        self.0.take().map_or(Step::Fail(CarrierError::Unavailable), Step::Done)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Offered,
    Answering,
    Opening,
    Up,
    Ending,
    Over,
}

struct Flow {
    start: FlowStart,
    call: CarrierCallId,
    state: State,
    requests: u32,
    outputs: VecDeque<FlowOutput>,
    deadline: Option<MonoTime>,
}

pub(super) fn open(start: FlowStart) -> Box<dyn CallFlow> {
    let call = start.call.clone().unwrap_or_else(|| CarrierCallId(String::new()));
    Box::new(Flow {
        start,
        call,
        state: State::Offered,
        requests: 0,
        outputs: VecDeque::new(),
        deadline: None,
    })
}

impl Flow {
    fn send(&mut self, now: MonoTime, action: &str, body: &Value) {
        let call = escape(&self.call.0);
        let url = format!("https://eu.acme.example/v1/flows/{call}/{action}");
        self.requests += 1;
        let what = HttpRequest::post(url, "application/json", body.to_string());
        self.outputs.push_back(FlowOutput::Send { request: self.requests, what });
        self.deadline = Some(now + PATIENCE);
    }

    fn tell(&mut self, what: CallFact) {
        let (call, id, at_unix_ms) = (self.call.clone(), None, None);
        self.outputs.push_back(FlowOutput::Event(CallEvent { call, id, at_unix_ms, what }));
    }

    fn end(&mut self, cause: HangupCause) {
        if self.state != State::Over {
            self.state = State::Over;
            self.deadline = None;
            let ended = Ended { cause, sip_status: None, duration_ms: None, raw: None };
            self.tell(CallFact::Ended(ended));
            self.outputs.push_back(FlowOutput::Done);
        }
    }

    fn command(&mut self, now: MonoTime, command: FlowCommand) {
        match command {
            FlowCommand::Answer if self.state == State::Offered => {
                self.state = State::Answering;
                self.send(now, "answer", &json!({"events": self.start.hooks.url("status")}));
            }
            FlowCommand::Hangup | FlowCommand::Refuse(_)
                if !matches!(self.state, State::Ending | State::Over) =>
            {
                self.state = State::Ending;
                self.send(now, "hangup", &json!({}));
            }
            FlowCommand::Transfer { to, .. } if self.state == State::Up => {
                let text = json!({"transfer": self.call, "to": to.expose()}).to_string();
                self.outputs.push_back(FlowOutput::Message(text));
            }
            _ => {}
        }
    }

    fn event(&mut self, event: &CallEvent) {
        if event.call == self.call
            && let CallFact::Ended(ended) = &event.what
        {
            self.end(ended.cause);
        }
    }
}

impl CallFlow for Flow {
    fn handle(&mut self, now: MonoTime, input: FlowInput<'_>) {
        match input {
            FlowInput::Command(command) => self.command(now, command),
            FlowInput::Event(event) => self.event(event),
            FlowInput::Message(message) => {
                let value: Value = serde_json::from_slice(message.0).unwrap_or_default();
                for event in hooks::events(&value).unwrap_or_default() {
                    self.event(&event);
                }
            }
            FlowInput::Reconnected if self.state != State::Over => {
                self.outputs.push_back(FlowOutput::Message(json!({"sync": self.call}).to_string()));
            }
            FlowInput::Answer { request, result } if request == self.requests => {
                let body = result.ok().filter(|answer| answer.status.is_success());
                let ok = body.is_some();
                let media = body
                    .and_then(|answer| serde_json::from_slice::<Value>(&answer.body).ok())
                    .and_then(|body| body["rtp"].as_str()?.parse().ok());
                match self.state {
                    State::Answering if ok => {
                        self.state = State::Opening;
                        self.tell(CallFact::Answered);
                        self.send(now, "stream", &json!({"url": self.start.stream_url}));
                    }
                    State::Opening if ok => {
                        self.state = State::Up;
                        self.deadline = None;
                        self.outputs.extend(media.map(FlowOutput::Media));
                        self.tell(CallFact::StreamStarted);
                    }
                    State::Ending => self.end(HangupCause::Normal),
                    State::Answering | State::Opening => self.end(HangupCause::Failed),
                    State::Offered | State::Up | State::Over => {}
                }
            }
            FlowInput::Timeout if self.deadline.is_some_and(|deadline| deadline <= now) => {
                self.end(HangupCause::Failed);
            }
            FlowInput::Answer { .. } | FlowInput::Reconnected | FlowInput::Timeout => {}
        }
    }

    fn poll(&mut self) -> Option<FlowOutput> {
        self.outputs.pop_front()
    }

    fn deadline(&self) -> Option<MonoTime> {
        self.deadline
    }
}
