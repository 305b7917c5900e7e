//! What the answers about configured objects have in common, and how their fields are read.

use serde_json::{Map, Value, json};

use crate::config::MAX_DURATION_S_MAX;
use crate::http::openapi::schema;
use crate::http::problem::{FieldError, Problem};
use crate::store::object::{CallLimits, Stamp};

/// Most calls at once, and new ones a second, of a limit.
pub(super) const LIMIT_MAX: i64 = 100_000;
/// Longest of what lasts, in seconds.
pub(super) const DURATION_S_MAX: i64 = MAX_DURATION_S_MAX.cast_signed();
/// Longest name.
const NAME_CHARS_MAX: usize = 64;
/// Unknown fields that are told of.
const UNKNOWN_MAX: usize = 20;

/// What every object tells of itself besides its fields.
pub(super) fn stamped(object: &mut Map<String, Value>, stamp: &Stamp) {
    object.insert("origin".to_owned(), json!(stamp.origin));
    object.insert("created_at".to_owned(), json!(stamp.created_at));
    object.insert("updated_at".to_owned(), json!(stamp.updated_at));
}

/// The schema of that.
pub(super) fn stamp_schema() -> [(&'static str, Value); 3] {
    let time = || schema::format("date-time");
    let origin = schema::described(
        schema::word(&["file", "api"]),
        "what comes from the configuration file is changed there",
    );
    [("origin", origin), ("created_at", time()), ("updated_at", time())]
}

/// The schema of limits.
pub(super) fn limits_schema() -> [(&'static str, Value); 2] {
    let limit = || schema::nullable(schema::integer(1, LIMIT_MAX));
    [
        ("max_calls", schema::described(limit(), "calls at once")),
        ("calls_per_second", schema::described(limit(), "new calls a second")),
    ]
}

/// Puts limits into an answer.
pub(super) fn limits_shown(object: &mut Map<String, Value>, limits: &CallLimits) {
    object.insert("max_calls".to_owned(), json!(limits.max_calls));
    object.insert("calls_per_second".to_owned(), json!(limits.calls_per_second));
}

/// What every object has and nobody else sets: its id and its stamp.
const OWN: [&str; 4] = ["id", "origin", "created_at", "updated_at"];

/// The fields of a request, taken out one by one; what is wrong is collected, and so is what nobody
/// took. `Debug` shows the names of the fields alone: their values may be secret.
pub(super) struct Fields {
    rest: Map<String, Value>,
    errors: Vec<FieldError>,
    /// What is never done, whatever else is given.
    never: Option<Problem>,
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.rest.keys()).finish()
    }
}

impl Fields {
    pub(super) const fn new(object: Map<String, Value>) -> Self {
        Self { rest: object, errors: Vec::new(), never: None }
    }

    /// The fields of an object that is made or replaced: what was read may be written back.
    pub(super) fn of_object(mut object: Map<String, Value>) -> Self {
        for own in OWN {
            object.remove(own);
        }
        Self::new(object)
    }

    /// Notes which of these are not there.
    pub(super) fn needs(&mut self, fields: &[&str]) {
        for field in fields {
            if !self.has(field) {
                self.wrong(field, "missing");
            }
        }
    }

    pub(super) fn wrong(&mut self, field: &str, problem: impl Into<String>) {
        self.errors.push(FieldError { field: field.to_owned(), problem: problem.into() });
    }

    /// Notes that a field asks for what is never done: the request is wrong, not a value (400).
    pub(super) fn never(&mut self, field: &str, why: &str) {
        self.never.get_or_insert_with(|| Problem::bad_field(field, why));
    }

    /// A value, if there is one that is not null.
    pub(super) fn take(&mut self, field: &str) -> Option<Value> {
        self.rest.remove(field).filter(|value| !value.is_null())
    }

    /// True if the field is there, null or not.
    pub(super) fn has(&self, field: &str) -> bool {
        self.rest.contains_key(field)
    }

    pub(super) fn text(&mut self, field: &str, chars_max: usize) -> Option<String> {
        let value = self.take(field)?;
        let fits = |text: &&str| text.chars().count() <= chars_max && !text.contains(control);
        match value.as_str().filter(fits) {
            Some(text) => Some(text.to_owned()),
            None => {
                self.wrong(field, format!("not a text of at most {chars_max} characters"));
                None
            }
        }
    }

    /// A name, which must be there.
    pub(super) fn name(&mut self) -> String {
        let given = self.has("name");
        let name = self.text("name", NAME_CHARS_MAX).map(|name| name.trim().to_owned());
        match name {
            Some(name) if !name.is_empty() => return name,
            Some(_) => self.wrong("name", "empty"),
            None if !given => self.wrong("name", "missing"),
            None => {}
        }
        String::new()
    }

    pub(super) fn flag(&mut self, field: &str) -> Option<bool> {
        let value = self.take(field)?;
        if value.as_bool().is_none() {
            self.wrong(field, "not true or false");
        }
        value.as_bool()
    }

    pub(super) fn integer(&mut self, field: &str, min: i64, max: i64) -> Option<i64> {
        let value = self.take(field)?;
        let number = value.as_i64().filter(|number| (min..=max).contains(number));
        if number.is_none() {
            self.wrong(field, format!("not a whole number from {min} to {max}"));
        }
        number
    }

    pub(super) fn id(&mut self, field: &str) -> Option<uuid::Uuid> {
        let value = self.take(field)?;
        let id = value.as_str().and_then(|text| uuid::Uuid::try_parse(text).ok());
        if id.is_none() {
            self.wrong(field, "not an id");
        }
        id
    }

    /// A list of texts; an empty one if there is none.
    pub(super) fn texts(&mut self, field: &str, chars_max: usize, max: usize) -> Vec<String> {
        let fits = |text: &str| text.chars().count() <= chars_max && !text.contains(control);
        let list = match self.take(field) {
            None => return Vec::new(),
            Some(Value::Array(list)) if list.len() <= max => list,
            Some(_) => Vec::from([Value::Null]),
        };
        let text = |value: &Value| value.as_str().filter(|text| fits(text)).map(str::to_owned);
        let texts: Option<Vec<String>> = list.iter().map(text).collect();
        texts.unwrap_or_else(|| {
            let why =
                format!("not a list of at most {max} texts of at most {chars_max} characters");
            self.wrong(field, why);
            Vec::new()
        })
    }

    /// An object; an empty one if there is none.
    pub(super) fn object(&mut self, field: &str) -> Map<String, Value> {
        match self.take(field) {
            None => Map::new(),
            Some(Value::Object(object)) => object,
            Some(_) => {
                self.wrong(field, "not an object");
                Map::new()
            }
        }
    }

    pub(super) fn limits(&mut self) -> CallLimits {
        CallLimits {
            max_calls: self.integer("max_calls", 1, LIMIT_MAX),
            calls_per_second: self.integer("calls_per_second", 1, LIMIT_MAX),
        }
    }

    /// Changes those limits that are there; null takes a limit away.
    pub(super) fn change_limits(&mut self, limits: &mut CallLimits) {
        for (field, limit) in [
            ("max_calls", &mut limits.max_calls),
            ("calls_per_second", &mut limits.calls_per_second),
        ] {
            if self.has(field) {
                *limit = self.integer(field, 1, LIMIT_MAX);
            }
        }
    }

    /// What is wrong with the fields of an object within `field`, and what nobody took of them.
    pub(super) fn wrong_within(&mut self, field: &str, own: Self) {
        for error in own.errors {
            self.wrong(&format!("{field}.{}", error.field), error.problem);
        }
        for key in own.rest.keys().take(UNKNOWN_MAX) {
            self.wrong(&format!("{field}.{}", named(key)), "no such field");
        }
    }

    /// What nobody took yet.
    pub(super) fn take_rest(&mut self) -> Map<String, Value> {
        std::mem::take(&mut self.rest)
    }

    /// # Errors
    ///
    /// The problem that tells all that is wrong.
    pub(super) fn finish(mut self) -> Result<(), Problem> {
        if let Some(problem) = self.never.take() {
            return Err(problem);
        }
        let unknown: Vec<String> = self.rest.keys().take(UNKNOWN_MAX).cloned().collect();
        for field in unknown {
            self.wrong(&named(&field), "no such field");
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::invalid_all(self.errors)) }
    }
}

/// A field's name as it is told.
fn named(field: &str) -> String {
    field.chars().filter(|c| !control(*c)).take(NAME_CHARS_MAX).collect()
}

fn control(character: char) -> bool {
    character.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem::Kind;

    fn fields(value: Value) -> Fields {
        let Value::Object(object) = value else { panic!("not an object") };
        Fields::new(object)
    }

    /// Values come out by their type; null is nothing.
    #[test]
    fn fields_are_read() {
        let mut given = fields(json!({
            "name": " n ", "on": true, "max_calls": 5, "calls_per_second": null, "label": "l",
        }));
        assert_eq!(given.name(), "n");
        assert_eq!((given.flag("on"), given.flag("off")), (Some(true), None));
        assert_eq!(given.limits(), CallLimits { max_calls: Some(5), calls_per_second: None });
        assert_eq!(given.text("label", 5).as_deref(), Some("l"));
        assert!(given.finish().is_ok());
    }

    /// All that is wrong is told at once, each with its field, and no value is.
    #[test]
    fn all_faults_are_told() {
        let mut given = fields(json!({
            "name": "\u{7}bell", "on": "secret", "max_calls": 0, "id": "secret", "o": 1,
            "label": "secret", "unknown": "secret",
        }));
        given.name();
        given.flag("on");
        given.limits();
        given.id("id");
        given.object("o");
        given.text("label", 5);
        let problem = given.finish().unwrap_err();
        let detail = problem.detail();
        for field in ["name: ", "on: ", "max_calls: ", "id: ", "o: ", "label: ", "unknown: "] {
            assert!(detail.contains(field), "{detail}");
        }
        assert!(!detail.contains("secret"), "{detail}");
    }

    /// What an object tells of itself may be written back; what it needs must be there.
    #[test]
    fn objects_are_written_back() {
        let Value::Object(object) = json!({
            "id": "i", "origin": "api", "created_at": "c", "updated_at": "u", "prefix": null,
        }) else {
            panic!("not an object")
        };
        let mut given = Fields::of_object(object);
        given.needs(&["prefix", "currency"]);
        given.take("prefix");
        assert_eq!(given.finish().unwrap_err().detail(), "currency: missing");
    }

    /// What is never done is told alone, as a wrong request, whatever is wrong besides.
    #[test]
    fn what_is_never_done() {
        let mut given = fields(json!({"unknown": 1}));
        given.wrong("name", "missing");
        given.never("provider", "it stays");
        given.never("provider", "twice");
        let problem = given.finish().unwrap_err();
        assert!(problem.is(Kind::BadRequest), "{problem:?}");
        assert_eq!(problem.detail(), "provider: it stays");
    }
}
