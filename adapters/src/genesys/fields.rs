//! What an organisation at Genesys is told by, and what is still to be done there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::{ConfigErrors, Problem, RawConfig};
use crate::setup::{SetupState, SetupStep};
use crate::ui::rules::LINE;
use crate::ui::{FieldKind, TextRule, UiField, UiSection};

/// Most characters of a key.
const KEY_CHARS_MAX: usize = 512;
/// Fewest characters of an API key: it may be all that proves who connects.
const API_KEY_CHARS_MIN: usize = 16;
/// Fewest bytes of a client secret: fewer could be guessed from one signature.
const SECRET_BYTES_MIN: usize = 16;

const KEY: FieldKind = FieldKind::Password { chars_max: KEY_CHARS_MAX };
const UUID: TextRule = TextRule { format: "uuid", chars_max: 36, read: uuid };

pub(super) const SECTIONS: &[UiSection] = &[
    UiSection {
        name: "account",
        title: "Organisation",
        help: "Whose flows hand calls over, and how they prove it.",
    },
    UiSection { name: "calls", title: "Calls", help: "Which agent takes them." },
];

pub(super) const FIELDS: &[UiField] = &[
    UiField::new("organization_id", "Organisation ID", FieldKind::Text(UUID), "account")
        .required()
        .help("Of the organisation at Genesys, under Account Settings; calls of no other are taken.")
        .placeholder("aaaaaaaa-bbbb-cccc-dddd-0123456789ab"),
    UiField::new("api_key", "API key", KEY, "account")
        .required()
        .help("As it is entered in the integration, of at least 16 characters; each connection shows it."),
    UiField::new("client_secret", "Client secret", KEY, "account").help(
        "As it is entered in the integration, in base64. With it each connection must be signed; \
         without it the API key is all that proves who connects.",
    ),
    UiField::new("to", "Called number where none is told", FieldKind::Text(LINE), "calls")
        .advanced()
        .help("Calls for which Genesys names no called number, as those of web pages, count as made to this one."),
];

fn uuid(text: &str) -> Result<String, &'static str> {
    let text = text.trim().to_ascii_lowercase();
    let known = super::message::is_uuid(&text);
    if known { Ok(text) } else { Err("not a UUID, such as aaaaaaaa-bbbb-cccc-dddd-0123456789ab") }
}

/// The bytes of a client secret.
pub(super) fn secret_bytes(secret: &str) -> Option<Vec<u8>> {
    STANDARD.decode(secret).ok().filter(|bytes| bytes.len() >= SECRET_BYTES_MIN)
}

pub(super) fn check(config: &RawConfig) -> Result<(), ConfigErrors> {
    let mut errors = ConfigErrors::default();
    if let Some(key) = config.secret("api_key") {
        let key = key.expose();
        if key.chars().count() < API_KEY_CHARS_MIN {
            errors.push("api_key", Problem::Rule("16 characters or more"));
        } else if !key.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte)) {
            let rule = "letters, digits and signs of ASCII, without blanks and quotes";
            errors.push("api_key", Problem::Rule(rule));
        }
    }
    let secret = config.secret("client_secret");
    if secret.is_some_and(|secret| secret_bytes(secret.expose()).is_none()) {
        errors.push("client_secret", Problem::Rule("base64 of 16 bytes or more"));
    }
    errors.into_result()
}

pub(super) fn checklist(config: &RawConfig, state: &SetupState) -> Vec<SetupStep> {
    vec![
        SetupStep {
            key: "client_secret",
            title: "Enter the client secret",
            help: "With it connections are signed, and an API key that leaked lets nobody in.",
            done: config.secret("client_secret").is_some(),
            blocks_outbound: false,
        },
        SetupStep::inbound_routing(state),
    ]
}
