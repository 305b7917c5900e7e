//! One RTP leg of a call: what its packets mean, and the headers of what is sent on it.
//!
//! The leg owns no socket and no buffer. Received bytes are judged where they lie
//! ([`Leg::receive`]); headers of outgoing packets are written in front of a payload that is there
//! already ([`Leg::write_audio`]).

mod relayed;
#[cfg(test)]
mod tests;

pub use relayed::{Passed, PassedKind};

use std::time::Duration;

use crate::codec::{AudioFormat, opus};
use crate::dtmf::{self, DtmfError, EVENT_BYTES, Pressed};
use crate::rtcp::{self, Ntp, SessionInput};
use crate::rtp::{
    Arrival, Frame, HEADER_BYTES, LossPattern, Packet, Received, Receiver, Reorder, Sender,
};
use crate::stats::{Impairment, LegSnapshot, voip_metrics};
use crate::time::MonoTime;

/// Packets that may be out of order towards an agent before a missing one is given up.
pub const REORDER_FRAMES: usize = 4;
/// Payload type of comfort noise at 8 kHz (RFC 3551 6), whether or not it was settled.
pub const COMFORT_PT: u8 = 13;
/// Its clock, in Hz.
const COMFORT_HZ: u32 = 8_000;
/// Longest audio that is kept while it waits for its turn, in milliseconds.
pub const REORDER_FRAME_MS: u32 = 60;

/// What offer and answer settled about a leg's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegConfig {
    /// Codec and rate.
    pub audio: AudioFormat,
    /// Payload type of the audio that we send.
    pub pt: u8,
    /// Payload type of the audio that comes; differs from `pt` only if the peer's answer renumbered
    /// it.
    pub receive_pt: u8,
    /// Payload type of the telephone events (RFC 4733) that we send, if the peer takes any.
    pub dtmf_pt: Option<u8>,
    /// Payload type of the telephone events that come.
    pub receive_dtmf_pt: Option<u8>,
    /// Payload type of the comfort noise (RFC 3389) that we send, if the peer takes any.
    pub cn_pt: Option<u8>,
    /// Milliseconds of audio a packet that we send.
    pub ptime_ms: u32,
    /// What the peer wants of Opus, if the audio is that.
    pub opus: opus::Settings,
}

/// Random numbers that a stream starts from, so that nobody can guess it (RFC 3550 5.1).
#[derive(Clone, Copy, Debug)]
pub struct StreamStart {
    /// Our SSRC.
    pub ssrc: u32,
    /// First sequence number.
    pub seq: u16,
    /// First timestamp.
    pub ts: u32,
    /// Spreads reports in time, and names the stream (RFC 7022).
    pub seed: u64,
}

/// What a received packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Audio: where its payload lies in the packet, and its place in the stream.
    Audio(HeardAudio),
    /// Part of a telephone event; ask [`Leg::poll_digit`].
    Event(Arrival),
    /// Comfort noise (RFC 3389): what the silence until the next audio sounds like.
    Comfort(HeardAudio),
    /// A packet of the stream that holds nothing for us; it has its place in the order all the
    /// same.
    Nothing(Arrival, Ignored),
    /// A copy, a stray, a packet of another source, or no RTP at all.
    Ignored(Ignored),
}

/// Audio within a received packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeardAudio {
    /// Offset of the payload in the packet.
    pub start: usize,
    /// Bytes of the payload.
    pub len: usize,
    /// Place on the receiver's timeline.
    pub arrival: Arrival,
    /// First frame of a talkspurt.
    pub marker: bool,
}

/// Why a packet was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Not RTP.
    Malformed,
    /// A payload type that was not settled.
    PayloadType,
    /// A copy, a stray or a straggler of a source that was superseded.
    NotInStream,
    /// Audio that is no whole number of samples or no packet of its codec, or none.
    Size,
}

/// Counts of what was ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IgnoredCounters {
    /// Not RTP.
    pub malformed: u64,
    /// Unknown payload types.
    pub payload_type: u64,
    /// Odd sizes.
    pub size: u64,
}

/// Why digits cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendDigitsError {
    /// The peer takes no telephone events.
    #[error("the peer takes no telephone events")]
    NotSettled,
    /// Digits, length or gap are out of range.
    #[error(transparent)]
    Digits(#[from] DtmfError),
}

/// One RTP leg.
#[derive(Debug)]
pub struct Leg {
    config: LegConfig,
    receiver: Receiver,
    reorder: Reorder,
    sender: Sender,
    digits_in: dtmf::Receiver,
    digits_out: dtmf::Sender,
    rtcp: rtcp::Session,
    losses: LossPattern,
    /// The peer wants extended reports (RFC 3611).
    extended: bool,
    ignored: IgnoredCounters,
}

impl Leg {
    /// A leg that starts its own stream at `start`.
    pub fn new(now: MonoTime, config: LegConfig, start: StreamStart) -> Self {
        let clock_hz = config.audio.clock_hz();
        let mut receiver = Receiver::new(clock_hz);
        receiver.set_event_pt(config.receive_dtmf_pt);
        Self {
            receiver,
            reorder: reorder(&config),
            sender: Sender::new(start.ssrc, start.seq, start.ts),
            digits_in: dtmf::Receiver::new(clock_hz),
            digits_out: dtmf::Sender::new(clock_hz, config.ptime_ms),
            rtcp: rtcp::Session::new(now, start.ssrc, &format!("{:016x}", start.seed), start.seed),
            losses: LossPattern::default(),
            extended: false,
            ignored: IgnoredCounters::default(),
            config,
        }
    }

    /// Takes what a new offer and answer settled. Our stream goes on.
    pub fn reconfigure(&mut self, config: LegConfig) {
        let clock_hz = config.audio.clock_hz();
        let other_clock = clock_hz != self.config.audio.clock_hz();
        if config.audio != self.config.audio {
            self.receiver.set_clock(clock_hz);
        }
        self.receiver.set_event_pt(config.receive_dtmf_pt);
        if other_clock {
            self.digits_in = dtmf::Receiver::new(clock_hz);
        }
        let other_ptime = config.ptime_ms != self.config.ptime_ms;
        // Digits that the peer takes no more would never be over.
        if other_clock || config.dtmf_pt.is_none() {
            self.digits_out = dtmf::Sender::new(clock_hz, config.ptime_ms);
        } else {
            self.digits_out.set_ptime(config.ptime_ms);
        }
        // What waits in another codec would be taken for this one.
        if other_ptime || config.audio != self.config.audio {
            self.reorder = reorder(&config);
        }
        self.config = config;
    }

    /// What holds.
    pub const fn config(&self) -> &LegConfig {
        &self.config
    }

    /// Judges a packet that arrived at `now`.
    #[inline]
    pub fn receive(&mut self, now: MonoTime, datagram: &[u8]) -> Heard {
        let Ok(packet) = Packet::parse(datagram) else {
            self.ignored.malformed += 1;
            return Heard::Ignored(Ignored::Malformed);
        };
        if packet.header.pt == self.config.receive_pt {
            let bytes = packet.payload.len();
            let whole = self.config.audio.is_whole(packet.payload);
            return match self.place(now, &packet) {
                Received::Accept(arrival) | Received::Late(arrival) => {
                    if !whole {
                        self.ignored.size += 1;
                        return Heard::Nothing(arrival, Ignored::Size);
                    }
                    // The payload is a slice of the datagram, so this is its offset.
                    let start = packet.payload.as_ptr().addr() - datagram.as_ptr().addr();
                    let marker = packet.header.marker;
                    Heard::Audio(HeardAudio { start, len: bytes, arrival, marker })
                }
                _ => Heard::Ignored(Ignored::NotInStream),
            };
        }
        self.receive_other(now, datagram, &packet)
    }

    /// Places a packet and notes what was lost before it.
    #[inline]
    fn place(&mut self, now: MonoTime, packet: &Packet<'_>) -> Received {
        let received = self.receiver.receive(now, packet);
        if let Received::Accept(arrival) = &received {
            self.losses.note(arrival, &self.receiver);
        }
        received
    }

    #[cold]
    fn receive_other(&mut self, now: MonoTime, datagram: &[u8], packet: &Packet<'_>) -> Heard {
        let (Received::Accept(arrival) | Received::Late(arrival)) = self.place(now, packet) else {
            return Heard::Ignored(Ignored::NotInStream);
        };
        if Some(packet.header.pt) != self.config.receive_dtmf_pt {
            let clock_hz = self.config.audio.clock_hz();
            if packet.header.pt == COMFORT_PT && clock_hz == COMFORT_HZ {
                let start = packet.payload.as_ptr().addr() - datagram.as_ptr().addr();
                let (len, marker) = (packet.payload.len(), packet.header.marker);
                return Heard::Comfort(HeardAudio { start, len, arrival, marker });
            }
            self.ignored.payload_type += 1;
            return Heard::Nothing(arrival, Ignored::PayloadType);
        }
        match self.digits_in.receive(now, &packet.header, packet.payload) {
            Ok(()) => Heard::Event(arrival),
            Err(_) => Heard::Nothing(arrival, Ignored::Malformed),
        }
    }

    /// The next digit that the peer pressed and let go.
    pub fn poll_digit(&mut self, now: MonoTime) -> Option<Pressed> {
        self.digits_in.poll(now)
    }

    /// True if a frame of this number needs no wait for others; it counts as passed on then.
    #[inline]
    pub fn passes(&mut self, ext_seq: u64) -> bool {
        self.reorder.passes(ext_seq)
    }

    /// Takes a frame that is out of order; what is in order then goes to `sink`.
    pub fn reorder(&mut self, now: MonoTime, frame: Frame<'_>, sink: impl FnMut(Frame<'_>)) {
        self.reorder.push(now, frame, sink);
    }

    /// A packet without audio takes its place in the order.
    pub fn pass_over(&mut self, now: MonoTime, ext_seq: u64, sink: impl FnMut(Frame<'_>)) {
        self.reorder.pass_over(now, ext_seq, sink);
    }

    /// Gives frames that waited long enough to `sink`.
    pub fn poll_reorder(&mut self, now: MonoTime, sink: impl FnMut(Frame<'_>)) {
        self.reorder.poll(now, sink);
    }

    /// When [`Leg::poll_reorder`] or [`Leg::poll_digit`] has something to do.
    pub fn deadline(&self) -> Option<MonoTime> {
        match (self.reorder.deadline(), self.digits_in.deadline()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Writes the header of an audio packet whose `payload` follows it.
    #[inline]
    pub fn write_audio(&mut self, now: MonoTime, out: &mut [u8; HEADER_BYTES], payload: &[u8]) {
        let ticks = self.config.audio.payload_ticks(payload);
        self.sender.write(now, out, self.config.pt, payload.len(), ticks);
    }

    /// The telephone event that this tick sends instead of audio, if digits are being sent: writes
    /// the whole packet and returns its length; 0 for the silent gap between digits.
    pub fn write_event(&mut self, out: &mut [u8; HEADER_BYTES + EVENT_BYTES]) -> Option<usize> {
        if !self.digits_out.is_busy() {
            return None;
        }
        let pt = self.config.dtmf_pt?;
        let ticks = self.config.audio.ticks(self.config.ptime_ms);
        match self.digits_out.tick(self.sender.ts()) {
            dtmf::Tick::Idle => None,
            dtmf::Tick::Gap => {
                self.sender.pause(ticks);
                Some(0)
            }
            dtmf::Tick::Event(event) => {
                self.sender.hold(ticks);
                let (header, payload) = out.split_first_chunk_mut::<HEADER_BYTES>()?;
                self.sender.write_event(header, pt, event.marker, event.ts, EVENT_BYTES);
                payload.copy_from_slice(&event.payload);
                Some(HEADER_BYTES + EVENT_BYTES)
            }
        }
    }

    /// Queues digits to be sent as telephone events.
    ///
    /// # Errors
    ///
    /// A [`SendDigitsError`] that says what is in the way.
    pub fn send_digits(
        &mut self,
        digits: &str,
        duration_ms: Option<u32>,
        gap_ms: Option<u32>,
    ) -> Result<(), SendDigitsError> {
        if self.config.dtmf_pt.is_none() {
            return Err(SendDigitsError::NotSettled);
        }
        Ok(self.digits_out.queue(digits, duration_ms, gap_ms)?)
    }

    /// Drops the digits that are being sent, and those that wait: another peer hears the stream.
    pub fn forget_digits(&mut self) {
        let clock_hz = self.config.audio.clock_hz();
        self.digits_out = dtmf::Sender::new(clock_hz, self.config.ptime_ms);
    }

    /// True while digits are being sent.
    pub const fn sends_digits(&self) -> bool {
        self.digits_out.is_busy()
    }

    /// When [`Leg::poll_report`] has a report.
    pub const fn report_deadline(&self) -> Option<MonoTime> {
        self.rtcp.deadline()
    }

    /// Writes the RTCP report that is due to `out` and tells its length. `ntp` is the wall clock at
    /// `now`.
    pub fn poll_report(&mut self, now: MonoTime, ntp: Ntp, out: &mut [u8]) -> Option<usize> {
        if self.rtcp.deadline().is_some_and(|at| at <= now) {
            self.describe();
        }
        let Self { rtcp, sender, receiver, config, .. } = self;
        let clock_hz = config.audio.clock_hz();
        rtcp.poll(now, SessionInput { ntp, sender, clock_hz, receiver }, out).ok().flatten()
    }

    /// Writes the last report, with a goodbye, to `out` and tells its length.
    pub fn last_report(&mut self, now: MonoTime, ntp: Ntp, out: &mut [u8]) -> Option<usize> {
        self.describe();
        let Self { rtcp, sender, receiver, config, .. } = self;
        let clock_hz = config.audio.clock_hz();
        rtcp.close(now, SessionInput { ntp, sender, clock_hz, receiver }, "", out).ok()
    }

    /// Tells whether the peer is sent extended reports (RFC 3611).
    pub const fn extend_reports(&mut self, extended: bool) {
        self.extended = extended;
    }

    /// Lets the next report say how the peer sounds.
    fn describe(&mut self) {
        let Some(ssrc) = self.receiver.ssrc().filter(|_| self.extended) else { return };
        let wait = Duration::from_millis(u64::from(self.config.ptime_ms));
        let (leg, bursts) = (self.snapshot(Duration::ZERO), self.losses.bursts());
        let late = self.reorder.counters().late;
        let sound = (bursts, Impairment::bare(self.config.audio));
        let metrics = voip_metrics(ssrc, &leg, sound, late, wait, self.config.ptime_ms);
        self.rtcp.describe(metrics);
    }

    /// Takes an RTCP datagram of the peer; false if it is none, or not the peer's.
    pub fn handle_report(&mut self, now: MonoTime, datagram: &[u8]) -> bool {
        let source = self.receiver.ssrc();
        let handled = self.rtcp.handle(now, source, datagram);
        matches!(handled, Ok(rtcp::Handled::Report | rtcp::Handled::Bye))
    }

    /// How the leg fares; `buffer` is how long audio waits before it is played.
    pub fn snapshot(&self, buffer: Duration) -> LegSnapshot {
        let (receiver, sender, session) = (&self.receiver, &self.sender, &self.rtcp);
        let bursts = self.losses.bursts();
        let impairment = Impairment::bare(self.config.audio);
        LegSnapshot::take(receiver, sender, session, bursts, buffer, impairment)
    }

    /// Lets `ticks` of media time pass of which nothing was to be sent.
    pub const fn hold(&mut self, ticks: u32) {
        self.sender.hold(ticks);
    }

    /// Lets `ticks` pass without a packet; the next one begins a talkspurt.
    pub const fn pause(&mut self, ticks: u32) {
        self.sender.pause(ticks);
    }

    /// The next packet begins a talkspurt.
    pub const fn mark(&mut self) {
        self.sender.mark();
    }

    /// The receiving half.
    pub const fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// The receiving half, to be asked for reports.
    pub const fn receiver_mut(&mut self) -> &mut Receiver {
        &mut self.receiver
    }

    /// The sending half.
    pub const fn sender(&self) -> &Sender {
        &self.sender
    }

    /// What was ignored.
    pub const fn ignored(&self) -> &IgnoredCounters {
        &self.ignored
    }
}

/// The window in which frames towards an agent are put in order.
fn reorder(config: &LegConfig) -> Reorder {
    let wait = Duration::from_millis(u64::from(config.ptime_ms));
    Reorder::new(REORDER_FRAMES, config.audio.bytes(REORDER_FRAME_MS), wait)
}
