//! Where messages come from and go to.

use std::net::SocketAddr;

use bytes::Bytes;

/// A transport of SIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams; the transactions retransmit.
    Udp,
    /// A stream.
    Tcp,
}

impl Transport {
    /// Whether it delivers by itself.
    pub const fn is_reliable(self) -> bool {
        matches!(self, Self::Tcp)
    }

    /// Whether nobody on the way can read or change what it carries.
    pub const fn is_secure(self) -> bool {
        match self {
            Self::Udp | Self::Tcp => false,
        }
    }

    /// Its name in Via.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }
}

/// A path between a local and a remote address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The transport.
    pub transport: Transport,
    /// The local address, as a peer could use it (not a wildcard, unless an address to advertise
    /// is configured).
    pub local: SocketAddr,
    /// The peer.
    pub peer: SocketAddr,
    /// Which connection, by a number of the shell's choosing that is not used twice; 0 for UDP, and
    /// for TCP where there is none yet.
    pub connection: u64,
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to. TCP with connection 0: over any connection to `peer`, a new one if there is none;
    /// report failure with [`Endpoint::handle_unreachable`](super::Endpoint::handle_unreachable).
    pub flow: Flow,
    /// The message.
    pub bytes: Bytes,
}
