//! Configurations of providers over HTTP.

use adapters::config::{ConfigErrors, RawConfig};
use adapters::hook::HookUrls;
use adapters::setup::{SetupState, SetupStep};
use adapters::spec::ProviderSpec;
use adapters::table;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Map, Value, json};

use super::configuration_schema::{detail_fields, item_fields, write_schema};
use super::object::{self, Fields};
use super::{caller_id, providers, reach, server, trunks};
use crate::carrier::Account;
use crate::http::auth::Caller;
use crate::http::body::Json;
use crate::http::openapi::{Resource, delete, get, post, put, schema};
use crate::http::path::Path;
use crate::http::problem::{FieldError, Kind, Problem};
use crate::keys::Scope;
use crate::outward::Outward;
use crate::quota::Limits;
use crate::store::configurations::{Configuration, ConfigurationFields};
use crate::store::numbers::NumberCounts;
use crate::store::{ConfigurationId, OrganisationId, Store};

/// Longest reason why one is parked.
const REASON_CHARS_MAX: usize = 200;
/// Where they are.
const PATH: &str = "/api/v1/organizations/telephony-configs";
const PATH_ONE: &str = "/api/v1/organizations/telephony-configs/{id}";
const PATH_DEFAULT: &str = "/api/v1/organizations/telephony-configs/{id}/set-default-outbound";
const PATH_PARK: &str = "/api/v1/organizations/telephony-configs/{id}/park";
const PATH_REACTIVATE: &str = "/api/v1/organizations/telephony-configs/{id}/reactivate";

pub(super) fn resource() -> Resource {
    let one = || schema::named("Configuration");
    let listed = schema::list(schema::named("ConfigurationItem"));
    let mut schemas = vec![
        ("ConfigurationItem", schema::object(&item_fields(), &[])),
        ("Configuration", schema::object(&detail_fields(), &[])),
        ("NewConfiguration", write_schema(true)),
        ("ChangedConfiguration", write_schema(false)),
    ];
    schemas.extend(table::PROVIDERS.iter().map(|spec| (spec.name, providers::config_schema(spec))));
    Resource {
        tag: "configurations",
        about: "Credentials and settings of a provider, as many of each as one likes.",
        endpoints: vec![
            get(PATH, "list_configurations", list)
                .summary("Lists the configurations in the order they were made.")
                .scope(Scope::Read)
                .answers_json(
                    200,
                    "the configurations",
                    schema::object(&[("configurations", listed)], &[]),
                ),
            post(PATH, "create_configuration", create)
                .summary("Makes a configuration.")
                .retryable()
                .json(schema::named("NewConfiguration"))
                .answers_json(201, "the configuration", one())
                .refuses(&[Kind::Conflict, Kind::Invalid]),
            get(PATH_ONE, "show_configuration", show)
                .summary("Shows a configuration; of its secrets masks.")
                .scope(Scope::Read)
                .answers_json(200, "the configuration", one()),
            put(PATH_ONE, "change_configuration", change)
                .summary(
                    "Changes name, default, limits, `caller_id`, or the whole `config`, in which a secret that \
                     equals its mask stays.",
                )
                .json(schema::named("ChangedConfiguration"))
                .answers_json(200, "the configuration", one())
                .refuses(&[Kind::Conflict, Kind::Invalid, Kind::ReadOnly]),
            delete(PATH_ONE, "delete_configuration", remove)
                .summary("Deletes a configuration with its numbers.")
                .answers(204, "there is no such configuration any more")
                .refuses(&[Kind::Conflict, Kind::ReadOnly]),
            post(PATH_DEFAULT, "set_default_outbound", set_default)
                .summary("Makes it the one that calls are placed with if none is named.")
                .retryable()
                .answers_json(200, "the configuration", one()),
            post(PATH_PARK, "park_configuration", park)
                .summary("Takes a configuration out of service: no calls by it, in or out.")
                .retryable()
                .json(schema::object(&[("reason", schema::text(REASON_CHARS_MAX))], &[]))
                .answers_json(200, "the configuration", one())
                .refuses(&[Kind::Invalid]),
            post(PATH_REACTIVATE, "reactivate_configuration", reactivate)
                .summary("Takes a parked configuration into service again.")
                .retryable()
                .answers_json(200, "the configuration", one()),
        ],
        schemas,
    }
}

/// The provider of a configuration; it was in the table when it was stored.
pub(super) fn spec_of(provider: &str) -> Result<&'static ProviderSpec, Problem> {
    let unknown = || Problem::new(Kind::Internal, "the provider is not known to this version");
    table::find(provider).ok_or_else(unknown)
}

/// What is counted of a configuration: its numbers, and its trunks in service.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    numbers: NumberCounts,
    trunks: i64,
}

/// The steps that setting a configuration up takes.
fn steps(spec: &ProviderSpec, config: &RawConfig, counts: &Counts) -> Vec<SetupStep> {
    let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    let state = SetupState {
        numbers: count(counts.numbers.active),
        routed_numbers: count(counts.numbers.routed),
        trunks: count(counts.trunks),
    };
    (spec.checklist)(config, &state)
}

/// A configuration as it is listed.
fn item(configuration: &Configuration, counts: &Counts) -> Result<Map<String, Value>, Problem> {
    let Configuration { id, fields, inactive, stamp, .. } = configuration;
    let spec = spec_of(&fields.provider)?;
    let steps = steps(spec, &fields.config, counts);
    let blocked = steps.iter().find(|step| step.blocks_outbound && !step.done);
    let shown = json!({
        "id": id,
        "name": fields.name,
        "provider": fields.provider,
        "connectivity": spec.ui.connectivity.as_str(),
        "is_default_outbound": fields.is_default_outbound,
        "inactive": inactive.is_some(),
        "inactive_since": inactive.as_ref().map(|(since, _)| since),
        "inactive_reason": inactive.as_ref().map(|(_, reason)| reason),
        "phone_number_count": counts.numbers.active,
        "is_ready_for_outbound": blocked.is_none() && inactive.is_none(),
        "outbound_blocked_reason": blocked.map(|step| step.help),
    });
    let Value::Object(mut shown) = shown else { return Ok(Map::new()) };
    shown.insert(caller_id::FIELD.to_owned(), json!(fields.rotation()));
    object::limits_shown(&mut shown, &fields.limits);
    object::stamped(&mut shown, stamp);
    Ok(shown)
}

/// A configuration as it is shown by itself.
fn detail(
    configuration: &Configuration,
    counts: &Counts,
    (base, may): (&str, bool),
) -> Result<Map<String, Value>, Problem> {
    let mut shown = item(configuration, counts)?;
    let fields = &configuration.fields;
    let spec = spec_of(&fields.provider)?;
    let mut credentials = spec.masked(&fields.config);
    if let Some(credentials) = credentials.as_object_mut() {
        credentials.insert("provider".to_owned(), json!(fields.provider));
    }
    let steps: Vec<Value> = steps(spec, &fields.config, counts)
        .iter()
        .map(|step| {
            json!({
                "key": step.key, "title": step.title, "description": step.help,
                "complete": step.done, "blocks_outbound": step.blocks_outbound,
            })
        })
        .collect();
    shown.insert("credentials".to_owned(), credentials);
    shown.insert("setup_checklist".to_owned(), json!(steps));
    // Whoever has the address with the token can speak for the carrier.
    let token = if may { configuration.token.expose() } else { "TOKEN" };
    let hooks = HookUrls::new(base, spec.name, token);
    let pieces = spec.events.map(|events| (events.pieces)(&fields.config, &hooks));
    shown.insert("setup_files".to_owned(), json!(pieces.unwrap_or_default()));
    shown.insert("supports_trunks".to_owned(), json!(spec.trunk_fields().is_some()));
    Ok(shown)
}

/// Reads the configuration that the provider wants, over what is `stored`.
fn read_config(
    given: &mut Fields,
    stored: Option<&ConfigurationFields>,
    outward: &Outward,
) -> Option<(&'static ProviderSpec, RawConfig)> {
    let mut config = given.object("config");
    let Some(provider) = config.remove("provider") else {
        given.wrong("config.provider", "missing");
        return None;
    };
    let Some(spec) = provider.as_str().and_then(table::find) else {
        let known = providers::names().join(", ");
        given.wrong("config.provider", format!("none of {known}"));
        return None;
    };
    if stored.is_some_and(|stored| stored.provider != spec.name) {
        given.never("config.provider", "the provider of a configuration does not change");
        return None;
    }
    match spec.read(&Value::Object(config), stored.map(|stored| &stored.config)) {
        Ok(config) => {
            let fault = reach::peer(spec, &config, false, outward);
            fault.into_iter().for_each(|(field, why)| {
                given.wrong(&format!("config.{field}"), why);
            });
            Some((spec, config))
        }
        Err(errors) => {
            for FieldError { field, problem } in field_errors(&errors) {
                given.wrong(&field, problem);
            }
            None
        }
    }
}

fn field_errors(errors: &ConfigErrors) -> Vec<FieldError> {
    let named = |field: &str| match field {
        "" => "config".to_owned(),
        field => format!("config.{field}"),
    };
    let error = |error: &adapters::config::ConfigError| FieldError {
        field: named(&error.field),
        problem: error.problem.to_string(),
    };
    errors.iter().map(error).collect()
}

/// The account of a configuration, by which webhooks find it.
pub(super) fn account(spec: &ProviderSpec, config: &RawConfig) -> Option<String> {
    config.text(spec.account_field?).map(str::to_owned)
}

async fn counts(
    store: &Store,
    organisation: OrganisationId,
    id: ConfigurationId,
) -> Result<Counts, Problem> {
    let numbers = store.number_counts(organisation).await?;
    let numbers = numbers.into_iter().find(|(of, _)| *of == id);
    let trunks = store.trunk_counts(organisation).await?;
    let trunks = trunks.into_iter().find(|(of, _)| *of == id);
    Ok(Counts {
        numbers: numbers.map(|(_, counts)| counts).unwrap_or_default(),
        trunks: trunks.map(|(_, count)| count).unwrap_or_default(),
    })
}

pub(super) async fn whole(
    state: &crate::http::State,
    caller: &Caller,
    id: ConfigurationId,
) -> Result<axum::Json<Value>, Problem> {
    let configuration = state.store.configuration(caller.organisation, id).await?;
    let counts = counts(&state.store, caller.organisation, id).await?;
    // Whoever has the address can speak for the carrier.
    let may = caller.require(Scope::Admin).is_ok();
    let mut shown = detail(&configuration, &counts, (&state.base_url, may))?;
    shown.insert("trunks".to_owned(), json!(trunks::all(state, &configuration).await?));
    let is_sip = spec_of(&configuration.fields.provider)?.sip.is_some();
    let edge = is_sip.then(|| server::edge(state));
    shown.insert("sip_connectivity".to_owned(), json!(edge));
    let standings = trunks::standings(state, vec![id.0]).await;
    let status = standings.first().map(trunks::standing);
    shown.insert("status".to_owned(), json!(status));
    let account = Account::of(&configuration, Limits::default()).filter(|_| may);
    let inbound = account.and_then(|account| account.inbound_url(&state.base_url));
    shown.insert("inbound_url".to_owned(), json!(inbound));
    Ok(axum::Json(Value::Object(shown)))
}

/// `GET /api/v1/organizations/telephony-configs`
async fn list(
    State(state): State<crate::http::State>,
    caller: Caller,
) -> Result<axum::Json<Value>, Problem> {
    let all = state.store.configurations(caller.organisation).await?;
    let numbers = state.store.number_counts(caller.organisation).await?;
    let trunks = state.store.trunk_counts(caller.organisation).await?;
    let counts = |id| {
        let of = numbers.iter().find(|(of, _)| *of == id);
        let trunks = trunks.iter().find(|(of, _)| *of == id);
        Counts {
            numbers: of.map(|(_, counts)| *counts).unwrap_or_default(),
            trunks: trunks.map(|(_, count)| *count).unwrap_or_default(),
        }
    };
    let items: Result<Vec<Map<String, Value>>, Problem> =
        all.iter().map(|one| item(one, &counts(one.id))).collect();
    Ok(axum::Json(json!({ "configurations": items? })))
}

/// `POST /api/v1/organizations/telephony-configs`
async fn create(
    State(state): State<crate::http::State>,
    caller: Caller,
    Json(given): Json<Map<String, Value>>,
) -> Result<Response, Problem> {
    let mut given = Fields::new(given);
    let name = given.name();
    let is_default_outbound = given.flag("is_default_outbound").unwrap_or(false);
    let limits = given.limits();
    let rotation = caller_id::read(&mut given);
    let outward = state.outward.of(caller.organisation.0);
    let read = read_config(&mut given, None, &outward);
    given.finish()?;
    let Some((spec, config)) = read else { return Err(Problem::invalid("config", "missing")) };
    let mut fields = ConfigurationFields {
        name,
        provider: spec.name.to_owned(),
        account: account(spec, &config),
        config,
        settings: json!({}),
        is_default_outbound,
        limits,
    };
    fields.set_rotation(rotation);
    let organisation = caller.organisation;
    let id = state.store.create_configuration(organisation, &fields, &caller.actor()).await?;
    let location = [(header::LOCATION, format!("{PATH}/{id}"))];
    let shown = whole(&state, &caller, id).await?;
    Ok((StatusCode::CREATED, location, shown).into_response())
}

/// `GET /api/v1/organizations/telephony-configs/{id}`
async fn show(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<ConfigurationId>,
) -> Result<axum::Json<Value>, Problem> {
    whole(&state, &caller, id).await
}

/// `PUT /api/v1/organizations/telephony-configs/{id}`
async fn change(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<ConfigurationId>,
    Json(given): Json<Map<String, Value>>,
) -> Result<axum::Json<Value>, Problem> {
    let stored = state.store.configuration(caller.organisation, id).await?.fields;
    let outward = state.outward.of(caller.organisation.0);
    let mut given = Fields::new(given);
    let mut fields = stored.clone();
    if given.has("name") {
        fields.name = given.name();
    }
    given.change_limits(&mut fields.limits);
    if given.has(caller_id::FIELD) {
        fields.set_rotation(caller_id::read(&mut given));
    }
    if let Some(is_default) = given.flag("is_default_outbound") {
        fields.is_default_outbound = is_default;
    }
    if given.has("config")
        && let Some((_, config)) = read_config(&mut given, Some(&stored), &outward)
    {
        fields.config = config;
    }
    given.finish()?;
    fields.account = account(spec_of(&fields.provider)?, &fields.config);
    state.store.update_configuration(caller.organisation, id, &fields, &caller.actor()).await?;
    whole(&state, &caller, id).await
}

/// `DELETE /api/v1/organizations/telephony-configs/{id}`
async fn remove(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<ConfigurationId>,
) -> Result<StatusCode, Problem> {
    state.store.delete_configuration(caller.organisation, id, &caller.actor()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/organizations/telephony-configs/{id}/set-default-outbound`
async fn set_default(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<ConfigurationId>,
) -> Result<axum::Json<Value>, Problem> {
    state.store.set_default_outbound(caller.organisation, id, &caller.actor()).await?;
    whole(&state, &caller, id).await
}

/// `POST /api/v1/organizations/telephony-configs/{id}/park`
async fn park(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<ConfigurationId>,
    Json(given): Json<Map<String, Value>>,
) -> Result<axum::Json<Value>, Problem> {
    let mut given = Fields::new(given);
    let reason = given.text("reason", REASON_CHARS_MAX).filter(|reason| !reason.trim().is_empty());
    if reason.is_none() {
        given.wrong("reason", "missing");
    }
    given.finish()?;
    let (organisation, reason) = (caller.organisation, reason.as_deref());
    state.store.set_inactive(organisation, id, reason, &caller.actor()).await?;
    whole(&state, &caller, id).await
}

/// `POST /api/v1/organizations/telephony-configs/{id}/reactivate`
async fn reactivate(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<ConfigurationId>,
) -> Result<axum::Json<Value>, Problem> {
    state.store.set_inactive(caller.organisation, id, None, &caller.actor()).await?;
    whole(&state, &caller, id).await
}
