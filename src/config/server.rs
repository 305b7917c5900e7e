//! The sections about the server itself, but for `[sip]`: `[http]`, `[rtp]`, `[media]`, `[log]`,
//! `[limits]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use media::codec::{AudioFormat, opus};

use super::AcmeConfig;
use super::section::Section;
use super::sip::{self, SipConfig};
use super::values::{Cidr, PortRange};
use crate::listen::tls::ServerFiles;
use crate::routing::Pattern;
use crate::sip::core::auth::Algorithm;

/// `[http]`: the API, health and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Address to listen on without TLS.
    pub listen: SocketAddr,
    /// Address to listen on for TLS.
    pub tls_listen: Option<SocketAddr>,
    /// Certificate and key; there if something listens for TLS.
    pub tls: Option<ServerFiles>,
    /// Proxies that are believed when they say for whom they ask.
    pub trusted_proxies: Vec<Cidr>,
    /// Requests a second that each API key has.
    pub key_requests_per_second: u32,
    /// Requests a second without a valid key that each address has.
    pub address_requests_per_second: u32,
}

/// The timers that all others of RFC 3261 derive from (RFC 3261 table 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SipTimers {
    /// T1: estimate of the round trip.
    pub t1: Duration,
    /// T2: longest interval between retransmissions.
    pub t2: Duration,
    /// T4: how long a message stays in the network.
    pub t4: Duration,
}

/// `[rtp]`: media from and to SIP peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpConfig {
    /// Addresses that media sockets are bound to: one, or one of each family.
    pub addresses: Vec<IpAddr>,
    /// Ports of the media sockets.
    pub ports: PortRange,
    /// Addresses that SDP names in place of those bound, at most one of each family.
    pub public_addresses: Vec<IpAddr>,
    /// True to ask peers for VoIP metrics (RFC 3611), and to send them ours.
    pub xr: bool,
}

impl RtpConfig {
    /// The address to bind for a peer like this one, else one of the other family.
    pub fn address_for(&self, peer: IpAddr) -> IpAddr {
        let fits = |address: &&IpAddr| address.is_ipv4() == peer.to_canonical().is_ipv4();
        let found = self.addresses.iter().find(fits).or_else(|| self.addresses.first());
        found.copied().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// The address that SDP names for sockets bound to `address`.
    pub fn advertised_for(&self, address: IpAddr) -> IpAddr {
        let fits = |public: &&IpAddr| public.is_ipv4() == address.is_ipv4();
        self.public_addresses.iter().find(fits).copied().unwrap_or(address)
    }
}

/// `[media]`: the workers and what they hold for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaConfig {
    /// Media threads; one per core if absent.
    pub workers: Option<usize>,
    /// Longest audio queued towards a caller, in milliseconds.
    pub max_queue_ms: u32,
    /// Audio in a packet towards a caller that asks for nothing else, in milliseconds.
    pub ptime_ms: u32,
    /// How often a sample of the quality of each call's media is kept; never if absent.
    pub quality_every: Option<Duration>,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Directives such as `info` or `info,talkpath::sip=debug`.
    pub level: String,
    /// How lines are written.
    pub format: LogFormat,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[limits]`: what the server accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Calls at once.
    pub max_calls: u32,
    /// The share of them that calls which we place may not take, in percent.
    pub inbound_reserve_percent: u32,
    /// Where calls may go; everywhere but to emergency services and premium numbers if empty.
    pub destinations: Vec<Pattern>,
    /// New calls a second.
    pub calls_per_second: u32,
    /// Longest time a call may ring before it is answered.
    pub ring: Duration,
    /// Longest call; a route may set less.
    pub max_duration: Duration,
    /// How late frames may be before no calls are taken: that, and media threads with no time for
    /// more calls; the load is of no account if absent.
    pub max_lateness: Option<Duration>,
    /// Longest time without a packet from the peer before the call ends; never if absent.
    pub media_timeout: Option<Duration>,
}

/// Default of `http.listen`.
const HTTP_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// Default of `http.key_requests_per_second`.
const KEY_REQUESTS_PER_SECOND: u32 = 1_000;
/// Default of `http.address_requests_per_second`.
const ADDRESS_REQUESTS_PER_SECOND: u32 = 20;
/// Default of `rtp.ports`.
const RTP_PORTS: PortRange = PortRange { first: 20000, last: 29999 };
/// Default of `media.max_queue_ms`.
const MAX_QUEUE_MS: u32 = 30_000;
/// Default of `media.ptime_ms`.
const PTIME_MS: u32 = 20;
/// Default of `limits.max_calls`, if the ports suffice.
const MAX_CALLS: u32 = 2000;
/// Default of `limits.inbound_reserve_percent`.
const INBOUND_RESERVE_PERCENT: u32 = 10;
/// Default of `limits.calls_per_second`.
const CALLS_PER_SECOND: u32 = 1000;
/// Default of `limits.ring_s`.
const RING: Duration = Duration::from_secs(60);
/// Default of `limits.max_duration_s`: four hours.
const MAX_DURATION: Duration = Duration::from_secs(4 * 3600);
/// Default of `media.quality_every_s`.
const QUALITY_EVERY: Duration = Duration::from_secs(10);
/// Default of `limits.max_lateness_ms`: half of what a call may bear.
const MAX_LATENESS_MS: u64 = 10;
/// Values of it: bounds of the buckets in which lateness is counted.
const MAX_LATENESS_MS_ALLOWED: [u64; 6] = [0, 1, 2, 5, 10, 20];
/// Default of `limits.media_timeout_s`.
const MEDIA_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest of `max_duration_s`: a day.
pub(super) const MAX_DURATION_S_MAX: u64 = 86_400;

/// Realm of digest authentication.
pub(super) const REALM: &str = "talkpath";
/// Algorithms of digest authentication by name.
pub(super) const DIGESTS: &[(&str, Algorithm)] = &[
    ("SHA-512-256", Algorithm::Sha512t256),
    ("SHA-256", Algorithm::Sha256),
    ("MD5", Algorithm::Md5),
];
/// Algorithms that are offered: the strong one that telephones have, and the one that all have.
pub(super) const DIGESTS_OFFERED: [Algorithm; 1] = [Algorithm::Md5];
/// Codecs of SIP peers by name.
pub(super) const SIP_CODECS: &[(&str, AudioFormat)] = if opus::AVAILABLE {
    &[
        ("PCMU", AudioFormat::PCMU),
        ("PCMA", AudioFormat::PCMA),
        ("G722", AudioFormat::G722),
        ("opus", AudioFormat::OPUS),
    ]
} else {
    &[("PCMU", AudioFormat::PCMU), ("PCMA", AudioFormat::PCMA), ("G722", AudioFormat::G722)]
};
/// Those that hold if none are named. Wide-band codecs are asked for: agents hear the caller's
/// codec unless they name another.
pub(super) const SIP_CODECS_DEFAULT: [AudioFormat; 2] = [AudioFormat::PCMU, AudioFormat::PCMA];

const SOCKET_ADDRESS: &str = "ADDRESS:PORT, such as \"127.0.0.1:5060\" or \"[::]:5060\"";

fn parse_socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "not an address with a port".to_owned())
}

pub(super) fn socket_address(section: &Section<'_>, key: &'static str) -> Option<SocketAddr> {
    section.text(key, SOCKET_ADDRESS, parse_socket_address)
}

pub(super) fn socket_addresses(
    section: &Section<'_>,
    key: &'static str,
) -> Option<Vec<SocketAddr>> {
    section.list(key, SOCKET_ADDRESS, parse_socket_address)
}

pub(super) fn http(section: Section<'_>, acme: Option<&AcmeConfig>) -> HttpConfig {
    let listen = socket_address(&section, "listen").unwrap_or(HTTP_LISTEN);
    let tls_listen = socket_address(&section, "tls_listen");
    let mut certificate = section.path("tls_certificate");
    let mut key = section.path("tls_key");
    if let Some(acme) = acme {
        if certificate.is_some() || key.is_some() {
            let message = "[acme] sees to the certificate; allowed: one of both";
            section.conflict("tls_certificate", message.to_owned());
        }
        if tls_listen.is_none() {
            section
                .missing("tls_listen", "[acme] proves the names there: authorities ask port 443");
        }
        let identity = acme.identity();
        (certificate, key) = match tls_listen {
            Some(_) => (Some(identity.certificate), Some(identity.key)),
            None => (None, None),
        };
    }
    for (key, found) in [("tls_certificate", &certificate), ("tls_key", &key)] {
        match (tls_listen, found) {
            (Some(_), None) => section.missing(key, "a PEM file; whoever listens for TLS has one"),
            (None, Some(_)) => {
                let message = "nothing listens for TLS; allowed: with tls_listen";
                section.conflict(key, message.to_owned());
            }
            _ => {}
        }
    }
    let identity = sip::identity(certificate, key);
    let http = HttpConfig {
        listen,
        tls_listen,
        tls: identity.map(|identity| ServerFiles { identity, clients: None }),
        trusted_proxies: section
            .list("trusted_proxies", Cidr::ALLOWED, Cidr::parse)
            .unwrap_or_default(),
        key_requests_per_second: section
            .number("key_requests_per_second", 1..=100_000)
            .unwrap_or(KEY_REQUESTS_PER_SECOND),
        address_requests_per_second: section
            .number("address_requests_per_second", 1..=100_000)
            .unwrap_or(ADDRESS_REQUESTS_PER_SECOND),
    };
    section.finish();
    http
}

pub(super) fn rtp(section: Section<'_>, sip: &SipConfig) -> RtpConfig {
    let written = |key| {
        section.list(key, "addresses, one of each family, such as \"203.0.113.7\"", |text| {
            text.parse::<IpAddr>().map_err(|_| "not an address".to_owned())
        })
    };
    // Media follows signalling unless told otherwise: one key opens a server to the network.
    let follow = || one_of_each(sip.listen.iter().map(SocketAddr::ip));
    let addresses = written("address").unwrap_or_else(follow);
    let advertised = || one_of_each(sip.advertised.iter().map(|advertised| advertised.ip));
    let public_addresses = written("public_address").unwrap_or_else(advertised);
    for (key, list) in [("address", &addresses), ("public_address", &public_addresses)] {
        if one_of_each(list.iter().copied()).len() < list.len() {
            section.conflict(key, "two addresses of a family; allowed: one of each".to_owned());
        }
    }
    let ports = section.text("ports", PortRange::ALLOWED, PortRange::parse).unwrap_or(RTP_PORTS);
    let xr = section.flag("xr").unwrap_or(false);
    let rtp = RtpConfig { addresses, ports, public_addresses, xr };
    if rtp.addresses.iter().any(|address| rtp.advertised_for(*address).is_unspecified())
        && (section.has("address") || section.has("public_address"))
    {
        let why = "callers must be told an address that reaches us, which no wildcard is";
        section.conflict("public_address", why.to_owned());
    }
    section.finish();
    rtp
}

/// The first address of each family.
fn one_of_each(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    for address in addresses {
        if found.iter().all(|known| known.is_ipv4() != address.is_ipv4()) {
            found.push(address);
        }
    }
    found
}

pub(super) fn media(section: Section<'_>) -> MediaConfig {
    let workers = section.number("workers", 1..=256).map(|workers| workers as usize);
    let max_queue_ms = section.number("max_queue_ms", 200..=600_000).unwrap_or(MAX_QUEUE_MS);
    let ptime_ms = match section.number("ptime_ms", 10..=60) {
        Some(ptime_ms) if !ptime_ms.is_multiple_of(10) || ptime_ms == 50 => {
            let message = format!("{ptime_ms}: no common length; allowed: 10, 20, 30, 40, 60");
            section.conflict("ptime_ms", message);
            PTIME_MS
        }
        ptime_ms => ptime_ms.unwrap_or(PTIME_MS),
    };
    let quality_every = section.seconds("quality_every_s", 0..=3_600).unwrap_or(QUALITY_EVERY);
    section.finish();
    let quality_every = Some(quality_every).filter(|every| !every.is_zero());
    MediaConfig { workers, max_queue_ms, ptime_ms, quality_every }
}

pub(super) fn log(section: Section<'_>) -> LogConfig {
    let allowed = "error, warn, info, debug, trace, off, or directives with commas such as \
                   \"info,talkpath::sip=debug\"";
    let level = section.text("level", allowed, |text| {
        if text.split(',').all(is_directive) {
            Ok(text.to_owned())
        } else {
            Err("not a level".to_owned())
        }
    });
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = section.word("format", &formats).unwrap_or(LogFormat::Text);
    section.finish();
    LogConfig { level: level.unwrap_or_else(|| "info".to_owned()), format }
}

/// True for `LEVEL` and `TARGET=LEVEL`. The filter itself would take any word for a target.
fn is_directive(text: &str) -> bool {
    const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];
    let (target, level) = text.trim().rsplit_once('=').unwrap_or(("talkpath", text.trim()));
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level))
        && !target.is_empty()
        && target.bytes().all(fits)
}

pub(super) fn limits(section: Section<'_>, rtp: &RtpConfig) -> LimitsConfig {
    let pairs = rtp.ports.pairs();
    let max_calls = section.number("max_calls", 1..=100_000);
    if let Some(calls) = max_calls
        && calls > pairs
    {
        let message = format!(
            "{calls} calls need {calls} pairs of ports, rtp.ports {} has {pairs}; allowed: up to \
             {pairs}, or a wider rtp.ports",
            rtp.ports
        );
        section.conflict("max_calls", message);
    }
    let limits = LimitsConfig {
        max_calls: max_calls.unwrap_or(MAX_CALLS.min(pairs)),
        inbound_reserve_percent: section
            .number("inbound_reserve_percent", 0..=100)
            .unwrap_or(INBOUND_RESERVE_PERCENT),
        destinations: section
            .list("destinations", Pattern::ALLOWED, Pattern::parse)
            .unwrap_or_default(),
        calls_per_second: section
            .number("calls_per_second", 1..=100_000)
            .unwrap_or(CALLS_PER_SECOND),
        ring: section.seconds("ring_s", 1..=600).unwrap_or(RING),
        max_duration: section
            .seconds("max_duration_s", 1..=MAX_DURATION_S_MAX)
            .unwrap_or(MAX_DURATION),
        max_lateness: max_lateness(&section),
        media_timeout: Some(section.seconds("media_timeout_s", 0..=3_600).unwrap_or(MEDIA_TIMEOUT))
            .filter(|timeout| !timeout.is_zero()),
    };
    section.finish();
    limits
}

/// `limits.max_lateness_ms`; the load is of no account if it is zero.
fn max_lateness(section: &Section<'_>) -> Option<Duration> {
    let key = "max_lateness_ms";
    let late_ms = section.number(key, 0..=20).map_or(MAX_LATENESS_MS, u64::from);
    if !MAX_LATENESS_MS_ALLOWED.contains(&late_ms) {
        section.conflict(key, format!("{late_ms} is not counted; allowed: 0, 1, 2, 5, 10, 20"));
    }
    Some(Duration::from_millis(late_ms)).filter(|late| !late.is_zero())
}
