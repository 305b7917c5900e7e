//! Calls over an emulated network, an hour in seconds: what the jitter buffer makes of them.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

#[path = "support/listen.rs"]
mod listen;
#[path = "support/network.rs"]
mod network;

use std::time::Duration;

use listen::{Listened, listen, tone_bend};
use network::{Jitter, Loss, Path};

const MINUTE: Duration = Duration::from_secs(60);
/// The buffer's cap.
const CAP: Duration = Duration::from_millis(200);

/// What must hold of every call.
fn check(name: &str, call: &Listened) {
    let Listened { counters, .. } = call;
    assert!(call.waited_max <= CAP && call.depth_max <= CAP, "{name}: {:?}", call.last);
    let sum =
        counters.duplicate + counters.late + counters.discarded + counters.played + call.waiting;
    assert_eq!((counters.received, call.came), (sum, sum), "{name}: {counters:?}");
    assert_eq!(call.pulls * 160, call.played + call.concealed + call.comfort, "{name}");
    // Every sample of the decoder was played, left out, or is at hand.
    let heard = call.played + counters.accelerated_samples + counters.dropped_samples;
    let decoded = counters.decoded_samples + counters.expanded_samples;
    assert!(heard <= decoded && decoded - heard < 2_000, "{name}: {heard} of {decoded}");
    assert_eq!(counters.decoded_samples, counters.played * 160, "{name}");
    assert_eq!(counters.concealed_samples, call.concealed, "{name}");
    // Every place between the first and the last packet was played, dropped or missed.
    let places = call.numbers.1 - call.numbers.0 + 1;
    let passed = counters.played + counters.discarded + counters.missing;
    assert!(passed <= places && places - passed <= 12, "{name}: {passed} of {places} places");
    // Lost is what the network lost, but for what came after all and what is on the way.
    assert!(counters.lost().abs_diff(call.lost) <= 12, "{name}: {} {}", counters.lost(), call.lost);
    // Nothing drifts: at the end sound waits as long as is aimed at.
    let (delay, target) = (call.last.delay.as_secs_f32(), call.last.target.as_secs_f32());
    assert!((delay - target).abs() < 0.06, "{name}: delay {delay}, target {target}");
}

fn paths() -> Vec<(String, Path)> {
    let losses =
        [Loss::Random(0.0), Loss::Random(0.01), Loss::Random(0.05), Loss::Bursts(0.03, 3.0)];
    let jitters = [
        Jitter::Uniform(0.0),
        Jitter::Uniform(20.0),
        Jitter::Uniform(80.0),
        Jitter::Gamma(20.0),
        Jitter::Spikes(80.0),
    ];
    let mut paths = Vec::new();
    for loss in losses {
        for jitter in jitters {
            for (skew_ppm, reorder) in [(0.0, 0.0), (100.0, 0.01), (-100.0, 0.01)] {
                let path = Path { loss, jitter, reorder, duplicate: 0.01, skew_ppm, ..Path::CLEAN };
                paths.push((format!("{loss:?} {jitter:?} {skew_ppm} ppm"), path));
            }
        }
    }
    paths
}

/// Minutes over every combination of loss, jitter and skew: latency stays under its cap, nothing
/// drifts, and all counts add up.
#[test]
fn every_path_keeps_its_bounds() {
    for (seed, (name, path)) in (1..).zip(paths()) {
        check(&name, &listen(path, seed, 2 * MINUTE));
    }
}

/// An hour with losses in bursts, gamma jitter, reordering, copies and skewed clocks, both ways and
/// at ten times of what crystals have.
#[test]
fn an_hour_does_not_drift() {
    for skew_ppm in [100.0, -1_000.0] {
        let path = Path {
            loss: Loss::Bursts(0.02, 2.0),
            jitter: Jitter::Gamma(15.0),
            reorder: 0.01,
            duplicate: 0.005,
            skew_ppm,
            ..Path::CLEAN
        };
        let call = listen(path, 42, 60 * MINUTE);
        check("an hour", &call);
        let told = call.last.skew_ppm.unwrap();
        assert!((f64::from(told) - skew_ppm).abs() < 60.0, "{told} is not {skew_ppm} ppm");
        let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
        let parts: Vec<f32> = call.delays_ms.chunks(call.delays_ms.len() / 6).map(mean).collect();
        let (least, most) =
            parts.iter().fold((f32::MAX, 0_f32), |(a, b), x| (a.min(*x), b.max(*x)));
        assert!(most - least < 15.0, "{skew_ppm} ppm: the delay wanders: {parts:?}");
    }
}

/// Without jitter each lost packet is concealed for exactly its length, alone, in pairs and in
/// longer bursts, and nothing else is.
#[test]
fn what_is_lost_is_concealed_exactly() {
    for loss in [Loss::Random(0.05), Loss::Bursts(0.05, 2.0)] {
        let call = listen(Path { loss, ..Path::CLEAN }, 7, 10 * MINUTE);
        check("loss alone", &call);
        let Listened { counters, .. } = &call;
        assert_eq!((counters.late, counters.discarded, counters.duplicate), (0, 0, 0));
        // Bursts beyond 60 ms end in noise.
        let filled = counters.concealed_samples + counters.comfort_samples;
        let before_start = call.pulls * 160 - call.played - call.concealed;
        assert!(counters.missing > 1_000);
        if loss == Loss::Random(0.05) {
            assert_eq!(counters.concealed_samples, counters.missing * 160);
        } else {
            assert!(filled <= counters.missing * 160 + before_start);
        }
    }
}

/// A tone over jitter, skew, reordering and copies has no click: its second difference stays that
/// of the tone. With losses it stays within a small multiple.
#[test]
fn nothing_clicks() {
    let own = tone_bend();
    for (skew_ppm, jitter) in [
        (0.0, Jitter::Uniform(10.0)),
        (100.0, Jitter::Uniform(20.0)),
        (-1_000.0, Jitter::Uniform(5.0)),
        (1_000.0, Jitter::Uniform(5.0)),
    ] {
        let path = Path { jitter, skew_ppm, duplicate: 0.01, ..Path::CLEAN };
        let call = listen(path, 5, 5 * MINUTE);
        check("no loss", &call);
        if skew_ppm.abs() > 500.0 {
            let scaled = call.counters.accelerated_samples + call.counters.expanded_samples;
            // 1000 ppm of five minutes are 300 ms.
            assert!(scaled > 2_000, "{:?}", call.counters);
        }
        let limit =
            if call.counters.concealed_samples == 0 { own * 5 / 4 + 40 } else { own * 2 + 160 };
        assert!(call.bend_max <= limit, "{skew_ppm} {jitter:?}: {} over {own}", call.bend_max);
    }
    for loss in [Loss::Random(0.05), Loss::Bursts(0.05, 3.0)] {
        let path = Path { loss, jitter: Jitter::Gamma(10.0), skew_ppm: 100.0, ..Path::CLEAN };
        let call = listen(path, 6, 10 * MINUTE);
        check("loss", &call);
        assert!(call.bend_max <= own * 2 + 400, "{loss:?}: {} over {own}", call.bend_max);
    }
}

/// Packets of 10, 30 and 60 ms do as well as those of 20.
#[test]
fn any_packet_time() {
    for ms in [10, 30, 60] {
        let ptime = Duration::from_millis(ms);
        let path = Path { ptime, jitter: Jitter::Uniform(20.0), skew_ppm: 100.0, ..Path::CLEAN };
        let call = listen(path, 9, 3 * MINUTE);
        let Listened { counters, .. } = &call;
        assert!(call.waited_max <= CAP, "{ms} ms: {:?}", call.last);
        assert!(counters.missing * 100 <= counters.received, "{ms} ms: {counters:?}");
        assert!(call.concealed * 50 <= call.played, "{ms} ms: {counters:?}");
    }
}
