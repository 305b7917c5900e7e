//! Secrets that would go elsewhere.
//!
//! Whoever may write a configuration may not read its secrets. Could he keep one by its mask and
//! change the host that it is sent to, he would read it there.

use serde_json::{Map, Value};

use super::mask::is_mask_of;
use super::{ConfigErrors, Problem, RawConfig, get};
use crate::ui::{FieldKind, UiField};

/// Demands each secret of which the mask was given, if a field steers them where they did not go.
pub(super) fn demand(
    fields: &[UiField],
    given: &Value,
    config: &RawConfig,
    stored: &RawConfig,
    errors: &mut ConfigErrors,
) {
    let moved = fields.iter().find(|field| is_moved(field, config, stored));
    let (Some(moved), Some(given)) = (moved, given.as_object()) else { return };
    for field in fields.iter().filter(|field| field.secret && config.get(field.name).is_some()) {
        let name = field.name;
        match (get(given, name), stored.get(name)) {
            (Some(Value::Object(given)), Some(Value::Object(stored))) => {
                let is_kept = |(key, value): &(&String, &Value)| {
                    stored.get(*key).is_some_and(|stored| is_mask_of(value, stored))
                };
                for (key, _) in given.iter().filter(is_kept) {
                    errors.push(format!("{name}.{key}"), Problem::Again(moved.name));
                }
            }
            (Some(given), Some(stored)) if is_mask_of(given, stored) => {
                errors.push(name, Problem::Again(moved.name));
            }
            _ => {}
        }
    }
}

/// True if the field steers, and to somewhere that is new.
fn is_moved(field: &UiField, config: &RawConfig, stored: &RawConfig) -> bool {
    let places = |config: &RawConfig| config.get(field.name).map(|value| places(field, value));
    match (places(config), places(stored)) {
        (Some(new), Some(old)) => new.iter().any(|place| !old.contains(place)),
        (Some(new), None) => !new.is_empty(),
        (None, _) => false,
    }
}

/// Where a value leads: of rows each by those of its fields that steer.
fn places(field: &UiField, value: &Value) -> Vec<Value> {
    match (field.kind, value) {
        (FieldKind::Rows { fields, .. }, Value::Array(rows)) => {
            let steering: Vec<_> = fields.iter().filter(|field| field.steers).collect();
            let place = |row: &Value| {
                let row = row.as_object();
                let part = |field: &&UiField| {
                    Some((field.name.to_owned(), get(row?, field.name)?.clone()))
                };
                Value::Object(steering.iter().filter_map(part).collect::<Map<_, _>>())
            };
            if steering.is_empty() { Vec::new() } else { rows.iter().map(place).collect() }
        }
        _ if field.steers => vec![value.clone()],
        _ => Vec::new(),
    }
}
