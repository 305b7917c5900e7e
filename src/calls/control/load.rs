//! How the media threads bear their calls, and whether one of them takes another.

use std::time::Duration;

use media::stages::Stage;
use media::time::MonoTime;

use super::Control;
use crate::quota::load::{
    BUSY_MAX_PCT, CALLS_MIN, Figures, Frames, IDLE_LOOK_EVERY_MS, LOOK_EVERY_MS, Load, Strain,
};
use crate::quota::{Kind, Limit, Refusal, Way};
use crate::telemetry::{CallDirection, Histogram, WorkerMetrics};

/// How the media threads bear their calls.
#[derive(Debug)]
pub(super) struct Loads {
    each: Vec<Load>,
    /// When they are looked at next.
    look_at: MonoTime,
}

impl Loads {
    /// Of so many threads.
    pub(super) fn new(workers: usize) -> Self {
        Self { each: vec![Load::default(); workers], look_at: MonoTime::MAX }
    }

    /// When they are looked at next.
    pub(super) const fn due(&self) -> MonoTime {
        self.look_at
    }
}

impl Control {
    /// Looks at the media threads, if that is due.
    pub(super) fn look_at_load(&mut self, now: MonoTime) {
        if self.calls.is_empty() {
            if self.loads.look_at < MonoTime::MAX {
                self.forget_load();
            }
            return;
        }
        if self.loads.look_at < MonoTime::MAX && now < self.loads.look_at {
            return;
        }
        let bound = self.config.limits.max_lateness;
        let mut many = false;
        let workers = self.workers.iter().zip(&self.metrics.workers);
        for (number, (load, (worker, metrics))) in
            self.loads.each.iter_mut().zip(workers).enumerate()
        {
            let before = load.strained();
            let calls = u32::try_from(worker.load()).unwrap_or(u32::MAX);
            load.look(now, figures(metrics, calls, bound));
            let refuses = bound.is_some() && load.admit(calls).is_err();
            metrics.busy_pct.set(i64::from(load.busy_pct()));
            metrics.refuses.set(i64::from(refuses));
            many |= calls >= CALLS_MIN;
            if bound.is_some() && before != load.strained() {
                tell(number, calls, load);
            }
        }
        let every_ms = if many { LOOK_EVERY_MS } else { IDLE_LOOK_EVERY_MS };
        self.loads.look_at = now + Duration::from_millis(every_ms);
    }

    fn forget_load(&mut self) {
        self.loads.look_at = MonoTime::MAX;
        for (load, metrics) in self.loads.each.iter_mut().zip(&self.metrics.workers) {
            load.forget();
            metrics.busy_pct.set(0);
            metrics.refuses.set(0);
        }
    }

    /// Whether a media thread takes another call that goes this way.
    pub(super) fn check_load(&self, way: Way) -> Result<(), Refusal> {
        let Some(bound) = self.config.limits.max_lateness else { return Ok(()) };
        let mut strain = None;
        for worker in 0..self.workers.len() {
            match self.admits(worker) {
                Ok(()) => return Ok(()),
                Err(why) => strain = Some(why),
            }
        }
        let Some(strain) = strain else { return Ok(()) };
        self.metrics.calls.shed(match way {
            Way::In => CallDirection::Inbound,
            Way::Out => CallDirection::Outbound,
        });
        let late_ms = u32::try_from(bound.as_millis()).unwrap_or(u32::MAX);
        let (limit, bound) = match strain {
            Strain::Busy => (Limit::Busy, BUSY_MAX_PCT),
            Strain::Late => (Limit::Lateness, late_ms),
        };
        Err(Refusal { kind: Kind::Server, limit, bound })
    }

    /// Whether a media thread takes another call.
    fn admits(&self, worker: usize) -> Result<(), Strain> {
        let load = self.loads.each.get(worker);
        let calls = self.workers.get(worker).map_or(0, |worker| worker.load());
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        load.map_or(Ok(()), |load| load.admit(calls))
    }

    /// The media thread that takes the next call: of those that bear their calls well, the one with
    /// the fewest.
    pub(super) fn least_loaded(&self) -> usize {
        let workers = self.workers.iter().enumerate();
        let strain = |index| self.admits(index).is_err();
        let least = workers.min_by_key(|(index, worker)| (strain(*index), worker.load()));
        least.map_or(0, |(index, _)| index)
    }
}

/// What is known of a media thread.
fn figures(metrics: &WorkerMetrics, calls: u32, bound: Option<Duration>) -> Figures {
    let bound = bound.unwrap_or(Duration::MAX);
    let left = frames([&metrics.lateness].into_iter(), bound);
    let waited = frames(metrics.stages.of_stage(Stage::KernelReceive), bound);
    Figures { busy: Duration::from_nanos(metrics.busy_ns.get()), frames: [left, waited], calls }
}

fn frames<'h>(histograms: impl Iterator<Item = &'h Histogram>, bound: Duration) -> Frames {
    let mut sum = Frames::default();
    for histogram in histograms {
        let (late, all) = histogram.beyond(bound);
        sum.all += all;
        sum.late += late;
        sum.half_late += histogram.beyond(bound / 2).0;
    }
    sum
}

/// A thread takes calls no more, or again.
fn tell(worker: usize, calls: u32, load: &Load) {
    let busy_pct = load.busy_pct();
    match load.strained() {
        Some(Strain::Late) => {
            tracing::warn!(worker, calls, busy_pct, "frames are late: no calls are taken");
        }
        Some(Strain::Busy) => {
            tracing::warn!(worker, calls, busy_pct, "a media thread is full: no calls are taken");
        }
        None => tracing::info!(worker, calls, busy_pct, "calls are taken again"),
    }
}
