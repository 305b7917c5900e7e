//! The carrier's API.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::emulate::api;
use crate::emulate::asking::{Application, Call, Carrier, State};
use crate::emulate::{Clock, Fault, Told};
use crate::exchange::{HttpRequest, HttpResponse};

fn respond(status: u16, body: Value) -> HttpResponse {
    api::respond(status, &body)
}

fn error(status: u16, text: &str) -> HttpResponse {
    respond(
        status,
        json!({"status": "error", "error": {"code": "E", "message": text},
        "requestId": "req_0001"}),
    )
}

fn gone() -> HttpResponse {
    error(404, "not found")
}

fn changed(message: &str) -> HttpResponse {
    respond(202, json!({"message": message}))
}

/// What a request is about: the word of its faults.
fn operation(method: &str, parts: &[&str]) -> &'static str {
    match (method, parts) {
        ("POST", ["Call"]) => "originate",
        ("DELETE", ["Call", _]) => "hangup",
        ("POST", ["Call", _]) => "transfer",
        ("GET", ["Call", _]) => "status",
        ("GET", ["cdr", _]) => "cost",
        (_, ["Call", _, "Record"]) => "record",
        (_, ["Call", _, "DTMF"]) => "dtmf",
        ("GET", ["numbers"]) => "numbers",
        (_, ["numbers", ..]) => "bind",
        (_, ["Application", ..]) => "provision",
        ("GET", ["auth", "me"]) => "test",
        _ => "other",
    }
}

pub(super) fn handle(
    carrier: &mut Carrier,
    clock: Clock,
    request: &HttpRequest,
) -> Option<HttpResponse> {
    let (path, query) = api::place(request);
    let whole: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let versioned = |at: usize| whole.get(at..).unwrap_or_default();
    let api = whole.windows(2).position(|two| two == ["api", "v1"]).map(|at| versioned(at + 2));
    // Whoever asks at a place that is not there is answered as if it were unknown.
    let (account, parts) = match api.unwrap_or_default() {
        ["auth", "me"] => (carrier.account.clone(), vec!["auth", "me"]),
        ["Account", account, parts @ ..] => ((*account).to_owned(), parts.to_vec()),
        _ => return Some(unauthorized()),
    };
    let slash = matches!(parts.first(), Some(&"Call" | &"Application"));
    let fault = carrier.quirks.fault(operation(request.method.as_str(), &parts));
    match fault {
        Some(Fault::Status(401)) => return Some(unauthorized()),
        Some(Fault::Status(status)) => return Some(error(status, "a fault")),
        Some(Fault::Malformed) => return Some(respond(200, json!("<html>"))),
        Some(Fault::Lost) => return None,
        Some(Fault::Silent) | None => {}
    }
    let given = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    let known = given("x-auth-id") == Some(&carrier.account)
        && given("x-auth-token") == Some(&carrier.token)
        && account == carrier.account
        && slash == path.ends_with('/');
    let answer = if known {
        let body = serde_json::from_slice(&request.body).unwrap_or_default();
        route(carrier, clock, request.method.as_str(), &parts, query, &body)
    } else {
        unauthorized()
    };
    (fault != Some(Fault::Silent)).then_some(answer)
}

fn unauthorized() -> HttpResponse {
    let body = Bytes::from_static(b"Unauthorized");
    HttpResponse { status: StatusCode::UNAUTHORIZED, headers: HeaderMap::new(), body }
}

fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap_or_default().to_owned()
}

fn route(
    carrier: &mut Carrier,
    clock: Clock,
    method: &str,
    parts: &[&str],
    query: &str,
    body: &Value,
) -> HttpResponse {
    match (method, parts) {
        ("GET", ["auth", "me"]) => respond(200, json!({"auth_id": carrier.account})),
        ("POST", ["Call"]) => dial(carrier, clock, body),
        (_, ["Call", id]) => call(carrier, clock, method, id, query, body),
        ("GET", ["cdr", id]) => record(carrier, id),
        ("POST", ["Call", id, "DTMF"]) => {
            if carrier.live(id).is_none() {
                return gone();
            }
            carrier.told(Told::Keys { call: (*id).to_owned(), digits: text(body, "digits") });
            changed("digits sent")
        }
        ("POST", ["Call", id, "Record"]) => match carrier.live(id) {
            Some(call) => {
                call.recording = Some(text(body, "callback_url"));
                changed("call recording started")
            }
            None => gone(),
        },
        ("DELETE", ["Call", id, "Record"]) => {
            match carrier.live(id).and_then(|call| call.recording.take()) {
                Some(url) => {
                    carrier.recorded(clock, id, &url);
                    respond(204, Value::Null)
                }
                None => gone(),
            }
        }
        ("GET", ["numbers"]) => {
            let items: Vec<_> = carrier.numbers.iter().map(described).collect();
            respond(200, json!({"total": items.len(), "items": items, "page": 1, "per_page": 100}))
        }
        (_, ["numbers", number, "application"]) => {
            let digits = number.strip_prefix("%2B").unwrap_or_default();
            let number = carrier.numbers.iter_mut().find(|(number, _)| number == digits);
            match (method, number) {
                ("POST", Some((_, application))) => {
                    *application = text(body, "application_id");
                    respond(200, json!({"message": "attached"}))
                }
                ("DELETE", Some((_, application))) => {
                    application.clear();
                    respond(204, Value::Null)
                }
                _ => gone(),
            }
        }
        ("POST", ["Application", id @ ..]) => application(carrier, id.first().copied(), body),
        _ => gone(),
    }
}

/// Makes an application, or changes one.
fn application(carrier: &mut Carrier, id: Option<&str>, body: &Value) -> HttpResponse {
    if let Some(id) = id {
        return match carrier.applications.iter_mut().find(|application| application.id == id) {
            Some(application) => {
                application.answer_url = text(body, "answer_url");
                application.hangup_url = text(body, "hangup_url");
                changed("changed")
            }
            None => gone(),
        };
    }
    let name = text(body, "app_name");
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(fits) {
        return error(400, "app_name is not valid");
    }
    let id = format!("1234567890{:07}", carrier.applications.len() + 1);
    let (answer_url, hangup_url) = (text(body, "answer_url"), text(body, "hangup_url"));
    let application = Application { id: id.clone(), answer_url, hangup_url };
    carrier.applications.push(application);
    respond(201, json!({"app_id": id, "message": "created"}))
}

fn described((number, application): &(String, String)) -> Value {
    let application =
        if application.is_empty() { Value::Null } else { application.as_str().into() };
    json!({"id": number, "e164": format!("+{number}"), "application_id": application,
        "country": "IN", "status": "active", "voice_enabled": true, "currency": "INR"})
}

/// The record of a call, which is there once it is over.
fn record(carrier: &Carrier, id: &str) -> HttpResponse {
    let over = carrier.calls.iter().find(|call| call.id == id && call.state == State::Over);
    let Some(call) = over else { return gone() };
    let answered = call.answered.map(|_| "2026-03-04T05:06:12Z");
    let data = json!({"uuid": id, "answer_time": answered, "end_time": "2026-03-04T05:06:53Z",
        "billsec": if answered.is_some() { 41 } else { 0 }, "total_cost": 0.55, "currency": "INR",
        "hangup_cause": "NORMAL_CLEARING", "hangup_cause_code": 4000,
        "hangup_cause_name": "Normal Hangup", "hangup_source": "Callee"});
    respond(200, json!({"success": true, "data": data}))
}

fn dial(carrier: &mut Carrier, clock: Clock, body: &Value) -> HttpResponse {
    let (from, to, answer) = (text(body, "from"), text(body, "to"), text(body, "answer_url"));
    let method = text(body, "answer_method");
    for (name, value) in
        [("from", &from), ("to", &to), ("answer_url", &answer), ("answer_method", &method)]
    {
        if value.is_empty() {
            return error(400, &format!("{name} parameter not present"));
        }
    }
    let hangup = match text(body, "hangup_url") {
        none if none.is_empty() => answer.clone(),
        url => url,
    };
    let answers = carrier.quirks.answer_after_ms;
    let id = carrier.begin(false, &from, &to, &answer, &hangup);
    if let Some(call) = carrier.live(&id) {
        let ring_s = body["ring_timeout"].as_u64().unwrap_or(120);
        call.gives_up = Some(clock.now + Duration::from_secs(ring_s));
        call.answers = answers.map(|ms| clock.now + Duration::from_millis(ms.into()));
        call.machine_url = body["machine_detection_url"].as_str().map(str::to_owned);
    }
    carrier.tell(clock, &id, &text(body, "ring_url"), &[("Event", "Ring")], false);
    carrier.told(Told::Rings { call: id.clone(), from, to });
    respond(200, json!({"api_id": "a", "message": "Call fired", "request_uuid": id}))
}

fn call(
    carrier: &mut Carrier,
    clock: Clock,
    method: &str,
    id: &str,
    query: &str,
    body: &Value,
) -> HttpResponse {
    let live = carrier.calls.iter().find(|call| call.id == id && call.state != State::Over);
    match (method, query, live) {
        ("GET", "status=live", Some(call)) => respond(200, json!({"calls": [of(call)]})),
        ("DELETE", _, Some(call)) => {
            let (status, code, name) = match call.state {
                State::Answered => ("completed", 4000, "Normal Hangup"),
                _ => ("cancel", 1000, "Canceled"),
            };
            carrier.end(clock, id, status, (code, name, "API Request"));
            respond(204, Value::Null)
        }
        ("POST", _, Some(_)) => {
            let url = text(body, "aleg_url");
            carrier.redirect(clock, id, &url);
            changed("call transferred")
        }
        _ => gone(),
    }
}

fn of(call: &Call) -> Value {
    let state = if call.state == State::Ringing { "RINGING" } else { "ACTIVE" };
    json!({"call_uuid": call.id, "call_state": state, "from_number": call.from,
        "to_number": call.to})
}
