//! Calls: placed, ended, asked about.

use http::{HeaderValue, Method, header};
use serde_json::{Value, json};

use super::errors::{self, object};
use super::request::text;
use super::{answer, events, hooks};
use crate::address::Address;
use crate::config::RawConfig;
use crate::event::{CallEvent, CarrierCallId};
use crate::exchange::{CarrierError, HttpExchange, HttpRequest, HttpResponse, escape};
use crate::hook::Take;
use crate::op::{OpResult, Originate, Originated};

const JSON: &str = "application/json";
const API: &str = "https://api.cloudonix.io";
/// Longest ringing that is asked for, in seconds.
pub(super) const RING_S_MAX: u32 = 600;

/// The address of something of the domain; `path` is empty or begins with a slash.
pub(super) fn of_domain(config: &RawConfig, path: &str) -> Result<String, CarrierError> {
    url(config, "/customers/self/domains/", path)
}

/// The address of something that runs; `path` begins with a slash.
fn of_calls(config: &RawConfig, path: &str) -> Result<String, CarrierError> {
    url(config, "/calls/", path)
}

fn url(config: &RawConfig, root: &str, path: &str) -> Result<String, CarrierError> {
    let domain = config.text("domain").ok_or(CarrierError::Config("no domain"))?;
    let base = config.text("api_base").unwrap_or(API);
    Ok(format!("{base}{root}{}{path}", escape(domain)))
}

pub(super) fn signed(
    config: &RawConfig,
    mut request: HttpRequest,
) -> Result<HttpRequest, CarrierError> {
    let token = config.secret("api_token").ok_or(CarrierError::Config("no API key"))?;
    request.headers.insert(header::ACCEPT, HeaderValue::from_static(JSON));
    request.credentials(header::AUTHORIZATION, &format!("Bearer {}", token.expose()))
}

pub(super) fn get(config: &RawConfig, url: String) -> Result<HttpRequest, CarrierError> {
    signed(config, HttpRequest::get(url))
}

pub(super) fn post(
    config: &RawConfig,
    url: String,
    body: &Value,
) -> Result<HttpRequest, CarrierError> {
    signed(config, HttpRequest::post(url, JSON, body.to_string()))
}

/// Sets something, which changes nothing when it is done again.
pub(super) fn put(
    config: &RawConfig,
    url: String,
    body: &Value,
) -> Result<HttpRequest, CarrierError> {
    Ok(post(config, url, body)?.method(Method::PUT).repeatable())
}

pub(super) fn one<T: 'static>(
    request: HttpRequest,
    read: fn(&HttpResponse) -> Result<T, CarrierError>,
) -> OpResult<T> {
    Ok(Box::new(HttpExchange::new(request, read)))
}

/// What every call that is placed has in common.
pub(super) fn placing(
    config: &RawConfig,
    (to, from): (&Address, Option<&Address>),
    document: &str,
    (ring_s, hook): (u32, String),
) -> Result<Value, CarrierError> {
    // The carrier's documents call it optional; calls without it are refused.
    let from = from.ok_or(CarrierError::Config("no caller id"))?;
    let mut body = json!({
        "destination": to.expose(),
        "caller-id": from.expose(),
        "cxml": document,
        "timeout": ring_s.clamp(1, RING_S_MAX),
        "callback": hook,
    });
    if let Some(trunk) = config.text("trunk") {
        body["trunk"] = trunk.into();
    }
    Ok(body)
}

pub(super) fn originate(config: &RawConfig, call: &Originate) -> OpResult<Originated> {
    let take = Take { stream_url: call.stream_url.clone(), hooks: call.hooks.clone() };
    let document = answer::connect(&take);
    let callback = (call.ring_timeout_s, call.hooks.url(hooks::STATUS));
    let mut body = placing(config, (&call.to, call.from.as_ref()), &document, callback)?;
    if call.max_duration_s > 0 {
        body["timeLimit"] = call.max_duration_s.into();
    }
    let mode = config.text("amd_mode").unwrap_or("async");
    if call.detect_machine && mode != "off" {
        let wait = config.flag("amd_wait_for_beep");
        body["machineDetection"] = if wait { "DetectMessageEnd" } else { "Enable" }.into();
        if mode == "async" {
            body["asyncAmd"] = true.into();
            body["asyncAmdStatusCallback"] = call.hooks.url(hooks::AMD).into();
            body["asyncAmdStatusCallbackMethod"] = "POST".into();
        }
    }
    if config.flag("record_outbound") {
        body["record"] = true.into();
        body["recordingStatusCallback"] = call.hooks.url(hooks::RECORDING).into();
        body["recordingStatusCallbackMethod"] = "POST".into();
        body["recordingStatusCallbackEvent"] = "completed".into();
    }
    one(place(config, &body)?, placed)
}

/// The request that places a call. Sent twice it would place two.
pub(super) fn place(config: &RawConfig, body: &Value) -> Result<HttpRequest, CarrierError> {
    post(config, of_calls(config, "/application")?, body)
}

/// The session of a call that was placed.
pub(super) fn placed(answer: &HttpResponse) -> Result<Originated, CarrierError> {
    let body = errors::of_domain(answer)?;
    let token = text(body.get("token")).ok_or(CarrierError::Answer("no token of the session"))?;
    Ok(Originated { call: CarrierCallId(token.to_owned()) })
}

/// Gives a call that runs another document.
pub(super) fn switch(
    config: &RawConfig,
    call: &CarrierCallId,
    document: &str,
) -> Result<HttpRequest, CarrierError> {
    let url = of_calls(config, &format!("/sessions/{}/application", escape(&call.0)))?;
    post(config, url, &json!({"cxml": document}))
}

/// The address of a session.
fn session_url(config: &RawConfig, call: &CarrierCallId) -> Result<String, CarrierError> {
    of_domain(config, &format!("/sessions/{}", escape(&call.0)))
}

/// Ends a call; one that is not there is over.
pub(super) fn hangup(config: &RawConfig, call: &CarrierCallId) -> OpResult<()> {
    let request = get(config, session_url(config, call)?)?.method(Method::DELETE);
    one(request, |answer| match errors::of_call(answer) {
        Err(CarrierError::CallOver) => Ok(()),
        other => other,
    })
}

/// Asks how a session stands.
pub(super) fn status(config: &RawConfig, call: &CarrierCallId) -> OpResult<Vec<CallEvent>> {
    one(get(config, session_url(config, call)?)?, |answer| {
        errors::of_call(answer)?;
        let session = object(answer)?;
        let mut told =
            events::session(&session).ok_or(CarrierError::Answer("no state of the session"))?;
        // What is asked for has no id that would make it the same as what was told.
        told.iter_mut().for_each(|event| event.id = None);
        Ok(told)
    })
}
