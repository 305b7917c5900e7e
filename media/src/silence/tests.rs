//! Each reason by its facts, good calls without a word, and the laws of G.711 told apart.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::codec::g711::Law;

const SPEECH: [&[u8]; 3] = [
    include_bytes!("../../tests/vectors/speech_english.ulaw"),
    include_bytes!("../../tests/vectors/speech_german.ulaw"),
    include_bytes!("../../tests/vectors/speech_french.ulaw"),
];
const FRAME: Duration = Duration::from_millis(20);

/// A call in simulated time, answered at its start.
struct Call {
    now: MonoTime,
    watch: Watch,
    conditions: Conditions,
    next_look: MonoTime,
    notices: Vec<(Duration, Notice)>,
}

const BEGIN: MonoTime = MonoTime::from_nanos(5_000_000_000);

impl Call {
    fn new(format: AudioFormat) -> Self {
        let mut watch = Watch::new(format);
        watch.answered(BEGIN);
        // The agent has spoken, so that most tests are about the peer alone.
        watch.said(&[1, 2]);
        let conditions = Conditions {
            sends: true,
            receives: true,
            held: false,
            hidden: false,
            foreign: 0,
            muted: false,
            agent: AgentAt::Connected { dry_since: None },
        };
        Self { now: BEGIN, watch, conditions, next_look: BEGIN, notices: Vec::new() }
    }

    /// Lets `ms` pass, with `each` at every frame.
    fn run(&mut self, ms: u64, mut each: impl FnMut(&mut Watch, &mut Conditions, MonoTime)) {
        for _ in 0..ms / 20 {
            each(&mut self.watch, &mut self.conditions, self.now);
            if self.now >= self.next_look {
                let after = self.now.since(BEGIN);
                let told = self.watch.look(self.now, &self.conditions);
                self.notices.extend(told.into_iter().flatten().map(|notice| (after, notice)));
                self.next_look = self.now + LOOK_EVERY;
            }
            self.now += FRAME;
        }
    }

    fn idle(&mut self, ms: u64) {
        self.run(ms, |_, _, _| {});
    }

    fn speech(&mut self, ms: u64) {
        let mut frames = SPEECH[0].chunks_exact(160).cycle();
        self.run(ms, |watch, _, now| {
            if let Some(frame) = frames.next() {
                watch.heard(now, frame, false);
            }
        });
    }

    /// What was told: way, reason and whether it began.
    fn told(&self) -> Vec<(Way, Reason, bool)> {
        self.notices.iter().map(|(_, notice)| (notice.way, notice.reason, notice.silent)).collect()
    }
}

/// Runs a call in which `each` happens from the answer on, and demands that `reason` and nothing
/// else is told within two seconds.
fn named(way: Way, reason: Reason, each: impl FnMut(&mut Watch, &mut Conditions, MonoTime)) {
    let mut call = Call::new(AudioFormat::PCMU);
    call.run(4_000, each);
    assert_eq!(call.told(), [(way, reason, true)], "{reason:?}");
    assert!(call.notices[0].0 <= Duration::from_secs(2), "{reason:?}: {:?}", call.notices);
}

/// A frame of noise of this level.
fn noise(seed: u64, peak: i32) -> [u8; 160] {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::array::from_fn(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let sample = (state >> 33) as i32 % (2 * peak + 1) - peak;
        Law::Mu.code(sample as i16)
    })
}

/// Each reason on the peer's side is named within two seconds, and alone.
#[test]
fn reasons_of_the_peer_are_named() {
    let flat = [0xff; 160];
    named(Way::In, Reason::NothingArrived, |_, _, _| {});
    named(Way::In, Reason::PrivateAddress, |_, c, _| c.hidden = true);
    named(Way::In, Reason::ForeignSource, |_, c, _| c.foreign += 1);
    named(Way::In, Reason::ForeignSource, |_, c, _| {
        c.hidden = true;
        c.foreign += 1;
    });
    named(Way::In, Reason::PayloadType, |w, _, now| w.heard_nothing(now, Soundless::PayloadType));
    named(Way::In, Reason::NotRtp, |w, _, now| w.heard_nothing(now, Soundless::NotRtp));
    let reason = Reason::SrtpAuthentication;
    named(Way::In, reason, |w, _, now| w.heard_nothing(now, Soundless::Unauthentic));
    named(Way::In, Reason::DigitalSilence, |w, _, now| w.heard(now, &flat, false));
    named(Way::In, Reason::OneWay, |_, c, _| c.receives = false);
    named(Way::In, Reason::Hold, |_, c, _| {
        c.receives = false;
        c.held = true;
    });
    named(Way::In, Reason::Hold, |_, c, _| c.held = true);
}

/// Each reason on the agent's side is named within two seconds, and alone.
#[test]
fn reasons_of_the_agent_are_named() {
    let mut peer = (0..).map(|seed| noise(seed, 300));
    let mut talks =
        move |watch: &mut Watch, now| watch.heard(now, &peer.next().unwrap_or([0; 160]), false);
    let mut call = Call::new(AudioFormat::PCMU);
    let mut expect = |call: &mut Call, way, reason, set: &dyn Fn(&mut Conditions, MonoTime)| {
        let (before, began) = (call.notices.len(), call.now);
        set(&mut call.conditions, began);
        call.run(3_000, |watch, _, now| talks(watch, now));
        assert_eq!(call.told()[before..], [(way, reason, true)]);
        assert!(call.notices[before].0 <= began.since(BEGIN) + Duration::from_secs(2));
        call.conditions = Call::new(AudioFormat::PCMU).conditions;
        call.run(500, |watch, _, now| talks(watch, now));
        assert_eq!(call.told()[before + 1..], [(way, reason, false)]);
    };
    expect(&mut call, Way::Out, Reason::Muted, &|c, _| c.muted = true);
    expect(&mut call, Way::Out, Reason::AgentLost, &|c, _| c.agent = AgentAt::Nowhere);
    expect(&mut call, Way::Out, Reason::OneWay, &|c, _| c.sends = false);
    expect(&mut call, Way::Out, Reason::Underrun, &|c, now| {
        c.agent = AgentAt::Connected { dry_since: Some(now) };
    });
    expect(&mut call, Way::Out, Reason::Hold, &|c, _| {
        c.sends = false;
        c.held = true;
    });
}

/// An agent that never speaks is named, one that fills its stream with zeros too; after its first
/// word it may listen as long as it likes. A built-in agent is never blamed.
#[test]
fn a_listening_agent_is_no_silence() {
    let mut call = Call::new(AudioFormat::PCMU);
    call.watch = Watch::new(AudioFormat::PCMU);
    call.watch.answered(BEGIN);
    let frame = noise(1, 5_000);
    call.run(4_000, |watch, _, now| {
        watch.heard(now, &frame, false);
        watch.said(&[0xff; 160]);
    });
    assert_eq!(call.told(), [(Way::Out, Reason::AgentSilent, true)]);
    assert!(call.notices[0].0 <= Duration::from_secs(2));
    call.run(20_000, |watch, _, now| {
        watch.heard(now, &frame, false);
        if now.since(BEGIN) < Duration::from_secs(5) {
            watch.said(&frame);
        }
    });
    assert_eq!(call.told()[1..], [(Way::Out, Reason::AgentSilent, false)]);

    let mut call = Call::new(AudioFormat::PCMU);
    call.watch = Watch::new(AudioFormat::PCMU);
    call.watch.answered(BEGIN);
    call.conditions.agent = AgentAt::Inside;
    call.speech(5_000);
    assert_eq!(call.told(), []);
}

/// Packets that stop in mid-speech are missed within two seconds, and the end is told with the
/// whole length once they are back.
#[test]
fn packets_that_stop_are_missed() {
    let mut call = Call::new(AudioFormat::PCMU);
    let loud = noise(3, 8_000);
    call.run(3_000, |watch, _, now| watch.heard(now, &loud, false));
    call.idle(5_000);
    call.run(1_000, |watch, _, now| watch.heard(now, &loud, false));
    let reason = Reason::StoppedArriving;
    assert_eq!(call.told(), [(Way::In, reason, true), (Way::In, reason, false)]);
    assert!(call.notices[0].0 <= Duration::from_secs(5));
    let lasted = call.notices[1].1.lasted.as_millis();
    assert!((5_000..5_300).contains(&lasted), "{lasted}");
    let tally = call.watch.tally(call.now, Way::In);
    assert_eq!(tally.longest, Some((reason, tally.total)));
}

/// One reason that takes over from another ends it, and no time is counted twice.
#[test]
fn reasons_take_over_from_each_other() {
    let mut call = Call::new(AudioFormat::PCMU);
    call.idle(4_000);
    call.run(4_000, |watch, _, now| watch.heard_nothing(now, Soundless::PayloadType));
    call.speech(1_000);
    use Reason::{NothingArrived, PayloadType};
    let told: Vec<_> = call.told().into_iter().map(|(_, reason, began)| (reason, began)).collect();
    assert_eq!(
        told,
        [
            (NothingArrived, true),
            (NothingArrived, false),
            (PayloadType, true),
            (PayloadType, false)
        ]
    );
    let total = call.watch.tally(call.now, Way::In).total.as_millis();
    assert!((7_900..8_400).contains(&total), "{total}");
}

/// Good calls: background noise, comfort noise, silence suppression with and without it, short
/// pauses, keys, and a session that is settled anew.
#[test]
fn quiet_is_not_silence() {
    // Background noise, down to the codec's least steps.
    for peak in [5, 20, 100, 1_000] {
        let mut call = Call::new(AudioFormat::PCMU);
        let mut seed = 0;
        call.run(10_000, |watch, _, now| {
            seed += 1;
            watch.heard(now, &noise(seed, peak), false);
        });
        assert_eq!(call.told(), [], "noise of {peak}");
    }
    // Comfort noise now and then.
    let mut call = Call::new(AudioFormat::PCMU);
    call.speech(2_000);
    call.watch.heard_nothing(call.now, Soundless::Comfort);
    call.idle(50_000);
    call.speech(1_000);
    assert_eq!(call.told(), []);
    // Suppression without comfort noise: quiet frames, nothing, a marker.
    let mut call = Call::new(AudioFormat::PCMU);
    call.speech(2_000);
    for seed in 0..12 {
        call.run(20, |watch, _, now| watch.heard(now, &noise(seed, 200), false));
    }
    call.idle(8_000);
    call.run(20, |watch, _, now| watch.heard(now, &noise(1, 9_000), true));
    // Known by now: even after a loud frame.
    call.idle(8_000);
    call.speech(1_000);
    assert_eq!(call.told(), []);
    // Keys held down, and digital silence for less than two seconds.
    let mut call = Call::new(AudioFormat::PCMU);
    call.run(3_000, |watch, _, now| watch.heard_event(now));
    call.run(1_300, |watch, _, now| watch.heard(now, &[0xff; 160], false));
    call.speech(1_000);
    call.watch.settled(call.now, AudioFormat::PCMA);
    call.idle(1_300);
    assert_eq!(call.told(), []);
}

/// Nothing is told before the answer, and silence counts from it.
#[test]
fn silence_counts_from_the_answer() {
    let mut call = Call::new(AudioFormat::PCMU);
    call.watch = Watch::new(AudioFormat::PCMU);
    call.watch.said(&[1, 2]);
    call.idle(10_000);
    assert_eq!(call.told(), []);
    call.watch.answered(call.now);
    call.idle(1_400);
    assert_eq!(call.told(), []);
    call.idle(600);
    assert_eq!(call.told(), [(Way::In, Reason::NothingArrived, true)]);
}

fn watched(format: AudioFormat, codes: &[u8]) -> Call {
    let mut call = Call::new(format);
    let mut frames = codes.chunks_exact(160).cycle();
    call.run(8_000, |watch, _, now| watch.heard(now, frames.next().unwrap_or(&[]), false));
    call
}

fn both_laws(samples: &[i16]) -> [Vec<u8>; 2] {
    [Law::Mu, Law::A].map(|law| samples.iter().map(|sample| law.code(*sample)).collect())
}

fn speech(index: usize, attenuation: i16) -> Vec<i16> {
    SPEECH[index].iter().map(|code| Law::Mu.sample(*code) / attenuation).collect()
}

fn tone(frequency_hz: f64, peak: f64) -> Vec<i16> {
    let step = frequency_hz / 8_000.0 * std::f64::consts::TAU;
    (0..16_000).map(|n| ((f64::from(n) * step).sin() * peak) as i16).collect()
}

/// Speech in the other law is named, soon after it begins; the right law brings it to an end.
#[test]
fn laws_that_are_mixed_up_are_named() {
    for index in 0..SPEECH.len() {
        for attenuation in [1, 10] {
            let [mu, a] = both_laws(&speech(index, attenuation));
            for (format, codes) in [(AudioFormat::PCMA, &mu), (AudioFormat::PCMU, &a)] {
                let call = watched(format, codes);
                assert_eq!(call.told(), [(Way::In, Reason::LawMixup, true)], "{index} {format:?}");
                let after = call.notices[0].0;
                assert!(after <= Duration::from_secs(2), "{index} /{attenuation}: {after:?}");
            }
        }
    }
    let [mu, a] = both_laws(&tone(440.0, 8_000.0));
    let mut call = watched(AudioFormat::PCMA, &mu);
    let mut frames = a.chunks_exact(160);
    call.run(1_600, |watch, _, now| watch.heard(now, frames.next().unwrap_or(&[]), false));
    assert_eq!(call.told()[1..], [(Way::In, Reason::LawMixup, false)]);
}

/// The right law is never called wrong: speech at all levels, tones of all pitches and levels, two
/// at a time, square waves, noise of all colours.
#[test]
fn the_right_law_is_never_called_wrong() {
    let mut sounds = Vec::new();
    for index in 0..SPEECH.len() {
        sounds.extend([1, 3, 10, 30, 100].map(|attenuation| speech(index, attenuation)));
    }
    for peak in [32_000.0, 10_000.0, 3_000.0, 600.0, 100.0, 20.0] {
        for frequency_hz in (1..40).map(|n| f64::from(n) * 99.0) {
            sounds.push(tone(frequency_hz, peak));
        }
        let pairs = [(770.0, 1336.0), (697.0, 1209.0), (350.0, 440.0), (2_100.0, 3_300.0)];
        sounds.extend(pairs.map(|(low, high)| {
            let (low, high) = (tone(low, peak / 2.0), tone(high, peak / 2.0));
            low.iter().zip(&high).map(|(a, b)| a + b).collect()
        }));
        sounds
            .push((0..16_000).map(|n| if n / 9 % 2 == 0 { peak } else { -peak } as i16).collect());
        for pole in [0.0, 0.5, 0.9, 0.98, -0.5, -0.9, -0.98] {
            let (mut seed, mut state) = (7_u64, 0.0_f64);
            let sound = std::iter::repeat_with(|| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
                let white = f64::from((seed >> 40) as u32) / f64::from(1 << 23) - 1.0;
                state = state * pole + white * (1.0 - pole.abs()) * peak * 2.0;
                state.clamp(-32_000.0, 32_000.0) as i16
            });
            sounds.push(sound.take(16_000).collect());
        }
    }
    for (index, sound) in sounds.iter().enumerate() {
        let [mu, a] = both_laws(sound);
        for (format, codes) in [(AudioFormat::PCMU, &mu), (AudioFormat::PCMA, &a)] {
            let told = watched(format, codes).told();
            let mixed = told.iter().any(|(_, reason, _)| *reason == Reason::LawMixup);
            assert!(!mixed, "sound {index} as {format:?}");
        }
    }
}

proptest! {
    /// Whatever happens: beginnings and ends alternate each way, an end has the reason of its
    /// beginning, and no more silence is explained than time has passed.
    #[test]
    fn telling_is_orderly(steps in proptest::collection::vec(any::<(u8, u8)>(), 0..400)) {
        crate::fuzz::silence(&steps.iter().flat_map(|(a, b)| [*a, *b]).collect::<Vec<_>>());
    }
}
