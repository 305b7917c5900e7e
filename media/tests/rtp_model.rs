//! The receiver and the reorder window over networks that lose, double and delay, against a twin
//! that remembers everything and computes each figure anew from the words of RFC 3550.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use std::collections::BTreeSet;
use std::time::Duration;

use media::rtp::{Frame, HEADER_BYTES, Header, Packet, Received, Receiver, Reorder, write_header};
use media::time::MonoTime;
use proptest::prelude::*;

const PTIME_MS: u64 = 20;

/// What the network does to one packet.
#[derive(Clone, Debug)]
struct Fate {
    lost: bool,
    copies: usize,
    delay_us: u64,
}

/// A stretch of network: fates of packets, calm or rough.
fn fates(delay_ms_max: u64) -> impl Strategy<Value = Vec<Fate>> {
    let fate = (0..100_u8, 0..100_u8, 0..=delay_ms_max * 1000, any::<bool>()).prop_map(
        |(loss, double, delay_us, calm)| Fate {
            lost: loss < 8,
            copies: if double < 5 { 2 } else { 1 },
            delay_us: if calm { 0 } else { delay_us },
        },
    );
    prop::collection::vec(fate, 1..400)
}

/// Arrivals in the order of time: microseconds, and the number of the packet.
fn arrivals(fates: &[Fate]) -> Vec<(u64, u64)> {
    let mut arrivals = Vec::new();
    for (n, fate) in fates.iter().enumerate().filter(|(_, fate)| !fate.lost) {
        for copy in 0..fate.copies as u64 {
            let us = n as u64 * PTIME_MS * 1000 + fate.delay_us + copy * 700;
            arrivals.push((us, n as u64));
        }
    }
    arrivals.sort_unstable();
    arrivals
}

fn packet(seq: u16, ts: u32) -> [u8; HEADER_BYTES + 8] {
    let mut bytes = [0; HEADER_BYTES + 8];
    let header = Header { marker: false, pt: 0, seq, ts, ssrc: 9 };
    write_header(bytes.first_chunk_mut().unwrap(), &header);
    bytes
}

/// Remembers every packet, in numbers that do not wrap.
#[derive(Default)]
struct Twin {
    seen: BTreeSet<u64>,
    received: u64,
    transit: Option<i64>,
    jitter_x16: i64,
    expected_prior: u64,
    received_prior: u64,
}

impl Twin {
    fn expected(&self) -> u64 {
        self.seen.last().unwrap() - self.seen.first().unwrap() + 1
    }

    /// What should become of packet `n`: the gap if it is the newest, or "late", or "doubled".
    fn receive(
        &mut self,
        us: u64,
        n: u64,
        samples: u64,
        clock_hz: u64,
    ) -> Result<u64, &'static str> {
        self.received += 1;
        let newest = self.seen.last().copied();
        if !self.seen.insert(n) {
            return Err("doubled");
        }
        // RFC 3550 A.8, with a clock that is exact to the unit.
        let transit = (us * clock_hz / 1_000_000) as i64 - (n * samples) as i64;
        if let Some(last) = self.transit.replace(transit) {
            let d = (transit - last).abs();
            self.jitter_x16 += d - ((self.jitter_x16 + 8) >> 4);
        }
        match newest {
            None => Ok(0),
            Some(newest) if n > newest => Ok(n - newest - 1),
            Some(_) => Err("late"),
        }
    }

    /// Fraction, cumulative count and jitter (RFC 3550 A.3).
    fn report(&mut self) -> (u8, i32, u32) {
        let expected = self.expected();
        let lost = expected as i32 - self.received as i32;
        let expected_interval = expected - self.expected_prior;
        let received_interval = self.received - self.received_prior;
        self.expected_prior = expected;
        self.received_prior = self.received;
        let lost_interval = expected_interval as i64 - received_interval as i64;
        let fraction = if expected_interval == 0 || lost_interval <= 0 {
            0
        } else {
            (lost_interval << 8) / expected_interval as i64
        };
        (fraction.min(255) as u8, lost, (self.jitter_x16 >> 4) as u32)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Every verdict, place, gap, count, report and jitter equals the twin's, wherever the stream
    /// starts within the range of its counters, for delays up to 60 packets.
    #[test]
    fn receiver_equals_its_twin(
        fates in fates(1200),
        seq in any::<u16>(),
        ts in any::<u32>(),
        clock_hz in prop::sample::select(vec![8000_u64, 16_000, 48_000]),
        every in 1..50_usize,
    ) {
        let samples = clock_hz / 1000 * PTIME_MS;
        let mut receiver = Receiver::new(clock_hz as u32);
        let mut twin = Twin::default();
        let mut origin = None;
        for (count, (us, n)) in arrivals(&fates).into_iter().enumerate() {
            let bytes = packet(
                seq.wrapping_add(n as u16),
                ts.wrapping_add((n * samples) as u32),
            );
            let now = MonoTime::from_nanos(us * 1000);
            let received = receiver.receive(now, &Packet::parse(&bytes).unwrap());
            let (verdict, arrival) = match received {
                Received::Accept(arrival) => (Ok(u64::from(arrival.gap)), Some(arrival)),
                Received::Late(arrival) => (Err("late"), Some(arrival)),
                Received::Duplicate => (Err("doubled"), None),
                other => panic!("{other:?}"),
            };
            prop_assert_eq!(verdict, twin.receive(us, n, samples, clock_hz));
            if let Some(arrival) = arrival {
                let (first, ext_seq, ext_ts) =
                    *origin.get_or_insert((n, arrival.ext_seq, arrival.ext_ts));
                prop_assert_eq!(arrival.ext_seq + first, ext_seq + n);
                prop_assert_eq!(arrival.ext_ts + first * samples, ext_ts + n * samples);
            }
            if count % every == every - 1 {
                let report = receiver.report().unwrap();
                prop_assert_eq!((report.fraction_lost, report.lost, report.jitter), twin.report());
                let highest = twin.seen.last().unwrap();
                prop_assert_eq!(report.highest_seq as u16, seq.wrapping_add(*highest as u16));
            }
        }
        if origin.is_some() {
            prop_assert_eq!(receiver.expected_total(), twin.expected());
            prop_assert_eq!(receiver.lost_total(), twin.expected() - twin.seen.len() as u64);
        }
    }

    /// Behind the window frames come in order, whole and once; no frame waits longer than the wait,
    /// none is dropped that was not overtaken by a wait or a full window; counts add up.
    #[test]
    fn reorder_keeps_its_word(fates in fates(70), window in 1..8_usize) {
        let wait = Duration::from_millis(PTIME_MS);
        let mut reorder = Reorder::new(window, 8, wait);
        let mut receiver = Receiver::new(8000);
        let mut out: Vec<(u64, MonoTime)> = Vec::new();
        let mut pushed = Vec::new();
        let mut now = MonoTime::ZERO;
        let mut arrivals = arrivals(&fates).into_iter().peekable();
        loop {
            let next = arrivals.peek().map(|(us, _)| MonoTime::from_nanos(us * 1000));
            let due = reorder.deadline();
            now = match (next, due) {
                (None, None) => break,
                (Some(at), None) | (None, Some(at)) => at,
                (Some(next), Some(due)) => next.min(due),
            }
            .max(now);
            reorder.poll(now, |frame| out.push((frame.ext_seq, now)));
            if next.is_none_or(|next| next > now) {
                continue;
            }
            let (_, n) = arrivals.next().unwrap();
            let mut bytes = packet(n as u16, n as u32 * 160);
            bytes[HEADER_BYTES..].copy_from_slice(&n.to_be_bytes());
            let packet = Packet::parse(&bytes).unwrap();
            let (Received::Accept(arrival) | Received::Late(arrival)) =
                receiver.receive(now, &packet)
            else {
                continue;
            };
            pushed.push((arrival.ext_seq, now));
            let frame = Frame {
                ext_seq: arrival.ext_seq,
                ext_ts: arrival.ext_ts,
                marker: false,
                payload: packet.payload,
            };
            reorder.push(now, frame, |frame| {
                let n = u64::from_be_bytes(frame.payload.try_into().unwrap());
                assert_eq!(frame.ext_seq, n + (1 << 16));
                out.push((frame.ext_seq, now));
            });
        }
        prop_assert!(out.is_sorted_by(|a, b| a.0 < b.0));
        for (seq, left) in &out {
            let came = pushed.iter().find(|pushed| pushed.0 == *seq).unwrap().1;
            prop_assert!(left.since(came) <= wait);
        }
        let counters = *reorder.counters();
        prop_assert_eq!(out.len() as u64 + counters.late, pushed.len() as u64);
        let (first, last) = (out.first().map(|f| f.0), out.last().map(|f| f.0));
        if let (Some(first), Some(last)) = (first, last) {
            prop_assert_eq!(last - first + 1, out.len() as u64 + counters.missing);
        }
    }

    /// If no packet is delayed by more than a wait can bridge and none is lost, nothing is dropped.
    #[test]
    fn reorder_bridges_what_it_can(delays in prop::collection::vec(0..=38_000_u64, 1..300)) {
        let mut reorder = Reorder::new(4, 8, Duration::from_millis(PTIME_MS));
        let mut order: Vec<(u64, u64)> = delays
            .iter()
            .enumerate()
            // The first is in time, so that the window starts with it; others are at most one ptime
            // late.
            .map(|(n, delay)| (n as u64 * 20_000 + if n == 0 { 0 } else { delay / 2 }, n as u64))
            .collect();
        order.sort_unstable();
        let mut out = Vec::new();
        for (us, n) in order {
            let now = MonoTime::from_nanos(us * 1000);
            reorder.poll(now, |frame| out.push(frame.ext_seq));
            let frame = Frame { ext_seq: n, ext_ts: n, marker: false, payload: &[0; 8] };
            reorder.push(now, frame, |frame| out.push(frame.ext_seq));
        }
        reorder.flush(|frame| out.push(frame.ext_seq));
        prop_assert_eq!(out, (0..delays.len() as u64).collect::<Vec<_>>());
    }

    /// Packets of any source, number and time, at any pace: nothing panics, media time never runs
    /// back, what comes out of the window is in order.
    #[test]
    fn anything_goes(data in prop::collection::vec(any::<u8>(), 0..2000)) {
        media::fuzz::rtp(&data);
    }

    /// The same with packets that look like a stream, so that restarts, jumps and changes of source
    /// occur.
    #[test]
    fn nearly_anything_goes(
        packets in prop::collection::vec(
            (0..60_u8, 0..3_u8, 0..200_u16, 0..40_000_u32, 0..8_u8, prop::bool::ANY),
            0..300,
        ),
    ) {
        let mut data = Vec::new();
        for (ms, ssrc, seq, ts, jump, event) in packets {
            let header = Header {
                marker: false,
                pt: if event { 101 } else { 0 },
                seq: if jump == 0 { seq.wrapping_mul(331) } else { seq },
                ts: if jump == 1 { ts.wrapping_mul(0x1_0003) } else { ts },
                ssrc: u32::from(ssrc / 2),
            };
            let mut bytes = [0; HEADER_BYTES];
            write_header(&mut bytes, &header);
            data.extend([HEADER_BYTES as u8 + 4, ms]);
            data.extend(bytes);
            data.extend([1, 2, 3, 4]);
        }
        media::fuzz::rtp(&data);
    }

    /// Event packets at random, and strings at random as digits.
    #[test]
    fn any_events_go(
        data in prop::collection::vec(any::<u8>(), 0..2000),
        digits in "[0-9A-Da-d*#]{0,70}",
    ) {
        media::fuzz::dtmf(&data);
        media::fuzz::dtmf(digits.as_bytes());
    }
}
