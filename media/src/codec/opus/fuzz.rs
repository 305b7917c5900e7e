//! Body of a fuzz target: packets of Opus, whatever they hold.

use super::{Decoder, PACKET_MAX_MS, RATE_HZ, has_redundancy, packet_ticks};
use crate::codec::{AudioFormat, Codec};

/// Rates that Opus is decoded at.
const RATES_HZ: [u32; 5] = [8_000, 12_000, 16_000, 24_000, RATE_HZ];
/// Length of a frame by the five bits that tell it, in units of 2.5 ms (RFC 6716 table 2).
const FRAMES: [u32; 32] = [
    4, 8, 16, 24, 4, 8, 16, 24, 4, 8, 16, 24, 4, 8, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 1, 2,
    4, 8,
];
/// Ticks of 2.5 ms.
const UNIT_TICKS: u32 = RATE_HZ / 400;
/// Units of the longest packet.
const UNITS_MAX: u32 = 48;

/// Reads `data` as a rate and packets with two bytes in front, of length and of what is lost before
/// them: how long each lasts is what the RFC says, and a decoder, where the build has one, yields
/// as much of it or nothing.
pub fn packets(data: &[u8]) {
    let Some((&rate, mut rest)) = data.split_first() else { return };
    let rate_hz = RATES_HZ[usize::from(rate) % RATES_HZ.len()];
    let format = AudioFormat { codec: Codec::Opus, rate_hz: RATE_HZ };
    let mut decoder = Decoder::new(rate_hz).ok();
    let mut samples = vec![0; (rate_hz / 1_000 * PACKET_MAX_MS) as usize];
    while let Some((&[length, lost], after)) = rest.split_first_chunk() {
        let (packet, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        let ticks = packet_ticks(packet);
        assert_eq!(ticks, units(packet).unwrap_or(0) * UNIT_TICKS, "{packet:?}");
        assert_eq!((format.is_whole(packet), format.payload_ticks(packet)), (ticks > 0, ticks));
        let Some(decoder) = &mut decoder else { continue };
        let missing = usize::from(lost) * samples.len() / 255;
        let recovered = decoder.recover(packet, &mut samples[..missing]);
        assert!(recovered <= missing && (recovered == 0 || has_redundancy(packet)));
        assert!(decoder.conceal(&mut samples[..missing - recovered]) <= missing - recovered);
        let decoded = decoder.decode(packet, &mut samples);
        let whole = (ticks * (rate_hz / 1_000) / (RATE_HZ / 1_000)) as usize;
        assert!(decoded == 0 || decoded == whole, "{decoded} samples of {whole}");
    }
}

/// How long a packet lasts in units of 2.5 ms, as section 3 of RFC 6716 tells it; none if the
/// frames cannot be told apart.
fn units(packet: &[u8]) -> Option<u32> {
    let (&toc, body) = packet.split_first()?;
    let frame = FRAMES[usize::from(toc >> 3)];
    let frames = match toc & 3 {
        0 => 1,
        1 => (body.len() % 2 == 0).then_some(2)?,
        2 => {
            let (&first, more) = body.split_first()?;
            let (length, rest) = match first {
                252.. => {
                    let (&second, rest) = more.split_first()?;
                    (4 * usize::from(second) + usize::from(first), rest)
                }
                _ => (usize::from(first), more),
            };
            (length <= rest.len()).then_some(2)?
        }
        _ => u32::from(body.first()? & 0x3f),
    };
    (frames > 0 && frames * frame <= UNITS_MAX).then_some(frames * frame)
}

#[cfg(test)]
mod tests {
    /// The body runs: packets of every kind of frame and of every count of them.
    #[test]
    fn body_runs() {
        for toc in 0..=u8::MAX {
            for body in [&[][..], &[1], &[3, 7], &[252, 0], &[0x43, 1, 2, 3], &[9; 60]] {
                let mut data = vec![toc, body.len() as u8 + 1, 40, toc];
                data.extend_from_slice(body);
                super::packets(&data);
                super::packets(&data.repeat(3));
            }
        }
    }
}
