//! The places where requests arrive, and what they mean.

use http::Method;

use super::events::{self, Fields};
use super::{answer, verify};
use crate::address::Address;
use crate::config::RawConfig;
use crate::event::{
    CallEvent, CallFact, CarrierCallId, InboundCall, Meaning, TransferOf, TransferState,
};
use crate::hook::{Handled, Hook, HookError, HookReply, HookRequest, Inbound};
use crate::pairs::pairs;
use crate::secret::Pii;

/// Most bytes of what a carrier adds to an offered call, value by value.
const EXTRA_BYTES_MAX: usize = 512;
/// Most things that a carrier adds.
const EXTRA_MAX: usize = 32;

/// Names of the hooks, as other parts of the adapter put them into requests.
pub(super) const VOICE: &str = "voice";
pub(super) const FALLBACK: &str = "fallback";
pub(super) const STATUS: &str = "status";
pub(super) const AMD: &str = "amd";
pub(super) const STREAM: &str = "stream";
pub(super) const STREAM_ENDED: &str = "stream-ended";
pub(super) const DIAL_ENDED: &str = "dial-ended";
pub(super) const REFER_ENDED: &str = "refer-ended";
pub(super) const TRANSFER_LEG: &str = "transfer-leg";
pub(super) const RECORDING: &str = "recording";

/// Field of the query of [`TRANSFER_LEG`]: the call that is being handed over.
pub(super) const TRANSFERRED: &str = "transferred";

pub(super) const HOOKS: &[Hook] = &[
    hook(VOICE, voice),
    hook(FALLBACK, voice),
    hook(STATUS, |request, _| facts(request, |fields, _| events::state(fields))),
    hook(AMD, |request, _| facts(request, |fields, _| Some(vec![events::answered_by(fields)?]))),
    hook(STREAM, |request, _| facts(request, |fields, _| Some(vec![events::stream(fields)?]))),
    hook(STREAM_ENDED, stream_ended),
    hook(DIAL_ENDED, |request, config| handed_over(request, config, "DialCallStatus")),
    hook(REFER_ENDED, |request, config| handed_over(request, config, "ReferCallStatus")),
    hook(TRANSFER_LEG, |request, _| facts(request, transfer_leg)),
    hook(RECORDING, |request, _| facts(request, recording)),
];

type Handle = fn(&HookRequest<'_>, &RawConfig) -> Result<Handled, HookError>;

const fn hook(name: &'static str, handle: Handle) -> Hook {
    let methods = &[Method::POST, Method::GET];
    Hook { name, methods, verify: verify::verify, explain: verify::explain, handle }
}

pub(super) const INBOUND: Inbound = Inbound {
    // Others have copied its words.
    rank: 100,
    recognise: |request| {
        let header = |name: &str| request.headers.contains_key(name);
        let agent = request.header("user-agent").unwrap_or_default();
        header("x-twilio-signature")
            || header("i-twilio-idempotency-token")
            || agent.starts_with("TwilioProxy/")
            || fields(request).is_ok_and(|fields| {
                let account = fields.get("AccountSid").unwrap_or_default();
                let call = fields.get("CallSid").is_some() && fields.get("ApiVersion").is_some();
                call && super::fields::is_sid(account, "AC")
            })
    },
    hook: VOICE,
    account: |request| fields(request).ok()?.get("AccountSid").map(str::to_owned),
    parse: |request| offered(&fields(request)?),
    answer: |_, take| Ok(answer::reply(answer::connect(take))),
    refuse: |config, refusal| answer::reply(answer::refuse(config, refusal)),
};

/// The fields of a request: of the body, or of the query if there can be no body.
fn fields(request: &HookRequest<'_>) -> Result<Fields, HookError> {
    let text = if request.method == Method::GET {
        request.query().unwrap_or_default()
    } else {
        str::from_utf8(request.body).map_err(|_| HookError::Body("a form"))?
    };
    Ok(Fields::new(pairs(text)))
}

fn call_sid(fields: &Fields) -> Result<&str, HookError> {
    fields.get("CallSid").ok_or(HookError::Field("CallSid"))
}

/// A request that tells facts and is answered by nothing.
fn facts(
    request: &HookRequest<'_>,
    read: impl FnOnce(&Fields, &HookRequest<'_>) -> Option<Vec<CallEvent>>,
) -> Result<Handled, HookError> {
    let fields = fields(request)?;
    call_sid(&fields)?;
    let events = read(&fields, request).ok_or(HookError::Unknown)?;
    Ok(Handled { meaning: Meaning::Events(events), reply: HookReply::NO_CONTENT })
}

/// A call is offered, or one that we placed was answered and has no document yet.
fn voice(request: &HookRequest<'_>, config: &RawConfig) -> Result<Handled, HookError> {
    let fields = fields(request)?;
    of_account(&fields, config)?;
    if !fields.get("Direction").is_some_and(|direction| direction.starts_with("outbound")) {
        let meaning = Meaning::Offered(offered(&fields)?);
        return Ok(Handled { meaning, reply: HookReply::NO_CONTENT });
    }
    let call = CarrierCallId(call_sid(&fields)?.to_owned());
    let events = events::state(&fields).ok_or(HookError::Field("CallStatus"))?;
    Ok(asked(call, events))
}

/// The account's own token signed it; still it must be about the account, not one beneath it.
fn of_account(fields: &Fields, config: &RawConfig) -> Result<(), HookError> {
    match (fields.get("AccountSid"), config.text("account_sid")) {
        (Some(told), Some(own)) if told != own => Err(HookError::Field("AccountSid")),
        _ => Ok(()),
    }
}

fn asked(call: CarrierCallId, events: Vec<CallEvent>) -> Handled {
    let reply = answer::reply(answer::hangup());
    Handled { meaning: Meaning::Asked { call, events }, reply }
}

fn offered(fields: &Fields) -> Result<InboundCall, HookError> {
    let to = fields.get("To").or_else(|| fields.get("Called")).ok_or(HookError::Field("To"))?;
    Ok(InboundCall {
        call: CarrierCallId(call_sid(fields)?.to_owned()),
        from: fields.get("From").or_else(|| fields.get("Caller")).and_then(caller),
        to: Address::parse(to, None).map_err(|_| HookError::Field("To"))?,
        extra: extra(fields),
    })
}

/// A withheld number comes as a word, or as what a keypad makes of one.
const WITHHELD: &[&str] =
    &["+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253", "+464"];

/// Digits of a number that comes without its `+`, as some networks behind leave it.
const BARE_DIGITS: std::ops::RangeInclusive<usize> = 8..=15;

fn caller(text: &str) -> Option<Address> {
    let bare = BARE_DIGITS.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let text = if bare { format!("+{text}") } else { text.to_owned() };
    let dialable = text.starts_with('+') || text.to_ascii_lowercase().starts_with("sip");
    if !dialable || WITHHELD.contains(&&*text) {
        return None;
    }
    let address = Address::parse(&text, None).ok()?;
    let anonymous = address.expose().starts_with("sip:anonymous@");
    (!anonymous).then_some(address)
}

/// What is worth knowing besides: SIP headers by their own names, and what the network says.
fn extra(fields: &Fields) -> Vec<(String, Pii)> {
    const KEPT: &[&str] = &[
        "CallerName",
        "ForwardedFrom",
        "StirVerstat",
        "FromCountry",
        "ToCountry",
        "SipCallId",
        "SipDomain",
        "ErrorCode",
        "ErrorUrl",
    ];
    let named = |name: &str| match name.strip_prefix("SipHeader_") {
        Some(header) if !header.is_empty() => Some(header.to_owned()),
        Some(_) => None,
        None => KEPT.contains(&name).then(|| name.to_owned()),
    };
    let kept = fields.iter().filter(|(_, value)| (1..=EXTRA_BYTES_MAX).contains(&value.len()));
    kept.filter_map(|(name, value)| Some((named(name)?, Pii::new(value)))).take(EXTRA_MAX).collect()
}

/// Our stream is gone: the audio gets another one while the call is wanted.
fn stream_ended(request: &HookRequest<'_>, _: &RawConfig) -> Result<Handled, HookError> {
    let fields = fields(request)?;
    let call = CarrierCallId(call_sid(&fields)?.to_owned());
    let events = events::state(&fields).ok_or(HookError::Field("CallStatus"))?;
    Ok(until_over(call, events))
}

/// Asks for audio, unless the facts say that the call is over.
fn until_over(call: CarrierCallId, events: Vec<CallEvent>) -> Handled {
    let over = events.iter().any(|event| matches!(event.what, CallFact::Ended(_)));
    if over {
        let reply = answer::reply(answer::nothing());
        return Handled { meaning: Meaning::Events(events), reply };
    }
    // That the call is up is no news, and the stream is told of elsewhere.
    let events = events
        .into_iter()
        .filter(|event| !matches!(event.what, CallFact::Answered | CallFact::Ringing))
        .collect();
    asked(call, events)
}

/// What became of handing a call over: done, or the caller is back and asks for the agent.
fn handed_over(
    request: &HookRequest<'_>,
    _: &RawConfig,
    outcome: &'static str,
) -> Result<Handled, HookError> {
    let fields = fields(request)?;
    let call = CarrierCallId(call_sid(&fields)?.to_owned());
    let done = match fields.get(outcome).ok_or(HookError::Field(outcome))? {
        "completed" | "answered" => true,
        "busy" | "no-answer" | "failed" | "canceled" => false,
        _ => return Err(HookError::Field(outcome)),
    };
    let mut events = events::state(&fields).ok_or(HookError::Field("CallStatus"))?;
    let state = if done { TransferState::Done } else { TransferState::Failed };
    let of = TransferOf { id: request.transfer(), ..TransferOf::default() };
    events.insert(0, events::transfer(&fields, &call.0, state, of));
    if done {
        let reply = answer::reply(answer::hangup());
        events.retain(|event| !matches!(event.what, CallFact::Answered | CallFact::Ringing));
        return Ok(Handled { meaning: Meaning::Events(events), reply });
    }
    Ok(until_over(call, events))
}

/// The leg to the destination of a transfer. A leg of ours names the call that is handed over in
/// the address, one of a `<Dial>` as its parent.
fn transfer_leg(fields: &Fields, request: &HookRequest<'_>) -> Option<Vec<CallEvent>> {
    let query = request.query().unwrap_or_default();
    let ours = pairs(query).find(|(name, _)| name == TRANSFERRED).map(|(_, call)| call);
    let dialled = ours.is_none();
    let call = ours.or_else(|| fields.get("ParentCallSid").map(str::to_owned))?;
    let state = match fields.get("CallStatus")? {
        "queued" | "initiated" => TransferState::Trying,
        "ringing" => return Some(Vec::new()),
        "in-progress" | "answered" => TransferState::Answered,
        // The end of a `<Dial>` is told to its action.
        "completed" | "busy" | "no-answer" | "failed" | "canceled" if dialled => {
            return Some(Vec::new());
        }
        "completed" | "busy" | "no-answer" | "failed" | "canceled" => TransferState::Failed,
        _ => return None,
    };
    // Whoever a `<Dial>` called is the caller's business.
    let leg = fields.get("CallSid").filter(|_| !dialled);
    let leg = leg.map(|leg| CarrierCallId(leg.to_owned()));
    let of = TransferOf { id: request.transfer(), leg, cause: None };
    Some(vec![events::transfer(fields, &call, state, of)])
}

fn recording(fields: &Fields, _: &HookRequest<'_>) -> Option<Vec<CallEvent>> {
    match fields.get("RecordingStatus")? {
        "completed" => Some(vec![events::recorded(fields)?]),
        "in-progress" | "absent" | "failed" | "stopped" | "paused" => Some(Vec::new()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::caller;

    /// Callers who can be called back have an address, with or without the `+` in front; words, and
    /// what a keypad makes of them, are nobody's.
    #[test]
    fn callers() {
        for (text, address) in [
            ("+15557654321", Some("+15557654321")),
            ("15557654321", Some("+15557654321")),
            ("sip:alice@Example.com", Some("sip:alice@example.com")),
            ("+266696687", None),
            ("266696687", None),
            ("anonymous", None),
            ("sip:anonymous@anonymous.invalid", None),
            ("client:bob", None),
            ("911", None),
            ("1234567890123456", None),
            ("", None),
        ] {
            let found = caller(text).map(|address| address.expose().to_owned());
            assert_eq!(found.as_deref(), address, "{text}");
        }
    }
}
