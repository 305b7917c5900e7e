//! Why calls end.
//!
//! The cause is a value of Q.850, zero where nobody said why; newer versions add the status that
//! the technology had: that of SIP for a telephone.

use super::events::By;
use crate::event::{Ended, HangupCause};
use crate::op::Refusal;

/// What is known of a call that ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ending<'w> {
    /// It was answered at any time.
    pub(super) answered: bool,
    /// It came in.
    pub(super) inbound: bool,
    /// Who wanted it to end; none if nobody said so.
    pub(super) by: Option<By>,
    /// Value of Q.850.
    pub(super) cause: u16,
    /// What the technology says: a SIP status, or something else.
    pub(super) tech_cause: Option<u16>,
    /// The last word of `Dial`.
    pub(super) dialled: &'w str,
}

impl Ending<'_> {
    /// The SIP status, if it ended by one.
    fn sip_status(&self) -> Option<u16> {
        self.tech_cause.filter(|status| (300..700).contains(status))
    }

    fn hangup_cause(&self) -> HangupCause {
        if self.answered {
            return HangupCause::Normal;
        }
        let remote = self.by == Some(By::Remote);
        match (self.cause, self.sip_status()) {
            (_, Some(487)) | (0 | 16 | 127, None) if self.inbound && remote => {
                HangupCause::Cancelled
            }
            (0 | 16 | 32, None) if self.by == Some(By::Us) => HangupCause::Cancelled,
            (26, _) => HangupCause::Cancelled,
            (17, _) => HangupCause::Busy,
            // Of a local channel whose dialplan said so.
            (0, None) if self.dialled == "BUSY" => HangupCause::Busy,
            (0, None) if self.dialled == "NOANSWER" => HangupCause::NoAnswer,
            (0, None) => HangupCause::Failed,
            (18 | 19, _) => HangupCause::NoAnswer,
            // A called party that cancels is none.
            (_, Some(487)) => HangupCause::Failed,
            (_, Some(status)) => HangupCause::from_sip(status),
            (cause, None) => HangupCause::from_q850(u8::try_from(cause).unwrap_or(127)),
        }
    }

    /// The end, for the record.
    pub(super) fn ended(&self) -> Ended {
        Ended {
            cause: self.hangup_cause(),
            sip_status: self.sip_status().filter(|_| !self.answered),
            duration_ms: None,
            raw: Some(format!("Q.850 {}", self.cause)),
        }
    }
}

/// The word that a hang-up of an offered call is given: the caller hears the status that goes with
/// it.
pub(super) const fn reason(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NotFound => "unallocated",
        Refusal::Busy => "busy",
        Refusal::Rejected => "rejected",
        Refusal::Unavailable => "congestion",
    }
}
