//! The control of one call: what is to be done follows from what is known, never from the order in
//! which it became known, for events and answers overtake each other.
//!
//! A call has up to four things at Asterisk: the peer's channel, a channel of external media, a
//! bridge in which they hear each other, and the channel of somebody who takes the call over. The
//! flow is over once all that is ours is gone.

mod ending;
mod handing;
mod replaced;
mod things;
mod told;

use std::collections::VecDeque;
use std::time::Duration;

use media::time::MonoTime;

use super::calls::join_request;
use super::calls::{self, channel_path};
use super::errors::success;
use super::events::By;
use super::external::{self, Where};
use super::names::{Names, Role};
use super::request::post;
use crate::agent::Direction;
use crate::config::RawConfig;
use crate::event::{CallEvent, CallFact, CarrierCallId};
use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::flow::{CallFlow, FlowCommand, FlowInput, FlowOutput, FlowStart};
use crate::secret::Pii;
use handing::Target;
use things::Thing;

/// Longest wait for the answer to a request.
const REQUEST_PATIENCE: Duration = Duration::from_secs(15);
/// How long it may take until the peer's audio can come.
const SETUP_PATIENCE: Duration = Duration::from_secs(10);
/// Longest wait for the event that tells the end of a channel.
const EVENT_PATIENCE: Duration = Duration::from_secs(5);
/// How long the peer or our audio may be out of the bridge, unless it is at its end.
const PARTED_PATIENCE: Duration = Duration::from_secs(1);
/// Times in a row that they are put together again.
const JOINS_MAX: u32 = 3;
/// Most requests whose answers are outstanding.
const PENDING_MAX: usize = 64;
/// Media channels that a call may have, one after the other.
const MEDIA_MAX: u32 = 3;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Subscribe,
    Media,
    Bridge,
    Join,
    Answer,
    JoinTarget,
    /// How a channel stands, after the socket of events was lost.
    Look(Role),
    Delete(Role),
    Other,
}

/// The peer's channel.
#[derive(Debug)]
struct Peer {
    thing: Thing,
    /// It is in our application, and can be put into a bridge.
    entered: bool,
    /// It was answered at any time.
    answered: bool,
    /// The last word of `Dial`.
    dialled: String,
    /// Who wanted its end first.
    ended_by: Option<By>,
    /// It is a channel by which Asterisk has called somebody else, for the one before.
    stands_in: bool,
}

struct Flow {
    config: RawConfig,
    direction: Direction,
    /// None if the configuration lacks what they are made of: then nothing can be done.
    names: Option<Names>,
    stream_url: String,
    call: CarrierCallId,
    began: bool,
    peer: Peer,
    media: Thing,
    media_entered: bool,
    /// How many there have been.
    media_count: u32,
    bridge: Thing,
    /// The request that joins them is under way, or done.
    joining: bool,
    joined: bool,
    /// One of them has left the bridge, or could not be put into it.
    parted: bool,
    /// Times in a row that they could not.
    refusals: u32,
    /// The stream was told to have begun.
    streaming: bool,
    wants_answer: bool,
    answering: bool,
    target: Option<Target>,
    /// Transfers that were given up.
    given_up: Vec<String>,
    /// Legs of transfers that have been let go.
    strays: Vec<String>,
    /// The peer talks with somebody else: it is not ours to be ended.
    handed_over: bool,
    /// Everything is to go.
    ending: bool,
    /// Something that it cannot be without was not to be had.
    failed: bool,
    /// How the peer is told of the end.
    reason: &'static str,
    /// The end was told.
    told_end: bool,
    done: bool,
    requests: u32,
    pending: Vec<(u32, Kind, MonoTime)>,
    outputs: VecDeque<FlowOutput>,
    /// When the peer's audio must have been joined, or a channel's end be told.
    due: Option<MonoTime>,
}

pub(super) fn open(start: FlowStart) -> Box<dyn CallFlow> {
    let FlowStart { config, direction, call, stream_url, hooks, .. } = start;
    let names = Names::of(&config, &hooks).ok();
    let placed = || names.as_ref().map(|names| CarrierCallId(names.name(Role::Peer)));
    let call = call.or_else(placed).unwrap_or_else(|| CarrierCallId(String::new()));
    Box::new(Flow {
        config,
        direction,
        names,
        stream_url,
        peer: Peer {
            thing: Thing::there(call.0.clone()),
            entered: direction == Direction::Inbound,
            answered: false,
            dialled: String::new(),
            ended_by: None,
            stands_in: false,
        },
        call,
        began: false,
        media: Thing::default(),
        media_entered: false,
        media_count: 0,
        bridge: Thing::default(),
        joining: false,
        joined: false,
        parted: false,
        refusals: 0,
        streaming: false,
        wants_answer: false,
        answering: false,
        target: None,
        given_up: Vec::new(),
        strays: Vec::new(),
        handed_over: false,
        ending: false,
        failed: false,
        reason: "normal",
        told_end: false,
        done: false,
        requests: 0,
        pending: Vec::new(),
        outputs: VecDeque::new(),
        due: Some(MonoTime::ZERO),
    })
}

impl Flow {
    /// Sends a request; one that cannot be made ends the flow: the configuration is unusable.
    fn send(&mut self, now: MonoTime, kind: Kind, request: Result<HttpRequest, CarrierError>) {
        let Ok(what) = request else {
            self.ending = true;
            return;
        };
        self.requests += 1;
        if self.pending.len() >= PENDING_MAX {
            self.pending.remove(0);
        }
        self.pending.push((self.requests, kind, now + REQUEST_PATIENCE));
        self.outputs.push_back(FlowOutput::Send { request: self.requests, what });
    }

    fn tell(&mut self, at_unix_ms: Option<u64>, what: CallFact) {
        let event = CallEvent { call: self.call.clone(), id: None, at_unix_ms, what };
        self.outputs.push_back(FlowOutput::Event(event));
    }

    /// What is done first: the caller's end is to be told, and audio prepared before the answer.
    fn begin(&mut self, now: MonoTime) {
        if std::mem::replace(&mut self.began, true) {
            return;
        }
        self.due = Some(now + SETUP_PATIENCE);
        if self.direction == Direction::Inbound && !self.ending {
            self.subscribe(now);
        }
        if self.direction == Direction::Outbound {
            // It rings for as long as it was placed for.
            self.due = None;
        }
    }

    fn subscribe(&mut self, now: MonoTime) {
        let channel = self.call.0.clone();
        self.subscribe_to(now, &channel);
    }

    fn make_media(&mut self, now: MonoTime) {
        let Some(names) = &self.names else { return };
        self.media_count += 1;
        let name = names.media(self.media_count);
        let request = external::request(&self.config, names.app(), &name, &self.stream_url);
        self.media = Thing::asked(name);
        (self.media_entered, self.joining, self.joined) = (false, false, false);
        self.send(now, Kind::Media, request);
    }

    fn make_bridge(&mut self, now: MonoTime) {
        let Some(names) = &self.names else { return };
        let name = names.name(Role::Bridge);
        // Digits are told of whoever is in it.
        let query = [("type", "mixing,dtmf_events"), ("bridgeId", &name)];
        let request = post(&self.config, "bridges", &query);
        self.bridge = Thing::asked(name);
        self.send(now, Kind::Bridge, request);
    }

    /// Does what is to be done next, as far as what is known allows it.
    fn advance(&mut self, now: MonoTime) {
        if self.done {
            return;
        }
        if self.names.is_none() {
            self.ending = true;
        }
        if self.peer.thing.is_gone() {
            self.tell_end(None);
        }
        if self.ending || self.handed_over {
            return self.let_go(now);
        }
        if !self.began {
            return;
        }
        if self.media.is_unmade() && self.media_count < MEDIA_MAX {
            self.make_media(now);
        }
        if self.bridge.is_unmade() {
            self.make_bridge(now);
        }
        let there = self.bridge.is_there() && self.media_entered && self.peer.entered;
        if there && !self.joining {
            self.joining = true;
            let both = format!("{},{}", self.call.0, self.media.name);
            let request = join_request(&self.config, &self.bridge.name, &both);
            self.send(now, Kind::Join, request);
        }
        if self.joined && self.wants_answer && !self.answering {
            self.answering = true;
            let path = format!("{}/answer", channel_path(&self.call.0));
            // A channel that is answered twice is answered.
            let request = post(&self.config, &path, &[]).map(HttpRequest::repeatable);
            self.send(now, Kind::Answer, request);
        }
        let heard = self.joined && !self.parted && self.peer.answered;
        if heard && !self.streaming {
            (self.streaming, self.due) = (true, None);
            self.tell(None, CallFact::StreamStarted);
        }
        self.join_target(now);
    }

    fn command(&mut self, now: MonoTime, command: FlowCommand) {
        match command {
            FlowCommand::Answer => {
                self.begin(now);
                self.wants_answer = true;
            }
            FlowCommand::Refuse(refusal) => self.end_with(now, super::causes::reason(refusal)),
            FlowCommand::Hangup => self.end_with(now, "normal"),
            FlowCommand::Keep(transfer) => self.keep(now, transfer),
            FlowCommand::Dtmf(digits) => self.press(now, &digits),
            // The call control asks for these by operations; a stream by RTP has no address.
            FlowCommand::Transfer { .. } | FlowCommand::Restream(_) => {}
        }
    }

    fn press(&mut self, now: MonoTime, digits: &Pii) {
        if !self.ending {
            let path = format!("{}/dtmf", channel_path(&self.call.0));
            let request = post(&self.config, &path, &[("dtmf", digits.expose())]);
            self.send(now, Kind::Other, request);
        }
    }

    fn answered(&mut self, now: MonoTime, kind: Kind, result: Result<HttpResponse, CarrierError>) {
        let result = result.and_then(|answer| success(&answer).map(|()| answer));
        match (kind, result) {
            (Kind::Media, Ok(answer)) => self.media_made(now, &answer),
            (Kind::Bridge, Ok(_)) => self.bridge.made(),
            (Kind::Join, Ok(_)) => (self.joined, self.refusals) = (true, 0),
            // To be told of the answer, the event may come later.
            (Kind::Answer, Ok(_)) => self.peer.answered = true,
            (Kind::JoinTarget, Ok(_)) if self.joins_target() => self.hand_over(),
            (Kind::Look(role), result) => self.looked(now, role, result),
            (Kind::Delete(role), result) => self.deleted(now, role, result.err().as_ref()),
            (Kind::Subscribe, Err(CarrierError::NotFound | CarrierError::Refused { .. })) => {
                // Whoever called is gone already: nobody will tell.
                self.look(now, Role::Peer);
            }
            (Kind::Media, Err(error)) => {
                self.media.not_made(&error);
                self.fail(now);
            }
            (Kind::Bridge, Err(error)) => {
                self.bridge.not_made(&error);
                self.fail(now);
            }
            (Kind::Join | Kind::Answer, Err(CarrierError::Unavailable)) => self.fail(now),
            (Kind::Join | Kind::Answer, Err(_)) => self.refused(now),
            (Kind::JoinTarget, Err(_)) if self.joins_target() => self.target_failed(now),
            (Kind::JoinTarget, _) => {}
            (Kind::Subscribe | Kind::Other, _) => {}
        }
    }

    fn media_made(&mut self, now: MonoTime, answer: &HttpResponse) {
        self.media.made();
        let channel = calls::channel(answer).ok();
        match channel.and_then(|channel| external::made(&self.config, &channel)) {
            Some(Where::Rtp(address)) => self.outputs.push_back(FlowOutput::Media(address)),
            Some(Where::Connect(request)) => self.outputs.push_back(FlowOutput::Connect(request)),
            Some(Where::Comes) => {}
            // Nobody would hear us.
            None => self.fail(now),
        }
    }

    /// The socket of events was lost: how things stand is asked for.
    fn reconnected(&mut self, now: MonoTime) {
        if self.done || !self.began {
            return;
        }
        if self.direction == Direction::Inbound || self.peer.stands_in {
            self.subscribe(now);
        }
        self.look(now, Role::Peer);
        self.look(now, Role::Media);
        self.look(now, Role::Bridge);
        if self.target.is_some() {
            self.look(now, Role::Target);
        }
    }

    fn timeout(&mut self, now: MonoTime) {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            if self.ending {
                self.give_up();
            } else if !self.began {
                self.begin(now);
            } else if self.direction == Direction::Inbound && !self.peer.entered {
                self.look(now, Role::Peer);
            } else if std::mem::take(&mut self.parted) {
                (self.joining, self.joined) = (false, false);
                self.answering = self.peer.answered;
                self.due = Some(now + SETUP_PATIENCE);
            } else if !self.joined {
                self.fail(now);
            }
        }
        let late: Vec<_> = self.pending.extract_if(.., |(_, _, by)| *by <= now).collect();
        for (_, kind, _) in late {
            self.answered(now, kind, Err(CarrierError::Unavailable));
        }
    }
}

impl CallFlow for Flow {
    fn handle(&mut self, now: MonoTime, input: FlowInput<'_>) {
        match input {
            FlowInput::Command(command) => self.command(now, command),
            FlowInput::Event(event) => {
                if event.call == self.call
                    && let CallFact::Ended(ended) = &event.what
                {
                    self.peer.thing.gone();
                    self.tell_end_as(event.at_unix_ms, ended.clone());
                }
            }
            FlowInput::Answer { request, result } => {
                let place = self.pending.iter().position(|(pending, ..)| *pending == request);
                if let Some(place) = place.filter(|_| !self.done) {
                    let (_, kind, _) = self.pending.remove(place);
                    self.answered(now, kind, result);
                }
            }
            FlowInput::Message(message) => self.message(now, message.0),
            FlowInput::Reconnected => self.reconnected(now),
            FlowInput::Timeout => self.timeout(now),
        }
        self.advance(now);
    }

    fn poll(&mut self) -> Option<FlowOutput> {
        self.outputs.pop_front()
    }

    fn deadline(&self) -> Option<MonoTime> {
        if self.done {
            return None;
        }
        let answers = self.pending.iter().map(|(_, _, by)| *by);
        answers.chain(self.due).min()
    }
}
