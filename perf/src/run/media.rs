//! `media`: what codecs, conversions and SRTP cost the server, beside plain calls and beside
//! rtpengine, where it does the same, in one run.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};

use serde::Serialize;

use super::server::Server;
use super::{LoadArgs, calls, prepare, relay};
use crate::error::{PerfError, Result};
use crate::report::{self, LoadReport};
use crate::sip::access::Access;
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
    /// The cases with Opus too: the server is built with that feature, and configured as in
    /// `perf/bench-opus.toml`.
    #[arg(long)]
    opus: bool,
    #[command(flatten)]
    parties: relay::Parties,
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
    ratio: Option<f64>,
    kib_per_call: f64,
    /// CPU of rtpengine for the same, if it does the same.
    rival_pct_per_1000: Option<f64>,
    /// The server's by that.
    rival_ratio: Option<f64>,
    clean: bool,
    run: LoadReport,
    rival: Option<LoadReport>,
}

/// The path of a case, which its name begins with; the first case of each is plain.
fn path(name: &str) -> &str {
    name.split(',').next().unwrap_or(name)
}

/// Whether a case is run: it is wanted, or it is the plain one that a wanted case is held against.
fn is_run(names: &[&str], index: usize, only: Option<&str>) -> bool {
    let wanted = |name: &str| only.is_none_or(|only| name.contains(only));
    let Some(name) = names.get(index) else { return false };
    let of_path = |other: &&&str| path(other) == path(name);
    let is_plain = names.iter().position(|other| path(other) == path(name)) == Some(index);
    wanted(name) || (is_plain && names.iter().filter(of_path).any(|other| wanted(other)))
}

/// What a row is measured by.
enum Way {
    /// Calls of an agent of the server's, or on a socket.
    Agent(&'static Case),
    /// Calls that join two legs, which rtpengine does too.
    Legs(&'static relay::Case),
}

impl Way {
    const fn name(&self) -> &'static str {
        match self {
            Self::Agent(case) => case.name,
            Self::Legs(case) => case.name,
        }
    }
}

/// Measures and prints.
pub(crate) fn run(args: &Args) -> Result<bool> {
    prepare(args.load.cpu, args.load.nice)?;
    let Args { server, sip, parties, rate, load, server_cpu, opus, .. } = args;
    let (sip, rate, server_cpu) = (*sip, *rate, *server_cpu);
    let relays = relay::Runs { server, sip, parties, rate, load, server_cpu };
    let agents = CASES.iter().chain(OPUS_CASES.iter().filter(|_| *opus)).map(Way::Agent);
    let ways: Vec<Way> = agents.chain(relay::joined_cases(*opus).map(Way::Legs)).collect();
    let names: Vec<&str> = ways.iter().map(Way::name).collect();
    let (mut rows, mut failed): (Vec<Row>, _) = (Vec::new(), Vec::new());
    for (index, way) in ways.iter().enumerate() {
        if !is_run(&names, index, args.only.as_deref()) {
            continue;
        }
        let name = way.name();
        eprintln!("{name}");
        let ours = super::repeat(load, || match way {
            Way::Agent(case) => once(args, case),
            Way::Legs(case) => relays.server(case),
        });
        let ours = told(name, ours, &mut failed)?;
        let theirs = match way {
            Way::Legs(case) if parties.has_rival() => {
                told(name, super::repeat(load, || relays.rival(case)), &mut failed)?
            }
            Way::Legs(_) | Way::Agent(_) => None,
        };
        // Without it the other cases still have something to say.
        if let Some(ours) = ours {
            let plain = names.iter().find(|other| path(other) == path(name));
            let plain = rows.iter().find(|row| Some(&row.name) == plain);
            let plain = plain.map(|row| row.cpu_pct_per_1000);
            rows.push(row(name, ours, theirs, plain));
        }
    }
    report::print(args.load.json, &rows, || table(&rows))?;
    for why in &failed {
        eprintln!("{why}");
    }
    Ok(failed.is_empty() && rows.iter().all(|row| row.clean))
}

/// A run that was made; what a peer made meaningless is told.
fn told(
    name: &str,
    run: Result<LoadReport>,
    failed: &mut Vec<String>,
) -> Result<Option<LoadReport>> {
    match run {
        Ok(run) => Ok(Some(run)),
        Err(PerfError::Peer(why)) => {
            failed.push(format!("{name}: {why}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A row; what `plain` costs, if that was measured and is another.
fn row(name: &'static str, run: LoadReport, rival: Option<LoadReport>, plain: Option<f64>) -> Row {
    let cpu = run.cost.server_cpu_pct_per_1000;
    let theirs = rival.as_ref().map(|rival| rival.cost.server_cpu_pct_per_1000);
    Row {
        name,
        cpu_pct_per_1000: cpu,
        ratio: plain.map(|plain| cpu / plain),
        kib_per_call: run.cost.kib_per_call,
        rival_pct_per_1000: theirs,
        rival_ratio: theirs.filter(|theirs| *theirs > 0.0).map(|theirs| cpu / theirs),
        clean: run.clean(),
        run,
        rival,
    }
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
        access: Access::default(),
        codec: case.codec,
        srtp: case.srtp,
        altered: case.altered,
        local: Ipv4Addr::LOCALHOST,
    })
}

fn table(rows: &[Row]) -> String {
    let number = |value: Option<f64>, digits: usize| {
        value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
    };
    let mut text = format!(
        "{:<28} {:>10} {:>7} {:>9} {:>10} {:>7} {:>9}\n",
        "", "CPU %/1000", "ratio", "KiB/call", "rtpengine", "ratio", "packets"
    );
    for row in rows {
        let quiet = row.run.cost.quiet && row.rival.as_ref().is_none_or(|run| run.cost.quiet);
        let noise = if quiet { "" } else { "  not quiet" };
        let fault = if row.clean { "" } else { "  NOT CLEAN" };
        let (theirs, beside) = (number(row.rival_pct_per_1000, 1), number(row.rival_ratio, 2));
        let ratio = number(row.ratio, 2);
        let _ = writeln!(
            text,
            "{:<28} {:>10.1} {ratio:>7} {:>9.1} {theirs:>10} {beside:>7} {:>9}{noise}{fault}",
            row.name, row.cpu_pct_per_1000, row.kib_per_call, row.run.content.returned
        );
    }
    for row in rows.iter().filter(|row| !row.clean) {
        let _ = writeln!(text, "\nnot clean: {}\n{}", row.name, row.run.table());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wanted case comes with the plain one of its path, and nothing else does.
    #[test]
    fn plain_cases_come_along() {
        let names = ["echo, a", "echo, b", "agent, a", "agent, b", "agent, c to b", "legs, a"];
        let run = |only| {
            let chosen = (0..names.len()).filter(|index| is_run(&names, *index, only));
            chosen.map(|index| names[index]).collect::<Vec<_>>()
        };
        assert_eq!(run(None), names);
        assert_eq!(run(Some("c to")), ["agent, a", "agent, c to b"]);
        assert_eq!(run(Some("echo, b")), ["echo, a", "echo, b"]);
        assert_eq!(run(Some("legs")), ["legs, a"]);
        assert_eq!(run(Some("nothing")), Vec::<&str>::new());
    }

    /// The names of the cases tell their paths, the plain one first.
    #[test]
    fn cases_tell_their_paths() {
        let names = CASES.iter().chain(OPUS_CASES).map(|case| case.name);
        let names: Vec<_> = names.chain(relay::joined_cases(true).map(|case| case.name)).collect();
        for plain in ["echo, PCMU", "agent, PCMU", "two legs, PCMU to PCMU"] {
            let first = names.iter().find(|name| path(name) == path(plain));
            assert_eq!(first, Some(&plain));
        }
        assert!(names.iter().all(|name| ["echo", "agent", "two legs"].contains(&path(name))));
    }
}
