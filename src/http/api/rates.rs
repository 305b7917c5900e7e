//! What calls cost by their destination, over HTTP: of whoever runs the server.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Map, Value, json};

use super::money::{amount_schema, read_as};
use super::object::{self, Fields};
use crate::http::auth::Caller;
use crate::http::body::Json;
use crate::http::openapi::{Resource, delete, get, post, put, schema};
use crate::http::page::{self, Page, Wanted};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::keys::Scope;
use crate::quota::amount::{Amount, Currency};
use crate::quota::rates::{INCREMENT_S_MAX, PREFIX_ALLOWED, PREFIX_DIGITS_MAX, Rate, prefix};
use crate::store::RateId;
use crate::store::rates::{RateFields, RateRow};

const PATH: &str = "/api/v1/rates";
const PATH_ONE: &str = "/api/v1/rates/{id}";
/// Billing increment if nothing is said, in seconds.
const INCREMENT_S: u32 = 60;

pub(super) fn resource() -> Resource {
    let one = || schema::named("Rate");
    Resource {
        tag: "rates",
        about: "What calls cost by their destination, whoever places them: the longest prefix in \
                the currency of an organisation holds.",
        endpoints: vec![
            get(PATH, "list_rates", list)
                .summary("Lists the rates in the order they were made.")
                .scope(Scope::Server)
                .query(page::parameters())
                .answers_json(200, "the rates", page::schema_of(one())),
            post(PATH, "create_rate", create)
                .summary("Makes a rate.")
                .scope(Scope::Server)
                .retryable()
                .json(schema::named("RateFields"))
                .answers_json(201, "the rate", one())
                .refuses(&[Kind::Conflict, Kind::Invalid]),
            get(PATH_ONE, "show_rate", show)
                .summary("Shows a rate.")
                .scope(Scope::Server)
                .answers_json(200, "the rate", one()),
            put(PATH_ONE, "replace_rate", replace)
                .summary("Replaces a rate; calls that live keep the one that they began with.")
                .scope(Scope::Server)
                .json(schema::named("RateFields"))
                .answers_json(200, "the rate", one())
                .refuses(&[Kind::Conflict, Kind::Invalid, Kind::ReadOnly]),
            delete(PATH_ONE, "delete_rate", remove)
                .summary("Deletes a rate.")
                .scope(Scope::Server)
                .answers(204, "there is no such rate any more")
                .refuses(&[Kind::ReadOnly]),
        ],
        schemas: vec![("Rate", shown_schema()), ("RateFields", fields_schema())],
    }
}

fn needed_schema() -> Vec<(&'static str, Value)> {
    vec![
        ("prefix", schema::described(schema::text(PREFIX_DIGITS_MAX + 1), PREFIX_ALLOWED)),
        ("currency", schema::described(schema::text(3), Currency::ALLOWED)),
        ("per_minute", amount_schema(Amount::ALLOWED)),
    ]
}

fn optional_schema() -> Vec<(&'static str, Value)> {
    let increment = schema::integer(1, i64::from(INCREMENT_S_MAX));
    let about = "what is begun of so many seconds is paid as a whole";
    vec![
        ("increment_s", schema::described(increment, about)),
        ("connection", amount_schema("what an answered call costs besides")),
    ]
}

fn shown_schema() -> Value {
    let mut fields = vec![("id", schema::format("uuid"))];
    fields.extend(needed_schema());
    fields.extend(optional_schema());
    fields.extend(object::stamp_schema());
    schema::object(&fields, &[])
}

fn fields_schema() -> Value {
    let optional = optional_schema().into_iter();
    let optional: Vec<_> = optional.map(|(name, of)| (name, schema::nullable(of))).collect();
    schema::object(&needed_schema(), &optional)
}

fn shown(row: &RateRow) -> Value {
    let RateRow { id, fields, stamp } = row;
    let shown = json!({
        "id": id,
        "prefix": format!("+{}", fields.prefix),
        "currency": fields.rate.currency,
        "per_minute": fields.rate.per_minute,
        "increment_s": fields.rate.increment_s,
        "connection": fields.rate.connection,
    });
    let Value::Object(mut shown) = shown else { return Value::Null };
    object::stamped(&mut shown, stamp);
    Value::Object(shown)
}

fn read(given: Map<String, Value>) -> Result<RateFields, Problem> {
    let mut given = Fields::of_object(given);
    given.needs(&["prefix", "currency", "per_minute"]);
    let prefix = read_as(&mut given, "prefix", prefix, PREFIX_ALLOWED);
    let currency = read_as(&mut given, "currency", Currency::parse, Currency::ALLOWED);
    let per_minute = read_as(&mut given, "per_minute", Amount::parse, Amount::ALLOWED);
    let connection = read_as(&mut given, "connection", Amount::parse, Amount::ALLOWED);
    let increment_s = given.integer("increment_s", 1, i64::from(INCREMENT_S_MAX));
    given.finish()?;
    let ((prefix, currency), per_minute) = prefix
        .zip(currency)
        .zip(per_minute)
        // Null is as good as nothing.
        .ok_or_else(|| Problem::invalid("prefix", "prefix, currency or per_minute is null"))?;
    let increment_s = increment_s.and_then(|seconds| u32::try_from(seconds).ok());
    let rate = Rate {
        currency,
        per_minute,
        increment_s: increment_s.unwrap_or(INCREMENT_S),
        connection: connection.unwrap_or_default(),
    };
    Ok(RateFields { prefix, rate })
}

/// `GET /api/v1/rates`
async fn list(
    State(state): State<crate::http::State>,
    _: Caller,
    wanted: Wanted,
) -> Result<axum::Json<Page<Value>>, Problem> {
    let (home, after) = (state.store.default_organisation(), wanted.after.map(RateId));
    let found = state.store.rates(home, after, wanted.with_next()).await?;
    let page = Page::cut(found, wanted.limit, |row| row.id.0);
    Ok(axum::Json(page.map(|row| shown(&row))))
}

/// `POST /api/v1/rates`
async fn create(
    State(state): State<crate::http::State>,
    caller: Caller,
    Json(given): Json<Map<String, Value>>,
) -> Result<Response, Problem> {
    let fields = read(given)?;
    let home = state.store.default_organisation();
    let id = state.store.create_rate(home, &fields, &caller.actor()).await?;
    let row = state.store.rate(home, id).await?;
    let location = [(header::LOCATION, format!("{PATH}/{id}"))];
    Ok((StatusCode::CREATED, location, axum::Json(shown(&row))).into_response())
}

/// `GET /api/v1/rates/{id}`
async fn show(
    State(state): State<crate::http::State>,
    _: Caller,
    Path(id): Path<RateId>,
) -> Result<axum::Json<Value>, Problem> {
    let home = state.store.default_organisation();
    Ok(axum::Json(shown(&state.store.rate(home, id).await?)))
}

/// `PUT /api/v1/rates/{id}`
async fn replace(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<RateId>,
    Json(given): Json<Map<String, Value>>,
) -> Result<axum::Json<Value>, Problem> {
    let home = state.store.default_organisation();
    // What is not there is not judged.
    state.store.rate(home, id).await?;
    let fields = read(given)?;
    state.store.update_rate(home, id, &fields, &caller.actor()).await?;
    Ok(axum::Json(shown(&state.store.rate(home, id).await?)))
}

/// `DELETE /api/v1/rates/{id}`
async fn remove(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<RateId>,
) -> Result<StatusCode, Problem> {
    let home = state.store.default_organisation();
    state.store.delete_rate(home, id, &caller.actor()).await?;
    Ok(StatusCode::NO_CONTENT)
}
