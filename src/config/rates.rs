//! `[[rates]]`: what calls cost by their destination.

use std::collections::HashSet;

use super::section::Section;
use crate::quota::amount::{Amount, Currency};
use crate::quota::rates::{INCREMENT_S_MAX, PREFIX_ALLOWED, Rate, prefix};

/// Default of `increment_s`: whole minutes.
const INCREMENT_S: u32 = 60;

/// One of `[[rates]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateConfig {
    /// Digits that numbers begin with, with the calling code and without `+`; none for all others.
    pub prefix: String,
    /// What calls there cost.
    pub rate: Rate,
}

/// Reads the list; no two have the same currency and prefix.
pub(super) fn rates(sections: Vec<Section<'_>>) -> Vec<RateConfig> {
    let mut seen = HashSet::new();
    let read = |section| {
        let (section, rate) = rate(section);
        if let Some(RateConfig { prefix, rate }) = &rate
            && !seen.insert((rate.currency, prefix.clone()))
        {
            let message = format!("another rate in {} has this prefix", rate.currency);
            section.conflict("prefix", message);
        }
        section.finish();
        rate
    };
    sections.into_iter().filter_map(read).collect()
}

fn rate(section: Section<'_>) -> (Section<'_>, Option<RateConfig>) {
    for (key, allowed) in [
        ("prefix", PREFIX_ALLOWED),
        ("currency", Currency::ALLOWED),
        ("per_minute", Amount::ALLOWED),
    ] {
        if !section.has(key) {
            section.missing(key, allowed);
        }
    }
    let amount = |key| section.text(key, Amount::ALLOWED, Amount::parse);
    let prefix = section.text("prefix", PREFIX_ALLOWED, prefix);
    let currency = section.text("currency", Currency::ALLOWED, Currency::parse);
    let (per_minute, connection) = (amount("per_minute"), amount("connection"));
    let increment_s = section.number("increment_s", 1..=INCREMENT_S_MAX).unwrap_or(INCREMENT_S);
    let connection = connection.unwrap_or_default();
    let read = prefix.zip(currency).zip(per_minute).map(|((prefix, currency), per_minute)| {
        RateConfig { prefix, rate: Rate { currency, per_minute, increment_s, connection } }
    });
    (section, read)
}
