//! The ring between two running threads, every byte checked.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use std::thread;

use media::ring::{Consumer, FrameMeta, frame_ring};
use media::time::MonoTime;

const FRAMES: u64 = 500_000;

/// A payload that no other frame has: length and bytes follow from the sequence number.
fn content(seq: u64) -> impl ExactSizeIterator<Item = u8> {
    let mut word = seq.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..(seq % 321) as usize).map(move |_| {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word as u8
    })
}

/// Reads all that waits; every seventh frame is looked at, let go and looked for again.
fn drain(consumer: &mut Consumer, mut last: Option<u64>) -> Option<u64> {
    let mut let_go = None;
    while let Some(mut frame) = consumer.peek() {
        let FrameMeta { seq, ts, at, marker } = frame.meta();
        assert!(last < Some(seq), "frame {seq} after {last:?}");
        assert_eq!((ts, at, marker), (seq ^ 0xff, MonoTime::from_nanos(!seq), seq & 4 != 0));
        assert!(frame.payload().iter().copied().eq(content(seq)), "frame {seq} is torn");
        if seq % 7 == 3 && let_go != Some(seq) {
            let_go = Some(seq);
            continue;
        }
        frame.payload_mut().fill(0xaa);
        frame.consume();
        last = Some(seq);
    }
    last
}

/// Two threads, a ring far too small for their pace: order holds, no frame is torn, and every frame
/// is consumed, skipped, cleared or refused, by the counts of both sides.
#[test]
fn every_frame_is_whole_and_accounted_for() {
    for (depth, clear_every) in [(2, u64::MAX), (3, 17), (10, u64::MAX), (10, 1000)] {
        let (mut producer, mut consumer) = frame_ring(depth, 320);
        let feeder = thread::spawn(move || {
            for seq in 0..FRAMES {
                if let Some(mut slot) = producer.reserve() {
                    let bytes = content(seq);
                    let len = bytes.len();
                    slot.payload_mut().iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
                    let at = MonoTime::from_nanos(!seq);
                    let meta = FrameMeta { seq, ts: seq ^ 0xff, at, marker: seq & 4 != 0 };
                    slot.publish(meta, len);
                }
                if seq % clear_every == clear_every - 1 {
                    producer.clear();
                }
                if seq % 64 == 0 {
                    thread::yield_now();
                }
            }
            *producer.counters()
        });
        let mut last = None;
        while !consumer.is_abandoned() {
            last = drain(&mut consumer, last);
        }
        let fed = feeder.join().unwrap();
        drain(&mut consumer, last);
        let read = *consumer.counters();
        assert_eq!(fed.published + fed.refused, FRAMES);
        assert_eq!(read.skipped, fed.dropped);
        assert_eq!(read.consumed + read.skipped + read.cleared, fed.published);
        assert!(read.consumed > 0);
    }
}
