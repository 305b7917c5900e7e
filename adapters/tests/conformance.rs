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

// The provider that does not exist is written as those of the table are, which name these so.
use adapters::{
    address, agent, chain, config, event, exchange, explain, flow, hook, op, secret, setup, spec,
    stream, ui, wire,
};
