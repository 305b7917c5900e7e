//! Signatures, against those of the official libraries.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::verify;
use super::{stored, vectors};
use crate::config::RawConfig;
use crate::exchange::form;
use crate::hook::{Certainty, HookRequest, VerifyError};
use crate::secret::Secret;
use crate::signed_form;

fn headers_of(vector: &Value) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in vector["headers"].as_object().unwrap() {
        let name: HeaderName = name.to_lowercase().parse().unwrap();
        headers.append(name, HeaderValue::from_str(value.as_str().unwrap()).unwrap());
    }
    headers
}

fn pairs_of(params: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pairs = params.as_array().into_iter().flatten();
    pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

fn written(pairs: &[(String, String)]) -> String {
    let pairs: Vec<_> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    form(&pairs)
}

/// Each signature is accepted or refused as the official libraries do, whichever token it is by.
/// Those of the older kind count only where that is wanted.
#[test]
fn signatures() {
    let (mut valid, mut invalid) = (0, 0);
    for vector in vectors()["signatures"].as_array().unwrap() {
        let id = vector["id"].as_str().unwrap();
        let token = vector["auth_token"].as_str().unwrap();
        let main = vector["verify_header"].as_str().unwrap().to_lowercase().contains("-ma-");
        let config = if main {
            [("auth_id", "SA"), ("auth_token", "another"), ("main_auth_token", token)].to_vec()
        } else {
            [("auth_id", "SA"), ("auth_token", token)].to_vec()
        };
        let method: Method = vector["method"].as_str().unwrap().parse().unwrap();
        let params = pairs_of(&vector["params"]);
        let mut url = vector["url"].as_str().unwrap().to_owned();
        let mut body = written(&params);
        // What is passed apart stands in the query of a GET.
        if method == Method::GET && !body.is_empty() {
            url = format!("{url}{}{body}", if url.contains('?') { '&' } else { '?' });
            body.clear();
        }
        let headers = headers_of(vector);
        let (body, url) = (body.as_bytes(), &*url);
        let request =
            HookRequest { method: &method, url, headers: &headers, body, unix_s: 0, from: None };
        let got = verify::verify(&request, &stored(&config, true));
        assert_eq!(got.is_ok(), vector["valid"] == true, "{id}: {got:?}");
        let told = verify::explain(&request, &stored(&config, true));
        assert_eq!(told.verdict, got, "{id}");
        if got.is_ok() {
            assert_eq!(told.signed_string.as_deref(), vector["string_to_sign"].as_str(), "{id}");
        }
        if id.starts_with("v2") {
            let got = verify::verify(&request, &stored(&config, false));
            assert_eq!(got, Err(VerifyError::Method), "{id}");
            // Credentials in a file say nothing of it, and ask what was signed.
            let bare = json!({"auth_id": "MA", "auth_token": token});
            let got = verify::verify(&request, &RawConfig::from_stored(bare).unwrap());
            assert_eq!(got.is_ok(), vector["valid"] == true, "{id}: {got:?}");
        }
        *if got.is_ok() { &mut valid } else { &mut invalid } += 1;
    }
    assert!(valid >= 20 && invalid >= 18, "{valid} {invalid}");
}

/// Where the official libraries differ, we sign as the one in Python does; but what is no ASCII is
/// decoded, as the one for Node does and the one in Python cannot.
#[test]
fn divergences() {
    for vector in vectors()["divergences"].as_array().unwrap() {
        let id = vector["id"].as_str().unwrap();
        let params = vector["params"].as_object().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let params: Vec<_> = params.iter().map(|(k, v)| (k.clone(), text(v))).collect();
        // Parameters beside the query of a GET and methods in small letters do not reach us.
        if !vector["method"].as_str().unwrap().starts_with("POST") {
            continue;
        }
        let body = written(&params);
        let request = HookRequest {
            method: &Method::POST,
            url: vector["url"].as_str().unwrap(),
            headers: &HeaderMap::new(),
            body: body.as_bytes(),
            unix_s: 0,
            from: None,
        };
        let signed = signed_form::signed_v3(&request, vector["nonce"].as_str().unwrap());
        assert_eq!(signed, vector["string_to_sign"].as_str().unwrap(), "{id}");
    }
}

/// The upgrade of the media socket counts as a GET of the address with `http`, where a signature is
/// wanted; where it is only noted, what is wrong is let in and told, with the form that would be
/// right; elsewhere nothing is looked at.
#[test]
fn sockets_are_verified() {
    for vector in vectors()["socket_signatures"].as_array().unwrap() {
        let token = vector["auth_token"].as_str().unwrap();
        let config = |mode| stored(&[("auth_token", token), ("socket_signature", mode)], false);
        let headers = headers_of(vector);
        let request = HookRequest {
            method: &Method::GET,
            url: vector["upgrade_url"].as_str().unwrap(),
            headers: &headers,
            body: b"",
            unix_s: 0,
            from: None,
        };
        let got = verify::verify_socket(&request, &config("require"));
        assert_eq!(got.is_ok(), vector["valid"] == true, "{}: {got:?}", vector["id"]);
        assert_eq!(verify::verify_socket(&request, &config("off")), Ok(Certainty::Proven));
        let told = verify::explain(&request, &config("off"));
        assert_eq!(told.verdict, got.map(drop), "{}", vector["id"]);
        let noted = verify::verify_socket(&request, &config("log")).unwrap();
        let wanted = match got {
            Ok(certainty) => certainty,
            Err(error) => {
                let hint = match vector["id"].as_str().unwrap() {
                    id if id.contains("https") => Some("it is that of the address with https"),
                    id if id.contains("wss") => Some("it is that of the address with wss"),
                    _ => None,
                };
                Certainty::Doubtful { error, hint }
            }
        };
        assert_eq!(noted, wanted, "{}", vector["id"]);
        let bare = HookRequest { headers: &HeaderMap::new(), ..request };
        assert!(verify::verify_socket(&bare, &config("require")).is_err());
    }
}

proptest! {
    /// The order of parameters does not matter; any other change of one does.
    #[test]
    fn any_order_has_the_same_signature(
        mut params in proptest::collection::vec(("[a-zA-Z]{1,6}", "[ -~]{0,8}"), 1..8),
        nonce in "[0-9]{20}",
        at in any::<prop::sample::Index>(),
    ) {
        let key = Secret::new("token");
        let sign = |params: &[(String, String)]| {
            let body = written(params);
            let request = HookRequest {
                method: &Method::POST,
                url: "https://t.example/a?b=c",
                headers: &HeaderMap::new(),
                body: body.as_bytes(),
                unix_s: 0,
                from: None,
            };
            signed_form::sign(&key, &signed_form::signed_v3(&request, &nonce))
        };
        let expected = sign(&params);
        params.reverse();
        prop_assert_eq!(&sign(&params), &expected);
        let by = at.index(params.len());
        params.rotate_left(by);
        prop_assert_eq!(&sign(&params), &expected);
        let changed = at.index(params.len());
        params[changed].1.push('~');
        prop_assert_ne!(&sign(&params), &expected);
    }
}
