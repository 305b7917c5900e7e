//! What of a call is kept: `record` and `capture`, on routes and agents.

use std::path::PathBuf;

use super::section::Section;

/// What of a call is kept, as far as it was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Whether its sound is recorded, and where.
    pub record: Option<Record>,
    /// Whether its packets and messages are captured.
    pub capture: Option<bool>,
}

/// Whether a call is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Not by itself; agent and API may ask for it.
    Off,
    /// From the answer on.
    On {
        /// Folder of the file; that of the server if absent.
        folder: Option<PathBuf>,
    },
}

impl Keep {
    /// What is said here, and where nothing is, what `other` says.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        Self {
            record: self.record.or_else(|| other.record.clone()),
            capture: self.capture.or(other.capture),
        }
    }
}

/// Reads what is kept: `record = true`, or `record = { folder = "..." }`; `capture = true`.
pub(super) fn keep(section: &Section<'_>) -> Keep {
    let record = match section.table_if_one("record") {
        Some(table) => {
            let folder = table.path("folder");
            table.finish();
            Some(Record::On { folder })
        }
        None => section.flag("record").map(|on| match on {
            true => Record::On { folder: None },
            false => Record::Off,
        }),
    };
    Keep { record, capture: section.flag("capture") }
}
