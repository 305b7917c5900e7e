//! What is done at a configuration's carrier: credentials tried, the account set up, numbers
//! listed, taken over, pointed at this server.

use std::collections::HashMap;

use adapters::op::{Bind, CallOps, Number as Listed, OpResult};
use axum::extract::State;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::numbers::{imported, shown};
use super::object::Fields;
use super::{configurations, numbers};
use crate::carrier::{Account, Failure, Patience};
use crate::http::auth::Caller;
use crate::http::body::Json;
use crate::http::openapi::{Resource, get, post, schema};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::quota::Limits;
use crate::store::numbers::{Number, NumberFilter};
use crate::store::{Audit, ConfigurationId, NumberId, StoreError};

const PATH_TEST: &str = "/api/v1/organizations/telephony-configs/{id}/test";
const PATH_PROVISION: &str = "/api/v1/organizations/telephony-configs/{id}/provision";
const PATH_NUMBERS: &str = "/api/v1/organizations/telephony-configs/{id}/carrier-numbers";
const PATH_IMPORT: &str = "/api/v1/organizations/telephony-configs/{id}/phone-numbers/import";
const PATH_BIND: &str = "/api/v1/organizations/telephony-configs/{id}/phone-numbers/{number}/bind";
const PATH_UNBIND: &str =
    "/api/v1/organizations/telephony-configs/{id}/phone-numbers/{number}/unbind";
/// Most numbers of a configuration that are compared with those of its account.
const NUMBERS_MAX: u32 = 10_000;
/// Most numbers that one request takes over.
const IMPORTS_MAX: usize = 1_000;

pub(super) fn resource() -> Resource {
    let text = || schema::nullable(json!({"type": "string"}));
    let found = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let tried = schema::object(
        &[("ok", schema::flag()), ("code", text()), ("message", text()), ("found", found)],
        &[],
    );
    let listed = schema::object(
        &[
            ("address", schema::text(255)),
            ("label", text()),
            ("number_id", schema::nullable(schema::format("uuid"))),
            ("bound_to", text()),
            ("binding", schema::word(&BINDINGS)),
        ],
        &[],
    );
    let listed = schema::object(&[("numbers", schema::list(listed))], &[]);
    let wanted = schema::object(&[], &[("addresses", schema::list(schema::text(255)))]);
    let done = schema::object(
        &[
            ("imported", schema::list(schema::named("Number"))),
            ("skipped", schema::list(schema::text(255))),
        ],
        &[],
    );
    let refusals = &[Kind::Carrier, Kind::NotSupported];
    Resource {
        tag: "at the carrier",
        about: "What is done at the carrier of a configuration, with its credentials.",
        endpoints: vec![
            post(PATH_TEST, "test_configuration", test)
                .summary("Tries the credentials; changes nothing at the carrier.")
                .answers_json(
                    200,
                    "what the carrier says of them, and what it was found to run",
                    tried,
                )
                .refuses(&[Kind::NotSupported]),
            post(PATH_PROVISION, "provision_configuration", provision)
                .summary("Makes what the account lacks, and keeps what it is called there.")
                .answers_json(200, "the configuration", schema::named("Configuration"))
                .refuses(&[Kind::Carrier, Kind::NotSupported, Kind::Conflict, Kind::ReadOnly]),
            get(PATH_NUMBERS, "list_carrier_numbers", list)
                .summary("Lists the numbers of the account, and where their calls go now.")
                .answers_json(200, "the numbers", listed)
                .refuses(refusals),
            post(PATH_IMPORT, "import_numbers", import)
                .summary("Adds numbers of the account: those that are named, or all.")
                .json(wanted)
                .answers_json(200, "what was added, and what was there or is not", done)
                .refuses(&[Kind::Carrier, Kind::NotSupported, Kind::Invalid]),
            post(PATH_BIND, "bind_number", bind)
                .summary("Points a number at this server, at its carrier.")
                .answers(204, "its calls come here")
                .refuses(refusals),
            post(PATH_UNBIND, "unbind_number", unbind)
                .summary("Points a number away from this server, at its carrier.")
                .answers(204, "its calls come here no more")
                .refuses(refusals),
        ],
        schemas: Vec::new(),
    }
}

/// Where the calls of a number go: to this configuration, elsewhere, nowhere, or nobody tells.
const BINDINGS: [&str; 4] = ["here", "elsewhere", "nowhere", "unknown"];

/// The account of a configuration.
async fn account(
    state: &crate::http::State,
    caller: &Caller,
    id: ConfigurationId,
) -> Result<Account, Problem> {
    let stored = state.store.configuration(caller.organisation, id).await?;
    Account::of(&stored, Limits::default()).ok_or_else(cannot)
}

pub(super) fn cannot() -> Problem {
    Problem::new(Kind::NotSupported, "the configuration's carrier cannot do this over HTTP")
}

/// Why a carrier did not do it, as a problem.
pub(super) fn failed(failure: &Failure) -> Problem {
    Problem::new(Kind::Carrier, failure.to_string())
}

pub(super) async fn run<T>(
    state: &crate::http::State,
    account: &Account,
    what: &'static str,
    op: OpResult<T>,
) -> Result<T, Failure> {
    state.exchanges.run(account, what, op?, Patience::SHORT).await
}

/// `POST /api/v1/organizations/telephony-configs/{id}/test`
async fn test(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<ConfigurationId>,
) -> Result<axum::Json<Value>, Problem> {
    let account = account(&state, &caller, id).await?;
    let CallOps { test: Some(test), .. } = account.spec.calls else { return Err(cannot()) };
    let tried = run(&state, &account, "test", test(&account.config)).await;
    let probe = account.spec.events.map(|events| (events.probe)(&account.config));
    let found: Map<String, Value> = match probe.filter(|_| tried.is_ok()) {
        Some(probe) => {
            let probed = run(&state, &account, "probe", probe).await.unwrap_or_default();
            probed.told.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect()
        }
        None => Map::new(),
    };
    Ok(axum::Json(match tried {
        Ok(()) => json!({"ok": true, "code": null, "message": null, "found": found}),
        Err(Failure { error, .. }) => {
            let (code, message) = (error.as_str(), error.to_string());
            json!({"ok": false, "code": code, "message": message, "found": found})
        }
    }))
}

/// `POST /api/v1/organizations/telephony-configs/{id}/provision`
async fn provision(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<ConfigurationId>,
) -> Result<axum::Json<Value>, Problem> {
    let account = account(&state, &caller, id).await?;
    let CallOps { provision: Some(provision), .. } = account.spec.calls else {
        return Err(cannot());
    };
    let op = provision(&account.config, &account.hooks(&state.base_url));
    let values = run(&state, &account, "provision", op).await.map_err(|why| failed(&why))?;
    // Somebody may have changed it meanwhile: what they wrote stays.
    let mut fields = state.store.configuration(caller.organisation, id).await?.fields;
    account.spec.set_managed(&mut fields.config, &values).map_err(|errors| {
        tracing::error!(provider = account.spec.name, %errors, "what was provisioned is refused");
        Problem::new(Kind::Internal, "what the carrier made cannot be kept")
    })?;
    fields.account = configurations::account(account.spec, &fields.config);
    state.store.update_configuration(caller.organisation, id, &fields, &caller.actor()).await?;
    configurations::whole(&state, &caller, id).await
}

/// The numbers of the account, as its carrier lists them.
async fn listed(state: &crate::http::State, account: &Account) -> Result<Vec<Listed>, Problem> {
    let CallOps { numbers: Some(numbers), .. } = account.spec.calls else { return Err(cannot()) };
    let listed = run(state, account, "numbers", numbers(&account.config)).await;
    listed.map_err(|why| failed(&why))
}

/// The numbers of a configuration by their address.
async fn ours(
    state: &crate::http::State,
    caller: &Caller,
    id: ConfigurationId,
) -> Result<HashMap<String, Number>, Problem> {
    let filter = NumberFilter { configuration: Some(id), after: None };
    let found = state.store.numbers(caller.organisation, &filter, NUMBERS_MAX).await?;
    Ok(found.into_iter().map(|number| (number.address.normalised.clone(), number)).collect())
}

/// `GET /api/v1/organizations/telephony-configs/{id}/carrier-numbers`
async fn list(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<ConfigurationId>,
) -> Result<axum::Json<Value>, Problem> {
    let account = account(&state, &caller, id).await?;
    let ours = ours(&state, &caller, id).await?;
    let hook = account.spec.inbound.map(|inbound| inbound.hook);
    let here = hook.map(|hook| account.hooks(&state.base_url).url(hook));
    let listed = listed(&state, &account).await?;
    let numbers = listed.iter().map(|number| {
        let (binding, bound_to) = match number.bound_to.as_deref() {
            _ if number.ours => ("here", None),
            None => ("unknown", None),
            Some("") => ("nowhere", None),
            // The address itself would tell the token.
            Some(url) if Some(url) == here.as_deref() => ("here", None),
            Some(url) => ("elsewhere", Some(url)),
        };
        json!({
            "address": number.address.expose(),
            "label": number.label,
            "number_id": ours.get(number.address.expose()).map(|number| number.id),
            "bound_to": bound_to,
            "binding": binding,
        })
    });
    Ok(axum::Json(json!({ "numbers": numbers.collect::<Vec<_>>() })))
}

/// `POST /api/v1/organizations/telephony-configs/{id}/phone-numbers/import`
async fn import(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<ConfigurationId>,
    Json(given): Json<Map<String, Value>>,
) -> Result<axum::Json<Value>, Problem> {
    let mut given = Fields::new(given);
    let wanted = given.has("addresses").then(|| given.texts("addresses", 255, IMPORTS_MAX));
    given.finish()?;
    let account = account(&state, &caller, id).await?;
    let listed = listed(&state, &account).await?;
    let (mut added, mut skipped) = (Vec::new(), Vec::new());
    let known = |address: &String| listed.iter().any(|number| number.address.expose() == address);
    skipped.extend(wanted.iter().flatten().filter(|address| !known(address)).cloned());
    let chosen = listed.iter().filter(|number| {
        wanted.as_ref().is_none_or(|all| all.iter().any(|it| it == number.address.expose()))
    });
    for number in chosen.take(IMPORTS_MAX) {
        let (address, fields) = imported(number);
        let (organisation, actor) = (caller.organisation, caller.actor());
        match state.store.create_number(organisation, id, &address, &fields, &actor).await {
            Ok(made) => added.push(shown(&state.store.number(organisation, made).await?)),
            Err(StoreError::Conflict { .. }) => skipped.push(address.normalised),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(axum::Json(json!({ "imported": added, "skipped": skipped })))
}

/// `POST /api/v1/organizations/telephony-configs/{id}/phone-numbers/{number}/bind`
async fn bind(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(ids): Path<(ConfigurationId, NumberId)>,
) -> Result<StatusCode, Problem> {
    point(&state, &caller, ids, true).await
}

/// `POST /api/v1/organizations/telephony-configs/{id}/phone-numbers/{number}/unbind`
async fn unbind(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(ids): Path<(ConfigurationId, NumberId)>,
) -> Result<StatusCode, Problem> {
    point(&state, &caller, ids, false).await
}

async fn point(
    state: &crate::http::State,
    caller: &Caller,
    ids: (ConfigurationId, NumberId),
    here: bool,
) -> Result<StatusCode, Problem> {
    let number = numbers::find(&state.store, caller, ids).await?;
    let account = account(state, caller, ids.0).await?;
    let CallOps { bind: Some(bind), .. } = account.spec.calls else { return Err(cannot()) };
    let address = adapters::address::Address::parse(&number.address.normalised, None);
    let address = address.map_err(|error| Problem::invalid("address", error.to_string()))?;
    let hooks = here.then(|| account.hooks(&state.base_url));
    let op = bind(&account.config, &Bind { address, hooks });
    run(state, &account, "bind", op).await.map_err(|why| failed(&why))?;
    // It changed nothing here, and yet where calls go.
    let action = if here { "bind" } else { "unbind" };
    let audit = Audit::new(caller.organisation, &caller.actor(), action, "number", ids.1);
    state.store.audit(&audit).await?;
    Ok(StatusCode::NO_CONTENT)
}
