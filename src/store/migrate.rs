//! Brings the tables of a database to this version.

use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use super::db::{self, Db};
use super::error::StoreError;

/// A step: its number, its name, its text for SQLite and for PostgreSQL.
pub(super) type Step = (i64, &'static str, &'static str, &'static str);

macro_rules! steps {
    ($($number:literal => $file:literal),* $(,)?) => {
        &[$((
            $number,
            $file,
            include_str!(concat!("../../migrations/sqlite/", $file, ".sql")),
            include_str!(concat!("../../migrations/postgres/", $file, ".sql")),
        )),*]
    };
}

/// All steps in their order. A step that was released is never changed.
pub(super) const STEPS: &[Step] = steps! {
    1 => "0001_init",
    2 => "0002_sessions",
    3 => "0003_carrier_calls",
    4 => "0004_call_orders",
    5 => "0005_rates",
    6 => "0006_voicemails",
    7 => "0007_recordings",
};

/// The number of the last step.
pub fn latest() -> i64 {
    STEPS.iter().map(|step| step.0).max().unwrap_or(0)
}

impl Db {
    /// Carries out the steps that are missing.
    pub(super) async fn migrate(&self) -> Result<(), StoreError> {
        let done = match self {
            Self::Sqlite { path, writer, .. } => {
                let _alone = db::lock(path).await?;
                migrator(|step| step.2).run(writer).await
            }
            Self::Postgres(pool) => migrator(|step| step.3).run(pool).await,
        };
        done.map_err(failed)
    }
}

fn migrator(text: impl Fn(&Step) -> &'static str) -> Migrator {
    let migration = |step: &Step| {
        let sql = text(step).into_sql_str();
        Migration::new(step.0, step.1.into(), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations(STEPS.iter().map(migration).collect())
}

fn failed(error: MigrateError) -> StoreError {
    let reason = match error {
        MigrateError::VersionMissing(version) => {
            format!("they are of a later version ({version}) of this program")
        }
        MigrateError::VersionMismatch(version) => {
            format!(
                "step {version} was carried out with another text; this is another program's \
                     database, or one of an unreleased version"
            )
        }
        MigrateError::Dirty(version) => format!("step {version} was carried out in part"),
        other => other.to_string(),
    };
    StoreError::Migration { reason }
}
