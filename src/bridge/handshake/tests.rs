//! RFC 6455 4: what both sides send, accept and refuse.

use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, StatusCode, Version};

use super::{ClientKey, HandshakeError, accept_value, check_request};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const GET: Method = Method::GET;
const HTTP: Version = Version::HTTP_11;

fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
    let pair =
        |(name, value): &(HeaderName, &str)| (name.clone(), HeaderValue::from_str(value).unwrap());
    pairs.iter().map(pair).collect()
}

fn request() -> HeaderMap {
    headers(&[
        (UPGRADE, "websocket"),
        (CONNECTION, "Upgrade"),
        (SEC_WEBSOCKET_VERSION, "13"),
        (SEC_WEBSOCKET_KEY, KEY),
    ])
}

fn response() -> HeaderMap {
    headers(&[(UPGRADE, "websocket"), (CONNECTION, "Upgrade"), (SEC_WEBSOCKET_ACCEPT, ACCEPT)])
}

fn sample_key() -> ClientKey {
    ClientKey::new(*b"the sample nonce")
}

/// The example of RFC 6455 1.3, from both sides.
#[test]
fn rfc_example() {
    assert_eq!(accept_value(KEY.as_bytes()), ACCEPT);
    assert_eq!(sample_key().request_headers(&[]), request());
    let upgrade = check_request(&GET, HTTP, &request(), &[]).unwrap();
    assert_eq!(upgrade.response_headers(), response());
    let status = StatusCode::SWITCHING_PROTOCOLS;
    assert_eq!(sample_key().check_response(status, &response(), &[]), Ok(None));
}

/// A request is accepted in every spelling that RFC 6455 and RFC 9110 allow.
#[test]
fn tolerated_requests() {
    for (name, value) in [
        (CONNECTION, "keep-alive, Upgrade"),
        (CONNECTION, "upgrade"),
        (UPGRADE, "WebSocket"),
        (UPGRADE, "h2c, websocket"),
        (SEC_WEBSOCKET_EXTENSIONS, "permessage-deflate; client_max_window_bits"),
    ] {
        let mut headers = request();
        headers.insert(name, HeaderValue::from_static(value));
        let upgrade = check_request(&GET, HTTP, &headers, &[]).unwrap();
        let answer = upgrade.response_headers();
        assert!(!answer.contains_key(SEC_WEBSOCKET_EXTENSIONS), "{value}");
        assert_eq!(answer[SEC_WEBSOCKET_ACCEPT], ACCEPT);
    }
    let mut split = request();
    split.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
    split.append(CONNECTION, HeaderValue::from_static("Upgrade"));
    assert!(check_request(&GET, HTTP, &split, &[]).is_ok());
}

/// Every fault of a request is named and has its status, and an upgrade that would do is told.
#[test]
fn refused_requests() {
    use HandshakeError as E;
    let refused = |headers: &HeaderMap| check_request(&GET, HTTP, headers, &[]).unwrap_err();
    for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_VERSION, SEC_WEBSOCKET_KEY] {
        let mut headers = request();
        headers.remove(&name);
        let wanted = match name.as_str() {
            "sec-websocket-version" => E::WebSocketVersion,
            "sec-websocket-key" => E::Key,
            _ => E::NotUpgrade,
        };
        assert_eq!(refused(&headers), wanted, "{name}");
    }
    for (name, value, wanted) in [
        (CONNECTION, "close", E::NotUpgrade),
        (CONNECTION, "upgraded", E::NotUpgrade),
        (UPGRADE, "websockets", E::NotUpgrade),
        (SEC_WEBSOCKET_VERSION, "8", E::WebSocketVersion),
        (SEC_WEBSOCKET_KEY, "", E::Key),
        (SEC_WEBSOCKET_KEY, "AAAA", E::Key),
        (SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ", E::Key),
        (SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZSE=", E::Key),
        (SEC_WEBSOCKET_KEY, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", E::Key),
        (SEC_WEBSOCKET_KEY, "@GhlIHNhbXBsZSBub25jZQ==", E::Key),
    ] {
        let mut headers = request();
        headers.insert(name, HeaderValue::from_static(value));
        assert_eq!(refused(&headers), wanted, "{value}");
    }
    for name in [SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION] {
        let mut headers = request();
        let twice = headers[&name].clone();
        headers.append(name.clone(), twice);
        assert!(matches!(refused(&headers), E::Key | E::WebSocketVersion), "{name} twice");
    }
    let post = check_request(&Method::POST, HTTP, &request(), &[]).unwrap_err();
    assert_eq!((post, post.status().as_u16()), (E::Method, 405));
    let old = check_request(&GET, Version::HTTP_10, &request(), &[]).unwrap_err();
    assert_eq!((old, old.status().as_u16()), (E::HttpVersion, 505));
    assert_eq!(E::Key.status().as_u16(), 400);
    for error in [E::WebSocketVersion, E::NotUpgrade] {
        assert_eq!(error.status().as_u16(), 426);
        assert_eq!(error.headers()[SEC_WEBSOCKET_VERSION], "13");
        assert_eq!(error.headers()[UPGRADE], "websocket");
    }
}

/// Our preference decides among what the client offers, in one header or several.
#[test]
fn server_chooses_a_subprotocol() {
    let spoken = ["b.v2", "b.v1"];
    let choose = |offers: &[&str], spoken: &[&'static str]| {
        let mut headers = request();
        for offer in offers {
            headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(offer).unwrap());
        }
        check_request(&GET, HTTP, &headers, spoken).map(|upgrade| {
            let header = upgrade.response_headers().remove(SEC_WEBSOCKET_PROTOCOL);
            assert_eq!(header.as_ref().and_then(|h| h.to_str().ok()), upgrade.subprotocol());
            upgrade.subprotocol()
        })
    };
    assert_eq!(choose(&["b.v1, b.v2"], &spoken), Ok(Some("b.v2")));
    assert_eq!(choose(&["x", "b.v1"], &spoken), Ok(Some("b.v1")));
    assert_eq!(choose(&["b.v1"], &[]), Ok(None));
    assert_eq!(choose(&[], &spoken), Ok(None));
    for foreign in ["x", "B.V1", "b.v", "b.v11"] {
        assert_eq!(choose(&[foreign], &spoken), Err(HandshakeError::NoSubprotocol));
    }
}

/// Every fault of an answer ends the attempt.
#[test]
fn refused_responses() {
    use HandshakeError as E;
    let status = StatusCode::SWITCHING_PROTOCOLS;
    let check = |headers: &HeaderMap| sample_key().check_response(status, headers, &["a", "b"]);
    for (name, value, wanted) in [
        (CONNECTION, "close", Err(E::NotUpgrade)),
        (UPGRADE, "h2c", Err(E::NotUpgrade)),
        (SEC_WEBSOCKET_ACCEPT, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo", Err(E::Accept)),
        (SEC_WEBSOCKET_ACCEPT, "S3pPLMBiTxaQ9kYGzzhZRbK+xOo=", Err(E::Accept)),
        (SEC_WEBSOCKET_EXTENSIONS, "permessage-deflate", Err(E::Extension)),
        (SEC_WEBSOCKET_PROTOCOL, "c", Err(E::SubprotocolNotOffered)),
        (SEC_WEBSOCKET_PROTOCOL, "a, b", Err(E::SubprotocolNotOffered)),
        (SEC_WEBSOCKET_PROTOCOL, "b", Ok(Some("b"))),
    ] {
        let mut headers = response();
        headers.insert(name, HeaderValue::from_static(value));
        assert_eq!(check(&headers), wanted, "{value}");
    }
    for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT] {
        let mut headers = response();
        headers.remove(&name);
        assert!(check(&headers).is_err(), "{name}");
    }
    let ok = sample_key().check_response(StatusCode::OK, &response(), &[]);
    assert_eq!(ok, Err(E::Status(StatusCode::OK)));
    let other = ClientKey::new([0; 16]).check_response(status, &response(), &[]);
    assert_eq!(other, Err(E::Accept));
}

/// What a client sends, a server takes, whatever the key; and the answer fits only that key.
#[test]
fn both_sides_agree() {
    for seed in 0..50u8 {
        let key = ClientKey::new([seed.wrapping_mul(77); 16]);
        let request = key.request_headers(&["talk.v1", "talk.v1.mux"]);
        assert_eq!(request[SEC_WEBSOCKET_PROTOCOL], "talk.v1, talk.v1.mux");
        let upgrade = check_request(&GET, HTTP, &request, &["talk.v1.mux"]).unwrap();
        let answer = upgrade.response_headers();
        let status = StatusCode::SWITCHING_PROTOCOLS;
        let chosen = key.check_response(status, &answer, &["talk.v1", "talk.v1.mux"]);
        assert_eq!(chosen, Ok(Some("talk.v1.mux")));
    }
    let odd = sample_key().request_headers(&["bad\nname"]);
    assert!(!odd.contains_key(SEC_WEBSOCKET_PROTOCOL));
}
