//! When a route takes calls, and whose.

use jiff::Timestamp;

use super::pattern::Pattern;
use super::schedule::Schedule;

/// Conditions under which a route takes a call; without any it always does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    /// When; always if absent.
    pub schedule: Option<Schedule>,
    /// Whose.
    pub callers: Callers,
}

/// Which callers are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callers {
    /// These; everybody if empty.
    pub only: Vec<Pattern>,
    /// Not these.
    pub except: Vec<Pattern>,
}

/// Which condition of a route does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// It is not the time.
    Closed,
    /// The caller is not among those that it takes.
    CallerUnlisted,
    /// The caller is among those that it does not take.
    CallerExcepted,
}

impl Callers {
    fn miss(&self, caller: &str) -> Option<Miss> {
        let among = |patterns: &[Pattern]| patterns.iter().any(|it| it.fit(caller).is_some());
        if among(&self.except) {
            return Some(Miss::CallerExcepted);
        }
        (!self.only.is_empty() && !among(&self.only)).then_some(Miss::CallerUnlisted)
    }
}

impl Conditions {
    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        self.schedule.is_none() && self.callers == Callers::default()
    }

    /// The first that does not hold for a call of `caller` at this time.
    pub fn miss(&self, caller: &str, at: Timestamp) -> Option<Miss> {
        let closed = self.schedule.as_ref().is_some_and(|schedule| !schedule.is_open(at));
        if closed { Some(Miss::Closed) } else { self.callers.miss(caller) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Exceptions win over the list, and an empty list is everybody.
    #[test]
    fn callers_table() {
        let patterns = |texts: &[&str]| {
            texts.iter().map(|text| Pattern::parse(text).unwrap()).collect::<Vec<_>>()
        };
        for (only, except, caller, expected) in [
            (&[][..], &[][..], "+4930", None),
            (&["+49*"], &[], "4930", None),
            (&["+49*"], &[], "+1212", Some(Miss::CallerUnlisted)),
            (&["+49*"], &["+49900*"], "+49900123", Some(Miss::CallerExcepted)),
            (&[], &["anonymous"], "anonymous", Some(Miss::CallerExcepted)),
            (&["anonymous"], &[], "anonymous", None),
        ] {
            let callers = Callers { only: patterns(only), except: patterns(except) };
            let conditions = Conditions { schedule: None, callers };
            assert_eq!(conditions.miss(caller, Timestamp::UNIX_EPOCH), expected, "{caller}");
        }
        assert!(Conditions::default().is_empty());
    }
}
