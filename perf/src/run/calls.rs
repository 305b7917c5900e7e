//! `calls`: concurrent SIP calls with verifiable audio.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use super::agent::AgentThread;
use super::{LoadArgs, Up, measure, prepare_server, repeat};
use crate::error::{PerfError, Result};
use crate::load::engine::{Engine, Pace, Times, times};
use crate::load::meter::Meter;
use crate::load::stamps::Stamps;
use crate::report::{self, LoadReport, Quantiles, Setup};
use crate::sip::access::Access;
use crate::sip::link::Transport;
use crate::sip::signalling::{Callee, Signalling};
use crate::sip::uac::Event;
use crate::sound::Codec;
use crate::srtp::Suite;
use crate::sys::clock::{self, SECOND_NS};
use crate::sys::net::RtpPorts;

/// The signalling socket is looked at this often, in nanoseconds; arrivals are stamped anyway.
const SIGNALLING_NS: u64 = 1_000_000;

/// Calls that are not up or gone after this long are given up, in nanoseconds.
const PATIENCE_NS: u64 = 35 * SECOND_NS;

/// Hang-ups a second at least.
const HANGUPS_HZ: u64 = 200;

/// Arguments of `calls`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The server's SIP address.
    #[arg(long, default_value = "127.0.0.1:5060")]
    pub(crate) sip: SocketAddrV4,
    /// User to call.
    #[arg(long, default_value = "echo")]
    pub(crate) to: String,
    /// Calls placed a second.
    #[arg(long, default_value_t = 50)]
    pub(crate) rate: u64,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    /// Process whose CPU and memory are read.
    #[arg(long)]
    pub(crate) watch: Option<u32>,
    /// CPU that the watched process is pinned to.
    #[arg(long, requires = "watch")]
    pub(crate) server_cpu: Option<usize>,
    /// Serves an echo agent here, for the server to dial: splits the way to it from the way back.
    #[arg(long)]
    pub(crate) with_agent: Option<SocketAddrV4>,
    /// SIP over this.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) transport: Transport,
    /// Who calls, and whom TLS trusts.
    #[command(flatten)]
    pub(crate) access: Access,
    /// Codec of the calls.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) codec: Codec,
    /// Secures the calls by SRTP with this suite, keys by SDES.
    #[arg(long, value_enum)]
    pub(crate) srtp: Option<Suite>,
    /// A codec on the way alters the audio: it is counted, not compared.
    #[arg(long)]
    pub(crate) altered: bool,
    /// Our own address.
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST)]
    pub(crate) local: Ipv4Addr,
}

/// Measures and prints.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let report = repeat(&args.load, || once(args))?;
    report::print(args.load.json, &report, || report.table())?;
    Ok(report.clean())
}

/// An echo agent that is served while something else is measured.
pub(crate) fn agent(address: SocketAddrV4, cpu: Option<usize>) -> Result<AgentThread> {
    AgentThread::start(address, None, cpu)
}

/// Ends it.
pub(crate) fn stop(agent: AgentThread) -> Result<crate::agent::echo::Seen> {
    agent.stop()
}

/// Books of the signalling.
pub(crate) struct Desk {
    setup: Setup,
    invite: Times,
    bye: Times,
    /// Calls that are up.
    pub(crate) up: usize,
    ended: usize,
    hanging_up: bool,
}

impl Desk {
    /// Empty books.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            setup: Setup { failed: BTreeMap::new(), ..Setup::default() },
            invite: times()?,
            bye: times()?,
            up: 0,
            ended: 0,
            hanging_up: false,
        })
    }

    /// A call was placed.
    pub(crate) fn placed(&mut self) {
        self.setup.placed += 1;
    }

    /// Calls that were placed and neither failed nor ended yet.
    pub(crate) fn pending(&self) -> usize {
        (self.setup.placed as usize).saturating_sub(self.ended)
    }

    /// Calls answered so far.
    pub(crate) fn answered(&self) -> u64 {
        self.setup.answered
    }

    /// Calls that did not come up so far.
    pub(crate) fn failures(&self) -> u64 {
        self.setup.failed.values().sum()
    }

    /// From now on the server's BYEs are no fault.
    pub(crate) fn hanging_up(&mut self) {
        self.hanging_up = true;
    }

    /// Books an event.
    pub(crate) fn book(&mut self, event: Event) {
        match event {
            Event::Answered { setup_ns, .. } => {
                self.setup.answered += 1;
                self.up += 1;
                self.invite.saturating_record(setup_ns);
            }
            Event::Failed { why, .. } => {
                *self.setup.failed.entry(why.to_string()).or_default() += 1;
                self.ended += 1;
            }
            Event::HungUp { .. } => {
                self.up = self.up.saturating_sub(1);
                self.ended += 1;
                self.setup.hung_up_by_server += u64::from(!self.hanging_up);
            }
            Event::Ended { bye_ns, .. } => {
                self.up = self.up.saturating_sub(1);
                self.ended += 1;
                match bye_ns {
                    Some(ns) => self.bye.saturating_record(ns),
                    None => self.setup.bye_unanswered += 1,
                }
            }
        }
    }

    /// The result.
    pub(crate) fn result(mut self, signalling: &Signalling) -> Setup {
        self.setup.invite_to_200_us = Quantiles::of(&self.invite);
        self.setup.bye_to_200_us = Quantiles::of(&self.bye);
        self.setup.messages = signalling.uac.counters.clone();
        self.setup
    }
}

/// Whom to call according to the arguments.
fn callee(args: &Args) -> Callee {
    Callee {
        server: args.sip,
        user: args.to.clone(),
        transport: args.transport,
        local: SocketAddrV4::new(args.local, 0),
        ptime_ms: args.load.ptime,
        codec: args.codec,
        srtp: args.srtp,
        access: args.access.clone(),
    }
}

/// Whom these calls are to.
fn what(args: &Args) -> String {
    format!("sip:{}@{}", args.to, args.sip)
}

/// One run.
pub(crate) fn once(args: &Args) -> Result<LoadReport> {
    let load = &args.load;
    let exact = args.codec == Codec::Pcmu && !args.altered;
    let stamps = args.with_agent.filter(|_| exact).map(|_| Arc::new(Stamps::new(load.calls)));
    let agent = match args.with_agent {
        Some(address) => Some(AgentThread::start(address, stamps.clone(), load.cpu)?),
        None => None,
    };
    let (mut report, setup) = during(args, stamps, |up| {
        measure(what(args), load, up.count, up.engine, up.meter, up.meanwhile)
    })?;
    report.setup = Some(setup);
    report.agent = agent.map(AgentThread::stop).transpose()?;
    Ok(report)
}

/// Places the calls, lets `talk` have them while they are up, and hangs up.
pub(crate) fn during<R>(
    args: &Args,
    stamps: Option<Arc<Stamps>>,
    talk: impl FnOnce(Up<'_>) -> Result<R>,
) -> Result<(R, Setup)> {
    let load = &args.load;
    prepare_server(args.watch, args.server_cpu, load.nice)?;
    let meter = Meter::new(args.watch);
    let exact = args.codec == Codec::Pcmu && !args.altered;
    let mut engine = Engine::new(Pace { codec: args.codec, exact, ..load.pace() }, stamps)?;
    let mut ports = RtpPorts::new(args.local);
    for _ in 0..load.calls {
        engine.add_udp(ports.pair().map_err(PerfError::io("opening RTP sockets"))?)?;
    }
    let mut signalling = Signalling::open(&callee(args))?;
    let mut desk = Desk::new()?;
    place(args, &mut engine, &mut signalling, &mut desk)?;
    let count = desk.up;
    if count == 0 {
        let failed = desk.result(&signalling).failed;
        return Err(PerfError::Peer(format!("no call to {} came up: {failed:?}", what(args))));
    }
    let mut next = 0;
    let mut meanwhile =
        |engine: &mut Engine| pump_at(&mut next, engine, &mut signalling, &mut desk);
    let up = Up { engine: &mut engine, meter, count, meanwhile: &mut meanwhile };
    let result = talk(up)?;
    hang_up(args, &mut engine, &mut signalling, &mut desk)?;
    Ok((result, desk.result(&signalling)))
}

/// Looks at the signalling if it is time to.
fn pump_at(
    next_ns: &mut u64,
    engine: &mut Engine,
    signalling: &mut Signalling,
    desk: &mut Desk,
) -> Result<()> {
    let now = clock::mono_ns();
    if now < *next_ns {
        return Ok(());
    }
    *next_ns = now + SIGNALLING_NS;
    let mut fault = None;
    signalling.pump(|event| {
        desk.book(event);
        match event {
            Event::Answered { call, rtp, keying, at_ns, .. } => {
                engine.answered(call, at_ns);
                engine.start_udp(call, rtp);
                if let Some(Err(error)) = keying.map(|keying| engine.secure(call, keying)) {
                    fault = Some(error);
                }
            }
            Event::HungUp { call } | Event::Ended { call, .. } => engine.stop(call),
            Event::Failed { .. } => {}
        }
    })?;
    fault.map_or(Ok(()), Err)
}

/// Places all calls at the rate, with audio from each as soon as it is up.
fn place(
    args: &Args,
    engine: &mut Engine,
    signalling: &mut Signalling,
    desk: &mut Desk,
) -> Result<()> {
    let calls = args.load.calls as u32;
    let gap_ns = SECOND_NS / args.rate.max(1);
    let start = clock::mono_ns();
    let (mut placed, mut next) = (0, 0);
    let last = start + u64::from(calls) * gap_ns;
    while placed < calls || desk.up < desk.pending() {
        let now = clock::mono_ns();
        if now > last + PATIENCE_NS {
            break;
        }
        if placed < calls && now >= start + u64::from(placed) * gap_ns {
            desk.placed();
            signalling.invite(placed, engine.local(placed)?)?;
            placed += 1;
        }
        engine.step()?;
        pump_at(&mut next, engine, signalling, desk)?;
    }
    Ok(())
}

/// Ends every call, its sockets still open.
fn hang_up(
    args: &Args,
    engine: &mut Engine,
    signalling: &mut Signalling,
    desk: &mut Desk,
) -> Result<()> {
    desk.hanging_up();
    let calls = args.load.calls as u32;
    let gap_ns = SECOND_NS / args.rate.max(HANGUPS_HZ);
    let start = clock::mono_ns();
    let (mut sent, mut next) = (0, 0);
    let last = start + u64::from(calls) * gap_ns;
    while sent < calls || desk.pending() > 0 {
        let now = clock::mono_ns();
        if now > last + PATIENCE_NS {
            break;
        }
        if sent < calls && now >= start + u64::from(sent) * gap_ns {
            signalling.hang_up(sent)?;
            sent += 1;
        }
        engine.step()?;
        pump_at(&mut next, engine, signalling, desk)?;
    }
    Ok(())
}
