//! How long the steps of frames take on one worker, by the carrier of their call.
//!
//! One count serves both: the sum over carriers is a worker's, the sum over workers a carrier's.

use std::fmt::Error;
use std::sync::Arc;
use std::time::Duration;

use adapters::table::PROVIDERS;
use media::stages::{Stage, StageTimes};

use super::exposition::{Names, Out};
use super::histogram::{Histogram, STAGE_TIMES, Snapshot};
use super::worker::WorkerMetrics;

/// The label of calls that came by no carrier: of softphones, and from web pages.
const NO_CARRIER: &str = "none";

/// The carrier of a call, as metrics know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CarrierLabel(usize);

impl CarrierLabel {
    /// That of this name; a name that is not in the table is none.
    pub fn named(provider: Option<&str>) -> Self {
        let place = |name| PROVIDERS.iter().position(|spec| spec.name == name);
        Self(provider.and_then(place).map_or(0, |place| place + 1))
    }

    /// The label.
    fn as_str(self) -> &'static str {
        let spec = self.0.checked_sub(1).and_then(|place| PROVIDERS.get(place));
        spec.map_or(NO_CARRIER, |spec| spec.name)
    }

    fn all() -> impl Iterator<Item = Self> {
        (0..=PROVIDERS.len()).map(Self)
    }
}

/// How long the steps of frames took on one worker.
#[derive(Debug)]
pub struct StageMetrics(Box<[[Histogram; Stage::COUNT]]>);

impl Default for StageMetrics {
    fn default() -> Self {
        let one = || [const { Histogram::new(STAGE_TIMES) }; Stage::COUNT];
        Self(CarrierLabel::all().map(|_| one()).collect())
    }
}

impl StageMetrics {
    /// Counts a step of a frame.
    #[inline]
    pub fn record(&self, carrier: CarrierLabel, stage: Stage, took: Duration) {
        let steps = self.0.get(carrier.0);
        if let Some(histogram) = steps.and_then(|steps| steps.get(stage as usize)) {
            histogram.record(took);
        }
    }

    /// What a step took, whatever the carrier.
    pub fn of_stage(&self, stage: Stage) -> impl Iterator<Item = &Histogram> {
        self.0.iter().filter_map(move |steps| steps.get(stage as usize))
    }

    /// How long each step took that was taken, whatever the carrier.
    pub fn times(&self) -> Vec<StageTimes> {
        let all = Stage::ALL.into_iter().map(|stage| (stage, sum(self.of_stage(stage))));
        let taken = all.filter(|(_, taken)| taken.count > 0);
        taken.map(|(stage, taken)| times(stage, &taken)).collect()
    }

    fn of_carrier(&self, carrier: CarrierLabel, stage: Stage) -> Option<&Histogram> {
        self.0.get(carrier.0)?.get(stage as usize)
    }
}

fn times(stage: Stage, taken: &Snapshot) -> StageTimes {
    let bound = |share| Duration::try_from_secs_f64(taken.quantile_s(share)).ok();
    StageTimes { stage, count: taken.count, p50: bound(0.5), p99: bound(0.99) }
}

/// The sum of several histograms of steps.
fn sum<'h>(histograms: impl Iterator<Item = &'h Histogram>) -> Snapshot {
    let mut sum = Histogram::new(STAGE_TIMES).snapshot();
    for histogram in histograms {
        sum.add(&histogram.snapshot());
    }
    sum
}

/// Puts into text how the workers bear their calls.
pub(super) fn encode_load(out: &mut Out<'_>, workers: &[Arc<WorkerMetrics>]) -> Result<(), Error> {
    type Read = fn(&WorkerMetrics) -> f64;
    let names = Names::new(workers.len());
    let gauges: [(&str, &str, Read); 3] = [
        ("talkpath_worker_calls", "Calls that a worker holds", |w| w.calls.get() as f64),
        ("talkpath_worker_busy_ratio", "Share of its time that a worker is at work", |w| {
            w.busy_pct.get() as f64 / 100.0
        }),
        ("talkpath_worker_overloaded", "Whether a worker takes no calls for its load", |w| {
            w.refuses.get() as f64
        }),
    ];
    for (name, help, read) in gauges {
        let rows = workers.iter().zip(&names.0);
        out.gauges(name, help, rows.map(|(w, n)| ([("worker", n.as_str())], read(w))))?;
    }
    Ok(())
}

/// Puts them into text, by worker and by carrier.
pub(super) fn encode(out: &mut Out<'_>, workers: &[Arc<WorkerMetrics>]) -> Result<(), Error> {
    let names = Names::new(workers.len());
    let by_worker = workers.iter().zip(&names.0).flat_map(|(worker, number)| {
        Stage::ALL.into_iter().map(move |stage| {
            let labels = [("worker", number.as_str()), ("stage", stage.as_str())];
            (labels, sum(worker.stages.of_stage(stage)))
        })
    });
    out.histograms("talkpath_frame_stage_seconds", "Steps of one frame in eight", by_worker)?;
    let by_carrier = CarrierLabel::all().flat_map(|carrier| {
        Stage::ALL.into_iter().filter_map(move |stage| {
            let steps = workers.iter().filter_map(|it| it.stages.of_carrier(carrier, stage));
            let labels = [("provider", carrier.as_str()), ("stage", stage.as_str())];
            // Most servers have one carrier or two.
            Some((labels, sum(steps))).filter(|(_, taken)| taken.count > 0)
        })
    });
    out.histograms(
        "talkpath_carrier_stage_seconds",
        "Steps of one frame in eight, by the carrier of its call",
        by_carrier,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was counted is in the sum of its worker and in that of its carrier, and nowhere else.
    #[test]
    fn counts_are_of_workers_and_carriers() {
        let stages = StageMetrics::default();
        let some = PROVIDERS.first().map(|spec| spec.name);
        let (none, carrier) = (CarrierLabel::named(None), CarrierLabel::named(some));
        assert_eq!((none.as_str(), Some(carrier.as_str())), (NO_CARRIER, some));
        assert_eq!(CarrierLabel::named(Some("nobody")), none);
        for label in [none, carrier, carrier] {
            stages.record(label, Stage::Pacer, Duration::from_micros(3));
        }
        let count = |stage| sum(stages.of_stage(stage)).count;
        assert_eq!((count(Stage::Pacer), count(Stage::Decode)), (3, 0));
        let of = |label| sum(stages.of_carrier(label, Stage::Pacer).into_iter());
        assert_eq!((of(none).count, of(carrier).count), (1, 2));
        let [told] = stages.times()[..] else { panic!("one step was taken") };
        assert_eq!((told.count, told.p99), (3, Some(Duration::from_micros(5))));
        assert_eq!(of(carrier).quantile_s(0.5), 0.000_005);
        assert!((of(carrier).sum_s - 0.000_006).abs() < 1e-12);
    }
}
