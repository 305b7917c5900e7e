//! Calls at Vonage: placed, ended, asked about.

use http::{Method, header};
use serde_json::{Value, json};

use super::errors::{body, success};
use super::{answer, events, fields};
use crate::chain::{Then, chain};
use crate::config::RawConfig;
use crate::event::{CallEvent, CarrierCallId, Price};
use crate::exchange::{CarrierError, HttpExchange, HttpRequest, HttpResponse, escape};
use crate::jwt;
use crate::op::{Moment, OpResult, Originate, Originated, SendDigits};

const JSON: &str = "application/json";
/// Lifetime of a token, in seconds, as Vonage's own libraries have it.
const TOKEN_LIFETIME_S: u64 = 900;
/// Longest call, in seconds, that every version of the API takes.
const CALL_S_MAX: u32 = 7200;

/// Adds the token of the Voice API, unless the request has credentials of its own.
pub(super) fn authorize(
    config: &RawConfig,
    moment: &Moment,
    request: &mut HttpRequest,
) -> Result<(), CarrierError> {
    if request.headers.contains_key(header::AUTHORIZATION) {
        return Ok(());
    }
    let key = config.secret("private_key").ok_or(CarrierError::Config("no private key"))?;
    let application = config.text("application_id").ok_or(NO_APPLICATION)?;
    let claims = [
        ("iat", json!(moment.unix_s)),
        ("jti", json!(jwt::random_uuid(moment.random))),
        ("exp", json!(moment.unix_s.saturating_add(TOKEN_LIFETIME_S))),
        ("application_id", json!(application)),
    ];
    let token = jwt::sign_rs256(&key, &claims)?;
    let bearer = format!("Bearer {}", token.expose());
    *request = request.clone().credentials(header::AUTHORIZATION, &bearer)?;
    Ok(())
}

pub(super) const NO_APPLICATION: CarrierError = CarrierError::Config("no application");

/// An operation of one request to the Voice API.
pub(super) fn one<T: 'static>(
    request: HttpRequest,
    read: fn(&HttpResponse) -> Result<T, CarrierError>,
) -> OpResult<T> {
    Ok(Box::new(HttpExchange::new(request, read)))
}

/// The address of a call, or of something about it.
pub(super) fn call_url(config: &RawConfig, call: &CarrierCallId, rest: &str) -> String {
    format!("{}/v1/calls/{}{rest}", fields::voice_base(config), escape(&call.0))
}

/// A request that changes a call, and may be sent twice.
pub(super) fn put(url: String, body: &Value) -> HttpRequest {
    HttpRequest::post(url, JSON, body.to_string()).method(Method::PUT).repeatable()
}

/// A request that places a call: sent twice, it dials twice.
pub(super) fn place(config: &RawConfig, body: &Value) -> Result<HttpRequest, CarrierError> {
    config.text("application_id").ok_or(NO_APPLICATION)?;
    let url = format!("{}/v1/calls", fields::voice_base(config));
    Ok(HttpRequest::post(url, JSON, body.to_string()))
}

/// Places a call whose document comes with the request, so that nothing is asked at the answer.
pub(super) fn originate(config: &RawConfig, call: &Originate) -> OpResult<Originated> {
    let from = call.from.as_ref().ok_or(CarrierError::Config("no caller id"))?;
    let mut body = json!({
        "to": [answer::party(&call.to)?],
        "from": answer::caller(from)?,
        "ncco": answer::stream(config, &call.stream_url, &call.hooks),
        "event_url": [call.hooks.url("events")],
        "event_method": "POST",
        "ringing_timer": answer::ring_s(call.ring_timeout_s),
        "length_timer": call.max_duration_s.clamp(1, CALL_S_MAX),
    });
    if let (true, Some(body)) = (call.detect_machine, body.as_object_mut()) {
        let (name, value) = detection(config);
        body.insert(name.to_owned(), value);
    }
    one(place(config, &body)?, originated)
}

pub(super) fn originated(answer: &HttpResponse) -> Result<Originated, CarrierError> {
    let body = body(answer)?;
    let call = events::text(&body, "uuid").and_then(events::call_id);
    Ok(Originated { call: call.ok_or(CarrierError::Answer("no uuid of the call"))? })
}

/// The field that asks who answered. The call goes on whoever it is: an agent decides.
fn detection(config: &RawConfig) -> (&'static str, Value) {
    match config.text("machine_detection") {
        Some(mode @ ("detect" | "detect_beep")) => (
            "advanced_machine_detection",
            json!({"behavior": "continue", "mode": mode, "beep_timeout": 45}),
        ),
        _ => ("machine_detection", json!("continue")),
    }
}

pub(super) fn hangup(config: &RawConfig, call: &CarrierCallId) -> OpResult<()> {
    let request = put(call_url(config, call, ""), &json!({"action": "hangup"}));
    changed(request, |answer| match success(answer) {
        Err(CarrierError::NotFound) => Ok(()),
        other => other,
    })
}

/// Milliseconds after which a call is old enough to be changed.
const YOUTH_MS: u32 = 2000;

/// Changes a call. One that is not two seconds old cannot be, in the words of a bad request: then
/// it is tried once more.
pub(super) fn changed(
    request: HttpRequest,
    read: fn(&HttpResponse) -> Result<(), CarrierError>,
) -> OpResult<()> {
    let again = request.clone().after_ms(YOUTH_MS);
    chain(request, move |answer| {
        let young = answer.status == http::StatusCode::BAD_REQUEST;
        if !young {
            return read(&answer).map(Then::Done);
        }
        Ok(Then::send(again, move |answer| read(&answer).map(Then::Done)))
    })
}

pub(super) fn dtmf(config: &RawConfig, send: &SendDigits) -> OpResult<()> {
    let digits = send.digits.expose();
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || b"*#".contains(&byte)) {
        return Err(CarrierError::Config("only the keys 0-9, * and # can be pressed"));
    }
    // Sent twice, keys are pressed twice.
    let mut request = put(call_url(config, &send.call, "/dtmf"), &json!({"digits": digits}));
    request.repeatable = false;
    one(request, success)
}

pub(super) fn status(config: &RawConfig, call: &CarrierCallId) -> OpResult<Vec<CallEvent>> {
    one(HttpRequest::get(call_url(config, call, "")), |answer| {
        let body = body(answer)?;
        let call = events::text(&body, "uuid").and_then(events::call_id);
        let call = call.ok_or(CarrierError::Answer("no uuid of the call"))?;
        if events::text(&body, "status").is_none() {
            return Err(CarrierError::Answer("no status of the call"));
        }
        Ok(events::events(&call, &body, events::facts(&body)))
    })
}

pub(super) fn cost(config: &RawConfig, call: &CarrierCallId) -> OpResult<Option<Price>> {
    one(HttpRequest::get(call_url(config, call, "")), |answer| {
        let body = body(answer)?;
        // Before the end it is absent, or null.
        Ok(events::price(&body))
    })
}
