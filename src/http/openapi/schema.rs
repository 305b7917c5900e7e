//! JSON Schemas in few words (JSON Schema 2020-12, as OpenAPI 3.1 has it).

use serde_json::{Map, Value, json};

/// Text of at most so many characters.
pub fn text(chars_max: usize) -> Value {
    json!({"type": "string", "maxLength": chars_max})
}

/// Text that is one of these words.
pub fn word(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

/// Text of this format.
pub fn format(format: &str) -> Value {
    json!({"type": "string", "format": format})
}

/// A whole number.
pub fn integer(min: i64, max: i64) -> Value {
    json!({"type": "integer", "minimum": min, "maximum": max})
}

/// A whole number of at least nothing.
pub fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

/// True or false.
pub fn flag() -> Value {
    json!({"type": "boolean"})
}

/// A list of `item`.
pub fn list(item: Value) -> Value {
    json!({"type": "array", "items": item})
}

/// Texts by name.
pub fn texts() -> Value {
    json!({"type": "object", "additionalProperties": {"type": "string"}})
}

/// Anything that is an object.
pub fn any_object() -> Value {
    json!({"type": "object"})
}

/// `schema`, or null.
pub fn nullable(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

/// The schema of that name among the document's.
pub fn named(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// `schema` with an explanation.
pub fn described(mut schema: Value, text: &str) -> Value {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), json!(text));
    }
    schema
}

/// An object with these fields and no other.
pub fn object(required: &[(&'static str, Value)], optional: &[(&'static str, Value)]) -> Value {
    let fields = required.iter().chain(optional);
    let properties: Map<String, Value> =
        fields.map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    let mut object =
        json!({"type": "object", "properties": properties, "additionalProperties": false});
    if let (false, Some(object)) = (required.is_empty(), object.as_object_mut()) {
        let names: Vec<&str> = required.iter().map(|(name, _)| *name).collect();
        object.insert("required".to_owned(), json!(names));
    }
    object
}
