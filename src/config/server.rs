//! The sections about the server itself: `[http]`, `[sip]`, `[rtp]`, `[media]`, `[log]`,
//! `[limits]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use media::codec::AudioFormat;

use super::section::Section;
use super::srtp::{self, SrtpConfig};
use super::values::{PortRange, PublicAddress};
use crate::sip::core::auth::Algorithm;
use crate::sip::core::session_timer::{INTERVAL_MAX_S, INTERVAL_S, MIN_SE_S, TimerConfig};

/// `[http]`: the API, health and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Address to listen on.
    pub listen: SocketAddr,
}

/// `[sip]`: signalling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipConfig {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// True to listen for UDP.
    pub udp: bool,
    /// True to listen for TCP.
    pub tcp: bool,
    /// What peers reach us by, for `Via` and `Contact`; the address listened on if absent.
    pub advertised: Option<PublicAddress>,
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
    /// Session timers (RFC 4028); none if they are off.
    pub session_timer: Option<TimerConfig>,
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
    /// Address that media sockets are bound to.
    pub address: IpAddr,
    /// Ports of the media sockets.
    pub ports: PortRange,
    /// Address that SDP names; the bound one if absent.
    pub public_address: Option<IpAddr>,
    /// True to ask peers for VoIP metrics (RFC 3611), and to send them ours.
    pub xr: bool,
}

impl RtpConfig {
    /// The address that SDP names.
    pub fn advertised(&self) -> IpAddr {
        self.public_address.unwrap_or(self.address)
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Calls at once.
    pub max_calls: u32,
    /// New calls a second.
    pub calls_per_second: u32,
    /// Longest time a call may ring before it is answered.
    pub ring: Duration,
    /// Longest call; a route may set less.
    pub max_duration: Duration,
    /// Longest time without a packet from the peer before the call ends; never if absent.
    pub media_timeout: Option<Duration>,
}

/// Default of `http.listen`.
const HTTP_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// Default of `sip.listen`.
const SIP_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5060);
/// Default of `rtp.ports`.
const RTP_PORTS: PortRange = PortRange { first: 20000, last: 29999 };
/// Default of `media.max_queue_ms`.
const MAX_QUEUE_MS: u32 = 30_000;
/// Default of `media.ptime_ms`.
const PTIME_MS: u32 = 20;
/// Default of `limits.max_calls`, if the ports suffice.
const MAX_CALLS: u32 = 2000;
/// Default of `limits.calls_per_second`.
const CALLS_PER_SECOND: u32 = 1000;
/// Default of `limits.ring_s`.
const RING: Duration = Duration::from_secs(60);
/// Default of `limits.max_duration_s`: four hours.
const MAX_DURATION: Duration = Duration::from_secs(4 * 3600);
/// Default of `limits.media_timeout_s`.
const MEDIA_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest of `max_duration_s`: a day.
pub(super) const MAX_DURATION_S_MAX: u64 = 86_400;

/// Realm of digest authentication.
const REALM: &str = "talkpath";
/// Algorithms of digest authentication by name.
const DIGESTS: &[(&str, Algorithm)] = &[
    ("SHA-512-256", Algorithm::Sha512t256),
    ("SHA-256", Algorithm::Sha256),
    ("MD5", Algorithm::Md5),
];
/// Algorithms that are offered: the strong one that telephones have, and the one that all have.
const DIGESTS_OFFERED: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Md5];
/// Codecs of SIP peers by name.
pub(super) const SIP_CODECS: &[(&str, AudioFormat)] =
    &[("PCMU", AudioFormat::PCMU), ("PCMA", AudioFormat::PCMA), ("G722", AudioFormat::G722)];
/// Those that hold if none are named. Wide-band codecs are asked for: agents hear the caller's
/// codec unless they name another.
const SIP_CODECS_DEFAULT: [AudioFormat; 2] = [AudioFormat::PCMU, AudioFormat::PCMA];

pub(super) fn socket_address(section: &Section<'_>, key: &'static str) -> Option<SocketAddr> {
    let allowed = "ADDRESS:PORT, such as \"127.0.0.1:5060\" or \"[::]:5060\"";
    section.text(key, allowed, |text| {
        text.parse().map_err(|_| "not an address with a port".to_owned())
    })
}

pub(super) fn http(section: Section<'_>) -> HttpConfig {
    let listen = socket_address(&section, "listen").unwrap_or(HTTP_LISTEN);
    section.finish();
    HttpConfig { listen }
}

#[derive(Clone, Copy, PartialEq)]
enum Transport {
    Udp,
    Tcp,
}

pub(super) fn sip(section: Section<'_>) -> SipConfig {
    let listen = socket_address(&section, "listen").unwrap_or(SIP_LISTEN);
    let transports = section
        .words("transports", &[("udp", Transport::Udp), ("tcp", Transport::Tcp)])
        .unwrap_or_else(|| vec![Transport::Udp, Transport::Tcp]);
    let advertised = section.text("advertised", PublicAddress::ALLOWED, PublicAddress::parse);
    if listen.ip().is_unspecified() && !section.has("advertised") {
        let why = "sip.listen is a wildcard, so peers must be told which address reaches us";
        section.missing("advertised", why);
    }
    let user_agent = section
        .text("user_agent", "printable ASCII up to 100 characters", |text| {
            let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            if !text.is_empty() && text.len() <= 100 && printable {
                Ok(text.to_owned())
            } else {
                Err("not fit for a header".to_owned())
            }
        })
        .unwrap_or_else(|| concat!("Talkpath/", env!("CARGO_PKG_VERSION")).to_owned());
    let codecs = section.words("codecs", SIP_CODECS).unwrap_or_else(|| SIP_CODECS_DEFAULT.to_vec());
    let srtp = srtp::srtp(&section);
    let realm = section
        .text("realm", "up to 64 letters, digits, blanks and -_.@", |text| {
            let fits = |c: char| c.is_ascii_alphanumeric() || " -_.@".contains(c);
            if !text.is_empty() && text.len() <= 64 && text.chars().all(fits) {
                Ok(text.to_owned())
            } else {
                Err("not fit for a realm".to_owned())
            }
        })
        .unwrap_or_else(|| REALM.to_owned());
    let digest = section.words("digest", DIGESTS).unwrap_or_else(|| DIGESTS_OFFERED.to_vec());
    let timers = SipTimers {
        t1: section.millis("t1_ms", 10..=5_000).unwrap_or(Duration::from_millis(500)),
        t2: section.millis("t2_ms", 10..=60_000).unwrap_or(Duration::from_secs(4)),
        t4: section.millis("t4_ms", 10..=60_000).unwrap_or(Duration::from_secs(5)),
    };
    if timers.t2 < timers.t1 {
        section.conflict("t2_ms", "shorter than t1_ms; allowed: t1_ms or longer".to_owned());
    }
    let session_timer = session_timer(&section);
    section.finish();
    SipConfig {
        listen,
        udp: transports.contains(&Transport::Udp),
        tcp: transports.contains(&Transport::Tcp),
        advertised,
        user_agent,
        codecs,
        srtp,
        realm,
        digest,
        timers,
        session_timer,
    }
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

pub(super) fn rtp(section: Section<'_>, sip: &SipConfig) -> RtpConfig {
    let written = |key| {
        section.text(key, "an address, such as \"203.0.113.7\"", |text| {
            text.parse::<IpAddr>().map_err(|_| "not an address".to_owned())
        })
    };
    // Media follows signalling unless told otherwise: one key opens a server to the network.
    let address = written("address").unwrap_or(sip.listen.ip());
    let public_address = written("public_address")
        .or(sip.advertised.map(|advertised| advertised.ip))
        .filter(|public| *public != address);
    if public_address.unwrap_or(address).is_unspecified()
        && (section.has("address") || section.has("public_address"))
    {
        let why = "callers must be told an address that reaches us, which no wildcard is";
        section.conflict("public_address", why.to_owned());
    }
    let ports = section.text("ports", PortRange::ALLOWED, PortRange::parse).unwrap_or(RTP_PORTS);
    let xr = section.flag("xr").unwrap_or(false);
    section.finish();
    RtpConfig { address, ports, public_address, xr }
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
    section.finish();
    MediaConfig { workers, max_queue_ms, ptime_ms }
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
        calls_per_second: section
            .number("calls_per_second", 1..=100_000)
            .unwrap_or(CALLS_PER_SECOND),
        ring: section.seconds("ring_s", 1..=600).unwrap_or(RING),
        max_duration: section
            .seconds("max_duration_s", 1..=MAX_DURATION_S_MAX)
            .unwrap_or(MAX_DURATION),
        media_timeout: Some(section.seconds("media_timeout_s", 0..=3_600).unwrap_or(MEDIA_TIMEOUT))
            .filter(|timeout| !timeout.is_zero()),
    };
    section.finish();
    limits
}
