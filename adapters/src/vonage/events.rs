//! Event webhooks and answers about calls, as facts.

use serde_json::Value;

use crate::event::{
    AnsweredBy, CallEvent, CallFact, CarrierCallId, Ended, HangupCause, Price, Recording,
};
use crate::hook::HookError;
use crate::secret::Pii;
use crate::timestamp::rfc3339_ms;

/// Vonage's prices are in euros, whatever the account is billed in.
const CURRENCY: &str = "EUR";
/// Most bytes of an id.
const ID_BYTES_MAX: usize = 128;
/// Most digits of one input.
const DIGITS_MAX: usize = 64;

/// A UUID with hyphens, in small letters: REST answers write it so, webhooks often as 32 digits.
pub(super) fn uuid(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let places = text.char_indices().filter(|(_, c)| *c == '-').map(|(at, _)| at);
    let plain = text.len() == 32 || (text.len() == 36 && places.eq([8, 13, 18, 23]));
    if !plain || digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut uuid = digits.to_ascii_lowercase();
    for at in [20, 16, 12, 8] {
        uuid.insert(at, '-');
    }
    Some(uuid)
}

/// An id of a call, in the one form by which it is known here.
pub(super) fn call_id(text: &str) -> Option<CarrierCallId> {
    let fits = !text.is_empty() && text.len() <= ID_BYTES_MAX;
    fits.then(|| CarrierCallId(uuid(text).unwrap_or_else(|| text.to_owned())))
}

/// Which leg of a call an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    /// A party.
    Party,
    /// The media stream, which is a leg of its own: its answer and end are not the call's.
    Stream,
}

/// The leg that an event is about.
pub(super) fn leg(value: &Value) -> Leg {
    let to = text(value, "to").unwrap_or_default();
    if to.starts_with("ws://") || to.starts_with("wss://") { Leg::Stream } else { Leg::Party }
}

/// The call, or leg, that an event is about. Detection of machines calls it by another name, and
/// recordings are of conversations.
pub(super) fn subject(value: &Value) -> Result<CarrierCallId, HookError> {
    let id = ["uuid", "call_uuid", "conversation_uuid"].iter().find_map(|name| text(value, name));
    id.and_then(call_id).ok_or(HookError::Field("uuid"))
}

pub(super) fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str)
}

/// What an event says of the call it is about; perhaps nothing.
pub(super) fn facts(value: &Value) -> Vec<CallFact> {
    match (text(value, "status"), leg(value)) {
        (Some(status), Leg::Party) => of_party(status, value),
        (Some(status), Leg::Stream) => of_stream(status, value).into_iter().collect(),
        (None, _) => without_status(value),
    }
}

/// Makes events of facts about `call`.
pub(super) fn events(call: &CarrierCallId, value: &Value, facts: Vec<CallFact>) -> Vec<CallEvent> {
    let stamp = text(value, "timestamp").filter(|stamp| stamp.len() <= ID_BYTES_MAX);
    let status = text(value, "status").filter(|status| status.len() <= ID_BYTES_MAX);
    let event = |(index, what): (usize, CallFact)| {
        let word = status.unwrap_or("input");
        CallEvent {
            call: call.clone(),
            id: stamp.map(|stamp| format!("{word}:{index}:{stamp}")),
            at_unix_ms: stamp.and_then(rfc3339_ms),
            what,
        }
    };
    facts.into_iter().enumerate().map(event).collect()
}

fn of_party(status: &str, value: &Value) -> Vec<CallFact> {
    let detail = text(value, "detail");
    let machine = match text(value, "sub_state") {
        Some("beep_start") => AnsweredBy::MachineEnd,
        _ => AnsweredBy::MachineStart,
    };
    match status {
        "started" => vec![CallFact::Initiated],
        "ringing" => vec![CallFact::Ringing],
        "answered" => vec![CallFact::Answered],
        "human" => vec![CallFact::AnsweredBy { who: AnsweredBy::Human }],
        "machine" => vec![CallFact::AnsweredBy { who: machine }],
        _ => {
            let sip_status = number(value, "sip_code").and_then(|code| u16::try_from(code).ok());
            let duration_s = number(value, "duration");
            let Some(cause) = cause(status, detail, sip_status, duration_s) else {
                return Vec::new();
            };
            let raw = detail.map_or_else(|| status.to_owned(), |d| format!("{status}:{d}"));
            let mut facts = vec![CallFact::Ended(Ended {
                cause,
                sip_status,
                duration_ms: duration_s.map(|seconds| seconds.saturating_mul(1000)),
                raw: Some(raw.chars().take(ID_BYTES_MAX).collect()),
            })];
            facts.extend(price(value).map(CallFact::Priced));
            facts
        }
    }
}

/// Why a call ended; `None` for a status that ends no call.
///
/// `completed` also follows other ends, which it repeats in `sip_code`: nobody talked then.
fn cause(
    status: &str,
    detail: Option<&str>,
    sip_status: Option<u16>,
    duration_s: Option<u64>,
) -> Option<HangupCause> {
    Some(match (status, detail) {
        ("completed" | "complete", _) => match sip_status {
            Some(code @ 300..) if duration_s.is_none_or(|s| s == 0) => HangupCause::from_sip(code),
            _ => HangupCause::Normal,
        },
        ("busy", _) => HangupCause::Busy,
        ("timeout" | "unanswered", _) => HangupCause::NoAnswer,
        ("cancelled" | "canceled", _) => HangupCause::Cancelled,
        // A person who declines is no fault of anybody.
        ("rejected", Some("declined")) => HangupCause::Rejected,
        ("rejected", Some("invalid_number")) => HangupCause::NotFound,
        ("failed", Some("number_out_of_service")) => HangupCause::NotFound,
        ("rejected" | "failed", _) => HangupCause::Failed,
        _ => return None,
    })
}

/// The media stream is up, down, or came to nothing.
fn of_stream(status: &str, value: &Value) -> Option<CallFact> {
    match status {
        "answered" => Some(CallFact::StreamStarted),
        "completed" | "disconnected" => Some(CallFact::StreamStopped),
        _ if is_failure(status) => {
            let word = text(value, "detail").unwrap_or(status);
            let code = Some(word.chars().take(ID_BYTES_MAX).collect());
            Some(CallFact::StreamFailed { code })
        }
        _ => None,
    }
}

/// True if a leg came to nothing.
pub(super) fn is_failure(status: &str) -> bool {
    const FAILURES: [&str; 7] =
        ["failed", "rejected", "busy", "timeout", "unanswered", "cancelled", "canceled"];
    FAILURES.contains(&status)
}

fn without_status(value: &Value) -> Vec<CallFact> {
    if let Some(url) = text(value, "recording_url") {
        let time = |name| text(value, name).and_then(rfc3339_ms);
        let duration_ms = time("end_time").zip(time("start_time"));
        return vec![CallFact::Recorded(Recording {
            id: text(value, "recording_uuid").unwrap_or(url).to_owned(),
            url: Some(url.to_owned()),
            duration_ms: duration_ms.and_then(|(end, start)| end.checked_sub(start)),
        })];
    }
    // An object today, the digits themselves in older versions of the API.
    let input = value.get("dtmf");
    let digits = input.and_then(|dtmf| dtmf.as_str().or_else(|| text(dtmf, "digits")));
    let is_digit = |c: &char| matches!(c, '0'..='9' | '*' | '#' | 'A'..='D');
    let digits = digits.unwrap_or_default().chars().filter(is_digit).take(DIGITS_MAX);
    digits.map(|digit| CallFact::Dtmf { digit: Pii::new(digit) }).collect()
}

/// A whole number, also one in a text, as durations are.
fn number(value: &Value, name: &str) -> Option<u64> {
    let value = value.get(name)?;
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// The price, once there is one: a decimal number in a text.
pub(super) fn price(value: &Value) -> Option<Price> {
    let amount = text(value, "price")?.trim();
    let decimal = amount.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let fits = decimal && amount.len() <= 32 && amount.parse::<f64>().is_ok();
    fits.then(|| Price { amount: amount.to_owned(), currency: CURRENCY.to_owned() })
}
