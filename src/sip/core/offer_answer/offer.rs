//! Writing offers (RFC 3264 5).

use std::fmt::Write as _;

use media::codec::{AudioFormat, Codec};
use media::leg::COMFORT_PT;

use super::payloads::{Offered, channels, payload_types};
use super::{LocalMedia, opus, security};
use crate::sip::core::sdp::{Media, Sdp};

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

pub(super) fn session_lines(local: &LocalMedia) -> String {
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
    let _ = write!(out, "m=audio {} {}", local.port, security::profile(local));
    // At other clocks nobody sends it.
    let noise = local.comfort_noise && codecs.iter().any(|o| o.format.clock_hz() == 8_000);
    let noise = noise.then_some(COMFORT_PT);
    let events_pts = events.iter().map(|(_, pt)| *pt);
    for pt in codecs.iter().map(|o| o.pt).chain(noise).chain(events_pts) {
        let _ = write!(out, " {pt}");
    }
    out.push_str("\r\n");
    for Offered { format, name, pt } in &codecs {
        codec_lines(out, *pt, name, *format);
    }
    if let Some(pt) = noise {
        let _ = write!(out, "a=rtpmap:{pt} CN/8000\r\n");
    }
    for (clock_hz, pt) in &events {
        event_lines(out, *pt, *clock_hz);
    }
    security::offer_lines(out, local);
    let direction = local.direction.as_str();
    let _ = write!(out, "a=ptime:{}\r\na={direction}\r\n", local.ptime_ms);
    if local.rtcp_mux {
        out.push_str("a=rtcp-mux\r\n");
    }
    if local.xr {
        out.push_str(XR_LINE);
    }
}

/// Asks for VoIP metrics (RFC 3611 5.1).
pub(super) const XR_LINE: &str = "a=rtcp-xr:voip-metrics\r\n";

/// What a payload type of audio means.
pub(super) fn codec_lines(out: &mut String, pt: u8, name: &str, format: AudioFormat) {
    let _ = write!(out, "a=rtpmap:{pt} {name}/{}{}\r\n", format.clock_hz(), channels(format));
    if format.codec == Codec::Opus {
        let _ = write!(out, "a=fmtp:{pt} {}\r\n", opus::OURS);
    }
}

/// Digits 0-9, `*`, `#`, A-D are events 0 to 15 (RFC 4733 3.2).
pub(super) fn event_lines(out: &mut String, pt: u8, clock_hz: u32) {
    let _ = write!(out, "a=rtpmap:{pt} telephone-event/{clock_hz}\r\na=fmtp:{pt} 0-15\r\n");
}

/// A refused stream: port 0, with the offered formats because a line needs at least one.
pub(super) fn refuse(out: &mut String, offered: &Media) {
    let _ = write!(out, "m={} 0 {}", offered.kind, offered.protocol);
    for format in &offered.formats {
        let _ = write!(out, " {format}");
    }
    if offered.formats.is_empty() {
        out.push_str(" 0");
    }
    out.push_str("\r\n");
}
