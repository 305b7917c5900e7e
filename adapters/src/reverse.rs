//! Sockets of events that the carrier opens to us, and requests that go to it over them: for
//! carriers that we cannot reach, or that are behind a translator.

use std::fmt;

use http::HeaderMap;

use crate::config::RawConfig;
use crate::exchange::HttpRequest;
use crate::exchange::HttpResponse;
use crate::hook::VerifyError;

/// How a carrier that opens the socket itself is let in, and asked over it.
#[derive(Clone, Copy)]
pub struct Reverse {
    /// Whether a configuration wants it so.
    pub wanted: fn(&RawConfig) -> bool,
    /// The subprotocol that the carrier offers.
    pub subprotocol: &'static str,
    /// Proves that it is the carrier that opens the socket, by the headers of its request. That it
    /// knows the address, which is secret, is proven already.
    pub verify: fn(&HeaderMap, &RawConfig) -> Result<(), VerifyError>,
    /// A request as a message with that number; none if it cannot be one.
    pub ask: fn(&HttpRequest, u64) -> Option<String>,
    /// Which request a message answers, and what it says; none if it is an event.
    pub answer: fn(&[u8]) -> Option<(u64, HttpResponse)>,
}

impl fmt::Debug for Reverse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reverse").field("subprotocol", &self.subprotocol).finish_non_exhaustive()
    }
}
