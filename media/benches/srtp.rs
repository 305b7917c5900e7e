//! The cost of protecting and opening one packet of 20 ms of G.711, beside `webrtc-srtp`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use media::rtp::HEADER_BYTES;
use media::srtp::{Inbound, InboundStart, MasterKey, OVERHEAD_BYTES_MAX, Outbound, Suite};
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

/// Header and payload.
const PACKET_BYTES: usize = HEADER_BYTES + 160;

/// The suites under the names of both.
const SUITES: [(Suite, ProtectionProfile); 6] = [
    (Suite::AesCm128Sha1Tag80, ProtectionProfile::Aes128CmHmacSha1_80),
    (Suite::AesCm128Sha1Tag32, ProtectionProfile::Aes128CmHmacSha1_32),
    (Suite::AesCm256Sha1Tag80, ProtectionProfile::Aes256CmHmacSha1_80),
    (Suite::AesCm256Sha1Tag32, ProtectionProfile::Aes256CmHmacSha1_32),
    (Suite::AesGcm128, ProtectionProfile::AeadAes128Gcm),
    (Suite::AesGcm256, ProtectionProfile::AeadAes256Gcm),
];

/// A packet with the sequence number `seq`.
fn packet(seq: u16) -> [u8; PACKET_BYTES] {
    let mut bytes = [0x55; PACKET_BYTES];
    let [s0, s1] = seq.to_be_bytes();
    if let Some(header) = bytes.first_chunk_mut::<HEADER_BYTES>() {
        *header = [0x80, 0, s0, s1, 0, 0, 0, 0, 1, 2, 3, 4];
    }
    bytes
}

fn ours(c: &mut Criterion, suite: Suite, key: &[u8]) {
    let Some(master) = MasterKey::new(suite, key) else { return };
    let name = suite.name();
    let (Ok(mut out), Ok(mut sender), Ok(mut inn)) = (
        Outbound::new(&master),
        Outbound::new(&master),
        Inbound::new(&master, InboundStart::default()),
    ) else {
        return;
    };
    let mut buffer = [0; PACKET_BYTES + OVERHEAD_BYTES_MAX];
    let fill = |buffer: &mut [u8], seq: u16| {
        if let Some(front) = buffer.first_chunk_mut() {
            *front = packet(seq);
        }
    };
    let mut seq = 0_u16;
    c.bench_function(&format!("srtp/{name}/protect"), |b| {
        b.iter(|| {
            seq = seq.wrapping_add(1);
            fill(&mut buffer, seq);
            black_box(out.protect(&mut buffer, PACKET_BYTES))
        });
    });
    let mut seq = 0_u16;
    c.bench_function(&format!("srtp/{name}/protect+unprotect"), |b| {
        b.iter(|| {
            seq = seq.wrapping_add(1);
            fill(&mut buffer, seq);
            let length = sender.protect(&mut buffer, PACKET_BYTES).unwrap_or(0);
            black_box(buffer.get_mut(..length).map(|packet| inn.unprotect(packet)))
        });
    });
}

fn theirs(c: &mut Criterion, suite: Suite, profile: ProtectionProfile, key: &[u8]) {
    let (master, salt) = key.split_at(suite.key_bytes());
    let context = || Context::new(master, salt, profile, None, None);
    let (Ok(mut out), Ok(mut sender), Ok(mut inn)) = (context(), context(), context()) else {
        return;
    };
    let name = suite.name();
    let mut seq = 0_u16;
    c.bench_function(&format!("srtp/{name}/protect (webrtc-srtp)"), |b| {
        b.iter(|| {
            seq = seq.wrapping_add(1);
            black_box(out.encrypt_rtp(&packet(seq))).is_ok()
        });
    });
    let mut seq = 0_u16;
    c.bench_function(&format!("srtp/{name}/protect+unprotect (webrtc-srtp)"), |b| {
        b.iter(|| {
            seq = seq.wrapping_add(1);
            let packet = sender.encrypt_rtp(&packet(seq)).unwrap_or_default();
            black_box(inn.decrypt_rtp(&packet)).is_ok()
        });
    });
}

fn suites(c: &mut Criterion) {
    for (suite, profile) in SUITES {
        let key = vec![0x42; MasterKey::bytes(suite)];
        ours(c, suite, &key);
        theirs(c, suite, profile, &key);
    }
}

criterion_group!(benches, suites);
criterion_main!(benches);
