//! The time lines of a call's frames: which are stamped, and what becomes of their stamps.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use adapters::agent::CallState;
use media::stages::{Sampler, Stage, Stamps};
use media::time::MonoTime;

use super::context::Context;
use super::gauges::Gauges;
use super::path::MediaPath;
use super::{poller, sys};
use crate::telemetry::WorkerMetrics;

/// Longest time that a packet is believed to have waited in the kernel: a wall clock that was set
/// meanwhile tells something else.
const WAITED_MAX: Duration = Duration::from_secs(10);

/// The time lines of one call's frames.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// What is shown to whoever looks at the call.
    gauges: Option<Arc<Gauges>>,
    /// Frames of the peer, of a leg at the agent's end, of an agent; packets to the peer.
    pub(super) from_peer: Sampler,
    pub(super) from_leg: Sampler,
    pub(super) from_agent: Sampler,
    pub(super) to_peer: Sampler,
    /// What waits before the agent's audio that is under way and stamped.
    before: Duration,
    /// Since when frames wait for those before them.
    waits_since: Option<MonoTime>,
}

impl Timeline {
    /// Whoever looks at the call sees here how its media fare.
    pub(super) fn gauge(&mut self, gauges: Arc<Gauges>) {
        self.gauges = Some(gauges);
    }

    /// The frame under way has come to its end.
    pub(super) fn end(&self, stamps: &mut Stamps, metrics: &WorkerMetrics) {
        for (stage, took) in stamps.take() {
            self.record(metrics, stage, took);
        }
    }

    /// Something of the agent's comes, and may be what is stamped; so much waits before it.
    #[inline]
    pub(super) fn agent_comes(&mut self, stamps: &mut Stamps, waits: impl FnOnce() -> Duration) {
        if self.from_agent.next() {
            stamps.begin(poller::now());
            self.before = waits();
        }
    }

    /// A frame out of order came, or the time of those that wait: so many went on.
    #[cold]
    pub(super) fn reordered(&mut self, now: MonoTime, metrics: &WorkerMetrics, went_on: usize) {
        if went_on == 0 {
            self.waits_since.get_or_insert(now);
        } else if let Some(since) = self.waits_since.take() {
            self.record(metrics, Stage::Ring, now.since(since));
        }
    }

    fn record(&self, metrics: &WorkerMetrics, stage: Stage, took: Duration) {
        let carrier = self.gauges.as_ref().map(|gauges| gauges.carrier).unwrap_or_default();
        metrics.stages.record(carrier, stage, took);
        if let Some(gauges) = &self.gauges {
            gauges.stages.record(stage, took);
        }
    }
}

impl Context {
    /// A packet that is stamped was taken from `socket`, to which the worker turned at `turned`.
    #[cold]
    pub(super) fn stamp_received(&mut self, socket: &UdpSocket, turned: MonoTime) {
        self.stamps.begin(turned);
        // A socket's first packet is not stamped by the kernel, which is asked to here.
        let Some(waited) = sys::since_receipt(socket) else { return };
        let waited = waited.saturating_sub(poller::now().since(turned));
        if waited < WAITED_MAX {
            self.stamps.note(Stage::KernelReceive, waited);
        }
    }

    /// The frame under way has come to the end of a step.
    #[inline]
    pub(super) fn lap(&mut self, stage: Stage) {
        self.stamps.lap(stage, poller::now);
    }
}

impl MediaPath {
    /// The worker turns to a packet to the peer that was due at `due`, and may be one that is
    /// stamped.
    #[inline]
    pub(super) fn stamp_due(&mut self, ctx: &mut Context, due: MonoTime) {
        if self.timeline.to_peer.next() {
            ctx.stamps.begin(due);
            ctx.lap(Stage::Pacer);
        } else {
            ctx.stamps.stop();
        }
    }

    /// Audio of the agent is in its queue, and sets the clock if it is the first.
    #[inline]
    pub(super) fn audio_came(&mut self, ctx: &mut Context) {
        ctx.lap(Stage::AgentIn);
        self.heard_agent(ctx.now);
        if ctx.stamps.is_on() {
            self.audio_waits(ctx);
            self.stamped(ctx);
        }
    }

    /// Notes how long audio that is stamped will wait for its turn, as it looks now: nothing if
    /// what is said waits for something else, such as the answer.
    #[cold]
    fn audio_waits(&self, ctx: &mut Context) {
        let turn = match self.peer.line_ref() {
            _ if self.state == CallState::Ringing => return,
            Some(line) if self.conference.is_none() => line.room_at(self.is_live()),
            _ => self.tick_at(),
        };
        if turn == MonoTime::MAX {
            return;
        }
        let ptime_ms = u128::from(self.peer.stream().ptime_ms.max(1));
        let packets = self.timeline.before.as_millis() / ptime_ms;
        let before_ms = u64::try_from(packets * ptime_ms).unwrap_or(u64::MAX);
        let waits = turn.since(ctx.now).saturating_add(Duration::from_millis(before_ms));
        ctx.stamps.note(Stage::Queue, waits);
    }

    /// A frame has come to its end here.
    #[inline]
    pub(super) fn stamped(&self, ctx: &mut Context) {
        if ctx.stamps.is_on() {
            self.timeline.end(&mut ctx.stamps, &ctx.metrics);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is stamped is in the metrics and in the call's own figures; frames that were held up by
    /// others count from when the first of them came.
    #[test]
    fn stamps_are_counted_twice() {
        let (metrics, gauges) = (WorkerMetrics::default(), Arc::<Gauges>::default());
        let mut timeline = Timeline::default();
        timeline.gauge(Arc::clone(&gauges));
        let at = |us: u64| MonoTime::from_nanos(us * 1_000);
        let mut stamps = Stamps::default();
        stamps.begin(at(10));
        stamps.lap(Stage::Decode, || at(14));
        timeline.end(&mut stamps, &metrics);
        for (us, went_on) in [(100, 0), (150, 0), (900, 2), (950, 1)] {
            timeline.reordered(at(us), &metrics, went_on);
        }
        let read = gauges.stages.read();
        let told = read.iter().map(|times| (times.stage, times.count, times.p99));
        let us = |us| Some(Duration::from_micros(us));
        let expected = [(Stage::Decode, 1, us(5)), (Stage::Ring, 1, us(1_000))];
        assert_eq!(told.collect::<Vec<_>>(), expected);
        let all = |stage| metrics.stages.of_stage(stage).map(|steps| steps.snapshot().count);
        assert_eq!((all(Stage::Decode).sum::<u64>(), all(Stage::Ring).sum::<u64>()), (1, 1));
    }

    /// The kernel tells how long a packet has waited, once it was asked to.
    #[test]
    fn the_kernel_stamps_packets() {
        let [socket, peer] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let receive = || {
            peer.send_to(b"x", socket.local_addr().unwrap()).unwrap();
            socket.recv_from(&mut [0; 8]).unwrap();
            sys::since_receipt(&socket)
        };
        receive();
        // How soon the kernel begins is its affair.
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        loop {
            peer.send_to(b"x", socket.local_addr().unwrap()).unwrap();
            let sent = std::time::Instant::now();
            while sent.elapsed() < Duration::from_millis(3) {
                std::thread::yield_now();
            }
            socket.recv_from(&mut [0; 8]).unwrap();
            let waited = sys::since_receipt(&socket).unwrap();
            if waited >= Duration::from_millis(2) {
                assert!(waited <= sent.elapsed() + Duration::from_millis(1));
                break;
            }
            assert!(std::time::Instant::now() < deadline, "the kernel stamps nothing");
        }
    }
}
