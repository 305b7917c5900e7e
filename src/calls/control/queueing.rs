//! Calls that wait for one of many: what follows from what happens to them, and in their queues.
//!
//! A queue is an agent that lets its caller wait ([`Builtin::Wait`]), and whoever is to take the
//! call is reached for by a transfer, so that the caller hears what it hears until somebody is
//! there, and goes on hearing it if nobody comes.

use std::sync::Arc;
use std::time::Duration;

use media::time::MonoTime;
use uuid::Uuid;

use super::Control;
use super::effects::millis;
use super::transferring::is_talking;
use crate::calls::call::Input;
use crate::calls::cause::Cause;
use crate::calls::log::What;
use crate::calls::queue::{Effect, Gone, Leaving, MemberId, Overflow, QueueId, Queues, plans};
use crate::calls::queued::{MemberView, Phase, QueueView, Queued, WaitingView};
use crate::calls::transfer::{State, TransferError};
use crate::config::{AgentKind, Builtin, Config, QueueConfig, QueueTarget};
use crate::directory::{Agent, Named, Snapshot, file_id};
use crate::quota::Limits;
use crate::telemetry::QueueFigures;
use crate::workers::command::CallKey;
use crate::workers::poller::now;

/// The queues of the configuration.
pub(super) struct Queueing {
    pub(super) machine: Queues,
    /// Who each member is.
    members: Vec<Target>,
    /// Who takes what a queue does not bear.
    overflows: Vec<Option<Target>>,
}

/// Whom calls of a queue are given to.
#[derive(Clone)]
enum Target {
    /// The agent of this name, as it is then.
    Named(String),
    /// A telephone of a queue's own.
    Phone(Arc<Agent>),
}

impl Target {
    fn new(target: &QueueTarget, organisation: Uuid) -> Self {
        match target {
            QueueTarget::Named(name) => Self::Named(name.clone()),
            QueueTarget::Phone(config) => Self::Phone(Arc::new(Agent {
                id: file_id(Named::Agent, &config.name),
                organisation,
                is_of_file: true,
                limits: Limits::default(),
                config: (**config).clone(),
            })),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::Phone(agent) => &agent.name,
        }
    }

    fn agent(&self, snapshot: &Snapshot) -> Option<Arc<Agent>> {
        match self {
            Self::Named(name) => snapshot.agent(snapshot.organisation, name).map(Arc::clone),
            Self::Phone(agent) => Some(Arc::clone(agent)),
        }
    }
}

impl Queueing {
    /// Queues in which nobody waits. They are of the file, as is their organisation.
    pub(super) fn new(config: &Config, organisation: Uuid) -> Self {
        let (plans, members) = plans(&config.queues);
        let target = |target: &QueueTarget| Target::new(target, organisation);
        let overflows = config.queues.iter().map(|queue| queue.overflow.as_ref().map(target));
        let members = members.iter().map(target).collect();
        Self { machine: Queues::new(plans), members, overflows: overflows.collect() }
    }

    fn has_overflow(&self, queue: QueueId) -> bool {
        self.overflows.get(queue.0).is_some_and(Option::is_some)
    }
}

/// The variable that names the queue in which a call has waited.
const QUEUE: &str = "queue";
/// The variable that tells for how long, in milliseconds.
const WAITED: &str = "queue_waited_ms";

impl Control {
    fn queue_id(&self, name: &str) -> Option<QueueId> {
        self.config.queues.iter().position(|queue| queue.name == name).map(QueueId)
    }

    fn queue_config(&self, queue: QueueId) -> Option<&QueueConfig> {
        self.config.queues.get(queue.0)
    }

    /// Whether an agent is a queue that has no place, and gives calls to nobody else.
    pub(super) fn has_no_place(&self, agent: &Agent) -> bool {
        let AgentKind::Builtin(Builtin::Wait { queue: Some(name) }) = &agent.kind else {
            return false;
        };
        let queue = self.queue_id(name);
        queue.is_some_and(|queue| self.bears_no_more(queue))
    }

    fn bears_no_more(&self, queue: QueueId) -> bool {
        self.queueing.machine.is_full(queue) && !self.queueing.has_overflow(queue)
    }

    /// A call's agent is a queue: it waits there once it is answered. False if it has no place
    /// there, and can be told so before the answer.
    pub(super) fn comes_to_queue(&mut self, key: CallKey, name: &str) -> bool {
        let Some(queue) = self.queue_id(name) else { return false };
        let full = self.bears_no_more(queue);
        let Some(call) = self.calls.get_mut(&key) else { return false };
        if full && call.call.answered_at().is_none() {
            return false;
        }
        call.queued = Some(Queued { queue, phase: Phase::Coming });
        true
    }

    /// A call waits from now on if it came to a queue and is answered.
    pub(super) fn joins_queue(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(&key).filter(|call| is_talking(call)) else { return };
        let Some(Queued { queue, phase: Phase::Coming }) = call.queued else { return };
        let id = call.id;
        if let Some(position) = self.queueing.machine.join(now(), queue, id) {
            self.set_phase(key, Phase::Waiting);
            self.log_queue(key, queue, "joined", Some(position), Duration::ZERO, None);
        }
    }

    fn set_phase(&mut self, key: CallKey, phase: Phase) {
        if let Some(queued) = self.calls.get_mut(&key).and_then(|call| call.queued.as_mut()) {
            queued.phase = phase;
        }
    }

    /// Carries out what the queues want done.
    pub(super) fn queue_effect(&mut self, effect: Effect) {
        match effect {
            Effect::Offer { call, queue, member, waited } => {
                self.offer(call, queue, member, waited);
            }
            Effect::Overflow { call, queue, why, waited } => {
                self.overflow(call, queue, why, waited);
            }
        }
    }

    /// Rings a member for a call.
    fn offer(&mut self, id: Uuid, queue: QueueId, member: MemberId, waited: Duration) {
        let Some(key) = self.by_id.get(&id).copied() else {
            self.queueing.machine.leave(now(), id, Leaving::Elsewhere);
            return;
        };
        let target = self.queueing.members.get(member.0).cloned();
        // Whatever comes of it is told before this returns, or later.
        self.set_phase(key, Phase::Offered);
        let Err(error) = self.give_queued(key, queue, target.as_ref(), waited) else { return };
        self.set_phase(key, Phase::Waiting);
        let machine = &mut self.queueing.machine;
        match error {
            TransferError::NotAnswered | TransferError::Busy | TransferError::Three => {
                machine.hindered(now(), id);
            }
            _ => {
                let member = target.as_ref().map_or("", Target::name);
                tracing::warn!(call = %id, member, %error, "a member of a queue is not reached");
                machine.refused(now(), id);
            }
        }
    }

    /// A call waits no longer: whoever takes such calls is reached for, or its route says what
    /// follows.
    fn overflow(&mut self, id: Uuid, queue: QueueId, why: Overflow, waited: Duration) {
        let Some(key) = self.by_id.get(&id).copied() else { return };
        let call = self.calls.get(&key);
        let is_reached_for = call.is_some_and(|it| it.transfer.is_some() || it.takeover.is_some());
        if is_reached_for && why == Overflow::TooLong {
            // Somebody who is being called for it may yet answer.
            return self.queueing.machine.waits_on(now(), queue, id, waited);
        }
        let state = match why {
            Overflow::Full => "full",
            Overflow::TooLong => "overflowed",
        };
        self.log_queue(key, queue, state, None, waited, None);
        self.set_phase(key, Phase::Overflowing);
        let Some(target) = self.queueing.overflows.get(queue.0).cloned().flatten() else {
            return self.leaves_unserved(key);
        };
        if let Err(error) = self.give_queued(key, queue, Some(&target), waited) {
            tracing::warn!(call = %id, agent = target.name(), %error, "nobody takes the overflow");
            self.leaves_unserved(key);
        }
    }

    /// Begins to hand a call to somebody.
    fn give_queued(
        &mut self,
        key: CallKey,
        queue: QueueId,
        target: Option<&Target>,
        waited: Duration,
    ) -> Result<Uuid, TransferError> {
        let config = self.queue_config(queue).ok_or(TransferError::Agent)?;
        let (name, limit) = (config.name.clone(), config.ring_timeout);
        let snapshot = self.directory.load();
        let agent = target.and_then(|target| target.agent(&snapshot));
        let agent = agent.ok_or(TransferError::Agent)?;
        let variables =
            vec![(QUEUE.to_owned(), name), (WAITED.to_owned(), millis(waited).to_string())];
        self.hand_to(key, &agent, variables, limit)
    }

    /// Nobody took a call that waits no longer.
    fn leaves_unserved(&mut self, key: CallKey) {
        if let Some(call) = self.calls.get_mut(&key) {
            call.queued = None;
        }
        self.tell_later(key, Input::AgentGivesUp(Cause::Busy));
    }

    /// A transfer of a call has moved on; with `three` whoever had the call stays.
    pub(super) fn queue_moves(&mut self, key: CallKey, state: State, three: bool) {
        let Some(call) = self.calls.get(&key) else { return };
        let (id, Some(Queued { queue, phase })) = (call.id, call.queued) else { return };
        let failed = matches!(state, State::Failed | State::Cancelled);
        match phase {
            Phase::Offered if state == State::Bridged => {
                let member = call.transfer.as_ref().and_then(|it| it.with.next.as_ref());
                let member = member.map(|next| next.agent.name.clone());
                let waited = self.queueing.machine.answered(now(), id).unwrap_or_default();
                self.set_phase(key, Phase::Served);
                self.log_queue(key, queue, "answered", None, waited, member);
            }
            Phase::Offered if failed => {
                self.set_phase(key, Phase::Waiting);
                self.queueing.machine.refused(now(), id);
            }
            Phase::Overflowing if failed => self.leaves_unserved(key),
            Phase::Offered => {}
            _ if state == State::Bridged && !three => self.leaves_queue(key, Leaving::Elsewhere),
            _ => {}
        }
    }

    /// A call is no longer its queue's, if it was.
    pub(super) fn leaves_queue(&mut self, key: CallKey, why: Leaving) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (id, Some(_)) = (call.id, call.queued.take()) else { return };
        if let Some(Gone::Waited { queue, waited }) = self.queueing.machine.leave(now(), id, why) {
            let state = match why {
                Leaving::Over => "abandoned",
                Leaving::Elsewhere => "left",
            };
            self.log_queue(key, queue, state, None, waited, None);
        }
    }

    fn log_queue(
        &mut self,
        key: CallKey,
        queue: QueueId,
        state: &str,
        position: Option<usize>,
        waited: Duration,
        member: Option<String>,
    ) {
        let Some(queue) = self.queue_config(queue).map(|queue| queue.name.clone()) else { return };
        let (state, waited_ms) = (state.to_owned(), millis(waited));
        self.log_fact(key, What::Queue { queue, state, position, member, waited_ms });
    }

    /// Shows in the metrics how the queues stand, if that has changed.
    pub(super) fn count_queues(&mut self) {
        if !self.queueing.machine.take_changed() {
            return;
        }
        for (number, queue) in self.config.queues.iter().enumerate() {
            let standing = self.queueing.machine.standing(now(), QueueId(number));
            let Some(standing) = standing else { continue };
            let counts = standing.counts;
            self.metrics.queues.stands(
                &queue.name,
                QueueFigures {
                    waiting: standing.waiting.len(),
                    longest: standing.longest(),
                    served: counts.served,
                    abandoned: counts.abandoned,
                    overflowed: counts.overflowed,
                },
            );
        }
    }

    /// How the queues of an organisation stand.
    pub(super) fn queues_of(&self, organisation: Uuid) -> Vec<QueueView> {
        if organisation != self.directory.load().organisation {
            return Vec::new();
        }
        let at = now();
        let queues = self.config.queues.iter().enumerate();
        queues.filter_map(|(number, queue)| self.queue_view(at, QueueId(number), queue)).collect()
    }

    fn queue_view(&self, at: MonoTime, id: QueueId, queue: &QueueConfig) -> Option<QueueView> {
        let standing = self.queueing.machine.standing(at, id)?;
        let name = |member: MemberId| {
            self.queueing.members.get(member.0).map(|target| target.name().to_owned())
        };
        let members = standing.members.iter().map(|member| MemberView {
            agent: name(member.member).unwrap_or_default(),
            calls: member.calls,
            max_calls: member.max_calls,
            rests_ms: millis(member.rests),
        });
        let calls = standing.waiting.iter().zip(1..).filter_map(|(waiter, position)| {
            let call = self.calls.get(self.by_id.get(&waiter.call)?)?;
            Some(WaitingView {
                id: waiter.call,
                from: call.from.clone(),
                position,
                waited_ms: millis(waiter.waited),
                offered_to: waiter.offered.and_then(name),
            })
        });
        Some(QueueView {
            name: queue.name.clone(),
            strategy: queue.strategy.as_str(),
            max_waiting: queue.max_waiting,
            max_wait_s: queue.max_wait.as_secs(),
            waiting: standing.waiting.len(),
            longest_wait_ms: standing.longest().map_or(0, millis),
            served: standing.counts.served,
            abandoned: standing.counts.abandoned,
            overflowed: standing.counts.overflowed,
            members: members.collect(),
            calls: calls.collect(),
        })
    }
}
