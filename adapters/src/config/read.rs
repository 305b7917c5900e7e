//! Reads what a client wrote, by the fields.

use serde_json::{Map, Value, json};

use super::mask::{is_mask, is_mask_of};
use super::moved;
use super::{ConfigErrors, Problem, RawConfig, get};
use crate::ui::{Choice, Condition, FieldKind, TextRule, UiField, rules};

pub(super) fn read(
    fields: &[UiField],
    given: &Value,
    stored: Option<&RawConfig>,
) -> Result<RawConfig, ConfigErrors> {
    let mut errors = ConfigErrors::default();
    let config = read_object(fields, given, stored, "", &mut errors);
    if let Some(stored) = stored {
        moved::demand(fields, given, &config, stored, &mut errors);
    }
    errors.into_result()?;
    Ok(config)
}

impl UiField {
    /// True if `value` is what the field demands, in its one written form.
    pub fn accepts(&self, value: &Value) -> bool {
        let mut errors = ConfigErrors::default();
        self::value(self, self.name, value, &mut errors).as_ref() == Some(value)
    }
}

fn read_object(
    fields: &[UiField],
    given: &Value,
    stored: Option<&RawConfig>,
    path: &str,
    errors: &mut ConfigErrors,
) -> RawConfig {
    let mut config = RawConfig::default();
    let Value::Object(given) = given else {
        errors.push(path, Problem::Type("an object"));
        return config;
    };
    unknown(fields, given, path, "", errors);
    for field in fields {
        // The server's own are carried over by the caller, whatever was given.
        if field.is_managed() || !visible(field.visible_when, &config) {
            continue;
        }
        let path = format!("{path}{}", field.name);
        match get(given, field.name).filter(|value| !is_empty(value)) {
            Some(value) => {
                let kept = stored.and_then(|stored| keep(field, value, stored));
                let value = match &kept {
                    Some(kept) => self::value(field, &path, kept, errors),
                    None => self::value(field, &path, value, errors),
                };
                if let Some(value) = value {
                    config.set(field.name, value);
                }
            }
            None => match field.default {
                Some(default) => config.set(field.name, default.json()),
                None if field.required => errors.push(path, Problem::Missing),
                None => {}
            },
        }
    }
    config
}

fn visible(condition: Option<Condition>, config: &RawConfig) -> bool {
    condition.is_none_or(|Condition { field, equals }| config.get(field) == Some(&equals.json()))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// Reports what is no field. `name` is the dotted name that led here, `""` at the top.
fn unknown(
    fields: &[UiField],
    given: &Map<String, Value>,
    path: &str,
    name: &str,
    errors: &mut ConfigErrors,
) {
    for (key, value) in given {
        let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        if key.contains('.') {
            errors.push(format!("{path}{name}"), Problem::Unknown);
            continue;
        }
        if fields.iter().any(|field| field.name == name) {
            continue;
        }
        let inside = |field: &&UiField| {
            field.name.strip_prefix(&name).is_some_and(|rest| rest.starts_with('.'))
        };
        match value {
            _ if !fields.iter().any(|field| inside(&field)) => {
                errors.push(format!("{path}{name}"), Problem::Unknown);
            }
            Value::Object(map) => unknown(fields, map, path, &name, errors),
            Value::Null => {}
            _ => errors.push(format!("{path}{name}"), Problem::Type("an object")),
        }
    }
}

/// What is stored for a secret of which the mask was given. In a map, entry by entry.
fn keep(field: &UiField, given: &Value, stored: &RawConfig) -> Option<Value> {
    if !field.secret {
        return None;
    }
    match (given, stored.get(field.name)?) {
        (Value::Object(given), Value::Object(stored)) => {
            let merge = |(key, value): (&String, &Value)| {
                let kept = stored.get(key).filter(|stored| is_mask_of(value, stored));
                (key.clone(), kept.unwrap_or(value).clone())
            };
            Some(Value::Object(given.iter().map(merge).collect()))
        }
        (given, stored) if is_mask_of(given, stored) => Some(stored.clone()),
        _ => None,
    }
}

/// Reads one value; reports what is wrong with it.
pub(super) fn value(
    field: &UiField,
    path: &str,
    value: &Value,
    errors: &mut ConfigErrors,
) -> Option<Value> {
    let read = match field.kind {
        FieldKind::Text(rule) => text(value, rule, field.secret).map(Value::from),
        FieldKind::Textarea(rule) => lines(value, rule, field.secret).map(Value::from),
        FieldKind::Password { chars_max } => password(value, chars_max).map(Value::from),
        FieldKind::Number { min, max, .. } => match value.as_i64() {
            None => Err(Problem::Type("a whole number")),
            Some(number) if (min..=max).contains(&number) => Ok(json!(number)),
            Some(_) => Err(Problem::Range { min, max }),
        },
        FieldKind::Boolean => {
            value.as_bool().map(Value::from).ok_or(Problem::Type("true or false"))
        }
        FieldKind::Select(choices) => choice(value, choices),
        FieldKind::Choices(choices) => {
            return each(value, path, choices.len(), errors, |_, value, _| choice(value, choices));
        }
        FieldKind::List { rule, entries_max } => {
            return each(value, path, entries_max, errors, |_, value, _| {
                text(value, rule, false).map(Value::from)
            });
        }
        FieldKind::Phones { entries_max } => {
            return each(value, path, entries_max, errors, |_, value, _| {
                text(value, rules::E164, false).map(Value::from)
            });
        }
        FieldKind::Map { key, value: rule, entries_max } => {
            return map(value, path, key, rule, field.secret, entries_max, errors);
        }
        FieldKind::Rows { fields, entries_max } => {
            return each(value, path, entries_max, errors, |path, value, errors| {
                Ok(Value::Object(read_object(fields, value, None, &format!("{path}."), errors).0))
            });
        }
    };
    read.map_err(|problem| errors.push(path, problem)).ok()
}

fn text(value: &Value, rule: TextRule, secret: bool) -> Result<String, Problem> {
    let text = value.as_str().ok_or(Problem::Type("a text"))?.trim();
    if text.chars().any(char::is_control) {
        return Err(Problem::Control);
    }
    ruled(text, rule, secret)
}

fn lines(value: &Value, rule: TextRule, secret: bool) -> Result<String, Problem> {
    let text = value.as_str().ok_or(Problem::Type("a text"))?;
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(Problem::Control);
    }
    ruled(text, rule, secret)
}

fn ruled(text: &str, rule: TextRule, secret: bool) -> Result<String, Problem> {
    if text.is_empty() {
        return Err(Problem::Missing);
    }
    if text.chars().count() > rule.chars_max {
        return Err(Problem::TooLong(rule.chars_max));
    }
    if secret && is_mask(text) {
        return Err(Problem::Mask);
    }
    (rule.read)(text).map_err(Problem::Rule)
}

fn password(value: &Value, chars_max: usize) -> Result<String, Problem> {
    let text = value.as_str().ok_or(Problem::Type("a text"))?;
    if text.chars().any(char::is_control) {
        return Err(Problem::Control);
    }
    if text.trim() != text {
        return Err(Problem::Blank);
    }
    if text.chars().count() > chars_max {
        return Err(Problem::TooLong(chars_max));
    }
    if is_mask(text) {
        return Err(Problem::Mask);
    }
    Ok(text.to_owned())
}

fn choice(value: &Value, choices: &[Choice]) -> Result<Value, Problem> {
    let text = value.as_str().ok_or(Problem::Type("a text"))?;
    if choices.iter().any(|choice| choice.value == text) {
        return Ok(json!(text));
    }
    let values: Vec<_> = choices.iter().map(|choice| choice.value).collect();
    Err(Problem::Choice(values.join(", ")))
}

/// Reads a list, each entry once.
fn each(
    value: &Value,
    path: &str,
    entries_max: usize,
    errors: &mut ConfigErrors,
    read: impl Fn(&str, &Value, &mut ConfigErrors) -> Result<Value, Problem>,
) -> Option<Value> {
    let Value::Array(list) = value else {
        errors.push(path, Problem::Type("a list"));
        return None;
    };
    if list.len() > entries_max {
        errors.push(path, Problem::TooMany(entries_max));
        return None;
    }
    let mut values = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let path = format!("{path}[{index}]");
        match read(&path, value, errors) {
            Ok(value) if values.contains(&value) => errors.push(path, Problem::Twice),
            Ok(value) => values.push(value),
            Err(problem) => errors.push(path, problem),
        }
    }
    Some(Value::Array(values))
}

fn map(
    value: &Value,
    path: &str,
    key_rule: TextRule,
    rule: TextRule,
    secret: bool,
    entries_max: usize,
    errors: &mut ConfigErrors,
) -> Option<Value> {
    let Value::Object(map) = value else {
        errors.push(path, Problem::Type("an object"));
        return None;
    };
    if map.len() > entries_max {
        errors.push(path, Problem::TooMany(entries_max));
        return None;
    }
    let mut values = Map::new();
    for (key, value) in map {
        let path = format!("{path}.{key}");
        let name = match text(&json!(key), key_rule, false) {
            Ok(name) => name,
            Err(problem) => {
                errors.push(path, problem);
                continue;
            }
        };
        match text(value, rule, secret) {
            Ok(_) if values.contains_key(&name) => errors.push(path, Problem::Twice),
            Ok(text) => {
                values.insert(name, json!(text));
            }
            Err(problem) => errors.push(path, problem),
        }
    }
    Some(Value::Object(values))
}
