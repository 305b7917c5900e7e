//! The receiver case by case; `tests/rtp_model.rs` holds it against a twin.

use super::*;
use crate::rtp::{HEADER_BYTES, write_header};

const SSRC: u32 = 0x5555;

fn at(ms: u64) -> MonoTime {
    MonoTime::from_nanos(1_000_000_000 + ms * 1_000_000)
}

fn receive(receiver: &mut Receiver, ms: u64, seq: u16, ts: u32) -> Received {
    receive_from(receiver, ms, SSRC, 0, seq, ts)
}

fn receive_from(
    receiver: &mut Receiver,
    ms: u64,
    ssrc: u32,
    pt: u8,
    seq: u16,
    ts: u32,
) -> Received {
    let mut bytes = [0; HEADER_BYTES + 160];
    let header = Header { marker: false, pt, seq, ts, ssrc };
    write_header(bytes.first_chunk_mut().unwrap(), &header);
    receiver.receive(at(ms), &Packet::parse(&bytes).unwrap())
}

/// The extended sequence number and timestamp, relative to those of a first packet of `seq` and
/// `ts`.
fn place(received: Received, seq: u16, ts: u32) -> Option<(u64, u64)> {
    match received {
        Received::Accept(arrival) | Received::Late(arrival) => Some((
            arrival.ext_seq - (1 << 16) - u64::from(seq),
            arrival.ext_ts - (1 << 32) - u64::from(ts),
        )),
        _ => None,
    }
}

/// Sequence numbers and timestamps grow on over their wraps; nothing is lost, late or jittery.
#[test]
fn extends_over_wraps() {
    let (seq, ts) = (u16::MAX - 3, u32::MAX - 500);
    let mut receiver = Receiver::new(8000);
    for n in 0..70_000_u32 {
        let seq_n = seq.wrapping_add(n as u16);
        let ts_n = ts.wrapping_add(n.wrapping_mul(160));
        let received = receive(&mut receiver, u64::from(n) * 20, seq_n, ts_n);
        assert_eq!(place(received, seq, ts), Some((u64::from(n), u64::from(n) * 160)));
        let Received::Accept(arrival) = received else { panic!("{received:?}") };
        let first = if n == 0 { Continuity::First } else { Continuity::Same };
        assert_eq!((arrival.gap, arrival.continuity), (0, first));
    }
    let report = receiver.report().unwrap();
    assert_eq!((report.lost, report.fraction_lost, report.jitter), (0, 0, 0));
    assert_eq!(report.highest_seq, u32::from(seq) + 69_999);
    assert_eq!(receiver.counters().packets, 70_000);
    assert_eq!(receiver.counters().payload_bytes, 70_000 * 160);
}

/// A gap is told by the packet behind it; what fills it later is late once, then doubled.
#[test]
fn tells_gaps_late_and_doubled() {
    let mut receiver = Receiver::new(8000);
    receive(&mut receiver, 0, 10, 0);
    let ahead = receive(&mut receiver, 60, 13, 480);
    assert!(matches!(ahead, Received::Accept(Arrival { gap: 2, .. })));
    assert_eq!(receiver.lost_total(), 2);
    let late = receive(&mut receiver, 61, 11, 160);
    assert!(matches!(late, Received::Late(_)));
    assert_eq!(place(late, 10, 0), Some((1, 160)));
    for seq in [10, 11, 13] {
        let ts = u32::from(seq - 10) * 160;
        assert_eq!(receive(&mut receiver, 62, seq, ts), Received::Duplicate);
    }
    let counters = *receiver.counters();
    assert_eq!((counters.packets, counters.late, counters.duplicates), (3, 1, 3));
    assert_eq!((receiver.expected_total(), receiver.lost_total()), (4, 1));
}

/// Packets before the first one that came belong to the sequence and are expected then.
#[test]
fn the_first_may_not_be_the_oldest() {
    let mut receiver = Receiver::new(8000);
    receive(&mut receiver, 0, 2, 320);
    let late = receive(&mut receiver, 1, 0, 0);
    let Received::Late(arrival) = late else { panic!("{late:?}") };
    assert_eq!((arrival.ext_seq, arrival.ext_ts), (1 << 16, 1 << 32));
    assert_eq!((receiver.expected_total(), receiver.lost_total()), (3, 1));
}

/// One packet far off is stray; a second in sequence starts anew, and the timeline goes on by one
/// packet and by the time that passed (RFC 3550 A.1).
#[test]
fn a_restart_needs_two() {
    let mut receiver = Receiver::new(8000);
    receive(&mut receiver, 0, 100, 5000);
    assert_eq!(receive(&mut receiver, 20, 40_000, 9_000_000), Received::Stray);
    assert!(matches!(receive(&mut receiver, 40, 101, 5160), Received::Accept(_)));
    assert_eq!(receive(&mut receiver, 60, 40_000, 9_000_000), Received::Stray);
    let restart = receive(&mut receiver, 80, 40_001, 9_000_160);
    assert_eq!(place(restart, 100, 5000), Some((2, 160 + 320)));
    let Received::Accept(arrival) = restart else { panic!("{restart:?}") };
    assert_eq!((arrival.continuity, arrival.gap), (Continuity::Restart, 0));
    let next = receive(&mut receiver, 100, 40_002, 9_000_320);
    assert_eq!(place(next, 100, 5000), Some((3, 640)));
    // The stray before the restart comes again: its place on the timeline is another's.
    assert_eq!(receive(&mut receiver, 101, 40_000, 9_000_000), Received::Stray);
    assert_eq!(receiver.counters().restarts, 1);
    assert_eq!(receiver.counters().strays, 3);
}

/// A restart that lands just behind the old sequence is told from doubled packets by its
/// timestamps.
#[test]
fn a_restart_nearby_is_no_duplicate() {
    let mut receiver = Receiver::new(8000);
    (0..50).for_each(|n| {
        receive(&mut receiver, n * 20, 100 + n as u16, 1_000_000 + n as u32 * 160);
    });
    assert_eq!(receive(&mut receiver, 1000, 120, 7), Received::Stray);
    let restart = receive(&mut receiver, 1020, 121, 167);
    assert!(matches!(restart, Received::Accept(Arrival { continuity: Continuity::Restart, .. })));
}

/// Another SSRC is heard from its first packet on; the timeline goes on. The old one's stragglers
/// do not take over again, unless the new one falls silent.
#[test]
fn follows_a_new_source() {
    let mut receiver = Receiver::new(8000);
    receive_from(&mut receiver, 0, 1, 0, 100, 5000);
    let new = receive_from(&mut receiver, 20, 2, 0, 7, 77);
    assert_eq!(place(new, 100, 5000), Some((1, 160)));
    assert!(matches!(new, Received::Accept(Arrival { continuity: Continuity::NewSource, .. })));
    assert_eq!(receive_from(&mut receiver, 21, 1, 0, 101, 5160), Received::Foreign);
    assert_eq!(receiver.ssrc(), Some(2));
    let next = receive_from(&mut receiver, 40, 2, 0, 8, 237);
    assert_eq!(place(next, 100, 5000), Some((2, 320)));
    assert_eq!(receive_from(&mut receiver, 239, 1, 0, 111, 6600), Received::Foreign);
    let back = receive_from(&mut receiver, 240, 1, 0, 112, 6760);
    assert_eq!(place(back, 100, 5000), Some((3, 320 + 1600)));
    assert_eq!((receiver.counters().source_changes, receiver.counters().foreign), (2, 2));
    // Loss is counted for each source by itself: none here.
    assert_eq!((receiver.expected_total(), receiver.lost_total()), (4, 0));
}

/// A timestamp that jumps while the sequence goes on does not move the timeline by more than the
/// time that passed; a pause with its marker does.
#[test]
fn media_time_follows_pauses_but_not_jumps() {
    let mut receiver = Receiver::new(8000);
    receive(&mut receiver, 0, 0, 0);
    assert_eq!(place(receive(&mut receiver, 60_000, 1, 480_000), 0, 0), Some((1, 480_000)));
    let jump = receive(&mut receiver, 60_020, 2, 3_000_000_000);
    assert_eq!(place(jump, 0, 0), Some((2, 480_160)));
    assert_eq!(place(receive(&mut receiver, 60_040, 3, 3_000_000_160), 0, 0), Some((3, 480_320)));
    let back = receive(&mut receiver, 60_060, 4, 17);
    assert_eq!(place(back, 0, 0), Some((4, 480_480)));
    assert_eq!(receiver.counters().ts_jumps, 2);
    assert_eq!(receiver.jitter_units(), 0);
}

/// Telephone events, whose timestamps stand still, move neither media time nor jitter, but they
/// count.
#[test]
fn events_leave_media_time_alone() {
    let mut receiver = Receiver::new(8000);
    receiver.set_event_pt(Some(101));
    receive(&mut receiver, 0, 0, 1000);
    for n in 1..6 {
        let event = receive_from(&mut receiver, n * 20, SSRC, 101, n as u16, 1160);
        assert_eq!(place(event, 0, 1000), Some((n, 160)));
    }
    let audio = receive(&mut receiver, 120, 6, 1960);
    assert_eq!(place(audio, 0, 1000), Some((6, 960)));
    assert_eq!((receiver.jitter_units(), receiver.counters().packets), (0, 7));
}

/// The fraction lost is of the time between two reports, in 256ths; copies hide loss there, as RFC
/// 3550 6.4.1 defines it, but not in our own count.
#[test]
fn reports_loss_between_reports() {
    let mut receiver = Receiver::new(8000);
    assert_eq!(receiver.report(), None);
    (0..100).filter(|n| n % 4 != 3).for_each(|n| {
        receive(&mut receiver, n * 20, n as u16, n as u32 * 160);
    });
    let report = receiver.report().unwrap();
    // 24 of 99, then 1 of 101.
    assert_eq!((report.fraction_lost, report.lost, report.ssrc), (62, 24, SSRC));
    (100..200).for_each(|n| {
        receive(&mut receiver, n * 20, n as u16, n as u32 * 160);
    });
    let report = receiver.report().unwrap();
    assert_eq!((report.fraction_lost, report.lost), (2, 25));
    (0..30).for_each(|_| {
        receive(&mut receiver, 4000, 199, 199 * 160);
    });
    assert_eq!(receiver.report().unwrap().lost, -5);
    assert_eq!(receiver.lost_total(), 25);
}

/// RFC 3550 A.8 by hand: transit times 0, 5 and 2 ms at 8 kHz.
#[test]
fn jitter_by_hand() {
    let mut receiver = Receiver::new(8000);
    receive(&mut receiver, 0, 0, 0);
    receive(&mut receiver, 25, 1, 160);
    assert_eq!(receiver.jitter_units(), 40 / 16);
    assert_eq!(receiver.jitter(), Duration::from_nanos(312_500));
    receive(&mut receiver, 42, 2, 320);
    // 40 + 24 - (40 + 8) / 16 = 61 sixteenths.
    assert_eq!(receiver.jitter_units(), 61 / 16);
}

/// The edges of RFC 3550 A.1: 3000 ahead is a gap, 3001 is stray; 100 behind is late, 101 is stray.
#[test]
fn keeps_the_edges_of_the_rfc() {
    let ahead = |by: u16| {
        let mut receiver = Receiver::new(8000);
        receive(&mut receiver, 0, 500, 0);
        receive(&mut receiver, 20 * u64::from(by), 500 + by, u32::from(by) * 160)
    };
    assert!(matches!(ahead(3000), Received::Accept(Arrival { gap: 2999, .. })));
    assert_eq!(ahead(3001), Received::Stray);
    let behind = |by: u16| {
        let mut receiver = Receiver::new(8000);
        receive(&mut receiver, 0, 500, 160_000);
        receive(&mut receiver, 20, 500 - by, 160_000 - u32::from(by) * 160)
    };
    assert!(matches!(behind(100), Received::Late(_)));
    assert_eq!(behind(101), Received::Stray);
}

/// Another codec counts in another clock: the timeline goes on at the same time, there and back.
#[test]
fn another_clock_is_no_jump() {
    let time_ms = |received: Received, clock_hz: u32| {
        let Received::Accept(arrival) = received else { panic!("{received:?}") };
        arrival.ext_ts * 1_000 / u64::from(clock_hz)
    };
    let (mut receiver, mut ts) = (Receiver::new(8_000), 3_000_000_000);
    let began_ms = time_ms(receive(&mut receiver, 0, 1, ts), 8_000);
    for (n, clock_hz) in (1_u16..).zip([48_000_u32, 8_000, 16_000, 48_000, 48_000, 8_000]) {
        receiver.set_clock(clock_hz);
        ts += clock_hz / 50;
        let passed_ms = u64::from(n) * 20;
        let at_ms = time_ms(receive(&mut receiver, passed_ms, 1 + n, ts), clock_hz);
        // Each division rounds down.
        let expected_ms = began_ms + passed_ms;
        assert!(at_ms.abs_diff(expected_ms) <= 1, "{clock_hz}: {at_ms}, not {expected_ms}");
    }
}

/// A receiver may go on from a stream that was none of RTP: number and media time follow, by the
/// time that passed, in the clock that holds; what is reported is of its own packets alone.
#[test]
fn goes_on_from_another_stream() {
    for (clock_hz, passed) in [(8_000, 8_000), (48_000, 48_000)] {
        let mut receiver = Receiver::new(clock_hz);
        receiver.follow(Stood { ext_seq: 70, ext_ts: 16_000, clock_hz: 8_000, at: at(2_000) });
        let begins = 2 * u64::from(clock_hz);
        let first = receive(&mut receiver, 3_000, 40_000, 5);
        let want = |ext_seq, ext_ts, gap, continuity| {
            Received::Accept(Arrival { ext_seq, ext_ts, gap, continuity })
        };
        assert_eq!(first, want(71, begins + passed, 0, Continuity::NewSource));
        let second = receive(&mut receiver, 3_060, 40_003, 485);
        assert_eq!(second, want(74, begins + passed + 480, 2, Continuity::Same));
        assert_eq!((receiver.expected_total(), receiver.lost_total()), (4, 2));
        assert_eq!(receiver.report().unwrap().highest_seq, 40_003);
        assert_eq!(receiver.counters().source_changes, 0);
        receiver.follow(Stood { ext_seq: 0, ext_ts: 0, clock_hz: 8_000, at: at(0) });
        let third = receive(&mut receiver, 3_080, 40_004, 645);
        assert_eq!(third, want(75, begins + passed + 640, 0, Continuity::Same), "too late");
    }
}
