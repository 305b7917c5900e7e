//! Digits both ways, and whatever may happen to their packets in between.

use std::time::Duration;

use super::*;
use crate::rtp::Header;
use crate::time::MonoTime;

fn at(ms: u64) -> MonoTime {
    MonoTime::from_nanos(ms * 1_000_000)
}

fn header(marker: bool, ts: u32) -> Header {
    Header { marker, pt: 101, seq: 0, ts, ssrc: 1 }
}

fn hear(
    receiver: &mut Receiver,
    ms: u64,
    (key, marker, ts): (char, bool, u32),
    duration: u16,
    end: bool,
) {
    let code = Digit::from_char(key).unwrap().event();
    let event = Event { code, end, volume: 10, duration };
    assert_eq!(receiver.receive(at(ms), &header(marker, ts), &event.to_bytes()), Ok(()));
}

fn pressed(receiver: &mut Receiver, ms: u64) -> Vec<(char, u32)> {
    std::iter::from_fn(|| receiver.poll(at(ms)))
        .map(|pressed| (pressed.digit.as_char(), pressed.duration_ms))
        .collect()
}

/// All ticks until the sender falls idle: what was sent at which media time.
fn run(sender: &mut Sender, ptime_units: u32, start: u32) -> Vec<(u32, Tick)> {
    let mut ts = start;
    let mut ticks = Vec::new();
    loop {
        let tick = sender.tick(ts);
        if tick == Tick::Idle {
            return ticks;
        }
        ticks.push((ts, tick));
        ts = ts.wrapping_add(ptime_units);
    }
}

/// The key table is RFC 4733 section 3.2, both ways; lower case is taken, nothing else is.
#[test]
fn knows_the_keys() {
    for (event, key) in "0123456789*#ABCD".chars().enumerate() {
        let digit = Digit::from_event(event as u8).unwrap();
        assert_eq!((digit.as_char(), Digit::from_char(key)), (key, Some(digit)));
        assert_eq!(Digit::from_char(key.to_ascii_lowercase()), Some(digit));
    }
    assert!((16..=255).all(|event| Digit::from_event(event).is_none()));
    assert!("Ee ,w+٣".chars().all(|key| Digit::from_char(key).is_none()));
}

/// The example of RFC 4733 section 5: "911" dialled at 0, 880 and 1400 ms, updates every 50 ms, the
/// first two digits 200 and 250 ms long; of the third only the first update is shown.
#[test]
fn reads_the_example_of_the_rfc() {
    let mut receiver = Receiver::new(8000);
    let mut heard = Vec::new();
    for (key, start_ms, ts, updates) in [('9', 0, 0, 4_u16), ('1', 880, 7040, 5)] {
        for update in 1..=updates + 2 {
            let duration = update.min(updates) * 400;
            let ms = start_ms + u64::from(update) * 50;
            hear(&mut receiver, ms, (key, update == 1, ts), duration, update >= updates);
            heard.extend(pressed(&mut receiver, ms));
        }
    }
    assert_eq!(heard, [('9', 200), ('1', 250)]);
    hear(&mut receiver, 1450, ('1', true, 11_200), 400, false);
    assert!(receiver.is_pressed());
    assert_eq!(pressed(&mut receiver, 1450), []);
}

/// Whatever subset and order of an event's packets comes, as long as one does: one digit.
#[test]
fn one_digit_whatever_comes() {
    let packets = [(true, 160, false), (false, 320, false), (false, 480, true), (false, 480, true)];
    for mask in 1..16_u32 {
        for turn in 0..4 {
            let mut receiver = Receiver::new(8000);
            let mut longest = 0;
            let mut ended = false;
            for n in (0..4).map(|n| (n + turn) % 4).filter(|n| mask & (1 << n) != 0) {
                let (marker, duration, end) = packets[n];
                // What comes after the end means nothing.
                longest = if ended { longest } else { longest.max(duration) };
                ended |= end;
                hear(&mut receiver, 10, ('5', marker, 800), duration, end);
            }
            let want = [('5', u32::from(longest) / 8)];
            assert_eq!(pressed(&mut receiver, 500), want, "mask {mask:b} turn {turn}");
            assert_eq!(pressed(&mut receiver, 5000), []);
        }
    }
}

/// A digit whose ends are lost ends 200 ms after its last update, and its stragglers mean nothing.
#[test]
fn ends_without_its_end() {
    let mut receiver = Receiver::new(8000);
    hear(&mut receiver, 0, ('#', true, 0), 160, false);
    hear(&mut receiver, 20, ('#', false, 0), 320, false);
    assert_eq!(receiver.deadline(), Some(at(220)));
    assert!(receiver.is_pressed());
    assert_eq!(pressed(&mut receiver, 219), []);
    assert_eq!(pressed(&mut receiver, 220), [('#', 40)]);
    hear(&mut receiver, 230, ('#', false, 0), 480, true);
    assert_eq!((pressed(&mut receiver, 230), receiver.deadline()), (vec![], None));
}

/// The next digit ends the one before it, even if every packet between was lost; an end packet
/// alone is a digit.
#[test]
fn the_next_digit_ends_the_last() {
    let mut receiver = Receiver::new(8000);
    hear(&mut receiver, 0, ('1', true, 0), 160, false);
    hear(&mut receiver, 160, ('1', false, 1280), 800, true);
    assert_eq!(pressed(&mut receiver, 160), [('1', 20), ('1', 100)]);
    // Overtaken by the digit behind it: too late.
    hear(&mut receiver, 170, ('1', false, 0), 480, true);
    assert_eq!(pressed(&mut receiver, 170), []);
}

/// An event longer than 0xFFFF units comes in segments (RFC 4733 2.5.1.3) and is one digit of the
/// whole length, even if the last updates of a segment are lost.
#[test]
fn long_digits_are_one() {
    for last_of_segment in [0xffff_u16, 0xff00, 0x8000] {
        let mut receiver = Receiver::new(48_000);
        hear(&mut receiver, 0, ('7', true, 100), 960, false);
        hear(&mut receiver, 100, ('7', false, 100), last_of_segment, false);
        hear(&mut receiver, 110, ('7', false, 100 + 0xffff), 960, false);
        hear(&mut receiver, 200, ('7', false, 100 + 2 * 0xffff), 961, false);
        hear(&mut receiver, 220, ('7', false, 100 + 2 * 0xffff), 1000, true);
        assert_eq!(pressed(&mut receiver, 220), [('7', (2 * 0xffff + 1000) / 48)]);
    }
}

/// Some senders move the timestamp with each packet of an event, ends included: still one digit. A
/// press right after it, with its marker, is another one.
#[test]
fn forgives_moving_timestamps() {
    let mut receiver = Receiver::new(8000);
    for n in 0..5 {
        hear(&mut receiver, u64::from(n) * 20, ('3', n == 0, n * 160), 160, false);
    }
    (5..8).for_each(|n| hear(&mut receiver, u64::from(n) * 20, ('3', false, n * 160), 160, true));
    assert_eq!(pressed(&mut receiver, 160), [('3', 120)]);
    hear(&mut receiver, 200, ('3', true, 1360), 160, false);
    assert_eq!(pressed(&mut receiver, 1000), [('3', 20)]);
    // The same key at once again, its marker lost: what is told apart by its end is not a repeated
    // one.
    hear(&mut receiver, 2000, ('3', true, 16_000), 800, true);
    hear(&mut receiver, 2020, ('3', false, 16_900), 160, false);
    assert_eq!(pressed(&mut receiver, 3000), [('3', 100), ('3', 20)]);
}

/// Events that are no keys are left out and counted; a new source begins anew; short payloads are
/// refused.
#[test]
fn takes_keys_only() {
    let mut receiver = Receiver::new(8000);
    for len in 0..4 {
        let short = receiver.receive(at(0), &header(true, 0), &[1, 0x80, 0, 0][..len]);
        assert_eq!(short, Err(DtmfError::Truncated));
    }
    assert_eq!(receiver.receive(at(0), &header(true, 0), &[16, 0x80, 1, 0]), Ok(()));
    assert_eq!((receiver.ignored(), pressed(&mut receiver, 0)), (1, vec![]));
    hear(&mut receiver, 0, ('2', true, 0), 800, true);
    let other = Header { ssrc: 2, ..header(true, 0) };
    assert_eq!(receiver.receive(at(1), &other, &[2, 0x80, 3, 0x20]), Ok(()));
    assert_eq!(pressed(&mut receiver, 1), [('2', 100), ('2', 100)]);
}

/// Digits that nobody polls for do not grow without bound.
#[test]
fn bounds_what_waits() {
    let mut receiver = Receiver::new(8000);
    (0..20).for_each(|n| hear(&mut receiver, n * 200, ('0', true, n as u32 * 1600), 800, true));
    assert_eq!((pressed(&mut receiver, 4000).len(), receiver.ignored()), (8, 12));
}

/// Durations grow by a ptime, the last one is exact, three ends go out, and the gap is kept before
/// the next digit.
#[test]
fn sends_by_the_book() {
    let mut sender = Sender::new(8000, 20);
    sender.queue("1#", Some(70), Some(60)).unwrap();
    assert!(sender.is_busy());
    let event = |code, marker, ts, end, duration| {
        let payload = Event { code, end, volume: 10, duration }.to_bytes();
        Tick::Event(EventPacket { marker, ts, payload })
    };
    let digit = |code, ts: u32| {
        [
            event(code, true, ts, false, 160),
            event(code, false, ts, false, 320),
            event(code, false, ts, false, 480),
            event(code, false, ts, true, 560),
            event(code, false, ts, true, 560),
            event(code, false, ts, true, 560),
            Tick::Gap,
        ]
    };
    let ticks: Vec<_> = run(&mut sender, 160, 5000).into_iter().map(|(_, tick)| tick).collect();
    assert_eq!(ticks, [digit(1, 5000), digit(11, 5000 + 7 * 160)].concat());
    assert!(!sender.is_busy());
}

/// Digits of every allowed length, gap, clock and ptime arrive as they were sent: which, how long,
/// in order; and no gap
/// is shorter than asked, nor longer by a tick, unless the copies of the end or of a segment's
/// end need it.
#[test]
fn sender_and_receiver_agree() {
    for (clock_hz, ptime_ms) in [(8000, 10), (8000, 20), (8000, 30), (16_000, 20), (48_000, 20)] {
        for digit_ms in [40, 41, 100, 999, 1365, 1366, 1400, 2731, 8191, 8192, 10_000] {
            let mut sender = Sender::new(clock_hz, ptime_ms);
            sender.queue("0*9", Some(digit_ms), Some(45)).unwrap();
            let mut receiver = Receiver::new(clock_hz);
            let start = u32::MAX - 1000;
            let mut now = 0;
            let mut heard = Vec::new();
            let mut last_end: Option<u32> = None;
            for (_, tick) in run(&mut sender, clock_hz / 1000 * ptime_ms, start) {
                if let Tick::Event(EventPacket { marker, ts, payload }) = tick {
                    if marker && let Some(end) = last_end {
                        let gap_ms = ts.wrapping_sub(end) * 1000 / clock_hz;
                        let segments = digit_ms * (clock_hz / 1000) / 0xffff;
                        let most_ms = 45.max(2 * ptime_ms) + ptime_ms * (1 + segments.min(1));
                        assert!((45..most_ms).contains(&gap_ms), "{gap_ms} ms");
                    }
                    let event = Event::parse(&payload).unwrap();
                    last_end = event.end.then(|| ts.wrapping_add(u32::from(event.duration)));
                    receiver.receive(at(now), &header(marker, ts), &payload).unwrap();
                }
                now += u64::from(ptime_ms);
                heard.extend(pressed(&mut receiver, now));
            }
            assert_eq!(heard, [('0', digit_ms), ('*', digit_ms), ('9', digit_ms)]);
        }
    }
}

/// What is out of range is refused, and nothing of it is sent.
#[test]
fn refuses_what_is_out_of_range() {
    let mut sender = Sender::new(8000, 20);
    assert_eq!(sender.queue("", None, None), Err(DtmfError::Empty));
    assert_eq!(sender.queue("12x", None, None), Err(DtmfError::NotADigit { index: 2 }));
    assert_eq!(sender.queue("1", Some(39), None), Err(DtmfError::Duration));
    assert_eq!(sender.queue("1", Some(10_001), None), Err(DtmfError::Duration));
    assert_eq!(sender.queue("1", None, Some(39)), Err(DtmfError::Gap));
    assert_eq!(sender.queue("1", None, Some(10_001)), Err(DtmfError::Gap));
    assert_eq!(sender.queue(&"1".repeat(65), None, None), Err(DtmfError::TooMany));
    assert_eq!(sender.tick(0), Tick::Idle);
    sender.queue(&"1".repeat(60), None, None).unwrap();
    assert_eq!(sender.queue("12345", None, None), Err(DtmfError::TooMany));
    sender.queue("1234", None, None).unwrap();
}

/// A clear lets the digit that is being sent end as it was meant to, and drops the others.
#[test]
fn clear_keeps_what_is_begun() {
    let mut sender = Sender::new(8000, 20);
    sender.queue("12", None, None).unwrap();
    assert!(matches!(sender.tick(0), Tick::Event(_)));
    sender.clear();
    assert_eq!(run(&mut sender, 160, 160).len(), 7);
}

/// No digit is in what a log would print.
#[test]
fn debug_tells_no_digit() {
    let mut sender = Sender::new(8000, 20);
    sender.queue("7777", None, None).unwrap();
    let tick = sender.tick(0);
    let Tick::Event(packet) = tick else { panic!("{tick:?}") };
    let event = Event::parse(&packet.payload).unwrap();
    let text = format!("{sender:?} {tick:?} {event:?} {:?}", Digit::from_char('7'));
    assert!(!text.contains("Digit(7") && !text.contains("code") && !text.contains("payload"));
}

/// A silent wait is bounded: the deadline is always within 200 ms of the last packet.
#[test]
fn the_deadline_is_near() {
    let mut receiver = Receiver::new(8000);
    assert_eq!(receiver.deadline(), None);
    hear(&mut receiver, 1000, ('1', true, 0), 160, false);
    assert_eq!(receiver.deadline(), Some(at(1000) + Duration::from_millis(200)));
}
