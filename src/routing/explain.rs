//! Why a call goes where it goes.

use std::fmt;

use uuid::Uuid;

use super::conditions::Miss;
use super::decide::{Decision, Inquiry, Unrouted};
use super::table::{Number, Scope, Table};

/// What came of a route when an agent was sought for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It took the call.
    Taken,
    /// One of its conditions does not hold.
    Missed(Miss),
    /// Its weight is 0.
    NoWeight,
    /// The lot fell on one of its equals.
    Lot,
    /// One that is looked at before it took the call.
    Later,
    /// It is for other called numbers or users.
    OtherCalled,
    /// It is for another line.
    OtherLine,
    /// It is for a number, which was not called.
    OtherNumber,
    /// The number is switched off, so that no route was looked at.
    Inactive,
}

impl Verdict {
    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Missed(Miss::Closed) => "closed",
            Self::Missed(Miss::CallerUnlisted) => "caller_unlisted",
            Self::Missed(Miss::CallerExcepted) => "caller_excepted",
            Self::NoWeight => "no_weight",
            Self::Lot => "lot",
            Self::Later => "later",
            Self::OtherCalled => "other_called",
            Self::OtherLine => "other_line",
            Self::OtherNumber => "other_number",
            Self::Inactive => "number_inactive",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A route, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The route.
    pub route: Uuid,
    /// What came of it.
    pub verdict: Verdict,
}

/// How the agent of a call was found, or not.
#[derive(Debug)]
pub struct Explanation<'t, T> {
    /// The called number, if it is one of the line's.
    pub number: Option<&'t Number<T>>,
    /// Who takes the call.
    pub decision: Result<Decision<'t, T>, Unrouted>,
    /// Every route of the organisation: first those that were looked at, in that order, then those
    /// that do not fit.
    pub steps: Vec<Step>,
}

impl<T> Table<T> {
    /// What [`Table::decide`] does with the call, and why. This looks at every route of the
    /// organisation.
    pub fn explain(&self, inquiry: &Inquiry<'_>) -> Explanation<'_, T> {
        let number = inquiry.line.and_then(|line| self.number(line, &inquiry.called));
        let mut steps = Vec::new();
        let decision =
            self.walk(inquiry, |route, verdict| steps.push(Step { route: route.id, verdict }));
        let noted: std::collections::HashSet<Uuid> = steps.iter().map(|step| step.route).collect();
        for route in self.routes.iter().filter(|it| it.organisation == inquiry.organisation) {
            if noted.contains(&route.id) {
                continue;
            }
            let called = || inquiry.called.users().any(|user| route.to.fit(user).is_some());
            let verdict = match route.scope {
                Scope::Number(id) if number.is_none_or(|number| number.id != id) => {
                    Verdict::OtherNumber
                }
                Scope::Line(line) if ![inquiry.line, inquiry.trunk].contains(&Some(line)) => {
                    Verdict::OtherLine
                }
                _ if !called() => Verdict::OtherCalled,
                _ if matches!(decision, Err(Unrouted::Inactive)) => Verdict::Inactive,
                _ => Verdict::Later,
            };
            steps.push(Step { route: route.id, verdict });
        }
        Explanation { number, decision, steps }
    }
}
