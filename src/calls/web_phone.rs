//! A person who talks with an agent from a web page: the peer of a call that no carrier carries.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use adapters::agent::StreamFormat;
use adapters::phone;
use media::time::MonoTime;
use serde::Deserialize;
use uuid::Uuid;

use super::CallView;
use super::media_token::MediaToken;
use crate::agent::socket::AgentSocket;
use crate::config::Secret;
use crate::workers::line::LineLink;

/// What stands in the place of a carrier's name.
pub const NAME: &str = "phone";
/// How long a page may take to open its socket.
pub const SOCKET_WITHIN: Duration = Duration::from_secs(15);

/// A call that a person wants to begin.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhoneCall {
    /// Name of the agent that talks.
    pub agent: Option<String>,
    /// In its place: the number or user that is called, which routes lead from.
    pub to: Option<String>,
    /// The trunk that the call is treated as if it came by.
    pub trunk: Option<String>,
    /// The stored configuration that it is treated as if it came by.
    pub telephony_configuration_id: Option<Uuid>,
    /// Who calls, for routes and the agent; the name of the key if absent.
    pub from: Option<String>,
    /// Samples a second, both ways.
    pub rate_hz: Option<u32>,
    /// How long the call may last, in seconds.
    pub max_duration_s: Option<u64>,
    /// Variables for the agent.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Whose call it is. Never of the request's body.
    #[serde(skip)]
    pub caller: PhoneCaller,
}

/// Who calls from a web page.
#[derive(Clone, Debug, Default)]
pub struct PhoneCaller {
    /// The organisation.
    pub organisation: Uuid,
    /// The user, as the log of calls names it.
    pub user: String,
    /// The name that is displayed.
    pub name: String,
}

/// A call that waits for its page's socket.
#[derive(Debug)]
pub struct PhoneLine {
    /// The call.
    pub call: CallView,
    /// Where the page opens its socket, with the token.
    pub url: Secret,
    /// The page's audio.
    pub format: StreamFormat,
}

/// The page's side of a call.
pub(super) struct WebPhone {
    format: StreamFormat,
    /// Lets its socket in.
    pub(super) token: MediaToken,
}

impl fmt::Debug for WebPhone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebPhone").field("format", &self.format).finish_non_exhaustive()
    }
}

impl WebPhone {
    /// A page that will speak `format`.
    pub(super) const fn new(format: StreamFormat, token: MediaToken) -> Self {
        Self { format, token }
    }

    /// Its audio.
    pub(super) const fn format(&self) -> StreamFormat {
        self.format
    }

    /// What a worker is given of its socket.
    pub(super) fn link(&self, socket: AgentSocket) -> LineLink {
        LineLink { socket, stream: phone::open(self.format.audio), call: None }
    }

    /// When its socket must have come.
    pub(super) fn deadline(&self) -> MonoTime {
        self.token.deadline()
    }
}
