//! What is written down of calls that were refused: enough to see why, never so much that whoever
//! is refused again and again fills the store.

use std::collections::HashMap;

use adapters::agent::{Direction, EndedBy};
use media::time::MonoTime;
use uuid::Uuid;

use super::Control;
use super::incoming::unix_us;
use crate::calls::cause::Cause;
use crate::calls::log::{Began, CallFact, Ended, Source, What};
use crate::calls::request::{PlaceCall, RequestError};
use crate::directory::Trunk;
use crate::quota::Bucket;
use crate::sip::core::auth::Throttle;
use crate::telemetry::few::Few;
use crate::workers::poller::now;

/// Refused calls of one organisation that are written down, a second.
const RECORDS_PER_SECOND: u32 = 5;
/// Those of all together.
const ALL_RECORDS_PER_SECOND: u32 = 50;
/// Log lines a second about refused calls of those who are known.
const LINES_PER_SECOND: u32 = 50;
/// Organisations whose rate is remembered; those that are at rest are forgotten first.
const ORGANISATIONS_MAX: usize = 1_024;

/// How many refused calls are written down, and have a line in the log, and who has to wait.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    all: Bucket,
    each: HashMap<Uuid, Bucket>,
    pub(super) lines: RefusedLines,
    /// Who brings calls with wrong passwords.
    pub(super) guesses: Throttle,
}

impl Refusals {
    /// Whether another is written down at all.
    fn has_room(&self, now: MonoTime) -> bool {
        self.all.has(now, ALL_RECORDS_PER_SECOND)
    }

    /// Takes one of an organisation; false if it has had enough.
    fn take(&mut self, now: MonoTime, organisation: Uuid) -> bool {
        if self.each.len() >= ORGANISATIONS_MAX && !self.each.contains_key(&organisation) {
            self.each.retain(|_, bucket| !bucket.is_full(now));
            if self.each.len() >= ORGANISATIONS_MAX {
                return false;
            }
        }
        let own = self.each.entry(organisation).or_default();
        self.all.has(now, ALL_RECORDS_PER_SECOND)
            && own.take(now, RECORDS_PER_SECOND)
            && self.all.take(now, ALL_RECORDS_PER_SECOND)
    }
}

/// Log lines about calls that are refused: strangers have theirs, and take none from those whose
/// calls could be taken.
#[derive(Debug)]
pub(super) struct RefusedLines {
    strangers: Few,
    others: Few,
}

impl Default for RefusedLines {
    fn default() -> Self {
        Self { strangers: Few::default(), others: Few::new(LINES_PER_SECOND) }
    }
}

impl RefusedLines {
    /// Those of calls that are refused by this status.
    pub(super) const fn of(&self, status: u16) -> &Few {
        if status == 403 { &self.strangers } else { &self.others }
    }
}

/// A call that was refused.
pub(super) struct Refused<'c> {
    pub(super) organisation: Uuid,
    pub(super) direction: Direction,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) trunk: Option<&'c Trunk>,
    pub(super) agent: String,
    pub(super) cause: Cause,
    pub(super) sip_status: Option<u16>,
    pub(super) reason: Option<String>,
}

impl Control {
    /// Whether a refused call may be written down.
    pub(super) fn may_log_refusal(&self) -> bool {
        self.refusals.has_room(now())
    }

    /// Writes a refused call down, as one that began and ended in the same moment.
    pub(super) fn log_refusal(&mut self, refused: Refused<'_>) {
        if !self.refusals.take(now(), refused.organisation) {
            return;
        }
        let (call, at_us) = (Uuid::now_v7(), unix_us());
        let snapshot = self.directory.load();
        let account = refused.trunk.and_then(|trunk| snapshot.account(trunk.line));
        let began = Began {
            organisation: refused.organisation,
            direction: refused.direction,
            from: refused.from,
            to: refused.to,
            trunk: refused.trunk.map(|trunk| trunk.name.clone()),
            agent: refused.agent,
            configuration: account.map(|account| account.id),
        };
        let ended = Ended {
            by: Some(EndedBy::Server),
            answered: Some(false),
            sip_status: refused.sip_status,
            q850: Some(refused.cause.q850()),
            reason: refused.reason,
            ..Ended::new(refused.cause)
        };
        let facts = [What::Initiated(Box::new(began)), What::Ended(Box::new(ended))];
        for (id, what) in (0..).zip(facts) {
            let (source, id): (_, u8) = (Source::Node, id);
            self.log.tell(CallFact { call, source, id: id.to_string(), at_us, what });
        }
    }

    /// Writes down that a call was not placed, if it was for want of room or for where it would go:
    /// what is wrong with a request is its sender's business alone.
    pub(super) fn log_unplaced(&mut self, call: &PlaceCall, error: &RequestError) {
        let cause = match error {
            RequestError::Destination(_) => Cause::Rejected,
            // It is tried again, as often as it takes.
            RequestError::Limit(_) | RequestError::Full if call.ordered => return,
            RequestError::Limit(refusal) if refusal.is_budget() => Cause::BudgetSpent,
            RequestError::Limit(_) | RequestError::Full => Cause::Congestion,
            _ => return,
        };
        let snapshot = self.directory.load();
        let organisation = call.organisation.unwrap_or(snapshot.organisation);
        let trunk = match (&call.trunk, call.telephony_configuration_id) {
            (Some(name), _) => snapshot.trunk(organisation, name),
            (None, Some(id)) => {
                let trunks = &snapshot.trunks;
                snapshot.trunk_by_id(id).or_else(|| trunks.iter().find(|it| it.line == id))
            }
            (None, None) => None,
        };
        let trunk = trunk.filter(|trunk| trunk.organisation == organisation);
        self.log_refusal(Refused {
            organisation,
            direction: Direction::Outbound,
            from: call.from.clone().unwrap_or_default(),
            to: call.to.clone(),
            trunk: trunk.map(|trunk| &**trunk),
            agent: call.agent.clone(),
            cause,
            sip_status: None,
            reason: Some(error.to_string()),
        });
    }
}

/// Why a call that came in with this answer is over.
pub(super) const fn cause_of(status: u16, draining: bool) -> Cause {
    match status {
        404 => Cause::NotFound,
        486 => Cause::Busy,
        503 if draining => Cause::Draining,
        503 => Cause::Congestion,
        _ => Cause::Rejected,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: MonoTime = MonoTime::from_nanos(1_000_000_000);

    /// One organisation fills its own share of a second, all together theirs; both come back.
    #[test]
    fn records_are_limited() {
        let mut refusals = Refusals::default();
        let one = Uuid::now_v7();
        let taken = (0..100).filter(|_| refusals.take(START, one)).count();
        assert_eq!(taken, RECORDS_PER_SECOND as usize);
        let taken = (0..100).filter(|_| refusals.take(START, Uuid::now_v7())).count();
        assert_eq!(taken, (ALL_RECORDS_PER_SECOND - RECORDS_PER_SECOND) as usize);
        assert!(!refusals.has_room(START));
        let later = START + Duration::from_secs(2);
        assert!(refusals.has_room(later) && refusals.take(later, one));
    }

    /// A flood of strangers' calls has few lines, and leaves those of the others.
    #[test]
    fn strangers_have_few_lines() {
        let lines = RefusedLines::default();
        let of = |status| (0..1_000).filter(|_| lines.of(status).line(START).is_some()).count();
        assert_eq!((of(403), of(404)), (5, LINES_PER_SECOND as usize));
    }

    /// However many organisations there are, what is remembered of them is bounded.
    #[test]
    fn memory_is_bounded() {
        let mut refusals = Refusals::default();
        for number in 0..5_000_u32 {
            refusals.take(START + Duration::from_millis(u64::from(number)), Uuid::now_v7());
            assert!(refusals.each.len() <= ORGANISATIONS_MAX);
        }
    }
}
