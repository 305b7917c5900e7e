//! Who is believed.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use super::super::SPEC;
use super::{config, vectors};
use crate::config::RawConfig;
use crate::hook::{HookRequest, VerifyError};

const URL: &str = "https://t.example/api/v1/telephony/cloudonix/voice/tok";

fn headers(pairs: &Value) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs.as_object().unwrap() {
        let name: HeaderName = name.to_lowercase().parse().unwrap();
        headers.append(name, HeaderValue::from_str(value.as_str().unwrap()).unwrap());
    }
    headers
}

fn verify(
    hook: &str,
    config: &RawConfig,
    headers: &HeaderMap,
    body: &str,
) -> Result<(), VerifyError> {
    let body = body.as_bytes();
    let request =
        HookRequest { method: &Method::POST, url: URL, headers, body, unix_s: 0, from: None };
    let hook = SPEC.hook(hook).unwrap();
    let verdict = (hook.verify)(&request, config);
    assert_eq!((hook.explain)(&request, config).verdict, verdict);
    verdict
}

/// Each vector is believed or not as it says, and for the reason it says.
#[test]
fn credentials_and_domains() {
    let vectors = vectors();
    let all = vectors["auth_vectors"].as_array().unwrap();
    assert!(all.len() >= 17);
    for vector in all {
        // As it may be stored, not as it would be written today.
        let config = RawConfig::from_stored(vector["config"].clone()).unwrap();
        let body = vector["body_fields"].to_string();
        let got = verify("voice", &config, &headers(&vector["headers"]), &body);
        let expected = match vector["reason"].as_str().unwrap() {
            "" => Ok(()),
            "request key mismatch" => Err(VerifyError::Credential),
            "no bearer credential" => Err(VerifyError::Malformed("authorization")),
            "request key not configured" => Err(VerifyError::NoKey),
            "domain does not match configuration" | "no domain in request" => {
                Err(VerifyError::Account)
            }
            other => panic!("{other} is new"),
        };
        assert_eq!(got, expected, "{}", vector["id"]);
        assert_eq!(got.is_ok(), vector["expect_valid"].as_bool().unwrap());
    }
}

/// What the vectors leave out: no credential, two of them, a domain that comes twice, a key that is
/// pinned and missing or wrong, the key of the application where the agreed one belongs.
#[test]
fn what_else_is_not_believed() {
    const OK: &str = "Bearer rk^made-up!_Value=01--Zz)";
    let body = r#"{"Domain":"acme"}"#;
    let plain = config(json!({}));
    let with = |pairs: &[(&'static str, &str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    };
    let cases: &[(&[(&str, &str)], Result<(), VerifyError>)] = &[
        (&[("authorization", OK)], Ok(())),
        (&[("authorization", "bEARER rk^made-up!_Value=01--Zz)")], Ok(())),
        (&[("authorization", "Bearer")], Err(VerifyError::Malformed("authorization"))),
        (&[], Err(VerifyError::Missing("authorization"))),
        (
            &[("authorization", OK), ("authorization", OK)],
            Err(VerifyError::Missing("authorization")),
        ),
        (&[("x-cx-apikey", "XI0A11B22C33D44E55F66A77B88C99D00E")], {
            Err(VerifyError::Missing("authorization"))
        }),
        (
            &[("authorization", "Bearerrk^made-up!_Value=01--Zz)")],
            Err(VerifyError::Malformed("authorization")),
        ),
        (
            &[("authorization", OK), ("x-cx-domain", "acme"), ("x-cx-domain", "other")],
            Err(VerifyError::Account),
        ),
        (
            &[("authorization", OK), ("x-cx-domain", "22222222-2222-4333-8444-555555555555")],
            Err(VerifyError::Account),
        ),
    ];
    for (pairs, expected) in cases {
        assert_eq!(verify("voice", &plain, &with(pairs), body), *expected, "{pairs:?}");
    }
    let pinned = config(json!({"expected_app_key": "XI-of-the-application"}));
    for (key, expected) in [
        (None, Err(VerifyError::Missing("x-cx-apikey"))),
        (Some("XI-of-another"), Err(VerifyError::Credential)),
        (Some("XI-of-the-application"), Ok(())),
    ] {
        let mut headers = with(&[("authorization", OK)]);
        if let Some(key) = key {
            headers.append("x-cx-apikey", HeaderValue::from_str(key).unwrap());
        }
        assert_eq!(verify("voice", &pinned, &headers, body), expected);
    }
    // Of what is not documented the domain may be missing, but not wrong.
    for (body, expected) in [
        ("{}", Ok(())),
        (r#"{"domain":null}"#, Ok(())),
        (r#"[{"domain":"ACME.cloudonix.net."}]"#, Ok(())),
        (r#"{"domain":"other"}"#, Err(VerifyError::Account)),
        (r#"[{"domain":"other"}]"#, Err(VerifyError::Account)),
    ] {
        assert_eq!(verify("status", &plain, &with(&[("authorization", OK)]), body), expected);
    }
    // The value of a key is not told, nor its beginning.
    let headers = &with(&[("authorization", "Bearer rk^made-up!_guess")]);
    let (method, body) = (&Method::POST, body.as_bytes());
    let request = HookRequest { method, url: URL, headers, body, unix_s: 0, from: None };
    let told = (SPEC.hook("voice").unwrap().explain)(&request, &plain);
    let shown = serde_json::to_string(&told).unwrap();
    assert!(!shown.contains("rk^made"), "{shown}");
    assert_ne!(told.expected, told.got);
}

/// Records of calls have no credential: the token in their address has found the configuration,
/// whose domain they must be of. A credential that is there all the same must be right.
#[test]
fn records_are_of_the_domain() {
    let vectors = vectors();
    let own = config(json!({}));
    for vector in vectors["cdr_vectors"].as_array().unwrap() {
        let body = vector["payload"].to_string();
        let headers = headers(&vector["headers"]);
        // A token that is wrong or missing finds no configuration: see the server's own tests.
        assert_eq!(verify("cdr", &own, &headers, &body), Ok(()), "{}", vector["id"]);
        let other = config(json!({"domain": "other"}));
        let refused = verify("cdr", &other, &headers, &body);
        assert_eq!(refused, Err(VerifyError::Account), "{}", vector["id"]);
        let mut wrong = headers.clone();
        wrong.append("authorization", HeaderValue::from_static("Bearer something else"));
        assert_eq!(verify("cdr", &own, &wrong, &body), Err(VerifyError::Credential));
    }
    let nobody = ["{}", "", "[]", r#"{"domain":"nullDomain"}"#, r#"{"owner":7}"#];
    for body in nobody {
        let got = verify("cdr", &own, &HeaderMap::new(), body);
        assert_eq!(got, Err(VerifyError::Account), "{body}");
    }
    let by_uuid = json!({"domain": "nullDomain", "owner": {"domain": {
        "uuid": "11111111-2222-4333-8444-555555555555"}}});
    assert_eq!(verify("cdr", &own, &HeaderMap::new(), &by_uuid.to_string()), Ok(()));
    // As long as the UUID is not known, the name has to do.
    let mut early = own.expose().clone();
    early.remove("domain_uuid");
    let early = RawConfig::from_stored(early.into()).unwrap();
    let alone = verify("cdr", &early, &HeaderMap::new(), &by_uuid.to_string());
    assert_eq!(alone, Err(VerifyError::Account));
    let record = vectors["webhooks"]["cdr"].to_string();
    assert_eq!(verify("cdr", &early, &HeaderMap::new(), &record), Ok(()));
}
