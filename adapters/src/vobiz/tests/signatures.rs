//! Signatures.

use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

use super::super::verify;
use super::{config, headers_of, vectors};
use crate::config::RawConfig;
use crate::exchange::form;
use crate::hook::{HookRequest, VerifyError};

/// Verdict and explanation of a vector, with the token that it names.
fn check(vector: &Value) -> (Result<(), VerifyError>, Option<String>) {
    let config = config(json!({"auth_token": vector["auth_token"]}));
    let method: Method = vector["method"].as_str().unwrap().parse().unwrap();
    let params = vector["params"].as_array().unwrap();
    let params: Vec<_> =
        params.iter().map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap())).collect();
    let (headers, body) = (headers_of(vector), form(&params));
    let url = vector["url"].as_str().unwrap();
    let request = HookRequest {
        method: &method,
        url,
        headers: &headers,
        body: body.as_bytes(),
        unix_s: 0,
        from: None,
    };
    let verdict = verify::verify(&request, &config);
    let told = verify::explain(&request, &config);
    assert_eq!(told.verdict, verdict, "{}", vector["id"]);
    (verdict, told.signed_string)
}

/// Each vector is believed or not as the published formula says, and is told as it says.
#[test]
fn vectors_of_the_formula() {
    let (mut valid, mut invalid) = (0, 0);
    for vector in vectors()["signature_vectors"].as_array().unwrap() {
        let (id, wanted) = (&vector["id"], vector["valid"] == true);
        let (verdict, signed) = check(vector);
        assert_eq!(verdict.is_ok(), wanted, "{id}: {verdict:?}");
        if wanted {
            assert_eq!(signed.as_deref(), vector["string_to_sign"].as_str(), "{id}");
        }
        *if wanted { &mut valid } else { &mut invalid } += 1;
    }
    assert!(valid >= 10 && invalid >= 16, "{valid} {invalid}");
}

/// What the carrier's library signs is believed too.
#[test]
fn vectors_of_the_library() {
    for vector in vectors()["sdk_style_v3_vectors"].as_array().unwrap() {
        let (verdict, signed) = check(vector);
        assert_eq!(verdict, Ok(()), "{}", vector["id"]);
        assert_eq!(signed.as_deref(), vector["string_to_sign"].as_str(), "{}", vector["id"]);
    }
}

/// Refusals are told apart; any signature that is right is enough; either token is good.
#[test]
fn refusals_are_told_apart() {
    let all = vectors()["signature_vectors"].clone();
    let find = |id: &str| all.as_array().unwrap().iter().find(|v| v["id"] == id).unwrap().clone();
    let nonces = ["x-vobiz-signature-v2-nonce", "x-vobiz-signature-v3-nonce"];
    assert_eq!(check(&find("v2-bad-missing-nonce")).0, Err(VerifyError::Missing(nonces[0])));
    assert_eq!(check(&find("v3-bad-missing-nonce")).0, Err(VerifyError::Missing(nonces[1])));
    let missing = Err(VerifyError::Missing("x-vobiz-signature-v3"));
    assert_eq!(check(&find("v3-bad-missing-signature")).0, missing);
    assert_eq!(check(&find("v3-bad-sha1")).0, Err(VerifyError::Signature));

    let good = find("v2-simple");
    let examine = |headers: &HeaderMap, more: Value| {
        let url = good["url"].as_str().unwrap();
        let request =
            HookRequest { method: &Method::POST, url, headers, body: b"", unix_s: 0, from: None };
        verify::verify(&request, &config(more))
    };
    let mut both = headers_of(&good);
    both.insert("x-vobiz-signature-v3", HeaderValue::from_static("AAAA"));
    assert_eq!(examine(&both, json!({})), Ok(()), "of the two one is right");
    both.insert(nonces[1], HeaderValue::from_static("1"));
    assert_eq!(examine(&both, json!({})), Ok(()));
    let changed = json!({"auth_token": "new", "other_auth_token": good["auth_token"]});
    assert_eq!(examine(&headers_of(&good), changed), Ok(()));
    assert_eq!(
        examine(&headers_of(&good), json!({"auth_token": "new"})),
        Err(VerifyError::Signature)
    );
    let mut old = HeaderMap::new();
    old.insert("x-vobiz-signature", HeaderValue::from_static("AAAA"));
    assert_eq!(examine(&old, json!({})), missing, "the oldest kind is not looked at");
}

/// Unsigned webhooks are believed where the configuration says so, from the carrier's addresses, at
/// an address that holds the token; a signature that is there, however malformed, must be right.
#[test]
fn unsigned_webhooks() {
    const OWN: &str = "https://t.example/api/v1/telephony/vobiz/answer/tok";
    let (none, all) = (HeaderMap::new(), vectors()["signature_vectors"].clone());
    let allowed = config(json!({"allow_unsigned": true}));
    let named = config(json!({"allow_unsigned": true, "unsigned_from": ["192.0.2.0/24"]}));
    let check = |config: &RawConfig, url: &str, headers: &HeaderMap, from: &str| {
        let from = Some(from.parse().unwrap());
        let request =
            HookRequest { method: &Method::POST, url, headers, body: b"", unix_s: 0, from };
        let verdict = verify::verify(&request, config);
        let told = verify::explain(&request, config);
        assert_eq!(told.verdict, verdict);
        let unknown = verify::verify(&HookRequest { from: None, ..request }, config);
        assert!(unknown.is_err(), "who sent it must be known");
        verdict
    };
    let missing = Err(VerifyError::Missing("x-vobiz-signature-v3"));
    for from in ["15.206.6.156", "35.154.59.246", "::ffff:15.207.8.226"] {
        assert_eq!(check(&allowed, OWN, &none, from), Ok(()), "{from}");
        assert_eq!(check(&config(json!({})), OWN, &none, from), missing, "{from}");
        assert_eq!(check(&named, OWN, &none, from), Err(VerifyError::Sender), "{from}");
        let shared = "https://t.example/api/v1/telephony/inbound/run?/api/v1/telephony/vobiz/";
        assert_eq!(check(&allowed, shared, &none, from), missing, "{from}");
    }
    assert_eq!(check(&named, OWN, &none, "192.0.2.255"), Ok(()));
    for from in ["15.206.6.157", "127.0.0.1", "2001:db8::1"] {
        assert_eq!(check(&allowed, OWN, &none, from), Err(VerifyError::Sender), "{from}");
    }
    let mut refused = 0;
    for vector in all.as_array().unwrap().iter().filter(|vector| vector["valid"] != true) {
        let mut given = vector.clone();
        given["url"] = json!(OWN);
        let headers = headers_of(&given);
        if !headers.is_empty() {
            assert!(check(&allowed, OWN, &headers, "15.206.6.156").is_err(), "{}", vector["id"]);
            refused += 1;
        }
    }
    assert!(refused >= 10, "{refused}");
    for name in ["x-vobiz-signature", "x-vobiz-signature-v3", "x-vobiz-signature-v2-nonce"] {
        let mut headers = HeaderMap::new();
        headers.append(name, HeaderValue::from_static(""));
        assert!(check(&allowed, OWN, &headers, "15.206.6.156").is_err(), "{name}");
    }
}
