//! The schema says of each configuration what the reader says.

use adapters::config::Problem;
use adapters::spec::ProviderSpec;
use adapters::ui::schema;
use serde_json::{Value, json};

use crate::support::entry::entries;

/// As much of JSON Schema 2020-12 as our schemas use; an unknown keyword is a failure.
fn holds(schema: &Value, value: &Value) -> bool {
    schema.as_object().unwrap().iter().all(|(keyword, rule)| match keyword.as_str() {
        "title" | "description" | "default" | "writeOnly" | "format" => true,
        "type" => match rule.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64(),
            "boolean" => value.is_boolean(),
            other => panic!("type {other}"),
        },
        "const" => value == rule,
        "enum" => rule.as_array().unwrap().contains(value),
        "minimum" => value.as_i64().is_none_or(|n| n >= rule.as_i64().unwrap()),
        "maximum" => value.as_i64().is_none_or(|n| n <= rule.as_i64().unwrap()),
        "maxLength" => {
            value.as_str().is_none_or(|s| s.chars().count() as u64 <= rule.as_u64().unwrap())
        }
        "minItems" => value.as_array().is_none_or(|a| a.len() as u64 >= rule.as_u64().unwrap()),
        "maxItems" => value.as_array().is_none_or(|a| a.len() as u64 <= rule.as_u64().unwrap()),
        "uniqueItems" => value
            .as_array()
            .is_none_or(|a| a.iter().enumerate().all(|(at, item)| !a[..at].contains(item))),
        "items" => value.as_array().is_none_or(|a| a.iter().all(|item| holds(rule, item))),
        "maxProperties" => {
            value.as_object().is_none_or(|o| o.len() as u64 <= rule.as_u64().unwrap())
        }
        "propertyNames" => {
            value.as_object().is_none_or(|o| o.keys().all(|key| holds(rule, &json!(key))))
        }
        "properties" => value.as_object().is_none_or(|object| {
            let rules = rule.as_object().unwrap();
            rules.iter().all(|(key, rule)| object.get(key).is_none_or(|value| holds(rule, value)))
        }),
        "additionalProperties" => value.as_object().is_none_or(|object| {
            let known = schema.get("properties").and_then(Value::as_object);
            let mut more =
                object.iter().filter(|(key, _)| known.is_none_or(|k| !k.contains_key(*key)));
            match rule {
                Value::Bool(false) => more.next().is_none(),
                rule => more.all(|(_, value)| holds(rule, value)),
            }
        }),
        "required" => value.as_object().is_none_or(|object| {
            rule.as_array().unwrap().iter().all(|key| object.contains_key(key.as_str().unwrap()))
        }),
        "allOf" => rule.as_array().unwrap().iter().all(|rule| holds(rule, value)),
        "if" => !holds(rule, value) || holds(&schema["then"], value),
        "then" => schema.get("if").is_some(),
        other => panic!("keyword {other}"),
    })
}

fn misses(spec: &ProviderSpec, given: &Value) -> bool {
    let errors = spec.read(given, None).err();
    errors.is_some_and(|errors| errors.iter().any(|error| error.problem == Problem::Missing))
}

/// The schema admits every configuration as it was written and as it was read, and refuses one with
/// an unknown field or without what is required, also where that depends on another field.
#[test]
fn the_schema_agrees_with_the_reader() {
    for entry in entries() {
        let spec = entry.spec;
        let schema = schema(spec.ui.fields);
        for (name, fixture) in entry.configs() {
            assert!(holds(&schema, &fixture.config), "{name}");
            let config = spec.read(&fixture.config, None).unwrap();
            let full = Value::Object(config.expose().clone());
            assert!(holds(&schema, &full), "{name}");
            let mut unknown = full.clone();
            unknown["no_such_field"] = json!(1);
            assert!(!holds(&schema, &unknown), "{name}");
            for field in spec.ui.fields.iter().filter(|field| config.get(field.name).is_some()) {
                let mut without = full.clone();
                let mut parts: Vec<_> = field.name.split('.').collect();
                let last = parts.pop().unwrap();
                let parent = parts.iter().fold(&mut without, |value, part| &mut value[*part]);
                parent.as_object_mut().unwrap().remove(last);
                let place = format!("{name} without {}", field.name);
                assert_eq!(holds(&schema, &without), !misses(spec, &without), "{place}");
            }
        }
        assert_eq!(holds(&schema, &json!({})), !misses(spec, &json!({})), "{}", spec.name);
        if let Some(trunks) = spec.trunks {
            assert!(!holds(&adapters::ui::schema(trunks.fields), &json!({})));
        }
    }
}
