//! Does what a proven request is for, and answers.

use std::sync::Arc;

use adapters::event::{CallEvent, CarrierCallId, Meaning};
use adapters::hook::{Handled, HookReply, Take};
use adapters::op::Refusal;
use http::StatusCode;
use sha2::{Digest, Sha256};
use tokio::time::{Duration, timeout};
use uuid::Uuid;

use crate::calls::log::from_carrier;
use crate::calls::request::{Heard, Hooked, Request};
use crate::carrier::Account;
use crate::http::State;
use crate::store::idempotency::Earlier;
use crate::store::{ConfigurationId, OrganisationId, StoreError, Timestamp};
use crate::telemetry::HookOutcome;

/// How long the control may take to say what becomes of a request.
const HEARD_WITHIN: Duration = Duration::from_secs(8);
/// How long what a carrier told may take to be written.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);

/// What a request is about, as far as its answer depends on it.
enum About {
    Events(Vec<CallEvent>),
    Offered,
    Asked,
}

/// What became of a request.
pub(super) struct Acted {
    /// The answer.
    pub(super) reply: HookReply,
    /// Our id of the call that it was about, if that is known.
    pub(super) call: Option<Uuid>,
    /// The carrier's id of it.
    pub(super) at_carrier: Option<CarrierCallId>,
}

pub(super) async fn act(
    state: &State,
    account: &Arc<Account>,
    call: Option<Uuid>,
    handled: Handled,
) -> Acted {
    let at_carrier = match &handled.meaning {
        Meaning::Events(events) => events.first().map(|event| event.call.clone()),
        Meaning::Offered(offered) => Some(offered.call.clone()),
        Meaning::Asked { call, .. } => Some(call.clone()),
    };
    let mut taken = None;
    let reply = reply_to(state, account, call, (handled, &mut taken)).await;
    Acted { reply, call: call.or(taken), at_carrier }
}

/// The answer to a request; `taken` becomes the call that it sends the audio of.
async fn reply_to(
    state: &State,
    account: &Arc<Account>,
    call: Option<Uuid>,
    (handled, taken): (Handled, &mut Option<Uuid>),
) -> HookReply {
    let Handled { meaning, reply } = handled;
    let about = match &meaning {
        Meaning::Events(events) if events.is_empty() => {
            return counted(state, account, HookOutcome::Taken, reply);
        }
        Meaning::Events(events) => About::Events(events.clone()),
        Meaning::Offered(_) => About::Offered,
        Meaning::Asked { .. } => About::Asked,
    };
    if matches!(about, About::Offered) && state.directory.load().carriers().is_parked(account.id) {
        return offered(state, account, Some(Heard::Refuse(Refusal::Unavailable)), reply);
    }
    let is_known = match &meaning {
        // The claim first: who loses it may find nothing in the log.
        Meaning::Offered(offered) => {
            !claims(state, account, &offered.call).await
                || known(state, account, &offered.call).await
        }
        _ => false,
    };
    let hook = Box::new(Hooked { account: Arc::clone(account), call, meaning, is_known });
    let heard = state.calls.ask(|reply| Request::Hook { hook, reply });
    let heard = timeout(HEARD_WITHIN, heard).await.ok().flatten();
    if let Some(Heard::Take { call, .. }) = &heard {
        *taken = Some(*call);
    }
    match (about, heard) {
        (About::Events(events), Some(heard)) => {
            let mut outcome = HookOutcome::Taken;
            if heard == Heard::Late {
                outcome = HookOutcome::Late;
                if late(state, account, call, &events).await.is_err() {
                    return failed(state, account);
                }
            }
            // What is acknowledged is written: a carrier tells it once.
            match timeout(WRITTEN_WITHIN, state.log.flush()).await {
                Ok(true) => counted(state, account, outcome, reply),
                Ok(false) | Err(_) => failed(state, account),
            }
        }
        (About::Offered, heard) => offered(state, account, heard, reply),
        (About::Asked, Some(Heard::Take { call, stream_url })) => {
            match answer(state, account, call, stream_url) {
                Some(document) => counted(state, account, HookOutcome::Taken, document),
                None => counted(state, account, HookOutcome::Failed, reply),
            }
        }
        // It is where the carrier was asked to send it.
        (About::Asked, Some(Heard::Noted)) => {
            counted(state, account, HookOutcome::Taken, HookReply::NO_CONTENT)
        }
        (About::Asked, Some(_)) => counted(state, account, HookOutcome::Late, reply),
        (About::Events(_) | About::Asked, None) => failed(state, account),
    }
}

/// Whether no other server has a session that is a call by itself: of several that are offered it
/// at the same moment, as by somebody who repeats what was overheard, one claims it, and for longer
/// than the log takes to have it. A store that cannot be asked keeps no call from being taken.
async fn claims(state: &State, account: &Account, call: &CarrierCallId) -> bool {
    if !account.offers_by_socket() || !state.store.is_shared() {
        return true;
    }
    // No client can send such a key: no header has a line break.
    let key = format!("offer\n{}\n{}", account.id, call.0);
    let (organisation, hash) =
        (OrganisationId(account.organisation), Sha256::digest(key.as_bytes()).into());
    match state.store.begin_request(organisation, &key, &hash).await {
        Ok(Earlier::Nothing { .. }) => true,
        Ok(Earlier::UnderWay | Earlier::Answer { .. } | Earlier::Another) => false,
        Err(error) => {
            tracing::warn!(%error, "whether another server takes a call is not known");
            true
        }
    }
}

/// Whether the log has a call of the carrier's: one that is offered again after its end, or to
/// another server. A log that cannot be asked keeps no call from being taken.
async fn known(state: &State, account: &Account, call: &CarrierCallId) -> bool {
    let configuration = ConfigurationId(account.id);
    match state.store.call_at_carrier(configuration, &call.0).await {
        Ok(known) => known.is_some(),
        Err(error) => {
            tracing::warn!(%error, "whether a call was offered before is not known");
            false
        }
    }
}

/// What an offered call's carrier hears.
fn offered(state: &State, account: &Account, heard: Option<Heard>, reply: HookReply) -> HookReply {
    let refusal = match heard {
        Some(Heard::Take { call, stream_url }) => match answer(state, account, call, stream_url) {
            Some(document) => return counted(state, account, HookOutcome::Taken, document),
            None => Refusal::Unavailable,
        },
        Some(Heard::Noted) => return counted(state, account, HookOutcome::Taken, reply),
        Some(Heard::Refuse(refusal)) => refusal,
        Some(Heard::Late) | None => Refusal::Unavailable,
    };
    let Some(inbound) = account.spec.inbound else { return failed(state, account) };
    let document = (inbound.refuse)(&account.config, refusal);
    let outcome = match refusal {
        Refusal::Unavailable => HookOutcome::Failed,
        _ => HookOutcome::Taken,
    };
    counted(state, account, outcome, document)
}

/// The document that sends a call's audio to us.
fn answer(state: &State, account: &Account, call: Uuid, stream_url: String) -> Option<HookReply> {
    let hooks = account.hooks(&state.base_url).of_call(&call.to_string());
    let answer = account.spec.inbound?.answer;
    let document = answer(&account.config, &Take { stream_url, hooks });
    if let Err(error) = &document {
        tracing::error!(%call, %error, "no answer can be made for the carrier");
    }
    document.ok()
}

/// Facts about a call that does not live here: they belong to its log if it was one of ours.
async fn late(
    state: &State,
    account: &Account,
    call: Option<Uuid>,
    events: &[CallEvent],
) -> Result<(), StoreError> {
    // A short call may be over here, and its carrier tell the rest, before any of it is written.
    if !matches!(timeout(WRITTEN_WITHIN, state.log.flush()).await, Ok(true)) {
        return Err(StoreError::Unavailable { reason: "the log is not written".into() });
    }
    let call = match (call, events.first()) {
        (Some(call), _) => Some(call),
        // A carrier with one address for all calls names them by its own id.
        (None, Some(event)) => {
            let configuration = ConfigurationId(account.id);
            state.store.call_at_carrier(configuration, &event.call.0).await?
        }
        (None, None) => None,
    };
    let Some(call) = call else { return Ok(()) };
    let known = match state.store.call(OrganisationId(account.organisation), call).await {
        Ok(known) => known,
        Err(StoreError::NotFound) => return Ok(()),
        Err(error) => return Err(error),
    };
    let began = known.summary.began.and_then(|began| began.configuration);
    if began != Some(account.id) {
        return Ok(());
    }
    // Whoever can tell of one call is not believed of another.
    let at_carrier = known.summary.carrier.as_ref().map(|carrier| carrier.call.as_str());
    let own = |event: &&CallEvent| at_carrier.is_none_or(|call| call == event.call.0);
    for event in events.iter().filter(own) {
        if let Some(fact) = from_carrier(call, event, Timestamp::now().0) {
            state.log.tell(fact);
        }
    }
    Ok(())
}

fn counted(state: &State, account: &Account, outcome: HookOutcome, reply: HookReply) -> HookReply {
    state.metrics.carriers.hooked(account.spec.name, outcome);
    reply
}

/// The carrier may try again.
fn failed(state: &State, account: &Account) -> HookReply {
    state.metrics.carriers.hooked(account.spec.name, HookOutcome::Failed);
    HookReply { status: StatusCode::SERVICE_UNAVAILABLE, ..HookReply::NO_CONTENT }
}
