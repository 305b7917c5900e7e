//! What is called: a SIP address, the media socket of a program that speaks a carrier's dialect, or
//! an AudioSocket.

use std::net::{SocketAddr, SocketAddrV4, ToSocketAddrs as _};
use std::str::FromStr;

use crate::sip::link::Transport;

/// Port of SIP without TLS (RFC 3261 19.1.2).
const SIP_PORT: u16 = 5060;

/// Port of SIP over TLS (the same).
const SIPS_PORT: u16 = 5061;

/// Port of WebSockets without TLS (RFC 6455 3).
const WS_PORT: u16 = 80;

/// Port of AudioSocket, as its examples have it.
const AUDIOSOCKET_PORT: u16 = 9092;

/// Why a target is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    /// It is not of a kind that can be called.
    #[error(
        "a target is sip:USER@HOST[:PORT][;transport=tcp|tls], ws://HOST[:PORT]/PATH or \
         audiosocket://HOST:PORT[/UUID]"
    )]
    Kind,
    /// A media socket over TLS.
    #[error("media sockets over TLS are not measured: use the listener without it")]
    Tls,
    /// What should be a UUID.
    #[error("a UUID is 32 hexadecimal digits, with or without dashes")]
    Uuid,
    /// Something else than `udp`, `tcp` or `tls` after `transport=`, or `sips:` over UDP.
    #[error("transport is udp, tcp or tls, and not udp with sips:")]
    Transport,
    /// The name has no address of IPv4.
    #[error("{0} has no IPv4 address")]
    Host(String),
}

/// Who is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// By SIP.
    Sip {
        /// The server.
        server: SocketAddrV4,
        /// What it is called by, with a port where one was given.
        host: String,
        /// User part of the Request-URI.
        user: String,
        /// How.
        transport: Transport,
    },
    /// By a media WebSocket.
    Media {
        /// The server.
        server: SocketAddrV4,
        /// Path and query.
        path: String,
    },
    /// By an AudioSocket.
    AudioSocket {
        /// The server.
        server: SocketAddrV4,
        /// What each connection says of itself; of its own accord another one each.
        uuid: Option<u128>,
    },
}

/// The first IPv4 address of `host[:port]`.
pub(crate) fn resolve(text: &str, port: u16) -> Result<SocketAddrV4, TargetError> {
    let none = || TargetError::Host(text.to_owned());
    let with_port = if text.contains(':') { text.to_owned() } else { format!("{text}:{port}") };
    let mut found = with_port.to_socket_addrs().map_err(|_| none())?;
    found
        .find_map(|address| match address {
            SocketAddr::V4(address) => Some(address),
            SocketAddr::V6(_) => None,
        })
        .ok_or_else(none)
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if text.starts_with("wss:") {
            return Err(TargetError::Tls);
        }
        if let Some(rest) = text.strip_prefix("ws://") {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let path = if path.is_empty() { "/" } else { path };
            return Ok(Self::Media { server: resolve(host, WS_PORT)?, path: path.to_owned() });
        }
        if let Some(rest) = text.strip_prefix("audiosocket://") {
            let (host, uuid) = rest.split_once('/').unwrap_or((rest, ""));
            let digits = uuid.replace('-', "");
            let uuid = match digits.len() {
                0 => None,
                32 => Some(u128::from_str_radix(&digits, 16).map_err(|_| TargetError::Uuid)?),
                _ => return Err(TargetError::Uuid),
            };
            return Ok(Self::AudioSocket { server: resolve(host, AUDIOSOCKET_PORT)?, uuid });
        }
        let secure = text.strip_prefix("sips:");
        let rest = secure.or_else(|| text.strip_prefix("sip:")).ok_or(TargetError::Kind)?;
        let (address, parameters) = rest.split_once(';').unwrap_or((rest, ""));
        let (user, host) = address.split_once('@').ok_or(TargetError::Kind)?;
        if user.is_empty() || host.is_empty() {
            return Err(TargetError::Kind);
        }
        let mut transport = if secure.is_some() { Transport::Tls } else { Transport::Udp };
        for parameter in parameters.split(';') {
            match (parameter.split_once('='), secure) {
                (Some(("transport", "tls")), _) => transport = Transport::Tls,
                (Some(("transport", "tcp")), None) => transport = Transport::Tcp,
                (Some(("transport", "udp")), None) => transport = Transport::Udp,
                // TLS is spoken over TCP.
                (Some(("transport", "tcp")), Some(_)) => {}
                (Some(("transport", _)), _) => return Err(TargetError::Transport),
                (Some(_) | None, _) => {}
            }
        }
        let port = if transport == Transport::Tls { SIPS_PORT } else { SIP_PORT };
        let server = resolve(host, port)?;
        Ok(Self::Sip { server, host: host.to_owned(), user: user.to_owned(), transport })
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sip { server, user, transport, .. } => {
                write!(f, "sip:{user}@{server}{}", transport.parameter())
            }
            // The path may hold a token.
            Self::Media { server, .. } => write!(f, "ws://{server}/…"),
            Self::AudioSocket { server, .. } => write!(f, "audiosocket://{server}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What can be called is understood with its defaults, and what cannot is told apart.
    #[test]
    fn targets() {
        let shown = |text: &str| text.parse::<Target>().map(|target| target.to_string());
        for (text, target) in [
            ("sip:echo@127.0.0.1", "sip:echo@127.0.0.1:5060"),
            ("sip:+49@127.0.0.1:5070;transport=tcp;lr", "sip:+49@127.0.0.1:5070;transport=tcp"),
            ("sips:echo@127.0.0.1", "sip:echo@127.0.0.1:5061;transport=tls"),
            ("sips:echo@127.0.0.1:1;transport=tcp", "sip:echo@127.0.0.1:1;transport=tls"),
            ("sip:echo@127.0.0.1;transport=tls", "sip:echo@127.0.0.1:5061;transport=tls"),
            ("ws://127.0.0.1:8765/a?token=b", "ws://127.0.0.1:8765/…"),
            ("ws://127.0.0.1", "ws://127.0.0.1:80/…"),
            ("audiosocket://127.0.0.1", "audiosocket://127.0.0.1:9092"),
            (
                "audiosocket://127.0.0.1:1/ffffffff-4930-1234-ffff-fffffffff800",
                "audiosocket://127.0.0.1:1",
            ),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(target), "{text}");
        }
        for (text, error) in [
            ("echo", TargetError::Kind),
            ("sip:127.0.0.1", TargetError::Kind),
            ("sip:@127.0.0.1", TargetError::Kind),
            ("sips:echo@127.0.0.1;transport=udp", TargetError::Transport),
            ("sip:echo@127.0.0.1;transport=wss", TargetError::Transport),
            ("sip:echo@127.0.0.1;transport=x", TargetError::Transport),
            ("wss://127.0.0.1/", TargetError::Tls),
            ("audiosocket://127.0.0.1:1/12", TargetError::Uuid),
            ("sip:echo@::1", TargetError::Host("::1".into())),
        ] {
            assert_eq!(shown(text), Err(error), "{text}");
        }
    }
}
