//! The connections to either database, and transactions on them.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Postgres, Sqlite, Transaction};
use tokio::sync::watch;

use super::error::StoreError;
use super::row::Row;
use super::sql::Query;
use super::url::DatabaseUrl;

/// Connections that read from SQLite at once.
const SQLITE_READERS: u32 = 4;
/// Connections to PostgreSQL.
const POSTGRES_CONNECTIONS: u32 = 16;
/// How long a request waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);
/// How long SQLite waits for another process that writes.
const BUSY: Duration = Duration::from_secs(5);
/// Memory of a connection that reads from SQLite for pages of the file, in KiB, while it is used.
const READ_CACHE_KIB: u32 = 2_048;
/// Gives that memory back: else a log that grows fills it with what nobody asks for again, and a
/// server that only takes calls seems to leak. The system has the file's pages all the same.
const SHRINK: &str = "PRAGMA shrink_memory";
/// That of the one that writes: it comes back to the ends of tables, hardly to the rest.
const WRITE_CACHE_KIB: u32 = 512;
/// Size that the write-ahead log is cut back to.
const LOG_BYTES: u32 = 64 << 20;
/// Channel on which nodes that share PostgreSQL tell each other of changes.
pub(super) const CHANNEL: &str = "talkpath_changes";

/// A database with its connections.
pub(super) enum Db {
    /// One connection writes, so that nobody waits for a lock in the middle of a transaction.
    Sqlite { path: PathBuf, writer: SqlitePool, readers: SqlitePool },
    /// All do everything.
    Postgres(PgPool),
}

impl Db {
    pub(super) async fn connect(url: &DatabaseUrl) -> Result<Self, StoreError> {
        match url {
            DatabaseUrl::Sqlite(path) => sqlite(path).await,
            DatabaseUrl::Postgres(secret) => {
                let options = PgConnectOptions::from_str(secret.expose());
                let options = options.map_err(|_| StoreError::Open {
                    place: "PostgreSQL".to_owned(),
                    reason: "its URL is not understood".to_owned(),
                })?;
                let options = options.application_name("talkpath").disable_statement_logging();
                let pool = PgPoolOptions::new()
                    .max_connections(POSTGRES_CONNECTIONS)
                    .acquire_timeout(ACQUIRE)
                    .connect_with(options.clone())
                    .await;
                match pool {
                    // It has tried again and again without a word: one connection tells why.
                    Err(late @ sqlx::Error::PoolTimedOut) => {
                        let one = tokio::time::timeout(ACQUIRE, options.connect()).await;
                        let why = one.ok().and_then(Result::err).unwrap_or(late);
                        Err(opening(url, why))
                    }
                    other => other.map(Self::Postgres).map_err(|error| opening(url, error)),
                }
            }
        }
    }

    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    pub(super) async fn begin(&self, changes: &watch::Sender<u64>) -> Result<Tx, StoreError> {
        let inner = match self {
            // Immediate: a transaction that reads first could not write later, if another process
            // wrote in between.
            Self::Sqlite { writer, .. } => {
                Inner::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?)
            }
            Self::Postgres(pool) => Inner::Postgres(pool.begin().await?),
        };
        Ok(Tx { inner, changes: changes.clone(), revision: None })
    }

    pub(super) async fn fetch_all(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite { readers, .. } => {
                let rows = query.sqlite().fetch_all(readers).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(pool) => {
                let rows = query.postgres().fetch_all(pool).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    pub(super) async fn fetch_optional(&self, query: Query) -> Result<Option<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite { readers, .. } => {
                query.sqlite().fetch_optional(readers).await?.map(Row::Sqlite)
            }
            Self::Postgres(pool) => query.postgres().fetch_optional(pool).await?.map(Row::Postgres),
        })
    }

    pub(super) async fn execute(&self, query: Query) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Sqlite { writer, .. } => query.sqlite().execute(writer).await?.rows_affected(),
            Self::Postgres(pool) => query.postgres().execute(pool).await?.rows_affected(),
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Sqlite { readers, .. } => readers.is_closed(),
            Self::Postgres(pool) => pool.is_closed(),
        }
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers, .. } => {
                // The last connection to close folds the log into the file; that needs the writer.
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

async fn sqlite(path: &Path) -> Result<Db, StoreError> {
    let place = || path.display().to_string();
    private(path)
        .map_err(|error| StoreError::Open { place: place(), reason: error.to_string() })?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // What is committed survives the end of the process; the log is synced at checkpoints.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY)
        .foreign_keys(true)
        .pragma("cache_size", format!("-{WRITE_CACHE_KIB}"))
        .pragma("journal_size_limit", LOG_BYTES.to_string())
        .pragma("temp_store", "memory")
        .disable_statement_logging();
    let pool = |connections| {
        SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
    };
    let url = DatabaseUrl::Sqlite(path.to_owned());
    let writer = pool(1).connect_with(options.clone()).await;
    let writer = writer.map_err(|error| opening(&url, error))?;
    let options = options.read_only(true).pragma("cache_size", format!("-{READ_CACHE_KIB}"));
    let readers = pool(SQLITE_READERS).after_release(|connection, _| {
        Box::pin(async move {
            sqlx::query(SHRINK).execute(connection).await?;
            Ok(true)
        })
    });
    let readers = readers.connect_lazy_with(options);
    Ok(Db::Sqlite { path: path.to_owned(), writer, readers })
}

/// Makes folder and file for the owner alone; SQLite gives its other files the mode of this one.
fn private(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    // A file that exists is left alone: to close it would free the locks that this process may
    // hold on it elsewhere (fcntl(2)).
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Keeps other processes from bringing the same tables up to date, until the file is dropped.
pub(super) async fn lock(path: &Path) -> Result<fs::File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let place = path.display().to_string();
    let locked = tokio::task::spawn_blocking(move || {
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.lock().map(|()| file)
    });
    match locked.await {
        Ok(Ok(file)) => Ok(file),
        Ok(Err(error)) => Err(StoreError::Open { place, reason: error.to_string() }),
        Err(error) => Err(StoreError::Open { place, reason: error.to_string() }),
    }
}

fn opening(url: &DatabaseUrl, error: sqlx::Error) -> StoreError {
    let reason = match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        other => StoreError::from(other).to_string(),
    };
    StoreError::Open { place: url.to_string(), reason }
}

/// A transaction; undone when it is dropped before [`Tx::commit`].
pub struct Tx {
    inner: Inner,
    changes: watch::Sender<u64>,
    /// What the revision is once this is committed, if it changes it.
    revision: Option<u64>,
}

enum Inner {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx").field("revision", &self.revision).finish_non_exhaustive()
    }
}

impl Tx {
    /// The rows that a statement finds or returns.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached, or refuses.
    pub async fn fetch_all(&mut self, query: Query) -> Result<Vec<Row>, StoreError> {
        Ok(match &mut self.inner {
            Inner::Sqlite(tx) => {
                let rows = query.sqlite().fetch_all(&mut **tx).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Inner::Postgres(tx) => {
                let rows = query.postgres().fetch_all(&mut **tx).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// The first row that a statement finds or returns.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached, or refuses.
    pub async fn fetch_optional(&mut self, query: Query) -> Result<Option<Row>, StoreError> {
        Ok(match &mut self.inner {
            Inner::Sqlite(tx) => query.sqlite().fetch_optional(&mut **tx).await?.map(Row::Sqlite),
            Inner::Postgres(tx) => {
                query.postgres().fetch_optional(&mut **tx).await?.map(Row::Postgres)
            }
        })
    }

    /// The first row that a statement finds or returns, which must be there.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if there is none.
    pub async fn fetch_one(&mut self, query: Query) -> Result<Row, StoreError> {
        self.fetch_optional(query).await?.ok_or(StoreError::NotFound)
    }

    /// Carries out a statement and returns how many rows it changed.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached, or refuses.
    pub async fn execute(&mut self, query: Query) -> Result<u64, StoreError> {
        Ok(match &mut self.inner {
            Inner::Sqlite(tx) => query.sqlite().execute(&mut **tx).await?.rows_affected(),
            Inner::Postgres(tx) => query.postgres().execute(&mut **tx).await?.rows_affected(),
        })
    }

    /// The revision as this transaction sees it.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn revision(&mut self) -> Result<u64, StoreError> {
        let query = Query::new("SELECT revision FROM revisions WHERE name = 'directory'");
        counted(&self.fetch_one(query).await?)
    }

    /// Notes that this transaction changes what routing depends on: whoever watches
    /// [`super::Store::changes`] is told when it is committed.
    pub(super) async fn touch(&mut self) -> Result<(), StoreError> {
        if self.revision.is_none() {
            // The row is locked until the commit, so revisions are committed in their order.
            let query = Query::new(
                "UPDATE revisions SET revision = revision + 1 WHERE name = 'directory' \
                 RETURNING revision",
            );
            self.revision = Some(counted(&self.fetch_one(query).await?)?);
        }
        Ok(())
    }

    /// Undoes everything that was done in it.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached: then it is undone, too.
    pub async fn rollback(self) -> Result<(), StoreError> {
        match self.inner {
            Inner::Sqlite(tx) => tx.rollback().await?,
            Inner::Postgres(tx) => tx.rollback().await?,
        }
        Ok(())
    }

    /// Makes everything that was done in it last.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached: then it is unknown whether it lasts.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        if let (Some(revision), Inner::Postgres(_)) = (self.revision, &self.inner) {
            let query = Query::new("SELECT pg_notify($1, $2)").bind(CHANNEL);
            self.execute(query.bind(revision.to_string())).await?;
        }
        match self.inner {
            Inner::Sqlite(tx) => tx.commit().await?,
            Inner::Postgres(tx) => tx.commit().await?,
        }
        if let Some(revision) = self.revision {
            self.changes.send_if_modified(|known| {
                let later = revision > *known;
                *known = revision.max(*known);
                later
            });
        }
        Ok(())
    }
}

fn counted(row: &Row) -> Result<u64, StoreError> {
    let revision: i64 = row.get("revision")?;
    u64::try_from(revision).map_err(|_| StoreError::Corrupt { what: "revision" })
}
