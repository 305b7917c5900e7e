//! Signing in: people give a key once, and their browser keeps a session.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, RequestExt};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::auth::{self, Caller};
use crate::http::body::Json;
use crate::http::client::Client;
use crate::http::openapi::{Access, Resource, delete, get, post, schema};
use crate::http::problem::{Kind, Problem};
use crate::http::session::{Session, no_cookie};
use crate::keys::{KeyInfo, Scope};

/// Where it is.
const PATH: &str = "/api/v1/session";

pub(super) fn resource() -> Resource {
    let session = || schema::named("Session");
    Resource {
        tag: "session",
        about: "Sessions of browsers: a cookie in place of a key. A request that changes something \
                by cookie shows the session's `csrf_token` in the header `X-CSRF-Token`.",
        endpoints: vec![
            post(PATH, "sign_in", sign_in)
                .summary("Signs in with a key; the answer sets the cookie.")
                .access(Access::Open)
                .json(schema::object(&[("key", schema::text(128))], &[]))
                .answers_json(201, "the session", session())
                .refuses(&[Kind::Unauthorized, Kind::RateLimited, Kind::Unavailable]),
            get(PATH, "show_session", show)
                .summary("Tells who asks, by key or by cookie.")
                .scope(Scope::Read)
                .answers_json(200, "who asks", session()),
            delete(PATH, "sign_out", sign_out)
                .summary("Ends the session that the cookie names.")
                .scope(Scope::Read)
                .answers(204, "the cookie holds no longer"),
        ],
        schemas: vec![("Session", session_schema())],
    }
}

fn session_schema() -> Value {
    let organisation =
        schema::object(&[("id", schema::format("uuid")), ("name", json!({"type": "string"}))], &[]);
    let key = schema::object(
        &[
            ("id", schema::text(64)),
            ("name", schema::text(100)),
            ("scope", schema::word(super::keys::SCOPES)),
        ],
        &[],
    );
    schema::object(
        &[
            ("organization", organisation),
            ("key", key),
            ("csrf_token", schema::nullable(json!({"type": "string"}))),
            ("expires_at", schema::nullable(schema::format("date-time"))),
        ],
        &[],
    )
}

async fn shown(
    state: &crate::http::State,
    key: &KeyInfo,
    session: Option<&Session>,
) -> Result<axum::Json<Value>, Problem> {
    let organisation = state.store.organisation(key.organisation).await?;
    Ok(axum::Json(json!({
        "organization": {"id": organisation.id, "name": organisation.name},
        "key": {"id": key.id, "name": key.name, "scope": key.scope},
        "csrf_token": session.map(Session::csrf),
        "expires_at": session.map(|session| session.expires_at),
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    key: String,
}

/// True if the browser reached us over TLS.
fn is_secure(client: Option<&Client>) -> bool {
    client.is_some_and(|client| client.secure)
}

fn cookie(text: &str) -> Result<HeaderValue, Problem> {
    let value = HeaderValue::try_from(text);
    let mut value = value.map_err(|_| Problem::new(Kind::Internal, "the cookie is none"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// `POST /api/v1/session`
async fn sign_in(
    State(state): State<crate::http::State>,
    request: Request,
) -> Result<Response, Problem> {
    let extensions = request.extensions().clone();
    // A form of another site could not say this of what it sends.
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(|kind| kind.trim_start().starts_with("application/json")) {
        return Err(Problem::bad_field("Content-Type", "application/json is needed here"));
    }
    let Json(value): Json<Value> = request.extract_with_state(&state).await?;
    // What is read as a value first is not repeated by an error.
    let read = serde_json::from_value::<SignIn>(value);
    let SignIn { key } = read.map_err(|_| Problem::bad_field("key", "an API key is needed"))?;
    let key = auth::verify_key(&state, &extensions, Some(&key)).await?;
    let session = Session::begin()?;
    state.store.begin_session(&key, &session.hash(), session.expires_at).await?;
    session.note(&state.guard.known);
    let cookie = cookie(&session.cookie(is_secure(extensions.get::<Client>())))?;
    let shown = shown(&state, &key, Some(&session)).await?;
    Ok((StatusCode::CREATED, [(header::SET_COOKIE, cookie)], shown).into_response())
}

/// `GET /api/v1/session`
async fn show(
    State(state): State<crate::http::State>,
    Extension(key): Extension<KeyInfo>,
    session: Option<Extension<Session>>,
) -> Result<axum::Json<Value>, Problem> {
    shown(&state, &key, session.as_deref()).await
}

/// `DELETE /api/v1/session`
async fn sign_out(
    State(state): State<crate::http::State>,
    _: Caller,
    session: Option<Extension<Session>>,
    client: Option<Extension<Client>>,
) -> Result<Response, Problem> {
    if let Some(session) = session {
        state.store.end_session(&session.hash()).await?;
    }
    let cookie = cookie(&no_cookie(is_secure(client.as_deref())))?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}
