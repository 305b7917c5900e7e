//! SIP trunks of the domain: where calls leave to, and come from.
//!
//! The API has no word to remove a trunk: one that is not wanted any more is taken out of service,
//! and is removed in the carrier's cockpit.

use serde_json::{Map, Value, json};

use super::calls::{get, of_domain, post, put};
use super::errors::{list, object, success};
use super::numbers::id;
use super::request::text;
use crate::chain::{Then, chain};
use crate::config::RawConfig;
use crate::exchange::{CarrierError, HttpResponse, escape};
use crate::op::{OpResult, TrunkOps, TrunkState};
use crate::ui::rules::HOST;
use crate::ui::{Choice, FieldKind, Literal, TextRule, UiField, choice};

/// Most digits in front of a number.
const PREFIX_CHARS_MAX: usize = 16;

pub(super) const OPS: TrunkOps = TrunkOps { fields: FIELDS, apply, remove };

const PREFIX: TextRule = TextRule { format: "digits", chars_max: PREFIX_CHARS_MAX, read: prefix };

const TRANSPORTS: &[Choice] = &[choice("udp", "UDP"), choice("tcp", "TCP"), choice("tls", "TLS")];
const DIRECTIONS: &[Choice] = &[
    choice("outbound", "Calls leave by it"),
    choice("inbound", "Calls come by it"),
    choice("public-outbound", "Calls of all domains leave by it"),
    choice("public-inbound", "Calls of all domains come by it"),
];

const FIELDS: &[UiField] = &[
    UiField::new("ip", "Address", FieldKind::Text(HOST), "trunk")
        .steers()
        .required()
        .placeholder("sip.example.com")
        .help("Of the SIP peer: a name or an IP address."),
    UiField::new("port", "Port", FieldKind::Number { min: 1, max: 65_535, unit: "" }, "trunk")
        .default(Literal::Number(5060)),
    UiField::new("transport", "Transport", FieldKind::Select(TRANSPORTS), "trunk")
        .default(Literal::Text("udp")),
    UiField::new("direction", "Direction", FieldKind::Select(DIRECTIONS), "trunk")
        .default(Literal::Text("outbound"))
        .help("A domain has a trunk for each direction."),
    UiField::new("prefix", "Prefix", FieldKind::Text(PREFIX), "trunk")
        .advanced()
        .help("Digits that are put in front of the numbers that are called by it."),
];

fn prefix(text: &str) -> Result<String, &'static str> {
    let fits = |byte: u8| byte.is_ascii_digit() || b"+*#".contains(&byte);
    if text.bytes().all(fits) { Ok(text.to_owned()) } else { Err("digits, +, * and # only") }
}

/// Makes a trunk, or changes one. Calls name trunks, so that two of a name would be one too many.
fn apply(config: &RawConfig, trunk: &TrunkState) -> OpResult<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if trunk.name.is_empty() || !trunk.name.bytes().all(fits) {
        let why = "the carrier takes letters, digits and hyphens for the name of a trunk";
        return Err(CarrierError::Config(why));
    }
    let body = described(trunk);
    if let Some(known) = trunk.external_id.clone() {
        return chain(put(config, one(config, &known)?, &body)?, move |answer| {
            success(&answer)?;
            Ok(Then::Done(known))
        });
    }
    let (config, name) = (config.clone(), trunk.name.clone());
    chain(get(&config, of_domain(&config, "/trunks")?)?, move |answer| {
        if list(&answer)?.iter().any(|known| text(known.get("name")) == Some(&name)) {
            let why = "the domain has a trunk of that name already".to_owned();
            return Err(CarrierError::NotPermitted(Some(why)));
        }
        let make = post(&config, of_domain(&config, "/trunks")?, &body)?;
        Ok(Then::send(make, |answer| made(&answer).map(Then::Done)))
    })
}

/// Takes a trunk out of service. One that is gone is as good.
fn remove(config: &RawConfig, trunk: &str) -> OpResult<()> {
    let (config, trunk) = (config.clone(), trunk.to_owned());
    chain(get(&config, of_domain(&config, "/trunks")?)?, move |answer| {
        let all = list(&answer)?;
        let found = all.iter().find(|known| external(known).as_ref() == Some(&trunk));
        let Some(found) = found else { return Ok(Then::Done(())) };
        // All of it is said again, as a request says what a trunk is, not what changes.
        let names = ["name", "ip", "port", "transport", "direction", "prefix", "profile"];
        let kept = names.iter().filter_map(|name| Some(((*name).to_owned(), found.get(*name)?)));
        let mut body: Map<String, Value> = kept.map(|(name, it)| (name, it.clone())).collect();
        body.insert("active".to_owned(), false.into());
        let off = put(&config, one(&config, &trunk)?, &body.into())?;
        Ok(Then::send(off, |answer| match success(&answer) {
            Err(CarrierError::NotFound) => Ok(Then::Done(())),
            other => other.map(Then::Done),
        }))
    })
}

/// The address of a trunk.
fn one(config: &RawConfig, trunk: &str) -> Result<String, CarrierError> {
    of_domain(config, &format!("/trunks/{}", escape(trunk)))
}

/// A trunk in the carrier's words.
fn described(trunk: &TrunkState) -> Value {
    let TrunkState { name, enabled, settings, .. } = trunk;
    let mut body = json!({
        "name": name,
        "ip": settings.text("ip"),
        // Documented as text, whatever comes back.
        "port": settings.number::<u16>("port").unwrap_or(5060).to_string(),
        "transport": settings.text("transport").unwrap_or("udp"),
        "direction": settings.text("direction").unwrap_or("outbound"),
        "active": enabled,
    });
    if let Some(prefix) = settings.text("prefix") {
        body["prefix"] = prefix.into();
    }
    body
}

/// What the carrier calls a trunk that was made.
fn made(answer: &HttpResponse) -> Result<String, CarrierError> {
    external(&object(answer)?).ok_or(CarrierError::Answer("no id of the trunk"))
}

/// The id of a trunk that its address takes.
fn external(trunk: &Value) -> Option<String> {
    text(trunk.get("uuid")).map(str::to_owned).or_else(|| id(trunk.get("id")))
}
