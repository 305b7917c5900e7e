//! `[outward]`: where this server goes for organisations.

use std::net::IpAddr;

use super::section::Section;
use super::values::Cidr;

/// Longest name of a host.
const NAME_BYTES_MAX: usize = 253;

/// Networks and hosts that are reached besides the public network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    networks: Vec<Cidr>,
    /// In small letters, without a dot at the end.
    names: Vec<String>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Network(Cidr),
    Name(String),
}

impl Entry {
    const ALLOWED: &str = "a network, an address or the name of a host, such as \"10.0.0.0/8\" or \
                           \"bot.internal\"";

    fn parse(text: &str) -> Result<Self, String> {
        let looks_numeric = text.contains([':', '/']) || text.parse::<IpAddr>().is_ok();
        if looks_numeric {
            return Cidr::parse(text).map(Self::Network);
        }
        let name = plain(text);
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let ends_in_letter = name.bytes().next_back().is_some_and(|byte| !byte.is_ascii_digit());
        if name.len() > NAME_BYTES_MAX || !name.bytes().all(fits) || !ends_in_letter {
            return Err("neither a network nor a name".to_owned());
        }
        Ok(Self::Name(name))
    }
}

/// A name as names are compared.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

impl Allowed {
    /// Networks, addresses and names that a test knows to be some.
    #[cfg(test)]
    pub fn parse(entries: &[&str]) -> Result<Self, String> {
        entries.iter().map(|entry| Entry::parse(entry)).collect()
    }

    /// Also these networks.
    pub fn and(mut self, networks: &[Cidr]) -> Self {
        self.networks.extend_from_slice(networks);
        self
    }

    /// Whether nothing is allowed.
    pub const fn is_empty(&self) -> bool {
        self.networks.is_empty() && self.names.is_empty()
    }

    /// Whether `address` is allowed, or the name `host` that has led there.
    pub fn admits(&self, host: &str, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
            || self.names.contains(&plain(host))
    }
}

impl From<Vec<Cidr>> for Allowed {
    fn from(networks: Vec<Cidr>) -> Self {
        Self { networks, names: Vec::new() }
    }
}

impl FromIterator<Entry> for Allowed {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut allowed = Self::default();
        for entry in entries {
            match entry {
                Entry::Network(network) => allowed.networks.push(network),
                Entry::Name(name) => allowed.names.push(name),
            }
        }
        allowed
    }
}

pub(super) fn outward(section: Section<'_>) -> Allowed {
    let allow = section.list("allow", Entry::ALLOWED, Entry::parse);
    section.finish();
    allow.unwrap_or_default().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What looks like an address has to be one; everything else is a name or nothing.
    #[test]
    fn entries_are_read() {
        for good in ["10.0.0.0/8", "::1", "192.0.2.7", "bot", "Bot.Internal.", "_sip.x"] {
            assert!(Entry::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "10.0.0.1/8", "10.0.0", "http://x", "a b", "x:1", "*.example.com", "."] {
            assert!(Entry::parse(bad).is_err(), "{bad}");
        }
    }
}
