//! The carrier that is played to a Talkpath, if one is: what every measurement asks of it alike.

use std::fmt;

use crate::error::{PerfError, Result};
use crate::line::emulated::Carrier;
use crate::line::http;
use crate::line::key::Key;

/// Arguments.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Played {
    /// Plays this carrier instead, to a Talkpath: signed webhooks offer the calls, documents or
    /// requests answer them, their audio travels on the media sockets that those name; or signed
    /// media sockets offer them, on which both sides agree.
    #[arg(long, value_name = "NAME", conflicts_with = "target", requires = "key")]
    pub(crate) carrier: Option<String>,
    /// Address of the Talkpath that the carrier is played to.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) server: String,
    /// API key of that server that may change its configurations (scope admin).
    #[arg(long, value_name = "KEY", env = "TALKPATH_API_KEY", hide_env_values = true)]
    pub(crate) key: Option<Key>,
    /// The agent there that takes the carrier's calls and says back what it hears.
    #[arg(long, value_name = "NAME", default_value = "echo")]
    pub(crate) agent: String,
}

impl Played {
    /// Whether a carrier is played.
    pub(crate) const fn is_wanted(&self) -> bool {
        self.carrier.is_some()
    }

    /// Has the server know the carrier, which is removed there when this is dropped; none if none
    /// is played.
    pub(crate) fn set_up(&self) -> Result<Option<Carrier>> {
        let Some(name) = &self.carrier else { return Ok(None) };
        let key = self.key.as_ref();
        let key = key.ok_or_else(|| PerfError::Usage("a carrier needs --key".into()))?;
        let (at, _) = http::place(&self.server)?;
        Carrier::set_up(name, at, key, &self.agent).map(Some)
    }

    /// Writes what is played and to whom, or else the target.
    pub(crate) fn or(&self, target: &dyn fmt::Display) -> String {
        match &self.carrier {
            Some(name) => format!("{name} to {} at {}", self.agent, self.server),
            None => target.to_string(),
        }
    }
}
