//! API keys over HTTP.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::auth::Caller;
use crate::http::body::Json;
use crate::http::openapi::{Resource, delete, get, post, schema};
use crate::http::page::{self, Page};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::keys::{KeyError, KeyInfo, NewKey, Scope};
use crate::store::Timestamp;

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Store(error) => error.into(),
            KeyError::NoSuchKey { .. } => Self::not_found("no key has this id"),
            KeyError::BadName => Self::invalid("name", error.to_string()),
            KeyError::TooMany => Self::conflict(error.to_string()),
            other => {
                tracing::error!(error = %other, "API keys cannot be changed");
                Self::new(Kind::Internal, "see the log")
            }
        }
    }
}

pub(super) fn resource() -> Resource {
    Resource {
        tag: "keys",
        about: "API keys. A key is shown once, when it is made.",
        endpoints: vec![
            get("/api/v1/keys", "list_keys", list)
                .summary("Lists the keys that hold.")
                .answers_json(200, "the keys", page::schema_of(schema::named("Key"))),
            post("/api/v1/keys", "create_key", create)
                .summary("Makes a key.")
                .retryable()
                .json(schema::object(
                    &[("name", schema::text(100)), ("scope", scope_schema())],
                    &[],
                ))
                .answers_json(201, "the key, shown only now", schema::named("NewKey"))
                .refuses(&[Kind::Conflict, Kind::Invalid]),
            delete("/api/v1/keys/{id}", "revoke_key", revoke)
                .summary("Makes a key invalid. A key cannot revoke itself.")
                .answers(204, "the key holds no longer")
                .refuses(&[Kind::Conflict]),
        ],
        schemas: vec![("Key", schema_of(&[])), ("NewKey", schema_of(&[("key", schema::text(64))]))],
    }
}

/// The words for what a key may do; the first is for the server's own keys.
pub(super) const SCOPES: &[&str] = &["server", "admin", "calls", "read"];

fn scope_schema() -> Value {
    schema::word(SCOPES)
}

fn schema_of(more: &[(&'static str, Value)]) -> Value {
    let mut fields = vec![
        ("id", schema::text(64)),
        ("name", schema::text(100)),
        ("scope", scope_schema()),
        ("created_at", schema::format("date-time")),
    ];
    fields.extend_from_slice(more);
    schema::object(&fields, &[])
}

/// A key as it is listed.
#[derive(Serialize)]
pub(super) struct Key {
    id: String,
    name: String,
    scope: Scope,
    created_at: Timestamp,
    /// There once.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl Key {
    /// A key that was just made, with the key itself.
    pub(super) fn new(made: NewKey) -> Self {
        Self { key: Some(made.key.expose().to_owned()), ..made.info.into() }
    }
}

impl From<KeyInfo> for Key {
    fn from(info: KeyInfo) -> Self {
        let created_at = Timestamp::from_unix_s(info.created_unix_s);
        Self { id: info.id, name: info.name, scope: info.scope, created_at, key: None }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: String,
    scope: Scope,
}

/// `GET /api/v1/keys`: all of them, as there are few.
async fn list(
    State(state): State<crate::http::State>,
    caller: Caller,
) -> Result<axum::Json<Page<Key>>, Problem> {
    let keys = state.keys.list(caller.organisation).await?;
    let items = keys.into_iter().map(Key::from).collect();
    Ok(axum::Json(Page { items, next_cursor: None }))
}

/// `POST /api/v1/keys`
async fn create(
    State(state): State<crate::http::State>,
    caller: Caller,
    Json(Wanted { name, scope }): Json<Wanted>,
) -> Result<Response, Problem> {
    // No key makes one that may do more.
    caller.require(scope)?;
    let made = state.keys.create(caller.organisation, &name, scope, &caller.actor()).await?;
    let location = [(header::LOCATION, format!("/api/v1/keys/{}", made.info.id))];
    Ok((StatusCode::CREATED, location, axum::Json(Key::new(made))).into_response())
}

/// `DELETE /api/v1/keys/{id}`. As no key revokes itself, an organisation keeps one of scope admin.
async fn revoke(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    if id == caller.key_id {
        return Err(Problem::conflict("a key cannot revoke itself; use another"));
    }
    state.keys.revoke(caller.organisation, &id, &caller.actor()).await?;
    Ok(StatusCode::NO_CONTENT)
}
