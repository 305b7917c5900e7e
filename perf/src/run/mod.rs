//! The measurements, one a file.

pub(crate) mod agent;
pub(crate) mod barge;
pub(crate) mod calls;
pub(crate) mod compare;
pub(crate) mod first;
pub(crate) mod floor;
pub(crate) mod folder;
pub(crate) mod hosted;
pub(crate) mod line;
pub(crate) mod media;
pub(crate) mod overload;
pub(crate) mod playout;
pub(crate) mod relay;
pub(crate) mod rivals;
pub(crate) mod rows;
pub(crate) mod server;
pub(crate) mod setup;

use std::path::PathBuf;

use crate::error::Result;
use crate::load::engine::{Engine, Pace};
use crate::load::flame::Recorder;
use crate::load::meter::Meter;
use crate::load::neighbour::Neighbour;
use crate::report::LoadReport;
use crate::rtp::SAMPLES_MS;
use crate::sound::Codec;
use crate::sys::clock::{self, SECOND_NS};
use crate::sys::sched;

/// Packets under way when sending ends are waited for so long, in nanoseconds.
const DRAIN_NS: u64 = 500_000_000;

/// Arguments of every run of the media generator.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LoadArgs {
    /// Concurrent calls.
    #[arg(long, default_value_t = 500)]
    pub(crate) calls: usize,
    /// Length of the window that is measured, in seconds.
    #[arg(long, default_value_t = 10)]
    pub(crate) secs: u64,
    /// Seconds of traffic before the window.
    #[arg(long, default_value_t = 2)]
    pub(crate) warm: u64,
    /// Milliseconds of audio a packet.
    #[arg(long, default_value_t = 20)]
    pub(crate) ptime: u32,
    /// What is due within one tick is sent together, in microseconds.
    #[arg(long, default_value_t = 100)]
    pub(crate) tick_us: u64,
    /// CPU that the generator (and an agent in it) is pinned to.
    #[arg(long)]
    pub(crate) cpu: Option<usize>,
    /// Scheduling priority of generator, agent, floors and server (negative: before others), so
    /// that other processes disturb less.
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) nice: Option<i32>,
    /// A process that does nothing but burn this CPU is there meanwhile.
    #[arg(long, value_name = "CPU")]
    pub(crate) neighbour: Option<usize>,
    /// Samples the server's stacks in the window by `perf record`, which costs time of its own, and
    /// draws them to this file (.svg).
    #[arg(long, value_name = "FILE")]
    pub(crate) flame: Option<PathBuf>,
    /// Runs that are made again because the host stole more than 3 % of a CPU, or other
    /// processes took theirs.
    #[arg(long, default_value_t = 2)]
    pub(crate) retries: u32,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

impl LoadArgs {
    /// The generator's settings.
    pub(crate) fn pace(&self) -> Pace {
        Pace {
            ptime_ms: self.ptime,
            bytes_ms: SAMPLES_MS,
            tick_us: self.tick_us,
            codec: Codec::Pcmu,
            exact: true,
        }
    }
}

/// Pins and prepares the calling thread as the generator.
pub(crate) fn prepare(cpu: Option<usize>, nice: Option<i32>) -> Result<()> {
    sched::raise_descriptor_limit();
    sched::low_timer_slack();
    nice.map_or(Ok(()), |nice| sched::set_nice(0, nice))?;
    cpu.map_or(Ok(()), |cpu| sched::pin(0, cpu))
}

/// Pins and prioritises the process under test.
pub(crate) fn prepare_server(
    pid: Option<u32>,
    cpu: Option<usize>,
    nice: Option<i32>,
) -> Result<()> {
    let Some(pid) = pid else { return Ok(()) };
    nice.map_or(Ok(()), |nice| sched::set_nice(pid, nice))?;
    cpu.map_or(Ok(()), |cpu| sched::pin_process(pid, cpu))
}

/// Runs until the host was quiet, or the retries are used up; returns the quietest run.
pub(crate) fn repeat(
    load: &LoadArgs,
    mut once: impl FnMut() -> Result<LoadReport>,
) -> Result<LoadReport> {
    prepare(load.cpu, load.nice)?;
    let mut best = once()?;
    for attempt in 2..=load.retries + 1 {
        if best.cost.quiet {
            break;
        }
        let mut next = once()?;
        next.attempts = attempt;
        // Others may have been at work while the host stole nothing.
        if next.cost.quiet || noise_pct(&next) <= noise_pct(&best) {
            best = next;
        }
    }
    Ok(best)
}

/// What was taken from a run: by the host, from its worst CPU, and by other processes.
fn noise_pct(run: &LoadReport) -> f64 {
    run.cost.host.worst_steal_pct() + run.cost.others_pct
}

/// Calls that are up.
pub(crate) struct Up<'u> {
    /// What speaks and hears on them.
    pub(crate) engine: &'u mut Engine,
    /// Its first reading was taken before the first of them.
    pub(crate) meter: Meter,
    /// How many there are.
    pub(crate) count: usize,
    /// To be called with the engine every step.
    pub(crate) meanwhile: &'u mut dyn FnMut(&mut Engine) -> Result<()>,
}

/// Warm-up, window, drain. `meanwhile` is called every step.
pub(crate) fn measure(
    what: String,
    load: &LoadArgs,
    up: usize,
    engine: &mut Engine,
    mut meter: Meter,
    mut meanwhile: impl FnMut(&mut Engine) -> Result<()>,
) -> Result<LoadReport> {
    let neighbour = load.neighbour.map(Neighbour::start).transpose()?;
    if let Some(neighbour) = &neighbour {
        meter.beside(neighbour.pid());
    }
    let mut run = |engine: &mut Engine, for_ns: u64| -> Result<()> {
        let end = clock::mono_ns() + for_ns;
        while clock::mono_ns() < end {
            engine.step()?;
            meanwhile(engine)?;
        }
        Ok(())
    };
    run(engine, load.warm * SECOND_NS)?;
    let watched = load.flame.as_ref().and(meter.pid());
    let recorder = watched.map(|pid| Recorder::start(pid, load.secs)).transpose()?;
    meter.open();
    engine.set_window(true);
    run(engine, load.secs * SECOND_NS)?;
    meter.close();
    engine.set_window(false);
    engine.stop_sending();
    run(engine, DRAIN_NS)?;
    let packets = up as u64 * load.secs * 1000 / u64::from(load.ptime.max(1));
    let cost = meter.cost(up, packets);
    if let (Some(recorder), Some(path)) = (recorder, &load.flame) {
        recorder.draw(&format!("{what}, {up} calls"), path)?;
    }
    let heard = engine.finish()?;
    let mut report = LoadReport::new(what, load.calls, load.ptime, heard, cost);
    report.up = up;
    Ok(report)
}
