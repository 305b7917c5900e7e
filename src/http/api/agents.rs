//! Agents over HTTP.

use adapters::config::mask;
use adapters::dialect::DIALECTS;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Map, Value, json};

use super::object::{self, Fields};
use super::reach;
use crate::config::{
    EXPIRING_S_MAX, MESSAGE_S_MAX, NATIVE_DIALECT, SILENCE_S_MAX, Secret, agent_from_json,
};
use crate::http::auth::Caller;
use crate::http::body::Json;
use crate::http::openapi::{Resource, delete, get, post, put, schema};
use crate::http::page::{self, Page, Wanted};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::keys::Scope;
use crate::outward::Outward;
use crate::store::AgentId;
use crate::store::agents::{Agent, AgentFields};

/// What an agent may be.
const KINDS: &[&str] = &["builtin", "websocket", "rtp", "sip"];
/// Earliest warning before the end of a call, in seconds.
const EXPIRING_MAX: i64 = EXPIRING_S_MAX.cast_signed();
/// Longest message, and longest silence within one, in seconds.
const MESSAGE_MAX: i64 = MESSAGE_S_MAX.cast_signed();
const SILENCE_MAX: i64 = SILENCE_S_MAX.cast_signed();

pub(super) fn resource() -> Resource {
    let agent = || schema::named("Agent");
    Resource {
        tag: "agents",
        about: "The programs that talk on calls, with the keys of `[[agents]]` in the \
                configuration file but for those that name files of the server.",
        endpoints: vec![
            get("/api/v1/agents", "list_agents", list)
                .summary("Lists the agents in the order they were made.")
                .scope(Scope::Read)
                .query(page::parameters())
                .answers_json(200, "the agents", page::schema_of(agent())),
            post("/api/v1/agents", "create_agent", create)
                .summary("Makes an agent.")
                .retryable()
                .json(schema::named("AgentFields"))
                .answers_json(201, "the agent", agent())
                .refuses(&[Kind::Conflict, Kind::Invalid]),
            get("/api/v1/agents/{id}", "show_agent", show)
                .summary("Shows an agent; of its secret a mask.")
                .scope(Scope::Read)
                .answers_json(200, "the agent", agent()),
            put("/api/v1/agents/{id}", "replace_agent", replace)
                .summary(
                    "Replaces an agent; a secret that equals its mask stays, unless `url` changes \
                     where it goes.",
                )
                .json(schema::named("AgentFields"))
                .answers_json(200, "the agent", agent())
                .refuses(&[Kind::Conflict, Kind::Invalid, Kind::ReadOnly]),
            delete("/api/v1/agents/{id}", "delete_agent", remove)
                .summary("Deletes an agent that nothing leads to.")
                .answers(204, "there is no such agent any more")
                .refuses(&[Kind::Conflict, Kind::ReadOnly]),
        ],
        schemas: vec![("Agent", shown_schema()), ("AgentFields", fields_schema())],
    }
}

fn shown_schema() -> Value {
    let mut fields = vec![
        ("id", schema::format("uuid")),
        ("name", schema::text(64)),
        ("kind", schema::word(KINDS)),
    ];
    fields.extend(object::limits_schema());
    fields.extend(object::stamp_schema());
    let mut shown = schema::object(&fields, &[]);
    // And whatever its kind has.
    if let Some(shown) = shown.as_object_mut() {
        shown.remove("additionalProperties");
    }
    shown
}

fn fields_schema() -> Value {
    let whole = |min, max| schema::nullable(schema::integer(min, max));
    let flag = || schema::nullable(schema::flag());
    let text = |chars_max| schema::nullable(schema::text(chars_max));
    let dialects: Vec<&str> =
        std::iter::once(NATIVE_DIALECT).chain(DIALECTS.iter().map(|spec| spec.name)).collect();
    let format = schema::object(
        &[("codec", schema::word(&["PCMU", "PCMA", "G722", "l16le", "L16"]))],
        &[("rate_hz", schema::integer(8_000, 48_000)), ("ptime_ms", schema::integer(10, 60))],
    );
    let mut optional = vec![
        ("url", schema::described(text(2_048), "ws, wss or rtp")),
        ("attach", schema::described(flag(), "it attaches by itself instead of being dialled")),
        ("mux", schema::described(flag(), "its calls share one socket")),
        ("dialect", schema::nullable(schema::word(&dialects))),
        ("format", schema::nullable(format)),
        ("secret", schema::described(text(1_024), "signs the tokens that tell it who dials")),
        ("connect_timeout_ms", whole(100, 60_000)),
        ("grace_ms", whole(0, 300_000)),
        ("payload_type", whole(96, 127)),
        ("builtin", schema::nullable(schema::word(&["echo", "tone", "silence", "voicemail"]))),
        ("frequency_hz", whole(50, 3_800)),
        ("max_s", schema::described(whole(1, MESSAGE_MAX), "longest message, of voicemail")),
        ("silence_s", schema::described(whole(1, SILENCE_MAX), "silence that ends a message")),
        ("uri", schema::described(text(256), "whom to call, of a kind sip")),
        ("trunk", schema::described(text(64), "the trunk that it is called through")),
        ("from", schema::described(text(64), "our user part; the caller's if absent")),
        ("ring_timeout_s", whole(1, 600)),
        ("early_media", schema::described(flag(), "heard before its answer")),
        ("max_duration_s", schema::described(whole(1, object::DURATION_S_MAX), "longest call")),
        ("expiring_s", schema::described(whole(0, EXPIRING_MAX), "told so long before the end")),
        ("expiring_tone", schema::described(flag(), "the peer then hears two short tones")),
        ("answers", schema::described(flag(), "it decides when its calls are answered")),
        ("record", schema::described(flag(), "its calls are recorded")),
        ("capture", schema::described(flag(), "packets of its calls are captured")),
    ];
    optional.extend(object::limits_schema());
    schema::object(&[("name", schema::text(64)), ("kind", schema::word(KINDS))], &optional)
}

/// An agent as it is shown.
fn shown(agent: &Agent) -> Value {
    let Agent { id, fields, stamp } = agent;
    let mut shown = fields.settings.as_object().cloned().unwrap_or_default();
    if let Some(url) = shown.get_mut("url")
        && let Some(text) = url.as_str()
    {
        *url = json!(masked_url(text));
    }
    shown.insert("id".to_owned(), json!(id));
    shown.insert("name".to_owned(), json!(fields.name));
    shown.insert("kind".to_owned(), json!(fields.kind));
    if let Some(secret) = &fields.secret {
        shown.insert("secret".to_owned(), json!(mask(secret.expose())));
    }
    object::limits_shown(&mut shown, &fields.limits);
    object::stamped(&mut shown, stamp);
    Value::Object(shown)
}

/// Reads what was written, over what is `stored` if anything is.
fn read(
    given: Map<String, Value>,
    stored: Option<&Agent>,
    outward: &Outward,
) -> Result<AgentFields, Problem> {
    let dialects: Vec<&str> = DIALECTS.iter().map(|spec| spec.name).collect();
    let mut given = Fields::of_object(given);
    let limits = given.limits();
    let (secret, is_kept) = match given.take("secret") {
        Some(secret) => kept(secret, stored),
        None => (None, false),
    };
    if secret.as_ref().and_then(Value::as_str).is_some_and(is_mask) {
        given.wrong("secret", "this is a mask, not the value itself");
    }
    let mut settings = given.take_rest();
    settings.retain(|_, value| !value.is_null());
    let stored_url = stored.and_then(|agent| agent.fields.settings.get("url")?.as_str());
    if let (Some(url), Some(stored)) = (settings.get_mut("url"), stored_url)
        && *url == masked_url(stored)
    {
        *url = json!(stored);
    }
    let url = settings.get("url").and_then(Value::as_str);
    let moves = |url| stored_url.is_none_or(|stored| !reach::is_same_place(url, stored));
    if is_kept && url.is_some_and(moves) {
        given.wrong("secret", "to be given again, as a change of url decides where it goes");
    }
    let mut whole = settings.clone();
    if let Some(secret) = &secret {
        whole.insert("secret".to_owned(), secret.clone());
    }
    match agent_from_json(&whole, &dialects) {
        Ok(agent) => {
            reach::agent(&agent, outward).into_iter().for_each(|(key, why)| given.wrong(key, why));
        }
        Err(problems) => {
            problems.into_iter().for_each(|problem| given.wrong(&problem.key, problem.message));
        }
    }
    given.finish()?;
    let word = |value: Option<Value>| match value {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    Ok(AgentFields {
        name: word(settings.remove("name")).trim().to_owned(),
        kind: word(settings.remove("kind")).trim().to_ascii_lowercase(),
        settings: Value::Object(settings),
        secret: secret.as_ref().and_then(Value::as_str).map(|text| Secret::new(text.to_owned())),
        limits,
    })
}

/// The stored secret if it was written as its mask, else what was written; and whether it was.
fn kept(given: Value, stored: Option<&Agent>) -> (Option<Value>, bool) {
    let stored = stored.and_then(|agent| agent.fields.secret.as_ref());
    match stored {
        Some(stored) if given == mask(stored.expose()) => (Some(json!(stored.expose())), true),
        _ => (Some(given), false),
    }
}

/// A URL without the values of its query, which may be tokens.
fn masked_url(url: &str) -> String {
    match url.split_once('?') {
        Some((start, query)) => format!("{start}?{}", mask(query)),
        None => url.to_owned(),
    }
}

/// True for what a secret looks like when it is shown.
fn is_mask(text: &str) -> bool {
    let length = text.chars().count();
    length > 0 && text.chars().take(length - (length / 4).min(4)).all(|c| c == '*')
}

/// `GET /api/v1/agents`
async fn list(
    State(state): State<crate::http::State>,
    caller: Caller,
    wanted: Wanted,
) -> Result<axum::Json<Page<Value>>, Problem> {
    let after = wanted.after.map(AgentId);
    let found = state.store.agents(caller.organisation, after, wanted.with_next()).await?;
    let page = Page::cut(found, wanted.limit, |agent| agent.id.0);
    Ok(axum::Json(page.map(|agent| shown(&agent))))
}

/// `POST /api/v1/agents`
async fn create(
    State(state): State<crate::http::State>,
    caller: Caller,
    Json(given): Json<Map<String, Value>>,
) -> Result<Response, Problem> {
    let fields = read(given, None, &state.outward.of(caller.organisation.0))?;
    let id = state.store.create_agent(caller.organisation, &fields, &caller.actor()).await?;
    let agent = state.store.agent(caller.organisation, id).await?;
    let location = [(header::LOCATION, format!("/api/v1/agents/{id}"))];
    Ok((StatusCode::CREATED, location, axum::Json(shown(&agent))).into_response())
}

/// `GET /api/v1/agents/{id}`
async fn show(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<AgentId>,
) -> Result<axum::Json<Value>, Problem> {
    Ok(axum::Json(shown(&state.store.agent(caller.organisation, id).await?)))
}

/// `PUT /api/v1/agents/{id}`
async fn replace(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<AgentId>,
    Json(given): Json<Map<String, Value>>,
) -> Result<axum::Json<Value>, Problem> {
    let stored = state.store.agent(caller.organisation, id).await?;
    let fields = read(given, Some(&stored), &state.outward.of(caller.organisation.0))?;
    state.store.update_agent(caller.organisation, id, &fields, &caller.actor()).await?;
    Ok(axum::Json(shown(&state.store.agent(caller.organisation, id).await?)))
}

/// `DELETE /api/v1/agents/{id}`
async fn remove(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<AgentId>,
) -> Result<StatusCode, Problem> {
    state.store.delete_agent(caller.organisation, id, &caller.actor()).await?;
    Ok(StatusCode::NO_CONTENT)
}
