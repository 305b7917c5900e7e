//! Numbers of the account (the carrier calls them ExoPhones), what they are bound to, and the
//! account itself. A number leads to a flow.

use http::Method;
use serde_json::Value;

use super::calls::{post, signed, text, url};
use super::errors::success;
use super::fields;
use crate::chain::{Then, chain};
use crate::config::RawConfig;
use crate::exchange::{CarrierError, HttpRequest, HttpResponse, escape};
use crate::op::{Bind, Number, OpResult};

/// Version of the API that knows numbers.
const VERSION: &str = "v2_beta/Accounts";
const NUMBERS: &str = "/IncomingPhoneNumbers";

fn listing(config: &RawConfig) -> Result<HttpRequest, CarrierError> {
    signed(config, HttpRequest::get(url(config, VERSION, NUMBERS)?))
}

/// The objects of a list, which stands bare or below a name.
fn objects(answer: &HttpResponse) -> Result<Vec<Value>, CarrierError> {
    success(answer)?;
    match serde_json::from_slice(&answer.body) {
        Ok(Value::Array(list)) => Ok(list),
        Ok(Value::Object(mut body)) => {
            let names = ["incoming_phone_numbers", "IncomingPhoneNumbers"];
            match names.iter().find_map(|name| body.remove(*name)) {
                Some(Value::Array(list)) => Ok(list),
                _ => Err(CarrierError::Answer("no list of numbers")),
            }
        }
        _ => Err(CarrierError::Answer("no list of numbers")),
    }
}

fn number(config: &RawConfig, object: &Value) -> Option<Number> {
    let said = |small: &str, large: &str| text(object, small).or_else(|| text(object, large));
    let voice = said("voice_url", "VoiceUrl");
    let flow = voice.and_then(flow_of);
    Some(Number {
        address: fields::number(config, said("phone_number", "PhoneNumber")?).ok()?,
        id: said("sid", "Sid")?.to_owned(),
        label: said("friendly_name", "FriendlyName").map(str::to_owned),
        bound_to: Some(voice.unwrap_or_default().to_owned()),
        ours: flow.is_some() && flow == config.text("flow_id"),
    })
}

/// The number of the flow in the address that a number leads to: its last segment.
fn flow_of(voice_url: &str) -> Option<&str> {
    let last = voice_url.trim_end_matches('/').rsplit('/').next()?;
    (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit())).then_some(last)
}

pub(super) fn numbers(config: &RawConfig) -> OpResult<Vec<Number>> {
    let request = listing(config)?;
    let config = config.clone();
    chain(request, move |answer| {
        let objects = objects(&answer)?;
        Ok(Then::Done(objects.iter().filter_map(|object| number(&config, object)).collect()))
    })
}

pub(super) fn test(config: &RawConfig) -> OpResult<()> {
    chain(listing(config)?, |answer| {
        success(&answer)?;
        Ok(Then::Done(()))
    })
}

/// Leads a number to the flow, or away from it, wherever else it led.
pub(super) fn bind(config: &RawConfig, bind: &Bind) -> OpResult<()> {
    let flow = config.text("flow_id").ok_or(CarrierError::Config("no flow is named"))?;
    let account = config.text("account_sid").ok_or(CarrierError::Config("no account SID"))?;
    let voice = format!("http://my.exotel.com/{}/exoml/start_voice/{flow}", escape(account));
    let request = listing(config)?;
    let (config, bind) = (config.clone(), bind.clone());
    chain(request, move |answer| {
        let objects = objects(&answer)?;
        let mut known = objects.iter().filter_map(|object| number(&config, object));
        let found = known.find(|known| known.address == bind.address);
        let found = found.ok_or(CarrierError::NotFound)?;
        let leads = if bind.hooks.is_some() { &*voice } else { "" };
        // What leads elsewhere is not ours to take away.
        if (bind.hooks.is_none() && !found.ours) || found.bound_to.as_deref() == Some(leads) {
            return Ok(Then::Done(()));
        }
        let place = format!("{NUMBERS}/{}", escape(&found.id));
        let request = post(url(&config, VERSION, &place)?, &[("VoiceUrl", leads)]);
        let request = signed(&config, request.method(Method::PUT).repeatable())?;
        Ok(Then::send(request, |answer| {
            success(&answer)?;
            Ok(Then::Done(()))
        }))
    })
}
