//! The life of a call: its state machine, its record, and the thread that drives them all.

pub mod call;
mod carrier;
pub mod cause;
mod coding;
pub mod control;
pub mod digits;
pub mod external;
mod far;
mod fetching;
pub mod hold;
pub mod identity;
mod line;
mod live;
pub mod log;
pub mod media_token;
mod order;
pub mod parked;
pub mod pbx;
mod place_call;
pub mod ports;
pub mod presented;
pub mod queue;
pub mod queued;
pub mod reason;
pub mod redirect;
pub mod request;
mod sounds;
pub mod standing;
mod takeover;
pub mod tidings;
pub mod transfer;
mod underway;
pub mod view;
pub mod web_phone;

pub use view::CallView;
