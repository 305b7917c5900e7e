//! The Voice application: where its webhooks go, and whether the credentials fit it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header;
use serde_json::{Map, Value, json};

use super::calls::{NO_APPLICATION, put};
use super::errors::{body, success};
use super::{events, fields};
use crate::chain::{Then, chain};
use crate::config::RawConfig;
use crate::exchange::{CarrierError, HttpRequest, HttpResponse, escape};
use crate::hook::HookUrls;
use crate::op::{Managed, OpResult};

/// What Vonage may take to reach us, and to be answered, in milliseconds: the most it grants.
const CONNECT_TIMEOUT_MS: u32 = 1000;
const SOCKET_TIMEOUT_MS: u32 = 5000;

/// The webhooks of the application, and the hooks they are pointed at. The fallback is asked when
/// the other fails, and may as well ask again.
const WEBHOOKS: [(&str, &str); 3] =
    [("answer_url", "answer"), ("fallback_answer_url", "answer"), ("event_url", "events")];

/// Adds the credentials of the account's APIs, which are other than those of calls.
pub(super) fn basic(config: &RawConfig, request: HttpRequest) -> Result<HttpRequest, CarrierError> {
    let key = config.text("api_key").ok_or(CarrierError::Config("no API key"))?;
    let secret = config.secret("api_secret").ok_or(CarrierError::Config("no API secret"))?;
    let pair = STANDARD.encode(format!("{key}:{}", secret.expose()));
    request.credentials(header::AUTHORIZATION, &format!("Basic {pair}"))
}

fn url(config: &RawConfig) -> Result<String, CarrierError> {
    let id = config.text("application_id").ok_or(NO_APPLICATION)?;
    Ok(format!("{}/v2/applications/{}", fields::account_base(config), escape(id)))
}

/// The request that reads the application.
pub(super) fn read(config: &RawConfig) -> Result<HttpRequest, CarrierError> {
    basic(config, HttpRequest::get(url(config)?))
}

/// Tries the credentials: those of the account on the application, if there are any, and the
/// application's own on its calls.
pub(super) fn test(config: &RawConfig) -> OpResult<()> {
    let calls = format!("{}/v1/calls?page_size=1", fields::voice_base(config));
    let calls = HttpRequest::get(calls);
    let done = |answer: HttpResponse| success(&answer).map(Then::Done);
    if config.text("api_secret").is_none() {
        config.text("application_id").ok_or(NO_APPLICATION)?;
        return chain(calls, done);
    }
    chain(read(config)?, move |answer| {
        success(&answer)?;
        Ok(Then::send(calls, done))
    })
}

/// Points the application's webhooks at us, and keeps everything else of it.
pub(super) fn provision(config: &RawConfig, hooks: &HookUrls) -> OpResult<Managed> {
    let (config, hooks) = (config.clone(), hooks.clone());
    chain(read(&config)?, move |answer| {
        let application = body(&answer)?;
        let name = name(&application)?;
        let managed: Managed = vec![("application_name", json!(name))];
        match pointed(&config, &hooks, &application)? {
            None => Ok(Then::Done(managed)),
            Some(write) => Ok(Then::send(write, move |answer| {
                success(&answer)?;
                Ok(Then::Done(managed))
            })),
        }
    })
}

fn name(application: &Value) -> Result<String, CarrierError> {
    let name = events::text(application, "name").filter(|name| !name.trim().is_empty());
    name.map(str::to_owned).ok_or(CarrierError::Answer("no name of the application"))
}

/// The request that makes the application tell us of its calls; `None` if it does.
///
/// It replaces the whole object, so that what is not ours has to be sent back.
pub(super) fn pointed(
    config: &RawConfig,
    hooks: &HookUrls,
    application: &Value,
) -> Result<Option<HttpRequest>, CarrierError> {
    let mut wanted = Map::new();
    wanted.insert("name".to_owned(), json!(name(application)?));
    for kept in ["capabilities", "privacy", "keys"] {
        if let Some(value) = application.get(kept).filter(|value| value.is_object()) {
            wanted.insert(kept.to_owned(), value.clone());
        }
    }
    let voice = object(object(&mut wanted, "capabilities")?, "voice")?;
    let before = voice.clone();
    let webhooks = object(voice, "webhooks")?;
    for (name, hook) in WEBHOOKS {
        let address = hooks.url(hook);
        let webhook = object(webhooks, name)?;
        let kept = |place: &str| webhook.get(place) == Some(&json!(address));
        if kept("address") && webhook.get("http_method") == Some(&json!("POST")) {
            continue;
        }
        *webhook = Map::new();
        webhook.insert("address".to_owned(), json!(address));
        webhook.insert("http_method".to_owned(), json!("POST"));
        webhook.insert("connect_timeout".to_owned(), json!(CONNECT_TIMEOUT_MS));
        webhook.insert("socket_timeout".to_owned(), json!(SOCKET_TIMEOUT_MS));
    }
    voice.insert("signed_callbacks".to_owned(), json!(true));
    if let Some(region) = config.text("region").filter(|region| *region != "global") {
        voice.insert("region".to_owned(), json!(region));
    }
    if before == *voice {
        return Ok(None);
    }
    let write = put(url(config)?, &Value::Object(wanted));
    basic(config, write).map(Some)
}

/// The object of that name, made if it is not there.
fn object<'o>(
    parent: &'o mut Map<String, Value>,
    name: &str,
) -> Result<&'o mut Map<String, Value>, CarrierError> {
    if !parent.get(name).is_some_and(Value::is_object) {
        parent.insert(name.to_owned(), Value::Object(Map::new()));
    }
    let child = parent.get_mut(name).and_then(Value::as_object_mut);
    child.ok_or(CarrierError::Answer("no application"))
}
