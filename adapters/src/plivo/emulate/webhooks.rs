//! Webhooks: forms, signed as the carrier signs them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, HeaderValue};
use sha2::Sha256;

use crate::emulate::form;
use crate::exchange::HttpRequest;

/// A webhook by POST. What is signed is the address without its fragment, and the parameters by
/// name.
pub(super) fn post(
    token: &str,
    nonce: u64,
    url: &str,
    parameters: &[(String, String)],
) -> HttpRequest {
    let url = url.split('#').next().unwrap_or(url);
    let nonce = format!("{nonce:020}");
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut in_query = form::read(query);
    in_query.sort();
    let in_query: Vec<_> = in_query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut in_body: Vec<_> =
        parameters.iter().map(|(name, value)| format!("{name}\u{0}{value}")).collect();
    in_body.sort();
    let dot = if in_query.is_empty() { "" } else { "." };
    let signed = format!(
        "{path}?{}{dot}{}.{nonce}",
        in_query.join("&"),
        in_body.concat().replace('\u{0}', "")
    );
    let signature = Hmac::<Sha256>::new_from_slice(token.as_bytes())
        .map(|mac| STANDARD.encode(mac.chain_update(signed).finalize().into_bytes()))
        .unwrap_or_default();
    let pairs = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let body = form::write(pairs);
    let kind = "application/x-www-form-urlencoded";
    let mut request = HttpRequest::post(url.to_owned(), kind, body);
    for (name, value) in
        [("x-plivo-signature-v3", signature), ("x-plivo-signature-v3-nonce", nonce)]
    {
        if let Ok(value) = HeaderValue::from_str(&value) {
            request.headers.insert(HeaderName::from_static(name), value);
        }
    }
    request
}
