//! Queues told facts in order and out of it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use media::time::MonoTime;
use proptest::prelude::{TestCaseError, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy as _;
use uuid::Uuid;

use super::*;
use crate::config::Strategy;

const QUEUE: QueueId = QueueId(0);
const MAX_WAIT: Duration = Duration::from_secs(100);
const REST: Duration = Duration::from_secs(30);

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn call(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// A queue whose members take so many calls each.
fn plan(strategy: Strategy, members: &[(usize, usize)]) -> Plan {
    Plan {
        strategy,
        members: members.iter().map(|(member, calls)| (MemberId(*member), *calls)).collect(),
        max_waiting: 5,
        max_wait: MAX_WAIT,
        rest: REST,
    }
}

struct Run {
    queues: Queues,
    now: MonoTime,
}

impl Run {
    fn new(plans: Vec<Plan>) -> Self {
        Self { queues: Queues::new(plans), now: MonoTime::ZERO + s(1_000) }
    }

    fn one(strategy: Strategy, members: &[(usize, usize)]) -> Self {
        Self::new(vec![plan(strategy, members)])
    }

    fn join(&mut self, number: u128) -> Option<usize> {
        self.queues.join(self.now, QUEUE, call(number))
    }

    /// The offers that have come out: call and member.
    fn offers(&mut self) -> Vec<(Uuid, usize)> {
        std::iter::from_fn(|| self.queues.poll())
            .map(|effect| match effect {
                Effect::Offer { call, member, .. } => (call, member.0),
                Effect::Overflow { .. } => panic!("{effect:?}"),
            })
            .collect()
    }

    fn overflows(&mut self) -> Vec<(Uuid, Overflow)> {
        std::iter::from_fn(|| self.queues.poll())
            .filter_map(|effect| match effect {
                Effect::Overflow { call, why, .. } => Some((call, why)),
                Effect::Offer { .. } => None,
            })
            .collect()
    }

    /// Moves to the next deadline.
    fn sleep(&mut self) {
        let due = self.queues.deadline();
        assert!(due > self.now && due < MonoTime::MAX, "{due:?} at {:?}", self.now);
        self.now = due;
        self.queues.handle_timeout(self.now);
    }
}

/// The first who came is served first; the next when that call is over, with the time it waited.
#[test]
fn first_come_first_served() {
    let mut run = Run::one(Strategy::LongestIdle, &[(0, 1)]);
    assert_eq!((run.join(1), run.join(2), run.join(3)), (Some(1), Some(2), Some(3)));
    assert_eq!(run.offers(), [(call(1), 0)]);
    run.now += s(2);
    assert_eq!(run.queues.answered(run.now, call(1)), Some(s(2)));
    assert_eq!(run.offers(), []);
    run.now += s(60);
    let gone = run.queues.leave(run.now, call(1), Leaving::Over);
    assert_eq!(gone, Some(Gone::Served { member: MemberId(0) }));
    assert_eq!(run.offers(), [(call(2), 0)]);
    assert_eq!(run.queues.answered(run.now, call(2)), Some(s(62)));
    let standing = run.queues.standing(run.now, QUEUE).unwrap();
    assert_eq!((standing.waiting.len(), standing.longest()), (1, Some(s(62))));
    assert_eq!(standing.counts, Counts { served: 2, ..Counts::default() });
}

/// Who hangs up while it waits frees its place, and the member that was rung for it.
#[test]
fn who_leaves_frees_its_place() {
    let mut run = Run::one(Strategy::InOrder, &[(0, 1)]);
    run.join(1);
    run.join(2);
    assert_eq!(run.offers(), [(call(1), 0)]);
    run.now += s(3);
    let gone = run.queues.leave(run.now, call(1), Leaving::Over);
    assert_eq!(gone, Some(Gone::Waited { queue: QUEUE, waited: s(3) }));
    assert_eq!(run.offers(), [(call(2), 0)], "the member is not passed over for that");
    assert_eq!(run.queues.leave(run.now, call(1), Leaving::Over), None);
    let gone = run.queues.leave(run.now, call(2), Leaving::Elsewhere);
    assert_eq!(gone, Some(Gone::Waited { queue: QUEUE, waited: s(3) }));
    let standing = run.queues.standing(run.now, QUEUE).unwrap();
    assert_eq!(standing.counts, Counts { abandoned: 1, ..Counts::default() });
    assert_eq!(run.queues.deadline(), MonoTime::MAX);
}

/// An offer of a call that leaves before anybody has looked is not made.
#[test]
fn an_offer_to_nobody_is_not_made() {
    let mut run = Run::one(Strategy::InOrder, &[(0, 1)]);
    run.join(1);
    run.queues.leave(run.now, call(1), Leaving::Over);
    assert_eq!(run.queues.poll(), None);
}

/// A member that does not answer is passed over for its rest, and the call keeps its place.
#[test]
fn who_does_not_answer_is_passed_over() {
    let mut run = Run::one(Strategy::InOrder, &[(0, 1), (1, 1)]);
    run.join(1);
    assert_eq!(run.offers(), [(call(1), 0)]);
    run.queues.refused(run.now, call(1));
    assert_eq!(run.offers(), [(call(1), 1)]);
    run.queues.refused(run.now, call(1));
    run.join(2);
    assert_eq!(run.offers(), []);
    let rests = run.queues.standing(run.now, QUEUE).unwrap().members;
    assert!(rests.iter().all(|member| member.rests == REST && member.calls == 0), "{rests:?}");
    run.sleep();
    assert_eq!(run.now, MonoTime::ZERO + s(1_000) + REST);
    assert_eq!(run.offers(), [(call(1), 0), (call(2), 1)]);
}

/// A call that can go nowhere at this moment keeps its place and holds nobody else up.
#[test]
fn who_is_hindered_is_passed_over_for_a_moment() {
    let mut run = Run::one(Strategy::InOrder, &[(0, 1)]);
    run.join(1);
    run.join(2);
    assert_eq!(run.offers(), [(call(1), 0)]);
    run.queues.hindered(run.now, call(1));
    assert_eq!(run.offers(), [(call(2), 0)]);
    run.queues.answered(run.now, call(2));
    run.sleep();
    run.queues.leave(run.now, call(2), Leaving::Over);
    assert_eq!(run.offers(), [(call(1), 0)]);
}

/// The member with the fewest calls is next, then the one that has been idle longest; in order it
/// is the first that is free.
#[test]
fn strategies() {
    let members = [(0, 2), (1, 2), (2, 2)];
    let mut run = Run::one(Strategy::LongestIdle, &members);
    for (number, member) in [(1, 0), (2, 1), (3, 2), (4, 0)] {
        run.join(number);
        assert_eq!(run.offers(), [(call(number), member)]);
        run.queues.answered(run.now, call(number));
        run.now += s(1);
    }
    // The third has been idle for the longest time, then the second.
    for number in [3, 2, 1, 4] {
        run.queues.leave(run.now, call(number), Leaving::Over);
        run.now += s(1);
    }
    for (number, member) in [(5, 2), (6, 1), (7, 0)] {
        run.join(number);
        assert_eq!(run.offers(), [(call(number), member)]);
    }
    let mut run = Run::one(Strategy::InOrder, &members);
    for (number, member) in [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2)] {
        run.join(number);
        assert_eq!(run.offers(), [(call(number), member)]);
        run.queues.answered(run.now, call(number));
    }
}

/// Beyond its places a queue takes nobody; who has waited as long as it may waits no more, unless a
/// member is being rung for it: then as soon as that has come to nothing.
#[test]
fn overflow() {
    let mut run = Run::one(Strategy::InOrder, &[(0, 1)]);
    for number in 1..=5 {
        assert_eq!(run.join(number), Some(number as usize));
    }
    assert!(run.queues.is_full(QUEUE));
    assert_eq!(run.join(6), None);
    assert_eq!(run.overflows(), [(call(6), Overflow::Full)]);
    run.sleep();
    let late: Vec<_> = (2..=5).map(|number| (call(number), Overflow::TooLong)).collect();
    assert_eq!(run.overflows(), late);
    assert_eq!(run.queues.deadline(), MonoTime::MAX, "the first is being rung for");
    run.queues.refused(run.now, call(1));
    assert_eq!(run.overflows(), [(call(1), Overflow::TooLong)]);
    let standing = run.queues.standing(run.now, QUEUE).unwrap();
    assert_eq!(standing.counts, Counts { overflowed: 6, ..Counts::default() });
    assert!(standing.waiting.is_empty() && !run.queues.is_full(QUEUE));
}

/// A call that others are reached for when its time is over keeps its place, is offered to nobody
/// meanwhile, and is told so again; it has overflowed once, or not at all.
#[test]
fn who_is_reached_for_elsewhere_waits_on() {
    let mut run = Run::one(Strategy::InOrder, &[(0, 1)]);
    run.join(1);
    assert_eq!(run.offers(), [(call(1), 0)]);
    run.queues.answered(run.now, call(1));
    run.join(2);
    run.now += s(10);
    run.join(3);
    run.sleep();
    assert_eq!(run.overflows(), [(call(2), Overflow::TooLong)]);
    run.queues.waits_on(run.now, QUEUE, call(2), MAX_WAIT);
    assert_eq!(run.queues.poll(), None);
    let standing = run.queues.standing(run.now, QUEUE).unwrap();
    let waiting: Vec<_> = standing.waiting.iter().map(|one| one.call).collect();
    assert_eq!((waiting, standing.counts.overflowed), (vec![call(2), call(3)], 0));
    run.queues.leave(run.now, call(1), Leaving::Over);
    assert_eq!(run.offers(), [(call(3), 0)]);
    run.sleep();
    assert_eq!(run.overflows(), [(call(2), Overflow::TooLong)]);
    let waited = MAX_WAIT + CALLER_PAUSE;
    run.queues.waits_on(run.now, QUEUE, call(2), waited);
    let gone = run.queues.leave(run.now, call(2), Leaving::Elsewhere);
    assert_eq!(gone, Some(Gone::Waited { queue: QUEUE, waited }));
    let standing = run.queues.standing(run.now, QUEUE).unwrap();
    assert_eq!(standing.counts, Counts { served: 1, ..Counts::default() });
}

/// A member of two queues has one share of calls; whoever has waited longest in either is next.
#[test]
fn a_member_of_two_queues() {
    let plans = vec![plan(Strategy::InOrder, &[(0, 1)]), plan(Strategy::InOrder, &[(0, 1)])];
    let mut run = Run::new(plans);
    run.join(1);
    run.now += s(1);
    run.queues.join(run.now, QueueId(1), call(2));
    run.now += s(1);
    run.join(3);
    assert_eq!(run.offers(), [(call(1), 0)]);
    run.queues.answered(run.now, call(1));
    run.queues.leave(run.now, call(1), Leaving::Over);
    assert_eq!(run.offers(), [(call(2), 0)]);
}

#[derive(Clone, Debug)]
enum Step {
    Join(usize, u128),
    Leave(u128),
    Answered(u128),
    Refused(u128),
    Hindered(u128),
    Wait(u64),
}

fn any_step() -> impl proptest::strategy::Strategy<Value = Step> {
    let number = || 0..12_u128;
    prop_oneof![
        3 => (0..2_usize, number()).prop_map(|(queue, number)| Step::Join(queue, number)),
        1 => number().prop_map(Step::Leave),
        2 => number().prop_map(Step::Answered),
        1 => number().prop_map(Step::Refused),
        1 => number().prop_map(Step::Hindered),
        1 => (0..60_u64).prop_map(Step::Wait),
    ]
}

/// What is known of each call from outside.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    Waits { queue: usize, order: usize, passed_over: MonoTime },
    Offered { queue: usize, order: usize, member: usize },
    Served { member: usize },
}

/// Follows a run from outside, and judges each effect.
struct Witness {
    run: Run,
    known: HashMap<Uuid, Known>,
    order: usize,
    most: [usize; 3],
}

impl Witness {
    fn new() -> Self {
        let plans = vec![
            plan(Strategy::LongestIdle, &[(0, 1), (1, 2)]),
            plan(Strategy::InOrder, &[(1, 2), (2, 3)]),
        ];
        Self { run: Run::new(plans), known: HashMap::new(), order: 0, most: [1, 2, 3] }
    }

    /// Offers go to free members, and to nobody before its turn; nobody overflows without cause.
    fn look(&mut self) -> Result<(), TestCaseError> {
        while let Some(effect) = self.run.queues.poll() {
            match effect {
                Effect::Offer { call, queue, member, .. } => {
                    let Some(Known::Waits { queue: own, order, .. }) = self.known.get(&call) else {
                        return Err(TestCaseError::fail(format!("{effect:?} of {:?}", self.known)));
                    };
                    let (own, order) = (*own, *order);
                    prop_assert_eq!(own, queue.0);
                    let earlier = self.known.values().any(|known| match known {
                        Known::Waits { queue, order: other, passed_over } => {
                            *queue == own && *other < order && *passed_over <= self.run.now
                        }
                        _ => false,
                    });
                    prop_assert!(!earlier, "{effect:?} before its turn");
                    let member = member.0;
                    self.known.insert(call, Known::Offered { queue: own, order, member });
                }
                Effect::Overflow { call, why, .. } => {
                    let known = self.known.remove(&call);
                    // Who cannot even join was not known yet.
                    prop_assert_eq!(known.is_none(), why == Overflow::Full, "{:?}", known);
                }
            }
        }
        for (member, most) in self.most.iter().enumerate() {
            let has = self.known.values().filter(|known| match known {
                Known::Offered { member: own, .. } | Known::Served { member: own } => {
                    *own == member
                }
                Known::Waits { .. } => false,
            });
            prop_assert!(has.count() <= *most, "member {member}: {:?}", self.known);
        }
        self.nobody_is_lost()
    }

    /// The machine knows of everybody, and of nobody else.
    fn nobody_is_lost(&self) -> Result<(), TestCaseError> {
        let Run { queues, now } = &self.run;
        for queue in 0..2 {
            let standing = queues.standing(*now, QueueId(queue)).unwrap();
            let waiting: HashSet<Uuid> = standing.waiting.iter().map(|one| one.call).collect();
            let known = self.known.iter().filter(|(_, known)| match known {
                Known::Waits { queue: own, .. } | Known::Offered { queue: own, .. } => {
                    *own == queue
                }
                Known::Served { .. } => false,
            });
            let known: HashSet<Uuid> = known.map(|(call, _)| *call).collect();
            prop_assert_eq!(waiting, known);
            prop_assert!(standing.waiting.len() <= 5);
        }
        Ok(())
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        let now = self.run.now;
        let queues = &mut self.run.queues;
        match step {
            Step::Join(queue, number) if !self.known.contains_key(&call(number)) => {
                if queues.join(now, QueueId(queue), call(number)).is_some() {
                    let (order, passed_over) = (self.order, MonoTime::ZERO);
                    self.known.insert(call(number), Known::Waits { queue, order, passed_over });
                    self.order += 1;
                }
            }
            Step::Join(..) => {}
            Step::Leave(number) => {
                let gone = queues.leave(now, call(number), Leaving::Over);
                prop_assert_eq!(gone.is_some(), self.known.remove(&call(number)).is_some());
            }
            Step::Answered(number) => {
                let answered = queues.answered(now, call(number));
                if let Some(Known::Offered { member, .. }) = self.known.get(&call(number)) {
                    prop_assert!(answered.is_some());
                    let member = *member;
                    self.known.insert(call(number), Known::Served { member });
                } else {
                    prop_assert_eq!(answered, None);
                }
            }
            Step::Refused(number) | Step::Hindered(number) => {
                let known = self.known.get(&call(number)).copied();
                if let Some(Known::Offered { queue, order, .. }) = known {
                    let hindered = matches!(step, Step::Hindered(_));
                    let passed_over = if hindered { now + CALLER_PAUSE } else { MonoTime::ZERO };
                    self.known.insert(call(number), Known::Waits { queue, order, passed_over });
                }
                match step {
                    Step::Refused(_) => queues.refused(now, call(number)),
                    _ => queues.hindered(now, call(number)),
                }
            }
            Step::Wait(seconds) => {
                let end = now + s(seconds);
                while self.run.queues.deadline() <= end {
                    self.run.now = self.run.now.max(self.run.queues.deadline());
                    self.run.queues.handle_timeout(self.run.now);
                    prop_assert!(self.run.queues.deadline() > self.run.now, "no progress");
                    self.look()?;
                }
                self.run.now = end;
            }
        }
        self.look()
    }
}

proptest! {
    /// Whatever comes in whatever order: nobody is lost or in two places, offers are made in the
    /// order in which calls came, no member has more calls than it takes, no queue more than it
    /// bears; and in the end everybody is served by members that answer, within the time that
    /// calls may wait, or told that nobody was there.
    #[test]
    fn any_order_of_facts(steps in prop::collection::vec(any_step(), 0..60)) {
        let mut witness = Witness::new();
        for step in steps {
            witness.step(step)?;
        }
        // From here on everybody answers, and talks for a minute.
        for _ in 0..40 {
            let calls: Vec<(Uuid, Known)> =
                witness.known.iter().map(|(call, known)| (*call, *known)).collect();
            for (call, known) in calls {
                let number = call.as_u128();
                match known {
                    Known::Offered { .. } => witness.step(Step::Answered(number))?,
                    Known::Served { .. } => witness.step(Step::Leave(number))?,
                    Known::Waits { .. } => {}
                }
            }
            witness.step(Step::Wait(60))?;
        }
        prop_assert!(witness.known.is_empty(), "{:?}", witness.known);
        prop_assert_eq!(witness.run.queues.deadline(), MonoTime::MAX);
    }
}
