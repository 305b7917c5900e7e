//! Who asks: API keys.

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{Extensions, HeaderMap, header};

use super::client::Client;
use super::problem::{Kind, Problem};
use super::rate::{retry_after_s, source};
use crate::keys::Scope;
use crate::store::{Actor, OrganisationId};
use crate::workers::poller::now;

/// The header besides Authorization in which a key may come.
const KEY_HEADER: &str = "x-api-key";

/// Whoever asks, proven by an API key.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose key it is.
    pub organisation: OrganisationId,
    /// Id of the key.
    pub key_id: String,
    /// What the key may do.
    pub scope: Scope,
}

impl Caller {
    /// Refuses a key that does not reach `scope`.
    pub fn require(&self, scope: Scope) -> Result<(), Problem> {
        if self.scope.allows(scope) { Ok(()) } else { Err(Problem::forbidden()) }
    }

    /// The caller as the audit log names it.
    pub fn actor(&self) -> Actor {
        Actor::Key(self.key_id.clone())
    }
}

impl FromRequestParts<super::State> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &super::State) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::unauthorized)
    }
}

/// Lets requests through whose key reaches the scope that the endpoint asks for.
pub(super) async fn admit(
    State((state, scope)): State<(super::State, Scope)>,
    mut request: Request,
    next: Next,
) -> Response {
    let key = presented(request.headers());
    let caller = match verify(&state, request.extensions(), key).await {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    if let Err(problem) = caller.require(scope) {
        return problem.into_response();
    }
    tracing::Span::current().record("key", caller.key_id.as_str());
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// The caller whose key is the password of HTTP Basic credentials (RFC 7617); none if it is no key
/// of that scope.
///
/// # Errors
///
/// If the database does not answer.
pub(super) async fn basic(
    state: &super::State,
    extensions: &Extensions,
    headers: &HeaderMap,
    scope: Scope,
) -> Result<Option<Caller>, Problem> {
    let decoded = authorization(headers, "Basic").and_then(|text| STANDARD.decode(text).ok());
    let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let password = decoded.as_deref().and_then(|text| text.split_once(':')).map(|(_, key)| key);
    match verify(state, extensions, password).await {
        Ok(caller) => Ok(Some(caller).filter(|caller| caller.scope.allows(scope))),
        Err(problem) if problem.is(Kind::Unavailable) => Err(problem),
        Err(_) => Ok(None),
    }
}

/// Finds the key. Who shows none that holds has few attempts; who shows a good one is never kept
/// out by others at the same address.
async fn verify(
    state: &super::State,
    extensions: &Extensions,
    key: Option<&str>,
) -> Result<Caller, Problem> {
    let info = match key {
        Some(key) => state.keys.verify(key).await?,
        None => None,
    };
    let Some(info) = info else {
        let limited = extensions
            .get::<Client>()
            .map_or(Ok(()), |client| state.guard.addresses.take(now(), source(client.address)));
        return Err(match limited {
            Ok(()) => Problem::unauthorized(),
            Err(wait) => Problem::rate_limited(retry_after_s(wait)),
        });
    };
    if let Err(wait) = state.guard.keys.take(now(), info.id.clone()) {
        return Err(Problem::rate_limited(retry_after_s(wait)));
    }
    Ok(Caller { organisation: info.organisation, key_id: info.id, scope: info.scope })
}

fn presented(headers: &HeaderMap) -> Option<&str> {
    authorization(headers, "Bearer").or_else(|| headers.get(KEY_HEADER)?.to_str().ok())
}

/// The credentials of an Authorization header of this scheme (RFC 9110 11.4).
fn authorization<'h>(headers: &'h HeaderMap, scheme: &str) -> Option<&'h str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (given, credentials) = value.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| credentials.trim())
}
