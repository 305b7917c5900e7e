//! Masks of secrets.

use serde_json::{Map, Value};

use super::RawConfig;
use crate::ui::UiField;

/// Most characters of a secret that its mask shows.
const SHOWN_MAX: usize = 4;
/// A secret is at least this many times longer than what its mask shows.
const SHOWN_SHARE: usize = 4;

/// What is shown instead of a secret: its last four characters, or the last quarter of a short one,
/// and a star for each of the others.
pub fn mask(secret: &str) -> String {
    let length = secret.chars().count();
    let hidden = length - (length / SHOWN_SHARE).min(SHOWN_MAX);
    let star = |(index, character)| if index < hidden { '*' } else { character };
    secret.chars().enumerate().map(star).collect()
}

/// True if `text` looks like what [`mask`] makes.
pub(super) fn is_mask(text: &str) -> bool {
    let length = text.chars().count();
    let stars = length - (length / SHOWN_SHARE).min(SHOWN_MAX);
    length > 0 && text.chars().take(stars).all(|character| character == '*')
}

/// True if `given` is the mask of what is `stored`.
pub(super) fn is_mask_of(given: &Value, stored: &Value) -> bool {
    match (given.as_str(), stored.as_str()) {
        // Forms drop the line feed that a PEM text ends with.
        (Some(given), Some(stored)) => given.trim_end() == mask(stored).trim_end(),
        _ => false,
    }
}

pub(super) fn masked(fields: &[UiField], config: &RawConfig) -> Value {
    let mut shown = RawConfig::default();
    for field in fields.iter().filter(|field| field.is_shown()) {
        if let Some(value) = config.get(field.name) {
            let value = if field.secret { hide(value) } else { value.clone() };
            shown.set(field.name, value);
        }
    }
    Value::Object(shown.0)
}

/// Every text in the secret fields of `config`.
pub(super) fn secrets<'c>(fields: &[UiField], config: &'c RawConfig) -> Vec<&'c str> {
    let mut found = Vec::new();
    for field in fields.iter().filter(|field| field.secret) {
        collect(config.get(field.name), &mut found);
    }
    found
}

fn collect<'c>(value: Option<&'c Value>, found: &mut Vec<&'c str>) {
    match value {
        Some(Value::String(text)) => found.push(text),
        Some(Value::Object(map)) => map.values().for_each(|value| collect(Some(value), found)),
        Some(Value::Array(all)) => all.iter().for_each(|value| collect(Some(value), found)),
        Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => {}
    }
}

fn hide(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(mask(text)),
        Value::Object(map) => {
            let hide = |(key, value): (&String, &Value)| (key.clone(), hide(value));
            Value::Object(map.iter().map(hide).collect::<Map<_, _>>())
        }
        // No other kind of field may be secret; if one is, nothing of it is shown.
        _ => Value::Null,
    }
}
