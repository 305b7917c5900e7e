//! Links: the sockets that the calls of an agent share on this node.
//!
//! An agent of `mux` is dialled once, when the first call wants it, and keeps its link while it
//! stays up. Calls that want it meanwhile wait for what becomes of that attempt, each for as long
//! as it would wait for a socket of its own. An agent that attaches brings the link itself; a newer
//! one takes the place of an older.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapters::agent::DialectSpec;
use media::time::MonoTime;
use uuid::Uuid;

use super::Control;
use crate::agent::dial::{DialError, DialTarget};
use crate::agent::socket::AgentSocket;
use crate::agent::wire::CloseCode;
use crate::calls::request::{LinkRefusal, Request};
use crate::config::{AgentKind, WebSocketAgent};
use crate::directory::Agent;
use crate::workers::command::{AgentLine, CallKey, Command};
use crate::workers::mux::{self, LINKS_MAX, LinkId, LinkMetrics, Order};
use crate::workers::poller::now;

/// Pause before a link is dialled again that was not reached; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest such pause.
const PAUSE_MAX: Duration = Duration::from_millis(1_600);

/// What the control knows of links.
#[derive(Default)]
pub(super) struct Links {
    /// By the agents' ids.
    agents: HashMap<Uuid, AgentLink>,
    /// All that are up, those of agents that have changed since among them.
    up: HashMap<LinkId, Up>,
    generation: u32,
    metrics: Arc<LinkMetrics>,
}

/// How an agent's link stands.
#[derive(Default)]
struct AgentLink {
    up: Option<LinkId>,
    /// Number of the attempt under way.
    dialling: Option<u64>,
    /// Calls that wait for it, each with its attempt.
    waiting: Vec<(CallKey, u64)>,
    /// Before this it is not dialled again.
    not_before: MonoTime,
    pause: Duration,
    /// What the agent was when it was dialled or attached.
    kind: Option<Arc<Agent>>,
}

/// A link that is up.
struct Up {
    agent: Uuid,
    worker: usize,
    /// The numbers of its streams, and whose they are.
    streams: HashSet<u32>,
    calls: HashMap<CallKey, u32>,
    /// New calls have another.
    retired: bool,
}

impl Links {
    /// What its links came to.
    pub(super) fn new(metrics: Arc<LinkMetrics>) -> Self {
        Self { metrics, ..Self::default() }
    }

    fn free_slot(&self) -> Option<u8> {
        let taken = |slot: &u8| self.up.keys().any(|link| link.slot == *slot);
        (0..u8::try_from(LINKS_MAX).unwrap_or(u8::MAX)).find(|slot| !taken(slot))
    }

    /// Gives a call a number for its stream: the one that it wants, or the next that is free.
    pub(super) fn number(&mut self, link: LinkId, call: CallKey, wanted: u32) -> u32 {
        let Some(up) = self.up.get_mut(&link) else { return wanted };
        if let Some(number) = up.calls.get(&call) {
            return *number;
        }
        let mut number = wanted;
        while !up.streams.insert(number) {
            number = number.wrapping_add(2);
        }
        up.calls.insert(call, number);
        number
    }
}

/// What an agent is reached by.
fn reached_by(agent: &Agent) -> Option<(&WebSocketAgent, bool)> {
    match &agent.kind {
        AgentKind::WebSocket(socket) => Some((socket, socket.mux)),
        AgentKind::Builtin(_) | AgentKind::Rtp(_) | AgentKind::Sip(_) => None,
    }
}

impl Control {
    /// Reaches for an agent's link for a call; false if that is of no use.
    pub(super) fn reach_link(
        &mut self,
        (key, attempt): (CallKey, u64),
        spec: &'static DialectSpec,
        (who, agent): (&Agent, &WebSocketAgent),
    ) -> bool {
        self.retire_if_other(who);
        let known = self.links.agents.entry(who.id).or_default();
        if let Some(link) = known.up {
            let line = Ok(AgentLine::Shared(link));
            self.later_dialled.push_back((key, attempt, line));
            return true;
        }
        known.waiting.push((key, attempt));
        if agent.url.is_some() {
            let timeout = agent.connect_timeout;
            let handle = self.handle.clone();
            self.io.spawn(async move {
                tokio::time::sleep(timeout).await;
                let result = Err(DialError::Timeout);
                handle.send(Request::Dialled { call: key, attempt, result }).await;
            });
        }
        self.dial_link(spec, (who, agent))
    }

    /// Dials an agent's link, unless that is under way; false if that is of no use.
    fn dial_link(&mut self, spec: &'static DialectSpec, who: (&Agent, &WebSocketAgent)) -> bool {
        let (who, agent) = who;
        let Some(url) = &agent.url else { return true };
        let Ok(url) = url.expose().parse() else { return false };
        let target = DialTarget {
            url,
            subprotocol: spec.subprotocol,
            agent: who.name.clone(),
            call_id: self.node.to_string(),
            secret: agent.secret.as_ref().map(|secret| secret.expose().as_bytes().into()),
            outward: self.outward_of_agent(who),
        };
        let attempt = self.next_attempt;
        let Some(known) = self.links.agents.get_mut(&who.id) else { return false };
        if known.dialling.is_some() {
            return true;
        }
        self.next_attempt += 1;
        known.dialling = Some(attempt);
        known.kind = Some(Arc::new(who.clone()));
        let pause = known.not_before.since(now());
        let (dialler, handle, timeout) =
            (self.dialler.clone(), self.handle.clone(), agent.connect_timeout);
        let (metrics, agent) = (Arc::clone(&self.metrics), who.id);
        self.io.spawn(async move {
            tokio::time::sleep(pause).await;
            let began = Instant::now();
            let result = match tokio::time::timeout(timeout, dialler.dial(&target)).await {
                Ok(result) => result,
                Err(_) => Err(DialError::Timeout),
            };
            metrics.agents.connect.record(began.elapsed());
            handle.send(Request::LinkDialled { agent, attempt, result }).await;
        });
        true
    }

    /// A link was dialled: those that wait for it are told.
    pub(super) fn link_dialled(
        &mut self,
        agent: Uuid,
        attempt: u64,
        result: Result<AgentSocket, DialError>,
    ) {
        let Some(known) = self.links.agents.get_mut(&agent) else { return };
        if known.dialling != Some(attempt) {
            return;
        }
        known.dialling = None;
        match result {
            Ok(socket) => {
                known.pause = PAUSE_MIN;
                self.link_up(agent, socket);
            }
            Err(error) => {
                known.pause = (known.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
                known.not_before = now() + known.pause;
                tracing::warn!(%agent, %error, "the agent's link is not reached");
                self.metrics.agents.dialled(error.outcome());
                for (key, attempt) in std::mem::take(&mut known.waiting) {
                    self.link_failed(key, attempt);
                }
            }
        }
    }

    /// Tells a call that there is no link.
    fn link_failed(&mut self, key: CallKey, attempt: u64) {
        self.later_dialled.push_back((key, attempt, Err(DialError::Lost)));
    }

    /// An agent's link is there; one that it had before is closed.
    fn link_up(&mut self, agent: Uuid, socket: AgentSocket) {
        let before = self.links.agents.get_mut(&agent).and_then(|known| known.up.take());
        if let Some(before) = before {
            self.close_link(before, CloseCode::Replaced);
        }
        let waiting =
            self.links.agents.get_mut(&agent).map(|known| std::mem::take(&mut known.waiting));
        let waiting = waiting.unwrap_or_default();
        let Some(slot) = self.links.free_slot() else {
            tracing::error!(%agent, "there are as many links as there may be: {LINKS_MAX}");
            return waiting.into_iter().for_each(|(key, attempt)| self.link_failed(key, attempt));
        };
        self.links.generation = self.links.generation.wrapping_add(1);
        let id = LinkId { slot, generation: self.links.generation };
        let worker = self.worker_for_link();
        let boxes: Vec<_> = self.workers.iter().map(|worker| Arc::clone(worker.mail())).collect();
        let (open, joins) = mux::connect(id, socket, (worker, &boxes), &self.links.metrics);
        for (index, join) in joins.into_iter().enumerate() {
            self.command(index, Command::Link(join));
        }
        self.command(worker, Command::Link(open));
        tracing::info!(%agent, slot, worker, "a link is up");
        let (streams, calls) = (HashSet::new(), HashMap::new());
        self.links.up.insert(id, Up { agent, worker, streams, calls, retired: false });
        self.links.agents.entry(agent).or_default().up = Some(id);
        for (key, attempt) in waiting {
            self.later_dialled.push_back((key, attempt, Ok(AgentLine::Shared(id))));
        }
    }

    /// The worker that has the fewest links, and of these the fewest calls.
    fn worker_for_link(&self) -> usize {
        let links = |index: usize| self.links.up.values().filter(|up| up.worker == index).count();
        let workers = self.workers.iter().enumerate();
        let least = workers.min_by_key(|(index, worker)| (links(*index), worker.load()));
        least.map_or(0, |(index, _)| index)
    }

    /// A link is over: its calls are told so by their workers.
    pub(super) fn link_over(&mut self, link: LinkId) {
        let Some(up) = self.links.up.remove(&link) else { return };
        tracing::info!(agent = %up.agent, slot = link.slot, calls = up.calls.len(), "a link is over");
        if let Some(known) = self.links.agents.get_mut(&up.agent)
            && known.up == Some(link)
        {
            known.up = None;
        }
    }

    fn close_link(&mut self, link: LinkId, code: CloseCode) {
        if let Some(up) = self.links.up.get(&link) {
            self.command(up.worker, Command::Link(Order::Close(link, code)));
        }
    }

    /// Closes all links: the server goes down.
    pub(super) fn close_links(&self) {
        for (link, up) in &self.links.up {
            let close = Order::Close(*link, CloseCode::Draining);
            self.command(up.worker, Command::Link(close));
        }
    }

    /// A call is over, and with it its streams.
    pub(super) fn leave_links(&mut self, key: CallKey) {
        let mut empty = Vec::new();
        for (link, up) in &mut self.links.up {
            if let Some(number) = up.calls.remove(&key) {
                up.streams.remove(&number);
                if up.retired && up.calls.is_empty() {
                    empty.push(*link);
                }
            }
        }
        for known in self.links.agents.values_mut() {
            known.waiting.retain(|(call, _)| *call != key);
        }
        empty.into_iter().for_each(|link| self.close_link(link, CloseCode::Draining));
    }

    /// Lets new calls of an agent have another link if it is reached otherwise than it was.
    fn retire_if_other(&mut self, agent: &Agent) {
        let Some(known) = self.links.agents.get_mut(&agent.id) else { return };
        let Some(kind) = &known.kind else { return };
        if reached_by(kind) == reached_by(agent) {
            return;
        }
        known.kind = None;
        known.dialling = None;
        let Some(link) = known.up.take() else { return };
        self.retire(link);
    }

    fn retire(&mut self, link: LinkId) {
        let Some(up) = self.links.up.get_mut(&link) else { return };
        up.retired = true;
        if up.calls.is_empty() {
            self.close_link(link, CloseCode::Draining);
        }
    }

    /// Lets links of agents go that are no more, or that are reached otherwise.
    pub(super) fn review_links(&mut self) {
        let snapshot = self.directory.load();
        let known: Vec<_> =
            self.links.agents.values().filter_map(|known| known.kind.clone()).collect();
        for was in known {
            match snapshot.agent(was.organisation, &was.name).filter(|agent| agent.id == was.id) {
                Some(agent) => self.retire_if_other(agent),
                None => {
                    let gone = self.links.agents.remove(&was.id);
                    if let Some(link) = gone.and_then(|known| known.up) {
                        self.retire(link);
                    }
                }
            }
        }
    }

    /// Whether an agent may attach with a link: its subprotocol.
    pub(super) fn may_link(
        &self,
        organisation: Uuid,
        name: &str,
    ) -> Result<&'static str, LinkRefusal> {
        self.linking(organisation, name).map(|_| crate::agent::wire::mux::SUBPROTOCOL)
    }

    fn linking(&self, organisation: Uuid, name: &str) -> Result<Arc<Agent>, LinkRefusal> {
        let snapshot = self.directory.load();
        let agent = snapshot.agent_or_id(organisation, name).ok_or(LinkRefusal::NoSuchAgent)?;
        match &agent.kind {
            AgentKind::WebSocket(socket) if socket.url.is_none() && socket.mux => {
                Ok(Arc::clone(agent))
            }
            _ => Err(LinkRefusal::NotLinking),
        }
    }

    /// An agent has attached with a link, unless it may not any more.
    pub(super) fn link_attached(&mut self, organisation: Uuid, name: &str, socket: AgentSocket) {
        let Ok(agent) = self.linking(organisation, name) else { return };
        self.metrics.agents.attached.inc();
        let id = agent.id;
        self.links.agents.entry(id).or_default().kind = Some(agent);
        self.link_up(id, socket);
    }
}
