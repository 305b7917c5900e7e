//! HTTP/1.1 requests, one a connection, and what came back.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddrV4, TcpStream};
use std::time::Duration;

use crate::bench::target;
use crate::error::{PerfError, Result};

/// Port of HTTP without TLS (RFC 9110 4.2.1).
const HTTP_PORT: u16 = 80;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request's answer.
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// Its headers.
    pub(crate) headers: Vec<(String, String)>,
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
    parse(&answer).ok_or_else(|| PerfError::Peer(format!("no HTTP from {to} for {method} {path}")))
}

/// An answer whose body ends where the connection does.
fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let named = lines.filter_map(|line| line.split_once(':'));
    let headers = named.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    Some(Answer { status, headers, body: body.to_owned() })
}

/// The address and the path of `http://` or `ws://` without TLS.
pub(crate) fn place(url: &str) -> Result<(SocketAddrV4, String)> {
    let wrong = || PerfError::Usage(format!("no address without TLS: {url}"));
    let rest = ["http://", "ws://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let rest = rest.ok_or_else(wrong)?;
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let at =
        target::resolve(host, HTTP_PORT).map_err(|error| PerfError::Usage(error.to_string()))?;
    Ok((at, if path.is_empty() { "/".to_owned() } else { path.to_owned() }))
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

    /// Addresses are taken apart, and an answer too.
    #[test]
    fn addresses_and_answers_are_taken_apart() {
        let place = |url: &str| place(url).map(|(at, path)| (at.to_string(), path)).ok();
        let found = |at: &str, path: &str| Some((at.to_owned(), path.to_owned()));
        assert_eq!(place("http://127.0.0.1:8080/a?b=c"), found("127.0.0.1:8080", "/a?b=c"));
        assert_eq!(place("ws://127.0.0.1"), found("127.0.0.1:80", "/"));
        assert_eq!(place("https://127.0.0.1/"), None);
        let answer = parse("HTTP/1.1 201 Created\r\nContent-Type: a/b\r\nX: y: z\r\n\r\nbody");
        let answer = answer.expect("an answer");
        assert_eq!((answer.status, answer.body.as_str()), (201, "body"));
        assert_eq!(answer.headers[1], ("X".to_owned(), "y: z".to_owned()));
        assert!(parse("HTTP/1.1 x\r\n\r\n").is_none());
    }

    /// What is not plain is escaped, names and values alike.
    #[test]
    fn forms_are_escaped() {
        assert_eq!(form(&[("From", "+1 5"), ("a&b", "c=d")]), "From=%2B1%205&a%26b=c%3Dd");
        assert_eq!(form(&[]), "");
    }
}
