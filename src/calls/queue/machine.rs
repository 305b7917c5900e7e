//! The state machine of all queues.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use media::time::MonoTime;
use uuid::Uuid;

use super::{Counts, MemberId, MemberStanding, Plan, QueueId, QueueStanding, WaiterStanding};
use crate::config::Strategy;

/// How long a call is passed over that cannot be handed to anybody at this moment.
pub const CALLER_PAUSE: Duration = Duration::from_secs(1);

/// Something that must be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ring this member for a call, and tell what became of that.
    Offer {
        /// The call.
        call: Uuid,
        /// Where it waits.
        queue: QueueId,
        /// The member.
        member: MemberId,
        /// How long it has waited.
        waited: Duration,
    },
    /// A call waits no longer here.
    Overflow {
        /// The call.
        call: Uuid,
        /// The queue.
        queue: QueueId,
        /// Why.
        why: Overflow,
        /// How long it has waited.
        waited: Duration,
    },
}

impl Effect {
    const fn call(&self) -> Uuid {
        match self {
            Self::Offer { call, .. } | Self::Overflow { call, .. } => *call,
        }
    }
}

/// Why a call cannot wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// As many wait as may.
    Full,
    /// It has waited as long as it may.
    TooLong,
}

/// Why a call is no longer the queue's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// It is over.
    Over,
    /// It goes on elsewhere.
    Elsewhere,
}

/// What a call was that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It waited.
    Waited {
        /// Where.
        queue: QueueId,
        /// For how long.
        waited: Duration,
    },
    /// A member had it.
    Served {
        /// Which.
        member: MemberId,
    },
}

/// A call that waits.
#[derive(Clone, Copy, Debug)]
struct Waiter {
    call: Uuid,
    since: MonoTime,
    /// The member that is rung for it.
    offered: Option<MemberId>,
    /// It is passed over until then; zero if it is not.
    not_before: MonoTime,
}

impl Waiter {
    /// Whether it is not passed over.
    fn is_ready(&self) -> bool {
        self.not_before == MonoTime::ZERO
    }
}

#[derive(Debug)]
struct Queue {
    plan: Plan,
    /// In the order in which they came.
    waiting: VecDeque<Waiter>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Member {
    /// Those that it has, and those that it is rung for.
    calls: Vec<Uuid>,
    /// When its last call ended; zero if it had none.
    idle_since: MonoTime,
    /// It is passed over until then; zero if it is not.
    rests_until: MonoTime,
}

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Waits(QueueId),
    Has(MemberId),
}

/// All queues of a server.
#[derive(Debug, Default)]
pub struct Queues {
    queues: Vec<Queue>,
    members: Vec<Member>,
    places: HashMap<Uuid, Place>,
    effects: VecDeque<Effect>,
    /// When the next of them wants to be looked at.
    due: MonoTime,
    changed: bool,
}

impl Queues {
    /// Queues in which nobody waits.
    pub fn new(plans: Vec<Plan>) -> Self {
        let ids = plans.iter().flat_map(|plan| &plan.members).map(|(member, _)| member.0 + 1);
        let members = ids.max().unwrap_or(0);
        let queue = |plan| Queue { plan, waiting: VecDeque::new(), counts: Counts::default() };
        Self {
            queues: plans.into_iter().map(queue).collect(),
            members: (0..members).map(|_| Member::default()).collect(),
            due: MonoTime::MAX,
            changed: true,
            ..Self::default()
        }
    }

    /// Whether as many wait in a queue as may.
    pub fn is_full(&self, queue: QueueId) -> bool {
        let queue = self.queues.get(queue.0);
        queue.is_none_or(|queue| queue.waiting.len() >= queue.plan.max_waiting)
    }

    /// A call comes to wait. Its place in the order, the first is 1; none if it cannot wait, which
    /// an effect tells, too.
    pub fn join(&mut self, now: MonoTime, id: QueueId, call: Uuid) -> Option<usize> {
        self.leave(now, call, Leaving::Elsewhere);
        self.changed = true;
        let is_full = self.is_full(id);
        let queue = self.queues.get_mut(id.0)?;
        if is_full {
            queue.counts.overflowed += 1;
            let (why, waited) = (Overflow::Full, Duration::ZERO);
            self.effects.push_back(Effect::Overflow { call, queue: id, why, waited });
            return None;
        }
        let not_before = MonoTime::ZERO;
        queue.waiting.push_back(Waiter { call, since: now, offered: None, not_before });
        let place = queue.waiting.len();
        self.places.insert(call, Place::Waits(id));
        self.dispatch(now);
        Some(place)
    }

    /// A call is over, or goes on elsewhere; what it was, if it was anything here.
    pub fn leave(&mut self, now: MonoTime, call: Uuid, why: Leaving) -> Option<Gone> {
        self.effects.retain(|effect| effect.call() != call);
        let gone = match self.places.remove(&call)? {
            Place::Waits(id) => {
                let queue = self.queues.get_mut(id.0)?;
                let at = queue.waiting.iter().position(|waiter| waiter.call == call)?;
                let waiter = queue.waiting.remove(at)?;
                queue.counts.abandoned += u64::from(why == Leaving::Over);
                if let Some(member) = waiter.offered {
                    // It is not to blame, and was not busy.
                    self.release(member, call);
                }
                Gone::Waited { queue: id, waited: now.since(waiter.since) }
            }
            Place::Has(member) => {
                self.release(member, call);
                if let Some(member) = self.members.get_mut(member.0) {
                    member.idle_since = now;
                }
                Gone::Served { member }
            }
        };
        self.changed = true;
        self.dispatch(now);
        Some(gone)
    }

    /// The member that was rung for a call has it; how long that waited.
    pub fn answered(&mut self, now: MonoTime, call: Uuid) -> Option<Duration> {
        let (queue, at, member) = self.offered(call)?;
        let queue = self.queues.get_mut(queue.0)?;
        let waiter = queue.waiting.remove(at)?;
        queue.counts.served += 1;
        self.places.insert(call, Place::Has(member));
        self.changed = true;
        self.dispatch(now);
        Some(now.since(waiter.since))
    }

    /// The member that was rung for a call did not take it: it is passed over for a while.
    pub fn refused(&mut self, now: MonoTime, call: Uuid) {
        let Some((queue, _, member)) = self.offered(call) else { return };
        let rest = self.queues.get(queue.0).map(|queue| queue.plan.rest).unwrap_or_default();
        if let Some(member) = self.members.get_mut(member.0) {
            member.rests_until = now + rest;
        }
        self.take_back(now, call, MonoTime::ZERO);
    }

    /// A call cannot be handed to anybody at this moment: it is passed over for a moment, and keeps
    /// its place.
    pub fn hindered(&mut self, now: MonoTime, call: Uuid) {
        self.take_back(now, call, now + CALLER_PAUSE);
    }

    fn take_back(&mut self, now: MonoTime, call: Uuid, not_before: MonoTime) {
        let Some((queue, at, member)) = self.offered(call) else { return };
        self.release(member, call);
        let queue = self.queues.get_mut(queue.0);
        if let Some(waiter) = queue.and_then(|queue| queue.waiting.get_mut(at)) {
            (waiter.offered, waiter.not_before) = (None, not_before);
        }
        self.changed = true;
        self.dispatch(now);
    }

    /// A call that was told to wait no longer, after it has waited for so long, is being reached
    /// for by others than this queue: it has its place again and is passed over for a moment.
    pub fn waits_on(&mut self, now: MonoTime, id: QueueId, call: Uuid, waited: Duration) {
        let Some(queue) = self.queues.get_mut(id.0) else { return };
        if self.places.contains_key(&call) {
            return;
        }
        queue.counts.overflowed = queue.counts.overflowed.saturating_sub(1);
        let (since, not_before) = (now - waited, now + CALLER_PAUSE);
        let at = queue.waiting.partition_point(|waiter| waiter.since <= since);
        queue.waiting.insert(at, Waiter { call, since, offered: None, not_before });
        self.places.insert(call, Place::Waits(id));
        self.changed = true;
        self.dispatch(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: MonoTime) {
        self.dispatch(now);
    }

    /// When [`Queues::handle_timeout`] is due.
    pub const fn deadline(&self) -> MonoTime {
        self.due
    }

    /// When somebody has waited long enough, or is passed over no more.
    fn reckon(&self) -> MonoTime {
        let mut due = MonoTime::MAX;
        let mut is_sought = false;
        for queue in &self.queues {
            for waiter in queue.waiting.iter().filter(|waiter| waiter.offered.is_none()) {
                is_sought = true;
                let late = waiter.since + queue.plan.max_wait;
                due = due.min(if waiter.is_ready() { late } else { waiter.not_before });
            }
        }
        let rests = self.members.iter().map(|member| set(member.rests_until));
        rests.filter(|_| is_sought).fold(due, MonoTime::min)
    }

    /// The next thing that must be done; none if nothing is left.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Whether anything has changed since this was asked last.
    pub const fn take_changed(&mut self) -> bool {
        std::mem::replace(&mut self.changed, false)
    }

    /// How a queue stands.
    pub fn standing(&self, now: MonoTime, queue: QueueId) -> Option<QueueStanding> {
        let queue = self.queues.get(queue.0)?;
        let waiting = queue.waiting.iter().map(|waiter| WaiterStanding {
            call: waiter.call,
            waited: now.since(waiter.since),
            offered: waiter.offered,
        });
        let members = queue.plan.members.iter().filter_map(|(id, max_calls)| {
            let member = self.members.get(id.0)?;
            let rests = member.rests_until.since(now);
            let (member, calls, max_calls) = (*id, member.calls.len(), *max_calls);
            Some(MemberStanding { member, calls, max_calls, rests })
        });
        Some(QueueStanding {
            waiting: waiting.collect(),
            members: members.collect(),
            counts: queue.counts,
        })
    }

    /// Where a call waits for which a member is rung, and that member.
    fn offered(&self, call: Uuid) -> Option<(QueueId, usize, MemberId)> {
        let Place::Waits(id) = *self.places.get(&call)? else { return None };
        let waiting = &self.queues.get(id.0)?.waiting;
        let at = waiting.iter().position(|waiter| waiter.call == call)?;
        Some((id, at, waiting.get(at)?.offered?))
    }

    fn release(&mut self, member: MemberId, call: Uuid) {
        if let Some(member) = self.members.get_mut(member.0) {
            member.calls.retain(|one| *one != call);
        }
    }

    /// Offers calls to members until either are used up.
    fn dispatch(&mut self, now: MonoTime) {
        self.wake(now);
        while let Some((queue, at, member)) = self.next_offer() {
            let Some(waiter) =
                self.queues.get_mut(queue.0).and_then(|queue| queue.waiting.get_mut(at))
            else {
                break;
            };
            waiter.offered = Some(member);
            let (call, waited) = (waiter.call, now.since(waiter.since));
            if let Some(member) = self.members.get_mut(member.0) {
                member.calls.push(call);
            }
            self.changed = true;
            self.effects.push_back(Effect::Offer { call, queue, member, waited });
        }
        self.due = self.reckon();
    }

    /// Who was passed over long enough is so no more; who has waited too long waits no more.
    fn wake(&mut self, now: MonoTime) {
        for member in self.members.iter_mut().filter(|member| member.rests_until <= now) {
            member.rests_until = MonoTime::ZERO;
        }
        for (number, queue) in self.queues.iter_mut().enumerate() {
            let Queue { plan, waiting, counts } = queue;
            for waiter in waiting.iter_mut().filter(|waiter| waiter.not_before <= now) {
                waiter.not_before = MonoTime::ZERO;
            }
            waiting.retain(|waiter| {
                // While somebody is rung for it, it may yet be answered.
                let may_stay = waiter.offered.is_some() || !waiter.is_ready();
                let stays = may_stay || waiter.since + plan.max_wait > now;
                if !stays {
                    counts.overflowed += 1;
                    self.places.remove(&waiter.call);
                    let (call, waited) = (waiter.call, now.since(waiter.since));
                    let (queue, why) = (QueueId(number), Overflow::TooLong);
                    self.effects.push_back(Effect::Overflow { call, queue, why, waited });
                    self.changed = true;
                }
                stays
            });
        }
    }

    /// The next call and its member: of those that are first in their queues, the one that has
    /// waited longest and for which there is somebody.
    fn next_offer(&self) -> Option<(QueueId, usize, MemberId)> {
        let first = |(number, queue): (usize, &Queue)| {
            let ready = |it: &Waiter| it.offered.is_none() && it.is_ready();
            let at = queue.waiting.iter().position(ready)?;
            Some((queue.waiting.get(at)?.since, number, at))
        };
        let mut firsts: Vec<_> = self.queues.iter().enumerate().filter_map(first).collect();
        firsts.sort_unstable();
        firsts.into_iter().find_map(|(_, number, at)| {
            let member = self.member_for(self.queues.get(number)?)?;
            Some((QueueId(number), at, member))
        })
    }

    /// Who takes the next call of a queue, if anybody is free.
    fn member_for(&self, queue: &Queue) -> Option<MemberId> {
        let mut free = queue.plan.members.iter().filter_map(|(id, max_calls)| {
            let member = self.members.get(id.0)?;
            let is_free = member.calls.len() < *max_calls && member.rests_until == MonoTime::ZERO;
            is_free.then_some((*id, member))
        });
        let found = match queue.plan.strategy {
            Strategy::InOrder => free.next(),
            Strategy::LongestIdle => {
                free.min_by_key(|(_, member)| (member.calls.len(), member.idle_since))
            }
        };
        found.map(|(id, _)| id)
    }
}

/// A time that is set; zero is none.
const fn set(at: MonoTime) -> MonoTime {
    if at.as_nanos() == 0 { MonoTime::MAX } else { at }
}
