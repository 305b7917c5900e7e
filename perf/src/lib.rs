//! Load generator, floors and latency meter for Talkpath.
//!
//! It shares no code with the server: its SIP, RTP and WebSocket code is its own, so that what it
//! counts is an independent judgement.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod agent;
pub mod bench;
mod error;
mod floor;
mod line;
mod load;
mod numbered;
mod pattern;
mod report;
mod rival;
mod rtp;
mod run;
mod sip;
mod sound;
mod srtp;
mod sys;
mod ws;

/// Load generator, floors and latency meter for Talkpath.
#[derive(Debug, Parser)]
#[command(name = "talkpath-perf", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What the same traffic costs at least on this machine: bare UDP echo, WebSocket echo, relay.
    Floor(run::floor::Args),
    /// A load partner that the server dials: an agent that echoes, or one that interrupts itself.
    Agent(run::agent::Args),
    /// Concurrent SIP calls whose audio is checked in both directions.
    Calls(run::calls::Args),
    /// Call set-up times at a rate, and the highest rate that holds.
    Setup(run::setup::Args),
    /// How soon after the answer an agent that is ready is heard.
    First(run::first::Args),
    /// Packets that leave by the server's own clock, beside those of a bare timer.
    Clock(run::playout::Args),
    /// Barge-in: from `clear` to the last stale packet, and the ledger against the wire.
    Barge(run::barge::Args),
    /// Floors and server in one run, interleaved, and their ratios.
    Compare(run::compare::Args),
    /// What codecs and SRTP cost, beside plain calls in one run.
    Media(run::media::Args),
    /// Twice the calls that the server can carry: whom it takes, and how those fare.
    Overload(run::overload::Args),
    /// RTP between two parties, beside rtpengine.
    Relay(run::relay::Args),
    /// A carrier's calls on WebSockets, beside a bare relay in one run.
    Line(run::line::Args),
    /// Programs that take a carrier's media sockets, beside a bare echo and the server in one run.
    Rivals(run::rivals::Args),
    /// What anybody may ask of a server: latency, density, endurance, set-up.
    Bench(bench::Bench),
    /// A floor server; started by the others.
    #[command(hide = true)]
    FloorServe {
        /// Which floor.
        kind: floor::serve::Kind,
        /// CPU to be pinned to.
        #[arg(long)]
        cpu: Option<usize>,
        /// The relay's agent.
        #[arg(long)]
        agent: Option<std::net::SocketAddrV4>,
    },
}

/// Carries out the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Bench(args) => return args.run(),
        Command::Floor(args) => run::floor::run(&args),
        Command::Agent(args) => run::agent::run(&args),
        Command::Calls(args) => run::calls::run(&args),
        Command::Setup(args) => run::setup::run(&args),
        Command::First(args) => run::first::run(&args),
        Command::Clock(args) => run::playout::run(&args),
        Command::Barge(args) => run::barge::run(&args),
        Command::Compare(args) => run::compare::run(&args),
        Command::Media(args) => run::media::run(&args),
        Command::Overload(args) => run::overload::run(&args),
        Command::Relay(args) => run::relay::run(&args),
        Command::Line(args) => run::line::run(&args),
        Command::Rivals(args) => run::rivals::run(&args),
        Command::FloorServe { kind, cpu, agent } => {
            floor::serve::run(kind, cpu, agent).map(|()| true)
        }
    };
    exit("talkpath-perf", result)
}

/// 0 for a clean result, 2 for one that is not, 1 if nothing could be measured.
fn exit(name: &str, result: error::Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}
