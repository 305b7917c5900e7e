//! The schema of a configuration, as a fragment for OpenAPI 3.1 (JSON Schema 2020-12).

use serde_json::{Map, Value, json};

use super::{FieldKind, TextRule, UiField};

/// The schema of what a client may write for `fields`. Dotted names nest.
///
/// A field that exists on a condition is required on that condition only.
pub fn schema(fields: &[UiField]) -> Value {
    let mut root = object();
    let mut conditions = Vec::new();
    for field in fields.iter().filter(|field| !field.is_managed()) {
        place(&mut root, field.name, property(field));
        if !field.required || field.default.is_some() {
            continue;
        }
        match field.visible_when {
            None => require(&mut root, field.name),
            Some(condition) => {
                // An absent field has its default, so that the condition may hold without it.
                let by_default = fields.iter().any(|other| {
                    other.name == condition.field && other.default == Some(condition.equals)
                });
                let value = json!({"const": condition.equals.json()});
                let is = at(condition.field, value, !by_default);
                let there = at(field.name, json!({}), true);
                conditions.push(json!({"if": is, "then": there}));
            }
        }
    }
    if !conditions.is_empty() {
        root.insert("allOf".to_owned(), Value::Array(conditions));
    }
    Value::Object(root)
}

fn object() -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("type".to_owned(), json!("object"));
    object.insert("additionalProperties".to_owned(), json!(false));
    object.insert("properties".to_owned(), json!({}));
    object
}

/// The child of `object` with that name among its properties.
fn child<'o>(object: &'o mut Map<String, Value>, name: &str) -> Option<&'o mut Map<String, Value>> {
    let properties = object.get_mut("properties")?.as_object_mut()?;
    let child = properties.entry(name.to_owned()).or_insert_with(|| Value::Object(self::object()));
    child.as_object_mut()
}

fn place(object: &mut Map<String, Value>, name: &str, property: Value) {
    match name.split_once('.') {
        Some((head, rest)) => {
            if let Some(child) = child(object, head) {
                place(child, rest, property);
            }
        }
        None => {
            if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
                properties.insert(name.to_owned(), property);
            }
        }
    }
}

/// Requires a field, and with it the objects it lies in.
fn require(object: &mut Map<String, Value>, name: &str) {
    let (head, rest) = name.split_once('.').map_or((name, None), |(head, rest)| (head, Some(rest)));
    let required = object.entry("required").or_insert_with(|| json!([]));
    if let Some(required) = required.as_array_mut()
        && !required.iter().any(|name| name == head)
    {
        required.push(json!(head));
    }
    if let (Some(rest), Some(child)) = (rest, child(object, head)) {
        require(child, rest);
    }
}

/// A schema that holds if `property` holds for the field `name`, and, if it `must_exist`, only if
/// it is there.
fn at(name: &str, property: Value, must_exist: bool) -> Value {
    name.rsplit('.').fold(property, |inner, part| {
        let required: &[&str] = if must_exist { &[part] } else { &[] };
        json!({"type": "object", "properties": {part: inner}, "required": required})
    })
}

fn property(field: &UiField) -> Value {
    let mut property = match field.kind {
        FieldKind::Text(rule) | FieldKind::Textarea(rule) => text(rule),
        FieldKind::Password { chars_max } => {
            json!({"type": "string", "format": "password", "maxLength": chars_max})
        }
        FieldKind::Number { min, max, .. } => {
            json!({"type": "integer", "minimum": min, "maximum": max})
        }
        FieldKind::Boolean => json!({"type": "boolean"}),
        FieldKind::Select(choices) => {
            let values: Vec<_> = choices.iter().map(|choice| choice.value).collect();
            json!({"type": "string", "enum": values})
        }
        FieldKind::Choices(choices) => {
            let values: Vec<_> = choices.iter().map(|choice| choice.value).collect();
            json!({
                "type": "array", "minItems": 1, "uniqueItems": true,
                "items": {"type": "string", "enum": values},
            })
        }
        FieldKind::List { rule, entries_max } => list(text(rule), entries_max),
        FieldKind::Phones { entries_max } => list(text(super::rules::E164), entries_max),
        FieldKind::Map { key, value, entries_max } => json!({
            "type": "object", "maxProperties": entries_max,
            "propertyNames": text(key), "additionalProperties": text(value),
        }),
        FieldKind::Rows { fields, entries_max } => list(schema(fields), entries_max),
    };
    if let Some(property) = property.as_object_mut() {
        property.insert("title".to_owned(), json!(field.label));
        if !field.help.is_empty() {
            property.insert("description".to_owned(), json!(field.help));
        }
        if let Some(default) = field.default {
            property.insert("default".to_owned(), default.json());
        }
        if field.secret {
            // Read back as a mask, which is no value of the field but stands for "as it is".
            property.insert("writeOnly".to_owned(), json!(true));
        }
    }
    property
}

fn text(rule: TextRule) -> Value {
    let mut text = json!({"type": "string", "maxLength": rule.chars_max});
    if let (false, Some(text)) = (rule.format.is_empty(), text.as_object_mut()) {
        text.insert("format".to_owned(), json!(rule.format));
    }
    text
}

fn list(items: Value, entries_max: usize) -> Value {
    json!({"type": "array", "maxItems": entries_max, "uniqueItems": true, "items": items})
}
