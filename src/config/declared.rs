//! What the file declares, as it is written there: for the list of what there is.

use std::fmt;

use serde_json::{Map, Number, Value as Json};

use super::document::{Table, Value};

/// The entries of the lists of the file as JSON objects, without their secrets.
#[derive(Clone, Default, PartialEq)]
pub struct Declared {
    /// `[[agents]]`.
    pub agents: Vec<Map<String, Json>>,
    /// `[[trunks]]`.
    pub trunks: Vec<Map<String, Json>>,
    /// `[[routes]]`.
    pub routes: Vec<Map<String, Json>>,
}

/// Shows how much there is and nothing of it: URLs of agents may hold tokens.
impl fmt::Debug for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (agents, trunks, routes) = (self.agents.len(), self.trunks.len(), self.routes.len());
        write!(f, "Declared({agents} agents, {trunks} trunks, {routes} routes)")
    }
}

/// Keys whose values are shown nowhere.
const SECRETS: &[&str] = &["secret", "password"];

/// Takes the lists out of the document.
pub(super) fn declared(document: &Table) -> Declared {
    let list = |name| match document.get(name).map(|item| &item.value) {
        Some(Value::List(items)) => items.iter().filter_map(|item| object(&item.value)).collect(),
        _ => Vec::new(),
    };
    Declared { agents: list("agents"), trunks: list("trunks"), routes: list("routes") }
}

fn object(value: &Value) -> Option<Map<String, Json>> {
    match json(value) {
        Json::Object(map) => Some(map),
        _ => None,
    }
}

fn json(value: &Value) -> Json {
    match value {
        Value::Text(text) | Value::Other(text) => Json::String(text.clone()),
        Value::Integer(number) => Json::Number((*number).into()),
        Value::Float(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
        Value::Flag(flag) => Json::Bool(*flag),
        Value::List(items) => items.iter().map(|item| json(&item.value)).collect(),
        Value::Table(table) => {
            let shown = table.entries.iter().filter(|(key, _)| !SECRETS.contains(&key.as_str()));
            shown.map(|(key, item)| (key.clone(), json(&item.value))).collect()
        }
    }
}
