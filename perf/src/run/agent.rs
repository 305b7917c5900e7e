//! `agent`: load partners that the server under test dials.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use crate::agent::barge::Barge;
use crate::agent::echo::{Echo, Seen};
use crate::agent::server::{Connections, Handler, Server};
use crate::error::{PerfError, Result};
use crate::load::stamps::Stamps;
use crate::sys::clock::{self, SECOND_NS};
use crate::sys::sched;

/// How often a server without traffic looks whether it should end, in nanoseconds.
const GLANCE_NS: u64 = 50_000_000;

/// How long connections may take to close after the calls, in nanoseconds.
pub(crate) const GOODBYE_NS: u64 = SECOND_NS;

/// How often timers run, in nanoseconds.
const TIMER_NS: u64 = 1_000_000;

/// Arguments of `agent`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// What the agent does.
    kind: Kind,
    /// Address it listens on.
    #[arg(long, default_value = "127.0.0.1:9100")]
    listen: SocketAddrV4,
    /// How audio is framed; `raw` is asked for with `configure`.
    #[arg(long, value_enum, default_value_t)]
    framing: Framing,
    /// CPU that the agent is pinned to.
    #[arg(long)]
    cpu: Option<usize>,
    /// Trials in a call, for `barge`.
    #[arg(long, default_value_t = 50)]
    trials: u16,
    /// Ends after so many seconds (0: never); the counters are printed every 5 s and at the end.
    #[arg(long, default_value_t = 0)]
    secs: u64,
    /// Prints each text message.
    #[arg(long)]
    verbose: bool,
}

/// What an agent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Sends every frame back.
    Echo,
    /// Queues 20 s of audio, waits a random time, clears, again.
    Barge,
}

/// Framing of binary messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Framing {
    /// RTP header and payload.
    #[default]
    Rtp,
    /// Payload only.
    Raw,
}

/// Runs until the time is up.
pub(crate) fn run(args: &Args) -> Result<bool> {
    sched::raise_descriptor_limit();
    if let Some(cpu) = args.cpu {
        sched::pin(0, cpu)?;
    }
    match args.kind {
        Kind::Echo => {
            let mut echo = Echo::new(None, args.framing == Framing::Raw);
            echo.verbose = args.verbose;
            let server = Server::listen(args.listen, echo)?;
            serve(args, server, None, |echo| serde_json::to_string(&echo.seen()))
        }
        Kind::Barge => {
            let mut barge = Barge::new(args.trials, clock::real_ns());
            barge.verbose = args.verbose;
            let server = Server::listen(args.listen, barge)?;
            serve(args, server, Some(TIMER_NS), |barge| serde_json::to_string(&barge.trials))
        }
    }
}

fn serve<H: Handler>(
    args: &Args,
    mut server: Server<H>,
    timer_ns: Option<u64>,
    show: impl Fn(&H) -> serde_json::Result<String>,
) -> Result<bool> {
    println!("listening on ws://{}/", server.address()?);
    let start = clock::mono_ns();
    let mut shown = start;
    let mut last = Connections::default();
    loop {
        server.pump(Some(timer_ns.unwrap_or(SECOND_NS)))?;
        if timer_ns.is_some() {
            server.timers();
        }
        let now = clock::mono_ns();
        let done = args.secs > 0 && now >= start + args.secs * SECOND_NS;
        let news = server.live() > 0 || server.count.closed != last.closed;
        if done || (now >= shown + 5 * SECOND_NS && news) {
            shown = now;
            last = server.count;
            println!("{} {}", serde_json::to_string(&last)?, show(&server.handler)?);
        }
        if done {
            return Ok(true);
        }
    }
}

/// An echo agent on a thread of its own in this process.
pub(crate) struct AgentThread {
    thread: Option<JoinHandle<Result<(Seen, Connections)>>>,
    stop: Arc<AtomicBool>,
    address: SocketAddrV4,
}

impl AgentThread {
    /// Starts listening.
    pub(crate) fn start(
        address: SocketAddrV4,
        stamps: Option<Arc<Stamps>>,
        cpu: Option<usize>,
    ) -> Result<Self> {
        Self::serve(address, Echo::new(stamps, false), cpu)
    }

    /// Starts listening as this agent.
    pub(crate) fn serve(address: SocketAddrV4, echo: Echo, cpu: Option<usize>) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, (told, heard)) = (Arc::clone(&stop), mpsc::channel());
        let thread = std::thread::Builder::new().name("agent".into()).spawn(move || {
            if let Some(cpu) = cpu {
                sched::pin(0, cpu)?;
            }
            sched::low_timer_slack();
            let mut server = Server::listen(address, echo)?;
            let _ = told.send(server.address()?);
            while !flag.load(Ordering::Relaxed) {
                server.pump(Some(GLANCE_NS))?;
            }
            let end = clock::mono_ns() + GOODBYE_NS;
            while server.live() > 0 && clock::mono_ns() < end {
                server.pump(Some(GLANCE_NS))?;
            }
            Ok((server.handler.seen(), server.count))
        })?;
        match heard.recv() {
            Ok(address) => Ok(Self { thread: Some(thread), stop, address }),
            Err(_) => Err(join(thread).err().unwrap_or_else(no_agent)),
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Ends it.
    pub(crate) fn stop(mut self) -> Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        let (seen, count) = self.thread.take().map_or_else(|| Err(no_agent()), join)?;
        if count.broken > 0 {
            return Err(PerfError::Peer(format!("{} connections broke RFC 6455", count.broken)));
        }
        Ok(seen)
    }
}

/// A measurement that fails leaves nobody at its address.
impl Drop for AgentThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = join(thread);
        }
    }
}

fn no_agent() -> PerfError {
    PerfError::Peer("the agent's thread ended".into())
}

fn join<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| Err(no_agent()))
}
