//! What is said to the peer.

use super::{AgentAt, Conditions, Reason, Verdict, is_flat};
use crate::time::MonoTime;

/// What the agent says.
#[derive(Debug)]
pub(super) struct Outbound {
    /// An agent has been heard, by whatever connection.
    spoke: bool,
    sends: bool,
    changed_at: MonoTime,
    muted_since: Option<MonoTime>,
    lost_since: Option<MonoTime>,
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            spoke: false,
            sends: true,
            changed_at: MonoTime::ZERO,
            muted_since: None,
            lost_since: None,
        }
    }
}

impl Outbound {
    #[inline]
    pub(super) fn said(&mut self, payload: &[u8]) {
        // An agent that keeps its stream full of zeros has said nothing.
        if !self.spoke {
            self.spoke = !is_flat(payload);
        }
    }

    pub(super) fn verdict(
        &mut self,
        now: MonoTime,
        answered: MonoTime,
        conditions: &Conditions,
    ) -> Option<Verdict> {
        if self.sends != conditions.sends {
            self.sends = conditions.sends;
            self.changed_at = now;
        }
        self.muted_since = conditions.muted.then(|| self.muted_since.unwrap_or(now));
        let lost = conditions.agent == AgentAt::Nowhere;
        self.lost_since = lost.then(|| self.lost_since.unwrap_or(now));
        let began = answered.max(self.changed_at);
        if !conditions.sends {
            let reason = if conditions.held { Reason::Hold } else { Reason::OneWay };
            return Verdict::after(now, began, reason);
        }
        if let Some(since) = self.muted_since {
            return Verdict::after(now, since.max(began), Reason::Muted);
        }
        if let Some(since) = self.lost_since {
            return Verdict::after(now, since.max(began), Reason::AgentLost);
        }
        match conditions.agent {
            AgentAt::Connected { .. } if !self.spoke => {
                Verdict::after(now, began, Reason::AgentSilent)
            }
            AgentAt::Connected { dry_since: Some(since) } => {
                Verdict::after(now, since.max(began), Reason::Underrun)
            }
            AgentAt::Connected { dry_since: None } | AgentAt::Inside | AgentAt::Nowhere => None,
        }
    }
}
