//! A configuration document as a tree of values that know where they were written.

use std::fmt;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem};

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// What a value is. `Debug` shows its kind alone: it may be secret.
#[derive(Clone)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Flag(bool),
    List(Vec<Item>),
    Table(Table),
    /// A date or an integer beyond 64 bits, as written: no key takes one.
    Other(String),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text"),
            Self::Integer(_) => f.write_str("Integer"),
            Self::Float(_) => f.write_str("Float"),
            Self::Flag(_) => f.write_str("Flag"),
            Self::List(items) => f.debug_list().entries(items).finish(),
            Self::Table(table) => table.fmt(f),
            Self::Other(_) => f.write_str("Other"),
        }
    }
}

/// Entries in the order of their places.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) entries: Vec<(String, Item)>,
}

impl Table {
    pub(super) fn get(&self, name: &str) -> Option<&Item> {
        self.entries.iter().find(|(key, _)| key == name).map(|(_, item)| item)
    }

    /// Puts `item` in the place of what has this name, or at the end.
    pub(super) fn set(&mut self, name: &str, item: Item) {
        match self.entries.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = item,
            None => self.entries.push((name.to_owned(), item)),
        }
    }

    /// The table called `name`, made if it is missing; `None` if the name holds something else.
    pub(super) fn table_mut(&mut self, name: &str, place: &Place) -> Option<&mut Self> {
        if self.get(name).is_none() {
            let value = Value::Table(Self::default());
            self.set(name, Item { value, place: place.clone() });
        }
        let item = self.entries.iter_mut().find(|(key, _)| key == name)?;
        match &mut item.1.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The list called `name`, made if it is missing; `None` if the name holds something else.
    pub(super) fn list_mut(&mut self, name: &str, place: &Place) -> Option<&mut Vec<Item>> {
        if self.get(name).is_none() {
            let value = Value::List(Vec::new());
            self.set(name, Item { value, place: place.clone() });
        }
        let item = self.entries.iter_mut().find(|(key, _)| key == name)?;
        match &mut item.1.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }
}

/// Reads TOML. A syntax error goes to `problems`: the first alone, as others mostly follow from it.
pub(super) fn read(file: &Path, text: &str, problems: &mut Vec<Problem>) -> Table {
    let lines = Lines::new(file, text);
    match DeTable::parse(text) {
        Ok(document) => table(document.get_ref(), &lines),
        Err(error) => {
            problems.push(Problem {
                place: lines.place(error.span().map_or(0, |span| span.start)),
                key: String::new(),
                message: format!("not TOML: {}", error.message().replace('\n', "; ")),
            });
            Table::default()
        }
    }
}

fn table(source: &DeTable<'_>, lines: &Lines<'_>) -> Table {
    let mut spans: Vec<_> = source.iter().collect();
    spans.sort_by_key(|(key, _)| key.span().start);
    let entries = spans
        .into_iter()
        .map(|(key, value)| {
            let mut item = item(value, lines);
            item.place = lines.place(key.span().start);
            (key.get_ref().to_string(), item)
        })
        .collect();
    Table { entries }
}

fn item(source: &Spanned<DeValue<'_>>, lines: &Lines<'_>) -> Item {
    let value = match source.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::Other(number.to_string()), Value::Integer),
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .map_or_else(|_| Value::Other(number.as_str().to_owned()), Value::Float),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(date) => Value::Other(date.to_string()),
        DeValue::Array(items) => {
            Value::List(items.iter().map(|value| item(value, lines)).collect())
        }
        DeValue::Table(source) => Value::Table(table(source, lines)),
    };
    Item { value, place: lines.place(source.span().start) }
}

/// Turns byte offsets of a file into lines.
struct Lines<'a> {
    file: &'a Path,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(file: &'a Path, text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Self { file, starts }
    }

    fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset);
        Place::Line { file: self.file.to_owned(), line }
    }
}
