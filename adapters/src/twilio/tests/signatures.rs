//! Signatures.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::verify;
use super::{config, vectors};
use crate::config::RawConfig;
use crate::hook::{Certainty, HookRequest, VerifyError};
use crate::pairs::pairs;

struct Vector<'v>(&'v Value);

impl Vector<'_> {
    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(kind) = self.0["content_type"].as_str() {
            headers.insert("content-type", HeaderValue::from_str(kind).unwrap());
        }
        for (name, value) in self.0["headers"].as_object().unwrap() {
            let name: HeaderName = name.parse().unwrap();
            headers.insert(name, HeaderValue::from_str(value.as_str().unwrap()).unwrap());
        }
        headers
    }

    fn check(&self, config: &RawConfig) -> Result<(), VerifyError> {
        let method: Method = self.text("method").parse().unwrap();
        let (headers, body) = (self.headers(), self.text("raw_body"));
        let request = HookRequest {
            method: &method,
            url: self.text("url"),
            headers: &headers,
            body: body.as_bytes(),
            unix_s: 0,
            from: None,
        };
        let verdict = verify::verify(&request, config);
        let told = verify::explain(&request, config);
        assert_eq!(told.verdict, verdict, "{}", self.text("id"));
        if verdict.is_ok() {
            let signed = told.signed_string.unwrap();
            assert_eq!(signed, self.text("string_to_sign"), "{}", self.text("id"));
        }
        verdict
    }
}

/// Every vector is accepted or refused as it says, and what was signed is told as it says. Keys
/// that an account shares count by their ids.
#[test]
fn vectors_of_the_sdks() {
    let vectors = vectors();
    let (mut valid, mut invalid) = (0, 0);
    for vector in vectors["signatures"].as_array().unwrap() {
        let vector = Vector(vector);
        let token = vector.text("auth_token");
        let expected = vector.0["expect_valid"].as_bool().unwrap();
        let by_token = config(json!({"auth_token": token}));
        assert_eq!(vector.check(&by_token).is_ok(), expected, "{}", vector.text("id"));
        if token.starts_with("whsec") {
            let shared = json!({"webhooks_sharedkey_01made0up": token, "k": token});
            let by_id = config(json!({"webhook_shared_keys": shared}));
            let weaker = vector.text("id") == "sharedkey-settings-without-algorithm";
            let verdict = vector.check(&by_id);
            assert_eq!(verdict.is_ok(), expected && !weaker, "{}", vector.text("id"));
        }
        *(if expected { &mut valid } else { &mut invalid }) += 1;
    }
    assert!(valid >= 16 && invalid >= 18, "{valid} {invalid}");
}

/// What the sheet of errors says is told apart.
#[test]
fn refusals_are_told_apart() {
    let vectors = vectors();
    let find = |id: &str| {
        let all = vectors["signatures"].as_array().unwrap();
        Vector(all.iter().find(|vector| vector["id"] == id).unwrap())
    };
    let check = |id| find(id).check(&config(json!({"auth_token": find(id).text("auth_token")})));
    let header = "x-twilio-signature";
    assert_eq!(check("missing-header"), Err(VerifyError::Missing(header)));
    assert_eq!(check("garbage-header"), Err(VerifyError::Malformed(header)));
    assert_eq!(check("hex-instead-of-base64"), Err(VerifyError::Malformed(header)));
    assert_eq!(check("tampered-path"), Err(VerifyError::Signature));
    assert_eq!(check("json-body-tampered"), Err(VerifyError::Body));
    assert_eq!(check("sharedkey-unknown-algorithm"), Err(VerifyError::Method));
    let none = RawConfig::default();
    assert_eq!(find("form-basic").check(&none), Err(VerifyError::NoKey));
    // While the token is being changed, either is good.
    let secondary = json!({"auth_token": "new", "secondary_auth_token": "12345"});
    assert_eq!(find("published-sample").check(&config(secondary)), Ok(()));
}

/// What is signed of forms and addresses that are out of the ordinary: as the carrier's libraries
/// make it.
#[test]
fn unusual_requests() {
    let signed = |kind: &'static str, method: Method, url: &str, body: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(kind));
        let signature = HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        headers.insert("x-twilio-signature", signature);
        let (headers, body, method) = (&headers, body.as_bytes(), &method);
        let request = HookRequest { method, url, headers, body, unix_s: 0, from: None };
        let told = verify::explain(&request, &config(json!({})));
        assert_eq!(told.verdict, Err(VerifyError::Signature), "{url}");
        told.signed_string.unwrap()
    };
    let form = "application/x-www-form-urlencoded; charset=UTF-8";
    for (url, body, expected) in [
        ("https://a.b/c", "", "https://a.b/c"),
        ("https://a.b/c", "b=2&a=1", "https://a.b/ca1b2"),
        ("https://a.b/c", "T=b&T=a&T=b", "https://a.b/cTaTb"),
        ("https://a.b/c", "T=&T=a&U", "https://a.b/cTTaU"),
        ("https://a.b/c", "T%5B%5D=2&T%5B%5D=1", "https://a.b/cT[]1T[]2"),
        ("https://a.b/c", "a=1&A=2&_=3&0=4", "https://a.b/c04A2_3a1"),
        ("https://a.b/c", "n=J%C3%BCrgen+%26+%E2%98%83", "https://a.b/cnJ\u{fc}rgen & \u{2603}"),
        ("https://a.b/c", "n=%2b1++2%20", "https://a.b/cn+1  2 "),
        ("https://a.b/c/?q=a%20b&q=%2B#rc=2", "x=1", "https://a.b/c/?q=a%20b&q=%2Bx1"),
        ("https://a.b?q=1", "x=1", "https://a.b?q=1x1"),
        ("https://a.b:8443/c", "x=1", "https://a.b:8443/cx1"),
        ("https://u:p@a.b/c", "x=1", "https://u:p@a.b/cx1"),
        ("https://[::1]:443/c", "x=1", "https://[::1]:443/cx1"),
    ] {
        assert_eq!(signed(form, Method::POST, url, body), expected, "{url} {body}");
    }
    let get = "https://a.b/c?z=1&a=2&a=1";
    assert_eq!(signed(form, Method::GET, get, ""), get, "in the order of the address");
    let hash = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let url = format!("https://a.b/c?x=1&bodySHA256={hash}&y=2");
    assert_eq!(signed("application/json", Method::POST, &url, "{}"), url);
}

/// The port of an address may be left out or added, and nothing else.
#[test]
fn ports_are_of_two_minds() {
    let key = "0123456789abcdef0123456789abcdef";
    let sign = |text: &str| {
        use base64::Engine;
        use hmac::{KeyInit, Mac};
        let mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(key.as_bytes()).unwrap();
        let mac = mac.chain_update(text).finalize().into_bytes();
        base64::engine::general_purpose::STANDARD.encode(mac)
    };
    for (asked, signed, accepted) in [
        ("https://a.b/c?q=1", "https://a.b:443/c?q=1", true),
        ("https://a.b:443/c", "https://a.b/c", true),
        ("https://a.b:8443/c", "https://a.b/c", true),
        ("https://a.b/c", "https://a.b:8443/c", false),
        ("http://a.b/c", "http://a.b:80/c", true),
        ("wss://a.b/c", "wss://a.b:443/c", true),
        ("https://a.b", "https://a.b:443", true),
        ("https://a.b?q=1", "https://a.b:443?q=1", true),
        ("https://[::1]/c", "https://[::1]:443/c", true),
        ("https://[::1]:8443/c", "https://[::1]/c", true),
        ("https://u:p@a.b/c", "https://u:p@a.b:443/c", true),
        ("https://u:p@a.b/c", "https://u/c", false),
        ("https://a.b/c", "http://a.b/c", false),
        ("https://a.b/c", "https://a.b/c/", false),
        ("https://a.b/c", "https://A.b/c", false),
    ] {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(&sign(signed)).unwrap();
        headers.insert("x-twilio-signature", value);
        let (method, headers) = (&Method::GET, &headers);
        let request = HookRequest { method, url: asked, headers, body: b"", unix_s: 0, from: None };
        let found = verify::verify(&request, &config(json!({})));
        assert_eq!(found.is_ok(), accepted, "{asked} signed as {signed}");
    }
}

/// The upgrade of a media socket is signed over its own address; the check can be switched off.
#[test]
fn sockets_are_proven() {
    let vectors = vectors();
    let all = vectors["signatures"].as_array().unwrap();
    let vector = Vector(all.iter().find(|vector| vector["id"] == "websocket-handshake").unwrap());
    let headers = vector.headers();
    let request = |url| HookRequest {
        method: &Method::GET,
        url,
        headers: &headers,
        body: b"",
        unix_s: 0,
        from: None,
    };
    let url = vector.text("url");
    assert_eq!(verify::socket(&request(url), &config(json!({}))), Ok(Certainty::Proven));
    let other = format!("{url}x");
    assert!(verify::socket(&request(&other), &config(json!({}))).is_err());
    let off = config(json!({"stream_signature": "off"}));
    assert_eq!(verify::socket(&request(&other), &off), Ok(Certainty::Proven));
    let port = url.replace(".com/", ".com:443/");
    assert_eq!(
        verify::socket(&request(&port), &config(json!({}))),
        Ok(Certainty::Proven),
        "{port}"
    );
}

proptest! {
    /// The order of fields and a repeated pair change nothing; any other change of the fields does.
    #[test]
    fn fields_are_signed_in_no_order(
        mut fields in proptest::collection::vec(("[A-Za-z]{1,8}", "\\PC{0,12}"), 1..8),
        seed in 0_usize..1000,
        value in "\\PC{1,8}",
    ) {
        let sign = |fields: &[(String, String)]| {
            let pairs: Vec<_> =
                fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let body = crate::exchange::form(&pairs);
            let mut headers = HeaderMap::new();
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert("content-type", kind);
            headers.insert("x-twilio-signature", HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAAAAAAA="));
            let request = HookRequest {
                method: &Method::POST,
                url: "https://t.example/",
                headers: &headers,
                body: body.as_bytes(),
                unix_s: 0,
                from: None,
            };
            verify::explain(&request, &config(json!({}))).signed_string.unwrap()
        };
        let signed = sign(&fields);
        let mut sorted: Vec<_> = fields.clone();
        sorted.sort();
        sorted.dedup();
        let expected: String = sorted.iter().flat_map(|(k, v)| [k.as_str(), v.as_str()]).collect();
        prop_assert_eq!(&signed, &format!("https://t.example/{expected}"));
        let first = fields[0].clone();
        fields.push(first);
        let turn = seed % fields.len();
        fields.rotate_left(turn);
        prop_assert_eq!(&sign(&fields), &signed);
        fields[0].1.push_str(&value);
        prop_assert_ne!(&sign(&fields), &signed);
        prop_assert!(pairs("").next().is_none());
    }
}
