//! Networks and hosts as configurations name them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use thiserror::Error;

/// An address with the number of bits that others must share with it (RFC 4632 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

/// Why a text is no network or host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NetworkError {
    /// It is no address.
    #[error("not an address or a network, such as 192.0.2.0/24 or 2001:db8::/32")]
    Address,
    /// What follows the slash is no number of bits of such an address.
    #[error("the prefix is not a number of bits that such an address has")]
    Prefix,
    /// The address has bits that are not part of the network.
    #[error("bits beyond the prefix are set")]
    HostBits,
    /// It is no host name and no address.
    #[error("not a host name or an address")]
    Host,
    /// The port is no number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

impl Network {
    /// True if `address` lies in the network. An IPv4 address written as IPv6 (`::ffff:…`) counts
    /// as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix_bits)).unwrap_or(0);
                network.to_bits() == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix_bits)).unwrap_or(0);
                network.to_bits() == address.to_bits() & mask
            }
            _ => false,
        }
    }

    /// Bits that an address must share with the network: the more, the more specific.
    pub const fn prefix_bits(&self) -> u8 {
        self.prefix_bits
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Address)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            None => bits,
            Some(prefix) => decimal(prefix)
                .and_then(|prefix| u8::try_from(prefix).ok())
                .filter(|prefix| *prefix <= bits)
                .ok_or(NetworkError::Prefix)?,
        };
        let network = Self { address, prefix_bits };
        if network.contains(address) { Ok(network) } else { Err(NetworkError::HostBits) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

/// True for a host name (RFC 1123 2.1, and `_`, which occurs in private zones) or an IPv4 address.
pub fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if !(1..=253).contains(&name.len()) || !name.split('.').all(label) {
        return false;
    }
    // Four numbers that are no address, or a name that ends in a number, resolve to nothing.
    let last = name.rsplit('.').next().unwrap_or_default();
    !last.bytes().all(|byte| byte.is_ascii_digit()) || name.parse::<IpAddr>().is_ok()
}

/// A number of digits alone; the standard reader takes a sign as well.
pub(crate) fn decimal(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A host with a port, if one is named.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// A name in small letters, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// Port, if named.
    pub port: Option<u16>,
}

impl FromStr for HostPort {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self { host: address.to_string(), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => {
                (host, Some(decimal(port).filter(|port| *port != 0).ok_or(NetworkError::Port)?))
            }
            None => (text, None),
        };
        let bare = host.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        if let Some(address) = bare.and_then(|bare| bare.parse::<IpAddr>().ok()) {
            return Ok(Self { host: address.to_string(), port });
        }
        if !is_host_name(host) {
            return Err(NetworkError::Host);
        }
        Ok(Self { host: host.trim_end_matches('.').to_ascii_lowercase(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host.contains(':'), self.port) {
            (true, Some(port)) => write!(f, "[{}]:{port}", self.host),
            (true, None) => write!(f, "[{}]", self.host),
            (false, Some(port)) => write!(f, "{}:{port}", self.host),
            (false, None) => f.write_str(&self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Networks hold what shares their bits, whatever the length of the prefix.
    #[test]
    fn networks_hold_their_addresses() {
        let holds = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse().unwrap())
        };
        assert!(holds("192.0.2.0/24", "192.0.2.255"));
        assert!(holds("192.0.2.0/24", "::ffff:192.0.2.1"));
        assert!(!holds("192.0.2.0/24", "192.0.3.0"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.6"));
        assert!(holds("0.0.0.0/0", "255.255.255.255") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(holds("::/0", "2001:db8::") && !holds("2001:db8::/128", "2001:db8::1"));
        let bits = |text: &str| text.parse::<Network>().map(|network| network.prefix_bits());
        assert_eq!(bits("10.0.0.0/8"), Ok(8));
        assert_eq!(bits("2001:db8::1"), Ok(128));
        for (text, error) in [
            ("192.0.2.1/24", NetworkError::HostBits),
            ("192.0.2.0/33", NetworkError::Prefix),
            ("192.0.2.0/-1", NetworkError::Prefix),
            ("192.0.2.0/+8", NetworkError::Prefix),
            ("192.0.2.0/", NetworkError::Prefix),
            ("example.com", NetworkError::Address),
            ("", NetworkError::Address),
        ] {
            assert_eq!(bits(text), Err(error), "{text}");
        }
    }

    /// What is written parses to the same again.
    #[test]
    fn written_forms_are_stable() {
        for text in ["192.0.2.0/24", "2001:db8::/32", "::/0"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        for (text, written) in [
            ("SIP.Example.COM", "sip.example.com"),
            ("sip.example.com.:5070", "sip.example.com:5070"),
            ("192.0.2.1:5060", "192.0.2.1:5060"),
            ("2001:db8::1", "[2001:db8::1]"),
            ("[2001:DB8::1]:5061", "[2001:db8::1]:5061"),
            ("[::1]", "[::1]"),
            ("pbx_1", "pbx_1"),
        ] {
            let host: HostPort = text.parse().unwrap();
            assert_eq!(host.to_string(), written);
            assert_eq!(written.parse(), Ok(host));
        }
    }

    /// What is no host is refused.
    #[test]
    fn bad_hosts() {
        for text in [
            "",
            ".",
            "-a",
            "a-",
            "a..b",
            "a b",
            "a/b",
            "1.2.3",
            "1.2.3.256",
            "a:0",
            "a:65536",
            "a:",
            "a:+1",
            "[::1",
            "[a]",
            "ü.example",
            "a\r\nb",
            "user@host",
        ] {
            assert!(text.parse::<HostPort>().is_err(), "{text:?}");
        }
        assert!(!is_host_name(&"a".repeat(64)));
        assert!(!is_host_name(&"a.".repeat(128)));
    }
}
