//! Our RTP bytes against those of an independent implementation, the crate `rtp`: what one writes
//! the other reads alike.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use bytes::Bytes;
use media::rtp::{HEADER_BYTES, Header, Packet, write_header};
use proptest::prelude::*;
use webrtc_util::marshal::{Marshal, Unmarshal};

fn headers() -> impl Strategy<Value = Header> {
    (any::<bool>(), 0..128_u8, any::<u16>(), any::<u32>(), any::<u32>())
        .prop_map(|(marker, pt, seq, ts, ssrc)| Header { marker, pt, seq, ts, ssrc })
}

/// Identifier and data of an extension's element (RFC 8285).
type Element = (u8, Vec<u8>);

/// Extensions as the other crate can write them: one of RFC 3550, or elements of RFC 8285.
fn extensions() -> impl Strategy<Value = Option<(u16, Vec<Element>)>> {
    let plain = (any::<u16>(), 0..8_usize).prop_filter_map("RFC 8285", |(profile, words)| {
        let data = (0..words * 4).map(|n| n as u8).collect();
        (profile != 0xbede && profile != 0x1000).then_some((profile, vec![(0, data)]))
    });
    let one_byte =
        prop::collection::vec((1..15_u8, prop::collection::vec(any::<u8>(), 1..16)), 0..5)
            .prop_map(|elements| (0xbede, elements));
    let two_byte =
        prop::collection::vec((1..=255_u8, prop::collection::vec(any::<u8>(), 0..20)), 0..5)
            .prop_map(|elements| (0x1000, elements));
    prop::option::of(prop_oneof![plain, one_byte, two_byte])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// What our writer writes, the other crate reads, field by field; and what it would write is
    /// the same bytes.
    #[test]
    fn they_read_what_we_write(
        header in headers(),
        payload in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut bytes = vec![0; HEADER_BYTES];
        write_header(bytes.first_chunk_mut().unwrap(), &header);
        bytes.extend(&payload);
        let theirs = rtp::packet::Packet::unmarshal(&mut &bytes[..]).unwrap();
        prop_assert_eq!(theirs.header.version, 2);
        prop_assert!(!theirs.header.padding && !theirs.header.extension);
        prop_assert_eq!(theirs.header.marker, header.marker);
        prop_assert_eq!(theirs.header.payload_type, header.pt);
        prop_assert_eq!(theirs.header.sequence_number, header.seq);
        prop_assert_eq!(theirs.header.timestamp, header.ts);
        prop_assert_eq!(theirs.header.ssrc, header.ssrc);
        prop_assert_eq!(&theirs.payload[..], &payload[..]);
        prop_assert_eq!(&theirs.marshal().unwrap()[..], &bytes[..]);
    }

    /// What the other crate writes, with sources, extensions and padding, we read part by part; and
    /// every cut of it is refused, or falls into the payload.
    #[test]
    fn we_read_what_they_write(
        header in headers(),
        csrc in prop::collection::vec(any::<u32>(), 0..16),
        extension in extensions(),
        padding in any::<bool>(),
        payload in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let (profile, elements) = extension.clone().unwrap_or_default();
        let theirs = rtp::packet::Packet {
            header: rtp::header::Header {
                version: 2,
                padding,
                extension: extension.is_some(),
                marker: header.marker,
                payload_type: header.pt,
                sequence_number: header.seq,
                timestamp: header.ts,
                ssrc: header.ssrc,
                csrc: csrc.clone(),
                extension_profile: profile,
                extensions: elements
                    .iter()
                    .map(|(id, data)| {
 let payload = data.clone().into();
 rtp::header::Extension { id: *id, payload }
 })
                    .collect(),
                extensions_padding: 0,
            },
            payload: Bytes::from(payload.clone()),
        };
        let bytes = theirs.marshal().unwrap();
        let ours = Packet::parse(&bytes).unwrap();
        prop_assert_eq!(ours.header, header);
        prop_assert_eq!(ours.csrcs().collect::<Vec<_>>(), csrc);
        prop_assert_eq!(ours.extension.map(|extension| extension.profile), extension.map(|e| e.0));
        if let Some(found) = ours.extension {
            prop_assert_eq!(found.data, extension_bytes(profile, &elements));
        }
        prop_assert_eq!(ours.payload, &payload[..]);
        for len in 0..bytes.len() {
            let cut = bytes.slice(..len);
            if len < HEADER_BYTES + theirs.header.csrc.len() * 4 {
                prop_assert!(Packet::parse(&cut).is_err(), "cut at {}", len);
            } else if let Ok(packet) = Packet::parse(&cut) {
                let start = bytes.len() - payload.len() - pad_len(padding, payload.len());
                prop_assert!(len >= start, "cut at {} within the headers", len);
                prop_assert!(packet.payload.len() <= len - start);
            }
        }
    }

    /// Bytes at random never make the reader panic, and what it takes for a packet fits the bytes.
    #[test]
    fn random_bytes_are_harmless(mut bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        if let Some(first) = bytes.first_mut() {
            *first = (*first & 0x3f) | 0x80;
        }
        if let Ok(packet) = Packet::parse(&bytes) {
            let extension = packet.extension.map_or(0, |extension| 4 + extension.data.len());
            let parts = HEADER_BYTES + packet.csrc_bytes.len() + extension + packet.payload.len();
            prop_assert!(parts <= bytes.len());
            let padding = bytes.len() - parts;
            prop_assert_eq!(padding > 0, bytes[0] & 0x20 != 0);
        }
    }
}

/// The words that follow the extension's header, as RFC 3550 5.3.1 and RFC 8285 4 draw them.
fn extension_bytes(profile: u16, elements: &[Element]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (id, data) in elements {
        match profile {
            0xbede => bytes.push((id << 4) | (data.len() as u8 - 1)),
            0x1000 => bytes.extend([*id, data.len() as u8]),
            _ => {}
        }
        bytes.extend(data);
    }
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Bytes of padding that the other crate adds: to the next word, or a whole one.
fn pad_len(padding: bool, payload: usize) -> usize {
    if padding { 4 - payload % 4 } else { 0 }
}
