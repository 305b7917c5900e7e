//! The other leg of a call that joins two RTP peers, and what passes between the legs.
//!
//! Packets pass at once, in the moment and in the order of their arrival: the far phone has a
//! jitter buffer, and a second one here would only add delay. Sequence numbers and timestamps are
//! mapped, losses stay gaps, RTCP ends at each leg.

use media::codec::AudioFormat;
use media::convert::Converter;
use media::leg::{Heard, HeardAudio, Passed, PassedKind};
use media::rtp::{Arrival, HEADER_BYTES, Packet, Relay};
use media::srtp::OVERHEAD_BYTES_MAX;
use media::stats::LegSnapshot;
use media::time::MonoTime;

use super::command::LegFormat;
use super::context::{Context, HEADROOM_BYTES};
use super::peer::PeerLeg;
use super::taps::{Said, Taps};
use crate::telemetry::{DropReason, Kind, WorkerMetrics};

/// One direction between two legs.
#[derive(Debug)]
pub(super) struct Way {
    relay: Relay,
    converter: Converter,
    /// Newest packet that passed.
    newest: u64,
}

/// What passes from one leg to the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passing {
    /// What it is.
    pub(super) kind: PassedKind,
    /// Offset of its payload in the datagram, and bytes of it.
    pub(super) start: usize,
    pub(super) len: usize,
    /// Its place in its stream.
    pub(super) arrival: Arrival,
    pub(super) marker: bool,
}

/// The leg at the agent's end of a call.
#[derive(Debug)]
pub(super) struct BridgeLeg {
    pub(super) peer: PeerLeg,
    pub(super) to_leg: Way,
    pub(super) from_leg: Way,
}

impl BridgeLeg {
    /// A leg on `peer`'s sockets, opposite a peer whose audio is `caller`.
    pub(super) fn new(peer: PeerLeg, caller: AudioFormat) -> Self {
        let own = peer.format().map_or(caller, |format| format.media.audio);
        Self { peer, to_leg: Way::new(caller, own), from_leg: Way::new(own, caller) }
    }

    /// Takes what offer and answer settled with this leg.
    pub(super) fn settle(&mut self, now: MonoTime, format: LegFormat, caller: AudioFormat) {
        self.peer.settle(now, format);
        self.follow(caller);
    }

    /// Takes another format of the call's peer.
    pub(super) fn follow(&mut self, caller: AudioFormat) {
        let own = self.peer.format().map_or(caller, |format| format.media.audio);
        self.to_leg.follow(caller, own);
        self.from_leg.follow(own, caller);
    }

    /// When its stream has something to do.
    pub(super) fn deadline(&self) -> MonoTime {
        self.peer.leg_ref().map_or(MonoTime::MAX, |leg| {
            let report = leg.report_deadline().unwrap_or(MonoTime::MAX);
            let latch = self.peer.deadline().unwrap_or(MonoTime::MAX);
            leg.deadline().unwrap_or(MonoTime::MAX).min(report).min(latch)
        })
    }

    /// How it fares.
    pub(super) fn snapshot(&self) -> LegSnapshot {
        let leg = self.peer.leg_ref();
        leg.map(|leg| leg.snapshot(std::time::Duration::ZERO)).unwrap_or_default()
    }
}

impl Way {
    fn new(from: AudioFormat, to: AudioFormat) -> Self {
        Self {
            relay: Relay::new(from.clock_hz(), to.clock_hz()),
            converter: Converter::new(from, to),
            newest: 0,
        }
    }

    fn follow(&mut self, from: AudioFormat, to: AudioFormat) {
        if (self.converter.from(), self.converter.to()) != (from, to) {
            self.converter = Converter::new(from, to);
            self.relay.set_clocks(from.clock_hz(), to.clock_hz());
        }
    }

    /// Passes on what lies in the packet buffer; `taps` hear it as `to` does.
    #[inline]
    pub(super) fn pass(
        &mut self,
        ctx: &mut Context,
        to: &mut PeerLeg,
        taps: Option<&mut Taps>,
        what: Passing,
    ) {
        if !to.format().is_some_and(|format| format.send) {
            return;
        }
        let late = what.arrival.ext_seq < self.newest;
        self.newest = self.newest.max(what.arrival.ext_seq);
        let start = HEADROOM_BYTES + what.start;
        let same = what.kind == PassedKind::Comfort || self.converter.is_identity();
        if same {
            let Some(packet) = ctx.packet.get_mut(start - HEADER_BYTES..) else { return };
            let of = (ctx.now, &*ctx.metrics);
            return send(of, &mut self.relay, to, (packet, what.len), taps, what);
        }
        let Some(payload) = ctx.packet.get(start..start + what.len) else { return };
        let Some((header, converted)) = ctx.convert.split_at_mut_checked(HEADER_BYTES) else {
            return;
        };
        let length = match what.kind {
            PassedKind::Event => event(payload, converted, &self.converter),
            // A resampler and some codecs hear a stream: what comes late would be heard in the
            // wrong place.
            _ if late && self.converter.has_memory() => 0,
            _ if self.converter.max_output(payload.len()) > converted.len() => 0,
            _ => self.converter.convert(payload, converted),
        };
        if length == 0 || header.len() + length + OVERHEAD_BYTES_MAX > ctx.convert.len() {
            return ctx.metrics.dropped(DropReason::Malformed);
        }
        let of = (ctx.now, &*ctx.metrics);
        send(of, &mut self.relay, to, (&mut ctx.convert, length), taps, what);
    }
}

/// Writes the header in front of a payload and sends both; behind them is room for protection.
#[inline]
fn send(
    (now, metrics): (MonoTime, &WorkerMetrics),
    relay: &mut Relay,
    to: &mut PeerLeg,
    (packet, payload_bytes): (&mut [u8], usize),
    taps: Option<&mut Taps>,
    what: Passing,
) {
    let Passing { kind, arrival, marker, .. } = what;
    let passed = Passed { kind, arrival, marker, payload_bytes };
    let Some((header, payload)) = packet.split_first_chunk_mut::<HEADER_BYTES>() else { return };
    let Some(leg) = to.leg() else { return };
    if !leg.write_relayed(now, header, relay, passed) {
        return;
    }
    if let Some(taps) = taps
        && kind == PassedKind::Audio
    {
        let &mut [_, _, _, _, t0, t1, t2, t3, ..] = header;
        let payload = payload.get(..payload_bytes).unwrap_or_default();
        taps.said(Said { due: now, ts: u32::from_be_bytes([t0, t1, t2, t3]), payload });
    }
    match to.send(packet, HEADER_BYTES + payload_bytes) {
        Ok(sent) => metrics.sent(Kind::Rtp, sent),
        Err(_) => metrics.dropped(DropReason::SocketFull),
    }
}

/// An event for another clock: its duration is told in the clock's units (RFC 4733 2.3.5).
fn event(payload: &[u8], out: &mut [u8], converter: &Converter) -> usize {
    let Ok(mut event) = media::dtmf::Event::parse(payload) else { return 0 };
    let (from, to) = (converter.from().clock_hz(), converter.to().clock_hz());
    let duration = u64::from(event.duration) * u64::from(to) / u64::from(from.max(1));
    event.duration = u16::try_from(duration).unwrap_or(u16::MAX);
    let bytes = event.to_bytes();
    let Some(out) = out.get_mut(..bytes.len()) else { return 0 };
    out.copy_from_slice(&bytes);
    bytes.len()
}

/// What passes of a received packet; `None` for what does not.
#[inline]
pub(super) fn passing(heard: Heard, datagram: &[u8]) -> Option<Passing> {
    let audio = |kind, heard: HeardAudio| {
        let HeardAudio { start, len, arrival, marker } = heard;
        Some(Passing { kind, start, len, arrival, marker })
    };
    match heard {
        Heard::Audio(heard) => audio(PassedKind::Audio, heard),
        Heard::Comfort(heard) => audio(PassedKind::Comfort, heard),
        Heard::Event(arrival) => {
            let packet = Packet::parse(datagram).ok()?;
            let start = packet.payload.as_ptr().addr() - datagram.as_ptr().addr();
            let (len, marker) = (packet.payload.len(), packet.header.marker);
            Some(Passing { kind: PassedKind::Event, start, len, arrival, marker })
        }
        Heard::Nothing(..) | Heard::Ignored(_) => None,
    }
}
