//! The request by which agents written for Twilio hang up: the call resource's `Status=completed`.

use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::super::{AgentRest, RestAnswer, RestHangup, RestOutcome};
use super::ids;

/// The request's entry in the table.
pub(in super::super) const REST: AgentRest = AgentRest {
    method: "POST",
    path: "/2010-04-01/Accounts/{account}/Calls/{call}",
    read,
    answer,
    unauthorized,
};

/// The API's version, in paths and answers.
const VERSION: &str = "2010-04-01";
/// Longest account that an answer repeats, in bytes.
const ACCOUNT_BYTES: usize = 64;

/// Codes of the carrier's error dictionary.
const AUTHENTICATE: u32 = 20003;
const UNKNOWN_PARAMETERS: u32 = 20001;
const NOT_FOUND: u32 = 20404;

fn read(path: &str, body: &[u8]) -> Result<RestHangup, RestAnswer> {
    let (account, call) = resource(path).ok_or_else(|| not_found(path))?;
    let call_id = ids::call_id(call).ok_or_else(|| not_found(path))?;
    if !asks_to_end(body) {
        let message = "Only Status=completed and Status=canceled are carried out";
        return Err(error(StatusCode::BAD_REQUEST, UNKNOWN_PARAMETERS, message));
    }
    Ok(RestHangup { call_id, account: account.to_owned(), call: call.to_owned() })
}

fn answer(request: &RestHangup, outcome: RestOutcome) -> RestAnswer {
    let RestHangup { account, call, .. } = request;
    let uri = format!("/{VERSION}/Accounts/{account}/Calls/{call}.json");
    match outcome {
        RestOutcome::NoSuchCall => not_found(&uri),
        RestOutcome::Ended => json_answer(
            StatusCode::OK,
            &json!({
                "sid": call,
                "account_sid": account,
                "api_version": VERSION,
                "status": "completed",
                "uri": uri,
            }),
        ),
    }
}

fn unauthorized() -> RestAnswer {
    error(StatusCode::UNAUTHORIZED, AUTHENTICATE, "Authenticate")
}

/// Account and call of `/2010-04-01/Accounts/{account}/Calls/{call}.json`.
fn resource(path: &str) -> Option<(&str, &str)> {
    let mut parts = path.strip_prefix('/')?.split('/');
    let mut next = || parts.next();
    let (version, accounts, account) = (next()?, next()?, next()?);
    let (calls, call, end) = (next()?, next()?, next());
    let known = version == VERSION && accounts == "Accounts" && calls == "Calls";
    let account_fits = (1..=ACCOUNT_BYTES).contains(&account.len())
        && account.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (known && account_fits && end.is_none()).then_some((account, call.strip_suffix(".json")?))
}

/// True if the form says `Status=completed` or, for a call that still rings, `Status=canceled`.
fn asks_to_end(form: &[u8]) -> bool {
    form.split(|byte| *byte == b'&').any(|pair| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let (name, value) = (halves.next().unwrap_or(&[]), halves.next().unwrap_or(&[]));
        is(name, b"Status") && (is(value, b"completed") || is(value, b"canceled"))
    })
}

/// True if `text`, percent-encoded or not, says `plain`.
fn is(text: &[u8], plain: &[u8]) -> bool {
    let mut rest = text;
    let decoded = std::iter::from_fn(|| {
        let (byte, after) = match rest {
            [b'%', high, low, after @ ..] => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                ((digit(high)? * 16 + digit(low)?) as u8, after)
            }
            [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        rest = after;
        Some(byte)
    });
    decoded.eq(plain.iter().copied()) && rest.is_empty()
}

fn not_found(path: &str) -> RestAnswer {
    let message = format!("The requested resource {path} was not found");
    error(StatusCode::NOT_FOUND, NOT_FOUND, &message)
}

fn error(status: StatusCode, code: u32, message: &str) -> RestAnswer {
    let more_info = format!("https://www.twilio.com/docs/errors/{code}");
    let body = json!({
        "code": code,
        "message": message,
        "more_info": more_info,
        "status": status.as_u16(),
    });
    json_answer(status, &body)
}

fn json_answer(status: StatusCode, body: &impl Serialize) -> RestAnswer {
    // Strings and numbers always serialise.
    let body = serde_json::to_vec(body).unwrap_or_default();
    RestAnswer { status, content_type: "application/json", body }
}
