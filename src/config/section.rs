//! Reads typed values out of a table and notes everything that is wrong with them.
//!
//! A key is known because somebody asks for it: [`Section::finish`] reports every key that nobody
//! asked for, so there is no second list of keys to keep in step.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::document::{Item, Table, Value};
use super::problem::{Place, Problem, suggestion};
use super::secret::Secret;

/// What all sections of one reading share.
pub(super) struct Reader<'d> {
    problems: RefCell<Vec<Problem>>,
    /// Folder that relative paths of the file start from.
    base: &'d Path,
    /// Tells why a file cannot be read, if it cannot.
    readable: &'d dyn Fn(&Path) -> Result<(), String>,
}

impl<'d> Reader<'d> {
    pub(super) fn new(
        base: &'d Path,
        readable: &'d dyn Fn(&Path) -> Result<(), String>,
        problems: Vec<Problem>,
    ) -> Self {
        Self { problems: RefCell::new(problems), base, readable }
    }

    pub(super) fn report(&self, place: &Place, key: String, message: String) {
        self.problems.borrow_mut().push(Problem { place: place.clone(), key, message });
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

/// One table being read.
pub(super) struct Section<'r> {
    reader: &'r Reader<'r>,
    table: Option<&'r Table>,
    /// Path of the table, empty for the document.
    path: String,
    /// Where the table starts.
    pub(super) place: Place,
    asked: RefCell<Vec<&'static str>>,
}

impl<'r> Section<'r> {
    /// The whole document.
    pub(super) fn root(reader: &'r Reader<'r>, table: &'r Table) -> Self {
        let asked = RefCell::new(Vec::new());
        Self { reader, table: Some(table), path: String::new(), place: Place::Nowhere, asked }
    }

    /// The table under `key`; empty if there is none.
    pub(super) fn section(&self, key: &'static str) -> Self {
        let item = self.find(key);
        let table = item.and_then(|item| match &item.value {
            Value::Table(table) => Some(table),
            other => {
                self.refuse(
                    key,
                    Some(item),
                    &shown(other),
                    &format!("a table: [{}]", self.key(key)),
                );
                None
            }
        });
        self.child(self.key(key), item, table)
    }

    /// The table under `key` if it was written.
    pub(super) fn optional_section(&self, key: &'static str) -> Option<Self> {
        self.find(key).is_some().then(|| self.section(key))
    }

    /// The table under `key`, if a table was written there and not another value.
    pub(super) fn table_if_one(&self, key: &'static str) -> Option<Self> {
        let item = self.find(key)?;
        matches!(item.value, Value::Table(_)).then(|| self.section(key))
    }

    /// The tables written as `[[key]]`.
    pub(super) fn sections(&self, key: &'static str) -> Vec<Self> {
        let Some(item) = self.find(key) else { return Vec::new() };
        let allowed = format!("tables: [[{key}]]");
        let Value::List(items) = &item.value else {
            self.refuse(key, Some(item), &shown(&item.value), &allowed);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, item) in items.iter().enumerate() {
            if let Value::Table(table) = &item.value {
                let path = format!("{}[{index}]", self.key(key));
                sections.push(self.child(path, Some(item), Some(table)));
            } else {
                self.refuse(key, Some(item), &shown(&item.value), &allowed);
            }
        }
        sections
    }

    fn child(&self, path: String, item: Option<&Item>, table: Option<&'r Table>) -> Self {
        let place = item.map_or(Place::Nowhere, |item| item.place.clone());
        Self { reader: self.reader, table, path, place, asked: RefCell::new(Vec::new()) }
    }

    /// Text that `parse` understands; `allowed` says what that is.
    pub(super) fn text<T>(
        &self,
        key: &'static str,
        allowed: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let item = self.find(key)?;
        self.parse_text(key, item, allowed, &parse)
    }

    fn parse_text<T>(
        &self,
        key: &'static str,
        item: &Item,
        allowed: &str,
        parse: &dyn Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let Value::Text(text) = &item.value else {
            self.refuse(key, Some(item), &format!("{} is not text", shown(&item.value)), allowed);
            return None;
        };
        match parse(text.trim()) {
            Ok(value) => Some(value),
            Err(why) => {
                let found = format!("{}: {why}", shown(&item.value));
                self.refuse(key, Some(item), &found, allowed);
                None
            }
        }
    }

    /// One of `words`, in any case.
    pub(super) fn word<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        self.text(key, &listed(words.iter().map(|(word, _)| *word)), |text| choose(text, words))
    }

    /// Several of `words`, each once: a list, or in the environment text with commas.
    pub(super) fn words<T: Copy + PartialEq>(
        &self,
        key: &'static str,
        words: &[(&str, T)],
    ) -> Option<Vec<T>> {
        let allowed = format!("a list of {}", listed(words.iter().map(|(word, _)| *word)));
        self.list(key, &allowed, |text| choose(text, words))
    }

    /// A list of texts that `parse` understands, none twice; one text stands for a list of one, and
    /// in the environment commas part the items.
    pub(super) fn list<T: PartialEq>(
        &self,
        key: &'static str,
        allowed: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let item = self.find(key)?;
        let split;
        let items = match &item.value {
            Value::List(items) => items.as_slice(),
            Value::Text(text) if matches!(item.place, Place::Variable(_)) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                let part = |part: &str| Item {
                    value: Value::Text(part.to_owned()),
                    place: item.place.clone(),
                };
                split = parts.map(part).collect::<Vec<_>>();
                split.as_slice()
            }
            _ => std::slice::from_ref(item),
        };
        let mut values = Vec::new();
        for item in items {
            let Some(value) = self.parse_text(key, item, allowed, &parse) else { continue };
            if values.contains(&value) {
                self.refuse(
                    key,
                    Some(item),
                    &format!("{} is doubled", shown(&item.value)),
                    allowed,
                );
            } else {
                values.push(value);
            }
        }
        if items.is_empty() {
            self.refuse(key, Some(item), "the list is empty", allowed);
        }
        Some(values)
    }

    /// A whole number in `range`.
    pub(super) fn integer(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let end = |number: &u64| i64::try_from(*number).unwrap_or(i64::MAX);
        let number = self.signed(key, end(range.start())..=end(range.end()))?;
        u64::try_from(number).ok()
    }

    /// A whole number in `range`, which may be below zero.
    pub(super) fn signed(&self, key: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let item = self.find(key)?;
        let number = match &item.value {
            Value::Integer(number) => Some(*number),
            Value::Text(text) if matches!(item.place, Place::Variable(_)) => {
                text.trim().parse().ok()
            }
            _ => None,
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let allowed = format!("a whole number from {} to {}", range.start(), range.end());
            self.refuse(key, Some(item), &shown(&item.value), &allowed);
        }
        number
    }

    /// A whole number in `range` that fits 32 bits.
    pub(super) fn number(&self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let wide = u64::from(*range.start())..=u64::from(*range.end());
        self.integer(key, wide).and_then(|number| u32::try_from(number).ok())
    }

    /// Whole numbers in `range`: a list, or in the environment text with commas.
    pub(super) fn numbers(
        &self,
        key: &'static str,
        range: RangeInclusive<u16>,
    ) -> Option<Vec<u16>> {
        let item = self.find(key)?;
        let fits = |number: i64| u16::try_from(number).ok().filter(|n| range.contains(n));
        let one = |value: &Value| match value {
            Value::Integer(number) => fits(*number),
            _ => None,
        };
        let numbers: Option<Vec<u16>> = match &item.value {
            Value::List(items) => items.iter().map(|item| one(&item.value)).collect(),
            Value::Text(text) if matches!(item.place, Place::Variable(_)) => {
                text.split(',').map(|part| part.trim().parse().ok().and_then(fits)).collect()
            }
            other => one(other).map(|number| vec![number]),
        };
        if numbers.is_none() {
            let (least, most) = (range.start(), range.end());
            let allowed = format!("a list of whole numbers from {least} to {most}");
            self.refuse(key, Some(item), &shown(&item.value), &allowed);
        }
        numbers
    }

    /// A length of time; the key ends in `_ms`.
    pub(super) fn millis(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<Duration> {
        self.integer(key, range).map(Duration::from_millis)
    }

    /// A length of time; the key ends in `_s`.
    pub(super) fn seconds(
        &self,
        key: &'static str,
        range: RangeInclusive<u64>,
    ) -> Option<Duration> {
        self.integer(key, range).map(Duration::from_secs)
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &'static str) -> Option<bool> {
        let item = self.find(key)?;
        let flag = match &item.value {
            Value::Flag(flag) => Some(*flag),
            Value::Text(text) if matches!(item.place, Place::Variable(_)) => {
                match text.trim().to_ascii_lowercase().as_str() {
                    "true" | "1" | "yes" | "on" => Some(true),
                    "false" | "0" | "no" | "off" => Some(false),
                    _ => None,
                }
            }
            _ => None,
        };
        if flag.is_none() {
            self.refuse(key, Some(item), &shown(&item.value), "true or false");
        }
        flag
    }

    /// A secret of at least `length_min` bytes; never shown, not even when it is refused.
    pub(super) fn secret(&self, key: &'static str, length_min: usize) -> Option<Secret> {
        let item = self.find(key)?;
        let allowed = format!("text of at least {length_min} bytes");
        match &item.value {
            Value::Text(text) if text.len() >= length_min => Some(Secret::new(text.clone())),
            Value::Text(text) => {
                let found = format!("a secret of {} bytes is too short", text.len());
                self.refuse(key, Some(item), &found, &allowed);
                None
            }
            _ => {
                self.refuse(key, Some(item), "the secret is not text", &allowed);
                None
            }
        }
    }

    /// A path; relative to the file's folder, or to the working folder if a variable names it.
    pub(super) fn path(&self, key: &'static str) -> Option<PathBuf> {
        let relative = self.text(key, "a path", |text| match text {
            "" => Err("the path is empty".into()),
            text => Ok(PathBuf::from(text)),
        })?;
        Some(self.based(key, relative))
    }

    /// A path that `key` names, relative to the file's folder if it was written there.
    pub(super) fn based(&self, key: &'static str, relative: PathBuf) -> PathBuf {
        let place = self.find(key).map(|item| &item.place);
        let written = matches!(place, Some(Place::Line { .. }));
        if written { self.reader.base.join(relative) } else { relative }
    }

    /// A path to a file that can be read now.
    pub(super) fn file(&self, key: &'static str) -> Option<PathBuf> {
        let path = self.path(key)?;
        match (self.reader.readable)(&path) {
            Ok(()) => Some(path),
            Err(why) => {
                let found = format!("{}: {why}", path.display());
                self.refuse(key, self.find(key), &found, "a WAV file that can be read");
                None
            }
        }
    }

    /// True if `key` was written; counts as asking for it.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.find(key).is_some()
    }

    /// Reports that `key` is missing.
    pub(super) fn missing(&self, key: &'static str, why: &str) {
        self.reader.report(&self.place, self.key(key), format!("missing: {why}"));
    }

    /// Reports that what was written under `key` does not fit the rest.
    pub(super) fn conflict(&self, key: &'static str, message: String) {
        let place = self.find(key).map_or(&self.place, |item| &item.place);
        self.reader.report(place, self.key(key), message);
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self) {
        let asked = self.asked.borrow();
        let Some(table) = self.table else { return };
        for (key, item) in &table.entries {
            if asked.contains(&key.as_str()) {
                continue;
            }
            let near = suggestion(key, &asked);
            let allowed = listed(asked.iter().copied());
            let message = format!("unknown key{near}; allowed: {allowed}");
            self.reader.report(&item.place, self.key(key), message);
        }
    }

    fn find(&self, key: &'static str) -> Option<&'r Item> {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
        self.table.and_then(|table| table.get(key))
    }

    fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn refuse(&self, key: &str, item: Option<&Item>, found: &str, allowed: &str) {
        let place = item.map_or(&self.place, |item| &item.place);
        self.reader.report(place, self.key(key), format!("{found}; allowed: {allowed}"));
    }
}

/// The value of the word that `text` is, in any case.
fn choose<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("unknown{}", suggestion(text, &names))
    })
}

/// `"a", "b"` for messages.
fn listed<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let mut words: Vec<&str> = words.collect();
    words.sort_unstable();
    words.join(", ")
}

/// Characters of a value that a message shows.
const SHOWN_CHARS_MAX: usize = 80;

/// A value as a message shows it: quoted, control characters escaped, not too long.
fn shown(value: &Value) -> String {
    let cut = |text: &str| -> String { text.chars().take(SHOWN_CHARS_MAX).collect() };
    match value {
        Value::Text(text) => format!("{:?}", cut(text)),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::List(_) => "a list".to_owned(),
        Value::Table(_) => "a table".to_owned(),
        Value::Other(text) => cut(text),
    }
}
