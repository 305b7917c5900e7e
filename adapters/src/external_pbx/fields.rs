//! What a configuration says of the PBX that owns its calls.

use super::template;
use crate::network::HostPort;
use crate::ui::rules::HEADER;
use crate::ui::{Choice, FieldKind, Literal, TextRule, UiField, UiSection};

pub(super) const TYPE: &str = "external_pbx.type";
pub(super) const AGENT_API: &str = "external_pbx.agent_api_url";
pub(super) const LEAD_API: &str = "external_pbx.lead_api_url";
pub(super) const USER: &str = "external_pbx.user";
pub(super) const PASSWORD: &str = "external_pbx.password";
pub(super) const SOURCE: &str = "external_pbx.source";
pub(super) const SENT_BY: &str = "external_pbx.sent_by";
pub(super) const PREFIX: &str = "external_pbx.header_prefix";
pub(super) const LEAD_HEADERS: &str = "external_pbx.lead_headers";
pub(super) const GROUPS: &str = "external_pbx.groups";
pub(super) const LEAD_FIELDS: &str = "external_pbx.lead_fields";
pub(super) const HANGUP_STATUS: &str = "external_pbx.hangup_status";
pub(super) const TRANSFER_STATUS: &str = "external_pbx.transfer_status";
pub(super) const TIMEOUT: &str = "external_pbx.timeout_s";

/// The value of [`TYPE`] for VICIdial.
pub(super) const VICIDIAL: &str = "vicidial";
/// The value of [`SENT_BY`] for a form in the body.
const POST: &str = "post";
/// What the names of its headers begin with.
pub(super) const USUAL_PREFIX: &str = "X-VICIDIAL-";

const ON: Literal = Literal::Text(VICIDIAL);
const URL: TextRule = TextRule { format: "http-url", chars_max: 255, read: url };
const ACCOUNT: TextRule = TextRule { format: "pbx-user", chars_max: 20, read: account };
const SOURCE_WORD: TextRule = TextRule { format: "pbx-source", chars_max: 20, read: source };
const GROUP_NAME: TextRule = TextRule { format: "name", chars_max: 64, read: group_name };
const GROUP_ID: TextRule = TextRule { format: "pbx-group", chars_max: 20, read: group_id };
const LEAD_FIELD: TextRule = TextRule { format: "lead-field", chars_max: 64, read: lead_field };
const LEAD_HEADER: TextRule = TextRule { format: "lead-field", chars_max: 40, read: plain_name };
const TEMPLATE: TextRule = TextRule { format: "template", chars_max: 255, read: template::check };
const STATUS: TextRule = TextRule { format: "pbx-status", chars_max: 6, read: status };

/// Most headers beside those that every call of the PBX has: by some ways each is a request.
const LEAD_HEADERS_MAX: usize = 16;
/// Most entries of a map.
const ENTRIES_MAX: usize = 32;

/// Where the fields stand in a form.
pub(crate) const SECTION: UiSection = UiSection {
    name: "external_pbx",
    title: "PBX in front",
    help: "For a dialler that owns the customer's leg and hands calls on to here.",
};

const fn new(name: &'static str, label: &'static str, kind: FieldKind) -> UiField {
    UiField::new(name, label, kind, "external_pbx").visible_when(TYPE, ON)
}

const FIELDS: &[UiField] = &[
    UiField::new(
        TYPE,
        "Calls belong to",
        FieldKind::Select(&[
            Choice { value: "none", label: "Nobody else" },
            Choice { value: VICIDIAL, label: "VICIdial" },
        ]),
        "external_pbx",
    )
    .default(Literal::Text("none"))
    .help("VICIdial: remote agents whose calls come here; it hangs up on customers for us."),
    new(AGENT_API, "Agent API", FieldKind::Text(URL))
        .required()
        .steers()
        .help("With https over other networks than your own.")
        .placeholder("https://dialer.example.com/agc/api.php"),
    new(LEAD_API, "Non-agent API", FieldKind::Text(URL))
        .steers()
        .help("For what is written into leads.")
        .placeholder("https://dialer.example.com/vicidial/non_agent_api.php"),
    new(USER, "API user", FieldKind::Text(ACCOUNT))
        .required()
        .help("With leave to use both APIs, and to modify leads."),
    new(PASSWORD, "Password", FieldKind::Password { chars_max: 100 }).required(),
    new(GROUPS, "In-groups", map(GROUP_NAME, GROUP_ID))
        .help("Names that agents call them by, and their ids; without any, ids are names. source is the call's own."),
    new(LEAD_FIELDS, "Written at the end", map(LEAD_FIELD, TEMPLATE))
        .help("Lead field, and what is written: {cause}, {duration_s}, {call_id}, {agent}, and what headers said, such as {lead_id}."),
    new(HANGUP_STATUS, "Status of a hang-up", FieldKind::Text(STATUS))
        .help("Unless the agent gives one.")
        .placeholder("AIHUP"),
    new(TRANSFER_STATUS, "Status of a transfer", FieldKind::Text(STATUS))
        .help("Unless the agent gives one.")
        .placeholder("AIXFER"),
    new(
        LEAD_HEADERS,
        "Lead fields in headers",
        FieldKind::List { rule: LEAD_HEADER, entries_max: LEAD_HEADERS_MAX },
    )
    .help("Headers besides callerid, user, lead_id, campaign_id and ingroup_id, without their prefix.")
    .placeholder("first_name"),
    new(PREFIX, "Prefix of headers", FieldKind::Text(HEADER))
        .default(Literal::Text(USUAL_PREFIX))
        .advanced(),
    new(SOURCE, "Name for its log", FieldKind::Text(SOURCE_WORD))
        .default(Literal::Text("talkpath"))
        .advanced(),
    new(
        SENT_BY,
        "Requests are sent by",
        FieldKind::Select(&[
            Choice { value: POST, label: "POST: the password is in no log" },
            Choice { value: "get", label: "GET, for hosts that take nothing else" },
        ]),
    )
    .default(Literal::Text(POST))
    .advanced(),
    new(TIMEOUT, "Requests may take", FieldKind::Number { min: 1, max: 30, unit: "s" })
        .default(Literal::Number(5))
        .help("A hang-up waits that long at most.")
        .advanced(),
];

const fn map(key: TextRule, value: TextRule) -> FieldKind {
    FieldKind::Map { key, value, entries_max: ENTRIES_MAX }
}

/// How many fields there are with those of a PBX.
pub(crate) const fn count(own: &[UiField]) -> usize {
    own.len() + FIELDS.len()
}

/// A provider's own fields, and behind them those of the PBX that its calls may belong to.
pub(crate) const fn with<const N: usize>(own: &[UiField]) -> [UiField; N] {
    let mut all = [FIELDS[0]; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < own.len() { own[at] } else { FIELDS[at - own.len()] };
        at += 1;
    }
    all
}

/// True if credentials are sent in a form, not in the query.
pub(super) fn is_posted(config: &crate::config::RawConfig) -> bool {
    config.text(SENT_BY).is_none_or(|word| word == POST)
}

/// `http(s)://host[:port]/path` without a query.
fn url(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "not http:// or https://, a host, perhaps a port, and a path";
    let (scheme, rest) = text.split_once("://").ok_or(WRONG)?;
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https") {
        return Err(WRONG);
    }
    let (host, path) = rest.split_once('/').ok_or(WRONG)?;
    let host: HostPort = host.parse().map_err(|_| WRONG)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let dots = path.split('/').any(|part| matches!(part, "." | ".."));
    if path.is_empty() || dots || !path.bytes().all(plain) {
        return Err(WRONG);
    }
    Ok(format!("{scheme}://{host}/{path}"))
}

/// What the PBX leaves of a user's name.
fn account(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let fits = text.len() > 1 && text.bytes().all(plain);
    if fits { Ok(text.to_owned()) } else { Err("not letters, digits, - and _, two or more") }
}

fn source(text: &str) -> Result<String, &'static str> {
    let fits = text.len() > 1 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if fits { Ok(text.to_owned()) } else { Err("not letters and digits, two or more") }
}

fn group_name(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
    if text.bytes().all(plain) { Ok(text.to_owned()) } else { Err("not letters, digits and -_.+") }
}

/// The id of an in-group.
pub(super) fn group_id(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let fits = (1..=GROUP_ID.chars_max).contains(&text.len()) && text.bytes().all(plain);
    if fits { Ok(text.to_owned()) } else { Err("not the id of an in-group") }
}

fn plain_name(text: &str) -> Result<String, &'static str> {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let fits = first && text.len() <= LEAD_FIELD.chars_max && text.bytes().all(plain);
    if fits { Ok(text.to_owned()) } else { Err("not the name of a lead field") }
}

/// The name of a field that may be written: no parameter that steers the request.
pub(super) fn lead_field(text: &str) -> Result<String, &'static str> {
    if super::vicidial::STEERING.iter().any(|name| name.eq_ignore_ascii_case(text)) {
        return Err("this name steers the request and is no field of a lead");
    }
    plain_name(text)
}

/// A status of a call or lead.
pub(super) fn status(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let fits = (1..=STATUS.chars_max).contains(&text.len()) && text.bytes().all(plain);
    if fits { Ok(text.to_owned()) } else { Err("not a status: one to six letters and digits") }
}
