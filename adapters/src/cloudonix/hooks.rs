//! Webhooks, each kind of them at an address of its own.
//!
//! | hook | what comes |
//! |---|---|
//! | `voice` | a call is offered, or one that we placed asks what it shall do |
//! | `status` | a session changed: ten times a call and more, in bursts |
//! | `cdr` | the record of a call that is over |
//! | `amd` | who answered |
//! | `stream` | the media stream began, ended, failed |
//! | `stream-ended` | the media stream is gone, and the call asks what it shall do |
//! | `dial-ended` | a blind transfer is over |
//! | `transfer-leg` | the session of an attended transfer's destination changed |
//! | `conference`, `joined` | the destination, or the caller, is in the conference of a transfer |
//! | `recording` | a recording is there |

use http::Method;
use serde_json::Value;

use super::events::{self, State};
use super::request::{Fields, header, text};
use super::{answer, fields, verify};
use crate::config::RawConfig;
use crate::event::{
    CallEvent, CallFact, CarrierCallId, InboundCall, Meaning, TransferOf, TransferState,
};
use crate::hook::{Handled, Hook, HookError, HookReply, HookRequest, Inbound};
use crate::secret::Pii;

/// Most bytes of what a trunk adds to an offered call, value by value.
const EXTRA_BYTES_MAX: usize = 512;
/// Most things that a trunk adds.
const EXTRA_MAX: usize = 32;

/// Names of the hooks, as other parts of the adapter put them into requests.
pub(super) const VOICE: &str = "voice";
pub(super) const STATUS: &str = "status";
pub(super) const CDR: &str = "cdr";
pub(super) const AMD: &str = "amd";
pub(super) const STREAM: &str = "stream";
pub(super) const STREAM_ENDED: &str = "stream-ended";
pub(super) const DIAL_ENDED: &str = "dial-ended";
pub(super) const TRANSFER_LEG: &str = "transfer-leg";
pub(super) const CONFERENCE: &str = "conference";
pub(super) const JOINED: &str = "joined";
pub(super) const RECORDING: &str = "recording";

type Handle = fn(&HookRequest<'_>, &RawConfig) -> Result<Handled, HookError>;

const BOTH: &[Method] = &[Method::POST, Method::GET];
const POST: &[Method] = &[Method::POST];

const fn hook(name: &'static str, methods: &'static [Method], handle: Handle) -> Hook {
    let (verify, explain) = (verify::verify_credential, verify::explain_credential);
    Hook { name, methods, verify, explain, handle }
}

pub(super) const HOOKS: &[Hook] = &[
    Hook { verify: verify::verify, explain: verify::explain, ..hook(VOICE, BOTH, voice) },
    hook(STATUS, POST, status),
    Hook {
        verify: verify::verify_record,
        explain: verify::explain_record,
        ..hook(CDR, POST, record)
    },
    hook(AMD, BOTH, |request, _| facts(request, events::answered_by)),
    hook(STREAM, BOTH, |request, _| facts(request, events::stream)),
    hook(STREAM_ENDED, BOTH, stream_ended),
    hook(DIAL_ENDED, BOTH, dial_ended),
    hook(TRANSFER_LEG, POST, transfer_leg),
    hook(CONFERENCE, BOTH, |request, _| {
        facts(request, |fields, leg| {
            joined(fields, leg, TransferState::Answered, consulted(request, leg))
        })
    }),
    hook(JOINED, BOTH, |request, _| {
        let of = TransferOf { id: request.transfer(), ..TransferOf::default() };
        facts(request, |fields, caller| joined(fields, caller, TransferState::Done, of))
    }),
    hook(RECORDING, BOTH, |request, _| facts(request, events::recorded)),
];

pub(super) const INBOUND: Inbound = Inbound {
    rank: 0,
    recognise,
    hook: VOICE,
    account: |request| {
        let fields = Fields::read(request).ok();
        let told = |name: &str| fields.as_ref().and_then(|fields| fields.text(name));
        let named = told("Domain").or_else(|| header(request, "x-cx-domain"));
        named.or_else(|| told("AccountSid")).map(fields::normalised)
    },
    parse: |request| offered(request, &Fields::read(request)?, &RawConfig::default()),
    answer: |_, take| Ok(answer::reply(answer::connect(take))),
    refuse: |config, refusal| answer::reply(answer::refuse(config, refusal)),
};

/// Calls that come over another carrier's trunk carry that carrier's headers inside: what is
/// outside counts.
fn recognise(request: &HookRequest<'_>) -> bool {
    let agent = request.header("user-agent").unwrap_or_default().to_ascii_lowercase();
    let own = request.headers.keys().any(|name| name.as_str().starts_with("x-cx-"));
    let shaped = || {
        Fields::read(request).is_ok_and(|fields| {
            let session = fields.get("SessionData").is_some() && fields.get("Domain").is_some();
            // Elsewhere an account is a number or a code.
            session || fields.text("AccountSid").is_some_and(|account| account.contains('.'))
        })
    };
    agent.contains("cloudonix") || own || shaped()
}

/// A request that tells facts and is answered by nothing.
fn facts(
    request: &HookRequest<'_>,
    read: impl FnOnce(&Fields, &str) -> Option<Vec<CallEvent>>,
) -> Result<Handled, HookError> {
    let fields = Fields::read(request)?;
    // A stream may name nothing but itself.
    let call = fields.session(request).or_else(|error| fields.text("StreamSid").ok_or(error))?;
    Ok(told(read(&fields, call).ok_or(HookError::Unknown)?))
}

const fn told(events: Vec<CallEvent>) -> Handled {
    Handled { meaning: Meaning::Events(events), reply: HookReply::NO_CONTENT }
}

/// A call is offered, or one that we placed asks what it shall do.
fn voice(request: &HookRequest<'_>, config: &RawConfig) -> Result<Handled, HookError> {
    let fields = Fields::read(request)?;
    let direction = fields.text("Direction").unwrap_or_default().to_ascii_lowercase();
    if direction.starts_with("outbound") {
        let call = fields.session(request)?;
        return Ok(until_over(call, events::of_document(&fields, call)));
    }
    // Of a trunk or of a subscriber of the domain.
    let meaning = Meaning::Offered(offered(request, &fields, config)?);
    Ok(Handled { meaning, reply: HookReply::NO_CONTENT })
}

/// Asks for audio, unless the facts say that the call is over.
fn until_over(call: &str, events: Vec<CallEvent>) -> Handled {
    let over = events.iter().any(|event| matches!(event.what, CallFact::Ended(_)));
    let meaning = if over {
        Meaning::Events(events)
    } else {
        Meaning::Asked { call: CarrierCallId(call.to_owned()), events }
    };
    Handled { meaning, reply: answer::reply(answer::hangup()) }
}

fn offered(
    request: &HookRequest<'_>,
    fields: &Fields,
    config: &RawConfig,
) -> Result<InboundCall, HookError> {
    let domain = fields.text("Domain").or_else(|| header(request, "x-cx-domain"));
    let domain = fields::normalised(domain.unwrap_or("unknown.invalid"));
    let number = |text: &str| fields::number(config.text("country"), &domain, text);
    let to = fields.text("To").ok_or(HookError::Field("To"))?;
    Ok(InboundCall {
        call: CarrierCallId(fields.session(request)?.to_owned()),
        from: fields.text("From").and_then(number),
        to: number(to).ok_or(HookError::Field("To"))?,
        extra: extra(fields),
    })
}

/// What is worth knowing besides: SIP headers by their own names, and what the platform says.
fn extra(fields: &Fields) -> Vec<(String, Pii)> {
    let mut kept: Vec<(String, Pii)> = Vec::new();
    let mut keep = |name: String, value: Option<&str>| {
        let fits = value.filter(|value| (1..=EXTRA_BYTES_MAX).contains(&value.len()));
        if let Some(value) = fits.filter(|_| kept.len() < EXTRA_MAX) {
            kept.push((name, Pii::new(value)));
        }
    };
    for name in ["CallerName", "Diverted", "AssertedIdentity"] {
        keep(name.to_owned(), fields.text(name));
    }
    let profile = fields.within("SessionData", "profile");
    let profiled = |name: &str| profile.and_then(|profile| profile.get(name));
    let first = |list: Option<&Value>| text(list?.get(0)).map(str::to_owned);
    let mut places = ["trunk-sip-headers", "subscriber-sip-headers"].iter();
    let headers = places.find_map(|name| profiled(name)).and_then(Value::as_object);
    let sip_call = first(fields.within("SessionData", "callIds"))
        .or_else(|| first(profiled("callId")))
        .or_else(|| text(headers?.get("CID")).map(str::to_owned));
    keep("SipCallId".to_owned(), sip_call.as_deref());
    keep("Trunk".to_owned(), text(profiled("inbound-trunk-name")));
    for (name, value) in headers.into_iter().flatten().filter(|(name, _)| is_exported(name)) {
        // They come without what they began with.
        keep(format!("X-{name}"), text(Some(value)));
    }
    kept
}

/// False for headers by which carriers talk among themselves: some would pass for ours.
fn is_exported(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let of_carriers = ["cloudonix-", "twilio-"].iter().any(|prefix| name.starts_with(prefix));
    let secret =
        ["signature", "token", "auth", "accountsid"].iter().any(|word| name.contains(word));
    name != "cid" && !name.is_empty() && name.bytes().all(fits) && !of_carriers && !secret
}

fn status(request: &HookRequest<'_>, _: &RawConfig) -> Result<Handled, HookError> {
    let events = events::session(&Fields::read(request)?.whole());
    Ok(told(events.ok_or(HookError::Field("status"))?))
}

fn record(request: &HookRequest<'_>, config: &RawConfig) -> Result<Handled, HookError> {
    let events = events::record(&Fields::read(request)?, config);
    Ok(told(events.ok_or(HookError::Field("session"))?))
}

/// Our stream is gone: the audio gets another one while the call is wanted.
fn stream_ended(request: &HookRequest<'_>, _: &RawConfig) -> Result<Handled, HookError> {
    let fields = Fields::read(request)?;
    let call = fields.session(request)?;
    // That the call is up is no news.
    let told = events::of_document(&fields, call).into_iter();
    let over = told.filter(|event| matches!(event.what, CallFact::Ended(_)));
    Ok(until_over(call, over.collect()))
}

/// A blind transfer is over: done, or the caller is back and asks for the agent.
fn dial_ended(request: &HookRequest<'_>, _: &RawConfig) -> Result<Handled, HookError> {
    const OUTCOME: &str = "DialCallStatus";
    let fields = Fields::read(request)?;
    let call = fields.session(request)?;
    let word = fields.text(OUTCOME).ok_or(HookError::Field(OUTCOME))?;
    // Whoever answered was talked with, and that is over now.
    let state = match State::read(word, true).ok_or(HookError::Field(OUTCOME))? {
        State::Over(crate::event::HangupCause::Normal) | State::Answered => TransferState::Done,
        _ => TransferState::Failed,
    };
    let leg = ["DialSession", "DialCallSid"].iter().find_map(|name| fields.text(name));
    let of = TransferOf { id: request.transfer(), ..TransferOf::default() };
    let mut events = vec![events::transfer(call, leg.unwrap_or_default(), state, of)];
    let told = events::of_document(&fields, call);
    events.extend(told.into_iter().filter(|event| matches!(event.what, CallFact::Ended(_))));
    if state == TransferState::Done {
        let reply = answer::reply(answer::hangup());
        return Ok(Handled { meaning: Meaning::Events(events), reply });
    }
    Ok(until_over(call, events))
}

/// The session of an attended transfer's destination. The address names the call that is handed
/// over.
fn transfer_leg(request: &HookRequest<'_>, _: &RawConfig) -> Result<Handled, HookError> {
    let events = events::session(&Fields::read(request)?.whole());
    let events = events.ok_or(HookError::Field("status"))?.into_iter();
    let steps = events.filter_map(|event| {
        let state = match event.what {
            CallFact::Initiated => TransferState::Trying,
            CallFact::Answered => TransferState::Answered,
            CallFact::Ended(_) => TransferState::Failed,
            _ => return None,
        };
        let moved = moved(&event.call.0, state, consulted(request, &event.call.0));
        Some(CallEvent { at_unix_ms: event.at_unix_ms, ..moved })
    });
    Ok(told(steps.collect()))
}

/// Somebody came into the conference of a transfer, or left it.
fn joined(
    fields: &Fields,
    leg: &str,
    state: TransferState,
    of: TransferOf,
) -> Option<Vec<CallEvent>> {
    let what = fields.text("StatusCallbackEvent")?.to_ascii_lowercase();
    Some(if what.contains("join") { vec![moved(leg, state, of)] } else { Vec::new() })
}

fn moved(leg: &str, state: TransferState, of: TransferOf) -> CallEvent {
    events::transfer(leg, leg, state, of)
}

/// The transfer that has called this leg.
fn consulted(request: &HookRequest<'_>, leg: &str) -> TransferOf {
    let leg = Some(CarrierCallId(leg.to_owned()));
    TransferOf { id: request.transfer(), leg, cause: None }
}
