//! Answers to the applet's question where the audio of a call goes: an object with the address. No
//! address means that the flow goes on behind the applet.

use http::StatusCode;
use serde_json::json;

use super::fields;
use crate::config::RawConfig;
use crate::hook::{HookError, HookReply, Take};
use crate::op::Refusal;

const JSON: &str = "application/json";

/// Sends the audio to us.
#[expect(clippy::unnecessary_wraps, reason = "the form of all carriers' answers")]
pub(super) fn take(config: &RawConfig, take: &Take) -> Result<HookReply, HookError> {
    let url = fields::stream_url(config, &take.stream_url);
    Ok(HookReply::document(JSON, json!({ "url": url }).to_string()))
}

/// Sends it nowhere. The call has been answered by the flow.
pub(super) fn refuse(_: &RawConfig, refusal: Refusal) -> HookReply {
    let (status, word) = match refusal {
        Refusal::NotFound => (StatusCode::NOT_FOUND, "nobody has that number"),
        Refusal::Busy => (StatusCode::FORBIDDEN, "busy"),
        Refusal::Rejected => (StatusCode::FORBIDDEN, "rejected"),
        Refusal::Unavailable => (StatusCode::FORBIDDEN, "unavailable"),
    };
    HookReply { status, ..HookReply::document(JSON, json!({ "error": word }).to_string()) }
}
