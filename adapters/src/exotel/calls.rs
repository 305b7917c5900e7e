//! Calls: placed, asked about.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, header};
use serde_json::Value;

use super::errors::{object, success};
use super::{causes, fields, hooks};
use crate::address::AddressKind;
use crate::config::RawConfig;
use crate::event::{CallEvent, CarrierCallId, Price};
use crate::exchange::{CarrierError, HttpExchange, HttpRequest, HttpResponse, escape, form};
use crate::op::{OpResult, Originate, Originated};

const FORM: &str = "application/x-www-form-urlencoded";
/// Longest call, in seconds.
const LIMIT_S_MAX: u32 = 14_400;
/// Longest ringing that is asked for, in seconds.
const RING_S_MAX: u32 = 600;
/// Longest address of the audio, in characters.
const STREAM_URL_CHARS_MAX: usize = 600;
/// Longest text that comes back with what is told of a call, in characters.
const CUSTOM_CHARS_MAX: usize = 128;
/// What the carrier's records call our streams.
const STREAM_NAME: &str = "talkpath";

/// The beginning of every address of the API, without slash at the end.
fn base(config: &RawConfig) -> &str {
    config.text("api_base").unwrap_or(match config.text("region") {
        Some("mumbai") => "https://api.in.exotel.com",
        _ => "https://api.exotel.com",
    })
}

/// The address of something of the account, below a version of the API; `path` begins with a slash.
pub(super) fn url(config: &RawConfig, version: &str, path: &str) -> Result<String, CarrierError> {
    let account = config.text("account_sid").ok_or(CarrierError::Config("no account SID"))?;
    Ok(format!("{}/{version}/{}{path}", base(config), escape(account)))
}

/// Adds what the API knows us by.
pub(super) fn signed(
    config: &RawConfig,
    mut request: HttpRequest,
) -> Result<HttpRequest, CarrierError> {
    let key = config.secret("api_key").ok_or(CarrierError::Config("no API key"))?;
    let token = config.secret("api_token").ok_or(CarrierError::Config("no API token"))?;
    let pair = STANDARD.encode(format!("{}:{}", key.expose(), token.expose()));
    request.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    request.credentials(header::AUTHORIZATION, &format!("Basic {pair}"))
}

pub(super) fn post(url: String, fields: &[(&str, &str)]) -> HttpRequest {
    HttpRequest::post(url, FORM, form(fields))
}

fn one<T: 'static>(
    config: &RawConfig,
    request: HttpRequest,
    read: fn(&HttpResponse) -> Result<T, CarrierError>,
) -> OpResult<T> {
    Ok(Box::new(HttpExchange::new(signed(config, request)?, read)))
}

pub(super) fn originate(config: &RawConfig, call: &Originate) -> OpResult<Originated> {
    let from = call.from.as_ref().ok_or(CarrierError::Config("no caller id"))?;
    if from.kind() != AddressKind::Pstn {
        return Err(CarrierError::CallerId(None));
    }
    let stream = fields::stream_url(config, &call.stream_url);
    if stream.len() > STREAM_URL_CHARS_MAX {
        return Err(CarrierError::Config("the public address is too long for this carrier"));
    }
    let status = call.hooks.url(hooks::STATUS);
    let status = if fields::over_https(config) { fields::proven(config, &status) } else { status };
    let ring = call.ring_timeout_s.clamp(1, RING_S_MAX).to_string();
    let longest = call.max_duration_s.clamp(1, LIMIT_S_MAX).to_string();
    let custom = call.hooks.call().filter(|call| call.len() <= CUSTOM_CHARS_MAX);
    let mut fields = vec![
        ("from", call.to.expose()),
        ("callerid", from.expose()),
        ("streamurl", &*stream),
        ("streamtype", "bidirectional"),
        ("streamname", STREAM_NAME),
        // Documented for the endpoint, though not on the page about streams.
        ("timeout", &*ring),
        ("timelimit", &*longest),
        ("statuscallback", &*status),
    ];
    fields.extend(["ringing", "answered", "terminal"].map(|on| ("statuscallbackevents[]", on)));
    fields.extend(custom.map(|custom| ("customfield", custom)));
    if config.flag("record_outbound") {
        fields.push(("record", "true"));
    }
    let url = url(config, "v1/accounts", "/calls/connect")?;
    one(config, post(url, &fields), placed)
}

/// The id of a call that was placed, of an object or, as older pages have it, of XML.
fn placed(answer: &HttpResponse) -> Result<Originated, CarrierError> {
    success(answer)?;
    let id = match serde_json::from_slice::<Value>(&answer.body) {
        Ok(body) => sid(of_call(&body)).map(str::to_owned),
        Err(_) => {
            let text = String::from_utf8_lossy(&answer.body);
            let id = text.split_once("<Sid>").and_then(|(_, rest)| rest.split_once("</Sid>"));
            id.map(|(id, _)| id.trim().to_owned()).filter(|id| !id.is_empty())
        }
    };
    let call = CarrierCallId(id.ok_or(CarrierError::Answer("no id of the call"))?);
    Ok(Originated { call })
}

/// The object that describes a call.
fn of_call(body: &Value) -> &Value {
    if body["Call"].is_object() { &body["Call"] } else { &body["call"] }
}

fn sid(call: &Value) -> Option<&str> {
    text(call, "Sid").or_else(|| text(call, "sid"))
}

/// A text that is there.
pub(super) fn text<'v>(object: &'v Value, name: &str) -> Option<&'v str> {
    object[name].as_str().filter(|text| !text.is_empty())
}

fn details(config: &RawConfig, call: &CarrierCallId) -> Result<HttpRequest, CarrierError> {
    let path = format!("/Calls/{}.json", escape(&call.0));
    Ok(HttpRequest::get(url(config, "v1/Accounts", &path)?))
}

/// A whole number, bare or as a string: the carrier writes both.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

pub(super) fn status(config: &RawConfig, call: &CarrierCallId) -> OpResult<Vec<CallEvent>> {
    one(config, details(config, call)?, |answer| {
        let body = match object(answer) {
            Err(CarrierError::NotFound) => return Err(CarrierError::CallOver),
            other => other?,
        };
        let call = of_call(&body);
        let id = sid(call).ok_or(CarrierError::Answer("no id of the call"))?;
        let seconds = number(&call["ConversationDuration"]).or_else(|| number(&call["Duration"]));
        let what = causes::fact(text(call, "Status").unwrap_or_default(), seconds);
        let what = what.ok_or(CarrierError::Answer("no state of the call"))?;
        let call = CarrierCallId(id.to_owned());
        Ok(vec![CallEvent { call, id: None, at_unix_ms: None, what }])
    })
}

/// What a call cost: known some minutes after its end.
pub(super) fn cost(config: &RawConfig, call: &CarrierCallId) -> OpResult<Option<Price>> {
    let currency = config.text("currency").unwrap_or("INR").to_owned();
    let request = signed(config, details(config, call)?)?;
    crate::chain::chain(request, move |answer| {
        let body = match object(&answer) {
            Err(CarrierError::NotFound) => return Ok(crate::chain::Then::Done(None)),
            other => other?,
        };
        let price = match &of_call(&body)["Price"] {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.trim().to_owned(),
            _ => return Ok(crate::chain::Then::Done(None)),
        };
        let amount = price.trim_start_matches('-').to_owned();
        if amount.is_empty() {
            return Ok(crate::chain::Then::Done(None));
        }
        if !amount.chars().all(|c| c.is_ascii_digit() || c == '.') {
            return Err(CarrierError::Answer("no price"));
        }
        Ok(crate::chain::Then::Done(Some(Price { amount, currency })))
    })
}
