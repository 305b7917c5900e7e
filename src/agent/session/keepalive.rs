//! Pings, and how long the agent takes to answer them.

use std::time::Duration;

use media::time::MonoTime;

use super::limits::{PING_EVERY, PONG_WITHIN};

/// What the clock asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// To wait.
    Nothing,
    /// To send a ping with this payload.
    Ping([u8; 8]),
    /// To give up: nobody answers.
    Dead,
}

#[derive(Debug)]
pub(super) struct KeepAlive {
    next_ping: MonoTime,
    /// Number of the last ping: its payload.
    number: u64,
    /// When the ping was sent that waits for its pong.
    waiting: Option<MonoTime>,
    round_trip: Option<Duration>,
}

impl KeepAlive {
    /// Asks nobody.
    pub(super) const NEVER: Self =
        Self { next_ping: MonoTime::MAX, number: 0, waiting: None, round_trip: None };

    pub(super) fn new(now: MonoTime) -> Self {
        Self { next_ping: now + PING_EVERY, number: 0, waiting: None, round_trip: None }
    }

    pub(super) fn deadline(&self) -> MonoTime {
        self.waiting.map_or(self.next_ping, |sent| self.next_ping.min(sent + PONG_WITHIN))
    }

    pub(super) fn beat(&mut self, now: MonoTime) -> Beat {
        if self.waiting.is_some_and(|sent| now >= sent + PONG_WITHIN) {
            return Beat::Dead;
        }
        if now < self.next_ping {
            return Beat::Nothing;
        }
        self.number += 1;
        self.waiting = Some(now);
        self.next_ping = now + PING_EVERY;
        Beat::Ping(self.number.to_be_bytes())
    }

    /// Takes a pong; those that answer no ping of ours mean nothing (RFC 6455 5.5.3).
    pub(super) fn pong(&mut self, now: MonoTime, payload: &[u8]) {
        if payload == self.number.to_be_bytes()
            && let Some(sent) = self.waiting.take()
        {
            self.round_trip = Some(now.since(sent));
        }
    }

    pub(super) const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }
}

const _: () = assert!(PONG_WITHIN.as_nanos() < PING_EVERY.as_nanos());
