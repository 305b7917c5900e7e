//! What a worker's calls share: buffers, clock, poller, counters. One thread, so no locks.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use media::blocks::BlockPool;
use media::leg::StreamStart;
use media::rtp::{Frame, HEADER_BYTES, PACKET_BYTES_MAX};
use media::srtp::OVERHEAD_BYTES_MAX;
use media::stages::Stamps;
use media::time::MonoTime;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tokio::sync::mpsc;

use super::Care;
use super::command::{CallKey, Event, EventKind};
use super::line::Parting;
use super::linger::Lingering;
use super::mux::{Mailbox, Ports};
use super::path::Agent;
use super::phases::Phases;
use super::poller::Poller;
use super::taps::Taps;
use super::together::Together;
use crate::agent::wire::WEBSOCKET_MESSAGE_MAX_BYTES;
use crate::bridge::mask::MaskKeys;
use crate::telemetry::WorkerMetrics;

/// Room in front of a received packet, for the header of whatever carries it on.
pub(super) const HEADROOM_BYTES: usize = 64;
/// Room for converted audio: the longest message of an agent at the lowest rate, and a header.
const CONVERT_BYTES: usize = 2 * WEBSOCKET_MESSAGE_MAX_BYTES;
/// Room for a frame that is about to be coded: 60 ms at 48 kHz.
const LINEAR_BYTES: usize = 60 * 48 * 2;
/// Room for one packet: one of the network, or the longest frame of linear audio.
const PACKET_BYTES: usize = HEADROOM_BYTES + HEADER_BYTES + LINEAR_BYTES + OVERHEAD_BYTES_MAX;
const _: () = assert!(HEADER_BYTES + LINEAR_BYTES >= PACKET_BYTES_MAX);
/// Room for what a socket gives in one read.
const INPUT_BYTES: usize = 64 * 1024;
/// Room for a message to an agent or a carrier; it grows to the longest `start`.
const MESSAGE_BYTES: usize = 8 * 1024;
/// Blocks of queued audio a worker may hold: 30 s for 4,000 calls.
const BLOCKS_MAX: usize = 1 << 20;
/// Blocks that are there from the start.
const BLOCKS_WARM: usize = 1 << 10;

/// How long what is in no hurry may wait for more, before the control plane is woken for it.
const UNHURRIED_WAIT: Duration = Duration::from_millis(250);
/// Events in no hurry that wait together.
const UNHURRIED_MAX: usize = 64;

/// What a worker's calls share.
pub(super) struct Context {
    /// The time of this round.
    pub(super) now: MonoTime,
    /// How early packets may leave.
    pub(super) together: Together,
    /// When packets are due within 20 ms.
    pub(super) phases: Phases,
    pub(super) poller: Poller,
    /// One packet, received or to be sent.
    pub(super) packet: Box<[u8]>,
    /// Audio after conversion.
    pub(super) convert: Box<[u8]>,
    /// A frame that is about to be coded.
    pub(super) linear: Box<[u8]>,
    /// A message for an agent or a carrier.
    pub(super) message: Vec<u8>,
    /// What an agent's socket, or a carrier's, gave.
    pub(super) input: Box<[u8]>,
    /// Audio of a carrier's message.
    pub(super) slot: Box<[u8]>,
    pub(super) blocks: BlockPool,
    pub(super) masks: MaskKeys,
    pub(super) metrics: Arc<WorkerMetrics>,
    pub(super) lingering: Lingering,
    pub(super) parting: Parting,
    /// What its calls reach links by.
    pub(super) ports: Ports,
    /// Those of the frame that is under way.
    pub(super) stamps: Stamps,
    /// How calls are looked after.
    pub(super) care: Care,
    random: ChaCha8Rng,
    events: mpsc::Sender<Event>,
    /// Events that the control plane had no room for.
    waiting: VecDeque<Event>,
    /// Events in no hurry, and when they are told at the latest.
    unhurried: Vec<Event>,
    unhurried_due: MonoTime,
}

impl Context {
    pub(super) fn new(
        metrics: Arc<WorkerMetrics>,
        events: mpsc::Sender<Event>,
        care: Care,
    ) -> io::Result<Self> {
        let mut blocks = BlockPool::new(BLOCKS_MAX);
        let _ = blocks.reserve(BLOCKS_WARM);
        let poller = Poller::new()?;
        let ports = Ports::new(Arc::new(Mailbox::new(poller.waker())));
        Ok(Self {
            now: super::poller::now(),
            together: Together::new(super::poller::now()),
            phases: Phases::new(super::poller::now()),
            poller,
            ports,
            packet: vec![0; PACKET_BYTES].into(),
            convert: vec![0; CONVERT_BYTES].into(),
            linear: vec![0; LINEAR_BYTES].into(),
            message: Vec::with_capacity(MESSAGE_BYTES),
            input: vec![0; INPUT_BYTES].into(),
            slot: vec![0; WEBSOCKET_MESSAGE_MAX_BYTES].into(),
            blocks,
            masks: MaskKeys::new(seed()?),
            metrics,
            lingering: Lingering::default(),
            parting: Parting::default(),
            stamps: Stamps::default(),
            care,
            random: ChaCha8Rng::from_seed(seed()?),
            events,
            waiting: VecDeque::new(),
            unhurried: Vec::with_capacity(UNHURRIED_MAX),
            unhurried_due: MonoTime::MAX,
        })
    }

    /// Tells the control plane something.
    pub(super) fn tell(&mut self, call: CallKey, kind: EventKind) {
        self.hurry();
        self.waiting.push_back(Event { call, kind });
        self.flush_events();
    }

    /// Tells something that may wait a little: to wake another thread takes a core from the media.
    pub(super) fn tell_later(&mut self, call: CallKey, kind: EventKind) {
        if self.unhurried.is_empty() {
            self.unhurried_due = self.now + UNHURRIED_WAIT;
        }
        self.unhurried.push(Event { call, kind });
        if self.unhurried.len() >= UNHURRIED_MAX {
            self.unhurried_due = self.now;
        }
    }

    /// When what is in no hurry is told.
    pub(super) const fn unhurried_due(&self) -> MonoTime {
        self.unhurried_due
    }

    /// Tells what was in no hurry, if its time has come.
    pub(super) fn tell_unhurried(&mut self) {
        if self.unhurried_due <= self.now {
            self.hurry();
            self.flush_events();
        }
    }

    /// Puts what was in no hurry before what is told now.
    fn hurry(&mut self) {
        self.unhurried_due = MonoTime::MAX;
        self.waiting.extend(self.unhurried.drain(..));
    }

    /// Tells something that is told once a call.
    pub(super) fn tell_once(&mut self, call: CallKey, kind: EventKind, told: &mut bool) {
        if !std::mem::replace(told, true) {
            self.tell(call, kind);
        }
    }

    /// Hands over events that had to wait, in order.
    pub(super) fn flush_events(&mut self) {
        while let Some(event) = self.waiting.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
                self.waiting.push_front(event);
                return;
            }
        }
    }

    /// True while events wait for the control plane.
    pub(super) fn has_events(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Where a stream of ours starts.
    pub(super) fn stream_start(&mut self) -> StreamStart {
        let random = self.random.next_u64();
        StreamStart {
            ssrc: self.random.next_u32(),
            seq: random as u16,
            ts: (random >> 32) as u32,
            seed: self.random.next_u64(),
        }
    }

    /// The part of the context that sending a frame to an agent takes.
    #[inline]
    pub(super) fn frame_sink(&mut self) -> FrameSink<'_> {
        FrameSink {
            now: self.now,
            message: &mut self.message,
            convert: &mut self.convert,
            masks: &mut self.masks,
            ports: &mut self.ports,
            metrics: &self.metrics,
            poller: &self.poller,
        }
    }
}

/// What sending a frame to an agent takes.
pub(super) struct FrameSink<'a> {
    pub(super) now: MonoTime,
    pub(super) message: &'a mut Vec<u8>,
    pub(super) convert: &'a mut [u8],
    pub(super) masks: &'a mut MaskKeys,
    pub(super) ports: &'a mut Ports,
    pub(super) metrics: &'a WorkerMetrics,
    pub(super) poller: &'a Poller,
}

impl FrameSink<'_> {
    /// Gives `agent` and `taps` one frame of the peer's audio.
    #[inline]
    pub(super) fn give(&mut self, agent: &mut Agent, taps: &mut Taps, frame: Frame<'_>) {
        taps.heard(self.now, frame);
        match agent {
            Agent::Socket(socket) => socket.send_audio(self, frame),
            Agent::Rtp(agent) => agent.send_audio(self, frame),
            Agent::Builtin(_) | Agent::Leg(_) | Agent::None => {}
        }
    }
}

fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(seed)
}
