//! `bench`: what anybody may ask of a server, this one or another: how late it is, how much it
//! carries, how fast calls come up.

mod budget;
mod chirp;
mod density;
mod ear;
mod latency;
mod law;
mod metrics;
mod plot;
mod target;
mod voice;

use std::process::ExitCode;

use crate::run::setup;

/// Measures latency, density and set-up of a server.
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
            What::Setup(args) => setup::run(args),
        };
        crate::exit("talkpath bench", result)
    }
}
