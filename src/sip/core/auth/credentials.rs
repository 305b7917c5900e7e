//! Authorization and Proxy-Authorization (RFC 3261 20.7, RFC 7616 3.4).

use std::fmt;

use super::challenge::Qop;
use super::digest::Input;
use super::params::{each, put};
use super::{Algorithm, AuthError};

/// The proof that somebody knows a password. Values stand as they do between their quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// The user.
    pub username: &'a str,
    /// The realm of the challenge.
    pub realm: &'a str,
    /// The nonce of the challenge.
    pub nonce: &'a str,
    /// The URI that the response covers.
    pub uri: &'a str,
    /// The response, in hexadecimal digits.
    pub response: &'a str,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// What the challenge wanted repeated.
    pub opaque: Option<&'a str>,
    /// The quality of protection, with which come `nc` and `cnonce`.
    pub qop: Option<Qop>,
    /// How often the nonce was used: eight hexadecimal digits.
    pub nc: &'a str,
    /// The client's nonce.
    pub cnonce: &'a str,
}

/// Without the user, who may be a telephone number, and the response, which could be guessed at.
impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("realm", &self.realm)
            .field("algorithm", &self.algorithm)
            .field("qop", &self.qop)
            .finish_non_exhaustive()
    }
}

impl<'a> Credentials<'a> {
    /// Reads the value of one field.
    ///
    /// # Errors
    /// Why they prove nothing.
    pub fn parse(text: &'a str) -> Result<Self, AuthError> {
        let (mut username, mut realm, mut nonce, mut uri) = (None, None, None, None);
        let (mut response, mut algorithm, mut opaque) = (None, None, None);
        let (mut qop, mut nc, mut cnonce) = (None, None, None);
        each(text, |name, value| {
            let place = match name.to_ascii_lowercase().as_str() {
                "username" => &mut username,
                "realm" => &mut realm,
                "nonce" => &mut nonce,
                "uri" => &mut uri,
                "response" => &mut response,
                "algorithm" => &mut algorithm,
                "opaque" => &mut opaque,
                "qop" => &mut qop,
                "nc" => &mut nc,
                "cnonce" => &mut cnonce,
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
            Some(name) => Some(Qop::from_name(name).ok_or(AuthError::Qop)?),
        };
        let needed = |value: Option<&'a str>| value.ok_or(AuthError::Missing);
        let credentials = Self {
            username: needed(username)?,
            realm: needed(realm)?,
            nonce: needed(nonce)?,
            uri: needed(uri)?,
            response: needed(response)?,
            algorithm,
            opaque,
            qop,
            nc: if qop.is_some() { needed(nc)? } else { nc.unwrap_or_default() },
            cnonce: if qop.is_some() { needed(cnonce)? } else { cnonce.unwrap_or_default() },
        };
        if qop.is_some() && credentials.count().is_none() {
            return Err(AuthError::NonceCount);
        }
        Ok(credentials)
    }

    /// How often the nonce was used, this time included.
    pub fn count(&self) -> Option<u32> {
        let digits = self.nc.len() == 8 && self.nc.bytes().all(|byte| byte.is_ascii_hexdigit());
        if digits { u32::from_str_radix(self.nc, 16).ok() } else { None }
    }

    /// The response that `password` demands for a request.
    pub fn expected(&self, password: &str, method: &str, body: &[u8]) -> String {
        Input {
            algorithm: self.algorithm,
            username: self.username,
            realm: self.realm,
            password,
            nonce: self.nonce,
            cnonce: self.cnonce,
            nc: self.nc,
            qop: self.qop,
            method,
            uri: self.uri,
            body,
        }
        .response()
    }

    /// The value of their field.
    pub fn to_value(&self) -> String {
        let Self { username, realm, nonce, uri, response, algorithm, .. } = self;
        let algorithm = algorithm.as_str();
        let mut text = format!(
            "Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", algorithm={algorithm}"
        );
        if let Some(opaque) = self.opaque {
            text.push_str(&format!(", opaque=\"{opaque}\""));
        }
        match self.qop {
            Some(qop) => {
                let (qop, nc, cnonce) = (qop.as_str(), self.nc, self.cnonce);
                text.push_str(&format!(", qop={qop}, nc={nc}, cnonce=\"{cnonce}\""));
            }
            // The key of a session needs the client's nonce even without protection.
            None if self.algorithm.is_session() => {
                text.push_str(&format!(", cnonce=\"{}\"", self.cnonce));
            }
            None => {}
        }
        text
    }
}
