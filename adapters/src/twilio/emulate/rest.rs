//! The API.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::Twilio;
use crate::emulate::{Clock, Fault, form, xml};
use crate::exchange::{HttpRequest, HttpResponse};

const ROOT: &str = "/2010-04-01/";
/// What becomes of the carrier's test numbers (`+1500555…`).
const MAGIC_TO: &[(&str, u32)] = &[
    ("+15005550001", 21217),
    ("+15005550002", 21214),
    ("+15005550003", 21215),
    ("+15005550004", 21216),
];

type Form = Vec<(String, String)>;
type Answer = Result<(u16, Value), (u16, u32)>;

fn get<'f>(form: &'f Form, name: &str) -> Option<&'f str> {
    form::value(form, name)
}

fn response(status: u16, body: String) -> HttpResponse {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse { status, headers, body: Bytes::from(body) }
}

fn error(status: u16, code: u32) -> HttpResponse {
    if status >= 500 {
        return response(status, "<html>upstream</html>".to_owned());
    }
    let body = json!({
        "code": code,
        "message": format!("Error {code}"),
        "more_info": format!("https://www.twilio.com/docs/errors/{code}"),
        "status": status,
    });
    response(status, body.to_string())
}

impl Twilio {
    pub(super) fn api(&mut self, clock: Clock, request: &HttpRequest) -> Option<HttpResponse> {
        let url = request.url.find(ROOT).and_then(|at| request.url.get(at + ROOT.len()..));
        let Some(url) = url else { return Some(error(404, 20404)) };
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let own = format!("Accounts/{}", self.account);
        let Some(path) = path.strip_prefix(&own).and_then(|path| path.strip_suffix(".json")) else {
            return Some(error(404, 20404));
        };
        if !self.is_known(request) {
            return Some(error(401, 20003));
        }
        let text = if request.method == Method::POST {
            String::from_utf8_lossy(&request.body).into_owned()
        } else {
            query.to_owned()
        };
        let form = form::read(&text);
        let parts: Vec<_> = path.split('/').skip(1).collect();
        let is_post = request.method == Method::POST;
        let operation = operation(&parts, is_post, &form);
        let fault = self.quirks.fault(operation);
        match fault {
            Some(Fault::Status(429)) => return Some(error(429, 20429)),
            Some(Fault::Status(status)) => return Some(error(status, 20500)),
            Some(Fault::Lost) => return None,
            Some(Fault::Malformed) => return Some(response(200, "{\"sid\":".to_owned())),
            Some(Fault::Silent) | None => {}
        }
        let answer = self.operate(clock, operation, &parts, &form);
        match (fault, answer) {
            (Some(_), _) => None,
            (None, Ok((status, body))) => Some(response(status, body.to_string())),
            (None, Err((status, code))) => Some(error(status, code)),
        }
    }

    fn is_known(&self, request: &HttpRequest) -> bool {
        let text = |name| self.config.text(name);
        let pairs = [("account_sid", "auth_token"), ("api_key_sid", "api_key_secret")];
        let given = request.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        pairs.iter().any(|(user, password)| {
            let pair = text(user).zip(text(password));
            pair.is_some_and(|(user, password)| {
                let wanted = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
                given == Some(&wanted)
            })
        })
    }

    fn operate(&mut self, clock: Clock, operation: &str, parts: &[&str], form: &Form) -> Answer {
        let sid = parts.get(1).copied().unwrap_or_default();
        match operation {
            "test" => Ok((200, json!({"sid": self.account, "status": "active"}))),
            "originate" => self.originate(clock, form),
            "status" => match self.calls.get(sid) {
                Some(call) => Ok((200, call.object(&self.account))),
                None => Err((404, 20404)),
            },
            "hangup" | "transfer" => self.update(clock, sid, form),
            "record" => self.record(clock, sid, parts, form),
            "numbers" => Ok(self.list(form)),
            "bind" => self.set(sid, form),
            "provision" => self.application(parts.get(1).copied(), form),
            _ => Err((404, 20404)),
        }
    }

    fn originate(&mut self, clock: Clock, form: &Form) -> Answer {
        let bad = |code| Err((400, code));
        let Some(to) = get(form, "To").filter(|to| !to.is_empty()) else { return bad(21201) };
        let Some(from) = get(form, "From").filter(|from| !from.is_empty()) else {
            return bad(21213);
        };
        if let Some((_, code)) = MAGIC_TO.iter().find(|(number, _)| *number == to) {
            return bad(*code);
        }
        let digits = to.strip_prefix('+').unwrap_or_default();
        let is_number =
            (8..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if !is_number && !to.starts_with("sip:") && !to.starts_with("client:") {
            return bad(21211);
        }
        if from == "+15005550001" {
            return bad(21212);
        }
        if is_number && !self.numbers.contains_key(from) {
            return bad(21210);
        }
        let document = match (get(form, "Url"), get(form, "Twiml")) {
            (Some(_), _) => None,
            (None, Some(text)) if text.chars().count() <= 4_000 => match xml::read(text) {
                Some(document) if document.name == "Response" => Some(document),
                _ => return bad(12100),
            },
            _ => return bad(21205),
        };
        let known = ["initiated", "ringing", "answered", "completed"];
        let mut events: Vec<_> = form
            .iter()
            .filter(|(name, _)| name == "StatusCallbackEvent")
            .map(|(_, event)| event.clone())
            .collect();
        if events.iter().any(|event| !known.contains(&event.as_str())) {
            self.complain(None, "21626: an unknown StatusCallbackEvent");
        }
        if events.is_empty() {
            events.push("completed".to_owned());
        }
        let (from, to) = (from.to_owned(), to.to_owned());
        let sid = self.begin(clock, "outbound-api", &from, &to, None);
        let Some(call) = self.calls.get_mut(&sid) else { return Err((500, 0)) };
        call.callback = get(form, "StatusCallback").map(|url| (url.to_owned(), events));
        if get(form, "MachineDetection").is_some() {
            let url = get(form, "AsyncAmdStatusCallback");
            let is_async = get(form, "AsyncAmd") == Some("true");
            call.detection = Some(url.filter(|_| is_async).unwrap_or_default().to_owned());
        }
        if let Some(document) = document {
            call.verbs = document.children.into();
        }
        let object = call.object(&self.account);
        let seconds = get(form, "Timeout").and_then(|text| text.parse().ok()).unwrap_or(60);
        self.ring(clock, &sid, Some(std::time::Duration::from_secs(seconds)));
        Ok((201, object))
    }

    fn update(&mut self, clock: Clock, sid: &str, form: &Form) -> Answer {
        // A call that is over is gone from here.
        let Some(call) = self.calls.get(sid).filter(|call| !call.is_over()) else {
            return Err((404, 20404));
        };
        let up = call.status == "in-progress";
        match (get(form, "Status"), get(form, "Twiml")) {
            (Some("completed"), _) if up => self.end(clock, sid, "completed", None),
            (Some("completed" | "canceled"), _) => self.end(clock, sid, "canceled", Some(487)),
            (None, Some(text)) => match xml::read(text) {
                Some(document) if up && document.name == "Response" => {
                    self.redirect(clock, sid, document);
                }
                Some(_) if !up => return Err((400, 21220)),
                _ => return Err((400, 12100)),
            },
            _ => return Err((400, 20001)),
        }
        match self.calls.get(sid) {
            Some(call) => Ok((200, call.object(&self.account))),
            None => Err((404, 20404)),
        }
    }

    fn record(&mut self, clock: Clock, sid: &str, parts: &[&str], form: &Form) -> Answer {
        let id = self.sid("RE");
        let Some(call) = self.calls.get_mut(sid).filter(|call| call.status == "in-progress") else {
            return Err((404, 20404));
        };
        if parts.len() == 3 {
            let url = get(form, "RecordingStatusCallback").unwrap_or_default();
            call.recording = Some((url.to_owned(), id.clone()));
            return Ok((201, json!({"sid": id, "call_sid": sid, "status": "in-progress"})));
        }
        let Some((url, id)) = call.recording.take() else { return Err((404, 20404)) };
        self.recorded(clock, sid, &url, &id);
        Ok((200, json!({"sid": id, "call_sid": sid, "status": "stopped"})))
    }

    fn list(&self, form: &Form) -> (u16, Value) {
        let part = get(form, "PhoneNumber").unwrap_or_default();
        let numbers: Vec<_> = self
            .numbers
            .iter()
            .filter(|(number, _)| number.contains(part))
            .map(|(number, known)| number_object(number, known))
            .collect();
        let body = json!({"incoming_phone_numbers": numbers, "next_page_uri": null, "page": 0});
        (200, body)
    }

    fn set(&mut self, sid: &str, form: &Form) -> Answer {
        let found = self.numbers.iter_mut().find(|(_, known)| known.sid == sid);
        let Some((number, known)) = found else { return Err((404, 20404)) };
        for (name, value) in form {
            known.fields.insert(name.clone(), value.clone());
        }
        Ok((200, number_object(number, known)))
    }

    fn application(&mut self, sid: Option<&str>, form: &Form) -> Answer {
        let status = if sid.is_some() { 200 } else { 201 };
        let sid = match sid {
            Some(sid) if !self.applications.contains_key(sid) => return Err((404, 20404)),
            Some(sid) => sid.to_owned(),
            None => self.sid("AP"),
        };
        let fields = self.applications.entry(sid.clone()).or_default();
        fields.extend(form.iter().cloned());
        Ok((status, json!({"sid": sid, "friendly_name": get(form, "FriendlyName")})))
    }
}

fn number_object(number: &str, known: &super::Number) -> Value {
    let field = |name: &str| known.fields.get(name).map(String::as_str).unwrap_or_default();
    json!({
        "sid": known.sid,
        "phone_number": number,
        "friendly_name": number,
        "voice_url": field("VoiceUrl"),
        "voice_application_sid": field("VoiceApplicationSid"),
        "trunk_sid": field("TrunkSid"),
        "capabilities": {"voice": true, "sms": false, "mms": false, "fax": false},
        "status": "in-use",
    })
}

/// The word for what is asked.
fn operation(parts: &[&str], is_post: bool, form: &Form) -> &'static str {
    match (parts, is_post) {
        ([], false) => "test",
        (["Calls"], true) => "originate",
        (["Calls", _], false) => "status",
        (["Calls", _], true) if get(form, "Status").is_some() => "hangup",
        (["Calls", _], true) => "transfer",
        (["Calls", _, "Recordings"] | ["Calls", _, "Recordings", _], true) => "record",
        (["IncomingPhoneNumbers"], false) => "numbers",
        (["IncomingPhoneNumbers", _], true) => "bind",
        (["Applications"] | ["Applications", _], true) => "provision",
        _ => "unknown",
    }
}
