//! `line`: a carrier's calls on WebSockets to an agent on a WebSocket, beside a relay that does
//! nothing but move messages between two such sockets, in one run.

use std::net::SocketAddrV4;
use std::sync::Arc;

use serde::Serialize;

use super::agent::AgentThread;
use super::folder::Folder;
use super::rows::{self, Bar, Row, median, row};
use super::server::Server;
use super::{LoadArgs, floor, measure, prepare, prepare_server};
use crate::error::Result;
use crate::floor::serve::Kind;
use crate::line::carrier::Carrier;
use crate::line::rest::Rest;
use crate::load::engine::Engine;
use crate::load::line::LineEnd;
use crate::load::meter::Meter;
use crate::load::stamps::Stamps;
use crate::report::{self, LoadReport};
use crate::sys::clock::{self, SECOND_NS};
use crate::sys::net;

/// How long the server may take to end all calls at the carrier, in nanoseconds.
const GOODBYE_NS: u64 = 15 * SECOND_NS;

/// Arguments of `line`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Command that starts the server; it is started anew for each measurement, with its data in a
    /// folder of its own and HTTP on a free port.
    #[arg(long)]
    server: String,
    /// Name of the server's agent that dials `--with-agent`.
    #[arg(long, default_value = "agent")]
    agent: String,
    /// Where the agent listens for the server's dial.
    #[arg(long, default_value = "127.0.0.1:9100")]
    with_agent: SocketAddrV4,
    /// Calls offered a second.
    #[arg(long, default_value_t = 50)]
    rate: u64,
    #[command(flatten)]
    load: LoadArgs,
    /// CPU that relay and server are pinned to.
    #[arg(long)]
    server_cpu: Option<usize>,
    /// Rounds; the medians count.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// The result: rows, and every run they were made of.
#[derive(Clone, Debug, Default, Serialize)]
struct Comparison {
    rows: Vec<Row>,
    relay: Vec<LoadReport>,
    line: Vec<LoadReport>,
}

/// Measures and prints.
pub(crate) fn run(args: &Args) -> Result<bool> {
    prepare(args.load.cpu, args.load.nice)?;
    let mut all = Comparison::default();
    let bare = floor::Args::of(Kind::Line, &args.load, args.server_cpu);
    for round in 1..=args.rounds.max(1) {
        eprintln!("round {round}: relay");
        all.relay.push(super::repeat(&args.load, || floor::once(&bare))?);
        eprintln!("round {round}: server");
        all.line.push(super::repeat(&args.load, || once(args))?);
    }
    all.rows = rows(&all);
    let runs: Vec<_> = all.relay.iter().chain(&all.line).collect();
    report::print(args.load.json, &all, || rows::table(&all.rows, &runs))?;
    let clean = runs.iter().all(|run| run.clean());
    Ok(clean && all.rows.iter().all(|row| row.holds != Some(false)))
}

/// The rows that have bars, and those that explain them.
fn rows(all: &Comparison) -> Vec<Row> {
    let line = |what: &str, unit, bar, value: fn(&LoadReport) -> f64| {
        row(what, unit, median(&all.relay, value), median(&all.line, value), bar)
    };
    let alone = |what: &str, value: fn(&LoadReport) -> f64| {
        row(what, "µs", None, median(&all.line, value), Bar::None)
    };
    let list = [
        line("CPU", "%/1000", Bar::Times(1.3), |run| run.cost.server_cpu_pct_per_1000),
        line("CPU a frame in and out", "µs", Bar::None, |run| run.cost.server_us_per_packet),
        line("whole echo p50", "µs", Bar::Times(1.3), |run| run.echo_us.p50),
        line("whole echo p99", "µs", Bar::Times(2.0), |run| run.echo_us.p99),
        alone("  to the agent p50", |run| run.forward_us.unwrap_or_default().p50),
        alone("  to the agent p99", |run| run.forward_us.unwrap_or_default().p99),
        alone("  from the agent p50", |run| run.return_us.unwrap_or_default().p50),
        alone("  from the agent p99", |run| run.return_us.unwrap_or_default().p99),
        line("memory", "KiB/call", Bar::Most(40.0), |run| run.cost.kib_per_call),
    ];
    list.into_iter().flatten().collect()
}

/// One run with the server: its calls are offered by signed webhooks, each answer says where the
/// audio goes.
fn once(args: &Args) -> Result<LoadReport> {
    let load = &args.load;
    // Dropped last, once the server has ended.
    let folder = Folder::make()?;
    let (server, told) = Server::start_in(folder.path(), &args.server, args.server_cpu)?;
    prepare_server(Some(server.pid()), args.server_cpu, load.nice)?;
    let rest = Rest::start()?;
    let carrier = Carrier::set_up(&told, &args.agent, rest.at)?;
    let stamps = Arc::new(Stamps::new(load.calls));
    let agent = AgentThread::start(args.with_agent, Some(Arc::clone(&stamps)), load.cpu)?;
    let meter = Meter::new(Some(server.pid()));
    let mut engine = Engine::new(load.pace(), Some(stamps))?;
    engine.expect(load.calls);
    let gap_ns = SECOND_NS / args.rate.max(1);
    let start = clock::mono_ns();
    for number in 0..load.calls as u32 {
        while clock::mono_ns() < start + u64::from(number) * gap_ns {
            engine.step()?;
        }
        let offered = carrier.offer(number)?;
        net::stamp(&offered.socket)?;
        engine.add_line(offered.socket, LineEnd::new(offered.talk, &offered.rest))?;
    }
    let what = format!("a carrier's calls to {}", args.agent);
    let mut report = measure(what, load, load.calls, &mut engine, meter, |_| Ok(()))?;
    for number in 0..load.calls as u32 {
        engine.end_line(number);
    }
    let end = clock::mono_ns() + GOODBYE_NS;
    while rest.ended() < load.calls && clock::mono_ns() < end {
        engine.step()?;
    }
    if rest.ended() != load.calls {
        eprintln!("{} of {} calls were ended at the carrier", rest.ended(), load.calls);
        // A call that the server does not end is none that went as it should.
        report.up = report.up.min(rest.ended());
    }
    report.agent = Some(agent.stop()?);
    Ok(report)
}
