//! SRTP in offers and answers (RFC 4568 7.1).

use std::sync::Arc;

use media::srtp::{MasterKey, SrtpKeys, Suite};

use super::{LocalMedia, NegotiationError};
use crate::sip::core::sdp::{Media, crypto};

/// What a side demands of its peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SrtpPolicy {
    /// Plain RTP alone.
    #[default]
    Off,
    /// What the peer offers, the encrypted stream if it offers one.
    Optional,
    /// SRTP alone.
    Required,
}

/// A side's part in SRTP, for one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalSrtp {
    /// What is demanded.
    pub policy: SrtpPolicy,
    /// Whether our offers are of SRTP.
    pub offers: bool,
    /// Our keys, one for each suite that may be used, best first. The number of a key in our offer
    /// is its place here, from 1.
    pub keys: Vec<MasterKey>,
}

impl LocalSrtp {
    /// New keys for `suites`, filled by `random`. No key is used in two calls (RFC 4568 6.1).
    ///
    /// # Errors
    ///
    /// What `random` says.
    pub fn new<E>(
        policy: SrtpPolicy,
        offers: bool,
        suites: &[Suite],
        mut random: impl FnMut(&mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut keys = Vec::with_capacity(suites.len());
        for suite in suites {
            let mut bytes = zeroize::Zeroizing::new([0; 64]);
            let bytes = bytes.get_mut(..MasterKey::bytes(*suite)).unwrap_or_default();
            random(bytes)?;
            keys.extend(MasterKey::new(*suite, bytes));
        }
        Ok(Self { policy, offers, keys })
    }

    fn key(&self, suite: Suite) -> Option<&MasterKey> {
        self.keys.iter().find(|key| key.suite() == suite)
    }
}

/// A line of the peer's and what it settles.
#[derive(Clone, Debug)]
pub(super) struct Settled {
    /// The number of the peer's line.
    pub(super) tag: u32,
    pub(super) keys: Arc<SrtpKeys>,
}

/// How an offered stream would be protected: by the first of the offerer's lines whose suite we
/// may use (RFC 4568 7.1.2). Lines within `RTP/AVP` are taken too: phones that would rather but
/// need not encrypt write them, and switch to SRTP when the answer has one.
pub(super) fn of_offer(
    media: &Media,
    local: &LocalMedia,
) -> Result<Option<Settled>, NegotiationError> {
    let srtp = &local.srtp;
    let lines = if srtp.policy == SrtpPolicy::Off { &[] } else { media.crypto.as_slice() };
    let settled = lines.iter().find_map(|line| {
        let ours = srtp.key(line.key.suite())?.clone();
        let keys = SrtpKeys { ours, theirs: line.key.clone(), mki: line.mki };
        Some(Settled { tag: line.tag, keys: Arc::new(keys) })
    });
    let must = media.is_secure() || srtp.policy == SrtpPolicy::Required;
    if settled.is_none() && must { Err(NegotiationError::Encryption) } else { Ok(settled) }
}

/// How the answer to our offer protects the stream: by one of our lines, and not at all if we
/// offered plain RTP (RFC 4568 7.1.3).
pub(super) fn of_answer(
    media: &Media,
    local: &LocalMedia,
) -> Result<Option<Settled>, NegotiationError> {
    if !local.srtp.offers {
        return if media.is_secure() { Err(NegotiationError::Encryption) } else { Ok(None) };
    }
    let settled = media.crypto.iter().find_map(|line| {
        let place = usize::try_from(line.tag).ok()?.checked_sub(1)?;
        let ours = local.srtp.keys.get(place).filter(|key| key.suite() == line.key.suite())?;
        let keys = SrtpKeys { ours: ours.clone(), theirs: line.key.clone(), mki: line.mki };
        Some(Settled { tag: line.tag, keys: Arc::new(keys) })
    });
    match settled {
        Some(settled) if media.is_secure() => Ok(Some(settled)),
        _ => Err(NegotiationError::Encryption),
    }
}

/// How the answer to a description of ours that was offered as it was protects the stream: by one
/// of the keys in there, under its number, whoever dealt that out, in the same profile.
pub(super) fn of_answer_to(
    offered: &Media,
) -> impl Fn(&Media, &LocalMedia) -> Result<Option<Settled>, NegotiationError> {
    move |media, _| {
        let settled = media.crypto.iter().find_map(|line| {
            let own = offered.crypto.iter().find(|own| own.tag == line.tag)?;
            let ours = Some(&own.key).filter(|key| key.suite() == line.key.suite())?;
            let keys = SrtpKeys { ours: ours.clone(), theirs: line.key.clone(), mki: line.mki };
            Some(Settled { tag: line.tag, keys: Arc::new(keys) })
        });
        let same = media.is_secure() == offered.is_secure();
        match settled {
            Some(settled) if same => Ok(Some(settled)),
            None if same && offered.crypto.is_empty() => Ok(None),
            _ => Err(NegotiationError::Encryption),
        }
    }
}

/// The profile of our offers.
pub(super) const fn profile(local: &LocalMedia) -> &'static str {
    if local.srtp.offers { "RTP/SAVP" } else { "RTP/AVP" }
}

/// The lines of our offers: all suites that may be used.
pub(super) fn offer_lines(out: &mut String, local: &LocalMedia) {
    if local.srtp.offers {
        for (tag, key) in (1..).zip(&local.srtp.keys) {
            crypto::write(out, tag, key);
        }
    }
}

#[cfg(test)]
mod tests;
