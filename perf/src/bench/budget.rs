//! Where the time from mouth to ear goes, hop by hop, and how much of what G.114 allows each takes.

use serde::Serialize;

use super::metrics::Hop;
use super::plot::{Panel, Shape};
use crate::report::{Quantiles, Table};

/// Most people do not notice a delay of one way below this (ITU-T G.114), in milliseconds.
pub(super) const TRANSPARENT_MS: f64 = 150.0;

/// What is not accounted for may be this long, in milliseconds.
const UNEXPLAINED_MAX_MS: f64 = 1.0;

/// A share of the time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Share {
    /// Of what.
    pub(super) what: &'static str,
    /// Its part of the mean, in milliseconds: of the server's steps what they took of all frames
    /// together, by frame, so that a step which few of them take counts for little. Means add up,
    /// as quantiles do not. None if the server tells none.
    pub(super) mean_ms: Option<f64>,
    /// Half of the time, at most, in milliseconds.
    pub(super) p50_ms: f64,
    /// 99 % of the time, at most; none beyond all bounds.
    pub(super) p99_ms: Option<f64>,
    /// The share of 150 ms that the 99 % take.
    pub(super) of_g114_pct: Option<f64>,
}

/// The time from mouth to ear, in its shares.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Budget {
    pub(super) shares: Vec<Share>,
    /// All steps of the server together.
    pub(super) server: Share,
    /// What is left: the network, the kernels' queues beside the server.
    pub(super) rest: Share,
    /// What is left is short enough to be that: by the means, or by the medians where there are
    /// none.
    pub(super) is_explained: bool,
}

fn share(what: &'static str, mean_ms: Option<f64>, p50_ms: f64, p99_ms: Option<f64>) -> Share {
    let of_g114_pct = p99_ms.map(|ms| 100.0 * ms / TRANSPARENT_MS);
    Share { what, mean_ms, p50_ms, p99_ms, of_g114_pct }
}

impl Budget {
    /// Of a whole that was measured at both ends and what the server says of its steps; none if it
    /// says nothing of them.
    pub(super) fn new(whole: &Quantiles, ptime_ms: f64, hops: &[Hop]) -> Option<Self> {
        let steps = || hops.iter().filter(|hop| hop.stage.is_some());
        // Every frame takes the commonest step.
        let frames = steps().map(|hop| hop.count).max()?.max(1) as f64;
        let steps: Vec<Share> = steps()
            .map(|hop| {
                let mean_ms = hop.mean_us.map(|us| us * hop.count as f64 / frames / 1e3);
                let (p50_us, p99_us) = (hop.p50_us.unwrap_or(0.0), hop.p99_us);
                share(hop.what, mean_ms, p50_us / 1e3, p99_us.map(|us| us / 1e3))
            })
            .collect();
        let mean = steps.iter().map(|step| step.mean_ms).sum::<Option<f64>>();
        let p50: f64 = steps.iter().map(|step| step.p50_ms).sum();
        let p99 = steps.iter().map(|step| step.p99_ms).sum::<Option<f64>>();
        let server = share("the server, all steps", mean, p50, p99);
        let left = |whole_us: f64, ours_ms: f64| (whole_us / 1e3 - ptime_ms - ours_ms).max(0.0);
        let rest = share(
            "the rest: ways, queues beside the server",
            mean.map(|mean| left(whole.mean, mean)),
            left(whole.p50, p50),
            p99.map(|p99| left(whole.p99, p99)),
        );
        let mut shares =
            vec![share("a packet's filling up", Some(ptime_ms), ptime_ms, Some(ptime_ms))];
        shares.extend(steps);
        let is_explained = rest.mean_ms.unwrap_or(rest.p50_ms) <= UNEXPLAINED_MAX_MS;
        Some(Self { shares, server, rest, is_explained })
    }

    /// Its lines of the table.
    pub(super) fn rows(&self, table: &mut Table) {
        let tail = [&self.server, &self.rest];
        for share in self.shares.iter().chain(tail) {
            let ms = |ms: Option<f64>| ms.map_or("beyond".into(), |ms| format!("{ms:.3} ms"));
            let pct = |pct: Option<f64>| pct.map_or("-".into(), |pct| format!("{pct:.2} %"));
            let Share { what, mean_ms, p50_ms, p99_ms, of_g114_pct } = share;
            let mean = mean_ms.map_or("-".into(), |ms| format!("{ms:.3}"));
            let value = format!(
                "{what}: mean {mean}, p50 {p50_ms:.3}, p99 {}, {} of 150 ms",
                ms(*p99_ms),
                pct(*of_g114_pct)
            );
            table.row("  budget", &value);
        }
        let verdict = if self.is_explained { "at most" } else { "MORE THAN" };
        let value = format!("{verdict} {UNEXPLAINED_MAX_MS} ms in the mean");
        table.row("  not explained", &value);
    }

    /// The steps of the server, drawn.
    pub(super) fn panel(&self) -> Panel {
        let steps = self.shares.iter().skip(1);
        let columns = steps.map(|step| (step.what.to_owned(), step.p99_ms.unwrap_or(0.0) * 1e3));
        Panel {
            title: "What 99 % of the frames take at most, step by step".into(),
            x_label: "",
            y_label: "µs",
            shape: Shape::Named(columns.collect()),
            marks: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(stage: Option<&'static str>, p50_us: f64, p99_us: Option<f64>) -> Hop {
        let p50_us = Some(p50_us);
        Hop { metric: "m", stage, what: "step", count: 9, mean_us: None, p50_us, p99_us }
    }

    /// The shares, the server's steps and the rest make up the whole; what no bound holds is told
    /// as such; a server that says nothing of its steps has no budget.
    #[test]
    fn shares_make_up_the_whole() {
        let whole = Quantiles { p50: 20_400.0, p99: 22_000.0, ..Quantiles::default() };
        let hops = [
            hop(None, 7.0, None),
            hop(Some("decode"), 100.0, Some(500.0)),
            hop(Some("pacer"), 50.0, Some(1_000.0)),
        ];
        let budget = Budget::new(&whole, 20.0, &hops).expect("a budget");
        assert_eq!(budget.shares.len(), 3);
        let close = |one: f64, other: f64| (one - other).abs() < 1e-9;
        assert!(close(budget.server.p50_ms, 0.15) && close(budget.rest.p50_ms, 0.25));
        assert!(close(budget.server.p99_ms.unwrap_or(0.0), 1.5));
        assert!(close(budget.server.of_g114_pct.unwrap_or(0.0), 1.0) && budget.is_explained);
        let late = Quantiles { p50: 30_000.0, ..whole };
        let beyond = [hop(Some("pacer"), 50.0, None)];
        let budget = Budget::new(&late, 20.0, &beyond).expect("a budget");
        assert!(!budget.is_explained && budget.server.p99_ms.is_none());
        let mut table = Table::default();
        budget.rows(&mut table);
        assert_eq!(table.text.matches("of 150 ms").count(), 4);
        assert_eq!(Budget::new(&whole, 20.0, &hops[..1]), None);
    }

    /// Means add up by frame: what few frames take counts for as many, bounds far above what was
    /// taken do not hide what is left, and that is what decides.
    #[test]
    fn means_add_up() {
        let step = |stage, count, mean_us| {
            let hop = hop(Some(stage), 1_000.0, Some(50_000.0));
            Hop { count, mean_us: Some(mean_us), ..hop }
        };
        let hops = [step("decode", 100, 200.0), step("ring", 1, 30_000.0)];
        for (mean_us, left_ms, explained) in [(21_400.0, 0.9, true), (22_400.0, 1.9, false)] {
            let whole =
                Quantiles { mean: mean_us, p50: 21_000.0, p99: 30_000.0, ..Default::default() };
            let budget = Budget::new(&whole, 20.0, &hops).expect("a budget");
            let close = |one: Option<f64>, other: f64| (one.unwrap_or(0.0) - other).abs() < 1e-9;
            assert!(close(budget.server.mean_ms, 0.5) && close(budget.rest.mean_ms, left_ms));
            assert_eq!((budget.rest.p50_ms, budget.is_explained), (0.0, explained));
            let mut table = Table::default();
            budget.rows(&mut table);
            assert_eq!(table.text.contains("MORE THAN 1 ms"), !explained);
        }
    }
}
