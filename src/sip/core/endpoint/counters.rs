//! What an endpoint counted.

/// Counts since the start. All only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests that could be read.
    pub requests: u64,
    /// Responses that could be read.
    pub responses: u64,
    /// Datagrams without content (RFC 5626 3.5.1).
    pub keep_alives: u64,
    /// What was no message, and messages refused as malformed.
    pub malformed: u64,
    /// Requests refused without a transaction: unknown methods, extensions, dialogs and the like.
    pub refused: u64,
    /// Requests refused with 503.
    pub overloaded: u64,
    /// Messages that could not be answered: no usable Via, or an ACK that is malformed.
    pub unanswerable: u64,
    /// Copies of requests that a transaction absorbed or answered again.
    pub duplicates: u64,
    /// ACKs that belong to nothing.
    pub stray_acks: u64,
    /// Responses that belong to nothing.
    pub stray_responses: u64,
    /// Messages that were sent, retransmissions included.
    pub sent: u64,
    /// Messages that were sent again.
    pub retransmitted: u64,
    /// Requests whose sender proved who it is.
    pub proven: u64,
    /// Requests that were challenged.
    pub challenged: u64,
    /// Requests with wrong credentials.
    pub failed_proofs: u64,
    /// Requests whose credentials were not looked at, because too many before were wrong.
    pub slowed: u64,
    /// Requests of ours whose challenge could not be answered, or whose credentials were refused.
    pub refused_proofs: u64,
    /// Calls that came in.
    pub calls_in: u64,
    /// Calls that were placed.
    pub calls_out: u64,
}
