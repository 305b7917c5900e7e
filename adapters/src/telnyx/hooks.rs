//! Webhooks: one address, JSON, the kind of event in `data.event_type`.
//!
//! The body of our answer is ignored; whatever is wanted is told by requests of our own.

use http::Method;
use serde_json::Value;

use super::calls::made_by;
use super::causes::ended;
use super::verify::{self, SIGNATURE};
use crate::address::Address;
use crate::config::RawConfig;
use crate::event::{
    AnsweredBy, CallEvent, CallFact, CarrierCallId, InboundCall, Meaning, Price, Recording,
    TransferOf, TransferState,
};
use crate::hook::{Handled, Hook, HookError, HookReply, HookRequest, Inbound};
use crate::secret::Pii;
use crate::timestamp::rfc3339_ms;

pub(super) const HOOKS: &[Hook] = &[Hook {
    name: "events",
    methods: &[Method::POST],
    verify: verify::verify,
    explain: verify::explain,
    handle,
}];

pub(super) const INBOUND: Inbound = Inbound {
    rank: 0,
    recognise: |request| request.headers.contains_key(SIGNATURE),
    hook: "events",
    account: |request| {
        let data = data(request).ok()?;
        data["payload"]["connection_id"].as_str().map(str::to_owned)
    },
    parse: |request| {
        let data = data(request)?;
        if is_offer(&data) { offered(&data["payload"]) } else { Err(HookError::Unknown) }
    },
    answer: |_, _| Ok(HookReply::NO_CONTENT),
    refuse: |_, _| HookReply::NO_CONTENT,
};

/// The object `data` of a webhook.
fn data(request: &HookRequest<'_>) -> Result<Value, HookError> {
    let mut body: Value =
        serde_json::from_slice(request.body).map_err(|_| HookError::Body("JSON"))?;
    let data = body.get_mut("data").map(Value::take).filter(Value::is_object);
    data.ok_or(HookError::Field("data"))
}

fn is_offer(data: &Value) -> bool {
    data["event_type"] == "call.initiated" && data["payload"]["direction"] == "incoming"
}

fn text<'v>(value: &'v Value, name: &'static str) -> Result<&'v str, HookError> {
    let text = value[name].as_str().filter(|text| !text.is_empty());
    text.ok_or(HookError::Field(name))
}

fn offered(payload: &Value) -> Result<InboundCall, HookError> {
    let from = payload["from"].as_str().filter(|from| !is_withheld(from));
    let to = text(payload, "to")?;
    let mut extra = Vec::new();
    for list in ["sip_headers", "custom_headers"] {
        for header in payload[list].as_array().into_iter().flatten() {
            if let (Some(name), Some(value)) = (header["name"].as_str(), header["value"].as_str()) {
                extra.push((name.to_owned(), Pii::new(value)));
            }
        }
    }
    for name in ["caller_id_name", "shaken_stir_attestation"] {
        if let Some(value) = payload[name].as_str() {
            extra.push((name.to_owned(), Pii::new(value)));
        }
    }
    Ok(InboundCall {
        call: CarrierCallId(text(payload, "call_control_id")?.to_owned()),
        from: from.and_then(|from| Address::parse(from, None).ok()),
        to: Address::parse(to, None)
            .or_else(|_| Address::international(to))
            .map_err(|_| HookError::Field("to"))?,
        extra,
    })
}

fn is_withheld(from: &str) -> bool {
    ["anonymous", "restricted", "unknown", "unavailable", "private"]
        .iter()
        .any(|word| from.eq_ignore_ascii_case(word))
}

fn handle(request: &HookRequest<'_>, config: &RawConfig) -> Result<Handled, HookError> {
    let data = data(request)?;
    let payload = &data["payload"];
    let kind = text(&data, "event_type")?;
    // One key signs for all applications of an account.
    if let (Some(told), Some(ours)) =
        (payload["connection_id"].as_str(), config.text("connection_id"))
        && told != ours
    {
        return Err(HookError::Field("connection_id"));
    }
    let meaning = if is_offer(&data) {
        Meaning::Offered(offered(payload)?)
    } else {
        Meaning::Events(event(&data, kind)?.into_iter().collect())
    };
    Ok(Handled { meaning, reply: HookReply::NO_CONTENT })
}

/// The fact that a webhook tells, if it is one of ours: other products of the account come with
/// the same key, and new kinds of events come without notice.
fn event(data: &Value, kind: &str) -> Result<Option<CallEvent>, HookError> {
    let payload = &data["payload"];
    if !kind.starts_with("call.") && !kind.starts_with("streaming.") {
        return Ok(None);
    }
    let call = CarrierCallId(text(payload, "call_control_id")?.to_owned());
    let made = payload["client_state"].as_str().and_then(made_by);
    let (call, what) = match made {
        Some(made) => {
            let of = TransferOf {
                id: Some(made.transfer),
                leg: made.apart.then_some(call),
                cause: None,
            };
            (made.caller, transfer_leg(kind, payload, of))
        }
        None => (call, fact(kind, payload)?),
    };
    Ok(what.map(|what| CallEvent {
        call,
        id: data["id"].as_str().map(str::to_owned),
        at_unix_ms: data["occurred_at"].as_str().and_then(rfc3339_ms),
        what,
    }))
}

fn fact(kind: &str, payload: &Value) -> Result<Option<CallFact>, HookError> {
    let transfer = |state| Some(CallFact::transfer(state));
    Ok(match kind {
        "call.initiated" => Some(CallFact::Initiated),
        "call.answered" => Some(CallFact::Answered),
        "call.hangup" => Some(CallFact::Ended(ended(payload))),
        "streaming.started" => Some(CallFact::StreamStarted),
        "streaming.stopped" => Some(CallFact::StreamStopped),
        "streaming.failed" => {
            let code = payload["failure_reason"].as_str().map(str::to_owned);
            Some(CallFact::StreamFailed { code })
        }
        "call.machine.detection.ended"
        | "call.machine.greeting.ended"
        | "call.machine.premium.detection.ended"
        | "call.machine.premium.greeting.ended" => {
            Some(CallFact::AnsweredBy { who: who(text(payload, "result")?) })
        }
        "call.refer.started" => transfer(TransferState::Trying),
        "call.refer.completed" => transfer(TransferState::Done),
        "call.refer.failed" => transfer(TransferState::Failed),
        "call.recording.saved" => Some(CallFact::Recorded(recording(payload)?)),
        "call.cost" => price(payload).map(CallFact::Priced),
        // Digits come over the media socket as well, and there they are quicker.
        _ => None,
    })
}

/// What an event of the leg that a transfer called means to the caller's.
fn transfer_leg(kind: &str, payload: &Value, of: TransferOf) -> Option<CallFact> {
    let state = match kind {
        "call.initiated" => TransferState::Trying,
        "call.answered" => TransferState::Answered,
        "call.bridged" => TransferState::Done,
        // A leg in our place that ends as calls end was connected; then the caller's own end tells
        // the rest. One that was called apart may have hung up before.
        "call.hangup" if payload["hangup_cause"] == "normal_clearing" && of.leg.is_none() => {
            return None;
        }
        "call.hangup" => TransferState::Failed,
        _ => return None,
    };
    Some(CallFact::Transfer { state, of })
}

fn who(result: &str) -> AnsweredBy {
    match result {
        "human" | "human_residence" | "human_business" => AnsweredBy::Human,
        "machine" => AnsweredBy::MachineStart,
        "beep_detected" | "no_beep_detected" | "prompt_ended" | "ended" => AnsweredBy::MachineEnd,
        "fax_detected" => AnsweredBy::Fax,
        _ => AnsweredBy::Unknown,
    }
}

fn recording(payload: &Value) -> Result<Recording, HookError> {
    let time = |name: &str| payload[name].as_str().and_then(rfc3339_ms);
    let lasted = time("recording_ended_at").zip(time("recording_started_at"));
    let urls = ["wav", "mp3"].map(|format| payload["recording_urls"][format].as_str());
    let url = urls.into_iter().flatten().next();
    // An id is not documented everywhere.
    let id = text(payload, "recording_id").or_else(|error| url.ok_or(error))?;
    Ok(Recording {
        id: id.to_owned(),
        url: url.map(str::to_owned),
        duration_ms: lasted.and_then(|(end, start)| end.checked_sub(start)),
    })
}

fn price(payload: &Value) -> Option<Price> {
    if payload["status"] == "error" {
        return None;
    }
    let amount = payload["total_cost"].as_str()?;
    let mut parts = payload["cost_parts"].as_array().into_iter().flatten();
    let currency = parts.find_map(|part| part["currency"].as_str()).unwrap_or("USD");
    Some(Price {
        amount: amount.trim_start_matches('-').to_owned(),
        currency: currency.to_ascii_uppercase(),
    })
}
