//! Via (RFC 3261 section 20.42, RFC 3581).

use std::net::{IpAddr, Ipv6Addr};

use super::super::lex::{self, Syntax};
use super::super::uri::{self, Host};
use super::params::Params;

/// The prefix that marks a branch as unique across space and time (RFC 3261 section 8.1.1.7).
pub const BRANCH_COOKIE: &str = "z9hG4bK";

/// One hop of the path of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Via<'a> {
    /// The transport as written, such as `UDP`.
    pub transport: &'a str,
    /// The host of `sent-by`.
    pub host: Host<'a>,
    /// The port of `sent-by`.
    pub port: Option<u16>,
    /// All parameters.
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// Reads one value such as `SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds`.
    ///
    /// # Errors
    /// What is wrong with protocol, transport, `sent-by` or parameters.
    pub fn parse(text: &'a str) -> Result<Self, Syntax> {
        let (name, rest) = text.split_once('/').ok_or(Syntax::Protocol)?;
        let (version, rest) = rest.split_once('/').ok_or(Syntax::Protocol)?;
        if !lex::trim(name).eq_ignore_ascii_case("SIP") || lex::trim(version) != "2.0" {
            return Err(Syntax::Protocol);
        }
        let rest = lex::trim(rest);
        let (transport, rest) = rest.split_once([' ', '\t']).ok_or(Syntax::Host)?;
        if !lex::is_token(transport) {
            return Err(Syntax::Token);
        }
        let (sent_by, params) =
            rest.split_at_checked(rest.find(';').unwrap_or(rest.len())).ok_or(Syntax::Host)?;
        let (host, port) = uri::host_port(lex::trim(sent_by), true).ok_or(Syntax::Host)?;
        Ok(Self { transport, host, port, params: Params::parse(params)? })
    }

    /// The branch, which identifies the transaction.
    pub fn branch(&self) -> Option<&'a str> {
        self.params.get("branch").filter(|branch| !branch.is_empty())
    }

    /// Whether the branch is one of RFC 3261: the cookie with something after it.
    pub fn has_unique_branch(&self) -> bool {
        self.branch().is_some_and(|branch| {
            branch.len() > BRANCH_COOKIE.len()
                && branch
                    .get(..BRANCH_COOKIE.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(BRANCH_COOKIE))
        })
    }

    /// `rport` of RFC 3581: `None` when absent, `Some(None)` when asked for, `Some(Some(port))`
    /// when filled in.
    pub fn rport(&self) -> Option<Option<u16>> {
        let value = self.params.get("rport")?;
        Some(value.parse().ok())
    }

    /// The address that the packet came from, as the receiver noted it.
    pub fn received(&self) -> Option<IpAddr> {
        address(self.params.get("received")?)
    }

    /// The address that responses must go to instead.
    pub fn maddr(&self) -> Option<&'a str> {
        self.params.get("maddr").filter(|address| !address.is_empty())
    }

    /// The time to live of multicast.
    pub fn ttl(&self) -> Option<u8> {
        self.params.get("ttl")?.parse().ok()
    }
}

/// An address with or without the brackets of IPv6; both are in use (RFC 5118 section 4.5).
fn address(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    match inner {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}
