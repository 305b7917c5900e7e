//! `bench soak`: calls that last, and whether memory and lateness stay what they were.

use std::path::PathBuf;

use serde::Serialize;

use super::asked::Asked;
use super::plot::{self, Panel, Shape};
use crate::error::{PerfError, Result};
use crate::load::account::Tally;
use crate::load::engine::Engine;
use crate::load::heard::Heard;
use crate::load::meter::Cost;
use crate::report::{self, Quantiles, Setup};
use crate::run::{Up, prepare};
use crate::sys::clock::{self, SECOND_NS};

/// Packets under way when sending ends are waited for so long, in nanoseconds.
const DRAIN_NS: u64 = 500_000_000;

/// Fewest intervals that say anything: what begins is held against what ends.
const INTERVALS_MIN: u64 = 3;

/// Intervals at the beginning and at the end that are held against each other: this share of all.
const SHARE: usize = 3;

/// Arguments of `soak`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    asked: Asked,
    /// Calls that are held: half of what `density` found, say.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    calls: u32,
    /// How long.
    #[arg(long, default_value_t = 30, conflicts_with = "secs")]
    minutes: u64,
    /// The same in seconds.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    secs: Option<u64>,
    /// How often a line is written, in seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Seconds of traffic before the first interval: the server's pools fill, and its memory grows.
    #[arg(long, default_value_t = 10)]
    warm: u64,
    /// Memory is flat if the last third of the intervals has at most so much more than the first
    /// third, in per cent, by the medians.
    #[arg(long, default_value_t = 2.0)]
    memory_pct: f64,
    /// Or if it is at most so many KiB more: what a page or two of an allocator are.
    #[arg(long, default_value_t = 1_024.0)]
    memory_kib: f64,
    /// The time added, p99.9, is flat if in the same way it is at most so much more, in per cent.
    #[arg(long, default_value_t = 25.0)]
    latency_pct: f64,
    /// Or if it is at most so many microseconds more.
    #[arg(long, default_value_t = 500.0)]
    latency_us: f64,
    /// And if at most this share of the packets is lost over all, in per cent.
    #[arg(long, default_value_t = 0.01)]
    loss_pct: f64,
    /// An interval in which the generator itself was later than this, at the 99th percentile, is
    /// counted apart: what it says of lateness is not the server's alone; in milliseconds.
    #[arg(long, default_value_t = 5.0)]
    own_late_ms: f64,
    /// Writes plots to this file (.svg or .html).
    #[arg(long)]
    plot: Option<PathBuf>,
}

/// One interval.
#[derive(Clone, Debug, Serialize)]
struct Interval {
    /// Seconds from the first interval's beginning to this one's end.
    at_s: f64,
    /// Resident memory of the watched process, in KiB.
    rss_kib: u64,
    cpu_pct: f64,
    /// Send to return.
    echo_us: Quantiles,
    /// Against each stream's own clock.
    late_us: Quantiles,
    generator_late_us: Quantiles,
    /// Packets sent and not yet back, since the beginning.
    missing: u64,
    quiet: bool,
}

/// Something that must stay what it was.
#[derive(Clone, Debug, Serialize)]
struct Flat {
    what: &'static str,
    unit: &'static str,
    /// Medians of the first and of the last third.
    first: f64,
    last: f64,
    most: f64,
    holds: bool,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
struct Soak {
    target: String,
    calls: usize,
    up: usize,
    intervals: Vec<Interval>,
    flat: Vec<Flat>,
    content: Tally,
    loss_pct: f64,
    /// Intervals in which the generator was late itself.
    own_late: usize,
    /// What was wrong, besides what did not stay flat.
    broke: Vec<String>,
    setup: Setup,
}

/// Measures, prints and plots.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let asked = &args.asked;
    prepare(asked.cpu, asked.nice)?;
    let seconds = args.secs.unwrap_or(args.minutes * 60);
    let count = seconds / args.every;
    if count < INTERVALS_MIN {
        return Err(PerfError::Usage(format!("a soak has at least {INTERVALS_MIN} intervals")));
    }
    let source = asked.open()?;
    let load = asked.load(&source, args.calls as usize, seconds);
    let ((up, intervals, heard), setup) =
        asked.during(&source, &load, |up| hold(args, up, count))?;
    let mut soak = Soak {
        target: asked.to_string(),
        calls: args.calls as usize,
        up,
        flat: flat(args, &intervals),
        own_late: intervals.iter().filter(|one| one.own_late(args)).count(),
        intervals,
        loss_pct: 100.0 * heard.tally.lost as f64 / heard.tally.sent.max(1) as f64,
        content: heard.tally,
        broke: Vec::new(),
        setup,
    };
    soak.broke = soak.broken(args);
    let table = soak.table();
    report::print(asked.json, &soak, || table.clone())?;
    if let Some(path) = &args.plot {
        plot::write(
            path,
            &format!("{} calls to {}", soak.up, soak.target),
            &soak.panels(),
            &table,
        )?;
    }
    Ok(soak.holds())
}

/// Lets the calls last; how many there were, each interval, and all that was heard.
fn hold(args: &Args, up: Up<'_>, count: u64) -> Result<(usize, Vec<Interval>, Heard)> {
    let Up { engine, mut meter, count: calls, meanwhile } = up;
    let mut pass = |engine: &mut Engine, until_ns: u64| -> Result<()> {
        while clock::mono_ns() < until_ns {
            engine.step()?;
            meanwhile(engine)?;
        }
        Ok(())
    };
    pass(engine, clock::mono_ns() + args.warm * SECOND_NS)?;
    engine.set_window(true);
    meter.open();
    let start = clock::mono_ns();
    let mut intervals = Vec::new();
    for number in 1..=count {
        pass(engine, start + number * args.every * SECOND_NS)?;
        meter.close();
        let cost = meter.cost(calls, 0);
        meter.open();
        let at_s = (clock::mono_ns() - start) as f64 / SECOND_NS as f64;
        let interval = Interval::new(at_s, &engine.interval()?, &cost);
        if !args.asked.json {
            println!("{}", interval.line());
        }
        intervals.push(interval);
    }
    engine.set_window(false);
    engine.stop_sending();
    pass(engine, clock::mono_ns() + DRAIN_NS)?;
    Ok((calls, intervals, engine.finish()?))
}

impl Interval {
    fn new(at_s: f64, heard: &Heard, cost: &Cost) -> Self {
        Self {
            at_s,
            rss_kib: cost.rss_kib,
            cpu_pct: cost.server_cpu_pct,
            echo_us: Quantiles::of(&heard.echo),
            late_us: Quantiles::of(&heard.lateness),
            generator_late_us: Quantiles::of(&heard.generator_late),
            missing: heard.tally.lost,
            quiet: cost.quiet,
        }
    }

    fn own_late(&self, args: &Args) -> bool {
        self.generator_late_us.p99 > args.own_late_ms * 1e3
    }

    fn line(&self) -> String {
        let noise = if self.quiet { "" } else { "  not quiet" };
        format!(
            "{:>6.0} s  {:>8} KiB  CPU {:>5.1} %  echo p50 {:>6.0} p99 {:>6.0} p99.9 {:>7.0} µs  \
             late p99.9 {:>7.0} µs  own p99.9 {:>6.0} µs  missing {}{noise}",
            self.at_s,
            self.rss_kib,
            self.cpu_pct,
            self.echo_us.p50,
            self.echo_us.p99,
            self.echo_us.p999,
            self.late_us.p999,
            self.generator_late_us.p999,
            self.missing
        )
    }
}

/// What must stay what it was. Memory is only known of a watched process, and where a codec alters
/// the audio no packet is known again, so that its lateness stands for its way.
fn flat(args: &Args, intervals: &[Interval]) -> Vec<Flat> {
    let of = |what, unit, (pct, more): (f64, f64), value: fn(&Interval) -> f64| {
        let part = (intervals.len() / SHARE).max(1);
        let values: Vec<f64> = intervals.iter().map(value).collect();
        let first = report::median(values.get(..part)?.iter().copied())?;
        let last = report::median(values.get(values.len() - part..)?.iter().copied())?;
        let most = (first * (1.0 + pct / 100.0)).max(first + more);
        (first > 0.0).then_some(Flat { what, unit, first, last, most, holds: last <= most })
    };
    let latency = (args.latency_pct, args.latency_us);
    let list = [
        of("memory", "KiB", (args.memory_pct, args.memory_kib), |one| one.rss_kib as f64),
        of("echo p99.9", "µs", latency, |one| one.echo_us.p999),
        of("lateness p99.9", "µs", latency, |one| one.late_us.p999),
    ];
    list.into_iter().flatten().collect()
}

impl Soak {
    fn broken(&self, args: &Args) -> Vec<String> {
        let mut broke = Vec::new();
        if self.up < self.calls {
            broke.push(format!("{} calls did not come up", self.calls - self.up));
        }
        if self.setup.hung_up_by_server > 0 {
            broke.push(format!("{} calls were ended", self.setup.hung_up_by_server));
        }
        if self.loss_pct > args.loss_pct {
            broke.push(format!("loss {:.3} %", self.loss_pct));
        }
        let strange = self.content.altered + self.content.foreign;
        if strange > 0 && args.asked.exact() {
            broke.push(format!("{strange} packets altered or foreign"));
        }
        broke
    }

    fn holds(&self) -> bool {
        self.broke.is_empty() && self.flat.iter().all(|flat| flat.holds)
    }

    fn table(&self) -> String {
        let mut table = report::Table::default();
        let content = &self.content;
        table.row("calls", &format!("{} of {}", self.up, self.calls));
        let packets =
            format!("{} sent, {} back, lost {}", content.sent, content.returned, content.lost);
        table.row("packets", &packets);
        for flat in &self.flat {
            let verdict = if flat.holds { "flat" } else { "GROWS" };
            let Flat { first, last, most, unit, .. } = flat;
            let told = format!("{first:.0} to {last:.0} {unit} (at most {most:.0}): {verdict}");
            table.row(flat.what, &told);
        }
        if self.own_late > 0 {
            let told = format!("in {} of {} intervals", self.own_late, self.intervals.len());
            table.row("generator late", &told);
        }
        for what in &self.broke {
            table.row("wrong", what);
        }
        table.row("verdict", if self.holds() { "holds" } else { "DOES NOT HOLD" });
        table.text
    }

    fn panels(&self) -> Vec<Panel> {
        let panel = |title: &str, y_label, value: fn(&Interval) -> f64| Panel {
            title: title.to_owned(),
            x_label: "seconds",
            y_label,
            shape: Shape::Line(self.intervals.iter().map(|one| (one.at_s, value(one))).collect()),
            marks: Vec::new(),
        };
        let mut panels = vec![
            panel("Echo, p99.9", "ms", |one| one.echo_us.p999 / 1e3),
            panel("Lateness against the stream's own clock, p99.9", "ms", |one| {
                one.late_us.p999 / 1e3
            }),
        ];
        if self.intervals.iter().any(|one| one.rss_kib > 0) {
            panels.push(panel("Memory", "MiB", |one| one.rss_kib as f64 / 1024.0));
        }
        panels
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn interval(rss_kib: u64, echo_us: f64) -> Interval {
        let echo_us = Quantiles { p999: echo_us, ..Quantiles::default() };
        Interval {
            at_s: 1.0,
            rss_kib,
            cpu_pct: 1.0,
            echo_us,
            late_us: Quantiles::default(),
            generator_late_us: Quantiles::default(),
            missing: 0,
            quiet: true,
        }
    }

    /// What grows beyond what is allowed is told, an outlier in between is not, and what is not
    /// known is left out.
    #[test]
    fn growth_is_told() {
        let Line { args } = Line::parse_from(["soak", "--memory-kib", "100"]);
        let memory = |list: &[u64]| {
            let list: Vec<_> = list.iter().map(|rss| interval(*rss, 0.0)).collect();
            let flat = flat(&args, &list);
            assert!(flat.len() <= 1, "{flat:?}");
            flat.first().map(|flat| flat.holds)
        };
        assert_eq!(memory(&[50_000, 50_000, 90_000, 50_500, 50_900, 51_000]), Some(true));
        assert_eq!(memory(&[50_000, 50_000, 50_000, 50_500, 52_000, 52_000]), Some(false));
        assert_eq!(memory(&[1_000, 1_000, 1_090]), Some(true));
        assert_eq!(memory(&[0, 0, 0]), None);
        let slower = [interval(0, 1_000.0), interval(0, 1_100.0), interval(0, 1_600.0)];
        let told = flat(&args, &slower);
        assert_eq!(
            told.iter().map(|one| (one.what, one.holds)).collect::<Vec<_>>(),
            [("echo p99.9", false)]
        );
    }
}
