//! What a webhook says, whatever form it comes in: JSON, a list of one JSON object, a form, or a
//! query.

use http::Method;
use serde_json::{Map, Value};

use crate::hook::{HookError, HookRequest};
use crate::pairs::pairs;

/// The fields of a webhook.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads the body, or the query if there can be no body.
    pub(super) fn read(request: &HookRequest<'_>) -> Result<Self, HookError> {
        const FORM: HookError = HookError::Body("a JSON object or a form");
        if request.method == Method::GET {
            return Ok(Self::of_pairs(request.query().unwrap_or_default()));
        }
        let text = str::from_utf8(request.body).map_err(|_| FORM)?.trim();
        if !text.starts_with(['{', '[']) {
            return if text.is_empty() { Err(FORM) } else { Ok(Self::of_pairs(text)) };
        }
        match serde_json::from_str(text).map_err(|_| FORM)? {
            Value::Object(fields) => Ok(Self(fields)),
            Value::Array(mut list) => match (list.pop(), list.pop()) {
                (Some(Value::Object(fields)), None) => Ok(Self(fields)),
                _ => Err(FORM),
            },
            _ => Err(FORM),
        }
    }

    fn of_pairs(text: &str) -> Self {
        let mut fields = Map::new();
        for (name, value) in pairs(text) {
            // Of a name that comes twice the first counts.
            fields.entry(name).or_insert(Value::String(value));
        }
        Self(fields)
    }

    /// A value by its name; what is null is as good as absent.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// True if there is such a field, whatever it holds.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// All of them.
    pub(super) fn whole(self) -> Value {
        Value::Object(self.0)
    }

    /// A value inside an object.
    pub(super) fn within(&self, object: &str, name: &str) -> Option<&Value> {
        self.get(object)?.get(name).filter(|value| !value.is_null())
    }

    /// The text of a field.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        text(self.get(name))
    }

    /// The text of a field inside an object.
    pub(super) fn text_within(&self, object: &str, name: &str) -> Option<&str> {
        text(self.within(object, name))
    }

    /// The session: what the API knows a call by. `CallSid` comes last, as it once was the id that
    /// SIP has for the call.
    pub(super) fn session<'f>(&'f self, request: &HookRequest<'f>) -> Result<&'f str, HookError> {
        self.text("Session")
            .or_else(|| self.text_within("SessionData", "token"))
            .or_else(|| header(request, "x-cx-session"))
            .or_else(|| self.text("CallSid"))
            .ok_or(HookError::Field("Session"))
    }
}

/// The text of a value, if it is one and holds something.
pub(super) fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
}

/// A whole number, bare or as a string: the carrier writes both.
pub(super) fn number(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_u64(),
    }
}

/// A header that is there once and holds something.
pub(super) fn header<'r>(request: &HookRequest<'r>, name: &str) -> Option<&'r str> {
    request.header(name).map(str::trim).filter(|value| !value.is_empty())
}
