//! How calls stand and end, in the carrier's words.

use crate::event::{CallFact, Ended, HangupCause};

/// What a status of a call means; `None` for one that says nothing.
pub(super) fn fact(status: &str, duration_s: Option<u64>) -> Option<CallFact> {
    let cause = match status {
        "queued" => return Some(CallFact::Initiated),
        "ringing" => return Some(CallFact::Ringing),
        "in-progress" | "answered" => return Some(CallFact::Answered),
        "completed" => HangupCause::Normal,
        "busy" => HangupCause::Busy,
        "no-answer" => HangupCause::NoAnswer,
        "canceled" | "cancelled" => HangupCause::Cancelled,
        "failed" => HangupCause::Failed,
        _ => return None,
    };
    Some(CallFact::Ended(Ended {
        cause,
        sip_status: None,
        duration_ms: duration_s.and_then(|seconds| seconds.checked_mul(1_000)),
        raw: Some(status.to_owned()),
    }))
}
