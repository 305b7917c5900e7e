//! A SIP peer as a configuration describes it: data that the SIP side of the server acts on.
//!
//! The profile says what is demanded. Whoever acts on it refuses what it cannot do: a call that
//! must be encrypted is not placed in clear.

mod targets;

pub use targets::in_order;

use std::net::IpAddr;

use media::codec::AudioFormat;

use crate::address::Address;
use crate::network::{HostPort, Network};
use crate::secret::{Pii, Secret};

/// A SIP peer.
#[derive(Clone, Debug, PartialEq)]
pub struct SipProfile {
    /// What of its calls is taken; `None` if it may not call in.
    pub inbound: Option<SipInbound>,
    /// How calls go out to it; `None` if none do.
    pub outbound: Option<SipOutbound>,
    /// Credentials for its challenges, and for ours (RFC 3261 22).
    pub digest: Option<SipDigest>,
    /// Where we register, so that it finds us (RFC 3261 10).
    pub registration: Option<SipRegistration>,
    /// Transport of what we send first, and of registrations.
    pub transport: SipTransport,
    /// How a TLS peer is trusted; only with [`SipTransport::Tls`].
    pub tls: Option<SipTls>,
    /// Whether audio is encrypted (RFC 3711, keys by RFC 4568).
    pub srtp: SrtpPolicy,
    /// Codecs offered and accepted, best first; never empty.
    pub codecs: Vec<AudioFormat>,
    /// How digits are sent.
    pub dtmf: DtmfMethod,
    /// The country whose numbering plan bare numbers follow: ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// Bounds of its traffic.
    pub limits: SipLimits,
    /// Seconds between OPTIONS requests that tell whether the peer is alive; `None`: none are sent.
    pub options_interval_s: Option<u32>,
}

/// What of a peer's calls is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipInbound {
    /// Networks it calls from; never empty.
    pub networks: Vec<Network>,
    /// Names of headers that agents are shown.
    pub headers: Vec<String>,
}

/// How calls go out to a peer.
#[derive(Clone, Debug, PartialEq)]
pub struct SipOutbound {
    /// Where calls go; never empty.
    pub targets: Vec<SipTarget>,
    /// A proxy that requests pass first, as a loose route (RFC 3261 12.2.1.1).
    pub proxy: Option<Address>,
    /// The calling number when a call names none.
    pub caller_id: Option<Address>,
    /// Where the calling number stands.
    pub caller_id_header: CallerIdHeader,
    /// How called and calling numbers are written.
    pub number_format: NumberFormat,
    /// Headers added to each INVITE, by name.
    pub headers: Vec<(String, Pii)>,
}

/// One place where calls to a peer go, chosen as RFC 2782 chooses among servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipTarget {
    /// Host, and port if it is not to be found out (RFC 3263).
    pub host: HostPort,
    /// The lower, the earlier it is tried.
    pub priority: u16,
    /// Share of the calls among targets of one priority.
    pub weight: u16,
}

/// Credentials of digest authentication (RFC 8760 over RFC 7616).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipDigest {
    /// User name.
    pub user: String,
    /// Password.
    pub password: Secret,
    /// The realm they are for; any realm if absent.
    pub realm: Option<String>,
}

/// A registration of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipRegistration {
    /// The registrar.
    pub registrar: HostPort,
    /// User part of the address of record.
    pub user: String,
    /// Seconds that a registration shall last.
    pub expires_s: u32,
}

/// Transport of SIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SipTransport {
    /// Datagrams.
    Udp,
    /// Streams.
    Tcp,
    /// Encrypted streams.
    Tls,
}

/// How a TLS peer is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipTls {
    /// False to take any certificate: encrypted, but with whom is not known.
    pub verify: bool,
    /// The name that its certificate must hold, if not that of the target (RFC 5922 7.1).
    pub server_name: Option<String>,
    /// Certificates in PEM to trust instead of those the system trusts.
    pub ca_pem: Option<String>,
}

/// Whether audio is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrtpPolicy {
    /// Never: plain RTP is offered, and offers of SRTP alone are refused.
    Off,
    /// If the peer offers it; we offer plain RTP.
    Optional,
    /// Always; calls without it are refused.
    Required,
}

/// How digits are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtmfMethod {
    /// Events in RTP (RFC 4733) if the peer takes them, else tones in the audio.
    Rtp,
    /// SIP INFO with `application/dtmf-relay`.
    Info,
    /// Tones in the audio.
    Inband,
}

/// Where the calling number stands in an INVITE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallerIdHeader {
    /// In `From`.
    #[default]
    From,
    /// In `P-Asserted-Identity` (RFC 3325), and in `From`.
    PAssertedIdentity,
    /// In `P-Preferred-Identity` (RFC 3325), and in `From`: the peer asserts what it may be.
    PPreferredIdentity,
    /// In `Remote-Party-ID`, which older equipment wants, and in `From`.
    RemotePartyId,
}

/// How numbers are written in SIP URIs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NumberFormat {
    /// `+4930123456`.
    Plus,
    /// `4930123456`.
    Digits,
    /// As they are given.
    #[default]
    AsGiven,
}

impl NumberFormat {
    /// The user part for an address: a number in this form, anything else as it is.
    pub fn write(self, address: &Address) -> &str {
        match (self, address.digits()) {
            (Self::Digits, Some(digits)) => digits,
            _ => address.expose(),
        }
    }
}

/// Bounds of a peer's traffic. `None`: only the server's own bounds hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SipLimits {
    /// Most calls at a time, both ways together.
    pub calls_max: Option<u32>,
    /// Most new calls a second, each way.
    pub calls_per_second: Option<u32>,
}

impl SipProfile {
    /// Neither takes nor places calls: a configuration that leaves both to the trunks within it.
    pub const fn is_idle(&self) -> bool {
        self.inbound.is_none() && self.outbound.is_none() && self.registration.is_none()
    }

    /// Bits of the most specific network of the peer that holds `address`; `None` if none does and
    /// its calls are not taken. Among several peers the one with the most bits is the caller.
    pub fn admits(&self, address: IpAddr) -> Option<u8> {
        let networks = &self.inbound.as_ref()?.networks;
        let holding = networks.iter().filter(|network| network.contains(address));
        holding.map(Network::prefix_bits).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers are written as the peer wants them, other addresses stay.
    #[test]
    fn numbers_in_the_peers_form() {
        let number = Address::parse("+49 30 123456", None).unwrap();
        assert_eq!(NumberFormat::Plus.write(&number), "+4930123456");
        assert_eq!(NumberFormat::Digits.write(&number), "4930123456");
        let extension = Address::parse("1000", None).unwrap();
        assert_eq!(NumberFormat::Digits.write(&extension), "1000");
    }
}
