//! Webhooks: forms, each kind of them at an address of its own.
//!
//! | hook | what comes |
//! |---|---|
//! | `answer` | a call is offered, one that we placed was answered, or its stream ended |
//! | `status` | it rings, a machine answered, it ended, a leg of a blind transfer moved on |
//! | `stream` | the media stream began, ended, failed |
//! | `transfer` | a leg of a transfer asks where it goes; the address says which |
//! | `record` | a recording is there |

use http::Method;

use super::answer;
use super::calls::price;
use super::causes::End;
use super::verify::{self, SIGNATURE_MA_V3, SIGNATURE_V3};
use crate::address::Address;
use crate::config::RawConfig;
use crate::event::{
    AnsweredBy, CallEvent, CallFact, CarrierCallId, InboundCall, Meaning, Recording, TransferOf,
    TransferState,
};
use crate::form_hooks::{Fields, fact, fields, maybe, text, told};
use crate::hook::{Handled, Hook, HookError, HookRequest, Inbound};
use crate::secret::Pii;
use crate::steps::{self, Documents};

type Handle = fn(&HookRequest<'_>, &RawConfig) -> Result<Handled, HookError>;

const fn hook(name: &'static str, methods: &'static [Method], handle: Handle) -> Hook {
    Hook { name, methods, verify: verify::verify, explain: verify::explain, handle }
}

const POST: &[Method] = &[Method::POST];

pub(super) const HOOKS: &[Hook] = &[
    hook("answer", &[Method::POST, Method::GET], answered),
    hook("status", POST, status),
    hook("stream", POST, stream),
    hook("transfer", POST, transfer),
    hook("record", POST, record),
];

pub(super) const INBOUND: Inbound = Inbound {
    rank: 0,
    recognise: |request| {
        let signed = [SIGNATURE_V3, SIGNATURE_MA_V3];
        signed.iter().any(|name| request.headers.contains_key(*name))
            && fields(request).contains_key("CallUUID")
    },
    hook: "answer",
    account: |request| {
        let mut fields = fields(request);
        fields.remove("AuthID").or_else(|| fields.remove("ParentAuthID"))
    },
    parse: |request| offered(&fields(request)),
    answer: answer::take,
    refuse: answer::refuse,
};

/// The carrier's id of the call. What was placed is known by the id of its request, which is the
/// same in practice; no document promises it.
fn call(fields: &Fields) -> Result<CarrierCallId, HookError> {
    let (id, request) = (text(fields, "CallUUID"), text(fields, "RequestUUID"));
    let is_ours = maybe(fields, "Direction") == "outbound";
    let id = if is_ours { request.or(id) } else { id.or(request) };
    id.map(|id| CarrierCallId(id.to_owned())).map_err(|_| HookError::Field("CallUUID"))
}

/// Reads the fields of a request to this configuration's hooks: another account's are refused.
fn own(request: &HookRequest<'_>, config: &RawConfig) -> Result<Fields, HookError> {
    let fields = fields(request);
    let account = maybe(&fields, "ParentAuthID");
    let ours = [config.text("auth_id"), config.text("main_auth_id")];
    // A subaccount's webhooks name the main account, which need not be configured.
    let is_main = config.text("auth_id").is_some_and(|id| id.starts_with("MA"));
    let unknown = is_main || config.text("main_auth_id").is_some();
    if !account.is_empty() && unknown && !ours.contains(&Some(account)) {
        return Err(HookError::Field("ParentAuthID"));
    }
    Ok(fields)
}

fn offered(fields: &Fields) -> Result<InboundCall, HookError> {
    if maybe(fields, "Direction") != "inbound" {
        return Err(HookError::Field("Direction"));
    }
    let to = text(fields, "To")?;
    let header = |(name, value): (&String, &String)| {
        let known = ["CallerName", "ForwardedFrom", "STIRAttestation", "STIRVerification"];
        let kept = name.starts_with("X-PH-") || known.contains(&&**name);
        (kept && !value.is_empty()).then(|| (name.clone(), Pii::new(value)))
    };
    Ok(InboundCall {
        call: call(fields)?,
        from: Address::international(maybe(fields, "From")).ok().filter(|from| {
            !["anonymous", "restricted", "unknown", "unavailable"].contains(&from.expose())
        }),
        to: Address::international(to).map_err(|_| HookError::Field("To"))?,
        extra: fields.iter().filter_map(header).collect(),
    })
}

fn who(fields: &Fields) -> Option<CallFact> {
    match maybe(fields, "Machine") {
        "true" => Some(CallFact::AnsweredBy { who: AnsweredBy::MachineStart }),
        "false" => Some(CallFact::AnsweredBy { who: AnsweredBy::Human }),
        _ => None,
    }
}

fn answered(request: &HookRequest<'_>, config: &RawConfig) -> Result<Handled, HookError> {
    let fields = own(request, config)?;
    let call = call(&fields)?;
    let event = maybe(&fields, "Event");
    let meaning = match (event, maybe(&fields, "Direction")) {
        // Without an address of its own the end comes here.
        ("Hangup", _) => return Ok(told(ended(&fields, call))),
        // The stream is over and the call is not.
        ("Redirect", _) => Meaning::Asked { call, events: Vec::new() },
        ("StartApp" | "", "inbound") => Meaning::Offered(offered(&fields)?),
        ("StartApp" | "", "outbound") => {
            let mut events = vec![fact(call.clone(), "StartApp", CallFact::Answered)];
            events.extend(who(&fields).map(|who| fact(call.clone(), "Machine", who)));
            Meaning::Asked { call, events }
        }
        _ => return Err(HookError::Field("Direction")),
    };
    Ok(Handled { meaning, reply: answer::hangup() })
}

fn end(fields: &Fields) -> End<'_> {
    End {
        status: maybe(fields, "CallStatus"),
        code: maybe(fields, "HangupCauseCode").parse().ok(),
        name: maybe(fields, "HangupCauseName"),
        source: maybe(fields, "HangupSource"),
        duration_s: maybe(fields, "Duration").parse().ok(),
    }
}

fn ended(fields: &Fields, call: CarrierCallId) -> Vec<CallEvent> {
    let end = end(fields);
    let cost = text(fields, "TotalCost").ok().map(price).map(CallFact::Priced);
    let mut events = vec![fact(call.clone(), "Hangup", CallFact::Ended(end.ended()))];
    events.extend(cost.map(|cost| fact(call, "TotalCost", cost)));
    events
}

fn status(request: &HookRequest<'_>, config: &RawConfig) -> Result<Handled, HookError> {
    let fields = own(request, config)?;
    let call = call(&fields)?;
    let event = text(&fields, "Event")?;
    let transfer = |state| {
        let of = TransferOf { id: request.transfer(), ..TransferOf::default() };
        CallFact::Transfer { state, of }
    };
    // Legs of a `Dial` are told with an action.
    let what = match (event, maybe(&fields, "DialAction")) {
        ("Ring", _) => Some(CallFact::Ringing),
        ("Hangup", _) => return Ok(told(ended(&fields, call))),
        ("MachineDetection", _) => who(&fields),
        (_, "answer") => Some(transfer(TransferState::Answered)),
        (_, "connected") => Some(transfer(TransferState::Done)),
        _ => None,
    };
    let id = format!("{event}:{}", maybe(&fields, "DialAction"));
    Ok(told(what.into_iter().map(|what| fact(call.clone(), &id, what)).collect()))
}

fn stream(request: &HookRequest<'_>, config: &RawConfig) -> Result<Handled, HookError> {
    let fields = own(request, config)?;
    let (call, event) = (call(&fields)?, text(&fields, "Event")?.to_ascii_lowercase());
    // What a stream does says nothing about the call.
    let what = match &*event {
        "startstream" | "started" => Some(CallFact::StreamStarted),
        "stopstream" | "stopped" => Some(CallFact::StreamStopped),
        "droppedstream" | "failed" => {
            let code = text(&fields, "Error").or_else(|_| text(&fields, "StatusReason"));
            Some(CallFact::StreamFailed { code: code.ok().map(str::to_owned) })
        }
        _ => None,
    };
    let id = format!("{}:{event}", maybe(&fields, "StreamID"));
    Ok(told(what.into_iter().map(|what| fact(call.clone(), &id, what)).collect()))
}

static DOCUMENTS: Documents = Documents {
    dial: answer::dial,
    room: answer::conference,
    hangup: answer::hangup,
    cause: |fields| end(fields).ended().cause,
};

fn transfer(request: &HookRequest<'_>, config: &RawConfig) -> Result<Handled, HookError> {
    let fields = own(request, config)?;
    // A leg that asks names itself.
    call(&fields)?;
    steps::handle(request, &fields, &DOCUMENTS)
}

fn record(request: &HookRequest<'_>, config: &RawConfig) -> Result<Handled, HookError> {
    let fields = own(request, config)?;
    let call = call(&fields)?;
    let id = text(&fields, "RecordingID")?;
    let duration_ms = maybe(&fields, "RecordingDurationMs").parse().ok().or_else(|| {
        let seconds: u64 = maybe(&fields, "RecordingDuration").parse().ok()?;
        seconds.checked_mul(1000)
    });
    let recording = Recording {
        id: id.to_owned(),
        url: text(&fields, "RecordUrl").ok().map(str::to_owned),
        duration_ms,
    };
    Ok(told(vec![fact(call, &format!("record:{id}"), CallFact::Recorded(recording))]))
}
