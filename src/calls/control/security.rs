//! The keys of a call's SRTP.

use std::sync::Arc;

use media::srtp::{MasterKey, SrtpKeys};

use super::Control;
use crate::sip::core::offer_answer::{LocalMedia, LocalSrtp, SrtpPolicy};

/// Why a call has no SRTP part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SrtpRefusal {
    /// SRTP is required, and its keys would be readable on the way.
    #[error("SRTP is required, and its keys may not travel over plain signalling")]
    PlainSignalling,
    /// The system gives no randomness.
    #[error("no randomness for SRTP keys")]
    Randomness,
}

impl Control {
    /// Our part in a call with a peer of this policy: fresh keys. We offer SRTP where it is
    /// required, and where the signalling hides the keys.
    pub(super) fn local_srtp(
        &self,
        own: Option<SrtpPolicy>,
        secure: bool,
    ) -> Result<LocalSrtp, SrtpRefusal> {
        let config = &self.config.sip.srtp;
        let policy = config.policy_for(own, secure).ok_or(SrtpRefusal::PlainSignalling)?;
        let offers = match policy {
            SrtpPolicy::Off => return Ok(LocalSrtp::default()),
            SrtpPolicy::Optional => secure,
            SrtpPolicy::Required => true,
        };
        LocalSrtp::new(policy, offers, &config.suites, getrandom::fill)
            .map_err(|_| SrtpRefusal::Randomness)
    }
}

/// True if the peer has changed its key, so that ours changes too: both directions then start their
/// counters anew.
pub(super) fn is_rekeyed(before: Option<&SrtpKeys>, now: Option<&Arc<SrtpKeys>>) -> bool {
    before.zip(now).is_some_and(|(before, now)| before.theirs != now.theirs)
}

/// Takes fresh keys for the call's next description. Those in use stay if there is no randomness.
pub(super) fn renew(media: &mut LocalMedia) {
    let LocalSrtp { policy, offers, ref keys } = media.srtp;
    let suites: Vec<_> = keys.iter().map(MasterKey::suite).collect();
    if let Ok(fresh) = LocalSrtp::new(policy, offers, &suites, getrandom::fill) {
        media.srtp = fresh;
    }
}
