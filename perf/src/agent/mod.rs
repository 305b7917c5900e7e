//! Agents: the far side of the agent stream `talkpath.v1`, or of a joined call, as cheap as they
//! can be.

pub(crate) mod barge;
pub(crate) mod callee;
pub(crate) mod echo;
pub(crate) mod far;
pub(crate) mod server;
