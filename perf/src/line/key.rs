//! An API key, which is not to be shown.

use std::fmt;
use std::str::FromStr;

/// The key.
#[derive(Clone)]
pub(crate) struct Key(String);

impl Key {
    /// The key as it is sent.
    #[cfg_attr(not(feature = "carriers"), expect(dead_code, reason = "only carriers need it"))]
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}
