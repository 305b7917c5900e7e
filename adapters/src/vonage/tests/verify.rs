//! Signatures: the vectors of webhooks, of sockets, of keys and of tokens of ours.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::verify::{Fault, examine, explain, verify, verify_socket};
use super::super::{SPEC, calls};
use super::{Request, config, each, plain, vectors};
use crate::config::RawConfig;
use crate::exchange::HttpRequest;
use crate::explain::Trace;
use crate::hook::{Certainty, VerifyError};
use crate::jwt;
use crate::op::Moment;
use crate::secret::Secret;

fn word(fault: Fault) -> String {
    let mut word = String::new();
    for character in format!("{fault:?}").chars() {
        if character.is_ascii_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.push(character.to_ascii_lowercase());
    }
    word
}

/// Every vector is accepted or refused as it says, for the reason that it says. A token that comes
/// again is genuine: that it changes nothing is for those who keep facts by their ids.
#[test]
fn vectors_of_webhooks() {
    for vector in each("inbound_signature") {
        let id = vector["id"].as_str().unwrap();
        let mut given = plain();
        if vector["config_overrides"]["signature_secret"] == "" {
            given = config(&json!({"signature_secret": null}));
        }
        let request = Request::of(&vector);
        let found = examine(&request.get(), &given, &mut Trace::off());
        let expected = vector["expect"]["error"].as_str().filter(|word| *word != "replay");
        assert_eq!(found.err().map(word).as_deref(), expected, "{id}");
        assert_eq!(verify(&request.get(), &given).is_ok(), expected.is_none(), "{id}");
        let told = explain(&request.get(), &given);
        assert_eq!(told.verdict, verify(&request.get(), &given), "{id}");
        // What is not signed is to be sent again; what is signed wrongly is not.
        let again = verify(&request.get(), &given).is_err_and(|error| error.status() == 503);
        assert_eq!(again, expected == Some("missing_authorization"), "{id}");
    }
}

/// The time of the tests.
const NOW: u64 = 1_767_225_600;

/// What is found of a request with this body and a token of these claims, beside those that each
/// has, signed with the account's secret.
fn found(config: &RawConfig, claims: &Value, body: &[u8]) -> Option<String> {
    let hash: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut all = json!({"iat": NOW, "jti": "j", "iss": "Vonage", "api_key": "0a1b2c3d",
        "payload_hash": hash});
    for (name, value) in claims.as_object().unwrap() {
        match value {
            Value::Null => drop(all.as_object_mut().unwrap().remove(name)),
            value => all[name] = value.clone(),
        }
    }
    let secret = config.secret("signature_secret").unwrap();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({"alg": "HS256", "typ": "JWT"})), part(&all));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let token = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(&format!("bearer {signed}.{token}")).unwrap();
    headers.insert("authorization", value);
    let request = Request {
        method: if body.is_empty() { Method::GET } else { Method::POST },
        url: "https://t.example/?from=1&to=2".to_owned(),
        headers,
        body: body.to_vec(),
        unix_s: NOW,
    };
    examine(&request.get(), config, &mut Trace::off()).err().map(word)
}

/// Times count to the second, with a fraction or without; a hash may be left out where there is no
/// body; an application counts where both name one.
#[test]
fn claims_are_exact() {
    let body = "{\"from\":\"J\u{fc}rgen\"}".as_bytes();
    for (claims, expected) in [
        (json!({}), None),
        (json!({"exp": NOW + 1}), None),
        (json!({"exp": NOW}), Some("expired")),
        (json!({"exp": NOW - 1}), Some("expired")),
        (json!({"nbf": NOW}), None),
        (json!({"nbf": NOW + 1}), Some("not_yet_valid")),
        (json!({"iat": NOW - 300}), None),
        (json!({"iat": NOW - 301}), Some("stale")),
        (json!({"iat": NOW + 300}), None),
        (json!({"iat": NOW + 301}), Some("future")),
        (json!({"iat": 1_767_225_600.25, "exp": 1_767_225_660.5}), None),
        (json!({"iat": "1767225600"}), Some("malformed_token")),
        (json!({"iat": -1}), Some("malformed_token")),
        (json!({"exp": []}), Some("malformed_token")),
        (json!({"iss": "vonage"}), Some("bad_issuer")),
        (json!({"api_key": 5}), Some("account_mismatch")),
        (json!({"application_id": "11111111-2222-4333-8444-555555555555"}), None),
        (json!({"application_id": "other"}), Some("application_mismatch")),
        (json!({"payload_hash": null}), Some("missing_payload_hash")),
        (json!({"payload_hash": 7}), Some("missing_payload_hash")),
        (json!({"payload_hash": ""}), Some("payload_mismatch")),
    ] {
        assert_eq!(found(&plain(), &claims, body).as_deref(), expected, "{claims}");
    }
    assert_eq!(found(&plain(), &json!({}), b""), None, "the hash of nothing");
    assert_eq!(found(&plain(), &json!({"payload_hash": null}), b""), None);
    // Credentials in a file need not name an application, but must name the account.
    let secret = plain().secret("signature_secret").unwrap();
    let bare = json!({"signature_secret": secret.expose(), "api_key": "0a1b2c3d"});
    let bare = RawConfig::from_stored(bare).unwrap();
    assert_eq!(found(&bare, &json!({"application_id": "any"}), body), None);
    let nobody = RawConfig::from_stored(json!({"signature_secret": secret.expose()})).unwrap();
    assert_eq!(found(&nobody, &json!({}), body).as_deref(), Some("account_mismatch"));
    assert_eq!(
        found(&nobody, &json!({"api_key": null}), body).as_deref(),
        Some("account_mismatch")
    );
    // An empty secret is none.
    let empty = RawConfig::from_stored(json!({"signature_secret": "", "api_key": "0a1b2c3d"}));
    assert!(empty.unwrap().secret("signature_secret").is_none());
}

/// A changed body is refused at its last step, which is what tells a person that something between
/// Vonage and here rewrote it.
#[test]
fn a_rewritten_body_is_explained() {
    let vectors = each("inbound_signature");
    let vector = vectors.iter().find(|vector| vector["id"] == "reserialized_body").unwrap();
    let told = explain(&Request::of(vector).get(), &plain());
    assert_eq!(told.steps.last(), Some(&"the body is the one whose SHA-256 it holds"));
    assert!(told.expected.is_some() && told.expected != told.got);
}

/// The opening of a socket is proven by Vonage's token, whose claims no document tells: by its
/// signature, by the account if it names one, by the time if it has one. Where no signature was
/// asked for, none is wanted.
#[test]
fn sockets_are_proven() {
    let vector = &each("ws_upgrade_auth")[0];
    let good = Request::of(vector);
    assert_eq!(verify_socket(&good.get(), &plain()), Ok(Certainty::Proven));
    let late = Request { unix_s: good.unix_s + 3600, ..Request::of(vector) };
    assert!(verify_socket(&late.get(), &plain()).is_err());
    let bare = Request::json(&Value::Null);
    assert!(verify_socket(&bare.get(), &plain()).is_err());
    assert_eq!(
        verify_socket(&bare.get(), &config(&json!({"sign_socket": false}))),
        Ok(Certainty::Proven)
    );
    assert_eq!(
        verify_socket(&bare.get(), &config(&json!({"signature_secret": null}))),
        Ok(Certainty::Proven)
    );
    let stranger = config(&json!({"api_key": "deadbeef"}));
    assert!(verify_socket(&good.get(), &stranger).is_err());
    let forger = config(&json!({"signature_secret": "another"}));
    assert!(verify_socket(&good.get(), &forger).is_err());
}

/// A value of one's own takes the place of the token: it alone counts, every character of it; what
/// is too short to be a secret, or no value of a header, is refused when it is entered.
#[test]
fn sockets_have_a_credential_of_their_own() {
    const OWN: &str = "Basic dGFsa3BhdGg6c2VjcmV0";
    let with = |value: &str| Request::authorized(value);
    let own = config(&json!({"socket_authorization": OWN}));
    assert_eq!(verify_socket(&with(OWN).get(), &own), Ok(Certainty::Proven));
    let signed = Request::of(&each("ws_upgrade_auth")[0]);
    assert_eq!(verify_socket(&signed.get(), &own), Err(VerifyError::Credential));
    for (at, _) in OWN.char_indices() {
        let mut other = OWN.to_owned();
        other.replace_range(at..=at, "~");
        assert_eq!(verify_socket(&with(&other).get(), &own), Err(VerifyError::Credential));
        let short = verify_socket(&with(OWN.get(..at).unwrap()).get(), &own);
        assert!(short.is_err(), "{at}");
    }
    let bare = Request::json(&Value::Null);
    assert!(verify_socket(&bare.get(), &own).is_err());
    // It needs no signature secret.
    let alone = config(&json!({"socket_authorization": OWN, "signature_secret": null}));
    assert!(verify_socket(&bare.get(), &alone).is_err());
    let mut values = Value::Object(plain().expose().clone());
    for bad in ["short", "sixteen or more \u{e9}", " blank before it", "two\nlines of text"] {
        values["socket_authorization"] = json!(bad);
        assert!(SPEC.read(&values, None).is_err(), "{bad:?}");
    }
}

/// Tokens are byte for byte those that Vonage's libraries make.
#[test]
fn vectors_of_tokens() {
    let key = vectors()["keys"]["rsa_private_pkcs8_pem"].as_str().map(Secret::new).unwrap();
    for vector in each("outbound_jwt") {
        let claims = vector["claims"].as_object().unwrap();
        // The order of the claims is that of the token.
        let part = vector["signing_input"].as_str().unwrap().split('.').nth(1).unwrap();
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        let mut ordered: Vec<(&str, Value)> =
            claims.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        ordered.sort_by_key(|(name, _)| text.find(&format!("\"{name}\":")));
        let token = jwt::sign_rs256(&key, &ordered).unwrap();
        assert_eq!(token.expose(), vector["token"].as_str().unwrap(), "{}", vector["id"]);
    }
}

/// A request to the Voice API gets the token that the vector has for its time and its random bits;
/// one with credentials of its own stays as it is.
#[test]
fn requests_get_a_token() {
    let vector = &each("outbound_jwt")[0];
    let random = 0x6a2f_41a3_c54c_4a6e_9a6f_0d0b_5f4c_1e2d_u128.to_be_bytes();
    let moment = Moment { unix_s: 1_767_225_600, random };
    let mut request = HttpRequest::get("https://api.nexmo.com/v1/calls".to_owned());
    calls::authorize(&plain(), &moment, &mut request).unwrap();
    let sent = request.headers["authorization"].to_str().unwrap();
    assert_eq!(sent.strip_prefix("Bearer "), vector["token"].as_str());
    assert!(request.headers["authorization"].is_sensitive());
    let before = request.clone();
    calls::authorize(&plain(), &Moment { unix_s: 0, random: [0; 16] }, &mut request).unwrap();
    assert_eq!(request, before);
}

/// Keys are taken in both forms, also on one line; what is no key is refused when it is entered. A
/// token of ours is good by the public key.
#[test]
fn vectors_of_keys() {
    let keys = vectors()["keys"].clone();
    let pem = |name: &str| keys[name].as_str().unwrap().to_owned();
    let one_line = pem("rsa_private_pkcs8_pem").trim().replace('\n', "\\n");
    for vector in each("private_key_formats") {
        let id = vector["id"].as_str().unwrap();
        let text = match id {
            "pkcs8_pem" => pem("rsa_private_pkcs8_pem"),
            "pkcs1_pem" => pem("rsa_private_pkcs1_pem"),
            "one_line_escaped_newlines" => one_line.clone(),
            _ => vector["value"].as_str().unwrap().to_owned(),
        };
        let given = json!({
            "application_id": "11111111-2222-4333-8444-555555555555",
            "api_key": "0a1b2c3d",
            "private_key": text,
        });
        let read = SPEC.read(&given, None);
        assert_eq!(read.is_ok(), vector["adapter_should_accept"], "{id}");
        let Ok(config) = read else { continue };
        let key = config.secret("private_key").unwrap();
        let token = jwt::sign_rs256(&key, &[("a", json!(1))]).unwrap();
        let (signed, signature) = token.expose().rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let pair = jwt::rsa_key(key.expose()).unwrap();
        let public = RsaPublicKeyComponents::<Vec<u8>>::from(
            aws_lc_rs::signature::KeyPair::public_key(&pair),
        );
        public.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature).unwrap();
    }
}
