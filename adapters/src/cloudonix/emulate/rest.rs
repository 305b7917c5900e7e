//! The carrier's API.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::document::read;
use super::{Application, Cloudonix, Dnid, UUID};
use crate::emulate::api::{self, respond};
use crate::emulate::{Clock, Fault};
use crate::exchange::{HttpRequest, HttpResponse};

/// There are no codes: mostly the body is empty.
fn error(status: u16) -> HttpResponse {
    match status {
        400 => respond(400, &json!({"status": false, "message": "not valid"})),
        500.. => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            let body = Bytes::from_static(b"Request Failed");
            HttpResponse { status, headers: HeaderMap::new(), body }
        }
        status => respond(status, &Value::Null),
    }
}

/// What a request is about: the word of its faults.
fn operation(method: &str, parts: &[&str]) -> &'static str {
    match (method, parts) {
        ("POST", ["calls", _, "application"]) => "originate",
        ("POST", ["calls", _, "sessions", _, "application"]) => "transfer",
        ("DELETE", ["customers", _, "domains", _, "sessions", _]) => "hangup",
        ("GET", ["customers", _, "domains", _, "sessions", _]) => "status",
        ("GET", ["customers", _, "domains", _, "dnids"]) => "numbers",
        ("POST", ["customers", _, "domains", _, "dnids"]) => "bind",
        (_, ["customers", _, "domains", _, "trunks", ..]) => "trunk",
        ("GET", ["customers", _, "domains", _]) => "test",
        _ => "provision",
    }
}

pub(super) fn handle(
    carrier: &mut Cloudonix,
    clock: Clock,
    request: &HttpRequest,
) -> Option<HttpResponse> {
    let (path, _) = api::place(request);
    let whole: Vec<&str> = path.split('/').collect();
    // Whatever stands before is where this carrier is played.
    let begins = whole.iter().position(|part| matches!(*part, "calls" | "customers"));
    let parts = begins.and_then(|at| whole.get(at..)).unwrap_or_default();
    let method = request.method.as_str();
    let fault = carrier.quirks.fault(operation(method, parts));
    match fault {
        Some(Fault::Status(status)) => return Some(error(status)),
        Some(Fault::Malformed) => return Some(respond(200, &json!({"domainId": 1700}))),
        Some(Fault::Lost) => return None,
        Some(Fault::Silent) | None => {}
    }
    let given = request.headers.get("authorization").and_then(|value| value.to_str().ok());
    let answer = if given == Some(&format!("Bearer {}", carrier.token)) {
        let body = serde_json::from_slice(&request.body).unwrap_or_default();
        route(carrier, clock, method, parts, &body)
    } else {
        error(401)
    };
    (fault != Some(Fault::Silent)).then_some(answer)
}

fn text<'b>(body: &'b Value, name: &str) -> &'b str {
    body[name].as_str().unwrap_or_default()
}

fn route(
    carrier: &mut Cloudonix,
    clock: Clock,
    method: &str,
    parts: &[&str],
    body: &Value,
) -> HttpResponse {
    let (domain, rest) = match parts {
        ["calls", domain, rest @ ..] | ["customers", "self", "domains", domain, rest @ ..] => {
            (*domain, rest)
        }
        _ => return error(404),
    };
    if domain != carrier.domain && domain != UUID && domain != "1700" {
        return error(404);
    }
    match (parts.first(), method, rest) {
        (Some(&"calls"), "POST", ["application"]) => originate(carrier, clock, body),
        (Some(&"calls"), "POST", ["sessions", token, "application"]) => {
            switch(carrier, clock, token, body)
        }
        (Some(&"customers"), "GET", ["sessions", token]) => match carrier.sessions.get(*token) {
            Some(session) => respond(200, &session.object(&carrier.domain, true, clock.unix_ms)),
            None => error(404),
        },
        (Some(&"customers"), "DELETE", ["sessions", token]) => {
            if carrier.live(token).is_none() {
                return error(404);
            }
            carrier.end(clock, token, "cancel");
            respond(204, &Value::Null)
        }
        (Some(&"customers"), "GET", ["dnids"]) if carrier.dnids.is_empty() => error(404),
        (Some(&"customers"), "GET", ["dnids"]) => {
            let list: Vec<_> = carrier.dnids.iter().map(described).collect();
            respond(200, &json!(list))
        }
        (Some(&"customers"), "POST", ["dnids"]) => add(carrier, body),
        (Some(&"customers"), "GET", []) => respond(200, &of_domain(carrier)),
        (Some(&"customers"), "PUT", []) => match body["profile"].as_object() {
            Some(profile) => {
                carrier.profile.clone_from(profile);
                respond(200, &of_domain(carrier))
            }
            None => error(400),
        },
        (Some(&"customers"), "PUT", ["applications", name]) => point(carrier, name, body),
        (Some(&"customers"), "POST", ["applications"]) => make(carrier, body),
        (Some(&"customers"), "GET", ["trunks"]) if carrier.trunks.is_empty() => error(404),
        (Some(&"customers"), "GET", ["trunks"]) => respond(200, &json!(carrier.trunks)),
        (Some(&"customers"), "POST", ["trunks"]) => trunk(carrier, None, body),
        (Some(&"customers"), "PUT", ["trunks", id]) => trunk(carrier, Some(id), body),
        _ => error(404),
    }
}

/// Makes a trunk, or says anew what one is.
fn trunk(carrier: &mut Cloudonix, id: Option<&str>, body: &Value) -> HttpResponse {
    let is_one_of = |name: &str, words: &[&str]| words.contains(&text(body, name));
    let port = text(body, "port").parse::<u16>().is_ok();
    let name = text(body, "name");
    let named = !name.is_empty() && !name.contains(' ') && !text(body, "ip").is_empty();
    let directions = ["inbound", "outbound", "public-inbound", "public-outbound"];
    let known =
        is_one_of("transport", &["udp", "tcp", "tls"]) && is_one_of("direction", &directions);
    if !(port && named && known && body["active"].is_boolean()) {
        return error(400);
    }
    let mut whole = body.clone();
    let Some(id) = id else {
        let number = carrier.next();
        whole["id"] = number.into();
        whole["uuid"] = format!("33333333-4444-4555-8666-{number:012}").into();
        carrier.trunks.push(whole.clone());
        return respond(200, &whole);
    };
    match carrier.trunks.iter_mut().find(|trunk| trunk["uuid"] == id) {
        Some(trunk) => {
            (whole["id"], whole["uuid"]) = (trunk["id"].clone(), trunk["uuid"].clone());
            *trunk = whole;
            respond(200, trunk)
        }
        None => error(404),
    }
}

fn of_domain(carrier: &Cloudonix) -> Value {
    json!({"id": 1700, "tenantId": 30, "domain": carrier.domain, "active": true, "uuid": UUID,
        "defaultApplication": 4500, "profile": carrier.profile})
}

fn described(dnid: &Dnid) -> Value {
    json!({"id": dnid.id, "domainId": 1700, "applicationId": dnid.application, "active": true,
        "dnid": format!("^({})$", dnid.source.replace('+', "\\+")), "source": dnid.source,
        "global": false, "expression": false, "prefix": false, "asteriskCompatible": false})
}

fn add(carrier: &mut Cloudonix, body: &Value) -> HttpResponse {
    let flags = ["prefix", "expression", "asteriskCompatible"];
    let set = flags.iter().filter(|name| body[**name] == json!(true)).count();
    let source = text(body, "source");
    let known = |id: u64| carrier.applications.iter().any(|application| application.id == id);
    let application = body["applicationId"].as_u64().filter(|id| known(*id));
    let Some(application) = application.filter(|_| !source.is_empty() && body["dnid"].is_null())
    else {
        return error(400);
    };
    if set > 1 {
        return error(400);
    }
    let id = carrier.next();
    carrier.dnids.push(Dnid { id, source: source.to_owned(), application });
    respond(204, &Value::Null)
}

fn of_application(application: &Application) -> Value {
    json!({"id": application.id, "name": application.name, "type": "cxml", "active": true,
        "uuid": "22222222-3333-4444-8555-666666666666", "url": application.url, "method": "POST"})
}

/// All three are required.
fn is_whole(body: &Value) -> bool {
    text(body, "type") == "cxml"
        && !text(body, "url").is_empty()
        && !text(body, "method").is_empty()
}

fn point(carrier: &mut Cloudonix, name: &str, body: &Value) -> HttpResponse {
    let same = |application: &&mut Application| {
        application.name == name || application.id.to_string() == name
    };
    match carrier.applications.iter_mut().find(same) {
        Some(_) if !is_whole(body) => error(400),
        Some(application) => {
            text(body, "url").clone_into(&mut application.url);
            respond(200, &of_application(application))
        }
        None => error(404),
    }
}

fn make(carrier: &mut Cloudonix, body: &Value) -> HttpResponse {
    let name = text(body, "name").to_owned();
    if name.is_empty() || !is_whole(body) {
        return error(400);
    }
    let id = 4501 + carrier.next();
    let application = Application { id, name, url: text(body, "url").to_owned() };
    let answer = of_application(&application);
    carrier.applications.push(application);
    respond(200, &answer)
}

fn originate(carrier: &mut Cloudonix, clock: Clock, body: &Value) -> HttpResponse {
    let (to, from) = (text(body, "destination"), text(body, "caller-id"));
    let document = read(text(body, "cxml"));
    let sources = ["cxml", "url", "application"].iter().filter(|name| !body[**name].is_null());
    let Some(document) = document.filter(|_| sources.count() == 1) else { return error(400) };
    if to.is_empty() || from.is_empty() || body["timeout"].is_string() {
        return error(400);
    }
    let token = carrier.begin(clock, "outbound-api", (from, to), None);
    let wanted = |name: &str, url: &str| {
        body[url].as_str().filter(|_| body[name] == json!(true)).map(str::to_owned)
    };
    if let Some(session) = carrier.live(&token) {
        session.callback = body["callback"].as_str().map(str::to_owned);
        session.verbs = document.children.into();
        session.detection = wanted("asyncAmd", "asyncAmdStatusCallback")
            .filter(|_| body["machineDetection"].is_string());
        session.recording = wanted("record", "recordingStatusCallback");
    }
    carrier.ring(clock, &token, body["timeout"].as_u64().unwrap_or(60));
    respond(
        200,
        &json!({"domainId": 1700, "subscriberId": null, "destination": to,
            "direction": "outbound-api", "token": token}),
    )
}

fn switch(carrier: &mut Cloudonix, clock: Clock, token: &str, body: &Value) -> HttpResponse {
    let Some(session) = carrier.live(token) else { return error(404) };
    let answer = json!({"domainId": 1700, "subscriberId": null, "callerId": session.from,
        "remote": session.to, "token": token});
    match read(text(body, "cxml")) {
        Some(document) => {
            carrier.switch(clock, token, document);
            respond(200, &answer)
        }
        None => error(400),
    }
}
