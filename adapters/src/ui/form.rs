//! The form of a configuration, as JSON for the user interface.

use serde_json::{Map, Value, json};

use super::{Choice, FieldKind, Literal, UiField};
use crate::spec::ProviderSpec;

/// What a user interface needs to draw the form of a provider's configuration.
pub fn form(spec: &ProviderSpec) -> Value {
    let sections: Vec<Value> = spec
        .ui
        .sections
        .iter()
        .map(|section| json!({"name": section.name, "title": section.title, "help": section.help}))
        .collect();
    json!({
        "provider": spec.name,
        "display_name": spec.ui.display_name,
        "summary": spec.ui.summary,
        "connectivity": spec.ui.connectivity.as_str(),
        "docs_url": spec.ui.docs_url,
        "requires_caller_id": spec.requires_caller_id,
        "capabilities": spec.capabilities().map(|(word, _)| word).collect::<Vec<_>>(),
        "sections": sections,
        "fields": fields(spec.ui.fields),
        "trunk_fields": spec.trunks.map(|trunks| fields(trunks.fields)),
    })
}

fn fields(fields: &[UiField]) -> Vec<Value> {
    fields.iter().filter(|field| field.is_shown()).map(field).collect()
}

fn field(field: &UiField) -> Value {
    let mut form = Map::new();
    let mut put = |key: &str, value: Value| {
        form.insert(key.to_owned(), value);
    };
    put("name", json!(field.name));
    put("label", json!(field.label));
    put("type", json!(field.kind.as_str()));
    put("section", json!(field.section));
    put("description", json!(field.help));
    put("placeholder", json!(field.placeholder));
    put("required", json!(field.required));
    put("sensitive", json!(field.secret));
    put("readonly", json!(field.is_managed()));
    put("in_use", json!(field.in_use));
    put("advanced", json!(field.advanced));
    if let Some(condition) = field.visible_when {
        put("visible_when", json!({"field": condition.field, "equals": condition.equals.json()}));
    }
    if let Some(default) = field.default {
        put("default", default.json());
    }
    match field.kind {
        FieldKind::Text(rule) | FieldKind::Textarea(rule) => {
            put("chars_max", json!(rule.chars_max));
            put("format", json!(rule.format));
        }
        FieldKind::Password { chars_max } => put("chars_max", json!(chars_max)),
        FieldKind::Number { min, max, unit } => {
            put("min", json!(min));
            put("max", json!(max));
            put("unit", json!(unit));
        }
        FieldKind::Boolean => {}
        FieldKind::Select(choices) | FieldKind::Choices(choices) => {
            put("options", choices.iter().map(Choice::json).collect());
        }
        FieldKind::List { rule, entries_max } => {
            put("entries_max", json!(entries_max));
            put("format", json!(rule.format));
        }
        FieldKind::Phones { entries_max } => {
            put("entries_max", json!(entries_max));
            put("format", json!("e164"));
        }
        FieldKind::Map { key, value, entries_max } => {
            put("entries_max", json!(entries_max));
            put("key_format", json!(key.format));
            put("format", json!(value.format));
        }
        FieldKind::Rows { fields: rows, entries_max } => {
            put("entries_max", json!(entries_max));
            put("fields", json!(fields(rows)));
        }
    }
    Value::Object(form)
}

impl Choice {
    fn json(&self) -> Value {
        json!({"value": self.value, "label": self.label})
    }
}

impl Literal {
    /// The value as JSON.
    pub fn json(self) -> Value {
        match self {
            Self::Flag(flag) => json!(flag),
            Self::Number(number) => json!(number),
            Self::Text(text) => json!(text),
            Self::Texts(texts) => json!(texts),
        }
    }
}
