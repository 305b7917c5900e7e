//! Remembers which numbers calls were placed from, by the log of calls: it is there after a restart
//! and the same for all servers. The call control, which waits for nobody, is told.

use std::time::{Duration, Instant};

use adapters::address::Address;

use crate::calls::caller_ids::Called;
use crate::calls::request::{Handle, PlaceCall, Request};
use crate::directory::{CappedLine, Directory};
use crate::store::callers::Line;
use crate::store::{ConfigurationId, OrganisationId, Store, StoreError, Timestamp};

/// How often is asked how many calls were placed from which number.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often while no number has so many calls a day, unless one gets that.
const UNSET_LOOK_EVERY: Duration = Duration::from_secs(60);
/// The database does nothing else for this share of the time at most: one of so many.
const SHARE: u32 = 20;
/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// Looks up the number that the called party was called from last, if the call may be placed from
/// it. What the log does not tell at the moment is not waited for: the call goes out all the same.
pub async fn recall(store: &Store, directory: &Directory, call: &mut PlaceCall) {
    let snapshot = directory.load();
    let organisation = call.organisation.unwrap_or(snapshot.organisation);
    if call.from.is_some() || !snapshot.remembers_callees(organisation) {
        return;
    }
    let written = Address::parse(&call.to, None);
    let written = written.as_ref().map_or(call.to.as_str(), Address::expose);
    let found = store.called_from(OrganisationId(organisation), [&call.to, written]).await;
    match found {
        Ok(number) => call.called_from = number,
        Err(error) => tracing::warn!(%error, "who was called from which number is not known"),
    }
}

/// Tells the call control how many calls were placed today from numbers that have a limit, for as
/// long as the server runs.
pub async fn watch(store: Store, directory: Directory, calls: Handle) {
    let mut changes = directory.watch();
    loop {
        changes.mark_unchanged();
        let began = Instant::now();
        let lines = directory.load().capped_lines();
        for line in &lines {
            match look(&store, line, Timestamp::now()).await {
                Ok(called) => calls.send(Request::Called(called)).await,
                Err(error) => tracing::warn!(%error, "calls from numbers are not counted"),
            }
        }
        tokio::time::sleep(began.elapsed() * SHARE).await;
        let pause = if lines.is_empty() { UNSET_LOOK_EVERY } else { LOOK_EVERY };
        // A directory that is gone changes no more, and neither does its server.
        let _ = tokio::time::timeout(pause, changes.changed()).await;
    }
}

async fn look(store: &Store, line: &CappedLine, now: Timestamp) -> Result<Called, StoreError> {
    let day = now.0.div_euclid(DAY_US);
    let organisation = OrganisationId(line.organisation);
    let of = match &line.trunk {
        Some(name) => Line::Trunk(name),
        None => Line::Configuration(ConfigurationId(line.line)),
    };
    let counts = store.calls_from(organisation, of, Timestamp(day * DAY_US)).await?;
    Ok(Called { day, line: line.line, counts })
}
