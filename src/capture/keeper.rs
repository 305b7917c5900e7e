//! Writes down the messages of captured calls that are over, so that they outlive the server, and
//! forgets captures that are old.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use uuid::Uuid;

use super::{MESSAGES_MAX, Registry};
use crate::store::Store;
use crate::workers::poller::now;

/// How long after the end of a call its messages are written: the last of them, such as the answer
/// to a BYE, are under way then.
const AFTER: Duration = Duration::from_secs(2);
/// How often it is looked for captures that are old, while no call ends.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Writes them for as long as there are captures.
pub async fn keep(captures: Arc<Mutex<Registry>>, store: Store) {
    let Ok(mut ended) = captures.lock().map(|mut captures| captures.ended()) else { return };
    loop {
        let Ok(told) = tokio::time::timeout(LOOK_EVERY, ended.recv()).await else {
            if let Ok(mut captures) = captures.lock() {
                captures.forget_old(now());
            }
            continue;
        };
        let Some((call, at)) = told else { return };
        tokio::time::sleep((at + AFTER).since(now())).await;
        write(&captures, &store, call).await;
    }
}

/// Writes those that are not written yet: the server ends, and all calls with it.
pub async fn keep_last(captures: &Mutex<Registry>, store: &Store) {
    let left = captures.lock().map(|captures| captures.unwritten()).unwrap_or_default();
    for call in left {
        write(captures, store, call).await;
    }
}

async fn write(captures: &Mutex<Registry>, store: &Store, call: Uuid) {
    let shown =
        captures.lock().ok().and_then(|captures| captures.messages(now(), call, 0, MESSAGES_MAX));
    let kept = store.keep_messages(call, &shown.unwrap_or_default()).await;
    if let Ok(mut captures) = captures.lock() {
        captures.written(call);
    }
    match kept {
        Ok(true) => {}
        Ok(false) => tracing::warn!(%call, "messages of a call without a record are not kept"),
        Err(error) => tracing::warn!(%call, %error, "the messages of a call are not kept"),
    }
}
