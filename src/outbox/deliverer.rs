//! Tries deliveries until they are taken or given up.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};

use super::backoff::pause;
use super::busy::Busy;
use super::guard::Guard;
use super::send::{Post, Sender};
use super::sign::signature;
use crate::config::Secret;
use crate::store::deliveries::{Claimed, Outcome};
use crate::store::{NodeId, OrganisationId, Store, StoreError, SubscriptionId, Timestamp};

/// Webhooks under way at once.
const UNDER_WAY_MAX: usize = 256;
/// How long a delivery belongs to the node that took it; longer than an attempt can be.
const CLAIM: Duration = Duration::from_secs(60);
/// How long what is due waits at most to be seen, where nobody tells of it: in milliseconds.
const LOOK_EVERY_MS: u64 = 5_000;
/// The same of a database that no other node shares: whoever writes something there tells of it.
const LOOK_ALONE_MS: u64 = 60_000;
/// Longest reason of a failure that is kept, in bytes.
const ERROR_BYTES_MAX: usize = 256;

/// Where webhooks may go, and what wakes whoever sends them.
#[derive(Clone, Debug)]
pub struct Targets {
    /// Where they may go.
    pub guard: Guard,
    /// Something was written that is due at once.
    pub wake: Arc<Notify>,
}

impl Targets {
    /// Lets webhooks go where `guard` says.
    pub fn new(guard: Guard) -> Self {
        Self { guard, wake: Arc::default() }
    }
}

/// Tries deliveries until they are taken or given up.
pub struct Deliverer {
    store: Store,
    node: NodeId,
    targets: Targets,
    sender: Sender,
    commits: watch::Receiver<u64>,
    room: Arc<Semaphore>,
    busy: Arc<Mutex<Busy>>,
}

impl Deliverer {
    /// A deliverer of `node`, which looks for what is due after each of `commits`.
    pub fn new(
        store: Store,
        node: NodeId,
        targets: Targets,
        commits: watch::Receiver<u64>,
    ) -> Self {
        let sender = Sender::new(targets.guard.clone());
        let room = Arc::new(Semaphore::new(UNDER_WAY_MAX));
        Self { store, node, targets, sender, commits, room, busy: Arc::default() }
    }

    /// Delivers for as long as the server runs.
    pub async fn run(mut self) {
        // What was under way when this node ended is tried again, at once.
        if let Err(error) = self.store.release_deliveries(self.node).await {
            tracing::warn!(%error, "webhooks of before wait until their claims are over");
        }
        loop {
            let (next, longest) = match self.deliver_due().await {
                Ok(next) if self.store.is_shared() => (next, LOOK_EVERY_MS),
                Ok(next) => (next, LOOK_ALONE_MS),
                Err(error) => {
                    tracing::warn!(%error, "webhooks cannot be looked for");
                    (None, LOOK_EVERY_MS)
                }
            };
            let longest = Duration::from_millis(longest);
            let wait = next.map_or(longest, |at| {
                let micros = at.0.saturating_sub(Timestamp::now().0);
                Duration::from_micros(u64::try_from(micros).unwrap_or(0)).min(longest)
            });
            tokio::select! {
                changed = self.commits.changed() => if changed.is_err() { return },
                () = self.targets.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Begins all that is due and for which there is room. When the next is due after that.
    async fn deliver_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let (mut due, next) = self.store.due_subscriptions(Timestamp::now()).await?;
        // Whoever comes first has the room of its organisation: nobody always does.
        fastrand::shuffle(&mut due);
        for (subscription, organisation) in due {
            let free = self.busy(|busy| busy.free(subscription, organisation));
            if free == 0 {
                continue;
            }
            let claimed = self.store.claim_deliveries(subscription, self.node, CLAIM, free).await?;
            if claimed.is_empty() {
                continue;
            }
            let target = self.store.subscription_target(subscription).await;
            for delivery in claimed {
                self.begin((subscription, organisation), &target, delivery).await;
            }
        }
        Ok(next)
    }

    async fn begin(
        &self,
        (subscription, organisation): (SubscriptionId, OrganisationId),
        target: &Result<Option<(String, Secret)>, StoreError>,
        delivery: Claimed,
    ) {
        let (url, secret) = match target {
            Ok(Some((url, secret))) => (url.clone(), secret.clone()),
            Ok(None) => {
                let error = "the subscription was deleted".to_owned();
                let outcome = Outcome::Dead { status: None, error };
                return self.end(&delivery, &outcome).await;
            }
            Err(error) => {
                tracing::error!(%error, %subscription, "a subscription cannot be read");
                let outcome = failed(&delivery, None, "the subscription cannot be read".to_owned());
                return self.end(&delivery, &outcome).await;
            }
        };
        let Ok(room) = Arc::clone(&self.room).acquire_owned().await else { return };
        self.busy(|busy| busy.begin(subscription, organisation));
        let this = self.part();
        tokio::spawn(async move {
            let outcome = this.attempt(url, &secret, &delivery).await;
            this.end(&delivery, &outcome).await;
            this.busy(|busy| busy.end(subscription, organisation));
            drop(room);
            // There is room for the next.
            this.targets.wake.notify_one();
        });
    }

    /// The same, for a task of its own.
    fn part(&self) -> Self {
        Self {
            store: self.store.clone(),
            node: self.node,
            targets: self.targets.clone(),
            sender: self.sender.clone(),
            commits: self.commits.clone(),
            room: Arc::clone(&self.room),
            busy: Arc::clone(&self.busy),
        }
    }

    fn busy<T>(&self, look: impl FnOnce(&mut Busy) -> T) -> T {
        look(&mut self.busy.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn attempt(&self, url: String, secret: &Secret, delivery: &Claimed) -> Outcome {
        let timestamp = Timestamp::now().unix_s();
        let post = Post {
            url,
            event_id: delivery.event_id.clone(),
            kind: delivery.kind.clone(),
            timestamp,
            signature: signature(secret, timestamp, &delivery.payload),
            body: delivery.payload.clone(),
        };
        match self.sender.send(&post).await {
            Ok(status) if status.is_success() => Outcome::Delivered(status.as_u16()),
            // Gone: it says itself that it wants no more of this.
            Ok(status) if status == http::StatusCode::GONE => {
                let error = format!("answered {status}");
                Outcome::Dead { status: Some(status.as_u16()), error }
            }
            Ok(status) => failed(delivery, Some(status.as_u16()), format!("answered {status}")),
            Err(error) => failed(delivery, None, error.to_string()),
        }
    }

    async fn end(&self, delivery: &Claimed, outcome: &Outcome) {
        if let Outcome::Dead { error, .. } = outcome {
            tracing::warn!(delivery = %delivery.id, %error, "a webhook was given up");
        }
        if let Err(error) = self.store.end_attempt(delivery.id, outcome).await {
            // It comes again when the claim is over.
            tracing::warn!(%error, delivery = %delivery.id, "the end of a webhook is not noted");
        }
    }
}

/// What follows from an attempt that failed.
fn failed(delivery: &Claimed, status: Option<u16>, mut error: String) -> Outcome {
    error.truncate(error.floor_char_boundary(ERROR_BYTES_MAX));
    match pause(delivery.attempts.saturating_add(1), fastrand::f64()) {
        Some(pause) => Outcome::Again { at: Timestamp::now().after(pause), status, error },
        None => Outcome::Dead { status, error },
    }
}

#[cfg(test)]
mod tests;
