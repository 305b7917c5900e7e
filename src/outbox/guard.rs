//! Where webhooks may go: whoever writes a URL must not reach what only this server can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;

use crate::config::Cidr;

/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 2_048;

/// Why a webhook does not go there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no URL that can be posted to.
    #[error("not an https URL with a host and without credentials")]
    Url,
    /// The address is not one of the public network.
    #[error("the address is not public, and no network of webhooks.allow_networks has it")]
    Private,
    /// Without TLS anybody on the way could read it.
    #[error("http is for networks of webhooks.allow_networks alone; use https")]
    Plain,
}

/// Decides where webhooks may go.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    allowed: Vec<Cidr>,
}

/// Where a webhook goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Over TLS.
    pub(super) tls: bool,
    /// Name or address, without brackets.
    pub(super) host: String,
    /// Port.
    pub(super) port: u16,
    /// Host as the request names it.
    pub(super) authority: String,
    /// Path and query.
    pub(super) path: String,
}

impl Guard {
    /// Lets webhooks go to the public network and to these.
    pub const fn new(allowed: Vec<Cidr>) -> Self {
        Self { allowed }
    }

    /// Looks at a URL as it is written; what its name leads to is looked at when it is used.
    ///
    /// # Errors
    ///
    /// If it is none that webhooks can go to.
    pub fn check(&self, url: &str) -> Result<(), Refused> {
        let target = target(url)?;
        match target.host.parse() {
            Ok(address) => self.admit(&target, address),
            Err(_) if !target.tls && self.allowed.is_empty() => Err(Refused::Plain),
            Err(_) => Ok(()),
        }
    }

    /// Whether a webhook may go to `address` when its target's name leads there.
    pub(super) fn admit(&self, target: &Target, address: IpAddr) -> Result<(), Refused> {
        if self.allowed.iter().any(|network| network.contains(address)) {
            return Ok(());
        }
        match (is_public(address), target.tls) {
            (false, _) => Err(Refused::Private),
            (true, false) => Err(Refused::Plain),
            (true, true) => Ok(()),
        }
    }
}

/// Reads a URL.
pub(super) fn target(url: &str) -> Result<Target, Refused> {
    if url.len() > URL_BYTES_MAX {
        return Err(Refused::Url);
    }
    let uri: Uri = url.parse().map_err(|_| Refused::Url)?;
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(Refused::Url),
    };
    let authority = uri.authority().ok_or(Refused::Url)?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || authority.as_str().contains('@') {
        return Err(Refused::Url);
    }
    Ok(Target {
        tls,
        host: host.to_owned(),
        port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
        authority: authority.as_str().to_owned(),
        path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
    })
}

/// True for addresses of the public network (RFC 6890 and the registries it began).
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        // This network, loopback, multicast and what is reserved above it.
        (0 | 127 | 224.., ..) => true,
        // Shared by carriers (RFC 6598), assignments of protocols, relays, benchmarks.
        (100, 64..128, _) | (192, 0, 0) | (192, 88, 99) | (198, 18..20, _) => true,
        _ => false,
    };
    !(special || address.is_private() || address.is_link_local() || address.is_documentation())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // IPv4 behind a translator (RFC 6052), and 6to4 (RFC 3056).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => embedded(high, low),
        // Teredo, other protocols, documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, ..] => false,
        // What was handed out so far.
        [0x2000..=0x3fff, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing that is not of the public network counts as such, however it is written.
    #[test]
    fn private_addresses() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "192.0.0.192",
            "240.0.0.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "::127.0.0.1",
            "3fff::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::808:808"]
        {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    /// URLs are checked as far as they tell; private networks and plain text must be allowed.
    #[test]
    fn urls() {
        let open = Guard::default();
        let lenient = Guard::new(vec![Cidr::parse("127.0.0.0/8").unwrap()]);
        for (url, strict, allowed) in [
            ("https://example.com/hook?x=1", Ok(()), Ok(())),
            ("https://8.8.8.8/", Ok(()), Ok(())),
            ("http://example.com/", Err(Refused::Plain), Ok(())),
            ("http://8.8.8.8/", Err(Refused::Plain), Err(Refused::Plain)),
            ("http://127.0.0.1:8080/x", Err(Refused::Private), Ok(())),
            ("https://[::1]/", Err(Refused::Private), Err(Refused::Private)),
            ("https://10.0.0.1/", Err(Refused::Private), Err(Refused::Private)),
            ("https://user:pass@example.com/", Err(Refused::Url), Err(Refused::Url)),
            ("ftp://example.com/", Err(Refused::Url), Err(Refused::Url)),
            ("/hook", Err(Refused::Url), Err(Refused::Url)),
            ("", Err(Refused::Url), Err(Refused::Url)),
        ] {
            assert_eq!(open.check(url), strict, "{url}");
            assert_eq!(lenient.check(url), allowed, "{url}");
        }
    }
}
