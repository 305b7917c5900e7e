//! Agents, trunks and routes that the API makes, read by the same rules as those of the file.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::agents::{self, AgentConfig};
use super::document::{Item, Table, Value};
use super::keep::Keep;
use super::peers::{self, TrunkConfig};
use super::problem::{Place, Problem};
use super::routes;
use super::section::{Reader, Section};
use crate::routing::Conditions;

/// Keys that name files or folders of the server: whoever may use the API need not be whoever may
/// read and write there.
const FILE_KEYS: &[&str] = &["file", "folder", "hold_music", "ambient", "sounds", "greeting"];
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

/// Keys of trunks that name files.
const TRUNK_FILE_KEYS: &[&str] = &["tls_ca", "tls_client_certificate", "tls_client_key"];
/// Keys of trunks that hold from the start of the server on.
const TRUNK_START_KEYS: &[&str] = &["tls_names"];

/// Reads a trunk out of an object with the keys of `[[trunks]]`, but for those that name files.
/// `null` stands for nothing.
///
/// # Errors
///
/// Everything that is wrong, each with its key. No message tells a secret.
pub fn trunk_from_json(entry: &Map<String, Json>) -> Result<TrunkConfig, Vec<Problem>> {
    let table = table(entry);
    let refuse = |_: &Path| Err("only the configuration file may name files".to_owned());
    let reader = Reader::new(Path::new(""), &refuse, Vec::new());
    for key in TRUNK_FILE_KEYS.iter().filter(|key| table.get(key).is_some()) {
        refused(&reader, key);
    }
    for key in TRUNK_START_KEYS.iter().filter(|key| table.get(key).is_some()) {
        let message = "allowed in the configuration file only".to_owned();
        reader.report(&Place::Nowhere, (*key).to_owned(), message);
    }
    let trunk = peers::trunk(Section::root(&reader, &table), &mut Vec::new());
    let problems = reader.into_problems();
    match trunk {
        Some(trunk) if problems.is_empty() => Ok(trunk),
        _ => Err(problems),
    }
}

/// What a route says besides whom it is for and where it leads.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteEntry {
    /// Its share among its equals.
    pub weight: Option<u32>,
    /// When it takes calls, and whose.
    pub conditions: Conditions,
    /// Name of the agent that takes over when the first cannot be reached.
    pub fallback_agent: Option<String>,
    /// True if the agent decides when the call is answered.
    pub agent_answers: Option<bool>,
    /// True if such an agent is heard before.
    pub early_media: Option<bool>,
    /// Longest call.
    pub max_duration: Option<Duration>,
    /// What of its calls is kept.
    pub keep: Keep,
}

/// Keys of routes that have a place of their own, not among the settings.
const ROUTE_OWN_KEYS: &[&str] = &["to", "trunk", "agent", "priority"];

/// Reads the keys of `[[routes]]` that say how a route's calls are treated and when it takes them,
/// but for those that name files. `null` stands for nothing.
///
/// # Errors
///
/// Everything that is wrong, each with its key.
pub fn route_from_json(entry: &Map<String, Json>) -> Result<RouteEntry, Vec<Problem>> {
    let mut table = table(entry);
    let refuse = |_: &Path| Err("only the configuration file may name files".to_owned());
    let reader = Reader::new(Path::new(""), &refuse, Vec::new());
    for key in ROUTE_OWN_KEYS.iter().filter(|key| table.get(key).is_some()) {
        reader.report(&Place::Nowhere, (*key).to_owned(), "has a field of its own".to_owned());
    }
    if table.get("fallback_message").is_some() {
        refused(&reader, "fallback_message");
    }
    if let Some(Value::Table(_)) = table.get("record").map(|item| &item.value) {
        refused(&reader, "record");
    }
    table.entries.retain(|(key, _)| !ROUTE_OWN_KEYS.contains(&key.as_str()));
    // What the reader of routes demands.
    for (key, value) in [("to", "*"), ("agent", "-")] {
        table.entries.push((key.to_owned(), item(&value.into())));
    }
    let draft = routes::route(Section::root(&reader, &table));
    let routes::RouteDraft { section, weight, conditions, fallback_agent, .. } = draft;
    section.finish();
    let read = RouteEntry {
        weight,
        conditions,
        fallback_agent,
        agent_answers: draft.agent_answers,
        early_media: draft.early_media,
        max_duration: draft.max_duration,
        keep: draft.keep,
    };
    match reader.into_problems() {
        problems if problems.is_empty() => Ok(read),
        problems => Err(problems),
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
            ("sounds", json!("/etc")),
            ("builtin", json!("play")),
            ("builtin", json!("Record")),
            ("file", json!("/etc/passwd")),
            ("folder", json!("/tmp")),
            ("greeting", json!("/etc/passwd")),
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

    /// A trunk and a route out of JSON are what the file would have made of them, and name no file.
    #[test]
    fn trunks_and_routes_are_read() {
        let object = |value: Json| value.as_object().unwrap().clone();
        let trunk = trunk_from_json(&object(json!({
            "name": "pbx", "peers": ["192.0.2.0/24"], "targets": ["sip:192.0.2.1"],
            "number_format": "digits", "caller_id": "+4930123456", "country": "de",
        })));
        let trunk = trunk.unwrap();
        assert_eq!((trunk.name.as_str(), trunk.country.as_deref()), ("pbx", Some("DE")));
        assert_eq!(trunk.outbound.caller_id.as_deref(), Some("+4930123456"));
        let wrong = trunk_from_json(&object(json!({"name": "x", "tls_ca": "/etc/passwd"})));
        let wrong = wrong.unwrap_err();
        assert!(wrong.iter().any(|it| it.key == "tls_ca"), "{wrong:?}");
        let route = route_from_json(&object(json!({
            "weight": 3, "callers": ["+49*"], "open": "mon-fri 09:00-17:00",
            "time_zone": "Europe/Berlin", "fallback_agent": "other", "max_duration_s": 60,
        })));
        let route = route.unwrap();
        assert_eq!((route.weight, route.fallback_agent.as_deref()), (Some(3), Some("other")));
        assert!(!route.conditions.is_empty());
        assert_eq!(route.max_duration, Some(Duration::from_secs(60)));
        assert!(route_from_json(&Map::new()).unwrap().conditions.is_empty());
        for (key, value) in [
            ("fallback_message", json!("/etc/passwd")),
            ("record", json!({"folder": "/tmp"})),
            ("to", json!("*")),
            ("open", json!("sometimes")),
            ("time_zone", json!("Mars/Olympus")),
            ("unknown", json!(1)),
        ] {
            let wrong = route_from_json(&object(json!({ key: value }))).unwrap_err();
            assert!(wrong.iter().any(|problem| problem.key.starts_with(key)), "{key}: {wrong:?}");
        }
    }
}
