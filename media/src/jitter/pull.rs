//! Taking sound out of a jitter buffer.

use std::time::Duration;

use super::decode::{Decode, Plain};
use super::queue::Content;
use super::ready::Urgency;
use super::report::{Kind, Pulled};
use super::{JitterBuffer, State};
use crate::blocks::BlockPool;
use crate::comfort::NoiseShape;
use crate::conceal::AUDIBLE_MS;
use crate::pitch;
use crate::time::MonoTime;

/// Delay above the target from which on it is lowered, in nanoseconds.
const ABOVE_NS: i64 = 10_000_000;
/// Delay below the target from which on it is raised.
const BELOW_NS: i64 = 5_000_000;
/// Delay below the target at which a gap is used to raise it: packets come later than they did, and
/// what is missing may well be late.
const HOLD_NS: i64 = 15_000_000;
/// Delay above the target that is lowered quickly, and at places where that may be heard.
const FAR_ABOVE_NS: i64 = 60_000_000;
/// The least time between two steps down.
const DOWN_EVERY: Duration = Duration::from_millis(120);
/// The same while the delay is far above the target.
const DOWN_FAST_EVERY: Duration = Duration::from_millis(40);
/// The least time from a place that could not be left out to the next try: sound without a period,
/// such as noise, has none a frame later either, and the search costs more than all else of a pull.
const DOWN_AGAIN: Duration = Duration::from_millis(40);
/// How much louder than the background quiet sound may be.
const QUIET_FACTOR: f32 = 2.0;
/// Sound that is quiet on any background: -58 dBov.
const QUIET_RMS: f32 = 40.0;
/// Milliseconds in which noise comes and goes.
const NOISE_FADE_MS: u32 = 10;

/// What comes next.
enum Step {
    /// The oldest packet is decoded.
    Decode,
    /// So many samples are missing, and the sound behind them is there.
    Gap(usize),
    /// The same, and the delay is to be raised by so many samples before the gap is passed.
    Hold(usize),
    /// Nothing is there.
    Dry,
    /// So many samples of a pause.
    Pause(usize),
    /// The oldest packet holds nothing that is heard.
    Pass,
}

impl JitterBuffer {
    /// As [`Self::pull_with`], with a function that decodes and knows nothing of what is lost.
    pub fn pull(
        &mut self,
        now: MonoTime,
        blocks: &mut BlockPool,
        out: &mut [i16],
        decode: impl FnMut(u8, &[u8], &mut [i16]) -> usize,
    ) -> Pulled {
        self.pull_with(now, blocks, out, &mut Plain(decode))
    }

    /// Fills `out` with the sound that is due at `now`. What `decode` writes beyond a packet's own
    /// length is not used.
    ///
    /// `out` is at most [`FRAME_MAX_MS`](super::FRAME_MAX_MS) long; what is beyond that is silence.
    pub fn pull_with(
        &mut self,
        now: MonoTime,
        blocks: &mut BlockPool,
        out: &mut [i16],
        decode: &mut impl Decode,
    ) -> Pulled {
        let (out, beyond) = out.split_at_mut(out.len().min(self.decoded.len()));
        beyond.fill(0);
        self.pull_samples = out.len();
        self.last_pull = now;
        let depth = self.depth();
        self.depth_min = self.depth_min.min(depth);
        self.depth_max = self.depth_max.max(depth);
        let scaled = self.hold_delay(now, blocks, decode);
        let mut pulled = Pulled::default();
        let mut filled = 0;
        while filled < out.len() {
            let rest = out.get_mut(filled..).unwrap_or_default();
            if !self.ready.is_empty() {
                let ready = self.units_of(self.ready.len());
                if filled == 0 {
                    pulled.ext_ts = Some(self.play_ts.saturating_sub(ready));
                }
                let len = self.play(rest);
                pulled.played += len;
                filled += len;
                continue;
            }
            let at = now + self.duration(filled);
            let len = match self.step(at, rest.len()) {
                Step::Decode => {
                    self.decode_head(blocks, decode);
                    0
                }
                Step::Pass => {
                    self.pass_head(blocks);
                    0
                }
                Step::Gap(len) if self.recover(blocks, len, decode) => 0,
                Step::Gap(len) => {
                    let len = len.min(rest.len());
                    self.conceal(rest, len, decode);
                    self.play_ts += self.units_of(len).max(1);
                    self.counters.concealed_samples += len as u64;
                    pulled.concealed += len;
                    len
                }
                Step::Hold(len) => {
                    let len = len.min(rest.len());
                    self.conceal(rest, len, decode);
                    self.counters.concealed_samples += len as u64;
                    self.counters.held_samples += len as u64;
                    pulled.concealed += len;
                    len
                }
                Step::Dry => self.dry(rest, &mut pulled, decode),
                Step::Pause(len) => {
                    let len = len.min(rest.len()).max(1);
                    self.conceal(rest, len, decode);
                    self.counters.comfort_samples += len as u64;
                    pulled.comfort += len;
                    len
                }
            };
            filled += len;
        }
        // Packets with contradicting times may have joined what waits to more than it was.
        self.keep_cap(blocks);
        pulled.kind = match (scaled, &pulled) {
            (_, Pulled { concealed: 1.., .. }) => Kind::Concealed,
            (_, Pulled { played: 0, .. }) if self.state == State::Idle => Kind::Silence,
            (_, Pulled { played, comfort, .. }) if comfort > played => Kind::Comfort,
            (Some(kind), _) => kind,
            (None, _) => Kind::Played,
        };
        pulled
    }

    /// What comes next, at `at`, when no decoded sound is left.
    fn step(&mut self, at: MonoTime, wanted: usize) -> Step {
        let Some(head) = self.queue.head() else {
            return if self.state == State::Playing { Step::Dry } else { Step::Pause(wanted) };
        };
        let (seq, ts, content, units) = (head.seq, head.ts, head.content, head.units);
        if content == Content::Other {
            return Step::Pass;
        }
        if self.state == State::Playing {
            let gap = ts.saturating_sub(self.play_ts);
            let missing = seq > self.next_seq;
            if gap > 0 && missing && gap <= self.gap_units_max() {
                // What was concealed while nothing was there is part of the gap.
                let stalled = self.units_of(self.stalled).min(gap);
                self.stalled = 0;
                self.play_ts += stalled;
                let left = self.samples_of(gap - stalled);
                if left > 0 {
                    let below = self.target(at) - self.delay(at);
                    if below > HOLD_NS {
                        return Step::Hold(self.samples_of_ns(below).max(1));
                    }
                    return Step::Gap(left);
                }
                self.play_ts = ts;
            } else if gap > 0 {
                self.begin_pause(missing);
            } else if ts + u64::from(units) <= self.play_ts && units > 0 {
                return Step::Pass;
            }
        }
        if content == Content::Comfort {
            return Step::Pass;
        }
        if self.state != State::Playing {
            let left = self.target(at) - self.delays.behind(at, ts);
            let samples = self.samples_of_ns(left);
            if samples > 0 {
                return Step::Pause(samples);
            }
            if self.state == State::Idle {
                self.next_seq = seq;
                // Out of silence, without a step.
                self.concealer.splice();
            }
            self.state = State::Playing;
            self.play_ts = ts;
        }
        Step::Decode
    }

    /// Sound that came, blended with what stood in for it before.
    fn play(&mut self, rest: &mut [i16]) -> usize {
        // In steps of 10 ms at most, by which the background is judged.
        let longest = rest.len().min(self.samples_of_ms(10));
        let out = rest.get_mut(..longest).unwrap_or_default();
        let len = self.ready.take(out);
        let out = out.get_mut(..len).unwrap_or_default();
        self.background.hear(pitch::rms(out));
        if self.filling.is_filling() && self.filling.finish() {
            self.concealer.splice();
        }
        self.concealer.play(out);
        self.mix_noise(out, 0.0);
        len
    }

    /// Fills `len` samples of what is missing or of a pause: what was there before fades, the
    /// background comes up.
    fn conceal(&mut self, rest: &mut [i16], len: usize, decode: &mut impl Decode) {
        let out = rest.get_mut(..len).unwrap_or_default();
        let concealing = self.concealer.is_concealing();
        if self.state == State::Idle && !concealing {
            out.fill(0);
            return;
        }
        let filled = if concealing { None } else { self.filling.fill(out, decode) };
        let left = match filled {
            Some(left) => {
                self.concealer.remember(out);
                left
            }
            None => self.concealer.conceal(out),
        };
        if !self.shaped {
            self.noise.set_level(self.background.rms());
        }
        self.mix_noise(out, 1.0 - left);
    }

    /// Lets the noise come or go to `part`.
    fn mix_noise(&mut self, out: &mut [i16], part: f32) {
        let from = self.noise_part;
        if from == 0.0 && part == 0.0 {
            return;
        }
        let reach = out.len() as f32 / self.samples_of_ms(NOISE_FADE_MS) as f32;
        let to = part.clamp(from - reach, from + reach);
        self.noise.mix(out, from, to);
        self.noise_part = to;
    }

    /// The queue ran dry in mid-sound.
    fn dry(&mut self, rest: &mut [i16], pulled: &mut Pulled, decode: &mut impl Decode) -> usize {
        if self.stalled == 0 {
            self.counters.underruns += 1;
        }
        let audible = self.samples_of_ms(AUDIBLE_MS).saturating_sub(self.stalled);
        let len = if audible > 0 { rest.len().min(audible) } else { rest.len() };
        self.conceal(rest, len, decode);
        if audible > 0 {
            pulled.concealed += len;
            self.counters.concealed_samples += len as u64;
        } else {
            pulled.comfort += len;
            self.counters.comfort_samples += len as u64;
        }
        self.stalled += len;
        len
    }

    /// The next sound waits anew. Unless packets are `missing`, what was taken for missing was a
    /// pause of the peer.
    fn begin_pause(&mut self, missing: bool) {
        if !missing && self.stalled > 0 {
            let silent = self.stalled.min(self.samples_of_ms(AUDIBLE_MS)) as u64;
            let counters = &mut self.counters;
            counters.concealed_samples = counters.concealed_samples.saturating_sub(silent);
            counters.comfort_samples += silent;
            counters.underruns = counters.underruns.saturating_sub(1);
        }
        self.stalled = 0;
        self.state = State::Pause;
    }

    fn samples_of_ns(&self, ns: i64) -> usize {
        let samples = i128::from(ns.max(0)) * i128::from(self.config.rate_hz) / 1_000_000_000;
        usize::try_from(samples).unwrap_or(usize::MAX)
    }

    /// Takes the place of a packet that is not heard.
    fn pass_head(&mut self, blocks: &mut BlockPool) {
        let Some(mut slot) = self.queue.pop() else { return };
        if self.state == State::Idle {
            self.next_seq = slot.seq;
            self.state = State::Pause;
        }
        self.pass(slot.seq);
        match slot.content {
            Content::Comfort => {
                let len = slot.payload.read(blocks, &mut self.payload);
                let payload = self.payload.get(..len).unwrap_or_default();
                if let Some(shape) = NoiseShape::parse(payload) {
                    self.noise.set_shape(&shape);
                    self.shaped = true;
                }
                if self.state == State::Playing {
                    self.begin_pause(false);
                }
                self.counters.played += 1;
            }
            Content::Other => self.counters.played += 1,
            // Its time has passed while it waited, by those around it.
            Content::Audio(_) => self.counters.discarded += 1,
        }
        slot.payload.clear(blocks);
    }

    /// Decodes the oldest packet.
    fn decode_head(&mut self, blocks: &mut BlockPool, decode: &mut impl Decode) {
        let Some(mut slot) = self.queue.pop() else { return };
        let Content::Audio(format) = slot.content else { return };
        self.pass(slot.seq);
        self.stalled = 0;
        self.counters.played += 1;
        let len = slot.payload.read(blocks, &mut self.payload);
        slot.payload.clear(blocks);
        let payload = self.payload.get(..len).unwrap_or_default();
        let samples = decode.decode(format, payload, &mut self.decoded);
        let whole = self.samples_of(u64::from(slot.units));
        let samples = samples.min(whole).min(self.decoded.len());
        let passed = self.samples_of(self.play_ts.saturating_sub(slot.ts)).min(samples);
        if slot.splice || passed > 0 {
            self.concealer.splice();
        }
        let waited = self.last_pull.since(slot.at) + self.duration(self.ready.len());
        self.waited_max = self.waited_max.max(waited);
        self.counters.decoded_samples += samples as u64;
        self.counters.dropped_samples += passed as u64;
        self.ready.push(self.decoded.get(passed..samples).unwrap_or_default());
        self.play_ts = slot.ts + u64::from(slot.units);
    }

    /// Makes up for a packet that is missing right before the oldest, if that repeats it: for all
    /// of the `len` samples of the gap, or not at all.
    fn recover(&mut self, blocks: &BlockPool, len: usize, decode: &mut impl Decode) -> bool {
        let Some(head) = self.queue.head() else { return false };
        let Content::Audio(format) = head.content else { return false };
        let whole = self.samples_of(u64::from(head.units));
        if len != whole || head.seq <= self.next_seq || 2 * whole > self.ready.room() {
            return false;
        }
        let bytes = head.payload.peek(blocks, &mut self.payload);
        let payload = self.payload.get(..bytes).unwrap_or_default();
        let Some(out) = self.decoded.get_mut(..whole) else { return false };
        if decode.recover(format, payload, out) < whole {
            return false;
        }
        self.ready.push(out);
        self.play_ts += u64::from(head.units);
        self.counters.recovered_samples += whole as u64;
        self.counters.decoded_samples += whole as u64;
        true
    }

    /// Makes sound shorter or longer if the delay is too high or too low.
    fn hold_delay(
        &mut self,
        now: MonoTime,
        blocks: &mut BlockPool,
        decode: &mut impl Decode,
    ) -> Option<Kind> {
        let filling = self.concealer.is_concealing() || self.filling.is_filling();
        if self.state != State::Playing || filling {
            return None;
        }
        let above = self.delay(now) - self.target(now);
        let quiet = (self.background.rms() * QUIET_FACTOR).max(QUIET_RMS);
        if above > ABOVE_NS {
            let far = above > FAR_ABOVE_NS;
            let every = if far { DOWN_FAST_EVERY } else { DOWN_EVERY };
            if now.since(self.scaled_at) < every
                || (!far && now.since(self.unscaled_at) < DOWN_AGAIN)
                || self.depth() < self.pull_samples + self.ready.to_shorten()
            {
                return None;
            }
            self.make_ready(self.ready.to_shorten(), blocks, decode);
            let urgency = if far { Urgency::Now } else { Urgency::Unheard };
            let left_out = self.ready.shorten(quiet, urgency);
            self.counters.accelerated_samples += left_out as u64;
            *(if left_out > 0 { &mut self.scaled_at } else { &mut self.unscaled_at }) = now;
            return (left_out > 0).then_some(Kind::Accelerated);
        }
        if above < -BELOW_NS {
            let max = self.samples_of_ms(self.config.max_ms);
            if self.depth() + self.ready.longest() > max {
                return None;
            }
            self.make_ready(self.ready.to_lengthen(), blocks, decode);
            let added = self.ready.lengthen(self.concealer.history(), quiet, Urgency::Unheard);
            self.counters.expanded_samples += added as u64;
            return (added > 0).then_some(Kind::Expanded);
        }
        None
    }

    /// Decodes what follows without a gap until `samples` are at hand.
    fn make_ready(&mut self, samples: usize, blocks: &mut BlockPool, decode: &mut impl Decode) {
        while self.ready.len() < samples {
            let follows = self.queue.head().is_some_and(|head| {
                matches!(head.content, Content::Audio(_))
                    && head.seq == self.next_seq
                    && head.ts == self.play_ts
                    && !head.splice
                    && self.samples_of(u64::from(head.units)) <= self.ready.room()
            });
            if !follows {
                return;
            }
            self.decode_head(blocks, decode);
        }
    }
}
