//! `media`: what codecs, conversions and SRTP cost the server, beside plain calls in one run.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};

use serde::Serialize;

use super::server::Server;
use super::{LoadArgs, calls, prepare};
use crate::error::{PerfError, Result};
use crate::report::{self, LoadReport};
use crate::sip::link::Transport;
use crate::sound::Codec;
use crate::srtp::Suite;

/// Arguments of `media`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Command that starts the server; it is started anew for each measurement. Its routes must be
    /// those of `perf/bench.toml`.
    #[arg(long)]
    server: String,
    /// The server's SIP address.
    #[arg(long, default_value = "127.0.0.1:5060")]
    sip: SocketAddrV4,
    /// Where the agent listens for the server's dial.
    #[arg(long, default_value = "127.0.0.1:9100")]
    with_agent: SocketAddrV4,
    /// Calls placed a second.
    #[arg(long, default_value_t = 50)]
    rate: u64,
    #[command(flatten)]
    load: LoadArgs,
    /// CPU that the server is pinned to.
    #[arg(long)]
    server_cpu: Option<usize>,
    /// The cases with Opus: the server is built with that feature, and has the routes of
    /// `perf/bench-opus.toml`.
    #[arg(long)]
    opus: bool,
    /// Only cases whose name has this in it, besides the plain ones.
    #[arg(long)]
    only: Option<String>,
}

/// One way to speak.
#[derive(Clone, Copy, Debug)]
struct Case {
    name: &'static str,
    /// User whose route says what the agent speaks.
    to: &'static str,
    codec: Codec,
    srtp: Option<Suite>,
    /// A codec on the way alters the audio.
    altered: bool,
}

const fn case(name: &'static str, to: &'static str, codec: Codec, altered: bool) -> Case {
    Case { name, to, codec, srtp: None, altered }
}

const fn secured(name: &'static str, to: &'static str, suite: Suite) -> Case {
    Case { name, to, codec: Codec::Pcmu, srtp: Some(suite), altered: false }
}

/// User that reaches the built-in echo.
const ECHO: &str = "echo";

/// The cases; the plain one of a path comes first, the others are held against it.
const CASES: &[Case] = &[
    case("echo, PCMU", ECHO, Codec::Pcmu, false),
    secured("echo, PCMU, AES-CM 80", ECHO, Suite::Cm80),
    secured("echo, PCMU, AES-CM 32", ECHO, Suite::Cm32),
    secured("echo, PCMU, AES-GCM 128", ECHO, Suite::Gcm128),
    secured("echo, PCMU, AES-GCM 256", ECHO, Suite::Gcm256),
    case("agent, PCMU", "bench", Codec::Pcmu, false),
    secured("agent, PCMU, AES-CM 80", "bench", Suite::Cm80),
    secured("agent, PCMU, AES-GCM 128", "bench", Suite::Gcm128),
    case("agent, PCMU to L16 8 kHz", "bench-l16", Codec::Pcmu, false),
    case("agent, PCMU to L16 16 kHz", "bench-l16-wide", Codec::Pcmu, true),
    case("agent, PCMU to PCMA", "bench-pcma", Codec::Pcmu, true),
    case("agent, PCMA to PCMU", "bench-pcmu", Codec::Pcma, true),
    case("agent, G722", "bench", Codec::G722, true),
    case("agent, G722 to L16 16 kHz", "bench-l16-wide", Codec::G722, true),
    case("agent, G722 to PCMU", "bench-pcmu", Codec::G722, true),
];

/// What needs a server with Opus: an agent that hears Opus and sends back what it heard, so that
/// every frame is coded and decoded once.
const OPUS_CASES: &[Case] = &[
    case("agent, PCMU", "bench", Codec::Pcmu, false),
    case("agent, PCMU to Opus", "bench-opus", Codec::Pcmu, true),
    case("agent, G722 to Opus", "bench-opus", Codec::G722, true),
];

/// A case with what came of it.
#[derive(Clone, Debug, Serialize)]
struct Row {
    name: &'static str,
    /// CPU of the server for 1,000 such calls, percent of a core.
    cpu_pct_per_1000: f64,
    /// By the plain case of the same path.
    ratio: f64,
    kib_per_call: f64,
    clean: bool,
    run: LoadReport,
}

/// Measures and prints.
pub(crate) fn run(args: &Args) -> Result<bool> {
    prepare(args.load.cpu, args.load.nice)?;
    let mut rows: Vec<Row> = Vec::new();
    let mut failed = Vec::new();
    let mut plain = f64::NAN;
    for case in if args.opus { OPUS_CASES } else { CASES } {
        let is_plain = matches!(case.name, "echo, PCMU" | "agent, PCMU");
        if !is_plain && args.only.as_ref().is_some_and(|only| !case.name.contains(only)) {
            continue;
        }
        eprintln!("{}", case.name);
        let run = match super::repeat(&args.load, || once(args, case)) {
            Ok(run) => run,
            // The other cases still have something to say.
            Err(PerfError::Peer(why)) => {
                failed.push(format!("{}: {why}", case.name));
                continue;
            }
            Err(error) => return Err(error),
        };
        let cpu = run.cost.server_cpu_pct_per_1000;
        if is_plain {
            plain = cpu;
        }
        rows.push(Row {
            name: case.name,
            cpu_pct_per_1000: cpu,
            ratio: cpu / plain,
            kib_per_call: run.cost.kib_per_call,
            clean: run.clean(),
            run,
        });
    }
    report::print(args.load.json, &rows, || table(&rows))?;
    for why in &failed {
        eprintln!("{why}");
    }
    Ok(failed.is_empty() && rows.iter().all(|row| row.clean))
}

fn once(args: &Args, case: &Case) -> Result<LoadReport> {
    let server = Server::start(&args.server, args.sip, args.server_cpu)?;
    calls::once(&calls::Args {
        sip: args.sip,
        to: case.to.to_owned(),
        rate: args.rate,
        load: args.load.clone(),
        watch: Some(server.pid()),
        server_cpu: args.server_cpu,
        with_agent: (case.to != ECHO).then_some(args.with_agent),
        transport: Transport::Udp,
        codec: case.codec,
        srtp: case.srtp,
        altered: case.altered,
        local: Ipv4Addr::LOCALHOST,
    })
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<28} {:>10} {:>7} {:>9} {:>9}\n",
        "", "CPU %/1000", "ratio", "KiB/call", "packets"
    );
    for row in rows {
        let noise = if row.run.cost.quiet { "" } else { "  not quiet" };
        let fault = if row.clean { "" } else { "  NOT CLEAN" };
        let _ = writeln!(
            text,
            "{:<28} {:>10.1} {:>7.2} {:>9.1} {:>9}{noise}{fault}",
            row.name, row.cpu_pct_per_1000, row.ratio, row.kib_per_call, row.run.content.returned
        );
    }
    for row in rows.iter().filter(|row| !row.clean) {
        let _ = writeln!(text, "\nnot clean: {}\n{}", row.name, row.run.table());
    }
    text
}
