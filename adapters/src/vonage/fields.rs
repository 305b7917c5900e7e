//! What a Vonage account is told by, and what is still to be done there.

use crate::config::{ConfigErrors, Problem, RawConfig};
use crate::jwt::rsa_key;
use crate::setup::{SetupState, SetupStep};
use crate::ui::rules::{LINE, PEM};
use crate::ui::{Choice, FieldKind, Literal, TextRule, UiField, UiSection, choice};

/// Most characters of a secret.
const SECRET_CHARS_MAX: usize = 256;
/// Most characters that Vonage sends as `Authorization`, and the fewest that cannot be guessed.
const AUTHORIZATION_CHARS_MAX: usize = 8_191;
const AUTHORIZATION_CHARS_MIN: usize = 16;
/// The highest number of a voice.
const VOICES_MAX: i64 = 99;

const SECRET: FieldKind = FieldKind::Password { chars_max: SECRET_CHARS_MAX };
const UUID: TextRule = TextRule { format: "uuid", chars_max: 36, read: uuid };
const LANGUAGE: TextRule = TextRule { format: "language", chars_max: 16, read: language };
const KEY: TextRule = TextRule { format: "vonage-api-key", chars_max: 64, read: api_key };

pub(super) const SECTIONS: &[UiSection] = &[
    UiSection {
        name: "application",
        title: "Application",
        help: "The Voice application that calls run through.",
    },
    UiSection {
        name: "account",
        title: "Account",
        help: "The keys of the account, on the first page of the dashboard.",
    },
    UiSection { name: "calls", title: "Calls", help: "How calls sound and what callers hear." },
];

const REGIONS: &[Choice] = &[
    choice("global", "Wherever Vonage likes"),
    choice("na-east", "US Virginia"),
    choice("na-west", "US Oregon"),
    choice("eu-west", "Dublin"),
    choice("eu-east", "Frankfurt"),
    choice("apac-sng", "Singapore"),
    choice("apac-australia", "Sydney"),
];

const RATES: &[Choice] =
    &[choice("8000", "8 kHz"), choice("16000", "16 kHz"), choice("24000", "24 kHz")];

const DETECTION: &[Choice] = &[
    choice("standard", "Standard"),
    choice("detect", "Advanced, at extra cost"),
    choice("detect_beep", "Advanced with the beep, at extra cost"),
];

pub(super) const FIELDS: &[UiField] = &[
    UiField::new("application_id", "Application ID", FieldKind::Text(UUID), "application")
        .steers()
        .required()
        .help("Webhooks, numbers and calls hang on the application.")
        .placeholder("aaaaaaaa-bbbb-cccc-dddd-0123456789ab"),
    UiField::new("private_key", "Private key", FieldKind::Textarea(PEM), "application")
        .secret()
        .required()
        .help("The file private.key that the dashboard makes for the application.")
        .placeholder("-----BEGIN PRIVATE KEY-----"),
    UiField::new("region", "Region", FieldKind::Select(REGIONS), "application")
        .default(Literal::Text("global"))
        .help("Where calls are placed. Incoming calls are controlled where Vonage says they are."),
    UiField::new("application_name", "Name at Vonage", FieldKind::Text(LINE), "application")
        .managed(true, true)
        .help("The application whose webhooks were set."),
    UiField::new("api_key", "API key", FieldKind::Text(KEY), "account")
        .steers()
        .required()
        .help("Identifies the account.")
        .placeholder("0a1b2c3d"),
    UiField::new("signature_secret", "Signature secret", SECRET, "account")
        .help("Proves that webhooks come from Vonage; without it none is accepted."),
    UiField::new("api_secret", "API secret", SECRET, "account")
        .help("For numbers and for setting the application's webhooks."),
    UiField::new("sign_socket", "Signed media socket", FieldKind::Boolean, "account")
        .default(Literal::Flag(true))
        .advanced()
        .help("Vonage signs the opening of its media socket too, if there is a signature secret."),
    UiField::new(
        "socket_authorization",
        "Authorization of the media socket",
        FieldKind::Password { chars_max: AUTHORIZATION_CHARS_MAX },
        "account",
    )
    .advanced()
    .help(
        "Vonage sends it as Authorization when it opens its media socket, in the place of its own \
         token: for a gateway in front of this server that wants one of its own.",
    ),
    UiField::api_base("account"),
    UiField::new("media_rate", "Sampling rate", FieldKind::Select(RATES), "calls")
        .default(Literal::Text("16000"))
        .help("Of the audio between Vonage and here."),
    UiField::new("machine_detection", "Machine detection", FieldKind::Select(DETECTION), "calls")
        .default(Literal::Text("standard"))
        .help("How Vonage finds out whether a machine answers, for calls that want to know."),
    UiField::new("record", "Record at Vonage", FieldKind::Boolean, "calls")
        .default(Literal::Flag(false))
        .help("Vonage keeps a recording for 30 days, besides those that are made here."),
    UiField::new("refusal_text", "Text for refused callers", FieldKind::Text(LINE), "calls")
        .help("Spoken to callers who cannot be put through, which answers the call; without it the call just ends.")
        .placeholder("Sorry, this call cannot be taken."),
    UiField::new("refusal_language", "Its language", FieldKind::Text(LANGUAGE), "calls")
        .advanced()
        .placeholder("en-US")
        .help("In which the text is spoken, such as en-US or de-DE."),
    UiField::new(
        "refusal_style",
        "Its voice",
        FieldKind::Number { min: 0, max: VOICES_MAX, unit: "" },
        "calls",
    )
    .advanced()
    .help("Number of the voice among those that Vonage has for the language."),
    UiField::new("refusal_premium", "Its better voices", FieldKind::Boolean, "calls")
        .default(Literal::Flag(false))
        .advanced()
        .help("Whether the text is spoken by a premium voice, at its price."),
];

fn uuid(text: &str) -> Result<String, &'static str> {
    super::events::uuid(text).ok_or("not a UUID, such as aaaaaaaa-bbbb-cccc-dddd-0123456789ab")
}

fn api_key(text: &str) -> Result<String, &'static str> {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(text.to_owned())
    } else {
        Err("not an API key: letters and digits")
    }
}

fn language(text: &str) -> Result<String, &'static str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if text.bytes().all(fits) { Ok(text.to_owned()) } else { Err("not a language, such as en-US") }
}

/// A key that cannot sign is refused when it is pasted, not at the first call.
pub(super) fn check(config: &RawConfig) -> Result<(), ConfigErrors> {
    let mut errors = ConfigErrors::default();
    let key = config.secret("private_key");
    if let Some(Err(why)) = key.map(|key| rsa_key(key.expose()).map(drop)) {
        errors.push("private_key", Problem::Rule(why));
    }
    if let Some(own) = config.secret("socket_authorization") {
        let own = own.expose();
        if own.len() < AUTHORIZATION_CHARS_MIN {
            errors.push("socket_authorization", Problem::Rule("16 characters or more"));
        } else if !own.bytes().all(|byte| (b' '..=b'~').contains(&byte)) || own.trim() != own {
            let rule = "letters, digits and signs of ASCII, without blanks around them";
            errors.push("socket_authorization", Problem::Rule(rule));
        }
    }
    errors.into_result()
}

pub(super) fn checklist(config: &RawConfig, state: &SetupState) -> Vec<SetupStep> {
    let has = |field| config.text(field).is_some();
    vec![
        SetupStep {
            key: "signature_secret",
            title: "Enter the signature secret",
            help: "Webhooks are believed only if they are signed with it.",
            done: has("signature_secret"),
            blocks_outbound: false,
        },
        SetupStep {
            key: "webhooks",
            title: "Set the application's webhooks",
            help: "Needs the API secret, or is done by hand in the dashboard.",
            done: has("application_name"),
            blocks_outbound: false,
        },
        SetupStep::caller_id(state),
        SetupStep::inbound_routing(state),
    ]
}

/// Samples a second of the media socket.
pub(super) fn rate_hz(config: &RawConfig) -> u32 {
    let rate = config.text("media_rate").and_then(|rate| rate.parse().ok());
    rate.unwrap_or(16_000)
}

/// Base address of the Voice API.
///
/// A call lives in one region, and is unknown in the others. Where an offered call lives stands in
/// its webhook; only hosts of Vonage are believed there, as requests to it carry a token.
pub(super) fn voice_base(config: &RawConfig) -> &str {
    if let Some(base) = config.text("api_base") {
        return base;
    }
    if let Some(url) = config.text("region_url").and_then(vonage_url) {
        return url;
    }
    match config.text("region") {
        Some("na-east") => "https://api-us-3.vonage.com",
        Some("na-west") => "https://api-us-4.vonage.com",
        Some("eu-west") => "https://api-eu-3.vonage.com",
        Some("eu-east") => "https://api-eu-4.vonage.com",
        Some("apac-sng") => "https://api-ap-3.vonage.com",
        Some("apac-australia") => "https://api-ap-4.vonage.com",
        _ => account_base(config),
    }
}

/// Base address of the Application API.
pub(super) fn account_base(config: &RawConfig) -> &str {
    config.text("api_base").unwrap_or("https://api.nexmo.com")
}

/// Base address of the Numbers API.
pub(super) fn numbers_base(config: &RawConfig) -> &str {
    config.text("api_base").unwrap_or("https://rest.nexmo.com")
}

/// `url`, if it is nothing but an encrypted address of a host of Vonage.
fn vonage_url(url: &str) -> Option<&str> {
    let url = url.trim_end_matches('/');
    let host = url.strip_prefix("https://")?;
    let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    let owned = [".vonage.com", ".nexmo.com"].iter().any(|domain| host.ends_with(domain));
    (plain && owned && !host.contains("..")).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::vonage_url;

    /// Only hosts of Vonage itself get a token, whatever stands in a webhook.
    #[test]
    fn foreign_hosts_are_not_believed() {
        for good in ["https://api-us-3.vonage.com", "https://api-eu-1.nexmo.com/"] {
            assert_eq!(vonage_url(good), Some(good.trim_end_matches('/')));
        }
        for bad in [
            "http://api-us-3.vonage.com",
            "https://vonage.com.evil.example",
            "https://evil.example/.vonage.com",
            "https://evil.example#.vonage.com",
            "https://evil.example?.vonage.com",
            "https://evil.example:1@api.vonage.com",
            "https://evil.example\\.vonage.com",
            "https://evilvonage.com",
            "https://api.vonage.com:8443",
            "https://a..vonage.com",
            "https://",
            "",
        ] {
            assert_eq!(vonage_url(bad), None, "{bad}");
        }
    }
}
