//! A carrier's gateway over UDP: answers, refuses or says nothing, and keeps what it was told.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use talkpath::sip::core::auth::{Account, DigestClient};
use talkpath::sip::core::message::Message;

use super::line::{header, offer};
use super::until;

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
    /// Rings until it is cancelled.
    Rings,
}

/// A running gateway.
pub struct Gateway {
    /// Where it listens.
    pub address: SocketAddr,
    socket: UdpSocket,
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
            socket: socket.try_clone().unwrap(),
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
                let answered = !request.starts_with("SIP/2.0 ");
                let answers = answered.then(|| responses(&request, manner, address));
                // Whoever sees what follows from an answer sees the request, and the other way.
                let mut heard = heard.lock().unwrap();
                heard.push(request);
                for response in answers.into_iter().flatten() {
                    let _ = socket.send_to(response.as_bytes(), peer);
                }
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

    /// Answers the INVITE that came last.
    pub fn answer_invite(&self) {
        let invite = self.heard("INVITE ").pop().unwrap();
        self.say(&invite, &responses(&invite, Manner::Answers, self.address).pop().unwrap());
    }

    /// Refuses the INVITE that came last.
    pub fn refuse_invite(&self, line: &str) {
        let invite = self.heard("INVITE ").pop().unwrap();
        self.say(&invite, &response(&invite, line, "", ""));
    }

    fn say(&self, invite: &str, response: &str) {
        let via = header(invite, "Via").split(';').next().unwrap();
        let peer: SocketAddr = via.rsplit(' ').next().unwrap().parse().unwrap();
        self.socket.send_to(response.as_bytes(), peer).unwrap();
    }

    /// Registers at `server` as a telephone of `user`, with these parameters of Contact.
    #[track_caller]
    pub fn register(&self, server: SocketAddr, user: &str, password: &str, params: &str) {
        let mut client = DigestClient::new(Arc::new(Account::new(user, password, None)));
        let (address, uri) = (self.address, format!("sip:{server}"));
        for cseq in 1..3 {
            let credentials = client.headers("REGISTER", &uri, b"");
            let credentials: String =
                credentials.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let request = format!(
                "REGISTER {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {address};rport;branch=z9hG4bK{cseq}\r\n\
                 From: <sip:{user}@{server}>;tag=r\r\nTo: <sip:{user}@{server}>\r\n\
                 Call-ID: register@{address}\r\nCSeq: {cseq} REGISTER\r\nMax-Forwards: 70\r\n\
                 Contact: <sip:{user}@{address}>{params}\r\n{credentials}Content-Length: 0\r\n\r\n"
            );
            self.socket.send_to(request.as_bytes(), server).unwrap();
            let number = format!("CSeq: {cseq} REGISTER");
            let answer = until(Duration::from_secs(10), "an answer to REGISTER", || {
                self.heard("SIP/2.0 ").into_iter().find(|answer| answer.contains(&number))
            });
            if answer.starts_with("SIP/2.0 200 ") {
                return;
            }
            let answer = Message::parse(answer.into_bytes().into()).unwrap();
            assert_eq!((answer.status(), cseq), (Some(401), 1));
            client.challenged(&answer, 1).unwrap();
        }
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
        ("INVITE", Manner::Rings) => vec![simple("180 Ringing")],
        ("CANCEL", Manner::Rings) => {
            let invite = request.replace("CANCEL", "INVITE");
            vec![simple("200 OK"), response(&invite, "487 Request Terminated", "", "")]
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
