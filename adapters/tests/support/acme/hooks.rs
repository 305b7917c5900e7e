//! Hooks signed with HMAC-SHA-256 over time, address and body.

use crate::address::Address;
use crate::config::RawConfig;
use crate::event::{
    AnsweredBy, CallEvent, CallFact, CarrierCallId, Ended, HangupCause, InboundCall, Meaning,
    Price, TransferState,
};
use crate::explain::{Explanation, Trace};
use crate::hook::{
    Certainty, Handled, Hook, HookError, HookReply, HookRequest, Inbound, Take, VerifyError,
};
use crate::op::Refusal;
use crate::secret::{Pii, Secret};
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use serde_json::{Value, json};
use sha2::Sha256;

/// Longest age of a signature, in seconds.
const AGE_S_MAX: u64 = 300;

pub(super) const HOOKS: &[Hook] = &[
    Hook { name: "voice", methods: &[Method::POST], verify, explain, handle: voice },
    Hook { name: "status", methods: &[Method::POST, Method::PUT], verify, explain, handle: status },
];

pub(super) const INBOUND: Inbound = Inbound {
    rank: 0,
    recognise: |request| request.header("x-acme-signature").is_some(),
    hook: "voice",
    account: |request| object(request).ok()?["account"].as_str().map(str::to_owned),
    parse: |request| offered(&object(request)?),
    answer: |_, take: &Take| {
        let stream = &take.stream_url;
        let status = take.hooks.url("status");
        Ok(HookReply::document(
            "application/json",
            json!({"connect": stream, "events": status}).to_string(),
        ))
    },
    refuse: |_, refusal| {
        let word = match refusal {
            Refusal::NotFound => "unknown",
            Refusal::Busy => "busy",
            Refusal::Rejected | Refusal::Unavailable => "declined",
        };
        HookReply::document("application/json", json!({"refuse": word}).to_string())
    },
};

/// Its media sockets are proven as its requests are.
pub(super) fn verify_socket(
    request: &HookRequest<'_>,
    config: &RawConfig,
) -> Result<Certainty, VerifyError> {
    verify(request, config).map(|()| Certainty::Proven)
}

/// The signature of a request, as the carrier makes it.
fn sign(key: &Secret, unix_s: &str, url: &str, body: &[u8]) -> String {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()) else {
        return String::new();
    };
    let mac = mac.chain_update(unix_s).chain_update(".").chain_update(url).chain_update(".");
    hex(&mac.chain_update(body).finalize().into_bytes())
}

/// `bytes` in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn verify(request: &HookRequest<'_>, config: &RawConfig) -> Result<(), VerifyError> {
    examine(request, config, &mut Trace::off())
}

fn explain(request: &HookRequest<'_>, config: &RawConfig) -> Explanation {
    crate::explain::explain(|trace| examine(request, config, trace))
}

fn examine(
    request: &HookRequest<'_>,
    config: &RawConfig,
    trace: &mut Trace,
) -> Result<(), VerifyError> {
    trace.step("headers are there");
    let header = |name| request.header(name).ok_or(VerifyError::Missing(name));
    let (id, time, signature) =
        (header("x-acme-key")?, header("x-acme-time")?, header("x-acme-signature")?);
    let keys = config.map("signing_keys");
    if keys.is_empty() {
        return Err(VerifyError::NoKey);
    }
    let key = Secret::new(*keys.get(id).ok_or(VerifyError::Account)?);
    trace.step("the time is a number");
    let unix_s: u64 = time.parse().map_err(|_| VerifyError::Malformed("x-acme-time"))?;
    let expected = Secret::new(sign(&key, time, request.url, request.body));
    trace.step("the signature is that of time, address and body");
    trace.signed(|| format!("{time}.{}.{}", request.url, String::from_utf8_lossy(request.body)));
    trace.got(signature);
    trace.expected(expected.expose());
    if Secret::new(signature) != expected {
        return Err(VerifyError::Signature);
    }
    trace.step("the time is near");
    if unix_s.abs_diff(request.unix_s) > AGE_S_MAX {
        return Err(VerifyError::Stale);
    }
    Ok(())
}

fn object(request: &HookRequest<'_>) -> Result<Value, HookError> {
    let value: Value = serde_json::from_slice(request.body).map_err(|_| HookError::Body("JSON"))?;
    if value.is_object() { Ok(value) } else { Err(HookError::Body("a JSON object")) }
}

fn text<'v>(value: &'v Value, name: &'static str) -> Result<&'v str, HookError> {
    value[name].as_str().ok_or(HookError::Field(name))
}

pub(super) fn offered(value: &Value) -> Result<InboundCall, HookError> {
    let headers = value["headers"].as_object().into_iter().flatten();
    Ok(InboundCall {
        call: CarrierCallId(text(value, "call")?.to_owned()),
        from: Address::international(text(value, "from")?).ok(),
        to: Address::international(text(value, "to")?).map_err(|_| HookError::Field("to"))?,
        extra: headers
            .filter_map(|(name, value)| Some((name.clone(), Pii::new(value.as_str()?))))
            .collect(),
    })
}

fn voice(request: &HookRequest<'_>, _: &RawConfig) -> Result<Handled, HookError> {
    let value = object(request)?;
    let meaning = match text(&value, "direction")? {
        "in" => Meaning::Offered(offered(&value)?),
        "out" => Meaning::Asked {
            call: CarrierCallId(text(&value, "call")?.to_owned()),
            events: vec![event(&value, CallFact::Answered)?],
        },
        _ => return Err(HookError::Field("direction")),
    };
    Ok(Handled { meaning, reply: HookReply::NO_CONTENT })
}

/// The facts of an object, as hooks and answers to questions hold them.
pub(super) fn events(value: &Value) -> Result<Vec<CallEvent>, HookError> {
    let fact = match text(value, "state")? {
        "queued" => CallFact::Initiated,
        "ringing" => CallFact::Ringing,
        "early" => CallFact::EarlyMedia,
        "answered" => CallFact::Answered,
        "human" => CallFact::AnsweredBy { who: AnsweredBy::Human },
        "machine" => CallFact::AnsweredBy { who: AnsweredBy::MachineStart },
        "beep" => CallFact::AnsweredBy { who: AnsweredBy::MachineEnd },
        "fax" => CallFact::AnsweredBy { who: AnsweredBy::Fax },
        "unsure" => CallFact::AnsweredBy { who: AnsweredBy::Unknown },
        "stream_up" => CallFact::StreamStarted,
        "stream_down" => CallFact::StreamStopped,
        "digit" => CallFact::Dtmf { digit: Pii::new(text(value, "digit")?) },
        "transferring" => CallFact::transfer(TransferState::Trying),
        "transfer_answered" => CallFact::transfer(TransferState::Answered),
        "transferred" => CallFact::transfer(TransferState::Done),
        "transfer_failed" => CallFact::transfer(TransferState::Failed),
        "priced" => CallFact::Priced(Price {
            amount: text(value, "amount")?.to_owned(),
            currency: text(value, "currency")?.to_owned(),
        }),
        "ended" => {
            let sip_status = value["sip"].as_u64().and_then(|status| u16::try_from(status).ok());
            CallFact::Ended(Ended {
                cause: sip_status.map_or(HangupCause::Unknown, HangupCause::from_sip),
                sip_status,
                duration_ms: value["seconds"].as_u64().map(|seconds| seconds.saturating_mul(1000)),
                raw: sip_status.map(|status| status.to_string()),
            })
        }
        _ => return Err(HookError::Field("state")),
    };
    Ok(vec![event(value, fact)?])
}

fn event(value: &Value, what: CallFact) -> Result<CallEvent, HookError> {
    Ok(CallEvent {
        call: CarrierCallId(text(value, "call")?.to_owned()),
        id: value["event"].as_str().map(str::to_owned),
        at_unix_ms: value["at_ms"].as_u64(),
        what,
    })
}

fn status(request: &HookRequest<'_>, _: &RawConfig) -> Result<Handled, HookError> {
    let meaning = Meaning::Events(events(&object(request)?)?);
    Ok(Handled { meaning, reply: HookReply::NO_CONTENT })
}
