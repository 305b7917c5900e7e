//! WWW-Authenticate and Proxy-Authenticate (RFC 3261 20.44, RFC 7616 3.3).

use super::params::{TEXT_MAX_BYTES, each, put};
use super::{Algorithm, AuthError};

/// Most text of a challenge, in bytes: credentials repeat it and say more.
pub(super) const CHALLENGE_MAX_BYTES: usize = TEXT_MAX_BYTES / 2;

/// What a digest protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qop {
    /// Method and URI.
    Auth,
    /// The body too.
    AuthInt,
}

impl Qop {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }

    /// The one that `name` means.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Auth, Self::AuthInt]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(name))
    }
}

/// A challenge: prove that you know the password of this realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// Whose password.
    pub realm: &'a str,
    /// What the response is computed over.
    pub nonce: &'a str,
    /// What the credentials must repeat.
    pub opaque: Option<&'a str>,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The quality of protection to use: `auth` if it is offered, else `auth-int`; none of servers
    /// before RFC 2617.
    pub qop: Option<Qop>,
    /// The credentials were right, but their nonce is no longer accepted.
    pub stale: bool,
}

impl<'a> Challenge<'a> {
    /// Reads the value of one field.
    ///
    /// # Errors
    /// Why it cannot be answered.
    pub fn parse(text: &'a str) -> Result<Self, AuthError> {
        if text.len() > CHALLENGE_MAX_BYTES {
            return Err(AuthError::TooLong);
        }
        let (mut realm, mut nonce, mut opaque) = (None, None, None);
        let (mut algorithm, mut qop, mut stale, mut domain) = (None, None, None, None);
        each(text, |name, value| {
            let place = match name.to_ascii_lowercase().as_str() {
                "realm" => &mut realm,
                "nonce" => &mut nonce,
                "opaque" => &mut opaque,
                "algorithm" => &mut algorithm,
                "qop" => &mut qop,
                "stale" => &mut stale,
                // Which servers share the password: of no use to a user agent of one proxy.
                "domain" => &mut domain,
                _ => return Ok(()),
            };
            put(place, value)
        })?;
        let algorithm = match algorithm {
            None => Algorithm::Md5,
            Some(name) => Algorithm::from_name(name).ok_or(AuthError::Algorithm)?,
        };
        let qop = match qop {
            None => None,
            Some(list) => {
                let known = |wanted| {
                    list.split(',').any(|name| Qop::from_name(name.trim()) == Some(wanted))
                };
                let best = [Qop::Auth, Qop::AuthInt].into_iter().find(|qop| known(*qop));
                Some(best.ok_or(AuthError::Qop)?)
            }
        };
        Ok(Self {
            realm: realm.ok_or(AuthError::Missing)?,
            nonce: nonce.ok_or(AuthError::Missing)?,
            opaque,
            algorithm,
            qop,
            stale: stale.is_some_and(|value| value.eq_ignore_ascii_case("true")),
        })
    }

    /// The value of its field.
    pub fn to_value(&self) -> String {
        let Self { realm, nonce, opaque, algorithm, qop, stale } = self;
        let mut text = format!("Digest realm=\"{realm}\", nonce=\"{nonce}\"");
        if let Some(opaque) = opaque {
            text.push_str(&format!(", opaque=\"{opaque}\""));
        }
        text.push_str(&format!(", algorithm={}", algorithm.as_str()));
        if let Some(qop) = qop {
            text.push_str(&format!(", qop=\"{}\"", qop.as_str()));
        }
        if *stale {
            text.push_str(", stale=true");
        }
        text
    }
}
