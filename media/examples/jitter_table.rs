//! Prints the table of docs/jitter.md: calls of an hour over emulated networks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "example")]

#[path = "../tests/support/listen.rs"]
mod listen;
#[path = "../tests/support/network.rs"]
mod network;

use std::time::Duration;

use listen::listen;
use network::{Jitter, Loss, Path};

const LENGTH: Duration = Duration::from_secs(3_600);

fn main() {
    println!("| loss | jitter | skew | mean delay | 95 % | concealed | late | scaled |");
    println!("|---|---|---|---|---|---|---|---|");
    let loss = |loss| match loss {
        Loss::Random(part) => format!("{:.0} %", part * 100.0),
        Loss::Bursts(part, length) => format!("{:.0} %, bursts of {length:.0}", part * 100.0),
    };
    let jitter = |jitter| match jitter {
        Jitter::Uniform(0.0) => "none".to_owned(),
        Jitter::Uniform(most) => format!("0 to {most:.0} ms"),
        Jitter::Gamma(mean) => format!("gamma, mean {mean:.0} ms"),
        Jitter::Spikes(still) => format!("standstills of {still:.0} ms"),
    };
    let losses =
        [Loss::Random(0.0), Loss::Random(0.01), Loss::Random(0.05), Loss::Bursts(0.03, 3.0)];
    let jitters = [
        Jitter::Uniform(0.0),
        Jitter::Uniform(20.0),
        Jitter::Uniform(40.0),
        Jitter::Uniform(80.0),
        Jitter::Gamma(20.0),
        Jitter::Spikes(80.0),
    ];
    let mut rows = Vec::new();
    for of_loss in losses {
        for of_jitter in jitters {
            rows.push((of_loss, of_jitter, 0.0));
        }
    }
    for skew_ppm in [100.0, -100.0, 1_000.0] {
        rows.push((Loss::Random(0.01), Jitter::Uniform(20.0), skew_ppm));
    }
    for (seed, (of_loss, of_jitter, skew_ppm)) in (1..).zip(rows) {
        let path = Path { loss: of_loss, jitter: of_jitter, skew_ppm, ..Path::CLEAN };
        let mut call = listen(path, seed, LENGTH);
        call.delays_ms.sort_by(f32::total_cmp);
        let delays = &call.delays_ms;
        let mean = delays.iter().sum::<f32>() / delays.len() as f32;
        let most = delays[delays.len() * 95 / 100];
        let all = (call.pulls * 160) as f64;
        let concealed = call.concealed as f64 / all * 100.0;
        let late = call.counters.late as f64 / call.came as f64 * 100.0;
        let scaled = call.counters.accelerated_samples + call.counters.expanded_samples;
        let (of_loss, of_jitter) = (loss(of_loss), jitter(of_jitter));
        println!(
            "| {of_loss} | {of_jitter} | {skew_ppm} ppm | {mean:.0} ms | {most:.0} ms \
             | {concealed:.2} % | {late:.2} % | {:.3} % |",
            scaled as f64 / all * 100.0,
        );
    }
}
