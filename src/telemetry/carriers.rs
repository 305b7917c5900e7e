//! What passes between us and carriers over HTTP.

use std::fmt::Error;
use std::time::Duration;

use adapters::table::PROVIDERS;
use http::StatusCode;

use super::exposition::{NONE, Out};
use super::histogram::{Histogram, NETWORK_TIMES};
use super::labels::{ExchangeOutcome, HookOutcome};
use super::worker::Counter;

/// What one carrier was asked, and asked.
#[derive(Debug)]
struct One {
    provider: &'static str,
    exchanges: [Counter; ExchangeOutcome::COUNT],
    took: Histogram,
    hooks: [Counter; HookOutcome::COUNT],
}

/// What passes between us and carriers over HTTP.
#[derive(Debug)]
pub struct CarrierMetrics {
    /// By carrier.
    all: Vec<One>,
    /// Requests that prove nothing and have no line in the log, as there were too many.
    pub unlogged: Counter,
}

impl Default for CarrierMetrics {
    fn default() -> Self {
        let one = |provider| One {
            provider,
            exchanges: Default::default(),
            took: Histogram::new(NETWORK_TIMES),
            hooks: Default::default(),
        };
        let all = PROVIDERS.iter().map(|spec| one(spec.name)).collect();
        Self { all, unlogged: Counter::default() }
    }
}

impl CarrierMetrics {
    fn of(&self, provider: &str) -> Option<&One> {
        self.all.iter().find(|one| one.provider == provider)
    }

    /// A request to a carrier is over.
    pub fn exchanged(&self, provider: &str, outcome: ExchangeOutcome, took: Duration) {
        if let Some(one) = self.of(provider) {
            one.exchanges[outcome.index()].inc();
            one.took.record(took);
        }
    }

    /// A request of a carrier was answered.
    pub fn hooked(&self, provider: &str, outcome: HookOutcome) {
        if let Some(one) = self.of(provider) {
            one.hooks[outcome.index()].inc();
        }
    }

    pub(super) fn encode(&self, out: &mut Out<'_>) -> Result<(), Error> {
        let exchanges = self.all.iter().flat_map(|one| {
            ExchangeOutcome::ALL.iter().zip(&one.exchanges).map(|(outcome, count)| {
                ([("provider", one.provider), ("outcome", outcome.as_str())], count.get())
            })
        });
        out.counters(
            "talkpath_carrier_requests",
            "Requests to carriers, by what became of them",
            exchanges,
        )?;
        let hooks = self.all.iter().flat_map(|one| {
            HookOutcome::ALL.iter().zip(&one.hooks).map(|(outcome, count)| {
                ([("provider", one.provider), ("outcome", outcome.as_str())], count.get())
            })
        });
        out.counters(
            "talkpath_carrier_hooks",
            "Requests of carriers, by what became of them",
            hooks,
        )?;
        out.counters(
            "talkpath_carrier_hooks_unlogged",
            "Requests that prove nothing, of which there were too many to write each down",
            [(NONE, self.unlogged.get())],
        )?;
        out.histograms(
            "talkpath_carrier_request_seconds",
            "From a request to a carrier to the end of its answer",
            self.all.iter().map(|one| ([("provider", one.provider)], one.took.snapshot())),
        )
    }
}

impl ExchangeOutcome {
    /// What an answer of this status is.
    pub fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            429 => Self::Slowed,
            500.. => Self::Failed,
            300..=499 => Self::Refused,
            _ => Self::Done,
        }
    }
}
