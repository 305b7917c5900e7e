//! A caller whose session description and packets are the test's own: SIP over UDP, written from
//! the RFCs and not from the server.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::phone::header;
use super::server::Server;
use super::until;

/// How long anything may take on a busy machine.
const SOON: Duration = Duration::from_secs(15);

/// Numbers callers, for tags and branches.
static NUMBER: AtomicU32 = AtomicU32::new(1);

/// A caller with one call.
#[derive(Debug)]
pub struct Caller {
    sip: UdpSocket,
    /// Its RTP.
    pub rtp: UdpSocket,
    server: SocketAddr,
    to: String,
    number: u32,
    remote: String,
    cseq: u32,
    /// The last description of the server.
    pub answer: String,
}

impl Caller {
    /// A caller of `to` that has not called yet.
    #[track_caller]
    pub fn new(server: &Server, to: &str) -> Self {
        Self::new_at(server.sip, to)
    }

    /// The same of a server at this address.
    #[track_caller]
    pub fn new_at(server: SocketAddr, to: &str) -> Self {
        let [sip, rtp] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        sip.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        rtp.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        Self {
            sip,
            rtp,
            server,
            to: to.to_owned(),
            number: std::process::id() << 8 | NUMBER.fetch_add(1, Ordering::Relaxed),
            remote: format!("<sip:{to}@{server}>"),
            cseq: 0,
            answer: String::new(),
        }
    }

    /// Calls, or changes the call, with one audio stream of `profile` with PCMU and these lines;
    /// the status of the answer.
    #[track_caller]
    pub fn invite(&mut self, profile: &str, lines: &str) -> u16 {
        let port = self.rtp.local_addr().unwrap().port();
        self.cseq += 1;
        let body = format!(
            "v=0\r\no=- 1 {} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} {profile} 0\r\n{lines}",
            self.cseq
        );
        self.request("INVITE", "x", &body);
        let (cseq, sip) = (format!("CSeq: {} INVITE", self.cseq), &self.sip);
        let answer = until(SOON, "an answer", || {
            let mut buffer = [0; 65_536];
            let length = sip.recv(&mut buffer).ok()?;
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            (text.contains(&cseq) && !text.starts_with("SIP/2.0 1")).then_some(text)
        });
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        header(&answer, "To").clone_into(&mut self.remote);
        if status == 200 {
            self.answer = answer;
            self.request("ACK", "ack", "");
        } else {
            self.request("ACK", "x", "");
        }
        status
    }

    /// Hangs up.
    #[track_caller]
    pub fn hang_up(&mut self) {
        self.cseq += 1;
        self.request("BYE", "x", "");
        let sip = &self.sip;
        until(SOON, "the end", || {
            let mut buffer = [0; 65_536];
            let length = sip.recv(&mut buffer).ok()?;
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            (text.starts_with("SIP/2.0 200") && text.contains(" BYE")).then_some(())
        });
    }

    fn request(&self, method: &str, branch: &str, body: &str) {
        let (local, server, to) = (self.sip.local_addr().unwrap(), self.server, &self.to);
        let (number, cseq, remote, length) = (self.number, self.cseq, &self.remote, body.len());
        let text = format!(
            "{method} sip:{to}@{server} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {local};rport;branch=z9hG4bK-{number}-{cseq}-{branch}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:caller@{local}>;tag=c{number}\r\nTo: {remote}\r\n\
             Call-ID: {number}@caller\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:caller@{local}>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        self.sip.send_to(text.as_bytes(), server).unwrap();
    }

    /// Where the server wants its RTP.
    #[track_caller]
    pub fn media(&self) -> SocketAddr {
        let audio = self.answer.lines().find_map(|line| line.strip_prefix("m=audio "));
        let port: u16 = audio.unwrap().split(' ').next().unwrap().parse().unwrap();
        ([127, 0, 0, 1], port).into()
    }

    /// The value of the server's `a=` line of this name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let prefix = format!("a={name}");
        self.answer.lines().find_map(|line| line.strip_prefix(&*prefix))
    }

    /// The next datagram on the RTP port, if one comes soon.
    pub fn hear(&self) -> Option<Vec<u8>> {
        let mut buffer = [0; 2048];
        let length = self.rtp.recv(&mut buffer).ok()?;
        Some(buffer[..length].to_vec())
    }
}
