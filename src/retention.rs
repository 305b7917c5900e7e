//! Forgets what is over for as long as the configuration says, in the background.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::sleep;

use crate::config::RetentionConfig;
use crate::recording;
use crate::store::recordings::RecordingRecord;
use crate::store::retention::{BATCH, Kept};
use crate::store::{NodeId, RecordingId, Store, StoreError, Timestamp};
use crate::telemetry::{Forgotten, Metrics};

/// How often it is looked for what is old.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Pause after each batch: whoever else writes comes first.
const PAUSE: Duration = Duration::from_millis(25);

/// Orders of calls that are forgotten at once.
const ORDERS_AT_ONCE: u32 = 10;

/// What is forgotten when, and how much was.
pub struct Retention {
    /// The periods.
    pub config: RetentionConfig,
    /// What is kept.
    pub store: Store,
    /// This node: of a store that others share, the recordings on its disk are its own.
    pub node: NodeId,
    /// Recordings of this server.
    pub recordings: recording::Store,
    /// Messages that this server has taken of callers.
    pub voicemails: recording::Store,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

const fn label(what: Kept) -> Forgotten {
    match what {
        Kept::Calls => Forgotten::Calls,
        Kept::CallEvents => Forgotten::CallEvents,
        Kept::Quality => Forgotten::Quality,
        Kept::Messages => Forgotten::Messages,
        Kept::Voicemails => Forgotten::Voicemails,
        Kept::Deliveries => Forgotten::Deliveries,
        Kept::DeadDeliveries => Forgotten::DeadDeliveries,
        Kept::Audit => Forgotten::Audit,
    }
}

/// Removes files that were last written before; how many.
async fn forget_files(files: &recording::Store, before: Timestamp) -> u64 {
    let micros = u64::try_from(before.0).unwrap_or(0);
    let before = SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
    let files = files.clone();
    tokio::task::spawn_blocking(move || files.forget(before)).await.unwrap_or(0)
}

/// Removes what is left of recordings, wherever it lies; those of which nothing is.
async fn forget_written(files: &recording::Store, old: Vec<RecordingRecord>) -> Vec<RecordingId> {
    let files = files.clone();
    let gone = move |one: &RecordingRecord| match files.remove_written(one.call, Some(&one.path)) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, call = %one.call, "a recording is not removed");
            false
        }
    };
    let forget = move || {
        let gone = old.iter().filter(|one| gone(one));
        gone.map(|one| one.id).collect::<Vec<_>>()
    };
    tokio::task::spawn_blocking(forget).await.unwrap_or_default()
}

impl Retention {
    const fn period(&self, what: Kept) -> Option<Duration> {
        match what {
            Kept::Calls => self.config.calls,
            Kept::CallEvents => self.config.call_events,
            Kept::Quality => self.config.quality,
            Kept::Messages => self.config.messages,
            Kept::Voicemails => self.config.voicemails,
            Kept::Deliveries => self.config.deliveries,
            Kept::DeadDeliveries => self.config.dead_deliveries,
            Kept::Audit => self.config.audit,
        }
    }

    /// Forgets for as long as the server runs.
    pub async fn run(self) {
        loop {
            sleep(LOOK_EVERY).await;
            self.sweep(Timestamp::now()).await;
        }
    }

    /// Forgets all that is old at `now`.
    pub async fn sweep(&self, now: Timestamp) {
        // First, as with a call goes what tells where its recording lies.
        self.sweep_recordings(now).await;
        for what in Kept::ALL {
            let Some(period) = self.period(what) else { continue };
            if let Err(error) = self.forget(what, now.before(period)).await {
                self.metrics.retention.failed.inc();
                tracing::warn!(%error, what = what.word(), "what is old is not forgotten");
            }
        }
        if let Err(error) = self.forget_expired().await {
            self.metrics.retention.failed.inc();
            tracing::warn!(%error, "old answers and sessions are not forgotten");
        }
        if let Some(period) = self.config.calls
            && let Err(error) = self.forget_orders(now.before(period)).await
        {
            self.metrics.retention.failed.inc();
            tracing::warn!(%error, "old orders of calls are not forgotten");
        }
        if let Some(period) = self.config.voicemails {
            // They were counted with what is known of them.
            forget_files(&self.voicemails, now.before(period)).await;
        }
    }

    /// Forgets recordings that are old, and those of calls that are.
    async fn sweep_recordings(&self, now: Timestamp) {
        // Without its call a recording cannot be fetched.
        let period = [self.config.recordings, self.config.calls].into_iter().flatten().min();
        let Some(period) = period else { return };
        let removed = forget_files(&self.recordings, now.before(period)).await;
        self.count(Forgotten::Recordings, removed);
        if let Err(error) = self.note_forgotten(now, now.before(period)).await {
            self.metrics.retention.failed.inc();
            tracing::warn!(%error, "recordings that are gone are still listed");
        }
    }

    async fn forget(&self, what: Kept, before: Timestamp) -> Result<(), StoreError> {
        let mut from = Some(0);
        while let Some(at) = from {
            let batch = self.store.forget_batch(what, before, at).await?;
            self.count(label(what), batch.removed);
            from = batch.next;
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Notes of recordings that ended before `before`, and of those whose calls are forgotten next,
    /// that they are gone. Their files go first: what cannot be removed stays listed.
    async fn note_forgotten(&self, now: Timestamp, before: Timestamp) -> Result<(), StoreError> {
        let old = (before, self.config.calls.map(|period| now.before(period)));
        let mut after = None;
        loop {
            let old = self.store.old_recordings(self.node, old, after, BATCH).await?;
            let Some(last) = old.last() else { return Ok(()) };
            after = Some(last.id);
            let gone = forget_written(&self.recordings, old).await;
            self.store.recordings_gone(&gone, now).await?;
            sleep(PAUSE).await;
        }
    }

    async fn forget_orders(&self, before: Timestamp) -> Result<(), StoreError> {
        while self.store.forget_orders(before, ORDERS_AT_ONCE).await? > 0 {
            sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn forget_expired(&self) -> Result<(), StoreError> {
        while self.store.forget_expired().await? {
            sleep(PAUSE).await;
        }
        Ok(())
    }

    fn count(&self, what: Forgotten, removed: u64) {
        if removed > 0 {
            tracing::debug!(removed, what = what.as_str(), "forgotten");
            self.metrics.retention.forgot(what, removed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fs;
    use std::path::Path;
    use std::sync::Mutex;

    use uuid::Uuid;

    use super::*;
    use crate::calls::cause::Cause;
    use crate::calls::log::{CallFact, Recorded, Source, What};
    use crate::recording::{State, file_name};
    use crate::store::Query;
    use crate::store::recordings::{RecordingFilter, follow};
    use crate::store::tests::on_both;

    const DAY: Duration = Duration::from_secs(86_400);
    const NEVER: RetentionConfig = RetentionConfig {
        calls: None,
        call_events: None,
        quality: None,
        messages: None,
        recordings: None,
        voicemails: None,
        deliveries: None,
        dead_deliveries: None,
        audit: None,
    };

    /// A recording that was complete at `at`, with its file in `folder`; its call.
    async fn record(store: &Store, node: NodeId, folder: &Path, at: Timestamp) -> Uuid {
        let call = Uuid::now_v7();
        record_of(call, store, node, folder, at).await;
        call
    }

    /// The same of this call.
    async fn record_of(call: Uuid, store: &Store, node: NodeId, folder: &Path, at: Timestamp) {
        let path = folder.join(file_name(call));
        let written = Duration::from_micros(u64::try_from(at.0).unwrap());
        let file = fs::File::create(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + written).unwrap();
        let recorded = Recorded {
            id: Uuid::now_v7(),
            channels: 2,
            rate_hz: 8_000,
            size_bytes: Some(44),
            duration_ms: Some(0),
            path,
        };
        let (state, at_server) = (State::Complete.as_str().to_owned(), Some(Box::new(recorded)));
        let what = What::Recording { state, at_carrier: None, at_server };
        let fact = CallFact { call, source: Source::Node, id: "1".into(), at_us: at.0, what };
        let mut tx = store.begin().await.unwrap();
        follow(&mut tx, store.default_organisation(), node, &fact, None).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// A call that began at `began` and is over since `ended`.
    async fn call(store: &Store, began: Timestamp, ended: Timestamp) -> Uuid {
        let ms = u64::try_from(began.0 / 1_000).unwrap();
        let id = uuid::Builder::from_unix_timestamp_millis(ms, &[7; 10]).into_uuid();
        let query = Query::new(
            "INSERT INTO calls (id, organisation_id, direction, state, from_number, to_number, \
             created_at, ended_at, updated_at, is_incomplete) \
             VALUES ($1, $2, 'inbound', 'x', '', '', $3, $4, $4, $5)",
        );
        let query = query.bind(id).bind(store.default_organisation()).bind(began).bind(ended);
        store.execute(query.bind(false)).await.unwrap();
        id
    }

    /// Recordings that are old go, wherever they lie, and are listed no more; nor is one whose file
    /// was gone already. Young ones, and one whose file cannot be removed, stay listed.
    #[test]
    fn recordings_that_are_gone_are_not_listed() {
        on_both(async |db| {
            let (store, node, now) = (db.store().await, NodeId::new(), Timestamp::now());
            let (folder, elsewhere) = (db.folder().join("tapes"), db.folder().join("elsewhere"));
            fs::create_dir_all(&folder).unwrap();
            fs::create_dir_all(&elsewhere).unwrap();
            let (old, young) = (now.before(DAY * 3), now.before(DAY));
            let gone = record(&store, node, &folder, old).await;
            let kept = record(&store, node, &folder, young).await;
            let by_hand = record(&store, node, &folder, old).await;
            fs::remove_file(folder.join(file_name(by_hand))).unwrap();
            // Where no recordings go any more.
            let moved = record(&store, node, &elsewhere, old).await;
            let stuck = record(&store, node, &folder, old).await;
            let path = folder.join(file_name(stuck));
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            let files = |folder: &Path| {
                recording::Store::new(vec![folder.to_owned()], Arc::new(Mutex::new(HashSet::new())))
            };
            let retention = Retention {
                config: RetentionConfig { recordings: Some(DAY * 2), ..NEVER },
                store: store.clone(),
                node,
                recordings: files(&folder),
                voicemails: files(&db.folder().join("voicemail")),
                metrics: Metrics::new(0, &Cause::WORDS, []),
            };
            for _ in 0..2 {
                retention.sweep(now).await;
                let ours = store.default_organisation();
                let all = RecordingFilter::default();
                let listed = store.recordings(ours, all, None, 10).await.unwrap();
                let listed: Vec<Uuid> = listed.iter().map(|one| one.call).collect();
                assert_eq!(listed, [stuck, kept]);
                assert!(!folder.join(file_name(gone)).exists());
                assert!(!elsewhere.join(file_name(moved)).exists());
                assert!(folder.join(file_name(kept)).is_file());
            }
        });
    }

    /// A recording that lies where none go any more goes with its call, although it ended later
    /// than that began: with the call goes what tells where it is.
    #[test]
    fn a_recording_goes_before_its_call() {
        on_both(async |db| {
            let (store, node, now) = (db.store().await, NodeId::new(), Timestamp::now());
            let elsewhere = db.folder().join("elsewhere");
            fs::create_dir_all(&elsewhere).unwrap();
            let minute = Duration::from_secs(60);
            let ended = now.before(DAY * 2 - minute);
            let old = call(&store, now.before(DAY * 2 + minute), ended).await;
            record_of(old, &store, node, &elsewhere, ended).await;
            let folder = |name: &str| {
                let folders = vec![db.folder().join(name)];
                recording::Store::new(folders, Arc::new(Mutex::new(HashSet::new())))
            };
            let retention = Retention {
                config: RetentionConfig { calls: Some(DAY * 2), ..NEVER },
                store: store.clone(),
                node,
                recordings: folder("tapes"),
                voicemails: folder("voicemail"),
                metrics: Metrics::new(0, &Cause::WORDS, []),
            };
            retention.sweep(now).await;
            assert!(!elsewhere.join(file_name(old)).exists());
            let query = Query::new("SELECT COUNT(*) AS held FROM calls");
            let held: i64 = store.fetch_one(query).await.unwrap().get("held").unwrap();
            assert_eq!(held, 0);
        });
    }
}
