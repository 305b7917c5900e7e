//! Calls as they are counted, limited, ordered and written down, end to end.

#[path = "../support/mod.rs"]
mod support;

mod budget;
mod call_length;
mod call_log;
mod call_orders;
mod caller_ids;
mod carrier_calls;
mod carrier_orders;
mod external_pbx;
mod limits;
mod load;
mod money;
mod parking;
mod queues;
