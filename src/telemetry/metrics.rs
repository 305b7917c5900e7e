//! All metrics of the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::registry::Registry;

use super::carriers::CarrierMetrics;
use super::exposition::Exposition;
use super::histogram::{CALL_TIMES, Histogram, NETWORK_TIMES};
use super::labels::{
    CallDirection, DialOutcome, Forgotten, SipAuth, SipDrop, SipMethod, StatusClass,
};
use super::queues::QueueMetrics;
use super::worker::{Counter, Gauge, WorkerMetrics};
use crate::workers::mux::LinkMetrics;

/// Media type of what [`Metrics::render`] returns.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of the process: shared by reference, written without waiting, read at a scrape.
#[derive(Debug)]
pub struct Metrics {
    /// One set per worker.
    pub workers: Vec<Arc<WorkerMetrics>>,
    /// Calls.
    pub calls: CallMetrics,
    /// Signalling.
    pub sip: SipMetrics,
    /// Connections to agents.
    pub agents: AgentMetrics,
    /// Sockets that calls share.
    pub links: Arc<LinkMetrics>,
    /// Where calls wait.
    pub queues: QueueMetrics,
    /// Recordings.
    pub recordings: RecordingMetrics,
    /// People who listen in.
    pub listening: ListeningMetrics,
    /// The log of calls.
    pub log: Arc<LogMetrics>,
    /// What was forgotten.
    pub retention: RetentionMetrics,
    /// Carriers over HTTP.
    pub carriers: Arc<CarrierMetrics>,
    /// The API.
    pub http: HttpMetrics,
    /// When the process started, in seconds since 1970.
    pub(super) started_unix_s: f64,
}

/// Calls, counted by the control plane.
#[derive(Debug)]
pub struct CallMetrics {
    started: [Counter; CallDirection::COUNT],
    answered: [Counter; CallDirection::COUNT],
    /// Calls that were refused for the load.
    shed: [Counter; CallDirection::COUNT],
    /// Words for why calls end, as the server's causes are listed once elsewhere.
    causes: &'static [&'static str],
    ended: Vec<[Counter; CallDirection::COUNT]>,
    /// Calls that exist now, by direction.
    active: [Gauge; CallDirection::COUNT],
    /// From the INVITE (in or out) to its 200.
    pub setup: [Histogram; CallDirection::COUNT],
    /// From our 200, or the peer's, to the first audio of the agent on the wire.
    pub first_audio: Histogram,
    /// From the answer to the end.
    pub duration: Histogram,
}

impl CallMetrics {
    fn new(causes: &'static [&'static str]) -> Self {
        Self {
            started: Default::default(),
            answered: Default::default(),
            shed: Default::default(),
            causes,
            ended: causes.iter().map(|_| Default::default()).collect(),
            active: Default::default(),
            setup: [const { Histogram::new(NETWORK_TIMES) }; CallDirection::COUNT],
            first_audio: Histogram::new(NETWORK_TIMES),
            duration: Histogram::new(CALL_TIMES),
        }
    }

    /// A call came or was placed.
    pub fn started(&self, direction: CallDirection) {
        self.started[direction.index()].inc();
        self.active[direction.index()].add(1);
    }

    /// A call was answered, this long after its INVITE.
    pub fn answered(&self, direction: CallDirection, after: std::time::Duration) {
        self.answered[direction.index()].inc();
        self.setup[direction.index()].record(after);
    }

    /// A call was refused, as the media threads bear no more.
    pub fn shed(&self, direction: CallDirection) {
        self.shed[direction.index()].inc();
    }

    /// Calls that were refused so.
    pub fn shed_total(&self, direction: CallDirection) -> u64 {
        self.shed[direction.index()].get()
    }

    /// A call that had started ended for `cause`, one of the words given to [`Metrics::new`];
    /// another word counts as the last of them.
    pub fn ended(&self, direction: CallDirection, cause: &str) {
        let known = self.causes.iter().position(|known| *known == cause);
        if let Some(counters) = known.map_or(self.ended.last(), |index| self.ended.get(index)) {
            counters[direction.index()].inc();
        }
        self.active[direction.index()].add(-1);
    }

    /// Calls that exist now.
    pub fn active(&self) -> i64 {
        self.active.iter().map(Gauge::get).sum()
    }

    pub(super) fn started_total(&self, direction: CallDirection) -> u64 {
        self.started[direction.index()].get()
    }

    pub(super) fn answered_total(&self, direction: CallDirection) -> u64 {
        self.answered[direction.index()].get()
    }

    pub(super) fn active_by(&self, direction: CallDirection) -> i64 {
        self.active[direction.index()].get()
    }

    pub(super) fn ended_totals(&self) -> impl Iterator<Item = (CallDirection, &'static str, u64)> {
        CallDirection::ALL.iter().flat_map(move |direction| {
            self.causes.iter().zip(&self.ended).map(move |(cause, counters)| {
                (*direction, *cause, counters[direction.index()].get())
            })
        })
    }
}

/// Signalling, counted by the SIP endpoint's shell.
#[derive(Debug, Default)]
pub struct SipMetrics {
    pub(super) requests_in: [Counter; SipMethod::COUNT],
    pub(super) requests_out: [Counter; SipMethod::COUNT],
    pub(super) responses_in: [Counter; StatusClass::COUNT],
    pub(super) responses_out: [Counter; StatusClass::COUNT],
    pub(super) auth: [Counter; SipAuth::COUNT],
    pub(super) drops: [Counter; SipDrop::COUNT],
    /// Messages that we sent again for want of an answer.
    pub retransmissions: Counter,
    /// Contacts of telephones that are registered now.
    pub bindings: Gauge,
    /// Our registrations, by the names of their trunks: 1 or 0, and failures. Few and from the
    /// configuration, written once in a while.
    pub(super) registrations: Mutex<BTreeMap<String, (bool, u64)>>,
    /// Connections that exist now.
    pub connections: Gauge,
    /// Whether each trunk is up, by its label. Few, and written once in a while.
    pub(super) trunks: Mutex<BTreeMap<String, bool>>,
}

impl SipMetrics {
    /// A trunk is up or down.
    pub fn trunk_up(&self, trunk: &str, up: bool) {
        let mut trunks = self.trunks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match trunks.get_mut(trunk) {
            Some(known) => *known = up,
            None => drop(trunks.insert(trunk.to_owned(), up)),
        }
    }

    /// A trunk is no more, or no longer registered anywhere.
    pub fn trunk_gone(&self, trunk: &str) {
        let mut trunks = self.trunks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        trunks.remove(trunk);
        let mut registrations =
            self.registrations.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        registrations.remove(trunk);
    }

    /// A request came.
    pub fn request_in(&self, method: SipMethod) {
        self.requests_in[method.index()].inc();
    }

    /// A request left.
    pub fn request_out(&self, method: SipMethod) {
        self.requests_out[method.index()].inc();
    }

    /// A response came.
    pub fn response_in(&self, status: u16) {
        self.responses_in[StatusClass::of(status).index()].inc();
    }

    /// A response left.
    pub fn response_out(&self, status: u16) {
        self.responses_out[StatusClass::of(status).index()].inc();
    }

    /// Whether we are registered for `trunk`.
    pub fn registered(&self, trunk: &str, registered: bool) {
        self.registration(trunk, |entry| entry.0 = registered);
    }

    /// A registration for `trunk` failed.
    pub fn registration_failed(&self, trunk: &str) {
        self.registration(trunk, |entry| entry.1 += 1);
    }

    fn registration(&self, trunk: &str, change: impl FnOnce(&mut (bool, u64))) {
        let mut registrations =
            self.registrations.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(registrations.entry(trunk.to_owned()).or_default());
    }

    /// Requests were judged by their credentials.
    pub fn judged(&self, outcome: SipAuth, count: u64) {
        self.auth[outcome.index()].add(count);
    }

    /// Something was thrown away.
    pub fn dropped(&self, reason: SipDrop) {
        self.drops[reason.index()].inc();
    }
}

/// Connections to agents.
#[derive(Debug)]
pub struct AgentMetrics {
    pub(super) dials: [Counter; DialOutcome::COUNT],
    /// From the first packet of a dial to the end of its handshake.
    pub connect: Histogram,
    /// Agents that attached by themselves.
    pub attached: Counter,
    /// Connections that exist now.
    pub connections: Gauge,
}

impl AgentMetrics {
    fn new() -> Self {
        Self {
            dials: Default::default(),
            connect: Histogram::new(NETWORK_TIMES),
            attached: Counter::default(),
            connections: Gauge::default(),
        }
    }

    /// Dialling an agent ended.
    pub fn dialled(&self, outcome: DialOutcome) {
        self.dials[outcome.index()].inc();
    }
}

/// Recordings.
#[derive(Debug, Default)]
pub struct RecordingMetrics {
    /// Those that began.
    pub started: Counter,
    /// Those that could not be written.
    pub failed: Counter,
    /// Frames that are missing for a disk that was behind.
    pub lost: Counter,
    /// Messages that callers have left.
    pub messages: Counter,
    /// Those of callers who said nothing: they are not kept.
    pub messages_empty: Counter,
}

/// People who listen in on calls.
#[derive(Debug, Default)]
pub struct ListeningMetrics {
    /// Those who began to.
    pub started: Counter,
    /// Frames that they missed because they took too long.
    pub lost: Counter,
}

/// What was forgotten because it was old.
#[derive(Debug, Default)]
pub struct RetentionMetrics {
    pub(super) removed: [Counter; Forgotten::COUNT],
    /// Attempts that failed.
    pub failed: Counter,
}

impl RetentionMetrics {
    /// So much is gone.
    pub fn forgot(&self, what: Forgotten, removed: u64) {
        self.removed[what.index()].add(removed);
    }
}

/// The log of calls, on its way to the store.
#[derive(Debug)]
pub struct LogMetrics {
    /// Facts that were committed.
    pub facts: Counter,
    /// Facts and samples for which there was no room.
    pub lost: Counter,
    /// Commits that failed and were tried again.
    pub failed: Counter,
    /// How long a commit took.
    pub commit: Histogram,
}

impl Default for LogMetrics {
    fn default() -> Self {
        Self {
            facts: Counter::default(),
            lost: Counter::default(),
            failed: Counter::default(),
            commit: Histogram::new(NETWORK_TIMES),
        }
    }
}

/// The API.
#[derive(Debug)]
pub struct HttpMetrics {
    pub(super) responses: [Counter; StatusClass::COUNT],
    /// From the request's head to the response's.
    pub response_time: Histogram,
    /// Connections that exist now.
    pub connections: Gauge,
}

impl HttpMetrics {
    fn new() -> Self {
        Self {
            responses: Default::default(),
            response_time: Histogram::new(NETWORK_TIMES),
            connections: Gauge::default(),
        }
    }

    /// A response left, this long after its request.
    pub fn responded(&self, status: u16, after: std::time::Duration) {
        self.responses[StatusClass::of(status).index()].inc();
        self.response_time.record(after);
    }
}

impl Metrics {
    /// Metrics of a process with `workers` media workers, whose calls end for one of `causes` and
    /// go through `trunks`.
    pub fn new(
        workers: usize,
        causes: &'static [&'static str],
        trunks: impl IntoIterator<Item = String>,
    ) -> Arc<Self> {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Arc::new(Self {
            workers: (0..workers).map(|_| Arc::default()).collect(),
            calls: CallMetrics::new(causes),
            sip: SipMetrics {
                trunks: Mutex::new(trunks.into_iter().map(|name| (name, false)).collect()),
                ..SipMetrics::default()
            },
            agents: AgentMetrics::new(),
            links: Arc::default(),
            queues: QueueMetrics::default(),
            recordings: RecordingMetrics::default(),
            listening: ListeningMetrics::default(),
            log: Arc::default(),
            retention: RetentionMetrics::default(),
            carriers: Arc::default(),
            http: HttpMetrics::new(),
            started_unix_s: started.as_secs_f64(),
        })
    }

    /// True while no media thread takes a call.
    pub fn is_overloaded(&self) -> bool {
        !self.workers.is_empty() && self.workers.iter().all(|worker| worker.refuses.get() > 0)
    }

    /// All metrics as text, of the type [`CONTENT_TYPE`].
    pub fn render(self: &Arc<Self>) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Exposition(Arc::clone(self))));
        let mut text = String::new();
        // Writing into a `String` cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}
