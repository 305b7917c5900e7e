//! A network to be simulated: loss, jitter, reordering, copies, and a sender with another clock.
//!
//! Everything follows from a seed. Time is virtual; nothing waits.
#![allow(dead_code, unreachable_pub, reason = "each user takes a part")]

use std::collections::VecDeque;
use std::time::Duration;

use media::time::MonoTime;

/// Random numbers from a seed (SplitMix64; Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Between 0 and 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

/// How packets are lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Each for itself, with this probability.
    Random(f64),
    /// In bursts of so many packets on average (Gilbert 1960), with this probability over all.
    Bursts(f64, f64),
}

/// By how much packets are delayed beyond the least, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Jitter {
    /// Evenly between 0 and so much.
    Uniform(f64),
    /// By a gamma distribution of shape 2 with this mean.
    Gamma(f64),
    /// Not at all, but every few seconds the path stands still for so long, then lets all go.
    Spikes(f64),
}

/// A path through a network.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    pub loss: Loss,
    pub jitter: Jitter,
    /// Probability that a packet is overtaken by those of the next 30 ms.
    pub reorder: f64,
    /// Probability that a packet comes twice.
    pub duplicate: f64,
    /// Millionths by which the sender's clock is faster.
    pub skew_ppm: f64,
    pub ptime: Duration,
}

impl Path {
    /// Loses and delays nothing.
    pub const CLEAN: Self = Self {
        loss: Loss::Random(0.0),
        jitter: Jitter::Uniform(0.0),
        reorder: 0.0,
        duplicate: 0.0,
        skew_ppm: 0.0,
        ptime: Duration::from_millis(20),
    };
}

/// A packet that arrives: its number, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival {
    pub at: MonoTime,
    pub number: u64,
}

/// A stream of packets on a path.
#[derive(Debug)]
pub struct Network {
    path: Path,
    random: Random,
    sent: u64,
    in_burst: bool,
    /// Until when the path stands still.
    still_until: f64,
    /// Sent and not yet arrived, in order of arrival.
    on_the_way: VecDeque<Arrival>,
    pub lost: u64,
    pub copies: u64,
}

/// What every packet takes, in milliseconds.
const LEAST_MS: f64 = 40.0;

impl Network {
    pub fn new(path: Path, seed: u64) -> Self {
        Self {
            path,
            random: Random(seed),
            sent: 0,
            in_burst: false,
            still_until: 0.0,
            on_the_way: VecDeque::new(),
            lost: 0,
            copies: 0,
        }
    }

    /// When packet `number` is sent.
    pub fn sent_at(&self, number: u64) -> MonoTime {
        let ms = self.path.ptime.as_secs_f64() * 1e3 * number as f64;
        at(ms / (1.0 + self.path.skew_ppm / 1e6) + 1.0)
    }

    /// The next packet that arrives until `now`.
    pub fn arrives(&mut self, now: MonoTime) -> Option<Arrival> {
        while self.sent_at(self.sent) <= now {
            self.send();
        }
        self.on_the_way.pop_front_if(|arrival| arrival.at <= now)
    }

    fn send(&mut self) {
        let number = self.sent;
        let sent_ms = self.sent_at(number).as_nanos() as f64 / 1e6;
        self.sent += 1;
        let delay = self.delay(sent_ms);
        let lost = self.is_lost();
        let copied = self.random.happens(self.path.duplicate);
        if lost {
            self.lost += 1;
            return;
        }
        self.put(Arrival { at: at(sent_ms + LEAST_MS + delay), number });
        if copied {
            self.copies += 1;
            self.put(Arrival { at: at(sent_ms + LEAST_MS + delay + 1.0), number });
        }
    }

    fn put(&mut self, arrival: Arrival) {
        let behind = self.on_the_way.iter().rev().take_while(|other| **other > arrival).count();
        self.on_the_way.insert(self.on_the_way.len() - behind, arrival);
    }

    fn is_lost(&mut self) -> bool {
        match self.path.loss {
            Loss::Random(probability) => self.random.happens(probability),
            Loss::Bursts(probability, length) => {
                let ends = 1.0 / length;
                let begins = ends * probability / (1.0 - probability);
                self.in_burst = if self.in_burst {
                    !self.random.happens(ends)
                } else {
                    self.random.happens(begins)
                };
                self.in_burst
            }
        }
    }

    fn delay(&mut self, sent_ms: f64) -> f64 {
        let overtaken = if self.random.happens(self.path.reorder) { 30.0 } else { 0.0 };
        let jitter = match self.path.jitter {
            Jitter::Uniform(most) => self.random.unit() * most,
            Jitter::Gamma(mean) => {
                let product = self.random.unit().max(1e-12) * self.random.unit().max(1e-12);
                -product.ln() * mean / 2.0
            }
            Jitter::Spikes(still) => {
                if self.random.happens(0.004) {
                    self.still_until = sent_ms + still;
                }
                (self.still_until - sent_ms).max(0.0)
            }
        };
        jitter + overtaken
    }
}

fn at(ms: f64) -> MonoTime {
    MonoTime::from_nanos((ms * 1e6) as u64)
}
