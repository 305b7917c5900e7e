//! Nonces that need no table to be recognised: their time and number, sealed with a key.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use media::time::MonoTime;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::algorithm::hex;

/// How long a nonce is accepted; after it, right credentials get a new one (`stale=true`).
pub const NONCE_LIFETIME: Duration = Duration::from_secs(300);
/// Nonces of which the use is counted, so that credentials cannot be sent twice.
pub(super) const COUNTED_MAX: usize = 16_384;
/// Bytes of the seal.
const SEAL_BYTES: usize = 16;

/// Makes nonces and tells its own from others.
pub(super) struct Nonces {
    key: [u8; 32],
    next: u64,
    /// How often nonces were used, by their number. Only credentials that were right get here.
    counted: BTreeMap<u64, u32>,
    /// Numbers up to this one are forgotten, so their nonces count as expired.
    floor: u64,
}

/// What a nonce turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Ours, made for this address, still accepted; its number.
    Fresh(u64),
    /// Ours, but too old.
    Expired,
    /// Not ours, of an earlier run, or made for another address.
    Foreign,
}

impl Nonces {
    pub(super) const fn new(key: [u8; 32]) -> Self {
        Self { key, next: 1, counted: BTreeMap::new(), floor: 0 }
    }

    /// A new nonce for the client at `peer`.
    pub(super) fn make(&mut self, now: MonoTime, peer: IpAddr) -> String {
        let number = self.next;
        self.next += 1;
        let at_ms = now.as_nanos() / 1_000_000;
        let seal = self.seal(at_ms, number, peer);
        format!("{at_ms:016x}{number:016x}{}", hex(&seal))
    }

    /// Bound to the address, so that nobody can spend another's nonce or failures.
    fn seal(&self, at_ms: u64, number: u64, peer: IpAddr) -> [u8; SEAL_BYTES] {
        let mut seal = [0; SEAL_BYTES];
        // A key of any length is accepted.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return seal };
        mac.update(&at_ms.to_be_bytes());
        mac.update(&number.to_be_bytes());
        match peer.to_canonical() {
            IpAddr::V4(ip) => mac.update(&ip.octets()),
            IpAddr::V6(ip) => mac.update(&ip.octets()),
        }
        let whole = mac.finalize().into_bytes();
        seal.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
        seal
    }

    pub(super) fn judge(&self, now: MonoTime, peer: IpAddr, nonce: &str) -> Origin {
        let part = |range| u64::from_str_radix(nonce.get(range)?, 16).ok();
        let (Some(at_ms), Some(number), Some(seal)) = (part(0..16), part(16..32), nonce.get(32..))
        else {
            return Origin::Foreign;
        };
        let expected = hex(&self.seal(at_ms, number, peer));
        // Every spelling but ours is refused: another one would be another nonce of that number.
        let spelled = nonce.get(..32) == Some(format!("{at_ms:016x}{number:016x}").as_str());
        if !spelled || !bool::from(expected.as_bytes().ct_eq(seal.as_bytes())) {
            return Origin::Foreign;
        }
        let age_ms = (now.as_nanos() / 1_000_000).saturating_sub(at_ms);
        let forgotten = number <= self.floor && !self.counted.contains_key(&number);
        if u128::from(age_ms) > NONCE_LIFETIME.as_millis() || forgotten {
            return Origin::Expired;
        }
        Origin::Fresh(number)
    }

    /// Takes the count of credentials that are right. False if it is not higher than before.
    pub(super) fn count(&mut self, number: u64, count: u32) -> bool {
        let last = self.counted.entry(number).or_insert(0);
        let grows = count > *last;
        *last = count.max(*last);
        if self.counted.len() > COUNTED_MAX
            && let Some((oldest, _)) = self.counted.pop_first()
        {
            self.floor = self.floor.max(oldest);
        }
        grows
    }
}
