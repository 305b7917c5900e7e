use proptest::prelude::*;

use super::fuzz::{Op, config, playout_ops, run};
use super::*;
use crate::codec::AudioFormat;

const FRAME: usize = 160;

struct Rig {
    pool: BlockPool,
    playout: Playout,
    now: MonoTime,
}

impl Rig {
    fn new(agent_rate_hz: u32) -> Self {
        let config = PlayoutConfig::new(AudioFormat::PCMU, 20, agent_rate_hz);
        Self { pool: BlockPool::new(1024), playout: Playout::new(config), now: MonoTime::ZERO }
    }

    /// Pushes audio that may be refused.
    fn offer(&mut self, bytes: usize) -> Pushed {
        self.playout.push(self.now, &mut self.pool, &vec![1; bytes])
    }

    /// Pushes audio that fits.
    fn push(&mut self, bytes: usize) {
        assert_eq!(self.offer(bytes), Pushed { accepted_bytes: bytes, full: false });
    }

    /// One tick of the pacer: bytes of audio in the frame it took, if it took one.
    fn tick(&mut self) -> Option<usize> {
        let mut out = [0; FRAME];
        let popped = self.playout.pop(self.now, &mut self.pool, &mut out);
        self.now += Duration::from_millis(20);
        let audio = out.iter().filter(|byte| **byte == 1).count();
        match popped {
            Popped::Empty => None,
            Popped::Packet { .. } => panic!("a queue of samples yields frames"),
            Popped::Frame { fill_bytes, .. } => {
                assert_eq!(out, [vec![1; audio], vec![0xff; fill_bytes]].concat()[..]);
                Some(audio)
            }
        }
    }

    fn clear(&mut self) -> Cleared {
        self.playout.clear(self.now, &mut self.pool)
    }

    fn marks(&mut self) -> Vec<(String, bool, u64)> {
        std::iter::from_fn(|| self.playout.poll_event())
            .map(|PlayoutEvent::Mark(mark)| (mark.name, mark.cleared, mark.samples))
            .collect()
    }
}

fn mark(name: &str, cleared: bool, samples: u64) -> (String, bool, u64) {
    (name.to_owned(), cleared, samples)
}

/// The defaults are those the protocol promises.
#[test]
fn a_format_makes_a_configuration() {
    let config = PlayoutConfig::new(AudioFormat::l16be(16_000), 20, 24_000);
    assert_eq!((config.frame_bytes, config.sample_bytes, config.silence), (640, 2, 0));
    assert_eq!((config.max_queue_ms, config.remainder_wait_ms), (30_000, 40));
    assert_eq!(config.max_queue_bytes(), 960_000);
}

/// A mark behind nothing is reported at once; a mark behind audio when the last frame that holds
/// some of it has been taken, with the account at its own place, not at the end of the frame.
#[test]
fn marks_come_when_the_audio_before_them_is_on_the_wire() {
    let mut rig = Rig::new(8000);
    rig.playout.mark("empty".to_owned()).unwrap();
    assert_eq!(rig.marks(), [mark("empty", false, 0)]);
    rig.push(200);
    rig.playout.mark("in a frame".to_owned()).unwrap();
    rig.push(120);
    rig.playout.mark("at its end".to_owned()).unwrap();
    assert_eq!(rig.tick(), Some(160));
    assert_eq!(rig.marks(), []);
    assert_eq!(rig.tick(), Some(160), "no gap is made at a mark that more audio follows");
    assert_eq!(rig.marks(), [mark("in a frame", false, 200), mark("at its end", false, 320)]);
    rig.playout.mark("late".to_owned()).unwrap();
    assert_eq!(rig.marks(), [mark("late", false, 320)]);
}

/// Less than a frame goes out at once behind a mark, before another utterance or after a flush.
#[test]
fn a_remainder_does_not_wait_when_nothing_more_will_come() {
    let ends: [fn(&mut Playout); 3] = [
        |playout| playout.mark("m".to_owned()).unwrap(),
        |playout| playout.utterance("next".to_owned()).unwrap(),
        Playout::flush,
    ];
    for end in ends {
        let mut rig = Rig::new(8000);
        rig.playout.utterance("one".to_owned()).unwrap();
        rig.push(170);
        assert_eq!((rig.tick(), rig.tick()), (Some(160), None));
        assert!(rig.playout.in_utterance());
        end(&mut rig.playout);
        assert!(!rig.playout.in_utterance());
        assert_eq!(rig.tick(), Some(10));
        assert_eq!(rig.playout.counters().fill_samples, 150);
        assert!(rig.playout.drained());
    }
}

/// Audio behind the last mark keeps waiting while the remainder before the mark goes out.
#[test]
fn only_what_precedes_the_mark_is_padded() {
    let mut rig = Rig::new(8000);
    rig.push(100);
    rig.playout.mark("m".to_owned()).unwrap();
    rig.push(50);
    assert_eq!(rig.tick(), Some(100));
    assert_eq!(rig.marks(), [mark("m", false, 100)]);
    rig.push(110);
    assert_eq!(rig.tick(), Some(160));
}

/// A remainder that nobody ended is played when it has waited 40 ms, however slowly more trickles
/// in, so no byte waits longer than that.
#[test]
fn a_remainder_waits_forty_milliseconds() {
    let mut rig = Rig::new(8000);
    rig.push(30);
    assert_eq!(rig.tick(), None);
    rig.push(30);
    assert_eq!(rig.tick(), None);
    rig.push(30);
    assert_eq!(rig.tick(), Some(90));
    assert_eq!(rig.tick(), None);
}

/// The first frame of speech after silence starts a talkspurt; a padded frame in mid-speech does
/// not end one, a clear does.
#[test]
fn talkspurts_start_after_silence() {
    let mut rig = Rig::new(8000);
    let mut out = [0; FRAME];
    let starts = |rig: &mut Rig, out: &mut [u8]| {
        matches!(
            rig.playout.pop(rig.now, &mut rig.pool, out),
            Popped::Frame { talkspurt_start: true, .. }
        )
    };
    rig.push(400);
    rig.playout.flush();
    let seen: Vec<bool> = (0..3).map(|_| starts(&mut rig, &mut out)).collect();
    assert_eq!(seen, [true, false, false]);
    rig.push(320);
    assert!(!starts(&mut rig, &mut out));
    rig.clear();
    rig.push(160);
    assert!(starts(&mut rig, &mut out));
}

/// Beyond the limit the newest audio is refused and counted, and what was accepted is untouched.
#[test]
fn the_newest_audio_is_refused_when_the_queue_is_full() {
    let mut rig = Rig::new(8000);
    assert_eq!(rig.offer(239_900), Pushed { accepted_bytes: 239_900, full: false });
    assert_eq!(rig.offer(160), Pushed { accepted_bytes: 100, full: true });
    assert_eq!(rig.offer(160), Pushed { accepted_bytes: 0, full: true });
    assert_eq!(rig.playout.queued_ms(), 30_000);
    assert_eq!(rig.playout.counters().refused_samples, 220);
    rig.tick();
    assert_eq!(rig.offer(160), Pushed { accepted_bytes: 160, full: false });
}

/// A pool at its limit refuses audio in whole samples just as the queue's own limit does.
#[test]
fn a_full_pool_refuses_audio_too() {
    let mut pool = BlockPool::new(64);
    let config = PlayoutConfig { sample_bytes: 3, frame_bytes: 480, ..config(0) };
    let mut playout = Playout::new(PlayoutConfig { max_queue_ms: 30_000, ..config });
    let pushed = playout.push(MonoTime::ZERO, &mut pool, &[0; 70_000]);
    assert_eq!(pushed, Pushed { accepted_bytes: 65_535, full: true });
    playout.release(&mut pool);
    assert_eq!((pool.used_blocks(), playout.drained()), (0, true));
}

/// Part of a sample is not audio: it is left out, which is not the queue's fault.
#[test]
fn part_of_a_sample_is_left_out() {
    let mut pool = BlockPool::new(64);
    let mut playout = Playout::new(PlayoutConfig::new(AudioFormat::l16be(8000), 20, 8000));
    let pushed = playout.push(MonoTime::ZERO, &mut pool, &[0; 5]);
    assert_eq!(pushed, Pushed { accepted_bytes: 4, full: false });
}

/// A frame is only written where there is room for it.
#[test]
fn a_short_buffer_takes_nothing() {
    let mut rig = Rig::new(8000);
    rig.push(160);
    let mut short = [9; FRAME - 1];
    assert_eq!(rig.playout.pop(rig.now, &mut rig.pool, &mut short), Popped::Empty);
    assert_eq!(short, [9; FRAME - 1]);
    assert_eq!(rig.tick(), Some(160));
}

/// Barge-in: everything is dropped, every waiting mark comes back as cleared with the account at
/// the clear, and each utterance is told with what was heard of it.
#[test]
fn a_clear_tells_what_was_heard() {
    let mut rig = Rig::new(24_000);
    rig.playout.utterance("heard".to_owned()).unwrap();
    rig.push(320);
    rig.playout.utterance("cut".to_owned()).unwrap();
    rig.push(1600);
    rig.playout.mark("one".to_owned()).unwrap();
    rig.playout.utterance("unheard".to_owned()).unwrap();
    rig.push(160);
    rig.playout.mark("two".to_owned()).unwrap();
    (0..3).for_each(|_| assert_eq!(rig.tick(), Some(160)));
    let cleared = rig.clear();
    assert_eq!((cleared.dropped_ms, cleared.samples, cleared.played_ms), (200, 1440, 60));
    let told: Vec<(&str, u64, bool)> =
        cleared.utterances.iter().map(|one| (one.id.as_str(), one.samples, one.complete)).collect();
    assert_eq!(told, [("heard", 960, true), ("cut", 480, false), ("unheard", 0, false)]);
    assert_eq!(rig.marks(), [mark("one", true, 1440), mark("two", true, 1440)]);
    assert_eq!(rig.tick(), None);
    assert_eq!(rig.pool.used_blocks(), 0);
    assert_eq!(rig.clear(), Cleared { samples: 1440, played_ms: 60, ..Cleared::default() });
}

/// What is played has the name of its utterance, also before its first sound and after its last.
#[test]
fn what_is_spoken_has_a_name() {
    let mut rig = Rig::new(8_000);
    assert_eq!(rig.playout.spoken(), None);
    for name in ["one", "two"] {
        rig.playout.utterance(name.to_owned()).unwrap();
        rig.push(160);
    }
    let mut names = vec![rig.playout.spoken().unwrap().to_owned()];
    for _ in 0..2 {
        rig.tick();
        names.push(rig.playout.spoken().unwrap().to_owned());
    }
    assert_eq!(names, ["one", "one", "two"]);
}

/// An utterance of which some was refused is not complete, even if the rest was played.
#[test]
fn a_refused_utterance_is_not_complete() {
    let mut rig = Rig::new(8000);
    rig.playout.utterance("long".to_owned()).unwrap();
    assert!(rig.offer(240_160).full);
    while rig.tick().is_some() {}
    let cleared = rig.clear();
    assert_eq!(cleared.utterances.len(), 1);
    assert_eq!((cleared.utterances[0].samples, cleared.utterances[0].complete), (240_000, false));
}

/// Marks that wait are bounded, told or not, and so are the names.
#[test]
fn marks_are_bounded() {
    let mut rig = Rig::new(8000);
    rig.push(160);
    for n in 0..MARKS_MAX {
        rig.playout.mark(n.to_string()).unwrap();
    }
    assert_eq!(rig.playout.mark("more".to_owned()), Err(PlayoutError::TooManyMarks));
    rig.tick();
    assert_eq!(rig.playout.mark("more".to_owned()), Err(PlayoutError::TooManyMarks));
    assert_eq!(rig.marks().len(), MARKS_MAX);
    rig.playout.mark("x".repeat(NAME_MAX_BYTES)).unwrap();
    let long = "x".repeat(NAME_MAX_BYTES + 1);
    assert_eq!(rig.playout.mark(long.clone()), Err(PlayoutError::BadName));
    assert_eq!(rig.playout.utterance(long), Err(PlayoutError::BadName));
    assert_eq!(rig.playout.mark(String::new()), Err(PlayoutError::BadName));
}

/// Utterances that wait are bounded; those that were heard give way, so an agent that never clears
/// can go on for ever.
#[test]
fn heard_utterances_give_way_to_new_ones() {
    let mut rig = Rig::new(8000);
    for n in 0..UTTERANCES_MAX {
        rig.playout.utterance(n.to_string()).unwrap();
        rig.push(160);
    }
    let more = rig.playout.utterance("more".to_owned());
    assert_eq!(more, Err(PlayoutError::TooManyUtterances));
    rig.tick();
    rig.playout.utterance("more".to_owned()).unwrap();
    let cleared = rig.clear();
    assert_eq!(cleared.utterances.len(), UTTERANCES_MAX);
    assert_eq!((cleared.utterances[0].id.as_str(), cleared.utterances[0].samples), ("1", 0));
}

/// The account goes on across a change of the wire's format, and a queue that holds audio refuses
/// one.
#[test]
fn the_account_survives_a_change_of_format() {
    let mut rig = Rig::new(24_000);
    rig.playout.utterance("u".to_owned()).unwrap();
    rig.push(320);
    let wide = PlayoutConfig::new(AudioFormat::l16be(16_000), 20, 24_000);
    assert_eq!(rig.playout.reconfigure(wide), Err(NotDrained));
    (0..2).for_each(|_| assert_eq!(rig.tick(), Some(160)));
    rig.playout.reconfigure(wide).unwrap();
    rig.push(1280);
    let mut out = [0; 640];
    rig.playout.pop(rig.now, &mut rig.pool, &mut out);
    assert_eq!(rig.playout.played_samples(), 2 * 480 + 480);
    let cleared = rig.clear();
    assert_eq!((cleared.samples, cleared.played_ms, cleared.dropped_ms), (1440, 60, 20));
    assert_eq!((cleared.utterances[0].samples, cleared.utterances[0].complete), (1440, false));
}

/// Another stream of the same call counts from zero and hears nothing of the one before.
#[test]
fn a_restart_leaves_nothing_behind() {
    let mut rig = Rig::new(8000);
    rig.playout.utterance("u".to_owned()).unwrap();
    rig.push(320);
    rig.playout.mark("m".to_owned()).unwrap();
    rig.tick();
    let config = *rig.playout.config();
    rig.playout.restart(&mut rig.pool, config);
    assert_eq!(rig.pool.used_blocks(), 0);
    assert_eq!((rig.tick(), rig.marks().len()), (None, 0));
    assert_eq!(rig.clear(), Cleared::default());
}

/// A new ptime does not disturb what is queued, and what has become less than a frame by it is
/// played in the end.
#[test]
fn the_queue_survives_a_change_of_ptime() {
    let mut rig = Rig::new(8000);
    rig.playout.utterance("a".to_owned()).unwrap();
    rig.push(200);
    rig.playout.utterance("b".to_owned()).unwrap();
    rig.push(280);
    assert_eq!(rig.tick(), Some(160));
    let longer = PlayoutConfig::new(AudioFormat::PCMU, 60, 24_000);
    rig.playout.reconfigure(longer).unwrap();
    let mut out = [0; 480];
    let mut take = |rig: &mut Rig, ms| {
        rig.now += Duration::from_millis(ms);
        rig.playout.pop(rig.now, &mut rig.pool, &mut out)
    };
    // 40 samples end at the next utterance; 280 wait for more, from now on.
    let frame = |fill_bytes| Popped::Frame { fill_bytes, talkspurt_start: false };
    assert_eq!(take(&mut rig, 0), frame(440));
    assert_eq!(take(&mut rig, 39), Popped::Empty);
    rig.playout.reconfigure(PlayoutConfig { frame_bytes: 160, ..longer }).unwrap();
    assert_eq!(
        take(&mut rig, 0),
        Popped::Frame { fill_bytes: 0, talkspurt_start: true },
        "a shorter frame is there at once"
    );
    rig.playout.reconfigure(longer).unwrap();
    assert_eq!(take(&mut rig, 39), Popped::Empty);
    assert_eq!(take(&mut rig, 1), Popped::Frame { fill_bytes: 360, talkspurt_start: true });
    let cleared = rig.clear();
    assert_eq!(cleared.samples, 480 * 3);
    let told: Vec<(u64, bool)> =
        cleared.utterances.iter().map(|one| (one.samples, one.complete)).collect();
    assert_eq!(told, [(600, true), (840, true)]);
}

/// The account does not drift: after 30 days at a ratio that does not divide it is still the exact
/// quotient.
#[test]
fn the_account_does_not_drift() {
    let ledger = Ledger::new(8000, 11_025);
    let month = 30 * 86_400 * 8000;
    assert_eq!(ledger.samples(month), 30 * 86_400 * 11_025);
    assert_eq!(ledger.samples(month + 1), 30 * 86_400 * 11_025 + 1);
    assert_eq!(ledger.played_ms(11_024), 999);
    assert_eq!(Ledger::new(1, u32::MAX).samples(u64::MAX), u64::MAX, "no overflow");
}

/// Zeros in a configuration are harmless.
#[test]
fn a_configuration_of_zeros_is_harmless() {
    let zeros = PlayoutConfig {
        packets: false,
        frame_bytes: 0,
        sample_bytes: 0,
        silence: 0,
        wire_rate_hz: 0,
        agent_rate_hz: 0,
        max_queue_ms: 0,
        remainder_wait_ms: 0,
    };
    run(zeros.sane(), &[Op::Push(3), Op::Pop, Op::Mark, Op::Clear]);
    let mut playout = Playout::new(zeros);
    let pushed = playout.push(MonoTime::ZERO, &mut BlockPool::new(64), &[1]);
    assert_eq!(pushed, Pushed { accepted_bytes: 0, full: true });
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..700u16).prop_map(Op::Push),
        4 => Just(Op::Pop),
        2 => Just(Op::Mark),
        1 => (0..6u8).prop_map(Op::Utterance),
        1 => Just(Op::Flush),
        1 => Just(Op::Clear),
        2 => (0..50u8).prop_map(Op::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Any sequence of operations yields the bytes, events and accounts of the naive twin, and
    /// loses no sample.
    #[test]
    fn equals_its_naive_twin(choice: u8, ops in prop::collection::vec(op(), 0..120)) {
        run(config(choice), &ops);
    }

    /// The fuzz body bears any input, and reaches the same checks.
    #[test]
    fn any_bytes_are_operations(data in prop::collection::vec(any::<u8>(), 0..400)) {
        playout_ops(&data);
    }
}

/// More utterances and marks than are allowed, in the twin as in the queue.
#[test]
fn equals_its_twin_at_the_limits() {
    let mut ops = vec![Op::Push(700)];
    for n in 0..2 * UTTERANCES_MAX as u8 {
        ops.extend([Op::Utterance(n), Op::Push(2), Op::Pop]);
    }
    ops.extend([Op::Clear, Op::Push(100)]);
    ops.extend(std::iter::repeat_n(Op::Mark, MARKS_MAX + 2));
    ops.extend([Op::Pop, Op::Clear]);
    run(config(0), &ops);
    run(config(130), &ops);
}
