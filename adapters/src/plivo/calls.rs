//! Requests about calls.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, header};
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
const API: &str = "https://api.plivo.com";
/// Seconds of a call that the carrier takes.
const LIMIT_S_MAX: u32 = 86_400;
/// Seconds of ringing that the carrier takes.
const RING_S_MAX: u32 = 600;
/// Seconds of a recording: the carrier's own limit is a minute.
const RECORD_S_MAX: u32 = 14_400;
/// How often and why a webhook is sent again, in the fragment of its address: it is the carrier's
/// own, neither sent nor signed.
const RETRY: &str = "#rc=3&rp=5xx,ct,rt";

/// Where the account's objects are: ends without a slash, as all that follows ends with one.
fn account(config: &RawConfig) -> Result<String, CarrierError> {
    let id = config.text("auth_id").ok_or(CarrierError::Config("no Auth ID"))?;
    let base = config.text("api_base").unwrap_or(API);
    Ok(format!("{base}/v1/Account/{}", escape(id)))
}

fn signed(config: &RawConfig, request: HttpRequest) -> Result<HttpRequest, CarrierError> {
    let id = config.text("auth_id").unwrap_or_default();
    let token = config.secret("auth_token").ok_or(CarrierError::Config("no Auth Token"))?;
    let pair = STANDARD.encode(format!("{id}:{}", token.expose()));
    request.credentials(header::AUTHORIZATION, &format!("Basic {pair}"))
}

pub(super) fn get(config: &RawConfig, path: &str) -> Result<HttpRequest, CarrierError> {
    signed(config, HttpRequest::get(format!("{}{path}", account(config)?)))
}

pub(super) fn delete(config: &RawConfig, path: &str) -> Result<HttpRequest, CarrierError> {
    Ok(get(config, path)?.method(Method::DELETE))
}

pub(super) fn post(
    config: &RawConfig,
    path: &str,
    body: &Value,
) -> Result<HttpRequest, CarrierError> {
    let url = format!("{}{path}", account(config)?);
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
        "hangup_url": format!("{status}{RETRY}"),
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
    // A list if several were called.
    let id = &body["request_uuid"];
    let id = id.as_str().or_else(|| id[0].as_str());
    Ok(CarrierCallId(id.ok_or(CarrierError::Answer("no id of the call"))?.to_owned()))
}

/// Ends a call; one that is not there may wait in the carrier's queue and would ring later.
pub(super) fn hangup(config: &RawConfig, call: &CarrierCallId) -> OpResult<()> {
    let queued = delete(config, &format!("/Request/{}/", escape(&call.0)))?;
    chain(delete(config, &call_path(call, ""))?, |answer| match success(&answer) {
        Err(CarrierError::NotFound) => Ok(Then::send(queued, |answer| match success(&answer) {
            Err(CarrierError::NotFound) => Ok(Then::Done(())),
            other => other.map(Then::Done),
        })),
        other => other.map(Then::Done),
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
                "hangup_url": format!("{}{RETRY}", urls.ended),
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
        "record_channel_type": "stereo",
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
    let over = get(config, &call_path(call, ""))?;
    chain(get(config, &call_path(call, "?status=live"))?, |answer| match object(&answer) {
        Ok(body) => {
            let ringing = body["call_status"] == "ringing";
            let what = if ringing { CallFact::Ringing } else { CallFact::Answered };
            Ok(Then::Done(vec![event(&body["call_uuid"], None, what)?]))
        }
        Err(CarrierError::NotFound) => Ok(Then::send(queued, |answer| match object(&answer) {
            Ok(body) => Ok(Then::Done(vec![event(&body["call_uuid"], None, CallFact::Initiated)?])),
            Err(CarrierError::NotFound) => {
                Ok(Then::send(over, |answer| ended(&answer).map(Then::Done)))
            }
            Err(error) => Err(error),
        })),
        Err(error) => Err(error),
    })
}

fn ended(answer: &HttpResponse) -> Result<Vec<CallEvent>, CarrierError> {
    let body = object(answer)?;
    let code = body["hangup_cause_code"].as_u64().and_then(|code| code.try_into().ok());
    let answered = body["answer_time"].is_string();
    let end = End {
        status: if answered { "completed" } else { "" },
        code,
        name: body["hangup_cause_name"].as_str().unwrap_or_default(),
        source: body["hangup_source"].as_str().unwrap_or_default(),
        duration_s: body["call_duration"].as_u64(),
    };
    let what = CallFact::Ended(end.ended());
    Ok(vec![event(&body["call_uuid"], body.get("end_time"), what)?])
}

pub(super) fn cost(config: &RawConfig, call: &CarrierCallId) -> OpResult<Option<Price>> {
    one(get(config, &call_path(call, ""))?, |answer| {
        let body = object(answer)?;
        Ok(body["total_amount"].as_str().map(price))
    })
}

/// The carrier counts in US dollars.
pub(super) fn price(amount: &str) -> Price {
    let amount = amount.trim().trim_start_matches('-').to_owned();
    Price { amount, currency: "USD".to_owned() }
}
