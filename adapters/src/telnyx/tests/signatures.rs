//! Signatures, against those of the official library.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;

use super::super::{SPEC, verify};
use super::fixture;
use crate::config::RawConfig;
use crate::hook::{HookRequest, VerifyError};

fn bytes_of(vector: &Value) -> Vec<u8> {
    match (vector["body_utf8"].as_str(), vector["body_base64"].as_str()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(text)) => STANDARD.decode(text).unwrap(),
        (None, None) => panic!("no body"),
    }
}

/// Each signature is accepted or refused as an adapter must, for the reason that was meant, and the
/// explanation comes to the same end.
#[test]
fn signatures() {
    let fixture = fixture(include_str!("../fixtures/signatures.json"));
    let mut seen = 0;
    for vector in fixture["vectors"].as_array().unwrap() {
        let mut headers = HeaderMap::new();
        for header in vector["headers"].as_array().unwrap() {
            let name: HeaderName = header[0].as_str().unwrap().parse().unwrap();
            headers.append(name, HeaderValue::from_str(header[1].as_str().unwrap()).unwrap());
        }
        let mut stored = fixture["config"].as_object().unwrap().clone();
        stored.extend(vector["config_overrides"].as_object().unwrap().clone());
        let config = RawConfig::from_stored(Value::Object(stored)).unwrap();
        let body = bytes_of(vector);
        let request = HookRequest {
            method: &Method::POST,
            url: "https://t.example/",
            headers: &headers,
            body: &body,
            unix_s: vector["now"].as_u64().unwrap(),
            from: None,
        };
        let got = verify::verify(&request, &config);
        let id = vector["id"].as_str().unwrap();
        let expected = match vector["expect"]["error"].as_str() {
            None => Ok(()),
            Some("no_public_key_configured" | "bad_public_key") => Err(VerifyError::NoKey),
            Some("missing_signature") => Err(VerifyError::Missing(verify::SIGNATURE)),
            Some("missing_timestamp") => Err(VerifyError::Missing(verify::TIMESTAMP)),
            Some("bad_timestamp") => Err(VerifyError::Malformed(verify::TIMESTAMP)),
            Some("stale" | "future") => Err(VerifyError::Stale),
            Some("bad_signature_encoding") => Err(VerifyError::Malformed(verify::SIGNATURE)),
            Some("bad_signature") => Err(VerifyError::Signature),
            Some(other) => panic!("{other} is new"),
        };
        assert_eq!(got, expected, "{id}");
        assert_eq!(verify::explain(&request, &config).verdict, expected, "{id}");
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
}

/// A key that everybody can sign with is none, whatever its sign and however it is written; nor is
/// anything that is no 32 bytes in base64.
#[test]
fn weak_keys_are_refused() {
    let encode = |key: &[u8]| STANDARD.encode(key);
    let hex = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05";
    let order_8: Vec<u8> =
        (0..32).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
    for sign in [0, 0x80] {
        for (first, middle, last) in
            [(0, 0, 0), (1, 0, 0), (0xec, 0xff, 0x7f), (0xed, 0xff, 0x7f), (0xee, 0xff, 0x7f)]
        {
            let mut key = [middle; 32];
            (key[0], key[31]) = (first, last | sign);
            assert_eq!(verify::public_key(&encode(&key)), None, "{first:x} {last:x}");
        }
        let mut key = order_8.clone();
        key[31] |= sign;
        assert_eq!(verify::public_key(&encode(&key)), None);
    }
    assert_eq!(verify::public_key(&encode(&[7; 31])), None);
    assert_eq!(verify::public_key(&"A".repeat(43)), None);
    assert!(verify::public_key(&encode(&[7; 32])).is_some());
    let pem = "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----";
    for bad in ["", "***", pem, &encode(&[0; 32])] {
        let mut given = fixture(include_str!("../fixtures/config_full.json"))["config"].clone();
        given["webhook_public_key"] = bad.into();
        assert!(SPEC.read(&given, None).is_err(), "{bad}");
    }
}
