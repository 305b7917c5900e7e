//! The endpoints, a file for each resource.

mod agent_test;
mod agents;
mod at_carrier;
pub(super) mod attach;
mod audit;
mod call_log;
mod call_order_reading;
mod call_order_schema;
mod call_orders;
mod call_schema;
mod caller_id;
mod calls;
mod capture;
mod carrier_events;
mod configuration_schema;
mod configurations;
mod dialect;
mod events;
mod keys;
mod line;
mod link;
mod listen;
mod live;
mod money;
mod number_sync;
mod numbers;
mod object;
mod ops;
mod orders;
mod organisations;
mod parking;
mod pbx;
mod phone;
mod play;
mod providers;
mod queues;
mod rates;
mod reach;
mod recording;
mod routes;
mod server;
mod session;
mod sound_file;
mod transfers;
mod trunks;
mod voicemails;
mod webhooks;

use std::time::Duration;

use uuid::Uuid;

use super::openapi::Resource;
use super::problem::{Kind, Problem};
use crate::calls::request::{Request, RequestError};
use crate::store::{OrganisationId, StoreError};

/// Seconds after which a client that was refused may come again.
pub(super) const RETRY_AFTER_S: u32 = 5;

/// All resources, in the order of the document.
pub(super) fn resources() -> Vec<Resource> {
    vec![
        ops::resource(),
        server::resource(),
        calls::resource(),
        call_log::resource(),
        orders::resource(),
        parking::resource(),
        queues::resource(),
        call_orders::resource(),
        play::resource(),
        transfers::resource(),
        recording::resource(),
        voicemails::resource(),
        capture::resource(),
        listen::resource(),
        live::resource(),
        phone::resource(),
        attach::resource(),
        link::resource(),
        carrier_events::resource(),
        line::resource(),
        pbx::resource(),
        dialect::resource(),
        session::resource(),
        keys::resource(),
        organisations::resource(),
        money::resource(),
        rates::resource(),
        audit::resource(),
        providers::resource(),
        super::hooks::resource(),
        configurations::resource(),
        trunks::resource(),
        numbers::resource(),
        at_carrier::resource(),
        agents::resource(),
        agent_test::resource(),
        routes::resource(),
        events::resource(),
        webhooks::resource(),
    ]
}

/// What is told when the call control has ended.
pub(super) fn gone() -> Problem {
    Problem::unavailable("the server goes down", RETRY_AFTER_S)
}

/// How long an answer waits until what was told before is written.
const WRITTEN_WAIT: Duration = Duration::from_secs(5);

/// Waits until what calls told before this request is in the store, so that the answer has it.
async fn written(state: &crate::http::State) -> Result<(), Problem> {
    let late = || Problem::unavailable("the database takes nothing at the moment", RETRY_AFTER_S);
    if state.log.is_behind() {
        return Err(late());
    }
    // Without a writer the server goes down, and what is there is all there will be.
    tokio::time::timeout(WRITTEN_WAIT, state.log.flush()).await.map(drop).map_err(|_| late())
}

/// Whether a call lives.
///
/// # Errors
///
/// If it lives and is none of the organisation's.
async fn lives(
    state: &crate::http::State,
    organisation: OrganisationId,
    call: Uuid,
) -> Result<bool, Problem> {
    let calls = vec![call];
    let living = state.calls.ask(|reply| Request::Show { calls, reply }).await;
    match living.ok_or_else(gone)?.first() {
        Some(living) if living.organisation == organisation.0 => Ok(true),
        Some(_) => Err(RequestError::NoSuchCall.into()),
        None => Ok(false),
    }
}

/// Refuses calls that are none of the organisation's, and those that are over: nothing is fetched
/// for them.
async fn living(
    state: &crate::http::State,
    organisation: OrganisationId,
    call: Uuid,
) -> Result<(), Problem> {
    let lives = lives(state, organisation, call).await?;
    if lives { Ok(()) } else { Err(RequestError::NoSuchCall.into()) }
}

/// Refuses calls that are none of the organisation's, whether they live or are over.
async fn owned(
    state: &crate::http::State,
    organisation: OrganisationId,
    call: Uuid,
) -> Result<(), Problem> {
    if lives(state, organisation, call).await? {
        return Ok(());
    }
    // It may have ended a moment ago.
    written(state).await?;
    match state.store.call(organisation, call).await {
        Ok(_) => Ok(()),
        Err(StoreError::NotFound) => Err(RequestError::NoSuchCall.into()),
        Err(error) => Err(error.into()),
    }
}

/// Everything else.
pub(super) async fn no_such_path(uri: http::Uri) -> Problem {
    let ends_in_slash = uri.path().len() > 1 && uri.path().ends_with('/');
    Problem::not_found(match ends_in_slash {
        true => "no such path: none ends in a slash",
        false => "no such path: /api/v1/openapi.json has those that there are",
    })
}

/// A path that knows other methods.
pub(super) async fn no_such_method() -> Problem {
    Problem::new(Kind::MethodNotAllowed, "see `Allow`")
}
