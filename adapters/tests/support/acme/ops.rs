//! Operations: most take one request, binding a number takes two.

use crate::address::Address;
use crate::chain::mapped;
use crate::config::RawConfig;
use crate::event::{CallEvent, CarrierCallId, Price};
use crate::exchange::{CarrierError, HttpExchange, HttpRequest, HttpResponse, escape, form};
use crate::hook::HookUrls;
use crate::op::{
    Bind, Managed, Moment, Number, Op, OpResult, Originate, Originated, Record, SendDigits, Step,
    TakeBack, Transfer, TrunkState,
};
use http::{Method, header};
use serde_json::{Value, json};

use super::hooks::{self, hex};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

fn url(config: &RawConfig, path: &str) -> String {
    let region = config.text("region").unwrap_or("eu");
    let host = format!("https://{region}.acme.example");
    let base = config.text("api_base").unwrap_or(&host);
    let account = escape(config.text("account_id").unwrap_or_default());
    format!("{base}/v1/{account}{path}")
}

fn signed(config: &RawConfig, request: HttpRequest) -> Result<HttpRequest, CarrierError> {
    let key = config.secret("api_key").ok_or(CarrierError::Config("no API key"))?;
    request.credentials(header::AUTHORIZATION, &format!("Bearer {}", key.expose()))
}

/// A token that ages, beside the key that does not.
pub(super) fn authorize(
    config: &RawConfig,
    moment: &Moment,
    request: &mut HttpRequest,
) -> Result<(), CarrierError> {
    let key = config.secret("api_key").ok_or(CarrierError::Config("no API key"))?;
    let Moment { unix_s, random } = moment;
    let token = format!("{unix_s}.{}.{}", hex(random), key.expose().len());
    let name = http::HeaderName::from_static("x-acme-token");
    *request = request.clone().credentials(name, &token)?;
    Ok(())
}

fn one<T: 'static>(
    config: &RawConfig,
    request: HttpRequest,
    read: fn(&HttpResponse) -> Result<T, CarrierError>,
) -> OpResult<T> {
    Ok(Box::new(HttpExchange::new(signed(config, request)?, read)))
}

fn success(answer: &HttpResponse) -> Result<(), CarrierError> {
    let code = serde_json::from_slice::<Value>(&answer.body)
        .ok()
        .and_then(|body| body["code"].as_u64())
        .map(|code| code.to_string());
    match code.as_deref() {
        Some("211") => return Err(CarrierError::Destination(code)),
        Some("212") => return Err(CarrierError::CallerId(code)),
        _ => {}
    }
    CarrierError::from_status(answer, code).map_or(Ok(()), Err)
}

fn body(answer: &HttpResponse) -> Result<Value, CarrierError> {
    success(answer)?;
    serde_json::from_slice(&answer.body).map_err(|_| CarrierError::Answer("not JSON"))
}

/// What is gone needs no ending.
fn gone_is_done(answer: &HttpResponse) -> Result<(), CarrierError> {
    match success(answer) {
        Err(CarrierError::NotFound | CarrierError::CallOver) => Ok(()),
        other => other,
    }
}

pub(super) fn originate(config: &RawConfig, call: &Originate) -> OpResult<Originated> {
    let digits = |address: &Address| address.digits().unwrap_or(address.expose()).to_owned();
    let to = digits(&call.to);
    let from = call.from.as_ref().map(digits).ok_or(CarrierError::Config("no caller id"))?;
    let (ring, max) = (call.ring_timeout_s.to_string(), call.max_duration_s.to_string());
    let fields = [
        ("to", to.as_str()),
        ("from", &from),
        ("stream", &call.stream_url),
        ("events", &call.hooks.url("status")),
        ("ring", &ring),
        ("max", &max),
        ("amd", if call.detect_machine { "on" } else { "off" }),
    ];
    let request = HttpRequest::post(url(config, "/calls"), FORM, form(&fields));
    one(config, request, |answer| {
        let id = body(answer)?["call"].as_str().map(str::to_owned);
        let call = CarrierCallId(id.ok_or(CarrierError::Answer("no id of the call"))?);
        Ok(Originated { call })
    })
}

pub(super) fn hangup(config: &RawConfig, call: &CarrierCallId) -> OpResult<()> {
    let url = url(config, &format!("/calls/{}", escape(&call.0)));
    one(config, HttpRequest::get(url).method(Method::DELETE), gone_is_done)
}

pub(super) fn transfer(config: &RawConfig, transfer: &Transfer) -> OpResult<Option<CarrierCallId>> {
    let url = url(config, &format!("/calls/{}/transfer", escape(&transfer.call.0)));
    let from = transfer.from.as_ref().map(Address::expose);
    let ring = transfer.ring_timeout_s;
    let events = transfer.hooks.url("status");
    let body = json!({"to": transfer.to.expose(), "from": from, "ring": ring, "events": events});
    let op = one(config, HttpRequest::post(url, JSON, body.to_string()), success);
    // It calls nobody apart.
    mapped(op, |()| None)
}

pub(super) fn join(config: &RawConfig, transfer: &Transfer) -> OpResult<()> {
    let url = url(config, &format!("/calls/{}/join", escape(&transfer.call.0)));
    one(config, HttpRequest::post(url, JSON, "{}"), success)
}

pub(super) fn take_back(config: &RawConfig, back: &TakeBack) -> OpResult<()> {
    let url = url(config, &format!("/calls/{}/stream", escape(&back.call.0)));
    let body = json!({"stream": back.take.stream_url, "events": back.take.hooks.url("status")});
    one(config, HttpRequest::post(url, JSON, body.to_string()), success)
}

pub(super) fn dtmf(config: &RawConfig, send: &SendDigits) -> OpResult<()> {
    let url = url(config, &format!("/calls/{}/digits", escape(&send.call.0)));
    let body = json!({"digits": send.digits.expose()}).to_string();
    one(config, HttpRequest::post(url, JSON, body), success)
}

pub(super) fn record(config: &RawConfig, record: &Record) -> OpResult<()> {
    let url = url(config, &format!("/calls/{}/record", escape(&record.call.0)));
    let body = json!({"on": record.on, "events": record.hooks.url("status")}).to_string();
    one(config, HttpRequest::post(url, JSON, body), success)
}

pub(super) fn status(config: &RawConfig, call: &CarrierCallId) -> OpResult<Vec<CallEvent>> {
    let url = url(config, &format!("/calls/{}", escape(&call.0)));
    one(config, HttpRequest::get(url), |answer| {
        hooks::events(&body(answer)?).map_err(|_| CarrierError::Answer("no state of a call"))
    })
}

pub(super) fn cost(config: &RawConfig, call: &CarrierCallId) -> OpResult<Option<Price>> {
    let url = url(config, &format!("/calls/{}/price", escape(&call.0)));
    one(config, HttpRequest::get(url), |answer| {
        let body = body(answer)?;
        let amount = body["amount"].as_str().map(str::to_owned);
        Ok(amount.map(|amount| Price { amount, currency: "EUR".to_owned() }))
    })
}

fn read_numbers(answer: &HttpResponse) -> Result<Vec<Number>, CarrierError> {
    let body = body(answer)?;
    let list = body["numbers"].as_array().ok_or(CarrierError::Answer("no list of numbers"))?;
    let number = |number: &Value| {
        Some(Number {
            address: Address::international(number["number"].as_str()?).ok()?,
            id: number["id"].as_str()?.to_owned(),
            label: number["label"].as_str().map(str::to_owned),
            bound_to: number["events"].as_str().map(str::to_owned),
            ours: false,
        })
    };
    list.iter().map(|n| number(n).ok_or(CarrierError::Answer("not a number"))).collect()
}

pub(super) fn numbers(config: &RawConfig) -> OpResult<Vec<Number>> {
    one(config, HttpRequest::get(url(config, "/numbers")), read_numbers)
}

/// Finds the number's id, then points it at the hook: two requests, the second from the answer to
/// the first.
enum Binding {
    Find { find: HttpRequest, config: RawConfig, bind: Bind },
    Found { config: RawConfig, bind: Bind },
    Set,
    Over,
}

impl Binding {
    fn set(
        config: &RawConfig,
        bind: &Bind,
        answer: &HttpResponse,
    ) -> Result<HttpRequest, CarrierError> {
        let numbers = read_numbers(answer)?;
        let number = numbers.into_iter().find(|number| number.address == bind.address);
        let id = escape(&number.ok_or(CarrierError::NotFound)?.id);
        let hook = bind.hooks.as_ref().map(|hooks| hooks.url("voice"));
        let body = json!({"voice": hook}).to_string();
        let request = HttpRequest::post(url(config, &format!("/numbers/{id}")), JSON, body);
        Ok(signed(config, request)?.method(Method::PUT).repeatable())
    }
}

impl Op<()> for Binding {
    fn next(&mut self, answer: Option<HttpResponse>) -> Step<()> {
        match (std::mem::replace(self, Self::Over), answer) {
            (Self::Find { find, config, bind }, None) => {
                *self = Self::Found { config, bind };
                Step::Send(find)
            }
            (Self::Found { config, bind }, Some(answer)) => {
                match Self::set(&config, &bind, &answer) {
                    Ok(request) => {
                        *self = Self::Set;
                        Step::Send(request)
                    }
                    Err(error) => Step::Fail(error),
                }
            }
            (Self::Set, Some(answer)) => success(&answer).map_or_else(Step::Fail, Step::Done),
            _ => Step::Fail(CarrierError::Unavailable),
        }
    }
}

pub(super) fn bind(config: &RawConfig, bind: &Bind) -> OpResult<()> {
    let find = signed(config, HttpRequest::get(url(config, "/numbers")))?;
    Ok(Box::new(Binding::Find { find, config: config.clone(), bind: bind.clone() }))
}

pub(super) fn test(config: &RawConfig) -> OpResult<()> {
    one(config, HttpRequest::get(url(config, "")), success)
}

pub(super) fn provision(config: &RawConfig, hooks: &HookUrls) -> OpResult<Managed> {
    let body = json!({"name": "talkpath", "voice": hooks.url("voice")}).to_string();
    let request = HttpRequest::post(url(config, "/apps"), JSON, body);
    one(config, request, |answer| {
        let body = self::body(answer)?;
        match (&body["name"], &body["id"]) {
            (Value::String(name), Value::String(id)) => {
                Ok(vec![("app_name", json!(name)), ("app_id", json!(id))])
            }
            _ => Err(CarrierError::Answer("no application")),
        }
    })
}

pub(super) fn apply_trunk(config: &RawConfig, trunk: &TrunkState) -> OpResult<String> {
    let id = trunk.external_id.as_deref().unwrap_or("new");
    let domain = trunk.settings.text("domain");
    let body = json!({"name": trunk.name, "on": trunk.enabled, "domain": domain}).to_string();
    let url = url(config, &format!("/trunks/{}", escape(id)));
    one(config, HttpRequest::post(url, JSON, body).method(Method::PUT), |answer| {
        let id = self::body(answer)?["id"].as_str().map(str::to_owned);
        id.ok_or(CarrierError::Answer("no id of the trunk"))
    })
}

pub(super) fn remove_trunk(config: &RawConfig, id: &str) -> OpResult<()> {
    let url = url(config, &format!("/trunks/{}", escape(id)));
    one(config, HttpRequest::get(url).method(Method::DELETE), gone_is_done)
}
