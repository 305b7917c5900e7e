//! What the carrier wants to be told, and what a configuration says.

use media::codec::AudioFormat;

use crate::address::{Address, AddressError};
use crate::config::{ConfigErrors, Problem, RawConfig};
use crate::setup::{SetupState, SetupStep};
use crate::ui::rules::{COUNTRY, NETWORK};
use crate::ui::{Choice, FieldKind, Literal, TextRule, UiField, UiSection, choice};

/// Most characters of a key or token of the API.
const KEY_CHARS_MAX: usize = 128;
/// Most characters of the name and password that requests of the carrier's bear.
const CREDENTIAL_CHARS_MAX: usize = 64;
/// Fewest characters of that password.
const PASSWORD_CHARS_MIN: usize = 16;
/// Most networks that the carrier may come from.
const NETWORKS_MAX: usize = 32;
/// Digits from which on a number without `+` begins with a calling code: those of a national number
/// are ten, eleven with the zero that leads out of an area.
const INTERNATIONAL_DIGITS_MIN: usize = 11;

pub(super) const SECTIONS: &[UiSection] = &[
    UiSection { name: "account", title: "Account", help: "From the dashboard, API settings." },
    UiSection {
        name: "security",
        title: "Who calls",
        help: "Nothing is signed. A name and a password prove the carrier, its addresses, or both.",
    },
    UiSection { name: "calls", title: "Calls", help: "How calls are placed and numbers read." },
    UiSection { name: "media", title: "Audio", help: "How audio travels to and from the carrier." },
];

const ACCOUNT: TextRule = TextRule { format: "account-id", chars_max: 64, read: account };
const FLOW: TextRule = TextRule { format: "flow-id", chars_max: 20, read: flow };
const NAME: TextRule =
    TextRule { format: "user-name", chars_max: CREDENTIAL_CHARS_MAX, read: unreserved };
const CURRENCY: TextRule = TextRule { format: "currency", chars_max: 3, read: currency };
const KEY: FieldKind = FieldKind::Password { chars_max: KEY_CHARS_MAX };

const REGIONS: &[Choice] = &[
    choice("singapore", "Singapore (api.exotel.com)"),
    choice("mumbai", "Mumbai (api.in.exotel.com)"),
];
const RATES: &[Choice] =
    &[choice("8000", "8 kHz"), choice("16000", "16 kHz"), choice("24000", "24 kHz")];

pub(super) const FIELDS: &[UiField] = &[
    UiField::new("account_sid", "Account SID", FieldKind::Text(ACCOUNT), "account")
        .steers()
        .required()
        .help("Addresses of the API and streams name it."),
    UiField::new("api_key", "API key", KEY, "account").required(),
    UiField::new("api_token", "API token", KEY, "account").required(),
    UiField::new("region", "Region", FieldKind::Select(REGIONS), "account")
        .steers()
        .default(Literal::Text("singapore"))
        .help("Where the account is: the dashboard's API settings name the host."),
    UiField::api_base("account"),
    UiField::new("flow_id", "Flow", FieldKind::Text(FLOW), "account").placeholder("123456").help(
        "The number of the flow whose Voicebot applet has our address: numbers are bound to \
             it. The flow is made in the dashboard.",
    ),
    UiField::new("socket_user", "Name", FieldKind::Text(NAME), "security")
        .placeholder("talkpath")
        .help("Of your own choice: requests and sockets of the carrier's bear it."),
    UiField::new(
        "socket_password",
        "Password",
        FieldKind::Password { chars_max: CREDENTIAL_CHARS_MAX },
        "security",
    )
    .help("Of your own making, at random: letters, digits and -._~, 16 or more."),
    UiField::new("https_credentials", "Also over HTTPS", FieldKind::Boolean, "security")
        .default(Literal::Flag(true))
        .advanced()
        .help(
            "Whether the applet's request and status callbacks bear name and password as sockets \
             do. If not, addresses have to prove them.",
        ),
    UiField::new(
        "allow_from",
        "Addresses of the carrier",
        FieldKind::List { rule: NETWORK, entries_max: NETWORKS_MAX },
        "security",
    )
    .help(
        "As the carrier's support tells them. If there are any, nothing from elsewhere is \
         believed. Behind a proxy, that must be trusted.",
    ),
    UiField::new("country", "Country", FieldKind::Text(COUNTRY), "calls")
        .default(Literal::Text("IN"))
        .help("Numbers that come without a calling code are of this country (two letters)."),
    UiField::new("record_outbound", "Record placed calls", FieldKind::Boolean, "calls")
        .default(Literal::Flag(false))
        .help("At the carrier, from answer to end, at its price."),
    UiField::new("currency", "Currency", FieldKind::Text(CURRENCY), "calls")
        .default(Literal::Text("INR"))
        .advanced()
        .help("Of the account's prices, which do not name it (three letters)."),
    UiField::new("sample_rate", "Sampling rate", FieldKind::Select(RATES), "media")
        .default(Literal::Text("8000"))
        .help("Telephone networks have 8 kHz; more helps where calls come over wideband."),
];

fn account(text: &str) -> Result<String, &'static str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if text.bytes().all(fits) { Ok(text.to_owned()) } else { Err("letters, digits, - and _") }
}

fn flow(text: &str) -> Result<String, &'static str> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err("not the number of a flow")
    }
}

/// What stands in the user part of an address without escapes (RFC 3986 2.3), so that nobody has to
/// undo any.
fn is_unreserved(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

fn unreserved(text: &str) -> Result<String, &'static str> {
    if is_unreserved(text) { Ok(text.to_owned()) } else { Err("letters, digits and -._~") }
}

fn currency(text: &str) -> Result<String, &'static str> {
    let code = text.to_ascii_uppercase();
    let fits = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    if fits { Ok(code) } else { Err("not a currency's three letters, such as INR") }
}

pub(super) fn check(config: &RawConfig) -> Result<(), ConfigErrors> {
    let mut errors = ConfigErrors::default();
    let (user, password) = (config.text("socket_user"), config.secret("socket_password"));
    let known = !config.texts("allow_from").is_empty();
    let mut rule = |field, what| errors.push(field, Problem::Rule(what));
    match (user, &password) {
        (Some(_), None) => rule("socket_password", "belongs to the name"),
        (None, Some(_)) => rule("socket_user", "belongs to the password"),
        (None, None) if !known => {
            rule("socket_password", "nothing would prove the carrier: this or its addresses");
        }
        _ => {}
    }
    if let Some(password) = &password {
        if password.expose().len() < PASSWORD_CHARS_MIN || !is_unreserved(password.expose()) {
            rule("socket_password", "letters, digits and -._~, 16 or more");
        }
        // Who knows one must not know the other: they travel in opposite directions.
        if [config.secret("api_token"), config.secret("api_key")].contains(&Some(password.clone()))
        {
            rule("socket_password", "is a secret of the API, which is sent elsewhere");
        }
    }
    if password.is_some() && !over_https(config) && !known {
        rule("https_credentials", "then the addresses of the carrier are needed");
    }
    errors.into_result()
}

/// True if the carrier's requests over HTTPS bear name and password.
pub(super) fn over_https(config: &RawConfig) -> bool {
    config.get("https_credentials").is_none() || config.flag("https_credentials")
}

/// Name and password, as they stand in an address.
pub(super) fn credentials(config: &RawConfig) -> Option<String> {
    let (user, password) = (config.text("socket_user")?, config.secret("socket_password")?);
    Some(format!("{user}:{}", password.expose()))
}

/// An address of ours with name and password in it, if there are any.
pub(super) fn proven(config: &RawConfig, url: &str) -> String {
    match (credentials(config), url.split_once("://")) {
        (Some(pair), Some((scheme, rest))) => format!("{scheme}://{pair}@{rest}"),
        _ => url.to_owned(),
    }
}

/// The address of the audio as the carrier is told it: with the rate that it should have, if that
/// is not what it has by itself.
pub(super) fn stream_url(config: &RawConfig, url: &str) -> String {
    let url = proven(config, url);
    match config.text("sample_rate") {
        None | Some("8000") => url,
        Some(rate) => {
            let joint = if url.contains('?') { '&' } else { '?' };
            format!("{url}{joint}sample-rate={rate}")
        }
    }
}

/// The audio of a configuration, where a stream does not tell.
pub(super) fn audio(config: &RawConfig) -> AudioFormat {
    let rate = config.text("sample_rate").and_then(|rate| rate.parse().ok());
    AudioFormat::l16le(rate.unwrap_or(8_000))
}

pub(super) fn checklist(config: &RawConfig, state: &SetupState) -> Vec<SetupStep> {
    vec![
        SetupStep {
            key: "flow",
            title: "Make the flow",
            help: "A Voicebot applet asks our address where calls go; numbers lead to its flow.",
            done: config.text("flow_id").is_some(),
            blocks_outbound: false,
        },
        SetupStep::caller_id(state),
        SetupStep::inbound_routing(state),
    ]
}

/// Reads a number as the carrier writes it: with `+`, with its calling code and no `+`, or as it is
/// dialled in the country.
pub(super) fn number(config: &RawConfig, text: &str) -> Result<Address, AddressError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (text.len() >= INTERNATIONAL_DIGITS_MIN && !text.starts_with('0')) {
        return Address::international(text);
    }
    Address::parse(text, Some(config.text("country").unwrap_or("IN")))
}
