//! The fields: what they are, what is read, what is masked, what is shown.

use std::collections::HashSet;

use adapters::config::{Problem, RawConfig};
use adapters::ui::{FieldKind, UiField, form};
use serde_json::{Value, json};

use crate::support::entry::entries;

fn is_field_name(name: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase())
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    name.split('.').all(part)
}

fn examine(owner: &str, fields: &[UiField], sections: &[&str]) {
    for (at, field) in fields.iter().enumerate() {
        let place = format!("{owner}: {}", field.name);
        assert!(is_field_name(field.name), "{place}");
        assert!(!field.label.is_empty() && sections.contains(&field.section), "{place}");
        assert!(field.help.is_empty() || field.help.ends_with('.'), "{place}: {}", field.help);
        for other in &fields[at + 1..] {
            let nested = |a: &str, b: &str| a == b || a.starts_with(&format!("{b}."));
            assert!(!nested(field.name, other.name) && !nested(other.name, field.name), "{place}");
        }
        let may_be_secret = matches!(
            field.kind,
            FieldKind::Text(_)
                | FieldKind::Password { .. }
                | FieldKind::Textarea(_)
                | FieldKind::Map { .. }
        );
        assert!(!field.secret || may_be_secret, "{place}: a secret of this kind is not masked");
        assert!(field.secret || !matches!(field.kind, FieldKind::Password { .. }), "{place}");
        if let Some(condition) = field.visible_when {
            let earlier = fields[..at].iter().find(|earlier| earlier.name == condition.field);
            let earlier = earlier.unwrap_or_else(|| panic!("{place}: depends on a later field"));
            assert!(earlier.accepts(&condition.equals.json()) && !earlier.secret, "{place}");
        }
        if let Some(default) = field.default {
            assert!(field.accepts(&default.json()) && !field.secret && !field.required, "{place}");
        }
        match field.kind {
            FieldKind::Select(choices) | FieldKind::Choices(choices) => {
                let values: HashSet<_> = choices.iter().map(|choice| choice.value).collect();
                assert!(values.len() == choices.len() && choices.len() > 1, "{place}");
                assert!(choices.iter().all(|choice| !choice.label.is_empty()), "{place}");
            }
            FieldKind::Number { min, max, .. } => assert!(min < max, "{place}"),
            FieldKind::Rows { fields, .. } => {
                for row in fields {
                    let plain = !row.secret && !row.is_managed() && row.visible_when.is_none();
                    assert!(plain && !matches!(row.kind, FieldKind::Rows { .. }), "{place}");
                }
                examine(&place, fields, sections);
            }
            _ => {}
        }
    }
}

/// Fields have labels, sections and unique names that nest without collision; conditions look back;
/// defaults are legal; whatever is secret can be masked.
#[test]
fn fields_are_sound() {
    for entry in entries() {
        let spec = entry.spec;
        let sections: Vec<_> = spec.ui.sections.iter().map(|section| section.name).collect();
        examine(spec.name, spec.ui.fields, &sections);
        for section in &sections {
            assert!(spec.ui.fields.iter().any(|field| field.section == *section), "{section}");
        }
        if let Some(account) = spec.account_field {
            let field = spec.ui.fields.iter().find(|field| field.name == account).unwrap();
            assert!(field.required && !field.is_managed() && field.visible_when.is_none());
        }
        if let Some(trunks) = spec.trunks {
            examine(&format!("{} trunk", spec.name), trunks.fields, &["trunk"]);
        }
    }
}

/// Every fixture says where it comes from; together the configurations use every field, and the
/// first alone every secret.
#[test]
fn fixtures_cover_the_fields() {
    for entry in entries() {
        let mut used = HashSet::new();
        let configs = entry.configs();
        for (name, fixture) in &configs {
            assert!(!fixture.origin.is_empty(), "{name}");
            let config = RawConfig::from_stored(fixture.config.clone()).unwrap();
            let named =
                entry.spec.ui.fields.iter().filter(|field| config.get(field.name).is_some());
            used.extend(named.map(|field| field.name));
        }
        for field in entry.spec.ui.fields.iter().filter(|field| !field.is_managed()) {
            assert!(used.contains(field.name), "{}: {} is unused", entry.spec.name, field.name);
        }
        let secret = entry.spec.ui.fields.iter().any(|field| field.secret);
        assert_eq!(entry.secrets().is_empty(), !secret);
    }
}

/// No secret of a carrier is kept by its mask where it did not go: each field that steers is
/// changed in turn, and all that is masked is asked for. Whatever is an address of the API does
/// steer.
#[test]
fn no_secret_moves_by_its_mask() {
    for entry in entries() {
        let spec = entry.spec;
        let steers = |field: &UiField| match field.kind {
            FieldKind::Rows { fields, .. } => fields.iter().any(|field| field.steers),
            _ => field.steers,
        };
        for (name, fixture) in entry.configs() {
            let config = spec.read(&fixture.config, None).unwrap();
            let secrets = spec.ui.fields.iter().filter(|field| field.secret);
            let secrets: Vec<_> = secrets.filter(|it| config.get(it.name).is_some()).collect();
            let steering = spec.ui.fields.iter().filter(|field| steers(field));
            for field in steering.filter(|field| config.get(field.name).is_some()) {
                // Before, it was sent nowhere.
                let mut before = Value::Object(config.expose().clone());
                let pointer = format!("/{}", field.name.replace('.', "/"));
                *before.pointer_mut(&pointer).unwrap() = Value::Null;
                let before = RawConfig::from_stored(before).unwrap();
                let moved = spec.read(&spec.masked(&config), Some(&before));
                if secrets.is_empty() {
                    continue;
                }
                let errors = moved.expect_err(&name);
                let asked = |secret: &UiField| {
                    errors.iter().any(|error| {
                        error.field.starts_with(secret.name)
                            && error.problem == Problem::Again(field.name)
                    })
                };
                assert!(secrets.iter().all(|secret| asked(secret)), "{name}: {}", field.name);
            }
        }
        let base = spec.ui.fields.iter().find(|field| field.name == "api_base");
        assert!(base.is_none_or(|field| field.steers), "{}", spec.name);
    }
}

/// Each configuration is read; what was read reads as itself; what is shown hides every secret, and
/// written back changes nothing.
#[test]
fn configurations_survive_a_masked_re_save() {
    for entry in entries() {
        let spec = entry.spec;
        for (name, fixture) in entry.configs() {
            let config = spec.read(&fixture.config, None).unwrap_or_else(|e| panic!("{name}: {e}"));
            let exposed = Value::Object(config.expose().clone());
            assert_eq!(spec.read(&exposed, None), Ok(config.clone()), "{name}");
            let shown = spec.masked(&config);
            assert_eq!(spec.read(&shown, Some(&config)), Ok(config.clone()), "{name}");
            for field in spec.ui.fields.iter().filter(|field| field.secret) {
                let Some(value) = config.get(field.name) else { continue };
                let shown = RawConfig::from_stored(shown.clone()).unwrap();
                assert_ne!(shown.get(field.name), Some(value), "{name}: {}", field.name);
            }
        }
        // With what the server manages, as it is stored.
        let config = entry.config();
        assert_eq!(spec.read(&spec.masked(&config), Some(&config)), Ok(config.clone()));
        let (shown, debug) = (spec.masked(&config).to_string(), format!("{config:?}"));
        for secret in entry.secrets() {
            let quoted = json!(secret).to_string();
            assert!(!shown.contains(quoted.trim_matches('"')) && !debug.contains(&secret));
        }
    }
}

fn remove(value: &mut Value, name: &str) {
    match name.split_once('.') {
        Some((head, rest)) => remove(&mut value[head], rest),
        None => drop(value.as_object_mut().unwrap().remove(name)),
    }
}

fn replace(value: &mut Value, name: &str, by: Value) {
    match name.split_once('.') {
        Some((head, rest)) => replace(&mut value[head], rest, by),
        None => value[name] = by,
    }
}

/// A required value that is missing, and a value of a wrong type, are reported with the name of the
/// field; no report tells a secret.
#[test]
fn faults_name_the_field() {
    for entry in entries() {
        let spec = entry.spec;
        let full =
            Value::Object(spec.read(&entry.configs()[0].1.config, None).unwrap().expose().clone());
        for field in spec.ui.fields.iter().filter(|field| !field.is_managed()) {
            let mut without = full.clone();
            remove(&mut without, field.name);
            let missing = spec.read(&without, None).err().is_some_and(|errors| {
                errors.iter().any(|e| e.field == field.name && e.problem == Problem::Missing)
            });
            assert_eq!(missing, field.required, "{}: {}", spec.name, field.name);
            for wrong in [json!({"a": {"b": []}}), json!(["\u{0}"]), json!(-1.5), json!("\u{1}")] {
                let mut bad = full.clone();
                replace(&mut bad, field.name, wrong.clone());
                let errors = spec.read(&bad, None).unwrap_err();
                let named = errors.iter().any(|error| error.field.starts_with(field.name));
                assert!(named, "{}: {} took {wrong}", spec.name, field.name);
            }
        }
        for secret in entry.secrets() {
            let text = full.to_string();
            let quoted = json!(secret).to_string();
            let broken = text.replace(
                quoted.trim_matches('"'),
                &format!("{}\\u0000", &quoted[1..quoted.len() - 1]),
            );
            let broken: Value = serde_json::from_str(&broken).unwrap();
            let errors = spec.read(&broken, None).unwrap_err();
            assert!(!format!("{errors:?} {errors}").contains(&secret), "{errors}");
        }
    }
}

/// The form holds each field that people see, and for each what its kind has to tell.
#[test]
fn the_form_is_complete() {
    for entry in entries() {
        let spec = entry.spec;
        let form = form(spec);
        assert_eq!(form["provider"], spec.name);
        assert_eq!(form["sections"].as_array().unwrap().len(), spec.ui.sections.len());
        assert_eq!(form["trunk_fields"].is_array(), spec.trunks.is_some());
        let shown: Vec<_> = spec.ui.fields.iter().filter(|field| field.is_shown()).collect();
        let listed = form["fields"].as_array().unwrap();
        assert_eq!(listed.len(), shown.len());
        for (json, field) in listed.iter().zip(shown) {
            assert_eq!(json["name"], field.name);
            assert_eq!(json["sensitive"], field.secret);
            assert_eq!(json["readonly"], field.is_managed());
            assert_eq!(json["in_use"], field.in_use);
            assert_eq!(json["advanced"], field.advanced);
            assert_eq!(json.get("visible_when").is_some(), field.visible_when.is_some());
            let tells: &[&str] = match json["type"].as_str().unwrap() {
                "text" | "textarea" => &["chars_max", "format"],
                "password" => &["chars_max"],
                "number" => &["min", "max", "unit"],
                "boolean" => &[],
                "select" | "choices" => &["options"],
                "list" | "phone-list" => &["entries_max", "format"],
                "map" => &["entries_max", "key_format", "format"],
                "rows" => &["entries_max", "fields"],
                other => panic!("{other}"),
            };
            assert!(tells.iter().all(|key| json.get(key).is_some()), "{json}");
        }
    }
}
