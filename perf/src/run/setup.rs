//! `setup`: how fast calls come up, at a rate, and the highest rate that holds.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use serde::Serialize;

use super::calls::Desk;
use super::{prepare, prepare_server};
use crate::error::{PerfError, Result};
use crate::load::engine::times;
use crate::load::meter::{Cost, Meter};
use crate::report::{self, Quantiles, Setup, Table};
use crate::sip::access::Access;
use crate::sip::link::Transport;
use crate::sip::signalling::{Callee, Signalling};
use crate::sip::uac::Event;
use crate::sound::Codec;
use crate::sys::clock::{self, SECOND_NS};
use crate::sys::net;

/// What is due within one tick is sent together, in nanoseconds.
const TICK_NS: u64 = 200_000;

/// Calls that are neither up nor gone after the last one's end plus this are given up.
const PATIENCE_NS: u64 = 33 * SECOND_NS;

/// Sending later than this against the schedule, at the 99th percentile, is the generator's own
/// fault: the trial says nothing about the server.
const OWN_LATENESS_US: f64 = 20_000.0;

/// Arguments of `setup`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The server's SIP address.
    #[arg(long, default_value = "127.0.0.1:5060")]
    sip: SocketAddrV4,
    /// User to call.
    #[arg(long, default_value = "echo")]
    to: String,
    /// Calls a second; with `--search` the rate to begin with.
    #[arg(long, default_value_t = 75)]
    rate: u64,
    /// Length of a trial in seconds.
    #[arg(long, default_value_t = 60)]
    secs: u64,
    /// How long a call stays up, in milliseconds.
    #[arg(long, default_value_t = 100)]
    hold_ms: u64,
    /// Finds the highest rate that holds for `--secs`: doubles in trials of `--probe-secs`, then
    /// halves the interval, then confirms.
    #[arg(long)]
    search: bool,
    /// Length of the search's trials in seconds.
    #[arg(long, default_value_t = 8)]
    probe_secs: u64,
    /// Pause between the search's trials in seconds: a server keeps finished transactions for 32 s
    /// (RFC 3261 17.2), and a trial must not pay for the one before.
    #[arg(long, default_value_t = 33)]
    settle_secs: u64,
    /// A rate holds if every call came up, nothing was sent twice, and the 95th percentile of
    /// INVITE to 200 is below this, in milliseconds.
    #[arg(long, default_value_t = 20.0)]
    limit_ms: f64,
    /// Process whose CPU and memory are read.
    #[arg(long)]
    watch: Option<u32>,
    /// CPU that the watched process is pinned to.
    #[arg(long, requires = "watch")]
    server_cpu: Option<usize>,
    /// CPU that the generator is pinned to.
    #[arg(long)]
    cpu: Option<usize>,
    /// Scheduling priority of this process and the server (negative: before others).
    #[arg(long, allow_negative_numbers = true)]
    nice: Option<i32>,
    /// SIP over this.
    #[arg(long, value_enum, default_value_t)]
    transport: Transport,
    #[command(flatten)]
    access: Access,
    /// Our own address.
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST)]
    local: Ipv4Addr,
    /// Runs that are made again because the host stole more than 3 % of a CPU.
    #[arg(long, default_value_t = 2)]
    retries: u32,
    /// Prints one JSON object a trial instead of a table.
    #[arg(long)]
    json: bool,
}

/// One trial.
#[derive(Clone, Debug, Serialize)]
struct Trial {
    what: String,
    rate_hz: u64,
    setup: Setup,
    /// Our own sending against its schedule.
    generator_late_us: Quantiles,
    cost: Cost,
    attempts: u32,
    holds: bool,
}

impl Trial {
    fn table(&self) -> String {
        let mut table = Table::default();
        let holds = if self.holds { "holds" } else { "DOES NOT HOLD" };
        table.row("what", &format!("{} at {} calls/s: {holds}", self.what, self.rate_hz));
        table.setup(&self.setup);
        table.times("generator late", Some(&self.generator_late_us));
        let cost = &self.cost;
        table.row(
            "server CPU",
            &format!(
                "{:.2} % of a core, {:.0} µs a call  {}",
                cost.server_cpu_pct,
                cost.server_us_per_packet,
                report::threads(cost)
            ),
        );
        table.noise(cost, self.attempts);
        table.text + "\n"
    }
}

/// Measures and prints.
pub(crate) fn run(args: &Args) -> Result<bool> {
    prepare(args.cpu, args.nice)?;
    prepare_server(args.watch, args.server_cpu, args.nice)?;
    let shown = |rate: u64, secs: u64| -> Result<Trial> {
        let trial = repeat(args, rate, secs)?;
        report::print(args.json, &trial, || trial.table())?;
        Ok(trial)
    };
    if !args.search {
        return Ok(shown(args.rate, args.secs)?.holds);
    }
    let settle = || std::thread::sleep(Duration::from_secs(args.settle_secs));
    let (mut low, mut high) = (0, args.rate.max(1));
    while shown(high, args.probe_secs)?.holds {
        (low, high) = (high, high * 2);
        settle();
    }
    while low > 0 && high - low > low / 16 + 1 {
        settle();
        let middle = low.midpoint(high);
        if shown(middle, args.probe_secs)?.holds {
            low = middle;
        } else {
            high = middle;
        }
    }
    settle();
    while low > 0 && !shown(low, args.secs)?.holds {
        low -= low / 16 + 1;
        settle();
    }
    if args.json {
        println!("{}", serde_json::json!({ "highest_rate_hz": low, "secs": args.secs }));
        return Ok(low > 0);
    }
    println!("highest rate that held for {} s: {low} calls/s", args.secs);
    Ok(low > 0)
}

fn repeat(args: &Args, rate: u64, secs: u64) -> Result<Trial> {
    let mut trial = once(args, rate, secs)?;
    for attempt in 2..=args.retries + 1 {
        if trial.cost.quiet || trial.holds {
            break;
        }
        trial = once(args, rate, secs)?;
        trial.attempts = attempt;
    }
    Ok(trial)
}

fn callee(args: &Args) -> Callee {
    Callee {
        server: args.sip,
        user: args.to.clone(),
        transport: args.transport,
        local: SocketAddrV4::new(args.local, 0),
        ptime_ms: 20,
        codec: Codec::Pcmu,
        srtp: None,
        access: args.access.clone(),
    }
}

fn once(args: &Args, rate: u64, secs: u64) -> Result<Trial> {
    let mut meter = Meter::new(args.watch);
    let mut signalling = Signalling::open(&callee(args))?;
    // All calls name one pair of ports: nothing is said in so short a call, but each ends with an
    // RTCP goodbye, and one that is not read would count as a packet that the kernel dropped.
    let (audio, reports) =
        net::RtpPorts::new(args.local).pair().map_err(PerfError::io("opening RTP sockets"))?;
    let rtp = net::local(&audio)?;
    let mut scratch = [0; 2048];
    let mut desk = Desk::new()?;
    let mut late = times()?;
    let mut hang_ups = std::collections::VecDeque::new();
    let total = u32::try_from(rate * secs).unwrap_or(u32::MAX);
    let hold_ns = args.hold_ms * 1_000_000;
    let start = clock::mono_ns() + TICK_NS;
    let end = start + secs * SECOND_NS;
    let mut placed = 0u32;
    meter.open();
    let mut closed = false;
    while placed < total || desk.pending() > 0 {
        clock::sleep_until((clock::mono_ns() / TICK_NS + 1) * TICK_NS);
        loop {
            let due = start + u64::from(placed) * SECOND_NS / rate.max(1);
            let now = clock::mono_ns();
            if placed >= total || now < due {
                break;
            }
            late.saturating_record(now - due);
            desk.placed();
            signalling.invite(placed, rtp)?;
            placed += 1;
        }
        let now = clock::mono_ns();
        signalling.pump(|event| {
            desk.book(event);
            if let Event::Answered { call, .. } = event {
                hang_ups.push_back((now + hold_ns, call));
            }
        })?;
        while let Some((_, call)) = hang_ups.pop_front_if(|(due, _)| now >= *due) {
            desk.hanging_up();
            signalling.hang_up(call)?;
        }
        for socket in [&audio, &reports] {
            while net::receive(socket, &mut scratch).is_ok() {}
        }
        if !closed && now >= end {
            closed = true;
            meter.close();
        }
        if now > end + hold_ns + PATIENCE_NS {
            break;
        }
    }
    if !closed {
        meter.close();
    }
    let cost = meter.cost(1, u64::from(total));
    let (answered, failures) = (desk.answered(), desk.failures());
    let setup = desk.result(&signalling);
    let generator_late_us = Quantiles::of(&late);
    let holds = answered == u64::from(total)
        && failures == 0
        && setup.bye_unanswered == 0
        && setup.messages.retransmitted == 0
        && cost.drops.total() == 0
        && generator_late_us.p99 <= OWN_LATENESS_US
        && setup.invite_to_200_us.p95 <= args.limit_ms * 1000.0;
    let what = format!("sip:{}@{}", args.to, args.sip);
    Ok(Trial { what, rate_hz: rate, setup, generator_late_us, cost, attempts: 1, holds })
}
