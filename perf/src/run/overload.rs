//! `overload`: more calls than a server can carry, offered without a pause: whom it takes, how it
//! refuses the others, and what becomes of those that it took.

use std::net::{Ipv4Addr, SocketAddrV4};

use serde::Serialize;

use super::server::Server;
use super::{prepare, prepare_server};
use crate::error::{PerfError, Result};
use crate::load::engine::{Engine, Pace};
use crate::load::meter::{Cost, Meter};
use crate::report::{self, Quantiles, Table};
use crate::rtp::SAMPLES_MS;
use crate::sip::access::Access;
use crate::sip::link::Transport;
use crate::sip::signalling::{Callee, Signalling};
use crate::sip::uac::{Event, Failure};
use crate::sound::Codec;
use crate::sys::clock::{self, SECOND_NS};
use crate::sys::net::RtpPorts;

/// The signalling socket is looked at this often, in nanoseconds.
const SIGNALLING_NS: u64 = 1_000_000;
/// Calls that are not up after this long are given up, in nanoseconds.
const PATIENCE_NS: u64 = 5 * SECOND_NS;
/// How long calls are listened to once the window is closed, in nanoseconds.
const DRAIN_NS: u64 = SECOND_NS / 2;
/// How late 99 % of a call's packets may be (design bar), in milliseconds.
const LATE_MAX_MS: f64 = 20.0;
/// The generator itself may be this late, in milliseconds.
const OWN_LATE_MAX_MS: f64 = 5.0;
/// Until calls are taken again after others have ended, in milliseconds.
const RECOVERY_MAX_MS: f64 = 2_000.0;
/// How long is waited for that, in nanoseconds.
const RECOVERY_WAIT_NS: u64 = 10 * SECOND_NS;
/// What has a Talkpath refuse calls that it would be late with, as it does by default.
const REFUSES: (&str, &str) = ("TALKPATH_LIMITS_MAX_LATENESS_MS", "10");
/// Of the calls that were taken one in so many ends, to make room.
const ENDS_ONE_IN: usize = 3;

/// Arguments of `overload`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Command that starts the server. Its routes must be those of `perf/bench.toml`.
    #[arg(long)]
    server: String,
    /// The server's SIP address.
    #[arg(long, default_value = "127.0.0.1:5060")]
    sip: SocketAddrV4,
    /// User to call: the tone costs the server a frame of coding each 20 ms, and us none.
    #[arg(long, default_value = "tone")]
    to: String,
    /// Codec of the calls.
    #[arg(long, value_enum, default_value_t = Codec::G722)]
    codec: Codec,
    /// Calls offered a second.
    #[arg(long, default_value_t = 50)]
    rate: u64,
    /// Calls offered at most. It ends before if as many were refused as taken.
    #[arg(long, default_value_t = 2_000)]
    most: u32,
    /// Seconds that the calls that were taken talk on, while others are offered.
    #[arg(long, default_value_t = 10)]
    secs: u64,
    /// CPU that the generator is pinned to.
    #[arg(long)]
    cpu: Option<usize>,
    /// CPU that the server is pinned to.
    #[arg(long)]
    server_cpu: Option<usize>,
    /// Scheduling priority of generator and server (negative: before others).
    #[arg(long, allow_negative_numbers = true)]
    nice: Option<i32>,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// The result.
#[derive(Clone, Debug, Default, Serialize)]
struct Report {
    offered: u32,
    taken: usize,
    /// With 503.
    refused: usize,
    /// Of these, without Retry-After.
    without_retry_after: u64,
    /// Neither taken nor refused so.
    failed: usize,
    /// Ended by the server.
    hung_up: usize,
    /// Calls that were taken and of which nothing was heard.
    starved: usize,
    /// Calls that were up when the first one was refused.
    full_at: usize,
    /// Arrivals against each call's own clock.
    lateness_us: Quantiles,
    /// The same of the call that fared worst, 99 %.
    worst_call_p99_ms: f64,
    /// Our own sending against its schedule.
    generator_late_us: Quantiles,
    /// From the end of a third of the calls until another was taken.
    recovery_ms: Option<f64>,
    cost: Option<Cost>,
}

/// A run.
struct Run<'a> {
    args: &'a Args,
    engine: Engine,
    signalling: Signalling,
    report: Report,
    /// Calls that are up.
    up: Vec<u32>,
    next_look_ns: u64,
    begun_ns: u64,
}

impl Run<'_> {
    /// Goes on for one step, and offers a call if it is time to.
    fn step(&mut self, offers: bool) -> Result<()> {
        let now = clock::mono_ns();
        let gap_ns = SECOND_NS / self.args.rate.max(1);
        let due = now >= self.begun_ns + u64::from(self.report.offered) * gap_ns;
        if offers && due && self.report.offered < self.args.most {
            let call = self.report.offered;
            self.report.offered += 1;
            self.signalling.invite(call, self.engine.local(call)?)?;
        }
        self.engine.step()?;
        if now >= self.next_look_ns {
            self.next_look_ns = now + SIGNALLING_NS;
            self.look()?;
        }
        Ok(())
    }

    fn look(&mut self) -> Result<()> {
        let Self { signalling, engine, report, up, .. } = self;
        signalling.pump(|event| match event {
            Event::Answered { call, rtp, .. } => {
                report.taken += 1;
                up.push(call);
                engine.start_udp(call, rtp);
            }
            Event::Failed { why: Failure::Status(503), .. } => {
                if report.refused == 0 {
                    report.full_at = up.len();
                }
                report.refused += 1;
            }
            Event::Failed { .. } => report.failed += 1,
            Event::HungUp { call } => {
                report.hung_up += 1;
                up.retain(|other| *other != call);
                engine.stop(call);
            }
            Event::Ended { call, .. } => engine.stop(call),
        })
    }

    /// Offers calls until as many were refused as taken, and goes on for the time that was asked
    /// for.
    fn overload(&mut self) -> Result<()> {
        self.begun_ns = clock::mono_ns();
        while self.report.offered < self.args.most
            && (self.report.refused == 0 || self.report.refused < self.report.taken)
        {
            self.step(true)?;
        }
        let end = clock::mono_ns() + self.args.secs * SECOND_NS;
        // What is left is offered all the same, but for what shows that calls are taken again.
        let keep = u32::try_from(self.args.rate * 2).unwrap_or(u32::MAX);
        while clock::mono_ns() < end {
            let left = self.args.most - self.report.offered;
            self.step(left > keep)?;
        }
        Ok(())
    }

    /// Ends some of the calls, and offers others until one is taken.
    fn recover(&mut self) -> Result<()> {
        let ends = self.up.len().div_ceil(ENDS_ONE_IN);
        let ending: Vec<u32> = self.up.drain(..ends).collect();
        for call in ending {
            self.engine.stop(call);
            self.signalling.hang_up(call)?;
            self.step(false)?;
        }
        let (freed, taken) = (clock::mono_ns(), self.report.taken);
        // The schedule begins anew.
        let gap_ns = SECOND_NS / self.args.rate.max(1);
        self.begun_ns = freed.saturating_sub(u64::from(self.report.offered) * gap_ns);
        while self.report.taken == taken && clock::mono_ns() < freed + RECOVERY_WAIT_NS {
            self.step(true)?;
        }
        if self.report.taken > taken {
            let after_ns = clock::mono_ns() - freed;
            self.report.recovery_ms = Some(after_ns as f64 / 1e6);
        }
        Ok(())
    }

    fn hang_up(&mut self) -> Result<()> {
        for call in std::mem::take(&mut self.up) {
            self.engine.stop(call);
            self.signalling.hang_up(call)?;
            self.step(false)?;
        }
        let end = clock::mono_ns() + PATIENCE_NS / 5;
        while clock::mono_ns() < end {
            self.step(false)?;
        }
        Ok(())
    }
}

/// Measures and prints.
pub(crate) fn run(args: &Args) -> Result<bool> {
    prepare(args.cpu, args.nice)?;
    let server = Server::start_with(&args.server, args.sip, args.server_cpu, &[REFUSES])?;
    prepare_server(Some(server.pid()), args.server_cpu, args.nice)?;
    let callee = Callee {
        server: args.sip,
        user: args.to.clone(),
        transport: Transport::Udp,
        local: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0),
        ptime_ms: 20,
        codec: args.codec,
        srtp: None,
        access: Access::default(),
    };
    let pace =
        Pace { ptime_ms: 20, bytes_ms: SAMPLES_MS, tick_us: 100, codec: args.codec, exact: false };
    let mut engine = Engine::new(pace, None)?;
    let mut ports = RtpPorts::new(Ipv4Addr::LOCALHOST);
    for _ in 0..args.most {
        engine.add_udp(ports.pair().map_err(PerfError::io("opening RTP sockets"))?)?;
    }
    let mut run = Run {
        args,
        engine,
        signalling: Signalling::open(&callee)?,
        report: Report::default(),
        up: Vec::new(),
        next_look_ns: 0,
        begun_ns: 0,
    };
    let mut meter = Meter::new(Some(server.pid()));
    meter.open();
    run.engine.set_window(true);
    run.overload()?;
    run.engine.set_window(false);
    meter.close();
    // Of a call that was taken last something is to be heard, too.
    let end = clock::mono_ns() + DRAIN_NS;
    while clock::mono_ns() < end {
        run.step(false)?;
    }
    let heard = run.engine.finish()?;
    run.recover()?;
    run.hang_up()?;
    let mut report = run.report;
    report.without_retry_after = run.signalling.uac.counters.without_retry_after;
    report.starved = heard.starved;
    report.lateness_us = Quantiles::of(&heard.lateness);
    report.worst_call_p99_ms = heard.worst_late_ns as f64 / 1e6;
    report.generator_late_us = Quantiles::of(&heard.generator_late);
    report.cost = Some(meter.cost(report.taken, heard.tally.sent));
    report::print(args.json, &report, || report.table())?;
    Ok(report.faults().is_empty())
}

impl Report {
    /// What is not as it should be.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |is: bool, what: String| {
            if is {
                faults.push(what);
            }
        };
        fault(self.refused == 0, "no call was refused: offer more (--most, --rate)".into());
        fault(self.failed > 0, format!("{} calls failed otherwise than by 503", self.failed));
        fault(self.hung_up > 0, format!("{} calls were hung up", self.hung_up));
        fault(self.starved > 0, format!("nothing was heard of {} calls", self.starved));
        // One of those that were taken came after the others had ended.
        let is_short = self.refused > 0 && self.refused + 1 < self.taken;
        fault(is_short, "less than twice what it takes was offered: offer more (--most)".into());
        let bare = self.without_retry_after;
        fault(bare > 0, format!("{bare} refusals without Retry-After"));
        let own_ms = self.generator_late_us.p99 / 1e3;
        fault(own_ms > OWN_LATE_MAX_MS, format!("the generator was {own_ms:.1} ms late itself"));
        let worst = self.worst_call_p99_ms;
        fault(worst > LATE_MAX_MS, format!("p99 of a call is {worst:.1} ms late"));
        let recovers = self.recovery_ms.is_some_and(|ms| ms <= RECOVERY_MAX_MS);
        fault(!recovers, format!("taken again after {:?} ms", self.recovery_ms));
        faults
    }

    fn table(&self) -> String {
        let mut table = Table::default();
        let Self { offered, taken, refused, failed, hung_up, full_at, .. } = self;
        table.row(
            "calls",
            &format!(
                "{offered} offered, {taken} taken, {refused} refused, {failed} failed, {} not heard",
                self.starved
            ),
        );
        table.row("full", &format!("at {full_at} calls; {hung_up} hung up by the server"));
        table.times("lateness", Some(&self.lateness_us));
        table.row("worst call", &format!("p99 {:.2} ms late", self.worst_call_p99_ms));
        table.times("generator late", Some(&self.generator_late_us));
        let recovery = self.recovery_ms.map_or("never".into(), |ms| format!("{ms:.0} ms"));
        table.row("taken again after", &recovery);
        if let Some(cost) = &self.cost {
            table.per_call(cost);
            table.noise(cost, 1);
        }
        let faults = self.faults();
        table.row("verdict", &if faults.is_empty() { "clean".into() } else { faults.join("; ") });
        table.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each fault is told, and a run without one is clean.
    #[test]
    fn faults_are_told() {
        let clean = Report {
            offered: 900,
            taken: 450,
            refused: 450,
            full_at: 440,
            worst_call_p99_ms: 3.0,
            recovery_ms: Some(120.0),
            ..Report::default()
        };
        assert_eq!(clean.faults(), Vec::<String>::new());
        assert!(clean.table().contains("clean"));
        let faulty = Report {
            refused: 0,
            failed: 1,
            hung_up: 1,
            without_retry_after: 1,
            worst_call_p99_ms: 21.0,
            generator_late_us: Quantiles { p99: 6_000.0, ..Quantiles::default() },
            recovery_ms: None,
            ..clean
        };
        assert_eq!(faulty.faults().len(), 7);
    }
}
