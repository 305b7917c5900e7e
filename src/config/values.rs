//! Values of the configuration that have a type of their own.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use adapters::network::{Network, NetworkError};

use http::Uri;
use http::uri::Scheme;

/// An inclusive range of UDP ports for media, whole pairs: RTP on the even port, RTCP above it
/// (RFC 3550 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// First port, even.
    pub first: u16,
    /// Last port, odd.
    pub last: u16,
}

impl PortRange {
    /// Pairs of ports in the range: legs that can have media at once.
    pub fn pairs(self) -> u32 {
        (u32::from(self.last) + 1 - u32::from(self.first)) / 2
    }

    pub(super) const ALLOWED: &str =
        "FIRST-LAST with an even FIRST of at least 1024 and an odd LAST, such as \"20000-29999\"";

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').ok_or("not a range")?;
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| "not a pair of ports");
        let (first, last) = (port(first)?, port(last)?);
        if first < 1024 {
            return Err("ports below 1024 are reserved".into());
        }
        if last <= first {
            return Err("the range is empty".into());
        }
        if first % 2 != 0 || last % 2 != 1 {
            return Err("media takes pairs of ports, so the range starts even and ends odd".into());
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// A network of addresses: `192.0.2.0/24`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr(Network);

impl From<&Network> for Cidr {
    fn from(network: &Network) -> Self {
        Self(*network)
    }
}

impl Cidr {
    pub(super) const ALLOWED: &str = "an address or a network, such as \"192.0.2.0/24\"";

    /// True if `address` lies in the network. An IPv4 address written as IPv6 (`::ffff:…`) counts
    /// as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(address)
    }

    /// Bits that an address must share with the network: the more, the more specific.
    pub const fn prefix_bits(&self) -> u8 {
        self.0.prefix_bits()
    }

    /// Reads a network, or an address as a network of one.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error| match error {
            // What there may be is said beside it.
            NetworkError::Address => "not an address".to_owned(),
            other => other.to_string(),
        })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// An address that others reach us by, with a port if it differs from the one listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicAddress {
    /// The address; not a wildcard.
    pub ip: IpAddr,
    /// Port, if given.
    pub port: Option<u16>,
}

impl PublicAddress {
    pub(super) const ALLOWED: &str =
        "ADDRESS or ADDRESS:PORT, such as \"203.0.113.7\" or \"[2001:db8::1]:5060\"";

    /// The address with its port, or else with `port`.
    pub fn socket_address(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.unwrap_or(port))
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let (ip, port) = match (bare.parse(), text.parse::<SocketAddr>()) {
            (Ok(ip), _) => (ip, None),
            (_, Ok(address)) => (address.ip(), Some(address.port())),
            _ => return Err("not an address; names are not looked up".into()),
        };
        if ip.is_unspecified() || port == Some(0) {
            return Err("nobody can send to this address".into());
        }
        Ok(Self { ip, port })
    }
}

/// The address of this server as carriers and agents see it: `https://voice.example.com/base`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// True for `https`.
    pub tls: bool,
    /// Host, with the port if one was given.
    pub authority: String,
    /// Path in front of ours, without a slash at the end; often empty.
    pub path: String,
}

impl PublicUrl {
    pub(super) const ALLOWED: &str =
        "an http or https URL without query, such as \"https://voice.example.com\"";

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|_| "not a URL")?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(_) => return Err("the scheme is neither http nor https".into()),
            None => return Err("the scheme is missing".into()),
        };
        let authority = plain_authority(&uri)?;
        if uri.query().is_some() {
            return Err("a query makes no sense here".into());
        }
        Ok(Self { tls, authority, path: uri.path().trim_end_matches('/').to_owned() })
    }

    /// True if it leads to this machine as such.
    pub fn is_loopback(&self) -> bool {
        let authority = self.authority.parse::<http::uri::Authority>().ok();
        let host = authority.as_ref().map_or("", |authority| authority.host());
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address = bare.parse::<IpAddr>();
        address.map_or(host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
    }

    /// Port that the URL leads to.
    pub fn port(&self) -> u16 {
        let given = self.authority.parse::<http::uri::Authority>().ok().and_then(|a| a.port_u16());
        given.unwrap_or(if self.tls { 443 } else { 80 })
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

/// Where a WebSocket agent is dialled. `Debug` and `Display` leave out the query, which may hold
/// a token.
#[derive(Clone, PartialEq, Eq)]
pub struct AgentUrl {
    /// True for `wss`.
    pub tls: bool,
    /// Name or address without brackets.
    pub host: String,
    /// Port, 80 or 443 if the URL names none.
    pub port: u16,
    /// The `Host` header: host and, if the URL names one, port.
    pub authority: String,
    /// Path and query of the request line.
    pub path_and_query: String,
}

impl AgentUrl {
    pub(super) const ALLOWED: &str = "a ws or wss URL, such as \"wss://agent.example.com/call\"";

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|_| "not a URL")?;
        let tls = match uri.scheme_str() {
            Some("wss") => true,
            Some("ws") => false,
            Some(_) => return Err("the scheme is neither ws nor wss".into()),
            None => return Err("the scheme is missing".into()),
        };
        let authority = plain_authority(&uri)?;
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        if port == 0 {
            return Err("port 0 cannot be dialled".into());
        }
        let path_and_query = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { tls, host: host.to_owned(), port, authority, path_and_query })
    }

    /// The whole URL, query and all: for dialling, not for showing.
    pub fn expose(&self) -> String {
        let scheme = if self.tls { "wss" } else { "ws" };
        format!("{scheme}://{}{}", self.authority, self.path_and_query)
    }
}

impl fmt::Display for AgentUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "wss" } else { "ws" };
        let path = self.path_and_query.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{}{path}", self.authority)
    }
}

impl fmt::Debug for AgentUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The authority of a URL, refused if it carries a user or password.
fn plain_authority(uri: &Uri) -> Result<String, String> {
    let authority = uri.authority().ok_or("the host is missing")?;
    if authority.as_str().contains('@') {
        return Err("a user or password does not belong into the URL".into());
    }
    if authority.host().is_empty() || authority.host() == "[]" {
        return Err("the host is missing".into());
    }
    let port = authority.as_str().get(authority.host().len()..).unwrap_or_default();
    if !port.is_empty() && authority.port_u16().is_none() {
        return Err("the port is not a number up to 65535".into());
    }
    Ok(authority.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ranges are whole pairs above the reserved ports; everything else is refused.
    #[test]
    fn port_ranges() {
        let range = PortRange::parse("20000-29999").unwrap();
        assert_eq!((range.first, range.last, range.pairs()), (20000, 29999, 5000));
        assert_eq!(PortRange::parse("65534-65535").unwrap().pairs(), 1);
        assert_eq!(PortRange::parse("1024 - 65535").unwrap().pairs(), 32256);
        for bad in ["", "20000", "20000-", "-1", "20001-29999", "20000-29998", "29999-20000"] {
            assert!(PortRange::parse(bad).is_err(), "{bad}");
        }
        assert!(PortRange::parse("80-99").unwrap_err().contains("1024"));
        assert!(PortRange::parse("20000-70001").is_err());
    }

    /// Networks contain what they should, at the edges and across address families.
    #[test]
    fn networks_contain_their_addresses() {
        let inside = [
            ("192.0.2.0/24", "192.0.2.0"),
            ("192.0.2.0/24", "192.0.2.255"),
            ("192.0.2.0/24", "::ffff:192.0.2.9"),
            ("192.0.2.7", "192.0.2.7"),
            ("0.0.0.0/0", "255.255.255.255"),
            ("::/0", "2001:db8::1"),
            ("2001:db8::/33", "2001:db8:7fff::1"),
        ];
        for (network, address) in inside {
            assert!(Cidr::parse(network).unwrap().contains(address.parse().unwrap()), "{network}");
        }
        let outside = [
            ("192.0.2.0/24", "192.0.3.0"),
            ("192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "::1"),
            ("::/0", "1.2.3.4"),
            ("2001:db8::/33", "2001:db8:8000::1"),
        ];
        for (network, address) in outside {
            assert!(!Cidr::parse(network).unwrap().contains(address.parse().unwrap()), "{network}");
        }
        for bad in
            ["", "host", "1.2.3", "1.2.3.4/33", "::/129", "1.2.3.4/", "1.2.3.4/+8", "192.0.2.1/24"]
        {
            assert!(Cidr::parse(bad).is_err(), "{bad}");
        }
    }

    /// Addresses with and without port, of both families.
    #[test]
    fn public_addresses() {
        let cases = [
            ("203.0.113.7", "203.0.113.7:9"),
            ("203.0.113.7:5060", "203.0.113.7:5060"),
            ("[2001:db8::1]:5060", "[2001:db8::1]:5060"),
            ("[2001:db8::1]", "[2001:db8::1]:9"),
            ("2001:db8::1", "[2001:db8::1]:9"),
        ];
        for (text, address) in cases {
            let parsed = PublicAddress::parse(text).unwrap();
            assert_eq!(parsed.socket_address(9).to_string(), address);
        }
        for bad in ["", "sip.example.com", "1.2.3", "0.0.0.0", "::", "1.2.3.4:0", "1.2.3.4:x"] {
            assert!(PublicAddress::parse(bad).is_err(), "{bad}");
        }
    }

    /// Public URLs are http or https with a host and nothing that leaks or confuses.
    #[test]
    fn public_urls() {
        let url = PublicUrl::parse("https://voice.example.com/base/").unwrap();
        assert_eq!(url.to_string(), "https://voice.example.com/base");
        assert_eq!(url.port(), 443);
        assert_eq!(PublicUrl::parse("http://[::1]:8080").unwrap().port(), 8080);
        for (text, local) in [
            ("http://[::1]:8080", true),
            ("http://127.0.0.1", true),
            ("http://localhost:1/x", true),
            ("https://10.0.0.1", false),
            ("https://localhost.example.com", false),
        ] {
            assert_eq!(PublicUrl::parse(text).unwrap().is_loopback(), local, "{text}");
        }
        for bad in [
            "voice.example.com",
            "ftp://voice.example.com",
            "https://",
            "https://u:p@host/",
            "https://host/?a=b",
            "https://host:99999/",
            "",
        ] {
            assert!(PublicUrl::parse(bad).is_err(), "{bad}");
        }
    }

    /// Agent URLs are taken apart, and their query is never shown.
    #[test]
    fn agent_urls() {
        let url = AgentUrl::parse("wss://agent.example.com/call?token=hunter2").unwrap();
        assert!(url.tls);
        assert_eq!((url.host.as_str(), url.port), ("agent.example.com", 443));
        assert_eq!(url.path_and_query, "/call?token=hunter2");
        assert_eq!(url.to_string(), "wss://agent.example.com/call");
        assert_eq!(url.expose(), "wss://agent.example.com/call?token=hunter2");
        assert!(!format!("{url:?}").contains("hunter2"));
        let url = AgentUrl::parse("ws://[::1]:8765").unwrap();
        assert_eq!(
            (url.host.as_str(), url.port, url.authority.as_str()),
            ("::1", 8765, "[::1]:8765")
        );
        assert_eq!(url.path_and_query, "/");
        for bad in ["http://a/", "ws://", "ws:///x", "wss://u:p@h/", "ws://h:0/", "a", "ws://a b/"]
        {
            assert!(AgentUrl::parse(bad).is_err(), "{bad}");
        }
    }
}
