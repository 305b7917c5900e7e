//! Webhooks: forms, signed as the carrier signs them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, HeaderValue};
use sha2::Sha256;

use crate::emulate::form;
use crate::exchange::HttpRequest;

/// A webhook by POST, signed in both versions. What is signed is the address without its query; and
/// the parameters are not.
pub(super) fn post(
    token: &str,
    nonce: u64,
    url: &str,
    parameters: &[(String, String)],
) -> HttpRequest {
    let nonce = format!("{nonce:020}");
    let bare = url.split(['?', '#']).next().unwrap_or(url);
    let sign = |signed: String| {
        Hmac::<Sha256>::new_from_slice(token.as_bytes())
            .map(|mac| STANDARD.encode(mac.chain_update(signed).finalize().into_bytes()))
            .unwrap_or_default()
    };
    let pairs = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let body = form::write(pairs);
    let kind = "application/x-www-form-urlencoded";
    let mut request = HttpRequest::post(url.to_owned(), kind, body);
    for (name, value) in [
        ("user-agent", "Vobiz".to_owned()),
        ("x-vobiz-signature-v2", sign(format!("{bare}{nonce}"))),
        ("x-vobiz-signature-v2-nonce", nonce.clone()),
        ("x-vobiz-signature-v3", sign(format!("{bare}.{nonce}"))),
        ("x-vobiz-signature-v3-nonce", nonce),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            request.headers.insert(HeaderName::from_static(name), value);
        }
    }
    request
}
