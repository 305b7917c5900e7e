//! CXML: the documents that tell what to do with a call.

use super::hooks;
use crate::address::{Address, AddressKind};
use crate::config::RawConfig;
use crate::hook::{HookReply, Take};
use crate::markup::Markup;
use crate::op::{Refusal, Transfer};

/// Type of the documents.
const XML: &str = "application/xml";
/// Most characters of a conference's name.
const ROOM_CHARS_MAX: usize = 128;

/// A document as an answer to a webhook.
pub(super) fn reply(document: String) -> HookReply {
    HookReply::document(XML, document)
}

/// The audio goes to us, both ways. What follows is done when the stream has ended: we are asked
/// whether the call is still wanted, and if there is nobody to ask, it ends. The stream has no
/// name, as a second one of the same name would not be made.
pub(super) fn connect(take: &Take) -> String {
    Markup::document("Response")
        .open("Connect")
        .open("Stream")
        .attribute("url", &take.stream_url)
        .attribute("statusCallback", &take.hooks.url(hooks::STREAM))
        .attribute("statusCallbackMethod", "POST")
        .close()
        .close()
        .open("Redirect")
        .attribute("method", "POST")
        .text(&take.hooks.url(hooks::STREAM_ENDED))
        .close()
        .open("Hangup")
        .finish()
}

/// The call is refused: unanswered, unless the caller is to be told something. Without a reason the
/// caller would hear that somebody is busy.
pub(super) fn refuse(config: &RawConfig, refusal: Refusal) -> String {
    let document = Markup::document("Response");
    let reason = match (refusal, config.text("unavailable_text")) {
        (Refusal::Unavailable, Some(text)) => {
            return document.open("Say").text(text).close().open("Hangup").finish();
        }
        (Refusal::Busy, _) => "busy",
        (Refusal::Unavailable, None) => "congestion",
        (Refusal::NotFound, _) => "failed",
        (Refusal::Rejected, _) => "rejected",
    };
    document.open("Reject").attribute("reason", reason).finish()
}

/// The call ends.
pub(super) fn hangup() -> String {
    Markup::document("Response").open("Hangup").finish()
}

/// The carrier calls the destination and joins it with the caller.
pub(super) fn dial(transfer: &Transfer, ring_timeout_s: &str) -> String {
    let Transfer { id, to, from, hooks, .. } = transfer;
    Markup::document("Response")
        .open("Dial")
        .attribute("timeout", ring_timeout_s)
        .attribute_if("callerId", from.as_ref().map(Address::expose))
        .attribute("action", &hooks.of_transfer(hooks::DIAL_ENDED, id))
        // Subscribers of the domain have numbers too.
        .open(if to.kind() == AddressKind::SipUri { "Sip" } else { "Number" })
        .text(to.expose())
        .finish()
}

/// The call goes into the conference that caller and destination of a transfer share; whoever
/// leaves ends it. That it is there is told to `hook`.
pub(super) fn conference(transfer: &Transfer, hook: &str) -> String {
    Markup::document("Response")
        .open("Dial")
        .open("Conference")
        .attribute("beep", "false")
        .attribute("holdMusic", "false")
        .attribute("endConferenceOnExit", "true")
        .attribute("statusCallback", &transfer.hooks.of_transfer(hook, &transfer.id))
        .attribute("statusCallbackEvent", "join")
        .text(&room(transfer))
        .close()
        .close()
        .open("Hangup")
        .finish()
}

/// The name of that conference: that of the transfer, which nobody else knows, and no other has.
fn room(transfer: &Transfer) -> String {
    let name = format!("transfer-{}", transfer.id);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    name.chars().filter(|c| fits(*c)).take(ROOM_CHARS_MAX).collect()
}
