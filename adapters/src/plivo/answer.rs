//! Answers to the carrier's questions: documents that say what becomes of a call.

use crate::address::AddressKind;
use crate::config::RawConfig;
use crate::hook::{HookError, HookReply, Take};
use crate::markup::Markup;
use crate::op::Refusal;
use crate::steps::Dial;

use super::fields;

const XML: &str = "application/xml";

fn reply(document: Markup) -> HookReply {
    HookReply::document(XML, document.finish())
}

/// Sends the audio to us; if the stream ends before the call does, the carrier asks again.
pub(super) fn take(config: &RawConfig, take: &Take) -> Result<HookReply, HookError> {
    let audio = fields::audio(config);
    let content = format!("{};rate={}", fields::content_type(audio), audio.rate_hz);
    let mut document = Markup::document("Response")
        .open("Stream")
        .attribute("bidirectional", "true")
        .attribute("keepCallAlive", "true")
        .attribute("audioTrack", "inbound")
        .attribute("contentType", &content)
        .attribute("statusCallbackUrl", &take.hooks.url("stream"))
        .attribute("statusCallbackMethod", "POST");
    if config.flag("noise_cancellation") {
        let level = config.number::<u32>("noise_cancellation_level").unwrap_or(85).to_string();
        document = document
            .attribute("noiseCancellation", "true")
            .attribute("noiseCancellationLevel", &level);
    }
    let again = take.hooks.url("answer");
    let document = document.text(&take.stream_url).close();
    Ok(reply(document.open("Redirect").attribute("method", "POST").text(&again)))
}

/// Refuses a call before it is answered, unless the caller is to be told something. The element
/// that refuses must be the first.
pub(super) fn refuse(config: &RawConfig, refusal: Refusal) -> HookReply {
    let document = Markup::document("Response");
    let reason = match (refusal, config.text("unavailable_text")) {
        (Refusal::Unavailable, Some(text)) => {
            let document = document
                .open("Speak")
                .attribute("voice", "WOMAN")
                .attribute("language", "en-US")
                .text(text)
                .close();
            return reply(document.open("Hangup"));
        }
        (Refusal::Busy, _) => "busy",
        (Refusal::NotFound | Refusal::Rejected | Refusal::Unavailable, _) => "rejected",
    };
    reply(document.open("Hangup").attribute("reason", reason))
}

/// Ends the call.
pub(super) fn hangup() -> HookReply {
    reply(Markup::document("Response").open("Hangup"))
}

/// Calls somebody and connects them.
pub(super) fn dial(dial: &Dial<'_>) -> HookReply {
    let document = Markup::document("Response")
        .open("Dial")
        .attribute_if("callerId", dial.from)
        .attribute("timeout", dial.ring_s)
        .attribute("action", dial.action)
        .attribute("method", "POST")
        .attribute("callbackUrl", dial.events)
        .attribute("callbackMethod", "POST")
        .open(if dial.to.kind() == AddressKind::SipUri { "User" } else { "Number" })
        .text(dial.to.digits().unwrap_or(dial.to.expose()));
    reply(document)
}

/// Puts a leg into a room; the first that leaves ends it for all.
pub(super) fn conference(room: &str) -> HookReply {
    let document = Markup::document("Response")
        .open("Conference")
        .attribute("endConferenceOnExit", "true")
        .text(room);
    reply(document)
}
