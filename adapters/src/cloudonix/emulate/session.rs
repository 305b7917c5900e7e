//! A session: what the carrier calls a call.

use std::collections::VecDeque;

use media::time::MonoTime;
use serde_json::{Value, json};

use crate::emulate::xml::Element;

/// What a session does.
#[derive(Debug)]
pub(super) enum Doing {
    /// Its next verb.
    Next,
    /// It waits for a document.
    Asking,
    /// Its audio flows over this socket.
    Streaming(u32),
    /// It waits for this session, or talks with it; what is asked afterwards.
    Dialling(String, Option<String>),
    /// It is in this conference, which ends with it or does not.
    Meeting(String, bool),
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) token: String,
    pub(super) id: u64,
    /// `inbound`, `outbound-api` or `outbound`.
    pub(super) direction: &'static str,
    /// The session that dialled this one.
    pub(super) parent: Option<String>,
    pub(super) from: String,
    pub(super) to: String,
    /// The carrier's word.
    pub(super) status: &'static str,
    /// Where changes are told.
    pub(super) callback: Option<String>,
    pub(super) verbs: VecDeque<Element>,
    pub(super) doing: Doing,
    pub(super) rings_until: Option<MonoTime>,
    pub(super) answers_at: Option<MonoTime>,
    /// Where it is told who answered.
    pub(super) detection: Option<String>,
    /// Where it is told that a recording is there.
    pub(super) recording: Option<String>,
    pub(super) began_ms: u64,
    pub(super) answered_ms: Option<u64>,
    pub(super) ended_ms: Option<u64>,
}

impl Session {
    pub(super) const fn is_over(&self) -> bool {
        self.ended_ms.is_some()
    }

    pub(super) const fn rings(&self) -> bool {
        !self.is_over() && self.answered_ms.is_none()
    }

    /// The id that SIP has for it.
    fn sip_call(&self) -> String {
        format!("sip{}@198.51.100.7", self.id)
    }

    fn seconds(&self) -> u64 {
        let Some((from, to)) = self.answered_ms.zip(self.ended_ms) else { return 0 };
        to.saturating_sub(from) / 1000
    }

    /// The object of the API. Times are numbers at one moment and texts at another.
    pub(super) fn object(&self, domain: &str, as_text: bool, unix_ms: u64) -> Value {
        let time = |ms: Option<u64>| match ms {
            Some(ms) if as_text => json!(ms.to_string()),
            other => json!(other),
        };
        let direction = if self.direction == "inbound" { "Inbound" } else { "Outbound" };
        json!({
            "id": self.id,
            "domainId": 1700,
            "domain": domain,
            "subscriberId": null,
            "destination": self.to,
            "callerId": self.from,
            "direction": direction,
            "token": self.token,
            "status": self.status,
            "timeLimit": null,
            "vappServer": "172.24.0.1",
            "createdAt": iso8601(self.began_ms),
            "modifiedAt": iso8601(unix_ms),
            "callStartTime": time(Some(self.began_ms)),
            "callAnswerTime": time(self.answered_ms),
            "callEndTime": time(self.ended_ms),
            "answerTime": self.answered_ms.map(iso8601),
            "endTime": self.ended_ms.map(iso8601),
            "profile": {},
        })
    }

    /// An update of it. Some come as a list of one.
    pub(super) fn update(&self, domain: &str, serial: u64, unix_ms: u64) -> Value {
        let mut update = self.object(domain, serial.is_multiple_of(2), unix_ms);
        update["eventId"] = format!("ev-{serial}").into();
        update["action"] = "session-update".into();
        update["direction"] = self.direction.into();
        update["reason"] = Value::Null;
        update["lastError"] = Value::Null;
        update["callIds"] = json!([self.sip_call()]);
        if serial.is_multiple_of(3) { json!([update]) } else { update }
    }

    /// Its record, once it is over.
    pub(super) fn record(&self, domain: &str, uuid: &str) -> Value {
        let disposition = match self.status {
            "answer" => "CONNECTED",
            "busy" => "BUSY",
            "noanswer" => "NOANSWER",
            "cancel" => "CANCEL",
            "congestion" => "CONGESTION",
            _ => "FAILED",
        };
        let ended = self.ended_ms.unwrap_or(self.began_ms);
        json!({
            "timestamp": self.began_ms / 1000,
            "domain": domain,
            "subscriber": null,
            "cx_trunk_id": 380,
            "application": "voice-agent",
            "route": null,
            "from": self.from,
            "to": self.to,
            "duration": ended.saturating_sub(self.began_ms) / 1000,
            "billsec": self.seconds(),
            "disposition": disposition,
            "call_id": self.sip_call(),
            "rated_cost": null,
            "approx_cost": null,
            "sell_cost": null,
            "vapp_server": "172.24.0.1",
            "owner": {"domain": {"uuid": uuid, "name": domain}},
            "session": {
                "id": self.id,
                "domainId": 1700,
                "domain": null,
                "destination": self.to,
                "callerId": self.from,
                "token": self.token,
                "timeLimit": 0,
                "callStartTime": self.began_ms,
                "callAnswerTime": self.answered_ms,
                "callEndTime": self.ended_ms,
                "status": if self.answered_ms.is_some() { "connected" } else { self.status },
                "vappServer": "172.24.0.1",
            },
        })
    }

    /// What is asked when a document is wanted.
    pub(super) fn question(&self, domain: &str, application: &str, url: &str) -> Value {
        let status = match self.status {
            "connected" | "new" | "processing" => "in-progress",
            "ringing" => "ringing",
            _ => "completed",
        };
        let headers = json!({"CID": self.sip_call(), "Cloudonix-Origin": "border",
            "Cloudonix-Signature": "00000000000000000000000000000000"});
        json!({
            "ApplicationSid": application,
            "ApiVersion": "1",
            "CallStatus": status,
            "From": self.from,
            "To": self.to,
            "CallSid": self.token,
            "Session": self.token,
            "Direction": self.direction,
            "Domain": domain,
            "AccountSid": domain,
            "SessionData": {
                "id": self.id,
                "domainId": 1700,
                "destination": self.to,
                "callerId": self.from,
                "token": self.token,
                "status": "NEW",
                "callStartTime": self.began_ms,
                "vappServer": "172.24.0.1",
                "callIds": [self.sip_call()],
                "ringing": false,
                "domainNameOrId": domain,
                "profile": {"callId": [self.sip_call()], "inbound-trunk-id": 380,
                    "inbound-trunk-name": "carrier-in", "trunk-sip-headers": headers},
            },
            "Application": {"id": 4500, "name": "voice-agent", "uuid": application,
                "type": "cxml", "url": url, "method": "POST"},
        })
    }
}

/// `2026-01-06T10:00:00.000Z`. The day is counted as in a calendar whose years begin in March.
fn iso8601(unix_ms: u64) -> String {
    let (days, of_day) = (unix_ms / 86_400_000 + 719_468, unix_ms % 86_400_000);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let of_era_years = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * of_era_years + of_era_years / 4 - of_era_years / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = of_era_years + era * 400 + u64::from(month <= 2);
    let (second, ms) = (of_day / 1000, of_day % 1000);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::iso8601;

    /// Known times.
    #[test]
    fn times() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_767_693_600_001, "2026-01-06T10:00:00.001Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(iso8601(ms), text);
        }
    }
}
