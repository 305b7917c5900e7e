//! Seals everything under the newest key.

use uuid::Uuid;

use super::row::Row;
use super::sql::Query;
use super::{CANARY, CANARY_PLACE, Store, StoreError, canary};
use crate::seal::{self, Place};

/// Rows that are read at a time.
const BATCH_ROWS: i64 = 200;

/// A column that holds sealed values.
struct Sealed {
    table: &'static str,
    field: &'static str,
    /// Reads `id` and `value` of up to `$2` rows after `$1`.
    read: &'static str,
    /// Replaces the value `$3` of row `$2` by `$1`.
    write: &'static str,
}

macro_rules! sealed {
    ($($table:literal, $field:literal;)*) => {
        &[$(Sealed {
            table: $table,
            field: $field,
            read: concat!(
                "SELECT id, ", $field, " AS value FROM ", $table, " WHERE id > $1 AND ", $field,
                " IS NOT NULL ORDER BY id LIMIT $2"
            ),
            write: concat!(
                "UPDATE ", $table, " SET ", $field, " = $1 WHERE id = $2 AND ", $field, " = $3"
            ),
        },)*]
    };
}

/// All of them. Answers to requests that may come again are sealed too; they live for a day and
/// are not sealed again.
const SEALED: &[Sealed] = sealed! {
    "agents", "secret";
    "agents", "settings";
    "configurations", "credentials";
    "configurations", "token";
    "subscriptions", "secret";
    "trunks", "credentials";
};

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Values that were sealed again.
    pub sealed: u64,
    /// Values that the newest key had sealed already.
    pub kept: u64,
}

impl Store {
    /// Seals every value again that another than the newest key sealed. May be broken off and begun
    /// again at any time, and run beside servers that have both keys.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached, or a value cannot be opened; what was sealed by then
    /// stays so.
    pub async fn reseal(&self) -> Result<Resealed, StoreError> {
        let mut done = Resealed::default();
        for column in SEALED {
            let mut after = Uuid::nil();
            loop {
                let query = Query::new(column.read).bind(after).bind(BATCH_ROWS);
                let rows = self.fetch_all(query).await?;
                let Some(last) = rows.last() else { break };
                after = last.get("id")?;
                for row in &rows {
                    self.reseal_row(column, row, &mut done).await?;
                }
            }
        }
        // Last, so that it tells whether everything is done.
        let row = self.fetch_one(canary()).await?;
        let old: Vec<u8> = row.get("value")?;
        if seal::key_id(&old) == Some(self.seal_keys().newest()) {
            done.kept += 1;
        } else {
            let new = self.seal(&CANARY_PLACE, &self.unseal(&CANARY_PLACE, &old)?)?;
            let query = Query::new("UPDATE meta SET value = $1 WHERE name = $2 AND value = $3");
            done.sealed += self.execute(query.bind(new).bind(CANARY).bind(old)).await?;
        }
        Ok(done)
    }

    async fn reseal_row(
        &self,
        column: &Sealed,
        row: &Row,
        done: &mut Resealed,
    ) -> Result<(), StoreError> {
        let (id, old): (Uuid, Vec<u8>) = (row.get("id")?, row.get("value")?);
        if seal::key_id(&old) == Some(self.seal_keys().newest()) {
            done.kept += 1;
            return Ok(());
        }
        let place = Place { table: column.table, row: id.as_bytes(), field: column.field };
        let new = self.seal(&place, &self.unseal(&place, &old)?)?;
        // Whoever changed the value meanwhile has sealed it with a key of his own choice; the next
        // run finds it if that was not the newest.
        done.sealed += self.execute(Query::new(column.write).bind(new).bind(id).bind(old)).await?;
        Ok(())
    }
}
