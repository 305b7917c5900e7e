//! Order, whole frames, limits, memory.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::{Class, KEEP_BYTES, OutQueue, QueueFull};

/// Frames come out in order, in whatever pieces the socket takes.
#[test]
fn first_in_first_out() {
    let mut queue = OutQueue::new(100, 200);
    assert!(queue.is_empty());
    queue.keep(Class::Media, b"abcdef", 2).unwrap();
    queue.push(Class::Control, b"gh").unwrap();
    queue.push(Class::Media, b"ij").unwrap();
    assert_eq!((queue.pending(), queue.len()), (&b"cdefghij"[..], 8));
    queue.advance(5);
    assert_eq!(queue.pending(), b"hij");
    queue.push(Class::Media, b"kl").unwrap();
    queue.advance(4);
    assert_eq!(queue.pending(), b"l");
    queue.advance(100);
    assert!(queue.is_empty() && queue.pending().is_empty());
}

/// Audio stops at its limit, control frames go on to theirs, and what was refused left no trace.
#[test]
fn limits() {
    let mut queue = OutQueue::new(10, 14);
    queue.push(Class::Media, &[1; 10]).unwrap();
    assert_eq!(queue.push(Class::Media, &[2]), Err(QueueFull { limit_bytes: 10 }));
    queue.push(Class::Control, &[3; 4]).unwrap();
    assert_eq!(queue.push(Class::Control, &[4]), Err(QueueFull { limit_bytes: 14 }));
    assert_eq!(queue.keep(Class::Control, &[4], 0), Err(QueueFull { limit_bytes: 14 }));
    assert_eq!(queue.len(), 14);
    queue.push(Class::Media, &[]).unwrap_err();
    // A frame that has begun is kept all the same.
    queue.keep(Class::Media, &[5; 3], 1).unwrap();
    assert_eq!(queue.len(), 16);
    queue.keep(Class::Media, &[6; 3], 3).unwrap();
    assert_eq!(queue.len(), 16);
}

/// Skipping takes the oldest audio, whole, and neither a frame that has begun nor control frames.
#[test]
fn skips_the_oldest_whole_audio() {
    let mut queue = OutQueue::new(12, 100);
    queue.keep(Class::Media, b"xaaa", 1).unwrap();
    queue.push(Class::Media, b"bbb").unwrap();
    queue.push(Class::Control, b"cc").unwrap();
    queue.push(Class::Media, b"ddd").unwrap();
    assert_eq!(queue.skip_media(1), 0, "there is room");
    assert_eq!(queue.skip_media(2), 1);
    assert_eq!(queue.pending(), b"aaaccddd");
    assert_eq!(queue.skip_media(12), 1);
    assert_eq!(queue.pending(), b"aaacc");
    assert_eq!(queue.skip_media(12), 0, "only what must stay is left");
    queue.advance(5);
    queue.push(Class::Media, b"eee").unwrap();
    assert_eq!(queue.skip_media(12), 1);
    assert!(queue.is_empty() && queue.pending().is_empty());
}

/// A frame of which the socket has taken a part since it was queued has begun as well.
#[test]
fn a_frame_under_way_is_finished() {
    let mut queue = OutQueue::new(6, 6);
    queue.push(Class::Media, b"aaa").unwrap();
    queue.push(Class::Media, b"bbb").unwrap();
    queue.advance(1);
    assert_eq!(queue.skip_media(6), 1);
    assert_eq!(queue.pending(), b"aa");
}

/// An empty queue owns little.
#[test]
fn memory_is_given_back() {
    let mut queue = OutQueue::new(50_000, 50_000);
    queue.push(Class::Media, &[0; 40_000]).unwrap();
    queue.advance(40_000);
    assert!(queue.bytes.capacity() <= KEEP_BYTES);
    queue.push(Class::Media, &[0; 40_000]).unwrap();
    queue.skip_media(50_000);
    assert!(queue.bytes.capacity() <= KEEP_BYTES);
    // A queue that never runs empty does not grow either.
    for _ in 0..10_000 {
        queue.push(Class::Media, &[0; 100]).unwrap();
        if queue.len() > 1000 {
            queue.advance(100);
        }
    }
    assert!(queue.bytes.capacity() < 8_000, "{}", queue.bytes.capacity());
}

#[derive(Clone, Debug)]
enum Step {
    Push(Class, usize),
    Keep(Class, usize, usize),
    Advance(usize),
    Skip(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let class = prop_oneof![Just(Class::Media), Just(Class::Control)];
    prop_oneof![
        (class.clone(), 0usize..30).prop_map(|(class, len)| Step::Push(class, len)),
        (class, 1usize..30, 0usize..30).prop_map(|(class, len, taken)| Step::Keep(
            class,
            len,
            taken.min(len)
        )),
        (0usize..60).prop_map(Step::Advance),
        (0usize..60).prop_map(Step::Skip),
    ]
}

/// A frame of the model: its number, class, and which of its bytes wait.
#[derive(Debug)]
struct Frame {
    bytes: Vec<u8>,
    class: Class,
    begun: bool,
}

proptest! {
    /// Any sequence of steps does what a list of frames would.
    #[test]
    fn behaves_like_a_list(steps in proptest::collection::vec(step(), 0..80)) {
        let (media_limit, limit) = (60, 90);
        let mut queue = OutQueue::new(media_limit, limit);
        let mut model: VecDeque<Frame> = VecDeque::new();
        for (number, step) in steps.into_iter().enumerate() {
            let len: usize = model.iter().map(|frame| frame.bytes.len()).sum();
            let bytes = |count: usize| vec![number as u8; count];
            let fits = |class, count| {
                len + count <= if class == Class::Media { media_limit } else { limit }
            };
            match step {
                Step::Push(class, count) => {
                    let kept = queue.push(class, &bytes(count)).is_ok();
                    prop_assert_eq!(kept, fits(class, count));
                    if kept && count > 0 {
                        model.push_back(Frame { bytes: bytes(count), class, begun: false });
                    }
                }
                Step::Keep(class, count, taken) => {
                    let kept = queue.keep(class, &bytes(count), taken).is_ok();
                    prop_assert_eq!(kept, taken > 0 || fits(class, count));
                    if kept && taken < count {
                        let bytes = bytes(count - taken);
                        model.push_back(Frame { bytes, class, begun: taken > 0 });
                    }
                }
                Step::Advance(mut count) => {
                    queue.advance(count);
                    while let Some(front) = model.front_mut() {
                        let taken = count.min(front.bytes.len());
                        if taken == 0 {
                            break;
                        }
                        front.bytes.drain(..taken);
                        front.begun = true;
                        count -= taken;
                        if front.bytes.is_empty() {
                            model.pop_front();
                        }
                    }
                }
                Step::Skip(room) => {
                    let (before, mut left) = (model.len(), len);
                    model.retain(|frame| {
                        let goes = left + room > media_limit
                            && frame.class == Class::Media
                            && !frame.begun;
                        left -= if goes { frame.bytes.len() } else { 0 };
                        !goes
                    });
                    prop_assert_eq!(queue.skip_media(room), before - model.len());
                }
            }
            let wanted: Vec<u8> = model.iter().flat_map(|frame| frame.bytes.clone()).collect();
            prop_assert_eq!(queue.pending(), wanted);
            prop_assert_eq!(queue.is_empty(), model.is_empty());
        }
    }
}
