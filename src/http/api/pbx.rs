//! The media sockets by which a PBX brings calls.

use adapters::media_socket::SUBPROTOCOL;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};

use super::{RETRY_AFTER_S, attach, gone};
use crate::bridge::handshake;
use crate::calls::pbx::{Door, PbxCall, PbxRefusal};
use crate::calls::request;
use crate::config::Secret;
use crate::http::auth;
use crate::http::client::Client;
use crate::http::openapi::{Access, Query as Parameter, Resource, get, schema};
use crate::http::page::Query;
use crate::http::problem::{Kind, Problem};

/// Where a PBX brings its calls.
const PATH: &str = "/api/v1/media";
/// Variables that a call may bring.
const VARIABLES_MAX: usize = 32;
/// Longest name, and longest value, of a variable, in bytes.
const NAME_BYTES_MAX: usize = 64;
const VALUE_BYTES_MAX: usize = 512;

pub(super) fn resource() -> Resource {
    let address = |name, description| Parameter { name, schema: schema::text(255), description };
    Resource {
        tag: "calls of a PBX",
        about: "Calls that a PBX brings by their media connections.",
        endpoints: vec![
            get(PATH, "bring_call", bring)
                .summary("Brings a call, over a WebSocket with its audio.")
                .access(Access::Open)
                .query(vec![
                    address("to", "who is called: a number or user, which a route leads from"),
                    address("from", "who calls; every other parameter is a variable of the call"),
                ])
                .answers(101, "the call's audio follows")
                .refuses(&[
                    Kind::Unauthorized,
                    Kind::Forbidden,
                    Kind::NotFound,
                    Kind::NotUpgrade,
                    Kind::RateLimited,
                    Kind::Unavailable,
                ]),
        ],
        schemas: Vec::new(),
    }
}

/// `GET /api/v1/media?to=…`, upgraded to a WebSocket.
async fn bring(
    State(state): State<crate::http::State>,
    Extension(client): Extension<Client>,
    Query(query): Query<Vec<(String, String)>>,
    mut request: Request,
) -> Result<Response, Problem> {
    let headers = request.headers();
    let spoken = &[SUBPROTOCOL];
    let checked = handshake::check_request(request.method(), request.version(), headers, spoken);
    let upgrade = match checked {
        Ok(upgrade) => upgrade,
        Err(error) => return Ok(attach::refused(error)),
    };
    if headers.contains_key(header::ORIGIN) {
        // A page in the browser of somebody whose address is known is none of them.
        return Err(Problem::new(Kind::Forbidden, "calls are not brought by web pages"));
    }
    let credentials = auth::basic_pair(headers);
    if credentials.is_none() && !client.proxied && is_forwarded(headers) {
        let why = "the proxy is not among http.trusted_proxies, so nothing tells who calls";
        return Err(Problem::new(Kind::Forbidden, why));
    }
    let call = call(&state, client, credentials, query)?;
    let upgrade = upgrade.response_headers();
    let taken = state
        .calls
        .ask(|reply| request::Request::PbxCall { call: Box::new(call), reply })
        .await
        .ok_or_else(gone)?;
    let call = taken.map_err(|refusal| problem(&state, client, &refusal))?;
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let socket = match upgraded.await.map(attach::socket) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::debug!(%error, "a PBX went away while it brought a call");
                None
            }
        };
        state.calls.send(request::Request::LineOpen { call, socket }).await;
    });
    Ok((StatusCode::SWITCHING_PROTOCOLS, upgrade).into_response())
}

/// What the request says of the call.
fn call(
    state: &crate::http::State,
    client: Client,
    credentials: Option<(String, String)>,
    query: Vec<(String, String)>,
) -> Result<PbxCall, Problem> {
    let mut call = PbxCall {
        door: Door::WebSocket,
        address: client.address,
        credentials: credentials.map(|(name, password)| (name, Secret::new(password))),
        trusts_loopback: state.guard.is_local,
        from: None,
        to: None,
        variables: Vec::new(),
        id: None,
    };
    for (name, value) in query {
        // A plus sign that nobody has escaped stands for a blank.
        let address = || {
            Some(value.trim()).filter(|it| !it.is_empty()).map(|_| {
                value.strip_prefix(' ').map_or_else(|| value.clone(), |rest| format!("+{rest}"))
            })
        };
        match name.as_str() {
            "to" => call.to = address(),
            "from" => call.from = address(),
            _ if name.len() > NAME_BYTES_MAX || value.len() > VALUE_BYTES_MAX => {
                return Err(Problem::bad_request("a parameter is longer than it may be"));
            }
            _ if call.variables.len() >= VARIABLES_MAX => {
                let why = format!("more than {VARIABLES_MAX} variables");
                return Err(Problem::bad_request(why));
            }
            _ => call.variables.push((name, value)),
        }
    }
    Ok(call)
}

/// True if a proxy says for whom it asks.
fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(header::FORWARDED) || headers.contains_key("x-forwarded-for")
}

/// What is answered to who brings a call that is not taken.
fn problem(state: &crate::http::State, client: Client, refusal: &PbxRefusal) -> Problem {
    match refusal {
        PbxRefusal::Stranger => {
            if state.guard.logs_stranger(&state.metrics.carriers) {
                tracing::warn!(source = %client.address, "a call was refused: {refusal}");
            }
            auth::stranger(state, client)
        }
        PbxRefusal::Invalid(why) => Problem::bad_request(*why),
        PbxRefusal::NoRoute => Problem::not_found(refusal.to_string()),
        PbxRefusal::Suspended | PbxRefusal::Token(_) => {
            Problem::new(Kind::Forbidden, refusal.to_string())
        }
        PbxRefusal::Limit(limit) if limit.is_budget() => {
            Problem::new(Kind::Forbidden, refusal.to_string())
        }
        PbxRefusal::Limit(_) | PbxRefusal::Draining => {
            Problem::unavailable(refusal.to_string(), RETRY_AFTER_S)
        }
    }
}
