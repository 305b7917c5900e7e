//! Runs the body of a test with servers on either database.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::ports::Ports;
use super::server::{Server, folder};

/// Names the PostgreSQL server of the tests.
const POSTGRES: &str = "TALKPATH_TEST_POSTGRES_URL";

/// Tables of one test in PostgreSQL; they go away with it.
#[derive(Debug)]
pub struct Schema {
    name: String,
    /// What `TALKPATH_DATABASE_URL` is for servers of the test.
    pub url: String,
}

impl Schema {
    /// Makes one, where there is a PostgreSQL.
    pub fn make() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let base = std::env::var(POSTGRES).ok()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("talkpath_e2e_{}_{number}", std::process::id());
        execute(&base, &format!("CREATE SCHEMA {name}"));
        let sign = if base.contains('?') { '&' } else { '?' };
        let url = format!("{base}{sign}options=-csearch_path%3D{name}");
        Some(Self { name, url })
    }
}

/// Rows of a table that nobody else can change until this is dropped.
#[derive(Debug)]
pub struct Locked {
    runtime: tokio::runtime::Runtime,
    connection: Option<PgConnection>,
}

impl Schema {
    /// Locks the rows of a table for which `condition` holds, as a transaction does that hangs.
    pub fn lock(&self, table: &str, condition: &str) -> Locked {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connection = runtime.block_on(async {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            connection.execute("BEGIN").await.unwrap();
            let rows = format!("SELECT 1 FROM {table} WHERE {condition} FOR UPDATE");
            let locked = connection.execute(AssertSqlSafe(rows)).await.unwrap();
            assert!(locked.rows_affected() > 0, "no row of {table}");
            connection
        });
        Locked { runtime, connection: Some(connection) }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.runtime.block_on(connection.close()).unwrap();
        }
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        if let Ok(base) = std::env::var(POSTGRES) {
            execute(&base, &format!("DROP SCHEMA {} CASCADE", self.name));
        }
    }
}

fn execute(base: &str, statement: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = PgConnection::connect(base).await.unwrap();
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
        connection.close().await.unwrap();
    });
}

/// Runs `body` with a server on SQLite, and with one on PostgreSQL where there is one. The second
/// argument is the environment in which a command finds the same database.
pub fn on_both(config: &str, body: impl Fn(Server, &[(&str, &str)])) {
    body(Server::start(config), &[]);
    let Some(schema) = Schema::make() else {
        eprintln!("not on PostgreSQL: {POSTGRES} is not set");
        return;
    };
    let environment = [("TALKPATH_DATABASE_URL", schema.url.as_str())];
    body(Server::start_with(Ports::claim(), folder(), config, &environment), &environment);
}
