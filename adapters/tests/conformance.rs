//! The conformance battery: the same tests over every provider of the table, and over one that does
//! not exist and uses every seam.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "test"
)]

mod battery;
mod support;
