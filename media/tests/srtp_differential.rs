//! Our SRTP against that of an independent implementation, the crate `webrtc-srtp`: what one
//! protects the other opens, and both write the same bytes.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use media::rtp::{HEADER_BYTES, Header, write_header};
use media::srtp::{Inbound, InboundStart, MasterKey, OVERHEAD_BYTES_MAX, Outbound, Suite};
use proptest::prelude::*;
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

const SSRC: u32 = 0x0102_0304;

fn theirs(suite: Suite, key: &[u8]) -> Context {
    let profile = match suite {
        Suite::AesCm128Sha1Tag80 => ProtectionProfile::Aes128CmHmacSha1_80,
        Suite::AesCm128Sha1Tag32 => ProtectionProfile::Aes128CmHmacSha1_32,
        Suite::AesCm256Sha1Tag80 => ProtectionProfile::Aes256CmHmacSha1_80,
        Suite::AesCm256Sha1Tag32 => ProtectionProfile::Aes256CmHmacSha1_32,
        Suite::AesGcm128 => ProtectionProfile::AeadAes128Gcm,
        Suite::AesGcm256 => ProtectionProfile::AeadAes256Gcm,
    };
    let (key, salt) = key.split_at(suite.key_bytes());
    Context::new(key, salt, profile, None, None).unwrap()
}

fn rtp(seq: u16, extra: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    let header = Header { marker: seq.is_multiple_of(7), pt: 8, seq, ts: 5, ssrc: SSRC };
    write_header(bytes.first_chunk_mut().unwrap(), &header);
    if !extra.is_empty() {
        // One contributing source, and an extension of RFC 3550.
        bytes[0] |= 0x11;
        bytes.extend([1, 2, 3, 4, 0xab, 0xcd, 0, 1]);
        bytes.extend(&extra[..4]);
    }
    bytes.extend(payload);
    bytes
}

fn ours(out: &mut Outbound, plain: &[u8]) -> Vec<u8> {
    let mut buffer = plain.to_vec();
    buffer.resize(plain.len() + OVERHEAD_BYTES_MAX, 0);
    let length = out.protect(&mut buffer, plain.len()).unwrap();
    buffer.truncate(length);
    buffer
}

fn opened(inn: &mut Inbound, packet: &[u8]) -> Vec<u8> {
    let mut buffer = packet.to_vec();
    let length = inn.unprotect(&mut buffer).unwrap();
    buffer.truncate(length);
    buffer
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Streams with gaps, contributing sources and extensions, over the rollover.
    #[test]
    fn packets_are_the_same(
        suite in prop::sample::select(&Suite::ALL[..]),
        key in prop::collection::vec(any::<u8>(), 46),
        first in prop_oneof![any::<u16>(), 65_500..=u16::MAX],
        steps in prop::collection::vec(
            (1..50_u16, any::<bool>(), prop::collection::vec(any::<u8>(), 1..200)), 1..30),
    ) {
        let key = &key[..MasterKey::bytes(suite)];
        let master = MasterKey::new(suite, key).unwrap();
        let mut out = Outbound::new(&master).unwrap();
        let mut inn = Inbound::new(&master, InboundStart::default()).unwrap();
        let (mut their_out, mut their_inn) = (theirs(suite, key), theirs(suite, key));
        let mut seq = first;
        for (step, extra, payload) in steps {
            let extra: &[u8] = if extra { &[9, 8, 7, 6] } else { &[] };
            let plain = rtp(seq, extra, &payload);
            let mine = ours(&mut out, &plain);
            let other = their_out.encrypt_rtp(&plain).unwrap();
            prop_assert_eq!(&mine[..], &other[..], "{}", suite.name());
            prop_assert_eq!(&their_inn.decrypt_rtp(&mine).unwrap()[..], &plain[..]);
            prop_assert_eq!(&opened(&mut inn, &other)[..], &plain[..]);
            seq = seq.wrapping_add(step);
        }
    }

    /// Reports, whose index counts up by one each.
    #[test]
    fn reports_are_the_same(
        suite in prop::sample::select(&Suite::ALL[..]),
        key in prop::collection::vec(any::<u8>(), 46),
        words in prop::collection::vec(0..20_u8, 1..20),
    ) {
        let key = &key[..MasterKey::bytes(suite)];
        let master = MasterKey::new(suite, key).unwrap();
        let mut out = Outbound::new(&master).unwrap();
        let mut inn = Inbound::new(&master, InboundStart::default()).unwrap();
        let (mut their_out, mut their_inn) = (theirs(suite, key), theirs(suite, key));
        for words in words {
            let mut plain = vec![0x80, 201, 0, 1];
            plain.extend(SSRC.to_be_bytes());
            plain.extend([0x80, 204, 0, words + 2, 1, 2, 3, 4, b'n', b'a', b'm', b'e']);
            plain.extend(vec![words; usize::from(words) * 4]);
            let mut mine = plain.clone();
            mine.resize(plain.len() + OVERHEAD_BYTES_MAX, 0);
            let length = out.protect_rtcp(&mut mine, plain.len()).unwrap();
            mine.truncate(length);
            let other = their_out.encrypt_rtcp(&plain).unwrap();
            prop_assert_eq!(&mine[..], &other[..], "{}", suite.name());
            prop_assert_eq!(&their_inn.decrypt_rtcp(&mine).unwrap()[..], &plain[..]);
            let mut buffer = other.to_vec();
            let length = inn.unprotect_rtcp(&mut buffer).unwrap();
            prop_assert_eq!(&buffer[..length], &plain[..]);
        }
    }
}

/// The other's packets out of order around the rollover of the sequence number, in both
/// directions across it.
#[test]
fn reordered_packets_around_the_rollover() {
    for suite in Suite::ALL {
        let key: Vec<u8> = (0..MasterKey::bytes(suite) as u8).collect();
        let master = MasterKey::new(suite, &key).unwrap();
        let mut inn = Inbound::new(&master, InboundStart::default()).unwrap();
        let mut their_out = theirs(suite, &key);
        let packets: Vec<(Vec<u8>, Vec<u8>)> = (65_500..65_600_u32)
            .map(|seq| {
                let plain = rtp(seq as u16, &[], &seq.to_be_bytes());
                (their_out.encrypt_rtp(&plain).unwrap().to_vec(), plain)
            })
            .collect();
        let mut order: Vec<usize> = (0..packets.len()).collect();
        order[1..].chunks_mut(9).for_each(<[usize]>::reverse);
        for at in order {
            let (packet, plain) = &packets[at];
            assert_eq!(&opened(&mut inn, packet), plain, "{} {at}", suite.name());
            assert!(inn.unprotect(&mut packet.clone()).is_err(), "twice");
        }
        assert_eq!(inn.rollover(), 1);
    }
}
