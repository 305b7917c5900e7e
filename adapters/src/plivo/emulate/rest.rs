//! The carrier's API.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use crate::emulate::asking::{Application, Call, Carrier, State};
use crate::emulate::{Clock, Fault, Told, api, form};
use crate::exchange::{HttpRequest, HttpResponse};

fn respond(status: u16, mut body: Value) -> HttpResponse {
    if body.is_object() {
        body["api_id"] = "9d0a3b2c-0001-11f0-8000-0242ac110004".into();
    }
    api::respond(status, &body)
}

fn error(status: u16, text: &str) -> HttpResponse {
    respond(status, json!({"error": text}))
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
        ("DELETE", ["Call" | "Request", _]) => "hangup",
        ("POST", ["Call", _]) => "transfer",
        ("GET", ["Call", _]) => "status",
        (_, ["Call", _, "Record"]) => "record",
        (_, ["Call", _, "DTMF"]) => "dtmf",
        ("GET", ["Number"]) => "numbers",
        (_, ["Number", _]) => "bind",
        (_, ["Application", ..]) => "provision",
        ("GET", []) => "test",
        _ => "other",
    }
}

pub(super) fn handle(
    carrier: &mut Carrier,
    clock: Clock,
    request: &HttpRequest,
) -> Option<HttpResponse> {
    let (path, query) = api::place(request);
    let mut parts = path.trim_end_matches('/').split('/').skip_while(|part| *part != "Account");
    let account = parts.nth(1).unwrap_or_default().to_owned();
    let parts: Vec<&str> = parts.collect();
    let fault = carrier.quirks.fault(operation(request.method.as_str(), &parts));
    match fault {
        Some(Fault::Status(401)) => return Some(unauthorized()),
        Some(Fault::Status(status)) => return Some(error(status, "a fault")),
        Some(Fault::Malformed) => return Some(respond(200, json!("<html>"))),
        Some(Fault::Lost) => return None,
        Some(Fault::Silent) | None => {}
    }
    let pair = STANDARD.encode(format!("{}:{}", carrier.account, carrier.token));
    let given = request.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let known = given == Some(&format!("Basic {pair}")) && account == carrier.account;
    let answer = if !known {
        unauthorized()
    } else if !path.ends_with('/') {
        error(404, "paths end with a slash")
    } else {
        let body = serde_json::from_slice(&request.body).unwrap_or_default();
        route(carrier, clock, request.method.as_str(), &parts, query, &body)
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
        ("GET", []) => respond(200, json!({"auth_id": carrier.account, "name": "emulated"})),
        ("POST", ["Call"]) => dial(carrier, clock, body),
        (_, ["Call", id]) => call(carrier, clock, method, id, query, body),
        ("DELETE", ["Request", _]) => gone(),
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
        ("GET", ["Number"]) => {
            let account = carrier.account.clone();
            let numbers = carrier.numbers.iter().map(|number| described(&account, number));
            let objects: Vec<_> = numbers.collect();
            let meta = json!({"limit": 20, "offset": 0, "next": null, "previous": null,
                "total_count": objects.len()});
            respond(200, json!({"meta": meta, "objects": objects}))
        }
        (_, ["Number", digits]) => {
            let account = carrier.account.clone();
            let number = carrier.numbers.iter_mut().find(|(number, _)| number == digits);
            match (method, number) {
                ("GET", Some(number)) => respond(200, described(&account, number)),
                ("POST", Some((_, application))) => {
                    *application = text(body, "app_id");
                    changed("changed")
                }
                _ => gone(),
            }
        }
        ("POST", ["Application", rest @ ..]) => application(carrier, rest, body),
        _ => gone(),
    }
}

/// Makes an application, or changes one.
fn application(carrier: &mut Carrier, rest: &[&str], body: &Value) -> HttpResponse {
    if let [id] = rest {
        let found = carrier.applications.iter_mut().find(|application| application.id == *id);
        let Some(Application { answer_url, hangup_url, .. }) = found else { return gone() };
        // What is not named stays.
        for (place, name) in [(answer_url, "answer_url"), (hangup_url, "hangup_url")] {
            if let Some(url) = body[name].as_str() {
                url.clone_into(place);
            }
        }
        return changed("changed");
    }
    let (answer_url, hangup_url) = (text(body, "answer_url"), text(body, "hangup_url"));
    let name = text(body, "app_name");
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(fits) {
        return error(400, "app_name is not valid");
    }
    let id = format!("1234567890{:07}", carrier.applications.len() + 1);
    carrier.applications.push(Application { id: id.clone(), answer_url, hangup_url });
    respond(201, json!({"app_id": id, "message": "created"}))
}

fn described(account: &str, (number, application): &(String, String)) -> Value {
    let path = format!("/v1/Account/{account}/Application/{application}/");
    let application = if application.is_empty() { Value::Null } else { path.into() };
    json!({"number": number, "application": application, "voice_enabled": true, "alias": ""})
}

fn dial(carrier: &mut Carrier, clock: Clock, body: &Value) -> HttpResponse {
    let (from, to, answer) = (text(body, "from"), text(body, "to"), text(body, "answer_url"));
    for (name, value) in [("from", &from), ("to", &to), ("answer_url", &answer)] {
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
    respond(201, json!({"message": "call fired", "request_uuid": id}))
}

fn call(
    carrier: &mut Carrier,
    clock: Clock,
    method: &str,
    id: &str,
    query: &str,
    body: &Value,
) -> HttpResponse {
    let known = carrier.calls.iter().find(|call| call.id == id);
    let live = known.filter(|call| call.state != State::Over);
    let query = form::read(query);
    match (method, form::value(&query, "status"), known, live) {
        ("GET", Some("live"), _, Some(call)) => respond(200, of(call)),
        ("GET", None, Some(call), None) => {
            let answered = call.answered.map(|_| "2026-03-04 10:36:12+05:30");
            respond(
                200,
                json!({"call_uuid": id, "answer_time": answered, "call_duration": 41,
                    "end_time": "2026-03-04 10:36:53+05:30", "hangup_cause_code": 4000,
                    "hangup_cause_name": "Normal Hangup", "hangup_source": "Callee",
                    "total_amount": "0.00550"}),
            )
        }
        ("DELETE", _, _, Some(call)) => {
            let (status, code, name) = match call.state {
                State::Answered => ("completed", 4000, "Normal Hangup"),
                _ => ("cancel", 1000, "Canceled"),
            };
            carrier.end(clock, id, status, (code, name, "API Request"));
            respond(204, Value::Null)
        }
        ("POST", _, _, Some(_)) => {
            let url = text(body, "aleg_url");
            carrier.redirect(clock, id, &url);
            changed("call transferred")
        }
        _ => gone(),
    }
}

fn of(call: &Call) -> Value {
    let status = if call.state == State::Ringing { "ringing" } else { "in-progress" };
    json!({"call_uuid": call.id, "call_status": status, "request_uuid": call.id,
        "from": call.from, "to": call.to})
}
