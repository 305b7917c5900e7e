//! TwiML: the documents that tell what to do with a call.

use super::hooks;
use crate::address::{Address, AddressKind};
use crate::config::RawConfig;
use crate::hook::{HookReply, Take};
use crate::markup::Markup;
use crate::op::{Refusal, Transfer};

/// Type of the documents.
const XML: &str = "application/xml; charset=utf-8";
/// Name of the stream, as its webhooks repeat it.
const STREAM_NAME: &str = "talkpath";
/// Most characters of a conference's name.
const ROOM_CHARS_MAX: usize = 128;

/// A document as an answer to a webhook.
pub(super) fn reply(document: String) -> HookReply {
    HookReply::document(XML, document)
}

/// The audio goes to us, both ways.
pub(super) fn connect(take: &Take) -> String {
    // A query would be cut off by the carrier; nothing follows, so that a lost call ends.
    Markup::document("Response")
        .open("Connect")
        .attribute("action", &take.hooks.url(hooks::STREAM_ENDED))
        .open("Stream")
        .attribute("url", &take.stream_url)
        .attribute("name", STREAM_NAME)
        .attribute("statusCallback", &take.hooks.url(hooks::STREAM))
        .attribute("statusCallbackMethod", "POST")
        .finish()
}

/// The call is refused: unanswered, unless the caller is to be told something.
pub(super) fn refuse(config: &RawConfig, refusal: Refusal) -> String {
    let document = Markup::document("Response");
    match (refusal, config.text("unavailable_text")) {
        (Refusal::Unavailable, Some(text)) => document
            .open("Say")
            .attribute_if("language", config.text("language"))
            .text(text)
            .close()
            .open("Hangup")
            .finish(),
        (Refusal::Busy | Refusal::Unavailable, _) => {
            document.open("Reject").attribute("reason", "busy").finish()
        }
        (Refusal::NotFound | Refusal::Rejected, _) => document.open("Reject").finish(),
    }
}

/// The call ends.
pub(super) fn hangup() -> String {
    Markup::document("Response").open("Hangup").finish()
}

/// Nothing is left to do.
pub(super) fn nothing() -> String {
    Markup::document("Response").finish()
}

/// The carrier calls the destination and joins it with the caller.
pub(super) fn dial(transfer: &Transfer, ring_timeout_s: &str) -> String {
    let Transfer { id, to, from, hooks, .. } = transfer;
    let document = Markup::document("Response")
        .open("Dial")
        .attribute("action", &hooks.of_transfer(hooks::DIAL_ENDED, id))
        .attribute("method", "POST")
        .attribute("answerOnBridge", "true")
        .attribute("timeout", ring_timeout_s)
        .attribute_if("callerId", from.as_ref().map(Address::expose));
    let element = match to.kind() {
        AddressKind::SipUri => "Sip",
        AddressKind::Pstn => "Number",
        AddressKind::SipExtension => "Client",
    };
    // A client has a scheme where a call is placed, and none here.
    let name = to.expose();
    let name =
        if element == "Client" { name.strip_prefix("client:").unwrap_or(name) } else { name };
    document
        .open(element)
        .attribute("statusCallback", &hooks.of_transfer(hooks::TRANSFER_LEG, id))
        .attribute("statusCallbackEvent", "initiated answered")
        .text(name)
        .finish()
}

/// The calling side is told to call the destination itself.
pub(super) fn refer(transfer: &Transfer) -> String {
    Markup::document("Response")
        .open("Refer")
        .attribute("action", &transfer.hooks.of_transfer(hooks::REFER_ENDED, &transfer.id))
        .attribute("method", "POST")
        .open("Sip")
        .text(transfer.to.expose())
        .finish()
}

/// The call goes into the conference that caller and destination of a transfer share. Who leaves
/// last ends it; so does each of the two.
pub(super) fn conference(transfer: &Transfer) -> String {
    Markup::document("Response")
        .open("Dial")
        .open("Conference")
        .attribute("beep", "false")
        .attribute("startConferenceOnEnter", "true")
        .attribute("endConferenceOnExit", "true")
        .text(&room(transfer))
        .finish()
}

/// The name of that conference: that of the transfer, which nobody else knows, and no other has.
fn room(transfer: &Transfer) -> String {
    let name = format!("transfer-{}", transfer.id);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    name.chars().filter(|c| fits(*c)).take(ROOM_CHARS_MAX).collect()
}
