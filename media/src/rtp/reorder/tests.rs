//! The reorder window case by case; see also `tests/rtp_model.rs`.

use super::*;

const WAIT: Duration = Duration::from_millis(20);

fn at(ms: u64) -> MonoTime {
    MonoTime::from_nanos(ms * 1_000_000)
}

/// A window and what came out of it.
struct Bed {
    reorder: Reorder,
    out: Vec<u64>,
}

impl Bed {
    fn new(frames: usize) -> Self {
        Self { reorder: Reorder::new(frames, 160, WAIT), out: Vec::new() }
    }

    fn push(&mut self, ms: u64, seq: u64) -> &mut Self {
        let payload = [seq as u8; 100];
        let frame = Frame {
            ext_seq: seq,
            ext_ts: seq * 160,
            marker: seq.is_multiple_of(2),
            payload: &payload[..50 + (seq % 50) as usize],
        };
        self.reorder.push(at(ms), frame, |frame| Self::check(&mut self.out, frame));
        self
    }

    fn poll(&mut self, ms: u64) -> &mut Self {
        self.reorder.poll(at(ms), |frame| Self::check(&mut self.out, frame));
        self
    }

    fn check(out: &mut Vec<u64>, frame: Frame<'_>) {
        let seq = frame.ext_seq;
        assert_eq!((frame.ext_ts, frame.marker), (seq * 160, seq.is_multiple_of(2)));
        assert_eq!(frame.payload, vec![seq as u8; 50 + (seq % 50) as usize]);
        out.push(seq);
    }

    #[track_caller]
    fn gives(&mut self, want: &[u64]) -> &mut Self {
        assert_eq!(self.out, want);
        self.out.clear();
        self
    }
}

/// In order, every frame passes as it comes and nothing ever waits.
#[test]
fn in_order_passes_at_once() {
    let mut bed = Bed::new(4);
    (7..1000).for_each(|seq| {
        bed.push(seq * 20, seq).gives(&[seq]);
    });
    assert_eq!(bed.reorder.deadline(), None);
    assert_eq!(bed.reorder.counters(), &ReorderCounters::default());
}

/// The frame passed in order is the caller's own bytes, not a copy.
#[test]
fn in_order_copies_nothing() {
    let mut reorder = Reorder::new(4, 160, WAIT);
    let payload = [1; 160];
    let frame = Frame { ext_seq: 1, ext_ts: 0, marker: false, payload: &payload };
    reorder.push(at(0), frame, |frame| assert_eq!(frame.payload.as_ptr(), payload.as_ptr()));
}

/// Swapped and thrice displaced frames come out in order, at the moment the missing one comes.
#[test]
fn restores_order() {
    let mut bed = Bed::new(4);
    bed.push(0, 1).gives(&[1]);
    bed.push(20, 3).gives(&[]);
    bed.push(21, 2).gives(&[2, 3]);
    bed.push(40, 7).push(41, 6).push(42, 5).gives(&[]);
    bed.push(43, 4).gives(&[4, 5, 6, 7]);
    assert_eq!(bed.reorder.deadline(), None);
    let counters = *bed.reorder.counters();
    assert_eq!((counters.held, counters.late, counters.missing), (4, 0, 0));
}

/// A lost frame holds the next one for the wait and no longer; what it held then follows in order.
#[test]
fn gives_up_after_the_wait() {
    let mut bed = Bed::new(8);
    bed.push(0, 1).push(40, 3).push(50, 6).gives(&[1]);
    assert_eq!(bed.reorder.deadline(), Some(at(60)));
    bed.poll(59).gives(&[]);
    bed.poll(60).gives(&[3]);
    assert_eq!(bed.reorder.deadline(), Some(at(70)));
    bed.push(61, 4).gives(&[4]);
    bed.poll(70).gives(&[6]);
    bed.push(71, 5).push(72, 2).gives(&[]);
    let counters = *bed.reorder.counters();
    assert_eq!((counters.late, counters.missing), (2, 2));
}

/// A frame whose wait ended releases those before it that came later and are not yet due.
#[test]
fn the_oldest_wait_counts() {
    let mut bed = Bed::new(8);
    bed.push(0, 1).push(40, 5).push(55, 3).gives(&[1]);
    bed.poll(60).gives(&[3, 5]);
    assert_eq!(bed.reorder.deadline(), None);
}

/// A window that is overrun gives up what is missing, before the wait ends.
#[test]
fn gives_up_when_the_window_is_full() {
    let mut bed = Bed::new(3);
    bed.push(0, 1).push(1, 3).push(2, 4).gives(&[1]);
    bed.push(3, 5).gives(&[3, 4, 5]);
    bed.push(4, 9).gives(&[]);
    bed.push(5, 1000).gives(&[9]);
    bed.poll(25).gives(&[1000]);
}

/// Packets without audio fill their place: nobody waits for them, in order or out of it.
#[test]
fn others_fill_their_place() {
    let mut bed = Bed::new(4);
    bed.push(0, 1).gives(&[1]);
    bed.reorder.pass_over(at(20), 2, |_| panic!("nothing waits"));
    bed.push(40, 3).gives(&[3]);
    bed.reorder.pass_over(at(60), 5, |_| panic!("not in order"));
    bed.push(61, 6).gives(&[]);
    bed.push(62, 4).gives(&[4, 6]);
    assert_eq!(bed.reorder.counters().missing, 0);
}

/// A frame that fits no slot goes at once, behind all that wait, whole.
#[test]
fn long_frames_pass() {
    let mut bed = Bed::new(4);
    bed.push(0, 1).push(1, 3).gives(&[1]);
    let payload = [7; 161];
    let mut out = Vec::new();
    let frame = Frame { ext_seq: 5, ext_ts: 0, marker: false, payload: &payload };
    bed.reorder.push(at(2), frame, |frame| out.push((frame.ext_seq, frame.payload.len())));
    assert_eq!(out, [(3, 50 + 3), (5, 161)]);
    bed.push(3, 6).gives(&[6]);
}

/// A flush gives what waits, in order, and leaves the window ready for what follows.
#[test]
fn flushes() {
    let mut bed = Bed::new(4);
    bed.push(0, 1).push(1, 4).push(2, 3).gives(&[1]);
    bed.reorder.flush(|frame| bed.out.push(frame.ext_seq));
    bed.gives(&[3, 4]);
    bed.push(3, 5).gives(&[5]);
}

/// The same frame twice waits once, whether in the window or gone.
#[test]
fn doubled_frames_come_out_once() {
    let mut bed = Bed::new(4);
    bed.push(0, 1).push(1, 1).push(2, 3).push(3, 3).gives(&[1]);
    bed.push(4, 2).gives(&[2, 3]);
    bed.push(5, 3).gives(&[]);
}
