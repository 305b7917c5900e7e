//! What a trunk of others asks of who calls it: a user with a password, and whom to trust that it
//! is the trunk.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{PerfError, Result};

/// Variable of the environment that has the password: what stands on a command line is seen by
/// everybody on the machine.
const PASSWORD: &str = "TALKPATH_SIP_PASSWORD";

/// Marks that a user part of a SIP URI holds as they are, besides letters and digits
/// (RFC 3261 25.1: `mark` and `user-unreserved`).
const USER_MARKS: &str = "-_.!~*'()&=+$,;?/";

/// Arguments.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Access {
    /// Answers the challenges of a SIP trunk (digest authentication) as this user. Its password is
    /// what the environment has as TALKPATH_SIP_PASSWORD.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<UserName>,
    /// PEM file of authorities to trust over TLS, instead of those of the system.
    #[arg(long, value_name = "PEM")]
    pub(crate) ca: Option<PathBuf>,
    /// What the server is called by, with its port where one is given; its address if nothing.
    #[arg(skip)]
    pub(crate) host: Option<String>,
}

impl Access {
    /// The same for a server that is called so.
    pub(crate) fn at(&self, host: &str) -> Self {
        Self { host: Some(host.to_owned()), ..self.clone() }
    }

    /// Refuses what means nothing where no SIP is spoken.
    pub(crate) fn only_by_sip(&self) -> Result<()> {
        if self.user.is_none() && self.ca.is_none() {
            return Ok(());
        }
        Err(PerfError::Usage("--user and --ca go with a SIP target".into()))
    }

    /// Who answers challenges, if anybody does.
    pub(crate) fn account(&self) -> Result<Option<Account>> {
        let Some(UserName(user)) = &self.user else { return Ok(None) };
        match std::env::var(PASSWORD) {
            Ok(password) if !password.is_empty() => Ok(Some(Account::new(user, &password))),
            _ => {
                let told = format!("--user goes with a password in the environment: {PASSWORD}");
                Err(PerfError::Usage(told))
            }
        }
    }
}

/// The name of a user, fit to stand between quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserName(String);

/// A name that does not fit there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a user has a name without quotes, backslashes and control characters")]
pub(crate) struct BadUserName;

impl FromStr for UserName {
    type Err = BadUserName;

    fn from_str(text: &str) -> std::result::Result<Self, BadUserName> {
        let is_bad = |c: char| c.is_control() || c == '"' || c == '\\';
        if text.is_empty() || text.contains(is_bad) {
            return Err(BadUserName);
        }
        Ok(Self(text.to_owned()))
    }
}

/// A user with its password, which is not to be shown.
#[derive(Clone)]
pub(crate) struct Account {
    user: String,
    password: String,
}

impl Account {
    /// An account.
    pub(crate) fn new(user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), password: password.to_owned() }
    }

    /// The user.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// The password, to be hashed.
    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    /// The user's URI at `host`, for From: trunks look there for who calls.
    pub(crate) fn uri(&self, host: &str) -> String {
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || USER_MARKS.as_bytes().contains(&byte);
        let user: String = self
            .user
            .bytes()
            .map(|byte| match byte {
                byte if is_plain(byte) => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect();
        format!("sip:{user}@{host}")
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A user of any letters has a URI; a name that would end its quotes is refused.
    #[test]
    fn users_have_uris() {
        let uri = |user: &str| Account::new(user, "secret").uri("trunk.example.com");
        assert_eq!(uri("+4930-1"), "sip:+4930-1@trunk.example.com");
        assert_eq!(uri("a@b é"), "sip:a%40b%20%C3%A9@trunk.example.com");
        assert!("a\"b".parse::<UserName>().is_err() && "a\\".parse::<UserName>().is_err());
        assert!("a\r\nb".parse::<UserName>().is_err() && "".parse::<UserName>().is_err());
        assert_eq!("a@b é".parse(), Ok(UserName("a@b é".into())));
    }

    /// The password is not shown.
    #[test]
    fn the_password_stays_secret() {
        let shown = format!("{:?}", Account::new("alice", "wonderland"));
        assert!(shown.contains("alice") && !shown.contains("wonderland"), "{shown}");
    }

    /// What is asked for where no SIP is spoken is refused.
    #[test]
    fn users_go_with_sip() {
        assert!(Access::default().at("trunk").only_by_sip().is_ok());
        let user = "alice".parse().ok();
        assert!(Access { user, ..Access::default() }.only_by_sip().is_err());
        let ca = Some(PathBuf::from("ca.pem"));
        assert!(Access { ca, ..Access::default() }.only_by_sip().is_err());
    }
}
