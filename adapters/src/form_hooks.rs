//! Webhooks that are forms whose fields may be missing or empty, and facts out of them.

use std::collections::BTreeMap;

use http::Method;

use crate::event::{CallEvent, CallFact, CarrierCallId, Meaning};
use crate::hook::{Handled, HookError, HookReply, HookRequest};
use crate::pairs::pairs;

/// The fields of a form by name.
pub(crate) type Fields = BTreeMap<String, String>;

/// The parameters of a request, from its body or, of a GET, from its query. Of a name that comes
/// twice the first counts.
pub(crate) fn fields(request: &HookRequest<'_>) -> Fields {
    if request.method == Method::GET {
        return first(request.query().unwrap_or_default());
    }
    first(&String::from_utf8_lossy(request.body))
}

/// The parameters that stand in the address of a request: those that we put there.
pub(crate) fn in_address(request: &HookRequest<'_>) -> Fields {
    first(request.query().unwrap_or_default())
}

fn first(text: &str) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in pairs(text) {
        fields.entry(name).or_insert(value);
    }
    fields
}

/// A value that must be there.
pub(crate) fn text<'f>(fields: &'f Fields, name: &'static str) -> Result<&'f str, HookError> {
    let value = fields.get(name).filter(|value| !value.is_empty());
    value.map(String::as_str).ok_or(HookError::Field(name))
}

/// A value; empty if there is none.
pub(crate) fn maybe<'f>(fields: &'f Fields, name: &'static str) -> &'f str {
    fields.get(name).map_or("", String::as_str)
}

/// A fact; the same event of the same call twice is one fact.
pub(crate) fn fact(call: CarrierCallId, id: &str, what: CallFact) -> CallEvent {
    let id = Some(format!("{}:{id}", call.0));
    CallEvent { call, id, at_unix_ms: None, what }
}

/// Facts, which are answered by nothing.
pub(crate) fn told(events: Vec<CallEvent>) -> Handled {
    Handled { meaning: Meaning::Events(events), reply: HookReply::NO_CONTENT }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    /// Fields come from where the method puts them, the first of a name counts, and what is empty
    /// is missing.
    #[test]
    fn fields_are_found() {
        let headers = HeaderMap::new();
        let request = |method| HookRequest {
            method,
            url: "https://t.example/h?a=1&a=2",
            headers: &headers,
            body: b"a=3&b=&a=4",
            unix_s: 0,
            from: None,
        };
        let (post, get) = (fields(&request(&Method::POST)), fields(&request(&Method::GET)));
        assert_eq!((text(&post, "a"), text(&get, "a")), (Ok("3"), Ok("1")));
        assert_eq!(text(&in_address(&request(&Method::POST)), "a"), Ok("1"));
        assert_eq!((text(&post, "b"), maybe(&post, "b")), (Err(HookError::Field("b")), ""));
        assert_eq!((text(&get, "b"), maybe(&get, "b")), (Err(HookError::Field("b")), ""));
    }
}
