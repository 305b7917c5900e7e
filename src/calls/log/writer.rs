//! Writes what calls tell into the store: in groups, each in one transaction with everything that
//! follows from it.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use adapters::agent::{Direction, EndedBy};
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::handle::{Entry, LogQueue};
use super::{CallFact, Ended, Fold, Sample, Source, What};
use crate::calls::cause::Cause;
use crate::outbox;
use crate::store::call_events::{self, CallEvent};
use crate::store::calls::{self, CallRecord};
use crate::store::{
    NodeId, OrganisationId, Store, StoreError, Timestamp, Tx, call_tries, quality, recordings,
    transfers, voicemails,
};

/// Entries of one transaction.
const GROUP_MAX: usize = 512;
/// How long the first entry of a group waits for others, if nobody waits for it: in milliseconds.
const LINGER_MS: u64 = 20;
/// How long samples wait for others, if nothing else is to be written: in milliseconds. Each commit
/// takes a core from the media of calls for a moment.
const SAMPLES_LINGER_MS: u64 = 1_000;
/// Pause after a commit that failed; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Pause at which what the database refuses is not tried again.
const REFUSED_PAUSE: Duration = Duration::from_millis(200);

/// A call of which facts come.
#[derive(Debug, Default)]
struct Known {
    organisation: Option<OrganisationId>,
    fold: Fold,
}

/// Takes what calls tell out of the queue and commits it.
#[derive(Debug)]
pub struct Writer {
    store: Store,
    node: NodeId,
    queue: LogQueue,
    /// Boxed, as the table grows by copying and is half empty.
    known: HashMap<Uuid, Box<Known>>,
    committed: watch::Sender<u64>,
}

/// What is to be written at once.
#[derive(Debug, Default)]
struct Group {
    facts: Vec<CallFact>,
    samples: Vec<(Uuid, Sample)>,
    lost: Vec<Uuid>,
    waiting: Vec<oneshot::Sender<()>>,
    incomplete: HashSet<Uuid>,
}

impl Group {
    fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Fact(fact) => self.facts.push(fact),
            // They are taken last, with all that came meanwhile.
            Entry::Samples => {}
            Entry::Lost(call) => self.lost.push(call),
            Entry::Flush(done) => self.waiting.push(done),
        }
    }

    /// The same by calls.
    fn by_call(&self) -> Vec<Self> {
        let mut parts: HashMap<Uuid, Self> = HashMap::new();
        for fact in &self.facts {
            parts.entry(fact.call).or_default().facts.push(fact.clone());
        }
        for (call, sample) in &self.samples {
            parts.entry(*call).or_default().samples.push((*call, sample.clone()));
        }
        for call in &self.lost {
            parts.entry(*call).or_default().lost.push(*call);
        }
        for call in &self.incomplete {
            parts.entry(*call).or_default().incomplete.insert(*call);
        }
        parts.into_values().collect()
    }

    const fn len(&self) -> usize {
        self.facts.len() + self.samples.len() + self.lost.len()
    }
}

impl Writer {
    /// A writer for the calls of `node`. The receiver counts commits that brought facts.
    pub fn new(store: Store, node: NodeId, queue: LogQueue) -> (Self, watch::Receiver<u64>) {
        let (committed, commits) = watch::channel(0);
        (Self { store, node, queue, known: HashMap::new(), committed }, commits)
    }

    /// Writes until nobody is left who could tell anything.
    pub async fn run(mut self) {
        while let Some(mut group) = self.group().await {
            group.incomplete = self.queue.take_incomplete();
            self.write(&group).await;
            for done in group.waiting {
                // Whoever waited may have gone.
                let _ = done.send(());
            }
        }
    }

    /// The next group: what is there, and a little more unless somebody waits.
    async fn group(&mut self) -> Option<Group> {
        let mut group = Group::default();
        let soon = || tokio::time::Instant::now() + Duration::from_millis(LINGER_MS);
        let mut entry = self.queue.entries.recv().await?;
        let mut end = soon() + Duration::from_millis(SAMPLES_LINGER_MS);
        loop {
            if !matches!(entry, Entry::Samples) {
                end = end.min(soon());
            }
            group.take(entry);
            if group.len() >= GROUP_MAX || !group.waiting.is_empty() {
                break;
            }
            match tokio::time::timeout_at(end, self.queue.entries.recv()).await {
                Ok(Some(next)) => entry = next,
                Ok(None) | Err(_) => break,
            }
        }
        group.samples = self.queue.take_samples();
        Some(group)
    }

    /// Writes a group. What of one call the database refuses keeps nothing of another from being
    /// written.
    async fn write(&mut self, group: &Group) {
        if group.len() == 0 && group.incomplete.is_empty() {
            return;
        }
        if self.persist(group).await.is_ok() {
            return;
        }
        for part in group.by_call() {
            if let Err(error) = self.persist(&part).await {
                tracing::error!(%error, "facts about a call cannot be written");
                self.queue.metrics.lost.add(part.len() as u64);
            }
        }
    }

    /// Writes a group, however often that has to be tried: what is not committed is kept, unless
    /// the database refuses it.
    async fn persist(&mut self, group: &Group) -> Result<(), StoreError> {
        let mut pause = PAUSE_MIN;
        loop {
            let began = Instant::now();
            match self.commit(group).await {
                Ok(facts) => {
                    self.queue.metrics.commit.record(began.elapsed());
                    self.queue.metrics.facts.add(facts);
                    self.forget();
                    if facts > 0 {
                        self.committed.send_modify(|commits| *commits += 1);
                    }
                    return Ok(());
                }
                Err(error) => {
                    self.queue.metrics.failed.inc();
                    // What the transaction was undone of must not be known.
                    for call in group.facts.iter().map(|fact| &fact.call).chain(&group.lost) {
                        self.known.remove(call);
                    }
                    if !error.is_temporary() && pause >= REFUSED_PAUSE {
                        return Err(error);
                    }
                    tracing::warn!(%error, "facts about calls are not written yet");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// Forgets calls that are over, and where other nodes write too, all: what is kept of a call
    /// would not have their facts.
    fn forget(&mut self) {
        let alone = !self.store.is_shared();
        let keep = |known: &Known| known.organisation.is_some() && !known.fold.is_over();
        self.known.retain(|_, known| alone && keep(known));
    }

    /// One transaction: facts, the calls as they are then, and what follows. How many facts were
    /// new.
    async fn commit(&mut self, group: &Group) -> Result<u64, StoreError> {
        let mut tx = self.store.begin().await?;
        call_events::in_turn(&mut tx, self.store.is_shared()).await?;
        let mut news = Vec::new();
        for fact in &group.facts {
            if let Some((organisation, event)) = self.append(&mut tx, fact).await? {
                news.push((organisation, event));
            }
        }
        for call in &group.lost {
            if let Some(fact) = self.loss(&mut tx, *call).await? {
                news.extend(self.append(&mut tx, &fact).await?);
            }
        }
        let mut touched: HashSet<Uuid> = news.iter().map(|(_, event)| event.call).collect();
        touched.extend(&group.incomplete);
        let mut records = HashMap::new();
        for call in touched {
            let is_incomplete = group.incomplete.contains(&call);
            if let Some(record) = self.rewrite(&mut tx, call, is_incomplete).await? {
                records.insert(call, record);
            }
        }
        for (organisation, event) in &news {
            let call = records.get(&event.call);
            follow_orders(&mut tx, *organisation, event, call).await?;
        }
        let mut samples = Vec::with_capacity(group.samples.len());
        for (call, sample) in &group.samples {
            if let Some(organisation) = self.know(&mut tx, *call).await?.organisation {
                samples.push((organisation, *call, sample));
            }
        }
        quality::append(&mut tx, &samples).await?;
        outbox::follow(&mut tx, &news, &records).await?;
        tx.commit().await?;
        for (_, event) in news.iter().filter(|(_, event)| event.source == Source::Watchdog) {
            // Nobody listens, or too many were lost at once: each then ends as its carrier wants.
            let _ = self.queue.lost.try_send(event.call);
        }
        Ok(news.len() as u64)
    }

    /// Appends a fact and lets its call know of it.
    async fn append(
        &mut self,
        tx: &mut Tx,
        fact: &CallFact,
    ) -> Result<Option<(OrganisationId, CallEvent)>, StoreError> {
        let node = self.node;
        let known = self.know(tx, fact.call).await?;
        if let What::Initiated(began) = &fact.what {
            known.organisation.get_or_insert(OrganisationId(began.organisation));
        }
        let Some(organisation) = known.organisation else {
            // Nobody could be told of it, as nobody knows whose call it is.
            self.queue.metrics.lost.inc();
            return Ok(None);
        };
        let event = call_events::append(tx, organisation, fact).await?;
        if event.is_some() {
            known.fold.apply(fact);
            transfers::follow(tx, organisation, node, fact).await?;
            voicemails::follow(tx, organisation, node, fact, known.fold.began()).await?;
            let lost = known.fold.lost_us().map(Timestamp);
            recordings::follow(tx, organisation, node, fact, lost).await?;
        }
        Ok(event.map(|event| (organisation, event)))
    }

    /// The end of a call that nobody holds any more: when it was last heard of. None if it is over
    /// already.
    async fn loss(&mut self, tx: &mut Tx, call: Uuid) -> Result<Option<CallFact>, StoreError> {
        let sampled = quality::last(tx, call).await?;
        let known = self.know(tx, call).await?;
        let (false, Some(heard_us)) = (known.fold.is_over(), known.fold.last_us()) else {
            return Ok(None);
        };
        Ok(Some(CallFact {
            call,
            source: Source::Watchdog,
            id: Cause::NodeLost.as_str().to_owned(),
            at_us: sampled.map_or(heard_us, |sampled| sampled.0.max(heard_us)),
            what: What::Ended(Box::new(Ended {
                by: Some(EndedBy::Server),
                q850: Some(Cause::NodeLost.q850()),
                ..Ended::new(Cause::NodeLost)
            })),
        }))
    }

    /// What is known of a call: what is kept of those that live, else what the store has.
    async fn know(&mut self, tx: &mut Tx, call: Uuid) -> Result<&mut Known, StoreError> {
        use std::collections::hash_map::Entry as Place;
        match self.known.entry(call) {
            Place::Occupied(known) => Ok(known.into_mut()),
            Place::Vacant(place) => {
                let mut known = Box::<Known>::default();
                let found = call_events::facts(tx, call).await?;
                // What comes when the facts of a call are forgotten would make another of it.
                if let Some((organisation, facts)) = found.filter(|(_, facts)| !facts.is_empty()) {
                    known.organisation = Some(organisation);
                    known.fold.extend(&facts);
                }
                Ok(place.insert(known))
            }
        }
    }

    /// Writes a call as it is now known.
    async fn rewrite(
        &mut self,
        tx: &mut Tx,
        call: Uuid,
        is_incomplete: bool,
    ) -> Result<Option<CallRecord>, StoreError> {
        let node = self.node;
        let known = self.know(tx, call).await?;
        let summary = known.fold.summary();
        let (Some(organisation), Some(_)) = (known.organisation, &summary.began) else {
            return Ok(None);
        };
        let record = CallRecord {
            id: call,
            organisation,
            node: Some(node),
            is_incomplete,
            updated_at: Timestamp::now(),
            summary,
        };
        calls::write(tx, &record).await?;
        Ok(Some(record))
    }
}

/// Takes note of calls that are of orders.
async fn follow_orders(
    tx: &mut Tx,
    organisation: OrganisationId,
    event: &CallEvent,
    call: Option<&CallRecord>,
) -> Result<(), StoreError> {
    let Some(call) = call else { return Ok(()) };
    let began = call.summary.began.as_ref();
    if began.is_none_or(|began| began.direction == Direction::Inbound) {
        return Ok(());
    }
    match event.kind.as_str() {
        "initiated" => call_tries::begun(tx, organisation, event.call, event.at).await,
        "ended" if call.summary.state.is_terminal() => call_tries::ended(tx, call).await,
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
