//! The token by which a carrier's media socket proves that it was asked for.
//!
//! It stands in the address that the carrier is given, is good for one call of one provider and for
//! a short while, and is spent by the first socket that brings it. Some carriers connect again
//! after a loss: once the socket has closed, the same call may bring it once more within a period
//! of grace.

use std::time::Duration;

use adapters::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use media::time::MonoTime;
use uuid::Uuid;

use crate::config::PublicUrl;

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// Where media sockets arrive, as the router writes it.
pub const MEDIA_PATH: &str = "/api/v1/telephony/ws/{provider}/{call_id}/{token}";

/// The token of one call.
#[derive(Debug)]
pub struct MediaToken {
    text: Secret,
    provider: &'static str,
    /// How long it may be brought again after its socket has closed.
    grace: Duration,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Waits for a socket until then.
    Awaits(MonoTime),
    /// A socket has brought it.
    Spent,
}

/// Why a socket is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not the token of this call and provider.
    #[error("the token is not that of the call")]
    Wrong,
    /// It came too late.
    #[error("the token has expired")]
    Expired,
    /// Another socket has brought it and is still open.
    #[error("the token is spent")]
    Spent,
}

impl MediaToken {
    /// A token for a call of `provider` whose socket may come until `lifetime` from now.
    ///
    /// # Errors
    ///
    /// If the system has no randomness.
    pub fn new(
        now: MonoTime,
        provider: &'static str,
        lifetime: Duration,
        grace: Duration,
    ) -> Result<Self, getrandom::Error> {
        let mut random = [0; TOKEN_BYTES];
        getrandom::fill(&mut random)?;
        let text = Secret::new(URL_SAFE_NO_PAD.encode(random));
        Ok(Self { text, provider, grace, state: State::Awaits(now + lifetime) })
    }

    /// A socket brings `text` at the place of `provider`: spends the token.
    ///
    /// # Errors
    ///
    /// A [`TokenError`]; the token is as before.
    pub fn spend(&mut self, now: MonoTime, provider: &str, text: &str) -> Result<(), TokenError> {
        // Compared in constant time.
        let same = self.text == Secret::new(text);
        if !same || provider != self.provider {
            return Err(TokenError::Wrong);
        }
        self.take(now)
    }

    /// A connection comes that has shown something else which is known to its call alone: spends
    /// the token.
    ///
    /// # Errors
    ///
    /// A [`TokenError`]; the token is as before.
    pub fn take(&mut self, now: MonoTime) -> Result<(), TokenError> {
        match self.state {
            State::Spent => Err(TokenError::Spent),
            State::Awaits(until) if until < now => Err(TokenError::Expired),
            State::Awaits(_) => {
                self.state = State::Spent;
                Ok(())
            }
        }
    }

    /// The socket that brought it has closed, or did not come to be.
    pub fn closed(&mut self, now: MonoTime) {
        if matches!(self.state, State::Spent) {
            self.state = State::Awaits(now + self.grace);
        }
    }

    /// When a socket must have come; never while there is one.
    pub fn deadline(&self) -> MonoTime {
        match self.state {
            State::Awaits(until) => until,
            State::Spent => MonoTime::MAX,
        }
    }

    /// The address that the carrier of a call is given for its audio.
    pub fn url(&self, public: &PublicUrl, call: Uuid) -> String {
        let scheme = if public.tls { "wss" } else { "ws" };
        let path = MEDIA_PATH
            .replace("{provider}", self.provider)
            .replace("{call_id}", &call.to_string())
            .replace("{token}", self.text.expose());
        format!("{scheme}://{}{}{path}", public.authority, public.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> MonoTime {
        MonoTime::from_nanos(s * 1_000_000_000)
    }

    fn token() -> (MediaToken, String) {
        let (lifetime, grace) = (Duration::from_secs(60), Duration::from_secs(10));
        let token = MediaToken::new(at(100), "acme", lifetime, grace).unwrap();
        let public = PublicUrl {
            tls: true,
            authority: "t.example:8443".to_owned(),
            path: "/pbx".to_owned(),
        };
        let url = token.url(&public, Uuid::nil());
        let text = url.strip_prefix(
            "wss://t.example:8443/pbx/api/v1/telephony/ws/acme/\
             00000000-0000-0000-0000-000000000000/",
        );
        let text = text.unwrap_or_else(|| panic!("{url}")).to_owned();
        (token, text)
    }

    /// One socket spends it; the same call may bring it again once that has closed, and not for
    /// long.
    #[test]
    fn spent_once_until_closed() {
        let (mut token, text) = token();
        assert_eq!(token.deadline(), at(160));
        assert_eq!(token.spend(at(160), "acme", &text), Ok(()));
        assert_eq!(token.deadline(), MonoTime::MAX);
        assert_eq!(token.spend(at(161), "acme", &text), Err(TokenError::Spent));
        token.closed(at(500));
        assert_eq!(token.spend(at(510), "acme", &text), Ok(()));
        token.closed(at(600));
        assert_eq!(token.spend(at(611), "acme", &text), Err(TokenError::Expired));
        token.closed(at(700));
        assert_eq!(token.spend(at(701), "acme", &text), Err(TokenError::Expired), "not revived");
    }

    /// What stands for the token spends the same one: a connection that knows it takes nobody's
    /// place, and may come again once that is gone.
    #[test]
    fn taken_as_it_is_spent() {
        let (mut token, text) = token();
        assert_eq!(token.take(at(101)), Ok(()));
        assert_eq!(token.take(at(102)), Err(TokenError::Spent));
        assert_eq!(token.spend(at(102), "acme", &text), Err(TokenError::Spent));
        token.closed(at(200));
        assert_eq!(token.take(at(209)), Ok(()));
        token.closed(at(300));
        assert_eq!(token.take(at(311)), Err(TokenError::Expired));
    }

    /// Nothing but the very token of the call and provider is let in, nothing of it shows, and no
    /// two are the same.
    #[test]
    fn bound_and_secret() {
        let (mut token, text) = token();
        assert_eq!(text.len(), 43);
        for (provider, text) in [
            ("other", text.as_str()),
            ("acme", ""),
            ("acme", &text[..42]),
            ("acme", &format!("{text}A")),
            ("acme", &text.to_lowercase().replace('a', "b")),
        ] {
            assert_eq!(token.spend(at(101), provider, text), Err(TokenError::Wrong));
        }
        assert_eq!(token.spend(at(161), "acme", &text), Err(TokenError::Expired));
        assert!(!format!("{token:?}").contains(&text));
        assert_ne!(text, self::token().1);
    }
}
