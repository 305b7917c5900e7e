//! Calls that are handed to others or joined with them, end to end.

#[path = "../support/mod.rs"]
mod support;

mod bridge_media;
mod carrier_transfers;
mod handed_on;
mod three;
mod transfer;
