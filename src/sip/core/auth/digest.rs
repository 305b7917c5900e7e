//! The response of digest authentication (RFC 7616 3.4.1).

use super::Algorithm;
use super::challenge::Qop;

/// Everything that a response is computed from. Values stand as they do between their quotes.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The user.
    pub username: &'a str,
    /// The realm of the challenge.
    pub realm: &'a str,
    /// The user's password.
    pub password: &'a str,
    /// The nonce of the challenge.
    pub nonce: &'a str,
    /// The client's nonce; empty without quality of protection.
    pub cnonce: &'a str,
    /// How often the nonce was used, in eight hexadecimal digits.
    pub nc: &'a str,
    /// The quality of protection; none as before RFC 2617.
    pub qop: Option<Qop>,
    /// The method of the request.
    pub method: &'a str,
    /// The URI as the credentials name it.
    pub uri: &'a str,
    /// The body, which `auth-int` covers.
    pub body: &'a [u8],
}

impl Input<'_> {
    /// The response: hexadecimal digits in small letters.
    pub fn response(&self) -> String {
        let hash = |parts: &[&[u8]]| self.algorithm.hash(parts);
        let nonce = self.nonce.as_bytes();
        let cnonce = self.cnonce.as_bytes();
        let mut key =
            hash(&[self.username.as_bytes(), self.realm.as_bytes(), self.password.as_bytes()]);
        if self.algorithm.is_session() {
            key = hash(&[key.as_bytes(), nonce, cnonce]);
        }
        let (method, uri) = (self.method.as_bytes(), self.uri.as_bytes());
        let what = match self.qop {
            Some(Qop::AuthInt) => hash(&[method, uri, hash(&[self.body]).as_bytes()]),
            Some(Qop::Auth) | None => hash(&[method, uri]),
        };
        match self.qop {
            None => hash(&[key.as_bytes(), nonce, what.as_bytes()]),
            Some(qop) => hash(&[
                key.as_bytes(),
                nonce,
                self.nc.as_bytes(),
                cnonce,
                qop.as_str().as_bytes(),
                what.as_bytes(),
            ]),
        }
    }
}
