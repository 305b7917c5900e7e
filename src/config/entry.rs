//! Agents that the API makes, read by the same rules as those of the file.

use std::path::Path;

use serde_json::{Map, Value as Json};

use super::agents::{self, AgentConfig};
use super::document::{Item, Table, Value};
use super::problem::{Place, Problem};
use super::section::{Reader, Section};

/// Keys that name files or folders of the server: whoever may use the API need not be whoever may
/// read and write there.
const FILE_KEYS: &[&str] = &["file", "folder", "hold_music", "ambient"];
/// Built-in agents that need one.
const FILE_AGENTS: &[&str] = &["play", "record"];

/// Reads an agent out of an object with the keys of `[[agents]]`, but for those that name files.
/// `null` stands for nothing.
///
/// # Errors
///
/// Everything that is wrong, each with its key. No message tells a secret.
pub fn agent_from_json(
    entry: &Map<String, Json>,
    dialects: &[&str],
) -> Result<AgentConfig, Vec<Problem>> {
    let table = table(entry);
    let refuse = |_: &Path| Err("only the configuration file may name files".to_owned());
    let reader = Reader::new(Path::new(""), &refuse, Vec::new());
    for key in FILE_KEYS.iter().filter(|key| table.get(key).is_some()) {
        refused(&reader, key);
    }
    if let Some(Value::Text(builtin)) = table.get("builtin").map(|item| &item.value)
        && FILE_AGENTS.iter().any(|name| name.eq_ignore_ascii_case(builtin))
    {
        refused(&reader, "builtin");
    }
    if let Some(Value::Table(_)) = table.get("record").map(|item| &item.value) {
        refused(&reader, "record");
    }
    let agent = agents::agent(Section::root(&reader, &table), dialects);
    let problems = reader.into_problems();
    match agent {
        Some(agent) if problems.is_empty() => Ok(agent),
        _ => Err(problems),
    }
}

fn refused(reader: &Reader<'_>, key: &str) {
    let message = "names a file; allowed in the configuration file only".to_owned();
    reader.report(&Place::Nowhere, key.to_owned(), message);
}

fn table(object: &Map<String, Json>) -> Table {
    let entries = object.iter().filter(|(_, value)| !value.is_null());
    Table { entries: entries.map(|(key, value)| (key.clone(), item(value))).collect() }
}

fn item(value: &Json) -> Item {
    let value = match value {
        Json::Null => Value::Other("null".to_owned()),
        Json::Bool(flag) => Value::Flag(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Value::Integer(number),
            (None, Some(number)) => Value::Float(number),
            (None, None) => Value::Other(number.to_string()),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(item).collect()),
        Json::Object(object) => Value::Table(table(object)),
    };
    Item { value, place: Place::Nowhere }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::AgentKind;
    use super::*;

    fn read(entry: &Json) -> Result<AgentConfig, Vec<String>> {
        let problems = agent_from_json(entry.as_object().unwrap(), &["other"]);
        problems.map_err(|problems| {
            let text = |problem: Problem| format!("{}: {}", problem.key, problem.message);
            problems.into_iter().map(text).collect()
        })
    }

    /// An agent out of JSON is what the file would have made of it.
    #[test]
    fn agents_are_read() {
        let agent = read(&json!({
            "name": "bot", "kind": "websocket", "url": "wss://a.example/x", "dialect": "other",
            "format": {"codec": "l16le", "rate_hz": 16_000}, "secret": "sixteen bytes or more",
            "max_calls": 5, "grace_ms": null,
        }))
        .unwrap();
        let AgentKind::WebSocket(socket) = &agent.kind else { panic!("{agent:?}") };
        assert_eq!((agent.name.as_str(), agent.max_calls), ("bot", Some(5)));
        assert_eq!(socket.format.unwrap().audio.rate_hz, 16_000);
        assert_eq!(socket.dialect, "other");
    }

    /// What is wrong is told with its key, all at once, and no secret is.
    #[test]
    fn mistakes_are_told() {
        let problems = read(&json!({
            "name": "a b", "kind": "websocket", "secret": "hunter2", "max_calls": 0, "x": 1,
            "format": {"codec": "l16le"},
        }))
        .unwrap_err();
        for key in ["name", "url", "secret", "max_calls", "x", "format.rate_hz"] {
            let start = format!("{key}: ");
            assert!(problems.iter().any(|problem| problem.starts_with(&start)), "{problems:?}");
        }
        assert!(!problems.concat().contains("hunter2"), "{problems:?}");
        assert!(!read(&json!({})).unwrap_err().is_empty());
    }

    /// Nobody reads or writes files of the server through an agent that the API made.
    #[test]
    fn files_are_out_of_reach() {
        let base = json!({"name": "a", "kind": "builtin", "builtin": "echo"});
        assert!(read(&base).is_ok());
        for (key, value) in [
            ("hold_music", json!("/etc/passwd")),
            ("ambient", json!("/etc/passwd")),
            ("builtin", json!("play")),
            ("builtin", json!("Record")),
            ("file", json!("/etc/passwd")),
            ("folder", json!("/tmp")),
            ("record", json!({"folder": "/tmp"})),
        ] {
            let mut entry = base.clone();
            entry[key] = value;
            let problems = read(&entry).unwrap_err();
            assert!(
                problems.iter().any(|problem| problem.contains("names a file")),
                "{problems:?}"
            );
        }
        let mut recorded = base;
        recorded["record"] = json!(true);
        assert!(read(&recorded).is_ok());
    }
}
