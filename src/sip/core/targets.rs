//! Which of several servers a request goes to: fail-over (RFC 3263 4.3), servers that are avoided
//! for a while, and whether those that are watched are up.

use std::collections::HashMap;
use std::time::Duration;

use media::time::MonoTime;

use super::endpoint::Transport;
use super::locate::Target;

/// How long the first word of a server may take while there is another to try; a request without an
/// alternative waits for timer B (RFC 3261 17.1.1.2).
pub const FAILOVER_AFTER: Duration = Duration::from_secs(4);
/// How long a server is avoided that could not be reached.
pub const AVOID_UNREACHABLE: Duration = Duration::from_secs(60);
/// How long a server is avoided that said 503 without Retry-After.
pub const AVOID_BUSY: Duration = Duration::from_secs(15);
/// The longest that a server may ask to be avoided.
pub const AVOID_MAX: Duration = Duration::from_secs(300);
/// Servers that are remembered as avoided.
pub const AVOIDED_MAX: usize = 1_024;
/// Probes without an answer, one after the other, that make a server count as down.
pub const DOWN_AFTER: u8 = 2;
/// Answered probes, one after the other, that make a server count as up again.
pub const UP_AFTER: u8 = 2;

/// What identifies a server.
type Server = (Transport, std::net::SocketAddr);

const fn server(target: &Target) -> Server {
    (target.transport, target.peer)
}

/// How a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing came back, or nothing could be sent.
    Unreachable,
    /// The server answered.
    Status {
        /// With this status.
        status: u16,
        /// And this Retry-After.
        retry_after: Option<Duration>,
    },
}

impl Failure {
    /// Whether another server may do better (RFC 3263 4.3, RFC 3261 21.4.9, 21.5.4).
    pub const fn is_worth_another(self) -> bool {
        matches!(self, Self::Unreachable | Self::Status { status: 408 | 503, .. })
    }

    /// Whether it says more of the servers than of the called party, so that others, of another
    /// provider, may well put the call through (RFC 3261 21.5).
    pub const fn is_of_servers(self) -> bool {
        matches!(self, Self::Unreachable | Self::Status { status: 408 | 500..=599, .. })
    }

    /// How long its server is to be avoided.
    fn avoid_for(self) -> Option<Duration> {
        match self {
            Self::Unreachable => Some(AVOID_UNREACHABLE),
            Self::Status { status: 503, retry_after } => {
                Some(retry_after.unwrap_or(AVOID_BUSY).min(AVOID_MAX))
            }
            Self::Status { .. } => None,
        }
    }
}

/// The seconds of a Retry-After header (RFC 3261 20.33).
pub fn retry_after(header: &str) -> Option<Duration> {
    let digits: &str = header.trim().split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().map(Duration::from_secs)
}

/// Servers that are avoided for a while.
#[derive(Debug, Default)]
pub struct Avoided(HashMap<Server, MonoTime>);

impl Avoided {
    /// Notes how a request to a server failed.
    pub fn failed(&mut self, now: MonoTime, target: &Target, failure: Failure) {
        let Some(duration) = failure.avoid_for() else { return };
        if self.0.len() >= AVOIDED_MAX {
            self.0.retain(|_, until| *until > now);
        }
        if self.0.len() < AVOIDED_MAX {
            self.0.insert(server(target), now + duration);
        }
    }

    /// A server answered: it is as good as any.
    pub fn answered(&mut self, target: &Target) {
        self.0.remove(&server(target));
    }

    /// Whether a server is avoided now.
    pub fn is_avoided(&self, now: MonoTime, target: &Target) -> bool {
        self.0.get(&server(target)).is_some_and(|until| *until > now)
    }
}

/// The servers that one request may go to, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempts<T> {
    rest: std::collections::VecDeque<T>,
    settled: bool,
    /// The last one has named others, which are tried first.
    redirected: bool,
    /// They are telephones of one user: the next rings when one does not answer.
    hunts: bool,
}

impl<T> Attempts<T> {
    /// Tries these in order, those for which `later` holds after all others.
    pub fn new(all: Vec<T>, later: impl Fn(&T) -> bool) -> Self {
        let (last, first): (Vec<T>, Vec<T>) = all.into_iter().partition(|one| later(one));
        Self {
            rest: first.into_iter().chain(last).collect(),
            settled: false,
            redirected: false,
            hunts: false,
        }
    }

    /// Tries one after the other until one answers, or somebody declines for all of them
    /// (RFC 3261 21.6).
    pub fn hunting(all: Vec<T>) -> Self {
        Self { rest: all.into(), settled: false, redirected: false, hunts: true }
    }

    /// What is tried next.
    pub fn peek(&self) -> Option<&T> {
        self.rest.front()
    }

    /// The next to try.
    pub fn take_next(&mut self) -> Option<T> {
        self.rest.pop_front()
    }

    /// A provisional response came. From 101 on the call has reached somebody, and is not placed
    /// anywhere else.
    pub const fn provisional(&mut self, status: u16) {
        self.settled |= status > 100;
    }

    /// Whether the call has reached somebody.
    pub const fn is_settled(&self) -> bool {
        self.settled
    }

    /// The next to try after `failure`, if it is worth it.
    pub fn after(&mut self, failure: Failure) -> Option<T> {
        if std::mem::take(&mut self.redirected) {
            return self.take_next();
        }
        let again = match failure {
            Failure::Status { status, .. } if self.hunts => status < 600,
            Failure::Unreachable if self.hunts => true,
            failure => !self.settled && failure.is_worth_another(),
        };
        if !again {
            return None;
        }
        self.take_next()
    }

    /// The one that was tried has named others, which are tried next, one after the other
    /// (RFC 3261 8.1.3.4). Servers that were left would lead to where the call is not any more;
    /// other telephones of a user stay.
    pub fn redirect(&mut self, to: Vec<T>) {
        if to.is_empty() {
            return;
        }
        if !std::mem::replace(&mut self.hunts, true) {
            self.rest.clear();
        }
        self.redirected = true;
        to.into_iter().rev().for_each(|one| self.rest.push_front(one));
    }

    /// Whether they are telephones of one user, or where a redirection leads: the next rings when
    /// one does not answer.
    pub const fn hunts(&self) -> bool {
        self.hunts
    }

    /// Whether there is another to try.
    pub fn has_more(&self) -> bool {
        !self.rest.is_empty()
    }
}

/// Whether a server that is asked from time to time is up. It begins as up, so that calls can be
/// placed before the first answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    up: bool,
    /// Outcomes in a row that speak against `up`.
    against: u8,
}

impl Default for Health {
    fn default() -> Self {
        Self { up: true, against: 0 }
    }
}

impl Health {
    /// Whether it is up.
    pub const fn is_up(self) -> bool {
        self.up
    }

    /// A probe was answered or not; the new state if it has changed.
    pub const fn probed(&mut self, answered: bool) -> Option<bool> {
        if answered == self.up {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = if self.up { DOWN_AFTER } else { UP_AFTER };
        if self.against < needed {
            return None;
        }
        *self = Self { up: answered, against: 0 };
        Some(answered)
    }
}

#[cfg(test)]
mod tests;
