//! A carrier that does not exist: signed hooks, a media stream, operations of one request and of
//! several, a flow, trunks, fields of every owner. What it proves is that the seam carries them.
//!
//! It is written as a folder of `adapters/src` is, and can be one: the test `adding` makes it so.

mod flow;
mod hooks;
mod ops;
mod stream;

use crate::config::ConfigErrors;
use crate::op::{ApiLimits, CallOps, Rate, TrunkOps};
use crate::setup::numbers_only;
use crate::spec::{MediaPlan, MediaTransport, ProviderSpec, WireFormat};
use crate::ui::{Choice, Connectivity, FieldKind, Literal, UiField, UiMetadata, UiSection, rules};
use media::codec::AudioFormat;

const FIELDS: &[UiField] = &[
    UiField::new("account_id", "Account", FieldKind::Text(rules::LINE), "account").required(),
    UiField::new("api_key", "API key", FieldKind::Password { chars_max: 100 }, "account")
        .required(),
    UiField::new(
        "signing_keys",
        "Signing keys",
        FieldKind::Map { key: rules::LINE, value: rules::LINE, entries_max: 4 },
        "account",
    )
    .secret()
    .required()
    .help("Secrets of webhooks by their id."),
    UiField::new("region", "Region", FieldKind::Select(REGIONS), "account")
        .default(Literal::Text("eu")),
    UiField::new("numbers", "Numbers", FieldKind::Phones { entries_max: 100 }, "account"),
    UiField::new("client_cert.enabled", "Client certificate", FieldKind::Boolean, "account")
        .default(Literal::Flag(false)),
    UiField::new("client_cert.key", "Its key", FieldKind::Textarea(rules::PEM), "account")
        .visible_when("client_cert.enabled", Literal::Flag(true))
        .required()
        .secret(),
    UiField::api_base("account"),
    UiField::new("app_name", "Application", FieldKind::Text(rules::LINE), "account")
        .managed(true, false),
    UiField::new("app_id", "Application id", FieldKind::Text(rules::LINE), "account")
        .managed(false, true),
];

const REGIONS: &[Choice] =
    &[Choice { value: "eu", label: "Europe" }, Choice { value: "us", label: "America" }];

const TRUNK_FIELDS: &[UiField] =
    &[UiField::new("domain", "SIP domain", FieldKind::Text(rules::HOST), "trunk").required()];

/// The carrier that does not exist.
pub(crate) static SPEC: ProviderSpec = ProviderSpec {
    name: "acme",
    ui: UiMetadata {
        display_name: "Acme",
        summary: "A carrier that does not exist.",
        docs_url: Some("https://acme.example/docs"),
        connectivity: Connectivity::Api,
        sections: &[UiSection { name: "account", title: "Account", help: "" }],
        fields: FIELDS,
    },
    account_field: Some("account_id"),
    requires_caller_id: true,
    media: &[MediaPlan {
        transport: MediaTransport::WebSocket,
        formats: &[WireFormat { audio: AudioFormat::PCMU, ptime_ms: 20 }],
        buffer_ms: 80,
    }],
    check: |_| Ok::<(), ConfigErrors>(()),
    checklist: numbers_only,
    hooks: hooks::HOOKS,
    inbound: Some(hooks::INBOUND),
    calls: CallOps {
        originate: Some(ops::originate),
        hangup: Some(ops::hangup),
        transfer: Some(ops::transfer),
        join: Some(ops::join),
        take_back: Some(ops::take_back),
        dtmf: Some(ops::dtmf),
        record: Some(ops::record),
        status: Some(ops::status),
        cost: Some(ops::cost),
        numbers: Some(ops::numbers),
        bind: Some(ops::bind),
        test: Some(ops::test),
        provision: Some(ops::provision),
    },
    authorize: Some(ops::authorize),
    limits: ApiLimits {
        originate: Some(Rate { count: 1, window_ms: 1_000 }),
        requests: Some(Rate { count: 10, window_ms: 3_000 }),
    },
    trunks: Some(TrunkOps {
        fields: TRUNK_FIELDS,
        apply: ops::apply_trunk,
        remove: ops::remove_trunk,
    }),
    flow: Some(flow::open),
    events: Some(flow::EVENTS),
    stream: Some(stream::open),
    verify_socket: Some(hooks::verify_socket),
    sip: None,
    #[cfg(feature = "emulate")]
    emulator: None,
};
