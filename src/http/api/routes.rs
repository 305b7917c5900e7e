//! Routes over HTTP.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Map, Value, json};

use super::object::{self, Fields};
use crate::config::route_from_json;
use crate::http::auth::Caller;
use crate::http::body::Json;
use crate::http::openapi::{Resource, delete, get, post, put, schema};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::keys::Scope;
use crate::routing::{PRIORITY, Pattern};
use crate::store::routes::{Route, RouteFields};
use crate::store::{AgentId, ConfigurationId, NumberId, RouteId, TrunkId};

/// Keys of `[[routes]]` that say when a route takes calls, and whose; the others say how.
const CONDITIONS: &[&str] = &["open", "closed", "time_zone", "callers", "callers_except"];

pub(super) fn resource() -> Resource {
    let route = || schema::named("Route");
    let routes = schema::object(&[("routes", schema::list(route()))], &[]);
    Resource {
        tag: "routes",
        about: "Which agent takes a call.",
        endpoints: vec![
            get("/api/v1/routes", "list_routes", list)
                .summary("Lists the routes in the order they are tried.")
                .scope(Scope::Read)
                .answers_json(200, "the routes", routes),
            post("/api/v1/routes", "create_route", create)
                .summary("Makes a route.")
                .retryable()
                .json(schema::named("RouteFields"))
                .answers_json(201, "the route", route())
                .refuses(&[Kind::Invalid]),
            get("/api/v1/routes/{id}", "show_route", show)
                .summary("Shows a route.")
                .scope(Scope::Read)
                .answers_json(200, "the route", route()),
            put("/api/v1/routes/{id}", "replace_route", replace)
                .summary("Replaces a route.")
                .json(schema::named("RouteFields"))
                .answers_json(200, "the route", route())
                .refuses(&[Kind::Invalid, Kind::ReadOnly]),
            delete("/api/v1/routes/{id}", "delete_route", remove)
                .summary("Deletes a route.")
                .answers(204, "there is no such route any more")
                .refuses(&[Kind::ReadOnly]),
        ],
        schemas: vec![("Route", shown_schema()), ("RouteFields", fields_schema())],
    }
}

fn pattern() -> Value {
    schema::described(schema::text(128), Pattern::ALLOWED)
}

fn references() -> Vec<(&'static str, Value)> {
    let id = || schema::nullable(schema::format("uuid"));
    vec![
        ("telephony_configuration_id", schema::described(id(), "only calls of it")),
        ("telephony_trunk_id", schema::described(id(), "only calls through it")),
        ("phone_number_id", schema::described(id(), "only calls to it")),
    ]
}

fn shown_schema() -> Value {
    let mut fields = vec![
        ("id", schema::format("uuid")),
        ("name", schema::nullable(schema::text(64))),
        ("to", pattern()),
        ("priority", schema::integer(0, i64::from(u16::MAX))),
        ("agent_id", schema::nullable(schema::format("uuid"))),
        ("conditions", schema::any_object()),
        ("settings", schema::any_object()),
        ("enabled", schema::flag()),
    ];
    fields.extend(references());
    fields.extend(object::stamp_schema());
    schema::object(&fields, &[])
}

fn fields_schema() -> Value {
    let list = |item: Value| schema::nullable(schema::list(item));
    let texts = || list(schema::text(64));
    let flag = || schema::nullable(schema::flag());
    let conditions = schema::object(
        &[],
        &[
            ("open", schema::described(texts(), "such as \"mon-fri 09:00-17:30\"")),
            ("closed", schema::described(texts(), "such as \"2026-12-24\" or \"12-25\"")),
            ("time_zone", schema::nullable(schema::text(64))),
            ("callers", schema::described(list(pattern()), "only these")),
            ("callers_except", schema::described(list(pattern()), "not these")),
        ],
    );
    let settings = schema::object(
        &[],
        &[
            ("weight", schema::nullable(schema::integer(0, 1_000_000))),
            ("fallback_agent", schema::described(schema::nullable(schema::text(64)), "its name")),
            ("agent_answers", flag()),
            ("early_media", flag()),
            ("max_duration_s", schema::nullable(schema::integer(1, object::DURATION_S_MAX))),
            ("record", flag()),
            ("capture", flag()),
        ],
    );
    let mut optional = vec![
        ("name", schema::nullable(schema::text(64))),
        ("priority", schema::nullable(schema::integer(0, i64::from(u16::MAX)))),
        ("conditions", schema::nullable(conditions)),
        ("settings", schema::nullable(settings)),
        ("enabled", flag()),
    ];
    optional.extend(references());
    schema::object(&[("to", pattern()), ("agent_id", schema::format("uuid"))], &optional)
}

fn shown(route: &Route) -> Value {
    let Route { id, fields, stamp } = route;
    let shown = json!({
        "id": id,
        "name": fields.name,
        "to": fields.pattern,
        "priority": fields.priority,
        "telephony_configuration_id": fields.configuration,
        "telephony_trunk_id": fields.trunk,
        "phone_number_id": fields.number,
        "agent_id": fields.agent,
        "conditions": fields.conditions,
        "settings": fields.settings,
        "enabled": fields.enabled,
    });
    let Value::Object(mut shown) = shown else { return Value::Null };
    object::stamped(&mut shown, stamp);
    Value::Object(shown)
}

fn read(given: Map<String, Value>) -> Result<RouteFields, Problem> {
    let mut given = Fields::of_object(given);
    given.needs(&["to", "agent_id"]);
    let pattern = given.text("to", 128).unwrap_or_default();
    if !pattern.is_empty()
        && let Err(why) = Pattern::parse(&pattern)
    {
        given.wrong("to", why);
    }
    let (conditions, settings) = (given.object("conditions"), given.object("settings"));
    let misplaced: Vec<String> = conditions
        .keys()
        .filter(|key| !CONDITIONS.contains(&key.as_str()))
        .map(|key| format!("conditions.{key}"))
        .chain(
            settings
                .keys()
                .filter(|key| CONDITIONS.contains(&key.as_str()))
                .map(|key| format!("settings.{key}")),
        )
        .collect();
    for field in misplaced {
        given.wrong(&field, "no such field");
    }
    let mut entry = settings.clone();
    entry.extend(conditions.clone());
    for problem in route_from_json(&entry).err().into_iter().flatten() {
        let key = problem.key.split(['.', '[']).next().unwrap_or_default();
        let part = if CONDITIONS.contains(&key) { "conditions" } else { "settings" };
        given.wrong(&format!("{part}.{}", problem.key), problem.message);
    }
    let priority = given.integer("priority", 0, i64::from(u16::MAX));
    let fields = RouteFields {
        name: given.text("name", 64),
        priority: priority.unwrap_or_else(|| i64::from(PRIORITY)),
        pattern,
        configuration: given.id("telephony_configuration_id").map(ConfigurationId),
        trunk: given.id("telephony_trunk_id").map(TrunkId),
        number: given.id("phone_number_id").map(NumberId),
        agent: given.id("agent_id").map(AgentId),
        conditions: Value::Object(conditions),
        settings: Value::Object(settings),
        enabled: given.flag("enabled").unwrap_or(true),
    };
    given.finish()?;
    Ok(fields)
}

/// Refuses a second agent that the organisation does not have.
async fn check_fallback(
    state: &crate::http::State,
    caller: &Caller,
    fields: &RouteFields,
) -> Result<(), Problem> {
    let fallback = fields.settings.get("fallback_agent").and_then(Value::as_str);
    let Some(name) = fallback else { return Ok(()) };
    let wrong = |why: &str| Problem::invalid("settings.fallback_agent", why);
    match state.store.agent_by_name(caller.organisation, name).await? {
        None => Err(wrong("no agent is called so")),
        Some(agent) if Some(agent.id) == fields.agent => {
            Err(wrong("the agent cannot stand in for itself"))
        }
        Some(_) => Ok(()),
    }
}

/// What the store names otherwise than requests do.
const OWN_NAMES: &[(&str, &str)] = &[
    ("agent", "agent_id"),
    ("configuration", "telephony_configuration_id"),
    ("trunk", "telephony_trunk_id"),
    ("number", "phone_number_id"),
];

/// `GET /api/v1/routes`
async fn list(
    State(state): State<crate::http::State>,
    caller: Caller,
) -> Result<axum::Json<Value>, Problem> {
    let routes = state.store.routes(caller.organisation).await?;
    let routes: Vec<Value> = routes.iter().map(shown).collect();
    Ok(axum::Json(json!({ "routes": routes })))
}

/// `POST /api/v1/routes`
async fn create(
    State(state): State<crate::http::State>,
    caller: Caller,
    Json(given): Json<Map<String, Value>>,
) -> Result<Response, Problem> {
    let fields = read(given)?;
    check_fallback(&state, &caller, &fields).await?;
    let made = state.store.create_route(caller.organisation, &fields, &caller.actor()).await;
    let id = made.map_err(|error| Problem::from(error).renamed(OWN_NAMES))?;
    let route = state.store.route(caller.organisation, id).await?;
    let location = [(header::LOCATION, format!("/api/v1/routes/{id}"))];
    Ok((StatusCode::CREATED, location, axum::Json(shown(&route))).into_response())
}

/// `GET /api/v1/routes/{id}`
async fn show(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<RouteId>,
) -> Result<axum::Json<Value>, Problem> {
    Ok(axum::Json(shown(&state.store.route(caller.organisation, id).await?)))
}

/// `PUT /api/v1/routes/{id}`
async fn replace(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<RouteId>,
    Json(given): Json<Map<String, Value>>,
) -> Result<axum::Json<Value>, Problem> {
    // What is not there is not judged.
    state.store.route(caller.organisation, id).await?;
    let fields = read(given)?;
    check_fallback(&state, &caller, &fields).await?;
    let changed = state.store.update_route(caller.organisation, id, &fields, &caller.actor()).await;
    changed.map_err(|error| Problem::from(error).renamed(OWN_NAMES))?;
    Ok(axum::Json(shown(&state.store.route(caller.organisation, id).await?)))
}

/// `DELETE /api/v1/routes/{id}`
async fn remove(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<RouteId>,
) -> Result<StatusCode, Problem> {
    state.store.delete_route(caller.organisation, id, &caller.actor()).await?;
    Ok(StatusCode::NO_CONTENT)
}
