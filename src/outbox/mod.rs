//! What follows from facts, and is done outside of this server: outgoing webhooks.
//!
//! A delivery is written in the transaction of the fact that causes it, once for each subscription
//! that wants it ([`follow`]), and is then tried until it is taken or given up ([`Deliverer`]). So
//! none is lost and none is made up; one may arrive twice, with the same id. See decision 26.

mod backoff;
mod busy;
mod deliverer;
mod event;
pub(crate) mod guard;
mod send;
mod sign;

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

pub use deliverer::{Deliverer, Targets};
pub use event::{EventView, PING, is_event_pattern, wants};
pub use guard::{Guard, Refused};
pub use sign::{SECRET_PREFIX, new_secret, signature};

use crate::store::call_events::CallEvent;
use crate::store::calls::CallRecord;
use crate::store::{OrganisationId, StoreError, Timestamp, Tx, deliveries, subscriptions};

/// Writes what follows from facts that are new: a delivery for each subscription that wants one.
/// `calls` are the calls as they are with these facts.
///
/// # Errors
///
/// If the database cannot be reached.
pub async fn follow(
    tx: &mut Tx,
    news: &[(OrganisationId, CallEvent)],
    calls: &HashMap<Uuid, CallRecord>,
) -> Result<(), StoreError> {
    let organisations: HashSet<_> = news.iter().map(|(organisation, _)| *organisation).collect();
    for organisation in organisations {
        let subscribed = subscriptions::enabled(tx, organisation).await?;
        if subscribed.is_empty() {
            continue;
        }
        for (_, event) in news.iter().filter(|(whose, _)| *whose == organisation) {
            let view = EventView::of(event);
            let wanting = subscribed.iter().filter(|one| wants(&one.events, &view.kind));
            let mut body = None;
            for subscription in wanting {
                let body = match &body {
                    Some(body) => body,
                    None => {
                        let call = calls.get(&event.call).cloned();
                        body.insert(view.body(call, Timestamp::now())?)
                    }
                };
                let delivery = deliveries::New {
                    organisation,
                    subscription: subscription.id,
                    event_id: &view.id,
                    kind: &view.kind,
                    payload: body,
                };
                deliveries::append(tx, &delivery).await?;
            }
        }
    }
    Ok(())
}
