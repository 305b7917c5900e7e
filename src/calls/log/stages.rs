//! How long the steps of a call's frames took, as its record keeps it.

use std::time::Duration;

use media::stages::StageTimes;
use serde::{Deserialize, Serialize};

/// How long one step of a call's frames took: bounds that half of the frames that were stamped, and
/// 99 % of them, kept to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageFigures {
    /// The word for the step.
    pub stage: String,
    /// Frames that were stamped.
    pub count: u64,
    /// At most so many microseconds took half of them; absent if that is beyond all bounds.
    pub p50_us: Option<f32>,
    /// At most so many microseconds took 99 % of them.
    pub p99_us: Option<f32>,
}

impl From<StageTimes> for StageFigures {
    fn from(times: StageTimes) -> Self {
        let micros = |time: Option<Duration>| time.map(|time| time.as_secs_f32() * 1e6);
        Self {
            stage: times.stage.as_str().to_owned(),
            count: times.count,
            p50_us: micros(times.p50),
            p99_us: micros(times.p99),
        }
    }
}
