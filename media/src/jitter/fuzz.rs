//! Any sequence of arrivals, pulls, resets and jumps of time, and what must hold after each.

use std::time::Duration;

use super::{Content, FRAME_MAX_MS, Incoming, JitterBuffer, JitterConfig, MAX_MAX_MS, Put};
use crate::blocks::BlockPool;
use crate::time::MonoTime;

/// Clock and rate of the buffers that are tried.
const RATES: [(u32, u32); 4] =
    [(8_000, 8_000), (16_000, 16_000), (48_000, 48_000), (16_000, 8_000)];

/// Reads `data` as operations of four bytes: what, and three that say how.
///
/// # Panics
///
/// If an account does not add up, a bound is broken or memory is lost.
pub fn jitter_ops(data: &[u8]) {
    let Some((&[rate, max], ops)) = data.split_first_chunk() else { return };
    let (rate_hz, clock_hz) = RATES[usize::from(rate) % RATES.len()];
    let max_ms = u32::from(max) * 10;
    let mut blocks = BlockPool::new(64);
    let config = JitterConfig { max_ms, ..JitterConfig::new(rate_hz, clock_hz) };
    let mut buffer = JitterBuffer::new(config);
    let max_ms = buffer.config().max_ms;
    assert!(max_ms <= MAX_MAX_MS);
    let mut now = MonoTime::from_nanos(1);
    let (mut seq, mut ts) = (1_u64 << 16, 1_u64 << 32);
    let mut out = vec![0; (rate_hz / 1_000 * (FRAME_MAX_MS + 10)) as usize];
    for &[what, a, b, c] in ops.as_chunks().0 {
        match what % 8 {
            0..=2 => {
                // The next packet, a few ahead or behind, of 5 to 60 ms, all or part of it there.
                let units = clock_hz / 1_000 * [5, 10, 20, 30, 60, 13, 1, 0][usize::from(b % 8)];
                let off = i64::from(a.cast_signed() % 8);
                let content = match c % 16 {
                    0 => Content::Comfort,
                    1 => Content::Other,
                    format => Content::Audio(format),
                };
                let payload = [b; 40];
                let packet = Incoming {
                    ext_seq: seq.saturating_add_signed(off),
                    ext_ts: ts.saturating_add_signed(off * i64::from(units)),
                    units,
                    content,
                    splice: c == 255,
                    payload: payload.get(..usize::from(c % 40)).unwrap_or_default(),
                };
                let put = buffer.put(now, &mut blocks, packet);
                assert!(put != Put::Queued || buffer.waiting() > 0);
                seq += 1;
                ts += u64::from(units);
            }
            3..=4 => {
                let len = (usize::from(a) * 8).min(out.len());
                let pulled =
                    buffer.pull(now, &mut blocks, &mut out[..len], |format, payload, out| {
                        let samples = payload.len() * usize::from(format) * 4;
                        let samples = samples.min(out.len());
                        out[..samples].fill(i16::from(b.cast_signed()) * 200);
                        samples
                    });
                let longest = (rate_hz / 1_000 * FRAME_MAX_MS) as usize;
                let sum = pulled.played + pulled.concealed + pulled.comfort;
                assert_eq!(sum, len.min(longest), "a pull is made of its parts");
                now += Duration::from_millis(u64::from(b));
            }
            5 => now += Duration::from_millis(u64::from(a) << (b % 8)),
            6 if a < 16 => buffer.flush(&mut blocks),
            6 if a < 24 => buffer.set_clock(&mut blocks, clock_hz),
            6 => seq += u64::from(a),
            _ => ts += u64::from(a) << (b % 12),
        }
        check(&mut buffer, &blocks, now, max_ms);
    }
    buffer.release(&mut blocks);
    assert_eq!(blocks.used_blocks(), 0, "memory is given back");
}

fn check(buffer: &mut JitterBuffer, blocks: &BlockPool, now: MonoTime, max_ms: u32) {
    let snapshot = buffer.snapshot(now);
    let counters = snapshot.counters;
    let sum = counters.duplicate
        + counters.late
        + counters.discarded
        + counters.played
        + buffer.waiting() as u64;
    assert_eq!(counters.received, sum, "every packet is counted once");
    assert!(blocks.used_blocks() <= buffer.waiting());
    // One packet may be longer than the cap; beside it nothing waits.
    let cap = Duration::from_millis(u64::from(max_ms));
    assert!(snapshot.depth <= cap || buffer.waiting() <= 1, "{snapshot:?}");
    assert!(snapshot.target <= cap, "{snapshot:?}");
    let heard = counters.decoded_samples + counters.expanded_samples;
    assert!(counters.accelerated_samples + counters.dropped_samples <= heard, "{counters:?}");
}
