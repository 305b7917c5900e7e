//! Telephone numbers of configurations over HTTP.

use adapters::address::{Address as Parsed, AddressError, AddressKind};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Map, Value, json};

use super::number_sync::{self, Way};
use super::object::{self, Fields};
use crate::http::auth::Caller;
use crate::http::body::Json;
use crate::http::openapi::{Resource, delete, get, post, put, schema};
use crate::http::page::{self, Page, Wanted};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::keys::Scope;
use crate::store::numbers::{Address, AddressType, Number, NumberFields, NumberFilter};
use crate::store::{AgentId, ConfigurationId, NumberId, Store, StoreError, TrunkId};

const PATH: &str = "/api/v1/organizations/telephony-configs/{id}/phone-numbers";
const PATH_ONE: &str = "/api/v1/organizations/telephony-configs/{id}/phone-numbers/{number}";
const PATH_DEFAULT: &str =
    "/api/v1/organizations/telephony-configs/{id}/phone-numbers/{number}/set-default-caller";
/// What the store names otherwise than requests do.
const OWN_NAMES: &[(&str, &str)] =
    &[("agent", "inbound_agent_id"), ("trunk", "telephony_trunk_id")];
/// Flags of a change that take away what a null takes away, for clients that send no nulls.
const CLEARED: [&str; 2] = ["clear_inbound_agent", "clear_trunk"];
/// Longest text of what the user keeps with a number, as JSON.
const METADATA_BYTES_MAX: usize = 8 * 1024;

pub(super) fn resource() -> Resource {
    let one = || schema::named("Number");
    Resource {
        tag: "numbers",
        about: "Addresses that calls come to and are placed from: telephone numbers, SIP URIs, \
                extensions.",
        endpoints: vec![
            get(PATH, "list_numbers", list)
                .summary("Lists the numbers of a configuration in the order they were made.")
                .scope(Scope::Read)
                .query(page::parameters())
                .answers_json(200, "the numbers", page::schema_of(one())),
            post(PATH, "create_number", create)
                .summary(
                    "Adds a number. One without + is read as it is dialled in `country_code`; \
                     without a country it is refused.",
                )
                .retryable()
                .json(schema::named("NewNumber"))
                .answers_json(201, "the number", one())
                .refuses(&[Kind::Conflict, Kind::Invalid]),
            get(PATH_ONE, "show_number", show)
                .summary("Shows a number.")
                .scope(Scope::Read)
                .answers_json(200, "the number", one()),
            put(PATH_ONE, "change_number", change)
                .summary("Changes what is named; null takes away. The address stays.")
                .json(schema::named("ChangedNumber"))
                .answers_json(200, "the number", one())
                .refuses(&[Kind::Conflict, Kind::Invalid, Kind::ReadOnly]),
            delete(PATH_ONE, "delete_number", remove)
                .summary(
                    "Removes a number, once its carrier sends its calls here no more; one that is \
                     not active without asking it.",
                )
                .answers(204, "there is no such number any more")
                .refuses(&[Kind::Carrier, Kind::Conflict, Kind::ReadOnly]),
            post(PATH_DEFAULT, "set_default_caller", set_default)
                .summary("Makes it the one that calls are placed from if none is named.")
                .retryable()
                .answers_json(200, "the number", one())
                .refuses(&[Kind::Conflict, Kind::ReadOnly]),
        ],
        schemas: vec![
            ("Number", shown_schema()),
            ("NewNumber", write_schema(&[("address", schema::text(255))], &[])),
            ("ChangedNumber", write_schema(&[], &CLEARED.map(|flag| (flag, schema::flag())))),
        ],
    }
}

fn shown_schema() -> Value {
    let uuid = || schema::format("uuid");
    let mut fields = vec![
        ("id", uuid()),
        ("telephony_configuration_id", uuid()),
        ("address", schema::described(schema::text(255), "as it was written")),
        ("address_normalized", schema::text(255)),
        ("address_type", schema::word(&["pstn", "sip_uri", "sip_extension"])),
        ("country_code", schema::nullable(schema::text(2))),
        ("label", schema::nullable(schema::text(64))),
        ("inbound_agent_id", schema::nullable(uuid())),
        ("inbound_agent_name", schema::nullable(schema::text(64))),
        ("telephony_trunk_id", schema::nullable(uuid())),
        ("is_active", schema::flag()),
        ("is_default_caller_id", schema::flag()),
        ("extra_metadata", schema::any_object()),
    ];
    fields.extend(object::limits_schema());
    fields.extend(object::stamp_schema());
    schema::object(&fields, &[("provider_sync", number_sync::told_schema())])
}

fn write_schema(required: &[(&'static str, Value)], more: &[(&'static str, Value)]) -> Value {
    let uuid = || schema::nullable(schema::format("uuid"));
    let mut optional = vec![
        ("country_code", schema::nullable(schema::text(2))),
        ("label", schema::nullable(schema::text(64))),
        ("inbound_agent_id", schema::described(uuid(), "the agent that takes its calls")),
        ("telephony_trunk_id", schema::described(uuid(), "the trunk it is pinned to")),
        ("is_active", schema::nullable(schema::flag())),
        ("is_default_caller_id", schema::nullable(schema::flag())),
        ("extra_metadata", schema::nullable(schema::any_object())),
    ];
    optional.extend(object::limits_schema());
    optional.extend_from_slice(more);
    schema::object(required, &optional)
}

pub(super) fn shown(number: &Number) -> Value {
    let Number { id, configuration, address, fields, agent_name, stamp, .. } = number;
    let shown = json!({
        "id": id,
        "telephony_configuration_id": configuration,
        "address": address.typed,
        "address_normalized": address.normalised,
        "address_type": address.kind.as_str(),
        "country_code": fields.country,
        "label": fields.label,
        "inbound_agent_id": fields.agent,
        "inbound_agent_name": agent_name,
        "telephony_trunk_id": fields.trunk,
        "is_active": fields.is_active,
        "is_default_caller_id": fields.is_default_caller_id,
        "extra_metadata": fields.metadata,
    });
    let Value::Object(mut shown) = shown else { return Value::Null };
    object::limits_shown(&mut shown, &fields.limits);
    object::stamped(&mut shown, stamp);
    Value::Object(shown)
}

/// A number of a carrier's account, as one of ours.
pub(super) fn imported(listed: &adapters::op::Number) -> (Address, NumberFields) {
    let normalised = listed.address.expose().to_owned();
    let kind = kind_of(listed.address.kind());
    let fields = NumberFields { label: listed.label.clone(), ..new_fields() };
    (Address { typed: normalised.clone(), normalised, kind }, fields)
}

const fn kind_of(kind: AddressKind) -> AddressType {
    match kind {
        AddressKind::Pstn => AddressType::Pstn,
        AddressKind::SipUri => AddressType::SipUri,
        AddressKind::SipExtension => AddressType::SipExtension,
    }
}

/// What is set of a number of which nothing is said.
fn new_fields() -> NumberFields {
    NumberFields {
        trunk: None,
        agent: None,
        country: None,
        label: None,
        is_active: true,
        is_default_caller_id: false,
        metadata: json!({}),
        limits: Default::default(),
    }
}

/// The address of a new number in its one written form; national ones need a country.
fn read_address(given: &mut Fields, country: Option<&str>) -> Option<Address> {
    if !given.has("address") {
        given.wrong("address", "missing");
    }
    let typed = given.text("address", 255)?;
    match Parsed::parse(&typed, country) {
        Ok(parsed) => Some(Address {
            normalised: parsed.expose().to_owned(),
            kind: kind_of(parsed.kind()),
            typed: typed.trim().to_owned(),
        }),
        Err(error) => {
            // Of a country that is none its own field has been told.
            if !matches!(error, AddressError::Country) {
                given.wrong("address", error.to_string());
            }
            None
        }
    }
}

/// Reads what of a number is named, over what it was.
fn read(given: &mut Fields, mut fields: NumberFields) -> NumberFields {
    if given.has("country_code") {
        fields.country = given.text("country_code", 2).map(|code| code.to_ascii_uppercase());
        let known = |code: &String| adapters::address::region(code).is_some();
        if fields.country.as_ref().is_some_and(|code| !known(code)) {
            given.wrong("country_code", AddressError::Country.to_string());
        }
    }
    if given.has("label") {
        fields.label = given.text("label", 64);
    }
    if given.has("inbound_agent_id") {
        fields.agent = given.id("inbound_agent_id").map(AgentId);
    }
    if given.has("telephony_trunk_id") {
        fields.trunk = given.id("telephony_trunk_id").map(TrunkId);
    }
    if let Some(is_active) = given.flag("is_active") {
        fields.is_active = is_active;
    }
    if let Some(is_default) = given.flag("is_default_caller_id") {
        fields.is_default_caller_id = is_default;
    }
    if given.has("extra_metadata") {
        fields.metadata = Value::Object(given.object("extra_metadata"));
        if fields.metadata.to_string().len() > METADATA_BYTES_MAX {
            given.wrong("extra_metadata", format!("longer than {METADATA_BYTES_MAX} bytes"));
        }
    }
    given.change_limits(&mut fields.limits);
    if fields.is_default_caller_id && !fields.is_active {
        given.wrong("is_default_caller_id", "no call is placed from a number that is not active");
    }
    fields
}

/// Takes away what the flags of a change name.
fn clear(given: &mut Fields, mut fields: NumberFields) -> NumberFields {
    let [agent, trunk] = CLEARED.map(|flag| given.flag(flag) == Some(true));
    fields.agent = fields.agent.filter(|_| !agent);
    fields.trunk = fields.trunk.filter(|_| !trunk);
    fields
}

/// Why the store does not take a number. What is none of the organisation's cannot be referred to:
/// the request is wrong, as it is for a number of another account.
fn refused(error: StoreError) -> Problem {
    match error {
        StoreError::NoSuch { what } => {
            Problem::bad_field(what, "there is none with this id").renamed(OWN_NAMES)
        }
        error => error.into(),
    }
}

/// The number of that id, if it belongs to the configuration of that id.
pub(super) async fn find(
    store: &Store,
    caller: &Caller,
    (configuration, id): (ConfigurationId, NumberId),
) -> Result<Number, Problem> {
    let number = store.number(caller.organisation, id).await?;
    if number.configuration == configuration {
        Ok(number)
    } else {
        Err(Problem::not_found("the configuration has no such number"))
    }
}

/// `GET /api/v1/organizations/telephony-configs/{id}/phone-numbers`
async fn list(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<ConfigurationId>,
    wanted: Wanted,
) -> Result<axum::Json<Page<Value>>, Problem> {
    let organisation = caller.organisation;
    // A configuration that is not there has no list, not an empty one.
    state.store.configuration(organisation, id).await?;
    let filter = NumberFilter { configuration: Some(id), after: wanted.after.map(NumberId) };
    let found = state.store.numbers(organisation, &filter, wanted.with_next()).await?;
    let page = Page::cut(found, wanted.limit, |number| number.id.0);
    Ok(axum::Json(page.map(|number| shown(&number))))
}

/// `POST /api/v1/organizations/telephony-configs/{id}/phone-numbers`
async fn create(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(configuration): Path<ConfigurationId>,
    Json(given): Json<Map<String, Value>>,
) -> Result<Response, Problem> {
    let organisation = caller.organisation;
    state.store.configuration(organisation, configuration).await?;
    let mut given = Fields::new(given);
    let fields = read(&mut given, new_fields());
    let address = read_address(&mut given, fields.country.as_deref());
    given.finish()?;
    let Some(address) = address else { return Err(Problem::invalid("address", "missing")) };
    let actor = caller.actor();
    let made =
        state.store.create_number(organisation, configuration, &address, &fields, &actor).await;
    let id = made.map_err(refused)?;
    let number = state.store.number(organisation, id).await?;
    let path = PATH.replace("{id}", &configuration.to_string());
    let location = [(header::LOCATION, format!("{path}/{id}"))];
    let shown = number_sync::shown(&state, &caller, None, &number).await?;
    Ok((StatusCode::CREATED, location, axum::Json(shown)).into_response())
}

/// `GET /api/v1/organizations/telephony-configs/{id}/phone-numbers/{number}`
async fn show(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(ids): Path<(ConfigurationId, NumberId)>,
) -> Result<axum::Json<Value>, Problem> {
    Ok(axum::Json(shown(&find(&state.store, &caller, ids).await?)))
}

/// `PUT /api/v1/organizations/telephony-configs/{id}/phone-numbers/{number}`
async fn change(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(ids): Path<(ConfigurationId, NumberId)>,
    Json(given): Json<Map<String, Value>>,
) -> Result<axum::Json<Value>, Problem> {
    let stored = find(&state.store, &caller, ids).await?;
    let mut given = Fields::new(given);
    let before = stored.fields.clone();
    let kept = clear(&mut given, stored.fields);
    let fields = read(&mut given, kept);
    given.finish()?;
    let (organisation, actor) = (caller.organisation, caller.actor());
    let changed = state.store.update_number(organisation, ids.1, &fields, &actor).await;
    changed.map_err(refused)?;
    let number = state.store.number(organisation, ids.1).await?;
    Ok(axum::Json(number_sync::shown(&state, &caller, Some(&before), &number).await?))
}

/// `DELETE /api/v1/organizations/telephony-configs/{id}/phone-numbers/{number}`
async fn remove(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(ids): Path<(ConfigurationId, NumberId)>,
) -> Result<StatusCode, Problem> {
    let number = find(&state.store, &caller, ids).await?;
    if let Some(way) = Way::of(Some(&number.fields), None) {
        state.store.try_delete_number(caller.organisation, ids.1).await?;
        if let Some(Err(failure)) = number_sync::tell(&state, &caller, &number, way).await? {
            // Callers would go on to a server that does not know the number.
            let why = format!("{failure}; one that is not active is removed without being asked");
            return Err(Problem::new(Kind::Carrier, why));
        }
    }
    state.store.delete_number(caller.organisation, ids.1, &caller.actor()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/organizations/telephony-configs/{id}/phone-numbers/{number}/set-default-caller`
async fn set_default(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(ids): Path<(ConfigurationId, NumberId)>,
) -> Result<axum::Json<Value>, Problem> {
    let stored = find(&state.store, &caller, ids).await?;
    if !stored.fields.is_active {
        return Err(Problem::conflict("no call is placed from a number that is not active"));
    }
    let fields = NumberFields { is_default_caller_id: true, ..stored.fields };
    let (organisation, actor) = (caller.organisation, caller.actor());
    state.store.update_number(organisation, ids.1, &fields, &actor).await?;
    Ok(axum::Json(shown(&state.store.number(organisation, ids.1).await?)))
}
