//! Statements and what they are given: one text for both databases.
//!
//! A [`Query`] is made of texts of this program alone; whatever came from outside is bound. Both
//! databases understand `$1`, bound by number.

use std::borrow::Cow;
use std::fmt;

use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Postgres, Sqlite};
use uuid::Uuid;

/// A value as it is bound. Nothing has a type too, as PostgreSQL wants to know it. `Debug` shows
/// the type alone: texts hold phone numbers and addresses with tokens.
#[derive(Clone)]
pub enum Value {
    /// A whole number; times too.
    Int(Option<i64>),
    /// A flag.
    Flag(Option<bool>),
    /// A text; JSON too.
    Text(Option<String>),
    /// Bytes; identifiers too.
    Bytes(Option<Vec<u8>>),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Int(_) => "Int",
            Self::Flag(_) => "Flag",
            Self::Text(_) => "Text",
            Self::Bytes(_) => "Bytes",
        })
    }
}

/// PostgreSQL has no texts with NUL, and refuses all that is written with one: whatever peers and
/// clients say must not keep anything else from being written.
fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

macro_rules! values {
    ($($type:ty => $variant:ident, $convert:expr;)*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(Some($convert(value)))
            }
        }

        impl From<Option<$type>> for Value {
            fn from(value: Option<$type>) -> Self {
                Self::$variant(value.map($convert))
            }
        }
    )*};
}

values! {
    i64 => Int, std::convert::identity;
    u32 => Int, i64::from;
    bool => Flag, std::convert::identity;
    String => Text, storable;
    &str => Text, |text: &str| storable(text.to_owned());
    &String => Text, |text: &String| storable(text.clone());
    Vec<u8> => Bytes, std::convert::identity;
    &[u8] => Bytes, <[u8]>::to_vec;
    Uuid => Bytes, |id: Uuid| id.as_bytes().to_vec();
}

/// A statement with what is bound to it.
#[derive(Clone, Debug)]
pub struct Query {
    text: Cow<'static, str>,
    values: Vec<Value>,
}

impl Query {
    /// A statement whose `$1`, `$2`, ... are bound in order.
    pub const fn new(text: &'static str) -> Self {
        Self { text: Cow::Borrowed(text), values: Vec::new() }
    }

    /// Binds the next value.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Appends to the text.
    #[must_use]
    pub fn push(mut self, text: &'static str) -> Self {
        self.text.to_mut().push_str(text);
        self
    }

    /// Appends the place of one more value, and binds it.
    #[must_use]
    pub fn push_bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        let text = self.text.to_mut();
        text.push('$');
        text.push_str(&self.values.len().to_string());
        self
    }

    /// Goes on behind a row, in the order of the ids, for at most `limit` rows. The statement has
    /// conditions already.
    #[must_use]
    pub fn page(self, after: Option<impl Into<Value>>, limit: u32) -> Self {
        let query = match after {
            Some(after) => self.push(" AND id > ").push_bind(after),
            None => self,
        };
        query.push(" ORDER BY id LIMIT ").push_bind(limit)
    }

    /// The same from the latest back: goes on before a row.
    #[must_use]
    pub fn page_back(self, before: Option<impl Into<Value>>, limit: u32) -> Self {
        let query = match before {
            Some(before) => self.push(" AND id < ").push_bind(before),
            None => self,
        };
        query.push(" ORDER BY id DESC LIMIT ").push_bind(limit)
    }

    pub(super) fn sqlite(self) -> sqlx::query::Query<'static, Sqlite, SqliteArguments> {
        let mut query = sqlx::query(AssertSqlSafe(self.text));
        for value in self.values {
            query = match value {
                Value::Int(value) => query.bind(value),
                Value::Flag(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
            };
        }
        query
    }

    pub(super) fn postgres(self) -> sqlx::query::Query<'static, Postgres, PgArguments> {
        let mut query = sqlx::query(AssertSqlSafe(self.text));
        for value in self.values {
            query = match value {
                Value::Int(value) => query.bind(value),
                Value::Flag(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
            };
        }
        query
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No text holds what one of the databases cannot.
    #[test]
    fn texts_can_be_stored() {
        for value in [Value::from("a\0b"), Value::from("a\0b".to_owned())] {
            assert!(matches!(value, Value::Text(Some(text)) if text == "a\u{fffd}b"));
        }
    }

    /// Appended places are numbered after those of the text, whatever the order of the pushes.
    #[test]
    fn places_are_numbered() {
        let query = Query::new("SELECT a FROM t WHERE b = $1").bind(1_i64);
        let query = query.push(" AND c = ").push_bind("x").push(" AND d > ").push_bind(2_i64);
        assert_eq!(query.text, "SELECT a FROM t WHERE b = $1 AND c = $2 AND d > $3");
        assert_eq!(query.values.len(), 3);
    }

    /// A page goes on behind a row in either direction, and begins at the end without one.
    #[test]
    fn pages_go_on() {
        let query = || Query::new("SELECT a FROM t WHERE b = $1").bind(1_i64);
        let text = |query: Query| (query.text, query.values.len());
        for (query, more, places) in [
            (query().page(Some(7_i64), 5), " AND id > $2 ORDER BY id LIMIT $3", 3),
            (query().page(None::<i64>, 5), " ORDER BY id LIMIT $2", 2),
            (query().page_back(Some(7_i64), 5), " AND id < $2 ORDER BY id DESC LIMIT $3", 3),
            (query().page_back(None::<i64>, 5), " ORDER BY id DESC LIMIT $2", 2),
        ] {
            let expected = format!("SELECT a FROM t WHERE b = $1{more}");
            assert_eq!(text(query), (expected.into(), places));
        }
    }
}
