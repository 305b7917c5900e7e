//! Rows of either database.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::error::StoreError;

/// A row of an answer.
#[derive(Debug)]
pub enum Row {
    /// From SQLite.
    Sqlite(SqliteRow),
    /// From PostgreSQL.
    Postgres(PgRow),
}

impl Row {
    /// The value of a column.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] if there is no such column or it holds something else.
    pub fn get<T: Column>(&self, name: &'static str) -> Result<T, StoreError> {
        T::column(self, name)
    }

    /// The value of a text column that `parse` understands.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] if it does not.
    pub fn parse<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, StoreError> {
        let text: String = self.get(name)?;
        parse(&text).ok_or(StoreError::Corrupt { what: name })
    }

    /// The value of a text column that holds JSON.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] if it does not.
    pub fn json<T: serde::de::DeserializeOwned>(
        &self,
        name: &'static str,
    ) -> Result<T, StoreError> {
        self.parse(name, |text| serde_json::from_str(text).ok())
    }
}

/// What a column can hold.
pub trait Column: Sized {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] if the column holds something else.
    fn column(row: &Row, name: &'static str) -> Result<Self, StoreError>;
}

macro_rules! columns {
    ($($type:ty),*) => {$(
        impl Column for $type {
            fn column(row: &Row, name: &'static str) -> Result<Self, StoreError> {
                let value = match row {
                    Row::Sqlite(row) => row.try_get(name),
                    Row::Postgres(row) => row.try_get(name),
                };
                value.map_err(|_| StoreError::Corrupt { what: name })
            }
        }
    )*};
}

columns!(i64, bool, String, Vec<u8>);
columns!(Option<i64>, Option<bool>, Option<String>, Option<Vec<u8>>);

impl Column for Uuid {
    fn column(row: &Row, name: &'static str) -> Result<Self, StoreError> {
        let bytes: Vec<u8> = row.get(name)?;
        Self::from_slice(&bytes).map_err(|_| StoreError::Corrupt { what: name })
    }
}

impl Column for Option<Uuid> {
    fn column(row: &Row, name: &'static str) -> Result<Self, StoreError> {
        let bytes: Option<Vec<u8>> = row.get(name)?;
        let id = bytes.map(|bytes| Uuid::from_slice(&bytes)).transpose();
        id.map_err(|_| StoreError::Corrupt { what: name })
    }
}
