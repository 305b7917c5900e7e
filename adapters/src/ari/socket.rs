//! The socket of events: how it is opened, and which call a message is about.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use serde_json::json;

use super::calls::channel_path;
use super::errors::success;
use super::events::{Channel, Event, What, read};
use super::names::{self, Role};
use super::records::recorded;
use super::request::{app, one, request};
use super::{fields, pieces, tidy};
use crate::address::{Address, AddressKind};
use crate::config::RawConfig;
use crate::event::{CarrierCallId, InboundCall};
use crate::exchange::{CarrierError, HttpResponse, escape, form};
use crate::external_pbx;
use crate::flow::{EventsSocket, Routed};
use crate::hook::HookError;
use crate::op::{Op, OpResult, Step};
use crate::secret::Pii;

pub(super) const EVENTS: EventsSocket = EventsSocket {
    connect: super::request::events,
    reverse: Some(super::reverse::REVERSE),
    route,
    probe: super::probe::probe,
    opened,
    complete,
    tidy: tidy::tidy,
    media: fields::media,
    pieces: pieces::pieces,
};

/// Events that tell nothing we need, and are many.
const UNWANTED: [&str; 3] = ["ChannelVarset", "ChannelDialplan", "ChannelConnectedLine"];

/// Once the socket is open, what it says is limited to what is of use: Asterisk forgets that
/// whenever it forgets the application.
fn opened(config: &RawConfig) -> OpResult<()> {
    let path = format!("applications/{}/eventFilter", escape(app(config)?));
    let mut request = request(config, Method::PUT, &path, &[])?;
    let unwanted: Vec<_> = UNWANTED.iter().map(|word| json!({"type": word})).collect();
    request.body = json!({"disallowed": unwanted}).to_string().into();
    request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    one(request, success)
}

fn route(message: &[u8]) -> Result<Routed, HookError> {
    let event = read(message)?;
    if event.what == What::Replaced {
        return Ok(Routed::Replaced);
    }
    if let What::Recorded(recording) = &event.what {
        let of = recorded(&event.app, recording);
        let ours = |(call, _): (&str, _)| Routed::Ours { call: call.to_owned(), leg: None };
        return Ok(of.map_or(Routed::Nothing, ours));
    }
    Ok(about(&event))
}

/// Which call an event is about: a bridge or channel of ours tells, any other channel is a caller.
fn about(event: &Event) -> Routed {
    let bridge = event.bridge.as_ref().and_then(|bridge| names::read(&event.app, &bridge.id));
    if let Some((_, call)) = bridge {
        return Routed::Ours { call: call.to_owned(), leg: None };
    }
    let Some(channel) = &event.channel else { return Routed::Nothing };
    if let Some(replaced) = &event.replaces {
        // It is about the call of the channel whose place it takes.
        return match names::read(&event.app, replaced) {
            Some((_, call)) => Routed::Ours { call: call.to_owned(), leg: None },
            None => Routed::Of(CarrierCallId(replaced.clone())),
        };
    }
    match names::read(&event.app, &channel.id) {
        Some((role, call)) => {
            let leg = (role == Role::Peer).then(|| CarrierCallId(channel.id.clone()));
            Routed::Ours { call: call.to_owned(), leg }
        }
        // The far half of a local channel of ours, and audio that somebody else sends around.
        None if channel.id.contains(';') && channel.id.starts_with(&event.app) => Routed::Nothing,
        None if channel.is_media() => Routed::Nothing,
        None => match &event.what {
            What::Entered(args) => offered(channel, args).map_or(Routed::Nothing, Routed::Offered),
            _ => Routed::Of(CarrierCallId(channel.id.clone())),
        },
    }
}

/// A caller that has entered the application. Called is the first argument of `Stasis()` that is
/// no pair, else the extension.
pub(super) fn offered(channel: &Channel, args: &[String]) -> Option<InboundCall> {
    let first = args.iter().find(|arg| !arg.is_empty() && !arg.contains('='));
    let called = first.map_or(channel.dialplan.exten.as_str(), String::as_str);
    let mut extra: Vec<(String, Pii)> = Vec::new();
    for arg in args {
        if let Some((name, value)) = arg.split_once('=') {
            extra.push((name.to_owned(), Pii::new(value)));
        }
    }
    let told = [
        ("caller_name", Some(channel.caller.name.as_str())),
        ("redirected_from", channel.caller_rdnis.as_deref()),
        ("sip_call_id", channel.protocol_id.as_deref()),
        ("channel", Some(channel.name.as_str())),
    ];
    for (name, value) in told {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            extra.push((name.to_owned(), Pii::new(value)));
        }
    }
    Some(InboundCall {
        call: CarrierCallId(channel.id.clone()),
        from: address(&channel.caller.number),
        to: address(called)?,
        extra,
    })
}

/// Numbers come as the dialplan has them: international without +, national, or short.
fn address(text: &str) -> Option<Address> {
    Address::dialled(text).ok()
}

/// A number that the country of the configuration makes more of than the dialplan said.
fn in_country(config: &RawConfig, address: &Address) -> Option<Address> {
    let country = config.text("country")?;
    let is_short = address.kind() == AddressKind::SipExtension;
    let read = Address::parse(address.expose(), Some(country)).ok()?;
    (is_short && read.kind() == AddressKind::Pstn).then_some(read)
}

/// Stands for the names of a PBX's headers where the name of a header would.
const PBX_HEADERS: &str = "";

/// Reads, one after the other, what agents are to be told of a call. What is not there is left out.
struct Complete {
    config: RawConfig,
    call: Option<InboundCall>,
    /// Name for the agent, and what is asked for; the last first.
    wanted: Vec<(String, String)>,
    asked: Option<String>,
}

fn complete(config: &RawConfig, call: &InboundCall) -> OpResult<InboundCall> {
    let technology = call.extra.iter().find(|(name, _)| name == "channel");
    let is_sip = technology.is_some_and(|(_, name)| name.expose().starts_with("PJSIP/"));
    let headers = config.texts("headers").into_iter().filter(|_| is_sip);
    let headers = headers.map(|name| (name.to_owned(), format!("PJSIP_HEADER(read,{name})")));
    let variables = config.texts("variables").into_iter();
    let mut wanted: Vec<_> =
        headers.chain(variables.map(|name| (name.to_owned(), name.to_owned()))).collect();
    wanted.reverse();
    // Which headers of a PBX there are is one request, each of them another.
    if let Some(pbx) = external_pbx::find(config).filter(|_| is_sip) {
        let all = format!("PJSIP_HEADERS({})", (pbx.header_prefix)(config));
        wanted.push((PBX_HEADERS.to_owned(), all));
    }
    let mut call = call.clone();
    call.to = in_country(config, &call.to).unwrap_or(call.to);
    call.from = call.from.map(|from| in_country(config, &from).unwrap_or(from));
    let (config, call, asked) = (config.clone(), Some(call), None);
    Ok(Box::new(Complete { config, call, wanted, asked }))
}

impl Complete {
    fn take(&mut self, name: String, answer: &HttpResponse) {
        let value = answer.object().ok().filter(|_| answer.status.is_success());
        let value = value.as_ref().and_then(|body| body["value"].as_str());
        if name == PBX_HEADERS {
            return self.there_are(value.unwrap_or_default());
        }
        if let (Some(call), Some(value)) = (&mut self.call, value.filter(|it| !it.is_empty())) {
            call.extra.push((name, Pii::new(value)));
        }
    }
}

impl Complete {
    /// A call has these headers of a PBX, by a list with commas: those that count are read.
    fn there_are(&mut self, names: &str) {
        let there =
            |wanted: &String| names.split(',').any(|name| name.trim().eq_ignore_ascii_case(wanted));
        for name in external_pbx::headers(&self.config).into_iter().filter(there) {
            let known = |(other, _): &(String, String)| other.eq_ignore_ascii_case(&name);
            if !self.wanted.iter().any(known) {
                let variable = format!("PJSIP_HEADER(read,{name})");
                self.wanted.push((name, variable));
            }
        }
    }
}

impl Op<InboundCall> for Complete {
    fn next(&mut self, answer: Option<HttpResponse>) -> Step<InboundCall> {
        if let (Some(name), Some(answer)) = (self.asked.take(), answer) {
            self.take(name, &answer);
        }
        let Some((name, variable)) = self.wanted.pop() else {
            return match self.call.take() {
                Some(call) => Step::Done(call),
                None => Step::Fail(CarrierError::Unavailable),
            };
        };
        let id = self.call.as_ref().map(|call| call.call.0.as_str()).unwrap_or_default();
        let query = form(&[("variable", &variable)]);
        let path = format!("{}/variable?{query}", channel_path(id));
        self.asked = Some(name);
        match super::request::get(&self.config, &path) {
            Ok(request) => Step::Send(request),
            Err(error) => Step::Fail(error),
        }
    }
}
