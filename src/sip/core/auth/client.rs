//! The side that is challenged (RFC 3261 22.2, 22.3, RFC 7616 3.4).

use std::sync::Arc;

use thiserror::Error;

use super::{Account, Algorithm, Challenge, Credentials, Input, Qop};
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;

/// Realms whose challenges are remembered: every proxy on the way may have its own.
const REALMS_MAX: usize = 4;
/// Challenges of one response that are looked at.
const CHALLENGES_MAX: usize = 16;
/// Challenges that one request answers, several proxies and stale nonces together.
const ROUNDS_MAX: u8 = 6;

/// Why a challenge is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AuthFailure {
    /// None of the challenges can be read or has an algorithm that is known here.
    #[error("no challenge that can be answered")]
    Unknown,
    /// The challenge is of a realm that the account is not for.
    #[error("the challenge is of another realm")]
    Realm,
    /// The credentials were refused.
    #[error("the credentials were refused")]
    Refused,
    /// It was challenged again and again.
    #[error("challenged too often")]
    TooOften,
}

/// What is known of one realm.
#[derive(Clone, Debug)]
struct Session {
    proxy: bool,
    realm: Box<str>,
    nonce: Box<str>,
    opaque: Option<Box<str>>,
    algorithm: Algorithm,
    qop: Option<Qop>,
    cnonce: Box<str>,
    nc: u32,
    /// Credentials for it were sent and not refused.
    accepted: bool,
}

/// Answers challenges with one account, and remembers them for the requests that follow.
#[derive(Clone, Debug)]
pub struct DigestClient {
    account: Arc<Account>,
    sessions: Vec<Session>,
    rounds: u8,
}

impl DigestClient {
    /// A client that knows no challenge yet.
    pub const fn new(account: Arc<Account>) -> Self {
        Self { account, sessions: Vec::new(), rounds: 0 }
    }

    /// Whether requests carry credentials by now.
    pub const fn is_active(&self) -> bool {
        !self.sessions.is_empty()
    }

    /// A request was accepted as far as its credentials go: anything but 401 and 407.
    pub fn accepted(&mut self) {
        self.rounds = 0;
        for session in &mut self.sessions {
            session.accepted = session.nc > 0;
        }
    }

    /// Takes the challenges of a 401 or 407. `cnonce` is a random number.
    ///
    /// # Errors
    /// Why the request cannot be sent again with credentials.
    pub fn challenged(&mut self, response: &Message, cnonce: u64) -> Result<(), AuthFailure> {
        self.rounds = self.rounds.saturating_add(1);
        if self.rounds > ROUNDS_MAX {
            return Err(AuthFailure::TooOften);
        }
        let mut taken: Vec<(bool, Box<str>)> = Vec::new();
        let mut failure = AuthFailure::Unknown;
        for (proxy, field) in
            [(false, HeaderName::WwwAuthenticate), (true, HeaderName::ProxyAuthenticate)]
        {
            for text in response.headers(field).take(CHALLENGES_MAX) {
                let Ok(challenge) = Challenge::parse(text) else { continue };
                if !self.account.is_of(challenge.realm) {
                    failure = AuthFailure::Realm;
                    continue;
                }
                // RFC 8760 2.4: the topmost of a realm that is understood.
                if taken.iter().any(|(p, realm)| *p == proxy && **realm == *challenge.realm) {
                    continue;
                }
                self.take(proxy, &challenge, cnonce)?;
                taken.push((proxy, challenge.realm.into()));
            }
        }
        if taken.is_empty() { Err(failure) } else { Ok(()) }
    }

    fn take(
        &mut self,
        proxy: bool,
        challenge: &Challenge<'_>,
        cnonce: u64,
    ) -> Result<(), AuthFailure> {
        let full = self.sessions.len() >= REALMS_MAX;
        let known = self
            .sessions
            .iter_mut()
            .find(|session| session.proxy == proxy && *session.realm == *challenge.realm);
        let session = Session {
            proxy,
            realm: challenge.realm.into(),
            nonce: challenge.nonce.into(),
            opaque: challenge.opaque.map(Into::into),
            algorithm: challenge.algorithm,
            qop: challenge.qop,
            cnonce: format!("{cnonce:016x}").into(),
            nc: 0,
            accepted: false,
        };
        match known {
            None if full => return Err(AuthFailure::TooOften),
            None => self.sessions.push(session),
            Some(old) => {
                // Some servers give a new nonce without saying that the old one is stale: after
                // credentials that were good once, that is what it means.
                let renewed = (challenge.stale || old.accepted) && *old.nonce != *challenge.nonce;
                if old.nc > 0 && !renewed {
                    return Err(AuthFailure::Refused);
                }
                *old = session;
            }
        }
        Ok(())
    }

    /// The credentials of the next request: header fields and their values. Counts each nonce.
    pub fn headers(&mut self, method: &str, uri: &str, body: &[u8]) -> Vec<(HeaderName, String)> {
        let account = &self.account;
        self.sessions
            .iter_mut()
            .map(|session| {
                session.nc = session.nc.saturating_add(1);
                let nc = format!("{:08x}", session.nc);
                let bare = session.qop.is_none() && !session.algorithm.is_session();
                let cnonce = if bare { "" } else { &*session.cnonce };
                let response = Input {
                    algorithm: session.algorithm,
                    username: account.username(),
                    realm: &session.realm,
                    password: account.password(),
                    nonce: &session.nonce,
                    cnonce,
                    nc: &nc,
                    qop: session.qop,
                    method,
                    uri,
                    body,
                }
                .response();
                let credentials = Credentials {
                    username: account.username(),
                    realm: &session.realm,
                    nonce: &session.nonce,
                    uri,
                    response: &response,
                    algorithm: session.algorithm,
                    opaque: session.opaque.as_deref(),
                    qop: session.qop,
                    nc: &nc,
                    cnonce,
                };
                let field = if session.proxy {
                    HeaderName::ProxyAuthorization
                } else {
                    HeaderName::Authorization
                };
                (field, credentials.to_value())
            })
            .collect()
    }
}
