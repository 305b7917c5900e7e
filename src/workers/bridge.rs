//! The other leg of a call that joins two RTP peers, and what passes between the legs.
//!
//! Packets pass at once, in the moment and in the order of their arrival: the far phone has a
//! jitter buffer, and a second one here would only add delay. Sequence numbers and timestamps are
//! mapped, losses stay gaps, RTCP ends at each leg. Only where the far end wants packets of another
//! length are they cut anew, and what does not fill one waits for the next.

use media::codec::AudioFormat;
use media::codec::opus::Settings;
use media::convert::Converter;
use media::leg::{Heard, HeardAudio, Leg, Passed, PassedKind};
use media::rtp::{Arrival, HEADER_BYTES, Packet, Piece, Relay, Repack, Uncut};
use media::srtp::OVERHEAD_BYTES_MAX;
use media::stats::LegSnapshot;
use media::time::MonoTime;

use super::builtin::Builtin;
use super::command::LegFormat;
use super::context::{Context, HEADROOM_BYTES};
use super::deadlines::rounded;
use super::outlet::Outlet;
use super::peer::PeerLeg;
use super::taps::{Said, Taps};
use crate::telemetry::{DropReason, Kind, WorkerMetrics};

/// One direction between two legs.
#[derive(Debug)]
pub(super) struct Way {
    relay: Relay,
    converter: Converter,
    repack: Repack,
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

impl Passing {
    /// Whether it is part of a telephone event.
    pub(super) fn is_event(&self) -> bool {
        self.kind == PassedKind::Event
    }
}

/// The leg at the agent's end of a call.
#[derive(Debug)]
pub(super) struct BridgeLeg {
    pub(super) peer: PeerLeg,
    pub(super) to_leg: Way,
    pub(super) from_leg: Way,
    /// What it hears while it is on hold, and what codes that.
    pub(super) sound: Option<Builtin>,
    /// A sound that is said once has been said.
    pub(super) said_all: bool,
    pub(super) outlet: Outlet,
    /// When the next packet of ours to it is due; never while packets only pass.
    pub(super) next_tick: MonoTime,
}

impl BridgeLeg {
    /// A leg on `peer`'s sockets, opposite a peer whose audio is `caller`.
    pub(super) fn new(peer: PeerLeg, caller: AudioFormat) -> Self {
        let own = peer.format().map_or(caller, |format| format.media.audio);
        let mut leg = Self {
            peer,
            to_leg: Way::new(caller, own),
            from_leg: Way::new(own, caller),
            sound: None,
            said_all: false,
            outlet: Outlet::new(own),
            next_tick: MonoTime::MAX,
        };
        leg.tune();
        leg
    }

    /// Codes Opus for the leg as it wants it.
    fn tune(&mut self) {
        if let Some(format) = self.peer.format() {
            self.to_leg.tune(&format.media.opus);
            self.outlet.tune(&format.media.opus);
        }
    }

    /// Takes what offer and answer settled with this leg.
    pub(super) fn settle(&mut self, now: MonoTime, format: LegFormat, caller: AudioFormat) {
        self.peer.settle(now, format);
        self.follow(caller);
        self.restart_ticks(now);
    }

    /// Takes another format of the call's peer.
    pub(super) fn follow(&mut self, caller: AudioFormat) {
        let own = self.audio(caller);
        self.to_leg.follow(caller, own);
        self.from_leg.follow(own, caller);
        self.outlet.follow(own);
        self.tune();
    }

    /// What it speaks; `caller` before that is settled.
    pub(super) fn audio(&self, caller: AudioFormat) -> AudioFormat {
        self.peer.format().map_or(caller, |format| format.media.audio)
    }

    /// Media time goes on by so many ptimes in which nothing could be sent.
    pub(super) fn hold_media(&mut self, ptime_ms: u32, ptimes: u32) {
        if let Some(leg) = self.peer.leg() {
            let ticks = leg.config().audio.ticks(ptime_ms);
            leg.hold(ticks.saturating_mul(ptimes));
        }
    }

    /// Whether a sound or digits of ours are sent to it.
    pub(super) fn is_busy(&self) -> bool {
        self.sound.is_some() || self.peer.says_digits()
    }

    /// Packets pass again, behind what was said on both legs meanwhile.
    pub(super) fn pass_again(&mut self, caller: AudioFormat) {
        let own = self.audio(caller);
        (self.to_leg, self.from_leg) = (Way::new(caller, own), Way::new(own, caller));
        self.tune();
    }

    /// When its stream has something to do.
    pub(super) fn deadline(&self) -> MonoTime {
        let leg = self.peer.leg_ref().and_then(Leg::deadline).unwrap_or(MonoTime::MAX);
        self.next_tick.min(rounded(self.peer.care_deadline())).min(leg)
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
            repack: Repack::new(to),
            newest: 0,
        }
    }

    /// Codes Opus as who hears it wants it.
    pub(super) fn tune(&mut self, settings: &Settings) {
        self.converter.tune(settings);
    }

    fn follow(&mut self, from: AudioFormat, to: AudioFormat) {
        if (self.converter.from(), self.converter.to()) != (from, to) {
            self.converter = Converter::new(from, to);
            self.repack = Repack::new(to);
            self.relay.set_clocks(from.clock_hz(), to.clock_hz());
        }
    }

    /// Leaves out what `to` does not get to hear now, so that it misses nothing.
    #[cold]
    pub(super) fn rest(&mut self, to: &mut PeerLeg, arrival: Arrival) {
        self.newest = self.newest.max(arrival.ext_seq);
        self.repack.reset();
        if let Some(leg) = to.leg() {
            leg.rest_relayed(&mut self.relay, arrival);
        }
    }

    /// Leaves out a packet that holds nothing.
    #[cold]
    pub(super) const fn skip(&mut self, arrival: Arrival) {
        self.relay.skip(arrival);
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
        let Some(format) = to.format().filter(|format| format.send) else {
            return self.rest(to, what.arrival);
        };
        let wanted_ticks = format.media.audio.ticks(format.media.ptime_ms);
        // Digits of ours take the place of sound.
        if to.says_digits() {
            return self.rest(to, what.arrival);
        }
        let late = what.arrival.ext_seq < self.newest;
        self.newest = self.newest.max(what.arrival.ext_seq);
        let of = Of { now: ctx.now, metrics: &ctx.metrics };
        let start = HEADROOM_BYTES + what.start;
        if what.kind == PassedKind::Comfort || self.converter.is_identity() {
            let Some(packet) = ctx.packet.get_mut(start - HEADER_BYTES..) else { return };
            let audio = packet.get(HEADER_BYTES..HEADER_BYTES + what.len).unwrap_or_default();
            if self.is_cut(what.kind, audio, wanted_ticks) {
                return self.cut(of, to, audio, &mut ctx.convert, taps, (what, late));
            }
            return send(of, &mut self.relay, to, (packet, what.len), taps, what);
        }
        let Some(payload) = ctx.packet.get(start..start + what.len) else { return };
        let Some((header, converted)) = ctx.convert.split_at_mut_checked(HEADER_BYTES) else {
            return;
        };
        // A packet of Opus begins with what has waited for it.
        let held = u64::from(self.converter.held_ticks());
        let length = match what.kind {
            PassedKind::Event => event(payload, converted, &self.converter),
            // A resampler and some codecs hear a stream: what comes late would be heard in the
            // wrong place.
            _ if late && self.converter.has_memory() => 0,
            _ if self.converter.max_output(payload.len()) > converted.len() => 0,
            _ => self.converter.convert(payload, converted),
        };
        if length == 0 && self.converter.to().codec.is_packets() {
            // A packet of Opus that waits for its rest, or need not be sent: it is not missed.
            return self.skip(what.arrival);
        }
        if length == 0 || header.len() + length + OVERHEAD_BYTES_MAX > ctx.convert.len() {
            return ctx.metrics.dropped(DropReason::Malformed);
        }
        let audio = ctx.convert.get(HEADER_BYTES..HEADER_BYTES + length).unwrap_or_default();
        if self.is_cut(what.kind, audio, wanted_ticks) {
            return self.cut(of, to, audio, &mut ctx.packet, taps, (what, late));
        }
        let (from, at) = (self.converter.from().clock_hz(), self.converter.to().clock_hz());
        if what.kind == PassedKind::Audio && self.repack.has_begun() {
            self.repack.passed(scaled(what.arrival.ext_ts, from, at), audio);
        }
        let before = match what.kind {
            PassedKind::Audio => scaled(held, at, from),
            PassedKind::Event | PassedKind::Comfort => 0,
        };
        let ext_ts = what.arrival.ext_ts.saturating_sub(before);
        let what = Passing { arrival: Arrival { ext_ts, ..what.arrival }, ..what };
        send(of, &mut self.relay, to, (&mut ctx.convert, length), taps, what);
    }

    /// Whether audio, as the far end codes it, is of another length than it wants, or stands behind
    /// what was.
    #[inline]
    fn is_cut(&self, kind: PassedKind, audio: &[u8], wanted_ticks: u32) -> bool {
        let to = self.converter.to();
        // A packet of Opus is of any length, and stays whole.
        if kind != PassedKind::Audio || to.codec.is_packets() {
            return false;
        }
        to.payload_ticks(audio) != wanted_ticks || self.repack.is_waiting()
    }

    /// Sends audio in packets of the length that the far end wants, each by way of `out`.
    fn cut(
        &mut self,
        of: Of<'_>,
        to: &mut PeerLeg,
        audio: &[u8],
        out: &mut [u8],
        mut taps: Option<&mut Taps>,
        (what, late): (Passing, bool),
    ) {
        let Some(ptime_ms) = to.format().map(|format| format.media.ptime_ms) else { return };
        if late {
            return;
        }
        if !self.repack.has_begun()
            && let Some(leg) = to.leg()
        {
            leg.catch_up(of.now);
        }
        let (from, at) = (self.converter.from().clock_hz(), self.converter.to().clock_hz());
        let packet = Uncut {
            ext_ts: scaled(what.arrival.ext_ts, from, at),
            after_loss: what.arrival.gap > 0,
            marker: what.marker,
            payload: audio,
        };
        self.repack.push(ptime_ms, packet, |piece, payload| {
            send_piece(&of, to, (piece, payload), out, taps.as_deref_mut());
        });
    }
}

/// Ticks of one clock in those of another.
const fn scaled(ticks: u64, from_hz: u32, to_hz: u32) -> u64 {
    let from_hz = if from_hz > 0 { from_hz } else { 1 };
    ticks * to_hz as u64 / from_hz as u64
}

/// The moment in which something passes, and what counts it.
struct Of<'a> {
    now: MonoTime,
    metrics: &'a WorkerMetrics,
}

/// Sends a piece of audio that was cut anew.
fn send_piece(
    of: &Of<'_>,
    to: &mut PeerLeg,
    (piece, payload): (&Piece, &[u8]),
    out: &mut [u8],
    taps: Option<&mut Taps>,
) {
    let Some((header, rest)) = out.split_first_chunk_mut::<HEADER_BYTES>() else { return };
    let (Some(room), Some(leg)) = (rest.get_mut(..payload.len()), to.leg()) else { return };
    room.copy_from_slice(payload);
    leg.write_piece(of.now, header, piece, payload);
    if let Some(taps) = taps {
        taps.said(said(of.now, header, payload));
    }
    transmit(of, to, out, payload.len());
}

/// What is heard of a packet, for listeners.
const fn said<'a>(now: MonoTime, header: &[u8; HEADER_BYTES], payload: &'a [u8]) -> Said<'a> {
    let &[_, _, _, _, t0, t1, t2, t3, ..] = header;
    Said { due: now, ts: u32::from_be_bytes([t0, t1, t2, t3]), payload }
}

#[inline]
fn transmit(of: &Of<'_>, to: &mut PeerLeg, packet: &mut [u8], payload_bytes: usize) {
    match to.send(packet, HEADER_BYTES + payload_bytes) {
        Ok(sent) => of.metrics.sent(Kind::Rtp, sent),
        Err(_) => of.metrics.dropped(DropReason::SocketFull),
    }
}

/// Writes the header in front of a payload and sends both; behind them is room for protection.
#[inline]
fn send(
    of: Of<'_>,
    relay: &mut Relay,
    to: &mut PeerLeg,
    (packet, payload_bytes): (&mut [u8], usize),
    taps: Option<&mut Taps>,
    what: Passing,
) {
    let Passing { kind, arrival, marker, .. } = what;
    let Some((header, payload)) = packet.split_first_chunk_mut::<HEADER_BYTES>() else { return };
    let Some(leg) = to.leg() else { return };
    let ticks = match kind {
        PassedKind::Audio => {
            leg.config().audio.payload_ticks(payload.get(..payload_bytes).unwrap_or_default())
        }
        PassedKind::Event | PassedKind::Comfort => 0,
    };
    let passed = Passed { kind, arrival, marker, payload_bytes, ticks };
    if !leg.write_relayed(of.now, header, relay, passed) {
        return;
    }
    if let Some(taps) = taps
        && kind == PassedKind::Audio
    {
        taps.said(said(of.now, header, payload.get(..payload_bytes).unwrap_or_default()));
    }
    transmit(&of, to, packet, payload_bytes);
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
