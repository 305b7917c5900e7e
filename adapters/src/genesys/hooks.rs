//! The one place where Genesys connects. The body of the request is the first message on the
//! socket that it opens: with that it says as much as a carrier's webhook does.

use http::Method;
use serde_json::{Map, Value};

use super::message::{Envelope, Open, VERSION, With, is_probe, is_uuid, read};
use super::verify::{self, ORGANISATION, SESSION};
use crate::address::Address;
use crate::config::RawConfig;
use crate::event::{CarrierCallId, InboundCall, Meaning};
use crate::hook::{Handled, Hook, HookError, HookReply, HookRequest, Inbound};
use crate::secret::Pii;

/// Variables that a call brings at most, the first of each kind.
const VARIABLES_MAX: usize = 32;
/// Longest name of a variable, and longest value, in bytes.
const NAME_BYTES_MAX: usize = 64;
const VALUE_BYTES_MAX: usize = 1_024;

pub(super) const HOOKS: &[Hook] = &[Hook {
    name: "audio",
    methods: &[Method::GET],
    verify: verify::verify,
    explain: verify::explain,
    handle,
}];

pub(super) const INBOUND: Inbound = Inbound {
    rank: 0,
    recognise: |request| {
        request.headers.contains_key(ORGANISATION) && request.headers.contains_key(SESSION)
    },
    hook: "audio",
    account: |request| request.header(ORGANISATION).map(str::to_ascii_lowercase),
    parse: |request| offered(request, &first(request)?, None),
    // Both are said on the socket.
    answer: |_, _| Ok(HookReply::NO_CONTENT),
    refuse: |_, _| HookReply::NO_CONTENT,
};

fn handle(request: &HookRequest<'_>, config: &RawConfig) -> Result<Handled, HookError> {
    let open = first(request)?;
    let meaning = if is_probe(&open.conversation_id) {
        Meaning::Events(Vec::new())
    } else {
        Meaning::Offered(offered(request, &open, config.text("to"))?)
    };
    Ok(Handled { meaning, reply: HookReply::NO_CONTENT })
}

/// The first message, which must be of the session and the organisation that were proven.
fn first<'r>(request: &HookRequest<'r>) -> Result<Open<'r>, HookError> {
    let json = |_| HookError::Body("a message that opens a session");
    let envelope: Envelope<'_> = read(request.body).map_err(json)?;
    let session = request.header(SESSION).ok_or(HookError::Field("id"))?;
    if envelope.kind != "open" || !envelope.id.eq_ignore_ascii_case(session) {
        return Err(HookError::Field("id"));
    }
    if envelope.version != VERSION || (envelope.seq, envelope.serverseq) != (1, 0) {
        return Err(HookError::Field("seq"));
    }
    let With { parameters: open } = read::<With<Open<'r>>>(request.body).map_err(json)?;
    let organisation = request.header(ORGANISATION).ok_or(HookError::Field("organizationId"))?;
    if !open.organization_id.eq_ignore_ascii_case(organisation) {
        return Err(HookError::Field("organizationId"));
    }
    if is_uuid(&open.conversation_id) { Ok(open) } else { Err(HookError::Field("conversationId")) }
}

fn offered(
    request: &HookRequest<'_>,
    open: &Open<'_>,
    otherwise: Option<&str>,
) -> Result<InboundCall, HookError> {
    let session = request.header(SESSION).ok_or(HookError::Field("id"))?;
    let party = &open.participant;
    let address = |text: Option<&str>| Address::international(text?).ok();
    let to = address(party.dnis.as_deref()).or_else(|| address(otherwise));
    let mut extra = vec![("conversation_id".to_owned(), Pii::new(&*open.conversation_id))];
    let told = [
        ("participant_id", &party.id),
        ("ani_name", &party.ani_name),
        ("language", &open.language),
    ];
    for (name, value) in told {
        let value = value.as_deref().filter(|value| !value.is_empty());
        extra.extend(value.and_then(|value| variable(name.to_owned(), value)));
    }
    variables("input_", open.input_variables.as_ref(), &mut extra);
    variables("config_", open.custom_config.as_ref(), &mut extra);
    Ok(InboundCall {
        call: CarrierCallId(session.to_ascii_lowercase()),
        from: address(party.ani.as_deref()),
        to: to.ok_or(HookError::Field("dnis"))?,
        extra,
    })
}

fn variable(name: String, value: &str) -> Option<(String, Pii)> {
    let fits = name.len() <= NAME_BYTES_MAX && value.len() <= VALUE_BYTES_MAX;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let shown = name.bytes().all(plain) && !value.chars().any(char::is_control);
    (fits && shown).then(|| (name, Pii::new(value)))
}

/// What is plain of a map, by names with a prefix, so that none takes the place of another.
fn variables(prefix: &str, map: Option<&Map<String, Value>>, extra: &mut Vec<(String, Pii)>) {
    let named = map.into_iter().flatten().filter_map(|(name, value)| {
        let name = format!("{prefix}{name}");
        match value {
            Value::String(text) => variable(name, text),
            Value::Number(_) | Value::Bool(_) => variable(name, &value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    });
    extra.extend(named.take(VARIABLES_MAX));
}
