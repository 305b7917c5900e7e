//! The carrier's own messages, and what its library judges, against what is made of them here.

mod operations;
mod signatures;
mod streams;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Map, Value, json};

use super::{SPEC, answer, fields, hooks};
use crate::config::RawConfig;
use crate::hook::{Handled, HookError, HookReply, HookRequest, HookUrls, Take};
use crate::op::Refusal;

pub(super) fn vectors() -> Value {
    serde_json::from_str(include_str!("../fixtures/vectors.json")).unwrap()
}

/// A configuration of the account that vectors are of, and more fields.
pub(super) fn config(more: Value) -> RawConfig {
    let main = vectors()["accounts"]["main"].clone();
    let mut given = Map::new();
    given.insert("auth_id".to_owned(), main["auth_id"].clone());
    given.insert("auth_token".to_owned(), main["auth_token"].clone());
    for (name, value) in more.as_object().unwrap() {
        given.insert(name.clone(), value.clone());
    }
    let mut config = SPEC.read(&Value::Object(given), None).unwrap();
    let application = json!("12345678901234567");
    SPEC.set_managed(&mut config, &[("application_id", application)]).unwrap();
    config
}

pub(super) fn headers_of(vector: &Value) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in vector["headers"].as_object().unwrap() {
        let name: HeaderName = name.to_lowercase().parse().unwrap();
        headers.append(name, HeaderValue::from_str(value.as_str().unwrap()).unwrap());
    }
    headers
}

pub(super) fn urls() -> HookUrls {
    HookUrls::new("https://t.example", "vobiz", "tok").of_call("c1")
}

fn hook_of(name: &str, config: &RawConfig, body: &str) -> Result<Handled, HookError> {
    let request = HookRequest {
        method: &Method::POST,
        url: "https://t.example/api/v1/telephony/vobiz/x/tok",
        headers: &HeaderMap::new(),
        body: body.as_bytes(),
        unix_s: 0,
        from: None,
    };
    (SPEC.hook(name).unwrap().handle)(&request, config)
}

/// A webhook must name the account: nothing else in it is proven.
#[test]
fn accounts_are_told_apart() {
    let config = config(json!({}));
    for (account, ours) in [
        ("&ParentAuthID=MA_EXAMPLE1", true),
        ("&auth_id=MA_EXAMPLE1", true),
        ("&ParentAuthID=MA_OTHER", false),
        ("&ParentAuthID=&auth_id=MA_OTHER", false),
        ("", false),
    ] {
        let got = hook_of("status", &config, &format!("CallUUID=c&Event=Ring{account}"));
        assert_eq!(got.is_ok(), ours, "{account}: {got:?}");
    }
}

/// Numbers come with their calling code and without `+`, or as they are dialled in the country.
#[test]
fn numbers_are_read() {
    let india = config(json!({}));
    for pair in vectors()["number_normalisation_country_IN"].as_array().unwrap() {
        let read = fields::number(&india, pair["in"].as_str().unwrap()).unwrap();
        assert_eq!(read.expose(), pair["out"].as_str().unwrap());
    }
    let germany = config(json!({"country": "de"}));
    assert_eq!(fields::number(&germany, "030123456").unwrap().expose(), "+4930123456");
    let sip = fields::number(&india, "sip:Bob@Example.com").unwrap();
    assert_eq!(sip.expose(), "sip:Bob@example.com");
    assert!(fields::number(&india, "").is_err());
    assert!(
        SPEC.read(&json!({"auth_id": "MA_A", "auth_token": "t", "country": "XX"}), None).is_err()
    );
    assert!(SPEC.read(&json!({"auth_id": "MA1234", "auth_token": "t"}), None).is_err());
    let twice = json!({"auth_id": "MA_A", "auth_token": "t", "other_auth_token": "t"});
    assert!(SPEC.read(&twice, None).is_err(), "nothing would be gained");
}

/// Another product of the carrier's has another name for itself.
#[test]
fn requests_are_recognised() {
    let recognised = |name: &'static str, value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        let request = HookRequest {
            method: &Method::POST,
            url: "https://t.example/",
            headers: &headers,
            body: b"CallUUID=c",
            unix_s: 0,
            from: None,
        };
        (hooks::INBOUND.recognise)(&request)
    };
    assert!(recognised("user-agent", "Vobiz") && recognised("user-agent", "Vobiz-Webhook/1.0"));
    assert!(recognised("x-vobiz-signature-v2", "s"));
    assert!(!recognised("user-agent", "Vobiz-Vapor/1.0") && !recognised("user-agent", "curl"));
}

fn document(reply: &HookReply) -> String {
    assert_eq!((reply.status.as_u16(), reply.content_type), (200, "application/xml"));
    String::from_utf8(reply.body.to_vec()).unwrap()
}

/// Documents are those of the carrier's library, in its words; ours say more about a stream.
#[test]
fn documents_are_those_of_the_library() {
    let xml = vectors()["xml"].clone();
    let text = |name: &str| xml[name].as_str().unwrap().to_owned();
    let plain = config(json!({}));
    assert_eq!(document(&answer::refuse(&plain, Refusal::Busy)), text("reject_busy"));
    for refusal in [Refusal::NotFound, Refusal::Rejected, Refusal::Unavailable] {
        assert_eq!(document(&answer::refuse(&plain, refusal)), text("reject"));
    }
    let told = config(json!({"unavailable_text": "Sorry & goodbye."}));
    assert_eq!(document(&answer::refuse(&told, Refusal::Unavailable)), text("speak_error"));
    assert_eq!(document(&answer::refuse(&told, Refusal::Busy)), text("reject_busy"));
    assert_eq!(document(&answer::hangup()), text("hangup"));
    let callback =
        " callbackUrl=\"https://agent.example.com/hooks/vobiz/conf/1\" callbackMethod=\"POST\"";
    let conference = text("conference").replace(callback, "");
    assert_eq!(document(&answer::conference("xfer-1f2e3d")), conference);
    let stream_url = "wss://agent.example.com/media/vobiz/42/t0k3n".to_owned();
    let take = Take { stream_url, hooks: urls() };
    let taken = document(&answer::take(&plain, &take).unwrap());
    let status = " statusCallbackUrl=\"https://t.example/api/v1/telephony/vobiz/stream/tok/c1\" \
                  statusCallbackMethod=\"POST\"";
    let again = "<Redirect>https://t.example/api/v1/telephony/vobiz/answer/tok/c1</Redirect>";
    assert_eq!(taken.replace(status, "").replace(again, ""), text("stream"));
    let linear = config(json!({"media_in": "L16-16000"}));
    let taken = document(&answer::take(&linear, &take).unwrap());
    assert!(taken.contains("contentType=\"audio/x-l16;rate=16000\""), "{taken}");
}

/// A blind transfer dials, comes back to the same hook when that is over, and tells how it goes.
#[test]
fn blind_transfers_dial() {
    let ask = |query: &str| {
        let url = format!("https://t.example/api/v1/telephony/vobiz/transfer/tok/c1?{query}");
        let request = HookRequest {
            method: &Method::POST,
            url: &url,
            headers: &HeaderMap::new(),
            body: b"CallUUID=u1&ParentAuthID=MA_EXAMPLE1",
            unix_s: 0,
            from: None,
        };
        (SPEC.hook("transfer").unwrap().handle)(&request, &config(json!({})))
    };
    let dialled = ask("step=dial&call=u1&to=%2B911234567899&ring=20&from=911234567891").unwrap();
    assert_eq!(
        document(&dialled.reply),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Dial callerId=\"911234567891\" \
         timeout=\"20\" action=\"https://t.example/api/v1/telephony/vobiz/transfer/tok/c1?\
         step=dialled&amp;call=u1\" method=\"POST\" \
         callbackUrl=\"https://t.example/api/v1/telephony/vobiz/status/tok/c1\" \
         callbackMethod=\"POST\"><Number>911234567899</Number></Dial></Response>"
    );
    let sip = ask("step=dial&call=u1&to=sip%3Abob%40example.com&ring=20").unwrap();
    assert!(document(&sip.reply).contains("<User>sip:bob@example.com</User>"));
    for bad in ["", "step=dial&call=u1", "step=dial&call=u1&to=%20&ring=1", "step=x&call=u1"] {
        assert!(ask(bad).is_err(), "{bad}");
    }
}
