//! From which of a line's numbers a call is placed that names none: the default, by turns, the one
//! that the called party knows, or the nearest. No I/O, no clock.
//!
//! Days are those of UTC, numbered from 1970-01-01. A number is the same with and without `+`.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Most calls a day of a number, of those that can be set.
pub const DAILY_CAP_MAX: u32 = 1_000_000;
/// Most numbers that a trunk of the file names.
pub const NUMBERS_MAX: usize = 1_000;

/// How a number is picked. Whatever the policy, none is that has had its calls of the day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// The default number; where it may not be used, the first of the others.
    #[default]
    Default,
    /// The one whose last call is the longest time ago.
    RoundRobin,
    /// The one that the called party was called from last; whoever was not called before, by turns.
    Sticky,
    /// The one that shares most leading digits with the called number: country, then area; equals
    /// by turns.
    Local,
}

impl Policy {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Default, Self::RoundRobin, Self::Sticky, Self::Local];

    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::RoundRobin => "round_robin",
            Self::Sticky => "sticky",
            Self::Local => "local",
        }
    }

    /// The policy that this word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == word)
    }
}

/// How the numbers of a line are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// How one is picked.
    #[serde(default)]
    pub policy: Policy,
    /// Calls of a day, in UTC, that each may have; as many as there are if absent.
    #[serde(default)]
    pub daily_cap: Option<u32>,
}

impl Rotation {
    /// Whether there is anything to be picked: otherwise calls are placed from the default number,
    /// whatever was placed before.
    pub fn is_set(&self) -> bool {
        *self != Self::default()
    }
}

/// Who is called.
#[derive(Clone, Copy, Default)]
pub struct Callee<'c> {
    /// Digits of the called number with its calling code, without `+`; none of whom no number
    /// names.
    pub digits: Option<&'c str>,
    /// The number that the called party was called from last, as far as the log tells.
    pub last: Option<&'c str>,
}

/// Every number of a line has had its calls of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedUp {
    /// Calls of a day that each may have.
    pub daily_cap: u32,
}

/// What calls were placed from the numbers of a line on a day.
#[derive(Clone, PartialEq, Eq)]
pub struct Called {
    /// The day, in UTC, counted from 1970-01-01.
    pub day: i64,
    /// The configuration, or the trunk that belongs to none.
    pub line: Uuid,
    /// Numbers as they were written, and how many calls were placed from each.
    pub counts: Vec<(String, u32)>,
}

/// Without the numbers.
impl fmt::Debug for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Called");
        shown.field("day", &self.day).field("line", &self.line).finish_non_exhaustive()
    }
}

/// How the numbers of lines were used lately.
#[derive(Debug, Default)]
pub struct Uses {
    /// The day that is counted.
    day: i64,
    /// Calls so far: what tells which number was used the longest time ago.
    turn: u64,
    lines: HashMap<Uuid, HashMap<Box<str>, Use>>,
}

/// How one number was used.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    today: u32,
    turn: u64,
}

/// A number as it is compared: carriers and formats disagree on the `+`.
fn bare(number: &str) -> &str {
    number.strip_prefix('+').unwrap_or(number)
}

/// Leading digits that two numbers have in common.
fn common(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count()
}

impl Uses {
    /// The place among `numbers`, the default first, of the one that a call of `day` to `callee` is
    /// placed from; none if there are no numbers. Nothing is counted yet: see [`Uses::count`].
    ///
    /// # Errors
    ///
    /// If each has had its calls of the day.
    pub fn pick(
        &self,
        day: i64,
        line: Uuid,
        rotation: Rotation,
        numbers: &[&str],
        callee: Callee<'_>,
    ) -> Result<Option<usize>, UsedUp> {
        let known = self.lines.get(&line);
        let of = |number: &str| known.and_then(|it| it.get(bare(number))).copied();
        let turn = |number: &str| of(number).map_or(0, |it| it.turn);
        let today = |number: &str| match of(number) {
            Some(used) if self.day >= day => used.today,
            _ => 0,
        };
        let is_free = |number: &str| rotation.daily_cap.is_none_or(|cap| today(number) < cap);
        let free = || numbers.iter().copied().enumerate().filter(|(_, number)| is_free(number));
        let in_turn = || free().min_by_key(|(at, number)| (turn(number), *at));
        let picked = match rotation.policy {
            Policy::Default => free().next(),
            Policy::RoundRobin => in_turn(),
            Policy::Sticky => {
                let last = callee.last.map(bare);
                free().find(|(_, number)| Some(bare(number)) == last).or_else(in_turn)
            }
            Policy::Local => free().max_by_key(|(at, number)| {
                let near = callee.digits.map_or(0, |digits| common(bare(number), bare(digits)));
                (near, Reverse(turn(number)), Reverse(*at))
            }),
        };
        match (picked, rotation.daily_cap) {
            (None, Some(daily_cap)) if !numbers.is_empty() => Err(UsedUp { daily_cap }),
            (picked, _) => Ok(picked.map(|(at, _)| at)),
        }
    }

    /// A call of `day` is placed from this number of a line.
    pub fn count(&mut self, day: i64, line: Uuid, number: &str) {
        self.turn_to(day);
        self.turn += 1;
        let turn = self.turn;
        let used = self.lines.entry(line).or_default().entry(bare(number).into()).or_default();
        (used.today, used.turn) = (used.today.saturating_add(1), turn);
    }

    /// So many calls of `day` were placed from the numbers of a line, by whatever server: what is
    /// known of the log is never more than there is, so the greater count holds.
    pub fn learn(&mut self, day: i64, line: Uuid, counts: &[(String, u32)]) {
        if day < self.day {
            return;
        }
        self.turn_to(day);
        let known = self.lines.entry(line).or_default();
        for (number, calls) in counts {
            let used = known.entry(bare(number).into()).or_default();
            used.today = used.today.max(*calls);
        }
    }

    /// Begins another day. Whatever was not used on the day before is forgotten.
    fn turn_to(&mut self, day: i64) {
        if day <= self.day {
            return;
        }
        self.day = day;
        for known in self.lines.values_mut() {
            known.retain(|_, used| std::mem::take(&mut used.today) > 0);
        }
        self.lines.retain(|_, known| !known.is_empty());
    }
}
