//! `bench latency`: from mouth to ear and back, through whatever answers.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use serde::Serialize;

use super::budget::{Budget, TRANSPARENT_MS};
use super::chirp::Chirps;
use super::law::Law;
use super::metrics::{Hop, MetricsUrl};
use super::plot::{self, Panel, Shape};
use super::target::Target;
use super::voice::{self, Script, Spoken};
use crate::error::{PerfError, Result};
use crate::load::engine::{Times, times};
use crate::load::meter::{Cost, Meter};
use crate::report::{self, LoadReport, Quantiles, Setup, Table};
use crate::run::calls;
use crate::run::{LoadArgs, prepare};

/// One-way delays (ITU-T G.114): most conversations do not suffer below the first, none is planned
/// beyond the second. In milliseconds.
const G114_MS: (f64, f64) = (TRANSPARENT_MS, 400.0);

/// Columns of the plot.
const COLUMNS: usize = 48;

/// Arguments of `latency`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Who is called and says back what it hears: `sip:USER@HOST:PORT;transport=tcp`, or
    /// `ws://HOST:PORT/PATH` of a media stream in the most common carrier's dialect.
    #[arg(default_value = "sip:echo@127.0.0.1")]
    target: Target,
    /// Calls at a time.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    calls: u32,
    /// Seconds of talk.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..=3_600))]
    secs: u64,
    /// Milliseconds of audio a packet.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(5..=60))]
    ptime: u32,
    /// Codec.
    #[arg(long, value_enum, default_value_t)]
    codec: Law,
    /// Serves an echo agent here, which the server's route for the target must dial, and measures
    /// the way to it and the way back apart, packet by packet.
    #[arg(long)]
    with_agent: Option<SocketAddrV4>,
    /// Reads what the server says of its own hops, for example from `http://127.0.0.1:8080/metrics`.
    #[arg(long)]
    metrics: Option<MetricsUrl>,
    /// Process of the server, whose CPU and memory are read.
    #[arg(long)]
    watch: Option<u32>,
    /// Writes a histogram to this file (.svg or .html).
    #[arg(long)]
    plot: Option<PathBuf>,
    /// CPU that the generator is pinned to.
    #[arg(long)]
    cpu: Option<usize>,
    /// Our own address.
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST)]
    local: Ipv4Addr,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// A part of the whole.
#[derive(Clone, Debug, Serialize)]
struct Part {
    what: &'static str,
    p50_ms: f64,
    p99_ms: f64,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
struct Report {
    target: String,
    calls: u32,
    up: usize,
    /// Calls that ended while they were meant to last.
    broken: u64,
    ptime_ms: u32,
    packets_sent: usize,
    packets_heard: usize,
    strays: u64,
    chirps: usize,
    chirps_found: usize,
    /// From mouth to ear: a packet's filling up, the way there and back, and what waits.
    mouth_to_ear_us: Quantiles,
    /// What can be told apart of it.
    parts: Vec<Part>,
    /// The server's own account.
    hops: Vec<Hop>,
    /// Hop by hop, with what G.114 allows, if the server tells of its steps.
    budget: Option<Budget>,
    /// How the whole counts in a conversation (ITU-T G.114).
    verdict: &'static str,
    setup: Option<Setup>,
    cost: Cost,
    /// Packet by packet, with an agent.
    packets: Option<LoadReport>,
}

/// Measures, prints and plots.
pub(crate) fn run(args: &Args) -> Result<bool> {
    prepare(args.cpu, None)?;
    let chirps = Chirps::new();
    let script = Script {
        target: args.target.clone(),
        law: args.codec,
        calls: args.calls,
        seconds: args.secs,
        ptime_ms: args.ptime,
        local: args.local,
    };
    let packets = args.with_agent.map(|agent| by_packets(args, agent)).transpose()?;
    let before = args.metrics.as_ref().map(MetricsUrl::read).transpose()?;
    let agent = args.with_agent.map(|at| calls::agent(at, args.cpu)).transpose()?;
    let mut meter = Meter::new(args.watch);
    meter.open();
    let spoken = voice::speak(&script, &chirps)?;
    meter.close();
    agent.map(calls::stop).transpose()?;
    let cost = meter.cost(spoken.up, u64::from(args.calls) * args.secs * 50);
    let hops = match (&args.metrics, before) {
        (Some(url), Some(before)) => url.read()?.since(&before),
        _ => Vec::new(),
    };
    let (mut report, heard) = account(args, spoken, &chirps, cost)?;
    report.parts = parts(&report, packets.as_ref());
    report.budget = Budget::new(&report.mouth_to_ear_us, f64::from(args.ptime), &hops);
    (report.hops, report.packets) = (hops, packets);
    let table = report.table();
    report::print(args.json, &report, || table.clone())?;
    if let Some(path) = &args.plot {
        let title = format!("From mouth to ear through {}", report.target);
        let mut panels = vec![panel(&report, &heard)];
        panels.extend(report.budget.as_ref().map(Budget::panel));
        plot::write(path, &title, &panels, &table)?;
    }
    Ok(report.clean())
}

/// The same calls with numbered packets, whose way is split at the agent.
fn by_packets(args: &Args, agent: SocketAddrV4) -> Result<LoadReport> {
    let Target::Sip { server, user, transport } = &args.target else {
        return Err(PerfError::Usage("--with-agent goes with a SIP target".into()));
    };
    calls::once(&calls::Args {
        sip: *server,
        to: user.clone(),
        rate: 50,
        load: LoadArgs {
            calls: args.calls as usize,
            secs: args.secs,
            warm: 1,
            ptime: args.ptime,
            tick_us: 100,
            cpu: args.cpu,
            nice: None,
            neighbour: None,
            flame: None,
            retries: 0,
            json: args.json,
        },
        watch: args.watch,
        server_cpu: None,
        with_agent: Some(agent),
        transport: *transport,
        codec: crate::sound::Codec::Pcmu,
        srtp: None,
        altered: false,
        local: args.local,
    })
}

/// Finds the chirps.
fn account(args: &Args, spoken: Spoken, chirps: &Chirps, cost: Cost) -> Result<(Report, Times)> {
    let mut heard = times()?;
    let mut report = Report {
        target: args.target.to_string(),
        calls: args.calls,
        up: spoken.up,
        broken: spoken.broken,
        ptime_ms: args.ptime,
        packets_sent: 0,
        packets_heard: 0,
        strays: 0,
        chirps: 0,
        chirps_found: 0,
        mouth_to_ear_us: Quantiles::default(),
        parts: Vec::new(),
        hops: Vec::new(),
        budget: None,
        verdict: "",
        setup: spoken.setup,
        cost,
        packets: None,
    };
    for mut ear in spoken.ears {
        report.packets_sent += ear.said();
        report.packets_heard += ear.heard();
        report.strays += ear.strays;
        for way in ear.ways(chirps) {
            report.chirps += 1;
            if let Some(way) = way {
                report.chirps_found += 1;
                heard.saturating_record(way.delay_ns.max(1));
            }
        }
    }
    report.mouth_to_ear_us = Quantiles::of(&heard);
    // Two people's delay is that of one way; an echo is heard after both.
    let one_way_ms = report.mouth_to_ear_us.p99 / 2_000.0;
    report.verdict = match one_way_ms {
        _ if report.chirps_found == 0 => "nothing came back",
        ms if ms <= G114_MS.0 => "below 150 ms a way: transparent",
        ms if ms <= G114_MS.1 => "between 150 and 400 ms a way: noticed",
        _ => "above 400 ms a way: not to be planned for",
    };
    Ok((report, heard))
}

/// The whole in parts: what is known of each.
fn parts(report: &Report, packets: Option<&LoadReport>) -> Vec<Part> {
    let whole = &report.mouth_to_ear_us;
    let ptime_ms = f64::from(report.ptime_ms);
    let (p50, p99) = (whole.p50 / 1e3, whole.p99 / 1e3);
    let mut parts =
        vec![Part { what: "a packet's filling up", p50_ms: ptime_ms, p99_ms: ptime_ms }];
    let mut part = |what, times: Option<Quantiles>| {
        if let Some(times) = times {
            parts.push(Part { what, p50_ms: times.p50 / 1e3, p99_ms: times.p99 / 1e3 });
        }
    };
    part("to the agent", packets.and_then(|run| run.forward_us));
    part("from the agent", packets.and_then(|run| run.return_us));
    if packets.is_none() {
        let rest = |ms: f64| (ms - ptime_ms).max(0.0);
        parts.push(Part { what: "the way and what waits", p50_ms: rest(p50), p99_ms: rest(p99) });
    }
    parts
}

impl Report {
    /// Each call came up and lasted, and nearly every chirp came back.
    fn clean(&self) -> bool {
        self.up == self.calls as usize
            && self.broken == 0
            && self.chirps_found > 0
            && self.chirps_found * 100 >= self.chirps * 99
    }

    fn table(&self) -> String {
        let mut table = Table::default();
        table.row("what", &format!("{}, {} of {} calls", self.target, self.up, self.calls));
        table.row(
            "chirps",
            &format!(
                "{} said, {} heard; packets {} sent, {} heard, {} strays; broken calls {}",
                self.chirps,
                self.chirps_found,
                self.packets_sent,
                self.packets_heard,
                self.strays,
                self.broken
            ),
        );
        let whole = &self.mouth_to_ear_us;
        let ms = |us: f64| us / 1e3;
        table.row(
            "mouth to ear",
            &format!(
                "p50 {:.2}  p90 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2} ms  (n {})",
                ms(whole.p50),
                ms(whole.p90),
                ms(whole.p99),
                ms(whole.p999),
                ms(whole.max),
                whole.count
            ),
        );
        for part in &self.parts {
            let value = format!("{}: p50 {:.2}, p99 {:.2} ms", part.what, part.p50_ms, part.p99_ms);
            table.row("  of it", &value);
        }
        for hop in self.hops.iter().filter(|hop| hop.stage.is_none()) {
            let at = |us: Option<f64>| us.map_or("beyond".into(), |us| format!("≤ {us:.0} µs"));
            table.row(
                "  the server says",
                &format!("{}: p50 {}, p99 {}", hop.what, at(hop.p50_us), at(hop.p99_us)),
            );
        }
        if let Some(budget) = &self.budget {
            budget.rows(&mut table);
        }
        table.row("G.114", self.verdict);
        if let Some(setup) = &self.setup {
            table.setup(setup);
        }
        table.noise(&self.cost, 1);
        table.row("verdict", if self.clean() { "clean" } else { "NOT CLEAN" });
        table.text
    }
}

/// The histogram, from the smallest value to the 99.9 % one.
fn panel(report: &Report, heard: &Times) -> Panel {
    let whole = &report.mouth_to_ear_us;
    let (low, high) = (heard.min() as f64 / 1e6, (whole.p999 / 1e3).max(heard.min() as f64 / 1e6));
    let width = ((high - low) / COLUMNS as f64).max(0.01);
    let mut columns: Vec<(f64, f64, f64)> = (0..COLUMNS)
        .map(|at| (low + width * at as f64, low + width * (at + 1) as f64, 0.0))
        .collect();
    for value in heard.iter_recorded() {
        let at = ((value.value_iterated_to() as f64 / 1e6 - low) / width).max(0.0) as usize;
        if let Some((.., height)) = columns.get_mut(at) {
            *height += value.count_at_value() as f64;
        }
    }
    let mark = |name: &str, us: f64| (us / 1e3, format!("{name} {:.1} ms", us / 1e3));
    Panel {
        title: format!("Mouth to ear, {} calls, {} chirps", report.up, report.chirps_found),
        x_label: "ms",
        y_label: "chirps",
        shape: Shape::Columns(columns),
        marks: vec![mark("p50", whole.p50), mark("p99", whole.p99)],
    }
}
