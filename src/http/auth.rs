//! Who asks: API keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};

use super::State;
use super::problem::Problem;
use crate::keys::Scope;

/// The header besides Authorization in which a key may come.
const KEY_HEADER: &str = "x-api-key";

/// Refuses a request without a key, or whose key does not reach `scope`.
pub(super) async fn require(
    state: &State,
    headers: &HeaderMap,
    scope: Scope,
) -> Result<(), Problem> {
    let key = presented(headers).ok_or_else(Problem::unauthorized)?;
    let info = state.keys.verify(key).await?.ok_or_else(Problem::unauthorized)?;
    if info.scope.allows(scope) { Ok(()) } else { Err(Problem::forbidden()) }
}

/// True if the password of HTTP Basic credentials (RFC 7617) is a key that reaches `scope`.
pub(super) async fn basic(
    state: &State,
    headers: &HeaderMap,
    scope: Scope,
) -> Result<bool, Problem> {
    let Some(credentials) = authorization(headers, "Basic") else { return Ok(false) };
    let Ok(decoded) = STANDARD.decode(credentials) else { return Ok(false) };
    let Ok(decoded) = String::from_utf8(decoded) else { return Ok(false) };
    let Some((_, password)) = decoded.split_once(':') else { return Ok(false) };
    let info = state.keys.verify(password).await?;
    Ok(info.is_some_and(|info| info.scope.allows(scope)))
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
