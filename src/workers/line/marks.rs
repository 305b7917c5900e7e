//! Marks whose audio is at the carrier: what the agent is told when they come back.
//!
//! The carrier is asked under names of our own, so that neither the length nor the letters of an
//! agent's name matter to it, and one that comes back after a clear is known to be of the past.

use std::collections::VecDeque;
use std::fmt::Write;
use std::time::Duration;

use adapters::agent::Basis;
use arrayvec::ArrayString;
use media::playout::MarkReport;
use media::time::MonoTime;

/// How much later than computed a carrier may tell of a mark: a network's round trip, and what the
/// carrier itself waits. Then it counts as lost.
const MARK_WAIT: Duration = Duration::from_secs(2);
/// Marks that may be at the carrier at one time; the oldest is told by estimate beyond it.
const MARKS_MAX: usize = 256;
/// What the names of our marks begin with.
const PREFIX: &str = "tp-";

/// The name of a mark, as the carrier is told it.
pub(in crate::workers) type MarkName = ArrayString<24>;

/// A mark at the carrier.
#[derive(Debug)]
struct Pending {
    number: u64,
    /// What the agent is told; nothing if only we wanted to know.
    report: Option<MarkReport>,
    /// When it has come due if the carrier says nothing.
    at_latest: MonoTime,
}

/// The marks at one carrier, oldest first.
#[derive(Debug, Default)]
pub(in crate::workers) struct Marks {
    pending: VecDeque<Pending>,
    next: u64,
}

impl Marks {
    /// The name of the next mark.
    pub(in crate::workers) fn name(&self) -> MarkName {
        named(self.next)
    }

    /// The name of the newest mark.
    pub(in crate::workers) fn newest(&self) -> MarkName {
        named(self.next.saturating_sub(1))
    }

    /// The number that a name of ours stands for.
    pub(in crate::workers) fn number(name: &str) -> Option<u64> {
        name.strip_prefix(PREFIX)?.parse().ok()
    }

    /// Keeps the mark of that name, before which all audio will have been heard at `heard_at`;
    /// `asked` if the carrier was asked to tell. Gives one that there is no more room for.
    pub(in crate::workers) fn keep(
        &mut self,
        report: Option<MarkReport>,
        heard_at: MonoTime,
        asked: bool,
    ) -> Option<MarkReport> {
        let at_latest = if asked { heard_at + MARK_WAIT } else { heard_at };
        // Marks come due in their order.
        let at_latest = self.pending.back().map_or(at_latest, |last| last.at_latest.max(at_latest));
        self.pending.push_back(Pending { number: self.next, report, at_latest });
        self.next += 1;
        let over = self.pending.len() > MARKS_MAX;
        over.then(|| self.pending.pop_front()).flatten().and_then(|oldest| oldest.report)
    }

    /// The next mark that has come due: one up to the number `back` that the carrier told, or one
    /// that has waited for long enough.
    pub(in crate::workers) fn due(
        &mut self,
        now: MonoTime,
        back: Option<u64>,
    ) -> Option<(Option<MarkReport>, Basis)> {
        let oldest = self.pending.front()?;
        let told = back.is_some_and(|back| oldest.number <= back);
        if !told && oldest.at_latest > now {
            return None;
        }
        let basis = if told { Basis::Carrier } else { Basis::Estimate };
        self.pending.pop_front().map(|mark| (mark.report, basis))
    }

    /// The audio before all of them was dropped: what the agent is told, oldest first.
    pub(in crate::workers) fn clear(&mut self) -> impl Iterator<Item = MarkReport> + '_ {
        self.pending.drain(..).filter_map(|mark| mark.report)
    }

    /// Whoever set them is gone: nobody is told of those that are out. When all has been heard is
    /// still known by them.
    pub(in crate::workers) fn orphan(&mut self) {
        for mark in &mut self.pending {
            mark.report = None;
        }
    }

    /// The carrier will tell of none any more.
    pub(in crate::workers) fn give_up(&mut self, now: MonoTime) {
        for mark in &mut self.pending {
            mark.at_latest = mark.at_latest.min(now);
        }
    }

    /// True if none is out.
    pub(in crate::workers) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// When the oldest has waited for long enough.
    pub(in crate::workers) fn deadline(&self) -> MonoTime {
        self.pending.front().map_or(MonoTime::MAX, |mark| mark.at_latest)
    }
}

fn named(number: u64) -> MarkName {
    let mut name = MarkName::new();
    // A number of 64 bits has at most 20 digits.
    let _ = write!(name, "{PREFIX}{number}");
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(name: &str) -> MarkReport {
        MarkReport { name: name.to_owned(), cleared: false, samples: 160, played_ms: 20 }
    }

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_nanos(ms * 1_000_000)
    }

    fn due(marks: &mut Marks, now: MonoTime, back: Option<u64>) -> Vec<(String, Basis)> {
        let mut told = Vec::new();
        while let Some((report, basis)) = marks.due(now, back) {
            told.extend(report.map(|report| (report.name, basis)));
        }
        told
    }

    /// A mark that comes back is told, and all before it, in order; one of before a clear, or one
    /// that is none of ours, tells nothing.
    #[test]
    fn what_comes_back() {
        let mut marks = Marks::default();
        assert_eq!(marks.name().as_str(), "tp-0");
        assert_eq!(marks.newest().as_str(), "tp-0");
        for name in ["a", "b", "c"] {
            assert_eq!(marks.keep(Some(report(name)), at(100), true), None);
        }
        assert_eq!(marks.keep(None, at(100), true), None);
        let carrier = |name: &str| (name.to_owned(), Basis::Carrier);
        assert_eq!((Marks::number("tp-1"), marks.newest().as_str()), (Some(1), "tp-3"));
        assert_eq!(due(&mut marks, at(50), Some(1)), [carrier("a"), carrier("b")]);
        assert_eq!(due(&mut marks, at(50), Some(0)), []);
        let cleared: Vec<_> = marks.clear().map(|report| report.name).collect();
        assert_eq!(cleared, ["c"]);
        assert_eq!(due(&mut marks, at(60), Some(2)), []);
        assert!(marks.is_empty());
        for foreign in ["", "tp-", "tp-x", "a", "tp-99999999999999999999999"] {
            assert_eq!(Marks::number(foreign), None, "{foreign}");
        }
    }

    /// What a carrier does not tell is told by estimate: at once when heard if it was not asked,
    /// after a while if it was; in order.
    #[test]
    fn what_does_not_come_back() {
        let mut marks = Marks::default();
        let estimate = |name: &str| (name.to_owned(), Basis::Estimate);
        marks.keep(Some(report("a")), at(100), false);
        marks.keep(Some(report("b")), at(100), true);
        marks.keep(Some(report("c")), at(110), false);
        assert_eq!(marks.deadline(), at(100));
        assert_eq!(due(&mut marks, at(99), None), []);
        assert_eq!(due(&mut marks, at(100), None), [estimate("a")]);
        assert_eq!(due(&mut marks, at(2_099), None), []);
        assert_eq!(due(&mut marks, at(2_100), None), [estimate("b"), estimate("c")]);
        marks.keep(Some(report("d")), at(3_000), true);
        marks.give_up(at(2_500));
        assert_eq!(due(&mut marks, at(2_500), None), [estimate("d")]);
        assert_eq!(marks.deadline(), MonoTime::MAX);
    }

    /// There are never more than a limit.
    #[test]
    fn bounded() {
        let mut marks = Marks::default();
        for n in 0..MARKS_MAX {
            assert_eq!(marks.keep(Some(report(&n.to_string())), at(100), true), None);
        }
        assert_eq!(marks.keep(Some(report("x")), at(100), true).unwrap().name, "0");
    }
}
