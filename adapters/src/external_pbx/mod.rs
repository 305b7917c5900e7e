//! PBXs that own the calls of a telephony configuration: a dialler in front of a trunk or an
//! Asterisk, which holds the customer's leg while we hold another.
//!
//! It tells of its calls by SIP headers, and is told by requests to hang up on the customer, to
//! hand the customer to one of its groups, and what was learned of the customer.

mod fields;
mod template;
#[cfg(test)]
mod tests;
mod vicidial;

use std::fmt;

pub(crate) use fields::{SECTION, count, with};

use crate::config::RawConfig;
use crate::op::OpResult;
use crate::secret::Pii;

/// Fields of one update.
pub const FIELDS_MAX: usize = 32;
/// Most characters of a field's value.
pub const VALUE_CHARS_MAX: usize = 512;
/// The group that stands for the one that the call came from.
pub const SOURCE_GROUP: &str = "source";
/// How long a request may take if the configuration does not say, in seconds.
const TIMEOUT_DEFAULT_S: u32 = 5;

/// A kind of PBX, as data and pure functions.
#[derive(Debug)]
pub struct ExternalPbx {
    /// The value of the field `external_pbx.type` that chooses it.
    pub name: &'static str,
    /// What the names of its headers begin with.
    pub header_prefix: fn(&RawConfig) -> &str,
    /// The names of the headers that are read of an incoming call.
    pub headers: fn(&RawConfig) -> Vec<String>,
    /// Which of its calls this is, by the headers; `None` if it is none.
    pub identify: fn(&RawConfig, &[(String, String)]) -> Option<Identity>,
    /// Hangs up on the customer; with a status for the call, if there is one.
    pub hangup: fn(&RawConfig, &Identity, Option<&str>) -> OpResult<()>,
    /// Hands the customer to a group, as [`group`] found it; with a status.
    pub transfer: fn(&RawConfig, &Identity, &str, Option<&str>) -> OpResult<()>,
    /// Changes fields of the customer's record.
    pub update: fn(&RawConfig, &Identity, &[(String, String)]) -> OpResult<()>,
    /// Whether fields can be changed: their names and values.
    pub check: fn(&[(String, String)]) -> Result<(), &'static str>,
    /// The name of the field that is the status of a call as well.
    pub status_field: &'static str,
}

static ALL: &[&ExternalPbx] = &[&vicidial::SPEC];

/// The PBX that owns the calls of a configuration, if one does.
pub fn find(config: &RawConfig) -> Option<&'static ExternalPbx> {
    let name = config.text(fields::TYPE)?;
    ALL.iter().copied().find(|pbx| pbx.name == name)
}

/// The names of headers that are read of an incoming call besides those that agents are shown.
pub fn headers(config: &RawConfig) -> Vec<String> {
    find(config).map(|pbx| (pbx.headers)(config)).unwrap_or_default()
}

/// How long each request may take, in seconds.
pub fn timeout_s(config: &RawConfig) -> u32 {
    config.number(fields::TIMEOUT).unwrap_or(TIMEOUT_DEFAULT_S)
}

/// The id at the PBX of the group that is called `name`: by the configuration's list of groups, or
/// if it has none by the PBX's own names; [`SOURCE_GROUP`] is the one that the call came from.
pub fn group(config: &RawConfig, call: &Identity, name: &str) -> Option<String> {
    let groups = config.map(fields::GROUPS);
    if let Some(id) = groups.get(name) {
        return Some((*id).to_owned());
    }
    if name == SOURCE_GROUP {
        return call.group().map(str::to_owned);
    }
    groups.is_empty().then(|| fields::group_id(name).ok()).flatten()
}

/// The status that a call gets by which the customer is hung up on, or by which it is handed to a
/// group, unless the agent has given one.
pub fn usual_status(config: &RawConfig, is_transfer: bool) -> Option<&str> {
    config.text(if is_transfer { fields::TRANSFER_STATUS } else { fields::HANGUP_STATUS })
}

/// What is written into the customer's record at the end of a call, by the configuration's
/// templates over `facts`. What would be empty is left out.
pub fn closing(
    config: &RawConfig,
    call: &Identity,
    facts: &[(&str, String)],
) -> Vec<(String, String)> {
    let value = |name: &str| {
        let fact = facts.iter().find(|(known, _)| *known == name);
        fact.map(|(_, value)| value.as_str()).or_else(|| call.get(name))
    };
    let mut written = Vec::new();
    for (field, template) in config.map(fields::LEAD_FIELDS) {
        let text = template::filled(template, value);
        if !text.trim().is_empty() {
            written.push((field.to_owned(), text));
        }
    }
    written
}

/// What a PBX calls one of its calls, and says of it. `Debug` shows the names.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// What the names of variables begin with.
    variable_prefix: &'static str,
    group_name: &'static str,
    values: Vec<(String, Pii)>,
}

impl Identity {
    /// What is said by that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value.expose())
    }

    /// The group that the call came from.
    fn group(&self) -> Option<&str> {
        self.get(self.group_name)
    }

    /// All of it, as variables of the call.
    pub fn variables(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let prefix = self.variable_prefix;
        let named = move |(name, value): &(String, Pii)| {
            (format!("{prefix}{name}"), value.expose().to_owned())
        };
        self.values.iter().map(named)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.iter().map(|(name, _)| name)).finish()
    }
}
