//! Why calls end, in the carrier's words.

use serde_json::Value;

use crate::event::{Ended, HangupCause};

/// Longest word that is kept.
const WORD_CHARS_MAX: usize = 64;

/// What `call.hangup` says of the end. How long the call was answered it does not say.
pub(super) fn ended(payload: &Value) -> Ended {
    let word = payload["hangup_cause"].as_str().unwrap_or("unspecified");
    let sip_status = payload["sip_hangup_cause"]
        .as_str()
        .and_then(|status| status.parse().ok())
        .filter(|status| (200..700).contains(status));
    let source = payload["hangup_source"].as_str().unwrap_or("unknown");
    let raw: String = format!("{word} by {source}").chars().take(WORD_CHARS_MAX).collect();
    Ended { cause: cause(word, sip_status), sip_status, duration_ms: None, raw: Some(raw) }
}

fn cause(word: &str, sip_status: Option<u16>) -> HangupCause {
    match (word, sip_status) {
        ("normal_clearing", Some(200..300)) | ("time_limit", _) => HangupCause::Normal,
        // Before the answer the carrier clears normally too: then the status tells why.
        ("normal_clearing" | "unspecified", Some(status)) => HangupCause::from_sip(status),
        ("user_busy", _) | ("call_rejected", Some(486 | 600)) => HangupCause::Busy,
        ("timeout" | "no_answer", _) => HangupCause::NoAnswer,
        ("originator_cancel", _) => HangupCause::Cancelled,
        ("call_rejected", Some(_)) => HangupCause::Rejected,
        ("not_found", _) => HangupCause::NotFound,
        // Whether it was answered other events say: one that was not has been given up.
        ("normal_clearing", None) => HangupCause::Unknown,
        _ => HangupCause::Failed,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The carrier's words, with the status that goes with them; words that are new are no fault.
    #[test]
    fn words_have_causes() {
        for (word, status, expected) in [
            ("normal_clearing", "200", HangupCause::Normal),
            ("normal_clearing", "487", HangupCause::Cancelled),
            ("normal_clearing", "unspecified", HangupCause::Unknown),
            ("user_busy", "486", HangupCause::Busy),
            ("timeout", "487", HangupCause::NoAnswer),
            ("no_answer", "480", HangupCause::NoAnswer),
            ("originator_cancel", "487", HangupCause::Cancelled),
            ("call_rejected", "486", HangupCause::Busy),
            ("call_rejected", "603", HangupCause::Rejected),
            ("call_rejected", "403", HangupCause::Rejected),
            ("call_rejected", "unspecified", HangupCause::Failed),
            ("not_found", "404", HangupCause::NotFound),
            ("time_limit", "200", HangupCause::Normal),
            ("unspecified", "503", HangupCause::Congestion),
            ("unspecified", "unspecified", HangupCause::Failed),
            ("brand_new", "200", HangupCause::Failed),
        ] {
            let payload = json!({"hangup_cause": word, "sip_hangup_cause": status});
            assert_eq!(ended(&payload).cause, expected, "{word} {status}");
        }
        assert_eq!(ended(&json!({})).raw.as_deref(), Some("unspecified by unknown"));
        assert_eq!(ended(&json!({"sip_hangup_cause": "99"})).sip_status, None);
    }
}
