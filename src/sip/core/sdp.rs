//! Session descriptions (RFC 8866): a lenient reader.
//!
//! Only what a call needs is kept. Lines in an order the RFC does not allow, unknown attributes, a
//! missing final line end and missing `s=` or `t=` lines are accepted, because phones send them;
//! what would make the description ambiguous (no version, media without an address) is not.

pub mod crypto;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crypto::Crypto;

/// Longest description read, in bytes.
pub const SDP_MAX_BYTES: usize = 16 * 1024;
/// Most `m=` lines of a description.
pub const MEDIA_MAX_LINES: usize = 16;
/// Most formats of one `m=` line; what follows is ignored.
pub const FORMATS_MAX: usize = 64;
/// Most `a=crypto` lines of one stream; what follows is ignored.
pub const CRYPTO_MAX_LINES: usize = 16;

/// Why a description was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// More than [`SDP_MAX_BYTES`].
    #[error("session description is too long")]
    TooLong,
    /// The first line is not `v=0`.
    #[error("session description does not start with v=0")]
    Version,
    /// A line is not `letter=value`.
    #[error("session description has a malformed line")]
    Line,
    /// The `o=` line is missing or malformed.
    #[error("session description has no valid origin")]
    Origin,
    /// A `c=` line is malformed.
    #[error("session description has a malformed connection line")]
    Connection,
    /// An `m=` line is malformed.
    #[error("session description has a malformed media line")]
    Media,
    /// More than [`MEDIA_MAX_LINES`] `m=` lines.
    #[error("session description has too many media lines")]
    TooManyMedia,
    /// Media that is not refused (port 0) has no connection address.
    #[error("session description has media without an address")]
    NoAddress,
}

/// A connection address (`c=`): literal, or a name that the reader of the description resolves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IPv4 or IPv6 literal.
    Ip(IpAddr),
    /// A host name.
    Name(Box<str>),
}

impl Address {
    /// The literal, if it is one.
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Name(_) => None,
        }
    }

    fn parse(kind: &str, text: &str) -> Option<Self> {
        // Multicast addresses carry a time to live and a count after a slash (RFC 8866 5.7).
        let host = text.split('/').next().unwrap_or(text);
        if host.is_empty() {
            return None;
        }
        let literal = match kind {
            k if k.eq_ignore_ascii_case("IP4") => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            k if k.eq_ignore_ascii_case("IP6") => host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .parse::<Ipv6Addr>()
                .ok()
                .map(IpAddr::V6),
            _ => return None,
        };
        if let Some(ip) = literal {
            return Some(Self::Ip(ip));
        }
        // Some devices mark an IPv6 address as IP4 or the reverse: the literal decides.
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Some(Self::Ip(ip));
        }
        let name = host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        name.then(|| Self::Name(host.into()))
    }
}

/// Who sends media, from the view of whoever wrote the description (RFC 8866 6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Sends and receives.
    #[default]
    SendRecv,
    /// Only sends: the peer is on hold.
    SendOnly,
    /// Only receives.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// Whether the writer sends.
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the writer receives.
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The direction of one that sends and receives as told.
    pub const fn new(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// The same from the other side.
    pub const fn reversed(self) -> Self {
        Self::new(self.receives(), self.sends())
    }

    /// What both allow.
    pub const fn and(self, other: Self) -> Self {
        Self::new(self.sends() && other.sends(), self.receives() && other.receives())
    }

    /// The attribute's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive]
            .into_iter()
            .find(|d| name.eq_ignore_ascii_case(d.as_str()))
    }
}

/// An `a=rtpmap` line: what a payload type means (RFC 8866 6.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpMap {
    /// Payload type, 0 to 127.
    pub pt: u8,
    /// Encoding name as written; compared without case.
    pub encoding: Box<str>,
    /// Ticks a second of the RTP timestamp.
    pub clock_hz: u32,
    /// Audio channels; 1 when absent.
    pub channels: u8,
}

/// One `m=` line and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// "audio", "video", "image", "application", … as written.
    pub kind: Box<str>,
    /// Port; 0 refuses the stream.
    pub port: u16,
    /// "RTP/AVP" and the like, as written.
    pub protocol: Box<str>,
    /// Formats in order of preference; payload types for RTP.
    pub formats: Vec<Box<str>>,
    /// The stream's own address.
    pub connection: Option<Address>,
    /// `a=rtpmap` lines.
    pub rtpmaps: Vec<RtpMap>,
    /// `a=fmtp` lines: payload type and parameters.
    pub fmtps: Vec<(u8, Box<str>)>,
    /// `a=ptime` in milliseconds.
    pub ptime_ms: Option<u32>,
    /// `a=maxptime` in milliseconds.
    pub maxptime_ms: Option<u32>,
    /// The stream's own direction.
    pub direction: Option<Direction>,
    /// `a=rtcp`: port and, if named, address (RFC 3605).
    pub rtcp: Option<(u16, Option<Address>)>,
    /// `a=rtcp-mux` (RFC 5761).
    pub rtcp_mux: bool,
    /// `a=crypto` lines that can be used (RFC 4568).
    pub crypto: Vec<Crypto>,
    /// Takes VoIP metrics: `a=rtcp-xr` of the stream, else of the session (RFC 3611 5).
    pub voip_metrics: bool,
}

impl Media {
    /// Whether it is audio over RTP or SRTP, the only kinds that can be accepted.
    pub fn is_rtp_audio(&self) -> bool {
        let plain = ["RTP/AVP", "RTP/AVPF"];
        self.kind.eq_ignore_ascii_case("audio")
            && (self.is_secure()
                || plain.iter().any(|name| self.protocol.eq_ignore_ascii_case(name)))
    }

    /// Whether it is of SRTP with keys in the description (RFC 4568, RFC 5124).
    pub fn is_secure(&self) -> bool {
        let secure = ["RTP/SAVP", "RTP/SAVPF"];
        secure.iter().any(|name| self.protocol.eq_ignore_ascii_case(name))
    }

    /// Payload types in order of preference; formats that are none are skipped.
    pub fn payload_types(&self) -> impl Iterator<Item = u8> {
        self.formats.iter().filter_map(|f| f.parse::<u8>().ok()).filter(|pt| *pt < 128)
    }

    /// The map of a payload type, if the description has one.
    pub fn rtpmap(&self, pt: u8) -> Option<&RtpMap> {
        self.rtpmaps.iter().find(|m| m.pt == pt)
    }

    /// The format parameters of a payload type.
    pub fn fmtp(&self, pt: u8) -> Option<&str> {
        self.fmtps.iter().find(|(of, _)| *of == pt).map(|(_, text)| text.as_ref())
    }
}

/// The `o=` line, without the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// User name, `-` for none.
    pub username: Box<str>,
    /// Session identifier as written.
    pub session_id: Box<str>,
    /// Session version as written; a higher one announces a change.
    pub version: Box<str>,
}

/// A session description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sdp {
    /// `o=`.
    pub origin: Origin,
    /// Session-level `c=`.
    pub connection: Option<Address>,
    /// Session-level direction.
    pub direction: Option<Direction>,
    /// `m=` lines in order.
    pub media: Vec<Media>,
}

impl Sdp {
    /// Reads a description.
    ///
    /// # Errors
    /// See [`SdpError`].
    pub fn parse(text: &[u8]) -> Result<Self, SdpError> {
        if text.len() > SDP_MAX_BYTES {
            return Err(SdpError::TooLong);
        }
        let mut reader = Reader::default();
        for raw in text.split(|b| *b == b'\n' || *b == b'\r') {
            if raw.is_empty() {
                continue;
            }
            // A session name may be Latin-1; no line that is used holds anything but ASCII.
            let line = String::from_utf8_lossy(raw);
            reader.line(line.trim_end_matches(['\0', ' ', '\t']))?;
        }
        reader.finish()
    }

    /// The direction of a stream: its own, else the session's, else `sendrecv`.
    pub fn direction_of(&self, media: &Media) -> Direction {
        media.direction.or(self.direction).unwrap_or_default()
    }

    /// The address of a stream: its own, else the session's.
    pub fn address_of<'a>(&'a self, media: &'a Media) -> Option<&'a Address> {
        media.connection.as_ref().or(self.connection.as_ref())
    }
}

#[derive(Default)]
struct Reader {
    started: bool,
    origin: Option<Origin>,
    connection: Option<Address>,
    direction: Option<Direction>,
    media: Vec<Media>,
    /// The session takes VoIP metrics.
    voip_metrics: bool,
    /// The last stream has said itself which reports it takes.
    own_reports: bool,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), SdpError> {
        if line.is_empty() {
            return Ok(());
        }
        let (kind, value) = line.split_once('=').ok_or(SdpError::Line)?;
        let value = value.trim_start();
        if !self.started {
            self.started = kind == "v" && value == "0";
            return if self.started { Ok(()) } else { Err(SdpError::Version) };
        }
        match kind {
            "o" => self.origin(value),
            "c" => self.connection(value),
            "m" => self.media(value),
            "a" => {
                self.attribute(value);
                Ok(())
            }
            other if other.len() == 1 => Ok(()),
            _ => Err(SdpError::Line),
        }
    }

    fn finish(self) -> Result<Sdp, SdpError> {
        if !self.started {
            return Err(SdpError::Version);
        }
        let Self { origin, connection, direction, media, .. } = self;
        let sdp = Sdp { origin: origin.ok_or(SdpError::Origin)?, connection, direction, media };
        if sdp.media.iter().any(|m| m.port != 0 && sdp.address_of(m).is_none()) {
            return Err(SdpError::NoAddress);
        }
        Ok(sdp)
    }

    fn origin(&mut self, value: &str) -> Result<(), SdpError> {
        let mut words = value.split_ascii_whitespace();
        let (Some(username), Some(session_id), Some(version)) =
            (words.next(), words.next(), words.next())
        else {
            return Err(SdpError::Origin);
        };
        self.origin.get_or_insert_with(|| Origin {
            username: username.into(),
            session_id: session_id.into(),
            version: version.into(),
        });
        Ok(())
    }

    fn connection(&mut self, value: &str) -> Result<(), SdpError> {
        let mut words = value.split_ascii_whitespace();
        let (Some(net), Some(kind), Some(host)) = (words.next(), words.next(), words.next()) else {
            return Err(SdpError::Connection);
        };
        if !net.eq_ignore_ascii_case("IN") {
            return Err(SdpError::Connection);
        }
        let address = Address::parse(kind, host).ok_or(SdpError::Connection)?;
        match self.media.last_mut() {
            Some(media) => media.connection.get_or_insert(address),
            None => self.connection.get_or_insert(address),
        };
        Ok(())
    }

    fn media(&mut self, value: &str) -> Result<(), SdpError> {
        if self.media.len() == MEDIA_MAX_LINES {
            return Err(SdpError::TooManyMedia);
        }
        let mut words = value.split_ascii_whitespace();
        let (Some(kind), Some(port), Some(protocol)) = (words.next(), words.next(), words.next())
        else {
            return Err(SdpError::Media);
        };
        let port = port.split('/').next().unwrap_or(port);
        self.media.push(Media {
            kind: kind.into(),
            port: port.parse().map_err(|_| SdpError::Media)?,
            protocol: protocol.into(),
            formats: words.take(FORMATS_MAX).map(Into::into).collect(),
            connection: None,
            rtpmaps: Vec::new(),
            fmtps: Vec::new(),
            ptime_ms: None,
            maxptime_ms: None,
            direction: None,
            rtcp: None,
            rtcp_mux: false,
            crypto: Vec::new(),
            voip_metrics: self.voip_metrics,
        });
        self.own_reports = false;
        Ok(())
    }

    /// What a stream says of extended reports counts, else what the session says (RFC 3611 5.1).
    fn extended_reports(&mut self, value: &str) {
        let wanted = value.split_ascii_whitespace().any(|report| report == "voip-metrics");
        match self.media.last_mut() {
            None => self.voip_metrics |= wanted,
            Some(media) => {
                media.voip_metrics = wanted || (self.own_reports && media.voip_metrics);
                self.own_reports = true;
            }
        }
    }

    /// Attributes that cannot be read are ignored: they are extensions until proven otherwise.
    fn attribute(&mut self, value: &str) {
        let (name, value) = value.split_once(':').unwrap_or((value, ""));
        let (name, value) = (name.trim(), value.trim());
        if let Some(direction) = Direction::parse(name) {
            match self.media.last_mut() {
                Some(media) => media.direction = Some(direction),
                None => self.direction = Some(direction),
            }
            return;
        }
        if name == "rtcp-xr" {
            return self.extended_reports(value);
        }
        let Some(media) = self.media.last_mut() else { return };
        match name {
            "rtpmap" if media.rtpmaps.len() < FORMATS_MAX => media.rtpmaps.extend(rtpmap(value)),
            "fmtp" if media.fmtps.len() < FORMATS_MAX => media.fmtps.extend(fmtp(value)),
            "ptime" => media.ptime_ms = milliseconds(value).or(media.ptime_ms),
            "maxptime" => media.maxptime_ms = milliseconds(value).or(media.maxptime_ms),
            "rtcp" => media.rtcp = rtcp(value).or(media.rtcp.take()),
            "rtcp-mux" => media.rtcp_mux = true,
            "crypto" if media.crypto.len() < CRYPTO_MAX_LINES => {
                media.crypto.extend(Crypto::parse(value));
            }
            _ => {}
        }
    }
}

fn rtpmap(value: &str) -> Option<RtpMap> {
    let (pt, rest) = value.split_once([' ', '\t'])?;
    let mut parts = rest.trim().split('/');
    let (encoding, clock) = (parts.next()?, parts.next()?);
    Some(RtpMap {
        pt: pt.parse().ok().filter(|pt| *pt < 128)?,
        encoding: encoding.into(),
        clock_hz: clock.trim().parse().ok()?,
        channels: parts.next().and_then(|c| c.trim().parse().ok()).unwrap_or(1),
    })
}

fn fmtp(value: &str) -> Option<(u8, Box<str>)> {
    let (pt, parameters) = value.split_once([' ', '\t'])?;
    Some((pt.parse().ok().filter(|pt| *pt < 128)?, parameters.trim().into()))
}

/// Whole milliseconds; some devices write "20.0".
fn milliseconds(value: &str) -> Option<u32> {
    value.split('.').next()?.parse().ok().filter(|ms| (1..=1000).contains(ms))
}

fn rtcp(value: &str) -> Option<(u16, Option<Address>)> {
    let mut words = value.split_ascii_whitespace();
    let port = words.next()?.parse().ok()?;
    let address = match (words.next(), words.next(), words.next()) {
        (Some(_), Some(kind), Some(host)) => Address::parse(kind, host),
        _ => None,
    };
    Some((port, address))
}

#[cfg(test)]
mod tests;
