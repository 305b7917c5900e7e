//! Numbers of the account, and which application they belong to.

use serde_json::Value;

use super::application::{self, basic};
use super::calls::NO_APPLICATION;
use super::errors::{body, success};
use super::{events, fields};
use crate::address::Address;
use crate::chain::{Then, chain};
use crate::config::RawConfig;
use crate::exchange::{CarrierError, HttpRequest, HttpResponse, escape, form};
use crate::op::{Bind, Number, OpResult};

/// Numbers a page: the most there are.
const PAGE_NUMBERS: usize = 100;
/// Most pages that are read.
const PAGES_MAX: usize = 100;

fn page(config: &RawConfig, index: usize) -> Result<HttpRequest, CarrierError> {
    let base = fields::numbers_base(config);
    let url = format!("{base}/account/numbers?size={PAGE_NUMBERS}&index={index}");
    basic(config, HttpRequest::get(url))
}

/// The entries of a list, and how many there are on all pages. An empty list is not there at all.
fn entries(answer: &HttpResponse) -> Result<(Vec<Value>, usize), CarrierError> {
    let body = body(answer)?;
    let list = body.get("numbers").and_then(Value::as_array).cloned().unwrap_or_default();
    let count = body.get("count").and_then(Value::as_u64).unwrap_or_default();
    Ok((list, usize::try_from(count).unwrap_or(usize::MAX)))
}

/// Lists the numbers that can be called, page by page.
pub(super) fn list(config: &RawConfig) -> OpResult<Vec<Number>> {
    let first = page(config, 1)?;
    let config = config.clone();
    chain(first, move |answer| read_page(config, 1, Vec::new(), &answer))
}

fn read_page(
    config: RawConfig,
    index: usize,
    mut found: Vec<Number>,
    answer: &HttpResponse,
) -> Result<Then<Vec<Number>>, CarrierError> {
    let (list, count) = entries(answer)?;
    found.extend(list.iter().filter_map(|entry| number(entry, config.text("application_id"))));
    let more = !list.is_empty() && index * PAGE_NUMBERS < count && index < PAGES_MAX;
    if !more {
        return Ok(Then::Done(found));
    }
    let next = page(&config, index + 1)?;
    Ok(Then::send(next, move |answer| read_page(config, index + 1, found, &answer)))
}

/// A number with a voice; others, such as those for text messages alone, are left out.
fn number(entry: &Value, application: Option<&str>) -> Option<Number> {
    let msisdn = events::text(entry, "msisdn")?;
    let features = entry.get("features").and_then(Value::as_array);
    let speaks = features.is_none_or(|list| list.iter().any(|feature| feature == "VOICE"));
    let told = |name: &&str| events::text(entry, name).filter(|value| !value.is_empty());
    let bound_to = ["app_id", "voiceCallbackValue"].iter().find_map(told);
    Some(Number {
        address: Address::international(msisdn).ok().filter(|_| speaks)?,
        id: msisdn.to_owned(),
        label: None,
        // What leads nowhere has neither.
        bound_to: Some(bound_to.unwrap_or_default().to_owned()),
        ours: application.is_some() && events::text(entry, "app_id") == application,
    })
}

/// Gives a number to the application, whose webhooks are pointed at us if they are not; or takes it
/// away again, if it is the application's.
pub(super) fn bind(config: &RawConfig, bind: &Bind) -> OpResult<()> {
    let msisdn = bind.address.digits().ok_or(CarrierError::NotFound)?.to_owned();
    let base = fields::numbers_base(config);
    let pattern = escape(&msisdn);
    let url = format!("{base}/account/numbers?pattern={pattern}&search_pattern=0&size=10");
    let find = basic(config, HttpRequest::get(url))?;
    let (config, bind) = (config.clone(), bind.clone());
    chain(find, move |answer| {
        let (list, _) = entries(&answer)?;
        let owned = |entry: &&Value| events::text(entry, "msisdn") == Some(msisdn.as_str());
        let entry = list.iter().find(owned).ok_or(CarrierError::NotFound)?;
        let country = events::text(entry, "country").unwrap_or_default().to_owned();
        let ours = config.text("application_id").ok_or(NO_APPLICATION)?.to_owned();
        let is_ours = events::text(entry, "app_id") == Some(ours.as_str());
        let Some(hooks) = bind.hooks else {
            return if is_ours {
                Ok(update(&config, &country, &msisdn, None)?)
            } else {
                Ok(Then::Done(()))
            };
        };
        Ok(Then::send(application::read(&config)?, move |answer| {
            let pointed = application::pointed(&config, &hooks, &body(&answer)?)?;
            let link = (!is_ours).then_some(ours);
            match (pointed, link) {
                (None, None) => Ok(Then::Done(())),
                (None, Some(id)) => update(&config, &country, &msisdn, Some(&id)),
                (Some(point), link) => Ok(Then::send(point, move |answer| {
                    success(&answer)?;
                    match link {
                        Some(id) => update(&config, &country, &msisdn, Some(&id)),
                        None => Ok(Then::Done(())),
                    }
                })),
            }
        }))
    })
}

/// Says whose a number is; without an application, nobody's.
fn update(
    config: &RawConfig,
    country: &str,
    msisdn: &str,
    application: Option<&str>,
) -> Result<Then<()>, CarrierError> {
    let mut pairs = vec![("country", country), ("msisdn", msisdn)];
    pairs.extend(application.map(|id| ("app_id", id)));
    let url = format!("{}/number/update", fields::numbers_base(config));
    let request = HttpRequest::post(url, "application/x-www-form-urlencoded", form(&pairs));
    let request = basic(config, request)?.repeatable();
    Ok(Then::send(request, |answer| {
        let body = body(&answer)?;
        // Refusals come with a status of success as well.
        match events::text(&body, "error-code") {
            Some("200") => Ok(Then::Done(())),
            Some("401") => Err(CarrierError::Credentials),
            code => {
                let plain =
                    |code: &str| code.chars().filter(char::is_ascii_digit).take(8).collect();
                let (status, code) = (answer.status.as_u16(), code.map(plain));
                Err(CarrierError::Refused { status, code })
            }
        }
    }))
}
