//! `bench`: what anybody may ask of a server, this one or another: how late it is, how much it
//! carries and for how long, how fast calls come up.

mod asked;
mod budget;
mod chirp;
mod coding;
mod density;
mod ear;
mod latency;
mod law;
pub(crate) mod lines;
mod metrics;
mod offered;
mod played;
mod plot;
mod soak;
pub(crate) mod target;
mod voice;

use std::process::ExitCode;

use crate::run::setup;

/// Measures latency, density, endurance and set-up of a server.
#[derive(Clone, Debug, clap::Args)]
pub struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// From mouth to ear: says coded chirps and looks for them in what comes back.
    Latency(latency::Args),
    /// Places more and more calls until something gives, and says what and at how many.
    Density(density::Args),
    /// Holds calls for a long time and says whether memory and lateness stay what they were.
    Soak(soak::Args),
    /// How fast calls come up, at a rate, and the highest rate that holds.
    Setup(setup::Args),
}

impl Bench {
    /// Measures and prints: 0 if the result is clean, 2 if not, 1 if nothing could be measured.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let result = match &self.what {
            What::Latency(args) => latency::run(args),
            What::Density(args) => density::run(args),
            What::Soak(args) => soak::run(args),
            What::Setup(args) => setup::run(args),
        };
        crate::exit("talkpath bench", result)
    }
}
