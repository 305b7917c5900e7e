//! Offers and answers of one audio stream (RFC 3264).
//!
//! One codec is answered, so that a call has one format until the next offer: the first of the
//! *offerer's* list that is supported here, because what the offerer prefers is what it does not
//! have to convert. Every other `m=` line of an offer is answered in its place with port 0.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use media::codec::{AudioFormat, Codec};

use super::sdp::{Address, Direction, Media, Sdp};

/// Payload type under which offers carry telephone-event (RFC 4733) at 8 kHz.
pub const TELEPHONE_EVENT_PT: u8 = 101;
/// First payload type of codecs without a static one, and of telephone-event at other rates.
const DYNAMIC_PT_FIRST: u8 = 102;
/// Last dynamic payload type (RFC 3551 6).
const DYNAMIC_PT_LAST: u8 = 127;
/// Shortest packet that is sent.
pub const PTIME_MIN_MS: u32 = 10;
/// Longest packet that is sent.
pub const PTIME_MAX_MS: u32 = 60;
/// Packet times are multiples of this.
const PTIME_STEP_MS: u32 = 10;

/// What one side can do.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalMedia {
    /// Where RTP is received.
    pub address: IpAddr,
    /// RTP port. RTCP is on the next one unless multiplexed.
    pub port: u16,
    /// Codecs in order of preference. What RTP cannot carry (little-endian L16) is skipped.
    pub codecs: Vec<AudioFormat>,
    /// Whether digits are sent and received as telephone-event.
    pub telephone_event: bool,
    /// Packet time in milliseconds, asked for and used if the peer names none.
    pub ptime_ms: u32,
    /// What this side wants; `SendRecv` but for holding.
    pub direction: Direction,
    /// Whether RTP and RTCP may share a port (RFC 5761).
    pub rtcp_mux: bool,
    /// `o=` identifier, the same for the whole call.
    pub session_id: u64,
    /// `o=` version, one higher with every changed description of the call (RFC 3264 8).
    pub session_version: u64,
}

/// What both sides agreed on, from the local view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// Where RTP goes. The address is unspecified (`0.0.0.0`, `::`) if the peer is on hold in the
    /// manner of RFC 2543 or named a host: then the source of its packets tells.
    pub remote: SocketAddr,
    /// Where RTCP goes; equals `remote` if multiplexed.
    pub remote_rtcp: SocketAddr,
    /// The codec in both directions.
    pub codec: AudioFormat,
    /// Payload type to send with.
    pub pt: u8,
    /// Payload type that arrives; differs from `pt` only if the peer's answer renumbered it.
    pub receive_pt: u8,
    /// Payload type to send digits with.
    pub dtmf_pt: Option<u8>,
    /// Payload type under which digits arrive.
    pub receive_dtmf_pt: Option<u8>,
    /// Packet time to send with, in milliseconds.
    pub ptime_ms: u32,
    /// What this side may do.
    pub direction: Direction,
    /// RTP and RTCP share a port.
    pub rtcp_mux: bool,
}

/// An answer and what it settled.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The description to send.
    pub sdp: Vec<u8>,
    /// What holds once it is sent.
    pub selected: Negotiated,
}

/// Why an offer or an answer cannot be used. All map to 488 Not Acceptable Here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    /// No plain RTP audio stream, or all are refused.
    #[error("no audio stream over plain RTP")]
    NoAudio,
    /// No codec that both sides have.
    #[error("no common codec")]
    NoCommonCodec,
    /// The peer's address is of another family than ours.
    #[error("media address of another family")]
    AddressFamily,
}

/// Name, clock and static payload type of a codec in RTP (RFC 3551 table 4); none if RTP has none.
fn encoding(format: AudioFormat) -> Option<(&'static str, Option<u8>)> {
    match format.codec {
        Codec::Pcmu => Some(("PCMU", Some(0))),
        Codec::Pcma => Some(("PCMA", Some(8))),
        Codec::L16Be => Some(("L16", None)),
        _ => None,
    }
}

/// Name and clock of a static payload type that a description may leave without `a=rtpmap`.
const fn static_encoding(pt: u8) -> Option<(&'static str, u32)> {
    match pt {
        0 => Some(("PCMU", 8000)),
        3 => Some(("GSM", 8000)),
        8 => Some(("PCMA", 8000)),
        9 => Some(("G722", 8000)),
        11 => Some(("L16", 44_100)),
        18 => Some(("G729", 8000)),
        _ => None,
    }
}

/// The codec of `local` that payload type `pt` of `media` means.
fn codec_of(media: &Media, pt: u8, local: &LocalMedia) -> Option<AudioFormat> {
    let (name, clock_hz) = match media.rtpmap(pt) {
        Some(map) if map.channels == 1 => (map.encoding.as_ref(), map.clock_hz),
        Some(_) => return None,
        None => static_encoding(pt)?,
    };
    local.codecs.iter().copied().find(|format| {
        format.clock_hz() == clock_hz
            && encoding(*format).is_some_and(|(ours, _)| ours.eq_ignore_ascii_case(name))
    })
}

/// The payload type of telephone-event at `clock_hz` in `media`.
fn telephone_event_of(media: &Media, clock_hz: u32) -> Option<u8> {
    media.payload_types().find(|pt| {
        media.rtpmap(*pt).is_some_and(|map| {
            map.encoding.eq_ignore_ascii_case("telephone-event") && map.clock_hz == clock_hz
        })
    })
}

/// One codec of an offer with its payload type.
struct Offered {
    format: AudioFormat,
    name: &'static str,
    pt: u8,
}

/// The payload types of an offer: the same for the same [`LocalMedia`], so that an answer can be
/// understood without keeping the offer.
fn payload_types(local: &LocalMedia) -> (Vec<Offered>, Vec<(u32, u8)>) {
    let mut dynamic = DYNAMIC_PT_FIRST..=DYNAMIC_PT_LAST;
    let mut codecs: Vec<Offered> = Vec::with_capacity(local.codecs.len());
    for format in local.codecs.iter().copied() {
        let Some((name, fixed)) = encoding(format) else { continue };
        if codecs.iter().any(|o| o.format == format) {
            continue;
        }
        let Some(pt) = fixed.or_else(|| dynamic.next()) else { continue };
        codecs.push(Offered { format, name, pt });
    }
    let mut events: Vec<(u32, u8)> = Vec::new();
    if local.telephone_event {
        for clock_hz in codecs.iter().map(|o| o.format.clock_hz()) {
            if events.iter().any(|(hz, _)| *hz == clock_hz) {
                continue;
            }
            let pt = if clock_hz == 8000 { Some(TELEPHONE_EVENT_PT) } else { dynamic.next() };
            events.extend(pt.map(|pt| (clock_hz, pt)));
        }
    }
    (codecs, events)
}

/// Writes the offer of a new call.
pub fn build_offer(local: &LocalMedia) -> Vec<u8> {
    let mut out = session_lines(local);
    offer_media(&mut out, local);
    out.into_bytes()
}

/// Writes an offer within a call: audio in the place it has in the peer's latest description, every
/// other stream refused (RFC 3264 8: streams are never removed).
pub fn build_reoffer(local: &LocalMedia, latest: &Sdp) -> Vec<u8> {
    let Some(audio) = latest.media.iter().position(|m| m.is_rtp_audio() && m.port != 0) else {
        return build_offer(local);
    };
    let mut out = session_lines(local);
    for (i, media) in latest.media.iter().enumerate() {
        if i == audio {
            offer_media(&mut out, local);
        } else {
            refuse(&mut out, media);
        }
    }
    out.into_bytes()
}

/// Answers an offer.
///
/// # Errors
/// [`NegotiationError`] if no stream of the offer can be accepted.
pub fn answer(offer: &Sdp, local: &LocalMedia) -> Result<Answer, NegotiationError> {
    let (index, format, pt) = choose(offer, local)?;
    let media = offer.media.get(index).ok_or(NegotiationError::NoAudio)?;
    let dtmf_pt =
        if local.telephone_event { telephone_event_of(media, format.clock_hz()) } else { None };
    let selected = settle(
        offer,
        media,
        local,
        Payloads { format, pt, receive_pt: pt, dtmf_pt, receive_dtmf_pt: dtmf_pt },
    )?;
    let mut out = session_lines(local);
    for (i, media) in offer.media.iter().enumerate() {
        if i == index {
            answer_media(&mut out, media, local, &selected);
        } else {
            refuse(&mut out, media);
        }
    }
    Ok(Answer { sdp: out.into_bytes(), selected })
}

/// Reads the answer to the offer that [`build_offer`] or [`build_reoffer`] wrote from `local`.
///
/// # Errors
/// [`NegotiationError`] if the answer accepts nothing that was offered.
pub fn accept_answer(local: &LocalMedia, answer: &Sdp) -> Result<Negotiated, NegotiationError> {
    let (index, format, pt) = choose(answer, local)?;
    let media = answer.media.get(index).ok_or(NegotiationError::NoAudio)?;
    let (codecs, events) = payload_types(local);
    let receive_pt = codecs.iter().find(|o| o.format == format).map_or(pt, |o| o.pt);
    let clock_hz = format.clock_hz();
    let offered_event = events.iter().find(|(hz, _)| *hz == clock_hz).map(|(_, pt)| *pt);
    let dtmf_pt = offered_event.and_then(|_| telephone_event_of(media, clock_hz));
    settle(
        answer,
        media,
        local,
        Payloads {
            format,
            pt,
            receive_pt,
            dtmf_pt,
            receive_dtmf_pt: offered_event.filter(|_| dtmf_pt.is_some()),
        },
    )
}

/// The first audio stream with a codec of ours, that codec, and its payload type there.
fn choose(sdp: &Sdp, local: &LocalMedia) -> Result<(usize, AudioFormat, u8), NegotiationError> {
    let mut fault = NegotiationError::NoAudio;
    for (i, media) in sdp.media.iter().enumerate() {
        if !media.is_rtp_audio() || media.port == 0 {
            continue;
        }
        let found = media.payload_types().find_map(|pt| Some((codec_of(media, pt, local)?, pt)));
        match found {
            Some((format, pt)) => return Ok((i, format, pt)),
            None => fault = NegotiationError::NoCommonCodec,
        }
    }
    Err(fault)
}

struct Payloads {
    format: AudioFormat,
    pt: u8,
    receive_pt: u8,
    dtmf_pt: Option<u8>,
    receive_dtmf_pt: Option<u8>,
}

/// Joins what `peer` wrote with what is possible here.
fn settle(
    peer: &Sdp,
    media: &Media,
    local: &LocalMedia,
    payloads: Payloads,
) -> Result<Negotiated, NegotiationError> {
    let unspecified = match local.address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    };
    let ip = match peer.address_of(media) {
        Some(Address::Ip(ip)) if ip.is_unspecified() => unspecified,
        Some(Address::Ip(ip)) => *ip,
        Some(Address::Name(_)) | None => unspecified,
    };
    if ip.is_ipv4() != local.address.is_ipv4() {
        return Err(NegotiationError::AddressFamily);
    }
    let held = peer.address_of(media).and_then(Address::ip).is_some_and(|ip| ip.is_unspecified());
    let theirs = peer.direction_of(media);
    let theirs = if held { theirs.and(Direction::SendOnly) } else { theirs };
    let remote = SocketAddr::new(ip, media.port);
    let rtcp_mux = local.rtcp_mux && media.rtcp_mux;
    let remote_rtcp = match &media.rtcp {
        _ if rtcp_mux => remote,
        Some((port, address)) => {
            let ip = address.as_ref().and_then(Address::ip).filter(|a| a.is_ipv4() == ip.is_ipv4());
            SocketAddr::new(ip.unwrap_or_else(|| remote.ip()), *port)
        }
        None => SocketAddr::new(ip, media.port.saturating_add(1)),
    };
    Ok(Negotiated {
        remote,
        remote_rtcp,
        codec: payloads.format,
        pt: payloads.pt,
        receive_pt: payloads.receive_pt,
        dtmf_pt: payloads.dtmf_pt,
        receive_dtmf_pt: payloads.receive_dtmf_pt,
        ptime_ms: ptime_ms(media, local),
        direction: local.direction.and(theirs.reversed()),
        rtcp_mux,
    })
}

/// The packet time to send with: the peer's wish, within its maximum and what is supported here.
fn ptime_ms(media: &Media, local: &LocalMedia) -> u32 {
    let wish = media.ptime_ms.unwrap_or(local.ptime_ms);
    let wish = wish.min(media.maxptime_ms.unwrap_or(PTIME_MAX_MS));
    (wish / PTIME_STEP_MS * PTIME_STEP_MS).clamp(PTIME_MIN_MS, PTIME_MAX_MS)
}

fn session_lines(local: &LocalMedia) -> String {
    let family = if local.address.is_ipv4() { "IP4" } else { "IP6" };
    let mut out = String::with_capacity(256);
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "v=0\r\no=- {} {} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n",
        local.session_id,
        local.session_version,
        ip = local.address,
    );
    out
}

fn offer_media(out: &mut String, local: &LocalMedia) {
    let (codecs, events) = payload_types(local);
    let _ = write!(out, "m=audio {} RTP/AVP", local.port);
    for pt in codecs.iter().map(|o| o.pt).chain(events.iter().map(|(_, pt)| *pt)) {
        let _ = write!(out, " {pt}");
    }
    out.push_str("\r\n");
    for Offered { format, name, pt } in &codecs {
        let _ = write!(out, "a=rtpmap:{pt} {name}/{}\r\n", format.clock_hz());
    }
    for (clock_hz, pt) in &events {
        event_lines(out, *pt, *clock_hz);
    }
    let direction = local.direction.as_str();
    let _ = write!(out, "a=ptime:{}\r\na={direction}\r\n", local.ptime_ms);
    if local.rtcp_mux {
        out.push_str("a=rtcp-mux\r\n");
    }
}

fn answer_media(out: &mut String, offered: &Media, local: &LocalMedia, selected: &Negotiated) {
    let Negotiated { codec, pt, dtmf_pt, .. } = *selected;
    let _ = write!(out, "m=audio {} {} {pt}", local.port, offered.protocol);
    if let Some(pt) = dtmf_pt {
        let _ = write!(out, " {pt}");
    }
    let name = encoding(codec).map_or("", |(name, _)| name);
    let _ = write!(out, "\r\na=rtpmap:{pt} {name}/{}\r\n", codec.clock_hz());
    if let Some(pt) = dtmf_pt {
        event_lines(out, pt, codec.clock_hz());
    }
    let direction = selected.direction.as_str();
    let _ = write!(out, "a=ptime:{}\r\na={direction}\r\n", selected.ptime_ms);
    if selected.rtcp_mux {
        out.push_str("a=rtcp-mux\r\n");
    }
}

/// Digits 0-9, `*`, `#`, A-D are events 0 to 15 (RFC 4733 3.2).
fn event_lines(out: &mut String, pt: u8, clock_hz: u32) {
    let _ = write!(out, "a=rtpmap:{pt} telephone-event/{clock_hz}\r\na=fmtp:{pt} 0-15\r\n");
}

/// A refused stream: port 0, with the offered formats because a line needs at least one.
fn refuse(out: &mut String, offered: &Media) {
    let _ = write!(out, "m={} 0 {}", offered.kind, offered.protocol);
    for format in &offered.formats {
        let _ = write!(out, " {format}");
    }
    if offered.formats.is_empty() {
        out.push_str(" 0");
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests;
