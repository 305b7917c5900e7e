//! Vonage's APIs: calls, the application, numbers.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::call::{Call, Doing, Kind, State};
use super::documents::is_number;
use super::{Vonage, sign};
use crate::emulate::{Clock, Fault, Told, form};
use crate::exchange::{HttpRequest, HttpResponse};

fn respond(status: u16, body: &Value) -> HttpResponse {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    HttpResponse { status, headers, body }
}

/// A refusal, in the form of that status.
fn problem(status: u16) -> HttpResponse {
    let kind = |code: &str| format!("https://developer.nexmo.com/api-errors#{code}");
    let (kind, title) = match status {
        400 => (kind("bad-request"), "Bad Request"),
        401 => (kind("unauthorized"), "Unauthorized"),
        402 => (kind("low-balance"), "Low balance"),
        403 => (kind("forbidden"), "Forbidden"),
        // The older form.
        404 => {
            return respond(404, &json!({"type": "NOT_FOUND", "error_title": "Not Found"}));
        }
        429 => (kind("throttled"), "Throttled"),
        _ => {
            let mut answer = respond(status, &Value::Null);
            answer.body = Bytes::from_static(b"<html>Bad Gateway</html>");
            return answer;
        }
    };
    respond(status, &json!({"type": kind, "title": title, "detail": title, "instance": "x"}))
}

fn wrong(name: &str, reason: &str) -> HttpResponse {
    respond(
        400,
        &json!({
            "type": "https://developer.nexmo.com/api-errors#bad-request",
            "title": "Bad Request",
            "detail": "The request body contained invalid parameters",
            "instance": "x",
            "invalid_parameters": [{"name": name, "reason": reason}],
        }),
    )
}

/// A request, taken apart.
struct Asked<'r> {
    method: &'r Method,
    path: Vec<&'r str>,
    query: Vec<(String, String)>,
    body: &'r [u8],
}

impl Asked<'_> {
    fn json(&self) -> Value {
        serde_json::from_slice(self.body).unwrap_or_default()
    }
}

impl Vonage {
    pub(super) fn answer_request(
        &mut self,
        clock: Clock,
        request: &HttpRequest,
    ) -> Option<HttpResponse> {
        let (address, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
        // The path begins at the API's own first word, whatever stands before.
        let starts = ["/v1/calls", "/v2/applications/", "/account/numbers", "/number/update"];
        let at = starts.iter().find_map(|start| address.find(start));
        let path = at.and_then(|at| address.get(at + 1..)).unwrap_or_default();
        let asked = Asked {
            method: &request.method,
            path: path.split('/').collect(),
            query: form::read(query),
            body: &request.body,
        };
        let value = request.headers.get(header::AUTHORIZATION);
        let authorization = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let known = match asked.path.first() {
            Some(&"v1") => sign::is_application(&self.config, clock.unix_ms / 1000, authorization),
            _ => sign::is_account(&self.config, authorization),
        };
        if !known {
            return Some(problem(401));
        }
        match self.quirks.fault(operation(&asked)) {
            Some(Fault::Status(status)) => Some(problem(status)),
            Some(Fault::Lost) => None,
            Some(Fault::Silent) => {
                self.perform(clock, &asked);
                None
            }
            Some(Fault::Malformed) => {
                let mut answer = self.perform(clock, &asked);
                answer.body = Bytes::from_static(b"{\"uuid\":");
                Some(answer)
            }
            None => Some(self.perform(clock, &asked)),
        }
    }

    fn perform(&mut self, clock: Clock, asked: &Asked<'_>) -> HttpResponse {
        match (asked.method.as_str(), asked.path.as_slice()) {
            ("POST", ["v1", "calls"]) => self.place(clock, &asked.json()),
            ("GET", ["v1", "calls"]) => {
                let calls: Vec<_> = self.calls.values().map(info).collect();
                let count = calls.len();
                respond(200, &json!({"count": count, "_embedded": {"calls": calls}}))
            }
            (method, ["v1", "calls", uuid, rest @ ..]) => {
                let uuid = uuid.to_ascii_lowercase();
                let Some(call) = self.calls.get(&uuid) else { return problem(404) };
                match (method, rest) {
                    ("GET", []) => respond(200, &info(call)),
                    _ if call.state == State::Over => problem(404),
                    ("PUT", []) => self.change(clock, &uuid, &asked.json()),
                    ("PUT", ["dtmf"]) => self.press_keys(&uuid, &asked.json()),
                    _ => problem(404),
                }
            }
            (method, ["v2", "applications", id]) => self.application(method, id, &asked.json()),
            ("GET", ["account", "numbers"]) => self.list(&asked.query),
            ("POST", ["number", "update"]) => self.link(asked.body),
            _ => problem(404),
        }
    }

    fn place(&mut self, clock: Clock, body: &Value) -> HttpResponse {
        let to = &body["to"][0];
        let destination = match to["type"].as_str() {
            Some("phone") => to["number"].as_str().filter(|number| is_number(number)),
            Some("sip") => to["uri"].as_str(),
            _ => None,
        };
        let Some(destination) = destination else {
            return wrong("to[0].number", "must be E.164");
        };
        let from = body["from"]["number"].as_str().unwrap_or_default();
        if !self.numbers.iter().any(|number| number == from) {
            return wrong("from.number", "is not a number of the account");
        }
        if body["ncco"].is_array() == body["answer_url"].is_array() {
            return wrong("ncco", "either ncco or answer_url");
        }
        let ring_s = body["ringing_timer"].as_u64().unwrap_or(super::RING_S);
        if !(1..=120).contains(&ring_s) {
            return wrong("ringing_timer", "1 to 120");
        }
        if body["length_timer"].as_u64().is_some_and(|length| !(1..=7200).contains(&length)) {
            return wrong("length_timer", "1 to 7200");
        }
        let event_url = body["event_url"][0].as_str().map(str::to_owned);
        let uuid = self.begin(clock, Kind::Outbound, from, destination, event_url);
        let Some(call) = self.calls.get_mut(&uuid) else { return problem(500) };
        call.rings_until = Some(clock.now + Duration::from_secs(ring_s));
        call.detects = ["machine_detection", "advanced_machine_detection"]
            .iter()
            .any(|name| !body[name].is_null());
        call.actions = body["ncco"].as_array().cloned().unwrap_or_default().into();
        let conversation = call.conversation.clone();
        self.ring(clock, &uuid);
        respond(
            201,
            &json!({
                "uuid": uuid,
                "status": "started",
                "direction": "outbound",
                "conversation_uuid": conversation,
            }),
        )
    }

    fn change(&mut self, clock: Clock, uuid: &str, body: &Value) -> HttpResponse {
        match body["action"].as_str() {
            Some("hangup") => {
                let by = json!({"disconnected_by": "platform"});
                let ringing = self.calls.get(uuid).is_some_and(|c| c.state == State::Ringing);
                self.end(clock, uuid, if ringing { "cancelled" } else { "completed" }, &by);
            }
            Some("transfer") if body["destination"]["ncco"].is_array() => {
                let Some(call) = self.calls.get_mut(uuid) else { return problem(404) };
                match std::mem::replace(&mut call.doing, Doing::Next) {
                    Doing::Streaming(socket) => self.close_stream(clock, socket),
                    Doing::Connected(leg) => self.end(clock, &leg, "completed", &Value::Null),
                    Doing::Next | Doing::Asking | Doing::Meeting { .. } => {}
                }
                let document = body["destination"]["ncco"].to_string();
                self.run(clock, uuid, document.as_bytes());
            }
            Some("mute" | "unmute" | "earmuff" | "unearmuff") => {}
            _ => return problem(400),
        }
        respond(204, &Value::Null)
    }

    fn press_keys(&mut self, uuid: &str, body: &Value) -> HttpResponse {
        let digits = body["digits"].as_str().unwrap_or_default();
        let is_key = |c: char| c.is_ascii_digit() || matches!(c, '*' | '#' | 'p');
        if digits.is_empty() || !digits.chars().all(is_key) {
            return wrong("digits", "0-9, *, #, p");
        }
        self.told(Told::Keys { call: uuid.to_owned(), digits: digits.to_owned() });
        respond(200, &json!({"message": "DTMF sent", "uuid": uuid}))
    }

    fn application(&mut self, method: &str, id: &str, body: &Value) -> HttpResponse {
        if self.application["id"] != id {
            return problem(404);
        }
        match method {
            "GET" => {}
            "PUT" if body["name"].is_string() => {
                // The whole object is replaced.
                let id = self.application["id"].clone();
                let keys = self.application["keys"].clone();
                self.application = body.clone();
                self.application["id"] = id;
                if self.application["keys"].is_null() {
                    self.application["keys"] = keys;
                }
            }
            _ => return problem(400),
        }
        respond(200, &self.application)
    }

    fn list(&self, query: &[(String, String)]) -> HttpResponse {
        let parameter = |name| form::value(query, name).and_then(|n| n.parse::<usize>().ok());
        let (size, index) = (parameter("size").unwrap_or(10), parameter("index").unwrap_or(1));
        let pattern = form::value(query, "pattern").unwrap_or_default();
        let id = &self.application["id"];
        let matching = self.numbers.iter().filter(|number| number.starts_with(pattern));
        let entries: Vec<_> = matching
            .map(|number| {
                let linked = self.linked.get(number).copied().unwrap_or(false);
                let mut entry = json!({
                    "country": "US", "msisdn": number, "type": "mobile-lvn",
                    "features": ["SMS", "VOICE"],
                });
                if linked {
                    entry["app_id"] = id.clone();
                }
                entry
            })
            .collect();
        let page: Vec<_> =
            entries.iter().skip(index.saturating_sub(1) * size).take(size).cloned().collect();
        // An empty list is left out.
        if page.is_empty() {
            return respond(200, &json!({}));
        }
        respond(200, &json!({"count": entries.len(), "numbers": page}))
    }

    fn link(&mut self, body: &[u8]) -> HttpResponse {
        let form = form::read(&String::from_utf8_lossy(body));
        let number = form::value(&form, "msisdn").unwrap_or_default();
        let country = form::value(&form, "country") == Some("US");
        if !country || !self.numbers.iter().any(|owned| owned == number) {
            return respond(420, &json!({"error-code": "420", "error-code-label": "failed"}));
        }
        let ours = form::value(&form, "app_id").is_some_and(|id| self.application["id"] == id);
        self.linked.insert(number.to_owned(), ours);
        respond(200, &json!({"error-code": "200", "error-code-label": "success"}))
    }
}

/// The word of a request among the faults.
fn operation(asked: &Asked<'_>) -> &'static str {
    match (asked.method.as_str(), asked.path.as_slice()) {
        ("POST", ["v1", "calls"]) => "originate",
        ("GET", ["v1", "calls"]) => "test",
        ("GET", ["v1", "calls", _]) => "status",
        ("PUT", ["v1", "calls", _]) if asked.json()["action"] == "hangup" => "hangup",
        ("PUT", ["v1", "calls", _]) => "transfer",
        ("PUT", ["v1", "calls", _, "dtmf"]) => "dtmf",
        (_, ["v2", ..]) => "provision",
        ("GET", ["account", ..]) => "numbers",
        _ => "bind",
    }
}

fn info(call: &Call) -> Value {
    let over = call.state == State::Over;
    let direction = if call.kind == Kind::Inbound { "inbound" } else { "outbound" };
    let once = |value: String| if over { Value::String(value) } else { Value::Null };
    json!({
        "uuid": call.uuid,
        "conversation_uuid": call.conversation,
        "to": {"type": "phone", "number": call.to},
        "from": {"type": "phone", "number": call.from},
        "status": call.status,
        "direction": direction,
        "rate": once("0.01270000".to_owned()),
        "price": once(call.price()),
        "duration": once(call.duration_s().to_string()),
        "network": "310260",
        "_links": {"self": {"href": format!("/calls/{}", call.uuid)}},
    })
}
