//! Requests of carriers: found, verified, understood, acted upon, answered in the carrier's words.
//!
//! The address of a configuration's hook is enough to find it; [`shared`] is for carriers that
//! have one address for all. Nothing is created or counted for a request that is not proven to be
//! the carrier's.

mod act;
mod door;
mod public;
mod shared;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use adapters::hook::{HOOK_BODY_BYTES_MAX, Hook, HookReply, HookRequest, VerifyError};
use adapters::table;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, header, request::Parts};
use serde_json::json;
use tokio::time::{Duration, timeout};
use uuid::Uuid;

use super::client::Client;
use super::openapi::{Access, Endpoint, Resource, get, post, put};
use super::path::Path;
use super::problem::{Kind, Problem};
use crate::bridge::handshake;
use crate::capture::{About, Raw, Registry, Web};
use crate::carrier::Account;
use crate::telemetry::HookOutcome;
use crate::workers::poller::now;
use act::Acted;
use media::time::MonoTime;

const PATH: &str = "/api/v1/telephony/{provider}/{hook}/{config_token}";
const PATH_CALL: &str = "/api/v1/telephony/{provider}/{hook}/{config_token}/{call_id}";

/// How long a hook's body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn resource() -> Resource {
    let mut endpoints = vec![
        described(get(PATH, "carrier_hook_get", of_account)),
        described(post(PATH, "carrier_hook_post", of_account)),
        described(put(PATH, "carrier_hook_put", of_account)),
        described(get(PATH_CALL, "carrier_call_hook_get", of_call)),
        described(post(PATH_CALL, "carrier_call_hook_post", of_call)),
        described(put(PATH_CALL, "carrier_call_hook_put", of_call)),
    ];
    endpoints.extend(shared::endpoints());
    Resource {
        tag: "hooks",
        about: "Requests of carriers. What they hold and how they are signed is the carrier's.",
        endpoints,
        schemas: Vec::new(),
    }
}

/// What every hook has in common.
fn described(endpoint: Endpoint) -> Endpoint {
    endpoint
        .summary("Takes a request of a carrier and answers in the carrier's form.")
        .access(Access::Open)
        .answers_with(200, "the carrier's form of an answer", "*/*", json!({"type": "string"}))
        .answers(204, "noted")
        .answers(400, "not understood")
        .answers(403, "not proven to be the carrier's")
        .refuses(&[
            Kind::NotFound,
            Kind::MethodNotAllowed,
            Kind::TooLarge,
            Kind::TooSlow,
            Kind::Unavailable,
        ])
}

/// A request that is whole, and who it may be from.
struct Received {
    parts: Parts,
    body: Bytes,
    /// Its address as the carrier may have written it.
    urls: Vec<String>,
    unix_s: u64,
}

impl Received {
    async fn read(state: &super::State, request: Request) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let body = match timeout(BODY_TIMEOUT, to_bytes(body, HOOK_BODY_BYTES_MAX)).await {
            Ok(Ok(body)) => body,
            Ok(Err(_)) => return Err(Problem::new(Kind::TooLarge, "the body is too long")),
            Err(_) => return Err(Problem::new(Kind::TooSlow, "the body did not arrive")),
        };
        let client = parts.extensions.get::<Client>().copied();
        let urls = public::urls(&state.base_url, &parts, client.is_some_and(|it| it.proxied));
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self { parts, body, urls, unix_s: since.as_secs() })
    }

    /// Who sent it, as far as can be told.
    fn peer(&self) -> String {
        let client = self.parts.extensions.get::<Client>();
        client.map(|client| client.address.to_string()).unwrap_or_default()
    }

    /// The request, as if the carrier had written this address.
    fn as_written<'r>(&'r self, url: &'r str) -> HookRequest<'r> {
        HookRequest {
            method: &self.parts.method,
            url,
            headers: &self.parts.headers,
            body: &self.body,
            unix_s: self.unix_s,
            from: self.parts.extensions.get::<Client>().map(|client| client.address),
        }
    }
}

/// A hook of a configuration.
async fn of_account(
    State(state): State<super::State>,
    Path((provider, hook, token)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    named(&state, &provider, &hook, (&token, None), request).await
}

/// A hook of a call.
async fn of_call(
    State(state): State<super::State>,
    Path((provider, hook, token, call)): Path<(String, String, String, Uuid)>,
    request: Request,
) -> Result<Response, Problem> {
    named(&state, &provider, &hook, (&token, Some(call)), request).await
}

async fn named(
    state: &super::State,
    provider: &str,
    hook: &str,
    (token, call): (&str, Option<Uuid>),
    mut request: Request,
) -> Result<Response, Problem> {
    let none = || Problem::not_found("no such hook");
    let spec = table::find(provider).ok_or_else(none)?;
    let hook = spec.hook(hook).ok_or_else(none)?;
    let account = state.directory.load().carriers().hooked(provider, token).cloned();
    let Some(account) = account else {
        state.metrics.carriers.hooked(spec.name, HookOutcome::Unknown);
        return Err(none());
    };
    if !hook.methods.contains(request.method()) {
        return Err(Problem::new(Kind::MethodNotAllowed, "the carrier uses another method"));
    }
    let offers = spec.inbound.is_some_and(|inbound| inbound.hook == hook.name)
        && handshake::is_upgrade(request.headers())
        && account.offers_by_socket();
    let upgraded = offers.then(|| hyper::upgrade::on(&mut request));
    let received = Received::read(state, request).await?;
    match upgraded {
        Some(upgraded) => door::open(state, &account, hook, (received, upgraded)),
        None => Ok(proven(state, &account, hook, call, &received).await),
    }
}

/// The request as the carrier wrote it, if it is proven to be the carrier's; else the status that
/// it gets.
fn verified<'r>(
    state: &super::State,
    account: &Account,
    hook: &'static Hook,
    received: &'r Received,
) -> Result<HookRequest<'r>, StatusCode> {
    let (provider, metrics) = (account.spec.name, &state.metrics.carriers);
    let mut refused = None;
    for url in &received.urls {
        let request = received.as_written(url);
        match (hook.verify)(&request, &account.config) {
            Ok(()) => return Ok(request),
            Err(error) => drop(refused.get_or_insert(error)),
        }
    }
    let (configuration, hook) = (account.id, hook.name);
    let why = refused.map(|error| error.to_string());
    if state.guard.logs_stranger(metrics) {
        tracing::warn!(provider, %configuration, hook, why, "a carrier's request is not proven");
    }
    metrics.hooked(provider, HookOutcome::Forged);
    Err(refused.map_or(StatusCode::FORBIDDEN, VerifyError::status))
}

/// Verifies a request and does what it is for.
async fn proven(
    state: &super::State,
    account: &Arc<Account>,
    hook: &'static Hook,
    call: Option<Uuid>,
    received: &Received,
) -> Response {
    let (provider, metrics) = (account.spec.name, &state.metrics.carriers);
    let request = match verified(state, account, hook, received) {
        Ok(request) => request,
        Err(refused) => return refused.into_response(),
    };
    match (hook.handle)(&request, &account.config) {
        Ok(handled) => {
            let (came, acted) = (now(), act::act(state, account, call, handled).await);
            capture(state, account, (received, came), &acted);
            written(acted.reply)
        }
        Err(error) => {
            let (configuration, hook) = (account.id, hook.name);
            tracing::warn!(provider, %configuration, hook, %error, "not understood");
            metrics.hooked(provider, HookOutcome::Malformed);
            StatusCode::BAD_REQUEST.into_response()
        }
    }
}

/// Puts a request and its answer among the messages of the call that they are about, if it is
/// captured.
fn capture(
    state: &super::State,
    account: &Account,
    (received, came): (&Received, MonoTime),
    acted: &Acted,
) {
    let about = match (acted.call, &acted.at_carrier) {
        (Some(call), _) => About::Call(call),
        (None, Some(call)) => About::AtCarrier(account.id, &call.0),
        (None, None) => return,
    };
    let takes = |captures: &Registry| captures.takes_web(about);
    let Some(call) = state.captures.lock().ok().and_then(|captures| takes(&captures)) else {
        return;
    };
    let (secrets, peer) = (account.secrets(), received.peer());
    let asked = Raw {
        method: received.parts.method.as_str(),
        url: received.urls.first().map(String::as_str).unwrap_or_default(),
        status: None,
        headers: Some(&received.parts.headers),
        body: &received.body,
    };
    let reply = &acted.reply;
    let said = Raw { status: Some(reply.status), headers: None, body: &reply.body, ..asked };
    let asked = Web::new(came, true, peer.clone(), &asked, &secrets);
    let said = Web::new(now(), false, peer, &said, &secrets);
    if let Ok(mut captures) = state.captures.lock() {
        captures.web(call, asked);
        captures.web(call, said);
    }
}

/// An answer as the adapter made it.
fn written(reply: HookReply) -> Response {
    if reply.content_type.is_empty() {
        return (reply.status, reply.body).into_response();
    }
    (reply.status, [(header::CONTENT_TYPE, reply.content_type)], reply.body).into_response()
}
