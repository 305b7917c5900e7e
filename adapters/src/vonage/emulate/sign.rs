//! Tokens as Vonage makes and checks them. Nothing is shared with the adapter's own.

use aws_lc_rs::signature::{
    KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::config::RawConfig;

/// Longest life of a token, in seconds.
const LIFE_S_MAX: u64 = 86_400;

/// The value of `Authorization` for a webhook with that body, or for the opening of a socket.
pub(super) fn bearer(config: &RawConfig, unix_s: u64, jti: &str, body: Option<&[u8]>) -> String {
    let field = |name| config.text(name).unwrap_or_default();
    let mut claims = json!({
        "iat": unix_s,
        "jti": jti,
        "iss": "Vonage",
        "api_key": field("api_key"),
        "application_id": field("application_id"),
    });
    if let Some(body) = body {
        let mut hash = String::new();
        for byte in Sha256::digest(body) {
            hash.push_str(&format!("{byte:02x}"));
        }
        claims["payload_hash"] = Value::String(hash);
    }
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(field("signature_secret").as_bytes()) else {
        return String::new();
    };
    mac.update(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("Bearer {signed}.{signature}")
}

/// True if `Authorization` holds a good token of the application.
pub(super) fn is_application(config: &RawConfig, unix_s: u64, authorization: &str) -> bool {
    let examined = || {
        let token = authorization.strip_prefix("Bearer ")?;
        let mut parts = token.split('.');
        let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let read = |part: &str| -> Option<Value> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
        let (head, body) = (read(header)?, read(claims)?);
        let signed = token.get(..header.len() + 1 + claims.len())?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let pair = private_key(config.text("private_key")?)?;
        let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        let fits = public.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature);
        let (iat, exp) = (body["iat"].as_u64()?, body["exp"].as_u64()?);
        let timely = iat <= unix_s + 30 && exp > unix_s && exp.saturating_sub(iat) <= LIFE_S_MAX;
        let ours = body["application_id"].as_str() == config.text("application_id");
        let named = body["jti"].as_str().is_some_and(|jti| !jti.is_empty());
        Some(fits.is_ok() && head["alg"] == "RS256" && timely && ours && named)
    };
    examined().unwrap_or(false)
}

/// True if `Authorization` holds the account's key and secret.
pub(super) fn is_account(config: &RawConfig, authorization: &str) -> bool {
    let field = |name| config.text(name).unwrap_or_default();
    let pair = STANDARD.encode(format!("{}:{}", field("api_key"), field("api_secret")));
    authorization == format!("Basic {pair}")
}

fn private_key(pem: &str) -> Option<RsaKeyPair> {
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    let der = STANDARD.decode(lines.map(str::trim).collect::<String>()).ok()?;
    RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der)).ok()
}
