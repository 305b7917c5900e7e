//! Requests of the carrier: the applet's question, status callbacks, the opening of sockets. Name
//! and password in an address become a header.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};

use super::Call;
use crate::emulate::form;
use crate::exchange::HttpRequest;

/// What parts of a form are divided by.
const BOUNDARY: &str = "------------------------d74496d66958873e";

/// A request whose address has lost its name and password, and bears them in a header.
fn bearing(mut request: HttpRequest) -> HttpRequest {
    let url = request.url.clone();
    let Some((scheme, rest)) = url.split_once("://") else { return request };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let Some((pair, host)) = authority.rsplit_once('@') else { return request };
    request.url = format!("{scheme}://{host}{path}");
    if let Ok(value) = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))) {
        request.headers.insert(HeaderName::from_static("authorization"), value);
    }
    request
}

/// A number as the carrier writes it: as it is dialled in India, if it is there.
fn national(number: &str) -> String {
    match number.strip_prefix("+91") {
        Some(national) => format!("0{national}"),
        None => number.to_owned(),
    }
}

/// The applet asks where the audio of a call goes.
pub(super) fn question(call: &Call, url: &str) -> HttpRequest {
    let (from, to) = (national(&call.from), national(&call.to));
    let query = form::write([
        ("CallSid", &*call.id),
        ("CallFrom", &*from),
        ("CallTo", &*to),
        ("Direction", "incoming"),
        ("Created", "Wed, 04 Mar 2026 10:36:07"),
        ("DialCallDuration", "0"),
        ("StartTime", "2026-03-04 10:36:07"),
        ("EndTime", "1970-01-01 05:30:00"),
        ("CallType", "call-attempt"),
        ("DialWhomNumber", ""),
        ("flow_id", super::FLOW),
        ("tenant_id", "42"),
        ("From", &*from),
        ("To", &*to),
        ("CurrentTime", "2026-03-04 10:36:07"),
    ]);
    let joint = if url.contains('?') { '&' } else { '?' };
    bearing(HttpRequest::get(format!("{url}{joint}{query}")))
}

/// Opens a media socket.
pub(super) fn upgrade(url: &str) -> HttpRequest {
    bearing(HttpRequest::get(url.to_owned()))
}

/// Tells how a call fares, as a form in parts.
pub(super) fn status(call: &Call, url: &str, event: &str, status: &str) -> HttpRequest {
    let seconds = call.ended.map(|(_, seconds)| seconds.to_string());
    let recording = call
        .ended
        .filter(|(_, seconds)| *seconds > 0 && call.records)
        .map(|_| format!("https://recordings.example.test/emulated1/{}.mp3", call.id));
    let mut fields = vec![
        ("CallSid", call.id.clone()),
        ("EventType", event.to_owned()),
        ("DateCreated", "2026-03-04 10:36:07".to_owned()),
        ("DateUpdated", "2026-03-04 10:36:12".to_owned()),
        ("Status", status.to_owned()),
        ("To", call.to.clone()),
        ("From", call.from.clone()),
        ("PhoneNumberSid", call.from.clone()),
        ("Direction", "outbound-api".to_owned()),
        ("RecordingUrl", recording.unwrap_or_default()),
    ];
    fields.extend(seconds.map(|seconds| ("ConversationDuration", seconds)));
    fields.extend(call.custom.clone().map(|custom| ("CustomField", custom)));
    let mut body = String::new();
    for (name, value) in fields {
        let head = format!("Content-Disposition: form-data; name=\"{name}\"");
        body.push_str(&format!("--{BOUNDARY}\r\n{head}\r\n\r\n{value}\r\n"));
    }
    body.push_str(&format!("--{BOUNDARY}--\r\n"));
    let kind = "multipart/form-data; boundary=------------------------d74496d66958873e";
    bearing(HttpRequest::post(url.to_owned(), kind, body))
}
