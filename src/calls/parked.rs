//! A call that is put aside, and what its places are called.

use std::sync::Arc;

use media::time::MonoTime;
use serde::Serialize;
use uuid::Uuid;

use crate::directory::Agent;
use crate::store::Timestamp;

/// First of the slots that are taken where none is named.
pub const SLOT_FIRST: u32 = 701;
/// Last of them.
pub const SLOT_LAST: u32 = 999;
/// Longest name of a slot, in bytes.
pub const SLOT_BYTES_MAX: usize = 32;
/// What stands in front of a slot in the number that picks a call up.
pub const PICK_UP: &str = "park-";

/// A call that is put aside.
pub(super) struct Parked {
    /// Where; no other call of its organisation is there.
    pub(super) slot: String,
    /// Since when.
    pub(super) since: MonoTime,
    /// The same on the wall, in microseconds since 1970.
    pub(super) since_us: i64,
    /// When it goes back to its agent.
    pub(super) until: MonoTime,
    /// Who had it before.
    pub(super) agent: Arc<Agent>,
    /// Whoever was at the agent's end is there yet, and the peer on hold.
    pub(super) keeps_agent: bool,
    /// Its time is over, and it is on its way back.
    pub(super) returns: bool,
}

impl Parked {
    /// When its time is over.
    pub(super) const fn deadline(&self) -> MonoTime {
        if self.returns { MonoTime::MAX } else { self.until }
    }
}

/// How a call is to be put aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParkWish {
    /// Where; the next free slot if absent.
    pub slot: Option<String>,
    /// Whoever is at the agent's end stays there.
    pub keep_agent: bool,
    /// How long, in seconds; as the configuration says if absent.
    pub timeout_s: Option<u64>,
}

/// A call that is put aside, as the API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct ParkedView {
    /// Where.
    pub slot: String,
    /// The call.
    pub call_id: Uuid,
    /// The calling address.
    pub from: String,
    /// The called address.
    pub to: String,
    /// Name of the agent that had it.
    pub agent: String,
    /// Whether that is there yet.
    pub keep_agent: bool,
    /// Since when.
    pub parked_at: Timestamp,
    /// How long that is, in milliseconds.
    pub waited_ms: u64,
    /// When it goes back, in milliseconds from this moment.
    pub left_ms: u64,
}

/// Whether a slot can be called so.
pub fn is_slot(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
    (1..=SLOT_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits)
}

/// The slot that a called user picks a call up from, if it is one of these.
pub(super) fn picked_up(called: &str) -> Option<&str> {
    called.strip_prefix(PICK_UP).filter(|slot| is_slot(slot))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slots are what can be dialled and be part of a name.
    #[test]
    fn slots() {
        for (text, fits) in [
            ("701", true),
            ("desk-2_b.c+", true),
            ("", false),
            ("a b", false),
            ("a/b", false),
            ("ä", false),
            ("x".repeat(SLOT_BYTES_MAX).as_str(), true),
            ("x".repeat(SLOT_BYTES_MAX + 1).as_str(), false),
        ] {
            assert_eq!(is_slot(text), fits, "{text}");
        }
        assert_eq!(picked_up("park-701"), Some("701"));
        assert_eq!(
            (picked_up("park-"), picked_up("701"), picked_up("park-a b")),
            (None, None, None)
        );
    }
}
