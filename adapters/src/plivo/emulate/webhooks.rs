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
    let in_query = sorted(query);
    let mut in_body: Vec<_> =
        parameters.iter().map(|(name, value)| format!("{name}\u{0}{value}")).collect();
    in_body.sort();
    let dot = if in_query.is_empty() { "" } else { "." };
    let signed = format!("{path}?{in_query}{dot}{}.{nonce}", in_body.concat().replace('\u{0}', ""));
    let pairs = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let body = form::write(pairs);
    let kind = "application/x-www-form-urlencoded";
    signed_with(HttpRequest::post(url.to_owned(), kind, body), token, &signed, &nonce)
}

/// The request that opens a media socket: signed as a GET of its address over plain HTTP.
pub(super) fn upgrade(token: &str, nonce: u64, url: &str) -> HttpRequest {
    let nonce = format!("{nonce:020}");
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mark = if query.is_empty() { "" } else { "?" };
    let signed = format!("http://{path}{mark}{}.{nonce}", sorted(query));
    signed_with(HttpRequest::get(url.to_owned()), token, &signed, &nonce)
}

/// The parameters of a query, in the order of their names.
fn sorted(query: &str) -> String {
    let mut pairs = form::read(query);
    pairs.sort();
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

fn signed_with(mut request: HttpRequest, token: &str, text: &str, nonce: &str) -> HttpRequest {
    let signature = Hmac::<Sha256>::new_from_slice(token.as_bytes())
        .map(|mac| STANDARD.encode(mac.chain_update(text).finalize().into_bytes()))
        .unwrap_or_default();
    for (name, value) in
        [("x-plivo-signature-v3", signature.as_str()), ("x-plivo-signature-v3-nonce", nonce)]
    {
        if let Ok(value) = HeaderValue::from_str(value) {
            request.headers.insert(HeaderName::from_static(name), value);
        }
    }
    request
}
