//! What a SIP trunk wants to be told.

use crate::external_pbx;
use crate::ui::rules::{
    COUNTRY, E164, HEADER, HEADER_VALUE, HOST, HOST_PORT, LINE, NETWORK, PEM, SIP_URI, SIP_USER,
};
use crate::ui::{FieldKind, Literal, UiField, UiSection, choice};

const YES: Literal = Literal::Flag(true);
const TLS: Literal = Literal::Text("tls");

pub(super) const SECTIONS: &[UiSection] = &[
    UiSection { name: "inbound", title: "Calls in", help: "Who may call, and what agents see." },
    UiSection {
        name: "outbound",
        title: "Calls out",
        help: "Where calls go and how numbers are written.",
    },
    UiSection {
        name: "account",
        title: "Account",
        help: "For peers that ask for a password or want a registration.",
    },
    UiSection { name: "security", title: "Transport", help: "How signalling and audio travel." },
    UiSection { name: "media", title: "Audio", help: "Codecs and digits." },
    UiSection { name: "limits", title: "Limits", help: "Bounds of the traffic, and health." },
    external_pbx::SECTION,
];

const TARGETS: &[UiField] = &[
    UiField::new("host", "Host", FieldKind::Text(HOST), "outbound")
        .steers()
        .required()
        .help("Name or address of the peer.")
        .placeholder("sip.example.com"),
    UiField::new("port", "Port", number(1, 65_535, ""), "outbound")
        .steers()
        .help("Found out from DNS, or the standard port, if empty.")
        .placeholder("5060"),
    UiField::new("priority", "Priority", number(0, 65_535, ""), "outbound")
        .default(Literal::Number(10))
        .help("Lower ones are tried first."),
    UiField::new("weight", "Weight", number(0, 65_535, ""), "outbound")
        .default(Literal::Number(10))
        .help("Share of the calls among those with the same priority."),
];

const fn number(min: i64, max: i64, unit: &'static str) -> FieldKind {
    FieldKind::Number { min, max, unit }
}

pub(super) const FIELDS: &[UiField] = &external_pbx::with::<{ external_pbx::count(OWN) }>(OWN);

const OWN: &[UiField] = &[
    UiField::new("inbound.enabled", "Take calls", FieldKind::Boolean, "inbound").default(YES),
    UiField::new(
        "inbound.networks",
        "Allowed networks",
        FieldKind::List { rule: NETWORK, entries_max: 256 },
        "inbound",
    )
    .visible_when("inbound.enabled", YES)
    .required()
    .help("Addresses and networks that calls come from; calls from elsewhere are refused.")
    .placeholder("203.0.113.0/24"),
    UiField::new(
        "inbound.headers",
        "Headers for agents",
        FieldKind::List { rule: HEADER, entries_max: 32 },
        "inbound",
    )
    .visible_when("inbound.enabled", YES)
    .help("SIP headers of the INVITE that agents are shown.")
    .placeholder("X-Tenant"),
    UiField::new("country", "Country of bare numbers", FieldKind::Text(COUNTRY), "inbound")
        .help("Numbers without + are read as they are dialled there.")
        .placeholder("DE"),
    UiField::new("outbound.enabled", "Place calls", FieldKind::Boolean, "outbound")
        .default(Literal::Flag(false)),
    UiField::new(
        "outbound.targets",
        "Targets",
        FieldKind::Rows { fields: TARGETS, entries_max: 16 },
        "outbound",
    )
    .visible_when("outbound.enabled", YES)
    .required()
    .help("Where calls go. If one does not answer, the next is tried."),
    UiField::new("outbound.proxy", "Outbound proxy", FieldKind::Text(SIP_URI), "outbound")
        .steers()
        .visible_when("outbound.enabled", YES)
        .help("Requests pass it first.")
        .placeholder("sip:proxy.example.com;lr"),
    UiField::new("outbound.caller_id", "Caller id", FieldKind::Text(E164), "outbound")
        .visible_when("outbound.enabled", YES)
        .help("The calling number when a call names none.")
        .placeholder("+4930123456"),
    UiField::new(
        "outbound.caller_id_header",
        "Caller id in",
        FieldKind::Select(&[
            choice("from", "From"),
            choice("p_asserted_identity", "P-Asserted-Identity and From"),
            choice("remote_party_id", "Remote-Party-ID and From"),
        ]),
        "outbound",
    )
    .visible_when("outbound.enabled", YES)
    .default(Literal::Text("from"))
    .help("The header in which the peer looks for the calling number."),
    UiField::new(
        "outbound.number_format",
        "Numbers are written",
        FieldKind::Select(&[
            choice("plus", "+4930123456"),
            choice("digits", "4930123456, without +"),
        ]),
        "outbound",
    )
    .visible_when("outbound.enabled", YES)
    .default(Literal::Text("plus")),
    UiField::new(
        "outbound.headers",
        "Headers to add",
        FieldKind::Map { key: HEADER, value: HEADER_VALUE, entries_max: 32 },
        "outbound",
    )
    .visible_when("outbound.enabled", YES)
    .help("Added to each INVITE, by name."),
    UiField::new("auth.enabled", "The peer asks for a password", FieldKind::Boolean, "account")
        .default(Literal::Flag(false)),
    UiField::new("auth.user", "User name", FieldKind::Text(LINE), "account")
        .visible_when("auth.enabled", YES)
        .required(),
    UiField::new("auth.password", "Password", FieldKind::Password { chars_max: 255 }, "account")
        .visible_when("auth.enabled", YES)
        .required(),
    UiField::new("auth.realm", "Realm", FieldKind::Text(LINE), "account")
        .visible_when("auth.enabled", YES)
        .help("The realm the password is for; any realm if empty."),
    UiField::new("registration.enabled", "Register", FieldKind::Boolean, "account")
        .default(Literal::Flag(false))
        .help("For peers that send calls to where one registered."),
    UiField::new("registration.registrar", "Registrar", FieldKind::Text(HOST_PORT), "account")
        .steers()
        .visible_when("registration.enabled", YES)
        .required()
        .placeholder("sip.example.com"),
    UiField::new("registration.user", "Registered user", FieldKind::Text(SIP_USER), "account")
        .visible_when("registration.enabled", YES)
        .required()
        .help("User part of the address that is registered."),
    UiField::new("registration.expires_s", "Registered for", number(60, 86_400, "s"), "account")
        .visible_when("registration.enabled", YES)
        .default(Literal::Number(600)),
    UiField::new(
        "transport",
        "Transport",
        FieldKind::Select(&[choice("udp", "UDP"), choice("tcp", "TCP"), choice("tls", "TLS")]),
        "security",
    )
    .default(Literal::Text("udp"))
    .help(
        "Of requests that we send first. Calls are taken by any transport this server listens on.",
    ),
    UiField::new("tls.verify", "Verify the certificate", FieldKind::Boolean, "security")
        .visible_when("transport", TLS)
        .default(YES)
        .help("It always is, and `no` is refused; who has one of their own names its authority below."),
    UiField::new("tls.server_name", "Name in the certificate", FieldKind::Text(HOST), "security")
        .visible_when("transport", TLS)
        .help("That of the target if empty."),
    UiField::new("tls.ca_pem", "Trusted certificates", FieldKind::Textarea(PEM), "security")
        .visible_when("transport", TLS)
        .help("In PEM; those the system trusts if empty."),
    UiField::new(
        "srtp",
        "Encrypted audio (SRTP)",
        FieldKind::Select(&[
            choice("off", "never"),
            choice("optional", "if the peer offers it"),
            choice("required", "always"),
        ]),
        "security",
    )
    .default(Literal::Text("off"))
    .help("Always needs TLS, because the keys travel with the signalling."),
    UiField::new(
        "codecs",
        "Codecs",
        FieldKind::Choices(&[
            choice("PCMU", "G.711 µ-law"),
            choice("PCMA", "G.711 A-law"),
            choice("G722", "G.722"),
        ]),
        "media",
    )
    .default(Literal::Texts(&["PCMU", "PCMA"]))
    .help("Offered and accepted, best first."),
    UiField::new(
        "dtmf",
        "Digits are sent",
        FieldKind::Select(&[
            choice("rtp", "in RTP (RFC 4733)"),
            choice("info", "by SIP INFO"),
            choice("inband", "as tones in the audio"),
        ]),
        "media",
    )
    .default(Literal::Text("rtp")),
    UiField::new("limits.calls_max", "Most calls at a time", number(1, 1_000_000, ""), "limits"),
    UiField::new(
        "limits.calls_per_second",
        "Most new calls a second",
        number(1, 10_000, "1/s"),
        "limits",
    )
    .help("Each way. Beyond it calls are refused with 503 and held back."),
    UiField::new("options_interval_s", "Ask for life every", number(5, 3_600, "s"), "limits")
        .help("OPTIONS requests that tell whether the peer is there; none if empty."),
];
