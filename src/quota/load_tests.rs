//! Overload, simulated: a media thread as a queue of frames, calls that want in, and what
//! [`super::load::Load`] makes of it.

use std::time::Duration;

use media::time::MonoTime;

use super::load::{CALLS_MIN, Figures, Frames, LOOK_EVERY_MS, Load, Strain};

/// A frame of each call, in milliseconds.
const PTIME_MS: u64 = 20;
/// How late a frame may be, in milliseconds.
const LATE_MS: u64 = 10;
/// How late 99 % of a call's frames are at most, in milliseconds.
const P99_MAX_MS: f64 = 20.0;

/// A media thread that serves one frame after the other.
struct Thread {
    load: Load,
    now_ms: u64,
    calls: u32,
    /// What one frame takes, in microseconds.
    frame_us: f64,
    /// The share of its core that others take.
    stolen: f64,
    /// Work that waits, in microseconds.
    backlog_us: f64,
    busy_us: f64,
    frames: Frames,
    /// How late each frame was, in milliseconds, with when.
    lateness: Vec<(u64, f64)>,
    refused: u64,
    taken: u64,
}

impl Thread {
    fn new(frame_us: f64) -> Self {
        Self {
            load: Load::default(),
            now_ms: 1_000,
            calls: 0,
            frame_us,
            stolen: 0.0,
            backlog_us: 0.0,
            busy_us: 0.0,
            frames: Frames::default(),
            lateness: Vec::new(),
            refused: 0,
            taken: 0,
        }
    }

    /// Calls that one core can carry.
    fn capacity(&self) -> u32 {
        (PTIME_MS as f64 * 1_000.0 / self.frame_us) as u32
    }

    fn now(&self) -> MonoTime {
        MonoTime::from_nanos(self.now_ms * 1_000_000)
    }

    /// A millisecond passes; frames of calls are spread evenly.
    fn pass(&mut self) {
        self.now_ms += 1;
        let due = f64::from(self.calls) / PTIME_MS as f64;
        self.backlog_us += due * self.frame_us;
        let can_us = 1_000.0 * (1.0 - self.stolen);
        let done_us = self.backlog_us.min(can_us);
        self.backlog_us -= done_us;
        // Who is put off by others is at work all the same, by the clock on the wall.
        self.busy_us += if self.stolen < 1.0 { done_us / (1.0 - self.stolen) } else { 1_000.0 };
        let late_ms = self.backlog_us / 1_000.0;
        let frames = due.round() as u64;
        self.frames.all += frames;
        self.frames.late += if late_ms > LATE_MS as f64 { frames } else { 0 };
        self.frames.half_late += if late_ms > LATE_MS as f64 / 2.0 { frames } else { 0 };
        self.lateness.push((self.now_ms, late_ms));
        if self.now_ms.is_multiple_of(LOOK_EVERY_MS) {
            let figures = Figures {
                busy: Duration::from_micros(self.busy_us as u64),
                frames: [self.frames, Frames::default()],
                calls: self.calls,
            };
            self.load.look(self.now(), figures);
        }
    }

    /// Time passes, while so many calls a second want in.
    fn offer(&mut self, ms: u64, per_second: u64) {
        let mut owed = 0;
        for _ in 0..ms {
            self.pass();
            owed += per_second;
            while owed >= 1_000 {
                owed -= 1_000;
                match self.load.admit(self.calls) {
                    Ok(()) => (self.calls, self.taken) = (self.calls + 1, self.taken + 1),
                    Err(_) => self.refused += 1,
                }
            }
        }
    }

    /// How late 99 % of the frames since then were at most, in milliseconds.
    fn p99_since(&self, ms: u64) -> f64 {
        let since = self.lateness.iter().filter(|(at, _)| *at >= ms);
        let mut late: Vec<f64> = since.map(|(_, late)| *late).collect();
        late.sort_by(f64::total_cmp);
        late.get(late.len() * 99 / 100).copied().unwrap_or(0.0)
    }
}

/// Twice as many calls as there is time for, at any rate of calls and any price of one: those that
/// are taken fill the thread and never wait, the others are refused.
#[test]
fn twice_the_capacity() {
    for frame_us in [20.0, 50.0, 120.0, 250.0] {
        for per_second in [10, 50, 200] {
            let mut thread = Thread::new(frame_us);
            let wanted = u64::from(thread.capacity()) * 2;
            thread.offer(wanted * 1_000 / per_second, per_second);
            thread.offer(3_000, per_second);
            let p99 = thread.p99_since(0);
            assert!(p99 < 5.0, "{frame_us} µs, {per_second}/s: {p99} ms");
            let full = f64::from(thread.calls) / f64::from(thread.capacity());
            assert!((0.75..0.93).contains(&full), "{frame_us} µs, {per_second}/s: {full}");
            assert!(thread.refused > thread.taken / 2, "{frame_us} µs, {per_second}/s");
        }
    }
}

/// All calls at once, a thousand a second: no look has seen what they take when the last of them is
/// taken, but none is late for as long as the bar says.
#[test]
fn a_flood() {
    let mut thread = Thread::new(50.0);
    thread.offer(1_000, 1_000);
    thread.offer(4_000, 100);
    let p99 = thread.p99_since(0);
    assert!(p99 < P99_MAX_MS, "{p99} ms with {} calls", thread.calls);
    assert!(thread.refused > 300);
}

/// When calls end, others are taken at once.
#[test]
fn recovery_is_immediate() {
    let mut thread = Thread::new(50.0);
    thread.offer(12_000, 100);
    let (calls, refused) = (thread.calls, thread.refused);
    assert!(refused > 0);
    thread.calls -= calls / 3;
    thread.offer(1_000, 50);
    assert!(thread.refused <= refused + 5, "{} more were refused", thread.refused - refused);
}

/// A neighbour takes half of the core: the calls that are there are late whatever is done, and no
/// more are taken until all has been well for a while.
#[test]
fn a_neighbour() {
    let mut thread = Thread::new(50.0);
    thread.offer(4_000, 60);
    let (calls, taken) = (thread.calls, thread.taken);
    assert!(calls > 200 && thread.refused == 0);
    thread.stolen = 0.5;
    thread.offer(2_000, 60);
    assert!(thread.load.strained().is_some() && thread.taken <= taken + 60);
    let taken = thread.taken;
    thread.offer(2_000, 60);
    assert_eq!(thread.taken, taken);
    // It goes; what has piled up is worked off first.
    (thread.stolen, thread.backlog_us) = (0.0, 20_000.0);
    thread.offer(200, 60);
    assert_eq!(thread.taken, taken);
    thread.offer(2_000, 60);
    assert_eq!(thread.load.strained(), None);
    assert!(thread.taken > taken);
}

/// A host that stops once for 30 ms is no overload; one that stops again and again is.
#[test]
fn one_stop_is_no_overload() {
    let mut thread = Thread::new(50.0);
    thread.offer(2_500, 60);
    let mut stop = |ms: u64| {
        thread.stolen = 1.0;
        (0..ms).for_each(|_| thread.pass());
        thread.stolen = 0.0;
        (0..120).for_each(|_| thread.pass());
        thread.load.strained()
    };
    assert_eq!(stop(30), None);
    assert_eq!((0..5).find_map(|_| stop(30)), Some(Strain::Late));
}

/// With few calls nothing is refused, however late all is.
#[test]
fn few_calls_are_taken() {
    let mut thread = Thread::new(50.0);
    thread.stolen = 0.999;
    thread.offer(300, 100);
    assert!(thread.calls < CALLS_MIN && thread.refused == 0);
    thread.offer(3_000, 100);
    assert!(thread.calls >= CALLS_MIN && thread.refused > 200, "{} calls", thread.calls);
    thread.calls = CALLS_MIN - 1;
    assert_eq!(thread.load.admit(thread.calls), Ok(()));
}

/// Nothing is known yet, or no more: all are taken.
#[test]
fn what_was_not_seen_is_not_judged() {
    let mut load = Load::default();
    assert_eq!((load.admit(1_000), load.busy_pct()), (Ok(()), 0));
    let figures = |busy_ms| Figures {
        busy: Duration::from_millis(busy_ms),
        calls: 100,
        ..Figures::default()
    };
    let at = |ms: u64| MonoTime::from_nanos(ms * 1_000_000);
    load.look(at(0), figures(0));
    assert_eq!(load.admit(1_000), Ok(()));
    load.look(at(100), figures(95));
    assert_eq!((load.admit(100), load.busy_pct()), (Err(Strain::Busy), 95));
    load.forget();
    assert_eq!((load.admit(1_000), load.busy_pct()), (Ok(()), 0));
}
