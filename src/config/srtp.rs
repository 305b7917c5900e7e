//! The keys about SRTP: of `[sip]`, and of a trunk or user that has its own.

use media::srtp::Suite;

use super::section::Section;
use crate::sip::core::offer_answer::SrtpPolicy;

/// What is done about SRTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrtpConfig {
    /// What is demanded of peers that have nothing of their own.
    pub policy: SrtpPolicy,
    /// Suites offered and accepted, best first.
    pub suites: Vec<Suite>,
    /// Keys may travel over signalling that others can read.
    pub over_plain: bool,
}

impl SrtpConfig {
    /// What holds for a peer with a policy of its own or none, over signalling that is `secure` or
    /// not; `None` if SRTP is required and its keys may not travel.
    pub fn policy_for(&self, own: Option<SrtpPolicy>, secure: bool) -> Option<SrtpPolicy> {
        match own.unwrap_or(self.policy) {
            policy if secure || self.over_plain => Some(policy),
            SrtpPolicy::Required => None,
            SrtpPolicy::Optional | SrtpPolicy::Off => Some(SrtpPolicy::Off),
        }
    }
}

const POLICIES: &[(&str, SrtpPolicy)] = &[
    ("off", SrtpPolicy::Off),
    ("optional", SrtpPolicy::Optional),
    ("required", SrtpPolicy::Required),
];

/// A section's own policy.
pub(super) fn policy(section: &Section<'_>) -> Option<SrtpPolicy> {
    section.word("srtp", POLICIES)
}

pub(super) fn srtp(section: &Section<'_>) -> SrtpConfig {
    let names = Suite::ALL.map(|suite| (suite.name(), suite));
    SrtpConfig {
        policy: policy(section).unwrap_or(SrtpPolicy::Optional),
        suites: section.words("srtp_suites", &names).unwrap_or_else(|| Suite::ALL.to_vec()),
        over_plain: section.flag("srtp_over_plain").unwrap_or(true),
    }
}

#[cfg(test)]
mod tests {
    use super::SrtpPolicy::{Off, Optional, Required};
    use super::*;

    /// A peer's own policy wins, and keys do not travel readable where they may not.
    #[test]
    fn policies_table() {
        for (policy, own, over_plain, secure, expected) in [
            (Optional, None, true, false, Some(Optional)),
            (Optional, None, false, false, Some(Off)),
            (Optional, None, false, true, Some(Optional)),
            (Optional, Some(Required), true, false, Some(Required)),
            (Optional, Some(Required), false, false, None),
            (Required, None, false, true, Some(Required)),
            (Required, Some(Off), false, false, Some(Off)),
        ] {
            let config = SrtpConfig { policy, suites: Vec::new(), over_plain };
            assert_eq!(config.policy_for(own, secure), expected, "{policy:?} {own:?}");
        }
    }
}
