//! The decision about a call.

use std::cmp::Reverse;

use jiff::Timestamp;
use uuid::Uuid;

use super::called::Called;
use super::explain::Verdict;
use super::table::{Number, PRIORITY, Route, Scope, Table};

/// A call that an agent is sought for.
#[derive(Clone, Debug)]
pub struct Inquiry<'a> {
    /// Whose call it is.
    pub organisation: Uuid,
    /// The line that it came by: a trunk by itself, or a configuration.
    pub line: Option<Uuid>,
    /// The trunk of that configuration, if it came by one.
    pub trunk: Option<Uuid>,
    /// Who is called.
    pub called: Called<'a>,
    /// The calling number or user.
    pub caller: &'a str,
    /// When.
    pub at: Timestamp,
    /// Decides where calls are shared by lot.
    pub lot: u64,
}

/// What is done with a call.
#[derive(Debug)]
pub struct Decision<'t, T> {
    /// The called number, if it is one of the line's.
    pub number: Option<&'t Number<T>>,
    /// The route that takes the call; without one its number's own agent does.
    pub route: Option<&'t Route<T>>,
    /// How the call is treated.
    pub treatment: &'t T,
}

/// Why nobody takes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrouted {
    /// The organisation has no new calls.
    #[error("the organisation is suspended")]
    Suspended,
    /// The number is switched off.
    #[error("the number is not active")]
    Inactive,
    /// No route fits the called number.
    #[error("no route leads from this number")]
    NoRoute,
    /// Routes fit, but none of them takes the call now.
    #[error("no route takes this call now")]
    Conditions,
}

/// A route whose pattern fits, by the order in which it is looked at: priority, scope, fit, place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    priority: u16,
    scope: u8,
    fit: Reverse<usize>,
    at: usize,
}

/// Stands for the number's own agent among the candidates.
const OWN: usize = usize::MAX;

// The order of scopes. A number's own agent stands behind the number's routes.
const BY_NUMBER: u8 = 0;
const BY_OWN: u8 = 1;
const BY_TRUNK: u8 = 2;
const BY_LINE: u8 = 3;
const BY_ORGANISATION: u8 = 4;

impl Candidate {
    const fn tier(self) -> (u16, u8, Reverse<usize>) {
        (self.priority, self.scope, self.fit)
    }
}

impl<T> Table<T> {
    /// Who takes the call.
    ///
    /// # Errors
    ///
    /// Why nobody does.
    pub fn decide(&self, inquiry: &Inquiry<'_>) -> Result<Decision<'_, T>, Unrouted> {
        self.walk(inquiry, |_, _| {})
    }

    /// As [`Table::decide`], and tells of each route that was looked at what came of it.
    pub(super) fn walk(
        &self,
        inquiry: &Inquiry<'_>,
        mut note: impl FnMut(&Route<T>, Verdict),
    ) -> Result<Decision<'_, T>, Unrouted> {
        let number = inquiry.line.and_then(|line| self.number(line, &inquiry.called));
        if number.is_some_and(|number| !number.active) {
            return Err(Unrouted::Inactive);
        }
        let candidates = self.candidates(inquiry, number);
        let mut left = candidates.as_slice();
        while let Some(first) = left.first() {
            let end = left.iter().position(|other| other.tier() != first.tier());
            let (tier, rest) = left.split_at(end.unwrap_or(left.len()));
            left = rest;
            let own = number.and_then(|number| number.treatment.as_ref());
            if let (OWN, Some(treatment)) = (first.at, own) {
                return Ok(Decision { number, route: None, treatment });
            }
            if let Some(route) = self.one_of(tier, inquiry, &mut note) {
                return Ok(Decision { number, route: Some(route), treatment: &route.treatment });
            }
        }
        Err(if candidates.is_empty() { Unrouted::NoRoute } else { Unrouted::Conditions })
    }

    /// The routes whose patterns fit, in the order in which they are looked at.
    fn candidates(&self, inquiry: &Inquiry<'_>, number: Option<&Number<T>>) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = Vec::with_capacity(8);
        let scopes = [
            (number.map(|number| Scope::Number(number.id)), BY_NUMBER),
            (inquiry.trunk.map(Scope::Line), BY_TRUNK),
            (inquiry.line.map(Scope::Line), BY_LINE),
            (Some(Scope::Organisation), BY_ORGANISATION),
        ];
        for (scope, rank) in scopes {
            let Some(scope) = scope else { continue };
            self.fitting(inquiry.organisation, scope, &inquiry.called, |at, fit| {
                let Some(route) = self.routes.get(at) else { return };
                let fit = Reverse(fit);
                candidates.push(Candidate { priority: route.priority, scope: rank, fit, at });
            });
        }
        if number.is_some_and(|number| number.treatment.is_some()) {
            let fit = Reverse(0);
            candidates.push(Candidate { priority: PRIORITY, scope: BY_OWN, fit, at: OWN });
        }
        candidates.sort_unstable();
        candidates
    }

    /// The route among equals that takes the call.
    fn one_of(
        &self,
        tier: &[Candidate],
        inquiry: &Inquiry<'_>,
        note: &mut impl FnMut(&Route<T>, Verdict),
    ) -> Option<&Route<T>> {
        let mut able = Vec::new();
        for route in tier.iter().filter_map(|candidate| self.routes.get(candidate.at)) {
            match route.conditions.miss(inquiry.caller, inquiry.at) {
                Some(miss) => note(route, Verdict::Missed(miss)),
                None if route.weight == Some(0) => note(route, Verdict::NoWeight),
                None => able.push(route),
            }
        }
        let first = *able.first()?;
        let taken = match first.weight {
            None => first,
            Some(_) => drawn(&able, inquiry.lot)?,
        };
        for route in able {
            let verdict = if std::ptr::eq(route, taken) {
                Verdict::Taken
            } else if first.weight.is_some() && route.weight.is_some() {
                Verdict::Lot
            } else {
                Verdict::Later
            };
            note(route, verdict);
        }
        Some(taken)
    }
}

/// The route that the lot falls on, among those with a weight.
fn drawn<'t, T>(routes: &[&'t Route<T>], lot: u64) -> Option<&'t Route<T>> {
    let weighted = || routes.iter().filter_map(|route| Some((*route, u64::from(route.weight?))));
    let total: u64 = weighted().map(|(_, weight)| weight).sum();
    let mut left = lot.checked_rem(total)?;
    weighted().find_map(|(route, weight)| match left.checked_sub(weight) {
        None => Some(route),
        Some(rest) => {
            left = rest;
            None
        }
    })
}
