//! HTTP: the API, the agents that attach, health and metrics.

pub mod problem;
pub mod server;
