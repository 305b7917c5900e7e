//! The server and what is asked of it beside calls, end to end.

#[path = "../support/mod.rs"]
mod support;

mod acme;
mod api;
mod audit;
mod bench;
mod bench_trunk;
mod directory;
mod documents;
mod isolation;
mod kill;
mod restart;
mod signals;
mod store;
mod tenancy;
mod trunks;
mod webhooks;
mod wildcard;
