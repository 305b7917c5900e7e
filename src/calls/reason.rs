//! Why the peer says that it ended a call: the Reason header (RFC 3326).

use super::cause::Cause;
use crate::sip::core::headers::{HeaderName, Params};
use crate::sip::core::message::Message;

/// Longest text that is kept, in bytes.
const TEXT_MAX_BYTES: usize = 128;

/// What a Reason header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerReason {
    /// Status of SIP.
    pub sip: Option<u16>,
    /// Cause value of Q.850.
    pub q850: Option<u8>,
    /// What is said in words.
    pub text: Option<String>,
}

impl PeerReason {
    /// Reads the value of a Reason header, one or several reasons; what cannot be read is left out.
    pub fn parse(value: &str) -> Self {
        let mut reason = Self::default();
        for one in crate::sip::core::lex::split_list(value) {
            let at = one.find(';').unwrap_or(one.len());
            let (protocol, params) = one.split_at_checked(at).unwrap_or((one, ""));
            let Ok(params) = Params::parse(params) else { continue };
            let cause = params.get("cause");
            match protocol.trim() {
                name if name.eq_ignore_ascii_case("SIP") => {
                    reason.sip = cause.and_then(|text| text.parse().ok()).or(reason.sip);
                }
                name if name.eq_ignore_ascii_case("Q.850") => {
                    reason.q850 = cause.and_then(|text| text.parse().ok()).or(reason.q850);
                }
                _ => continue,
            }
            if let (Some(text), None) = (params.get("text"), &reason.text) {
                let plain = text.chars().filter(|c| !c.is_control());
                let mut kept: String = plain.take(TEXT_MAX_BYTES).collect();
                kept.truncate(kept.floor_char_boundary(TEXT_MAX_BYTES));
                reason.text = Some(kept);
            }
        }
        reason
    }

    /// That of a response to our INVITE, its status included.
    pub fn of_failure(status: u16, response: Option<&Message>) -> Self {
        let mut reason = response
            .and_then(|response| response.header(HeaderName::Reason))
            .map(Self::parse)
            .unwrap_or_default();
        reason.sip = Some(status);
        reason
    }

    /// The value of a Reason header that says the same; none if nothing is known.
    pub fn header(&self) -> Option<String> {
        let text = self.text.as_deref().unwrap_or_default();
        let safe = |c: &char| (' '..='~').contains(c) && !matches!(c, '"' | '\\');
        let text: String = text.chars().filter(safe).collect();
        let text = if text.is_empty() { text } else { format!(";text=\"{text}\"") };
        match (self.q850, self.sip) {
            (Some(q850), _) => Some(format!("Q.850;cause={q850}{text}")),
            (None, Some(sip)) => Some(format!("SIP;cause={sip}{text}")),
            (None, None) => None,
        }
    }

    /// Status and reason phrase that pass on why the other side of a call was refused; none where
    /// the status speaks of its own leg alone, such as a challenge.
    pub const fn passed_on(&self) -> Option<(u16, &'static str)> {
        Some(match self.sip {
            Some(403) => (403, "Forbidden"),
            Some(404) => (404, "Not Found"),
            Some(410) => (410, "Gone"),
            Some(480) => (480, "Temporarily Unavailable"),
            Some(484) => (484, "Address Incomplete"),
            Some(486) => (486, "Busy Here"),
            Some(488) => (488, "Not Acceptable Here"),
            Some(600) => (600, "Busy Everywhere"),
            Some(603) => (603, "Decline"),
            Some(604) => (604, "Does Not Exist Anywhere"),
            Some(606) => (606, "Not Acceptable"),
            _ => return None,
        })
    }

    /// Why a call that we placed failed: what the telephone network says is more exact than what
    /// the gateway made of it (RFC 3398 8.2.6.1).
    pub fn cause(&self) -> Cause {
        match self.q850 {
            Some(1 | 2 | 3 | 22 | 28) => Cause::NotFound,
            Some(17) => Cause::Busy,
            Some(18..=20) => Cause::NoAnswer,
            Some(21) => Cause::Rejected,
            Some(34 | 42 | 44 | 47) => Cause::Congestion,
            Some(27 | 38 | 41 | 102) => Cause::NetworkFailure,
            _ => Cause::from_sip(self.sip.unwrap_or(480)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both protocols, several at once, quotes, long and broken ones.
    #[test]
    fn reasons() {
        for (value, sip, q850, text) in [
            (
                "Q.850;cause=16;text=\"Normal call clearing\"",
                None,
                Some(16),
                Some("Normal call clearing"),
            ),
            (
                "SIP ;cause=200 ;text=\"Call completed elsewhere\"",
                Some(200),
                None,
                Some("Call completed elsewhere"),
            ),
            ("q.850;cause=17, sip;cause=486;text=busy", Some(486), Some(17), Some("busy")),
            ("SIP;cause=x;text=\"a, b\", Q.850;cause=300", None, None, Some("a, b")),
            ("preemption;cause=1", None, None, None),
            ("", None, None, None),
            (";;", None, None, None),
        ] {
            let expected = PeerReason { sip, q850, text: text.map(str::to_owned) };
            assert_eq!(PeerReason::parse(value), expected, "{value}");
        }
        let long = format!("SIP;cause=1;text=\"{}\"", "é".repeat(500));
        assert_eq!(PeerReason::parse(&long).text.map(|text| text.len()), Some(128));
    }

    /// What is read is written again, and nothing in it can end the header or its text.
    #[test]
    fn written_again() {
        for value in
            ["Q.850;cause=17;text=\"busy\"", "SIP;cause=200;text=\"elsewhere\"", "Q.850;cause=1"]
        {
            assert_eq!(PeerReason::parse(value).header().as_deref(), Some(value));
        }
        assert_eq!(PeerReason::default().header(), None);
        let text = Some("a\"b\\c\r\nd\u{e9}".to_owned());
        let odd = PeerReason { sip: Some(486), q850: Some(17), text };
        assert_eq!(odd.header().as_deref(), Some("Q.850;cause=17;text=\"abcd\""));
        assert_eq!(odd.passed_on(), Some((486, "Busy Here")));
        assert_eq!(PeerReason { sip: Some(401), ..odd }.passed_on(), None);
    }

    /// What Q.850 says of a failure wins over the status; without it the status speaks.
    #[test]
    fn causes() {
        let cause = |sip, q850| PeerReason { sip: Some(sip), q850, text: None }.cause();
        assert_eq!(cause(480, Some(17)), Cause::Busy);
        assert_eq!(cause(503, Some(1)), Cause::NotFound);
        assert_eq!(cause(480, Some(19)), Cause::NoAnswer);
        assert_eq!(cause(500, Some(34)), Cause::Congestion);
        assert_eq!(cause(486, Some(31)), Cause::Busy);
        assert_eq!(cause(404, None), Cause::NotFound);
    }
}
