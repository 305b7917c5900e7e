//! What the first bytes of a packet tell (RFC 6716 3.1 and 3.2).

use super::{PACKET_MAX_MS, RATE_HZ};

/// Ticks of the longest packet.
const TICKS_MAX: u32 = RATE_HZ / 1_000 * PACKET_MAX_MS;
/// Ticks of 2.5 ms: the shortest frame.
const SHORTEST_TICKS: u32 = RATE_HZ / 400;
/// Ticks of a frame of SILK, of which longer ones are made.
const SILK_TICKS: u32 = RATE_HZ / 50;

/// How long `packet` lasts in ticks of 48 kHz; 0 if it is none that a decoder would take.
pub fn packet_ticks(packet: &[u8]) -> u32 {
    let Some((&toc, rest)) = packet.split_first() else { return 0 };
    let frames = match toc & 3 {
        0 => 1,
        // Two frames of equal length [R3].
        1 if rest.len() % 2 == 0 => 2,
        2 => {
            // The first frame's length, in one byte or two [R4].
            let fits = match rest {
                [] => false,
                [first @ 0..=251, rest @ ..] => rest.len() >= usize::from(*first),
                [first, second, rest @ ..] => {
                    rest.len() >= usize::from(*first) + 4 * usize::from(*second)
                }
                [_] => false,
            };
            if fits { 2 } else { 0 }
        }
        3 => rest.first().map_or(0, |count| u32::from(count & 63)),
        _ => 0,
    };
    let ticks = frames * frame_ticks(toc);
    if ticks > TICKS_MAX { 0 } else { ticks }
}

/// True if `packet` repeats, coarsely, what the packet before it said: a decoder can make up for
/// the loss of that one (RFC 6716 2.1.7). Only packets of one frame, or of two alike, are looked
/// into; senders of others are rare.
pub fn has_redundancy(packet: &[u8]) -> bool {
    let Some((&toc, rest)) = packet.split_first() else { return false };
    // CELT alone has none.
    if toc & 0x80 != 0 || toc & 3 > 1 {
        return false;
    }
    // A frame begins with a bit of activity for each 20 ms of it, then says whether it repeats;
    // the second channel's bits follow (RFC 6716 4.2.3).
    let Some(&first) = rest.first() else { return false };
    let parts = (frame_ticks(toc) / SILK_TICKS).max(1);
    let bit = |from_top: u32| first >> (7 - from_top.min(7)) & 1 == 1;
    bit(parts) || (toc & 4 != 0 && bit(2 * parts + 1))
}

/// How long each frame of a packet lasts (RFC 6716 table 2).
const fn frame_ticks(toc: u8) -> u32 {
    let config = toc >> 3;
    let size = config & 3;
    match config {
        // SILK: 10, 20, 40, 60 ms.
        0..12 => match size {
            0 => SILK_TICKS / 2,
            size => SILK_TICKS * size as u32,
        },
        // Hybrid: 10, 20 ms.
        12..16 => (SILK_TICKS / 2) << (config & 1),
        // CELT: 2.5, 5, 10, 20 ms.
        _ => SHORTEST_TICKS << size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6716 table 2, row by row, in packets of one frame.
    #[test]
    fn lengths_of_all_configurations() {
        for config in 0..32_u8 {
            let x10_ms = match config {
                0..12 => [100, 200, 400, 600][usize::from(config % 4)],
                12..16 => [100, 200][usize::from(config % 2)],
                _ => [25, 50, 100, 200][usize::from(config % 4)],
            };
            let packet = [config << 3, 0, 0];
            assert_eq!(packet_ticks(&packet), x10_ms * 48 / 10, "{config}");
            // Two frames, if that is not too long.
            assert_eq!(packet_ticks(&[config << 3 | 1, 0, 0]), 2 * x10_ms * 48 / 10);
            for count in 0..64_u8 {
                let ticks = u32::from(count) * x10_ms * 48 / 10;
                let expected = if ticks > 5_760 { 0 } else { ticks };
                assert_eq!(packet_ticks(&[config << 3 | 3, count, 0]), expected);
            }
        }
    }

    /// What no decoder takes lasts for no time; every truncation is looked at without harm.
    #[test]
    fn bad_packets_last_for_no_time() {
        assert_eq!(packet_ticks(&[]), 0);
        assert_eq!(packet_ticks(&[1, 0]), 0, "two equal frames in an odd number of bytes");
        assert_eq!(packet_ticks(&[2]), 0);
        assert_eq!(packet_ticks(&[2, 252]), 0);
        assert_eq!(packet_ticks(&[2, 3, 0, 0]), 0, "a frame that is longer than the packet");
        assert_eq!(packet_ticks(&[2, 2, 0, 0]), 960);
        assert_eq!(packet_ticks(&[3]), 0);
        for toc in 0..=255 {
            for len in 0..6 {
                let packet = [toc, 255, 255, 255, 255, 255];
                assert!(packet_ticks(&packet[..len]) <= 5_760);
                let _ = has_redundancy(&packet[..len]);
            }
        }
    }
}
