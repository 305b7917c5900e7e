//! What an endpoint does with messages, written out, and with a whole network of them.

mod challenged;
mod changes;
mod guard;
mod inbound;
mod network;
mod outbound;
mod refer;
mod refusals;
mod reliable;
mod support;
mod timers;
mod twin;
