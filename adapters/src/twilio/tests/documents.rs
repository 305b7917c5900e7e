//! TwiML.

use serde_json::json;

use super::super::answer;
use super::{CALL, config, vectors};
use crate::address::Address;
use crate::event::CarrierCallId;
use crate::hook::{HookUrls, Take};
use crate::op::{Refusal, Transfer, TransferKind};

fn hooks() -> HookUrls {
    HookUrls::new("https://t.example", "twilio", "tok").of_call("0199-call")
}

fn transfer(to: &str) -> Transfer {
    Transfer {
        id: "t-1".to_owned(),
        kind: TransferKind::Blind,
        call: CarrierCallId(CALL.to_owned()),
        to: Address::parse(to, None).unwrap(),
        from: Address::parse("+15551234567", None).ok(),
        hooks: hooks(),
        ring_timeout_s: 20,
    }
}

/// A document with the spaces that the SDK puts before the end of an empty element taken out.
fn of_the_sdk(name: &str) -> String {
    vectors()["twiml"][name].as_str().unwrap().replace(" />", "/>")
}

/// Refusals are what the SDK writes for them; a text is said only if there is one, and the free way
/// is taken otherwise.
#[test]
fn refusals() {
    let plain = config(json!({}));
    assert_eq!(answer::refuse(&plain, Refusal::Busy), of_the_sdk("reject_busy"));
    assert_eq!(answer::refuse(&plain, Refusal::Unavailable), of_the_sdk("reject_busy"));
    assert_eq!(answer::refuse(&plain, Refusal::Rejected), of_the_sdk("reject_default"));
    assert_eq!(answer::refuse(&plain, Refusal::NotFound), of_the_sdk("reject_default"));
    let says = config(json!({
        "unavailable_text": "Sorry, this number can't take calls right now.",
        "language": "en-US",
    }));
    assert_eq!(answer::refuse(&says, Refusal::Unavailable), of_the_sdk("say_error_hangup"));
    assert_eq!(answer::refuse(&says, Refusal::Busy), of_the_sdk("reject_busy"));
    assert_eq!(answer::hangup(), of_the_sdk("hangup"));
    assert_eq!(answer::nothing(), of_the_sdk("empty"));
}

/// Whom a call is handed to decides the element; nothing a destination holds breaks out of it.
#[test]
fn transfers() {
    for (to, element) in [
        ("+15558889999", ">+15558889999</Number>"),
        ("sip:alice@example.com", ">sip:alice@example.com</Sip>"),
        ("client:bob", ">bob</Client>"),
        ("<hangup/>&", ">&lt;hangup/&gt;&amp;</Client>"),
    ] {
        let document = answer::dial(&transfer(to), "20");
        assert!(document.contains(element), "{document}");
        assert!(document.contains("/dial-ended/tok/0199-call?transfer=t-1\""), "{document}");
        assert!(document.contains("callerId=\"+15551234567\""), "{document}");
    }
    let refer = answer::refer(&transfer("sip:alice@example.com"));
    assert!(refer.contains("<Sip>sip:alice@example.com</Sip>"), "{refer}");
    // Both legs of an attended transfer meet in the same place, which no two transfers share.
    let mut other = transfer("+15558889999");
    assert_eq!(answer::conference(&other), answer::conference(&transfer("sip:a@b.example")));
    other.id = "t-2".to_owned();
    assert_ne!(answer::conference(&other), answer::conference(&transfer("sip:a@b.example")));
}

/// The document that takes a call fits into a request that places one, with long addresses too.
#[test]
fn documents_fit_into_requests() {
    const CHARS_MAX: usize = 4_000;
    let base = format!("https://{}.example/{}", "a".repeat(60), "b".repeat(100));
    let hooks = HookUrls::new(&base, "twilio", &"t".repeat(64)).of_call(&"c".repeat(36));
    let stream_url = format!("{}/{}", base.replace("https", "wss"), "d".repeat(200));
    let document = answer::connect(&Take { stream_url, hooks });
    assert!(document.len() < CHARS_MAX / 2, "{}", document.len());
    assert!(!document.contains("wss://") || !document.contains("?token"), "{document}");
}
