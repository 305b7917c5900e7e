//! What waits to be said to the caller, and an exact account of what has been said.
//!
//! [`Playout`] is the queue of one call between its agent, which sends speech faster than real
//! time, and the pacer, which takes one frame each ptime. Audio is queued in the caller's codec, so
//! conversion happens once, before, and taking a frame is a copy.
//!
//! **Positions.** Every sample that was accepted has a position: how many were accepted before it.
//! Marks and utterances are positions, a clear moves the front of the queue to its end, and the
//! account is a difference of positions. Nothing is counted twice and nothing is estimated.
//!
//! **Remainders.** A frame is filled from whatever is queued, across marks and utterances, so that
//! an agent which marks every word is still heard without gaps. Only when the queue holds less than
//! a frame does the question arise whether to wait: audio before a mark, before the start of a next
//! utterance or before [`Playout::flush`] goes out at once, padded with silence; other audio waits
//! for more until it has waited [`PlayoutConfig::remainder_wait_ms`].
//!
//! **Rounding.** The account is kept in samples on the wire and told in the agent's samples: wire
//! samples times the agent's rate divided by the wire's, rounded down, computed from the whole
//! count each time so that errors do not add up. With equal rates, and with whole multiples such as
//! 24,000 to 8,000, no rounding takes place; what a converter in front of the queue holds back
//! (less than one sample on the wire) is not counted before it is queued.

mod config;
#[doc(hidden)]
pub mod fuzz;
mod ledger;
mod packets;
mod recode;
mod report;
mod stop;
mod utterance;

pub use config::{PlayoutConfig, QUEUE_DEFAULT_MS, REMAINDER_WAIT_DEFAULT_MS};
pub use report::{
    Cleared, MarkReport, NotDrained, PlayoutCounters, PlayoutError, PlayoutEvent, Popped, Pushed,
    UtterancePlayed,
};

use std::collections::VecDeque;
use std::time::Duration;

use crate::blocks::{BlockPool, Chain};
use crate::time::MonoTime;
use ledger::Ledger;
use utterance::Utterances;

/// Marks of one call that may wait for their audio, or for being told, at one time.
pub const MARKS_MAX: usize = 2048;

/// Utterances of one call that are remembered for the next clear. Beyond it the oldest is forgotten
/// if all of it has been played; otherwise the new one is refused.
pub const UTTERANCES_MAX: usize = 64;

/// Bytes of the name of a mark or an utterance.
pub const NAME_MAX_BYTES: usize = 256;

#[derive(Debug)]
struct Mark {
    name: String,
    position: u64,
}

/// The queue of one call towards its caller.
///
/// Every operation takes the worker's one [`BlockPool`]; [`Playout::release`] must be called at the
/// end of the call, or its blocks are lost to the pool. No operation allocates while the pool is
/// warm, but for the names of marks and utterances.
#[derive(Debug)]
pub struct Playout {
    config: PlayoutConfig,
    max_queue_bytes: usize,
    queue: Chain,
    ledger: Ledger,
    /// Position behind the newest sample accepted.
    pushed: u64,
    /// Position of the next sample to be played.
    head: u64,
    dropped: u64,
    /// Position of the last clear or change of format, before which all has been heard.
    floor: u64,
    refused: u64,
    fill: u64,
    /// The last position whose audio need not wait for more.
    boundary: u64,
    /// Positions at which somebody else is heard first.
    stops: VecDeque<u64>,
    /// Since when less than a frame has been queued.
    remainder_since: Option<MonoTime>,
    /// True if the last pop yielded a frame.
    talking: bool,
    marks: VecDeque<Mark>,
    utterances: Utterances,
    events: VecDeque<PlayoutEvent>,
}

impl Playout {
    /// An empty queue. Zeros in `config` are read as ones.
    pub fn new(config: PlayoutConfig) -> Self {
        let config = config.sane();
        Self {
            max_queue_bytes: config.max_queue_bytes(),
            ledger: Ledger::new(config.wire_rate_hz, config.agent_rate_hz),
            config,
            queue: Chain::new(),
            pushed: 0,
            head: 0,
            dropped: 0,
            floor: 0,
            refused: 0,
            fill: 0,
            boundary: 0,
            stops: VecDeque::new(),
            remainder_since: None,
            talking: false,
            marks: VecDeque::new(),
            utterances: Utterances::default(),
            events: VecDeque::new(),
        }
    }

    /// Appends audio in the caller's codec. What exceeds the limit of the queue, the newest, is
    /// refused; so is a part of a sample at the end, which does not count as `full`. In a queue of
    /// packets `audio` is one, which is taken or refused as a whole.
    pub fn push(&mut self, now: MonoTime, pool: &mut BlockPool, audio: &[u8]) -> Pushed {
        if self.config.packets {
            return self.push_packet(pool, audio);
        }
        let whole = audio.len() - audio.len() % self.config.sample_bytes;
        let room = self.max_queue_bytes.saturating_sub(self.queue.len());
        let room = room.min(self.queue.room_bytes(pool));
        let fits = whole.min(room - room % self.config.sample_bytes);
        let taken = self.queue.push(pool, audio.get(..fits).unwrap_or_default());
        self.pushed += self.samples(taken);
        let full = taken < whole;
        if full {
            self.refused += self.samples(whole - taken);
            self.utterances.refused();
        }
        self.note_remainder(now, false);
        Pushed { accepted_bytes: taken, full }
    }

    /// Asks for an event when all audio accepted so far has been played: at once, if it has been.
    ///
    /// # Errors
    ///
    /// [`PlayoutError::BadName`], [`PlayoutError::TooManyMarks`].
    pub fn mark(&mut self, name: String) -> Result<(), PlayoutError> {
        check_name(&name)?;
        if self.marks.len() + self.events.len() >= MARKS_MAX {
            return Err(PlayoutError::TooManyMarks);
        }
        if self.queue.is_empty() {
            self.report(name, false, self.head);
        } else {
            self.boundary = self.pushed;
            self.marks.push_back(Mark { name, position: self.pushed });
        }
        Ok(())
    }

    /// Ends the utterance before, if any, and lets the audio that follows belong to `id`. The id
    /// that holds already changes nothing.
    ///
    /// # Errors
    ///
    /// [`PlayoutError::BadName`], [`PlayoutError::TooManyUtterances`].
    pub fn utterance(&mut self, id: String) -> Result<(), PlayoutError> {
        check_name(&id)?;
        if self.utterances.begin(id, self.pushed, self.head)? {
            self.boundary = self.pushed;
        }
        Ok(())
    }

    /// Lets everything accepted so far be played without waiting for more: the agent is done.
    pub fn flush(&mut self) {
        self.boundary = self.pushed;
    }

    /// Drops everything not yet played. Every waiting mark becomes an event with `cleared`; drain
    /// [`Playout::poll_event`] before telling the agent what this returns.
    pub fn clear(&mut self, now: MonoTime, pool: &mut BlockPool) -> Cleared {
        self.clear_behind(now, pool, Duration::ZERO)
    }

    /// The same where the newest `unheard` of what was played had not been heard yet, and was
    /// dropped on its way: it counts as dropped, too.
    pub fn clear_behind(
        &mut self,
        now: MonoTime,
        pool: &mut BlockPool,
        unheard: Duration,
    ) -> Cleared {
        let unheard = unheard.as_nanos() * u128::from(self.config.wire_rate_hz) / 1_000_000_000;
        let unheard = u64::try_from(unheard).unwrap_or(u64::MAX);
        self.head -= unheard.min(self.head - self.floor);
        let samples = self.ledger.samples(self.head - self.dropped);
        while let Some(mark) = self.marks.pop_front() {
            self.report(mark.name, true, self.head);
        }
        let utterances = self.utterances.take(self.head, self.pushed, self.dropped, &self.ledger);
        let dropped = self.pushed - self.head;
        self.queue.clear(pool);
        self.stops.clear();
        self.head = self.pushed;
        self.floor = self.head;
        self.dropped += dropped;
        self.talking = false;
        self.note_remainder(now, true);
        Cleared {
            dropped_ms: dropped * 1000 / u64::from(self.config.wire_rate_hz),
            samples,
            played_ms: self.ledger.played_ms(samples),
            utterances,
        }
    }

    /// Takes what the wire gets this ptime and writes it to the first
    /// [`PlayoutConfig::frame_bytes`] of `out`; `Empty` if `out` is shorter than that. A queue of
    /// packets yields one of its packets.
    pub fn pop(&mut self, now: MonoTime, pool: &mut BlockPool, out: &mut [u8]) -> Popped {
        let Some(frame) = out.get_mut(..self.config.frame_bytes) else { return Popped::Empty };
        if self.config.packets && !self.is_stopped() {
            return self.pop_packet(pool, frame);
        }
        let due = if self.queue.len() < frame.len() { self.due(now) } else { frame.len() };
        let due = due.min(self.bytes_to_stop());
        if due == 0 {
            self.talking = false;
            // A longer frame may have made a remainder of what was none.
            self.note_remainder(now, false);
            return Popped::Empty;
        }
        let (audio, fill) = frame.split_at_mut(due.min(frame.len()));
        let played = self.queue.read(pool, audio);
        fill.fill(self.config.silence);
        let fill_bytes = fill.len();
        self.head += self.samples(played);
        self.fill += self.samples(fill_bytes);
        self.note_remainder(now, true);
        let talkspurt_start = self.note_played();
        Popped::Frame { fill_bytes, talkspurt_start }
    }

    /// Reports the marks that were reached; true if a talkspurt begins.
    fn note_played(&mut self) -> bool {
        while self.marks.front().is_some_and(|mark| mark.position <= self.head) {
            if let Some(mark) = self.marks.pop_front() {
                self.report(mark.name, false, mark.position);
            }
        }
        !std::mem::replace(&mut self.talking, true)
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<PlayoutEvent> {
        self.events.pop_front()
    }

    /// True if nothing is queued: all that was accepted has been played or dropped.
    pub const fn drained(&self) -> bool {
        self.queue.is_empty()
    }

    /// Milliseconds of audio queued, rounded down.
    pub fn queued_ms(&self) -> u64 {
        (self.pushed - self.head) * 1000 / u64::from(self.config.wire_rate_hz)
    }

    /// How long the audio lasts that is queued, to the millisecond below.
    pub fn waits(&self) -> Duration {
        Duration::from_millis(self.queued_ms())
    }

    /// The agent's own samples played since the start, at its rate, without fill.
    pub fn played_samples(&self) -> u64 {
        self.ledger.samples(self.head - self.dropped)
    }

    /// True while the agent is in mid-sentence as far as it has told: in an utterance whose audio
    /// so far no mark, next utterance or flush has ended. An `Empty` then is an underrun; any other
    /// is a pause of the agent's choice.
    pub fn in_utterance(&self) -> bool {
        self.utterances.begun() && self.boundary < self.pushed
    }

    /// The agent's name of what was played last, or if nothing was, of what is played first.
    pub fn spoken(&self) -> Option<&str> {
        self.utterances.at(self.head)
    }

    /// What became of all samples so far.
    pub fn counters(&self) -> PlayoutCounters {
        PlayoutCounters {
            pushed_samples: self.pushed,
            played_samples: self.head - self.dropped,
            dropped_samples: self.dropped,
            queued_samples: self.pushed - self.head,
            refused_samples: self.refused,
            fill_samples: self.fill,
        }
    }

    /// The formats and limits that hold.
    pub const fn config(&self) -> &PlayoutConfig {
        &self.config
    }

    /// Goes on in other formats or frames, after `configure` or a new offer and answer. The account
    /// continues, in the agent's samples at its new rate; marks, utterances and events stay.
    ///
    /// # Errors
    ///
    /// [`NotDrained`] if audio is queued and would be misread: rate, size or silence of the samples
    /// on the wire differ. Clear first, let it play, or see [`Playout::recode`].
    pub fn reconfigure(&mut self, config: PlayoutConfig) -> Result<(), NotDrained> {
        if !self.drained() && !self.config.same_samples(&config.sane()) {
            return Err(NotDrained);
        }
        let config = config.sane();
        self.utterances.settle(self.head, self.dropped, &self.ledger, config.agent_rate_hz);
        let played = self.head - self.dropped;
        self.ledger.rebase(played, config.wire_rate_hz, config.agent_rate_hz);
        self.max_queue_bytes = config.max_queue_bytes();
        self.config = config;
        self.floor = self.head;
        Ok(())
    }

    /// Begins anew for another `start` to an agent: nothing is queued, the account is zero, and
    /// what was not yet told never will be.
    pub fn restart(&mut self, pool: &mut BlockPool, config: PlayoutConfig) {
        self.queue.clear(pool);
        *self = Self::new(config);
    }

    /// Gives all blocks back to the pool at the end of the call, without a report.
    pub fn release(&mut self, pool: &mut BlockPool) {
        self.queue.clear(pool);
        self.dropped += self.pushed - self.head;
        self.head = self.pushed;
        self.marks.clear();
        self.stops.clear();
        self.events.clear();
    }

    /// Bytes of the remainder that go out now.
    fn due(&self, now: MonoTime) -> usize {
        if self.boundary > self.head {
            return usize::try_from(self.boundary - self.head)
                .map_or(usize::MAX, |samples| samples.saturating_mul(self.config.sample_bytes))
                .min(self.queue.len());
        }
        let wait = Duration::from_millis(u64::from(self.config.remainder_wait_ms));
        match self.remainder_since {
            Some(since) if now.since(since) >= wait => self.queue.len(),
            _ => 0,
        }
    }

    /// Keeps [`Self::remainder_since`]. With `anew`, what is left now has been left just now.
    fn note_remainder(&mut self, now: MonoTime, anew: bool) {
        let remainder = !self.queue.is_empty() && self.queue.len() < self.config.frame_bytes;
        self.remainder_since = match self.remainder_since {
            _ if !remainder => None,
            Some(since) if !anew => Some(since),
            _ => Some(now),
        };
    }

    fn report(&mut self, name: String, cleared: bool, position: u64) {
        let samples = self.ledger.samples(position - self.dropped);
        let played_ms = self.ledger.played_ms(samples);
        self.events.push_back(PlayoutEvent::Mark(MarkReport { name, cleared, samples, played_ms }));
    }

    fn samples(&self, bytes: usize) -> u64 {
        (bytes / self.config.sample_bytes) as u64
    }
}

fn check_name(name: &str) -> Result<(), PlayoutError> {
    if name.is_empty() || name.len() > NAME_MAX_BYTES {
        return Err(PlayoutError::BadName);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
