//! `[sip]`: where signalling is taken, and what it says of itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use media::codec::AudioFormat;

use super::AcmeConfig;
use super::section::Section;
use super::server::{
    DIGESTS, DIGESTS_OFFERED, REALM, SIP_CODECS, SIP_CODECS_DEFAULT, SipTimers, socket_addresses,
};
use super::srtp::{self, SrtpConfig};
use super::values::PublicAddress;
use crate::listen::tls::{ClientAuth, Identity, ServerFiles};
use crate::sip::core::auth::Algorithm;
use crate::sip::core::endpoint::Transport;
use crate::sip::core::session_timer::{INTERVAL_MAX_S, INTERVAL_S, MIN_SE_S, TimerConfig};
use crate::sip::endpoint::sockets::Listen;

/// `[sip]`: signalling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipConfig {
    /// Addresses to listen on for UDP and TCP; at least one.
    pub listen: Vec<SocketAddr>,
    /// True to listen for UDP.
    pub udp: bool,
    /// True to listen for TCP.
    pub tcp: bool,
    /// Addresses to listen on for TLS.
    pub tls_listen: Vec<SocketAddr>,
    /// Addresses to listen on for WebSockets.
    pub ws_listen: Vec<SocketAddr>,
    /// Addresses to listen on for WebSockets over TLS.
    pub wss_listen: Vec<SocketAddr>,
    /// Pages that may open WebSockets; all if empty.
    pub ws_origins: Vec<String>,
    /// Certificate, key, and what clients must show; there if anything listens for TLS.
    pub tls: Option<ServerFiles>,
    /// What peers reach us by, for `Via` and `Contact`, one of each address family; the address
    /// listened on if there is none.
    pub advertised: Vec<PublicAddress>,
    /// Name servers; those of the system if empty.
    pub dns_servers: Vec<SocketAddr>,
    /// Value of `User-Agent` and `Server`.
    pub user_agent: String,
    /// Codecs offered and accepted, best first; a trunk may have its own.
    pub codecs: Vec<AudioFormat>,
    /// What is done about SRTP.
    pub srtp: SrtpConfig,
    /// The realm of digest authentication: whose passwords those of users are.
    pub realm: String,
    /// Algorithms of digest authentication that are offered, best first.
    pub digest: Vec<Algorithm>,
    /// Timers of RFC 3261 table 4.
    pub timers: SipTimers,
    /// Longest INVITE that goes in a datagram where its server may take a stream instead, in bytes
    /// (RFC 3261 18.1.1); none for any length.
    pub udp_request_max: Option<usize>,
    /// Session timers (RFC 4028); none if they are off.
    pub session_timer: Option<TimerConfig>,
}

impl SipConfig {
    /// Every address to listen on, with what peers are told.
    pub fn places(&self) -> Vec<Listen> {
        let mut places = Vec::new();
        for address in &self.listen {
            let transports = [(self.udp, Transport::Udp), (self.tcp, Transport::Tcp)];
            for (_, transport) in transports.into_iter().filter(|(enabled, _)| *enabled) {
                places.push(self.place(transport, *address));
            }
        }
        for (addresses, transport) in [
            (&self.tls_listen, Transport::Tls),
            (&self.ws_listen, Transport::Ws),
            (&self.wss_listen, Transport::Wss),
        ] {
            places.extend(addresses.iter().map(|address| self.place(transport, *address)));
        }
        places
    }

    fn place(&self, transport: Transport, address: SocketAddr) -> Listen {
        let named = self.advertised.iter().find(|a| a.ip.is_ipv4() == address.is_ipv4());
        let advertised = named.map(|named| {
            // The port of the key is that of `listen`; the others keep their own.
            let port = named.port.filter(|_| matches!(transport, Transport::Udp | Transport::Tcp));
            SocketAddr::new(named.ip, port.unwrap_or(address.port()))
        });
        Listen { transport, address, advertised }
    }
}

/// Default of `sip.udp_request_max_bytes`: RFC 3261 18.1.1, for a path of unknown width.
const UDP_REQUEST_MAX_BYTES: u32 = 1_300;
/// What a datagram can hold at all, in bytes.
const DATAGRAM_MAX_BYTES: u32 = 65_507;

/// Default of `sip.listen`.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5060);

pub(super) fn sip(section: Section<'_>, acme: Option<&AcmeConfig>) -> SipConfig {
    let listen = socket_addresses(&section, "listen").unwrap_or_else(|| vec![LISTEN]);
    let transports = section
        .words("transports", &[("udp", Transport::Udp), ("tcp", Transport::Tcp)])
        .unwrap_or_else(|| vec![Transport::Udp, Transport::Tcp]);
    let tls_listen = socket_addresses(&section, "tls_listen").unwrap_or_default();
    let ws_listen = socket_addresses(&section, "ws_listen").unwrap_or_default();
    let wss_listen = socket_addresses(&section, "wss_listen").unwrap_or_default();
    let advertised = section
        .list("advertised", PublicAddress::ALLOWED, PublicAddress::parse)
        .unwrap_or_default();
    let v4 = advertised.iter().any(|known| known.ip.is_ipv4());
    let [listen, tls_listen, ws_listen, wss_listen] =
        [listen, tls_listen, ws_listen, wss_listen].map(|places| both_families(places, v4));
    let all = [&listen, &tls_listen, &ws_listen, &wss_listen];
    for wildcard in all.into_iter().flatten().filter(|address| address.ip().is_unspecified()) {
        if advertised.iter().all(|known| known.ip.is_ipv4() != wildcard.is_ipv4()) {
            let key = if listen.contains(wildcard) { "sip.listen" } else { "an address" };
            let why =
                format!("{key} is a wildcard, so peers must be told which address reaches us");
            section.missing("advertised", &why);
            break;
        }
    }
    let secure = !tls_listen.is_empty() || !wss_listen.is_empty();
    let sip = SipConfig {
        udp: transports.contains(&Transport::Udp),
        tcp: transports.contains(&Transport::Tcp),
        tls: tls(&section, secure, acme),
        ws_origins: origins(&section),
        dns_servers: name_servers(&section),
        user_agent: user_agent(&section),
        codecs: section.words("codecs", SIP_CODECS).unwrap_or_else(|| SIP_CODECS_DEFAULT.to_vec()),
        srtp: srtp::srtp(&section),
        realm: realm(&section),
        digest: section.words("digest", DIGESTS).unwrap_or_else(|| DIGESTS_OFFERED.to_vec()),
        timers: timers(&section),
        udp_request_max: udp_request_max(&section),
        session_timer: session_timer(&section),
        listen,
        tls_listen,
        ws_listen,
        wss_listen,
        advertised,
    };
    section.finish();
    sip
}

/// Who names `[::]` means every address of the machine: those of IPv4 too, where peers can be told
/// one, and unless they are named beside it.
fn both_families(mut places: Vec<SocketAddr>, v4: bool) -> Vec<SocketAddr> {
    let wildcard = |place: &SocketAddr| place.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let ports: Vec<u16> = places.iter().filter(|place| wildcard(place)).map(|p| p.port()).collect();
    for port in ports.into_iter().filter(|_| v4) {
        if !places.iter().any(|place| place.is_ipv4() && place.port() == port) {
            places.push(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port));
        }
    }
    places
}

/// The files of TLS; all that is needed must be there if anything listens for it. What an authority
/// certifies is used where no files are named.
fn tls(section: &Section<'_>, wanted: bool, acme: Option<&AcmeConfig>) -> Option<ServerFiles> {
    let mut certificate = section.path("tls_certificate");
    let mut key = section.path("tls_key");
    if let (true, None, None, Some(acme)) = (wanted, &certificate, &key, acme) {
        let identity = acme.identity();
        (certificate, key) = (Some(identity.certificate), Some(identity.key));
    }
    let ca = section.path("tls_client_ca");
    let words = [("request", ClientAuth::Request), ("require", ClientAuth::Require)];
    let auth = section.word("tls_client_auth", &words);
    if auth.is_some() && ca.is_none() {
        section.missing("tls_client_ca", "the authorities that clients are verified with");
    }
    if wanted {
        for (key, found) in [("tls_certificate", &certificate), ("tls_key", &key)] {
            if found.is_none() {
                section.missing(key, "a PEM file; whoever listens for TLS has one");
            }
        }
    } else if certificate.is_some() || key.is_some() || ca.is_some() {
        let message = "nothing listens for TLS; allowed: with tls_listen or wss_listen";
        section.conflict("tls_certificate", message.to_owned());
    }
    let identity = identity(certificate, key)?;
    let clients = ca.map(|ca| (ca, auth.unwrap_or(ClientAuth::Require)));
    Some(ServerFiles { identity, clients })
}

/// A certificate with its key.
pub(super) fn identity(certificate: Option<PathBuf>, key: Option<PathBuf>) -> Option<Identity> {
    Some(Identity { certificate: certificate?, key: key? })
}

fn origins(section: &Section<'_>) -> Vec<String> {
    let allowed = "origins of pages, such as \"https://phone.example.com\"";
    let origins = section.list("ws_origins", allowed, |text| {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        match rest {
            Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']) => {
                Ok(text.to_ascii_lowercase())
            }
            _ => Err("not an origin: scheme, host, and port if it has one".to_owned()),
        }
    });
    origins.unwrap_or_default()
}

/// Name servers: an address, or with a port other than 53.
fn name_servers(section: &Section<'_>) -> Vec<SocketAddr> {
    let allowed = "addresses, such as \"192.0.2.53\" or \"127.0.0.1:5353\"";
    let servers = section.list("dns_servers", allowed, |text| {
        let address = PublicAddress::parse(text)?;
        Ok(address.socket_address(DNS_PORT))
    });
    servers.unwrap_or_default()
}

/// Port of name servers (RFC 1035 4.2.1).
const DNS_PORT: u16 = 53;

fn user_agent(section: &Section<'_>) -> String {
    let text = section.text("user_agent", "printable ASCII up to 100 characters", |text| {
        let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !text.is_empty() && text.len() <= 100 && printable {
            Ok(text.to_owned())
        } else {
            Err("not fit for a header".to_owned())
        }
    });
    text.unwrap_or_else(|| concat!("Talkpath/", env!("CARGO_PKG_VERSION")).to_owned())
}

/// `udp_request_max_bytes`; 0 lets any length go in a datagram.
fn udp_request_max(section: &Section<'_>) -> Option<usize> {
    let most = section.number("udp_request_max_bytes", 0..=DATAGRAM_MAX_BYTES);
    let most = most.unwrap_or(UDP_REQUEST_MAX_BYTES);
    (most > 0).then_some(most as usize)
}

/// `session_expires_s` and `min_se_s`; 0 turns session timers off.
fn session_timer(section: &Section<'_>) -> Option<TimerConfig> {
    let wished = section.number("session_expires_s", 0..=INTERVAL_MAX_S).unwrap_or(INTERVAL_S);
    let min_s = section.number("min_se_s", MIN_SE_S..=INTERVAL_MAX_S).unwrap_or(MIN_SE_S);
    if wished == 0 {
        return None;
    }
    if wished < min_s {
        let message = format!("{wished}: shorter than min_se_s; allowed: 0, or {min_s} and more");
        section.conflict("session_expires_s", message);
    }
    Some(TimerConfig { interval_s: wished, min_s })
}

fn realm(section: &Section<'_>) -> String {
    let text = section.text("realm", "up to 64 letters, digits, blanks and -_.@", |text| {
        let fits = |c: char| c.is_ascii_alphanumeric() || " -_.@".contains(c);
        if !text.is_empty() && text.len() <= 64 && text.chars().all(fits) {
            Ok(text.to_owned())
        } else {
            Err("not fit for a realm".to_owned())
        }
    });
    text.unwrap_or_else(|| REALM.to_owned())
}

fn timers(section: &Section<'_>) -> SipTimers {
    let timers = SipTimers {
        t1: section.millis("t1_ms", 10..=5_000).unwrap_or(Duration::from_millis(500)),
        t2: section.millis("t2_ms", 10..=60_000).unwrap_or(Duration::from_secs(4)),
        t4: section.millis("t4_ms", 10..=60_000).unwrap_or(Duration::from_secs(5)),
    };
    if timers.t2 < timers.t1 {
        section.conflict("t2_ms", "shorter than t1_ms; allowed: t1_ms or longer".to_owned());
    }
    timers
}
