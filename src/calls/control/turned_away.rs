//! Why a caller is turned away, and how it is told.

use std::fmt;

use crate::calls::cause::Cause;
use crate::quota;
use crate::sip::core::offer_answer::NegotiationError;

/// Seconds after which a caller that was refused for want of room may try again.
const RETRY_AFTER_S: &str = "5";

/// Why a call is not taken.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) reason: &'static str,
    pub(super) header: Option<(&'static str, &'static str)>,
    /// For the log.
    pub(super) why: Option<String>,
    /// Why, if the status does not say it.
    pub(super) cause: Option<Cause>,
}

impl Refusal {
    pub(super) const fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason, header: None, why: None, cause: None }
    }

    /// An offer that nothing can be made of.
    pub(super) fn of_offer(error: NegotiationError) -> Self {
        let header = Some(("Warning", error.warning()));
        Self { header, ..Self::new(488, "Not Acceptable Here") }.because(error)
    }

    pub(super) fn busy() -> Self {
        let header = Some(("Retry-After", RETRY_AFTER_S));
        Self { header, ..Self::new(503, "Service Unavailable") }
    }

    pub(super) fn because(self, why: impl fmt::Display) -> Self {
        Self { why: Some(why.to_string()), ..self }
    }
}

impl From<quota::Refusal> for Refusal {
    fn from(refusal: quota::Refusal) -> Self {
        if refusal.is_budget() {
            // Who comes again in a moment finds no more.
            let cause = Some(Cause::BudgetSpent);
            return Self { cause, ..Self::new(503, "Service Unavailable") }.because(refusal);
        }
        Self::busy().because(refusal)
    }
}
