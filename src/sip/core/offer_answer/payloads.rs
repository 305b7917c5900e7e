//! Codecs and telephone-event as payload types (RFC 3551 6, RFC 4733 2.4.1).

use media::codec::{AudioFormat, Codec};
use media::leg::COMFORT_PT;

use super::security::Settled;
use super::{LocalMedia, NegotiationError, TELEPHONE_EVENT_PT};
use crate::sip::core::sdp::{Media, Sdp};

/// First payload type of codecs without a static one, and of telephone-event at other rates.
const DYNAMIC_PT_FIRST: u8 = 102;
/// Last dynamic payload type (RFC 3551 6).
const DYNAMIC_PT_LAST: u8 = 127;

/// Name, clock and static payload type of a codec in RTP (RFC 3551 table 4); none if RTP has none.
pub(super) fn encoding(format: AudioFormat) -> Option<(&'static str, Option<u8>)> {
    match format.codec {
        Codec::Pcmu => Some(("PCMU", Some(0))),
        Codec::Pcma => Some(("PCMA", Some(8))),
        Codec::G722 => Some(("G722", Some(9))),
        Codec::L16Be => Some(("L16", None)),
        Codec::Opus if media::codec::opus::AVAILABLE => Some(("opus", None)),
        Codec::L16Le | Codec::Opus => None,
    }
}

/// What stands behind the clock in `a=rtpmap`: Opus is always of two channels, whatever is in it
/// (RFC 7587 7).
pub(super) const fn channels(format: AudioFormat) -> &'static str {
    match format.codec {
        Codec::Opus => "/2",
        _ => "",
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
pub(super) fn codec_of(media: &Media, pt: u8, local: &LocalMedia) -> Option<AudioFormat> {
    let (name, clock_hz) = match media.rtpmap(pt) {
        Some(map) if map.channels == 1 || map.encoding.eq_ignore_ascii_case("opus") => {
            (map.encoding.as_ref(), map.clock_hz)
        }
        Some(_) => return None,
        None => static_encoding(pt)?,
    };
    local.codecs.iter().copied().find(|format| {
        format.clock_hz() == clock_hz
            && encoding(*format).is_some_and(|(ours, _)| ours.eq_ignore_ascii_case(name))
    })
}

/// The codecs of ours that the first audio stream of an offer names, in its order.
pub fn offered_codecs(offer: &Sdp, local: &LocalMedia) -> Vec<AudioFormat> {
    let media = offer.media.iter().find(|media| media.is_rtp_audio() && media.port != 0);
    let Some(media) = media else { return Vec::new() };
    media.payload_types().filter_map(|pt| codec_of(media, pt, local)).collect()
}

/// The payload type of telephone-event at `clock_hz` in `media`.
pub(super) fn telephone_event_of(media: &Media, clock_hz: u32) -> Option<u8> {
    media.payload_types().find(|pt| {
        media.rtpmap(*pt).is_some_and(|map| {
            map.encoding.eq_ignore_ascii_case("telephone-event") && map.clock_hz == clock_hz
        })
    })
}

/// Comfort noise (RFC 3389) at the clock of `format` in `media`, under its static payload type: at
/// other clocks nobody sends it.
pub(super) fn comfort_noise_of(media: &Media, format: AudioFormat) -> Option<u8> {
    let listed = media.payload_types().any(|pt| pt == COMFORT_PT);
    let means = media.rtpmap(COMFORT_PT).is_none_or(|map| map.encoding.eq_ignore_ascii_case("CN"));
    (listed && means && format.clock_hz() == 8000).then_some(COMFORT_PT)
}

/// One codec of an offer with its payload type.
pub(super) struct Offered {
    pub(super) format: AudioFormat,
    pub(super) name: &'static str,
    pub(super) pt: u8,
}

/// The payload types of an offer: the same for the same [`LocalMedia`], so that an answer can be
/// understood without keeping the offer.
pub(super) fn payload_types(local: &LocalMedia) -> (Vec<Offered>, Vec<(u32, u8)>) {
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

/// A stream that can be accepted.
pub(super) struct Chosen {
    /// Its place in the description.
    pub(super) index: usize,
    pub(super) format: AudioFormat,
    pub(super) pt: u8,
    pub(super) srtp: Option<Settled>,
}

/// How a stream is protected, if it can be.
pub(super) trait Protection:
    Fn(&Media, &LocalMedia) -> Result<Option<Settled>, NegotiationError>
{
}
impl<T: Fn(&Media, &LocalMedia) -> Result<Option<Settled>, NegotiationError>> Protection for T {}

/// The first audio stream with a codec of ours and a protection that both sides allow.
pub(super) fn choose(
    sdp: &Sdp,
    local: &LocalMedia,
    protection: impl Protection,
) -> Result<Chosen, NegotiationError> {
    let mut fault = NegotiationError::NoAudio;
    for (index, media) in sdp.media.iter().enumerate() {
        if !media.is_rtp_audio() || media.port == 0 {
            continue;
        }
        let srtp = match protection(media, local) {
            Ok(srtp) => srtp,
            Err(error) => {
                fault = error;
                continue;
            }
        };
        let found = media.payload_types().find_map(|pt| Some((codec_of(media, pt, local)?, pt)));
        match found {
            Some((format, pt)) => return Ok(Chosen { index, format, pt, srtp }),
            None => fault = NegotiationError::NoCommonCodec,
        }
    }
    Err(fault)
}
