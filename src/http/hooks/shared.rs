//! The shared entry, for carriers that have one address for all: who asks is found out.
//!
//! Precedence: the provider that recognises the request, those whose requests carry what no other's
//! do before those whose words others have copied ([`table::recognise`]); then the configuration
//! with the account that the request names, and of several the one that has the called number. What
//! was found is a guess until the request is verified with that configuration's secrets.

use adapters::hook::Hook;
use adapters::{spec::ProviderSpec, table};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::{Received, described, proven, written};
use crate::carrier::Account;
use crate::http::openapi::{Endpoint, get, post};
use crate::http::problem::Problem;
use crate::routing::Called;
use crate::telemetry::HookOutcome;

const RUN: &str = "/api/v1/telephony/inbound/run";
const FALLBACK: &str = "/api/v1/telephony/inbound/fallback";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        described(get(RUN, "shared_hook_get", run)),
        described(post(RUN, "shared_hook_post", run)),
        described(get(FALLBACK, "fallback_hook_get", fallback)),
        described(post(FALLBACK, "fallback_hook_post", fallback)),
    ]
}

/// What a request at a shared address seems to be.
struct Guess {
    spec: &'static ProviderSpec,
    hook: &'static Hook,
    account: std::sync::Arc<Account>,
}

/// Finds out whose request it is. `Err` with a provider if it is that provider's, but nobody's.
fn guess(
    state: &crate::http::State,
    received: &Received,
) -> Result<Guess, Option<&'static ProviderSpec>> {
    let url = received.urls.first().map(String::as_str).unwrap_or_default();
    let request = received.as_written(url);
    let (spec, inbound) = table::recognise(&request).ok_or(None)?;
    let hook = spec.hook(inbound.hook).ok_or(Some(spec))?;
    let named = (inbound.account)(&request).ok_or(Some(spec))?;
    let called = (inbound.parse)(&request).map(|offered| offered.to);
    let called = called.as_ref().map_or("", |to| to.expose());
    let snapshot = state.directory.load();
    let line = snapshot.table.line(spec.name, &named, &Called::new(called, Some(called), None));
    let account = line.and_then(|(_, line)| snapshot.carriers().get(line));
    let account = account.cloned().ok_or(Some(spec))?;
    Ok(Guess { spec, hook, account })
}

/// Offered calls.
async fn run(
    State(state): State<crate::http::State>,
    request: Request,
) -> Result<Response, Problem> {
    let received = Received::read(&state, request).await?;
    match guess(&state, &received) {
        Ok(Guess { spec, hook, account }) => {
            if !hook.methods.contains(&received.parts.method) {
                state.metrics.carriers.hooked(spec.name, HookOutcome::Malformed);
                return Ok(StatusCode::METHOD_NOT_ALLOWED.into_response());
            }
            Ok(proven(&state, &account, hook, None, &received).await)
        }
        Err(spec) => {
            // Nothing is proven, so nothing is told of which accounts there are.
            if let Some(spec) = spec {
                state.metrics.carriers.hooked(spec.name, HookOutcome::Unknown);
                if state.guard.logs_stranger(&state.metrics.carriers) {
                    tracing::warn!(provider = spec.name, "a shared hook is for no configuration");
                }
            }
            Ok(StatusCode::FORBIDDEN.into_response())
        }
    }
}

/// What a carrier asks for when the first address gave it nothing: the caller is told in the
/// carrier's words that nobody answers.
async fn fallback(
    State(state): State<crate::http::State>,
    request: Request,
) -> Result<Response, Problem> {
    let received = Received::read(&state, request).await?;
    let Ok(Guess { spec, hook, account }) = guess(&state, &received) else {
        return Ok(StatusCode::FORBIDDEN.into_response());
    };
    let verified = received
        .urls
        .iter()
        .any(|url| (hook.verify)(&received.as_written(url), &account.config).is_ok());
    let Some(inbound) = spec.inbound.filter(|_| verified) else {
        state.metrics.carriers.hooked(spec.name, HookOutcome::Forged);
        return Ok(StatusCode::FORBIDDEN.into_response());
    };
    tracing::warn!(provider = spec.name, configuration = %account.id, "a carrier falls back");
    state.metrics.carriers.hooked(spec.name, HookOutcome::Failed);
    let refusal = adapters::op::Refusal::Unavailable;
    Ok(written((inbound.refuse)(&account.config, refusal)))
}
