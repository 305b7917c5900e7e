use std::time::Duration;

use proptest::prelude::*;

use super::*;

const PTIME: Duration = Duration::from_millis(20);

/// A buffer at 8 kHz, and a sender whose packets hold their own number in every sample.
struct Bed {
    buffer: JitterBuffer,
    blocks: BlockPool,
    now: MonoTime,
    out: [i16; 160],
}

impl Bed {
    fn new() -> Self {
        Self {
            buffer: JitterBuffer::new(JitterConfig::new(8_000, 8_000)),
            blocks: BlockPool::new(256),
            now: MonoTime::from_nanos(1_000_000),
            out: [0; 160],
        }
    }

    fn put_at(&mut self, seq: u64, ts: u64, content: Content, payload: &[u8]) -> Put {
        let units = if matches!(content, Content::Audio(_)) { 160 } else { 0 };
        let packet = Incoming {
            ext_seq: 1_000 + seq,
            ext_ts: (1 << 32) + ts,
            units,
            content,
            splice: false,
            payload,
        };
        self.buffer.put(self.now, &mut self.blocks, packet)
    }

    fn put(&mut self, number: u64) -> Put {
        self.put_at(number, number * 160, Content::Audio(0), &[(number % 20) as u8 * 10])
    }

    fn pull(&mut self) -> Pulled {
        let decode = |_: u8, payload: &[u8], out: &mut [i16]| {
            out[..160].fill(i16::from(payload[0]) * 10);
            160
        };
        let pulled = self.buffer.pull(self.now, &mut self.blocks, &mut self.out, decode);
        self.now += PTIME;
        pulled
    }

    /// Packets `from..to` and a pull each.
    fn flow(&mut self, from: u64, to: u64) {
        for number in from..to {
            assert_eq!(self.put(number), Put::Queued);
            self.pull();
        }
    }
}

/// Sound begins after the wait that is assumed at first, and goes on untouched.
#[test]
fn begins_after_the_wait() {
    let mut bed = Bed::new();
    let mut kinds = Vec::new();
    for number in 0..6 {
        bed.put(number);
        kinds.push(bed.pull().kind);
    }
    let played = kinds.iter().position(|kind| *kind == Kind::Played).unwrap();
    assert_eq!(played, 2, "20 ms for the network, 20 ms for the pull");
    assert!(kinds[..2].iter().all(|kind| *kind == Kind::Silence));
    assert!(kinds[2..].iter().all(|kind| *kind == Kind::Played));
    assert_eq!(bed.out, [300; 160]);
}

/// Out of order in time is put in order; a copy and a straggler are counted and not heard.
#[test]
fn orders_and_counts() {
    let mut bed = Bed::new();
    bed.flow(0, 5);
    assert_eq!(bed.put(6), Put::Queued);
    assert_eq!(bed.put(5), Put::Queued);
    assert_eq!(bed.put(6), Put::Duplicate);
    assert_eq!(bed.put(0), Put::Late);
    for _ in 0..2 {
        assert_eq!(bed.pull().concealed, 0);
    }
    let counters = bed.buffer.counters();
    assert_eq!((counters.duplicate, counters.late, counters.missing), (1, 1, 0));
}

/// A lost packet is concealed for its length, whether or not those behind it are there.
#[test]
fn conceals_what_is_lost() {
    for ahead in [false, true] {
        let mut bed = Bed::new();
        bed.flow(0, 10);
        if ahead {
            bed.put(11);
        }
        let mut concealed = bed.pull().concealed;
        if !ahead {
            bed.put(11);
        }
        for number in 12..20 {
            bed.put(number);
            concealed += bed.pull().concealed;
        }
        assert_eq!(concealed, 160, "ahead: {ahead}");
        assert_eq!(bed.buffer.counters().missing, 1);
        assert_eq!(bed.buffer.counters().lost(), 1);
    }
}

/// A jump of media time without a gap in the numbers is a pause of the speaker: it is noise, not
/// loss, and the sound after it waits as at the beginning.
#[test]
fn a_pause_is_no_loss() {
    let mut bed = Bed::new();
    bed.flow(0, 50);
    let mut kinds = Vec::new();
    for _ in 0..50 {
        kinds.push(bed.pull().kind);
    }
    assert!(kinds[10..].iter().all(|kind| *kind == Kind::Comfort), "{kinds:?}");
    for number in 0..10 {
        bed.put_at(50 + number, (100 + number) * 160, Content::Audio(0), &[1]);
        bed.pull();
    }
    let counters = bed.buffer.counters();
    assert_eq!((counters.missing, counters.concealed_samples), (0, 0), "{counters:?}");
    assert_eq!(counters.underruns, 0);
    assert_eq!(counters.played, 50 + 8 + bed.buffer.counters().played - 58);
}

/// Comfort noise of the peer (RFC 3389) has the level that it tells, and is no loss.
#[test]
fn plays_the_noise_that_the_peer_describes() {
    let mut bed = Bed::new();
    bed.flow(0, 50);
    assert_eq!(bed.put_at(50, 50 * 160, Content::Comfort, &[40]), Put::Queued);
    let mut power = 0.0;
    for n in 0..100 {
        let pulled = bed.pull();
        if n >= 20 {
            assert_eq!(pulled.kind, Kind::Comfort);
            power += pitch_rms(&bed.out).powi(2) / 80.0;
        }
    }
    let wanted = 32_767.0 * 10_f32.powf(-2.0);
    let level = power.sqrt();
    assert!((level / wanted - 1.0).abs() < 0.1, "{level}, not {wanted}");
    let counters = bed.buffer.counters();
    assert_eq!((counters.missing, counters.concealed_samples, counters.underruns), (0, 0, 0));
}

fn pitch_rms(samples: &[i16]) -> f32 {
    crate::pitch::rms(samples)
}

/// A telephone event takes its place in the order and is neither heard nor missed.
#[test]
fn events_are_not_missed() {
    let mut bed = Bed::new();
    bed.flow(0, 20);
    for number in 20..25 {
        bed.put_at(number, 20 * 160, Content::Other, &[]);
        bed.pull();
    }
    for number in 25..40 {
        bed.put(number);
        bed.pull();
    }
    let counters = bed.buffer.counters();
    assert_eq!((counters.missing, counters.late, counters.concealed_samples), (0, 0, 0));
}

/// After a standstill of the network a burst comes: what waits stays under the cap, the newest is
/// kept, and all is counted.
#[test]
fn a_burst_stays_under_the_cap() {
    let mut bed = Bed::new();
    bed.flow(0, 20);
    for _ in 0..30 {
        bed.pull();
    }
    for number in 20..50 {
        bed.put(number);
        let depth = bed.buffer.snapshot(bed.now).depth;
        assert!(depth <= Duration::from_millis(200), "{depth:?}");
    }
    let counters = *bed.buffer.counters();
    assert_eq!(
        counters.discarded as usize + bed.buffer.waiting(),
        30 + 20 - counters.played as usize
    );
    assert!(counters.discarded >= 20);
    // It catches up: soon no more waits than is needed.
    for number in 50..6_000 {
        bed.put(number);
        bed.pull();
    }
    let snapshot = bed.buffer.snapshot(bed.now);
    assert!(snapshot.depth < Duration::from_millis(120), "{snapshot:?}");
}

/// Jitter that grows raises the wait within a second; when it is gone the wait falls again.
#[test]
fn follows_the_network() {
    let mut bed = Bed::new();
    bed.flow(0, 200);
    let calm = bed.buffer.snapshot(bed.now).target;
    // Every second packet is 70 ms late.
    let start = bed.now;
    let mut number = 200;
    let mut late: Vec<(MonoTime, u64)> = Vec::new();
    while bed.now.since(start) < Duration::from_secs(2) {
        let delay = if number % 2 == 0 { 0 } else { 70 };
        late.push((bed.now + Duration::from_millis(delay), number));
        number += 1;
        late.sort_unstable();
        while late.first().is_some_and(|(at, _)| *at <= bed.now) {
            let (_, number) = late.remove(0);
            bed.put(number);
        }
        bed.pull();
    }
    let raised = bed.buffer.snapshot(bed.now).target;
    assert!(raised >= Duration::from_millis(85) && raised > calm, "{calm:?} {raised:?}");
    let concealed = bed.buffer.counters().concealed_samples;
    assert!(concealed < 160 * 20, "{concealed}");
    for (_, number) in late {
        bed.put(number);
    }
    for number in number..number + 50 * 90 {
        bed.put(number);
        bed.pull();
    }
    let fallen = bed.buffer.snapshot(bed.now);
    assert!(fallen.target < raised, "{raised:?} {fallen:?}");
    assert!(fallen.delay < fallen.target + Duration::from_millis(20), "{fallen:?}");
}

/// A new source goes on the same timeline; its beginning is blended, and nothing is lost.
#[test]
fn follows_another_source() {
    let mut bed = Bed::new();
    bed.flow(0, 50);
    let packet = Incoming {
        ext_seq: 1_050,
        ext_ts: (1 << 32) + 50 * 160 + 7,
        units: 160,
        content: Content::Audio(0),
        splice: true,
        payload: &[9],
    };
    assert_eq!(bed.buffer.put(bed.now, &mut bed.blocks, packet), Put::Queued);
    for number in 51..60 {
        bed.pull();
        bed.put_at(number, number * 160 + 7, Content::Audio(0), &[9]);
    }
    assert_eq!(bed.buffer.counters().missing, 0);
    assert!(bed.buffer.counters().concealed_samples <= 160);
}

/// Another clock in mid-call: what waited is dropped, and sound goes on.
#[test]
fn takes_another_clock() {
    let mut bed = Bed::new();
    bed.flow(0, 50);
    bed.buffer.set_clock(&mut bed.blocks, 48_000);
    assert_eq!(bed.buffer.waiting(), 0);
    for number in 50..80_u64 {
        let packet = Incoming {
            ext_seq: 1_000 + number,
            ext_ts: (1 << 34) + number * 960,
            units: 960,
            content: Content::Audio(1),
            splice: false,
            payload: &[5],
        };
        bed.buffer.put(bed.now, &mut bed.blocks, packet);
        bed.pull();
    }
    assert_eq!(bed.out, [50; 160]);
    assert_eq!(bed.buffer.counters().missing, 0);
}

/// All blocks are given back.
#[test]
fn gives_memory_back() {
    let mut bed = Bed::new();
    bed.flow(0, 50);
    for number in 52..60 {
        bed.put(number);
    }
    assert!(bed.blocks.used_blocks() > 0);
    bed.buffer.release(&mut bed.blocks);
    assert_eq!(bed.blocks.used_blocks(), 0);
}

proptest! {
    /// Any sequence of operations keeps the account, the cap and the memory.
    #[test]
    fn takes_anything(data in prop::collection::vec(any::<u8>(), 0..2_000)) {
        fuzz::jitter_ops(&data);
    }
}

/// A codec that knows of losses: what it recovers is 7,000, what it conceals 5,000.
#[derive(Default)]
struct Knowing {
    recovers: bool,
    asked: Vec<u8>,
}

impl Decode for Knowing {
    fn decode(&mut self, _: u8, payload: &[u8], out: &mut [i16]) -> usize {
        out[..160].fill(i16::from(payload[0]) * 10);
        160
    }

    fn recover(&mut self, _: u8, next: &[u8], out: &mut [i16]) -> usize {
        self.asked.extend(next);
        out.fill(7_000);
        if self.recovers { out.len() } else { 0 }
    }

    fn conceal(&mut self, out: &mut [i16]) -> usize {
        out.fill(5_000);
        out.len()
    }
}

/// What every frame of a call sounds like, in which `lost` packets are.
fn heard(codec: &mut Knowing, lost: &[u64]) -> (Vec<i16>, JitterCounters) {
    let mut bed = Bed::new();
    let mut sound = Vec::new();
    for number in 0..20 {
        if !lost.contains(&number) {
            bed.put_at(number, number * 160, Content::Audio(0), &[100 + number as u8]);
        }
        bed.buffer.pull_with(bed.now, &mut bed.blocks, &mut bed.out, codec);
        sound.push(bed.out[80]);
        bed.now += PTIME;
    }
    (sound, *bed.buffer.counters())
}

/// A lost packet is made up for by the one behind it; of two only the second can be, and the first
/// is concealed by the codec. Nothing else is touched, and the time stays what it was.
#[test]
fn a_codec_makes_up_for_losses() {
    let plain: Vec<i16> = heard(&mut Knowing::default(), &[]).0;
    let mut codec = Knowing { recovers: true, ..Knowing::default() };
    let (sound, counters) = heard(&mut codec, &[8, 12, 13]);
    assert_eq!((counters.recovered_samples, counters.concealed_samples), (320, 160));
    assert_eq!(codec.asked, [109, 114]);
    for (number, (now, before)) in sound.iter().zip(&plain).enumerate() {
        // Two frames wait before the first.
        match number {
            10 | 15 => assert_eq!(*now, 7_000, "{number}"),
            14 => assert!((4_000..=5_000).contains(now), "{number}: {now}"),
            _ => assert_eq!(now, before, "{number}"),
        }
    }

    // A codec that cannot recover conceals; the end of the call fades into the background.
    let (sound, counters) = heard(&mut Knowing::default(), &[8]);
    assert_eq!((counters.recovered_samples, counters.concealed_samples), (0, 160));
    assert!((4_000..=5_000).contains(&sound[10]), "{}", sound[10]);
    let (sound, counters) = heard(&mut Knowing::default(), &(8..20).collect::<Vec<_>>());
    assert_eq!(counters.concealed_samples, 480);
    assert!(sound[10] > sound[11] && sound[11] > sound[12], "{sound:?}");
    assert!(sound[13..].iter().all(|sample| sample.abs() < 100), "{sound:?}");
}
