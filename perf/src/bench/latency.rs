//! `bench latency`: from mouth to ear and back, through whatever answers.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use serde::Serialize;

use super::budget::{Budget, TRANSPARENT_MS};
use super::chirp::Chirps;
use super::law::Law;
use super::metrics::{Hop, MetricsUrl};
use super::played::Played;
use super::plot::{self, Panel, Shape};
use super::target::Target;
use super::voice::{self, Script, Spoken};
use crate::error::{PerfError, Result};
use crate::line::emulated::Carrier;
use crate::load::engine::{Times, times};
use crate::load::meter::{Cost, Meter};
use crate::report::{self, LoadReport, Quantiles, Setup, Table};
use crate::run::{LoadArgs, calls, prepare};
use crate::sip::access::Access;
use crate::sound::Codec;

/// One-way delays (ITU-T G.114): most conversations do not suffer below the first, none is planned
/// beyond the second. In milliseconds.
const G114_MS: (f64, f64) = (TRANSPARENT_MS, 400.0);

/// Milliseconds of a frame on a media socket.
const LINE_PTIME_MS: u32 = 20;

/// Columns of the plot.
const COLUMNS: usize = 48;

/// Width of one at least, in milliseconds.
const COLUMN_MIN_MS: f64 = 0.01;

/// Arguments of `latency`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Who is called and says back what it hears: `sip:USER@HOST:PORT;transport=tcp`, or
    /// `ws://HOST:PORT/PATH` of a media stream in the most common carrier's dialect.
    #[arg(default_value = "sip:echo@127.0.0.1")]
    target: Target,
    #[command(flatten)]
    played: Played,
    #[command(flatten)]
    access: Access,
    /// Calls at a time.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    calls: u32,
    /// Seconds of talk.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..=3_600))]
    secs: u64,
    /// Milliseconds of audio a packet of RTP.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(5..=60))]
    ptime: u32,
    /// Codec, but of calls that a carrier brings.
    #[arg(long, value_enum, default_value_t)]
    codec: Law,
    /// Serves an echo agent here, which the server's route for the target, or the agent that takes
    /// the carrier's calls, must dial. Of calls by SIP with PCMU, the way to it and the way back
    /// are measured apart, packet by packet.
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

/// A part of the whole, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Part {
    what: &'static str,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    max_ms: f64,
}

impl Part {
    /// Each quantile, as `of` has it of milliseconds.
    fn of(what: &'static str, times: &Quantiles, of: impl Fn(f64) -> f64) -> Self {
        let [p50_ms, p90_ms, p99_ms, p999_ms, max_ms] =
            [times.p50, times.p90, times.p99, times.p999, times.max].map(|us| of(us / 1e3));
        Self { what, p50_ms, p90_ms, p99_ms, p999_ms, max_ms }
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, p50_ms, p90_ms, p99_ms, p999_ms, max_ms } = self;
        write!(
            f,
            "{what}: p50 {p50_ms:.2}  p90 {p90_ms:.2}  p99 {p99_ms:.2}  p99.9 {p999_ms:.2}  max \
             {max_ms:.2} ms"
        )
    }
}

/// A column of the histogram.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Column {
    from_ms: f64,
    to_ms: f64,
    chirps: u64,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
struct Report {
    target: String,
    calls: u32,
    up: usize,
    /// Calls that ended while they were meant to last.
    broken: u64,
    /// Milliseconds of audio that travel together.
    ptime_ms: u32,
    packets_sent: usize,
    packets_heard: usize,
    strays: u64,
    chirps: usize,
    chirps_found: usize,
    /// From mouth to ear: a packet's filling up, the way there and back, and what waits.
    mouth_to_ear_us: Quantiles,
    /// The same as a histogram.
    histogram: Vec<Column>,
    /// The same between two people, whose words need not come back: a packet's filling up, and half
    /// of everything else.
    one_way: Part,
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
    if args.is_line() {
        args.access.only_by_sip()?;
    }
    let chirps = Chirps::new();
    let apart = args.with_agent.filter(|_| !args.played.is_wanted());
    let packets = apart.map(|agent| by_packets(args, agent)).transpose()?;
    // The trial call of a carrier needs the agent, too.
    let agent = args.with_agent.map(|at| calls::agent(at, args.cpu)).transpose()?;
    let carrier = args.played.set_up()?;
    let before = args.metrics.as_ref().map(MetricsUrl::read).transpose()?;
    let meter = Meter::new(args.watch);
    let spoken = voice::speak(&args.script(), carrier.as_ref(), &chirps, meter)?;
    agent.map(calls::stop).transpose()?;
    let hops = match (&args.metrics, before) {
        (Some(url), Some(before)) => url.read()?.since(&before),
        _ => Vec::new(),
    };
    let mut report = account(args, carrier.as_ref(), spoken, &chirps)?;
    report.parts = parts(&report, packets.as_ref());
    let filling_ms = f64::from(report.ptime_ms);
    report.budget = Budget::new(&report.mouth_to_ear_us, filling_ms, &hops);
    (report.hops, report.packets) = (hops, packets);
    let table = report.table();
    report::print(args.json, &report, || table.clone())?;
    if let Some(path) = &args.plot {
        let title = format!("From mouth to ear through {}", report.target);
        let mut panels = vec![panel(&report)];
        panels.extend(report.budget.as_ref().map(Budget::panel));
        plot::write(path, &title, &panels, &table)?;
    }
    Ok(report.clean())
}

impl Args {
    fn script(&self) -> Script {
        let ptime_ms = if self.is_line() { LINE_PTIME_MS } else { self.ptime };
        Script {
            target: self.target.clone(),
            law: self.codec,
            calls: self.calls,
            seconds: self.secs,
            ptime_ms,
            local: self.local,
            access: self.access.clone(),
        }
    }

    /// Whether audio travels on media sockets.
    fn is_line(&self) -> bool {
        self.played.is_wanted() || !matches!(self.target, Target::Sip { .. })
    }

    /// Milliseconds of audio that travel together.
    fn filling_ms(&self, carrier: Option<&Carrier>) -> u32 {
        let together = carrier.map_or(1, |carrier| carrier.dialect.together() as u32);
        self.script().ptime_ms * together
    }
}

/// The same calls with numbered packets, whose way is split at the agent.
fn by_packets(args: &Args, agent: SocketAddrV4) -> Result<LoadReport> {
    let Target::Sip { server, host, user, transport } = &args.target else {
        let told = "--with-agent goes with a SIP target, or with a carrier";
        return Err(PerfError::Usage(told.into()));
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
        access: args.access.at(host),
        codec: match args.codec {
            Law::Pcmu => Codec::Pcmu,
            Law::Pcma => Codec::Pcma,
        },
        srtp: None,
        altered: false,
        local: args.local,
    })
}

/// Finds the chirps.
fn account(
    args: &Args,
    carrier: Option<&Carrier>,
    spoken: Spoken,
    chirps: &Chirps,
) -> Result<Report> {
    let mut heard = times()?;
    let mut report = Report {
        target: args.played.or(&args.target),
        calls: args.calls,
        up: spoken.up,
        broken: spoken.broken,
        ptime_ms: args.filling_ms(carrier),
        packets_sent: 0,
        packets_heard: 0,
        strays: 0,
        chirps: 0,
        chirps_found: 0,
        mouth_to_ear_us: Quantiles::default(),
        histogram: Vec::new(),
        one_way: one_way(&Quantiles::default(), 0.0),
        parts: Vec::new(),
        hops: Vec::new(),
        budget: None,
        verdict: "",
        setup: spoken.setup,
        cost: spoken.cost,
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
    report.histogram = histogram(&report.mouth_to_ear_us, &heard);
    report.one_way = one_way(&report.mouth_to_ear_us, f64::from(report.ptime_ms));
    report.verdict = match report.one_way.p99_ms {
        _ if report.chirps_found == 0 => "nothing came back",
        ms if ms <= G114_MS.0 => "below 150 ms a way: transparent",
        ms if ms <= G114_MS.1 => "between 150 and 400 ms a way: noticed",
        _ => "above 400 ms a way: not to be planned for",
    };
    Ok(report)
}

/// Of the way to an echo and back the way that one's words take to another: they are filled into a
/// packet once, and go through everything else once instead of twice.
fn one_way(whole: &Quantiles, filling_ms: f64) -> Part {
    Part::of("one way", whole, |ms| filling_ms + (ms - filling_ms).max(0.0) / 2.0)
}

/// The whole in parts: what is known of each.
fn parts(report: &Report, packets: Option<&LoadReport>) -> Vec<Part> {
    let (whole, ptime_ms) = (&report.mouth_to_ear_us, f64::from(report.ptime_ms));
    let mut parts = vec![Part::of("a packet's filling up", whole, |_| ptime_ms)];
    let ways =
        packets.map(|run| [("to the agent", run.forward_us), ("from the agent", run.return_us)]);
    let known = ways.into_iter().flatten();
    parts.extend(known.filter_map(|(what, times)| Some(Part::of(what, &times?, |ms| ms))));
    if parts.len() == 1 {
        parts.push(Part::of("the way and what waits", whole, |ms| (ms - ptime_ms).max(0.0)));
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
        for part in self.parts.iter().chain([&self.one_way]) {
            table.row("  of it", &part.to_string());
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
        if self.cost.rss_kib > 0 {
            table.per_call(&self.cost);
        }
        table.noise(&self.cost, 1);
        table.row("verdict", if self.clean() { "clean" } else { "NOT CLEAN" });
        table.text
    }
}

/// The histogram: columns of one width from the smallest value to the 99.9 % one, the last of which
/// has what lies beyond as well.
fn histogram(whole: &Quantiles, heard: &Times) -> Vec<Column> {
    if heard.is_empty() {
        return Vec::new();
    }
    let low = heard.min() as f64 / 1e6;
    let width = ((whole.p999 / 1e3 - low) / COLUMNS as f64).max(COLUMN_MIN_MS);
    let edge = |at: usize| low + width * at as f64;
    let column = |at| Column { from_ms: edge(at), to_ms: edge(at + 1), chirps: 0 };
    let mut columns: Vec<Column> = (0..COLUMNS).map(column).collect();
    for value in heard.iter_recorded() {
        let at = ((value.value_iterated_to() as f64 / 1e6 - low) / width).max(0.0) as usize;
        if let Some(column) = columns.get_mut(at.min(COLUMNS - 1)) {
            column.chirps += value.count_at_value();
        }
    }
    columns
}

/// The histogram, drawn.
fn panel(report: &Report) -> Panel {
    let whole = &report.mouth_to_ear_us;
    let columns = report.histogram.iter();
    let columns = columns.map(|column| (column.from_ms, column.to_ms, column.chirps as f64));
    let mark = |name: &str, us: f64| (us / 1e3, format!("{name} {:.1} ms", us / 1e3));
    Panel {
        title: format!("Mouth to ear, {} calls, {} chirps", report.up, report.chirps_found),
        x_label: "ms",
        y_label: "chirps",
        shape: Shape::Columns(columns.collect()),
        marks: vec![mark("p50", whole.p50), mark("p99", whole.p99)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every chirp is in a column, the earliest in the first and whatever is late in the last.
    #[test]
    fn every_chirp_is_in_a_column() {
        let mut heard = times().expect("a histogram");
        assert_eq!(histogram(&Quantiles::of(&heard), &heard), []);
        (0..200).for_each(|n| heard.saturating_record(20_000_000 + n * 50_000));
        heard.saturating_record(900_000_000);
        let columns = histogram(&Quantiles::of(&heard), &heard);
        let all: u64 = columns.iter().map(|column| column.chirps).sum();
        assert_eq!((columns.len(), all), (COLUMNS, 201));
        let (first, last) = (columns.first().expect("one"), columns.last().expect("one"));
        assert!(first.chirps > 0 && last.chirps > 0 && first.from_ms < 20.1);
        // One value fills one column.
        heard.reset();
        heard.saturating_record(30_000_000);
        let columns = histogram(&Quantiles::of(&heard), &heard);
        assert_eq!(columns.iter().filter(|column| column.chirps > 0).count(), 1);
    }

    /// A packet's filling up counts once and whole in one way, everything else by half; of what is
    /// shorter than a packet nothing is left to halve.
    #[test]
    fn one_way_is_filled_once() {
        let whole =
            Quantiles { p50: 20_400.0, p99: 300_000.0, max: 10_000.0, ..Default::default() };
        let way = one_way(&whole, 20.0);
        let close = |one: f64, other: f64| (one - other).abs() < 1e-9;
        assert!(close(way.p50_ms, 20.2) && close(way.p99_ms, 160.0) && close(way.max_ms, 20.0));
        assert!(way.to_string().contains("p50 20.20") && way.to_string().contains("p99 160.00"));
    }
}
