//! What queues are told before any call comes.

use std::time::Duration;

use crate::config::{QueueConfig, QueueTarget, Strategy};

/// Which queue, by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(pub usize);

/// Which of all members: one that is in several queues is one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberId(pub usize);

/// A queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Which of the free members gets the next call.
    pub strategy: Strategy,
    /// Its members in their order, each with the calls that this queue lets it have at once.
    pub members: Vec<(MemberId, usize)>,
    /// Calls that may wait at once.
    pub max_waiting: usize,
    /// How long a call may wait.
    pub max_wait: Duration,
    /// How long a member that took no offer is passed over.
    pub rest: Duration,
}

/// The queues of a configuration, and who each of their members is.
pub fn plans(configs: &[QueueConfig]) -> (Vec<Plan>, Vec<QueueTarget>) {
    let mut targets: Vec<QueueTarget> = Vec::new();
    let plans = configs.iter().map(|config| {
        let members = config.members.iter().map(|member| {
            let known = targets.iter().position(|target| target.name() == member.target.name());
            let place = known.unwrap_or_else(|| {
                targets.push(member.target.clone());
                targets.len() - 1
            });
            (MemberId(place), many(member.max_calls))
        });
        Plan {
            strategy: config.strategy,
            members: members.collect(),
            max_waiting: many(config.max_waiting),
            max_wait: config.max_wait,
            rest: config.rest,
        }
    });
    (plans.collect(), targets)
}

fn many(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
