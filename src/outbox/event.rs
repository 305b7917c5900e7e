//! An event as those who listen are told of it, by webhook or stream.

use media::silence::Reason;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::calls::CallView;
use crate::store::call_events::CallEvent;
use crate::store::calls::CallRecord;
use crate::store::{StoreError, Timestamp};

/// What the types of events about calls begin with.
const CALL: &str = "call.";
/// The type of an event that only tests a subscription.
pub const PING: &str = "ping";
/// Longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 64;

/// An event as those who listen are told of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventView {
    /// Unique; the same event has the same id however often it is told.
    pub id: String,
    /// What happened, such as `call.answered`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When.
    pub at: Timestamp,
    /// To which call.
    pub call_id: Uuid,
    /// Who says so: `node`, `carrier` or `watchdog`.
    pub source: &'static str,
    /// What there is to be known of it.
    pub data: Value,
}

impl EventView {
    /// A fact about a call.
    pub fn of(event: &CallEvent) -> Self {
        Self {
            id: event.id.to_string(),
            kind: format!("{CALL}{}", event.kind),
            at: event.at,
            call_id: event.call,
            source: event.source.as_str(),
            data: told(&event.kind, &event.data),
        }
    }

    /// The body of a webhook: the event, and the call as it was then.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] if it is nothing that JSON can say.
    pub fn body(&self, call: Option<CallRecord>, now: Timestamp) -> Result<String, StoreError> {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(flatten)]
            event: &'a EventView,
            call: Option<CallView>,
        }
        let body = Body { event: self, call: call.map(|call| CallView::stored(call, now)) };
        serde_json::to_string(&body).map_err(|_| StoreError::Corrupt { what: "payload" })
    }
}

/// The fact that a direction carries no sound any more, or does again.
const SILENCE: &str = "silence";

/// What is told of a fact's data: its tag is the type, and whose it is they know.
fn told(kind: &str, data: &Value) -> Value {
    let mut data = data.clone();
    if let Some(fields) = data.as_object_mut() {
        fields.remove("event");
        fields.remove("organisation");
        if kind == SILENCE {
            explain(fields);
        }
    }
    data
}

/// Adds to a silence that begins what it means and what to do about it, in words.
fn explain(fields: &mut Map<String, Value>) {
    let begins = fields.get("silent").and_then(Value::as_bool) == Some(true);
    let word = fields.get("reason").and_then(Value::as_str).filter(|_| begins);
    let Some(reason) = word.and_then(Reason::from_word) else { return };
    fields.insert("meaning".to_owned(), reason.meaning().into());
    fields.insert("advice".to_owned(), reason.advice().into());
}

/// True if a subscription can ask for this: a type, or all types that begin alike, as `call.*`; `*`
/// are all.
pub fn is_event_pattern(pattern: &str) -> bool {
    let part =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._".contains(&byte);
    let fixed = pattern.strip_suffix('*').unwrap_or(pattern);
    let whole = fixed.is_empty() || fixed.ends_with('.') || !pattern.ends_with('*');
    !pattern.is_empty() && pattern.len() <= PATTERN_BYTES_MAX && whole && fixed.bytes().all(part)
}

/// True if one of the patterns means this type.
pub fn wants(patterns: &[String], kind: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => kind.starts_with(start),
        None => pattern == kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Patterns are types, beginnings of types that end at a dot, or everything.
    #[test]
    fn patterns() {
        for (pattern, is_one) in [
            ("call.ended", true),
            ("call.*", true),
            ("*", true),
            ("call.agent_lost", true),
            ("", false),
            ("call*", false),
            ("Call.ended", false),
            ("call.*.x", false),
            ("**", false),
            ("a b", false),
        ] {
            assert_eq!(is_event_pattern(pattern), is_one, "{pattern}");
        }
        let patterns = |text: &str| vec![text.to_owned()];
        assert!(wants(&patterns("call.*"), "call.ended") && wants(&patterns("*"), "call.ended"));
        assert!(wants(&patterns("call.ended"), "call.ended"));
        assert!(!wants(&patterns("call.ended"), "call.ended_again") && !wants(&[], "call.ended"));
        assert!(!wants(&patterns("transfer.*"), "call.ended"));
    }

    /// An event's body has its fields at the top, and neither tag nor owner within its data.
    #[test]
    fn bodies() {
        let event = CallEvent {
            id: 7,
            call: Uuid::from_u128(1),
            source: crate::calls::log::Source::Node,
            kind: "hold".into(),
            at: Timestamp(1_700_000_000_000_000),
            data: serde_json::json!({ "event": "hold", "organisation": "o", "on": true }),
        };
        let body = EventView::of(&event).body(None, Timestamp(0)).unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&body["id"], &body["type"]), (&"7".into(), &"call.hold".into()));
        assert_eq!(body["data"], serde_json::json!({ "on": true }));
        assert_eq!(body["at"], "2023-11-14T22:13:20.000Z");
        assert_eq!(body["call"], Value::Null);
    }

    /// A silence that begins is told with what it means and what to do; one that is over, or has a
    /// reason that this version does not know, as it is.
    #[test]
    fn silences_are_explained() {
        let silence = |reason: &str, silent: bool| {
            let data = serde_json::json!({ "direction": "in", "reason": reason, "silent": silent });
            told(SILENCE, &data)
        };
        let begun = silence("law_mixup", true);
        assert_eq!(begun["meaning"], Reason::LawMixup.meaning());
        assert_eq!(begun["advice"], Reason::LawMixup.advice());
        for other in [silence("law_mixup", false), silence("of_tomorrow", true)] {
            assert!(other.get("meaning").is_none() && other["direction"] == "in", "{other}");
        }
    }
}
