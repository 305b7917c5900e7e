//! What the carrier wants to be told, and what a configuration says.

use media::codec::AudioFormat;
use serde_json::{Map, Value};

use super::verify::public_key;
use crate::config::{ConfigErrors, Problem, RawConfig};
use crate::setup::{SetupState, SetupStep};
use crate::ui::rules::LINE;
use crate::ui::{Choice, FieldKind, Literal, TextRule, UiField, UiSection, choice};

pub(super) const SECTIONS: &[UiSection] = &[
    UiSection {
        name: "account",
        title: "Account",
        help: "From the portal: API keys, public key, and the Voice API application.",
    },
    UiSection { name: "media", title: "Audio", help: "How audio travels to and from the carrier." },
    UiSection { name: "calls", title: "Calls", help: "How calls are placed and handed over." },
];

/// A decimal id, kept as text: it has more digits than a number in JSON is sure to keep.
const DECIMAL_ID: TextRule = TextRule { format: "decimal-id", chars_max: 19, read: decimal_id };
const API_KEY_CHARS_MAX: usize = 200;
const ED25519_KEY: TextRule = TextRule { format: "ed25519-key", chars_max: 64, read: ed25519_key };

const REGIONS: &[Choice] = &[choice("us", "api.telnyx.com"), choice("eu", "api.telnyx.eu")];
const CODECS: &[Choice] = &[
    choice("PCMU", "PCMU, 8 kHz"),
    choice("PCMA", "PCMA, 8 kHz"),
    choice("G722", "G.722, 16 kHz"),
    choice("L16", "Linear 16 bit"),
];
const RATES: &[Choice] = &[
    choice("8000", "8 kHz"),
    choice("16000", "16 kHz"),
    choice("24000", "24 kHz"),
    choice("48000", "48 kHz"),
];
const STREAM_CODECS: &[Choice] = &[
    choice("default", "As the telephone's leg has it"),
    choice("PCMU", "PCMU, 8 kHz"),
    choice("PCMA", "PCMA, 8 kHz"),
    choice("G722", "G.722, 16 kHz"),
    choice("L16", "Linear 16 bit"),
];
const ORDERS: &[Choice] = &[
    choice("auto", "Found out from what comes; big-endian until then"),
    choice("big", "Big-endian (network order)"),
    choice("little", "Little-endian"),
];
/// The voice of texts, if no other is named.
pub(super) const VOICE: &str = "AWS.Polly.Joanna";
const DETECTIONS: &[Choice] = &[
    choice("premium", "Premium"),
    choice("detect", "Standard"),
    choice("detect_beep", "Standard, with beep"),
    choice("detect_words", "Standard, by words"),
    choice("greeting_end", "Standard, with the end of the greeting"),
    choice("premium_ios_call_screening_detection", "Premium, with call screening of iOS"),
];

pub(super) const FIELDS: &[UiField] = &[
    UiField::new(
        "api_key",
        "API key",
        FieldKind::Password { chars_max: API_KEY_CHARS_MAX },
        "account",
    )
    .required()
    .help("Keys & Credentials, API keys. Begins with KEY."),
    UiField::new("connection_id", "Application id", FieldKind::Text(DECIMAL_ID), "account")
        .required()
        .help("Voice, Programmable Voice: the id of a Voice API application, not of a SIP connection.")
        .placeholder("1494404757140276705"),
    UiField::new("webhook_public_key", "Public key", FieldKind::Text(ED25519_KEY), "account")
        .required()
        .help("Keys & Credentials, Public key: proves that webhooks are the carrier's.")
        .placeholder("e5U0i1…="),
    UiField::new("region", "API host", FieldKind::Select(REGIONS), "account")
        .default(Literal::Text("us")),
    UiField::api_base("account"),
    UiField::new("application_name", "Application", FieldKind::Text(LINE), "account")
        .managed(true, true),
    UiField::new("media_codec", "Codec to the carrier", FieldKind::Select(CODECS), "media")
        .default(Literal::Text("PCMU"))
        .help("What the carrier is sent. What it sends has a codec of its own."),
    UiField::new("media_rate", "Rate of linear audio", FieldKind::Select(RATES), "media")
        .visible_when("media_codec", Literal::Text("L16"))
        .default(Literal::Text("16000")),
    UiField::new("l16_byte_order", "Order of bytes", FieldKind::Select(ORDERS), "media")
        .visible_when("media_codec", Literal::Text("L16"))
        .default(Literal::Text("auto"))
        .advanced()
        .help("Of linear audio; the carrier does not document it."),
    UiField::new("stream_codec", "Codec from the carrier", FieldKind::Select(STREAM_CODECS), "media")
        .default(Literal::Text("default"))
        .advanced()
        .help("What the carrier is asked to convert the leg's audio to, where it can."),
    UiField::new("send_silence", "Silence while idle", FieldKind::Boolean, "media")
        .default(Literal::Flag(false))
        .advanced()
        .help("Keeps the carrier's packets to the telephone flowing while nothing is said."),
    UiField::new("machine_detection", "Machine detection", FieldKind::Select(DETECTIONS), "calls")
        .default(Literal::Text("premium"))
        .help("Which detection is used for calls that ask for one."),
    UiField::new("unavailable_text", "When nothing works", FieldKind::Text(LINE), "calls")
        .placeholder("Sorry, this number cannot take calls right now.")
        .help(
            "Said to callers if a call cannot be taken at all; that answers it, at its price. \
               Without it the call is refused.",
        ),
    UiField::new("unavailable_voice", "Its voice", FieldKind::Text(LINE), "calls")
        .default(Literal::Text(VOICE))
        .advanced()
        .help("As the carrier names it: AWS.Polly.Joanna, Azure.de-DE-KatjaNeural, Telnyx.KokoroTTS.af."),
    tuning("amd_total_ms", "Longest detection", MILLISECONDS)
        .help("How long is listened until it is unknown who answered."),
    tuning("amd_greeting_ms", "Greeting of a machine", MILLISECONDS)
        .help("Who greets longer than that is a machine."),
    tuning("amd_after_greeting_ms", "Silence after a greeting", MILLISECONDS)
        .help("Who is silent that long after a greeting is a person. Standard detection alone."),
    tuning("amd_between_words_ms", "Silence between words", MILLISECONDS)
        .help("A silence as long as that ends a word. Standard detection alone."),
    tuning("amd_first_silence_ms", "Silence at first", MILLISECONDS)
        .help("Who is silent that long at first is a machine. Standard detection alone."),
    tuning("amd_words", "Words of a machine", FieldKind::Number { min: 1, max: 100, unit: "" })
        .help("Who says more words than that is a machine. Standard detection alone."),
    tuning("amd_word_ms", "Longest word", MILLISECONDS)
        .help("What lasts longer is more than a word. Standard detection alone."),
    tuning("amd_silence_level", "Level of silence", FieldKind::Number { min: 1, max: 32_767, unit: "" })
        .help("What is quieter counts as silence; 256 if nothing is said. Standard detection alone."),
];

/// A value that is left to the carrier unless it is given.
const fn tuning(name: &'static str, label: &'static str, kind: FieldKind) -> UiField {
    UiField::new(name, label, kind, "calls").advanced()
}

const MILLISECONDS: FieldKind = FieldKind::Number { min: 10, max: 60_000, unit: "ms" };

/// Fields that tune the detection of machines, and what the API calls them.
const AMD_TUNING: [(&str, &str); 8] = [
    ("amd_total_ms", "total_analysis_time_millis"),
    ("amd_greeting_ms", "greeting_duration_millis"),
    ("amd_after_greeting_ms", "after_greeting_silence_millis"),
    ("amd_between_words_ms", "between_words_silence_millis"),
    ("amd_first_silence_ms", "initial_silence_millis"),
    ("amd_words", "maximum_number_of_words"),
    ("amd_word_ms", "maximum_word_length_millis"),
    ("amd_silence_level", "silence_threshold"),
];

/// How the detection of machines is tuned, in the carrier's words; empty if it is not.
pub(super) fn amd_tuning(config: &RawConfig) -> Map<String, Value> {
    let tuned = AMD_TUNING.iter().filter_map(|(field, name)| {
        let value: i64 = config.number(field)?;
        Some(((*name).to_owned(), value.into()))
    });
    tuned.collect()
}

fn decimal_id(text: &str) -> Result<String, &'static str> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err("not an id of digits alone")
    }
}

fn ed25519_key(text: &str) -> Result<String, &'static str> {
    if text.starts_with("-----BEGIN") {
        return Err("PEM; the portal shows the key in base64 alone");
    }
    match public_key(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("not an Ed25519 public key: 32 bytes in base64"),
    }
}

pub(super) fn check(config: &RawConfig) -> Result<(), ConfigErrors> {
    match config.text("api_key") {
        Some(key) if !key.starts_with("KEY") => {
            Err(ConfigErrors::one("api_key", Problem::Rule("does not begin with KEY")))
        }
        _ => Ok(()),
    }
}

pub(super) fn checklist(config: &RawConfig, state: &SetupState) -> Vec<SetupStep> {
    vec![
        SetupStep {
            key: "application",
            title: "Point the application at this server",
            help: "Sets webhook address, API version and prices in webhooks of the application.",
            done: config.text("application_name").is_some(),
            blocks_outbound: false,
        },
        SetupStep::caller_id(state),
        SetupStep::inbound_routing(state),
    ]
}

/// Where the REST API is.
pub(super) fn base(config: &RawConfig) -> String {
    let host = match config.text("region") {
        Some("eu") => "https://api.telnyx.eu",
        _ => "https://api.telnyx.com",
    };
    format!("{}/v2", config.text("api_base").unwrap_or(host))
}

/// The order of the bytes of linear audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    /// Big-endian unless what comes looks otherwise.
    Found,
    /// Big-endian.
    Big,
    /// Little-endian.
    Little,
}

pub(super) fn byte_order(config: &RawConfig) -> ByteOrder {
    match config.text("l16_byte_order") {
        Some("big") => ByteOrder::Big,
        Some("little") => ByteOrder::Little,
        _ => ByteOrder::Found,
    }
}

/// A format by the carrier's word and rate; `None` if it is none of those spoken.
pub(super) fn format(encoding: &str, rate_hz: u32, order: ByteOrder) -> Option<AudioFormat> {
    match (encoding, rate_hz) {
        ("PCMU", 8000) => Some(AudioFormat::PCMU),
        ("PCMA", 8000) => Some(AudioFormat::PCMA),
        // Its clock is 8 kHz, its sound 16 kHz (RFC 3551 4.5.2).
        ("G722", 8000 | 16_000) => Some(AudioFormat::G722),
        ("L16", 8000 | 16_000 | 24_000 | 48_000) if order == ByteOrder::Little => {
            Some(AudioFormat::l16le(rate_hz))
        }
        ("L16", 8000 | 16_000 | 24_000 | 48_000) => Some(AudioFormat::l16be(rate_hz)),
        _ => None,
    }
}

/// The carrier's word for the codec that it is sent, and its rate.
pub(super) fn to_carrier(config: &RawConfig) -> (&str, u32) {
    match config.text("media_codec").unwrap_or("PCMU") {
        "L16" => {
            let rate = config.text("media_rate").and_then(|rate| rate.parse().ok());
            ("L16", rate.unwrap_or(16_000))
        }
        codec => (codec, 8000),
    }
}
