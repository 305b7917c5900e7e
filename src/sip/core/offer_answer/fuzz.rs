//! Body of the fuzz target of offers and answers, in any order.
#![expect(clippy::panic, reason = "a fuzz body fails by panicking")]

use std::sync::Arc;

use media::codec::AudioFormat;
use media::srtp::Suite;

use super::payloads::codec_of;
use super::{
    LocalMedia, LocalSrtp, Negotiated, SrtpPolicy, accept_answer, accept_answer_to, answer,
    build_offer, build_reoffer,
};
use crate::sip::core::sdp::{Direction, Media, Sdp};

/// Steps of one input that are taken.
const STEPS_MAX: usize = 64;
/// What a side may have, by the bits of an octet.
const CODECS: [AudioFormat; 5] = [
    AudioFormat::PCMU,
    AudioFormat::PCMA,
    AudioFormat::G722,
    AudioFormat::l16be(8_000),
    AudioFormat::l16be(16_000),
];

/// Lets two sides talk about a stream: each line of `data` is a step. It begins with an octet that
/// says what happens: one side offers, anew or within the call, and the other answers; or a side
/// is given the rest of the line, `|` for line ends, as somebody's offer or answer. Two octets in
/// front of all say what each side can do.
///
/// # Panics
///
/// If anything is settled that was not offered, or if both sides of an exchange understand it
/// differently.
pub fn offer_answer(data: &[u8]) {
    let Some(([first, second], rest)) = data.split_first_chunk() else { return };
    let mut sides = [Side::new(*first, 1), Side::new(*second, 2)];
    for step in rest.split(|octet| *octet == b'\n').take(STEPS_MAX) {
        let Some((&choice, text)) = step.split_first() else { continue };
        let at = usize::from(choice & 1);
        let [one, other] = &mut sides;
        let (one, other) = if at == 0 { (one, other) } else { (other, one) };
        match choice >> 1 & 3 {
            0 => exchange(one, other, choice),
            1 => one.hold(choice),
            2 => one.offered(text),
            _ => one.answered(text),
        }
    }
}

struct Side {
    media: LocalMedia,
    /// Its description that holds.
    own: Option<Sdp>,
}

impl Side {
    fn new(choice: u8, number: u8) -> Self {
        let mut codecs: Vec<AudioFormat> = CODECS
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| choice >> bit & 1 == 1)
            .map(|(_, format)| format)
            .collect();
        if choice & 0x20 != 0 {
            codecs.reverse();
        }
        let (policy, offers) = match choice >> 6 {
            0 => (SrtpPolicy::Off, false),
            1 => (SrtpPolicy::Optional, false),
            2 => (SrtpPolicy::Optional, true),
            _ => (SrtpPolicy::Required, true),
        };
        let fill = |bytes: &mut [u8]| {
            bytes.fill(number);
            Ok::<_, std::convert::Infallible>(())
        };
        let srtp = LocalSrtp::new(policy, offers, &Suite::ALL, fill).unwrap_or_default();
        let media = LocalMedia {
            address: [192, 0, 2, number].into(),
            port: 4000,
            codecs,
            telephone_event: choice & 1 == 0,
            ptime_ms: 20,
            direction: Direction::SendRecv,
            rtcp_mux: choice & 2 == 0,
            comfort_noise: choice & 8 == 0,
            xr: choice & 4 == 0,
            srtp,
            session_id: 1,
            session_version: 1,
        };
        Self { media, own: None }
    }

    fn hold(&mut self, choice: u8) {
        self.media.direction = match choice >> 3 & 3 {
            0 => Direction::SendRecv,
            1 => Direction::SendOnly,
            2 => Direction::RecvOnly,
            _ => Direction::Inactive,
        };
    }

    /// Somebody's offer.
    fn offered(&mut self, text: &[u8]) {
        let Some(offer) = read(text) else { return };
        let Ok(answered) = answer(&offer, &self.media) else { return };
        let ours = Sdp::parse(&answered.sdp);
        let ours = ours.unwrap_or_else(|error| panic!("our answer cannot be read: {error}"));
        assert_eq!(ours.media.len(), offer.media.len(), "streams stay in their places");
        let taken: Vec<_> =
            ours.media.iter().zip(&offer.media).filter(|(ours, _)| ours.port != 0).collect();
        let [(mine, theirs)] = taken[..] else { panic!("not one stream is taken") };
        assert_eq!(mine.protocol, theirs.protocol);
        assert_of(&answered.selected, theirs, &self.media);
        assert_eq!(mine.payload_types().next(), Some(answered.selected.pt));
        self.own = Some(ours);
    }

    /// Somebody's answer, to the description that holds or to a new offer.
    fn answered(&mut self, text: &[u8]) {
        let Some(theirs) = read(text) else { return };
        let fresh = Sdp::parse(&build_offer(&self.media));
        if let (Ok(settled), Ok(offer)) = (accept_answer(&self.media, &theirs), &fresh) {
            assert!(offers(offer, settled.receive_pt), "what comes was not offered");
            assert!(self.media.codecs.contains(&settled.codec));
        }
        let Some(own) = &self.own else { return };
        if let Ok(settled) = accept_answer_to(own, &self.media, &theirs) {
            assert!(offers(own, settled.receive_pt), "what comes was not offered");
            assert!(settled.receive_dtmf_pt.is_none_or(|pt| offers(own, pt)));
            let secret = own.media.iter().any(|media| media.port != 0 && !media.crypto.is_empty());
            assert!(settled.srtp.is_none() || secret, "keys for a plain stream");
        }
    }
}

/// One side offers and the other answers: both settle the same.
fn exchange(one: &mut Side, other: &mut Side, choice: u8) {
    one.media.session_version += 1;
    let text = match (&one.own, choice & 8) {
        (Some(own), 8) => build_reoffer(&one.media, own),
        _ => build_offer(&one.media),
    };
    let offer = Sdp::parse(&text);
    let Ok(offer) = offer else {
        // A side without codecs offers nothing that anybody could read.
        return assert!(one.media.codecs.is_empty());
    };
    let Ok(answered) = answer(&offer, &other.media) else { return };
    let Ok(theirs) = Sdp::parse(&answered.sdp) else { panic!("our answer cannot be read") };
    let settled = accept_answer_to(&offer, &one.media, &theirs);
    let settled = settled.unwrap_or_else(|error| panic!("our own answer is refused: {error}"));
    let (ours, peers) = (&settled, &answered.selected);
    assert_eq!(ours.codec, peers.codec);
    assert!(one.media.codecs.contains(&ours.codec) && other.media.codecs.contains(&ours.codec));
    assert_eq!((ours.pt, ours.receive_pt), (peers.receive_pt, peers.pt));
    assert_eq!((ours.dtmf_pt, ours.receive_dtmf_pt), (peers.receive_dtmf_pt, peers.dtmf_pt));
    assert_eq!(ours.rtcp_mux, peers.rtcp_mux);
    assert!(!ours.direction.sends() || peers.direction.receives());
    match (&ours.srtp, &peers.srtp) {
        (Some(ours), Some(peers)) => {
            assert!(ours.ours == peers.theirs && ours.theirs == peers.ours);
            assert!(!Arc::ptr_eq(ours, peers));
        }
        (None, None) => {}
        _ => panic!("one side alone encrypts"),
    }
    (one.own, other.own) = (Some(offer), Some(theirs));
}

/// Fails unless what was settled is of this stream of the offer.
fn assert_of(settled: &Negotiated, offered: &Media, local: &LocalMedia) {
    assert_eq!(codec_of(offered, settled.pt, local), Some(settled.codec));
    let listed = |pt: u8| offered.payload_types().any(|known| known == pt);
    let others = [settled.dtmf_pt, settled.cn_pt];
    assert!(listed(settled.pt) && others.into_iter().flatten().all(listed));
    assert!((10..=60).contains(&settled.ptime_ms));
    assert!(settled.srtp.is_none() || !offered.crypto.is_empty());
    assert!(settled.srtp.is_some() || !offered.is_secure());
}

/// Whether a stream that is not refused lists this payload type.
fn offers(sdp: &Sdp, pt: u8) -> bool {
    let taken = sdp.media.iter().filter(|media| media.port != 0);
    taken.flat_map(Media::payload_types).any(|known| known == pt)
}

fn read(text: &[u8]) -> Option<Sdp> {
    let text: Vec<u8> =
        text.iter().map(|octet| if *octet == b'|' { b'\n' } else { *octet }).collect();
    Sdp::parse(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair of sides exchanges offers both ways, within the call too, and is on hold between;
    /// the corpus of the fuzzer holds the rest.
    #[test]
    fn all_sides_agree() {
        for first in 0..=255 {
            for second in (0..=255).step_by(7) {
                offer_answer(&[
                    first, second, 0, b'\n', 9, b'\n', 10, b'\n', 8, b'\n', 3, b'\n', 9,
                ]);
            }
        }
    }

    /// Offers and answers of strangers between ours.
    #[test]
    fn strangers_in_between() {
        let offer = "v=0|o=- 1 1 IN IP4 192.0.2.9|s=-|c=IN IP4 192.0.2.9|t=0 0|\
                     m=video 9 RTP/AVP 96|m=audio 4000 RTP/AVP 8 0 101|\
                     a=rtpmap:101 telephone-event/8000|a=sendonly";
        let steps: [&[u8]; 5] =
            [b"\x04", offer.as_bytes(), b"\n\x08\n\x06", offer.as_bytes(), b"\n\x00"];
        let input = [&[0x03, 0x03][..], &steps.concat()].concat();
        offer_answer(&input);
    }
}
