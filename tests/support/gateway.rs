//! A carrier's gateway over UDP: answers, refuses or says nothing, and keeps what it was told.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::line::{header, offer};

/// What a gateway does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Answers.
    Answers,
    /// Says nothing at all.
    Silent,
    /// Refuses with this status line and these header lines.
    Refuses(&'static str),
    /// Rings, then refuses.
    RingsThenRefuses(&'static str),
}

/// A running gateway.
pub struct Gateway {
    /// Where it listens.
    pub address: SocketAddr,
    manner: Arc<Mutex<Manner>>,
    heard: Arc<Mutex<Vec<String>>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Gateway {
    /// A gateway of this manner on any port.
    pub fn start(manner: Manner) -> Self {
        Self::start_at("127.0.0.1", manner)
    }

    /// A gateway at this address.
    pub fn start_at(address: &str, manner: Manner) -> Self {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let address = socket.local_addr().unwrap();
        let manner = Arc::new(Mutex::new(manner));
        let (heard, end) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let mut gateway = Self {
            address,
            manner: Arc::clone(&manner),
            heard: Arc::clone(&heard),
            end: Arc::clone(&end),
            thread: None,
        };
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while !end.load(Ordering::Relaxed) {
                let Ok((length, peer)) = socket.recv_from(&mut buffer) else { continue };
                let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
                let manner = *manner.lock().unwrap();
                for response in responses(&request, manner, address) {
                    let _ = socket.send_to(response.as_bytes(), peer);
                }
                heard.lock().unwrap().push(request);
            }
        });
        gateway.thread = Some(thread);
        gateway
    }

    /// Behaves otherwise from now on.
    pub fn set(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// The requests of a method that came, copies included.
    pub fn heard(&self, method: &str) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|request| request.starts_with(method)).cloned().collect()
    }

    fn stop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What is said to a request.
pub fn responses(request: &str, manner: Manner, address: SocketAddr) -> Vec<String> {
    let method = request.split(' ').next().unwrap();
    let simple = |line: &str| response(request, line, "", "");
    match (method, manner) {
        (_, Manner::Silent) | ("ACK", _) => vec![],
        ("INVITE", Manner::Answers) => {
            let media = SocketAddr::new(address.ip(), 9);
            let contact = format!("Contact: <sip:gateway@{address}>\r\n");
            vec![
                simple("100 Trying"),
                response(request, "180 Ringing", &contact, ""),
                response(request, "200 OK", &contact, &offer(media)),
            ]
        }
        ("INVITE" | "OPTIONS", Manner::Refuses(line)) => vec![simple("100 Trying"), simple(line)],
        ("INVITE", Manner::RingsThenRefuses(line)) => vec![simple("180 Ringing"), simple(line)],
        _ => vec![simple("200 OK")],
    }
}

/// A response: its status line, which may be followed by header lines after a line end.
fn response(request: &str, line: &str, headers: &str, body: &str) -> String {
    let copied = ["Via", "From", "Call-ID", "CSeq"]
        .map(|name| format!("{name}: {}\r\n", header(request, name)))
        .concat();
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let to = header(request, "To");
    let tag = if to.contains(";tag=") { "" } else { ";tag=gateway" };
    let (line, more) = line.split_once('\n').unwrap_or((line, ""));
    let more = if more.is_empty() { String::new() } else { format!("{more}\r\n") };
    let length = body.len();
    format!(
        "SIP/2.0 {line}\r\n{copied}To: {to}{tag}\r\n{headers}{more}{kind}Content-Length: {length}\
         \r\n\r\n{body}"
    )
}
