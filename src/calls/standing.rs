//! How the servers of trunks stand, for whoever set them up.

use std::net::SocketAddr;

use uuid::Uuid;

use crate::sip::core::endpoint::Transport;

/// Whether we are registered with a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// It knows where we are.
    Yes,
    /// Not yet, or not any more; it is tried again.
    No,
    /// It does not want us: user name, password or registrar are wrong.
    Refused,
}

impl Registered {
    /// All of them.
    pub const WORDS: [&'static str; 3] = ["registered", "unregistered", "refused"];

    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        let [yes, no, refused] = Self::WORDS;
        match self {
            Self::Yes => yes,
            Self::No => no,
            Self::Refused => refused,
        }
    }
}

/// How a registration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistrationStanding {
    /// Where it stands.
    pub state: Registered,
    /// The SIP status that the last REGISTER failed with; none if it succeeded, or got no answer.
    pub failed_with: Option<u16>,
}

/// A server that is probed with OPTIONS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerStanding {
    /// Its transport.
    pub transport: Transport,
    /// Its address.
    pub address: SocketAddr,
    /// Whether it answers.
    pub up: bool,
}

/// How a trunk stands on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkStanding {
    /// The trunk.
    pub id: Uuid,
    /// Its registration, if it has one.
    pub registration: Option<RegistrationStanding>,
    /// Whether calls can be placed through it; none if that is not probed.
    pub up: Option<bool>,
    /// The servers that are probed.
    pub servers: Vec<ServerStanding>,
}
