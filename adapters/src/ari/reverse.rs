//! The socket that Asterisk opens to us (since 20.15, 22.5 and 23.0), by which it is asked as well:
//! requests and answers are objects among the events.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::json;
use subtle::ConstantTimeEq;

use super::request::credentials;
use crate::config::RawConfig;
use crate::exchange::{HttpRequest, HttpResponse};
use crate::hook::VerifyError;
use crate::reverse::Reverse;

pub(super) const REVERSE: Reverse = Reverse { wanted, subprotocol: "ari", verify, ask, answer };

/// The value of `events` for that.
pub(super) const OUTBOUND: &str = "outbound";

/// Where the REST interface begins in the address of a request.
const ROOT: &str = "/ari/";

pub(super) fn wanted(config: &RawConfig) -> bool {
    config.text("events") == Some(OUTBOUND)
}

/// It brings user and password of the configuration.
fn verify(headers: &HeaderMap, config: &RawConfig) -> Result<(), VerifyError> {
    let given = headers.get(AUTHORIZATION).ok_or(VerifyError::Missing("Authorization"))?;
    let expected = credentials(config).map_err(|_| VerifyError::NoKey)?;
    let same: bool = given.as_bytes().ct_eq(expected.as_bytes()).into();
    if same { Ok(()) } else { Err(VerifyError::Credential) }
}

fn ask(request: &HttpRequest, number: u64) -> Option<String> {
    // What stands before it is the address that we would have reached it at.
    let at = request.url.find(ROOT)? + ROOT.len();
    let uri = request.url.get(at..)?;
    let mut message = json!({
        "type": "RESTRequest",
        "transaction_id": "",
        "request_id": number.to_string(),
        "method": request.method.as_str(),
        "uri": uri,
    });
    if !request.body.is_empty() {
        message["content_type"] = json!("application/json");
        message["message_body"] = json!(std::str::from_utf8(&request.body).ok()?);
    }
    Some(message.to_string())
}

#[derive(Deserialize)]
struct Answer {
    r#type: String,
    #[serde(default)]
    request_id: String,
    #[serde(default)]
    status_code: u16,
    #[serde(default)]
    message_body: Option<String>,
}

fn answer(message: &[u8]) -> Option<(u64, HttpResponse)> {
    // Events are many, and none of them says this.
    let word = b"RESTResponse";
    if !message.windows(word.len()).any(|part| part == word) {
        return None;
    }
    let answer: Answer = serde_json::from_slice(message).ok()?;
    if answer.r#type != "RESTResponse" {
        return None;
    }
    let number = answer.request_id.parse().ok()?;
    let status = StatusCode::from_u16(answer.status_code).unwrap_or(StatusCode::BAD_GATEWAY);
    let body = Bytes::from(answer.message_body.unwrap_or_default());
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Some((number, HttpResponse { status, headers, body }))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::calls;
    use super::super::tests::rest::config;
    use super::*;
    use crate::event::CarrierCallId;
    use crate::op::Step;

    /// Requests become messages with method, path and query, and nothing of their credentials;
    /// answers are told from events, whatever these hold.
    #[test]
    fn requests_go_over_the_socket() {
        let mut op = calls::hangup(&config(), &CarrierCallId("a b".to_owned())).unwrap();
        let Step::Send(mut request) = op.next(None) else { panic!() };
        let text = ask(&request, 7).unwrap();
        assert!(!text.contains("Basic") && !text.contains("pw"), "{text}");
        let message: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(message["uri"], "channels/a%20b?reason=normal");
        assert_eq!((&message["method"], &message["request_id"]), (&json!("DELETE"), &json!("7")));
        assert_eq!(message["message_body"], Value::Null);
        request.body = Bytes::from_static(b"{\"variables\":{\"A\":\"b\"}}");
        let message: Value = serde_json::from_str(&ask(&request, 8).unwrap()).unwrap();
        assert_eq!(message["message_body"], "{\"variables\":{\"A\":\"b\"}}");
        request.url = "http://pbx.example.com:8088/other".to_owned();
        assert!(ask(&request, 9).is_none());

        let said = json!({
            "type": "RESTResponse", "transaction_id": "", "request_id": "7", "status_code": 404,
            "reason_phrase": "Not Found", "uri": "channels/x", "content_type": "application/json",
            "message_body": "{\"message\":\"Channel not found\"}",
        });
        let (number, response) = answer(said.to_string().as_bytes()).unwrap();
        assert_eq!((number, response.status), (7, StatusCode::NOT_FOUND));
        assert!(response.object().unwrap()["message"].is_string());
        for other in [
            json!({"type": "StasisStart", "args": ["RESTResponse"], "request_id": "7"}),
            json!({"type": "RESTResponse", "request_id": "", "status_code": 400}),
            json!("RESTResponse"),
        ] {
            assert!(answer(other.to_string().as_bytes()).is_none(), "{other}");
        }
        let text = said.to_string();
        assert!((0..text.len()).all(|cut| answer(&text.as_bytes()[..cut]).is_none()));
    }

    /// Whoever opens the socket knows user and password.
    #[test]
    fn who_opens_it_is_known() {
        let headers = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
            headers
        };
        // talkpath:pw
        assert_eq!(verify(&headers("Basic dGFsa3BhdGg6cHc="), &config()), Ok(()));
        for wrong in ["Basic dGFsa3BhdGg6cHg=", "Basic", "", "basic dGFsa3BhdGg6cHc="] {
            assert_eq!(verify(&headers(wrong), &config()), Err(VerifyError::Credential), "{wrong}");
        }
        assert_eq!(
            verify(&HeaderMap::new(), &config()),
            Err(VerifyError::Missing("Authorization"))
        );
        assert_eq!(verify(&headers("Basic Og=="), &RawConfig::default()), Err(VerifyError::NoKey));
    }
}
