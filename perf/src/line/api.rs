//! The API of a carrier: each request is a value, and so is its answer.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;

use adapters::exchange::{HttpRequest, HttpResponse};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::error::Result;

/// Longest body that is read, in bytes.
const BODY_BYTES_MAX: u64 = 1 << 20;

/// What answers requests; without an answer the connection ends.
pub(super) type Serve = dyn Fn(&HttpRequest) -> Option<HttpResponse> + Send + Sync;

/// A listener on a free port of this machine, and where it is.
pub(super) fn listen() -> Result<(TcpListener, SocketAddrV4)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, listener.local_addr()?.port());
    Ok((listener, at))
}

/// Serves what comes, each connection on a thread of its own, to the end of the process.
pub(super) fn serve(listener: TcpListener, serve: Arc<Serve>) -> Result<()> {
    std::thread::Builder::new().name("api".into()).spawn(move || {
        for stream in listener.incoming().map_while(std::io::Result::ok) {
            let serve = Arc::clone(&serve);
            let peer = move || drop(converse(stream, &*serve));
            // Without a thread the connection is closed, and the server tries again.
            drop(std::thread::Builder::new().name("api-peer".into()).spawn(peer));
        }
    })?;
    Ok(())
}

/// Serves one connection until it is closed.
fn converse(stream: TcpStream, serve: &Serve) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    while let Some(request) = read(&mut reader)? {
        let Some(answer) = serve(&request) else { return Ok(()) };
        writer.write_all(&written(&answer))?;
        if request.headers.get("connection").is_some_and(|value| value == "close") {
            break;
        }
    }
    Ok(())
}

/// The next request; `None` at the end of the connection, and of what is no request.
fn read(reader: &mut impl BufRead) -> std::io::Result<Option<HttpRequest>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut words = first.split_whitespace();
    let method = words.next().and_then(|word| Method::from_bytes(word.as_bytes()).ok());
    let (Some(method), Some(url)) = (method, words.next()) else { return Ok(None) };
    let mut headers = HeaderMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value.trim())) {
            headers.append(name, value);
        }
    }
    let length = headers.get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    let mut body = Vec::new();
    reader.by_ref().take(length.unwrap_or(0).min(BODY_BYTES_MAX)).read_to_end(&mut body)?;
    let (url, body) = (url.to_owned(), Bytes::from(body));
    Ok(Some(HttpRequest { method, url, headers, body, repeatable: false, delay_ms: 0 }))
}

/// An answer as it is sent.
fn written(answer: &HttpResponse) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {}\r\n", answer.status).into_bytes();
    for (name, value) in &answer.headers {
        if name != http::header::CONTENT_LENGTH {
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", answer.body.len()).as_bytes());
    out.extend_from_slice(&answer.body);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::http::request;

    /// A request comes as it was sent, and so does its answer.
    #[test]
    fn requests_and_answers() {
        let (listener, at) = listen().expect("listen");
        let answer = |asked: &HttpRequest| {
            let text = format!("{} {} {:?}", asked.method, asked.url, asked.body);
            let mut headers = HeaderMap::new();
            headers.insert("content-type", HeaderValue::from_static("text/plain"));
            let status = http::StatusCode::CREATED;
            Some(HttpResponse { status, headers, body: Bytes::from(text) })
        };
        serve(listener, Arc::new(answer)).expect("serve");
        for (method, body) in [("POST", "a=b"), ("DELETE", "")] {
            let answer = request(at, method, "/x?y=z", "", body).expect("an answer");
            assert_eq!((answer.status, answer.body), (201, format!("{method} /x?y=z b{body:?}")));
            assert!(answer.headers.contains(&("content-type".into(), "text/plain".into())));
        }
    }
}
