//! Slows down who guesses passwords, by source address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use media::time::MonoTime;

/// Addresses of which failures are counted; beyond it, the one that was quiet longest is forgotten.
pub const ADDRESSES_MAX: usize = 4_096;
/// Failures that cost nothing: people mistype, telephones retry.
pub const FAILURES_FREE: u32 = 5;
/// The longest that an address must wait between two attempts.
pub const SLOWEST: Duration = Duration::from_secs(64);
/// How long an address must be without failure until its failures are forgotten.
pub const QUIET: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: MonoTime,
}

impl Failures {
    /// Until when attempts are not looked at: a second after the first failure that costs, twice
    /// as long after each further one.
    fn wait(&self) -> Duration {
        match self.count.checked_sub(FAILURES_FREE) {
            None | Some(0) => Duration::ZERO,
            Some(over) => {
                Duration::from_secs(1u64.checked_shl(over - 1).unwrap_or(u64::MAX)).min(SLOWEST)
            }
        }
    }
}

/// Failed attempts by address.
#[derive(Debug, Default)]
pub struct Throttle {
    addresses: HashMap<IpAddr, Failures>,
}

impl Throttle {
    /// How long an attempt from `peer` has to wait; zero if it may be judged.
    pub fn wait(&self, now: MonoTime, peer: IpAddr) -> Duration {
        let Some(failures) = self.addresses.get(&network(peer)) else { return Duration::ZERO };
        let waited = now.since(failures.last);
        if waited >= QUIET { Duration::ZERO } else { failures.wait().saturating_sub(waited) }
    }

    /// An attempt from `peer` failed.
    pub fn failed(&mut self, now: MonoTime, peer: IpAddr) {
        let peer = network(peer);
        if self.addresses.len() >= ADDRESSES_MAX && !self.addresses.contains_key(&peer) {
            let oldest = self.addresses.iter().min_by_key(|(_, failures)| failures.last);
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                self.addresses.remove(&oldest);
            }
        }
        let failures = self.addresses.entry(peer).or_insert(Failures { count: 0, last: now });
        if now.since(failures.last) >= QUIET {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.addresses.len()
    }
}

/// What one customer of a provider has: an address, or of IPv6 a network of 64 bits.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}
