//! Sessions of the web pages: a cookie in place of a key.
//!
//! The cookie is not readable by scripts, and browsers send it with no request that another site
//! causes (`SameSite=Strict`). Whatever changes something also shows a token that only our own
//! pages can know; it follows from the cookie, so that none has to be kept.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, Method, header};
use sha2::{Digest, Sha256};

use super::known::Known;
use super::problem::{Kind, Problem};
use crate::config::Secret;
use crate::store::Timestamp;
use crate::store::keys::KeyHash;

/// How long a session holds.
pub(super) const SESSION: Duration = Duration::from_secs(12 * 3_600);
/// Name of the cookie.
pub(super) const COOKIE: &str = "talkpath_session";
/// Carries the token that whatever changes something has to show.
pub(super) const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");
/// Random bytes of a session.
const TOKEN_BYTES: usize = 32;
/// Longest cookie that is looked up.
const TOKEN_BYTES_MAX: usize = 128;
/// What the token of a session is derived for.
const PURPOSE: &[u8] = b"talkpath csrf 1";

/// A session that a request belongs to.
#[derive(Clone, Debug)]
pub(super) struct Session {
    token: Secret,
    /// When it ends by itself.
    pub(super) expires_at: Timestamp,
}

impl Session {
    /// The session of this token.
    pub(super) const fn new(token: Secret, expires_at: Timestamp) -> Self {
        Self { token, expires_at }
    }

    /// A new one.
    ///
    /// # Errors
    ///
    /// If the system has no random bytes.
    pub(super) fn begin() -> Result<Self, Problem> {
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes)
            .map_err(|_| Problem::new(Kind::Internal, "there is no randomness"))?;
        let token = Secret::new(URL_SAFE_NO_PAD.encode(bytes));
        Ok(Self { token, expires_at: Timestamp::now().after(SESSION) })
    }

    /// Lets it be known as one that holds.
    pub(super) fn note(&self, known: &Known) {
        known.note(self.token.expose(), true);
    }

    /// What it is found by.
    pub(super) fn hash(&self) -> KeyHash {
        hash(self.token.expose())
    }

    fn mac(&self) -> Option<Hmac<Sha256>> {
        // A key of any length is one.
        let mac = Hmac::<Sha256>::new_from_slice(self.token.expose().as_bytes()).ok()?;
        Some(mac.chain_update(PURPOSE))
    }

    /// What whoever changes something has to show.
    pub(super) fn csrf(&self) -> String {
        let code = self.mac().map(|mac| mac.finalize().into_bytes());
        code.map(|code| URL_SAFE_NO_PAD.encode(code)).unwrap_or_default()
    }

    /// Whether a request may come from nowhere but our own pages.
    ///
    /// # Errors
    ///
    /// The problem to answer if it may.
    pub(super) fn check(
        &self,
        method: &Method,
        headers: &HeaderMap,
        own: &[&str],
    ) -> Result<(), Problem> {
        let refused = || Problem::new(Kind::Csrf, "send the token of the session in X-CSRF-Token");
        if headers.contains_key(header::UPGRADE) {
            // Scripts give a WebSocket no headers, and browsers ask nobody before they open one.
            let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
            let authority = origin.and_then(|origin| origin.split_once("://")).map(|(_, at)| at);
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
            let known = authority.is_some_and(|at| Some(at) == host || own.contains(&at));
            return if known { Ok(()) } else { Err(refused()) };
        }
        if method.is_safe() {
            return Ok(());
        }
        let shown = headers.get(CSRF_HEADER).and_then(|token| URL_SAFE_NO_PAD.decode(token).ok());
        let right =
            shown.zip(self.mac()).is_some_and(|(code, mac)| mac.verify_slice(&code).is_ok());
        if right { Ok(()) } else { Err(refused()) }
    }

    /// The header that gives the cookie to a browser.
    pub(super) fn cookie(&self, secure: bool) -> String {
        set(self.token.expose(), SESSION.as_secs(), secure)
    }
}

/// The header that takes it away.
pub(super) fn no_cookie(secure: bool) -> String {
    set("", 0, secure)
}

fn set(value: &str, max_age_s: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}")
}

/// The token that a request's cookie carries.
pub(super) fn presented(headers: &HeaderMap) -> Option<Secret> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    let (_, token) = pairs.find(|(name, _)| name.trim() == COOKIE)?;
    let token = token.trim();
    let fits = (1..=TOKEN_BYTES_MAX).contains(&token.len());
    fits.then(|| Secret::new(token.to_owned()))
}

/// What a session is found by.
pub(super) fn hash(token: &str) -> KeyHash {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    /// The cookie is found among others, in any number of headers; what is too long is none.
    #[test]
    fn cookies() {
        let token = |pairs: &[(&'static str, &str)]| {
            presented(&headers(pairs)).map(|token| token.expose().to_owned())
        };
        assert_eq!(token(&[("cookie", "a=b; talkpath_session=xyz; c=d")]).as_deref(), Some("xyz"));
        assert_eq!(token(&[("cookie", "talkpath_session=")]), None);
        assert_eq!(token(&[("cookie", "xtalkpath_session=1; talkpath_sessionx=2")]), None);
        let long = format!("talkpath_session={}", "x".repeat(TOKEN_BYTES_MAX + 1));
        assert_eq!(token(&[("cookie", &long)]), None);
        assert_eq!(token(&[]), None);
    }

    /// Reading needs no token; changing needs that of this session; a WebSocket needs a page of
    /// ours.
    #[test]
    fn requests_of_other_sites() {
        let session = Session::begin().unwrap();
        let check = |method: Method, pairs: &[(&'static str, &str)]| {
            session.check(&method, &headers(pairs), &["voice.example.com"]).is_ok()
        };
        assert!(check(Method::GET, &[]));
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            assert!(!check(method.clone(), &[]));
            assert!(!check(method.clone(), &[("x-csrf-token", "")]));
            let other = Session::begin().unwrap().csrf();
            assert!(!check(method.clone(), &[("x-csrf-token", &other)]));
            assert!(check(method, &[("x-csrf-token", &session.csrf())]));
        }
        let upgrade = |origin: &str| {
            let pairs = [("upgrade", "websocket"), ("host", "127.0.0.1:8080"), ("origin", origin)];
            check(Method::GET, &pairs)
        };
        assert!(upgrade("http://127.0.0.1:8080") && upgrade("https://voice.example.com"));
        assert!(!upgrade("https://evil.example") && !upgrade("null"));
        assert!(!check(Method::GET, &[("upgrade", "websocket"), ("host", "a")]));
    }

    /// The cookie says what browsers need to keep it to themselves.
    #[test]
    fn what_the_cookie_says() {
        let session = Session::begin().unwrap();
        let text = session.cookie(true);
        for part in ["; HttpOnly", "; SameSite=Strict", "; Secure", "; Path=/", "; Max-Age=43200"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!session.cookie(false).contains("Secure"));
        assert!(no_cookie(false).starts_with("talkpath_session=; Path=/; Max-Age=0"));
        assert!(!format!("{session:?}").contains(session.token.expose()));
    }
}
