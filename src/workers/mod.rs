//! Media threads: each owns its sockets, its calls and its clock, and shares nothing.
//!
//! A call lives on one worker from its first packet to its last, so a frame crosses no thread
//! between wire and wire. Commands come in through a bounded channel, events go out through
//! another.

mod agent_line;
mod agent_wire;
mod ambient;
pub mod audio;
mod backlog;
mod bridge;
mod bridge_pace;
pub mod builtin;
mod clock;
pub mod command;
mod conference;
mod connection;
mod context;
mod deadlines;
mod digits;
mod ear;
pub mod gauges;
mod hole;
mod inflow;
mod io;
mod latch;
pub mod line;
mod linger;
pub mod mailbox;
pub mod mux;
mod outlet;
mod pace;
mod pace_line;
mod parked;
pub mod path;
mod path_aside;
mod path_bridge;
mod path_builtin;
mod path_conference;
mod path_ear;
mod path_echo;
mod path_line;
mod path_link;
mod path_order;
mod path_rtcp;
mod path_socket;
mod peer;
mod peer_digits;
mod peer_end;
mod peer_socket;
mod phases;
pub mod play;
pub mod poller;
mod record;
mod report;
mod rtp_agent;
mod samples;
mod security;
mod silence;
mod socket_agent;
pub mod speech;
mod steer;
mod sys;
mod take_message;
pub mod tape;
pub mod taps;
mod timeline;
mod together;
mod token;
mod turns;
mod wildcard;
mod worker;

use std::io::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use media::time::MonoTime;
use tokio::sync::mpsc;

use crate::telemetry::WorkerMetrics;
use command::{COMMANDS_MAX, Command, Event};
use context::Context;
use mux::Mailbox;
use poller::Waker;
use worker::Worker;

/// The turn on a core that threads ask for which have little to do at a time, and often.
const TURN: Duration = Duration::from_micros(100);

/// What a thread is for, and so how soon it must have a core when there is work for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A frame is late within a millisecond.
    Media,
    /// Peers see how long an answer takes.
    Signalling,
    /// Requests, the store, recordings: nobody hears whether they take a little longer.
    Rest,
}

impl Purpose {
    /// By how much it comes after media threads, as `nice(1)` counts; these are like the first
    /// thread of the process.
    const fn nice(self) -> i32 {
        match self {
            Self::Media => 0,
            Self::Signalling => 2,
            Self::Rest => 5,
        }
    }

    /// Gives the thread that calls this its place among the others. Those that it starts are like
    /// it until they take theirs.
    pub fn take_place(self) {
        if self.nice() > 0 {
            sys::yield_by(self.nice());
        }
        if self != Self::Rest {
            sys::take_short_turns(TURN);
        }
    }
}

/// How a worker looks after the media of its calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Care {
    /// How long a peer that should send may say nothing at all; for ever if absent.
    pub media_timeout: Option<Duration>,
    /// How often the control plane is told how the media of a call fare; never if absent.
    pub quality_every: Option<Duration>,
}

impl Care {
    /// When it is told next.
    pub(self) fn next_sample(&self, now: MonoTime) -> MonoTime {
        self.quality_every.map_or(MonoTime::MAX, |every| now + every)
    }
}

/// Reaches one worker from the control plane.
#[derive(Debug)]
pub struct WorkerHandle {
    commands: SyncSender<Command>,
    waker: Waker,
    mail: Arc<Mailbox>,
    load: Arc<AtomicUsize>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl WorkerHandle {
    /// Starts a worker. Its events go to `events`; what `care` finds is among them.
    ///
    /// # Errors
    ///
    /// When the process is out of descriptors, randomness or threads.
    pub fn start(
        number: usize,
        metrics: Arc<WorkerMetrics>,
        events: mpsc::Sender<Event>,
        care: Care,
    ) -> Result<Self> {
        let (commands, receiver) = sync_channel(COMMANDS_MAX);
        let load = Arc::new(AtomicUsize::new(0));
        let ctx = Context::new(metrics, events, care)?;
        let waker = ctx.poller.waker();
        let mail = Arc::clone(ctx.ports.mail());
        let worker = Worker::new(ctx, receiver, Arc::clone(&load));
        let thread =
            std::thread::Builder::new().name(format!("media-{number}")).spawn(move || {
                if let Err(error) = worker.run() {
                    tracing::error!(%error, "a media worker ended");
                }
            })?;
        Ok(Self { commands, waker, mail, load, thread: Some(thread) })
    }

    /// Calls it holds or is about to hold.
    pub fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// Where links mark that they have something for it.
    pub const fn mail(&self) -> &Arc<Mailbox> {
        &self.mail
    }

    /// Sends a command and wakes the worker. A full channel is waited for: the worker empties it
    /// within a round, and a lost command would be a lost call.
    pub fn send(&self, command: Command) {
        if matches!(command, Command::Open { .. }) {
            self.load.fetch_add(1, Ordering::Relaxed);
        }
        if let Err(TrySendError::Full(command)) = self.commands.try_send(command) {
            self.waker.wake();
            let _ = self.commands.send(command);
        }
        self.waker.wake();
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            // A worker that panicked has said so already.
            let _ = thread.join();
        }
    }
}
