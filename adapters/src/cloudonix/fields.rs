//! What the carrier wants to be told, and what a configuration says.

use crate::address::Address;
use crate::config::{ConfigErrors, Problem, RawConfig};
use crate::setup::{SetupState, SetupStep};
use crate::ui::rules::{COUNTRY, LINE};
use crate::ui::{Choice, FieldKind, Literal, TextRule, UiField, UiSection, choice};

/// Most characters of a key.
const KEY_CHARS_MAX: usize = 255;
/// Fewest characters of the key of webhooks: it can be guessed at leisure.
const REQUEST_KEY_CHARS_MIN: usize = 16;
/// What a domain's name ends with if nothing else is said.
const SUFFIX: &str = ".cloudonix.net";
/// Most digits of a number that is dialled within its country.
const NATIONAL_DIGITS_MAX: usize = 10;

const DOMAIN: TextRule = TextRule { format: "domain", chars_max: 253, read: domain };
const NAME: TextRule = TextRule { format: "name", chars_max: 64, read: name };
const CURRENCY: TextRule = TextRule { format: "currency", chars_max: 3, read: currency };
const KEY: FieldKind = FieldKind::Password { chars_max: KEY_CHARS_MAX };

const AMD_MODES: &[Choice] = &[
    choice("async", "While the agent already speaks"),
    choice("sync", "Before the agent speaks (seconds of silence)"),
    choice("off", "Never"),
];
const MARKS: &[Choice] = &[
    choice("estimate", "Computed from what was sent"),
    choice("carrier", "Told by the carrier, computed if it does not"),
];

pub(super) const SECTIONS: &[UiSection] = &[
    UiSection {
        name: "account",
        title: "Domain",
        help: "From the Cloudonix cockpit: the domain, and an API key of that domain.",
    },
    UiSection {
        name: "calls",
        title: "Calls",
        help: "How calls are placed, and what callers are told when they cannot be taken.",
    },
    UiSection {
        name: "advanced",
        title: "Webhooks and other",
        help: "Most domains need nothing of this.",
    },
];

pub(super) const FIELDS: &[UiField] = &[
    UiField::new("domain", "Domain", FieldKind::Text(DOMAIN), "account")
        .steers()
        .required()
        .placeholder("acme.cloudonix.net")
        .help("Name of the domain; without a dot, .cloudonix.net is added."),
    UiField::new("api_token", "API key", KEY, "account")
        .required()
        .help("An API key of the domain, not of the customer or of a subscriber. Begins with XI."),
    UiField::new("request_key", "Key of webhooks", KEY, "account").required().help(
        "Of your own making, 32 random characters or more. It is set in the domain's profile \
             as authorization-api-key and comes back with every webhook.",
    ),
    UiField::new("application_name", "Voice application", FieldKind::Text(NAME), "account")
        .help("The application whose calls come here. All its numbers do. Without it one is made."),
    UiField::new("application_id", "Application's id", FieldKind::Text(LINE), "account")
        .managed(true, true),
    UiField::new("domain_uuid", "Domain's UUID", FieldKind::Text(LINE), "account")
        .managed(true, true),
    UiField::new("trunk", "Trunk", FieldKind::Text(NAME), "calls").help(
        "Name of the outbound trunk that calls leave by. Without it the carrier tries all, in the \
         order in which they were made.",
    ),
    UiField::new("country", "Country", FieldKind::Text(COUNTRY), "calls")
        .placeholder("US")
        .help("Numbers that trunks send as they are dialled in a country are of this one."),
    UiField::new("amd_mode", "Answering machines", FieldKind::Select(AMD_MODES), "calls")
        .default(Literal::Text("async"))
        .help("How it is found out whether a machine answered, for calls that ask for it."),
    UiField::new("amd_wait_for_beep", "Wait for the beep", FieldKind::Boolean, "calls")
        .default(Literal::Flag(false))
        .help("A machine is reported when its greeting is over, not when it begins."),
    UiField::new("record_outbound", "Record calls", FieldKind::Boolean, "calls")
        .default(Literal::Flag(false))
        .help("The carrier records calls that are placed from here, from answer to end."),
    UiField::new("unavailable_text", "When nothing works", FieldKind::Text(LINE), "calls")
        .placeholder("Sorry, this number cannot take calls right now.")
        .help(
            "Said to callers if a call cannot be taken at all; that answers it. Without it the \
             call is refused.",
        ),
    UiField::new("currency", "Currency", FieldKind::Text(CURRENCY), "calls")
        .advanced()
        .placeholder("USD")
        .help(
            "Of the prices in the domain's call records, which do not name it. Without it no price \
             is told.",
        ),
    UiField::new("expected_app_key", "Application's key", KEY, "advanced")
        .advanced()
        .help("Webhooks must also carry this key in X-Cx-Apikey, if it is given."),
    UiField::new("domain_callbacks", "Set the domain up", FieldKind::Boolean, "advanced")
        .default(Literal::Flag(true))
        .advanced()
        .help(
            "Whether provisioning sets the key of webhooks and the address of call records in the \
             domain's profile. Not, if something else relies on them.",
        ),
    UiField::new("session_updates", "Updates of every call", FieldKind::Boolean, "advanced")
        .default(Literal::Flag(false))
        .advanced()
        .help(
            "Whether provisioning has the domain tell of each change of all its calls. Ten and \
             more a call; placed calls are told of anyway.",
        ),
    UiField::new("marks", "Marks", FieldKind::Select(MARKS), "advanced")
        .default(Literal::Text("estimate"))
        .advanced()
        .help("How it is known that a caller has heard something."),
    UiField::api_base("advanced"),
];

fn domain(text: &str) -> Result<String, &'static str> {
    let name = normalised(text);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    let labels = name.split('.').all(|label| !label.is_empty() && label.len() < 64);
    if labels && name.bytes().all(fits) {
        Ok(name)
    } else {
        Err("not the name of a domain, such as acme.cloudonix.net")
    }
}

fn name(text: &str) -> Result<String, &'static str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if text.bytes().all(fits) { Ok(text.to_owned()) } else { Err("letters, digits and hyphens") }
}

fn currency(text: &str) -> Result<String, &'static str> {
    let code = text.to_ascii_uppercase();
    let fits = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    if fits { Ok(code) } else { Err("not a currency's three letters, such as USD") }
}

pub(super) fn check(config: &RawConfig) -> Result<(), ConfigErrors> {
    let mut errors = ConfigErrors::default();
    let key = config.secret("request_key");
    if let Some(key) = &key {
        if key.expose().chars().count() < REQUEST_KEY_CHARS_MIN {
            errors.push("request_key", Problem::Rule("16 characters or more"));
        } else if !key.expose().bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            errors.push("request_key", Problem::Rule("letters, digits and signs of ASCII"));
        }
    }
    // Who knows one must not know the other: they travel in opposite directions.
    if key.is_some() && key == config.secret("api_token") {
        errors.push("request_key", Problem::Rule("is the API key, which is sent elsewhere"));
    }
    errors.into_result()
}

pub(super) fn checklist(config: &RawConfig, state: &SetupState) -> Vec<SetupStep> {
    vec![
        SetupStep {
            key: "application",
            title: "Set the domain up",
            help: "The carrier sends calls of numbers to an application, which names our hooks.",
            done: config.text("application_id").is_some(),
            blocks_outbound: false,
        },
        SetupStep::caller_id(state),
        SetupStep::inbound_routing(state),
    ]
}

/// A domain's name in its one written form; a UUID stays one.
pub(super) fn normalised(text: &str) -> String {
    let mut name = text.trim().trim_end_matches('.').to_ascii_lowercase();
    if !name.is_empty() && !name.contains('.') && !is_uuid(&name) {
        name.push_str(SUFFIX);
    }
    name
}

/// True if a name tells nothing: it is a UUID, and that of the configuration is not known yet.
pub(super) fn is_unknown(config: &RawConfig, text: &str) -> bool {
    let known = config.text("domain_uuid").is_some_and(|uuid| is_uuid(&normalised(uuid)));
    !known && is_uuid(&normalised(text))
}

fn is_uuid(text: &str) -> bool {
    let fits = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.bytes().enumerate().all(fits)
}

/// Whether a name is that of the configuration's domain, or its UUID. `None` if the configuration
/// has none.
pub(super) fn is_domain(config: &RawConfig, text: &str) -> Option<bool> {
    let own = config.text("domain").map(normalised).filter(|own| !own.is_empty())?;
    let uuid = config.text("domain_uuid").map(normalised);
    let told = normalised(text);
    Some(told == own || (is_uuid(&told) && uuid == Some(told)))
}

/// Reads a number as a trunk sent it: with `+`, with a calling code and no `+`, as it is dialled in
/// the country, or an extension. What is none of these is a user of the domain: nothing is refused
/// for its form.
pub(super) fn number(country: Option<&str>, domain: &str, text: &str) -> Option<Address> {
    let text = text.trim();
    if text.is_empty() || ["anonymous", "restricted", "unknown", "unavailable"].contains(&text) {
        return None;
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let national = digits && (text.starts_with('0') || text.len() <= NATIONAL_DIGITS_MAX);
    let within = country.filter(|_| national).and_then(|c| Address::parse(text, Some(c)).ok());
    let whole = || Address::international(text).ok();
    let user = || Address::parse(&format!("sip:{text}@{domain}"), None).ok();
    within.or_else(whole).or_else(user)
}
