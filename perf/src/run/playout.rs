//! `clock`: packets that leave by the server's own clock, beside those that a bare timer sends.

use serde::Serialize;

use super::hosted::Hosted;
use super::rows::{self, Bar, Row, median, row};
use super::{calls, floor, prepare};
use crate::error::Result;
use crate::floor::serve::Kind;
use crate::report::{self, LoadReport};

/// Arguments of `clock`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    hosted: Hosted,
    /// User whose agent says something all the time.
    #[arg(long, default_value = "tone")]
    to: String,
    /// Rounds; the medians count.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// The result: rows, and every run they were made of.
#[derive(Serialize)]
struct Clocks {
    rows: Vec<Row>,
    floor: Vec<LoadReport>,
    server: Vec<LoadReport>,
}

/// Measures and prints.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let Hosted { load, server_cpu, .. } = &args.hosted;
    prepare(load.cpu, load.nice)?;
    let mut all = Clocks { rows: Vec::new(), floor: Vec::new(), server: Vec::new() };
    for round in 1..=args.rounds.max(1) {
        eprintln!("round {round}: a bare timer");
        let bare = floor::Args::of(Kind::Clock, load, *server_cpu);
        all.floor.push(super::repeat(load, || floor::once(&bare))?);
        eprintln!("round {round}: server");
        all.server.push(super::repeat(load, || served(args))?);
    }
    let line = |what, value: fn(&LoadReport) -> f64, bar| {
        row(what, "µs", median(&all.floor, value), median(&all.server, value), bar)
    };
    let list = [
        line("lateness p50", |run| run.egress_lateness_us.p50, Bar::None),
        line("lateness p99", |run| run.egress_lateness_us.p99, Bar::Times(2.0)),
        line("lateness p99.9", |run| run.egress_lateness_us.p999, Bar::None),
    ];
    all.rows = list.into_iter().flatten().collect();
    let runs: Vec<_> = all.floor.iter().chain(&all.server).collect();
    report::print(load.json, &all, || rows::table(&all.rows, &runs))?;
    let holds = all.rows.iter().all(|row| row.holds != Some(false));
    Ok(holds && runs.iter().all(|run| run.clean()))
}

fn served(args: &Args) -> Result<LoadReport> {
    let server = args.hosted.start()?;
    calls::once(&args.hosted.calls(&server, &args.to))
}
