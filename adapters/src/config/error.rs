//! What is wrong with a configuration, field by field.

use std::fmt;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// What is wrong with one field. Never tells its value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// There must be a value.
    #[error("missing")]
    Missing,
    /// There is no such field.
    #[error("no such field")]
    Unknown,
    /// The value is of the wrong type.
    #[error("not {0}")]
    Type(&'static str),
    /// A text is too long.
    #[error("longer than {0} characters")]
    TooLong(usize),
    /// A text holds a control character.
    #[error("holds a control character")]
    Control,
    /// A secret begins or ends with a blank, as happens when it is copied.
    #[error("begins or ends with a blank")]
    Blank,
    /// A mask was written that is not that of the stored secret.
    #[error("this is a mask, not the value itself")]
    Mask,
    /// A mask was written of a secret that would go elsewhere, as the field of that name says.
    #[error("to be given again, as a change of {0} decides where it goes")]
    Again(&'static str),
    /// A number is out of range.
    #[error("not from {min} to {max}")]
    Range {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// A value is none of those there are.
    #[error("not one of {0}")]
    Choice(String),
    /// A list is too long.
    #[error("more than {0} entries")]
    TooMany(usize),
    /// Something stands in a list twice.
    #[error("there already")]
    Twice,
    /// A text or a combination of fields is not what it must be.
    #[error("{0}")]
    Rule(&'static str),
    /// A reader of the text refused it, and says why without repeating it.
    #[error("{0}")]
    Refused(String),
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {problem}")]
pub struct ConfigError {
    /// Path of the field, such as `auth.password` or `targets[1].port`; empty for the whole.
    pub field: String,
    /// What is wrong.
    pub problem: Problem,
}

impl Serialize for ConfigError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut error = serializer.serialize_struct("ConfigError", 2)?;
        error.serialize_field("field", &self.field)?;
        error.serialize_field("problem", &self.problem.to_string())?;
        error.end()
    }
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Error, Serialize)]
#[serde(transparent)]
pub struct ConfigErrors(Vec<ConfigError>);

/// Most errors that are collected: what is wrong a hundred times is wrong for one reason.
const ERRORS_MAX: usize = 100;
/// Most characters of a path, as names of unknown fields are repeated in it.
const PATH_CHARS_MAX: usize = 128;

impl ConfigErrors {
    /// One error.
    pub fn one(field: impl Into<String>, problem: Problem) -> Self {
        let mut errors = Self::default();
        errors.push(field, problem);
        errors
    }

    /// Adds an error.
    pub fn push(&mut self, field: impl Into<String>, problem: Problem) {
        if self.0.len() < ERRORS_MAX {
            let shown = |character: char| if character.is_control() { '?' } else { character };
            let field = field.into().chars().take(PATH_CHARS_MAX).map(shown).collect();
            self.0.push(ConfigError { field, problem });
        }
    }

    /// The errors in the order of the fields.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }

    /// `Ok` if there are none.
    ///
    /// # Errors
    ///
    /// The errors themselves.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let gap = if index == 0 { "" } else { "; " };
            write!(f, "{gap}{error}")?;
        }
        Ok(())
    }
}
