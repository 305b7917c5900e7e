//! `relay`: RTP between two parties through the server, through rtpengine, and through a bare relay
//! of packets, in one run.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};

use serde::Serialize;

use super::rows::median;
use super::server::Server;
use super::{LoadArgs, calls, floor, measure, prepare, prepare_server};
use crate::agent::callee::Callee;
use crate::agent::far::Far;
use crate::error::{PerfError, Result};
use crate::floor::serve::Kind;
use crate::load::engine::{Engine, Pace};
use crate::load::meter::Meter;
use crate::report::{self, LoadReport};
use crate::rival::rtpengine::{Rtpengine, Sides};
use crate::sip::access::Access;
use crate::sip::link::Transport;
use crate::sound::Codec;
use crate::srtp::Suite;
use crate::sys::net::RtpPorts;

/// Arguments of `relay`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Command that starts the server; it is started anew for each measurement. Its routes must be
    /// those of `perf/bench.toml`.
    #[arg(long)]
    server: String,
    /// The server's SIP address.
    #[arg(long, default_value = "127.0.0.1:5060")]
    sip: SocketAddrV4,
    #[command(flatten)]
    parties: Parties,
    /// Only cases whose name has this in it.
    #[arg(long)]
    only: Option<String>,
    /// Calls placed a second.
    #[arg(long, default_value_t = 50)]
    rate: u64,
    #[command(flatten)]
    load: LoadArgs,
    /// CPU that server and rival are pinned to.
    #[arg(long)]
    server_cpu: Option<usize>,
    /// The case with Opus too: the server is built with that feature, and configured as in
    /// `perf/bench-opus.toml`.
    #[arg(long)]
    opus: bool,
    /// Rounds; the medians count.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// Who takes part besides the callers and the server.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Parties {
    /// Where the other party listens: the RTP agent of `perf/bench.toml`.
    #[arg(long, default_value = "127.0.0.1:9102")]
    far: SocketAddrV4,
    /// Where it is called: the SIP agent of `perf/bench.toml`.
    #[arg(long, default_value = "127.0.0.1:9103")]
    far_sip: SocketAddrV4,
    /// The rival's program; nothing to leave it out.
    #[arg(long, default_value = "rtpengine")]
    rtpengine: String,
}

impl Parties {
    /// Whether a rival is measured.
    pub(crate) fn has_rival(&self) -> bool {
        !self.rtpengine.is_empty()
    }
}

/// What every run of a case has in common.
pub(crate) struct Runs<'a> {
    /// Command that starts the server.
    pub(crate) server: &'a str,
    /// The server's SIP address.
    pub(crate) sip: SocketAddrV4,
    /// The others.
    pub(crate) parties: &'a Parties,
    /// Calls placed a second.
    pub(crate) rate: u64,
    /// The load.
    pub(crate) load: &'a LoadArgs,
    /// CPU that server and rival are pinned to.
    pub(crate) server_cpu: Option<usize>,
}

/// One way to relay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// What the rows call it.
    pub(crate) name: &'static str,
    /// User whose route leads to the agent that speaks the far codec.
    to: &'static str,
    sides: Sides,
    /// The agent is called by SIP, and the two legs are joined: packets pass as they come.
    joined: bool,
}

/// One that joins two legs.
const fn joined(name: &'static str, near: Codec, far: Codec, srtp: Option<Suite>) -> Case {
    Case { name, to: "legs", sides: Sides { near, far, srtp }, joined: true }
}

const CASES: &[Case] = &[
    joined("two legs, PCMU to PCMU", Codec::Pcmu, Codec::Pcmu, None),
    joined("two legs, PCMU to PCMA", Codec::Pcmu, Codec::Pcma, None),
    joined("two legs, G722 to PCMU", Codec::G722, Codec::Pcmu, None),
    joined("two legs, PCMU, AES-CM 80", Codec::Pcmu, Codec::Pcmu, Some(Suite::Cm80)),
    joined("two legs, PCMU to Opus", Codec::Pcmu, Codec::Opus, None),
    Case {
        name: "PCMU to PCMU",
        to: "relay",
        sides: Sides { near: Codec::Pcmu, far: Codec::Pcmu, srtp: None },
        joined: false,
    },
    Case {
        name: "PCMU to PCMA",
        to: "relay-pcma",
        sides: Sides { near: Codec::Pcmu, far: Codec::Pcma, srtp: None },
        joined: false,
    },
    Case {
        name: "G722 to PCMU",
        to: "relay",
        sides: Sides { near: Codec::G722, far: Codec::Pcmu, srtp: None },
        joined: false,
    },
    Case {
        name: "PCMU, AES-CM 80, to PCMU",
        to: "relay",
        sides: Sides { near: Codec::Pcmu, far: Codec::Pcmu, srtp: Some(Suite::Cm80) },
        joined: false,
    },
];

/// The cases in which two legs are joined; those with Opus if they can be.
pub(crate) fn joined_cases(opus: bool) -> impl Iterator<Item = &'static Case> {
    CASES.iter().filter(move |case| case.joined && (opus || !case.has_opus()))
}

impl Case {
    const fn has_opus(&self) -> bool {
        matches!(self.sides.far, Codec::Opus)
    }

    /// What comes back from a program that passes packets on is what was sent.
    fn exact(&self) -> bool {
        self.sides.near == Codec::Pcmu && self.sides.far == Codec::Pcmu
    }
}

/// A case with what came of it, medians over the rounds.
#[derive(Clone, Debug, Serialize)]
struct Row {
    name: &'static str,
    /// The server's CPU by packet, in or out, in microseconds.
    server_us: Option<f64>,
    /// rtpengine's.
    rival_us: Option<f64>,
    /// The one by the other.
    ratio: Option<f64>,
    /// That of a bare relay of as many packets, where two legs are joined.
    floor_us: Option<f64>,
    /// The server's by that.
    to_floor: Option<f64>,
    /// From caller to caller, the server's and rtpengine's median in microseconds.
    echo_us: (Option<f64>, Option<f64>),
    /// What 99 of 100 packets took at most.
    echo_p99_us: (Option<f64>, Option<f64>),
    /// The server's runs were without fault; the rival's faults are shown, but are its own.
    clean: bool,
    /// Runs of all that were not quiet: they count only where none was.
    not_quiet: usize,
    /// Runs of all that were not.
    unclean: Vec<LoadReport>,
}

/// Measures and prints.
pub(crate) fn run(args: &Args) -> Result<bool> {
    prepare(args.load.cpu, args.load.nice)?;
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    let Args { server: command, sip, parties, rate, load, server_cpu, .. } = args;
    let (sip, rate, server_cpu) = (*sip, *rate, *server_cpu);
    let runs = Runs { server: command, sip, parties, rate, load, server_cpu };
    let wanted = |case: &&Case| {
        (args.opus || !case.has_opus())
            && args.only.as_ref().is_none_or(|only| case.name.contains(only))
    };
    for case in CASES.iter().filter(wanted) {
        let (mut ours, mut theirs, mut bare) = (Vec::new(), Vec::new(), Vec::new());
        for round in 1..=args.rounds.max(1) {
            eprintln!("{}, round {round}", case.name);
            keep(&mut ours, &mut faults, case, super::repeat(load, || runs.server(case)))?;
            if parties.has_rival() {
                let run = super::repeat(load, || runs.rival(case));
                keep(&mut theirs, &mut faults, case, run)?;
            }
            if case.joined {
                let args = floor::Args::of(Kind::Legs, load, server_cpu);
                let run = super::repeat(load, || floor::once(&args));
                keep(&mut bare, &mut faults, case, run)?;
            }
        }
        rows.push(row(case, &ours, &theirs, &bare));
    }
    report::print(args.load.json, &rows, || table(&rows))?;
    faults.iter().for_each(|fault| eprintln!("{fault}"));
    Ok(faults.is_empty() && rows.iter().all(|row| row.clean))
}

/// Keeps a run; one that a peer made meaningless is told, and the others are made.
fn keep(
    runs: &mut Vec<LoadReport>,
    faults: &mut Vec<String>,
    case: &Case,
    run: Result<LoadReport>,
) -> Result<()> {
    match run {
        Ok(run) => runs.push(run),
        Err(PerfError::Peer(why)) => faults.push(format!("{}: {why}", case.name)),
        Err(error) => return Err(error),
    }
    Ok(())
}

fn row(case: &Case, ours: &[LoadReport], theirs: &[LoadReport], bare: &[LoadReport]) -> Row {
    // A packet comes and goes on either side, so a call has twice the packets of an echo.
    let cpu = |run: &LoadReport| run.cost.server_us_per_packet / 2.0;
    let echo = |run: &LoadReport| run.echo_us.p50;
    let tail = |run: &LoadReport| run.echo_us.p99;
    let runs = || ours.iter().chain(theirs).chain(bare);
    let (server_us, rival_us, floor_us) =
        (median(ours, cpu), median(theirs, cpu), median(bare, cpu));
    let to = |other: Option<f64>| server_us.zip(other).map(|(ours, other)| ours / other);
    Row {
        name: case.name,
        server_us,
        rival_us,
        ratio: to(rival_us),
        floor_us,
        to_floor: to(floor_us),
        echo_us: (median(ours, echo), median(theirs, echo)),
        echo_p99_us: (median(ours, tail), median(theirs, tail)),
        clean: ours.iter().all(LoadReport::clean),
        not_quiet: runs().filter(|run| !run.cost.quiet).count(),
        unclean: runs().filter(|run| !run.clean()).cloned().collect(),
    }
}

impl Runs<'_> {
    /// A case through the server.
    pub(crate) fn server(&self, case: &Case) -> Result<LoadReport> {
        let Parties { far, far_sip, .. } = *self.parties;
        let listening = Far::start(far, self.load.cpu)?;
        let callee = case.joined.then(|| Callee::start(far_sip, far, case.sides.far));
        let callee = callee.transpose()?;
        let server = Server::start(self.server, self.sip, self.server_cpu)?;
        let report = calls::once(&calls::Args {
            sip: self.sip,
            to: case.to.to_owned(),
            rate: self.rate,
            load: self.load.clone(),
            watch: Some(server.pid()),
            server_cpu: self.server_cpu,
            with_agent: None,
            transport: Transport::Udp,
            access: Access::default(),
            codec: case.sides.near,
            srtp: case.sides.srtp,
            // Behind a jitter buffer packets need not come back as they were: they are counted.
            altered: !(case.joined && case.exact()),
            local: Ipv4Addr::LOCALHOST,
        })?;
        drop((server, callee));
        heard(listening, report)
    }

    /// The same through the rival.
    pub(crate) fn rival(&self, case: &Case) -> Result<LoadReport> {
        let (load, far) = (self.load, self.parties.far);
        let listening = Far::start(far, load.cpu)?;
        let mut rival = Rtpengine::start(&self.parties.rtpengine, self.server_cpu)?;
        prepare_server(Some(rival.pid()), self.server_cpu, load.nice)?;
        let meter = Meter::new(Some(rival.pid()));
        let pace = Pace { codec: case.sides.near, exact: case.exact(), ..load.pace() };
        let mut engine = Engine::new(pace, None)?;
        let mut ports = RtpPorts::new(Ipv4Addr::LOCALHOST);
        for id in 0..load.calls as u32 {
            engine.add_udp(ports.pair().map_err(PerfError::io("opening RTP sockets"))?)?;
            let joined = rival.join(id, case.sides, engine.local(id)?, far)?;
            engine.start_udp(id, joined.rtp);
            joined.keying.map_or(Ok(()), |keying| engine.secure(id, keying))?;
        }
        let what = format!("rtpengine, {}", case.name);
        let report = measure(what, load, load.calls, &mut engine, meter, |_| Ok(()))?;
        drop(rival);
        heard(listening, report)
    }
}

/// Both directions count: what came back must have been at the other party.
fn heard(far: Far, report: LoadReport) -> Result<LoadReport> {
    let seen = far.seen();
    drop(far);
    if seen < report.content.returned {
        let returned = report.content.returned;
        return Err(PerfError::Peer(format!("{returned} came back, the other party saw {seen}")));
    }
    Ok(report)
}

fn table(rows: &[Row]) -> String {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
    let times = |(p50, p99): (Option<f64>, Option<f64>)| {
        let number = |value: Option<f64>| number(value.filter(|us| *us > 0.0));
        format!("{} / {}", number(p50), number(p99))
    };
    let mut text = format!(
        "{:<28} {:>10} {:>10} {:>7} {:>7} {:>7} {:>22} {:>22}\n",
        "CPU by relayed packet, µs",
        "server",
        "rtpengine",
        "ratio",
        "floor",
        "ratio",
        "echo p50 / p99 µs",
        "rtpengine's"
    );
    for row in rows {
        let fault = if row.clean { "" } else { "  NOT CLEAN" };
        let noise = match row.not_quiet {
            0 => String::new(),
            count => format!("  {count} not quiet"),
        };
        let ((ours, theirs), (ours_p99, theirs_p99)) = (row.echo_us, row.echo_p99_us);
        let _ = writeln!(
            text,
            "{:<28} {:>10} {:>10} {:>7} {:>7} {:>7} {:>22} {:>22}{noise}{fault}",
            row.name,
            number(row.server_us),
            number(row.rival_us),
            number(row.ratio),
            number(row.floor_us),
            number(row.to_floor),
            times((ours, ours_p99)),
            times((theirs, theirs_p99)),
        );
    }
    for run in rows.iter().flat_map(|row| &row.unclean) {
        let _ = writeln!(text, "\nnot clean:\n{}", run.table());
    }
    text
}
