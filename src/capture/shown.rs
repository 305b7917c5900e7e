//! A message of a call as the API shows it.

use std::net::SocketAddr;

use serde::Serialize;

use super::registry::{Kept, Message, ends};
use super::web::Web;

/// The words for what we have sent, and for what came.
const OUT: &str = "out";
const IN: &str = "in";
/// Our end of what goes over HTTP.
const US: &str = "talkpath";

/// A message as the API shows it.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// Its number among the messages of the call, from 1.
    pub sequence: u32,
    /// When it came or left.
    pub at_unix_ms: u64,
    direction: &'static str,
    protocol: &'static str,
    transport: &'static str,
    /// Where it came from.
    pub from: String,
    /// Where it went.
    pub to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Its first line.
    summary: String,
    text: String,
}

impl Shown {
    pub(super) fn new(sequence: u32, at_unix_ms: u64, kept: &Kept) -> Self {
        match kept {
            Kept::Sip(message) => Self::sip(sequence, at_unix_ms, message),
            Kept::Web(web) => Self::web(sequence, at_unix_ms, web),
        }
    }

    fn sip(sequence: u32, at_unix_ms: u64, message: &Message) -> Self {
        let (from, to) = ends(message.incoming, message.local, message.peer);
        let text = String::from_utf8_lossy(&message.bytes).into_owned();
        let written = |end: SocketAddr| end.to_string();
        Self {
            sequence,
            at_unix_ms,
            direction: if message.incoming { IN } else { OUT },
            protocol: "sip",
            transport: message.transport,
            from: written(from),
            to: written(to),
            method: None,
            path: None,
            status: None,
            summary: text.lines().next().unwrap_or_default().to_owned(),
            text,
        }
    }

    fn web(sequence: u32, at_unix_ms: u64, web: &Web) -> Self {
        let (us, them) = (US.to_owned(), web.peer.clone());
        let (from, to) = if web.incoming { (them, us) } else { (us, them) };
        Self {
            sequence,
            at_unix_ms,
            direction: if web.incoming { IN } else { OUT },
            protocol: "http",
            transport: if web.secure { "https" } else { "http" },
            from,
            to,
            method: Some(web.method.clone()),
            path: Some(web.path.clone()),
            status: web.status,
            summary: web.text.lines().next().unwrap_or_default().to_owned(),
            text: web.text.clone(),
        }
    }

    /// True if it is one of ours.
    pub fn is_sent(&self) -> bool {
        self.direction == OUT
    }

    /// The word for what it is a message of.
    pub const fn protocol(&self) -> &'static str {
        self.protocol
    }
}
