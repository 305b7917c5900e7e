//! Programs that others wrote, to be measured beside the server.

mod bencode;
pub(crate) mod listener;
pub(crate) mod rtpengine;
