//! The ring under a model checker: every interleaving of two threads, and every value that an
//! atomic load may see. Run by `RUSTFLAGS="--cfg loom" cargo test -p talkpath-media --test
//! loom_ring --release`.
//!
//! Besides content, the checker watches each access to a slot: one that is not ordered after the
//! other side's last is an error.
#![cfg(loom)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use loom::thread;
use media::ring::{Consumer, FrameMeta, Producer, frame_ring};

fn put(producer: &mut Producer, seq: u64) -> bool {
    let meta = FrameMeta { seq, ts: seq + 100, ..FrameMeta::default() };
    producer.push(meta, &[seq as u8; 8])
}

/// Reads `looks` times; what comes out is whole and in order.
fn take(consumer: &mut Consumer, looks: usize) -> Vec<u64> {
    let mut got = Vec::new();
    for _ in 0..looks {
        if let Some(frame) = consumer.peek() {
            let seq = frame.meta().seq;
            assert_eq!(frame.meta().ts, seq + 100);
            assert_eq!(frame.payload(), [seq as u8; 8]);
            frame.consume();
            assert!(got.last() < Some(&seq), "{got:?} then {seq}");
            got.push(seq);
        }
        thread::yield_now();
    }
    got
}

/// Without overflow nothing is lost, doubled or torn.
#[test]
fn passes_frames() {
    loom::model(|| {
        let (mut producer, mut consumer) = frame_ring(2, 8);
        let feeder = thread::spawn(move || assert!(put(&mut producer, 0) && put(&mut producer, 1)));
        let mut got = take(&mut consumer, 2);
        feeder.join().unwrap();
        got.extend(take(&mut consumer, 2));
        assert_eq!(got, [0, 1]);
    });
}

/// Overflow while the consumer reads: each frame is read once, counted as skipped, or refused; the
/// newest that was taken in always arrives.
#[test]
fn overflows_while_read() {
    loom::model(|| {
        let (mut producer, mut consumer) = frame_ring(2, 8);
        assert!(put(&mut producer, 0));
        let feeder = thread::spawn(move || {
            let taken: Vec<u64> = (1..4).filter(|&seq| put(&mut producer, seq)).collect();
            (taken, *producer.counters())
        });
        let mut got = take(&mut consumer, 2);
        let (taken, counters) = feeder.join().unwrap();
        got.extend(take(&mut consumer, 4));
        assert_eq!(got.last(), taken.last());
        assert_eq!(taken.len() as u64 + 1, counters.published);
        assert_eq!(counters.published + counters.refused, 4);
        assert_eq!(consumer.counters().skipped, counters.dropped);
        assert_eq!(got.len() as u64 + counters.dropped, counters.published);
    });
}

/// A clear while the consumer reads: nothing older comes out after something newer, what came after
/// the clear always comes out.
#[test]
fn clears_while_read() {
    loom::model(|| {
        let (mut producer, mut consumer) = frame_ring(3, 8);
        assert!(put(&mut producer, 0));
        let feeder = thread::spawn(move || {
            assert!(put(&mut producer, 1));
            producer.clear();
            assert!(put(&mut producer, 2));
        });
        let mut got = take(&mut consumer, 2);
        feeder.join().unwrap();
        got.extend(take(&mut consumer, 3));
        assert_eq!(got.last(), Some(&2));
        assert_eq!(got.len() as u64 + consumer.counters().cleared, 3);
    });
}

/// The consumer lets go of a frame without consuming it while the producer overflows, and clears.
#[test]
fn lets_go_while_it_overflows() {
    loom::model(|| {
        let (mut producer, mut consumer) = frame_ring(2, 8);
        assert!(put(&mut producer, 0) && put(&mut producer, 1));
        let feeder = thread::spawn(move || {
            put(&mut producer, 2);
            let _ = producer.reserve();
            *producer.counters()
        });
        drop(consumer.peek());
        consumer.clear();
        let counters = feeder.join().unwrap();
        let rest = take(&mut consumer, 3).len() as u64;
        let seen = consumer.counters();
        assert_eq!(rest + seen.skipped + seen.cleared, counters.published);
        assert_eq!(seen.skipped, counters.dropped);
    });
}
