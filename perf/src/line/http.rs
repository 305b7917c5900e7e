//! HTTP/1.1 requests, one a connection, and what came back.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddrV4, TcpStream};
use std::time::Duration;

use crate::error::{PerfError, Result};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request's answer.
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// Its body.
    pub(crate) body: String,
}

/// Sends a request with these headers (each line ended) and reads the answer to its end.
pub(crate) fn request(
    to: SocketAddrV4,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Result<Answer> {
    let failed = |error| PerfError::io(format!("{method} http://{to}{path}"))(error);
    let mut stream = TcpStream::connect(to).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n{headers}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    let parsed = answer.split_once("\r\n\r\n").and_then(|(head, body)| {
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, body: body.to_owned() })
    });
    parsed.ok_or_else(|| PerfError::Peer(format!("no HTTP from {to} for {method} {path}")))
}

/// A value in a form or an address (RFC 3986 2.1).
pub(crate) fn escape(text: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escaped).collect()
}

/// Fields as a form's body.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value)));
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is not plain is escaped, names and values alike.
    #[test]
    fn forms_are_escaped() {
        assert_eq!(form(&[("From", "+1 5"), ("a&b", "c=d")]), "From=%2B1%205&a%26b=c%3Dd");
        assert_eq!(form(&[]), "");
    }
}
