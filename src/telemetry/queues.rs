//! Where calls wait: how many, for how long, and what became of those that did.

use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::exposition::Out;

/// How a queue stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueueFigures {
    /// Calls that wait.
    pub waiting: usize,
    /// How long the one waits that has waited longest.
    pub longest: Option<Duration>,
    /// Calls that members took.
    pub served: u64,
    /// Calls whose callers hung up while they waited.
    pub abandoned: u64,
    /// Calls that did not wait, or waited for too long.
    pub overflowed: u64,
}

/// The figures of all queues, by their names. Few, and of the configuration; written once in a
/// while.
#[derive(Debug, Default)]
pub struct QueueMetrics(Mutex<BTreeMap<String, (QueueFigures, Instant)>>);

impl QueueMetrics {
    /// A queue stands so now.
    pub fn stands(&self, queue: &str, figures: QueueFigures) {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stands = (figures, Instant::now());
        match queues.get_mut(queue) {
            Some(known) => *known = stands,
            None => drop(queues.insert(queue.to_owned(), stands)),
        }
    }

    /// Puts them into text.
    pub(super) fn encode(&self, out: &mut Out<'_>) -> Result<(), Error> {
        let queues = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let queue = |name: &String| [("queue", name.clone())];
        let waiting = queues.iter().map(|(name, (it, _))| (queue(name), it.waiting as f64));
        out.gauges("talkpath_queue_waiting", "Calls that wait in the queue", waiting)?;
        let longest = queues.iter().map(|(name, (it, at))| {
            // Who waited then waits yet: otherwise the queue would have told.
            let longest = it.longest.map_or(0.0, |waited| (waited + at.elapsed()).as_secs_f64());
            (queue(name), longest)
        });
        let help = "How long the call waits that has waited longest";
        out.gauges("talkpath_queue_longest_wait_seconds", help, longest)?;
        type Read = fn(&QueueFigures) -> u64;
        let counters: [(&str, &str, Read); 3] = [
            ("talkpath_queue_served", "Calls that members of the queue took", |it| it.served),
            ("talkpath_queue_abandoned", "Calls hung up while they waited", |it| it.abandoned),
            ("talkpath_queue_overflowed", "Calls without a place, or that waited too long", |it| {
                it.overflowed
            }),
        ];
        for (name, help, read) in counters {
            out.counters(name, help, queues.iter().map(|(of, (it, _))| (queue(of), read(it))))?;
        }
        Ok(())
    }
}
