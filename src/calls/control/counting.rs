//! Counts what SIP carries, for the metrics.

use super::Control;
use crate::sip::core::endpoint::Counters;
use crate::telemetry::{SipAuth, SipDrop, SipMethod, SipMetrics};

/// A message's first line, as far as it is counted.
enum First<'m> {
    Request(&'m str),
    Response(u16),
    Other,
}

/// Reads the start of a message; whether the rest makes sense is decided elsewhere.
fn first(message: &[u8]) -> First<'_> {
    let line = message.get(..message.len().min(LOOK_BYTES)).unwrap_or_default();
    let Some(end) = line.iter().position(|byte| *byte == b' ') else { return First::Other };
    let (word, rest) = line.split_at(end);
    let Ok(word) = std::str::from_utf8(word) else { return First::Other };
    if !word.starts_with("SIP/") {
        return First::Request(word);
    }
    let status = rest.get(1..4).and_then(|digits| std::str::from_utf8(digits).ok());
    status.and_then(|digits| digits.parse().ok()).map_or(First::Other, First::Response)
}

/// Counts a message that came.
pub(super) fn came(metrics: &SipMetrics, message: &[u8]) {
    match first(message) {
        First::Request(method) => metrics.request_in(SipMethod::from_name(method)),
        First::Response(status) => metrics.response_in(status),
        First::Other => {}
    }
}

/// Counts a message that leaves.
pub(super) fn leaves(metrics: &SipMetrics, message: &[u8]) {
    match first(message) {
        First::Request(method) => metrics.request_out(SipMethod::from_name(method)),
        First::Response(status) => metrics.response_out(status),
        First::Other => {}
    }
}

impl Control {
    /// Adds what the SIP core counted since the last time.
    pub(super) fn count_drops(&mut self) {
        let (was, is) = (self.counted, *self.endpoint.counters());
        let metrics = &self.metrics.sip;
        let add = |reason, field: fn(&Counters) -> u64| {
            for _ in field(&was)..field(&is) {
                metrics.dropped(reason);
            }
        };
        add(SipDrop::Malformed, |counters| counters.malformed + counters.unanswerable);
        add(SipDrop::Stray, |counters| counters.stray_acks + counters.stray_responses);
        add(SipDrop::Overload, |counters| counters.overloaded);
        add(SipDrop::Retransmission, |counters| counters.duplicates);
        let judged = |outcome, field: fn(&Counters) -> u64| {
            metrics.judged(outcome, field(&is) - field(&was));
        };
        judged(SipAuth::Proven, |counters| counters.proven);
        judged(SipAuth::Challenged, |counters| counters.challenged);
        judged(SipAuth::Failed, |counters| counters.failed_proofs);
        judged(SipAuth::Slowed, |counters| counters.slowed);
        metrics.retransmissions.add(is.retransmitted - was.retransmitted);
        self.counted = is;
    }
}

/// Bytes within which the first line's first words lie.
const LOOK_BYTES: usize = 32;
