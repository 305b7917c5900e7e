//! Answers: writing ours (RFC 3264 6), and reading the peer's (RFC 3264 7).

use std::fmt::Write as _;
use std::sync::Arc;

use super::offer::{XR_LINE, codec_lines, event_lines, refuse, session_lines};
use super::payloads::{
    Chosen, Protection, choose, codec_of, comfort_noise_of, encoding, payload_types,
    telephone_event_of,
};
use super::settle::{Payloads, settle};
use super::{Answer, LocalMedia, Negotiated, NegotiationError, security};
use crate::sip::core::sdp::{Media, Sdp, crypto};

/// Answers an offer.
///
/// # Errors
/// [`NegotiationError`] if no stream of the offer can be accepted.
pub fn answer(offer: &Sdp, local: &LocalMedia) -> Result<Answer, NegotiationError> {
    let Chosen { index, format, pt, srtp } = choose(offer, local, security::of_offer)?;
    let media = offer.media.get(index).ok_or(NegotiationError::NoAudio)?;
    let dtmf_pt =
        if local.telephone_event { telephone_event_of(media, format.clock_hz()) } else { None };
    let selected = settle(
        offer,
        media,
        local,
        Payloads {
            format,
            pt,
            receive_pt: pt,
            dtmf_pt,
            receive_dtmf_pt: dtmf_pt,
            cn_pt: comfort_noise_of(media, format).filter(|cn| *cn != pt),
            srtp: srtp.as_ref().map(|settled| Arc::clone(&settled.keys)),
        },
    )?;
    let tag = srtp.map(|settled| settled.tag);
    let mut out = session_lines(local);
    for (i, media) in offer.media.iter().enumerate() {
        if i == index {
            answer_media(&mut out, media, local, &selected, tag);
        } else {
            refuse(&mut out, media);
        }
    }
    Ok(Answer { sdp: out.into_bytes(), selected })
}

/// Reads the answer to the offer that [`build_offer`](super::build_offer) or
/// [`build_reoffer`](super::build_reoffer) wrote from `local`.
///
/// # Errors
/// [`NegotiationError`] if the answer accepts nothing that was offered.
pub fn accept_answer(local: &LocalMedia, answer: &Sdp) -> Result<Negotiated, NegotiationError> {
    accept(local, answer, security::of_answer)
}

fn accept(
    local: &LocalMedia,
    answer: &Sdp,
    protection: impl Protection,
) -> Result<Negotiated, NegotiationError> {
    let Chosen { index, format, pt, srtp } = choose(answer, local, protection)?;
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
            cn_pt: comfort_noise_of(media, format).filter(|cn| local.comfort_noise && *cn != pt),
            srtp: srtp.map(|settled| settled.keys),
        },
    )
}

/// Reads the answer to `offer`, a description of ours that was offered as it was: an answer of
/// before has the payload types of its offerer and the numbers of its keys, not those that our
/// offers have.
///
/// # Errors
/// [`NegotiationError`] if the answer accepts nothing that was offered.
pub fn accept_answer_to(
    offer: &Sdp,
    local: &LocalMedia,
    answer: &Sdp,
) -> Result<Negotiated, NegotiationError> {
    let offered = offer.media.iter().find(|media| media.is_rtp_audio() && media.port != 0);
    let offered = offered.ok_or(NegotiationError::NoAudio)?;
    let protection = security::of_answer_to(offered);
    let mut settled = accept(local, answer, &protection)?;
    let (format, clock_hz) = (settled.codec, settled.codec.clock_hz());
    let pt = offered.payload_types().find(|pt| codec_of(offered, *pt, local) == Some(format));
    settled.receive_pt = pt.ok_or(NegotiationError::NoCommonCodec)?;
    settled.receive_dtmf_pt = telephone_event_of(offered, clock_hz);
    let Chosen { index, .. } = choose(answer, local, &protection)?;
    let theirs = answer.media.get(index).and_then(|media| telephone_event_of(media, clock_hz));
    settled.dtmf_pt = theirs.filter(|_| settled.receive_dtmf_pt.is_some());
    settled.receive_dtmf_pt = settled.receive_dtmf_pt.filter(|_| settled.dtmf_pt.is_some());
    Ok(settled)
}

fn answer_media(
    out: &mut String,
    offered: &Media,
    local: &LocalMedia,
    selected: &Negotiated,
    crypto_tag: Option<u32>,
) {
    let Negotiated { codec, pt, dtmf_pt, cn_pt, .. } = *selected;
    let _ = write!(out, "m=audio {} {} {pt}", local.port, offered.protocol);
    for pt in cn_pt.into_iter().chain(dtmf_pt) {
        let _ = write!(out, " {pt}");
    }
    let name = encoding(codec).map_or("", |(name, _)| name);
    out.push_str("\r\n");
    codec_lines(out, pt, name, codec);
    if let Some(pt) = cn_pt {
        let _ = write!(out, "a=rtpmap:{pt} CN/{}\r\n", codec.clock_hz());
    }
    if let Some(pt) = dtmf_pt {
        event_lines(out, pt, codec.clock_hz());
    }
    if let (Some(tag), Some(srtp)) = (crypto_tag, &selected.srtp) {
        crypto::write(out, tag, &srtp.ours);
    }
    let direction = selected.direction.as_str();
    let _ = write!(out, "a=ptime:{}\r\na={direction}\r\n", selected.ptime_ms);
    if selected.rtcp_mux {
        out.push_str("a=rtcp-mux\r\n");
    }
    if local.xr || offered.voip_metrics {
        out.push_str(XR_LINE);
    }
}
