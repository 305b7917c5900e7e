//! The life of a call: its state machine, its record, and the thread that drives them all.

pub mod call;
pub mod cause;
