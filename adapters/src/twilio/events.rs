//! Facts about calls, from webhooks and from the objects of the API.

use serde_json::Value;

use crate::event::{
    AnsweredBy, CallEvent, CallFact, CarrierCallId, Ended, HangupCause, Recording, TransferOf,
    TransferState,
};
use crate::timestamp::rfc3339_ms;

/// The fields of a webhook.
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn new(fields: impl Iterator<Item = (String, String)>) -> Self {
        Self(fields.collect())
    }

    /// The value of a field. Many are there and empty, which is as good as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn seconds_ms(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse::<u64>().ok()?.checked_mul(1_000)
    }

    /// When it happened: RFC 2822 in what is about calls, ISO 8601 in what is about streams.
    fn at_unix_ms(&self) -> Option<u64> {
        let text = self.get("Timestamp")?;
        rfc2822_ms(text).or_else(|| rfc3339_ms(text))
    }

    /// A fact of this webhook. `id` makes it unique beside what the carrier counts.
    fn event(&self, call: &str, id: String, what: CallFact) -> CallEvent {
        let call = CarrierCallId(call.to_owned());
        CallEvent { call, id: Some(id), at_unix_ms: self.at_unix_ms(), what }
    }
}

/// Milliseconds since 1970 of a time as mail writes it (RFC 2822 3.3):
/// `Tue, 06 Jan 2026 10:00:00 +0000`.
fn rfc2822_ms(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ").unwrap_or(("", text));
    let mut parts = rest.split_ascii_whitespace();
    let (day, month) = (parts.next()?, parts.next()?);
    let (year, clock, zone) = (parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let zone = if matches!(zone, "GMT" | "UT") { "Z" } else { zone };
    let end = parts.next().is_none();
    end.then(|| rfc3339_ms(&format!("{year}-{month:02}-{day:0>2}T{clock}{zone}"))).flatten()
}

/// What a webhook about the state of a call says. `None` if it is no state that is known.
pub(super) fn state(fields: &Fields) -> Option<Vec<CallEvent>> {
    let (call, status) = (fields.get("CallSid")?, fields.get("CallStatus")?);
    let what = match status {
        "queued" | "initiated" => CallFact::Initiated,
        "ringing" => CallFact::Ringing,
        "in-progress" | "answered" => CallFact::Answered,
        _ => {
            let sip_status = fields.get("SipResponseCode").and_then(|code| code.parse().ok());
            // Not `Duration`, which counts minutes.
            CallFact::Ended(ended(status, sip_status, fields.seconds_ms("CallDuration"))?)
        }
    };
    let number = fields.get("SequenceNumber").unwrap_or_default();
    let mut events = vec![fields.event(call, format!("{status}:{number}"), what)];
    // Told only with these, if the detection came before the agent.
    events.extend(answered_by(fields));
    events.extend(recorded(fields));
    Some(events)
}

/// Who answered, if the webhook says.
pub(super) fn answered_by(fields: &Fields) -> Option<CallEvent> {
    let (call, word) = (fields.get("CallSid")?, fields.get("AnsweredBy")?);
    let who = who(word);
    Some(fields.event(call, format!("answered-by:{word}"), CallFact::AnsweredBy { who }))
}

pub(super) fn who(word: &str) -> AnsweredBy {
    match word {
        "human" => AnsweredBy::Human,
        "machine_start" | "machine" => AnsweredBy::MachineStart,
        "machine_end_beep" | "machine_end_silence" | "machine_end_other" => AnsweredBy::MachineEnd,
        "fax" => AnsweredBy::Fax,
        _ => AnsweredBy::Unknown,
    }
}

/// The recording that a webhook tells of.
pub(super) fn recorded(fields: &Fields) -> Option<CallEvent> {
    let (call, id) = (fields.get("CallSid")?, fields.get("RecordingSid")?.to_owned());
    let url = fields.get("RecordingUrl").map(str::to_owned);
    let duration_ms = fields.seconds_ms("RecordingDuration");
    let unique = format!("recorded:{id}");
    Some(fields.event(call, unique, CallFact::Recorded(Recording { id, url, duration_ms })))
}

/// What a webhook about a media stream says. `None` if it is nothing that is known.
pub(super) fn stream(fields: &Fields) -> Option<CallEvent> {
    let (call, event) = (fields.get("CallSid")?, fields.get("StreamEvent")?);
    let what = match event {
        "stream-started" => CallFact::StreamStarted,
        "stream-stopped" => CallFact::StreamStopped,
        "stream-error" => {
            CallFact::StreamFailed { code: fields.get("StreamError").map(str::to_owned) }
        }
        _ => return None,
    };
    let stream = fields.get("StreamSid").unwrap_or_default();
    Some(fields.event(call, format!("{stream}:{event}"), what))
}

/// That a transfer moved on: of the call `call`, told by this webhook.
pub(super) fn transfer(
    fields: &Fields,
    call: &str,
    state: TransferState,
    of: TransferOf,
) -> CallEvent {
    // The leg to the destination makes it unique: there may be another transfer later.
    let leg = ["DialCallSid", "ReferCallSid", "CallSid"].iter().find_map(|name| fields.get(name));
    let id = format!("transfer:{}:{state:?}", leg.unwrap_or_default());
    fields.event(call, id, CallFact::Transfer { state, of })
}

/// How a call ended. `None` if it did not.
pub(super) fn ended(
    status: &str,
    sip_status: Option<u16>,
    duration_ms: Option<u64>,
) -> Option<Ended> {
    let told = sip_status.map(HangupCause::from_sip);
    let cause = match status {
        "completed" => HangupCause::Normal,
        // What a telephone that declines is called depends on the network behind.
        "busy" | "no-answer" if told == Some(HangupCause::Rejected) => HangupCause::Rejected,
        "busy" => HangupCause::Busy,
        "no-answer" => HangupCause::NoAnswer,
        "canceled" => HangupCause::Cancelled,
        "failed" => told
            .filter(|cause| !matches!(cause, HangupCause::Normal | HangupCause::Unknown))
            .unwrap_or(HangupCause::Failed),
        _ => return None,
    };
    let raw = Some(status.to_owned());
    Some(Ended { cause, sip_status, duration_ms, raw })
}

/// What the API's object of a call says about its state.
pub(super) fn of_call(call: &Value) -> Option<Vec<CallEvent>> {
    let text = |name: &str| call.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (id, status) = (text("sid")?, text("status")?);
    let event = |name: &str, what| CallEvent {
        call: CarrierCallId(id.to_owned()),
        id: None,
        at_unix_ms: text(name).and_then(rfc2822_ms),
        what,
    };
    let duration_ms = text("duration").and_then(|s| s.parse::<u64>().ok()?.checked_mul(1_000));
    let mut events = Vec::new();
    match status {
        "queued" | "initiated" => events.push(event("date_created", CallFact::Initiated)),
        "ringing" => events.push(event("date_updated", CallFact::Ringing)),
        "in-progress" => events.push(event("start_time", CallFact::Answered)),
        _ => {
            let ended = ended(status, None, duration_ms)?;
            // The state between may have been missed.
            if status == "completed" && duration_ms.is_some_and(|ms| ms > 0) {
                events.push(event("start_time", CallFact::Answered));
            }
            events.push(event("end_time", CallFact::Ended(ended)));
        }
    }
    if let Some(word) = text("answered_by") {
        events.push(event("start_time", CallFact::AnsweredBy { who: who(word) }));
    }
    Some(events)
}
