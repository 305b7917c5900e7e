//! What happened to calls, and what follows from it.
//!
//! Everything that is known of a call is a [`CallFact`]: what happened, when, who says so, and an
//! id that makes it one of a kind. A [`Fold`] takes facts in any order and any number of times; its
//! [`Summary`] depends on which facts there are and on nothing else. See decision 25.

mod carrier;
mod fact;
mod fold;
mod handle;
mod picked;
mod recorded;
mod spoken;
mod stages;
mod state;
mod summary;
pub mod watchdog;
pub mod writer;

#[cfg(test)]
mod tests;

pub use carrier::from_carrier;
pub use fact::{
    Asked, Began, CallFact, Ended, QualitySample, QualitySummary, Source, What,
    direction_from_word, direction_word,
};
pub use fold::Fold;
pub use handle::{Entry, LogHandle, LogQueue, QUEUE_MAX};
pub use picked::PickedCallerId;
pub use recorded::Recorded;
pub use spoken::{Ending, Sample, Speaker, Spoken};
pub use stages::StageFigures;
pub use state::State;
pub use summary::{AtCarrier, Estimate, Stamps, Summary};
