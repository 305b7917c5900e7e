//! `first`: how soon after the answer an agent that is ready is heard.

use std::net::SocketAddrV4;

use serde::Serialize;

use super::agent::AgentThread;
use super::hosted::Hosted;
use super::{calls, measure, repeat};
use crate::agent::echo::Echo;
use crate::error::Result;
use crate::report::{self, LoadReport, Quantiles, Table};

/// Frames that the agent greets with: what follows is silence.
const GREETING_FRAMES: usize = 50;

/// Arguments of `first`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    hosted: Hosted,
    /// User whose route leads to the agent at `--with-agent`.
    #[arg(long, default_value = "bench")]
    to: String,
    /// Where the agent listens for the server's dial.
    #[arg(long, default_value = "127.0.0.1:9100")]
    with_agent: SocketAddrV4,
    /// The 95th percentile may be so much, in milliseconds.
    #[arg(long, default_value_t = 10.0)]
    limit_ms: f64,
}

/// The result.
#[derive(Serialize)]
struct First {
    /// From the answer's arrival to the first audio's.
    first_audio_us: Quantiles,
    /// All calls came up, each was greeted, and in time.
    holds: bool,
    /// The calls themselves.
    run: LoadReport,
}

/// Measures and prints.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let load = &args.hosted.load;
    let mut tries = Vec::new();
    let run = repeat(load, || {
        let (first, run) = once(args)?;
        tries.push(first);
        Ok(run)
    })?;
    // Of the run that was kept, which need not be the last one.
    let kept = (run.attempts as usize).saturating_sub(1);
    let heard = tries.get(kept).copied().unwrap_or_default();
    let greeted = heard.count == load.calls as u64 && run.up == load.calls;
    let holds = greeted && heard.p95 <= args.limit_ms * 1000.0;
    let first = First { first_audio_us: heard, holds, run };
    report::print(load.json, &first, || {
        let mut table = Table::default();
        let verdict = if first.holds { "holds" } else { "MISSED" };
        table.row("what", &format!("{} calls at {} a second", load.calls, args.hosted.rate));
        table.times("first audio", Some(&first.first_audio_us));
        table.row("bar", &format!("p95 within {} ms: {verdict}", args.limit_ms));
        if let Some(setup) = &first.run.setup {
            table.setup(setup);
        }
        table.noise(&first.run.cost, first.run.attempts);
        table.text
    })?;
    Ok(first.holds)
}

fn once(args: &Args) -> Result<(Quantiles, LoadReport)> {
    let hosted = &args.hosted;
    let server = hosted.start()?;
    let mut echo = Echo::new(None, false);
    echo.greeting = GREETING_FRAMES;
    let agent = AgentThread::serve(args.with_agent, echo, hosted.load.cpu)?;
    let placed = hosted.calls(&server, &args.to);
    let ((first, mut run), setup) = calls::during(&placed, None, |up| {
        let what = format!("sip:{}@{}", args.to, hosted.sip);
        let run = measure(what, &hosted.load, up.count, up.engine, up.meter, up.meanwhile)?;
        Ok((Quantiles::of(&up.engine.first_audio()?), run))
    })?;
    run.setup = Some(setup);
    run.agent = Some(agent.stop()?);
    Ok((first, run))
}
