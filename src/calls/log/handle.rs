//! How facts get from whoever knows them to the store, without anybody waiting who must not.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::{CallFact, Sample};
use crate::telemetry::LogMetrics;

/// Facts and samples that may wait for the store: minutes of a busy server. It takes memory only
/// while they wait.
pub const QUEUE_MAX: usize = 65_536;

/// Calls that were lost and of which nobody has heard yet.
const LOST_MAX: usize = 16_384;

/// Samples that may wait for it: more would keep facts waiting when they are written, and without
/// them the log is complete.
const SAMPLES_MAX: usize = 8_192;

/// Something on its way to the store.
#[derive(Debug)]
pub enum Entry {
    /// A fact.
    Fact(CallFact),
    /// There are samples of how media fare, which were none before.
    Samples,
    /// Nobody holds this call any more. If its end is not known, this is it.
    Lost(Uuid),
    /// Whoever waits until all that came before is committed.
    Flush(oneshot::Sender<()>),
}

/// Tells the log what happens. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogHandle {
    queue: mpsc::Sender<Entry>,
    metrics: Arc<LogMetrics>,
    incomplete: Arc<Mutex<HashSet<Uuid>>>,
    samples: Samples,
}

/// How the media of calls fare, until somebody writes it. They are in no hurry, so that nobody is
/// woken for each.
type Samples = Arc<Mutex<Vec<(Uuid, Sample)>>>;

/// The other end of a [`LogHandle`].
#[derive(Debug)]
pub struct LogQueue {
    pub(super) entries: mpsc::Receiver<Entry>,
    pub(super) metrics: Arc<LogMetrics>,
    pub(super) lost: mpsc::Sender<Uuid>,
    lost_calls: Option<mpsc::Receiver<Uuid>>,
    incomplete: Arc<Mutex<HashSet<Uuid>>>,
    samples: Samples,
}

impl LogHandle {
    /// A handle and what takes out what it is told.
    pub fn new(metrics: Arc<LogMetrics>) -> (Self, LogQueue) {
        Self::with_room(QUEUE_MAX, metrics)
    }

    /// The same with room for `max` entries.
    pub(super) fn with_room(max: usize, metrics: Arc<LogMetrics>) -> (Self, LogQueue) {
        let (queue, entries) = mpsc::channel(max);
        let (lost, lost_calls) = mpsc::channel(LOST_MAX);
        let incomplete = Arc::new(Mutex::new(HashSet::new()));
        let samples = Samples::default();
        let handle = Self {
            queue,
            metrics: Arc::clone(&metrics),
            incomplete: Arc::clone(&incomplete),
            samples: Arc::clone(&samples),
        };
        let lost_calls = Some(lost_calls);
        (handle, LogQueue { entries, metrics, lost, lost_calls, incomplete, samples })
    }

    /// Tells a fact, at once or not at all: if the store is that far behind, the call goes on and
    /// its log is marked incomplete. Whether it was taken.
    pub fn tell(&self, fact: CallFact) -> bool {
        let call = fact.call;
        let taken = self.queue.try_send(Entry::Fact(fact)).is_ok();
        if !taken {
            self.metrics.lost.inc();
            self.mark_incomplete(call);
        }
        taken
    }

    /// Tells how the media of a call fare. A sample is no fact: without it the log is complete.
    pub fn sample(&self, call: Uuid, sample: Sample) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() >= SAMPLES_MAX {
            return self.metrics.lost.inc();
        }
        samples.push((call, sample));
        if samples.len() == 1 {
            // If the queue is full, they go with what is in it.
            let _ = self.queue.try_send(Entry::Samples);
        }
    }

    /// Tells that nobody holds a call any more: if its end is not known, it ended when it was last
    /// heard of.
    pub async fn lost(&self, call: Uuid) {
        // Without a writer the server goes down.
        let _ = self.queue.send(Entry::Lost(call)).await;
    }

    /// Marks a call of which not everything is told.
    pub fn mark_incomplete(&self, call: Uuid) {
        let mut incomplete = self.incomplete.lock().unwrap_or_else(PoisonError::into_inner);
        // A set that is full of calls says of none of them anything more.
        if incomplete.len() < QUEUE_MAX {
            incomplete.insert(call);
        }
    }

    /// True if so much waits for the store that the rest of the room is kept for facts.
    pub fn is_behind(&self) -> bool {
        self.queue.capacity() < self.queue.max_capacity() / 2
    }

    /// Waits until everything that was told before is committed. False if that is not to be, as
    /// the server goes down.
    pub async fn flush(&self) -> bool {
        let (done, committed) = oneshot::channel();
        self.queue.send(Entry::Flush(done)).await.is_ok() && committed.await.is_ok()
    }
}

impl LogQueue {
    /// The samples since the last time.
    pub(super) fn take_samples(&self) -> Vec<(Uuid, Sample)> {
        std::mem::take(&mut *self.samples.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The calls that turn out to be lost, for whoever sees to them; once.
    pub fn take_lost(&mut self) -> Option<mpsc::Receiver<Uuid>> {
        self.lost_calls.take()
    }

    /// The calls of which facts were lost since the last time.
    pub(super) fn take_incomplete(&self) -> HashSet<Uuid> {
        std::mem::take(&mut *self.incomplete.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
