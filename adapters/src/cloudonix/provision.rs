//! Sets a domain up: its profile names our key and where records of calls go, an application sends
//! calls here.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::calls::{get, of_domain, post, put};
use super::errors::{self, object, success};
use super::hooks;
use super::numbers::{id, point, pointed};
use super::request::text;
use crate::chain::{Then, chain};
use crate::config::RawConfig;
use crate::exchange::{CarrierError, HttpRequest};
use crate::hook::HookUrls;
use crate::op::{Managed, OpResult};

/// Bytes of a hash that make the name of our application differ from others'.
const NAME_BYTES: usize = 6;

/// Reads the domain, adds to its profile what is ours, and points the application here; it is made
/// if it is not there.
pub(super) fn provision(config: &RawConfig, urls: &HookUrls) -> OpResult<Managed> {
    let (config, urls) = (config.clone(), urls.clone());
    chain(get(&config, of_domain(&config, "")?)?, move |answer| {
        let domain = errors::of_domain(&answer)?;
        let uuid = text(domain.get("uuid")).map(str::to_owned);
        let next = applied(&config, &urls, uuid)?;
        if !config.flag("domain_callbacks") {
            return Ok(next);
        }
        let request = profile(&config, &urls, &domain)?;
        Ok(Then::send(request, move |answer| {
            success(&answer)?;
            Ok(next)
        }))
    })
}

/// The domain's profile as it was, and what is ours.
fn profile(
    config: &RawConfig,
    urls: &HookUrls,
    domain: &Value,
) -> Result<HttpRequest, CarrierError> {
    let key = config.secret("request_key").ok_or(CarrierError::Config("no key of webhooks"))?;
    let known = domain.get("profile").and_then(Value::as_object);
    let mut profile: Map<String, Value> = known.cloned().unwrap_or_default();
    profile.insert("authorization-api-key".to_owned(), key.expose().into());
    profile.insert("cdr-endpoint".to_owned(), urls.url(hooks::CDR).into());
    if config.flag("session_updates") {
        profile.insert("session-update-endpoint".to_owned(), urls.url(hooks::STATUS).into());
    }
    let body = Value::Object(Map::from_iter([("profile".to_owned(), profile.into())]));
    put(config, of_domain(config, "")?, &body)
}

/// Points the application here. Its name is that of the configuration, or one that no other of our
/// configurations has.
fn applied(
    config: &RawConfig,
    urls: &HookUrls,
    uuid: Option<String>,
) -> Result<Then<Managed>, CarrierError> {
    let hash = Sha256::digest(urls.url(hooks::VOICE));
    let suffix: String = hash.iter().take(NAME_BYTES).map(|byte| format!("{byte:02x}")).collect();
    let name = config.text("application_name").map(str::to_owned);
    let made = config.text("application_id").filter(|id| !id.is_empty()).map(str::to_owned);
    let known = name.clone().or(made);
    let mut body = pointed(urls);
    body["name"] = name.unwrap_or_else(|| format!("talkpath-{suffix}")).into();
    let make = post(config, of_domain(config, "/applications")?, &body)?;
    let Some(known) = known else { return Ok(making(make, uuid)) };
    Ok(Then::send(point(config, &known, urls)?, move |answer| match object(&answer) {
        Err(CarrierError::NotFound) => Ok(making(make, uuid)),
        other => managed(&other?, uuid),
    }))
}

fn making(request: HttpRequest, uuid: Option<String>) -> Then<Managed> {
    Then::send(request, |answer| managed(&object(&answer)?, uuid))
}

fn managed(application: &Value, uuid: Option<String>) -> Result<Then<Managed>, CarrierError> {
    let id = id(application.get("id")).ok_or(CarrierError::Answer("no id of the application"))?;
    let mut managed: Managed = vec![("application_id", id.into())];
    managed.extend(uuid.map(|uuid| ("domain_uuid", Value::from(uuid))));
    Ok(Then::Done(managed))
}
