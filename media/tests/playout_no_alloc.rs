//! The playout queue of a call in full flow does not touch the heap.

#![allow(clippy::unwrap_used, missing_docs, reason = "test")]

#[path = "support/counting.rs"]
mod counting;

use std::time::Duration;

use counting::allocations;
use media::blocks::BlockPool;
use media::codec::AudioFormat;
use media::playout::{Playout, PlayoutConfig, Popped};
use media::time::MonoTime;

/// A hundred calls that queue bursts of speech, play them and are interrupted allocate nothing once
/// their pool has been reserved; the counter itself is shown to count.
#[test]
fn push_pop_and_clear_allocate_nothing() {
    let mut pool = BlockPool::new(4096);
    pool.reserve(1600).unwrap();
    let config = PlayoutConfig::new(AudioFormat::PCMU, 20, 24_000);
    let mut calls: Vec<Playout> = (0..100).map(|_| Playout::new(config)).collect();
    let burst = [0x55; 3300];
    let mut frame = [0; 160];
    let mut frames = 0u64;
    let before = allocations();
    for tick in 0..500u64 {
        let now = MonoTime::ZERO + Duration::from_millis(20 * tick);
        for (call, phase) in calls.iter_mut().zip(0..) {
            if (tick + phase) % 20 == 0 {
                assert!(!call.push(now, &mut pool, &burst).full);
            }
            if (tick + phase) % 170 == 7 {
                call.flush();
                call.clear(now, &mut pool);
            }
            frames += u64::from(call.pop(now, &mut pool, &mut frame) != Popped::Empty);
        }
    }
    assert_eq!(allocations() - before, 0);
    assert_eq!(pool.late_chunks(), 0);
    assert!(frames > 45_000, "{frames}");
    drop(std::hint::black_box(vec![0u8; 10]));
    assert_eq!(allocations() - before, 1);
}
