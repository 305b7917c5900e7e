//! Who asks: API keys, and the sessions that stand for them.

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{Extensions, HeaderMap, Method, header};

use super::client::Client;
use super::problem::{Kind, Problem};
use super::rate::retry_after_s;
use super::session::{self, Session};
use crate::keys::{KeyInfo, Scope};
use crate::listen::sources::source;
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
    fn of(key: &KeyInfo) -> Self {
        Self { organisation: key.organisation, key_id: key.id.clone(), scope: key.scope }
    }

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
    let (headers, extensions) = (request.headers(), request.extensions());
    let found = identify(&state, request.method(), headers, extensions).await;
    let (key, session) = match found {
        Ok(found) => found,
        Err(problem) => return problem.into_response(),
    };
    let caller = Caller::of(&key);
    if let Err(problem) = caller.require(scope) {
        return problem.into_response();
    }
    tracing::Span::current().record("key", caller.key_id.as_str());
    let extensions = request.extensions_mut();
    extensions.insert(caller);
    extensions.insert(key);
    if let Some(session) = session {
        extensions.insert(session);
    }
    next.run(request).await
}

/// Who asks: by a key, or by the cookie of a session. Who shows a key means that.
async fn identify(
    state: &super::State,
    method: &Method,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Result<(KeyInfo, Option<Session>), Problem> {
    let key = presented(headers);
    let Some(token) = session::presented(headers).filter(|_| key.is_none()) else {
        return Ok((verify_key(state, extensions, key).await?, None));
    };
    let known = &state.guard.known;
    let found = if may_ask(state, extensions, token.expose()) {
        let found = state.store.session(&session::hash(token.expose())).await?;
        known.note(token.expose(), found.is_some());
        found
    } else {
        None
    };
    let Some(found) = found else {
        return Err(unknown(state, extensions, Problem::does_not_hold));
    };
    let session = Session::new(token, found.expires_at);
    let own = state.public_url.as_ref().map(|url| url.authority.as_str());
    session.check(method, headers, own.as_slice())?;
    within_rate(state, &found.key)?;
    Ok((found.key, Some(session)))
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
    let pair = basic_pair(headers);
    let password = pair.as_ref().map(|(_, key)| key.as_str());
    match verify_key(state, extensions, password).await {
        Ok(key) => Ok(Some(Caller::of(&key)).filter(|caller| caller.scope.allows(scope))),
        Err(problem) if problem.is(Kind::Unavailable) => Err(problem),
        Err(_) => Ok(None),
    }
}

/// The name and password of HTTP Basic credentials (RFC 7617).
pub(super) fn basic_pair(headers: &HeaderMap) -> Option<(String, String)> {
    let decoded = STANDARD.decode(authorization(headers, "Basic")?).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// What is answered to who is known neither by an address nor by a password, and how often.
pub(super) fn stranger(state: &super::State, client: Client) -> Problem {
    match state.guard.addresses.take(now(), source(client.address)) {
        Ok(()) => Problem::new(Kind::Forbidden, "neither address nor password tells who calls"),
        Err(wait) => Problem::rate_limited(retry_after_s(wait)),
    }
}

/// Finds the key. Who shows none that holds has few attempts; who shows a good one is never kept
/// out by others at the same address.
///
/// # Errors
///
/// The problem to answer if it does not hold, or asks too often.
pub(super) async fn verify_key(
    state: &super::State,
    extensions: &Extensions,
    key: Option<&str>,
) -> Result<KeyInfo, Problem> {
    let Some(key) = key else {
        return Err(unknown(state, extensions, Problem::unauthorized));
    };
    let info = if may_ask(state, extensions, key) {
        let info = state.keys.verify(key).await?;
        state.guard.known.note(key, info.is_some());
        info
    } else {
        None
    };
    let Some(info) = info else {
        return Err(unknown(state, extensions, Problem::does_not_hold));
    };
    within_rate(state, &info)?;
    Ok(info)
}

/// Whether the database is asked for a key or session: beyond the rate of an address, only for
/// those that have held.
fn may_ask(state: &super::State, extensions: &Extensions, secret: &str) -> bool {
    let guard = &state.guard;
    extensions.get::<Client>().is_none_or(|client| {
        guard.addresses.has(now(), &source(client.address)) || guard.known.has(secret)
    })
}

/// What is answered to whoever shows nothing that holds: `why`, as long as it is not too often.
fn unknown(state: &super::State, extensions: &Extensions, why: fn() -> Problem) -> Problem {
    let limited = extensions
        .get::<Client>()
        .map_or(Ok(()), |client| state.guard.addresses.take(now(), source(client.address)));
    match limited {
        Ok(()) => why(),
        Err(wait) => Problem::rate_limited(retry_after_s(wait)),
    }
}

fn within_rate(state: &super::State, key: &KeyInfo) -> Result<(), Problem> {
    let taken = state.guard.keys.take(now(), key.id.clone());
    taken.map_err(|wait| Problem::rate_limited(retry_after_s(wait)))
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
