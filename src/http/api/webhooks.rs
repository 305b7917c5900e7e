//! Outgoing webhooks: who is told of events, and what became of it.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::reach::is_same_place;
use crate::config::Secret;
use crate::http::auth::Caller;
use crate::http::body::Json;
use crate::http::openapi::{Query as Parameter, Resource, delete, get, post, put, schema};
use crate::http::page::{self, ByState, Page, Query, Wanted};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::outbox::{PING, is_event_pattern, new_secret};
use crate::store::deliveries::{Delivery, DeliveryState, New};
use crate::store::subscriptions::{SigningKey, Subscription, SubscriptionFields};
use crate::store::{Actor, DeliveryId, SubscriptionId, Timestamp};

/// Most patterns of a subscription.
const EVENTS_MAX: usize = 64;
/// Longest description, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 255;
/// Most subscriptions of an organisation.
const SUBSCRIPTIONS_MAX: u32 = 64;

pub(super) fn resource() -> Resource {
    let webhook = || schema::named("Webhook");
    let mut of_deliveries = page::parameters();
    of_deliveries.push(Parameter {
        name: "state",
        schema: schema::word(&["pending", "delivered", "dead"]),
        description: "only those that stand so",
    });
    Resource {
        tag: "webhooks",
        about: "Outgoing webhooks: signed, tried again for a day, kept when they are given up.",
        endpoints: vec![
            get("/api/v1/webhooks", "list_webhooks", list)
                .summary("Lists subscriptions.")
                .query(page::parameters())
                .answers_json(200, "the subscriptions", page::schema_of(webhook()))
                .refuses(&[Kind::Unavailable]),
            post("/api/v1/webhooks", "create_webhook", create)
                .summary("Subscribes. The secret that signs is shown now and never again.")
                .retryable()
                .json(schema::named("WebhookFields"))
                .answers_json(201, "the subscription", schema::named("NewWebhook"))
                .refuses(&[Kind::Conflict, Kind::Unavailable]),
            get("/api/v1/webhooks/{id}", "show_webhook", show)
                .summary("Shows a subscription.")
                .answers_json(200, "the subscription", webhook())
                .refuses(&[Kind::Unavailable]),
            put("/api/v1/webhooks/{id}", "update_webhook", update)
                .summary(
                    "Replaces a subscription. Its secret stays, but does not go to another `url`: \
                     `new_secret` makes one, shown now and never again.",
                )
                .json(schema::named("ChangedWebhook"))
                .answers_json(200, "the subscription", schema::named("Webhook"))
                .refuses(&[Kind::Invalid, Kind::Unavailable]),
            delete("/api/v1/webhooks/{id}", "delete_webhook", remove)
                .summary("Ends a subscription.")
                .answers(204, "it is ended")
                .refuses(&[Kind::Unavailable]),
            post("/api/v1/webhooks/{id}/secret", "rotate_webhook_secret", rotate)
                .summary("Gives a subscription another secret, shown now and never again.")
                .retryable()
                .answers_json(200, "the secret", schema::named("WebhookSecret"))
                .refuses(&[Kind::Unavailable]),
            post("/api/v1/webhooks/{id}/test", "test_webhook", test)
                .summary("Sends an event of the type `ping`.")
                .retryable()
                .answers(202, "it is on its way")
                .refuses(&[Kind::Unavailable]),
            get("/api/v1/webhooks/{id}/deliveries", "list_deliveries", deliveries)
                .summary("Lists deliveries, the latest first.")
                .query(of_deliveries)
                .answers_json(200, "the deliveries", page::schema_of(schema::named("Delivery")))
                .refuses(&[Kind::Unavailable]),
            post("/api/v1/webhooks/{id}/replay", "replay_deliveries", replay_all)
                .summary("Delivers again what was given up, with the same event ids.")
                .retryable()
                .answers_json(202, "how many", schema::named("Replayed"))
                .refuses(&[Kind::Unavailable]),
            post("/api/v1/webhooks/{id}/deliveries/{delivery}/replay", "replay_delivery", replay)
                .summary("Delivers one event again, with the same id.")
                .retryable()
                .answers_json(202, "it is on its way", schema::named("Replayed"))
                .refuses(&[Kind::Unavailable]),
        ],
        schemas: schemas(),
    }
}

fn schemas() -> Vec<(&'static str, Value)> {
    let text = || json!({"type": "string"});
    let time = || schema::format("date-time");
    let events = || schema::described(schema::list(text()), "types, as `call.ended`, or `call.*`");
    let shown = [
        ("id", schema::format("uuid")),
        ("url", text()),
        ("events", events()),
        ("description", schema::nullable(text())),
        ("enabled", schema::flag()),
        ("created_at", time()),
        ("updated_at", time()),
    ];
    let secret = ("secret", schema::described(text(), "the key of the signature"));
    let with_secret: Vec<_> = shown.iter().cloned().chain([secret.clone()]).collect();
    let optional = [
        ("events", events()),
        ("description", schema::nullable(schema::text(DESCRIPTION_BYTES_MAX))),
        ("enabled", schema::flag()),
    ];
    let renewed = schema::described(schema::flag(), "with another secret, which is shown");
    let changed: Vec<_> = optional.iter().cloned().chain([("new_secret", renewed)]).collect();
    let url = [("url", schema::text(2_048))];
    vec![
        ("Webhook", schema::object(&shown, std::slice::from_ref(&secret))),
        ("NewWebhook", schema::object(&with_secret, &[])),
        ("WebhookSecret", schema::object(&[secret], &[])),
        ("WebhookFields", schema::object(&url, &optional)),
        ("ChangedWebhook", schema::object(&url, &changed)),
        (
            "Delivery",
            schema::object(
                &[
                    ("id", schema::format("uuid")),
                    ("event_id", text()),
                    ("type", text()),
                    ("state", schema::word(&["pending", "delivered", "dead"])),
                    ("attempts", schema::count()),
                    ("status", schema::nullable(schema::count())),
                    ("error", schema::nullable(text())),
                    ("created_at", time()),
                    ("due_at", schema::nullable(time())),
                    ("ended_at", schema::nullable(time())),
                ],
                &[],
            ),
        ),
        ("Replayed", schema::object(&[("replayed", schema::count())], &[])),
    ]
}

/// What is wanted of a subscription.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    url: String,
    events: Option<Vec<String>>,
    description: Option<String>,
    enabled: Option<bool>,
}

/// What is wanted of a subscription that there is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    url: String,
    events: Option<Vec<String>>,
    description: Option<String>,
    enabled: Option<bool>,
    #[serde(default)]
    new_secret: bool,
}

impl Fields {
    fn read(self, state: &crate::http::State) -> Result<SubscriptionFields, Problem> {
        let wrong = |what: &str, why: String| Problem::bad_field(what, why);
        state.webhooks.guard.check(&self.url).map_err(|why| wrong("url", why.to_string()))?;
        let events = self.events.unwrap_or_else(|| vec!["*".to_owned()]);
        if events.is_empty() || events.len() > EVENTS_MAX {
            return Err(wrong("events", format!("not from 1 to {EVENTS_MAX}")));
        }
        if let Some(event) = events.iter().find(|event| !is_event_pattern(event)) {
            return Err(wrong(
                "events",
                format!("{event:?} is no type such as call.ended or call.*"),
            ));
        }
        if self.description.as_ref().is_some_and(|text| text.len() > DESCRIPTION_BYTES_MAX) {
            return Err(wrong("description", format!("over {DESCRIPTION_BYTES_MAX} bytes")));
        }
        let (description, enabled) = (self.description, self.enabled.unwrap_or(true));
        Ok(SubscriptionFields { url: self.url, events, description, enabled })
    }
}

/// Not `Debug`: it shows a secret once.
#[derive(Serialize)]
struct View {
    id: SubscriptionId,
    url: String,
    events: Vec<String>,
    description: Option<String>,
    enabled: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl From<Subscription> for View {
    fn from(subscription: Subscription) -> Self {
        let Subscription { id, url, events, description, enabled, created_at, updated_at } =
            subscription;
        Self { id, url, events, description, enabled, created_at, updated_at, secret: None }
    }
}

#[derive(Debug, Serialize)]
struct DeliveryView {
    id: DeliveryId,
    event_id: String,
    #[serde(rename = "type")]
    kind: String,
    state: DeliveryState,
    attempts: i64,
    status: Option<i64>,
    error: Option<String>,
    created_at: Timestamp,
    due_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        let is_due = delivery.ended_at.is_none();
        Self {
            id: delivery.id,
            event_id: delivery.event_id,
            kind: delivery.kind,
            state: delivery.state,
            attempts: delivery.attempts,
            status: delivery.status,
            error: delivery.error,
            created_at: delivery.created_at,
            due_at: Some(delivery.due_at).filter(|_| is_due),
            ended_at: delivery.ended_at,
        }
    }
}

fn actor(caller: &Caller) -> Actor {
    Actor::Key(caller.key_id.clone())
}

fn secret() -> Result<Secret, Problem> {
    new_secret().ok_or_else(|| Problem::new(Kind::Internal, "there is no randomness"))
}

/// `GET /api/v1/webhooks`
async fn list(
    State(state): State<crate::http::State>,
    caller: Caller,
    wanted: Wanted,
) -> Result<axum::Json<Page<View>>, Problem> {
    let after = wanted.after.map(SubscriptionId);
    let limit = wanted.with_next();
    let found = state.store.subscriptions(caller.organisation, after, limit).await?;
    Ok(axum::Json(Page::cut(found, wanted.limit, |one| one.id.0).map(View::from)))
}

/// `POST /api/v1/webhooks`
async fn create(
    State(state): State<crate::http::State>,
    caller: Caller,
    Json(fields): Json<Fields>,
) -> Result<Response, Problem> {
    let fields = fields.read(&state)?;
    let known = state.store.subscriptions(caller.organisation, None, SUBSCRIPTIONS_MAX).await?;
    if known.len() >= SUBSCRIPTIONS_MAX as usize {
        return Err(Problem::conflict(format!("there are {SUBSCRIPTIONS_MAX} already")));
    }
    let secret = secret()?;
    let (organisation, actor) = (caller.organisation, actor(&caller));
    let made = state.store.create_subscription(organisation, &fields, &secret, &actor).await?;
    let location = format!("/api/v1/webhooks/{}", made.id);
    let view = View { secret: Some(secret.expose().to_owned()), ..made.into() };
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], axum::Json(view)).into_response())
}

/// `GET /api/v1/webhooks/{id}`
async fn show(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<View>, Problem> {
    let found = state.store.subscription(caller.organisation, SubscriptionId(id)).await?;
    Ok(axum::Json(found.into()))
}

/// `PUT /api/v1/webhooks/{id}`
async fn update(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(change): Json<Change>,
) -> Result<axum::Json<View>, Problem> {
    let Change { url, events, description, enabled, new_secret } = change;
    let fields = Fields { url, events, description, enabled }.read(&state)?;
    let (organisation, id, actor) = (caller.organisation, SubscriptionId(id), actor(&caller));
    let stored = state.store.subscription(organisation, id).await?;
    let renewed = if new_secret { Some(secret()?) } else { None };
    let key = match &renewed {
        Some(secret) => SigningKey::New(secret),
        None if is_same_place(&fields.url, &stored.url) => SigningKey::KeptAt(&stored.url),
        // Whoever may not know the secret would have it signed for a host of his.
        None => {
            let why = "another secret is needed there: ask for it by new_secret";
            return Err(Problem::invalid("url", why));
        }
    };
    let changed = state.store.update_subscription(organisation, id, &fields, key, &actor).await?;
    // What waits for one that was disabled is due.
    state.webhooks.wake.notify_one();
    let secret = renewed.map(|secret| secret.expose().to_owned());
    Ok(axum::Json(View { secret, ..changed.into() }))
}

/// `DELETE /api/v1/webhooks/{id}`
async fn remove(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    let (organisation, id) = (caller.organisation, SubscriptionId(id));
    state.store.delete_subscription(organisation, id, &actor(&caller)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/webhooks/{id}/secret`
async fn rotate(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<Value>, Problem> {
    let secret = secret()?;
    let (organisation, id) = (caller.organisation, SubscriptionId(id));
    state.store.rotate_subscription(organisation, id, &secret, &actor(&caller)).await?;
    Ok(axum::Json(json!({ "secret": secret.expose() })))
}

/// `POST /api/v1/webhooks/{id}/test`
async fn test(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    let (organisation, subscription) = (caller.organisation, SubscriptionId(id));
    state.store.subscription(organisation, subscription).await?;
    let event_id = format!("{PING}-{}", Uuid::now_v7());
    let body = json!({ "id": event_id, "type": PING, "at": Timestamp::now(), "data": {} });
    let payload = body.to_string();
    let (event_id, kind, payload) = (event_id.as_str(), PING, payload.as_str());
    let new = New { organisation, subscription, event_id, kind, payload };
    state.store.append_delivery(&new).await?;
    state.webhooks.wake.notify_one();
    Ok(StatusCode::ACCEPTED)
}

/// `GET /api/v1/webhooks/{id}/deliveries`
async fn deliveries(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<ByState>,
) -> Result<axum::Json<Page<DeliveryView>>, Problem> {
    let (wanted, only) = query.read(&DeliveryState::ALL, DeliveryState::as_str)?;
    let (organisation, subscription) = (caller.organisation, SubscriptionId(id));
    state.store.subscription(organisation, subscription).await?;
    let before = wanted.after.map(DeliveryId);
    let limit = wanted.with_next();
    let found = state.store.deliveries(organisation, subscription, only, before, limit).await?;
    Ok(axum::Json(Page::cut(found, wanted.limit, |one| one.id.0).map(DeliveryView::from)))
}

/// `POST /api/v1/webhooks/{id}/replay`
async fn replay_all(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    again(&state, &caller, id, None).await
}

/// `POST /api/v1/webhooks/{id}/deliveries/{delivery}/replay`
async fn replay(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path((id, delivery)): Path<(Uuid, Uuid)>,
) -> Result<Response, Problem> {
    again(&state, &caller, id, Some(DeliveryId(delivery))).await
}

async fn again(
    state: &crate::http::State,
    caller: &Caller,
    id: Uuid,
    one: Option<DeliveryId>,
) -> Result<Response, Problem> {
    let (organisation, id) = (caller.organisation, SubscriptionId(id));
    // To one that was deleted nothing goes any more.
    state.store.subscription(organisation, id).await?;
    let replayed = state.store.replay_deliveries(organisation, id, one).await?;
    state.webhooks.wake.notify_one();
    let body = axum::Json(json!({ "replayed": replayed }));
    Ok((StatusCode::ACCEPTED, body).into_response())
}
