//! Numbers of the account, what they are bound to, and the account itself.

use serde_json::{Value, json};

use super::calls::{base, by_token, post, reachable, signed, url};
use super::errors::{self, object, text};
use super::hooks;
use crate::address::Address;
use crate::config::RawConfig;
use crate::exchange::{CarrierError, HttpExchange, HttpRequest, HttpResponse, escape};
use crate::hook::HookUrls;
use crate::op::{Bind, Managed, Number, Op, OpResult, Step};

/// Numbers on one page of the list: the most that the API gives.
const PAGE_NUMBERS: u32 = 1000;
/// Most pages that are read.
const PAGES_MAX: u32 = 100;
/// What the application is called in the carrier's console.
const APPLICATION: &str = "Talkpath";

/// One page of numbers: their objects, and where the next page is.
fn page(answer: &HttpResponse) -> Result<(Vec<Value>, Option<String>), CarrierError> {
    let mut body = object(answer)?;
    let next = text(&body, "next_page_uri").map(str::to_owned);
    match body.get_mut("incoming_phone_numbers").map(Value::take) {
        Some(Value::Array(numbers)) => Ok((numbers, next)),
        _ => Err(CarrierError::Answer("no list of numbers")),
    }
}

fn number(object: &Value, application: Option<&str>) -> Option<Number> {
    // What overrides the address of the number is where its calls go.
    let overriding = [("trunk_sid", "trunk"), ("voice_application_sid", "application")];
    let overridden = overriding
        .iter()
        .find_map(|(name, word)| text(object, name).map(|sid| format!("{word} {sid}")));
    Some(Number {
        address: Address::parse(text(object, "phone_number")?, None).ok()?,
        id: text(object, "sid")?.to_owned(),
        label: text(object, "friendly_name").map(str::to_owned),
        bound_to: overridden
            .or_else(|| object.get("voice_url").and_then(Value::as_str).map(str::to_owned)),
        ours: application.is_some()
            && text(object, "voice_application_sid") == application
            && text(object, "trunk_sid").is_none(),
    })
}

/// Lists the numbers, page by page.
struct List {
    config: RawConfig,
    first: Option<HttpRequest>,
    found: Vec<Number>,
    pages: u32,
}

impl List {
    fn take(&mut self, answer: &HttpResponse) -> Result<Option<HttpRequest>, CarrierError> {
        let (numbers, next) = page(answer)?;
        // Short codes and the like are no numbers that calls come to.
        let application = self.config.text("application_sid");
        self.found.extend(numbers.iter().filter_map(|object| number(object, application)));
        self.pages += 1;
        match next {
            Some(next) if self.pages < PAGES_MAX => {
                let url = next_url(&self.config, &next)?;
                signed(&self.config, HttpRequest::get(url)).map(Some)
            }
            Some(_) => Err(CarrierError::Answer("more numbers than can be listed")),
            None => Ok(None),
        }
    }
}

/// The address of the next page, which the answer names from the root of the host.
fn next_url(config: &RawConfig, next: &str) -> Result<String, CarrierError> {
    let plain = next.bytes().all(|byte| byte.is_ascii_graphic());
    if !next.starts_with('/') || next.starts_with("//") || !plain || next.contains("/..") {
        return Err(CarrierError::Answer("no address of the next page"));
    }
    let base = base(config);
    let start = base.find("://").map_or(0, |at| at + 3);
    let end = base.get(start..).and_then(|rest| rest.find('/')).map_or(base.len(), |at| start + at);
    let (host, path) = base.split_at_checked(end).unwrap_or((base.as_str(), ""));
    // A host whose API does not begin at the root names the whole path.
    Ok(if next.starts_with(path) { format!("{host}{next}") } else { format!("{base}{next}") })
}

impl Op<Vec<Number>> for List {
    fn next(&mut self, answer: Option<HttpResponse>) -> Step<Vec<Number>> {
        match (self.first.take(), answer) {
            (Some(request), _) => Step::Send(request),
            (None, None) => Step::Fail(CarrierError::Unavailable),
            (None, Some(answer)) => match self.take(&answer) {
                Ok(Some(request)) => Step::Send(request),
                Ok(None) => Step::Done(std::mem::take(&mut self.found)),
                Err(error) => Step::Fail(error),
            },
        }
    }
}

pub(super) fn numbers(config: &RawConfig) -> OpResult<Vec<Number>> {
    let url = url(config, &format!("/IncomingPhoneNumbers.json?PageSize={PAGE_NUMBERS}"))?;
    Ok(Box::new(List {
        first: Some(signed(config, HttpRequest::get(url))?),
        config: config.clone(),
        found: Vec::new(),
        pages: 0,
    }))
}

/// Finds a number's id, then says where its calls go.
enum Binding {
    Find(HttpRequest, RawConfig, Bind),
    Found(RawConfig, Bind),
    Set,
    Over,
}

impl Op<()> for Binding {
    fn next(&mut self, answer: Option<HttpResponse>) -> Step<()> {
        match (std::mem::replace(self, Self::Over), answer) {
            (Self::Find(request, config, bind), None) => {
                *self = Self::Found(config, bind);
                Step::Send(request)
            }
            (Self::Found(config, bind), Some(answer)) => match set(&config, &bind, &answer) {
                Ok(request) => {
                    *self = Self::Set;
                    Step::Send(request)
                }
                Err(error) => Step::Fail(error),
            },
            (Self::Set, Some(answer)) => {
                errors::success(&answer).map_or_else(Step::Fail, Step::Done)
            }
            _ => Step::Fail(CarrierError::Unavailable),
        }
    }
}

/// What a number, or an application, is told of our hooks.
struct Urls {
    voice: String,
    fallback: String,
    status: String,
}

impl Urls {
    fn of(hooks: &HookUrls) -> Self {
        Self {
            voice: hooks.url(hooks::VOICE),
            fallback: hooks.url(hooks::FALLBACK),
            status: hooks.url(hooks::STATUS),
        }
    }

    fn fields(&self) -> [(&'static str, &str); 6] {
        [
            ("VoiceUrl", &self.voice),
            ("VoiceMethod", "POST"),
            ("VoiceFallbackUrl", &self.fallback),
            ("VoiceFallbackMethod", "POST"),
            ("StatusCallback", &self.status),
            ("StatusCallbackMethod", "POST"),
        ]
    }
}

fn set(
    config: &RawConfig,
    bind: &Bind,
    answer: &HttpResponse,
) -> Result<HttpRequest, CarrierError> {
    // The list is of numbers that contain what was asked for.
    let (found, _) = page(answer)?;
    let mut found = found.iter().filter_map(|object| number(object, None));
    let id = found.find(|number| number.address == bind.address).ok_or(CarrierError::NotFound)?.id;
    let url = url(config, &format!("/IncomingPhoneNumbers/{}.json", escape(&id)))?;
    let application = config.text("application_sid").unwrap_or_default();
    let request = match &bind.hooks {
        None => {
            let names = ["VoiceUrl", "VoiceFallbackUrl", "StatusCallback", "VoiceApplicationSid"];
            post(url, &names.map(|name| (name, "")))
        }
        // A trunk or an application overrides the addresses, so they are taken off.
        Some(_) if config.text("bind_by") == Some("application") => {
            post(url, &[("VoiceApplicationSid", application), ("TrunkSid", "")])
        }
        Some(hooks) => {
            let urls = Urls::of(hooks);
            let mut fields = urls.fields().to_vec();
            fields.extend([("VoiceApplicationSid", ""), ("TrunkSid", "")]);
            post(url, &fields)
        }
    };
    signed(config, request.repeatable())
}

pub(super) fn bind(config: &RawConfig, bind: &Bind) -> OpResult<()> {
    if let Some(hooks) = &bind.hooks {
        reachable(config, hooks)?;
    }
    let by_application = config.text("bind_by") == Some("application") && bind.hooks.is_some();
    if by_application && config.text("application_sid").is_none() {
        return Err(CarrierError::Config("there is no TwiML application yet"));
    }
    let number = escape(bind.address.expose());
    let url = url(config, &format!("/IncomingPhoneNumbers.json?PhoneNumber={number}"))?;
    let find = signed(config, HttpRequest::get(url))?;
    Ok(Box::new(Binding::Find(find, config.clone(), bind.clone())))
}

/// Tries the token, then the key if there is one: a key must not read the account, and a token
/// that is wrong would verify nothing.
enum Test {
    Token(HttpRequest, Option<HttpRequest>),
    TokenSent(Option<HttpRequest>),
    KeySent,
    Over,
}

impl Op<()> for Test {
    fn next(&mut self, answer: Option<HttpResponse>) -> Step<()> {
        match (std::mem::replace(self, Self::Over), answer) {
            (Self::Token(request, key), None) => {
                *self = Self::TokenSent(key);
                Step::Send(request)
            }
            (Self::TokenSent(key), Some(answer)) => match (is_active(&answer), key) {
                (Err(error), _) => Step::Fail(error),
                (Ok(()), None) => Step::Done(()),
                (Ok(()), Some(request)) => {
                    *self = Self::KeySent;
                    Step::Send(request)
                }
            },
            (Self::KeySent, Some(answer)) => {
                errors::success(&answer).map_or_else(Step::Fail, Step::Done)
            }
            _ => Step::Fail(CarrierError::Unavailable),
        }
    }
}

fn is_active(answer: &HttpResponse) -> Result<(), CarrierError> {
    let body = object(answer)?;
    match text(&body, "status") {
        Some("active") | None => Ok(()),
        Some(other) => Err(CarrierError::NotPermitted(Some(other.chars().take(20).collect()))),
    }
}

pub(super) fn test(config: &RawConfig) -> OpResult<()> {
    let account = by_token(config, HttpRequest::get(url(config, ".json")?))?;
    let key = match config.text("api_key_sid") {
        Some(_) => {
            let url = url(config, "/IncomingPhoneNumbers.json?PageSize=1")?;
            Some(signed(config, HttpRequest::get(url))?)
        }
        None => None,
    };
    Ok(Box::new(Test::Token(account, key)))
}

/// Makes the application that numbers may share, or brings it up to date.
pub(super) fn provision(config: &RawConfig, hooks: &HookUrls) -> OpResult<Managed> {
    reachable(config, hooks)?;
    let urls = Urls::of(hooks);
    let mut fields = vec![("FriendlyName", APPLICATION)];
    fields.extend(urls.fields());
    let request = match config.text("application_sid") {
        Some(sid) => {
            let url = url(config, &format!("/Applications/{}.json", escape(sid)))?;
            post(url, &fields).repeatable()
        }
        None => post(url(config, "/Applications.json")?, &fields),
    };
    Ok(Box::new(HttpExchange::new(signed(config, request)?, |answer| {
        let body = object(answer)?;
        let sid = text(&body, "sid").ok_or(CarrierError::Answer("no SID of the application"))?;
        Ok(vec![("application_sid", json!(sid))])
    })))
}
