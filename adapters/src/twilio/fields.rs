//! The fields of a configuration.

use crate::config::{ConfigErrors, Problem, RawConfig};
use crate::ui::{Choice, FieldKind, Literal, TextRule, UiField, UiSection, rules};

/// Most characters of a key or token.
const KEY_CHARS_MAX: usize = 128;
/// Most shared keys of webhooks.
const SHARED_KEYS_MAX: usize = 8;

/// Ids of Twilio: two letters and 32 hexadecimal digits; other carriers have others.
const ID: TextRule = TextRule { format: "id", chars_max: 64, read: id };

pub(super) const SECTIONS: &[UiSection] = &[
    UiSection {
        name: "account",
        title: "Account",
        help: "On the first page of the Twilio console, below Account Info.",
    },
    UiSection {
        name: "calls",
        title: "Calls",
        help: "How calls are placed, and what callers are told when they cannot be taken.",
    },
    UiSection {
        name: "advanced",
        title: "Regions and other hosts",
        help: "Most accounts need nothing of this.",
    },
];

pub(super) const FIELDS: &[UiField] = &[
    UiField::new("account_sid", "Account SID", FieldKind::Text(ID), "account")
        .steers()
        .required()
        .placeholder("ACxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
        .help("Identifies the account; every webhook names it."),
    UiField::new(
        "auth_token",
        "Auth token",
        FieldKind::Password { chars_max: KEY_CHARS_MAX },
        "account",
    )
    .required()
    .help("Webhooks are signed with it, so it is needed even beside an API key."),
    UiField::new("api_key_sid", "API key SID", FieldKind::Text(ID), "account")
        .placeholder("SKxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
        .help("Requests are made with this key instead of the auth token, if there is one."),
    UiField::new(
        "api_key_secret",
        "API key secret",
        FieldKind::Password { chars_max: KEY_CHARS_MAX },
        "account",
    )
    .help("Belongs to the API key."),
    UiField::new(
        "secondary_auth_token",
        "Secondary auth token",
        FieldKind::Password { chars_max: KEY_CHARS_MAX },
        "account",
    )
    .advanced()
    .help("Webhooks signed with it are believed too, while the auth token is being changed."),
    UiField::new(
        "webhook_shared_keys",
        "Shared keys of webhooks",
        FieldKind::Map { key: rules::LINE, value: rules::LINE, entries_max: SHARED_KEYS_MAX },
        "account",
    )
    .secret()
    .advanced()
    .help("Secrets by the id of the key, if the account signs webhooks with shared keys."),
    UiField::new("amd_mode", "Answering machines", FieldKind::Select(AMD_MODES), "calls")
        .default(Literal::Text("async"))
        .help("How it is found out whether a machine answered, for calls that ask for it."),
    UiField::new("amd_wait_for_beep", "Wait for the beep", FieldKind::Boolean, "calls")
        .default(Literal::Flag(false))
        .help("A machine is reported when its greeting is over, not when it begins."),
    UiField::new("amd_timeout_s", "Longest detection", seconds(3, 59), "calls")
        .advanced()
        .help("How long is listened until it is unknown who answered; 30 s if nothing is said."),
    UiField::new("amd_speech_ms", "Speech of a machine", milliseconds(1_000, 6_000), "calls")
        .advanced()
        .help("Who speaks longer than that at a stretch is a machine; 2400 ms if nothing is said."),
    UiField::new("amd_speech_end_ms", "Pause after speech", milliseconds(500, 5_000), "calls")
        .advanced()
        .help("A silence as long as that ends what was said; 1200 ms if nothing is said."),
    UiField::new("amd_silence_ms", "Silence at first", milliseconds(2_000, 10_000), "calls")
        .advanced()
        .help("After a silence as long as that it is unknown who answered; 5000 ms if nothing is said."),
    UiField::new(
        "unavailable_text",
        "When nothing works",
        FieldKind::Text(rules::LINE),
        "calls",
    )
    .placeholder("Sorry, this number cannot take calls right now.")
    .help("Said to callers if a call cannot be taken at all. Without it they hear a busy tone, free \
           of charge."),
    UiField::new("language", "Language of it", FieldKind::Text(LANGUAGE), "calls")
        .placeholder("en-US")
        .help("Which voice says it, such as en-US or de-DE."),
    UiField::new("sip_username", "SIP user", FieldKind::Text(rules::LINE), "calls")
        .advanced()
        .help("For calls to SIP addresses that ask for credentials."),
    UiField::new(
        "sip_password",
        "SIP password",
        FieldKind::Password { chars_max: KEY_CHARS_MAX },
        "calls",
    )
    .advanced()
    .help("Belongs to the SIP user."),
    UiField::new("bind_by", "Numbers are bound by", FieldKind::Select(BINDINGS), "calls")
        .default(Literal::Text("number"))
        .advanced()
        .help("Whether each number holds our addresses, or a TwiML application that numbers share."),
    UiField::new("region", "Region", FieldKind::Select(REGIONS), "advanced")
        .advanced()
        .help("Where calls are processed. Each region has an auth token of its own."),
    UiField::new("edge", "Edge", FieldKind::Select(EDGES), "advanced")
        .advanced()
        .help("Where requests enter Twilio's network. Goes with a region."),
    UiField::api_base("advanced"),
    UiField::new("compatible", "Another carrier", FieldKind::Boolean, "advanced")
        .default(Literal::Flag(false))
        .advanced()
        .help("A carrier that speaks the same dialect at the API address above."),
    UiField::new(
        "signature_header",
        "Header of its signatures",
        FieldKind::Text(rules::HEADER),
        "advanced",
    )
    .visible_when("compatible", Literal::Flag(true))
    .default(Literal::Text("X-Twilio-Signature"))
    .advanced()
    .help("Name of the header that holds the signature of its webhooks."),
    UiField::new("stream_signature", "Signature of streams", FieldKind::Select(CHECKS), "advanced")
        .default(Literal::Text("require"))
        .advanced()
        .help("Whether the upgrade of a media socket must be signed, beside its token of one use."),
    UiField::new("application_sid", "TwiML application", FieldKind::Text(rules::LINE), "advanced")
        .managed(true, true)
        .help("The application that this server made."),
];

const LANGUAGE: TextRule = TextRule { format: "language", chars_max: 16, read: language };

/// Fields that tune the detection of machines, and what the API calls them.
pub(super) const AMD_TUNING: [(&str, &str); 4] = [
    ("amd_timeout_s", "MachineDetectionTimeout"),
    ("amd_speech_ms", "MachineDetectionSpeechThreshold"),
    ("amd_speech_end_ms", "MachineDetectionSpeechEndThreshold"),
    ("amd_silence_ms", "MachineDetectionSilenceTimeout"),
];

const fn seconds(min: i64, max: i64) -> FieldKind {
    FieldKind::Number { min, max, unit: "s" }
}

const fn milliseconds(min: i64, max: i64) -> FieldKind {
    FieldKind::Number { min, max, unit: "ms" }
}

const AMD_MODES: &[Choice] = &[
    Choice { value: "async", label: "While the agent already speaks" },
    Choice { value: "sync", label: "Before the agent speaks (seconds of silence)" },
    Choice { value: "off", label: "Never" },
];

const BINDINGS: &[Choice] = &[
    Choice { value: "number", label: "Number by number" },
    Choice { value: "application", label: "A TwiML application" },
];

const CHECKS: &[Choice] = &[
    Choice { value: "require", label: "Must be there and right" },
    Choice { value: "off", label: "Not looked at" },
];

const REGIONS: &[Choice] = &[
    Choice { value: "us1", label: "United States (US1)" },
    Choice { value: "ie1", label: "Ireland (IE1)" },
    Choice { value: "au1", label: "Australia (AU1)" },
];

const EDGES: &[Choice] = &[
    Choice { value: "ashburn", label: "Ashburn" },
    Choice { value: "umatilla", label: "Umatilla" },
    Choice { value: "dublin", label: "Dublin" },
    Choice { value: "frankfurt", label: "Frankfurt" },
    Choice { value: "sao-paulo", label: "São Paulo" },
    Choice { value: "singapore", label: "Singapore" },
    Choice { value: "sydney", label: "Sydney" },
    Choice { value: "tokyo", label: "Tokyo" },
];

fn id(text: &str) -> Result<String, &'static str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if text.bytes().all(fits) { Ok(text.to_owned()) } else { Err("letters and digits only") }
}

fn language(text: &str) -> Result<String, &'static str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if text.bytes().all(fits) { Ok(text.to_owned()) } else { Err("not a language, such as en-US") }
}

/// True for an id of Twilio's of the kind that `prefix` says.
pub(super) fn is_sid(text: &str, prefix: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix(prefix).is_some_and(|rest| rest.len() == 32 && rest.bytes().all(hex))
}

/// How fields go together.
pub(super) fn check(config: &RawConfig) -> Result<(), ConfigErrors> {
    let mut errors = ConfigErrors::default();
    let has = |name| config.text(name).is_some();
    for (one, other) in
        [("api_key_sid", "api_key_secret"), ("region", "edge"), ("sip_username", "sip_password")]
    {
        if has(one) != has(other) {
            let missing = if has(one) { other } else { one };
            errors.push(missing, Problem::Rule("these two go together"));
        }
    }
    if config.flag("compatible") {
        if !has("api_base") {
            errors.push("api_base", Problem::Rule("another carrier has another API address"));
        }
    } else {
        for (name, prefix) in [("account_sid", "AC"), ("api_key_sid", "SK")] {
            if config.text(name).is_some_and(|sid| !is_sid(sid, prefix)) {
                errors.push(name, Problem::Rule("two letters, AC or SK, and 32 of 0-9 and a-f"));
            }
        }
    }
    if has("api_base") && has("region") {
        errors.push("region", Problem::Rule("an API address of its own has no region"));
    }
    errors.into_result()
}
