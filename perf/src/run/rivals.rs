//! `rivals`: programs that take a carrier's media sockets and say back what they hear, beside an
//! echo that does nothing else, and the server, in one run.

use std::fmt::Write as _;
use std::net::SocketAddrV4;

use serde::Serialize;

use super::folder::Folder;
use super::server::Server;
use super::{LoadArgs, measure, prepare, prepare_server, repeat};
use crate::bench::lines::Lines;
use crate::bench::target::Target;
use crate::error::{PerfError, Result};
use crate::floor::child::Floor;
use crate::floor::serve::Kind;
use crate::line::emulated::Carrier;
use crate::line::key::Key;
use crate::line::talk::Dialect;
use crate::load::meter::Meter;
use crate::report::{self, LoadReport};
use crate::rival::listener::Program;

/// The carrier whose media sockets all of them take.
const CARRIER: &str = "twilio";

/// The rival that everybody has.
const PIPECAT: &str = "pipecat=target/peers/bin/python examples/pipecat_echo.py {port}";

/// Arguments of `rivals`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Command that starts the server; it is started anew for each measurement, with its data in a
    /// folder of its own and HTTP on a free port.
    #[arg(long)]
    server: String,
    /// Name of the server's built-in echo.
    #[arg(long, default_value = "echo")]
    agent: String,
    /// Program that waits for media sockets at a port and says back what it hears, as
    /// NAME=COMMAND with {port} in it; may be given again and again.
    #[arg(long = "rival", value_name = "NAME=COMMAND", default_values = [PIPECAT])]
    rivals: Vec<Program>,
    /// Calls that the echo and the server are measured with besides.
    #[arg(long, default_value_t = 300)]
    many: usize,
    /// Calls placed a second.
    #[arg(long, default_value_t = 20)]
    rate: u64,
    #[command(flatten)]
    load: LoadArgs,
    /// CPU that all of them are pinned to.
    #[arg(long)]
    server_cpu: Option<usize>,
}

/// One program with one number of calls.
#[derive(Clone, Debug, Serialize)]
struct Row {
    name: String,
    calls: usize,
    /// Per cent of a core that a call takes.
    cpu_pct_per_call: f64,
    /// The program's CPU by call, as a multiple of the bare echo's with as many calls.
    times_echo: Option<f64>,
    report: LoadReport,
}

/// Measures and prints.
pub(crate) fn run(args: &Args) -> Result<bool> {
    prepare(args.load.cpu, args.load.nice)?;
    let mut rows = Vec::new();
    for (calls, rivals) in [(args.load.calls, true), (args.many, false)] {
        let load = LoadArgs { calls, ..args.load.clone() };
        let mut push = |name: &str, once: &mut dyn FnMut() -> Result<LoadReport>| -> Result<()> {
            eprintln!("{name}, {calls} calls");
            rows.push(Row::new(name, repeat(&load, once)?));
            Ok(())
        };
        push("bare echo", &mut || echo(args, &load))?;
        for rival in args.rivals.iter().filter(|_| rivals) {
            push(&rival.name, &mut || of_rival(args, rival, &load))?;
        }
        push("server", &mut || of_server(args, &load))?;
    }
    let echoes: Vec<_> = rows.iter().filter(|row| row.name == "bare echo").cloned().collect();
    for row in &mut rows {
        let echo = echoes.iter().find(|echo| echo.calls == row.calls);
        let least = echo.map(|echo| echo.cpu_pct_per_call).filter(|pct| *pct > 0.0);
        row.times_echo = least.map(|least| row.cpu_pct_per_call / least);
    }
    report::print(args.load.json, &rows, || table(&rows))?;
    // Rivals need not be without fault.
    let ours = rows.iter().filter(|row| matches!(row.name.as_str(), "server" | "bare echo"));
    Ok(ours.map(|row| &row.report).all(LoadReport::clean))
}

impl Row {
    fn new(name: &str, report: LoadReport) -> Self {
        let (calls, up) = (report.calls, report.up.max(1) as f64);
        let cpu_pct_per_call = report.cost.server_cpu_pct / up;
        Self { name: name.to_owned(), calls, cpu_pct_per_call, times_echo: None, report }
    }
}

fn echo(args: &Args, load: &LoadArgs) -> Result<LoadReport> {
    let floor = Floor::start(Kind::Ws, args.server_cpu, &[], None)?;
    let at = floor.ports.first().copied();
    let at = at.ok_or_else(|| PerfError::Peer("no port".into()))?;
    calls("bare echo", (floor.pid(), args), load, &bare(at))
}

fn of_rival(args: &Args, rival: &Program, load: &LoadArgs) -> Result<LoadReport> {
    let listener = rival.start(args.server_cpu)?;
    calls(&rival.name, (listener.pid(), args), load, &bare(listener.at))
}

fn of_server(args: &Args, load: &LoadArgs) -> Result<LoadReport> {
    // Dropped last, once the server has ended.
    let folder = Folder::make()?;
    let (server, told) = Server::start_in(folder.path(), &args.server, args.server_cpu)?;
    let key: Key = told.key.parse().unwrap_or_else(|never| match never {});
    let carrier = Carrier::set_up(CARRIER, told.http, &key, &args.agent)?;
    let lines = Lines::Carrier(Box::new(carrier));
    calls("server", (server.pid(), args), load, &lines)
}

/// Media sockets without anything before them.
fn bare(at: SocketAddrV4) -> Lines {
    Lines::Bare(Target::Media { server: at, path: "/".to_owned() }, Dialect::Streams)
}

/// One run.
fn calls(
    what: &str,
    (pid, args): (u32, &Args),
    load: &LoadArgs,
    lines: &Lines,
) -> Result<LoadReport> {
    prepare_server(Some(pid), args.server_cpu, load.nice)?;
    let meter = Meter::new(Some(pid));
    let (mut report, setup) = lines.during((load.calls, args.rate), load.pace(), meter, |up| {
        measure(what.to_owned(), load, up.count, up.engine, up.meter, up.meanwhile)
    })?;
    report.setup = Some(setup);
    Ok(report)
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<12} {:>6} {:>12} {:>8} {:>10} {:>10} {:>10} {:>10} {:>9}  \n",
        "", "calls", "CPU %/call", "× echo", "echo p50", "p99", "p99.9 µs", "KiB/call", "lost"
    );
    for row in rows {
        let run = &row.report;
        let fault = if run.clean() { "" } else { "NOT CLEAN" };
        let noise = if run.cost.quiet { "" } else { "not quiet" };
        let times = row.times_echo.map_or("-".to_owned(), |times| format!("{times:.1}"));
        let _ = writeln!(
            text,
            "{:<12} {:>6} {:>12.4} {:>8} {:>10.0} {:>10.0} {:>10.0} {:>10.1} {:>9}  {fault} {noise}",
            row.name,
            row.calls,
            row.cpu_pct_per_call,
            times,
            run.echo_us.p50,
            run.echo_us.p99,
            run.echo_us.p999,
            run.cost.kib_per_call,
            run.content.lost
        );
    }
    for row in rows.iter().filter(|row| !row.report.clean()) {
        let _ = writeln!(text, "\nnot clean:\n{}", row.report.table());
    }
    text
}
