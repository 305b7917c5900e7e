//! A look at a database that changes nothing in it, for the doctor.

use super::db::Db;
use super::error::StoreError;
use super::sql::Query;
use super::{DatabaseUrl, StoreSettings};

pub use super::migrate::latest;

/// What a look at the database found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inspection {
    /// There is none yet.
    Missing,
    /// Its tables are of this version of this many.
    Outdated {
        /// The last step that was carried out.
        step: i64,
        /// The last step that there is.
        latest: i64,
    },
    /// It can be used at once.
    Ready {
        /// API keys that hold.
        keys: i64,
        /// Configurations in service whose carriers send webhooks.
        hooked: usize,
    },
}

/// Looks at the database.
///
/// # Errors
///
/// If it cannot be reached, or was sealed with other keys.
pub async fn inspect(settings: &StoreSettings) -> Result<Inspection, StoreError> {
    if matches!(&settings.url, DatabaseUrl::Sqlite(path) if !path.exists()) {
        return Ok(Inspection::Missing);
    }
    let db = Db::connect(&settings.url).await?;
    let found = look(&db, settings).await;
    db.close().await;
    found
}

async fn look(db: &Db, settings: &StoreSettings) -> Result<Inspection, StoreError> {
    let latest = latest();
    let step = Query::new("SELECT MAX(version) AS step FROM _sqlx_migrations WHERE success");
    let step = match db.fetch_optional(step).await {
        Ok(Some(row)) => row.get::<Option<i64>>("step")?.unwrap_or(0),
        // The table of the steps is made with the first of them.
        Ok(None) | Err(StoreError::Refused { .. }) => 0,
        Err(error) => return Err(error),
    };
    if step != latest {
        return Ok(Inspection::Outdated { step, latest });
    }
    let seal = settings.seal.read()?;
    if let Some(row) = db.fetch_optional(super::canary()).await? {
        super::check_canary(&seal, &row)?;
    }
    let keys = Query::new("SELECT COUNT(*) AS held FROM api_keys WHERE revoked_at IS NULL");
    let keys = db.fetch_optional(keys).await?.ok_or(StoreError::NotFound)?.get("held")?;
    let providers = "SELECT provider FROM configurations \
                     WHERE deleted_at IS NULL AND inactive_since IS NULL";
    let mut hooked = 0;
    for row in db.fetch_all(Query::new(providers)).await? {
        let provider = adapters::table::find(&row.get::<String>("provider")?);
        hooked += usize::from(provider.is_some_and(|spec| spec.inbound.is_some()));
    }
    Ok(Inspection::Ready { keys, hooked })
}
