//! What a server says of its own hops: histograms of its metrics, as far as they grew in a run.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use serde::Serialize;

use crate::error::{PerfError, Result};
use crate::line::http;

use super::target::resolve;

/// Port of HTTP.
const HTTP_PORT: u16 = 80;

/// Hops in the order of a frame's way: the histogram that tells of each, and what it is.
const HOPS: [(&str, &str); 4] = [
    ("talkpath_rtp_jitter_seconds", "jitter of what arrives"),
    ("talkpath_frame_added_seconds", "from waking up to sending on"),
    ("talkpath_agent_round_trip_seconds", "to the agent and back (ping)"),
    ("talkpath_frame_lateness_seconds", "sending after the due time"),
];

/// The histogram of the steps of frames, and these in the order of a frame's way.
const STEPS: &str = "talkpath_frame_stage_seconds";
const STAGES: [(&str, &str); 8] = [
    ("kernel_receive", "kernel receive"),
    ("decode", "decode"),
    ("ring", "ring"),
    ("agent_out", "agent out"),
    ("agent_in", "agent in"),
    ("queue", "queue"),
    ("pacer", "pacer"),
    ("kernel_send", "kernel send"),
];

/// Where metrics are read.
#[derive(Clone, Debug)]
pub(crate) struct MetricsUrl {
    server: SocketAddrV4,
    path: String,
}

impl std::str::FromStr for MetricsUrl {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let rest = text.strip_prefix("http://").ok_or("metrics are read over http://")?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = if path.len() <= 1 { "/metrics" } else { path };
        let server = resolve(host, HTTP_PORT).map_err(|error| error.to_string())?;
        Ok(Self { server, path: path.to_owned() })
    }
}

/// Cumulative counts of one histogram by upper bound in nanoseconds; the last one has no bound.
type Buckets = BTreeMap<u64, f64>;

/// One reading: the buckets of each histogram, and what its values come to in seconds.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    buckets: BTreeMap<String, Buckets>,
    sums_s: BTreeMap<String, f64>,
}

/// What a hop took in the run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Hop {
    /// The histogram.
    pub(crate) metric: &'static str,
    /// The step of frames that it is about, if it is one.
    pub(crate) stage: Option<&'static str>,
    /// What it tells.
    pub(crate) what: &'static str,
    /// Values.
    pub(crate) count: u64,
    /// Their mean, which is no bound but exact, in microseconds; none if the server has no sums.
    pub(crate) mean_us: Option<f64>,
    /// Median, at most, in microseconds.
    pub(crate) p50_us: Option<f64>,
    /// 99 %, at most, in microseconds; none beyond the largest bound.
    pub(crate) p99_us: Option<f64>,
}

impl MetricsUrl {
    /// Reads the server's histograms.
    pub(crate) fn read(&self) -> Result<Reading> {
        let answer = http::request(self.server, "GET", &self.path, "", "")?;
        if answer.status != 200 {
            return Err(PerfError::Peer(format!("metrics were answered {}", answer.status)));
        }
        Ok(Reading::parse(&answer.body))
    }
}

impl Reading {
    /// Sums the buckets of each histogram over its labels, steps of frames apart.
    fn parse(text: &str) -> Self {
        let mut all = Self::default();
        for line in text.lines() {
            if let Some((key, sum_s)) = sum(line) {
                *all.sums_s.entry(key).or_default() += sum_s;
                continue;
            }
            let Some((name, rest)) = line.split_once("_bucket{") else { continue };
            let Some((labels, value)) = rest.rsplit_once('}') else { continue };
            let Some((_, bound)) = labels.split_once("le=\"") else { continue };
            let Some((bound, _)) = bound.split_once('"') else { continue };
            let Some(value) = value.split_whitespace().next().and_then(|v| v.parse::<f64>().ok())
            else {
                continue;
            };
            let bound_ns = match bound.parse::<f64>() {
                Ok(seconds) if seconds.is_finite() => (seconds * 1e9).round() as u64,
                _ => u64::MAX,
            };
            let buckets = all.buckets.entry(key(name, labels)).or_default();
            *buckets.entry(bound_ns).or_default() += value;
        }
        all
    }

    /// What grew from `before` to this reading, by hop.
    pub(crate) fn since(&self, before: &Self) -> Vec<Hop> {
        let hops = HOPS.iter().map(|(metric, what)| ((*metric).to_owned(), *metric, None, *what));
        let steps =
            STAGES.iter().map(|(stage, what)| (stage_key(stage), STEPS, Some(*stage), *what));
        hops.chain(steps)
            .filter_map(|(key, metric, stage, what)| {
                let (now, old) = (self.buckets.get(&key)?, before.buckets.get(&key));
                let old_sum_s = before.sums_s.get(&key).copied().unwrap_or_default();
                let sum_s = self.sums_s.get(&key).map(|sum_s| sum_s - old_sum_s);
                let grown: Vec<(u64, f64)> = now
                    .iter()
                    .map(|(bound, count)| {
                        let old = old.and_then(|old| old.get(bound)).copied().unwrap_or_default();
                        (*bound, count - old)
                    })
                    .collect();
                let total = grown.last()?.1;
                let at = |share: f64| {
                    let found = grown.iter().find(|(_, count)| *count >= total * share);
                    found.filter(|(bound, _)| *bound < u64::MAX).map(|(ns, _)| *ns as f64 / 1e3)
                };
                (total >= 1.0).then(|| Hop {
                    metric,
                    stage,
                    what,
                    count: total as u64,
                    mean_us: sum_s.map(|sum_s| sum_s * 1e6 / total),
                    p50_us: at(0.5),
                    p99_us: at(0.99),
                })
            })
            .collect()
    }
}

/// What a histogram is kept as.
fn key(name: &str, labels: &str) -> String {
    let stage = labels.split_once("stage=\"").and_then(|(_, rest)| rest.split_once('"'));
    match stage.filter(|_| name == STEPS) {
        Some((stage, _)) => stage_key(stage),
        None => name.to_owned(),
    }
}

/// What a line says that the values of a histogram come to.
fn sum(line: &str) -> Option<(String, f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    Some((key(name.strip_suffix("_sum")?, labels), value.parse().ok()?))
}

/// What the steps of one kind are kept as.
fn stage_key(stage: &str) -> String {
    format!("{STEPS} {stage}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Buckets are summed over their labels, and only what grew counts.
    #[test]
    fn what_grew_counts() {
        let text = |low: u32, high: u32| {
            format!(
                "# TYPE talkpath_frame_added_seconds histogram\n\
                 talkpath_frame_added_seconds_bucket{{worker=\"0\",le=\"0.00005\"}} {low}\n\
                 talkpath_frame_added_seconds_bucket{{worker=\"1\",le=\"0.00005\"}} {low}\n\
                 talkpath_frame_added_seconds_bucket{{worker=\"0\",le=\"0.001\"}} {high}\n\
                 talkpath_frame_added_seconds_bucket{{worker=\"0\",le=\"+Inf\"}} {high}\n\
                 talkpath_frame_added_seconds_sum{{worker=\"0\"}} 0.00{low}\n\
                 talkpath_frame_added_seconds_sum{{worker=\"1\"}} 0.001\nnonsense{{ 4\n"
            )
        };
        let (before, after) = (Reading::parse(&text(10, 100)), Reading::parse(&text(40, 200)));
        let hops = after.since(&before);
        let hop = hops.first().expect("a hop");
        assert_eq!((hop.count, hop.p50_us, hop.p99_us), (100, Some(50.0), Some(1_000.0)));
        // 0.0010 and 0.0040 s of a hundred values.
        assert!((hop.mean_us.expect("a mean") - 30.0).abs() < 1e-6);
        assert_eq!((hops.len(), before.since(&before).len()), (1, 0));
    }

    /// Steps of frames are told apart, and come in the order of their way.
    #[test]
    fn steps_are_told_apart() {
        let text = |decode: u32, pacer: u32| {
            format!(
                "talkpath_frame_stage_seconds_bucket{{le=\"0.001\",worker=\"0\",stage=\"pacer\"}} \
                 {pacer}\ntalkpath_frame_stage_seconds_bucket{{le=\"+Inf\",worker=\"0\",\
                 stage=\"pacer\"}} {pacer}\ntalkpath_frame_stage_seconds_bucket{{le=\"0.000002\",\
                 worker=\"0\",stage=\"decode\"}} {decode}\n\
                 talkpath_frame_stage_seconds_sum{{worker=\"0\",stage=\"decode\"}} 0.0{decode}\n"
            )
        };
        let hops = Reading::parse(&text(7, 40)).since(&Reading::parse(&text(2, 10)));
        let told: Vec<_> = hops.iter().map(|hop| (hop.stage, hop.count, hop.p99_us)).collect();
        assert_eq!(told, [(Some("decode"), 5, Some(2.0)), (Some("pacer"), 30, Some(1_000.0))]);
        let means: Vec<_> = hops.iter().map(|hop| hop.mean_us.map(f64::round)).collect();
        assert_eq!(means, [Some(10_000.0), None], "0.02 and 0.07 s; the pacer has no sum");
    }

    /// Addresses.
    #[test]
    fn addresses() {
        let url: MetricsUrl = "http://127.0.0.1:8080".parse().expect("URL");
        assert_eq!((url.server.port(), url.path.as_str()), (8080, "/metrics"));
        assert!("https://127.0.0.1/metrics".parse::<MetricsUrl>().is_err());
    }
}
