//! The opening handshake (RFC 6455 4), both sides.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::{MUX_SUBPROTOCOL, SUBPROTOCOL};

/// Longest head taken, in bytes.
pub(crate) const MAX_HEAD_BYTES: usize = 16 << 10;

/// Suffix of the key that proves a WebSocket server answered (RFC 6455 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

fn accept(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(GUID);
    STANDARD.encode(hash.finalize())
}

/// The header that asks for the agent stream.
pub(crate) fn agent_stream() -> String {
    format!("Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n")
}

/// A client's request with these headers (each line ended) besides its own.
pub(crate) fn request(host: &str, path: &str, key: [u8; 16], headers: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n{headers}\r\n",
        STANDARD.encode(key)
    )
    .into_bytes()
}

/// The length of an HTTP head, its empty line included, if all of it is there.
pub(crate) fn head_length(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn has_token(value: Option<&str>, token: &str) -> bool {
    value.is_some_and(|list| list.split(',').any(|item| item.trim().eq_ignore_ascii_case(token)))
}

/// True if a server's head accepts what [`request`] asked for.
pub(crate) fn accepted(head: &[u8], key: [u8; 16]) -> bool {
    let text = String::from_utf8_lossy(head);
    let status = text.split_whitespace().nth(1);
    status == Some("101")
        && header(&text, "Sec-WebSocket-Accept") == Some(accept(&STANDARD.encode(key)).as_str())
}

/// A server's answer to a client's head: what to send, and whether the client is let in.
pub(crate) fn respond(head: &[u8]) -> (Vec<u8>, bool) {
    let text = String::from_utf8_lossy(head);
    let key = header(&text, "Sec-WebSocket-Key");
    let wanted = text.starts_with("GET ")
        && has_token(header(&text, "Upgrade"), "websocket")
        && has_token(header(&text, "Connection"), "upgrade")
        && header(&text, "Sec-WebSocket-Version") == Some("13");
    let (Some(key), true) = (key, wanted) else {
        let refusal = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return (refusal.as_bytes().to_vec(), false);
    };
    let offered = |token: &&str| has_token(header(&text, "Sec-WebSocket-Protocol"), token);
    let taken = [SUBPROTOCOL, MUX_SUBPROTOCOL].into_iter().find(offered);
    let protocol =
        taken.map_or(String::new(), |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n{protocol}\r\n",
        accept(key)
    );
    (answer.into_bytes(), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and answer of RFC 6455 1.3.
    #[test]
    fn accepts_the_rfc_example() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    /// Both sides agree, and the subprotocol is named.
    #[test]
    fn both_sides_agree() {
        let key = [7; 16];
        let asked = request("127.0.0.1:9", "/a", key, &agent_stream());
        assert_eq!(head_length(&asked), Some(asked.len()));
        let (answer, open) = respond(&asked);
        assert!(open && accepted(&answer, key) && !accepted(&answer, [8; 16]));
        assert!(String::from_utf8_lossy(&answer).contains("Sec-WebSocket-Protocol: talkpath.v1"));
        let (answer, open) = respond(&request("h", "/", key, "X: y\r\n"));
        assert!(open && !String::from_utf8_lossy(&answer).contains("WebSocket-Protocol"));
        let mux = format!("Sec-WebSocket-Protocol: {MUX_SUBPROTOCOL}\r\n");
        let (answer, open) = respond(&request("h", "/", key, &mux));
        assert!(open && String::from_utf8_lossy(&answer).contains(&mux));
        let plain = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        assert!(!respond(plain).1);
    }
}
