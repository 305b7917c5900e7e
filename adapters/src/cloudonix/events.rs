//! Facts about calls, from webhooks, from records of calls, and from the objects of the API.

use serde_json::Value;

use super::request::{Fields, number, text};
use crate::config::RawConfig;
use crate::event::{
    AnsweredBy, CallEvent, CallFact, CarrierCallId, Ended, HangupCause, Price, Recording,
    TransferOf, TransferState,
};
use crate::exchange::without_numbers;
use crate::timestamp::rfc3339_ms;

/// What a status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Initiated,
    Ringing,
    Answered,
    Over(HangupCause),
}

impl State {
    /// Reads the carrier's word, or that of documents, which have words of their own. Of "answer"
    /// it depends on whether the session is over. `None` for words that change nothing.
    pub(super) fn read(word: &str, is_over: bool) -> Option<Self> {
        Some(match word.trim().to_ascii_lowercase().as_str() {
            "new" | "processing" | "queued" | "initiated" => Self::Initiated,
            "ringing" => Self::Ringing,
            "answer" | "answered" if is_over => Self::Over(HangupCause::Normal),
            "connected" | "in-progress" | "answer" | "answered" => Self::Answered,
            // It left the platform, and nothing more will be told of it.
            "completed" | "external" => Self::Over(HangupCause::Normal),
            "busy" => Self::Over(HangupCause::Busy),
            "noanswer" | "no-answer" => Self::Over(HangupCause::NoAnswer),
            "cancel" | "canceled" | "cancelled" => Self::Over(HangupCause::Cancelled),
            "congestion" => Self::Over(HangupCause::Congestion),
            "nocredit" | "error" | "failed" => Self::Over(HangupCause::Failed),
            _ => return None,
        })
    }

    /// The same for a state however often it is told: updates come in bursts.
    const fn id(self) -> &'static str {
        match self {
            Self::Initiated => "initiated",
            Self::Ringing => "ringing",
            Self::Answered => "answered",
            Self::Over(_) => "over",
        }
    }

    fn fact(self, raw: Option<String>, duration_ms: Option<u64>) -> CallFact {
        match self {
            Self::Initiated => CallFact::Initiated,
            Self::Ringing => CallFact::Ringing,
            Self::Answered => CallFact::Answered,
            Self::Over(cause) => {
                CallFact::Ended(Ended { cause, sip_status: None, duration_ms, raw })
            }
        }
    }
}

fn event(call: &str, id: &str, at_unix_ms: Option<u64>, what: CallFact) -> CallEvent {
    CallEvent { call: CarrierCallId(call.to_owned()), id: Some(id.to_owned()), at_unix_ms, what }
}

/// What a session says of itself, in an update or as the API's object. `None` if it has no token or
/// no status; nothing of a status that is unknown.
pub(super) fn session(session: &Value) -> Option<Vec<CallEvent>> {
    let get = |name: &str| text(session.get(name));
    let at = |name: &str| number(session.get(name)).filter(|ms| *ms > 0);
    // A time that is not there in one form may be in the other; one that is null has not come.
    let either = |ms: &str, written: &str| match session.get(ms) {
        Some(_) => at(ms),
        None => get(written).and_then(rfc3339_ms),
    };
    let (call, status) = (get("token")?, get("status")?);
    let (answered, over) =
        (either("callAnswerTime", "answerTime"), either("callEndTime", "endTime"));
    let Some(state) = State::read(status, over.is_some()) else { return Some(Vec::new()) };
    let told = get("modifiedAt").and_then(rfc3339_ms);
    let when = match state {
        State::Initiated => told.or(at("callStartTime")),
        State::Ringing => told,
        State::Answered => answered.or(told),
        State::Over(_) => over.or(told),
    };
    let reason = get("reason").or_else(|| get("lastError"));
    let raw = reason.map_or_else(|| status.to_owned(), |reason| format!("{status}: {reason}"));
    let duration_ms = over.zip(answered).map(|(over, answered)| over.saturating_sub(answered));
    Some(vec![event(call, state.id(), when, state.fact(Some(without_numbers(&raw)), duration_ms))])
}

/// What a request of a document says about the state of its call; nothing if it does not.
pub(super) fn of_document(fields: &Fields, call: &str) -> Vec<CallEvent> {
    let status = fields.text("CallStatus");
    let state = status.and_then(|word| State::read(word, false));
    let raw = status.map(without_numbers);
    state.map(|state| event(call, state.id(), None, state.fact(raw, None))).into_iter().collect()
}

/// The record of a call, which is the last word about it.
pub(super) fn record(fields: &Fields, config: &RawConfig) -> Option<Vec<CallEvent>> {
    let id = |value: Option<&Value>| match value? {
        Value::Number(number) => Some(number.to_string()),
        other => text(Some(other)).map(str::to_owned),
    };
    let session = |name: &str| fields.within("session", name);
    // Without a token it may still be known what it is about.
    let call = text(session("token"))
        .map(str::to_owned)
        .or_else(|| id(session("id")))
        .or_else(|| fields.text("call_id").map(str::to_owned))?;
    // A record has this field even where it says nothing.
    if !fields.has("disposition") {
        return None;
    }
    let word = fields.text("disposition");
    let cause = match word.unwrap_or_default().to_ascii_uppercase().as_str() {
        "CONNECTED" | "ANSWER" | "ANSWERED" | "EXTERNAL" => HangupCause::Normal,
        "BUSY" => HangupCause::Busy,
        "CANCEL" | "CANCELED" | "CANCELLED" => HangupCause::Cancelled,
        "NOANSWER" | "NO ANSWER" | "NO-ANSWER" => HangupCause::NoAnswer,
        "CONGESTION" => HangupCause::Congestion,
        _ => HangupCause::Failed,
    };
    let seconds = number(fields.get("billsec")).or_else(|| number(fields.get("duration")));
    let duration_ms = seconds.and_then(|seconds| seconds.checked_mul(1_000));
    let at = |name: &str| number(session(name)).filter(|ms| *ms > 0);
    let mut events = Vec::new();
    if let (HangupCause::Normal, Some(answered)) = (cause, at("callAnswerTime")) {
        // Updates may have been lost.
        events.push(event(&call, State::Answered.id(), Some(answered), CallFact::Answered));
    }
    let state = State::Over(cause);
    let what = state.fact(word.map(without_numbers), duration_ms);
    events.push(event(&call, state.id(), at("callEndTime"), what));
    if let Some(price) = price(fields, config) {
        events.push(event(&call, "priced", None, CallFact::Priced(price)));
    }
    Some(events)
}

/// The price in a record, mostly absent. What the domain sells the call for is another matter.
fn price(fields: &Fields, config: &RawConfig) -> Option<Price> {
    let amount = match fields.get("rated_cost").or_else(|| fields.get("approx_cost"))? {
        Value::Number(number) => number.to_string(),
        other => text(Some(other))?.to_owned(),
    };
    let fits = amount.starts_with(|c: char| c.is_ascii_digit())
        && amount.chars().all(|c| c.is_ascii_digit() || c == '.')
        && amount.matches('.').count() <= 1;
    let currency = config.text("currency")?.to_owned();
    fits.then_some(Price { amount, currency })
}

/// Who answered.
pub(super) fn answered_by(fields: &Fields, call: &str) -> Option<Vec<CallEvent>> {
    let word = fields.text("AnsweredBy")?;
    let who = match word.to_ascii_lowercase().as_str() {
        "human" => AnsweredBy::Human,
        "machine" | "machine_start" => AnsweredBy::MachineStart,
        "machine_end_beep" | "machine_end_silence" | "machine_end_other" => AnsweredBy::MachineEnd,
        "fax" => AnsweredBy::Fax,
        _ => AnsweredBy::Unknown,
    };
    Some(vec![event(call, "answered-by", None, CallFact::AnsweredBy { who })])
}

/// What became of a media stream. Its words are not documented; those of the dialect's maker are
/// understood, and others say nothing.
pub(super) fn stream(fields: &Fields, call: &str) -> Option<Vec<CallEvent>> {
    let stream = fields.text("StreamSid");
    let word = fields.text("StreamEvent").or(stream.map(|_| ""))?;
    let what = match word {
        "stream-started" => CallFact::StreamStarted,
        "stream-stopped" => CallFact::StreamStopped,
        "stream-error" => {
            CallFact::StreamFailed { code: fields.text("StreamError").map(without_numbers) }
        }
        _ => return Some(Vec::new()),
    };
    let id = format!("{}:{word}", stream.unwrap_or_default());
    Some(vec![event(call, &id, None, what)])
}

/// A recording that is there; nothing if it came to nothing.
pub(super) fn recorded(fields: &Fields, call: &str) -> Option<Vec<CallEvent>> {
    let url = fields.text("RecordingUrl");
    let status = fields.text("RecordingStatus").or(url.map(|_| "completed"))?;
    let id = fields.text("RecordingSid").or(url).filter(|_| status == "completed");
    let recorded = id.map(|id| {
        let duration_ms =
            number(fields.get("RecordingDuration")).and_then(|seconds| seconds.checked_mul(1_000));
        let url = url.map(str::to_owned);
        let what = CallFact::Recorded(Recording { id: id.to_owned(), url, duration_ms });
        event(call, &format!("recorded:{id}"), None, what)
    });
    Some(recorded.into_iter().collect())
}

/// That a transfer moved on; `leg` is the session of the destination, if it has one, and makes the
/// fact unique: there may be another transfer later.
pub(super) fn transfer(call: &str, leg: &str, state: TransferState, of: TransferOf) -> CallEvent {
    event(call, &format!("transfer:{leg}:{state:?}"), None, CallFact::Transfer { state, of })
}
