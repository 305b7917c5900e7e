//! Room for captures: how many there are at once, of whom, and for how long.

use std::collections::VecDeque;

use media::time::MonoTime;
use uuid::Uuid;

use super::CaptureError;
use crate::config::CapturesConfig;

/// A capture that takes room.
#[derive(Clone, Copy, Debug)]
struct Held {
    call: Uuid,
    organisation: Uuid,
    /// When its call was over.
    ended_at: Option<MonoTime>,
}

/// Room for captures. Those of calls that are over give way to new ones, the oldest first.
#[derive(Debug)]
pub(super) struct Room {
    bounds: CapturesConfig,
    /// In the order in which they began.
    held: VecDeque<Held>,
}

impl Room {
    /// As much as this.
    pub(super) const fn new(bounds: CapturesConfig) -> Self {
        Self { bounds, held: VecDeque::new() }
    }

    /// Most captures at once.
    pub(super) const fn calls_max(&self) -> usize {
        self.bounds.calls
    }

    /// Takes room for a call of an organisation; the call whose capture gives way for it, if one
    /// does. At its limit an organisation's own give way.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(super) fn take(
        &mut self,
        call: Uuid,
        organisation: Uuid,
    ) -> Result<Option<Uuid>, CaptureError> {
        let own = self.held.iter().filter(|held| held.organisation == organisation).count();
        let crowded = own >= self.bounds.calls_per_organisation;
        let gone = if crowded || self.held.len() >= self.bounds.calls {
            let gives = |held: &Held| {
                held.ended_at.is_some() && (!crowded || held.organisation == organisation)
            };
            let oldest = self.held.iter().position(gives).ok_or(CaptureError::Full)?;
            self.held.remove(oldest)
        } else {
            None
        };
        self.held.push_back(Held { call, organisation, ended_at: None });
        Ok(gone.map(|gone| gone.call))
    }

    /// The call is over.
    pub(super) fn end(&mut self, call: Uuid, now: MonoTime) {
        if let Some(held) = self.held.iter_mut().find(|held| held.call == call) {
            held.ended_at = Some(now);
        }
    }

    /// Gives back the room of calls that have been over for too long, and tells which they are.
    pub(super) fn take_old(&mut self, now: MonoTime) -> Vec<Uuid> {
        let Some(keep) = self.bounds.keep else { return Vec::new() };
        let is_old = |held: &Held| held.ended_at.is_some_and(|ended| ended + keep <= now);
        let old = self.held.iter().filter(|held| is_old(held)).map(|held| held.call).collect();
        self.held.retain(|held| !is_old(held));
        old
    }
}
