//! What the fuzzers run: an ordinary function over bytes, also run by the tests.

/// Reads `data` as an agent's message, by every way there is.
///
/// # Panics
///
/// If the ways disagree, or if a message makes more audio than it has bytes.
#[doc(hidden)]
pub fn dialect_text(data: &[u8]) {
    super::twilio::fuzz(data);
}
