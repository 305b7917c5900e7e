//! `compare`: floors and server in one run, interleaved, and the ratios that have bars.

use std::net::{Ipv4Addr, SocketAddrV4};

use serde::Serialize;

use super::rows::{self, Bar, Row, median, row};
use super::server::Server;
use super::{LoadArgs, calls, floor, prepare};
use crate::error::Result;
use crate::floor::serve::Kind;
use crate::report::{self, LoadReport, Quantiles};
use crate::sip::access::Access;
use crate::sip::link::Transport;
use crate::sound::Codec;

/// Arguments of `compare`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The server's SIP address.
    #[arg(long, default_value = "127.0.0.1:5060")]
    sip: SocketAddrV4,
    /// User that reaches the built-in echo.
    #[arg(long, default_value = "echo")]
    echo: String,
    /// User whose route leads to the agent at `--with-agent`; without it only the echo is
    /// measured.
    #[arg(long)]
    agent: Option<String>,
    /// User whose route leads to the same agent by a socket that all calls share; without it that
    /// is not measured.
    #[arg(long)]
    mux: Option<String>,
    /// Where the agent listens for the server's dial.
    #[arg(long, default_value = "127.0.0.1:9100")]
    with_agent: SocketAddrV4,
    /// Calls placed a second.
    #[arg(long, default_value_t = 50)]
    rate: u64,
    #[command(flatten)]
    load: LoadArgs,
    /// Command that starts the server; it is started anew for each measurement, so that memory
    /// by call is that of these calls.
    #[arg(long, conflicts_with = "watch", required_unless_present = "watch")]
    server: Option<String>,
    /// Process id of a server that runs already.
    #[arg(long)]
    watch: Option<u32>,
    /// CPU that floors and server are pinned to.
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
    /// Runs that were not quiet.
    noisy_runs: usize,
    /// Runs with lost, altered or foreign audio, or dropped packets.
    unclean_runs: usize,
    udp: Vec<LoadReport>,
    ws: Vec<LoadReport>,
    relay: Vec<LoadReport>,
    echo: Vec<LoadReport>,
    agent: Vec<LoadReport>,
    mux: Vec<LoadReport>,
}

impl Comparison {
    fn runs(&self) -> impl Iterator<Item = &LoadReport> {
        let all = [&self.udp, &self.echo, &self.ws, &self.relay, &self.agent, &self.mux];
        all.into_iter().flatten()
    }
}

/// Measures and prints.
pub(crate) fn run(args: &Args) -> Result<bool> {
    prepare(args.load.cpu, args.load.nice)?;
    let mut all = Comparison::default();
    for round in 1..=args.rounds.max(1) {
        eprintln!("round {round}: UDP floor");
        all.udp.push(floor_run(args, Kind::Udp)?);
        eprintln!("round {round}: server, built-in echo");
        all.echo.push(server_run(args, &args.echo, None)?);
        if let Some(mux) = &args.mux {
            eprintln!("round {round}: server, agent over mux");
            all.mux.push(server_run(args, mux, Some(args.with_agent))?);
        }
        let Some(agent) = &args.agent else { continue };
        eprintln!("round {round}: WebSocket floor");
        all.ws.push(floor_run(args, Kind::Ws)?);
        eprintln!("round {round}: relay floor");
        all.relay.push(floor_run(args, Kind::Relay)?);
        eprintln!("round {round}: server, WebSocket agent");
        all.agent.push(server_run(args, agent, Some(args.with_agent))?);
    }
    all.noisy_runs = all.runs().filter(|run| !run.cost.quiet).count();
    all.unclean_runs = all.runs().filter(|run| !run.clean()).count();
    all.rows = rows(&all);
    report::print(args.load.json, &all, || table(&all))?;
    Ok(all.unclean_runs == 0 && all.rows.iter().all(|row| row.holds != Some(false)))
}

fn floor_run(args: &Args, kind: Kind) -> Result<LoadReport> {
    let run = floor::Args::of(kind, &args.load, args.server_cpu);
    super::repeat(&args.load, || floor::once(&run))
}

fn server_run(args: &Args, to: &str, with_agent: Option<SocketAddrV4>) -> Result<LoadReport> {
    super::repeat(&args.load, || {
        let server = match &args.server {
            Some(command) => Some(Server::start(command, args.sip, args.server_cpu)?),
            None => None,
        };
        calls::once(&calls::Args {
            sip: args.sip,
            to: to.to_owned(),
            rate: args.rate,
            load: args.load.clone(),
            watch: server.as_ref().map(|server| server.pid()).or(args.watch),
            server_cpu: args.server_cpu,
            with_agent,
            transport: Transport::Udp,
            access: Access::default(),
            local: Ipv4Addr::LOCALHOST,
            codec: Codec::Pcmu,
            srtp: None,
            altered: false,
        })
    })
}

/// One of the times of a run.
type Part = fn(&LoadReport) -> Quantiles;

/// The rows that have bars, and those that explain them.
fn rows(all: &Comparison) -> Vec<Row> {
    let cpu = |run: &LoadReport| run.cost.server_cpu_pct_per_1000;
    let memory = |run: &LoadReport| run.cost.kib_per_call;
    let sum = |a: Option<f64>, b: Option<f64>| Some(a? + b?);
    let echo_p50 = |run: &LoadReport| run.echo_us.p50;
    let echo_p99 = |run: &LoadReport| run.echo_us.p99;
    let (udp, ws, relay) = (&all.udp, &all.ws, &all.relay);
    let floors = sum(median(udp, cpu), median(ws, cpu));
    let mut list = vec![
        row("echo: CPU", "%/1000", median(udp, cpu), median(&all.echo, cpu), Bar::Times(1.3)),
        row(
            "echo: delay p50",
            "µs",
            median(udp, echo_p50),
            median(&all.echo, echo_p50),
            Bar::Plus(100.0),
        ),
        row(
            "echo: delay p99",
            "µs",
            median(udp, echo_p99),
            median(&all.echo, echo_p99),
            Bar::Times(2.0),
        ),
        row(
            "echo: memory",
            "KiB/call",
            median(udp, memory),
            median(&all.echo, memory),
            Bar::Most(16.0),
        ),
        row(
            "agent: CPU, sum of floors",
            "%/1000",
            floors,
            median(&all.agent, cpu),
            Bar::Times(1.4),
        ),
        row("agent: CPU, relay", "%/1000", median(relay, cpu), median(&all.agent, cpu), Bar::None),
    ];
    list.extend(mux_rows(all));
    let parts: [(&str, Part); 4] = [
        ("agent: to the agent", |run| run.forward_us.unwrap_or_default()),
        ("agent: from the agent", |run| run.return_us.unwrap_or_default()),
        ("agent: egress lateness", |run| run.egress_lateness_us),
        ("agent: whole echo", |run| run.echo_us),
    ];
    for (name, part) in parts {
        // On its way back a packet waits for its turn to be played; lateness leaves that out.
        let paced = name.ends_with("from the agent") || name.ends_with("whole echo");
        let (half, tail) =
            if paced { (Bar::None, Bar::None) } else { (Bar::Plus(100.0), Bar::Times(2.0)) };
        let value =
            |runs: &[LoadReport], at: fn(Quantiles) -> f64| median(runs, |run| at(part(run)));
        let p50 = |runs: &[LoadReport]| value(runs, |times| times.p50);
        let p99 = |runs: &[LoadReport]| value(runs, |times| times.p99);
        list.push(row(&format!("{name} p50"), "µs", p50(relay), p50(&all.agent), half));
        list.push(row(&format!("{name} p99"), "µs", p99(relay), p99(&all.agent), tail));
    }
    list.push(row(
        "agent: memory",
        "KiB/call",
        median(relay, memory),
        median(&all.agent, memory),
        Bar::Most(40.0),
    ));
    list.into_iter().flatten().collect()
}

/// The rows of the agent whose calls share a socket.
fn mux_rows(all: &Comparison) -> [Option<Row>; 3] {
    let cpu = |run: &LoadReport| run.cost.server_cpu_pct_per_1000;
    let to_agent = |run: &LoadReport| run.forward_us.unwrap_or_default();
    let (p50, p99) =
        (median(&all.mux, |run| to_agent(run).p50), median(&all.mux, |run| to_agent(run).p99));
    let (floor, server) = (median(&all.udp, cpu), median(&all.mux, cpu));
    [
        row("SIP/RTP ↔ agent over mux: CPU", "%/1000", floor, server, Bar::Times(2.0)),
        row("mux: to the agent p50", "µs", None, p50, Bar::None),
        row("mux: to the agent p99", "µs", None, p99, Bar::None),
    ]
}

fn table(all: &Comparison) -> String {
    rows::table(&all.rows, &all.runs().collect::<Vec<_>>())
}
