//! Whether media threads take another call: by how busy they are, and how late their frames.
//!
//! A thread without a moment to spare is late with every frame, and later with each second: whoever
//! waits for lateness to show has refused too late. So a call is refused where the threads' time
//! would not suffice for it, judged by what the calls before it take. Lateness is the second
//! witness, for what has other causes: a neighbour on the core, a host that stops for a moment.
//! After that the thread takes calls again once all has been well for a while.
//!
//! Below [`CALLS_MIN`] calls nothing is refused: what is late then is not so for our calls, and is
//! no better without another.

use std::time::Duration;

use media::time::MonoTime;

/// How often a thread with many calls is looked at, in milliseconds.
pub const LOOK_EVERY_MS: u64 = 100;
/// How often one with fewer is, for those who look at the figures.
pub const IDLE_LOOK_EVERY_MS: u64 = 1_000;
/// Looks that are judged together: half a second.
const LOOKS: usize = 5;
/// Calls of a thread with which it refuses none.
pub const CALLS_MIN: u32 = 32;
/// The share of its time, in percent, that a thread's calls may take.
pub const BUSY_MAX_PCT: u32 = 80;
/// Below this share a thread that refused calls takes them again.
const BUSY_AGAIN_PCT: u32 = 75;
/// A thread beyond this has refused too late.
const BUSY_FULL_PCT: u32 = 90;
/// Frames that have to be late before a share of them says anything.
const LATE_FRAMES_MIN: u64 = 5;
/// Looks in which frames were late: one stop of the host is no overload.
const LATE_LOOKS_MIN: usize = 2;
/// How long all has to be well before a thread takes calls again, in milliseconds.
const CALM_MS: u64 = 500;

/// Frames as a histogram counts them, all of them so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// All.
    pub all: u64,
    /// Those that were later than the bound.
    pub late: u64,
    /// Those that were later than half of it.
    pub half_late: u64,
}

/// What is known of a media thread at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Time that it has been at work, in all.
    pub busy: Duration,
    /// Frames to peers, by how late they left; frames of peers, by how long they waited.
    pub frames: [Frames; 2],
    /// Calls that it holds.
    pub calls: u32,
}

/// Why a media thread takes no calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strain {
    /// Another call would take more of its time than calls may.
    Busy,
    /// Frames are late.
    Late,
}

/// How one media thread bears its calls.
#[derive(Clone, Debug, Default)]
pub struct Load {
    looks: [Option<(MonoTime, Figures)>; LOOKS + 1],
    /// Why it refuses calls.
    strained: Option<Strain>,
    /// Since when all is well with it.
    calm_since: Option<MonoTime>,
}

impl Load {
    /// Looks at the thread.
    pub fn look(&mut self, now: MonoTime, figures: Figures) {
        self.looks.rotate_right(1);
        if let Some(first) = self.looks.first_mut() {
            *first = Some((now, figures));
        }
        if figures.calls < CALLS_MIN {
            (self.strained, self.calm_since) = (None, None);
            return;
        }
        let busy = self.busy_pct();
        let strain = match (busy >= BUSY_FULL_PCT, self.is_late(|frames| frames.late)) {
            (_, true) => Some(Strain::Late),
            (true, false) => Some(Strain::Busy),
            (false, false) => None,
        };
        if strain.is_some() {
            (self.strained, self.calm_since) = (strain, None);
            return;
        }
        let calm = busy < BUSY_AGAIN_PCT && !self.is_late(|frames| frames.half_late);
        self.calm_since = calm.then(|| self.calm_since.unwrap_or(now));
        let calmed = |since: MonoTime| now.since(since) >= Duration::from_millis(CALM_MS);
        if self.calm_since.is_some_and(calmed) {
            self.strained = None;
        }
    }

    /// Nobody has looked for a while, and what was seen before is of no use.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Whether it takes another call, beside `calls` that it holds at this moment.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub fn admit(&self, calls: u32) -> Result<(), Strain> {
        if calls < CALLS_MIN {
            return Ok(());
        }
        if let Some(strain) = self.strained {
            return Err(strain);
        }
        let Some((busy_pct, calls_then)) = self.taken() else { return Ok(()) };
        // What it would be at if all took what those took that were there.
        let wanted_pct = busy_pct * f64::from(calls + 1) / calls_then.max(1.0);
        if wanted_pct > f64::from(BUSY_MAX_PCT) { Err(Strain::Busy) } else { Ok(()) }
    }

    /// Why it refuses calls, by what was seen last.
    pub const fn strained(&self) -> Option<Strain> {
        self.strained
    }

    /// The share of its time that it was at work, in percent.
    pub fn busy_pct(&self) -> u32 {
        // The cast saturates.
        self.taken().map_or(0, |(busy_pct, _)| busy_pct.round() as u32)
    }

    /// The newest look, and the oldest that is judged with it.
    fn ends(&self) -> Option<((MonoTime, Figures), (MonoTime, Figures))> {
        let newest = self.looks.first().copied().flatten()?;
        let oldest = self.looks.iter().rev().copied().flatten().next()?;
        (newest.0 > oldest.0).then_some((newest, oldest))
    }

    /// The share of its time that it was at work, in percent, and the calls that this was for.
    fn taken(&self) -> Option<(f64, f64)> {
        let ((now, newest), (then, oldest)) = self.ends()?;
        let busy = newest.busy.saturating_sub(oldest.busy).as_secs_f64();
        let calls = f64::from(newest.calls.saturating_add(oldest.calls)) / 2.0;
        Some((100.0 * busy / now.since(then).as_secs_f64(), calls))
    }

    /// Whether more than 1 % of the frames of one way were late, and at more than one look.
    fn is_late(&self, late: impl Fn(&Frames) -> u64) -> bool {
        let Some(((_, newest), (_, oldest))) = self.ends() else { return false };
        (0..newest.frames.len()).any(|way| {
            let of = |figures: &Figures| {
                let frames = figures.frames.get(way).copied().unwrap_or_default();
                (frames.all, late(&frames))
            };
            let ((all, late), (all_then, late_then)) = (of(&newest), of(&oldest));
            let (all, late) = (all.saturating_sub(all_then), late.saturating_sub(late_then));
            let pairs = self.looks.iter().zip(self.looks.iter().skip(1));
            let late_looks = pairs.filter(|pair| match pair {
                (Some((_, next)), Some((_, one))) => of(next).1 > of(one).1,
                _ => false,
            });
            late >= LATE_FRAMES_MIN
                && late.saturating_mul(100) > all
                && late_looks.count() >= LATE_LOOKS_MIN
        })
    }
}
