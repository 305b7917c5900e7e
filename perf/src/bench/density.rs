//! `bench density`: more and more calls until something gives.

use std::path::PathBuf;

use serde::Serialize;

use super::asked::{Asked, Source};
use super::plot::{self, Panel, Shape};
use super::target::Target;
use crate::error::Result;
use crate::report::{self, LoadReport};
use crate::run::{measure, prepare};

/// Between the last number that held and the first that did not, the search stops at this share.
const CLOSE_ENOUGH: usize = 16;

/// Arguments of `density`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    asked: Asked,
    /// Calls of the first step.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    from: u32,
    /// Calls of the last step at most. RTP ports are the limit: two a call of 10,000 to 20,000.
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    most: u32,
    /// Each step has this many per cent more calls than the one before.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(5..=400))]
    grow_pct: u32,
    /// Seconds a step is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    secs: u64,
    /// A step holds if packets leave at most so late against their own clock, at the 99th
    /// percentile, in milliseconds.
    #[arg(long, default_value_t = 20.0)]
    late_ms: f64,
    /// And if at most this share of the packets is lost, in per cent, both ways together, so that
    /// neither way loses more.
    #[arg(long, default_value_t = 0.1)]
    loss_pct: f64,
    /// And if the watched server takes at most this much of a core, in per cent.
    #[arg(long, requires = "watch")]
    cpu_pct: Option<f64>,
    /// If the generator itself is later than this, at the 99th percentile, the step says nothing
    /// about the server; in milliseconds.
    #[arg(long, default_value_t = 5.0)]
    own_late_ms: f64,
    /// Writes plots to this file (.svg or .html).
    #[arg(long)]
    plot: Option<PathBuf>,
}

/// One number of calls.
#[derive(Clone, Debug, Serialize)]
struct Step {
    calls: usize,
    /// What gave; nothing if it held.
    broke: Vec<String>,
    /// The generator was late itself: the step says nothing.
    own_fault: bool,
    loss_pct: f64,
    /// Of it what was lost on the way back, which numbers that are missing show; the rest was lost
    /// on the way there, or in the server. None where packets bear no numbers.
    loss_back_pct: Option<f64>,
    /// Packets a second that each call sent, and that it got back.
    packets_hz: (f64, f64),
    report: LoadReport,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
struct Ramp {
    target: String,
    steps: Vec<Step>,
    /// The most calls that held.
    held: usize,
    /// The fewest calls at which something gave, and what.
    gave: Option<(usize, Vec<String>)>,
    /// Steps whose host was not quiet: they may say more of it than of the server.
    not_quiet: usize,
}

/// Measures, prints and plots.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let asked = &args.asked;
    prepare(asked.cpu, asked.nice)?;
    let source = asked.open()?;
    let target = asked.to_string();
    let mut ramp = Ramp { target, steps: Vec::new(), held: 0, gave: None, not_quiet: 0 };
    let (mut low, mut high, mut next) = (0, None, args.from as usize);
    loop {
        let step = match step(args, &source, next) {
            Ok(step) => step,
            // What was found before is found, whatever became of the server.
            Err(error) if low > 0 => {
                ramp.gave = Some((next, vec![error.to_string()]));
                break;
            }
            Err(error) => return Err(error),
        };
        if !asked.json {
            println!("{}", step.line());
        }
        let held = step.broke.is_empty() && !step.own_fault;
        if held {
            low = low.max(next);
        } else {
            high = Some(next);
            if !step.own_fault {
                ramp.gave = Some((next, step.broke.clone()));
            }
        }
        ramp.not_quiet += usize::from(!step.report.cost.quiet);
        ramp.steps.push(step);
        next = match high {
            None if low >= args.most as usize => break,
            None => (low + (low * args.grow_pct as usize / 100).max(1)).min(args.most as usize),
            Some(high) if high - low <= high / CLOSE_ENOUGH + 1 => break,
            Some(high) => low.midpoint(high),
        };
    }
    ramp.held = low;
    let table = ramp.table();
    report::print(asked.json, &ramp, || table.clone())?;
    if let Some(path) = &args.plot {
        plot::write(path, &format!("Calls to {}", ramp.target), &ramp.panels(), &table)?;
    }
    Ok(low > 0)
}

fn step(args: &Args, source: &Source, count: usize) -> Result<Step> {
    let asked = &args.asked;
    let load = asked.load(source, count, args.secs);
    let (mut report, setup) = asked.during(source, &load, |up| {
        measure(asked.to_string(), &load, up.count, up.engine, up.meter, up.meanwhile)
    })?;
    report.setup = Some(setup);
    Ok(Step::judge(args, count, report))
}

impl Step {
    fn judge(args: &Args, calls: usize, report: LoadReport) -> Self {
        let content = &report.content;
        let share = |part: u64| 100.0 * part as f64 / (content.sent.max(1)) as f64;
        let loss_pct = share(content.lost);
        let numbered =
            matches!(args.asked.target, Target::Sip { .. }) && !args.asked.played.is_wanted();
        let loss_back_pct = numbered.then(|| share(content.lost.min(report.headers.gaps)));
        let mut broke = Vec::new();
        if report.up < calls {
            broke.push(format!("{} calls did not come up", calls - report.up));
        }
        if loss_pct > args.loss_pct {
            let back = loss_back_pct.map(|back| format!(", {back:.2} % on the way back"));
            broke.push(format!("loss {loss_pct:.2} %{}", back.unwrap_or_default()));
        }
        let ended = report.setup.as_ref().map_or(0, |setup| setup.hung_up_by_server);
        if ended > 0 {
            broke.push(format!("{ended} calls were ended"));
        }
        let late_ms = report.egress_lateness_us.p99 / 1e3;
        if late_ms > args.late_ms {
            broke.push(format!("p99 of lateness {late_ms:.1} ms"));
        }
        if let Some(limit) = args.cpu_pct.filter(|limit| report.cost.server_cpu_pct > *limit) {
            broke.push(format!("CPU {:.0} % above {limit} %", report.cost.server_cpu_pct));
        }
        if content.altered + content.foreign > 0 && args.asked.exact() {
            broke.push(format!("{} packets altered or foreign", content.altered + content.foreign));
        }
        let own_fault = report.generator_late_us.p99 > args.own_late_ms * 1e3;
        let each = |packets: u64| packets as f64 / report.up.max(1) as f64 / report.cost.seconds;
        let packets_hz = (each(content.sent), each(content.returned));
        Self { calls, broke, own_fault, loss_pct, loss_back_pct, packets_hz, report }
    }

    fn line(&self) -> String {
        let run = &self.report;
        let verdict = match (self.own_fault, self.broke.is_empty()) {
            (true, _) => "the generator is late itself".to_owned(),
            (false, true) => "holds".to_owned(),
            (false, false) => format!("gives: {}", self.broke.join(", ")),
        };
        let noise = if run.cost.quiet { "" } else { "  (not quiet)" };
        let drops = match run.cost.drops.total() {
            0 => String::new(),
            drops => format!("  kernel drops {drops}"),
        };
        format!(
            "{:>6} calls  CPU {:>5.1} %  {:>6.1} KiB a call  switches {:>6.0}+{:<5.0}/s  packets a \
             call {:.1}/{:.1} Hz  echo p50 {:>6.0} p99 {:>7.0} µs  late p99 {:>7.0} µs  loss {:.3} \
             %{drops}  {verdict}{noise}",
            self.calls,
            run.cost.server_cpu_pct,
            run.cost.kib_per_call,
            run.cost.yields_hz,
            run.cost.preemptions_hz,
            self.packets_hz.0,
            self.packets_hz.1,
            run.echo_us.p50,
            run.echo_us.p99,
            run.egress_lateness_us.p99,
            self.loss_pct
        )
    }
}

impl Ramp {
    fn table(&self) -> String {
        let gave = match &self.gave {
            Some((calls, why)) => format!("at {calls} calls: {}", why.join(", ")),
            None if self.steps.iter().any(|step| step.own_fault) => {
                "not found: the generator was late before the server".to_owned()
            }
            None => "nothing did: the ramp ended".to_owned(),
        };
        let mut table = report::Table::default();
        table.row("held", &format!("{} calls", self.held));
        table.row("gave", &gave);
        if self.not_quiet > 0 {
            table.row("not quiet", &format!("{} of {} steps", self.not_quiet, self.steps.len()));
        }
        table.text
    }

    fn panels(&self) -> Vec<Panel> {
        let mut steps: Vec<&Step> = self.steps.iter().collect();
        steps.sort_by_key(|step| step.calls);
        let panel = |title: &str, y_label, value: fn(&Step) -> f64| Panel {
            title: title.to_owned(),
            x_label: "calls",
            y_label,
            shape: Shape::Line(steps.iter().map(|s| (s.calls as f64, value(s))).collect()),
            marks: vec![(self.held as f64, format!("{} held", self.held))],
        };
        let mut panels = vec![
            panel("Lateness against the stream's own clock, p99", "ms", |step| {
                step.report.egress_lateness_us.p99 / 1e3
            }),
            panel("Echo, p99", "ms", |step| step.report.echo_us.p99 / 1e3),
            panel("Loss", "%", |step| step.loss_pct),
        ];
        if steps.iter().any(|step| step.report.cost.server_cpu_pct > 0.0) {
            panels.push(panel("Server's CPU", "% of a core", |s| s.report.cost.server_cpu_pct));
        }
        panels
    }
}
