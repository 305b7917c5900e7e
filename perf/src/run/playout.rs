//! `clock`: packets that leave by the server's own clock, beside those that a bare timer sends.

use std::net::{Ipv4Addr, SocketAddrV4};

use serde::Serialize;

use super::rows::{self, Bar, Row, median, row};
use super::server::Server;
use super::{LoadArgs, calls, floor, prepare};
use crate::error::Result;
use crate::floor::serve::Kind;
use crate::report::{self, LoadReport};
use crate::sip::link::Transport;
use crate::sound::Codec;

/// Arguments of `clock`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The server's SIP address.
    #[arg(long, default_value = "127.0.0.1:5060")]
    sip: SocketAddrV4,
    /// User whose agent says something all the time.
    #[arg(long, default_value = "tone")]
    to: String,
    /// Calls placed a second.
    #[arg(long, default_value_t = 50)]
    rate: u64,
    #[command(flatten)]
    load: LoadArgs,
    /// Command that starts the server; it is started anew for each measurement.
    #[arg(long)]
    server: String,
    /// CPU that floor and server are pinned to.
    #[arg(long)]
    server_cpu: Option<usize>,
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
    prepare(args.load.cpu, args.load.nice)?;
    let mut all = Clocks { rows: Vec::new(), floor: Vec::new(), server: Vec::new() };
    for round in 1..=args.rounds.max(1) {
        eprintln!("round {round}: a bare timer");
        let bare = floor::Args::of(Kind::Clock, &args.load, args.server_cpu);
        all.floor.push(super::repeat(&args.load, || floor::once(&bare))?);
        eprintln!("round {round}: server");
        all.server.push(super::repeat(&args.load, || served(args))?);
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
    report::print(args.load.json, &all, || rows::table(&all.rows, &runs))?;
    let holds = all.rows.iter().all(|row| row.holds != Some(false));
    Ok(holds && runs.iter().all(|run| run.clean()))
}

fn served(args: &Args) -> Result<LoadReport> {
    let server = Server::start(&args.server, args.sip, args.server_cpu)?;
    calls::once(&calls::Args {
        sip: args.sip,
        to: args.to.clone(),
        rate: args.rate,
        load: args.load.clone(),
        watch: Some(server.pid()),
        server_cpu: args.server_cpu,
        with_agent: None,
        transport: Transport::Udp,
        local: Ipv4Addr::LOCALHOST,
        codec: Codec::Pcmu,
        srtp: None,
        altered: true,
    })
}
