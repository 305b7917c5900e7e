//! CXML.

use serde_json::json;

use super::super::{answer, hooks};
use super::{SESSION, config, urls, vectors};
use crate::address::Address;
use crate::event::CarrierCallId;
use crate::hook::Take;
use crate::op::{Refusal, Transfer, TransferKind};

pub(super) fn transfer(kind: TransferKind, to: &str) -> Transfer {
    Transfer {
        id: "t-1".to_owned(),
        kind,
        call: CarrierCallId(SESSION.to_owned()),
        to: Address::parse(to, None).unwrap(),
        from: Address::parse("+15551234567", None).ok(),
        hooks: urls(),
        ring_timeout_s: 20,
    }
}

fn known(name: &str) -> String {
    vectors()["cxml"][name].as_str().unwrap().to_owned()
}

/// Refusals are the carrier's own words, each for what it means; a text is said only if there is
/// one. Nothing but busy sounds like it.
#[test]
fn refusals() {
    let plain = config(json!({}));
    let says = config(json!({
        "unavailable_text": "Sorry, this number cannot take calls right now."}));
    assert_eq!(answer::refuse(&plain, Refusal::Busy), known("reject_busy"));
    assert_eq!(answer::refuse(&says, Refusal::Busy), known("reject_busy"));
    assert_eq!(answer::refuse(&plain, Refusal::Unavailable), known("reject_congestion"));
    assert_eq!(answer::refuse(&says, Refusal::Unavailable), known("say_error_hangup"));
    assert!(answer::refuse(&plain, Refusal::NotFound).contains("reason=\"failed\""));
    assert!(answer::refuse(&says, Refusal::Rejected).contains("reason=\"rejected\""));
    assert_eq!(answer::hangup(), known("hangup"));
}

/// The document that takes a call is the known one, with the addresses of ours and without a
/// parameter that nobody is sure to get; behind a stream that ended we are asked before it ends.
#[test]
fn the_stream_comes_here() {
    let stream_url = "wss://media.example.com/carrier/cloudonix/media/s_01".to_owned();
    let document = answer::connect(&Take { stream_url, hooks: urls() });
    let url = urls().url("stream");
    let ask = urls().url("stream-ended");
    let ask = format!("<Redirect method=\"POST\">{ask}</Redirect>");
    let status = format!(" statusCallback=\"{url}\" statusCallbackMethod=\"POST\"");
    let expected = known("connect_stream")
        .replace("<Parameter name=\"session\" value=\"s_01\"/></Stream>", "")
        .replace("media/s_01\">", &format!("media/s_01\"{status}/>"))
        .replace("</Connect>", &format!("</Connect>{ask}"));
    assert_eq!(document, expected);
}

/// Whom a call is handed to decides the element; nothing that a destination holds breaks out of it.
/// Both legs of an attended transfer meet in one place, which no two transfers share.
#[test]
fn transfers() {
    for (to, element) in [
        ("+15558889999", "<Number>+15558889999</Number>"),
        ("1004", "<Number>1004</Number>"),
        ("sip:alice@example.com", "<Sip>sip:alice@example.com</Sip>"),
        ("<hangup/>&", "<Number>&lt;hangup/&gt;&amp;</Number>"),
    ] {
        let document = answer::dial(&transfer(TransferKind::Blind, to), "20");
        assert!(document.contains(element), "{document}");
        assert!(document.contains("/dial-ended/tok/call-1?transfer=t-1\""), "{document}");
        assert!(document.contains("<Dial timeout=\"20\" callerId=\"+15551234567\""), "{document}");
    }
    let mut one = transfer(TransferKind::Attended, "+15558889999");
    let hook = "https://t.example/api/v1/telephony/cloudonix/conference/tok/call-1?transfer=t-1";
    let expected = known("conference")
        .replace("https://media.example.com/carrier/cloudonix/conf/cap-03", hook)
        .replace("xfer-01", "transfer-t-1")
        .replace("</Dial></Response>", "</Dial><Hangup/></Response>");
    assert_eq!(answer::conference(&one, hooks::CONFERENCE), expected);
    let caller = answer::conference(&one, hooks::JOINED);
    assert_eq!(caller, expected.replace("/conference/", "/joined/"));
    one.id = "t-2".to_owned();
    assert!(answer::conference(&one, hooks::JOINED).contains(">transfer-t-2<"));
}
