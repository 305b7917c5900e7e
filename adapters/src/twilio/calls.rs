//! Calls: placed, ended, asked about.

use http::{HeaderValue, header};

use super::errors::{self, object, text};
use super::{answer, events, fields, hooks};
use crate::address::AddressKind;
use crate::config::RawConfig;
use crate::event::{CallEvent, CarrierCallId, Price};
use crate::exchange::{CarrierError, HttpExchange, HttpRequest, HttpResponse, escape, form};
use crate::hook::{HookUrls, Take};
use crate::op::{OpResult, Originate, Originated, Record};

const FORM: &str = "application/x-www-form-urlencoded";
/// How often and why a webhook that tells something is sent again, in the fragment of its address:
/// it is the carrier's own, neither sent nor signed. Without it only a connection that fails is
/// tried once more.
const RETRY: &str = "#rc=3&rp=5xx,ct,rt";
/// Version of the API, the first segment of its paths.
const VERSION: &str = "2010-04-01";
/// Longest ringing that the API takes, in seconds.
pub(super) const RING_S_MAX: u32 = 600;

/// The address of a hook that tells something. What other carriers make of a fragment is unknown.
pub(super) fn retried(config: &RawConfig, url: String) -> String {
    if config.flag("compatible") { url } else { url + RETRY }
}

/// The beginning of every address of the API, without slash at the end.
pub(super) fn base(config: &RawConfig) -> String {
    if let Some(base) = config.text("api_base") {
        return base.to_owned();
    }
    match (config.text("edge"), config.text("region")) {
        (Some(edge), Some(region)) => format!("https://api.{edge}.{region}.twilio.com"),
        _ => "https://api.twilio.com".to_owned(),
    }
}

/// The address of something of the account; `path` begins with a slash.
pub(super) fn url(config: &RawConfig, path: &str) -> Result<String, CarrierError> {
    let account = config.text("account_sid").ok_or(CarrierError::Config("no account SID"))?;
    Ok(format!("{}/{VERSION}/Accounts/{}{path}", base(config), escape(account)))
}

/// The address of a call, without extension.
fn call_url(config: &RawConfig, call: &CarrierCallId) -> Result<String, CarrierError> {
    url(config, &format!("/Calls/{}", escape(&call.0)))
}

/// Adds what the API knows us by: a key if there is one, else the account's token.
pub(super) fn signed(
    config: &RawConfig,
    request: HttpRequest,
) -> Result<HttpRequest, CarrierError> {
    match (config.text("api_key_sid"), config.secret("api_key_secret")) {
        (Some(user), Some(password)) => basic(request, user, password.expose()),
        _ => by_token(config, request),
    }
}

/// The same by the account's token alone.
pub(super) fn by_token(
    config: &RawConfig,
    request: HttpRequest,
) -> Result<HttpRequest, CarrierError> {
    let user = config.text("account_sid").ok_or(CarrierError::Config("no account SID"))?;
    let password = config.secret("auth_token").ok_or(CarrierError::Config("no auth token"))?;
    basic(request, user, password.expose())
}

/// Basic authentication (RFC 7617).
fn basic(
    mut request: HttpRequest,
    user: &str,
    password: &str,
) -> Result<HttpRequest, CarrierError> {
    use base64::Engine;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    request.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    request.credentials(header::AUTHORIZATION, &format!("Basic {pair}"))
}

pub(super) fn post(url: String, fields: &[(&str, &str)]) -> HttpRequest {
    HttpRequest::post(url, FORM, form(fields))
}

pub(super) fn one<T: 'static>(
    config: &RawConfig,
    request: HttpRequest,
    read: fn(&HttpResponse) -> Result<T, CarrierError>,
) -> OpResult<T> {
    Ok(Box::new(HttpExchange::new(signed(config, request)?, read)))
}

/// What a request says about machines: whether one answers is told to the hook `told`.
fn detection<'c>(
    config: &RawConfig,
    told: &'c str,
    tuning: &'c [(&'static str, Option<String>)],
) -> Vec<(&'static str, &'c str)> {
    let mode = config.text("amd_mode").unwrap_or("async");
    if mode == "off" {
        return Vec::new();
    }
    let wait = config.flag("amd_wait_for_beep");
    let mut fields = vec![("MachineDetection", if wait { "DetectMessageEnd" } else { "Enable" })];
    fields.extend(tuning.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))));
    if mode == "async" {
        fields.extend([
            ("AsyncAmd", "true"),
            ("AsyncAmdStatusCallback", told),
            ("AsyncAmdStatusCallbackMethod", "POST"),
        ]);
    }
    fields
}

/// Webhooks to hosts with `_` in their names are never sent, and nobody is told.
pub(super) fn reachable(config: &RawConfig, hooks: &HookUrls) -> Result<(), CarrierError> {
    match hooks.host().contains('_') && !config.flag("compatible") {
        true => Err(CarrierError::Config("the host of the public address has an underscore")),
        false => Ok(()),
    }
}

pub(super) fn originate(config: &RawConfig, call: &Originate) -> OpResult<Originated> {
    let from = call.from.as_ref().ok_or(CarrierError::Config("no caller id"))?;
    if call.to.kind() == AddressKind::Pstn && from.kind() != AddressKind::Pstn {
        return Err(CarrierError::CallerId(None));
    }
    reachable(config, &call.hooks)?;
    let take = Take { stream_url: call.stream_url.clone(), hooks: call.hooks.clone() };
    let document = answer::connect(&take);
    let status = retried(config, call.hooks.url(hooks::STATUS));
    let amd = retried(config, call.hooks.url(hooks::AMD));
    let tuning = fields::AMD_TUNING
        .map(|(field, name)| (name, config.number(field).map(|value: i64| value.to_string())));
    let ring = call.ring_timeout_s.clamp(1, RING_S_MAX).to_string();
    let longest = call.max_duration_s.to_string();
    let mut fields = vec![
        ("To", call.to.expose()),
        ("From", from.expose()),
        ("Twiml", &document),
        ("StatusCallback", &status),
        ("StatusCallbackMethod", "POST"),
        ("StatusCallbackEvent", "initiated"),
        ("StatusCallbackEvent", "ringing"),
        ("StatusCallbackEvent", "answered"),
        ("StatusCallbackEvent", "completed"),
        ("Timeout", &ring),
    ];
    if call.max_duration_s > 0 {
        fields.push(("TimeLimit", &longest));
    }
    if call.detect_machine {
        fields.extend(detection(config, &amd, &tuning));
    }
    let user = config.text("sip_username");
    let password = config.secret("sip_password");
    if let (AddressKind::SipUri, Some(user), Some(password)) = (call.to.kind(), user, &password) {
        fields.push(("SipAuthUsername", user));
        fields.push(("SipAuthPassword", password.expose()));
    }
    one(config, post(url(config, "/Calls.json")?, &fields), placed)
}

/// The id of a call that was placed.
pub(super) fn placed(answer: &HttpResponse) -> Result<Originated, CarrierError> {
    let body = object(answer)?;
    let id = text(&body, "sid").ok_or(CarrierError::Answer("no SID of the call"))?;
    Ok(Originated { call: CarrierCallId(id.to_owned()) })
}

/// Changes a call.
pub(super) fn update(
    config: &RawConfig,
    call: &CarrierCallId,
    fields: &[(&str, &str)],
) -> Result<HttpRequest, CarrierError> {
    Ok(post(format!("{}.json", call_url(config, call)?), fields))
}

pub(super) fn hangup(config: &RawConfig, call: &CarrierCallId) -> OpResult<()> {
    // Ends it whether it rings or is up.
    let request = update(config, call, &[("Status", "completed")])?.repeatable();
    one(config, request, |answer| match errors::of_call(answer) {
        Err(CarrierError::CallOver) => Ok(()),
        other => other,
    })
}

pub(super) fn status(config: &RawConfig, call: &CarrierCallId) -> OpResult<Vec<CallEvent>> {
    let url = format!("{}.json", call_url(config, call)?);
    one(config, HttpRequest::get(url), |answer| {
        events::of_call(&object(answer)?).ok_or(CarrierError::Answer("no state of the call"))
    })
}

pub(super) fn cost(config: &RawConfig, call: &CarrierCallId) -> OpResult<Option<Price>> {
    let url = format!("{}.json", call_url(config, call)?);
    one(config, HttpRequest::get(url), |answer| {
        let body = object(answer)?;
        // Without a price it is not rated yet, as is usual for some minutes.
        let Some(price) = text(&body, "price") else { return Ok(None) };
        let amount = price.strip_prefix('-').unwrap_or(price);
        let decimal = |c: char| c.is_ascii_digit() || c == '.';
        let currency = text(&body, "price_unit").unwrap_or_default();
        let fits = amount.starts_with(|c: char| c.is_ascii_digit())
            && amount.chars().all(decimal)
            && amount.matches('.').count() <= 1
            && currency.len() == 3;
        if !fits {
            return Err(CarrierError::Answer("no price"));
        }
        let currency = currency.to_ascii_uppercase();
        Ok(Some(Price { amount: amount.to_owned(), currency }))
    })
}

pub(super) fn record(config: &RawConfig, record: &Record) -> OpResult<()> {
    let url = format!("{}/Recordings", call_url(config, &record.call)?);
    let hook = retried(config, record.hooks.url(hooks::RECORDING));
    let request = if record.on {
        let fields = [
            ("RecordingChannels", "dual"),
            ("RecordingStatusCallback", hook.as_str()),
            ("RecordingStatusCallbackMethod", "POST"),
            ("RecordingStatusCallbackEvent", "completed"),
        ];
        post(format!("{url}.json"), &fields)
    } else {
        // The one that runs.
        post(format!("{url}/Twilio.CURRENT.json"), &[("Status", "stopped")]).repeatable()
    };
    one(config, request, errors::success)
}
