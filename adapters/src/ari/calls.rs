//! Requests about calls.

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::errors::{gone_is_done, object, success};
use super::events::Channel;
use super::fields::{NUMBER, format};
use super::names::{Names, Role};
use super::probe::probing;
use super::request::{app, delete, get, one, post};
use crate::address::{Address, AddressKind};
use crate::chain::{Then, chain, mapped};
use crate::config::RawConfig;
use crate::event::{CallEvent, CallFact, CarrierCallId};
use crate::exchange::{CarrierError, HttpRequest, HttpResponse, escape};
use crate::hook::HookUrls;
use crate::op::{
    Managed, Op, OpResult, Originate, Originated, SendDigits, Step, Transfer, TransferKind,
};
use crate::secret::Pii;

/// Begins the name of an application; what makes it unique follows.
const APP_PREFIX: &str = "talkpath_";
/// Digits behind it.
const APP_DIGITS: usize = 12;
/// Longest value of a header or variable, in bytes.
const VALUE_BYTES_MAX: usize = 512;

/// The path of a channel.
pub(super) fn channel_path(id: &str) -> String {
    format!("channels/{}", escape(id))
}

/// The path of a bridge.
pub(super) fn bridge_path(id: &str) -> String {
    format!("bridges/{}", escape(id))
}

/// The dial string for an address: nothing that means something in one comes from it.
fn endpoint(config: &RawConfig, to: &Address) -> Result<String, CarrierError> {
    let template = config.text("endpoint").ok_or(CarrierError::Config("no dial string"))?;
    let number = match to.kind() {
        AddressKind::Pstn | AddressKind::SipExtension => to.expose(),
        AddressKind::SipUri => {
            return Err(CarrierError::Config("the dial string takes no SIP addresses"));
        }
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+*#._-".contains(&byte);
    if !number.bytes().all(plain) {
        return Err(CarrierError::Destination(None));
    }
    Ok(template.replacen(NUMBER, number, 1))
}

/// The request that lets Asterisk call somebody, and enter our application with who answered.
fn call_request(
    config: &RawConfig,
    name: &str,
    to: &Address,
    from: Option<&Address>,
    ring_s: u32,
) -> Result<HttpRequest, CarrierError> {
    let (endpoint, ring_s) = (endpoint(config, to)?, ring_s.max(1).to_string());
    let caller = from.map(Address::expose).unwrap_or_default();
    let query = [
        ("endpoint", endpoint.as_str()),
        ("app", app(config)?),
        ("channelId", name),
        ("timeout", &ring_s),
        ("callerId", caller),
    ];
    let given = if caller.is_empty() { query.get(..4) } else { query.get(..) };
    let mut query = given.unwrap_or_default().to_vec();
    // A local channel has no codec of its own: without one it is linear, and converted twice.
    if endpoint.starts_with("Local/") {
        query.push(("formats", format(config)));
    }
    post(config, "channels", &query)
}

/// Puts what the caller wants the channel to carry into the request, as far as the configuration
/// lets it out.
fn carry(
    config: &RawConfig,
    request: &mut HttpRequest,
    extra: &[(String, Pii)],
) -> Result<(), CarrierError> {
    let (headers, names) = (config.texts("headers_out"), config.texts("variables_out"));
    let sip = config.text("endpoint").is_some_and(|endpoint| endpoint.starts_with("PJSIP/"));
    let mut set = serde_json::Map::new();
    for (name, value) in extra {
        let value = value.expose();
        let header = headers.iter().find(|header| header.eq_ignore_ascii_case(name));
        let variable = match header {
            Some(header) if sip => format!("PJSIP_HEADER(add,{header})"),
            Some(_) => return Err(CarrierError::Config("headers go out by PJSIP alone")),
            None if names.contains(&name.as_str()) => name.clone(),
            None => continue,
        };
        if value.len() > VALUE_BYTES_MAX || value.contains(char::is_control) {
            return Err(CarrierError::Config("a value is too long, or no text of one line"));
        }
        set.insert(variable, value.into());
    }
    if !set.is_empty() {
        request.body = json!({ "variables": set }).to_string().into();
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(())
}

/// Lets Asterisk call somebody. What it says to that is not always about that: whether the channel
/// is there is asked for if it says no.
fn call_out(
    config: &RawConfig,
    name: String,
    to: &Address,
    from: Option<&Address>,
    ring_s: u32,
    extra: &[(String, Pii)],
) -> OpResult<CarrierCallId> {
    let mut request = call_request(config, &name, to, from, ring_s)?;
    carry(config, &mut request, extra)?;
    let look = get(config, &channel_path(&name))?;
    chain(request, move |answer| match success(&answer) {
        Ok(()) => {
            object(&answer)?;
            Ok(Then::Done(CarrierCallId(name)))
        }
        Err(error) if matches!(answer.status.as_u16(), 409 | 500) => {
            let words = match error {
                CarrierError::Refused { code, .. } => code,
                _ => None,
            };
            Ok(Then::send(look, move |answer| match success(&answer) {
                Ok(()) => Ok(Then::Done(CarrierCallId(name))),
                Err(CarrierError::NotFound) => Err(CarrierError::Destination(words)),
                Err(error) => Err(error),
            }))
        }
        Err(error) => Err(error),
    })
}

pub(super) fn originate(config: &RawConfig, call: &Originate) -> OpResult<Originated> {
    let name = Names::of(config, &call.hooks)?.name(Role::Peer);
    let (from, ring_s) = (call.from.as_ref(), call.ring_timeout_s);
    let placed = call_out(config, name, &call.to, from, ring_s, &call.extra);
    mapped(placed, |call| Originated { call })
}

/// The request that ends a channel.
pub(super) fn hangup_request(
    config: &RawConfig,
    id: &str,
    reason: &str,
) -> Result<HttpRequest, CarrierError> {
    delete(config, &channel_path(id), &[("reason", reason)])
}

pub(super) fn hangup(config: &RawConfig, call: &CarrierCallId) -> OpResult<()> {
    one(hangup_request(config, &call.0, "normal")?, gone_is_done)
}

pub(super) fn transfer(config: &RawConfig, transfer: &Transfer) -> OpResult<Option<CarrierCallId>> {
    let names = Names::of(config, &transfer.hooks)?;
    let role = match transfer.kind {
        TransferKind::Refer => return refer(config, transfer),
        TransferKind::Blind => Role::BlindTarget,
        TransferKind::Attended => Role::Target,
    };
    let (to, from) = (&transfer.to, transfer.from.as_ref());
    let name = names.target(role, &transfer.id);
    mapped(call_out(config, name, to, from, transfer.ring_timeout_s, &[]), Some)
}

/// The telephone is told to call the destination itself (RFC 3515): only chan_pjsip can.
fn refer(config: &RawConfig, transfer: &Transfer) -> OpResult<Option<CarrierCallId>> {
    if transfer.to.kind() != AddressKind::SipUri {
        return Err(CarrierError::Config("this way of transfer takes a SIP address"));
    }
    let endpoint = format!("PJSIP/{}", transfer.to.expose());
    let path = format!("{}/redirect", channel_path(&transfer.call.0));
    let request = post(config, &path, &[("endpoint", &endpoint)])?;
    one(request, |answer| success(answer).map(|()| None))
}

/// The request that lets channels hear each other.
pub(super) fn join_request(
    config: &RawConfig,
    bridge: &str,
    channels: &str,
) -> Result<HttpRequest, CarrierError> {
    let path = format!("{}/addChannel", bridge_path(bridge));
    // To add one that is there already changes nothing.
    Ok(post(config, &path, &[("channel", channels)])?.repeatable())
}

pub(super) fn join(config: &RawConfig, transfer: &Transfer) -> OpResult<()> {
    let names = Names::of(config, &transfer.hooks)?;
    let target = names.target(Role::Target, &transfer.id);
    one(join_request(config, &names.name(Role::Bridge), &target)?, success)
}

pub(super) fn dtmf(config: &RawConfig, send: &SendDigits) -> OpResult<()> {
    let path = format!("{}/dtmf", channel_path(&send.call.0));
    one(post(config, &path, &[("dtmf", send.digits.expose())])?, success)
}

/// The channel that an answer describes.
pub(super) fn channel(answer: &HttpResponse) -> Result<Channel, CarrierError> {
    let channel: Channel = serde_json::from_value(object(answer)?)
        .map_err(|_| CarrierError::Answer("not a channel"))?;
    if channel.id.is_empty() { Err(CarrierError::Answer("no channel")) } else { Ok(channel) }
}

/// What the state of a channel says of its call.
pub(super) fn fact_of(state: &str) -> Option<CallFact> {
    match state {
        "Up" => Some(CallFact::Answered),
        "Ring" | "Ringing" => Some(CallFact::Ringing),
        "Down" | "Dialing" | "Rsrved" | "OffHook" => Some(CallFact::Initiated),
        _ => None,
    }
}

pub(super) fn status(config: &RawConfig, call: &CarrierCallId) -> OpResult<Vec<CallEvent>> {
    one(get(config, &channel_path(&call.0))?, |answer| {
        let channel = channel(answer)?;
        let what = fact_of(&channel.state).unwrap_or(CallFact::Initiated);
        Ok(vec![CallEvent { call: CarrierCallId(channel.id), id: None, at_unix_ms: None, what }])
    })
}

/// What tells that it is an Asterisk that answers: its version, as it writes it.
pub(super) fn info(answer: &HttpResponse) -> Result<String, CarrierError> {
    let info = object(answer)?;
    let known = info["system"].is_object() || info["status"].is_object();
    let version = info["system"]["version"].as_str().unwrap_or_default();
    if known {
        Ok(version.to_owned())
    } else {
        Err(CarrierError::Answer("not that of an Asterisk"))
    }
}

pub(super) fn test(config: &RawConfig) -> OpResult<()> {
    one(get(config, "asterisk/info")?, |answer| info(answer).map(drop))
}

/// What is known without asking.
struct Told<T>(Option<T>);

impl<T: Send> Op<T> for Told<T> {
    fn next(&mut self, _: Option<HttpResponse>) -> Step<T> {
        self.0.take().map_or(Step::Fail(CarrierError::Unavailable), Step::Done)
    }
}

/// The application gets a name that no other configuration has, once; the way that audio travels is
/// found out.
pub(super) fn provision(config: &RawConfig, hooks: &HookUrls) -> OpResult<Managed> {
    let name = match config.text("app") {
        Some(app) => app.to_owned(),
        None => {
            // The address holds the token of the configuration; its hash tells nothing of it.
            let hash = Sha256::digest(hooks.url("events").as_bytes());
            let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{APP_PREFIX}{}", digits.get(..APP_DIGITS).unwrap_or_default())
        }
    };
    if super::reverse::wanted(config) {
        // It can be asked once it knows the name.
        return Ok(Box::new(Told(Some(vec![("app", json!(name))]))));
    }
    probing(config, move |probed| {
        let mut values = vec![("app", json!(name))];
        values.extend(probed.values);
        values
    })
}
