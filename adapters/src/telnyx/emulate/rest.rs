//! The carrier's API.

use http::header;
use serde_json::{Value, json};
use std::time::Duration;

use super::{Call, State, Telnyx, Wish, seconds};
use crate::emulate::api::{self, respond};
use crate::emulate::{Clock, Fault, Told};
use crate::exchange::{HttpRequest, HttpResponse};

fn ok(data: &Value) -> HttpResponse {
    respond(200, &json!({"data": data}))
}

fn error(status: u16, code: &str, title: &str, pointer: &str) -> HttpResponse {
    let source = json!({"pointer": pointer});
    let error = json!({"code": code, "title": title, "detail": title, "source": source});
    respond(status, &json!({"errors": [error]}))
}

fn fault(status: u16) -> HttpResponse {
    match status {
        401 => error(401, "10009", "Authentication failed", ""),
        403 => error(403, "10010", "Not authorized", ""),
        404 => error(404, "10005", "Resource not found", ""),
        422 => error(422, "10015", "Bad Request", ""),
        429 => error(429, "10011", "Too many requests", ""),
        500.. => error(status, "10007", "Unexpected error", ""),
        _ => error(status, "10002", "Bad Request", ""),
    }
}

/// What a request is about: the word of its faults.
fn operation(method: &str, parts: &[&str]) -> &'static str {
    match (method, parts) {
        ("POST", ["calls"]) => "originate",
        ("GET", ["calls", _]) => "status",
        (_, ["calls", _, "actions", name]) => match *name {
            "hangup" => "hangup",
            "answer" => "answer",
            "transfer" | "refer" | "bridge" => "transfer",
            "streaming_start" => "stream",
            "record_start" | "record_stop" => "record",
            "send_dtmf" => "dtmf",
            _ => "command",
        },
        ("GET", ["phone_numbers"]) => "numbers",
        ("PATCH", ["phone_numbers", _]) => "bind",
        ("GET", ["call_control_applications", _]) => "test",
        ("PATCH", ["call_control_applications", _]) => "provision",
        _ => "other",
    }
}

pub(super) fn handle(
    carrier: &mut Telnyx,
    clock: Clock,
    request: &HttpRequest,
) -> Option<HttpResponse> {
    let (path, query) = api::place(request);
    let parts: Vec<&str> = path.split('/').skip_while(|part| *part != "v2").skip(1).collect();
    let fault = carrier.quirks.fault(operation(request.method.as_str(), &parts));
    match fault {
        Some(Fault::Status(status)) => return Some(self::fault(status)),
        Some(Fault::Malformed) => return Some(respond(200, &json!("<html>"))),
        Some(Fault::Lost) => return None,
        Some(Fault::Silent) | None => {}
    }
    let key = request.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let answer = match key {
        None => error(404, "10005", "Resource not found", ""),
        Some(key) if key.strip_prefix("Bearer ") != Some(&carrier.key) => {
            error(401, "10009", "Authentication failed", "")
        }
        Some(_) => {
            let body = serde_json::from_slice(&request.body).unwrap_or_default();
            route(carrier, clock, request.method.as_str(), &parts, query, &body)
        }
    };
    (fault != Some(Fault::Silent)).then_some(answer)
}

fn route(
    carrier: &mut Telnyx,
    clock: Clock,
    method: &str,
    parts: &[&str],
    query: &str,
    body: &Value,
) -> HttpResponse {
    match (method, parts) {
        ("POST", ["calls"]) => dial(carrier, clock, body),
        ("POST", ["calls", id, "actions", name]) => act(carrier, clock, id, name, body),
        ("GET", ["calls", id]) => match carrier.index(id).and_then(|at| carrier.calls.get(at)) {
            Some(call) => {
                let mut data = described(call);
                data["is_alive"] = (call.state != State::Over).into();
                data["start_time"] = super::webhooks::time(call.began_unix_ms).into();
                ok(&data)
            }
            None => error(404, "10005", "Resource not found", ""),
        },
        ("GET", ["connections", id, "active_calls"]) if *id == carrier.connection => {
            let live = carrier.calls.iter().filter(|call| call.state != State::Over);
            ok(&live.map(described).collect())
        }
        ("GET", ["phone_numbers"]) => numbers(carrier, query),
        ("PATCH", ["phone_numbers", id]) => {
            let connection = carrier.connection.clone();
            let number = id.parse::<usize>().ok().and_then(|at| carrier.numbers.get_mut(at));
            let Some((_, ours)) = number else { return fault(404) };
            *ours = body["connection_id"] == connection;
            ok(&json!({"id": id}))
        }
        ("GET", ["call_control_applications", id]) if *id == carrier.connection => {
            ok(&application(carrier))
        }
        ("PATCH", ["call_control_applications", id]) if *id == carrier.connection => {
            let text = |name: &str| body[name].as_str().map(str::to_owned);
            match (text("application_name"), text("webhook_event_url")) {
                (Some(name), Some(url)) => {
                    carrier.application.name = name;
                    carrier.application.webhook_url = Some(url);
                    carrier.application.costs = body["call_cost_in_webhooks"] == true;
                    ok(&application(carrier))
                }
                _ => error(422, "10015", "Name and address are required", "/webhook_event_url"),
            }
        }
        _ => fault(404),
    }
}

fn application(carrier: &Telnyx) -> Value {
    let application = &carrier.application;
    json!({"id": carrier.connection, "application_name": application.name,
        "webhook_event_url": application.webhook_url, "webhook_api_version": "2",
        "call_cost_in_webhooks": application.costs})
}

fn described(call: &Call) -> Value {
    json!({"record_type": "call", "call_control_id": call.id, "call_leg_id": call.leg,
        "call_session_id": call.session, "client_state": call.client_state, "is_alive": false})
}

fn numbers(carrier: &Telnyx, query: &str) -> HttpResponse {
    let filter = query.split('&').find_map(|pair| pair.strip_prefix("filter%5Bphone_number%5D="));
    let numbers = carrier.numbers.iter().enumerate();
    let matching = numbers.filter(|(_, (number, _))| filter.is_none_or(|f| number.contains(f)));
    let listed: Vec<_> = matching
        .map(|(at, (number, ours))| {
            let connection = if *ours { &carrier.connection } else { "" };
            json!({"id": at.to_string(), "phone_number": number, "connection_id": connection,
                "status": "active"})
        })
        .collect();
    respond(200, &json!({"data": listed, "meta": {"total_pages": 1, "page_number": 1}}))
}

/// What a body says of the stream: without a mode it is one-way, and nobody says so.
fn wish(body: &Value) -> Option<Wish> {
    Some(Wish {
        url: body["stream_url"].as_str()?.to_owned(),
        track: body["stream_track"].as_str().unwrap_or("inbound_track").to_owned(),
        plays: body["stream_bidirectional_mode"] == "rtp"
            && matches!(body["stream_bidirectional_codec"].as_str(), None | Some("PCMU")),
    })
}

fn is_e164(number: &str) -> bool {
    let digits = number.strip_prefix('+').unwrap_or_default();
    (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn dial(carrier: &mut Telnyx, clock: Clock, body: &Value) -> HttpResponse {
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    if body["connection_id"] != carrier.connection {
        return error(422, "10015", "Invalid value for connection_id", "/connection_id");
    }
    let (Some(to), Some(from)) = (text("to"), text("from")) else {
        return error(422, "10004", "Missing required parameter", "/to");
    };
    for (number, pointer) in [(&to, "/to"), (&from, "/from")] {
        if !is_e164(number) && !number.starts_with("sip:") {
            return error(422, "10016", "Phone number must be in +E164 format", pointer);
        }
    }
    let id = ring(carrier, clock, &from, &to, body);
    let Some(call) = carrier.live(&id) else { return fault(500) };
    (call.wish, call.linked) = (wish(body), None);
    let data = described(call);
    ok(&data)
}

/// Calls somebody.
fn ring(carrier: &mut Telnyx, clock: Clock, from: &str, to: &str, body: &Value) -> String {
    let answers = carrier.quirks.answer_after_ms;
    let id = carrier.begin(clock, false, from, to);
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    if let Some(call) = carrier.live(&id) {
        call.webhook_url = text("webhook_url");
        call.client_state = text("client_state").or_else(|| text("target_leg_client_state"));
        call.detects = text("answering_machine_detection").is_some_and(|mode| mode != "disabled");
        call.gives_up = Some(clock.now + seconds(&body["timeout_secs"], 30));
        call.answers = answers.map(|ms| clock.now + Duration::from_millis(ms.into()));
    }
    let more = json!({"direction": "outgoing", "state": "bridging"});
    carrier.tell(clock, &id, "call.initiated", &more);
    carrier.told(Told::Rings { call: id.clone(), from: from.to_owned(), to: to.to_owned() });
    id
}

fn act(carrier: &mut Telnyx, clock: Clock, id: &str, name: &str, body: &Value) -> HttpResponse {
    if carrier.index(id).is_none() {
        return error(422, "90015", "Invalid Call Control ID", "/call_control_id");
    }
    let Some(call) = carrier.live(id) else {
        return error(422, "90018", "Call has already ended", "/call_control_id");
    };
    let done = ok(&json!({"result": "ok"}));
    if let Some(command) = body["command_id"].as_str() {
        if call.commands.iter().any(|known| known == command) {
            return done;
        }
        call.commands.push(command.to_owned());
    }
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    let (state, incoming) = (call.state, call.incoming);
    let (from, to) = (call.from.clone(), call.to.clone());
    match name {
        "answer" if state == State::Waiting && incoming => {
            call.webhook_url = text("webhook_url").or_else(|| call.webhook_url.clone());
            call.wish = wish(body);
            carrier.answer(clock, id);
        }
        "reject" if state == State::Waiting && incoming => {
            let sip = match body["cause"].as_str() {
                Some("USER_BUSY") => "486",
                Some("NOT_FOUND") => "404",
                Some("TEMPORARILY_UNAVAILABLE") => "480",
                Some("CALL_REJECTED") => "603",
                _ => return error(422, "10015", "Bad Request", "/cause"),
            };
            carrier.end(clock, id, "call_rejected", "callee", sip);
        }
        "hangup" => {
            let source = if incoming { "callee" } else { "caller" };
            let answered = state == State::Answered && !incoming;
            let sip = if answered { "200" } else { "unspecified" };
            carrier.end(clock, id, "normal_clearing", source, sip);
        }
        "streaming_start" if state == State::Answered => {
            call.wish = wish(body);
            if call.wish.is_none() {
                return error(422, "10004", "Missing required parameter", "/stream_url");
            }
            carrier.open(id);
        }
        "streaming_stop" => carrier.lost(clock, id, "streaming.stopped", "stopped"),
        "transfer" | "refer" | "bridge" if state == State::Answered => {
            let from = text("from").unwrap_or(if incoming { to } else { from });
            return hand_over(carrier, clock, id, name, &from, body).unwrap_or(done);
        }
        "send_dtmf" if state == State::Answered => {
            let digits = text("digits").unwrap_or_default();
            carrier.told(Told::Keys { call: id.to_owned(), digits });
        }
        "speak" if state == State::Answered => {
            let wanted = [text("payload"), text("voice")];
            if wanted.iter().any(|it| it.as_deref().is_none_or(str::is_empty)) {
                return error(422, "10004", "Missing required parameter", "/payload");
            }
            carrier.speak(clock, id);
        }
        "record_start" if state == State::Answered => call.recording = true,
        "record_stop" => {
            if std::mem::take(&mut call.recording) {
                carrier.recorded(clock, id);
            }
        }
        _ => return error(422, "90034", "The call is not in a state for this command", ""),
    }
    done
}

/// Hands a call over; what is wrong with the request, if something is.
fn hand_over(
    carrier: &mut Telnyx,
    clock: Clock,
    id: &str,
    name: &str,
    from: &str,
    body: &Value,
) -> Option<HttpResponse> {
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    match name {
        "transfer" => {
            let to = text("to");
            if to.is_empty() {
                return Some(error(422, "10004", "Missing required parameter", "/to"));
            }
            let leg = ring(carrier, clock, from, to, body);
            if let Some(leg) = carrier.live(&leg) {
                leg.linked = Some(id.to_owned());
            }
        }
        "refer" => {
            let to = text("sip_address").to_owned();
            if !to.starts_with("sip") {
                return Some(error(422, "10015", "Bad Request", "/sip_address"));
            }
            carrier.tell(clock, id, "call.refer.started", &json!({}));
            carrier.told(Told::HandedOver { call: id.to_owned(), to });
            carrier.tell(clock, id, "call.refer.completed", &json!({"sip_notify_response": 200}));
            carrier.end(clock, id, "normal_clearing", "callee", "200");
        }
        _ => {
            let other = text("call_control_id");
            if carrier.live(other).is_none_or(|other| other.state != State::Answered) {
                return Some(error(422, "90015", "Invalid Call Control ID", "/call_control_id"));
            }
            carrier.connect(clock, other, id);
        }
    }
    None
}
