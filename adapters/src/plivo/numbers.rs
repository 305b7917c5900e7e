//! Numbers and the application: listed, pointed at this server, tried.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::calls::{get, one, post};
use super::errors::{object, success};
use crate::address::Address;
use crate::chain::{Then, chain};
use crate::config::RawConfig;
use crate::exchange::{CarrierError, HttpRequest, HttpResponse, escape};
use crate::hook::HookUrls;
use crate::op::{Bind, Managed, Number, OpResult};

/// Numbers of one page: the carrier gives no more.
const PAGE_NUMBERS: usize = 20;
/// Most pages of numbers that are asked for.
const PAGES_MAX: usize = 250;
/// Bytes of a hash that make the name of our application differ from others'.
const NAME_BYTES: usize = 6;

fn page(config: &RawConfig, at: usize) -> Result<HttpRequest, CarrierError> {
    let offset = at * PAGE_NUMBERS;
    get(config, &format!("/Number/?limit={PAGE_NUMBERS}&offset={offset}"))
}

pub(super) fn numbers(config: &RawConfig) -> OpResult<Vec<Number>> {
    let config = config.clone();
    chain(page(&config, 0)?, move |answer| more(config, 0, Vec::new(), &answer))
}

fn more(
    config: RawConfig,
    at: usize,
    mut found: Vec<Number>,
    answer: &HttpResponse,
) -> Result<Then<Vec<Number>>, CarrierError> {
    let body = object(answer)?;
    let list = body["objects"].as_array().ok_or(CarrierError::Answer("no list of numbers"))?;
    found.extend(list.iter().filter_map(|object| number(object, ours(&config))));
    if !body["meta"]["next"].is_string() || at + 1 >= PAGES_MAX {
        return Ok(Then::Done(found));
    }
    let next = page(&config, at + 1)?;
    Ok(Then::send(next, move |answer| more(config, at + 1, found, &answer)))
}

fn number(object: &Value, ours: Option<&str>) -> Option<Number> {
    let digits = object["number"].as_str()?;
    let application = application(object);
    let label = object["alias"].as_str().filter(|alias| !alias.is_empty());
    Some(Number {
        address: Address::international(digits).ok()?,
        id: digits.to_owned(),
        label: label.map(str::to_owned),
        ours: application.is_some() && application.as_deref() == ours,
        // Without one it leads nowhere.
        bound_to: Some(application.unwrap_or_default()),
    })
}

/// The id of the application of a number; what is there is a path.
fn application(object: &Value) -> Option<String> {
    let path = object["application"].as_str()?.trim_end_matches('/');
    path.rsplit('/').next().filter(|id| !id.is_empty()).map(str::to_owned)
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

/// Links a number of the account to our application, whose addresses are brought up to date; or
/// takes it away from there, and from nobody else's.
pub(super) fn bind(config: &RawConfig, bind: &Bind) -> OpResult<()> {
    let digits = bind.address.digits();
    let digits = digits.ok_or(CarrierError::Config("not a telephone number"))?;
    let ours = ours(config).ok_or(CarrierError::Config("no application was made yet"))?.to_owned();
    let path = format!("/Number/{digits}/");
    let (config, bind) = (config.clone(), bind.clone());
    chain(get(&config, &path)?, move |answer| {
        let number = object(&answer)?;
        let is_ours = application(&number).is_some_and(|id| id == ours);
        let Some(hooks) = bind.hooks else {
            if !is_ours {
                return Ok(Then::Done(()));
            }
            let unlink = post(&config, &path, &json!({"app_id": ""}))?.repeatable();
            return Ok(Then::send(unlink, |answer| success(&answer).map(Then::Done)));
        };
        Ok(Then::send(update(&config, &ours, &hooks)?, move |answer| {
            success(&answer)?;
            if is_ours {
                return Ok(Then::Done(()));
            }
            let link = post(&config, &path, &json!({"app_id": ours}))?.repeatable();
            Ok(Then::send(link, |answer| success(&answer).map(Then::Done)))
        }))
    })
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
    let id = body["app_id"].as_str().ok_or(CarrierError::Answer("no application"))?;
    Ok(vec![("application_id", id.into())])
}

/// Asks for the account itself.
pub(super) fn test(config: &RawConfig) -> OpResult<()> {
    one(get(config, "/")?, success)
}
