//! Records of any length from one thread to another: one writer, one reader, no locks, no waiting,
//! no allocation after creation.
//!
//! Memory is a ring of words that both threads see. The writer fills words that the reader has left
//! and then moves its index; the reader copies words out and then moves its own. Words are atomic
//! and their access relaxed, which costs what plain memory does; the indices order them.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, AtomicUsize};

/// Bytes of a word.
const WORD_BYTES: usize = 8;
/// Words in front of a record's bytes: what it is, and whose.
const HEAD_WORDS: usize = 2;
/// Bits of a record's kind, and of its length.
const KIND_BITS: u32 = 4;
const LENGTH_BITS: u32 = 28;
/// Longest record, in bytes.
const RECORD_MAX_BYTES: usize = (1 << LENGTH_BITS) - 1;

/// What a record is besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::workers) struct Head {
    /// A number below 16.
    pub(in crate::workers) kind: u8,
    /// The stream.
    pub(in crate::workers) stream: u32,
    /// Whatever its kind says.
    pub(in crate::workers) word: u64,
}

/// Makes a ring of `bytes`, or the next power of two.
pub(super) fn ring(bytes: usize) -> (Writer, Reader) {
    let words = bytes.div_ceil(WORD_BYTES).next_power_of_two();
    let shared = Arc::new(Shared {
        words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        head: Padded::default(),
        tail: Padded::default(),
    });
    (Writer { shared: Arc::clone(&shared), head: 0, tail: 0 }, Reader { shared, head: 0, tail: 0 })
}

/// Keeps what one side writes off the lines of what the other writes.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded(AtomicUsize);

#[derive(Debug)]
struct Shared {
    /// A power of two of them.
    words: Box<[AtomicU64]>,
    /// Words ever written, and read; they wrap.
    head: Padded,
    tail: Padded,
}

impl Shared {
    #[inline]
    fn set(&self, at: usize, word: u64) {
        if let Some(place) = self.words.get(at & (self.words.len() - 1)) {
            place.store(word, Relaxed);
        }
    }

    #[inline]
    fn get(&self, at: usize) -> u64 {
        self.words.get(at & (self.words.len() - 1)).map_or(0, |place| place.load(Relaxed))
    }
}

/// The side that writes.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    head: usize,
    /// As far as the reader was when that was last looked at.
    tail: usize,
}

impl Writer {
    /// Bytes of records that find room now, their heads included.
    pub(super) fn room_bytes(&mut self) -> usize {
        self.tail = self.shared.tail.0.load(Acquire);
        self.room_words() * WORD_BYTES
    }

    /// Writes one record, if more than `spare_bytes` are left behind it; false if not.
    #[inline]
    pub(super) fn push(&mut self, head: Head, bytes: &[u8], spare_bytes: usize) -> bool {
        let words = HEAD_WORDS + bytes.len().div_ceil(WORD_BYTES);
        let needed = words + spare_bytes / WORD_BYTES;
        if needed > self.room_words() {
            self.tail = self.shared.tail.0.load(Acquire);
            if needed > self.room_words() || bytes.len() > RECORD_MAX_BYTES {
                return false;
            }
        }
        let Head { kind, stream, word } = head;
        let first = u64::from(stream) << (LENGTH_BITS + KIND_BITS)
            | (bytes.len() as u64) << KIND_BITS
            | u64::from(kind & ((1 << KIND_BITS) - 1));
        self.shared.set(self.head, first);
        self.shared.set(self.head.wrapping_add(1), word);
        let mut at = self.head.wrapping_add(HEAD_WORDS);
        let (whole, rest) = bytes.as_chunks::<WORD_BYTES>();
        for word in whole {
            self.shared.set(at, u64::from_ne_bytes(*word));
            at = at.wrapping_add(1);
        }
        if !rest.is_empty() {
            let mut last = [0; WORD_BYTES];
            last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            self.shared.set(at, u64::from_ne_bytes(last));
        }
        self.head = self.head.wrapping_add(words);
        self.shared.head.0.store(self.head, Release);
        true
    }

    fn room_words(&self) -> usize {
        self.shared.words.len() - self.head.wrapping_sub(self.tail)
    }
}

/// The side that reads.
#[derive(Debug)]
pub(super) struct Reader {
    shared: Arc<Shared>,
    /// As far as the writer was when that was last looked at.
    head: usize,
    tail: usize,
}

impl Reader {
    /// Takes the oldest record, whose bytes replace what is in `out`.
    #[inline]
    pub(super) fn pop(&mut self, out: &mut Vec<u8>) -> Option<Head> {
        if self.head == self.tail {
            self.head = self.shared.head.0.load(Acquire);
            if self.head == self.tail {
                return None;
            }
        }
        let first = self.shared.get(self.tail);
        let length = (first >> KIND_BITS) as usize & RECORD_MAX_BYTES;
        let words = length.div_ceil(WORD_BYTES);
        let word = self.shared.get(self.tail.wrapping_add(1));
        let start = self.tail.wrapping_add(HEAD_WORDS);
        out.resize(words * WORD_BYTES, 0);
        for (index, room) in out.as_chunks_mut::<WORD_BYTES>().0.iter_mut().enumerate() {
            *room = self.shared.get(start.wrapping_add(index)).to_ne_bytes();
        }
        out.truncate(length);
        self.tail = start.wrapping_add(words);
        self.shared.tail.0.store(self.tail, Release);
        let kind = first as u8 & ((1 << KIND_BITS) - 1);
        let stream = (first >> (LENGTH_BITS + KIND_BITS)) as u32;
        Some(Head { kind, stream, word })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(number: u64) -> Head {
        Head { kind: (number % 16) as u8, stream: number as u32 ^ 0xffff_0000, word: !number }
    }

    proptest! {
        /// What is written comes out, whole and in order, however writing and reading alternate;
        /// what finds no room is not there, and a ring that was read has its room again.
        #[test]
        fn what_goes_in_comes_out(
            steps in proptest::collection::vec((any::<bool>(), 0..90_usize, 0..40_usize), 1..300),
        ) {
            let (mut writer, mut reader) = ring(256);
            let mut waiting = std::collections::VecDeque::new();
            let (mut number, mut out) = (0_u64, Vec::new());
            for (writes, length, spare) in steps {
                if writes {
                    number += 1;
                    let bytes: Vec<u8> = (0..length).map(|at| (at as u64 + number) as u8).collect();
                    let used: usize = waiting.iter().map(|(_, bytes): &(Head, Vec<u8>)| {
                        16 + bytes.len().next_multiple_of(8)
                    }).sum();
                    let fits = used + 16 + length.next_multiple_of(8) + spare / 8 * 8 <= 256;
                    prop_assert_eq!(writer.push(head(number), &bytes, spare), fits);
                    if fits {
                        waiting.push_back((head(number), bytes));
                    }
                } else {
                    let popped = reader.pop(&mut out);
                    let expected = waiting.pop_front();
                    prop_assert_eq!(popped, expected.as_ref().map(|(head, _)| *head));
                    if let Some((_, bytes)) = expected {
                        prop_assert_eq!(&out, &bytes);
                    }
                }
            }
            while reader.pop(&mut out).is_some() {}
            prop_assert_eq!(writer.room_bytes(), 256);
        }
    }

    /// Two threads: a hundred thousand records of all lengths through a small ring, each as it was
    /// written.
    #[test]
    fn across_threads() {
        const COUNT: u64 = 100_000;
        let (mut writer, mut reader) = ring(4_096);
        let bytes = |number: u64| -> Vec<u8> {
            let length = (number * 7_919 % 300) as usize;
            (0..length as u64).map(|at| (at * number) as u8).collect()
        };
        let written = std::thread::spawn(move || {
            for number in 0..COUNT {
                while !writer.push(head(number), &bytes(number), 0) {
                    std::thread::yield_now();
                }
            }
        });
        let mut out = Vec::new();
        for number in 0..COUNT {
            let popped = loop {
                match reader.pop(&mut out) {
                    Some(head) => break head,
                    None => std::thread::yield_now(),
                }
            };
            assert_eq!((popped, &out), (head(number), &bytes(number)));
        }
        written.join().unwrap();
        assert_eq!(reader.pop(&mut out), None);
    }
}
