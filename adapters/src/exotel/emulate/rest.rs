//! The carrier's API.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Call, Carrier, Number, State};
use crate::emulate::api::{self, respond};
use crate::emulate::form;
use crate::emulate::{Clock, Fault, Told};
use crate::exchange::{HttpRequest, HttpResponse};

/// Limits of the documents.
const STREAM_URL_CHARS_MAX: usize = 600;
const STREAM_NAME_CHARS_MAX: usize = 32;
const CUSTOM_CHARS_MAX: usize = 128;
const LIMIT_S_MAX: u64 = 14_400;
/// How long a telephone rings if nobody says.
const RING_S: u64 = 60;

fn error(status: u16, text: &str) -> HttpResponse {
    respond(status, &json!({"RestException": {"Status": status, "Message": text}}))
}

/// What a request is about: the word of its faults.
fn operation(method: &str, parts: &[&str]) -> &'static str {
    match (method, parts) {
        ("POST", ["calls", "connect"]) => "originate",
        ("GET", ["calls", _]) => "status",
        ("GET", ["incomingphonenumbers"]) => "numbers",
        ("PUT", ["incomingphonenumbers", _]) => "bind",
        _ => "other",
    }
}

pub(super) fn handle(
    carrier: &mut Carrier,
    clock: Clock,
    request: &HttpRequest,
) -> Option<HttpResponse> {
    let (path, _) = api::place(request);
    let whole: Vec<&str> = path.split('/').collect();
    let at = whole.iter().position(|part| matches!(*part, "v1" | "v2_beta"));
    // Large and small letters are one in names of places, and count in ids.
    let [_, accounts, account, place, rest @ ..] =
        at.and_then(|at| whole.get(at..)).unwrap_or_default()
    else {
        return Some(error(404, "Resource not found"));
    };
    let place = place.to_ascii_lowercase();
    let mut parts = vec![&*place];
    parts.extend(rest);
    if !accounts.eq_ignore_ascii_case("accounts") {
        return Some(error(404, "Resource not found"));
    }
    let fault = carrier.quirks.fault(operation(request.method.as_str(), &parts));
    match fault {
        Some(Fault::Status(status)) => return Some(error(status, "a fault")),
        Some(Fault::Malformed) => return Some(respond(200, &json!("<html>"))),
        Some(Fault::Lost) => return None,
        Some(Fault::Silent) | None => {}
    }
    let pair = STANDARD.encode(format!("{}:{}", carrier.key, carrier.token));
    let given = request.headers.get("authorization").and_then(|value| value.to_str().ok());
    let known = given == Some(&format!("Basic {pair}")) && *account == carrier.account;
    let answer = if known {
        let body = form::read(&String::from_utf8_lossy(&request.body));
        route(carrier, clock, request.method.as_str(), &parts, &body)
    } else {
        error(401, "Authentication failed")
    };
    (fault != Some(Fault::Silent)).then_some(answer)
}

fn route(
    carrier: &mut Carrier,
    clock: Clock,
    method: &str,
    parts: &[&str],
    body: &[(String, String)],
) -> HttpResponse {
    match (method, parts) {
        ("POST", ["calls", "connect"]) => dial(carrier, clock, body),
        ("GET", ["calls", id]) => {
            let id = id.trim_end_matches(".json");
            match carrier.calls.iter().find(|call| call.id == id) {
                Some(call) => respond(200, &json!({ "Call": described(call) })),
                None => error(404, "No call"),
            }
        }
        ("GET", ["incomingphonenumbers"]) => {
            let numbers: Vec<_> = carrier.numbers.iter().map(listed).collect();
            respond(200, &json!({ "incoming_phone_numbers": numbers }))
        }
        ("PUT", ["incomingphonenumbers", sid]) => {
            let found = carrier.numbers.iter_mut().find(|number| number.sid == *sid);
            match (found, form::value(body, "VoiceUrl")) {
                (Some(number), Some(url)) => {
                    url.clone_into(&mut number.voice_url);
                    respond(200, &listed(number))
                }
                (Some(_), None) => error(400, "nothing to change"),
                (None, _) => error(404, "No number"),
            }
        }
        _ => error(404, "Resource not found"),
    }
}

fn listed(number: &Number) -> Value {
    json!({"sid": number.sid, "phone_number": number.number, "friendly_name": number.number,
        "voice_url": number.voice_url, "capabilities": {"voice": true, "sms": false}})
}

fn described(call: &Call) -> Value {
    let (status, duration) = match (call.state, call.ended) {
        (_, Some((status, seconds))) => (status, Some(seconds.to_string())),
        (State::Ringing, None) => ("ringing", None),
        (State::Answered | State::Over, None) => ("in-progress", None),
    };
    // It is there some minutes after the end.
    let price = call.ended.map(|_| "0.650000");
    let direction = if call.incoming { "inbound" } else { "outbound-api" };
    json!({"Sid": call.id, "Status": status, "Direction": direction, "From": call.from,
        "To": call.to, "Duration": duration, "Price": price,
        "StartTime": "2026-03-04 10:36:07"})
}

fn dial(carrier: &mut Carrier, clock: Clock, body: &[(String, String)]) -> HttpResponse {
    let text = |name: &str| form::value(body, name).unwrap_or_default();
    for name in ["from", "callerid", "streamurl", "streamtype"] {
        if text(name).is_empty() {
            return error(400, &format!("{name} is missing"));
        }
    }
    let number = |name: &str| text(name).parse::<u64>().ok();
    let fits = text("streamtype") == "bidirectional"
        && text("streamurl").len() <= STREAM_URL_CHARS_MAX
        && (text("streamurl").starts_with("wss://") || text("streamurl").starts_with("ws://"))
        && text("streamname").len() <= STREAM_NAME_CHARS_MAX
        && text("customfield").len() <= CUSTOM_CHARS_MAX
        && number("timelimit").is_none_or(|limit| limit <= LIMIT_S_MAX);
    if !fits {
        return error(400, "a parameter is too long, or no such");
    }
    let caller = text("callerid");
    if !carrier.numbers.iter().any(|known| known.number == caller) {
        return error(400, "callerid is no ExoPhone of the account");
    }
    // Who is called stands first here, and as who is called there.
    let (to, from) = (text("from").to_owned(), caller.to_owned());
    let id = carrier.begin(false, &from, &to);
    let answers = carrier.quirks.answer_after_ms;
    if let Some(call) = carrier.live(&id) {
        let events = body.iter().filter(|(name, _)| name == "statuscallbackevents[]");
        call.events = events.map(|(_, event)| event.clone()).collect();
        call.status_url = form::value(body, "statuscallback").map(str::to_owned);
        call.custom = form::value(body, "customfield").map(str::to_owned);
        call.stream_url = Some(text("streamurl").to_owned());
        call.records = text("record") == "true";
        call.gives_up = Some(clock.now + Duration::from_secs(number("timeout").unwrap_or(RING_S)));
        call.answers = answers.map(|ms| clock.now + Duration::from_millis(ms.into()));
    }
    carrier.tell(clock, &id, "ringing", "ringing");
    carrier.told(Told::Rings { call: id.clone(), from, to: to.clone() });
    respond(
        200,
        &json!({"call": {"sid": id, "status": "in-progress", "from": to,
            "phonenumbersid": caller, "direction": "outbound-api",
            "datecreated": "2026-03-04 10:36:07", "recordingurl": null}}),
    )
}
