//! The shared entry, for carriers that have one address for all: who asks is found out.
//!
//! Precedence: the provider that recognises the request, those whose requests carry what no other's
//! do before those whose words others have copied ([`table::recognise`]); then the configuration
//! with the account that the request names, and of several the one that has the called number. What
//! was found is a guess until the request is verified with that configuration's secrets.
//!
//! Whoever makes up requests learns nothing of which accounts there are: one that names an account
//! of nobody is verified all the same, with the secrets of another, and refused whatever comes out.

use std::sync::Arc;

use adapters::hook::Hook;
use adapters::{spec::ProviderSpec, table};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use uuid::Uuid;

use super::{Received, described, proven, written};
use crate::carrier::Account;
use crate::directory::Carriers;
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
    account: Arc<Account>,
    /// The account is that which the request names.
    is_named: bool,
}

/// Finds out whose request it is. `Err` with a provider if it is that provider's, whose
/// configurations nobody has.
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
    let line = line.map(|(_, line)| line);
    let (account, is_named) = whose(snapshot.carriers(), spec, line).ok_or(Some(spec))?;
    Ok(Guess { spec, hook, account, is_named })
}

/// The configuration that was found, and otherwise another of the carrier, so that both take the
/// same work; whether it was found.
fn whose(
    carriers: &Carriers,
    spec: &ProviderSpec,
    line: Option<Uuid>,
) -> Option<(Arc<Account>, bool)> {
    let named = line.and_then(|line| carriers.get(line));
    let account = named.or_else(|| carriers.any_of(spec.name))?;
    Some((Arc::clone(account), named.is_some()))
}

/// Whether a request is of a configuration's carrier.
fn is_proven(received: &Received, hook: &Hook, account: &Account) -> bool {
    let mut urls = received.urls.iter();
    urls.any(|url| (hook.verify)(&received.as_written(url), &account.config).is_ok())
}

/// Offered calls.
async fn run(
    State(state): State<crate::http::State>,
    request: Request,
) -> Result<Response, Problem> {
    let received = Received::read(&state, request).await?;
    match guess(&state, &received) {
        Ok(Guess { spec, hook, account, is_named }) => {
            if !hook.methods.contains(&received.parts.method) {
                state.metrics.carriers.hooked(spec.name, HookOutcome::Malformed);
                return Ok(StatusCode::METHOD_NOT_ALLOWED.into_response());
            }
            if is_named {
                return Ok(proven(&state, &account, hook, None, &received).await);
            }
            std::hint::black_box(is_proven(&received, hook, &account));
            Ok(unknown(&state, Some(spec)))
        }
        Err(spec) => Ok(unknown(&state, spec)),
    }
}

/// Refuses what is of nobody; nothing is told of which accounts there are.
fn unknown(state: &crate::http::State, spec: Option<&ProviderSpec>) -> Response {
    if let Some(spec) = spec {
        state.metrics.carriers.hooked(spec.name, HookOutcome::Unknown);
        if state.guard.logs_stranger(&state.metrics.carriers) {
            tracing::warn!(provider = spec.name, "a shared hook is for no configuration");
        }
    }
    StatusCode::FORBIDDEN.into_response()
}

/// What a carrier asks for when the first address gave it nothing: the caller is told in the
/// carrier's words that nobody answers.
async fn fallback(
    State(state): State<crate::http::State>,
    request: Request,
) -> Result<Response, Problem> {
    let received = Received::read(&state, request).await?;
    let Ok(Guess { spec, hook, account, is_named }) = guess(&state, &received) else {
        return Ok(StatusCode::FORBIDDEN.into_response());
    };
    let verified = is_proven(&received, hook, &account) && is_named;
    let Some(inbound) = spec.inbound.filter(|_| verified) else {
        let forged = if is_named { HookOutcome::Forged } else { HookOutcome::Unknown };
        state.metrics.carriers.hooked(spec.name, forged);
        return Ok(StatusCode::FORBIDDEN.into_response());
    };
    tracing::warn!(provider = spec.name, configuration = %account.id, "a carrier falls back");
    state.metrics.carriers.hooked(spec.name, HookOutcome::Failed);
    let refusal = adapters::op::Refusal::Unavailable;
    Ok(written((inbound.refuse)(&account.config, refusal)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::quota::Limits;

    fn account(id: u128, spec: &'static ProviderSpec) -> Account {
        Account {
            id: Uuid::from_u128(id),
            organisation: Uuid::nil(),
            name: "test".to_owned(),
            spec,
            config: adapters::config::RawConfig::default(),
            token: Secret::new(id.to_string()),
            limits: Limits::default(),
            is_default: false,
        }
    }

    /// A request that names nobody's account is verified as well, as if it were one of its
    /// carrier's others; of a carrier that nobody has there is nothing to find out.
    #[test]
    fn nobodys_requests_take_the_same_work() {
        let [one, other] = [table::PROVIDERS[0], table::PROVIDERS[1]];
        let carriers = Carriers::new(vec![account(1, one), account(2, one)]);
        let found = whose(&carriers, one, Some(Uuid::from_u128(2))).unwrap();
        assert_eq!((found.0.id, found.1), (Uuid::from_u128(2), true));
        for line in [None, Some(Uuid::from_u128(9))] {
            let (account, is_named) = whose(&carriers, one, line).unwrap();
            assert!(account.spec.name == one.name && !is_named);
        }
        assert!(whose(&carriers, other, None).is_none());
    }
}
