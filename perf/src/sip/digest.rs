//! Digest authentication of a caller (RFC 2617, RFC 7616, RFC 8760), as much of it as trunks ask
//! for: MD5, SHA-256 and SHA-512/256, with `qop=auth` or without.

use std::fmt::Write as _;

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};

use super::access::Account;
use super::text::Message;

/// Realms whose challenges are remembered: each proxy on the way may have its own.
const REALMS_MAX: usize = 4;

/// Challenges that one request is sent again for: several proxies, and nonces that became stale.
const ROUNDS_MAX: u8 = 4;

/// Why a challenge is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub(crate) enum Denied {
    /// There is nobody to answer it as.
    #[error("the trunk asks for a password: give --user NAME, and TALKPATH_SIP_PASSWORD")]
    NoAccount,
    /// It came again, and not because the nonce was too old.
    #[error("the trunk refuses these credentials")]
    Refused,
    /// None has an algorithm and a quality of protection that are known here.
    #[error("no challenge of the trunk is known: digest by MD5, SHA-256 or SHA-512-256, qop=auth")]
    Unknown,
    /// New ones came without end.
    #[error("the trunk challenges again and again")]
    TooOften,
}

/// A hash that responses are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Md5,
    Sha256,
    Sha512t256,
}

impl Algorithm {
    const ALL: [Self; 3] = [Self::Md5, Self::Sha256, Self::Sha512t256];

    const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512t256 => "SHA-512-256",
        }
    }

    /// The hash in hexadecimal digits.
    fn hash(self, text: &str) -> String {
        let bytes = match self {
            Self::Md5 => Md5::digest(text).to_vec(),
            Self::Sha256 => Sha256::digest(text).to_vec(),
            Self::Sha512t256 => Sha512_256::digest(text).to_vec(),
        };
        bytes.iter().fold(String::new(), |mut hex, byte| {
            // Writing into a `String` cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// A challenge that can be answered. Values stand as they do between their quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Challenge<'a> {
    realm: &'a str,
    nonce: &'a str,
    opaque: Option<&'a str>,
    /// MD5 if it names none.
    algorithm: Option<Algorithm>,
    has_qop: bool,
    is_stale: bool,
}

impl<'a> Challenge<'a> {
    /// Reads the value of a header field; `None` if it cannot be answered.
    fn read(value: &'a str) -> Option<Self> {
        let (scheme, mut rest) = value.trim_start().split_once([' ', '\t'])?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let (mut realm, mut nonce) = (None, None);
        let mut challenge = Self::default();
        while let Some((name, value, behind)) = parameter(rest) {
            rest = behind;
            match name.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "nonce" => nonce = Some(value),
                "opaque" => challenge.opaque = Some(value),
                "stale" => challenge.is_stale = value.eq_ignore_ascii_case("true"),
                "algorithm" => {
                    let is_it = |known: &Algorithm| known.name().eq_ignore_ascii_case(value);
                    challenge.algorithm = Some(Algorithm::ALL.into_iter().find(is_it)?);
                }
                "qop" => {
                    let auth = |one: &str| one.trim().eq_ignore_ascii_case("auth");
                    challenge.has_qop = value.split(',').any(auth);
                    if !challenge.has_qop {
                        return None;
                    }
                }
                _ => {}
            }
        }
        Some(Self { realm: realm?, nonce: nonce?, ..challenge })
    }
}

/// The first parameter: its name, its value without quotes, and what is behind it.
fn parameter(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once('=')?;
    let name = name.trim_matches([',', ' ', '\t']);
    let rest = rest.trim_start();
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find(',').unwrap_or(rest.len());
        let (value, behind) = rest.split_at(end);
        // What is not quoted is a token, and has at least one letter.
        return (end > 0).then(|| (name, value.trim_end(), behind));
    };
    let mut is_escaped = false;
    let end = quoted.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    })?;
    Some((name, quoted.get(..end)?, quoted.get(end + 1..)?))
}

/// What is known of one realm.
#[derive(Clone, Debug)]
struct Session {
    /// Whose it is: a proxy's, or the server's.
    is_proxy: bool,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Option<Algorithm>,
    has_qop: bool,
    cnonce: String,
    /// Requests that the nonce was used for.
    count: u32,
    /// One of them was let pass.
    is_accepted: bool,
}

impl Session {
    fn new(is_proxy: bool, challenge: &Challenge<'_>) -> Self {
        Self {
            is_proxy,
            realm: challenge.realm.to_owned(),
            nonce: challenge.nonce.to_owned(),
            opaque: challenge.opaque.map(str::to_owned),
            algorithm: challenge.algorithm,
            has_qop: challenge.has_qop,
            cnonce: format!("{:016x}", fastrand::u64(..)),
            count: 0,
            is_accepted: false,
        }
    }

    /// `response` (RFC 7616 3.4.1; without quality of protection RFC 2617 3.2.2.1).
    fn response(&self, account: &Account, method: &str, uri: &str) -> String {
        let Self { realm, nonce, cnonce, count, .. } = self;
        let algorithm = self.algorithm.unwrap_or(Algorithm::Md5);
        let (user, password) = (account.user(), account.password());
        let key = algorithm.hash(&format!("{user}:{realm}:{password}"));
        let what = algorithm.hash(&format!("{method}:{uri}"));
        if self.has_qop {
            algorithm.hash(&format!("{key}:{nonce}:{count:08x}:{cnonce}:auth:{what}"))
        } else {
            algorithm.hash(&format!("{key}:{nonce}:{what}"))
        }
    }

    /// The header line for the next request.
    fn line(&mut self, account: &Account, method: &str, uri: &str) -> String {
        self.count = self.count.saturating_add(1);
        let response = self.response(account, method, uri);
        let name = if self.is_proxy { "Proxy-Authorization" } else { "Authorization" };
        let Self { realm, nonce, cnonce, count, .. } = &*self;
        let user = account.user();
        let mut line = format!(
            "{name}: Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", \
             uri=\"{uri}\", response=\"{response}\""
        );
        if let Some(algorithm) = self.algorithm {
            let _ = write!(line, ", algorithm={}", algorithm.name());
        }
        if let Some(opaque) = &self.opaque {
            let _ = write!(line, ", opaque=\"{opaque}\"");
        }
        if self.has_qop {
            let _ = write!(line, ", qop=auth, nc={count:08x}, cnonce=\"{cnonce}\"");
        }
        line.push_str("\r\n");
        line
    }
}

/// The challenges of one call, and what is said to them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    sessions: Vec<Session>,
    rounds: u8,
}

impl Answers {
    /// Takes the challenges of a 401 or 407: whether the request is to be sent again.
    pub(crate) fn challenged(&mut self, response: &Message<'_>) -> Result<(), Denied> {
        self.rounds = self.rounds.saturating_add(1);
        if self.rounds > ROUNDS_MAX {
            return Err(Denied::TooOften);
        }
        let mut taken = Vec::new();
        for (is_proxy, name) in [(false, "WWW-Authenticate"), (true, "Proxy-Authenticate")] {
            for challenge in response.all(name).filter_map(Challenge::read) {
                // RFC 8760 2.4: of one realm the first that is known.
                if taken.contains(&(is_proxy, challenge.realm)) {
                    continue;
                }
                self.take(is_proxy, &challenge)?;
                taken.push((is_proxy, challenge.realm));
            }
        }
        if taken.is_empty() { Err(Denied::Unknown) } else { Ok(()) }
    }

    fn take(&mut self, is_proxy: bool, challenge: &Challenge<'_>) -> Result<(), Denied> {
        let is_full = self.sessions.len() >= REALMS_MAX;
        let of_realm =
            |known: &&mut Session| known.is_proxy == is_proxy && known.realm == challenge.realm;
        let known = self.sessions.iter_mut().find(of_realm);
        match known {
            // Some give a new nonce and do not call the old one stale: after credentials that
            // were good once, that is what it means.
            Some(old) if old.count > 0 && !challenge.is_stale && !old.is_accepted => {
                return Err(Denied::Refused);
            }
            Some(old) => *old = Session::new(is_proxy, challenge),
            None if is_full => return Err(Denied::TooOften),
            None => self.sessions.push(Session::new(is_proxy, challenge)),
        }
        Ok(())
    }

    /// A request was let pass.
    pub(crate) fn accepted(&mut self) {
        self.rounds = 0;
        for session in &mut self.sessions {
            session.is_accepted = session.count > 0;
        }
    }

    /// Header lines for the next request, which use each nonce once more.
    pub(crate) fn lines(&mut self, account: &Account, method: &str, uri: &str) -> String {
        self.sessions.iter_mut().map(|session| session.line(account, method, uri)).collect()
    }
}

#[cfg(test)]
mod tests;
