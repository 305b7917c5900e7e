//! Trunks as calls know them.

use std::ops::Deref;

use adapters::config::RawConfig;
use adapters::{external_pbx, table};
use uuid::Uuid;

use crate::carrier::Account;
use crate::config::{Secret, TrunkConfig};
use crate::quota::Limits;

/// A trunk, from the file or from a stored configuration. A call keeps the one that it began with,
/// whatever becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trunk {
    /// Its id; that of the configuration if it is what that itself describes.
    pub id: Uuid,
    /// What its numbers and routes belong to: its configuration, or itself.
    pub line: Uuid,
    /// Whose it is.
    pub organisation: Uuid,
    /// What tells it apart in metrics: the name of one from the file, the id of one that is stored,
    /// as names of organisations may be alike.
    pub label: String,
    /// How many calls it has.
    pub limits: Limits,
    /// Whether the file names it; else it is stored.
    pub is_of_file: bool,
    /// What it is.
    pub config: TrunkConfig,
    /// The fields of the stored configuration, if a PBX owns the calls that come by it.
    pub owned_by: Option<Owned>,
}

/// The fields of a SIP peer's configuration. `Debug` shows their names.
#[derive(Clone, Debug, PartialEq)]
pub struct Owned {
    /// The provider, as the table calls it.
    pub provider: String,
    /// The fields.
    pub config: RawConfig,
}

impl Owned {
    /// Those of a configuration whose calls a PBX owns.
    pub fn of(provider: &str, config: &RawConfig) -> Option<Self> {
        external_pbx::find(config)?;
        Some(Self { provider: provider.to_owned(), config: config.clone() })
    }
}

impl Trunk {
    /// How the PBX is reached that owns the calls which come by it.
    pub fn pbx_account(&self) -> Option<Account> {
        let Owned { provider, config } = self.owned_by.clone()?;
        Some(Account {
            id: self.line,
            organisation: self.organisation,
            name: self.name.clone(),
            spec: table::find(&provider)?,
            config,
            token: Secret::new(String::new()),
            limits: self.limits,
            is_default: false,
        })
    }

    /// Whether it is one of several that a configuration may have, beside that itself.
    pub fn is_within(&self) -> bool {
        self.line != self.id
    }
}

impl Deref for Trunk {
    type Target = TrunkConfig;

    fn deref(&self) -> &TrunkConfig {
        &self.config
    }
}
