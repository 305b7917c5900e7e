//! Lays environment variables over the file: `TALKPATH_<SECTION>_<KEY>`.
//!
//! - `TALKPATH_PUBLIC_URL`, `TALKPATH_DATA_DIR`: keys outside any section.
//! - `TALKPATH_SIP_USER_AGENT`: `user_agent` of `[sip]`.
//! - `TALKPATH_AGENTS_SUPPORT_SECRET`: `secret` of the `[[agents]]` entry named `support` (in
//!   capitals, everything but letters and digits as `_`).
//! - `TALKPATH_ROUTES_0_AGENT`: `agent` of the first `[[routes]]`; the number after the last adds
//!   an entry, so that a server can be configured without a file.
//!
//! Lists are written with commas. An empty variable counts as unset.

use super::document::{Item, Table, Value};
use super::problem::{Place, Problem, suggestion};

/// What every variable starts with.
pub(super) const PREFIX: &str = "TALKPATH_";

/// Keys outside any section.
const KEYS: &[&str] = &["data_dir", "public_url"];
/// Sections written as `[name]`.
pub(super) const SECTIONS: &[&str] = &[
    "acme",
    "audiosocket",
    "captures",
    "database",
    "http",
    "limits",
    "log",
    "media",
    "outward",
    "park",
    "retention",
    "rtp",
    "seal",
    "sip",
    "webhooks",
];
/// Sections written as `[[name]]`.
pub(super) const LISTS: &[&str] = &["agents", "queues", "rates", "routes", "trunks", "users"];
/// Tables within entries of lists: list, key.
const NESTED: &[(&str, &str)] = &[("agents", "format"), ("agents", "record"), ("routes", "record")];
/// Variables of ours that are no configuration: the file's path, what other commands prove who they
/// are by, and those of the tests.
const RESERVED: &[&str] = &[
    "api_key",
    "config",
    "require_peers",
    "sip_password",
    "test_asterisk",
    "test_kills",
    "test_postgres_url",
    "test_python",
];

/// Puts each variable of `environment` into `root`, in place of what the file says.
pub(super) fn overlay(
    root: &mut Table,
    environment: &[(String, String)],
    problems: &mut Vec<Problem>,
) {
    let mut variables: Vec<_> = environment
        .iter()
        .filter(|(name, value)| !value.trim().is_empty() && !is_service_link(name, value))
        .filter_map(|(name, value)| {
            let rest = name.strip_prefix(PREFIX)?.to_ascii_lowercase();
            (!RESERVED.contains(&rest.as_str())).then_some((name, rest, value))
        })
        .collect();
    // In order, so that `ROUTES_0_…` makes the entry before `ROUTES_1_…` asks for the next.
    variables.sort();
    for (name, rest, value) in variables {
        let place = Place::Variable(name.clone());
        let item = Item { value: Value::Text(value.clone()), place: place.clone() };
        if let Err(message) = put(root, &rest, item, &place) {
            problems.push(Problem { place, key: String::new(), message });
        }
    }
}

fn put(root: &mut Table, rest: &str, item: Item, place: &Place) -> Result<(), String> {
    if KEYS.contains(&rest) {
        root.set(rest, item);
        return Ok(());
    }
    let Some((section, key)) = rest.split_once('_') else { return Err(unknown(rest)) };
    if SECTIONS.contains(&section) {
        if let Some(table) = root.table_mut(section, place) {
            table.set(key, item);
        }
        return Ok(());
    }
    if LISTS.contains(&section) {
        let Some(list) = root.list_mut(section, place) else { return Ok(()) };
        let (index, key) = entry(list, section, key)?;
        if index == list.len() {
            list.push(Item { value: Value::Table(Table::default()), place: place.clone() });
        }
        let Some(Value::Table(table)) = list.get_mut(index).map(|item| &mut item.value) else {
            return Ok(());
        };
        let nested = NESTED
            .iter()
            .filter(|(list, _)| *list == section)
            .find_map(|(_, nested)| Some((*nested, key.strip_prefix(nested)?.strip_prefix('_')?)));
        match nested {
            Some((nested, key)) => {
                // In the place of a word that stands for a table, such as `record = true`.
                if !matches!(table.get(nested).map(|item| &item.value), Some(Value::Table(_))) {
                    let value = Value::Table(Table::default());
                    table.set(nested, Item { value, place: place.clone() });
                }
                if let Some(table) = table.table_mut(nested, place) {
                    table.set(key, item);
                }
            }
            None => table.set(key, item),
        }
        return Ok(());
    }
    Err(unknown(rest))
}

/// The entry that `rest` starts with, by number or by name, and the key that follows.
fn entry<'k>(list: &[Item], section: &str, rest: &'k str) -> Result<(usize, &'k str), String> {
    if let Some((number, key)) = rest.split_once('_')
        && let Ok(index) = number.parse::<usize>()
    {
        return if index <= list.len() {
            Ok((index, key))
        } else {
            let count = list.len();
            Err(format!("there are {count} {section}, so the next number is {count}"))
        };
    }
    let names: Vec<String> = list.iter().map(|item| name_of(item).unwrap_or_default()).collect();
    // The longest name wins, so that `support` does not take what is meant for `support_night`.
    let named = names
        .iter()
        .enumerate()
        .filter(|(_, name)| !name.is_empty())
        .filter_map(|(index, name)| {
            Some((index, name.len(), rest.strip_prefix(name.as_str())?.strip_prefix('_')?))
        })
        .max_by_key(|(_, length, _)| *length);
    match named {
        Some((index, _, key)) => Ok((index, key)),
        None if list.is_empty() => Err(format!("no {section} are configured; start with number 0")),
        None => Err(format!(
            "no entry of {section} has this name; allowed: a number up to {}, {}",
            list.len(),
            names.join(", ")
        )),
    }
}

/// The name of an entry as variables spell it, in small letters.
fn name_of(item: &Item) -> Option<String> {
    let Value::Table(table) = &item.value else { return None };
    match &table.get("name")?.value {
        Value::Text(name) => Some(variable_form(name)),
        _ => None,
    }
}

/// A name as variables spell it, in small letters: everything but letters and digits as `_`.
pub(super) fn variable_form(name: &str) -> String {
    let spell = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    name.chars().map(spell).collect()
}

fn unknown(rest: &str) -> String {
    let mut known: Vec<&str> = SECTIONS.iter().chain(LISTS).chain(KEYS).copied().collect();
    known.sort_unstable();
    let section = rest.split('_').next().unwrap_or_default();
    let near = match suggestion(rest, KEYS) {
        near if near.is_empty() => suggestion(section, &known),
        near => near,
    };
    format!("unknown variable{near}; allowed: {PREFIX} and one of {}", known.join(", "))
}

/// True for what Kubernetes sets for a service called `talkpath` or `talkpath-…`: the address of
/// another container, not configuration.
fn is_service_link(name: &str, value: &str) -> bool {
    let address = value.starts_with("tcp://") || value.starts_with("udp://");
    let port_parts = || {
        let (_, rest) = name.rsplit_once("_PORT_")?;
        let mut parts = rest.split('_');
        let number = parts.next()?.parse::<u16>().is_ok();
        let protocol = matches!(parts.next()?, "TCP" | "UDP" | "SCTP");
        let field = matches!(parts.next(), None | Some("PROTO" | "PORT" | "ADDR"));
        Some(number && protocol && field && parts.next().is_none())
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (address && name.ends_with("_PORT"))
        || port_parts().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Kubernetes injects is not ours; what looks alike but is a key stays.
    #[test]
    fn service_links_are_ignored() {
        let links = [
            ("TALKPATH_SERVICE_HOST", "10.0.0.1"),
            ("TALKPATH_SIP_SERVICE_PORT", "5060"),
            ("TALKPATH_SERVICE_PORT_HTTP", "80"),
            ("TALKPATH_SIP_PORT", "udp://10.0.0.1:5060"),
            ("TALKPATH_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
            ("TALKPATH_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ];
        for (name, value) in links {
            assert!(is_service_link(name, value), "{name}");
        }
        for (name, value) in [
            ("TALKPATH_RTP_PORTS", "20000-29999"),
            ("TALKPATH_SIP_PORT", "5060"),
            ("TALKPATH_X", ""),
        ] {
            assert!(!is_service_link(name, value), "{name}");
        }
    }

    /// Names become what a shell accepts.
    #[test]
    fn names_are_spelled_for_variables() {
        assert_eq!(variable_form("Support-Night.2"), "support_night_2");
    }
}
