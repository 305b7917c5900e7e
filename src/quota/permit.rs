//! What a call holds for as long as it lives.

use std::sync::Arc;

use super::credit::Hold;
use super::limits::Kind;

/// A call's places with everything that it counts for, and the money that it holds. All is given
/// back when it is dropped.
#[derive(Debug, Default)]
pub struct Permit {
    places: Vec<(Kind, Arc<()>)>,
    credit: Option<Hold>,
    /// What legs of the call have cost that are over.
    legs: Vec<Hold>,
}

impl Permit {
    /// These places.
    pub(super) const fn of(places: Vec<(Kind, Arc<()>)>) -> Self {
        Self { places, credit: None, legs: Vec::new() }
    }

    /// Counts for this as well.
    pub fn join(&mut self, other: Self) {
        self.places.extend(other.places);
        self.credit = self.credit.take().or(other.credit);
        self.legs.extend(other.legs);
    }

    /// Takes all places out of it but those with things of this kind. What it holds of money stays.
    #[must_use]
    pub fn all_but(&mut self, kind: Kind) -> Self {
        let all = std::mem::take(&mut self.places).into_iter();
        let (stay, go) = all.partition(|(of, _)| *of == kind);
        self.places = stay;
        Self::of(go)
    }

    /// Holds this money as well.
    pub fn prepay(&mut self, credit: Option<Hold>) {
        self.credit = credit;
    }

    /// The money that it holds; none if the call has no price.
    pub const fn credit(&self) -> Option<&Hold> {
        self.credit.as_ref()
    }

    /// The same, to be changed.
    pub const fn credit_mut(&mut self) -> Option<&mut Hold> {
        self.credit.as_mut()
    }

    /// Takes that out of it.
    pub const fn take_credit(&mut self) -> Option<Hold> {
        self.credit.take()
    }

    /// Holds what a leg of the call has cost until that is over.
    pub fn keep(&mut self, leg: Hold) {
        self.legs.push(leg);
    }

    /// Takes what legs have cost out of it.
    pub fn take_legs(&mut self) -> Vec<Hold> {
        std::mem::take(&mut self.legs)
    }
}
