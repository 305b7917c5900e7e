//! How Genesys signs the request that opens a socket, step by step as its appendix on security has
//! it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, HeaderValue};
use sha2::Sha256;

use crate::exchange::HttpRequest;

/// Seconds that a signature is good for.
const EXPIRES_S: u64 = 10;

/// What the request says.
pub(super) struct Signer<'s> {
    pub(super) organisation: &'s str,
    pub(super) session: &'s str,
    pub(super) correlation: &'s str,
    pub(super) key: &'s str,
    /// The client secret, in base64; none if requests are not signed.
    pub(super) secret: Option<&'s str>,
    pub(super) nonce: &'s str,
    pub(super) unix_s: u64,
}

impl Signer<'_> {
    /// The request that opens the socket at `url`.
    pub(super) fn request(&self, url: &str) -> HttpRequest {
        let mut request = HttpRequest::get(url.to_owned());
        let mut put = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                request.headers.insert(HeaderName::from_static(name), value);
            }
        };
        put("user-agent", "GenesysCloud-AudioHook-Client");
        put("audiohook-organization-id", self.organisation);
        put("audiohook-session-id", self.session);
        put("audiohook-correlation-id", self.correlation);
        put("x-api-key", self.key);
        if let Some(secret) = self.secret {
            let parameters = format!(
                "(\"@request-target\" \"@authority\" \"audiohook-organization-id\" \
                 \"audiohook-session-id\" \"audiohook-correlation-id\" \"x-api-key\");\
                 keyid=\"{}\";nonce=\"{}\";alg=\"hmac-sha256\";created={};expires={}",
                self.key,
                self.nonce,
                self.unix_s,
                self.unix_s + EXPIRES_S,
            );
            put("signature-input", &format!("sig1={parameters}"));
            put("signature", &format!("sig1=:{}:", self.signature(url, secret, &parameters)));
        }
        request
    }

    fn signature(&self, url: &str, secret: &str, parameters: &str) -> String {
        let rest = url.split("://").nth(1).unwrap_or_default();
        let authority = rest.split('/').next().unwrap_or_default();
        let target = rest.get(authority.len()..).unwrap_or_default();
        let lines = [
            format!("\"@request-target\": {target}"),
            format!("\"@authority\": {}", authority.to_lowercase()),
            format!("\"audiohook-organization-id\": {}", self.organisation),
            format!("\"audiohook-session-id\": {}", self.session),
            format!("\"audiohook-correlation-id\": {}", self.correlation),
            format!("\"x-api-key\": {}", self.key),
            format!("\"@signature-params\": {parameters}"),
        ];
        let key = STANDARD.decode(secret).unwrap_or_default();
        // A key of any length is good.
        Hmac::<Sha256>::new_from_slice(&key).map_or_else(
            |_| String::new(),
            |mut mac| {
                mac.update(lines.join("\n").as_bytes());
                STANDARD.encode(mac.finalize().into_bytes())
            },
        )
    }
}
