//! Organisations: made, renamed, limited and suspended by whoever runs the server.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::keys::{Key, SCOPES};
use super::money;
use super::object::{self, Fields};
use crate::http::auth::Caller;
use crate::http::body::Json;
use crate::http::openapi::{Resource, get, post, put, schema};
use crate::http::page::{self, Page, Wanted};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::keys::Scope;
use crate::quota::budget::MINUTES_MAX;
use crate::store::OrganisationId;
use crate::store::organisations::{MINUTES, NAME_BYTES_MAX, Organisation, OrganisationFields};

/// Where they are.
const PATH: &str = "/api/v1/organizations";
const PATH_ONE: &str = "/api/v1/organizations/{id}";
const PATH_KEYS: &str = "/api/v1/organizations/{id}/keys";
const PATH_OWN: &str = "/api/v1/organization";
/// Name of an organisation's first key.
const FIRST_KEY: &str = "first";

pub(super) fn resource() -> Resource {
    let one = || schema::named("Organization");
    let mut made = shown_fields();
    made.push(("first_key", schema::named("NewKey")));
    let mut own = shown_fields();
    own.push(("living_calls", schema::count()));
    Resource {
        tag: "organizations",
        about: "Organisations, whose everything is. A key of scope `server` makes them; each sees \
                itself alone.",
        endpoints: vec![
            get(PATH_OWN, "show_own_organization", own_one)
                .summary("Shows the caller's organisation, and how many calls of it live.")
                .scope(Scope::Read)
                .answers_json(200, "the organisation", schema::object(&own, &[])),
            get(PATH, "list_organizations", list)
                .summary("Lists the organisations in the order they were made.")
                .scope(Scope::Server)
                .query(page::parameters())
                .answers_json(200, "the organisations", page::schema_of(one())),
            post(PATH, "create_organization", create)
                .summary("Makes an organisation and its first key, of scope admin.")
                .scope(Scope::Server)
                .retryable()
                .json(schema::object(&[("name", name_schema())], &limits_schema()))
                .answers_json(201, "the organisation", schema::object(&made, &[]))
                .refuses(&[Kind::Conflict, Kind::Invalid]),
            get(PATH_ONE, "show_organization", show)
                .summary("Shows an organisation.")
                .scope(Scope::Server)
                .answers_json(200, "the organisation", one()),
            put(PATH_ONE, "change_organization", change)
                .summary("Renames, limits or suspends an organisation: then it has no new calls.")
                .scope(Scope::Server)
                .json(schema::object(&[], &change_schema()))
                .answers_json(200, "the organisation", one())
                .refuses(&[Kind::Conflict, Kind::Invalid]),
            post(PATH_KEYS, "create_organization_key", create_key)
                .summary("Makes a key of an organisation, for one that has lost its own.")
                .scope(Scope::Server)
                .retryable()
                .json(schema::object(
                    &[("name", schema::text(100)), ("scope", schema::word(&SCOPES[1..]))],
                    &[],
                ))
                .answers_json(201, "the key, shown only now", schema::named("NewKey"))
                .refuses(&[Kind::Conflict, Kind::Invalid]),
        ],
        schemas: vec![("Organization", schema::object(&shown_fields(), &[]))],
    }
}

fn name_schema() -> Value {
    schema::text(NAME_BYTES_MAX)
}

fn shown_fields() -> Vec<(&'static str, Value)> {
    let time = || schema::format("date-time");
    let mut fields = vec![
        ("id", schema::format("uuid")),
        ("name", name_schema()),
        ("suspended", schema::flag()),
        ("created_at", time()),
        ("updated_at", time()),
    ];
    fields.extend(limits_schema());
    fields
}

/// The schema of what its calls are limited by.
fn limits_schema() -> Vec<(&'static str, Value)> {
    let longest = schema::nullable(schema::integer(1, object::DURATION_S_MAX));
    let longest = schema::described(longest, "longest call, from its answer");
    let limits = object::limits_schema().into_iter();
    let minutes = |name, about| {
        let minutes = schema::nullable(schema::integer(0, MINUTES_MAX));
        (name, schema::described(minutes, about))
    };
    let [a_day, a_month] = MINUTES;
    let more = [
        ("max_duration_s", longest),
        minutes(a_day, "minutes that its calls talk in a day, in UTC"),
        minutes(a_month, "minutes that its calls talk in a month, in UTC"),
    ];
    limits.chain(more).chain(money::cap_schema()).collect()
}

fn change_schema() -> Vec<(&'static str, Value)> {
    let mut fields = vec![
        ("name", schema::nullable(name_schema())),
        ("suspended", schema::nullable(schema::flag())),
    ];
    fields.extend(limits_schema());
    fields
}

fn shown(organisation: &Organisation) -> Map<String, Value> {
    let shown = json!({
        "id": organisation.id,
        "name": organisation.name,
        "suspended": organisation.is_suspended(),
        "max_calls": organisation.max_calls,
        "calls_per_second": organisation.calls_per_second,
        "max_duration_s": organisation.max_duration().map(|longest| longest.as_secs()),
        "minutes_per_day": organisation.budget().a_day,
        "minutes_per_month": organisation.budget().a_month,
        "created_at": organisation.created_at,
        "updated_at": organisation.updated_at,
    });
    let Value::Object(mut shown) = shown else { return Map::new() };
    money::cap_shown(&mut shown, organisation.cap());
    shown
}

/// A name, of at most as many bytes as are stored.
fn name(given: &mut Fields) -> String {
    let name = given.name();
    if name.len() > NAME_BYTES_MAX {
        given.wrong("name", format!("over {NAME_BYTES_MAX} bytes"));
    }
    name
}

/// `GET /api/v1/organization`
async fn own_one(
    State(state): State<crate::http::State>,
    caller: Caller,
) -> Result<axum::Json<Value>, Problem> {
    let mut shown = shown(&state.store.organisation(caller.organisation).await?);
    let living = state.store.living_calls(caller.organisation).await?;
    shown.insert("living_calls".to_owned(), json!(living));
    Ok(axum::Json(Value::Object(shown)))
}

/// `GET /api/v1/organizations`
async fn list(
    State(state): State<crate::http::State>,
    _: Caller,
    wanted: Wanted,
) -> Result<axum::Json<Page<Value>>, Problem> {
    let after = wanted.after.map(OrganisationId);
    let found = state.store.organisations_after(after, wanted.with_next()).await?;
    let page = Page::cut(found, wanted.limit, |one| one.id.0);
    Ok(axum::Json(page.map(|one| Value::Object(shown(&one)))))
}

/// `POST /api/v1/organizations`
async fn create(
    State(state): State<crate::http::State>,
    caller: Caller,
    Json(given): Json<Map<String, Value>>,
) -> Result<Response, Problem> {
    let mut given = Fields::new(given);
    let (name, limits) = (name(&mut given), given.limits());
    let longest = given.integer("max_duration_s", 1, object::DURATION_S_MAX);
    let minutes = MINUTES.map(|name| (name, given.integer(name, 0, MINUTES_MAX)));
    let cap = money::read_cap(&mut given, None);
    given.finish()?;
    let mut fields = OrganisationFields {
        name,
        max_calls: limits.max_calls,
        calls_per_second: limits.calls_per_second,
        settings: json!({}),
    };
    fields.set_max_duration(longest);
    fields.set_money(cap);
    for (name, minutes) in minutes {
        fields.set_minutes(name, minutes);
    }
    let id = state.store.create_organisation(&fields, &caller.actor()).await?;
    let key = state.keys.create(id, FIRST_KEY, Scope::Admin, &caller.actor()).await?;
    let mut shown = shown(&state.store.organisation(id).await?);
    shown.insert("first_key".to_owned(), json!(Key::new(key)));
    let location = [(header::LOCATION, format!("{PATH}/{id}"))];
    Ok((StatusCode::CREATED, location, axum::Json(shown)).into_response())
}

/// `GET /api/v1/organizations/{id}`
async fn show(
    State(state): State<crate::http::State>,
    _: Caller,
    Path(id): Path<OrganisationId>,
) -> Result<axum::Json<Value>, Problem> {
    Ok(axum::Json(Value::Object(shown(&state.store.organisation(id).await?))))
}

/// `PUT /api/v1/organizations/{id}`
async fn change(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<OrganisationId>,
    Json(given): Json<Map<String, Value>>,
) -> Result<axum::Json<Value>, Problem> {
    let stored = state.store.organisation(id).await?;
    let mut given = Fields::new(given);
    let (mut suspended, cap) = (stored.is_suspended(), stored.cap());
    let mut fields = OrganisationFields {
        name: stored.name,
        max_calls: stored.max_calls,
        calls_per_second: stored.calls_per_second,
        settings: stored.settings,
    };
    if given.has("name") {
        fields.name = name(&mut given);
    }
    for (field, limit) in
        [("max_calls", &mut fields.max_calls), ("calls_per_second", &mut fields.calls_per_second)]
    {
        if given.has(field) {
            *limit = given.integer(field, 1, object::LIMIT_MAX);
        }
    }
    if given.has("max_duration_s") {
        fields.set_max_duration(given.integer("max_duration_s", 1, object::DURATION_S_MAX));
    }
    for name in MINUTES {
        if given.has(name) {
            fields.set_minutes(name, given.integer(name, 0, MINUTES_MAX));
        }
    }
    fields.set_money(money::read_cap(&mut given, cap));
    if let Some(wanted) = given.flag("suspended") {
        suspended = wanted;
    }
    given.finish()?;
    if suspended && id == state.store.default_organisation() {
        return Err(Problem::conflict("the first organisation runs the server"));
    }
    fields.suspend(suspended);
    state.store.update_organisation(id, &fields, &caller.actor()).await?;
    Ok(axum::Json(Value::Object(shown(&state.store.organisation(id).await?))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedKey {
    name: String,
    scope: Scope,
}

/// `POST /api/v1/organizations/{id}/keys`
async fn create_key(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<OrganisationId>,
    Json(WantedKey { name, scope }): Json<WantedKey>,
) -> Result<Response, Problem> {
    let organisation = state.store.organisation(id).await?;
    if scope == Scope::Server {
        return Err(Problem::invalid("scope", "keys of this scope are made by their owner"));
    }
    let made = state.keys.create(organisation.id, &name, scope, &caller.actor()).await?;
    Ok((StatusCode::CREATED, axum::Json(Key::new(made))).into_response())
}
