//! The ring on one thread; see `tests/stress_ring.rs` and `tests/loom_ring.rs` for two.

use super::*;

fn meta(seq: u64) -> FrameMeta {
    FrameMeta { seq, ts: seq * 160, at: MonoTime::from_nanos(seq), marker: seq.is_multiple_of(2) }
}

fn take(consumer: &mut Consumer) -> Option<u64> {
    let frame = consumer.peek()?;
    let seq = frame.meta().seq;
    assert_eq!(frame.meta(), meta(seq));
    assert_eq!(frame.payload(), vec![seq as u8; (seq % 161) as usize]);
    frame.consume();
    Some(seq)
}

fn put(producer: &mut Producer, seq: u64) -> bool {
    producer.push(meta(seq), &vec![seq as u8; (seq % 161) as usize])
}

/// Frames come out as they went in, over many laps and all lengths, whatever the number that waits.
#[test]
fn keeps_order_and_content_over_laps() {
    let (mut producer, mut consumer) = frame_ring(5, 160);
    let (mut sent, mut got) = (0, 0);
    for burst in (1..=5).cycle().take(500) {
        for _ in 0..burst {
            assert!(put(&mut producer, sent));
            sent += 1;
        }
        assert_eq!((producer.waiting(), consumer.waiting()), (burst, burst));
        for _ in 0..burst {
            assert_eq!(take(&mut consumer), Some(got));
            got += 1;
        }
        assert_eq!(take(&mut consumer), None);
    }
    assert_eq!(consumer.counters(), &ConsumerCounters { consumed: sent, ..Default::default() });
    assert_eq!(producer.counters(), &ProducerCounters { published: sent, ..Default::default() });
}

/// Overflow takes the oldest: the last `depth` frames remain, and both sides count the others.
#[test]
fn overflow_keeps_the_newest() {
    for sent in 0..50 {
        let (mut producer, mut consumer) = frame_ring(4, 160);
        (0..sent).for_each(|seq| assert!(put(&mut producer, seq)));
        let skipped = sent.saturating_sub(4);
        let got: Vec<_> = std::iter::from_fn(|| take(&mut consumer)).collect();
        assert_eq!(got, (skipped..sent).collect::<Vec<_>>());
        assert_eq!(producer.counters().dropped, skipped);
        assert_eq!(consumer.counters().skipped, skipped);
    }
}

/// A frame in the consumer's hand stays whole while the producer goes on; the spare slot takes one
/// frame more than the depth, others are refused; afterwards the newest are kept again.
#[test]
fn the_frame_in_hand_is_safe() {
    let (mut producer, mut consumer) = frame_ring(3, 160);
    (0..3).for_each(|seq| assert!(put(&mut producer, seq)));
    let frame = consumer.peek().unwrap();
    assert!(put(&mut producer, 3));
    assert!(!put(&mut producer, 4) && !put(&mut producer, 5));
    assert_eq!((frame.meta().seq, frame.payload().len()), (0, 0));
    frame.consume();
    assert!(put(&mut producer, 6));
    let got: Vec<_> = std::iter::from_fn(|| take(&mut consumer)).collect();
    assert_eq!(got, [2, 3, 6]);
    assert_eq!(producer.counters(), &ProducerCounters { published: 5, dropped: 1, refused: 2 });
    assert_eq!(consumer.counters(), &ConsumerCounters { consumed: 4, skipped: 1, cleared: 0 });
}

/// A frame that was looked at but not consumed is there again, unless overflow took it.
#[test]
fn looking_is_not_taking() {
    let (mut producer, mut consumer) = frame_ring(2, 160);
    assert!(put(&mut producer, 0));
    drop(consumer.peek());
    assert_eq!(take(&mut consumer), Some(0));
    (1..3).for_each(|seq| assert!(put(&mut producer, seq)));
    drop(consumer.peek());
    assert!(put(&mut producer, 3));
    assert_eq!(take(&mut consumer), Some(2));
    std::mem::forget(consumer.peek());
    assert_eq!(take(&mut consumer), Some(3));
}

/// A reserved slot that is not published is as if it never was, even in a full ring of the least
/// depth.
#[test]
fn an_unpublished_slot_is_given_back() {
    let (mut producer, mut consumer) = frame_ring(0, 160);
    (0..2).for_each(|seq| assert!(put(&mut producer, seq)));
    assert!(producer.reserve().is_some());
    assert_eq!(take(&mut consumer), Some(1));
    assert!(producer.reserve().is_some());
    assert_eq!(take(&mut consumer), None);
    assert!(put(&mut producer, 2));
    assert_eq!(take(&mut consumer), Some(2));
}

/// A clear of either side takes all that waits and nothing that comes after.
#[test]
fn clear_takes_what_waits() {
    let (mut producer, mut consumer) = frame_ring(4, 160);
    (0..3).for_each(|seq| assert!(put(&mut producer, seq)));
    producer.clear();
    assert_eq!(take(&mut consumer), None);
    assert!(put(&mut producer, 3));
    producer.clear();
    (4..6).for_each(|seq| assert!(put(&mut producer, seq)));
    assert_eq!(take(&mut consumer), Some(4));
    assert_eq!(consumer.counters().cleared, 4);
    consumer.clear();
    assert_eq!(take(&mut consumer), None);
    assert_eq!(consumer.counters().cleared, 5);
    assert!(put(&mut producer, 6));
    assert_eq!(take(&mut consumer), Some(6));
}

/// The consumer may change a frame in place, and only that frame.
#[test]
fn changes_in_place() {
    let (mut producer, mut consumer) = frame_ring(2, 64);
    assert!(producer.push(meta(0), &[1; 64]) && producer.push(meta(1), &[2; 64]));
    let mut frame = consumer.peek().unwrap();
    frame.payload_mut().fill(9);
    assert_eq!(frame.payload(), [9; 64]);
    frame.consume();
    assert_eq!(consumer.peek().unwrap().payload(), [2; 64]);
}

/// What is too long is refused by `push`, and cut to the slot by `publish`.
#[test]
fn bounds_length() {
    let (mut producer, mut consumer) = frame_ring(2, 10);
    assert!(!producer.push(meta(0), &[0; 11]));
    let mut slot = producer.reserve().unwrap();
    assert_eq!(slot.payload_mut().len(), 10);
    slot.publish(meta(0), usize::MAX);
    assert_eq!(consumer.peek().unwrap().payload().len(), 10);
}

/// Each side notices that the other is gone; what was published before can be read.
#[test]
fn notices_who_left() {
    let (mut producer, mut consumer) = frame_ring(2, 160);
    assert!(!producer.is_abandoned() && !consumer.is_abandoned());
    assert!(put(&mut producer, 0));
    drop(producer);
    assert!(consumer.is_abandoned());
    assert_eq!(take(&mut consumer), Some(0));
}
