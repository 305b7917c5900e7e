//! `floor`: what the same traffic costs at least.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use serde::Serialize;

use super::agent::AgentThread;
use super::rows::{self, Bar, Row, median, row};
use super::{LoadArgs, measure, repeat};
use crate::agent::echo::Echo;
use crate::agent::far::Far;
use crate::agent::server::{dial, dial_with};
use crate::error::{PerfError, Result};
use crate::floor::child::Floor;
use crate::floor::serve::Kind;
use crate::line::talk::Talk;
use crate::load::engine::{Engine, Pace};
use crate::load::line::LineEnd;
use crate::load::meter::Meter;
use crate::load::stamps::Stamps;
use crate::report::{self, LoadReport};
use crate::sys::net::{self, RtpPorts};

/// Arguments of `floor`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Which floor.
    pub(crate) kind: Kind,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    /// CPU that the floor server is pinned to.
    #[arg(long)]
    pub(crate) server_cpu: Option<usize>,
    /// Another floor that it is measured beside, in turns.
    #[arg(long)]
    pub(crate) against: Option<Kind>,
    /// Rounds of these turns; the medians count.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
}

impl Args {
    /// Those of one floor, measured by itself.
    pub(crate) fn of(kind: Kind, load: &LoadArgs, server_cpu: Option<usize>) -> Self {
        Self { kind, load: load.clone(), server_cpu, against: None, rounds: 1 }
    }
}

/// A floor beside another, and every run that says so.
#[derive(Serialize)]
struct Against {
    rows: Vec<Row>,
    other: Vec<LoadReport>,
    this: Vec<LoadReport>,
}

/// Measures and prints.
pub(crate) fn run(args: &Args) -> Result<bool> {
    if let Some(other) = args.against {
        return against(args, other);
    }
    let report = repeat(&args.load, || once(args))?;
    report::print(args.load.json, &report, || report.table())?;
    Ok(report.clean())
}

/// One run.
pub(crate) fn once(args: &Args) -> Result<LoadReport> {
    let load = &args.load;
    if args.kind == Kind::Line {
        return line(args);
    }
    let relay = args.kind == Kind::Relay;
    let stamps = relay.then(|| Arc::new(Stamps::new(load.calls)));
    // What leaves by a clock of its own is none of what was sent.
    let exact = args.kind != Kind::Clock;
    let mut engine = Engine::new(Pace { exact, ..load.pace() }, stamps.clone())?;
    let agent = match stamps {
        Some(stamps) => {
            let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
            Some(AgentThread::start(address, Some(stamps), load.cpu)?)
        }
        None => None,
    };
    let anywhere = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
    let far = (args.kind == Kind::Legs).then(|| Far::start(anywhere, load.cpu)).transpose()?;
    let address = agent.as_ref().map(AgentThread::address).or(far.as_ref().map(Far::address));
    let mut peers = Vec::new();
    if args.kind != Kind::Ws {
        let mut ports = RtpPorts::new(Ipv4Addr::LOCALHOST);
        for id in 0..load.calls as u32 {
            engine.add_udp(ports.pair().map_err(PerfError::io("opening RTP sockets"))?)?;
            peers.push(engine.local(id)?);
        }
    }
    let floor = Floor::start(args.kind, args.server_cpu, &peers, address)?;
    let meter = Meter::new(Some(floor.pid()));
    if args.kind == Kind::Ws {
        for id in 0..load.calls {
            let peer = floor.ports.first().copied();
            let peer = peer.ok_or_else(|| PerfError::Peer("no port".into()))?;
            let (socket, rest) = dial(peer, "/", [id as u8; 16])?;
            net::stamp(&socket)?;
            engine.add_ws(socket, &rest)?;
        }
    } else {
        for (id, peer) in (0u32..).zip(&floor.ports) {
            engine.start_udp(id, *peer);
        }
    }
    let what = format!("floor {}", args.kind.name());
    let mut report = measure(what, load, load.calls, &mut engine, meter, |_| Ok(()))?;
    drop((floor, far));
    report.agent = agent.map(AgentThread::stop).transpose()?;
    Ok(report)
}

/// One floor beside another.
fn against(args: &Args, other: Kind) -> Result<bool> {
    let mut all = Against { rows: Vec::new(), other: Vec::new(), this: Vec::new() };
    for _ in 0..args.rounds.max(1) {
        let beside = Args { kind: other, ..args.clone() };
        all.other.push(repeat(&args.load, || once(&beside))?);
        all.this.push(repeat(&args.load, || once(args))?);
    }
    let line = |what, unit, value: fn(&LoadReport) -> f64| {
        let (other, this) = (median(&all.other, value), median(&all.this, value));
        row(what, unit, other, this, Bar::None)
    };
    let list = [
        line("CPU", "%/1000", |run| run.cost.server_cpu_pct_per_1000),
        line("CPU a packet in and out", "µs", |run| run.cost.server_us_per_packet),
        line("echo p50", "µs", |run| run.echo_us.p50),
        line("echo p99", "µs", |run| run.echo_us.p99),
        line("memory", "KiB/call", |run| run.cost.kib_per_call),
    ];
    all.rows = list.into_iter().flatten().collect();
    let runs: Vec<_> = all.other.iter().chain(&all.this).collect();
    report::print(args.load.json, &all, || {
        let (this, other) = (args.kind.name(), other.name());
        format!("{this} as \"server\", {other} as \"floor\"\n{}", rows::table(&all.rows, &runs))
    })?;
    Ok(runs.iter().all(|run| run.clean()))
}

/// One run of the relay between a carrier's sockets and an agent's; the agent sends the carrier's
/// own messages back.
fn line(args: &Args) -> Result<LoadReport> {
    let load = &args.load;
    let mut engine = Engine::new(load.pace(), None)?;
    let mut echo = Echo::new(None, false);
    echo.texts = true;
    let agent = AgentThread::serve(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), echo, load.cpu)?;
    let floor = Floor::start(args.kind, args.server_cpu, &[], Some(agent.address()))?;
    let peer = floor.ports.first().copied();
    let peer = peer.ok_or_else(|| PerfError::Peer("no port".into()))?;
    let meter = Meter::new(Some(floor.pid()));
    engine.expect(load.calls);
    for id in 0..load.calls {
        let (socket, rest) = dial_with(peer, "/", [id as u8; 16], "")?;
        net::stamp(&socket)?;
        let talk = Talk::new("AC0", &format!("CA{id:032x}"));
        engine.add_line(socket, LineEnd::new(talk, &rest))?;
    }
    let what = format!("floor {}", args.kind.name());
    let mut report = measure(what, load, load.calls, &mut engine, meter, |_| Ok(()))?;
    drop(floor);
    report.agent = Some(agent.stop()?);
    Ok(report)
}
