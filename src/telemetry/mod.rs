//! What the server tells its operators: log lines and metrics.
//!
//! Log lines tell of calls and connections, never of single frames. Metrics are atomics that their
//! owners write without waiting ([`Metrics`]); they are put into text when somebody asks.

mod carriers;
mod exposition;
pub mod few;
pub mod histogram;
pub mod labels;
mod links;
pub mod log;
mod metrics;
mod process;
mod queues;
mod stages;
mod worker;

pub use carriers::CarrierMetrics;
pub use histogram::Histogram;
pub use labels::{
    CallDirection, DialOutcome, DropReason, ExchangeOutcome, Forgotten, HookOutcome, Kind, SipAuth,
    SipDrop, SipMethod,
};
pub use metrics::{
    AgentMetrics, CONTENT_TYPE, CallMetrics, HttpMetrics, LogMetrics, Metrics, SipMetrics,
};
pub use queues::{QueueFigures, QueueMetrics};
pub use stages::{CarrierLabel, StageMetrics};
pub use worker::{Counter, Gauge, Tally, WorkerMetrics};
