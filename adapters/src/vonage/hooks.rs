//! Vonage's webhooks: offered calls, and events of calls, of their media streams, and of those whom
//! calls are handed to.

use http::Method;
use serde_json::Value;

use super::{answer, events, verify};
use crate::address::Address;
use crate::config::RawConfig;
use crate::event::{CallFact, CarrierCallId, InboundCall, Meaning, TransferOf, TransferState};
use crate::hook::{Handled, Hook, HookError, HookReply, HookRequest, Inbound};
use crate::pairs::pairs;
use crate::secret::Pii;

/// GET is what the dashboard proposes; what is set by us is POST, whose body is signed.
const METHODS: &[Method] = &[Method::POST, Method::GET];

const fn hook(
    name: &'static str,
    handle: fn(&HookRequest<'_>, &RawConfig) -> Result<Handled, HookError>,
) -> Hook {
    Hook { name, methods: METHODS, verify: verify::verify, explain: verify::explain, handle }
}

pub(super) const HOOKS: &[Hook] = &[
    hook("answer", |request, _| Ok(handled(Meaning::Offered(offered(request)?)))),
    hook("events", |request, _| about_call(request)),
    hook("stream", |request, _| about_stream(request)),
    hook("transfer", |request, _| about_transfer(request, TransferLeg::Connected)),
    hook("consult", |request, _| about_transfer(request, TransferLeg::Consulted)),
];

pub(super) const INBOUND: Inbound = Inbound {
    rank: 0,
    recognise: |request| {
        let claims = verify::unverified_claims(request);
        let ours = claims.is_some_and(|claims| {
            claims.get("iss").is_some_and(|issuer| issuer == "Vonage")
                && claims.contains_key("api_key")
        });
        ours && offered(request).is_ok()
    },
    hook: "answer",
    account: |request| {
        let claims = verify::unverified_claims(request)?;
        claims.get("api_key")?.as_str().map(str::to_owned)
    },
    parse: offered,
    answer: answer::take,
    refuse: answer::refuse,
};

const fn handled(meaning: Meaning) -> Handled {
    Handled { meaning, reply: HookReply::NO_CONTENT }
}

/// The fields of a request: its JSON, or the query of a GET.
fn fields(request: &HookRequest<'_>) -> Result<Value, HookError> {
    if request.method == Method::GET && request.body.is_empty() {
        let query = pairs(request.query().unwrap_or_default());
        return Ok(Value::Object(query.map(|(name, value)| (name, value.into())).collect()));
    }
    match serde_json::from_slice(request.body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(HookError::Body("a JSON object")),
        Err(_) => Err(HookError::Body("JSON")),
    }
}

/// Callers who withhold their number are called so.
const WITHHELD: [&str; 6] =
    ["anonymous", "restricted", "private", "unknown", "unavailable", "withheld"];

fn offered(request: &HookRequest<'_>) -> Result<InboundCall, HookError> {
    let value = fields(request)?;
    let text = |name| events::text(&value, name);
    let call = text("uuid").and_then(events::call_id).ok_or(HookError::Field("uuid"))?;
    let to = text("to").and_then(|to| Address::international(to).ok());
    let from = text("from").or_else(|| text("from_user"));
    let known = |from: &&str| !WITHHELD.iter().any(|word| word.eq_ignore_ascii_case(from.trim()));
    let added = |name: &str| {
        matches!(name, "conversation_uuid" | "region_url" | "endpoint_type" | "custom_data")
            || name.starts_with("SipHeader_")
    };
    let extra = value.as_object().into_iter().flatten().filter(|(name, _)| added(name));
    let extra = extra.map(|(name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (name.clone(), Pii::new(text))
    });
    Ok(InboundCall {
        call,
        from: from.filter(known).and_then(|from| Address::international(from).ok()),
        to: to.ok_or(HookError::Field("to"))?,
        extra: extra.collect(),
    })
}

/// Something happened to a party of a call, or to its stream, or a recording is there.
fn about_call(request: &HookRequest<'_>) -> Result<Handled, HookError> {
    let value = fields(request)?;
    let call = events::subject(&value)?;
    let events = events::events(&call, &value, events::facts(&value));
    Ok(handled(Meaning::Events(events)))
}

/// Something happened to the stream of a call. One that failed or is lost can be had again: the
/// answer may say how the call goes on.
fn about_stream(request: &HookRequest<'_>) -> Result<Handled, HookError> {
    let value = fields(request)?;
    let call = events::subject(&value)?;
    let events = events::events(&call, &value, events::facts(&value));
    let status = events::text(&value, "status").unwrap_or_default();
    if status == "disconnected" || events::is_failure(status) {
        return Ok(Handled { meaning: Meaning::Asked { call, events }, reply: answer::end() });
    }
    Ok(handled(Meaning::Events(events)))
}

/// How somebody is called whom a call is handed to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TransferLeg {
    /// In the place of the agent: the caller waits, and is asked back if nobody answers.
    Connected,
    /// While the caller talks on with the agent.
    Consulted,
}

/// Something happened to somebody whom a call is handed to. The call itself stands in the query,
/// where we wrote it.
fn about_transfer(request: &HookRequest<'_>, leg: TransferLeg) -> Result<Handled, HookError> {
    let value = fields(request)?;
    let called = events::subject(&value)?;
    let call = handed_over(request).unwrap_or_else(|| called.clone());
    let apart = (leg == TransferLeg::Consulted).then_some(called);
    let of = TransferOf { id: request.transfer(), leg: apart, cause: None };
    let status = events::text(&value, "status").unwrap_or_default();
    let states: &[TransferState] = match status {
        "started" | "ringing" => &[TransferState::Trying],
        "answered" if leg == TransferLeg::Connected => {
            &[TransferState::Answered, TransferState::Done]
        }
        "answered" => &[TransferState::Answered],
        // Before the two were joined it is a failure, and afterwards no news.
        "completed" if leg == TransferLeg::Consulted => &[TransferState::Failed],
        _ if events::is_failure(status) => &[TransferState::Failed],
        _ => &[],
    };
    let fact = |state: &TransferState| CallFact::Transfer { state: *state, of: of.clone() };
    let facts = states.iter().map(fact).collect();
    let events = events::events(&call, &value, facts);
    if events::is_failure(status) && leg == TransferLeg::Connected {
        return Ok(Handled { meaning: Meaning::Asked { call, events }, reply: answer::end() });
    }
    Ok(handled(Meaning::Events(events)))
}

/// Name in a query of the call that is handed over.
pub(super) const CALL_PARAMETER: &str = "call";

fn handed_over(request: &HookRequest<'_>) -> Option<CarrierCallId> {
    let mut query = pairs(request.query()?);
    let (_, id) = query.find(|(name, _)| name == CALL_PARAMETER)?;
    events::call_id(&id)
}
