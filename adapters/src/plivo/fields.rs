//! What the carrier wants to be told, and what a configuration says.

use media::codec::AudioFormat;

use crate::config::{ConfigErrors, Problem, RawConfig};
use crate::setup::{SetupState, SetupStep};
use crate::ui::rules::LINE;
use crate::ui::{Choice, FieldKind, Literal, TextRule, UiField, UiSection, choice};

pub(super) const SECTIONS: &[UiSection] = &[
    UiSection {
        name: "account",
        title: "Account",
        help: "From the console's overview, or of a subaccount.",
    },
    UiSection {
        name: "calls",
        title: "Calls",
        help: "What callers are told when they cannot be taken.",
    },
    UiSection { name: "media", title: "Audio", help: "How audio travels to and from the carrier." },
    UiSection { name: "security", title: "Signatures", help: "What proves who calls." },
];

const ACCOUNT: TextRule = TextRule { format: "account-id", chars_max: 20, read: account };
const TOKEN: FieldKind = FieldKind::Password { chars_max: 100 };

const CODECS: &[Choice] = &[choice("PCMU", "µ-law, 8 kHz"), choice("L16", "Linear 16 bit")];
const RATES: &[Choice] =
    &[choice("8000", "8 kHz"), choice("16000", "16 kHz"), choice("24000", "24 kHz")];
const ORDERS: &[Choice] = &[choice("little", "Little-endian"), choice("big", "Big-endian")];
const SOCKET: &[Choice] = &[
    choice("log", "The token in the address decides, a wrong signature is logged"),
    choice("require", "A signature is required too"),
    choice("off", "The token in the address decides alone"),
];

const LINEAR: Literal = Literal::Text("L16");

pub(super) const FIELDS: &[UiField] = &[
    UiField::new("auth_id", "Auth ID", FieldKind::Text(ACCOUNT), "account")
        .steers()
        .required()
        .help("20 characters; begins with MA, or with SA for a subaccount.")
        .placeholder("MAXXXXXXXXXXXXXXXXXX"),
    UiField::new("auth_token", "Auth Token", TOKEN, "account").required(),
    UiField::new("main_auth_id", "Main Auth ID", FieldKind::Text(ACCOUNT), "account")
        .advanced()
        .help("Of the main account, if the account is a subaccount: webhooks may name it."),
    UiField::new("main_auth_token", "Main Auth Token", TOKEN, "account")
        .advanced()
        .help("Of the main account, if the account is a subaccount whose webhooks it signs."),
    UiField::api_base("account"),
    UiField::new("application_id", "Application", FieldKind::Text(LINE), "account")
        .managed(true, true),
    UiField::new("unavailable_text", "When nothing works", FieldKind::Text(LINE), "calls")
        .placeholder("Sorry, this number cannot take calls right now.")
        .help(
            "Said to callers if a call cannot be taken at all; that answers it, at its price. \
               Without it the call is refused.",
        ),
    UiField::new("media_codec", "Codec", FieldKind::Select(CODECS), "media")
        .default(Literal::Text("PCMU"))
        .help("Of both directions."),
    UiField::new("media_rate", "Rate of linear audio", FieldKind::Select(RATES), "media")
        .visible_when("media_codec", LINEAR)
        .default(Literal::Text("16000")),
    UiField::new("l16_byte_order", "Order of bytes", FieldKind::Select(ORDERS), "media")
        .visible_when("media_codec", LINEAR)
        .default(Literal::Text("little"))
        .advanced()
        .help("Of linear audio; the carrier does not document it."),
    UiField::new("noise_cancellation", "Noise cancellation", FieldKind::Boolean, "media")
        .default(Literal::Flag(false))
        .advanced()
        .help("By the carrier, at its price."),
    UiField::new(
        "noise_cancellation_level",
        "Its level",
        FieldKind::Number { min: 60, max: 100, unit: "" },
        "media",
    )
    .visible_when("noise_cancellation", Literal::Flag(true))
    .default(Literal::Number(85))
    .advanced(),
    UiField::new("socket_signature", "Media socket", FieldKind::Select(SOCKET), "security")
        .default(Literal::Text("log"))
        .advanced()
        .help("The carrier signs the opening of sockets too, in a way that it does not document."),
    UiField::new("accept_v2", "Accept older signatures", FieldKind::Boolean, "security")
        .default(Literal::Flag(false))
        .advanced()
        .help(
            "Signatures of version 2 cover neither query nor body: who saw one can forge others.",
        ),
];

fn account(text: &str) -> Result<String, &'static str> {
    let known = text.starts_with("MA") || text.starts_with("SA");
    if known && text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(text.to_owned())
    } else {
        Err("not 20 letters and digits that begin with MA or SA")
    }
}

pub(super) fn check(config: &RawConfig) -> Result<(), ConfigErrors> {
    match config.text("main_auth_id") {
        Some(main) if !main.starts_with("MA") => {
            Err(ConfigErrors::one("main_auth_id", Problem::Rule("does not begin with MA")))
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

/// The format of both directions.
pub(super) fn audio(config: &RawConfig) -> AudioFormat {
    if config.text("media_codec") != Some("L16") {
        return AudioFormat::PCMU;
    }
    let rate = config.text("media_rate").and_then(|rate| rate.parse().ok()).unwrap_or(16_000);
    linear(config, rate)
}

pub(super) fn linear(config: &RawConfig, rate_hz: u32) -> AudioFormat {
    match config.text("l16_byte_order") {
        Some("big") => AudioFormat::l16be(rate_hz),
        _ => AudioFormat::l16le(rate_hz),
    }
}

/// The carrier's word for the format, without the rate.
pub(super) fn content_type(audio: AudioFormat) -> &'static str {
    if audio == AudioFormat::PCMU { "audio/x-mulaw" } else { "audio/x-l16" }
}
