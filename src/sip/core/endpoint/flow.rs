//! Where messages come from and go to.

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;

use crate::sip::core::uri::{Scheme, Uri};

/// A transport of SIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Datagrams; the transactions retransmit.
    Udp,
    /// A stream.
    Tcp,
    /// A stream over TLS.
    Tls,
    /// A WebSocket (RFC 7118).
    Ws,
    /// A WebSocket over TLS (RFC 7118).
    Wss,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss];

    /// Whether it delivers by itself.
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Whether nobody on the way can read or change what it carries.
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// Whether requests within a call stay on the connection that it began on: what speaks SIP in a
    /// browser cannot be connected to (RFC 7118 4, 5.2.2), and no URI says how a server is asked.
    pub const fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// Its name in Via.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// Its `transport` parameter in a URI. `ws` stands for both WebSockets (RFC 7118 5.2.3).
    pub const fn uri_parameter(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws | Self::Wss => "ws",
        }
    }

    /// The port where neither URI nor Via names one (RFC 3261 18.2.2, RFC 7118 5.2.1).
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    /// The transport that a URI asks for by its scheme and `transport` parameter. `Ok(None)` if it
    /// leaves the choice.
    ///
    /// # Errors
    /// The parameter's value, where it is none of ours or keeps not what `sips:` promises.
    pub fn of_uri<'u>(uri: &Uri<'u>) -> Result<Option<Self>, &'u str> {
        let secure = uri.scheme == Scheme::Sips;
        let Some(name) = uri.params.get("transport") else {
            return Ok(secure.then_some(Self::Tls));
        };
        let is = |text: &str| name.eq_ignore_ascii_case(text);
        match secure {
            // RFC 3261 26.2.2: sips with TCP is TLS over TCP; `tls` is written, too.
            true if is("tcp") || is("tls") => Ok(Some(Self::Tls)),
            true if is("ws") || is("wss") => Ok(Some(Self::Wss)),
            false if is("udp") => Ok(Some(Self::Udp)),
            false if is("tcp") => Ok(Some(Self::Tcp)),
            false if is("tls") => Ok(Some(Self::Tls)),
            false if is("ws") => Ok(Some(Self::Ws)),
            false if is("wss") => Ok(Some(Self::Wss)),
            _ => Err(name),
        }
    }
}

/// A path between a local and a remote address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The transport.
    pub transport: Transport,
    /// The local address as Via and Contact name it: one that the peer could use.
    pub local: SocketAddr,
    /// The peer.
    pub peer: SocketAddr,
    /// Which connection, by a number of the shell's choosing that is not used twice; 0 for UDP, and
    /// for the others where there is none yet.
    pub connection: u64,
}

/// A message to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Where to. With connection 0, but for UDP: over any connection to `peer`, a new one if there
    /// is none; report failure with
    /// [`Endpoint::handle_unreachable`](super::Endpoint::handle_unreachable).
    pub flow: Flow,
    /// The message.
    pub bytes: Bytes,
}

/// Shows nothing of the message, as it may hold keys, and does hold who calls whom.
impl fmt::Debug for Transmit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Transmit");
        shown.field("flow", &self.flow).field("bytes", &self.bytes.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scheme and parameter together choose the transport; what contradicts `sips:` is refused.
    #[test]
    fn uris_choose_their_transport() {
        let of = |text: &'static str| Transport::of_uri(&Uri::parse(text).unwrap());
        for (uri, expected) in [
            ("sip:a@b", Ok(None)),
            ("sip:a@b;transport=UDP", Ok(Some(Transport::Udp))),
            ("sip:a@b;transport=tcp", Ok(Some(Transport::Tcp))),
            ("sip:a@b;transport=tls", Ok(Some(Transport::Tls))),
            ("sip:a@b;transport=ws", Ok(Some(Transport::Ws))),
            ("sips:a@b", Ok(Some(Transport::Tls))),
            ("sips:a@b;transport=tcp", Ok(Some(Transport::Tls))),
            ("sips:a@b;transport=tls", Ok(Some(Transport::Tls))),
            ("sips:a@b;transport=ws", Ok(Some(Transport::Wss))),
            ("sips:a@b;transport=udp", Err("udp")),
            ("sip:a@b;transport=sctp", Err("sctp")),
        ] {
            assert_eq!(of(uri), expected, "{uri}");
        }
    }
}
