//! Two endpoints joined by a network that loses, delays, reorders and doubles, in virtual time.
//!
//! Both sides place calls, answer, refuse, cancel, change and end them at random moments that
//! follow from a seed. However it goes, every call must end on both sides, in states that fit each
//! other, and nothing may be left.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::time::Duration;

use bytes::Bytes;
use media::time::MonoTime;

use super::super::*;
use crate::sip::core::Message;
use crate::sip::core::sdp::Sdp;
use crate::sip::core::session_timer::TimerConfig;

/// How bad the network is.
#[derive(Clone, Copy)]
struct Weather {
    transport: Transport,
    loss: f64,
    doubling: f64,
    delay_ms: (u64, u64),
    /// How often a connection breaks, per message.
    breaking: f64,
}

const CALM: Weather = Weather {
    transport: Transport::Udp,
    loss: 0.0,
    doubling: 0.0,
    delay_ms: (5, 60),
    breaking: 0.0,
};
const STORM: Weather = Weather { loss: 0.15, doubling: 0.1, delay_ms: (5, 900), ..CALM };

/// What a user does at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Place,
    Cancel(DialogId),
    Ring(DialogId),
    Answer(DialogId),
    Reject(DialogId),
    Bye(DialogId),
    Change(DialogId),
    AcceptChange(DialogId),
    Info(DialogId),
    Refer(DialogId),
    AnswerRefer(DialogId),
    News(DialogId, u16),
    AckWith(DialogId),
}

#[derive(Clone, Debug, PartialEq)]
enum Final {
    Rejected(u16),
    Cancelled,
    Failed(u16),
    Ended(End),
}

/// One side's view of a call.
#[derive(Clone, Debug, Default)]
struct View {
    call_id: String,
    placed: bool,
    cancelled: bool,
    answered: bool,
    acked: bool,
    /// Offer that waits for our answer.
    offer: Option<u64>,
    /// Our offer that waits for an answer.
    offered: Option<u64>,
    /// Numbers of the offer and the answer that hold, and since when.
    media: Option<(u64, u64)>,
    settled_at: MonoTime,
    quiet: bool,
    /// REFERs that we sent, answers to them, and outcomes.
    refers: u32,
    refers_answered: u32,
    outcomes: u32,
    end: Option<Final>,
}

struct Side {
    endpoint: Endpoint,
    views: BTreeMap<DialogId, View>,
}

#[derive(Default)]
struct Queue<T> {
    heap: BinaryHeap<Reverse<(MonoTime, u64, T)>>,
    count: u64,
}

impl<T: Ord> Queue<T> {
    fn push(&mut self, at: MonoTime, item: T) {
        self.count += 1;
        self.heap.push(Reverse((at, self.count, item)));
    }

    fn next(&self) -> MonoTime {
        self.heap.peek().map_or(MonoTime::MAX, |Reverse((at, _, _))| *at)
    }

    fn pop(&mut self) -> Option<T> {
        self.heap.pop().map(|Reverse((_, _, item))| item)
    }
}

struct Network {
    weather: Weather,
    random: fastrand::Rng,
    now: MonoTime,
    sides: [Side; 2],
    packets: Queue<(usize, u64, Bytes)>,
    acts: Queue<(usize, Act)>,
    /// The open connection, if the transport has any, and when its latest message arrives.
    connection: u64,
    connections: u64,
    in_order: [MonoTime; 2],
    descriptions: u64,
    /// Start lines seen on the wire.
    wire: HashMap<String, usize>,
}

impl Network {
    fn new(weather: Weather, seed: u64, calls: u64) -> Self {
        // Short enough that calls refresh their sessions.
        let session_timer = Some(TimerConfig { interval_s: 90, min_s: 90 });
        let config = EndpointConfig { session_timer, ..EndpointConfig::default() };
        let side = |n| Side {
            endpoint: Endpoint::new(config.clone(), seed * 2 + n),
            views: BTreeMap::new(),
        };
        let mut network = Self {
            weather,
            random: fastrand::Rng::with_seed(seed),
            now: MonoTime::from_nanos(1),
            sides: [side(0), side(1)],
            packets: Queue { heap: BinaryHeap::new(), count: 0 },
            acts: Queue { heap: BinaryHeap::new(), count: 0 },
            connection: 0,
            connections: 0,
            in_order: [MonoTime::ZERO; 2],
            descriptions: 0,
            wire: HashMap::new(),
        };
        for n in 0..calls {
            let side = network.random.usize(0..2);
            network.act_in(side, n * 20, Act::Place);
        }
        network
    }

    fn act_in(&mut self, side: usize, ms: u64, act: Act) {
        self.acts.push(self.now + Duration::from_millis(ms), (side, act));
    }

    fn flow(&self, side: usize, connection: u64) -> Flow {
        let address = |n| format!("192.0.2.{}:5060", n + 1).parse().unwrap();
        let transport = self.weather.transport;
        Flow { transport, local: address(side), peer: address(1 - side), connection }
    }

    fn run(&mut self) {
        loop {
            let deadlines: Vec<MonoTime> =
                self.sides.iter().map(|s| s.endpoint.deadline().unwrap_or(MonoTime::MAX)).collect();
            let next =
                self.packets.next().min(self.acts.next()).min(deadlines[0]).min(deadlines[1]);
            if next == MonoTime::MAX {
                return;
            }
            assert!(next < MonoTime::ZERO + Duration::from_secs(1_000_000), "it never ends");
            self.now = self.now.max(next);
            if self.packets.next() == next {
                self.deliver();
            } else if self.acts.next() == next {
                let (side, act) = self.acts.pop().unwrap();
                self.perform(side, act);
            } else {
                let side = usize::from(deadlines[1] == next);
                self.sides[side].endpoint.handle_timeout(self.now);
            }
            for side in 0..2 {
                self.settle(side);
            }
        }
    }

    fn deliver(&mut self) {
        let (side, connection, bytes) = self.packets.pop().unwrap();
        if connection != 0 && connection != self.connection {
            return;
        }
        let flow = self.flow(side, connection);
        self.sides[side].endpoint.handle_datagram(self.now, flow, bytes);
    }

    /// Takes events and what is to be sent.
    fn settle(&mut self, side: usize) {
        while let Some(event) = self.sides[side].endpoint.poll_event() {
            self.take(side, event);
        }
        while let Some(transmit) = self.sides[side].endpoint.poll_transmit() {
            assert_eq!(transmit.flow.peer, self.flow(side, 0).peer);
            self.carry(side, transmit.bytes);
        }
    }

    fn carry(&mut self, from: usize, bytes: Bytes) {
        let message = Message::parse(bytes.clone()).unwrap();
        let line = message
            .method()
            .map_or_else(|| message.status().unwrap().to_string(), ToString::to_string);
        *self.wire.entry(line).or_default() += 1;
        let (low, high) = self.weather.delay_ms;
        if self.weather.transport == Transport::Tcp {
            if self.connection == 0 {
                self.connections += 1;
                self.connection = self.connections;
                self.sides.iter_mut().for_each(|s| s.endpoint.handle_connected(self.connection));
            }
            let at = self.now + Duration::from_millis(self.random.u64(low..high));
            let at = at.max(self.in_order[from]);
            self.in_order[from] = at;
            self.packets.push(at, (1 - from, self.connection, bytes));
            if self.random.f64() < self.weather.breaking {
                let broken = std::mem::take(&mut self.connection);
                for side in &mut self.sides {
                    side.endpoint.handle_closed(self.now, broken);
                }
            }
            return;
        }
        let copies = 1 + usize::from(self.random.f64() < self.weather.doubling);
        for _ in 0..copies {
            if self.random.f64() >= self.weather.loss {
                let at = self.now + Duration::from_millis(self.random.u64(low..high));
                self.packets.push(at, (1 - from, 0, bytes.clone()));
            }
        }
    }

    fn description(&mut self) -> (u64, Vec<u8>) {
        self.descriptions += 1;
        let n = self.descriptions;
        let text = format!(
            "v=0\r\no=- {n} 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
             m=audio 4000 RTP/AVP 0\r\n"
        );
        (n, text.into_bytes())
    }

    fn place(&mut self, side: usize) {
        let (n, sdp) = self.description();
        let offer = self.random.f64() < 0.7;
        let params = InviteParams {
            uri: "sip:them@192.0.2.9".into(),
            flow: self.flow(side, self.connection),
            from: "<sip:us@192.0.2.8>".into(),
            to: "<sip:them@192.0.2.9>".into(),
            contact_user: None,
            sdp: offer.then_some(sdp),
            reliability: if n % 2 == 0 { Reliability::Required } else { Reliability::Off },
            headers: vec![],
        };
        let dialog = self.sides[side].endpoint.invite(self.now, params).unwrap();
        let call_id = self.sides[side].endpoint.call_id(dialog).unwrap().to_owned();
        let offered = offer.then_some(n);
        let view = View { call_id, placed: true, offered, ..View::default() };
        self.sides[side].views.insert(dialog, view);
        if self.random.f64() < 0.25 {
            let ms = self.random.u64(0..6000);
            self.act_in(side, ms, Act::Cancel(dialog));
        }
    }

    fn perform(&mut self, side: usize, act: Act) {
        let now = self.now;
        let (n, sdp) = self.description();
        let random = self.random.u64(..);
        if act == Act::Place {
            return self.place(side);
        }
        let Side { endpoint, views } = &mut self.sides[side];
        let (Act::Cancel(dialog)
        | Act::Ring(dialog)
        | Act::Answer(dialog)
        | Act::Reject(dialog)
        | Act::Bye(dialog)
        | Act::Change(dialog)
        | Act::AcceptChange(dialog)
        | Act::Info(dialog)
        | Act::Refer(dialog)
        | Act::AnswerRefer(dialog)
        | Act::News(dialog, _)
        | Act::AckWith(dialog)) = act
        else {
            return;
        };
        let view = views.get_mut(&dialog).unwrap();
        match act {
            Act::Place => {}
            Act::Cancel(_) => view.cancelled |= endpoint.cancel(now, dialog, &[]).is_ok(),
            Act::Ring(_) => drop(endpoint.provisional(now, dialog, 180, "Ringing", None, &[])),
            Act::Answer(_) => {
                if endpoint.answer(now, dialog, Some(&sdp), &[]).is_ok() {
                    view.answered = true;
                    view.exchanged(n, now);
                }
            }
            Act::Reject(_) => {
                let status = if random.is_multiple_of(2) { 486 } else { 603 };
                if endpoint.reject(now, dialog, status, "No", &[]).is_ok() {
                    view.finish(Final::Rejected(status));
                }
            }
            Act::Bye(_) => {
                if endpoint.bye(now, dialog, &[]).is_ok() {
                    view.quiet = now.since(view.settled_at) > Duration::from_secs(40);
                }
            }
            Act::Change(_) => {
                let offer = !random.is_multiple_of(3);
                let sdp = offer.then_some(&sdp[..]);
                if view.end.is_none() && endpoint.reinvite(now, dialog, sdp).is_ok() {
                    view.settled_at = now;
                    view.offered = offer.then_some(n);
                }
            }
            Act::AcceptChange(_) => {
                view.settled_at = now;
                if random.is_multiple_of(4) {
                    let _ = endpoint.reject_reinvite(now, dialog, 488, "No", &[]);
                } else if endpoint.accept_reinvite(now, dialog, &sdp).is_ok() {
                    view.exchanged(n, now);
                }
            }
            Act::Refer(_) | Act::AnswerRefer(_) | Act::News(..) => {
                self.transfer(side, dialog, act);
            }
            Act::Info(_) => drop(endpoint.info(now, dialog, "text/plain", b"x")),
            Act::AckWith(_) => {
                if endpoint.ack_with(now, dialog, &sdp).is_ok() {
                    view.exchanged(n, now);
                }
            }
        }
    }

    fn take(&mut self, side: usize, event: Event) {
        let now = self.now;
        match event {
            Event::Incoming { dialog, request, offer, .. } => {
                let call_id = request.call_id().unwrap().to_owned();
                let view = View { call_id, offer: number(offer), ..View::default() };
                let twice = self.sides[side].views.insert(dialog, view);
                assert!(twice.is_none());
                let ms = self.random.u64(0..5000);
                self.act_in(side, ms / 2, Act::Ring(dialog));
                let act = match self.random.u32(0..10) {
                    0..2 => Act::Reject(dialog),
                    2 => Act::Ring(dialog),
                    _ => Act::Answer(dialog),
                };
                self.act_in(side, ms, act);
            }
            Event::Answered { dialog, sdp, .. } => {
                let view = self.view(side, dialog);
                assert!(view.placed && !view.answered && !view.cancelled);
                view.answered = true;
                let owed = view.heard(number(sdp), now);
                self.live(side, dialog, owed);
            }
            Event::Acked { dialog, answer } => {
                let view = self.view(side, dialog);
                assert!(view.answered);
                let first = !std::mem::replace(&mut view.acked, true);
                view.heard(number(answer), now);
                if first {
                    self.live(side, dialog, false);
                }
            }
            Event::ReinviteAnswered { dialog, sdp } => {
                let owed = self.view(side, dialog).heard(number(sdp), now);
                if owed {
                    let ms = self.random.u64(0..3000);
                    self.act_in(side, ms, Act::AckWith(dialog));
                }
            }
            Event::Reinvite { dialog, offer } => {
                let view = self.view(side, dialog);
                (view.offer, view.offered) = (number(offer), None);
                let ms = self.random.u64(0..1500);
                self.act_in(side, ms, Act::AcceptChange(dialog));
            }
            Event::Pracked { dialog, .. } => drop(self.view(side, dialog)),
            Event::Ringing { dialog, .. } => assert!(!self.view(side, dialog).answered),
            Event::ReinviteCancelled { dialog } => self.view(side, dialog).settled_at = now,
            Event::ReinviteFailed { dialog, .. } => {
                let view = self.view(side, dialog);
                (view.settled_at, view.offered) = (now, None);
            }
            Event::Refer { .. } | Event::ReferAnswered { .. } | Event::ReferProgress { .. } => {
                self.take_transfer(side, event);
            }
            Event::Info { dialog, .. } | Event::InfoAnswered { dialog, .. } => {
                self.view(side, dialog);
            }
            Event::Cancelled { dialog, .. } => self.view(side, dialog).finish(Final::Cancelled),
            Event::Failed { dialog, status, .. } => {
                self.view(side, dialog).finish(Final::Failed(status));
            }
            Event::Ended { dialog, cause } => self.view(side, dialog).finish(Final::Ended(cause)),
            Event::Registering { .. } => panic!("nobody registers"),
            Event::Responded { .. } => panic!("nobody asked"),
            Event::Probed { .. } => panic!("nobody probed"),
            Event::ByDatagram { .. } => panic!("there is another way"),
        }
    }

    /// One side asks the other for a transfer, answers that, or tells how it goes.
    fn transfer(&mut self, side: usize, dialog: DialogId, act: Act) {
        let (now, random) = (self.now, self.random.u64(..));
        let Side { endpoint, views } = &mut self.sides[side];
        match act {
            Act::Refer(_) => {
                let sent = endpoint.refer(now, dialog, "<sip:them@192.0.2.7>", &[]).is_ok();
                views.get_mut(&dialog).unwrap().refers += u32::from(sent);
            }
            Act::AnswerRefer(_) if random.is_multiple_of(4) => {
                let _ = endpoint.reject_refer(now, dialog, 603, "Decline");
            }
            Act::AnswerRefer(_) if endpoint.accept_refer(now, dialog).is_ok() => {
                self.act_in(side, random % 3000, Act::News(dialog, 180));
                self.act_in(side, random % 9000, Act::News(dialog, 200));
            }
            Act::News(_, status) => {
                let _ = endpoint.notify(now, dialog, status, "Reason", status >= 200);
            }
            _ => {}
        }
    }

    fn take_transfer(&mut self, side: usize, event: Event) {
        match event {
            Event::Refer { dialog, .. } => {
                let _ = self.view(side, dialog);
                let ms = self.random.u64(0..1500);
                self.act_in(side, ms, Act::AnswerRefer(dialog));
            }
            Event::ReferAnswered { dialog, .. } => {
                let view = self.view(side, dialog);
                view.refers_answered += 1;
                assert!(view.refers_answered <= view.refers);
            }
            Event::ReferProgress { dialog, status, last } => {
                let view = self.view(side, dialog);
                view.outcomes += u32::from(last);
                assert!(view.outcomes <= view.refers && view.end.is_none());
                assert_eq!(last, status == Some(200));
            }
            _ => {}
        }
    }

    fn view(&mut self, side: usize, dialog: DialogId) -> &mut View {
        self.sides[side].views.get_mut(&dialog).unwrap()
    }

    /// A call is up: what its user will do with it.
    fn live(&mut self, side: usize, dialog: DialogId, owed: bool) {
        if owed {
            let ms = self.random.u64(0..2000);
            self.act_in(side, ms, Act::AckWith(dialog));
        }
        for _ in 0..self.random.u32(0..3) {
            let ms = self.random.u64(0..60_000);
            self.act_in(side, ms, Act::Change(dialog));
        }
        if self.random.bool() {
            let ms = self.random.u64(0..30_000);
            self.act_in(side, ms, Act::Info(dialog));
        }
        if self.random.bool() {
            let ms = self.random.u64(0..30_000);
            self.act_in(side, ms, Act::Refer(dialog));
        }
        let ms = self.random.u64(0..150_000);
        self.act_in(side, ms, Act::Bye(dialog));
    }

    /// What must hold at the end.
    fn judge(&self) -> Tally {
        for side in &self.sides {
            let endpoint = &side.endpoint;
            assert_eq!((endpoint.calls(), endpoint.transactions()), (0, (0, 0)));
            assert!(endpoint.call_tags.is_empty() && endpoint.server_keys.is_empty());
            assert!(endpoint.merges.is_empty() && endpoint.client_keys.is_empty());
            assert!(endpoint.deadline().is_none());
            assert_eq!(endpoint.counters().malformed, 0);
            assert!(endpoint.connections.len() <= 1);
            for view in side.views.values() {
                assert!(view.end.is_some(), "a call that never ended: {view:?}");
            }
        }
        let mut tally = Tally::default();
        for (side, other) in [(0, 1), (1, 0)] {
            let callees: HashMap<&str, &View> = self.sides[other]
                .views
                .values()
                .filter(|view| !view.placed)
                .map(|view| (view.call_id.as_str(), view))
                .collect();
            for caller in self.sides[side].views.values().filter(|view| view.placed) {
                tally.pair(caller, callees.get(caller.call_id.as_str()).copied());
            }
        }
        tally
    }
}

fn number(sdp: Option<Sdp>) -> Option<u64> {
    sdp.map(|sdp| sdp.origin.session_id.parse().unwrap())
}

impl View {
    fn finish(&mut self, end: Final) {
        assert_eq!(self.end, None, "a second end: {end:?}");
        self.end = Some(end);
    }

    /// We wrote description `n`: an answer, or an offer.
    fn exchanged(&mut self, n: u64, now: MonoTime) {
        self.settled_at = now;
        match self.offer.take() {
            Some(offer) => self.media = Some((offer, n)),
            None => self.offered = Some(n),
        }
    }

    /// The peer wrote description `n`: an answer, or an offer that we owe an answer.
    fn heard(&mut self, n: Option<u64>, now: MonoTime) -> bool {
        let Some(n) = n else { return false };
        self.settled_at = now;
        match self.offered.take() {
            Some(offer) => self.media = Some((offer, n)),
            None => self.offer = Some(n),
        }
        self.offer.is_some()
    }
}

/// How calls went.
#[derive(Debug, Default)]
struct Tally {
    unseen: usize,
    rejected: usize,
    cancelled: usize,
    talked: usize,
    unacknowledged: usize,
    compared: usize,
    /// Nobody answered in time.
    unanswered: usize,
    failed: usize,
}

impl Tally {
    /// Whether both ends of a call fit each other.
    fn pair(&mut self, caller: &View, callee: Option<&View>) {
        let end = caller.end.clone().unwrap();
        let Some(callee) = callee else {
            assert!(!caller.answered, "answered by nobody: {caller:?}");
            self.unseen += 1;
            return;
        };
        let other = callee.end.clone().unwrap();
        let fits = format!("\ncaller {caller:?}\ncallee {callee:?}");
        if caller.answered {
            assert!(callee.answered, "{fits}");
            assert!(matches!(end, Final::Ended(_)) && matches!(other, Final::Ended(_)), "{fits}");
            self.talked += 1;
        }
        if let Final::Failed(status @ (486 | 603)) = end {
            assert_eq!(other, Final::Rejected(status), "{fits}");
            self.rejected += 1;
        }
        if let Final::Failed(487) = end {
            assert!(caller.cancelled || other == Final::Cancelled, "{fits}");
            self.cancelled += 1;
        }
        match end {
            Final::Failed(408) if other == Final::Cancelled => self.unanswered += 1,
            Final::Failed(408 | 503) => self.failed += 1,
            _ => {}
        }
        if other == Final::Cancelled {
            assert!(!caller.answered && !callee.answered, "{fits}");
        }
        if callee.acked {
            assert!(caller.answered || caller.cancelled, "{fits}");
        }
        if other == Final::Ended(End::AckTimeout) {
            self.unacknowledged += 1;
        }
        let quiet = |view: &View, end: &Final| match end {
            Final::Ended(End::Local) => view.quiet,
            Final::Ended(End::Bye { .. }) => true,
            _ => false,
        };
        if caller.answered && quiet(caller, &end) && quiet(callee, &other) {
            assert_eq!(caller.media, callee.media, "{fits}");
            self.compared += 1;
        }
    }
}

fn simulate(weather: Weather, seed: u64, calls: u64) -> (Tally, Network) {
    let mut network = Network::new(weather, seed, calls);
    network.run();
    let tally = network.judge();
    (tally, network)
}

/// Over a network without loss every call ends as its users want, and every answer is acknowledged.
#[test]
fn calm() {
    let (mut talked, mut compared) = (0, 0);
    for seed in 0..2 {
        let (tally, network) = simulate(CALM, seed, 400);
        assert_eq!((tally.unseen, tally.unacknowledged, tally.failed), (0, 0, 0), "{tally:?}");
        assert!(tally.rejected > 20 && tally.cancelled > 20 && tally.unanswered > 5, "{tally:?}");
        assert!(network.wire["INFO"] > 50);
        assert!(network.wire["PRACK"] > 100 && network.wire["UPDATE"] > 30);
        talked += tally.talked;
        compared += tally.compared;
    }
    assert!(talked > 400 && compared > 100, "{talked} {compared}");
}

/// With 15 % loss, 10 % doubling and reordering, a thousand calls still end in states that fit.
#[test]
fn storm() {
    let (mut unacknowledged, mut glares) = (0, 0);
    for seed in 10..13 {
        let (tally, network) = simulate(STORM, seed, 400);
        assert!(tally.rejected > 20 && tally.cancelled > 20 && tally.talked > 100, "{tally:?}");
        let duplicates: u64 = network.sides.iter().map(|s| s.endpoint.counters().duplicates).sum();
        assert!(duplicates > 300, "{duplicates}");
        unacknowledged += tally.unacknowledged;
        glares += network.wire.get("491").copied().unwrap_or(0);
    }
    assert!(unacknowledged < 4 && glares > 3, "{unacknowledged} {glares}");
}

/// Half of everything is lost: few calls come up, yet all end and nothing is left.
#[test]
fn hurricane() {
    let (tally, _) = simulate(Weather { loss: 0.5, ..STORM }, 20, 300);
    assert!(tally.talked > 30, "{tally:?}");
}

/// Over TCP in order, and over TCP with connections that break with what they carried.
#[test]
fn streams() {
    let (tally, _) = simulate(Weather { transport: Transport::Tcp, ..CALM }, 30, 300);
    assert_eq!((tally.unseen, tally.unacknowledged, tally.failed), (0, 0, 0), "{tally:?}");
    for seed in 32..34 {
        let weather = Weather { transport: Transport::Tcp, breaking: 0.01, ..CALM };
        let (tally, network) = simulate(weather, seed, 300);
        assert!(network.connections > 10 && tally.talked > 50, "{tally:?}");
    }
}

/// The same seed gives the same traffic, another seed other traffic.
#[test]
fn repeatable() {
    let wire = |seed| simulate(STORM, seed, 60).1.wire;
    assert_eq!(wire(40), wire(40));
    assert_ne!(wire(40), wire(41));
}
