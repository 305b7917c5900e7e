//! A call at the carrier.

use std::collections::VecDeque;

use media::time::MonoTime;
use serde_json::{Value, json};

use super::sign::{iso8601, rfc2822};
use crate::emulate::xml::Element;

/// What a call does.
#[derive(Debug)]
pub(super) enum Doing {
    /// Its next verb.
    Next,
    /// It waits for a document.
    Asking,
    /// Its audio flows over this socket; what is asked afterwards.
    Streaming(u32, Option<String>),
    /// It waits for this leg, or talks with it; what is asked afterwards.
    Dialling(String, Option<String>),
    /// It is in a conference, which ends with it.
    Meeting(String, bool),
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) sid: String,
    /// `inbound`, `outbound-api`, `outbound-dial`.
    pub(super) direction: &'static str,
    pub(super) parent: Option<String>,
    pub(super) from: String,
    pub(super) to: String,
    /// The carrier's word: `queued`, `ringing`, `in-progress`, or one of the ends.
    pub(super) status: String,
    /// Where changes are told, and which.
    pub(super) callback: Option<(String, Vec<String>)>,
    /// Where a document is asked for if the first address fails.
    pub(super) fallback: Option<String>,
    pub(super) verbs: VecDeque<Element>,
    pub(super) doing: Doing,
    pub(super) rings_until: Option<MonoTime>,
    pub(super) answers_at: Option<MonoTime>,
    /// Webhooks about its state so far.
    pub(super) told: u32,
    /// Where it is told who answered; empty if that comes with everything else.
    pub(super) detection: Option<String>,
    pub(super) answered_by: Option<String>,
    pub(super) began_ms: u64,
    pub(super) answered_ms: Option<u64>,
    pub(super) ended_ms: Option<u64>,
    pub(super) sip: Option<u16>,
    pub(super) recording: Option<(String, String)>,
}

impl Call {
    pub(super) const fn is_over(&self) -> bool {
        self.ended_ms.is_some()
    }

    pub(super) fn seconds(&self) -> u64 {
        let Some((from, to)) = self.answered_ms.zip(self.ended_ms) else { return 0 };
        to.saturating_sub(from).div_ceil(1000)
    }

    /// The fields that every webhook about a call has.
    pub(super) fn fields(&self, account: &str) -> Vec<(String, String)> {
        let mut fields: Vec<(String, String)> = Vec::new();
        let mut put = |name: &str, value: &str| fields.push((name.to_owned(), value.to_owned()));
        put("AccountSid", account);
        put("ApiVersion", "2010-04-01");
        put("CallSid", &self.sid);
        put("CallStatus", &self.status);
        put("Direction", self.direction);
        for (name, value) in
            [("Caller", &self.from), ("From", &self.from), ("Called", &self.to), ("To", &self.to)]
        {
            put(name, value);
        }
        // Many are there and empty.
        for name in ["FromCity", "FromZip", "ToCity", "ToZip"] {
            put(name, "");
        }
        put("FromCountry", "US");
        if let Some(parent) = &self.parent {
            put("ParentCallSid", parent);
        }
        if let Some(who) = &self.answered_by {
            put("AnsweredBy", who);
        }
        fields
    }

    /// The fields of a webhook about a change of its state.
    pub(super) fn change(&mut self, account: &str, unix_ms: u64) -> Vec<(String, String)> {
        let mut fields = self.fields(account);
        let mut put = |name: &str, value: String| fields.push((name.to_owned(), value));
        put("CallbackSource", "call-progress-events".to_owned());
        put("SequenceNumber", self.told.to_string());
        put("Timestamp", rfc2822(unix_ms));
        self.told += 1;
        if self.is_over() {
            let seconds = self.seconds();
            put("CallDuration", seconds.to_string());
            // Minutes, as they are billed.
            put("Duration", seconds.div_ceil(60).to_string());
            if let Some(sip) = self.sip {
                put("SipResponseCode", sip.to_string());
            }
        }
        fields
    }

    /// The object of the API.
    pub(super) fn object(&self, account: &str) -> Value {
        let over = self.ended_ms.is_some();
        let time = |ms: Option<u64>| ms.map(rfc2822);
        json!({
            "sid": self.sid,
            "account_sid": account,
            "parent_call_sid": self.parent,
            "from": self.from,
            "to": self.to,
            "status": self.status,
            "direction": self.direction,
            "start_time": time(self.answered_ms),
            "end_time": time(self.ended_ms),
            "duration": over.then(|| self.seconds().to_string()),
            "price": over.then(|| format!("-0.0{:03}0", 14 * self.seconds().div_ceil(60))),
            "price_unit": "USD",
            "answered_by": self.answered_by,
            "date_created": rfc2822(self.began_ms),
            "date_updated": rfc2822(self.ended_ms.or(self.answered_ms).unwrap_or(self.began_ms)),
            "queue_time": "0",
            "uri": format!("/2010-04-01/Accounts/{account}/Calls/{}.json", self.sid),
        })
    }
}

/// The fields of a webhook about a media stream.
pub(super) fn stream_fields(
    account: &str,
    call: &str,
    stream: (&str, &str),
    event: &str,
    unix_ms: u64,
) -> Vec<(String, String)> {
    let fields = [
        ("AccountSid", account),
        ("CallSid", call),
        ("StreamSid", stream.0),
        ("StreamName", stream.1),
        ("StreamEvent", event),
        ("Timestamp", &iso8601(unix_ms)),
    ];
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
