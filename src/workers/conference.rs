//! Three who talk with each other: the peer of a call, whoever is at the agent's end, and a leg
//! that has joined them, the *guest*.
//!
//! One clock for all, that of the peer's pacer. Every ptime it takes from each what is due: of the
//! agent what its queue holds, of everybody else what has come over a network and waits in a jitter
//! buffer. Each then hears the sum of the two others, in linear samples at the rate of the peer's
//! sounds, coded as that leg settled. See decision 47.

use media::blocks::BlockPool;
use media::codec::opus::Settings;
use media::codec::{AudioFormat, l16};
use media::convert::Converter;
use media::leg::Heard;
use media::mix;
use media::rtp::{Arrival, Frame, HEADER_BYTES};
use media::time::MonoTime;

use super::bridge::BridgeLeg;
use super::command::LegLink;
use super::context::Context;
use super::inflow::{Inflow, Sounded};
use super::samples;
use crate::telemetry::{DropReason, Kind, WorkerMetrics};

/// Samples of the longest frame: 60 ms at 48 kHz.
const FRAME_SAMPLES: usize = 2_880;
/// Longest packet that a leg gets, in milliseconds.
const PACKET_MAX_MS: u32 = 60;
/// Those who take part, in the order of their parts.
const PEER: usize = 0;
const AGENT: usize = 1;
const GUEST: usize = 2;

/// A leg that joins a call.
#[derive(Debug)]
pub enum GuestFrom {
    /// One that has been called.
    Called(Box<LegLink>),
    /// The leg aside.
    Aside,
    /// The leg at the agent's end, whose place another agent takes next.
    Agent,
}

/// The parts of a conversation of three.
#[derive(Debug)]
pub(super) struct Conference {
    /// The leg that has joined.
    pub(super) guest: Box<BridgeLeg>,
    guest_sound: LegSound,
    /// The sound of the leg at the agent's end, if there is one.
    agent_sound: Option<LegSound>,
    /// What the peer says, until the clock asks for it.
    peer: Inflow,
    /// What is mixed.
    format: AudioFormat,
    /// What each has said in this ptime.
    said: [Box<[i16]>; 3],
    /// Samples of it.
    count: usize,
    /// What one of them hears, and its bytes.
    heard: Box<[i16]>,
    bytes: Box<[u8]>,
    /// Number and media time of what the agent hears next.
    next: (u64, u64),
    /// There was anything for the peer in this ptime, and in the one before.
    sounds: (bool, bool),
    /// The agent had something to say in this ptime, heard or not.
    pub(super) agent_spoke: bool,
    /// The control plane was told that the guest is silent.
    pub(super) told_silent: bool,
}

/// What one leg says and hears.
#[derive(Debug)]
struct LegSound {
    inflow: Inflow,
    cut: Cut,
}

impl LegSound {
    fn new(own: AudioFormat, mixed: AudioFormat) -> Self {
        Self { inflow: Inflow::new(own, mixed), cut: Cut::new(mixed, own) }
    }

    /// Follows the formats of leg and mix.
    fn follow(&mut self, blocks: &mut BlockPool, own: AudioFormat, mixed: AudioFormat) {
        if !self.inflow.takes(own) {
            self.inflow.release(blocks);
            self.inflow = Inflow::new(own, mixed);
        }
        self.inflow.listen_as(mixed);
        if (self.cut.converter.from(), self.cut.converter.to()) != (mixed, own) {
            self.cut = Cut::new(mixed, own);
        }
    }
}

/// What a leg hears, in packets as long as it wants them.
#[derive(Debug)]
struct Cut {
    converter: Converter,
    /// What does not fill a packet yet.
    waiting: Box<[u8]>,
    length: usize,
}

impl Cut {
    fn new(mixed: AudioFormat, own: AudioFormat) -> Self {
        let waiting = vec![0; own.bytes(PACKET_MAX_MS)].into();
        Self { converter: Converter::new(mixed, own), waiting, length: 0 }
    }

    /// Sends `leg` what it hears in this ptime; what does not fill a packet waits for the next.
    fn send(&mut self, ctx: &mut Context, leg: &mut BridgeLeg, mixed: &[u8]) {
        let Some(format) = leg.peer.format() else { return };
        let (may, audio, ptime_ms) = (format.send, format.media.audio, format.media.ptime_ms);
        // A sound or digits of ours have a clock of their own.
        if leg.is_busy() {
            self.length = 0;
            return;
        }
        if !may || audio != self.converter.to() {
            self.length = 0;
            return self.pass_over(leg, mixed);
        }
        if self.converter.max_output(mixed.len()) > ctx.convert.len() {
            return;
        }
        let length = self.converter.convert(mixed, &mut ctx.convert);
        let Context { now, packet, convert, metrics, .. } = ctx;
        let mut wire = Wire { now: *now, packet, metrics };
        let made = convert.get(..length).unwrap_or_default();
        if !audio.codec.is_packets() {
            let wanted = audio.bytes(ptime_ms).clamp(1, self.waiting.len().max(1));
            self.cut(made, wanted, |payload| wire.send(leg, payload));
        } else if !made.is_empty() {
            wire.send(leg, made);
        } else if self.converter.held_ticks() == 0 {
            // Nobody speaks, and the leg wants no packets that say so.
            self.pass_over(leg, mixed);
        }
    }

    /// Media time goes on though nothing is sent (RFC 3550 5.1).
    fn pass_over(&self, leg: &mut BridgeLeg, mixed: &[u8]) {
        let from = self.converter.from();
        let samples = from.payload_samples(mixed.len()) as u64;
        let clock_hz = u64::from(self.converter.to().clock_hz());
        let ticks = samples * clock_hz / u64::from(from.rate_hz.max(1));
        if let Some(leg) = leg.peer.leg() {
            leg.pause(u32::try_from(ticks).unwrap_or(0));
        }
    }

    /// Gives packets of `wanted` bytes to `sink` as they are full.
    fn cut(&mut self, made: &[u8], wanted: usize, mut sink: impl FnMut(&[u8])) {
        let mut rest = made;
        while !rest.is_empty() {
            let room = wanted.saturating_sub(self.length);
            let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            if let Some(waiting) = self.waiting.get_mut(self.length..self.length + now.len()) {
                waiting.copy_from_slice(now);
            }
            self.length += now.len();
            rest = later;
            if self.length >= wanted {
                self.length = 0;
                sink(self.waiting.get(..wanted).unwrap_or_default());
            }
        }
    }
}

/// What a packet leaves by.
struct Wire<'a> {
    now: MonoTime,
    packet: &'a mut [u8],
    metrics: &'a WorkerMetrics,
}

impl Wire<'_> {
    fn send(&mut self, leg: &mut BridgeLeg, payload: &[u8]) {
        let Some((header, rest)) = self.packet.split_first_chunk_mut::<HEADER_BYTES>() else {
            return;
        };
        let (Some(room), Some(own)) = (rest.get_mut(..payload.len()), leg.peer.leg()) else {
            return;
        };
        room.copy_from_slice(payload);
        own.write_audio(self.now, header, payload);
        match leg.peer.send(self.packet, HEADER_BYTES + payload.len()) {
            Ok(sent) => self.metrics.sent(Kind::Rtp, sent),
            Err(_) => self.metrics.dropped(DropReason::SocketFull),
        }
    }
}

impl Conference {
    /// `guest` joins a peer whose audio is `peer` and whose sounds are `sounds`; at the agent's end
    /// there may be a leg that speaks `agent`.
    pub(super) fn new(
        guest: Box<BridgeLeg>,
        (peer, sounds): (AudioFormat, AudioFormat),
        agent: Option<AudioFormat>,
    ) -> Self {
        let format = sounds.linear();
        let own = guest.audio(peer);
        Self {
            guest,
            guest_sound: LegSound::new(own, format),
            agent_sound: agent.map(|agent| LegSound::new(agent, format)),
            peer: Inflow::new(peer, format),
            format,
            said: std::array::from_fn(|_| vec![0; FRAME_SAMPLES].into()),
            count: 0,
            heard: vec![0; FRAME_SAMPLES].into(),
            bytes: vec![0; FRAME_SAMPLES * 2].into(),
            next: (0, 0),
            sounds: (false, false),
            agent_spoke: false,
            told_silent: false,
        }
    }

    /// What the agent hears: linear samples at the rate of the mix.
    pub(super) const fn format(&self) -> AudioFormat {
        self.format
    }

    /// When its guest has something to do.
    pub(super) fn deadline(&self) -> MonoTime {
        self.guest.deadline()
    }

    /// Follows another format of the peer, or of a leg.
    pub(super) fn follow(
        &mut self,
        blocks: &mut BlockPool,
        (peer, sounds): (AudioFormat, AudioFormat),
        agent: Option<AudioFormat>,
    ) {
        if sounds.linear() != self.format {
            self.format = sounds.linear();
            // Media time of the agent's mix counts at its rate.
            self.next = (self.next.0, 0);
        }
        if !self.peer.takes(peer) {
            self.peer.release(blocks);
            self.peer = Inflow::new(peer, self.format);
        }
        self.peer.listen_as(self.format);
        let own = self.guest.audio(peer);
        self.guest_sound.follow(blocks, own, self.format);
        match (&mut self.agent_sound, agent) {
            (Some(sound), Some(agent)) => sound.follow(blocks, agent, self.format),
            (None, Some(agent)) => self.agent_sound = Some(LegSound::new(agent, self.format)),
            (Some(sound), None) => {
                sound.inflow.release(blocks);
                self.agent_sound = None;
            }
            (None, None) => {}
        }
    }

    /// Gives the memory back; the guest is all that is left.
    pub(super) fn end(mut self, blocks: &mut BlockPool) -> Box<BridgeLeg> {
        self.peer.release(blocks);
        self.guest_sound.inflow.release(blocks);
        if let Some(sound) = &mut self.agent_sound {
            sound.inflow.release(blocks);
        }
        self.guest
    }

    /// Takes a packet of the peer.
    #[inline]
    pub(super) fn hear_peer(
        &mut self,
        now: MonoTime,
        blocks: &mut BlockPool,
        heard: Heard,
        datagram: &[u8],
    ) {
        self.peer.put(now, blocks, heard, datagram);
    }

    /// Takes a frame of a peer on a line.
    #[inline]
    pub(super) fn hear_line(
        &mut self,
        now: MonoTime,
        blocks: &mut BlockPool,
        arrival: Arrival,
        payload: &[u8],
    ) {
        self.peer.put_audio(now, blocks, arrival, payload);
    }

    /// Takes a packet of the guest.
    #[inline]
    pub(super) fn hear_guest(
        &mut self,
        now: MonoTime,
        blocks: &mut BlockPool,
        heard: Heard,
        datagram: &[u8],
    ) {
        self.guest_sound.inflow.put(now, blocks, heard, datagram);
    }

    /// Takes a packet of the leg at the agent's end.
    #[inline]
    pub(super) fn hear_agent(
        &mut self,
        now: MonoTime,
        blocks: &mut BlockPool,
        heard: Heard,
        datagram: &[u8],
    ) {
        if let Some(sound) = &mut self.agent_sound {
            sound.inflow.put(now, blocks, heard, datagram);
        }
    }

    /// A ptime begins: what the peer and the guest say in it. Whom others may not hear is silent;
    /// so is who holds the call, for that is where music would come from.
    pub(super) fn begin(
        &mut self,
        now: MonoTime,
        blocks: &mut BlockPool,
        ptime_ms: u32,
        peer_speaks: bool,
    ) {
        self.count = self.format.samples(ptime_ms).min(FRAME_SAMPLES);
        let guest_speaks = !self.guest.peer.is_held();
        let Self { said: [peer, agent, guest], bytes, count, .. } = self;
        if let Some(agent) = agent.get_mut(..*count) {
            agent.fill(0);
        }
        let frame = (bytes.as_mut(), peer.as_mut());
        pull(&mut self.peer, (now, &mut *blocks), frame, (*count, peer_speaks));
        let (inflow, frame) = (&mut self.guest_sound.inflow, (bytes.as_mut(), guest.as_mut()));
        let sounds = pull(inflow, (now, blocks), frame, (*count, guest_speaks));
        self.sounds = (sounds, self.sounds.0);
    }

    /// What the leg at the agent's end says in this ptime, as far as it is heard.
    pub(super) fn agent_leg_says(&mut self, now: MonoTime, blocks: &mut BlockPool, heard: bool) {
        let Self { said, bytes, count, agent_sound, .. } = self;
        let ([_, agent, _], Some(sound)) = (said, agent_sound) else { return };
        let frame = (bytes.as_mut(), agent.as_mut());
        self.sounds.0 |= pull(&mut sound.inflow, (now, blocks), frame, (*count, heard));
    }

    /// What the agent says in this ptime: a frame coded as `sounds`.
    pub(super) fn agent_says(&mut self, sounds: AudioFormat, frame: &[u8]) {
        let Self { said: [_, agent, _], count, .. } = self;
        let Some(agent) = agent.get_mut(..*count) else { return };
        samples::read(sounds, frame, agent);
        self.sounds.0 = true;
    }

    /// Writes what the peer hears to `frame`, which is coded as `sounds`. Whether there is anything
    /// to be heard, and whether that begins.
    pub(super) fn peer_hears(&mut self, sounds: AudioFormat, frame: &mut [u8]) -> (bool, bool) {
        self.mix_for(PEER);
        samples::write(sounds, self.heard.get(..self.count).unwrap_or_default(), frame);
        (self.sounds.0, self.sounds == (true, false))
    }

    /// Sends the guest what it hears.
    pub(super) fn guest_hears(&mut self, ctx: &mut Context) {
        self.mix_for(GUEST);
        let mixed = bytes_of(&self.heard, &mut self.bytes, self.count);
        self.guest_sound.cut.send(ctx, &mut self.guest, mixed);
    }

    /// Sends the leg at the agent's end what it hears.
    pub(super) fn agent_leg_hears(&mut self, ctx: &mut Context, leg: &mut BridgeLeg) {
        self.mix_for(AGENT);
        let mixed = bytes_of(&self.heard, &mut self.bytes, self.count);
        if let Some(sound) = &mut self.agent_sound {
            sound.cut.send(ctx, leg, mixed);
        }
    }

    /// The frame that the agent hears.
    pub(super) fn agent_hears(&mut self) -> Frame<'_> {
        self.mix_for(AGENT);
        let (ext_seq, ext_ts) = self.next;
        self.next = (ext_seq + 1, ext_ts + self.count as u64);
        let payload = bytes_of(&self.heard, &mut self.bytes, self.count);
        Frame { ext_seq, ext_ts, marker: false, payload }
    }

    /// Media time of guest and agent goes on by so many ptimes in which nothing could be sent.
    pub(super) fn skip(&mut self, ptime_ms: u32, ptimes: u32) {
        self.guest.hold_media(ptime_ms, ptimes);
        let samples = self.format.samples(ptime_ms) as u64 * u64::from(ptimes);
        self.next = (self.next.0 + u64::from(ptimes), self.next.1 + samples);
    }

    /// Codes Opus for each leg as that wants it.
    pub(super) fn tune(&mut self, agent: Option<&Settings>) {
        if let Some(format) = self.guest.peer.format() {
            self.guest_sound.cut.converter.tune(&format.media.opus);
        }
        if let (Some(sound), Some(settings)) = (&mut self.agent_sound, agent) {
            sound.cut.converter.tune(settings);
        }
    }

    fn mix_for(&mut self, place: usize) {
        let count = self.count;
        let Self { said, heard, .. } = self;
        let parts: [&[i16]; 3] = said.each_ref().map(|said| said.get(..count).unwrap_or_default());
        mix::minus(&parts, place, heard.get_mut(..count).unwrap_or_default());
    }
}

/// The bytes of the first `count` samples.
fn bytes_of<'b>(samples: &[i16], bytes: &'b mut [u8], count: usize) -> &'b [u8] {
    l16::to_le(samples.get(..count).unwrap_or_default(), bytes);
    bytes.get(..count * 2).unwrap_or_default()
}

/// Takes what is due of a stream, as samples; silence if it may not be heard. Whether there is
/// anything, if only the noise of a pause.
fn pull(
    inflow: &mut Inflow,
    (now, blocks): (MonoTime, &mut BlockPool),
    (bytes, samples): (&mut [u8], &mut [i16]),
    (count, heard): (usize, bool),
) -> bool {
    let (bytes, samples) = (bytes.get_mut(..count * 2), samples.get_mut(..count));
    let (Some(bytes), Some(samples)) = (bytes, samples) else { return false };
    // Taken even if nobody hears it: it would be late afterwards.
    let sounded = inflow.pull(now, blocks, bytes);
    if !heard || sounded == Sounded::Nothing {
        samples.fill(0);
        return false;
    }
    l16::from_le(bytes, samples);
    true
}
