//! The side that challenges (RFC 3261 22, RFC 7616 3.3, RFC 8760 2.2).

use std::net::IpAddr;

use media::time::MonoTime;
use subtle::ConstantTimeEq;

use super::nonce::{Nonces, Origin};
use super::throttle::Throttle;
use super::{Algorithm, Challenge, Credentials, Qop};
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;

/// Credentials of one request that are looked at.
const CREDENTIALS_MAX: usize = 8;
/// Stands for the password of a user that there is not, so that both cost the same time.
const NOBODYS_PASSWORD: &str = "\u{0}nobody";

/// Settings of a [`Server`].
#[derive(Clone)]
pub struct ServerConfig {
    /// Whose passwords: telephones show it to their users.
    pub realm: String,
    /// Algorithms that are offered, best first.
    pub algorithms: Vec<Algorithm>,
    /// Seals the nonces: random, new with every start.
    pub key: [u8; 32],
}

/// What a request proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its sender knows the password of this user.
    Proven(Box<str>),
    /// Nothing, or the wrong thing: challenge it. `stale` if new credentials for a new nonce may
    /// do, without asking anybody for a password.
    Unproven {
        /// What the challenge says of it.
        stale: bool,
        /// Credentials were given, and they were wrong.
        failed: bool,
    },
    /// Too many failures from its address: not looked at for so many seconds.
    Slowed {
        /// When the next attempt is looked at.
        retry_after_s: u32,
    },
}

/// Challenges and judges. A challenge keeps nothing.
pub struct Server {
    realm: Box<str>,
    algorithms: Vec<Algorithm>,
    nonces: Nonces,
    throttle: Throttle,
}

impl Server {
    /// A server.
    pub fn new(config: ServerConfig) -> Self {
        let realm: String = config.realm.chars().filter(|c| !matches!(c, '"' | '\\')).collect();
        Self {
            realm: realm.into(),
            algorithms: config.algorithms,
            nonces: Nonces::new(config.key),
            throttle: Throttle::default(),
        }
    }

    /// The values of WWW-Authenticate for a client at `peer`, one per algorithm, best first
    /// (RFC 8760 2.3).
    pub fn challenge(&mut self, now: MonoTime, peer: IpAddr, stale: bool) -> Vec<String> {
        let nonce = self.nonces.make(now, peer);
        let challenge = |algorithm: &Algorithm| Challenge {
            realm: &self.realm,
            nonce: &nonce,
            opaque: None,
            algorithm: *algorithm,
            qop: Some(Qop::Auth),
            stale,
        };
        self.algorithms.iter().map(|algorithm| challenge(algorithm).to_value()).collect()
    }

    /// Judges the credentials in Authorization of a request from `peer`. `password` is asked for
    /// that of a user.
    ///
    /// The URI of the credentials is not compared with the Request-URI: proxies rewrite the
    /// latter (RFC 3261 22.4). What protects from sending them again is the count of the nonce.
    pub fn verify<P: AsRef<str>>(
        &mut self,
        now: MonoTime,
        peer: IpAddr,
        request: &Message,
        password: impl FnOnce(&str) -> Option<P>,
    ) -> Verdict {
        let ours = |credentials: &Credentials<'_>| {
            credentials.realm == &*self.realm && self.algorithms.contains(&credentials.algorithm)
        };
        let mut given = request
            .headers(HeaderName::Authorization)
            .take(CREDENTIALS_MAX)
            .filter_map(|text| Credentials::parse(text).ok());
        let Some(credentials) = given.find(ours) else {
            return Verdict::Unproven { stale: false, failed: false };
        };
        let wait = self.throttle.wait(now, peer);
        if !wait.is_zero() {
            let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
            return Verdict::Slowed { retry_after_s: seconds };
        }
        let origin = self.nonces.judge(now, peer, credentials.nonce);
        if origin == Origin::Foreign {
            // Not judged: whoever chose the nonce could test passwords by it without end.
            return Verdict::Unproven { stale: true, failed: false };
        }
        let method = request.method().map_or("", |method| method.as_str());
        let known = password(credentials.username);
        let judged = known.as_ref().map_or(NOBODYS_PASSWORD, AsRef::as_ref);
        let expected = credentials.expected(judged, method, request.body());
        let given = credentials.response.to_ascii_lowercase();
        let right = bool::from(expected.as_bytes().ct_eq(given.as_bytes()));
        if !right || known.is_none() {
            self.throttle.failed(now, peer);
            return Verdict::Unproven { stale: false, failed: true };
        }
        match origin {
            // Without a count, as before RFC 2617, a nonce serves once.
            Origin::Fresh(number)
                if self.nonces.count(number, credentials.count().unwrap_or(u32::MAX)) =>
            {
                Verdict::Proven(credentials.username.into())
            }
            _ => Verdict::Unproven { stale: true, failed: false },
        }
    }
}
