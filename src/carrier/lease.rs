//! Who of the servers that share a store has the socket of a configuration: one that holds its
//! lease, and lets go of the socket before another can have it, whatever the store does.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::Account;
use super::events::EventSockets;
use crate::store::Timestamp;
use crate::store::nodes::Lease;

/// How long a lease is held, in milliseconds.
const HELD_MS: u64 = 15_000;
/// How often it is renewed, or tried for, in milliseconds.
const RENEW_MS: u64 = 5_000;
/// How soon it is tried again after the store did not answer, in milliseconds.
const AGAIN_MS: u64 = 1_000;
/// How long before its end a lease counts as lost, in milliseconds: the socket has yet to be
/// closed, and the clocks of servers differ.
const LET_GO_MS: u64 = 4_000;
/// How long the store may take to hear that a lease is given back, in milliseconds.
const GIVE_BACK_MS: u64 = 2_000;

/// Another server holds a configuration, or may.
#[derive(Debug)]
pub(super) struct LeaseTaken;

/// A configuration that this server holds.
#[derive(Debug)]
pub(super) struct Held {
    /// None where no other server can have it.
    lease: Option<Lease>,
    /// When it is to be let go, unless it is renewed. By a clock that nobody sets, from before the
    /// store was asked: its answer may take long.
    until: Instant,
}

impl Held {
    /// What was asked for at that time, and held from then on.
    fn since(asked: Instant, lease: Lease) -> Self {
        Self { lease: Some(lease), until: asked + USABLE }
    }
}

/// How long what was asked for may be used.
const USABLE: Duration = Duration::from_millis(HELD_MS - LET_GO_MS);

impl EventSockets {
    /// Waits until a configuration is this server's.
    pub(super) async fn lease(&self, account: &Account) -> Held {
        loop {
            if let Ok(held) = self.try_lease(account).await {
                return held;
            }
            sleep(Duration::from_millis(RENEW_MS)).await;
        }
    }

    /// The same at once, or not: another has it.
    pub(super) async fn try_lease(&self, account: &Account) -> Result<Held, LeaseTaken> {
        let asked = Instant::now();
        if !self.store.is_shared() {
            return Ok(Held { lease: None, until: asked });
        }
        let (name, held) = (format!("events:{}", account.id), Duration::from_millis(HELD_MS));
        let asking = self.store.acquire(&name, self.node, Timestamp::now(), held);
        match timeout_at(asked + USABLE, asking).await {
            Ok(Ok(Some(lease))) => Ok(Held::since(asked, lease)),
            Ok(Ok(None)) => Err(LeaseTaken),
            Ok(Err(error)) => {
                tracing::warn!(%error, "no lease of a socket of events");
                Err(LeaseTaken)
            }
            Err(_) => {
                tracing::warn!("no lease of a socket of events: the store took too long");
                Err(LeaseTaken)
            }
        }
    }

    /// Holds a lease until it is lost; without one there is nobody to lose it to. A store that is
    /// away, or does not answer, tells nothing until the time is over.
    pub(super) async fn hold(&self, held: &mut Held) {
        let Held { lease: Some(lease), until } = held else { return std::future::pending().await };
        let mut pause_ms = RENEW_MS;
        loop {
            let renewing = async {
                sleep(Duration::from_millis(pause_ms)).await;
                let (asked, now) = (Instant::now(), Timestamp::now());
                let renewed = self.store.renew(lease, now, Duration::from_millis(HELD_MS)).await;
                (asked, renewed)
            };
            match timeout_at(*until, renewing).await {
                Ok((asked, Ok(true))) => (*until, pause_ms) = (asked + USABLE, RENEW_MS),
                Ok((_, Err(error))) => {
                    tracing::warn!(%error, "the lease of a socket of events is not renewed");
                    pause_ms = AGAIN_MS;
                }
                Ok((_, Ok(false))) | Err(_) => return,
            }
        }
    }

    /// Gives it back: whoever takes it waits until it expires otherwise.
    pub(super) async fn give_back(&self, held: &Held) {
        let Some(lease) = &held.lease else { return };
        let given = self.store.release(lease, Timestamp::now());
        // What is not given back expires.
        drop(timeout(Duration::from_millis(GIVE_BACK_MS), given).await);
    }
}
