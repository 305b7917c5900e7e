//! Finds calls that nobody holds any more, and closes them in the log.

use std::collections::HashSet;
use std::time::Duration;

use uuid::Uuid;

use super::LogHandle;
use crate::calls::request::{Handle, Request};
use crate::store::{NodeId, Store, StoreError, Timestamp};

/// How often calls are looked for that have gone silent.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Every so many looks it is each call that is looked for, not whether there are too many: a call
/// that has gone silent may hide behind another that has just begun.
const EACH_LOOK: u32 = 10;
/// Calls of before that are closed in one go.
const CLOSE_MAX: u32 = 10_000;
/// Calls that are looked at in one go: what is read of more would be in memory at once, of which
/// the allocator gives back only a part.
const LOOK_MAX: u32 = 64;
/// Calls that are younger are not looked for: a call that begins is told in two places, one after
/// the other.
const YOUNG: Duration = Duration::from_secs(10);

/// Closes the calls of `node` that a server of before has left: it was killed, or the machine went
/// down; and the recordings of calls that were over, of whose own end it told no more. Comes before
/// the first call of this one. How many calls there were.
///
/// # Errors
///
/// If the store cannot be read or written.
pub async fn close_orphans(
    store: &Store,
    node: NodeId,
    log: &LogHandle,
) -> Result<usize, StoreError> {
    let closed = close_calls(store, node, log).await?;
    store.close_recordings(node).await?;
    Ok(closed)
}

async fn close_calls(store: &Store, node: NodeId, log: &LogHandle) -> Result<usize, StoreError> {
    // A database that is not shared has no calls of others.
    let node = store.is_shared().then_some(node);
    let mut tried = HashSet::new();
    loop {
        let open = store.open_calls(node, Timestamp::now(), None, CLOSE_MAX).await?;
        let left = open.len();
        let fresh: Vec<Uuid> = open.into_iter().filter(|call| tried.insert(*call)).collect();
        if fresh.is_empty() {
            if left > 0 {
                tracing::warn!(left, "calls of which the log knows no more stay open");
            }
            return Ok(tried.len() - left);
        }
        for call in fresh {
            log.lost(call).await;
        }
        if !log.flush().await {
            return Ok(tried.len());
        }
    }
}

/// Looks for calls in the log that are not over, and that the call control does not know: their end
/// was never told.
pub async fn watch(store: Store, node: NodeId, log: LogHandle, calls: Handle) {
    for count in 1_u32.. {
        tokio::time::sleep(LOOK_EVERY).await;
        let closed = if count.is_multiple_of(EACH_LOOK) {
            look(&store, node, &log, &calls).await
        } else {
            look_if_too_many(&store, node, &log, &calls).await
        };
        match closed {
            Ok(0) => {}
            Ok(closed) => tracing::warn!(closed, "calls whose end was not told are closed"),
            Err(error) => tracing::warn!(%error, "the log cannot be looked at"),
        }
    }
}

/// Looks only if the log has more calls open than live. As long as nothing was lost it has not, and
/// nobody reads thousands of them.
pub(super) async fn look_if_too_many(
    store: &Store,
    node: NodeId,
    log: &LogHandle,
    calls: &Handle,
) -> Result<usize, StoreError> {
    let open = store.count_open_calls(node, Timestamp::now().before(YOUNG)).await?;
    let living = calls.ask(|reply| Request::Count { reply }).await;
    match living {
        Some(living) if open > living as u64 => look(store, node, log, calls).await,
        Some(_) | None => Ok(0),
    }
}

async fn look(
    store: &Store,
    node: NodeId,
    log: &LogHandle,
    calls: &Handle,
) -> Result<usize, StoreError> {
    let old = Timestamp::now().before(YOUNG);
    let (mut closed, mut after) = (0, None);
    loop {
        let open = store.open_calls(Some(node), old, after, LOOK_MAX).await?;
        let Some(last) = open.last().copied() else { return Ok(closed) };
        after = Some(last);
        let ids = open.clone();
        // Without an answer the server goes down, and it says of each call that it ends.
        let Some(living) = calls.ask(|reply| Request::Living { calls: ids, reply }).await else {
            return Ok(closed);
        };
        let living: HashSet<Uuid> = living.into_iter().collect();
        // What the control told before it answered comes first: of a call that has just ended, that
        // is its end, and nothing is lost.
        for call in open.into_iter().filter(|call| !living.contains(call)) {
            log.lost(call).await;
            closed += 1;
        }
    }
}
