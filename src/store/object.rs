//! What the objects that are configured have in common.

use serde_json::Value as Json;

use super::id::{OrganisationId, Timestamp};
use super::row::Row;
use super::sql::{Query, Value};
use super::{Store, StoreError, Tx};
use crate::config::Secret;
use crate::seal::Place;

/// Where an object was declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// In the configuration file; it is changed there.
    File,
    /// Over HTTP.
    Api,
}

impl Origin {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Api => "api",
        }
    }

    /// The origin with this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::File, Self::Api].into_iter().find(|origin| origin.as_str() == word)
    }
}

/// What every object has besides its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Whose it is.
    pub organisation: OrganisationId,
    /// Where it was declared.
    pub origin: Origin,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Stamp {
    pub(super) fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            organisation: row.get("organisation_id")?,
            origin: row.parse("origin", Origin::parse)?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

/// Limits of whatever uses an object; none where absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallLimits {
    /// Calls at once.
    pub max_calls: Option<i64>,
    /// New calls a second.
    pub calls_per_second: Option<i64>,
}

impl CallLimits {
    pub(super) fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            max_calls: row.get("max_calls")?,
            calls_per_second: row.get("calls_per_second")?,
        })
    }
}

/// A kind of object: its table, what the audit log calls it.
pub(super) struct Kind {
    pub(super) table: &'static str,
    pub(super) name: &'static str,
    /// How many an organisation may have: all of all are held in memory.
    pub(super) max: u32,
    /// Counts those of the organisation `$1`.
    pub(super) count: &'static str,
    /// Finds whose the object `$1` of the organisation `$2` is, and where it comes from.
    pub(super) find: &'static str,
    /// Marks the object `$1` deleted at `$2`.
    pub(super) delete: &'static str,
    /// Undoes that.
    pub(super) revive: &'static str,
}

macro_rules! kind {
    ($table:literal, $name:literal, $max:literal) => {
        $crate::store::object::Kind {
            table: $table,
            name: $name,
            max: $max,
            count: concat!(
                "SELECT COUNT(*) AS held FROM ",
                $table,
                " WHERE organisation_id = $1 AND deleted_at IS NULL"
            ),
            find: concat!(
                "SELECT origin FROM ",
                $table,
                " WHERE id = $1 AND organisation_id = $2 AND deleted_at IS NULL"
            ),
            delete: concat!(
                "UPDATE ",
                $table,
                " SET deleted_at = $2, updated_at = $2 WHERE id = $1"
            ),
            revive: concat!("UPDATE ", $table, " SET deleted_at = NULL WHERE id = $1"),
        }
    };
}
pub(super) use kind;

impl Tx {
    /// Refuses what is not there, and what only the configuration file may change.
    pub(super) async fn writable(
        &mut self,
        kind: &Kind,
        organisation: OrganisationId,
        id: impl Into<Value>,
        by: Origin,
    ) -> Result<(), StoreError> {
        let query = Query::new(kind.find).bind(id).bind(organisation);
        let origin = self.fetch_one(query).await?.parse("origin", Origin::parse)?;
        if origin == by { Ok(()) } else { Err(StoreError::ReadOnly) }
    }

    /// Refuses one more than an organisation may have.
    pub(super) async fn room(
        &mut self,
        kind: &Kind,
        organisation: OrganisationId,
    ) -> Result<(), StoreError> {
        let held: i64 =
            self.fetch_one(Query::new(kind.count).bind(organisation)).await?.get("held")?;
        let full = held >= i64::from(kind.max);
        if full { Err(StoreError::Full { what: kind.name, max: kind.max }) } else { Ok(()) }
    }

    /// Refuses a reference to what the organisation does not have.
    pub(super) async fn owned(
        &mut self,
        kind: &Kind,
        organisation: OrganisationId,
        id: Option<impl Into<Value>>,
    ) -> Result<(), StoreError> {
        let Some(id) = id else { return Ok(()) };
        let query = Query::new(kind.find).bind(id).bind(organisation);
        match self.fetch_optional(query).await? {
            Some(_) => Ok(()),
            None => Err(StoreError::NoSuch { what: kind.name }),
        }
    }

    /// Refuses if `query`, which counts, finds any.
    pub(super) async fn unused(
        &mut self,
        query: Query,
        what: &'static str,
    ) -> Result<(), StoreError> {
        match self.fetch_optional(query).await? {
            None => Ok(()),
            Some(_) => Err(StoreError::InUse { what }),
        }
    }
}

impl Store {
    pub(super) fn seal_text(
        &self,
        kind: &Kind,
        id: uuid::Uuid,
        field: &'static str,
        secret: Option<&Secret>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let place = Place { table: kind.table, row: id.as_bytes(), field };
        secret.map(|secret| self.seal(&place, secret.expose().as_bytes())).transpose()
    }

    pub(super) fn seal_json(
        &self,
        kind: &Kind,
        id: uuid::Uuid,
        field: &'static str,
        json: &Json,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.seal_text(kind, id, field, Some(&Secret::new(json.to_string())))
    }

    pub(super) fn unseal_text(
        &self,
        kind: &Kind,
        row: &Row,
        field: &'static str,
    ) -> Result<Option<Secret>, StoreError> {
        let id: uuid::Uuid = row.get("id")?;
        let place = Place { table: kind.table, row: id.as_bytes(), field };
        let Some(sealed) = row.get::<Option<Vec<u8>>>(field)? else { return Ok(None) };
        let plain = String::from_utf8(self.unseal(&place, &sealed)?);
        let plain = plain.map_err(|_| StoreError::Corrupt { what: field })?;
        Ok(Some(Secret::new(plain)))
    }

    pub(super) fn unseal_json(
        &self,
        kind: &Kind,
        row: &Row,
        field: &'static str,
    ) -> Result<Option<Json>, StoreError> {
        let Some(text) = self.unseal_text(kind, row, field)? else { return Ok(None) };
        let json = serde_json::from_str(text.expose());
        json.map(Some).map_err(|_| StoreError::Corrupt { what: field })
    }
}
