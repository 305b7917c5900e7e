//! Which audio belongs to which utterance.

use std::collections::VecDeque;

use super::ledger::Ledger;
use super::{PlayoutError, UTTERANCES_MAX, UtterancePlayed};

#[derive(Debug)]
struct Utterance {
    id: String,
    start: u64,
    /// Where the next one begins.
    end: Option<u64>,
    refused: bool,
    /// The agent's samples of it that were played in formats that hold no longer.
    settled_samples: u64,
}

/// The utterances since the last clear, oldest first; only the newest can be open.
#[derive(Debug, Default)]
pub(super) struct Utterances(VecDeque<Utterance>);

impl Utterances {
    /// Begins `id` at the position `pushed`; false if it had begun already.
    pub(super) fn begin(
        &mut self,
        id: String,
        pushed: u64,
        head: u64,
    ) -> Result<bool, PlayoutError> {
        if self.0.back().is_some_and(|open| open.id == id) {
            return Ok(false);
        }
        if self.0.len() >= UTTERANCES_MAX {
            let oldest_played =
                self.0.front().and_then(|oldest| oldest.end).is_some_and(|end| end <= head);
            if !oldest_played {
                return Err(PlayoutError::TooManyUtterances);
            }
            self.0.pop_front();
        }
        if let Some(open) = self.0.back_mut() {
            open.end = Some(pushed);
        }
        self.0.push_back(Utterance {
            id,
            start: pushed,
            end: None,
            refused: false,
            settled_samples: 0,
        });
        Ok(true)
    }

    /// Notes that audio of the open utterance was refused.
    pub(super) fn refused(&mut self) {
        if let Some(open) = self.0.back_mut() {
            open.refused = true;
        }
    }

    /// True if one has begun since the last clear.
    pub(super) fn begun(&self) -> bool {
        !self.0.is_empty()
    }

    /// The one that was played last before `head`, or if none was, the first.
    pub(super) fn at(&self, head: u64) -> Option<&str> {
        let last = self.0.iter().rev().find(|utterance| utterance.start < head);
        last.or_else(|| self.0.front()).map(|utterance| utterance.id.as_str())
    }

    /// Reports all and forgets them; what lies from `head` to `pushed` is about to be dropped.
    pub(super) fn take(
        &mut self,
        head: u64,
        pushed: u64,
        dropped: u64,
        ledger: &Ledger,
    ) -> Vec<UtterancePlayed> {
        let report = |utterance: Utterance| {
            let samples = utterance.played(head, dropped, ledger);
            let all_played = utterance.end.unwrap_or(pushed) <= head;
            let complete = all_played && samples > 0 && !utterance.refused;
            UtterancePlayed { id: utterance.id, samples, complete }
        };
        self.0.drain(..).map(report).collect()
    }

    /// Lets those that are not played yet lie elsewhere.
    pub(super) fn relocate(&mut self, moved: impl Fn(u64) -> u64) {
        for utterance in &mut self.0 {
            utterance.start = moved(utterance.start);
            utterance.end = utterance.end.map(&moved);
        }
    }

    /// Fixes what has been played up to `head`, in the formats of `ledger`, before others hold.
    pub(super) fn settle(&mut self, head: u64, dropped: u64, ledger: &Ledger, agent_rate_hz: u32) {
        for utterance in &mut self.0 {
            let samples = utterance.played(head, dropped, ledger);
            utterance.settled_samples = ledger.at_rate(samples, agent_rate_hz);
            utterance.start = utterance.start.max(head);
            utterance.end = utterance.end.map(|end| end.max(head));
        }
    }
}

impl Utterance {
    /// The agent's samples of it that lie before `head`.
    fn played(&self, head: u64, dropped: u64, ledger: &Ledger) -> u64 {
        let start = self.start.min(head) - dropped;
        let end = self.end.map_or(head, |end| end.min(head)) - dropped;
        self.settled_samples + ledger.samples(end) - ledger.samples(start)
    }
}
