//! VICIdial: calls of its remote agents.
//!
//! Its agent API hangs up on customers and hands them to in-groups (`ra_call_control`), its
//! non-agent API changes leads (`update_lead`). Both take parameters from a query or from a form,
//! custom fields of leads from the query alone; what they answer is a line of text that may repeat
//! any of them, the password among them.

use super::fields::{self, AGENT_API, LEAD_API, LEAD_HEADERS, PASSWORD, PREFIX, SOURCE, USER};
use super::{ExternalPbx, FIELDS_MAX, Identity, VALUE_CHARS_MAX};
use crate::config::RawConfig;
use crate::exchange::{
    CarrierError, HttpExchange, HttpRequest, HttpResponse, form, without_numbers,
};
use crate::op::OpResult;
use crate::secret::Pii;

pub(super) static SPEC: ExternalPbx = ExternalPbx {
    name: fields::VICIDIAL,
    header_prefix,
    headers,
    identify,
    hangup,
    transfer,
    update,
    check,
    status_field: STATUS,
};

/// The field that is the status of lead and call.
const STATUS: &str = "status";
/// What every call of a remote agent has.
const HEADERS: [&str; 5] = ["callerid", "user", "lead_id", "campaign_id", "ingroup_id"];
/// Longest value of a header, in characters.
const HEADER_CHARS_MAX: usize = 255;
/// Longest code of a call, name of a user or number of a lead, in characters.
const CODE_CHARS_MAX: usize = 40;
/// Bytes of an answer that are looked at.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Parameters of `update_lead` that are no fields: what finds the lead, and what is done with it.
pub(super) const STEERING: [&str; 31] = [
    "source",
    "user",
    "pass",
    "function",
    "lead_id",
    "format",
    "custom_fields",
    "stage",
    "value",
    "agent_user",
    "search_method",
    "search_location",
    "insert_if_not_found",
    "records",
    "no_update",
    "delete_lead",
    "delete_cf_data",
    "reset_lead",
    "update_phone_number",
    "force_entry_list_id",
    "list_exists_check",
    "use_internal_dnc",
    "use_campaign_dnc",
    "campaign_id",
    "add_to_hopper",
    "remove_from_hopper",
    "hopper_priority",
    "hopper_local_call_time_check",
    "ignore_agentdirect",
    "header",
    "DB",
];

fn header_prefix(config: &RawConfig) -> &str {
    config.text(PREFIX).unwrap_or(fields::USUAL_PREFIX)
}

/// What is said by headers, without their prefix.
fn names(config: &RawConfig) -> Vec<&str> {
    let mut names = HEADERS.to_vec();
    for more in config.texts(LEAD_HEADERS) {
        if !names.contains(&more) {
            names.push(more);
        }
    }
    names
}

fn headers(config: &RawConfig) -> Vec<String> {
    let prefix = header_prefix(config);
    names(config).into_iter().map(|name| format!("{prefix}{name}")).collect()
}

/// What the PBX itself leaves of such a code.
fn is_code(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=CODE_CHARS_MAX).contains(&text.len()) && text.bytes().all(plain)
}

fn identify(config: &RawConfig, headers: &[(String, String)]) -> Option<Identity> {
    let prefix = header_prefix(config);
    let said = |name: &str| {
        let full = format!("{prefix}{name}");
        let (_, value) = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(&full))?;
        let value = value.trim();
        let fits = !value.is_empty()
            && value.chars().count() <= HEADER_CHARS_MAX
            && !value.contains(char::is_control);
        let steers = HEADERS.contains(&name);
        (fits && (!steers || is_code(value))).then(|| Pii::new(value))
    };
    let values = names(config).into_iter();
    let values: Vec<_> = values.filter_map(|name| Some((name.to_owned(), said(name)?))).collect();
    let call = Identity { variable_prefix: "vicidial_", group_name: "ingroup_id", values };
    call.get("callerid").is_some().then_some(call)
}

/// What a request says, first what steers it: the first parameter is never a field of a lead, as
/// the PBX does not find that one among the custom fields.
struct Parameters<'p> {
    url: &'p str,
    source: &'p str,
    steering: Vec<(&'p str, &'p str)>,
    fields: Vec<(&'p str, &'p str)>,
}

impl Parameters<'_> {
    fn request(self, config: &RawConfig) -> Result<HttpRequest, CarrierError> {
        let Self { url, source, steering, fields } = self;
        let user = config.text(USER).ok_or(CarrierError::Config("no user"))?;
        let password = config.secret(PASSWORD).ok_or(CarrierError::Config("no password"))?;
        let credentials = [("user", user), ("pass", password.expose())];
        let first = [("source", source)];
        if !fields::is_posted(config) {
            let query = [&first[..], &credentials, &steering, &fields].concat();
            let mut request = HttpRequest::get(format!("{url}?{}", form(&query)));
            request.repeatable = false;
            return Ok(request);
        }
        let rest = [&first[..], &steering, &fields].concat();
        let (url, body) = match fields.is_empty() {
            true => (url.to_owned(), form(&[&credentials[..], &rest].concat())),
            false => (format!("{url}?{}", form(&rest)), form(&credentials)),
        };
        Ok(HttpRequest::post(url, "application/x-www-form-urlencoded", body))
    }
}

fn source(config: &RawConfig) -> &str {
    config.text(SOURCE).unwrap_or("talkpath")
}

fn control(
    config: &RawConfig,
    call: &Identity,
    stage: &str,
    more: &[(&str, Option<&str>)],
) -> OpResult<()> {
    let url = config.text(AGENT_API).ok_or(CarrierError::Config("no address of the agent API"))?;
    let user = call.get("user").ok_or(CarrierError::Config("the call names no user"))?;
    let code = call.get("callerid").ok_or(CarrierError::Config("the call has no code"))?;
    let mut steering = vec![
        ("agent_user", user),
        ("function", "ra_call_control"),
        ("stage", stage),
        ("value", code),
    ];
    steering.extend(more.iter().filter_map(|(name, value)| Some((*name, (*value)?))));
    let asked = Parameters { url, source: source(config), steering, fields: Vec::new() };
    Ok(Box::new(HttpExchange::new(asked.request(config)?, obeyed)))
}

fn hangup(config: &RawConfig, call: &Identity, status: Option<&str>) -> OpResult<()> {
    control(config, call, "HANGUP", &[(STATUS, status)])
}

fn transfer(
    config: &RawConfig,
    call: &Identity,
    group: &str,
    status: Option<&str>,
) -> OpResult<()> {
    let more = [("ingroup_choices", Some(group)), (STATUS, status)];
    control(config, call, "INGROUPTRANSFER", &more)
}

fn update(config: &RawConfig, call: &Identity, changed: &[(String, String)]) -> OpResult<()> {
    check(changed).map_err(CarrierError::Config)?;
    let url = config.text(LEAD_API).ok_or(CarrierError::Config("no address for leads"))?;
    let lead = call.get("lead_id").filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()));
    let lead = lead.ok_or(CarrierError::Config("the call names no lead"))?;
    let steering = vec![
        ("function", "update_lead"),
        ("lead_id", lead),
        ("format", "text"),
        ("custom_fields", "Y"),
    ];
    let fields = changed.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let asked = Parameters { url, source: source(config), steering, fields: fields.collect() };
    Ok(Box::new(HttpExchange::new(asked.request(config)?, updated)))
}

fn check(changed: &[(String, String)]) -> Result<(), &'static str> {
    if changed.is_empty() || changed.len() > FIELDS_MAX {
        return Err("fields: none, or more than 32");
    }
    for (at, (name, value)) in changed.iter().enumerate() {
        fields::lead_field(name)?;
        let before = changed.get(..at).unwrap_or_default();
        if before.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return Err("fields: one is named twice");
        }
        if value.chars().count() > VALUE_CHARS_MAX || value.contains(char::is_control) {
            return Err("fields: a value is longer than 512 characters, or of several lines");
        }
        if name == STATUS {
            fields::status(value)?;
        }
    }
    Ok(())
}

/// What a successful answer says.
fn text(answer: &HttpResponse) -> Result<String, CarrierError> {
    if let Some(error) = CarrierError::from_status(answer, None) {
        return Err(error);
    }
    let body = answer.body.get(..ANSWER_BYTES_MAX).unwrap_or(&answer.body);
    Ok(String::from_utf8_lossy(body).into_owned())
}

/// The agent API has done what it was asked for.
fn obeyed(answer: &HttpResponse) -> Result<(), CarrierError> {
    let text = text(answer)?;
    if text.trim_start().starts_with("SUCCESS") { Ok(()) } else { Err(refusal(&text)) }
}

/// The lead has been changed. Of several lines one that says so is enough.
fn updated(answer: &HttpResponse) -> Result<(), CarrierError> {
    let text = text(answer)?;
    let done = |line: &str| {
        line.trim_start().starts_with("SUCCESS") || line.contains("CUSTOM FIELDS VALUES UPDATED")
    };
    if text.lines().any(done) { Ok(()) } else { Err(refusal(&text)) }
}

/// Why not, without what was repeated of the request: that begins at the first mark.
fn refusal(text: &str) -> CarrierError {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let Some(line) = lines().find(|line| line.starts_with("ERROR")).or_else(|| lines().next())
    else {
        return CarrierError::Answer("it says nothing");
    };
    let Some(why) = line.strip_prefix("ERROR") else {
        return CarrierError::Answer("neither SUCCESS nor ERROR");
    };
    let why = why.trim_start_matches(':').trim_start();
    let end = why.find(['|', ':', '=', '&']).unwrap_or(why.len());
    let why = why.get(..end).unwrap_or_default();
    let why = why.split(" - ").next().unwrap_or_default().trim();
    let plain = |it: &char| it.is_ascii_alphanumeric() || " _-/.".contains(*it);
    let why = without_numbers(&why.chars().filter(plain).collect::<String>());
    let upper = why.to_ascii_uppercase();
    let says = |words: &[&str]| words.iter().any(|word| upper.contains(word));
    if says(&["INVALID USERNAME/PASSWORD", "LOGIN INCORRECT", "BAD PASSWORD"]) {
        CarrierError::Credentials
    } else if says(&["PERMISSION", "NOT ACTIVE", "NOT ALLOWED"]) {
        CarrierError::NotPermitted(Some(why))
    } else {
        CarrierError::Refused { status: 200, code: (!why.is_empty()).then_some(why) }
    }
}
