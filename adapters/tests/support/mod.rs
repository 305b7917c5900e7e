//! What the tests share: a carrier that does not exist and uses every seam, and the fixtures.

pub mod acme;
pub mod entry;
