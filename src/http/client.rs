//! For whom a request is: the peer of its connection, or whom a trusted proxy names.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};

use crate::config::Cidr;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Proxies in a row that are looked through.
const HOPS_MAX: usize = 32;

/// The far end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// Its address.
    pub(super) address: IpAddr,
    /// True over TLS.
    pub(super) secure: bool,
}

/// For whom a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    /// Their address, as far as it can be believed.
    pub(super) address: IpAddr,
    /// True if they reached us, or the first proxy of ours, over TLS.
    pub(super) secure: bool,
    /// True if the peer is a proxy that is believed.
    pub(super) proxied: bool,
}

impl Client {
    /// Follows what proxies say from the nearest outwards, as long as they are trusted.
    pub(super) fn of(peer: Peer, headers: &HeaderMap, trusted: &[Cidr]) -> Self {
        let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
        let address = peer.address.to_canonical();
        let mut client = Self { address, secure: peer.secure, proxied: is_trusted(address) };
        if !client.proxied {
            return client;
        }
        let hops = match hops(headers, &header::FORWARDED) {
            list if list.is_empty() => forwarded_for(headers),
            list => list.iter().map(|hop| Hop::forwarded(hop)).collect(),
        };
        for hop in hops.iter().rev().take(HOPS_MAX) {
            if let Some(secure) = hop.secure {
                client.secure = secure;
            }
            let Some(address) = hop.address else { break };
            client.address = address;
            if !is_trusted(address) {
                break;
            }
        }
        client
    }
}

/// What one proxy says of whom it was asked by.
#[derive(Clone, Copy, Debug, Default)]
struct Hop {
    address: Option<IpAddr>,
    secure: Option<bool>,
}

impl Hop {
    /// An element of `Forwarded` (RFC 7239 4).
    fn forwarded(element: &str) -> Self {
        let mut hop = Self::default();
        for pair in split(element, b';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = value.trim();
            let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
            match name.trim().to_ascii_lowercase().as_str() {
                "for" => hop.address = node(value),
                "proto" => hop.secure = Some(value.eq_ignore_ascii_case("https")),
                _ => {}
            }
        }
        hop
    }
}

/// The hops of `X-Forwarded-For`. `X-Forwarded-Proto` is what the nearest proxy says.
fn forwarded_for(headers: &HeaderMap) -> Vec<Hop> {
    let mut list: Vec<Hop> = hops(headers, &X_FORWARDED_FOR)
        .iter()
        .map(|text| Hop { address: node(text), secure: None })
        .collect();
    let scheme = hops(headers, &X_FORWARDED_PROTO);
    let secure = scheme.last().map(|scheme| scheme.eq_ignore_ascii_case("https"));
    match list.last_mut() {
        Some(hop) => hop.secure = secure,
        None if secure.is_some() => list.push(Hop { address: None, secure }),
        None => {}
    }
    list
}

/// The elements of all headers of that name, in order.
fn hops<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Vec<&'h str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| split(value, b',')).map(str::trim).filter(|e| !e.is_empty()).collect()
}

/// Parts a text where `by` stands outside quotes (RFC 9110 5.6.4).
fn split(text: &str, by: u8) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => return !quoted && c == char::from(by),
        }
        false
    })
}

/// The address of a node (RFC 7239 6); none if it is unknown or obfuscated.
fn node(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|at| at.ip()))?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(HeaderName, &str)]) -> (String, bool) {
        let trusted = ["10.0.0.0/8", "2001:db8::1"].map(|text| Cidr::parse(text).unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().unwrap());
        }
        let peer = Peer { address: peer.parse().unwrap(), secure: false };
        let client = Client::of(peer, &map, &trusted);
        (client.address.to_string(), client.secure)
    }

    /// Nobody but a trusted proxy is believed.
    #[test]
    fn strangers_are_not_believed() {
        let forged = [(X_FORWARDED_FOR, "192.0.2.1"), (X_FORWARDED_PROTO, "https")];
        assert_eq!(client("198.51.100.1", &forged), ("198.51.100.1".into(), false));
        let forged = [(header::FORWARDED, "for=192.0.2.1;proto=https")];
        assert_eq!(client("198.51.100.1", &forged), ("198.51.100.1".into(), false));
    }

    /// What clients put in front of what proxies say does not count; neither does anything beyond
    /// the first that is not trusted.
    #[test]
    fn the_nearest_stranger_is_the_client() {
        for (name, value) in [
            (X_FORWARDED_FOR, "203.0.113.9, 192.0.2.1, 10.0.0.2"),
            (header::FORWARDED, "for=203.0.113.9, for=192.0.2.1;by=x, FOR=\"10.0.0.2:4711\""),
        ] {
            assert_eq!(client("10.0.0.1", &[(name, value)]).0, "192.0.2.1");
        }
        let two = [(X_FORWARDED_FOR, "203.0.113.9"), (X_FORWARDED_FOR, "192.0.2.7:80, 10.1.1.1")];
        assert_eq!(client("::ffff:10.0.0.1", &two).0, "192.0.2.7");
        let six = [(header::FORWARDED, "for=\"[2001:db8::9]:1\", for=\"[2001:db8::1]\"")];
        assert_eq!(client("2001:db8::1", &six).0, "2001:db8::9");
    }

    /// What is no address ends the way outwards: the last that is known counts.
    #[test]
    fn the_unknown_ends_the_way() {
        for value in ["192.0.2.1, unknown", "192.0.2.1, _hidden", "192.0.2.1, 1.2.3", "\"", "\\"] {
            assert_eq!(client("10.0.0.1", &[(X_FORWARDED_FOR, value)]).0, "10.0.0.1", "{value}");
        }
        for value in ["for=unknown", "proto=https;for=_x", "for", "=;=,", "for=\"a,b;c\""] {
            assert_eq!(client("10.0.0.1", &[(header::FORWARDED, value)]).0, "10.0.0.1", "{value}");
        }
        assert_eq!(client("10.0.0.1", &[]), ("10.0.0.1".into(), false));
    }

    /// The scheme is that of the outermost proxy that is trusted.
    #[test]
    fn the_scheme_is_the_outermost() {
        let inside = "for=192.0.2.1;proto=https, for=10.0.0.2;proto=http";
        assert!(client("10.0.0.1", &[(header::FORWARDED, inside)]).1);
        let forged = "for=9.9.9.9;proto=https, for=192.0.2.1;proto=http";
        assert!(!client("10.0.0.1", &[(header::FORWARDED, forged)]).1);
        let x = [(X_FORWARDED_FOR, "192.0.2.1"), (X_FORWARDED_PROTO, "http, https")];
        assert!(client("10.0.0.1", &x).1);
        assert!(client("10.0.0.1", &[(X_FORWARDED_PROTO, "https")]).1);
    }
}
