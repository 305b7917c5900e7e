//! What is kept: SQLite in the data folder, or PostgreSQL by URL.
//!
//! One file per table holds its queries and returns domain types; no SQL stands elsewhere. One text
//! serves both databases ([`sql::Query`]). Reads go to a pool; what is written goes through a
//! [`Tx`], which SQLite gives to one at a time, and is undone unless it is committed. Carrier
//! credentials are sealed before they come here ([`crate::seal`]), keys and tokens are hashed.
//!
//! Everything belongs to an organisation, and every query of what an organisation owns names it:
//! what belongs to another is not there.

pub mod agents;
pub mod audit;
pub mod call_events;
pub mod call_orders;
pub mod call_recipients;
pub mod call_tries;
pub mod callers;
pub mod calls;
pub mod carrier_calls;
pub mod configurations;
mod db;
pub mod deliveries;
pub mod error;
mod feed;
pub mod file;
pub mod id;
pub mod idempotency;
pub mod inspect;
pub mod keys;
pub mod messages;
mod migrate;
pub mod nodes;
pub mod numbers;
pub mod object;
pub mod organisations;
mod parse_time;
pub mod quality;
pub mod rates;
pub mod recordings;
mod reseal;
pub mod retention;
pub mod routes;
pub mod row;
pub mod sessions;
pub mod spending;
pub mod sql;
pub mod subscriptions;
#[cfg(test)]
pub(crate) mod tests;
pub mod transfers;
pub mod trunks;
pub mod url;
pub mod voicemails;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

pub use audit::{Actor, Audit};
pub use db::Tx;
pub use error::StoreError;
pub use id::{
    AgentId, AuditId, CallOrderId, ConfigurationId, DeliveryId, NodeId, NumberId, OrganisationId,
    RateId, RecipientId, RecordingId, RouteId, SubscriptionId, Timestamp, TrunkId, VoicemailId,
};
pub use reseal::Resealed;
pub use row::Row;
pub use sql::Query;
pub use url::DatabaseUrl;

use crate::config::{Config, Secret};
use crate::seal::{Place, SealError, SealKeys};
use db::Db;

/// Where the store is and what seals it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// The database.
    pub url: DatabaseUrl,
    /// Where the sealing keys are.
    pub seal: SealSource,
}

/// Where the sealing keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealSource {
    /// Here.
    Keys(Secret),
    /// In this file, which exists.
    File(PathBuf),
    /// In this file, which is made if it does not exist.
    Own(PathBuf),
}

impl SealSource {
    /// Reads the keys, which must be there.
    ///
    /// # Errors
    ///
    /// If they are not, or are not understood.
    pub fn read(&self) -> Result<SealKeys, StoreError> {
        Ok(match self {
            Self::Keys(keys) => SealKeys::parse(keys.expose())?,
            Self::File(path) | Self::Own(path) => SealKeys::read(path)?,
        })
    }
}

impl StoreSettings {
    /// What the configuration says.
    pub fn new(config: &Config) -> Self {
        Self { url: config.database.url.clone(), seal: config.seal.clone() }
    }
}

/// The store. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    seal: ArcSwap<SealKeys>,
    source: SealSource,
    organisation: OrganisationId,
    changes: watch::Sender<u64>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("kind", &self.inner.db.kind()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store, brings its tables to this version and makes the first organisation.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached or is of a later version, or if the sealing keys are not
    /// those that its contents were sealed with.
    pub async fn open(settings: &StoreSettings) -> Result<Self, StoreError> {
        let seal = match &settings.seal {
            SealSource::Own(path) => SealKeys::read_or_make(path)?,
            source => source.read()?,
        };
        let db = Db::connect(&settings.url).await?;
        db.migrate().await?;
        let changes = watch::Sender::new(0);
        let mut tx = db.begin(&changes).await?;
        check_seal(&mut tx, &seal).await?;
        let organisation = organisations::first(&mut tx).await?;
        let revision = tx.revision().await?;
        tx.commit().await?;
        changes.send_replace(revision);
        let (seal, source) = (ArcSwap::from_pointee(seal), settings.seal.clone());
        Ok(Self { inner: Arc::new(Inner { db, seal, source, organisation, changes }) })
    }

    /// The organisation that the configuration file and the first key belong to.
    pub fn default_organisation(&self) -> OrganisationId {
        self.inner.organisation
    }

    /// What seals.
    pub fn seal_keys(&self) -> Arc<SealKeys> {
        self.inner.seal.load_full()
    }

    /// Seals a value for its place.
    ///
    /// # Errors
    ///
    /// If there is no randomness.
    pub fn seal(&self, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        Ok(self.inner.seal.load().seal(place, plain)?)
    }

    /// Opens a sealed value. If its key is not known, the file of the keys is read again: one may
    /// have been added.
    ///
    /// # Errors
    ///
    /// If it was not sealed for this place by one of the keys.
    pub fn unseal(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let opened = self.inner.seal.load().open(place, sealed);
        let in_file = !matches!(self.inner.source, SealSource::Keys(_));
        if in_file && matches!(opened, Err(SealError::UnknownKey { .. })) {
            self.inner.seal.store(Arc::new(self.inner.source.read()?));
            return Ok(self.inner.seal.load().open(place, sealed)?);
        }
        Ok(opened?)
    }

    /// Tells the revision of what routing depends on: organisations, configurations, numbers,
    /// trunks, agents and routes. It grows with every change of them.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// True if several nodes may share the database.
    pub fn is_shared(&self) -> bool {
        matches!(self.inner.db, Db::Postgres(_))
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    ///
    /// If it gives none.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.fetch_optional(Query::new("SELECT 1 AS one")).await.map(drop)
    }

    /// Begins a transaction; what is done in it is undone unless it is committed.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        self.inner.db.begin(&self.inner.changes).await
    }

    /// Begins a transaction that changes what routing depends on. Such transactions follow one
    /// another, so what one has checked holds until it is committed, and whoever watches
    /// [`Self::changes`] is told then.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn begin_change(&self) -> Result<Tx, StoreError> {
        let mut tx = self.begin().await?;
        tx.touch().await?;
        Ok(tx)
    }

    /// The rows that a reading statement finds.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn fetch_all(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        self.inner.db.fetch_all(query).await
    }

    /// The first row that a reading statement finds.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn fetch_optional(&self, query: Query) -> Result<Option<Row>, StoreError> {
        self.inner.db.fetch_optional(query).await
    }

    /// The first row that a reading statement finds, which must be there.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if there is none.
    pub async fn fetch_one(&self, query: Query) -> Result<Row, StoreError> {
        self.fetch_optional(query).await?.ok_or(StoreError::NotFound)
    }

    /// Carries out a single statement and returns how many rows it changed.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached, or refuses.
    pub async fn execute(&self, query: Query) -> Result<u64, StoreError> {
        self.inner.db.execute(query).await
    }

    /// True once it is being closed: nothing is found in it any more.
    pub fn is_closed(&self) -> bool {
        self.inner.db.is_closed()
    }

    /// Closes all connections; what was committed is complete.
    pub async fn close(&self) {
        self.inner.db.close().await;
    }
}

/// Name of the value that shows whether the sealing keys are the right ones.
const CANARY: &str = "seal_canary";
/// Where it lies.
const CANARY_PLACE: Place<'static> =
    Place { table: "meta", row: CANARY.as_bytes(), field: "value" };

/// Asks for the value that shows whether the sealing keys are the right ones.
fn canary() -> Query {
    Query::new("SELECT value FROM meta WHERE name = $1").bind(CANARY)
}

/// Refuses sealing keys that do not open what is there: the first secret that is needed would fail
/// at a worse time.
fn check_canary(seal: &SealKeys, row: &Row) -> Result<(), StoreError> {
    seal.open(&CANARY_PLACE, &row.get::<Vec<u8>>("value")?)?;
    Ok(())
}

async fn check_seal(tx: &mut Tx, seal: &SealKeys) -> Result<(), StoreError> {
    if let Some(row) = tx.fetch_optional(canary()).await? {
        return check_canary(seal, &row);
    }
    let query = Query::new("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING");
    let sealed = seal.seal(&CANARY_PLACE, CANARY.as_bytes())?;
    if tx.execute(query.bind(CANARY).bind(sealed)).await? == 0 {
        // Another node was quicker.
        let row = tx.fetch_one(canary()).await?;
        return check_canary(seal, &row);
    }
    Ok(())
}
