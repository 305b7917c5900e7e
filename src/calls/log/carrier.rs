//! What carriers say of a call, as facts of its log.

use adapters::agent::EndedBy;
use adapters::event::{CallEvent, CallFact as Said, Ended as Over, HangupCause};
use uuid::Uuid;

use super::{CallFact, Ended, Source, What};
use crate::calls::cause::Cause;

/// A carrier's event as a fact of the call `call`; `heard_us` is when it came, in microseconds
/// since 1970, and counts if the carrier tells no time. `None` for what no log keeps: digits, and
/// the carrier's own plumbing. How a transfer goes is told by whoever asked for it: a leg that ends
/// after it was joined is called a failure by some.
pub fn from_carrier(call: Uuid, event: &CallEvent, heard_us: i64) -> Option<CallFact> {
    let what = match &event.what {
        // The call began with us; that the carrier has it too is no other beginning.
        Said::Initiated => What::Queued,
        Said::Ringing => What::Ringing,
        Said::EarlyMedia => What::EarlyMedia,
        Said::Answered => What::Answered,
        Said::AnsweredBy { who } => What::AnsweredBy { who: *who },
        Said::Priced(price) => What::Priced(price.clone()),
        Said::Ended(over) => What::Ended(Box::new(ended(over))),
        Said::Recorded(recording) => What::Recording {
            state: "at_carrier".into(),
            at_carrier: Some(Box::new(recording.clone())),
            at_server: None,
        },
        Said::StreamStarted
        | Said::StreamStopped
        | Said::StreamFailed { .. }
        | Said::Transfer { .. }
        | Said::Spoken
        | Said::Dtmf { .. } => return None,
    };
    let told = event.at_unix_ms.and_then(|ms| i64::try_from(ms).ok()?.checked_mul(1_000));
    Some(CallFact {
        call,
        source: Source::Carrier,
        id: event.id.clone().unwrap_or_else(|| derived_id(&what)),
        at_us: told.unwrap_or(heard_us),
        what,
    })
}

/// The id of a fact that came without one: what it says, so that the same twice is one fact.
fn derived_id(what: &What) -> String {
    let word = what.word();
    match what {
        What::AnsweredBy { who } => format!("{word}:{who:?}"),
        What::Recording { at_carrier: Some(it), .. } => format!("{word}:{}", it.id),
        What::Priced(price) => format!("{word}:{}:{}", price.amount, price.currency),
        _ => word.to_owned(),
    }
}

fn ended(over: &Over) -> Ended {
    let (cause, by, answered) = match over.cause {
        HangupCause::Normal => (Cause::Normal, None, Some(true)),
        HangupCause::Cancelled => (Cause::Cancelled, None, Some(false)),
        HangupCause::Busy => (Cause::Busy, Some(EndedBy::Caller), Some(false)),
        HangupCause::NoAnswer => (Cause::NoAnswer, None, Some(false)),
        HangupCause::Rejected => (Cause::Rejected, Some(EndedBy::Caller), Some(false)),
        HangupCause::NotFound => (Cause::NotFound, Some(EndedBy::Carrier), Some(false)),
        HangupCause::Congestion => (Cause::Congestion, Some(EndedBy::Carrier), None),
        HangupCause::Failed => (Cause::NetworkFailure, Some(EndedBy::Carrier), None),
        HangupCause::Unknown => (Cause::Normal, None, None),
    };
    let lasted = over.duration_ms.filter(|ms| *ms > 0);
    Ended {
        cause,
        by,
        answered: lasted.map(|_| true).or(answered),
        duration_ms: over.duration_ms,
        sip_status: over.sip_status,
        q850: None,
        reason: over.raw.clone(),
        held_ms: None,
    }
}
