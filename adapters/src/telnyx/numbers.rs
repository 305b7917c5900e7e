//! Numbers and the application: listed, pointed at this server, tried.

use serde_json::{Value, json};

use super::calls::{get, patch};
use super::errors::{data, success};
use crate::address::Address;
use crate::chain::{Then, chain};
use crate::config::RawConfig;
use crate::exchange::{CarrierError, HttpExchange, HttpRequest, HttpResponse, escape};
use crate::hook::HookUrls;
use crate::op::{Bind, Managed, Number, OpResult};

/// Most pages of numbers that are asked for: of 250 each.
const PAGES_MAX: u32 = 40;

fn application(config: &RawConfig) -> Result<String, CarrierError> {
    let id = config.text("connection_id").ok_or(CarrierError::Config("no application"))?;
    Ok(format!("/call_control_applications/{}", escape(id)))
}

fn page(config: &RawConfig, number: u32) -> Result<HttpRequest, CarrierError> {
    let path = format!("/phone_numbers?page%5Bsize%5D=250&page%5Bnumber%5D={number}");
    get(config, &path)
}

pub(super) fn numbers(config: &RawConfig) -> OpResult<Vec<Number>> {
    let config = config.clone();
    chain(page(&config, 1)?, move |answer| more(config, 1, Vec::new(), &answer))
}

fn more(
    config: RawConfig,
    at: u32,
    mut found: Vec<Number>,
    answer: &HttpResponse,
) -> Result<Then<Vec<Number>>, CarrierError> {
    found.extend(read(&config, answer)?);
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let pages = body["meta"]["total_pages"].as_u64().unwrap_or(1);
    if u64::from(at) >= pages || at >= PAGES_MAX {
        return Ok(Then::Done(found));
    }
    let next = page(&config, at + 1)?;
    Ok(Then::send(next, move |answer| more(config, at + 1, found, &answer)))
}

fn read(config: &RawConfig, answer: &HttpResponse) -> Result<Vec<Number>, CarrierError> {
    let data = data(answer)?;
    let list = data.as_array().ok_or(CarrierError::Answer("no list of numbers"))?;
    let number = |number: &Value| {
        let text = |name: &str| {
            let text = number[name].as_str().filter(|text| !text.is_empty());
            text.map(str::to_owned)
        };
        Some(Number {
            address: Address::parse(number["phone_number"].as_str()?, None).ok()?,
            id: number["id"].as_str()?.to_owned(),
            label: text("customer_reference").or_else(|| text("connection_name")),
            // Without one it leads nowhere.
            bound_to: Some(text("connection_id").unwrap_or_default()),
            ours: text("connection_id").is_some_and(|id| config.text("connection_id") == Some(&id)),
        })
    };
    // What is no number, such as a short code, cannot be routed either.
    Ok(list.iter().filter_map(number).collect())
}

/// Finds the number, gives it to the application, and points the application at our hook: it is
/// one address for all numbers of the application, so that taking a number away leaves it alone.
pub(super) fn bind(config: &RawConfig, bind: &Bind) -> OpResult<()> {
    let digits = bind.address.digits();
    let digits = digits.ok_or(CarrierError::Config("not a telephone number"))?;
    // The filter is said to take digits alone; what it finds is compared below.
    let path = format!("/phone_numbers?filter%5Bphone_number%5D={digits}&page%5Bsize%5D=100");
    let (config, bind) = (config.clone(), bind.clone());
    chain(get(&config, &path)?, move |answer| {
        let numbers = read(&config, &answer)?;
        let number = numbers.into_iter().find(|number| number.address == bind.address);
        let number = number.ok_or(CarrierError::NotFound)?;
        let ours = config.text("connection_id").ok_or(CarrierError::Config("no application"))?;
        let is_ours = number.bound_to.as_deref() == Some(ours);
        let path = format!("/phone_numbers/{}", escape(&number.id));
        match bind.hooks {
            Some(hooks) if is_ours => point(config, &hooks),
            Some(hooks) => {
                let give = patch(&config, &path, &json!({"connection_id": ours}))?;
                Ok(Then::send(give, move |answer| {
                    success(&answer)?;
                    point(config, &hooks)
                }))
            }
            None if is_ours => {
                let take = patch(&config, &path, &json!({"connection_id": null}))?;
                Ok(Then::send(take, |answer| success(&answer).map(Then::Done)))
            }
            None => Ok(Then::Done(())),
        }
    })
}

fn point(config: RawConfig, hooks: &HookUrls) -> Result<Then<()>, CarrierError> {
    set_up(config, hooks, |_| Ok(Then::Done(())))
}

/// Reads the application and, unless it is as it should be, sets it up; then goes on with its name.
fn set_up<T: 'static>(
    config: RawConfig,
    hooks: &HookUrls,
    then: impl FnOnce(String) -> Result<Then<T>, CarrierError> + Send + 'static,
) -> Result<Then<T>, CarrierError> {
    let (path, events) = (application(&config)?, hooks.url("events"));
    Ok(Then::send(get(&config, &path)?, move |answer| {
        let now = data(&answer)?;
        let name = now["application_name"].as_str();
        let name = name.ok_or(CarrierError::Answer("no name of the application"))?.to_owned();
        let set_up = now["webhook_event_url"].as_str() == Some(&events)
            && now["webhook_api_version"].as_str() == Some("2")
            && now["call_cost_in_webhooks"].as_bool() == Some(true);
        if set_up {
            return then(name);
        }
        // The carrier wants name and address together.
        let wanted = json!({
            "application_name": name,
            "webhook_event_url": events,
            "webhook_api_version": "2",
            "call_cost_in_webhooks": true,
        });
        Ok(Then::send(patch(&config, &path, &wanted)?, move |answer| {
            success(&answer)?;
            then(name)
        }))
    }))
}

pub(super) fn provision(config: &RawConfig, hooks: &HookUrls) -> OpResult<Managed> {
    let first = set_up(config.clone(), hooks, |name| {
        Ok(Then::Done(vec![("application_name", Value::from(name))]))
    })?;
    match first {
        Then::Send(request, link) => chain(request, link),
        Then::Done(_) => Err(CarrierError::Answer("nothing to ask")),
    }
}

/// Asks for the application: key and id are tried together.
pub(super) fn test(config: &RawConfig) -> OpResult<()> {
    Ok(Box::new(HttpExchange::new(get(config, &application(config)?)?, success)))
}
