//! Runs the body of a test on both databases.

mod call_orders;
mod callers;
mod carrier_calls;
mod feed;
mod file;
mod idempotency;
mod messages;
mod nodes;
mod objects;
mod organisations;
mod recordings;
mod reseal;
mod retention;
mod schema;
mod sessions;
mod spending;
mod voicemails;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::organisations::OrganisationFields;
use super::{Actor, DatabaseUrl, OrganisationId, SealSource, Store, StoreSettings};
use crate::config::Secret;

/// Names the PostgreSQL server of the tests.
const POSTGRES: &str = "TALKPATH_TEST_POSTGRES_URL";

/// A database of one test, with a folder; both go away with it.
pub(crate) struct Db {
    settings: StoreSettings,
    folder: PathBuf,
}

impl Db {
    /// Opens a store on it: each is as another server.
    pub(crate) async fn store(&self) -> Store {
        Store::open(&self.settings).await.unwrap()
    }

    /// Where it is and what seals it.
    pub(crate) const fn settings(&self) -> &StoreSettings {
        &self.settings
    }

    /// A folder of the test.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes an organisation.
    pub(crate) async fn organisation(&self, store: &Store, name: &str) -> OrganisationId {
        let fields = OrganisationFields {
            name: name.to_owned(),
            max_calls: None,
            calls_per_second: None,
            settings: serde_json::json!({}),
        };
        store.create_organisation(&fields, &Actor::Server).await.unwrap()
    }
}

/// Runs `body` on SQLite, and on PostgreSQL where there is one.
pub(crate) fn on_both(body: impl AsyncFn(&Db)) {
    let run = |database: &dyn Fn(&Path, &str) -> Option<DatabaseUrl>| {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("talkpath_test_{}_{number}", std::process::id());
        let folder = std::env::temp_dir().join(&name);
        let _ = std::fs::remove_dir_all(&folder);
        let Some(url) = database(&folder, &name) else { return };
        std::fs::create_dir_all(&folder).unwrap();
        let seal = SealSource::Own(folder.join("seal.keys"));
        let db = Db { settings: StoreSettings { url, seal }, folder };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(body(&db));
        std::fs::remove_dir_all(&db.folder).unwrap();
        if matches!(db.settings.url, DatabaseUrl::Postgres(_)) {
            runtime.block_on(schema(&format!("DROP SCHEMA {name} CASCADE")));
        }
    };
    run(&|folder, _| Some(DatabaseUrl::Sqlite(folder.join("data/talkpath.db"))));
    run(&|_, name| {
        let Ok(base) = std::env::var(POSTGRES) else {
            eprintln!("not on PostgreSQL: {POSTGRES} is not set");
            return None;
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(schema(&format!("CREATE SCHEMA {name}")));
        let sign = if base.contains('?') { '&' } else { '?' };
        let url = format!("{base}{sign}options=-csearch_path%3D{name}");
        Some(DatabaseUrl::Postgres(Secret::new(url)))
    });
}

/// Makes or drops the schema of a test.
async fn schema(statement: &str) {
    use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
    let base = std::env::var(POSTGRES).unwrap();
    let mut connection = PgConnection::connect(&base).await.unwrap();
    connection.execute(AssertSqlSafe(statement)).await.unwrap();
    connection.close().await.unwrap();
}
