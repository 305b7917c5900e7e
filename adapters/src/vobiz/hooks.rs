//! Webhooks: forms, each kind of them at an address of its own.
//!
//! The end of a call may come to any of them: it goes where no address of its own is known.
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
use super::causes::End;
use super::fields::number;
use super::verify::{self, V2, V3};
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
        let signed = V3.iter().chain(&V2).any(|name| request.headers.contains_key(*name));
        let agent = request.header("user-agent").unwrap_or_default();
        // Another product of the carrier's calls itself so too.
        let named = agent.starts_with("Vobiz") && !agent.starts_with("Vobiz-Vapor");
        (signed || named) && fields(request).contains_key("CallUUID")
    },
    hook: "answer",
    account: |request| {
        let mut fields = fields(request);
        fields.remove("ParentAuthID").or_else(|| fields.remove("auth_id"))
    },
    parse: |request| offered(&fields(request), &RawConfig::default()),
    answer: answer::take,
    refuse: answer::refuse,
};

/// The carrier's id of the call. What was placed is known by the id of its request, which is the
/// same in practice.
fn call(fields: &Fields) -> Result<CarrierCallId, HookError> {
    let id = text(fields, "CallUUID").or_else(|_| text(fields, "RequestUUID"));
    id.map(|id| CarrierCallId(id.to_owned())).map_err(|_| HookError::Field("CallUUID"))
}

/// Reads the fields of a request to this configuration's hooks: they name its account, if it says
/// which that is. Nothing of them is signed.
fn own(request: &HookRequest<'_>, config: &RawConfig) -> Result<Fields, HookError> {
    let fields = fields(request);
    let account = text(&fields, "ParentAuthID").or_else(|_| text(&fields, "auth_id"));
    match (account, config.text("auth_id")) {
        (Ok(told), Some(ours)) if told == ours => Ok(fields),
        (_, Some(_)) => Err(HookError::Field("ParentAuthID")),
        (_, None) => Ok(fields),
    }
}

fn offered(fields: &Fields, config: &RawConfig) -> Result<InboundCall, HookError> {
    if maybe(fields, "Direction") != "inbound" {
        return Err(HookError::Field("Direction"));
    }
    let to = text(fields, "To")?;
    let extra = |(name, value): (&String, &String)| {
        let known = ["CallerName", "STIRAttestation", "STIRVerification"];
        let kept = name.starts_with("X-VH-") || known.contains(&&**name);
        let told = !value.is_empty() && value != "Not Applicable";
        (kept && told).then(|| (name.clone(), Pii::new(value)))
    };
    Ok(InboundCall {
        call: call(fields)?,
        from: number(config, maybe(fields, "From")).ok().filter(|from| {
            !["anonymous", "restricted", "unknown", "unavailable"].contains(&from.expose())
        }),
        to: number(config, to).map_err(|_| HookError::Field("To"))?,
        extra: fields.iter().filter_map(extra).collect(),
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
        ("StartApp" | "", "inbound") => Meaning::Offered(offered(&fields, config)?),
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
    let duration_s = maybe(fields, "Duration").parse().ok();
    End {
        status: maybe(fields, "CallStatus"),
        answered: !maybe(fields, "AnswerTime").is_empty() || duration_s.is_some_and(|s| s > 0),
        word: maybe(fields, "HangupCause"),
        code: maybe(fields, "HangupCauseCode").parse().ok(),
        name: maybe(fields, "HangupCauseName"),
        source: maybe(fields, "HangupSource"),
        duration_s,
    }
}

fn ended(fields: &Fields, call: CarrierCallId) -> Vec<CallEvent> {
    // The cost that it tells is always zero.
    vec![fact(call, "Hangup", CallFact::Ended(end(fields).ended()))]
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
        ("CallInitiated", _) => Some(CallFact::Initiated),
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
    if event == "hangup" {
        return Ok(told(ended(&fields, call)));
    }
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
