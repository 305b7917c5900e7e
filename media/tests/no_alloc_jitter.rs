//! No heap allocation in a jitter buffer, with losses, pauses and skewed clocks, nor where a packet
//! of one leg is passed on to another.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

#[path = "support/counting.rs"]
mod counting;

use std::time::Duration;

use counting::allocations;
use media::blocks::BlockPool;
use media::codec::AudioFormat;
use media::codec::g711::Law;
use media::jitter::{Content, Incoming, JitterBuffer, JitterConfig, Put};
use media::leg::{Heard, Leg, LegConfig, Passed, PassedKind, StreamStart};
use media::rtp::{HEADER_BYTES, Relay, Sender};
use media::time::MonoTime;

const PTIME: Duration = Duration::from_millis(20);

/// Ten minutes with every 17th packet lost, every 5th late, copies, a pause every minute with the
/// peer's noise in it, and a standstill that overruns the cap, ask the heap for nothing.
#[test]
fn a_jitter_buffer_asks_for_no_memory() {
    let mut blocks = BlockPool::new(64);
    blocks.reserve(64).unwrap();
    let before = allocations();
    let mut buffer = JitterBuffer::new(JitterConfig::new(8_000, 8_000));
    assert!(allocations() > before, "the count counts");
    let tone: Vec<u8> =
        (0..160).map(|n: i32| Law::Mu.code(((n * 11 % 200 - 100) * 80) as i16)).collect();
    let mut out = [0; 160];
    // The sender's clock is fast by a thousandth.
    let packets = Duration::from_micros(19_980);
    let start = MonoTime::from_nanos(1);
    let before = allocations();
    let (mut number, mut pulls) = (0_u32, 0_u32);
    while pulls < 30_000 {
        let now = start + PTIME * pulls;
        while start + packets * number <= now {
            let n = u64::from(number);
            let content = match number % 3_000 {
                2_900 => Content::Comfort,
                2_901..=2_999 => Content::Other,
                _ => Content::Audio(0),
            };
            let audio = content == Content::Audio(0);
            let packet = Incoming {
                ext_seq: 1_000 + n,
                ext_ts: 1_000_000 + n * 160,
                units: if audio { 160 } else { 0 },
                content,
                splice: false,
                payload: if audio { &tone } else { &[60] },
            };
            let late = Duration::from_millis(if number.is_multiple_of(5) { 30 } else { 0 });
            if !number.is_multiple_of(17) {
                buffer.put(now + late, &mut blocks, packet);
            }
            if number.is_multiple_of(50) {
                assert_ne!(buffer.put(now, &mut blocks, packet), Put::NoMemory);
            }
            number += 1;
        }
        // Nothing is pulled for a second.
        if pulls % 5_000 < 4_950 {
            buffer.pull(now, &mut blocks, &mut out, |_, payload, out| Law::Mu.decode(payload, out));
        }
        pulls += 1;
    }
    assert_eq!(allocations() - before, 0);
    // The loop did what it says.
    let counters = *buffer.counters();
    assert!(counters.missing > 1_000 && counters.duplicate > 500, "{counters:?}");
    assert!(counters.discarded > 100 && counters.comfort_samples > 80_000, "{counters:?}");
    assert!(counters.accelerated_samples > 1_000, "{counters:?}");
}

/// Ten minutes of a stream passed from one leg to another ask the heap for nothing.
#[test]
fn passing_on_asks_for_no_memory() {
    let config = LegConfig {
        audio: AudioFormat::PCMU,
        pt: 0,
        receive_pt: 0,
        dtmf_pt: None,
        receive_dtmf_pt: None,
        cn_pt: None,
        ptime_ms: 20,
        opus: Default::default(),
    };
    let start = |ssrc| StreamStart { ssrc, seq: 1, ts: 2, seed: 3 };
    let mut from = Leg::new(MonoTime::ZERO, config, start(1));
    let mut to = Leg::new(MonoTime::ZERO, config, start(2));
    let mut relay = Relay::new(8_000, 8_000);
    let mut sender = Sender::new(9, 65_000, u32::MAX - 1_000);
    let mut packet = [0xff; HEADER_BYTES + 160];
    let mut passed = 0;
    let before = allocations();
    for n in 0..30_000_u32 {
        let now = MonoTime::ZERO + PTIME * n;
        sender.write(now, packet.first_chunk_mut().unwrap(), 0, 160, 160);
        let Heard::Audio(heard) = from.receive(now, &packet) else { panic!("no audio") };
        let audio = Passed {
            kind: PassedKind::Audio,
            arrival: heard.arrival,
            marker: heard.marker,
            payload_bytes: heard.len,
            ticks: 160,
        };
        let header = packet.first_chunk_mut().unwrap();
        passed += u32::from(to.write_relayed(now, header, &mut relay, audio));
    }
    assert_eq!(allocations() - before, 0);
    assert_eq!((passed, to.sender().packets()), (30_000, 30_000));
}
