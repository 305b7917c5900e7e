//! Whom calls may come from and go to.

mod ids;

pub use ids::{Named, file_id};
