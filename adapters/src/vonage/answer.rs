//! Call control documents (NCCO): JSON arrays of actions. The call ends when they run out; there is
//! no action that hangs up.

use serde_json::{Value, json};

use super::{fields, verify};
use crate::address::{Address, AddressKind};
use crate::config::RawConfig;
use crate::exchange::CarrierError;
use crate::hook::{HookError, HookReply, HookUrls, Take};
use crate::op::Refusal;

/// Least and most seconds of ringing.
const RING_S: (u32, u32) = (1, 120);
/// Most characters of a text that is spoken.
const TALK_CHARS_MAX: usize = 1500;

/// A document that says nothing: the call ends.
const END: &str = "[]";

fn document(actions: &Value) -> HookReply {
    HookReply::document("application/json", actions.to_string())
}

/// A reply that ends the call without a word.
pub(super) fn end() -> HookReply {
    HookReply::document("application/json", END)
}

/// The actions that send a call's audio to us.
///
/// The events of the stream's leg go to a hook of their own, which Vonage asks what is next when
/// the stream cannot be opened or is lost: the only way to get it back.
pub(super) fn stream(config: &RawConfig, stream_url: &str, hooks: &HookUrls) -> Value {
    let rate = fields::rate_hz(config);
    let mut endpoint = json!({
        "type": "websocket",
        "uri": stream_url,
        "content-type": format!("audio/l16;rate={rate}"),
        "headers": {},
    });
    let authorization = match verify::own_authorization(config) {
        Some(own) => Some(json!({"type": "custom", "value": own.expose()})),
        None => verify::signs_socket(config).then(|| json!({"type": "vonage"})),
    };
    if let (Some(authorization), Some(endpoint)) = (authorization, endpoint.as_object_mut()) {
        endpoint.insert("authorization".to_owned(), authorization);
    }
    let connect = json!({
        "action": "connect",
        "eventType": "synchronous",
        "eventUrl": [hooks.url("stream")],
        "eventMethod": "POST",
        "endpoint": [endpoint],
    });
    if !config.flag("record") {
        return json!([connect]);
    }
    let record = json!({
        "action": "record",
        "format": "wav",
        "split": "conversation",
        "channels": 2,
        "eventUrl": [hooks.url("events")],
        "eventMethod": "POST",
    });
    json!([record, connect])
}

/// Takes a call.
pub(super) fn take(config: &RawConfig, take: &Take) -> Result<HookReply, HookError> {
    Ok(document(&stream(config, &take.stream_url, &take.hooks)))
}

/// Refuses a call: it ends, with a word to the caller if there is one.
pub(super) fn refuse(config: &RawConfig, _: Refusal) -> HookReply {
    let Some(text) = config.text("refusal_text") else { return end() };
    let text: String = text.chars().take(TALK_CHARS_MAX).collect();
    let mut talk = json!({"action": "talk", "text": text});
    // What is not said is left to Vonage: it has a language, and a voice for each.
    if let Some(language) = config.text("refusal_language") {
        talk["language"] = language.into();
    }
    if let Some(style) = config.number::<u32>("refusal_style") {
        talk["style"] = style.into();
    }
    if config.flag("refusal_premium") {
        talk["premium"] = true.into();
    }
    document(&json!([talk]))
}

/// The actions that connect a call to somebody else.
pub(super) fn connect(
    to: &Address,
    from: Option<&Address>,
    ring_timeout_s: u32,
    event_url: &str,
) -> Result<Value, CarrierError> {
    let mut action = json!({
        "action": "connect",
        // Asked what is next if nobody answers, we can take the call back.
        "eventType": "synchronous",
        "eventUrl": [event_url],
        "eventMethod": "POST",
        "timeout": ring_s(ring_timeout_s),
        "endpoint": [party(to)?],
    });
    if let Some(action) = action.as_object_mut() {
        // Without a caller that is a number of the account the destination may refuse.
        let (name, value) = match from {
            Some(from) => ("from", json!(wire(from))),
            None => ("randomFromNumber", json!(true)),
        };
        action.insert(name.to_owned(), value);
    }
    Ok(json!([action]))
}

/// The actions that put a call into a room where another meets it. Whoever leaves takes the room
/// along, so that nobody stays there alone.
pub(super) fn room(name: &str) -> Value {
    json!([{
        "action": "conversation",
        "name": name,
        "startOnEnter": true,
        "endOnExit": true,
    }])
}

/// Seconds of ringing that Vonage takes.
pub(super) fn ring_s(wanted_s: u32) -> u32 {
    wanted_s.clamp(RING_S.0, RING_S.1)
}

/// A party as an endpoint.
pub(super) fn party(address: &Address) -> Result<Value, CarrierError> {
    match address.kind() {
        AddressKind::Pstn => Ok(json!({"type": "phone", "number": wire(address)})),
        AddressKind::SipUri => Ok(json!({"type": "sip", "uri": address.expose()})),
        AddressKind::SipExtension => Err(CarrierError::Destination(None)),
    }
}

/// The calling side of a call that is placed.
pub(super) fn caller(address: &Address) -> Result<Value, CarrierError> {
    party(address).map_err(|_| CarrierError::CallerId(None))
}

/// An address as Vonage writes it: telephone numbers without `+`.
pub(super) fn wire(address: &Address) -> &str {
    address.digits().unwrap_or_else(|| address.expose())
}
