//! What the carrier wants to be told, and what a configuration says.

use media::codec::AudioFormat;

use crate::address::{Address, AddressError};
use crate::config::{ConfigErrors, Problem, RawConfig};
use crate::setup::{SetupState, SetupStep};
use crate::ui::rules::{LINE, NETWORK};
use crate::ui::{Choice, FieldKind, Literal, TextRule, UiField, UiSection, choice};

/// Digits from which on a number without `+` begins with a calling code: those of a national number
/// are ten, eleven with the zero that leads out of an area.
const INTERNATIONAL_DIGITS_MIN: usize = 11;
/// Most characters of a token.
const TOKEN_CHARS_MAX: usize = 100;

pub(super) const SECTIONS: &[UiSection] = &[
    UiSection { name: "account", title: "Account", help: "From the console, below API keys." },
    UiSection {
        name: "calls",
        title: "Calls",
        help: "How numbers are read, and what callers are told when they cannot be taken.",
    },
    UiSection { name: "security", title: "Signatures", help: "What proves who calls." },
    UiSection { name: "media", title: "Audio", help: "How audio travels to and from the carrier." },
];

const ACCOUNT: TextRule = TextRule { format: "account-id", chars_max: 32, read: account };
const COUNTRY: TextRule = TextRule { format: "country", chars_max: 2, read: country };
const TOKEN: FieldKind = FieldKind::Password { chars_max: TOKEN_CHARS_MAX };

/// The addresses that webhooks come from, as documented.
pub(super) const SENDERS: &[&str] = &["15.206.6.156/32", "35.154.59.246/32", "15.207.8.226/32"];

const IN_FORMATS: &[Choice] = &[
    choice("PCMU", "µ-law, 8 kHz"),
    choice("L16-8000", "Linear 16 bit, 8 kHz"),
    choice("L16-16000", "Linear 16 bit, 16 kHz"),
];
const OUT_FORMATS: &[Choice] = &[
    choice("PCMU", "µ-law, 8 kHz"),
    choice("L16-8000", "Linear 16 bit, 8 kHz"),
    choice("L16-16000", "Linear 16 bit, 16 kHz"),
    choice("L16-24000", "Linear 16 bit, 24 kHz"),
];
const ORDERS: &[Choice] = &[choice("little", "Little-endian"), choice("big", "Big-endian")];

pub(super) const FIELDS: &[UiField] = &[
    UiField::new("auth_id", "Auth ID", FieldKind::Text(ACCOUNT), "account")
        .steers()
        .required()
        .help("Begins with MA_, or with SA_ for a subaccount; webhooks name it.")
        .placeholder("MA_XXXXXXXX"),
    UiField::new("auth_token", "Auth Token", TOKEN, "account")
        .required()
        .help("Requests carry it, and webhooks are signed with it."),
    UiField::new("other_auth_token", "Other Auth Token", TOKEN, "account").advanced().help(
        "Webhooks signed with it are believed too: the old one while it is being changed, \
               or that of the main account of a subaccount.",
    ),
    UiField::api_base("account"),
    UiField::new("application_id", "Application", FieldKind::Text(LINE), "account")
        .managed(true, true),
    UiField::new("country", "Country", FieldKind::Text(COUNTRY), "calls")
        .default(Literal::Text("IN"))
        .help("Numbers that come without a calling code are of this country (two letters)."),
    UiField::new("unavailable_text", "When nothing works", FieldKind::Text(LINE), "calls")
        .placeholder("Sorry, this number cannot take calls right now.")
        .help(
            "Said to callers if a call cannot be taken at all; that answers it, at its price. \
               Without it the call is refused.",
        ),
    UiField::new("allow_unsigned", "Accept unsigned webhooks", FieldKind::Boolean, "security")
        .default(Literal::Flag(false))
        .advanced()
        .help(
            "For accounts whose webhooks the carrier does not sign: the token in the address must \
             be right then, and the sender one of these. A wrong signature is never accepted.",
        ),
    UiField::new(
        "unsigned_from",
        "From these addresses",
        FieldKind::List { rule: NETWORK, entries_max: 32 },
        "security",
    )
    .visible_when("allow_unsigned", Literal::Flag(true))
    .default(Literal::Texts(SENDERS))
    .advanced()
    .help("Those that the carrier's webhooks come from. Behind a proxy, that must be trusted."),
    UiField::new("media_in", "Audio of callers", FieldKind::Select(IN_FORMATS), "media")
        .default(Literal::Text("PCMU")),
    UiField::new("media_out", "Audio to callers", FieldKind::Select(OUT_FORMATS), "media")
        .default(Literal::Text("PCMU"))
        .help("Need not be the same as that of callers."),
    UiField::new(
        "l16_in_endian",
        "Order of bytes from callers",
        FieldKind::Select(ORDERS),
        "media",
    )
    .default(Literal::Text("big"))
    .advanced()
    .help("Of linear audio; the carrier's documents disagree. The wrong one is loud noise."),
    UiField::new("l16_out_endian", "Order of bytes to callers", FieldKind::Select(ORDERS), "media")
        .default(Literal::Text("little"))
        .advanced()
        .help("Of linear audio; the carrier's documents disagree. The wrong one is loud noise."),
];

fn account(text: &str) -> Result<String, &'static str> {
    let rest = text.strip_prefix("MA_").or_else(|| text.strip_prefix("SA_"));
    let plain = |rest: &str| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    if rest.is_some_and(plain) {
        Ok(text.to_owned())
    } else {
        Err("not MA_ or SA_ and capitals and digits")
    }
}

fn country(text: &str) -> Result<String, &'static str> {
    let country = text.to_ascii_uppercase();
    // What no number can be read with is no country.
    match Address::parse("1", Some(&country)) {
        Err(AddressError::Country) => Err("not a country's two letters, such as IN"),
        _ => Ok(country),
    }
}

pub(super) fn check(config: &RawConfig) -> Result<(), ConfigErrors> {
    let token = |name| config.secret(name);
    match (token("auth_token"), token("other_auth_token")) {
        (Some(one), Some(other)) if one == other => {
            Err(ConfigErrors::one("other_auth_token", Problem::Rule("is the same as the first")))
        }
        _ => Ok(()),
    }
}

pub(super) fn checklist(config: &RawConfig, state: &SetupState) -> Vec<SetupStep> {
    vec![
        SetupStep {
            key: "application",
            title: "Make the application",
            help: "The carrier sends calls of numbers to an application, which names our hooks.",
            done: config.text("application_id").is_some(),
            blocks_outbound: false,
        },
        SetupStep::caller_id(state),
        SetupStep::inbound_routing(state),
    ]
}

/// Reads a number as the carrier writes it: with its calling code and no `+`, or as it is dialled
/// in the country.
pub(super) fn number(config: &RawConfig, text: &str) -> Result<Address, AddressError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (text.len() >= INTERNATIONAL_DIGITS_MIN && !text.starts_with('0')) {
        return Address::international(text);
    }
    Address::parse(text, Some(config.text("country").unwrap_or("IN")))
}

/// The format of what callers say.
pub(super) fn heard(config: &RawConfig) -> AudioFormat {
    format(config.text("media_in"), config.text("l16_in_endian").unwrap_or("big"))
}

/// The format of what callers hear.
pub(super) fn said(config: &RawConfig) -> AudioFormat {
    format(config.text("media_out"), config.text("l16_out_endian").unwrap_or("little"))
}

fn format(name: Option<&str>, order: &str) -> AudioFormat {
    let rate = name.and_then(|name| name.strip_prefix("L16-")).and_then(|rate| rate.parse().ok());
    match (rate, order) {
        (None, _) => AudioFormat::PCMU,
        (Some(rate_hz), "big") => AudioFormat::l16be(rate_hz),
        (Some(rate_hz), _) => AudioFormat::l16le(rate_hz),
    }
}

/// Linear audio of callers at a rate.
pub(super) fn linear(config: &RawConfig, rate_hz: u32) -> AudioFormat {
    match config.text("l16_in_endian") {
        Some("little") => AudioFormat::l16le(rate_hz),
        _ => AudioFormat::l16be(rate_hz),
    }
}

/// The carrier's word for the format, without the rate.
pub(super) fn content_type(audio: AudioFormat) -> &'static str {
    if audio == AudioFormat::PCMU { "audio/x-mulaw" } else { "audio/x-l16" }
}
