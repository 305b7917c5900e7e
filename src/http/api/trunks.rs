//! Trunks within a configuration over HTTP.

use adapters::config::{ConfigErrors, RawConfig};
use adapters::op::{TrunkOps, TrunkState};
use adapters::spec::ProviderSpec;
use adapters::{table, ui};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Map, Value, json};

use super::object::{self, Fields};
use super::{at_carrier, configurations, reach};
use crate::calls::request::Request;
use crate::calls::standing::{Registered, TrunkStanding};
use crate::carrier::Account;
use crate::config::SecretSettings;
use crate::http::auth::Caller;
use crate::http::body::Json;
use crate::http::openapi::{Resource, delete, get, post, put, schema};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::keys::Scope;
use crate::outward::Outward;
use crate::quota::Limits;
use crate::sip::core::endpoint::Transport;
use crate::store::configurations::Configuration;
use crate::store::trunks::{Trunk, TrunkFields};
use crate::store::{ConfigurationId, TrunkId};

const PATH: &str = "/api/v1/organizations/telephony-configs/{id}/trunks";
const PATH_ONE: &str = "/api/v1/organizations/telephony-configs/{id}/trunks/{trunk}";

pub(super) fn resource() -> Resource {
    let one = || schema::named("Trunk");
    let listed = schema::object(&[("trunks", schema::list(one()))], &[]);
    Resource {
        tag: "trunks",
        about: "Ways to and from the telephone network within a configuration: of a SIP peer \
                further peers, each with the fields of the configuration; of a carrier its own \
                trunks. Numbers are pinned to them.",
        endpoints: vec![
            get(PATH, "list_trunks", list)
                .summary("Lists the trunks of a configuration in the order they were made.")
                .scope(Scope::Read)
                .answers_json(200, "the trunks", listed),
            post(PATH, "create_trunk", create)
                .summary("Makes a trunk, at the carrier first if it has trunks of its own.")
                .retryable()
                .json(write_schema(true))
                .answers_json(201, "the trunk", one())
                .refuses(&[Kind::Carrier, Kind::Conflict, Kind::Invalid]),
            get(PATH_ONE, "show_trunk", show)
                .summary("Shows a trunk, of its secrets masks, and how it stands.")
                .scope(Scope::Read)
                .answers_json(200, "the trunk", one()),
            put(PATH_ONE, "change_trunk", change)
                .summary(
                    "Changes name, service, limits, or the whole `settings`, in which a secret \
                     that equals its mask stays.",
                )
                .json(write_schema(false))
                .answers_json(200, "the trunk", one())
                .refuses(&[Kind::Carrier, Kind::Conflict, Kind::Invalid, Kind::ReadOnly]),
            delete(PATH_ONE, "delete_trunk", remove)
                .summary("Deletes a trunk that no number is pinned to and no route names.")
                .answers(204, "there is no such trunk any more")
                .refuses(&[Kind::Carrier, Kind::Conflict, Kind::ReadOnly]),
        ],
        schemas: vec![("Trunk", shown_schema()), ("TrunkStatus", standing_schema())],
    }
}

fn shown_schema() -> Value {
    let mut fields = vec![
        ("id", schema::format("uuid")),
        ("telephony_configuration_id", schema::format("uuid")),
        ("name", schema::text(64)),
        ("enabled", schema::flag()),
        ("settings", schema::described(schema::any_object(), "secrets are masks")),
        ("phone_number_count", schema::described(schema::count(), "active ones pinned to it")),
        ("status", schema::nullable(schema::named("TrunkStatus"))),
    ];
    fields.extend(object::limits_schema());
    fields.extend(object::stamp_schema());
    schema::object(&fields, &[])
}

/// How a SIP peer stands.
fn standing_schema() -> Value {
    let registration = schema::object(
        &[
            ("state", schema::word(&Registered::WORDS)),
            (
                "failed_with",
                schema::described(
                    schema::nullable(schema::integer(300, 699)),
                    "the SIP status of the last REGISTER that failed",
                ),
            ),
        ],
        &[],
    );
    let transports: Vec<_> = Transport::ALL.iter().map(|it| it.uri_parameter()).collect();
    let mut transports = transports;
    transports.dedup();
    let server = schema::object(
        &[
            ("transport", schema::word(&transports)),
            ("address", json!({"type": "string"})),
            ("up", schema::flag()),
        ],
        &[],
    );
    schema::object(
        &[
            (
                "registration",
                schema::described(schema::nullable(registration), "null if it asks for none"),
            ),
            (
                "up",
                schema::described(
                    schema::nullable(schema::flag()),
                    "whether a server answers OPTIONS; null if none is asked",
                ),
            ),
            ("servers", schema::list(server)),
        ],
        &[],
    )
}

fn write_schema(new: bool) -> Value {
    let settings = table::PROVIDERS.iter().filter_map(|spec| spec.trunk_fields());
    let settings = json!({"anyOf": settings.map(ui::schema).collect::<Vec<_>>()});
    let fields = [("name", schema::text(64)), ("settings", settings)];
    let mut optional = vec![(
        "enabled",
        schema::described(schema::nullable(schema::flag()), "false takes it out of service"),
    )];
    optional.extend(object::limits_schema());
    if new {
        return schema::object(&fields, &optional);
    }
    optional.extend(fields);
    schema::object(&[], &optional)
}

/// How a SIP peer stands, as it is shown.
pub(super) fn standing(standing: &TrunkStanding) -> Value {
    let registration = standing.registration.map(|registration| {
        json!({"state": registration.state.as_str(), "failed_with": registration.failed_with})
    });
    let servers = standing.servers.iter().map(|server| {
        let transport = server.transport.uri_parameter();
        json!({"transport": transport, "address": server.address, "up": server.up})
    });
    json!({
        "registration": registration,
        "up": standing.up,
        "servers": servers.collect::<Vec<_>>(),
    })
}

/// How these trunks stand; those that are not in service are not told of.
pub(super) async fn standings(
    state: &crate::http::State,
    trunks: Vec<uuid::Uuid>,
) -> Vec<TrunkStanding> {
    let told = state.calls.ask(|reply| Request::Trunks { trunks, reply }).await;
    // Without a control no trunk is in service.
    told.unwrap_or_default()
}

/// What is set of a trunk, as its provider reads it.
fn raw(fields: &TrunkFields) -> RawConfig {
    RawConfig::from_stored(fields.settings.expose().clone()).unwrap_or_default()
}

fn shown(
    spec: &ProviderSpec,
    trunk: &Trunk,
    numbers: &[(TrunkId, i64)],
    standings: &[TrunkStanding],
) -> Value {
    let Trunk { id, fields, stamp } = trunk;
    let settings = raw(fields);
    let pinned = numbers.iter().find(|(of, _)| of == id).map_or(0, |(_, count)| *count);
    let status = standings.iter().find(|standing| standing.id == id.0).map(standing);
    let shown = json!({
        "id": id,
        "telephony_configuration_id": fields.configuration,
        "name": fields.name,
        "enabled": fields.enabled,
        "settings": spec.masked_trunk(&settings),
        "phone_number_count": pinned,
        "status": status,
    });
    let Value::Object(mut shown) = shown else { return Value::Null };
    object::limits_shown(&mut shown, &fields.limits);
    object::stamped(&mut shown, stamp);
    Value::Object(shown)
}

/// The trunks of a configuration as they are shown.
pub(super) async fn all(
    state: &crate::http::State,
    configuration: &Configuration,
) -> Result<Vec<Value>, Problem> {
    let spec = configurations::spec_of(&configuration.fields.provider)?;
    if spec.trunk_fields().is_none() {
        return Ok(Vec::new());
    }
    let organisation = configuration.stamp.organisation;
    let trunks = state.store.trunks(organisation, Some(configuration.id)).await?;
    let numbers = state.store.pinned_numbers(organisation).await?;
    let standings = standings(state, trunks.iter().map(|trunk| trunk.id.0).collect()).await;
    Ok(trunks.iter().map(|trunk| shown(spec, trunk, &numbers, &standings)).collect())
}

/// One trunk as it is shown.
async fn one(
    state: &crate::http::State,
    caller: &Caller,
    spec: &ProviderSpec,
    id: TrunkId,
) -> Result<axum::Json<Value>, Problem> {
    let trunk = state.store.trunk(caller.organisation, id).await?;
    let numbers = state.store.pinned_numbers(caller.organisation).await?;
    let standings = standings(state, vec![id.0]).await;
    Ok(axum::Json(shown(spec, &trunk, &numbers, &standings)))
}

/// A configuration whose provider has trunks.
async fn configuration(
    state: &crate::http::State,
    caller: &Caller,
    id: ConfigurationId,
) -> Result<(Configuration, &'static ProviderSpec), Problem> {
    let found = state.store.configuration(caller.organisation, id).await?;
    let spec = configurations::spec_of(&found.fields.provider)?;
    if spec.trunk_fields().is_none() {
        let why = "configurations of this provider have no trunks";
        return Err(Problem::new(Kind::BadRequest, why));
    }
    Ok((found, spec))
}

/// The trunk of that id, if it belongs to the configuration of that id.
async fn find(
    state: &crate::http::State,
    caller: &Caller,
    (configuration, id): (ConfigurationId, TrunkId),
) -> Result<Trunk, Problem> {
    let trunk = state.store.trunk(caller.organisation, id).await?;
    match trunk.fields.configuration == Some(configuration) {
        true => Ok(trunk),
        false => Err(Problem::not_found("the configuration has no such trunk")),
    }
}

/// Reads what of a trunk is named, over what it was.
fn read(
    mut given: Fields,
    spec: &ProviderSpec,
    mut fields: TrunkFields,
    is_new: bool,
    outward: &Outward,
) -> Result<TrunkFields, Problem> {
    if is_new || given.has("name") {
        fields.name = given.name();
    }
    if let Some(enabled) = given.flag("enabled") {
        fields.enabled = enabled;
    }
    given.change_limits(&mut fields.limits);
    if is_new || given.has("settings") {
        let settings = Value::Object(given.object("settings"));
        let stored = (!is_new).then(|| raw(&fields));
        match spec.read_trunk(&settings, stored.as_ref()) {
            None => given.wrong("settings", "the provider has no trunks"),
            Some(Ok(settings)) => {
                let fault = reach::peer(spec, &settings, true, outward);
                fault.into_iter().for_each(|(field, why)| {
                    given.wrong(&format!("settings.{field}"), why);
                });
                fields.settings = SecretSettings::new(Value::Object(settings.expose().clone()));
            }
            Some(Err(errors)) => wrong(&mut given, &errors),
        }
    }
    given.finish()?;
    Ok(fields)
}

fn wrong(given: &mut Fields, errors: &ConfigErrors) {
    for error in errors.iter() {
        let field = match error.field.as_str() {
            "" => "settings".to_owned(),
            field => format!("settings.{field}"),
        };
        given.wrong(&field, error.problem.to_string());
    }
}

/// What only the carrier of a configuration knows of its trunks, done once the store has said that
/// it would take it, and before it does: a trunk that either refuses leaves nothing at the other.
struct AtCarrier<'s> {
    state: &'s crate::http::State,
    account: Account,
    ops: &'static TrunkOps,
}

impl<'s> AtCarrier<'s> {
    /// None if there is nothing to be done at a carrier.
    fn of(
        state: &'s crate::http::State,
        configuration: &Configuration,
        spec: &'static ProviderSpec,
    ) -> Result<Option<Self>, Problem> {
        let Some(ops) = &spec.trunks else { return Ok(None) };
        let account = Account::of(configuration, Limits::default());
        let account = account.ok_or_else(at_carrier::cannot)?;
        Ok(Some(Self { state, account, ops }))
    }

    /// Makes or changes a trunk as `fields` say; what the carrier calls it.
    async fn apply(&self, fields: &TrunkFields) -> Result<String, Problem> {
        let wanted = TrunkState {
            name: fields.name.clone(),
            enabled: fields.enabled,
            settings: raw(fields),
            external_id: fields.external_id.clone(),
        };
        let op = (self.ops.apply)(&self.account.config, &wanted);
        let made = at_carrier::run(self.state, &self.account, "trunk", op).await;
        made.map_err(|why| at_carrier::failed(&why))
    }

    /// Removes a trunk; nothing is done if the carrier knows of none.
    async fn remove(&self, fields: &TrunkFields) -> Result<(), Problem> {
        let Some(external) = &fields.external_id else { return Ok(()) };
        let op = (self.ops.remove)(&self.account.config, external);
        let gone = at_carrier::run(self.state, &self.account, "trunk", op).await;
        gone.map_err(|why| at_carrier::failed(&why))
    }
}

/// What is undone at the carrier as the store refuses after all: somebody changed something at the
/// same moment, or the database was lost. If that fails too, the log tells what is left there.
fn undone(trunk: &TrunkFields, what: &'static str, result: Result<(), Problem>) {
    if let Err(problem) = result {
        let (external, why) = (trunk.external_id.as_deref().unwrap_or_default(), problem.detail());
        tracing::error!(what, external, why, "a trunk at a carrier is not as it is stored");
    }
}

/// `GET /api/v1/organizations/telephony-configs/{id}/trunks`
async fn list(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<ConfigurationId>,
) -> Result<axum::Json<Value>, Problem> {
    let configuration = state.store.configuration(caller.organisation, id).await?;
    let trunks = all(&state, &configuration).await?;
    Ok(axum::Json(json!({ "trunks": trunks })))
}

/// `POST /api/v1/organizations/telephony-configs/{id}/trunks`
async fn create(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<ConfigurationId>,
    Json(given): Json<Map<String, Value>>,
) -> Result<Response, Problem> {
    let (of, spec) = configuration(&state, &caller, id).await?;
    let new = TrunkFields {
        configuration: Some(id),
        name: String::new(),
        enabled: true,
        settings: SecretSettings::default(),
        password: None,
        external_id: None,
        limits: Default::default(),
    };
    let outward = state.outward.of(caller.organisation.0);
    let mut fields = read(Fields::new(given), spec, new, true, &outward)?;
    let carrier = AtCarrier::of(&state, &of, spec)?;
    if let Some(carrier) = &carrier {
        state.store.try_create_trunk(caller.organisation, &fields).await?;
        fields.external_id = Some(carrier.apply(&fields).await?);
    }
    let made = match state.store.create_trunk(caller.organisation, &fields, &caller.actor()).await {
        Ok(made) => made,
        Err(error) => {
            if let Some(carrier) = &carrier {
                undone(&fields, "make", carrier.remove(&fields).await);
            }
            return Err(error.into());
        }
    };
    let path = PATH.replace("{id}", &id.to_string());
    let location = [(header::LOCATION, format!("{path}/{made}"))];
    let shown = one(&state, &caller, spec, made).await?;
    Ok((StatusCode::CREATED, location, shown).into_response())
}

/// `GET /api/v1/organizations/telephony-configs/{id}/trunks/{trunk}`
async fn show(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(ids): Path<(ConfigurationId, TrunkId)>,
) -> Result<axum::Json<Value>, Problem> {
    find(&state, &caller, ids).await?;
    let (_, spec) = configuration(&state, &caller, ids.0).await?;
    one(&state, &caller, spec, ids.1).await
}

/// `PUT /api/v1/organizations/telephony-configs/{id}/trunks/{trunk}`
async fn change(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(ids): Path<(ConfigurationId, TrunkId)>,
    Json(given): Json<Map<String, Value>>,
) -> Result<axum::Json<Value>, Problem> {
    let stored = find(&state, &caller, ids).await?;
    let (of, spec) = configuration(&state, &caller, ids.0).await?;
    let outward = state.outward.of(caller.organisation.0);
    let before = stored.fields.clone();
    let mut fields = read(Fields::new(given), spec, stored.fields, false, &outward)?;
    let organisation = caller.organisation;
    let carrier = AtCarrier::of(&state, &of, spec)?;
    if let Some(carrier) = &carrier {
        state.store.try_update_trunk(organisation, ids.1, &fields).await?;
        fields.external_id = Some(carrier.apply(&fields).await?);
    }
    let changed = state.store.update_trunk(organisation, ids.1, &fields, &caller.actor()).await;
    if let Err(error) = changed {
        if let Some(carrier) = &carrier {
            let before = TrunkFields { external_id: fields.external_id.clone(), ..before };
            undone(&fields, "change", carrier.apply(&before).await.map(drop));
        }
        return Err(error.into());
    }
    one(&state, &caller, spec, ids.1).await
}

/// `DELETE /api/v1/organizations/telephony-configs/{id}/trunks/{trunk}`
async fn remove(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(ids): Path<(ConfigurationId, TrunkId)>,
) -> Result<StatusCode, Problem> {
    let stored = find(&state, &caller, ids).await?;
    let (of, spec) = configuration(&state, &caller, ids.0).await?;
    let pinned = state.store.pinned_numbers(caller.organisation).await?;
    if let Some((_, count)) = pinned.iter().find(|(trunk, _)| *trunk == ids.1) {
        let numbers = if *count == 1 { "number is" } else { "numbers are" };
        return Err(Problem::conflict(format!("{count} {numbers} pinned to the trunk")));
    }
    let (organisation, actor) = (caller.organisation, caller.actor());
    let Some(carrier) = AtCarrier::of(&state, &of, spec)? else {
        state.store.delete_trunk(organisation, ids.1, &actor).await?;
        return Ok(StatusCode::NO_CONTENT);
    };
    state.store.try_delete_trunk(organisation, ids.1).await?;
    carrier.remove(&stored.fields).await?;
    if let Err(error) = state.store.delete_trunk(organisation, ids.1, &actor).await {
        // It is made again there as soon as it is changed.
        let gone = TrunkFields { external_id: None, ..stored.fields };
        let kept = state.store.update_trunk(organisation, ids.1, &gone, &actor).await;
        undone(&gone, "remove", kept.map_err(Problem::from));
        return Err(error.into());
    }
    Ok(StatusCode::NO_CONTENT)
}
