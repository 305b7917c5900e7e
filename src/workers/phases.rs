//! At which moment within 20 ms a pacer begins.
//!
//! Calls that are answered in step, as those of a dialler with a round rate are, would have all
//! their packets due in the same millisecond for as long as they last: the worker would have
//! nothing to do for most of the time, and the last of them would always be late. Where a
//! millisecond is crowded, the next pacer begins in one behind it that is not, and keeps that.

use std::time::Duration;

use media::time::MonoTime;

/// Milliseconds after which phases repeat: the usual ptime.
const SLOTS: usize = 20;
/// Packets that are due within one of them before it is crowded: about as many as a worker sends
/// in that time.
const PACKETS_MAX: u32 = 48;
/// How long packets are counted, in milliseconds.
const COUNT_MS: u64 = 100;

/// How many packets are due at each phase.
#[derive(Debug)]
pub(super) struct Phases {
    since: MonoTime,
    counted: [u32; SLOTS],
    /// Packets in 20 ms, as they were counted last, and pacers that began since.
    known: [u32; SLOTS],
}

impl Phases {
    /// Nothing is due yet.
    pub(super) const fn new(now: MonoTime) -> Self {
        Self { since: now, counted: [0; SLOTS], known: [0; SLOTS] }
    }

    /// A packet was due then.
    #[inline]
    pub(super) fn count(&mut self, due: MonoTime) {
        self.note(due);
        if let Some(counted) = self.counted.get_mut(slot(due)) {
            *counted += 1;
        }
    }

    /// By how much later than `due` a pacer begins that is to begin then, at `now`.
    pub(super) fn place(&mut self, now: MonoTime, due: MonoTime) -> Duration {
        self.note(now);
        // With more than all have room for, each gets as many.
        let most = self.known.iter().sum::<u32>() / SLOTS as u32 + 1;
        let most = most.max(PACKETS_MAX);
        let first = slot(due);
        let free =
            |later: &usize| self.known.get((first + later) % SLOTS).is_some_and(|n| *n < most);
        let later = (0..SLOTS).find(free).unwrap_or(0);
        if let Some(known) = self.known.get_mut((first + later) % SLOTS) {
            *known += 1;
        }
        Duration::from_millis(later as u64)
    }

    /// Takes what was counted for what is known, once it was counted for long enough.
    fn note(&mut self, now: MonoTime) {
        let rounds = now.since(self.since).as_millis() as u64 / SLOTS as u64;
        if rounds < COUNT_MS / SLOTS as u64 {
            return;
        }
        let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
        self.known = self.counted.map(|packets| packets / rounds);
        (self.since, self.counted) = (now, [0; SLOTS]);
    }
}

/// The millisecond of 20 that a moment is in.
fn slot(at: MonoTime) -> usize {
    (at.as_nanos() / 1_000_000) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pacers that begin one each `every_ms`, and go on: packets in 20 ms of each phase, and the
    /// longest that one was moved.
    fn spread(pacers: usize, every_ms: u64) -> ([u32; SLOTS], Duration) {
        let mut now = MonoTime::ZERO;
        let (mut phases, mut due) = (Phases::new(now), Vec::<MonoTime>::new());
        let (mut begun, mut longest) = (0, Duration::ZERO);
        while begun < pacers {
            if (now.since(MonoTime::ZERO).as_millis() as u64).is_multiple_of(every_ms) {
                let later = phases.place(now, now);
                longest = longest.max(later);
                due.push(now + later);
                begun += 1;
            }
            for at in &mut due {
                if *at <= now {
                    phases.count(*at);
                    *at += Duration::from_millis(20);
                }
            }
            now += Duration::from_millis(1);
        }
        let mut slots = [0; SLOTS];
        due.iter().for_each(|at| slots[slot(*at)] += 1);
        (slots, longest)
    }

    /// A few calls begin when they would; of many in step no millisecond has all; those that come
    /// at any time are not moved while there is room.
    #[test]
    fn calls_in_step_are_spread() {
        let (slots, longest) = spread(40, 20);
        assert_eq!((slots.iter().max(), longest), (Some(&40), Duration::ZERO));
        let (slots, longest) = spread(250, 20);
        assert!(slots.iter().all(|packets| *packets <= PACKETS_MAX + 8), "{slots:?}");
        assert!(longest <= Duration::from_millis(6), "{longest:?}");
        let (slots, _) = spread(2_000, 20);
        assert!(slots.iter().all(|packets| (80..=120).contains(packets)), "{slots:?}");
        let (_, longest) = spread(700, 7);
        assert_eq!(longest, Duration::ZERO);
    }

    /// What was long ago does not count.
    #[test]
    fn what_has_ended_leaves_room() {
        let mut phases = Phases::new(MonoTime::ZERO);
        let mut now = MonoTime::ZERO;
        for _ in 0..PACKETS_MAX {
            assert_eq!(phases.place(now, now), Duration::ZERO);
        }
        assert_eq!(phases.place(now, now), Duration::from_millis(1));
        now += Duration::from_secs(3_600);
        assert_eq!(phases.place(now, now), Duration::ZERO);
    }
}
