//! Requests of the carrier.
//!
//! | hook | what comes |
//! |---|---|
//! | `voice` | a flow has come to the Voicebot applet, which asks where the audio goes |
//! | `status` | a call that we placed rings, was answered, is over |

use http::Method;

use super::answer;
use super::causes;
use super::fields::number;
use super::request::read;
use super::verify;
use crate::config::RawConfig;
use crate::event::{CallFact, CarrierCallId, InboundCall, Meaning, Recording};
use crate::form_hooks::{Fields, fact, fields, maybe, text, told};
use crate::hook::{Handled, Hook, HookError, HookReply, HookRequest, Inbound};
use crate::secret::Pii;

pub(super) const STATUS: &str = "status";

/// What people write into the address of the hook, so that the shared one knows the account.
const ACCOUNT: &str = "account_sid";
/// Parameters of the carrier's own that begin with a small letter, as people's do.
const OWN: &[&str] = &["flow_id", "tenant_id", "digits", "sample-rate", ACCOUNT];
/// Most parameters that the carrier passes on of those that people write.
const PARAMETERS_MAX: usize = 3;

pub(super) const HOOKS: &[Hook] = &[
    Hook {
        name: "voice",
        methods: &[Method::GET, Method::POST],
        verify: verify::verify,
        explain: verify::explain,
        handle: asked,
    },
    Hook {
        name: STATUS,
        methods: &[Method::POST],
        verify: verify::verify,
        explain: verify::explain,
        handle: status,
    },
];

pub(super) const INBOUND: Inbound = Inbound {
    rank: 1,
    // Others that name a call so say `From` and `To`, and not these.
    recognise: |request| {
        let fields = fields(request);
        ["CallSid", "CallFrom", "CallTo"].iter().all(|name| fields.contains_key(*name))
    },
    hook: "voice",
    account: |request| read(request).ok()?.remove(ACCOUNT),
    parse: |request| offered(&read(request)?, &RawConfig::default()),
    answer: answer::take,
    refuse: answer::refuse,
};

fn call(fields: &Fields) -> Result<CarrierCallId, HookError> {
    text(fields, "CallSid").map(|id| CarrierCallId(id.to_owned()))
}

/// A call at the applet, whichever way it came to the flow.
fn offered(fields: &Fields, config: &RawConfig) -> Result<InboundCall, HookError> {
    let to = text(fields, "CallTo").or_else(|_| text(fields, "To"));
    let to = to.map_err(|_| HookError::Field("CallTo"))?;
    let from = text(fields, "CallFrom").unwrap_or(maybe(fields, "From"));
    let own = |name: &String| {
        name.starts_with(|c: char| c.is_ascii_lowercase()) && !OWN.contains(&name.as_str())
    };
    let extra = fields.iter().filter(|(name, _)| own(name)).take(PARAMETERS_MAX);
    Ok(InboundCall {
        call: call(fields)?,
        from: number(config, from).ok().filter(|from| {
            !["anonymous", "restricted", "unknown", "unavailable"].contains(&from.expose())
        }),
        to: number(config, to).map_err(|_| HookError::Field("CallTo"))?,
        extra: extra.map(|(name, value)| (name.clone(), Pii::new(value))).collect(),
    })
}

fn asked(request: &HookRequest<'_>, config: &RawConfig) -> Result<Handled, HookError> {
    let fields = read(request)?;
    let named = fields.get(ACCOUNT);
    if named.is_some_and(|named| Some(named.as_str()) != config.text(ACCOUNT)) {
        return Err(HookError::Field(ACCOUNT));
    }
    let meaning = Meaning::Offered(offered(&fields, config)?);
    Ok(Handled { meaning, reply: HookReply::NO_CONTENT })
}

fn status(request: &HookRequest<'_>, _: &RawConfig) -> Result<Handled, HookError> {
    let fields = read(request)?;
    let call = call(&fields)?;
    let (event, status) = (maybe(&fields, "EventType"), maybe(&fields, "Status"));
    if event.is_empty() && status.is_empty() {
        return Err(HookError::Field("Status"));
    }
    // What comes at the end tells how it was, whatever it calls itself.
    let seconds = text(&fields, "ConversationDuration").or_else(|_| text(&fields, "Duration"));
    let seconds = seconds.ok().and_then(|seconds| seconds.parse().ok());
    let what = match event {
        "ringing" | "answered" => causes::fact(event, None),
        _ => causes::fact(status, seconds),
    };
    let mut events = Vec::new();
    if let (Some(CallFact::Ended(_)), Ok(url)) = (&what, text(&fields, "RecordingUrl"))
        && url.starts_with("http")
    {
        let (id, duration_ms) = (url.to_owned(), None);
        let recording = Recording { id, url: Some(url.to_owned()), duration_ms };
        events.push(fact(call.clone(), "recording", CallFact::Recorded(recording)));
    }
    let id = match &what {
        // However often and in whichever form it is told, it is over once.
        Some(CallFact::Ended(_)) => "ended",
        _ if event.is_empty() => status,
        _ => event,
    };
    events.extend(what.map(|what| fact(call, id, what)));
    Ok(told(events))
}
