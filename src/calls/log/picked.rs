//! What was picked for a call.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::calls::caller_ids::Policy;
use crate::config::Masked;

/// The number that a call is placed from, of several.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PickedCallerId {
    /// The number, as it is written where the call goes.
    pub number: String,
    /// How it was picked.
    pub policy: Policy,
}

impl fmt::Debug for PickedCallerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PickedCallerId")
            .field("number", &format_args!("{}", Masked(&self.number)))
            .field("policy", &self.policy)
            .finish()
    }
}
