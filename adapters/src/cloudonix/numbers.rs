//! Numbers of the domain (the carrier calls them DNIDs), what they are bound to, and the domain
//! itself.

use serde_json::{Value, json};

use super::calls::{get, of_domain, one, post, put};
use super::errors::{self, list, success};
use super::fields;
use super::hooks;
use super::request::text;
use crate::address::{Address, AddressKind};
use crate::chain::{Then, chain};
use crate::config::RawConfig;
use crate::exchange::{CarrierError, HttpRequest, escape};
use crate::hook::HookUrls;
use crate::op::{Bind, Number, OpResult};

/// A number, or `None` for what stands for many. What it was made from counts; what it matches is
/// an expression.
fn number(object: &Value, config: &RawConfig) -> Option<Number> {
    let set = |name: &str| object.get(name).and_then(Value::as_bool).unwrap_or(false);
    let country = config.text("country");
    let address = fields::number(country, "unknown.invalid", text(object.get("source"))?)?;
    let single = !set("prefix") && !set("expression") && !set("asteriskCompatible");
    let id = id(object.get("id"))?;
    let (application, ours) = (application(object), config.text("application_id"));
    (single && address.kind() != AddressKind::SipUri).then(|| Number {
        address,
        id,
        label: None,
        ours: application.is_some() && application.as_deref() == ours,
        // Without one it leads nowhere.
        bound_to: Some(application.map(|id| format!("application {id}")).unwrap_or_default()),
    })
}

/// An id: a number, or text.
pub(super) fn id(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Number(number) => Some(number.to_string()),
        other => text(Some(other)).map(str::to_owned),
    }
}

fn application(object: &Value) -> Option<String> {
    id(object.get("applicationId"))
}

fn dnids(config: &RawConfig) -> Result<HttpRequest, CarrierError> {
    get(config, of_domain(config, "/dnids")?)
}

pub(super) fn numbers(config: &RawConfig) -> OpResult<Vec<Number>> {
    let config = config.clone();
    chain(dnids(&config)?, move |answer| {
        let numbers = list(&answer)?;
        let read = numbers.iter().filter_map(|object| number(object, &config));
        Ok(Then::Done(read.collect()))
    })
}

/// The id of our application, by which numbers are bound.
fn ours(config: &RawConfig) -> Result<String, CarrierError> {
    let id = config.text("application_id").filter(|id| !id.is_empty());
    id.map(str::to_owned).ok_or(CarrierError::Config("the domain was not set up yet"))
}

/// Says where calls of an application go: for all its numbers at once.
pub(super) fn point(
    config: &RawConfig,
    application: &str,
    urls: &HookUrls,
) -> Result<HttpRequest, CarrierError> {
    let url = of_domain(config, &format!("/applications/{}", escape(application)))?;
    put(config, url, &pointed(urls))
}

/// What an application is told of us. The API wants all three each time.
pub(super) fn pointed(urls: &HookUrls) -> Value {
    json!({"type": "cxml", "url": urls.url(hooks::VOICE), "method": "POST"})
}

/// Adds a number to our application, and brings the application's address up to date. The API has
/// no word to take a number away from an application, so that one which belongs to another stays
/// there, and the address of an application is never cleared for the sake of one number.
pub(super) fn bind(config: &RawConfig, bind: &Bind) -> OpResult<()> {
    let (config, bind, ours) = (config.clone(), bind.clone(), ours(config)?);
    chain(dnids(&config)?, move |answer| {
        let found = list(&answer)?;
        let same = |object: &&Value| {
            let number = number(object, &config);
            number.is_some_and(|number| number.address == bind.address)
        };
        let bound = found.iter().find(same).map(|object| application(object).unwrap_or_default());
        let is_ours = bound.as_ref() == Some(&ours);
        let Some(urls) = bind.hooks else {
            return if is_ours {
                Err(CarrierError::Config("numbers are removed in the carrier's cockpit"))
            } else {
                Ok(Then::Done(()))
            };
        };
        let point = point(&config, &ours, &urls)?;
        match bound {
            Some(_) if is_ours => Ok(last(point)),
            Some(other) => {
                let owner = format!("the number belongs to application {other}");
                Err(CarrierError::NotPermitted(Some(owner)))
            }
            None => Ok(Then::send(add(&config, &ours, &bind.address)?, move |answer| {
                success(&answer)?;
                Ok(last(point))
            })),
        }
    })
}

fn last(request: HttpRequest) -> Then<()> {
    Then::send(request, |answer| success(&answer).map(Then::Done))
}

/// Never `source` and `dnid`, never two of the flags: the API refuses both.
fn add(
    config: &RawConfig,
    application: &str,
    number: &Address,
) -> Result<HttpRequest, CarrierError> {
    let id = application.parse::<u64>().map_or_else(|_| application.into(), Value::from);
    let body = json!({
        "applicationId": id,
        "source": number.expose(),
        "prefix": false,
        "expression": false,
        "asteriskCompatible": false,
    });
    post(config, of_domain(config, "/dnids")?, &body)
}

/// Asks for the domain.
pub(super) fn test(config: &RawConfig) -> OpResult<()> {
    one(get(config, of_domain(config, "")?)?, |answer| {
        let domain = errors::of_domain(answer)?;
        match domain.get("active").and_then(Value::as_bool) {
            Some(false) => Err(CarrierError::NotPermitted(Some("inactive".to_owned()))),
            _ => Ok(()),
        }
    })
}
