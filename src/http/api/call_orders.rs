//! Orders of calls over HTTP: made, followed, paused and given up.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::call_order_reading::{NewOrderBody, RecipientsBody};
use super::call_order_schema as shapes;
use super::calls::HOLDS_WAIT;
use crate::calls::request::Request;
use crate::http::auth::Caller;
use crate::http::body::Json;
use crate::http::idempotency::Made;
use crate::http::openapi::{Endpoint, Query as Parameter, Resource, get, post, schema};
use crate::http::page::{self, ByState, Page, Query, Wanted};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::keys::Scope;
use crate::orders::{Hours, Outcome, Policy, Template};
use crate::store::call_orders::{CallOrder, OrderState, Progress};
use crate::store::call_recipients::{Recipient, RecipientState};
use crate::store::call_tries::Try;
use crate::store::{CallOrderId, RecipientId, Timestamp};

/// Where they are.
const PATH: &str = "/api/v1/call-orders";
const PATH_ONE: &str = "/api/v1/call-orders/{id}";
const PATH_RECIPIENTS: &str = "/api/v1/call-orders/{id}/recipients";
const PATH_CALLS: &str = "/api/v1/call-orders/{id}/calls";

pub(super) fn resource() -> Resource {
    Resource {
        tag: "call-orders",
        about: "Orders of calls: to one recipient or many, now or later, within hours, and again \
                by policy if nobody was reached.",
        endpoints: [of_orders(), of_recipients()].into_iter().flatten().collect(),
        schemas: vec![
            ("CallOrder", shapes::order()),
            ("NewCallOrder", shapes::new_order()),
            ("CallTemplate", shapes::template()),
            ("CallHours", shapes::hours()),
            ("CallRetry", shapes::retry()),
            ("CallRecipient", shapes::recipient()),
            ("OrderedCall", shapes::ordered_call()),
        ],
    }
}

fn parameter(name: &'static str, schema: Value, description: &'static str) -> Parameter {
    Parameter { name, schema, description }
}

/// The parameters of a list, and one more.
fn pages_with(more: Parameter) -> Vec<Parameter> {
    page::parameters().into_iter().chain([more]).collect()
}

/// The endpoints of orders.
fn of_orders() -> Vec<Endpoint> {
    let order = || schema::named("CallOrder");
    let over = parameter("over", schema::flag(), "only those that are, or are not");
    let hang_up = parameter("hang_up", schema::flag(), "also ends the calls that are under way");
    vec![
        get(PATH, "list_call_orders", list)
            .summary("Lists orders, the latest first.")
            .scope(Scope::Read)
            .query(pages_with(over))
            .answers_json(200, "the orders", page::schema_of(order())),
        post(PATH, "create_call_order", create)
            .summary("Orders calls.")
            .scope(Scope::Calls)
            .retryable()
            .json(schema::named("NewCallOrder"))
            .answers_json(201, "the order", order())
            .refuses(&[Kind::Conflict, Kind::Invalid]),
        get(PATH_ONE, "show_call_order", show)
            .summary("Shows an order, and how far it is.")
            .scope(Scope::Read)
            .answers_json(200, "the order", order()),
        post("/api/v1/call-orders/{id}/cancel", "cancel_call_order", cancel)
            .summary("Gives an order up: nobody else is called.")
            .scope(Scope::Calls)
            .retryable()
            .query(vec![hang_up])
            .answers(204, "it is given up, or was over"),
        post("/api/v1/call-orders/{id}/pause", "pause_call_order", pause)
            .summary("Lets an order wait: its calls go on, others are not placed.")
            .scope(Scope::Calls)
            .retryable()
            .answers(204, "it waits")
            .refuses(&[Kind::Conflict]),
        post("/api/v1/call-orders/{id}/resume", "resume_call_order", resume)
            .summary("Lets an order go on.")
            .scope(Scope::Calls)
            .retryable()
            .answers(204, "it goes on")
            .refuses(&[Kind::Conflict]),
    ]
}

/// The endpoints of whom they call.
fn of_recipients() -> Vec<Endpoint> {
    let words = RecipientState::ALL.map(RecipientState::as_str);
    let only = parameter("state", schema::word(&words), "only those that stand so");
    vec![
        get(PATH_RECIPIENTS, "list_call_order_recipients", recipients)
            .summary("Lists whom an order calls, in the order in which they were added.")
            .scope(Scope::Read)
            .query(pages_with(only))
            .answers_json(200, "the recipients", page::schema_of(schema::named("CallRecipient"))),
        post(PATH_RECIPIENTS, "add_call_order_recipients", add)
            .summary("Adds recipients to an order that is not over.")
            .scope(Scope::Calls)
            .retryable()
            .json(schema::object(&[("recipients", shapes::new_recipients())], &[]))
            .answers(204, "they are called, too")
            .refuses(&[Kind::Conflict, Kind::Invalid]),
        get(PATH_CALLS, "list_call_order_calls", calls)
            .summary("Lists the calls of an order, in the order in which they were placed.")
            .scope(Scope::Read)
            .query(page::parameters())
            .answers_json(200, "the calls", page::schema_of(schema::named("OrderedCall"))),
    ]
}

/// An order as it is shown.
#[derive(Serialize)]
struct OrderView {
    id: CallOrderId,
    name: Option<String>,
    state: OrderState,
    call: Template,
    at: Timestamp,
    expires_at: Option<Timestamp>,
    hours: Option<Hours>,
    retry: Policy,
    max_calls: u32,
    calls_per_minute: Option<u32>,
    created_at: Timestamp,
    ended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipients: Option<Progress>,
}

impl OrderView {
    fn new(order: CallOrder, recipients: Option<Progress>) -> Self {
        Self {
            id: order.id,
            name: order.name,
            state: order.state,
            call: order.template,
            at: order.begins_at,
            expires_at: order.expires_at,
            hours: order.rules.hours,
            retry: order.rules.retry,
            max_calls: order.rules.max_calls,
            calls_per_minute: order.rules.calls_per_minute,
            created_at: order.created_at,
            ended_at: order.ended_at,
            recipients,
        }
    }
}

/// A recipient as it is shown.
#[derive(Serialize)]
struct RecipientView {
    id: RecipientId,
    to: String,
    time_zone: Option<String>,
    variables: BTreeMap<String, String>,
    state: RecipientState,
    outcome: Option<Outcome>,
    reason: Option<String>,
    tries: i64,
    due_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

impl From<Recipient> for RecipientView {
    fn from(it: Recipient) -> Self {
        let waits = it.state == RecipientState::Waiting;
        Self {
            id: it.id,
            to: it.to,
            time_zone: it.time_zone,
            variables: it.variables,
            state: it.state,
            outcome: it.outcome,
            reason: it.reason,
            tries: it.tries,
            due_at: waits.then_some(it.due_at),
            ended_at: it.ended_at,
        }
    }
}

/// A call of an order as it is shown.
#[derive(Serialize)]
struct OrderedCallView {
    call_id: Uuid,
    recipient_id: RecipientId,
    number: i64,
    placed_at: Timestamp,
    outcome: Option<Outcome>,
    cause: Option<String>,
    ended_at: Option<Timestamp>,
}

impl From<Try> for OrderedCallView {
    fn from(it: Try) -> Self {
        Self {
            call_id: it.call,
            recipient_id: it.recipient,
            number: it.number,
            placed_at: it.placed_at,
            outcome: it.outcome,
            cause: it.cause,
            ended_at: it.ended_at,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    limit: Option<u32>,
    cursor: Option<String>,
    over: Option<bool>,
}

/// `GET /api/v1/call-orders`
async fn list(
    State(state): State<crate::http::State>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<OrderView>>, Problem> {
    let wanted = Wanted::read(query.limit, query.cursor.as_deref())?;
    let (after, limit) = (wanted.after.map(CallOrderId), wanted.with_next());
    let found = state.store.call_orders(caller.organisation, query.over, after, limit).await?;
    let page = Page::cut(found, wanted.limit, |order| order.id.0);
    Ok(axum::Json(page.map(|order| OrderView::new(order, None))))
}

/// An order as it is now.
async fn view(
    state: &crate::http::State,
    caller: &Caller,
    id: CallOrderId,
) -> Result<OrderView, Problem> {
    let order = state.store.call_order(caller.organisation, id).await?;
    let progress = state.store.order_progress(id).await?;
    Ok(OrderView::new(order, Some(progress)))
}

fn created(view: OrderView) -> Response {
    let location = [(header::LOCATION, format!("{PATH}/{}", view.id))];
    (StatusCode::CREATED, location, axum::Json(view)).into_response()
}

/// `POST /api/v1/call-orders`. A request that comes again finds the order that it made, even if the
/// server ended in between.
async fn create(
    State(state): State<crate::http::State>,
    caller: Caller,
    made: Option<Extension<Made>>,
    Json(body): Json<NewOrderBody>,
) -> Result<Response, Problem> {
    let id = CallOrderId(made.as_deref().map_or_else(Uuid::now_v7, |made| made.id));
    if made.is_some_and(|made| made.again) {
        match view(&state, &caller, id).await {
            Ok(view) => return Ok(created(view)),
            Err(problem) if problem.is(Kind::NotFound) => {}
            Err(problem) => return Err(problem),
        }
    }
    let read = body.read(Timestamp::now())?;
    // Whoever was told that there is an agent may call with it.
    let revision = *state.store.changes().borrow();
    state.directory.wait(revision, HOLDS_WAIT).await;
    let agent = read.template.agent.as_str();
    if state.directory.load().agent(caller.organisation.0, agent).is_none() {
        return Err(Problem::invalid("call.agent", format!("no agent is called \"{agent}\"")));
    }
    state.store.create_call_order(caller.organisation, &read.with_id(id), &caller.actor()).await?;
    state.orders.notify_one();
    Ok(created(view(&state, &caller, id).await?))
}

/// `GET /api/v1/call-orders/{id}`
async fn show(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<CallOrderId>,
) -> Result<axum::Json<OrderView>, Problem> {
    Ok(axum::Json(view(&state, &caller, id).await?))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelQuery {
    #[serde(default)]
    hang_up: bool,
}

/// `POST /api/v1/call-orders/{id}/cancel`
async fn cancel(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<CallOrderId>,
    Query(query): Query<CancelQuery>,
) -> Result<StatusCode, Problem> {
    let actor = caller.actor();
    let living = state.store.cancel_order(caller.organisation, id, &actor).await?;
    state.webhooks.wake.notify_one();
    if query.hang_up {
        for call in living {
            let call = call.to_string();
            // One that is over by now is no less given up.
            let _ = state.calls.ask(|reply| Request::HangUp { call, reply }).await;
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/call-orders/{id}/pause`
async fn pause(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<CallOrderId>,
) -> Result<StatusCode, Problem> {
    state.store.pause_order(caller.organisation, id, true, &caller.actor()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/call-orders/{id}/resume`
async fn resume(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<CallOrderId>,
) -> Result<StatusCode, Problem> {
    state.store.pause_order(caller.organisation, id, false, &caller.actor()).await?;
    state.orders.notify_one();
    state.webhooks.wake.notify_one();
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/v1/call-orders/{id}/recipients`
async fn recipients(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<CallOrderId>,
    Query(query): Query<ByState>,
) -> Result<axum::Json<Page<RecipientView>>, Problem> {
    let (wanted, only) = query.read(&RecipientState::ALL, RecipientState::as_str)?;
    state.store.call_order(caller.organisation, id).await?;
    let (after, limit) = (wanted.after.map(RecipientId), wanted.with_next());
    let found = state.store.recipients(id, only, after, limit).await?;
    let page = Page::cut(found, wanted.limit, |recipient| recipient.id.0);
    Ok(axum::Json(page.map(RecipientView::from)))
}

/// `POST /api/v1/call-orders/{id}/recipients`
async fn add(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<CallOrderId>,
    Json(body): Json<RecipientsBody>,
) -> Result<StatusCode, Problem> {
    let recipients = body.read()?;
    let (organisation, actor) = (caller.organisation, caller.actor());
    state.store.add_recipients(organisation, id, &recipients, &actor).await?;
    state.orders.notify_one();
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/v1/call-orders/{id}/calls`
async fn calls(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<CallOrderId>,
    wanted: Wanted,
) -> Result<axum::Json<Page<OrderedCallView>>, Problem> {
    state.store.call_order(caller.organisation, id).await?;
    let found = state.store.tries(id, wanted.after, wanted.with_next()).await?;
    let page = Page::cut(found, wanted.limit, |call| call.call);
    Ok(axum::Json(page.map(OrderedCallView::from)))
}
