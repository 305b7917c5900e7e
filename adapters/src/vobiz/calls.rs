//! Requests about calls.

use http::{HeaderName, Method};
use serde_json::{Value, json};

use super::causes::End;
use super::errors::{live, object, success};
use crate::address::Address;
use crate::chain::{Then, chain, mapped};
use crate::config::RawConfig;
use crate::event::{CallEvent, CallFact, CarrierCallId, Price};
use crate::exchange::{CarrierError, HttpExchange, HttpRequest, HttpResponse, escape};
use crate::op::{
    OpResult, Originate, Originated, Record, SendDigits, TakeBack, Transfer, TransferKind,
};
use crate::steps::{self, Consultation};
use crate::timestamp::rfc3339_ms;

const JSON: &str = "application/json";
const API: &str = "https://api.vobiz.ai";
/// Version of the API, the beginning of its paths.
const VERSION: &str = "/api/v1";
/// Seconds of a call that the carrier takes.
const LIMIT_S_MAX: u32 = 86_400;
/// Seconds of ringing that the carrier takes.
const RING_S_MAX: u32 = 600;
/// Seconds of a recording: the carrier's own limit is a minute.
const RECORD_S_MAX: u32 = 14_400;
/// What the account is known by.
const AUTH_ID: HeaderName = HeaderName::from_static("x-auth-id");
const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// The beginning of every address of the API.
pub(super) fn api(config: &RawConfig) -> String {
    format!("{}{VERSION}", config.text("api_base").unwrap_or(API))
}

/// Where something of the account is. Spelling counts: calls and applications are in capitals and
/// end with a slash, numbers and records of calls are not and do not; anything else is answered as
/// if the credentials were wrong.
fn account(config: &RawConfig, path: &str) -> Result<String, CarrierError> {
    let id = config.text("auth_id").ok_or(CarrierError::Config("no Auth ID"))?;
    Ok(format!("{}/Account/{}{path}", api(config), escape(id)))
}

pub(super) fn signed(
    config: &RawConfig,
    request: HttpRequest,
) -> Result<HttpRequest, CarrierError> {
    let id = config.text("auth_id").ok_or(CarrierError::Config("no Auth ID"))?;
    let token = config.secret("auth_token").ok_or(CarrierError::Config("no Auth Token"))?;
    request.credentials(AUTH_ID, id)?.credentials(AUTH_TOKEN, token.expose())
}

pub(super) fn get(config: &RawConfig, path: &str) -> Result<HttpRequest, CarrierError> {
    signed(config, HttpRequest::get(account(config, path)?))
}

pub(super) fn delete(config: &RawConfig, path: &str) -> Result<HttpRequest, CarrierError> {
    Ok(get(config, path)?.method(Method::DELETE))
}

pub(super) fn post(
    config: &RawConfig,
    path: &str,
    body: &Value,
) -> Result<HttpRequest, CarrierError> {
    let url = account(config, path)?;
    signed(config, HttpRequest::post(url, JSON, body.to_string()))
}

pub(super) fn one<T: 'static>(
    request: HttpRequest,
    read: fn(&HttpResponse) -> Result<T, CarrierError>,
) -> OpResult<T> {
    Ok(Box::new(HttpExchange::new(request, read)))
}

fn call_path(call: &CarrierCallId, rest: &str) -> String {
    format!("/Call/{}/{rest}", escape(&call.0))
}

fn digits(address: &Address) -> &str {
    address.digits().unwrap_or(address.expose())
}

pub(super) fn originate(config: &RawConfig, call: &Originate) -> OpResult<Originated> {
    let from = call.from.as_ref().ok_or(CarrierError::Config("no caller id"))?;
    let (answer, status) = (call.hooks.url("answer"), call.hooks.url("status"));
    let mut body = json!({
        "from": digits(from),
        "to": digits(&call.to),
        "answer_url": answer,
        "answer_method": "POST",
        "ring_url": status,
        "ring_method": "POST",
        "hangup_url": status,
        "hangup_method": "POST",
        "ring_timeout": call.ring_timeout_s.clamp(1, RING_S_MAX),
        "time_limit": call.max_duration_s.clamp(1, LIMIT_S_MAX),
    });
    if call.detect_machine {
        body["machine_detection"] = "true".into();
        // Then the answer does not wait for it.
        body["machine_detection_url"] = status.into();
        body["machine_detection_method"] = "POST".into();
    }
    mapped(one(post(config, "/Call/", &body)?, placed), |call| Originated { call })
}

/// The id of a call that was placed.
fn placed(answer: &HttpResponse) -> Result<CarrierCallId, CarrierError> {
    let body = object(answer)?;
    let names = ["request_uuid", "RequestUUID", "call_uuid", "CallUUID"];
    let id = names.iter().find_map(|name| body[*name].as_str());
    Ok(CarrierCallId(id.ok_or(CarrierError::Answer("no id of the call"))?.to_owned()))
}

/// Ends a call; one that is not there is over.
pub(super) fn hangup(config: &RawConfig, call: &CarrierCallId) -> OpResult<()> {
    one(delete(config, &call_path(call, ""))?, |answer| match success(answer) {
        Err(CarrierError::NotFound) => Ok(()),
        other => other,
    })
}

fn redirect(
    config: &RawConfig,
    call: &CarrierCallId,
    url: &str,
) -> Result<HttpRequest, CarrierError> {
    let body = json!({"legs": "aleg", "aleg_url": url, "aleg_method": "POST"});
    post(config, &call_path(call, ""), &body)
}

pub(super) fn transfer(config: &RawConfig, transfer: &Transfer) -> OpResult<Option<CarrierCallId>> {
    let Transfer { kind, call, to, from, ring_timeout_s, .. } = transfer;
    let ring_s = (*ring_timeout_s).clamp(1, RING_S_MAX);
    match kind {
        TransferKind::Refer => {
            Err(CarrierError::Config("this carrier does not tell callers to call somebody else"))
        }
        TransferKind::Blind => {
            let sent = one(redirect(config, call, &steps::blind(transfer, ring_s))?, live);
            mapped(sent, |()| None)
        }
        TransferKind::Attended => {
            let from = from.as_ref().ok_or(CarrierError::Config("no caller id"))?;
            let urls = Consultation::of(transfer);
            let body = json!({
                "from": digits(from),
                "to": digits(to),
                "answer_url": urls.answer,
                "answer_method": "POST",
                "ring_url": urls.rings,
                "ring_method": "POST",
                "hangup_url": urls.ended,
                "hangup_method": "POST",
                "ring_timeout": ring_s,
            });
            mapped(one(post(config, "/Call/", &body)?, placed), Some)
        }
    }
}

/// Sends the caller to where the destination waits.
pub(super) fn join(config: &RawConfig, transfer: &Transfer) -> OpResult<()> {
    one(redirect(config, &transfer.call, &steps::joined(transfer))?, live)
}

/// Sends the caller to where it asks what becomes of it.
pub(super) fn take_back(config: &RawConfig, back: &TakeBack) -> OpResult<()> {
    one(redirect(config, &back.call, &back.take.hooks.url("answer"))?, live)
}

pub(super) fn dtmf(config: &RawConfig, send: &SendDigits) -> OpResult<()> {
    let body = json!({"digits": send.digits.expose(), "leg": "aleg"});
    one(post(config, &call_path(&send.call, "DTMF/"), &body)?, live)
}

pub(super) fn record(config: &RawConfig, record: &Record) -> OpResult<()> {
    let path = call_path(&record.call, "Record/");
    if !record.on {
        return one(delete(config, &path)?, live);
    }
    let body = json!({
        "time_limit": RECORD_S_MAX,
        "file_format": "wav",
        "callback_url": record.hooks.url("record"),
        "callback_method": "POST",
    });
    one(post(config, &path, &body)?, live)
}

fn event(call: &Value, at: Option<&Value>, what: CallFact) -> Result<CallEvent, CarrierError> {
    let id = call.as_str().ok_or(CarrierError::Answer("no call"))?;
    let at_unix_ms = at.and_then(Value::as_str).and_then(rfc3339_ms);
    Ok(CallEvent { call: CarrierCallId(id.to_owned()), id: None, at_unix_ms, what })
}

/// A live call, one that waits in the queue, or the record of one that is over.
pub(super) fn status(config: &RawConfig, call: &CarrierCallId) -> OpResult<Vec<CallEvent>> {
    let queued = get(config, &call_path(call, "?status=queued"))?;
    let over = get(config, &record_path(call))?;
    let id = Value::from(call.0.as_str());
    chain(get(config, &call_path(call, "?status=live"))?, move |answer| {
        let known = object(&answer).and_then(|body| living(&body, &id));
        match known {
            Ok(events) => Ok(Then::Done(events)),
            Err(CarrierError::NotFound) => {
                Ok(Then::send(queued, move |answer| match object(&answer) {
                    Ok(_) => Ok(Then::Done(vec![event(&id, None, CallFact::Initiated)?])),
                    Err(CarrierError::NotFound) => {
                        Ok(Then::send(over, move |answer| ended(&answer, &id).map(Then::Done)))
                    }
                    Err(error) => Err(error),
                }))
            }
            Err(error) => Err(error),
        }
    })
}

/// The state of a live call: the object is a list with it, or itself.
fn living(body: &Value, id: &Value) -> Result<Vec<CallEvent>, CarrierError> {
    let call = match body["calls"].as_array() {
        Some(calls) => calls.iter().find(|call| call["call_uuid"] == *id),
        None => Some(body),
    };
    let call = call.ok_or(CarrierError::NotFound)?;
    let (what, at) = match call["call_state"].as_str() {
        Some("RINGING" | "EARLY") => (CallFact::Ringing, "initiation_time"),
        Some("ACTIVE" | "HELD") => (CallFact::Answered, "answer_time"),
        _ => return Err(CarrierError::Answer("no state of the call")),
    };
    Ok(vec![event(id, call.get(at), what)?])
}

/// Where the record of a call that is over is.
fn record_path(call: &CarrierCallId) -> String {
    format!("/cdr/{}", escape(&call.0))
}

fn ended(answer: &HttpResponse, id: &Value) -> Result<Vec<CallEvent>, CarrierError> {
    let body = object(answer)?;
    let data = &body["data"];
    let text = |name: &str| data[name].as_str().unwrap_or_default();
    let code = &data["hangup_cause_code"];
    let code = code.as_u64().or_else(|| code.as_str()?.parse().ok());
    let duration_s = data["billsec"].as_u64();
    let end = End {
        status: "",
        answered: data["answer_time"].is_string() || duration_s.is_some_and(|s| s > 0),
        word: text("hangup_cause"),
        code: code.and_then(|code| code.try_into().ok()),
        name: text("hangup_cause_name"),
        source: text("hangup_source"),
        duration_s,
    };
    let what = CallFact::Ended(end.ended());
    Ok(vec![event(id, data.get("end_time"), what)?])
}

/// What a call cost. Its record is there some time after the end.
pub(super) fn cost(config: &RawConfig, call: &CarrierCallId) -> OpResult<Option<Price>> {
    one(get(config, &record_path(call))?, |answer| {
        let body = match object(answer) {
            Err(CarrierError::NotFound) => return Ok(None),
            other => other?,
        };
        let (cost, currency) = (&body["data"]["total_cost"], &body["data"]["currency"]);
        let amount = match cost {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.trim().to_owned(),
            _ => return Ok(None),
        };
        let plain = |c: char| c.is_ascii_digit() || c == '.';
        let amount = amount.trim_start_matches('-').to_owned();
        if amount.is_empty() || !amount.chars().all(plain) {
            return Err(CarrierError::Answer("no price"));
        }
        let currency = currency.as_str().unwrap_or("INR").to_ascii_uppercase();
        Ok(Some(Price { amount, currency }))
    })
}
