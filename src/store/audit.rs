//! The audit log: who changed what, written together with the change.

use std::fmt::Display;

use serde_json::{Value, json};

use super::id::{AuditId, OrganisationId, Timestamp};
use super::row::Row;
use super::sql::Query;
use super::{Store, StoreError, Tx};

/// Who changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Whoever holds the API key of this id.
    Key(String),
    /// Whoever writes the configuration file.
    File,
    /// Whoever runs a command on the machine.
    Command,
    /// The server by itself.
    Server,
}

impl Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(id) => write!(f, "key:{id}"),
            Self::File => f.write_str("file"),
            Self::Command => f.write_str("command"),
            Self::Server => f.write_str("server"),
        }
    }
}

/// An entry to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// Whose object it is.
    pub organisation: OrganisationId,
    /// Who changed it, as [`Actor`] is written.
    pub actor: String,
    /// What was done, such as `create`.
    pub action: &'static str,
    /// To what kind of object, such as `agent`.
    pub object_type: &'static str,
    /// To which.
    pub object_id: String,
    /// What of it is worth knowing; never a secret.
    pub details: Value,
}

impl Audit {
    /// An entry without details.
    pub fn new(
        organisation: OrganisationId,
        actor: &Actor,
        action: &'static str,
        object_type: &'static str,
        object_id: impl Display,
    ) -> Self {
        let (actor, object_id) = (actor.to_string(), object_id.to_string());
        Self { organisation, actor, action, object_type, object_id, details: json!({}) }
    }

    /// The same with details.
    #[must_use]
    pub fn with(self, details: Value) -> Self {
        Self { details, ..self }
    }
}

/// An entry as it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// Names the entry; later ones sort after it.
    pub id: AuditId,
    /// When it was done.
    pub at: Timestamp,
    /// Who did it.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what kind of object.
    pub object_type: String,
    /// To which.
    pub object_id: String,
    /// What of it is worth knowing.
    pub details: Value,
}

fn read(row: &Row) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        id: row.get("id")?,
        at: row.get("at")?,
        actor: row.get("actor")?,
        action: row.get("action")?,
        object_type: row.get("object_type")?,
        object_id: row.get("object_id")?,
        details: row.json("details")?,
    })
}

impl Tx {
    /// Writes an entry of the audit log with whatever else this transaction does.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn audit(&mut self, entry: &Audit) -> Result<(), StoreError> {
        let query = Query::new(
            "INSERT INTO audit_log (id, organisation_id, at, actor, action, object_type, \
             object_id, details) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        );
        let query = query.bind(AuditId::new()).bind(entry.organisation).bind(Timestamp::now());
        let query = query.bind(&entry.actor).bind(entry.action).bind(entry.object_type);
        self.execute(query.bind(&entry.object_id).bind(entry.details.to_string())).await?;
        Ok(())
    }
}

impl Store {
    /// Writes an entry of the audit log that stands for something that changed nothing here.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn audit(&self, entry: &Audit) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        tx.audit(entry).await?;
        tx.commit().await
    }

    /// Up to `limit` entries of an organisation, the latest first, all before `before` if given.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn audit_entries(
        &self,
        organisation: OrganisationId,
        before: Option<AuditId>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let query = Query::new(
            "SELECT id, at, actor, action, object_type, object_id, details FROM audit_log \
             WHERE organisation_id = $1",
        );
        let query = query.bind(organisation).page_back(before, limit);
        let rows = self.fetch_all(query).await?;
        rows.iter().map(read).collect()
    }
}
