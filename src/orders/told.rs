//! What is told of orders by webhooks.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::outbox::wants;
use crate::store::{OrganisationId, StoreError, Timestamp, Tx, deliveries, subscriptions};

/// A call of an order is placed.
pub const CALL_PLACED: &str = "order.call_placed";
/// A call of an order is over.
pub const CALL_ENDED: &str = "order.call_ended";
/// No call of an order follows.
pub const ORDER_ENDED: &str = "order.ended";

/// Writes a delivery of an event for each subscription that wants it. `what` makes its id unique
/// among the events of this kind.
///
/// # Errors
///
/// If the database cannot be reached.
pub async fn tell(
    tx: &mut Tx,
    organisation: OrganisationId,
    (kind, what): (&str, Uuid),
    at: Timestamp,
    data: Value,
) -> Result<(), StoreError> {
    let subscribed = subscriptions::enabled(tx, organisation).await?;
    let wanting: Vec<_> = subscribed.iter().filter(|one| wants(&one.events, kind)).collect();
    if wanting.is_empty() {
        return Ok(());
    }
    let event_id = format!("{kind}-{what}");
    let body = json!({ "id": event_id, "type": kind, "at": at, "data": data });
    let payload = body.to_string();
    for subscription in wanting {
        let delivery = deliveries::New {
            organisation,
            subscription: subscription.id,
            event_id: &event_id,
            kind,
            payload: &payload,
        };
        deliveries::append(tx, &delivery).await?;
    }
    Ok(())
}
