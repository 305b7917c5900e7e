//! The carrier's control of calls: a configuration and a number at the server, signed webhooks that
//! offer calls, and the media sockets that the answers ask for.

use std::net::SocketAddrV4;
use std::time::Duration;

use serde_json::{Value, json};
use socket2::Socket;

use super::http::{self, Answer};
use super::sign::signature;
use super::talk::Talk;
use crate::agent::server::dial_with;
use crate::error::{PerfError, Result};
use crate::run::server::Told;
use crate::sys::clock::{self, SECOND_NS};
use crate::ws::frame;

/// The account, the secret that webhooks are signed with, and a number of it.
const ACCOUNT: &str = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const NUMBER: &str = "+15551234567";
/// Who calls.
const CALLER: &str = "+15557654321";

const CONFIGURATIONS: &str = "/api/v1/organizations/telephony-configs";
/// Where carriers with one address for all offer their calls.
const OFFERS: &str = "/api/v1/telephony/inbound/run";
const SIGNATURE: &str = "X-Twilio-Signature";

/// How long what was made over HTTP may take to be in use, in nanoseconds.
const IN_USE_NS: u64 = 10 * SECOND_NS;

/// Mask of what we say first on a socket.
const MASK: [u8; 4] = [0x11, 0xC2, 0x5D, 0x8E];

/// A carrier whose account the server knows.
pub(crate) struct Carrier {
    server: SocketAddrV4,
}

/// A call whose media socket is open.
pub(crate) struct Offered {
    /// The socket.
    pub(crate) socket: Socket,
    /// What came behind the handshake.
    pub(crate) rest: Vec<u8>,
    /// What is said on it.
    pub(crate) talk: Talk,
}

impl Carrier {
    /// Makes a configuration with a number whose calls go to the agent of this name; the carrier's
    /// API listens at `rest`.
    pub(crate) fn set_up(told: &Told, agent: &str, rest: SocketAddrV4) -> Result<Self> {
        let server = told.http;
        let ask = |method: &str, path: &str, body: Option<Value>| -> Result<Value> {
            let headers =
                format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", told.key);
            let body = body.map(|body| body.to_string()).unwrap_or_default();
            let answer = http::request(server, method, path, &headers, &body)?;
            if !(200..300).contains(&answer.status) {
                return Err(refused(&format!("{method} {path}"), &answer));
            }
            Ok(serde_json::from_str(&answer.body)?)
        };
        let agents = ask("GET", "/api/v1/agents", None)?;
        let all = agents["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let id = all.iter().find(|one| one["name"] == agent).map(|one| one["id"].clone());
        let id = id.ok_or_else(|| PerfError::Usage(format!("the server has no agent {agent}")))?;
        let made = json!({
            "name": "bench",
            "config": {
                "provider": "twilio", "account_sid": ACCOUNT, "auth_token": TOKEN,
                "api_base": format!("http://{rest}"),
            },
        });
        let made = ask("POST", CONFIGURATIONS, Some(made))?;
        let made = made["id"].as_str().unwrap_or_default();
        let path = format!("{CONFIGURATIONS}/{made}/phone-numbers");
        ask("POST", &path, Some(json!({"address": NUMBER, "inbound_agent_id": id})))?;
        Ok(Self { server })
    }

    /// Offers the call of this number by a signed webhook and opens the media socket that the
    /// answer asks for.
    pub(crate) fn offer(&self, number: u32) -> Result<Offered> {
        let call = format!("CA{:032x}", number + 1);
        let fields = [
            ("AccountSid", ACCOUNT),
            ("ApiVersion", "2010-04-01"),
            ("CallSid", &call),
            ("CallStatus", "ringing"),
            ("Direction", "inbound"),
            ("From", CALLER),
            ("To", NUMBER),
        ];
        let signed = signature(TOKEN, &format!("http://{}{OFFERS}", self.server), &fields);
        let headers =
            format!("{SIGNATURE}: {signed}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
        let end = clock::mono_ns() + IN_USE_NS;
        let answer = loop {
            let body = http::form(&fields);
            let answer = http::request(self.server, "POST", OFFERS, &headers, &body)?;
            // What was made over HTTP is in use a moment later.
            if answer.status != 403 || number > 0 || clock::mono_ns() > end {
                break answer;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let url = stream_url(&answer.body).ok_or_else(|| refused("a webhook", &answer))?;
        self.open(&url, &call)
    }

    fn open(&self, url: &str, call: &str) -> Result<Offered> {
        let here = format!("ws://{}", self.server);
        let path = url.strip_prefix(&here).ok_or_else(|| {
            PerfError::Peer(format!("the server wants the audio at {url}, not at {here}"))
        })?;
        let header = format!("{SIGNATURE}: {}\r\n", signature(TOKEN, url, &[]));
        let (socket, rest) = dial_with(self.server, path, [7; 16], &header)?;
        let mut talk = Talk::new(ACCOUNT, call);
        let mut bytes = Vec::new();
        for message in talk.opening() {
            frame::write(&mut bytes, frame::TEXT, message.as_bytes(), Some(MASK));
        }
        let sent = socket.send_with_flags(&bytes, libc::MSG_NOSIGNAL)?;
        if sent != bytes.len() {
            return Err(PerfError::Peer("a fresh socket took less than two messages".into()));
        }
        Ok(Offered { socket, rest, talk })
    }
}

fn refused(what: &str, answer: &Answer) -> PerfError {
    let said: String = answer.body.chars().take(300).collect();
    PerfError::Peer(format!("{what} was answered {}: {said}", answer.status))
}

/// The address of the media socket in the document that answers a webhook.
fn stream_url(document: &str) -> Option<String> {
    let (_, element) = document.split_once("<Stream ")?;
    let (element, _) = element.split_once('>')?;
    let (_, value) = element.split_once("url=\"")?;
    Some(value.split_once('"')?.0.replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The address is found in the document, and in no other.
    #[test]
    fn finds_the_address() {
        let document = r#"<Response><Connect action="http://h/"><Stream name="a"
            url="ws://h/p?a=1&amp;b=2" statusCallback="http://h/s"/></Connect></Response>"#;
        let document = document.replace("\n            ", " ");
        assert_eq!(stream_url(&document).as_deref(), Some("ws://h/p?a=1&b=2"));
        assert_eq!(stream_url("<Response><Reject/></Response>"), None);
    }
}
