//! Flows: a miniature of Asterisk answers requests and tells events, in any order.

use std::collections::VecDeque;

use media::time::MonoTime;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::flow::open;
use super::rest::{answer, config};
use crate::address::Address;
use crate::agent::Direction;
use crate::event::{CallFact, CarrierCallId, HangupCause};
use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::flow::{CallFlow, FlowCommand, FlowInput, FlowMessage, FlowOutput, FlowStart};
use crate::hook::HookUrls;
use crate::op::Refusal;

pub(super) const CALLER: &str = "pbx1-1.1";
const PLACED: &str = "voiceapp.o.0190";
pub(super) const MEDIA: &str = "voiceapp.m.0190.1";
pub(super) const BRIDGE: &str = "voiceapp.b.0190";

/// A call at the miniature.
pub(super) struct Call {
    flow: Box<dyn CallFlow>,
    peer: &'static str,
    now: MonoTime,
    /// Answers and events on their way; which of them is next is decided by `order`.
    coming: VecDeque<Coming>,
    order: Vec<usize>,
    pub(super) asked: Vec<String>,
    pub(super) facts: Vec<CallFact>,
    media: usize,
    pub(super) done: bool,
    /// The ids that its peer has had since.
    pub(super) replaced: Vec<String>,
    /// Paths whose requests fail, with this status.
    pub(super) broken: Vec<(&'static str, u16)>,
}

enum Coming {
    Answer(u32, Result<HttpResponse, CarrierError>),
    Event(Value),
}

fn channel(id: &str, state: &str) -> Value {
    let technology = if id.contains(".m.") { "UnicastRTP/x" } else { "PJSIP/a" };
    let dialplan = json!({"app_name": "Stasis", "app_data": "voiceapp,700"});
    json!({"id": id, "name": technology, "state": state, "dialplan": dialplan})
}

pub(super) fn event(kind: &str, id: &str, state: &str) -> Value {
    json!({"type": kind, "application": "voiceapp", "args": [], "channel": channel(id, state)})
}

pub(super) fn destroyed(id: &str, cause: u16, tech_cause: Option<u16>) -> Value {
    let mut event = event("ChannelDestroyed", id, "Up");
    (event["cause"], event["tech_cause"]) = (cause.into(), tech_cause.into());
    event
}

impl Call {
    fn new(direction: Direction, order: Vec<usize>) -> Self {
        let peer = if direction == Direction::Inbound { CALLER } else { PLACED };
        let flow = open(FlowStart {
            config: config(),
            direction,
            call: Some(CarrierCallId(peer.to_owned())),
            to: Address::parse("700", None).unwrap(),
            from: None,
            stream_url: "198.51.100.7:20000".to_owned(),
            hooks: HookUrls::new("https://t.example", "ari", "tok").of_call("0190"),
        });
        let mut call = Self {
            flow,
            peer,
            now: MonoTime::from_nanos(1),
            coming: VecDeque::new(),
            order,
            asked: Vec::new(),
            facts: Vec::new(),
            media: 0,
            done: false,
            replaced: Vec::new(),
            broken: Vec::new(),
        };
        call.hand(FlowInput::Timeout);
        call
    }

    pub(super) fn hand(&mut self, input: FlowInput<'_>) {
        self.flow.handle(self.now, input);
        while let Some(output) = self.flow.poll() {
            assert!(!self.done, "nothing comes after the end");
            match output {
                FlowOutput::Send { request, what } => self.serve(request, &what),
                FlowOutput::Event(event) => self.facts.push(event.what),
                FlowOutput::Media(address) => {
                    assert_eq!(address, "192.0.2.10:21928".parse().unwrap());
                    self.media += 1;
                }
                FlowOutput::Message(text) => panic!("{text}"),
                FlowOutput::Connect(request) => panic!("{request:?}"),
                FlowOutput::Replaced(id) => self.replaced.push(id.0),
                FlowOutput::Done => self.done = true,
            }
        }
    }

    pub(super) fn command(&mut self, command: FlowCommand) {
        self.hand(FlowInput::Command(command));
    }

    /// What Asterisk answers, and what happens.
    fn serve(&mut self, number: u32, request: &HttpRequest) {
        let path = request.url.split("/ari/").nth(1).unwrap().split('?').next().unwrap();
        let line = format!("{} {path}", request.method);
        let broken = self.broken.iter().find(|(part, _)| line.contains(part)).copied();
        self.asked.push(line.clone());
        if let Some((_, status)) = broken {
            let result = match status {
                0 => Err(CarrierError::Unavailable),
                status => Ok(answer(status, &json!({"message": "no"}))),
            };
            self.coming.push_back(Coming::Answer(number, result));
            return;
        }
        let (mut body, mut events) = (json!({}), Vec::new());
        match line.as_str() {
            "POST channels/externalMedia" => {
                let id = request.url.split("channelId=").nth(1).unwrap();
                let id = id.split('&').next().unwrap();
                body = channel(id, "Down");
                body["channelvars"] = json!({
                    "UNICASTRTP_LOCAL_ADDRESS": "192.0.2.10",
                    "UNICASTRTP_LOCAL_PORT": "21928",
                });
                events.push(event("StasisStart", id, "Up"));
            }
            "POST channels/pbx1-1.1/answer" => {
                events.push(event("ChannelStateChange", CALLER, "Up"));
            }
            "DELETE channels/pbx1-1.1" | "DELETE channels/voiceapp.o.0190" => {
                events.push(destroyed(self.peer, 16, None));
            }
            _ if line.starts_with("DELETE channels/") => {
                events.push(destroyed(path.trim_start_matches("channels/"), 16, None));
            }
            _ => {}
        }
        self.coming.push_back(Coming::Answer(number, Ok(answer(200, &body))));
        self.coming.extend(events.into_iter().map(Coming::Event));
    }

    pub(super) fn tell(&mut self, event: &Value) {
        let text = event.to_string();
        self.hand(FlowInput::Message(FlowMessage(text.as_bytes())));
    }

    /// Lets all that is on its way arrive.
    pub(super) fn settle(&mut self) {
        let mut steps = 0;
        while !self.coming.is_empty() {
            let at = self.order.pop().unwrap_or(0) % self.coming.len();
            match self.coming.remove(at).unwrap() {
                Coming::Answer(request, result) => self.hand(FlowInput::Answer { request, result }),
                Coming::Event(event) => self.tell(&event),
            }
            steps += 1;
            assert!(steps < 200, "{:?}", self.asked);
        }
    }

    /// Lets time pass until the flow is over.
    pub(super) fn pass(&mut self) {
        for _ in 0..20 {
            self.settle();
            let Some(deadline) = self.flow.deadline() else { return };
            self.now = self.now.max(deadline);
            self.hand(FlowInput::Timeout);
        }
        panic!("no end: {:?}", self.asked);
    }

    pub(super) fn has_asked(&self, part: &str) -> usize {
        self.asked.iter().filter(|line| line.contains(part)).count()
    }

    pub(super) fn end(&self) -> HangupCause {
        let ends = self.facts.iter().filter_map(|fact| match fact {
            CallFact::Ended(ended) => Some(ended.cause),
            _ => None,
        });
        let ends: Vec<_> = ends.collect();
        assert_eq!(ends.len(), 1, "{:?}", self.facts);
        ends[0]
    }

    /// A call that came in and talks.
    pub(super) fn talking() -> Self {
        let mut call = Self::new(Direction::Inbound, Vec::new());
        call.command(FlowCommand::Answer);
        call.settle();
        assert!(call.facts.contains(&CallFact::StreamStarted), "{:?}", call.asked);
        call
    }
}

proptest! {
    /// In whatever order answers and events arrive, a caller is answered once, after its audio is
    /// there, and nothing is left of the call when it is over.
    #[test]
    fn callers_are_answered(
        order in proptest::collection::vec(0usize..8, 40),
        early in any::<bool>(),
    ) {
        let mut call = Call::new(Direction::Inbound, order);
        if early {
            call.command(FlowCommand::Answer);
        }
        call.settle();
        call.command(FlowCommand::Answer);
        call.settle();
        prop_assert_eq!(call.media, 1);
        prop_assert_eq!(call.has_asked("/answer"), 1);
        let place = |part: &str| call.asked.iter().position(|line| line.contains(part));
        prop_assert!(place("addChannel") < place("/answer"));
        prop_assert_eq!(call.facts.last(), Some(&CallFact::StreamStarted));
        call.tell(&event("ChannelHangupRequest", CALLER, "Up"));
        call.tell(&event("StasisEnd", CALLER, "Up"));
        call.tell(&destroyed(CALLER, 0, None));
        call.settle();
        prop_assert_eq!(call.end(), HangupCause::Normal);
        prop_assert_eq!(call.has_asked(&format!("DELETE channels/{MEDIA}")), 1);
        prop_assert_eq!(call.has_asked(&format!("DELETE bridges/{BRIDGE}")), 1);
        prop_assert!(call.done);
    }

    /// A caller may be gone at any moment: nothing is left, and nobody is answered.
    #[test]
    fn callers_give_up(order in proptest::collection::vec(0usize..8, 40), after in 0usize..12) {
        let mut call = Call::new(Direction::Inbound, order);
        call.command(FlowCommand::Answer);
        for _ in 0..after.min(call.coming.len()) {
            let coming = call.coming.pop_front();
            match coming {
                Some(Coming::Answer(request, result)) => {
                    call.hand(FlowInput::Answer { request, result });
                }
                Some(Coming::Event(event)) => call.tell(&event),
                None => break,
            }
        }
        call.broken.push((CALLER, 404));
        call.tell(&destroyed(CALLER, 127, Some(487)));
        call.pass();
        prop_assert!(call.done);
        call.end();
        let made = call.has_asked("POST channels/externalMedia");
        prop_assert_eq!(call.has_asked("DELETE channels/voiceapp.m"), made);
        prop_assert_eq!(call.has_asked("DELETE bridges/"), call.has_asked("POST bridges?") + made);
    }
}

/// A caller that gives up before the answer is told so; one that is refused hears why.
#[test]
fn unanswered_callers() {
    let mut call = Call::new(Direction::Inbound, Vec::new());
    call.settle();
    call.tell(&event("ChannelHangupRequest", CALLER, "Ring"));
    call.tell(&destroyed(CALLER, 127, Some(487)));
    call.settle();
    assert_eq!((call.end(), call.done), (HangupCause::Cancelled, true));

    let mut call = Call::new(Direction::Inbound, Vec::new());
    call.command(FlowCommand::Refuse(Refusal::NotFound));
    call.pass();
    assert!(call.done && call.has_asked("DELETE channels/pbx1-1.1") == 1);
    // Nothing is made for a call that is refused at once.
    let mut flow = open(FlowStart {
        config: config(),
        direction: Direction::Inbound,
        call: Some(CarrierCallId(CALLER.to_owned())),
        to: Address::parse("700", None).unwrap(),
        from: None,
        stream_url: String::new(),
        hooks: HookUrls::new("https://t.example", "ari", "tok"),
    });
    flow.handle(MonoTime::ZERO, FlowInput::Command(FlowCommand::Refuse(Refusal::NotFound)));
    let Some(FlowOutput::Send { what, .. }) = flow.poll() else { panic!() };
    assert!(what.url.ends_with("/channels/pbx1-1.1?reason=unallocated"), "{}", what.url);
    assert_eq!(flow.poll(), None);
}

/// A call whose audio cannot be had is refused, not answered in silence.
#[test]
fn without_audio_nobody_is_answered() {
    for (part, status) in [("externalMedia", 500), ("POST bridges", 500), ("addChannel", 422)] {
        let mut call = Call::new(Direction::Inbound, Vec::new());
        call.broken.push((part, status));
        call.command(FlowCommand::Answer);
        // What was asked for at the beginning is served as it was.
        call.pass();
        if call.has_asked("/answer") > 0 {
            continue;
        }
        assert_eq!((call.end(), call.done), (HangupCause::Failed, true), "{part}");
        assert_eq!(call.has_asked("DELETE channels/pbx1-1.1"), 1, "{part}");
    }
}

/// A call that we placed: it rings, is answered, heard at once, and ends with its cause.
#[test]
fn calls_are_placed() {
    let mut call = Call::new(Direction::Outbound, Vec::new());
    call.settle();
    call.tell(&event("ChannelStateChange", PLACED, "Ringing"));
    call.tell(&event("ChannelStateChange", PLACED, "Up"));
    call.tell(&event("StasisStart", PLACED, "Up"));
    call.settle();
    let facts = [CallFact::Ringing, CallFact::Answered, CallFact::StreamStarted];
    assert_eq!(call.facts, facts);
    call.command(FlowCommand::Hangup);
    call.settle();
    assert_eq!((call.end(), call.done), (HangupCause::Normal, true));

    for (cause, tech, by_us, expected) in [
        (17, Some(486), false, HangupCause::Busy),
        (19, Some(480), false, HangupCause::NoAnswer),
        (1, Some(404), false, HangupCause::NotFound),
        (34, Some(503), false, HangupCause::Congestion),
        (0, None, false, HangupCause::Failed),
    ] {
        let mut call = Call::new(Direction::Outbound, Vec::new());
        call.settle();
        call.tell(&destroyed(PLACED, cause, tech));
        call.settle();
        assert_eq!((call.end(), call.done, by_us), (expected, true, false));
        assert_eq!(call.has_asked("DELETE channels/voiceapp.m"), 1);
    }
    let mut call = Call::new(Direction::Outbound, Vec::new());
    call.settle();
    call.command(FlowCommand::Hangup);
    call.settle();
    assert_eq!((call.end(), call.done), (HangupCause::Cancelled, true));
}

/// Who hangs up before the media are there leaves nothing behind either.
#[test]
fn media_that_come_late_go() {
    let mut call = Call::new(Direction::Inbound, Vec::new());
    call.command(FlowCommand::Hangup);
    call.settle();
    assert!(call.done);
    assert_eq!(call.has_asked(&format!("DELETE channels/{MEDIA}")), 1);
    assert_eq!(call.has_asked(&format!("DELETE bridges/{BRIDGE}")), 1);
}

/// Audio that is lost comes another way, a few times; a bridge that is lost ends the call.
#[test]
fn media_are_made_anew() {
    let mut call = Call::talking();
    call.tell(&destroyed(MEDIA, 16, None));
    call.settle();
    assert_eq!((call.media, call.has_asked("addChannel"), call.done), (2, 2, false));
    call.tell(
        &json!({"type": "BridgeDestroyed", "application": "voiceapp", "bridge": {"id": BRIDGE}}),
    );
    call.settle();
    assert!(call.done && call.has_asked("DELETE channels/pbx1-1.1") == 1);
    assert_eq!(call.end(), HangupCause::Failed);
}

/// Who is taken out of the bridge is put into it again, and a call whose bridge is gone without a
/// word ends; who leaves at the end is left alone.
#[test]
fn who_parts_is_joined_again() {
    let parted = |call: &mut Call| {
        let mut left = event("ChannelLeftBridge", CALLER, "Up");
        left["bridge"] = json!({"id": BRIDGE});
        call.tell(&left);
        call.settle();
    };
    let mut call = Call::talking();
    parted(&mut call);
    assert_eq!(call.has_asked("addChannel"), 1);
    call.pass();
    assert_eq!((call.has_asked("addChannel"), call.done), (2, false));
    call.broken.push(("addChannel", 404));
    parted(&mut call);
    call.pass();
    assert_eq!((call.end(), call.done), (HangupCause::Failed, true));

    // Some versions tell nothing else of a bridge that is deleted as soon as it is used.
    let mut call = Call::new(Direction::Inbound, Vec::new());
    call.settle();
    call.broken.push(("addChannel", 404));
    parted(&mut call);
    call.command(FlowCommand::Answer);
    call.pass();
    assert_eq!((call.end(), call.done), (HangupCause::Failed, true));

    let mut call = Call::talking();
    parted(&mut call);
    call.tell(&event("StasisEnd", CALLER, "Up"));
    call.tell(&destroyed(CALLER, 16, None));
    call.pass();
    assert_eq!((call.has_asked("addChannel"), call.end()), (1, HangupCause::Normal));
}

/// Keys of the caller are told.
#[test]
fn digits_are_told() {
    let mut call = Call::talking();
    let mut pressed = event("ChannelDtmfReceived", CALLER, "Up");
    pressed["digit"] = "5".into();
    call.tell(&pressed);
    assert!(matches!(call.facts.last(), Some(CallFact::Dtmf { digit }) if digit.expose() == "5"));
}

/// After the socket was lost each call asks how it stands: one that is not there any more is over.
#[test]
fn what_was_not_heard_is_asked_for() {
    let mut call = Call::talking();
    call.broken.push(("GET channels/pbx1-1.1", 404));
    call.hand(FlowInput::Reconnected);
    call.settle();
    assert_eq!((call.end(), call.done), (HangupCause::Failed, true));
    let mut call = Call::talking();
    call.broken.push(("GET channels/", 0));
    call.hand(FlowInput::Reconnected);
    call.settle();
    assert!(!call.done && call.has_asked("subscription") == 2);
    // An Asterisk that is there again.
    call.broken.clear();
    call.hand(FlowInput::Reconnected);
    call.settle();
    assert_eq!((call.has_asked("GET channels/"), call.has_asked("GET bridges/")), (4, 2));
    // Its bridge is gone, and nobody would hear anybody.
    call.broken.push(("GET bridges/", 404));
    call.hand(FlowInput::Reconnected);
    call.settle();
    assert_eq!((call.end(), call.done), (HangupCause::Failed, true));
    assert_eq!(call.has_asked("DELETE channels/pbx1-1.1"), 1);
}
