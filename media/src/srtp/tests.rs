//! What contexts let through and what not.

use proptest::prelude::*;

use super::*;
use crate::rtp::{HEADER_BYTES, Header, write_header};

const SSRC: u32 = 0xdead_beef;

fn key(suite: Suite, seed: u8) -> MasterKey {
    let bytes: Vec<u8> = (0..MasterKey::bytes(suite)).map(|n| n as u8 ^ seed).collect();
    MasterKey::new(suite, &bytes).unwrap()
}

fn pair(suite: Suite) -> (Outbound, Inbound) {
    let key = key(suite, 1);
    (Outbound::new(&key).unwrap(), Inbound::new(&key, InboundStart::default()).unwrap())
}

fn rtp(ssrc: u32, seq: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    let header = Header { marker: false, pt: 0, seq, ts: u32::from(seq) * 160, ssrc };
    write_header(bytes.first_chunk_mut().unwrap(), &header);
    bytes.extend(payload);
    bytes
}

fn report(ssrc: u32) -> Vec<u8> {
    let mut bytes = vec![0x80, 201, 0, 1];
    bytes.extend(ssrc.to_be_bytes());
    bytes.extend([0x81, 202, 0, 1]);
    bytes.extend(ssrc.to_be_bytes());
    bytes
}

fn protect(context: &mut Outbound, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + OVERHEAD_BYTES_MAX, 0xaa);
    let length = context.protect(&mut buffer, packet.len())?;
    buffer.truncate(length);
    Ok(buffer)
}

fn protect_rtcp(context: &mut Outbound, packet: &[u8]) -> Vec<u8> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + OVERHEAD_BYTES_MAX, 0xaa);
    let length = context.protect_rtcp(&mut buffer, packet.len()).unwrap();
    buffer.truncate(length);
    buffer
}

fn unprotect(context: &mut Inbound, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = packet.to_vec();
    let length = context.unprotect(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

fn unprotect_rtcp(context: &mut Inbound, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = packet.to_vec();
    let length = context.unprotect_rtcp(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

/// What one side protects, the other opens, over two rollovers of the sequence number; nothing but
/// the header stays readable, and the sizes are those of the suite.
#[test]
fn goes_round_over_rollovers() {
    for suite in Suite::ALL {
        let (mut out, mut inn) = pair(suite);
        for n in 0..140_000_u32 {
            let plain = rtp(SSRC, (65_000 + n) as u16, &n.to_be_bytes());
            let packet = protect(&mut out, &plain).unwrap();
            assert_eq!(packet.len(), plain.len() + suite.rtp_tag_bytes());
            assert!(packet[..12] == plain[..12] && packet[12..16] != plain[12..]);
            assert_eq!(unprotect(&mut inn, &packet).unwrap(), plain, "{} {n}", suite.name());
        }
        assert_eq!((out.rollover(), inn.rollover()), (3, 3));
    }
}

/// Reports go round too, with a tag of 80 bits even where RTP has 32.
#[test]
fn reports_go_round() {
    for suite in Suite::ALL {
        let (mut out, mut inn) = pair(suite);
        for _ in 0..300 {
            let packet = protect_rtcp(&mut out, &report(SSRC));
            assert_eq!(packet.len(), report(SSRC).len() + 4 + suite.rtcp_tag_bytes());
            assert_ne!(packet[8..16], report(SSRC)[8..]);
            assert_eq!(unprotect_rtcp(&mut inn, &packet).unwrap(), report(SSRC));
        }
    }
}

/// Every cut and every flipped bit is refused, as is each packet the second time; none of that
/// keeps the next genuine one out.
#[test]
fn lets_in_nothing_but_the_genuine() {
    for suite in Suite::ALL {
        let (mut out, mut inn) = pair(suite);
        let packet = protect(&mut out, &rtp(SSRC, 9, b"hello")).unwrap();
        let reports = protect_rtcp(&mut out, &report(SSRC));
        for len in 0..packet.len() {
            assert!(unprotect(&mut inn, &packet[..len]).is_err(), "{} cut at {len}", suite.name());
        }
        for len in 0..reports.len() {
            assert!(unprotect_rtcp(&mut inn, &reports[..len]).is_err(), "report cut at {len}");
        }
        for bit in 0..packet.len() * 8 {
            let mut forged = packet.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(unprotect(&mut inn, &forged).is_err(), "{} bit {bit}", suite.name());
        }
        for bit in 0..reports.len() * 8 {
            let mut forged = reports.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(unprotect_rtcp(&mut inn, &forged).is_err(), "report, bit {bit}");
        }
        assert!(inn.rollover() == 0 && unprotect(&mut inn, &packet).is_ok());
        assert_eq!(unprotect(&mut inn, &packet), Err(SrtpError::Replayed));
        assert!(unprotect_rtcp(&mut inn, &reports).is_ok());
        assert_eq!(unprotect_rtcp(&mut inn, &reports), Err(SrtpError::Replayed));
    }
}

/// A report that is authentic but readable is refused: that was not settled.
#[test]
fn refuses_readable_reports() {
    let (mut out, mut inn) = pair(Suite::AesCm128Sha1Tag80);
    let mut packet = protect_rtcp(&mut out, &report(SSRC));
    let word = packet.len() - 14;
    packet[word] &= 0x7f;
    assert_eq!(unprotect_rtcp(&mut inn, &packet), Err(SrtpError::Unencrypted));
}

/// One context protects one stream, each packet once: nothing uses the key stream twice.
#[test]
fn never_uses_the_key_stream_twice() {
    let (mut out, _) = pair(Suite::AesGcm128);
    protect(&mut out, &rtp(SSRC, 10, b"x")).unwrap();
    for (ssrc, seq) in [(SSRC, 10), (SSRC, 10_u16.wrapping_sub(100)), (1, 11)] {
        assert_eq!(protect(&mut out, &rtp(ssrc, seq, b"y")), Err(SrtpError::Reuse));
    }
    for seq in [12, 9, 11, 200] {
        assert!(protect(&mut out, &rtp(SSRC, seq, b"y")).is_ok(), "{seq}");
        assert_eq!(protect(&mut out, &rtp(SSRC, seq, b"z")), Err(SrtpError::Reuse), "{seq}");
    }
    assert_eq!(protect(&mut out, &rtp(SSRC, 13, b"y")), Err(SrtpError::Reuse), "too old");
}

/// A key protects as many packets as it may and no more.
#[test]
fn ends_with_the_key() {
    let out = Outbound::new(&key(Suite::AesCm128Sha1Tag80, 0)).unwrap();
    let mut out = out.with_lifetime(2);
    assert!(protect(&mut out, &rtp(SSRC, 1, b"x")).is_ok());
    assert!(protect(&mut out, &rtp(SSRC, 2, b"x")).is_ok());
    assert_eq!(protect(&mut out, &rtp(SSRC, 3, b"x")), Err(SrtpError::KeyExpired));
}

/// A buffer without room for the tag is refused and the packet not touched.
#[test]
fn wants_room_for_the_tag() {
    for suite in Suite::ALL {
        let (mut out, _) = pair(suite);
        let plain = rtp(SSRC, 1, b"hello");
        let mut buffer = plain.clone();
        buffer.resize(plain.len() + suite.rtp_tag_bytes() - 1, 0);
        assert_eq!(out.protect(&mut buffer, plain.len()), Err(SrtpError::NoRoom));
        assert!(buffer.starts_with(&plain));
    }
}

/// Packets with an MKI are let in if it is the one that was settled, and refused without it.
#[test]
fn takes_the_key_identifier_that_was_settled() {
    for suite in Suite::ALL {
        let master = key(suite, 3);
        let mki = Mki { value: 0x0102, bytes: 10 };
        let start = InboundStart { mki: Some(mki), rollover: 0 };
        let field = [0, 0, 0, 0, 0, 0, 0, 0, 1, 2];
        let mut inn = Inbound::new(&master, start).unwrap();
        let mut out = Outbound::new(&master).unwrap();
        let plain = rtp(SSRC, 1, b"hello");
        let mut packet = protect(&mut out, &plain).unwrap();
        let mut reports = protect_rtcp(&mut out, &report(SSRC));
        assert_eq!(unprotect(&mut inn, &packet), Err(SrtpError::UnknownKey));
        let behind = if suite.is_gcm() { 0 } else { suite.rtp_tag_bytes() };
        let at = packet.len() - behind;
        packet.splice(at..at, field);
        assert_eq!(unprotect(&mut inn, &packet).unwrap(), plain, "{}", suite.name());
        let behind = if suite.is_gcm() { 0 } else { suite.rtcp_tag_bytes() };
        let at = reports.len() - behind;
        reports.splice(at..at, field);
        assert_eq!(unprotect_rtcp(&mut inn, &reports).unwrap(), report(SSRC));
    }
}

/// After a change of keys, a peer that goes on with its rollover counter is understood, as is one
/// that starts at zero.
#[test]
fn follows_the_rollover_counter_across_keys() {
    for suite in Suite::ALL {
        let master = key(suite, 3);
        for (theirs, ours) in [(0, 0), (2, 2), (3, 2), (0, 2)] {
            let mut out = Outbound::new(&master).unwrap();
            for _ in 0..theirs {
                for seq in [0, 30_000, 60_000] {
                    protect(&mut out, &rtp(SSRC, seq, b"")).unwrap();
                }
            }
            let start = InboundStart { mki: None, rollover: ours };
            let mut inn = Inbound::new(&master, start).unwrap();
            let plain = rtp(SSRC, 7, b"hello");
            let packet = protect(&mut out, &plain).unwrap();
            assert_eq!(unprotect(&mut inn, &packet).unwrap(), plain, "{theirs} {ours}");
            assert_eq!(inn.rollover(), theirs);
        }
    }
}

/// Many sources are told apart; forged packets of others take no room.
#[test]
fn keeps_sources_apart() {
    let master = key(Suite::AesCm128Sha1Tag32, 3);
    let mut inn = Inbound::new(&master, InboundStart::default()).unwrap();
    let mut outs: Vec<Outbound> =
        (0..SOURCES_MAX + 3).map(|_| Outbound::new(&master).unwrap()).collect();
    for seq in [65_534, 65_535, 0, 1] {
        for (out, ssrc) in outs.iter_mut().zip(1..).take(SOURCES_MAX) {
            let packet = protect(out, &rtp(ssrc, seq, b"x")).unwrap();
            assert!(unprotect(&mut inn, &packet).is_ok());
            assert_eq!(unprotect(&mut inn, &packet), Err(SrtpError::Replayed));
            let forged = rtp(1000 + ssrc, seq, b"forged");
            assert_eq!(unprotect(&mut inn, &forged), Err(SrtpError::Forged));
        }
    }
    for (out, ssrc) in outs.iter_mut().zip(1..).skip(SOURCES_MAX) {
        let packet = protect(out, &rtp(ssrc, 5, b"x")).unwrap();
        assert!(unprotect(&mut inn, &packet).is_ok(), "one more than there is room for");
    }
}

/// Neither keys nor what is made of them can be shown.
#[test]
fn shows_no_key() {
    let (out, inn) = pair(Suite::AesCm128Sha1Tag80);
    let text = format!("{:?} {out:?} {inn:?}", key(Suite::AesGcm128, 0x55));
    assert!(text.contains("[secret]") && text.contains("AEAD_AES_128_GCM"));
    assert!(!text.contains("85") && !text.contains("0x55"));
}

/// Only keys of a suite's length exist.
#[test]
fn keys_have_their_length() {
    for suite in Suite::ALL {
        for len in 0..64 {
            let made = MasterKey::new(suite, &vec![1; len]);
            assert_eq!(made.is_some(), len == suite.key_bytes() + suite.salt_bytes());
        }
        assert_eq!(Suite::from_name(suite.name()), Some(suite));
    }
    assert_eq!(Suite::from_name("AES_CM_256_HMAC_SHA1_80"), Some(Suite::AesCm256Sha1Tag80));
    assert_eq!(Suite::from_name("F8_128_HMAC_SHA1_80"), None);
}

proptest! {
    /// Packets of any shape go round, out of order within the window; garbage never panics.
    #[test]
    fn any_packet_goes_round(
        suite in prop::sample::select(&Suite::ALL[..]),
        first: u16,
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..40),
        shuffle in any::<prop::sample::Index>(),
        garbage in prop::collection::vec(any::<u8>(), 0..80),
        csrcs in 0..4_u8,
    ) {
        let (mut out, mut inn) = pair(suite);
        let mut packets = Vec::new();
        for (n, payload) in (0..).zip(&payloads) {
            let mut plain = rtp(SSRC, first.wrapping_add(n), &vec![7; usize::from(csrcs) * 4]);
            plain[0] |= csrcs;
            plain.extend(payload);
            packets.push((protect(&mut out, &plain).unwrap(), plain));
        }
        // The first packet of a source sets where its rollover counter stands.
        let middle = packets.len();
        packets[1..].rotate_left(shuffle.index(middle).min(middle - 1));
        for (packet, plain) in packets {
            prop_assert_eq!(unprotect(&mut inn, &packet), Ok(plain));
            prop_assert!(unprotect(&mut inn, &garbage).is_err());
            prop_assert!(unprotect_rtcp(&mut inn, &garbage).is_err());
        }
        let _ = protect(&mut out, &garbage);
    }
}

/// The fuzz target's body on two of the inputs that it starts from.
#[test]
fn the_fuzz_target_holds() {
    crate::fuzz::srtp(include_bytes!("../../../fuzz/corpus/srtp/suite_0"));
    crate::fuzz::srtp(include_bytes!("../../../fuzz/corpus/srtp/suite_3"));
    crate::fuzz::srtp(include_bytes!("../../../fuzz/corpus/srtp/mki"));
}
