//! Why calls end: a number of the carrier's, and the status of the call.

use crate::event::{Ended, HangupCause};

/// Longest text that is kept.
const WORDS_CHARS_MAX: usize = 96;

/// What the end of a call says; values of the webhook or of the record of the call.
pub(super) struct End<'a> {
    /// `CallStatus`; empty if there is none.
    pub(super) status: &'a str,
    /// `HangupCauseCode`.
    pub(super) code: Option<u32>,
    /// `HangupCauseName`.
    pub(super) name: &'a str,
    /// `HangupSource`.
    pub(super) source: &'a str,
    /// Seconds from answer to end.
    pub(super) duration_s: Option<u64>,
}

impl End<'_> {
    pub(super) fn ended(&self) -> Ended {
        let answered = self.status == "completed";
        let code = self.code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        let words = format!("{code} {} by {}", self.name, self.source);
        Ended {
            cause: self.cause(),
            sip_status: None,
            duration_ms: self.duration_s.filter(|_| answered).map(|s| s.saturating_mul(1000)),
            raw: Some(words.chars().take(WORDS_CHARS_MAX).collect()),
        }
    }

    fn cause(&self) -> HangupCause {
        // The carrier could not reach our hooks, or could not read them.
        if self.code.is_some_and(|code| (7000..9000).contains(&code)) {
            return HangupCause::Failed;
        }
        match (self.status, self.code) {
            ("completed", _) => HangupCause::Normal,
            (_, Some(code)) if code != 0 => by_code(code),
            ("busy", _) => HangupCause::Busy,
            ("no-answer" | "timeout", _) => HangupCause::NoAnswer,
            ("cancel" | "cancelled", _) => HangupCause::Cancelled,
            _ => HangupCause::Failed,
        }
    }
}

/// The cause of a call that was never answered.
const fn by_code(code: u32) -> HangupCause {
    match code {
        3000 | 6000 | 6010 => HangupCause::NoAnswer,
        3010 | 3100 => HangupCause::Busy,
        3020 | 3110 => HangupCause::Rejected,
        1000 | 4000 | 9000 => HangupCause::Cancelled,
        2000 | 2010 | 3050 | 3120 => HangupCause::NotFound,
        1020 | 3090 | 5030 => HangupCause::Congestion,
        // A machine answered, and that was not wanted.
        9100 => HangupCause::Normal,
        _ => HangupCause::Failed,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn cause(status: &str, code: Option<u32>) -> HangupCause {
        End { status, code, name: "n", source: "s", duration_s: Some(3) }.ended().cause
    }

    /// Each number of the carrier's list, for a call that was not answered, and each status.
    #[test]
    fn codes_and_statuses() {
        let vectors: Value = serde_json::from_str(include_str!("fixtures/vectors.json")).unwrap();
        let codes = &vectors["canonical_mapping"]["hangup_code_if_never_answered"];
        for (code, word) in codes.as_object().unwrap() {
            let got = cause("failed", code.parse().ok());
            let fits = match word.as_str().unwrap() {
                "canceled" => got == HangupCause::Cancelled,
                "no-answer" => got == HangupCause::NoAnswer,
                "busy" => matches!(got, HangupCause::Busy | HangupCause::Rejected),
                "completed" => got == HangupCause::Normal,
                "failed" => matches!(
                    got,
                    HangupCause::Failed | HangupCause::NotFound | HangupCause::Congestion
                ),
                other => panic!("{other} is new"),
            };
            assert!(fits, "{code} {word}: {got:?}");
        }
        for (status, expected) in [
            ("completed", HangupCause::Normal),
            ("busy", HangupCause::Busy),
            ("no-answer", HangupCause::NoAnswer),
            ("timeout", HangupCause::NoAnswer),
            ("cancel", HangupCause::Cancelled),
            ("cancelled", HangupCause::Cancelled),
            ("failed", HangupCause::Failed),
            ("", HangupCause::Failed),
        ] {
            assert_eq!(cause(status, None), expected, "{status}");
        }
        assert_eq!(cause("timeout", Some(6010)), HangupCause::NoAnswer);
        assert_eq!(cause("timeout", Some(5000)), HangupCause::Failed);
        assert_eq!(cause("completed", Some(4000)), HangupCause::Normal);
        assert_eq!(cause("completed", Some(7011)), HangupCause::Failed, "our fault");
    }
}
