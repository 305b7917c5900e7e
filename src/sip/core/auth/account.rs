//! Whom we are to somebody who asks.

use std::fmt;

/// A name and its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    username: Box<str>,
    password: Box<str>,
    realm: Option<Box<str>>,
}

impl Account {
    /// An account. With a realm, it answers challenges of that realm alone.
    ///
    /// Quotes and backslashes are left out of the name: what others make of them between quotes
    /// differs.
    pub fn new(username: &str, password: &str, realm: Option<&str>) -> Self {
        let name: String = username.chars().filter(|c| !matches!(c, '"' | '\\')).collect();
        Self { username: name.into(), password: password.into(), realm: realm.map(Into::into) }
    }

    /// The name.
    pub fn username(&self) -> &str {
        &self.username
    }

    pub(super) fn password(&self) -> &str {
        &self.password
    }

    /// Whether a challenge of `realm` may be answered.
    pub(super) fn is_of(&self, realm: &str) -> bool {
        self.realm.as_deref().is_none_or(|own| own == realm)
    }
}

/// Without name and password.
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("realm", &self.realm).finish_non_exhaustive()
    }
}
