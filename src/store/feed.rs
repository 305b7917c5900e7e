//! What others change: other nodes, and commands on the same database. PostgreSQL tells of it; it
//! is asked for now and then besides, as a message may be lost with its connection, and as SQLite
//! tells nobody.

use std::path::Path;
use std::time::{Duration, SystemTime};

use sqlx::postgres::PgListener;
use tokio::time::{sleep, timeout};

use super::db::{CHANNEL, Db};
use super::sql::Query;
use super::{Store, StoreError};

/// How often the revision is asked for when nothing is told.
const POLL: Duration = Duration::from_secs(5);
/// Pause before a lost connection is made again.
const RETRY: Duration = Duration::from_secs(1);

/// When a file was written to and how long it is; nothing if it is not there.
fn written(path: &Path) -> Option<(SystemTime, u64)> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.len()))
}

impl Store {
    /// Keeps [`Self::changes`] up to date with what others write, until the store is closed.
    pub async fn follow(self) {
        let pool = match &self.inner.db {
            Db::Postgres(pool) => pool,
            Db::Sqlite { path, readers, .. } => {
                let mut log = path.clone().into_os_string();
                log.push("-wal");
                let mut known = None;
                while !readers.is_closed() {
                    let now = [written(path), written(Path::new(&log))];
                    // What was written just now may not be there for readers yet.
                    let is_settled = now
                        .iter()
                        .flatten()
                        .all(|(at, _)| at.elapsed().is_ok_and(|age| age >= POLL));
                    // A database that nobody has written to need not be asked; one that cannot be
                    // read now is asked again.
                    if known != Some(now) && self.catch_up().await.is_ok() && is_settled {
                        known = Some(now);
                    }
                    sleep(POLL).await;
                }
                return;
            }
        };
        while !pool.is_closed() {
            let listener = async {
                let mut listener = PgListener::connect_with(pool).await?;
                listener.listen(CHANNEL).await?;
                Ok::<_, sqlx::Error>(listener)
            };
            let Ok(mut listener) = listener.await else {
                sleep(RETRY).await;
                continue;
            };
            loop {
                // Something may have been changed before we listened. What is told is not believed:
                // another database's tables may be told of on the same channel.
                if self.catch_up().await.is_err() {
                    break;
                }
                match timeout(POLL, listener.recv()).await {
                    Ok(Ok(_)) | Err(_) => {}
                    Ok(Err(_)) => break,
                }
            }
            sleep(RETRY).await;
        }
    }

    /// Asks for the revision and tells of it if it is new.
    async fn catch_up(&self) -> Result<(), StoreError> {
        let query = Query::new("SELECT revision FROM revisions WHERE name = 'directory'");
        let revision: i64 = self.fetch_one(query).await?.get("revision")?;
        let revision = u64::try_from(revision).unwrap_or(0);
        self.inner.changes.send_if_modified(|known| {
            let later = revision > *known;
            *known = revision.max(*known);
            later
        });
        Ok(())
    }
}
