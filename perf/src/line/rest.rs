//! The carrier's API: says yes to everything and counts the calls that it is asked to end.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Result;

/// Longest body that is read, in bytes.
const BODY_BYTES_MAX: u64 = 64 << 10;

/// The API; its threads end with the process.
pub(crate) struct Rest {
    /// Where it listens.
    pub(crate) at: SocketAddrV4,
    ended: Arc<AtomicUsize>,
}

impl Rest {
    /// Starts it on a free port.
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, listener.local_addr()?.port());
        let ended = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&ended);
        std::thread::Builder::new().name("rest".into()).spawn(move || {
            for stream in listener.incoming().map_while(std::io::Result::ok) {
                let count = Arc::clone(&count);
                let serve = move || drop(serve(stream, &count));
                // Without a thread the connection is closed, and the server tries again.
                drop(std::thread::Builder::new().name("rest-peer".into()).spawn(serve));
            }
        })?;
        Ok(Self { at, ended })
    }

    /// Calls that it was asked to end.
    pub(crate) fn ended(&self) -> usize {
        self.ended.load(Ordering::Relaxed)
    }
}

/// Serves one connection until it is closed.
fn serve(stream: TcpStream, ended: &AtomicUsize) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    while let Some(Head { length, close }) = head(&mut reader)? {
        let mut body = String::new();
        reader.by_ref().take(length.min(BODY_BYTES_MAX)).read_to_string(&mut body)?;
        if body.split('&').any(|field| field == "Status=completed") {
            ended.fetch_add(1, Ordering::Relaxed);
        }
        let answer = r#"{"status":"completed"}"#;
        let length = answer.len();
        write!(writer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")?;
        write!(writer, "Content-Length: {length}\r\n\r\n{answer}")?;
        if close {
            break;
        }
    }
    Ok(())
}

/// What a request's head says of what follows.
struct Head {
    /// Bytes of its body.
    length: u64,
    /// The connection ends with the answer.
    close: bool,
}

/// Reads a request's head; `None` at the end of the connection.
fn head(reader: &mut impl BufRead) -> std::io::Result<Option<Head>> {
    let (mut length, mut close, mut line) = (0, false, String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let (name, value) = line.split_once(':').unwrap_or((line.trim(), ""));
        if name.is_empty() {
            return Ok(Some(Head { length, close }));
        }
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
        close |= name.eq_ignore_ascii_case("connection") && value.trim() == "close";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::http::request;

    /// Every request is answered, and those that end a call are counted.
    #[test]
    fn counts_what_ends() {
        let rest = Rest::start().expect("start");
        for (body, ended) in [("Status=completed", 1), ("Status=canceled", 1), ("", 1)] {
            let answer = request(rest.at, "POST", "/Calls/CA1.json", "", body);
            assert!(answer.is_ok_and(|answer| answer.status == 200), "{body}");
            assert_eq!(rest.ended(), ended);
        }
    }
}
