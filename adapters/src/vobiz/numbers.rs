//! Numbers and the application: listed, pointed at this server, tried.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::calls::{api, delete, get, one, post, signed};
use super::errors::{object, success};
use crate::address::Address;
use crate::chain::{Then, chain};
use crate::config::RawConfig;
use crate::exchange::{CarrierError, HttpRequest, HttpResponse, escape};
use crate::hook::HookUrls;
use crate::op::{Bind, Managed, Number, OpResult};

/// Numbers of one page: the carrier gives no more.
const PAGE_NUMBERS: u64 = 100;
/// Most pages of numbers that are asked for.
const PAGES_MAX: u64 = 100;
/// Bytes of a hash that make the name of our application differ from others'.
const NAME_BYTES: usize = 6;

fn page(config: &RawConfig, at: u64) -> Result<HttpRequest, CarrierError> {
    get(config, &format!("/numbers?page={at}&per_page={PAGE_NUMBERS}"))
}

pub(super) fn numbers(config: &RawConfig) -> OpResult<Vec<Number>> {
    let config = config.clone();
    chain(page(&config, 1)?, move |answer| more(config, 1, Vec::new(), &answer))
}

fn items(
    config: &RawConfig,
    answer: &HttpResponse,
) -> Result<(Vec<Number>, Option<u64>), CarrierError> {
    let body = object(answer)?;
    let list = body["items"].as_array().ok_or(CarrierError::Answer("no list of numbers"))?;
    let numbers = list.iter().filter_map(|object| number(object, ours(config)));
    Ok((numbers.collect(), body["total"].as_u64()))
}

fn more(
    config: RawConfig,
    at: u64,
    mut found: Vec<Number>,
    answer: &HttpResponse,
) -> Result<Then<Vec<Number>>, CarrierError> {
    let (numbers, total) = items(&config, answer)?;
    found.extend(numbers);
    if at * PAGE_NUMBERS >= total.unwrap_or(0) || at >= PAGES_MAX {
        return Ok(Then::Done(found));
    }
    let next = page(&config, at + 1)?;
    Ok(Then::send(next, move |answer| more(config, at + 1, found, &answer)))
}

fn number(object: &Value, ours: Option<&str>) -> Option<Number> {
    // Without one it leads nowhere.
    let application = object["application_id"].as_str().unwrap_or_default();
    Some(Number {
        address: Address::parse(object["e164"].as_str()?, None).ok()?,
        id: object["id"].as_str()?.to_owned(),
        label: None,
        bound_to: Some(application.to_owned()),
        ours: ours == Some(application),
    })
}

fn ours(config: &RawConfig) -> Option<&str> {
    config.text("application_id").filter(|id| !id.is_empty())
}

fn addresses(hooks: &HookUrls) -> Value {
    json!({
        "answer_url": hooks.url("answer"),
        "answer_method": "POST",
        "fallback_answer_url": hooks.url("answer"),
        "fallback_method": "POST",
        "hangup_url": hooks.url("status"),
        "hangup_method": "POST",
    })
}

fn update(config: &RawConfig, id: &str, hooks: &HookUrls) -> Result<HttpRequest, CarrierError> {
    let path = format!("/Application/{}/", escape(id));
    // To set the same values again changes nothing.
    Ok(post(config, &path, &addresses(hooks))?.repeatable())
}

/// Attaches a number of the account to our application, whose addresses are brought up to date once
/// that worked; or takes it away from there, and from nobody else's.
pub(super) fn bind(config: &RawConfig, bind: &Bind) -> OpResult<()> {
    let digits = bind.address.digits();
    let digits = digits.ok_or(CarrierError::Config("not a telephone number"))?;
    let ours = ours(config).ok_or(CarrierError::Config("no application was made yet"))?.to_owned();
    let path = format!("/numbers/%2B{digits}/application");
    let find = format!("/numbers?page=1&per_page={PAGE_NUMBERS}&search=%2B{digits}");
    let (config, bind) = (config.clone(), bind.clone());
    chain(get(&config, &find)?, move |answer| {
        let (numbers, _) = items(&config, &answer)?;
        let mut numbers = numbers.into_iter();
        let found = numbers.find(|number| number.address == bind.address);
        let found = found.ok_or(CarrierError::NotFound)?;
        let is_ours = found.ours;
        match bind.hooks {
            None if !is_ours => Ok(Then::Done(())),
            None => Ok(Then::send(delete(&config, &path)?, |answer| match success(&answer) {
                Err(CarrierError::NotFound) => Ok(Then::Done(())),
                other => other.map(Then::Done),
            })),
            Some(hooks) if is_ours => Ok(Then::send(update(&config, &ours, &hooks)?, finish)),
            Some(hooks) => {
                let attach = json!({"application_id": ours});
                // To attach it again changes nothing.
                let attach = post(&config, &path, &attach)?.repeatable();
                Ok(Then::send(attach, move |answer| {
                    success(&answer)?;
                    Ok(Then::send(update(&config, &ours, &hooks)?, finish))
                }))
            }
        }
    })
}

fn finish(answer: HttpResponse) -> Result<Then<()>, CarrierError> {
    success(&answer).map(Then::Done)
}

/// Brings our application up to date, or makes it if there is none or it is gone.
pub(super) fn provision(config: &RawConfig, hooks: &HookUrls) -> OpResult<Managed> {
    let mut body = addresses(hooks);
    // Letters, digits, hyphens; no two applications of an account have the same.
    let hash = Sha256::digest(hooks.url("answer"));
    let suffix: String = hash.iter().take(NAME_BYTES).map(|byte| format!("{byte:02x}")).collect();
    body["app_name"] = format!("talkpath-{suffix}").into();
    let make = post(config, "/Application/", &body)?;
    let Some(id) = ours(config).map(str::to_owned) else { return one(make, made) };
    chain(update(config, &id, hooks)?, move |answer| match success(&answer) {
        Ok(()) => Ok(Then::Done(vec![("application_id", id.into())])),
        Err(CarrierError::NotFound) => Ok(Then::send(make, |answer| made(&answer).map(Then::Done))),
        Err(error) => Err(error),
    })
}

fn made(answer: &HttpResponse) -> Result<Managed, CarrierError> {
    let body = object(answer)?;
    // Longer than a number of JSON is safe for, so it should be text.
    let id = match &body["app_id"] {
        Value::String(id) => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => return Err(CarrierError::Answer("no application")),
    };
    Ok(vec![("application_id", id.into())])
}

/// Asks who we are.
pub(super) fn test(config: &RawConfig) -> OpResult<()> {
    one(signed(config, HttpRequest::get(format!("{}/auth/me", api(config))))?, success)
}
